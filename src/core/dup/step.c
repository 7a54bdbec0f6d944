/* src/core/dup/step.c: one stream, event by event (docs/duplication.md, D1 to D14). After every event
 * the stream asks itself the same question: what can be done now? (pump) So no order of events, of
 * commit, read, answer and failure, can leave something undone with nobody to wake it. */
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "core/dup/dup_impl.h"

const char *dup_state_name(enum dup_state state)
{
    static const char *const names[] = {
        [DUP_PAUSED] = "paused",
        [DUP_CONNECTING] = "connecting",
        [DUP_RESYNC] = "resync needed",
        [DUP_SNAPSHOT] = "snapshot",
        [DUP_LIVE] = "live",
    };
    return names[state];
}

/* ---- Effects ---- */

/* A read, a save, an announcement and DUP_DO_STEP may follow what the lanes send. */
enum { EFFECTS_RESERVED = 4 };

bool effects_have_room(const struct dup_effects *out)
{
    return out->count < DUP_EFFECTS_MAX - EFFECTS_RESERVED;
}

void effects_push(struct dup_effects *out, struct dup_effect effect)
{
    CHECK(out->count < DUP_EFFECTS_MAX);
    out->items[out->count++] = effect;
}

static void push(struct dup *d, struct dup_effects *out, struct dup_effect effect)
{
    effect.epoch = d->epoch;
    effects_push(out, effect);
}

/* ---- Why it is behind, in one line ---- */

static void say(char to[DUP_REASON_SIZE], const char *what, int rc, const char *why)
{
    struct err e = {0};
    (void)err_set(&e, rc, "%s: %s", what, why != NULL ? why : err_text(rc));
    size_t size = strnlen(e.text, DUP_REASON_SIZE - 1); /* Cut is fine: it is for people. */
    memcpy(to, e.text, size);
    to[size] = '\0';
}

/* Of what is read and sent. */
static void reason_set(struct dup *d, const char *what, int rc, const char *why)
{
    say(d->data_reason, what, rc, why);
}

static void route_reason_set(struct dup *d, int rc, const char *why)
{
    say(d->route_reason, "remote table", rc, why);
}

static void reasons_clear(struct dup *d)
{
    d->data_reason[0] = d->route_reason[0] = '\0';
}

static void wait_after_failure(struct dup *d, uint64_t now_ms)
{
    d->failures++;
    d->retry_at_ms = now_ms + retry_delay_ms(d->failures);
}

/* A wait of its own: when nobody says who is there, what is known of the way is used all the same. */
static void route_after_failure(struct dup *d, uint64_t now_ms)
{
    d->route_failures++;
    d->route_at_ms = now_ms + retry_delay_ms(d->route_failures);
}

/* ---- States ---- */

/* Forget everything that is under way; it will be read again from the confirmed decree on. */
static void rewind_to_confirmed(struct dup *d, struct dup_effects *out)
{
    if (d->is_scan_open) push(d, out, (struct dup_effect){.type = DUP_DO_SCAN_CLOSE});
    d->epoch++;
    d->is_scan_open = d->is_reading = d->is_routing = false;
    d->retry_at_ms = 0;
    d->failures = 0;
    lanes_clear(d);
    window_clear(d);
    d->read = d->confirmed;
}

/* The owner numbers its questions; who was asked two at once answers both with the newer one. */
static void on_asked(struct dup *d, uint64_t question)
{
    if (question > d->asked) d->asked = question;
#ifdef MUT_wait_trusts_silence
    d->vouched = d->asked; /* Known mistake: who says nothing else is who he was. */
#endif
}

static void on_started(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    rewind_to_confirmed(d, out);
    d->confirmed = e->started.needs_snapshot ? 0 : e->started.confirmed;
    d->saved = e->started.needs_snapshot ? 0 : e->started.saved;
    d->announced = UINT64_MAX; /* Nothing: saying it finds the way there before a write needs it. */
    CHECK(d->saved <= d->confirmed && d->confirmed <= e->started.committed);
    d->committed = e->started.committed;
    d->read = d->confirmed;
    d->snapshot_decree = 0;
    d->owes_snapshot = e->started.needs_snapshot;
    d->is_routed = false;
    reasons_clear(d);
    d->route_at_ms = d->route_failures = 0;
    on_asked(d, e->started.question);
    d->owes_start = e->started.owes_start;
    d->save_at_ms = d->owes_start ? e->now_ms : 0;
    /* After a pause it is known since when something is not confirmed, also when the log was given up
     * meanwhile. */
    if (d->lag.committed == d->committed && d->lag.confirmed >= d->confirmed)
        dup_lag_rewind(&d->lag, d->confirmed, e->started.pending_size, e->now_ms);
    else
        dup_lag_start(&d->lag, d->confirmed, d->committed, e->started.pending_size, e->now_ms,
                      e->started.age_ms);
    d->state = e->started.is_paused        ? DUP_PAUSED
               : e->started.needs_snapshot ? DUP_RESYNC
                                           : DUP_CONNECTING;
}

