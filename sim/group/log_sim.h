/* sim/group/log_sim.h: the group's two files: commands, and a snapshot that stands for those before
 * it.
 *
 *     DIR/commands   records: le32 size | le32 crc | le64 index | bytes        crc of all behind it
 *     DIR/snapshot   one record, of the state after command 'index'
 *
 * A record of the commands with an index up to the snapshot's is old: the file is cut after a
 * snapshot, and power may go in between. A record that is not whole ends the file. Blocking. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "io/io.h"

struct log_sim {
    struct io *io;
    char dir[256];
    struct io_file *commands;
    uint64_t size; /* Bytes of whole records in it. */
};

struct log_sim_handler {
    int (*on_snapshot)(void *context, uint64_t index, struct slice state);
    void (*on_command)(void *context, uint64_t index, struct slice command);
};

/* Open, created if absent, and read everything through 'handler'. Returns 0, E_IO, E_NOSPACE,
 * E_NOMEM, E_CORRUPT, or what on_snapshot returned. */
int log_sim_open(struct log_sim *log, struct io *io, const char *dir,
                 const struct log_sim_handler *handler, void *context) MUST_CHECK;
void log_sim_close(struct log_sim *log);

/* Append a record to 'to', to be written by log_sim_append(). */
void log_sim_encode(struct buf *to, uint64_t index, struct slice bytes);

/* Write the records behind the last and sync them. */
int log_sim_append(struct log_sim *log, struct slice records) MUST_CHECK;

/* Save a record that log_sim_encode() made of the whole state, then forget the commands. */
int log_sim_save(struct log_sim *log, struct slice snapshot) MUST_CHECK;
