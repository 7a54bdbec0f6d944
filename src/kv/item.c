/* src/kv/item.c: from arguments to items, from items to ops. */
#include "kv/item.h"

#include <stdlib.h>

#include "kv/range.h"
#include "wire/key.h"
#include "wire/mutation.h"

int kv_items_reserve(struct kv_write *w, uint32_t count, uint64_t key_size, uint64_t data_size)
{
    uint64_t size = (uint64_t)count * MUTATION_OP_HEAD_SIZE + key_size + data_size;
    if (size > MUTATION_SIZE_MAX - MUTATION_HEAD_SIZE - w->effects_size) return E_LIMIT;
    if (w->item_capacity - w->item_count < count) {
        uint32_t capacity = w->item_count + (count > w->item_count ? count : w->item_count);
        struct kv_item *items = arena_array(w->arena, capacity, sizeof *items);
        if (items == NULL) return E_NOMEM;
        if (w->item_count > 0) memcpy(items, w->items, w->item_count * sizeof *items);
        w->items = items;
        w->item_capacity = capacity;
    }
    w->effects_size += size;
    return 0;
}

struct kv_item *kv_items_push(struct kv_write *w, struct kv_item item)
{
    struct kv_item *at = &w->items[w->item_count++];
    *at = item;
    return at;
}

/* ---- Arguments ---- */

static const char *raw_key_flaw(struct slice key)
{
    struct key_parts parts;
    return key_split(key, &parts) == 0 ? NULL : "key is shorter than its length says";
}

static const char *list_flaw(struct slice hash_key, uint32_t count)
{
    if (count == 0) return "list is empty";
    return hash_key.size > KEY_HASH_SIZE_MAX ? "hash key is too long" : NULL;
}

int kv_items_of_put(struct kv_write *w, const struct update_request *put, const char **bad)
{
    *bad = raw_key_flaw(put->key);
    if (*bad != NULL) return 0;
    int rc = kv_items_reserve(w, 1, put->key.size, put->value.size);
    if (rc != 0) return rc;
    kv_items_push(w, (struct kv_item){
                         .key = put->key,
                         .data = put->value,
                         .expire_ts = (uint32_t)put->expire_ts_seconds,
                     });
    return 0;
}

int kv_items_of_remove(struct kv_write *w, const struct bare_blob *remove, const char **bad)
{
    *bad = raw_key_flaw(remove->value);
    if (*bad != NULL) return 0;
    int rc = kv_items_reserve(w, 1, remove->value.size, 0);
    if (rc != 0) return rc;
    kv_items_push(w, (struct kv_item){.key = remove->value, .is_delete = true});
    return 0;
}

int kv_items_of_multi_put(struct kv_write *w, const struct multi_put_request *put, const char **bad)
{
    *bad = list_flaw(put->hash_key, put->kvs.count);
    if (*bad != NULL) return 0;
    uint64_t key_size = (uint64_t)put->kvs.count * (KEY_HEAD_SIZE + put->hash_key.size);
    uint64_t data_size = 0;
    for (uint32_t i = 0; i < put->kvs.count; i++) {
        key_size += put->kvs.items[i].key.size;
        data_size += put->kvs.items[i].value.size;
    }
    int rc = kv_items_reserve(w, put->kvs.count, key_size, data_size);
    for (uint32_t i = 0; rc == 0 && i < put->kvs.count; i++) {
        struct kv_item *item = kv_items_push(w, (struct kv_item){
                                                    .data = put->kvs.items[i].value,
                                                    .expire_ts = (uint32_t)put->expire_ts_seconds,
                                                });
        rc = kv_key_join(w->arena, put->hash_key, put->kvs.items[i].key, &item->key);
    }
    return rc;
}

int kv_items_of_multi_remove(struct kv_write *w, const struct multi_remove_request *remove,
                             const char **bad)
{
    *bad = list_flaw(remove->hash_key, remove->sort_keys.count);
    if (*bad != NULL) return 0;
    uint32_t count = remove->sort_keys.count;
    uint64_t key_size = (uint64_t)count * (KEY_HEAD_SIZE + remove->hash_key.size);
    for (uint32_t i = 0; i < count; i++) key_size += remove->sort_keys.items[i].size;
    int rc = kv_items_reserve(w, count, key_size, 0);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct kv_item *item = kv_items_push(w, (struct kv_item){.is_delete = true});
        rc = kv_key_join(w->arena, remove->hash_key, remove->sort_keys.items[i], &item->key);
    }
    return rc;
}

/* ---- The last word ---- */

/* By key, then in the order of the request: pointers into one array compare by place. */
static int compare_items(const void *a, const void *b)
{
    const struct kv_item *x = *(struct kv_item *const *)a;
    const struct kv_item *y = *(struct kv_item *const *)b;
    int order = slice_compare(x->key, y->key);
    return order != 0 ? order : (x > y) - (x < y);
}

/* Whether 'later' in the order of the request beats 'earlier' on the same key. */
static bool item_beats(const struct kv_item *later, const struct kv_item *earlier)
{
    if (later->timetag != earlier->timetag) return later->timetag > earlier->timetag;
    return later->entry == earlier->entry;
}

int kv_items_settle(struct kv_write *w)
{
    if (w->item_count < 2) return 0;
#ifdef MUT_two_ops_per_key
    return 0;
#endif
    struct kv_item **sorted = arena_array(w->arena, w->item_count, sizeof(struct kv_item *));
    if (sorted == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < w->item_count; i++) sorted[i] = &w->items[i];
    qsort(sorted, w->item_count, sizeof(struct kv_item *), compare_items);

    struct kv_item *best = sorted[0];
    for (uint32_t i = 1; i < w->item_count; i++) {
        struct kv_item *item = sorted[i];
        if (!slice_equal(item->key, best->key) || item_beats(item, best)) {
            if (slice_equal(item->key, best->key)) best->is_superseded = true;
            best = item;
        } else {
            item->is_superseded = true;
        }
    }
    return 0;
}

/* ---- Ops ---- */

static uint32_t expire_resolve(const struct kv_context *c, uint32_t expire_ts)
{
    uint32_t ttl = c->partition->default_ttl_s;
    if (expire_ts != 0 || ttl == 0) return expire_ts;
    return ttl < UINT32_MAX - c->now_s ? c->now_s + ttl : UINT32_MAX;
}

void kv_item_write(const struct kv_item *item, const struct kv_context *c, uint64_t timetag,
                   struct buf *ops)
{
    struct mutation_op op = {.timetag = timetag, .key = item->key};
    if (!item->is_delete) {
        op.expire_ts = expire_resolve(c, item->expire_ts);
        op.data = item->data;
    }
    mutation_add(ops, &op);
}

void kv_items_write_own(struct kv_write *w, const struct kv_context *c, struct buf *ops)
{
    for (uint32_t i = 0; i < w->item_count; i++) {
        const struct kv_item *item = &w->items[i];
        if (item->is_superseded) continue;
        kv_item_write(
            item, c, timetag_make(c->timestamp_us, c->partition->cluster_id, item->is_delete), ops);
        w->has_effects = true;
    }
}
