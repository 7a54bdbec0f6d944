/* src/cli/load.c: lanes of requests that follow one another. */
#include "cli/load.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "wire/key.h"

enum { LANES_MAX = 64, POOL = 64, HASH_KEY_SIZE = 16, TICK_MS = 100 };

struct load {
    const struct load_options *options;
    atomic_bool is_over;
    atomic_uint_fast64_t next_key; /* While filling. */
    atomic_uint_fast64_t done;
    struct gate *gate; /* One pass for every request that is over. */
    uint8_t *values;   /* POOL of them. */
};

struct lane {
    struct load *load;
    struct io_loop *loop;
    struct client *client;
    struct client_table *table;
    struct prng prng;
    struct samples samples;
    uint64_t errors, missing;
    struct err e;
    struct io_post post;
    struct request *requests;
    uint32_t request_count;
};

/* One request under way, again and again. */
struct request {
    struct client_call call;
    struct lane *lane;
    uint64_t begin_ns;
    bool is_read;
    struct update_request put;
    struct bare_blob get;
    uint8_t key[KEY_HEAD_SIZE + HASH_KEY_SIZE];
};

/* ---- Requests -------------------------------------------------------------------------------- */

/* The next key's number; false: it is over. */
static bool next_key(struct lane *lane, uint64_t *out)
{
    struct load *load = lane->load;
    if (atomic_load_explicit(&load->is_over, memory_order_relaxed)) return false;
    if (!load->options->is_fill) {
        *out = prng_below(&lane->prng, load->options->key_count);
        return true;
    }
    *out = atomic_fetch_add_explicit(&load->next_key, 1, memory_order_relaxed);
    return *out < load->options->key_count;
}

/* "k" and 15 digits: printing with printf would cost more than the rest of the request. */
static void write_key(uint8_t *key, uint64_t number)
{
    bytes_put_be16(key, HASH_KEY_SIZE);
    key[KEY_HEAD_SIZE] = 'k';
    for (size_t i = HASH_KEY_SIZE - 1; i > 0; i--, number /= 10)
        key[KEY_HEAD_SIZE + i] = (uint8_t)('0' + number % 10);
}

static void send_next(struct request *r)
{
    struct lane *lane = r->lane;
    struct load *load = lane->load;
    uint64_t number;
    if (!next_key(lane, &number)) {
        gate_pass(load->gate);
        return;
    }
    write_key(r->key, number);
    r->is_read = prng_below(&lane->prng, 100) < load->options->read_percent;
    r->call.hash = crc64(r->key + KEY_HEAD_SIZE, HASH_KEY_SIZE);
    r->call.rpc = r->is_read ? RPC_GET : RPC_PUT;
    r->call.args = r->is_read ? (void *)&r->get : (void *)&r->put;
    size_t size = load->options->value_size;
    r->put.value = slice_of(load->values + prng_below(&lane->prng, POOL) * size, size);
    r->begin_ns = cli_now_ns();
    client_call(lane->client, &r->call);
}

static int check_answer(const struct request *r, const struct rpc_answer *answer, bool *is_missing,
                        struct err *e)
{
    struct read_response read;
    struct update_response update;
    int rc = client_verdict(answer, "the server", e);
    if (rc == 0)
        rc = r->is_read ? rpc_answer_read(answer, &read_response_schema, NULL, &read)
                        : rpc_answer_read(answer, &update_response_schema, NULL, &update);
    if (rc != 0) return rc;
    int32_t status = r->is_read ? read.error : update.error;
    *is_missing = r->is_read && status == RRDB_NOT_FOUND;
    if (status == RRDB_OK || *is_missing) return 0;
    return err_set(e, E_STATE, "the server answered with status %d", (int)status);
}

static void on_done(struct client_call *call, const struct rpc_answer *answer)
{
    struct request *r = LIST_ENTRY(call, struct request, call);
    struct lane *lane = r->lane;
    uint64_t now_ns = cli_now_ns();
    bool is_missing = false;
    if (check_answer(r, answer, &is_missing, lane->errors == 0 ? &lane->e : NULL) == 0) {
        samples_add(&lane->samples, now_ns - r->begin_ns);
        lane->missing += is_missing;
    } else {
        lane->errors++;
    }
    atomic_fetch_add_explicit(&lane->load->done, 1, memory_order_relaxed);
    send_next(r);
}

static void start_on_loop(struct io_post *post)
{
    struct lane *lane = LIST_ENTRY(post, struct lane, post);
    for (uint32_t i = 0; i < lane->request_count; i++) send_next(&lane->requests[i]);
}

/* ---- Lanes ----------------------------------------------------------------------------------- */

static void lane_close(struct lane *lane)
{
    client_close(lane->client);
    io_loop_close(lane->loop);
    mem_free(lane->requests);
    samples_fini(&lane->samples);
}

