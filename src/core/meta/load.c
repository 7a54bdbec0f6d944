/* src/core/meta/load.c: see load.h. */
#include "core/meta/load.h"

#include "core/meta/meta_impl.h"

/* Call 'count' with each node of a partition that is alive. */
typedef void load_count(struct load *load, enum meta_role role);

static void count_one(struct loads *loads, uint64_t node_id, enum meta_role role, load_count *count)
{
    struct load *load = loads_of(loads, node_id);
    if (load != NULL) count(load, role);
}

static void count_table(struct loads *loads, const struct meta_table *t, load_count *count)
{
    for (uint32_t i = 0; i < t->partition_count; i++) {
        const struct meta_partition *p = &t->partitions[i];
        count_one(loads, p->primary, META_ROLE_PRIMARY, count);
        for (size_t k = 0; k < p->secondary_count; k++)
            count_one(loads, p->secondaries[k], META_ROLE_SECONDARY, count);
        count_one(loads, p->learner, META_ROLE_LEARNER, count);
    }
}

static void count_everywhere(struct load *load, enum meta_role role)
{
    load->everywhere++;
    load->primaries_everywhere += role == META_ROLE_PRIMARY;
    load->learners += role == META_ROLE_LEARNER;
}

static void count_here(struct load *load, enum meta_role role)
{
    load->here++;
    load->primaries_here += role == META_ROLE_PRIMARY;
}

int loads_init(struct loads *loads, const struct meta *m)
{
    struct load *items = mem_zalloc((m->node_count + 1) * sizeof *items);
    if (items == NULL) return E_NOMEM;
    *loads = (struct loads){.items = items};
    for (size_t i = 0; i < m->node_count; i++) {
        const struct meta_node *node = &m->nodes[i];
        if (node->is_alive)
            items[loads->count++] =
                (struct load){.node_id = node->id, .is_draining = node->is_draining};
    }
    for (size_t i = 0; i < m->table_count; i++) {
        if (m->tables[i]->status == AS_AVAILABLE)
            count_table(loads, m->tables[i], count_everywhere);
    }
    return 0;
}

void loads_fini(struct loads *loads)
{
    mem_free(loads->items);
    *loads = (struct loads){0};
}

struct load *loads_of(const struct loads *loads, uint64_t node_id)
{
    size_t low = 0, high = loads->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (loads->items[middle].node_id < node_id) low = middle + 1;
        else high = middle;
    }
    return low < loads->count && loads->items[low].node_id == node_id ? &loads->items[low] : NULL;
}

void loads_count_here(struct loads *loads, const struct meta_table *t)
{
    for (size_t i = 0; i < loads->count; i++) {
        loads->items[i].here = 0;
        loads->items[i].primaries_here = 0;
    }
    count_table(loads, t, count_here);
}

bool load_is_less(const struct load *a, const struct load *b)
{
    if (a->here != b->here) return a->here < b->here;
    return a->everywhere < b->everywhere;
}