static void on_stopped(struct dup *d, struct dup_effects *out)
{
    rewind_to_confirmed(d, out);
    d->state = DUP_PAUSED;
    d->is_routed = false;
    reasons_clear(d);
}

static void on_committed(struct dup *d, const struct dup_event *e)
{
    if (e->committed.decree <= d->committed) return;
    d->committed = e->committed.decree;
    dup_lag_committed(&d->lag, d->committed, e->committed.size, e->now_ms);
}

static int on_routed(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    const struct dup_remote *remote = &e->routed;
    d->is_routing = false;
    if (remote->partition_count == 0 || remote->partition_count > DUP_LANES_MAX ||
        remote->requests_per_lane == 0) {
        route_reason_set(d, E_PROTO, "it states an impossible number of partitions");
        route_after_failure(d, e->now_ms);
        return 0;
    }
    if (d->is_routed && (remote->partition_count != d->remote.partition_count ||
                         remote->cluster_id != d->remote.cluster_id)) {
        MARK("remote changed its partition count");
        rewind_to_confirmed(d, out);
        d->is_routed =
            false; /* The old lanes lead nowhere, also if there is no memory for new ones. */
        d->data_reason[0] = '\0';
        if (d->state == DUP_LIVE) d->state = DUP_CONNECTING;
        if (d->state == DUP_SNAPSHOT) d->state = DUP_RESYNC;
    }
    if (d->lane_count != remote->partition_count) CHECK(d->slot_count == 0);
    int rc = lanes_reset(d, remote->partition_count);
    if (rc != 0) {
        route_reason_set(d, rc, NULL);
        route_after_failure(d, e->now_ms);
        return rc;
    }
    d->remote = *remote;
    d->vouched = d->asking;
    d->route_reason[0] = '\0';
    d->route_failures = 0;
    d->is_routed = true;
    if (d->state == DUP_CONNECTING) d->state = DUP_LIVE;
    return 0;
}

static void on_route_failed(struct dup *d, const struct dup_event *e)
{
    d->is_routing = false;
    route_reason_set(d, e->failed.rc, e->failed.why);
    route_after_failure(d, e->now_ms);
}

/* Nothing goes there until the right one answers again (D13). */
static void on_replaced(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    MARK("another remote than before");
    rewind_to_confirmed(d, out);
    d->is_routed = false;
    d->data_reason[0] = '\0'; /* Nothing waits for the one before any more. */
    if (d->state == DUP_LIVE) d->state = DUP_CONNECTING;
    if (d->state == DUP_SNAPSHOT) d->state = DUP_RESYNC;
    on_route_failed(d, e);
}

/* Find the remote table, and who has it: whoever asked before now is answered by that. */
static void route(struct dup *d, struct dup_effects *out)
{
    d->is_routing = true;
    d->asking = d->asked;
    d->route_at_ms = 0;
    push(d, out, (struct dup_effect){.type = DUP_DO_ROUTE});
}

/* A question is open. */
static bool is_doubted(const struct dup *d)
{
    return d->vouched < d->asked;
}

/* A question is answered for a paused stream too: it sends nothing, but what it has sent may be gone. */
static bool wants_route(const struct dup *d)
{
    return !d->is_routing && (is_doubted(d) || (!d->is_routed && d->state != DUP_PAUSED));
}

/* ---- Reading the log ---- */

