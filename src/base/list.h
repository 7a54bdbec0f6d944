/* src/base/list.h: an intrusive doubly linked ring. The node lives inside the object; the head is a
 * node that stands for "nothing". Removing needs no head; removing twice is harmless.
 *
 *     head <-> a <-> b <-> c <-> head
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *next, *prev; /* Itself when alone; both NULL when never initialised. */
};

/* The object that holds 'node' as its 'member'. */
#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Walk from first to last. The body must not remove 'it'; pop in a loop for that. */
#define LIST_EACH(it, head) for (struct list_node *it = (head)->next; it != (head); it = it->next)

static inline void list_init(struct list_node *node)
{
    node->next = node->prev = node;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline void list_push_back(struct list_node *head, struct list_node *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list_node *node)
{
    if (node->next == NULL) return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken out; NULL when there is none. */
static inline struct list_node *list_pop_front(struct list_node *head)
{
    if (list_is_empty(head)) return NULL;
    struct list_node *node = head->next;
    list_remove(node);
    return node;
}

/* Move all of 'from' behind the last of 'to'; 'from' is empty afterwards. */
static inline void list_splice_back(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}
