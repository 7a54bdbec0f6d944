/* src/node/meta_census.c: the cluster in figures (core/meta/census.h), for `pirene` alone: Pegasus's requests
 * know neither learners nor what a node holds. */
#include "core/meta/census.h"
#include "node/meta_service_impl.h"
#include "wire/messages_pirene.h"

static bool nodes_fill(const struct meta *m, struct arena *arena, struct census_node_list *to)
{
    struct census_held *held = arena_array(arena, m->node_count + 1, sizeof *held);
    to->items = arena_array(arena, m->node_count + 1, sizeof *to->items);
    if (held == NULL || to->items == NULL) return false;
    census_held(m, held);
    for (size_t i = 0; i < m->node_count; i++) {
        const struct meta_node *node = &m->nodes[i];
        if (node->port == 0) continue;
        to->items[to->count++] = (struct census_node){
            .node_id = (int64_t)node->id,
            .address = meta_address_of(m, node->id),
            .is_alive = node->is_alive,
            .primaries = (int32_t)held[i].primaries,
            .secondaries = (int32_t)held[i].secondaries,
            .learners = (int32_t)held[i].learners,
            .is_draining = node->is_draining,
            .stuck = (int32_t)held[i].stuck,
        };
    }
    return true;
}

static bool tables_fill(const struct meta *m, struct arena *arena, struct census_table_list *to)
{
    to->items = arena_array(arena, m->table_count + 1, sizeof *to->items);
    if (to->items == NULL) return false;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        if (t->status != AS_AVAILABLE) continue;
        const struct census_health health = census_health(m, t);
        to->items[to->count++] = (struct census_table){
            .app_id = t->id,
            .app_name = slice_str(t->name),
            .partitions = (int32_t)t->partition_count,
            .whole = (int32_t)health.whole,
            .lacking = (int32_t)health.lacking,
            .headless = (int32_t)health.headless,
            .learning = (int32_t)health.learning,
        };
    }
    return true;
}

static void append_learners(const struct meta *m, const struct meta_table *t,
                            struct census_learner_list *to)
{
    for (uint32_t i = 0; t->status == AS_AVAILABLE && i < t->partition_count; i++) {
        const uint64_t learner = t->partitions[i].learner;
        if (learner == 0) continue;
        to->items[to->count++] = (struct census_learner){.pid = {t->id, (int32_t)i},
                                                         .node = meta_address_of(m, learner)};
    }
}

static bool learners_fill(const struct meta *m, const struct census_table_list *tables,
                          struct arena *arena, struct census_learner_list *to)
{
    size_t count = 0;
    for (uint32_t i = 0; i < tables->count; i++) count += (size_t)tables->items[i].learning;
    to->items = arena_array(arena, count + 1, sizeof *to->items);
    if (to->items == NULL) return false;
    for (size_t i = 0; i < m->table_count; i++) append_learners(m, m->tables[i], to);
    return true;
}

void meta_census(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct meta *m = s->node->meta;
    struct arena *arena = &request->arena;
    struct census_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    (void)args;
    if (nodes_fill(m, arena, &response.nodes) && tables_fill(m, arena, &response.tables) &&
        learners_fill(m, &response.tables, arena, &response.learners))
        meta_reply(request, &response);
    else meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
}
