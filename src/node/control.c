/* src/node/control.c: the control loop: what the meta group decides becomes what workers are told.
 *
 *     group --on_apply--> meta state --sync--> assignments --post--> workers
 *     streams --control_save--> proposals, one at a time, everything that waits in one
 *
 * Nothing here is on the data path. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/meta_service.h"
#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "control"};

enum { SNAPSHOT_EVERY = 4096 }; /* Commands of the group. */

/* ---- Proposing ---------------------------------------------------------------------------------------------- */

struct control_proposal {
    struct group_proposal group;
    struct node *node;
    void (*on_done)(void *context, int rc, const struct meta_result *result);
    void *context;
    struct list_node saves; /* Those that this carries. */
};

static void on_proposed(struct group_proposal *group, int rc, struct slice bytes)
{
    struct control_proposal *p = LIST_ENTRY(group, struct control_proposal, group);
    struct meta_result result = {0};
    if (rc == 0) rc = meta_result_read(bytes, &result);
    p->on_done(p->context, rc, &result);
    mem_free(p);
}

static void propose(struct control_proposal *p, const struct meta_command *command)
{
    struct buf bytes = {0};
    p->group.on_done = on_proposed;
    if (meta_command_write(command, &bytes) != 0) {
        p->on_done(p->context, E_NOMEM, NULL);
        mem_free(p);
    } else {
        group_propose(p->node->group, &p->group, buf_slice(&bytes));
    }
    buf_fini(&bytes);
}

void control_propose(struct node *n, const struct meta_command *command,
                     void (*on_done)(void *context, int rc, const struct meta_result *result),
                     void *context)
{
    struct control_proposal *p = mem_zalloc(sizeof *p);
    if (p == NULL || !n->is_group_open) {
        mem_free(p);
        on_done(context, p == NULL ? E_NOMEM : E_CANCELED, NULL);
        return;
    }
    p->node = n;
    p->on_done = on_done;
    p->context = context;
    propose(p, command);
}

/* ---- Progress of streams ---------------------------------------------------------------------------------------- */

static void propose_saves(struct node *n);

static void on_save_returned(struct io_post *post)
{
    struct control_save *save = LIST_ENTRY(post, struct control_save, post);
    save->on_saved(save);
}

static void saves_done(struct list_node *saves, int rc)
{
    for (struct list_node *it; (it = list_pop_front(saves)) != NULL;) {
        struct control_save *save = LIST_ENTRY(it, struct control_save, node);
        save->rc = rc;
        save->post.run = on_save_returned;
        io_post(save->loop, &save->post);
    }
}

static void on_saves_proposed(void *context, int rc, const struct meta_result *result)
{
    struct node *n = context;
    (void)result; /* Positions of what is gone meanwhile are ignored by the state machine. */
    struct control_proposal *p = n->saving;
    n->saving = NULL;
    saves_done(&p->saves, rc);
    if (rc == 0) propose_saves(n);
    else saves_done(&n->saves, rc); /* The streams come again with newer ones. */
}

static uint32_t list_count(const struct list_node *head)
{
    uint32_t count = 0;
    LIST_EACH (it, head) count++;
    return count;
}

/* All that waits, in one command. */
static void propose_saves(struct node *n)
{
    uint32_t count = list_count(&n->saves);
    if (n->saving != NULL || count == 0) return;
    struct meta_confirm *items = mem_alloc(count * sizeof *items);
    struct control_proposal *p = mem_zalloc(sizeof *p);
    if (items == NULL || p == NULL || !n->is_group_open) {
        mem_free(items);
        mem_free(p);
        saves_done(&n->saves, E_NOMEM);
        return;
    }
    uint32_t i = 0;
    LIST_EACH (it, &n->saves) items[i++] = LIST_ENTRY(it, struct control_save, node)->confirm;
    *p = (struct control_proposal){.node = n, .on_done = on_saves_proposed, .context = n};
    list_init(&p->saves);
    list_splice_back(&p->saves, &n->saves);
    n->saving = p;
    struct meta_command command = {
        .type = META_DUP_CONFIRM,
        .now_ms = io_now(n->io).wall_us / 1000,
        .dup_confirm.confirms = {items, count},
    };
    propose(p, &command);
    mem_free(items);
}

static void on_save_posted(struct io_post *post)
{
    struct control_save *save = LIST_ENTRY(post, struct control_save, post);
    struct node *n = save->owner;
    list_push_back(&n->saves, &save->node);
    propose_saves(n);
}

