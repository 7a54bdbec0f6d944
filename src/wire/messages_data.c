/* src/wire/messages_data.c: the tables of the messages that read and write records. */
#include "wire/messages_data.h"

#include "wire/schema.h"

/* ---- Writes ---------------------------------------------------------------------------------- */

static const struct field update_request_fields[] = {
    FIELD(update_request, 1, BLOB, key),
    FIELD(update_request, 2, BLOB, value),
    FIELD(update_request, 3, I32, expire_ts_seconds),
    OPTIONAL(update_request, 4, I32, type, UPDATE_REQUEST_HAS_TYPE),
    OPTIONAL(update_request, 5, BOOL, check_value_returned,
             UPDATE_REQUEST_HAS_CHECK_VALUE_RETURNED),
    OPTIONAL(update_request, 6, BOOL, check_value_exist, UPDATE_REQUEST_HAS_CHECK_VALUE_EXIST),
    OPTIONAL(update_request, 7, BLOB, check_value, UPDATE_REQUEST_HAS_CHECK_VALUE),
};
SCHEMA(update_request);

static const struct field update_response_fields[] = {
    FIELD(update_response, 1, I32, error),           FIELD(update_response, 2, I32, app_id),
    FIELD(update_response, 3, I32, partition_index), FIELD(update_response, 4, I64, decree),
    FIELD(update_response, 5, STRING, server),
};
SCHEMA(update_response);

static const struct field key_value_fields[] = {
    FIELD(key_value, 1, BLOB, key),
    FIELD(key_value, 2, BLOB, value),
    OPTIONAL(key_value, 3, I32, expire_ts_seconds, KEY_VALUE_HAS_EXPIRE_TS_SECONDS),
};
SCHEMA(key_value);

static const struct field multi_put_request_fields[] = {
    FIELD(multi_put_request, 1, BLOB, hash_key),
    FIELD_STRUCTS(multi_put_request, 2, key_value, kvs),
    FIELD(multi_put_request, 3, I32, expire_ts_seconds),
};
SCHEMA(multi_put_request);

static const struct field multi_remove_request_fields[] = {
    FIELD(multi_remove_request, 1, BLOB, hash_key),
    FIELD_LIST(multi_remove_request, 2, BLOB, sort_keys),
    FIELD(multi_remove_request, 3, I64, max_count),
};
SCHEMA(multi_remove_request);

static const struct field multi_remove_response_fields[] = {
    FIELD(multi_remove_response, 1, I32, error),
    FIELD(multi_remove_response, 2, I64, count),
    FIELD(multi_remove_response, 3, I32, app_id),
    FIELD(multi_remove_response, 4, I32, partition_index),
    FIELD(multi_remove_response, 5, I64, decree),
    FIELD(multi_remove_response, 6, STRING, server),
};
SCHEMA(multi_remove_response);

static const struct field incr_request_fields[] = {
    FIELD(incr_request, 1, BLOB, key),
    FIELD(incr_request, 2, I64, increment),
    FIELD(incr_request, 3, I32, expire_ts_seconds),
};
SCHEMA(incr_request);

static const struct field incr_response_fields[] = {
    FIELD(incr_response, 1, I32, error),  FIELD(incr_response, 2, I64, new_value),
    FIELD(incr_response, 3, I32, app_id), FIELD(incr_response, 4, I32, partition_index),
    FIELD(incr_response, 5, I64, decree), FIELD(incr_response, 6, STRING, server),
};
SCHEMA(incr_response);

static const struct field check_and_set_request_fields[] = {
    FIELD(check_and_set_request, 1, BLOB, hash_key),
    FIELD(check_and_set_request, 2, BLOB, check_sort_key),
    FIELD(check_and_set_request, 3, I32, check_type),
    FIELD(check_and_set_request, 4, BLOB, check_operand),
    FIELD(check_and_set_request, 5, BOOL, set_diff_sort_key),
    FIELD(check_and_set_request, 6, BLOB, set_sort_key),
    FIELD(check_and_set_request, 7, BLOB, set_value),
    FIELD(check_and_set_request, 8, I32, set_expire_ts_seconds),
    FIELD(check_and_set_request, 9, BOOL, return_check_value),
};
SCHEMA(check_and_set_request);

