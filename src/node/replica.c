/* src/node/replica.c: the life of a replica, and the effects of its protocol. */
#include "node/replica.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "kv/apply.h"
#include "node/learn.h"
#include "node/node_dir.h"
#include "node/node_impl.h"
#include "node/replica_state.h"
#include "node/replica_throttle.h"
#include "node/stream.h"
#include "node/worker.h"
#include "obs/logger.h"
#include "wire/messages_repl.h"

static const struct logger logger = {.room = "replica"};

enum {
    APPLY_SIZE_MAX = 1 << 20, /* Bytes of mutations in one write to the store. */
};

static const struct metric_row replica_rows[] = {
    METRIC_COUNTER_ROW(struct replica_metrics, reads, "replica_reads", "requests",
                       "Read requests served"),
    METRIC_COUNTER_ROW(struct replica_metrics, writes, "replica_writes", "requests",
                       "Write requests acknowledged"),
    METRIC_COUNTER_ROW(struct replica_metrics, read_errors, "replica_read_errors", "requests",
                       "Read requests refused"),
    METRIC_COUNTER_ROW(struct replica_metrics, write_errors, "replica_write_errors", "requests",
                       "Write requests refused or of unknown outcome"),
    METRIC_COUNTER_ROW(struct replica_metrics, reads_off_loop, "replica_reads_off_loop", "requests",
                       "Reads that needed the disk"),
    METRIC_COUNTER_ROW(struct replica_metrics, writes_stalled, "replica_writes_stalled", "requests",
                       "Writes that waited for a value from the disk"),
    METRIC_COUNTER_ROW(struct replica_metrics, writes_delayed, "replica_writes_delayed", "requests",
                       "Writes that the table's throttling made wait"),
    METRIC_COUNTER_ROW(struct replica_metrics, writes_rejected, "replica_writes_rejected",
                       "requests", "Writes that the table's throttling refused"),
    METRIC_COUNTER_ROW(struct replica_metrics, reads_delayed, "replica_reads_delayed", "requests",
                       "Reads that the table's throttling made wait"),
    METRIC_COUNTER_ROW(struct replica_metrics, reads_rejected, "replica_reads_rejected", "requests",
                       "Reads that the table's throttling refused"),
    METRIC_COUNTER_ROW(struct replica_metrics, backup_reads_delayed, "replica_backup_reads_delayed",
                       "requests", "Backup reads that the table's throttling made wait"),
    METRIC_COUNTER_ROW(struct replica_metrics, backup_reads_rejected,
                       "replica_backup_reads_rejected", "requests",
                       "Backup reads that the table's throttling dropped"),
    METRIC_HISTOGRAM_ROW(struct replica_metrics, write_us, "replica_write", "us",
                         "Time of a write from its evaluation to its answer"),
    METRIC_GAUGE_ROW(struct replica_metrics, committed, "replica_committed", "decree",
                     "Last committed decree"),
    METRIC_GAUGE_ROW(struct replica_metrics, disk_full, "replica_disk_full", "bool",
                     "1: the disk has no room for rows or configuration, and writes are refused"),
    METRIC_GAUGE_ROW(struct replica_metrics, incoming_sources, "replica_incoming_sources",
                     "partitions", "Partitions of other clusters that duplicate into this one"),
    METRIC_COUNTER_ROW(struct replica_metrics, incoming_heard, "replica_incoming_positions",
                       "positions", "How often one of them said how far it is"),
    METRIC_GAUGE_ROW(struct replica_metrics, incoming_closed_us, "replica_incoming_closed", "us",
                     "Hybrid time up to which the last one to say so is applied here"),
};
static const struct metric_table replica_table = METRIC_TABLE(METRIC_OF_PARTITION, replica_rows);

struct now replica_now(const struct replica *r)
{
    return io_now(io_of(r->worker->loop));
}

/* ---- Opening and recovery ------------------------------------------------------------------------ */

static void replica_init(struct replica *r, struct gpid gpid)
{
    r->gpid = gpid;
    r->partition = kv_partition_default();
    r->partition.app_id = gpid.app_id;
    r->partition.index = (uint32_t)gpid.partition_index;
    list_init(&r->node);
    list_init(&r->early);
    list_init(&r->waiting);
    list_init(&r->stalled);
    list_init(&r->delayed);
    list_init(&r->streams);
    list_init(&r->dup_waits);
    replica_room_init(r);
    replica_part_init(r);
    teach_init(&r->teacher);
}

