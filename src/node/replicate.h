/* src/node/replicate.h: what other servers of the cluster say about partitions that are here too. The
 * other end is link.h. */
#pragma once
#include "rpc/server.h"

struct worker;

/* Tell every replica what the message says of it, each on its own worker, one worker after the other: so
 * what one server says of one partition arrives in the order in which it was said. Takes the request, and
 * answers when all have been told. */
void replicate_on_request(struct worker *w, struct rpc_request *request);