static const struct field check_and_set_response_fields[] = {
    FIELD(check_and_set_response, 1, I32, error),
    FIELD(check_and_set_response, 2, BOOL, check_value_returned),
    FIELD(check_and_set_response, 3, BOOL, check_value_exist),
    FIELD(check_and_set_response, 4, BLOB, check_value),
    FIELD(check_and_set_response, 5, I32, app_id),
    FIELD(check_and_set_response, 6, I32, partition_index),
    FIELD(check_and_set_response, 7, I64, decree),
    FIELD(check_and_set_response, 8, STRING, server),
};
SCHEMA(check_and_set_response);

static const struct field mutate_fields[] = {
    FIELD(mutate, 1, I32, operation),
    FIELD(mutate, 2, BLOB, sort_key),
    FIELD(mutate, 3, BLOB, value),
    FIELD(mutate, 4, I32, set_expire_ts_seconds),
};
SCHEMA(mutate);

static const struct field check_and_mutate_request_fields[] = {
    FIELD(check_and_mutate_request, 1, BLOB, hash_key),
    FIELD(check_and_mutate_request, 2, BLOB, check_sort_key),
    FIELD(check_and_mutate_request, 3, I32, check_type),
    FIELD(check_and_mutate_request, 4, BLOB, check_operand),
    FIELD_STRUCTS(check_and_mutate_request, 5, mutate, mutate_list),
    FIELD(check_and_mutate_request, 6, BOOL, return_check_value),
};
SCHEMA(check_and_mutate_request);

static const struct field check_and_mutate_response_fields[] = {
    FIELD(check_and_mutate_response, 1, I32, error),
    FIELD(check_and_mutate_response, 2, BOOL, check_value_returned),
    FIELD(check_and_mutate_response, 3, BOOL, check_value_exist),
    FIELD(check_and_mutate_response, 4, BLOB, check_value),
    FIELD(check_and_mutate_response, 5, I32, app_id),
    FIELD(check_and_mutate_response, 6, I32, partition_index),
    FIELD(check_and_mutate_response, 7, I64, decree),
    FIELD(check_and_mutate_response, 8, STRING, server),
};
SCHEMA(check_and_mutate_response);

/* ---- Reads ----------------------------------------------------------------------------------- */

static const struct field read_response_fields[] = {
    FIELD(read_response, 1, I32, error),     FIELD(read_response, 2, BLOB, value),
    FIELD(read_response, 3, I32, app_id),    FIELD(read_response, 4, I32, partition_index),
    FIELD(read_response, 6, STRING, server), /* There is no 5. */
};
SCHEMA(read_response);

static const struct field ttl_response_fields[] = {
    FIELD(ttl_response, 1, I32, error),     FIELD(ttl_response, 2, I32, ttl_seconds),
    FIELD(ttl_response, 3, I32, app_id),    FIELD(ttl_response, 4, I32, partition_index),
    FIELD(ttl_response, 6, STRING, server), /* There is no 5. */
};
SCHEMA(ttl_response);

static const struct field full_key_fields[] = {
    FIELD(full_key, 1, BLOB, hash_key),
    FIELD(full_key, 2, BLOB, sort_key),
};
SCHEMA(full_key);

static const struct field full_data_fields[] = {
    FIELD(full_data, 1, BLOB, hash_key),
    FIELD(full_data, 2, BLOB, sort_key),
    FIELD(full_data, 3, BLOB, value),
};
SCHEMA(full_data);

static const struct field batch_get_request_fields[] = {
    FIELD_STRUCTS(batch_get_request, 1, full_key, keys),
};
SCHEMA(batch_get_request);

static const struct field batch_get_response_fields[] = {
    FIELD(batch_get_response, 1, I32, error),
    FIELD_STRUCTS(batch_get_response, 2, full_data, data),
    FIELD(batch_get_response, 3, I32, app_id),
    FIELD(batch_get_response, 4, I32, partition_index),
    FIELD(batch_get_response, 6, STRING, server), /* There is no 5. */
};
SCHEMA(batch_get_response);