int replica_open(struct io *io, struct store_env *env, const char *dir, struct gpid gpid,
                 uint64_t node_id, size_t tail_size_max, struct replica **out, struct err *e)
{
    struct replica *r = mem_zalloc(sizeof *r);
    if (r == NULL) return err_set(e, E_NOMEM, "replica %s", dir);
    replica_init(r, gpid);

    struct repl_saved saved;
    int rc = E_NOMEM;
    r->dir = mem_alloc(strlen(dir) + 1);
    if (r->dir == NULL) goto failed;
    memcpy(r->dir, dir, strlen(dir) + 1);
    rc = node_dir_make(io, dir);
    if (rc == 0) rc = learn_install(io, dir);
    if (rc == 0) rc = replica_state_load(io, dir, &saved);
    if (rc != 0) goto failed;
    rc = kv_scans_init(&r->scans, KV_SCANS_COUNT_DEFAULT, KV_SCANS_SIZE_DEFAULT, io_seed(io));
    if (rc != 0) goto failed;

    char store_dir[CONFIG_TEXT_SIZE + 64];
    (void)snprintf(store_dir, sizeof store_dir, "%s/store", dir);
    rc = store_open(env, store_dir, &r->store, e);
    if (rc != 0) goto failed_said;
    rc = repl_init(&r->repl, node_id, saved.config.ballot != 0 ? &saved : NULL,
                   store_applied(r->store), tail_size_max);
    if (rc != 0) goto failed;
    repl_saw_timestamp(&r->repl, store_timestamp_us(r->store));
    r->apply_to = r->durable = r->repl.applied;
    *out = r;
    return 0;

failed:
    (void)err_set(e, rc, "replica %s: %s", dir, err_text(rc));
failed_said:
    replica_free(r);
    CHECK(rc != 0);
    return rc;
}

int replica_recover(struct replica *r, uint64_t ballot, struct slice mutation)
{
    struct chunk *bytes = chunk_new(mutation.size);
    if (bytes == NULL) return E_NOMEM;
    memcpy(bytes->data, mutation.data, mutation.size);
    struct repl_effects effects;
    struct repl_event event = {.type = REPL_RECOVERED, .recovered = {bytes, ballot}};
    int rc = repl_step(&r->repl, &event, &effects);
    chunk_unref(bytes);
    if (rc == E_PROTO) r->is_damaged = true;
    return rc;
}

static uint64_t collect(struct replica *r, struct store_batch *changes);

int replica_replayed(struct replica *r)
{
    struct repl_effects effects;
    struct repl_event replayed = {.type = REPL_REPLAYED};
    int rc = r->is_damaged ? 0 : repl_step(&r->repl, &replayed, &effects);
    if (r->is_damaged || rc != 0 || effects.count == 0) return rc;
    struct store_batch *changes;
    rc = store_batch_new(&changes);
    if (rc != 0) return rc;
    r->apply_to = effects.items[0].last;
    while (rc == 0 && r->repl.applied < r->apply_to) {
        struct repl_event applied = {.type = REPL_APPLIED};
        applied.applied.decree = collect(r, changes);
        while ((rc = store_write(r->store, changes, applied.applied.decree)) == E_BUSY)
            store_wait_writable(r->store);
        if (rc == 0) rc = repl_step(&r->repl, &applied, &effects);
    }
    store_batch_free(changes);
    return rc == E_NOSPACE ? 0 : rc; /* A full disk is no failure: see replica_start(). */
}

void replica_free(struct replica *r)
{
    CHECK(list_is_empty(&r->early) && list_is_empty(&r->streams) && list_is_empty(&r->waiting) &&
          list_is_empty(&r->stalled));
    kv_scans_fini(&r->scans);
    (void)store_close(r->store); /* A failed flush costs a replay, nothing else. */
    overlay_fini(&r->overlay);
    replica_throttle_free(r);
    dup_incoming_fini(&r->incoming);
    repl_fini(&r->repl);
    assignment_free(r->assigned);
    assignment_free(r->again);
    mem_free(r->dir);
    mem_free(r);
}

/* ---- On its worker -------------------------------------------------------------------------------- */

