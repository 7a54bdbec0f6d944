/* sim/sim.h: a world in one thread: machines with clocks, disks and sockets, in virtual time.
 *
 *     sim       the world: a seed, a PRNG, a virtual time, one heap of events (time, sequence)
 *     machine   one 'struct io' in it: a clock, an address, a disk, loops; runs real code of src/
 *     link      what lies between two machines, one for each direction
 *     fault     something a test or a swarm does to one of these
 *
 * The library sim_io gives every function of src/io/io.h again, so code that is linked with it
 * instead of io/uv lives here and cannot tell. It is a machine's code only while the world runs it:
 * in the machine's program, in its loops and in sim_machine_do(). All that the world does is drawn
 * from the seed: the same seed, binary and calls give the same sim_hash().
 *
 * Faults the world can make: clocks that run wrong, differ and jump; messages late, in small
 * pieces, held back and then all at once, connections cut both ways or one way, reset, half open;
 * disks that fail, tear, forget, fill, slow down, hang and rot; machines that pause, are killed,
 * lose power. It doesn't make: lost or doubled bytes inside a connection (TCP has none), lying
 * peers.
 *
 * Units: *_us is virtual time in microseconds since the world began, unless it says "for". One
 * thread only. What the world needs for itself it takes or stops the process: it never reports
 * E_NOMEM. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/prng.h"
#include "io/io.h"

struct sim;
struct sim_machine;

/* ---- The world ------------------------------------------------------------------------------- */

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim); /* Every machine with it, without running its code. Accepts NULL. */

uint64_t sim_now_us(const struct sim *sim);
uint64_t sim_seed(const struct sim *sim);

/* For the harness's own draws; the world draws from others, so neither disturbs the other. */
struct prng *sim_prng(struct sim *sim);

/* Run all events up to now + for_us, and let the time be that. */
void sim_run_us(struct sim *sim, uint64_t for_us);

/* Run the next event. False when there is none: nothing will ever happen again. */
bool sim_step(struct sim *sim);

/* Run until is_done() says so after some event. False when for_us passed first. */
bool sim_run_until(struct sim *sim, bool (*is_done)(void *context), void *context, uint64_t for_us);

/* Call run(context) at that time (now, when it has passed), outside of every machine. */
void sim_at(struct sim *sim, uint64_t at_us, void (*run)(void *context), void *context);

/* Call check(context) after every event from now on: where invariants live. NULL: no more. */
void sim_check_each(struct sim *sim, void (*check)(void *context), void *context);

/* ---- The trace ------------------------------------------------------------------------------- */

/* Of everything that happened so far: times, machines, kinds, sizes and bytes. Two runs that differ
 * in anything differ here. */
uint64_t sim_hash(const struct sim *sim);

/* How many events were run. */
uint64_t sim_events(const struct sim *sim);

/* Mix words of the harness or of a fake into the hash, and remember them for sim_print_last().
 * 'what' is a constant string. */
void sim_note(struct sim *sim, const char *what, uint64_t a, uint64_t b);

/* The last 'count' events (at most SIM_LAST_MAX), one per line, oldest first. */
enum { SIM_LAST_MAX = 256 };
void sim_print_last(const struct sim *sim, FILE *to, size_t count);

/* Print every event from now on as it happens. NULL: no more. */
void sim_print_to(struct sim *sim, FILE *to);

/* ---- Machines -------------------------------------------------------------------------------- */

enum { SIM_MACHINES_MAX = 32 };

/* A machine that is switched off, called 'name' (a constant; io_resolve knows it too). */
struct sim_machine *sim_machine_new(struct sim *sim, const char *name);

struct io *sim_machine_io(struct sim_machine *m);
struct sim *sim_machine_sim(struct sim_machine *m);
const char *sim_machine_name(const struct sim_machine *m);
uint32_t sim_machine_ipv4(const struct sim_machine *m); /* 127.1.0.1 for the first, and so on. */

/* What the machine runs when it is started: main() of its only process. It opens loops and returns;
 * they live on. It may block. All memory it and its loops take with mem_alloc() is the
 * process's. */
struct sim_program {
    void (*main)(struct sim_machine *m, void *context);
    void *context;
};

/* Start a process on a machine that is off, now. */
void sim_machine_start(struct sim_machine *m, struct sim_program program);

