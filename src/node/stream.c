/* src/node/stream.c: performing a stream's effects (docs/duplication.md).
 *
 *     step:  event -> core/dup -> effects -> performed in order
 *              ^                              |
 *              +--- answers, in order <-------+   some are there at once (a read from the tail): they
 *                                                 are the next events of the same step, so nothing
 *                                                 recurses, nothing waits and none is lost */
#include "node/stream.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "kv/dup_entry.h"
#include "node/dup_wait.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/stream_scan.h"
#include "node/worker.h"
#include "obs/logger.h"
#include "wire/key.h"

static const struct logger logger = {.room = "dup"};

enum {
    WINDOWS_SIZE_MAX = 32 << 20, /* Of all streams of a worker, which share it. */
};

static const struct metric_row stream_rows[] = {
    METRIC_GAUGE_ROW(struct stream_metrics, committed, "dup_committed", "decree",
                     "Last decree committed at the source"),
    METRIC_GAUGE_ROW(struct stream_metrics, confirmed, "dup_confirmed", "decree",
                     "Last decree known to be applied at the remote"),
    METRIC_GAUGE_ROW(struct stream_metrics, lag_mutations, "dup_lag_mutations", "mutations",
                     "Committed and not confirmed"),
    METRIC_GAUGE_ROW(struct stream_metrics, lag_bytes, "dup_lag_bytes", "bytes",
                     "Of the mutations committed and not confirmed"),
    METRIC_READ_ROW(stream_lag_ms, "dup_lag_ms", "ms",
                    "Since the oldest unconfirmed commit; 0: nothing is unconfirmed"),
    METRIC_COUNTER_ROW(struct stream_metrics, requests, "dup_requests", "requests",
                       "DUPLICATE requests sent"),
    METRIC_COUNTER_ROW(struct stream_metrics, failures, "dup_failures", "requests",
                       "DUPLICATE requests that failed and were sent again"),
    METRIC_COUNTER_ROW(struct stream_metrics, bytes, "dup_bytes", "bytes",
                       "Of DUPLICATE requests sent"),
};
static const struct metric_table stream_table = METRIC_TABLE(METRIC_OF_DUPLICATION, stream_rows);

/* One DUPLICATE request on its way. */
struct stream_call {
    struct list_node node; /* In the stream's calls. */
    struct remote_call call;
    struct stream *stream;
    const struct dup_request *request; /* NULL: a position, and nobody waits for its answer. */
    uint64_t epoch, id;
    uint64_t decree; /* The newest that it covers. */
};

/* Progress on its way into the meta group. It outlives the stream if it must. */
struct stream_save {
    struct control_save save;
    struct stream *stream; /* NULL: gone meanwhile. */
};

/* What effects were answered at once. At most one read or scan, one save and one failure to send can be
 * among them: the machine asks for the next only when it has heard. */
enum { ANSWERS_MAX = 8 };
struct answers {
    struct dup_event items[ANSWERS_MAX];
    uint32_t first, count; /* A ring. */
    bool wants_step;       /* DUP_DO_STEP: when all of these were heard. */
    bool is_send_failed;   /* There was no memory for a request: all of them come again. */
};

static void answer_add(struct answers *a, struct dup_event event)
{
    CHECK(a->count < ANSWERS_MAX);
    a->items[(a->first + a->count++) % ANSWERS_MAX] = event;
}

static bool answer_take(struct answers *a, struct dup_event *out)
{
    bool is_step = a->count == 0 && a->wants_step;
    if (a->count == 0 && !is_step) return false;
    if (is_step) {
        a->wants_step = false;
        *out = (struct dup_event){.type = DUP_TICKED};
        return true;
    }
    *out = a->items[a->first];
    a->first = (a->first + 1) % ANSWERS_MAX;
    a->count--;
    return true;
}

static uint64_t now_ms(const struct stream *s)
{
    return replica_now(s->replica).boot_ms;
}

/* ---- Steps ------------------------------------------------------------------------------------------------ */

static void perform(struct stream *s, const struct dup_effect *effect, struct answers *answers);
static void calls_forget(struct stream *s);

