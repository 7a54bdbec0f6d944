/* tests/core/mlog/test_mlog_space.c: where records lie, and which segment is kept for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "core/mlog/mlog.h"

enum { SEGMENTS = 8 };

struct fixture {
    struct mlog_space space;
    struct mlog_segment segments[SEGMENTS];
    uint64_t count;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    mlog_space_init(&f.space);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    mlog_space_fini(&((struct fixture *)*state)->space);
    return 0;
}

static void segment_push(struct fixture *f)
{
    struct mlog_segment *segment = &f->segments[f->count];
    *segment = (struct mlog_segment){.number = ++f->count};
    mlog_segment_push(&f->space, segment);
}

static struct mlog_partition *part(struct fixture *f, int index)
{
    struct mlog_partition *p;
    assert_int_equal(mlog_partition_get(&f->space, (struct gpid){1, index}, &p), 0);
    return p;
}

/* One record in a block of its own. */
static int write_one(struct fixture *f, int index, uint64_t decree)
{
    struct mlog_partition *p;
    int rc = mlog_partition_get(&f->space, (struct gpid){1, index}, &p);
    if (rc == 0) rc = mlog_space_reserve(&f->space, p, 1, 1);
    if (rc != 0) return rc;
    struct mlog_segment *newest = mlog_segment_newest(&f->space);
    struct mlog_place place = {newest->number, newest->end, newest->end + MLOG_ALIGN};
    mlog_space_add(&f->space, p, decree, p->serial + 1, place, 100);
    mlog_space_grow(&f->space, place.end);
    return 0;
}

static void write_many(struct fixture *f, int index, uint64_t first, uint64_t last)
{
    for (uint64_t decree = first; decree <= last; decree++)
        assert_int_equal(write_one(f, index, decree), 0);
}

static void hold(struct fixture *f, int index, uint64_t durable, uint64_t confirmed)
{
    part(f, index)->durable = durable;
    part(f, index)->confirmed = confirmed;
}

/* ---- What is kept ---- */

static void test_need_of_a_segment(void **state)
{
    struct fixture *f = *state;
    segment_push(f);
    write_many(f, 0, 1, 10);
    write_many(f, 1, 1, 3);
    segment_push(f);
    struct mlog_segment *first = &f->segments[0];

    hold(f, 1, 3, MLOG_NEVER);
    assert_int_equal(mlog_segment_need(first), MLOG_NEED_STORES);
    hold(f, 0, 9, 10);
    assert_int_equal(mlog_segment_need(first), MLOG_NEED_STORES);
    hold(f, 0, 10, 9);
    assert_int_equal(mlog_segment_need(first), MLOG_NEED_SHIPPERS);
    assert_null(mlog_space_freeable(&f->space));
    hold(f, 0, 10, 10);
    assert_int_equal(mlog_segment_need(first), MLOG_NEED_NOTHING);
    assert_ptr_equal(mlog_space_freeable(&f->space), first);
    first->pins = 1;
    assert_null(mlog_space_freeable(&f->space));
    first->pins = 0;
}

static void test_only_the_oldest_and_never_the_newest(void **state)
{
    struct fixture *f = *state;
    segment_push(f);
    write_many(f, 0, 1, 2);
    segment_push(f);
    write_many(f, 1, 1, 2);
    segment_push(f);
    hold(f, 1, 2, MLOG_NEVER);
    assert_null(mlog_space_freeable(&f->space));
    hold(f, 0, 2, MLOG_NEVER);
    mlog_segment_remove(&f->space, mlog_space_freeable(&f->space));
    mlog_segment_remove(&f->space, mlog_space_freeable(&f->space));
    assert_null(mlog_space_freeable(&f->space));
    assert_int_equal(f->space.segment_count, 1);
    assert_int_equal(f->space.size, 0);
}

static void test_movable_past_the_budget(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 4; i++) {
        segment_push(f);
        write_many(f, 0, i * 4 + 1, i * 4 + 4);
    }
    hold(f, 0, 16, 0);
    uint64_t each = 4 * MLOG_ALIGN;
    assert_null(mlog_space_movable(&f->space, 3 * each)); /* The newest doesn't count. */
    assert_ptr_equal(mlog_space_movable(&f->space, 3 * each - 1), &f->segments[0]);
    hold(f, 0, 7, 0); /* The second is kept by the store: the run is one segment. */
    assert_null(mlog_space_movable(&f->space, each));
    hold(f, 0, 16, 0);
    f->segments[0].shares[0].is_moved = true;
    assert_ptr_equal(mlog_space_freeable(&f->space), &f->segments[0]);
}

static void note_partition(void *context, struct mlog_partition *p)
{
    uint64_t *seen = context;
    *seen = *seen * 10 + (uint64_t)p->gpid.partition_index;
}

static void test_flush_is_asked_of_the_oldest_first(void **state)
{
    struct fixture *f = *state;
    segment_push(f);
    write_many(f, 1, 1, 2);
    write_many(f, 2, 1, 2);
    segment_push(f);
    write_many(f, 3, 1, 4);
    segment_push(f);
    write_many(f, 4, 1, 4);
    hold(f, 2, 2, MLOG_NEVER);
    uint64_t seen = 0;
    mlog_space_flush_wanted(&f->space, 12 * MLOG_ALIGN, note_partition, &seen);
    assert_int_equal(seen, 0);
    mlog_space_flush_wanted(&f->space, 11 * MLOG_ALIGN, note_partition, &seen);
    assert_int_equal(seen, 1);
    seen = 0;
    mlog_space_flush_wanted(&f->space, 1, note_partition, &seen);
    assert_int_equal(seen, 13);
}