void control_save(struct node *n, struct control_save *save)
{
    save->owner = n;
    save->post.run = on_save_posted;
    list_init(&save->node);
    io_post(n->control, &save->post);
}

/* ---- The state becomes assignments --------------------------------------------------------------------------------- */

struct order { /* To a worker: be this, or drop it. */
    struct io_post post;
    struct worker *worker;
    struct gpid gpid;
    struct assignment *assigned; /* NULL: drop. */
};

static void on_order(struct io_post *post)
{
    struct order *o = LIST_ENTRY(post, struct order, post);
    if (o->assigned != NULL) worker_assign(o->worker, o->assigned);
    else worker_drop(o->worker, o->gpid);
    mem_free(o);
}

/* False: no memory; it is told with the next change. */
static bool order_send(struct node *n, struct gpid gpid, struct assignment *a)
{
    struct order *o = mem_zalloc(sizeof *o);
    if (o == NULL) {
        assignment_free(a);
        return false;
    }
    *o = (struct order){
        .post.run = on_order, .worker = node_owner(n, gpid), .gpid = gpid, .assigned = a};
    io_post(o->worker->loop, &o->post);
    return true;
}

static struct placement *placement_find(struct node *n, struct gpid gpid)
{
    LIST_EACH (it, &n->placements) {
        struct placement *p = LIST_ENTRY(it, struct placement, node);
        if (p->gpid.app_id == gpid.app_id && p->gpid.partition_index == gpid.partition_index)
            return p;
    }
    return NULL;
}

static struct placement *placement_new(struct node *n, struct gpid gpid)
{
    struct placement *p = mem_zalloc(sizeof *p);
    if (p == NULL) return NULL;
    p->gpid = gpid;
    p->owner = n;
    list_init(&p->node);
    list_push_back(&n->placements, &p->node);
    return p;
}

static void place(struct node *n, const struct meta_table *table, uint32_t index)
{
    struct gpid gpid = {table->id, (int32_t)index};
    struct placement *p = placement_find(n, gpid);
    if (p == NULL) p = placement_new(n, gpid);
    struct assignment *a = p != NULL ? assignment_new(n->meta, table, index) : NULL;
    if (a == NULL || !order_send(n, gpid, a)) {
        LOG_ERROR(&logger, "no memory to tell a worker", field_i64("table", table->id));
        return;
    }
    p->is_wanted = true;
    p->state = PLACED;
}

/* ---- Directories of tables that nobody can recall any more ---------------------------------------------------- */

static void sweep_run(struct io_work *work)
{
    const struct placement *p = LIST_ENTRY(work, struct placement, sweep);
    char dir[CONFIG_TEXT_SIZE + 64];
    node_replica_dir(p->owner, p->gpid, dir, sizeof dir);
    int rc = io_dir_remove(p->owner->io, dir);
    if (rc == 0) LOG_INFO(&logger, "directory of a purged table removed", field_str("dir", dir));
    else LOG_WARN(&logger, "directory not removed", field_str("dir", dir), field_code(rc));
}

static void sweep_done(struct io_work *work)
{
    struct placement *p = LIST_ENTRY(work, struct placement, sweep);
    list_remove(&p->node);
    mem_free(p);
}

static void sweep_if_purged(struct node *n, struct placement *p)
{
    if (p->state != CLOSED || n->is_closing || meta_table_by_id(n->meta, p->gpid.app_id) != NULL)
        return;
    p->state = SWEPT;
    p->sweep.run = sweep_run;
    p->sweep.done = sweep_done;
    io_work(n->control, &p->sweep);
}

struct dropped {
    struct io_post post;
    struct node *node;
    struct gpid gpid;
};

static void on_dropped(struct io_post *post)
{
    struct dropped *d = LIST_ENTRY(post, struct dropped, post);
    struct placement *p = placement_find(d->node, d->gpid);
    if (p != NULL && p->state == CLOSING) {
        p->state = CLOSED;
        sweep_if_purged(d->node, p);
    }
    mem_free(d);
}

void control_on_dropped(struct node *n, struct gpid gpid)
{
    struct dropped *d = mem_zalloc(sizeof *d);
    if (d == NULL) return; /* Its directory is looked at again after the next start. */
    *d = (struct dropped){.post.run = on_dropped, .node = n, .gpid = gpid};
    io_post(n->control, &d->post);
}

/* ---- Comparing ---------------------------------------------------------------------------------------------------- */