static void show_metrics(struct stream *s)
{
    const struct dup_lag *lag = &s->machine.lag;
    metric_gauge_set(&s->metrics.committed, (int64_t)s->machine.committed);
    metric_gauge_set(&s->metrics.confirmed, (int64_t)s->machine.confirmed);
    metric_gauge_set(&s->metrics.lag_mutations, (int64_t)(lag->committed - lag->confirmed));
    metric_gauge_set(&s->metrics.lag_bytes, (int64_t)lag->size);
    metric_gauge_set(&s->metrics.behind_since_ms,
                     lag->count > 0 ? (int64_t)lag->samples[0].commit_ms : 0);
}

bool stream_lag_ms(const void *figures, struct now now, int64_t *out)
{
    const struct stream_metrics *m = figures;
    int64_t since = metric_gauge_get(&m->behind_since_ms);
    *out = since == 0 || (int64_t)now.boot_ms < since ? 0 : (int64_t)now.boot_ms - since;
    return true;
}

static void set_timer(struct stream *s)
{
    uint64_t deadline = dup_deadline_ms(&s->machine);
    if (deadline == UINT64_MAX) io_timer_stop(&s->timer);
    else io_timer_start(s->replica->worker->loop, &s->timer, deadline);
}

/* All streams of a worker share what they may hold unconfirmed. */
static size_t window_share(const struct stream *s)
{
    size_t share = WINDOWS_SIZE_MAX / s->replica->worker->stream_count;
    if (share > DUP_WINDOW_SIZE_MAX) return DUP_WINDOW_SIZE_MAX;
    return share > DUP_WINDOW_SIZE_MIN ? share : DUP_WINDOW_SIZE_MIN;
}

/* Give the machine an event, and then whatever its effects brought about at once. */
void stream_step(struct stream *s, struct dup_event event)
{
    uint64_t confirmed = s->machine.confirmed, vouched = s->machine.vouched;
    struct answers answers = {0};
    do {
        struct dup_effects effects;
        event.now_ms = now_ms(s);
        s->machine.window_size_max = window_share(s);
        (void)dup_step(&s->machine, &event, &effects); /* Without memory it asks again by itself. */
        if (s->machine.epoch != s->calls_epoch) {
            calls_forget(s);
            answers.is_send_failed = false;
        }
        for (uint32_t i = 0; i < effects.count; i++) perform(s, &effects.items[i], &answers);
#ifdef MUT_answer_overtaken_by_step
        if (answers.wants_step) answers.count = 0; /* Known mistake: one answer a step, the last. */
#endif
    } while (answer_take(&answers, &event));
    if (s->machine.confirmed >= s->machine.snapshot_decree && s->machine.state == DUP_LIVE &&
        s->machine.confirmed > 0)
        s->dup.needs_snapshot = false;
    show_metrics(s);
    set_timer(s);
    if (s->machine.confirmed != confirmed || s->machine.vouched != vouched)
        dup_wait_check(s->replica);
}

static void on_timer(struct io_timer *timer)
{
    struct stream *s = LIST_ENTRY(timer, struct stream, timer);
    stream_step(s, (struct dup_event){.type = DUP_TICKED});
}

/* ---- Sending ------------------------------------------------------------------------------------------------ */

static struct stream_call *call_new(struct stream *s)
{
    struct stream_call *c = mem_zalloc(sizeof *c);
    if (c == NULL) return NULL;
    c->stream = s;
    c->epoch = s->machine.epoch;
    list_push_back(&s->calls, &c->node);
    return c;
}

static void call_free(struct stream_call *c)
{
    remote_call_cancel(&c->call);
    list_remove(&c->node);
    mem_free(c);
}

/* The machine has begun anew: its requests of before are gone. Positions are true all the same. */
static void calls_forget(struct stream *s)
{
    struct list_node *next;
    for (struct list_node *it = s->calls.next; it != &s->calls; it = next) {
        struct stream_call *c = LIST_ENTRY(it, struct stream_call, node);
        next = it->next;
        if (c->request != NULL) call_free(c);
    }
    s->calls_epoch = s->machine.epoch;
}

static void calls_free(struct stream *s)
{
    while (!list_is_empty(&s->calls))
        call_free(LIST_ENTRY(s->calls.next, struct stream_call, node));
}

