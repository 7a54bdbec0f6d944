/* tests/wire/test_thrift.c: what is written is read, what is damaged is refused, what is unknown is
 * skipped or, where that is not safe, refused; for every message that we have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/error.h"
#include "wire/generate.h"
#include "wire/hex.h"
#include "wire/messages.h"
#include "wire/rpc_names.h"

enum { ROUNDS = 40, MESSAGE_WORDS = 64 };

/* Room for any message, aligned for it. */
struct any_message {
    uint64_t words[MESSAGE_WORDS];
};

static struct slice print(struct buf *to, const struct schema *schema, const void *message)
{
    buf_clear(to);
    thrift_print(to, schema, message);
    assert_int_equal(buf_status(to), 0);
    return buf_slice(to);
}

/* Call 'check' with generated messages of every kind, and their bytes as arguments. */
static void each_generated(void (*check)(const struct schema *schema, const void *message,
                                         struct slice bytes))
{
    struct prng p;
    prng_init(&p, 20160101);
    struct arena arena = {0};
    struct buf out = {0};
    for (size_t i = 0; i < message_schema_count; i++) {
        const struct schema *schema = message_schemas[i];
        struct any_message message;
        assert_true(schema->size <= sizeof message);
        for (int round = 0; round < ROUNDS; round++) {
            generate_message(&p, &arena, schema, &message);
            buf_clear(&out);
            thrift_write_args(&out, (int16_t)round, schema, &message);
            assert_int_equal(buf_status(&out), 0);
            check(schema, &message, buf_slice(&out));
            arena_reset(&arena);
        }
    }
    buf_fini(&out);
    arena_fini(&arena);
}

static void assert_reads_as(struct slice bytes, const struct schema *schema, const void *message)
{
    struct any_message again;
    struct arena arena = {0};
    struct buf before = {0};
    struct buf after = {0};
    assert_int_equal(thrift_read_args(bytes, schema, &again, &arena), 0);
    struct slice text = print(&before, schema, message);
    if (!slice_equal(text, print(&after, schema, &again)))
        fail_msg("%s came back different", schema->name);
    arena_fini(&arena);
    buf_fini(&before);
    buf_fini(&after);
}

static void check_round_trip(const struct schema *schema, const void *message, struct slice bytes)
{
    assert_reads_as(bytes, schema, message);
}

/* A message comes back as it went, whatever is in it and whatever the id of the wrapper's field. */
static void test_round_trip(void **state)
{
    (void)state;
    each_generated(check_round_trip);
}

