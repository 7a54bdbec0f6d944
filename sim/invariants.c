/* sim/invariants.c: the looks, one after the other. */
#include "sim/invariants.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "log/log_impl.h"
#include "node/stream.h"

enum {
    SELDOM = 256,         /* Looks between two of the expensive ones. A power of two. */
    LAG_SLACK_MS = 5,     /* Between an event's beginning and what it does. */
    MEMORY_MAX = 96 << 20 /* Bytes of one process. */
};

void invariants_break(struct invariants *v, const char *format, ...)
{
    if (v->is_broken) return;
    v->is_broken = true;
    int used =
        snprintf(v->report.text, sizeof v->report.text, "at %" PRIu64 " us: ", sim_now_us(v->sim));
    va_list list;
    va_start(list, format);
    (void)vsnprintf(v->report.text + used, sizeof v->report.text - (size_t)used, format, list);
    va_end(list);
}

static const char *name_of(const struct invariant_side *side)
{
    return sim_machine_name(side->cluster->machine);
}

static uint64_t run_of(const struct invariant_side *side)
{
    return sim_machine_starts(side->cluster->machine);
}

static struct invariant_side *other_of(struct invariants *v, const struct invariant_side *side)
{
    struct invariant_side *other = side == &v->sides[0] ? &v->sides[1] : &v->sides[0];
    return other->cluster != NULL ? other : NULL;
}

/* ---- Settling: what is committed is committed for good ---------------------------------------- */

struct settling {
    struct invariants *v;
    struct invariant_side *side;
    uint32_t partition;
    uint64_t decree;
};

static void settle_op(struct settling *s, const struct mutation_op *op)
{
    struct ghost_key *key = ghost_key_get(&s->side->ghost, op->key);
    if (op->timetag <= key->timetag)
        invariants_break(
            s->v,
            "I15: %s: partition %u decree %" PRIu64 " writes a key with timetag %" PRIx64
            ", but decree %" PRIu64 " gave it %" PRIx64,
            name_of(s->side), s->partition, s->decree, op->timetag, key->decree, key->timetag);
    *key = (struct ghost_key){op->timetag, s->decree, s->partition};
    struct converge_row row = {op->key, op->timetag, op->expire_ts, op->data};
    struct report report;
    if (converge_commit(&s->v->oracle, &row, &report) != VERDICT_OK)
        invariants_break(s->v, "I14: %s: %s", name_of(s->side), report.text);
}

static void settle(struct settling *s, uint64_t now_ms)
{
    struct ghost_mutation *m = ghost_mutation(&s->side->ghost, s->partition, s->decree);
    struct mutation read;
    if (m->bytes.size == 0 || mutation_read(m->bytes, &read) != 0) {
        invariants_break(s->v, "I4: %s: partition %u committed decree %" PRIu64 " that nobody saw",
                         name_of(s->side), s->partition, s->decree);
        return;
    }
    m->commit_ms = now_ms;
    m->commit_run = run_of(s->side);
    s->side->ghost.mutation_count++;
    struct mutation_op op;
    while (mutation_op_next(&read.ops, &op)) settle_op(s, &op);
}

/* Copy what the replica has ordered since the last look. */
static void note_prepared(struct invariants *v, struct invariant_side *side,
                          const struct replica *r, struct ghost_partition *p, uint32_t index)
{
    for (uint64_t d = p->prepared + 1; d <= r->repl.prepared; d++) {
        const struct chunk *bytes = repl_tail_get(&r->repl, d);
        if (bytes == NULL && ghost_mutation(&side->ghost, index, d)->bytes.size > 0) {
            p->prepared =
                d; /* Found again, applied and forgotten: as an earlier life ordered it. */
            continue;
        }
        if (bytes == NULL) {
            invariants_break(v, "ghost: %s: partition %u decree %" PRIu64 " was missed",
                             name_of(side), index, d);
            return;
        }
        ghost_note(&side->ghost, index, d, slice_of(bytes->data, bytes->capacity));
        p->prepared = d;
    }
}

