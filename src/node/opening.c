/* src/node/opening.c: opening replicas, again and again if need be. */
#include "node/opening.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "node/node_impl.h"
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
    struct list_node early;      /* Requests that came so soon: a new table's first ones. */
    char dir[CONFIG_TEXT_SIZE + 64];
    struct replica *replica;
    int rc;
    struct err tried; /* With 'rc': the pool's. */
    struct err err;   /* Of the last try; the code is 0 while none has failed. */
    bool is_waiting;
    uint64_t retry_ms; /* How long it waited last. */
    struct io_timer timer;
    struct io_work work;
};

struct opening *opening_find(struct worker *w, struct gpid gpid)
{
    LIST_EACH (it, &w->openings) {
        struct opening *o = LIST_ENTRY(it, struct opening, node);
        if (gpid_equal(o->gpid, gpid)) return o;
    }
    return NULL;
}

/* ---- On the pool, and back ---------------------------------------------------------------------------- */

static void opening_run(struct io_work *work)
{
    struct opening *o = LIST_ENTRY(work, struct opening, work);
    struct node *n = o->worker->node;
    o->rc = replica_open(n->io, n->store_env, o->dir, o->gpid, n->node_id, node_tail_size(n),
                         &o->replica, &o->tried);
}

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

static void wait_and_retry(struct opening *o)
{
    MARK("replica not opened, and tried again");
    uint64_t next_ms = o->retry_ms == 0 ? RETRY_MS_MIN : o->retry_ms * 2;
    o->retry_ms = next_ms < RETRY_MS_MAX ? next_ms : RETRY_MS_MAX;
    o->is_waiting = true;
    LOG_ERROR(&logger,
              "replica not opened: its partition does not serve until a later try succeeds",
              field_err(&o->err), field_u64("next_try_ms", o->retry_ms));
    struct io_loop *loop = o->worker->loop;
#ifndef MUT_opening_not_retried
    io_timer_start(loop, &o->timer, io_now(io_of(loop)).boot_ms + o->retry_ms);
#else
    (void)loop; /* Known mistake: its table is there when the server is started again. */
#endif
    count_failed(o->worker);
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

static void opening_done(struct io_work *work)
{
    struct opening *o = LIST_ENTRY(work, struct opening, work);
    if (o->rc == 0) {
        hand_over(o);
        return;
    }
    o->err = o->tried;
    refuse_early(o);
    if (o->worker->is_closing || o->assigned == NULL) give_up(o);
    else wait_and_retry(o);
}

static void try_to_open(struct opening *o)
{
    o->is_waiting = false;
    o->tried = (struct err){0};
    io_work(o->worker->loop, &o->work);
}

static void on_timer(struct io_timer *timer)
{
    try_to_open(LIST_ENTRY(timer, struct opening, timer));
}

/* ---- Beginning and ending ------------------------------------------------------------------------------ */

/* Not to be opened in this life: its store may lack what the log has, and that is only replayed at a
 * start. It was damaged then, or could not be flushed when it closed. */
static bool is_set_aside(const struct worker *w, struct gpid gpid)
{
    const struct node *n = w->node;
    for (size_t i = 0; i < n->set_aside_count; i++)
        if (gpid_equal(n->set_aside[i], gpid)) return true;
    LIST_EACH (it, &w->closed) {
        const struct replica *r = LIST_ENTRY(it, struct replica, node);
        if (r->is_log_needed && gpid_equal(r->gpid, gpid)) return true;
    }
    return false;
}

void opening_begin(struct worker *w, struct assignment *a)
{
    if (is_set_aside(w, a->gpid)) {
        LOG_ERROR(
            &logger, "replica not opened: it was set aside; repair it and start the server again",
            field_i64("table", a->gpid.app_id), field_i64("partition", a->gpid.partition_index));
        assignment_free(a);
        return;
    }
    struct opening *o = mem_zalloc(sizeof *o);
    if (o == NULL) {
        LOG_ERROR(&logger, "no memory to open a replica", field_i64("table", a->gpid.app_id));
        assignment_free(a);
        return;
    }
    *o = (struct opening){.worker = w, .gpid = a->gpid, .assigned = a, .timer.run = on_timer};
    list_init(&o->early);
    node_replica_dir(w->node, a->gpid, o->dir, sizeof o->dir);
    list_push_back(&w->openings, &o->node);
    o->work.run = opening_run;
    o->work.done = opening_done;
    try_to_open(o);
}

void opening_assign(struct opening *o, struct assignment *a)
{
    assignment_free(o->assigned);
    o->assigned = a;
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
    }
}

void openings_each_failed(struct worker *w,
                          void (*each)(void *context, struct gpid gpid, const char *why),
                          void *context)
{
    struct node *n = w->node;
    for (size_t i = 0; i < n->set_aside_count; i++)
        if (node_owner(n, n->set_aside[i]) == w)
            each(context, n->set_aside[i], "set aside: its store could not be opened at the start");
    LIST_EACH (it, &w->openings) {
        const struct opening *o = LIST_ENTRY(it, struct opening, node);
        if (o->err.code != 0) each(context, o->gpid, o->err.text);
    }
}