void replica_start(struct replica *r, struct worker *w)
{
    r->worker = w;
    r->started_ms = replica_now(r).boot_ms;
    wish_init(&r->wish, w, r->gpid);
    r->partition.server = slice_str(w->node->advertised);
    r->partition.sources = w->node->sources;
    replica_hold_begin(r);
    metric_entity_init(&r->entity, &replica_table, &r->metrics);
    metric_entity_label(&r->entity, "table", "%d", r->gpid.app_id);
    metric_entity_label(&r->entity, "partition", "%d", r->gpid.partition_index);
    metric_registry_add(&w->node->registry, &r->entity);
    worker_add(w, r);
    replica_apply(r);
}

/* ---- What the meta group wants ---------------------------------------------------------------------- */

static void partition_assign(struct kv_partition *p, const struct assignment *a)
{
    uint32_t iteration_time_ms_default = kv_partition_default().iteration_time_ms_max;
    p->count = a->partition_count;
    p->cluster_id = a->cluster_id;
    p->default_ttl_s = a->default_ttl_s;
    p->validates_partition_hash = a->validates_partition_hash;
    p->iteration_time_ms_max =
        a->has_iteration_time ? a->iteration_time_ms_max : iteration_time_ms_default;
}

struct stream *replica_stream(const struct replica *r, int32_t id)
{
    LIST_EACH (it, &r->streams) {
        struct stream *s = LIST_ENTRY(it, struct stream, node);
        if (s->dup.id == id && !s->is_closing) return s;
    }
    return NULL;
}

static const struct assignment_dup *assignment_find(const struct assignment *a, int32_t id)
{
    for (uint32_t i = 0; i < a->dup_count; i++)
        if (a->dups[i].id == id) return &a->dups[i];
    return NULL;
}

static void close_gone_streams(struct replica *r, const struct assignment *a)
{
    struct list_node *next;
    for (struct list_node *it = r->streams.next; it != &r->streams; it = next) {
        struct stream *s = LIST_ENTRY(it, struct stream, node);
        next = it->next;
        if (!s->is_closing && (a == NULL || assignment_find(a, s->dup.id) == NULL)) stream_close(s);
    }
}

/* It is primary, or between two configurations in both of which it is. */
static bool leads(const struct replica *r)
{
    return r->repl.role == REPL_PRIMARY || r->repl.is_staying;
}

/* Streams run where mutations are ordered: on the primary, from one configuration to the next. */
static void replica_sync_streams(struct replica *r)
{
    const struct assignment *a = leads(r) ? r->assigned : NULL;
    close_gone_streams(r, a);
    for (uint32_t i = 0; a != NULL && i < a->dup_count; i++) {
        struct stream *s = replica_stream(r, a->dups[i].id);
        if (s != NULL) {
            stream_assign(s, &a->dups[i]);
        } else if (stream_new(r, &a->dups[i]) == NULL) {
            LOG_ERROR(&logger, "no memory for a duplication stream",
                      field_i64("dup", a->dups[i].id));
        }
    }
    replica_hold(r);
    replica_set_policy(r);
}

/* It can't go on, and what it holds is not needed: it is told to learn from others, under a ballot under which it
 * has not failed yet. */
static bool must_reopen(const struct replica *r)
{
    const struct repl *p = &r->repl;
    const struct repl_config *told = &r->assigned->config;
    uint64_t ballot = p->coming.ballot != 0 ? p->coming.ballot : p->config.ballot;
    bool is_over = r->is_damaged || p->is_stopped;
    return is_over && told->learner == p->self && told->ballot > ballot &&
           !node_has_lost_log(r->worker->node);
}

void replica_assign(struct replica *r, struct assignment *a)
{
    if (r->is_closing) {
        assignment_free(a);
        return;
    }
    assignment_free(r->assigned);
    r->assigned = a;
    if (must_reopen(r)) {
        MARK("a replica that can't go on is opened again to learn");
        worker_reopen_replica(r);
        return;
    }
    partition_assign(&r->partition, a);
    replica_throttle_assign(r);
    struct repl_event event = {.type = REPL_CONFIGURED, .configured = a->config};
    replica_senders_sync(r);
    if (!r->is_damaged && !r->repl.is_stopped) replica_step(r, &event);
    wish_sync(r);
    replica_sync_streams(r);
}

/* ---- The protocol's effects ------------------------------------------------------------------------ */

static void do_append(struct replica *r, const struct repl_effect *effect)
{
    for (uint64_t decree = effect->first; decree <= effect->last; decree++)
        worker_append(r->worker, r, repl_tail_get(&r->repl, decree), decree, effect->ballot);
}

