/* src/node/worker.h: one worker loop: the connections that were accepted on it, and the replicas that it
 * owns. Requests for others' replicas travel to their owner's loop and answer from there.
 *
 * All mutations that its replicas append in one turn go to the log as one batch. At most one batch is
 * under way: what comes meanwhile forms the next, so the log's groups grow with the load; and a batch
 * that found the disk full can be offered again before anything behind it. */
#pragma once
#include "base/buf.h"
#include "io/io.h"
#include "log/log.h"
#include "node/disk_guard.h"
#include "node/node_metrics.h"
#include "node/replica.h"
#include "node/stream.h"
#include "rpc/server.h"
#include "store/store.h"

struct node;

enum { WORKER_BUCKETS = 256 }; /* Of the table of replicas; a power of two. */

struct worker_batch {
    struct worker *owner;
    struct log_batch log;
    struct log_entry *entries;
    struct chunk **chunks;     /* The entries' mutations, one reference each. */
    struct replica **replicas; /* The entries' replicas. */
    size_t count, capacity;
    size_t size; /* Bytes of the entries' mutations. */
};

struct worker {
    struct node *node;
    uint32_t index;
    struct io_loop *loop;
    struct rpc_server *server;
    struct list_node replicas[WORKER_BUCKETS];
    size_t replica_count;
    uint32_t forgetting; /* Replicas that have closed, and that the log is to forget. */

    struct worker_batch batches[2];        /* One fills, one flies. */
    struct worker_batch *filling, *flying; /* 'flying' is NULL when none is under way. */
    bool is_disk_full; /* The log has no space: writes are refused, reads are served. */
    bool is_disk_failed;
    struct io_timer disk_timer; /* Offers the batch again. */
    struct disk_guard guard;    /* Refuses writes before that happens. */
    struct io_turn_hook hook;

    struct store_batch *changes; /* Reused for every apply. */
    struct buf scratch;          /* Mutations are made here. */
    struct list_node openings;   /* Replicas being opened. */
    struct list_node closed;     /* Replicas that the log still points to; freed with the node. */
    struct list_node links;      /* Servers that replicas speak to. */
    struct io_timer unsaid;      /* Runs while something to be said to one has found no link. */
    uint32_t links_closing;
    uint32_t wishes_asked;        /* Proposals under way, of replicas and openings. */
    struct replicate_item *items; /* Messages are made here; NULL: none was. */
    struct list_node remotes;     /* Clusters that streams ship to. */
    uint32_t stream_count;
    uint64_t learn_free_us; /* Boot time at which the next piece of a store may be asked for. */
    uint32_t remotes_closing;
    struct io_timer scan_timer; /* Closes scans that nobody continues. */
    bool is_closing;
    void (*on_closed)(struct worker *w);
    struct io_post stop_post, closed_post;
    struct io_post quiet_post; /* Asks whether anybody waits who was left behind by a primary... */
    bool is_quiet_asked;       /* ...and is owed an answer. */

    struct worker_metrics metrics;
    struct metric_entity entity;
};

/* Make the worker's parts on its own loop, which is opened here. Before any other loop touches it.
 * Returns 0, E_NOMEM, E_IO. */
int worker_open(struct worker *w, struct node *n, uint32_t index) MUST_CHECK;
void worker_close_loop(struct worker *w); /* Blocking. Accepts an all-zero one. */
void worker_free(struct worker *w);       /* After log_close(). Accepts an all-zero one. */

/* ---- On its loop ---- */

void worker_start(struct worker *w);
void worker_stop(struct worker *w, void (*on_closed)(struct worker *w));

/* Obey the meta group: open the replica if it is not there, then tell it. Takes 'a'. */
void worker_assign(struct worker *w, struct assignment *a);

/* The partition is no longer ours. */
void worker_drop(struct worker *w, struct gpid gpid);

struct replica *worker_find(struct worker *w, struct gpid gpid);
void worker_add(struct worker *w, struct replica *r);
void worker_remove(struct worker *w, struct replica *r);

/* Make room for one more entry in the next batch, so that worker_append() cannot fail. */
int worker_append_reserve(struct worker *w) MUST_CHECK;

/* True: so much waits for the log that nothing more should be taken. */
bool worker_is_behind(const struct worker *w);
void worker_append(struct worker *w, struct replica *r, struct chunk *mutation, uint64_t decree,
                   uint64_t ballot);

/* Close a replica of this worker, because it is dropped or because the worker stops. */
void worker_close_replica(struct replica *r, bool is_dropped);

/* Close a replica, and open it again: with the store that was copied for it, or to learn (R12, R16). */
void worker_reopen_replica(struct replica *r);

/* Perhaps nobody waits any more: tell who asked (leave.c). */
void worker_quiet_check(struct worker *w);

/* Called when a part has closed: the worker's on_closed, if that was the last. */
void worker_stop_if_done(struct worker *w);

/* A scan waits for its next request: have it closed if that never comes. */
void worker_scan_waits(struct worker *w);

/* A request from its own connections, or carried here from another worker's. Takes it. */
void worker_on_request(void *context, struct rpc_request *request);
