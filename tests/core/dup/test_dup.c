/* tests/core/dup/test_dup.c: one stream, told as stories. What must hold after every step (confirmed means
 * applied, lag is exact) is checked inside world_step(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dup_world.h"

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    world_init(w, 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

/* A stream that is up to date and silent gets one write: the request leaves in the same turn as the
 * commit, and no timer is needed for it, nor for the confirmation. */
static void test_last_write_leaves_at_once(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    assert_true(world_answer_route(w));
    assert_true(dup_deadline_ms(&w->dup) == UINT64_MAX);

    world_put(w, 7, 1);
    assert_true(world_answer_read(w)); /* The shell answers from the tail in the same turn. */
    assert_int_equal(w->pending_count, 1);
    assert_int_equal(dup_lag_now(&w->dup, w->now_ms).mutations, 1);

    assert_true(world_answer_request(w, 0, 0));
    assert_int_equal(w->dup.confirmed, 1);
    assert_int_equal(dup_lag_now(&w->dup, w->now_ms).mutations, 0);
    assert_int_equal(w->announced, 1);
}

/* A mutation whose keys fall to several remote partitions is confirmed when the last of them has it. */
static void test_confirmed_needs_every_lane(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    assert_true(world_answer_route(w));
    const int keys[] = {1, 2, 3, 4, 5, 6, 7, 8};
    world_put_many(w, keys, 8);
    assert_true(world_answer_read(w));
    assert_true(w->pending_count > 1);
    while (w->pending_count > 1) {
        assert_true(world_answer_request(w, 0, 0));
        assert_int_equal(w->dup.confirmed, 0);
    }
    assert_true(world_answer_request(w, 0, 0));
    assert_int_equal(w->dup.confirmed, 1);
}

/* What came from the remote does not go back there, and is confirmed all the same: the position may not
 * stop before a skipped mutation, even when it is the last. */
static void test_own_writes_do_not_return(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    assert_true(world_answer_route(w));
    world_put(w, 1, 1);
    world_put(w, 2, 2);
    world_settle(w);
    assert_int_equal(w->sends, 1);
    assert_int_equal(w->dup.confirmed, 2);
}

/* The remote is away. The lag grows with the clock, nothing is lost, and when it is back everything
 * arrives without anybody's help. */
static void test_lag_grows_while_cut(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    w->is_unreachable = true;
    world_put(w, 1, 1);
    assert_true(world_answer_route(w));
    w->now_ms += 60000;
    assert_int_equal(dup_lag_now(&w->dup, w->now_ms).ms, 60000);
    world_step(w, (struct dup_event){.type = DUP_TICKED});
    assert_true(dup_reason(&w->dup)[0] != '\0');

    w->is_unreachable = false;
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 1);
    assert_int_equal(dup_lag_now(&w->dup, w->now_ms).ms, 0);
    assert_string_equal(dup_reason(&w->dup), "");
}

/* Paused, until the log was given up and a snapshot is needed: resumed, nothing counts as confirmed, but the
 * lag is as old as the oldest write that was missed, and no wall clock is asked. */
static void test_lag_goes_on_over_a_pause(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    world_put(w, 1, 1);
    world_settle(w);
    world_step(w, (struct dup_event){.type = DUP_STOPPED});
    world_put(w, 2, 1);
    w->now_ms += 60000;
    world_put(w, 3, 1);
    assert_int_equal(dup_lag_now(&w->dup, w->now_ms).ms, 60000);

    struct dup_event event = {.type = DUP_STARTED};
    event.started.committed = w->committed;
    event.started.needs_snapshot = true;
    event.started.age_ms = 7; /* What is left in memory, as its timestamp says. */
    world_step(w, event);
    struct dup_lag_view lag = dup_lag_now(&w->dup, w->now_ms);
    assert_int_equal(lag.mutations, 3);
    assert_int_equal(lag.ms, 60000);
}

/* Resumed, a stream goes on from what it knows to be confirmed; but the log stays from where a restart would
 * begin, until that has been saved too. */
