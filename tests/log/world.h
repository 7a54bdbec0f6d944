/* tests/log/world.h: a log on a simulated machine, and the sentences its stories are told in.
 *
 * Records are named by partition and decree: what they contain follows from the name, so that
 * whatever comes back can be checked. Partitions are numbered; number 3 is 1.3. Each sentence runs
 * the world until what it asked for is answered. */
#pragma once
#include <stdbool.h>

#include "log/log.h"
#include "sim/sim.h"

enum { PARTITIONS = 8, DECREES_MAX = 4096 };

/* What one partition has seen. */
struct part {
    struct world *world;
    struct log_hold hold;
    bool is_listed;               /* It is named when the log is opened. */
    uint64_t durable;             /* What its store holds, when the log is opened. */
    uint64_t replayed;            /* Highest decree that was replayed. */
    uint64_t ballot[DECREES_MAX]; /* Of each decree that was replayed. */
    uint64_t damaged_above;       /* From on_damaged; UINT64_MAX: not called. */
    char why[256];
    int flush_wanted, backlog_over, failed, forgotten; /* How often each was called. */
};

struct world {
    struct sim *sim;
    struct sim_machine *machine;
    struct io *io;
    struct log_options options;
    struct log *log;        /* NULL: closed. */
    struct io_loop *worker; /* Where all partitions live. */
    struct part parts[PARTITIONS];
    int rc; /* Of the last sentence. */
    struct err err;

    struct log_read read;
    bool is_read_done;
    uint64_t read_first, read_last; /* Decrees that came. */
    bool is_stopped;
};

void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);

/* Open and start. Records replayed are in parts. Returns log_open()'s code. */
int world_open(struct world *w);
void world_close(struct world *w);

/* End the process, and start the next one: the log is closed in it. */
void world_crash(struct world *w, enum sim_end how);

/* Let everything that is under way come to its end. */
void world_settle(struct world *w);

/* Append decrees [first, last] of a partition, 'size' bytes each, in one batch. */
int world_append(struct world *w, int part, uint64_t first, uint64_t last, size_t size);
int world_append_ballot(struct world *w, int part, uint64_t ballot, uint64_t first, uint64_t last,
                        size_t size);

/* Submit several batches in one turn; world_batch_rc() after world_settle(). */
void world_submit(struct world *w, int part, uint64_t first, uint64_t last, size_t size);
size_t world_batch_count(const struct world *w);
int world_batch_rc(const struct world *w, size_t index); /* 1: not done. */

void world_hold(struct world *w, int part, uint64_t durable, uint64_t confirmed);
void world_forget(struct world *w, int part);

/* Read [from, to]; 0 and read_first, read_last; every byte was checked. */
int world_read(struct world *w, int part, uint64_t from, uint64_t to);
void world_read_start(struct world *w, int part, uint64_t from, uint64_t to);

/* Read all of [from, to] with as many reads as it takes. True: all of it came. */
bool world_reads_all(struct world *w, int part, uint64_t from, uint64_t to);

struct log_stats world_stats(struct world *w);

/* Files in 'dir' whose name begins with 'prefix'. */
size_t world_files(struct world *w, const char *dir, const char *prefix);

struct gpid world_gpid(int part);

/* The first 'size' bytes of a record. */
void world_content(uint8_t *to, size_t size, int part, uint64_t decree, uint64_t ballot);