static void look_at_replica(struct invariants *v, struct invariant_side *side, struct replica *r)
{
    uint32_t index = (uint32_t)r->gpid.partition_index;
    struct ghost_partition *p = &side->ghost.partitions[index];
    if (r->repl.prepared != p->prepared) note_prepared(v, side, r, p, index);
    if (r->repl.committed <= p->committed || v->is_broken) return;
    uint64_t now_ms = io_now(side->cluster->node->io).boot_ms;
    for (uint64_t d = p->committed + 1; d <= r->repl.committed; d++) {
        struct settling s = {v, side, index, d};
        settle(&s, now_ms);
        p->committed = d;
    }
}

/* ---- Recovery: what was committed is there, and nothing else in its place --------------------- */

/* Every row of the store is what all decrees up to 'decree' make of it (I12). */
static void check_store(struct invariants *v, struct invariant_side *side, struct replica *r,
                        uint64_t decree)
{
    struct converge expected = {0};
    struct report report;
    struct store_iter *it;
    uint32_t index = (uint32_t)r->gpid.partition_index;
    enum verdict verdict = VERDICT_OK;
    for (uint64_t d = 1; d <= decree; d++) {
        struct mutation m;
        struct mutation_op op;
        CHECK(mutation_read(ghost_mutation(&side->ghost, index, d)->bytes, &m) == 0);
        while (mutation_op_next(&m.ops, &op)) {
            struct converge_row row = {op.key, op.timetag, op.expire_ts, op.data};
            (void)converge_commit(&expected, &row, &report);
        }
    }
    converge_begin(&expected);
    struct slice none = {0};
    CHECK(store_iter_open(r->store, none, none, STORE_ANY, &it) == 0);
    for (store_iter_seek(it, none); verdict == VERDICT_OK && store_iter_is_valid(it);
         store_iter_next(it)) {
        struct value_head head;
        struct converge_row row = {.key = store_iter_key(it)};
        CHECK(value_split(store_iter_value(it), &head, &row.data) == 0);
        row.timetag = head.timetag;
        row.expire_ts = head.expire_ts;
        verdict = converge_compare(&expected, &row, &report);
    }
    store_iter_close(it);
    if (verdict == VERDICT_OK) verdict = converge_end(&expected, UINT32_MAX, &report);
    if (verdict != VERDICT_OK)
        invariants_break(v, "I12: %s: partition %u stands at decree %" PRIu64 ", but %s",
                         name_of(side), index, decree, report.text);
    converge_fini(&expected);
}

static void look_at_recovered(struct invariants *v, struct invariant_side *side, struct replica *r)
{
    uint32_t index = (uint32_t)r->gpid.partition_index;
    struct ghost_partition *p = &side->ghost.partitions[index];
    if (r->is_damaged)
        invariants_break(v, "I4: %s: partition %u lost records", name_of(side), index);
    if (r->repl.prepared < p->committed)
        invariants_break(v,
                         "I4: %s: partition %u committed %" PRIu64 " and came back with %" PRIu64,
                         name_of(side), index, p->committed, r->repl.prepared);
    for (uint64_t d = 1; d <= p->committed && !v->is_broken; d++) {
        const struct chunk *bytes = repl_tail_get(&r->repl, d);
        struct slice before = ghost_mutation(&side->ghost, index, d)->bytes;
        if (bytes != NULL && !slice_equal(slice_of(bytes->data, bytes->capacity), before))
            invariants_break(v, "I4: %s: partition %u came back with another decree %" PRIu64,
                             name_of(side), index, d);
    }
    if (r->repl.prepared > p->committed) MARK("write without answer found again");
    p->prepared = p->committed; /* What was only ordered may be different now. */
    p->run = run_of(side);
    look_at_replica(v, side, r);
    if (r->repl.applied > p->committed)
        invariants_break(v,
                         "I12: %s: partition %u has applied %" PRIu64 " of %" PRIu64 " committed",
                         name_of(side), index, r->repl.applied, p->committed);
    if (!v->is_broken) check_store(v, side, r, r->repl.applied);
}

