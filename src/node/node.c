/* src/node/node.c: opening a node, and closing it.
 *
 *     node_open    data directory -> who am I -> stores -> log replayed into replicas -> control loop
 *     node_close   control_stop() on the control loop
 *     node_free    loops joined, then the log, then what the log pointed to
 *
 *     data_dir/lock                       one server at a time
 *              node, incarnation          this node's id, and how often it was started
 *              cluster                    which cluster it has joined, if any
 *              meta/                      the meta group's log
 *              log/                       the mutation log of this disk
 *              replicas/<table>.<index>/  state, store/ */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "base/mem.h"
#include "node/node_dir.h"
#include "node/node_identity.h"
#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "node"};

enum {
    TAIL_SIZE_MIN = 64 << 10,   /* Bytes that every replica may keep, however many there are. */
    HISTORY_SIZE_MAX = 4 << 20, /* Bytes of meta commands for nodes that follow. */
    LOOPBACK = 0x7f000001,      /* 127.0.0.1 */
};

void node_replica_dir(const struct node *n, struct gpid gpid, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/replicas/%d.%d", n->config.data_dir, gpid.app_id,
                   gpid.partition_index);
}

size_t node_tail_size(const struct node *n)
{
    enum { SHARES = 16 }; /* A replica may take this part of all; the busy ones are few. */
    size_t share = (size_t)n->config.tail_size / SHARES;
    return share > TAIL_SIZE_MIN ? share : TAIL_SIZE_MIN;
}

static struct set_aside *set_aside_find(const struct node *n, struct gpid gpid)
{
    for (size_t i = 0; i < n->set_aside_count; i++)
        if (gpid_equal(n->set_aside[i].gpid, gpid)) return &n->set_aside[i];
    return NULL;
}

bool node_is_set_aside(const struct node *n, struct gpid gpid)
{
    const struct set_aside *s = set_aside_find(n, gpid);
    return s != NULL && !atomic_load(&s->is_over);
}

void node_set_aside_end(struct node *n, struct gpid gpid)
{
    struct set_aside *s = set_aside_find(n, gpid);
    if (s != NULL) atomic_store(&s->is_over, true);
}

bool node_has_lost_log(const struct node *n)
{
    struct log_stats stats;
    log_stats(n->log, &stats);
    return stats.is_failed;
}

/* ---- Recovery ---------------------------------------------------------------------------------------------- */

struct recovery {
    struct node *node;
    struct err *e;
    int rc;
    size_t count, capacity;
    struct log_replica *replicas; /* What the log is asked about. */
};

/* "3.7" and nothing else. */
static bool parse_gpid(const char *name, struct gpid *out)
{
    char again[32];
    if (sscanf(name, "%" SCNd32 ".%" SCNd32, &out->app_id, &out->partition_index) != 2)
        return false;
    (void)snprintf(again, sizeof again, "%d.%d", out->app_id, out->partition_index);
    return strcmp(again, name) == 0 && out->app_id > 0 && out->partition_index >= 0;
}

/* The log keeps everything of this replica above 'durable'. */
static int recovery_add(struct recovery *rec, struct gpid gpid, uint64_t durable)
{
    int rc = array_reserve(&rec->replicas, &rec->capacity, rec->count + 1, sizeof *rec->replicas);
    if (rc != 0) return rc;
    rec->replicas[rec->count++] = (struct log_replica){gpid, durable};
    return 0;
}

/* One replica that can't be opened never keeps the others from serving (P9). What its store held durably is
 * not known: the log keeps all that it has of it, for when it was repaired. */
static int set_aside(struct recovery *rec, struct gpid gpid)
{
    struct node *n = rec->node;
    struct set_aside *grown = mem_realloc(n->set_aside, (n->set_aside_count + 1) * sizeof *grown);
    if (grown == NULL) return E_NOMEM;
    n->set_aside = grown;
    n->set_aside[n->set_aside_count++] = (struct set_aside){.gpid = gpid};
    return recovery_add(rec, gpid, LOG_NO_STORE);
}

static void on_replica_dir(void *context, const char *name)
{
    struct recovery *rec = context;
    struct node *n = rec->node;
    struct gpid gpid;
    if (rec->rc != 0 || !parse_gpid(name, &gpid)) return;
    char dir[CONFIG_TEXT_SIZE + 64];
    node_replica_dir(n, gpid, dir, sizeof dir);
    struct replica *r;
    struct err e = {0};
    int rc = replica_open(n->io, n->store_env, dir, gpid, n->node_id, node_tail_size(n), &r, &e);
    if (rc != 0 && rc != E_NOMEM) {
        LOG_ERROR(&logger,
                  "replica set aside: its store can't be opened; its part of the log is kept, and "
                  "moves to log/backlog when it is in the way: repair the store and start again",
                  field_err(&e));
        rc = set_aside(rec, gpid);
    } else if (rc == 0) {
        list_push_back(&n->recovered, &r->node);
        rc = recovery_add(rec, gpid, r->repl.applied);
    }
    rec->rc = rc == 0 ? 0 : err_set(rec->e, rc, "%s", e.code != 0 ? e.text : err_text(rc));
}

