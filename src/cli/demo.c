/* src/cli/demo.c: two clusters, one link, and the story of the last write, told in under two
 * minutes.
 *
 *     1  two one-node clusters, one table on both, a link     4  the remote is killed, comes back
 *     2  a load of records crosses                            5  both sides are compared
 *     3  isolated writes, each timed after an idle gap        6  the figures, and how to look
 * further */
#include "cli/admin.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/probe.h"
#include "cli/verify.h"

enum { PARTITIONS = 8, IN_FLIGHT = 64, VALUE_SIZE = 100 };

struct demo {
    struct cli *cli;
    struct pair pair;
    struct probes probes;
    uint64_t writes, records, gap_max_ms;
    unsigned chapter;
};

static void chapter(struct demo *d, const char *title)
{
    printf("\n%u  %s\n", d->chapter + 1, title);
    d->chapter++;
    output_flush();
}

static int stopped(struct err *e)
{
    return cli_is_interrupted() ? err_set(e, E_CANCELED, "stopped; nothing is left behind") : 0;
}

/* ---- 1: the link ----------------------------------------------------------------------------- */

static int show_link(struct demo *d, struct err *e)
{
    chapter(d, "Two one-node clusters, and a link between them");
    uint64_t begin_ns = cli_now_ns();
    int rc = pair_open(&d->pair, d->cli, "group", PARTITIONS, e);
    if (rc != 0) return rc;
    printf("     cluster-1 at %s, cluster-2 at %s, in %s\n", d->pair.source.address,
           d->pair.remote.address, d->pair.dir);
    printf("     table '%s', %d partitions on both sides, duplicated from 1 to 2\n", d->pair.table,
           PARTITIONS);
    printf("     every acknowledged write is on disk (sync = group). Ready after %.1f s\n",
           (double)(cli_now_ns() - begin_ns) / 1e9);
    return stopped(e);
}

/* ---- 2: the load ----------------------------------------------------------------------------- */

static int fill(struct demo *d, uint64_t count, struct load_result *result, struct err *e)
{
    struct load_options options = {.metas = d->pair.source.address,
                                   .table = d->pair.table,
                                   .lanes = 1,
                                   .in_flight = IN_FLIGHT,
                                   .value_size = VALUE_SIZE,
                                   .key_count = count,
                                   .is_fill = true,
                                   .label = "records written"};
    int rc = load_run(d->cli, &options, result, e);
    if (rc != 0 || result->errors == 0) return rc;
    *e = result->e;
    return err_wrap(e, e->code, "%llu writes failed, the first",
                    (unsigned long long)result->errors);
}

static int wait_for_remote(struct demo *d, const char *what, struct err *e)
{
    enum { WAIT_MS = 60000 };
    struct client_dup_wait wait;
    uint64_t begin_ns = cli_now_ns();
    int rc = client_dup_wait(d->pair.source_client, d->pair.table, 0, WAIT_MS, &wait, e);
    if (rc != 0) return rc;
    printf("     dup wait: %s after %.1f ms\n", what, (double)(cli_now_ns() - begin_ns) / 1e6);
    return 0;
}

static int show_load(struct demo *d, struct err *e)
{
    struct load_result result = {0};
    chapter(d, "A load of records crosses");
    int rc = fill(d, d->records, &result, e);
    if (rc == 0) {
        double seconds = (double)result.took_ns / 1e9;
        printf("     %llu records of %d bytes written in %.1f s: %.0f a second, each fsynced\n",
               (unsigned long long)result.ops, VALUE_SIZE, seconds, (double)result.ops / seconds);
        rc = wait_for_remote(d, "all of them are on the remote", e);
    }
    samples_fini(&result.samples);
    return rc != 0 ? rc : stopped(e);
}

/* ---- 3: isolated writes ---------------------------------------------------------------------- */

/* Mostly short gaps and a few long ones, up to 10 s, so that the whole stays bearable. */
static uint64_t choose_gap_ms(struct demo *d, uint64_t index)
{
    enum { LONG_GAPS = 6 };
    static const uint64_t long_ms[LONG_GAPS] = {1000, 10000, 2000, 500, 5000, 1500};
    uint64_t every = d->writes / LONG_GAPS > 0 ? d->writes / LONG_GAPS : 1;
    bool is_long = index % every == every / 2 && index / every < LONG_GAPS;
    uint64_t gap_ms = is_long ? long_ms[index / every] : prng_between(&d->probes.prng, 50, 250);
    return gap_ms < d->gap_max_ms ? gap_ms : d->gap_max_ms;
}

