/* src/node/control_compact.c: compactions that operators ask for (docs/meta.md, M32). On the control loop,
 * which knows what is wanted and what runs; the replica's worker has the pool do it.
 *
 *     environment wants it            order           replica_compact()          answer
 *     later than it was done  ------> worker -------> pool: store_compact() ---> control: the next one
 *
 * One after the other: each keeps a thread of the pool, a thread of RocksDB and the disk busy for as long as
 * it lasts. What could not be done lets the others pass, and is tried again by a timer, which runs only while
 * something is wanted. */
#include <time.h>

#include "base/mem.h"
#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "control"};

enum {
    AT_ONCE_MAX =
        1, /* RocksDB has two threads for compactions, and writes must not wait for both. */
    LOOK_AGAIN_MS = 10000, /* At what could not be done. */
    LOOK_DAILY_MS = 60000, /* Times of day are told in minutes. */
};

/* ---- To the worker and back ------------------------------------------------------------------------------ */

static void tell(const struct compact_order *o)
{
    if (o->rc == 0)
        LOG_INFO(&logger, "compacted", field_i64("table", o->gpid.app_id),
                 field_i64("partition", o->gpid.partition_index));
    else if (o->rc != E_NOTFOUND && o->rc != E_CANCELED)
        LOG_WARN(&logger, "not compacted, will be tried again", field_i64("table", o->gpid.app_id),
                 field_i64("partition", o->gpid.partition_index), field_code(o->rc));
}

static void on_answer(struct io_post *post)
{
    struct compact_order *o = LIST_ENTRY(post, struct compact_order, post);
    struct node *n = o->node;
    struct placement *p = control_placement_find(n, o->gpid);
    n->compactions--;
    if (p != NULL) {
        p->is_compacting = false;
        p->compacted_s = o->compacted_s;
        p->not_compacted_ms = o->rc == 0 ? 0 : io_now(n->io).boot_ms;
    }
    tell(o);
    mem_free(o);
    control_compact(n);
}

static void answer(struct compact_order *o)
{
    o->post.run = on_answer;
    io_post(o->node->control, &o->post);
}

static void on_order(struct io_post *post)
{
    struct compact_order *o = LIST_ENTRY(post, struct compact_order, post);
    struct replica *r = worker_find(node_owner(o->node, o->gpid), o->gpid);
    o->on_done = answer;
    o->rc = E_NOTFOUND; /* Being opened, or gone. */
    if (r != NULL) replica_compact(r, o);
    else answer(o);
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

/* What was set aside can't be opened before the next start: nobody waits for it. */
static bool is_of(const struct node *n, const struct placement *p, const struct meta_table *table)
{
    return p->gpid.app_id == table->id && p->state == PLACED && !node_is_set_aside(n, p->gpid);
}

/* When it is to be tried; UINT64_MAX: it is done, or under way. */
static uint64_t due_ms(const struct placement *p, const struct meta_compaction *c)
{
    if (p->is_compacting || p->compacted_s >= c->wanted_s) return UINT64_MAX;
    return p->not_compacted_ms == 0 ? 0 : p->not_compacted_ms + LOOK_AGAIN_MS;
}

/* Send what is due of one table, as far as there is room. Returns when to look again; what waits for room
 * is looked at when something ends. */
static uint64_t send_due(struct node *n, const struct meta_table *table,
                         const struct meta_compaction *c)
{
    uint64_t now_ms = io_now(n->io).boot_ms, again_ms = UINT64_MAX;
    uint32_t at_once = c->at_once_max < AT_ONCE_MAX ? c->at_once_max : AT_ONCE_MAX;
    LIST_EACH (it, &n->placements) {
        struct placement *p = LIST_ENTRY(it, struct placement, node);
        uint64_t at_ms = is_of(n, p, table) ? due_ms(p, c) : UINT64_MAX;
        if (at_ms <= now_ms && n->compactions >= at_once) continue;
        if (at_ms <= now_ms && !order_send(n, p, c)) at_ms = now_ms + LOOK_AGAIN_MS;
        if (at_ms > now_ms && at_ms < again_ms) again_ms = at_ms;
    }
    return again_ms;
}

static void on_timer(struct io_timer *timer)
{
    control_compact(LIST_ENTRY(timer, struct node, compact_timer));
}

void control_compact(struct node *n)
{
    if (!n->is_ready || n->is_closing) return;
    uint64_t now_ms = io_now(n->io).boot_ms, next_ms = UINT64_MAX;
    for (size_t i = 0; i < n->meta->table_count; i++) {
        const struct meta_table *table = n->meta->tables[i];
        if (table->status != AS_AVAILABLE) continue;
        struct meta_compaction c = wanted(n, table);
        uint64_t at_ms = send_due(n, table, &c);
        if (at_ms < next_ms) next_ms = at_ms;
        bool is_clocked = c.is_daily || c.is_later;
        if (is_clocked && now_ms + LOOK_DAILY_MS < next_ms) next_ms = now_ms + LOOK_DAILY_MS;
    }
    n->compact_timer.run = on_timer;
    if (next_ms == UINT64_MAX) io_timer_stop(&n->compact_timer);
    else io_timer_start(n->control, &n->compact_timer, next_ms);
}

int control_compact_progress(const struct node *n, const struct meta_table *table)
{
    struct meta_compaction c = wanted(n, table);
    uint32_t done = 0, count = 0;
    if (c.wanted_s == 0) return -1;
    LIST_EACH (it, &n->placements) {
        const struct placement *p = LIST_ENTRY(it, struct placement, node);
        if (!is_of(n, p, table)) continue;
        count++;
        if (p->compacted_s >= c.wanted_s) done++;
    }
    return count > 0 ? (int)(done * 100 / count) : -1;
}