static void check_truncations(const struct schema *schema, const void *message, struct slice bytes)
{
    (void)message;
    struct any_message again;
    struct arena arena = {0};
    for (size_t size = 0; size < bytes.size; size++) {
        /* On the heap and exactly as long, so that the sanitizer sees a read behind the end. */
        uint8_t *part = mem_alloc(size + 1);
        memcpy(part + 1, bytes.data, size);
        assert_int_equal(thrift_read_args(slice_of(part + 1, size), schema, &again, &arena),
                         E_SHORT);
        mem_free(part);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

/* Whatever is cut off, it is noticed. */
static void test_truncated(void **state)
{
    (void)state;
    each_generated(check_truncations);
}

static void assert_rewrites(const struct schema *schema, const void *message)
{
    struct buf out = {0};
    thrift_write_args(&out, 1, schema, message);
    assert_reads_as(buf_slice(&out), schema, message);
    buf_fini(&out);
}

static void check_damage(const struct schema *schema, const void *message, struct slice bytes)
{
    (void)message;
    uint8_t copy[8192];
    struct any_message again;
    struct arena arena = {.limit = 1 << 20};
    assert_true(bytes.size <= sizeof copy);
    for (size_t i = 0; i < bytes.size; i++) {
        memcpy(copy, bytes.data, bytes.size);
        copy[i] ^= (uint8_t)(1 + i % 255);
        int rc = thrift_read_args(slice_of(copy, bytes.size), schema, &again, &arena);
        if (rc == 0) assert_rewrites(schema, &again);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

/* Any byte may be wrong: then it is refused, or it is another message, and that one is whole. */
static void test_damaged(void **state)
{
    (void)state;
    each_generated(check_damage);
}

/* Behind the wrapper nothing may follow. */
static void test_trailing_bytes(void **state)
{
    (void)state;
    struct hex hex;
    struct bare_i64 arg;
    struct slice good = hex_read(&hex, "0a 00 01 01 02 03 04 05 06 07 08 00 00");
    assert_int_equal(thrift_read_args(good, &bare_i64_schema, &arg, NULL), E_PROTO);
    good.size--;
    assert_int_equal(thrift_read_args(good, &bare_i64_schema, &arg, NULL), 0);
    assert_true(arg.value == INT64_C(0x0102030405060708));
}

static int read_update(const char *text, struct update_request *out)
{
    struct hex hex;
    static struct hex kept;
    (void)hex_read(&hex, text);
    kept = hex;
    struct arena arena = {.limit = 1 << 16};
    int rc = thrift_read_args(slice_of(kept.bytes, kept.size), &update_request_schema, out, &arena);
    arena_fini(&arena);
    return rc;
}

/* Fields in any order, missing ones, ones of a wrong type, and unknown ones that are plain (W2). */
static void test_tolerance(void **state)
{
    (void)state;
    struct update_request put;
    assert_int_equal(read_update("0c0001 080003 00000007 0c0001 00000001 6b 00 00", &put), 0);
    assert_int_equal(put.expire_ts_seconds, 7);
    assert_true(slice_is(put.key, "k"));
    assert_int_equal(put.value.size, 0);
    assert_int_equal(put.set, 0);

    /* Field 3 as a string; unknown i64, list<i32>, map<string,i16>, set<bool>; then a known one. */
    assert_int_equal(read_update("0c0001 0b0003 00000002 6161 0a0032 0000000000000001"
                                 "0f0033 08 00000002 00000001 00000002"
                                 "0d0034 0b 06 00000001 00000001 61 0001"
                                 "0e0035 02 00000003 010001 080004 00000009 00 00",
                                 &put),
                     0);
    assert_int_equal(put.expire_ts_seconds, 0);
    assert_int_equal(put.type, 9);
    assert_int_equal(put.set, UPDATE_REQUEST_HAS_TYPE);
}

/* An unknown field that says STRUCT may be a blob: skipping it as a struct would read what follows
 * askew. The message is refused, unless nothing is in it (W5). */
static void test_unknown_struct_is_refused(void **state)
{
    (void)state;
    struct update_request put;
    assert_int_equal(read_update("0c0001 0c0032 00000001 6b 00 00", &put), E_PROTO);
    assert_int_equal(read_update("0c0001 0f0032 0c 00000001 00 00 00", &put), E_PROTO);
    assert_int_equal(read_update("0c0001 0d0032 08 0c 00000001 00000001 00 00 00", &put), E_PROTO);
    assert_int_equal(read_update("0c0001 0f0032 0c 00000000 00 00", &put), 0);
    /* The same for a known field of ours that comes as one: expire_ts_seconds. */
    assert_int_equal(read_update("0c0001 0c0003 00 00 00", &put), E_PROTO);
    assert_int_equal(read_update("0c0001 010003 00 00 00", &put), E_PROTO); /* No such type. */
}

/* Lengths and counts are held against what is there before anything is taken for them (W4). */
static void test_sizes_that_lie(void **state)
{
    (void)state;
    struct update_request put;
    assert_int_equal(read_update("0c0001 0c0001 7fffffff 6b 00 00", &put), E_SHORT);
    assert_int_equal(read_update("0c0001 0c0001 ffffffff 6b 00 00", &put), E_PROTO);
    assert_int_equal(read_update("0c0001 0f0032 08 7fffffff 00 00", &put), E_SHORT);
    assert_int_equal(read_update("0c0001 0f0032 08 ffffffff 00 00", &put), E_PROTO);
    assert_int_equal(read_update("0c0001 0d0032 08 08 ffffffff 00 00", &put), E_PROTO);

    struct hex hex;
    struct multi_put_request multi;
    struct arena arena = {.limit = 1 << 16};
    struct slice many = hex_read(&hex, "0c0001 0f0002 0c 7fffffff 00 00 00");
    assert_int_equal(thrift_read_args(many, &multi_put_request_schema, &multi, &arena), E_SHORT);
    assert_int_equal(arena.total, 0);
}

/* Lists of lists of lists: the depth is bounded, at the limit and beyond it. */
static void test_depth(void **state)
{
    (void)state;
    for (int depth = THRIFT_DEPTH_MAX - 2; depth <= THRIFT_DEPTH_MAX + 2; depth++) {
        struct buf in = {0};
        struct update_request put;
        static const uint8_t list_of_lists[] = {0x0f, 0, 0, 0, 1};
        static const uint8_t list_of_nothing[] = {0x08, 0, 0, 0, 0};
        buf_append(&in, "\x0c\0\x01\x0f\0\x32", 6);
        for (int i = 1; i < depth; i++) buf_append(&in, list_of_lists, sizeof list_of_lists);
        buf_append(&in, list_of_nothing, sizeof list_of_nothing);
        buf_append(&in, "\0\0", 2);
        assert_int_equal(thrift_read_args(buf_slice(&in), &update_request_schema, &put, NULL),
                         depth <= THRIFT_DEPTH_MAX ? 0 : E_LIMIT);
        buf_fini(&in);
    }
}

/* A million one-byte structs would become a list of hundreds of megabytes: the arena says no. */
static void test_arena_limit(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct buf in = {0};
    buf_append(&in, "\x0c\0\x01\x0f\0\x02\x0c", 7);
    buf_append_be32(&in, COUNT);
    uint8_t *stops = buf_extend(&in, COUNT + 2);
    assert_non_null(stops);
    memset(stops, 0, COUNT + 2);

    struct multi_put_request put;
    struct arena small = {.limit = 1 << 20};
    assert_int_equal(thrift_read_args(buf_slice(&in), &multi_put_request_schema, &put, &small),
                     E_NOMEM);
    assert_int_equal(thrift_read_args(buf_slice(&in), &multi_put_request_schema, &put, NULL),
                     E_NOMEM);
    struct arena large = {0};
    assert_int_equal(thrift_read_args(buf_slice(&in), &multi_put_request_schema, &put, &large), 0);
    assert_int_equal(put.kvs.count, COUNT);
    arena_fini(&small);
    arena_fini(&large);
    buf_fini(&in);
}

/* More items than anybody means. */
static void test_count_limit(void **state)
{
    (void)state;
    struct buf in = {0};
    buf_append(&in, "\x0c\0\x01\x0b\0\x01\0\0\0\0\x0f\0\x02\x08", 14);
    buf_append_be32(&in, THRIFT_COUNT_MAX + 1);
    uint8_t *items = buf_extend(&in, 4 * (size_t)(THRIFT_COUNT_MAX + 1) + 2);
    assert_non_null(items);
    memset(items, 0, 4 * (size_t)(THRIFT_COUNT_MAX + 1) + 2);
    struct query_config_request query;
    struct arena arena = {0};
    struct slice bytes = buf_slice(&in);
    assert_int_equal(thrift_read_args(bytes, &query_config_request_schema, &query, &arena),
                     E_LIMIT);
    bytes_put_be32(in.data + 14, THRIFT_COUNT_MAX);
    in.data[14 + 4 + 4 * (size_t)THRIFT_COUNT_MAX] = 0;
    bytes.size -= 4;
    assert_int_equal(thrift_read_args(bytes, &query_config_request_schema, &query, &arena), 0);
    assert_int_equal(query.partition_indices.count, THRIFT_COUNT_MAX);
    arena_fini(&arena);
    buf_fini(&in);
}

/* Memory runs out at the nth allocation, for every n until there is enough: reading says so and
 * nothing leaks; writing says so at the end. */
static void test_memory_runs_out(void **state)
{
    (void)state;
    struct prng p;
    prng_init(&p, 7);
    struct arena values = {0};
    struct list_duplication_response message;
    struct list_duplication_response again;
    const struct schema *schema = &list_duplication_response_schema;
    generate_message(&p, &values, schema, &message);

    int rc = E_NOMEM;
    uint64_t writes = 0;
    struct buf out = {0};
    while (rc != 0) {
        buf_fini(&out);
        out = (struct buf){0};
        mem_fail_nth(++writes);
        thrift_write_args(&out, 0, schema, &message);
        rc = buf_status(&out);
        assert_int_equal(rc, mem_has_failed() ? E_NOMEM : 0);
    }
    uint64_t reads = 0;
    for (rc = E_NOMEM; rc != 0;) {
        struct arena arena = {0};
        mem_fail_nth(++reads);
        rc = thrift_read_args(buf_slice(&out), schema, &again, &arena);
        assert_int_equal(rc, mem_has_failed() ? E_NOMEM : 0);
        mem_fail_nth(0);
        arena_fini(&arena);
    }
    assert_true(writes > 1 && reads > 1);
    buf_fini(&out);
    arena_fini(&values);
}

/* Every message carries its required fields even when all are empty: clients dereference them
 * (W12). */
static void test_required_fields_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_schema_count; i++) {
        const struct schema *schema = message_schemas[i];
        struct any_message empty = {{0}};
        struct buf out = {0};
        struct buf text = {0};
        thrift_write_struct(&out, THRIFT_THFT, schema, &empty);
        (void)print(&text, schema, &empty);
        size_t required = 0;
        for (uint32_t f = 0; f < schema->field_count; f++) required += schema->fields[f].has == 0;
        size_t names = 0;
        for (size_t at = 0; at < text.size; at++) names += text.data[at] == '=';
        assert_true(names >= required);
        assert_true(out.size >= 1 + 4 * required);
        buf_fini(&out);
        buf_fini(&text);
    }
}

static void check_table(const struct schema *schema);

static void check_row(const struct schema *schema, const struct field *field)
{
    assert_true(field->offset < schema->size);
    assert_int_equal(field->has & (field->has - 1), 0);
    for (const struct field *other = schema->fields; other < field; other++) {
        assert_int_not_equal(other->id, field->id);
        assert_int_not_equal(other->offset, field->offset);
        assert_int_equal(other->has & field->has, 0);
    }
    /* Readers older than host_port break on it: only optional rows can be left away (W10). */
    if (field->kind == T_HOST_PORT || field->item_kind == T_HOST_PORT) assert_true(field->has != 0);
    /* What we add to messages of others is plain, so that they can skip it (W8). */
    if (field->id >= 100) assert_true(field->kind <= T_STRING && field->has != 0);
    if (field->schema != NULL) check_table(field->schema);
}

static void check_table(const struct schema *schema)
{
    for (uint32_t i = 0; i < schema->field_count; i++) check_row(schema, &schema->fields[i]);
}

/* The tables themselves: ids, members and bits are distinct, and the rules for new rows are kept.
 * */
static void test_tables_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_schema_count; i++) check_table(message_schemas[i]);
}

