/* tests/core/throttle/test_throttle.c: seconds pass because the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/throttle/throttle.h"

static struct throttle throttle_of(const char *text, uint32_t partitions)
{
    struct throttle_rule rule;
    struct throttle t = {0};
    assert_int_equal(throttle_rule_read(slice_str(text), &rule), 0);
    throttle_set(&t, &rule, partitions);
    return t;
}

/* Ask, and see both answers; a wait is only said where there is one. */
static void ask(struct throttle *t, uint64_t second, uint32_t units, int32_t timeout_ms,
                enum throttle_verdict verdict, uint32_t wait_ms)
{
    uint32_t told_ms = 0;
    assert_int_equal(throttle_ask(t, second, units, timeout_ms, &told_ms), verdict);
    assert_int_equal(told_ms, wait_ms);
}

/* One item or two, in either order, with K and M. */
static void test_reads_rules(void **state)
{
    (void)state;
    struct throttle_rule rule;
    assert_int_equal(throttle_rule_read(slice_str("1M*reject*50,20K*delay*100"), &rule), 0);
    assert_int_equal(rule.reject_units, 1048576);
    assert_int_equal(rule.reject_ms, 50);
    assert_int_equal(rule.delay_units, 20480);
    assert_int_equal(rule.delay_ms, 100);
    assert_int_equal(throttle_rule_read(slice_str("5*delay*999999999999"), &rule), 0);
    assert_int_equal(rule.delay_ms, THROTTLE_WAIT_MS_MAX);
    assert_int_equal(rule.reject_units, 0);
}

/* A rule that should never have come here is no limit at all. */
static void test_bad_rules_are_no_limit(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "10",
                         "10*delay",
                         "10*stop*5",
                         "x*delay*5",
                         "10*delay*",
                         "*delay*5",
                         "K*reject*1",
                         "10*delay*5,20*reject",
                         ",",
                         "10*delay*5*",
                         "18446744073709551616*delay*1",
                         "18446744073709551615M*delay*1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct throttle_rule rule = {.delay_units = 1};
        uint64_t rate = 1;
        assert_int_equal(throttle_rule_read(slice_str(bad[i]), &rule), E_PROTO);
        assert_true(rule.delay_units == 0 && rule.reject_units == 0);
        if (i == 1) continue; /* A good rate. */
        assert_int_equal(throttle_rate_read(slice_str(bad[i]), &rate), E_PROTO);
        assert_int_equal(rate, 0);
    }
}

/* Above the first limit requests wait, above the second they are refused and count for nothing; the
 * next second begins anew. */
static void test_delays_then_rejects(void **state)
{
    (void)state;
    struct throttle t = throttle_of("8*delay*100,16*reject*200", 4); /* 3 and 5 for each. */
    for (int i = 0; i < 3; i++) ask(&t, 7, 1, 0, THROTTLE_PASS, 0);
    ask(&t, 7, 1, 0, THROTTLE_DELAY, 100);
    ask(&t, 7, 2, 0, THROTTLE_REJECT, 200);
    ask(&t, 7, 1, 0, THROTTLE_DELAY, 100);
    ask(&t, 7, 1, 0, THROTTLE_REJECT, 200);
    ask(&t, 8, 3, 0, THROTTLE_PASS, 0);
    ask(&t, 8, 1, 0, THROTTLE_DELAY, 100);
    ask(&t, 7, 1, 0, THROTTLE_PASS, 0); /* The clock was set back: another second. */
}

/* Nobody waits longer than half of what its client gives it; what would wait for nothing passes. */
static void test_wait_fits_the_client(void **state)
{
    (void)state;
    struct throttle t = throttle_of("1*delay*100,3*reject*0", 1);
    ask(&t, 1, 2, 0, THROTTLE_PASS, 0);
    ask(&t, 1, 1, 1000, THROTTLE_DELAY, 100);
    ask(&t, 1, 1, 60, THROTTLE_DELAY, 30);
    ask(&t, 1, 1, 1000, THROTTLE_REJECT, 0);
    ask(&t, 2, 3, -1, THROTTLE_DELAY, 100);
    ask(&t, 2, 1, 1, THROTTLE_PASS, 0);
}

