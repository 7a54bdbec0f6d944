/* src/wire/messages_dup.c: the tables of duplication. */
#include "wire/messages_dup.h"

#include "wire/schema.h"

/* ---- Shipping -------------------------------------------------------------------------------- */

static const struct field duplicate_entry_fields[] = {
    OPTIONAL(duplicate_entry, 1, I64, timestamp, DUPLICATE_ENTRY_HAS_TIMESTAMP),
    OPTIONAL(duplicate_entry, 2, TASK_CODE, task_code, DUPLICATE_ENTRY_HAS_TASK_CODE),
    OPTIONAL(duplicate_entry, 3, BLOB, raw_message, DUPLICATE_ENTRY_HAS_RAW_MESSAGE),
    OPTIONAL(duplicate_entry, 4, BYTE, cluster_id, DUPLICATE_ENTRY_HAS_CLUSTER_ID),
    OPTIONAL(duplicate_entry, 5, BOOL, verify_timetag, DUPLICATE_ENTRY_HAS_VERIFY_TIMETAG),
};
SCHEMA(duplicate_entry);

static const struct field duplicate_request_fields[] = {
    FIELD_STRUCTS(duplicate_request, 1, duplicate_entry, entries),
    OPTIONAL(duplicate_request, 100, I32, source_app_id, DUPLICATE_REQUEST_HAS_SOURCE_APP_ID),
    OPTIONAL(duplicate_request, 101, I32, source_partition_index,
             DUPLICATE_REQUEST_HAS_SOURCE_PARTITION_INDEX),
    OPTIONAL(duplicate_request, 102, I64, source_decree_first,
             DUPLICATE_REQUEST_HAS_SOURCE_DECREE_FIRST),
    OPTIONAL(duplicate_request, 103, I64, source_decree_last,
             DUPLICATE_REQUEST_HAS_SOURCE_DECREE_LAST),
    OPTIONAL(duplicate_request, 104, I64, closed_timestamp_us,
             DUPLICATE_REQUEST_HAS_CLOSED_TIMESTAMP_US),
    OPTIONAL(duplicate_request, 105, I32, version, DUPLICATE_REQUEST_HAS_VERSION),
    OPTIONAL(duplicate_request, 106, I32, source_cluster_id,
             DUPLICATE_REQUEST_HAS_SOURCE_CLUSTER_ID),
    OPTIONAL(duplicate_request, 107, I64, target_cluster_uuid,
             DUPLICATE_REQUEST_HAS_TARGET_CLUSTER_UUID),
    OPTIONAL(duplicate_request, 108, I32, source_partition_count,
             DUPLICATE_REQUEST_HAS_SOURCE_PARTITION_COUNT),
};
SCHEMA(duplicate_request);

static const struct field duplicate_response_fields[] = {
    OPTIONAL(duplicate_response, 1, I32, error, DUPLICATE_RESPONSE_HAS_ERROR),
    OPTIONAL(duplicate_response, 2, STRING, error_hint, DUPLICATE_RESPONSE_HAS_ERROR_HINT),
    OPTIONAL(duplicate_response, 100, I32, version, DUPLICATE_RESPONSE_HAS_VERSION),
    OPTIONAL(duplicate_response, 101, I64, closed_timestamp_us,
             DUPLICATE_RESPONSE_HAS_CLOSED_TIMESTAMP_US),
    OPTIONAL(duplicate_response, 102, I64, applied_decree, DUPLICATE_RESPONSE_HAS_APPLIED_DECREE),
    OPTIONAL(duplicate_response, 103, I32, refused_index, DUPLICATE_RESPONSE_HAS_REFUSED_INDEX),
};
SCHEMA(duplicate_response);

/* ---- Arranging ------------------------------------------------------------------------------- */

static const struct field duplication_progress_fields[] = {
    FIELD(duplication_progress, 1, I32, key),
    FIELD(duplication_progress, 2, I64, value),
};
static SCHEMA(duplication_progress);

