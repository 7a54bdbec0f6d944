/* src/base/arena.c: chunks in a chain, each as large as what is asked of it, or a page. */
#include "base/arena.h"

#include <string.h>

#include "base/mem.h"

enum { ARENA_ALIGN = 16, ARENA_CHUNK_SIZE = 4096 }; /* Bytes. */

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* Bytes of 'memory'. */
    _Alignas(ARENA_ALIGN) uint8_t memory[];
};

static void chunks_free(struct arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        mem_free(chunk);
        chunk = next;
    }
}

void arena_fini(struct arena *a)
{
    chunks_free(a->chunks);
    a->chunks = NULL;
    a->used = a->total = 0;
}

void arena_reset(struct arena *a)
{
    if (a->chunks == NULL) return;
    struct arena_chunk *keep = a->chunks;
    chunks_free(keep->next);
    keep->next = NULL;
    a->used = 0;
    a->total = keep->size;
    if (keep->size > ARENA_CHUNK_SIZE)
        arena_fini(a); /* One huge request must not pin its memory. */
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2) return NULL;
    size = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (a->chunks == NULL || a->chunks->size - a->used < size) {
        size_t room = size > ARENA_CHUNK_SIZE ? size : ARENA_CHUNK_SIZE;
        if (a->limit != 0 && (room > a->limit || a->total > a->limit - room)) return NULL;
        struct arena_chunk *chunk = mem_alloc(sizeof *chunk + room);
        if (chunk == NULL) return NULL;
        chunk->next = a->chunks;
        chunk->size = room;
        a->chunks = chunk;
        a->used = 0;
        a->total += room;
    }
    void *at = a->chunks->memory + a->used;
    a->used += size;
    memset(at, 0, size);
    return at;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    return arena_alloc(a, count * size);
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->chunks, a->used};
}

void arena_rewind(struct arena *a, struct arena_mark to)
{
    while (a->chunks != to.newest) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        a->total -= chunk->size;
        mem_free(chunk);
    }
    a->used = to.used;
}

void *arena_copy(struct arena *a, const void *data, size_t size)
{
    void *at = arena_alloc(a, size);
    if (at != NULL && size != 0) memcpy(at, data, size);
    return at;
}
