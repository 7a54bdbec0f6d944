/* src/wire/messages_repl.h: what servers of one cluster say to each other about the partitions that both
 * hold: all that one worker has to say to another server in a turn goes in one message. */
#pragma once
#include "wire/lists.h"

enum replicate_kind {
    REPLICATE_PREPARE = 1, /* A mutation, and how far the primary has committed. */
    REPLICATE_COMMIT_POINT = 2,
    REPLICATE_ACK = 3, /* The sender's log holds everything up to 'decree'. */
};

struct replicate_item {
    uint64_t set;
    int32_t app_id, partition_index;
    int32_t kind; /* enum replicate_kind */
    int64_t ballot;
    int64_t decree;        /* Of a prepare: the mutation's. */
    int64_t committed;     /* Of a prepare. */
    bool asks_for_more;    /* Of an ack: send again what is behind it. */
    struct slice mutation; /* Of a prepare. */
};

struct replicate_items {
    struct replicate_item *items;
    uint32_t count;
};

struct replicate_request {
    uint64_t set;
    int64_t node_id;      /* Who says it... */
    int64_t cluster_uuid; /* ...of which cluster. */
    struct replicate_items items;
};

/* ERR_OK: every replica concerned has been told. What it makes of that it says in messages of its own. */
struct replicate_response {
    uint64_t set;
    struct slice err;
};

extern const struct schema replicate_item_schema;
extern const struct schema replicate_request_schema;
extern const struct schema replicate_response_schema;
