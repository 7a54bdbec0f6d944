/* tests/kv/test_scan.c: scans and what they remember (docs/data.md, S1 to S9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kv/table.h"
#include "sim/store/store_sim.h"
#include "wire/key.h"

static struct get_scanner_request full_scan(int32_t batch_size)
{
    return (struct get_scanner_request){
        .start_key = slice_of("\0", 2), /* Two zero bytes. */
        .stop_key = slice_of("\xff\xff", 2),
        .start_inclusive = true,
        .batch_size = batch_size,
    };
}

static struct get_scanner_request hash_scan(struct table *t, const char *start_sort_key)
{
    struct get_scanner_request request = full_scan(0);
    request.start_key = table_key(t, "hk", start_sort_key);
    request.stop_key = table_key(t, "hl", "");
    return request;
}

static struct scan_response open_scan(struct table *t, const struct get_scanner_request *request)
{
    struct scan_response r;
    assert_int_equal(table_read(t, RPC_GET_SCANNER, request, &r), 0);
    return r;
}

/* Sort keys and values; hash keys are left out. */
static const char *rows(struct table *t, const struct scan_response *r)
{
    struct key_value_list list = r->kvs;
    for (uint32_t i = 0; i < list.count; i++) {
        struct key_parts parts;
        assert_int_equal(key_split(list.items[i].key, &parts), 0);
        list.items[i].key = parts.sort_key;
    }
    return table_pairs(t, &list);
}

#define EXPECT(r, status, done, text)                                                              \
    do {                                                                                           \
        assert_int_equal((r).error, status);                                                       \
        assert_string_equal(rows(t, &(r)), text);                                                  \
        assert_int_equal((r).context_id == SCAN_CONTEXT_DONE, done);                               \
    } while (0)

static void fill(struct table *t)
{
    table_put(t, "h", "0", "short");
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "b", "2");
    table_put(t, "hk", "c", "3");
    table_put(t, "hl", "d", "4");
}

/* Batches in key order, a new id each time, -1 at the end; full raw keys come back. */
static void test_scan_goes_on_from_batch_to_batch(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = full_scan(2);
    struct scan_response first = open_scan(t, &request);
    assert_true(slice_equal(first.kvs.items[1].key, table_key(t, "hk", "a")));
    assert_int_equal(first.app_id, 2);
    assert_true(slice_is(first.server, "10.1.2.3:34801"));
    EXPECT(first, RRDB_OK, false, "0=short a=1");
    assert_true(first.context_id > UINT32_MAX);
    struct scan_response second = table_scan_next(t, first.context_id);
    EXPECT(second, RRDB_OK, false, "b=2 c=3");
    assert_true(second.context_id > first.context_id);
    struct scan_response third = table_scan_next(t, second.context_id);
    EXPECT(third, RRDB_OK, true, "d=4");
    assert_int_equal(t->scans.count, 0);
}

/* An id serves once; what is unknown is not found, and the client starts again. */
static void test_each_id_serves_one_scan(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = full_scan(1);
    struct scan_response r = open_scan(t, &request);
    int64_t id = r.context_id;
    table_scan_next(t, id);
    struct scan_response again = table_scan_next(t, id);
    assert_int_equal(again.error, RRDB_NOT_FOUND);
    assert_int_equal(again.kvs.count, 0);
    assert_int_equal(table_scan_next(t, 0).error, RRDB_NOT_FOUND);
    assert_int_equal(table_scan_next(t, -1).error, RRDB_NOT_FOUND);
    assert_int_equal(table_scan_next(t, INT64_MAX).error, RRDB_NOT_FOUND);
}

/* What is written after the scan was opened does not show, however it is read. */
static void test_scan_sees_its_snapshot(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = full_scan(2);
    struct scan_response r = open_scan(t, &request);
    table_put(t, "hk", "b", "changed");
    table_put(t, "hk", "bb", "new");
    table_del(t, "hk", "c");
    r = table_scan_next(t, r.context_id);
    EXPECT(r, RRDB_OK, false, "b=2 c=3");
}

/* Expiry is judged at each call, by the clock of that moment. */
static void test_scan_judges_expiry_when_it_reads(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "a", "1");
    table_put_until(t, "hk", "b", "2", TABLE_NOW_S + 5);
    table_put(t, "hk", "c", "3");
    struct get_scanner_request request = full_scan(1);
    struct scan_response r = open_scan(t, &request);
    t->now_s += 5;
    r = table_scan_next(t, r.context_id);
    EXPECT(r, RRDB_OK, false, ""); /* One visit, and it was for nothing. */
    r = table_scan_next(t, r.context_id);
    EXPECT(r, RRDB_OK, true, "c=3");
}

/* GET_SCANNER visits up to the table's limit, SCAN up to the batch size; both may come back with less
 * and go on. */
