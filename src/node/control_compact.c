/* src/node/control_compact.c: compactions that operators ask for (docs/meta.md, M32). On the control loop,
 * which knows what is wanted and what runs; the replica's worker has the pool do it.
 *
 *     environment wants it            order           replica_compact()          answer
 *     later than it was done  ------> worker -------> pool: store_compact() ---> control: the next one
 *
 * A few at once, the rest waits: each keeps a thread of the pool and the disk busy for as long as it lasts.
 * What could not be done is tried again by a timer, which runs only while something is wanted. */
#include <time.h>

#include "base/mem.h"
#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "control"};

enum {
    AT_ONCE_MAX = 2,       /* Of four threads of the pool: reads that miss the cache need some. */
    LOOK_AGAIN_MS = 10000, /* While something is due and could not be done. */
    LOOK_DAILY_MS = 60000, /* Times of day are told in minutes. */
};

/* ---- To the worker and back ------------------------------------------------------------------------------ */

static void on_answer(struct io_post *post)
{
    struct compact_order *o = LIST_ENTRY(post, struct compact_order, post);
    struct node *n = o->node;
    struct placement *p = control_placement_find(n, o->gpid);
    n->compactions--;
    if (p != NULL) {
        p->is_compacting = false;
        p->compacted_s = o->compacted_s;
    }
    if (o->rc == 0)
        LOG_INFO(&logger, "compacted", field_i64("table", o->gpid.app_id),
                 field_i64("partition", o->gpid.partition_index));
    else if (o->rc != E_NOTFOUND && o->rc != E_CANCELED)
        LOG_WARN(&logger, "not compacted, will be tried again", field_i64("table", o->gpid.app_id),
                 field_i64("partition", o->gpid.partition_index), field_code(o->rc));
    bool was_done = o->rc == 0;
    mem_free(o);
    if (was_done) control_compact(n);
    else if (!n->is_closing)
        io_timer_start(n->control, &n->compact_timer, io_now(n->io).boot_ms + LOOK_AGAIN_MS);
}

static void answer(struct compact_order *o, int rc, int64_t compacted_s)
{
    o->rc = rc;
    o->compacted_s = compacted_s;
    o->post.run = on_answer;
    io_post(o->node->control, &o->post);
}

static void on_order(struct io_post *post)
{
    struct compact_order *o = LIST_ENTRY(post, struct compact_order, post);
    struct replica *r = worker_find(node_owner(o->node, o->gpid), o->gpid);
    o->on_done = answer;
    if (r == NULL) answer(o, E_NOTFOUND, 0); /* Being opened, set aside, or gone. */
    else replica_compact(r, o);
}

/* False: no memory. */
static bool order_send(struct node *n, struct placement *p, const struct meta_compaction *c)
{
    struct compact_order *o = mem_zalloc(sizeof *o);
    if (o == NULL) return false;
    *o = (struct compact_order){.post.run = on_order,
                                .node = n,
                                .gpid = p->gpid,
                                .wanted_s = c->wanted_s,
                                .rewrites_bottom = c->rewrites_bottom};
    p->is_compacting = true;
    n->compactions++;
    io_post(node_owner(n, p->gpid)->loop, &o->post);
    return true;
}

/* ---- What is due ------------------------------------------------------------------------------------------ */

static struct meta_compaction wanted(const struct node *n, const struct meta_table *table)
{
    time_t now_s = (time_t)(io_now(n->io).wall_us / 1000000);
    struct tm local;
    int32_t zone_s = localtime_r(&now_s, &local) != NULL ? (int32_t)local.tm_gmtoff : 0;
    return meta_compaction(table, now_s, zone_s);
}

static bool is_due(const struct placement *p, const struct meta_compaction *c)
{
    return p->state == PLACED && !p->is_compacting && p->compacted_s < c->wanted_s;
}

/* Send what is due of one table, as far as there is room. True: there was not. */
static bool send_due(struct node *n, const struct meta_table *table,
                     const struct meta_compaction *c)
{
    uint32_t at_once = c->at_once_max < AT_ONCE_MAX ? c->at_once_max : AT_ONCE_MAX;
    LIST_EACH (it, &n->placements) {
        struct placement *p = LIST_ENTRY(it, struct placement, node);
        if (p->gpid.app_id != table->id || !is_due(p, c)) continue;
        if (n->compactions >= at_once || !order_send(n, p, c)) return true;
    }
    return false;
}

static void on_timer(struct io_timer *timer)
{
    control_compact(LIST_ENTRY(timer, struct node, compact_timer));
}

void control_compact(struct node *n)
{
    if (!n->is_ready || n->is_closing) return;
    uint64_t wait_ms = UINT64_MAX;
    for (size_t i = 0; i < n->meta->table_count; i++) {
        const struct meta_table *table = n->meta->tables[i];
        if (table->status != AS_AVAILABLE) continue;
        struct meta_compaction c = wanted(n, table);
        if (send_due(n, table, &c) && n->compactions == 0) wait_ms = LOOK_AGAIN_MS;
        if ((c.is_daily || c.is_later) && wait_ms > LOOK_DAILY_MS) wait_ms = LOOK_DAILY_MS;
    }
    n->compact_timer.run = on_timer;
    if (wait_ms == UINT64_MAX) io_timer_stop(&n->compact_timer);
    else io_timer_start(n->control, &n->compact_timer, io_now(n->io).boot_ms + wait_ms);
}

int control_compact_progress(const struct node *n, const struct meta_table *table)
{
    struct meta_compaction c = wanted(n, table);
    uint32_t done = 0, count = 0;
    if (c.wanted_s == 0) return -1;
    LIST_EACH (it, &n->placements) {
        const struct placement *p = LIST_ENTRY(it, struct placement, node);
        if (p->gpid.app_id != table->id || p->state != PLACED) continue;
        count++;
        if (p->compacted_s >= c.wanted_s) done++;
    }
    return count > 0 ? (int)(done * 100 / count) : -1;
}