static int show_isolated_writes(struct demo *d, struct err *e)
{
    struct progress progress = {0};
    chapter(d, "Isolated writes: silence, one write, silence");
    printf(
        "     %llu of them, to all partitions, after idle gaps of 50 ms to 10 s; timed from the\n"
        "     acknowledgement at the source to visibility by a read at the remote\n",
        (unsigned long long)d->writes);
    output_flush();
    int rc = probes_init(&d->probes, &d->pair, e);
    for (uint64_t i = 0; rc == 0 && i < d->writes; i++) {
        uint64_t gap_ms = choose_gap_ms(d, i);
        progress_show(&progress, (double)i / (double)d->writes, "%llu of %llu, idle for %.2f s",
                      (unsigned long long)i, (unsigned long long)d->writes, (double)gap_ms / 1e3);
        rc = probes_write(&d->probes, gap_ms, e);
        if (rc == 0) rc = stopped(e);
    }
    progress_end(&progress);
    if (rc != 0) return rc;
    samples_sort(&d->probes.lags);
    samples_sort(&d->probes.acks);
    printf("\n");
    samples_print(&d->probes.lags);
    printf("     (the put itself: p50 %.2f ms, p99 %.2f ms)\n", samples_ms(&d->probes.acks, 500),
           samples_ms(&d->probes.acks, 990));
    return 0;
}

/* ---- 4: the restart -------------------------------------------------------------------------- */

static int print_lag(struct demo *d, double after_s, struct err *e)
{
    struct arena arena = {0};
    struct dup_status_list rows;
    struct admin_lag *lags;
    size_t count = 0;
    int rc = admin_dup_status(d->pair.source_client, d->pair.table, &arena, &rows, e);
    if (rc == 0) rc = admin_lag_sum(&rows, &arena, &lags, &count);
    if (rc == 0 && count > 0)
        printf("     %4.1f s  dup status: %-10s  lag %6lld mutations, %8lld bytes, %5lld ms  %s\n",
               after_s, lags[0].state, (long long)lags[0].mutations, (long long)lags[0].bytes,
               (long long)lags[0].ms, lags[0].reason);
    output_flush();
    arena_fini(&arena);
    return rc;
}

static int show_restart(struct demo *d, struct err *e)
{
    enum { LOOKS = 4, LOOK_MS = 700 };
    struct load_result result = {0};
    chapter(d, "The remote is killed, and comes back");
    uint64_t begin_ns = cli_now_ns();
    server_kill(&d->pair.remote);
    printf("     kill -9 of the remote. The source goes on taking writes:\n");
    output_flush();
    int rc = 0;
    for (int i = 0; rc == 0 && i < LOOKS; i++) {
        rc = fill(d, (d->records / 10 / LOOKS) + 1, &result, e);
        samples_fini(&result.samples);
        if (rc == 0) rc = print_lag(d, (double)(cli_now_ns() - begin_ns) / 1e9, e);
        cli_sleep_ms(LOOK_MS);
        if (rc == 0) rc = stopped(e);
    }
    if (rc == 0) rc = server_start(&d->pair.remote, e);
    if (rc != 0) return rc;
    printf("     the remote is started again\n");
    rc = wait_for_remote(d, "it has everything", e);
    return rc != 0 ? rc : print_lag(d, (double)(cli_now_ns() - begin_ns) / 1e9, e);
}

/* ---- 5: the comparison ----------------------------------------------------------------------- */

static int show_comparison(struct demo *d, struct verify_result *verdict, struct err *e)
{
    struct arena arena = {0};
    struct verify_side source = {d->pair.source_client, d->pair.table};
    struct verify_side remote = {d->pair.remote_client, d->pair.table};
    chapter(d, "Both sides are compared, by digests");
    int rc = verify(&source, &remote, &arena, verdict, e);
    if (rc == 0)
        printf("     %llu records at the source, %llu at the remote\n",
               (unsigned long long)verdict->source_count,
               (unsigned long long)verdict->remote_count);
    if (rc == 0 && !verdict->is_equal)
        rc = err_set(e, E_CORRUPT, "dup verify: different: a key %s", verdict->how);
    arena_fini(&arena);
    return rc;
}

/* ---- Altogether ------------------------------------------------------------------------------ */

static void print_end(const struct demo *d)
{
    const struct samples *lags = &d->probes.lags;
    printf("\nlast-mutation lag over %zu isolated writes: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n",
           lags->count, samples_ms(lags, 500), samples_ms(lags, 990), samples_ms(lags, 1000));
    printf(
        "dup verify: equal\n"
        "\nTo look further:\n"
        "  pirened                            a server at 127.0.0.1:34601, nothing else needed\n"
        "  pirene table create t              then: pirene put t key value; pirene get t key\n"
        "  pirene dup add t --to HOST:PORT    pirene dup status t --watch\n"
        "  pirene bench last-mutation         the same measurement over 1000 writes\n"
        "  pirene --help                      everything else (docs/ARCHITECTURE.md: the map)\n");
}

int demo_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct demo d = {.cli = cli};
    struct verify_result verdict;
    int rc = args_number(args, "--writes", 1, 100000, 300, &d.writes, &e);
    if (rc == 0) rc = args_number(args, "--records", 1, 10000000, 50000, &d.records, &e);
    if (rc == 0) rc = args_duration_ms(args, "--gap-max", 10000, &d.gap_max_ms, &e);
    if (rc == 0) rc = show_link(&d, &e);
    if (rc == 0) rc = show_load(&d, &e);
    if (rc == 0) rc = show_isolated_writes(&d, &e);
    if (rc == 0) rc = show_restart(&d, &e);
    if (rc == 0) rc = show_comparison(&d, &verdict, &e);
    if (rc == 0) print_end(&d);
    probes_fini(&d.probes);
    pair_close(&d.pair);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
