/* src/node/replica_digest.c: a partition in numbers, for comparing two clusters ("dup verify"). It walks
 * the whole store, on the pool; kv/digest.h says what is counted. */
#include "base/mem.h"
#include "kv/digest.h"
#include "node/replica.h"
#include "node/worker.h"

enum {
    DIGEST_ROWS_MAX = 1000,       /* Of one answer. */
    DIGEST_ARENA_SIZE = 64 << 20, /* Bytes that one answer may take. */
};

struct digest_state {
    struct replica *replica;
    struct rpc_request *request;
    struct digest_request args;
    struct kv_digest_scope scope;
    uint64_t decree;
    struct digest_response response;
    struct io_work work;
    int rc;
};

static int digest_rows(struct digest_state *d, struct arena *a)
{
    size_t max = d->args.max_rows > 0 && d->args.max_rows < DIGEST_ROWS_MAX
                     ? (size_t)d->args.max_rows
                     : DIGEST_ROWS_MAX;
    struct kv_digest_row *rows;
    size_t count;
    int rc = kv_digest_list(d->replica->store, &d->scope, (uint32_t)d->args.bucket, d->args.after,
                            max, a, &rows, &count);
    if (rc != 0) return rc;
    struct digest_row *out = arena_array(a, count, sizeof *out);
    if (out == NULL) return E_NOMEM;
    for (size_t i = 0; i < count; i++)
        out[i] = (struct digest_row){.key = rows[i].key,
                                     .digest = (int64_t)rows[i].hash,
                                     .timetag = (int64_t)rows[i].timetag};
    d->response.rows = (struct digest_row_list){out, (uint32_t)count};
    return 0;
}

static int digest_buckets(struct digest_state *d, struct arena *a)
{
    size_t count = (size_t)1 << d->scope.bits;
    struct kv_digest_bucket *buckets = arena_array(a, count, sizeof *buckets);
    int64_t *counts = arena_array(a, count, sizeof *counts);
    int64_t *sums = arena_array(a, count, sizeof *sums);
    if (buckets == NULL || counts == NULL || sums == NULL) return E_NOMEM;
    int rc = kv_digest(d->replica->store, &d->scope, buckets);
    for (size_t i = 0; i < count; i++) {
        counts[i] = (int64_t)buckets[i].count;
        sums[i] = (int64_t)buckets[i].sum;
    }
    d->response.counts = (struct i64_list){counts, (uint32_t)count};
    d->response.digests = (struct i64_list){sums, (uint32_t)count};
    return rc;
}

static void digest_run(struct io_work *work)
{
    struct digest_state *d = LIST_ENTRY(work, struct digest_state, work);
    struct arena *a = &d->request->arena;
    d->rc = d->args.bucket >= 0 ? digest_rows(d, a) : digest_buckets(d, a);
}

static void digest_done(struct io_work *work)
{
    struct digest_state *d = LIST_ENTRY(work, struct digest_state, work);
    struct replica *r = d->replica;
    struct rpc_request *request = d->request;
    d->response.err = wire_error_name(d->rc == 0 ? WIRE_ERR_OK : WIRE_ERR_LOCAL_APP_FAILURE);
    d->response.hint = slice_str(d->rc == 0 ? "" : err_text(d->rc));
    d->response.decree = (int64_t)d->decree;
    rpc_reply(request, WIRE_ERR_OK, &digest_response_schema, &d->response);
    replica_release(r);
}

void replica_on_digest(struct replica *r, struct rpc_request *request)
{
    struct digest_state *d = arena_alloc(&request->arena, sizeof *d);
    bool is_told = repl_is_serving(&r->repl) || r->repl.role == REPL_SECONDARY; /* How far it is. */
    if (d == NULL || !is_told || r->is_closing) {
        rpc_reply_error(request, d == NULL ? WIRE_ERR_BUSY : WIRE_ERR_INVALID_STATE);
        return;
    }
    int rc =
        thrift_read_args(request->frame.body, &digest_request_schema, &d->args, &request->arena);
    if (rc != 0 || d->args.bucket_bits < 0 || d->args.bucket_bits > KV_DIGEST_BITS_MAX ||
        d->args.bucket >= 1 << d->args.bucket_bits) {
        rpc_reply_error(request, WIRE_ERR_INVALID_PARAMETERS);
        return;
    }
    uint32_t now_s = d->args.now_s > 0 && d->args.now_s <= UINT32_MAX
                         ? (uint32_t)d->args.now_s
                         : value_epoch_s(replica_now(r).wall_us);
    d->replica = r;
    d->request = request;
    d->scope = (struct kv_digest_scope){.bits = (uint32_t)d->args.bucket_bits, .now_s = now_s};
    d->decree = store_applied(r->store);
    request->arena.limit = DIGEST_ARENA_SIZE;
    r->busy++;
    d->work.run = digest_run;
    d->work.done = digest_done;
    io_work(r->worker->loop, &d->work);
}
