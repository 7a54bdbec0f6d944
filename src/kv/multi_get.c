/* src/kv/multi_get.c: several records of one hash key: MULTI_GET by keys or by range, SORTKEY_COUNT.
 * Source: docs/data.md, rules M1 to M9. */
#include "kv/match.h"
#include "kv/range.h"
#include "kv/read_impl.h"
#include "kv/walk.h"
#include "wire/key.h"

/* ---- By keys ---- */

enum { CLOCK_EVERY = 256 }; /* Keys between two looks at the clock. */

struct page {
    struct kv_rows rows;
    uint64_t count_max, size_max; /* Reached: the page is full. */
};

static bool page_is_full(const struct page *page)
{
    return page->rows.list.count >= page->count_max || page->rows.size >= page->size_max;
}

/* Add the record of one sort key, if there is one. Returns 0; E_LIMIT: there is, and the page is full;
 * E_AGAIN, E_NOMEM. */
static int exact_add(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier, struct slice sort_key, struct page *page)
{
    const struct full_key key = {.hash_key = r->args.multi_get.hash_key, .sort_key = sort_key};
    struct store_value pin = {0};
    struct kv_row row;
    bool exists;
    int rc = kv_read_lookup_parts(r, c, s, tier, &key, &pin, &row, &exists);
    if (rc != 0 || !exists) return rc;
    r->values[r->value_count++] = pin;
    if (page_is_full(page)) return E_LIMIT;
    struct key_value kv = {.key = sort_key};
    if (!r->args.multi_get.no_value) kv.value = row.data;
    return kv_rows_push(r->arena, &page->rows, kv);
}

static int exact_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier)
{
    const struct multi_get_request *request = &r->args.multi_get;
    struct page page = {
        .count_max = kv_limit(request->max_kv_count, c->partition->multi_get_count_max),
        .size_max = kv_limit(request->max_kv_size, KV_REPLY_SIZE_MAX),
    };
    uint64_t count = request->sort_keys.count;
    if (request->hash_key.size > KEY_HASH_SIZE_MAX) return 0;
    if (tier == STORE_CACHED && kv_read_is_long(count, count * request->hash_key.size))
        return E_AGAIN;
    int rc = kv_read_reserve_pins(r, request->sort_keys.count);
    uint64_t deadline_ms = kv_deadline_ms(c);
    for (uint32_t i = 0; rc == 0 && i < request->sort_keys.count; i++) {
        if (i % CLOCK_EVERY == CLOCK_EVERY - 1 && kv_is_late(c, deadline_ms)) rc = E_LIMIT;
        if (rc != 0) break;
        rc = exact_add(r, c, s, tier, request->sort_keys.items[i], &page);
        if (r->status != RRDB_OK) return 0;
    }
    if (rc == E_LIMIT) r->status = RRDB_INCOMPLETE;
    if (rc != 0 && rc != E_LIMIT) return rc;
    r->response.multi_get.kvs = page.rows.list;
    return 0;
}

/* ---- By range ---- */

/* The raw keys that the request is about. Returns 0; E_INVALID: none can be; E_NOMEM. */
static int range_of(struct kv_read *r, struct kv_range *range)
{
    const struct multi_get_request *request = &r->args.multi_get;
    struct slice start, stop, pattern = request->sort_key_filter_pattern;
    int rc = kv_key_join(r->arena, request->hash_key, request->start_sortkey, &start);
    if (rc != 0) return rc;
    if (request->stop_sortkey.size > 0) {
        rc = kv_key_join(r->arena, request->hash_key, request->stop_sortkey, &stop);
        if (rc != 0) return rc;
    } else {
        rc = kv_key_successor(r->arena,
                              slice_of(start.data, KEY_HEAD_SIZE + request->hash_key.size), &stop);
        if (rc != 0) return rc;
    }
    bool is_stop_inclusive = request->stop_inclusive && request->stop_sortkey.size > 0;
    rc = kv_range_make(r->arena, start, request->start_inclusive, stop, is_stop_inclusive, range);
    if (rc != 0 || request->sort_key_filter_type != FILTER_PREFIX || pattern.size == 0) return rc;
    rc = kv_key_join(r->arena, request->hash_key, pattern, &start);
    return rc != 0 ? rc : kv_range_narrow(r->arena, range, start);
}

/* Add the row that the walk stands on, unless it is filtered. Returns 0 or E_NOMEM. */
static int range_add(struct kv_read *r, struct slice key, const struct kv_row *row,
                     struct page *page)
{
    const struct multi_get_request *request = &r->args.multi_get;
    struct slice sort_key = slice_skip(key, KEY_HEAD_SIZE + request->hash_key.size);
    if (!kv_filter_passes(request->sort_key_filter_type, request->sort_key_filter_pattern,
                          sort_key))
        return 0;
    struct key_value kv = {0};
    int rc = kv_copy(r->arena, sort_key, &kv.key);
    if (rc == 0 && !request->no_value) rc = kv_copy(r->arena, row->data, &kv.value);
    return rc != 0 ? rc : kv_rows_push(r->arena, &page->rows, kv);
}

