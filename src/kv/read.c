/* src/kv/read.c: the way of every read request, and what its kinds share. */
#include "kv/read.h"

#include "kv/range.h"
#include "kv/read_impl.h"
#include "kv/scan_impl.h"
#include "kv/walk.h"

/* ---- The way of a request ---- */

static bool is_read(enum rpc_code rpc)
{
    if (rpc == RPC_UNKNOWN || rpc >= RPC_CODE_COUNT) return false;
    enum rpc_kind kind = rpc_info(rpc)->kind;
    return kind == RPC_KIND_READ || kind == RPC_KIND_SCAN;
}

int kv_read_begin(struct kv_read *r, enum rpc_code rpc, struct slice body, struct arena *a,
                  struct kv_scans *scans)
{
    if (!is_read(rpc)) return E_UNSUPPORTED;
    r->rpc = rpc;
    r->arena = a;
    r->status = RRDB_OK;
    r->value = (struct store_value){0};
    r->values = NULL;
    r->value_count = 0;
    r->scan = NULL;
    r->has_more = false;
    int rc = thrift_read_args(body, rpc_info(rpc)->request, &r->args, a);
    if (rc != 0) return rc;
    if (rpc == RPC_SCAN) r->scan = kv_scans_take(scans, r->args.scan.context_id);
    if (rpc == RPC_CLEAR_SCANNER) kv_scans_clear(scans, r->args.clear_scanner.value);
    return 0;
}

static void unpin(struct kv_read *r)
{
    store_value_release(&r->value);
    for (uint32_t i = 0; i < r->value_count; i++) store_value_release(&r->values[i]);
    r->value_count = 0;
}

int kv_read_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                enum store_tier tier)
{
    unpin(r);
    r->status = RRDB_OK;
    memset(&r->response, 0, rpc_info(r->rpc)->response->size);
    switch (r->rpc) {
    case RPC_GET: return kv_get_run(r, c, s, tier);
    case RPC_TTL: return kv_ttl_run(r, c, s, tier);
    case RPC_BATCH_GET: return kv_batch_get_run(r, c, s, tier);
    case RPC_MULTI_GET: return kv_multi_get_run(r, c, s, tier);
    case RPC_SORTKEY_COUNT: return kv_sortkey_count_run(r, c, s, tier);
    case RPC_GET_SCANNER:
    case RPC_SCAN: return kv_scanner_run(r, c, s, tier);
    default: return 0;
    }
}

/* A scan that goes on waits for its next request; one that does not is closed by kv_read_fini(). */
static void scan_end(struct kv_read *r, struct kv_scans *scans, uint64_t now_ms)
{
    if (r->status != RRDB_OK) return; /* context_id stays 0, as from a Pegasus server. */
    r->response.scan.context_id = SCAN_CONTEXT_DONE;
    if (!r->has_more) return;
    r->response.scan.context_id = kv_scans_put(scans, r->scan, now_ms);
    r->scan = NULL;
}

#define FILL(r)                                                                                    \
    ((r)->error = status, (r)->app_id = p->app_id, (r)->partition_index = (int32_t)p->index,       \
     (r)->server = p->server)

struct kv_reply kv_read_end(struct kv_read *r, const struct kv_partition *p, struct kv_scans *scans,
                            uint64_t now_ms)
{
    int32_t status = r->status;
    switch (r->rpc) {
    case RPC_GET: FILL(&r->response.get); break;
    case RPC_TTL: FILL(&r->response.ttl); break;
    case RPC_BATCH_GET: FILL(&r->response.batch_get); break;
    case RPC_MULTI_GET: FILL(&r->response.multi_get); break;
    case RPC_SORTKEY_COUNT: FILL(&r->response.count); break;
    case RPC_GET_SCANNER:
    case RPC_SCAN:
        scan_end(r, scans, now_ms);
        FILL(&r->response.scan);
        break;
    default: return (struct kv_reply){0};
    }
    return (struct kv_reply){rpc_info(r->rpc)->response, &r->response};
}

