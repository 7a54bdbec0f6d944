/* src/base/array.h: arrays that grow: a pointer to items, and how many have room. */
#pragma once
#include <stddef.h>

#include "base/err.h"

/* Have room for 'wanted' items in the array that '*(T **)items' points to and that has room for
 * '*capacity' of 'item_size' bytes (NULL and 0 at first). It doubles, so that n items cost O(n) in all.
 * Returns 0; or E_NOMEM, and array and capacity are as they were. Freed with mem_free(). */
int array_reserve(void *items, size_t *capacity, size_t wanted, size_t item_size) MUST_CHECK;
