/* src/kv/digest.h: a partition in a few numbers, so that two clusters can be compared.
 *
 * Live rows fall into buckets by the top bits of the hash of their hash key. The low bits choose the
 * partition, so buckets of tables with different partition counts add up to the same totals: a
 * bucket's count and sum are sums over all partitions.
 *
 *     bucket    count  live rows: no tombstones, nothing expired at 'now_s'
 *               sum    of a 64-bit hash of (key, data, expire_ts, timetag), modulo 2^64
 *
 * Both sides must be asked with the same 'now_s'. Where a bucket differs, list its rows on both sides.
 * Blocking; any thread. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "store/store.h"

enum {
    KV_DIGEST_BITS_MAX = 16, /* 65536 buckets. */
};

struct kv_digest_bucket {
    uint64_t count;
    uint64_t sum;
};

struct kv_digest_row {
    struct slice key; /* Raw key. */
    uint32_t expire_ts;
    uint32_t data_size;
    uint64_t timetag;
    uint64_t hash;
};

/* What to walk. */
struct kv_digest_scope {
    uint32_t bits;                      /* Buckets: 1 << bits; at most KV_DIGEST_BITS_MAX. */
    uint32_t now_s;                     /* Seconds of our epoch. */
    bool (*is_canceled)(void *context); /* Asked now and then; may be NULL. */
    void *context;
};

/* Add the live rows of 's' to 'buckets', which has 1 << bits elements.
 * Returns 0, E_INVALID (bits), E_CANCELED, E_CORRUPT, E_IO, E_NOMEM. */
int kv_digest(struct store *s, const struct kv_digest_scope *scope,
              struct kv_digest_bucket *buckets) MUST_CHECK;

/* The live rows of one bucket in key order, from the first key after 'after' (empty: from the start),
 * at most 'count_max' of them; they lie in 'a'. '*count' says how many.
 * Returns as above, and E_LIMIT when 'a' is full. */
int kv_digest_list(struct store *s, const struct kv_digest_scope *scope, uint32_t bucket,
                   struct slice after, size_t count_max, struct arena *a,
                   struct kv_digest_row **rows, size_t *count) MUST_CHECK;
