/* src/kv/scanner.c: GET_SCANNER and SCAN: one batch of a scan.
 *
 * The first batch is tried from memory. If the scan goes on after it, its iterator is exchanged for one
 * that may read from disk, in the same turn in which nothing can be written: the snapshot is the same.
 * From then on batches are read on the pool. Source: docs/data.md, rules S1 to S9. */
#include "kv/match.h"
#include "kv/read_impl.h"
#include "kv/scan_impl.h"
#include "kv/walk.h"
#include "wire/key.h"

/* ---- What a GET_SCANNER asks for ---- */

/* Keep a scan that starts inside a hash key there. Clients rely on it whose stop key is past the end of
 * the hash key or malformed. The stop of a full scan is "ff ff": those go on, also when they resume in
 * the middle. */
static int bound_by_hash_key(struct kv_read *r, struct kv_range *range)
{
    const struct get_scanner_request *request = &r->args.get_scanner;
    static const uint8_t full_scan_stop[] = {0xff, 0xff};
    struct key_parts start;
    if (request->full_scan || key_split(request->start_key, &start) != 0) return 0;
    if (start.hash_key.size == 0) return 0;
    if (slice_equal(request->stop_key, slice_of(full_scan_stop, sizeof full_scan_stop))) return 0;

    struct slice end;
    struct slice prefix = slice_of(request->start_key.data, KEY_HEAD_SIZE + start.hash_key.size);
    int rc = kv_key_successor(r->arena, prefix, &end);
    if (rc == 0 && slice_compare(end, range->upper) < 0) range->upper = end;
    return rc;
}

/* A prefix of hash keys moves the start only: keys sort by the length of the hash key first. */
static int raise_to_hash_prefix(struct kv_read *r, struct kv_range *range)
{
    const struct get_scanner_request *request = &r->args.get_scanner;
    struct slice pattern = request->hash_key_filter_pattern, first;
    if (request->hash_key_filter_type != FILTER_PREFIX || pattern.size == 0) return 0;
    int rc = kv_key_join(r->arena, pattern, slice_of(NULL, 0), &first);
    if (rc == E_INVALID) return 0; /* No key has such a prefix; the filter will say so. */
    if (rc == 0 && slice_compare(range->lower, first) < 0) range->lower = first;
    return rc;
}

/* Returns 0; E_INVALID: not a range; E_NOMEM. */
static int range_of(struct kv_read *r, struct kv_range *range)
{
    const struct get_scanner_request *request = &r->args.get_scanner;
    if (request->stop_key.size == 0) return E_INVALID;
    int rc = kv_range_make(r->arena, request->start_key, request->start_inclusive,
                           request->stop_key, request->stop_inclusive, range);
    if (rc == 0) rc = bound_by_hash_key(r, range);
    if (rc == 0) rc = raise_to_hash_prefix(r, range);
    return rc == 0 && kv_range_is_empty(range) ? E_INVALID : rc;
}

/* Make the scan that a GET_SCANNER asks for. r->scan stays NULL when there is nothing to walk. */
static int scan_begin(struct kv_read *r, const struct kv_partition *p)
{
    const struct get_scanner_request *request = &r->args.get_scanner;
    kv_scan_free(r->scan); /* Of an earlier run, which needed the disk. */
    r->scan = NULL;
    if (!kv_filter_is_known(request->hash_key_filter_type) ||
        !kv_filter_is_known(request->sort_key_filter_type)) {
        r->status = RRDB_INVALID_ARGUMENT;
        return 0;
    }
    bool validates = request->validate_partition_hash ||
                     (request->set & GET_SCANNER_REQUEST_HAS_VALIDATE_PARTITION_HASH) == 0;
    struct kv_scan_options options = {
        .batch_count = (uint32_t)kv_limit(request->batch_size, p->scan_count_max),
        .has_no_values = request->no_value,
        .has_expiry = request->return_expire_ts,
        .counts_only = request->only_return_count,
        .validates_hash = validates && p->validates_partition_hash,
        .hash_filter = {request->hash_key_filter_type, request->hash_key_filter_pattern},
        .sort_filter = {request->sort_key_filter_type, request->sort_key_filter_pattern},
    };
    int rc = range_of(r, &options.range);
    if (rc != 0) return rc == E_INVALID ? 0 : rc;
    r->scan = kv_scan_new(&options);
    return r->scan == NULL ? E_NOMEM : 0;
}

/* ---- One batch ---- */

static bool row_passes(const struct kv_scan_options *o, const struct kv_partition *p,
                       struct slice key)
{
    struct key_parts parts;
    if (key_split(key, &parts) != 0) return false;
    if (o->validates_hash && p->count > 0 &&
        key_parts_hash(parts.hash_key, parts.sort_key) % p->count != p->index)
        return false;
    return kv_filter_passes(o->hash_filter.type, o->hash_filter.pattern, parts.hash_key) &&
           kv_filter_passes(o->sort_filter.type, o->sort_filter.pattern, parts.sort_key);
}

