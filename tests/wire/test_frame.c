/* tests/wire/test_frame.c: what a connection may bring, and what a reply may never be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/examples.h"
#include "wire/frame.h"
#include "wire/hex.h"

static const struct rpc_address self = {0x7f000001, 34801, true};

static int read_thft(struct slice bytes, uint32_t limit, struct frame_request *out)
{
    size_t size = 0;
    return frame_request_read(bytes, FRAME_PROTOCOL_THFT, limit, out, &size);
}

static int read_rdsn(struct slice bytes, struct frame_request *out)
{
    size_t size = 0;
    return frame_request_read(bytes, FRAME_PROTOCOL_RDSN, FRAME_BODY_SIZE_MAX, out, &size);
}

/* Four bytes decide (W13). */
static void test_first_bytes(void **state)
{
    (void)state;
    assert_int_equal(frame_protocol_of(slice_str("")), FRAME_PROTOCOL_SHORT);
    assert_int_equal(frame_protocol_of(slice_str("RDS")), FRAME_PROTOCOL_SHORT);
    assert_int_equal(frame_protocol_of(slice_str("RDSN")), FRAME_PROTOCOL_RDSN);
    assert_int_equal(frame_protocol_of(slice_str("THFT")), FRAME_PROTOCOL_THFT);
    assert_int_equal(frame_protocol_of(slice_str("GET /metrics")), FRAME_PROTOCOL_HTTP);
    assert_int_equal(frame_protocol_of(slice_str("POST /")), FRAME_PROTOCOL_HTTP);
    assert_int_equal(frame_protocol_of(slice_str("_RAW")), FRAME_PROTOCOL_UNKNOWN);
    assert_int_equal(frame_protocol_of(slice_str("PING")), FRAME_PROTOCOL_UNKNOWN);
}

/* Every message begins with the magic of the connection: another one in the middle closes it, and
 * is noticed with its first wrong byte. */
static void test_wrong_magic(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_request request;
    size_t size;
    assert_int_equal(read_thft(slice_str("THX"), 64, &request), E_PROTO);
    assert_int_equal(read_thft(slice_str("TH"), 64, &request), E_SHORT);
    assert_int_equal(read_thft(hex_read(&hex, example_rdsn_get), 64, &request), E_PROTO);
    assert_int_equal(read_rdsn(hex_read(&hex, example_thft_v0_get), &request), E_PROTO);
    assert_int_equal(
        frame_request_read(slice_str("GET "), FRAME_PROTOCOL_HTTP, 64, &request, &size), E_PROTO);
}

/* Two requests back to back: the first says where the second begins. */
static void test_pipelined(void **state)
{
    (void)state;
    struct hex hex;
    struct buf in = {0};
    buf_append_slice(&in, hex_read(&hex, example_thft_v0_get));
    buf_append_slice(&in, hex_read(&hex, example_thft_v1_put));
    struct slice rest = buf_slice(&in);
    struct frame_request request;
    size_t size;
    assert_int_equal(frame_request_read(rest, FRAME_PROTOCOL_THFT, 100, &request, &size), 0);
    assert_int_equal(request.code, RPC_GET);
    rest = slice_skip(rest, size);
    assert_int_equal(frame_request_read(rest, FRAME_PROTOCOL_THFT, 100, &request, &size), 0);
    assert_int_equal(request.code, RPC_PUT);
    assert_int_equal(size, rest.size);
    buf_fini(&in);
}

/* A body at the limit passes, one above is refused from its header alone: no byte of it is waited
 * for. */
