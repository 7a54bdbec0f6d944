/* src/node/meta_service_impl.h: what the files of the meta service share; included by them only. */
#pragma once
#include "core/fd/fd.h"
#include "core/meta/cure.h"
#include "node/meta_service.h"
#include "node/node_impl.h"

struct meta_service {
    struct node *node;
    int32_t level; /* enum meta_function_level: how much is done without being asked. Not kept. */
    struct io_timer purge_timer;
    struct fd_watch watch; /* meta_beacon.c: who is alive. */
    struct io_timer watch_timer;
    struct cure cure; /* meta_cure.c: which partitions lack members. */
    struct io_timer cure_timer;
    bool is_curing, is_cure_due; /* It has begun, as we lead; it is to be asked in the next turn. */
    struct list_node intros;     /* meta_intro.c. */
    struct list_node
        followers; /* meta_follow.c: questions of nodes, waiting for something to happen. */
    uint32_t follower_count;
    uint32_t busy; /* Requests and introductions under way that point here. */
    bool is_closing;
    void (*on_closed)(void *context);
    void *closed_context;
    struct io_post closed_post;
};

/* Serve a request whose arguments were read into 'args'. Ends it now or later. */
typedef void meta_rpc(struct meta_service *s, struct rpc_request *request, const void *args);

/* meta_tables.c */
meta_rpc meta_query_config, meta_create_app, meta_drop_app, meta_recall_app, meta_rename_app;
meta_rpc meta_list_apps;
/* meta_cluster.c */
meta_rpc meta_list_nodes, meta_cluster_info, meta_control_meta, meta_propose_balancer;
meta_rpc meta_drain;
/* meta_ddd.c */
meta_rpc meta_ddd_diagnose;
/* meta_census.c */
meta_rpc meta_census;
/* meta_envs.c */
meta_rpc meta_update_app_env, meta_start_manual_compact, meta_query_manual_compact;
meta_rpc meta_get_max_replica_count, meta_set_max_replica_count;
meta_rpc meta_get_atomic_idempotent, meta_set_atomic_idempotent;
/* meta_dups.c */
meta_rpc meta_add_duplication, meta_modify_duplication, meta_query_duplication;
meta_rpc meta_list_duplication;

/* meta_follow.c */
meta_rpc meta_follow, meta_propose_for;

/* meta_beacon.c */
meta_rpc meta_beacon;

/* Whom the state takes for alive may have changed. */
void meta_watch_sync(struct meta_service *s);
void meta_watch_open(struct meta_service *s);
void meta_watch_close(struct meta_service *s);

/* meta_cure.c: the state or the level has changed: look for partitions that lack members, once this turn is
 * over. */
void meta_cure_sync(struct meta_service *s);
void meta_cure_open(struct meta_service *s);
void meta_cure_close(struct meta_service *s);

/* Answer the questions that wait: something has happened, or the service closes. */
void meta_followers_tell(struct meta_service *s);

/* ---- meta_service.c ---- */

/* What a request is refused with when its proposal ended so. */
enum wire_error meta_error_of(int rc);

/* Every response begins like this. */
struct meta_response {
    uint64_t set;
    struct slice err;
};

/* End the request with its own kind of response. */
void meta_reply(struct rpc_request *request, const void *response);

/* End it with nothing in the response but the error. */
void meta_refuse(struct rpc_request *request, enum wire_error err);

/* Propose a command, and when the group has decided, have 'reply' end the request. 'args' are those
 * of the request. When the group could not decide the request is ended with that. */
typedef void meta_decided(struct meta_service *s, struct rpc_request *request, const void *args,
                          const struct meta_result *result);
void meta_propose(struct meta_service *s, struct rpc_request *request, const void *args,
                  struct meta_command *command, meta_decided *reply);

/* Does 'name' match, as Pegasus matches names? Returns WIRE_ERR_OK and sets '*matches'; or
 * WIRE_ERR_NOT_IMPLEMENTED, and '*hint' says why. */
enum wire_error meta_name_matches(int32_t match_type, struct slice pattern, const char *name,
                                  bool *matches, const char **hint);

/* "freezed" or less: the cluster is not to be changed. */
static inline bool meta_is_frozen(const struct meta_service *s)
{
    return s->level <= FL_FREEZED;
}

/* True: who says this uuid belongs to another cluster; 0: it does not know yet (M34). */
static inline bool meta_is_stranger(const struct meta_service *s, int64_t cluster_uuid)
{
    return cluster_uuid != 0 && (uint64_t)cluster_uuid != s->node->meta->cluster_uuid;
}

/* One less to wait for; frees a service that is closing when it was the last. */
void meta_service_release(struct meta_service *s);

/* ---- meta_tables.c ---- */

/* Who has a partition; lists are in 'arena'. False: no memory. */
bool meta_place_fill(const struct meta *m, const struct meta_table *t, uint32_t index,
                     struct arena *arena, struct partition_configuration *to);

/* All that is said about a table; lists are in 'arena'. False: no memory. */
bool meta_table_info(const struct meta_table *t, struct arena *arena, struct app_info *to);

/* ---- meta_cluster.c ---- */

/* A node's address in both forms; nobody for an id that is unknown. 'host' is in 'arena'. */
struct rpc_address meta_address_of(const struct meta *m, uint64_t node_id);
struct host_port meta_host_port_of(const struct meta *m, uint64_t node_id, struct arena *arena);

/* ---- meta_intro.c ---- */

/* Begin an introduction for each duplication that needs one, end those that none needs any more. */
void meta_intro_sync(struct meta_service *s);
void meta_intro_close_all(struct meta_service *s);
