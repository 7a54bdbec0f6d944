/* tests/kv/test_read.c: points, MULTI_GET and SORTKEY_COUNT (docs/data.md, G1 to G4, M1 to M9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kv/table.h"
#include "sim/store/store_sim.h"

/* ---- Points ---- */

static void test_get_tells_value_place_and_absence(void **state)
{
    struct table *t = *state;
    struct read_response r;
    table_put(t, "hk", "sk", "value");
    struct bare_blob key = {.value = table_key(t, "hk", "sk")};
    assert_int_equal(table_read(t, RPC_GET, &key, &r), 0);
    assert_int_equal(r.error, RRDB_OK);
    assert_true(slice_is(r.value, "value"));
    assert_int_equal(r.app_id, 2);
    assert_int_equal(r.partition_index, 0);
    assert_true(slice_is(r.server, "10.1.2.3:34801"));

    static const struct slice absent[] = {
        {(const uint8_t *)"\0\2hkother", 9},
        {(const uint8_t *)"\0\2h", 3}, /* Malformed: stored nowhere. */
        {(const uint8_t *)"", 0},
    };
    for (size_t i = 0; i < 3; i++) {
        key.value = absent[i];
        assert_int_equal(table_read(t, RPC_GET, &key, &r), 0);
        assert_int_equal(r.error, RRDB_NOT_FOUND);
        assert_int_equal(r.value.size, 0);
    }
}

/* The way of most requests: no memory is taken, from the bytes to the answer. */
static void test_get_allocates_nothing(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "sk", "value");
    struct bare_blob key = {.value = table_key(t, "hk", "sk")};
    buf_clear(&t->body);
    thrift_write_args(&t->body, 0, &bare_blob_schema, &key);
    struct kv_context c = table_context(t);
    struct kv_read read;
    struct arena none = {0};
    mem_fail_nth(1);
    assert_int_equal(kv_read_begin(&read, RPC_GET, buf_slice(&t->body), &none, NULL), 0);
    assert_int_equal(kv_read_run(&read, &c, t->store, STORE_CACHED), 0);
    struct kv_reply reply = kv_read_end(&read, &t->partition, NULL, 0);
    assert_false(mem_has_failed());
    mem_fail_nth(0);
    const struct read_response *r = reply.body;
    assert_true(slice_is(r->value, "value"));
    assert_int_equal(kv_read_size(&read), 5);
    kv_read_fini(&read);
    assert_null(none.chunks);
}

/* What is on disk only is asked for again with STORE_ANY, and gives the same answer. */
static void test_reads_from_disk_give_the_same_answer(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "b", "2");
    struct store_sim_faults faults = {.again_percent = 100};
    store_sim_faults_set(t->disk, &faults);
    assert_string_equal(table_get(t, "hk", "a"), "1");
    struct multi_get_request request = {.hash_key = str("hk"), .start_inclusive = true};
    struct multi_get_response r;
    assert_int_equal(table_read(t, RPC_MULTI_GET, &request, &r), 0);
    assert_string_equal(table_pairs(t, &r.kvs), "a=1 b=2");
    struct bare_blob hash_key = {.value = str("hk")};
    struct count_response count;
    assert_int_equal(table_read(t, RPC_SORTKEY_COUNT, &hash_key, &count), 0);
    assert_int_equal(count.count, 2);
}

static struct ttl_response ttl(struct table *t, const char *sort_key)
{
    struct bare_blob key = {.value = table_key(t, "hk", sort_key)};
    struct ttl_response r;
    assert_int_equal(table_read(t, RPC_TTL, &key, &r), 0);
    return r;
}

static void test_ttl_counts_down_and_ends(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "forever", "v");
    table_put_until(t, "hk", "soon", "v", TABLE_NOW_S + 10);
    assert_int_equal(ttl(t, "forever").ttl_seconds, -1);
    assert_int_equal(ttl(t, "soon").ttl_seconds, 10);
    t->now_s += 9;
    assert_int_equal(ttl(t, "soon").ttl_seconds, 1);
    t->now_s += 1;
    assert_int_equal(ttl(t, "soon").error, RRDB_NOT_FOUND);
    assert_int_equal(ttl(t, "soon").ttl_seconds, 0);
    assert_int_equal(ttl(t, "never").error, RRDB_NOT_FOUND);
}

