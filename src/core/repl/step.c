/* src/core/repl/step.c: one partition's replica, event by event (docs/replication.md, R1 to R15).
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
 *     LEARNER     as a secondary that nobody waits for; asks for what it was not sent
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

/* It takes what its primary sends, and says what it holds. */
static bool is_led(const struct repl *r)
{
    return r->role == REPL_SECONDARY ||
           (r->role == REPL_LEARNER && r->learning != REPL_LEARN_COPYING);
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

/* To everybody who is sent what is new. */
static void tell_commit_point(const struct repl *r, struct repl_effects *out)
{
#ifdef MUT_commit_waits_for_next_write
    return;
#endif
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].id != r->self) send_commit_point(r, r->members[i].id, out);
    if (r->pupil.is_following) send_commit_point(r, r->config.learner, out);
}

/* How much of the primary's order everybody holds who has to. */
static uint64_t held_by_all(const struct repl *r)
{
    uint64_t held = r->prepared;
    for (uint32_t i = 0; i < r->config.member_count; i++)
        if (r->members[i].logged < held) held = r->members[i].logged;
#ifndef MUT_joining_is_not_awaited
    if (r->pupil.is_joining && r->pupil.logged < held) held = r->pupil.logged;
#endif
    return held;
}

/* A learner that holds all that is committed may be a member: nothing more is committed without it, so that
 * this stays true until the meta group has decided. Before a new primary has reconciled it does not know
 * what all that is (R7, R12). */
static void join_caught_up(struct repl *r, struct repl_effects *out)
{
    struct repl_pupil *p = &r->pupil;
    bool is_known = r->committed >= r->reconciled_at;
#ifdef MUT_join_before_reconciled
    is_known = true;
#endif
    if (!p->is_following || p->is_joining || !is_known || p->logged < r->committed) return;
    p->is_joining = true;
    push(out, (struct repl_effect){
                  .type = REPL_DO_JOIN, .ballot = r->config.ballot, .to = r->config.learner});
}

/* "A mutation is committed when all members of the configuration have prepared it" (PacificA, 2.1).
 * The commit point goes to the secondaries on its own, at once: it never waits for a next write. It is
 * told before it is applied: the news is on its way to others while we write, and before the client's
 * answer (R10). */
static void commit_held_by_all(struct repl *r, struct repl_effects *out)
{
    const uint64_t held = held_by_all(r);
    if (held <= r->committed) return;

    r->committed = held;
    push(out, (struct repl_effect){.type = REPL_DO_COMMIT, .last = held});
    tell_commit_point(r, out);
    apply_committed(r, out);
    join_caught_up(r, out);
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
                                   .last = held,
                                   .committed = r->committed,
                                   .prepared = r->prepared});
}

/* ---- Configuration ---- */

