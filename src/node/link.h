/* src/node/link.h: what the replicas of one worker say to another server of the cluster.
 *
 *     replica 1.0 --- sender --+
 *     replica 1.3 --- sender --+--> link to node B --- one message a turn, several under way ---> B
 *     replica 2.7 --- sender --+
 *
 * A sender holds no mutations: it notes which decrees are still to be said, and they are taken from the
 * replica's tail when the message is made. So nothing queues but numbers, however slow B is; and what is
 * said again and again in the meantime (commit points, acks) is said once, as it is then.
 *
 * When a message was lost, or may have been, every sender's protocol is told, and says again what the
 * other side is not known to have (R11). Threads: on the worker's loop. Source: docs/replication.md. */
#pragma once
#include "base/list.h"
#include "core/repl/repl.h"
#include "rpc/peer.h"

struct link;
struct replica;
struct worker;

/* One replica's part of a link. Inside the replica; all-zero: unused. */
struct sender {
    uint64_t node_id; /* Whom it speaks to; 0: nobody. */
    struct link *link;
    struct replica *replica;
    struct list_node node;  /* Among the link's senders. */
    struct list_node ready; /* Among those with something to say. */

    uint64_t ballot;      /* Under which all below is said. */
    uint64_t first, last; /* Mutations to be prepared; none when last is smaller. */
    bool owes_commit_point;
    bool owes_ack, asks_for_more;
    uint64_t ack;                 /* Our log holds everything up to here... */
    uint64_t committed, prepared; /* ...and what is said when more is asked for. */
};

/* Say what REPL_DO_PREPARE, REPL_DO_COMMIT_POINT or REPL_DO_ACK wants said: at the end of the turn. */
void replica_send(struct replica *r, const struct repl_effect *effect);

/* Forget the senders to nodes that are no members of the configuration; or all of them. */
void replica_senders_sync(struct replica *r);
void replica_senders_end(struct replica *r);

/* What found no sender (no memory, or where that node is was not known) is said again, a moment later. */
void links_init(struct worker *w);
void links_stop(struct worker *w);

/* At the end of a turn of the worker: send what there is. */
void links_send(struct worker *w);
