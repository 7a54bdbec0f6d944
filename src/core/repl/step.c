/* src/core/repl/step.c: one partition's replica, event by event (docs/replication.md, R1 to R11).
 *
 *                 on_state_saved                        on_state_saved
 *     INACTIVE ---------------------> PRIMARY <----------------------------> SECONDARY
 *        ^      (we are its primary)     |        (roles of the newest           |
 *        |                               |         configuration)                |
 *        +-------------------------------+---------------------------------------+
 *              on_log_failed, on_store_failed, or a configuration without us
 *
 *     PRIMARY     orders; commits what every member holds; serves once reconciled
 *     SECONDARY   logs what the primary of its ballot sends; commits what it is told is committed;
 *                 [.. matched] is the primary's order, what it holds behind that may give way
 *     INACTIVE    obeys configurations only */
#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "core/repl/repl.h"
#include "core/repl/tail.h"
#include "wire/value.h"

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

static void send_commit_point(const struct repl *r, uint64_t to, struct repl_effects *out)
{
    push(out, (struct repl_effect){.type = REPL_DO_COMMIT_POINT,
                                   .ballot = r->config.ballot,
                                   .to = to,
                                   .last = r->committed});
}

/* "A mutation is committed when all members of the configuration have prepared it" (PacificA, 2.1).
 * The commit point goes to the secondaries on its own, at once: it never waits for a next write. It is
 * told before it is applied: the news is on its way to others while we write, and before the client's
 * answer (R10). */
static void commit_held_by_all(struct repl *r, struct repl_effects *out)
{
    uint64_t held = r->prepared;
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].logged < held) held = r->members[i].logged;
    if (held <= r->committed) return;

    r->committed = held;
    push(out, (struct repl_effect){.type = REPL_DO_COMMIT, .last = held});
#ifndef MUT_commit_waits_for_next_write
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].id != r->self) send_commit_point(r, r->members[i].id, out);
#endif
    apply_committed(r, out);
}

/* ---- Acknowledging ---- */

/* Say how much of the primary's order our log holds. What it holds beyond 'matched' was ordered by
 * somebody else and may have to give way: it is none of this primary's business. */
static void send_ack(const struct repl *r, bool asks_for_more, struct repl_effects *out)
{
    uint64_t held = r->logged < r->matched ? r->logged : r->matched;
#ifdef MUT_ack_what_is_prepared
    held = r->matched;
#endif
    push(out, (struct repl_effect){.type = REPL_DO_ACK,
                                   .ballot = r->config.ballot,
                                   .to = r->config.primary,
                                   .asks_for_more = asks_for_more,
                                   .last = held});
}

/* ---- Configuration ---- */

