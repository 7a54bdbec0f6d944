/* tests/core/route/test_route.c: the route of a table learns, doubts, and never goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/route/route.h"

enum { COUNT_MAX = 64 };

/* A table as the metas see it, and the route that learns it. Server n is 10.0.0.n:1000. */
struct story {
    struct route route;
    struct route_effects effects; /* Of the last step. */
    uint64_t now_ms;
    struct route_answer_partition partitions[COUNT_MAX];
};

static int setup(void **state)
{
    struct story *s = test_calloc(1, sizeof *s);
    route_init(&s->route, 7);
    s->now_ms = 1000;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct story *s = *state;
    route_fini(&s->route);
    test_free(s);
    return 0;
}

static struct route_server server(uint32_t n)
{
    return (struct route_server){.ipv4 = 0x0a000000 + n, .port = n == 0 ? 0 : 1000};
}

static void step(struct story *s, struct route_event event)
{
    event.now_ms = s->now_ms;
    route_step(&s->route, &event, &s->effects);
}

static void ask(struct story *s, uint32_t index)
{
    step(s, (struct route_event){.type = ROUTE_ASKED, .partition_index = index});
}

static void mislead(struct story *s, uint32_t index, int64_t ballot)
{
    step(s, (struct route_event){.type = ROUTE_MISLED, .partition_index = index, .ballot = ballot});
}

static void tick_at(struct story *s, uint64_t now_ms)
{
    s->now_ms = now_ms;
    step(s, (struct route_event){.type = ROUTE_TICKED});
}

static void say(struct story *s, uint32_t index, int64_t ballot, uint32_t primary)
{
    s->partitions[index] = (struct route_answer_partition){index, ballot, server(primary)};
}

/* The metas answer with the partitions [0, listed) of a table of 'count'. */
static void answer(struct story *s, int32_t app_id, uint32_t count, size_t listed)
{
    step(s, (struct route_event){.type = ROUTE_ANSWERED,
                                 .answer = {.error = WIRE_ERR_OK,
                                            .app_id = app_id,
                                            .partition_count = count,
                                            .partitions = s->partitions,
                                            .count = listed}});
}

static void stay_silent(struct story *s)
{
    step(s, (struct route_event){.type = ROUTE_FAILED});
}

/* Table 3 with 'count' partitions, ballot 5, partition i on server i + 1. */
static void learn(struct story *s, uint32_t count)
{
    ask(s, 0);
    for (uint32_t i = 0; i < count; i++) say(s, i, 5, i + 1);
    answer(s, 3, count, count);
}

static const struct route_effect *effect(const struct story *s, enum route_effect_type type)
{
    for (size_t i = 0; i < s->effects.count; i++)
        if (s->effects.items[i].type == type) return &s->effects.items[i];
    return NULL;
}

static void expect_at(const struct story *s, uint32_t index, uint32_t header_index,
                      uint32_t primary)
{
    struct route_target target;
    assert_int_equal(route_find(&s->route, index, &target), 0);
    assert_int_equal(target.partition_index, header_index);
    assert_int_equal(target.server.ipv4, server(primary).ipv4);
}

static void expect_unknown(const struct story *s, uint32_t index)
{
    struct route_target target;
    assert_int_equal(route_find(&s->route, index, &target), E_AGAIN);
}

/* ---- Learning -------------------------------------------------------------------------------- */

/* Nothing is asked until somebody wants to know; then everything, once, however many want it. */
static void test_first_call_asks_for_all(void **state)
{
    struct story *s = *state;
    expect_unknown(s, 0);
    assert_true(route_deadline_ms(&s->route) == UINT64_MAX);

    ask(s, 2);
    assert_non_null(effect(s, ROUTE_DO_QUERY));
    assert_int_equal(effect(s, ROUTE_DO_QUERY)->index_count, 0);
    ask(s, 3);
    assert_null(effect(s, ROUTE_DO_QUERY));

    for (uint32_t i = 0; i < 4; i++) say(s, i, 5, i + 1);
    answer(s, 3, 4, 4);
    assert_non_null(effect(s, ROUTE_DO_WAKE));
    expect_at(s, 2, 2, 3);
    assert_true(route_deadline_ms(&s->route) == UINT64_MAX);
}

/* A key's hash, modulo the count, says which partition. */
static void test_hash_chooses_the_partition(void **state)
{
    struct story *s = *state;
    uint32_t index;
    struct route_target target;
    learn(s, 8);
    assert_int_equal(route_find_hash(&s->route, UINT64_C(0x5d9ad5b51c9a4ab3), &index, &target), 0);
    assert_int_equal(index, 3);
    assert_int_equal(target.app_id, 3);
    assert_int_equal(target.ballot, 5);
    assert_int_equal(route_find(&s->route, 8, &target), E_NOTFOUND);
}

