/* src/node/opening.c: opening replicas, again and again if need be; or beginning anew. */
#include "node/opening.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "node/aside.h"
#include "node/node_impl.h"
#include "node/wish.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "worker"};

enum {
    RETRY_MS_MIN = 100,       /* After the first failure; twice as long after each further one, */
    RETRY_MS_MAX = 30 * 1000, /* up to this. */
};

struct opening {
    struct list_node node;
    struct worker *worker;
    struct gpid gpid;
    struct assignment *assigned; /* The newest; NULL: dropped meanwhile. */
    uint64_t ballot;             /* The newest that it was told. */
    struct list_node early;      /* Requests that came so soon: a new table's first ones. */
    char dir[CONFIG_TEXT_SIZE + 64];
    struct replica *replica;
    struct wish wish;
    int rc;
    struct err tried;  /* With 'rc': the pool's. */
    struct err err;    /* Why it is not open; the code is 0 while nothing has failed. */
    bool is_set_aside; /* Not to be tried in this life. */
    bool is_useless;   /* What is on the disk is to be put aside before it learns. */
    bool is_expected;  /* Others have counted on it: its directory must be there... */
    bool was_missing;  /* ...and was not. */
    bool is_waiting;
    uint64_t retry_ms; /* How long it waited last. */
    struct io_timer timer;
    struct io_work work;
    struct log_hold hold; /* Only to be forgotten. */
};

struct opening *opening_find(struct worker *w, struct gpid gpid)
{
    LIST_EACH (it, &w->openings) {
        struct opening *o = LIST_ENTRY(it, struct opening, node);
        if (gpid_equal(o->gpid, gpid)) return o;
    }
    return NULL;
}

struct wish *opening_wish(struct opening *o)
{
    return &o->wish;
}

static bool is_told_to_learn(const struct opening *o)
{
    return o->assigned != NULL && o->assigned->config.learner == o->worker->node->node_id;
}

/* ---- On the pool ------------------------------------------------------------------------------------- */

static void count_name(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
}

/* Whoever was a member before had a directory. One that is made now would be taken for all there is (I11). One that
 * is there all of a sudden lacks what the log has, which is replayed at a start; an empty one is an operator's word
 * that the loss is known. */
static int look_for_directory(struct opening *o)
{
    int names = 0;
    int rc = io_dir_list(o->worker->node->io, o->dir, count_name, &names);
    if (rc == E_NOTFOUND) {
        MARK("the directory of a member is missing");
        o->was_missing = true;
        return err_set(
            &o->tried, rc,
            "%s is missing: if no other server has the partition, stop the server, restore "
            "the directory and start again, or make an empty one to accept the loss",
            o->dir);
    }
    if (rc == 0 && o->was_missing && names > 0)
        return err_set(&o->tried, E_STATE, "%s was missing, and is there again: restart the server",
                       o->dir);
    return rc == 0 ? 0 : err_set(&o->tried, rc, "%s: %s", o->dir, err_text(rc));
}

static void opening_run(struct io_work *work)
{
    struct opening *o = LIST_ENTRY(work, struct opening, work);
    struct node *n = o->worker->node;
    o->rc = o->is_expected ? look_for_directory(o) : 0;
    if (o->rc == 0)
        o->rc = replica_open(n->io, n->store_env, o->dir, o->gpid, n->node_id, node_tail_size(n),
                             &o->replica, &o->tried);
}

static void anew_run(struct io_work *work)
{
    struct opening *o = LIST_ENTRY(work, struct opening, work);
    o->rc = aside_put(o->worker->node->io, o->dir);
    if (o->rc != 0) (void)err_set(&o->tried, o->rc, "put %s aside: %s", o->dir, err_text(o->rc));
}

/* ---- And back ------------------------------------------------------------------------------------------ */

static void count_failed(struct worker *w)
{
    int64_t count = 0;
    LIST_EACH (it, &w->openings) count += LIST_ENTRY(it, struct opening, node)->err.code != 0;
    metric_gauge_set(&w->metrics.replicas_failing, count);
}

/* Nothing is under way any more. */
static void opening_free(struct opening *o)
{
    struct worker *w = o->worker;
    CHECK(list_is_empty(&o->early));
    list_remove(&o->node);
    io_timer_stop(&o->timer);
    wish_end(&o->wish);
    assignment_free(o->assigned);
    mem_free(o);
    count_failed(w);
    worker_stop_if_done(w);
}

