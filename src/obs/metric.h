/* src/obs/metric.h: figures about what runs, as tables.
 *
 * A room keeps its figures in a plain struct, and describes that struct once, row by row:
 *
 *     struct put_metrics { struct metric_counter requests; struct metric_histogram latency_us; };
 *     static const struct metric_row put_rows[] = {
 *         METRIC_COUNTER_ROW(struct put_metrics, requests, "put_requests", "requests", "Puts received"),
 *         METRIC_HISTOGRAM_ROW(struct put_metrics, latency_us, "put_latency", "us", "Put, in to out"),
 *     };
 *     const struct metric_table put_table = METRIC_TABLE(METRIC_OF_PARTITION, put_rows);
 *
 * Each thing that has such figures is an entity in a registry, which belongs to one node:
 *
 *     registry --- entity {partition, table=3 partition=7} --- put_table, struct put_metrics
 *              \-- entity {duplication, dup=17 ...}        --- dup_table, struct dup_metrics
 *
 * Threads: one thread updates a figure, with plain loads and stores that any thread may read at any
 * time (relaxed atomics): a figure on its own is never torn, two of them need not match. What
 * several threads count is counted by each in an entity of its own, told apart by a label. The
 * registry may be used by any thread. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/now.h"

/* ---- Figures: an all-zero one is valid ------------------------------------------------------- */

struct metric_counter {
    atomic_uint_fast64_t value; /* Only grows. */
};

struct metric_gauge {
    atomic_int_fast64_t value;
};

/* Log-linear: 16 buckets of equal width between each power of two and the next, so a quantile is
 * off by at most 1/16 of itself. Values below 16 are exact; those from METRIC_VALUE_MAX on share
 * the last. */
enum {
    METRIC_STEP_BITS = 4,
    METRIC_VALUE_BITS = 36, /* 2^36 us are 19 hours. */
    METRIC_BUCKET_COUNT = (METRIC_VALUE_BITS - METRIC_STEP_BITS + 1) << METRIC_STEP_BITS,
};
#define METRIC_VALUE_MAX (UINT64_C(1) << METRIC_VALUE_BITS)

struct metric_histogram {
    atomic_uint_fast64_t sum;
    atomic_uint_fast64_t counts[METRIC_BUCKET_COUNT];
};

static inline void metric_counter_add(struct metric_counter *c, uint64_t count)
{
    uint64_t value = atomic_load_explicit(&c->value, memory_order_relaxed);
    atomic_store_explicit(&c->value, value + count, memory_order_relaxed);
}

