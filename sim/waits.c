/* sim/waits.c: ask, think, ask again. */
#include "sim/waits.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mark.h"

enum {
    THINK_MS_MAX = 2000,
    PATIENCE_MS_MAX = 3000, /* Of a wait; some end by it, some with yes. */
    ANSWER_MS = 1000,       /* The server keeps the time; its answer needs some too. */
};

static void on_answer(struct sim_call *call);

static void ask(struct waits *w)
{
    struct linked *l = w->linked;
    uint32_t partition = (uint32_t)prng_below(&w->prng, l->partitions[w->side]);
    w->args = (struct dup_wait_request){.timeout_ms =
                                            (int32_t)prng_between(&w->prng, 1, PATIENCE_MS_MAX)};
    w->call.rpc = RPC_DUP_WAIT;
    w->call.args = &w->args;
    w->call.partition = (int32_t)partition;
    w->call.is_to_partition = true;
    w->call.timeout_ms = (uint64_t)w->args.timeout_ms + ANSWER_MS;
    w->call.on_done = on_answer;
    w->decree = invariants_committed(l->invariants, w->side, partition);
    w->is_asking = true;
    sim_call_begin(l->clients[w->side], &w->call);
}

static void on_timer(struct io_timer *timer)
{
    struct waits *w = LIST_ENTRY(timer, struct waits, timer);
    if (!w->is_stopping) ask(w);
}

static void on_answer(struct sim_call *call)
{
    struct waits *w = LIST_ENTRY(call, struct waits, call);
    struct linked *l = w->linked;
    struct dup_wait_response response;
    w->is_asking = false;
    if (sim_call_read(call, &response) == 0 && slice_is(response.err, "ERR_OK")) {
        MARK("wait said yes among faults");
        invariants_waited(l->invariants, w->side, (uint32_t)call->partition, w->decree);
    }
    if (w->is_stopping) return;
    struct io_loop *loop = l->clients[w->side]->loop;
    io_timer_start(loop, &w->timer,
                   io_now(io_of(loop)).boot_ms + prng_below(&w->prng, THINK_MS_MAX));
}

struct waits *waits_new(struct linked *l, int side, uint64_t seed)
{
    struct waits *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->linked = l;
    w->side = side;
    w->timer.run = on_timer;
    prng_init(&w->prng, seed);
    ask(w);
    return w;
}

void waits_free(struct waits *w)
{
    if (w == NULL) return;
    sim_call_fini(&w->call);
    free(w);
}

void waits_stop(struct waits *w)
{
    w->is_stopping = true;
}

bool waits_is_idle(const struct waits *w)
{
    return !w->is_asking;
}
