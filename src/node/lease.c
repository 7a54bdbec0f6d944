/* src/node/lease.c: beacons over the connections of the follower (docs/leases.md, F1 to F4). */
#include "node/lease.h"

#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "lease"};

enum { BEACON_CALL_MS = 2000 };

static void step(struct lease *l, enum fd_lease_event_type type, uint64_t sequence);

/* ---- Saying that we have started ------------------------------------------------------------------------------ */

static void on_started(void *context, int rc, const struct meta_result *result)
{
    struct lease *l = context;
    l->is_unknown = false;
    if (rc != 0 || result->err != WIRE_ERR_OK)
        LOG_WARN(&logger, "the metas do not take this server for alive yet", field_code(rc));
}

/* They had taken us for dead, or never heard of this process. */
static void start_again(struct lease *l)
{
    if (l->is_unknown) return;
    l->is_unknown = true;
    LOG_WARN(&logger, "the metas have taken this server for dead: it tells them that it lives");
    control_say_started(l->node, on_started, l);
}

/* ---- Beacons -------------------------------------------------------------------------------------------------- */

static enum wire_error error_of(const struct rpc_answer *answer)
{
    struct beacon_response response = {0};
    struct arena arena = {0};
    enum wire_error error = answer->error;
    if (answer->rc != 0) return WIRE_ERR_TIMEOUT;
    if (error == WIRE_ERR_OK)
        error = rpc_answer_read(answer, &beacon_response_schema, &arena, &response) == 0
                    ? wire_error_find(response.err)
                    : WIRE_ERR_INVALID_DATA;
    arena_fini(&arena);
    return error;
}

static void on_answered(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct lease_call *c = LIST_ENTRY(call, struct lease_call, call);
    struct lease *l = c->lease;
    c->is_flying = false;
    if (!l->is_open) return;
    enum wire_error error = error_of(answer);
    if (error == WIRE_ERR_OBJECT_NOT_FOUND) start_again(l);
    step(l, error == WIRE_ERR_OK ? FD_ACKED : FD_FAILED, c->sequence);
}

static void send_beacon(struct lease *l, uint64_t sequence)
{
    const struct node *n = l->node;
    struct lease_call *c = &l->calls[sequence % FD_BEACONS_MAX];
    if (c->is_flying) return; /* So many are under way that one more makes no difference. */
    c->lease = l;
    c->sequence = sequence;
    c->is_flying = true;
    c->request = (struct beacon_request){.node_id = (int64_t)n->node_id,
                                         .incarnation = (int64_t)n->incarnation,
                                         .cluster_uuid = (int64_t)n->cluster_uuid};
    c->call = (struct cluster_call){
        .rpc = RPC_BEACON,
        .schema = &beacon_request_schema,
        .args = &c->request,
        .deadline_ms = l->fd.now_ms + BEACON_CALL_MS,
        .flags = CLUSTER_NO_RETRY,
        .on_done = on_answered,
    };
    follower_call(n->follower, &c->call);
}

static void step(struct lease *l, enum fd_lease_event_type type, uint64_t sequence)
{
    struct node *n = l->node;
    struct fd_lease_effects effects;
    struct fd_lease_event event = {.type = type,
                                   .now_ms = io_now(n->io).boot_ms,
                                   .sequence = sequence,
                                   .meta = FD_META_UNKNOWN};
    fd_lease_step(&l->fd, &event, &effects);
    atomic_store_explicit(&n->lease_until_ms, l->fd.until_ms, memory_order_release);
    if (effects.is_gained) LOG_INFO(&logger, "lease held: this server serves");
    if (effects.is_lost)
        LOG_WARN(&logger, "lease lost: this server answers nobody until the metas can be reached");
    if (effects.sends_beacon) send_beacon(l, effects.sequence);
    io_timer_start(n->control, &l->timer, fd_lease_deadline_ms(&l->fd));
}

static void on_timer(struct io_timer *timer)
{
    step(LIST_ENTRY(timer, struct lease, timer), FD_TICKED, 0);
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

void lease_open(struct node *n)
{
    struct lease *l = &n->lease;
    if (n->follower == NULL) {
        atomic_store_explicit(&n->lease_until_ms, UINT64_MAX, memory_order_release);
        return;
    }
    *l = (struct lease){.node = n, .timer.run = on_timer, .is_open = true};
    fd_lease_init(&l->fd, &fd_times_all, 1, io_now(n->io).boot_ms);
    step(l, FD_TICKED, 0);
}

void lease_close(struct node *n)
{
    n->lease.is_open = false;
    atomic_store_explicit(&n->lease_until_ms, 0, memory_order_release);
    io_timer_stop(&n->lease.timer);
}
