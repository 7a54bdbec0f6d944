/* src/cli/bench_sustain.c: bench sustain: the highest rate of writes that one node accepts, for a
 * while, with duplication on. Does the remote keep up? */
#include "cli/admin.h"
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/load.h"

enum { PARTITIONS = 8, LOOK_NS = 1000000000, WAIT_MS = 60000 };

/* What is seen of the lag while the load runs. */
struct watcher {
    struct pair *pair;
    uint64_t looked_ns;
    int64_t lag_ms_max, lag_mutations_max, lag_bytes_max;
    uint64_t looks, unknown;
};

static void look(void *context)
{
    struct watcher *w = context;
    struct arena arena = {0};
    struct dup_status_list rows;
    struct admin_lag *lags;
    size_t count = 0;
    uint64_t now_ns = cli_now_ns();
    if (now_ns - w->looked_ns < LOOK_NS) return;
    w->looked_ns = now_ns;
    w->looks++;
    int rc = admin_dup_status(w->pair->source_client, w->pair->table, &arena, &rows, NULL);
    if (rc == 0) rc = admin_lag_sum(&rows, &arena, &lags, &count);
    if (rc != 0 || count != 1 || lags[0].ms < 0) {
        w->unknown++;
    } else {
        if (lags[0].ms > w->lag_ms_max) w->lag_ms_max = lags[0].ms;
        if (lags[0].mutations > w->lag_mutations_max) w->lag_mutations_max = lags[0].mutations;
        if (lags[0].bytes > w->lag_bytes_max) w->lag_bytes_max = lags[0].bytes;
    }
    arena_fini(&arena);
}

static void report(struct cli *cli, const struct load_options *o, const struct load_result *r,
                   const struct watcher *w, double wait_ms, const char *sync)
{
    double seconds = (double)r->took_ns / 1e9, per_s = (double)r->ops / seconds;
    json_t *j = json_new();
    json_set_real(j, "seconds", seconds, 1);
    json_set_text(j, "sync", sync);
    json_set_int(j, "writes", (int64_t)r->ops);
    json_set_real(j, "ops_per_s", per_s, 0);
    json_set_int(j, "in_flight", o->in_flight);
    json_set_int(j, "errors", (int64_t)r->errors);
    json_set_int(j, "max_lag_ms", w->lag_ms_max);
    json_set_int(j, "max_lag_mutations", w->lag_mutations_max);
    json_set_int(j, "max_lag_bytes", w->lag_bytes_max);
    json_set_int(j, "looks", (int64_t)w->looks);
    json_set_int(j, "looks_unknown", (int64_t)w->unknown);
    json_set_real(j, "wait_ms", wait_ms, 3);
    json_set_json(j, "latency", json_new());
    samples_json(&r->samples, json_object_get(j, "latency"));
    output_say(&cli->out, j,
               "%.0f writes/s for %.0f s (sync = %s, %u in flight): lag at most %lld ms (%lld "
               "mutations); dup wait afterwards %.1f ms; %llu errors",
               per_s, seconds, sync, o->in_flight, (long long)w->lag_ms_max,
               (long long)w->lag_mutations_max, wait_ms, (unsigned long long)r->errors);
}

static int measure(struct cli *cli, struct pair *pair, struct load_options *options,
                   const char *sync, struct err *e)
{
    struct watcher watcher = {.pair = pair};
    struct load_result result = {0};
    struct client_dup_wait wait;
    options->metas = pair->source.address;
    options->table = pair->table;
    options->on_tick = look;
    options->context = &watcher;
    int rc = load_run(cli, options, &result, e);
    uint64_t begin_ns = cli_now_ns();
    if (rc == 0) rc = client_dup_wait(pair->source_client, pair->table, 0, WAIT_MS, &wait, e);
    double wait_ms = (double)(cli_now_ns() - begin_ns) / 1e6;
    if (rc == 0) report(cli, options, &result, &watcher, wait_ms, sync);
    samples_fini(&result.samples);
    return rc;
}

int bench_sustain_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct pair pair = {0};
    struct load_options options = {.lanes = 1, .key_count = 1000000, .label = "writes"};
    uint64_t in_flight, size;
    const char *sync;
    int rc = args_number(args, "--seconds", 1, 86400, 60, &options.seconds, &e);
    if (rc == 0) rc = args_number(args, "--in-flight", 1, 100000, 64, &in_flight, &e);
    if (rc == 0) rc = args_number(args, "--size", 0, 1 << 20, 100, &size, &e);
    if (rc == 0) rc = bench_sync(args, &sync, &e);
    if (rc == 0) rc = pair_open(&pair, cli, sync, PARTITIONS, &e);
    if (rc == 0) {
        options.in_flight = (uint32_t)in_flight;
        options.value_size = (uint32_t)size;
        rc = measure(cli, &pair, &options, sync, &e);
    }
    pair_close(&pair);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
