/* src/wire/rpc_names.h: every rpc that we speak: its name on the wire, its kind, its two messages.
 *
 * The order is that of how often we meet them: finding a name looks at its size first and at the
 * frequent ones first. A reply is called as its request, with "_ACK" behind it. Pure. */
#pragma once
#include "wire/messages.h"

enum rpc_kind {
    RPC_KIND_READ,   /* Records of one partition: a point, or a few points. */
    RPC_KIND_WRITE,  /* Records of one partition, in order with other writes. */
    RPC_KIND_SCAN,   /* Records of one partition: a range. */
    RPC_KIND_META,   /* The cluster's state: the leader of the meta group answers. */
    RPC_KIND_ADMIN,  /* One server about itself. */
    RPC_KIND_PIRENE, /* Ours: Pegasus does not know them. */
    RPC_KIND_PEER,   /* From server to server of one cluster. */
};

/* code, name on the wire, kind, request, reply. A request or reply is x of x_schema; bare_* travel
 * without a struct around them. RPC_CLEAR_SCANNER is never answered on THFT (W11). */
#define RPC_MAP(X)                                                                                 \
    X(GET, "RPC_RRDB_RRDB_GET", READ, bare_blob, read_response)                                    \
    X(PUT, "RPC_RRDB_RRDB_PUT", WRITE, update_request, update_response)                            \
    X(DUPLICATE, "RPC_RRDB_RRDB_DUPLICATE", WRITE, duplicate_request, duplicate_response)          \
    X(MULTI_GET, "RPC_RRDB_RRDB_MULTI_GET", SCAN, multi_get_request, multi_get_response)           \
    X(MULTI_PUT, "RPC_RRDB_RRDB_MULTI_PUT", WRITE, multi_put_request, update_response)             \
    X(REMOVE, "RPC_RRDB_RRDB_REMOVE", WRITE, bare_blob, update_response)                           \
    X(INCR, "RPC_RRDB_RRDB_INCR", WRITE, incr_request, incr_response)                              \
    X(BATCH_GET, "RPC_RRDB_RRDB_BATCH_GET", READ, batch_get_request, batch_get_response)           \
    X(TTL, "RPC_RRDB_RRDB_TTL", READ, bare_blob, ttl_response)                                     \
    X(SCAN, "RPC_RRDB_RRDB_SCAN", SCAN, scan_request, scan_response)                               \
    X(GET_SCANNER, "RPC_RRDB_RRDB_GET_SCANNER", SCAN, get_scanner_request, scan_response)          \
    X(CLEAR_SCANNER, "RPC_RRDB_RRDB_CLEAR_SCANNER", SCAN, bare_i64, bare_nothing)                  \
    X(MULTI_REMOVE, "RPC_RRDB_RRDB_MULTI_REMOVE", WRITE, multi_remove_request,                     \
      multi_remove_response)                                                                       \
    X(CHECK_AND_SET, "RPC_RRDB_RRDB_CHECK_AND_SET", WRITE, check_and_set_request,                  \
      check_and_set_response)                                                                      \
    X(CHECK_AND_MUTATE, "RPC_RRDB_RRDB_CHECK_AND_MUTATE", WRITE, check_and_mutate_request,         \
      check_and_mutate_response)                                                                   \
    X(SORTKEY_COUNT, "RPC_RRDB_RRDB_SORTKEY_COUNT", SCAN, bare_blob, count_response)               \
                                                                                                   \
    X(QUERY_CONFIG, "RPC_CM_QUERY_PARTITION_CONFIG_BY_INDEX", META, query_config_request,          \
      query_config_response)                                                                       \
    X(CREATE_APP, "RPC_CM_CREATE_APP", META, create_app_request, create_app_response)              \
    X(DROP_APP, "RPC_CM_DROP_APP", META, drop_app_request, drop_app_response)                      \
    X(RECALL_APP, "RPC_CM_RECALL_APP", META, recall_app_request, recall_app_response)              \
    X(RENAME_APP, "RPC_CM_RENAME_APP", META, rename_app_request, rename_app_response)              \
    X(LIST_APPS, "RPC_CM_LIST_APPS", META, list_apps_request, list_apps_response)                  \
    X(LIST_NODES, "RPC_CM_LIST_NODES", META, list_nodes_request, list_nodes_response)              \
    X(CLUSTER_INFO, "RPC_CM_CLUSTER_INFO", META, cluster_info_request, cluster_info_response)      \
    X(CONTROL_META, "RPC_CM_CONTROL_META", META, control_meta_request, control_meta_response)      \
    X(UPDATE_APP_ENV, "RPC_CM_UPDATE_APP_ENV", META, update_app_env_request,                       \
      update_app_env_response)                                                                     \
    X(ADD_DUPLICATION, "RPC_CM_ADD_DUPLICATION", META, add_duplication_request,                    \
      add_duplication_response)                                                                    \
    X(MODIFY_DUPLICATION, "RPC_CM_MODIFY_DUPLICATION", META, modify_duplication_request,           \
      modify_duplication_response)                                                                 \
    X(QUERY_DUPLICATION, "RPC_CM_QUERY_DUPLICATION", META, query_duplication_request,              \
      query_duplication_response)                                                                  \
    X(LIST_DUPLICATION, "RPC_CM_LIST_DUPLICATION", META, list_duplication_request,                 \
      list_duplication_response)                                                                   \
    X(DUPLICATION_SYNC, "RPC_CM_DUPLICATION_SYNC", META, duplication_sync_request,                 \
      duplication_sync_response)                                                                   \
    X(PROPOSE_BALANCER, "RPC_CM_PROPOSE_BALANCER", META, propose_balancer_request,                 \
      propose_balancer_response)                                                                   \
    X(START_MANUAL_COMPACT, "RPC_CM_START_MANUAL_COMPACT", META, start_manual_compact_request,     \
      start_manual_compact_response)                                                               \
    X(QUERY_MANUAL_COMPACT, "RPC_CM_QUERY_MANUAL_COMPACT_STATUS", META,                            \
      query_manual_compact_request, query_manual_compact_response)                                 \
    X(GET_MAX_REPLICA_COUNT, "RPC_CM_GET_MAX_REPLICA_COUNT", META, get_max_replica_count_request,  \
      get_max_replica_count_response)                                                              \
    X(SET_MAX_REPLICA_COUNT, "RPC_CM_SET_MAX_REPLICA_COUNT", META, set_max_replica_count_request,  \
      set_max_replica_count_response)                                                              \
    X(GET_ATOMIC_IDEMPOTENT, "RPC_CM_GET_ATOMIC_IDEMPOTENT", META, get_atomic_idempotent_request,  \
      get_atomic_idempotent_response)                                                              \
    X(SET_ATOMIC_IDEMPOTENT, "RPC_CM_SET_ATOMIC_IDEMPOTENT", META, set_atomic_idempotent_request,  \
      set_atomic_idempotent_response)                                                              \
    X(DDD_DIAGNOSE, "RPC_CM_DDD_DIAGNOSE", META, ddd_diagnose_request, ddd_diagnose_response)      \
                                                                                                   \
    X(QUERY_DISK_INFO, "RPC_QUERY_DISK_INFO", ADMIN, query_disk_info_request,                      \
      query_disk_info_response)                                                                    \
    X(QUERY_REPLICA_INFO, "RPC_QUERY_REPLICA_INFO", ADMIN, query_replica_info_request,             \
      query_replica_info_response)                                                                 \
    X(QUERY_APP_INFO, "RPC_QUERY_APP_INFO", ADMIN, query_app_info_request,                         \
      query_app_info_response)                                                                     \
    X(CLI_CALL, "RPC_CLI_CLI_CALL", ADMIN, command, bare_string)                                   \
    X(NEGOTIATION, "RPC_NEGOTIATION", ADMIN, negotiation_request, negotiation_response)            \
                                                                                                   \
    X(HELLO, "RPC_PIRENE_HELLO", PIRENE, hello_request, hello_response)                            \
    X(DUP_STATUS, "RPC_PIRENE_DUP_STATUS", PIRENE, dup_status_request, dup_status_response)        \
    X(DUP_WAIT, "RPC_PIRENE_DUP_WAIT", PIRENE, dup_wait_request, dup_wait_response)                \
    X(DIGEST, "RPC_PIRENE_DIGEST", PIRENE, digest_request, digest_response)                        \
    X(BEACON, "RPC_PIRENE_BEACON", META, beacon_request, beacon_response)                          \
    X(FOLLOW, "RPC_PIRENE_FOLLOW", META, follow_request, follow_response)                          \
    X(REPLICATE, "RPC_PIRENE_REPLICATE", PEER, replicate_request, replicate_response)              \
    X(LEARN, "RPC_PIRENE_LEARN", PEER, learn_request, learn_response)                              \
    X(LEARN_READ, "RPC_PIRENE_LEARN_READ", PEER, learn_read_request, learn_read_response)          \
    X(PROPOSE, "RPC_PIRENE_PROPOSE", META, propose_request, propose_response)                      \
    X(CENSUS, "RPC_PIRENE_CENSUS", META, census_request, census_response)                          \
    X(DRAIN, "RPC_PIRENE_DRAIN", META, drain_request, drain_response)

enum rpc_code {
    RPC_UNKNOWN, /* A name that is not in the table. */
#define X(code, name, kind, request, response) RPC_##code,
    RPC_MAP(X)
#undef X
        RPC_CODE_COUNT,
};

struct rpc_info {
    struct slice name; /* As on the wire; a constant of the program. */
    enum rpc_kind kind;
    const struct schema *request;
    const struct schema *response;
};

/* What there is to know about a code other than RPC_UNKNOWN. */
const struct rpc_info *rpc_info(enum rpc_code code);

/* The code of a request's name, or RPC_UNKNOWN. */
enum rpc_code rpc_find(struct slice name);
