/* sim/io/loop.c: a thread of events as two queues: what is coming and what is ready.
 *
 *     io_post ──> letter (coming, until it arrives) ──> ready ──> turn: timers, all that is ready,
 *     timers, sockets, work ────────────────────────────^          hooks, one send per connection
 *
 * A turn is one event of the world, in which everything runs that was ready when it began. What
 * arrives at the same instant is collected first, because the turn was asked for last. */
#include <stdio.h>

#include "base/check.h"
#include "sim/io/net.h"
#include "sim/io/sim_io.h"

enum { AHEAD_US_MAX = 20 }; /* So much may a turn run ahead of the world's time before it pauses. */

struct letter {
    struct event event;
    struct list_node node; /* In loop->coming. */
    struct io_loop *loop;
    struct io_post *post;
};

static void turn_run(struct event *event);

static void alarm_run(struct event *event)
{
    sim_loop_wake(HEAP_ENTRY(event, struct io_loop, alarm));
}

int io_loop_open(struct io *io, enum io_loop_kind kind, const char *name, struct io_loop **out)
{
    struct sim_machine *m = io->machine;
    CHECK(m->is_up && m->loop_count < SIM_LOOPS_MAX);
    struct io_loop *loop = sim_alloc(sizeof *loop);
    loop->thread = (struct thread){.machine = m,
                                   .loop = loop,
                                   .may_block = kind == IO_LOOP_MAY_BLOCK,
                                   .serial = ++m->thread_serials,
                                   .local_us = sim_thread_now_us(m->sim)};
    (void)snprintf(loop->name, sizeof loop->name, "%s", name);
    list_init(&loop->ready);
    list_init(&loop->batch);
    list_init(&loop->coming);
    list_init(&loop->hooks);
    list_init(&loop->written);
    list_init(&loop->ends);
    loop->turn.run = turn_run;
    loop->alarm.run = alarm_run;
    m->loops[m->loop_count++] = loop;
    *out = loop;
    return 0;
}

struct io *io_of(struct io_loop *loop)
{
    return &loop->thread.machine->io;
}

bool io_is_on(struct io_loop *loop)
{
    struct thread *thread = sim_thread_current();
    return thread != NULL && thread->loop == loop;
}

/* ---- Letters ---- */

static void letter_deliver(struct letter *letter)
{
    struct io_loop *loop = letter->loop;
    struct io_post *post = letter->post;
    list_remove(&letter->node);
    sim_event_cancel(loop->thread.machine->sim, &letter->event);
    sim_free_memory(letter);
    sim_loop_ready(loop, post);
}

static void letter_run(struct event *event)
{
    letter_deliver(HEAP_ENTRY(event, struct letter, event));
}

void sim_loop_send(struct io_loop *loop, struct io_post *post, uint64_t at_us)
{
    struct sim *sim = loop->thread.machine->sim;
    struct letter *letter = sim_alloc(sizeof *letter);
    letter->event.run = letter_run;
    letter->loop = loop;
    letter->post = post;
    list_push_back(&loop->coming, &letter->node);
    sim_event_at(sim, &letter->event, at_us);
}

void sim_loop_ready(struct io_loop *loop, struct io_post *post)
{
    list_push_back(&loop->ready, &post->node);
    sim_loop_wake(loop);
}

void io_post(struct io_loop *loop, struct io_post *post)
{
    struct sim_machine *m = loop->thread.machine;
    struct thread *thread = sim_thread_current();
    CHECK(thread == NULL || thread->machine == m);
    sim_machine_output(m);
    if (thread == &loop->thread) sim_loop_ready(loop, post);
    else sim_loop_send(loop, post, sim_thread_departure(m));
}

/* Every thread of a machine wakes at once here: a visit would spare nothing, and change no order that
 * cannot come about without it. */
void io_post_quick(struct io_loop *loop, struct io_post *post)
{
    io_post(loop, post);
}

bool io_is_visited(const struct io_loop *loop)
{
    (void)loop;
    return false;
}

void io_call_home(struct io_loop *loop)
{
    (void)loop;
}

/* ---- Turns ---- */

/* The loop that runs right now; what becomes ready on it is looked at when it is done. */
static const struct io_loop *here(const struct sim_machine *m)
{
    const struct thread *thread = sim_thread_current();
    return thread != NULL && thread->machine == m ? thread->loop : NULL;
}

void sim_loop_wake(struct io_loop *loop)
{
    struct sim_machine *m = loop->thread.machine;
    if (loop == here(m) || m->is_paused || sim_event_is_waiting(&loop->turn)) return;
    if (!loop->is_in_turn && list_is_empty(&loop->ready) && list_is_empty(&loop->written) &&
        !sim_timers_due(loop))
        return;
    sim_event_at(m->sim, &loop->turn, loop->thread.local_us);
}

