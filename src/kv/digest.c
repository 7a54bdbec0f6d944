/* src/kv/digest.c: a walk over everything, a hash per row, a sum per bucket. */
#include "kv/digest.h"

#include "base/bytes.h"
#include "kv/kv.h"
#include "kv/range.h"
#include "wire/key.h"
#include "wire/value.h"

enum { CANCEL_EVERY = 4096 }; /* Rows between two questions whether to go on. */

/* The finalizer of splitmix64 (Steele, Lea, Flood, 2014): every bit of the input moves every bit of the
 * output. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Not for secrets: two rows that differ by accident get different hashes, but for 2^-64. */
static uint64_t hash_bytes(uint64_t seed, struct slice bytes)
{
    uint64_t h = mix(seed + UINT64_C(0x9e3779b97f4a7c15) + bytes.size);
    while (bytes.size >= 8) {
        h = mix(h ^ bytes_get_le64(bytes.data)) + UINT64_C(0x9e3779b97f4a7c15);
        bytes = slice_skip(bytes, 8);
    }
    uint8_t tail[8] = {0};
    if (bytes.size > 0) memcpy(tail, bytes.data, bytes.size);
    return mix(h ^ bytes_get_le64(tail));
}

static uint64_t hash_row(struct slice key, const struct kv_row *row)
{
    uint64_t h = hash_bytes(row->timetag, key);
    return hash_bytes(h ^ mix(row->expire_ts), row->data);
}

/* Rows in key order, dead ones left out. */
struct row_walk {
    struct store_iter *iter;
    const struct kv_digest_scope *scope;
    uint64_t rows; /* Seen. */
};

static int rows_open(struct row_walk *w, struct store *s, const struct kv_digest_scope *scope,
                     struct slice lower)
{
    if (scope->bits > KV_DIGEST_BITS_MAX) return E_INVALID;
    *w = (struct row_walk){.scope = scope};
    int rc = store_iter_open(s, lower, slice_of(NULL, 0), STORE_ANY, &w->iter);
    if (rc != 0) return rc;
    store_iter_seek(w->iter, lower);
    return 0;
}

static bool is_canceled(struct row_walk *w)
{
    return ++w->rows % CANCEL_EVERY == 0 && w->scope->is_canceled != NULL &&
           w->scope->is_canceled(w->scope->context);
}

/* The live row at or after where the iterator stands; advance it afterwards. 0, E_NOTFOUND at the end,
 * or a failure. */
static int rows_next(struct row_walk *w, struct slice *key, struct kv_row *row)
{
    for (;; store_iter_next(w->iter)) {
        if (!store_iter_is_valid(w->iter)) {
            int rc = store_iter_status(w->iter);
            return rc == 0 ? E_NOTFOUND : rc;
        }
        if (is_canceled(w)) return E_CANCELED;
        int rc = kv_row_read(store_iter_value(w->iter), row);
        if (rc != 0) return rc;
        *key = store_iter_key(w->iter);
        if (key->size >= KEY_HEAD_SIZE && kv_row_is_live(row, w->scope->now_s)) return 0;
    }
}

static uint32_t bucket_of(const struct kv_digest_scope *scope, struct slice key)
{
    return scope->bits == 0 ? 0 : (uint32_t)(key_hash(key) >> (64 - scope->bits));
}

int kv_digest(struct store *s, const struct kv_digest_scope *scope,
              struct kv_digest_bucket *buckets)
{
    struct row_walk w;
    int rc = rows_open(&w, s, scope, slice_of(NULL, 0));
    if (rc != 0) return rc;
    struct slice key;
    struct kv_row row;
    while ((rc = rows_next(&w, &key, &row)) == 0) {
        struct kv_digest_bucket *bucket = &buckets[bucket_of(scope, key)];
        bucket->count++;
        bucket->sum += hash_row(key, &row);
        store_iter_next(w.iter);
    }
    store_iter_close(w.iter);
    return rc == E_NOTFOUND ? 0 : rc;
}

static int list_push(struct arena *a, struct kv_digest_row *to, struct slice key,
                     const struct kv_row *row)
{
    void *copy = arena_copy(a, key.data, key.size);
    if (copy == NULL) return E_LIMIT;
    *to = (struct kv_digest_row){
        .key = slice_of(copy, key.size),
        .expire_ts = row->expire_ts,
        .data_size = (uint32_t)row->data.size,
        .timetag = row->timetag,
        .hash = hash_row(key, row),
    };
    return 0;
}

int kv_digest_list(struct store *s, const struct kv_digest_scope *scope, uint32_t bucket,
                   struct slice after, size_t count_max, struct arena *a,
                   struct kv_digest_row **rows, size_t *count)
{
    struct kv_digest_row *list = arena_array(a, count_max, sizeof *list);
    struct slice lower = after, key;
    if (list == NULL) return E_LIMIT;
    if (after.size > 0 && kv_key_after(a, after, &lower) != 0) return E_LIMIT;
    struct row_walk w;
    int rc = rows_open(&w, s, scope, lower);
    if (rc != 0) return rc;

    struct kv_row row;
    size_t n = 0;
    while (n < count_max && (rc = rows_next(&w, &key, &row)) == 0) {
        if (bucket_of(scope, key) == bucket) rc = list_push(a, &list[n++], key, &row);
        if (rc != 0) break;
        store_iter_next(w.iter);
    }
    store_iter_close(w.iter);
    if (rc != 0 && rc != E_NOTFOUND) return rc;
    *rows = list;
    *count = n;
    return 0;
}