static void test_visits_of_a_call_are_limited(void **state)
{
    struct table *t = *state;
    for (char c = 'a'; c < 'i'; c++) table_put_until(t, "hk", (char[]){c, 0}, "v", TABLE_PAST_S);
    table_put(t, "hk", "z", "last");
    t->partition.scan_count_max = 4;
    struct get_scanner_request request = full_scan(2);
    struct scan_response r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, false, ""); /* a b c d */
    r = table_scan_next(t, r.context_id);
    EXPECT(r, RRDB_OK, false, ""); /* e f */
    r = table_scan_next(t, r.context_id);
    EXPECT(r, RRDB_OK, false, ""); /* g h */
    r = table_scan_next(t, r.context_id);
    EXPECT(r, RRDB_OK, true, "z=last");

    request = full_scan(100); /* The table's limit is smaller. */
    table_put(t, "hk", "y", "v");
    for (char c = 'a'; c < 'i'; c++) table_put(t, "hk", (char[]){c, 0}, "v");
    r = open_scan(t, &request);
    assert_int_equal(r.kvs.count, 4);
}

static void test_bounds_are_inclusive_or_not(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = hash_scan(t, "a");
    request.stop_key = table_key(t, "hk", "c");
    struct scan_response r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "a=1 b=2");
    request.stop_inclusive = true;
    request.start_inclusive = false;
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "b=2 c=3");

    /* Nothing inside: finished at once. */
    request.start_key = request.stop_key;
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "");
    request.stop_key = table_key(t, "hk", "a");
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "");
    request.stop_key = str("");
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "");
    request.stop_inclusive = false;
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "");
    request.stop_inclusive = true;
    request.start_inclusive = true;
    request.start_key = request.stop_key = table_key(t, "hk", "b");
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "b=2");
}

/* A scan that starts in a hash key ends with it, unless it says it is a full scan or stops where all
 * full scans stop: a client that resumes one does not say so. */
static void test_hash_scan_ends_with_its_hash_key(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = hash_scan(t, "b");
    request.stop_key = str("hl"); /* Malformed, as one client sends it: far beyond. */
    struct scan_response r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "b=2 c=3");
    request.full_scan = true;
    request.set = GET_SCANNER_REQUEST_HAS_FULL_SCAN;
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "b=2 c=3 d=4");
    request.full_scan = false;
    request.stop_key = slice_of("\xff\xff", 2);
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "b=2 c=3 d=4");

    request = full_scan(0); /* An empty hash key is a start like any other. */
    request.stop_key = table_key(t, "hk", "b");
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "0=short a=1");
}

static void test_both_filters_must_pass(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = full_scan(0);
    request.hash_key_filter_type = FILTER_PREFIX;
    request.hash_key_filter_pattern = str("hk");
    struct scan_response r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "a=1 b=2 c=3");
    request.sort_key_filter_type = FILTER_ANYWHERE;
    request.sort_key_filter_pattern = str("b");
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "b=2");
    request.hash_key_filter_type = FILTER_POSTFIX;
    request.hash_key_filter_pattern = str("h");
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "");
    request.hash_key_filter_type = 4;
    r = open_scan(t, &request);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    request.hash_key_filter_type = FILTER_NONE;
    request.sort_key_filter_type = -1;
    r = open_scan(t, &request);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
}

/* The filters and options of the first request hold for all batches, after its bytes are gone. */
static void test_options_outlive_their_request(void **state)
{
    struct table *t = *state;
    fill(t);
    char pattern[] = "hk";
    struct get_scanner_request request = full_scan(1);
    request.hash_key_filter_type = FILTER_PREFIX;
    request.hash_key_filter_pattern = str(pattern);
    request.no_value = true;
    struct scan_response r = open_scan(t, &request);
    memset(pattern, 'x', 2);
    memset(t->body.data, 'x', t->body.capacity);
    EXPECT(r, RRDB_OK, false, "a=");
    r = table_scan_next(t, r.context_id);
    EXPECT(r, RRDB_OK, false, "b=");
}

