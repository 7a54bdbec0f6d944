/* src/node/replica_read.c: a read request: first from memory, here; when the disk is needed, on the pool.
 *
 * Whether this replica may answer is asked after the value was read, on the loop, on both ways: a check
 * made before the read is worthless after a pause (docs/replication.md, R7). */
#include "base/check.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/replica_throttle.h"
#include "node/worker.h"

/* What a read keeps in its request. */
struct read_state {
    struct replica *replica;
    struct rpc_request *request;
    struct kv_read *read; /* In the request's arena. */
    struct kv_context context;
    struct io_work work;
    int rc;
};
_Static_assert(sizeof(struct read_state) <= RPC_OWNER_SIZE, "fits into the request");

static struct read_state *state_of(struct rpc_request *request)
{
    return (struct read_state *)(void *)request->owner;
}

static void refuse(struct replica *r, struct rpc_request *request, enum wire_error error)
{
    metric_counter_add(&r->metrics.read_errors, 1);
    rpc_reply_error(request, error);
}

static uint64_t clock_ms(void *context)
{
    return io_now(context).boot_ms;
}

static void release_read(void *read)
{
    kv_read_fini(read);
}

/* The value is there, or the reason why not. May it leave? */
static void finish(struct read_state *state)
{
    struct replica *r = state->replica;
    struct kv_read *read = state->read;
    struct rpc_request *request = state->request;
    if (!replica_may_serve(r)) {
        kv_read_fini(read);
        refuse(r, request, WIRE_ERR_INVALID_STATE);
        return;
    }
    if (state->rc != 0) {
        kv_read_fini(read);
        refuse(r, request, state->rc == E_LIMIT ? WIRE_ERR_INVALID_DATA : WIRE_ERR_BUSY);
        return;
    }
    if (r->throttle != NULL) replica_throttle_took(r, kv_read_size(read));
    struct kv_reply reply = kv_read_end(read, &r->partition, &r->scans, replica_now(r).boot_ms);
    metric_counter_add(&r->metrics.reads, 1);
    if (r->scans.count > 0) worker_scan_waits(r->worker);
    rpc_reply_then(request, WIRE_ERR_OK, reply.schema, reply.body, release_read, read);
}

static void pool_run(struct io_work *work)
{
    struct read_state *state = LIST_ENTRY(work, struct read_state, work);
    state->rc = kv_read_run(state->read, &state->context, state->replica->store, STORE_ANY);
}

static void pool_done(struct io_work *work)
{
    struct read_state *state = LIST_ENTRY(work, struct read_state, work);
    struct replica *r = state->replica;
    /* Others came back before it: their replies may be all that this client has room for (C4). */
    if (state->rc == 0 && rpc_request_is_crowded(state->request)) state->rc = E_BUSY;
    finish(state);
    replica_release(r);
}

/* The pool gets a copy of what the loop may change meanwhile. */
static void read_on_pool(struct read_state *state)
{
    struct kv_partition *copy = arena_copy(&state->request->arena, &state->replica->partition,
                                           sizeof state->replica->partition);
    if (copy == NULL) {
        state->rc = E_NOMEM;
        finish(state);
        return;
    }
    state->context.partition = copy;
    metric_counter_add(&state->replica->metrics.reads_off_loop, 1);
    state->replica->busy++;
    state->work.run = pool_run;
    state->work.done = pool_done;
    io_work(state->replica->worker->loop, &state->work);
}

/* ---- Admission ------------------------------------------------------------------------------------------ */

static enum wire_error admit(const struct replica *r, const struct rpc_request *request)
{
    const struct frame_request *f = &request->frame;
    if (!replica_may_serve(r)) return WIRE_ERR_INVALID_STATE;
    if (rpc_request_is_crowded(request)) return WIRE_ERR_BUSY;
    if (r->partition.validates_partition_hash && f->code != RPC_SCAN &&
        f->code != RPC_CLEAR_SCANNER &&
        f->partition_hash % r->partition.count != r->partition.index)
        return WIRE_ERR_PARENT_PARTITION_MISUSED;
    return WIRE_ERR_OK;
}

void replica_on_read(struct replica *r, struct rpc_request *request, bool has_waited)
{
    enum wire_error error = admit(r, request);
    if (error != WIRE_ERR_OK) {
        refuse(r, request, error);
        return;
    }
    if (r->throttle != NULL && !has_waited && replica_throttle_read(r, request)) return;
    struct read_state *state = state_of(request);
    struct io *io = io_of(r->worker->loop);
    *state = (struct read_state){
        .replica = r,
        .request = request,
        .read = arena_alloc(&request->arena, sizeof *state->read),
        .context = {.partition = &r->partition,
                    .now_s = value_epoch_s(io_now(io).wall_us),
                    .clock_ms = clock_ms,
                    .clock_context = io},
    };
    int rc = state->read == NULL ? E_NOMEM
                                 : kv_read_begin(state->read, request->frame.code,
                                                 request->frame.body, &request->arena, &r->scans);
    if (rc != 0) {
        refuse(r, request, rc == E_NOMEM ? WIRE_ERR_BUSY : WIRE_ERR_INVALID_DATA);
        return;
    }
    state->rc = kv_read_run(state->read, &state->context, r->store, STORE_CACHED);
    if (state->rc == E_AGAIN) read_on_pool(state);
    else finish(state);
}