/* The node has just opened: nobody has touched what recovery found. */
static void on_open(void *context)
{
    struct invariant_side *side = context;
    struct invariants *v = side->owner;
    LIST_EACH (it, &side->cluster->node->recovered)
        look_at_recovered(v, side, LIST_ENTRY(it, struct replica, node));
    for (uint32_t i = 0; i < GHOST_PARTITIONS_MAX; i++) {
        const struct ghost_partition *p = &side->ghost.partitions[i];
        if (p->committed > 0 && p->run != run_of(side))
            invariants_break(v, "I4: %s: partition %u did not come back", name_of(side), i);
    }
}

/* ---- Streams ----------------------------------------------------------------------------------- */

/* Was the key deleted by a decree in (after, last]? Then a snapshot as of 'last' need not show it. */
static bool is_deleted_by(struct invariant_side *side, uint32_t partition, struct slice key,
                          uint64_t after, uint64_t last)
{
    for (uint64_t d = after; d <= last; d++) {
        struct mutation m;
        struct mutation_op op;
        CHECK(mutation_read(ghost_mutation(&side->ghost, partition, d)->bytes, &m) == 0);
        while (mutation_op_next(&m.ops, &op))
            if (slice_equal(op.key, key) && (timetag_is_deleted(op.timetag) || op.expire_ts != 0))
                return true;
    }
    return false;
}

static void check_confirmed(struct invariants *v, struct invariant_side *side,
                            const struct stream *s, uint64_t decree)
{
    const struct invariant_side *other = other_of(v, side);
    uint32_t partition = (uint32_t)s->replica->gpid.partition_index;
    struct mutation m;
    struct mutation_op op;
    CHECK(mutation_read(ghost_mutation(&side->ghost, partition, decree)->bytes, &m) == 0);
    while (mutation_op_next(&m.ops, &op)) {
        if (timetag_cluster_id(op.timetag) == other->cluster->config.cluster_id) continue;
        const struct ghost_key *there = ghost_key(&other->ghost, op.key);
        if (there != NULL && there->timetag >= op.timetag) continue;
        if (is_deleted_by(side, partition, op.key, decree, s->machine.snapshot_decree)) continue;
        invariants_break(v,
                         "I13: %s: partition %u says that decree %" PRIu64
                         " is confirmed, but over there is timetag %" PRIx64 ", not %" PRIx64
                         ", expiry %u, key %.*s (%s, snapshot of %" PRIu64 ")",
                         name_of(side), partition, decree, there == NULL ? 0 : there->timetag,
                         op.timetag, op.expire_ts, (int)op.key.size - 2,
                         (const char *)op.key.data + 2, dup_state_name(s->machine.state),
                         s->machine.snapshot_decree);
    }
}

/* How long that decree has been committed; UINT64_MAX: only a wall clock knows. */
static uint64_t age_of(struct invariant_side *side, uint32_t partition, uint64_t decree,
                       uint64_t since_ms, uint64_t now_ms)
{
    const struct ghost_mutation *m = ghost_mutation(&side->ghost, partition, decree);
    if (m->commit_run != run_of(side) || m->commit_ms <= since_ms) return UINT64_MAX;
    return now_ms > m->commit_ms ? now_ms - m->commit_ms : 0;
}

/* The lag is that of what is not confirmed; of what the other side has all the same, when a snapshot has to
 * begin anew, it may leave out the time. */