static void test_body_limit(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_request request;
    struct slice bytes = hex_read(&hex, example_thft_v0_get);
    assert_int_equal(read_thft(bytes, 43, &request), 0);
    assert_int_equal(read_thft(bytes, 42, &request), E_LIMIT);
    assert_int_equal(read_thft(slice_of(bytes.data, 48), 42, &request), E_LIMIT);
    bytes_put_be32(hex.bytes + 16, UINT32_MAX);
    assert_int_equal(read_thft(bytes, FRAME_BODY_SIZE_MAX, &request), E_LIMIT);

    bytes = hex_read(&hex, example_thft_v1_put);
    bytes_put_be32(hex.bytes + 8, FRAME_META_SIZE_MAX + 1);
    assert_int_equal(read_thft(bytes, FRAME_BODY_SIZE_MAX, &request), E_LIMIT);
    bytes_put_be32(hex.bytes + 8, FRAME_META_SIZE_MAX);
    assert_int_equal(read_thft(bytes, FRAME_BODY_SIZE_MAX, &request), E_SHORT);
    bytes_put_be32(hex.bytes + 8, UINT32_MAX - 60); /* The sum wraps to something small. */
    assert_int_equal(read_thft(bytes, UINT32_MAX, &request), E_LIMIT);

    (void)hex_read(&hex, example_rdsn_get);
    bytes_put_le32(hex.bytes + 16, FRAME_BODY_SIZE_MAX + 1);
    assert_int_equal(read_rdsn(slice_of(hex.bytes, 192), &request), E_LIMIT);
}

/* One byte of a good header changed, and what becomes of it. */
static void test_malformed_thft(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
        int rc;
    } rows[] = {
        {7, 2, E_PROTO},     /* Version. */
        {11, 47, E_PROTO},   /* Header size. */
        {51, 2, E_PROTO},    /* A reply is no request. */
        {51, 3, E_PROTO},    /* Nor is an exception. */
        {51, 4, 0},          /* One-way is as a call. */
        {55, 0xff, E_PROTO}, /* The name ends behind the message. */
        {13, 9, 0},          /* Checksums are not looked at. */
        {21, 9, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hex hex;
        struct frame_request request;
        struct slice bytes = hex_read(&hex, example_thft_v0_get);
        hex.bytes[rows[i].at] = rows[i].byte;
        assert_int_equal(read_thft(bytes, 64, &request), rows[i].rc);
    }
}

/* A body that ends inside its envelope is malformed, however it is cut: it is all there will be. */
static void test_envelope_cut(void **state)
{
    (void)state;
    for (uint32_t body = 0; body < 29; body++) {
        struct hex hex;
        struct frame_request request;
        struct slice bytes = hex_read(&hex, example_thft_v0_get);
        bytes_put_be32(hex.bytes + 16, body);
        bytes.size = 48 + body;
        assert_int_equal(read_thft(bytes, 64, &request), E_PROTO);
    }
}

/* The older envelope, with the name first, is read as well. */
static void test_envelope_not_strict(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_request request;
    struct buf in = {0};
    buf_append(&in, hex_read(&hex, example_thft_v0_get).data, 48);
    buf_append_be32(&in, 17);
    buf_append_str(&in, "RPC_RRDB_RRDB_TTL");
    buf_append_u8(&in, 1);
    buf_append_be32(&in, 77);
    buf_append_u8(&in, 0);
    bytes_put_be32(in.data + 16, (uint32_t)in.size - 48);
    assert_int_equal(read_thft(buf_slice(&in), 64, &request), 0);
    assert_int_equal(request.code, RPC_TTL);
    assert_int_equal(request.id, 77);
    assert_int_equal(request.body.size, 1);
    buf_fini(&in);
}

static void test_malformed_rdsn(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
        int rc;
    } rows[] = {
        {4, 1, E_PROTO},      /* Version. */
        {8, 191, E_PROTO},    /* Header size. */
        {12, 1, E_CORRUPT},   /* A header checksum that isn't one. */
        {20, 1, E_CORRUPT},   /* A body checksum that isn't one. */
        {104, 0x40, E_PROTO}, /* Not a request. */
        {104, 0xc1, E_PROTO}, /* JSON. */
        {104, 0x01, E_PROTO}, /* No format. */
        {92, 7, 0},           /* Numeric codes are not looked at. */
        {105, 0x0c, 0},       /* A backup request. */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hex hex;
        struct frame_request request = {0};
        struct slice bytes = hex_read(&hex, example_rdsn_get);
        hex.bytes[rows[i].at] = rows[i].byte;
        assert_int_equal(read_rdsn(bytes, &request), rows[i].rc);
        assert_int_equal(request.is_backup, rows[i].at == 105);
    }
    struct hex hex;
    struct frame_request request;
    struct slice bytes = hex_read(&hex, example_rdsn_get);
    memset(hex.bytes + 40, 'X', 48);
    assert_int_equal(read_rdsn(bytes, &request), E_PROTO); /* A name without an end. */
}

