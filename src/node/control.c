/* src/node/control.c: the control loop: starting and stopping the parts, connections, and requests for the
 * server itself.
 *
 *     control_join.c      how the node becomes part of its cluster, and hears of it
 *     control_propose.c   commands into the group, progress of streams
 *     control_place.c     the state becomes assignments
 *     control_compact.c   compactions that operators ask for
 *     meta_*.c            the meta role's rpcs
 *
 * Nothing here is on the data path. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/admin_service.h"
#include "node/leave.h"
#include "node/meta_service.h"
#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "control"};

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
    else if (admin_service_serves(request->frame.code)) admin_service_on_request(n, request);
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

void control_failed(struct node *n, const struct err *e)
{
    LOG_ERROR(&logger, "cannot start", field_err(e));
    if (n->handler != NULL && n->handler->on_failed != NULL) n->handler->on_failed(n->context, e);
}

/* Nobody is let in before there is somebody to answer: who asks too early is told no, and may believe it. */
static int start_listener(struct node *n, struct err *e)
{
    int rc = io_listen(n->control, &n->address, &listen_handler, n, &n->listener);
    if (rc == E_EXISTS)
        return err_set(e, rc,
                       "listen at %s: the port is taken; stop what holds it, or choose "
                       "another with 'listen'",
                       n->config.listen);
    return rc == 0 ? 0 : err_set(e, rc, "listen at %s: %s", n->config.listen, err_text(rc));
}

void control_ready(struct node *n)
{
    struct err e = {0};
    n->is_ready = true;
    lease_open(n);
    control_sync(n, META_TABLE_ANY);
    if (start_listener(n, &e) != 0) {
        control_failed(n, &e);
        return;
    }
    LOG_INFO(&logger, "serving", field_str("address", n->advertised),
             field_str("cluster", n->meta->cluster_name),
             field_u64("cluster_id", n->meta->cluster_id));
    if (n->handler != NULL && n->handler->on_ready != NULL) n->handler->on_ready(n->context, n);
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
    const uint32_t count = n->worker_count;
    for (uint32_t i = 0; i < count; i++) {
        starts[i] = mem_zalloc(sizeof *starts[i]);
        if (starts[i] == NULL) {
            while (i > 0) mem_free(starts[--i]);
            return err_set(e, E_NOMEM, "start workers");
        }
        starts[i]->worker = &n->workers[i];
        starts[i]->post.run = on_start_worker;
        list_init(&starts[i]->replicas);
    }
    for (struct list_node *it; (it = list_pop_front(&n->recovered)) != NULL;) {
        struct replica *r = LIST_ENTRY(it, struct replica, node);
        list_push_back(&starts[node_owner(n, r->gpid)->index]->replicas, &r->node);
    }
    for (uint32_t i = 0; i < count; i++) io_post(starts[i]->worker->loop, &starts[i]->post);
    return 0;
}

/* Partitions that were opened by recovery but are no longer ours are dropped like any other. */
static void note_recovered(struct node *n)
{
    LIST_EACH (it, &n->recovered)
        if (control_placement_new(n, LIST_ENTRY(it, struct replica, node)->gpid) == NULL) return;
}

void control_start(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, start_post);
    struct err e = {0};
    note_recovered(n);
    n->started_us = io_now(n->io).wall_us;
    int rc = start_log(n, &e);
    if (rc == 0) rc = start_workers(n, &e);
    if (rc == 0) rc = hand_over_replicas(n, &e);
    if (rc == 0) rc = control_join_open(n, &e);
    if (rc == 0) rc = meta_service_open(n, &n->service, &e);
    if (rc != 0) {
        control_failed(n, &e);
        return;
    }
    control_join(n);
}

/* ---- Stopping ---------------------------------------------------------------------------------------------------------------- */

static void part_closed(struct node *n);

static void on_left(void *context)
{
    part_closed(context);
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
    } else if (!control_leave(n, on_left)) {
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

static void stop_parts(struct node *n)
{
    n->is_closing = true;
    io_listener_close(n->listener);
    n->listener = NULL;
    io_timer_stop(&n->compact_timer);
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

void control_stop(struct io_post *post)
{
    leave_begin(LIST_ENTRY(post, struct node, stop_post), stop_parts);
}
