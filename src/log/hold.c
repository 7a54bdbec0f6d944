/* src/log/hold.c: what replicas still need, and what they are told in return.
 *
 * Both directions are one message that is in the air at most once: what changes meanwhile is read
 * when it arrives. So a replica may report every confirmed decree, and no memory is needed. */
#include "log/log_impl.h"

/* ---- The log speaks to the replica ---- */

static void on_notice(struct io_post *post)
{
    struct log_hold *hold = LIST_ENTRY(post, struct log_hold, notice_post);
    atomic_store(&hold->is_notice_posted, false);
    unsigned notices = atomic_exchange(&hold->notices, 0);
    const struct log_hold_handler *handler = hold->handler;
    if (notices & LOG_NOTICE_FLUSH) handler->on_flush_wanted(hold);
    if (notices & LOG_NOTICE_OVER) handler->on_backlog_over(hold);
    if (notices & LOG_NOTICE_FAILED) handler->on_failed(hold);
}

void log_hold_notify(struct log_hold *hold, unsigned notice)
{
    atomic_fetch_or(&hold->notices, notice);
    if (!atomic_exchange(&hold->is_notice_posted, true)) io_post(hold->loop, &hold->notice_post);
}

static void flush_ask(void *only, struct mlog_partition *p)
{
    struct log_owner *owner = p->owner;
    if (only != NULL && only != p) return;
    if (owner != NULL && owner->hold != NULL) log_hold_notify(owner->hold, LOG_NOTICE_FLUSH);
}

void log_ask_flushes(struct log *l)
{
    mlog_space_flush_wanted(&l->space, l->options.flush_size, flush_ask, NULL);
}

/* A replica that comes after a restart was not there when its segments were counted: the next one may
 * be long in coming (L18). */
static void ask_newcomer(struct log *l, struct mlog_partition *p)
{
    mlog_space_flush_wanted(&l->space, l->options.flush_size, flush_ask, p);
}

/* ---- The replica speaks to the log ---- */

struct log_owner *log_owner_get(struct mlog_partition *p)
{
    if (p->owner != NULL) return p->owner;
    struct log_owner *owner = mem_zalloc(sizeof *owner);
    if (owner == NULL) return NULL;
    list_init(&owner->backlog);
    p->owner = owner;
    return owner;
}

static void on_set(struct io_post *post)
{
    struct log_hold *hold = LIST_ENTRY(post, struct log_hold, set_post);
    struct log *l = hold->log;
    atomic_store(&hold->is_set_posted, false);
    /* In the opposite order of log_hold_set(): a pair that never was is one that keeps more. */
    uint64_t durable = atomic_load(&hold->durable);
    uint64_t confirmed = atomic_load(&hold->confirmed);

    struct mlog_partition *p;
    struct log_owner *owner = NULL;
    if (mlog_partition_get(&l->space, hold->gpid, &p) == 0) owner = log_owner_get(p);
    if (owner == NULL) {
        log_fail(l); /* Without a place to remember it this replica's needs would be forgotten. */
        log_hold_notify(hold, LOG_NOTICE_FAILED);
        return;
    }
    bool is_newcomer = owner->hold == NULL, was_kept = mlog_partition_is_kept(p);
    if (is_newcomer && l->is_failed) log_hold_notify(hold, LOG_NOTICE_FAILED);
    owner->hold = hold;
    owner->is_over_asked = false;
    p->durable = durable;
#ifdef MUT_gc_stuck_after_dup_removed
    if (confirmed != LOG_NO_SHIPPER)
#endif
        p->confirmed = confirmed;
    if (is_newcomer) ask_newcomer(l, p);
    l->tidy_changes++;
    log_backlog_release(l, p);
    if (was_kept || mlog_partition_is_kept(p)) log_backlog_count(l); /* It walks all of them. */
    if (is_newcomer && log_backlog_is_unflushed(p)) log_hold_notify(hold, LOG_NOTICE_FLUSH);
    log_tidy(l);
}

void log_hold_init(struct log_hold *hold, struct log *l, struct gpid gpid, struct io_loop *loop,
                   const struct log_hold_handler *handler)
{
    *hold = (struct log_hold){.log = l, .gpid = gpid, .loop = loop, .handler = handler};
    hold->set_post.run = on_set;
    hold->notice_post.run = on_notice;
}

void log_hold_set(struct log_hold *hold, uint64_t durable, uint64_t confirmed)
{
    atomic_store(&hold->confirmed, confirmed);
    atomic_store(&hold->durable, durable);
    if (!atomic_exchange(&hold->is_set_posted, true)) io_post(hold->log->loop, &hold->set_post);
}

/* ---- Forgetting ---- */

static void on_forgotten_loop(struct io_post *post)
{
    struct log_hold *hold = LIST_ENTRY(post, struct log_hold, forget_post);
    hold->on_forgotten(hold);
}

static void on_forget(struct io_post *post)
{
    struct log_hold *hold = LIST_ENTRY(post, struct log_hold, forget_post);
    struct log *l = hold->log;
    struct mlog_partition *p = mlog_partition_find(&l->space, hold->gpid);
    if (p != NULL) {
        mlog_partition_forget(&l->space, p);
        log_write_forgotten(l, p);
        log_backlog_release(l, p);
        mem_free(p->owner);
        p->owner = NULL;
    }
    hold->forget_post.run = on_forgotten_loop;
    io_post(hold->loop, &hold->forget_post);
    mlog_partition_sweep(&l->space);
    log_tidy(l);
}

void log_forget(struct log_hold *hold, void (*on_forgotten)(struct log_hold *hold))
{
    hold->on_forgotten = on_forgotten;
    hold->forget_post.run = on_forget;
    io_post(hold->log->loop, &hold->forget_post);
}
