/* src/wire/messages_dup.h: duplication: shipping writes to another cluster, and arranging it.
 *
 * DUPLICATE is Pegasus's message with optional fields of ours (ids from 100) that say how far the
 * source and the remote are. They are plain values, which Pegasus skips; it never sends them. Both
 * sides use them only after RPC_PIRENE_HELLO (messages_pirene.h). What it all means is in
 * docs/duplication.md. */
#pragma once
#include "wire/lists.h"

enum { DUPLICATE_VERSION = 1 }; /* Of our fields in DUPLICATE. */

/* ---- Shipping -------------------------------------------------------------------------------- */

enum {
    DUPLICATE_ENTRY_HAS_TIMESTAMP = 1 << 0,
    DUPLICATE_ENTRY_HAS_TASK_CODE = 1 << 1,
    DUPLICATE_ENTRY_HAS_RAW_MESSAGE = 1 << 2,
    DUPLICATE_ENTRY_HAS_CLUSTER_ID = 1 << 3,
    DUPLICATE_ENTRY_HAS_VERIFY_TIMETAG = 1 << 4,
    DUPLICATE_ENTRY_HAS_PEGASUS = 0xf, /* What Pegasus always sends: the first four. */
};

struct duplicate_entry {
    uint64_t set;
    int64_t timestamp;        /* Microseconds since 1970, of the write at its source. */
    struct slice task_code;   /* The name of a write rpc. */
    struct slice raw_message; /* Its argument with the wrapper: for thrift_read_args(). */
    int8_t cluster_id;        /* Of the cluster where the write was made. */
    bool verify_timetag;      /* True: older than what is stored means ignored. */
};

struct duplicate_entry_list {
    struct duplicate_entry *items;
    uint32_t count;
};

enum {
    DUPLICATE_REQUEST_HAS_SOURCE_APP_ID = 1 << 0,
    DUPLICATE_REQUEST_HAS_SOURCE_PARTITION_INDEX = 1 << 1,
    DUPLICATE_REQUEST_HAS_SOURCE_DECREE_FIRST = 1 << 2,
    DUPLICATE_REQUEST_HAS_SOURCE_DECREE_LAST = 1 << 3,
    DUPLICATE_REQUEST_HAS_CLOSED_TIMESTAMP_US = 1 << 4,
    DUPLICATE_REQUEST_HAS_VERSION = 1 << 5,
    DUPLICATE_REQUEST_HAS_SOURCE_CLUSTER_ID = 1 << 6,
    DUPLICATE_REQUEST_HAS_PIRENE = 0x7f, /* All of these: a position. */
    DUPLICATE_REQUEST_HAS_TARGET_CLUSTER_UUID = 1 << 7,
    DUPLICATE_REQUEST_HAS_SOURCE_PARTITION_COUNT = 1 << 8,
};

struct duplicate_request {
    uint64_t set;
    struct duplicate_entry_list entries;
    int32_t source_app_id;
    int32_t source_partition_index;
    int64_t source_decree_first;    /* The decrees of the source that the entries are from, */
    int64_t source_decree_last;     /* both included. */
    int64_t closed_timestamp_us;    /* The source will send nothing older any more; 0: not known. */
    int32_t version;                /* DUPLICATE_VERSION of the sender. */
    int32_t source_cluster_id;      /* Of the sender, whoever made the writes. */
    int64_t target_cluster_uuid;    /* For this cluster alone: another one refuses it. */
    int32_t source_partition_count; /* Of the source table. */
};

enum {
    DUPLICATE_RESPONSE_HAS_ERROR = 1 << 0,
    DUPLICATE_RESPONSE_HAS_ERROR_HINT = 1 << 1,
    DUPLICATE_RESPONSE_HAS_VERSION = 1 << 2,
    DUPLICATE_RESPONSE_HAS_CLOSED_TIMESTAMP_US = 1 << 3,
    DUPLICATE_RESPONSE_HAS_APPLIED_DECREE = 1 << 4,
    DUPLICATE_RESPONSE_HAS_REFUSED_INDEX = 1 << 5,
};

