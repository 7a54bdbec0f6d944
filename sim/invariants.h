/* sim/invariants.h: what must hold of linked clusters, looked at after every event.
 *
 *     I4   what was committed is found again after any crash, and nothing else in its place
 *     I10  whatever the store or a shipper still needs can be read from the log
 *     I12  a store holds all of a decree or nothing of it
 *     I13  what a stream calls confirmed is applied at the remote
 *     I15  every committed write of a key has a larger timetag than the one before
 *     I17  the lag that is stated is the lag that is
 *     I19  no file is synced again after its sync has failed
 *     I20  queues stay within their bounds
 *     I21  what a wait says is there was found there, at this remote and no other
 *
 * and at the end, when everything was healed and is quiet:
 *
 *     I14  both sides hold, for every key, the last writer's value; lag is exactly 0
 *     I10  the log has shrunk to what nobody needs to keep longer
 *
 * It reads the nodes' insides (node_impl.h) and writes nothing there. The first violation is kept. */
#pragma once
#include "sim/check/converge.h"
#include "sim/cluster.h"
#include "sim/ghost.h"

enum { INVARIANT_REPLICAS_MAX = 2 * GHOST_PARTITIONS_MAX, INVARIANT_SIDES_MAX = 2 };

struct invariant_stream { /* What was last seen of a stream. */
    uint64_t checked;     /* Decrees up to here were found at the remote... */
    bool is_void;         /* ...which was wiped since: what it confirmed is nowhere. */
    int32_t dup_id;
    const struct stream *stream; /* Seen first in this run of the process, at this boot time. */
    uint64_t run, since_ms;
    uint64_t given_up; /* The log may lack decrees up to here: a snapshot stands for them. */
};

struct invariants;

struct invariant_side {
    struct invariants *owner;
    struct sim_cluster *cluster;
    struct ghost ghost;
    struct replica *replicas[INVARIANT_REPLICAS_MAX]; /* As of the last walk. */
    size_t replica_count;
    uint64_t walked_run, walked_count; /* When that was. */
    bool is_looked_at;
    struct invariant_stream streams[GHOST_PARTITIONS_MAX]; /* To the other side. */
};

struct invariants {
    struct sim *sim;
    struct invariant_side sides[INVARIANT_SIDES_MAX];
    struct converge oracle;
    uint64_t looks;
    bool is_broken;
    struct report report;
};

/* 'a' and 'b' outlive it; 'b' may be NULL. From now on it looks after every event. */
struct invariants *invariants_new(struct sim *sim, struct sim_cluster *a, struct sim_cluster *b);
void invariants_free(struct invariants *v); /* Accepts NULL. */

/* Note a violation, as printf does, if it is the first. */
void invariants_break(struct invariants *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Is everything that was committed on either side confirmed by the other, and nothing on its way? */
bool invariants_is_quiet(const struct invariants *v);

/* What a side has committed of a partition: a wait that begins now promises no less. */
uint64_t invariants_committed(const struct invariants *v, int side, uint32_t partition);

/* A wait that began when that was committed has said yes (I21). */
void invariants_waited(struct invariants *v, int side, uint32_t partition, uint64_t decree);

/* The disk of a side, which is down, was wiped: it knows nothing of what it was, and what the other says
 * of it is void until that duplication is another. Not to be judged by invariants_check_end(). */
void invariants_wiped(struct invariants *v, int side);

/* What keeps it from being quiet, or the logs from being small, in a line. */
void invariants_explain(const struct invariants *v, char *text, size_t size);

/* Has each side applied every write of the other that counts? */
bool invariants_are_equal(const struct invariants *v);

/* Do the logs hold no more than their sizes say? All is quiet. */
bool invariants_logs_are_small(const struct invariants *v);

/* Compare both stores with the oracle. Both nodes are ready. */
void invariants_check_end(struct invariants *v);
