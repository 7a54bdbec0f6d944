/* src/log/log.h: the mutation log of one data disk, shared by every replica on it.
 *
 *     workers --log_submit--> [ writer loop: one write, one sync for all ] --on_done--> workers
 *     shippers, learners --log_read--> [ pool ] --on_done-->
 *     replicas --log_hold: "I still need what is above..."--> freeing of segments, backlog files
 *
 *     dir/log.<segment>                        64 MiB each, shared by all
 *     dir/backlog/<app>.<partition>.<segment>  one partition's: what only slow shippers still need
 *
 * What is promised:
 *   - on_done with 0 under LOG_SYNC_GROUP: the records survive kill and power loss. Under
 *     LOG_SYNC_OS they survive the process; the system writes them back when it likes.
 *   - E_NOSPACE: nothing of the batch remains, later batches may succeed. Any other failure is
 *     final for this log (the disk): it and everything after it ends with E_IO; no file is synced
 *     again.
 *   - A record is kept until log_hold() said that neither the store nor a shipper needs it.
 *   - Damage costs only the partitions whose records it held.
 *
 * The life of a log: log_open(), blocking, recovers; log_start() opens the writer loop; log_stop()
 * ends what is under way; log_close(). Threads: each function and callback says its own. One
 * directory belongs to one process: the caller sees to it.
 * Source: docs/mutation-log.md, rules L1 to L26. */
#pragma once
#include <stdatomic.h>

#include "base/chunk.h"
#include "base/err.h"
#include "base/slice.h"
#include "io/io.h"
#include "wire/thrift.h"

struct log;

enum log_sync {
    LOG_SYNC_GROUP, /* A record is acknowledged when it was synced; one sync for all that wait. */
    LOG_SYNC_OS,    /* A record is acknowledged when the system has taken it. */
};

enum {
    LOG_BATCH_SIZE_MAX = 256 << 20, /* Bytes of mutations, and 40 for each. */
    LOG_SEGMENT_SIZE_MIN = 4 << 10,
    LOG_SEGMENT_SIZE_DEFAULT = 64 << 20,
    LOG_SEGMENT_SIZE_MAX = 128 << 20,
};

struct log_options {
    const char *dir; /* Made when absent, in a directory that is there durably. */
    enum log_sync sync;
    uint32_t segment_size; /* Bytes after which a new segment begins. */
    uint64_t flush_size; /* Bytes of log above which stores are asked to flush (on_flush_wanted). */
    uint64_t ship_size; /* Bytes of segments that only shippers hold, above which their records move
                            * to backlog files. */
    uint64_t backlog_size_max; /* Bytes of all backlog files; above, on_backlog_over. */
};

/* ---- Opening: recovery ----------------------------------------------------------------------- */

#define LOG_NO_STORE UINT64_MAX

/* A replica on this disk, as its store was opened. */
struct log_replica {
    struct gpid gpid;
    uint64_t durable; /* Decree that its store holds durably: what lies above is replayed.
                       * LOG_NO_STORE: it can't be opened; nothing is replayed, and all that the
                       * log has of it stays for a later start. */
};

struct log_replay_handler {
    /* A mutation above the store's durable decree, in the order of the log: per replica decrees
     * follow each other; one that comes again replaces the earlier and all above it. 'mutation' is
     * as it was submitted, borrowed. Returns 0 or a code that ends log_open(). */
    int (*on_record)(void *context, struct gpid gpid, uint64_t decree, uint64_t ballot,
                     struct slice mutation);

    /* Records of this replica above 'decree' were there and cannot be read: it must be learned
     * again from another, and must not serve. 'why' is one line. Comes at the end, once per
     * replica. */
    void (*on_damaged)(void *context, struct gpid gpid, uint64_t decree, const char *why);
};

