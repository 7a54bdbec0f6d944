/* src/core/meta/place.c: which node holds what of a new table (docs/meta.md, rule M12).
 *
 * A partition takes, one after the other, the nodes that are least loaded: first by what they hold
 * of this table, so that each table is spread by itself, then by what they hold in all, then by id,
 * so that the choice is the same on every member of the meta group. */
#include "core/meta/meta_impl.h"

struct load {
    uint64_t node_id;
    uint32_t here, everywhere; /* Replicas, primaries included. */
    uint32_t primaries_here, primaries_everywhere;
    bool is_taken; /* By the partition under way. */
};

static struct load *load_of(struct load *loads, size_t count, uint64_t node_id)
{
    for (size_t i = 0; i < count; i++) {
        if (loads[i].node_id == node_id) return &loads[i];
    }
    return NULL; /* Dead: it takes nothing new. */
}

static void count_partition(struct load *loads, size_t count, const struct meta_partition *p)
{
    struct load *load = load_of(loads, count, p->primary);
    if (load != NULL) {
        load->everywhere++;
        load->primaries_everywhere++;
    }
    for (size_t i = 0; i < p->secondary_count; i++) {
        load = load_of(loads, count, p->secondaries[i]);
        if (load != NULL) load->everywhere++;
    }
}

/* The alive nodes and what they hold. Gives an array, or NULL when there is no memory. */
static struct load *loads_now(const struct meta *m, size_t *count)
{
    struct load *loads = mem_zalloc((m->node_count + 1) * sizeof *loads);
    if (loads == NULL) return NULL;
    *count = 0;
    for (size_t i = 0; i < m->node_count; i++) {
        if (m->nodes[i].is_alive) loads[(*count)++].node_id = m->nodes[i].id;
    }
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        if (t->status != AS_AVAILABLE) continue;
        for (uint32_t p = 0; p < t->partition_count; p++)
            count_partition(loads, *count, &t->partitions[p]);
    }
    return loads;
}

static bool is_better_primary(const struct load *a, const struct load *b)
{
    if (a->primaries_here != b->primaries_here) return a->primaries_here < b->primaries_here;
    return a->primaries_everywhere < b->primaries_everywhere;
}

static bool is_better(const struct load *a, const struct load *b, bool as_primary)
{
    if (as_primary && is_better_primary(a, b)) return true;
    if (as_primary && is_better_primary(b, a)) return false;
    if (a->here != b->here) return a->here < b->here;
    return a->everywhere < b->everywhere; /* Equal: the one before, which has the smaller id. */
}

/* The best node that the partition does not have yet, now taken. */
static uint64_t take_best(struct load *loads, size_t count, bool as_primary)
{
    struct load *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (loads[i].is_taken) continue;
        if (best == NULL || is_better(&loads[i], best, as_primary)) best = &loads[i];
    }
    CHECK(best != NULL); /* The caller counted the nodes. */
    best->is_taken = true;
    best->here++;
    best->everywhere++;
    best->primaries_here += as_primary;
    best->primaries_everywhere += as_primary;
    return best->node_id;
}

int meta_place(const struct meta *m, struct meta_partition *partitions, uint32_t count,
               uint32_t replica_count)
{
    size_t node_count;
    struct load *loads = loads_now(m, &node_count);
    if (loads == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct meta_partition *p = &partitions[i];
        *p = (struct meta_partition){.ballot = 1};
        for (size_t n = 0; n < node_count; n++) loads[n].is_taken = false;
        p->primary = take_best(loads, node_count, true);
        while (p->secondary_count + 1u < replica_count)
            p->secondaries[p->secondary_count++] = take_best(loads, node_count, false);
    }
    mem_free(loads);
    return 0;
}
