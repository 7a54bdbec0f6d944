/* sim/io/sim_io.h: the inside of the simulated world, for the fakes that make it up.
 *
 *     sim ── events (heap) ── trace
 *      └─ machine ── process: memory, main thread, pool threads, jobs
 *           ├─ loops ── turn, timers, letters on their way, connections' ends
 *           ├─ listeners
 *           └─ disk (disk.h)                             conns (net.h) join two machines
 *
 * Time. An event runs at sim->now_us. While it runs on a thread of a machine, that thread has its
 * own 'local_us', which blocking calls move ahead; what it sends leaves at that time, and the
 * thread takes no further event before it. So a handler runs in one go and yet takes its time.
 *
 * Death. A process dies by longjmp to where the world entered it, when it is its own code that
 * runs; then everything it had is dropped by machine_drop(). All its own memory is in 'memory'
 * (mem.c); what the world keeps about it comes from sim_alloc() and is freed there. */
#pragma once
#include <setjmp.h>

#include "sim/sim.h"

enum {
    SIM_LOOPS_MAX = 64,        /* Of one machine at a time. */
    SIM_WORK_THREADS_MAX = 16, /* Of one pool. */
    SIM_TIMERS_ALLOWED_MAX = 16,
    SIM_NAME_SIZE = 32,
};

/* ---- Memory (mem.c) -------------------------------------------------------------------------- */

/* What one process has taken with mem_alloc() and not given back. */
struct memory {
    struct list_node blocks;
    size_t size;
};

/* Take for 'm' from now on; NULL: for the world. Returns who it was before. */
struct memory *sim_memory_enter(struct memory *m);
void sim_memory_init(struct memory *m);
void sim_memory_drop(struct memory *m); /* Free all of it. */

/* The world's own memory: never counted, never NULL. */
void *sim_alloc(size_t size); /* Zeroed. */
void sim_free_memory(void *memory);

/* ---- Events (world.c) ------------------------------------------------------------------------ */

struct event {
    struct heap_node node; /* key: when, order: sequence. */
    void (*run)(struct event *event);
};

/* Have event->run called at that time, or now when it has passed. Moves it when it waits
 * already. */
void sim_event_at(struct sim *sim, struct event *event, uint64_t at_us);
void sim_event_cancel(struct sim *sim, struct event *event);

static inline bool sim_event_is_waiting(const struct event *event)
{
    return event->node.index != 0;
}

/* ---- The trace (trace.c) --------------------------------------------------------------------- */

struct trace_line {
    uint64_t at_us, a, b;
    const char *what;
    const char *who; /* A machine's name or "". */
};

struct trace {
    uint64_t hash, count;
    FILE *print_to;
    struct trace_line last[SIM_LAST_MAX];
};

/* Something happened to 'm', which may be NULL. */
void sim_trace(struct sim *sim, const struct sim_machine *m, const char *what, uint64_t a,
               uint64_t b);

/* ---- The world ------------------------------------------------------------------------------- */

struct sim {
    uint64_t seed, now_us, sequence, events;
    uint64_t events_at_once;  /* Since time last went on. */
    struct prng prng;         /* The world's draws... */
    struct prng harness_prng; /* ...and the harness's. */
    struct heap heap;
    struct trace trace;
    void (*check)(void *context);
    void *check_context;

    struct sim_machine *machines[SIM_MACHINES_MAX];
    size_t machine_count;

    struct list_node conns; /* net.h */
    uint64_t conn_ids;
    struct sim_link link_default;
    struct sim_tcp_limits tcp_limits;
};

/* A draw around 'mean', exponential, at most 20 times it. 0 for 0. */
uint64_t sim_draw_exponential(struct prng *p, uint64_t mean);

/* True in 'per_million' of a million cases. Draws nothing for 0. */
bool sim_draw_per_million(struct prng *p, uint32_t per_million);

/* ---- Machines (machine.c) -------------------------------------------------------------------- */

/* A thread of a process: its loop's, its main, or one of its pool. */
struct thread {
    struct sim_machine *machine;
    struct io_loop *loop; /* NULL: none. */
    bool may_block;
    uint64_t serial;       /* Which of its machine. */
    uint64_t local_us;     /* Its time: it is busy until then. */
    uint64_t sent_us;      /* No later post of this thread arrives before: they keep their order. */
    uint64_t boot_seen_us; /* Its clock never goes back. */
};

struct io {
    struct sim_machine *machine;
};

/* One direction to another machine. */
struct lane {
    struct sim_link link;
    bool is_set, is_cut;
    uint64_t clogged_until_us;
    uint64_t busy_until_us; /* By what was sent before, when bytes_per_s is limited. */
};

struct sim_machine {
    struct io io;
    struct sim *sim;
    const char *name;
    size_t index;
    uint32_t ipv4;
    uint16_t next_port;
    bool is_powered; /* Its system runs: it answers, even if only with a reset. */
    bool is_up, is_paused;
    uint64_t starts;
    struct sim_program program;

