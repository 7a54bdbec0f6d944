/* src/cli/bench_burst.c: bench burst: writers at full speed, then silence. How soon is the last
 * acknowledged write of every writer visible on the remote, with no further write to push it along;
 * and do the servers rest afterwards? */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/samples.h"
#include "cli/servers.h"
#include "wire/key.h"

enum { PARTITIONS = 8, VALUE_SIZE = 100, KEYS_OF_WRITER = 625, VISIBLE_MS_MAX = 30000 };

struct burst;

/* One writer: puts, one after the other; at the end it reads its last one at the remote until it is
 * there. */
struct writer {
    struct burst *burst;
    unsigned index;
    struct client_call put, get;
    struct update_request put_args;
    struct bare_blob get_args;
    uint64_t sequence;
    uint64_t acked_ns, seen_ns;
    uint8_t key[KEY_HEAD_SIZE + 16];
    uint8_t value[VALUE_SIZE];
    int rc;
};

struct burst {
    struct pair pair;
    struct client_table *source, *remote;
    struct writer *writers;
    uint32_t count;
    uint64_t end_ns; /* No write begins after. */
    uint64_t ops;
    struct gate *gate;
    struct io_post post;
    struct err e;
};

/* ---- One writer, on the loop ----------------------------------------------------------------- */

static void end(struct writer *w, int rc)
{
    w->rc = rc;
    gate_pass(w->burst->gate);
}

static void write_next(struct writer *w)
{
    char name[17];
    w->sequence++;
    (void)snprintf(name, sizeof name, "w%03u-%011llu", w->index % 1000,
                   (unsigned long long)(w->sequence % KEYS_OF_WRITER));
    bytes_put_be16(w->key, 16);
    memcpy(w->key + KEY_HEAD_SIZE, name, 16);
    bytes_put_le64(w->value, w->sequence); /* Every write has a value of its own. */
    w->put.hash = w->get.hash = crc64(name, 16);
    client_call(w->burst->pair.source_client, &w->put);
}

static void read_again(struct writer *w)
{
    client_call(w->burst->pair.remote_client, &w->get);
}

static void on_written(struct client_call *call, const struct rpc_answer *answer)
{
    struct writer *w = LIST_ENTRY(call, struct writer, put);
    struct update_response result;
    uint64_t now_ns = cli_now_ns();
    int rc = client_verdict(answer, "the source", &w->burst->e);
    if (rc == 0) rc = rpc_answer_read(answer, &update_response_schema, NULL, &result);
    if (rc == 0 && result.error != RRDB_OK)
        rc = err_set(&w->burst->e, E_STATE, "a write was refused: status %d", (int)result.error);
    if (rc != 0) {
        end(w, rc);
        return;
    }
    w->acked_ns = now_ns;
    w->burst->ops++;
    if (now_ns < w->burst->end_ns) write_next(w);
    else read_again(w);
}

static void on_read(struct client_call *call, const struct rpc_answer *answer)
{
    struct writer *w = LIST_ENTRY(call, struct writer, get);
    struct read_response result;
    uint64_t now_ns = cli_now_ns();
    int rc = client_verdict(answer, "the remote", &w->burst->e);
    if (rc == 0) rc = rpc_answer_read(answer, &read_response_schema, NULL, &result);
    if (rc != 0) {
        end(w, rc);
    } else if (result.error == RRDB_OK && slice_equal(result.value, w->put_args.value)) {
        w->seen_ns = now_ns;
        end(w, 0);
    } else if (now_ns - w->acked_ns > (uint64_t)VISIBLE_MS_MAX * 1000000) {
        end(w, err_set(&w->burst->e, E_TIMEOUT,
                       "the last write of a burst was not visible after "
                       "%d s",
                       VISIBLE_MS_MAX / 1000));
    } else {
        read_again(w);
    }
}

