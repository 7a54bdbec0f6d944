/* src/node/meta_cluster.c: the cluster as its operators see it: nodes, figures, the level of its
 * own activity (docs/meta.md, rules M28 to M31 and M39). */
#include <stdio.h>
#include <string.h>

#include "node/meta_service_impl.h"

/* ---- Addresses ------------------------------------------------------------------------------- */

struct rpc_address meta_address_of(const struct meta *m, uint64_t node_id)
{
    const struct meta_node *node = meta_node_by_id(m, node_id);
    if (node == NULL || node->port == 0) return (struct rpc_address){0};
    return (struct rpc_address){node->ipv4, node->port, true};
}

/* The host is the address again, as digits: whoever resolves it gets the same. */
struct host_port meta_host_port_of(const struct meta *m, uint64_t node_id, struct arena *arena)
{
    const struct meta_node *node = meta_node_by_id(m, node_id);
    char text[IO_ADDRESS_TEXT_SIZE];
    if (node == NULL || node->port == 0) return (struct host_port){0};
    io_address_print((struct io_address){node->ipv4, node->port}, text);
    size_t size = (size_t)(strrchr(text, ':') - text);
    void *host = arena_copy(arena, text, size);
    if (host == NULL) return (struct host_port){0};
    return (struct host_port){slice_of(host, size), node->port, true};
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static bool is_listed(const struct meta_node *node, int32_t wanted, bool is_alive)
{
    if (node->port == 0 || node->is_alive != is_alive) return false;
    return wanted == NS_INVALID || (wanted == NS_ALIVE) == is_alive;
}

/* Append the nodes that are alive, or those that are not. */
static void append_nodes(const struct meta *m, int32_t wanted, bool is_alive, struct arena *arena,
                         struct node_info_list *to)
{
    for (size_t i = 0; i < m->node_count; i++) {
        const struct meta_node *node = &m->nodes[i];
        if (!is_listed(node, wanted, is_alive)) continue;
        to->items[to->count++] = (struct node_info){
            .set = NODE_INFO_HAS_HP_NODE,
            .status = is_alive ? NS_ALIVE : NS_UNALIVE,
            .node = meta_address_of(m, node->id),
            .hp_node = meta_host_port_of(m, node->id, arena),
        };
    }
}

void meta_list_nodes(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct list_nodes_request *asked = args;
    const struct meta *m = s->node->meta;
    struct list_nodes_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    response.infos.items =
        arena_array(&request->arena, m->node_count + 1, sizeof *response.infos.items);
    if (response.infos.items == NULL) {
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
        return;
    }
    append_nodes(m, asked->status, true, &request->arena, &response.infos);
    append_nodes(m, asked->status, false, &request->arena, &response.infos);
    meta_reply(request, &response);
}

static void on_drained(struct meta_service *s, struct rpc_request *request, const void *args,
                       const struct meta_result *result)
{
    struct drain_response response = {.err = wire_error_name(result->err)};
    (void)s, (void)args;
    meta_reply(request, &response);
}

void meta_drain(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct drain_request *asked = args;
    struct meta_command drain = {
        .type = META_NODE_DRAIN,
        .node_drain = {.id = asked->node_id, .is_draining = asked->is_draining},
    };
    meta_propose(s, request, args, &drain, on_drained);
}

/* ---- Cluster info ---------------------------------------------------------------------------- */

static const char *level_name(int32_t level)
{
    switch (level) {
    case FL_STOPPED: return "stopped";
    case FL_BLIND: return "blind";
    case FL_FREEZED: return "freezed";
    case FL_STEADY: return "steady";
    default: return "lively";
    }
}

static uint64_t square_root(uint64_t n)
{
    uint64_t low = 0, high = UINT32_MAX;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        if (middle <= n / middle) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* How many partitions a node holds, as primary only or in all. */
static uint64_t holdings(const struct meta *m, uint64_t node_id, bool primaries_only)
{
    uint64_t count = 0;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (uint32_t p = 0; t->status == AS_AVAILABLE && p < t->partition_count; p++) {
            enum meta_role role = meta_partition_role(&t->partitions[p], node_id);
            count += role == META_ROLE_PRIMARY || (role == META_ROLE_SECONDARY && !primaries_only);
        }
    }
    return count;
}

/* How unevenly the alive nodes are loaded: the standard deviation, as text with two decimals. */
static void print_deviation(const struct meta *m, bool primaries_only, char *text, size_t size)
{
    uint64_t nodes = 0, sum = 0, squares = 0;
    for (size_t i = 0; i < m->node_count; i++) {
        if (!m->nodes[i].is_alive) continue;
        uint64_t count = holdings(m, m->nodes[i].id, primaries_only);
        nodes++;
        sum += count;
        squares += count * count;
    }
    uint64_t hundredths =
        nodes == 0 ? 0 : square_root((squares * nodes - sum * sum) * 10000 / (nodes * nodes));
    (void)snprintf(text, size, "%llu.%02llu", (unsigned long long)(hundredths / 100),
                   (unsigned long long)(hundredths % 100));
}

enum { INFO_KEYS_MAX = 9, INFO_VALUE_SIZE = 256 };

struct info {
    struct rpc_request *request;
    struct string_list keys, values;
};

static void add_info(struct info *info, const char *key, const char *value)
{
    void *copy = arena_copy(&info->request->arena, value, strlen(value));
    if (copy == NULL && value[0] != '\0') return;
    info->keys.items[info->keys.count++] = slice_str(key);
    info->values.items[info->values.count++] = slice_of(copy, strlen(value));
}

/* The keys and their order are Pegasus's: its tools print them as they come. There is no ZooKeeper:
 * who asks where it is wants to know where the metas are. */
void meta_cluster_info(struct meta_service *s, struct rpc_request *request, const void *args)
{
    (void)args;
    const struct meta *m = s->node->meta;
    struct info info = {.request = request};
    info.keys.items = arena_array(&request->arena, INFO_KEYS_MAX, sizeof(struct slice));
    info.values.items = arena_array(&request->arena, INFO_KEYS_MAX, sizeof(struct slice));
    if (info.keys.items == NULL || info.values.items == NULL) {
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
        return;
    }
    char text[INFO_VALUE_SIZE];
    add_info(&info, "meta_servers", s->node->advertised);
    add_info(&info, "primary_meta_server", s->node->advertised);
    add_info(&info, "zookeeper_hosts", s->node->advertised);
    (void)snprintf(text, sizeof text, "/pirene/%s", m->cluster_name);
    add_info(&info, "zookeeper_root", text);
    add_info(&info, "meta_function_level", level_name(s->level));
    add_info(&info, "balance_operation_count",
             "{\n  \"copy_pri\": 0,\n  \"copy_sec\": 0,\n  \"move_pri\": 0,\n  \"total\": 0\n}");
    print_deviation(m, true, text, sizeof text);
    add_info(&info, "primary_replica_count_stddev", text);
    print_deviation(m, false, text, sizeof text);
    add_info(&info, "total_replica_count_stddev", text);
    add_info(&info, "cluster_name", m->cluster_name);
    struct cluster_info_response response = {
        .err = wire_error_name(WIRE_ERR_OK), .keys = info.keys, .values = info.values};
    meta_reply(request, &response);
}

/* ---- Control --------------------------------------------------------------------------------- */

static bool is_level(int32_t level)
{
    return level == FL_STOPPED || level == FL_BLIND || level == FL_FREEZED || level == FL_STEADY ||
           level == FL_LIVELY;
}

void meta_control_meta(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct control_meta_request *asked = args;
    struct control_meta_response response = {
        .err = wire_error_name(WIRE_ERR_OK),
        .old_level = s->level,
    };
    if (is_level(asked->level)) {
        s->level = asked->level;
        meta_cure_sync(s);
    } else if (asked->level != FL_INVALID)
        response.err = wire_error_name(WIRE_ERR_INVALID_PARAMETERS);
    meta_reply(request, &response);
}

/* Failover, cure and drain decide who is member of what: wishes of others are refused. */
void meta_propose_balancer(struct meta_service *s, struct rpc_request *request, const void *args)
{
    (void)s, (void)args;
    meta_refuse(request, WIRE_ERR_INVALID_PARAMETERS);
}
