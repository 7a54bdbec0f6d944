/* src/node/replica_throttle.h: a table's limits, obeyed by one of its replicas
 * (core/throttle/throttle.h counts; here requests wait). A table without limits has no 'struct
 * replica_throttle'.
 *
 *     admitted --> asked --> passes
 *                    |--> waits with its timer --> admitted again, passes unasked
 *                    '--> waits with its timer --> ERR_BUSY       (a backup read: dropped at once)
 *
 * Nothing else waits for a request that waits, and no more than a bound do. On the replica's
 * worker. */
#pragma once
#include "node/replica.h"

/* Obey what is assigned now. */
void replica_throttle_assign(struct replica *r);
void replica_throttle_free(struct replica *r);

/* With r->throttle: must this request wait, or end? True: it was taken. */
bool replica_throttle_write(struct replica *r, struct rpc_request *request);
bool replica_throttle_read(struct replica *r, struct rpc_request *request);

/* With r->throttle: a read gave this many bytes. */
void replica_throttle_took(struct replica *r, size_t bytes);

/* The replica closes: requests that wait get their answer now. */
void replica_throttle_end(struct replica *r);