static struct replica *recovered_find(struct node *n, struct gpid gpid)
{
    LIST_EACH (it, &n->recovered) {
        struct replica *r = LIST_ENTRY(it, struct replica, node);
        if (gpid_equal(r->gpid, gpid)) return r;
    }
    return NULL;
}

static int on_log_record(void *context, struct gpid gpid, uint64_t decree, uint64_t ballot,
                         struct slice mutation)
{
    struct recovery *rec = context;
    (void)decree; /* In the mutation. */
    struct replica *r = recovered_find(rec->node, gpid);
    if (r == NULL || r->is_damaged) return 0;
    int rc = replica_recover(r, ballot, mutation);
    return rc == E_PROTO ? 0 : rc;
}

static void on_log_damaged(void *context, struct gpid gpid, uint64_t decree, const char *why)
{
    struct recovery *rec = context;
    struct replica *r = recovered_find(rec->node, gpid);
    if (r == NULL) return; /* Set aside: what is missing before its first record is in its store. */
    LOG_ERROR(&logger, "records are lost: this partition will not serve",
              field_i64("table", gpid.app_id), field_i64("partition", gpid.partition_index),
              field_u64("after", decree), field_str("why", why));
    r->is_damaged = true;
}

static const struct log_replay_handler replay_handler = {
    .on_record = on_log_record,
    .on_damaged = on_log_damaged,
};

