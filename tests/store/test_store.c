/* tests/store/test_store.c: what store.h promises, line by line, of both adapters. */
#include "store/world.h"

#include "base/buf.h"
#include "store/steps.h"
#include "wire/key.h"
#include "wire/value.h"

#define NOW_US (VALUE_EPOCH_UNIX_S * 1000000 + UINT64_C(500000000) * 1000000)

enum { NOW_S = 500000000 }; /* The same moment as an expire_ts is written. */

static int set_up(void **state)
{
    struct world *w = world_new(1);
    world_wall_set(w, NOW_US);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

/* ---- Writing and durability ------------------------------------------------------------------ */

/* S1, S2, S3: a write is read back at once; it is durable only when flushed; a crash takes the
 * rest. */
static void test_crash_leaves_what_was_flushed(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    assert_int_equal(store_applied(s), 0);
    assert_int_equal(store_durable(s), 0);

    put(s, 1, "hk", "one", "1");
    put(s, 2, "hk", "two", "2");
    assert_int_equal(store_flush(s), 0);
    assert_int_equal(store_durable(s), 2);
    put(s, 7, "hk", "two", "22");
    put(s, 8, "hk", "three", "3");
    assert_int_equal(store_applied(s), 8);
    assert_int_equal(store_durable(s), 2);
    expect(s, "hk", "two", "22");

    world_crash(w);
    s = world_open(w, "a");
    assert_int_equal(store_applied(s), 2);
    assert_int_equal(store_durable(s), 2);
    expect(s, "hk", "one", "1");
    expect(s, "hk", "two", "2");
    expect(s, "hk", "three", NULL);
}

/* A crash before the first flush leaves an empty store that knows it is at 0. */
static void test_crash_before_first_flush(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    put(s, 1, "hk", "one", "1");
    world_crash(w);
    s = world_open(w, "a");
    assert_int_equal(store_applied(s), 0);
    expect(s, "hk", "one", NULL);
    put(s, 1, "hk", "one", "again");
    assert_int_equal(world_close(w, s), 0);
    s = world_open(w, "a");
    assert_int_equal(store_applied(s), 1);
}

static void stamp(struct store *s, uint64_t decree, uint64_t timestamp_us)
{
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    store_batch_stamp(b, timestamp_us);
    assert_int_equal(store_write(s, b, decree), 0);
    store_batch_free(b);
}

/* The hybrid time is as durable as the decree it was written with, and a write without one
 * leaves it. */
static void test_time_is_kept_with_the_decree(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    assert_int_equal(store_timestamp_us(s), 0);
    stamp(s, 1, 1000);
    put(s, 2, "hk", "one", "1");
    assert_int_equal(store_timestamp_us(s), 1000);
    assert_int_equal(store_flush(s), 0);
    stamp(s, 3, 2000);
    assert_int_equal(store_timestamp_us(s), 2000);

    world_crash(w);
    s = world_open(w, "a");
    assert_int_equal(store_applied(s), 2);
    assert_int_equal(store_timestamp_us(s), 1000);
}

/* It never goes back: not by a lower stamp, nor by a batch that was written to a younger store. */
static void test_time_never_goes_back(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a"), *younger = world_open(w, "b");
    stamp(s, 1, 5000);
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    store_batch_stamp(b, 3000);
    store_batch_stamp(b, 2000);
    assert_int_equal(store_write(younger, b, 2), 0);
    assert_int_equal(store_write(s, b, 2), 0);
    store_batch_clear(b);
    assert_int_equal(store_write(younger, b, 3), 0);
    store_batch_free(b);
    assert_int_equal(store_timestamp_us(younger), 3000);
    assert_int_equal(store_timestamp_us(s), 5000);
    assert_int_equal(world_close(w, s), 0);
    assert_int_equal(store_timestamp_us(world_open(w, "a")), 5000);
    assert_int_equal(world_close(w, younger), 0);
    assert_int_equal(store_timestamp_us(world_open(w, "b")), 3000);
}

/* Closing flushes. */
static void test_close_keeps_everything(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    put(s, 5, "hk", "one", "1");
    assert_int_equal(world_close(w, s), 0);
    s = world_open(w, "a");
    assert_int_equal(store_applied(s), 5);
    expect(s, "hk", "one", "1");
}

/* A write without changes carries its decree all the same: that is what an empty write is for. */
static void test_empty_write_moves_the_decree(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    assert_int_equal(store_write(s, b, 41), 0);
    store_batch_free(b);
    assert_int_equal(store_applied(s), 41);
    assert_int_equal(store_flush(s), 0);
    assert_int_equal(store_durable(s), 41);
    world_crash(w);
    assert_int_equal(store_applied(world_open(w, "a")), 41);
}

/* The changes of a batch happen in their order, and a batch can be written again, to another
 * store. */
static void test_batch_is_a_list(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a"), *other = world_open(w, "b");
    put(s, 1, "hk", "gone", "x");

    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    batch_put(b, "hk", "twice", "1");
    batch_put(b, "hk", "twice", "2");
    batch_put(b, "hk", "undone", "1");
    batch_delete(b, "hk", "undone");
    batch_delete(b, "hk", "redone");
    batch_put(b, "hk", "redone", "3");
    batch_delete(b, "hk", "gone");
    assert_int_equal(store_write(s, b, 2), 0);
    assert_int_equal(store_write(other, b, 9), 0);
    store_batch_clear(b);
    batch_put(b, "hk", "after clear", "4");
    assert_int_equal(store_write(s, b, 3), 0);
    store_batch_free(b);

    expect(s, "hk", "twice", "2");
    expect(s, "hk", "undone", NULL);
    expect(s, "hk", "redone", "3");
    expect(s, "hk", "gone", NULL);
    expect(s, "hk", "after clear", "4");
    expect(other, "hk", "redone", "3");
    expect(other, "hk", "after clear", NULL);
    assert_int_equal(store_flush(s), 0);
    assert_int_equal(store_flush(other), 0);
    assert_int_equal(store_durable(s), 3);
    assert_int_equal(store_durable(other), 9);
}

/* Head and body are one value; each may be empty; a megabyte is a value too. */
static void test_values_of_all_sizes(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    static uint8_t large[1 << 20];
    memset(large, 'L', sizeof large);
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    store_batch_put(b, slice_str("head and body"), slice_str("head"), slice_str("body"));
    store_batch_put(b, slice_str("body"), slice_of(NULL, 0), slice_str("body"));
    store_batch_put(b, slice_str("nothing"), slice_of(NULL, 0), slice_of(NULL, 0));
    store_batch_put(b, slice_of(NULL, 0), slice_str("of the empty key"), slice_of(NULL, 0));
    store_batch_put(b, slice_str("large"), slice_str("head"), slice_of(large, sizeof large));
    assert_int_equal(store_write(s, b, 1), 0);
    store_batch_free(b);

    for (int round = 0; round < 2; round++) {
        expect_bytes(s, slice_str("head and body"), slice_str("headbody"));
        expect_bytes(s, slice_str("body"), slice_str("body"));
        expect_bytes(s, slice_str("nothing"), slice_str(""));
        expect_bytes(s, slice_of(NULL, 0), slice_str("of the empty key"));
        struct store_value v;
        assert_int_equal(store_get(s, slice_str("large"), STORE_ANY, &v), 0);
        assert_int_equal(v.bytes.size, 4 + sizeof large);
        assert_memory_equal(v.bytes.data + 4, large, sizeof large);
        store_value_release(&v);
        store_value_release(&v); /* Harmless. */
        assert_int_equal(store_flush(s), 0);
    }
}

/* A value stays as it was while it is held, whatever is written meanwhile. */
static void test_held_value_does_not_change(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    put(s, 1, "hk", "k", "before");
    struct store_value v;
    assert_int_equal(get(s, "hk", "k", &v), 0);
    put(s, 2, "hk", "k", "after");
    assert_int_equal(store_flush(s), 0);
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    assert_true(slice_equal(slice_skip(v.bytes, VALUE_HEAD_SIZE), slice_str("before")));
    store_value_release(&v);
    expect(s, "hk", "k", "after");
}

/* When it was compacted is known, also by who opens it next. */
static void test_compaction_is_noted(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    assert_int_equal(store_compacted_s(s), 0);
    put(s, 1, "hk", "k", "v");
    assert_int_equal(store_compact(s, STORE_COMPACT_UPPER, 1700000000), 0);
    assert_int_equal(store_compacted_s(s), 1700000000);
    world_crash(w);
    s = world_open(w, "a");
    assert_int_equal(store_compacted_s(s), 1700000000);
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1),
                     0); /* Nothing is left to be flushed. */
    expect(s, "hk", "k", "v");
}

