/* src/wire/messages_meta.h: tables, their places, and the cluster: what meta servers are asked.
 *
 * 'err' is the name of a wire/error.h code. hp_* fields repeat the address beside them as host and
 * port: always fill both; the writer leaves hp_* away for clients that would choke on it (W10).
 * What each message means is in docs/meta.md. */
#pragma once
#include "wire/lists.h"

enum app_status {
    AS_INVALID = 0, /* As a filter: every status. */
    AS_AVAILABLE = 1,
    AS_CREATING = 2,
    AS_CREATE_FAILED = 3,
    AS_DROPPING = 4,
    AS_DROP_FAILED = 5,
    AS_DROPPED = 6,
    AS_RECALLING = 7,
};

enum node_status { NS_INVALID = 0 /* As a filter: all. */, NS_ALIVE = 1, NS_UNALIVE = 2 };

enum config_type {
    CT_INVALID = 0,
    CT_ASSIGN_PRIMARY = 1,
    CT_UPGRADE_TO_PRIMARY = 2,
    CT_ADD_SECONDARY = 3,
    CT_UPGRADE_TO_SECONDARY = 4,
    CT_DOWNGRADE_TO_SECONDARY = 5,
    CT_DOWNGRADE_TO_INACTIVE = 6,
    CT_REMOVE = 7,
    CT_ADD_SECONDARY_FOR_LB = 8,
    CT_PRIMARY_FORCE_UPDATE_BALLOT = 9,
    CT_DROP_PARTITION = 10,
    CT_REGISTER_CHILD = 11,
};

enum meta_function_level {
    FL_STOPPED = 100,
    FL_BLIND = 200,
    FL_FREEZED = 300,
    FL_STEADY = 400,
    FL_LIVELY = 500,
    FL_INVALID = 10000, /* In a request: only tell. */
};

enum app_env_operation {
    APP_ENV_OP_INVALID = 0,
    APP_ENV_OP_SET = 1,
    APP_ENV_OP_DEL = 2,
    APP_ENV_OP_CLEAR = 3,
};

enum pattern_match_type {
    PMT_INVALID = 0,
    PMT_MATCH_ALL = 1,
    PMT_MATCH_EXACT = 2,
    PMT_MATCH_ANYWHERE = 3,
    PMT_MATCH_PREFIX = 4,
    PMT_MATCH_POSTFIX = 5,
    PMT_MATCH_REGEX = 6,
};

/* ---- What several messages carry ------------------------------------------------------------- */

enum {
    APP_INFO_HAS_DUPLICATING = 1 << 0,
    APP_INFO_HAS_IS_BULK_LOADING = 1 << 1,
    APP_INFO_HAS_ATOMIC_IDEMPOTENT = 1 << 2,
    APP_INFO_HAS_ALL = 7,
};

struct app_info {
    uint64_t set;
    int32_t status; /* enum app_status. */
    struct slice app_type;
    struct slice app_name;
    int32_t app_id;
    int32_t partition_count;
    struct string_map envs;
    bool is_stateful;
    int32_t max_replica_count;
    int64_t
        expire_second; /* Unix time after which a dropped table may be purged; 0: not dropped. */
    int64_t create_second; /* Unix time. */
    int64_t drop_second;   /* Unix time; 0: not dropped. */
    bool duplicating;
    int32_t init_partition_count; /* Before the latest split; -1: never split. */
    bool is_bulk_loading;
    bool atomic_idempotent;
};

struct app_info_list {
    struct app_info *items;
    uint32_t count;
};

enum {
    PARTITION_CONFIGURATION_HAS_HP_PRIMARY = 1 << 0,
    PARTITION_CONFIGURATION_HAS_HP_SECONDARIES = 1 << 1,
    PARTITION_CONFIGURATION_HAS_HP_LAST_DROPS = 1 << 2,
    PARTITION_CONFIGURATION_HAS_HP = 7,
};

struct partition_configuration {
    uint64_t set;
    struct gpid pid;
    int64_t ballot;
    int32_t max_replica_count;
    struct rpc_address primary;
    struct rpc_address_list secondaries;
    struct rpc_address_list last_drops;
    int64_t last_committed_decree;
    int32_t partition_flags; /* Bit 0: dropped. */
    struct host_port hp_primary;
    struct host_port_list hp_secondaries;
    struct host_port_list hp_last_drops;
};

struct partition_configuration_list {
    struct partition_configuration *items;
    uint32_t count;
};

enum { NODE_INFO_HAS_HP_NODE = 1 << 0 };

struct node_info {
    uint64_t set;
    int32_t status; /* enum node_status. */
    struct rpc_address node;
    struct host_port hp_node;
};

struct node_info_list {
    struct node_info *items;
    uint32_t count;
};

/* ---- Tables ---------------------------------------------------------------------------------- */

struct query_config_request {
    uint64_t set;
    struct slice app_name;
    struct i32_list partition_indices; /* Empty: all. */
};

