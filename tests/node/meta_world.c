/* tests/node/meta_world.c: see meta_world.h. It gives the functions that the service calls: of the
 * control loop, the group, the loop, the rpc server and the remote cluster. */
#include "meta_world.h"

#include <stdlib.h>

#include "base/mem.h"

/* A fake has no context to find its world by: there is one at a time. */
static struct meta_world *world;

/* ---- The group, by way of the control loop --------------------------------------------------- */

struct proposed {
    struct list_node node;
    struct buf command;
    struct group_proposal
        *group; /* Proposed straight to the group; NULL: by way of the control loop. */
    void (*on_done)(void *context, int rc, const struct meta_result *result);
    void *context;
};

void control_propose(struct node *n, const struct meta_command *command,
                     void (*on_done)(void *context, int rc, const struct meta_result *result),
                     void *context)
{
    struct proposed *p = mem_zalloc(sizeof *p);
    assert_ptr_equal(n, &world->node);
    assert_int_equal(meta_command_write(command, &p->command), 0);
    p->on_done = on_done;
    p->context = context;
    list_init(&p->node);
    list_push_back(&world->proposals, &p->node);
}

void group_propose(struct group *g, struct group_proposal *proposal, struct slice command)
{
    struct proposed *p = mem_zalloc(sizeof *p);
    assert_ptr_equal(g, world->node.group);
    buf_append_slice(&p->command, command);
    p->group = proposal;
    list_init(&p->node);
    list_push_back(&world->proposals, &p->node);
}

struct io_address follower_leader(const struct follower *f)
{
    assert_ptr_equal(f, world->node.follower);
    return world->leader;
}

int control_compact_progress(const struct node *n, const struct meta_table *table)
{
    assert_ptr_equal(n, &world->node);
    assert_non_null(table);
    return world->compact_percent;
}

bool group_is_leader(const struct group *g)
{
    (void)g;
    return world->is_leader;
}

static void apply(struct meta_world *w, struct slice command, struct buf *answer,
                  struct meta_result *result)
{
    assert_int_equal(meta_copy_apply(&w->node, command, answer, result), 0);
    meta_check(w->node.meta);
    if (w->node.service != NULL) meta_service_on_changed(w->node.service, result->changed_id);
}

void world_decide(struct meta_world *w, int rc)
{
    struct list_node *node;
    while ((node = list_pop_front(&w->proposals)) != NULL) {
        struct proposed *p = LIST_ENTRY(node, struct proposed, node);
        struct buf answer = {0};
        struct meta_result result = {0};
        if (rc == 0) apply(w, buf_slice(&p->command), &answer, &result);
        if (p->group != NULL) p->group->on_done(p->group, rc, buf_slice(&answer));
        else p->on_done(p->context, rc, &result);
        buf_fini(&answer);
        buf_fini(&p->command);
        mem_free(p);
    }
}

void world_command(struct meta_world *w, const struct meta_command *command)
{
    struct meta_command stamped = *command;
    struct buf bytes = {0}, answer = {0};
    struct meta_result result;
    stamped.now_ms = w->now.wall_us / 1000;
    assert_int_equal(meta_command_write(&stamped, &bytes), 0);
    apply(w, buf_slice(&bytes), &answer, &result);
    assert_int_equal(result.err, WIRE_ERR_OK);
    buf_fini(&bytes);
    buf_fini(&answer);
}

/* ---- The loop -------------------------------------------------------------------------------- */

struct now io_now(struct io *io)
{
    (void)io;
    return world->now;
}

void io_post(struct io_loop *loop, struct io_post *post)
{
    (void)loop;
    list_init(&post->node);
    list_push_back(&world->posts, &post->node);
}

void io_timer_start(struct io_loop *loop, struct io_timer *timer, uint64_t boot_ms)
{
    (void)loop;
    heap_remove(&world->timers, &timer->node);
    timer->node.key = boot_ms;
    assert_int_equal(heap_push(&world->timers, &timer->node), 0);
}

