/* sim/check/keys.h: keys to small numbers, 0, 1, 2, ... in the order of their first mention. */
#pragma once
#include "base/slice.h"

struct keys {
    struct slice *keys; /* Copies. */
    size_t count, capacity;
    uint32_t *index; /* Open addressing: number + 1, 0 is free. */
    size_t index_size;
};

/* An all-zero 'struct keys' is a valid empty one. */
void keys_fini(struct keys *k);

/* The number of the key, which is copied when it is new. */
uint32_t keys_number(struct keys *k, struct slice key);

/* Its number, or -1. */
int64_t keys_find(const struct keys *k, struct slice key);