/* Who has stopped compactions can still flush. */
static void test_compaction_can_be_stopped(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    put(s, 1, "hk", "k", "v");
    store_compact_stop(s);
    store_compact_stop(s); /* Harmless. */
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), E_CANCELED);
    assert_int_equal(store_compacted_s(s), 0);
    assert_int_equal(store_flush(s), 0);
    assert_int_equal(store_durable(s), 1);
    put(s, 2, "hk", "k2", "v");
    assert_int_equal(store_flush(s), 0);
    assert_int_equal(store_durable(s), 2);
}

/* Deleted keys of ours are tombstones: the store returns them like any other value. */
static void test_tombstones_are_values(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    put_head(s, 1, "hk", "k", (struct value_head){0, timetag_make(77, 1, true)}, "");
    struct store_value v;
    assert_int_equal(get(s, "hk", "k", &v), 0);
    assert_int_equal(v.bytes.size, VALUE_HEAD_SIZE);
    assert_true(timetag_is_deleted(bytes_get_be64(v.bytes.data + 4)));
    store_value_release(&v);
}

/* ---- Iterators ------------------------------------------------------------------------------- */

static void fill(struct store *s)
{
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    batch_put(b, "a", "1", "");
    batch_put(b, "a", "2", "");
    batch_put(b, "b", "", "");
    batch_put(b, "b", "1", "");
    batch_put(b, "b", "11", "");
    batch_put(b, "b", "2", "");
    batch_put(b, "c", "1", "");
    batch_put(b, "aa", "", ""); /* A longer hash key comes after all shorter ones. */
    assert_int_equal(store_write(s, b, store_applied(s) + 1), 0);
    store_batch_free(b);
}

