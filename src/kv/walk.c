/* src/kv/walk.c: step over what is not there, count, look at the clock now and then. */
#include "kv/walk.h"

#include "base/mark.h"
#include "wire/value.h"

enum { CLOCK_LOOKS = 10 }; /* In a walk of its full length. */

void kv_walk_init(struct kv_walk *w, struct store_iter *iter, enum store_tier tier,
                  const struct kv_context *c, uint64_t visits_max, uint64_t clock_span)
{
    uint64_t every = clock_span / CLOCK_LOOKS;
    *w = (struct kv_walk){
        .iter = iter,
        .tier = tier,
        .now_s = c->now_s,
        .visits_max = visits_max,
        .tombstones_max = KV_WALK_TOMBSTONES_MAX,
        .clock_every = every == 0 ? 1 : every,
        .context = c,
        .deadline_ms = kv_deadline_ms(c),
    };
    w->clock_at = w->clock_every;
}

void kv_walk_advance(struct kv_walk *w)
{
    if (w->is_reverse) store_iter_prev(w->iter);
    else store_iter_next(w->iter);
}

int kv_walk_is_at_end(const struct kv_walk *w)
{
    if (store_iter_is_valid(w->iter)) return 0;
    int rc = store_iter_status(w->iter);
    return rc == 0 ? 1 : rc;
}

uint64_t kv_deadline_ms(const struct kv_context *c)
{
    bool is_timed = c->clock_ms != NULL && c->partition->iteration_time_ms_max > 0;
    return is_timed ? c->clock_ms(c->clock_context) + c->partition->iteration_time_ms_max
                    : UINT64_MAX;
}

bool kv_is_late(const struct kv_context *c, uint64_t deadline_ms)
{
    return deadline_ms != UINT64_MAX && c->clock_ms(c->clock_context) >= deadline_ms;
}

bool kv_walk_is_late(const struct kv_walk *w)
{
    return kv_is_late(w->context, w->deadline_ms);
}

/* Whether one more row may be looked at. */
static int check_limits(struct kv_walk *w)
{
    uint64_t rows = w->visits + w->tombstones;
    if (w->visits >= w->visits_max || w->tombstones >= w->tombstones_max) return E_LIMIT;
    if (w->tier == STORE_CACHED && rows >= KV_WALK_LOOP_MAX) {
        MARK("walk too long for a loop");
        return E_AGAIN;
    }
    if (rows >= w->clock_at) {
        w->clock_at = rows + w->clock_every;
        if (kv_walk_is_late(w)) return E_TIMEOUT;
    }
    return 0;
}

int kv_walk_row(struct kv_walk *w, struct slice *key, struct kv_row *row)
{
    for (;; kv_walk_advance(w)) {
        int rc = kv_walk_is_at_end(w);
        if (rc != 0) return rc == 1 ? E_NOTFOUND : rc;
        rc = check_limits(w);
        if (rc != 0) return rc;
        rc = kv_row_read(store_iter_value(w->iter), row);
        if (rc != 0) return rc;
        if (timetag_is_deleted(row->timetag)) {
            w->tombstones++;
            continue;
        }
        w->visits++;
        if (!kv_row_is_live(row, w->now_s)) continue;
        *key = store_iter_key(w->iter);
        return 0;
    }
}
