/* src/node/worker.c: requests to their replicas, mutations to the log. */
#include "node/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "node/dup_wait.h"
#include "node/node_impl.h"
#include "node/opening.h"
#include "node/replicate.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "worker"};

enum {
    BATCH_SIZE_MAX = 64 << 20, /* Bytes that wait for the log: above, writes are refused. */
    FLUSH_SIZE_MIN = 1 << 20,  /* Bytes that even an empty store's flush may take. */
    QUICK_SIZE_MAX = 4 << 10,  /* Bytes of a request that its sender's thread may serve. */
    DISK_RETRY_MS = 500,       /* A full disk is tried again this often. */
    SCAN_EXPIRE_MS =
        60 * 1000, /* Forgotten scans are looked for this often, while there are any. */
};

/* ---- The table of replicas ----------------------------------------------------------------------------- */

static struct list_node *bucket(struct worker *w, struct gpid gpid)
{
    uint32_t hash = (uint32_t)gpid.app_id * 2654435761u + (uint32_t)gpid.partition_index * 40503u;
    return &w->replicas[(hash >> 8) & (WORKER_BUCKETS - 1)];
}

struct replica *worker_find(struct worker *w, struct gpid gpid)
{
    LIST_EACH (it, bucket(w, gpid)) {
        struct replica *r = LIST_ENTRY(it, struct replica, node);
        if (gpid_equal(r->gpid, gpid)) return r;
    }
    return NULL;
}

void worker_add(struct worker *w, struct replica *r)
{
    list_push_back(bucket(w, r->gpid), &r->node);
    w->replica_count++;
}

void worker_remove(struct worker *w, struct replica *r)
{
    list_remove(&r->node);
    w->replica_count--;
}

/* ---- The log --------------------------------------------------------------------------------------------- */

int worker_append_reserve(struct worker *w)
{
    struct worker_batch *b = w->filling;
    if (b->count < b->capacity) return 0;
    size_t entries = b->capacity, chunks = b->capacity, replicas = b->capacity;
    int rc = array_reserve(&b->entries, &entries, b->count + 1, sizeof *b->entries);
    if (rc == 0) rc = array_reserve(&b->chunks, &chunks, b->count + 1, sizeof(struct chunk *));
    if (rc == 0)
        rc = array_reserve(&b->replicas, &replicas, b->count + 1, sizeof(struct replica *));
    if (rc == 0) b->capacity = entries;
    return rc;
}

bool worker_is_behind(const struct worker *w)
{
    return w->filling->size >= BATCH_SIZE_MAX;
}

void worker_append(struct worker *w, struct replica *r, struct chunk *mutation, uint64_t decree,
                   uint64_t ballot)
{
    struct worker_batch *b = w->filling;
    CHECK(b->count < b->capacity);
    b->entries[b->count] = (struct log_entry){
        .gpid = r->gpid,
        .decree = decree,
        .ballot = ballot,
        .mutation = slice_of(mutation->data, mutation->capacity),
    };
    b->chunks[b->count] = chunk_ref(mutation);
    b->replicas[b->count] = r;
    r->busy++;
    b->count++;
    b->size += mutation->capacity;
    disk_guard_wrote(&w->guard, mutation->capacity);
}

static void on_batch_done(struct log_batch *log_batch, int rc);

/* What its replicas appended goes to the log, unless a batch is under way. */
static void submit_batch(struct worker *w)
{
    if (w->flying != NULL || w->filling->count == 0) return;
    w->flying = w->filling;
    w->filling = w->filling == &w->batches[0] ? &w->batches[1] : &w->batches[0];
    w->flying->log = (struct log_batch){
        .loop = w->loop,
        .entries = w->flying->entries,
        .count = w->flying->count,
        .on_done = on_batch_done,
    };
    log_submit(w->node->log, &w->flying->log);
}

static void on_turn_end(struct io_turn_hook *hook)
{
    struct worker *w = LIST_ENTRY(hook, struct worker, hook);
    links_send(w); /* First: it has the longer way. */
    submit_batch(w);
    if (w->server != NULL) worker_metrics_copy(&w->metrics, rpc_server_counters(w->server));
}

/* Tell every replica of the batch, each once. */
static void tell_replicas(struct worker_batch *b, int rc)
{
    for (size_t i = 0; i < b->count; i++) b->replicas[i]->logged_to = b->entries[i].decree;
    for (size_t i = 0; i < b->count; i++)
        if (b->replicas[i]->logged_to != 0) replica_on_logged(b->replicas[i], rc);
}

static void release_batch(struct worker_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        chunk_unref(b->chunks[i]);
        replica_release(b->replicas[i]);
    }
    b->count = b->size = 0;
}