/* An rpc that we don't know gets an answer under its own name, cut as Pegasus cuts it. */
static void test_unknown_rpc(void **state)
{
    (void)state;
    static const char name[] = "RPC_SOMETHING_WITH_A_NAME_THAT_IS_MUCH_LONGER_THAN_IT_MAY_BE";
    struct frame_request sent = {.name = slice_str(name)};
    for (int kind = FRAME_THFT_V0; kind <= FRAME_RDSN; kind++) {
        sent.kind = (enum frame_kind)kind;
        sent.id = 5;
        struct buf out = {0};
        size_t offset = frame_request_begin(&out, &sent);
        assert_int_equal(frame_request_finish(&out, &sent, offset), 0);
        struct frame_request read;
        struct slice bytes = buf_slice(&out);
        size_t size;
        assert_int_equal(frame_request_read(bytes, frame_protocol_of(bytes), 200, &read, &size), 0);
        assert_int_equal(read.code, RPC_UNKNOWN);
        assert_int_equal(read.name.size, FRAME_NAME_SIZE_MAX);

        struct buf reply = {0};
        assert_int_equal(
            frame_response_write(&reply, &read, self, WIRE_ERR_HANDLER_NOT_FOUND, NULL, NULL), 0);
        struct frame_response response;
        assert_int_equal(frame_response_read(buf_slice(&reply), read.kind, 200, &response, &size),
                         0);
        assert_int_equal(response.error, WIRE_ERR_HANDLER_NOT_FOUND);
        assert_true(slice_has_suffix(response.name, slice_str("_ACK")));
        assert_int_equal(response.name.size, read.kind == FRAME_RDSN ? 47 : 51);
        assert_int_equal(response.body.size, 0);
        buf_fini(&out);
        buf_fini(&reply);
    }
}

/* A name on THFT may be longer than our limit: it is cut, not refused. */
static void test_long_name(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_request request;
    struct buf in = {0};
    buf_append(&in, hex_read(&hex, example_thft_v0_get).data, 52);
    buf_append_be32(&in, 100);
    for (int i = 0; i < 100; i++) buf_append_u8(&in, 'N');
    buf_append_be32(&in, 1);
    bytes_put_be32(in.data + 16, (uint32_t)in.size - 48);
    assert_int_equal(read_thft(buf_slice(&in), 200, &request), 0);
    assert_int_equal(request.name.size, FRAME_NAME_SIZE_MAX);
    buf_fini(&in);
}

/* For every error there is: a client on THFT sees only names that it knows; a native one sees them
 * as they are (W9). One unknown name and the Go client hangs for good. */
static void test_errors_are_safe_on_thft(void **state)
{
    (void)state;
    for (unsigned error = 0; error < WIRE_ERROR_COUNT; error++) {
        for (int kind = FRAME_THFT_V0; kind <= FRAME_RDSN; kind++) {
            struct frame_request request = {.kind = (enum frame_kind)kind, .code = RPC_GET};
            request.context = FRAME_CONTEXT_THRIFT_BINARY;
            struct frame_response read;
            struct buf out = {0};
            size_t size;
            assert_int_equal(
                frame_response_write(&out, &request, self, (enum wire_error)error, NULL, NULL), 0);
            assert_int_equal(frame_response_read(buf_slice(&out), request.kind, 200, &read, &size),
                             0);
            enum wire_error safe = wire_error_for_thft((enum wire_error)error);
            assert_int_equal(read.error, kind == FRAME_RDSN ? error : (unsigned)safe);
            assert_true(slice_is(read.name, "RPC_RRDB_RRDB_GET_ACK"));
            buf_fini(&out);
        }
    }
}