struct duplicate_response {
    uint64_t set;
    int32_t error; /* enum rrdb_status; absent means RRDB_OK. */
    struct slice error_hint;
    int32_t version;
    int64_t closed_timestamp_us; /* The remote's own: what it has not applied yet is newer. */
    int64_t applied_decree;      /* Of the remote: the entries are at or below it. */
    int32_t refused_index;       /* The entry that was refused; -1: none. */
};

/* ---- Arranging ------------------------------------------------------------------------------- */

enum duplication_status {
    DS_INIT = 0,
    DS_PREPARE = 1,
    DS_APP = 2,
    DS_LOG = 3,
    DS_PAUSE = 4,
    DS_REMOVED = 5,
};

enum duplication_fail_mode { FAIL_SLOW = 0, FAIL_SKIP = 1, FAIL_FAST = 2 };

/* One entry of a map<i32, i64>: a partition and its confirmed decree. */
struct duplication_progress {
    int32_t key;
    int64_t value;
};

struct duplication_progress_map {
    struct duplication_progress *items;
    uint32_t count;
};

struct duplication_partition_state {
    uint64_t set;
    int64_t confirmed_decree;
    int64_t last_committed_decree;
};

struct duplication_partition_state_pair {
    int32_t key; /* Partition index. */
    struct duplication_partition_state value;
};

struct duplication_partition_state_map {
    struct duplication_partition_state_pair *items;
    uint32_t count;
};

enum {
    DUPLICATION_ENTRY_HAS_PROGRESS = 1 << 0,
    DUPLICATION_ENTRY_HAS_FAIL_MODE = 1 << 1,
    DUPLICATION_ENTRY_HAS_REMOTE_APP_NAME = 1 << 2,
    DUPLICATION_ENTRY_HAS_REMOTE_REPLICA_COUNT = 1 << 3,
    DUPLICATION_ENTRY_HAS_MODE = 1 << 4,
    DUPLICATION_ENTRY_HAS_PARTITION_STATES = 1 << 5,
    DUPLICATION_ENTRY_HAS_REMOTE_METAS = 1 << 6,
};

struct duplication_entry {
    uint64_t set;
    int32_t dupid;
    int32_t status; /* enum duplication_status. */
    struct slice remote;
    int64_t create_ts; /* Milliseconds since 1970. */
    struct duplication_progress_map progress;
    int32_t fail_mode; /* enum duplication_fail_mode. */
    struct slice remote_app_name;
    int32_t remote_replica_count;
    int32_t mode; /* 0 full, 1 incremental; unused by Pegasus. */
    struct duplication_partition_state_map partition_states;
    struct slice remote_metas; /* Ours: "host:port,host:port", where 'remote' is a name. */
};

struct duplication_entry_list {
    struct duplication_entry *items;
    uint32_t count;
};

enum {
    ADD_DUPLICATION_REQUEST_HAS_IS_DUPLICATING_CHECKPOINT = 1 << 0,
    ADD_DUPLICATION_REQUEST_HAS_REMOTE_APP_NAME = 1 << 1,
    ADD_DUPLICATION_REQUEST_HAS_REMOTE_REPLICA_COUNT = 1 << 2,
};

struct add_duplication_request {
    uint64_t set;
    struct slice app_name;
    struct slice remote_cluster_name;
    bool is_duplicating_checkpoint; /* Absent means true. */
    struct slice remote_app_name;   /* Absent means app_name. */
    int32_t remote_replica_count;   /* Absent or 0: as here. */
};

enum {
    ADD_DUPLICATION_RESPONSE_HAS_HINT = 1 << 0,
    ADD_DUPLICATION_RESPONSE_HAS_REMOTE_APP_NAME = 1 << 1,
    ADD_DUPLICATION_RESPONSE_HAS_REMOTE_REPLICA_COUNT = 1 << 2,
};

