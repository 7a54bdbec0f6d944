/* src/kv/apply.h: ops of a mutation as changes of the store: the last step of a write, the same on
 * every replica and at every replay. */
#pragma once
#include "store/store.h"
#include "wire/mutation.h"

/* Add the ops of 'm' to 'b'. A delete is written as a tombstone: its timetag must go on losing to what
 * is newer and beating what is older. The compaction filter drops it when nobody needs it any more. */
void kv_apply(struct store_batch *b, const struct mutation *m);