/* What a server's answer, or its absence, means to the machine. */
static void read_answer(const struct rpc_answer *answer, struct arena *a, struct dup_event *e)
{
    struct duplicate_response response;
    e->answered.refused = -1;
    if (answer->rc != 0) {
        /* A connection that was refused says nothing about the records. */
        e->answered.rc = answer->rc == E_REFUSED ? E_UNREACHABLE : answer->rc;
        return;
    }
    if (answer->error != WIRE_ERR_OK) {
        e->answered.rc = answer->error == WIRE_ERR_INVALID_DATA ? E_LIMIT
                         : answer->error == WIRE_ERR_BUSY       ? E_BUSY
                                                                : E_STATE;
        e->answered.why = (const char *)wire_error_name(answer->error).data;
        return;
    }
    e->answered.rc = rpc_answer_read(answer, &duplicate_response_schema, a, &response);
    if (e->answered.rc != 0) return;
    if ((response.set & DUPLICATE_RESPONSE_HAS_REFUSED_INDEX) != 0)
        e->answered.refused = response.refused_index;
    if (response.error == RRDB_INVALID_ARGUMENT || response.error == RRDB_NOT_SUPPORTED)
        e->answered.rc = E_REFUSED;
    else if (response.error != RRDB_OK) e->answered.rc = E_IO;
}

static void on_call_done(struct remote_call *call, const struct rpc_answer *answer)
{
    struct stream_call *c = LIST_ENTRY(call, struct stream_call, call);
    struct stream *s = c->stream;
    struct arena arena = {0};
    struct dup_event event = {.type = DUP_ANSWERED, .epoch = c->epoch};
    event.answered.id = c->id;
    event.answered.lane = c->call.partition_index;
    read_answer(answer, &arena, &event);
    bool is_position = c->request == NULL;
    call_free(c);
    if (event.answered.rc != 0) metric_counter_add(&s->metrics.failures, 1);
    if (!is_position) stream_step(s, event);
    arena_fini(&arena);
}

static struct duplicate_request position_of(const struct stream *s, uint64_t decree)
{
    if (!s->route.met.is_pirene) return (struct duplicate_request){0};
    return (struct duplicate_request){
        .set = DUPLICATE_REQUEST_HAS_PIRENE | DUPLICATE_REQUEST_HAS_TARGET_CLUSTER_UUID |
               DUPLICATE_REQUEST_HAS_SOURCE_PARTITION_COUNT,
        .source_app_id = s->replica->gpid.app_id,
        .source_partition_index = s->replica->gpid.partition_index,
        .source_decree_first = (int64_t)s->machine.confirmed + 1,
        .source_decree_last = (int64_t)decree,
        .closed_timestamp_us = (int64_t)s->machine.confirmed_timestamp_us,
        .version = DUPLICATE_VERSION,
        .source_cluster_id = s->replica->partition.cluster_id,
        .target_cluster_uuid = (int64_t)s->route.met.uuid,
        .source_partition_count = (int32_t)s->replica->partition.count,
    };
}

static void write_call(const struct remote_call *call, struct buf *to)
{
    const struct stream_call *c = LIST_ENTRY(call, struct stream_call, call);
    struct stream *s = c->stream;
    const struct dup_request *r = c->request;
    uint32_t count = r != NULL ? r->op_count : 0;
    size_t before = to->size;
    size_t offset = kv_dup_request_begin(to);
    for (uint32_t i = 0; i < count; i++) kv_dup_entry_append(to, &r->ops[i].op);
    struct duplicate_request position = position_of(s, c->decree);
    kv_dup_request_finish(to, offset, count, &position);
    metric_counter_add(&s->metrics.requests, 1);
    metric_counter_add(&s->metrics.bytes, to->size - before);
}

static void call_send(struct stream_call *c, uint32_t lane, uint64_t hash)
{
    c->call.table = c->stream->table;
    c->call.partition_index = lane;
    c->call.hash = hash;
    c->call.app_id = c->stream->route.met.table_id;
    c->call.size = DUP_OP_OVERHEAD + (c->request != NULL ? c->request->size : 0);
    c->call.write = write_call;
    c->call.on_done = on_call_done;
    remote_send(c->stream->remote, &c->call);
}

static void do_send(struct stream *s, const struct dup_effect *effect, struct answers *answers)
{
    const struct dup_request *r = effect->request;
    if (answers->is_send_failed) return;
    struct stream_call *c = call_new(s);
    if (c == NULL) {
        answers->is_send_failed = true;
        answer_add(answers, (struct dup_event){.type = DUP_SEND_FAILED, .epoch = effect->epoch});
        return;
    }
    c->request = r;
    c->id = r->id;
    c->decree = r->decree_last;
    call_send(c, r->lane, key_hash(r->ops[r->op_count - 1].op.key));
}

