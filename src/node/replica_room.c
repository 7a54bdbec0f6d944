/* src/node/replica_room.c: a replica whose disk has no room for what it has to write: rows, or its
 * configuration. Nothing is lost, for its log holds what its store lacks. Until there is room again writes
 * are refused and reads are served (R9).
 *
 *     store_write, store_flush, state file: E_NOSPACE
 *        v
 *     replica_wait_for_room() -- half a second --> the same once more --> E_NOSPACE: again
 *                                                         v
 *                                                  replica_had_room(): the rest of it, then all is well */
#include "base/mark.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/worker.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "replica"};

enum { ROOM_RETRY_MS = 500 }; /* RocksDB itself looks every 5 s: this adds little. */

static void wait_ms(struct replica *r, uint64_t ms)
{
    uint64_t now_ms = io_now(io_of(r->worker->loop)).boot_ms;
    io_timer_start(r->worker->loop, &r->room_timer, now_ms + ms);
}

static bool is_state_due(const struct replica *r)
{
    return r->repl.coming.ballot != 0 && !r->repl.is_coming_saved;
}

/* A flush when nothing else waits: it says whether the store has recovered. What is under way already
 * will say so itself. */
static void on_timer(struct io_timer *timer)
{
    struct replica *r = LIST_ENTRY(timer, struct replica, room_timer);
    if (r->is_saving_state || r->is_flushing || r->is_store_full) return;
    if (is_state_due(r)) replica_save_state(r);
    else if (r->repl.applied < r->apply_to) replica_apply(r);
    else replica_flush(r);
}

void replica_wait_for_room(struct replica *r)
{
    if (r->is_closing || r->repl.is_stopped) return;
#ifndef MUT_store_full_is_final
    wait_ms(r, ROOM_RETRY_MS);
#endif
    if (r->is_disk_full) return;
    MARK("replica waits for disk space");
    LOG_ERROR(&logger,
              "no space for a replica's rows or configuration: writes are refused until there is",
              field_str("dir", r->dir));
    r->is_disk_full = true;
    metric_gauge_set(&r->metrics.disk_full, 1);
    replica_serve_early(r); /* It will not serve in a moment any more. */
}

void replica_had_room(struct replica *r)
{
    if (!r->is_disk_full || r->is_closing || r->repl.is_stopped) return;
    if (is_state_due(r) || r->repl.applied < r->apply_to) {
        wait_ms(r, 0);
        return;
    }
    LOG_INFO(&logger, "the replica has space again", field_str("dir", r->dir));
    replica_room_end(r);
    replica_flush_if_due(r); /* What the log asked for meanwhile: nobody may ask again (L18). */
}

void replica_room_end(struct replica *r)
{
    io_timer_stop(&r->room_timer);
    r->is_disk_full = false;
    metric_gauge_set(&r->metrics.disk_full, 0);
}

void replica_room_init(struct replica *r)
{
    r->room_timer.run = on_timer;
}