static void refuse_early(struct opening *o)
{
    for (struct list_node *it; (it = list_pop_front(&o->early)) != NULL;)
        rpc_reply_error(LIST_ENTRY(it, struct rpc_request, node), WIRE_ERR_OBJECT_NOT_FOUND);
}

/* There is no replica, and none is wanted. */
static void give_up(struct opening *o)
{
    if (o->assigned == NULL && !o->worker->is_closing) control_on_dropped(o->worker->node, o->gpid);
    opening_free(o);
}

/* The others are to go on without it. Where there are none, it is for a person to help. 0: only another order is
 * waited for. */
static void wait(struct opening *o, uint64_t retry_ms)
{
    bool has_others = wish_leave(&o->wish, o->assigned);
    o->is_waiting = true;
    count_failed(o->worker);
    if (has_others)
        LOG_WARN(&logger, "replica not opened: the other members are to go on without it",
                 field_err(&o->err), field_u64("next_try_ms", retry_ms));
    else
        LOG_ERROR(&logger,
                  "replica not opened, and no other server has the partition: it does not serve",
                  field_err(&o->err), field_u64("next_try_ms", retry_ms));
}

static void wait_and_retry(struct opening *o)
{
    MARK("replica not opened, and tried again");
    uint64_t next_ms = o->retry_ms == 0 ? RETRY_MS_MIN : o->retry_ms * 2;
    o->retry_ms = next_ms < RETRY_MS_MAX ? next_ms : RETRY_MS_MAX;
    wait(o, o->retry_ms);
    struct io_loop *loop = o->worker->loop;
#ifndef MUT_opening_not_retried
    io_timer_start(loop, &o->timer, io_now(io_of(loop)).boot_ms + o->retry_ms);
#else
    (void)loop; /* Known mistake: its table is there when the server is started again. */
#endif
}

static void hand_over(struct opening *o)
{
    struct worker *w = o->worker;
    struct replica *r = o->replica;
    if (o->err.code != 0) LOG_INFO(&logger, "replica opened after all", field_str("dir", o->dir));
    replica_start(r, w);
    list_splice_back(&r->early, &o->early);
    if (o->assigned != NULL && !w->is_closing) {
        replica_assign(r, o->assigned);
        o->assigned = NULL; /* The replica has it. */
        replica_serve_early(r);
    } else {
        worker_close_replica(r, !w->is_closing);
    }
    opening_free(o);
}

static void begin_anew(struct opening *o);

static void failed(struct opening *o)
{
    bool is_first = !o->is_useless;
    o->err = o->tried;
    if (o->rc == E_CORRUPT || o->rc == E_UNSUPPORTED) o->is_useless = true;
    refuse_early(o);
    if (o->worker->is_closing || o->assigned == NULL) give_up(o);
    else if (is_first && o->is_useless && is_told_to_learn(o)) begin_anew(o);
    else wait_and_retry(o);
}

static void opening_done(struct io_work *work)
{
    struct opening *o = LIST_ENTRY(work, struct opening, work);
    if (o->rc == 0) hand_over(o);
    else failed(o);
}

static void try_to_open(struct opening *o)
{
    o->tried = (struct err){0};
    o->is_expected = o->assigned != NULL && o->ballot > 1 && !is_told_to_learn(o);
    o->work.run = opening_run;
    o->work.done = opening_done;
    io_work(o->worker->loop, &o->work);
}

/* ---- Beginning anew ------------------------------------------------------------------------------------- */

static void anew_done(struct io_work *work)
{
    struct opening *o = LIST_ENTRY(work, struct opening, work);
    if (o->rc != 0) {
        failed(o);
        return;
    }
    MARK("a replica of no use begins anew");
    node_set_aside_end(o->worker->node, o->gpid);
    o->is_useless = o->is_set_aside = false;
    try_to_open(o);
}

/* Replicas of it that are closed are of no use to the log any more. */
static void free_closed(struct worker *w, struct gpid gpid)
{
    struct list_node *next;
    for (struct list_node *it = w->closed.next; it != &w->closed; it = next) {
        struct replica *r = LIST_ENTRY(it, struct replica, node);
        next = it->next;
        if (!gpid_equal(r->gpid, gpid)) continue;
        list_remove(&r->node);
        replica_free(r);
    }
}

static void on_forgotten(struct log_hold *hold)
{
    struct opening *o = LIST_ENTRY(hold, struct opening, hold);
    free_closed(o->worker, o->gpid);
    o->tried = (struct err){0};
    o->work.run = anew_run;
    o->work.done = anew_done;
    io_work(o->worker->loop, &o->work);
}