static void do_announce(struct stream *s, const struct dup_effect *effect)
{
    struct stream_call *c = call_new(s);
    if (c == NULL) return; /* It is news for the other side's display only. */
    c->decree = effect->first;
    call_send(c, effect->lane, 0);
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

static void on_log_read(struct log_read *read, int rc);

static void read_from_log(struct stream *s, const struct dup_effect *effect)
{
    MARK("stream reads the log, not the tail");
    s->read = (struct log_read){
        .gpid = s->replica->gpid,
        .from_decree = effect->first,
        .to_decree = effect->last,
        .size_max = effect->size,
        .count_max = STREAM_RUN_MAX,
        .loop = s->replica->worker->loop,
        .on_done = on_log_read,
    };
    s->read_epoch = effect->epoch;
    s->is_log_reading = true;
    s->busy++;
    log_read(s->replica->worker->node->log, &s->read);
}

/* Hand over what the tail has; what it no longer has is read from the log. */
static void do_read(struct stream *s, const struct dup_effect *effect, struct answers *answers)
{
    uint32_t count = 0;
    size_t size = 0;
    for (uint64_t decree = effect->first; decree <= effect->last; decree++) {
        struct chunk *mutation = repl_tail_get(&s->replica->repl, decree);
        if (mutation == NULL || count == STREAM_RUN_MAX || (count > 0 && size > effect->size))
            break;
        s->tail_run[count++] = mutation;
        size += mutation->capacity;
    }
    if (count == 0) {
        s->is_read_wanted = s->is_log_reading; /* One that nobody waits for any more. */
        s->read_wanted = *effect;
        if (!s->is_log_reading) read_from_log(s, effect);
        return;
    }
    struct dup_event event = {.type = DUP_READ, .epoch = effect->epoch};
    event.read.mutations = s->tail_run;
    event.read.count = count;
    answer_add(answers, event);
}

/* Copies of the log's mutations, each a chunk of its own, as the tail's are. */
static uint32_t copy_entries(struct stream *s, const struct log_read *read)
{
    uint32_t count = 0;
    while (count < read->count && count < STREAM_RUN_MAX) {
        struct slice bytes = read->entries[count].mutation;
        struct chunk *copy = chunk_new(bytes.size);
        if (copy == NULL) break;
        memcpy(copy->data, bytes.data, bytes.size);
        s->tail_run[count++] = copy;
    }
    return count;
}

/* The machine had begun anew and wanted to read while a read of before was under way. */
static void read_wanted(struct stream *s)
{
    MARK("read waited for one that nobody wanted");
    struct answers answers = {0};
    struct dup_event event;
    s->is_read_wanted = false;
    do_read(s, &s->read_wanted, &answers);
    if (answer_take(&answers, &event)) stream_step(s, event);
}

static void on_log_read(struct log_read *read, int rc)
{
    struct stream *s = LIST_ENTRY(read, struct stream, read);
    s->is_log_reading = false;
    struct dup_event event = {.type = DUP_READ, .epoch = s->read_epoch};
    uint32_t count = rc == 0 && !s->is_closing ? copy_entries(s, read) : 0;
    if (count == 0) {
        event.type = DUP_READ_FAILED;
        event.failed.rc = rc != 0 ? rc : E_NOMEM;
    } else {
        event.read.mutations = s->tail_run;
        event.read.count = count;
    }
    struct chunk *run[STREAM_RUN_MAX];
    memcpy(run, s->tail_run, count * sizeof run[0]);
    if (!s->is_closing) stream_step(s, event);
    for (uint32_t i = 0; i < count; i++) chunk_unref(run[i]);
    if (s->is_read_wanted && !s->is_closing) read_wanted(s);
    stream_release(s);
}

static void do_scan_open(struct stream *s, const struct dup_effect *effect, struct answers *answers)
{
    if (stream_scan_open(s, effect) == 0) return;
    struct dup_event event = {.type = DUP_SCAN_FAILED, .epoch = effect->epoch};
    event.failed.rc = E_NOMEM;
    answer_add(answers, event);
}

/* ---- Saving -------------------------------------------------------------------------------------------------- */

static void on_saved(struct control_save *save)
{
    struct stream_save *ss = LIST_ENTRY(save, struct stream_save, save);
    struct stream *s = ss->stream;
    struct dup_event event = {.type = DUP_SAVED};
    event.saved.decree = ss->save.rc == 0 ? (uint64_t)ss->save.confirm.confirmed : DUP_NOT_SAVED;
    mem_free(ss);
    if (s == NULL) return;
    s->save = NULL;
    stream_step(s, event);
    replica_hold(s->replica);
}

static int do_save(struct stream *s, uint64_t decree)
{
    struct stream_save *ss = s->save == NULL ? mem_zalloc(sizeof *ss) : NULL;
    if (ss == NULL) return E_NOMEM; /* Or one is on its way: later. */
    ss->stream = s;
    ss->save.loop = s->replica->worker->loop;
    ss->save.on_saved = on_saved;
    ss->save.confirm = (struct meta_confirm){
        .table_id = s->replica->gpid.app_id,
        .dup_id = s->dup.id,
        .partition = s->replica->gpid.partition_index,
        .confirmed = (int64_t)decree,
        .is_bootstrapped = true, /* Progress is only saved behind the snapshot. */
    };
    s->save = ss;
    control_save(s->replica->worker->node, &ss->save);
    return 0;
}

/* ---- Effects ---------------------------------------------------------------------------------------------------- */

static void perform(struct stream *s, const struct dup_effect *effect, struct answers *answers)
{
    switch (effect->type) {
    case DUP_DO_ROUTE: stream_route_find(s, effect->epoch); break;
    case DUP_DO_READ: do_read(s, effect, answers); break;
    case DUP_DO_SCAN_OPEN: do_scan_open(s, effect, answers); break;
    case DUP_DO_SCAN: stream_scan_next(s, effect); break;
    case DUP_DO_SCAN_CLOSE: stream_scan_close(s); break;
    case DUP_DO_SEND: do_send(s, effect, answers); break;
    case DUP_DO_ANNOUNCE: do_announce(s, effect); break;
    case DUP_DO_SAVE:
        if (do_save(s, effect->first) != 0)
            answer_add(answers,
                       (struct dup_event){.type = DUP_SAVED, .saved.decree = DUP_NOT_SAVED});
        break;
    case DUP_DO_STEP: answers->wants_step = true; break;
    }
}

/* ---- Life --------------------------------------------------------------------------------------------------------- */

/* Begin, or begin again, from what is known to be confirmed. Only a stream of which the group knows nothing and
 * that has never begun begins with what is written next; later it is the machine that knows where that was. */
static void stream_start(struct stream *s)
{
    const struct replica *r = s->replica;
    uint64_t committed = r->repl.committed;
    bool is_known = s->dup.confirmed >= 0 || s->dup.needs_snapshot;
    bool is_new = !is_known && !s->is_begun;
    struct dup_event event = {.type = DUP_STARTED};
    event.started.committed = committed;
    event.started.needs_snapshot = s->dup.needs_snapshot;
    event.started.is_paused = s->dup.is_paused;
    event.started.confirmed = s->dup.confirmed > 0 ? (uint64_t)s->dup.confirmed : 0;
    if (is_new || event.started.confirmed > committed) event.started.confirmed = committed;
    event.started.saved = is_known || is_new ? event.started.confirmed : s->machine.saved;
    if (s->machine.confirmed > event.started.confirmed && !s->dup.needs_snapshot)
        event.started.confirmed = s->machine.confirmed; /* Resumed: we know more than was saved. */
    for (uint64_t d = event.started.confirmed + 1; d <= committed; d++) {
        const struct chunk *m = repl_tail_get(&r->repl, d);
        if (m == NULL) continue; /* In the log: its size shows when it is read. */
        if (event.started.age_ms == 0) {
            uint64_t wall_us = replica_now(r).wall_us, at_us = bytes_get_le64(m->data + 16);
            event.started.age_ms = wall_us > at_us ? (wall_us - at_us) / 1000 : 0;
        }
        event.started.pending_size += m->capacity;
    }
    /* Where it began must be known after a restart. */
    event.started.owes_start = is_new || (!is_known && s->machine.owes_start);
    s->is_begun = true;
    event.started.question = r->dup_question;
    stream_step(s, event);
}

static void show(struct stream *s)
{
    metric_entity_init(&s->entity, &stream_table, &s->metrics);
    metric_entity_label(&s->entity, "table", "%d", s->replica->gpid.app_id);
    metric_entity_label(&s->entity, "partition", "%d", s->replica->gpid.partition_index);
    metric_entity_label(&s->entity, "dup", "%d", s->dup.id);
    metric_registry_add(&s->replica->worker->node->registry, &s->entity);
}

struct stream *stream_new(struct replica *r, const struct assignment_dup *dup)
{
    struct stream *s = mem_zalloc(sizeof *s);
    if (s == NULL) return NULL;
    s->remote = remote_get(r->worker, dup->remote_metas);
    if (s->remote == NULL) goto free_stream;
    if (cluster_table_open(s->remote->cluster, dup->remote_table, &s->table) != 0) goto put_remote;

    s->replica = r;
    s->dup = *dup;
    s->timer.run = on_timer;
    list_init(&s->calls);
    dup_init(&s->machine, (uint32_t)r->gpid.partition_index);
    s->calls_epoch = s->machine.epoch;
    list_push_back(&r->streams, &s->node);
    r->busy++;
    r->worker->stream_count++;
    show(s);
    LOG_INFO(&logger, "duplication begins", field_i64("table", r->gpid.app_id),
             field_i64("partition", r->gpid.partition_index), field_i64("dup", dup->id),
             field_str("to", dup->remote_metas), field_i64("confirmed", dup->confirmed));
    stream_start(s);
    return s;

put_remote:
    remote_put(s->remote);
free_stream:
    mem_free(s);
    return NULL;
}

void stream_assign(struct stream *s, const struct assignment_dup *dup)
{
    bool was_paused = s->dup.is_paused;
    s->dup.is_paused = dup->is_paused;
    memcpy(s->dup.remote_cluster, dup->remote_cluster, sizeof s->dup.remote_cluster);
    s->dup.remote_cluster_id = dup->remote_cluster_id;
    s->dup.remote_uuid = dup->remote_uuid;
    s->dup.remote_table_id = dup->remote_table_id;
    if (dup->is_paused && !was_paused) {
        stream_step(s, (struct dup_event){.type = DUP_STOPPED});
    } else if (!dup->is_paused && was_paused) {
        s->dup.confirmed = dup->confirmed;
        stream_start(s);
    }
}

void stream_on_committed(struct stream *s, uint64_t decree, uint64_t size)
{
    if (s->is_closing) return;
    struct dup_event event = {.type = DUP_COMMITTED};
    event.committed.decree = decree;
    event.committed.size = size;
    stream_step(s, event);
}

void stream_ask(struct stream *s, uint64_t question)
{
    struct dup_event event = {.type = DUP_ASKED};
    event.asked.question = question;
    stream_step(s, event);
}

void stream_give_up_log(struct stream *s)
{
    LOG_WARN(&logger, "backlog over its budget: the remote will be repaired by a snapshot",
             field_i64("table", s->replica->gpid.app_id), field_i64("dup", s->dup.id));
    struct dup_event event = {.type = DUP_READ_FAILED, .epoch = s->machine.epoch};
    event.failed.rc = E_NOTFOUND;
    event.failed.why = "the backlog passed its budget";
    s->dup.needs_snapshot = true;
    if (s->machine.state != DUP_PAUSED) stream_step(s, event); /* Else when it is resumed. */
}

static void stream_free(struct stream *s)
{
    struct replica *r = s->replica;
    list_remove(&s->node);
    r->worker->stream_count--;
    metric_registry_remove(&r->worker->node->registry, &s->entity);
    dup_fini(&s->machine);
    mem_free(s);
    replica_release(r);
}

void stream_release(struct stream *s)
{
    CHECK(s->busy > 0);
    if (--s->busy == 0 && s->is_closing) stream_free(s);
}

void stream_close(struct stream *s)
{
    s->is_closing = true;
    s->busy++;
    io_timer_stop(&s->timer);
    stream_scan_close(s);
    stream_route_cancel(s);
    calls_free(s);
    if (s->save != NULL) s->save->stream = NULL;
    cluster_table_close(s->table);
    remote_put(s->remote);
    dup_wait_check(s->replica);
    stream_release(s);
}

uint64_t stream_hold_decree(const struct stream *s)
{
    if (s->machine.state == DUP_PAUSED && s->dup.needs_snapshot) return UINT64_MAX;
    return dup_hold_decree(&s->machine);
}
