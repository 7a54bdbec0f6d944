/* src/wire/messages_pirene.c: the tables of what Pirene's programs say to each other. */
#include "wire/messages_pirene.h"

#include "wire/schema.h"

static const struct field hello_request_fields[] = {
    FIELD(hello_request, 1, I32, version),
    FIELD(hello_request, 2, STRING, cluster_name),
    FIELD(hello_request, 3, I32, cluster_id),
};
SCHEMA(hello_request);

static const struct field hello_response_fields[] = {
    FIELD(hello_response, 1, ERROR_CODE, err),      FIELD(hello_response, 2, I32, version),
    FIELD(hello_response, 3, STRING, cluster_name), FIELD(hello_response, 4, I32, cluster_id),
    FIELD(hello_response, 5, I64, wall_us),         FIELD(hello_response, 6, I64, cluster_uuid),
};
SCHEMA(hello_response);

static const struct field dup_status_request_fields[] = {
    FIELD(dup_status_request, 1, STRING, app_name),
};
SCHEMA(dup_status_request);

static const struct field dup_status_fields[] = {
    FIELD(dup_status, 1, I32, dupid),
    FIELD(dup_status, 2, STRING, remote_cluster),
    FIELD(dup_status, 3, STRING, remote_app_name),
    FIELD(dup_status, 4, I32, partition_index),
    FIELD(dup_status, 5, STRING, state),
    FIELD(dup_status, 6, STRING, reason),
    FIELD(dup_status, 7, I64, committed),
    FIELD(dup_status, 8, I64, sent),
    FIELD(dup_status, 9, I64, confirmed),
    FIELD(dup_status, 10, I64, lag_mutations),
    FIELD(dup_status, 11, I64, lag_bytes),
    FIELD(dup_status, 12, I64, lag_ms),
    FIELD(dup_status, 13, I32, app_id),
};
SCHEMA(dup_status);

static const struct field dup_incoming_status_fields[] = {
    FIELD(dup_incoming_status, 1, I32, source_cluster_id),
    FIELD(dup_incoming_status, 2, I32, source_app_id),
    FIELD(dup_incoming_status, 3, I32, source_partition_index),
    FIELD(dup_incoming_status, 4, I64, decree),
    FIELD(dup_incoming_status, 5, I64, closed_timestamp_us),
    FIELD(dup_incoming_status, 6, I64, heard_ms_ago),
};
SCHEMA(dup_incoming_status);

static const struct field dup_status_response_fields[] = {
    FIELD(dup_status_response, 1, ERROR_CODE, err),
    FIELD(dup_status_response, 2, STRING, hint),
    FIELD_STRUCTS(dup_status_response, 3, dup_status, partitions),
    FIELD_STRUCTS(dup_status_response, 4, dup_incoming_status, incoming),
};
SCHEMA(dup_status_response);

static const struct field dup_wait_request_fields[] = {
    FIELD(dup_wait_request, 1, GPID, pid),
    FIELD(dup_wait_request, 2, I32, dupid),
    FIELD(dup_wait_request, 3, I32, timeout_ms),
};
SCHEMA(dup_wait_request);

static const struct field dup_wait_response_fields[] = {
    FIELD(dup_wait_response, 1, ERROR_CODE, err),
    FIELD(dup_wait_response, 2, STRING, hint),
    FIELD(dup_wait_response, 3, I64, decree),
    FIELD(dup_wait_response, 4, I64, confirmed),
};
SCHEMA(dup_wait_response);

static const struct field digest_request_fields[] = {
    FIELD(digest_request, 1, GPID, pid),
    FIELD(digest_request, 2, I32, bucket_bits), /* 0 to 16. */
    FIELD(digest_request, 3, I32, bucket),      /* -1: all. */
    FIELD(digest_request, 4, I32, max_rows),    /* 0 or less: the server's choice. */
    FIELD(digest_request, 5, I64, now_s),       /* 0: the server's clock. */
    FIELD(digest_request, 6, BLOB, after),
};
SCHEMA(digest_request);

