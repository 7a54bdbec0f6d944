/* tests/rpc/test_calls.c: the table of calls finds what is in it, and only that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "rpc/calls.h"

enum { CALL_COUNT = 3000 };

/* Consecutive ids, answered in any order, as a pipelined connection does; the table agrees with a
 * plain array at every step. */
static void test_agrees_with_a_plain_array(void **state)
{
    (void)state;
    static struct rpc_call calls[CALL_COUNT];
    static bool is_in[CALL_COUNT];
    struct calls table = {0};
    struct prng prng;
    prng_init(&prng, 11);
    for (size_t i = 0; i < CALL_COUNT; i++) calls[i].id = 1000000 + i;

    for (int turn = 0; turn < 40000; turn++) {
        size_t i = (size_t)prng_below(&prng, CALL_COUNT);
        assert_ptr_equal(calls_find(&table, calls[i].id), is_in[i] ? &calls[i] : NULL);
        if (is_in[i]) calls_remove(&table, &calls[i]);
        else assert_int_equal(calls_put(&table, &calls[i]), 0);
        is_in[i] = !is_in[i];
    }
    for (size_t i = 0; i < CALL_COUNT; i++)
        assert_ptr_equal(calls_find(&table, calls[i].id), is_in[i] ? &calls[i] : NULL);
    calls_fini(&table);
}

/* Few calls under ids from everywhere: those that share a run of slots still find each other,
 * whichever goes first. */
static void test_crowded_slots(void **state)
{
    (void)state;
    struct rpc_call calls[32] = {0};
    struct prng prng;
    prng_init(&prng, 12);
    for (int turn = 0; turn < 1000; turn++) {
        struct calls table = {0};
        size_t gone = (size_t)prng_below(&prng, 32);
        for (size_t i = 0; i < 32; i++) {
            calls[i].id = prng_next(&prng);
            assert_int_equal(calls_put(&table, &calls[i]), 0);
        }
        calls_remove(&table, &calls[gone]);
        for (size_t i = 0; i < 32; i++)
            assert_ptr_equal(calls_find(&table, calls[i].id), i == gone ? NULL : &calls[i]);
        calls_fini(&table);
    }
}

/* When growing finds no memory, the call is refused and those within stay. */
static void test_no_memory_refuses_one_call(void **state)
{
    (void)state;
    struct rpc_call calls[64] = {0};
    struct calls table = {0};
    for (size_t i = 0; i < 32; i++) {
        calls[i].id = i;
        assert_int_equal(calls_put(&table, &calls[i]), 0);
    }
    mem_fail_nth(1);
    calls[32].id = 32;
    assert_int_equal(calls_put(&table, &calls[32]), E_NOMEM);
    mem_fail_nth(0);
    for (size_t i = 0; i < 32; i++) assert_ptr_equal(calls_find(&table, i), &calls[i]);
    assert_null(calls_find(&table, 32));
    calls_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_a_plain_array),
        cmocka_unit_test(test_crowded_slots),
        cmocka_unit_test(test_no_memory_refuses_one_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
