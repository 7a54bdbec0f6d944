/* src/wire/value.h: what stands in front of every stored value, and what a timetag is.
 *
 *     offset  size  field      big-endian (Pegasus's value layout, version 1)
 *     0       4     expire_ts  seconds since 2016-01-01 00:00 UTC; 0: never expires
 *     4       8     timetag    timestamp_us << 8 | cluster_id << 1 | deleted
 *     12      n     user data
 *
 * The larger timetag wins (last writer wins): by time, then by cluster id, then a delete beats a
 * put. A tombstone is a value with the deleted bit set and no user data. Pure. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include "base/slice.h"

enum { VALUE_HEAD_SIZE = 12, VALUE_CLUSTER_ID_MAX = 127 };

#define VALUE_TIMESTAMP_US_MAX                                                                     \
    ((UINT64_C(1) << 56) - 1) /* Of a timetag: some two thousand years. */

#define VALUE_EPOCH_UNIX_S UINT64_C(1451606400) /* 2016-01-01 00:00 UTC. */

struct value_head {
    uint32_t expire_ts; /* Seconds since VALUE_EPOCH_UNIX_S; 0: never. */
    uint64_t timetag;
};

static inline uint64_t timetag_make(uint64_t timestamp_us, uint8_t cluster_id, bool is_deleted)
{
    return timestamp_us << 8 | (uint64_t)(cluster_id & VALUE_CLUSTER_ID_MAX) << 1 | is_deleted;
}

static inline uint64_t timetag_timestamp_us(uint64_t timetag)
{
    return timetag >> 8;
}

static inline uint8_t timetag_cluster_id(uint64_t timetag)
{
    return (uint8_t)(timetag >> 1 & VALUE_CLUSTER_ID_MAX);
}

static inline bool timetag_is_deleted(uint64_t timetag)
{
    return (timetag & 1) != 0;
}

static inline void value_head_write(uint8_t *to, struct value_head head)
{
    bytes_put_be32(to, head.expire_ts);
    bytes_put_be64(to + 4, head.timetag);
}

/* Split a stored value. Returns 0; E_SHORT when it is no value of ours. */
static inline int value_split(struct slice stored, struct value_head *head, struct slice *data)
{
    if (stored.size < VALUE_HEAD_SIZE) return E_SHORT;
    head->expire_ts = bytes_get_be32(stored.data);
    head->timetag = bytes_get_be64(stored.data + 4);
    *data = slice_skip(stored, VALUE_HEAD_SIZE);
    return 0;
}

/* Seconds of our epoch at a wall clock reading. */
static inline uint32_t value_epoch_s(uint64_t wall_us)
{
    uint64_t unix_s = wall_us / 1000000;
    return unix_s > VALUE_EPOCH_UNIX_S ? (uint32_t)(unix_s - VALUE_EPOCH_UNIX_S) : 0;
}

static inline bool value_is_expired(struct value_head head, uint32_t now_s)
{
    return head.expire_ts != 0 && head.expire_ts <= now_s;
}
