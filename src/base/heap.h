/* src/base/heap.h: an intrusive binary heap, the smallest first: deadlines, and the simulator's events.
 * The node remembers where it stands, so it can be removed from the middle in O(log n). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct heap_node {
    uint64_t key;   /* Smallest first... */
    uint64_t order; /* ...and among equals the smaller of these, so that order is total. */
    size_t index;   /* Where it stands, plus one; 0 when in no heap. */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
};

#define HEAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* An all-zero heap is a valid empty one; the nodes stay the caller's. */
void heap_fini(struct heap *h);

/* Put 'node' in, with its key and order set. Returns 0 or E_NOMEM. */
int heap_push(struct heap *h, struct heap_node *node) MUST_CHECK;

/* The smallest, or NULL. */
struct heap_node *heap_top(const struct heap *h);

/* Take 'node' out; nothing happens when it is in no heap. */
void heap_remove(struct heap *h, struct heap_node *node);
