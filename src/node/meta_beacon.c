/* src/node/meta_beacon.c: who is alive, as the leader of the metas hears it (docs/leases.md, F4 to F7).
 *
 *     beacon --> is it alive, and this process, by the state? --> heard --> acknowledged
 *     a whole grace without one --> META_NODE_DEAD into the group
 *
 * The group has one voter for now: it leads as long as it lives, so F4 needs no round of its own. */
#include "base/mem.h"
#include "node/meta_service_impl.h"
#include "obs/logger.h"
#include "wire/messages_pirene.h"

static const struct logger logger = {.room = "meta"};

/* ---- Who is expected -------------------------------------------------------------------------------------------- */

static void arm(struct meta_service *s)
{
    uint64_t deadline_ms = fd_watch_deadline_ms(&s->watch);
    if (deadline_ms == UINT64_MAX) io_timer_stop(&s->watch_timer);
    else io_timer_start(s->node->control, &s->watch_timer, deadline_ms);
}

/* A node that the state takes for alive; ourselves we need not hear. */
static bool is_watched(const struct meta_service *s, const struct meta_node *node)
{
    return node->is_alive && node->id != s->node->node_id && node->incarnation != 0;
}

/* Leadership begins, or begins anew: everybody has a whole grace period (F5). */
static void lead(struct meta_service *s)
{
    const struct meta *m = s->node->meta;
    fd_watch_lead(&s->watch, io_now(s->node->io).boot_ms);
    for (size_t i = 0; i < m->node_count; i++) {
        const struct meta_node *node = &m->nodes[i];
        if (is_watched(s, node) && fd_watch_expect(&s->watch, node->id, node->incarnation) != 0)
            LOG_ERROR(&logger, "no memory to watch a node", field_u64("node", node->id));
    }
}

void meta_watch_sync(struct meta_service *s)
{
    const struct meta *m = s->node->meta;
    const uint64_t now_ms = io_now(s->node->io).boot_ms;
    if (!node_leads(s->node) || s->is_closing) return;
    if (!s->watch.is_leading) lead(s);
    for (size_t i = 0; i < m->node_count; i++) {
        const struct meta_node *node = &m->nodes[i];
        if (!node->is_alive) fd_watch_buried(&s->watch, node->id, false, now_ms);
        if (is_watched(s, node) &&
            fd_watch_started(&s->watch, node->id, node->incarnation, now_ms) != 0)
            LOG_ERROR(&logger, "no memory to watch a node", field_u64("node", node->id));
    }
    arm(s);
}

/* ---- Beacons ------------------------------------------------------------------------------------------------------ */

void meta_beacon(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct beacon_request *said = args;
    const uint64_t id = (uint64_t)said->node_id, incarnation = (uint64_t)said->incarnation;
    const struct meta_node *node = meta_node_by_id(s->node->meta, id);
    struct beacon_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    if (said->node_id == 0 || said->incarnation < 1) {
        meta_refuse(request, WIRE_ERR_INVALID_PARAMETERS);
        return;
    }
    if (meta_is_stranger(s, said->cluster_uuid)) {
        meta_refuse(request, WIRE_ERR_INCONSISTENT_STATE);
        return;
    }
    if (node == NULL || !node->is_alive || node->incarnation < incarnation) {
        meta_refuse(request, WIRE_ERR_OBJECT_NOT_FOUND); /* It is to say that it has started. */
        return;
    }
    if (node->incarnation > incarnation) {
        meta_refuse(request, WIRE_ERR_INVALID_VERSION); /* Another process has followed (F7). */
        return;
    }
    /* By the state it is alive; but its death may be on its way into that. */
    int rc = fd_watch_heard(&s->watch, id, incarnation, io_now(s->node->io).boot_ms);
    if (rc == FD_HEARD) meta_reply(request, &response);
    else meta_refuse(request, WIRE_ERR_OBJECT_NOT_FOUND);
    arm(s);
}

/* ---- The dead ----------------------------------------------------------------------------------------------------- */

struct burial {
    struct meta_service *service;
    uint64_t node_id;
};

/* Whether the state has taken it is seen in meta_watch_sync(), which came before. */
static void on_buried(void *context, int rc, const struct meta_result *result)
{
    struct burial *b = context;
    struct meta_service *s = b->service;
    (void)result;
    if (rc != 0)
        LOG_WARN(&logger, "death of a node not decided; it has another grace period",
                 field_code(rc));
    fd_watch_buried(&s->watch, b->node_id, true, io_now(s->node->io).boot_ms);
    if (!s->is_closing) arm(s);
    mem_free(b);
    meta_service_release(s);
}

static void bury(struct meta_service *s, uint64_t id)
{
    const struct meta_node *node = meta_node_by_id(s->node->meta, id);
    struct burial *b = node != NULL && node->is_alive ? mem_alloc(sizeof *b) : NULL;
    if (b == NULL) {
        fd_watch_buried(&s->watch, id, node != NULL && node->is_alive, io_now(s->node->io).boot_ms);
        return;
    }
    *b = (struct burial){s, id};
    LOG_WARN(&logger, "a node is silent and counts as dead", field_u64("node", id));
    struct meta_command dead = {
        .type = META_NODE_DEAD,
        .now_ms = io_now(s->node->io).wall_us / 1000,
        .node_dead = {.id = (int64_t)id, .incarnation = (int64_t)node->incarnation},
    };
    s->busy++;
    control_propose(s->node, &dead, on_buried, b);
}

/* This process was stopped for a while: what was said meanwhile lies unread, and nobody is to be called
 * dead for that. */
static bool was_asleep(const struct meta_service *s, uint64_t now_ms)
{
    return now_ms > fd_watch_deadline_ms(&s->watch) + fd_times_all.beacon_ms;
}

static void on_watch_timer(struct io_timer *timer)
{
    struct meta_service *s = LIST_ENTRY(timer, struct meta_service, watch_timer);
    const uint64_t now_ms = io_now(s->node->io).boot_ms;
    if (!node_leads(s->node) || s->is_closing) return;
    if (was_asleep(s, now_ms)) fd_watch_excuse(&s->watch, now_ms);
    for (uint64_t id; (id = fd_watch_next_dead(&s->watch, now_ms)) != 0;) bury(s, id);
    arm(s);
}

void meta_watch_open(struct meta_service *s)
{
    fd_watch_init(&s->watch, &fd_times_all);
    s->watch_timer.run = on_watch_timer;
    meta_watch_sync(s);
}

void meta_watch_close(struct meta_service *s)
{
    io_timer_stop(&s->watch_timer);
    fd_watch_fini(&s->watch);
}