/* Over THFT a body holds no error name that a client does not know, and no host_port (W9, W10). */
static void test_thft_dialect(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buf out = {0};
    struct add_duplication_response add = {.err = wire_error_name(WIRE_ERR_DUP_EXIST)};
    thrift_write_result(&out, THRIFT_THFT, &add_duplication_response_schema, &add);
    assert_int_equal(
        thrift_read_args(buf_slice(&out), &add_duplication_response_schema, &add, &arena), 0);
    assert_true(slice_is(add.err, "ERR_CLUSTER_ALREADY_EXIST"));

    struct node_info node = {.set = NODE_INFO_HAS_HP_NODE,
                             .node = {0x7f000001, 34801, true},
                             .hp_node = {slice_str("localhost"), 34801, true}};
    struct list_nodes_response list = {.err = slice_str("ERR_OK"), .infos = {&node, 1}};
    for (int dialect = THRIFT_FULL; dialect <= THRIFT_THFT; dialect++) {
        struct list_nodes_response read;
        buf_clear(&out);
        thrift_write_result(&out, (enum thrift_dialect)dialect, &list_nodes_response_schema, &list);
        assert_int_equal(
            thrift_read_args(buf_slice(&out), &list_nodes_response_schema, &read, &arena), 0);
        assert_int_equal(read.infos.items[0].set,
                         dialect == THRIFT_FULL ? NODE_INFO_HAS_HP_NODE : 0);
        assert_int_equal(read.infos.items[0].node.port, 34801);
    }
    buf_fini(&out);
    arena_fini(&arena);
}

