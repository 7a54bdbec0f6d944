/* src/node/replica.h: one partition on this node: the protocol's state machine, its store, the requests
 * that wait, and the duplication streams. Everything here is touched by its worker's loop only, but for
 * replica_open(), which runs before.
 *
 *     a write:  evaluate (kv) -> mutation -> repl: append -> [log] -> logged -> apply -> reply, ship
 *     a read:   from the store's memory on the loop; when the disk is needed, on the pool
 *
 * A write whose evaluation needs the disk waits in 'stalled', and so do all writes behind it: their
 * values must be decided in order. An answer that says what is not applied yet (a check that failed
 * against a write on its way) waits for it as well: what is lost must not have been told. */
#pragma once
#include "core/dup/incoming.h"
#include "core/repl/overlay.h"
#include "core/repl/repl.h"
#include "io/io.h"
#include "kv/read.h"
#include "kv/write.h"
#include "log/log.h"
#include "node/assignment.h"
#include "node/link.h"
#include "node/survey.h"
#include "node/teach.h"
#include "node/wish.h"
#include "obs/metric.h"
#include "rpc/server.h"
#include "store/store.h"

struct worker;
struct learning;
struct replica_fetch;
struct replica_throttle;

struct replica_metrics {
    struct metric_counter reads, writes, read_errors, write_errors;
    struct metric_counter reads_off_loop, writes_stalled;
    struct metric_counter writes_delayed, writes_rejected; /* By the table's throttling. */
    struct metric_counter reads_delayed, reads_rejected;
    struct metric_counter backup_reads_delayed, backup_reads_rejected;
    struct metric_histogram write_us; /* From arrival at the owner to the answer. */
    struct metric_gauge committed, disk_full;
    struct metric_gauge incoming_sources, incoming_closed_us;
    struct metric_counter incoming_heard;
};

struct replica {
    struct gpid gpid;
    struct worker *worker;       /* NULL until it was given to one. */
    struct list_node node;       /* In its worker. */
    struct assignment *assigned; /* NULL until the meta group told. */
    struct assignment *again;    /* Wanted again while it closes. */
    char *dir;

    struct store *store; /* NULL once closed. */
    struct repl repl;
    struct overlay overlay;
    struct kv_partition partition;
    struct kv_scans scans;
    struct log_hold hold;
    bool is_held;           /* 'hold' is joined to the log. */
    uint64_t shippers_need; /* What the log was told last; LOG_NO_SHIPPER: nothing, or not yet. */

    struct list_node early;        /* Requests that came before it served. */
    struct list_node waiting;      /* Writes by decree, until they are applied. */
    struct io_timer parting_timer; /* Runs while some wait although another is primary now. */
    struct list_node stalled;      /* Writes that wait for their turn to be evaluated. */
    struct replica_fetch *fetch;   /* The disk read that 'stalled' waits for. */

    struct replica_throttle *throttle; /* NULL: the table has no such limits. */
    struct list_node delayed;          /* Requests that they make wait, each with its timer. */
    uint32_t delayed_count;

    uint64_t durable;   /* Decree that the store is known to hold durably. */
    uint64_t flush_to;  /* Decree up to which the log wants it to be durable. */
    int flush_rc;       /* How the last flush ended. */
    uint64_t apply_to;  /* Decree that the store was asked to reach. */
    bool is_store_full; /* The store wants time: an unstall is under way. */
    struct io_work unstall;
    struct compact_order *compacting; /* NULL: none. */
    struct io_work compact_stop;
    bool is_disk_full; /* There was no room for the store or the state file: writes are refused. */
    struct io_timer room_timer; /* Tries again what had no room. */

    uint64_t started_ms; /* CLOCK_BOOTTIME at replica_start(). */
    uint64_t
        newest_us; /* The latest time of a row's timetag, applied or on its way; 0: not known. */
    struct dup_incoming incoming; /* How far other clusters' partitions are in here. */
    struct list_node streams;
    struct list_node dup_waits; /* DUP_WAIT requests. */
    uint32_t dup_wait_count;
    uint64_t dup_question; /* The newest that its streams were asked (docs/duplication.md, D14). */

    struct sender senders[REPL_MEMBERS_MAX + 1]; /* To the other members and the learner. */
    struct teacher teacher;                      /* Of a primary... */
    struct learning *learning;                   /* ...and of a learner; NULL: nothing is asked. */
    uint32_t learn_works;                        /* Of earlier ones too: on the pool. */
    struct wish wish;                            /* What it wants of the meta group. */

    uint64_t logged_to; /* Of the log batch that is being taken in; 0: none. */
    uint64_t busy;      /* Things under way that point here. */
    bool is_closing;    /* No new requests; closed when not busy. */
    bool is_dropped;    /* Closing because the partition is no longer ours... */
    bool
        is_replaced; /* ...or because it is opened again, to learn: with a copied store, or anew. */
    bool is_log_needed; /* The log must keep its records: the last flush failed. */
    bool is_damaged;    /* The log lost records of it: it must not serve. */
    bool is_useless;    /* Its store failed: it can only begin anew. */
    bool is_flushing, is_saving_state;
    void (*on_closed)(struct replica *r);
    struct io_work work; /* Flush, state file, close: one at a time each... */
    struct io_work state_work;
    struct repl_saved saving; /* What the pool makes durable now; how that ended. */
    int state_rc;

