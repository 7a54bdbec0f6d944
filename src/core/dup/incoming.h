/* src/core/dup/incoming.h: the other end of the streams: how far partitions of other clusters have
 * come in one partition of ours (docs/duplication.md, D10).
 *
 *     (cluster, table, partition)  -->  last decree applied here, closed time, when it was heard
 *
 * A source says with every request what it covers; it counts once that is applied. Peers may invent
 * sources: so there are at most DUP_INCOMING_MAX, and the one heard of longest ago makes room. It
 * lives in memory only, and fills with the next request of each source: shown to operators, and asked
 * before tombstones go (D12). Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { DUP_INCOMING_MAX = 4096 }; /* Sources: as many as a source table may have partitions. */

/* Who has not been heard for a week has nothing to send, or is gone. */
#define DUP_INCOMING_SILENT_MS (UINT64_C(7) * 24 * 3600 * 1000)

struct dup_source {
    int32_t cluster_id, app_id, partition_index;
};

struct dup_position {
    uint64_t decree; /* Of the source. Repeats do not move it back. */
    uint64_t
        closed_timestamp_us;  /* All that the source made up to then is applied; 0: not known. */
    uint64_t heard_ms;        /* CLOCK_BOOTTIME. */
    uint32_t partition_count; /* Of the source table; 0: not known. */
};

struct dup_incoming_row {
    struct dup_source source;
    struct dup_position position;
};

/* All zero: nothing heard. Rows are in the order of their sources. */
struct dup_incoming {
    struct dup_incoming_row *rows;
    uint32_t count;
    size_t capacity;
};

void dup_incoming_fini(struct dup_incoming *in);

/* 'source' is at 'position' now. Returns 0; or E_NOMEM, and then a new source is not noted. */
int dup_incoming_heard(struct dup_incoming *in, const struct dup_source *source,
                       const struct dup_position *position) MUST_CHECK;

/* Who asks: partition 'index' of 'count', and when. */
struct dup_incoming_self {
    uint32_t index, count;
    uint64_t began_ms; /* Nothing was noted before. */
    uint64_t now_ms;
};

/* The hybrid time up to which every source has sent all that it has for this partition: what still comes
 * is newer. UINT64_MAX: nobody sends. 0: not known; so as long as a partition of a source that may send
 * here has not been heard since 'began_ms', until DUP_INCOMING_SILENT_MS have passed. */
uint64_t dup_incoming_closed_us(const struct dup_incoming *in,
                                const struct dup_incoming_self *self);

/* A partition of this cluster has been heard. */
bool dup_incoming_has(const struct dup_incoming *in, int32_t cluster_id);
