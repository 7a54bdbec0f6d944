/* src/core/meta/env_rules.c: the environment variables that exist, one row each, and what their
 * values may be. The texts are those of Pegasus, so that its tools say what their users know.
 * Source: docs/meta.md, rule M15. */
#include "core/meta/env_throttle.h"
#include "core/meta/meta_impl.h"

enum kind { KIND_BOOL, KIND_INT32, KIND_INT64, KIND_TEXT };

struct rule {
    const char *key;
    enum kind kind;
    int64_t min, max;                                       /* Of numbers. */
    bool (*is_valid)(struct slice value, struct buf *hint); /* More than that; may be NULL. */
    const char *limit, *sample;
};

#define LEVEL_LIMIT  "-1 or >= 1"
#define BOTTOM_LIMIT "force or skip"
#define DENY_SAMPLES                                                                               \
    "timeout*all, timeout*write, timeout*read; reconfig*all, reconfig*write, "                     \
    "reconfig*read"

static bool is_one_of(struct slice value, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (slice_is(value, *words)) return true;
    }
    return false;
}

static bool deny_is_valid(struct slice value, struct buf *hint)
{
    static const char *const words[] = {"timeout*all",
                                        "timeout*write",
                                        "timeout*read",
                                        "reconfig*all",
                                        "reconfig*write",
                                        "reconfig*read",
                                        NULL};
    if (is_one_of(value, words)) return true;
    buf_append_str(hint, "Invalid deny client args, valid include: " DENY_SAMPLES);
    return false;
}

/* The caller's row says the limit in words: these only say no. */
static bool scenario_is_valid(struct slice value, struct buf *hint)
{
    static const char *const words[] = {"normal", "prefer_write", "bulk_load", NULL};
    (void)hint;
    return is_one_of(value, words);
}

static bool bottommost_is_valid(struct slice value, struct buf *hint)
{
    static const char *const words[] = {"force", "skip", NULL};
    (void)hint;
    return is_one_of(value, words);
}

static bool int64_of(struct slice text, int64_t *out);

static bool level_is_valid(struct slice value, struct buf *hint)
{
    int64_t level;
    (void)hint;
    return int64_of(value, &level) && level != 0;
}

static const struct rule rules[] = {
    {"business.info", KIND_TEXT, 0, 0, NULL, "", "owner=someone"},
    {"default_ttl", KIND_INT32, 0, INT32_MAX, NULL, ">= 0", "86400"},
    {"manual_compact.disabled", KIND_BOOL, 0, 0, NULL, "", "true"},
    {"manual_compact.max_concurrent_running_count", KIND_INT32, 0, INT32_MAX, NULL, ">= 0", "8"},
    {"manual_compact.once.bottommost_level_compaction", KIND_TEXT, 0, 0, bottommost_is_valid,
     BOTTOM_LIMIT, "force"},
    {"manual_compact.once.target_level", KIND_INT64, -1, INT64_MAX, level_is_valid, LEVEL_LIMIT,
     "-1"},
    {"manual_compact.once.trigger_time", KIND_INT64, 0, INT64_MAX, NULL, ">= 0", "1700000000"},
    {"manual_compact.periodic.bottommost_level_compaction", KIND_TEXT, 0, 0, bottommost_is_valid,
     BOTTOM_LIMIT, "skip"},
    {"manual_compact.periodic.target_level", KIND_INT64, -1, INT64_MAX, level_is_valid, LEVEL_LIMIT,
     "-1"},
    {"manual_compact.periodic.trigger_time", KIND_TEXT, 0, 0, NULL, "", "3:00,21:00"},
    {"replica.backup_request_throttling", KIND_TEXT, 0, 0, throttle_list_is_valid, THROTTLE_LIMIT,
     "10000*delay*100,20000*reject*100"},
    {"replica.deny_client_request", KIND_TEXT, 0, 0, deny_is_valid, DENY_SAMPLES, "timeout*write"},
    {"replica.read_throttling", KIND_TEXT, 0, 0, throttle_list_is_valid, THROTTLE_LIMIT,
     "10000*delay*100,20000*reject*100"},
    {"replica.read_throttling_by_size", KIND_TEXT, 0, 0, throttle_bucket_is_valid, THROTTLE_LIMIT,
     "20000000"},
    {"replica.rocksdb_block_cache_enabled", KIND_BOOL, 0, 0, NULL, "", "true"},
    {"replica.rocksdb_iteration_threshold_time_ms", KIND_INT64, 0, INT64_MAX, NULL, ">= 0", "1000"},
    {"replica.slow_query_threshold", KIND_INT64, 20, INT64_MAX, NULL, ">= 20", "1000"},
    {"replica.split.validate_partition_hash", KIND_BOOL, 0, 0, NULL, "", "false"},
    {"replica.write_throttling", KIND_TEXT, 0, 0, throttle_list_is_valid, THROTTLE_LIMIT,
     "10000*delay*100,20000*reject*100"},
    {"replica.write_throttling_by_size", KIND_TEXT, 0, 0, throttle_list_is_valid, THROTTLE_LIMIT,
     "10M*delay*100,20M*reject*100"},
    {"replica_access_controller.allowed_users", KIND_TEXT, 0, 0, NULL, "", "user1,user2"},
    {"replica_access_controller.ranger_policies", KIND_TEXT, 0, 0, NULL, "", "{}"},
    {"rocksdb.allow_ingest_behind", KIND_BOOL, 0, 0, NULL, "", "true"},
    {"rocksdb.checkpoint.reserve_min_count", KIND_INT32, 1, INT32_MAX, NULL, "> 0", "2"},
    {"rocksdb.checkpoint.reserve_time_seconds", KIND_INT32, 0, INT32_MAX, NULL, ">= 0", "3600"},
    {"rocksdb.num_levels", KIND_INT64, 1, 10, NULL, "In range [1, 10]", "6"},
    {"rocksdb.usage_scenario", KIND_TEXT, 0, 0, scenario_is_valid,
     "normal, prefer_write or bulk_load", "normal"},
    {"rocksdb.write_buffer_size", KIND_INT64, 16777216, 536870912, NULL,
     "In range [16777216, 536870912]", "67108864"},
    {"user_specified_compaction", KIND_TEXT, 0, 0, NULL, "", "{\"ops\":[]}"},
};

