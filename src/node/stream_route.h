/* src/node/stream_route.h: who is at the other end of a stream, and how many partitions has the table?
 *
 *     DUP_DO_ROUTE --+--> HELLO --------+--> DUP_ROUTED        the one that we know (D13)
 *                    |                  |    DUP_REPLACED      somebody else
 *                    +--> QUERY_CONFIG -+    DUP_ROUTE_FAILED  nobody, or not now
 *
 * Both questions go to the metas of the remote, at the same time, and are judged together: one round trip.
 * A Pegasus does not know the greeting: then its table's id is all that tells it from another. Which server
 * has a partition is not asked here: rpc/cluster.h finds that for each request. On the replica's worker. */
#pragma once
#include "rpc/cluster.h"

struct stream;

/* A remote, as it says itself. */
struct route_remote {
    bool is_pirene;     /* It greeted back. */
    uint8_t cluster_id; /* Or as configured, when it did not; 0: not known. */
    uint64_t uuid;      /* 0: it has none. */
    int32_t table_id;   /* 0: not known. */
    uint32_t partition_count;
};

/* What an answer says of the remote. */
struct route_verdict {
    int rc; /* 0: it may be the one that we know. */
    const char *why;
    bool is_another;
};

/* A stream's. All-zero before the first use. */
struct stream_route {
    struct route_remote met; /* Whom DUP_ROUTED spoke of last. */

    /* The question under way. */
    uint64_t epoch;
    struct route_remote found;
    struct route_verdict on_cluster, on_table;
    uint32_t answers_missing;
    struct cluster_call hello_call, config_call;
    struct hello_request hello_args;
    struct query_config_request config_args;
    int32_t config_index; /* Of the one partition that is asked about. */
};

/* Ask; one of the three events answers in this epoch, later, never from inside. An earlier question is
 * forgotten. */
void stream_route_find(struct stream *s, uint64_t epoch);

/* Forget the question. Harmless when there is none. */
void stream_route_cancel(struct stream *s);
