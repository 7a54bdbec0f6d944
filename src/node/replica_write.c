/* src/node/replica_write.c: a write request, from its arrival at the owner to its answer.
 *
 *     admit -> evaluate -> submit -> (log, apply) -> reply
 *                 |  ^
 *         disk    |  | values are here
 *         needed  v  |
 *               stalled: this one and every write behind it */
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "node/dup_wait.h"
#include "node/incoming.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/replica_fetch.h"
#include "node/replica_throttle.h"
#include "node/stream.h"
#include "node/worker.h"

enum {
    UNAPPLIED_MAX = 32 << 20
}; /* Bytes on their way while the store wants time, or a member is silent. */

/* What a write keeps in its request. */
struct write_state {
    struct kv_write *write;                  /* In the request's arena. */
    uint64_t wait_decree;                    /* Answered when this is applied... */
    uint64_t wait_ballot, wait_timestamp_us; /* ...and the mutation is this one. */
    int64_t reply_decree;                    /* Told to the client: its own decree, or -1. */
    uint64_t begin_us;
};
_Static_assert(sizeof(struct write_state) <= RPC_OWNER_SIZE, "fits into the request");

static struct write_state *state_of(struct rpc_request *request)
{
    return (struct write_state *)(void *)request->owner;
}

static void refuse(struct replica *r, struct rpc_request *request, enum wire_error error)
{
    metric_counter_add(&r->metrics.write_errors, 1);
    rpc_reply_error(request, error);
}

/* ---- Current values ----------------------------------------------------------------------------------- */

struct replica_view {
    struct kv_view view;
    struct replica *replica;
    struct store_value pinned;
};

/* In-flight first, then what was fetched, then what the store has in memory. */
static int view_lookup(struct kv_view *view, struct slice key, struct kv_row *out)
{
    struct replica_view *v = LIST_ENTRY(view, struct replica_view, view);
    const struct mutation_op *op = overlay_find(&v->replica->overlay, key);
    if (op != NULL) {
        *out = (struct kv_row){op->expire_ts, op->timetag, op->data};
        return 0;
    }
    int rc = replica_fetch_find(v->replica, key, out);
    if (rc != E_AGAIN) return rc;

    store_value_release(&v->pinned);
    rc = store_get(v->replica->store, key, STORE_CACHED, &v->pinned);
    return rc != 0 ? rc : kv_row_read(v->pinned.bytes, out);
}

/* ---- Evaluate and submit ---------------------------------------------------------------------------------- */

static void answer(struct replica *r, struct rpc_request *request)
{
    struct write_state *state = state_of(request);
    struct kv_reply reply = kv_write_reply(state->write, &r->partition, state->reply_decree);
    metric_counter_add(&r->metrics.writes, 1);
    if (state->write->rpc == RPC_DUPLICATE) incoming_applied(r, state->write);
    rpc_reply(request, WIRE_ERR_OK, reply.schema, reply.body);
}

/* The highest hybrid time among the ops of a mutation being made. */
static uint64_t newest_timestamp(struct slice ops)
{
    uint64_t newest = 0;
    struct mutation_op op;
    while (mutation_op_next(&ops, &op))
        if (timetag_timestamp_us(op.timetag) > newest) newest = timetag_timestamp_us(op.timetag);
    return newest;
}

/* No two mutations of a partition have one ballot and one hybrid time (R3). */
static void wait_for(struct write_state *state, const struct mutation *m)
{
    state->wait_decree = m->decree;
    state->wait_ballot = m->ballot;
    state->wait_timestamp_us = m->timestamp_us;
}