static void test_resumed_stream_holds_what_is_not_saved(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    for (int key = 1; key < 4; key++) world_put(w, key, 1);
    world_settle(w);
    struct dup_event event = {.type = DUP_STARTED};
    event.started.committed = event.started.confirmed = 3;
    event.started.saved = 1;
    world_step(w, (struct dup_event){.type = DUP_STOPPED});
    world_step(w, event);
    assert_int_equal(w->dup.confirmed, 3);
    assert_int_equal(dup_hold_decree(&w->dup), 1);
    world_settle(w);
    assert_int_equal(dup_hold_decree(&w->dup), 3);
}

/* The remote refuses the records of one key. Everything else flows; the position stops before the refused
 * one, and moves on when the remote changes its mind. */
static void test_refused_record_blocks_no_other(void **state)
{
    struct world *w = *state;
    w->refused_key = 3;
    world_start(w, 0, false);
    assert_true(world_answer_route(w));
    for (int key = 1; key < 10; key++) world_put(w, key, 1);
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 2);
    assert_int_equal(w->dup.parked_count, 1);
    assert_true(w->remote[9] != 0);
    assert_true(dup_reason(&w->dup)[0] != '\0');

    w->refused_key = -1;
    w->now_ms += DUP_PARKED_RETRY_MS;
    world_step(w, (struct dup_event){.type = DUP_TICKED});
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 9);
    assert_string_equal(dup_reason(&w->dup), "");
}

/* A record was refused, or a request failed, and still waits. A question that goes unanswered and is then
 * answered is another matter: why the position stands still is told all the while. */
static void test_answered_question_hides_no_failure(void **state)
{
    static const struct {
        int rc;
        const char *says;
    } failures[] = {{E_REFUSED, "record refused"}, {E_BUSY, "sending"}};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct world *w = *state;
        world_start(w, w->committed, false);
        (void)world_answer_route(w);
        world_put(w, 1, 1);
        assert_true(world_answer_read(w));
        assert_true(world_answer_request(w, 0, failures[i].rc));
        assert_non_null(strstr(dup_reason(&w->dup), failures[i].says));
        w->is_unreachable = true;
        world_ask(w, i + 1);
        assert_true(world_answer_route(w));
        assert_non_null(strstr(dup_reason(&w->dup), failures[i].says));
        w->is_unreachable = false;
        w->now_ms = w->dup.route_at_ms;
        world_step(w, (struct dup_event){.type = DUP_TICKED});
        assert_true(world_answer_route(w));
        assert_int_equal(w->dup.vouched, i + 1);
        assert_non_null(strstr(dup_reason(&w->dup), failures[i].says));
        w->now_ms += DUP_PARKED_RETRY_MS;
        world_settle(w);
        assert_int_equal(w->dup.confirmed, w->committed);
        assert_string_equal(dup_reason(&w->dup), "");
    }
}

/* A request failed, and so did the search for the way that this began: when the request has arrived after all,
 * nothing is wrong any more, and nobody asks. */
static void test_arrived_needs_no_reason(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    assert_true(world_answer_route(w));
    world_put(w, 1, 1);
    assert_true(world_answer_read(w));
    w->is_unreachable = true;
    assert_true(world_answer_request(w, 0, E_UNREACHABLE));
    assert_true(world_answer_route(w));
    assert_true(dup_reason(&w->dup)[0] != '\0');
    w->is_unreachable = false;
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 1);
    assert_string_equal(dup_reason(&w->dup), "");
}

/* Another remote answers: nothing that was sent to the one before waits any more. */
static void test_another_remote_is_the_reason(void **state)
{
    struct world *w = *state;
    w->refused_key = 1;
    world_start(w, 0, false);
    world_put(w, 1, 1);
    world_settle(w);
    assert_non_null(strstr(dup_reason(&w->dup), "refused"));
    w->is_replaced = true;
    world_ask(w, 1);
    assert_true(world_answer_route(w));
    assert_non_null(strstr(dup_reason(&w->dup), "another"));
}

