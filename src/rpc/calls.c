/* src/rpc/calls.c: linear probing with removal by moving up (Knuth, volume 3, algorithm 6.4 R). */
#include "rpc/calls.h"

#include "base/check.h"
#include "base/mem.h"

enum { CALLS_CAPACITY_MIN = 64, CALLS_SHIFT_MAX = 58 };

#define CALLS_SCATTER UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio: Knuth, 6.4. */

void calls_fini(struct calls *c)
{
    mem_free(c->slots);
    *c = (struct calls){0};
}

static size_t slot_of(const struct calls *c, uint64_t id)
{
    return (size_t)(id * CALLS_SCATTER >> c->shift);
}

static size_t next_slot(const struct calls *c, size_t slot)
{
    return (slot + 1) & (c->capacity - 1);
}

static void place(struct calls *c, struct rpc_call *call)
{
    size_t slot = slot_of(c, call->id);
    while (c->slots[slot] != NULL) slot = next_slot(c, slot);
    c->slots[slot] = call;
}

static int grow(struct calls *c)
{
    struct calls wider = {
        .capacity = c->capacity == 0 ? CALLS_CAPACITY_MIN : c->capacity * 2,
        .shift = c->capacity == 0 ? CALLS_SHIFT_MAX : c->shift - 1,
        .count = c->count,
    };
    wider.slots = mem_zalloc(wider.capacity * sizeof(struct rpc_call *));
    if (wider.slots == NULL) return E_NOMEM;
    for (size_t i = 0; i < c->capacity; i++)
        if (c->slots[i] != NULL) place(&wider, c->slots[i]);
    mem_free(c->slots);
    *c = wider;
    return 0;
}

int calls_put(struct calls *c, struct rpc_call *call)
{
    if (c->count * 2 >= c->capacity && grow(c) != 0) return E_NOMEM;
    place(c, call);
    c->count++;
    return 0;
}

static size_t find_slot(const struct calls *c, uint64_t id)
{
    size_t slot = slot_of(c, id);
    while (c->slots[slot] != NULL && c->slots[slot]->id != id) slot = next_slot(c, slot);
    return slot;
}

struct rpc_call *calls_find(const struct calls *c, uint64_t id)
{
    return c->count == 0 ? NULL : c->slots[find_slot(c, id)];
}

/* True if a call at home in 'home' may be found at 'hole': the hole lies on its way to 'at'. */
static bool may_move(const struct calls *c, size_t home, size_t hole, size_t at)
{
    size_t mask = c->capacity - 1;
    return ((at - home) & mask) >= ((at - hole) & mask);
}

void calls_remove(struct calls *c, const struct rpc_call *call)
{
    size_t hole = find_slot(c, call->id);
    CHECK(c->slots[hole] == call);
    for (size_t at = next_slot(c, hole); c->slots[at] != NULL; at = next_slot(c, at)) {
        if (!may_move(c, slot_of(c, c->slots[at]->id), hole, at)) continue;
        c->slots[hole] = c->slots[at];
        hole = at;
    }
    c->slots[hole] = NULL;
    c->count--;
}