/* Recover what is in options->dir and begin a new segment. Blocking; before the loops that serve.
 * 'replicas' are all that live on this disk: records of others are of no use and will be freed.
 * Nothing of theirs is freed before their first log_hold_set().
 * Returns 0 and gives '*out'; or with nothing left open E_IO, E_NOSPACE, E_NOMEM, E_INVALID
 * (options), or what on_record returned. Damage is no failure. */
int log_open(struct io *io, const struct log_options *options, const struct log_replica *replicas,
             size_t replica_count, const struct log_replay_handler *handler, void *context,
             struct log **out, struct err *e) MUST_CHECK;

/* Open the writer loop. From now on the functions below may be called. Returns 0, E_NOMEM, E_IO. */
int log_start(struct log *l) MUST_CHECK;

struct log_stop {
    struct io_loop *loop; /* Where on_stopped is called. */
    void (*on_stopped)(struct log_stop *stop);
    struct io_post post; /* The log's. */
    struct log *log;     /* The log's. */
};

/* Answer what was asked before, end the work in the background, note that all is durable. Nothing
 * may be submitted or read after this call. 'stop' lives until on_stopped. On its loop. */
void log_stop(struct log *l, struct log_stop *stop);

/* Stop the loop, close the files, free. Blocking; not on the writer loop; stopped before, unless it
 * was never started. Loops that may still call log_hold_set() were closed before. Accepts NULL. */
void log_close(struct log *l);

/* ---- Writing --------------------------------------------------------------------------------- */

/* One mutation on its way into the log. */
struct log_entry {
    struct gpid gpid;
    uint64_t decree; /* Greater than 0, less than 2^63. */
    uint64_t ballot;
    struct slice mutation; /* 1 to MUTATION_SIZE_MAX bytes, borrowed until on_done. */
};

/* What a worker hands over in one turn. The caller fills the first four; it lives until on_done. */
struct log_batch {
    struct io_loop *loop; /* Where on_done is called. */
    struct log_entry *entries;
    size_t count; /* At least 1. */
    /* 0; E_NOSPACE, E_NOMEM, E_LIMIT (more than LOG_BATCH_SIZE_MAX): nothing of it remains; or
     * E_IO: final, what is on the disk is unknown. Batches of one loop end in the order of their
     * submission. After a decree of a replica was refused, higher ones are refused too, with
     * E_NOSPACE, until it comes again: so what the log holds has no holes. */
    void (*on_done)(struct log_batch *batch, int rc);

    struct io_post post;   /* The log's. */
    struct list_node node; /* The log's. */
    struct log *log;       /* The log's. */
    int rc;                /* The log's. */
};

/* Append the entries in their order. Any thread that is a loop's. Never fails by itself. */
void log_submit(struct log *l, struct log_batch *batch);

/* ---- Reading back ---------------------------------------------------------------------------- */

struct log_read {
    /* The question, the caller's. */
    struct gpid gpid;
    uint64_t from_decree; /* The first wanted. */
    uint64_t to_decree;   /* The last wanted: never read past what is committed. */
    size_t size_max;      /* Bytes of mutations; the first is given even when larger. */
    uint32_t count_max;
    struct io_loop *loop; /* Where on_done is called. */

    /* 0 with at least one mutation; E_NOTFOUND: 'from_decree' is not, or no longer, in the log;
     * E_CORRUPT: it was there and is damaged; E_IO, E_NOMEM. The read may be reused afterwards. */
    void (*on_done)(struct log_read *r, int rc);

    /* The answer: decrees from_decree, +1, +2... The slices lie in 'chunk', which on_done may keep
     * with chunk_ref(); both are the log's again when on_done returns. */
    struct chunk *chunk;
    const struct log_entry *entries;
    size_t count;

    struct log_read_state *state; /* The log's. */
    struct io_post post;          /* The log's. */
    struct log *log;              /* The log's. */
    int rc;                       /* The log's. */
};

