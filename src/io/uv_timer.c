/* src/io/uv_timer.c: any number of timers over one of libuv's. Starting and stopping costs O(log n)
 * and no system call; the alarm is moved once, at the end of the turn. */
#include "base/check.h"
#include "io/uv_impl.h"

static void on_alarm(uv_timer_t *alarm);

void io_timer_start(struct io_loop *loop, struct io_timer *timer, uint64_t boot_ms)
{
    io_timer_stop(timer);
    /* A deadline in the past counts as now: a timer that always starts itself anew comes behind all
     * others that are due, instead of starving them. */
    uint64_t now_ms = io_now(loop->io).boot_ms;
    timer->node.key = boot_ms > now_ms ? boot_ms : now_ms;
    timer->node.order = loop->timer_order++;
    timer->loop = loop;
    CHECK(heap_push(&loop->timers, &timer->node) == 0); /* The contract: stop the process. */
}

void io_timer_stop(struct io_timer *timer)
{
    if (timer->loop == NULL) return;
    heap_remove(&timer->loop->timers, &timer->node);
    timer->loop = NULL;
}

void io_uv_alarm_init(struct io_loop *loop)
{
    (void)uv_timer_init(&loop->uv, &loop->alarm); /* Always 0. */
    loop->alarm_ms = UINT64_MAX;
}

void io_uv_alarm_set(struct io_loop *loop)
{
    const struct heap_node *first = heap_top(&loop->timers);
    uint64_t first_ms = first != NULL ? first->key : UINT64_MAX;
    if (first_ms == loop->alarm_ms) return;
    loop->alarm_ms = first_ms;
    if (first == NULL) {
        (void)uv_timer_stop(&loop->alarm);
        return;
    }
    uint64_t now_ms = io_now(loop->io).boot_ms;
    uv_update_time(&loop->uv); /* libuv counts from its own, older reading. */
    CHECK(uv_timer_start(&loop->alarm, on_alarm, first_ms > now_ms ? first_ms - now_ms : 0, 0) ==
          0);
}

bool io_uv_alarm_is_late(const struct io_loop *loop)
{
    const struct heap_node *first = heap_top(&loop->timers);
    return first != NULL && first->key < loop->alarm_ms;
}

/* Run what is due. What is started meanwhile waits for the next turn, due or not. The alarm may
 * ring a little early, by another clock and another rounding: then it is set again. */
static void on_alarm(uv_timer_t *alarm)
{
    struct io_loop *loop = alarm->data;
    io_uv_awake(loop);
    loop->alarm_ms = UINT64_MAX;
    uint64_t now_ms = io_now(loop->io).boot_ms, order_end = loop->timer_order;
    for (;;) {
        struct heap_node *first = heap_top(&loop->timers);
        if (first == NULL || first->key > now_ms || first->order >= order_end) break;
        struct io_timer *timer = HEAP_ENTRY(first, struct io_timer, node);
        io_timer_stop(timer);
        timer->run(timer);
    }
}
