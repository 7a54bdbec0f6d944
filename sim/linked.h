/* sim/linked.h: two clusters of one node each, a table of theirs duplicated both ways, and clients.
 *
 *     client "here" ── cluster "one", id 1 <── streams ──> cluster "two", id 2 ── client "there"
 *
 * The stage of every story about duplication, and of the swarm. Sides are 0 and 1. */
#pragma once
#include "sim/client.h"
#include "sim/cluster.h"
#include "sim/invariants.h"
#include "sim/load.h"
#include "wire/messages_dup.h"

enum { LINKED_SIDES = 2 };

struct linked {
    struct sim *sim;
    struct sim_cluster *clusters[LINKED_SIDES];
    struct sim_client *clients[LINKED_SIDES];
    struct load *loads[LINKED_SIDES]; /* NULL: none. */
    struct invariants *invariants;
    uint32_t partitions[LINKED_SIDES];
    int32_t dup_ids[LINKED_SIDES]; /* 0: not linked. */
};

/* Machines that are off. Then sizes may be chosen in clusters[i]->config. */
struct linked *linked_new(uint64_t seed);
void linked_free(struct linked *l); /* Accepts NULL. */

/* Run until both serve, and each has the table with so many partitions. False: it took too long. */
bool linked_begin(struct linked *l, uint32_t here, uint32_t there);

/* Duplicate the table of 'side' to the other. False: it was refused. */
bool linked_add_dup(struct linked *l, int side, bool with_snapshot);

/* Remove it. */
bool linked_remove_dup(struct linked *l, int side);

/* The machine of 'side' loses its disk, starts again and makes the table. False: it does not begin. */
bool linked_wipe(struct linked *l, int side);

/* Pause it or let it go on. */
bool linked_set_dup(struct linked *l, int side, bool is_paused);

/* The same as a question that may be asked from inside events: init, sim_call_begin() to the side's client,
 * and when that has ended, whether it was done. */
struct linked_switch {
    struct sim_call call;
    struct modify_duplication_request args;
};
void linked_switch_init(struct linked *l, int side, enum duplication_status status,
                        struct linked_switch *s);
bool linked_switch_is_done(struct linked_switch *s);

/* Run for that long, or until something is found to be wrong: then false. */
bool linked_run(struct linked *l, uint64_t for_us);

/* Run until everything is at both sides, with nobody asking anything; false: not within for_us. */
bool linked_settle(struct linked *l, uint64_t for_us);

/* One write, acknowledged; what it may ask. From outside events. */
bool linked_put(struct linked *l, int side, const char *key, const char *value);
bool linked_delete(struct linked *l, int side, const char *key);

/* The same, and what was answered: WIRE_ERR_TIMEOUT for nothing. */
enum wire_error linked_try_put(struct linked *l, int side, const char *key, const char *value);

/* Read it. NULL: it isn't there. Otherwise text that lives until the next call. */
const char *linked_get(struct linked *l, int side, const char *key);

/* Wait, for at most timeout_ms, until all that 'side' has acknowledged is at the other (DUP_WAIT of every
 * partition). False: not in time, or it was refused. */
bool linked_wait(struct linked *l, int side, uint32_t timeout_ms);

/* The same for one partition. */
bool linked_wait_for(struct linked *l, int side, int32_t partition, uint32_t timeout_ms);

/* The lag of all partitions of 'side' together, as DUP_STATUS states it. */
struct linked_lag {
    uint64_t mutations, bytes, ms;
    char why[128]; /* The first reason that one of them gives; empty: none. */
};
bool linked_lag(struct linked *l, int side, struct linked_lag *out);
