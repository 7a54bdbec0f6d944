/* src/node/node_impl.h: inside the room only: the parts of a node, and who may touch them.
 *
 *     node.c         opening, closing
 *     control*.c     the control loop: the group's decisions become replicas' assignments
 *     lease.c        until when it may answer as a primary
 *     follower.c     how the node hears of them when it is no member of the group
 *     meta_copy.c    the cluster's state as this node has it
 *     worker.c       a worker loop
 *     opening.c      replicas that it is told to open
 *     aside.c        what is of no use any more
 *     replica*.c     one partition
 *     stream*.c      one duplication of one partition
 *     remote.c       a remote cluster that streams ship to
 *     admin_*.c      what the server is asked about itself (on the control loop)
 *     survey.c       ... and what its workers know about that
 *     meta_*.c       the meta role's rpcs (on the control loop) */
#pragma once
#include "base/check.h"
#include "core/meta/history.h"
#include "core/meta/meta.h"
#include "group/group.h"
#include "node/config.h"
#include "node/follower.h"
#include "node/lease.h"
#include "node/node.h"
#include "node/worker.h"
#include "obs/metric.h"
#include "rpc/cluster.h"

/* A partition with a directory on this node, as the control loop knows it. */
struct placement {
    struct list_node node;
    struct gpid gpid;
    enum { PLACED, CLOSING, CLOSED, SWEPT } state; /* SWEPT: its directory is being removed. */
    bool is_wanted;                                /* Found again while comparing with the state. */
    struct node *owner;
    struct io_work sweep;
    bool is_compacting;        /* An order is under way. */
    int64_t compacted_s;       /* As its replica said last; 0: never, or not asked yet. */
    uint64_t not_compacted_ms; /* It could not be done at that time; 0: it could. */
};

/* A compaction, on its way to the replica's worker, through the pool, and back. */
struct compact_order {
    struct io_post post;
    struct io_work work;
    struct node *node;
    struct gpid gpid;
    int64_t wanted_s; /* Nothing to do when it was compacted since. */
    bool rewrites_bottom;
    struct replica *replica; /* While it runs. */
    uint64_t as_of_s;
    int rc; /* Filled by the replica: 0; E_NOTFOUND, E_STATE, E_CANCELED, E_NOSPACE, E_IO. */
    int64_t compacted_s;
    void (*on_done)(struct compact_order *o);
};

/* A replica that could not be opened at the start. */
struct set_aside {
    struct gpid gpid;
    atomic_bool is_over; /* It has begun anew since, to learn from others. */
};

struct node {
    struct io *io;
    struct node_config config;
    const struct node_handler *handler; /* NULL: none. */
    void *context;

    /* Set before the loops run, then only read. */
    uint64_t node_id;
    uint64_t incarnation; /* Of this process: one more than that of the last (M6). */
    char advertised[IO_ADDRESS_TEXT_SIZE];
    uint64_t started_us;       /* Wall clock. */
    struct io_address address; /* Where it listens. */
    struct io_address told;    /* Where others are told to come; as text in 'advertised'. */
    struct kv_sources sources;
    struct store_env *store_env;
    struct log *log;
    struct set_aside
        *set_aside; /* Replicas that could not be opened; the log keeps their records. */
    size_t set_aside_count;
    uint32_t worker_count;
    struct worker workers[NODE_WORKERS_MAX];
    struct metric_registry registry; /* Any thread. */
    struct log_figures_view log_figures;
    struct metric_entity log_entity;

    /* The control loop's. */
    uint64_t cluster_uuid; /* That it has joined before, or now; 0: none. */
    struct io_loop *control;
    struct io_listener *listener;
    uint32_t next_worker;      /* The next arrival goes there. */
    struct group *group;       /* NULL: this node is no member of the meta group... */
    struct follower *follower; /* ...and follows it. */
    struct meta *meta;
    struct meta_history history; /* How 'meta' came to be what it is. */
    struct meta_service *service;
    struct list_node recovered; /* Replicas that recovery opened, until their workers have them. */
    struct list_node placements;
    uint32_t compactions; /* Under way. */
    struct io_timer compact_timer;
    struct list_node saves;          /* Progress of streams, not proposed yet. */
    struct control_proposal *saving; /* Progress on its way into the group. */
    struct io_post start_post;
    struct io_post stop_post;
    uint32_t parts_open; /* Workers and the group, while closing. */
    struct log_stop log_stop;
    struct lease lease;
    struct leave {
        void (*on_left)(struct node *n); /* NULL: it does not leave, or has left. */
        uint32_t workers_left;           /* Where somebody may still wait. */
        struct io_timer timer;
    } leave;
    _Atomic uint64_t lease_until_ms; /* Boot time; UINT64_MAX: for ever. Any thread reads it. */
    struct io_work cluster_work;     /* Notes which cluster was joined... */
    int cluster_rc;                  /* ...and how that went. */
    bool is_ready, is_closing, is_log_running;
    void (*on_closed)(void *context);
    void *closed_context;
};

