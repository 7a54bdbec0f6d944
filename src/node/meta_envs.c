/* src/node/meta_envs.c: what a table's operator can set: environment variables, manual compaction,
 * the number of replicas (docs/meta.md, rules M14, M15 and M32). */
#include <stdio.h>

#include "node/meta_service_impl.h"

#define NAME(text) (int)((text).size < 128 ? (text).size : 128), (const char *)(text).data

enum { HINT_SIZE = 256 }; /* Bytes. */

/* A hint that lives as long as the request. */
static struct slice keep(struct rpc_request *request, const char *text)
{
    struct slice hint = slice_str(text);
    const void *copy = arena_copy(&request->arena, hint.data, hint.size);
    return copy != NULL ? slice_of(copy, hint.size) : (struct slice){0};
}

/* ---- Environment variables ------------------------------------------------------------------- */

static void on_envs_updated(struct meta_service *s, struct rpc_request *request, const void *args,
                            const struct meta_result *result)
{
    (void)s, (void)args;
    struct update_app_env_response response = {
        .err = wire_error_name(result->err),
        .hint_message = result->hint,
    };
    meta_reply(request, &response);
}

static void refuse_env(struct rpc_request *request, const char *hint)
{
    struct update_app_env_response response = {
        .err = wire_error_name(WIRE_ERR_INVALID_PARAMETERS),
        .hint_message = slice_str(hint),
    };
    meta_reply(request, &response);
}

static void set_envs(struct meta_service *s, struct rpc_request *request,
                     const struct update_app_env_request *asked)
{
    struct string_map envs = {0};
    if (asked->keys.count == 0 || asked->keys.count != asked->values.count) {
        refuse_env(request, "");
        return;
    }
    envs.items = arena_array(&request->arena, asked->keys.count, sizeof *envs.items);
    if (envs.items == NULL) {
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
        return;
    }
    for (; envs.count < asked->keys.count; envs.count++)
        envs.items[envs.count] =
            (struct string_pair){asked->keys.items[envs.count], asked->values.items[envs.count]};
    struct meta_command command = {
        .type = META_ENVS_SET,
        .envs_set = {.table = asked->app_name, .envs = envs},
    };
    meta_propose(s, request, asked, &command, on_envs_updated);
}

static void delete_envs(struct meta_service *s, struct rpc_request *request,
                        const struct update_app_env_request *asked)
{
    struct meta_command command = {
        .type = META_ENVS_DELETE,
        .envs_delete = {.table = asked->app_name, .keys = asked->keys},
    };
    if (asked->keys.count == 0) refuse_env(request, "");
    else meta_propose(s, request, asked, &command, on_envs_updated);
}

static void clear_envs(struct meta_service *s, struct rpc_request *request,
                       const struct update_app_env_request *asked)
{
    struct meta_command command = {
        .type = META_ENVS_CLEAR,
        .envs_clear = {.table = asked->app_name, .prefix = asked->clear_prefix},
    };
    if ((asked->set & UPDATE_APP_ENV_REQUEST_HAS_CLEAR_PREFIX) == 0) refuse_env(request, "");
    else meta_propose(s, request, asked, &command, on_envs_updated);
}

void meta_update_app_env(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct update_app_env_request *asked = args;
    switch (asked->op) {
    case APP_ENV_OP_SET: set_envs(s, request, asked); break;
    case APP_ENV_OP_DEL: delete_envs(s, request, asked); break;
    case APP_ENV_OP_CLEAR: clear_envs(s, request, asked); break;
    default:
        refuse_env(request, "recv a invalid update_app_env request with op = APP_ENV_OP_INVALID");
        break;
    }
}

/* ---- Manual compaction ----------------------------------------------------------------------- */

static void reply_compact(struct rpc_request *request, enum wire_error err, const char *hint)
{
    struct start_manual_compact_response response = {
        .err = wire_error_name(err),
        .hint_msg = slice_str(hint),
    };
    meta_reply(request, &response);
}

