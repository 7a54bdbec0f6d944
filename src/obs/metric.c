/* src/obs/metric.c: figures of the log-linear kind, and the registry that shows all figures. */
#include "obs/metric.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

static size_t bucket_of(uint64_t value);
static struct list_node *last_of_table(struct metric_registry *r, const struct metric_table *table);

/* ---- Histograms ------------------------------------------------------------------------------ */

void metric_histogram_add(struct metric_histogram *h, uint64_t value)
{
    atomic_uint_fast64_t *count = &h->counts[bucket_of(value)];
    uint64_t sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(&h->sum, sum + value, memory_order_relaxed);
    atomic_store_explicit(count, before + 1, memory_order_relaxed);
}

uint64_t metric_histogram_count(const struct metric_histogram *h)
{
    uint64_t count = 0;
    for (size_t i = 0; i < METRIC_BUCKET_COUNT; i++) count += metric_bucket_count(h, i);
    return count;
}

uint64_t metric_histogram_quantile(const struct metric_histogram *h, unsigned permille)
{
    uint64_t count = metric_histogram_count(h);
    if (count == 0) return 0;
    uint64_t wanted = count / 1000 * permille + (count % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t i = 0; i < METRIC_BUCKET_COUNT; i++) {
        seen += metric_bucket_count(h, i);
        if (seen >= wanted) return metric_bucket_max(i);
    }
    return METRIC_VALUE_MAX; /* Counted while we were reading. */
}

uint64_t metric_bucket_count(const struct metric_histogram *h, size_t bucket)
{
    return atomic_load_explicit(&h->counts[bucket], memory_order_relaxed);
}

/* Buckets, for two step bits:  0 1 2 3 | 4 5 6 7 | 8-9 10-11 12-13 14-15 | 16-19 20-23 ...
 * A value's row is told by its highest bit, its place in the row by the step bits below that. */
static size_t bucket_of(uint64_t value)
{
    if (value >= METRIC_VALUE_MAX) value = METRIC_VALUE_MAX - 1;
    if (value >> METRIC_STEP_BITS == 0) return (size_t)value;
    unsigned high = 63 - (unsigned)__builtin_clzll(value);
    unsigned shift = high - METRIC_STEP_BITS;
    return ((size_t)shift << METRIC_STEP_BITS) + (size_t)(value >> shift);
}

uint64_t metric_bucket_max(size_t bucket)
{
    if (bucket >> METRIC_STEP_BITS <= 1) return bucket;
    size_t shift = (bucket >> METRIC_STEP_BITS) - 1;
    uint64_t top = bucket - (shift << METRIC_STEP_BITS);
    return ((top + 1) << shift) - 1;
}

/* ---- Registry -------------------------------------------------------------------------------- */

const char *metric_entity_type_name(enum metric_entity_type type)
{
    static const char *const names[] = {"server", "table", "partition", "duplication"};
    return names[type];
}

void metric_registry_init(struct metric_registry *r)
{
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    list_init(&r->entities);
}

void metric_registry_fini(struct metric_registry *r)
{
    CHECK(list_is_empty(&r->entities));
    (void)pthread_mutex_destroy(&r->mutex);
}

void metric_entity_init(struct metric_entity *e, const struct metric_table *table,
                        const void *figures)
{
    *e = (struct metric_entity){.table = table, .figures = figures};
}

void metric_entity_label(struct metric_entity *e, const char *name, const char *format, ...)
{
    CHECK(e->label_count < METRIC_LABELS_MAX);
    struct metric_label *label = &e->labels[e->label_count++];
    va_list args;
    va_start(args, format);
    label->name = name;
    (void)vsnprintf(label->value, sizeof label->value, format, args); /* Cut is promised. */
    va_end(args);
}

void metric_registry_add(struct metric_registry *r, struct metric_entity *e)
{
    (void)pthread_mutex_lock(&r->mutex);
    struct list_node *before = last_of_table(r, e->table);
    list_push_back(before->next, &e->node);
    (void)pthread_mutex_unlock(&r->mutex);
}

void metric_registry_remove(struct metric_registry *r, struct metric_entity *e)
{
    (void)pthread_mutex_lock(&r->mutex);
    list_remove(&e->node);
    (void)pthread_mutex_unlock(&r->mutex);
}

static const struct metric_entity *entity_of(const struct list_node *node)
{
    return LIST_ENTRY(node, struct metric_entity, node);
}

/* The last entity of the table, or the last of all. */
static struct list_node *last_of_table(struct metric_registry *r, const struct metric_table *table)
{
    struct list_node *last = r->entities.prev;
    while (last != &r->entities && entity_of(last)->table != table) last = last->prev;
    return last != &r->entities ? last : r->entities.prev;
}

void metric_registry_walk(struct metric_registry *r,
                          void (*visit)(void *context, const struct metric_entity *e,
                                        const struct metric_row *row),
                          void *context)
{
    (void)pthread_mutex_lock(&r->mutex);
    struct list_node *first = r->entities.next;
    while (first != &r->entities) {
        const struct metric_table *table = entity_of(first)->table;
        struct list_node *next = first;
        for (size_t i = 0; i < table->row_count; i++)
            for (next = first; next != &r->entities && entity_of(next)->table == table;
                 next = next->next)
                visit(context, entity_of(next), &table->rows[i]);
        CHECK(next != first); /* A table has at least one row. */
        first = next;
    }
    (void)pthread_mutex_unlock(&r->mutex);
}

static const void *figure_of(const struct metric_entity *e, const struct metric_row *row)
{
    return (const char *)e->figures + row->offset;
}

bool metric_row_value(const struct metric_entity *e, const struct metric_row *row, struct now now,
                      int64_t *out)
{
    if (row->read != NULL) return row->read(e->figures, now, out);
    switch (row->type) {
    case METRIC_COUNTER: *out = (int64_t)metric_counter_get(figure_of(e, row)); return true;
    case METRIC_GAUGE: *out = metric_gauge_get(figure_of(e, row)); return true;
    case METRIC_HISTOGRAM: break;
    }
    return false;
}

const struct metric_histogram *metric_row_histogram(const struct metric_entity *e,
                                                    const struct metric_row *row)
{
    CHECK(row->type == METRIC_HISTOGRAM);
    return figure_of(e, row);
}