static const struct field duplication_partition_state_fields[] = {
    FIELD(duplication_partition_state, 1, I64, confirmed_decree),
    FIELD(duplication_partition_state, 2, I64, last_committed_decree),
};
static SCHEMA(duplication_partition_state);

static const struct field duplication_partition_state_pair_fields[] = {
    FIELD(duplication_partition_state_pair, 1, I32, key),
    FIELD_STRUCT(duplication_partition_state_pair, 2, duplication_partition_state, value),
};
static SCHEMA(duplication_partition_state_pair);

static const struct field duplication_entry_fields[] = {
    FIELD(duplication_entry, 1, I32, dupid),
    FIELD(duplication_entry, 2, I32, status),
    FIELD(duplication_entry, 3, STRING, remote),
    FIELD(duplication_entry, 4, I64, create_ts),
    OPTIONAL_MAP(duplication_entry, 5, duplication_progress, progress,
                 DUPLICATION_ENTRY_HAS_PROGRESS),
    OPTIONAL(duplication_entry, 7, I32, fail_mode, DUPLICATION_ENTRY_HAS_FAIL_MODE),
    OPTIONAL(duplication_entry, 8, STRING, remote_app_name, DUPLICATION_ENTRY_HAS_REMOTE_APP_NAME),
    OPTIONAL(duplication_entry, 9, I32, remote_replica_count,
             DUPLICATION_ENTRY_HAS_REMOTE_REPLICA_COUNT),
    OPTIONAL(duplication_entry, 10, I32, mode, DUPLICATION_ENTRY_HAS_MODE),
    OPTIONAL_MAP(duplication_entry, 11, duplication_partition_state_pair, partition_states,
                 DUPLICATION_ENTRY_HAS_PARTITION_STATES),
    OPTIONAL(duplication_entry, 100, STRING, remote_metas, DUPLICATION_ENTRY_HAS_REMOTE_METAS),
};
SCHEMA(duplication_entry);

static const struct field add_duplication_request_fields[] = {
    FIELD(add_duplication_request, 1, STRING, app_name),
    FIELD(add_duplication_request, 2, STRING, remote_cluster_name),
    OPTIONAL(add_duplication_request, 3, BOOL, is_duplicating_checkpoint,
             ADD_DUPLICATION_REQUEST_HAS_IS_DUPLICATING_CHECKPOINT),
    OPTIONAL(add_duplication_request, 4, STRING, remote_app_name,
             ADD_DUPLICATION_REQUEST_HAS_REMOTE_APP_NAME),
    OPTIONAL(add_duplication_request, 5, I32, remote_replica_count,
             ADD_DUPLICATION_REQUEST_HAS_REMOTE_REPLICA_COUNT),
};
SCHEMA(add_duplication_request);

static const struct field add_duplication_response_fields[] = {
    FIELD(add_duplication_response, 1, ERROR_CODE, err),
    FIELD(add_duplication_response, 2, I32, appid),
    FIELD(add_duplication_response, 3, I32, dupid),
    OPTIONAL(add_duplication_response, 4, STRING, hint, ADD_DUPLICATION_RESPONSE_HAS_HINT),
    OPTIONAL(add_duplication_response, 5, STRING, remote_app_name,
             ADD_DUPLICATION_RESPONSE_HAS_REMOTE_APP_NAME),
    OPTIONAL(add_duplication_response, 6, I32, remote_replica_count,
             ADD_DUPLICATION_RESPONSE_HAS_REMOTE_REPLICA_COUNT),
};
SCHEMA(add_duplication_response);

static const struct field modify_duplication_request_fields[] = {
    FIELD(modify_duplication_request, 1, STRING, app_name),
    FIELD(modify_duplication_request, 2, I32, dupid),
    OPTIONAL(modify_duplication_request, 3, I32, status, MODIFY_DUPLICATION_REQUEST_HAS_STATUS),
    OPTIONAL(modify_duplication_request, 4, I32, fail_mode,
             MODIFY_DUPLICATION_REQUEST_HAS_FAIL_MODE),
};
SCHEMA(modify_duplication_request);