/* Found records only, in the order of the request, twice what was asked for twice. */
static void test_batch_get_keeps_the_order(void **state)
{
    struct table *t = *state;
    table_put(t, "x", "1", "x1");
    table_put(t, "y", "1", "y1");
    table_put(t, "y", "2", "y2");
    table_del(t, "y", "2");
    struct full_key keys[] = {
        {.hash_key = str("y"), .sort_key = str("1")},
        {.hash_key = str("y"), .sort_key = str("2")},
        {.hash_key = str("x"), .sort_key = str("1")},
        {.hash_key = str("z"), .sort_key = str("1")},
        {.hash_key = str("y"), .sort_key = str("1")},
        {.hash_key = slice_of(arena_alloc(&t->arena, 70000), 70000), .sort_key = str("1")},
    };
    struct batch_get_request request = {.keys = {keys, 6}};
    struct batch_get_response r;
    assert_int_equal(table_read(t, RPC_BATCH_GET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_OK);
    assert_int_equal(r.app_id, 2);
    assert_int_equal(r.data.count, 3);
    assert_true(slice_is(r.data.items[0].value, "y1"));
    assert_true(slice_is(r.data.items[1].hash_key, "x") && slice_is(r.data.items[1].value, "x1"));
    assert_true(slice_is(r.data.items[2].sort_key, "1"));

    request.keys.count = 0;
    assert_int_equal(table_read(t, RPC_BATCH_GET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
}

/* One large value asked for a thousand times is an answer of a gigabyte: no. */
static void test_batch_get_has_a_limit(void **state)
{
    struct table *t = *state;
    char *value = arena_alloc(&t->arena, (1 << 20) + 1);
    memset(value, 'v', 1 << 20);
    table_put(t, "x", "1", value);
    enum { COUNT = 1000 };
    struct full_key *keys = arena_array(&t->arena, COUNT, sizeof *keys);
    for (size_t i = 0; i < COUNT; i++) keys[i] = (struct full_key){0, str("x"), str("1")};
    struct batch_get_request request = {.keys = {keys, COUNT}};
    struct batch_get_response r;
    assert_int_equal(table_read(t, RPC_BATCH_GET, &request, &r), E_LIMIT);
}

/* ---- MULTI_GET by keys ---- */

static const char *multi_get(struct table *t, const struct multi_get_request *request,
                             int32_t error)
{
    struct multi_get_response r;
    assert_int_equal(table_read(t, RPC_MULTI_GET, request, &r), 0);
    assert_int_equal(r.error, error);
    assert_int_equal(r.app_id, 2);
    return table_pairs(t, &r.kvs);
}

static void test_multi_get_by_keys_ignores_everything_about_ranges(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "b", "22");
    table_put(t, "hk", "c", "3");
    table_del(t, "hk", "c");
    struct multi_get_request request = {
        .hash_key = str("hk"),
        .sort_keys = table_blobs(t, "b x a c b"),
        .sort_key_filter_type = 99,
        .start_sortkey = str("z"),
        .reverse = true,
    };
    assert_string_equal(multi_get(t, &request, RRDB_OK), "b=22 a=1 b=22");
    request.no_value = true;
    assert_string_equal(multi_get(t, &request, RRDB_OK), "b= a= b=");
}

/* The limits are looked at when there is one record more to add: a full page that is complete is OK. */
static void test_multi_get_by_keys_stops_at_the_clients_limits(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "b", "22");
    table_put(t, "hk", "c", "3");
    struct multi_get_request request = {.hash_key = str("hk"),
                                        .sort_keys = table_blobs(t, "a b x")};
    request.max_kv_count = 2;
    assert_string_equal(multi_get(t, &request, RRDB_OK), "a=1 b=22");
    request.max_kv_count = 1;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "a=1");
    request.max_kv_count = -1;
    request.max_kv_size = 1;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "a=1");
    request.max_kv_size = 3;
    assert_string_equal(multi_get(t, &request, RRDB_OK), "a=1 b=22");
    request.max_kv_size = 0;
    t->partition.multi_get_count_max = 1;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "a=1");
    t->partition.multi_get_count_max = 3000;
    t->partition.multi_get_size_max = 1; /* Of ranges only. */
    assert_string_equal(multi_get(t, &request, RRDB_OK), "a=1 b=22");
}

/* A list of keys that is long to make is not for a loop, needs the memory of one of them, and ends when
 * its time is up. */
