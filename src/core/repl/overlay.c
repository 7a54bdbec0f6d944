/* src/core/repl/overlay.c: a hash table with backward-shift deletion (Knuth, TAOCP 6.4, algorithm
 * R), so that no grave stones pile up in a table that is filled and emptied all day. */
#include "core/repl/overlay.h"

#include "base/check.h"
#include "base/crc.h"
#include "base/mem.h"

enum { OVERLAY_CAPACITY_MIN = 256 };

static uint64_t hash_of(struct slice key)
{
    return crc64(key.data, key.size) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint32_t home(const struct overlay *o, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & (o->capacity - 1);
}

/* Where the key is, or where it would go. */
static uint32_t place_of(const struct overlay *o, uint64_t hash, struct slice key)
{
    uint32_t at = home(o, hash);
    while (o->entries[at].decree != 0 &&
           (o->entries[at].hash != hash || !slice_equal(o->entries[at].op.key, key)))
        at = (at + 1) & (o->capacity - 1);
    return at;
}

void overlay_fini(struct overlay *o)
{
    mem_free(o->entries);
    *o = (struct overlay){0};
}

int overlay_reserve(struct overlay *o, uint32_t ops)
{
    uint64_t wanted = ((uint64_t)o->count + ops) * 2; /* At most half full. */
    uint64_t capacity = o->capacity < OVERLAY_CAPACITY_MIN ? OVERLAY_CAPACITY_MIN : o->capacity;
    while (capacity < wanted) capacity *= 2;
    if (capacity == o->capacity) return 0;
    if (capacity > UINT32_MAX / 2) return E_NOMEM;

    struct overlay_entry *entries = mem_zalloc(capacity * sizeof *entries);
    if (entries == NULL) return E_NOMEM;
    struct overlay bigger = {entries, (uint32_t)capacity, o->count};
    for (uint32_t i = 0; i < o->capacity; i++) {
        const struct overlay_entry *e = &o->entries[i];
        if (e->decree != 0) entries[place_of(&bigger, e->hash, e->op.key)] = *e;
    }
    mem_free(o->entries);
    *o = bigger;
    return 0;
}

void overlay_add(struct overlay *o, const struct mutation *m)
{
    struct slice ops = m->ops;
    struct mutation_op op;
    while (mutation_op_next(&ops, &op)) {
        uint64_t hash = hash_of(op.key);
        struct overlay_entry *e = &o->entries[place_of(o, hash, op.key)];
        if (e->decree == 0) o->count++;
        CHECK(o->count <= o->capacity / 2);
        *e = (struct overlay_entry){hash, m->decree, op};
    }
}

/* Empty the place and close the hole: entries behind it move up if that brings them nearer home. */
static void vacate(struct overlay *o, uint32_t hole)
{
    uint32_t mask = o->capacity - 1;
    for (uint32_t at = (hole + 1) & mask; o->entries[at].decree != 0; at = (at + 1) & mask) {
        uint32_t wanted = home(o, o->entries[at].hash);
        if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
        o->entries[hole] = o->entries[at];
        hole = at;
    }
    o->entries[hole].decree = 0;
    o->count--;
}

void overlay_remove(struct overlay *o, const struct mutation *m)
{
    if (o->count == 0) return;
    struct slice ops = m->ops;
    struct mutation_op op;
    while (mutation_op_next(&ops, &op)) {
        uint32_t at = place_of(o, hash_of(op.key), op.key);
        if (o->entries[at].decree == m->decree) vacate(o, at);
    }
}

const struct mutation_op *overlay_find(const struct overlay *o, struct slice key)
{
    if (o->count == 0) return NULL;
    const struct overlay_entry *e = &o->entries[place_of(o, hash_of(key), key)];
    return e->decree != 0 ? &e->op : NULL;
}

void overlay_clear(struct overlay *o)
{
    if (o->count > 0) memset(o->entries, 0, o->capacity * sizeof *o->entries);
    o->count = 0;
}
