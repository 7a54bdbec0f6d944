/* src/rpc/cluster.h: a cluster as its caller sees it: tables by name, partitions by key.
 *
 *     cluster_call -> leader of the metas                    (cluster_call_meta)
 *     cluster_call -> table's route (core/route) -> rpc_peer (cluster_call_key, _partition)
 *                     ^ refreshed from the metas when a server says that it has moved
 *
 * It finds the leader among the metas, follows redirects, keeps one rpc_peer per server, and unless
 * told otherwise tries again until the call's deadline, with a growing pause, where trying again
 * can help. The remote cluster of a duplication, the own cluster and libpirene all stand on this.
 *
 * Threads: everything on the loop it was opened on. Source: docs/routing.md, rules R7 to R16. */
#pragma once
#include "rpc/peer.h"

struct cluster;
struct cluster_table;

struct cluster_options {
    const char *metas;       /* "host:port,host:port"; copied. Names are resolved when first needed
                              * and again after a round in which no meta could be reached. */
    enum frame_kind framing; /* To all its servers. */
    size_t peer_bytes_max;   /* As in struct rpc_peer_options. */
};

/* Returns 0 and gives '*out', to be closed with cluster_close(); E_INVALID: 'metas' is no such
 * list; E_NOMEM. Nothing is asked before the first call. */
int cluster_open(struct io_loop *loop, const struct cluster_options *options,
                 struct cluster **out) MUST_CHECK;

/* End all calls with E_CANCELED, close the connections, call on_closed (which may be NULL), free
 * the cluster and its tables: all of it later, never inside. Takes no further call, not even from
 * an on_done. */
void cluster_close(struct cluster *cluster, void (*on_closed)(void *context), void *context);

/* The table of that name, whether it exists or not: its route is asked for by the first call.
 * Opening it twice gives the same one, counted. Returns 0 or E_NOMEM, E_INVALID (the name's
 * length). */
int cluster_table_open(struct cluster *cluster, const char *name,
                       struct cluster_table **out) MUST_CHECK;

/* Accepts NULL. Its calls have ended before the last close. */
void cluster_table_close(struct cluster_table *table);

/* What is known of a table without asking; count 0: nothing yet. */
struct cluster_table_view {
    int32_t app_id;
    uint32_t partition_count;
    uint64_t version; /* Grows when anything in its route changes. */
};

void cluster_table_view(const struct cluster_table *table, struct cluster_table_view *out);

enum cluster_call_flags {
    /* One try: whatever goes wrong is the call's end, so that the caller sees each failure. What it
     * says of the route or the leader is remembered for the next call all the same. Waiting for a
     * route and following a redirect are part of the try. */
    CLUSTER_NO_RETRY = 1,
    /* Try again also when an earlier try may have been executed, although the rpc is one that
     * counts twice then (INCR, CHECK_AND_SET, CHECK_AND_MUTATE). */
    CLUSTER_REPEAT_UNKNOWN = 2,
    /* A meta may keep the call waiting until its deadline: it is not taken for silent before. */
    CLUSTER_MAY_WAIT = 4,
};

struct cluster_call {
    /* The caller's: set before the call, and left alone until it has ended. */
    enum rpc_code rpc;
    /* The arguments, as in peer.h; borrowed until the call ends. 'write' is called for every try. */
    const struct schema *schema;
    const void *args;
    void (*write)(const void *args, struct buf *to);
    uint64_t deadline_ms;  /* Boot time. */
    unsigned flags;        /* enum cluster_call_flags */
    int32_t app_id_wanted; /* The table with that id and no other of its name; 0: any. */

    /* Called once, later, never from inside. 'answer' is as in peer.h, and also
     *     rc 0 with an error   that trying again would not help (or CLUSTER_NO_RETRY)
     *     E_TIMEOUT            the deadline passed; 'error' is the last one that a server gave
     *     E_UNKNOWN            it may or may not have been executed, and is not to be repeated
     *     E_NOTFOUND           no such table ('error' is the metas' word), no such partition, or no
     *                          meta with a name that resolves
     *     E_STATE              the table of that name has another id than app_id_wanted
     *     E_BUSY, E_LIMIT, E_NOMEM   as rpc_peer_call() */
    void (*on_done)(struct cluster_call *call, const struct rpc_answer *answer);

    /* For the caller to look at when it has ended: where the last try went. */
    struct io_address server; /* Port 0: nowhere. */
    int32_t partition_index;  /* As its header said; -1: to a meta. */
    uint32_t tries;

    /* The cluster's. All-zero before the first use; may be used again once it has ended. */
    int state; /* 0: not under way. */
    struct cluster *cluster;
    struct cluster_table *table; /* NULL: for a meta. */
    struct rpc_call call;
    struct list_node node; /* In the list of its state. */
    struct heap_node wake; /* When it is to be looked at, unless something happens before. */
    uint64_t hash;         /* For the header; with 'is_by_key' it also chooses the partition. */
    uint32_t wanted_index; /* The partition, otherwise. */
    int64_t ballot;        /* Of the route that the last try used... */
    uint64_t asked_ms;     /* When it left, or its server was doubted last. */
    uint32_t backoff_ms;   /* The last pause. */
    uint32_t hops;         /* Metas tried since the last pause. */
    int rc;                /* How it ends, while it waits to be told so. */
    enum wire_error error; /* The last that a server gave. */
    bool is_by_key;
};

/* To the leader of the metas. */
void cluster_call_meta(struct cluster *cluster, struct cluster_call *call);

/* To the primary of the partition that 'hash' (wire/key.h) falls to. */
void cluster_call_key(struct cluster_table *table, uint64_t hash, struct cluster_call *call);

/* To the primary of a partition. 'hash' is what the header says: 0, or that of a key in it. */
void cluster_call_partition(struct cluster_table *table, uint32_t partition_index, uint64_t hash,
                            struct cluster_call *call);

/* Forget the call: on_done is not called. Harmless when it is not under way. */
void cluster_call_cancel(struct cluster_call *call);

/* As rpc_peer_view(), for the server a call last went to or any other; E_NOTFOUND: never spoken
 * to. */
int cluster_peer_view(const struct cluster *cluster, struct io_address server,
                      struct rpc_peer_view *out) MUST_CHECK;