static void start_on_loop(struct io_post *post)
{
    struct burst *b = LIST_ENTRY(post, struct burst, post);
    for (uint32_t i = 0; i < b->count; i++) write_next(&b->writers[i]);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static int burst_open(struct burst *b, struct cli *cli, const char *sync, uint32_t count,
                      struct err *e)
{
    int rc = pair_open(&b->pair, cli, sync, PARTITIONS, e);
    if (rc != 0) return rc;
    b->count = count;
    b->post.run = start_on_loop;
    b->writers = mem_zalloc(count * sizeof *b->writers);
    rc = b->writers != NULL ? client_table(b->pair.source_client, b->pair.table, &b->source)
                            : E_NOMEM;
    if (rc == 0) rc = client_table(b->pair.remote_client, b->pair.table, &b->remote);
    if (rc != 0) return err_set(e, rc, "%s", err_text(rc));
    for (uint32_t i = 0; i < count; i++) {
        struct writer *w = &b->writers[i];
        w->burst = b;
        w->index = i;
        w->put_args.key = w->get_args.value = slice_of(w->key, sizeof w->key);
        w->put_args.value = slice_of(w->value, sizeof w->value);
        w->put = (struct client_call){.to = CLIENT_KEY,
                                      .table = b->source,
                                      .rpc = RPC_PUT,
                                      .args = &w->put_args,
                                      .on_done = on_written};
        w->get = (struct client_call){.to = CLIENT_KEY,
                                      .table = b->remote,
                                      .rpc = RPC_GET,
                                      .args = &w->get_args,
                                      .on_done = on_read};
    }
    return 0;
}

static void burst_close(struct burst *b)
{
    pair_close(&b->pair);
    mem_free(b->writers);
}

struct round {
    uint64_t lag_ns;       /* The slowest writer's. */
    uint64_t last_lag_ns;  /* Of the very last acknowledged write. */
    uint64_t cpu_after_ns; /* Of both servers, in the second after. */
    uint64_t ops;
};

static uint64_t both_cpu_ns(const struct burst *b)
{
    return server_cpu_ns(b->pair.source.pid) + server_cpu_ns(b->pair.remote.pid);
}

static int run_round(struct burst *b, uint64_t burst_ms, struct round *out, struct err *e)
{
    enum { REST_MS = 1000 };
    uint64_t last_ns = 0;
    int rc = gate_new(b->count, &b->gate);
    if (rc != 0) return err_set(e, rc, "%s", err_text(rc));
    *out = (struct round){0};
    b->ops = 0;
    b->end_ns = cli_now_ns() + burst_ms * 1000000;
    io_post(b->pair.cli->loop, &b->post);
    gate_wait_free(b->gate);
    out->ops = b->ops;
    for (uint32_t i = 0; rc == 0 && i < b->count; i++) {
        const struct writer *w = &b->writers[i];
        rc = w->rc;
        if (rc != 0) break;
        uint64_t lag_ns = w->seen_ns - w->acked_ns;
        if (lag_ns > out->lag_ns) out->lag_ns = lag_ns;
        if (w->acked_ns <= last_ns) continue;
        last_ns = w->acked_ns;
        out->last_lag_ns = lag_ns;
    }
    if (rc != 0) {
        *e = b->e;
        return rc;
    }
    uint64_t cpu_ns = both_cpu_ns(b);
    cli_sleep_ms(REST_MS);
    out->cpu_after_ns = both_cpu_ns(b) - cpu_ns;
    return 0;
}

static void report(struct cli *cli, const struct burst *b, struct samples *lags,
                   struct samples *last, struct samples *cpu, uint64_t ops, const char *sync)
{
    json_t *o = json_new();
    samples_sort(lags);
    samples_sort(last);
    samples_sort(cpu);
    json_set_int(o, "rounds", (int64_t)lags->count);
    json_set_int(o, "writers", b->count);
    json_set_text(o, "sync", sync);
    json_set_real(o, "max_ms", samples_ms(lags, 1000), 3);
    json_set_real(o, "p50_ms", samples_ms(lags, 500), 3);
    json_set_real(o, "last_write_max_ms", samples_ms(last, 1000), 3);
    json_set_real(o, "cpu_after_ms", samples_ms(cpu, 1000), 3);
    json_set_real(o, "cpu_after_p50_ms", samples_ms(cpu, 500), 3);
    json_set_int(o, "writes", (int64_t)ops);
    output_say(
        &cli->out, o,
        "last writes of %zu bursts of %u writers (%llu writes, sync = %s): visible after p50 "
        "%.2f ms, max %.2f ms; CPU of both servers in the second after: p50 %.2f ms, max "
        "%.2f ms",
        lags->count, b->count, (unsigned long long)ops, sync, samples_ms(lags, 500),
        samples_ms(lags, 1000), samples_ms(cpu, 500), samples_ms(cpu, 1000));
}

int bench_burst_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct burst b = {0};
    struct samples lags = {0}, last = {0}, cpu = {0};
    struct progress progress = {0};
    uint64_t rounds, writers, burst_ms, ops = 0;
    const char *sync;
    int rc = args_number(args, "--rounds", 1, 100000, 50, &rounds, &e);
    if (rc == 0) rc = args_number(args, "--writers", 1, 999, 32, &writers, &e);
    if (rc == 0) rc = args_duration_ms(args, "--burst", 2000, &burst_ms, &e);
    if (rc == 0) rc = bench_sync(args, &sync, &e);
    if (rc == 0) rc = burst_open(&b, cli, sync, (uint32_t)writers, &e);
    for (uint64_t i = 0; rc == 0 && i < rounds && !cli_is_interrupted(); i++) {
        struct round round = {0};
        rc = run_round(&b, burst_ms, &round, &e);
        if (rc != 0) break;
        samples_add(&lags, round.lag_ns);
        samples_add(&last, round.last_lag_ns);
        samples_add(&cpu, round.cpu_after_ns);
        ops += round.ops;
        progress_show(&progress, (double)(i + 1) / (double)rounds,
                      "%llu of %llu bursts, this one: %.2f ms", (unsigned long long)i + 1,
                      (unsigned long long)rounds, (double)round.lag_ns / 1e6);
    }
    progress_end(&progress);
    if (rc == 0) report(cli, &b, &lags, &last, &cpu, ops, sync);
    burst_close(&b);
    samples_fini(&lags);
    samples_fini(&last);
    samples_fini(&cpu);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