struct add_duplication_response {
    uint64_t set;
    struct slice err;
    int32_t appid;
    int32_t dupid;
    struct slice hint;
    struct slice remote_app_name;
    int32_t remote_replica_count;
};

enum {
    MODIFY_DUPLICATION_REQUEST_HAS_STATUS = 1 << 0,
    MODIFY_DUPLICATION_REQUEST_HAS_FAIL_MODE = 1 << 1,
};

struct modify_duplication_request {
    uint64_t set;
    struct slice app_name;
    int32_t dupid;
    int32_t status;    /* enum duplication_status. */
    int32_t fail_mode; /* enum duplication_fail_mode. */
};

struct modify_duplication_response {
    uint64_t set;
    struct slice err;
    int32_t appid;
};

struct query_duplication_request {
    uint64_t set;
    struct slice app_name;
};

struct query_duplication_response {
    uint64_t set;
    struct slice err;
    int32_t appid;
    struct duplication_entry_list entry_list;
};

struct list_duplication_request {
    uint64_t set;
    struct slice app_name_pattern;
    int32_t match_type; /* enum pattern_match_type. */
};

/* One entry of a map from dupid to duplication. */
struct duplication_pair {
    int32_t key; /* dupid. */
    struct duplication_entry value;
};

struct duplication_map {
    struct duplication_pair *items;
    uint32_t count;
};

struct duplication_app_state {
    uint64_t set;
    int32_t appid;
    struct duplication_map duplications;
    struct slice app_name;
    int32_t partition_count;
};

struct duplication_app_state_pair {
    struct slice key; /* The table's name. */
    struct duplication_app_state value;
};

struct duplication_app_state_map {
    struct duplication_app_state_pair *items;
    uint32_t count;
};

struct list_duplication_response {
    uint64_t set;
    struct slice err;
    struct slice hint_message;
    struct duplication_app_state_map app_states;
};

enum {
    DUPLICATION_CONFIRM_HAS_CHECKPOINT_PREPARED = 1 << 0,
    DUPLICATION_CONFIRM_HAS_LAST_COMMITTED_DECREE = 1 << 1,
};

/* How far one partition is with one duplication. */
struct duplication_confirm {
    uint64_t set;
    int32_t dupid;
    int64_t confirmed_decree;
    bool checkpoint_prepared;
    int64_t last_committed_decree;
};

struct duplication_confirm_list {
    struct duplication_confirm *items;
    uint32_t count;
};

struct duplication_confirm_pair {
    struct gpid key;
    struct duplication_confirm_list value;
};

struct duplication_confirm_map {
    struct duplication_confirm_pair *items;
    uint32_t count;
};

enum { DUPLICATION_SYNC_REQUEST_HAS_HP_NODE = 1 << 0 };

struct duplication_sync_request {
    uint64_t set;
    struct rpc_address node;
    struct duplication_confirm_map confirm_list;
    struct host_port hp_node;
};

struct duplication_app_pair {
    int32_t key; /* app_id. */
    struct duplication_map value;
};

struct duplication_app_map {
    struct duplication_app_pair *items;
    uint32_t count;
};

struct duplication_sync_response {
    uint64_t set;
    struct slice err;
    struct duplication_app_map dup_map;
};

extern const struct schema duplicate_entry_schema;
extern const struct schema duplicate_request_schema;
extern const struct schema duplicate_response_schema;
extern const struct schema duplication_entry_schema;
extern const struct schema add_duplication_request_schema;
extern const struct schema add_duplication_response_schema;
extern const struct schema modify_duplication_request_schema;
extern const struct schema modify_duplication_response_schema;
extern const struct schema query_duplication_request_schema;
extern const struct schema query_duplication_response_schema;
extern const struct schema list_duplication_request_schema;
extern const struct schema list_duplication_response_schema;
extern const struct schema duplication_sync_request_schema;
extern const struct schema duplication_sync_response_schema;
