/* src/cli/bench_load.c: bench put, get and mixed: how many a second, how long each takes, and what
 * the server's CPU has to do for one. */
#include <stdlib.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/load.h"

enum { PARTITIONS = 8, FILL_IN_FLIGHT = 64, NODES_MAX = 5 };

struct job {
    struct load_options load;
    const char *sync; /* Of the server that is started; NULL: none is. */
    pid_t server_pid; /* 0: not known, or those of 'servers'. */
    struct server servers[NODES_MAX];
    uint32_t node_count; /* Of the servers that are started. */
    char dir[128];
    const char *name;
};

static int read_job(struct cli *cli, const struct args *args, struct job *job, struct err *e)
{
    uint64_t in_flight, size, lanes, reads, pid, nodes;
    struct load_options *o = &job->load;
    int rc = args_number(args, "--seconds", 1, 86400, 10, &o->seconds, e);
    if (rc == 0) rc = args_number(args, "--in-flight", 1, 100000, 64, &in_flight, e);
    if (rc == 0) rc = args_number(args, "--size", 0, 1 << 20, 100, &size, e);
    if (rc == 0) rc = args_number(args, "--keys", 1, UINT64_C(1) << 40, 50000, &o->key_count, e);
    if (rc == 0) rc = args_number(args, "--connections", 1, 64, 1, &lanes, e);
    if (rc == 0) rc = args_number(args, "--reads", 0, 100, 50, &reads, e);
    if (rc == 0) rc = args_number(args, "--server-pid", 1, INT32_MAX, 0, &pid, e);
    if (rc == 0) rc = args_number(args, "--nodes", 1, NODES_MAX, 1, &nodes, e);
    if (rc == 0) rc = bench_sync(args, &job->sync, e);
    if (rc != 0) return rc;
    if (!args_has(args, "--start") && args_has(args, "--nodes"))
        return err_set(e, E_INVALID, "--nodes goes with --start");
    job->node_count = (uint32_t)nodes;
    if (in_flight < lanes)
        return err_set(e, E_INVALID, "--in-flight must not be less than --connections");
    if (!args_has(args, "--start")) job->sync = NULL;
    o->metas = cli->metas;
    o->table = args_at(args, 0) != NULL ? args_at(args, 0) : "bench";
    o->in_flight = (uint32_t)in_flight;
    o->value_size = (uint32_t)size;
    o->lanes = (uint32_t)lanes;
    o->read_percent = (unsigned)reads;
    job->server_pid = (pid_t)pid;
    return 0;
}

static int start_servers(struct cli *cli, struct job *job, struct err *e)
{
    struct client *client = NULL;
    struct admin_table table = {
        .name = job->load.table, .partition_count = PARTITIONS, .replica_count = job->node_count};
    int32_t app_id;
    bool is_new;
    int rc = servers_dir_make(job->dir, sizeof job->dir, e);
    for (uint32_t i = 0; i < job->node_count && rc == 0; i++)
        rc = server_open_joining(&job->servers[i], job->dir, i + 1, job->sync,
                                 i > 0 ? job->servers[0].address : NULL, e);
    if (rc != 0) return rc;
    job->load.metas = job->servers[0].address;
    rc = client_open(cli->loop, job->load.metas, &client);
    if (rc != 0) return err_set(e, rc, "%s", err_text(rc));
    rc = admin_table_create(client, &table, &app_id, &is_new, e);
    client_close(client);
    return rc;
}

/* Reads want something to find. */
static int fill(struct cli *cli, const struct job *job, struct err *e)
{
    struct load_options options = job->load;
    struct load_result result;
    options.is_fill = true;
    options.read_percent = 0;
    options.in_flight = FILL_IN_FLIGHT > options.lanes ? FILL_IN_FLIGHT : options.lanes;
    options.label = "filling";
    int rc = load_run(cli, &options, &result, e);
    if (rc == 0 && result.errors > 0) {
        *e = result.e;
        rc = err_wrap(e, e->code, "filling the table");
    }
    samples_fini(&result.samples);
    return rc;
}

static bool is_cpu_known(const struct job *job)
{
    return job->server_pid > 0 || job->sync != NULL;
}