/* Turn the ops in the worker's scratch into the next mutation and hand it to the protocol. */
static int submit(struct replica *r, struct rpc_request *request)
{
    struct worker *w = r->worker;
    struct slice ops = slice_skip(buf_slice(&w->scratch), MUTATION_HEAD_SIZE);
    uint64_t newest_us = newest_timestamp(ops);
    repl_saw_timestamp(&r->repl, newest_us - 1); /* R3: a mutation is never older. */
    /* Of a store that never said how late its rows are, it stays unknown. */
    bool is_known = r->newest_us != 0 || r->repl.prepared == 0;
#ifdef MUT_newest_is_forgotten
    is_known = false;
#endif
    if (is_known && newest_us > r->newest_us) r->newest_us = newest_us;
    struct repl_next next = repl_next(&r->repl, replica_now(r).wall_us);
    int rc = mutation_finish(&w->scratch, 0, next.decree, next.ballot, next.timestamp_us);
    if (rc != 0) return rc;

    struct mutation m;
    struct chunk *bytes = chunk_new(w->scratch.size);
    if (bytes == NULL) return E_NOMEM;
    memcpy(bytes->data, w->scratch.data, w->scratch.size);
    rc = mutation_read(slice_of(bytes->data, bytes->capacity), &m);
    CHECK(rc == 0);
    rc = overlay_reserve(&r->overlay, m.op_count);
    if (rc == 0) rc = worker_append_reserve(w);
    if (rc == 0) {
        struct write_state *state = state_of(request);
        wait_for(state, &m);
        state->reply_decree = (int64_t)next.decree;
        list_push_back(&r->waiting, &request->node);
        struct repl_event event = {.type = REPL_SUBMITTED, .submitted.mutation = bytes};
        uint64_t before = r->repl.prepared;
        replica_step(r, &event);
        if (r->repl.prepared == before) { /* No memory in there: nothing happened. */
            list_remove(&request->node);
            rc = E_NOMEM;
        } else {
            overlay_add(&r->overlay, &m);
        }
    }
    chunk_unref(bytes);
    return rc;
}

static enum wire_error error_of(int rc)
{
    switch (rc) {
    case E_REFUSED: return WIRE_ERR_INVALID_STATE;
    case E_LIMIT: return WIRE_ERR_INVALID_DATA;
    default: return WIRE_ERR_BUSY;
    }
}

/* A decided write without effects: its answer may speak of what is on its way, and waits for that. */
static void answer_when_true(struct replica *r, struct rpc_request *request)
{
    struct write_state *state = state_of(request);
    struct mutation last;
    const struct chunk *bytes = repl_tail_get(&r->repl, r->repl.prepared);
    state->reply_decree = -1;
    if (r->repl.prepared > r->repl.applied) {
        CHECK(mutation_read(slice_of(bytes->data, bytes->capacity), &last) == 0);
        wait_for(state, &last);
        list_push_back(&r->waiting, &request->node);
    } else if (replica_may_serve(r)) answer(r, request);
    else refuse(r, request, WIRE_ERR_INVALID_STATE);
}

/* Decide it. Returns E_AGAIN when values must come from the disk; otherwise the request is taken. */
static int evaluate(struct replica *r, struct rpc_request *request)
{
    struct write_state *state = state_of(request);
    struct worker *w = r->worker;
    struct now now = replica_now(r);
    struct kv_context context = {
        .partition = &r->partition,
        .now_s = value_epoch_s(now.wall_us),
        .timestamp_us = repl_next(&r->repl, now.wall_us).timestamp_us,
        .newest_us = r->newest_us,
    };
    struct replica_view view = {.view.lookup = view_lookup, .replica = r};
    buf_clear(&w->scratch);
    (void)mutation_begin(&w->scratch);
    int rc = kv_write_evaluate(state->write, &context, &view.view, &w->scratch);
    store_value_release(&view.pinned);
    if (rc == E_AGAIN) return rc;
    if (rc == 0 && state->write->has_effects) {
        rc = submit(r, request);
        if (rc == 0) return 0;
    } else if (rc == 0) {
        answer_when_true(r, request);
        return 0;
    }
    refuse(r, request, error_of(rc));
    return 0;
}

/* ---- Stalled writes ------------------------------------------------------------------------------------------ */

static void stall(struct replica *r, struct rpc_request *request)
{
    MARK("write waits for a value from the disk");
    metric_counter_add(&r->metrics.writes_stalled, 1);
    list_push_back(&r->stalled, &request->node);
}

static struct rpc_request *request_of(struct list_node *node)
{
    return LIST_ENTRY(node, struct rpc_request, node);
}