static void on_compact_told(struct meta_service *s, struct rpc_request *request, const void *args,
                            const struct meta_result *result)
{
    (void)s, (void)args;
    if (result->err == WIRE_ERR_OK) {
        reply_compact(request, WIRE_ERR_OK, "succeed");
        return;
    }
    struct start_manual_compact_response response = {
        .err = wire_error_name(result->err),
        .hint_msg = result->hint,
    };
    meta_reply(request, &response);
}

/* NULL, or what is wrong with the wish, in 'text'. */
static enum wire_error check_compact(const struct meta *m,
                                     const struct start_manual_compact_request *asked, char *text)
{
    const struct meta_table *t = meta_table_by_name(m, asked->app_name);
    text[0] = '\0';
    if (t == NULL) {
        (void)snprintf(text, HINT_SIZE, "app %.*s is not existed", NAME(asked->app_name));
        return WIRE_ERR_APP_NOT_EXIST;
    }
    if (meta_compaction(t, 0, 0).is_disabled) {
        (void)snprintf(text, HINT_SIZE, "app %s disable manual compaction", t->name);
        return WIRE_ERR_OPERATION_DISABLED;
    }
    if (asked->target_level < -1) {
        (void)snprintf(text, HINT_SIZE,
                       "invalid target_level(%d), should in range of [-1, num_levels]",
                       asked->target_level);
        return WIRE_ERR_INVALID_PARAMETERS;
    }
    if (asked->max_running_count < 0) {
        (void)snprintf(text, HINT_SIZE, "invalid max_running_count(%d), should be greater than 0",
                       asked->max_running_count);
        return WIRE_ERR_INVALID_PARAMETERS;
    }
    return WIRE_ERR_OK;
}

static struct string_pair number_pair(struct rpc_request *request, const char *key, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return (struct string_pair){slice_str(key), keep(request, text)};
}

/* A compaction is asked for by variables: replicas see them and start. */
void meta_start_manual_compact(struct meta_service *s, struct rpc_request *request,
                               const void *args)
{
    struct start_manual_compact_request asked = *(const struct start_manual_compact_request *)args;
    char hint[HINT_SIZE];
    int64_t now_s = (int64_t)(io_now(s->node->io).wall_us / 1000000);
    if ((asked.set & START_MANUAL_COMPACT_REQUEST_HAS_TRIGGER_TIME) == 0)
        asked.trigger_time = now_s;
    if ((asked.set & START_MANUAL_COMPACT_REQUEST_HAS_TARGET_LEVEL) == 0) asked.target_level = -1;
    enum wire_error err = check_compact(s->node->meta, &asked, hint);
    if (err != WIRE_ERR_OK) {
        reply_compact(request, err, hint);
        return;
    }
    struct string_pair pairs[] = {
        number_pair(request, "manual_compact.once.target_level",
                    asked.target_level == 0 ? -1 : asked.target_level),
        {slice_str("manual_compact.once.bottommost_level_compaction"),
         slice_str(asked.bottommost ? "force" : "skip")},
        number_pair(request, "manual_compact.once.trigger_time", asked.trigger_time),
        number_pair(request, "manual_compact.max_concurrent_running_count",
                    asked.max_running_count),
    };
    struct meta_command command = {
        .type = META_ENVS_SET,
        .envs_set = {.table = asked.app_name, .envs = {pairs, asked.max_running_count > 0 ? 4 : 3}},
    };
    meta_propose(s, request, args, &command, on_compact_told);
}

static void reply_progress(struct rpc_request *request, enum wire_error err, const char *hint,
                           int percent)
{
    struct query_manual_compact_response response = {
        .set = percent >= 0 ? QUERY_MANUAL_COMPACT_RESPONSE_HAS_PROGRESS : 0,
        .err = wire_error_name(err),
        .hint_msg = slice_str(hint),
        .progress = percent,
    };
    meta_reply(request, &response);
}

void meta_query_manual_compact(struct meta_service *s, struct rpc_request *request,
                               const void *args)
{
    const struct query_manual_compact_request *asked = args;
    const struct meta_table *t = meta_table_by_name(s->node->meta, asked->app_name);
    int percent = t != NULL ? control_compact_progress(s->node, t) : -1;
    char hint[HINT_SIZE] = "";
    enum wire_error err = WIRE_ERR_OK;
    if (t == NULL) {
        err = WIRE_ERR_APP_NOT_EXIST;
        (void)snprintf(hint, sizeof hint, "app %.*s is not existed", NAME(asked->app_name));
    } else if (percent < 0) {
        err = WIRE_ERR_INVALID_STATE;
        (void)snprintf(hint, sizeof hint, "app %s is not manual compaction", t->name);
    }
    reply_progress(request, err, hint, percent);
}

