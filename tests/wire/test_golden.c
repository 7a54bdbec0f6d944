/* tests/wire/test_golden.c: we read what real peers sent, and write it back as they did.
 *
 * Byte for byte, with two exceptions: the native header's numeric rpc code, which a peer may send
 * and nobody needs; and requests of clients that leave fields away, where we write what we
 * understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "wire/frame.h"
#include "wire/golden.h"
#include "wire/messages.h"

enum { RDSN_LOCAL_CODE = 88, RDSN_HEADER_SIZE = 192 };

/* Between Pegasus's own servers: we frame them but have no messages for them. */
static const char *const foreign[] = {
    "RPC_CM_CONFIG_SYNC", "RPC_CM_UPDATE_PARTITION_CONFIGURATION", "RPC_GROUP_CHECK", "RPC_LEARN",
    "RPC_PREPARE",
};

/* The Node.js client leaves away what was not set. */
static const char *const sparse[] = {"thft-multi_get.txt", "thft-query_config.txt"};

static bool is_one_of(const char *const *names, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(name, names[i])) return true;
    return false;
}

static void assert_same(const char *what, struct slice expected, struct slice got)
{
    if (!slice_equal(expected, got)) fail_msg("%s: not the bytes that were captured", what);
}

/* Zero what a native header says in numbers besides the names. */
static void normalize(struct golden_message *message)
{
    if (frame_protocol_of(golden_bytes(message)) == FRAME_PROTOCOL_RDSN)
        memset(message->bytes + RDSN_LOCAL_CODE, 0, 8);
}

/* Read all of 'bytes' as arguments and write them again. */
static void rewrite_args(const struct schema *schema, int16_t id, struct slice bytes,
                         struct buf *out)
{
    uint64_t message[64];
    struct arena arena = {0};
    assert_true(schema->size <= sizeof message);
    assert_int_equal(thrift_read_args(bytes, schema, message, &arena), 0);
    thrift_write_args(out, id, schema, message);
    assert_int_equal(buf_status(out), 0);
    arena_fini(&arena);
}

static void check_request(const struct golden *golden, const struct golden_message *message,
                          struct frame_request *request)
{
    struct slice bytes = golden_bytes(message);
    size_t size = 0;
    assert_int_equal(
        frame_request_read(bytes, frame_protocol_of(bytes), FRAME_BODY_SIZE_MAX, request, &size),
        0);
    assert_int_equal(size, bytes.size);

    struct buf out = {0};
    size_t offset = frame_request_begin(&out, request);
    if (request->code == RPC_UNKNOWN) {
        assert_true(is_one_of(foreign, sizeof foreign / sizeof *foreign, request->name));
        buf_append_slice(&out, request->body);
    } else {
        rewrite_args(rpc_info(request->code)->request, frame_args_id(request->kind), request->body,
                     &out);
    }
    assert_int_equal(frame_request_finish(&out, request, offset), 0);

    if (is_one_of(sparse, sizeof sparse / sizeof *sparse, slice_str(golden->name))) {
        struct frame_request again;
        assert_int_equal(frame_request_read(buf_slice(&out), frame_protocol_of(bytes),
                                            FRAME_BODY_SIZE_MAX, &again, &size),
                         0);
        assert_int_equal(again.code, request->code);
        struct buf twice = {0};
        rewrite_args(rpc_info(again.code)->request, frame_args_id(again.kind), again.body, &twice);
        assert_same(golden->name, again.body, buf_slice(&twice));
        buf_fini(&twice);
    } else {
        assert_same(golden->name, bytes, buf_slice(&out));
    }
    buf_fini(&out);
}

