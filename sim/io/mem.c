/* sim/io/mem.c: mem.h once more, with a list of what each process holds.
 *
 *     | struct block: node, owner, size | what the caller sees ... |
 *
 * A process that crashes runs no code, so nobody gives its memory back: the world does, by walking
 * the list of its blocks. This file replaces base/mem.c in every program that links sim_io, before
 * base; the real server pays nothing for it. A block belongs to whoever ran when it was taken,
 * wherever it is freed. What code in the simulator takes with bare malloc() is lost in a crash, and
 * the leak sanitizer says so. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/io/sim_io.h"

struct block {
    struct list_node node; /* In the owner's list; alone when the world owns it. */
    struct memory *owner;
    size_t size;
};

_Static_assert(sizeof(struct block) % 16 == 0, "what follows is aligned for anything");

static struct memory *current;
static uint64_t fail_in; /* 0: never. 1: the next one. */
static int has_failed;

void mem_fail_nth(uint64_t nth)
{
    fail_in = nth;
    has_failed = 0;
}

int mem_has_failed(void)
{
    return has_failed;
}

static int fails_now(void)
{
    if (fail_in == 0 || --fail_in != 0) return 0;
    has_failed = 1;
    return 1;
}

static void *own(struct block *block, struct memory *owner, size_t size)
{
    if (block == NULL) return NULL;
    list_init(&block->node);
    block->owner = owner;
    block->size = size;
    if (owner != NULL) {
        list_push_back(&owner->blocks, &block->node);
        owner->size += size;
    }
    return block + 1;
}

static void disown(struct block *block)
{
    list_remove(&block->node);
    if (block->owner != NULL) block->owner->size -= block->size;
}

static bool is_too_large(size_t size)
{
    return size > SIZE_MAX / 2;
}

void *mem_alloc(size_t size)
{
    if (fails_now() || is_too_large(size)) return NULL;
    return own(malloc(sizeof(struct block) + size), current, size);
}

void *mem_zalloc(size_t size)
{
    if (fails_now() || is_too_large(size)) return NULL;
    return own(calloc(1, sizeof(struct block) + size), current, size);
}

void *mem_realloc(void *old, size_t size)
{
    if (old == NULL) return mem_alloc(size);
    if (fails_now() || is_too_large(size)) return NULL;
    struct block *block = (struct block *)old - 1;
    struct memory *owner = block->owner;
    size_t old_size = block->size;
    disown(block);
    struct block *moved = realloc(block, sizeof(struct block) + size);
    if (moved != NULL) return own(moved, owner, size);
    (void)own(block, owner, old_size); /* Nothing moved: it is still theirs. */
    return NULL;
}

void mem_free(void *memory)
{
    if (memory == NULL) return;
    struct block *block = (struct block *)memory - 1;
    disown(block);
    free(block);
}

void sim_memory_init(struct memory *m)
{
    list_init(&m->blocks);
    m->size = 0;
}

struct memory *sim_memory_enter(struct memory *m)
{
    struct memory *before = current;
    current = m;
    return before;
}

void sim_memory_drop(struct memory *m)
{
    struct list_node *node;
    while ((node = list_pop_front(&m->blocks)) != NULL) free(LIST_ENTRY(node, struct block, node));
    m->size = 0;
}

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);
    CHECK(memory != NULL);
    return memory;
}

void sim_free_memory(void *memory)
{
    free(memory);
}
