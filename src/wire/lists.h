/* src/wire/lists.h: the lists, pairs and bare values that several messages share. Each list looks
 * like struct thrift_list. */
#pragma once
#include "wire/thrift.h"

struct blob_list {
    struct slice *items;
    uint32_t count;
};

struct string_list {
    struct slice *items;
    uint32_t count;
};

struct i32_list {
    int32_t *items;
    uint32_t count;
};

struct i64_list {
    int64_t *items;
    uint32_t count;
};

struct gpid_list {
    struct gpid *items;
    uint32_t count;
};

struct rpc_address_list {
    struct rpc_address *items;
    uint32_t count;
};

struct host_port_list {
    struct host_port *items;
    uint32_t count;
};

/* One entry of a map<string, string>. */
struct string_pair {
    struct slice key;
    struct slice value;
};

struct string_map {
    struct string_pair *items;
    uint32_t count;
};

/* ---- Arguments and results that are no structs (W7) ------------------------------------------ */

/* GET, TTL, REMOVE: a raw key. SORTKEY_COUNT: a hash key. */
struct bare_blob {
    uint64_t set; /* Unused. */
    struct slice value;
};

/* CLEAR_SCANNER: a context id. */
struct bare_i64 {
    uint64_t set; /* Unused. */
    int64_t value;
};

/* The answer to a remote command. */
struct bare_string {
    uint64_t set; /* Unused. */
    struct slice value;
};

/* What answers CLEAR_SCANNER: an empty body, without even a wrapper. */
struct bare_nothing {
    uint64_t set; /* Unused. */
};

/* Where the leader is: the body of ERR_FORWARD_TO_OTHERS over native framing. */
struct bare_rpc_address {
    uint64_t set; /* Unused. */
    struct rpc_address value;
};

extern const struct schema string_pair_schema;
extern const struct schema bare_blob_schema;
extern const struct schema bare_i64_schema;
extern const struct schema bare_string_schema;
extern const struct schema bare_nothing_schema;
extern const struct schema bare_rpc_address_schema;