/* A new rule holds at once, and what was used in this second stays used; none at all is off. */
static void test_rule_changes(void **state)
{
    (void)state;
    struct throttle t = throttle_of("100*reject*1", 1);
    ask(&t, 1, 50, 0, THROTTLE_PASS, 0);
    struct throttle_rule rule = {.reject_units = 10, .reject_ms = 1};
    throttle_set(&t, &rule, 1);
    ask(&t, 1, 1, 0, THROTTLE_REJECT, 1);
    rule = (struct throttle_rule){0};
    throttle_set(&t, &rule, 1);
    assert_false(throttle_is_on(&t));
    ask(&t, 1, UINT32_MAX, 0, THROTTLE_PASS, 0);
}

/* A rate is a number, or the reject part of a list; a lone delay is none. */
static void test_reads_rates(void **state)
{
    (void)state;
    uint64_t rate;
    assert_int_equal(throttle_rate_read(slice_str("10K"), &rate), 0);
    assert_int_equal(rate, 10240);
    assert_int_equal(throttle_rate_read(slice_str("5*delay*1,7M*reject*1"), &rate), 0);
    assert_int_equal(rate, 7 << 20);
    assert_int_equal(throttle_rate_read(slice_str("5*delay*1"), &rate), 0);
    assert_int_equal(rate, 0);
}

/* A full bucket, a debt, and the time that it takes to pay it. */
static void test_bucket_pays_its_debt(void **state)
{
    (void)state;
    struct throttle_bucket b = {0};
    assert_true(throttle_bucket_ask(&b, 0)); /* Off. */
    throttle_bucket_take(&b, 1000);
    throttle_bucket_set(&b, 4000, 4, 5000);
    assert_true(throttle_bucket_ask(&b, 5000));
    throttle_bucket_take(&b, 3000); /* 2000 too much: two seconds. */
    assert_false(throttle_bucket_ask(&b, 5000));
    assert_false(throttle_bucket_ask(&b, 7000));
    assert_true(throttle_bucket_ask(&b, 7001));
    assert_true(throttle_bucket_ask(&b, 1000000)); /* Not more than a second's worth. */
    throttle_bucket_take(&b, 1000);
    assert_false(throttle_bucket_ask(&b, 1000000));
    throttle_bucket_set(&b, 0, 4, 1000000);
    assert_true(throttle_bucket_ask(&b, 1000000));
}

/* Very slow and very fast: a byte per second comes in time, however often one asks; and nothing
 * overflows. */
static void test_bucket_extremes(void **state)
{
    (void)state;
    struct throttle_bucket slow = {0}, fast = {0};
    throttle_bucket_set(&slow, 3, 64, 0);
    throttle_bucket_take(&slow, 1);
    for (uint64_t ms = 0; ms < 1000; ms += 7) assert_false(throttle_bucket_ask(&slow, ms));
    assert_true(throttle_bucket_ask(&slow, 1000));

    throttle_bucket_set(&fast, UINT64_MAX, 1, 0);
    throttle_bucket_take(&fast, UINT64_MAX);
    assert_false(throttle_bucket_ask(&fast, 0));
    assert_true(throttle_bucket_ask(&fast, UINT64_MAX / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_rules),          cmocka_unit_test(test_bad_rules_are_no_limit),
        cmocka_unit_test(test_delays_then_rejects),  cmocka_unit_test(test_wait_fits_the_client),
        cmocka_unit_test(test_rule_changes),         cmocka_unit_test(test_reads_rates),
        cmocka_unit_test(test_bucket_pays_its_debt), cmocka_unit_test(test_bucket_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
