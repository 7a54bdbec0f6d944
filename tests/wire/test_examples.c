/* tests/wire/test_examples.c: the writer makes the bytes that were worked out by hand, and the
 * reader takes them apart again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "wire/examples.h"
#include "wire/frame.h"
#include "wire/hex.h"

#define SERVER     "10.1.2.3:34801"
#define HASH_OF_HK UINT64_C(0x5d9ad5b51c9a4ab3)

static const struct rpc_address server = {0x0a010203, 34801, true};

static struct slice raw_key(void)
{
    return slice_of("\0\x02hksk", 6);
}

static void assert_bytes(const char *expected, struct buf *got)
{
    struct hex hex;
    struct slice bytes = hex_read(&hex, expected);
    assert_int_equal(buf_status(got), 0);
    assert_int_equal(got->size, bytes.size);
    assert_memory_equal(got->data, bytes.data, bytes.size);
    buf_fini(got);
}

/* Write 'message' as arguments and compare; then read the example and write that. */
static void assert_args(const char *expected, int16_t id, const struct schema *schema,
                        const void *message)
{
    struct hex hex;
    uint64_t again[64];
    struct arena arena = {0};
    struct buf out = {0};
    thrift_write_args(&out, id, schema, message);
    assert_bytes(expected, &out);
    assert_int_equal(thrift_read_args(hex_read(&hex, expected), schema, again, &arena), 0);
    out = (struct buf){0};
    thrift_write_args(&out, id, schema, again);
    assert_bytes(expected, &out);
    arena_fini(&arena);
}

static struct frame_request get_request(enum frame_kind kind)
{
    return (struct frame_request){
        .kind = kind,
        .code = RPC_GET,
        .id = 1,
        .app_id = 2,
        .partition_index = 3,
        .timeout_ms = 1000,
        .thread_hash = frame_thread_hash(2, 3),
        .partition_hash = HASH_OF_HK,
    };
}

static const struct read_response found = {
    .value = {(const uint8_t *)"value", 5},
    .app_id = 2,
    .partition_index = 3,
    .server = {(const uint8_t *)SERVER, sizeof SERVER - 1},
};

static void test_thft_v0_get(void **state)
{
    (void)state;
    struct frame_request get = get_request(FRAME_THFT_V0);
    struct bare_blob key = {.value = raw_key()};
    struct buf out = {0};
    assert_int_equal(frame_request_write(&out, &get, &bare_blob_schema, &key), 0);
    assert_bytes(example_thft_v0_get, &out);

    struct hex hex;
    struct frame_request read;
    size_t size;
    struct slice bytes = hex_read(&hex, example_thft_v0_get);
    assert_int_equal(frame_request_read(bytes, FRAME_PROTOCOL_THFT, 43, &read, &size), 0);
    assert_int_equal(size, 91);
    assert_int_equal(read.kind, FRAME_THFT_V0);
    assert_int_equal(read.code, RPC_GET);
    assert_int_equal(read.app_id, 2);
    assert_int_equal(read.partition_index, 3);
    assert_int_equal(read.timeout_ms, 1000);
    assert_int_equal(read.thread_hash, 15841);
    assert_true(read.partition_hash == HASH_OF_HK);
    assert_int_equal(read.body_size, 43);
    assert_int_equal(read.id, 1);

    assert_int_equal(
        frame_response_write(&out, &read, server, WIRE_ERR_OK, &read_response_schema, &found), 0);
    assert_bytes(example_get_reply, &out);
    out = (struct buf){0};
    assert_int_equal(
        frame_response_write(&out, &read, server, WIRE_ERR_OBJECT_NOT_FOUND, NULL, NULL), 0);
    assert_bytes(example_error_reply, &out);
}

/* Not found: every field is there, the empty value too. */
static void test_get_not_found(void **state)
{
    (void)state;
    struct read_response absent = found;
    absent.error = RRDB_NOT_FOUND;
    absent.value.size = 0;
    struct buf out = {0};
    thrift_write_result(&out, THRIFT_THFT, &read_response_schema, &absent);
    assert_bytes(example_get_not_found_body, &out);
}

