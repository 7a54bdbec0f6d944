/* src/kv/write.c: which kind of write does what, and the answers of all of them. */
#include "kv/write.h"

#include "kv/item.h"

int kv_write_check_size(enum rpc_code rpc, size_t body_size, size_t size_max)
{
    if (body_size > KV_WRITE_SIZE_LIMIT) return E_LIMIT;
    if (rpc == RPC_DUPLICATE || size_max == 0) return 0;
    return body_size <= size_max ? 0 : E_LIMIT;
}

static int items_read(struct kv_write *w)
{
    switch (w->rpc) {
    case RPC_PUT: return kv_items_of_put(w, &w->args.put, &w->bad);
    case RPC_REMOVE: return kv_items_of_remove(w, &w->args.remove, &w->bad);
    case RPC_MULTI_PUT: return kv_items_of_multi_put(w, &w->args.multi_put, &w->bad);
    case RPC_MULTI_REMOVE: return kv_items_of_multi_remove(w, &w->args.multi_remove, &w->bad);
    case RPC_INCR: return kv_incr_read(w);
    case RPC_CHECK_AND_SET: return kv_check_and_set_read(w);
    case RPC_CHECK_AND_MUTATE: return kv_check_and_mutate_read(w);
    default: return kv_duplicate_read(w);
    }
}

int kv_write_read(struct kv_write *w, enum rpc_code rpc, struct slice body, struct arena *a)
{
    if (rpc == RPC_UNKNOWN || rpc >= RPC_CODE_COUNT || rpc_info(rpc)->kind != RPC_KIND_WRITE)
        return E_UNSUPPORTED;
    *w = (struct kv_write){.rpc = rpc, .arena = a};
    int rc = thrift_read_args(body, rpc_info(rpc)->request, &w->args, a);
    if (rc == 0) rc = items_read(w);
    if (rc == 0) rc = kv_items_settle(w);
    return rc;
}

static int decide(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                  struct buf *ops)
{
    switch (w->rpc) {
    case RPC_INCR: return kv_incr_evaluate(w, c, view, ops);
    case RPC_CHECK_AND_SET: return kv_check_and_set_evaluate(w, c, view, ops);
    case RPC_CHECK_AND_MUTATE: return kv_check_and_mutate_evaluate(w, c, view, ops);
    case RPC_DUPLICATE: return kv_duplicate_evaluate(w, c, view, ops);
    default: kv_items_write_own(w, c, ops); return 0;
    }
}

int kv_write_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                      struct buf *ops)
{
    size_t before = ops->size;
    if (ops->failed) return E_NOMEM;
    memset(&w->response, 0, sizeof w->response);
    w->has_effects = false;
    w->reason = w->bad;
    w->status = w->bad == NULL ? RRDB_OK : RRDB_INVALID_ARGUMENT;
    if (w->bad != NULL) return 0;

    int rc = decide(w, c, view, ops);
    if (rc == 0) rc = buf_status(ops);
    if (rc != 0) {
        ops->size = before;
        ops->failed = false;
        w->has_effects = false;
    }
    return rc;
}

bool kv_write_missing_key(const struct kv_write *w, size_t *position, struct slice *key)
{
    if (*position == 0 && w->is_read_key_missing) {
        *position = 1;
        *key = w->read_key;
        return true;
    }
    for (size_t i = *position; i < w->item_count; i++) {
        if (!w->items[i].is_missing) continue;
        *position = i + 1;
        *key = w->items[i].key;
        return true;
    }
    *position = w->item_count > 0 ? w->item_count : 1;
    return false;
}

/* ---- Answers ---- */

static struct slice text_slice(const char *text)
{
    return text == NULL ? slice_of(NULL, 0) : slice_str(text);
}

/* A Pegasus server gets the two fields that it knows and no others. */
static void duplicate_reply(struct kv_write *w, int64_t decree)
{
    struct duplicate_response *r = &w->response.duplicate;
    r->set = DUPLICATE_RESPONSE_HAS_ERROR;
    r->error = w->status;
    if (w->reason != NULL) {
        r->set |= DUPLICATE_RESPONSE_HAS_ERROR_HINT;
        r->error_hint = text_slice(w->reason);
    }
    if ((w->args.duplicate.set & DUPLICATE_REQUEST_HAS_VERSION) == 0) return;
    r->set |= DUPLICATE_RESPONSE_HAS_VERSION | DUPLICATE_RESPONSE_HAS_REFUSED_INDEX;
    r->version = DUPLICATE_VERSION;
    r->refused_index = w->bad_entries.count > 0 ? (int32_t)w->bad_entries.first : -1;
    if (decree < 0) return;
    r->set |= DUPLICATE_RESPONSE_HAS_APPLIED_DECREE;
    r->applied_decree = decree;
}

#define FILL(r)                                                                                    \
    ((r)->error = w->status, (r)->app_id = p->app_id, (r)->partition_index = (int32_t)p->index,    \
     (r)->decree = decree, (r)->server = p->server)

struct kv_reply kv_write_reply(struct kv_write *w, const struct kv_partition *p, int64_t decree)
{
    switch (w->rpc) {
    case RPC_MULTI_REMOVE:
        FILL(&w->response.multi_remove);
        if (w->status == RRDB_OK)
            w->response.multi_remove.count = w->args.multi_remove.sort_keys.count;
        break;
    case RPC_INCR: FILL(&w->response.incr); break;
    case RPC_CHECK_AND_SET: FILL(&w->response.check_and_set); break;
    case RPC_CHECK_AND_MUTATE: FILL(&w->response.check_and_mutate); break;
    case RPC_DUPLICATE: duplicate_reply(w, decree); break;
    default: FILL(&w->response.update); break;
    }
    return (struct kv_reply){rpc_info(w->rpc)->response, &w->response};
}
