/* src/core/repl/overlay.h: what the mutations on their way will have done to the store.
 *
 * A primary decides increments, checks and last-writer-wins against the applied state overlaid with
 * its own mutations that are ordered but not applied yet; so a hot counter pipelines. The overlay
 * maps a raw key to the newest such op. Pure. Source: docs/replication.md, rule R8. */
#pragma once
#include "base/err.h"
#include "wire/mutation.h"

struct overlay_entry {
    uint64_t hash;         /* Of the key; with decree 0 the entry is free. */
    uint64_t decree;       /* Of the mutation that holds the op. */
    struct mutation_op op; /* Borrowed from the mutation, which the replica's tail keeps. */
};

struct overlay {
    struct overlay_entry *entries; /* Open addressing, linear probing. */
    uint32_t capacity;             /* A power of two, or 0. */
    uint32_t count;
};

/* An all-zero overlay is a valid empty one. */
void overlay_fini(struct overlay *o);

/* Make room for 'ops' more, so that overlay_add() cannot fail. Returns 0 or E_NOMEM. */
int overlay_reserve(struct overlay *o, uint32_t ops) MUST_CHECK;

/* A mutation was submitted: its ops are the newest of their keys. Reserved before. */
void overlay_add(struct overlay *o, const struct mutation *m);

/* A mutation was applied, the oldest there is: ops that no later one has replaced go. */
void overlay_remove(struct overlay *o, const struct mutation *m);

/* The newest op of the key on its way, or NULL. */
const struct mutation_op *overlay_find(const struct overlay *o, struct slice key);

void overlay_clear(struct overlay *o);
