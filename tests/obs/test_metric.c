/* tests/obs/test_metric.c: figures are exact where promised, and shown as their tables say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "obs/metric.h"

struct link_metrics {
    struct metric_counter sent, refused;
    struct metric_gauge oldest_ms; /* 0: nothing waits; -1: unknown. */
    struct metric_histogram latency_us;
};

/* How long the oldest one has been waiting, by the clock of the reader. */
static bool read_lag(const void *figures, struct now now, int64_t *out)
{
    const struct link_metrics *m = figures;
    int64_t oldest_ms = metric_gauge_get(&m->oldest_ms);
    if (oldest_ms < 0) return false;
    *out = oldest_ms == 0 ? 0 : (int64_t)now.boot_ms - oldest_ms;
    return true;
}

static const struct metric_row link_rows[] = {
    {.name = "link_mutations",
     .unit = "mutations",
     .help = "Mutations by outcome",
     .labels = "outcome=\"sent\"",
     .type = METRIC_COUNTER,
     .offset = offsetof(struct link_metrics, sent)},
    {.name = "link_mutations",
     .unit = "mutations",
     .help = "Mutations by outcome",
     .labels = "outcome=\"refused\"",
     .type = METRIC_COUNTER,
     .offset = offsetof(struct link_metrics, refused)},
    METRIC_READ_ROW(read_lag, "link_lag", "ms", "Age of the oldest unconfirmed commit"),
    METRIC_HISTOGRAM_ROW(struct link_metrics, latency_us, "link_latency", "us", "Send to ack"),
};
static const struct metric_table link_table = METRIC_TABLE(METRIC_OF_DUPLICATION, link_rows);

struct disk_metrics {
    struct metric_gauge free_size;
};
static const struct metric_row disk_rows[] = {
    METRIC_GAUGE_ROW(struct disk_metrics, free_size, "disk_free", "bytes", "Free space"),
};
static const struct metric_table disk_table = METRIC_TABLE(METRIC_OF_SERVER, disk_rows);

/* Every value lies in a bucket that ends at most 1/16 above it, and the buckets have no gaps. */
static void test_buckets_are_narrow(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < METRIC_VALUE_MAX; value += 1 + value / 33) {
        struct metric_histogram h = {0};
        metric_histogram_add(&h, value);
        uint64_t end = metric_histogram_quantile(&h, 1000);
        assert_true(end >= value);
        assert_true(end - value <= value / 16);
    }
    for (size_t i = 1; i < METRIC_BUCKET_COUNT; i++)
        assert_true(metric_bucket_max(i) > metric_bucket_max(i - 1));
    assert_true(metric_bucket_max(METRIC_BUCKET_COUNT - 1) == METRIC_VALUE_MAX - 1);
}

static void test_quantiles(void **state)
{
    (void)state;
    struct metric_histogram h = {0};
    assert_int_equal(metric_histogram_quantile(&h, 500), 0);
    for (uint64_t i = 1; i <= 10; i++) metric_histogram_add(&h, i);
    assert_int_equal(metric_histogram_quantile(&h, 500), 5);
    assert_int_equal(metric_histogram_quantile(&h, 990), 10);
    assert_int_equal(metric_histogram_quantile(&h, 1), 1);
    metric_histogram_add(&h, UINT64_MAX);
    assert_true(metric_histogram_quantile(&h, 1000) == METRIC_VALUE_MAX - 1);
    assert_int_equal(metric_histogram_count(&h), 11);
}

static void expect_text(struct metric_registry *r, uint64_t boot_ms, const char *expected)
{
    struct buf text = {0};
    metric_registry_print(r, (struct now){.boot_ms = boot_ms}, &text);
    buf_append_u8(&text, 0);
    assert_int_equal(buf_status(&text), 0);
    assert_string_equal((const char *)text.data, expected);
    buf_fini(&text);
}

/* Two links and a disk, added in mixed order: each name stands once, with all its samples below it; a
 * hostile table name can't end its label; the lag grows with the reader's clock. */
