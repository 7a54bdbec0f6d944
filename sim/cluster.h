/* sim/cluster.h: a cluster of one real node on one simulated machine, and how it is begun, ended and
 * begun again.
 *
 *     machine   its disk (sim/io), its stores' images (sim/store), its meta group's faults (sim/group)
 *      └─ node  src/node as pirened runs it; a new one at every start
 *
 *     off ── start ──> starting ── on_ready ──> ready ── stop ──> off
 *                          └────── crash: kill or power ───────────^
 *
 * The harness may look into 'node' whenever the machine runs; it never writes there. */
#pragma once
#include "node/node.h"
#include "node/node_impl.h"
#include "sim/group/group_sim.h"
#include "sim/sim.h"
#include "sim/store/store_sim.h"

enum { SIM_CLUSTER_PORT = 34601 };

struct sim_cluster {
    struct sim *sim;
    struct sim_machine *machine;
    struct store_sim_disk *stores;
    struct group_sim_faults group_faults;
    struct node_config config;
    struct sim_fake store_fake, group_fake;

    struct node *node; /* NULL: none runs. In the memory of its process. */
    bool is_open;      /* The time that node_open() took has passed. */
    uint64_t opens_us; /* When that is. */
    bool is_ready;
    bool is_closed;                 /* node_close() has ended. */
    struct err failure;             /* Why it could not start; code 0: it could. */
    void (*on_open)(void *context); /* It has just become open. May be NULL. */
    void *on_open_context;
    uint64_t flush_us; /* A step of the stores' background comes about this often. */
};

/* Small sizes, so that edges are met all the time. */
void sim_cluster_config(struct node_config *config, const char *name, uint8_t id);

/* A cluster called 'name' (a constant) on a new machine; nothing runs yet. */
struct sim_cluster *sim_cluster_new(struct sim *sim, const char *name, uint8_t id);

/* Before sim_free(). No longer of use to anybody. Accepts NULL. */
void sim_cluster_free(struct sim_cluster *c);

/* Start its process. What becomes of it is seen in 'is_ready' and 'failure', later. */
void sim_cluster_start(struct sim_cluster *c);

/* As SIGTERM does. Returns false when it has not ended within 'for_us'; otherwise the process has
 * exited, and held no memory any more. Not from inside an event. */
bool sim_cluster_stop(struct sim_cluster *c, uint64_t for_us);

/* The same from inside an event, in two steps: begin; and end, when 'is_closed'. */
void sim_cluster_stop_begin(struct sim_cluster *c);
void sim_cluster_stop_end(struct sim_cluster *c);

/* End it at once. Harmless when it is off. */
void sim_cluster_crash(struct sim_cluster *c, enum sim_end how);

/* End it at once, and give its machine an empty disk. */
void sim_cluster_wipe(struct sim_cluster *c);

/* Another program runs on its machine, which is off, until its main() is over: it may change what is on the disk. */
void sim_cluster_tamper(struct sim_cluster *c, void (*run)(struct sim_machine *m, void *context),
                        void *context);

/* Run until it is ready. False: it failed, or for_us passed. Not from inside an event. */
bool sim_cluster_wait_ready(struct sim_cluster *c, uint64_t for_us);

/* Call 'each' for every replica that its node has, those that recovery has just opened included. */
void sim_cluster_each(struct sim_cluster *c, void (*each)(void *context, struct replica *r),
                      void *context);