static bool is_about(int32_t changed_id, int32_t table_id)
{
    return changed_id == META_TABLE_ANY || changed_id == table_id;
}

static void drop_unwanted(struct node *n, int32_t changed_id)
{
    LIST_EACH (it, &n->placements) {
        struct placement *p = LIST_ENTRY(it, struct placement, node);
        if (!is_about(changed_id, p->gpid.app_id) || p->is_wanted) continue;
        if (p->state == PLACED && order_send(n, p->gpid, NULL)) p->state = CLOSING;
        sweep_if_purged(n, p);
    }
}

/* Tell the workers about a table that changed, or about all. */
static void control_sync(struct node *n, int32_t changed_id)
{
    if (!n->is_ready || n->is_closing || changed_id == META_TABLE_NONE) return;
    n->cluster_id = n->meta->cluster_id;
    LIST_EACH (it, &n->placements) LIST_ENTRY(it, struct placement, node)->is_wanted = false;
    for (size_t t = 0; t < n->meta->table_count; t++) {
        const struct meta_table *table = n->meta->tables[t];
        if (!is_about(changed_id, table->id) || table->status != AS_AVAILABLE) continue;
        for (uint32_t i = 0; i < table->partition_count; i++)
            if (meta_partition_role(&table->partitions[i], n->node_id) != META_ROLE_NONE)
                place(n, table, i);
    }
    drop_unwanted(n, changed_id);
}

/* ---- The group ------------------------------------------------------------------------------------------------------- */

static void on_apply(void *context, struct slice command, struct buf *result)
{
    struct node *n = context;
    size_t before = result->size;
    int rc = meta_apply(n->meta, command, result);
    if (rc != 0) {
        /* Not to apply what the others apply would be to lie from then on. */
        LOG_ERROR(&logger, "meta command cannot be applied", field_code(rc));
        CHECK(rc == 0);
    }
    struct meta_result read;
    rc = meta_result_read(slice_skip(buf_slice(result), before), &read);
    CHECK(rc == 0);
    control_sync(n, read.changed_id);
    if (n->service != NULL) meta_service_on_changed(n->service, read.changed_id);
}

static void on_snapshot(void *context, struct buf *out)
{
    struct node *n = context;
    if (meta_snapshot_write(n->meta, out) != 0) CHECK(out->failed); /* The group asks again. */
}

static int on_restore(void *context, struct slice snapshot)
{
    struct node *n = context;
    struct meta *fresh;
    int rc = meta_snapshot_read(snapshot, &fresh);
    if (rc != 0) return rc;
    meta_free(n->meta);
    n->meta = fresh;
    control_sync(n, META_TABLE_ANY);
    return 0;
}

static const struct group_handler group_handler = {
    .on_apply = on_apply,
    .on_snapshot = on_snapshot,
    .on_restore = on_restore,
    .on_leader = NULL,
};

/* ---- Requests ---------------------------------------------------------------------------------------------------------- */

static void on_hello(struct node *n, struct rpc_request *request)
{
    struct hello_response response = {
        .err = wire_error_name(n->is_ready ? WIRE_ERR_OK : WIRE_ERR_SERVICE_NOT_ACTIVE),
        .version = PIRENE_VERSION,
        .cluster_name = slice_str(n->meta->cluster_name),
        .cluster_id = n->meta->cluster_id,
        .cluster_uuid = (int64_t)n->meta->cluster_uuid,
        .wall_us = (int64_t)io_now(n->io).wall_us,
    };
    rpc_reply(request, WIRE_ERR_OK, &hello_response_schema, &response);
}

void control_on_request(struct node *n, struct rpc_request *request)
{
    if (request->frame.code == RPC_HELLO) on_hello(n, request);
    else if (n->service == NULL || n->is_closing)
        rpc_reply_error(request, WIRE_ERR_SERVICE_NOT_ACTIVE);
    else if (meta_service_serves(request->frame.code)) meta_service_on_request(n->service, request);
    else rpc_reply_error(request, WIRE_ERR_HANDLER_NOT_FOUND);
}

/* ---- Connections ----------------------------------------------------------------------------------------------------------- */

static void on_arrival(void *context, struct io_arrival *arrival, const uint8_t *magic)
{
    struct node *n = context;
    if (rpc_server_speaks(magic)) {
        rpc_server_accept(n->workers[n->next_worker].server, arrival);
        n->next_worker = (n->next_worker + 1) % n->worker_count;
    } else if (frame_protocol_of(slice_of(magic, IO_MAGIC_SIZE)) == FRAME_PROTOCOL_HTTP &&
               n->handler != NULL && n->handler->on_http != NULL) {
        n->handler->on_http(n->context, arrival);
    } else {
        io_arrival_close(arrival);
    }
}