/* Run what was ready when the turn began. An event that takes time makes the turn pause: the rest
 * of it runs when that time has come. Returns true when all is done. */
static bool run_batch(struct io_loop *loop)
{
    const struct sim *sim = loop->thread.machine->sim;
    struct list_node *node;
    while ((loop->is_closing || loop->thread.local_us <= sim->now_us + AHEAD_US_MAX) &&
           (node = list_pop_front(&loop->batch)) != NULL) {
        struct io_post *post = LIST_ENTRY(node, struct io_post, node);
        post->run(post);
        sim_thread_spend(loop->thread.machine->pace.event_us);
        loop->turn_count++;
    }
    return list_is_empty(&loop->batch);
}

static void run_hooks(struct io_loop *loop)
{
    struct list_node *node = loop->hooks.next;
    while (node != &loop->hooks) {
        struct io_turn_hook *hook = LIST_ENTRY(node, struct io_turn_hook, node);
        node = node->next; /* It may remove itself. */
        hook->run(hook);
    }
}

static void turn_body(void *context)
{
    struct io_loop *loop = context;
    struct sim_machine *m = loop->thread.machine;
    if (!loop->is_in_turn) {
        loop->is_in_turn = true;
        loop->turn_count = 0;
        sim_timers_run(loop);
        list_splice_back(&loop->batch, &loop->ready);
    }
    if (!run_batch(loop)) return;
    run_hooks(loop);
    sim_tcp_flush(loop);
    sim_trace(m->sim, m, "turn", loop->turn_count, loop->thread.serial);
    loop->is_in_turn = false;
}

static void turn_run(struct event *event)
{
    struct io_loop *loop = HEAP_ENTRY(event, struct io_loop, turn);
    struct sim_machine *m = loop->thread.machine;
    if (m->is_paused) return;                                    /* Resuming asks for it again. */
    if (!sim_thread_run(&loop->thread, turn_body, loop)) return; /* The loop is gone too. */
    sim_timers_rearm(loop);
    sim_loop_wake(loop);
}

void io_turn_hook_add(struct io_loop *loop, struct io_turn_hook *hook)
{
    sim_check_on(loop);
    list_push_back(&loop->hooks, &hook->node);
}

void io_turn_hook_remove(struct io_turn_hook *hook)
{
    list_remove(&hook->node);
}

/* ---- The end ---- */

static struct letter *first_letter(struct io_loop *loop)
{
    struct letter *first = NULL;
    LIST_EACH (node, &loop->coming) {
        struct letter *letter = LIST_ENTRY(node, struct letter, node);
        const struct heap_node *a = &letter->event.node,
                               *b = first == NULL ? a : &first->event.node;
        if (first == NULL || a->key < b->key || (a->key == b->key && a->order < b->order))
            first = letter;
    }
    return first;
}

/* Let the thread come to the end of all that was posted, as a join does. */
static void run_out(struct io_loop *loop)
{
    struct letter *letter;
    sim_work_finish(loop);
    while ((letter = first_letter(loop)) != NULL || !list_is_empty(&loop->ready) ||
           !list_is_empty(&loop->written) || loop->is_in_turn) {
        for (; letter != NULL; letter = first_letter(loop)) {
            if (loop->thread.local_us < letter->event.node.key)
                loop->thread.local_us = letter->event.node.key;
            letter_deliver(letter);
        }
        (void)sim_thread_run(&loop->thread, turn_body, loop);
        sim_work_finish(loop);
    }
}

void io_loop_close(struct io_loop *loop)
{
    if (loop == NULL) return;
    struct thread *thread = sim_thread_current();
    CHECK(thread == NULL || (thread->machine == loop->thread.machine && thread->loop != loop));
    loop->is_closing = true;
    run_out(loop);
    CHECK(list_is_empty(&loop->ends) && loop->timers.count == 0);
    if (thread != NULL && thread->local_us < loop->thread.local_us)
        thread->local_us = loop->thread.local_us;
    sim_loop_drop(loop);
}

void sim_loop_drop(struct io_loop *loop)
{
    struct sim_machine *m = loop->thread.machine;
    struct list_node *node;
    while ((node = list_pop_front(&loop->coming)) != NULL) {
        struct letter *letter = LIST_ENTRY(node, struct letter, node);
        sim_event_cancel(m->sim, &letter->event);
        sim_free_memory(letter);
    }
    sim_event_cancel(m->sim, &loop->turn);
    sim_event_cancel(m->sim, &loop->alarm);
    heap_fini(&loop->timers);
    for (size_t i = 0; i < m->loop_count; i++) {
        if (m->loops[i] != loop) continue;
        m->loops[i] = m->loops[--m->loop_count];
        break;
    }
    sim_free_memory(loop);
}
