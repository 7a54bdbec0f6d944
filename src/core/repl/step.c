/* src/core/repl/step.c: one partition's replica, event by event (docs/replication.md, R1 to R9).
 *
 *                 on_state_saved                        on_state_saved
 *     INACTIVE ---------------------> PRIMARY <----------------------------> SECONDARY
 *        ^      (we are its primary)     |        (roles of the newest           |
 *        |                               |         configuration)                |
 *        +-------------------------------+---------------------------------------+
 *              on_log_failed, on_store_failed, or a configuration without us
 *
 *     PRIMARY     orders; commits what every member holds; serves once reconciled
 *     SECONDARY   logs what the primary of its ballot sends; commits what it is told is committed
 *     INACTIVE    obeys configurations only */
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "core/repl/repl.h"
#include "core/repl/tail.h"

/* ---- Effects ---- */

static void push(struct repl_effects *out, struct repl_effect effect)
{
    CHECK(out->count < REPL_EFFECTS_MAX);
    out->items[out->count++] = effect;
}

static bool is_member(const struct repl_config *c, uint64_t node)
{
    for (uint32_t i = 0; i < c->member_count; i++)
        if (c->members[i] == node) return true;
    return false;
}

static struct repl_member *member_find(struct repl *r, uint64_t node)
{
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].id == node) return &r->members[i];
    return NULL;
}

/* ---- Commit and apply ---- */

/* Hand what is committed and not yet with the store to the store. */
static void apply_committed(struct repl *r, struct repl_effects *out)
{
    if (r->applying >= r->committed) return;
    push(out, (struct repl_effect){.type = REPL_DO_APPLY,
                                   .ballot = r->config.ballot,
                                   .first = r->applying + 1,
                                   .last = r->committed});
    r->applying = r->committed;
}

/* "A mutation is committed when all members of the configuration have prepared it" (PacificA, 2.1).
 * The commit point goes to the secondaries on its own, at once: it never waits for a next write. */
static void commit_held_by_all(struct repl *r, struct repl_effects *out)
{
    uint64_t held = r->prepared;
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].logged < held) held = r->members[i].logged;
    if (held <= r->committed) return;

    r->committed = held;
    apply_committed(r, out);
    push(out, (struct repl_effect){.type = REPL_DO_COMMIT, .last = held});
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].id != r->self)
            push(out, (struct repl_effect){.type = REPL_DO_COMMIT_POINT,
                                           .ballot = r->config.ballot,
                                           .to = r->members[i].id,
                                           .last = held});
}

/* ---- Configuration ---- */

static void stop(struct repl *r, int rc, struct repl_effects *out)
{
    if (r->is_stopped) return;
    r->is_stopped = true;
    r->role = REPL_INACTIVE;
    push(out, (struct repl_effect){.type = REPL_DO_FAIL, .rc = rc});
    push(out, (struct repl_effect){.type = REPL_DO_STOP, .rc = rc});
}

/* A new primary brings everybody to where it is itself: it takes its own uncommitted mutations under
 * its own ballot, and serves when they are applied (PacificA 2.3, "reconciliation"; R7). */
static void become_primary(struct repl *r, struct repl_effects *out)
{
    r->role = REPL_PRIMARY;
    r->reconciled_at = r->prepared;
    for (uint32_t i = 0; i < r->config.member_count; i++) {
        uint64_t node = r->config.members[i];
        r->members[i] = (struct repl_member){node, node == r->self ? r->logged : r->committed};
        if (node != r->self && r->prepared > r->committed) {
            MARK("prepared again under a new ballot");
            push(out, (struct repl_effect){.type = REPL_DO_PREPARE,
                                           .ballot = r->config.ballot,
                                           .to = node,
                                           .first = r->committed + 1,
                                           .last = r->prepared});
        }
    }
    commit_held_by_all(r, out);
}

/* After a restart the only member of a configuration goes on under the same ballot: nobody else can
 * hold anything that it does not. With more members the meta group gives a new one first (R4). */
static bool is_restart_alone(const struct repl *r, const struct repl_config *c)
{
    return r->role == REPL_INACTIVE && r->coming.ballot == 0 && c->ballot == r->config.ballot &&
           r->config.member_count == 1 && r->config.primary == r->self;
}

static int on_configured(struct repl *r, const struct repl_config *c, struct repl_effects *out)
{
    uint64_t newest = r->coming.ballot != 0 ? r->coming.ballot : r->config.ballot;
    if (c->member_count > REPL_MEMBERS_MAX || r->is_stopped) return E_PROTO;
    if (is_restart_alone(r, c)) {
        become_primary(r, out);
        return 0;
    }
    if (c->ballot <= newest) return 0; /* Old news; ballots only grow (R4). */

    r->coming = *c;
    if (r->role == REPL_PRIMARY)
        push(out, (struct repl_effect){.type = REPL_DO_FAIL, .rc = E_STATE});
    r->role = REPL_INACTIVE; /* Nothing is said under a ballot that is not durable (R4). */
    push(out, (struct repl_effect){.type = REPL_DO_SAVE_STATE, .ballot = c->ballot});
    return 0;
}

