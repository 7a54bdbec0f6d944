/* src/node/meta_service.c: from a request to its handler, and from a command to the end of the
 * request.
 *
 * The state machine's answers carry the words for people; the handlers put them into the responses
 * that Pegasus's clients expect. A request waits in its own memory while the group decides. */
#include "node/meta_service.h"

#include <string.h>

#include "base/mem.h"
#include "node/meta_service_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "meta"};

/* ---- Dispatch -------------------------------------------------------------------------------- */

static meta_rpc *const handlers[RPC_CODE_COUNT] = {
    [RPC_QUERY_CONFIG] = meta_query_config,
    [RPC_CREATE_APP] = meta_create_app,
    [RPC_DROP_APP] = meta_drop_app,
    [RPC_RECALL_APP] = meta_recall_app,
    [RPC_RENAME_APP] = meta_rename_app,
    [RPC_LIST_APPS] = meta_list_apps,
    [RPC_LIST_NODES] = meta_list_nodes,
    [RPC_CLUSTER_INFO] = meta_cluster_info,
    [RPC_CONTROL_META] = meta_control_meta,
    [RPC_UPDATE_APP_ENV] = meta_update_app_env,
    [RPC_ADD_DUPLICATION] = meta_add_duplication,
    [RPC_MODIFY_DUPLICATION] = meta_modify_duplication,
    [RPC_QUERY_DUPLICATION] = meta_query_duplication,
    [RPC_LIST_DUPLICATION] = meta_list_duplication,
    [RPC_PROPOSE_BALANCER] = meta_propose_balancer,
    [RPC_START_MANUAL_COMPACT] = meta_start_manual_compact,
    [RPC_QUERY_MANUAL_COMPACT] = meta_query_manual_compact,
    [RPC_GET_MAX_REPLICA_COUNT] = meta_get_max_replica_count,
    [RPC_SET_MAX_REPLICA_COUNT] = meta_set_max_replica_count,
    [RPC_GET_ATOMIC_IDEMPOTENT] = meta_get_atomic_idempotent,
    [RPC_SET_ATOMIC_IDEMPOTENT] = meta_set_atomic_idempotent,
    [RPC_DDD_DIAGNOSE] = meta_ddd_diagnose,
    [RPC_BEACON] = meta_beacon,
    [RPC_FOLLOW] = meta_follow,
    [RPC_PROPOSE] = meta_propose_for,
    [RPC_CENSUS] = meta_census,
    [RPC_DRAIN] = meta_drain,
};

bool meta_service_serves(enum rpc_code code)
{
    return handlers[code] != NULL;
}

void meta_reply(struct rpc_request *request, const void *response)
{
    rpc_reply(request, WIRE_ERR_OK, rpc_info(request->frame.code)->response, response);
}

void meta_refuse(struct rpc_request *request, enum wire_error err)
{
    size_t size = rpc_info(request->frame.code)->response->size;
    struct meta_response *response = arena_alloc(&request->arena, size);
    if (response == NULL) {
        rpc_reply_error(request, err);
        return;
    }
    response->err = wire_error_name(err);
    meta_reply(request, response);
}

/* Who is not the leader says so and nothing else: clients take any other answer for the
 * leader's. */
static enum wire_error may_serve(const struct meta_service *s)
{
    if (s->is_closing) return WIRE_ERR_SERVICE_NOT_ACTIVE;
    if (!node_leads(s->node)) return WIRE_ERR_FORWARD_TO_OTHERS;
    return s->node->is_ready ? WIRE_ERR_OK : WIRE_ERR_SERVICE_NOT_ACTIVE;
}

/* Where the leader is, as far as each kind of client asks for it: in place of the result over native
 * framing; otherwise to a query for partitions only, as the primary of one. */
static void redirect(const struct meta_service *s, struct rpc_request *request)
{
    const struct follower *f = s->node->follower;
    struct io_address leader = f != NULL ? follower_leader(f) : (struct io_address){0};
    struct rpc_address address = {leader.ipv4, leader.port, leader.port != 0};
    struct bare_rpc_address bare = {.value = address};
    struct partition_configuration place = {.primary = address};
    struct query_config_response response = {.err = wire_error_name(WIRE_ERR_FORWARD_TO_OTHERS),
                                             .partitions = {&place, 1}};
    if (!address.is_valid) meta_refuse(request, WIRE_ERR_FORWARD_TO_OTHERS);
    else if (request->frame.kind == FRAME_RDSN)
        rpc_reply(request, WIRE_ERR_FORWARD_TO_OTHERS, &bare_rpc_address_schema, &bare);
    else if (request->frame.code == RPC_QUERY_CONFIG) meta_reply(request, &response);
    else meta_refuse(request, WIRE_ERR_FORWARD_TO_OTHERS);
}

