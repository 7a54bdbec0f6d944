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
    int64_t committed;     /* Of a prepare; of an ack that asks for more. */
    bool asks_for_more;    /* Of an ack: send again what is behind it. */
    struct slice mutation; /* Of a prepare. */
    int64_t prepared;      /* Of an ack that asks for more: how far the sender's log goes. */
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

/* A learner asks its primary for what is committed behind 'decree'. The partition is in the frame. */
struct learn_request {
    uint64_t set;
    int64_t node_id, cluster_uuid, ballot;
    int64_t decree;
};

struct learn_file {
    uint64_t set;
    struct slice name; /* In the copied directory; no path. */
    int64_t size;
};

struct learn_files {
    struct learn_file *items;
    uint32_t count;
};

/* Mutations, or, when these are no longer there, a store to be copied. */
struct learn_response {
    uint64_t set;
    struct slice err;           /* ERR_BUSY: the copy is being made, ask again. */
    int64_t committed;          /* How far the primary has committed. */
    struct blob_list mutations; /* Of decree + 1, + 2, ... */
    bool is_end;                /* The tail of the primary has what follows. */
    int64_t copy;               /* 0: no store. Names the copy, for learn_read_request. */
    int64_t copy_decree;        /* What it holds. */
    int64_t source;             /* Equal sources: files of equal names and sizes are equal. */
    struct learn_files files;
};

/* A piece of a file of a copy. */
struct learn_read_request {
    uint64_t set;
    int64_t node_id, cluster_uuid;
    int64_t copy;
    struct slice name;
    int64_t offset;
    int32_t size;
};

struct learn_read_response {
    uint64_t set;
    struct slice err; /* ERR_OBJECT_NOT_FOUND: there is no such copy any more: begin again. */
    struct slice bytes;
    int64_t crc; /* CRC-32C of 'bytes'. */
};

extern const struct schema learn_request_schema;
extern const struct schema learn_response_schema;
extern const struct schema learn_file_schema;
extern const struct schema learn_read_request_schema;
extern const struct schema learn_read_response_schema;
extern const struct schema replicate_item_schema;
extern const struct schema replicate_request_schema;
extern const struct schema replicate_response_schema;