static void check_lag(struct invariants *v, struct invariant_side *side, const struct stream *s,
                      const struct invariant_stream *seen)
{
    uint32_t partition = (uint32_t)s->replica->gpid.partition_index;
    const struct ghost_partition *p = &side->ghost.partitions[partition];
    uint64_t now_ms = io_now(side->cluster->node->io).boot_ms;
    struct dup_lag_view lag = dup_lag_now(&s->machine, now_ms);
    uint64_t confirmed = s->machine.confirmed;
    if (lag.mutations != p->committed - confirmed)
        invariants_break(v,
                         "I17: %s: partition %u is %" PRIu64 " mutations behind and says %" PRIu64,
                         name_of(side), partition, p->committed - confirmed, lag.mutations);
    if ((lag.mutations == 0) != (lag.ms == 0 && lag.bytes == 0) && lag.mutations == 0)
        invariants_break(
            v, "I17: %s: partition %u is not behind and says %" PRIu64 " ms, %" PRIu64 " bytes",
            name_of(side), partition, lag.ms, lag.bytes);
    if (lag.mutations == 0 || v->is_broken) return;
    uint64_t most_ms = age_of(side, partition, confirmed + 1, seen->since_ms, now_ms);
    if (most_ms == UINT64_MAX) return;
    uint64_t there = confirmed > seen->checked ? confirmed : seen->checked;
    uint64_t least_ms =
        there < p->committed ? age_of(side, partition, there + 1, seen->since_ms, now_ms) : 0;
    bool is_merged = s->machine.lag.samples[0].decree <= s->machine.lag.merged;
    if (lag.ms + LAG_SLACK_MS < least_ms || (lag.ms > most_ms + LAG_SLACK_MS && !is_merged))
        invariants_break(v,
                         "I17: %s: partition %u is %" PRIu64 " to %" PRIu64
                         " ms behind and says %" PRIu64 " (%s, confirmed %" PRIu64 " of %" PRIu64
                         ", %u samples, the first of %" PRIu64 ")",
                         name_of(side), partition, least_ms, most_ms, lag.ms,
                         dup_state_name(s->machine.state), confirmed, s->machine.committed,
                         s->machine.lag.count, s->machine.lag.samples[0].decree);
}

static void look_at_stream(struct invariants *v, struct invariant_side *side, struct stream *s,
                           bool is_seldom)
{
    uint32_t partition = (uint32_t)s->replica->gpid.partition_index;
    struct invariant_stream *seen = &side->streams[partition];
    if (seen->dup_id != s->dup.id) *seen = (struct invariant_stream){.dup_id = s->dup.id};
    if (seen->stream != s || seen->run != run_of(side)) {
        seen->stream = s;
        seen->run = run_of(side);
        seen->since_ms = io_now(side->cluster->node->io).boot_ms;
    }
    if (s->machine.state == DUP_RESYNC || s->machine.state == DUP_SNAPSHOT ||
        stream_hold_decree(s) == UINT64_MAX) /* Given up while it is paused. */
        seen->given_up = s->machine.committed;
    /* Who died in the very event of its answer is asked when it is back. */
    while (other_of(v, side)->is_looked_at && !seen->is_void &&
           seen->checked < s->machine.confirmed && !v->is_broken)
        check_confirmed(v, side, s, ++seen->checked);
    if (!is_seldom) return;
    check_lag(v, side, s, seen);
    if (s->machine.window_size > DUP_WINDOW_SIZE_MAX + MUTATION_SIZE_MAX ||
        s->machine.slot_count > DUP_WINDOW_COUNT_MAX + STREAM_RUN_MAX)
        invariants_break(v, "I20: %s: partition %u has %zu bytes, %u mutations in its window",
                         name_of(side), partition, s->machine.window_size, s->machine.slot_count);
}

uint64_t invariants_committed(const struct invariants *v, int side, uint32_t partition)
{
    return v->sides[side].ghost.partitions[partition].committed;
}

void invariants_waited(struct invariants *v, int side, uint32_t partition, uint64_t decree)
{
    const struct invariant_side *here = &v->sides[side];
    const struct invariant_stream *seen = &here->streams[partition];
    if (decree == 0) return;
    if (seen->is_void)
        invariants_break(v,
                         "I21: %s: partition %u says that all is there, but its remote was wiped",
                         name_of(here), partition);
    else if (other_of(v, here)->is_looked_at && seen->checked < decree)
        invariants_break(v,
                         "I21: %s: partition %u says that decree %" PRIu64
                         " is there, but only %" PRIu64 " were found there",
                         name_of(here), partition, decree, seen->checked);
}

void invariants_wiped(struct invariants *v, int side)
{
    struct invariant_side *wiped = &v->sides[side], *other = other_of(v, wiped);
    CHECK(wiped->cluster->node == NULL && other != NULL);
    ghost_fini(&wiped->ghost);
    memset(wiped->streams, 0, sizeof wiped->streams);
    for (size_t i = 0; i < GHOST_PARTITIONS_MAX; i++) other->streams[i].is_void = true;
}

