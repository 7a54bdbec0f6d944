/* src/group/group.h: the meta group's replicated log, as a port.
 *
 * A group of 1, 3 or 5 servers agrees on a sequence of commands; each applies them in order to its
 * copy of the cluster's state (src/core/meta). Two adapters: group/raft (libraft) and sim/group.
 *
 *   G1  Commands are applied in the same order by every member, each exactly once per life of the
 *       state (a snapshot stands for the commands before it).
 *   G2  A command whose proposal ended with 0 is applied here already and survives any minority.
 *   G3  E_UNKNOWN means what it says: the command may be applied later, or never.
 *
 * Threads: everything on the loop given to group_open(). */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "io/io.h"

struct group;

struct group_handler {
    /* Apply a command to the state. 'result' is handed to the proposer's on_done on this member. A
     * command is checked by the state machine, never refused here. */
    void (*on_apply)(void *context, struct slice command, struct buf *result);
    void (*on_snapshot)(void *context, struct buf *out);        /* Append the whole state. */
    int (*on_restore)(void *context, struct slice snapshot);    /* Replace the whole state. */
    void (*on_leader)(void *context, struct io_address leader); /* Port 0: unknown. May be NULL. */
};

struct group_member {
    uint64_t id; /* Greater than 0, never reused. */
    struct io_address address;
};

struct group_options {
    const char *dir;
    uint64_t self_id;
    const struct group_member *members; /* The first configuration of an empty group. */
    size_t member_count;
    uint64_t snapshot_every; /* Commands between snapshots. */
};

/* Start. The state is restored and the log replayed through 'handler' before group_is_leader();
 * with one member that is so when this returns. May block: the disk is read, and at the first start
 * written. */
int group_open(struct io_loop *loop, const struct group_options *options,
               const struct group_handler *handler, void *context, struct group **out,
               struct err *e) MUST_CHECK;

/* Stop, then call on_closed and free. Proposals under way end with E_CANCELED or E_UNKNOWN. */
void group_close(struct group *g, void (*on_closed)(void *context), void *context);

/* True while this member leads and has applied everything that was agreed on before it did. */
bool group_is_leader(const struct group *g);

struct group_proposal {
    struct list_node node; /* The adapter's. */
    void *impl;            /* The adapter's. */
    /* 0 and the result; E_STATE: not the leader, nothing happened; E_UNKNOWN; E_CANCELED. */
    void (*on_done)(struct group_proposal *p, int rc, struct slice result);
};

/* Propose. The bytes are copied. on_done is called later, never from inside. Never fails. */
void group_propose(struct group *g, struct group_proposal *p, struct slice command);
