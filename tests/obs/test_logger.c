/* tests/obs/test_log.c: one event is one line, whatever is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "obs/logger_file.h"

/* A sink that keeps the last line. */
struct memory_sink {
    struct logger_sink sink;
    size_t count;
    char line[LOG_LINE_SIZE_MAX + 1];
};

static void keep_line(struct logger_sink *sink, enum logger_level level, struct slice line)
{
    (void)level;
    struct memory_sink *m = (struct memory_sink *)(void *)sink;
    m->count++;
    memcpy(m->line, line.data, line.size);
    m->line[line.size] = '\0';
}

/* Fields of every kind stand behind the message, in the order given. */
static void test_line_has_its_fields(void **state)
{
    (void)state;
    struct memory_sink m = {.sink = {LOG_LEVEL_INFO, keep_line}};
    const struct logger log = {"node", &m.sink};
    LOG_INFO(&log, "table created", field_u64("table", 3), field_i64("shift_us", -4),
             field_str("name", "temp"), field_code(E_NOSPACE));
    assert_string_equal(m.line, "INFO node table created table=3 shift_us=-4 name=temp "
                                "error=E_NOSPACE");
    LOG_WARN(&log, "stopping");
    assert_string_equal(m.line, "WARN node stopping");
}

/* A peer puts a newline, quotes and a terminal's escape into its name: still one line, one value. */
static void test_hostile_value_stays_one_value(void **state)
{
    (void)state;
    struct memory_sink m = {.sink = {LOG_LEVEL_DEBUG, keep_line}};
    const struct logger log = {"rpc", &m.sink};
    LOG_INFO(&log, "hello", field_str("name", "a\" level=ERROR\n\x1b[2J\\"),
             field_str("empty", ""));
    assert_string_equal(m.line,
                        "INFO rpc hello name=\"a\\\" level=ERROR\\x0a\\x1b[2J\\\\\" empty=\"\"");
}

/* A value larger than any line is cut, and nothing is written behind the line. */
static void test_long_line_is_cut(void **state)
{
    (void)state;
    struct memory_sink m = {.sink = {LOG_LEVEL_DEBUG, keep_line}};
    const struct logger log = {"rpc", &m.sink};
    char value[3 * LOG_LINE_SIZE_MAX];
    memset(value, '\n', sizeof value);
    LOG_ERROR(&log, "long", field_slice("value", slice_of(value, sizeof value)));
    assert_int_equal(strlen(m.line), LOG_LINE_SIZE_MAX);
}

static struct logger_field count_field(int *calls)
{
    ++*calls;
    return field_u64("calls", 1);
}

/* What is below the sink's level, or has no sink, costs nothing: its fields are not even made. */
static void test_dropped_line_makes_no_fields(void **state)
{
    (void)state;
    int calls = 0;
    struct memory_sink m = {.sink = {LOG_LEVEL_WARN, keep_line}};
    const struct logger log = {"rpc", &m.sink}, silent = {"rpc", NULL};
    LOG_INFO(&log, "dropped", count_field(&calls));
    LOG_ERROR(&silent, "dropped", count_field(&calls));
    assert_int_equal(calls, 0);
    LOG_WARN(&log, "kept", count_field(&calls));
    assert_int_equal(calls, 1);
    assert_int_equal(m.count, 1);
}

/* The file gets the line with its time; a second opening appends. */
static void test_file_gets_time_and_newline(void **state)
{
    (void)state;
    char path[] = "/tmp/pirene-test-log-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (int i = 0; i < 2; i++) {
        struct logger_file file = {0};
        assert_int_equal(logger_file_open(&file, path, LOG_LEVEL_INFO, NULL), 0);
        logger_sink_set(&file.sink);
        const struct logger log = {"node", NULL};
        LOG_INFO(&log, "started", field_i64("round", i));
        logger_sink_set(NULL);
        assert_int_equal(file.lost, 0);
        logger_file_close(&file);
    }
    char text[256] = {0};
    assert_true(read(fd, text, sizeof text - 1) > 0);
    int year = 0, used = 0;
    double second = 0;
    assert_int_equal(sscanf(text, "%d-%*d-%*dT%*d:%*d:%lfZ%n", &year, &second, &used), 2);
    assert_true(year >= 2024);
    assert_int_equal(used, sizeof "2026-01-31T12:00:00.123456Z" - 1);
    assert_non_null(strstr(text, "Z INFO node started round=0\n2"));
    assert_non_null(strstr(text, "Z INFO node started round=1\n"));
    (void)close(fd);
    (void)unlink(path);
}

static void test_missing_directory_is_explained(void **state)
{
    (void)state;
    struct logger_file file = {0};
    struct err e = {0};
    assert_int_equal(logger_file_open(&file, "/nowhere/at/all.log", LOG_LEVEL_INFO, &e),
                     E_NOTFOUND);
    assert_string_equal(e.text, "log file /nowhere/at/all.log: not found");
    logger_file_close(&file);
}

static void test_level_names(void **state)
{
    (void)state;
    enum logger_level level = LOG_LEVEL_DEBUG;
    assert_int_equal(logger_level_parse("warn", &level), 0);
    assert_int_equal(level, LOG_LEVEL_WARN);
    assert_int_equal(logger_level_parse("loud", &level), E_INVALID);
    assert_int_equal(level, LOG_LEVEL_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_has_its_fields),
        cmocka_unit_test(test_hostile_value_stays_one_value),
        cmocka_unit_test(test_long_line_is_cut),
        cmocka_unit_test(test_dropped_line_makes_no_fields),
        cmocka_unit_test(test_file_gets_time_and_newline),
        cmocka_unit_test(test_missing_directory_is_explained),
        cmocka_unit_test(test_level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