static void test_multi_get_by_very_many_keys(void **state)
{
    enum { COUNT = 5000, HASH_KEY_SIZE = 60000 };
    struct table *t = *state;
    struct multi_get_request request = {
        .hash_key = {arena_alloc(&t->arena, HASH_KEY_SIZE), HASH_KEY_SIZE},
        .sort_keys = {arena_array(&t->arena, COUNT, sizeof(struct slice)), COUNT},
    };
    buf_clear(&t->body);
    thrift_write_args(&t->body, 0, &multi_get_request_schema, &request);
    struct kv_context c = table_context(t);
    struct kv_read read;
    struct arena arena = {0};
    assert_int_equal(kv_read_begin(&read, RPC_MULTI_GET, buf_slice(&t->body), &arena, NULL), 0);
    assert_int_equal(kv_read_run(&read, &c, t->store, STORE_CACHED), E_AGAIN);
    assert_int_equal(kv_read_run(&read, &c, t->store, STORE_ANY), 0);
    assert_true(arena.total < 1 << 20);
    const struct multi_get_response *r = kv_read_end(&read, &t->partition, NULL, 0).body;
    assert_int_equal(r->error, RRDB_OK);
    assert_int_equal(r->kvs.count, 0);
    kv_read_fini(&read);
    arena_fini(&arena);
}

/* ---- MULTI_GET by range ---- */

/* hk: "" a aa ab b, and neighbours that must never show. */
static void fill(struct table *t)
{
    table_put(t, "hj", "a", "no");
    table_put(t, "hk", "", "0");
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "aa", "2");
    table_put(t, "hk", "ab", "3");
    table_put(t, "hk", "b", "4");
    table_put(t, "hl", "", "no");
    table_put(t, "hl", "a", "no");
}

static void test_range_obeys_its_bounds(void **state)
{
    struct table *t = *state;
    fill(t);
    static const struct {
        const char *start, *stop;
        bool start_inclusive, stop_inclusive;
        const char *result;
    } rows[] = {
        {"", "", true, false, "=0 a=1 aa=2 ab=3 b=4"},
        {"", "", false, false, "a=1 aa=2 ab=3 b=4"},  /* Clients that leave the flag unset. */
        {"", "", true, true, "=0 a=1 aa=2 ab=3 b=4"}, /* No stop: its flag means nothing. */
        {"a", "b", true, true, "a=1 aa=2 ab=3 b=4"},
        {"a", "b", false, false, "aa=2 ab=3"},
        {"a", "a", true, true, "a=1"},
        {"a", "a", true, false, ""},
        {"a", "a", false, true, ""},
        {"b", "a", true, true, ""},
        {"a0", "aaz", true, true, "aa=2"},
        {"c", "", true, false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct multi_get_request request = {
            .hash_key = str("hk"),
            .start_sortkey = str(rows[i].start),
            .stop_sortkey = str(rows[i].stop),
            .start_inclusive = rows[i].start_inclusive,
            .stop_inclusive = rows[i].stop_inclusive,
        };
        for (int reverse = 0; reverse < 2; reverse++) {
            request.reverse = reverse;
            assert_string_equal(multi_get(t, &request, RRDB_OK), rows[i].result);
        }
    }
}

static void test_range_obeys_its_filter(void **state)
{
    struct table *t = *state;
    fill(t);
    static const struct {
        int32_t type;
        const char *pattern, *start, *stop, *result;
    } rows[] = {
        {FILTER_NONE, "zzz", "", "", "=0 a=1 aa=2 ab=3 b=4"},
        {FILTER_ANYWHERE, "b", "", "", "ab=3 b=4"},
        {FILTER_ANYWHERE, "", "", "", "=0 a=1 aa=2 ab=3 b=4"},
        {FILTER_PREFIX, "a", "", "", "a=1 aa=2 ab=3"},
        {FILTER_PREFIX, "a", "aa", "", "aa=2 ab=3"},
        {FILTER_PREFIX, "a", "", "aa", "a=1 aa=2"},
        {FILTER_PREFIX, "b", "", "ab", ""},
        {FILTER_PREFIX, "a", "b", "", ""},
        {FILTER_POSTFIX, "b", "", "", "ab=3 b=4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct multi_get_request request = {
            .hash_key = str("hk"),
            .start_sortkey = str(rows[i].start),
            .stop_sortkey = str(rows[i].stop),
            .start_inclusive = true,
            .stop_inclusive = true,
            .sort_key_filter_type = rows[i].type,
            .sort_key_filter_pattern = str(rows[i].pattern),
        };
        assert_string_equal(multi_get(t, &request, RRDB_OK), rows[i].result);
    }
    struct multi_get_request bad = {.hash_key = str("hk"), .sort_key_filter_type = 4};
    assert_string_equal(multi_get(t, &bad, RRDB_INVALID_ARGUMENT), "");
}

/* A prefix filter raises an exclusive start to an inclusive one, but not past a start that is its own
 * pattern. */
static void test_prefix_filter_and_exclusive_start(void **state)
{
    struct table *t = *state;
    fill(t);
    struct multi_get_request request = {
        .hash_key = str("hk"),
        .sort_key_filter_type = FILTER_PREFIX,
        .sort_key_filter_pattern = str("a"),
    };
    assert_string_equal(multi_get(t, &request, RRDB_OK), "a=1 aa=2 ab=3");
    request.start_sortkey = str("a");
    assert_string_equal(multi_get(t, &request, RRDB_OK), "aa=2 ab=3");
}

/* Reverse takes from the end, but the answer is ascending all the same. */
static void test_reverse_takes_the_last_and_answers_ascending(void **state)
{
    struct table *t = *state;
    fill(t);
    struct multi_get_request request = {
        .hash_key = str("hk"),
        .start_inclusive = true,
        .reverse = true,
        .max_kv_count = 2,
    };
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "ab=3 b=4");
    request.stop_sortkey = str("ab");
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "a=1 aa=2");
    request.max_kv_count = 5;
    assert_string_equal(multi_get(t, &request, RRDB_OK), "=0 a=1 aa=2");
}

