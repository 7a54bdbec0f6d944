/* src/core/meta/place.c: which node holds what of a new table (docs/meta.md, rule M12).
 *
 * A partition takes, one after the other, the nodes that are least loaded: first by what they hold
 * of this table, so that each table is spread by itself, then by what they hold in all, then by id,
 * so that the choice is the same on every member of the meta group. */
#include "core/meta/load.h"
#include "core/meta/meta_impl.h"

static bool is_better_primary(const struct load *a, const struct load *b)
{
    if (a->primaries_here != b->primaries_here) return a->primaries_here < b->primaries_here;
    return a->primaries_everywhere < b->primaries_everywhere;
}

static bool is_better(const struct load *a, const struct load *b, bool as_primary)
{
    if (as_primary && is_better_primary(a, b)) return true;
    if (as_primary && is_better_primary(b, a)) return false;
    return load_is_less(a, b); /* Equal: the one before, which has the smaller id. */
}

/* The best node that the partition does not have yet, now taken. */
static uint64_t take_best(struct loads *loads, bool as_primary)
{
    struct load *best = NULL;
    for (size_t i = 0; i < loads->count; i++) {
        struct load *load = &loads->items[i];
        if (load->is_taken || load->is_draining) continue;
        if (best == NULL || is_better(load, best, as_primary)) best = load;
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
    struct loads loads;
    if (loads_init(&loads, m) != 0) return E_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct meta_partition *p = &partitions[i];
        *p = (struct meta_partition){.ballot = 1};
        for (size_t n = 0; n < loads.count; n++) loads.items[n].is_taken = false;
        p->primary = take_best(&loads, true);
        while (p->secondary_count + 1u < replica_count)
            p->secondaries[p->secondary_count++] = take_best(&loads, false);
    }
    loads_fini(&loads);
    return 0;
}