/* Both directions, seeks to keys that are there, between and beyond, within bounds and without. */
static void walk_everywhere(struct store *s)
{
    struct store_iter *it = walk(s, NULL, NULL);
    store_iter_seek(it, slice_of(NULL, 0));
    expect_forward(it, "a:1 a:2 b: b:1 b:11 b:2 c:1 aa:");
    store_iter_seek_end(it);
    expect_backward(it, "aa: c:1 b:2 b:11 b:1 b: a:2 a:1");
    store_iter_close(it);

    it = walk(s, "b", NULL); /* All of hash key b. */
    seek(it, "b", "");
    expect_forward(it, "b: b:1 b:11 b:2");
    seek(it, "b", "10");
    expect_forward(it, "b:11 b:2");
    seek(it, "a", "1");
    expect_forward(it, "b: b:1 b:11 b:2");
    seek(it, "b", "3");
    expect_forward(it, "");
    seek_last(it, "b", "10");
    expect_backward(it, "b:1 b:");
    seek_last(it, "b", "11");
    expect_backward(it, "b:11 b:1 b:");
    seek_last(it, "aa", "");
    expect_backward(it, "b:2 b:11 b:1 b:");
    seek_last(it, "a", "2");
    expect_backward(it, "");
    store_iter_seek_end(it);
    expect_backward(it, "b:2 b:11 b:1 b:");
    store_iter_close(it);

    it = walk(s, "b", "11"); /* Of hash key b what is below 11. */
    seek(it, "b", "");
    expect_forward(it, "b: b:1");
    store_iter_seek_end(it);
    expect_backward(it, "b:1 b:");
    store_iter_close(it);

    it = walk(s, "bb", NULL);
    seek(it, "bb", "");
    expect_forward(it, "");
    store_iter_seek_end(it);
    expect_backward(it, "");
    store_iter_close(it);
}

static void test_iterators_in_memory_and_on_disk(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill(s);
    walk_everywhere(s);
    assert_int_equal(store_flush(s), 0);
    walk_everywhere(s);
    fill(s); /* Twice: in memory over those on disk. */
    walk_everywhere(s);
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    walk_everywhere(s);
}

