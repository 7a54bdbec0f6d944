/* sim/store/pmap.h: an ordered map of rows whose copies cost nothing.
 *
 * A copy shares everything with its original; a change to one of them first copies the few nodes
 * on the way to the changed row:
 *
 *     before     m            after a put      m          n
 *               / \           into copy n     / \        / \
 *              a   b                         a   b      a'  (b shared)
 *             / \                           / \        / \
 *            c   d                         c   d      c'  (d shared)
 *
 * So an iterator's snapshot, a flushed image and a checkpoint are each a pmap_copy(). It is a
 * treap whose priorities are hashes of the keys: its shape depends on the rows alone. Memory is
 * malloc's: it belongs to the world, not to a machine's process. Running out of it stops the
 * simulator. One thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* A key and its value; never changes, so that its address is its identity. */
struct row {
    uint32_t refs; /* The pmap's. */
    struct slice key, value;
    uint8_t bytes[];
};

/* Gives a row with one reference, for the caller. 'head' and 'body' make the value. */
struct row *row_new(struct slice key, struct slice head, struct slice body);
struct row *row_ref(struct row *row);
void row_unref(struct row *row); /* Accepts NULL. */

struct pmap_node;

/* An all-zero map is a valid empty one. */
struct pmap {
    struct pmap_node *root;
};

struct pmap pmap_copy(struct pmap m);
void pmap_fini(struct pmap *m);

/* Add 'row', or replace the one that has its key. Keeps a reference of its own. */
void pmap_put(struct pmap *m, struct row *row);
void pmap_remove(struct pmap *m, struct slice key); /* Fine when absent. */

/* Each borrows from the map, and is NULL when there is none. */
struct row *pmap_find(struct pmap m, struct slice key);
struct row *pmap_first(struct pmap m);
struct row *pmap_last(struct pmap m);
struct row *pmap_at_or_after(struct pmap m, struct slice key);
struct row *pmap_at_or_before(struct pmap m, struct slice key);
struct row *pmap_after(struct pmap m, struct slice key);
struct row *pmap_before(struct pmap m, struct slice key);

/* How many rows, and the bytes of their keys and values. */
struct pmap_size {
    uint64_t count, bytes;
};
struct pmap_size pmap_size(struct pmap m);