static const struct field modify_duplication_response_fields[] = {
    FIELD(modify_duplication_response, 1, ERROR_CODE, err),
    FIELD(modify_duplication_response, 2, I32, appid),
};
SCHEMA(modify_duplication_response);

static const struct field query_duplication_request_fields[] = {
    FIELD(query_duplication_request, 1, STRING, app_name),
};
SCHEMA(query_duplication_request);

static const struct field query_duplication_response_fields[] = {
    FIELD(query_duplication_response, 1, ERROR_CODE, err),
    FIELD(query_duplication_response, 3, I32, appid), /* There is no 2. */
    FIELD_STRUCTS(query_duplication_response, 4, duplication_entry, entry_list),
};
SCHEMA(query_duplication_response);

static const struct field list_duplication_request_fields[] = {
    FIELD(list_duplication_request, 1, STRING, app_name_pattern),
    FIELD(list_duplication_request, 2, I32, match_type),
};
SCHEMA(list_duplication_request);

static const struct field duplication_pair_fields[] = {
    FIELD(duplication_pair, 1, I32, key),
    FIELD_STRUCT(duplication_pair, 2, duplication_entry, value),
};
static SCHEMA(duplication_pair);

static const struct field duplication_app_state_fields[] = {
    FIELD(duplication_app_state, 1, I32, appid),
    FIELD_MAP(duplication_app_state, 2, duplication_pair, duplications),
    FIELD(duplication_app_state, 3, STRING, app_name),
    FIELD(duplication_app_state, 4, I32, partition_count),
};
static SCHEMA(duplication_app_state);

static const struct field duplication_app_state_pair_fields[] = {
    FIELD(duplication_app_state_pair, 1, STRING, key),
    FIELD_STRUCT(duplication_app_state_pair, 2, duplication_app_state, value),
};
static SCHEMA(duplication_app_state_pair);

static const struct field list_duplication_response_fields[] = {
    FIELD(list_duplication_response, 1, ERROR_CODE, err),
    FIELD(list_duplication_response, 2, STRING, hint_message),
    FIELD_MAP(list_duplication_response, 3, duplication_app_state_pair, app_states),
};
SCHEMA(list_duplication_response);

static const struct field duplication_confirm_fields[] = {
    FIELD(duplication_confirm, 1, I32, dupid),
    FIELD(duplication_confirm, 2, I64, confirmed_decree),
    OPTIONAL(duplication_confirm, 3, BOOL, checkpoint_prepared,
             DUPLICATION_CONFIRM_HAS_CHECKPOINT_PREPARED),
    OPTIONAL(duplication_confirm, 4, I64, last_committed_decree,
             DUPLICATION_CONFIRM_HAS_LAST_COMMITTED_DECREE),
};
static SCHEMA(duplication_confirm);

static const struct field duplication_confirm_pair_fields[] = {
    FIELD(duplication_confirm_pair, 1, GPID, key),
    FIELD_STRUCTS(duplication_confirm_pair, 2, duplication_confirm, value),
};
static SCHEMA(duplication_confirm_pair);

static const struct field duplication_sync_request_fields[] = {
    FIELD(duplication_sync_request, 1, RPC_ADDRESS, node),
    FIELD_MAP(duplication_sync_request, 2, duplication_confirm_pair, confirm_list),
    OPTIONAL(duplication_sync_request, 3, HOST_PORT, hp_node, DUPLICATION_SYNC_REQUEST_HAS_HP_NODE),
};
SCHEMA(duplication_sync_request);

static const struct field duplication_app_pair_fields[] = {
    FIELD(duplication_app_pair, 1, I32, key),
    FIELD_MAP(duplication_app_pair, 2, duplication_pair, value),
};
static SCHEMA(duplication_app_pair);

static const struct field duplication_sync_response_fields[] = {
    FIELD(duplication_sync_response, 1, ERROR_CODE, err),
    FIELD_MAP(duplication_sync_response, 2, duplication_app_pair, dup_map),
};
SCHEMA(duplication_sync_response);
