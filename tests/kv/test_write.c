/* tests/kv/test_write.c: the writes of ordinary clients, rule by rule (docs/data.md, E1 to E9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kv/table.h"

/* Everything an answer of a write says about where it was decided. */
#define ASSERT_PLACE(t, r)                                                                         \
    do {                                                                                           \
        assert_int_equal((r).app_id, 2);                                                           \
        assert_int_equal((r).partition_index, 0);                                                  \
        assert_true(slice_is((r).server, "10.1.2.3:34801"));                                       \
    } while (0)

/* A put and a delete are rows with the timetag of the write and our cluster id; a delete is a row too. */
static void test_writes_carry_their_timetag_and_deletes_stay(void **state)
{
    struct table *t = *state;
    struct kv_row row;
    struct update_request put = {.key = table_key(t, "hk", "sk"), .value = str("value")};
    struct update_response response;
    assert_int_equal(table_write(t, RPC_PUT, &put, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
    assert_int_equal(response.decree, 1);
    ASSERT_PLACE(t, response);
    assert_int_equal(t->lookups, 0);
    assert_true(table_row(t, "hk", "sk", &row));
    assert_true(row.timetag == timetag_make(t->timestamp_us, 1, false));
    assert_true(slice_is(row.data, "value"));

    struct bare_blob remove = {.value = put.key};
    assert_int_equal(table_write(t, RPC_REMOVE, &remove, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
    assert_int_equal(response.decree, 2);
    assert_null(table_get(t, "hk", "sk"));
    assert_true(table_row(t, "hk", "sk", &row));
    assert_true(row.timetag == timetag_make(t->timestamp_us, 1, true));
    assert_int_equal(row.data.size, 0);

    /* What was never there is removed just the same. */
    table_del(t, "never", "seen");
    assert_true(table_row(t, "never", "seen", &row));
}

/* Between servers a put of type 4 means a delete; from a client the field means nothing. */
static void test_put_of_a_client_has_no_type(void **state)
{
    struct table *t = *state;
    struct update_request put = {
        .set = UPDATE_REQUEST_HAS_TYPE,
        .key = table_key(t, "hk", "sk"),
        .value = str("kept"),
        .type = UPDATE_CHECK_AND_MUTATE_REMOVE,
    };
    struct update_response response;
    assert_int_equal(table_write(t, RPC_PUT, &put, &response), 0);
    assert_string_equal(table_get(t, "hk", "sk"), "kept");
}

/* Empty hash keys, sort keys and values are keys and values. */
static void test_empty_parts_are_fine(void **state)
{
    struct table *t = *state;
    table_put(t, "", "", "nothing");
    table_put(t, "hk", "", "");
    assert_string_equal(table_get(t, "", ""), "nothing");
    assert_string_equal(table_get(t, "hk", ""), "");
}

/* A raw key that is shorter than it says is refused before it can reach a log. */
static void test_malformed_keys_are_refused(void **state)
{
    struct table *t = *state;
    static const struct slice bad[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"\0", 1},
        {(const uint8_t *)"\0\3hk", 4},
        {(const uint8_t *)"\xff\xff", 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct update_response response;
        struct incr_response incremented;
        struct update_request put = {.key = bad[i]};
        struct bare_blob remove = {.value = bad[i]};
        struct incr_request incr = {.key = bad[i]};
        assert_int_equal(table_write(t, RPC_PUT, &put, &response), 0);
        assert_int_equal(response.error, RRDB_INVALID_ARGUMENT);
        assert_int_equal(response.decree, -1);
        assert_int_equal(table_write(t, RPC_REMOVE, &remove, &response), 0);
        assert_int_equal(response.error, RRDB_INVALID_ARGUMENT);
        assert_int_equal(table_write(t, RPC_INCR, &incr, &incremented), 0);
        assert_int_equal(incremented.error, RRDB_INVALID_ARGUMENT);
        assert_false(t->write.has_effects);
        assert_non_null(t->write.reason);
    }
}

/* The absolute expiry is taken as it comes, as 32 unsigned bits; 0 gets the table's default. */
static void test_default_ttl_is_given_to_writes_without_expiry(void **state)
{
    struct table *t = *state;
    struct kv_row row;
    table_put(t, "hk", "before", "v");
    t->partition.default_ttl_s = 60;
    table_put(t, "hk", "default", "v");
    table_put_until(t, "hk", "own", "v", TABLE_FAR_S);
    table_put_until(t, "hk", "large", "v", 0xfffffff0);
    assert_true(table_row(t, "hk", "before", &row) && row.expire_ts == 0);
    assert_true(table_row(t, "hk", "default", &row) && row.expire_ts == TABLE_NOW_S + 60);
    assert_true(table_row(t, "hk", "own", &row) && row.expire_ts == TABLE_FAR_S);
    assert_true(table_row(t, "hk", "large", &row) && row.expire_ts == 0xfffffff0);
    assert_string_equal(table_get(t, "hk", "large"), "v");

    table_del(t, "hk", "default"); /* A tombstone does not expire. */
    assert_true(table_row(t, "hk", "default", &row) && row.expire_ts == 0);
    t->partition.default_ttl_s = UINT32_MAX;
    table_put(t, "hk", "ever", "v");
    assert_true(table_row(t, "hk", "ever", &row) && row.expire_ts == UINT32_MAX);
}

/* Expired is absent; the second in which it expires counts. */
static void test_expired_rows_are_absent(void **state)
{
    struct table *t = *state;
    table_put_until(t, "hk", "sk", "v", TABLE_NOW_S + 10);
    t->now_s = TABLE_NOW_S + 9;
    assert_string_equal(table_get(t, "hk", "sk"), "v");
    t->now_s = TABLE_NOW_S + 10;
    assert_null(table_get(t, "hk", "sk"));
}

static int multi_put(struct table *t, const char *words, struct update_response *response)
{
    /* "a 1 b 2": sort keys and values in turn. */
    struct blob_list list = table_blobs(t, words);
    struct multi_put_request request = {.hash_key = str("hk")};
    request.kvs.items = arena_array(&t->arena, list.count / 2 + 1, sizeof *request.kvs.items);
    request.kvs.count = list.count / 2;
    for (uint32_t i = 0; i < request.kvs.count; i++)
        request.kvs.items[i] = (struct key_value){
            .set = KEY_VALUE_HAS_EXPIRE_TS_SECONDS,
            .key = list.items[2 * i],
            .value = list.items[2 * i + 1],
            .expire_ts_seconds = 1, /* Of an item: ignored. */
        };
    return table_write(t, RPC_MULTI_PUT, &request, response);
}

/* All items in one mutation under one decree; of a sort key given twice only the later is written, so
 * that no two ops of a mutation have one key. */
static void test_multi_put_writes_each_key_once_and_the_later_wins(void **state)
{
    struct table *t = *state;
    struct update_response response;
    assert_int_equal(multi_put(t, "a 1 b 2 a 3 c 4", &response), 0);
    assert_int_equal(response.error, RRDB_OK);
    assert_int_equal(response.decree, 1);
    ASSERT_PLACE(t, response);
    assert_int_equal(t->mutation.op_count, 3);
    assert_string_equal(table_get(t, "hk", "a"), "3");
    assert_string_equal(table_get(t, "hk", "b"), "2");
    assert_string_equal(table_get(t, "hk", "c"), "4");

    assert_int_equal(multi_put(t, "", &response), 0);
    assert_int_equal(response.error, RRDB_INVALID_ARGUMENT);
    assert_false(t->write.has_effects);
}

/* The count is that of the request, whatever existed; max_count is ignored; an empty list is refused. */
static void test_multi_remove_counts_what_was_asked(void **state)
{
    struct table *t = *state;
    struct multi_remove_response response;
    struct update_response put;
    assert_int_equal(multi_put(t, "a 1 b 2", &put), 0);
    struct multi_remove_request request = {
        .hash_key = str("hk"),
        .sort_keys = table_blobs(t, "a x a"),
        .max_count = 1,
    };
    assert_int_equal(table_write(t, RPC_MULTI_REMOVE, &request, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
    assert_int_equal(response.count, 3);
    assert_int_equal(response.decree, 2);
    ASSERT_PLACE(t, response);
    assert_int_equal(t->mutation.op_count, 2);
    assert_null(table_get(t, "hk", "a"));
    assert_string_equal(table_get(t, "hk", "b"), "2");

    request.sort_keys.count = 0;
    assert_int_equal(table_write(t, RPC_MULTI_REMOVE, &request, &response), 0);
    assert_int_equal(response.error, RRDB_INVALID_ARGUMENT);
    assert_int_equal(response.count, 0);
}

/* A long hash key times many sort keys would be a mutation that nobody can carry. */
static void test_effects_larger_than_a_mutation_are_refused(void **state)
{
    struct table *t = *state;
    enum { HASH_SIZE = 60000, COUNT = 300 };
    struct multi_remove_request request = {
        .hash_key = slice_of(arena_alloc(&t->arena, HASH_SIZE), HASH_SIZE),
        .sort_keys = {arena_array(&t->arena, COUNT, sizeof(struct slice)), COUNT},
    };
    assert_int_equal(table_write(t, RPC_MULTI_REMOVE, &request, NULL), E_LIMIT);
    request.sort_keys.count = COUNT / 2;
    assert_int_equal(table_write(t, RPC_MULTI_REMOVE, &request, NULL), 0);

    struct multi_remove_response response;
    request.hash_key = slice_of(arena_alloc(&t->arena, 65535), 65535);
    request.sort_keys.count = 1;
    assert_int_equal(table_write(t, RPC_MULTI_REMOVE, &request, &response), 0);
    assert_int_equal(response.error, RRDB_INVALID_ARGUMENT);
}

static void test_bodies_are_limited_and_duplicates_less_so(void **state)
{
    (void)state;
    const size_t mib = 1 << 20;
    assert_int_equal(kv_write_check_size(RPC_PUT, mib, mib), 0);
    assert_int_equal(kv_write_check_size(RPC_PUT, mib + 1, mib), E_LIMIT);
    assert_int_equal(kv_write_check_size(RPC_PUT, 8 * mib, 0), 0);
    assert_int_equal(kv_write_check_size(RPC_PUT, 8 * mib + 1, 0), E_LIMIT);
    assert_int_equal(kv_write_check_size(RPC_DUPLICATE, 8 * mib, mib), 0);
    assert_int_equal(kv_write_check_size(RPC_DUPLICATE, 8 * mib + 1, mib), E_LIMIT);
}

/* ---- INCR ---- */

static struct incr_response incr(struct table *t, const char *sort_key, int64_t by,
                                 int32_t expire_ts)
{
    struct incr_request request = {
        .key = table_key(t, "n", sort_key),
        .increment = by,
        .expire_ts_seconds = expire_ts,
    };
    struct incr_response response;
    assert_int_equal(table_write(t, RPC_INCR, &request, &response), 0);
    return response;
}

static void test_incr_counts_from_what_is_there(void **state)
{
    struct table *t = *state;
    struct incr_response r = incr(t, "new", 5, 0);
    assert_int_equal(r.error, RRDB_OK);
    assert_int_equal(r.new_value, 5);
    assert_int_equal(r.decree, 1);
    ASSERT_PLACE(t, r);
    assert_string_equal(table_get(t, "n", "new"), "5");
    assert_int_equal(incr(t, "new", -17, 0).new_value, -12);
    assert_string_equal(table_get(t, "n", "new"), "-12");
    assert_int_equal(incr(t, "new", 0, 0).new_value, -12);

    table_put(t, "n", "empty", "");
    assert_int_equal(incr(t, "empty", 3, 0).new_value, 3);
    table_put(t, "n", "hex", " 0x10");
    assert_int_equal(incr(t, "hex", 1, 0).new_value, 17);
    assert_string_equal(table_get(t, "n", "hex"), "17");
    table_put_until(t, "n", "expired", "41", TABLE_PAST_S);
    assert_int_equal(incr(t, "expired", 1, 0).new_value, 1);
    table_put(t, "n", "deleted", "41");
    table_del(t, "n", "deleted");
    assert_int_equal(incr(t, "deleted", 1, 0).new_value, 1);
}

/* 0 keeps the expiry that is there, more sets it, less clears it; what ends without one gets the
 * default. */
static void test_incr_has_expiry_rules_of_its_own(void **state)
{
    struct table *t = *state;
    struct kv_row row;
    incr(t, "a", 1, TABLE_FAR_S);
    assert_true(table_row(t, "n", "a", &row) && row.expire_ts == TABLE_FAR_S);
    incr(t, "a", 1, 0);
    assert_true(table_row(t, "n", "a", &row) && row.expire_ts == TABLE_FAR_S);
    incr(t, "a", 1, TABLE_FAR_S + 5);
    assert_true(table_row(t, "n", "a", &row) && row.expire_ts == TABLE_FAR_S + 5);
    incr(t, "a", 1, -1);
    assert_true(table_row(t, "n", "a", &row) && row.expire_ts == 0);
    incr(t, "missing", 1, -1);
    assert_true(table_row(t, "n", "missing", &row) && row.expire_ts == 0);

    table_put_until(t, "n", "expired", "1", TABLE_PAST_S);
    incr(t, "expired", 1, 0); /* Nothing is kept of what is absent. */
    assert_true(table_row(t, "n", "expired", &row) && row.expire_ts == 0);
    t->partition.default_ttl_s = 60;
    incr(t, "fresh", 1, 0);
    assert_true(table_row(t, "n", "fresh", &row) && row.expire_ts == TABLE_NOW_S + 60);
}

/* Nothing is written, and an overflow tells the value that is still there. */
static void test_incr_refuses_text_and_overflow(void **state)
{
    struct table *t = *state;
    table_put(t, "n", "text", "12 ");
    struct incr_response r = incr(t, "text", 1, 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    assert_int_equal(r.new_value, 0);
    assert_int_equal(r.decree, -1);
    assert_false(t->write.has_effects);

    table_put(t, "n", "max", "9223372036854775807");
    r = incr(t, "max", 1, 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    assert_true(r.new_value == INT64_MAX);
    table_put(t, "n", "min", "-9223372036854775808");
    r = incr(t, "min", -1, 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    assert_true(r.new_value == INT64_MIN);
    assert_string_equal(table_get(t, "n", "min"), "-9223372036854775808");
}

/* ---- CHECK_AND_SET, CHECK_AND_MUTATE ---- */

static struct check_and_set_request cas(int32_t check_type, const char *operand, const char *value)
{
    return (struct check_and_set_request){
        .hash_key = str("hk"),
        .check_sort_key = str("c"),
        .check_type = check_type,
        .check_operand = str(operand),
        .set_value = str(value),
        .return_check_value = true,
    };
}

/* The value before the write comes back; with set_diff_sort_key another key is written. */
static void test_check_and_set_writes_when_the_check_holds(void **state)
{
    struct table *t = *state;
    struct check_and_set_response r;
    struct check_and_set_request request = cas(CAS_VALUE_NOT_EXIST, "", "1");
    request.set_sort_key = str("ignored");
    request.set_expire_ts_seconds = TABLE_FAR_S;
    assert_int_equal(table_write(t, RPC_CHECK_AND_SET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_OK);
    assert_int_equal(r.decree, 1);
    ASSERT_PLACE(t, r);
    assert_true(r.check_value_returned);
    assert_false(r.check_value_exist);
    assert_string_equal(table_get(t, "hk", "c"), "1");
    assert_null(table_get(t, "hk", "ignored"));
    struct kv_row row;
    assert_true(table_row(t, "hk", "c", &row) && row.expire_ts == TABLE_FAR_S);

    request = cas(CAS_VALUE_INT_EQUAL, "1", "other");
    request.set_diff_sort_key = true;
    request.set_sort_key = str("d");
    assert_int_equal(table_write(t, RPC_CHECK_AND_SET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_OK);
    assert_true(r.check_value_exist);
    assert_true(slice_is(r.check_value, "1"));
    assert_string_equal(table_get(t, "hk", "c"), "1");
    assert_string_equal(table_get(t, "hk", "d"), "other");
}

/* Not passed, not comparable, not a check: three answers, no effects. The value is returned with the
 * first two, if it was asked for and exists. */
static void test_check_and_set_tells_why_not(void **state)
{
    struct table *t = *state;
    struct check_and_set_response r;
    table_put(t, "hk", "c", "text");
    struct check_and_set_request request = cas(CAS_VALUE_NOT_EXIST, "", "1");
    assert_int_equal(table_write(t, RPC_CHECK_AND_SET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_TRY_AGAIN);
    assert_int_equal(r.decree, -1);
    assert_false(t->write.has_effects);
    assert_true(r.check_value_returned && r.check_value_exist && slice_is(r.check_value, "text"));

    request.return_check_value = false;
    assert_int_equal(table_write(t, RPC_CHECK_AND_SET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_TRY_AGAIN);
    assert_true(!r.check_value_returned && !r.check_value_exist && r.check_value.size == 0);

    request = cas(CAS_VALUE_INT_LESS, "5", "1");
    assert_int_equal(table_write(t, RPC_CHECK_AND_SET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    assert_true(r.check_value_returned && slice_is(r.check_value, "text"));

    request = cas(18, "5", "1");
    assert_int_equal(table_write(t, RPC_CHECK_AND_SET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    assert_false(r.check_value_returned);

    table_put_until(t, "hk", "c", "7", TABLE_PAST_S);
    request = cas(CAS_VALUE_INT_GREATER, "not a number", "1");
    assert_int_equal(table_write(t, RPC_CHECK_AND_SET, &request, &r), 0);
    assert_int_equal(r.error, RRDB_TRY_AGAIN);
    assert_true(r.check_value_returned && !r.check_value_exist);
}

static struct check_and_mutate_request cam(struct mutate *list, uint32_t count)
{
    return (struct check_and_mutate_request){
        .hash_key = str("hk"),
        .check_sort_key = str("c"),
        .check_type = CAS_VALUE_EXIST,
        .mutate_list = {list, count},
        .return_check_value = true,
    };
}

/* In order, atomically, and the last word on a key is the only one that is written. */
static void test_check_and_mutate_applies_its_list_in_order(void **state)
{
    struct table *t = *state;
    struct check_and_mutate_response r;
    table_put(t, "hk", "c", "here");
    struct mutate list[] = {
        {.operation = MUTATE_PUT, .sort_key = str("a"), .value = str("1")},
        {.operation = MUTATE_DELETE, .sort_key = str("a"), .value = str("ignored")},
        {.operation = MUTATE_DELETE, .sort_key = str("b")},
        {.operation = MUTATE_PUT,
         .sort_key = str("b"),
         .value = str("2"),
         .set_expire_ts_seconds = TABLE_FAR_S},
        {.operation = MUTATE_PUT, .sort_key = str("c"), .value = str("3")},
    };
    struct check_and_mutate_request request = cam(list, 5);
    assert_int_equal(table_write(t, RPC_CHECK_AND_MUTATE, &request, &r), 0);
    assert_int_equal(r.error, RRDB_OK);
    assert_int_equal(r.decree, 2);
    ASSERT_PLACE(t, r);
    assert_true(r.check_value_exist && slice_is(r.check_value, "here"));
    assert_int_equal(t->mutation.op_count, 3);
    struct kv_row row;
    assert_true(table_row(t, "hk", "a", &row) && timetag_is_deleted(row.timetag));
    assert_true(table_row(t, "hk", "b", &row) && row.expire_ts == TABLE_FAR_S);
    assert_string_equal(table_get(t, "hk", "b"), "2");
    assert_string_equal(table_get(t, "hk", "c"), "3");
}

static void test_check_and_mutate_refuses_what_it_cannot_do(void **state)
{
    struct table *t = *state;
    struct check_and_mutate_response r;
    struct mutate list[] = {{.operation = MUTATE_PUT, .sort_key = str("a")}, {.operation = 2}};
    table_put(t, "hk", "c", "here");

    struct check_and_mutate_request request = cam(list, 0);
    assert_int_equal(table_write(t, RPC_CHECK_AND_MUTATE, &request, &r), 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    assert_false(r.check_value_returned);
    request = cam(list, 2);
    assert_int_equal(table_write(t, RPC_CHECK_AND_MUTATE, &request, &r), 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    assert_false(r.check_value_returned);
    request = cam(list, 1);
    request.check_type = -1;
    assert_int_equal(table_write(t, RPC_CHECK_AND_MUTATE, &request, &r), 0);
    assert_int_equal(r.error, RRDB_INVALID_ARGUMENT);
    request.check_type = CAS_VALUE_NOT_EXIST;
    assert_int_equal(table_write(t, RPC_CHECK_AND_MUTATE, &request, &r), 0);
    assert_int_equal(r.error, RRDB_TRY_AGAIN);
    assert_int_equal(r.decree, -1);
    assert_true(slice_is(r.check_value, "here"));
    assert_null(table_get(t, "hk", "a"));
}

/* ---- Evaluating without the disk ---- */

/* A view that knows some keys only, and answers as it is told for all. */
struct partial_view {
    struct kv_view view;
    int rc;
    bool knows_all;
};

static int partial_lookup(struct kv_view *view, struct slice key, struct kv_row *out)
{
    struct partial_view *v = (struct partial_view *)view;
    (void)key;
    if (!v->knows_all) return v->rc;
    *out = (struct kv_row){.data = slice_str("41")};
    return 0;
}

/* Nothing is written before the key is known; then the same request is evaluated to its end. */
static void test_a_missing_key_can_be_fetched_and_the_write_tried_again(void **state)
{
    struct table *t = *state;
    struct incr_request request = {.key = table_key(t, "n", "a"), .increment = 1};
    thrift_write_args(&t->body, 1, &incr_request_schema, &request);
    struct kv_write w;
    assert_int_equal(kv_write_read(&w, RPC_INCR, buf_slice(&t->body), &t->arena), 0);
    struct kv_context c = table_context(t);
    struct partial_view view = {.view.lookup = partial_lookup, .rc = E_AGAIN};
    size_t offset = mutation_begin(&t->ops);
    assert_int_equal(kv_write_evaluate(&w, &c, &view.view, &t->ops), E_AGAIN);
    assert_int_equal(t->ops.size, MUTATION_HEAD_SIZE);
    assert_false(w.has_effects);
    size_t position = 0;
    struct slice key;
    assert_true(kv_write_missing_key(&w, &position, &key));
    assert_true(slice_equal(key, request.key));
    assert_false(kv_write_missing_key(&w, &position, &key));

    view.knows_all = true;
    assert_int_equal(kv_write_evaluate(&w, &c, &view.view, &t->ops), 0);
    assert_true(w.has_effects);
    assert_int_equal(w.response.incr.new_value, 42);
    position = 0;
    assert_false(kv_write_missing_key(&w, &position, &key));
    assert_int_equal(mutation_finish(&t->ops, offset, 1, 1, 1), 0);
}

static void test_a_damaged_store_is_an_answer(void **state)
{
    struct table *t = *state;
    struct incr_request request = {.key = table_key(t, "n", "a"), .increment = 1};
    thrift_write_args(&t->body, 1, &incr_request_schema, &request);
    struct kv_write w;
    struct kv_context c = table_context(t);
    assert_int_equal(kv_write_read(&w, RPC_INCR, buf_slice(&t->body), &t->arena), 0);
    struct partial_view view = {.view.lookup = partial_lookup, .rc = E_CORRUPT};
    assert_int_equal(kv_write_evaluate(&w, &c, &view.view, &t->ops), 0);
    assert_int_equal(w.status, RRDB_CORRUPTION);
    view.rc = E_IO;
    assert_int_equal(kv_write_evaluate(&w, &c, &view.view, &t->ops), 0);
    assert_int_equal(w.status, RRDB_IO_ERROR);
    assert_false(w.has_effects);
}

/* ---- What can go wrong ---- */

static void test_bytes_that_are_no_request_are_refused(void **state)
{
    struct table *t = *state;
    struct kv_write w;
    struct update_request request = {.key = table_key(t, "hk", "sk"), .value = str("v")};
    thrift_write_args(&t->body, 1, &update_request_schema, &request);
    for (size_t size = 0; size < t->body.size; size++)
        assert_int_not_equal(kv_write_read(&w, RPC_PUT, slice_of(t->body.data, size), &t->arena),
                             0);
    assert_int_equal(kv_write_read(&w, RPC_GET, buf_slice(&t->body), &t->arena), E_UNSUPPORTED);
    assert_int_equal(kv_write_read(&w, RPC_UNKNOWN, buf_slice(&t->body), &t->arena), E_UNSUPPORTED);
    assert_int_equal(kv_write_read(&w, RPC_CREATE_APP, buf_slice(&t->body), &t->arena),
                     E_UNSUPPORTED);
}

/* A failed allocation costs the request, and the mutation that was being built stays as it was. */
static void test_every_failed_allocation_leaves_the_mutation_as_it_was(void **state)
{
    struct table *t = *state;
    enum { COUNT = 200 };
    struct mutate *list = arena_array(&t->arena, COUNT, sizeof *list);
    for (uint32_t i = 0; i < COUNT; i++)
        list[i].sort_key = list[i].value = slice_of(arena_copy(&t->arena, &i, sizeof i), sizeof i);
    struct check_and_mutate_request request = cam(list, COUNT);
    thrift_write_args(&t->body, 1, &check_and_mutate_request_schema, &request);
    struct kv_context c = table_context(t);
    struct partial_view view = {.view.lookup = partial_lookup, .knows_all = true};
    for (uint64_t nth = 1;; nth++) {
        struct arena arena = {0};
        struct buf ops = {0};
        buf_append_str(&ops, "before");
        struct kv_write w;
        mem_fail_nth(nth);
        int rc = kv_write_read(&w, RPC_CHECK_AND_MUTATE, buf_slice(&t->body), &arena);
        if (rc == 0) rc = kv_write_evaluate(&w, &c, &view.view, &ops);
        bool has_failed = mem_has_failed();
        mem_fail_nth(0);
        if (has_failed) {
            assert_int_equal(rc, E_NOMEM);
            assert_true(slice_is(buf_slice(&ops), "before") && !ops.failed);
        }
        buf_fini(&ops);
        arena_fini(&arena);
        if (!has_failed) {
            assert_int_equal(rc, 0);
            assert_true(nth > 3);
            return;
        }
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_writes_carry_their_timetag_and_deletes_stay),
        STORY(test_put_of_a_client_has_no_type),
        STORY(test_empty_parts_are_fine),
        STORY(test_malformed_keys_are_refused),
        STORY(test_default_ttl_is_given_to_writes_without_expiry),
        STORY(test_expired_rows_are_absent),
        STORY(test_multi_put_writes_each_key_once_and_the_later_wins),
        STORY(test_multi_remove_counts_what_was_asked),
        STORY(test_effects_larger_than_a_mutation_are_refused),
        STORY(test_bodies_are_limited_and_duplicates_less_so),
        STORY(test_incr_counts_from_what_is_there),
        STORY(test_incr_has_expiry_rules_of_its_own),
        STORY(test_incr_refuses_text_and_overflow),
        STORY(test_check_and_set_writes_when_the_check_holds),
        STORY(test_check_and_set_tells_why_not),
        STORY(test_check_and_mutate_applies_its_list_in_order),
        STORY(test_check_and_mutate_refuses_what_it_cannot_do),
        STORY(test_a_missing_key_can_be_fetched_and_the_write_tried_again),
        STORY(test_a_damaged_store_is_an_answer),
        STORY(test_bytes_that_are_no_request_are_refused),
        STORY(test_every_failed_allocation_leaves_the_mutation_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
