/* tests/core/repl/group.h: three replicas of one partition, their disks, the net between them and
 * the meta group, all in one value and in no time at all.
 *
 *     meta --configurations--> replica <--prepares, commit points, acks--> replica
 *                                 |
 *                        disk: log, saved configuration, store
 *
 * Faults it can make: messages late, out of order, twice or never; a log that takes its time; a
 * crash between any two effects, which loses what was not synced or only a part of it; a log that
 * fails; a wall clock that jumps; configurations that arrive late, twice or never.
 *
 * After every step group_check() compares the replicas with what an onlooker has seen (I1, I3, I4,
 * I5, I15). A rule that is broken ends the program with its name and the seed. */
#pragma once
#include "base/prng.h"
#include "core/repl/repl.h"

enum {
    GROUP_NODES = 3,
    GROUP_DECREES_MAX = 1024,
    GROUP_BALLOTS_MAX = 256,
    GROUP_MESSAGES_MAX = 4096,
    GROUP_RECORDS_MAX = 4096,
};

/* Bytes of a mutation of one put. The caller unrefs it. */
struct chunk *group_mutation(uint64_t decree, uint64_t ballot, uint64_t timestamp_us, int key,
                             uint32_t data);

/* What survives a crash, and what was handed to the disk and may. */
struct group_disk {
    struct chunk *log[GROUP_RECORDS_MAX];      /* In the order of their appends. */
    uint64_t ballots[GROUP_RECORDS_MAX];       /* Under which they were appended. */
    uint32_t written, synced;                  /* Of 'log': handed over; durable. */
    struct chunk *held[GROUP_DECREES_MAX + 1]; /* By decree: what the durable log says. Borrowed. */
    uint64_t held_to;
    struct repl_saved saved;  /* Durable. */
    struct repl_saved saving; /* Ballot 0: none. */
    uint64_t flushed;         /* The store's durable decree. */
};

struct group_node {
    struct repl repl;
    struct group_disk disk;
    bool is_up;
    uint64_t apply_to;     /* Asked of the store. */
    uint64_t checked;      /* Commits up to here were compared. */
    uint64_t promoted_to;  /* Held when it became primary. */
    uint64_t primary_of;   /* The ballot of that. */
    uint64_t waiting_to;   /* A client waits for the answer of this decree; 0: none... */
    struct chunk *waiting; /* ...with this mutation, its reference. */
};

struct group_message {
    uint32_t to;
    struct repl_event event; /* With a reference to its mutation, if it has one. */
};

struct group {
    uint64_t seed;
    struct prng prng;
    struct group_node nodes[GROUP_NODES]; /* Ids are 1, 2, 3. */
    struct group_message messages[GROUP_MESSAGES_MAX];
    uint32_t message_count;
    struct repl_config config; /* The meta group's newest decision. */
    uint64_t wall_us;
    uint32_t values;        /* Values given out. */
    uint32_t crash_percent; /* Of effect lists, that are cut. */

    /* What the onlooker has seen. */
    struct chunk *committed[GROUP_DECREES_MAX + 1];
    uint64_t committed_to;
    uint64_t acked_to[GROUP_BALLOTS_MAX]; /* The highest decree acknowledged under each ballot. */
    uint64_t acks, holes, joins, copies;
};

/* All three up, with a first configuration decided but told to nobody. */
void group_init(struct group *g, uint64_t seed);
void group_fini(struct group *g);

struct group_node *group_node(struct group *g, uint64_t id);

/* ---- One thing happens ---- */

void group_step(struct group *g, uint64_t id, const struct repl_event *event);
bool group_submit(struct group *g, uint64_t id); /* False: it does not serve. */
void group_deliver(struct group *g, uint32_t index);
void group_drop(struct group *g, uint32_t index);
void group_duplicate(struct group *g, uint32_t index);
void group_sync_log(struct group *g, uint64_t id, uint32_t records); /* Of those written. */
void group_save_state(struct group *g, uint64_t id);
void group_apply(struct group *g, uint64_t id, uint64_t decrees);
void group_crash(struct group *g, uint64_t id);
void group_restart(struct group *g, uint64_t id);

/* ---- The meta group ---- */

void group_decide(struct group *g, const uint64_t *members, uint32_t count, uint64_t primary);
/* The same members, and 'node' is to become one: 0: nobody. */
void group_decide_learner(struct group *g, uint64_t node);
/* A learner that lives again wants a new ballot, unless it has another on its way. */
void group_renew_learner(struct group *g);
bool group_is_member(const struct group *g, uint64_t id); /* Of the newest configuration. */
void group_tell(struct group *g, uint64_t id); /* The newest configuration sets out for a node. */
void group_tell_all(struct group *g);

/* ---- Without faults ---- */

/* Let everything that is under way end: messages in order, disks at once. */
void group_settle(struct group *g);

/* The node whose configuration is the newest and that serves; NULL: none. */
struct group_node *group_serving(struct group *g);

void group_check(struct group *g);
