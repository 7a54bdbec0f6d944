/* sim/io/machine.c: switching machines on and off, and whose code runs.
 *
 *     off ── start ──> up ── crash, exit ──> off        is_powered: its system; is_up: its process
 *                      up <── pause, resume ──> paused
 *
 * The world enters a process with sim_thread_run(), which notes where to return to should the
 * process die in there: a crash from its own code is a longjmp to that place, past frames that own
 * nothing but memory of the process. */
#include <string.h>

#include "base/check.h"
#include "sim/io/disk.h"
#include "sim/io/net.h"
#include "sim/io/sim_io.h"

enum { PORT_FIRST_FREE = 40000 };
static const uint64_t BOOT_FIRST_US = UINT64_C(1000) * 1000000; /* It has been up for a while. */
static const uint64_t WALL_FIRST_US = UINT64_C(1767225600) * 1000000; /* 2026-01-01. */

static struct thread *current;

/* ---- Whose code runs ---- */

struct thread *sim_thread_current(void)
{
    return current;
}

struct sim_machine *sim_machine_current(void)
{
    return current == NULL ? NULL : current->machine;
}

uint64_t sim_thread_now_us(const struct sim *sim)
{
    return current == NULL || current->local_us < sim->now_us ? sim->now_us : current->local_us;
}

void sim_thread_spend(uint64_t us)
{
    if (current != NULL) current->local_us += us;
}

bool sim_thread_may_block(bool may_block)
{
    CHECK(current != NULL);
    bool before = current->may_block;
    current->may_block = may_block;
    return before;
}

void sim_check_on(const struct io_loop *loop)
{
    CHECK(current != NULL && current->loop == loop);
}

void sim_check_may_block(const struct sim_machine *m)
{
    CHECK(current == NULL || (current->machine == m && current->may_block));
}

uint64_t sim_thread_departure(struct sim_machine *m)
{
    uint64_t at_us = sim_thread_now_us(m->sim);
    if (m->pace.post_us_max != 0) at_us += prng_between(&m->sim->prng, 0, m->pace.post_us_max);
    if (current == NULL) return at_us;
    if (at_us < current->sent_us) at_us = current->sent_us;
    current->sent_us = at_us;
    return at_us;
}

static void machine_drop(struct sim_machine *m, enum sim_end how);

/* Returns false when run() ended in death. A function of its own: nothing in it changes after
 * setjmp. */
static bool run_mortal(struct sim_machine *m, void (*run)(void *context), void *context)
{
    if (setjmp(m->death) != 0) return false;
    run(context);
    return true;
}

bool sim_thread_run(struct thread *thread, void (*run)(void *context), void *context)
{
    struct sim_machine *m = thread->machine;
    struct thread *outer = current;
    uint64_t now_us = sim_thread_now_us(m->sim);
    struct memory *outer_memory = sim_memory_enter(&m->memory);
    bool survived = true;

    if (thread->local_us < now_us) thread->local_us = now_us;
    current = thread;
    if (m->depth++ > 0) run(context); /* Death leads to the outermost. */
    else survived = run_mortal(m, run, context);
    current = outer;
    (void)sim_memory_enter(outer_memory);
    if (survived) m->depth--;
    else machine_drop(m, m->crash_how);
    return survived;
}

/* ---- Life ---- */

struct sim_machine *sim_machine_new(struct sim *sim, const char *name)
{
    CHECK(sim->machine_count < SIM_MACHINES_MAX);
    struct sim_machine *m = sim_alloc(sizeof *m);
    m->io.machine = m;
    m->sim = sim;
    m->name = name;
    m->index = sim->machine_count;
    m->ipv4 = 0x7f010001u + (uint32_t)m->index;
    m->next_port = PORT_FIRST_FREE;
    m->is_powered = true;
    sim_memory_init(&m->memory);
    list_init(&m->jobs);
    list_init(&m->listeners);
    list_init(&m->arrivals);
    list_init(&m->fakes);
    m->pace = (struct sim_pace){
        .event_us = 1, .post_us_max = 20, .timer_us_max = 1000, .work_threads = 4};
    m->rate_since_us = sim->now_us;
    m->boot_base_us = BOOT_FIRST_US + m->index * BOOT_FIRST_US / 10 + sim->now_us;
    m->wall_offset_us = (int64_t)(WALL_FIRST_US + sim->now_us - m->boot_base_us);
    m->disk = sim_disk_new(m);
    sim->machines[sim->machine_count++] = m;
    return m;
}

void sim_machine_free(struct sim_machine *m)
{
    if (m->is_up) machine_drop(m, SIM_POWER);
    sim_disk_free(m->disk);
    sim_free_memory(m);
}

static void threads_init(struct sim_machine *m)
{
    m->main = (struct thread){.machine = m, .may_block = true};
    for (size_t i = 0; i < SIM_WORK_THREADS_MAX; i++)
        m->pool[i] = (struct thread){.machine = m, .may_block = true};
}