static void test_thft_v1_put(void **state)
{
    (void)state;
    struct frame_request put = get_request(FRAME_THFT_V1);
    put.code = RPC_PUT;
    put.id = 7;
    struct update_request update = {.key = raw_key(), .value = slice_str("value")};
    struct buf out = {0};
    assert_int_equal(frame_request_write(&out, &put, &update_request_schema, &update), 0);
    assert_bytes(example_thft_v1_put, &out);

    struct hex hex;
    struct frame_request read;
    size_t size;
    struct slice bytes = hex_read(&hex, example_thft_v1_put);
    assert_int_equal(frame_request_read(bytes, FRAME_PROTOCOL_THFT, 66, &read, &size), 0);
    assert_int_equal(read.kind, FRAME_THFT_V1);
    assert_int_equal(read.thread_hash, 15841); /* Made by us: v1 has none. */
    assert_true(read.partition_hash == HASH_OF_HK && !read.is_backup);

    struct update_response done = {.app_id = 2, .partition_index = 3, .decree = 17};
    done.server = slice_str(SERVER);
    assert_int_equal(
        frame_response_write(&out, &read, server, WIRE_ERR_OK, &update_response_schema, &done), 0);
    assert_bytes(example_put_reply, &out);
}

static void test_rdsn_get(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_request read;
    size_t size;
    struct slice bytes = hex_read(&hex, example_rdsn_get);
    assert_int_equal(bytes_get_le32(bytes.data + 88), 300);
    bytes_put_le32(hex.bytes + 88, 0); /* The rpc code as a number: nobody needs it, we write 0. */
    assert_int_equal(frame_request_read(bytes, FRAME_PROTOCOL_RDSN, 14, &read, &size), 0);
    assert_int_equal(read.id, 42);
    assert_true(read.trace_id == UINT64_C(0x1122334455667788));
    assert_true(read.context == 0x441);
    assert_true(read.from.is_valid && read.from.ipv4 == 0x0a010209 && read.from.port == 1);
    assert_int_equal(read.timeout_ms, 5000);

    struct bare_blob key;
    assert_int_equal(thrift_read_args(read.body, &bare_blob_schema, &key, NULL), 0);
    assert_true(slice_equal(key.value, raw_key()));
    struct buf out = {0};
    assert_int_equal(frame_request_write(&out, &read, &bare_blob_schema, &key), 0);
    assert_true(slice_equal(buf_slice(&out), bytes));
    buf_clear(&out);

    assert_int_equal(
        frame_response_write(&out, &read, server, WIRE_ERR_OK, &read_response_schema, &found), 0);
    assert_bytes(example_rdsn_get_reply, &out);
}

