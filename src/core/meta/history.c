/* src/core/meta/history.c: a list of commands that forgets its oldest (docs/meta.md, M33). */
#include "core/meta/history.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static struct meta_history_item *item_of(struct list_node *node)
{
    return LIST_ENTRY(node, struct meta_history_item, node);
}

static void forget_first(struct meta_history *h)
{
    struct meta_history_item *oldest = item_of(list_pop_front(&h->commands));
    h->size -= sizeof *oldest + oldest->size;
    h->first = oldest->version;
    mem_free(oldest);
}

void meta_history_init(struct meta_history *h, size_t size_max)
{
    *h = (struct meta_history){.size_max = size_max};
    list_init(&h->commands);
}

void meta_history_fini(struct meta_history *h)
{
    if (h->commands.next != NULL) meta_history_reset(h, h->version);
}

void meta_history_reset(struct meta_history *h, uint64_t version)
{
    while (!list_is_empty(&h->commands)) forget_first(h);
    h->version = h->first = version;
}

void meta_history_push(struct meta_history *h, struct slice command)
{
    struct meta_history_item *item = mem_alloc(sizeof *item + command.size);
    if (item == NULL) {
        meta_history_reset(h, h->version + 1);
        return;
    }
    item->version = ++h->version;
    item->size = command.size;
    if (command.size > 0) memcpy(item->bytes, command.data, command.size);
    list_init(&item->node);
    list_push_back(&h->commands, &item->node);
    h->size += sizeof *item + command.size;
    while (h->size > h->size_max) forget_first(h);
}

/* From the newest back: followers lack the last few. */
const struct meta_history_item *meta_history_after(const struct meta_history *h, uint64_t version)
{
    if (version < h->first || version >= h->version) return NULL;
    struct list_node *it = h->commands.prev;
    while (item_of(it)->version > version + 1) it = it->prev;
    CHECK(item_of(it)->version == version + 1);
    return item_of(it);
}