static void program_main(void *context)
{
    struct sim_machine *m = context;
    m->program.main(m, m->program.context);
}

void sim_machine_start(struct sim_machine *m, struct sim_program program)
{
    m->program = program;
    sim_machine_restart(m);
}

void sim_machine_restart(struct sim_machine *m)
{
    CHECK(!m->is_up && m->program.main != NULL && m->depth == 0);
    m->is_up = true;
    m->starts++;
    threads_init(m);
    if (!m->is_powered) {
        m->is_powered = true;
        sim_conns_power_on(m);
    }
    sim_trace(m->sim, m, "start", m->starts, 0);
    (void)sim_thread_run(&m->main, program_main, m);
}

uint64_t sim_machine_busy_us(const struct sim_machine *m)
{
    return m->main.local_us;
}

bool sim_machine_do(struct sim_machine *m, void (*run)(void *context), void *context)
{
    CHECK(m->is_up);
    return sim_thread_run(&m->main, run, context);
}

void sim_machine_crash(struct sim_machine *m, enum sim_end how)
{
    if (current != NULL && current->machine == m) {
        m->crash_how = how;
        longjmp(m->death, 1);
    }
    CHECK(m->depth == 0);
    machine_drop(m, how);
}

void sim_machine_crash_at(struct sim_machine *m, uint64_t nth_output, enum sim_end how)
{
    m->crash_in = nth_output;
    m->crash_how = how;
}

void sim_machine_output(struct sim_machine *m)
{
    if (sim_machine_current() != m || m->crash_in == 0) return;
    if (--m->crash_in == 0) sim_machine_crash(m, m->crash_how);
}

/* Forget the process. Its code doesn't run any more, its memory is not looked at any more. */
static void process_drop(struct sim_machine *m, enum sim_end how)
{
    sim_jobs_drop(m);
    sim_sockets_drop(m, how);
    while (m->loop_count > 0) sim_loop_drop(m->loops[m->loop_count - 1]);
    sim_disk_close_all(m->disk);
    m->is_up = m->is_paused = false;
    m->depth = 0;
    m->crash_in = 0;
    LIST_EACH (node, &m->fakes) {
        struct sim_fake *fake = LIST_ENTRY(node, struct sim_fake, node);
        if (fake->on_end != NULL) fake->on_end(fake->context, how);
    }
}

void sim_machine_attach(struct sim_machine *m, struct sim_fake *fake)
{
    list_push_back(&m->fakes, &fake->node);
}

void *sim_machine_fake(const struct sim_machine *m, const char *kind)
{
    LIST_EACH (node, &m->fakes) {
        struct sim_fake *fake = LIST_ENTRY(node, struct sim_fake, node);
        if (strcmp(fake->kind, kind) == 0) return fake->context;
    }
    return NULL;
}

static void machine_drop(struct sim_machine *m, enum sim_end how)
{
    sim_trace(m->sim, m, how == SIM_POWER ? "power loss" : "kill", m->starts, 0);
    if (m->is_up) process_drop(m, how);
    sim_memory_drop(&m->memory);
    if (how == SIM_POWER) {
        m->is_powered = false;
        sim_disk_lose_power(m->disk);
    }
}

void sim_machine_exit(struct sim_machine *m)
{
    CHECK(m->is_up && m->depth == 0 && m->loop_count == 0 && list_is_empty(&m->jobs));
    sim_trace(m->sim, m, "exit", m->starts, 0);
    process_drop(m, SIM_KILL);
    CHECK(m->memory.size == 0); /* It leaks. */
}

void sim_machine_pause(struct sim_machine *m)
{
    CHECK(m->is_up);
    m->is_paused = true;
    sim_trace(m->sim, m, "pause", 0, 0);
}

void sim_machine_resume(struct sim_machine *m)
{
    if (!m->is_paused) return;
    m->is_paused = false;
    sim_trace(m->sim, m, "resume", 0, 0);
    sim_jobs_resume(m);
    for (size_t i = 0; i < m->loop_count; i++) {
        sim_timers_rearm(m->loops[i]);
        sim_loop_wake(m->loops[i]);
    }
}

/* ---- Questions and settings ---- */

struct io *sim_machine_io(struct sim_machine *m)
{
    return &m->io;
}

struct sim *sim_machine_sim(struct sim_machine *m)
{
    return m->sim;
}

const char *sim_machine_name(const struct sim_machine *m)
{
    return m->name;
}

uint32_t sim_machine_ipv4(const struct sim_machine *m)
{
    return m->ipv4;
}

bool sim_machine_is_up(const struct sim_machine *m)
{
    return m->is_up;
}

uint64_t sim_machine_starts(const struct sim_machine *m)
{
    return m->starts;
}

size_t sim_machine_memory(const struct sim_machine *m)
{
    return m->memory.size;
}

void sim_machine_pace(struct sim_machine *m, const struct sim_pace *pace)
{
    CHECK(pace->work_threads > 0 && pace->work_threads <= SIM_WORK_THREADS_MAX);
    m->pace = *pace;
}
