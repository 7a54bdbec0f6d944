/* src/wire/messages_meta.c: the tables of the messages about tables, their places, and the cluster.
 * */
#include "wire/messages_meta.h"

#include "wire/schema.h"

/* ---- What several messages carry ------------------------------------------------------------- */

static const struct field app_info_fields[] = {
    FIELD(app_info, 1, I32, status),
    FIELD(app_info, 2, STRING, app_type),
    FIELD(app_info, 3, STRING, app_name),
    FIELD(app_info, 4, I32, app_id),
    FIELD(app_info, 5, I32, partition_count),
    FIELD_MAP(app_info, 6, string_pair, envs),
    FIELD(app_info, 7, BOOL, is_stateful),
    FIELD(app_info, 8, I32, max_replica_count),
    FIELD(app_info, 9, I64, expire_second),
    FIELD(app_info, 10, I64, create_second),
    FIELD(app_info, 11, I64, drop_second),
    OPTIONAL(app_info, 12, BOOL, duplicating, APP_INFO_HAS_DUPLICATING),
    FIELD(app_info, 13, I32, init_partition_count),
    OPTIONAL(app_info, 14, BOOL, is_bulk_loading, APP_INFO_HAS_IS_BULK_LOADING),
    OPTIONAL(app_info, 15, BOOL, atomic_idempotent, APP_INFO_HAS_ATOMIC_IDEMPOTENT),
};
SCHEMA(app_info);

static const struct field partition_configuration_fields[] = {
    FIELD(partition_configuration, 1, GPID, pid),
    FIELD(partition_configuration, 2, I64, ballot),
    FIELD(partition_configuration, 3, I32, max_replica_count),
    FIELD(partition_configuration, 4, RPC_ADDRESS, primary),
    FIELD_LIST(partition_configuration, 5, RPC_ADDRESS, secondaries),
    FIELD_LIST(partition_configuration, 6, RPC_ADDRESS, last_drops),
    FIELD(partition_configuration, 7, I64, last_committed_decree),
    FIELD(partition_configuration, 8, I32, partition_flags),
    OPTIONAL(partition_configuration, 9, HOST_PORT, hp_primary,
             PARTITION_CONFIGURATION_HAS_HP_PRIMARY),
    OPTIONAL_LIST(partition_configuration, 10, HOST_PORT, hp_secondaries,
                  PARTITION_CONFIGURATION_HAS_HP_SECONDARIES),
    OPTIONAL_LIST(partition_configuration, 11, HOST_PORT, hp_last_drops,
                  PARTITION_CONFIGURATION_HAS_HP_LAST_DROPS),
};
SCHEMA(partition_configuration);

static const struct field node_info_fields[] = {
    FIELD(node_info, 1, I32, status),
    FIELD(node_info, 2, RPC_ADDRESS, node),
    OPTIONAL(node_info, 3, HOST_PORT, hp_node, NODE_INFO_HAS_HP_NODE),
};
SCHEMA(node_info);

/* ---- Tables ---------------------------------------------------------------------------------- */

static const struct field query_config_request_fields[] = {
    FIELD(query_config_request, 1, STRING, app_name),
    FIELD_LIST(query_config_request, 2, I32, partition_indices),
};
SCHEMA(query_config_request);

static const struct field query_config_response_fields[] = {
    FIELD(query_config_response, 1, ERROR_CODE, err),
    FIELD(query_config_response, 2, I32, app_id),
    FIELD(query_config_response, 3, I32, partition_count),
    FIELD(query_config_response, 4, BOOL, is_stateful),
    FIELD_STRUCTS(query_config_response, 5, partition_configuration, partitions),
};
SCHEMA(query_config_response);

static const struct field create_app_options_fields[] = {
    FIELD(create_app_options, 1, I32, partition_count),
    FIELD(create_app_options, 2, I32, replica_count),
    FIELD(create_app_options, 3, BOOL, success_if_exist),
    FIELD(create_app_options, 4, STRING, app_type),
    FIELD(create_app_options, 5, BOOL, is_stateful),
    FIELD_MAP(create_app_options, 6, string_pair, envs),
    OPTIONAL(create_app_options, 7, BOOL, atomic_idempotent,
             CREATE_APP_OPTIONS_HAS_ATOMIC_IDEMPOTENT),
};
SCHEMA(create_app_options);

