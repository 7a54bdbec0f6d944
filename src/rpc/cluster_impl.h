/* src/rpc/cluster_impl.h: what the four files of a cluster share.
 *
 *     cluster.c        opening, closing, and the life of a call between its tries
 *     cluster_metas.c  names to addresses, the leader among them, calls to it
 *     cluster_table.c  a table's route, calls by it
 *     cluster_peers.c  one rpc_peer per address
 *
 * A call is in one list at any time, that of its state:
 *
 *     CALL_WAITING   for the metas' addresses or for a table's route       their 'waiting'
 *     CALL_PAUSING   before the next try                                   'pausing'
 *     CALL_FLYING    a try is under way in an rpc_peer                     'flying'
 *     CALL_ENDING    over, and to be told so in a moment                   'ending'
 *
 * A try that flies for long is doubted: perhaps its server is dead, and another serves the partition by now.
 * Its route is asked for anew, and if that says so the try is given up (R17 of docs/routing.md).
 *
 * While it waits or pauses it stands in 'wakes' too, with the end of its pause or its deadline;
 * while it flies the peer keeps the deadline. */
#pragma once
#include "core/route/route.h"
#include "rpc/cluster.h"

enum {
    CLUSTER_METAS_MAX = 16,   /* Addresses; redirects past that replace the last. */
    CLUSTER_PEERS_MAX = 4096, /* Servers: a meta that names more is not followed. */
    CLUSTER_BUCKETS = 64,
};

enum call_state { CALL_IDLE, CALL_WAITING, CALL_PAUSING, CALL_FLYING, CALL_ENDING };

/* Names to addresses, on the pool. */
struct resolving {
    struct io_work work;
    struct io *io;
    char *names; /* The list; cut up by each run, from 'original'. */
    struct io_address found[CLUSTER_METAS_MAX];
    size_t found_count;
    bool is_running;
};

struct cluster {
    struct io_loop *loop;
    struct rpc_peer_options peer_options;
    char *metas_text;
    struct prng prng;

    struct io_address metas[CLUSTER_METAS_MAX];
    size_t meta_count; /* 0: never resolved. */
    size_t leader;     /* Index of our best guess. */
    size_t unreached;  /* Tries of metas in vain since one has answered. */
    bool is_unsure;    /* Resolve before the next try. */
    struct resolving resolving;
    struct list_node unresolved; /* Calls that wait for it. */

    struct list_node buckets[CLUSTER_BUCKETS]; /* struct cluster_peer */
    size_t peer_count;
    struct list_node tables;

    struct list_node pausing, flying, ending;
    struct heap wakes;  /* Of calls. */
    struct heap alarms; /* Of tables: when their route wants to be ticked. */
    struct io_timer timer;
    uint64_t timer_ms;
    struct io_timer doubt_timer; /* Runs while anything flies. */
    struct io_post end_post;
    bool is_end_posted;

    bool is_closing;
    void (*on_closed)(void *context);
    void *closed_context;
};

struct cluster_table {
    struct list_node node;
    struct cluster *cluster;
    char *name;
    size_t opened; /* Times. */
    struct route route;
    struct list_node waiting;
    struct heap_node alarm;
    struct cluster_call query;
    struct query_config_request query_args;
    int32_t query_indices[ROUTE_QUERY_MAX];
};

/* ---- cluster.c: the life of a call ----------------------------------------------------------- */

/* Try now: by its table or at the metas. */
void call_try(struct cluster_call *call);

/* Wait in 'list' until somebody tries it again, or the deadline. */
void call_wait(struct cluster_call *call, struct list_node *list);

/* Try again in a while, if the deadline allows. */
void call_pause(struct cluster_call *call);

/* Send it to the server. Returns 0, or why it did not leave, as rpc_peer_call() does. */
int call_send(struct cluster_call *call, struct io_address server, int32_t app_id,
              int32_t partition_index, uint64_t deadline_ms) MUST_CHECK;

/* It has ended: tell now, or in a moment. */
void call_end(struct cluster_call *call, const struct rpc_answer *answer);
void call_end_soon(struct cluster_call *call, int rc);

/* True if an rpc may be executed twice without harm. */
bool call_is_repeatable(const struct cluster_call *call);

uint64_t cluster_now_ms(struct cluster *c);

/* A wake or an alarm has changed. */
void cluster_set_timer(struct cluster *c);

/* Free the closing cluster if nothing of it is left. */
void cluster_check_closed(struct cluster *c);

/* ---- cluster_metas.c ------------------------------------------------------------------------- */

int metas_init(struct cluster *c, const char *metas) MUST_CHECK;
void metas_try(struct cluster_call *call);
void metas_answered(struct cluster_call *call, const struct rpc_answer *answer);

/* ---- cluster_table.c ------------------------------------------------------------------------- */

void table_try(struct cluster_call *call);
void table_answered(struct cluster_call *call, const struct rpc_answer *answer);
void table_tick(struct cluster_table *t);

/* The call has waited for its answer for long. */
void table_doubt(struct cluster_call *call);
void table_free(struct cluster_table *t);

/* ---- cluster_peers.c ------------------------------------------------------------------------- */

void peers_init(struct cluster *c);

/* The peer of that address, opened if need be. Returns 0 or E_NOMEM, E_LIMIT. */
int peers_get(struct cluster *c, struct io_address address, struct rpc_peer **out) MUST_CHECK;

/* Close all; cluster_check_closed() follows. */
void peers_close(struct cluster *c);