static int lane_open(struct lane *lane, struct cli *cli, struct load *load, uint32_t request_count)
{
    lane->load = load;
    lane->request_count = request_count;
    lane->post.run = start_on_loop;
    prng_init(&lane->prng, io_seed(cli->io));
    lane->requests = mem_zalloc(request_count * sizeof *lane->requests);
    if (lane->requests == NULL) return E_NOMEM;
    int rc = io_loop_open(cli->io, IO_LOOP_EVENTS, "load", &lane->loop);
    if (rc == 0) rc = client_open(lane->loop, load->options->metas, &lane->client);
    if (rc == 0) rc = client_table(lane->client, load->options->table, &lane->table);
    for (uint32_t i = 0; rc == 0 && i < request_count; i++) {
        struct request *r = &lane->requests[i];
        r->lane = lane;
        r->put.key = r->get.value = slice_of(r->key, sizeof r->key);
        r->call.to = CLIENT_KEY;
        r->call.table = lane->table;
        r->call.on_done = on_done;
    }
    return rc;
}

/* Ask for the route before the clock starts. */
static int lane_warm(struct lane *lane, const char *table, struct err *e)
{
    struct arena arena = {0};
    struct read_response result;
    uint8_t key[KEY_HEAD_SIZE + 1] = {0, 1, 'k'};
    struct bare_blob args = {.value = slice_of(key, sizeof key)};
    struct client_question question = {.to = CLIENT_KEY,
                                       .table = lane->table,
                                       .hash = crc64("k", 1),
                                       .rpc = RPC_GET,
                                       .args = &args};
    int rc = client_ask(lane->client, &question, &arena, &result, e);
    arena_fini(&arena);
    return rc == 0 ? 0 : err_wrap(e, rc, "table %s", table);
}

/* ---- A run ----------------------------------------------------------------------------------- */

static bool is_complete(const struct load *load, uint64_t begin_ns)
{
    const struct load_options *o = load->options;
    if (cli_is_interrupted()) return true;
    if (o->is_fill) return atomic_load(&load->done) >= o->key_count;
    return cli_now_ns() - begin_ns >= o->seconds * 1000000000;
}

static void watch(struct load *load, uint64_t begin_ns)
{
    const struct load_options *o = load->options;
    struct progress progress = {0};
    while (!is_complete(load, begin_ns)) {
        cli_sleep_ms(o->is_fill ? TICK_MS / 5 : TICK_MS);
        double took_s = (double)(cli_now_ns() - begin_ns) / 1e9;
        uint64_t done = atomic_load(&load->done);
        double part =
            o->is_fill ? (double)done / (double)o->key_count : took_s / (double)o->seconds;
        if (o->label != NULL)
            progress_show(&progress, part, "%s: %llu, %.0f/s", o->label, (unsigned long long)done,
                          (double)done / took_s);
        if (o->on_tick != NULL) o->on_tick(o->context);
    }
    progress_end(&progress);
    atomic_store(&load->is_over, true);
}

/* What the lanes measured, together. */
static void collect(const struct lane *lanes, uint32_t count, struct load_result *out)
{
    for (uint32_t i = 0; i < count; i++) {
        samples_append(&out->samples, &lanes[i].samples);
        if (out->errors == 0) out->e = lanes[i].e;
        out->errors += lanes[i].errors;
        out->missing += lanes[i].missing;
    }
    out->ops = out->samples.count;
    samples_sort(&out->samples);
}

static uint8_t *make_values(struct cli *cli, size_t size)
{
    struct prng prng;
    uint8_t *values = mem_alloc(POOL * size + 1);
    prng_init(&prng, io_seed(cli->io));
    for (size_t i = 0; values != NULL && i < POOL * size; i++)
        values[i] = (uint8_t)(' ' + prng_below(&prng, 95));
    return values;
}

static int run_lanes(struct cli *cli, struct load *load, struct lane *lanes,
                     struct load_result *out, struct err *e)
{
    const struct load_options *o = load->options;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < o->lanes; i++) {
        uint32_t share = o->in_flight / o->lanes + (i < o->in_flight % o->lanes);
        rc = lane_open(&lanes[i], cli, load, share);
        if (rc != 0) err_set(e, rc, "connection %u: %s", i, err_text(rc));
        else rc = lane_warm(&lanes[i], o->table, e);
    }
    if (rc == 0) rc = gate_new(o->in_flight, &load->gate);
    if (rc != 0) return rc;
    uint64_t begin_ns = cli_now_ns();
    for (uint32_t i = 0; i < o->lanes; i++) io_post(lanes[i].loop, &lanes[i].post);
    watch(load, begin_ns);
    gate_wait_free(load->gate);
    out->took_ns = cli_now_ns() - begin_ns;
    collect(lanes, o->lanes, out);
    return 0;
}

int load_run(struct cli *cli, const struct load_options *options, struct load_result *out,
             struct err *e)
{
    struct load load = {.options = options};
    CHECK(options->lanes > 0 && options->lanes <= LANES_MAX);
    CHECK(options->in_flight >= options->lanes);
    *out = (struct load_result){0};
    struct lane *lanes = mem_zalloc(options->lanes * sizeof *lanes);
    load.values = make_values(cli, options->value_size);
    int rc = lanes != NULL && load.values != NULL ? run_lanes(cli, &load, lanes, out, e)
                                                  : err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; lanes != NULL && i < options->lanes; i++) lane_close(&lanes[i]);
    mem_free(lanes);
    mem_free(load.values);
    return rc;
}