/* Names and errors: what is in the table is found, what is not is not. */
static void test_names(void **state)
{
    (void)state;
    assert_int_equal(rpc_find(slice_str("RPC_RRDB_RRDB_GET")), RPC_GET);
    assert_int_equal(rpc_find(slice_str("RPC_RRDB_RRDB_GE")), RPC_UNKNOWN);
    assert_int_equal(rpc_find(slice_str("")), RPC_UNKNOWN);
    assert_int_equal(rpc_find(slice_str("RPC_RRDB_RRDB_BULK_LOAD")), RPC_UNKNOWN);
    for (unsigned code = RPC_UNKNOWN + 1; code < RPC_CODE_COUNT; code++) {
        const struct rpc_info *info = rpc_info((enum rpc_code)code);
        assert_int_equal(rpc_find(info->name), code);
        assert_true(info->name.size <= 47);
    }
    for (unsigned error = 0; error < WIRE_ERROR_COUNT; error++) {
        enum wire_error safe = wire_error_for_thft((enum wire_error)error);
        assert_int_equal(wire_error_find(wire_error_name((enum wire_error)error)), error);
        assert_int_equal(wire_error_for_thft(safe), safe);
        assert_true((unsigned)safe < WIRE_ERR_RETRY_EXHAUSTED);
    }
    assert_int_equal(wire_error_find(slice_str("ERR_NEVER_HEARD_OF")), WIRE_ERR_UNKNOWN);
    assert_int_equal(wire_error_for_thft(WIRE_ERR_LEARNER_NOT_FOUND), WIRE_ERR_OBJECT_NOT_FOUND);
}