/* Take one mutation into the window and its ops into the lanes. After a failure the caller rewinds. */
static int take(struct dup *d, struct chunk *bytes, uint64_t confirms, uint64_t confirms_size)
{
    struct mutation m;
    if (mutation_read(slice_of(bytes->data, bytes->capacity), &m) != 0) return E_CORRUPT;
    struct dup_slot slot = {
        .decree = confirms,
        .timestamp_us = m.timestamp_us,
        .size = bytes->capacity,
        .confirms_size = confirms_size,
    };
    uint64_t sequence = d->slot_sequence + d->slot_count;
    int rc = lanes_push(d, bytes, &m, sequence, &slot.outstanding);
#ifdef MUT_dup_skip_tail_of_batch
    /* Known mistake: a mutation with nothing to send ends the batch, and all of it counts as sent. */
    if (slot.outstanding == 0) window_clear(d);
#endif
    slot.size += (size_t)slot.outstanding * DUP_OP_OVERHEAD; /* As it weighs in requests. */
    return rc != 0 ? rc : window_push(d, &slot);
}

static int on_read(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    d->is_reading = false;
    for (uint32_t i = 0; i < e->read.count; i++) {
        struct chunk *bytes = e->read.mutations[i];
        uint64_t decree = bytes_get_le64(bytes->data);
        if (decree <= d->read) continue; /* Asked for twice. */
        bool is_next = decree == d->read + 1 && decree <= d->committed;
        int rc = is_next ? take(d, bytes, decree, bytes->capacity) : E_CORRUPT;
        if (rc != 0) {
            reason_set(d, "reading the log", rc, NULL);
            rewind_to_confirmed(d, out);
            wait_after_failure(d, e->now_ms);
            return rc == E_NOMEM ? rc : 0;
        }
        d->read = decree;
    }
    d->failures = 0;
    return 0;
}

static void on_read_failed(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    d->is_reading = false;
    reason_set(d, "reading the log", e->failed.rc, e->failed.why);
    if (e->failed.rc == E_NOTFOUND || e->failed.rc == E_CORRUPT) {
        MARK("log no longer holds what the remote needs");
        rewind_to_confirmed(d, out);
        d->state = DUP_RESYNC;
        return;
    }
    wait_after_failure(d, e->now_ms);
}

/* ---- The snapshot ---- */

static void on_scan_opened(struct dup *d, const struct dup_event *e)
{
    d->is_reading = false;
    d->is_scan_open = true;
    d->snapshot_decree = e->scan_opened.decree;
    d->snapshot_size = d->lag.size;
    d->state = DUP_SNAPSHOT;
}

static void on_snapshot_sent(struct dup *d)
{
    d->is_scan_open = false;
    d->state = DUP_LIVE;
    /* What was confirmed before may lie behind it: the store applies later than the log commits. */
    d->read = d->snapshot_decree > d->confirmed ? d->snapshot_decree : d->confirmed;
}

static int on_scanned(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    d->is_reading = false;
    uint64_t confirms = e->scanned.is_last ? d->snapshot_decree : 0;
    int rc = 0;
    if (e->scanned.mutation != NULL) rc = take(d, e->scanned.mutation, confirms, d->snapshot_size);
    else if (e->scanned.is_last)
        rc = window_push(d,
                         &(struct dup_slot){.decree = confirms, .confirms_size = d->snapshot_size});
    if (rc != 0) {
        reason_set(d, "snapshot", rc, NULL);
        rewind_to_confirmed(d, out);
        d->state = DUP_RESYNC;
        wait_after_failure(d, e->now_ms);
        return rc == E_NOMEM ? rc : 0;
    }
    d->failures = 0;
    if (e->scanned.is_last) on_snapshot_sent(d);
    return 0;
}

static void on_scan_failed(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    reason_set(d, "snapshot", e->failed.rc, e->failed.why);
    rewind_to_confirmed(d, out);
    d->state = DUP_RESYNC;
    wait_after_failure(d, e->now_ms);
}

/* ---- Answers ---- */

static void on_answered(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    struct dup_request *r = lanes_find(d, e->answered.lane, e->answered.id);
    if (r == NULL) return;
    switch (e->answered.rc) {
    case 0:
        if (e->answered.refused >= 0) reason_set(d, "record refused", 0, e->answered.why);
        lane_on_applied(d, r, e->answered.refused, e->now_ms);
        if (d->parked_count == 0) d->data_reason[0] = '\0';
        if (!is_doubted(d)) d->route_reason[0] = '\0'; /* The way leads there, whoever was asked. */
        break;
    case E_LIMIT:
    case E_REFUSED:
        reason_set(d, "record refused", e->answered.rc, e->answered.why);
        lane_on_refused(d, r, e->now_ms);
        break;
    default:
        MARK("request failed and is sent again");
        reason_set(d, "sending", e->answered.rc, e->answered.why);
        lane_on_failed(d, r, e->now_ms);
        if (e->answered.rc != E_BUSY && !d->is_routing)
            route(d, out); /* Perhaps the partition has moved or split: look again. */
        break;
    }
}

