/* src/rpc/cluster_table.c: a table: its route, which core/route decides about and this file asks
 * for, and the calls that follow it. */
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "rpc/cluster_impl.h"

enum {
    QUERY_MS_MAX = 2000,             /* Then the old route is used once more, if there is one. */
    QUERY_ARENA_SIZE_MAX = 64 << 20, /* Bytes: some 65536 partitions. */
    NAME_SIZE_MAX = 1024,
};

static void on_query_done(struct cluster_call *call, const struct rpc_answer *answer);
static void step(struct cluster_table *t, struct route_event event);

/* ---- Opening and closing --------------------------------------------------------------------- */

static struct cluster_table *find(const struct cluster *c, const char *name)
{
    LIST_EACH (it, &c->tables) {
        struct cluster_table *t = LIST_ENTRY(it, struct cluster_table, node);
        if (strcmp(t->name, name) == 0) return t;
    }
    return NULL;
}

static struct cluster_table *table_new(struct cluster *c, const char *name)
{
    struct cluster_table *t = mem_zalloc(sizeof *t);
    if (t == NULL) return NULL;
    t->name = mem_alloc(strlen(name) + 1);
    if (t->name == NULL) {
        mem_free(t);
        return NULL;
    }
    memcpy(t->name, name, strlen(name) + 1);
    t->cluster = c;
    route_init(&t->route, prng_next(&c->prng));
    list_init(&t->waiting);
    t->query.on_done = on_query_done;
    list_push_back(&c->tables, &t->node);
    return t;
}

int cluster_table_open(struct cluster *cluster, const char *name, struct cluster_table **out)
{
    size_t size = strlen(name);
    if (size == 0 || size > NAME_SIZE_MAX) return E_INVALID;
    struct cluster_table *t = find(cluster, name);
    if (t == NULL) t = table_new(cluster, name);
    if (t == NULL) return E_NOMEM;
    t->opened++;
    *out = t;
    return 0;
}

void table_free(struct cluster_table *t)
{
    route_fini(&t->route);
    mem_free(t->name);
    mem_free(t);
}

void cluster_table_close(struct cluster_table *table)
{
    struct cluster_table *t = table;
    if (t == NULL || --t->opened > 0) return;
    CHECK(list_is_empty(&t->waiting));
    cluster_call_cancel(&t->query);
    list_remove(&t->node);
    heap_remove(&t->cluster->alarms, &t->alarm);
    cluster_set_timer(t->cluster);
    table_free(t);
}