static const struct field digest_row_fields[] = {
    FIELD(digest_row, 1, BLOB, key),
    FIELD(digest_row, 2, I64, digest),
    FIELD(digest_row, 3, I64, timetag),
};
SCHEMA(digest_row);

static const struct field digest_response_fields[] = {
    FIELD(digest_response, 1, ERROR_CODE, err),
    FIELD(digest_response, 2, STRING, hint),
    FIELD_LIST(digest_response, 3, I64, counts),
    FIELD_LIST(digest_response, 4, I64, digests),
    FIELD_STRUCTS(digest_response, 5, digest_row, rows),
    FIELD(digest_response, 6, I64, decree),
};
SCHEMA(digest_response);

static const struct field follow_request_fields[] = {
    FIELD(follow_request, 1, I64, node_id),
    FIELD(follow_request, 2, I64, version),
    FIELD(follow_request, 3, I64, cluster_uuid),
};
SCHEMA(follow_request);

static const struct field follow_response_fields[] = {
    FIELD(follow_response, 1, ERROR_CODE, err),
    FIELD(follow_response, 2, I64, version),
    FIELD(follow_response, 3, BLOB, snapshot),
    FIELD_LIST(follow_response, 4, BLOB, commands),
};
SCHEMA(follow_response);

static const struct field propose_request_fields[] = {
    FIELD(propose_request, 1, BLOB, command),
    FIELD(propose_request, 2, I64, cluster_uuid),
};
SCHEMA(propose_request);

static const struct field propose_response_fields[] = {
    FIELD(propose_response, 1, ERROR_CODE, err),
    FIELD(propose_response, 2, BLOB, result),
    FIELD(propose_response, 3, I64, version),
};
SCHEMA(propose_response);

static const struct field beacon_request_fields[] = {
    FIELD(beacon_request, 1, I64, node_id),
    FIELD(beacon_request, 2, I64, incarnation),
    FIELD(beacon_request, 3, I64, cluster_uuid),
};
SCHEMA(beacon_request);

static const struct field beacon_response_fields[] = {
    FIELD(beacon_response, 1, ERROR_CODE, err),
};
SCHEMA(beacon_response);

SCHEMA_EMPTY(census_request);

static const struct field census_node_fields[] = {
    FIELD(census_node, 1, I64, node_id),      FIELD(census_node, 2, RPC_ADDRESS, address),
    FIELD(census_node, 3, BOOL, is_alive),    FIELD(census_node, 4, I32, primaries),
    FIELD(census_node, 5, I32, secondaries),  FIELD(census_node, 6, I32, learners),
    FIELD(census_node, 7, BOOL, is_draining), FIELD(census_node, 8, I32, stuck),
};
SCHEMA(census_node);

static const struct field census_table_fields[] = {
    FIELD(census_table, 1, I32, app_id),     FIELD(census_table, 2, STRING, app_name),
    FIELD(census_table, 3, I32, partitions), FIELD(census_table, 4, I32, whole),
    FIELD(census_table, 5, I32, lacking),    FIELD(census_table, 6, I32, headless),
    FIELD(census_table, 7, I32, learning),
};
SCHEMA(census_table);

static const struct field census_learner_fields[] = {
    FIELD(census_learner, 1, GPID, pid),
    FIELD(census_learner, 2, RPC_ADDRESS, node),
};
SCHEMA(census_learner);

static const struct field census_response_fields[] = {
    FIELD(census_response, 1, ERROR_CODE, err),
    FIELD_STRUCTS(census_response, 2, census_node, nodes),
    FIELD_STRUCTS(census_response, 3, census_table, tables),
    FIELD_STRUCTS(census_response, 4, census_learner, learners),
};
SCHEMA(census_response);

static const struct field drain_request_fields[] = {
    FIELD(drain_request, 1, I64, node_id),
    FIELD(drain_request, 2, BOOL, is_draining),
};
SCHEMA(drain_request);

static const struct field drain_response_fields[] = {
    FIELD(drain_response, 1, ERROR_CODE, err),
};
SCHEMA(drain_response);
