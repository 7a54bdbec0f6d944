/* src/wire/messages_admin.c: the tables of what one server is asked about itself. */
#include "wire/messages_admin.h"

#include "wire/schema.h"

/* ---- Disks and replicas ---------------------------------------------------------------------- */

static const struct field query_disk_info_request_fields[] = {
    FIELD(query_disk_info_request, 1, RPC_ADDRESS, node1),
    FIELD(query_disk_info_request, 2, STRING, app_name),
    OPTIONAL(query_disk_info_request, 3, HOST_PORT, hp_node1, QUERY_DISK_INFO_REQUEST_HAS_HP_NODE1),
};
SCHEMA(query_disk_info_request);

static const struct field disk_holding_fields[] = {
    FIELD(disk_holding, 1, I32, key),
    FIELD_SET(disk_holding, 2, GPID, value),
};
static SCHEMA(disk_holding);

static const struct field disk_info_fields[] = {
    FIELD(disk_info, 1, STRING, tag),
    FIELD(disk_info, 2, STRING, full_dir),
    FIELD(disk_info, 3, I64, disk_capacity_mb),
    FIELD(disk_info, 4, I64, disk_available_mb),
    FIELD_MAP(disk_info, 5, disk_holding, holding_primary_replicas),
    FIELD_MAP(disk_info, 6, disk_holding, holding_secondary_replicas),
};
SCHEMA(disk_info);

static const struct field query_disk_info_response_fields[] = {
    FIELD(query_disk_info_response, 1, ERROR_CODE, err),
    FIELD(query_disk_info_response, 2, I64, total_capacity_mb),
    FIELD(query_disk_info_response, 3, I64, total_available_mb),
    FIELD_STRUCTS(query_disk_info_response, 4, disk_info, disk_infos),
};
SCHEMA(query_disk_info_response);

static const struct field query_replica_info_request_fields[] = {
    FIELD(query_replica_info_request, 1, RPC_ADDRESS, node1),
    OPTIONAL(query_replica_info_request, 2, HOST_PORT, hp_node1,
             QUERY_REPLICA_INFO_REQUEST_HAS_HP_NODE1),
};
SCHEMA(query_replica_info_request);

static const struct field replica_info_fields[] = {
    FIELD(replica_info, 1, GPID, pid),
    FIELD(replica_info, 2, I64, ballot),
    FIELD(replica_info, 3, I32, status),
    FIELD(replica_info, 4, I64, last_committed_decree),
    FIELD(replica_info, 5, I64, last_prepared_decree),
    FIELD(replica_info, 6, I64, last_durable_decree),
    FIELD(replica_info, 7, STRING, app_type),
    FIELD(replica_info, 8, STRING, disk_tag),
    OPTIONAL(replica_info, 9, I32, manual_compact_status, REPLICA_INFO_HAS_MANUAL_COMPACT_STATUS),
};
SCHEMA(replica_info);

static const struct field query_replica_info_response_fields[] = {
    FIELD(query_replica_info_response, 1, ERROR_CODE, err),
    FIELD_STRUCTS(query_replica_info_response, 2, replica_info, replicas),
};
SCHEMA(query_replica_info_response);

static const struct field query_app_info_request_fields[] = {
    FIELD(query_app_info_request, 1, RPC_ADDRESS, meta_server),
    OPTIONAL(query_app_info_request, 2, HOST_PORT, hp_meta_server,
             QUERY_APP_INFO_REQUEST_HAS_HP_META_SERVER),
};
SCHEMA(query_app_info_request);

static const struct field query_app_info_response_fields[] = {
    FIELD(query_app_info_response, 1, ERROR_CODE, err),
    FIELD_STRUCTS(query_app_info_response, 2, app_info, apps),
};
SCHEMA(query_app_info_response);

/* ---- Remote commands ------------------------------------------------------------------------- */

static const struct field command_fields[] = {
    FIELD(command, 1, STRING, cmd),
    FIELD_LIST(command, 2, STRING, arguments),
};
SCHEMA(command);

/* ---- Authentication -------------------------------------------------------------------------- */

static const struct field negotiation_request_fields[] = {
    FIELD(negotiation_request, 1, I32, status),
    FIELD(negotiation_request, 2, BLOB, msg),
};
SCHEMA(negotiation_request);

static const struct field negotiation_response_fields[] = {
    FIELD(negotiation_response, 1, I32, status),
    FIELD(negotiation_response, 2, BLOB, msg),
};
SCHEMA(negotiation_response);
