/* src/base/arena.h: memory for one request, freed all at once. Decoders put lists here. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* The newest first; NULL when nothing was taken yet. */
    size_t used;                /* Bytes used of the newest. */
    size_t total;               /* Bytes of all chunks. */
    size_t limit;               /* Most bytes it may hold in all; 0: no limit but memory. */
};

/* An all-zero arena is a valid empty one. */
void arena_fini(struct arena *a);

/* Forget everything that was taken, keep one chunk for the next request. */
void arena_reset(struct arena *a);

/* Zeroed memory, aligned for anything; NULL when there is none or the limit is reached. */
void *arena_alloc(struct arena *a, size_t size);

/* As arena_alloc for 'count' things of 'size' bytes; NULL too when the product overflows. */
void *arena_array(struct arena *a, size_t count, size_t size);

/* How far it is filled, and back to there: what was taken since is forgotten. */
struct arena_mark {
    struct arena_chunk *newest;
    size_t used;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark to);

/* A copy of the bytes; NULL as above. */
void *arena_copy(struct arena *a, const void *data, size_t size);