static const struct field create_app_request_fields[] = {
    FIELD(create_app_request, 1, STRING, app_name),
    FIELD_STRUCT(create_app_request, 2, create_app_options, options),
};
SCHEMA(create_app_request);

static const struct field create_app_response_fields[] = {
    FIELD(create_app_response, 1, ERROR_CODE, err),
    FIELD(create_app_response, 2, I32, appid),
};
SCHEMA(create_app_response);

static const struct field drop_app_options_fields[] = {
    FIELD(drop_app_options, 1, BOOL, success_if_not_exist),
    OPTIONAL(drop_app_options, 2, I64, reserve_seconds, DROP_APP_OPTIONS_HAS_RESERVE_SECONDS),
};
SCHEMA(drop_app_options);

static const struct field drop_app_request_fields[] = {
    FIELD(drop_app_request, 1, STRING, app_name),
    FIELD_STRUCT(drop_app_request, 2, drop_app_options, options),
};
SCHEMA(drop_app_request);

static const struct field drop_app_response_fields[] = {
    FIELD(drop_app_response, 1, ERROR_CODE, err),
};
SCHEMA(drop_app_response);

static const struct field recall_app_request_fields[] = {
    FIELD(recall_app_request, 1, I32, app_id),
    FIELD(recall_app_request, 2, STRING, new_app_name),
};
SCHEMA(recall_app_request);

static const struct field recall_app_response_fields[] = {
    FIELD(recall_app_response, 1, ERROR_CODE, err),
    FIELD_STRUCT(recall_app_response, 2, app_info, info),
};
SCHEMA(recall_app_response);

static const struct field rename_app_request_fields[] = {
    FIELD(rename_app_request, 1, STRING, old_app_name),
    FIELD(rename_app_request, 2, STRING, new_app_name),
};
SCHEMA(rename_app_request);

static const struct field rename_app_response_fields[] = {
    FIELD(rename_app_response, 1, ERROR_CODE, err),
    FIELD(rename_app_response, 2, STRING, hint_message),
};
SCHEMA(rename_app_response);

static const struct field list_apps_request_fields[] = {
    FIELD(list_apps_request, 1, I32, status),
    OPTIONAL(list_apps_request, 2, STRING, app_name_pattern,
             LIST_APPS_REQUEST_HAS_APP_NAME_PATTERN),
    OPTIONAL(list_apps_request, 3, I32, match_type, LIST_APPS_REQUEST_HAS_MATCH_TYPE),
};
SCHEMA(list_apps_request);

static const struct field list_apps_response_fields[] = {
    FIELD(list_apps_response, 1, ERROR_CODE, err),
    FIELD_STRUCTS(list_apps_response, 2, app_info, infos),
    OPTIONAL(list_apps_response, 3, STRING, hint_message, LIST_APPS_RESPONSE_HAS_HINT_MESSAGE),
};
SCHEMA(list_apps_response);

static const struct field update_app_env_request_fields[] = {
    FIELD(update_app_env_request, 1, STRING, app_name),
    FIELD(update_app_env_request, 2, I32, op),
    OPTIONAL_LIST(update_app_env_request, 3, STRING, keys, UPDATE_APP_ENV_REQUEST_HAS_KEYS),
    OPTIONAL_LIST(update_app_env_request, 4, STRING, values, UPDATE_APP_ENV_REQUEST_HAS_VALUES),
    OPTIONAL(update_app_env_request, 5, STRING, clear_prefix,
             UPDATE_APP_ENV_REQUEST_HAS_CLEAR_PREFIX),
};
SCHEMA(update_app_env_request);

static const struct field update_app_env_response_fields[] = {
    FIELD(update_app_env_response, 1, ERROR_CODE, err),
    FIELD(update_app_env_response, 2, STRING, hint_message),
};
SCHEMA(update_app_env_response);

