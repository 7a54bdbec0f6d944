/* src/cli/bench_memory.c: bench memory: what a server has resident, idle with one table and then
 * with records; and the CPU it uses while nothing happens. */
#include "cli/admin.h"
#include "cli/command.h"
#include "cli/load.h"

enum { PARTITIONS = 8, IN_FLIGHT = 64, IDLE_MS = 2000 };

struct memory {
    struct server server;
    struct client *client;
    char dir[128];
    uint64_t idle_size, loaded_size, idle_cpu_ns;
};

static int start(struct cli *cli, struct memory *m, struct err *e)
{
    struct admin_table table = {.name = "bench", .partition_count = PARTITIONS};
    int32_t app_id;
    bool is_new;
    int rc = servers_dir_make(m->dir, sizeof m->dir, e);
    if (rc == 0) rc = server_open(&m->server, m->dir, 1, "group", e);
    if (rc != 0) return rc;
    rc = client_open(cli->loop, m->server.address, &m->client);
    if (rc != 0) return err_set(e, rc, "%s", err_text(rc));
    return admin_table_create(m->client, &table, &app_id, &is_new, e);
}

static int measure(struct cli *cli, struct memory *m, uint64_t records, uint64_t value_size,
                   struct err *e)
{
    struct load_result result = {0};
    struct load_options options = {.metas = m->server.address,
                                   .table = "bench",
                                   .lanes = 1,
                                   .in_flight = IN_FLIGHT,
                                   .value_size = (uint32_t)value_size,
                                   .key_count = records,
                                   .is_fill = true,
                                   .label = "records"};
    cli_sleep_ms(IDLE_MS / 2);
    uint64_t cpu_ns = server_cpu_ns(m->server.pid);
    cli_sleep_ms(IDLE_MS);
    m->idle_cpu_ns = server_cpu_ns(m->server.pid) - cpu_ns;
    m->idle_size = server_memory_size(m->server.pid);
    int rc = load_run(cli, &options, &result, e);
    if (rc == 0 && result.errors > 0) {
        *e = result.e;
        rc = e->code;
    }
    samples_fini(&result.samples);
    m->loaded_size = server_memory_size(m->server.pid);
    return rc;
}

static void report(struct cli *cli, const struct memory *m, uint64_t records)
{
    json_t *o = json_new();
    json_set_real(o, "idle_mb", (double)m->idle_size / 1048576, 1);
    json_set_real(o, "loaded_mb", (double)m->loaded_size / 1048576, 1);
    json_set_int(o, "records", (int64_t)records);
    json_set_real(o, "idle_cpu_ms_per_s", (double)m->idle_cpu_ns / 1e6 / (IDLE_MS / 1000.0), 3);
    output_say(&cli->out, o,
               "resident: %.1f MB idle with a table of %d partitions, %.1f MB after %llu records; "
               "CPU while idle %.2f ms/s",
               (double)m->idle_size / 1048576, PARTITIONS, (double)m->loaded_size / 1048576,
               (unsigned long long)records, (double)m->idle_cpu_ns / 1e6 / (IDLE_MS / 1000.0));
}

int bench_memory_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct memory m = {0};
    uint64_t records, size;
    int rc = args_number(args, "--records", 1, UINT64_C(1) << 40, 1000000, &records, &e);
    if (rc == 0) rc = args_number(args, "--size", 0, 1 << 20, 100, &size, &e);
    if (rc == 0) rc = start(cli, &m, &e);
    if (rc == 0) rc = measure(cli, &m, records, size, &e);
    if (rc == 0) report(cli, &m, records);
    client_close(m.client);
    server_stop(&m.server);
    servers_dir_remove(cli, m.dir);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