/* With checksums: body 742876e2, header 5eb8f9f2. One wrong bit anywhere, and it is refused. */
static void test_rdsn_checksums(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_request read;
    size_t size;
    struct slice bytes = hex_read(&hex, example_rdsn_get);
    bytes_put_le32(hex.bytes + 20, 0x742876e2);
    bytes_put_le32(hex.bytes + 12, 0x5eb8f9f2);
    assert_int_equal(frame_request_read(bytes, FRAME_PROTOCOL_RDSN, 14, &read, &size), 0);
    for (size_t i = 0; i < bytes.size * 8; i++) {
        if (i / 8 >= 12 && i / 8 < 24) continue; /* The checksums and the size themselves. */
        hex.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_true(frame_request_read(bytes, FRAME_PROTOCOL_RDSN, 14, &read, &size) != 0);
        hex.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    hex.bytes[12] ^= 1;
    assert_int_equal(frame_request_read(bytes, FRAME_PROTOCOL_RDSN, 14, &read, &size), E_CORRUPT);
}

static void test_clear_scanner(void **state)
{
    (void)state;
    struct bare_i64 context = {.value = INT64_C(0x0102030405060708)};
    assert_args(example_clear_scanner_args, THRIFT_ARGS_ID_THFT, &bare_i64_schema, &context);
}

static struct partition_configuration partition(int32_t index, struct rpc_address *secondary,
                                                struct host_port *hp_secondary)
{
    return (struct partition_configuration){
        .pid = {2, index},
        .ballot = 3,
        .max_replica_count = 3,
        .primary = server,
        .secondaries = {secondary, 1},
        .hp_primary = {slice_str("10.1.2.3"), 34801, true},
        .hp_secondaries = {hp_secondary, 1},
    };
}

/* The map of a table, without and with host_port: to whom it goes decides (W10). */
static void test_query_config(void **state)
{
    (void)state;
    struct query_config_request query = {.app_name = slice_str("temp")};
    assert_args(example_query_config_args, THRIFT_ARGS_ID_THFT, &query_config_request_schema,
                &query);

    struct rpc_address secondary = {0x0a010204, 34801, true};
    struct host_port hp_secondary = {slice_str("10.1.2.4"), 34801, true};
    struct partition_configuration partitions[] = {partition(0, &secondary, &hp_secondary),
                                                   partition(1, &secondary, &hp_secondary)};
    struct query_config_response config = {
        .err = wire_error_name(WIRE_ERR_OK),
        .app_id = 2,
        .partition_count = 2,
        .is_stateful = true,
        .partitions = {partitions, 2},
    };
    assert_args(example_query_config_body, 0, &query_config_response_schema, &config);

    partitions[0].set = partitions[1].set = PARTITION_CONFIGURATION_HAS_HP;
    assert_args(example_query_config_body_hp, 0, &query_config_response_schema, &config);
    struct buf out = {0};
    thrift_write_result(&out, THRIFT_THFT, &query_config_response_schema, &config);
    assert_bytes(example_query_config_body, &out);
}

/* Where the leader is, for clients of either framing. */
static void test_redirect(void **state)
{
    (void)state;
    struct rpc_address leader = {0x0a010205, 34601, true};
    struct partition_configuration only = {.primary = leader};
    struct query_config_response config = {.err = wire_error_name(WIRE_ERR_FORWARD_TO_OTHERS),
                                           .partitions = {&only, 1}};
    assert_args(example_redirect_body_thft, 0, &query_config_response_schema, &config);
    struct bare_rpc_address bare = {.value = leader};
    assert_args(example_redirect_body_rdsn, 0, &bare_rpc_address_schema, &bare);
}

static void test_duplicate(void **state)
{
    (void)state;
    struct update_request update = {.key = raw_key(), .value = slice_str("value")};
    assert_args(example_put_raw_message, THRIFT_ARGS_ID_THFT, &update_request_schema, &update);

    struct hex raw;
    struct duplicate_entry entry = {
        .set = DUPLICATE_ENTRY_HAS_PEGASUS,
        .timestamp = INT64_C(1700000000000000),
        .task_code = rpc_info(RPC_PUT)->name,
        .raw_message = hex_read(&raw, example_put_raw_message),
        .cluster_id = 1,
    };
    struct duplicate_request request = {.entries = {&entry, 1}};
    assert_args(example_duplicate_args, THRIFT_ARGS_ID_RDSN, &duplicate_request_schema, &request);
    struct duplicate_response response = {.set = DUPLICATE_RESPONSE_HAS_ERROR};
    assert_args(example_duplicate_reply_body, 0, &duplicate_response_schema, &response);
}

static void test_scan(void **state)
{
    (void)state;
    struct key_value row = {.key = raw_key(), .value = slice_str("value")};
    struct scan_response scan = {
        .kvs = {&row, 1},
        .context_id = SCAN_CONTEXT_DONE,
        .app_id = 2,
        .partition_index = 3,
        .server = slice_str(SERVER),
    };
    assert_args(example_scan_body, 0, &scan_response_schema, &scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thft_v0_get),    cmocka_unit_test(test_get_not_found),
        cmocka_unit_test(test_thft_v1_put),    cmocka_unit_test(test_rdsn_get),
        cmocka_unit_test(test_rdsn_checksums), cmocka_unit_test(test_clear_scanner),
        cmocka_unit_test(test_query_config),   cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_duplicate),      cmocka_unit_test(test_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
