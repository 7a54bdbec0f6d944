/* sim/io/world.c: the world itself: one heap of events, one time, two streams of chance.
 *
 * Events of the same instant run in the order in which they were asked for. Nothing in here knows
 * what an event does. */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/io/net.h"
#include "sim/io/sim_io.h"

enum {
    EVENTS_ROOM = 1024,
    EVENTS_AT_ONCE_MAX =
        10 * 1000 * 1000, /* Somebody spins, and time would stand still for ever. */
};

/* The heap takes its memory with mem_realloc(), on behalf of whoever runs. A block stays with its
 * first owner, so let that be the world. */
static void make_room(struct heap *heap)
{
    struct heap_node *nodes = sim_alloc(EVENTS_ROOM * sizeof *nodes);
    for (size_t i = 0; i < EVENTS_ROOM; i++) CHECK(heap_push(heap, &nodes[i]) == 0);
    for (size_t i = 0; i < EVENTS_ROOM; i++) heap_remove(heap, &nodes[i]);
    sim_free_memory(nodes);
}

struct sim *sim_new(uint64_t seed)
{
    CHECK(sim_thread_current() == NULL);
    struct sim *sim = sim_alloc(sizeof *sim);
    sim->seed = seed;
    prng_init(&sim->prng, seed);
    prng_init(&sim->harness_prng, ~seed);
    list_init(&sim->conns);
    sim->link_default = (struct sim_link){
        .delay_us = 100, .jitter_us = 30, .split_percent = 20, .window_size = 256 << 10};
    sim->tcp_limits = (struct sim_tcp_limits){.connect_us = 3000000, .abort_us = 60000000};
    make_room(&sim->heap);
    return sim;
}

void sim_free(struct sim *sim)
{
    if (sim == NULL) return;
    CHECK(sim_thread_current() == NULL);
    for (size_t i = 0; i < sim->machine_count; i++) sim_machine_free(sim->machines[i]);
    sim_conns_drop(sim);
    struct heap_node *node;
    while ((node = heap_top(&sim->heap)) != NULL) { /* Only calls of sim_at() are left. */
        heap_remove(&sim->heap, node);
        sim_free_memory(HEAP_ENTRY(node, struct event, node));
    }
    heap_fini(&sim->heap);
    sim_free_memory(sim);
}

uint64_t sim_now_us(const struct sim *sim)
{
    return sim->now_us;
}

uint64_t sim_seed(const struct sim *sim)
{
    return sim->seed;
}

uint64_t sim_events(const struct sim *sim)
{
    return sim->events;
}

struct prng *sim_prng(struct sim *sim)
{
    return &sim->harness_prng;
}

void sim_check_each(struct sim *sim, void (*check)(void *context), void *context)
{
    sim->check = check;
    sim->check_context = context;
}

void sim_event_at(struct sim *sim, struct event *event, uint64_t at_us)
{
    heap_remove(&sim->heap, &event->node);
    event->node.key = at_us > sim->now_us ? at_us : sim->now_us;
    event->node.order = sim->sequence++;
    CHECK(heap_push(&sim->heap, &event->node) == 0);
}

void sim_event_cancel(struct sim *sim, struct event *event)
{
    heap_remove(&sim->heap, &event->node);
}

bool sim_step(struct sim *sim)
{
    CHECK(sim_thread_current() == NULL);
    struct heap_node *node = heap_top(&sim->heap);
    if (node == NULL) return false;
    heap_remove(&sim->heap, node);
    CHECK(node->key >= sim->now_us);
    sim->events++;
    sim->events_at_once = node->key == sim->now_us ? sim->events_at_once + 1 : 0;
    CHECK(sim->events_at_once < EVENTS_AT_ONCE_MAX);
    sim->now_us = node->key;
    struct event *event = HEAP_ENTRY(node, struct event, node);
    event->run(event);
    if (sim->check != NULL) sim->check(sim->check_context);
    return true;
}

static bool step_before(struct sim *sim, uint64_t end_us)
{
    struct heap_node *node = heap_top(&sim->heap);
    return node != NULL && node->key <= end_us && sim_step(sim);
}

void sim_run_us(struct sim *sim, uint64_t for_us)
{
    uint64_t end_us = sim->now_us + for_us;
    while (step_before(sim, end_us)) continue;
    sim->now_us = end_us;
}

bool sim_run_until(struct sim *sim, bool (*is_done)(void *context), void *context, uint64_t for_us)
{
    uint64_t end_us = sim->now_us + for_us;
    while (!is_done(context)) {
        if (!step_before(sim, end_us)) {
            sim->now_us = end_us;
            return false;
        }
    }
    return true;
}

/* A call of the harness. */
struct call {
    struct event event; /* First: sim_free() frees it by this. */
    void (*run)(void *context);
    void *context;
};

static void call_run(struct event *event)
{
    struct call *call = (struct call *)(void *)event;
    void (*run)(void *context) = call->run;
    void *context = call->context;
    sim_free_memory(call);
    run(context);
}

void sim_at(struct sim *sim, uint64_t at_us, void (*run)(void *context), void *context)
{
    struct call *call = sim_alloc(sizeof *call);
    call->event.run = call_run;
    call->run = run;
    call->context = context;
    sim_event_at(sim, &call->event, at_us);
}

uint64_t sim_draw_exponential(struct prng *p, uint64_t mean)
{
    if (mean == 0) return 0;
    double even = (double)(prng_next(p) >> 11) / (double)(UINT64_C(1) << 53);
    double drawn = -log(1 - even) * (double)mean;
    double most = 20 * (double)mean;
    return (uint64_t)(drawn < most ? drawn : most);
}

bool sim_draw_per_million(struct prng *p, uint32_t per_million)
{
    return per_million != 0 && prng_below(p, 1000000) < per_million;
}
