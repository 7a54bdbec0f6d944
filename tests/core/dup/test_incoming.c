/* tests/core/dup/test_incoming.c: what the receiving side knows of its sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/dup/incoming.h"

static int heard(struct dup_incoming *in, int32_t cluster, int32_t app, int32_t partition,
                 uint64_t decree, uint64_t ms)
{
    return dup_incoming_heard(in, &(struct dup_source){cluster, app, partition},
                              &(struct dup_position){decree, 1000 * decree, ms, 4});
}

static const struct dup_position *find(const struct dup_incoming *in, int32_t cluster, int32_t app,
                                       int32_t partition)
{
    for (uint32_t i = 0; i < in->count; i++) {
        const struct dup_source *s = &in->rows[i].source;
        if (s->cluster_id == cluster && s->app_id == app && s->partition_index == partition)
            return &in->rows[i].position;
    }
    return NULL;
}

/* Each source is known by all three of its names, and the rows are in their order. */
static void test_sources_are_told_apart(void **state)
{
    (void)state;
    struct dup_incoming in = {0};
    const int32_t names[][3] = {{2, 1, 1}, {1, 2, 1}, {1, 1, 2}, {1, 1, 1}, {2, 1, 0}, {1, 2, 0}};
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(heard(&in, names[i][0], names[i][1], names[i][2], 10 + i, i), 0);
    assert_int_equal(in.count, 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(find(&in, names[i][0], names[i][1], names[i][2])->decree, 10 + i);
    assert_int_equal(in.rows[0].position.decree, 13);
    assert_int_equal(in.rows[5].position.decree, 10);
    dup_incoming_fini(&in);
}

/* What is sent again after a doubt does not move a source back, but it was heard. */
static void test_repeats_do_not_go_back(void **state)
{
    (void)state;
    struct dup_incoming in = {0};
    assert_int_equal(heard(&in, 1, 1, 0, 9, 100), 0);
    assert_int_equal(heard(&in, 1, 1, 0, 4, 200), 0);
    assert_int_equal(in.count, 1);
    assert_int_equal(in.rows[0].position.decree, 9);
    assert_int_equal(in.rows[0].position.closed_timestamp_us, 9000);
    assert_int_equal(in.rows[0].position.heard_ms, 200);
    dup_incoming_fini(&in);
}

/* Invented sources push out what was heard of longest ago, and memory stays bounded. */
static void test_oldest_makes_room(void **state)
{
    (void)state;
    struct dup_incoming in = {0};
    for (int32_t i = 0; i < DUP_INCOMING_MAX; i++)
        assert_int_equal(heard(&in, 1, 7, i, 1, 1000 + (uint64_t)i), 0);
    assert_int_equal(heard(&in, 1, 7, 0, 2, 9000), 0); /* The oldest speaks up. */
    assert_int_equal(heard(&in, 2, 7, 0, 1, 9001), 0); /* Behind all others. */
    assert_int_equal(heard(&in, 1, 6, 0, 1, 9002), 0); /* Before them. */
    assert_int_equal(in.count, DUP_INCOMING_MAX);
    assert_int_equal(in.capacity, DUP_INCOMING_MAX);
    assert_non_null(find(&in, 1, 7, 0));
    assert_null(find(&in, 1, 7, 1));
    assert_null(find(&in, 1, 7, 2));
    assert_non_null(find(&in, 1, 7, 3));
    assert_non_null(find(&in, 2, 7, 0));
    assert_int_equal(in.rows[0].source.app_id, 6);
    dup_incoming_fini(&in);
}

static int heard_of(struct dup_incoming *in, int32_t app, int32_t partition, uint32_t count,
                    uint64_t closed_us, uint64_t ms)
{
    return dup_incoming_heard(in, &(struct dup_source){2, app, partition},
                              &(struct dup_position){1, closed_us, ms, count});
}

static uint64_t closed_us(const struct dup_incoming *in, uint32_t index, uint32_t count,
                          uint64_t now_ms)
{
    return dup_incoming_closed_us(in, &(struct dup_incoming_self){index, count, 0, now_ms});
}

/* All partitions of a source that may send here have been heard, or nothing is known. */
static void test_closed_is_of_all_senders(void **state)
{
    (void)state;
    struct dup_incoming in = {0};
    assert_int_equal(closed_us(&in, 0, 4, 10), UINT64_MAX);
    assert_int_equal(heard_of(&in, 1, 1, 8, 700, 10), 0);
    assert_int_equal(closed_us(&in, 1, 4, 10), 0); /* Partition 5 sends here, too. */
    assert_int_equal(heard_of(&in, 1, 5, 8, 500, 11), 0);
    assert_int_equal(closed_us(&in, 1, 4, 12), 500);
    assert_int_equal(heard_of(&in, 1, 2, 8, 3, 12), 0);
    assert_int_equal(closed_us(&in, 1, 4, 12), 500); /* Not from partition 2. */
    assert_int_equal(closed_us(&in, 9, 16, 12), 700);
    assert_int_equal(closed_us(&in, 3, 16, 12), 0);
    assert_int_equal(heard_of(&in, 7, 1, 2, 400, 13), 0);
    assert_int_equal(closed_us(&in, 1, 4, 13), 400); /* Of several tables the earliest counts. */
    assert_int_equal(heard_of(&in, 7, 1, 0, 400, 14), 0);
    assert_int_equal(closed_us(&in, 1, 4, 14), 0); /* An older version doesn't say how many. */
    dup_incoming_fini(&in);
}

/* Who is silent for a week does not count, and nobody is waited for any longer. */
static void test_silence_ends(void **state)
{
    (void)state;
    struct dup_incoming in = {0};
    const uint64_t week = DUP_INCOMING_SILENT_MS;
    assert_int_equal(heard_of(&in, 1, 1, 8, 700, 10), 0);
    assert_int_equal(closed_us(&in, 1, 4, week), 0);
    assert_int_equal(closed_us(&in, 1, 4, week + 1), 700);
    assert_int_equal(heard_of(&in, 1, 5, 8, 500, week), 0);
    assert_int_equal(closed_us(&in, 1, 4, week + 10), 500);
    assert_int_equal(closed_us(&in, 1, 4, 2 * week + 1), UINT64_MAX);
    dup_incoming_fini(&in);
}

/* A table that was made anew with fewer partitions is as it says now. */
static void test_last_count_counts(void **state)
{
    (void)state;
    struct dup_incoming in = {0};
    assert_int_equal(heard_of(&in, 1, 1, 8, 700, 10), 0);
    assert_int_equal(heard_of(&in, 1, 0, 2, 600, 11), 0);
    assert_int_equal(closed_us(&in, 1, 4, 12), 700);
    assert_int_equal(closed_us(&in, 0, 4, 12), 600);
    assert_true(dup_incoming_has(&in, 2));
    assert_false(dup_incoming_has(&in, 1));
    dup_incoming_fini(&in);
}

/* Without memory a new source is not noted; the known ones still are. */
static void test_no_memory(void **state)
{
    (void)state;
    struct dup_incoming in = {0};
    mem_fail_nth(1);
    assert_int_equal(heard(&in, 1, 1, 0, 1, 1), E_NOMEM);
    int32_t count = 0;
    do assert_int_equal(heard(&in, 1, 1, count, 1, 1), 0);
    while ((size_t)++count < in.capacity); /* The next one needs memory. */
    mem_fail_nth(1);
    assert_int_equal(heard(&in, 1, 1, count, 1, 1), E_NOMEM);
    assert_int_equal(heard(&in, 1, 1, 7, 5, 2), 0);
    assert_int_equal(in.count, count);
    assert_int_equal(find(&in, 1, 1, 7)->decree, 5);
    mem_fail_nth(0);
    dup_incoming_fini(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources_are_told_apart),
        cmocka_unit_test(test_repeats_do_not_go_back),
        cmocka_unit_test(test_oldest_makes_room),
        cmocka_unit_test(test_closed_is_of_all_senders),
        cmocka_unit_test(test_silence_ends),
        cmocka_unit_test(test_last_count_counts),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
