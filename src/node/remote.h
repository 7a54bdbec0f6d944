/* src/node/remote.h: a remote cluster as one worker sees it: the connections, shared by all streams that
 * ship there, and how much they may have under way together.
 *
 *     remote_send --> room? --> cluster_call --> answer: room for those that wait, oldest first
 *                       | no
 *                       v
 *                    waiting (nothing of it is encoded yet)
 *
 * A request is encoded into the connection's output when it is sent, not before and nowhere else: so what
 * all streams together hold for the wire stays below REMOTE_BYTES_MAX, however many partitions there are.
 * The answer that makes room sends what waits, in the same turn: no timer stands between (D4).
 *
 * Threads: on the worker's loop. */
#pragma once
#include "rpc/cluster.h"

struct worker;

enum {
    REMOTE_BYTES_MAX = 16 << 20
}; /* Of requests under way, from one worker to one remote cluster. */

struct remote {
    struct list_node node; /* In its worker. */
    struct worker *worker;
    char *metas;
    struct cluster *cluster;
    uint32_t users;
    size_t size_flying;       /* Bytes of requests under way, as their senders estimate them. */
    struct list_node waiting; /* Of struct remote_call. */
};

/* The remote cluster with these metas as this worker reaches it, one more user. NULL: no memory, or no
 * such list of metas. */
struct remote *remote_get(struct worker *w, const char *metas);
void remote_put(struct remote *remote);

/* A DUPLICATE request. It lives inside the sender's object. */
struct remote_call {
    /* The sender's: set before sending, and left alone until it has ended. */
    struct cluster_table *table;
    uint32_t partition_index;
    uint64_t hash;  /* For the header. */
    int32_t app_id; /* The table's; 0: not known. */
    size_t size;    /* Bytes, estimated. */
    void (*write)(const struct remote_call *call, struct buf *to);
    void (*on_done)(struct remote_call *call, const struct rpc_answer *answer);

    /* The remote's. All-zero before the first use. */
    struct remote *remote; /* NULL: not under way. */
    struct list_node node; /* In 'waiting', while it waits. */
    bool is_flying;
    struct cluster_call call;
};

/* Send, now or when there is room. on_done is called once, later, never from inside; one try, as
 * CLUSTER_NO_RETRY says it. */
void remote_send(struct remote *remote, struct remote_call *call);

/* Forget it: on_done is not called. Harmless when it is not under way. */
void remote_call_cancel(struct remote_call *call);
