/* tests/base/test_base.c: the tools that everything else trusts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"

/* The vectors of docs/routing.md, rule R1: what every client of the field computes. */
static void test_crc64_agrees_with_clients(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"", 0},
        {"a", UINT64_C(0x8c2f8445b4cbfc3c)},
        {"123456789", UINT64_C(0xae8b14860a799888)},
        {"hk", UINT64_C(0x5d9ad5b51c9a4ab3)},
        {"hash_key", UINT64_C(0x65641f36e9f6a96d)},
        {"pegasus", UINT64_C(0xce8709cfbd3973c4)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(crc64(rows[i].text, strlen(rows[i].text)) == rows[i].hash);

    uint8_t all[256];
    for (int i = 0; i < 256; i++) all[i] = (uint8_t)i;
    assert_true(crc64(all, sizeof all) == UINT64_C(0xff71e21279d9966e));
}

/* The check value of CRC-32C, whole and in two parts. */
static void test_crc32c_continues(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

/* An allocation fails in the middle: the buffer keeps what it had and says so at the end. */
static void test_buf_remembers_failure(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_append_str(&b, "before");
    mem_fail_nth(1);
    uint8_t big[1024] = {0};
    buf_append(&b, big, sizeof big);
    assert_true(mem_has_failed());
    buf_append_str(&b, "after");
    assert_int_equal(buf_status(&b), E_NOMEM);
    assert_true(slice_is(buf_slice(&b), "before"));
    buf_clear(&b);
    buf_printf(&b, "%d-%s", 7, "x");
    assert_true(slice_is(buf_slice(&b), "7-x"));
    buf_fini(&b);
}

/* A thousand deadlines go in, some are taken out of the middle, the rest come out in order. */
static void test_heap_orders(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct heap_node nodes[COUNT];
    struct heap h = {0};
    struct prng p;
    prng_init(&p, 1);
    for (size_t i = 0; i < COUNT; i++) {
        nodes[i] = (struct heap_node){.key = prng_below(&p, 100), .order = i};
        assert_int_equal(heap_push(&h, &nodes[i]), 0);
    }
    for (size_t i = 0; i < COUNT; i += 3) heap_remove(&h, &nodes[i]);
    heap_remove(&h, &nodes[0]); /* Twice is harmless. */

    struct heap_node before = {0};
    size_t count = 0;
    for (struct heap_node *top; (top = heap_top(&h)) != NULL; count++) {
        assert_true(count == 0 || top->key > before.key ||
                    (top->key == before.key && top->order > before.order));
        assert_int_not_equal(top->order % 3, 0);
        before = *top;
        heap_remove(&h, top);
    }
    assert_int_equal(count, COUNT - (COUNT + 2) / 3);
    heap_fini(&h);
}

static void test_list_splices(void **state)
{
    (void)state;
    struct list_node a, b, nodes[4];
    list_init(&a);
    list_init(&b);
    for (int i = 0; i < 4; i++) list_push_back(i < 2 ? &a : &b, &nodes[i]);
    list_splice_back(&a, &b);
    assert_true(list_is_empty(&b));
    for (int i = 0; i < 4; i++) assert_ptr_equal(list_pop_front(&a), &nodes[i]);
    assert_null(list_pop_front(&a));
}

/* A decoder that asks for too much gets nothing, and what it had stays. */
static void test_arena_keeps_its_limit(void **state)
{
    (void)state;
    struct arena a = {.limit = 10000};
    uint64_t *kept = arena_array(&a, 4, sizeof *kept);
    assert_non_null(kept);
    kept[3] = 42;
    assert_null(arena_alloc(&a, 20000));
    assert_null(arena_array(&a, SIZE_MAX / 2, 16));
    assert_non_null(arena_alloc(&a, 4096));
    assert_int_equal(kept[3], 42);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 4000));
    arena_fini(&a);
}

/* An array grows by doubling and keeps its items; without memory, or for more than there can be, it
 * stays as it was. */
static void test_array_grows(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t capacity = 0, moves = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        const uint32_t *before = items;
        assert_int_equal(array_reserve(&items, &capacity, i + 1, sizeof *items), 0);
        moves += items != before;
        items[i] = i;
    }
    assert_true(moves <= 11);
    for (uint32_t i = 0; i < 10000; i++) assert_int_equal(items[i], i);

    const uint32_t *before = items;
    const size_t capacity_before = capacity;
    mem_fail_nth(1);
    assert_int_equal(array_reserve(&items, &capacity, capacity + 1, sizeof *items), E_NOMEM);
    mem_fail_nth(0);
    assert_int_equal(array_reserve(&items, &capacity, SIZE_MAX / 4, sizeof *items), E_NOMEM);
    assert_ptr_equal(items, before);
    assert_int_equal(capacity, capacity_before);
    mem_free(items);
}

static void test_err_wraps(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, E_CORRUPT, "block at %d: checksum is wrong", 8192), E_CORRUPT);
    assert_int_equal(err_wrap(&e, E_CORRUPT, "segment %d", 12), E_CORRUPT);
    assert_string_equal(e.text, "segment 12: block at 8192: checksum is wrong");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc64_agrees_with_clients),
        cmocka_unit_test(test_crc32c_continues),
        cmocka_unit_test(test_buf_remembers_failure),
        cmocka_unit_test(test_heap_orders),
        cmocka_unit_test(test_list_splices),
        cmocka_unit_test(test_arena_keeps_its_limit),
        cmocka_unit_test(test_array_grows),
        cmocka_unit_test(test_err_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