/* Sizes are checked before a record is added: the last may exceed, and one always fits. */
static void test_range_stops_at_limits(void **state)
{
    struct table *t = *state;
    fill(t);
    struct multi_get_request request = {.hash_key = str("hk"), .start_inclusive = true};
    request.max_kv_count = 5;
    assert_string_equal(multi_get(t, &request, RRDB_OK), "=0 a=1 aa=2 ab=3 b=4");
    request.max_kv_count = 4;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "=0 a=1 aa=2 ab=3");
    request.max_kv_count = 0;
    request.max_kv_size = 1;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "=0");
    request.max_kv_size = 2;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "=0 a=1");
    request.no_value = true;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "= a= aa=");
    request.no_value = false;
    request.max_kv_size = 0;
    t->partition.multi_get_size_max = 2;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "=0 a=1");
    t->partition.multi_get_size_max = 1 << 20;
    t->partition.multi_get_count_max = 2;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "=0 a=1");
}

/* Expired and filtered records are visits that count. */
static void test_range_counts_expired_and_filtered_as_visits(void **state)
{
    struct table *t = *state;
    table_put_until(t, "hk", "a", "1", TABLE_PAST_S);
    table_put_until(t, "hk", "b", "2", TABLE_PAST_S);
    table_put(t, "hk", "c", "3");
    table_put(t, "hk", "d", "4");
    struct multi_get_request request = {.hash_key = str("hk"), .start_inclusive = true};
    assert_string_equal(multi_get(t, &request, RRDB_OK), "c=3 d=4");
    t->partition.multi_get_count_max = 3;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "c=3");
    t->partition.multi_get_count_max = 2;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "");
    t->partition.multi_get_count_max = 3;
    request.sort_key_filter_type = FILTER_POSTFIX;
    request.sort_key_filter_pattern = str("d");
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "");
}

/* Deleted records are no visits, as in Pegasus, which has removed them: a queue whose head was consumed
 * still gives its next record. */
static void test_range_passes_over_tombstones(void **state)
{
    struct table *t = *state;
    for (int i = 0; i < 50; i++) {
        char name[8] = {(char)('a' + i / 10), (char)('0' + i % 10)};
        table_put(t, "hk", name, "x");
        table_del(t, "hk", name);
    }
    table_put(t, "hk", "z", "here");
    t->partition.multi_get_count_max = 2;
    struct multi_get_request request = {.hash_key = str("hk"), .start_inclusive = true};
    assert_string_equal(multi_get(t, &request, RRDB_OK), "z=here");
}