/* Turning round on a row works. */
static void test_iterator_turns_round(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill(s);
    struct store_iter *it = walk(s, "b", NULL);
    seek(it, "b", "1");
    expect_at(it, "b:1");
    store_iter_next(it);
    expect_at(it, "b:11");
    store_iter_prev(it);
    expect_at(it, "b:1");
    store_iter_prev(it);
    expect_at(it, "b:");
    store_iter_next(it);
    expect_at(it, "b:1");
    store_iter_close(it);
}

/* An iterator sees the store as it was when it was opened: through writes, flushes and
 * compaction. */
static void test_iterator_is_a_snapshot(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill(s);
    struct store_iter *one = walk(s, "b", NULL), *all = walk(s, NULL, NULL);
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    batch_put(b, "b", "0", "new");
    batch_put(b, "b", "1", "changed");
    batch_delete(b, "b", "11");
    assert_int_equal(store_write(s, b, 2), 0);
    store_batch_free(b);
    assert_int_equal(store_flush(s), 0);
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);

    seek(one, "b", "");
    expect_forward(one, "b: b:1 b:11 b:2");
    seek(one, "b", "1");
    assert_int_equal(store_iter_value(one).size, VALUE_HEAD_SIZE);
    store_iter_seek_end(one);
    expect_backward(one, "b:2 b:11 b:1 b:");
    store_iter_seek_end(all);
    expect_backward(all, "aa: c:1 b:2 b:11 b:1 b: a:2 a:1");
    store_iter_close(one);
    store_iter_close(all);

    one = walk(s, "b", NULL);
    seek(one, "b", "");
    expect_forward(one, "b: b:0 b:1 b:2");
    store_iter_close(one);
}

/* ---- Tiers ----------------------------------------------------------------------------------- */

/* S4: what isn't in memory is said to be elsewhere, and not fetched; asked the slow way, it
 * comes. */
static void test_cached_reads_never_touch_the_disk(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill(s);
    assert_int_equal(world_close(w, s), 0);
    world_forget_cache(w);
    s = world_open(w, "a");

    struct buf key = {0};
    key_append(&key, slice_str("b"), slice_str("1"));
    struct store_value v = {0};
    assert_int_equal(store_get(s, buf_slice(&key), STORE_CACHED, &v), E_AGAIN);
    struct store_iter *it;
    struct slice none = slice_of(NULL, 0);
    assert_int_equal(store_iter_open(s, buf_slice(&key), none, STORE_CACHED, &it), 0);
    store_iter_seek(it, buf_slice(&key));
    assert_false(store_iter_is_valid(it));
    assert_int_equal(store_iter_status(it), E_AGAIN);
    store_iter_close(it);

    assert_int_equal(store_get(s, buf_slice(&key), STORE_ANY, &v), 0);
    store_value_release(&v);
    walk_everywhere(s);
    buf_fini(&key);
}

/* ---- Compaction ------------------------------------------------------------------------------ */

/* One row of each kind, as old as 1000 us or as young as 2000 us. */
static void fill_kinds(struct store *s)
{
    const uint64_t old = timetag_make(1000, 1, false), young = timetag_make(2000, 1, false);
    put_head(s, 1, "hk", "live", (struct value_head){0, old}, "v");
    put_head(s, 2, "hk", "later", (struct value_head){NOW_S + 100, old}, "v");
    put_head(s, 3, "hk", "expired old", (struct value_head){NOW_S - 100, old}, "v");
    put_head(s, 4, "hk", "expired young", (struct value_head){NOW_S - 100, young}, "v");
    put_head(s, 5, "hk", "dead old", (struct value_head){0, old | 1}, "");
    put_head(s, 6, "hk", "dead young", (struct value_head){0, young | 1}, "");
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    store_batch_put(b, slice_of(NULL, 0), slice_str("no row"), slice_of(NULL, 0));
    store_batch_put(b, slice_str("k"), slice_str("no row either"), slice_of(NULL, 0));
    assert_int_equal(store_write(s, b, 7), 0);
    store_batch_free(b);
}

/* Without a policy nothing goes, whatever its age. */
static void test_compaction_without_policy_keeps_all(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill_kinds(s);
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    struct store_iter *it = walk(s, "hk", NULL);
    seek(it, "hk", "");
    expect_forward(it,
                   "hk:dead old hk:dead young hk:expired old hk:expired young hk:later hk:live");
    store_iter_close(it);
}