/* A primary is one of the members, and nobody is a member twice, or a learner too. */
static bool is_possible(const struct repl_config *c)
{
    if (c->ballot == 0 || c->member_count > REPL_MEMBERS_MAX) return false;
    for (uint32_t i = 0; i < c->member_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (c->members[i] == c->members[k]) return false;
    if (c->learner != 0 && (c->primary == 0 || is_member(c, c->learner))) return false;
    return c->primary == 0 || is_member(c, c->primary);
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

static void stop(struct repl *r, int rc, struct repl_effects *out)
{
    if (r->is_stopped) return;
    r->is_stopped = true;
    r->is_staying = false;
    r->role = REPL_INACTIVE;
    push(out, (struct repl_effect){.type = REPL_DO_FAIL, .rc = rc});
    push(out, (struct repl_effect){.type = REPL_DO_STOP, .rc = rc});
}

static void send_prepares(const struct repl *r, uint64_t to, uint64_t first, uint64_t last,
                          struct repl_effects *out)
{
    push(out, (struct repl_effect){.type = REPL_DO_PREPARE,
                                   .ballot = r->config.ballot,
                                   .to = to,
                                   .first = first,
                                   .last = last});
}

/* Send somebody what it is not known to hold; where there is nothing, at least how far we are. */
static void bring_up(const struct repl *r, uint64_t to, uint64_t logged, struct repl_effects *out)
{
    if (logged >= r->prepared) send_commit_point(r, to, out);
    else send_prepares(r, to, logged + 1, r->prepared, out);
}

/* A learner is sent what is new once the tail reaches back to what it has. It hears of a commit point
 * beyond that otherwise, and asks (R12). */
static void bring_up_learner(struct repl *r, struct repl_effects *out)
{
    const uint64_t next = r->pupil.logged + 1;
    r->pupil.is_following =
        r->pupil.is_joining || next > r->prepared || tail_get(&r->tail, next) != NULL;
    if (r->pupil.is_following) bring_up(r, r->config.learner, r->pupil.logged, out);
    else send_commit_point(r, r->config.learner, out);
}

/* A new primary brings everybody to where it is itself: it takes its own uncommitted mutations
 * under its own ballot, and serves when they are applied (PacificA 2.3, "reconciliation"; R7). What
 * it knows to be committed, every member holds: that is what committed means. */
static void become_primary(struct repl *r, struct repl_effects *out)
{
    r->role = REPL_PRIMARY;
    r->reconciled_at = r->prepared;
    r->began_at = r->committed;
    r->pupil = (struct repl_pupil){0};
    r->unheard = 0;
    for (uint32_t i = 0; i < r->config.member_count; i++) {
        const uint64_t node = r->config.members[i];
        const bool is_us = node == r->self;
        r->members[i] = (struct repl_member){node, is_us ? r->logged : r->committed, is_us};
        if (is_us) continue;
        r->unheard++;
        if (r->prepared > r->committed) MARK("prepared again under a new ballot");
        bring_up(r, node, r->committed, out);
    }
    commit_held_by_all(r, out);
}

/* A new secondary says where it is and asks for more: a primary that heard of the configuration
 * earlier has sent things that nobody took. */
static void become_secondary(struct repl *r, struct repl_effects *out)
{
    r->role = REPL_SECONDARY;
    r->is_met = false;
    r->matched = r->committed;
    send_ack(r, true, out);
}

/* The first word of its primary under this ballot: what we said before, it may not have been there to hear. */
static bool needs_meeting(const struct repl *r)
{
    return r->role == REPL_SECONDARY && !r->is_met;
}

static void meet(struct repl *r, struct repl_effects *out)
{
    if (!needs_meeting(r)) return;
    r->is_met = true;
    send_ack(r, true, out);
}

/* Ask for what is committed behind what we have of the primary's order. */
static void learn(struct repl *r, struct repl_effects *out)
{
    r->learning = REPL_LEARN_ASKED;
    push(out, (struct repl_effect){.type = REPL_DO_LEARN,
                                   .ballot = r->config.ballot,
                                   .to = r->config.primary,
                                   .last = r->matched});
}

/* Whatever comes next, it asks for it behind all that it holds: what lies in between, its primary's tail may not
 * have any more. */
static void learn_on(struct repl *r, struct repl_effects *out)
{
    if (r->logged < r->prepared) return;
    if (r->learning == REPL_LEARN_MORE) learn(r, out);
    if (r->learning != REPL_LEARN_END) return;
    r->learning = REPL_LEARN_NOTHING;
    send_ack(r, true, out);
}

/* What was sent to it may be lost. */
static void ask_for_new(struct repl *r, struct repl_effects *out)
{
    if (r->learning != REPL_LEARN_NOTHING) return; /* It has asked, and will again. */
    r->learning = REPL_LEARN_END;
    learn_on(r, out);
}

/* What a learner holds and does not know to be committed was ordered before the members went on without
 * it: it must never be taken up again, for it was decided by values that may be others now. The floor
 * says the same of the log (R14). */
static void become_learner(struct repl *r, struct repl_effects *out)
{
    r->role = REPL_LEARNER;
#ifndef MUT_learner_keeps_its_own
    if (r->prepared > r->committed) {
        MARK("a learner's uncommitted mutations are void");
        give_way(r, r->committed + 1);
    }
#endif
    r->matched = r->committed;
    learn(r, out);
}

/* The only member, and nobody can have joined us without our knowing. */
static bool is_alone(const struct repl *r)
{
    return r->config.member_count == 1 && r->config.primary == r->self && r->config.learner == 0;
}

/* After a restart the only member of a configuration goes on under the same ballot: nobody else can
 * hold anything that it does not. With more members the meta group gives a new one first (R4). */
static bool is_restart_alone(const struct repl *r, const struct repl_config *c)
{
    return r->role == REPL_INACTIVE && r->coming.ballot == 0 && c->ballot == r->config.ballot &&
           is_alone(r);
}

/* Take up the coming configuration once it is durable and our own log is quiet: then no answer of
 * the log is left that could speak of a mutation which gave way under the new ballot (R4). */
static void adopt(struct repl *r, struct repl_effects *out)
{
    if (!r->is_coming_saved || r->logged < r->prepared) return;
    r->config = r->coming;
    r->coming = (struct repl_config){0};
    r->is_coming_saved = r->is_staying = false;
    r->learning = REPL_LEARN_NOTHING;
    if (r->config.primary == r->self) become_primary(r, out);
    else if (r->config.primary != 0 && is_member(&r->config, r->self)) become_secondary(r, out);
    else if (r->config.learner == r->self) become_learner(r, out);
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

    const bool was_primary = r->role == REPL_PRIMARY || r->is_staying;
    r->coming = *c;
    r->is_coming_saved = false;
    r->is_staying = was_primary && c->primary == r->self;
    if (c->learner == r->self) r->floor = (struct repl_floor){c->ballot, r->committed};
    else if (r->config.ballot == 0) r->floor = (struct repl_floor){0};
    /* Who stays a member keeps its mutations, and who waits for them: they are committed under the new
     * ballot, or others take their place (R15). */
    if (was_primary && !is_member(c, r->self))
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
static int on_recovered(struct repl *r, struct chunk *bytes, uint64_t ballot)
{
    struct mutation m;
    if (r->role != REPL_INACTIVE) return E_STATE;
    if (mutation_read(slice_of(bytes->data, bytes->capacity), &m) != 0) return E_PROTO;
    /* A learner's store may have been replaced by one that holds less: what then follows on nothing is void
     * as well. If it was not, R13 will tell. */
    bool is_void = ballot < r->floor.ballot && m.decree > r->floor.decree;
    bool is_loose = ballot <= r->floor.ballot && m.decree > r->prepared + 1;
    if (is_void || is_loose) {
        MARK("void record not replayed");
        return 0; /* R14 */
    }
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
    if (!is_alone(r)) return;
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
            send_prepares(r, r->members[i].id, m.decree, m.decree, out);
    if (r->pupil.is_following) send_prepares(r, r->config.learner, m.decree, m.decree, out);
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
    } else if (r->role == REPL_INACTIVE) {
        adopt(r, out);
    } else if (is_led(r)) {
        send_ack(r, false, out);
        if (r->role == REPL_LEARNER) learn_on(r, out);
    }
    return 0;
}

/* ---- Peers ---- */

static bool is_from_our_primary(struct repl *r, uint64_t ballot)
{
    if (is_led(r) && ballot == r->config.ballot) return true;
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
    if (m.decree > known + 1 && !needs_meeting(r))
        return E_PROTO;         /* The primary must start earlier. */
    if (m.decree > known + 1) { /* Perhaps it does not know yet how little we have (R13). */
        meet(r, out);
        return 0;
    }

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
    meet(r, out);
    if (!is_new && r->logged >= m.decree) send_ack(r, false, out); /* The first one may be lost. */
    return 0;
}

static int on_committed(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    if (!is_from_our_primary(r, event->ballot)) return 0;
    if (event->committed.from != r->config.primary) return E_PROTO;
    follow(r, event->committed.decree, out);
    meet(r, out);
    /* Commit points come behind the mutations: something was never sent to this learner. */
    bool is_missing = r->role == REPL_LEARNER && event->committed.decree > r->prepared;
    if (is_missing && r->learning == REPL_LEARN_NOTHING) learn(r, out);
    return 0;
}

/* What a member says of itself when it first meets its primary (R13). What is committed was logged by
 * all members: whoever holds less has lost its log, or its whole disk. */
static bool is_sound(struct repl *r, struct repl_member *member, const struct repl_event *event,
                     struct repl_effects *out)
{
    struct repl_effect lost = {.ballot = r->config.ballot, .to = member->id};
    if (event->acked.committed > r->reconciled_at) {
        MARK("a primary has lost what it had committed");
        lost.type = REPL_DO_GIVE_WAY;
    } else if (event->acked.prepared < r->began_at) {
        MARK("a member has lost what it had logged");
        lost.type = REPL_DO_EXPEL;
    } else {
        member->is_heard = true;
        r->unheard--;
        return true;
    }
    push(out, lost);
    return false;
}

static int on_learner_acked(struct repl *r, const struct repl_event *event,
                            struct repl_effects *out)
{
    struct repl_pupil *p = &r->pupil;
    const uint64_t decree = event->acked.decree;
    if (decree > r->prepared) return E_PROTO;
    if (decree > p->logged || (event->acked.asks_for_more && !p->is_joining)) p->logged = decree;
    if (event->acked.asks_for_more) bring_up_learner(r, out);
    if (p->is_joining) commit_held_by_all(r, out);
    else join_caught_up(r, out);
    return 0;
}

static int on_acked(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    if (r->role != REPL_PRIMARY || event->ballot != r->config.ballot) {
        MARK("stale ack ignored");
        r->stale_messages++;
        return 0;
    }
    if (event->acked.from == r->config.learner && r->config.learner != 0)
        return on_learner_acked(r, event, out);
    struct repl_member *member = member_find(r, event->acked.from);
    if (member == NULL || member->id == r->self || event->acked.decree > r->prepared)
        return E_PROTO; /* Peers err: not obeyed. */
    if (event->acked.asks_for_more && !member->is_heard && !is_sound(r, member, event, out))
        return 0;
    if (event->acked.decree > member->logged) {
        member->logged = event->acked.decree;
        commit_held_by_all(r, out);
    }
    if (event->acked.asks_for_more) bring_up(r, member->id, member->logged, out);
    return 0;
}

/* The learner's store is to be replaced: from now on it says and takes nothing under this ballot. What it
 * has said before was less than what is committed, or it would not have been given a store: so it cannot be
 * joined for that (R12). */
static void on_copying(struct repl *r, const struct repl_event *event)
{
    if (r->role == REPL_LEARNER && event->ballot == r->config.ballot)
        r->learning = REPL_LEARN_COPYING;
}

/* The learner has what it asked for. */
static void on_learned(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    bool is_awaited = r->role == REPL_LEARNER && r->learning == REPL_LEARN_ASKED;
    if (!is_awaited || event->ballot != r->config.ballot) return;
    r->learning = event->learned.is_end ? REPL_LEARN_END : REPL_LEARN_MORE;
    learn_on(r, out);
}

/* Messages to a member were lost: a primary says again what that is not known to hold, a secondary where it
 * is (R11). */
static void on_link_lost(struct repl *r, uint64_t to, struct repl_effects *out)
{
    const struct repl_member *member = r->role == REPL_PRIMARY ? member_find(r, to) : NULL;
#ifdef MUT_lost_is_not_repeated
    return;
#endif
    if (member != NULL && to != r->self) bring_up(r, to, member->logged, out);
    else if (r->role == REPL_PRIMARY && to == r->config.learner && r->pupil.is_following)
        bring_up_learner(r, out);
    else if (r->role == REPL_SECONDARY && to == r->config.primary) send_ack(r, true, out);
    else if (r->role == REPL_LEARNER && to == r->config.primary) ask_for_new(r, out);
}

/* Whom others wait for and nobody can reach is no member for long (PacificA 2.3). */
static void on_link_silent(struct repl *r, const struct repl_event *event, struct repl_effects *out)
{
    const uint64_t to = event->link_silent.to;
    if (r->role != REPL_PRIMARY || to == r->self) return;
    const struct repl_member *member = member_find(r, to);
    bool is_joining = r->pupil.is_joining && to == r->config.learner;
    bool is_awaited = member != NULL && (!member->is_heard || member->logged < r->prepared);
    if (!is_awaited && !is_joining) return;
    MARK("a silent member is to go");
    push(out, (struct repl_effect){.type = REPL_DO_SHUN,
                                   .ballot = r->config.ballot,
                                   .to = to,
                                   .silent_ms = event->link_silent.for_ms});
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
    case REPL_RECOVERED:
        rc = on_recovered(r, event->recovered.mutation, event->recovered.ballot);
        break;
    case REPL_REPLAYED: on_replayed(r, out); break;
    case REPL_CONFIGURED: rc = on_configured(r, &event->configured, out); break;
    case REPL_STATE_SAVED: rc = on_state_saved(r, event->ballot, out); break;
    case REPL_SUBMITTED: rc = on_submitted(r, event->submitted.mutation, out); break;
    case REPL_LOGGED: rc = on_logged(r, event->logged.decree, out); break;
    case REPL_PREPARED: rc = on_prepared(r, event, out); break;
    case REPL_COMMITTED: rc = on_committed(r, event, out); break;
    case REPL_ACKED: rc = on_acked(r, event, out); break;
    case REPL_LEARN_WANTED:
        if (!r->pupil.is_joining) r->pupil.is_following = false;
        break;
    case REPL_LEARNED: on_learned(r, event, out); break;
    case REPL_COPYING: on_copying(r, event); break;
    case REPL_LINK_LOST: on_link_lost(r, event->link_lost.to, out); break;
    case REPL_LINK_SILENT: on_link_silent(r, event, out); break;
    case REPL_APPLIED: rc = on_applied(r, event->applied.decree, out); break;
    case REPL_LOG_FAILED:
    case REPL_STORE_FAILED: stop(r, event->failed.rc, out); break;
    }
    repl_check(r);
    return rc;
}

int repl_init(struct repl *r, uint64_t self, const struct repl_saved *saved, uint64_t applied,
              size_t tail_size_max)
{
    struct repl_tail tail;
    if (saved != NULL && !is_possible(&saved->config)) return E_CORRUPT;
    int rc = tail_init(&tail, applied + 1, tail_size_max);
    if (rc != 0) return rc;
    *r = (struct repl){
        .self = self,
        .config = saved != NULL ? saved->config : (struct repl_config){0},
        .floor = saved != NULL ? saved->floor : (struct repl_floor){UINT64_MAX, applied},
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

bool repl_needs_ballot(const struct repl *r)
{
    return r->role == REPL_INACTIVE && !r->is_stopped && r->coming.ballot == 0 &&
           r->config.learner == r->self;
}

bool repl_is_serving(const struct repl *r)
{
#ifdef MUT_serve_before_reconcile
    return r->role == REPL_PRIMARY;
#endif
    return r->role == REPL_PRIMARY && r->applied >= r->reconciled_at && r->unheard == 0;
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
    if (r->role == REPL_SECONDARY || r->role == REPL_LEARNER)
        CHECK(r->committed <= r->matched && r->matched <= r->prepared);
    if (r->role != REPL_PRIMARY) return;
    for (uint32_t i = 0; i < r->config.member_count; i++)
        CHECK(r->committed <= r->members[i].logged && r->members[i].logged <= r->prepared);
    CHECK(r->pupil.logged <= r->prepared);
    CHECK(!r->pupil.is_joining || (r->pupil.is_following && r->committed <= r->pupil.logged));
}
