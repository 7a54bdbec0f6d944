/* src/node/stream.h: the shell of one duplication stream: core/dup decides, this performs: it reads the
 * tail or the log, encodes entries, calls the remote, and reports progress. On the replica's worker.
 *
 *     struct stream   one (partition, duplication): the machine, its calls under way
 *     struct remote   where they go: one remote cluster, shared by the worker's streams (remote.h) */
#pragma once
#include "core/dup/dup.h"
#include "io/io.h"
#include "log/log.h"
#include "node/assignment.h"
#include "node/remote.h"
#include "node/stream_route.h"
#include "node/survey.h"
#include "obs/metric.h"
#include "rpc/cluster.h"

struct replica;
struct worker;

enum { STREAM_RUN_MAX = 256 }; /* Mutations handed to the machine at once. */

struct stream_metrics {
    struct metric_gauge committed, confirmed, lag_mutations, lag_bytes;
    struct metric_gauge behind_since_ms; /* Boot time of the oldest unconfirmed commit; 0: none. */
    struct metric_counter requests, failures, bytes;
};

struct stream_scan;
struct stream_save;

struct stream {
    struct list_node node; /* In its replica. */
    struct replica *replica;
    struct assignment_dup dup;
    struct dup machine;
    struct remote *remote;
    struct cluster_table *table;
    struct io_timer timer;
    struct list_node calls; /* Of struct stream_call. */
    uint64_t calls_epoch;   /* Of those that carry ops. */

    struct stream_route route;

    struct chunk *tail_run[STREAM_RUN_MAX]; /* Borrowed during one step. */
    struct log_read read;
    uint64_t read_epoch;
    bool is_log_reading, is_read_wanted;
    struct dup_effect read_wanted; /* Asked for while 'read' was under way for an older epoch. */

    struct stream_scan *scan; /* A snapshot under way. */
    struct stream_save *save; /* Progress on its way into the meta group. */

    bool is_begun; /* The machine knows where, if the group does not. */
    bool is_closing;
    uint32_t busy; /* Things under way that point here. */
    struct stream_metrics metrics;
    struct survey_rate sent_rate;
    struct metric_entity entity;
};

/* Begin a stream. NULL: no memory. */
struct stream *stream_new(struct replica *r, const struct assignment_dup *dup);

/* The meta group's view changed: paused, resumed, or just the same. */
void stream_assign(struct stream *s, const struct assignment_dup *dup);

/* The replica has committed up to 'decree', 'size' bytes more than when it last said so. */
void stream_on_committed(struct stream *s, uint64_t decree, uint64_t size);

/* Is it still the same remote? machine.vouched reaches 'question' when it has said so; dup_wait_check() is
 * called then. */
void stream_ask(struct stream *s, uint64_t question);

/* The backlog of this disk is over its budget: give the log up and send a snapshot later. */
void stream_give_up_log(struct stream *s);

/* Give the machine an event, perform what it wants. Not from inside a step. */
void stream_step(struct stream *s, struct dup_event event);

/* Something under way that pointed here has ended. */
void stream_release(struct stream *s);

/* The lag by the reader's clock: it grows while nothing moves. */
bool stream_lag_ms(const void *figures, struct now now, int64_t *out);

/* End it; freed later, when nothing under way points to it. The replica is kept until then. */
void stream_close(struct stream *s);

uint64_t stream_hold_decree(const struct stream *s);