/* A native reply: the request's header with bit 0 gone, also "forwarded", and our own address. A
 * reply that says forwarded makes a C++ client look up a host and stop. */
static void test_native_reply_context(void **state)
{
    (void)state;
    struct frame_request request = {.kind = FRAME_RDSN, .code = RPC_GET, .id = 9, .trace_id = 10};
    request.context = FRAME_CONTEXT_REQUEST | FRAME_CONTEXT_FORWARDED | FRAME_CONTEXT_BACKUP |
                      FRAME_CONTEXT_THRIFT_BINARY | FRAME_CONTEXT_FORWARD_SUPPORTED;
    struct buf out = {0};
    assert_int_equal(frame_response_write(&out, &request, self, WIRE_ERR_OK, NULL, NULL), 0);
    assert_true(
        bytes_get_le64(out.data + 104) ==
        (FRAME_CONTEXT_BACKUP | FRAME_CONTEXT_THRIFT_BINARY | FRAME_CONTEXT_FORWARD_SUPPORTED));
    struct frame_response read;
    size_t size;
    assert_int_equal(frame_response_read(buf_slice(&out), FRAME_RDSN, 0, &read, &size), 0);
    assert_int_equal(read.from.port, 34801);
    assert_true(read.id == 9 && bytes_get_le64(out.data + 32) == 10);
    buf_fini(&out);
}

/* Behind an error of the framework there may be a body: where the leader is. */
static void test_native_redirect(void **state)
{
    (void)state;
    struct frame_request request = {.kind = FRAME_RDSN, .code = RPC_LIST_APPS};
    request.context = FRAME_CONTEXT_THRIFT_BINARY;
    struct bare_rpc_address leader = {.value = {0x0a010205, 34601, true}};
    struct buf out = {0};
    assert_int_equal(frame_response_write(&out, &request, self, WIRE_ERR_FORWARD_TO_OTHERS,
                                          &bare_rpc_address_schema, &leader),
                     0);
    struct frame_response read;
    size_t size;
    assert_int_equal(frame_response_read(buf_slice(&out), FRAME_RDSN, 100, &read, &size), 0);
    struct bare_rpc_address found;
    assert_int_equal(thrift_read_args(read.body, &bare_rpc_address_schema, &found, NULL), 0);
    assert_int_equal(found.value.port, 34601);
    buf_fini(&out);
}

/* What clients put into the header and mean nothing by is kept as it is (W18): Node.js has no
 * timeout, Go a mangled one, Python a signed hash, Java asks meta servers as table -1. */
static void test_odd_headers(void **state)
{
    (void)state;
    struct frame_request sent = {.kind = FRAME_THFT_V0, .code = RPC_QUERY_CONFIG};
    sent.app_id = -1;
    sent.partition_index = -1;
    sent.timeout_ms = INT32_MIN;
    sent.partition_hash = UINT64_MAX;
    struct query_config_request query = {.app_name = slice_str("t")};
    for (int kind = FRAME_THFT_V0; kind <= FRAME_RDSN; kind++) {
        sent.kind = (enum frame_kind)kind;
        struct buf out = {0};
        struct frame_request read;
        size_t size;
        assert_int_equal(frame_request_write(&out, &sent, &query_config_request_schema, &query), 0);
        struct slice bytes = buf_slice(&out);
        assert_int_equal(frame_request_read(bytes, frame_protocol_of(bytes), 200, &read, &size), 0);
        assert_int_equal(read.app_id, -1);
        assert_int_equal(read.partition_index, -1);
        assert_int_equal(read.timeout_ms, INT32_MIN);
        assert_true(read.partition_hash == UINT64_MAX);
        buf_fini(&out);
    }
    assert_int_equal(frame_thread_hash(INT32_MAX, INT32_MAX), (int32_t)(0x7fffffffu * 7920u));
}

/* Java's header says more in its meta struct, in any order; a broken one is refused. */
static void test_v1_meta(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_request request;
    struct slice bytes = hex_read(&hex, example_thft_v1_put);
    hex.bytes[16 + 35] = 1; /* is_backup_request. */
    assert_int_equal(read_thft(bytes, 100, &request), 0);
    assert_true(request.is_backup);
    hex.bytes[16 + 36] = 2; /* Instead of STOP. */
    assert_int_equal(read_thft(bytes, 100, &request), E_PROTO);
}