static int row_add(struct kv_read *r, struct kv_rows *rows, struct slice key,
                   const struct kv_row *row)
{
    const struct kv_scan_options *o = &r->scan->options;
    struct key_value kv = {0};
    int rc = kv_copy(r->arena, key, &kv.key);
    if (rc == 0 && !o->has_no_values) rc = kv_copy(r->arena, row->data, &kv.value);
    if (o->has_expiry) {
        kv.set = KEY_VALUE_HAS_EXPIRE_TS_SECONDS;
        kv.expire_ts_seconds = (int32_t)row->expire_ts;
    }
    return rc != 0 ? rc : kv_rows_push(r->arena, rows, kv);
}

/* Walk until the batch is full. Returns 0: it is full; or what kv_walk_row() returns. */
static int batch_walk(struct kv_read *r, const struct kv_context *c, struct kv_walk *w,
                      struct kv_rows *rows, uint32_t *count)
{
    const struct kv_scan_options *o = &r->scan->options;
    uint64_t size_max = kv_limit(c->partition->multi_get_size_max, KV_REPLY_SIZE_MAX);
    while (*count < o->batch_count && rows->size < size_max) {
        struct slice key;
        struct kv_row row;
        int rc = kv_walk_row(w, &key, &row);
        if (rc != 0) return rc;
        if (row_passes(o, c->partition, key)) {
            rc = o->counts_only ? 0 : row_add(r, rows, key, &row);
            if (rc != 0) return rc;
            ++*count;
        }
        kv_walk_advance(w);
    }
    return 0;
}

/* Put the iterator where the scan goes on. */
static int scan_position(struct kv_scan *scan, struct store *s, enum store_tier tier)
{
    if (scan->iter == NULL) {
        int rc = store_iter_open(s, scan->options.range.lower, scan->options.range.upper, tier,
                                 &scan->iter);
        if (rc != 0) return rc;
        scan->tier = tier;
        store_iter_seek(scan->iter, scan->options.range.lower);
    } else if (!scan->is_positioned) {
        store_iter_seek(scan->iter, buf_slice(&scan->next));
    }
    scan->is_positioned = true;
    return 0;
}

/* The scan will go on: from now on with an iterator that may read from disk. */
static int scan_keep(struct kv_scan *scan, struct store *s)
{
    if (scan->tier == STORE_ANY) return 0;
    struct store_iter *iter;
    int rc =
        store_iter_open(s, scan->options.range.lower, scan->options.range.upper, STORE_ANY, &iter);
    if (rc != 0) return rc;
    buf_clear(&scan->next);
    buf_append_slice(&scan->next, store_iter_key(scan->iter));
    store_iter_close(scan->iter);
    scan->iter = iter;
    scan->tier = STORE_ANY;
    scan->is_positioned = false;
    return buf_status(&scan->next);
}

/* What the end of the walk means: r->status and r->has_more. */
static int batch_end(struct kv_read *r, struct store *s, struct kv_walk *w, int rc)
{
    if (rc == 0 || rc == E_LIMIT) {
        int is_at_end = kv_walk_is_at_end(w);
        r->has_more = is_at_end == 0;
        rc = is_at_end < 0 ? is_at_end : r->has_more && kv_walk_is_late(w) ? E_TIMEOUT : 0;
    }
    if (rc == E_AGAIN || rc == E_NOMEM) return rc;
    if (rc == E_TIMEOUT) r->status = RRDB_INCOMPLETE;
    if (rc == E_CORRUPT || rc == E_IO) r->status = kv_status_of(rc);
    return r->status == RRDB_OK && r->has_more ? scan_keep(r->scan, s) : 0;
}

int kv_scanner_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                   enum store_tier tier)
{
    r->has_more = false;
    int rc = r->rpc == RPC_GET_SCANNER ? scan_begin(r, c->partition) : 0;
    if (rc != 0) return rc;
    if (r->scan == NULL) {
        if (r->rpc == RPC_SCAN) r->status = RRDB_NOT_FOUND;
        return 0;
    }
    const struct kv_scan_options *o = &r->scan->options;
    if (r->scan->iter != NULL && tier == STORE_CACHED) return E_AGAIN;
    rc = scan_position(r->scan, s, tier);
    if (rc != 0) return rc;

    struct kv_walk walk;
    struct kv_rows rows = {0};
    uint32_t count = 0;
    uint64_t visits_max =
        r->rpc == RPC_SCAN ? o->batch_count : kv_limit(c->partition->scan_count_max, 0);
    kv_walk_init(&walk, r->scan->iter, tier, c, visits_max, visits_max);
    rc = batch_walk(r, c, &walk, &rows, &count);
    rc = batch_end(r, s, &walk, rc);
    if (rc != 0) return rc;

    struct scan_response *response = &r->response.scan;
    if (r->status == RRDB_OK || r->status == RRDB_INCOMPLETE) {
        response->kvs = rows.list;
        response->kv_count = (int32_t)count;
    }
    if (o->counts_only) response->set = SCAN_RESPONSE_HAS_KV_COUNT;
    return 0;
}