static const char *explain_stream(const struct stream *s, char *text, size_t size)
{
    const struct dup *d = &s->machine;
    int used = snprintf(text, size,
                        "stream %s (%s), confirmed %" PRIu64 " of %" PRIu64 ", saved %" PRIu64
                        ", %u in its window%s%s, read %" PRIu64,
                        dup_state_name(d->state), dup_reason(d), d->confirmed, d->committed,
                        d->saved, d->slot_count, d->owes_snapshot ? ", owes a snapshot" : "",
                        d->is_reading ? ", waits for a read" : "", d->read);
    return used > 0 ? text : "";
}

/* ---- The log ----------------------------------------------------------------------------------- */

static bool is_readable(struct log *l, struct gpid gpid, uint64_t decree)
{
    const struct mlog_partition *p = mlog_partition_find(&l->space, gpid);
    if (p == NULL) return false;
    size_t count;
    const struct mlog_span *span = mlog_index_find(&p->index, decree, &count);
    if (span != NULL && mlog_segment_find(&l->space, span->segment) != NULL) return true;
    uint64_t limit;
    return p->owner != NULL && log_backlog_find(p, decree, &limit) != NULL && decree < limit;
}

static void check_log(struct invariants *v, struct invariant_side *side, struct replica *r)
{
    const struct node *n = side->cluster->node;
    const struct stream *slowest = NULL;
    uint64_t given_up = side->streams[r->gpid.partition_index].given_up;
    uint64_t needed = r->durable;
    char why[512] = "the store";
    LIST_EACH (it, &r->streams) {
        const struct stream *s = LIST_ENTRY(it, struct stream, node);
        uint64_t held = stream_hold_decree(s);
        if (held < given_up) held = given_up; /* "Resync needed": it may not know that yet. */
        if (s->is_closing || held >= needed) continue;
        needed = held;
        slowest = s;
    }
    if (!n->is_log_running || n->log->is_failed || !r->is_held) return;
    for (uint64_t d = needed + 1; d <= r->repl.committed; d += 1 + (r->repl.committed - d) / 4)
        if (!is_readable(n->log, r->gpid, d)) {
            if (slowest != NULL) (void)explain_stream(slowest, why, sizeof why);
            invariants_break(
                v,
                "I10: %s: partition %d: decree %" PRIu64 " is not in the log, but needed "
                "above %" PRIu64 ", committed %" PRIu64 ", by %s",
                name_of(side), r->gpid.partition_index, d, needed, r->repl.committed, why);
            return;
        }
}

/* ---- Looking ----------------------------------------------------------------------------------- */

static void walk_add(void *context, struct replica *r)
{
    struct invariant_side *side = context;
    CHECK(side->replica_count < INVARIANT_REPLICAS_MAX);
    side->replicas[side->replica_count++] = r;
}

/* Find the replicas again, if there may be others than at the last look. */
static void walk(struct invariant_side *side)
{
    const struct node *n = side->cluster->node;
    uint64_t count = list_is_empty(&n->recovered) ? 0 : UINT32_MAX;
    for (uint32_t i = 0; i < n->worker_count; i++) count += n->workers[i].replica_count;
    if (count == side->walked_count && run_of(side) == side->walked_run) return;
    side->replica_count = 0;
    sim_cluster_each(side->cluster, walk_add, side);
    side->walked_count = count;
    side->walked_run = run_of(side);
}

static void look_at_streams(struct invariants *v, struct invariant_side *side, bool is_seldom)
{
    if (other_of(v, side) == NULL) return;
    for (size_t i = 0; i < side->replica_count && !v->is_broken; i++) {
        struct replica *r = side->replicas[i];
        LIST_EACH (it, &r->streams) {
            struct stream *s = LIST_ENTRY(it, struct stream, node);
            if (!s->is_closing) look_at_stream(v, side, s, is_seldom);
        }
    }
}