void io_timer_stop(struct io_timer *timer)
{
    heap_remove(&world->timers, &timer->node);
}

static void run_posts(struct meta_world *w)
{
    struct list_node *node;
    while ((node = list_pop_front(&w->posts)) != NULL) {
        struct io_post *post = LIST_ENTRY(node, struct io_post, node);
        post->run(post);
    }
}

/* ---- The rpc server -------------------------------------------------------------------------- */

static void answered(struct rpc_request *request, enum wire_error error)
{
    assert_ptr_equal(request, &world->request);
    assert_false(world->is_answered);
    world->is_answered = true;
    world->error = error;
}

void rpc_reply(struct rpc_request *request, enum wire_error error, const struct schema *schema,
               const void *result)
{
    answered(request, error);
    thrift_write_result(&world->reply, frame_dialect(request->frame.kind), schema, result);
    assert_int_equal(buf_status(&world->reply), 0);
    arena_fini(&request->arena); /* Whatever the service still had there is gone. */
}

void rpc_reply_error(struct rpc_request *request, enum wire_error error)
{
    answered(request, error);
    arena_fini(&request->arena);
}

/* ---- The remote cluster ---------------------------------------------------------------------- */

struct cluster {
    struct io_post post;
    void (*on_closed)(void *context);
    void *context;
};

int cluster_open(struct io_loop *loop, const struct cluster_options *options, struct cluster **out)
{
    (void)loop;
    *out = mem_zalloc(sizeof **out);
    (void)strcpy(world->metas, options->metas);
    world->clusters_open++;
    return 0;
}

static void on_cluster_closed(struct io_post *post)
{
    struct cluster *c = LIST_ENTRY(post, struct cluster, post);
    void (*on_closed)(void *context) = c->on_closed;
    void *context = c->context;
    world->clusters_open--;
    mem_free(c);
    on_closed(context);
}

void cluster_close(struct cluster *cluster, void (*on_closed)(void *context), void *context)
{
    cluster->on_closed = on_closed;
    cluster->context = context;
    cluster->post.run = on_cluster_closed;
    io_post(NULL, &cluster->post);
}

void cluster_call_meta(struct cluster *cluster, struct cluster_call *call)
{
    assert_null(world->call); /* One after the other. */
    call->cluster = cluster;
    world->call = call;
}

void cluster_call_cancel(struct cluster_call *call)
{
    if (world->call == call) world->call = NULL;
}

int rpc_answer_read(const struct rpc_answer *answer, const struct schema *schema,
                    struct arena *arena, void *result)
{
    return thrift_read_args(answer->body, schema, result, arena);
}

enum rpc_code world_called(const struct meta_world *w)
{
    return w->call != NULL ? w->call->rpc : RPC_UNKNOWN;
}

void world_answer(struct meta_world *w, int rc, enum wire_error error, const void *result)
{
    struct buf body = {0};
    struct cluster_call *call = w->call;
    assert_non_null(call);
    w->call = NULL;
    if (result != NULL)
        thrift_write_result(&body, THRIFT_FULL, rpc_info(call->rpc)->response, result);
    struct rpc_answer answer = {.rc = rc, .error = error, .body = buf_slice(&body)};
    call->on_done(call, &answer);
    buf_fini(&body);
}

/* ---- The world ------------------------------------------------------------------------------- */

struct meta_world *world_begin(void)
{
    struct meta_world *w = mem_zalloc(sizeof *w);
    world = w;
    w->now = (struct now){.boot_ms = 1000, .wall_us = WORLD_NOW_S * 1000000ull};
    w->is_leader = true;
    w->compact_percent = -1;
    list_init(&w->proposals);
    list_init(&w->posts);
    w->node.meta = meta_new();
    w->node.group = (struct group *)(void *)w; /* There is one: that is all that is asked of it. */
    meta_history_init(&w->node.history, 1 << 20);
    w->node.is_ready = true;
    w->node.node_id = 1;
    (void)strcpy(w->node.advertised, "10.0.0.1:34601");
    world_command(w, &(struct meta_command){
                         .type = META_CLUSTER_INIT,
                         .cluster_init = {slice_str("here"), .cluster_id = 1, .uuid = 111}});
    world_command(
        w, &(struct meta_command){.type = META_NODE_JOIN,
                                  .node_join = {.id = 1, .ipv4 = 0x0a000001, .port = 34601}});
    return w;
}