/* Tombstones and expired rows go only when they are older than every duplication needs. */
static void test_compaction_drops_what_is_old(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill_kinds(s);
    store_policy_set(s, &(struct store_policy){.tombstones_below_us = 2000});
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    struct store_iter *it = walk(s, "hk", NULL);
    seek(it, "hk", "");
    expect_forward(it, "hk:dead young hk:expired young hk:later hk:live");
    store_iter_close(it);
    expect_bytes(s, slice_of(NULL, 0), slice_str("no row"));
    expect_bytes(s, slice_str("k"), slice_str("no row either"));

    world_wall_set(w, NOW_US + UINT64_C(200) * 1000000);
    store_policy_set(s, &(struct store_policy){.tombstones_below_us = UINT64_MAX});
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    it = walk(s, "hk", NULL);
    seek(it, "hk", "");
    expect_forward(it, "hk:live");
    store_iter_close(it);
    assert_int_equal(store_applied(s), 7);
    world_crash(w); /* What compaction dropped stays dropped. */
    s = world_open(w, "a");
    assert_int_equal(store_applied(s), 7);
    expect(s, "hk", "later", NULL);
}

/* default_ttl gives rows without an expiry one, counted from now; it touches nothing else of
 * them. */
static void test_compaction_gives_default_ttl(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill_kinds(s);
    store_policy_set(s, &(struct store_policy){.default_ttl_s = 60});
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    expect_head(s, "hk", "live", (struct value_head){NOW_S + 60, timetag_make(1000, 1, false)},
                "v");
    expect_head(s, "hk", "later", (struct value_head){NOW_S + 100, timetag_make(1000, 1, false)},
                "v");
    expect_head(s, "hk", "dead old", (struct value_head){0, timetag_make(1000, 1, true)}, "");

    store_policy_set(s, &(struct store_policy){.default_ttl_s = UINT32_MAX});
    put_head(s, 8, "hk", "live", (struct value_head){0, timetag_make(3000, 1, false)}, "w");
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    expect_head(s, "hk", "live", (struct value_head){UINT32_MAX, timetag_make(3000, 1, false)},
                "w");
}

/* After a split each half drops the rows of the other. */
static void test_compaction_drops_foreign_rows(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill_kinds(s);
    const uint32_t mine = (uint32_t)(key_parts_hash(slice_str("hk"), slice_of(NULL, 0)) & 3);
    put(s, 10, "other", "k", "v");
    put(s, 11, "another", "k", "v");
    put(s, 12, "", "k", "v");
    store_policy_set(s, &(struct store_policy){.partition_index = mine, .partition_mask = 3});
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    static const char *const hash_keys[] = {"other", "another", ""};
    for (size_t i = 0; i < 3; i++) {
        uint64_t hash = key_parts_hash(slice_str(hash_keys[i]), slice_str("k"));
        expect(s, hash_keys[i], "k", (hash & 3) == mine ? "v" : NULL);
    }
    expect(s, "hk", "live", "v");
    expect_bytes(s, slice_str("k"), slice_str("no row either"));
}

/* A row that was overwritten in memory isn't dropped for what it was on disk, nor does it come
 * back. */
static void test_compaction_judges_each_version(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    put_head(s, 1, "hk", "k", (struct value_head){0, timetag_make(10, 1, false)}, "first");
    assert_int_equal(store_flush(s), 0);
    put_head(s, 2, "hk", "k", (struct value_head){0, timetag_make(20, 1, true)}, "");
    assert_int_equal(store_flush(s), 0);
    store_policy_set(s, &(struct store_policy){.tombstones_below_us = 1000});
    put_head(s, 3, "hk", "young", (struct value_head){0, timetag_make(2000, 1, false)}, "v");
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    expect(s, "hk", "k", NULL);
    put(s, 4, "hk", "k", "second");
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    expect(s, "hk", "k", "second");
}

/* ---- Upkeep ---------------------------------------------------------------------------------- */