/* Even so a walk over tombstones ends somewhere; a count does not, or it would be wrong. */
static void test_tombstones_have_a_limit_of_their_own(void **state)
{
    struct table *t = *state;
    enum { COUNT = 100001 };
    uint32_t *names = arena_array(&t->arena, COUNT, sizeof *names);
    struct slice *keys = arena_array(&t->arena, COUNT, sizeof *keys);
    for (uint32_t i = 0; i < COUNT; i++) {
        names[i] = i;
        keys[i] = slice_of(&names[i], sizeof names[i]);
    }
    struct multi_remove_request remove = {.hash_key = str("hk"), .sort_keys = {keys, COUNT}};
    struct multi_remove_response removed;
    assert_int_equal(table_write(t, RPC_MULTI_REMOVE, &remove, &removed), 0);
    table_put(t, "hk", "\xff\xff\xff\xff\xff", "last");
    struct multi_get_request request = {.hash_key = str("hk"), .start_inclusive = true};
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "");
    struct bare_blob hash_key = {.value = str("hk")};
    struct count_response r;
    assert_int_equal(table_read(t, RPC_SORTKEY_COUNT, &hash_key, &r), 0);
    assert_int_equal(r.count, 1);
}

/* The clock is looked at every tenth of the visit limit; when time is up what was found is returned. */
static void test_range_ends_when_its_time_is_up(void **state)
{
    struct table *t = *state;
    fill(t);
    t->partition.multi_get_count_max = 20; /* A look every 2 visits. */
    t->partition.iteration_time_ms_max = 100;
    t->clock_step_ms = 99;
    struct multi_get_request request = {.hash_key = str("hk"), .start_inclusive = true};
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "=0 a=1 aa=2 ab=3");
    t->clock_step_ms = 100;
    assert_string_equal(multi_get(t, &request, RRDB_INCOMPLETE), "=0 a=1");
    t->partition.iteration_time_ms_max = 0; /* Off. */
    t->clock_looks = 0;
    assert_string_equal(multi_get(t, &request, RRDB_OK), "=0 a=1 aa=2 ab=3 b=4");
    assert_int_equal(t->clock_looks, 0);
}

/* A hash key that cannot be stored has no records, and one of ff bytes has an end too. */
static void test_range_of_odd_hash_keys(void **state)
{
    struct table *t = *state;
    table_put(t, "\xff\xff", "a", "1");
    table_put(t, "", "a", "2");
    table_put(t, "\x01", "a", "no");
    struct multi_get_request request = {.hash_key = str("\xff\xff"), .start_inclusive = true};
    assert_string_equal(multi_get(t, &request, RRDB_OK), "a=1");
    request.hash_key = str("");
    assert_string_equal(multi_get(t, &request, RRDB_OK), "a=2");
    request.hash_key = slice_of(arena_alloc(&t->arena, 65535), 65535);
    assert_string_equal(multi_get(t, &request, RRDB_OK), "");
}

/* ---- SORTKEY_COUNT ---- */

static struct count_response count(struct table *t, const char *hash_key)
{
    struct bare_blob request = {.value = str(hash_key)};
    struct count_response r;
    assert_int_equal(table_read(t, RPC_SORTKEY_COUNT, &request, &r), 0);
    assert_int_equal(r.error, RRDB_OK);
    return r;
}

/* Live records of one hash key, without limit; -1 and no error when it takes too long. */
static void test_count_counts_the_living(void **state)
{
    struct table *t = *state;
    fill(t);
    table_put_until(t, "hk", "expired", "v", TABLE_PAST_S);
    table_del(t, "hk", "b");
    t->partition.multi_get_count_max = 2;
    assert_int_equal(count(t, "hk").count, 4);
    assert_int_equal(count(t, "hj").count, 1);
    assert_int_equal(count(t, "none").count, 0);
    t->partition.iteration_time_ms_max = 5;
    t->clock_step_ms = 5;
    assert_int_equal(count(t, "hk").count, -1);
}

/* More rows than a loop has time for: the walk goes to the pool, and starts again there. */
static void test_long_walks_leave_the_loop(void **state)
{
    struct table *t = *state;
    enum { COUNT = 2500 };
    struct key_value *kvs = arena_array(&t->arena, COUNT, sizeof *kvs);
    for (uint32_t i = 0; i < COUNT; i++)
        kvs[i].key =
            slice_of(arena_copy(&t->arena, (uint8_t[]){(uint8_t)(i >> 8), (uint8_t)i}, 2), 2);
    struct multi_put_request put = {.hash_key = str("hk"), .kvs = {kvs, COUNT}};
    struct update_response response;
    assert_int_equal(table_write(t, RPC_MULTI_PUT, &put, &response), 0);

    struct bare_blob request = {.value = str("hk")};
    buf_clear(&t->body);
    thrift_write_args(&t->body, 0, &bare_blob_schema, &request);
    struct kv_context c = table_context(t);
    struct kv_read read;
    assert_int_equal(kv_read_begin(&read, RPC_SORTKEY_COUNT, buf_slice(&t->body), &t->arena, NULL),
                     0);
    assert_int_equal(kv_read_run(&read, &c, t->store, STORE_CACHED), E_AGAIN);
    assert_int_equal(kv_read_run(&read, &c, t->store, STORE_ANY), 0);
    assert_int_equal(read.response.count.count, COUNT);
    kv_read_fini(&read);
}

