/* src/node/stream_route.c: two questions, one verdict (stream_route.h). */
#include "node/stream_route.h"

#include "base/check.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/stream.h"
#include "node/worker.h"

enum {
    ROUTE_DEADLINE_MS = 5000,
    REQUESTS_PER_LANE = 64, /* Over a long link a lane that is full makes the last write wait. */
};

/* ---- The verdict ------------------------------------------------------------------------------ */

static void tell_failed(struct stream *s, const struct route_verdict *verdict)
{
    struct dup_event event = {.type = verdict->is_another ? DUP_REPLACED : DUP_ROUTE_FAILED,
                              .epoch = s->route.epoch};
    event.failed.rc = verdict->rc;
    event.failed.why = verdict->why;
    stream_step(s, event);
}

static void tell_found(struct stream *s)
{
    const struct route_remote *remote = &s->route.met;
    struct dup_event event = {.type = DUP_ROUTED, .epoch = s->route.epoch};
    event.routed = (struct dup_remote){
        .partition_count = remote->partition_count,
        .cluster_id = remote->cluster_id,
        .request_size_max = remote->is_pirene ? 512 << 10 : 64 << 10,
        /* Pegasus does not compare timetags: one at a time keeps the order of a key's writes. */
        .requests_per_lane = remote->is_pirene ? REQUESTS_PER_LANE : 1,
        .takes_positions = remote->is_pirene,
    };
#ifdef MUT_last_write_waits_for_answers
    event.routed.requests_per_lane =
        1; /* Known mistake: what is under way holds back what follows. */
#endif
    stream_step(s, event);
}

/* When both have answered. What the cluster says of itself goes first: another one may have no such table
 * either. */
static void judge(struct stream *s)
{
    struct stream_route *r = &s->route;
    CHECK(r->answers_missing > 0);
    if (--r->answers_missing > 0) return;
    const struct route_verdict *verdict = r->on_cluster.rc != 0 ? &r->on_cluster : &r->on_table;
    if (verdict->rc != 0) {
        tell_failed(s, verdict);
        return;
    }
    r->met = r->found;
    tell_found(s);
}

/* Whoever answers is not whom the meta group noted (or, before it has, whom we met first): what is
 * confirmed says nothing about it (D13). */
static bool is_another(uint64_t noted, uint64_t met, uint64_t now)
{
    uint64_t known = noted != 0 ? noted : met;
    return known != 0 && known != now;
}

/* ---- Which table is it? ----------------------------------------------------------------------- */

static struct route_verdict judge_table(struct stream *s, const struct query_config_response *table)
{
    if (slice_is(table->err, "ERR_OBJECT_NOT_FOUND"))
        return (struct route_verdict){.rc = E_NOTFOUND, .why = "it does not exist"};
    if (!slice_is(table->err, "ERR_OK"))
        return (struct route_verdict){.rc = E_NOTFOUND, .why = "its metas refuse"};
    if (is_another((uint64_t)s->dup.remote_table_id, (uint64_t)s->route.met.table_id,
                   (uint64_t)table->app_id))
        return (struct route_verdict){
            .rc = E_STATE,
            .why = "it was dropped and made anew: remove this duplication and add it again",
            .is_another = true,
        };
    s->route.found.table_id = table->app_id;
    s->route.found.partition_count =
        table->partition_count > 0 ? (uint32_t)table->partition_count : 0;
    return (struct route_verdict){0};
}

static void on_config_done(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct stream *s = LIST_ENTRY(call, struct stream, route.config_call);
    struct arena arena = {0};
    struct query_config_response response;
    int rc = answer->rc;
    if (rc == 0 && answer->error != WIRE_ERR_OK) rc = E_STATE;
    if (rc == 0) rc = rpc_answer_read(answer, &query_config_response_schema, &arena, &response);
    if (rc == 0) s->route.on_table = judge_table(s, &response);
    else
        s->route.on_table = (struct route_verdict){
            .rc = rc,
            .why = rc == E_NOTFOUND ? "it does not exist" : "its metas do not answer",
        };
    arena_fini(&arena);
    judge(s);
}

