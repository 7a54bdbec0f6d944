/* sim/check/converge.h: checker E: what both clusters must hold in the end, by last writer wins.
 *
 * The oracle is told every mutation that was committed anywhere and keeps, for each key, the one
 * with the highest timetag. When both sides have heard of everything, each must show exactly that:
 *
 *     the last one was a put    the row is there, with this timetag, expiry and value
 *     a delete, or expired      no row; or still its tombstone, or the expired row, as it was
 *
 * so the two sides are equal too, but for what one has collected already. */
#pragma once
#include <stdbool.h>

#include "sim/check/keys.h"
#include "sim/check/report.h"

struct converge_row {
    struct slice key; /* Raw. */
    uint64_t timetag;
    uint32_t expire_ts;
    struct slice data; /* Empty for a delete. */
};

struct converge_kept {
    uint64_t timetag;
    uint32_t expire_ts;
    uint64_t size, hash; /* Of the data. */
    uint64_t seen_round; /* By converge_row(). */
};

struct converge {
    struct keys keys;
    struct converge_kept *kept;
    size_t capacity;
    uint64_t round;
};

/* An all-zero 'struct converge' is a valid empty one. */
void converge_fini(struct converge *c);

/* One effect that was committed somewhere. Any order, any number of times. Returns VERDICT_BROKEN
 * when the same timetag came with other content: then "last" has no meaning. */
enum verdict converge_commit(struct converge *c, const struct converge_row *row,
                             struct report *report);

/* Begin to compare a side; then give each of its rows; then end. 'now_s' is as value_epoch_s()
 * gives it: what has expired by then may be missing. */
void converge_begin(struct converge *c);
enum verdict converge_compare(struct converge *c, const struct converge_row *row,
                              struct report *report);
enum verdict converge_end(struct converge *c, uint32_t now_s, struct report *report);