/* ---- What can go wrong ---- */

static void test_bytes_that_are_no_request_are_refused(void **state)
{
    struct table *t = *state;
    struct kv_read read;
    struct multi_get_request request = {.hash_key = str("hk"), .sort_keys = table_blobs(t, "a b")};
    thrift_write_args(&t->body, 1, &multi_get_request_schema, &request);
    for (size_t size = 0; size < t->body.size; size++)
        assert_int_not_equal(
            kv_read_begin(&read, RPC_MULTI_GET, slice_of(t->body.data, size), &t->arena, NULL), 0);
    assert_int_equal(kv_read_begin(&read, RPC_PUT, buf_slice(&t->body), &t->arena, NULL),
                     E_UNSUPPORTED);
    assert_int_equal(kv_read_begin(&read, RPC_UNKNOWN, buf_slice(&t->body), &t->arena, NULL),
                     E_UNSUPPORTED);
}

/* Each failed allocation costs this request only, and nothing is left behind. */
static void test_every_failed_allocation_is_an_answer(void **state)
{
    struct table *t = *state;
    fill(t);
    static const enum rpc_code rpcs[] = {RPC_MULTI_GET, RPC_MULTI_GET, RPC_BATCH_GET,
                                         RPC_GET_SCANNER};
    struct full_key full_key = {.hash_key = str("hk"), .sort_key = str("a")};
    struct multi_get_request by_range = {.hash_key = str("hk"), .start_inclusive = true};
    struct multi_get_request by_keys = {.hash_key = str("hk"), .sort_keys = table_blobs(t, "a b")};
    struct batch_get_request batch = {.keys = {&full_key, 1}};
    struct get_scanner_request scan = {
        .start_key = str(""), .stop_key = str("\xff\xff"), .batch_size = 2};
    const void *requests[] = {&by_range, &by_keys, &batch, &scan};
    for (size_t i = 0; i < 4; i++) {
        buf_clear(&t->body);
        thrift_write_args(&t->body, 1, rpc_info(rpcs[i])->request, requests[i]);
        bool has_failed = true;
        for (uint64_t nth = 1; has_failed; nth++) {
            struct arena arena = {0};
            struct kv_read read;
            struct kv_context c = table_context(t);
            mem_fail_nth(nth);
            int rc = kv_read_begin(&read, rpcs[i], buf_slice(&t->body), &arena, &t->scans);
            bool is_begun = rc == 0;
            if (is_begun) rc = kv_read_run(&read, &c, t->store, STORE_CACHED);
            has_failed = mem_has_failed();
            mem_fail_nth(0);
            assert_int_equal(rc, has_failed ? E_NOMEM : 0);
            if (is_begun) kv_read_fini(&read);
            arena_fini(&arena);
        }
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_get_tells_value_place_and_absence),
        STORY(test_get_allocates_nothing),
        STORY(test_reads_from_disk_give_the_same_answer),
        STORY(test_ttl_counts_down_and_ends),
        STORY(test_batch_get_keeps_the_order),
        STORY(test_batch_get_has_a_limit),
        STORY(test_multi_get_by_keys_ignores_everything_about_ranges),
        STORY(test_multi_get_by_keys_stops_at_the_clients_limits),
        STORY(test_multi_get_by_very_many_keys),
        STORY(test_range_obeys_its_bounds),
        STORY(test_range_obeys_its_filter),
        STORY(test_prefix_filter_and_exclusive_start),
        STORY(test_reverse_takes_the_last_and_answers_ascending),
        STORY(test_range_stops_at_limits),
        STORY(test_range_counts_expired_and_filtered_as_visits),
        STORY(test_range_passes_over_tombstones),
        STORY(test_tombstones_have_a_limit_of_their_own),
        STORY(test_range_ends_when_its_time_is_up),
        STORY(test_range_of_odd_hash_keys),
        STORY(test_count_counts_the_living),
        STORY(test_long_walks_leave_the_loop),
        STORY(test_bytes_that_are_no_request_are_refused),
        STORY(test_every_failed_allocation_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
