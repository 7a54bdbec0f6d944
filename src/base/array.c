/* src/base/array.c: the one place where an array grows. */
#include "base/array.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { CAPACITY_MIN = 16 };

int array_reserve(void *items, size_t *capacity, size_t wanted, size_t item_size)
{
    size_t larger = *capacity == 0 ? CAPACITY_MIN : *capacity;
    void *old;
    if (wanted <= *capacity) return 0;
    if (wanted > SIZE_MAX / 2 / item_size) return E_NOMEM;
    while (larger < wanted) larger *= 2;
    memcpy(&old, items, sizeof old); /* A pointer to any type is read as what it is. */
    void *grown = mem_realloc(old, larger * item_size);
    if (grown == NULL) return E_NOMEM;
    memcpy(items, &grown, sizeof grown);
    *capacity = larger;
    return 0;
}