/* What may have changed since a write was admitted: the state, and how much is on its way. */
static enum wire_error refused_now(const struct replica *r)
{
    struct worker *w = r->worker;
    if (r->is_disk_full) return WIRE_ERR_DISK_INSUFFICIENT;
    if (!replica_may_serve(r)) return WIRE_ERR_INVALID_STATE;
    if (r->repl.config.member_count < r->assigned->write_members_min)
        return WIRE_ERR_NOT_ENOUGH_MEMBER;
    bool is_unapplied = r->repl.tail.size > r->repl.tail.size_max + UNAPPLIED_MAX;
    if (worker_is_behind(w) || is_unapplied) return WIRE_ERR_CAPACITY_EXCEEDED;
    if (w->is_disk_full || w->is_disk_failed || disk_guard_refuses(&w->guard))
        return WIRE_ERR_DISK_INSUFFICIENT;
    return WIRE_ERR_OK;
}

/* The values are here: decide the first, then the others, until one needs the disk again. */
static void stalled_go_on(struct replica *r)
{
    while (!list_is_empty(&r->stalled)) {
        struct rpc_request *request = request_of(list_pop_front(&r->stalled));
        enum wire_error error = refused_now(r);
        if (error != WIRE_ERR_OK) {
            replica_fetch_free(r);
            refuse(r, request, error);
            continue;
        }
        if (evaluate(r, request) == E_AGAIN) {
            struct list_node *head = r->stalled.next; /* Back to the front. */
            list_push_back(head, &request->node);
            if (replica_fetch_begin(r, state_of(request)->write, stalled_go_on) == 0) return;
            list_remove(&request->node);
            refuse(r, request, WIRE_ERR_BUSY);
        }
        replica_fetch_free(r);
    }
    replica_fetch_free(r);
}

/* ---- Admission -------------------------------------------------------------------------------------------------- */

static enum wire_error admit(struct replica *r, const struct rpc_request *request)
{
    const struct frame_request *f = &request->frame;
    const struct worker *w = r->worker;
    if (kv_write_check_size(f->code, f->body_size, w->node->config.write_size_max) != 0)
        return WIRE_ERR_INVALID_DATA;
    if (r->partition.validates_partition_hash &&
        f->partition_hash % r->partition.count != r->partition.index)
        return WIRE_ERR_PARENT_PARTITION_MISUSED;
    return refused_now(r);
}

/* The source means the cluster that was at this address before: it shall look again (D13). */
static bool is_for_another(const struct replica *r, const struct kv_write *write)
{
    if (write->rpc != RPC_DUPLICATE || r->assigned == NULL) return false;
    const struct duplicate_request *d = &write->args.duplicate;
    return (d->set & DUPLICATE_REQUEST_HAS_TARGET_CLUSTER_UUID) != 0 &&
           (uint64_t)d->target_cluster_uuid != r->assigned->cluster_uuid;
}

/* A source says how far it is (D10). Only what came with real entries is a write. */
static bool is_only_position(const struct kv_write *write)
{
    return write->rpc == RPC_DUPLICATE && write->args.duplicate.entries.count == 0;
}

