/* src/cli/bench_last.c: bench last-mutation: isolated writes, each after an idle gap. */
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/probe.h"

enum { PARTITIONS = 8 };

struct plan {
    uint64_t writes, gap_min_ms, gap_max_ms;
    const char *sync;
    const char *source, *remote;
};

static int read_plan(const struct args *args, struct plan *p, struct err *e)
{
    p->source = args_option(args, "--source");
    p->remote = args_option(args, "--remote");
    int rc = args_number(args, "--writes", 1, 10000000, 1000, &p->writes, e);
    if (rc == 0) rc = args_duration_ms(args, "--gap-min", 50, &p->gap_min_ms, e);
    if (rc == 0) rc = args_duration_ms(args, "--gap-max", 180, &p->gap_max_ms, e);
    if (rc == 0) rc = bench_sync(args, &p->sync, e);
    if (rc != 0) return rc;
    if (p->gap_min_ms > p->gap_max_ms)
        return err_set(e, E_INVALID, "--gap-min is longer than --gap-max");
    if ((p->source == NULL) != (p->remote == NULL))
        return err_set(e, E_INVALID, "--source and --remote go together");
    return 0;
}

static int open_pair(struct cli *cli, const struct args *args, const struct plan *plan,
                     struct pair *pair, struct err *e)
{
    const char *table = args_option(args, "--table");
    if (plan->source == NULL) return pair_open(pair, cli, plan->sync, PARTITIONS, e);
    return pair_join(pair, cli, plan->source, plan->remote, table != NULL ? table : "bench", e);
}

/* All writes of the plan. */
static int measure(struct probes *p, const struct plan *plan, struct err *e)
{
    struct progress progress = {0};
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < plan->writes && !cli_is_interrupted(); i++) {
        rc = probes_write(p, prng_between(&p->prng, plan->gap_min_ms, plan->gap_max_ms), e);
        progress_show(&progress, (double)(i + 1) / (double)plan->writes,
                      "%llu of %llu isolated writes", (unsigned long long)i + 1,
                      (unsigned long long)plan->writes);
    }
    progress_end(&progress);
    return rc;
}

static void report(struct cli *cli, struct probes *p, const struct plan *plan)
{
    bool is_ours = plan->source == NULL;
    samples_sort(&p->lags);
    samples_sort(&p->acks);
    if (!cli->out.is_json) samples_print(&p->lags);
    json_t *o = json_new();
    json_set_int(o, "n", (int64_t)p->lags.count);
    json_set_text(o, "sync", is_ours ? plan->sync : "as configured");
    samples_json(&p->lags, o);
    json_set_real(o, "put_p50_ms", samples_ms(&p->acks, 500), 3);
    json_set_real(o, "put_p99_ms", samples_ms(&p->acks, 990), 3);
    json_set_int(o, "gap_min_ms", (int64_t)plan->gap_min_ms);
    json_set_int(o, "gap_max_ms", (int64_t)plan->gap_max_ms);
    json_set_int(o, "partitions", p->pair->partition_count);
    json_set_real(o, "reads_per_write", (double)p->reads / (double)(p->lags.count + 1), 1);
    output_say(&cli->out, o,
               "last-mutation lag over %zu isolated writes, sync = %s: p50 %.2f ms, p99 %.2f ms, "
               "max %.2f ms (the put itself: p50 %.2f ms, p99 %.2f ms)",
               p->lags.count, is_ours ? plan->sync : "as configured", samples_ms(&p->lags, 500),
               samples_ms(&p->lags, 990), samples_ms(&p->lags, 1000), samples_ms(&p->acks, 500),
               samples_ms(&p->acks, 990));
}

int bench_last_mutation_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct plan plan;
    struct pair pair = {0};
    struct probes probes = {0};
    int rc = read_plan(args, &plan, &e);
    if (rc == 0) rc = open_pair(cli, args, &plan, &pair, &e);
    if (rc == 0) rc = probes_init(&probes, &pair, &e);
    if (rc == 0) rc = measure(&probes, &plan, &e);
    if (rc == 0) report(cli, &probes, &plan);
    probes_fini(&probes);
    pair_close(&pair);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
