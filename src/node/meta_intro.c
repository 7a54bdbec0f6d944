/* src/node/meta_intro.c: the first contact of a duplication with its remote cluster (docs/meta.md,
 * rules M19 to M21). The leader of the meta group does it, once for each duplication:
 *
 *     greet --> resolve: the group notes who is there ----> look: is the table there? --> advance:
 *       |       (or that it is not to go there)             |               ^             shipping
 *       | a Pegasus cluster does not greet back             v not yet       |             begins
 *       +----> its id is the config's, if any ------------> create ---------+
 *
 * Whatever cannot be reached is tried again, ever more slowly. */
#include <string.h>

#include "base/mem.h"
#include "node/meta_service_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "meta"};

enum { CALL_MS_MAX = 5000, PAUSE_MS_MIN = 100, PAUSE_MS_MAX = 5000 };

struct intro {
    struct list_node node; /* In the service. */
    struct meta_service *service;
    int32_t table_id, dup_id;
    bool is_wanted;  /* Found again while comparing with the state. */
    bool is_settled; /* Nothing more to do, or nothing more that helps. */
    bool is_ending;
    uint32_t busy; /* Proposals, and the cluster's closing. */
    uint32_t pause_ms;
    struct cluster *cluster; /* NULL: not in touch. */
    struct cluster_call call;
    struct buf body; /* Of the call. */
    struct io_timer timer;
};

static void greet(struct intro *i);
static void look(struct intro *i);

/* ---- What it is about ------------------------------------------------------------------------ */

static const struct meta_table *table_of(const struct intro *i)
{
    return meta_table_by_id(i->service->node->meta, i->table_id);
}

static const struct meta_dup *dup_of(const struct intro *i)
{
    const struct meta_table *t = table_of(i);
    return t != NULL ? meta_dup_by_id(t, i->dup_id) : NULL;
}

