/* tests/rpc/fake_cluster.h: nodes that answer queries for one table and GET and INCR on it, each
 * what the story wants it to. All of them live on the world's loop; fields are set by the test's
 * thread while nothing is under way, or by on_loop(). */
#pragma once
#include "rpc/world.h"

enum { FAKE_NODES_MAX = 4, FAKE_PARTITIONS_MAX = 16, FAKE_HELD_MAX = 64 };

enum fake_manner {
    FAKE_GOOD,   /* Serves what it is primary of; a meta too. */
    FAKE_SILENT, /* Holds every request. */
    FAKE_SAYS,   /* Answers every GET and INCR with 'error', INCR after executing it. */
};

struct fake_cluster;

struct fake_node {
    struct fake_cluster *cluster;
    int index;
    struct test_server server;
    enum fake_manner manner;
    enum wire_error error;
    size_t gets, incrs, queries; /* Seen. */
    struct rpc_request *held[FAKE_HELD_MAX];
    size_t held_count;
};

struct fake_cluster {
    struct world *world;
    struct fake_node nodes[FAKE_NODES_MAX];
    size_t node_count;
    int leader;         /* Of the metas; the others redirect... */
    bool tells_leader;  /* ...saying to whom, or not. */
    int inactive_count; /* So many queries are answered with ERR_SERVICE_NOT_ACTIVE. */

    /* The table "temp", as the metas say. */
    bool has_table;
    int32_t app_id;
    uint32_t count;
    int64_t ballots[FAKE_PARTITIONS_MAX];
    int primaries[FAKE_PARTITIONS_MAX]; /* Index of a node. */

    /* And as it is. */
    uint32_t true_count;
    int true_primaries[FAKE_PARTITIONS_MAX];
    uint32_t last_query_count; /* Indices in the last query; 0: all. */
};

/* Open 'node_count' nodes; table "temp" has 4 partitions, i on node i mod node_count, ballot 1;
 * node 0 leads. */
void fake_cluster_open(struct world *w, size_t node_count, struct fake_cluster *f);
void fake_cluster_close(struct fake_cluster *f);

/* Put a partition's primary on another node; the metas know, with a new ballot, if 'is_told'. */
void fake_cluster_move(struct fake_cluster *f, uint32_t partition, int node, bool is_told);
