/* src/node/follower.h: a node that is no member of the meta group, and follows it. It has a copy of the
 * cluster's state, kept by the same commands in the same order as the members' (M33), and has the leader
 * propose what it wants changed.
 *
 *     follower                                     leader of the metas
 *        | FOLLOW: I have version 17                  |
 *        |------------------------------------------->|  ... waits until something happens
 *        |                 commands 18, 19            |  (or a snapshot, when 18 is forgotten there)
 *        |<-------------------------------------------|
 *        | FOLLOW: I have version 19 ...              |
 *
 * Nothing is polled: a change is sent when it happens. To the rest of the node it looks as group.h does:
 * the same proposals, G1 to G3. Everything on the control loop.
 * Source: docs/meta.md, rules M33 and M34. */
#pragma once
#include "group/group.h"

struct cluster_call;
struct follower;

struct follower_options {
    struct io_loop *loop;
    const char *metas;     /* "host:port,host:port" */
    uint64_t node_id;      /* Ours. */
    uint64_t cluster_uuid; /* Whose state the node has had before; 0: nobody's. */
};

struct follower_handler {
    /* Apply a command, or replace the whole state. Return 0; E_NOMEM: asked for again; E_PROTO, E_CORRUPT:
     * that is none, or of a newer program. After a failure the state is as before. */
    int (*on_apply)(void *context, struct slice command);
    int (*on_restore)(void *context, struct slice snapshot);

    /* The first state is there. */
    void (*on_ready)(void *context);

    /* It cannot be: the metas are another cluster's, or no Pirene at all. */
    void (*on_failed)(void *context, const struct err *e);
};

/* Returns 0 and gives '*out', to be closed with follower_close(); E_INVALID: 'metas' is no such list;
 * E_NOMEM. */
int follower_open(const struct follower_options *options, const struct follower_handler *handler,
                  void *context, struct follower **out) MUST_CHECK;

/* End proposals with E_CANCELED or E_UNKNOWN, then call on_closed and free: all of it later. */
void follower_close(struct follower *f, void (*on_closed)(void *context), void *context);

/* As group_propose(). Without memory it ends with E_NOMEM. */
void follower_propose(struct follower *f, struct group_proposal *p, struct slice command);

/* Ask the leader of the metas something, over the follower's connections; ends with E_CANCELED when it closes. */
void follower_call(struct follower *f, struct cluster_call *call);

/* Whose state the copy is: from now on no other cluster's is taken (M34). */
void follower_belong(struct follower *f, uint64_t cluster_uuid);

/* Who answered last; port 0: nobody yet. */
struct io_address follower_leader(const struct follower *f);
