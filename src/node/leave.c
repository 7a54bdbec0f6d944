/* src/node/leave.c: yielding, waiting for the workers, and going. */
#include "node/leave.h"

#include "base/mark.h"
#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "leave"};

enum { LEAVE_MS_MAX = 3000 }; /* Of all of it. A supervisor's patience is ten seconds and more. */

/* ---- The end ------------------------------------------------------------------------------------------------- */

static void leave_end(struct node *n)
{
    struct leave *l = &n->leave;
    if (l->on_left == NULL) return; /* It has ended. */
    void (*on_left)(struct node * n) = l->on_left;
    l->on_left = NULL;
    io_timer_stop(&l->timer);
    on_left(n);
}

static void on_timer(struct io_timer *timer)
{
    MARK("left without the metas' word");
    LOG_WARN(&logger, "the metas have not answered: stopping without handing over");
    leave_end(LIST_ENTRY(timer, struct node, leave.timer));
}

static void on_gone(void *context, int rc, const struct meta_result *result)
{
    (void)rc; /* If it is not known to have gone, it will be found dead. */
    (void)result;
    leave_end(context);
}

static void go(struct node *n)
{
    if (n->leave.on_left == NULL) return;
    lease_close(n); /* First: the dead serve nobody (F6). And it would say that it lives. */
    struct meta_command dead = {
        .type = META_NODE_DEAD,
        .now_ms = io_now(n->io).wall_us / 1000,
        .node_dead = {.id = (int64_t)n->node_id, .incarnation = (int64_t)n->incarnation},
    };
    control_propose(n, &dead, on_gone, n);
}

/* ---- Who still waits here --------------------------------------------------------------------------------------- */

static void on_quiet(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct worker, quiet_post)->node;
    if (--n->leave.workers_left == 0) go(n);
}

static bool somebody_waits(const struct worker *w)
{
    for (uint32_t i = 0; i < WORKER_BUCKETS; i++)
        LIST_EACH (it, &w->replicas[i]) {
            const struct replica *r = LIST_ENTRY(it, struct replica, node);
            if (r->parting_timer.loop != NULL) return true;
        }
    return false;
}

void worker_quiet_check(struct worker *w)
{
    if (!w->is_quiet_asked || somebody_waits(w)) return;
    w->is_quiet_asked = false;
    w->quiet_post.run = on_quiet;
    io_post(w->node->control, &w->quiet_post);
}

static void on_asked(struct io_post *post)
{
    struct worker *w = LIST_ENTRY(post, struct worker, quiet_post);
    w->is_quiet_asked = true;
    worker_quiet_check(w);
}

/* The workers have been told that others lead (control_place.c) before they are asked this. */
static void on_yielded(void *context, int rc, const struct meta_result *result)
{
    struct node *n = context;
    if (n->leave.on_left == NULL) return;
    if (rc != 0 || result->err != WIRE_ERR_OK) {
        leave_end(n);
        return;
    }
    n->leave.workers_left = n->worker_count;
    for (uint32_t i = 0; i < n->worker_count; i++) {
        n->workers[i].quiet_post.run = on_asked;
        io_post(n->workers[i].loop, &n->workers[i].quiet_post);
    }
}

/* ---- The beginning ------------------------------------------------------------------------------------------------ */

static bool has_company(const struct node *n)
{
    return n->is_ready && meta_nodes_alive(n->meta) > 1;
}

void leave_begin(struct node *n, void (*on_left)(struct node *n))
{
    struct leave *l = &n->leave;
    l->on_left = on_left;
    if (!has_company(n)) {
        leave_end(n);
        return;
    }
    LOG_INFO(&logger, "handing over to the other servers");
    l->timer.run = on_timer;
    io_timer_start(n->control, &l->timer, io_now(n->io).boot_ms + LEAVE_MS_MAX);
    struct meta_command yield = {
        .type = META_NODE_YIELD,
        .now_ms = io_now(n->io).wall_us / 1000,
        .node_yield = {.id = (int64_t)n->node_id, .incarnation = (int64_t)n->incarnation},
    };
    control_propose(n, &yield, on_yielded, n);
}