static void test_expiry_and_counts_are_returned_when_asked(void **state)
{
    struct table *t = *state;
    fill(t);
    table_put_until(t, "hk", "a", "1", TABLE_FAR_S);
    struct get_scanner_request request = full_scan(0);
    struct scan_response r = open_scan(t, &request);
    assert_int_equal(r.kvs.items[1].set, 0);
    assert_int_equal(r.set, 0);
    request.return_expire_ts = true;
    request.set = GET_SCANNER_REQUEST_HAS_RETURN_EXPIRE_TS;
    r = open_scan(t, &request);
    assert_int_equal(r.kvs.items[0].set, KEY_VALUE_HAS_EXPIRE_TS_SECONDS);
    assert_int_equal(r.kvs.items[0].expire_ts_seconds, 0);
    assert_int_equal(r.kvs.items[1].expire_ts_seconds, TABLE_FAR_S);

    request = full_scan(3);
    request.only_return_count = true;
    request.set = GET_SCANNER_REQUEST_HAS_ONLY_RETURN_COUNT;
    r = open_scan(t, &request);
    assert_int_equal(r.set, SCAN_RESPONSE_HAS_KV_COUNT);
    assert_int_equal(r.kv_count, 3);
    assert_int_equal(r.kvs.count, 0);
    r = table_scan_next(t, r.context_id);
    assert_int_equal(r.set, SCAN_RESPONSE_HAS_KV_COUNT);
    assert_int_equal(r.kv_count, 2);
    assert_int_equal(r.context_id, SCAN_CONTEXT_DONE);
}

/* Rows that a split left behind are dropped when both the table and the request say so; a request that
 * says nothing says so. */
static void test_rows_of_other_partitions_are_left_out(void **state)
{
    struct table *t = *state;
    fill(t); /* crc64 of "hk" ends in 3: partition 1 of 2. */
    t->partition.count = 2;
    t->partition.index = 1;
    struct get_scanner_request request = full_scan(0);
    request.hash_key_filter_type = FILTER_PREFIX;
    request.hash_key_filter_pattern = str("hk");
    struct scan_response r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "a=1 b=2 c=3");
    t->partition.index = 0;
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "a=1 b=2 c=3"); /* The table does not ask for it. */
    t->partition.validates_partition_hash = true;
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "");
    request.set = GET_SCANNER_REQUEST_HAS_VALIDATE_PARTITION_HASH; /* Set, and false. */
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "a=1 b=2 c=3");
    request.validate_partition_hash = true;
    t->partition.index = 1;
    r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, true, "a=1 b=2 c=3");
}

/* A prefix of hash keys is where the walk begins: what lies before it is no visit. */
static void test_hash_prefix_raises_the_start(void **state)
{
    struct table *t = *state;
    fill(t);
    t->partition.scan_count_max = 1;
    struct get_scanner_request request = full_scan(1);
    request.hash_key_filter_type = FILTER_PREFIX;
    request.hash_key_filter_pattern = str("hk");
    struct scan_response r = open_scan(t, &request);
    EXPECT(r, RRDB_OK, false, "a=1");
}

/* Only the first batch comes from memory. The others may need the disk, and are never read on a loop. */
static void test_later_batches_may_read_from_disk(void **state)
{
    struct table *t = *state;
    for (char c = 'a'; c <= 'z'; c++) table_put(t, "hk", (char[]){c, 0}, "v");
    struct get_scanner_request request = full_scan(1);
    struct scan_response r = open_scan(t, &request);
    struct store_sim_faults faults = {.again_percent = 100};
    store_sim_faults_set(t->disk, &faults);

    struct scan_request more = {.context_id = r.context_id};
    buf_clear(&t->body);
    thrift_write_args(&t->body, 0, &scan_request_schema, &more);
    struct kv_read read;
    struct kv_context c = table_context(t);
    assert_int_equal(kv_read_begin(&read, RPC_SCAN, buf_slice(&t->body), &t->arena, &t->scans), 0);
    assert_int_equal(kv_read_run(&read, &c, t->store, STORE_CACHED), E_AGAIN);
    assert_int_equal(kv_read_run(&read, &c, t->store, STORE_ANY), 0);
    struct kv_reply reply = kv_read_end(&read, &t->partition, &t->scans, 0);
    r.context_id = ((const struct scan_response *)reply.body)->context_id;
    kv_read_fini(&read);

    uint32_t count = 2;
    while (r.context_id != SCAN_CONTEXT_DONE) {
        r = table_scan_next(t, r.context_id);
        assert_int_equal(r.error, RRDB_OK);
        count += r.kvs.count;
    }
    assert_int_equal(count, 26);
}

/* Time is up: what was found is returned as incomplete, and no scan is kept. */
static void test_scan_out_of_time_is_incomplete(void **state)
{
    struct table *t = *state;
    fill(t);
    t->partition.scan_count_max = 20;
    t->partition.iteration_time_ms_max = 100;
    t->clock_step_ms = 100;
    struct get_scanner_request request = full_scan(0);
    struct scan_response r = open_scan(t, &request);
    assert_int_equal(r.error, RRDB_INCOMPLETE);
    assert_string_equal(rows(t, &r), "0=short a=1");
    assert_int_equal(r.context_id, 0);
    request.batch_size = 1; /* Full before the first look, and late at its end. */
    r = open_scan(t, &request);
    assert_int_equal(r.error, RRDB_INCOMPLETE);
    assert_string_equal(rows(t, &r), "0=short");
    assert_int_equal(t->scans.count, 0);
}

