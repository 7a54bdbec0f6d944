/* src/core/repl/tail.c: a ring that doubles when full and forgets at the old end. */
#include "core/repl/tail.h"

#include "base/check.h"
#include "base/mem.h"

enum { TAIL_CAPACITY_MIN = 64 }; /* Slots. A power of two, as all its doublings. */

static struct chunk **slot(const struct repl_tail *t, uint32_t index)
{
    return &t->slots[(t->first + index) & (t->capacity - 1)];
}

int tail_init(struct repl_tail *t, uint64_t next_decree, size_t size_max)
{
    struct chunk **slots = mem_alloc(TAIL_CAPACITY_MIN * sizeof(struct chunk *));
    if (slots == NULL) return E_NOMEM;
    *t = (struct repl_tail){
        .slots = slots,
        .capacity = TAIL_CAPACITY_MIN,
        .first_decree = next_decree,
        .size_max = size_max,
    };
    return 0;
}

void tail_fini(struct repl_tail *t)
{
    for (uint32_t i = 0; i < t->count; i++) chunk_unref(*slot(t, i));
    mem_free(t->slots);
    *t = (struct repl_tail){0};
}

static int grow(struct repl_tail *t)
{
    struct chunk **slots = mem_alloc(2 * (size_t)t->capacity * sizeof(struct chunk *));
    if (slots == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < t->count; i++) slots[i] = *slot(t, i);
    mem_free(t->slots);
    t->slots = slots;
    t->first = 0;
    t->capacity *= 2;
    return 0;
}

int tail_push(struct repl_tail *t, struct chunk *mutation)
{
    if (t->count == t->capacity) {
        int rc = grow(t);
        if (rc != 0) return rc;
    }
    *slot(t, t->count) = chunk_ref(mutation);
    t->count++;
    t->size += mutation->capacity;
    return 0;
}

struct chunk *tail_get(const struct repl_tail *t, uint64_t decree)
{
    if (decree < t->first_decree || decree - t->first_decree >= t->count) return NULL;
    return *slot(t, (uint32_t)(decree - t->first_decree));
}

static void forget(struct repl_tail *t, struct chunk *mutation)
{
    t->size -= mutation->capacity;
    t->count--;
    chunk_unref(mutation);
}

void tail_cut(struct repl_tail *t, uint64_t decree)
{
    CHECK(decree >= t->first_decree);
    while (tail_next(t) > decree) forget(t, *slot(t, t->count - 1));
}

void tail_trim(struct repl_tail *t, uint64_t applied)
{
    while (t->size > t->size_max && t->count > 0 && t->first_decree <= applied) {
        struct chunk *oldest = *slot(t, 0);
        t->first = (t->first + 1) & (t->capacity - 1);
        t->first_decree++;
        forget(t, oldest);
    }
}
