/* src/node/replica_hold.c: what a replica and the log tell each other.
 *
 *     replica -> log   so far my store is durable, so far duplications are: the rest must stay
 *     log -> replica   flush, that old segments may go; give up a backlog; I have failed */
#include "base/check.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/stream.h"
#include "node/worker.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "replica"};

static struct replica *of_hold(struct log_hold *hold)
{
    return LIST_ENTRY(hold, struct replica, hold);
}

/* ---- What must stay ---------------------------------------------------------------------------------- */

/* What is above this decree must stay for a duplication. Its stream knows best; while there is none (the
 * replica has stopped, closes, or is no primary) it is what the meta group said: the next one begins
 * there. A snapshot that the group does not know of may have ended, with the news of it on the way: then
 * what its stream needed last stays. */
static uint64_t shipper_needs(struct replica *r, const struct assignment_dup *dup)
{
    const struct stream *s = replica_stream(r, dup->id);
    if (s != NULL) return stream_hold_decree(s);
#ifdef MUT_news_of_snapshot_free_log
    if (dup->needs_snapshot) return LOG_NO_SHIPPER; /* Known mistake: the snapshot begins anew. */
#endif
    if (dup->needs_snapshot) return r->shippers_need;
    return dup->confirmed > 0 ? (uint64_t)dup->confirmed : 0;
}

void replica_hold(struct replica *r)
{
    uint64_t confirmed = LOG_NO_SHIPPER;
    if (r->assigned == NULL || !r->is_held)
        return; /* Not told yet: a stream may want everything. */
    for (uint32_t i = 0; i < r->assigned->dup_count; i++) {
        uint64_t decree = shipper_needs(r, &r->assigned->dups[i]);
        if (decree < confirmed) confirmed = decree;
    }
    r->shippers_need = confirmed;
    if (r->teacher.needs < confirmed) confirmed = r->teacher.needs;
    bool takes_none = r->is_damaged || r->repl.is_stopped || r->is_log_needed; /* Until a start. */
    if (takes_none && r->durable < confirmed) confirmed = r->durable;
    log_hold_set(&r->hold, takes_none ? LOG_NO_STORE : r->durable, confirmed);
}

/* ---- Flushing ------------------------------------------------------------------------------------------ */

static void flush_run(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, work);
    r->flush_rc = store_flush(r->store);
    if (r->flush_rc != 0 && r->flush_rc != E_NOSPACE) /* That is said once, by who waits. */
        LOG_ERROR(&logger, "store not flushed", field_str("dir", r->dir), field_code(r->flush_rc));
}

static void flush_done(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, work);
    r->is_flushing = false;
    r->durable = store_durable(r->store);
    /* Without room, what was asked for stays due. If it failed otherwise, the next write will say so. */
    if (r->flush_rc != 0 && r->flush_rc != E_NOSPACE) r->flush_to = 0;
    if (r->flush_rc == E_NOSPACE) replica_wait_for_room(r);
    else replica_had_room(r);
    replica_hold(r);
    replica_set_policy(r);
    replica_flush_if_due(r);
    replica_release(r);
}

void replica_flush(struct replica *r)
{
    if (r->is_flushing || r->is_closing) return;
    r->is_flushing = true;
    r->busy++;
    r->work.run = flush_run;
    r->work.done = flush_done;
    io_work(r->worker->loop, &r->work);
}

/* What the log asked for may not be applied yet, or a flush that began before may be under way: it is
 * flushed when that has changed, for nobody may ask again (L18). Nor while the disk is full: the wait for room
 * tries the flush itself. */
void replica_flush_if_due(struct replica *r)
{
    if (r->is_disk_full) return;
    uint64_t to = r->flush_to < r->repl.prepared ? r->flush_to : r->repl.prepared;
    if (r->durable < to && to <= r->repl.applied) replica_flush(r);
}

/* ---- The log asks -------------------------------------------------------------------------------------- */

static void on_flush_wanted(struct log_hold *hold)
{
    struct replica *r = of_hold(hold);
    r->flush_to = r->repl.prepared;
    replica_flush_if_due(r);
}

static void on_backlog_over(struct log_hold *hold)
{
    struct replica *r = of_hold(hold);
    struct stream *slowest = NULL;
    LIST_EACH (it, &r->streams) {
        struct stream *s = LIST_ENTRY(it, struct stream, node);
        if (slowest == NULL || stream_hold_decree(s) < stream_hold_decree(slowest)) slowest = s;
    }
    bool is_learner_slower = slowest == NULL || r->teacher.needs < stream_hold_decree(slowest);
    if (r->teacher.needs != LOG_NO_SHIPPER && is_learner_slower) {
        teach_give_up_log(r);
        return;
    }
    if (slowest == NULL) return; /* It has nothing to give up, and would be asked again at once. */
    stream_give_up_log(slowest);
    replica_hold(r);
}

static void on_log_failed(struct log_hold *hold)
{
    struct replica *r = of_hold(hold);
    struct repl_event event = {.type = REPL_LOG_FAILED, .failed.rc = E_IO};
    if (!r->is_closing) replica_step(r, &event); /* Else its store may be closed already. */
}

void replica_hold_begin(struct replica *r)
{
    static const struct log_hold_handler handler = {
        .on_flush_wanted = on_flush_wanted,
        .on_backlog_over = on_backlog_over,
        .on_failed = on_log_failed,
    };
    log_hold_init(&r->hold, r->worker->node->log, r->gpid, r->worker->loop, &handler);
    r->is_held = true;
    r->shippers_need = LOG_NO_SHIPPER;
}