/* A primary is one of the members, and nobody is a member twice. */
static bool is_possible(const struct repl_config *c)
{
    if (c->ballot == 0 || c->member_count > REPL_MEMBERS_MAX) return false;
    for (uint32_t i = 0; i < c->member_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (c->members[i] == c->members[k]) return false;
    return c->primary == 0 || is_member(c, c->primary);
}

static void stop(struct repl *r, int rc, struct repl_effects *out)
{
    if (r->is_stopped) return;
    r->is_stopped = true;
    r->role = REPL_INACTIVE;
    push(out, (struct repl_effect){.type = REPL_DO_FAIL, .rc = rc});
    push(out, (struct repl_effect){.type = REPL_DO_STOP, .rc = rc});
}

/* Send a member what it is not known to hold; where there is nothing, at least how far we are. */
static void bring_up(const struct repl *r, const struct repl_member *m, struct repl_effects *out)
{
    if (m->logged >= r->prepared) {
        send_commit_point(r, m->id, out);
        return;
    }
    push(out, (struct repl_effect){.type = REPL_DO_PREPARE,
                                   .ballot = r->config.ballot,
                                   .to = m->id,
                                   .first = m->logged + 1,
                                   .last = r->prepared});
}

/* A new primary brings everybody to where it is itself: it takes its own uncommitted mutations
 * under its own ballot, and serves when they are applied (PacificA 2.3, "reconciliation"; R7). What
 * it knows to be committed, every member holds: that is what committed means. */
static void become_primary(struct repl *r, struct repl_effects *out)
{
    r->role = REPL_PRIMARY;
    r->reconciled_at = r->prepared;
    for (uint32_t i = 0; i < r->config.member_count; i++) {
        uint64_t node = r->config.members[i];
        r->members[i] = (struct repl_member){node, node == r->self ? r->logged : r->committed};
        if (node == r->self) continue;
        if (r->prepared > r->committed) MARK("prepared again under a new ballot");
        bring_up(r, &r->members[i], out);
    }
    commit_held_by_all(r, out);
}

/* A new secondary says where it is and asks for more: a primary that heard of the configuration
 * earlier has sent things that nobody took. */
static void become_secondary(struct repl *r, struct repl_effects *out)
{
    r->role = REPL_SECONDARY;
    r->matched = r->committed;
    send_ack(r, true, out);
}

/* After a restart the only member of a configuration goes on under the same ballot: nobody else can
 * hold anything that it does not. With more members the meta group gives a new one first (R4). */
static bool is_restart_alone(const struct repl *r, const struct repl_config *c)
{
    return r->role == REPL_INACTIVE && r->coming.ballot == 0 && c->ballot == r->config.ballot &&
           r->config.member_count == 1 && r->config.primary == r->self;
}

/* Take up the coming configuration once it is durable and our own log is quiet: then no answer of
 * the log is left that could speak of a mutation which gave way under the new ballot (R4). */
static void adopt(struct repl *r, struct repl_effects *out)
{
    if (!r->is_coming_saved || r->logged < r->prepared) return;
    r->config = r->coming;
    r->coming = (struct repl_config){0};
    r->is_coming_saved = false;
    if (r->config.primary == r->self) become_primary(r, out);
    else if (r->config.primary != 0 && is_member(&r->config, r->self)) become_secondary(r, out);
}

static int on_configured(struct repl *r, const struct repl_config *c, struct repl_effects *out)
{
    uint64_t newest = r->coming.ballot != 0 ? r->coming.ballot : r->config.ballot;
    if (r->is_stopped) return E_STATE;
    if (is_restart_alone(r, c)) {
        become_primary(r, out);
        return 0;
    }
    if (c->ballot <= newest) return 0; /* Old news; ballots only grow (R4). */
    if (!is_possible(c)) return E_PROTO;

    r->coming = *c;
    r->is_coming_saved = false;
    if (r->role == REPL_PRIMARY)
        push(out, (struct repl_effect){.type = REPL_DO_FAIL, .rc = E_STATE});
    r->role = REPL_INACTIVE; /* Nothing is said under a ballot that is not durable (R4). */
    push(out, (struct repl_effect){.type = REPL_DO_SAVE_STATE, .ballot = c->ballot});
#ifdef MUT_ballot_not_persisted
    r->is_coming_saved = true;
    adopt(r, out);
#endif
    return 0;
}

static int on_state_saved(struct repl *r, uint64_t ballot, struct repl_effects *out)
{
    if (ballot == 0 || r->coming.ballot != ballot || r->is_stopped)
        return 0; /* A later one is on its way. */
    r->is_coming_saved = true;
    adopt(r, out);
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

/* Another mutation takes this decree. What we hold behind it was ordered after the one that gives
 * way, by a primary that did not get its way either: it goes too. */
static void give_way(struct repl *r, uint64_t decree)
{
    if (decree > r->prepared) return;
    CHECK(decree > r->committed);
    tail_cut(&r->tail, decree);
    r->prepared = decree - 1;
    if (r->logged > r->prepared) r->logged = r->prepared;
}

static void append(struct repl *r, uint64_t decree, struct repl_effects *out)
{
    push(out,
         (struct repl_effect){
             .type = REPL_DO_APPEND, .ballot = r->config.ballot, .first = decree, .last = decree});
}

/* What the log holds above the store, in the order in which it was appended. A decree that comes
 * again replaces what was there and behind it, as it did when it was appended; below the store's
 * own decree, where it cannot be replaced any more, it still shows that what is behind it gave
 * way. */
static int on_recovered(struct repl *r, struct chunk *bytes)
{
    struct mutation m;
    if (r->role != REPL_INACTIVE) return E_STATE;
    if (mutation_read(slice_of(bytes->data, bytes->capacity), &m) != 0) return E_PROTO;
    if (m.decree > r->prepared + 1) return E_PROTO; /* A gap: this replica must learn (I11). */
    if (m.decree <= r->prepared && r->prepared > r->applied)
        MARK("replayed decree replaced by a later ballot");
    give_way(r, m.decree > r->applied ? m.decree : r->applied + 1);
    int rc = 0;
    if (m.decree > r->applied) rc = take(r, bytes, &m);
    else repl_saw_timestamp(r, m.timestamp_us);
    r->logged = r->prepared;
    return rc;
}

/* What the sole member of a configuration holds is committed: nobody else can know otherwise. It is
 * applied at once, so that no later decision (the table was dropped) finds it only in the log. */
static void on_replayed(struct repl *r, struct repl_effects *out)
{
    if (r->config.member_count != 1 || r->config.primary != r->self) return;
    r->committed = r->logged;
    apply_committed(r, out);
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
    CHECK(decree <= r->prepared);
    r->logged = decree;
    if (r->role == REPL_PRIMARY) {
        member_find(r, r->self)->logged = decree;
        commit_held_by_all(r, out);
    } else if (r->role == REPL_SECONDARY) {
        send_ack(r, false, out);
    } else {
        adopt(r, out);
    }
    return 0;
}

/* ---- Peers ---- */

static bool is_from_our_primary(struct repl *r, uint64_t ballot)
{
    if (r->role == REPL_SECONDARY && ballot == r->config.ballot) return true;
    MARK("message of another ballot ignored");
    r->stale_messages++;
    return false;
}

/* How far the primary has committed. Every member's log holds that, and the same mutations: so what
 * we hold up to there is in the primary's order, whoever gave it to us. */
static void follow(struct repl *r, uint64_t committed, struct repl_effects *out)
{
    if (committed > r->logged) committed = r->logged; /* Peers err. */
    if (committed > r->matched) r->matched = committed;
    if (committed <= r->committed) return;
    r->committed = committed;
    apply_committed(r, out);
}

static bool is_held(const struct repl *r, uint64_t decree, const struct chunk *bytes)
{
    const struct chunk *held = tail_get(&r->tail, decree);
    return held != NULL && slice_equal(slice_of(held->data, held->capacity),
                                       slice_of(bytes->data, bytes->capacity));
}

/* The primary of our ballot sends a mutation, and how far it has committed. It sends in order;
 * where something was lost on the way we take nothing behind the hole. */
static int on_prepared(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    struct mutation m;
    struct chunk *bytes = event->prepared.mutation;
    if (!is_from_our_primary(r, event->ballot)) return 0;
    if (event->prepared.from != r->config.primary) return E_PROTO;
    if (mutation_read(slice_of(bytes->data, bytes->capacity), &m) != 0) return E_PROTO;
    /* A time that no timetag can hold would be the end of our own clock. */
    if (m.timestamp_us > VALUE_TIMESTAMP_US_MAX || m.ballot > event->ballot) return E_PROTO;
    uint64_t known = event->prepared.committed; /* Of the primary's order, we hold this much. */
    if (known > r->logged) known = r->logged;
    if (known < r->matched) known = r->matched;
    if (m.decree > known + 1) return E_PROTO; /* A hole: the primary must start earlier. */

    bool is_new = m.decree == known + 1 && !is_held(r, m.decree, bytes);
    if (is_new) {
        if (m.decree <= r->prepared) MARK("own uncommitted mutation replaced by the primary's");
        give_way(r, m.decree); /* Then there is room in the tail. */
        int rc = take(r, bytes, &m);
        if (rc != 0) return rc;
        append(r, m.decree, out);
    }
    r->matched = m.decree > known ? m.decree : known;
    follow(r, event->prepared.committed, out);
    if (!is_new && r->logged >= m.decree) send_ack(r, false, out); /* The first one may be lost. */
    return 0;
}

static int on_committed(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    if (!is_from_our_primary(r, event->ballot)) return 0;
    if (event->committed.from != r->config.primary) return E_PROTO;
    follow(r, event->committed.decree, out);
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
    if (member == NULL || member->id == r->self || event->acked.decree > r->prepared)
        return E_PROTO; /* Peers err: not obeyed. */
    if (event->acked.decree > member->logged) {
        member->logged = event->acked.decree;
        commit_held_by_all(r, out);
    }
    if (event->acked.asks_for_more) bring_up(r, member, out);
    return 0;
}

/* Messages to a member were lost: a primary says again what that is not known to hold, a secondary where it
 * is (R11). */
static void on_link_lost(struct repl *r, uint64_t to, struct repl_effects *out)
{
    const struct repl_member *member = r->role == REPL_PRIMARY ? member_find(r, to) : NULL;
#ifdef MUT_lost_is_not_repeated
    return;
#endif
    if (member != NULL && to != r->self) bring_up(r, member, out);
    else if (r->role == REPL_SECONDARY && to == r->config.primary) send_ack(r, true, out);
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
    case REPL_REPLAYED: on_replayed(r, out); break;
    case REPL_CONFIGURED: rc = on_configured(r, &event->configured, out); break;
    case REPL_STATE_SAVED: rc = on_state_saved(r, event->ballot, out); break;
    case REPL_SUBMITTED: rc = on_submitted(r, event->submitted.mutation, out); break;
    case REPL_LOGGED: rc = on_logged(r, event->logged.decree, out); break;
    case REPL_PREPARED: rc = on_prepared(r, event, out); break;
    case REPL_COMMITTED: rc = on_committed(r, event, out); break;
    case REPL_ACKED: rc = on_acked(r, event, out); break;
    case REPL_LINK_LOST: on_link_lost(r, event->link_lost.to, out); break;
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
    if (saved != NULL && !is_possible(saved)) return E_CORRUPT;
    int rc = tail_init(&tail, applied + 1, tail_size_max);
    if (rc != 0) return rc;
    *r = (struct repl){
        .self = self,
        .config = saved != NULL ? *saved : (struct repl_config){0},
        .applied = applied,
        .applying = applied,
        .committed = applied,
        .logged = applied,
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
#ifdef MUT_serve_before_reconcile
    return r->role == REPL_PRIMARY;
#endif
    return r->role == REPL_PRIMARY && r->applied >= r->reconciled_at;
}

struct chunk *repl_tail_get(const struct repl *r, uint64_t decree)
{
    return tail_get(&r->tail, decree);
}

void repl_check(const struct repl *r)
{
    CHECK(r->applied <= r->applying && r->applying <= r->committed);
    CHECK(tail_next(&r->tail) == r->prepared + 1);
    CHECK(r->tail.first_decree <= r->applied + 1);
    CHECK(r->role == REPL_INACTIVE || (r->config.ballot > 0 && r->coming.ballot == 0));
    CHECK(r->committed <= r->logged && r->logged <= r->prepared);
    if (r->role == REPL_SECONDARY) CHECK(r->committed <= r->matched && r->matched <= r->prepared);
    if (r->role != REPL_PRIMARY) return;
    for (uint32_t i = 0; i < r->config.member_count; i++)
        CHECK(r->committed <= r->members[i].logged && r->members[i].logged <= r->prepared);
}
