/* tests/core/meta/test_env.c: environment variables: which values are taken, and what people are
 * told about the others. */
#include "world.h"

static int with_table(void **state)
{
    static struct world w;
    world_init(&w, 1);
    assert_int_equal(world_create(&w, "t", 2, 1), WIRE_ERR_OK);
    *state = &w;
    return 0;
}

/* One row for each way to be right or wrong. */
static void test_values(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *key, *value;
        const char *hint; /* NULL: it is taken. */
    } rows[] = {
        {"default_ttl", "0", NULL},
        {"default_ttl", "86400", NULL},
        {"default_ttl", "-1", "invalid value '-1', should be '>= 0'"},
        {"default_ttl", "2147483648", "invalid value '2147483648', should be an 32 bits integer"},
        {"default_ttl", "1x", "invalid value '1x', should be an 32 bits integer"},
        {"default_ttl", "", "invalid value '', should be an 32 bits integer"},
        {"default_ttl", "-", "invalid value '-', should be an 32 bits integer"},
        {"replica.slow_query_threshold", "20", NULL},
        {"replica.slow_query_threshold", "19", "invalid value '19', should be '>= 20'"},
        {"replica.slow_query_threshold", "9223372036854775808",
         "invalid value '9223372036854775808', should be an 64 bits integer"},
        {"rocksdb.num_levels", "10", NULL},
        {"rocksdb.num_levels", "11", "invalid value '11', should be 'In range [1, 10]'"},
        {"rocksdb.checkpoint.reserve_min_count", "0", "invalid value '0', should be '> 0'"},
        {"manual_compact.disabled", "TRUE", NULL},
        {"manual_compact.disabled", "yes", "invalid value 'yes', should be a boolean"},
        {"manual_compact.once.target_level", "-1", NULL},
        {"manual_compact.once.target_level", "0", "invalid value '0', should be '-1 or >= 1'"},
        {"manual_compact.once.bottommost_level_compaction", "skip", NULL},
        {"manual_compact.once.bottommost_level_compaction", "maybe",
         "invalid value 'maybe', should be 'force or skip'"},
        {"rocksdb.usage_scenario", "bulk_load", NULL},
        {"rocksdb.usage_scenario", "fast",
         "invalid value 'fast', should be 'normal, prefer_write or bulk_load'"},
        {"business.info", "anything at all", NULL},
        {"replica.deny_client_request", "reconfig*all", NULL},
        {"replica.deny_client_request", "deny*all",
         "Invalid deny client args, valid include: timeout*all, timeout*write, timeout*read; "
         "reconfig*all, reconfig*write, reconfig*read"},
        {"replica.deny_client_write", "true",
         "app_env 'replica.deny_client_write' is not supported"},
        {"", "x", "app_env '' is not supported"},

        {"replica.write_throttling", "10000*delay*100", NULL},
        {"replica.write_throttling", "10K*delay*100,1M*reject*0", NULL},
        {"replica.write_throttling", "", "The value shouldn't be empty"},
        {"replica.write_throttling", "10*delay",
         "The field count of '10*delay' separated by '*' must be 3"},
        {"replica.write_throttling", "1*delay*1,",
         "The field count of '' separated by '*' must be 3"},
        {"replica.write_throttling", "x*delay*1", "'x' should be an unsigned integer"},
        {"replica.write_throttling", "1*delay*-1", "'-1' should be an unsigned integer"},
        {"replica.write_throttling", "18446744073709551615K*delay*1",
         "'18446744073709551615' result is overflow"},
        {"replica.write_throttling", "18446744073709551616*delay*1",
         "'18446744073709551616' result is overflow"},
        {"replica.write_throttling", "1*wait*1", "'wait' should be 'delay' or 'reject'"},
        {"replica.write_throttling", "1*delay*1,2*delay*1", "duplicate 'delay' config"},
        {"replica.write_throttling", "1*reject*1,2*reject*1", "duplicate 'reject' config"},
        {"replica.read_throttling_by_size", "20M", NULL},
        {"replica.read_throttling_by_size", "1*delay*1", NULL},
        {"replica.read_throttling_by_size", "1*delay*1,2*reject*1", NULL},
        {"replica.read_throttling_by_size", "0", "reject value should be greater than 0"},
        {"replica.read_throttling_by_size", "0*reject*1", "reject value should be greater than 0"},
        {"replica.read_throttling_by_size", "", "The value shouldn't be empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum wire_error err = world_set_env(w, "t", rows[i].key, rows[i].value);
        assert_hint(w, rows[i].hint != NULL ? rows[i].hint : "");
        assert_int_equal(err, rows[i].hint != NULL ? WIRE_ERR_INVALID_PARAMETERS : WIRE_ERR_OK);
        if (rows[i].hint == NULL)
            assert_string_equal(meta_env_get(world_table(w, "t"), rows[i].key), rows[i].value);
    }
}

