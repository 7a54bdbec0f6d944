/* sim/check/grow.h: arrays that grow, in memory that belongs to no process. The recorder is called
 * from inside simulated processes, whose mem_alloc() memory goes when they crash; this stays. */
#pragma once
#include <stdlib.h>

#include "base/check.h"

/* Room for one more than 'count' items of 'size' bytes; stops the process without memory. */
static inline void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return items;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    void *moved = realloc(items, *capacity * size);
    CHECK(moved != NULL);
    return moved;
}