void meta_service_on_request(struct meta_service *s, struct rpc_request *request)
{
    meta_rpc *handler = handlers[request->frame.code];
    if (handler == NULL) {
        rpc_reply_error(request, WIRE_ERR_HANDLER_NOT_FOUND);
        return;
    }
    enum wire_error err = may_serve(s);
    if (err != WIRE_ERR_OK) {
        if (err == WIRE_ERR_FORWARD_TO_OTHERS) redirect(s, request);
        else meta_refuse(request, err);
        return;
    }
    const struct schema *schema = rpc_info(request->frame.code)->request;
    void *args = arena_alloc(&request->arena, schema->size);
    int rc = args != NULL ? thrift_read_args(request->frame.body, schema, args, &request->arena)
                          : E_NOMEM;
    if (rc != 0)
        rpc_reply_error(request,
                        rc == E_NOMEM ? WIRE_ERR_CAPACITY_EXCEEDED : WIRE_ERR_INVALID_DATA);
    else handler(s, request, args);
}

/* ---- Proposing ------------------------------------------------------------------------------- */

struct pending { /* In the request's owner bytes while the group decides. */
    struct meta_service *service;
    const void *args;
    meta_decided *reply;
};

_Static_assert(sizeof(struct pending) <= RPC_OWNER_SIZE, "a request has room for it");

enum wire_error meta_error_of(int rc)
{
    switch (rc) {
    case E_STATE: return WIRE_ERR_FORWARD_TO_OTHERS; /* Another leads now; nothing happened. */
    case E_UNKNOWN: return WIRE_ERR_TIMEOUT;         /* It may have happened. */
    case E_CANCELED: return WIRE_ERR_SERVICE_NOT_ACTIVE;
    case E_NOMEM: return WIRE_ERR_CAPACITY_EXCEEDED;
    default: return WIRE_ERR_UNKNOWN;
    }
}

static void on_decided(void *context, int rc, const struct meta_result *result)
{
    struct rpc_request *request = context;
    struct pending *p = (struct pending *)(void *)request->owner;
    struct meta_service *s = p->service;
    if (rc != 0) meta_refuse(request, meta_error_of(rc));
    else p->reply(s, request, p->args, result);
    meta_service_release(s);
}

void meta_propose(struct meta_service *s, struct rpc_request *request, const void *args,
                  struct meta_command *command, meta_decided *reply)
{
    struct pending *p = (struct pending *)(void *)request->owner;
    *p = (struct pending){s, args, reply};
    command->now_ms = io_now(s->node->io).wall_us / 1000;
    s->busy++;
    control_propose(s->node, command, on_decided, request);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static bool contains(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.size <= text.size; i++) {
        if (slice_has_prefix(slice_skip(text, i), part)) return true;
    }
    return false;
}

enum wire_error meta_name_matches(int32_t match_type, struct slice pattern, const char *name,
                                  bool *matches, const char **hint)
{
    struct slice text = slice_str(name);
    switch (match_type) {
    case PMT_MATCH_ALL: *matches = true; return WIRE_ERR_OK;
    case PMT_MATCH_EXACT: *matches = slice_equal(text, pattern); return WIRE_ERR_OK;
    case PMT_MATCH_ANYWHERE: *matches = contains(text, pattern); return WIRE_ERR_OK;
    case PMT_MATCH_PREFIX: *matches = slice_has_prefix(text, pattern); return WIRE_ERR_OK;
    case PMT_MATCH_POSTFIX: *matches = slice_has_suffix(text, pattern); return WIRE_ERR_OK;
    case PMT_MATCH_REGEX: *hint = "match_type PMT_MATCH_REGEX is not supported now"; break;
    default: *hint = "invalid match_type"; break;
    }
    return WIRE_ERR_NOT_IMPLEMENTED;
}

/* ---- What is done without being asked -------------------------------------------------------- */

static void arm_purge(struct meta_service *s);

/* Nothing may have been due yet: look again. */
static void on_purged(void *context, int rc, const struct meta_result *result)
{
    struct meta_service *s = context;
    (void)result;
    if (rc != 0) LOG_WARN(&logger, "dropped tables not purged", field_code(rc));
    if (!s->is_closing) arm_purge(s);
    meta_service_release(s);
}

