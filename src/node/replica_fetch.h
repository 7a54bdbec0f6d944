/* src/node/replica_fetch.h: values that the write at the head of 'stalled' waits for, read from the disk
 * on the pool. On the replica's worker.
 *
 * No write of this partition is decided while it waits, so what was fetched still holds when it is looked
 * at, unless the overlay knows better. What is missing then is fetched in addition: so a write of any number
 * of keys gets all of them, however fast the cache forgets. */
#pragma once
#include "kv/write.h"

struct replica;

/* Fetch what 'write' misses, besides what was fetched for it before; then call on_done, on the worker.
 * Returns 0 or E_NOMEM. */
int replica_fetch_begin(struct replica *r, const struct kv_write *write,
                        void (*on_done)(struct replica *r)) MUST_CHECK;

/* Look a key up: as kv_view.lookup does; E_AGAIN: it was not fetched. */
int replica_fetch_find(const struct replica *r, struct slice key, struct kv_row *out) MUST_CHECK;

/* Forget what was fetched. Harmless when nothing was. */
void replica_fetch_free(struct replica *r);