static const struct field multi_get_request_fields[] = {
    FIELD(multi_get_request, 1, BLOB, hash_key),
    FIELD_LIST(multi_get_request, 2, BLOB, sort_keys),
    FIELD(multi_get_request, 3, I32, max_kv_count),
    FIELD(multi_get_request, 4, I32, max_kv_size),
    FIELD(multi_get_request, 5, BOOL, no_value),
    FIELD(multi_get_request, 6, BLOB, start_sortkey),
    FIELD(multi_get_request, 7, BLOB, stop_sortkey),
    FIELD(multi_get_request, 8, BOOL, start_inclusive),
    FIELD(multi_get_request, 9, BOOL, stop_inclusive),
    FIELD(multi_get_request, 10, I32, sort_key_filter_type),
    FIELD(multi_get_request, 11, BLOB, sort_key_filter_pattern),
    FIELD(multi_get_request, 12, BOOL, reverse),
};
SCHEMA(multi_get_request);

static const struct field multi_get_response_fields[] = {
    FIELD(multi_get_response, 1, I32, error),
    FIELD_STRUCTS(multi_get_response, 2, key_value, kvs),
    FIELD(multi_get_response, 3, I32, app_id),
    FIELD(multi_get_response, 4, I32, partition_index),
    FIELD(multi_get_response, 6, STRING, server), /* There is no 5. */
};
SCHEMA(multi_get_response);

static const struct field count_response_fields[] = {
    FIELD(count_response, 1, I32, error),     FIELD(count_response, 2, I64, count),
    FIELD(count_response, 3, I32, app_id),    FIELD(count_response, 4, I32, partition_index),
    FIELD(count_response, 6, STRING, server), /* There is no 5. */
};
SCHEMA(count_response);

/* ---- Scans ----------------------------------------------------------------------------------- */

static const struct field get_scanner_request_fields[] = {
    FIELD(get_scanner_request, 1, BLOB, start_key),
    FIELD(get_scanner_request, 2, BLOB, stop_key),
    FIELD(get_scanner_request, 3, BOOL, start_inclusive),
    FIELD(get_scanner_request, 4, BOOL, stop_inclusive),
    FIELD(get_scanner_request, 5, I32, batch_size),
    FIELD(get_scanner_request, 6, BOOL, no_value),
    FIELD(get_scanner_request, 7, I32, hash_key_filter_type),
    FIELD(get_scanner_request, 8, BLOB, hash_key_filter_pattern),
    FIELD(get_scanner_request, 9, I32, sort_key_filter_type),
    FIELD(get_scanner_request, 10, BLOB, sort_key_filter_pattern),
    OPTIONAL(get_scanner_request, 11, BOOL, validate_partition_hash,
             GET_SCANNER_REQUEST_HAS_VALIDATE_PARTITION_HASH),
    OPTIONAL(get_scanner_request, 12, BOOL, return_expire_ts,
             GET_SCANNER_REQUEST_HAS_RETURN_EXPIRE_TS),
    OPTIONAL(get_scanner_request, 13, BOOL, full_scan, GET_SCANNER_REQUEST_HAS_FULL_SCAN),
    OPTIONAL(get_scanner_request, 14, BOOL, only_return_count,
             GET_SCANNER_REQUEST_HAS_ONLY_RETURN_COUNT),
};
SCHEMA(get_scanner_request);

static const struct field scan_request_fields[] = {
    FIELD(scan_request, 1, I64, context_id),
};
SCHEMA(scan_request);

static const struct field scan_response_fields[] = {
    FIELD(scan_response, 1, I32, error),
    FIELD_STRUCTS(scan_response, 2, key_value, kvs),
    FIELD(scan_response, 3, I64, context_id),
    FIELD(scan_response, 4, I32, app_id),
    FIELD(scan_response, 5, I32, partition_index),
    FIELD(scan_response, 6, STRING, server),
    OPTIONAL(scan_response, 7, I32, kv_count, SCAN_RESPONSE_HAS_KV_COUNT),
};
SCHEMA(scan_response);
