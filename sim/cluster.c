/* sim/cluster.c: the life of a node on a machine that can end it at any moment. */
#include "sim/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* ---- Making it ------------------------------------------------------------------------------- */

void sim_cluster_config(struct node_config *config, const char *name, uint8_t id)
{
    config_default(config);
    (void)snprintf(config->cluster_name, sizeof config->cluster_name, "%s", name);
    (void)snprintf(config->listen, sizeof config->listen, "%s:%d", name, SIM_CLUSTER_PORT);
    (void)snprintf(config->data_dir, sizeof config->data_dir, "data");
    config->cluster_id = id;
    config->workers = 2;
    config->segment_size = LOG_SEGMENT_SIZE_MIN;
    config->log_flush_size = 32 << 10;
    config->log_ship_size = 32 << 10;
    config->backlog_size_max = 8 << 20;
    config->disk_reserve_size = 64 << 10;
    config->tail_size = 64 << 10;
    config->learn_rate = 1 << 20;
}

static void forget_process(struct sim_cluster *c)
{
    c->node = NULL;
    c->is_open = c->is_ready = c->is_closed = false;
}

static void on_end(void *context, enum sim_end how)
{
    struct sim_cluster *c = context;
    (void)how; /* The stores keep no page cache: what was not flushed is lost either way. */
    store_sim_crash(c->stores);
    if (sim_now_us(c->sim) < c->opens_us) store_sim_undo(c->stores);
    else store_sim_keep(c->stores);
    forget_process(c);
}

/* Flushes and compactions happen when they like. */
static void on_background(void *context)
{
    struct sim_cluster *c = context;
    if (c->flush_us == 0) return; /* The end of it. */
    store_sim_background(c->stores);
    uint64_t wait_us = prng_between(sim_prng(c->sim), 1, 2 * c->flush_us);
    sim_at(c->sim, sim_now_us(c->sim) + wait_us, on_background, c);
}

struct sim_cluster *sim_cluster_new(struct sim *sim, const char *name, uint8_t id)
{
    struct sim_cluster *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->sim = sim;
    c->machine = sim_machine_new(sim, name);
    c->stores = store_sim_disk_new(sim_machine_io(c->machine), prng_next(sim_prng(sim)));
    store_sim_files(c->stores, sim_machine_io(c->machine));
    c->store_fake = (struct sim_fake){.kind = "store", .on_end = on_end, .context = c};
    c->group_fake = (struct sim_fake){.kind = GROUP_SIM_KIND, .context = &c->group_faults};
    sim_machine_attach(c->machine, &c->store_fake);
    sim_machine_attach(c->machine, &c->group_fake);
    sim_cluster_config(&c->config, name, id);
    c->flush_us = 50 * 1000;
    on_background(c);
    return c;
}

void sim_cluster_free(struct sim_cluster *c)
{
    if (c == NULL) return;
    c->flush_us = 0;
    if (sim_machine_is_up(c->machine)) sim_machine_crash(c->machine, SIM_KILL);
    store_sim_disk_free(c->stores);
    c->stores = NULL;
    free(c);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void on_ready(void *context, struct node *node)
{
    (void)node;
    struct sim_cluster *c = context;
    c->is_ready = true;
}

static void on_failed(void *context, const struct err *e)
{
    struct sim_cluster *c = context;
    c->failure = *e;
}

static const struct node_handler handler = {.on_ready = on_ready, .on_failed = on_failed};

/* The code of node_open() runs in one go, but the disk takes its time: who looks before that has passed
 * sees what a loss of power can still undo. */
static void on_opened(void *context)
{
    struct sim_cluster *c = context;
    bool is_its_time = sim_now_us(c->sim) >= c->opens_us; /* Else it was set for another life. */
    if (c->node == NULL || c->is_open || !is_its_time) return;
    c->is_open = true;
    store_sim_keep(c->stores);
    if (c->on_open != NULL) c->on_open(c->on_open_context);
}

static void program(struct sim_machine *m, void *context)
{
    struct sim_cluster *c = context;
    struct node *node;
    c->failure = (struct err){0};
    int rc = node_open(sim_machine_io(m), &c->config, &handler, c, &node, &c->failure);
    c->opens_us = sim_machine_busy_us(m) - 1; /* Before what it has posted arrives. */
    if (rc != 0) return;
    c->node = node;
    sim_at(c->sim, c->opens_us, on_opened, c);
}

void sim_cluster_start(struct sim_cluster *c)
{
    sim_machine_start(c->machine, (struct sim_program){program, c});
}

void sim_cluster_crash(struct sim_cluster *c, enum sim_end how)
{
    if (sim_machine_is_up(c->machine)) sim_machine_crash(c->machine, how);
}

void sim_cluster_wipe(struct sim_cluster *c)
{
    sim_cluster_crash(c, SIM_KILL);
    sim_disk_wipe(c->machine);
    store_sim_remove(c->stores, "");
}

void sim_cluster_tamper(struct sim_cluster *c, void (*run)(struct sim_machine *m, void *context),
                        void *context)
{
    sim_machine_start(c->machine, (struct sim_program){run, context});
    sim_machine_crash(c->machine, SIM_KILL);
}

static bool is_settled(void *context)
{
    const struct sim_cluster *c = context;
    return c->is_ready || c->failure.code != 0 || !sim_machine_is_up(c->machine);
}

bool sim_cluster_wait_ready(struct sim_cluster *c, uint64_t for_us)
{
    return (is_settled(c) || sim_run_until(c->sim, is_settled, c, for_us)) && c->is_ready;
}

static void on_closed(void *context)
{
    struct sim_cluster *c = context;
    c->is_closed = true;
}

static void close_node(void *context)
{
    struct sim_cluster *c = context;
    c->is_ready = false;
    if (c->node != NULL) node_close(c->node, on_closed, c);
    else c->is_closed = true; /* It did not even open. */
}

static void free_node(void *context)
{
    struct sim_cluster *c = context;
    node_free(c->node);
    c->node = NULL;
    c->is_open = false;
}

static bool is_closed(void *context)
{
    const struct sim_cluster *c = context;
    return c->is_closed;
}

void sim_cluster_stop_begin(struct sim_cluster *c)
{
    (void)sim_machine_do(c->machine, close_node, c);
}

void sim_cluster_stop_end(struct sim_cluster *c)
{
    CHECK(c->is_closed);
    if (sim_machine_do(c->machine, free_node, c)) sim_machine_exit(c->machine);
}

bool sim_cluster_stop(struct sim_cluster *c, uint64_t for_us)
{
    sim_cluster_stop_begin(c);
    if (!c->is_closed && !sim_run_until(c->sim, is_closed, c, for_us)) return false;
    sim_cluster_stop_end(c);
    return true;
}

/* ---- Looking --------------------------------------------------------------------------------- */

static void each_in(struct list_node *list, void (*each)(void *context, struct replica *r),
                    void *context)
{
    LIST_EACH (it, list) each(context, LIST_ENTRY(it, struct replica, node));
}

void sim_cluster_each(struct sim_cluster *c, void (*each)(void *context, struct replica *r),
                      void *context)
{
    struct node *n = c->node;
    if (n == NULL) return;
    each_in(&n->recovered, each, context);
    for (uint32_t i = 0; i < n->worker_count; i++)
        for (uint32_t b = 0; n->workers[i].loop != NULL && b < WORKER_BUCKETS; b++)
            each_in(&n->workers[i].replicas[b], each, context);
}