static bool needs_intro(const struct meta_dup *dup)
{
    return dup->status == DS_PREPARE || dup->remote_cluster_id == 0 || dup->remote_table_id == 0;
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static void intro_release(struct intro *i)
{
    if (--i->busy > 0 || !i->is_ending) return;
    struct meta_service *s = i->service;
    buf_fini(&i->body);
    mem_free(i);
    meta_service_release(s);
}

static void on_cluster_closed(void *context)
{
    intro_release(context);
}

static void hang_up(struct intro *i)
{
    io_timer_stop(&i->timer);
    if (i->cluster == NULL) return;
    cluster_call_cancel(&i->call);
    i->busy++;
    cluster_close(i->cluster, on_cluster_closed, i);
    i->cluster = NULL;
}

static void settle(struct intro *i)
{
    i->is_settled = true;
    hang_up(i);
}

static void intro_end(struct intro *i)
{
    list_remove(&i->node);
    i->busy++; /* Ours, for this function. */
    i->is_ending = true;
    hang_up(i);
    intro_release(i);
}

/* ---- Calling --------------------------------------------------------------------------------- */

static void on_timer(struct io_timer *timer)
{
    greet(LIST_ENTRY(timer, struct intro, timer));
}

static void try_later(struct intro *i)
{
    struct node *n = i->service->node;
    io_timer_start(n->control, &i->timer, io_now(n->io).boot_ms + i->pause_ms);
    i->pause_ms = i->pause_ms * 2 < PAUSE_MS_MAX ? i->pause_ms * 2 : PAUSE_MS_MAX;
}

static void write_body(const void *body, struct buf *to)
{
    buf_append_slice(to, buf_slice(body));
}

/* The arguments are written at once: what they borrow from may change while the call is under
 * way. */
static void call(struct intro *i, enum rpc_code rpc, const void *args, unsigned flags,
                 void (*on_done)(struct cluster_call *call, const struct rpc_answer *answer))
{
    buf_clear(&i->body);
    thrift_write_args(&i->body, THRIFT_ARGS_ID_RDSN, rpc_info(rpc)->request, args);
    if (buf_status(&i->body) != 0) {
        try_later(i);
        return;
    }
    i->call = (struct cluster_call){
        .rpc = rpc,
        .args = &i->body,
        .write = write_body,
        .deadline_ms = io_now(i->service->node->io).boot_ms + CALL_MS_MAX,
        .flags = flags,
        .on_done = on_done,
    };
    cluster_call_meta(i->cluster, &i->call);
}

static void propose(struct intro *i, struct meta_command *command,
                    void (*on_done)(void *context, int rc, const struct meta_result *result))
{
    command->now_ms = io_now(i->service->node->io).wall_us / 1000;
    i->busy++;
    control_propose(i->service->node, command, on_done, i);
}

/* ---- Greet and resolve ----------------------------------------------------------------------- */

static void on_resolved(void *context, int rc, const struct meta_result *result)
{
    struct intro *i = context;
    if (i->is_ending) {
        /* The answer comes too late. */
    } else if (rc != 0) {
        try_later(i);
    } else if (result->err != WIRE_ERR_OK) {
        LOG_WARN(&logger, "a duplication may not go where it is to go",
                 field_i64("table", i->table_id), field_i64("dup", i->dup_id),
                 field_slice("why", result->hint));
        settle(i);
    } else {
        look(i);
    }
    intro_release(i);
}

static void resolve(struct intro *i, struct slice name, int32_t id, int64_t uuid)
{
    struct meta_command command = {
        .type = META_DUP_RESOLVE,
        .dup_resolve = {.table_id = i->table_id,
                        .dup_id = i->dup_id,
                        .remote_cluster = name,
                        .remote_cluster_id = id,
                        .remote_uuid = uuid},
    };
    propose(i, &command, on_resolved);
}

/* Pegasus does not greet back: what the config says about it must do, and may be nothing. */
static void meet_pegasus(struct intro *i)
{
    const struct meta *m = i->service->node->meta;
    const struct meta_dup *dup = dup_of(i);
    for (size_t k = 0; dup != NULL && k < m->remote_count; k++) {
        const struct meta_remote *remote = &m->remotes[k];
        if (strcmp(remote->name, dup->remote_cluster) != 0 || remote->cluster_id == 0) continue;
        resolve(i, slice_str(remote->name), remote->cluster_id, 0);
        return;
    }
    look(i);
}

static void on_greeted(struct cluster_call *done, const struct rpc_answer *answer)
{
    struct intro *i = LIST_ENTRY(done, struct intro, call);
    struct arena arena = {0};
    struct hello_response response;
    if (answer->rc != 0) {
        try_later(i);
    } else if (answer->error == WIRE_ERR_HANDLER_NOT_FOUND) {
        meet_pegasus(i);
    } else if (answer->error != WIRE_ERR_OK ||
               rpc_answer_read(answer, &hello_response_schema, &arena, &response) != 0 ||
               !slice_is(response.err, "ERR_OK")) {
        try_later(i); /* It is starting, or ending. */
    } else {
        resolve(i, response.cluster_name, response.cluster_id, response.cluster_uuid);
    }
    arena_fini(&arena);
}

static void greet(struct intro *i)
{
    const struct meta *m = i->service->node->meta;
    struct hello_request hello = {
        .version = PIRENE_VERSION,
        .cluster_name = slice_str(m->cluster_name),
        .cluster_id = m->cluster_id,
    };
    call(i, RPC_HELLO, &hello, CLUSTER_NO_RETRY, on_greeted);
}

/* ---- The remote table ------------------------------------------------------------------------ */

static void on_advanced(void *context, int rc, const struct meta_result *result)
{
    struct intro *i = context;
    (void)result; /* That it advanced has been told by the state's change. */
    if (!i->is_ending && rc != 0) try_later(i);
    else if (!i->is_ending) settle(i);
    intro_release(i);
}

static void advance(struct intro *i, int32_t remote_table_id)
{
    struct meta_command command = {
        .type = META_DUP_ADVANCE,
        .dup_advance = {.table_id = i->table_id,
                        .dup_id = i->dup_id,
                        .remote_table_id = remote_table_id},
    };
    propose(i, &command, on_advanced);
}

static void on_created(struct cluster_call *done, const struct rpc_answer *answer)
{
    struct intro *i = LIST_ENTRY(done, struct intro, call);
    struct arena arena = {0};
    struct create_app_response response;
    bool is_read = answer->rc == 0 && answer->error == WIRE_ERR_OK &&
                   rpc_answer_read(answer, &create_app_response_schema, &arena, &response) == 0;
    if (is_read && (slice_is(response.err, "ERR_OK") || slice_is(response.err, "ERR_APP_EXIST"))) {
        look(i);
    } else {
        if (is_read)
            LOG_WARN(&logger, "the remote does not make the table", field_i64("table", i->table_id),
                     field_i64("dup", i->dup_id), field_slice("why", response.err));
        try_later(i);
    }
    arena_fini(&arena);
}

/* As the source is: the same partitions, the same environment. */
static void create(struct intro *i, const struct meta_table *t, const struct meta_dup *dup)
{
    struct arena arena = {0};
    struct create_app_request request = {
        .app_name = slice_str(dup->remote_table),
        .options = {.partition_count = (int32_t)t->partition_count,
                    .replica_count = dup->remote_replica_count,
                    .app_type = slice_str("pegasus"),
                    .is_stateful = true},
    };
    struct string_map *envs = &request.options.envs;
    envs->items = arena_array(&arena, t->env_count + 1, sizeof *envs->items);
    for (size_t k = 0; envs->items != NULL && k < t->env_count; k++)
        envs->items[envs->count++] =
            (struct string_pair){slice_str(t->envs[k].key), slice_str(t->envs[k].value)};
    call(i, RPC_CREATE_APP, &request, 0, on_created);
    arena_fini(&arena);
}

static void on_looked(struct cluster_call *done, const struct rpc_answer *answer)
{
    struct intro *i = LIST_ENTRY(done, struct intro, call);
    const struct meta_dup *dup = dup_of(i);
    struct arena arena = {0};
    struct query_config_response response;
    bool is_read = answer->rc == 0 && answer->error == WIRE_ERR_OK &&
                   rpc_answer_read(answer, &query_config_response_schema, &arena, &response) == 0;
    if (dup == NULL) settle(i);
    else if (is_read && slice_is(response.err, "ERR_OK")) advance(i, response.app_id);
    else if (dup->status == DS_PREPARE &&
             (answer->rc == E_NOTFOUND ||
              (is_read && slice_is(response.err, "ERR_OBJECT_NOT_FOUND"))))
        create(i, table_of(i), dup);
    else try_later(i);
    arena_fini(&arena);
}

static void look(struct intro *i)
{
    const struct meta_dup *dup = dup_of(i);
    if (dup == NULL || (dup->status != DS_PREPARE && dup->remote_table_id != 0)) {
        settle(i);
        return;
    }
    struct query_config_request request = {.app_name = slice_str(dup->remote_table)};
    call(i, RPC_QUERY_CONFIG, &request, 0, on_looked);
}

/* ---- Beginning ------------------------------------------------------------------------------- */

static void intro_begin(struct meta_service *s, const struct meta_table *t,
                        const struct meta_dup *dup)
{
    struct intro *i = mem_zalloc(sizeof *i);
    if (i == NULL) return; /* The next change of the state tries again. */
    *i = (struct intro){
        .service = s,
        .table_id = t->id,
        .dup_id = dup->id,
        .is_wanted = true,
        .pause_ms = PAUSE_MS_MIN,
        .timer.run = on_timer,
    };
    struct cluster_options options = {.metas = dup->remote_metas, .framing = FRAME_RDSN};
    if (cluster_open(s->node->control, &options, &i->cluster) != 0) {
        mem_free(i);
        return;
    }
    s->busy++;
    list_init(&i->node);
    list_push_back(&s->intros, &i->node);
    greet(i);
}

static struct intro *intro_find(struct meta_service *s, int32_t table_id, int32_t dup_id)
{
    LIST_EACH (it, &s->intros) {
        struct intro *i = LIST_ENTRY(it, struct intro, node);
        if (i->table_id == table_id && i->dup_id == dup_id) return i;
    }
    return NULL;
}

static void want(struct meta_service *s, const struct meta_table *t, const struct meta_dup *dup)
{
    struct intro *i = intro_find(s, t->id, dup->id);
    if (i != NULL) i->is_wanted = true;
    else intro_begin(s, t, dup);
}

static void end_unwanted(struct meta_service *s)
{
    struct list_node *next;
    for (struct list_node *it = s->intros.next; it != &s->intros; it = next) {
        struct intro *i = LIST_ENTRY(it, struct intro, node);
        next = it->next;
        if (!i->is_wanted) intro_end(i);
    }
}

void meta_intro_sync(struct meta_service *s)
{
    const struct meta *m = s->node->meta;
    bool is_ours = node_leads(s->node) && !s->is_closing;
    LIST_EACH (it, &s->intros) LIST_ENTRY(it, struct intro, node)->is_wanted = false;
    for (size_t i = 0; is_ours && i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (size_t k = 0; k < t->dup_count; k++) {
            if (needs_intro(&t->dups[k])) want(s, t, &t->dups[k]);
        }
    }
    end_unwanted(s);
}

void meta_intro_close_all(struct meta_service *s)
{
    LIST_EACH (it, &s->intros) LIST_ENTRY(it, struct intro, node)->is_wanted = false;
    end_unwanted(s);
}
