/* sim/ghost.c: copies of mutations, and a table of keys. */
#include "sim/ghost.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/check/grow.h"

void ghost_fini(struct ghost *g)
{
    for (size_t p = 0; p < GHOST_PARTITIONS_MAX; p++) {
        struct ghost_partition *part = &g->partitions[p];
        for (size_t d = 0; d < part->capacity; d++) free((void *)part->mutations[d].bytes.data);
        free(part->mutations);
    }
    keys_fini(&g->keys);
    free(g->states);
    *g = (struct ghost){0};
}

static void reserve(struct ghost_partition *p, uint64_t decree)
{
    if (decree < p->capacity) return;
    size_t capacity = p->capacity == 0 ? 256 : p->capacity * 2;
    while (capacity <= decree) capacity *= 2;
    struct ghost_mutation *grown = realloc(p->mutations, capacity * sizeof *grown);
    CHECK(grown != NULL);
    memset(grown + p->capacity, 0, (capacity - p->capacity) * sizeof *grown);
    p->mutations = grown;
    p->capacity = capacity;
}

struct ghost_mutation *ghost_mutation(struct ghost *g, uint32_t partition, uint64_t decree)
{
    CHECK(partition < GHOST_PARTITIONS_MAX);
    reserve(&g->partitions[partition], decree);
    return &g->partitions[partition].mutations[decree];
}

void ghost_note(struct ghost *g, uint32_t partition, uint64_t decree, struct slice bytes)
{
    struct ghost_mutation *m = ghost_mutation(g, partition, decree);
    uint8_t *copy = malloc(bytes.size);
    CHECK(copy != NULL);
    memcpy(copy, bytes.data, bytes.size);
    free((void *)m->bytes.data);
    *m = (struct ghost_mutation){.bytes = slice_of(copy, bytes.size)};
}

const struct ghost_key *ghost_key(const struct ghost *g, struct slice key)
{
    int64_t number = keys_find(&g->keys, key);
    return number < 0 ? NULL : &g->states[number];
}

struct ghost_key *ghost_key_get(struct ghost *g, struct slice key)
{
    size_t before = g->keys.count;
    uint32_t number = keys_number(&g->keys, key);
    g->states = grow(g->states, number, &g->capacity, sizeof *g->states);
    if (number == before) g->states[number] = (struct ghost_key){0};
    return &g->states[number];
}
