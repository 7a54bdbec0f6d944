/* sim/check/keys.c: a hash table of which nothing is ever removed. */
#include "sim/check/keys.h"

#include "base/crc.h"
#include "sim/check/grow.h"

void keys_fini(struct keys *k)
{
    for (size_t i = 0; i < k->count; i++) free((void *)(uintptr_t)k->keys[i].data);
    free(k->keys);
    free(k->index);
    *k = (struct keys){0};
}

/* The place of the key in the index, or the free one where it belongs. */
static size_t place_of(const struct keys *k, struct slice key)
{
    size_t at = (size_t)crc64(key.data, key.size) & (k->index_size - 1);
    while (k->index[at] != 0 && !slice_equal(k->keys[k->index[at] - 1], key))
        at = (at + 1) & (k->index_size - 1);
    return at;
}

static void index_grow(struct keys *k)
{
    if (k->count * 2 < k->index_size) return;
    k->index_size = k->index_size == 0 ? 64 : k->index_size * 2;
    free(k->index);
    k->index = calloc(k->index_size, sizeof *k->index);
    CHECK(k->index != NULL);
    for (size_t i = 0; i < k->count; i++) k->index[place_of(k, k->keys[i])] = (uint32_t)i + 1;
}

int64_t keys_find(const struct keys *k, struct slice key)
{
    if (k->index_size == 0) return -1;
    return (int64_t)k->index[place_of(k, key)] - 1;
}

uint32_t keys_number(struct keys *k, struct slice key)
{
    index_grow(k);
    size_t at = place_of(k, key);
    if (k->index[at] != 0) return k->index[at] - 1;
    uint8_t *copy = malloc(key.size + 1);
    CHECK(copy != NULL);
    if (key.size != 0) memcpy(copy, key.data, key.size);
    k->keys = grow(k->keys, k->count, &k->capacity, sizeof *k->keys);
    k->keys[k->count++] = slice_of(copy, key.size);
    k->index[at] = (uint32_t)k->count;
    return (uint32_t)k->count - 1;
}
