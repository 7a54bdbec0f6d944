/* sim/client.h: a machine that asks one cluster for things, through rpc/cluster.h as libpirene does.
 *
 *     client    a machine with one loop, the cluster's routes and one table's
 *     call      one request and its answer; any number may be under way
 *
 * The calls live in the harness's memory, so that it may look at them at any time. */
#pragma once
#include "rpc/cluster.h"
#include "sim/sim.h"

struct sim_client {
    struct sim *sim;
    struct sim_machine *machine;
    const char *metas, *table_name; /* Constants. */
    struct io_loop *loop;
    struct cluster *cluster;
    struct cluster_table *table;
    bool is_closed;
    struct io_post post;
};

/* A new machine called 'name' that knows a cluster by its metas, "host:port". Started at once. All
 * three are constants. Freed by sim_client_free(), before sim_free(). */
struct sim_client *sim_client_new(struct sim *sim, const char *name, const char *metas,
                                  const char *table);
void sim_client_free(struct sim_client *c); /* Accepts NULL. */

/* End everything in good order. False when that took longer than for_us; otherwise no memory was
 * left. Not from inside an event. */
bool sim_client_stop(struct sim_client *c, uint64_t for_us);

struct sim_call {
    /* The question. */
    enum rpc_code rpc;
    const void *args;     /* The rpc's request; lives until the end. */
    uint64_t hash;        /* Of the key; nothing for the meta role. */
    int32_t partition;    /* With 'is_to_partition'. */
    bool is_to_partition; /* Not to that of 'hash'. */
    unsigned flags;       /* enum cluster_call_flags */
    uint64_t timeout_ms;
    void (*on_done)(struct sim_call *call); /* On the client's loop. May be NULL. */
    void *context;

    /* The answer. */
    bool is_done;
    struct rpc_answer answer; /* Its chunk is kept until the call begins again or ends. */
    struct arena arena;

    struct cluster_call call; /* sim_client's. */
    struct sim_client *client;
    struct io_post post;
};

/* Ask; the end is told to on_done. From anywhere. */
void sim_call_begin(struct sim_client *c, struct sim_call *call);

/* Read the answer of a call that has ended into 'out', a struct of the rpc's response. Returns the
 * answer's code; with 0, E_STATE when the server answered with an error; or what reading returned. */
int sim_call_read(struct sim_call *call, void *out) MUST_CHECK;

/* Give back what the answer holds. It has ended, or was never begun. */
void sim_call_fini(struct sim_call *call);

/* Ask, run the world until the end is known, and read. Not from inside an event. */
int sim_ask(struct sim_client *c, struct sim_call *call, void *out) MUST_CHECK;