static void on_batch_done(struct log_batch *log_batch, int rc)
{
    struct worker_batch *b = LIST_ENTRY(log_batch, struct worker_batch, log);
    struct worker *w = b->owner;
    if ((rc == E_NOSPACE || rc == E_NOMEM) && !w->is_closing) {
        MARK("log batch waits for disk space");
        if (!w->is_disk_full)
            LOG_ERROR(&logger, "no space for the log: writes are refused until there is",
                      field_code(rc));
        w->is_disk_full = true;
        io_timer_start(w->loop, &w->disk_timer, io_now(io_of(w->loop)).boot_ms + DISK_RETRY_MS);
        return;
    }
    CHECK(rc != E_LIMIT); /* BATCH_SIZE_MAX and one mutation are far below the log's limit. */
    if (rc == 0 && w->is_disk_full) {
        LOG_INFO(&logger, "the log has space again");
        w->is_disk_full = false;
    }
    if (rc != 0) w->is_disk_failed = true;
    w->flying = NULL;
    tell_replicas(b, rc);
    release_batch(b);
}

/* The same batch again, before anything that came after it; once more when the worker stops, and then its
 * end is final. */
static void on_disk_timer(struct io_timer *timer)
{
    struct worker *w = LIST_ENTRY(timer, struct worker, disk_timer);
    if (w->flying != NULL) log_submit(w->node->log, &w->flying->log);
}

/* ---- Requests ------------------------------------------------------------------------------------------------ */

static void serve(struct worker *w, struct rpc_request *request)
{
    const struct frame_request *f = &request->frame;
    struct gpid gpid = {f->app_id, f->partition_index};
    struct replica *r = worker_find(w, gpid);
    struct opening *o = r == NULL ? opening_find(w, gpid) : NULL;
    if (r != NULL) replica_on_request(r, request);
    else if (o == NULL || !opening_takes(o, request))
        rpc_reply_error(request, WIRE_ERR_OBJECT_NOT_FOUND);
}

static unsigned denied(const struct replica *r, enum rpc_kind kind)
{
    unsigned deny = r->assigned != NULL ? r->assigned->deny : DENY_NOTHING;
    unsigned what = kind == RPC_KIND_WRITE ? DENY_WRITES : DENY_READS;
    return (deny & what) != 0 ? deny : DENY_NOTHING;
}

void replica_on_request(struct replica *r, struct rpc_request *request)
{
    enum rpc_kind kind = rpc_info(request->frame.code)->kind;
    if (replica_is_coming(r) && kind != RPC_KIND_PEER) {
        list_push_back(&r->early, &request->node);
        return;
    }
    bool is_ours = kind == RPC_KIND_PIRENE || kind == RPC_KIND_PEER;
    unsigned deny = is_ours ? DENY_NOTHING : denied(r, kind);
    if ((deny & DENY_BY_SILENCE) != 0) {
        rpc_drop(request);
        return;
    }
    if (deny != DENY_NOTHING) {
        rpc_reply_error(request, WIRE_ERR_INVALID_STATE);
        return;
    }
    switch (request->frame.code) {
    case RPC_DUP_STATUS: dup_status_on_request(r, request); break;
    case RPC_DUP_WAIT: dup_wait_on_request(r, request); break;
    case RPC_DIGEST: replica_on_digest(r, request); break;
    case RPC_LEARN: teach_on_learn(r, request); break;
    case RPC_LEARN_READ: teach_on_read(r, request); break;
    default:
        if (kind == RPC_KIND_WRITE) replica_on_write(r, request, false);
        else replica_on_read(r, request, false);
        break;
    }
}

static void on_carried(struct io_post *post)
{
    struct rpc_request *request = LIST_ENTRY(post, struct rpc_request, post);
    struct worker *w;
    memcpy(&w, request->owner, sizeof w);
    memset(request->owner, 0, sizeof w);
    serve(w, request);
}

static void on_carried_to_control(struct io_post *post)
{
    struct rpc_request *request = LIST_ENTRY(post, struct rpc_request, post);
    struct node *n;
    memcpy(&n, request->owner, sizeof n);
    memset(request->owner, 0, sizeof n);
    control_on_request(n, request);
}

/* What it takes to serve it is known, and less than waking a thread. */
static bool is_quick(const struct rpc_request *request)
{
    if (request->size > QUICK_SIZE_MAX) return false;
    switch (request->frame.code) {
    case RPC_PUT:
    case RPC_REMOVE:
    case RPC_INCR:
    case RPC_CHECK_AND_SET:
    case RPC_DUPLICATE:
    case RPC_GET:
    case RPC_TTL: return true;
    default: return false;
    }
}