static void do_commit(struct replica *r, uint64_t decree)
{
    uint64_t before = (uint64_t)metric_gauge_get(&r->metrics.committed);
    metric_gauge_set(&r->metrics.committed, (int64_t)decree);
    if (list_is_empty(&r->streams)) return;
    uint64_t size = 0;
    for (uint64_t d = before + 1; d <= decree; d++) {
        const struct chunk *mutation = repl_tail_get(&r->repl, d);
        if (mutation != NULL) size += mutation->capacity;
    }
    LIST_EACH (it, &r->streams)
        stream_on_committed(LIST_ENTRY(it, struct stream, node), decree, size);
}

static void state_saved(struct io_work *work);

static void state_save(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, state_work);
    r->state_rc = replica_state_save(io_of(r->worker->loop), r->dir, &r->saving);
}

void replica_save_state(struct replica *r)
{
    if (r->is_saving_state) return; /* When it is done, the newest is saved. */
    r->is_saving_state = true;
    r->saving = (struct repl_saved){r->repl.coming, r->repl.floor};
    r->busy++;
    r->state_work.run = state_save;
    r->state_work.done = state_saved;
    io_work(r->worker->loop, &r->state_work);
}

static void do_stop(struct replica *r, int rc)
{
    LOG_ERROR(&logger, "replica stopped", field_i64("table", r->gpid.app_id),
              field_i64("partition", r->gpid.partition_index), field_code(rc));
    replica_room_end(r);
    replica_sync_streams(r);
    wish_sync(r);
}

static void perform(struct replica *r, const struct repl_effect *effect)
{
    switch (effect->type) {
    case REPL_DO_SAVE_STATE: replica_save_state(r); break;
    case REPL_DO_APPEND: do_append(r, effect); break;
    case REPL_DO_APPLY:
        r->apply_to = effect->last;
        if (r->repl.role != REPL_PRIMARY)
            metric_gauge_set(&r->metrics.committed, (int64_t)r->repl.committed);
        replica_apply(r);
        break;
    case REPL_DO_COMMIT: do_commit(r, effect->last); break;
    case REPL_DO_REPLY: replica_reply(r, effect->last); break;
    case REPL_DO_FAIL: replica_fail_all(r); break;
    case REPL_DO_STOP: do_stop(r, effect->rc); break;
    case REPL_DO_PREPARE:
    case REPL_DO_COMMIT_POINT:
    case REPL_DO_ACK: replica_send(r, effect); break;
    case REPL_DO_LEARN: learn_begin(r, effect); break;
    case REPL_DO_JOIN:
    case REPL_DO_EXPEL:
    case REPL_DO_SHUN:
    case REPL_DO_GIVE_WAY: wish_add(r, effect); break;
    }
}

static int step(struct replica *r, const struct repl_event *event)
{
    struct repl_effects effects;
    enum repl_role before = r->repl.role;
    const bool has_led = leads(r);
    int rc = repl_step(&r->repl, event, &effects);
    if (has_led && !leads(r)) replica_part(r);
    if (!has_led && leads(r)) replica_part_end(r);
    if (r->repl.role != before)
        r->newest_us = r->repl.timestamp_us; /* Rows are never later (R3). */
    for (uint32_t i = 0; i < effects.count; i++) perform(r, &effects.items[i]);
    if (r->repl.role != before && r->assigned != NULL) replica_sync_streams(r);
    if (r->repl.role != REPL_LEARNER) learn_end(r);
    teach_sync(r);
    if (!list_is_empty(&r->early) && !replica_is_coming(r)) replica_serve_early(r);
    return rc;
}

void replica_step(struct replica *r, const struct repl_event *event)
{
    int rc = step(r, event);
    if (rc != 0)
        LOG_ERROR(&logger, "replica step refused", field_str("dir", r->dir), field_code(rc));
}

/* A mutation of another server. What is not taken is sent again. */
static int prepare(struct replica *r, struct repl_event *event, struct slice mutation)
{
    struct worker *w = r->worker;
    int rc = worker_is_behind(w) ? E_BUSY : worker_append_reserve(w);
    if (rc != 0) return rc;
    struct chunk *bytes = chunk_new(mutation.size);
    if (bytes == NULL) return E_NOMEM;
    memcpy(bytes->data, mutation.data, mutation.size);
    event->prepared.mutation = bytes;
    rc = step(r, event);
    chunk_unref(bytes);
    return rc;
}

