/* src/node/opening.h: replicas that should be here and are not: a new table's, and those of one that was recalled,
 * while they are opened; and those that can't be. What was here at the start was opened by recovery (node.c).
 *
 *     opening_begin ---> [pool: replica_open] -> 0:     replica_start, its assignment; this is gone
 *        |                    ^        ^          else:  WAITING, its requests are refused; each wait twice the last
 *        | set aside          |        +-- a timer, a new ballot --+
 *        v                    |
 *     WAITING for orders ---------- told to learn: [the log forgets] -> [pool: the directory is put aside]
 *
 * Whoever waits asks the metas to go on without it, when it is one of several (wish.h): it is made the learner then,
 * and what can't be opened is put aside (aside.h) for a replica that begins with nothing (docs/replication.md,
 * R16). Dropped meanwhile, it ends: at once when it waits, else when the pool is done. On its worker's loop. */
#pragma once
#include "base/buf.h"
#include "node/assignment.h"
#include "rpc/server.h"

struct opening;
struct wish;
struct worker;

/* The partition's replica is to be opened here, then told 'a', which is taken. 'is_useless': what is on the disk is
 * not to be opened as long as another can give what it should be. */
void opening_begin(struct worker *w, struct assignment *a, bool is_useless);

/* NULL: none is under way for it. */
struct opening *opening_find(struct worker *w, struct gpid gpid);

/* It is wanted after all, or as something else. Takes 'a'. */
void opening_assign(struct opening *o, struct assignment *a);

/* It is not wanted any more. 'o' may be gone afterwards. */
void opening_drop(struct opening *o);

/* A request for it: true: taken, and answered when it is open. */
bool opening_takes(struct opening *o, struct rpc_request *request);

/* What it wants of the metas. */
struct wish *opening_wish(struct opening *o);

/* The worker stops: end those that wait. */
void openings_stop(struct worker *w);

/* Call 'each' for every replica of this worker that should be open and is not, with the reason. */
void openings_each_failed(struct worker *w,
                          void (*each)(void *context, struct gpid gpid, const char *why),
                          void *context);
