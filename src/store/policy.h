/* src/store/policy.h: which rows a compaction may rewrite or drop, and why. Pure.
 *
 *     key shorter than 2 bytes           kept: it is no row
 *     value shorter than its head        kept: it is not ours to judge
 *     row of another partition           dropped, when the mask is set
 *     tombstone, old enough              dropped
 *     default ttl set, no expiry, alive  kept with expire_ts = now + default ttl
 *     expired, old enough                dropped
 *     anything else                      kept
 *
 * "Old enough" is a timestamp below 'tombstones_below_us': as long as a duplication may still
 * send or receive an older write of the same key, only the timetag of the row can beat that
 * write. Source: docs/storage.md, rules ST4 to ST6. */
#pragma once
#include <stdint.h>

#include "base/slice.h"

struct store_policy {
    uint32_t default_ttl_s;       /* Table environment default_ttl; 0: none. */
    uint64_t tombstones_below_us; /* Tombstones and expired rows with an older timestamp may go. */
    uint32_t partition_index;     /* With partition_mask: rows of other partitions may go... */
    uint32_t partition_mask;      /* ...count - 1; 0: rows are not checked. */
};

enum store_verdict {
    STORE_KEEP,
    STORE_DROP,
    STORE_EXPIRE, /* Keep it, with another expire_ts. */
};

/* What becomes of one row. With STORE_EXPIRE '*expire_ts' is the new one, else it is untouched. */
enum store_verdict store_policy_judge(const struct store_policy *policy, uint64_t wall_us,
                                      struct slice key, struct slice value, uint32_t *expire_ts);