/* Every row of the table takes its own sample. */
static void test_samples(void **state)
{
    (void)state;
    struct meta_env_rule rule;
    size_t count = 0;
    while (meta_env_rule_at(count, &rule) != NULL) {
        assert_true(meta_env_is_valid(slice_str(rule.key), slice_str(rule.sample), NULL));
        count++;
    }
    assert_in_range(count, 20, 100);
}

/* All pairs of a command are set, or none. */
static void test_set_is_whole(void **state)
{
    struct world *w = *state;
    struct string_pair pairs[] = {
        {slice_str("default_ttl"), slice_str("7")},
        {slice_str("rocksdb.num_levels"), slice_str("99")},
    };
    struct meta_command c = {
        .type = META_ENVS_SET,
        .envs_set = {.table = slice_str("t"), .envs = {pairs, 2}},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(world_table(w, "t")->env_count, 0);
    pairs[1].value = slice_str("9");
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, 1);
    assert_int_equal(world_table(w, "t")->env_count, 2);
    assert_int_equal(world_set_env(w, "t", "default_ttl", "8"), WIRE_ERR_OK);
    assert_int_equal(world_table(w, "t")->env_count, 2);
    assert_string_equal(meta_env_get(world_table(w, "t"), "default_ttl"), "8");

    c.envs_set.envs.count = 0;
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "");
}

static void test_unknown_table(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_set_env(w, "u", "default_ttl", "7"), WIRE_ERR_APP_NOT_EXIST);
    assert_hint(w, "app cannot be found");
    struct meta_command clear = {.type = META_ENVS_CLEAR, .envs_clear = {.table = slice_str("u")}};
    assert_int_equal(world_do(w, &clear), WIRE_ERR_APP_NOT_EXIST);
}

static void test_delete(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_set_env(w, "t", "default_ttl", "7"), WIRE_ERR_OK);
    assert_int_equal(world_set_env(w, "t", "business.info", "x"), WIRE_ERR_OK);
    struct slice keys[] = {slice_str("default_ttl"), slice_str("nothing")};
    struct meta_command c = {
        .type = META_ENVS_DELETE,
        .envs_delete = {.table = slice_str("t"), .keys = {keys, 2}},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_hint(w, "deleted keys:\n    default_ttl");
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_hint(w, "no key needs to be deleted");
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_int_equal(world_table(w, "t")->env_count, 1);
    c.envs_delete.keys.count = 0;
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
}

/* A prefix is one of whole words: "rocksdb" is, "rocks" is not. Empty means everything. */
static void test_clear(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_set_env(w, "t", "rocksdb.num_levels", "7"), WIRE_ERR_OK);
    assert_int_equal(world_set_env(w, "t", "rocksdb.usage_scenario", "normal"), WIRE_ERR_OK);
    assert_int_equal(world_set_env(w, "t", "default_ttl", "7"), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_ENVS_CLEAR,
        .envs_clear = {.table = slice_str("t"), .prefix = slice_str("rocks")},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_hint(w, "no key needs to be deleted");
    c.envs_clear.prefix = slice_str("rocksdb");
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_hint(w, "deleted keys:\n    rocksdb.num_levels\n    rocksdb.usage_scenario");
    c.envs_clear.prefix = slice_str("");
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_hint(w, "deleted keys:\n    default_ttl");
    assert_int_equal(world_table(w, "t")->env_count, 0);
}

