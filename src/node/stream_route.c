/* src/node/stream_route.c: the greeting, then the table (stream_route.h). */
#include "node/stream_route.h"

#include "node/node_impl.h"
#include "node/replica.h"
#include "node/stream.h"
#include "node/worker.h"

enum {
    ROUTE_DEADLINE_MS = 5000,
    REQUESTS_PER_LANE = 64, /* Over a long link a lane that is full makes the last write wait. */
};

static void route_failed(struct stream *s, int rc, const char *why)
{
    struct dup_event event = {.type = DUP_ROUTE_FAILED, .epoch = s->route.epoch};
    event.failed.rc = rc;
    event.failed.why = why;
    stream_step(s, event);
}

static void replaced(struct stream *s, const char *why)
{
    struct dup_event event = {.type = DUP_REPLACED, .epoch = s->route.epoch};
    event.failed.rc = E_STATE;
    event.failed.why = why;
    stream_step(s, event);
}

static void route_found(struct stream *s, uint32_t partition_count)
{
    struct dup_event event = {.type = DUP_ROUTED, .epoch = s->route.epoch};
    event.routed = (struct dup_remote){
        .partition_count = partition_count,
        .cluster_id = s->route.cluster_id,
        .request_size_max = s->route.is_pirene ? 512 << 10 : 64 << 10,
        /* Pegasus does not compare timetags: one at a time keeps the order of a key's writes. */
        .requests_per_lane = s->route.is_pirene ? REQUESTS_PER_LANE : 1,
        .takes_positions = s->route.is_pirene,
    };
#ifdef MUT_last_write_waits_for_answers
    event.routed.requests_per_lane =
        1; /* Known mistake: what is under way holds back what follows. */
#endif
    stream_step(s, event);
}

/* Whoever answers is not whom the meta group noted (or, before it has, whom we met first): what is
 * confirmed says nothing about it (D13). */
static bool is_another(uint64_t noted, uint64_t met, uint64_t now)
{
    uint64_t known = noted != 0 ? noted : met;
    return known != 0 && known != now;
}

static void on_config_done(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct stream *s = LIST_ENTRY(call, struct stream, route.config_call);
    struct arena arena = {0};
    struct query_config_response response;
    int rc = answer->rc;
    if (rc == 0 && answer->error != WIRE_ERR_OK) rc = E_STATE;
    if (rc == 0) rc = rpc_answer_read(answer, &query_config_response_schema, &arena, &response);
    if (rc != 0) {
        route_failed(s, rc, rc == E_NOTFOUND ? "it does not exist" : "its metas do not answer");
    } else if (!slice_is(response.err, "ERR_OK")) {
        route_failed(s, E_NOTFOUND,
                     slice_is(response.err, "ERR_OBJECT_NOT_FOUND") ? "it does not exist"
                                                                    : "its metas refuse");
    } else if (is_another((uint64_t)s->dup.remote_table_id, (uint64_t)s->route.table_id,
                          (uint64_t)response.app_id)) {
        replaced(s, "it was dropped and made anew: remove this duplication and add it again");
    } else {
        s->route.table_id = response.app_id;
        route_found(s, response.partition_count > 0 ? (uint32_t)response.partition_count : 0);
    }
    arena_fini(&arena);
}

static void ask_config(struct stream *s)
{
    s->route.config_args = (struct query_config_request){.app_name = slice_str(s->dup.remote_table)};
    s->route.config_call.rpc = RPC_QUERY_CONFIG;
    s->route.config_call.schema = &query_config_request_schema;
    s->route.config_call.args = &s->route.config_args;
    s->route.config_call.flags = CLUSTER_NO_RETRY;
    s->route.config_call.deadline_ms = replica_now(s->replica).boot_ms + ROUTE_DEADLINE_MS;
    s->route.config_call.on_done = on_config_done;
    cluster_call_meta(s->remote->cluster, &s->route.config_call);
}

static void on_greeted(struct stream *s, const struct hello_response *response)
{
    uint64_t uuid = response != NULL ? (uint64_t)response->cluster_uuid : 0;
    if (is_another(s->dup.remote_uuid, s->route.uuid, uuid)) {
        replaced(s, "another cluster answers there: remove this duplication and add it again");
        return;
    }
    s->route.is_pirene = response != NULL;
    s->route.uuid = uuid;
    s->route.cluster_id =
        response != NULL ? (uint8_t)response->cluster_id : s->dup.remote_cluster_id;
    if (s->route.is_pirene && s->route.cluster_id == s->replica->worker->node->cluster_id)
        route_failed(s, E_INVALID, "it has this cluster's own id: give each cluster its own");
    else ask_config(s);
}

static void on_hello_done(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct stream *s = LIST_ENTRY(call, struct stream, route.hello_call);
    struct arena arena = {0};
    struct hello_response response;
    if (answer->rc != 0) {
        route_failed(s, answer->rc, "its metas cannot be reached");
    } else if (answer->error == WIRE_ERR_HANDLER_NOT_FOUND) {
        on_greeted(s, NULL); /* Pegasus does not know the greeting. */
    } else if (answer->error != WIRE_ERR_OK ||
               rpc_answer_read(answer, &hello_response_schema, &arena, &response) != 0 ||
               !slice_is(response.err, "ERR_OK")) {
        route_failed(s, E_STATE, "its metas do not serve"); /* It is starting, or ending. */
    } else {
        on_greeted(s, &response);
    }
    arena_fini(&arena);
}

void stream_route_find(struct stream *s, uint64_t epoch)
{
    const struct node *n = s->replica->worker->node;
    stream_route_cancel(s);
    s->route.epoch = epoch;
    s->route.hello_args = (struct hello_request){
        .version = PIRENE_VERSION,
        .cluster_name = slice_str(n->config.cluster_name),
        .cluster_id = n->cluster_id,
    };
    s->route.hello_call.rpc = RPC_HELLO;
    s->route.hello_call.schema = &hello_request_schema;
    s->route.hello_call.args = &s->route.hello_args;
    s->route.hello_call.flags = CLUSTER_NO_RETRY;
    s->route.hello_call.deadline_ms = replica_now(s->replica).boot_ms + ROUTE_DEADLINE_MS;
    s->route.hello_call.on_done = on_hello_done;
    cluster_call_meta(s->remote->cluster, &s->route.hello_call);
}

void stream_route_cancel(struct stream *s)
{
    cluster_call_cancel(&s->route.hello_call);
    cluster_call_cancel(&s->route.config_call);
}
