/* src/node/node.h: one server of a cluster, as a value. No globals: several live in one process, in the
 * demo, in tests and in the simulator.
 *
 *     io, store, group (ports)                    one node
 *          |                     +---------------------------------------------+
 *          |    control loop --- | meta state and its service, listener        |
 *          |    worker loops --- | rpc server, replicas, duplication streams   |
 *          |    log loop ------- | the mutation log of the disk (src/log)      |
 *          +                     +---------------------------------------------+
 *
 * Which loop owns which partition is fixed by its id; nobody else touches it. docs/ARCHITECTURE.md. */
#pragma once
#include "io/io.h"
#include "node/config.h"

struct node;
struct metric_registry;

struct node_handler {
    /* It serves: the group has its state, requests are answered. */
    void (*on_ready)(void *context, struct node *node);

    /* It cannot start: the port is taken, the group's log is damaged. node_close() it. */
    void (*on_failed)(void *context, const struct err *e);

    /* The peer speaks HTTP: takes the arrival. NULL: it is closed. On the control loop. */
    void (*on_http)(void *context, struct io_arrival *arrival);
};

/* Open a node: recover its log, then start. Blocking. on_ready or on_failed follows. 'handler' may be
 * NULL, and each of its functions too; they are called on the control loop.
 * On failure '*out' is untouched, 'e' says what, where and what to do, and nothing is left open. */
int node_open(struct io *io, const struct node_config *config, const struct node_handler *handler,
              void *context, struct node **out, struct err *e) MUST_CHECK;

/* Stop serving, answer what is under way, flush, close. 'on_closed' is called on the control loop when
 * nothing runs any more; after it node_free() may be called from the thread that opened the node. */
void node_close(struct node *n, void (*on_closed)(void *context), void *context);
void node_free(struct node *n); /* Blocking: joins the loops. Accepts NULL. */

/* Where it listens. Once it is ready. */
struct io_address node_address(const struct node *n);

/* Its figures. */
struct metric_registry *node_metrics(struct node *n);