/* No memory to send with: give back what is held, and begin anew behind what is confirmed, later. */
static void on_send_failed(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    reason_set(d, "sending", E_NOMEM, NULL);
    rewind_to_confirmed(d, out);
    if (d->state == DUP_SNAPSHOT) d->state = DUP_RESYNC;
    wait_after_failure(d, e->now_ms);
}

static void on_saved(struct dup *d, const struct dup_event *e)
{
    d->is_saving = false;
    if (e->saved.decree > d->confirmed) return; /* DUP_NOT_SAVED, or of an earlier start. */
    d->owes_snapshot = d->owes_start = false;
    if (e->saved.decree > d->saved) d->saved = e->saved.decree;
}

/* ---- What can be done now? ---- */

static size_t read_size(const struct dup *d)
{
    return d->window_size_max / DUP_READS_PER_WINDOW;
}

static void pump_snapshot(struct dup *d, struct dup_effects *out)
{
    if (d->is_reading || !d->is_routed || !window_has_room(d)) return;
    d->is_reading = true;
    push(d, out,
         (struct dup_effect){.type = d->is_scan_open ? DUP_DO_SCAN : DUP_DO_SCAN_OPEN,
                             .size = read_size(d)});
}

static void pump_read(struct dup *d, struct dup_effects *out)
{
    uint64_t last = d->committed;
#ifdef MUT_dup_last_committed_only
    if (last > 0) last--; /* Known mistake: the newest waits for the one after it. */
#endif
    if (d->is_reading || d->read >= last || !window_has_room(d)) return;
    d->is_reading = true;
    push(d, out,
         (struct dup_effect){
             .type = DUP_DO_READ, .first = d->read + 1, .last = last, .size = read_size(d)});
}

/* The snapshot has arrived and nobody was told: also that of a partition where nothing was ever written,
 * whose decrees are all 0. */
static bool has_snapshot_to_tell(const struct dup *d)
{
    return d->owes_snapshot && d->state == DUP_LIVE && d->confirmed >= d->snapshot_decree;
}

/* Progress goes to the meta group now and then: it costs a sync there, and only a restart needs it. */
static void pump_save(struct dup *d, uint64_t now_ms, struct dup_effects *out)
{
    bool has_news = d->saved != d->confirmed || has_snapshot_to_tell(d) || d->owes_start;
    if (d->is_saving || !has_news) return;
    if (d->save_at_ms == 0) d->save_at_ms = now_ms + DUP_SAVE_INTERVAL_MS;
    if (now_ms < d->save_at_ms) return;
    d->save_at_ms = 0;
    d->is_saving = true;
    push(d, out, (struct dup_effect){.type = DUP_DO_SAVE, .first = d->confirmed});
}

/* Caught up: say so over there, that both sides state the same lag (D10). */
static void pump_announce(struct dup *d, struct dup_effects *out)
{
    if (!d->remote.takes_positions || d->confirmed != d->committed || d->announced == d->confirmed)
        return;
    d->announced = d->confirmed;
    push(d, out,
         (struct dup_effect){.type = DUP_DO_ANNOUNCE, .lane = d->lane_last, .first = d->confirmed});
}

static void pump(struct dup *d, uint64_t now_ms, struct dup_effects *out)
{
    (void)window_advance(d);
    if (d->state == DUP_LIVE || d->owes_start) pump_save(d, now_ms, out);
    if (wants_route(d) && d->route_at_ms <= now_ms) route(d, out);
    if (d->state == DUP_PAUSED) return;
    bool is_waiting = d->retry_at_ms > now_ms;
    if (!is_waiting) d->retry_at_ms = 0;
    bool is_done = !d->is_routed || lanes_pump(d, now_ms, out);
    if (!is_waiting && (d->state == DUP_SNAPSHOT || d->state == DUP_RESYNC)) pump_snapshot(d, out);
    if (!is_waiting && d->state == DUP_LIVE && d->is_routed) pump_read(d, out);
    if (d->state == DUP_LIVE && is_done && d->is_routed) pump_announce(d, out);
    if (!is_done) effects_push(out, (struct dup_effect){.type = DUP_DO_STEP, .epoch = d->epoch});
}

