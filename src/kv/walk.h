/* src/kv/walk.h: one walk over live rows, with the limits that keep it from going on for ever.
 *
 *     for (;;) {
 *         rc = kv_walk_row(w, &row);     0: the row it stands on
 *         ...                            use it, or not
 *         kv_walk_advance(w);
 *     }
 *
 * Three things end a walk early: too many visits, too much time, and, with STORE_CACHED, more rows than
 * a loop has time for. Expired rows are visits, as in Pegasus, where clients rely on it. Tombstones are
 * not: the rows that Pegasus removed cost its readers no visit, so a queue whose head was consumed
 * reads the same here. They have a limit of their own, far higher. */
#pragma once
#include "kv/kv.h"
#include "store/store.h"

enum {
    KV_KEYS_LOOP_SIZE_MAX = 1 << 20, /* Bytes of keys looked up with STORE_CACHED. */
    KV_WALK_LOOP_MAX = 2000,         /* Rows of all kinds with STORE_CACHED: about a millisecond. */
    KV_WALK_TOMBSTONES_MAX = 100000, /* Of one walk. */
};

struct kv_walk {
    struct store_iter *iter; /* Borrowed. */
    enum store_tier tier;
    bool is_reverse;
    uint32_t now_s;
    uint64_t visits_max;     /* UINT64_MAX: no limit; here and below. */
    uint64_t tombstones_max; /* KV_WALK_TOMBSTONES_MAX unless the owner changes it. */
    uint64_t clock_every;    /* Visits between two looks at the clock. */
    const struct kv_context *context;
    uint64_t deadline_ms;

    uint64_t visits, tombstones;
    uint64_t clock_at; /* Rows of all kinds at the next look at the clock. */
};

/* A walk with the iteration limit of c->partition; the owner positions 'iter'. The clock is looked at
 * every tenth of 'clock_span' visits. */
void kv_walk_init(struct kv_walk *w, struct store_iter *iter, enum store_tier tier,
                  const struct kv_context *c, uint64_t visits_max, uint64_t clock_span);

/* Go to the nearest live row, the one it stands on included. Its bytes are good until it advances.
 * Returns 0; E_NOTFOUND: the range ended; E_LIMIT: visits or tombstones; E_TIMEOUT: the time is up;
 * E_AGAIN: go to the pool; E_CORRUPT, E_IO. */
int kv_walk_row(struct kv_walk *w, struct slice *key, struct kv_row *row) MUST_CHECK;

void kv_walk_advance(struct kv_walk *w);

/* Whether the range has been walked to its end: 1, 0, or the store's failure. */
int kv_walk_is_at_end(const struct kv_walk *w);

/* Whether the time is up: a look at the clock now. */
/* When a request's time is up; UINT64_MAX: never. */
uint64_t kv_deadline_ms(const struct kv_context *c);
bool kv_is_late(const struct kv_context *c, uint64_t deadline_ms);
bool kv_walk_is_late(const struct kv_walk *w);