/* Read mutations of one replica, from the log and its backlog, on the pool. Any thread that is a
 * loop's. 'r' lives until on_done. */
void log_read(struct log *l, struct log_read *r);

/* ---- Keeping and freeing --------------------------------------------------------------------- */

#define LOG_NO_SHIPPER UINT64_MAX

struct log_hold;

/* Called on hold->loop, never from inside a call. */
struct log_hold_handler {
    /* This replica's unflushed records are the oldest that keep a log that has grown too large:
     * flush its store, then log_hold_set(). Asked again when a new segment begins. */
    void (*on_flush_wanted)(struct log_hold *hold);

    /* The backlog files passed their budget and this replica has the most of them: give up the
     * slowest duplication ("resync needed"), then log_hold_set(). Asked once until then. */
    void (*on_backlog_over)(struct log_hold *hold);

    /* The disk failed: nothing will be written to it again, nor freed. Once. */
    void (*on_failed)(struct log_hold *hold);
};

/* A replica's hand on the log. Lives inside the replica, from log_hold_init() until log_forget()
 * has called back; or until log_stop() has, and hold->loop has run what was posted to it before. */
struct log_hold {
    struct log *log;
    struct gpid gpid;
    struct io_loop *loop; /* The replica's. */
    const struct log_hold_handler *handler;

    _Atomic uint64_t durable; /* The log's, as all below. */
    _Atomic uint64_t confirmed;
    _Atomic uint64_t backlog_size; /* Bytes of this replica's backlog files; anyone may look. */
    atomic_bool is_set_posted, is_notice_posted;
    atomic_uint notices;
    struct io_post set_post, notice_post, forget_post;
    void (*on_forgotten)(struct log_hold *hold);
};

/* Prepare. 'loop' is the replica's own, on whose thread all three functions are called. The first
 * log_hold_set() comes before the replica's first log_submit(). */
void log_hold_init(struct log_hold *hold, struct log *l, struct gpid gpid, struct io_loop *loop,
                   const struct log_hold_handler *handler);

/* Records with a decree above the lower of the two are needed: 'durable' is what the store holds
 * durably, 'confirmed' what every duplication of the table has confirmed, as it will be known after
 * a restart (LOG_NO_SHIPPER: there is none). Both may go down only to what is still there. A replica
 * that takes no records any more says LOG_NO_STORE, and as 'confirmed' what its next life may begin
 * from: that doesn't hold the common segments, its records move to backlog files. Cheap: call it
 * whenever one moves. */
void log_hold_set(struct log_hold *hold, uint64_t durable, uint64_t confirmed);

/* The replica is gone from this disk: free all its records. Then on_forgotten, on hold->loop, after
 * which the log knows nothing of 'hold'. */
void log_forget(struct log_hold *hold, void (*on_forgotten)(struct log_hold *hold));

/* ---- Figures --------------------------------------------------------------------------------- */

enum { LOG_BUCKETS = 24 }; /* Bucket i counts values in [2^i, 2^(i+1)). */

struct log_stats {
    uint64_t size;                       /* Bytes of all segments. */
    uint64_t segments;                   /* Files. */
    uint64_t backlog_size;               /* Bytes of all backlog files. */
    uint64_t kept_size;                  /* Of these, of replicas that take no records now. */
    uint64_t records;                    /* Written since the start. */
    uint64_t bytes;                      /* Written since the start, frames and padding included. */
    uint64_t syncs;                      /* Of segments, since the start. */
    uint64_t reads;                      /* log_read() calls that are done. */
    uint64_t damaged_blocks;             /* Found by recovery and by reads. */
    uint64_t group_records[LOG_BUCKETS]; /* Group commits by their count of records. */
    uint64_t group_us[LOG_BUCKETS];      /* Group commits by the microseconds they took. */
    bool is_failed;
};

/* Any thread; each figure is exact, together they are of slightly different moments. */
void log_stats(const struct log *l, struct log_stats *out);
