/* tests/rpc/fake_cluster.c: a cluster's outside, as thin as the stories allow. */
#include "rpc/fake_cluster.h"

#include "wire/messages.h"

static struct rpc_address address_of(const struct fake_cluster *f, int node)
{
    struct io_address address = f->nodes[node].server.address;
    return (struct rpc_address){.ipv4 = address.ipv4, .port = address.port, .is_valid = true};
}

/* ---- A meta ---------------------------------------------------------------------------------- */

static void redirect(struct fake_node *n, struct rpc_request *r)
{
    struct fake_cluster *f = n->cluster;
    struct rpc_address leader = address_of(f, f->leader);
    if (r->frame.kind == FRAME_RDSN) {
        struct bare_rpc_address body = {.value = leader};
        rpc_reply(r, WIRE_ERR_FORWARD_TO_OTHERS, f->tells_leader ? &bare_rpc_address_schema : NULL,
                  f->tells_leader ? &body : NULL);
        return;
    }
    struct partition_configuration only = {.primary = leader};
    struct query_config_response response = {
        .err = wire_error_name(WIRE_ERR_FORWARD_TO_OTHERS),
        .partitions = {.items = &only, .count = f->tells_leader ? 1 : 0}};
    rpc_reply(r, WIRE_ERR_OK, &query_config_response_schema, &response);
}

static void answer_error(struct rpc_request *r, enum wire_error error)
{
    struct query_config_response response = {.err = wire_error_name(error)};
    rpc_reply(r, WIRE_ERR_OK, &query_config_response_schema, &response);
}

static struct partition_configuration partition_of(const struct fake_cluster *f, uint32_t index)
{
    struct partition_configuration p = {
        .pid = {.app_id = f->app_id, .partition_index = (int32_t)index},
        .ballot = f->ballots[index],
    };
    if (p.ballot > 0) p.primary = address_of(f, f->primaries[index]);
    return p;
}

static void answer_query(struct fake_node *n, struct rpc_request *r)
{
    struct fake_cluster *f = n->cluster;
    struct query_config_request request;
    struct partition_configuration partitions[FAKE_PARTITIONS_MAX];
    n->queries++;
    if (n->index != f->leader) {
        redirect(n, r);
        return;
    }
    if (f->inactive_count > 0) {
        f->inactive_count--;
        answer_error(r, WIRE_ERR_SERVICE_NOT_ACTIVE);
        return;
    }
    if (thrift_read_args(r->frame.body, &query_config_request_schema, &request, &r->arena) != 0 ||
        !f->has_table || !slice_is(request.app_name, "temp")) {
        answer_error(r, WIRE_ERR_OBJECT_NOT_FOUND);
        return;
    }
    uint32_t asked = request.partition_indices.count;
    f->last_query_count = asked;
    uint32_t count = asked == 0 ? f->count : asked;
    for (uint32_t i = 0; i < count; i++)
        partitions[i] = partition_of(
            f, asked == 0 ? i : (uint32_t)request.partition_indices.items[i] % f->count);
    struct query_config_response response = {.err = wire_error_name(WIRE_ERR_OK),
                                             .app_id = f->app_id,
                                             .partition_count = (int32_t)f->count,
                                             .is_stateful = true,
                                             .partitions = {.items = partitions, .count = count}};
    rpc_reply(r, WIRE_ERR_OK, &query_config_response_schema, &response);
}

/* ---- A server -------------------------------------------------------------------------------- */

static enum wire_error admit(const struct fake_node *n, const struct frame_request *frame)
{
    const struct fake_cluster *f = n->cluster;
    uint32_t index = (uint32_t)frame->partition_index;
    if (frame->app_id != f->app_id || index >= f->true_count) return WIRE_ERR_OBJECT_NOT_FOUND;
    if ((frame->partition_hash & (f->true_count - 1)) != index)
        return WIRE_ERR_PARENT_PARTITION_MISUSED;
    return f->true_primaries[index] == n->index ? WIRE_ERR_OK : WIRE_ERR_INVALID_STATE;
}

/* The answer says which node gave it, as 'error' of a read and 'new_value' of an increment. */
static void answer_data(struct fake_node *n, struct rpc_request *r)
{
    bool is_get = r->frame.code == RPC_GET;
    if (is_get) n->gets++;
    else n->incrs++;
    enum wire_error error = n->manner == FAKE_SAYS ? n->error : admit(n, &r->frame);
    struct read_response read = {.error = n->index};
    struct incr_response incr = {.new_value = n->index};
    if (error != WIRE_ERR_OK) rpc_reply_error(r, error);
    else if (is_get) rpc_reply(r, WIRE_ERR_OK, &read_response_schema, &read);
    else rpc_reply(r, WIRE_ERR_OK, &incr_response_schema, &incr);
}

static void on_request(void *context, struct rpc_request *r)
{
    struct fake_node *n = context;
    if (n->manner == FAKE_SILENT && n->held_count < FAKE_HELD_MAX) n->held[n->held_count++] = r;
    else if (r->frame.code == RPC_QUERY_CONFIG) answer_query(n, r);
    else answer_data(n, r);
}

/* ---- The cluster ----------------------------------------------------------------------------- */

void fake_cluster_open(struct world *w, size_t node_count, struct fake_cluster *f)
{
    *f = (struct fake_cluster){
        .world = w,
        .node_count = node_count,
        .tells_leader = true,
        .has_table = true,
        .app_id = 2,
        .count = 4,
        .true_count = 4,
    };
    for (uint32_t i = 0; i < FAKE_PARTITIONS_MAX; i++) {
        f->ballots[i] = 1;
        f->primaries[i] = f->true_primaries[i] = (int)(i % node_count);
    }
    for (size_t i = 0; i < node_count; i++) {
        struct fake_node *n = &f->nodes[i];
        n->cluster = f;
        n->index = (int)i;
        n->server.on_request = on_request;
        n->server.context = n;
        test_server_open(w, &n->server);
    }
}

void fake_cluster_close(struct fake_cluster *f)
{
    for (size_t i = 0; i < f->node_count; i++) {
        struct fake_node *n = &f->nodes[i];
        for (size_t h = 0; h < n->held_count; h++) rpc_drop(n->held[h]);
        if (n->server.server != NULL) test_server_close(&n->server);
    }
}

void fake_cluster_move(struct fake_cluster *f, uint32_t partition, int node, bool is_told)
{
    f->true_primaries[partition] = node;
    if (!is_told) return;
    f->primaries[partition] = node;
    f->ballots[partition]++;
}