static int on_state_saved(struct repl *r, uint64_t ballot, struct repl_effects *out)
{
    if (r->coming.ballot != ballot || r->is_stopped) return 0; /* A later one is on its way. */
    r->config = r->coming;
    r->coming = (struct repl_config){0};
    if (r->config.primary == r->self) become_primary(r, out);
    else if (is_member(&r->config, r->self)) r->role = REPL_SECONDARY;
    return 0;
}

/* ---- Taking a mutation into the tail ---- */

static int take(struct repl *r, struct chunk *bytes, const struct mutation *m)
{
    int rc = tail_push(&r->tail, bytes);
    if (rc != 0) return rc;
    r->prepared = m->decree;
    repl_saw_timestamp(r, m->timestamp_us);
    return 0;
}

static void append(struct repl *r, uint64_t first, struct repl_effects *out)
{
    r->appended = r->prepared;
    push(out, (struct repl_effect){.type = REPL_DO_APPEND,
                                   .ballot = r->config.ballot,
                                   .first = first,
                                   .last = r->prepared});
}

/* What the log holds above the store. A later record of the same decree replaces the earlier one: it
 * was prepared again under a higher ballot. */
static int on_recovered(struct repl *r, struct chunk *bytes)
{
    struct mutation m;
    if (r->role != REPL_INACTIVE) return E_STATE;
    if (mutation_read(slice_of(bytes->data, bytes->capacity), &m) != 0) return E_PROTO;
    if (m.decree <= r->applied) {
        repl_saw_timestamp(r, m.timestamp_us);
        return 0;
    }
    if (m.decree > r->prepared + 1) return E_PROTO; /* A gap: this replica must learn (I11). */
    if (m.decree <= r->prepared) {
        MARK("replayed decree replaced by a later ballot");
        tail_cut(&r->tail, m.decree);
        r->prepared = m.decree - 1;
    }
    int rc = take(r, bytes, &m);
    r->logged = r->appended = r->prepared;
    return rc;
}

static int on_submitted(struct repl *r, struct chunk *bytes, struct repl_effects *out)
{
    struct mutation m;
    if (!repl_is_serving(r)) return E_STATE;
    CHECK(mutation_read(slice_of(bytes->data, bytes->capacity), &m) == 0);
    CHECK(m.decree == r->prepared + 1 && m.ballot == r->config.ballot);
    CHECK(m.timestamp_us > r->timestamp_us);

    int rc = take(r, bytes, &m);
    if (rc != 0) return rc;
    append(r, m.decree, out);
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].id != r->self)
            push(out, (struct repl_effect){.type = REPL_DO_PREPARE,
                                           .ballot = r->config.ballot,
                                           .to = r->members[i].id,
                                           .first = m.decree,
                                           .last = m.decree});
    return 0;
}

/* ---- Our own log answers ---- */

static int on_logged(struct repl *r, uint64_t decree, struct repl_effects *out)
{
    if (r->is_stopped || decree <= r->logged) return 0;
    CHECK(decree <= r->appended);
    r->logged = decree;
    if (r->role == REPL_PRIMARY) {
        member_find(r, r->self)->logged = decree;
        commit_held_by_all(r, out);
    } else if (r->role == REPL_SECONDARY) {
        push(out, (struct repl_effect){.type = REPL_DO_ACK,
                                       .ballot = r->config.ballot,
                                       .to = r->config.primary,
                                       .last = decree});
    }
    return 0;
}

/* ---- Peers ---- */

/* The primary of our ballot sends a mutation, and how far it has committed. */
static int on_prepared(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    struct mutation m;
    if (r->role != REPL_SECONDARY || event->ballot != r->config.ballot ||
        event->prepared.from != r->config.primary) {
        MARK("prepare of another ballot ignored");
        r->stale_messages++;
        return 0;
    }
    struct chunk *bytes = event->prepared.mutation;
    if (mutation_read(slice_of(bytes->data, bytes->capacity), &m) != 0) return E_PROTO;
    if (m.decree <= r->committed) return 0;         /* A repeat; it is held. */
    if (m.decree > r->prepared + 1) return E_PROTO; /* A hole: the primary must start earlier. */
    if (m.decree <= r->prepared) {
        MARK("own uncommitted mutation replaced by the primary's");
        tail_cut(&r->tail, m.decree);
        r->prepared = m.decree - 1;
        if (r->logged > r->prepared) r->logged = r->prepared;
        r->appended = r->logged;
    }
    int rc = take(r, bytes, &m);
    if (rc != 0) return rc;
    append(r, m.decree, out);
    return 0;
}