static void test_sweep_forgets_only_what_is_unknown(void **state)
{
    struct fixture *f = *state;
    segment_push(f);
    for (int i = 0; i < 40; i++) (void)part(f, i);
    write_many(f, 3, 1, 1);
    int owner;
    part(f, 5)->owner = &owner;
    for (int i = 0; i < 40; i++) hold(f, i, MLOG_NEVER, MLOG_NEVER);
    mlog_partition_sweep(&f->space);
    assert_int_equal(f->space.partition_count, 2);
    assert_non_null(mlog_partition_find(&f->space, (struct gpid){1, 3}));
    assert_non_null(mlog_partition_find(&f->space, (struct gpid){1, 5}));
    assert_null(mlog_partition_find(&f->space, (struct gpid){1, 6}));
}

/* ---- Where records lie ---- */

static void span_expect(struct fixture *f, uint64_t decree, uint64_t first, uint64_t segment)
{
    size_t count;
    const struct mlog_span *span = mlog_index_find(&part(f, 0)->index, decree, &count);
    assert_non_null(span);
    assert_int_equal(span->decree, first);
    assert_int_equal(span->segment, segment);
}

static void test_spans(void **state)
{
    struct fixture *f = *state;
    segment_push(f);
    write_many(f, 0, 5, 9);
    segment_push(f);
    write_many(f, 0, 10, 12);
    size_t count;
    assert_null(mlog_index_find(&part(f, 0)->index, 4, &count));
    span_expect(f, 5, 5, 1);
    span_expect(f, 9, 5, 1);
    span_expect(f, 10, 10, 2);
    span_expect(f, 99, 10, 2);
    mlog_index_drop(&part(f, 0)->index, 1);
    assert_null(mlog_index_find(&part(f, 0)->index, 9, &count));
    span_expect(f, 11, 10, 2);
}

/* Decrees that are written again hide the old ones, whole spans and parts of spans. */
static void test_rewind(void **state)
{
    struct fixture *f = *state;
    segment_push(f);
    write_many(f, 0, 1, 9);
    segment_push(f);
    write_many(f, 0, 10, 12);
    write_many(f, 0, 7, 8);
    size_t count;
    const struct mlog_span *span = mlog_index_find(&part(f, 0)->index, 6, &count);
    assert_int_equal(count, 2);
    assert_int_equal(span[0].limit, 7);
    assert_int_equal(span[1].decree, 7);
    assert_int_equal(span[1].serial, 13);
    span_expect(f, 12, 7, 2);
}

/* A lost record makes everything before it doubtful. */
static void test_hole_clears_the_index(void **state)
{
    struct fixture *f = *state;
    segment_push(f);
    write_many(f, 0, 1, 5);
    part(f, 0)->serial += 2;
    write_many(f, 0, 8, 9);
    size_t count;
    assert_null(mlog_index_find(&part(f, 0)->index, 5, &count));
    span_expect(f, 8, 8, 1);
}

/* Against a model that remembers everything: appends, rewinds and frees in random order. */
static void test_index_against_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct mlog_index index = {0};
        struct {
            uint64_t serial, segment;
            uint32_t begin;
        } model[400] = {{0}};
        uint64_t next = 1, serial = 0, segment = 1;
        uint32_t offset = 0;
        struct prng prng;
        prng_init(&prng, seed);
        for (int step = 0; step < 200; step++) {
            if (prng_percent(&prng, 10)) segment++, offset = 0;
            if (prng_percent(&prng, 5) && next > 1)
                next -= 1 + prng_below(&prng, next < 8 ? next - 1 : 7);
            if (next == 0) next = 1;
            assert_int_equal(mlog_index_reserve(&index, 1), 0);
            struct mlog_place place = {segment, offset, offset + MLOG_ALIGN};
            mlog_index_add(&index, next, ++serial, place, 4 * MLOG_ALIGN);
            model[next].serial = serial, model[next].segment = segment, model[next].begin = offset;
            next++;
            offset += MLOG_ALIGN * (uint32_t)(1 + prng_below(&prng, 3));
        }
        for (uint64_t decree = 1; decree < next; decree++) {
            size_t count;
            const struct mlog_span *s = mlog_index_find(&index, decree, &count);
            assert_non_null(s);
            assert_true(s->segment == model[decree].segment && decree < s->limit);
            assert_true(s->begin <= model[decree].begin && model[decree].begin < s->end);
            assert_true(s->serial <= model[decree].serial &&
                        model[decree].serial <= s->serial_last);
        }
        mlog_index_fini(&index);
    }
}

static void test_every_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct fixture f = {0};
        int failures = 0;
        mlog_space_init(&f.space);
        mem_fail_nth(nth);
        for (uint64_t i = 0; i < 4; i++) {
            segment_push(&f);
            for (int index = 0; index < 20; index++) failures += write_one(&f, index, i + 1) != 0;
        }
        bool has_failed = mem_has_failed();
        mem_fail_nth(0);
        mlog_space_fini(&f.space);
        assert_int_equal(failures, has_failed ? 1 : 0);
        if (!has_failed) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_need_of_a_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_the_oldest_and_never_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_movable_past_the_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush_is_asked_of_the_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep_forgets_only_what_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hole_clears_the_index, setup, teardown),
        cmocka_unit_test(test_index_against_model),
        cmocka_unit_test(test_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
