/* tests/core/meta/test_history.c: commands are kept in order as far back as memory allows, and a follower
 * finds the one that it lacks, or hears that it is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/meta/history.h"

static void push(struct meta_history *h, int number)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", number);
    meta_history_push(h, slice_str(text));
}

static void assert_item(const struct meta_history_item *item, uint64_t version, const char *text)
{
    assert_non_null(item);
    assert_int_equal(item->version, version);
    assert_true(slice_is(slice_of(item->bytes, item->size), text));
}

static void test_in_order(void **state)
{
    (void)state;
    struct meta_history h;
    meta_history_init(&h, 1 << 20);
    assert_null(meta_history_after(&h, 0));
    for (int i = 1; i <= 100; i++) push(&h, i);
    assert_int_equal(h.version, 100);
    assert_item(meta_history_after(&h, 0), 1, "1");
    const struct meta_history_item *item = meta_history_after(&h, 98);
    assert_item(item, 99, "99");
    assert_item(LIST_ENTRY(item->node.next, struct meta_history_item, node), 100, "100");
    assert_null(meta_history_after(&h, 100));
    assert_null(meta_history_after(&h, 1000));
    meta_history_fini(&h);
}

/* The oldest go when the bytes are too many, and all of them with a new beginning. */
static void test_the_oldest_are_forgotten(void **state)
{
    (void)state;
    struct meta_history h;
    meta_history_init(&h, 2000);
    for (int i = 1; i <= 1000; i++) push(&h, i);
    assert_true(h.size <= 2000);
    assert_true(h.first > 900 && h.first < 1000);
    assert_null(meta_history_after(&h, h.first - 1));
    assert_item(meta_history_after(&h, 999), 1000, "1000");
    meta_history_reset(&h, 5000);
    assert_int_equal(h.size, 0);
    assert_null(meta_history_after(&h, 999));
    push(&h, 1);
    assert_item(meta_history_after(&h, 5000), 5001, "1");
    meta_history_fini(&h);
}

/* A command that there was no memory for is a hole: nobody is led over it. */
static void test_no_memory_forgets(void **state)
{
    (void)state;
    struct meta_history h;
    meta_history_init(&h, 1 << 20);
    push(&h, 1);
    mem_fail_nth(1);
    push(&h, 2);
    assert_true(mem_has_failed());
    mem_fail_nth(0);
    assert_int_equal(h.version, 2);
    assert_null(meta_history_after(&h, 0));
    assert_null(meta_history_after(&h, 1));
    push(&h, 3);
    assert_item(meta_history_after(&h, 2), 3, "3");
    meta_history_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_the_oldest_are_forgotten),
        cmocka_unit_test(test_no_memory_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