static void on_purge_timer(struct io_timer *timer)
{
    struct meta_service *s = LIST_ENTRY(timer, struct meta_service, purge_timer);
    struct meta_command purge = {.type = META_TABLE_PURGE,
                                 .now_ms = io_now(s->node->io).wall_us / 1000};
    if (!node_leads(s->node)) return;
    s->busy++;
    control_propose(s->node, &purge, on_purged, s);
}

enum { PURGE_WAIT_MS_MAX = 3600 * 1000, PURGE_WAIT_MS_MIN = 1000 };

/* Dropped tables end by the wall clock, timers by the other: so look again at least once an
 * hour. */
static void arm_purge(struct meta_service *s)
{
    int64_t due_s = meta_purge_due_s(s->node->meta);
    if (due_s == 0) {
        io_timer_stop(&s->purge_timer);
        return;
    }
    struct now now = io_now(s->node->io);
    int64_t wait_ms = (due_s + 1) * 1000 - (int64_t)(now.wall_us / 1000);
    if (wait_ms > PURGE_WAIT_MS_MAX) wait_ms = PURGE_WAIT_MS_MAX;
    if (wait_ms < PURGE_WAIT_MS_MIN) wait_ms = PURGE_WAIT_MS_MIN;
    io_timer_start(s->node->control, &s->purge_timer, now.boot_ms + (uint64_t)wait_ms);
}

void meta_service_on_changed(struct meta_service *s, int32_t changed_id)
{
    meta_followers_tell(s);
    meta_watch_sync(s);
    if (changed_id == META_TABLE_NONE || s->is_closing) return;
    arm_purge(s);
    meta_intro_sync(s);
    meta_cure_sync(s);
}

static void on_remote_told(void *context, int rc, const struct meta_result *result)
{
    if (rc != 0 || result->err != WIRE_ERR_OK)
        LOG_WARN(&logger, "a cluster of the config is not taken over", field_code(rc));
    meta_service_release(context);
}

static bool is_known(const struct meta *m, const struct config_remote *remote)
{
    for (size_t i = 0; i < m->remote_count; i++) {
        const struct meta_remote *r = &m->remotes[i];
        if (strcmp(r->name, remote->name) != 0) continue;
        return strcmp(r->metas, remote->metas) == 0 && r->cluster_id == remote->cluster_id;
    }
    return false;
}

/* The clusters that the config names become the state's, so that every member knows the same. */
static void tell_remotes(struct meta_service *s)
{
    const struct node_config *config = &s->node->config;
    for (uint32_t i = 0; i < config->remote_count; i++) {
        const struct config_remote *remote = &config->remotes[i];
        if (is_known(s->node->meta, remote)) continue;
        struct meta_command set = {
            .type = META_REMOTE_SET,
            .now_ms = io_now(s->node->io).wall_us / 1000,
            .remote_set = {.name = slice_str(remote->name),
                           .metas = slice_str(remote->metas),
                           .cluster_id = remote->cluster_id},
        };
        s->busy++;
        control_propose(s->node, &set, on_remote_told, s);
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

int meta_service_open(struct node *n, struct meta_service **out, struct err *e)
{
    struct meta_service *s = mem_zalloc(sizeof *s);
    if (s == NULL) return err_set(e, E_NOMEM, "meta service");
    s->node = n;
    s->level = FL_LIVELY;
    s->purge_timer.run = on_purge_timer;
    list_init(&s->intros);
    list_init(&s->followers);
    if (node_leads(n)) tell_remotes(s);
    arm_purge(s);
    meta_intro_sync(s);
    meta_watch_open(s);
    meta_cure_open(s);
    *out = s;
    return 0;
}

static void on_closed(struct io_post *post)
{
    struct meta_service *s = LIST_ENTRY(post, struct meta_service, closed_post);
    if (s->on_closed != NULL) s->on_closed(s->closed_context);
    mem_free(s);
}

void meta_service_release(struct meta_service *s)
{
    s->busy--;
    if (s->busy > 0 || !s->is_closing) return;
    s->closed_post.run = on_closed;
    io_post(s->node->control, &s->closed_post);
}

void meta_service_close(struct meta_service *s, void (*on_closed_)(void *context), void *context)
{
    s->is_closing = true;
    s->on_closed = on_closed_;
    s->closed_context = context;
    io_timer_stop(&s->purge_timer);
    meta_watch_close(s);
    meta_cure_close(s);
    s->busy++; /* Ours, until everything was told to end. */
    meta_followers_tell(s);
    meta_intro_close_all(s);
    meta_service_release(s);
}