static const struct field start_manual_compact_request_fields[] = {
    FIELD(start_manual_compact_request, 1, STRING, app_name),
    OPTIONAL(start_manual_compact_request, 2, I64, trigger_time,
             START_MANUAL_COMPACT_REQUEST_HAS_TRIGGER_TIME),
    OPTIONAL(start_manual_compact_request, 3, I32, target_level,
             START_MANUAL_COMPACT_REQUEST_HAS_TARGET_LEVEL),
    OPTIONAL(start_manual_compact_request, 4, BOOL, bottommost,
             START_MANUAL_COMPACT_REQUEST_HAS_BOTTOMMOST),
    OPTIONAL(start_manual_compact_request, 5, I32, max_running_count,
             START_MANUAL_COMPACT_REQUEST_HAS_MAX_RUNNING_COUNT),
};
SCHEMA(start_manual_compact_request);

static const struct field start_manual_compact_response_fields[] = {
    FIELD(start_manual_compact_response, 1, ERROR_CODE, err),
    FIELD(start_manual_compact_response, 2, STRING, hint_msg),
};
SCHEMA(start_manual_compact_response);

static const struct field query_manual_compact_request_fields[] = {
    FIELD(query_manual_compact_request, 1, STRING, app_name),
};
SCHEMA(query_manual_compact_request);

static const struct field query_manual_compact_response_fields[] = {
    FIELD(query_manual_compact_response, 1, ERROR_CODE, err),
    FIELD(query_manual_compact_response, 2, STRING, hint_msg),
    OPTIONAL(query_manual_compact_response, 3, I32, progress,
             QUERY_MANUAL_COMPACT_RESPONSE_HAS_PROGRESS),
};
SCHEMA(query_manual_compact_response);

static const struct field get_max_replica_count_request_fields[] = {
    FIELD(get_max_replica_count_request, 1, STRING, app_name),
};
SCHEMA(get_max_replica_count_request);

static const struct field get_max_replica_count_response_fields[] = {
    FIELD(get_max_replica_count_response, 1, ERROR_CODE, err),
    FIELD(get_max_replica_count_response, 2, I32, max_replica_count),
    FIELD(get_max_replica_count_response, 3, STRING, hint_message),
};
SCHEMA(get_max_replica_count_response);

static const struct field set_max_replica_count_request_fields[] = {
    FIELD(set_max_replica_count_request, 1, STRING, app_name),
    FIELD(set_max_replica_count_request, 2, I32, max_replica_count),
};
SCHEMA(set_max_replica_count_request);

static const struct field set_max_replica_count_response_fields[] = {
    FIELD(set_max_replica_count_response, 1, ERROR_CODE, err),
    FIELD(set_max_replica_count_response, 2, I32, old_max_replica_count),
    FIELD(set_max_replica_count_response, 3, STRING, hint_message),
};
SCHEMA(set_max_replica_count_response);

static const struct field get_atomic_idempotent_request_fields[] = {
    FIELD(get_atomic_idempotent_request, 1, STRING, app_name),
};
SCHEMA(get_atomic_idempotent_request);

static const struct field get_atomic_idempotent_response_fields[] = {
    FIELD(get_atomic_idempotent_response, 1, ERROR_CODE, err),
    FIELD(get_atomic_idempotent_response, 2, BOOL, atomic_idempotent),
    FIELD(get_atomic_idempotent_response, 3, STRING, hint_message),
};
SCHEMA(get_atomic_idempotent_response);

static const struct field set_atomic_idempotent_request_fields[] = {
    FIELD(set_atomic_idempotent_request, 1, STRING, app_name),
    FIELD(set_atomic_idempotent_request, 2, BOOL, atomic_idempotent),
};
SCHEMA(set_atomic_idempotent_request);

static const struct field set_atomic_idempotent_response_fields[] = {
    FIELD(set_atomic_idempotent_response, 1, ERROR_CODE, err),
    FIELD(set_atomic_idempotent_response, 2, BOOL, old_atomic_idempotent),
    FIELD(set_atomic_idempotent_response, 3, STRING, hint_message),
};
SCHEMA(set_atomic_idempotent_response);

