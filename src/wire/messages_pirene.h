/* src/wire/messages_pirene.h: what only Pirene's programs say to each other: who are you, how far
 * is the duplication, wait until it is there, are both sides equal, how is the cluster; and what a node
 * that is no member of the meta group says to it. A Pegasus server answers these with ERR_HANDLER_NOT_FOUND, which is
 * how the asking side learns what it talks to. */
#pragma once
#include "wire/lists.h"

enum { PIRENE_VERSION = 1 }; /* Of these messages; in HELLO both sides state theirs. */

struct hello_request {
    uint64_t set;
    int32_t version;           /* PIRENE_VERSION of the sender. */
    struct slice cluster_name; /* The sender's; empty for a client. */
    int32_t cluster_id;        /* 0 for a client. */
};

struct hello_response {
    uint64_t set;
    struct slice err;
    int32_t version;
    struct slice cluster_name;
    int32_t cluster_id;
    int64_t wall_us;      /* The server's clock, microseconds since 1970. */
    int64_t cluster_uuid; /* Tells clusters apart that were given one name or id. */
};

struct dup_status_request {
    uint64_t set;
    struct slice app_name; /* Empty: every table. */
};

/* One partition's stream to one remote cluster, as its primary sees it now. */
struct dup_status {
    uint64_t set;
    int32_t dupid;
    struct slice remote_cluster;
    struct slice remote_app_name;
    int32_t partition_index;
    struct slice state;  /* One word. */
    struct slice reason; /* Why it is behind, in one line; empty when it isn't. */
    int64_t committed;   /* Decrees. */
    int64_t sent;
    int64_t confirmed;
    int64_t lag_mutations; /* -1: unknown, as in the two below. */
    int64_t lag_bytes;
    int64_t lag_ms; /* Since the oldest commit that is not confirmed; 0: caught up. */
    int32_t app_id;
};

struct dup_status_list {
    struct dup_status *items;
    uint32_t count;
};

/* How far a partition of another cluster has come here, as it says itself with what it sends. */
struct dup_incoming_status {
    uint64_t set;
    int32_t source_cluster_id;
    int32_t source_app_id;
    int32_t source_partition_index;
    int64_t decree;              /* Of the source: the last that is applied here. */
    int64_t closed_timestamp_us; /* All that the source made up to then is applied; 0: not known. */
    int64_t heard_ms_ago;
};

struct dup_incoming_status_list {
    struct dup_incoming_status *items;
    uint32_t count;
};

struct dup_status_response {
    uint64_t set;
    struct slice err;
    struct slice hint;
    struct dup_status_list partitions;
    struct dup_incoming_status_list incoming;
};

/* Answered when everything that the partition had committed on arrival is confirmed by the remote.
 * */
struct dup_wait_request {
    uint64_t set;
    struct gpid pid;
    int32_t dupid;      /* 0: all duplications of the table. */
    int32_t timeout_ms; /* Then the answer is ERR_TIMEOUT. */
};

struct dup_wait_response {
    uint64_t set;
    struct slice err;
    struct slice hint;
    int64_t decree;    /* What was waited for. */
    int64_t confirmed; /* How far the slowest stream is. */
};

/* A partition's content in numbers: rows fall into 2^bucket_bits buckets by their key's hash. */
struct digest_request {
    uint64_t set;
    struct gpid pid;
    int32_t bucket_bits; /* 0 to 16. */
    int32_t bucket;      /* -1: counts and digests of all; else the rows of this one too. */
    int32_t max_rows;    /* Of the rows; 0 or less: the server's choice. */
    int64_t now_s;       /* What counts as expired: seconds of wire/value.h's epoch. Both sides of a
                            comparison are asked with the same; 0: the server's clock. */
    struct slice after;  /* Rows behind this raw key only: the last of the page before. */
};

struct digest_row {
    uint64_t set;
    struct slice key; /* Raw. */
    int64_t digest;   /* Of value, expiry and timetag. */
    int64_t timetag;
};

struct digest_row_list {
    struct digest_row *items;
    uint32_t count;
};