static void reverse(struct key_value_list *list)
{
    for (uint32_t i = 0, j = list->count; i + 1 < j; i++) {
        struct key_value other = list->items[--j];
        list->items[j] = list->items[i];
        list->items[i] = other;
    }
}

/* Walk until the page is full or a limit is met. Returns 0: the range ended; E_LIMIT: there is more;
 * or what kv_walk_row() returns. */
static int range_walk(struct kv_read *r, struct kv_walk *w, struct page *page)
{
    for (;;) {
        if (page_is_full(page)) {
            int is_at_end = kv_walk_is_at_end(w);
            return is_at_end == 0 ? E_LIMIT : is_at_end == 1 ? 0 : is_at_end;
        }
        struct slice key;
        struct kv_row row;
        int rc = kv_walk_row(w, &key, &row);
        if (rc == E_NOTFOUND) return 0;
        if (rc == 0) rc = range_add(r, key, &row, page);
        if (rc != 0) return rc;
        kv_walk_advance(w);
    }
}

static int range_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier)
{
    const struct multi_get_request *request = &r->args.multi_get;
    const struct kv_partition *p = c->partition;
    struct page page = {
        .count_max = kv_limit(request->max_kv_count, p->multi_get_count_max),
        .size_max = kv_limit(request->max_kv_size, p->multi_get_size_max),
    };
    struct kv_range range;
    int rc = range_of(r, &range);
    if (rc == E_INVALID || (rc == 0 && kv_range_is_empty(&range))) return 0;
    struct store_iter *iter = NULL;
    if (rc == 0) rc = store_iter_open(s, range.lower, range.upper, tier, &iter);
    if (rc != 0) return rc;

    struct kv_walk walk;
    kv_walk_init(&walk, iter, tier, c, kv_limit(p->multi_get_count_max, 0), p->multi_get_count_max);
    walk.is_reverse = request->reverse;
    if (request->reverse) store_iter_seek_end(iter);
    else store_iter_seek(iter, range.lower);
    rc = range_walk(r, &walk, &page);
    store_iter_close(iter);

    if (rc == E_AGAIN || rc == E_NOMEM) return rc;
    if (rc == E_LIMIT || rc == E_TIMEOUT) r->status = RRDB_INCOMPLETE;
    else r->status = kv_status_of(rc);
    if (rc == E_CORRUPT || rc == E_IO) return 0;
    if (request->reverse) reverse(&page.rows.list);
    r->response.multi_get.kvs = page.rows.list;
    return 0;
}

int kv_multi_get_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier)
{
    const struct multi_get_request *request = &r->args.multi_get;
    if (request->sort_keys.count > 0) return exact_run(r, c, s, tier);
    if (kv_filter_is_known(request->sort_key_filter_type)) return range_run(r, c, s, tier);
    r->status = RRDB_INVALID_ARGUMENT;
    return 0;
}

/* ---- SORTKEY_COUNT ---- */

static int count_walk(struct kv_walk *w, int64_t *count)
{
    for (*count = 0;; ++*count) {
        struct slice key;
        struct kv_row row;
        int rc = kv_walk_row(w, &key, &row);
        if (rc != 0) return rc;
        kv_walk_advance(w);
    }
}

int kv_sortkey_count_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                         enum store_tier tier)
{
    struct kv_range range;
    int rc = kv_key_join(r->arena, r->args.key.value, slice_of(NULL, 0), &range.lower);
    if (rc == E_INVALID) return 0; /* Longer than any hash key that is stored. */
    if (rc == 0) rc = kv_key_successor(r->arena, range.lower, &range.upper);
    struct store_iter *iter = NULL;
    if (rc == 0) rc = store_iter_open(s, range.lower, range.upper, tier, &iter);
    if (rc != 0) return rc;

    struct kv_walk walk;
    kv_walk_init(&walk, iter, tier, c, UINT64_MAX, c->partition->multi_get_count_max);
    walk.tombstones_max = UINT64_MAX;
    store_iter_seek(iter, range.lower);
    int64_t count;
    rc = count_walk(&walk, &count);
    store_iter_close(iter);

    if (rc == E_AGAIN || rc == E_NOMEM) return rc;
    if (rc == E_CORRUPT || rc == E_IO) r->status = kv_status_of(rc);
    else r->response.count.count = rc == E_TIMEOUT ? -1 : count;
    return 0;
}
