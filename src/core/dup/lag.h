/* src/core/dup/lag.h: how far a remote is behind, exactly (docs/duplication.md, D9).
 *
 *     mutations   committed - confirmed
 *     bytes       of these mutations
 *     ms          since the oldest of them was committed, by the clock that never jumps
 *
 * All three are 0 exactly when nothing is unconfirmed. The time is computed when somebody asks, from
 * when the oldest commit happened: so it grows while the link is cut, and no wall clock can bend it.
 *
 * Commit times are kept as samples, one per turn in which something was committed. When there are too
 * many, neighbours are merged and keep the earlier time: the lag may then be stated too large by the
 * width of a sample, never too small. Pure. */
#pragma once
#include <stdint.h>

enum { DUP_LAG_SAMPLES_MAX = 512 };

struct dup_lag_sample {
    uint64_t decree;    /* The newest of the commits that this stands for. */
    uint64_t commit_ms; /* When the oldest of them was committed, CLOCK_BOOTTIME. */
};

struct dup_lag {
    struct dup_lag_sample samples[DUP_LAG_SAMPLES_MAX]; /* Oldest first. */
    uint32_t count;
    uint64_t committed, confirmed; /* Decrees. */
    uint64_t size;                 /* Bytes of the mutations between them. */
    uint64_t merged; /* Samples up to this decree were merged: their times may be a neighbour's. */
};

struct dup_lag_view {
    uint64_t mutations;
    uint64_t bytes;
    uint64_t ms;
};

/* Begin with everything up to 'confirmed' confirmed and 'size' bytes committed behind it, the oldest
 * of them 'age_ms' ago. */
void dup_lag_start(struct dup_lag *l, uint64_t confirmed, uint64_t committed, uint64_t size,
                   uint64_t now_ms, uint64_t age_ms);

/* The same commits, of which no more than up to 'confirmed' are confirmed any longer; 'size' bytes of them
 * are known. When those before the oldest sample were committed is forgotten: they count from there. */
void dup_lag_rewind(struct dup_lag *l, uint64_t confirmed, uint64_t size, uint64_t now_ms);

void dup_lag_committed(struct dup_lag *l, uint64_t decree, uint64_t size, uint64_t now_ms);

/* Everything up to 'decree' is confirmed; 'size' bytes more than before. */
void dup_lag_confirmed(struct dup_lag *l, uint64_t decree, uint64_t size);

struct dup_lag_view dup_lag_view(const struct dup_lag *l, uint64_t now_ms);
