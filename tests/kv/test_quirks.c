/* tests/kv/test_quirks.c: what the clients of Pegasus rely on, and what they send without meaning it. Each
 * story names the client that would notice. (docs/data.md; framing and routes have theirs in tests/wire
 * and tests/node.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kv/table.h"
#include "wire/key.h"

static struct scan_response open_scan(struct table *t, struct slice start, struct slice stop,
                                      int32_t batch_size)
{
    struct get_scanner_request request = {
        .start_key = start, .stop_key = stop, .start_inclusive = true, .batch_size = batch_size};
    struct scan_response r;
    assert_int_equal(table_read(t, RPC_GET_SCANNER, &request, &r), 0);
    return r;
}

/* All clients: a scanner whose context is lost begins again behind its last batch that was not empty; from its
 * start key, when there was none, so that rows come twice. Python's cannot begin again at all. So a context
 * waits its full time also when its batch was empty. */
static void test_scan_is_kept_after_an_empty_batch(void **state)
{
    struct table *t = *state;
    for (const char *c = "a\0b\0c\0d\0"; *c != 0; c += 2)
        table_put_until(t, "hk", c, "v", TABLE_PAST_S);
    table_put(t, "hk", "z", "last");
    t->partition.scan_count_max = 2;
    struct scan_response r = open_scan(t, slice_of("\0", 2), slice_of("\xff\xff", 2), 2);
    for (int batch = 0; batch < 2; batch++) {
        assert_int_equal(r.error, RRDB_OK);
        assert_int_equal(r.kvs.count, 0);
        assert_true(r.context_id >= 0);
        assert_true(kv_scans_expire(&t->scans, t->clock_ms + KV_SCANS_LIFE_MS - 1) != UINT64_MAX);
        assert_int_equal(t->scans.count, 1);
        r = table_scan_next(t, r.context_id);
    }
    assert_int_equal(r.error, RRDB_OK);
    assert_int_equal(r.kvs.count, 1);
    assert_true(slice_is(r.kvs.items[0].value, "last"));
}

/* Node.js: a ttl is sent as so many seconds, where everybody else sends the second at which the record ends.
 * That second has long passed: the record is written, and expired at once. Nobody could tell it from a
 * time that is meant, so nobody tries. */
static void test_plain_seconds_are_a_time_long_ago(void **state)
{
    struct table *t = *state;
    struct kv_row row;
    table_put(t, "hk", "a", "before");
    table_put_until(t, "hk", "a", "for a day", 86400);
    assert_null(table_get(t, "hk", "a"));
    assert_true(table_row(t, "hk", "a", &row));
    assert_int_equal(row.expire_ts, 86400);
}

/* Node.js: the sort keys of its multiGet travel under a name that no field has. What arrives is a range over
 * the whole hash key, and it begins behind the empty sort key, for start_inclusive is not set. Python leaves
 * that unset too. */
static void test_multi_get_of_nothing_is_the_whole_hash_key(void **state)
{
    struct table *t = *state;
    struct multi_get_request request = {.hash_key = str("hk")};
    struct multi_get_response r;
    table_put(t, "hk", "", "0");
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "b", "2");
    assert_int_equal(table_read(t, RPC_MULTI_GET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_OK);
    assert_string_equal(table_pairs(t, &r.kvs), "a=1 b=2");
}

/* Python: a hash scan without a stop sort key stops before the successor of the bare hash key, without the two
 * bytes of its length. That lies behind every raw key, so the scan ends with its hash key by itself. */
static void test_stop_key_without_a_length_ends_with_the_hash_key(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "b", "2");
    table_put(t, "hl", "c", "3");
    struct scan_response r = open_scan(t, table_key(t, "hk", ""), slice_str("hl"), 100);
    assert_int_equal(r.error, RRDB_OK);
    assert_int_equal(r.kvs.count, 2);
    assert_int_equal(r.context_id, SCAN_CONTEXT_DONE);
}

/* Go: its hash scan stops at the sort key ff ff, whatever lies behind. */
static void test_stop_sort_key_of_ff_ff_is_obeyed(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "a", "1");
    table_put(t, "hk", "\xff\xff\x01", "behind");
    struct scan_response r =
        open_scan(t, table_key(t, "hk", ""), table_key(t, "hk", "\xff\xff"), 100);
    assert_int_equal(r.kvs.count, 1);
    assert_int_equal(r.context_id, SCAN_CONTEXT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scan_is_kept_after_an_empty_batch, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_plain_seconds_are_a_time_long_ago, table_setup,
                                        table_teardown),
        cmocka_unit_test_setup_teardown(test_multi_get_of_nothing_is_the_whole_hash_key,
                                        table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_stop_key_without_a_length_ends_with_the_hash_key,
                                        table_setup, table_teardown),
        cmocka_unit_test_setup_teardown(test_stop_sort_key_of_ff_ff_is_obeyed, table_setup,
                                        table_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