void cluster_table_view(const struct cluster_table *table, struct cluster_table_view *out)
{
    *out = (struct cluster_table_view){
        .app_id = table->route.app_id,
        .partition_count = table->route.count,
        .version = table->route.version,
    };
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static int find_target(struct cluster_call *call, uint32_t *index, struct route_target *target)
{
    const struct route *r = &call->table->route;
    *index = call->wanted_index;
    return call->is_by_key ? route_find_hash(r, call->hash, index, target)
                           : route_find(r, *index, target);
}

/* The try failed before it began, or ended without an answer, or with an error worth another
 * try. */
static void try_again(struct cluster_call *call, const struct rpc_answer *answer, bool may_be_done)
{
    if (answer->rc == E_CANCELED || (call->flags & CLUSTER_NO_RETRY) != 0) {
        call_end(call, answer);
        return;
    }
    if (may_be_done && !call_is_repeatable(call)) {
        MARK("call ended with its outcome unknown");
        call_end(call,
                 &(struct rpc_answer){.rc = E_UNKNOWN, .is_sent = true, .error = call->error});
        return;
    }
    call_pause(call);
}

static void misled(struct cluster_call *call, bool forgets_count)
{
    step(call->table, (struct route_event){.type = ROUTE_MISLED,
                                           .partition_index = (uint32_t)call->partition_index,
                                           .ballot = call->ballot,
                                           .forgets_count = forgets_count});
}

/* It never left. */
static void not_sent(struct cluster_call *call, int rc)
{
    bool is_ours = rc == E_NOMEM || rc == E_LIMIT; /* Another try would fail the same way. */
    if (!is_ours && rc != E_BUSY) misled(call, false);
    if (is_ours || (call->flags & CLUSTER_NO_RETRY) != 0) call_end_soon(call, rc);
    else call_pause(call);
}

void table_try(struct cluster_call *call)
{
    struct cluster_table *t = call->table;
    uint32_t index;
    struct route_target target;
    int rc = find_target(call, &index, &target);
    if (rc == E_AGAIN) {
        call_wait(call, &t->waiting);
        step(t, (struct route_event){.type = ROUTE_ASKED, .partition_index = index});
        return;
    }
    if (rc != 0) {
        call_end_soon(call, rc);
        return;
    }
    if (call->app_id_wanted != 0 && target.app_id != call->app_id_wanted) {
        call_end_soon(call, E_STATE);
        return;
    }
    call->partition_index = (int32_t)target.partition_index;
    call->ballot = target.ballot;
    struct io_address server = {.ipv4 = target.server.ipv4, .port = target.server.port};
    rc = call_send(call, server, target.app_id, call->partition_index, call->deadline_ms);
    if (rc != 0) not_sent(call, rc);
}

void table_answered(struct cluster_call *call, const struct rpc_answer *answer)
{
    enum route_verdict verdict = answer->rc == 0 ? route_judge(answer->error) : ROUTE_REFRESH;
    bool may_be_done = answer->rc == 0 ? route_outcome_is_unknown(answer->error) : answer->is_sent;
    if (verdict == ROUTE_REFRESH || verdict == ROUTE_FORGET) misled(call, verdict == ROUTE_FORGET);
    if (verdict == ROUTE_FINAL) call_end(call, answer);
    else try_again(call, answer, may_be_done);
}

/* Only asks: what is under way stays so until the metas name another server. */
void table_doubt(struct cluster_call *call)
{
    if ((call->flags & CLUSTER_NO_RETRY) != 0) return;
    step(call->table, (struct route_event){.type = ROUTE_DOUBTED,
                                           .partition_index = (uint32_t)call->partition_index});
}

/* The metas name another server for it, which would not be if the one that it was sent to could answer yet. */
static bool is_sent_in_vain(struct cluster_call *call)
{
    uint32_t index;
    struct route_target target;
    if ((call->flags & CLUSTER_NO_RETRY) != 0 || find_target(call, &index, &target) != 0)
        return false;
    return target.ballot > call->ballot &&
           (target.server.ipv4 != call->server.ipv4 || target.server.port != call->server.port);
}

static void give_up_in_vain(struct cluster_table *t)
{
    struct list_node *next;
    for (struct list_node *it = t->cluster->flying.next; it != &t->cluster->flying; it = next) {
        struct cluster_call *call = LIST_ENTRY(it, struct cluster_call, node);
        next = it->next;
        if (call->table != t || !is_sent_in_vain(call)) continue;
        MARK("another server serves while a call waits for the old one");
        if (call_is_repeatable(call)) call_pause(call);
        else call_end_soon(call, E_UNKNOWN);
    }
}

/* ---- The route ------------------------------------------------------------------------------- */

static void query(struct cluster_table *t, const struct route_effect *effect)
{
    for (uint32_t i = 0; i < effect->index_count; i++)
        t->query_indices[i] = (int32_t)effect->indices[i];
    t->query_args = (struct query_config_request){
        .app_name = slice_str(t->name),
        .partition_indices = {.items = t->query_indices, .count = effect->index_count},
    };
    t->query.rpc = RPC_QUERY_CONFIG;
    t->query.schema = &query_config_request_schema;
    t->query.args = &t->query_args;
    t->query.deadline_ms = cluster_now_ms(t->cluster) + QUERY_MS_MAX;
    cluster_call_meta(t->cluster, &t->query);
}

/* Let all that wait look again; those in vain wait again, in the same order. */
static void wake_all(struct cluster_table *t)
{
    struct list_node woken;
    list_init(&woken);
    list_splice_back(&woken, &t->waiting);
    while (!list_is_empty(&woken)) call_try(LIST_ENTRY(woken.next, struct cluster_call, node));
}

static void fail_all(struct cluster_table *t, enum wire_error error)
{
    bool is_absent = error == WIRE_ERR_OBJECT_NOT_FOUND || error == WIRE_ERR_APP_NOT_EXIST;
    while (!list_is_empty(&t->waiting)) {
        struct cluster_call *call = LIST_ENTRY(t->waiting.next, struct cluster_call, node);
        call->error = error;
        call_end_soon(call, is_absent ? E_NOTFOUND : 0);
    }
}

static void set_alarm(struct cluster_table *t)
{
    struct cluster *c = t->cluster;
    uint64_t at_ms = route_deadline_ms(&t->route);
    heap_remove(&c->alarms, &t->alarm);
    t->alarm = (struct heap_node){.key = at_ms};
    /* Without memory for an alarm the calls that wait run into their deadlines: they are told. */
    if (at_ms != UINT64_MAX && heap_push(&c->alarms, &t->alarm) != 0) fail_all(t, WIRE_ERR_UNKNOWN);
    cluster_set_timer(c);
}

static void step(struct cluster_table *t, struct route_event event)
{
    struct route_effects effects;
    event.now_ms = cluster_now_ms(t->cluster);
    route_step(&t->route, &event, &effects);
    set_alarm(t);
    for (size_t i = 0; i < effects.count; i++) {
        const struct route_effect *effect = &effects.items[i];
        switch (effect->type) {
        case ROUTE_DO_QUERY: query(t, effect); break;
        case ROUTE_DO_WAKE: wake_all(t); break;
        case ROUTE_DO_FAIL: fail_all(t, effect->error); break;
        }
    }
}

void table_tick(struct cluster_table *t)
{
    step(t, (struct route_event){.type = ROUTE_TICKED});
}

/* ---- What the metas answer ------------------------------------------------------------------- */

static struct route_server server_of(struct rpc_address address)
{
    return (struct route_server){.ipv4 = address.ipv4, .port = address.is_valid ? address.port : 0};
}

/* Partitions of the answer in the form that the route takes. */
static int read_partitions(const struct partition_configuration_list *from, struct arena *arena,
                           struct route_answer *to)
{
    struct route_answer_partition *partitions = arena_array(arena, from->count, sizeof *partitions);
    if (partitions == NULL && from->count > 0) return E_NOMEM;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct partition_configuration *p = &from->items[i];
        partitions[i] = (struct route_answer_partition){
            .index =
                (uint32_t)p->pid.partition_index, /* Negative: too large, and refused as such. */
            .ballot = p->ballot,
            .primary = server_of(p->primary),
        };
    }
    to->partitions = partitions;
    to->count = from->count;
    return 0;
}

static int read_answer(const struct rpc_answer *answer, struct arena *arena,
                       struct route_answer *to)
{
    struct query_config_response response;
    *to = (struct route_answer){.error = answer->error};
    if (answer->error != WIRE_ERR_OK) return 0;
    int rc = rpc_answer_read(answer, &query_config_response_schema, arena, &response);
    if (rc != 0) return rc;
    to->error = wire_error_find(response.err);
    to->app_id = response.app_id;
    to->partition_count = response.partition_count > 0 ? (uint32_t)response.partition_count : 0;
    return read_partitions(&response.partitions, arena, to);
}

static void on_query_done(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct cluster_table *t = LIST_ENTRY(call, struct cluster_table, query);
    struct arena arena = {.limit = QUERY_ARENA_SIZE_MAX};
    struct route_event event = {.type = ROUTE_FAILED};
    if (answer->rc == 0 && read_answer(answer, &arena, &event.answer) == 0)
        event.type = ROUTE_ANSWERED;
    step(t, event);
    arena_fini(&arena);
    if (event.type == ROUTE_ANSWERED) give_up_in_vain(t);
}