static const struct io_listen_handler listen_handler = {.on_arrival = on_arrival};

/* ---- Starting --------------------------------------------------------------------------------------------------------------- */

static void failed(struct node *n, const struct err *e)
{
    LOG_ERROR(&logger, "cannot start", field_err(e));
    if (n->handler != NULL && n->handler->on_failed != NULL) n->handler->on_failed(n->context, e);
}

static void ready(struct node *n)
{
    n->is_ready = true;
    control_sync(n, META_TABLE_ANY);
    LOG_INFO(&logger, "serving", field_str("address", n->advertised),
             field_str("cluster", n->meta->cluster_name),
             field_u64("cluster_id", n->meta->cluster_id));
    if (n->handler != NULL && n->handler->on_ready != NULL) n->handler->on_ready(n->context);
}

static void on_joined(void *context, int rc, const struct meta_result *result)
{
    struct node *n = context;
    (void)result;
    struct err e = {0};
    if (rc == 0) {
        ready(n);
        return;
    }
    (void)err_set(&e, rc, "join the cluster: %s", err_text(rc));
    failed(n, &e);
}

static void join(struct node *n)
{
    struct meta_command command = {
        .type = META_NODE_JOIN,
        .now_ms = io_now(n->io).wall_us / 1000,
        .node_join = {.id = (int64_t)n->node_id,
                      .ipv4 = (int32_t)n->address.ipv4,
                      .port = n->address.port},
    };
    control_propose(n, &command, on_joined, n);
}

static void on_cluster_made(void *context, int rc, const struct meta_result *result)
{
    struct node *n = context;
    (void)result;
    if (rc == 0) join(n);
    else on_joined(n, rc, result);
}

/* The first start of the first node makes the cluster. An id that was not chosen is drawn: two clusters
 * that will be linked should differ, and mostly do; the handshake of a duplication checks it. */
static void make_cluster(struct node *n)
{
    uint64_t drawn = io_seed(n->io);
    struct meta_command command = {
        .type = META_CLUSTER_INIT,
        .now_ms = io_now(n->io).wall_us / 1000,
        .cluster_init = {.name = slice_str(n->config.cluster_name),
                         .cluster_id = n->config.cluster_id != 0
                                           ? n->config.cluster_id
                                           : (int32_t)(1 + drawn % META_CLUSTER_ID_MAX),
                         .uuid = (int64_t)(drawn >> 1 | 1)},
    };
    control_propose(n, &command, on_cluster_made, n);
}

