/* tests/wire/test_rows.c: keys, values and mutations: the bytes that stores, logs and shippers
 * keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "wire/hex.h"
#include "wire/key.h"
#include "wire/mutation.h"
#include "wire/value.h"

/* ---- Keys ------------------------------------------------------------------------------------ */

/* A key is made of its parts and falls apart into them, empty parts and the longest hash key too.
 * */
static void test_key_parts(void **state)
{
    (void)state;
    static const uint8_t long_key[KEY_HASH_SIZE_MAX + 1];
    static const struct {
        size_t hash_size;
        size_t sort_size;
    } rows[] = {{0, 0}, {0, 5}, {5, 0}, {5, 5}, {KEY_HASH_SIZE_MAX, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice hash_key = slice_of(long_key, rows[i].hash_size);
        struct slice sort_key = slice_of("sorts", rows[i].sort_size);
        struct buf raw = {0};
        struct key_parts parts = {0};
        key_append(&raw, hash_key, sort_key);
        assert_int_equal(key_split(buf_slice(&raw), &parts), 0);
        assert_true(slice_equal(parts.hash_key, hash_key));
        assert_true(slice_equal(parts.sort_key, sort_key));
        for (size_t size = 0; size < KEY_HEAD_SIZE + hash_key.size && size < 100; size++)
            assert_int_equal(key_split(slice_of(raw.data, size), &parts), E_SHORT);
        buf_fini(&raw);
    }
}

/* 65535 in the length is what a client sends that did not check. */
static void test_key_too_long(void **state)
{
    (void)state;
    struct buf raw = {0};
    struct key_parts parts;
    buf_append_be16(&raw, 0xffff);
    assert_non_null(buf_extend(&raw, 70000));
    memset(raw.data + 2, 'x', 70000);
    assert_int_equal(key_split(buf_slice(&raw), &parts), E_SHORT);
    assert_true(key_hash(buf_slice(&raw)) == 0);
    buf_fini(&raw);
}

/* The hash key is hashed; without one, the sort key; without both, nothing. */
static void test_key_hash(void **state)
{
    (void)state;
    assert_true(key_hash(slice_of("\0\x02hksk", 6)) == UINT64_C(0x5d9ad5b51c9a4ab3));
    assert_true(key_hash(slice_of("\0\0sk", 4)) == UINT64_C(0xed7359d9888df024));
    assert_true(key_hash(slice_of("\0\0", 2)) == 0);
    assert_true(key_hash(slice_of("\0", 1)) == 0);
}

/* The next key after all that begin with this one. */
static void test_key_successor(void **state)
{
    (void)state;
    static const struct {
        const char *prefix;
        const char *successor;
    } rows[] = {{"00 02 68 6b", "00 02 68 6c"},
                {"61 ff", "62"},
                {"61 ff ff", "62"},
                {"ff ff", ""},
                {"", ""},
                {"00", "01"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hex hex;
        struct buf b = {0};
        buf_append_slice(&b, hex_read(&hex, rows[i].prefix));
        key_successor(&b);
        assert_true(slice_equal(buf_slice(&b), hex_read(&hex, rows[i].successor)));
        buf_fini(&b);
    }
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* A later write wins; at the same time the larger cluster id; on the same cluster a delete. */
static void test_timetag_order(void **state)
{
    (void)state;
    uint64_t put = timetag_make(1000, 3, false);
    assert_true(timetag_make(1001, 1, false) > timetag_make(1000, 127, true));
    assert_true(timetag_make(1000, 4, false) > timetag_make(1000, 3, true));
    assert_true(timetag_make(1000, 3, true) > put);
    assert_true(timetag_timestamp_us(put) == 1000);
    assert_int_equal(timetag_cluster_id(put), 3);
    assert_false(timetag_is_deleted(put));
    assert_true(timetag_is_deleted(put | 1));
    assert_true(put == (UINT64_C(1000) << 8 | 3 << 1));
}

static void test_value_head(void **state)
{
    (void)state;
    uint8_t stored[VALUE_HEAD_SIZE + 3];
    value_head_write(stored, (struct value_head){0x01020304, UINT64_C(0x05060708090a0b0c)});
    memcpy(stored + VALUE_HEAD_SIZE, "abc", 3);
    assert_memory_equal(stored, "\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c", 12);

    struct value_head head;
    struct slice data;
    assert_int_equal(value_split(slice_of(stored, sizeof stored), &head, &data), 0);
    assert_true(head.expire_ts == 0x01020304 && slice_is(data, "abc"));
    for (size_t size = 0; size < VALUE_HEAD_SIZE; size++)
        assert_int_equal(value_split(slice_of(stored, size), &head, &data), E_SHORT);
    assert_int_equal(value_split(slice_of(stored, VALUE_HEAD_SIZE), &head, &data), 0);
    assert_int_equal(data.size, 0);
}

/* Seconds count from 2016; 0 never expires; the second that is named is already too late. */
static void test_value_expires(void **state)
{
    (void)state;
    assert_int_equal(value_epoch_s(0), 0);
    assert_int_equal(value_epoch_s(VALUE_EPOCH_UNIX_S * 1000000 + 1999999), 1);
    assert_false(value_is_expired((struct value_head){0, 0}, UINT32_MAX));
    assert_false(value_is_expired((struct value_head){100, 0}, 99));
    assert_true(value_is_expired((struct value_head){100, 0}, 100));
}

/* ---- Mutations ------------------------------------------------------------------------------- */

static void add_ops(struct buf *to, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool is_delete = i % 3 == 2;
        struct mutation_op op = {
            .timetag = timetag_make(500 + i, 1, is_delete),
            .expire_ts = is_delete ? 0 : i,
            .key = slice_of("\0\x02hksort", 4 + i % 5),
            .data = slice_of("value", is_delete ? 0 : i % 6),
        };
        mutation_add(to, &op);
    }
}

static struct slice make_mutation(struct buf *to, uint32_t op_count)
{
    size_t offset = mutation_begin(to);
    add_ops(to, op_count);
    assert_int_equal(mutation_finish(to, offset, 17, 3, 12345), 0);
    return slice_skip(buf_slice(to), offset);
}

/* What was put in comes out, in order; a mutation may be empty; it may stand behind other bytes. */
static void test_mutation_round_trip(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 10; count++) {
        struct buf b = {0};
        buf_append_str(&b, "before");
        struct slice bytes = make_mutation(&b, count);
        struct mutation m;
        assert_int_equal(mutation_read(bytes, &m), 0);
        assert_true(m.decree == 17 && m.ballot == 3 && m.timestamp_us == 12345);
        assert_int_equal(m.op_count, count);
        struct mutation_op op;
        for (uint32_t i = 0; i < count; i++) {
            assert_true(mutation_op_next(&m.ops, &op));
            assert_int_equal(op.key.size, 4 + i % 5);
            assert_true(timetag_timestamp_us(op.timetag) == 500 + i);
            assert_int_equal(op.data.size, i % 3 == 2 ? 0 : i % 6);
        }
        assert_false(mutation_op_next(&m.ops, &op));
        assert_memory_equal(b.data, "before", 6);
        buf_fini(&b);
    }
}

/* Cut anywhere, or with anything behind it, it is refused. */
static void test_mutation_cut(void **state)
{
    (void)state;
    struct buf b = {0};
    struct mutation m;
    struct slice bytes = make_mutation(&b, 7);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(mutation_read(slice_of(bytes.data, size), &m), E_SHORT);
    buf_append_u8(&b, 0);
    assert_int_equal(mutation_read(buf_slice(&b), &m), E_PROTO);
    buf_fini(&b);
}

/* Each way in which a mutation lies about itself. */
static void test_mutation_malformed(void **state)
{
    (void)state;
    enum { FIRST_OP = MUTATION_HEAD_SIZE, OP_TIMETAG = 0, OP_KEY_SIZE = 12, OP_DATA_SIZE = 16 };
    static const struct {
        size_t at;
        uint32_t value;
        int rc;
    } rows[] = {
        {0, 0, E_PROTO},                                /* Decree 0. */
        {24, 6, E_PROTO},                               /* A count too small. */
        {24, UINT32_MAX, E_PROTO},                      /* A count too large. */
        {28, UINT32_MAX, E_SHORT},                      /* A size too large. */
        {28, 1, E_PROTO},                               /* A size too small. */
        {FIRST_OP + OP_KEY_SIZE, UINT32_MAX, E_SHORT},  /* A key beyond the end. */
        {FIRST_OP + OP_DATA_SIZE, UINT32_MAX, E_SHORT}, /* Data beyond the end. */
        {FIRST_OP + OP_TIMETAG, 1, 0},                  /* A delete without data. */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        struct mutation m;
        struct slice bytes = make_mutation(&b, 7);
        bytes_put_le32(b.data + rows[i].at, rows[i].value);
        assert_int_equal(mutation_read(bytes, &m), rows[i].rc);
        buf_fini(&b);
    }
    struct buf b = {0};
    struct mutation m;
    size_t offset = mutation_begin(&b);
    struct mutation_op op = {.timetag = 2, .key = slice_of("\0\0", 2), .data = slice_str("d")};
    mutation_add(&b, &op);
    assert_int_equal(mutation_finish(&b, offset, 1, 1, 1), 0);
    b.data[FIRST_OP + OP_TIMETAG] |= 1; /* A delete with data. */
    assert_int_equal(mutation_read(buf_slice(&b), &m), E_PROTO);
    buf_fini(&b);
}

/* At the limit it is accepted, one byte above it is not, neither in writing nor in reading. */
static void test_mutation_limit(void **state)
{
    (void)state;
    enum { DATA_SIZE = MUTATION_SIZE_MAX - MUTATION_HEAD_SIZE - MUTATION_OP_HEAD_SIZE - 2 };
    uint8_t *data = mem_zalloc(DATA_SIZE + 1);
    for (size_t more = 0; more <= 1; more++) {
        struct buf b = {0};
        size_t offset = mutation_begin(&b);
        struct mutation_op op = {.key = slice_of("\0\0", 2), .data = slice_of(data, DATA_SIZE)};
        op.data.size += more;
        mutation_add(&b, &op);
        assert_int_equal(mutation_finish(&b, offset, 1, 1, 1), more == 0 ? 0 : E_LIMIT);
        struct mutation m;
        if (more == 0) assert_int_equal(mutation_read(buf_slice(&b), &m), 0);
        if (more == 1) assert_int_equal(mutation_read(buf_slice(&b), &m), E_LIMIT);
        buf_fini(&b);
    }
    mem_free(data);
}

/* Memory runs out somewhere in the middle. */
static void test_mutation_memory_runs_out(void **state)
{
    (void)state;
    int rc = E_NOMEM;
    for (uint64_t nth = 1; rc != 0; nth++) {
        struct buf b = {0};
        mem_fail_nth(nth);
        size_t offset = mutation_begin(&b);
        add_ops(&b, 50);
        rc = mutation_finish(&b, offset, 1, 1, 1);
        assert_int_equal(rc, mem_has_failed() ? E_NOMEM : 0);
        mem_fail_nth(0);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_parts),      cmocka_unit_test(test_key_too_long),
        cmocka_unit_test(test_key_hash),       cmocka_unit_test(test_key_successor),
        cmocka_unit_test(test_timetag_order),  cmocka_unit_test(test_value_head),
        cmocka_unit_test(test_value_expires),  cmocka_unit_test(test_mutation_round_trip),
        cmocka_unit_test(test_mutation_cut),   cmocka_unit_test(test_mutation_malformed),
        cmocka_unit_test(test_mutation_limit), cmocka_unit_test(test_mutation_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