void replica_on_write(struct replica *r, struct rpc_request *request, bool has_waited)
{
    enum wire_error error = admit(r, request);
    if (error != WIRE_ERR_OK) {
        refuse(r, request, error);
        return;
    }
    if (r->throttle != NULL && !has_waited && replica_throttle_write(r, request)) return;
    struct write_state *state = state_of(request);
    state->write = arena_alloc(&request->arena, sizeof *state->write);
    int rc = state->write == NULL ? E_NOMEM
                                  : kv_write_read(state->write, request->frame.code,
                                                  request->frame.body, &request->arena);
    if (rc != 0) {
        refuse(r, request, rc == E_NOMEM ? WIRE_ERR_BUSY : WIRE_ERR_INVALID_DATA);
        return;
    }
    if (is_for_another(r, state->write)) {
        refuse(r, request, WIRE_ERR_INVALID_STATE);
        return;
    }
    state->begin_us = replica_now(r).wall_us;
    if (is_only_position(state->write)) {
        incoming_on_position(r, request, state->write);
        return;
    }
    bool must_wait = !list_is_empty(&r->stalled);
    if (!must_wait && evaluate(r, request) == 0) return;
    stall(r, request);
    if (must_wait) return;
    if (replica_fetch_begin(r, state->write, stalled_go_on) == 0) return;
    list_remove(&request->node);
    refuse(r, request, WIRE_ERR_BUSY);
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

void replica_reply(struct replica *r, uint64_t applied)
{
    uint64_t now_us = list_is_empty(&r->waiting) ? 0 : replica_now(r).wall_us;
    while (!list_is_empty(&r->waiting)) {
        struct rpc_request *request = request_of(r->waiting.next);
        struct write_state *state = state_of(request);
        if (state->wait_decree > applied) return;
        list_remove(&request->node);
        metric_histogram_add(&r->metrics.write_us,
                             now_us > state->begin_us ? now_us - state->begin_us : 0);
        answer(r, request);
    }
    if (r->parting_timer.loop == NULL) return;
    io_timer_stop(&r->parting_timer); /* That was the last. */
    worker_quiet_check(r->worker);
}

static void fail_list(struct replica *r, struct list_node *list, enum wire_error error)
{
    for (struct list_node *n; (n = list_pop_front(list)) != NULL;) refuse(r, request_of(n), error);
}

/* ---- Another is primary ------------------------------------------------------------------------------------------ */

enum {
    PARTING_MS = 1000
}; /* Under load the new primary has ordered as much within milliseconds. */

static void on_parting_timer(struct io_timer *timer)
{
    struct replica *r = LIST_ENTRY(timer, struct replica, parting_timer);
    fail_list(r, &r->waiting, WIRE_ERR_TIMEOUT);
    worker_quiet_check(r->worker);
}

void replica_part_end(struct replica *r)
{
    if (r->parting_timer.loop == NULL) return;
    io_timer_stop(&r->parting_timer);
    on_parting_timer(&r->parting_timer);
}

void replica_part_init(struct replica *r)
{
    r->parting_timer.run = on_parting_timer;
}

/* Nothing more is decided here: before it is primary again all of this is applied, or gave way (R7). */
void replica_part(struct replica *r)
{
    overlay_clear(&r->overlay);
    dup_wait_fail_all(r, WIRE_ERR_INVALID_STATE);
    if (list_is_empty(&r->waiting)) return;
    MARK("writes wait for what another primary makes of them");
    io_timer_start(r->worker->loop, &r->parting_timer, replica_now(r).boot_ms + PARTING_MS);
}

/* Up to 'last' is in the store, and still in the tail. */
void replica_part_from(struct replica *r, uint64_t last)
{
    if (r->parting_timer.loop == NULL) return;
    struct list_node *next;
    for (struct list_node *it = r->waiting.next; it != &r->waiting; it = next) {
        struct rpc_request *request = request_of(it);
        const struct write_state *state = state_of(request);
        struct mutation m;
        next = it->next;
        if (state->wait_decree > last) break;
        const struct chunk *bytes = repl_tail_get(&r->repl, state->wait_decree);
        CHECK(bytes != NULL && mutation_read(slice_of(bytes->data, bytes->capacity), &m) == 0);
        if (m.ballot == state->wait_ballot && m.timestamp_us == state->wait_timestamp_us) continue;
        MARK("a write gave way to another primary's, and was never executed");
        list_remove(&request->node);
        refuse(r, request, WIRE_ERR_INVALID_STATE);
    }
}

/* What was ordered may be executed all the same: its client must not take it for refused, and count
 * again (R4, R9). What was not decided yet never happened. */
void replica_fail_all(struct replica *r)
{
    const bool was_parting = r->parting_timer.loop != NULL;
    io_timer_stop(&r->parting_timer);
    overlay_clear(&r->overlay); /* Nothing is decided before all of it is applied, or gave way. */
    fail_list(r, &r->waiting, WIRE_ERR_TIMEOUT);
    if (was_parting) worker_quiet_check(r->worker);
    if (r->fetch == NULL) /* Else when the fetch is done. */
        fail_list(r, &r->stalled, WIRE_ERR_INVALID_STATE);
    dup_wait_fail_all(r, WIRE_ERR_INVALID_STATE);
}
