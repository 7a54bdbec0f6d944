/* src/node/meta_dups.c: arranging duplications (docs/meta.md, rules M16 to M21). How far they are
 * in this moment is not asked here but of the servers that ship (RPC_PIRENE_DUP_STATUS). */
#include "node/meta_service_impl.h"

/* ---- Add and modify -------------------------------------------------------------------------- */

static void on_dup_added(struct meta_service *s, struct rpc_request *request, const void *args,
                         const struct meta_result *result)
{
    (void)args;
    const struct meta_table *t = meta_table_by_id(s->node->meta, result->table_id);
    const struct meta_dup *dup = t != NULL ? meta_dup_by_id(t, result->dup_id) : NULL;
    struct add_duplication_response response = {
        .err = wire_error_name(result->err),
        .appid = result->table_id,
        .dupid = result->dup_id,
        .hint = result->hint,
    };
    if (result->hint.size > 0) response.set |= ADD_DUPLICATION_RESPONSE_HAS_HINT;
    if (dup != NULL) {
        response.set |= ADD_DUPLICATION_RESPONSE_HAS_REMOTE_APP_NAME |
                        ADD_DUPLICATION_RESPONSE_HAS_REMOTE_REPLICA_COUNT;
        response.remote_app_name = slice_str(dup->remote_table);
        response.remote_replica_count = dup->remote_replica_count;
    }
    meta_reply(request, &response);
}

/* What is absent means true, by the Go client's way of leaving defaults away. */
static bool wants_bootstrap(const struct add_duplication_request *asked)
{
    bool is_told = (asked->set & ADD_DUPLICATION_REQUEST_HAS_IS_DUPLICATING_CHECKPOINT) != 0;
    return !is_told || asked->is_duplicating_checkpoint;
}

void meta_add_duplication(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct add_duplication_request *asked = args;
    struct meta_command command = {
        .type = META_DUP_ADD,
        .dup_add = {.table = asked->app_name,
                    .remote = asked->remote_cluster_name,
                    .remote_table = asked->remote_app_name,
                    .remote_replica_count = asked->remote_replica_count,
                    .with_bootstrap = wants_bootstrap(asked)},
    };
    meta_propose(s, request, args, &command, on_dup_added);
}

static void on_dup_modified(struct meta_service *s, struct rpc_request *request, const void *args,
                            const struct meta_result *result)
{
    (void)s, (void)args;
    struct modify_duplication_response response = {
        .err = wire_error_name(result->err),
        .appid = result->table_id,
    };
    meta_reply(request, &response);
}

void meta_modify_duplication(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct modify_duplication_request *asked = args;
    bool has_status = (asked->set & MODIFY_DUPLICATION_REQUEST_HAS_STATUS) != 0;
    bool has_fail_mode = (asked->set & MODIFY_DUPLICATION_REQUEST_HAS_FAIL_MODE) != 0;
    struct meta_command command = {
        .type = META_DUP_MODIFY,
        .dup_modify = {.table = asked->app_name,
                       .dup_id = asked->dupid,
                       .status = has_status ? asked->status : -1,
                       .fail_mode = has_fail_mode ? asked->fail_mode : -1},
    };
    meta_propose(s, request, args, &command, on_dup_modified);
}

/* ---- Query and list -------------------------------------------------------------------------- */

/* What was committed is known to the server that ships, not here: -1 says so. */
static bool states_fill(const struct meta_table *t, const struct meta_dup *dup, struct arena *arena,
                        struct duplication_partition_state_map *to)
{
    to->items = arena_array(arena, t->partition_count, sizeof *to->items);
    if (to->items == NULL) return false;
    for (; to->count < t->partition_count; to->count++) {
        to->items[to->count].key = (int32_t)to->count;
        to->items[to->count].value = (struct duplication_partition_state){
            .confirmed_decree = dup->partitions[to->count].confirmed,
            .last_committed_decree = -1,
        };
    }
    return true;
}

