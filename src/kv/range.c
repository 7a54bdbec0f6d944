/* src/kv/range.c: bounds as half-open ranges of bytes. */
#include "kv/range.h"

#include "base/bytes.h"
#include "wire/key.h"

int kv_key_join(struct arena *a, struct slice hash_key, struct slice sort_key, struct slice *out)
{
    if (hash_key.size > KEY_HASH_SIZE_MAX) return E_INVALID;
    size_t size = KEY_HEAD_SIZE + hash_key.size + sort_key.size;
    uint8_t *at = arena_alloc(a, size);
    if (at == NULL) return E_NOMEM;
    bytes_put_be16(at, (uint16_t)hash_key.size);
    if (hash_key.size > 0) memcpy(at + KEY_HEAD_SIZE, hash_key.data, hash_key.size);
    if (sort_key.size > 0) memcpy(at + KEY_HEAD_SIZE + hash_key.size, sort_key.data, sort_key.size);
    *out = slice_of(at, size);
    return 0;
}

int kv_key_after(struct arena *a, struct slice key, struct slice *out)
{
    uint8_t *at = arena_alloc(a, key.size + 1); /* Zeroed: the last byte is the one added. */
    if (at == NULL) return E_NOMEM;
    if (key.size > 0) memcpy(at, key.data, key.size);
    *out = slice_of(at, key.size + 1);
    return 0;
}

int kv_key_successor(struct arena *a, struct slice prefix, struct slice *out)
{
    while (prefix.size > 0 && prefix.data[prefix.size - 1] == 0xff) prefix.size--;
    uint8_t *at = arena_copy(a, prefix.data, prefix.size);
    if (at == NULL) return E_NOMEM;
    if (prefix.size > 0) at[prefix.size - 1]++;
    *out = slice_of(at, prefix.size);
    return 0;
}

int kv_range_make(struct arena *a, struct slice start, bool is_start_inclusive, struct slice stop,
                  bool is_stop_inclusive, struct kv_range *out)
{
    struct kv_range range = {start, stop};
    int rc = 0;
    if (!is_start_inclusive) rc = kv_key_after(a, start, &range.lower);
    if (rc == 0 && is_stop_inclusive) rc = kv_key_after(a, stop, &range.upper);
    if (rc == 0) *out = range;
    return rc;
}

int kv_range_narrow(struct arena *a, struct kv_range *range, struct slice prefix)
{
    struct slice end;
    int rc = kv_key_successor(a, prefix, &end);
    if (rc != 0) return rc;
    if (slice_compare(range->lower, prefix) < 0) range->lower = prefix;
    if (range->upper.size == 0 || (end.size > 0 && slice_compare(end, range->upper) < 0))
        range->upper = end;
    return 0;
}

bool kv_range_is_empty(const struct kv_range *range)
{
    return range->upper.size > 0 && slice_compare(range->lower, range->upper) >= 0;
}
