/* src/kv/kv.h: what the data requests mean: reads over the store, writes as effects.
 *
 *     request bytes -> kv_write + current values -> ops of a mutation, and the answer   write.h
 *     request bytes -> kv_read  + store          -> the answer                          read.h
 *     what a scanner remembers between requests                                         scan.h
 *     ops of a mutation -> changes of the store                                         apply.h
 *     ops of a mutation -> entries of a DUPLICATE request                               dup_entry.h
 *     a partition in a few numbers, to compare two clusters                             digest.h
 *
 * This header holds what they share. The room decides about content only: whether a request may be
 * served here and now (primary, lease, throttling, disk) was decided before, by node.
 *
 * Nothing here reads a clock or keeps global state. Blocking: only what reads a store with STORE_ANY.
 * Source: docs/data.md. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct schema; /* wire/thrift.h */

enum { KV_CLUSTER_COUNT = 128 }; /* Cluster ids are 0 to 127; 0 means not configured. */

/* Whose duplicated writes are taken. */
struct kv_sources {
    bool are_all_accepted; /* Any but our own. */
    uint64_t
        accepted[KV_CLUSTER_COUNT / 64]; /* Otherwise: bit i % 64 of word i / 64 for cluster i. */
};

static inline void kv_sources_add(struct kv_sources *s, uint8_t cluster_id)
{
    s->accepted[cluster_id % KV_CLUSTER_COUNT / 64] |= UINT64_C(1) << cluster_id % 64;
}

/* What of its surroundings the meaning of a request depends on. Changes rarely; the owner keeps one per
 * partition and hands it in with every call. For a read that runs on another thread it hands in a copy:
 * nothing in it may change during a call. */
struct kv_partition {
    int32_t app_id;
    uint32_t index;
    uint32_t count;      /* Partitions of the table, a power of two. 0: hashes are not checked. */
    struct slice server; /* "host:port", repeated in answers. */
    uint8_t cluster_id;  /* Ours, 0 to 127. */
    struct kv_sources sources;

    uint32_t default_ttl_s;         /* Environment default_ttl; 0: none. */
    bool validates_partition_hash;  /* Environment replica.split.validate_partition_hash. */
    uint32_t iteration_time_ms_max; /* replica.rocksdb_iteration_threshold_time_ms; 0: off. */
    uint32_t multi_get_count_max;   /* Records of one MULTI_GET, visited or returned. */
    uint32_t multi_get_size_max;    /* Bytes of one MULTI_GET by range. */
    uint32_t scan_count_max;        /* Records of one batch of a scan. */
};

/* The limits as Pegasus ships them; everything else zero. */
struct kv_partition kv_partition_default(void);

/* The circumstances of one call. */
struct kv_context {
    const struct kv_partition *partition;
    uint32_t now_s;        /* Seconds of the epoch in wire/value.h: expiry is judged by it. */
    uint64_t timestamp_us; /* Writes: hybrid time of this write, above that of every one before. */
    uint64_t newest_us; /* No row's timetag has a later time, nor any on its way. 0: not known. */

    /* Reads of ranges: the time now, in ms of any steady clock, for the iteration limit. NULL: no
     * limit. Called on the thread that reads. */
    uint64_t (*clock_ms)(void *clock_context);
    void *clock_context;
};

/* An answer, ready for thrift_write_result() or whatever frames it. Borrowed from the kv_write or
 * kv_read that gave it. A NULL schema: there is nothing to send. */
struct kv_reply {
    const struct schema *schema;
    const void *body;
};

/* A stored value taken apart; 'data' is borrowed from where it lies. */
struct kv_row {
    uint32_t expire_ts;
    uint64_t timetag;
    struct slice data;
};

/* False for tombstones and for what has expired at 'now_s': to a reader they do not exist. */
bool kv_row_is_live(const struct kv_row *row, uint32_t now_s);

/* Take a stored value apart. Returns 0; E_CORRUPT when it is none of ours. */
int kv_row_read(struct slice stored, struct kv_row *out) MUST_CHECK;

/* The enum rrdb_status that tells a client how a store call ended: 0, E_NOTFOUND, E_CORRUPT, any other. */
int32_t kv_status_of(int rc);