static bool entry_fill(const struct meta_table *t, const struct meta_dup *dup, struct arena *arena,
                       struct duplication_entry *to)
{
    bool has_name = dup->remote_cluster[0] != '\0';
    *to = (struct duplication_entry){
        .set = DUPLICATION_ENTRY_HAS_FAIL_MODE | DUPLICATION_ENTRY_HAS_REMOTE_APP_NAME |
               DUPLICATION_ENTRY_HAS_REMOTE_REPLICA_COUNT | DUPLICATION_ENTRY_HAS_PARTITION_STATES |
               DUPLICATION_ENTRY_HAS_REMOTE_METAS,
        .dupid = dup->id,
        .status = (int32_t)dup->status,
        .remote = slice_str(has_name ? dup->remote_cluster : dup->remote_metas),
        .create_ts = dup->create_ms,
        .fail_mode = (int32_t)dup->fail_mode,
        .remote_app_name = slice_str(dup->remote_table),
        .remote_replica_count = dup->remote_replica_count,
        .remote_metas = slice_str(dup->remote_metas),
    };
    return states_fill(t, dup, arena, &to->partition_states);
}

void meta_query_duplication(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct query_duplication_request *asked = args;
    const struct meta_table *t = meta_table_by_name(s->node->meta, asked->app_name);
    struct query_duplication_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    if (t == NULL) {
        meta_refuse(request, WIRE_ERR_APP_NOT_EXIST);
        return;
    }
    struct duplication_entry_list *entries = &response.entry_list;
    response.appid = t->id;
    entries->items = arena_array(&request->arena, t->dup_count + 1, sizeof *entries->items);
    bool is_full = entries->items != NULL;
    for (size_t i = 0; is_full && i < t->dup_count; i++)
        is_full = entry_fill(t, &t->dups[i], &request->arena, &entries->items[entries->count++]);
    if (is_full) meta_reply(request, &response);
    else meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
}

static bool app_state_fill(const struct meta_table *t, struct arena *arena,
                           struct duplication_app_state_pair *to)
{
    struct duplication_map *dups = &to->value.duplications;
    to->key = slice_str(t->name);
    to->value = (struct duplication_app_state){
        .appid = t->id,
        .app_name = slice_str(t->name),
        .partition_count = (int32_t)t->partition_count,
    };
    dups->items = arena_array(arena, t->dup_count + 1, sizeof *dups->items);
    if (dups->items == NULL) return false;
    for (; dups->count < t->dup_count; dups->count++) {
        dups->items[dups->count].key = t->dups[dups->count].id;
        if (!entry_fill(t, &t->dups[dups->count], arena, &dups->items[dups->count].value))
            return false;
    }
    return true;
}

static enum wire_error app_states_fill(const struct meta *m,
                                       const struct list_duplication_request *asked,
                                       struct arena *arena, struct duplication_app_state_map *to,
                                       const char **hint)
{
    to->items = arena_array(arena, m->table_count + 1, sizeof *to->items);
    if (to->items == NULL) return WIRE_ERR_CAPACITY_EXCEEDED;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        bool matches = false;
        if (t->status != AS_AVAILABLE) continue;
        enum wire_error err =
            meta_name_matches(asked->match_type, asked->app_name_pattern, t->name, &matches, hint);
        if (err != WIRE_ERR_OK) return err;
        if (matches && !app_state_fill(t, arena, &to->items[to->count++]))
            return WIRE_ERR_CAPACITY_EXCEEDED;
    }
    return WIRE_ERR_OK;
}

void meta_list_duplication(struct meta_service *s, struct rpc_request *request, const void *args)
{
    struct list_duplication_response response = {0};
    const char *hint = "";
    enum wire_error err =
        app_states_fill(s->node->meta, args, &request->arena, &response.app_states, &hint);
    response.err = wire_error_name(err);
    response.hint_message = slice_str(hint);
    if (err != WIRE_ERR_OK) response.app_states.count = 0;
    meta_reply(request, &response);
}