/* A value may be long, not endless, and has no NUL inside. */
static void test_size_limits(void **state)
{
    struct world *w = *state;
    static char value[META_ENV_VALUE_SIZE_MAX + 2];
    memset(value, 'v', META_ENV_VALUE_SIZE_MAX);
    assert_int_equal(world_set_env(w, "t", "business.info", value), WIRE_ERR_OK);
    value[META_ENV_VALUE_SIZE_MAX] = 'v';
    assert_int_equal(world_set_env(w, "t", "business.info", value), WIRE_ERR_INVALID_PARAMETERS);

    struct string_pair pair = {slice_str("business.info"), slice_of("a\0b", 3)};
    struct meta_command c = {
        .type = META_ENVS_SET,
        .envs_set = {.table = slice_str("t"), .envs = {&pair, 1}},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
}

/* What of it all is wanted now. A day begins at 1,699,920,000; midnight is an hour before that here. */
static void test_compactions(void **state)
{
    struct world *w = *state;
    enum { DAY = 1699920000, HOUR = 3600 };
    static const struct {
        const char *once, *daily;
        int64_t now_s, wanted_s;
    } rows[] = {
        {NULL, NULL, DAY, 0},
        {"1699920000", NULL, DAY - 1, 0},
        {"1699920000", NULL, DAY, DAY},
        {"1699920000", NULL, DAY + 86400, DAY},
        {NULL, "3:00", DAY + 2 * HOUR, DAY + 2 * HOUR},
        {NULL, "3:00", DAY + 2 * HOUR - 1, DAY - 22 * HOUR},
        {NULL, "3:00,21:30", DAY + 21 * HOUR, DAY + 20 * HOUR + 1800},
        {NULL, "21:30,3:00", DAY + 21 * HOUR, DAY + 20 * HOUR + 1800},
        {NULL, "0:00", DAY, DAY - HOUR},
        {NULL, "soon,24:00,3:60,-1:00,3:00x,,3", DAY, 0},
        {NULL, "soon,3:00", DAY + 3 * HOUR, DAY + 2 * HOUR},
        {"1699920000", "0:30", DAY, DAY},
        {"1699920000", "3:00", DAY + 3 * HOUR, DAY + 2 * HOUR},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct meta_command clear = {.type = META_ENVS_CLEAR,
                                     .envs_clear = {.table = slice_str("t")}};
        assert_int_equal(world_do(w, &clear), WIRE_ERR_OK);
        if (rows[i].once != NULL)
            (void)world_set_env(w, "t", "manual_compact.once.trigger_time", rows[i].once);
        if (rows[i].daily != NULL)
            (void)world_set_env(w, "t", "manual_compact.periodic.trigger_time", rows[i].daily);
        struct meta_compaction c = meta_compaction(world_table(w, "t"), rows[i].now_s, HOUR);
        if (c.wanted_s != rows[i].wanted_s) print_error("row %zu\n", i);
        assert_int_equal(c.wanted_s, rows[i].wanted_s);
        assert_int_equal(c.is_daily, rows[i].daily != NULL);
        assert_int_equal(c.at_once_max, UINT32_MAX);
    }
}

static void test_compaction_options(void **state)
{
    struct world *w = *state;
    (void)world_set_env(w, "t", "manual_compact.once.trigger_time", "1700000000");
    struct meta_compaction c = meta_compaction(world_table(w, "t"), 1699999999, 0);
    assert_true(c.is_later);
    assert_int_equal(c.wanted_s, 0);
    c = meta_compaction(world_table(w, "t"), 1700000001, 0);
    assert_false(c.rewrites_bottom || c.is_later);
    (void)world_set_env(w, "t", "manual_compact.once.bottommost_level_compaction", "force");
    (void)world_set_env(w, "t", "manual_compact.max_concurrent_running_count", "0");
    c = meta_compaction(world_table(w, "t"), 1700000001, 0);
    assert_true(c.rewrites_bottom);
    assert_int_equal(c.at_once_max, 0);
    (void)world_set_env(w, "t", "manual_compact.disabled", "True");
    assert_int_equal(meta_compaction(world_table(w, "t"), 1700000001, 0).wanted_s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, with_table, world_done),
        cmocka_unit_test(test_samples),
        cmocka_unit_test_setup_teardown(test_compactions, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_compaction_options, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_set_is_whole, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_unknown_table, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_delete, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_clear, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_size_limits, with_table, world_done),
    };
    return cmocka_run_group_tests_name("meta env", tests, NULL, NULL);
}