/* Another remote answers: what is under way is forgotten, nothing more is sent, the lag shows what comes. With
 * the right one again, all of it arrives. */
static void test_another_remote_gets_nothing(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    world_put(w, 1, 1);
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 1);
    struct dup_event event = {.type = DUP_REPLACED, .epoch = w->dup.epoch};
    event.failed.rc = E_STATE;
    event.failed.why = "another";
    world_step(w, event);
    assert_int_equal(w->dup.state, DUP_CONNECTING);
    assert_non_null(strstr(dup_reason(&w->dup), "another"));
    uint64_t sends = w->sends;
    world_put(w, 2, 1);
    assert_int_equal(w->sends, sends);
    assert_int_equal(dup_lag_now(&w->dup, w->now_ms).mutations, 1);
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 2);
    assert_int_equal(w->dup.state, DUP_LIVE);
}

/* A stream with nothing to send is asked whether its remote is still the same: it asks at once, and not
 * again; whoever asks while that is under way shares the next answer. */
static void test_asked_who_is_there(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    world_put(w, 1, 1);
    world_settle(w);
    assert_int_equal(w->routes, 1);
    world_ask(w, 1);
    assert_int_equal(w->routes, 2);
    assert_int_equal(w->dup.vouched, 0);
    for (uint64_t question = 2; question <= 5; question++) world_ask(w, question);
    assert_int_equal(w->routes, 2);
    assert_true(world_answer_route(w)); /* It was asked before the others were. */
    assert_int_equal(w->dup.vouched, 1);
    assert_int_equal(w->routes, 3);
    assert_true(world_answer_route(w));
    assert_int_equal(w->dup.vouched, 5);
    assert_int_equal(w->routes, 3);
    assert_true(dup_deadline_ms(&w->dup) == UINT64_MAX);
    assert_int_equal(w->dup.confirmed, 1);
}

/* Another remote answers the question: that is no answer, and an idle stream says so. */
static void test_question_finds_another_remote(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    world_put(w, 1, 1);
    world_settle(w);
    w->is_replaced = true;
    world_ask(w, 1);
    for (int i = 0; i < 20; i++) {
        assert_true(world_answer_route(w));
        assert_int_equal(w->dup.vouched, 0);
        assert_int_equal(w->dup.state, DUP_CONNECTING);
        assert_non_null(strstr(dup_reason(&w->dup), "another"));
        uint64_t deadline = dup_deadline_ms(&w->dup);
        assert_true(deadline > w->now_ms && deadline <= w->now_ms + DUP_RETRY_MS_MAX);
        if (i == 19)
            assert_int_equal(deadline, w->now_ms + DUP_RETRY_MS_MAX); /* Ever more slowly. */
        w->now_ms = deadline;
        world_step(w, (struct dup_event){.type = DUP_TICKED});
    }
    w->is_replaced = false;
    world_settle(w);
    assert_int_equal(w->dup.vouched, 1);
    assert_int_equal(w->dup.state, DUP_LIVE);
}

/* Nobody says who is there, but the way is known: what is written goes that way at once, and the question
 * is asked again until it is answered. */
static void test_question_delays_no_write(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    world_settle(w);
    w->is_unreachable = true;
    world_ask(w, 1);
    assert_true(world_answer_route(w));
    assert_non_null(strstr(dup_reason(&w->dup), "cannot be reached"));
    world_put(w, 1, 1);
    assert_true(world_answer_read(w));
    assert_true(world_answer_request(w, 0, 0));
    assert_int_equal(w->dup.confirmed, 1);
    assert_int_equal(w->dup.vouched, 0);
    w->is_unreachable = false;
    world_settle(w);
    assert_int_equal(w->dup.vouched, 1);
    assert_string_equal(dup_reason(&w->dup), "");
}

