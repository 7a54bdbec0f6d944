/* src/store/policy.c: the table of policy.h, line by line. */
#include "store/policy.h"

#include "wire/key.h"
#include "wire/value.h"

static bool is_foreign(const struct store_policy *policy, struct slice key)
{
    struct key_parts parts;
    if (policy->partition_mask == 0 || key_split(key, &parts) != 0) return false;
    uint64_t hash = key_parts_hash(parts.hash_key, parts.sort_key);
    return (hash & policy->partition_mask) != policy->partition_index;
}

/* now + ttl, or as late as the field can say. */
static uint32_t expiry_after(uint32_t now_s, uint32_t ttl_s)
{
    return ttl_s > UINT32_MAX - now_s ? UINT32_MAX : now_s + ttl_s;
}

enum store_verdict store_policy_judge(const struct store_policy *policy, uint64_t wall_us,
                                      struct slice key, struct slice value, uint32_t *expire_ts)
{
    struct value_head head;
    struct slice data;
    if (key.size < KEY_HEAD_SIZE || value_split(value, &head, &data) != 0) return STORE_KEEP;
    if (is_foreign(policy, key)) return STORE_DROP;

    uint32_t now_s = value_epoch_s(wall_us);
    bool is_old = timetag_timestamp_us(head.timetag) < policy->tombstones_below_us;
    if (timetag_is_deleted(head.timetag)) return is_old ? STORE_DROP : STORE_KEEP;
    if (head.expire_ts == 0 && policy->default_ttl_s > 0) {
        *expire_ts = expiry_after(now_s, policy->default_ttl_s);
        return STORE_EXPIRE;
    }
    return is_old && value_is_expired(head, now_s) ? STORE_DROP : STORE_KEEP;
}