/* ---- The door ---- */

static bool is_answer(enum dup_event_type type)
{
    switch (type) {
    case DUP_ROUTED:
    case DUP_ROUTE_FAILED:
    case DUP_REPLACED:
    case DUP_READ:
    case DUP_READ_FAILED:
    case DUP_SCAN_OPENED:
    case DUP_SCANNED:
    case DUP_SCAN_FAILED:
    case DUP_ANSWERED:
    case DUP_SEND_FAILED: return true;
    default: return false;
    }
}

int dup_step(struct dup *d, const struct dup_event *e, struct dup_effects *out)
{
    int rc = 0;
    out->count = 0;
    if (is_answer(e->type) && e->epoch != d->epoch) {
        MARK("answer of an older epoch ignored");
        return 0;
    }
    switch (e->type) {
    case DUP_STARTED: on_started(d, e, out); break;
    case DUP_STOPPED: on_stopped(d, out); break;
    case DUP_COMMITTED: on_committed(d, e); break;
    case DUP_ASKED: on_asked(d, e->asked.question); break;
    case DUP_ROUTED: rc = on_routed(d, e, out); break;
    case DUP_ROUTE_FAILED: on_route_failed(d, e); break;
    case DUP_REPLACED: on_replaced(d, e, out); break;
    case DUP_READ: rc = on_read(d, e, out); break;
    case DUP_READ_FAILED: on_read_failed(d, e, out); break;
    case DUP_SCAN_OPENED: on_scan_opened(d, e); break;
    case DUP_SCANNED: rc = on_scanned(d, e, out); break;
    case DUP_SCAN_FAILED: on_scan_failed(d, e, out); break;
    case DUP_ANSWERED: on_answered(d, e, out); break;
    case DUP_SEND_FAILED: on_send_failed(d, e, out); break;
    case DUP_SAVED: on_saved(d, e); break;
    case DUP_TICKED: break;
    }
    pump(d, e->now_ms, out);
    dup_check(d);
    return rc;
}

void dup_init(struct dup *d, uint32_t partition_index)
{
    *d = (struct dup){.state = DUP_PAUSED,
                      .epoch = 1,
                      .window_size_max = DUP_WINDOW_SIZE_MAX,
                      .partition_index = partition_index};
    list_init(&d->parked);
}

void dup_fini(struct dup *d)
{
    lanes_clear(d);
    lanes_fini(d);
    mem_free(d->slots);
    d->slots = NULL;
}

/* ---- Questions ---- */

uint64_t dup_deadline_ms(const struct dup *d)
{
    uint64_t deadline = d->state == DUP_PAUSED ? UINT64_MAX : lanes_deadline_ms(d);
    if (d->retry_at_ms != 0 && d->retry_at_ms < deadline) deadline = d->retry_at_ms;
    if (wants_route(d) && d->route_at_ms < deadline) deadline = d->route_at_ms;
    if (d->save_at_ms != 0 && !d->is_saving && d->save_at_ms < deadline) deadline = d->save_at_ms;
    return deadline;
}

uint64_t dup_hold_decree(const struct dup *d)
{
    if (d->state == DUP_SNAPSHOT) return d->snapshot_decree;
    /* The snapshot will begin at what the store has, and what it lacks of this it holds itself. */
    if (d->state == DUP_RESYNC) return d->committed;
    return d->saved < d->snapshot_decree ? d->snapshot_decree : d->saved;
}

struct dup_lag_view dup_lag_now(const struct dup *d, uint64_t now_ms)
{
    return dup_lag_view(&d->lag, now_ms);
}

const char *dup_reason(const struct dup *d)
{
    return d->data_reason[0] != '\0' ? d->data_reason : d->route_reason;
}

void dup_check(const struct dup *d)
{
    CHECK(d->saved <= d->confirmed && d->confirmed <= d->committed);
    CHECK(d->lag.confirmed == d->confirmed && d->lag.committed == d->committed);
    CHECK(d->state != DUP_LIVE || (d->confirmed <= d->read && d->read <= d->committed) ||
          d->read == d->snapshot_decree);
    CHECK(!d->is_routed || d->lane_count == d->remote.partition_count);
    CHECK(d->vouched <= d->asked && d->asking <= d->asked);
    CHECK(d->slot_count > 0 || d->window_size == 0);
    CHECK(d->window_size_max >= DUP_WINDOW_SIZE_MIN);
}