void kv_read_fini(struct kv_read *r)
{
    unpin(r);
    kv_scan_free(r->scan);
    r->scan = NULL;
}

static size_t list_size(const struct key_value_list *list)
{
    size_t size = 0;
    for (uint32_t i = 0; i < list->count; i++)
        size += list->items[i].key.size + list->items[i].value.size;
    return size;
}

size_t kv_read_size(const struct kv_read *r)
{
    size_t size = 0;
    switch (r->rpc) {
    case RPC_GET: return r->response.get.value.size;
    case RPC_BATCH_GET:
        for (uint32_t i = 0; i < r->response.batch_get.data.count; i++) {
            const struct full_data *data = &r->response.batch_get.data.items[i];
            size += data->hash_key.size + data->sort_key.size + data->value.size;
        }
        return size;
    case RPC_MULTI_GET: return list_size(&r->response.multi_get.kvs);
    case RPC_GET_SCANNER:
    case RPC_SCAN: return list_size(&r->response.scan.kvs);
    default: return 0;
    }
}

/* ---- What the kinds share ---- */

int kv_read_lookup(struct kv_read *r, const struct kv_context *c, struct store *s,
                   enum store_tier tier, struct slice key, struct store_value *pin,
                   struct kv_row *row, bool *exists)
{
    *exists = false;
    int rc = store_get(s, key, tier, pin);
    if (rc == E_NOTFOUND) return 0;
    if (rc == E_AGAIN || rc == E_NOMEM) return rc;
    if (rc == 0) rc = kv_row_read(pin->bytes, row);
    if (rc == 0) *exists = kv_row_is_live(row, c->now_s);
    else r->status = kv_status_of(rc);
    if (!*exists) store_value_release(pin);
    return 0;
}

int kv_read_lookup_parts(struct kv_read *r, const struct kv_context *c, struct store *s,
                         enum store_tier tier, const struct full_key *key, struct store_value *pin,
                         struct kv_row *row, bool *exists)
{
    struct arena_mark before = arena_mark(r->arena); /* A million keys need the memory of one. */
    struct slice raw;
    int rc = kv_key_join(r->arena, key->hash_key, key->sort_key, &raw);
    if (rc != 0) return rc;
    rc = kv_read_lookup(r, c, s, tier, raw, pin, row, exists);
    arena_rewind(r->arena, before);
    return rc;
}

bool kv_read_is_long(uint64_t count, uint64_t size)
{
    return count > KV_WALK_LOOP_MAX || size > KV_KEYS_LOOP_SIZE_MAX;
}

int kv_read_reserve_pins(struct kv_read *r, uint32_t count)
{
    r->values = arena_array(r->arena, count, sizeof *r->values);
    return r->values == NULL ? E_NOMEM : 0;
}

int kv_rows_push(struct arena *a, struct kv_rows *rows, struct key_value row)
{
    if (rows->list.count == rows->capacity) {
        uint32_t capacity = rows->capacity == 0 ? 16 : rows->capacity * 2;
        struct key_value *items = arena_array(a, capacity, sizeof *items);
        if (items == NULL) return E_NOMEM;
        if (rows->list.count > 0) memcpy(items, rows->list.items, rows->list.count * sizeof *items);
        rows->list.items = items;
        rows->capacity = capacity;
    }
    rows->list.items[rows->list.count++] = row;
    rows->size += row.key.size + row.value.size;
    return 0;
}

int kv_copy(struct arena *a, struct slice bytes, struct slice *out)
{
    void *copy = arena_copy(a, bytes.data, bytes.size);
    if (copy == NULL) return E_NOMEM;
    *out = slice_of(copy, bytes.size);
    return 0;
}

uint64_t kv_limit(int64_t a, int64_t b)
{
    uint64_t x = a > 0 ? (uint64_t)a : UINT64_MAX;
    uint64_t y = b > 0 ? (uint64_t)b : UINT64_MAX;
    return x < y ? x : y;
}