/* A stream that begins while somebody waits owes the answer as well: the way that it finds is one. */
static void test_new_stream_owes_the_answer(void **state)
{
    struct world *w = *state;
    struct dup_event event = {.type = DUP_STARTED};
    event.started.question = 3;
    world_step(w, event);
    assert_int_equal(w->dup.vouched, 0);
    assert_int_equal(w->dup.asked, 3);
    assert_true(world_answer_route(w));
    assert_int_equal(w->dup.vouched, 3);
    assert_false(world_answer_route(w));
}

/* A paused stream sends nothing, but says whether what it has sent is still there; one that begins anew
 * has the question of before to answer. */
static void test_paused_stream_answers_too(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    world_put(w, 1, 1);
    world_settle(w);
    world_step(w, (struct dup_event){.type = DUP_STOPPED});
    world_ask(w, 1);
    assert_true(world_answer_route(w));
    assert_int_equal(w->dup.vouched, 1);
    assert_int_equal(w->dup.state, DUP_PAUSED);
    world_put(w, 2, 1);
    assert_false(world_answer_read(w));
    world_ask(w, 2);
    world_start(w, 1, false);
    assert_int_equal(w->dup.vouched, 1);
    world_settle(w);
    assert_int_equal(w->dup.vouched, 2);
    assert_int_equal(w->dup.confirmed, 2);
}

/* A refused connection is no other remote: what was read stays read. */
static void test_refused_connection_forgets_nothing(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    world_put(w, 1, 1);
    world_settle(w);
    uint64_t epoch = w->dup.epoch;
    struct dup_event event = {.type = DUP_ROUTE_FAILED, .epoch = epoch};
    event.failed.rc = E_REFUSED;
    world_step(w, event);
    assert_int_equal(w->dup.epoch, epoch);
    assert_int_equal(w->dup.state, DUP_LIVE);
}

/* No memory for a request: all that is under way comes again, later, and arrives. */
static void test_send_failed_begins_anew(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    assert_true(world_answer_route(w));
    for (int key = 1; key < 6; key++) world_put(w, key, 1);
    uint64_t epoch = w->dup.epoch;
    world_step(w, (struct dup_event){.type = DUP_SEND_FAILED, .epoch = epoch});
    assert_int_equal(w->dup.epoch, epoch + 1);
    assert_int_equal(w->dup.window_size, 0);
    assert_true(dup_reason(&w->dup)[0] != '\0');
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 5);
}

/* The remote finds a request too large: it comes again in single records. */
static void test_large_request_is_split(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    w->remote_partitions = 1;
    for (int key = 1; key < 6; key++) world_put(w, key, 1);
    assert_true(world_answer_route(w));
    while (w->pending_count == 0 || w->pending[0].op_count == 1)
        if (!world_answer_request(w, 0, 0)) assert_true(world_answer_read(w));
    assert_true(world_answer_request(w, 0, E_LIMIT));
    for (uint32_t i = 0; i < w->pending_count; i++) assert_int_equal(w->pending[i].op_count, 1);
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 5);
}

/* A table with data gets a new duplication: its state goes over as a snapshot, then the log from there;
 * what is written meanwhile is not missed. */
static void test_snapshot_then_log(void **state)
{
    struct world *w = *state;
    for (int key = 0; key < 40; key++) world_put(w, key, 1);
    world_start(w, 0, true);
    assert_true(world_answer_route(w));
    assert_true(world_answer_scan(w)); /* Opened at 40. */
    world_put(w, 50, 1);
    world_put(w, 3, 1);
    assert_int_equal(w->dup.confirmed, 0);
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 42);
    assert_memory_equal(w->remote, w->source, sizeof w->remote);
}

/* A partition in which nothing was ever written has nothing to send, but the metas wait to hear that its
 * snapshot is over there: they are told, once. */
static void test_empty_snapshot_is_told(void **state)
{
    struct world *w = *state;
    world_start(w, 0, true);
    world_settle(w);
    assert_int_equal(w->dup.state, DUP_LIVE);
    assert_int_equal(w->saves, 1);
    assert_false(w->dup.owes_snapshot);
}