/* A partition that a server denied is asked for alone, and a larger ballot moves it. */
static void test_denied_partition_is_asked_for_alone(void **state)
{
    struct story *s = *state;
    learn(s, 4);
    mislead(s, 1, 5);
    assert_null(effect(s, ROUTE_DO_QUERY)); /* Nobody waits for it yet. */
    expect_unknown(s, 1);
    expect_at(s, 0, 0, 1);

    ask(s, 1);
    const struct route_effect *query = effect(s, ROUTE_DO_QUERY);
    assert_non_null(query);
    assert_int_equal(query->index_count, 1);
    assert_int_equal(query->indices[0], 1);

    s->partitions[0] = (struct route_answer_partition){1, 6, server(9)};
    answer(s, 3, 4, 1);
    expect_at(s, 1, 1, 9);
}

/* An answer that was overtaken on its way undoes nothing: only a larger ballot replaces. */
static void test_older_ballot_is_ignored(void **state)
{
    struct story *s = *state;
    learn(s, 2);
    mislead(s, 0, 5);
    ask(s, 0);
    s->partitions[0] = (struct route_answer_partition){0, 4, server(7)};
    answer(s, 3, 2, 1);
    expect_at(s, 0, 0, 1);
    assert_int_equal(s->route.answers_old, 1);

    mislead(s, 0, 5);
    ask(s, 0);
    tick_at(s, route_deadline_ms(&s->route));
    s->partitions[0] = (struct route_answer_partition){0, 5, server(7)};
    answer(s, 3, 2, 1);
    expect_at(s, 0, 0, 1);
}

/* Trouble with an old route says nothing about the new one that came meanwhile. */
static void test_late_trouble_does_not_spoil_news(void **state)
{
    struct story *s = *state;
    learn(s, 2);
    mislead(s, 0, 4);
    expect_at(s, 0, 0, 1);
    mislead(s, 9, 5); /* The table had more partitions when that call was made. */
    expect_at(s, 1, 1, 2);
}

/* ---- Silence, refusal, nonsense -------------------------------------------------------------- */

/* The metas don't answer: the old route is used again, for the servers may be well. */
static void test_silent_metas_leave_the_old_route(void **state)
{
    struct story *s = *state;
    learn(s, 2);
    mislead(s, 0, 5);
    ask(s, 0);
    stay_silent(s);
    assert_non_null(effect(s, ROUTE_DO_WAKE));
    expect_at(s, 0, 0, 1);
}

/* Queries that bring nothing new come less and less often, at most one a second; news resets
 * that. */
static void test_queries_slow_down_without_news(void **state)
{
    struct story *s = *state;
    uint64_t waited_ms = 0;
    for (int i = 0; i < 12; i++) {
        ask(s, 0);
        uint64_t at_ms = route_deadline_ms(&s->route);
        if (at_ms != UINT64_MAX) {
            waited_ms = at_ms - s->now_ms;
            assert_in_range(waited_ms, ROUTE_PAUSE_MS_MIN / 2, ROUTE_PAUSE_MS_MAX);
            tick_at(s, at_ms - 1);
            assert_null(effect(s, ROUTE_DO_QUERY));
            tick_at(s, at_ms);
        }
        assert_non_null(effect(s, ROUTE_DO_QUERY));
        stay_silent(s);
    }
    assert_in_range(waited_ms, ROUTE_PAUSE_MS_MAX / 2, ROUTE_PAUSE_MS_MAX);
    ask(s, 0);
    tick_at(s, route_deadline_ms(&s->route));
    say(s, 0, 1, 1);
    answer(s, 3, 1, 1);
    mislead(s, 0, 1);
    ask(s, 0);
    assert_non_null(effect(s, ROUTE_DO_QUERY));
}

/* There is no such table: whoever waits is told, and nothing is remembered of it. */
static void test_absent_table_fails_those_who_wait(void **state)
{
    struct story *s = *state;
    learn(s, 2);
    mislead(s, 0, 5);
    ask(s, 0);
    step(s, (struct route_event){.type = ROUTE_ANSWERED,
                                 .answer = {.error = WIRE_ERR_OBJECT_NOT_FOUND}});
    assert_non_null(effect(s, ROUTE_DO_FAIL));
    assert_int_equal(effect(s, ROUTE_DO_FAIL)->error, WIRE_ERR_OBJECT_NOT_FOUND);
    assert_int_equal(s->route.count, 0);
    expect_unknown(s, 1);
}

