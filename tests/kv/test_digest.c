/* tests/kv/test_digest.c: two sides are equal exactly when their digests are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kv/digest.h"
#include "kv/table.h"
#include "wire/key.h"

enum { BITS = 4, BUCKETS = 1 << BITS };

static void digest(struct table *t, struct kv_digest_bucket *buckets)
{
    struct kv_digest_scope scope = {.bits = BITS, .now_s = t->now_s};
    assert_int_equal(kv_digest(t->store, &scope, buckets), 0);
}

static bool are_equal(struct table *a, struct table *b)
{
    struct kv_digest_bucket x[BUCKETS] = {{0}}, y[BUCKETS] = {{0}};
    digest(a, x);
    digest(b, y);
    return memcmp(x, y, sizeof x) == 0;
}

/* A row with everything chosen, as duplication would write it. */
static void put_row(struct table *t, const char *hash_key, const char *data, uint32_t expire_ts,
                    uint64_t timetag)
{
    struct mutation_op op = {timetag, expire_ts, table_key(t, hash_key, "s"), str(data)};
    buf_clear(&t->ops);
    size_t offset = mutation_begin(&t->ops);
    mutation_add(&t->ops, &op);
    assert_int_equal(mutation_finish(&t->ops, offset, ++t->decree, 1, 1), 0);
    assert_int_equal(mutation_read(buf_slice(&t->ops), &t->mutation), 0);
    store_batch_clear(t->batch);
    kv_apply(t->batch, &t->mutation);
    assert_int_equal(store_write(t->store, t->batch, t->decree), 0);
}

/* One bit of anything makes a difference; what readers cannot see makes none. */
static void test_digest_tells_every_difference_that_a_reader_could_see(void **state)
{
    struct table *a = *state, *b = table_new();
    put_row(a, "k", "v", TABLE_FAR_S, 0x1000);
    assert_false(are_equal(a, b));
    put_row(b, "k", "v", TABLE_FAR_S, 0x1000);
    assert_true(are_equal(a, b));
    put_row(b, "k", "w", TABLE_FAR_S, 0x1000);
    assert_false(are_equal(a, b));
    put_row(b, "k", "", TABLE_FAR_S, 0x1000);
    assert_false(are_equal(a, b));
    put_row(b, "k", "v", TABLE_FAR_S + 1, 0x1000);
    assert_false(are_equal(a, b));
    put_row(b, "k", "v", TABLE_FAR_S, 0x1002);
    assert_false(are_equal(a, b));
    put_row(b, "k", "v", TABLE_FAR_S, 0x1000);
    assert_true(are_equal(a, b));

    put_row(b, "gone", "", 0, 0x2001); /* A tombstone. */
    put_row(b, "old", "v", TABLE_PAST_S, 0x2000);
    assert_true(are_equal(a, b));
    put_row(b, "new", "v", 0, 0x2000);
    assert_false(are_equal(a, b));
    table_free(b);
}

/* Buckets are chosen by other bits than partitions: those of four partitions add up to those of two. */
static void test_buckets_add_up_over_any_partition_count(void **state)
{
    (void)state;
    struct kv_digest_bucket sums[2][BUCKETS] = {{{0}}};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t count = i == 0 ? 2 : 4;
        for (uint32_t index = 0; index < count; index++) {
            struct table *t = table_new();
            for (uint32_t k = 0; k < 100; k++) {
                char name[16];
                (void)snprintf(name, sizeof name, "key%u", k);
                if (key_hash(table_key(t, name, "s")) % count == index)
                    put_row(t, name, "v", 0, k * 2);
            }
            digest(t, sums[i]);
            table_free(t);
        }
    }
    assert_memory_equal(sums[0], sums[1], sizeof sums[0]);
    uint64_t rows = 0;
    for (size_t i = 0; i < BUCKETS; i++) rows += sums[0][i].count;
    assert_int_equal(rows, 100);
}

/* A bucket's rows come in key order, page by page, and are those that were counted. */
static void test_rows_of_a_bucket_are_listed_in_pages(void **state)
{
    struct table *t = *state;
    for (uint32_t k = 0; k < 200; k++) {
        char name[16];
        (void)snprintf(name, sizeof name, "key%u", k);
        bool is_delete = k % 7 == 0;
        put_row(t, name, is_delete ? "" : "value", k % 5 == 1 ? TABLE_PAST_S : 0,
                k * 2 + is_delete);
    }
    struct kv_digest_bucket buckets[BUCKETS] = {{0}};
    digest(t, buckets);
    struct kv_digest_scope scope = {.bits = BITS, .now_s = t->now_s};
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        uint64_t count = 0, sum = 0;
        struct slice after = {0};
        for (;;) {
            struct kv_digest_row *rows;
            size_t n;
            assert_int_equal(
                kv_digest_list(t->store, &scope, bucket, after, 3, &t->arena, &rows, &n), 0);
            for (size_t i = 0; i < n; i++) {
                assert_true(slice_compare(after, rows[i].key) < 0);
                assert_true(key_hash(rows[i].key) >> (64 - BITS) == bucket);
                assert_true(rows[i].data_size == 5 && !timetag_is_deleted(rows[i].timetag));
                after = rows[i].key;
                sum += rows[i].hash;
                count++;
            }
            if (n < 3) break;
        }
        assert_int_equal(count, buckets[bucket].count);
        assert_true(sum == buckets[bucket].sum);
    }
}

static bool always(void *context)
{
    ++*(int *)context;
    return true;
}

static void test_what_cannot_be_walked_is_said(void **state)
{
    struct table *t = *state;
    struct kv_digest_bucket all = {0};
    struct kv_digest_scope scope = {.bits = KV_DIGEST_BITS_MAX + 1, .now_s = t->now_s};
    assert_int_equal(kv_digest(t->store, &scope, &all), E_INVALID);

    int asked = 0;
    scope = (struct kv_digest_scope){.now_s = t->now_s, .is_canceled = always, .context = &asked};
    for (uint32_t k = 0; k < 5000; k++) {
        char name[16];
        (void)snprintf(name, sizeof name, "key%u", k);
        put_row(t, name, "v", 0, 2);
    }
    assert_int_equal(kv_digest(t->store, &scope, &all), E_CANCELED);
    assert_int_equal(asked, 1);

    struct arena small = {.limit = 4096};
    struct kv_digest_row *rows = NULL;
    size_t n;
    scope.is_canceled = NULL;
    assert_int_equal(kv_digest_list(t->store, &scope, 0, (struct slice){0}, 100, &small, &rows, &n),
                     E_LIMIT);
    assert_null(rows);
    arena_fini(&small);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_digest_tells_every_difference_that_a_reader_could_see),
        cmocka_unit_test(test_buckets_add_up_over_any_partition_count),
        STORY(test_rows_of_a_bucket_are_listed_in_pages),
        STORY(test_what_cannot_be_walked_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