/* The log lost what the remote needs: the stream says "resync needed" and repairs itself. */
static void test_lost_log_is_repaired(void **state)
{
    struct world *w = *state;
    for (int key = 0; key < 20; key++) world_put(w, key, 1);
    w->log_begin = 10;
    for (int key = 0; key < 3; key++) w->remote[key] = w->source[key];
    world_start(w, 3, false);
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 20);
    assert_memory_equal(w->remote, w->source, sizeof w->remote);
}

/* The remote doubles its partitions while requests are under way; every op still goes to the partition of
 * its key (checked by the remote), and none is lost. */
static void test_remote_splits(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    assert_true(world_answer_route(w));
    for (int key = 0; key < 30; key++) world_put(w, key, 1);
    assert_true(world_answer_read(w));
    w->remote_partitions = 8;
    assert_true(world_answer_request(w, 0, E_STATE));
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 30);
    assert_memory_equal(w->remote, w->source, sizeof w->remote);
}

/* The remote has split, and there is no memory for as many lanes: what is committed meanwhile goes nowhere, for
 * the old partitions are none any more. It arrives when the way is found again. */
static void test_remote_splits_without_memory(void **state)
{
    struct world *w = *state;
    world_start(w, 0, false);
    for (int key = 0; key < 10; key++) world_put(w, key, 1);
    world_settle(w);
    w->remote_partitions = 8;
    world_ask(w, 1);
    mem_fail_nth(1);
    assert_true(world_answer_route(w));
    assert_int_equal(mem_has_failed(), 1);
    mem_fail_nth(0);
    assert_false(w->dup.is_routed);
    assert_int_equal(w->dup.state, DUP_CONNECTING);
    assert_non_null(strstr(dup_reason(&w->dup), err_text(E_NOMEM)));
    uint64_t sends = w->sends;
    for (int key = 10; key < 30; key++) world_put(w, key, 1);
    assert_false(world_answer_read(w));
    assert_int_equal(w->sends, sends);
    world_settle(w);
    assert_int_equal(w->dup.lane_count, 8);
    assert_int_equal(w->dup.confirmed, 30);
    assert_string_equal(dup_reason(&w->dup), "");
    assert_memory_equal(w->remote, w->source, sizeof w->remote);
}

/* A remote with more partitions than one step has effects for: the step says that there is more to do. */
static void test_many_lanes_take_several_steps(void **state)
{
    struct world *w = *state;
    w->remote_partitions = 256;
    world_start(w, 0, false);
    int keys[WORLD_KEYS];
    for (int key = 0; key < WORLD_KEYS; key++) keys[key] = key;
    for (int i = 0; i < 20; i++) world_put_many(w, keys, WORLD_KEYS);
    world_settle(w);
    assert_int_equal(w->dup.confirmed, 20);
    assert_memory_equal(w->remote, w->source, sizeof w->remote);
}

/* Any order of commits, answers, failures, route changes and pauses: when all is well again, the remote
 * has everything. */
static void random_life(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    world_init(w, seed);
    world_start(w, 0, prng_percent(&w->prng, 30));
    uint64_t questions = 0;
    for (int step = 0; step < 400; step++) {
        switch (prng_below(&w->prng, 12)) {
        case 0:
        case 1:
        case 2:
            world_put(w, (int)prng_below(&w->prng, WORLD_KEYS), prng_percent(&w->prng, 20) ? 2 : 1);
            break;
        case 3: (void)world_answer_route(w); break;
        case 4:
        case 5: (void)world_answer_read(w); break;
        case 6: (void)world_answer_scan(w); break;
        case 7:
        case 8:
            (void)world_answer_request(w, (uint32_t)prng_below(&w->prng, w->pending_count + 1),
                                       prng_percent(&w->prng, 40) ? E_CLOSED : 0);
            break;
        case 9:
            w->now_ms += prng_below(&w->prng, 200);
            world_step(w, (struct dup_event){.type = DUP_TICKED});
            break;
        case 10:
            if (prng_percent(&w->prng, 30)) world_ask(w, ++questions);
            if (prng_percent(&w->prng, 10)) w->remote_partitions = 1U << prng_below(&w->prng, 4);
            break;
        default:
            if (prng_percent(&w->prng, 90)) break;
            world_step(w, (struct dup_event){.type = DUP_STOPPED});
            world_start(w, w->dup.confirmed, false);
            break;
        }
    }
    world_settle(w);
    if (w->dup.confirmed != w->committed)
        print_error("seed %llu: confirmed %llu of %llu in state %s\n", (unsigned long long)seed,
                    (unsigned long long)w->dup.confirmed, (unsigned long long)w->committed,
                    dup_state_name(w->dup.state));
    assert_int_equal(w->dup.confirmed, w->committed);
    assert_int_equal(w->dup.vouched, questions);
    assert_memory_equal(w->remote, w->source, sizeof w->remote);
    world_fini(w);
    free(w);
}

