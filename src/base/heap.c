/* src/base/heap.c: sift up, sift down. */
#include "base/heap.h"

#include "base/array.h"
#include "base/check.h"
#include "base/mem.h"

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void place(struct heap *h, struct heap_node *node, size_t at)
{
    h->nodes[at] = node;
    node->index = at + 1;
}

static void sift_up(struct heap *h, size_t at)
{
    struct heap_node *node = h->nodes[at];
    while (at > 0 && is_before(node, h->nodes[(at - 1) / 2])) {
        place(h, h->nodes[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    place(h, node, at);
}

static void sift_down(struct heap *h, size_t at)
{
    struct heap_node *node = h->nodes[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && is_before(h->nodes[child + 1], h->nodes[child])) child++;
        if (!is_before(h->nodes[child], node)) break;
        place(h, h->nodes[child], at);
        at = child;
    }
    place(h, node, at);
}

void heap_fini(struct heap *h)
{
    mem_free(h->nodes);
    *h = (struct heap){0};
}

int heap_push(struct heap *h, struct heap_node *node)
{
    CHECK(node->index == 0);
    int rc = array_reserve(&h->nodes, &h->capacity, h->count + 1, sizeof(struct heap_node *));
    if (rc != 0) return rc;
    h->nodes[h->count++] = node;
    sift_up(h, h->count - 1);
    return 0;
}

struct heap_node *heap_top(const struct heap *h)
{
    return h->count == 0 ? NULL : h->nodes[0];
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (node->index == 0) return;
    size_t at = node->index - 1;
    CHECK(at < h->count && h->nodes[at] == node);
    node->index = 0;
    struct heap_node *last = h->nodes[--h->count];
    if (last == node) return;
    place(h, last, at);
    sift_up(h, at);
    sift_down(h, last->index - 1);
}