/* Which worker owns a partition. Neighbours go to different ones. */
static inline struct worker *node_owner(struct node *n, struct gpid gpid)
{
    CHECK(n->worker_count > 0); /* Workers come before partitions. */
    uint32_t key = (uint32_t)gpid.app_id * 7919u + (uint32_t)gpid.partition_index;
    return &n->workers[key % n->worker_count];
}

/* True: this node's copy of the cluster's state is the one that counts. */
static inline bool node_leads(const struct node *n)
{
    return n->group != NULL && group_is_leader(n->group);
}

/* May an answer of a primary leave now? Ask after the value was read (F3). Any thread. */
static inline bool node_lease_holds(struct node *n)
{
    uint64_t until_ms = atomic_load_explicit(&n->lease_until_ms, memory_order_acquire);
    return until_ms == UINT64_MAX || io_now(n->io).boot_ms < until_ms;
}

/* Where a partition's replica lives. */
void node_replica_dir(const struct node *n, struct gpid gpid, char *out, size_t size);

/* Was its replica set aside at the start, and is it still? And: not any more. Any thread. */
bool node_is_set_aside(const struct node *n, struct gpid gpid);
void node_set_aside_end(struct node *n, struct gpid gpid);

/* Its log has failed: nothing will be logged in this life (docs/mutation-log.md, L23). Any thread. */
bool node_has_lost_log(const struct node *n);

/* Bytes of recent mutations that one replica may keep in memory. */
size_t node_tail_size(const struct node *n);

/* ---- meta_copy.c ---- */

/* Apply a command of the group to this node's copy, append its result and read it. Returns 0, or what
 * meta_apply() does. */
int meta_copy_apply(struct node *n, struct slice command, struct buf *result,
                    struct meta_result *read) MUST_CHECK;

/* The whole copy as bytes: 0 or E_NOMEM. And back: 0, E_NOMEM, E_PROTO, E_CORRUPT. */
int meta_copy_write(const struct node *n, struct buf *to) MUST_CHECK;
int meta_copy_read(struct node *n, struct slice bytes) MUST_CHECK;

/* ---- control.c ---- */

/* Start: listener, workers, group, service; then on_ready or on_failed. Posted to the control loop. */
void control_start(struct io_post *post);

/* Stop all of it, then n->on_closed. Posted to the control loop. */
void control_stop(struct io_post *post);

/* It is part of its cluster: let clients in. */
void control_ready(struct node *n);

/* It cannot be. */
void control_failed(struct node *n, const struct err *e);

/* ---- control_join.c ---- */

/* Take part in the meta group, or follow it. Returns 0; or 'e' says why not. */
int control_join_open(struct node *n, struct err *e) MUST_CHECK;

/* Tell the cluster that this process has started, and where it is. */
void control_say_started(struct node *n,
                         void (*on_done)(void *context, int rc, const struct meta_result *result),
                         void *context);

/* Make the cluster or join it, then control_ready() or control_failed(). */
void control_join(struct node *n);

/* Stop that, then call on_left with the node. False: there was nothing to stop. */
bool control_leave(struct node *n, void (*on_left)(void *context));

/* ---- control_propose.c ---- */

/* Propose a command; 'on_done' hears how it went, on the control loop: 0 and the state machine's answer,
 * or a code of group_propose(), E_NOMEM. On the control loop. */
void control_propose(struct node *n, const struct meta_command *command,
                     void (*on_done)(void *context, int rc, const struct meta_result *result),
                     void *context);

/* A request for the meta role or the server itself. On the control loop. Takes it. */
void control_on_request(struct node *n, struct rpc_request *request);

/* ---- control_place.c ---- */

/* Tell the workers about a table that changed, as meta_result.changed_id says. */
void control_sync(struct node *n, int32_t changed_id);

/* Note a partition that has a directory here. NULL: no memory. */
struct placement *control_placement_new(struct node *n, struct gpid gpid);

/* The placement of a partition; NULL: it has no directory here. */
struct placement *control_placement_find(const struct node *n, struct gpid gpid);

/* A worker has closed a replica that was dropped. Any thread that is a loop's. */
void control_on_dropped(struct node *n, struct gpid gpid);

/* ---- control_compact.c ---- */

/* Begin the compactions that are due. After every change of the state, and when something ended. */
void control_compact(struct node *n);

/* How much of the last that was wanted of 'table' is done, in percent; -1: none is. */
int control_compact_progress(const struct node *n, const struct meta_table *table);

/* ---- control_propose.c: progress ---- */

/* A stream's progress, to be kept by the group; 'saved' is posted back to 'loop' when it is. On any
 * worker; 'save' lives until then. */
struct control_save {
    struct io_post post;   /* To the control loop, then back. */
    struct list_node node; /* The control loop's. */
    struct node *owner;
    struct io_loop *loop;
    struct meta_confirm confirm;
    int rc; /* How it ended: 0, or the group did not take it. */
    void (*on_saved)(struct control_save *save);
};
void control_save(struct node *n, struct control_save *save);