void world_open(struct meta_world *w)
{
    struct err e;
    assert_int_equal(meta_service_open(&w->node, &w->node.service, &e), 0);
    world_decide(w, 0);
}

static void on_service_closed(void *context)
{
    ((struct meta_world *)context)->is_closed = true;
}

void world_close(struct meta_world *w)
{
    meta_service_close(w->node.service, on_service_closed, w);
    w->node.service = NULL;
}

void world_end(struct meta_world *w)
{
    if (w->node.service != NULL) world_close(w);
    world_decide(w, E_CANCELED);
    run_posts(w);
    assert_true(w->is_closed);
    assert_int_equal(w->clusters_open, 0);
    assert_null(w->call);
    assert_null(heap_top(&w->timers));
    heap_fini(&w->timers);
    meta_free(w->node.meta);
    meta_history_fini(&w->node.history);
    arena_fini(&w->request.arena);
    arena_fini(&w->arena);
    buf_fini(&w->body);
    buf_fini(&w->reply);
    mem_free(w);
    world = NULL;
}

void world_create(struct meta_world *w, const char *name, int32_t partitions)
{
    world_command(w, &(struct meta_command){.type = META_TABLE_CREATE,
                                            .table_create = {.name = slice_str(name),
                                                             .partition_count = partitions,
                                                             .replica_count = 1}});
}

void world_ask_only(struct meta_world *w, enum rpc_code code, enum frame_kind kind,
                    const void *args)
{
    arena_fini(&w->request.arena);
    buf_clear(&w->body);
    buf_clear(&w->reply);
    w->is_answered = false;
    thrift_write_args(&w->body, frame_args_id(kind), rpc_info(code)->request, args);
    w->request =
        (struct rpc_request){.frame = {.kind = kind, .code = code, .body = buf_slice(&w->body)}};
    meta_service_on_request(w->node.service, &w->request);
}

void world_ask(struct meta_world *w, enum rpc_code code, enum frame_kind kind, const void *args)
{
    world_ask_only(w, code, kind, args);
    world_decide(w, 0);
    assert_true(w->is_answered);
}

struct slice world_reply(struct meta_world *w, void *out)
{
    struct meta_response *response = out;
    assert_true(w->is_answered);
    assert_int_equal(w->error, WIRE_ERR_OK);
    arena_fini(&w->arena);
    const struct schema *schema = rpc_info(w->request.frame.code)->response;
    assert_int_equal(thrift_read_args(buf_slice(&w->reply), schema, out, &w->arena), 0);
    return response->err;
}

struct slice world_replied(struct meta_world *w)
{
    static _Alignas(16) uint8_t any[1024];
    assert_true(rpc_info(w->request.frame.code)->response->size <= sizeof any);
    return world_reply(w, any);
}

static void set_time(struct meta_world *w, uint64_t boot_ms)
{
    w->now.wall_us += (boot_ms - w->now.boot_ms) * 1000;
    w->now.boot_ms = boot_ms;
}

void world_pass_ms(struct meta_world *w, uint64_t ms)
{
    uint64_t end_ms = w->now.boot_ms + ms;
    struct heap_node *node;
    run_posts(w);
    while ((node = heap_top(&w->timers)) != NULL && node->key <= end_ms) {
        struct io_timer *timer = HEAP_ENTRY(node, struct io_timer, node);
        set_time(w, node->key > w->now.boot_ms ? node->key : w->now.boot_ms);
        heap_remove(&w->timers, node);
        timer->run(timer);
        world_decide(w, 0);
        run_posts(w);
    }
    set_time(w, end_ms);
}
