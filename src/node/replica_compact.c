/* src/node/replica_compact.c: one compaction that an operator asked for, on the pool. */
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/worker.h"

static void compact_run(struct io_work *work)
{
    struct compact_order *o = LIST_ENTRY(work, struct compact_order, work);
    o->rc = store_compact(o->replica->store,
                          o->rewrites_bottom ? STORE_COMPACT_ALL : STORE_COMPACT_UPPER);
}

static void compact_done(struct io_work *work)
{
    struct compact_order *o = LIST_ENTRY(work, struct compact_order, work);
    struct replica *r = o->replica;
    r->compacting = NULL;
    o->on_done(o, o->rc, (int64_t)store_compacted_s(r->store));
    replica_release(r);
}

/* It may drop what the streams have passed by now, and needs room to write. */
void replica_compact(struct replica *r, struct compact_order *o)
{
    int64_t compacted_s = (int64_t)store_compacted_s(r->store);
    if (r->is_closing) o->on_done(o, E_CANCELED, compacted_s);
    else if (compacted_s >= o->wanted_s) o->on_done(o, 0, compacted_s);
    else if (r->is_disk_full || disk_guard_refuses(&r->worker->guard))
        o->on_done(o, E_NOSPACE, compacted_s);
    else {
        replica_set_policy(r);
        r->busy++;
        r->compacting = o;
        o->replica = r;
        o->work.run = compact_run;
        o->work.done = compact_done;
        io_work(r->worker->loop, &o->work);
    }
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
    r->busy++;
    r->compact_stop.run = stop_run;
    r->compact_stop.done = stop_done;
    io_work(r->worker->loop, &r->compact_stop);
}