/* The same program again, on the disk as it is now. */
void sim_machine_restart(struct sim_machine *m);

/* Run 'run' now as the process's main thread, which may block: for opening, closing, asking.
 * Returns false when the process died in it. */
bool sim_machine_do(struct sim_machine *m, void (*run)(void *context), void *context);

enum sim_end {
    SIM_KILL,  /* As kill -9: the system closes its connections, and no write to a file is lost. */
    SIM_POWER, /* The machine too: what was not synced may be lost, and peers hear nothing. */
};

/* End the process at once. Nothing of it runs further; loops, timers, sockets, work and memory are
 * gone. From inside its own code this doesn't return: the rest of the stack is dropped too. */
void sim_machine_crash(struct sim_machine *m, enum sim_end how);

/* Crash at the nth output (write, sync, rename, post, send...) from now; 0: never mind. */
void sim_machine_crash_at(struct sim_machine *m, uint64_t nth_output, enum sim_end how);

/* Say that a process whose loops are all closed has ended well. Its memory must all be freed. */
void sim_machine_exit(struct sim_machine *m);

/* Until when its main thread has work, in the world's time: what it did by then takes so long. */
uint64_t sim_machine_busy_us(const struct sim_machine *m);

bool sim_machine_is_up(const struct sim_machine *m); /* A process runs (or is paused). */
uint64_t sim_machine_starts(const struct sim_machine *m);

/* As SIGSTOP and SIGCONT: its clock goes on, its connections stay, nothing runs. */
void sim_machine_pause(struct sim_machine *m);
void sim_machine_resume(struct sim_machine *m);

/* The machine whose code runs now, or NULL. Fakes that get no 'struct io' find their world here. */
struct sim_machine *sim_machine_current(void);

/* What a fake other than this one keeps about a machine: sim/store's images, sim/group's faults. It
 * is told of what happens there, and finds what is its own by its kind. */
struct sim_fake {
    struct list_node node;                           /* The world's. */
    const char *kind;                                /* A constant, such as "group". */
    void (*on_end)(void *context, enum sim_end how); /* The process is no more. May be NULL. */
    void *context;
};
void sim_machine_attach(struct sim_machine *m, struct sim_fake *fake); /* Kept as long as 'm'. */
void *sim_machine_fake(const struct sim_machine *m, const char *kind); /* Its context, or NULL. */

/* Bytes of mem_alloc() memory its process holds. */
size_t sim_machine_memory(const struct sim_machine *m);

/* ---- How fast it works ----------------------------------------------------------------------- */

struct sim_pace {
    uint64_t event_us;     /* What each event costs its loop. Default 1; 0: who spins stops time. */
    uint64_t post_us_max;  /* A post, or the start of a work, takes from 0 to this. Default 20. */
    uint64_t timer_us_max; /* A timer is late by 0 to this. Default 1000. */
    uint32_t work_threads; /* Threads of the pool. Default 4. */
};
void sim_machine_pace(struct sim_machine *m, const struct sim_pace *pace);

/* ---- Clocks ---------------------------------------------------------------------------------- */

/* boot = boot_offset_us + t * (1 + rate_ppm / 10^6), wall = boot + wall_offset_us. The default is a
 * wall clock in 2026 that is right, and a rate of 0. */
void sim_clock_rate(struct sim_machine *m, int32_t rate_ppm);
void sim_clock_jump(struct sim_machine *m, int64_t wall_by_us);

/* ---- Timers ---------------------------------------------------------------------------------- */

/* From now on every timer that fires on this machine is counted, unless its run() was allowed: the
 * data path must not need one (invariant I16). */
void sim_timers_forbid(struct sim_machine *m, bool is_forbidden);
void sim_timers_allow(struct sim_machine *m, void (*run)(struct io_timer *timer));
uint64_t sim_timers_fired(const struct sim_machine *m); /* Those that were forbidden. */

/* While held no timer fires on this machine, as if their time did not come; then those that are due do. What
 * arrives all the same needed none. */
void sim_timers_hold(struct sim_machine *m, bool is_held);

/* ---- The network ----------------------------------------------------------------------------- */