/* ---- Waiting ---- */

static void test_waiting_scans_end_after_five_minutes(void **state)
{
    struct table *t = *state;
    fill(t);
    assert_true(kv_scans_expire(&t->scans, 0) == UINT64_MAX);
    struct get_scanner_request request = full_scan(1);
    int64_t first = open_scan(t, &request).context_id;
    t->clock_ms += 1000;
    int64_t second = open_scan(t, &request).context_id;
    assert_int_equal(kv_scans_expire(&t->scans, 299999), 300000);
    assert_int_equal(t->scans.count, 2);
    assert_int_equal(kv_scans_expire(&t->scans, 300000), 301000);
    assert_int_equal(table_scan_next(t, first).error, RRDB_NOT_FOUND);
    second = table_scan_next(t, second).context_id; /* Using it begins its time anew. */
    t->clock_ms += 1000;
    assert_int_equal(kv_scans_expire(&t->scans, 300999), 301000);
    assert_int_equal(table_scan_next(t, second).error, RRDB_OK);
}

static void test_clear_scanner_ends_a_scan_without_an_answer(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = full_scan(1);
    struct bare_i64 id = {.value = open_scan(t, &request).context_id};
    buf_clear(&t->result);
    struct scan_response none;
    assert_int_equal(table_read(t, RPC_CLEAR_SCANNER, &id, &none), 0);
    assert_int_equal(t->result.size, 0);
    assert_int_equal(t->scans.count, 0);
    assert_int_equal(table_read(t, RPC_CLEAR_SCANNER, &id, &none), 0);
    id.value = -5;
    assert_int_equal(table_read(t, RPC_CLEAR_SCANNER, &id, &none), 0);
}

/* 64 may wait. One more closes the oldest; one that is used all the time does not push out others by
 * the many ids it takes. */
static void test_room_is_made_by_closing_the_oldest(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = full_scan(1);
    int64_t ids[65];
    for (size_t i = 0; i < 64; i++) ids[i] = open_scan(t, &request).context_id;
    assert_int_equal(t->scans.count, 64);
    ids[64] = open_scan(t, &request).context_id;
    assert_int_equal(t->scans.count, 64);
    assert_int_equal(table_scan_next(t, ids[0]).error, RRDB_NOT_FOUND);
    assert_int_equal(table_scan_next(t, ids[1]).error, RRDB_OK);

    kv_scans_drop(&t->scans);
    assert_int_equal(t->scans.count, 0);
    int64_t slow = open_scan(t, &request).context_id;
    for (int i = 0; i < 200; i++) {
        struct scan_response r = open_scan(t, &request);
        while (r.context_id != SCAN_CONTEXT_DONE) r = table_scan_next(t, r.context_id);
    }
    assert_int_equal(table_scan_next(t, slow).error, RRDB_OK);
}

/* Bytes are limited too: filters are the client's, and may be large. */
static void test_bytes_of_waiting_scans_are_limited(void **state)
{
    struct table *t = *state;
    fill(t);
    struct get_scanner_request request = full_scan(1);
    struct scan_response r;
    request.sort_key_filter_type = FILTER_NONE;
    request.sort_key_filter_pattern = slice_of(arena_alloc(&t->arena, 300000), 300000);
    for (int i = 0; i < 10; i++) r = open_scan(t, &request);
    assert_int_equal(t->scans.count, 3);
    assert_true(t->scans.size <= 1 << 20);
    assert_int_equal(table_scan_next(t, r.context_id).error, RRDB_OK);
    kv_scans_drop(&t->scans);
    assert_int_equal(t->scans.size, 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_scan_goes_on_from_batch_to_batch),
        STORY(test_each_id_serves_one_scan),
        STORY(test_scan_sees_its_snapshot),
        STORY(test_scan_judges_expiry_when_it_reads),
        STORY(test_visits_of_a_call_are_limited),
        STORY(test_bounds_are_inclusive_or_not),
        STORY(test_hash_scan_ends_with_its_hash_key),
        STORY(test_both_filters_must_pass),
        STORY(test_options_outlive_their_request),
        STORY(test_expiry_and_counts_are_returned_when_asked),
        STORY(test_rows_of_other_partitions_are_left_out),
        STORY(test_hash_prefix_raises_the_start),
        STORY(test_later_batches_may_read_from_disk),
        STORY(test_scan_out_of_time_is_incomplete),
        STORY(test_waiting_scans_end_after_five_minutes),
        STORY(test_clear_scanner_ends_a_scan_without_an_answer),
        STORY(test_room_is_made_by_closing_the_oldest),
        STORY(test_bytes_of_waiting_scans_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