/* Carry it to another loop; 'to' is what its handler finds in the owner's bytes. */
static void carry(struct rpc_request *request, struct io_loop *loop, void *to,
                  void (*run)(struct io_post *post))
{
    memcpy(request->owner, &to, sizeof to);
    request->post.run = run;
    if (is_quick(request)) io_post_quick(loop, &request->post);
    else io_post(loop, &request->post);
}

static bool is_for_partition(enum rpc_code code)
{
    switch (rpc_info(code)->kind) {
    case RPC_KIND_READ:
    case RPC_KIND_WRITE:
    case RPC_KIND_SCAN: return true;
    case RPC_KIND_PIRENE: return code != RPC_HELLO;
    case RPC_KIND_PEER: return true;
    case RPC_KIND_META:
    case RPC_KIND_ADMIN: break;
    }
    return false;
}

void worker_on_request(void *context, struct rpc_request *request)
{
    struct worker *w = context;
    const struct frame_request *f = &request->frame;
    if (f->code == RPC_REPLICATE) {
        replicate_on_request(w, request);
        return;
    }
    if (!is_for_partition(f->code)) {
        carry(request, w->node->control, w->node, on_carried_to_control);
        return;
    }
    if (f->app_id <= 0) {
        rpc_reply_error(request, WIRE_ERR_HANDLER_NOT_FOUND);
        return;
    }
    struct worker *owner = node_owner(w->node, (struct gpid){f->app_id, f->partition_index});
    if (owner == w) serve(w, request);
    else carry(request, owner->loop, owner, on_carried);
}

/* ---- Scans that nobody continues ------------------------------------------------------------------------------- */

static void on_scan_timer(struct io_timer *timer)
{
    struct worker *w = LIST_ENTRY(timer, struct worker, scan_timer);
    uint64_t now_ms = io_now(io_of(w->loop)).boot_ms, next_ms = UINT64_MAX;
    for (uint32_t i = 0; i < WORKER_BUCKETS; i++)
        LIST_EACH (it, &w->replicas[i]) {
            struct replica *r = LIST_ENTRY(it, struct replica, node);
            uint64_t due_ms = kv_scans_expire(&r->scans, now_ms);
            if (due_ms < next_ms) next_ms = due_ms;
        }
    if (next_ms != UINT64_MAX) io_timer_start(w->loop, &w->scan_timer, next_ms);
}

void worker_scan_waits(struct worker *w)
{
    if (w->scan_timer.loop == NULL)
        io_timer_start(w->loop, &w->scan_timer, io_now(io_of(w->loop)).boot_ms + SCAN_EXPIRE_MS);
}

/* ---- The meta group's wishes ------------------------------------------------------------------------------------ */

void worker_assign(struct worker *w, struct assignment *a)
{
    struct replica *r = worker_find(w, a->gpid);
    struct opening *o = opening_find(w, a->gpid);
    if (w->is_closing) {
        assignment_free(a);
    } else if (r != NULL && r->is_closing) {
        assignment_free(r->again); /* Recalled while it closes: opened again right after. */
        r->again = a;
    } else if (r != NULL) {
        replica_assign(r, a);
    } else if (o != NULL) {
        opening_assign(o, a);
    } else {
        opening_begin(w, a, false);
    }
}