static void test_any_order_converges(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) random_life(seed);
}

/* The nth allocation fails, for every n: the stream asks again by itself and everything arrives. */
static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct world *w = calloc(1, sizeof *w);
        assert_non_null(w);
        world_init(w, 5);
        world_start(w, 0, false);
        for (int key = 0; key < 40; key++) world_put(w, key, 1);
        mem_fail_nth(nth);
        (void)world_answer_route(w);
        (void)world_answer_read(w);
        bool is_many = w->pending_count > 0 && w->pending[0].op_count > 1;
        (void)world_answer_request(w, 0, is_many ? E_LIMIT : E_CLOSED);
        bool has_failed = mem_has_failed() != 0;
        mem_fail_nth(0);
        world_settle(w);
        assert_int_equal(w->dup.confirmed, 40);
        world_fini(w);
        free(w);
        if (!has_failed) break;
    }
}

/* Many commits while the link is cut: samples are merged, and the lag is never stated too small. */
static void test_merged_samples_never_understate(void **state)
{
    (void)state;
    struct dup_lag *l = calloc(1, sizeof *l);
    assert_non_null(l);
    dup_lag_start(l, 0, 0, 0, 0, 0);
    for (uint64_t d = 1; d <= 5000; d++) dup_lag_committed(l, d, 10, d * 3);
    for (uint64_t d = 1; d < 5000; d++) {
        dup_lag_confirmed(l, d, 10);
        uint64_t truth = 20000 - (d + 1) * 3;
        assert_true(dup_lag_view(l, 20000).ms >= truth);
        assert_int_equal(dup_lag_view(l, 20000).bytes, (5000 - d) * 10);
    }
    dup_lag_confirmed(l, 5000, 10);
    assert_int_equal(dup_lag_view(l, 20000).ms, 0);
    free(l);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_last_write_leaves_at_once),
        STORY(test_confirmed_needs_every_lane),
        STORY(test_own_writes_do_not_return),
        STORY(test_lag_grows_while_cut),
        STORY(test_lag_goes_on_over_a_pause),
        STORY(test_resumed_stream_holds_what_is_not_saved),
        STORY(test_refused_record_blocks_no_other),
        STORY(test_large_request_is_split),
        STORY(test_snapshot_then_log),
        STORY(test_empty_snapshot_is_told),
        STORY(test_lost_log_is_repaired),
        STORY(test_remote_splits),
        STORY(test_many_lanes_take_several_steps),
        STORY(test_remote_splits_without_memory),
        STORY(test_answered_question_hides_no_failure),
        STORY(test_another_remote_is_the_reason),
        STORY(test_arrived_needs_no_reason),
        STORY(test_another_remote_gets_nothing),
        STORY(test_asked_who_is_there),
        STORY(test_question_finds_another_remote),
        STORY(test_question_delays_no_write),
        STORY(test_new_stream_owes_the_answer),
        STORY(test_paused_stream_answers_too),
        STORY(test_refused_connection_forgets_nothing),
        STORY(test_send_failed_begins_anew),
        cmocka_unit_test(test_any_order_converges),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_merged_samples_never_understate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
