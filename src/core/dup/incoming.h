/* src/core/dup/incoming.h: the other end of the streams: how far partitions of other clusters have
 * come in one partition of ours (docs/duplication.md, D10).
 *
 *     (cluster, table, partition)  -->  last decree applied here, closed time, when it was heard
 *
 * A source says with every request what it covers; it counts once that is applied. Peers may invent
 * sources: so there are at most DUP_INCOMING_MAX, and the one heard of longest ago makes room. It
 * is for display, lives in memory only, and fills with the next request of each source. Pure. */
#pragma once
#include <stdint.h>

#include "base/err.h"

enum { DUP_INCOMING_MAX = 4096 }; /* Sources: as many as a source table may have partitions. */

struct dup_source {
    int32_t cluster_id, app_id, partition_index;
};

struct dup_position {
    uint64_t decree; /* Of the source. Repeats do not move it back. */
    uint64_t
        closed_timestamp_us; /* All that the source made up to then is applied; 0: not known. */
    uint64_t heard_ms;       /* CLOCK_BOOTTIME. */
};

struct dup_incoming_row {
    struct dup_source source;
    struct dup_position position;
};

/* All zero: nothing heard. Rows are in the order of their sources. */
struct dup_incoming {
    struct dup_incoming_row *rows;
    uint32_t count, capacity;
};

void dup_incoming_fini(struct dup_incoming *in);

/* 'source' is at 'position' now. Returns 0; or E_NOMEM, and then a new source is not noted. */
int dup_incoming_heard(struct dup_incoming *in, const struct dup_source *source,
                       const struct dup_position *position) MUST_CHECK;