/* A table that is just being created is asked for again. */
static void test_busy_creating_is_asked_again(void **state)
{
    struct story *s = *state;
    ask(s, 0);
    step(s,
         (struct route_event){.type = ROUTE_ANSWERED, .answer = {.error = WIRE_ERR_BUSY_CREATING}});
    assert_non_null(effect(s, ROUTE_DO_WAKE));
    assert_null(effect(s, ROUTE_DO_FAIL));
    ask(s, 0);
    tick_at(s, route_deadline_ms(&s->route));
    assert_non_null(effect(s, ROUTE_DO_QUERY));
}

/* Absurd answers are counted and change nothing. */
static void test_absurd_answers_are_not_believed(void **state)
{
    struct story *s = *state;
    static const struct {
        int32_t app_id;
        uint32_t count, index;
    } absurd[] = {{0, 4, 0}, {-1, 4, 0}, {3, 0, 0}, {3, ROUTE_PARTITIONS_MAX + 1, 0}, {3, 4, 4}};
    learn(s, 2);
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        mislead(s, 0, 5);
        ask(s, 0);
        if (effect(s, ROUTE_DO_QUERY) == NULL) tick_at(s, route_deadline_ms(&s->route));
        s->partitions[0] = (struct route_answer_partition){absurd[i].index, 9, server(9)};
        answer(s, absurd[i].app_id, absurd[i].count, 1);
        expect_at(s, 0, 0, 1);
    }
    assert_int_equal(s->route.answers_bad, 5);
}

/* A partition without a primary is waited for; those beside it are not. */
static void test_no_primary_is_waited_for(void **state)
{
    struct story *s = *state;
    learn(s, 2);
    mislead(s, 1, 5);
    ask(s, 1);
    s->partitions[0] = (struct route_answer_partition){1, 6, server(0)};
    answer(s, 3, 2, 1);
    expect_unknown(s, 1);
    expect_at(s, 0, 0, 1);
    ask(s, 1);
    tick_at(s, route_deadline_ms(&s->route));
    s->partitions[0] = (struct route_answer_partition){1, 7, server(2)};
    answer(s, 3, 2, 1);
    expect_at(s, 1, 1, 2);
}

/* ---- Counts ---------------------------------------------------------------------------------- */

/* During a split the count has doubled; a child that is not ready is its parent's. When it has a
 * ballot of its own it serves itself. */
static void test_split_goes_to_the_parent_until_the_child_is_ready(void **state)
{
    struct story *s = *state;
    learn(s, 2);
    step(s, (struct route_event){
                .type = ROUTE_MISLED, .partition_index = 1, .ballot = 5, .forgets_count = true});
    expect_unknown(s, 0); /* The whole table is in doubt. */
    ask(s, 1);
    assert_int_equal(effect(s, ROUTE_DO_QUERY)->index_count, 0);

    say(s, 0, 5, 1);
    say(s, 1, 5, 2);
    say(s, 2, -1, 0);
    say(s, 3, -1, 0);
    answer(s, 3, 4, 4);
    expect_at(s, 1, 1, 2);
    expect_at(s, 3, 1, 2);

    mislead(s, 1, 5);
    ask(s, 3);
    const struct route_effect *query = effect(s, ROUTE_DO_QUERY);
    assert_int_equal(query->index_count, 2); /* Parent and child. */
    s->partitions[0] = (struct route_answer_partition){1, 6, server(2)};
    s->partitions[1] = (struct route_answer_partition){3, 6, server(4)};
    answer(s, 3, 4, 2);
    expect_at(s, 3, 3, 4);
    expect_at(s, 1, 1, 2);
    expect_at(s, 2, 0, 1); /* Still its parent's. */
}

/* A split that was taken back halves the count; the parents stay as they were. */
static void test_cancelled_split_keeps_the_parents(void **state)
{
    struct story *s = *state;
    struct route_target target;
    learn(s, 4);
    mislead(s, 3, 5);
    ask(s, 3);
    answer(s, 3, 2, 0);
    assert_int_equal(s->route.count, 2);
    expect_at(s, 1, 1, 2);
    assert_int_equal(route_find(&s->route, 3, &target), E_NOTFOUND);
}

/* Dropped and created again under the same name: another table, whose ballots begin anew. */
static void test_new_table_under_the_old_name(void **state)
{
    struct story *s = *state;
    struct route_target target;
    learn(s, 2);
    mislead(s, 0, 5);
    ask(s, 0);
    say(s, 0, 1, 8);
    say(s, 1, 1, 9);
    answer(s, 4, 2, 2);
    expect_at(s, 0, 0, 8);
    expect_at(s, 1, 1, 9);
    assert_int_equal(route_find(&s->route, 0, &target), 0);
    assert_int_equal(target.app_id, 4);
}