void worker_drop(struct worker *w, struct gpid gpid)
{
    struct replica *r = worker_find(w, gpid);
    struct opening *o = opening_find(w, gpid);
    if (r != NULL && !r->is_closing) worker_close_replica(r, true);
    if (r != NULL) {
        assignment_free(r->again);
        r->again = NULL;
    } else if (o != NULL) {
        opening_drop(o);
    } else {
        if (!w->is_closing) /* There was no memory to open it. */
            control_on_dropped(w->node, gpid);
    }
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

/* Flushed stores let the log free its segments. But a flush that meets a full disk keeps its store from
 * writing for seconds: so only what surely has room, with as much for the flushes of the other workers. */
static void on_disk_low(struct disk_guard *g)
{
    struct worker *w = LIST_ENTRY(g, struct worker, guard);
    uint64_t room = g->free_size / (2 * (uint64_t)w->node->worker_count);
    for (uint32_t i = 0; i < WORKER_BUCKETS; i++)
        LIST_EACH (it, &w->replicas[i]) {
            struct replica *r = LIST_ENTRY(it, struct replica, node);
            struct store_stats stats = {0};
            if (r->store != NULL) store_stats(r->store, &stats);
            uint64_t size = stats.memory_size + FLUSH_SIZE_MIN;
            if (size > room) continue;
            room -= size;
            replica_flush(r);
        }
}

int worker_open(struct worker *w, struct node *n, uint32_t index)
{
    *w = (struct worker){.node = n, .index = index, .hook.run = on_turn_end};
    for (uint32_t i = 0; i < WORKER_BUCKETS; i++) list_init(&w->replicas[i]);
    list_init(&w->openings);
    list_init(&w->closed);
    links_init(w);
    list_init(&w->remotes);
    w->filling = &w->batches[0];
    w->batches[0].owner = w->batches[1].owner = w;
    w->disk_timer.run = on_disk_timer;
    w->scan_timer.run = on_scan_timer;
    int rc = store_batch_new(&w->changes);
    if (rc != 0) return rc;
    char name[16];
    (void)snprintf(name, sizeof name, "worker %u", index);
    rc = io_loop_open(n->io, IO_LOOP_EVENTS, name, &w->loop);
    if (rc != 0) return rc;
    disk_guard_init(&w->guard, w->loop, n->config.data_dir, n->config.disk_reserve_size,
                    on_disk_low);
    struct rpc_server_options options = {.self = n->told};
    return rpc_server_open(w->loop, &options, worker_on_request, w, &w->server);
}

void worker_start(struct worker *w)
{
    metric_entity_init(&w->entity, &node_worker_table, &w->metrics);
    metric_entity_label(&w->entity, "worker", "%u", w->index);
    metric_registry_add(&w->node->registry, &w->entity);
    io_turn_hook_add(w->loop, &w->hook);
}

static void on_guard_idle(struct disk_guard *g)
{
    worker_stop_if_done(LIST_ENTRY(g, struct worker, guard));
}

void worker_stop_if_done(struct worker *w)
{
    if (!w->is_closing || w->server != NULL || w->replica_count > 0 || w->remotes_closing > 0 ||
        w->links_closing > 0 || w->forgetting > 0 || w->wishes_asked > 0 ||
        !list_is_empty(&w->openings) || !disk_guard_stop(&w->guard, on_guard_idle))
        return;
    io_timer_stop(&w->disk_timer);
    io_timer_stop(&w->scan_timer);
    links_stop(w);
    io_turn_hook_remove(&w->hook);
    metric_registry_remove(&w->node->registry, &w->entity);
    w->on_closed(w);
}

/* Wanted again; unless something newer was heard while the log forgot it. */
static void open_again(struct worker *w, struct assignment *a, bool is_useless)
{
    bool is_overtaken = worker_find(w, a->gpid) != NULL || opening_find(w, a->gpid) != NULL;
    if (w->is_closing || is_overtaken) assignment_free(a);
    else opening_begin(w, a, is_useless);
}

static void on_replica_closed(struct replica *r)
{
    struct worker *w = r->worker;
    struct assignment *again = r->again;
    const bool is_useless = r->is_useless;
    r->again = NULL;
    if (r->is_dropped && !w->is_closing) control_on_dropped(w->node, r->gpid);
    if (r->is_held) list_push_back(&w->closed, &r->node);
    else replica_free(r);
    if (again != NULL) open_again(w, again, is_useless);
    worker_stop_if_done(w);
}

void worker_close_replica(struct replica *r, bool is_dropped)
{
    replica_close(r, is_dropped, on_replica_closed);
}

void worker_reopen_replica(struct replica *r)
{
    r->is_replaced = true;
    worker_close_replica(r, true);
    r->again = r->assigned;
    r->assigned = NULL;
}

static void close_replicas(struct worker *w)
{
    struct list_node *next;
    for (uint32_t i = 0; i < WORKER_BUCKETS; i++)
        for (struct list_node *it = w->replicas[i].next; it != &w->replicas[i]; it = next) {
            struct replica *r = LIST_ENTRY(it, struct replica, node);
            next = it->next;
            if (!r->is_closing) worker_close_replica(r, false);
        }
}

static void on_server_closed(void *context)
{
    struct worker *w = context;
    w->server = NULL;
    worker_stop_if_done(w);
}

void worker_stop(struct worker *w, void (*on_closed)(struct worker *w))
{
    w->is_closing = true;
    w->on_closed = on_closed;
    if (w->disk_timer.loop != NULL) io_timer_start(w->loop, &w->disk_timer, 0); /* Now. */
    openings_stop(w);
    close_replicas(w); /* Ends their requests, which the server waits for. */
    rpc_server_close(w->server, on_server_closed, w);
}

void worker_close_loop(struct worker *w)
{
    io_loop_close(w->loop);
    w->loop = NULL;
}

void worker_free(struct worker *w)
{
    for (struct list_node *n; w->node != NULL && (n = list_pop_front(&w->closed)) != NULL;)
        replica_free(LIST_ENTRY(n, struct replica, node));
    store_batch_free(w->changes);
    buf_fini(&w->scratch);
    mem_free(w->items);
    for (int i = 0; i < 2; i++) {
        mem_free(w->batches[i].entries);
        mem_free(w->batches[i].chunks);
        mem_free(w->batches[i].replicas);
    }
}
