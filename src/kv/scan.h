/* src/kv/scan.h: the scans of one partition that wait for their next request.
 *
 * A scan is a snapshot, a position and the options of its GET_SCANNER. Between two requests it waits
 * here under an id that serves exactly once; the answer to that one carries a new id. While it is
 * being read it belongs to the request (read.h), which may be on another thread; the table itself is
 * touched by the partition's owner only.
 *
 *     GET_SCANNER -> running -> kv_scans_put -> waiting -> kv_scans_take -> running -> ...
 *                                                  |
 *                                                  +-> closed: 5 minutes, CLEAR_SCANNER, no room, drop
 *
 * Ids start at a random number above 2^32, so that an id of an earlier life finds nothing.
 * Source: docs/data.md, rules S1 to S9. */
#pragma once
#include "base/err.h"
#include "base/list.h"
#include "kv/kv.h"

struct kv_scan; /* One scan; opaque. */

enum {
    KV_SCANS_COUNT_DEFAULT = 512,     /* Waiting scans of a partition; a power of two. */
    KV_SCANS_SIZE_DEFAULT = 16 << 20, /* Bytes that they may hold besides their iterators. */
    KV_SCANS_LIFE_MS = 5 * 60 * 1000,
};

struct kv_scans {
    struct kv_scan **slots; /* By id modulo 'capacity'. */
    size_t capacity;        /* A power of two. */
    size_t count;           /* Waiting. */
    size_t size, size_max;  /* Bytes. */
    int64_t next_id;
    struct list_node oldest; /* Waiting scans, in the order in which they began to wait. */
};

/* 'seed' is any random number; 'capacity' a power of two. Afterwards '*scans' stays where it is.
 * Returns 0 or E_NOMEM. */
int kv_scans_init(struct kv_scans *scans, size_t capacity, size_t size_max,
                  uint64_t seed) MUST_CHECK;
void kv_scans_fini(struct kv_scans *scans); /* Closes what waits. Accepts an all-zero one. */

/* Close everything that waits: the replica closes or changes its role. */
void kv_scans_drop(struct kv_scans *scans);

/* Close what has waited for KV_SCANS_LIFE_MS. Returns when to call again, UINT64_MAX: no need. */
uint64_t kv_scans_expire(struct kv_scans *scans, uint64_t now_ms);

/* Close one; an unknown id is ignored. */
void kv_scans_clear(struct kv_scans *scans, int64_t id);