/* More partitions in trouble than one query lists: all are asked for. */
static void test_much_trouble_asks_for_all(void **state)
{
    struct story *s = *state;
    learn(s, COUNT_MAX);
    mislead(s, 0, 5);
    ask(s, 0);
    stay_silent(s); /* So that the next query has to wait, and more trouble gathers. */
    for (uint32_t i = 0; i < ROUTE_QUERY_MAX + 1; i++) {
        mislead(s, i, 5);
        ask(s, i);
    }
    tick_at(s, route_deadline_ms(&s->route));
    assert_non_null(effect(s, ROUTE_DO_QUERY));
    assert_int_equal(effect(s, ROUTE_DO_QUERY)->index_count, 0);
}

/* No memory for an answer is as no answer. */
static void test_no_memory_is_as_no_answer(void **state)
{
    struct story *s = *state;
    ask(s, 0);
    say(s, 0, 1, 1);
    mem_fail_nth(1);
    answer(s, 3, 1, 1);
    assert_true(mem_has_failed());
    mem_fail_nth(0);
    assert_non_null(effect(s, ROUTE_DO_WAKE));
    expect_unknown(s, 0);
}

/* Errors mean what docs/routing.md, R11 and R12, says. */
static void test_errors_are_judged(void **state)
{
    (void)state;
    static const struct {
        enum wire_error error;
        enum route_verdict verdict;
    } table[] = {
        {WIRE_ERR_TIMEOUT, ROUTE_REFRESH},
        {WIRE_ERR_OBJECT_NOT_FOUND, ROUTE_REFRESH},
        {WIRE_ERR_INVALID_STATE, ROUTE_REFRESH},
        {WIRE_ERR_INACTIVE_STATE, ROUTE_REFRESH},
        {WIRE_ERR_PARENT_PARTITION_MISUSED, ROUTE_FORGET},
        {WIRE_ERR_NOT_ENOUGH_MEMBER, ROUTE_RETRY},
        {WIRE_ERR_CAPACITY_EXCEEDED, ROUTE_RETRY},
        {WIRE_ERR_SPLITTING, ROUTE_RETRY},
        {WIRE_ERR_BUSY, ROUTE_FINAL},
        {WIRE_ERR_DISK_INSUFFICIENT, ROUTE_FINAL},
        {WIRE_ERR_HANDLER_NOT_FOUND, ROUTE_FINAL},
        {WIRE_ERR_APP_NOT_EXIST, ROUTE_FINAL},
        {WIRE_ERR_OPERATION_DISABLED, ROUTE_FINAL},
        {WIRE_ERR_INVALID_DATA, ROUTE_FINAL},
        {WIRE_ERR_ACL_DENY, ROUTE_FINAL},
        {WIRE_ERR_REPLICATION_FAILURE, ROUTE_REFRESH},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(route_judge(table[i].error), table[i].verdict);
    assert_true(route_outcome_is_unknown(WIRE_ERR_TIMEOUT));
    assert_false(route_outcome_is_unknown(WIRE_ERR_INVALID_STATE));
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* A server that says nothing: all it has is asked for before it is used again, and what waits for it at once. */
static void test_doubted_server_is_not_used(void **state)
{
    struct story *s = *state;
    ask(s, 0);
    for (uint32_t i = 0; i < 4; i++) say(s, i, 5, 1 + i % 2);
    answer(s, 3, 4, 4);
    s->now_ms += 10000;
    step(s, (struct route_event){.type = ROUTE_DOUBTED, .partition_index = 2});
    const struct route_effect *query = effect(s, ROUTE_DO_QUERY);
    assert_non_null(query);
    assert_int_equal(query->index_count, 1);
    assert_int_equal(query->indices[0], 2);
    expect_unknown(s, 0); /* The same server's. */
    expect_at(s, 1, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_first_call_asks_for_all),
        STORY(test_hash_chooses_the_partition),
        STORY(test_denied_partition_is_asked_for_alone),
        STORY(test_older_ballot_is_ignored),
        STORY(test_late_trouble_does_not_spoil_news),
        STORY(test_silent_metas_leave_the_old_route),
        STORY(test_queries_slow_down_without_news),
        STORY(test_absent_table_fails_those_who_wait),
        STORY(test_busy_creating_is_asked_again),
        STORY(test_absurd_answers_are_not_believed),
        STORY(test_no_primary_is_waited_for),
        STORY(test_split_goes_to_the_parent_until_the_child_is_ready),
        STORY(test_cancelled_split_keeps_the_parents),
        STORY(test_new_table_under_the_old_name),
        STORY(test_much_trouble_asks_for_all),
        STORY(test_no_memory_is_as_no_answer),
        STORY(test_errors_are_judged),
        STORY(test_doubted_server_is_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
