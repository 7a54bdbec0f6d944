/* src/core/meta/place.c: which node holds what (docs/meta.md, rules M12 and M13).
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

/* ---- New members of one partition ------------------------------------------------------------ */

static bool members_are_valid(const struct meta *m, const struct meta_partition_set *set)
{
    if (set->secondaries.count >= META_REPLICAS_MAX) return false;
    if (set->primary == 0 && set->secondaries.count > 0) return false; /* Nobody orders writes. */
    if (set->primary != 0 && meta_node_by_id(m, (uint64_t)set->primary) == NULL) return false;
    for (uint32_t i = 0; i < set->secondaries.count; i++) {
        int64_t id = set->secondaries.items[i];
        if (id == set->primary || meta_node_by_id(m, (uint64_t)id) == NULL) return false;
        for (uint32_t k = 0; k < i; k++) {
            if (set->secondaries.items[k] == id) return false;
        }
    }
    return true;
}

/* Remember a member that was lost: the newest at the end, the oldest forgotten. */
static void push_drop(struct meta_partition *p, uint64_t node_id)
{
    if (p->last_drop_count == META_REPLICAS_MAX) {
        memmove(p->last_drops, p->last_drops + 1, sizeof p->last_drops - sizeof p->last_drops[0]);
        p->last_drop_count--;
    }
    p->last_drops[p->last_drop_count++] = node_id;
}

static void forget_drop(struct meta_partition *p, uint64_t node_id)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->last_drop_count; i++) {
        if (p->last_drops[i] != node_id) p->last_drops[kept++] = p->last_drops[i];
    }
    memset(p->last_drops + kept, 0, (META_REPLICAS_MAX - kept) * sizeof p->last_drops[0]);
    p->last_drop_count = (uint8_t)kept;
}

static void set_members(struct meta_partition *p, const struct meta_partition_set *set)
{
    struct meta_partition before = *p;
    p->ballot++;
    p->primary = (uint64_t)set->primary;
    p->secondary_count = (uint8_t)set->secondaries.count;
    memset(p->secondaries, 0, sizeof p->secondaries);
    for (uint32_t i = 0; i < set->secondaries.count; i++)
        p->secondaries[i] = (uint64_t)set->secondaries.items[i];

    if (before.primary != 0 && meta_partition_role(p, before.primary) == META_ROLE_NONE)
        push_drop(p, before.primary);
    for (size_t i = 0; i < before.secondary_count; i++) {
        if (meta_partition_role(p, before.secondaries[i]) == META_ROLE_NONE)
            push_drop(p, before.secondaries[i]);
    }
    if (p->primary != 0) forget_drop(p, p->primary);
    for (size_t i = 0; i < p->secondary_count; i++) forget_drop(p, p->secondaries[i]);
}

int meta_on_partition_set(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_partition_set *set = &c->partition_set;
    struct meta_table *t = meta_table_find(m, set->table_id);
    if (t == NULL || t->status != AS_AVAILABLE) return outcome_refused(out, WIRE_ERR_APP_NOT_EXIST);
    if (set->partition < 0 || (uint32_t)set->partition >= t->partition_count)
        return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    struct meta_partition *p = &t->partitions[set->partition];
    if ((uint64_t)set->ballot != p->ballot + 1)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_VERSION, "the ballot is %llu",
                              (unsigned long long)p->ballot);
    if (!members_are_valid(m, set)) return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (outcome_ready(out) != 0) return E_NOMEM;

    set_members(p, set);
    out->result.table_id = out->result.changed_id = t->id;
    return 0;
}

/* A member that has started again may have lost what it was told last, and the others what it said. */
void meta_partitions_renew(struct meta *m, uint64_t node_id)
{
    for (size_t i = 0; i < m->table_count; i++) {
        struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; k < t->partition_count; k++) {
            struct meta_partition *p = &t->partitions[k];
            if (p->secondary_count > 0 && meta_partition_role(p, node_id) != META_ROLE_NONE)
                p->ballot++;
        }
    }
}