/* Replies to us that are none. */
static void test_malformed_replies(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_response response;
    size_t size;
    struct slice bytes = hex_read(&hex, example_get_reply);
    assert_int_equal(frame_response_read(bytes, FRAME_THFT_V0, 102, &response, &size), 0);
    assert_int_equal(frame_response_read(bytes, FRAME_THFT_V0, 101, &response, &size), E_LIMIT);
    hex.bytes[17] = 3; /* An exception. */
    assert_int_equal(frame_response_read(bytes, FRAME_THFT_V0, 102, &response, &size), E_PROTO);
    for (uint32_t total = 0; total < 47; total++) {
        (void)hex_read(&hex, example_get_reply);
        bytes_put_be32(hex.bytes, total);
        assert_int_equal(frame_response_read(bytes, FRAME_THFT_V0, 102, &response, &size), E_PROTO);
    }
    bytes = hex_read(&hex, example_rdsn_get_reply);
    memset(hex.bytes + 136, 'E', 48);
    assert_int_equal(frame_response_read(bytes, FRAME_RDSN, 102, &response, &size), E_PROTO);
    bytes = hex_read(&hex, example_rdsn_get);
    assert_int_equal(frame_response_read(bytes, FRAME_RDSN, 102, &response, &size), E_PROTO);
}

/* An error name that we don't know is kept as it came. */
static void test_unknown_error_name(void **state)
{
    (void)state;
    struct hex hex;
    struct frame_response response;
    size_t size;
    struct slice bytes = hex_read(&hex, example_rdsn_get_reply);
    memcpy(hex.bytes + 136, "ERR_NEW", 8);
    assert_int_equal(frame_response_read(bytes, FRAME_RDSN, 102, &response, &size), 0);
    assert_int_equal(response.error, WIRE_ERR_UNKNOWN);
    assert_true(slice_is(response.error_name, "ERR_NEW"));
}

/* The nth allocation fails, for every n until there is enough: what was in the buffer before stays,
 * of the message nothing does, and the buffer says that it is not to be used further. */
static void test_memory_runs_out(void **state)
{
    (void)state;
    struct slice value = slice_of(example_rdsn_get, sizeof example_rdsn_get);
    struct update_request update = {.key = slice_str("k"), .value = value};
    struct read_response read = {.value = value};
    for (int kind = FRAME_THFT_V0; kind <= FRAME_RDSN; kind++) {
        struct frame_request request = {.kind = (enum frame_kind)kind, .code = RPC_PUT};
        int rc = E_NOMEM;
        uint64_t nth = 0;
        while (rc != 0) {
            struct buf out = {0};
            buf_append_str(&out, "before");
            mem_fail_nth(++nth);
            rc = frame_request_write(&out, &request, &update_request_schema, &update);
            if (rc == 0)
                rc = frame_response_write(&out, &request, self, WIRE_ERR_OK, &read_response_schema,
                                          &read);
            assert_int_equal(rc, mem_has_failed() ? E_NOMEM : 0);
            assert_memory_equal(out.data, "before", 6);
            if (rc != 0) assert_true(out.failed && (nth > 1 || out.size == 6));
            mem_fail_nth(0);
            buf_fini(&out);
        }
        assert_true(nth > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_bytes),
        cmocka_unit_test(test_wrong_magic),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_malformed_thft),
        cmocka_unit_test(test_envelope_cut),
        cmocka_unit_test(test_envelope_not_strict),
        cmocka_unit_test(test_malformed_rdsn),
        cmocka_unit_test(test_unknown_rpc),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_errors_are_safe_on_thft),
        cmocka_unit_test(test_native_reply_context),
        cmocka_unit_test(test_native_redirect),
        cmocka_unit_test(test_odd_headers),
        cmocka_unit_test(test_v1_meta),
        cmocka_unit_test(test_malformed_replies),
        cmocka_unit_test(test_unknown_error_name),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
