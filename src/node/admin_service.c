/* src/node/admin_service.c: from an admin rpc to its answer. */
#include "node/admin_service.h"

#include "node/admin_command.h"
#include "node/meta_service_impl.h"
#include "node/node_impl.h"
#include "node/survey.h"
#include "wire/messages_admin.h"

static const char disk_tag[] = "data"; /* There is one disk, and it has no other name. */

typedef void admin_answer(const struct survey *s, struct rpc_request *request, const void *args);

/* ---- Disk ------------------------------------------------------------------------------------- */

/* The replicas of one role, by table; only those of 'app_id' unless that is 0. False: no memory. */
static bool holdings_fill(const struct survey *s, bool primaries, int32_t app_id,
                          struct arena *arena, struct disk_holding_map *to)
{
    to->items = arena_array(arena, s->replica_count + 1, sizeof *to->items);
    if (to->items == NULL) return false;
    struct gpid *gpids = arena_array(arena, s->replica_count + 1, sizeof *gpids);
    if (gpids == NULL) return false;
    for (size_t i = 0; i < s->replica_count; i++) {
        const struct survey_replica *r = &s->replicas[i];
        if (!(primaries ? r->is_primary : r->is_secondary) ||
            (app_id != 0 && r->gpid.app_id != app_id))
            continue;
        if (to->count == 0 || to->items[to->count - 1].key != r->gpid.app_id)
            to->items[to->count++] =
                (struct disk_holding){.key = r->gpid.app_id, .value = {gpids, 0}};
        to->items[to->count - 1].value.count++;
        *gpids++ = r->gpid;
    }
    return true;
}

static int64_t megabytes(uint64_t size)
{
    return (int64_t)(size >> 20);
}

/* Some of its partitions are to be here, open or not yet. */
static bool is_placed_here(const struct node *n, const struct meta_table *t)
{
    for (uint32_t i = 0; t->status == AS_AVAILABLE && i < t->partition_count; i++)
        if (meta_partition_role(&t->partitions[i], n->node_id) != META_ROLE_NONE) return true;
    return false;
}

static void answer_disk_info(const struct survey *s, struct rpc_request *request, const void *args)
{
    const struct query_disk_info_request *asked = args;
    const struct meta_table *table = meta_table_by_name(s->node->meta, asked->app_name);
    bool is_for_all = asked->app_name.size == 0;
    if (!is_for_all && (table == NULL || !is_placed_here(s->node, table))) {
        meta_refuse(request, WIRE_ERR_OBJECT_NOT_FOUND);
        return;
    }
    int32_t app_id = is_for_all ? 0 : table->id;
    struct disk_info disk = {
        .tag = slice_str(disk_tag),
        .full_dir = slice_str(s->node->config.data_dir),
        .disk_capacity_mb = megabytes(s->disk_size) > 0 ? megabytes(s->disk_size) : 1,
        .disk_available_mb = megabytes(s->disk_free),
    };
    if (!holdings_fill(s, true, app_id, &request->arena, &disk.holding_primary_replicas) ||
        !holdings_fill(s, false, app_id, &request->arena, &disk.holding_secondary_replicas)) {
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
        return;
    }
    struct query_disk_info_response response = {
        .err = wire_error_name(WIRE_ERR_OK),
        .total_capacity_mb = disk.disk_capacity_mb,
        .total_available_mb = disk.disk_available_mb,
        .disk_infos = {&disk, 1},
    };
    meta_reply(request, &response);
}

/* ---- Replicas and tables ---------------------------------------------------------------------- */

static int32_t status_of(const struct survey_replica *r)
{
    if (r->is_failed) return PS_ERROR;
    if (r->is_primary) return PS_PRIMARY;
    return r->is_secondary ? PS_SECONDARY : PS_INACTIVE;
}

static struct replica_info replica_info_of(const struct survey_replica *r)
{
    return (struct replica_info){
        .pid = r->gpid,
        .ballot = (int64_t)r->ballot,
        .status = status_of(r),
        .last_committed_decree = (int64_t)r->committed,
        .last_prepared_decree = (int64_t)r->prepared,
        .last_durable_decree = (int64_t)r->durable,
        .app_type = slice_str("pegasus"),
        .disk_tag = slice_str(disk_tag),
    };
}