struct query_config_response {
    uint64_t set;
    struct slice err;
    int32_t app_id;
    int32_t partition_count;
    bool
        is_stateful; /* True on success, false on error: the Python client looks at nothing else. */
    struct partition_configuration_list partitions;
};

enum { CREATE_APP_OPTIONS_HAS_ATOMIC_IDEMPOTENT = 1 << 0 };

struct create_app_options {
    uint64_t set;
    int32_t partition_count;
    int32_t replica_count;
    bool success_if_exist;
    struct slice app_type;
    bool is_stateful;
    struct string_map envs;
    bool atomic_idempotent;
};

struct create_app_request {
    uint64_t set;
    struct slice app_name;
    struct create_app_options options;
};

struct create_app_response {
    uint64_t set;
    struct slice err;
    int32_t appid;
};

enum { DROP_APP_OPTIONS_HAS_RESERVE_SECONDS = 1 << 0 };

struct drop_app_options {
    uint64_t set;
    bool success_if_not_exist;
    int64_t reserve_seconds;
};

struct drop_app_request {
    uint64_t set;
    struct slice app_name;
    struct drop_app_options options;
};

struct drop_app_response {
    uint64_t set;
    struct slice err;
};

struct recall_app_request {
    uint64_t set;
    int32_t app_id;
    struct slice new_app_name; /* Empty: the old one. */
};

struct recall_app_response {
    uint64_t set;
    struct slice err;
    struct app_info info;
};

struct rename_app_request {
    uint64_t set;
    struct slice old_app_name;
    struct slice new_app_name;
};

struct rename_app_response {
    uint64_t set;
    struct slice err;
    struct slice hint_message;
};

enum {
    LIST_APPS_REQUEST_HAS_APP_NAME_PATTERN = 1 << 0,
    LIST_APPS_REQUEST_HAS_MATCH_TYPE = 1 << 1,
};

struct list_apps_request {
    uint64_t set;
    int32_t status; /* enum app_status. */
    struct slice app_name_pattern;
    int32_t match_type; /* enum pattern_match_type. */
};

enum { LIST_APPS_RESPONSE_HAS_HINT_MESSAGE = 1 << 0 };

struct list_apps_response {
    uint64_t set;
    struct slice err;
    struct app_info_list infos;
    struct slice hint_message;
};

enum {
    UPDATE_APP_ENV_REQUEST_HAS_KEYS = 1 << 0,
    UPDATE_APP_ENV_REQUEST_HAS_VALUES = 1 << 1,
    UPDATE_APP_ENV_REQUEST_HAS_CLEAR_PREFIX = 1 << 2,
};

struct update_app_env_request {
    uint64_t set;
    struct slice app_name;
    int32_t op; /* enum app_env_operation. */
    struct string_list keys;
    struct string_list values;
    struct slice clear_prefix;
};

struct update_app_env_response {
    uint64_t set;
    struct slice err;
    struct slice hint_message;
};

enum {
    START_MANUAL_COMPACT_REQUEST_HAS_TRIGGER_TIME = 1 << 0,
    START_MANUAL_COMPACT_REQUEST_HAS_TARGET_LEVEL = 1 << 1,
    START_MANUAL_COMPACT_REQUEST_HAS_BOTTOMMOST = 1 << 2,
    START_MANUAL_COMPACT_REQUEST_HAS_MAX_RUNNING_COUNT = 1 << 3,
};

struct start_manual_compact_request {
    uint64_t set;
    struct slice app_name;
    int64_t trigger_time;      /* Unix time; absent: now. */
    int32_t target_level;      /* Absent: -1. */
    bool bottommost;           /* Absent: false. */
    int32_t max_running_count; /* Absent or 0: no limit. */
};

struct start_manual_compact_response {
    uint64_t set;
    struct slice err;
    struct slice hint_msg;
};

struct query_manual_compact_request {
    uint64_t set;
    struct slice app_name;
};

enum { QUERY_MANUAL_COMPACT_RESPONSE_HAS_PROGRESS = 1 << 0 };

struct query_manual_compact_response {
    uint64_t set;
    struct slice err;
    struct slice hint_msg;
    int32_t progress; /* Percent. */
};

struct get_max_replica_count_request {
    uint64_t set;
    struct slice app_name;
};

struct get_max_replica_count_response {
    uint64_t set;
    struct slice err;
    int32_t max_replica_count;
    struct slice hint_message;
};

struct set_max_replica_count_request {
    uint64_t set;
    struct slice app_name;
    int32_t max_replica_count;
};

struct set_max_replica_count_response {
    uint64_t set;
    struct slice err;
    int32_t old_max_replica_count;
    struct slice hint_message;
};

struct get_atomic_idempotent_request {
    uint64_t set;
    struct slice app_name;
};

struct get_atomic_idempotent_response {
    uint64_t set;
    struct slice err;
    bool atomic_idempotent;
    struct slice hint_message;
};

struct set_atomic_idempotent_request {
    uint64_t set;
    struct slice app_name;
    bool atomic_idempotent;
};

struct set_atomic_idempotent_response {
    uint64_t set;
    struct slice err;
    bool old_atomic_idempotent;
    struct slice hint_message;
};

