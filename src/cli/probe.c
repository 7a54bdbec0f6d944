/* src/cli/probe.c: put, then get until it is there. */
#include "cli/probe.h"

#include <string.h>
#include <time.h>

#include "base/check.h"
#include "wire/key.h"

enum {
    VALUE_SIZE = 100,
    PAUSE_NS_MAX = 50 * 1000000,
    SETTLE_MS = 20, /* The end of a gap, in which only the loop's timer is left to come. */
};

/* One write under way. */
struct probe {
    struct probes *probes;
    struct gate *gate;
    struct io_post post;
    struct io_timer timer;
    uint64_t settle_ms;
    struct client_call put, get;
    struct update_request put_args;
    struct bare_blob get_args;
    struct buf key;
    uint8_t value[VALUE_SIZE];
    uint64_t hash;
    uint64_t begin_ns, acked_ns, seen_ns, reads;
    int rc;
    struct err e;
};

int probes_init(struct probes *p, struct pair *pair, struct err *e)
{
    *p = (struct probes){.pair = pair};
    prng_init(&p->prng, io_seed(pair->cli->io));
    int rc = client_table(pair->source_client, pair->table, &p->source);
    if (rc == 0) rc = client_table(pair->remote_client, pair->table, &p->remote);
    return rc == 0 ? 0 : err_set(e, rc, "table %s: %s", pair->table, err_text(rc));
}

void probes_fini(struct probes *p)
{
    samples_fini(&p->lags);
    samples_fini(&p->acks);
}

/* A key that nobody has written, in the partition whose turn it is. */
static void choose_key(struct probes *p, struct probe *probe)
{
    uint64_t turn = p->sequence++ % p->pair->partition_count;
    char hash_key[32];
    do {
        (void)snprintf(hash_key, sizeof hash_key, "last-%016llx",
                       (unsigned long long)prng_next(&p->prng));
        probe->hash = key_parts_hash(slice_str(hash_key), (struct slice){0});
    } while (probe->hash % p->pair->partition_count != turn);
    buf_clear(&probe->key);
    key_append(&probe->key, slice_str(hash_key), (struct slice){0});
    prng_bytes(&p->prng, probe->value, sizeof probe->value);
}

static void end(struct probe *probe, int rc)
{
    probe->rc = rc;
    gate_pass(probe->gate);
}

/* The loop is the probe's alone: nobody else waits while it sleeps. */
static void pause_reading(const struct probe *probe)
{
    uint64_t passed_ns = cli_now_ns() - probe->acked_ns, pause_ns = passed_ns / 10;
    if (passed_ns < (uint64_t)READ_HARD_US * 1000) return;
    struct timespec pause = {.tv_nsec = pause_ns < PAUSE_NS_MAX ? (long)pause_ns : PAUSE_NS_MAX};
    (void)nanosleep(&pause, NULL);
}

static void read_again(struct probe *probe)
{
    if (probe->reads++ > 0) pause_reading(probe);
    client_call(probe->probes->pair->remote_client, &probe->get);
}

static void on_read(struct client_call *call, const struct rpc_answer *answer)
{
    struct probe *probe = LIST_ENTRY(call, struct probe, get);
    uint64_t now_ns = cli_now_ns();
    struct read_response result;
    int rc = client_verdict(answer, "the remote", &probe->e);
    if (rc == 0) rc = rpc_answer_read(answer, &read_response_schema, NULL, &result);
    if (rc != 0) {
        end(probe, rc);
    } else if (result.error == RRDB_OK &&
               slice_equal(result.value, slice_of(probe->value, sizeof probe->value))) {
        probe->seen_ns = now_ns;
        end(probe, 0);
    } else if (now_ns - probe->acked_ns > (uint64_t)PROBE_MS * 1000000) {
        end(probe,
            err_set(&probe->e, E_TIMEOUT, "a write was not visible after %d s", PROBE_MS / 1000));
    } else {
        read_again(probe);
    }
}

static void on_written(struct client_call *call, const struct rpc_answer *answer)
{
    struct probe *probe = LIST_ENTRY(call, struct probe, put);
    probe->acked_ns = cli_now_ns();
    struct update_response result;
    int rc = client_verdict(answer, "the source", &probe->e);
    if (rc == 0) rc = rpc_answer_read(answer, &update_response_schema, NULL, &result);
    if (rc == 0 && result.error != RRDB_OK)
        rc = err_set(&probe->e, E_STATE, "the source refused a write: status %d", result.error);
    if (rc != 0) end(probe, rc);
    else read_again(probe);
}

static void begin(struct io_timer *timer)
{
    struct probe *probe = LIST_ENTRY(timer, struct probe, timer);
    probe->begin_ns = cli_now_ns();
    client_call(probe->probes->pair->source_client, &probe->put);
}

static void settle(struct io_post *post)
{
    struct probe *probe = LIST_ENTRY(post, struct probe, post);
    const struct cli *cli = probe->probes->pair->cli;
    io_timer_start(cli->loop, &probe->timer, io_now(cli->io).boot_ms + probe->settle_ms);
}

int probes_write(struct probes *p, uint64_t gap_ms, struct err *e)
{
    struct probe probe = {
        .probes = p,
        .post.run = settle,
        .timer.run = begin,
        .settle_ms = gap_ms < SETTLE_MS ? gap_ms : SETTLE_MS,
    };
    cli_sleep_ms(gap_ms - probe.settle_ms);
    choose_key(p, &probe);
    probe.put_args = (struct update_request){.key = buf_slice(&probe.key),
                                             .value = slice_of(probe.value, sizeof probe.value)};
    probe.get_args = (struct bare_blob){.value = buf_slice(&probe.key)};
    probe.put = (struct client_call){.to = CLIENT_KEY,
                                     .table = p->source,
                                     .hash = probe.hash,
                                     .rpc = RPC_PUT,
                                     .args = &probe.put_args,
                                     .on_done = on_written};
    probe.get = (struct client_call){.to = CLIENT_KEY,
                                     .table = p->remote,
                                     .hash = probe.hash,
                                     .rpc = RPC_GET,
                                     .args = &probe.get_args,
                                     .on_done = on_read};
    int rc = buf_status(&probe.key);
    if (rc == 0) rc = gate_new(1, &probe.gate);
    if (rc != 0) return err_set(e, rc, "%s", err_text(rc));
    io_post(p->pair->cli->loop, &probe.post);
    gate_wait_free(probe.gate);
    buf_fini(&probe.key);
    if (probe.rc != 0) {
        if (e != NULL) *e = probe.e;
        return probe.rc;
    }
    samples_add(&p->acks, probe.acked_ns - probe.begin_ns);
    samples_add(&p->lags, probe.seen_ns - probe.acked_ns);
    p->reads += probe.reads;
    return 0;
}