static void look_seldom(struct invariants *v, struct invariant_side *side)
{
    const struct sim_machine *m = side->cluster->machine;
    for (size_t i = 0; i < side->replica_count && !v->is_broken; i++)
        if (!side->replicas[i]->is_closing) check_log(v, side, side->replicas[i]);
    if (sim_disk_syncs_after_failure(m) > 0)
        invariants_break(v, "I19: %s: a file was synced again after a failure", name_of(side));
    if (sim_machine_memory(m) > MEMORY_MAX)
        invariants_break(v, "I20: %s: holds %zu bytes", name_of(side), sim_machine_memory(m));
}

static void look(void *context)
{
    struct invariants *v = context;
    if (v->is_broken) return;
    bool is_seldom = (++v->looks & (SELDOM - 1)) == 0;
    for (size_t i = 0; i < INVARIANT_SIDES_MAX; i++) {
        struct invariant_side *side = &v->sides[i];
        side->is_looked_at = side->cluster != NULL && side->cluster->is_open;
        if (!side->is_looked_at) continue;
        walk(side);
        for (size_t k = 0; k < side->replica_count; k++)
            look_at_replica(v, side, side->replicas[k]);
    }
    for (size_t i = 0; i < INVARIANT_SIDES_MAX && !v->is_broken; i++) {
        struct invariant_side *side = &v->sides[i];
        if (!side->is_looked_at) continue;
        look_at_streams(v, side, is_seldom);
        if (is_seldom) look_seldom(v, side);
    }
}

/* ---- The end ----------------------------------------------------------------------------------- */

static bool is_stream_quiet(const struct stream *s)
{
    const struct dup *d = &s->machine;
    return s->is_closing ||
           (d->state == DUP_LIVE && d->confirmed == d->committed && d->saved == d->confirmed &&
            !d->owes_snapshot && !d->owes_start && d->slot_count == 0);
}

bool invariants_is_quiet(const struct invariants *v)
{
    for (size_t i = 0; i < INVARIANT_SIDES_MAX; i++) {
        const struct invariant_side *side = &v->sides[i];
        if (side->cluster == NULL) continue;
        if (!side->cluster->is_ready) return false;
        for (size_t k = 0; k < side->replica_count; k++) {
            const struct replica *r = side->replicas[k];
            if (!repl_is_serving(&r->repl) || r->repl.applied != r->repl.prepared) return false;
            LIST_EACH (it, &r->streams)
                if (!is_stream_quiet(LIST_ENTRY(it, struct stream, node))) return false;
        }
    }
    return true;
}

/* What a log may hold when nobody needs more. The newest segment, however large, always stays. */
static uint64_t log_bound(const struct node *n)
{
    const struct node_config *c = &n->config;
    uint64_t newest_size = mlog_segment_newest(&n->log->space)->end;
    return newest_size + c->log_flush_size + c->log_ship_size + 4 * (uint64_t)c->segment_size;
}

static bool explain_replica(const struct invariant_side *side, const struct replica *r, char *text,
                            size_t size)
{
    char why[512] = "";
    if (!repl_is_serving(&r->repl)) (void)snprintf(why, sizeof why, "does not serve");
    else if (r->repl.applied != r->repl.prepared)
        (void)snprintf(why, sizeof why, "has applied %" PRIu64 " of %" PRIu64, r->repl.applied,
                       r->repl.prepared);
    LIST_EACH (it, &r->streams)
        if (why[0] == '\0' && !is_stream_quiet(LIST_ENTRY(it, struct stream, node)))
            (void)explain_stream(LIST_ENTRY(it, struct stream, node), why, sizeof why);
    if (why[0] == '\0') return false;
    (void)snprintf(text, size, "%s: partition %d: %s", name_of(side), r->gpid.partition_index, why);
    return true;
}