static int on_committed(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    if (r->role != REPL_SECONDARY || event->ballot != r->config.ballot) {
        r->stale_messages++;
        return 0;
    }
    uint64_t decree = event->committed.decree;
    if (decree > r->logged)
        decree = r->logged; /* Only what we hold: the rest comes with its prepare. */
    if (decree <= r->committed) return 0;
    r->committed = decree;
    apply_committed(r, out);
    return 0;
}

static int on_acked(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    if (r->role != REPL_PRIMARY || event->ballot != r->config.ballot) {
        MARK("stale ack ignored");
        r->stale_messages++;
        return 0;
    }
    struct repl_member *member = member_find(r, event->acked.from);
    if (member == NULL || event->acked.decree <= member->logged) return 0;
    if (event->acked.decree > r->prepared) return E_PROTO; /* Peers err: not obeyed. */
    member->logged = event->acked.decree;
    commit_held_by_all(r, out);
    return 0;
}

/* ---- The store answers ---- */

static int on_applied(struct repl *r, uint64_t decree, struct repl_effects *out)
{
    if (decree <= r->applied) return 0;
    CHECK(decree <= r->applying);
    r->applied = decree;
    tail_trim(&r->tail, decree);
    push(out, (struct repl_effect){.type = REPL_DO_REPLY, .last = decree});
    return 0;
}

/* ---- The door ---- */

int repl_step(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    int rc = 0;
    out->count = 0;
    switch (event->type) {
    case REPL_RECOVERED: rc = on_recovered(r, event->recovered.mutation); break;
    case REPL_CONFIGURED: rc = on_configured(r, &event->configured, out); break;
    case REPL_STATE_SAVED: rc = on_state_saved(r, event->ballot, out); break;
    case REPL_SUBMITTED: rc = on_submitted(r, event->submitted.mutation, out); break;
    case REPL_LOGGED: rc = on_logged(r, event->logged.decree, out); break;
    case REPL_PREPARED: rc = on_prepared(r, event, out); break;
    case REPL_COMMITTED: rc = on_committed(r, event, out); break;
    case REPL_ACKED: rc = on_acked(r, event, out); break;
    case REPL_APPLIED: rc = on_applied(r, event->applied.decree, out); break;
    case REPL_LOG_FAILED:
    case REPL_STORE_FAILED: stop(r, event->failed.rc, out); break;
    }
    repl_check(r);
    return rc;
}

int repl_init(struct repl *r, uint64_t self, const struct repl_config *saved, uint64_t applied,
              size_t tail_size_max)
{
    struct repl_tail tail;
    if (saved != NULL && saved->member_count > REPL_MEMBERS_MAX) return E_CORRUPT;
    int rc = tail_init(&tail, applied + 1, tail_size_max);
    if (rc != 0) return rc;
    *r = (struct repl){
        .self = self,
        .config = saved != NULL ? *saved : (struct repl_config){0},
        .applied = applied,
        .applying = applied,
        .committed = applied,
        .logged = applied,
        .appended = applied,
        .prepared = applied,
        .tail = tail,
    };
    return 0;
}

void repl_fini(struct repl *r)
{
    tail_fini(&r->tail);
}

/* ---- Questions ---- */

struct repl_next repl_next(const struct repl *r, uint64_t wall_us)
{
    /* Hybrid time: the wall clock, unless something later was seen (Kulkarni et al., 2014; R3). */
    uint64_t timestamp_us = wall_us > r->timestamp_us ? wall_us : r->timestamp_us + 1;
#ifdef MUT_local_clock_goes_back
    timestamp_us = wall_us;
#endif
    return (struct repl_next){r->prepared + 1, r->config.ballot, timestamp_us};
}

void repl_saw_timestamp(struct repl *r, uint64_t timestamp_us)
{
    if (timestamp_us > r->timestamp_us) r->timestamp_us = timestamp_us;
}

bool repl_is_serving(const struct repl *r)
{
    return r->role == REPL_PRIMARY && r->applied >= r->reconciled_at;
}

struct chunk *repl_tail_get(const struct repl *r, uint64_t decree)
{
    return tail_get(&r->tail, decree);
}

void repl_check(const struct repl *r)
{
    CHECK(r->applied <= r->applying && r->applying <= r->committed);
    CHECK(r->committed <= r->prepared);
    CHECK(r->logged <= r->appended && r->appended <= r->prepared);
    CHECK(tail_next(&r->tail) == r->prepared + 1);
    CHECK(r->tail.first_decree <= r->applied + 1);
    CHECK(r->role == REPL_INACTIVE || (r->config.ballot > 0 && r->coming.ballot == 0));
    CHECK(r->committed <= r->logged);
    if (r->role != REPL_PRIMARY) return;
    for (uint32_t i = 0; i < r->config.member_count; i++)
        CHECK(r->committed <= r->members[i].logged && r->members[i].logged <= r->prepared);
}