/* A message as a person sees it. */
static void test_print(void **state)
{
    (void)state;
    struct mutate steps[2] = {{.sort_key = slice_str("a\n")}, {.operation = MUTATE_DELETE}};
    struct check_and_mutate_request cam = {.hash_key = slice_str("h"), .mutate_list = {steps, 2}};
    struct buf text = {0};
    assert_true(slice_is(
        print(&text, &check_and_mutate_request_schema, &cam),
        "check_and_mutate_request{hash_key=\"h\" check_sort_key=\"\" check_type=0 "
        "check_operand=\"\" "
        "mutate_list=[mutate{operation=0 sort_key=\"a\\x0a\" value=\"\" set_expire_ts_seconds=0} "
        "mutate{operation=1 sort_key=\"\" value=\"\" set_expire_ts_seconds=0}] "
        "return_check_value=false}"));
    struct bare_rpc_address leader = {.value = {0x0a010203, 34801, true}};
    assert_true(slice_is(print(&text, &bare_rpc_address_schema, &leader),
                         "bare_rpc_address{value=10.1.2.3:34801}"));
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_trailing_bytes),
        cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_unknown_struct_is_refused),
        cmocka_unit_test(test_sizes_that_lie),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_arena_limit),
        cmocka_unit_test(test_count_limit),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_required_fields_are_written),
        cmocka_unit_test(test_tables_are_sound),
        cmocka_unit_test(test_thft_dialect),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