static inline uint64_t metric_counter_get(const struct metric_counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

static inline void metric_gauge_set(struct metric_gauge *g, int64_t value)
{
    atomic_store_explicit(&g->value, value, memory_order_relaxed);
}

static inline void metric_gauge_add(struct metric_gauge *g, int64_t by)
{
    int64_t value = atomic_load_explicit(&g->value, memory_order_relaxed);
    atomic_store_explicit(&g->value, value + by, memory_order_relaxed);
}

static inline int64_t metric_gauge_get(const struct metric_gauge *g)
{
    return atomic_load_explicit(&g->value, memory_order_relaxed);
}

void metric_histogram_add(struct metric_histogram *h, uint64_t value);

uint64_t metric_histogram_count(const struct metric_histogram *h);

/* The value that 'permille' of 1000 recorded ones don't exceed, 0 < permille <= 1000, rounded up to
 * the end of its bucket; 0 when nothing was recorded. */
uint64_t metric_histogram_quantile(const struct metric_histogram *h, unsigned permille);

/* How many values fell into a bucket, and the largest value that falls into it. */
uint64_t metric_bucket_count(const struct metric_histogram *h, size_t bucket);
uint64_t metric_bucket_max(size_t bucket);

/* ---- Tables ---------------------------------------------------------------------------------- */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_row {
    const char *name; /* "put_requests"; unique among all tables of the process. */
    const char *unit; /* "requests", "bytes", "us"... */
    const char *help; /* One sentence. */
    const char
        *labels; /* Fixed ones, as Prometheus writes them: op="put"; or NULL. Rows of one name
                           and several labels stand together. */
    enum metric_type type;
    size_t offset; /* Of the figure, in the struct of the entity. */

    /* A gauge that is worked out when it is asked for, so that it moves with the clock: NULL, or a
     * function of the whole struct. On the reader's thread: it touches nothing but figures. Returns
     * false for "unknown", and then there is no sample. */
    bool (*read)(const void *figures, struct now now, int64_t *out);
};

#define METRIC_COUNTER_ROW(holder, member, text, unit_text, help_text)                             \
    {                                                                                              \
        .name = (text), .unit = (unit_text), .help = (help_text), .labels = NULL,                  \
        .type = METRIC_COUNTER, .offset = offsetof(holder, member), .read = NULL                   \
    }
#define METRIC_GAUGE_ROW(holder, member, text, unit_text, help_text)                               \
    {                                                                                              \
        .name = (text), .unit = (unit_text), .help = (help_text), .labels = NULL,                  \
        .type = METRIC_GAUGE, .offset = offsetof(holder, member), .read = NULL                     \
    }
#define METRIC_READ_ROW(function, text, unit_text, help_text)                                      \
    {                                                                                              \
        .name = (text), .unit = (unit_text), .help = (help_text), .labels = NULL,                  \
        .type = METRIC_GAUGE, .offset = 0, .read = (function)                                      \
    }
#define METRIC_HISTOGRAM_ROW(holder, member, text, unit_text, help_text)                           \
    {                                                                                              \
        .name = (text), .unit = (unit_text), .help = (help_text), .labels = NULL,                  \
        .type = METRIC_HISTOGRAM, .offset = offsetof(holder, member), .read = NULL                 \
    }

enum metric_entity_type {
    METRIC_OF_SERVER,
    METRIC_OF_TABLE,
    METRIC_OF_PARTITION,
    METRIC_OF_DUPLICATION
};

struct metric_table {
    enum metric_entity_type type;
    const struct metric_row *rows;
    size_t row_count;
};

#define METRIC_TABLE(entity_type, row_array)                                                       \
    {                                                                                              \
        .type = (entity_type), .rows = (row_array),                                                \
        .row_count = sizeof(row_array) / sizeof(row_array)[0]                                      \
    }

/* ---- Registry -------------------------------------------------------------------------------- */

enum { METRIC_LABELS_MAX = 4, METRIC_LABEL_SIZE = 64 }; /* Bytes of a value, the NUL included. */

struct metric_label {
    const char *name; /* A constant. */
    char value[METRIC_LABEL_SIZE];
};

struct metric_entity {
    struct list_node node; /* The registry's. */
    const struct metric_table *table;
    const void *figures; /* Borrowed until the entity is removed. */
    size_t label_count;
    struct metric_label labels[METRIC_LABELS_MAX];
};

struct metric_registry {
    pthread_mutex_t mutex;
    struct list_node entities; /* Those of one table stand together. */
};

void metric_registry_init(struct metric_registry *r);
void metric_registry_fini(struct metric_registry *r); /* All entities have been removed. */

/* "server", "table", "partition", "duplication". */
const char *metric_entity_type_name(enum metric_entity_type type);

/* Begin an entity: no labels yet. */
void metric_entity_init(struct metric_entity *e, const struct metric_table *table,
                        const void *figures);

/* One more label, value made as printf does and cut at its size. At most METRIC_LABELS_MAX. */
void metric_entity_label(struct metric_entity *e, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Show the entity. Borrows it until it is removed. */
void metric_registry_add(struct metric_registry *r, struct metric_entity *e);

/* After this no reader touches its figures any more. Harmless when it was never added. */
void metric_registry_remove(struct metric_registry *r, struct metric_entity *e);

/* Call 'visit' for every row of every entity, grouped by table and then by row, in order of adding,
 * with the registry locked: it must not add or remove. */
void metric_registry_walk(struct metric_registry *r,
                          void (*visit)(void *context, const struct metric_entity *e,
                                        const struct metric_row *row),
                          void *context);

/* The present value of a counter or gauge; false: unknown, or a histogram. */
bool metric_row_value(const struct metric_entity *e, const struct metric_row *row, struct now now,
                      int64_t *out);

/* The histogram of such a row. */
const struct metric_histogram *metric_row_histogram(const struct metric_entity *e,
                                                    const struct metric_row *row);

/* Append everything in the text format of Prometheus (version 0.0.4). A name becomes pirene_NAME,
 * with _total behind it for counters; buckets of histograms end just below powers of two (the
 * figures are whole numbers), up to the largest value seen. When memory runs out 'out' says so
 * (buf_status). */
void metric_registry_print(struct metric_registry *r, struct now now, struct buf *out);
