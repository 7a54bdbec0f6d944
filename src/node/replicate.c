/* src/node/replicate.c: messages from other servers, taken apart.
 *
 *     received here --> items of our partitions --> the next worker's --> ... --> answer
 *
 * What a replica does not take (no memory, too much waits for the log, something before it was lost) makes
 * the answer an error, and the other side says it again. A partition that is not here yet says so by
 * itself, as soon as it is. */
#include "node/replicate.h"

#include "base/mark.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "wire/messages_repl.h"

enum { QUICK_SIZE_MAX = 4 << 10 }; /* Bytes of a message that its sender's thread may take apart. */

struct visit { /* In the request's owner bytes. */
    struct worker *worker;
    const struct replicate_request *said;
    uint32_t workers_left;
    bool is_refused;
};

_Static_assert(sizeof(struct visit) <= RPC_OWNER_SIZE, "a request has room for it");

static struct gpid gpid_of(const struct replicate_item *item)
{
    return (struct gpid){item->app_id, item->partition_index};
}

/* Tables are numbered from 1 in every cluster: a server of another may have come to an address of ours. */
static bool is_of(const struct replica *r, int64_t cluster_uuid)
{
    return r->assigned != NULL && r->assigned->cluster_uuid == (uint64_t)cluster_uuid;
}

static void tell(struct visit *v)
{
    struct worker *w = v->worker;
    for (uint32_t i = 0; i < v->said->items.count; i++) {
        const struct replicate_item *item = &v->said->items.items[i];
        if (node_owner(w->node, gpid_of(item)) != w) continue;
        struct replica *r = worker_find(w, gpid_of(item));
        if (r == NULL || !is_of(r, v->said->cluster_uuid)) continue;
        int rc = replica_on_peer(r, (uint64_t)v->said->node_id, item);
        if (rc == 0) continue;
        MARK("message of another server not taken");
        v->is_refused = true;
    }
}

static void answer(struct rpc_request *request, bool is_refused)
{
    struct replicate_response response = {
        .err = wire_error_name(is_refused ? WIRE_ERR_BUSY : WIRE_ERR_OK)};
    rpc_reply(request, WIRE_ERR_OK, &replicate_response_schema, &response);
}

static void visit(struct io_post *post)
{
    struct rpc_request *request = LIST_ENTRY(post, struct rpc_request, post);
    struct visit *v = (struct visit *)(void *)request->owner;
    tell(v);
    if (--v->workers_left == 0) {
        answer(request, v->is_refused);
        return;
    }
    struct node *n = v->worker->node;
    v->worker = &n->workers[(v->worker->index + 1) % n->worker_count];
    if (request->size <= QUICK_SIZE_MAX) io_post_quick(v->worker->loop, &request->post);
    else io_post(v->worker->loop, &request->post);
}

void replicate_on_request(struct worker *w, struct rpc_request *request)
{
    struct visit *v = (struct visit *)(void *)request->owner;
    struct replicate_request *said = arena_alloc(&request->arena, sizeof *said);
    int rc = said != NULL ? thrift_read_args(request->frame.body, &replicate_request_schema, said,
                                             &request->arena)
                          : E_NOMEM;
    if (rc != 0) {
        rpc_reply_error(request,
                        rc == E_NOMEM ? WIRE_ERR_CAPACITY_EXCEEDED : WIRE_ERR_INVALID_DATA);
        return;
    }
    *v = (struct visit){.worker = w, .said = said, .workers_left = w->node->worker_count};
    request->post.run = visit;
    visit(&request->post);
}
