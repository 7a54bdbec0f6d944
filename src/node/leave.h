/* src/node/leave.h: a server that is stopped on purpose leaves nobody waiting.
 *
 *     SIGTERM -> YIELD: others lead its partitions --> writes under way here are answered
 *             -> DEAD: nobody waits for its acknowledgements --> it stops
 *
 * So a restart costs no partition a grace, and no client an error that it has to understand. When it comes
 * back it is a learner of what it was a member of, with nearly all of it. What has no other member waits for
 * it, and the metas being out of reach holds nobody: it stops after a moment anyway. On the control loop.
 * Source: docs/leases.md, rule F8. */
#pragma once

struct node;

/* Leave the cluster, then call 'on_left', perhaps at once. */
void leave_begin(struct node *n, void (*on_left)(struct node *n));
