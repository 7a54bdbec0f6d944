/* src/rpc/calls.h: the calls of one peer that wait for an answer, found by id.
 *
 * Open addressing: a call lies at the slot of its id's hash, or, when that is taken, in the next
 * free one. The table is at most half full; removing moves later ones up, so there are no
 * tombstones. Ids are given out one after the other, and must be scattered for that: left in order
 * they would make one long run of taken slots, which every removal would have to walk. Used inside
 * the room only. */
#pragma once
#include "base/err.h"
#include "rpc/peer.h"

/* All-zero is a valid empty table. */
struct calls {
    struct rpc_call **slots; /* NULL: free. */
    size_t capacity;         /* 0 or a power of two... */
    unsigned shift;          /* ...2 to the (64 - shift). */
    size_t count;
};

void calls_fini(struct calls *c);

/* Put the call in under its id, which no other has. Returns 0 or E_NOMEM. */
int calls_put(struct calls *c, struct rpc_call *call) MUST_CHECK;

/* The call with that id, or NULL. */
struct rpc_call *calls_find(const struct calls *c, uint64_t id);

/* Take the call out; it is in. */
void calls_remove(struct calls *c, const struct rpc_call *call);
