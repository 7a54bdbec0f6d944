/* src/core/meta/census.c: see census.h. */
#include "core/meta/census.h"

#include "core/meta/meta_impl.h"

/* ---- What nodes hold ------------------------------------------------------------------------- */

/* NULL: nobody is called so. */
static struct census_held *held_by(const struct meta *m, struct census_held *held, uint64_t node_id)
{
    const struct meta_node *node = meta_node_by_id(m, node_id);
    return node != NULL ? &held[node - m->nodes] : NULL;
}

/* Is there somebody who stays and has no part in it yet? */
static bool has_successor(const struct meta *m, const struct meta_partition *p, size_t taking)
{
    const struct meta_node *primary = meta_node_by_id(m, p->primary);
    if (primary == NULL || !primary->is_alive) return false; /* There is nobody to copy. */
    if (p->secondary_count + 1 == META_REPLICAS_MAX) return false;
    taking -= meta_node_takes(primary);
    for (size_t i = 0; i < p->secondary_count; i++)
        taking -= meta_node_takes(meta_node_by_id(m, p->secondaries[i]));
    return taking > 0;
}

/* Its members that drain are to go, and none of them can. */
static bool is_stuck(const struct meta *m, const struct meta_table *t,
                     const struct meta_partition *p, size_t taking)
{
    return p->learner == 0 && p->secondary_count + 1 <= t->max_replica_count &&
           !has_successor(m, p, taking);
}

static void count_stuck(const struct meta *m, const struct meta_partition *p,
                        struct census_held *held)
{
    struct census_held *primary = held_by(m, held, p->primary);
    if (primary != NULL) primary->stuck += meta_node_by_id(m, p->primary)->is_draining;
    for (size_t i = 0; i < p->secondary_count; i++)
        held_by(m, held, p->secondaries[i])->stuck +=
            meta_node_by_id(m, p->secondaries[i])->is_draining;
}

static void count_partition(const struct meta *m, const struct meta_partition *p,
                            struct census_held *held)
{
    struct census_held *primary = held_by(m, held, p->primary);
    struct census_held *learner = held_by(m, held, p->learner);
    if (primary != NULL) primary->primaries++;
    if (learner != NULL) learner->learners++;
    for (size_t i = 0; i < p->secondary_count; i++)
        held_by(m, held, p->secondaries[i])->secondaries++;
}

void census_held(const struct meta *m, struct census_held *held)
{
    const size_t taking = meta_nodes_taking(m);
    memset(held, 0, m->node_count * sizeof *held);
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; t->status == AS_AVAILABLE && k < t->partition_count; k++) {
            count_partition(m, &t->partitions[k], held);
            if (is_stuck(m, t, &t->partitions[k], taking)) count_stuck(m, &t->partitions[k], held);
        }
    }
}

/* ---- How partitions are ---------------------------------------------------------------------- */

struct census_health census_health(const struct meta *m, const struct meta_table *t)
{
    struct census_health health = {0};
    for (uint32_t i = 0; i < t->partition_count; i++) {
        const struct meta_partition *p = &t->partitions[i];
        const struct meta_node *primary = meta_node_by_id(m, p->primary);
        if (primary == NULL || !primary->is_alive) health.headless++;
        else if (p->secondary_count + 1 < t->max_replica_count) health.lacking++;
        else health.whole++;
        health.learning += p->learner != 0;
    }
    return health;
}