void invariants_explain(const struct invariants *v, char *text, size_t size)
{
    (void)snprintf(text, size, "all is quiet");
    for (size_t i = 0; i < INVARIANT_SIDES_MAX; i++) {
        const struct invariant_side *side = &v->sides[i];
        if (side->cluster == NULL) continue;
        if (!side->cluster->is_ready) {
            (void)snprintf(text, size, "%s is not ready: %s", name_of(side),
                           side->cluster->failure.text);
            return;
        }
        for (size_t k = 0; k < side->replica_count; k++)
            if (explain_replica(side, side->replicas[k], text, size)) return;
        const struct log *log = side->cluster->node->log;
        if (log->space.size > log_bound(side->cluster->node) || log->backlog_size > 0)
            (void)snprintf(text, size,
                           "%s: the log holds %" PRIu64 " bytes in %u segments (bound %" PRIu64
                           "), the backlog %" PRIu64,
                           name_of(side), log->space.size, log->space.segment_count,
                           log_bound(side->cluster->node), log->backlog_size);
    }
}

static bool has_all_of(const struct ghost *has, const struct ghost *of)
{
    for (size_t i = 0; i < of->keys.count; i++) {
        const struct ghost_key *key = ghost_key(has, of->keys.keys[i]);
        if (key == NULL || key->timetag < of->states[i].timetag) return false;
    }
    return true;
}

bool invariants_are_equal(const struct invariants *v)
{
    const struct ghost *a = &v->sides[0].ghost, *b = &v->sides[1].ghost;
    return has_all_of(a, b) && has_all_of(b, a);
}

static void check_side_end(struct invariants *v, struct invariant_side *side)
{
    struct slice none = {0};
    struct report report;
    enum verdict verdict = VERDICT_OK;
    converge_begin(&v->oracle);
    for (size_t i = 0; i < side->replica_count && verdict == VERDICT_OK; i++) {
        struct store_iter *it;
        CHECK(store_iter_open(side->replicas[i]->store, none, none, STORE_ANY, &it) == 0);
        for (store_iter_seek(it, none); verdict == VERDICT_OK && store_iter_is_valid(it);
             store_iter_next(it)) {
            struct value_head head;
            struct converge_row row = {.key = store_iter_key(it)};
            CHECK(value_split(store_iter_value(it), &head, &row.data) == 0);
            row.timetag = head.timetag;
            row.expire_ts = head.expire_ts;
            verdict = converge_compare(&v->oracle, &row, &report);
        }
        store_iter_close(it);
    }
    if (verdict == VERDICT_OK) verdict = converge_end(&v->oracle, UINT32_MAX, &report);
    if (verdict != VERDICT_OK) invariants_break(v, "I14: %s: %s", name_of(side), report.text);
}

void invariants_check_end(struct invariants *v)
{
    for (size_t i = 0; i < INVARIANT_SIDES_MAX; i++)
        if (v->sides[i].cluster != NULL && !v->is_broken) check_side_end(v, &v->sides[i]);
}

bool invariants_logs_are_small(const struct invariants *v)
{
    for (size_t i = 0; i < INVARIANT_SIDES_MAX; i++) {
        if (v->sides[i].cluster == NULL) continue;
        const struct node *n = v->sides[i].cluster->node;
        if (n->log->space.size > log_bound(n) || n->log->backlog_size > 0) return false;
    }
    return true;
}

/* ---- Life -------------------------------------------------------------------------------------- */

struct invariants *invariants_new(struct sim *sim, struct sim_cluster *a, struct sim_cluster *b)
{
    struct invariants *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->sim = sim;
    v->sides[0].cluster = a;
    v->sides[1].cluster = b;
    for (size_t i = 0; i < INVARIANT_SIDES_MAX; i++) {
        v->sides[i].owner = v;
        if (v->sides[i].cluster == NULL) continue;
        v->sides[i].cluster->on_open = on_open;
        v->sides[i].cluster->on_open_context = &v->sides[i];
    }
    sim_check_each(sim, look, v);
    return v;
}

void invariants_free(struct invariants *v)
{
    if (v == NULL) return;
    sim_check_each(v->sim, NULL, NULL);
    for (size_t i = 0; i < INVARIANT_SIDES_MAX; i++) ghost_fini(&v->sides[i].ghost);
    converge_fini(&v->oracle);
    free(v);
}