/* ---- The cluster ----------------------------------------------------------------------------- */

static const struct field list_nodes_request_fields[] = {
    FIELD(list_nodes_request, 1, I32, status),
};
SCHEMA(list_nodes_request);

static const struct field list_nodes_response_fields[] = {
    FIELD(list_nodes_response, 1, ERROR_CODE, err),
    FIELD_STRUCTS(list_nodes_response, 2, node_info, infos),
};
SCHEMA(list_nodes_response);

SCHEMA_EMPTY(cluster_info_request);

static const struct field cluster_info_response_fields[] = {
    FIELD(cluster_info_response, 1, ERROR_CODE, err),
    FIELD_LIST(cluster_info_response, 2, STRING, keys),
    FIELD_LIST(cluster_info_response, 3, STRING, values),
};
SCHEMA(cluster_info_response);

static const struct field control_meta_request_fields[] = {
    FIELD(control_meta_request, 1, I32, level),
};
SCHEMA(control_meta_request);

static const struct field control_meta_response_fields[] = {
    FIELD(control_meta_response, 1, ERROR_CODE, err),
    FIELD(control_meta_response, 2, I32, old_level),
};
SCHEMA(control_meta_response);

static const struct field proposal_action_fields[] = {
    FIELD(proposal_action, 1, RPC_ADDRESS, target),
    FIELD(proposal_action, 2, RPC_ADDRESS, node),
    FIELD(proposal_action, 3, I32, type), /* 4 was used once. */
    OPTIONAL(proposal_action, 5, HOST_PORT, hp_target, PROPOSAL_ACTION_HAS_HP_TARGET),
    OPTIONAL(proposal_action, 6, HOST_PORT, hp_node, PROPOSAL_ACTION_HAS_HP_NODE),
};
SCHEMA(proposal_action);

static const struct field propose_balancer_request_fields[] = {
    FIELD(propose_balancer_request, 1, GPID, gpid),
    FIELD_STRUCTS(propose_balancer_request, 2, proposal_action, action_list),
    OPTIONAL(propose_balancer_request, 3, BOOL, force, PROPOSE_BALANCER_REQUEST_HAS_FORCE),
    OPTIONAL(propose_balancer_request, 4, I32, balance_type,
             PROPOSE_BALANCER_REQUEST_HAS_BALANCE_TYPE),
};
SCHEMA(propose_balancer_request);

static const struct field propose_balancer_response_fields[] = {
    FIELD(propose_balancer_response, 1, ERROR_CODE, err),
};
SCHEMA(propose_balancer_response);

static const struct field ddd_diagnose_request_fields[] = {
    FIELD(ddd_diagnose_request, 1, GPID, pid),
};
SCHEMA(ddd_diagnose_request);

static const struct field ddd_node_info_fields[] = {
    FIELD(ddd_node_info, 1, RPC_ADDRESS, node),
    FIELD(ddd_node_info, 2, I64, drop_time_ms),
    FIELD(ddd_node_info, 3, BOOL, is_alive),
    FIELD(ddd_node_info, 4, BOOL, is_collected),
    FIELD(ddd_node_info, 5, I64, ballot),
    FIELD(ddd_node_info, 6, I64, last_committed_decree),
    FIELD(ddd_node_info, 7, I64, last_prepared_decree),
    OPTIONAL(ddd_node_info, 8, HOST_PORT, hp_node, DDD_NODE_INFO_HAS_HP_NODE),
};
SCHEMA(ddd_node_info);

static const struct field ddd_partition_info_fields[] = {
    FIELD_STRUCT(ddd_partition_info, 1, partition_configuration, config),
    FIELD_STRUCTS(ddd_partition_info, 2, ddd_node_info, dropped),
    FIELD(ddd_partition_info, 3, STRING, reason),
};
SCHEMA(ddd_partition_info);

static const struct field ddd_diagnose_response_fields[] = {
    FIELD(ddd_diagnose_response, 1, ERROR_CODE, err),
    FIELD_STRUCTS(ddd_diagnose_response, 2, ddd_partition_info, partitions),
};
SCHEMA(ddd_diagnose_response);
