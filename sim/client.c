/* sim/client.c: the program of a client's machine. */
#include "sim/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* ---- Life ------------------------------------------------------------------------------------ */

static void begin(struct io_post *post)
{
    struct sim_client *c = LIST_ENTRY(post, struct sim_client, post);
    struct cluster_options options = {.metas = c->metas, .framing = FRAME_THFT_V1};
    int rc = cluster_open(c->loop, &options, &c->cluster);
    CHECK(rc == 0);
    rc = cluster_table_open(c->cluster, c->table_name, &c->table);
    CHECK(rc == 0);
}

static void program(struct sim_machine *m, void *context)
{
    struct sim_client *c = context;
    int rc = io_loop_open(sim_machine_io(m), IO_LOOP_EVENTS, "client", &c->loop);
    CHECK(rc == 0);
    c->post.run = begin;
    io_post(c->loop, &c->post);
}

struct sim_client *sim_client_new(struct sim *sim, const char *name, const char *metas,
                                  const char *table)
{
    struct sim_client *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->sim = sim;
    c->metas = metas;
    c->table_name = table;
    c->machine = sim_machine_new(sim, name);
    sim_machine_start(c->machine, (struct sim_program){program, c});
    return c;
}

void sim_client_free(struct sim_client *c)
{
    if (c == NULL) return;
    if (sim_machine_is_up(c->machine)) sim_machine_crash(c->machine, SIM_KILL);
    free(c);
}

static void on_closed(void *context)
{
    struct sim_client *c = context;
    c->is_closed = true;
}

static void end(struct io_post *post)
{
    struct sim_client *c = LIST_ENTRY(post, struct sim_client, post);
    cluster_table_close(c->table);
    cluster_close(c->cluster, on_closed, c);
}

static void post_end(void *context)
{
    struct sim_client *c = context;
    c->post.run = end;
    io_post(c->loop, &c->post);
}

static void close_loop(void *context)
{
    struct sim_client *c = context;
    io_loop_close(c->loop);
}

static bool is_closed(void *context)
{
    const struct sim_client *c = context;
    return c->is_closed;
}

bool sim_client_stop(struct sim_client *c, uint64_t for_us)
{
    CHECK(sim_machine_do(c->machine, post_end, c));
    if (!sim_run_until(c->sim, is_closed, c, for_us)) return false;
    CHECK(sim_machine_do(c->machine, close_loop, c));
    sim_machine_exit(c->machine);
    return true;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void drop_answer(struct sim_call *call)
{
    chunk_unref(call->answer.chunk);
    call->answer = (struct rpc_answer){0};
}

static void on_done(struct cluster_call *cluster_call, const struct rpc_answer *answer)
{
    struct sim_call *call = LIST_ENTRY(cluster_call, struct sim_call, call);
    call->answer = *answer;
    if (answer->chunk != NULL) (void)chunk_ref(answer->chunk);
    call->is_done = true;
    if (call->on_done != NULL) call->on_done(call);
}

static void on_begin(struct io_post *post)
{
    struct sim_call *call = LIST_ENTRY(post, struct sim_call, post);
    struct sim_client *c = call->client;
    struct cluster_call *to = &call->call;
    to->rpc = call->rpc;
    to->schema = rpc_info(call->rpc)->request;
    to->args = call->args;
    to->deadline_ms = io_now(io_of(c->loop)).boot_ms + call->timeout_ms;
    to->flags = call->flags;
    to->on_done = on_done;
    enum rpc_kind kind = rpc_info(call->rpc)->kind;
    if (kind == RPC_KIND_META || kind == RPC_KIND_ADMIN || call->rpc == RPC_HELLO)
        cluster_call_meta(c->cluster, to);
    else if (call->is_to_partition)
        cluster_call_partition(c->table, (uint32_t)call->partition, call->hash, to);
    else cluster_call_key(c->table, call->hash, to);
}

static void post_begin(void *context)
{
    struct sim_call *call = context;
    call->post.run = on_begin;
    io_post(call->client->loop, &call->post);
}

void sim_call_begin(struct sim_client *c, struct sim_call *call)
{
    drop_answer(call);
    call->client = c;
    call->is_done = false;
    if (sim_machine_current() == c->machine) post_begin(call);
    else CHECK(sim_machine_do(c->machine, post_begin, call));
}

int sim_call_read(struct sim_call *call, void *out)
{
    if (call->answer.rc != 0) return call->answer.rc;
    if (call->answer.error != WIRE_ERR_OK) return E_STATE;
    arena_reset(&call->arena);
    return rpc_answer_read(&call->answer, rpc_info(call->rpc)->response, &call->arena, out);
}

void sim_call_fini(struct sim_call *call)
{
    drop_answer(call);
    arena_fini(&call->arena);
}

static bool is_done(void *context)
{
    const struct sim_call *call = context;
    return call->is_done;
}

int sim_ask(struct sim_client *c, struct sim_call *call, void *out)
{
    const uint64_t patience_us = (call->timeout_ms + 10000) * 1000;
    sim_call_begin(c, call);
    if (!sim_run_until(c->sim, is_done, call, patience_us)) return E_TIMEOUT;
    return sim_call_read(call, out);
}