/* ---- The cluster ----------------------------------------------------------------------------- */

struct list_nodes_request {
    uint64_t set;
    int32_t status; /* enum node_status. */
};

struct list_nodes_response {
    uint64_t set;
    struct slice err;
    struct node_info_list infos;
};

struct cluster_info_request {
    uint64_t set;
};

struct cluster_info_response {
    uint64_t set;
    struct slice err;
    struct string_list keys;
    struct string_list values; /* One for each key. */
};

struct control_meta_request {
    uint64_t set;
    int32_t level; /* enum meta_function_level. */
};

struct control_meta_response {
    uint64_t set;
    struct slice err;
    int32_t old_level;
};

enum {
    PROPOSAL_ACTION_HAS_HP_TARGET = 1 << 0,
    PROPOSAL_ACTION_HAS_HP_NODE = 1 << 1,
};

struct proposal_action {
    uint64_t set;
    struct rpc_address target; /* Who acts. */
    struct rpc_address node;   /* Whom it concerns. */
    int32_t type;              /* enum config_type. */
    struct host_port hp_target;
    struct host_port hp_node;
};

struct proposal_action_list {
    struct proposal_action *items;
    uint32_t count;
};

enum {
    PROPOSE_BALANCER_REQUEST_HAS_FORCE = 1 << 0,
    PROPOSE_BALANCER_REQUEST_HAS_BALANCE_TYPE = 1 << 1,
};

struct propose_balancer_request {
    uint64_t set;
    struct gpid gpid;
    struct proposal_action_list action_list;
    bool force;           /* Absent: false. */
    int32_t balance_type; /* 0 move primary, 1 copy primary, 2 copy secondary. */
};

struct propose_balancer_response {
    uint64_t set;
    struct slice err;
};

/* Partitions all of whose replicas are dead. */
struct ddd_diagnose_request {
    uint64_t set;
    struct gpid pid; /* -1 for all apps, or for all partitions of one. */
};

enum { DDD_NODE_INFO_HAS_HP_NODE = 1 << 0 };

struct ddd_node_info {
    uint64_t set;
    struct rpc_address node;
    int64_t drop_time_ms; /* Unix time. */
    bool is_alive;
    bool is_collected;
    int64_t ballot; /* -1: the node was asked and does not hold it. */
    int64_t last_committed_decree;
    int64_t last_prepared_decree;
    struct host_port hp_node;
};

struct ddd_node_info_list {
    struct ddd_node_info *items;
    uint32_t count;
};

struct ddd_partition_info {
    uint64_t set;
    struct partition_configuration config;
    struct ddd_node_info_list dropped;
    struct slice reason;
};

struct ddd_partition_info_list {
    struct ddd_partition_info *items;
    uint32_t count;
};

struct ddd_diagnose_response {
    uint64_t set;
    struct slice err;
    struct ddd_partition_info_list partitions;
};

extern const struct schema app_info_schema;
extern const struct schema partition_configuration_schema;
extern const struct schema node_info_schema;
extern const struct schema query_config_request_schema;
extern const struct schema query_config_response_schema;
extern const struct schema create_app_options_schema;
extern const struct schema create_app_request_schema;
extern const struct schema create_app_response_schema;
extern const struct schema drop_app_options_schema;
extern const struct schema drop_app_request_schema;
extern const struct schema drop_app_response_schema;
extern const struct schema recall_app_request_schema;
extern const struct schema recall_app_response_schema;
extern const struct schema rename_app_request_schema;
extern const struct schema rename_app_response_schema;
extern const struct schema list_apps_request_schema;
extern const struct schema list_apps_response_schema;
extern const struct schema update_app_env_request_schema;
extern const struct schema update_app_env_response_schema;
extern const struct schema start_manual_compact_request_schema;
extern const struct schema start_manual_compact_response_schema;
extern const struct schema query_manual_compact_request_schema;
extern const struct schema query_manual_compact_response_schema;
extern const struct schema get_max_replica_count_request_schema;
extern const struct schema get_max_replica_count_response_schema;
extern const struct schema set_max_replica_count_request_schema;
extern const struct schema set_max_replica_count_response_schema;
extern const struct schema get_atomic_idempotent_request_schema;
extern const struct schema get_atomic_idempotent_response_schema;
extern const struct schema set_atomic_idempotent_request_schema;
extern const struct schema set_atomic_idempotent_response_schema;
extern const struct schema list_nodes_request_schema;
extern const struct schema list_nodes_response_schema;
extern const struct schema cluster_info_request_schema;
extern const struct schema cluster_info_response_schema;
extern const struct schema control_meta_request_schema;
extern const struct schema control_meta_response_schema;
extern const struct schema proposal_action_schema;
extern const struct schema propose_balancer_request_schema;
extern const struct schema propose_balancer_response_schema;
extern const struct schema ddd_diagnose_request_schema;
extern const struct schema ddd_node_info_schema;
extern const struct schema ddd_partition_info_schema;
extern const struct schema ddd_diagnose_response_schema;
