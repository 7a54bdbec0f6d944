/* src/wire/messages_data.h: the messages that read and write records (Pegasus's RRDB).
 *
 * A raw key is a hash key and a sort key in one (wire/key.h). expire_ts_seconds is absolute, in
 * seconds since 2016-01-01 UTC, 0 for never, unless a comment says otherwise. 'server' is the
 * host:port of who answers, for people to read. What each message means is in docs/data.md. */
#pragma once
#include "wire/lists.h"

/* What 'error' holds in results: the storage's status. */
enum rrdb_status {
    RRDB_OK = 0,
    RRDB_NOT_FOUND = 1, /* No such key, or expired; no such scan context. */
    RRDB_CORRUPTION = 2,
    RRDB_NOT_SUPPORTED = 3,
    RRDB_INVALID_ARGUMENT = 4,
    RRDB_IO_ERROR = 5,
    RRDB_MERGE_IN_PROGRESS = 6,
    RRDB_INCOMPLETE = 7, /* A partial result: a limit was reached. */
    RRDB_SHUTDOWN_IN_PROGRESS = 8,
    RRDB_TIMED_OUT = 9,
    RRDB_ABORTED = 10,
    RRDB_BUSY = 11,
    RRDB_EXPIRED = 12,
    RRDB_TRY_AGAIN = 13, /* The condition of a check-and-set or check-and-mutate does not hold. */
};

enum filter_type {
    FILTER_NONE = 0,
    FILTER_ANYWHERE = 1,
    FILTER_PREFIX = 2,
    FILTER_POSTFIX = 3,
};

enum cas_check_type {
    CAS_NO_CHECK = 0,
    CAS_VALUE_NOT_EXIST = 1,
    CAS_VALUE_NOT_EXIST_OR_EMPTY = 2,
    CAS_VALUE_EXIST = 3,
    CAS_VALUE_NOT_EMPTY = 4,
    CAS_VALUE_MATCH_ANYWHERE = 5,
    CAS_VALUE_MATCH_PREFIX = 6,
    CAS_VALUE_MATCH_POSTFIX = 7,
    CAS_VALUE_BYTES_LESS = 8,
    CAS_VALUE_BYTES_LESS_OR_EQUAL = 9,
    CAS_VALUE_BYTES_EQUAL = 10,
    CAS_VALUE_BYTES_GREATER_OR_EQUAL = 11,
    CAS_VALUE_BYTES_GREATER = 12,
    CAS_VALUE_INT_LESS = 13,
    CAS_VALUE_INT_LESS_OR_EQUAL = 14,
    CAS_VALUE_INT_EQUAL = 15,
    CAS_VALUE_INT_GREATER_OR_EQUAL = 16,
    CAS_VALUE_INT_GREATER = 17,
};

enum mutate_operation { MUTATE_PUT = 0, MUTATE_DELETE = 1 };

/* Where a PUT that a Pegasus primary logged came from. Ours ignores it from ordinary clients. */
enum update_type {
    UPDATE_PUT = 0,
    UPDATE_INCR = 1,
    UPDATE_CHECK_AND_SET = 2,
    UPDATE_CHECK_AND_MUTATE_PUT = 3,
    UPDATE_CHECK_AND_MUTATE_REMOVE = 4, /* Means a delete, though it looks like an empty put. */
};

enum {
    SCAN_CONTEXT_DONE = -1
}; /* context_id: nothing is left. Ids of open scans are not negative. */

/* ---- Writes ---------------------------------------------------------------------------------- */

enum {
    UPDATE_REQUEST_HAS_TYPE = 1 << 0,
    UPDATE_REQUEST_HAS_CHECK_VALUE_RETURNED = 1 << 1,
    UPDATE_REQUEST_HAS_CHECK_VALUE_EXIST = 1 << 2,
    UPDATE_REQUEST_HAS_CHECK_VALUE = 1 << 3,
};

/* PUT. The optional fields occur between servers only. */
struct update_request {
    uint64_t set;
    struct slice key;   /* Raw. */
    struct slice value; /* May be empty. */
    int32_t expire_ts_seconds;
    int32_t type; /* enum update_type. */
    bool check_value_returned;
    bool check_value_exist;
    struct slice check_value;
};