enum { RULE_COUNT = sizeof rules / sizeof rules[0] };

static const char *const kind_names[] = {"bool", "int32", "int64", "string"};
static const char *const kind_wishes[] = {"a boolean", "an 32 bits integer", "an 64 bits integer",
                                          ""};

const struct meta_env_rule *meta_env_rule_at(size_t index, struct meta_env_rule *out)
{
    if (index >= RULE_COUNT) return NULL;
    const struct rule *rule = &rules[index];
    *out = (struct meta_env_rule){rule->key, kind_names[rule->kind], rule->limit, rule->sample};
    return out;
}

static const struct rule *rule_find(struct slice key)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (slice_is(key, rules[i].key)) return &rules[i];
    }
    return NULL;
}

static bool is_bool(struct slice value)
{
    char lower[8] = {0};
    if (value.size == 0 || value.size >= sizeof lower) return false;
    for (size_t i = 0; i < value.size; i++) lower[i] = (char)(value.data[i] | 0x20);
    return strcmp(lower, "true") == 0 || strcmp(lower, "false") == 0;
}

/* A decimal number that fits. */
static bool int64_of(struct slice text, int64_t *out)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    struct slice digits = slice_skip(text, is_negative);
    if (digits.size == 0 || digits.size > 19) return false;
    uint64_t value = 0; /* Nineteen digits always fit. */
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        value = value * 10 + (uint64_t)(digits.data[i] - '0');
    }
    if (value > INT64_MAX) return false;
    *out = is_negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* Has the value the type of its row? '*number' is set for numbers. */
static bool has_kind(enum kind kind, struct slice value, int64_t *number)
{
    switch (kind) {
    case KIND_BOOL: return is_bool(value);
    case KIND_INT32: return int64_of(value, number) && *number >= INT32_MIN && *number <= INT32_MAX;
    case KIND_INT64: return int64_of(value, number);
    case KIND_TEXT: return true;
    }
    return false;
}

static bool is_within(const struct rule *rule, struct slice value, int64_t number, struct buf *hint)
{
    bool is_number = rule->kind == KIND_INT32 || rule->kind == KIND_INT64;
    if (is_number && (number < rule->min || number > rule->max)) return false;
    return rule->is_valid == NULL || rule->is_valid(value, hint);
}

#define QUOTE(text) (int)(text).size, (const char *)(text).data

/* Values are shown as they are, but a document of megabytes says nothing to a person. */
static struct slice shortened(struct slice text)
{
    enum { SHOWN_SIZE_MAX = 200 };
    return slice_of(text.data, text.size < SHOWN_SIZE_MAX ? text.size : SHOWN_SIZE_MAX);
}

static bool check_value(struct slice key, struct slice value, struct buf *hint)
{
    const struct rule *rule = rule_find(key);
    struct slice shown = shortened(value);
    int64_t number = 0;
    if (rule == NULL) {
        shown = shortened(key);
        buf_printf(hint, "app_env '%.*s' is not supported", QUOTE(shown));
        return false;
    }
    if (!has_kind(rule->kind, value, &number)) {
        buf_printf(hint, "invalid value '%.*s', should be %s", QUOTE(shown),
                   kind_wishes[rule->kind]);
        return false;
    }
    size_t before = hint->size;
    if (is_within(rule, value, number, hint)) return true;
    if (hint->size == before)
        buf_printf(hint, "invalid value '%.*s', should be '%s'", QUOTE(shown), rule->limit);
    return false;
}

bool meta_env_is_valid(struct slice key, struct slice value, struct buf *hint)
{
    struct buf unwanted = {0};
    bool is_valid = check_value(key, value, hint != NULL ? hint : &unwanted);
    buf_fini(&unwanted);
    return is_valid;
}
