/* src/node/teach.h: the primary's half of learning: what a learner asks for is answered from the tail, from
 * the log, or with a copy of the store (docs/replication.md, R12). The other half is learn.h.
 *
 *     LEARN: I have 17          18 is in the tail or the log:  mutations 18, 19, ...
 *     ---------------------->   it is not: a checkpoint is made beside the store, and its files are named
 *     LEARN_READ: that file,    a piece of it
 *     from there
 *
 * While there is a learner the log keeps what it still needs. A copy is made once, and removed when the
 * learner follows or is gone. Threads: on the replica's worker, but for the files. */
#pragma once
#include "core/repl/repl.h"
#include "io/io.h"

struct replica;
struct rpc_request;
struct teach_copy;

/* Copies lie beside the store; what a crash leaves of them is removed when the replica is opened. */
#define TEACH_DIR_PREFIX "teach-"

/* Inside the replica. All-zero but for 'needs': nobody is taught. */
struct teacher {
    uint64_t pupil; /* The learner's node id; 0: none. */
    uint64_t
        needs; /* The log keeps what is above this decree; LOG_NO_SHIPPER: whatever it likes. */
    struct teach_copy *copy;  /* NULL: none was made. */
    struct list_node waiting; /* LEARN requests that wait for it. */
};

void teach_init(struct teacher *t);

/* After a step of the protocol: who learns, and how far that is, may have changed. */
void teach_sync(struct replica *r);

/* A learner asks. Take the request. */
void teach_on_learn(struct replica *r, struct rpc_request *request);
void teach_on_read(struct replica *r, struct rpc_request *request);

/* The learner is sent what is new, or a backlog is too long: it needs nothing old any more. */
void teach_end_copy(struct replica *r);
void teach_give_up_log(struct replica *r);
