/* src/kv/point.c: GET, TTL and BATCH_GET. Source: docs/data.md, rules G1 to G4. */
#include "kv/range.h"
#include "kv/read_impl.h"
#include "wire/key.h"

int kv_get_run(struct kv_read *r, const struct kv_context *c, struct store *s, enum store_tier tier)
{
    struct kv_row row;
    bool exists;
    int rc = kv_read_lookup(r, c, s, tier, r->args.key.value, &r->value, &row, &exists);
    if (rc != 0 || r->status != RRDB_OK) return rc;
    if (exists) r->response.get.value = row.data;
    else r->status = RRDB_NOT_FOUND;
    return 0;
}

int kv_ttl_run(struct kv_read *r, const struct kv_context *c, struct store *s, enum store_tier tier)
{
    struct kv_row row;
    bool exists;
    int rc = kv_read_lookup(r, c, s, tier, r->args.key.value, &r->value, &row, &exists);
    if (rc != 0 || r->status != RRDB_OK) return rc;
    if (!exists) {
        r->status = RRDB_NOT_FOUND;
        return 0;
    }
    r->response.ttl.ttl_seconds = row.expire_ts == 0 ? -1 : (int32_t)(row.expire_ts - c->now_s);
    return 0;
}

/* Look up one key and add its record if there is one. 0, E_AGAIN, E_NOMEM, E_LIMIT. */
static int batch_add(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier, const struct full_key *key, size_t *size)
{
    struct batch_get_response *response = &r->response.batch_get;
    struct store_value pin = {0};
    struct kv_row row;
    bool exists;
    int rc = kv_read_lookup_parts(r, c, s, tier, key, &pin, &row, &exists);
    if (rc == E_INVALID) return 0; /* Longer than any key that is stored. */
    if (rc != 0 || !exists) return rc;
    r->values[r->value_count++] = pin;
    *size += KEY_HEAD_SIZE + key->hash_key.size + key->sort_key.size + row.data.size;
    if (*size > KV_REPLY_SIZE_MAX) return E_LIMIT;
    response->data.items[response->data.count++] = (struct full_data){
        .hash_key = key->hash_key,
        .sort_key = key->sort_key,
        .value = row.data,
    };
    return 0;
}

static uint64_t keys_size(const struct full_key_list *keys)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < keys->count; i++)
        size += keys->items[i].hash_key.size + keys->items[i].sort_key.size;
    return size;
}

int kv_batch_get_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier)
{
    const struct full_key_list *keys = &r->args.batch_get.keys;
    struct batch_get_response *response = &r->response.batch_get;
    if (keys->count == 0) {
        r->status = RRDB_INVALID_ARGUMENT;
        return 0;
    }
    if (tier == STORE_CACHED && kv_read_is_long(keys->count, keys_size(keys))) return E_AGAIN;
    int rc = kv_read_reserve_pins(r, keys->count);
    if (rc != 0) return rc;
    response->data.items = arena_array(r->arena, keys->count, sizeof *response->data.items);
    if (response->data.items == NULL) return E_NOMEM;

    size_t size = 0;
    for (uint32_t i = 0; i < keys->count; i++) {
        rc = batch_add(r, c, s, tier, &keys->items[i], &size);
        if (rc != 0) return rc;
        if (r->status == RRDB_OK) continue;
        response->data.count = 0;
        return 0;
    }
    return 0;
}