int replica_on_peer(struct replica *r, uint64_t from, const struct replicate_item *item)
{
    struct repl_event event = {.ballot = (uint64_t)item->ballot};
    const uint64_t decree = (uint64_t)item->decree;
    if (r->is_closing || r->is_damaged) return 0;
    switch (item->kind) {
    case REPLICATE_PREPARE:
        event.type = REPL_PREPARED;
        event.prepared.from = from;
        event.prepared.committed = (uint64_t)item->committed;
        return prepare(r, &event, item->mutation);
    case REPLICATE_COMMIT_POINT:
        event.type = REPL_COMMITTED;
        event.committed.from = from;
        event.committed.decree = decree;
        return step(r, &event);
    case REPLICATE_ACK:
        event.type = REPL_ACKED;
        event.acked.from = from;
        event.acked.decree = decree;
        event.acked.asks_for_more = item->asks_for_more;
        event.acked.committed = (uint64_t)item->committed;
        event.acked.prepared = (uint64_t)item->prepared;
        return step(r, &event);
    default: return E_PROTO;
    }
}

int replica_on_learned(struct replica *r, uint64_t ballot, uint64_t committed,
                       struct slice mutation)
{
    struct repl_event event = {.type = REPL_PREPARED, .ballot = ballot};
    event.prepared.from = r->repl.config.primary;
    event.prepared.committed = committed;
    return r->is_closing ? E_CANCELED : prepare(r, &event, mutation);
}

static void state_saved(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, state_work);
    r->is_saving_state = false;
    if (r->state_rc == E_NOSPACE) {
        replica_wait_for_room(r);
        replica_release(r);
        return;
    }
    struct repl_event event = {.type = REPL_STATE_SAVED, .ballot = r->saving.config.ballot};
    if (r->state_rc != 0) {
        LOG_ERROR(&logger, "replica state not saved", field_str("dir", r->dir),
                  field_code(r->state_rc));
        event = (struct repl_event){.type = REPL_STORE_FAILED, .failed.rc = r->state_rc};
    }
    if (!r->is_closing) replica_step(r, &event);
    bool is_due = r->repl.coming.ballot != 0 && !r->repl.is_coming_saved;
    if (!r->is_closing && !r->repl.is_stopped && is_due) replica_save_state(r);
    replica_had_room(r);
    replica_release(r);
}

bool replica_may_serve(const struct replica *r)
{
    return !r->is_closing && repl_is_serving(&r->repl) && node_lease_holds(r->worker->node);
}

bool replica_is_coming(const struct replica *r)
{
    const struct repl *p = &r->repl;
    if (r->is_closing || r->is_disk_full || p->is_stopped || repl_is_serving(p)) return false;
    return p->role == REPL_PRIMARY || (p->coming.ballot != 0 && p->coming.primary == p->self);
}

void replica_serve_early(struct replica *r)
{
    struct list_node requests;
    list_init(&requests);
    list_splice_back(&requests, &r->early);
    for (struct list_node *it; (it = list_pop_front(&requests)) != NULL;)
        replica_on_request(r, LIST_ENTRY(it, struct rpc_request, node));
}

/* ---- Applying --------------------------------------------------------------------------------------- */

/* Put the mutations after 'applied' into 'changes', up to a size; returns the last decree put in. */
static uint64_t collect(struct replica *r, struct store_batch *changes)
{
    uint64_t decree = r->repl.applied;
    size_t size = 0;
    store_batch_clear(changes);
    while (decree < r->apply_to && size < APPLY_SIZE_MAX) {
        const struct chunk *bytes = repl_tail_get(&r->repl, ++decree);
        CHECK(bytes != NULL);
        struct mutation m;
        CHECK(mutation_read(slice_of(bytes->data, bytes->capacity), &m) == 0);
        kv_apply(changes, &m);
        store_batch_stamp(changes, m.timestamp_us);
        size += bytes->capacity;
    }
#ifdef MUT_dup_batch_many_writes
    /* Known mistake: a decree's first write comes in a batch of its own, with the number of before. */
    const struct chunk *next = repl_tail_get(&r->repl, decree + 1);
    struct mutation half;
    if (next != NULL && mutation_read(slice_of(next->data, next->capacity), &half) == 0 &&
        half.op_count > 1) {
        struct slice rest = half.ops;
        struct mutation_op op;
        (void)mutation_op_next(&rest, &op);
        half.ops.size -= rest.size;
        kv_apply(changes, &half);
    }
#endif
    return decree;
}

