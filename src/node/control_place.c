/* src/node/control_place.c: the meta state compared with what the workers were told: whoever differs gets
 * an order: be this, or drop it. Directories whose table is purged are removed. On the control loop.
 *
 *              order                  worker has closed it       table purged
 *     PLACED ---------> CLOSING --------------------> CLOSED --------------> SWEPT, gone
 *        ^                 |                             |
 *        +-----------------+-----------------------------+   recalled */
#include <string.h>

#include "base/mem.h"
#include "node/aside.h"
#include "node/node_impl.h"
#include "obs/logger.h"
#include "wire/messages.h"

static const struct logger logger = {.room = "control"};

/* ---- The state becomes assignments --------------------------------------------------------------------------------- */

struct order { /* To a worker: be this, or drop it. */
    struct io_post post;
    struct worker *worker;
    struct gpid gpid;
    struct assignment *assigned; /* NULL: drop. */
};

static void on_order(struct io_post *post)
{
    struct order *o = LIST_ENTRY(post, struct order, post);
    if (o->assigned != NULL) worker_assign(o->worker, o->assigned);
    else worker_drop(o->worker, o->gpid);
    mem_free(o);
}

/* False: no memory; it is told with the next change. */
static bool order_send(struct node *n, struct gpid gpid, struct assignment *a)
{
    struct order *o = mem_zalloc(sizeof *o);
    if (o == NULL) {
        assignment_free(a);
        return false;
    }
    *o = (struct order){
        .post.run = on_order, .worker = node_owner(n, gpid), .gpid = gpid, .assigned = a};
    io_post(o->worker->loop, &o->post);
    return true;
}

struct placement *control_placement_find(const struct node *n, struct gpid gpid)
{
    LIST_EACH (it, &n->placements) {
        struct placement *p = LIST_ENTRY(it, struct placement, node);
        if (gpid_equal(p->gpid, gpid)) return p;
    }
    return NULL;
}

struct placement *control_placement_new(struct node *n, struct gpid gpid)
{
    struct placement *p = mem_zalloc(sizeof *p);
    if (p == NULL) return NULL;
    p->gpid = gpid;
    p->owner = n;
    list_init(&p->node);
    list_push_back(&n->placements, &p->node);
    return p;
}

static void place(struct node *n, const struct meta_table *table, uint32_t index)
{
    struct gpid gpid = {table->id, (int32_t)index};
    struct placement *p = control_placement_find(n, gpid);
    if (p == NULL) p = control_placement_new(n, gpid);
    struct assignment *a = p != NULL ? assignment_new(n->meta, table, index) : NULL;
    if (a == NULL || !order_send(n, gpid, a)) {
        LOG_ERROR(&logger, "no memory to tell a worker", field_i64("table", table->id));
        return;
    }
    p->is_wanted = true;
    p->state = PLACED;
}

/* ---- Directories of tables that nobody can recall any more ---------------------------------------------------- */

static void sweep_run(struct io_work *work)
{
    const struct placement *p = LIST_ENTRY(work, struct placement, sweep);
    char dir[CONFIG_TEXT_SIZE + 64];
    node_replica_dir(p->owner, p->gpid, dir, sizeof dir);
    int rc = io_dir_remove(p->owner->io, dir);
    if (rc == 0) rc = aside_remove(p->owner->io, dir);
    if (rc == 0) LOG_INFO(&logger, "directory of a purged table removed", field_str("dir", dir));
    else LOG_WARN(&logger, "directory not removed", field_str("dir", dir), field_code(rc));
}

static void sweep_done(struct io_work *work)
{
    struct placement *p = LIST_ENTRY(work, struct placement, sweep);
    list_remove(&p->node);
    mem_free(p);
}

static void sweep_if_purged(struct node *n, struct placement *p)
{
    if (p->state != CLOSED || n->is_closing || meta_table_by_id(n->meta, p->gpid.app_id) != NULL)
        return;
    p->state = SWEPT;
    p->sweep.run = sweep_run;
    p->sweep.done = sweep_done;
    io_work(n->control, &p->sweep);
}

struct dropped {
    struct io_post post;
    struct node *node;
    struct gpid gpid;
};

static void on_dropped(struct io_post *post)
{
    struct dropped *d = LIST_ENTRY(post, struct dropped, post);
    struct placement *p = control_placement_find(d->node, d->gpid);
    if (p != NULL && p->state == CLOSING) {
        p->state = CLOSED;
        sweep_if_purged(d->node, p);
    }
    mem_free(d);
}

void control_on_dropped(struct node *n, struct gpid gpid)
{
    struct dropped *d = mem_zalloc(sizeof *d);
    if (d == NULL) return; /* Its directory is looked at again after the next start. */
    *d = (struct dropped){.post.run = on_dropped, .node = n, .gpid = gpid};
    io_post(n->control, &d->post);
}

/* ---- Comparing ---------------------------------------------------------------------------------------------------- */

static bool is_about(int32_t changed_id, int32_t table_id)
{
    return changed_id == META_TABLE_ANY || changed_id == table_id;
}

static void drop_unwanted(struct node *n, int32_t changed_id)
{
    LIST_EACH (it, &n->placements) {
        struct placement *p = LIST_ENTRY(it, struct placement, node);
        if (!is_about(changed_id, p->gpid.app_id) || p->is_wanted) continue;
        if (p->state == PLACED && order_send(n, p->gpid, NULL)) p->state = CLOSING;
        sweep_if_purged(n, p);
    }
}

/* Tell the workers about a table that changed, or about all. */
void control_sync(struct node *n, int32_t changed_id)
{
    if (!n->is_ready || n->is_closing || changed_id == META_TABLE_NONE) return;
    LIST_EACH (it, &n->placements) LIST_ENTRY(it, struct placement, node)->is_wanted = false;
    for (size_t t = 0; t < n->meta->table_count; t++) {
        const struct meta_table *table = n->meta->tables[t];
        if (!is_about(changed_id, table->id) || table->status != AS_AVAILABLE) continue;
        for (uint32_t i = 0; i < table->partition_count; i++)
            if (meta_partition_role(&table->partitions[i], n->node_id) != META_ROLE_NONE)
                place(n, table, i);
    }
    drop_unwanted(n, changed_id);
    control_compact(n);
}