static void check_response(const struct golden *golden, const struct golden_message *message,
                           const struct frame_request *request)
{
    struct slice bytes = golden_bytes(message);
    struct frame_response response;
    size_t size = 0;
    assert_int_equal(
        frame_response_read(bytes, request->kind, FRAME_BODY_SIZE_MAX, &response, &size), 0);
    assert_int_equal(size, bytes.size);
    assert_int_equal(response.error, WIRE_ERR_OK);
    assert_true(response.id == request->id);

    struct buf out = {0};
    size_t offset = frame_response_begin(&out, request, response.from, response.error);
    if (request->code == RPC_UNKNOWN) buf_append_slice(&out, response.body);
    else rewrite_args(rpc_info(request->code)->response, 0, response.body, &out);
    assert_int_equal(frame_response_finish(&out, request, offset), 0);
    assert_same(golden->name, bytes, buf_slice(&out));
    buf_fini(&out);
}

static void check_conversation(struct golden *golden)
{
    struct frame_request request = {0};
    for (size_t i = 0; i < golden->count; i++) {
        struct golden_message *message = &golden->messages[i];
        normalize(message);
        if (message->is_request) check_request(golden, message, &request);
        else check_response(golden, message, &request);
    }
}

/* Every message of every capture is read, understood and written again as it was. */
static void test_captures_read_and_write(void **state)
{
    (void)state;
    assert_true(golden_each(check_conversation) >= 39);
}

static void check_prefixes(struct golden *golden)
{
    static struct frame_request request;
    for (size_t i = 0; i < golden->count; i++) {
        struct slice all = golden_bytes(&golden->messages[i]);
        bool is_request = golden->messages[i].is_request;
        enum frame_protocol protocol = frame_protocol_of(all);
        if (is_request) memset(&request, 0, sizeof request);
        for (size_t have = 0; have <= all.size; have++) {
            struct slice part = slice_of(all.data, have);
            struct frame_response response;
            size_t size = 0;
            int rc = is_request
                         ? frame_request_read(part, protocol, FRAME_BODY_SIZE_MAX, &request, &size)
                         : frame_response_read(part, request.kind, FRAME_BODY_SIZE_MAX, &response,
                                               &size);
            assert_int_equal(rc, have < all.size ? E_SHORT : 0);
            assert_true(size <= all.size && (rc == 0 || size > have));
        }
    }
}

/* The bytes arrive one by one: nothing is said too early, and what is asked for is never too much.
 * */
static void test_captures_arrive_in_pieces(void **state)
{
    (void)state;
    (void)golden_each(check_prefixes);
}

/* Read the argument of the first request of a capture. */
static void read_first(const char *name, const struct schema *schema, void *out,
                       struct arena *arena)
{
    static struct golden golden;
    struct frame_request request;
    size_t size;
    golden_load(name, &golden);
    struct slice bytes = golden_bytes(&golden.messages[0]);
    assert_int_equal(
        frame_request_read(bytes, frame_protocol_of(bytes), FRAME_BODY_SIZE_MAX, &request, &size),
        0);
    assert_ptr_equal(rpc_info(request.code)->request, schema);
    assert_int_equal(thrift_read_args(request.body, schema, out, arena), 0);
}

/* The same for the reply. */
static void read_reply(const char *name, enum frame_kind kind, const struct schema *schema,
                       void *out, struct arena *arena)
{
    static struct golden golden;
    struct frame_response response;
    size_t size;
    golden_load(name, &golden);
    struct slice bytes = golden_bytes(&golden.messages[1]);
    assert_int_equal(frame_response_read(bytes, kind, FRAME_BODY_SIZE_MAX, &response, &size), 0);
    assert_int_equal(thrift_read_args(response.body, schema, out, arena), 0);
}

