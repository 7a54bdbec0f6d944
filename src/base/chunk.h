/* src/base/chunk.h: received bytes that several requests borrow from at once.
 *
 * A connection reads into a chunk; every request in it holds a reference, so that a request may travel
 * to another thread without being copied. The last reference frees the chunk. */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct chunk {
    atomic_uint refs;
    size_t capacity; /* Bytes of 'data'. */
    uint8_t data[];
};

/* A chunk with one reference, or NULL when there is no memory. */
struct chunk *chunk_new(size_t capacity);

/* One more reference to 'c', which is returned. Any thread. */
struct chunk *chunk_ref(struct chunk *c);

/* One reference less; accepts NULL. Any thread. */
void chunk_unref(struct chunk *c);
