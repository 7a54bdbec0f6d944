/* src/node/incoming.h: what a replica knows of the clusters that duplicate into it, and what it
 * tells them of itself in return (docs/duplication.md, D10). On the replica's worker. */
#pragma once
#include "node/replica.h"

/* A DUPLICATE of another Pirene is applied, with everything before it. Notes how far its source is,
 * and fills in how far we are. */
void incoming_applied(struct replica *r, struct kv_write *write);

/* The answer to a request that brought a position and no entries. */
void incoming_on_position(struct replica *r, struct rpc_request *request, struct kv_write *write);

/* Rows of DUP_STATUS, in the request's arena. Returns 0 or E_NOMEM. */
int incoming_status(const struct replica *r, struct arena *arena,
                    struct dup_incoming_status_list *out) MUST_CHECK;
