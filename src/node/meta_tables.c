/* src/node/meta_tables.c: tables: where their partitions are, which there are, making and dropping
 * them (docs/meta.md, rules M25 to M27). */
#include "node/meta_service_impl.h"

/* ---- Where partitions are -------------------------------------------------------------------- */

/* The members 'ids' as both kinds of list; false: no memory. */
static bool members(const struct meta *m, const uint64_t *ids, size_t count, struct arena *arena,
                    struct rpc_address_list *addresses, struct host_port_list *hosts)
{
    addresses->items = arena_array(arena, count + 1, sizeof *addresses->items);
    hosts->items = arena_array(arena, count + 1, sizeof *hosts->items);
    if (addresses->items == NULL || hosts->items == NULL) return false;
    addresses->count = hosts->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        addresses->items[i] = meta_address_of(m, ids[i]);
        hosts->items[i] = meta_host_port_of(m, ids[i], arena);
    }
    return true;
}

bool meta_place_fill(const struct meta *m, const struct meta_table *t, uint32_t index,
                     struct arena *arena, struct partition_configuration *to)
{
    const struct meta_partition *p = &t->partitions[index];
    *to = (struct partition_configuration){
        .set = PARTITION_CONFIGURATION_HAS_HP,
        .pid = {t->id, (int32_t)index},
        .ballot = (int64_t)p->ballot,
        .max_replica_count = t->max_replica_count,
        .primary = meta_address_of(m, p->primary),
        .hp_primary = meta_host_port_of(m, p->primary, arena),
    };
    return members(m, p->secondaries, p->secondary_count, arena, &to->secondaries,
                   &to->hp_secondaries) &&
           members(m, p->last_drops, p->last_drop_count, arena, &to->last_drops,
                   &to->hp_last_drops);
}

/* The indices that were asked for and exist; when none does, all. False: no memory. */
static bool wanted_indices(const struct i32_list *asked, uint32_t partition_count,
                           struct arena *arena, struct i32_list *out)
{
    out->count = 0;
    out->items = arena_array(arena, partition_count, sizeof *out->items);
    bool *is_taken = arena_array(arena, partition_count, sizeof *is_taken);
    if (out->items == NULL || is_taken == NULL) return false;
    for (uint32_t i = 0; i < asked->count; i++) {
        int32_t index = asked->items[i];
        if (index < 0 || (uint32_t)index >= partition_count || is_taken[index]) continue;
        is_taken[index] = true; /* However often it was asked for. */
        out->items[out->count++] = index;
    }
    if (out->count > 0) return true;
    for (uint32_t i = 0; i < partition_count; i++) out->items[out->count++] = (int32_t)i;
    return true;
}

static bool places_fill(const struct meta *m, const struct meta_table *t,
                        const struct i32_list *asked, struct arena *arena,
                        struct query_config_response *response)
{
    struct i32_list indices;
    struct partition_configuration_list *places = &response->partitions;
    if (!wanted_indices(asked, t->partition_count, arena, &indices)) return false;
    places->items = arena_array(arena, indices.count, sizeof *places->items);
    if (places->items == NULL) return false;
    for (uint32_t i = 0; i < indices.count; i++) {
        uint32_t index = (uint32_t)indices.items[i];
        if (!meta_place_fill(m, t, index, arena, &places->items[places->count++])) return false;
    }
    response->app_id = t->id;
    response->partition_count = (int32_t)t->partition_count;
    response->is_stateful =
        true; /* And false on errors: the Python client looks at nothing else. */
    return true;
}

void meta_query_config(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct query_config_request *asked = args;
    const struct meta *m = s->node->meta;
    const struct meta_table *t = meta_table_by_name(m, asked->app_name);
    struct query_config_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    if (t == NULL) meta_refuse(request, WIRE_ERR_OBJECT_NOT_FOUND);
    else if (!places_fill(m, t, &asked->partition_indices, &request->arena, &response))
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
    else meta_reply(request, &response);
}

/* ---- Which tables there are ------------------------------------------------------------------ */

bool meta_table_info(const struct meta_table *t, struct arena *arena, struct app_info *to)
{
    *to = (struct app_info){
        .set = APP_INFO_HAS_ALL,
        .status = (int32_t)t->status,
        .app_type = slice_str("pegasus"),
        .app_name = slice_str(t->name),
        .app_id = t->id,
        .partition_count = (int32_t)t->partition_count,
        .is_stateful = true,
        .max_replica_count = t->max_replica_count,
        .expire_second = t->expire_s,
        .create_second = t->create_s,
        .drop_second = t->drop_s,
        .duplicating = t->dup_count > 0,
        .init_partition_count = (int32_t)t->partition_count,
        .atomic_idempotent =
            true, /* Increments and checks become plain puts before they are logged. */
    };
    to->envs.items = arena_array(arena, t->env_count + 1, sizeof *to->envs.items);
    if (to->envs.items == NULL) return false;
    for (size_t i = 0; i < t->env_count; i++)
        to->envs.items[to->envs.count++] =
            (struct string_pair){slice_str(t->envs[i].key), slice_str(t->envs[i].value)};
    return true;
}