/* ---- Which cluster is it? --------------------------------------------------------------------- */

/* 'cluster' is NULL when it did not greet back. */
static struct route_verdict judge_cluster(struct stream *s, const struct hello_response *cluster)
{
    struct route_remote *found = &s->route.found;
    found->is_pirene = cluster != NULL;
    found->uuid = cluster != NULL ? (uint64_t)cluster->cluster_uuid : 0;
    found->cluster_id = cluster != NULL ? (uint8_t)cluster->cluster_id : s->dup.remote_cluster_id;
    if (is_another(s->dup.remote_uuid, s->route.met.uuid, found->uuid))
        return (struct route_verdict){
            .rc = E_STATE,
            .why = "another cluster answers there: remove this duplication and add it again",
            .is_another = true,
        };
    if (found->is_pirene && found->cluster_id == s->replica->partition.cluster_id)
        return (struct route_verdict){
            .rc = E_INVALID, .why = "it has this cluster's own id: give each cluster its own"};
    return (struct route_verdict){0};
}

static void on_hello_done(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct stream *s = LIST_ENTRY(call, struct stream, route.hello_call);
    struct route_verdict *verdict = &s->route.on_cluster;
    struct arena arena = {0};
    struct hello_response response;
    if (answer->rc != 0)
        *verdict = (struct route_verdict){answer->rc, "its metas cannot be reached", false};
    else if (answer->error == WIRE_ERR_HANDLER_NOT_FOUND)
        *verdict = judge_cluster(s, NULL); /* Pegasus does not know the greeting. */
    else if (answer->error != WIRE_ERR_OK ||
             rpc_answer_read(answer, &hello_response_schema, &arena, &response) != 0 ||
             !slice_is(response.err, "ERR_OK")) /* It is starting, or ending. */
        *verdict = (struct route_verdict){E_STATE, "its metas do not serve", false};
    else *verdict = judge_cluster(s, &response);
    arena_fini(&arena);
    judge(s);
}

/* ---- Asking ----------------------------------------------------------------------------------- */

static void ask(struct stream *s, struct cluster_call *call, enum rpc_code rpc, const void *args,
                void (*on_done)(struct cluster_call *call, const struct rpc_answer *answer))
{
    call->rpc = rpc;
    call->schema = rpc_info(rpc)->request;
    call->args = args;
    call->flags = CLUSTER_NO_RETRY;
    call->deadline_ms = replica_now(s->replica).boot_ms + ROUTE_DEADLINE_MS;
    call->on_done = on_done;
    cluster_call_meta(s->remote->cluster, call);
}

void stream_route_find(struct stream *s, uint64_t epoch)
{
    const struct node *n = s->replica->worker->node;
    struct stream_route *r = &s->route;
    stream_route_cancel(s);
    r->epoch = epoch;
    r->found = (struct route_remote){0};
    r->answers_missing = 2;
    r->hello_args = (struct hello_request){
        .version = PIRENE_VERSION,
        .cluster_name = slice_str(n->config.cluster_name),
        .cluster_id = s->replica->partition.cluster_id,
    };
    /* The table's id and size come with any partition: one is enough. */
    r->config_args = (struct query_config_request){
        .app_name = slice_str(s->dup.remote_table),
        .partition_indices = {.items = &r->config_index, .count = 1},
    };
    ask(s, &r->hello_call, RPC_HELLO, &r->hello_args, on_hello_done);
    ask(s, &r->config_call, RPC_QUERY_CONFIG, &r->config_args, on_config_done);
}

void stream_route_cancel(struct stream *s)
{
    cluster_call_cancel(&s->route.hello_call);
    cluster_call_cancel(&s->route.config_call);
}
