/* src/obs/metric_print.c: the registry in the text format of Prometheus, version 0.0.4:
 *
 *     # HELP pirene_put_requests_total Puts received (requests)
 *     # TYPE pirene_put_requests_total counter
 *     pirene_put_requests_total{entity="partition",table="3",partition="7"} 42
 *
 * Source: prometheus.io/docs/instrumenting/exposition_formats. */
#include "obs/metric.h"

#include <inttypes.h>

struct printer {
    struct buf *out;
    struct now now;
    const char *family; /* The name whose HELP and TYPE were printed last. */
};

static void on_row(void *context, const struct metric_entity *e, const struct metric_row *row);

void metric_registry_print(struct metric_registry *r, struct now now, struct buf *out)
{
    struct printer printer = {.out = out, .now = now};
    metric_registry_walk(r, on_row, &printer);
}

static const char *ending(const struct metric_row *row)
{
    return row->type == METRIC_COUNTER ? "_total" : "";
}

static void print_family(struct buf *out, const struct metric_row *row)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    buf_printf(out, "# HELP pirene_%s%s %s (%s)\n", row->name, ending(row), row->help, row->unit);
    buf_printf(out, "# TYPE pirene_%s%s %s\n", row->name, ending(row), types[row->type]);
}

/* A value between quotes; table names come from users. */
static void print_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') buf_append_u8(out, '\\');
        if (*text == '\n') buf_append_str(out, "\\n");
        else buf_append_u8(out, (uint8_t)*text);
    }
}

/* pirene_NAME{entity="...",LABELS, without the closing brace. */
static void print_sample(struct buf *out, const struct metric_entity *e,
                         const struct metric_row *row, const char *suffix)
{
    buf_printf(out, "pirene_%s%s{entity=\"%s\"", row->name, suffix,
               metric_entity_type_name(e->table->type));
    for (size_t i = 0; i < e->label_count; i++) {
        buf_printf(out, ",%s=\"", e->labels[i].name);
        print_escaped(out, e->labels[i].value);
        buf_append_u8(out, '"');
    }
    if (row->labels != NULL) buf_printf(out, ",%s", row->labels);
}

static void print_bucket(struct buf *out, const struct metric_entity *e,
                         const struct metric_row *row, uint64_t end, uint64_t count)
{
    print_sample(out, e, row, "_bucket");
    buf_printf(out, ",le=\"%" PRIu64 "\"} %" PRIu64 "\n", end, count);
}

static void print_histogram(struct buf *out, const struct metric_entity *e,
                            const struct metric_row *row)
{
    const struct metric_histogram *h = metric_row_histogram(e, row);
    uint64_t total =
        metric_histogram_count(h); /* Once: what is counted meanwhile comes next time. */
    uint64_t count = 0;
    size_t bucket = 0;
    for (uint64_t end = 1; count < total && end < METRIC_VALUE_MAX; end = 2 * end + 1) {
        while (bucket < METRIC_BUCKET_COUNT && metric_bucket_max(bucket) <= end)
            count += metric_bucket_count(h, bucket++);
        print_bucket(out, e, row, end, count < total ? count : total);
    }
    print_sample(out, e, row, "_bucket");
    buf_printf(out, ",le=\"+Inf\"} %" PRIu64 "\n", total);
    print_sample(out, e, row, "_sum");
    buf_printf(out, "} %" PRIu64 "\n",
               (uint64_t)atomic_load_explicit(&h->sum, memory_order_relaxed));
    print_sample(out, e, row, "_count");
    buf_printf(out, "} %" PRIu64 "\n", total);
}

static void on_row(void *context, const struct metric_entity *e, const struct metric_row *row)
{
    struct printer *p = context;
    if (p->family == NULL || strcmp(p->family, row->name) != 0) print_family(p->out, row);
    p->family = row->name;
    int64_t value;
    if (row->type == METRIC_HISTOGRAM) {
        print_histogram(p->out, e, row);
    } else if (metric_row_value(e, row, p->now, &value)) {
        print_sample(p->out, e, row, ending(row));
        buf_printf(p->out, "} %" PRId64 "\n", value);
    }
}