static int start_group(struct node *n, struct err *e)
{
    char dir[CONFIG_TEXT_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/meta", n->config.data_dir);
    struct group_member self = {n->node_id, n->address};
    struct group_options options = {
        .dir = dir,
        .self_id = n->node_id,
        .members = &self,
        .member_count = 1,
        .snapshot_every = SNAPSHOT_EVERY,
    };
    int rc = group_open(n->control, &options, &group_handler, n, &n->group, e);
    n->is_group_open = rc == 0;
    return rc;
}

static int start_log(struct node *n, struct err *e)
{
    int rc = log_start(n->log);
    n->is_log_running = rc == 0;
    n->log_figures.log = n->log;
    metric_entity_init(&n->log_entity, &node_log_table, &n->log_figures);
    metric_registry_add(&n->registry, &n->log_entity);
    return rc == 0 ? 0 : err_set(e, rc, "start the log's writer: %s", err_text(rc));
}

static int start_workers(struct node *n, struct err *e)
{
    for (uint32_t i = 0; i < n->worker_count; i++) {
        int rc = worker_open(&n->workers[i], n, i);
        if (rc != 0) return err_set(e, rc, "worker %u: %s", i, err_text(rc));
    }
    return 0;
}

static int start_listener(struct node *n, struct err *e)
{
    int rc = io_listen(n->control, &n->address, &listen_handler, n, &n->listener);
    if (rc == E_EXISTS)
        return err_set(e, rc,
                       "listen at %s: the port is taken; stop what holds it, or choose "
                       "another with 'listen'",
                       n->config.listen);
    if (rc != 0) return err_set(e, rc, "listen at %s: %s", n->config.listen, err_text(rc));
    io_address_print(n->address, n->advertised);
    return 0;
}

struct start_worker {
    struct io_post post;
    struct worker *worker;
    struct list_node replicas; /* Those that recovery opened and that it owns. */
};

static void on_start_worker(struct io_post *post)
{
    struct start_worker *s = LIST_ENTRY(post, struct start_worker, post);
    worker_start(s->worker);
    for (struct list_node *it; (it = list_pop_front(&s->replicas)) != NULL;)
        replica_start(LIST_ENTRY(it, struct replica, node), s->worker);
    mem_free(s);
}

/* Give the recovered replicas to their workers. */
static int hand_over_replicas(struct node *n, struct err *e)
{
    struct start_worker *starts[NODE_WORKERS_MAX];
    for (uint32_t i = 0; i < n->worker_count; i++) {
        starts[i] = mem_zalloc(sizeof *starts[i]);
        if (starts[i] == NULL) return err_set(e, E_NOMEM, "start workers");
        starts[i]->worker = &n->workers[i];
        starts[i]->post.run = on_start_worker;
        list_init(&starts[i]->replicas);
    }
    for (struct list_node *it; (it = list_pop_front(&n->recovered)) != NULL;) {
        struct replica *r = LIST_ENTRY(it, struct replica, node);
        list_push_back(&starts[node_owner(n, r->gpid)->index]->replicas, &r->node);
    }
    for (uint32_t i = 0; i < n->worker_count; i++) io_post(n->workers[i].loop, &starts[i]->post);
    return 0;
}

/* Partitions that were opened by recovery but are no longer ours are dropped like any other. */
static void note_recovered(struct node *n)
{
    LIST_EACH (it, &n->recovered)
        if (placement_new(n, LIST_ENTRY(it, struct replica, node)->gpid) == NULL) return;
}

void control_start(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, start_post);
    struct err e = {0};
    note_recovered(n);
    int rc = start_listener(n, &e);
    if (rc == 0) rc = start_log(n, &e);
    if (rc == 0) rc = start_workers(n, &e);
    if (rc == 0) rc = hand_over_replicas(n, &e);
    if (rc == 0) rc = start_group(n, &e);
    if (rc == 0) rc = meta_service_open(n, &n->service, &e);
    if (rc != 0) {
        failed(n, &e);
        return;
    }
    if (n->meta->cluster_name[0] == '\0') make_cluster(n);
    else join(n);
}

/* ---- Stopping ---------------------------------------------------------------------------------------------------------------- */

static void part_closed(struct node *n);

static void on_group_closed(void *context)
{
    struct node *n = context;
    n->is_group_open = false;
    part_closed(n);
}

static void on_log_stopped(struct log_stop *stop)
{
    struct node *n = LIST_ENTRY(stop, struct node, log_stop);
    n->is_log_running = false;
    part_closed(n);
}

/* The workers first: their streams save what they know. Then the log, then the group. */
static void part_closed(struct node *n)
{
    if (--n->parts_open > 0) return;
    n->parts_open = 1;
    if (n->is_log_running) {
        n->log_stop = (struct log_stop){.loop = n->control, .on_stopped = on_log_stopped};
        log_stop(n->log, &n->log_stop);
    } else if (n->is_group_open) {
        group_close(n->group, on_group_closed, n);
    } else {
        LOG_INFO(&logger, "stopped");
        n->on_closed(n->closed_context);
    }
}

static void on_worker_closed_here(struct io_post *post)
{
    part_closed(LIST_ENTRY(post, struct worker, closed_post)->node);
}

static void on_worker_closed(struct worker *w)
{
    w->closed_post.run = on_worker_closed_here;
    io_post(w->node->control, &w->closed_post);
}

static void on_stop_worker(struct io_post *post)
{
    worker_stop(LIST_ENTRY(post, struct worker, stop_post), on_worker_closed);
}

static void on_service_closed(void *context)
{
    part_closed(context);
}

void control_stop(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, stop_post);
    n->is_closing = true;
    io_listener_close(n->listener);
    n->listener = NULL;
    n->parts_open = 1;
    if (n->service != NULL) {
        n->parts_open++;
        meta_service_close(n->service, on_service_closed, n);
        n->service = NULL;
    }
    for (uint32_t i = 0; i < n->worker_count; i++) {
        struct worker *w = &n->workers[i];
        if (w->server == NULL) continue; /* It never opened. */
        n->parts_open++;
        w->stop_post.run = on_stop_worker;
        io_post(w->loop, &w->stop_post);
    }
    part_closed(n);
}