/* The members have all that it should have. What the log has of it was kept for a store that nobody wants any more. */
static void begin_anew(struct opening *o)
{
    LOG_INFO(&logger, "a replica of no use is put aside, and learns from the others",
             field_str("dir", o->dir));
    log_hold_init(&o->hold, o->worker->node->log, o->gpid, o->worker->loop, NULL);
    log_forget(&o->hold, on_forgotten);
}

/* ---- Beginning and ending ------------------------------------------------------------------------------ */

/* Not to be opened in this life: its store may lack what the log has, and that is only replayed at a
 * start. It was damaged then, or could not be flushed when it closed. */
static bool is_set_aside(const struct worker *w, struct gpid gpid)
{
    if (node_is_set_aside(w->node, gpid)) return true;
    LIST_EACH (it, &w->closed) {
        const struct replica *r = LIST_ENTRY(it, struct replica, node);
        if (r->is_log_needed && gpid_equal(r->gpid, gpid)) return true;
    }
    return false;
}

/* What is on the disk may be well: after a start on a disk that works it will be seen. */
static void wait_for_a_disk(struct opening *o)
{
    (void)err_set(
        &o->err, E_IO,
        "%s is not opened: the log has failed; start the server again on a disk that works",
        o->dir);
    wait(o, 0);
}

/* Nothing is under way. */
static void go_on(struct opening *o)
{
    o->is_waiting = false;
    io_timer_stop(&o->timer);
    if (node_has_lost_log(o->worker->node)) wait_for_a_disk(o);
    else if (o->is_useless && is_told_to_learn(o)) begin_anew(o);
    else if (o->is_set_aside) wait(o, 0);
    else try_to_open(o);
}

static void on_timer(struct io_timer *timer)
{
    go_on(LIST_ENTRY(timer, struct opening, timer));
}

static void note_set_aside(struct opening *o)
{
    o->is_set_aside = o->is_useless = true;
    (void)err_set(&o->err, E_STATE,
                  "%s is set aside: its store could not be opened at the start, or not be closed; "
                  "repair it and start the server again",
                  o->dir);
}

void opening_begin(struct worker *w, struct assignment *a, bool is_useless)
{
    struct opening *o = mem_zalloc(sizeof *o);
    if (o == NULL) {
        LOG_ERROR(&logger, "no memory to open a replica", field_i64("table", a->gpid.app_id));
        assignment_free(a);
        return;
    }
    *o = (struct opening){.worker = w,
                          .gpid = a->gpid,
                          .assigned = a,
                          .ballot = a->config.ballot,
                          .is_useless = is_useless,
                          .timer.run = on_timer};
    list_init(&o->early);
    wish_init(&o->wish, w, a->gpid);
    node_replica_dir(w->node, a->gpid, o->dir, sizeof o->dir);
    list_push_back(&w->openings, &o->node);
    if (is_set_aside(w, a->gpid)) note_set_aside(o);
    go_on(o);
}

void opening_assign(struct opening *o, struct assignment *a)
{
    bool is_news = a != NULL && a->config.ballot > o->ballot;
    assignment_free(o->assigned);
    o->assigned = a;
    if (!is_news) return;
    o->ballot = a->config.ballot;
    wish_renew(&o->wish, a);
    if (o->is_waiting) go_on(o);
}

void opening_drop(struct opening *o)
{
    opening_assign(o, NULL);
    if (o->is_waiting) give_up(o);
}

bool opening_takes(struct opening *o, struct rpc_request *request)
{
    if (o->err.code != 0 || o->worker->is_closing) return false;
    list_push_back(&o->early, &request->node);
    return true;
}

void openings_stop(struct worker *w)
{
    struct list_node *next;
    for (struct list_node *it = w->openings.next; it != &w->openings; it = next) {
        struct opening *o = LIST_ENTRY(it, struct opening, node);
        next = it->next;
        if (o->is_waiting) opening_free(o);
        else wish_end(&o->wish);
    }
}

void openings_each_failed(struct worker *w,
                          void (*each)(void *context, struct gpid gpid, const char *why),
                          void *context)
{
    LIST_EACH (it, &w->openings) {
        const struct opening *o = LIST_ENTRY(it, struct opening, node);
        if (o->err.code != 0) each(context, o->gpid, o->err.text);
    }
}
