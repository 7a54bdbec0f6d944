/* src/wire/error.h: the error names that travel: in frames, and in 'err' fields of results.
 *
 * On the wire an error is its name ("ERR_OK"). The numbers are Pegasus's, in the order in which it
 * registers them; they travel nowhere that we go. Some names are unknown to clients on THFT, and an
 * unknown name costs such a client its connection: the writer replaces them (W9).
 * Source: docs/wire.md, rule W9. Pure. */
#pragma once
#include "base/slice.h"

/* name, number, what a THFT client is told instead. */
#define WIRE_ERROR_MAP(X)                                                                          \
    X(ERR_OK, 0, ERR_OK)                                                                           \
    X(ERR_UNKNOWN, 1, ERR_UNKNOWN)                                                                 \
    X(ERR_SERVICE_NOT_FOUND, 2, ERR_SERVICE_NOT_FOUND)                                             \
    X(ERR_SERVICE_ALREADY_RUNNING, 3, ERR_SERVICE_ALREADY_RUNNING)                                 \
    X(ERR_IO_PENDING, 4, ERR_IO_PENDING)                                                           \
    X(ERR_TIMEOUT, 5, ERR_TIMEOUT)                                                                 \
    X(ERR_SERVICE_NOT_ACTIVE, 6, ERR_SERVICE_NOT_ACTIVE)                                           \
    X(ERR_BUSY, 7, ERR_BUSY)                                                                       \
    X(ERR_NETWORK_INIT_FAILED, 8, ERR_NETWORK_INIT_FAILED)                                         \
    X(ERR_FORWARD_TO_OTHERS, 9, ERR_FORWARD_TO_OTHERS)                                             \
    X(ERR_OBJECT_NOT_FOUND, 10, ERR_OBJECT_NOT_FOUND)                                              \
    X(ERR_HANDLER_NOT_FOUND, 11, ERR_HANDLER_NOT_FOUND)                                            \
    X(ERR_LEARN_FILE_FAILED, 12, ERR_LEARN_FILE_FAILED)                                            \
    X(ERR_GET_LEARN_STATE_FAILED, 13, ERR_GET_LEARN_STATE_FAILED)                                  \
    X(ERR_INVALID_VERSION, 14, ERR_INVALID_VERSION)                                                \
    X(ERR_INVALID_PARAMETERS, 15, ERR_INVALID_PARAMETERS)                                          \
    X(ERR_CAPACITY_EXCEEDED, 16, ERR_CAPACITY_EXCEEDED)                                            \
    X(ERR_INVALID_STATE, 17, ERR_INVALID_STATE)                                                    \
    X(ERR_INACTIVE_STATE, 18, ERR_INACTIVE_STATE)                                                  \
    X(ERR_NOT_ENOUGH_MEMBER, 19, ERR_NOT_ENOUGH_MEMBER)                                            \
    X(ERR_FILE_OPERATION_FAILED, 20, ERR_FILE_OPERATION_FAILED)                                    \
    X(ERR_HANDLE_EOF, 21, ERR_HANDLE_EOF)                                                          \
    X(ERR_WRONG_CHECKSUM, 22, ERR_WRONG_CHECKSUM)                                                  \
    X(ERR_INVALID_DATA, 23, ERR_INVALID_DATA)                                                      \
    X(ERR_INVALID_HANDLE, 24, ERR_INVALID_HANDLE)                                                  \
    X(ERR_INCOMPLETE_DATA, 25, ERR_INCOMPLETE_DATA)                                                \
    X(ERR_VERSION_OUTDATED, 26, ERR_VERSION_OUTDATED)                                              \
    X(ERR_PATH_NOT_FOUND, 27, ERR_PATH_NOT_FOUND)                                                  \
    X(ERR_PATH_ALREADY_EXIST, 28, ERR_PATH_ALREADY_EXIST)                                          \
    X(ERR_ADDRESS_ALREADY_USED, 29, ERR_ADDRESS_ALREADY_USED)                                      \
    X(ERR_STATE_FREEZED, 30, ERR_STATE_FREEZED)                                                    \
    X(ERR_LOCAL_APP_FAILURE, 31, ERR_LOCAL_APP_FAILURE)                                            \
    X(ERR_BIND_IOCP_FAILED, 32, ERR_BIND_IOCP_FAILED)                                              \
    X(ERR_NETWORK_START_FAILED, 33, ERR_NETWORK_START_FAILED)                                      \
    X(ERR_NOT_IMPLEMENTED, 34, ERR_NOT_IMPLEMENTED)                                                \
    X(ERR_CHECKPOINT_FAILED, 35, ERR_CHECKPOINT_FAILED)                                            \
    X(ERR_WRONG_TIMING, 36, ERR_WRONG_TIMING)                                                      \
    X(ERR_NO_NEED_OPERATE, 37, ERR_NO_NEED_OPERATE)                                                \
    X(ERR_CORRUPTION, 38, ERR_CORRUPTION)                                                          \
    X(ERR_TRY_AGAIN, 39, ERR_TRY_AGAIN)                                                            \
    X(ERR_CLUSTER_NOT_FOUND, 40, ERR_CLUSTER_NOT_FOUND)                                            \
    X(ERR_CLUSTER_ALREADY_EXIST, 41, ERR_CLUSTER_ALREADY_EXIST)                                    \
    X(ERR_SERVICE_ALREADY_EXIST, 42, ERR_SERVICE_ALREADY_EXIST)                                    \
    X(ERR_INJECTED, 43, ERR_INJECTED)                                                              \
    X(ERR_REPLICATION_FAILURE, 44, ERR_REPLICATION_FAILURE)                                        \
    X(ERR_APP_EXIST, 45, ERR_APP_EXIST)                                                            \
    X(ERR_APP_NOT_EXIST, 46, ERR_APP_NOT_EXIST)                                                    \
    X(ERR_BUSY_CREATING, 47, ERR_BUSY_CREATING)                                                    \
    X(ERR_BUSY_DROPPING, 48, ERR_BUSY_DROPPING)                                                    \
    X(ERR_NETWORK_FAILURE, 49, ERR_NETWORK_FAILURE)                                                \
    X(ERR_UNDER_RECOVERY, 50, ERR_UNDER_RECOVERY)                                                  \
    X(ERR_LEARNER_NOT_FOUND, 51, ERR_OBJECT_NOT_FOUND)                                             \
    X(ERR_OPERATION_DISABLED, 52, ERR_OPERATION_DISABLED)                                          \
    X(ERR_EXPIRED, 53, ERR_EXPIRED)                                                                \
    X(ERR_LOCK_ALREADY_EXIST, 54, ERR_LOCK_ALREADY_EXIST)                                          \
    X(ERR_HOLD_BY_OTHERS, 55, ERR_HOLD_BY_OTHERS)                                                  \
    X(ERR_RECURSIVE_LOCK, 56, ERR_RECURSIVE_LOCK)                                                  \
    X(ERR_NO_OWNER, 57, ERR_NO_OWNER)                                                              \
    X(ERR_NODE_ALREADY_EXIST, 58, ERR_NODE_ALREADY_EXIST)                                          \
    X(ERR_INCONSISTENT_STATE, 59, ERR_INCONSISTENT_STATE)                                          \
    X(ERR_ARRAY_INDEX_OUT_OF_RANGE, 60, ERR_ARRAY_INDEX_OUT_OF_RANGE)                              \
    X(ERR_DIR_NOT_EMPTY, 61, ERR_PATH_ALREADY_EXIST)                                               \
    X(ERR_FS_INTERNAL, 62, ERR_FILE_OPERATION_FAILED)                                              \
    X(ERR_IGNORE_BAD_DATA, 63, ERR_INVALID_DATA)                                                   \
    X(ERR_APP_DROPPED, 64, ERR_APP_DROPPED)                                                        \
    X(ERR_MOCK_INTERNAL, 65, ERR_UNKNOWN)                                                          \
    X(ERR_ZOOKEEPER_OPERATION, 66, ERR_ZOOKEEPER_OPERATION)                                        \
    X(ERR_CHILD_REGISTERED, 67, ERR_CHILD_REGISTERED)                                              \
    X(ERR_INGESTION_FAILED, 68, ERR_INGESTION_FAILED)                                              \
    X(ERR_UNAUTHENTICATED, 69, ERR_UNAUTHENTICATED)                                                \
    X(ERR_KRB5_INTERNAL, 70, ERR_KRB5_INTERNAL)                                                    \
    X(ERR_SASL_INTERNAL, 71, ERR_SASL_INTERNAL)                                                    \
    X(ERR_SASL_INCOMPLETE, 72, ERR_SASL_INCOMPLETE)                                                \
    X(ERR_ACL_DENY, 73, ERR_ACL_DENY)                                                              \
    X(ERR_SPLITTING, 74, ERR_SPLITTING)                                                            \
    X(ERR_PARENT_PARTITION_MISUSED, 75, ERR_PARENT_PARTITION_MISUSED)                              \
    X(ERR_CHILD_NOT_READY, 76, ERR_CHILD_NOT_READY)                                                \
    X(ERR_DISK_INSUFFICIENT, 77, ERR_DISK_INSUFFICIENT)                                            \
    X(ERR_RETRY_EXHAUSTED, 78, ERR_TIMEOUT)                                                        \
    X(ERR_SYNC_RANGER_POLICIES_FAILED, 79, ERR_UNKNOWN)                                            \
    X(ERR_RANGER_PARSE_ACL, 80, ERR_UNKNOWN)                                                       \
    X(ERR_RANGER_POLICIES_NO_NEED_UPDATE, 81, ERR_NO_NEED_OPERATE)                                 \
    X(ERR_RDB_CORRUPTION, 82, ERR_CORRUPTION)                                                      \
    X(ERR_DISK_IO_ERROR, 83, ERR_DISK_INSUFFICIENT)                                                \
    X(ERR_CURL_FAILED, 84, ERR_NETWORK_FAILURE)                                                    \
    X(ERR_DUP_EXIST, 85, ERR_CLUSTER_ALREADY_EXIST)                                                \
    X(ERR_HTTP_ERROR, 86, ERR_NETWORK_FAILURE)                                                     \
    X(ERR_NOT_MATCHED, 87, ERR_UNKNOWN)

enum wire_error {
#define X(name, number, thft) WIRE_##name = number,
    WIRE_ERROR_MAP(X)
#undef X
        WIRE_ERROR_COUNT,
};

/* The name, as a constant of the program; ERR_UNKNOWN for a number that has none. */
struct slice wire_error_name(enum wire_error error);

/* The error of that name; WIRE_ERR_UNKNOWN for a name we don't know. */
enum wire_error wire_error_find(struct slice name);

/* The nearest error that every client on THFT knows: itself for most. */
enum wire_error wire_error_for_thft(enum wire_error error);
