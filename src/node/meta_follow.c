/* src/node/meta_follow.c: nodes that follow the meta group: what happened is told to them, and what they
 * want is proposed for them (docs/meta.md, M33 and M34). The other end is follower.c.
 *
 * A question that nothing can be answered to yet waits here, at most one of each node. */
#include "base/mem.h"
#include "node/meta_service_impl.h"
#include "obs/logger.h"
#include "wire/messages_pirene.h"

static const struct logger logger = {.room = "meta"};

enum {
    ANSWER_SIZE_MAX = 1 << 20,   /* Bytes of commands in one answer; one command may be longer. */
    QUESTION_SIZE_MAX = 1 << 10, /* Bytes of a FOLLOW's frame. */
};

struct waiting { /* In the request's owner bytes. */
    uint64_t node_id, version;
};

static struct waiting *waiting_of(struct rpc_request *request)
{
    return (struct waiting *)(void *)request->owner;
}

/* ---- Answers ------------------------------------------------------------------------------------------------ */

/* The commands behind 'version', as many as fit. */
static int gather(const struct meta_history *h, uint64_t version, struct arena *arena,
                  struct follow_response *to)
{
    const struct meta_history_item *first = meta_history_after(h, version);
    size_t size = 0;
    uint32_t count = 0;
    for (const struct list_node *it = &first->node; it != &h->commands; it = it->next) {
        size += LIST_ENTRY(it, struct meta_history_item, node)->size;
        if (count > 0 && size > ANSWER_SIZE_MAX) break;
        count++;
    }
    to->commands.items = arena_array(arena, count, sizeof *to->commands.items);
    if (to->commands.items == NULL) return E_NOMEM;
    for (const struct list_node *it = &first->node; to->commands.count < count; it = it->next) {
        const struct meta_history_item *item = LIST_ENTRY(it, struct meta_history_item, node);
        to->commands.items[to->commands.count++] = slice_of(item->bytes, item->size);
        to->version = (int64_t)item->version;
    }
    return 0;
}

static void answer_snapshot(struct meta_service *s, struct rpc_request *request)
{
    struct buf snapshot = {0};
    struct follow_response response = {.err = wire_error_name(WIRE_ERR_OK),
                                       .version = (int64_t)s->node->history.version};
    if (meta_copy_write(s->node, &snapshot) == 0) {
        response.snapshot = buf_slice(&snapshot);
        meta_reply(request, &response);
    } else {
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
    }
    buf_fini(&snapshot);
}

/* Tell a node what it lacks. */
static void answer(struct meta_service *s, struct rpc_request *request, uint64_t version)
{
    const struct meta_history *h = &s->node->history;
    struct follow_response response = {.err = wire_error_name(WIRE_ERR_OK),
                                       .version = (int64_t)version};
    if (version != h->version && meta_history_after(h, version) == NULL)
        answer_snapshot(s, request);
    else if (version != h->version && gather(h, version, &request->arena, &response) != 0)
        meta_refuse(request, WIRE_ERR_CAPACITY_EXCEEDED);
    else meta_reply(request, &response);
}

static void answer_waiting(struct meta_service *s, struct rpc_request *request)
{
    list_remove(&request->node);
    s->follower_count--;
    answer(s, request, waiting_of(request)->version);
}

/* ---- FOLLOW -------------------------------------------------------------------------------------------------- */

/* The question that it asked before: nobody waits for that answer any more. */
static void end_older(struct meta_service *s, uint64_t node_id)
{
    LIST_EACH (it, &s->followers) {
        struct rpc_request *request = LIST_ENTRY(it, struct rpc_request, node);
        if (waiting_of(request)->node_id != node_id) continue;
        list_remove(
            &request->node); /* Refused, so that two of one name don't drive each other round. */
        s->follower_count--;
        meta_refuse(request, WIRE_ERR_BUSY);
        return; /* There was one; and the list is another now. */
    }
}

void meta_follow(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct follow_request *asked = args;
    const uint64_t version = (uint64_t)asked->version, node_id = (uint64_t)asked->node_id;
    if (request->size > QUESTION_SIZE_MAX) { /* It may be kept for long. */
        rpc_reply_error(request, WIRE_ERR_INVALID_DATA);
        return;
    }
    end_older(s, node_id);
    if (meta_is_stranger(s, asked->cluster_uuid) || version > s->node->history.version) {
        LOG_WARN(&logger, "a node of another cluster wants to join", field_u64("node", node_id));
        meta_refuse(request, WIRE_ERR_INCONSISTENT_STATE);
    } else if (version != s->node->history.version) {
        answer(s, request, version);
    } else {
        if (s->follower_count == META_NODES_MAX)
            answer_waiting(s, LIST_ENTRY(s->followers.next, struct rpc_request, node));
        *waiting_of(request) = (struct waiting){node_id, version};
        list_push_back(&s->followers, &request->node);
        s->follower_count++;
    }
}

void meta_followers_tell(struct meta_service *s)
{
    for (struct list_node *next, *it = s->followers.next; it != &s->followers; it = next) {
        next = it->next;
        answer_waiting(s, LIST_ENTRY(it, struct rpc_request, node));
    }
}

/* ---- PROPOSE ------------------------------------------------------------------------------------------------- */

struct proposed_for { /* In the request's owner bytes while the group decides. */
    struct group_proposal group;
    struct meta_service *service;
    struct rpc_request *request;
};

_Static_assert(sizeof(struct proposed_for) <= RPC_OWNER_SIZE, "a request has room for it");

static void on_decided(struct group_proposal *group, int rc, struct slice result)
{
    const struct proposed_for *p = LIST_ENTRY(group, struct proposed_for, group);
    struct meta_service *s = p->service;
    struct propose_response response = {.err = wire_error_name(WIRE_ERR_OK),
                                        .result = result,
                                        .version = (int64_t)s->node->history.version};
    if (rc != 0) meta_refuse(p->request, meta_error_of(rc));
    else meta_reply(p->request, &response);
    meta_service_release(s);
}

/* What is no command would stop every member of the group (M3): it does not get there. */
void meta_propose_for(struct meta_service *s, struct rpc_request *request, const void *args)
{
    const struct propose_request *asked = args;
    struct proposed_for *p = (struct proposed_for *)(void *)request->owner;
    if (meta_is_stranger(s, asked->cluster_uuid)) {
        meta_refuse(request, WIRE_ERR_INCONSISTENT_STATE);
        return;
    }
    if (!meta_command_is_valid(asked->command)) {
        rpc_reply_error(request, WIRE_ERR_INVALID_DATA);
        return;
    }
    *p = (struct proposed_for){.group.on_done = on_decided, .service = s, .request = request};
    s->busy++;
    group_propose(s->node->group, &p->group, asked->command);
}
