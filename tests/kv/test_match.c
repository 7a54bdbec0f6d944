/* tests/kv/test_match.c: what is a number, and which bytes pass a filter or a check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kv/match.h"
#include "kv/number.h"

/* A number is what strtoll with base 0 reads of the whole text. */
static void test_numbers_are_read_as_strtoll_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t number;
    } good[] = {
        {"0", 0},
        {"7", 7},
        {"-12", -12},
        {"+5", 5},
        {" \t\n\v\f\r42", 42},
        {"0x10", 16},
        {"0XfF", 255},
        {"-0x1", -1},
        {"010", 8},
        {"-07", -7},
        {"00", 0},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"0x7fffffffffffffff", INT64_MAX},
    };
    static const char *bad[] = {
        "",
        " ",
        "-",
        "+",
        "x",
        "1 ",
        "1\n",
        "1x",
        "0x",
        "0xg",
        "08",
        "--1",
        "1.0",
        "- 1",
        "1e3",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t number = 1;
        assert_int_equal(kv_number_read(slice_str(good[i].text), &number), 0);
        assert_true(number == good[i].number);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t number = 77;
        assert_int_equal(kv_number_read(slice_str(bad[i]), &number), E_INVALID);
        assert_true(number == 77);
    }
    int64_t number;
    assert_int_equal(kv_number_read(slice_of("1\0", 2), &number), E_INVALID);
}

static void test_numbers_are_written_as_plain_decimals(void **state)
{
    (void)state;
    static const struct {
        int64_t number;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-12, "-12"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t text[KV_NUMBER_SIZE];
        size_t size = kv_number_write(rows[i].number, text);
        assert_true(slice_is(slice_of(text, size), rows[i].text));
    }
}

static void test_filters_look_at_their_end_and_empty_ones_pass_all(void **state)
{
    (void)state;
    struct slice bytes = slice_str("abcd");
    assert_true(kv_filter_passes(FILTER_NONE, slice_str("x"), bytes));
    assert_true(kv_filter_passes(FILTER_ANYWHERE, slice_str("bc"), bytes));
    assert_false(kv_filter_passes(FILTER_ANYWHERE, slice_str("bd"), bytes));
    assert_true(kv_filter_passes(FILTER_PREFIX, slice_str("ab"), bytes));
    assert_false(kv_filter_passes(FILTER_PREFIX, slice_str("bc"), bytes));
    assert_true(kv_filter_passes(FILTER_POSTFIX, slice_str("cd"), bytes));
    assert_false(kv_filter_passes(FILTER_POSTFIX, slice_str("bc"), bytes));
    for (int32_t type = FILTER_NONE; type <= FILTER_POSTFIX; type++) {
        assert_true(kv_filter_passes(type, slice_str(""), bytes));
        assert_true(kv_filter_passes(type, slice_str(""), slice_str("")));
        assert_int_equal(kv_filter_passes(type, slice_str("a"), slice_str("")),
                         type == FILTER_NONE);
    }
    assert_false(kv_filter_is_known(-1));
    assert_false(kv_filter_is_known(4));
}

enum { P = 0, R = E_REFUSED, I = E_INVALID };

/* Each row is a check; the columns are values: none, "", "5", "05", "abc". The operand is "5". */
static void test_checks_pass_as_the_table_says(void **state)
{
    (void)state;
    static const char *values[] = {NULL, "", "5", "05", "abc"};
    static const int table[18][5] = {
        [CAS_NO_CHECK] = {P, P, P, P, P},
        [CAS_VALUE_NOT_EXIST] = {P, R, R, R, R},
        [CAS_VALUE_NOT_EXIST_OR_EMPTY] = {P, P, R, R, R},
        [CAS_VALUE_EXIST] = {R, P, P, P, P},
        [CAS_VALUE_NOT_EMPTY] = {R, R, P, P, P},
        [CAS_VALUE_MATCH_ANYWHERE] = {R, R, P, P, R},
        [CAS_VALUE_MATCH_PREFIX] = {R, R, P, R, R},
        [CAS_VALUE_MATCH_POSTFIX] = {R, R, P, P, R},
        [CAS_VALUE_BYTES_LESS] = {R, P, R, P, R},
        [CAS_VALUE_BYTES_LESS_OR_EQUAL] = {R, P, P, P, R},
        [CAS_VALUE_BYTES_EQUAL] = {R, R, P, R, R},
        [CAS_VALUE_BYTES_GREATER_OR_EQUAL] = {R, R, P, R, P},
        [CAS_VALUE_BYTES_GREATER] = {R, R, R, R, P},
        [CAS_VALUE_INT_LESS] = {R, I, R, R, I},
        [CAS_VALUE_INT_LESS_OR_EQUAL] = {R, I, P, P, I},
        [CAS_VALUE_INT_EQUAL] = {R, I, P, P, I},
        [CAS_VALUE_INT_GREATER_OR_EQUAL] = {R, I, P, P, I},
        [CAS_VALUE_INT_GREATER] = {R, I, R, R, I},
    };
    for (int32_t check = 0; check < 18; check++) {
        assert_true(kv_check_is_known(check));
        for (size_t i = 0; i < 5; i++) {
            struct slice value = slice_str(values[i] == NULL ? "" : values[i]);
            int rc = kv_check(check, slice_str("5"), values[i] == NULL ? NULL : &value);
            assert_int_equal(rc, table[check][i]);
        }
    }
    assert_false(kv_check_is_known(-1));
    assert_false(kv_check_is_known(18));
}

/* Bytes are unsigned, numbers are signed, an operand that is no number spoils the check, and an empty
 * pattern occurs in any value. */
static void test_checks_compare_bytes_and_numbers_each_in_their_way(void **state)
{
    (void)state;
    struct slice high = slice_of("\xff", 1), minus = slice_str("-1"), two = slice_str("2");
    assert_int_equal(kv_check(CAS_VALUE_BYTES_GREATER, slice_str("a"), &high), 0);
    assert_int_equal(kv_check(CAS_VALUE_BYTES_LESS, slice_str("22"), &two), 0);
    assert_int_equal(kv_check(CAS_VALUE_INT_LESS, slice_str("0x1"), &minus), 0);
    assert_int_equal(kv_check(CAS_VALUE_INT_EQUAL, slice_str(""), &two), E_INVALID);
    assert_int_equal(kv_check(CAS_VALUE_INT_EQUAL, slice_str("two"), NULL), E_REFUSED);
    struct slice empty = slice_str("");
    for (int32_t check = CAS_VALUE_MATCH_ANYWHERE; check <= CAS_VALUE_MATCH_POSTFIX; check++)
        assert_int_equal(kv_check(check, empty, &empty), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_read_as_strtoll_does),
        cmocka_unit_test(test_numbers_are_written_as_plain_decimals),
        cmocka_unit_test(test_filters_look_at_their_end_and_empty_ones_pass_all),
        cmocka_unit_test(test_checks_pass_as_the_table_says),
        cmocka_unit_test(test_checks_compare_bytes_and_numbers_each_in_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
