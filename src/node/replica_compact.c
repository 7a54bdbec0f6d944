/* src/node/replica_compact.c: one compaction that an operator asked for, on the pool. */
#include "base/mark.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/worker.h"

static void answer(struct replica *r, struct compact_order *o, int rc)
{
    o->rc = rc;
    o->compacted_s = (int64_t)store_compacted_s(r->store);
    o->on_done(o);
}

/* A clock that was put back must not make it due again at once. */
static uint64_t as_of_s(const struct compact_order *o)
{
    int64_t now_s = (int64_t)(io_now(o->node->io).wall_us / 1000000);
    return (uint64_t)(now_s > o->wanted_s ? now_s : o->wanted_s);
}

static void compact_run(struct io_work *work)
{
    struct compact_order *o = LIST_ENTRY(work, struct compact_order, work);
    o->rc = store_compact(o->replica->store,
                          o->rewrites_bottom ? STORE_COMPACT_ALL : STORE_COMPACT_UPPER, o->as_of_s);
}

static void compact_done(struct io_work *work)
{
    struct compact_order *o = LIST_ENTRY(work, struct compact_order, work);
    struct replica *r = o->replica;
    r->compacting = NULL;
    answer(r, o, o->rc);
    replica_release(r);
}

/* 0: it can begin. */
static int obstacle(struct replica *r)
{
    if (r->is_closing) return E_CANCELED;
    if (r->repl.is_stopped || r->is_damaged) return E_STATE;
    return r->is_disk_full || disk_guard_refuses(&r->worker->guard) ? E_NOSPACE : 0;
}

/* It may drop what the streams have passed by now. */
void replica_compact(struct replica *r, struct compact_order *o)
{
    bool is_done = (int64_t)store_compacted_s(r->store) >= o->wanted_s;
    int rc = is_done ? 0 : obstacle(r);
    if (is_done || rc != 0) {
        answer(r, o, rc);
        return;
    }
    replica_set_policy(r);
    r->busy++;
    r->compacting = o;
    o->replica = r;
    o->as_of_s = as_of_s(o);
    o->work.run = compact_run;
    o->work.done = compact_done;
    io_work(r->worker->loop, &o->work);
}

static void stop_run(struct io_work *work)
{
    store_compact_stop(LIST_ENTRY(work, struct replica, compact_stop)->store);
}

static void stop_done(struct io_work *work)
{
    replica_release(LIST_ENTRY(work, struct replica, compact_stop));
}

void replica_compact_end(struct replica *r)
{
    if (r->compacting == NULL) return;
    MARK("replica closes while it is compacted");
    r->busy++;
    r->compact_stop.run = stop_run;
    r->compact_stop.done = stop_done;
    io_work(r->worker->loop, &r->compact_stop);
}
