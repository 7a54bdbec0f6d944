/* src/core/meta/history.h: the commands that made the state what it is, as far back as memory allows:
 * for nodes that follow the meta group without being members of it. Pure.
 *
 *     version   0 ............ first ................. version
 *                              | commands, in order   |
 *               a snapshot     |  what a follower that has more than 'first' is sent
 *
 * A state's version is the number of commands that were applied to an empty one, refused ones
 * included. Source: docs/meta.md, rule M33. */
#pragma once
#include <stdint.h>

#include "base/chunk.h"
#include "base/list.h"
#include "base/slice.h"

struct meta_history {
    struct list_node commands; /* The oldest first. */
    size_t size, size_max;     /* Bytes of all kept, and of how many may be. */
    uint64_t version;          /* After the newest. */
    uint64_t first; /* Before the oldest kept: a follower that has this needs no snapshot. */
};

void meta_history_init(struct meta_history *h, size_t size_max);
void meta_history_fini(struct meta_history *h); /* Accepts an all-zero one. */

/* The state has this version, and how it came there is not known. */
void meta_history_reset(struct meta_history *h, uint64_t version);

/* The state went one version on by this command. When there is no memory to keep it, everything before
 * is forgotten too: followers are sent a snapshot then. */
void meta_history_push(struct meta_history *h, struct slice command);

/* One command that is kept. */
struct meta_history_item {
    struct list_node node;
    uint64_t version; /* That it made. */
    size_t size;
    uint8_t bytes[];
};

/* The command that a state of 'version' is missing next; its successors follow in the list. NULL: it is
 * not kept, or there is none. Borrowed until the next call. */
const struct meta_history_item *meta_history_after(const struct meta_history *h, uint64_t version);