/* PUT, REMOVE, MULTI_PUT. */
struct update_response {
    uint64_t set;
    int32_t error;
    int32_t app_id;
    int32_t partition_index;
    int64_t decree;
    struct slice server;
};

enum { KEY_VALUE_HAS_EXPIRE_TS_SECONDS = 1 << 0 };

struct key_value {
    uint64_t set;
    struct slice key; /* A sort key; in scan results a raw key. */
    struct slice value;
    int32_t expire_ts_seconds; /* Only in scans that asked for it. */
};

struct key_value_list {
    struct key_value *items;
    uint32_t count;
};

struct multi_put_request {
    uint64_t set;
    struct slice hash_key;
    struct key_value_list kvs; /* Of a sort key given twice the later wins. */
    int32_t expire_ts_seconds; /* For all of them. */
};

struct multi_remove_request {
    uint64_t set;
    struct slice hash_key;
    struct blob_list sort_keys;
    int64_t max_count; /* Ignored. */
};

struct multi_remove_response {
    uint64_t set;
    int32_t error;
    int64_t count; /* Keys asked for, whether they existed or not. */
    int32_t app_id;
    int32_t partition_index;
    int64_t decree;
    struct slice server;
};

struct incr_request {
    uint64_t set;
    struct slice key; /* Raw. */
    int64_t increment;
    int32_t expire_ts_seconds; /* 0: keep what is there; below 0: clear it. */
};

struct incr_response {
    uint64_t set;
    int32_t error;
    int64_t new_value;
    int32_t app_id;
    int32_t partition_index;
    int64_t decree;
    struct slice server;
};

struct check_and_set_request {
    uint64_t set;
    struct slice hash_key;
    struct slice check_sort_key;
    int32_t check_type; /* enum cas_check_type. */
    struct slice check_operand;
    bool set_diff_sort_key; /* False: set_sort_key is that of the check. */
    struct slice set_sort_key;
    struct slice set_value;
    int32_t set_expire_ts_seconds;
    bool return_check_value;
};

struct check_and_set_response {
    uint64_t set;
    int32_t error;
    bool check_value_returned;
    bool check_value_exist;
    struct slice check_value; /* As it was before the write. */
    int32_t app_id;
    int32_t partition_index;
    int64_t decree;
    struct slice server;
};

struct mutate {
    uint64_t set;
    int32_t operation; /* enum mutate_operation. */
    struct slice sort_key;
    struct slice value;
    int32_t set_expire_ts_seconds;
};

struct mutate_list {
    struct mutate *items;
    uint32_t count;
};

struct check_and_mutate_request {
    uint64_t set;
    struct slice hash_key;
    struct slice check_sort_key;
    int32_t check_type; /* enum cas_check_type. */
    struct slice check_operand;
    struct mutate_list mutate_list; /* Applied in this order. */
    bool return_check_value;
};

struct check_and_mutate_response {
    uint64_t set;
    int32_t error;
    bool check_value_returned;
    bool check_value_exist;
    struct slice check_value; /* As it was before the write. */
    int32_t app_id;
    int32_t partition_index;
    int64_t decree;
    struct slice server;
};

/* ---- Reads ----------------------------------------------------------------------------------- */

/* GET. */
struct read_response {
    uint64_t set;
    int32_t error;
    struct slice value; /* Empty, but there, when not found. */
    int32_t app_id;
    int32_t partition_index;
    struct slice server;
};

struct ttl_response {
    uint64_t set;
    int32_t error;
    int32_t ttl_seconds; /* Left to live; -1: forever. */
    int32_t app_id;
    int32_t partition_index;
    struct slice server;
};

struct full_key {
    uint64_t set;
    struct slice hash_key;
    struct slice sort_key;
};

struct full_key_list {
    struct full_key *items;
    uint32_t count;
};

struct full_data {
    uint64_t set;
    struct slice hash_key;
    struct slice sort_key;
    struct slice value;
};

struct full_data_list {
    struct full_data *items;
    uint32_t count;
};

