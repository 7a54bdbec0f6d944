/* sim/io/timer.c: timers, which fire by the machine's own clock, a little late.
 *
 * Each loop has a heap of its timers and one event of the world, its alarm, for the first of them.
 * The alarm is set again when the first changes and when the clock's rate does. */
#include "base/check.h"
#include "sim/io/sim_io.h"

static uint64_t boot_ms_now(const struct io_loop *loop)
{
    const struct sim_machine *m = loop->thread.machine;
    return sim_clock_boot_us(m, sim_thread_now_us(m->sim)) / 1000;
}

static struct io_timer *first_timer(const struct io_loop *loop)
{
    struct heap_node *node = heap_top(&loop->timers);
    return node == NULL ? NULL : HEAP_ENTRY(node, struct io_timer, node);
}

bool sim_timers_due(const struct io_loop *loop)
{
    if (loop->thread.machine->are_timers_held) return false;
    struct io_timer *first = first_timer(loop);
    return first != NULL && first->node.key <= boot_ms_now(loop);
}

void sim_timers_rearm(struct io_loop *loop)
{
    struct sim_machine *m = loop->thread.machine;
    struct io_timer *first = first_timer(loop);
    if (first == NULL || m->are_timers_held) {
        sim_event_cancel(m->sim, &loop->alarm);
        loop->alarm_ms = 0;
        return;
    }
    if (sim_event_is_waiting(&loop->alarm) && loop->alarm_ms == first->node.key) return;
    loop->alarm_ms = first->node.key;
    uint64_t late_us =
        m->pace.timer_us_max == 0 ? 0 : prng_below(&m->sim->prng, m->pace.timer_us_max);
    sim_event_at(m->sim, &loop->alarm, sim_clock_when(m, loop->alarm_ms * 1000) + late_us);
}

void io_timer_start(struct io_loop *loop, struct io_timer *timer, uint64_t boot_ms)
{
    sim_check_on(loop);
    io_timer_stop(timer);
    timer->loop = loop;
    uint64_t now_ms = boot_ms_now(loop);
    timer->node.key = boot_ms > now_ms ? boot_ms : now_ms; /* Behind those that are due already. */
    timer->node.order = loop->timer_sequence++;
    struct memory *process = sim_memory_enter(NULL); /* The heap is the world's. */
    CHECK(heap_push(&loop->timers, &timer->node) == 0);
    (void)sim_memory_enter(process);
}

void io_timer_stop(struct io_timer *timer)
{
    if (timer->loop == NULL) return;
    sim_check_on(timer->loop);
    heap_remove(&timer->loop->timers, &timer->node);
    timer->loop = NULL;
}

static bool is_allowed(const struct sim_machine *m, const struct io_timer *timer)
{
    for (size_t i = 0; i < m->timers_allowed_count; i++)
        if (m->timers_allowed[i] == timer->run) return true;
    return false;
}

void sim_timers_run(struct io_loop *loop)
{
    struct sim_machine *m = loop->thread.machine;
    uint64_t last_order =
        loop->timer_sequence; /* One that is started in here waits for the next turn. */
    while (sim_timers_due(loop)) {
        struct io_timer *timer = first_timer(loop);
        if (timer->node.order >= last_order) break;
        heap_remove(&loop->timers, &timer->node);
        timer->loop = NULL;
        sim_trace(m->sim, m, "timer", timer->node.key, loop->thread.serial);
        if (m->is_timer_forbidden && !is_allowed(m, timer)) m->timers_fired++;
        timer->run(timer);
        sim_thread_spend(m->pace.event_us);
    }
}

void sim_timers_forbid(struct sim_machine *m, bool is_forbidden)
{
    m->is_timer_forbidden = is_forbidden;
}

void sim_timers_hold(struct sim_machine *m, bool is_held)
{
    m->are_timers_held = is_held;
    for (size_t i = 0; i < m->loop_count; i++) sim_timers_rearm(m->loops[i]);
}

void sim_timers_allow(struct sim_machine *m, void (*run)(struct io_timer *timer))
{
    CHECK(m->timers_allowed_count < SIM_TIMERS_ALLOWED_MAX);
    m->timers_allowed[m->timers_allowed_count++] = run;
}

uint64_t sim_timers_fired(const struct sim_machine *m)
{
    return m->timers_fired;
}
