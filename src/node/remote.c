/* src/node/remote.c: a queue in front of the cluster's calls, opened and closed by bytes (remote.h). */
#include "node/remote.h"

#include <string.h>

#include "base/mark.h"
#include "base/mem.h"
#include "node/node_impl.h"
#include "node/worker.h"

enum { CALL_DEADLINE_MS = 10000 }; /* For one request, once it is sent: then it counts as failed. */

/* ---- Sending ---------------------------------------------------------------------------------- */

static void write_call(const void *args, struct buf *to)
{
    const struct remote_call *call = args;
    call->write(call, to);
}

/* The room that it took is free again: whoever waits goes first. */
static void send_waiting(struct remote *r);

static void leave(struct remote_call *call)
{
    struct remote *r = call->remote;
    if (call->is_flying) r->size_flying -= call->size;
    else list_remove(&call->node);
    call->remote = NULL;
    call->is_flying = false;
#ifdef MUT_room_wakes_nobody
    if (!list_is_empty(&r->waiting)) return; /* Known mistake: the next to send will see to it. */
#endif
    send_waiting(r);
}

static void on_call_done(struct cluster_call *base, const struct rpc_answer *answer)
{
    struct remote_call *call = LIST_ENTRY(base, struct remote_call, call);
    leave(call);
    call->on_done(call, answer);
}

static void send_now(struct remote *r, struct remote_call *call)
{
    call->is_flying = true;
    r->size_flying += call->size;
    call->call.rpc = RPC_DUPLICATE;
    call->call.schema = NULL;
    call->call.args = call;
    call->call.write = write_call;
    call->call.deadline_ms = io_now(r->worker->node->io).boot_ms + CALL_DEADLINE_MS;
    call->call.flags = CLUSTER_NO_RETRY;
    call->call.app_id_wanted = call->app_id;
    call->call.on_done = on_call_done;
    cluster_call_partition(call->table, call->partition_index, call->hash, &call->call);
}

/* One request always may go, however large it is. */
static bool has_room(const struct remote *r, size_t size)
{
    return r->size_flying == 0 || r->size_flying + size <= REMOTE_BYTES_MAX;
}

static void send_waiting(struct remote *r)
{
    while (!list_is_empty(&r->waiting)) {
        struct remote_call *call = LIST_ENTRY(r->waiting.next, struct remote_call, node);
        if (!has_room(r, call->size)) return;
        list_remove(&call->node);
        send_now(r, call);
    }
}

void remote_send(struct remote *remote, struct remote_call *call)
{
    call->remote = remote;
    call->is_flying = false;
    list_init(&call->node);
    if (list_is_empty(&remote->waiting) && has_room(remote, call->size)) {
        send_now(remote, call);
        return;
    }
    MARK("request waits for room among those to its remote");
    list_push_back(&remote->waiting, &call->node);
}

void remote_call_cancel(struct remote_call *call)
{
    if (call->remote == NULL) return;
    cluster_call_cancel(&call->call);
    leave(call);
}

/* ---- Life ------------------------------------------------------------------------------------- */

static void remote_free(struct remote *r)
{
    mem_free(r->metas);
    mem_free(r);
}

static struct remote *remote_new(struct worker *w, const char *metas)
{
    struct remote *r = mem_zalloc(sizeof *r);
    if (r == NULL) return NULL;
    r->metas = mem_alloc(strlen(metas) + 1);
    if (r->metas == NULL) {
        mem_free(r);
        return NULL;
    }
    memcpy(r->metas, metas, strlen(metas) + 1);
    /* What ended calls left unsent in a connection counts there: half as much again. */
    struct cluster_options options = {.metas = metas,
                                      .framing = FRAME_RDSN,
                                      .peer_bytes_max = REMOTE_BYTES_MAX + REMOTE_BYTES_MAX / 2};
    if (cluster_open(w->loop, &options, &r->cluster) != 0) {
        remote_free(r);
        return NULL;
    }
    r->worker = w;
    list_init(&r->waiting);
    list_push_back(&w->remotes, &r->node);
    return r;
}

struct remote *remote_get(struct worker *w, const char *metas)
{
    struct remote *found = NULL;
    LIST_EACH (it, &w->remotes) {
        struct remote *r = LIST_ENTRY(it, struct remote, node);
        if (strcmp(r->metas, metas) == 0) found = r;
    }
    if (found == NULL) found = remote_new(w, metas);
    if (found != NULL) found->users++;
    return found;
}

static void on_cluster_closed(void *context)
{
    struct remote *r = context;
    struct worker *w = r->worker;
    remote_free(r);
    w->remotes_closing--;
    worker_stop_if_done(w);
}

void remote_put(struct remote *remote)
{
    if (--remote->users > 0) return;
    CHECK(list_is_empty(&remote->waiting));
    list_remove(&remote->node);
    remote->worker->remotes_closing++;
    cluster_close(remote->cluster, on_cluster_closed, remote);
}