    struct memory memory;
    struct thread main;
    struct thread pool[SIM_WORK_THREADS_MAX];
    struct io_loop *loops[SIM_LOOPS_MAX];
    size_t loop_count;
    struct list_node jobs;                /* work.c */
    struct list_node listeners, arrivals; /* listen.c */
    uint64_t thread_serials;
    struct list_node fakes; /* struct sim_fake */
    struct sim_pace pace;

    int32_t rate_ppm;
    uint64_t boot_base_us, rate_since_us; /* boot = base + (t - since) * rate. */
    int64_t wall_offset_us;

    bool are_timers_held;
    bool is_timer_forbidden;
    uint64_t timers_fired;
    void (*timers_allowed[SIM_TIMERS_ALLOWED_MAX])(struct io_timer *timer);
    size_t timers_allowed_count;

    struct lane lanes[SIM_MACHINES_MAX]; /* To each machine. */
    struct disk *disk;                   /* disk.h */

    jmp_buf death; /* Where the world entered it. */
    size_t depth;  /* How often it was entered and not left. */
    uint64_t crash_in;
    enum sim_end crash_how;
};

/* Run run(context) on 'thread', whose time is now or later. Nests. Returns false when the process
 * died in it: then the thread, and all else of the process, is gone. */
bool sim_thread_run(struct thread *thread, void (*run)(void *context), void *context);

/* The thread whose code runs, or NULL. */
struct thread *sim_thread_current(void);

/* CHECKs that the code running is the thread of 'loop', or one that may block on this machine. */
void sim_check_on(const struct io_loop *loop);
void sim_check_may_block(const struct sim_machine *m);

/* The thread's time goes on by 'us': it did something slow. */
void sim_thread_spend(uint64_t us);

/* When what the running thread does now happens: its local time; without one, the world's. */
uint64_t sim_thread_now_us(const struct sim *sim);

/* Let the running thread, whatever it is, make blocking calls, or not; returns what it was. For
 * fakes whose real counterpart blocks where we would not let it. */
bool sim_thread_may_block(bool may_block);

/* One more output of this machine: it may be its last (sim_machine_crash_at). */
void sim_machine_output(struct sim_machine *m);

/* ---- Clocks (clock.c) ------------------------------------------------------------------------ */

uint64_t sim_clock_boot_us(const struct sim_machine *m, uint64_t at_us);

/* When the clock of 'm' will show boot_us, if nothing changes it. */
uint64_t sim_clock_when(const struct sim_machine *m, uint64_t boot_us);

/* ---- Loops (loop.c, timer.c) ----------------------------------------------------------------- */

struct io_loop {
    struct thread thread;
    char name[SIM_NAME_SIZE];
    struct list_node ready;   /* struct io_post: what the next turn runs... */
    struct list_node batch;   /* ...and what is left of the present one. */
    struct list_node coming;  /* struct letter: what will be ready. */
    struct list_node hooks;   /* struct io_turn_hook. */
    struct list_node written; /* struct io_tcp: have output since the last turn. */
    struct list_node ends;    /* struct io_tcp: all of this loop. */
    struct event turn, alarm;
    bool is_in_turn; /* Perhaps between two events of it, if the first took time. */
    bool is_closing;
    size_t turn_count;  /* Events of this turn. */
    struct heap timers; /* key: boot_ms. */
    uint64_t alarm_ms;  /* What the alarm is set for. */
    uint64_t timer_sequence;
};

/* A post, or what acts like one, is ready now: the next turn runs it. */
void sim_loop_ready(struct io_loop *loop, struct io_post *post);

/* Let the loop have a turn if it has reason to and can. */
void sim_loop_wake(struct io_loop *loop);

/* Deliver the post at that time. */
void sim_loop_send(struct io_loop *loop, struct io_post *post, uint64_t at_us);

/* When something that the running thread starts now reaches another thread: its time plus a draw,
 * and never before what it started earlier. */
uint64_t sim_thread_departure(struct sim_machine *m);

void sim_loop_drop(struct io_loop *loop); /* Without running anything. */

void sim_timers_rearm(struct io_loop *loop); /* Set the alarm for the first. */
bool sim_timers_due(const struct io_loop *loop);
void sim_timers_run(struct io_loop *loop); /* Those that are due. */

/* Send what was written in this turn (tcp.c). */
void sim_tcp_flush(struct io_loop *loop);

/* ---- The rest of a machine ------------------------------------------------------------------- */

void sim_machine_free(struct sim_machine *m);
void sim_jobs_drop(struct sim_machine *m);                      /* work.c */
void sim_jobs_resume(struct sim_machine *m);                    /* work.c */
void sim_work_finish(struct io_loop *loop);                     /* work.c: run what waits for it. */
void sim_sockets_drop(struct sim_machine *m, enum sim_end how); /* listen.c */
void sim_conns_power_on(struct sim_machine *m);                 /* net.c */
