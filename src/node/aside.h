/* src/node/aside.h: what becomes of a replica's directory that is of no use any more, because the partition's other
 * members have all that it should have, and it is to learn from them (docs/replication.md, R16).
 *
 *     replicas/<table>.<index>                     moved to
 *     replicas/<table>.<index>.damaged.<seconds>   where no start looks; at most one of each partition
 *
 * It is kept for whoever wants to know what happened to it, and may be removed at any time. Blocking. */
#pragma once
#include "io/io.h"

/* Move 'dir' aside, durably. Fine when it is not there. The one of before goes. Returns 0 or what the io port
 * does; then it is where it was, or moved. */
int aside_put(struct io *io, const char *dir) MUST_CHECK;

/* Remove what was put aside of 'dir'. Returns 0 or what the io port does. */
int aside_remove(struct io *io, const char *dir) MUST_CHECK;