/* A checkpoint is the store as it was; both go on by themselves. */
static void test_checkpoint_is_equal(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill(s);
    put(s, 6, "b", "1", "six");
    uint64_t decree = 0;
    struct err e = {0};
    assert_int_equal(store_checkpoint(s, world_dir(w, "a.6"), &decree, &e), 0);
    assert_int_equal(decree, 6);
    assert_int_equal(store_durable(s), 6); /* It flushes. */
    put(s, 7, "b", "1", "seven");
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);

    struct store *copy = world_open(w, "a.6");
    assert_int_equal(store_applied(copy), 6);
    expect(copy, "b", "1", "six");
    walk_everywhere(copy);
    put(copy, 9, "b", "1", "nine");
    expect(s, "b", "1", "seven");
    assert_int_equal(store_applied(s), 7);

    decree = 77;
    assert_int_equal(store_checkpoint(s, world_dir(w, "a.6"), &decree, &e), E_EXISTS);
    assert_int_equal(e.code, E_EXISTS);
    assert_int_equal(decree, 77);
}

/* A store keeps its identity as long as it lives; another one has another, be it made from nothing or
 * from a checkpoint of this. */
static void test_identity_is_its_own(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a"), *other = world_open(w, "b");
    uint64_t identity = store_identity(s), decree;
    assert_true(store_identity(other) != identity);
    fill(s);
    assert_int_equal(store_checkpoint(s, world_dir(w, "a.1"), &decree, NULL), 0);
    struct store *copy = world_open(w, "a.1");
    uint64_t copy_identity = store_identity(copy);
    assert_true(copy_identity != identity);
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    assert_true(store_identity(s) == identity);

    assert_int_equal(world_close(w, s), 0);
    s = world_open(w, "a");
    assert_true(store_identity(s) == identity);
    world_crash(w);
    assert_true(store_identity(world_open(w, "a")) == identity);
    assert_true(store_identity(world_open(w, "a.1")) == copy_identity);
}

/* One directory, one store. */
static void test_open_twice_is_busy(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a"), *again = NULL;
    struct err e = {0};
    assert_int_equal(world_try_open(w, "a", &again, &e), E_BUSY);
    assert_null(again);
    assert_int_equal(e.code, E_BUSY);
    put(s, 1, "hk", "k", "v");
}

/* Damage is refused with a sentence that says where. */
static void test_damage_is_corrupt(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    fill(s);
    assert_int_equal(world_close(w, s), 0);
    world_damage(w, "a");
    struct err e = {0};
    s = NULL;
    assert_int_equal(world_try_open(w, "a", &s, &e), E_CORRUPT);
    assert_null(s);
    assert_non_null(strstr(e.text, world_dir(w, "a")));
}

/* The figures grow with what is written, and move from memory to disk. */
static void test_stats_follow(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    struct store_stats empty, written, flushed;
    store_stats(s, &empty);
    static char large[20000];
    memset(large, 'x', sizeof large - 1);
    put(s, 1, "hk", "k", large);
    store_stats(s, &written);
    assert_true(written.memory_size >= empty.memory_size + sizeof large);
    assert_int_equal(written.keys - empty.keys, 1);
    assert_int_equal(store_flush(s), 0);
    store_stats(s, &flushed);
    assert_true(flushed.memory_size < written.memory_size);
    assert_true(flushed.disk_size > empty.disk_size);
    assert_int_equal(flushed.stalls, 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_crash_leaves_what_was_flushed),
        STORY(test_crash_before_first_flush),
        STORY(test_time_is_kept_with_the_decree),
        STORY(test_time_never_goes_back),
        STORY(test_close_keeps_everything),
        STORY(test_empty_write_moves_the_decree),
        STORY(test_batch_is_a_list),
        STORY(test_values_of_all_sizes),
        STORY(test_held_value_does_not_change),
        STORY(test_compaction_is_noted),
        STORY(test_compaction_can_be_stopped),
        STORY(test_tombstones_are_values),
        STORY(test_iterators_in_memory_and_on_disk),
        STORY(test_iterator_turns_round),
        STORY(test_iterator_is_a_snapshot),
        STORY(test_cached_reads_never_touch_the_disk),
        STORY(test_compaction_without_policy_keeps_all),
        STORY(test_compaction_drops_what_is_old),
        STORY(test_compaction_gives_default_ttl),
        STORY(test_compaction_drops_foreign_rows),
        STORY(test_compaction_judges_each_version),
        STORY(test_checkpoint_is_equal),
        STORY(test_identity_is_its_own),
        STORY(test_open_twice_is_busy),
        STORY(test_damage_is_corrupt),
        STORY(test_stats_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