struct digest_response {
    uint64_t set;
    struct slice err;
    struct slice hint;
    struct i64_list counts;  /* Rows, for each bucket. */
    struct i64_list digests; /* Independent of the order of rows, for each bucket. */
    struct digest_row_list rows;
    int64_t decree; /* The state is that after this decree. */
};

/* From a node to the leader of the metas: tell me what has happened to the cluster's state since this
 * version. Answered when something has, or by a later question of the same node. */
struct follow_request {
    uint64_t set;
    int64_t node_id;
    int64_t version;      /* Of the asking node's copy; 0: it has none. */
    int64_t cluster_uuid; /* That the copy is of; 0: any. */
};

struct follow_response {
    uint64_t set;
    struct slice err;
    int64_t version;           /* Of the copy once all below is done; as before: nothing is new. */
    struct slice snapshot;     /* Replaces the copy, unless it is empty. */
    struct blob_list commands; /* To be applied to it, in order. */
};

/* From a node to the leader of the metas: this process is alive. ERR_OBJECT_NOT_FOUND: the cluster does not
 * take it for alive, and it is to say that it has started. */
struct beacon_request {
    uint64_t set;
    int64_t node_id, incarnation;
    int64_t cluster_uuid; /* Of the sender's cluster, as in the requests around. */
};

struct beacon_response {
    uint64_t set;
    struct slice err;
};

/* From a node to the leader of the metas: propose this command to the group. */
struct propose_request {
    uint64_t set;
    struct slice command; /* As core/meta writes it. */
    int64_t cluster_uuid; /* 0: it has no state yet. */
};

struct propose_response {
    uint64_t set;
    struct slice err;    /* ERR_TIMEOUT: whether it was applied, or will be, is not known. */
    struct slice result; /* As core/meta writes it. */
    int64_t version;     /* The state shows the outcome from here on. */
};

/* The whole cluster as its metas know it. */
struct census_request {
    uint64_t set;
};

struct census_node {
    uint64_t set;
    int64_t node_id;
    struct rpc_address address;
    bool is_alive;
    int32_t primaries, secondaries, learners; /* What it holds. */
    bool is_draining;
    int32_t stuck; /* While it drains: members whose place nobody can take now. */
};

struct census_node_list {
    struct census_node *items;
    uint32_t count;
};

/* Its partitions are whole, lacking members, or without an alive primary; beside that, some have a learner. */
struct census_table {
    uint64_t set;
    int32_t app_id;
    struct slice app_name;
    int32_t partitions, whole, lacking, headless, learning;
};

struct census_table_list {
    struct census_table *items;
    uint32_t count;
};

struct census_learner {
    uint64_t set;
    struct gpid pid;
    struct rpc_address node;
};

struct census_learner_list {
    struct census_learner *items;
    uint32_t count;
};

struct census_response {
    uint64_t set;
    struct slice err;
    struct census_node_list nodes;   /* Those that have an address. */
    struct census_table_list tables; /* Those that are available. */
    struct census_learner_list learners;
};

/* A node is to hold nothing any more, or may again. Whether it does is seen in the census. */
struct drain_request {
    uint64_t set;
    int64_t node_id;
    bool is_draining;
};

struct drain_response {
    uint64_t set;
    struct slice err; /* ERR_OBJECT_NOT_FOUND: no node has this id. */
};

extern const struct schema hello_request_schema;
extern const struct schema hello_response_schema;
extern const struct schema dup_status_request_schema;
extern const struct schema dup_status_schema;
extern const struct schema dup_incoming_status_schema;
extern const struct schema dup_status_response_schema;
extern const struct schema dup_wait_request_schema;
extern const struct schema dup_wait_response_schema;
extern const struct schema digest_request_schema;
extern const struct schema digest_row_schema;
extern const struct schema digest_response_schema;
extern const struct schema follow_request_schema;
extern const struct schema follow_response_schema;
extern const struct schema beacon_request_schema;
extern const struct schema beacon_response_schema;
extern const struct schema propose_request_schema;
extern const struct schema propose_response_schema;
extern const struct schema census_request_schema;
extern const struct schema census_node_schema;
extern const struct schema census_table_schema;
extern const struct schema census_learner_schema;
extern const struct schema census_response_schema;
extern const struct schema drain_request_schema;
extern const struct schema drain_response_schema;