/* One direction between two machines. All-zero: instant, whole, without limit. */
struct sim_link {
    uint64_t delay_us;      /* Everything takes this... */
    uint64_t jitter_us;     /* ...and an exponential draw with this mean more. */
    uint32_t loss_permille; /* Of segments; TCP sends them again: 200 ms later, then 400... */
    uint32_t split_percent; /* How many chunks are cut into pieces, single bytes among them. */
    uint64_t bytes_per_s;   /* 0: no limit. */
    size_t window_size; /* Bytes under way and unread before the sender's system says no more. */
};

void sim_link_default(struct sim *sim, const struct sim_link *link); /* For all that have none. */
void sim_link_set(struct sim_machine *from, struct sim_machine *to, const struct sim_link *link);

/* Nothing arrives any more, in one direction or both. After sim_heal() what is under way arrives
 * within a retransmission, unless the sender has given up. */
void sim_cut_one_way(struct sim_machine *from, struct sim_machine *to);
void sim_cut(struct sim_machine *a, struct sim_machine *b);
void sim_heal(struct sim_machine *a, struct sim_machine *b);
void sim_heal_all(struct sim *sim);

/* Hold everything of one direction back for that long; then it comes in a burst. */
void sim_clog(struct sim_machine *from, struct sim_machine *to, uint64_t for_us);

/* Reset all connections between the two, now, at both ends; what is under way is lost. */
void sim_reset(struct sim_machine *a, struct sim_machine *b);

struct sim_tcp_limits {
    uint64_t connect_us; /* A connection attempt that hears nothing ends after this. Default 3 s. */
    uint64_t abort_us;   /* Bytes unacknowledged for so long end a connection. Default 60 s. */
};
void sim_tcp_limits_set(struct sim *sim, const struct sim_tcp_limits *limits);

/* Open connections whose one end is on 'm'. */
size_t sim_machine_connections(const struct sim_machine *m);

/* ---- The disk -------------------------------------------------------------------------------- */

/* How a machine's disk behaves. The default is quick and never fails. */
struct sim_disk {
    uint64_t write_us;       /* One write into the page cache. Default 5. */
    uint64_t read_us;        /* One read. Default 20. */
    uint64_t sync_us;        /* One sync of a file or a directory... Default 200. */
    uint64_t sync_jitter_us; /* ...and an exponential draw with this mean more. Default 100. */
    uint64_t spike_us;       /* What one call in spike_per_million takes more. Default 0. */
    uint32_t spike_per_million;
    uint32_t write_eio_per_million, read_eio_per_million, sync_eio_per_million; /* Default 0. */
    uint64_t
        total_size; /* Bytes; 0: no limit. Default 0. A write that doesn't fit is partly done. */
};
void sim_disk_default(struct sim_disk *out);
void sim_disk_set(struct sim_machine *m, const struct sim_disk *disk);

enum sim_disk_call { SIM_DISK_WRITE, SIM_DISK_READ, SIM_DISK_SYNC, SIM_DISK_META };

/* Let the nth call of that kind from now fail with E_IO or E_NOSPACE: that one, or with 'is_sticky'
 * it and all after it until sim_disk_mend(). Only calls whose path contains 'path', when not NULL
 * (a constant). META is create, rename, unlink, truncate. */
void sim_disk_fail(struct sim_machine *m, enum sim_disk_call call, const char *path, uint64_t nth,
                   int code, bool is_sticky);
void sim_disk_mend(struct sim_machine *m);

/* Every call that is made within 'for_us' from now returns only after that. */
void sim_disk_hang(struct sim_machine *m, uint64_t for_us);

/* Bit rot, under the page cache and in it. Returns 0, E_NOTFOUND, E_INVALID (beyond the end). */
int sim_disk_flip_bit(struct sim_machine *m, const char *path, uint64_t bit) MUST_CHECK;
int sim_disk_zero_sector(struct sim_machine *m, const char *path, uint64_t offset) MUST_CHECK;

/* The machine, while off, gets an empty disk. */
void sim_disk_wipe(struct sim_machine *m);

/* How many syncs of files were asked for after one of the same file had failed (invariant I19). */
uint64_t sim_disk_syncs_after_failure(const struct sim_machine *m);
uint64_t sim_disk_used(const struct sim_machine *m); /* Bytes of all files. */
uint64_t sim_disk_syncs(const struct sim_machine *m);