static void test_print_groups_by_name(void **state)
{
    (void)state;
    static struct link_metrics a, b;
    static struct disk_metrics d;
    struct metric_entity ea, eb, ed;
    struct metric_registry r;
    metric_registry_init(&r);
    metric_entity_init(&ea, &link_table, &a);
    metric_entity_label(&ea, "dup", "%d", 1);
    metric_entity_label(&ea, "table", "%s", "x\"\\\ny");
    metric_entity_init(&eb, &link_table, &b);
    metric_entity_label(&eb, "dup", "%d", 2);
    metric_entity_init(&ed, &disk_table, &d);
    metric_registry_add(&r, &ea);
    metric_registry_add(&r, &ed);
    metric_registry_add(&r, &eb);

    metric_counter_add(&a.sent, 41);
    metric_counter_add(&a.sent, 1);
    metric_gauge_set(&a.oldest_ms, 1000);
    metric_gauge_set(&b.oldest_ms, -1);
    metric_gauge_set(&d.free_size, 10);
    metric_gauge_add(&d.free_size, -15);
    metric_histogram_add(&a.latency_us, 1);
    metric_histogram_add(&a.latency_us, 6);

    expect_text(
        &r, 1250,
        "# HELP pirene_link_mutations_total Mutations by outcome (mutations)\n"
        "# TYPE pirene_link_mutations_total counter\n"
        "pirene_link_mutations_total{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\","
        "outcome=\"sent\"} 42\n"
        "pirene_link_mutations_total{entity=\"duplication\",dup=\"2\",outcome=\"sent\"} 0\n"
        "pirene_link_mutations_total{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\","
        "outcome=\"refused\"} 0\n"
        "pirene_link_mutations_total{entity=\"duplication\",dup=\"2\",outcome=\"refused\"} 0\n"
        "# HELP pirene_link_lag Age of the oldest unconfirmed commit (ms)\n"
        "# TYPE pirene_link_lag gauge\n"
        "pirene_link_lag{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\"} 250\n"
        "# HELP pirene_link_latency Send to ack (us)\n"
        "# TYPE pirene_link_latency histogram\n"
        "pirene_link_latency_bucket{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\","
        "le=\"1\"} 1\n"
        "pirene_link_latency_bucket{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\","
        "le=\"3\"} 1\n"
        "pirene_link_latency_bucket{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\","
        "le=\"7\"} 2\n"
        "pirene_link_latency_bucket{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\","
        "le=\"+Inf\"} 2\n"
        "pirene_link_latency_sum{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\"} 7\n"
        "pirene_link_latency_count{entity=\"duplication\",dup=\"1\",table=\"x\\\"\\\\\\ny\"} 2\n"
        "pirene_link_latency_bucket{entity=\"duplication\",dup=\"2\",le=\"+Inf\"} 0\n"
        "pirene_link_latency_sum{entity=\"duplication\",dup=\"2\"} 0\n"
        "pirene_link_latency_count{entity=\"duplication\",dup=\"2\"} 0\n"
        "# HELP pirene_disk_free Free space (bytes)\n"
        "# TYPE pirene_disk_free gauge\n"
        "pirene_disk_free{entity=\"server\"} -5\n");

    metric_registry_remove(&r, &ea);
    metric_registry_remove(&r, &ea); /* Twice is harmless. */
    metric_registry_remove(&r, &eb);
    expect_text(&r, 0,
                "# HELP pirene_disk_free Free space (bytes)\n"
                "# TYPE pirene_disk_free gauge\n"
                "pirene_disk_free{entity=\"server\"} -5\n");
    metric_registry_remove(&r, &ed);
    metric_registry_fini(&r);
}

/* Memory ends while printing: the text says so. */
static void test_print_reports_no_memory(void **state)
{
    (void)state;
    static struct disk_metrics d;
    struct metric_entity e;
    struct metric_registry r;
    metric_registry_init(&r);
    metric_entity_init(&e, &disk_table, &d);
    metric_registry_add(&r, &e);
    struct buf text = {0};
    mem_fail_nth(1);
    metric_registry_print(&r, (struct now){0}, &text);
    assert_int_equal(buf_status(&text), E_NOMEM);
    buf_fini(&text);
    metric_registry_remove(&r, &e);
    metric_registry_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_are_narrow),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_print_groups_by_name),
        cmocka_unit_test(test_print_reports_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
