/* src/core/meta/compaction.c: when a table's environment wants its partitions compacted (docs/meta.md,
 * M32). Variables are checked when they are set, but the times of day are not: what isn't one is
 * skipped. */
#include <stdlib.h>

#include "core/meta/meta_impl.h"

enum { DAY_S = 24 * 3600 };

static int64_t number(const struct meta_table *t, const char *key, int64_t absent)
{
    const char *text = meta_env_get(t, key);
    return text != NULL ? strtoll(text, NULL, 10) : absent;
}

/* "3:00" at the front of '*text', which is moved behind it and a comma. The second of the day; -1: it is
 * none, and skipped all the same. */
static int32_t time_of_day(const char **text)
{
    const char *at = *text;
    char *end;
    long hour = strtol(at, &end, 10), minute = -1;
    bool is_time = end != at && *end == ':';
    if (is_time) {
        at = end + 1;
        minute = strtol(at, &end, 10);
        is_time = end != at && (*end == ',' || *end == '\0');
    }
    while (*end != ',' && *end != '\0') end++;
    *text = *end == ',' ? end + 1 : end;
    is_time = is_time && hour >= 0 && hour < 24 && minute >= 0 && minute < 60;
    return is_time ? (int32_t)(hour * 3600 + minute * 60) : -1;
}

/* The last of the daily moments in 'text' that is not after now. */
static int64_t last_daily(const char *text, int64_t now_s, int32_t zone_s)
{
    int64_t last_s = 0, midnight_s = now_s - (now_s + zone_s) % DAY_S;
    while (*text != '\0') {
        int32_t at = time_of_day(&text);
        int64_t moment_s = midnight_s + at > now_s ? midnight_s + at - DAY_S : midnight_s + at;
        if (at >= 0 && moment_s > last_s) last_s = moment_s;
    }
    return last_s;
}

static bool rewrites_bottom(const struct meta_table *t, const char *key)
{
    const char *text = meta_env_get(t, key);
    return text != NULL && strcmp(text, "force") == 0;
}

struct meta_compaction meta_compaction(const struct meta_table *t, int64_t now_s, int32_t zone_s)
{
    struct meta_compaction c = {0};
    const char *disabled = meta_env_get(t, "manual_compact.disabled");
    const char *daily = meta_env_get(t, "manual_compact.periodic.trigger_time");
    c.is_disabled = disabled != NULL && (disabled[0] | 0x20) == 't';
    if (c.is_disabled) return c;
    c.at_once_max = (uint32_t)number(t, "manual_compact.max_concurrent_running_count", UINT32_MAX);
    if (daily != NULL) {
        c.wanted_s = last_daily(daily, now_s, zone_s);
        c.is_daily = true;
        c.rewrites_bottom =
            rewrites_bottom(t, "manual_compact.periodic.bottommost_level_compaction");
    }
    int64_t once_s = number(t, "manual_compact.once.trigger_time", 0);
    if (once_s > c.wanted_s && once_s <= now_s) {
        c.wanted_s = once_s;
        c.rewrites_bottom = rewrites_bottom(t, "manual_compact.once.bottommost_level_compaction");
    }
    c.is_later = once_s > now_s;
    return c;
}