/* ---- How many replicas ----------------------------------------------------------------------- */

static struct slice unknown_table(struct rpc_request *request, struct slice name)
{
    char text[HINT_SIZE];
    (void)snprintf(text, sizeof text, "app(%.*s) does not exist", NAME(name));
    return keep(request, text);
}

void meta_get_max_replica_count(struct meta_service *s, struct rpc_request *request,
                                const void *args)
{
    const struct get_max_replica_count_request *asked = args;
    const struct meta_table *t = meta_table_by_name(s->node->meta, asked->app_name);
    struct get_max_replica_count_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    if (t != NULL) {
        response.max_replica_count = t->max_replica_count;
    } else {
        response.err = wire_error_name(WIRE_ERR_APP_NOT_EXIST);
        response.hint_message = unknown_table(request, asked->app_name);
    }
    meta_reply(request, &response);
}

static void on_replicas_set(struct meta_service *s, struct rpc_request *request, const void *args,
                            const struct meta_result *result)
{
    (void)s, (void)args;
    struct set_max_replica_count_response response = {
        .err = wire_error_name(result->err),
        .old_max_replica_count = result->old_value,
        .hint_message = result->hint,
    };
    meta_reply(request, &response);
}

static const char *const frozen_hint =
    "current meta function level is freezed, since there are too few alive nodes";

void meta_set_max_replica_count(struct meta_service *s, struct rpc_request *request,
                                const void *args)
{
    const struct set_max_replica_count_request *asked = args;
    if (meta_is_frozen(s)) {
        struct set_max_replica_count_response response = {
            .err = wire_error_name(WIRE_ERR_STATE_FREEZED),
            .hint_message = slice_str(frozen_hint),
        };
        meta_reply(request, &response);
        return;
    }
    struct meta_command command = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = asked->app_name, .count = asked->max_replica_count},
    };
    meta_propose(s, request, args, &command, on_replicas_set);
}

/* ---- Atomic operations ----------------------------------------------------------------------- */

void meta_get_atomic_idempotent(struct meta_service *s, struct rpc_request *request,
                                const void *args)
{
    const struct get_atomic_idempotent_request *asked = args;
    struct get_atomic_idempotent_response response = {
        .err = wire_error_name(WIRE_ERR_OK),
        .atomic_idempotent = true,
    };
    if (meta_table_by_name(s->node->meta, asked->app_name) == NULL) {
        response = (struct get_atomic_idempotent_response){
            .err = wire_error_name(WIRE_ERR_APP_NOT_EXIST),
            .hint_message = unknown_table(request, asked->app_name),
        };
    }
    meta_reply(request, &response);
}

/* It is always so here, and cannot be switched off. */
void meta_set_atomic_idempotent(struct meta_service *s, struct rpc_request *request,
                                const void *args)
{
    const struct set_atomic_idempotent_request *asked = args;
    struct set_atomic_idempotent_response response = {.old_atomic_idempotent = true};
    enum wire_error err = WIRE_ERR_OK;
    if (meta_table_by_name(s->node->meta, asked->app_name) == NULL) {
        err = WIRE_ERR_APP_NOT_EXIST;
        response.old_atomic_idempotent = false;
        response.hint_message = unknown_table(request, asked->app_name);
    } else if (meta_is_frozen(s)) {
        err = WIRE_ERR_STATE_FREEZED;
        response.hint_message = slice_str(frozen_hint);
    } else if (asked->atomic_idempotent) {
        response.hint_message =
            slice_str("no need to update atomic_idempotent since it's unchanged");
    } else {
        err = WIRE_ERR_OPERATION_DISABLED;
        response.hint_message = slice_str("atomic operations are always idempotent here");
    }
    response.err = wire_error_name(err);
    meta_reply(request, &response);
}