static void forget_overlay(struct replica *r, uint64_t first, uint64_t last)
{
    if (r->overlay.count == 0) return;
    for (uint64_t decree = first; decree <= last; decree++) {
        const struct chunk *bytes = repl_tail_get(&r->repl, decree);
        struct mutation m;
        CHECK(mutation_read(slice_of(bytes->data, bytes->capacity), &m) == 0);
        overlay_remove(&r->overlay, &m);
    }
}

static void unstall_run(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, unstall);
    store_wait_writable(r->store);
}

static void unstall_done(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, unstall);
    r->is_store_full = false;
    if (!r->repl.is_stopped) replica_apply(r);
    replica_release(r);
}

/* The store wants time: wait for it on the pool, then go on. Clients wait that long. */
static void wait_for_store(struct replica *r)
{
    r->is_store_full = true;
    r->busy++;
    r->unstall.run = unstall_run;
    r->unstall.done = unstall_done;
    io_work(r->worker->loop, &r->unstall);
}

void replica_apply(struct replica *r)
{
    while (!r->is_store_full && r->repl.applied < r->apply_to) {
        uint64_t first = r->repl.applied + 1;
        uint64_t last = collect(r, r->worker->changes);
        int rc = store_write(r->store, r->worker->changes, last);
        if (rc == E_BUSY) {
            wait_for_store(r);
            return;
        }
        if (rc == E_NOSPACE) {
            replica_wait_for_room(r);
            return;
        }
        if (rc != 0) {
            struct repl_event failed = {.type = REPL_STORE_FAILED, .failed.rc = rc};
            r->is_useless = true;
            replica_step(r, &failed);
            return;
        }
        forget_overlay(r, first, last);
        replica_part_from(r, last);
        struct repl_event applied = {.type = REPL_APPLIED, .applied.decree = last};
        replica_step(r, &applied);
        replica_flush_if_due(r);
    }
    if (!r->is_store_full) replica_had_room(r);
}

void replica_on_logged(struct replica *r, int rc)
{
    struct repl_event event = {.type = rc == 0 ? REPL_LOGGED : REPL_LOG_FAILED};
    if (rc == 0) event.logged.decree = r->logged_to;
    else event.failed.rc = rc;
    r->logged_to = 0;
    replica_step(r, &event);
}

/* ---- Closing ------------------------------------------------------------------------------------------ */

static void close_run(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, work);
    int rc = store_close(r->store);
    r->store = NULL;
    /* Its records are all there is of the last writes, unless there is another store with all of them. */
    r->is_log_needed = !r->is_replaced && (rc != 0 || r->repl.applied < r->repl.committed);
    if (rc != 0)
        LOG_WARN(&logger, "store closed without flush", field_str("dir", r->dir), field_code(rc));
}

static void on_forgotten(struct log_hold *hold)
{
    struct replica *r = LIST_ENTRY(hold, struct replica, hold);
    r->is_held = false;
    r->worker->forgetting--;
    r->on_closed(r);
}

static void close_done(struct io_work *work)
{
    struct replica *r = LIST_ENTRY(work, struct replica, work);
    worker_remove(r->worker, r);
    metric_registry_remove(&r->worker->node->registry, &r->entity);
    if (r->is_log_needed && r->is_dropped) replica_hold(r);
    if (r->is_log_needed || !r->is_dropped) {
        r->on_closed(r);
        return;
    }
    r->worker->forgetting++;
    log_forget(&r->hold, on_forgotten);
}

void replica_release(struct replica *r)
{
    CHECK(r->busy > 0);
    if (--r->busy > 0 || !r->is_closing) return;
    kv_scans_drop(&r->scans);
    r->work.run = close_run;
    r->work.done = close_done;
    io_work(r->worker->loop, &r->work);
}

void replica_close(struct replica *r, bool is_dropped, void (*on_closed)(struct replica *r))
{
    CHECK(!r->is_closing);
    r->is_dropped = is_dropped;
    r->busy++; /* Released below: so that it closes once, and not inside. */
    r->is_closing = true;
    r->on_closed = on_closed;
    replica_serve_early(r);
    replica_throttle_end(r);
    replica_room_end(r);
    replica_compact_end(r);
    replica_fail_all(r);
    close_gone_streams(r, NULL);
    replica_senders_end(r);
    learn_end(r);
    teach_sync(r);
    wish_end(&r->wish);
    replica_release(r);
}
