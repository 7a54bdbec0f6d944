/* src/node/meta_ddd.c: the partitions that nobody serves because all who hold them are dead; "DDD" in Pegasus's
 * tools (docs/meta.md, rule M31). They wait for their primary: it alone has all that was acknowledged. */
#include "node/meta_service_impl.h"

static bool is_headless(const struct meta *m, const struct meta_partition *p)
{
    const struct meta_node *primary = meta_node_by_id(m, p->primary);
    return primary == NULL || !primary->is_alive;
}

/* -1 stands for all tables, or for all partitions of one. */
static bool is_asked(struct gpid asked, const struct meta_table *t, uint32_t index)
{
    if (t->status != AS_AVAILABLE) return false;
    if (asked.app_id == -1) return true;
    return asked.app_id == t->id &&
           (asked.partition_index == -1 || asked.partition_index == (int32_t)index);
}

static void append_dropped(const struct meta *m, uint64_t node_id, struct arena *arena,
                           struct ddd_node_info_list *to)
{
    const struct meta_node *node = meta_node_by_id(m, node_id);
    if (node == NULL || node->port == 0) return;
    to->items[to->count++] = (struct ddd_node_info){
        .set = DDD_NODE_INFO_HAS_HP_NODE,
        .node = meta_address_of(m, node_id),
        .is_alive = node->is_alive,
        .hp_node = meta_host_port_of(m, node_id, arena),
    };
}

/* The primary last: it holds the most. False: no memory. */
static bool info_fill(const struct meta *m, const struct meta_table *t, uint32_t index,
                      struct arena *arena, struct ddd_partition_info *to)
{
    const struct meta_partition *p = &t->partitions[index];
    *to = (struct ddd_partition_info){
        .reason = slice_str("the last node that holds all of it is dead: start that again")};
    to->dropped.items = arena_array(arena, META_REPLICAS_MAX + 1, sizeof *to->dropped.items);
    if (to->dropped.items == NULL || !meta_place_fill(m, t, index, arena, &to->config))
        return false;
    for (size_t i = 0; i < p->last_drop_count; i++)
        append_dropped(m, p->last_drops[i], arena, &to->dropped);
    append_dropped(m, p->primary, arena, &to->dropped);
    return true;
}

/* Call with no place to write first: then they are only counted. */
static bool walk(const struct meta *m, struct gpid asked, struct arena *arena,
                 struct ddd_partition_info_list *to)
{
    to->count = 0;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; k < t->partition_count; k++) {
            if (!is_asked(asked, t, k) || !is_headless(m, &t->partitions[k])) continue;
            if (to->items != NULL && !info_fill(m, t, k, arena, &to->items[to->count]))
                return false;
            to->count++;
        }
    }
    return true;
}

void meta_ddd_diagnose(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct gpid asked = ((const struct ddd_diagnose_request *)args)->pid;
    const struct meta *m = s->node->meta;
    const struct meta_table *t = meta_table_by_id(m, asked.app_id);
    struct ddd_diagnose_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    struct ddd_partition_info_list *found = &response.partitions;
    if (asked.app_id != -1 && (t == NULL || t->status != AS_AVAILABLE)) {
        meta_refuse(request, WIRE_ERR_APP_NOT_EXIST);
        return;
    }
    (void)walk(m, asked, &request->arena, found);
    found->items = arena_array(&request->arena, found->count + 1, sizeof *found->items);
    if (found->items != NULL && walk(m, asked, &request->arena, found))
        meta_reply(request, &response);
    else meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
}
