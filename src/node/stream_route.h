/* src/node/stream_route.h: who is at the other end of a stream, and how many partitions has the table?
 *
 *     DUP_DO_ROUTE --> HELLO --> QUERY_CONFIG --> DUP_ROUTED        the one that we know (D13)
 *                        |            |
 *                        +------------+---------> DUP_REPLACED      somebody else
 *                        +------------+---------> DUP_ROUTE_FAILED  nobody, or not now
 *
 * Both questions go to the metas of the remote. A Pegasus does not know the greeting: then its table's id
 * is all that tells it from another. Which server has a partition is not asked here: rpc/cluster.h finds
 * that for each request. On the replica's worker. */
#pragma once
#include "rpc/cluster.h"

struct stream;

/* A stream's. All-zero before the first use. */
struct stream_route {
    bool is_pirene;     /* The remote greeted back. */
    uint8_t cluster_id; /* Its id; or as configured, when it did not; 0: not known. */
    uint64_t uuid;      /* Of whom it greeted last; 0: not known. */
    int32_t table_id;   /* As its metas said last; 0: not known. */

    uint64_t epoch; /* Of the question under way. */
    struct cluster_call hello_call, config_call;
    struct hello_request hello_args;
    struct query_config_request config_args;
};

/* Ask; one of the three events answers in this epoch, later, never from inside. An earlier question is
 * forgotten. */
void stream_route_find(struct stream *s, uint64_t epoch);

/* Forget the question. Harmless when there is none. */
void stream_route_cancel(struct stream *s);
