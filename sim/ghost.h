/* sim/ghost.h: what is true of one cluster's table, noted by the world and never shown to the cluster.
 *
 *     partition   every mutation that its log ever held, by decree, and how far it is committed
 *     key         the last committed write to it: the one with the largest timetag, if I15 holds
 *
 * A mutation is noted when the replica orders it; it is settled when it is committed: from then on it
 * may never change or vanish. The memory is the world's: it outlives every process. */
#pragma once
#include "sim/check/keys.h"
#include "wire/mutation.h"

enum { GHOST_PARTITIONS_MAX = 64 };

struct ghost_mutation {
    struct slice bytes;  /* A copy; size 0: none seen. */
    uint64_t commit_ms;  /* When it was committed, by the machine's boot clock... */
    uint64_t commit_run; /* ...in this life of its process; 0: it was not yet. */
};

struct ghost_partition {
    struct ghost_mutation *mutations; /* By decree; [0] is not used. */
    size_t capacity;
    uint64_t prepared, committed; /* Decrees. */
    uint64_t run;                 /* The life of the process that was looked at last. */
};

struct ghost_key {
    uint64_t timetag; /* 0: never written. */
    uint64_t decree;
    uint32_t partition;
};

struct ghost {
    struct ghost_partition partitions[GHOST_PARTITIONS_MAX];
    struct keys keys; /* Raw. */
    struct ghost_key *states;
    size_t capacity;
    uint64_t mutation_count; /* Committed. */
};

/* An all-zero ghost is a valid empty one. */
void ghost_fini(struct ghost *g);

/* The partition's mutation with this decree; all-zero when none was seen. */
struct ghost_mutation *ghost_mutation(struct ghost *g, uint32_t partition, uint64_t decree);

/* The replica has ordered this. Copied; in place of what an earlier life had there. */
void ghost_note(struct ghost *g, uint32_t partition, uint64_t decree, struct slice bytes);

/* What was last committed of a key; NULL: nothing. */
const struct ghost_key *ghost_key(const struct ghost *g, struct slice key);

/* The same, to be written by who settles a mutation. */
struct ghost_key *ghost_key_get(struct ghost *g, struct slice key);