static void answer_replica_info(const struct survey *s, struct rpc_request *request,
                                const void *args)
{
    (void)args;
    struct query_replica_info_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    struct replica_info *rows = arena_array(&request->arena, s->replica_count + 1, sizeof *rows);
    if (rows == NULL) {
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
        return;
    }
    for (size_t i = 0; i < s->replica_count; i++) rows[i] = replica_info_of(&s->replicas[i]);
    response.replicas.items = rows;
    response.replicas.count = (uint32_t)s->replica_count;
    meta_reply(request, &response);
}

static void answer_app_info(const struct survey *s, struct rpc_request *request, const void *args)
{
    (void)args;
    const struct meta *m = s->node->meta;
    struct query_app_info_response response = {.err = wire_error_name(WIRE_ERR_OK)};
    response.apps.items =
        arena_array(&request->arena, m->table_count + 1, sizeof *response.apps.items);
    bool has_room = response.apps.items != NULL;
    for (size_t i = 0; has_room && i < m->table_count; i++) {
        if (!is_placed_here(s->node, m->tables[i])) continue;
        has_room = meta_table_info(m->tables[i], &request->arena,
                                   &response.apps.items[response.apps.count++]);
    }
    if (has_room) meta_reply(request, &response);
    else meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
}

/* ---- Remote commands -------------------------------------------------------------------------- */

static void answer_command(const struct survey *s, struct rpc_request *request, const void *args)
{
    struct buf text = {0};
    admin_command_run(s, args, &text);
    struct bare_string answer = {.value = buf_slice(&text)};
    if (buf_status(&text) != 0) rpc_reply_error(request, WIRE_ERR_CAPACITY_EXCEEDED);
    else rpc_reply(request, WIRE_ERR_OK, &bare_string_schema, &answer);
    buf_fini(&text);
}

/* ---- Dispatch --------------------------------------------------------------------------------- */

struct pending { /* In the request's owner bytes while a survey is made. */
    const void *args;
    admin_answer *answer;
};
_Static_assert(sizeof(struct pending) <= RPC_OWNER_SIZE, "a request has room for it");

static admin_answer *const answers[RPC_CODE_COUNT] = {
    [RPC_QUERY_DISK_INFO] = answer_disk_info,
    [RPC_QUERY_REPLICA_INFO] = answer_replica_info,
    [RPC_QUERY_APP_INFO] = answer_app_info,
    [RPC_CLI_CALL] = answer_command,
};

/* Nobody has to say who he is: clients that offer to are told so, and go on. */
static void on_negotiation(struct rpc_request *request)
{
    struct negotiation_response response = {.status = SASL_AUTH_DISABLE};
    rpc_reply(request, WIRE_ERR_OK, &negotiation_response_schema, &response);
}

static void on_survey(void *context, struct survey *s)
{
    struct rpc_request *request = context;
    const struct pending *p = (const struct pending *)(const void *)request->owner;
    if (s == NULL || s->rc != 0) rpc_reply_error(request, WIRE_ERR_CAPACITY_EXCEEDED);
    else p->answer(s, request, p->args);
    survey_free(s);
}

bool admin_service_serves(enum rpc_code code)
{
    return code == RPC_NEGOTIATION || answers[code] != NULL;
}

void admin_service_on_request(struct node *n, struct rpc_request *request)
{
    enum rpc_code code = request->frame.code;
    const struct schema *schema = rpc_info(code)->request;
    void *args = arena_alloc(&request->arena, schema->size);
    int rc = args != NULL ? thrift_read_args(request->frame.body, schema, args, &request->arena)
                          : E_NOMEM;
    if (rc != 0) {
        rpc_reply_error(request,
                        rc == E_NOMEM ? WIRE_ERR_CAPACITY_EXCEEDED : WIRE_ERR_INVALID_DATA);
        return;
    }
    if (code == RPC_NEGOTIATION) {
        on_negotiation(request);
        return;
    }
    struct pending *p = (struct pending *)(void *)request->owner;
    *p = (struct pending){args, answers[code]};
    survey_begin(n, on_survey, request);
}