    struct replica_metrics metrics;
    struct survey_rate read_rate, write_rate;
    struct metric_entity entity;
};

/* Open the store in 'dir' and get ready for recovery. Blocking.
 * On failure '*out' is untouched, 'e' says what and where, and nothing is left open. */
int replica_open(struct io *io, struct store_env *env, const char *dir, struct gpid gpid,
                 uint64_t node_id, size_t tail_size_max, struct replica **out,
                 struct err *e) MUST_CHECK;

/* Recovery: the log holds this mutation, given to it under 'ballot'. Returns 0, E_NOMEM, E_PROTO (a gap: it
 * is damaged now). */
int replica_recover(struct replica *r, uint64_t ballot, struct slice mutation) MUST_CHECK;

/* Recovery: that was all. What is certain is applied to the store; what finds the disk full is left to
 * replica_start(). Blocking. Returns 0, or the store's failure; its records stay in the log then. */
int replica_replayed(struct replica *r) MUST_CHECK;

/* Free without ceremony: before it was given to a worker, or after replica_close(). Blocking. */
void replica_free(struct replica *r);

/* ---- On its worker ---- */

/* The worker has it now: join the log, apply what was recovered. */
void replica_start(struct replica *r, struct worker *w);

/* Obey the meta group. Takes 'a'. */
void replica_assign(struct replica *r, struct assignment *a);

/* A request for it. Takes it. */
void replica_on_request(struct replica *r, struct rpc_request *request);

/* It will serve in a moment: as soon as the disk holds that it is primary. Requests wait for that. */
bool replica_is_coming(const struct replica *r);

/* Take the requests that waited, unless they have to wait on. */
void replica_serve_early(struct replica *r);

/* The log has it up to r->logged_to; or it failed. */
void replica_on_logged(struct replica *r, int rc);

/* Stop, let what is under way end, flush and close the store, call on_closed. With 'is_dropped' the log
 * forgets it too. If 'is_held' is still set then, it may be freed only after log_close(). */
void replica_close(struct replica *r, bool is_dropped, void (*on_closed)(struct replica *r));

/* Something under way has ended: close if it was the last. */
void replica_release(struct replica *r);

/* Flush the store, so that the log may free what only it needed. Harmless when one is under way. */
void replica_flush(struct replica *r);

/* Compact the store if it was not since o->wanted_s; fill in how that went, and call o->on_done. */
struct compact_order;
void replica_compact(struct replica *r, struct compact_order *o);
void replica_compact_end(struct replica *r); /* It closes. */

/* Tell the log what is still needed. */
void replica_hold(struct replica *r);

/* May it take requests, and may what was read leave? Ask after reading (R7, F3). */
bool replica_may_serve(const struct replica *r);

/* The stream of this duplication; NULL: none. */
struct stream *replica_stream(const struct replica *r, int32_t dup_id);

/* One step of the protocol, and its effects. */
void replica_step(struct replica *r, const struct repl_event *event);

/* What node 'from' says to it. Returns 0; or what repl_step() does, E_BUSY, E_NOMEM: it was not taken, and
 * is to be said again. */
struct replicate_item;
int replica_on_peer(struct replica *r, uint64_t from, const struct replicate_item *item) MUST_CHECK;

/* A mutation that it asked its primary for; returns as replica_on_peer() does. */
int replica_on_learned(struct replica *r, uint64_t ballot, uint64_t committed,
                       struct slice mutation) MUST_CHECK;

/* ---- Inside the replica's files ---- */

/* Join the log. What it asks for comes on the worker, from then on. */
void replica_hold_begin(struct replica *r);

/* Something was applied or flushed: perhaps what the log asked to be flushed is now complete. */
void replica_flush_if_due(struct replica *r);

/* Tell the store which tombstones may go. */
void replica_set_policy(struct replica *r);

/* 'has_waited': throttling has been asked about it. */
void replica_on_write(struct replica *r, struct rpc_request *request, bool has_waited);
void replica_on_read(struct replica *r, struct rpc_request *request, bool has_waited);
void replica_on_digest(struct replica *r, struct rpc_request *request);

/* Answer the writes that wait for decrees up to 'applied'. */
void replica_reply(struct replica *r, uint64_t applied);

/* Another is primary now. Who waits is answered when something is applied at its decree: its own mutation, or
 * another, and then its was never executed; or in a moment, that nobody knows (R15). */
void replica_part(struct replica *r);
void replica_part_init(struct replica *r);
void replica_part_end(
    struct replica *r); /* It is primary again: of those nothing is known any more. */
void replica_part_from(struct replica *r, uint64_t last);

/* Answer all that waits: what is ordered by ERR_TIMEOUT, for its outcome is unknown, the rest by
 * ERR_INVALID_STATE, for it was never begun. */
void replica_fail_all(struct replica *r);

/* Write what is committed to the store. */
void replica_apply(struct replica *r);

/* Make the coming configuration durable. */
void replica_save_state(struct replica *r);

/* The disk is full: what failed is tried again, and meanwhile writes are refused. */
void replica_wait_for_room(struct replica *r);
void replica_had_room(struct replica *r); /* Something passed. Harmless when nothing had failed. */
void replica_room_end(struct replica *r); /* It has stopped or closes: no more of this. */
void replica_room_init(struct replica *r);

struct now replica_now(const struct replica *r);
