/* src/wire/messages_admin.h: what one server is asked about itself: its disks, its replicas, a
 * command; and the handshake that some clients open with. */
#pragma once
#include "wire/lists.h"
#include "wire/messages_meta.h"

/* ---- Disks and replicas ---------------------------------------------------------------------- */

enum { QUERY_DISK_INFO_REQUEST_HAS_HP_NODE1 = 1 << 0 };

struct query_disk_info_request {
    uint64_t set;
    struct rpc_address node1; /* Ignored. */
    struct slice app_name;    /* Empty: all tables. */
    struct host_port hp_node1;
};

/* One entry of a map from app_id to the partitions held. */
struct disk_holding {
    int32_t key;
    struct gpid_list value;
};

struct disk_holding_map {
    struct disk_holding *items;
    uint32_t count;
};

struct disk_info {
    uint64_t set;
    struct slice tag;
    struct slice full_dir;
    int64_t disk_capacity_mb; /* Never 0: admin-cli divides by it. */
    int64_t disk_available_mb;
    struct disk_holding_map holding_primary_replicas;
    struct disk_holding_map holding_secondary_replicas;
};

struct disk_info_list {
    struct disk_info *items;
    uint32_t count;
};

struct query_disk_info_response {
    uint64_t set;
    struct slice err;
    int64_t total_capacity_mb;
    int64_t total_available_mb;
    struct disk_info_list disk_infos;
};

enum partition_status {
    PS_INVALID = 0,
    PS_INACTIVE = 1,
    PS_ERROR = 2,
    PS_PRIMARY = 3,
    PS_SECONDARY = 4,
    PS_POTENTIAL_SECONDARY = 5,
    PS_PARTITION_SPLIT = 6,
};

enum manual_compaction_status {
    MANUAL_COMPACTION_IDLE = 0,
    MANUAL_COMPACTION_QUEUING = 1,
    MANUAL_COMPACTION_RUNNING = 2,
    MANUAL_COMPACTION_FINISHED = 3,
};

enum { QUERY_REPLICA_INFO_REQUEST_HAS_HP_NODE1 = 1 << 0 };

struct query_replica_info_request {
    uint64_t set;
    struct rpc_address node1;
    struct host_port hp_node1;
};

enum { REPLICA_INFO_HAS_MANUAL_COMPACT_STATUS = 1 << 0 };

struct replica_info {
    uint64_t set;
    struct gpid pid;
    int64_t ballot;
    int32_t status; /* enum partition_status. */
    int64_t last_committed_decree;
    int64_t last_prepared_decree;
    int64_t last_durable_decree;
    struct slice app_type;
    struct slice disk_tag;
    int32_t manual_compact_status; /* enum manual_compaction_status. */
};

struct replica_info_list {
    struct replica_info *items;
    uint32_t count;
};

struct query_replica_info_response {
    uint64_t set;
    struct slice err;
    struct replica_info_list replicas;
};

enum { QUERY_APP_INFO_REQUEST_HAS_HP_META_SERVER = 1 << 0 };

struct query_app_info_request {
    uint64_t set;
    struct rpc_address meta_server;
    struct host_port hp_meta_server;
};

struct query_app_info_response {
    uint64_t set;
    struct slice err;
    struct app_info_list apps;
};

/* ---- Remote commands (the answer is a bare_string) ------------------------------------------- */

struct command {
    uint64_t set;
    struct slice cmd;
    struct string_list arguments;
};

/* ---- Authentication -------------------------------------------------------------------------- */

enum negotiation_status {
    SASL_INVALID = 0,
    SASL_LIST_MECHANISMS = 1,
    SASL_LIST_MECHANISMS_RESP = 2,
    SASL_SELECT_MECHANISMS = 3,
    SASL_SELECT_MECHANISMS_RESP = 4,
    SASL_INITIATE = 5,
    SASL_CHALLENGE = 6,
    SASL_CHALLENGE_RESP = 7,
    SASL_SUCC = 8,
    SASL_AUTH_DISABLE = 9,
    SASL_AUTH_FAIL = 10,
};

struct negotiation_request {
    uint64_t set;
    int32_t status; /* enum negotiation_status. */
    struct slice msg;
};

struct negotiation_response {
    uint64_t set;
    int32_t status; /* enum negotiation_status. */
    struct slice msg;
};

extern const struct schema query_disk_info_request_schema;
extern const struct schema disk_info_schema;
extern const struct schema query_disk_info_response_schema;
extern const struct schema query_replica_info_request_schema;
extern const struct schema replica_info_schema;
extern const struct schema query_replica_info_response_schema;
extern const struct schema query_app_info_request_schema;
extern const struct schema query_app_info_response_schema;
extern const struct schema command_schema;
extern const struct schema negotiation_request_schema;
extern const struct schema negotiation_response_schema;
