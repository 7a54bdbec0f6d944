/* src/base/chunk.c: a counted block of memory. */
#include "base/chunk.h"

#include "base/check.h"
#include "base/mem.h"

struct chunk *chunk_new(size_t capacity)
{
    struct chunk *c = mem_alloc(sizeof *c + capacity);
    if (c == NULL) return NULL;
    atomic_init(&c->refs, 1);
    c->capacity = capacity;
    return c;
}

struct chunk *chunk_ref(struct chunk *c)
{
    unsigned before = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    CHECK(before > 0);
    return c;
}

void chunk_unref(struct chunk *c)
{
    if (c == NULL) return;
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) mem_free(c);
}