struct batch_get_request {
    uint64_t set;
    struct full_key_list keys;
};

struct batch_get_response {
    uint64_t set;
    int32_t error;
    struct full_data_list data; /* Those that were found, in the order asked for. */
    int32_t app_id;
    int32_t partition_index;
    struct slice server;
};

struct multi_get_request {
    uint64_t set;
    struct slice hash_key;
    struct blob_list sort_keys; /* Empty: the range below. */
    int32_t max_kv_count;       /* 0 or less: no limit. */
    int32_t max_kv_size;        /* Bytes; 0 or less: no limit. */
    bool no_value;
    struct slice start_sortkey;
    struct slice stop_sortkey; /* Empty: to the end of the hash key. */
    bool start_inclusive;
    bool stop_inclusive;
    int32_t sort_key_filter_type; /* enum filter_type. */
    struct slice sort_key_filter_pattern;
    bool reverse;
};

struct multi_get_response {
    uint64_t set;
    int32_t error;
    struct key_value_list kvs;
    int32_t app_id;
    int32_t partition_index;
    struct slice server;
};

/* SORTKEY_COUNT. */
struct count_response {
    uint64_t set;
    int32_t error;
    int64_t count; /* -1: it took too long. */
    int32_t app_id;
    int32_t partition_index;
    struct slice server;
};

/* ---- Scans ----------------------------------------------------------------------------------- */

enum {
    GET_SCANNER_REQUEST_HAS_VALIDATE_PARTITION_HASH = 1 << 0,
    GET_SCANNER_REQUEST_HAS_RETURN_EXPIRE_TS = 1 << 1,
    GET_SCANNER_REQUEST_HAS_FULL_SCAN = 1 << 2,
    GET_SCANNER_REQUEST_HAS_ONLY_RETURN_COUNT = 1 << 3,
};

struct get_scanner_request {
    uint64_t set;
    struct slice start_key; /* Raw. */
    struct slice stop_key;  /* Raw. */
    bool start_inclusive;
    bool stop_inclusive;
    int32_t batch_size; /* Records per answer; 0 or less: the server's choice. */
    bool no_value;
    int32_t hash_key_filter_type; /* enum filter_type. */
    struct slice hash_key_filter_pattern;
    int32_t sort_key_filter_type; /* enum filter_type. */
    struct slice sort_key_filter_pattern;
    bool validate_partition_hash; /* Absent means true. */
    bool return_expire_ts;        /* Absent means false, as with the two below. */
    bool full_scan;
    bool only_return_count;
};

struct scan_request {
    uint64_t set;
    int64_t context_id;
};

enum { SCAN_RESPONSE_HAS_KV_COUNT = 1 << 0 };

/* GET_SCANNER and SCAN. */
struct scan_response {
    uint64_t set;
    int32_t error;
    struct key_value_list kvs; /* Keys are raw. */
    int64_t context_id;        /* For the next SCAN, or SCAN_CONTEXT_DONE. */
    int32_t app_id;
    int32_t partition_index;
    struct slice server;
    int32_t kv_count; /* With only_return_count. */
};

extern const struct schema update_request_schema;
extern const struct schema update_response_schema;
extern const struct schema key_value_schema;
extern const struct schema multi_put_request_schema;
extern const struct schema multi_remove_request_schema;
extern const struct schema multi_remove_response_schema;
extern const struct schema incr_request_schema;
extern const struct schema incr_response_schema;
extern const struct schema check_and_set_request_schema;
extern const struct schema check_and_set_response_schema;
extern const struct schema mutate_schema;
extern const struct schema check_and_mutate_request_schema;
extern const struct schema check_and_mutate_response_schema;
extern const struct schema read_response_schema;
extern const struct schema ttl_response_schema;
extern const struct schema full_key_schema;
extern const struct schema full_data_schema;
extern const struct schema batch_get_request_schema;
extern const struct schema batch_get_response_schema;
extern const struct schema multi_get_request_schema;
extern const struct schema multi_get_response_schema;
extern const struct schema count_response_schema;
extern const struct schema get_scanner_request_schema;
extern const struct schema scan_request_schema;
extern const struct schema scan_response_schema;