static bool is_filtered(const struct list_apps_request *asked)
{
    uint64_t both = LIST_APPS_REQUEST_HAS_APP_NAME_PATTERN | LIST_APPS_REQUEST_HAS_MATCH_TYPE;
    return (asked->set & both) == both;
}

static enum wire_error infos_fill(const struct meta *m, const struct list_apps_request *asked,
                                  struct arena *arena, struct app_info_list *to, const char **hint)
{
    to->items = arena_array(arena, m->table_count + 1, sizeof *to->items);
    if (to->items == NULL) return WIRE_ERR_CAPACITY_EXCEEDED;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        bool matches = true;
        enum wire_error err = WIRE_ERR_OK;
        if (is_filtered(asked))
            err = meta_name_matches(asked->match_type, asked->app_name_pattern, t->name, &matches,
                                    hint);
        if (err != WIRE_ERR_OK) return err;
        if (!matches || (asked->status != AS_INVALID && asked->status != (int32_t)t->status))
            continue;
        if (!meta_table_info(t, arena, &to->items[to->count++])) return WIRE_ERR_CAPACITY_EXCEEDED;
    }
    return WIRE_ERR_OK;
}

void meta_list_apps(struct meta_service *s, struct rpc_request *request, const void *args)
{
    struct list_apps_response response = {0};
    const char *hint = NULL;
    enum wire_error err = infos_fill(s->node->meta, args, &request->arena, &response.infos, &hint);
    response.err = wire_error_name(err);
    if (err != WIRE_ERR_OK) response.infos.count = 0;
    if (hint != NULL) {
        response.set = LIST_APPS_RESPONSE_HAS_HINT_MESSAGE;
        response.hint_message = slice_str(hint);
    }
    meta_reply(request, &response);
}

/* ---- Create, drop, recall, rename ------------------------------------------------------------ */

static void on_created(struct meta_service *s, struct rpc_request *request, const void *args,
                       const struct meta_result *result)
{
    (void)s, (void)args;
    struct create_app_response response = {.err = wire_error_name(result->err)};
    if (result->err == WIRE_ERR_OK) response.appid = result->table_id;
    meta_reply(request, &response);
}

/* Pegasus's tools ask for three replicas without being told to: a cluster of one node gives what it
 * has (docs/decisions/replica-count-on-one-node.md). */
void meta_create_app(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct create_app_request *asked = args;
    const struct create_app_options *options = &asked->options;
    if (meta_is_frozen(s)) {
        meta_refuse(request, WIRE_ERR_STATE_FREEZED);
        return;
    }
    struct meta_command command = {
        .type = META_TABLE_CREATE,
        .table_create = {.name = asked->app_name,
                         .app_type = options->app_type,
                         .partition_count = options->partition_count,
                         .replica_count = options->replica_count,
                         .success_if_exist = options->success_if_exist,
                         .clamp_replicas = s->node->meta->node_count == 1,
                         .envs = options->envs},
    };
    meta_propose(s, request, args, &command, on_created);
}

static void on_dropped(struct meta_service *s, struct rpc_request *request, const void *args,
                       const struct meta_result *result)
{
    (void)s, (void)args;
    meta_refuse(request, result->err);
}

void meta_drop_app(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct drop_app_request *asked = args;
    bool has_reserve = (asked->options.set & DROP_APP_OPTIONS_HAS_RESERVE_SECONDS) != 0;
    struct meta_command command = {
        .type = META_TABLE_DROP,
        .table_drop = {.name = asked->app_name,
                       .success_if_absent = asked->options.success_if_not_exist,
                       .reserve_s = has_reserve ? asked->options.reserve_seconds : 0},
    };
    meta_propose(s, request, args, &command, on_dropped);
}

static void on_recalled(struct meta_service *s, struct rpc_request *request, const void *args,
                        const struct meta_result *result)
{
    (void)args;
    struct recall_app_response response = {.err = wire_error_name(result->err)};
    const struct meta_table *t = meta_table_by_id(s->node->meta, result->table_id);
    if (result->err == WIRE_ERR_OK && t != NULL &&
        !meta_table_info(t, &request->arena, &response.info))
        response.info = (struct app_info){.app_id = t->id};
    meta_reply(request, &response);
}

void meta_recall_app(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct recall_app_request *asked = args;
    struct meta_command command = {
        .type = META_TABLE_RECALL,
        .table_recall = {.table_id = asked->app_id, .new_name = asked->new_app_name},
    };
    meta_propose(s, request, args, &command, on_recalled);
}

static void on_renamed(struct meta_service *s, struct rpc_request *request, const void *args,
                       const struct meta_result *result)
{
    (void)s, (void)args;
    struct rename_app_response response = {
        .err = wire_error_name(result->err),
        .hint_message = result->hint,
    };
    meta_reply(request, &response);
}

void meta_rename_app(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct rename_app_request *asked = args;
    struct meta_command command = {
        .type = META_TABLE_RENAME,
        .table_rename = {.old_name = asked->old_app_name, .new_name = asked->new_app_name},
    };
    meta_propose(s, request, args, &command, on_renamed);
}