/* Of all servers together. */
static uint64_t cpu_ns_now(const struct job *job)
{
    if (job->server_pid > 0) return server_cpu_ns(job->server_pid);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < job->node_count; i++) sum += server_cpu_ns(job->servers[i].pid);
    return sum;
}

static void report(struct cli *cli, const struct job *job, const struct load_result *r,
                   uint64_t cpu_ns)
{
    double seconds = (double)r->took_ns / 1e9, per_s = (double)r->ops / seconds;
    double cpu_us = r->ops > 0 ? (double)cpu_ns / 1e3 / (double)r->ops : 0;
    char cpu[64] = "";
    json_t *o = json_new();
    json_set_text(o, "bench", job->name);
    json_set_int(o, "ops", (int64_t)r->ops);
    json_set_real(o, "seconds", seconds, 3);
    json_set_real(o, "ops_per_s", per_s, 0);
    samples_json(&r->samples, o);
    json_set_int(o, "errors", (int64_t)r->errors);
    json_set_int(o, "missing", (int64_t)r->missing);
    json_set_int(o, "in_flight", job->load.in_flight);
    json_set_int(o, "connections", job->load.lanes);
    json_set_int(o, "value_size", job->load.value_size);
    json_set_int(o, "keys", (int64_t)job->load.key_count);
    json_set_text(o, "sync", job->sync != NULL ? job->sync : "as configured");
    json_set_int(o, "nodes", job->sync != NULL ? job->node_count : 0);
    if (is_cpu_known(job)) {
        json_set_real(o, "server_cpu_us_per_op", cpu_us, 2);
        (void)snprintf(cpu, sizeof cpu, "; server CPU %.2f us per op", cpu_us);
    }
    output_say(&cli->out, o,
               "%s: %.0f/s (%u in flight, %u bytes); p50 %.3f ms, p99 %.3f ms, p99.9 %.3f ms, max "
               "%.3f ms; %llu errors, %llu missing%s",
               job->name, per_s, job->load.in_flight, job->load.value_size,
               samples_ms(&r->samples, 500), samples_ms(&r->samples, 990),
               samples_ms(&r->samples, 999), samples_ms(&r->samples, 1000),
               (unsigned long long)r->errors, (unsigned long long)r->missing, cpu);
}

/* Warm up for a moment, then measure. */
static int measure(struct cli *cli, struct job *job, struct err *e)
{
    struct load_result result = {0};
    struct load_options warm_up = job->load;
    warm_up.seconds = 1;
    int rc = load_run(cli, &warm_up, &result, e);
    samples_fini(&result.samples);
    job->load.label = job->name;
    uint64_t cpu_ns = cpu_ns_now(job);
    if (rc == 0) rc = load_run(cli, &job->load, &result, e);
    cpu_ns = cpu_ns_now(job) - cpu_ns;
    if (rc == 0) report(cli, job, &result, cpu_ns);
    if (rc == 0 && result.errors > 0) {
        *e = result.e;
        rc = err_wrap(e, e->code, "%llu requests failed, the first",
                      (unsigned long long)result.errors);
    }
    samples_fini(&result.samples);
    return rc;
}

static int run(struct cli *cli, const struct args *args, const char *name, int read_percent)
{
    struct err e = {0};
    struct job job = {.name = name};
    int rc = read_job(cli, args, &job, &e);
    if (rc == 0 && read_percent >= 0) job.load.read_percent = (unsigned)read_percent;
    if (rc == 0 && job.sync != NULL) rc = start_servers(cli, &job, &e);
    if (rc == 0 && job.load.read_percent > 0) rc = fill(cli, &job, &e);
    if (rc == 0) rc = measure(cli, &job, &e);
    if (rc == E_NOTFOUND && job.sync == NULL)
        err_wrap(&e, rc, "'pirene bench %s --start' starts a server of its own; here", name);
    for (uint32_t i = job.node_count; i-- > 0;) server_stop(&job.servers[i]);
    servers_dir_remove(cli, job.dir);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}

int bench_put_run(struct cli *cli, const struct args *args)
{
    return run(cli, args, "put", 0);
}

int bench_get_run(struct cli *cli, const struct args *args)
{
    return run(cli, args, "get", 100);
}

int bench_mixed_run(struct cli *cli, const struct args *args)
{
    return run(cli, args, "mixed", -1);
}