/* What is in them is what was put in: reading is not merely the inverse of our own writing. */
static void test_captures_say_what_they_mean(void **state)
{
    (void)state;
    struct arena arena = {0};

    struct bare_blob key;
    read_first("rdsn-get.txt", &bare_blob_schema, &key, &arena);
    assert_true(slice_equal(key.value, slice_of("\0\x08hash0001sort01", 16)));
    struct read_response got;
    read_reply("rdsn-get.txt", FRAME_RDSN, &read_response_schema, &got, &arena);
    assert_true(slice_is(got.value, "value-0001"));
    assert_int_equal(got.app_id, 1);
    assert_int_equal(got.partition_index, 5);
    assert_true(slice_is(got.server, "localhost:34802"));

    struct check_and_mutate_request cam;
    read_first("rdsn-check_and_mutate.txt", &check_and_mutate_request_schema, &cam, &arena);
    assert_int_equal(cam.check_type, CAS_VALUE_EXIST);
    assert_int_equal(cam.mutate_list.count, 2);
    assert_int_equal(cam.mutate_list.items[1].operation, MUTATE_DELETE);
    assert_true(slice_is(cam.mutate_list.items[0].value, "value-0006"));
    assert_true(cam.return_check_value);

    struct get_scanner_request scan;
    read_first("rdsn-get_scanner.txt", &get_scanner_request_schema, &scan, &arena);
    assert_int_equal(scan.set, 15);
    assert_int_equal(scan.batch_size, 2);
    assert_true(scan.start_inclusive && !scan.stop_inclusive && !scan.full_scan);
    arena_fini(&arena);
}

/* A duplicated write, and the write inside it. */
static void test_captured_duplicate(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct duplicate_request duplicate;
    read_first("rdsn-duplicate_2.txt", &duplicate_request_schema, &duplicate, &arena);
    assert_int_equal(duplicate.set, 0);
    assert_int_equal(duplicate.entries.count, 1);
    const struct duplicate_entry *entry = &duplicate.entries.items[0];
    assert_int_equal(entry->set, DUPLICATE_ENTRY_HAS_PEGASUS);
    assert_true(entry->timestamp == INT64_C(1795409419871924));
    assert_int_equal(entry->cluster_id, 1);
    assert_int_equal(rpc_find(entry->task_code), RPC_MULTI_PUT);

    struct multi_put_request put;
    assert_int_equal(thrift_read_args(entry->raw_message, &multi_put_request_schema, &put, &arena),
                     0);
    assert_true(slice_is(put.hash_key, "hash0001"));
    assert_int_equal(put.kvs.count, 3);
    assert_true(slice_is(put.kvs.items[2].key, "sort04"));
    assert_true(slice_is(put.kvs.items[2].value, "value-0004"));
    arena_fini(&arena);
}

/* The map of the cluster, with addresses in both forms. The capture is what a real server sent over
 * THFT, host_port fields included: ours leaves them away there (W10). */
static void test_captured_config(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct query_config_response config;
    read_reply("thft-query_config.txt", FRAME_THFT_V0, &query_config_response_schema, &config,
               &arena);
    assert_int_equal(config.partitions.count, 8);
    struct partition_configuration *first = &config.partitions.items[0];
    assert_int_equal(first->pid.app_id, 1);
    assert_int_equal(first->ballot, 11);
    assert_true(first->primary.is_valid && first->primary.port == 34803);
    assert_true(first->primary.ipv4 == 0x7f000001);
    assert_int_equal(first->secondaries.count, 2);
    assert_int_equal(first->set, PARTITION_CONFIGURATION_HAS_HP);
    assert_true(slice_is(first->hp_secondaries.items[1].host, "localhost"));
    assert_int_equal(first->hp_secondaries.items[1].port, 34801);

    struct buf out = {0};
    thrift_write_result(&out, THRIFT_THFT, &query_config_response_schema, &config);
    assert_int_equal(
        thrift_read_args(buf_slice(&out), &query_config_response_schema, &config, &arena), 0);
    for (uint32_t i = 0; i < config.partitions.count; i++) {
        assert_int_equal(config.partitions.items[i].set, 0);
        assert_int_equal(config.partitions.items[i].secondaries.count, 2);
    }
    buf_fini(&out);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captures_read_and_write),
        cmocka_unit_test(test_captures_arrive_in_pieces),
        cmocka_unit_test(test_captures_say_what_they_mean),
        cmocka_unit_test(test_captured_duplicate),
        cmocka_unit_test(test_captured_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