static int open_replicas(struct node *n, struct recovery *rec)
{
    char dir[CONFIG_TEXT_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/replicas", n->config.data_dir);
    int rc = node_dir_make(n->io, dir);
    if (rc == 0) rc = io_dir_list(n->io, dir, on_replica_dir, rec);
    if (rc != 0) return err_set(rec->e, rc, "%s: %s", dir, err_text(rc));
    return rec->rc;
}

static int open_log(struct node *n, struct recovery *rec)
{
    char dir[CONFIG_TEXT_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/log", n->config.data_dir);
    struct log_options options = {
        .dir = dir,
        .sync = n->config.sync,
        .segment_size = n->config.segment_size,
        .flush_size = n->config.log_flush_size,
        .ship_size = n->config.log_ship_size,
        .backlog_size_max = n->config.backlog_size_max,
    };
    return log_open(n->io, &options, rec->replicas, rec->count, &replay_handler, rec, &n->log,
                    rec->e);
}

/* A replica whose store refuses stays as it is: its partition does not serve, the others do (P9). */
static int apply_replayed(struct node *n, struct err *e)
{
    LIST_EACH (it, &n->recovered) {
        struct replica *r = LIST_ENTRY(it, struct replica, node);
        int rc = replica_replayed(r);
        if (rc == E_NOMEM) return err_set(e, rc, "replay into %s", r->dir);
        if (rc == 0) continue;
        LOG_ERROR(&logger, "what the log holds cannot be applied", field_str("dir", r->dir),
                  field_code(rc));
        r->is_damaged = r->is_useless = true;
    }
    return 0;
}

/* ---- Opening -------------------------------------------------------------------------------------------------- */

static uint64_t wall_us(void *context)
{
    return io_now(context).wall_us;
}

static int open_data_dir(struct node *n, struct err *e)
{
    char path[CONFIG_TEXT_SIZE + 16];
    int rc = node_dir_make(n->io, n->config.data_dir);
    if (rc != 0) return err_set(e, rc, "data directory %s: %s", n->config.data_dir, err_text(rc));
    (void)snprintf(path, sizeof path, "%s/lock", n->config.data_dir);
    rc = io_lock(n->io, path);
    if (rc != 0)
        return err_set(e, rc, "data directory %s: another server uses it", n->config.data_dir);
    rc = node_identity_load(n->io, n->config.data_dir, &n->node_id, e);
    if (rc == 0) rc = node_incarnation_next(n->io, n->config.data_dir, &n->incarnation, e);
    if (rc == 0) rc = node_cluster_load(n->io, n->config.data_dir, &n->cluster_uuid, e);
    if (rc != 0) return rc;
    return node_cluster_check(n->io, n->config.data_dir, n->config.join[0] != '\0', n->cluster_uuid,
                              e);
}

static int open_store_env(struct node *n, struct err *e)
{
    struct store_env_options options = {
        .cache_size = (size_t)n->config.cache_size,
        .write_buffer_size = (size_t)n->config.write_buffer_size,
        .background_threads = 2,
        .wall_us = wall_us,
        .world = n->io,
    };
    return store_env_open(&options, &n->store_env, e);
}

/* Whose duplicated writes are taken: those of the clusters that are named, or of any. */
static void note_sources(struct node *n)
{
    n->sources.are_all_accepted = n->config.accepts_any_source;
    for (uint32_t i = 0; i < n->config.remote_count; i++)
        if (n->config.remotes[i].cluster_id != 0)
            kv_sources_add(&n->sources, n->config.remotes[i].cluster_id);
}

static void node_init(struct node *n, struct io *io, const struct node_config *config)
{
    CHECK(config->workers >= 1 && config->workers <= NODE_WORKERS_MAX);
    n->io = io;
    n->config = *config;
    n->worker_count = config->workers;
    n->start_post.run = control_start;
    n->stop_post.run = control_stop;
    list_init(&n->recovered);
    list_init(&n->placements);
    list_init(&n->saves);
    metric_registry_init(&n->registry);
    meta_history_init(&n->history, HISTORY_SIZE_MAX);
    note_sources(n);
}

static int find_address(struct io *io, const char *key, const char *text, struct io_address *out,
                        struct err *e)
{
    int rc = io_resolve(io, text, out);
    return rc == 0 ? 0 : err_set(e, E_INVALID, "%s = %s: that is no address host:port", key, text);
}

/* Where to listen, and where others are told to come. Everywhere is no place to come to. */
static int find_addresses(struct node *n, struct err *e)
{
    const struct node_config *c = &n->config;
    int rc = find_address(n->io, "listen", c->listen, &n->address, e);
    if (rc != 0) return rc;
    n->told = n->address;
    if (c->advertise[0] != '\0') rc = find_address(n->io, "advertise", c->advertise, &n->told, e);
    else if (n->address.ipv4 == 0) {
        n->told.ipv4 = LOOPBACK;
        LOG_WARN(&logger, "listening on all addresses, and clients are told 127.0.0.1: "
                          "set 'advertise' for those on other machines");
    }
    io_address_print(n->told, n->advertised);
    return rc;
}

static int open_parts(struct node *n, struct err *e)
{
    struct recovery rec = {.node = n, .e = e};
    n->meta = meta_new();
    int rc = n->meta == NULL ? err_set(e, E_NOMEM, "meta state") : open_data_dir(n, e);
    if (rc == 0) rc = find_addresses(n, e);
    if (rc == 0) rc = open_store_env(n, e);
    if (rc == 0) rc = open_replicas(n, &rec);
    if (rc == 0) rc = open_log(n, &rec);
    if (rc == 0) rc = apply_replayed(n, e);
    mem_free(rec.replicas);
    if (rc != 0) return rc;
    rc = io_loop_open(n->io, IO_LOOP_EVENTS, "control", &n->control);
    return rc == 0 ? 0 : err_set(e, rc, "control loop: %s", err_text(rc));
}

int node_open(struct io *io, const struct node_config *config, const struct node_handler *handler,
              void *context, struct node **out, struct err *e)
{
    struct node *n = mem_zalloc(sizeof *n);
    if (n == NULL) return err_set(e, E_NOMEM, "node");
    node_init(n, io, config);
    n->handler = handler;
    n->context = context;
    int rc = open_parts(n, e);
    if (rc != 0) {
        node_free(n);
        return rc;
    }
    *out = n;
    io_post(n->control, &n->start_post);
    return 0;
}

/* ---- Closing ---------------------------------------------------------------------------------------------------- */

void node_close(struct node *n, void (*on_closed)(void *context), void *context)
{
    n->on_closed = on_closed;
    n->closed_context = context;
    io_post(n->control, &n->stop_post);
}

static void free_list(struct list_node *head, void (*each)(struct list_node *node))
{
    for (struct list_node *it; (it = list_pop_front(head)) != NULL;) each(it);
}

static void free_recovered(struct list_node *node)
{
    replica_free(LIST_ENTRY(node, struct replica, node));
}

static void free_placement(struct list_node *node)
{
    mem_free(LIST_ENTRY(node, struct placement, node));
}

void node_free(struct node *n)
{
    if (n == NULL) return;
    for (uint32_t i = 0; i < n->worker_count; i++) worker_close_loop(&n->workers[i]);
    io_loop_close(n->control);
    metric_registry_remove(&n->registry, &n->log_entity);
    log_close(n->log);
    mem_free(n->set_aside);
    for (uint32_t i = 0; i < n->worker_count; i++) worker_free(&n->workers[i]);
    free_list(&n->recovered, free_recovered);
    free_list(&n->placements, free_placement);
    store_env_close(n->store_env);
    meta_free(n->meta);
    meta_history_fini(&n->history);
    metric_registry_fini(&n->registry);
    mem_free(n);
}

/* ---- Looking ------------------------------------------------------------------------------------------------------ */

struct io_address node_address(const struct node *n)
{
    return n->address;
}

struct metric_registry *node_metrics(struct node *n)
{
    return &n->registry;
}
