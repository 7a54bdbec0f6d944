/* tests/core/repl/group.c: the shell of three replicas, and the onlooker who knows the rules. */
#include "group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"

/* A rule was broken: say which, and how to see it again. */
static void must(const struct group *g, bool holds, const char *rule)
{
    if (holds) return;
    (void)fprintf(stderr, "seed %llu: %s\n", (unsigned long long)g->seed, rule);
    for (int i = 0; i < GROUP_NODES; i++) {
        const struct group_node *n = &g->nodes[i];
        const struct repl *r = &n->repl;
        (void)fprintf(stderr,
                      "%d: up %d role %d ballot %d (%d) applied %d committed %d logged %d "
                      "prepared %d; disk: written %d synced %d held to %d flushed %d\n",
                      i + 1, n->is_up, (int)r->role, (int)r->config.ballot, (int)r->coming.ballot,
                      (int)r->applied, (int)r->committed, (int)r->logged, (int)r->prepared,
                      (int)n->disk.written, (int)n->disk.synced, (int)n->disk.held_to,
                      (int)n->disk.flushed);
    }
    abort();
}

struct chunk *group_mutation(uint64_t decree, uint64_t ballot, uint64_t timestamp_us, int key,
                             uint32_t data)
{
    struct buf bytes = {0};
    char raw_key[16];
    (void)snprintf(raw_key, sizeof raw_key, "key %d", key);
    size_t at = mutation_begin(&bytes);
    mutation_add(&bytes, &(struct mutation_op){.timetag = timestamp_us << 8,
                                               .key = slice_str(raw_key),
                                               .data = slice_of(&data, sizeof data)});
    CHECK(mutation_finish(&bytes, at, decree, ballot, timestamp_us) == 0);
    struct chunk *mutation = chunk_new(bytes.size);
    CHECK(mutation != NULL);
    memcpy(mutation->data, bytes.data, bytes.size);
    buf_fini(&bytes);
    return mutation;
}

static struct mutation read_back(const struct chunk *bytes)
{
    struct mutation m;
    CHECK(mutation_read(slice_of(bytes->data, bytes->capacity), &m) == 0);
    return m;
}

static bool is_same(const struct chunk *a, const struct chunk *b)
{
    return slice_equal(slice_of(a->data, a->capacity), slice_of(b->data, b->capacity));
}

struct group_node *group_node(struct group *g, uint64_t id)
{
    CHECK(id >= 1 && id <= GROUP_NODES);
    return &g->nodes[id - 1];
}

static uint64_t id_of(const struct group *g, const struct group_node *n)
{
    return (uint64_t)(n - g->nodes) + 1;
}

void group_init(struct group *g, uint64_t seed)
{
    memset(g, 0, sizeof *g);
    g->seed = seed;
    g->wall_us = 1000000;
    prng_init(&g->prng, seed);
    for (uint64_t id = 1; id <= GROUP_NODES; id++) group_restart(g, id);
    group_decide(g, (const uint64_t[]){1, 2, 3}, 3, 1);
}

void group_fini(struct group *g)
{
    while (g->message_count > 0) group_drop(g, 0);
    for (uint32_t i = 0; i < GROUP_NODES; i++) {
        struct group_node *n = &g->nodes[i];
        if (n->is_up) repl_fini(&n->repl);
        chunk_unref(n->waiting);
        for (uint32_t k = 0; k < n->disk.written; k++) chunk_unref(n->disk.log[k]);
    }
    for (uint64_t d = 1; d <= g->committed_to; d++) chunk_unref(g->committed[d]);
}

/* ---- The net ---- */

static void send(struct group *g, uint64_t to, struct repl_event event)
{
    CHECK(g->message_count < GROUP_MESSAGES_MAX);
    if (event.type == REPL_PREPARED) chunk_ref(event.prepared.mutation);
    g->messages[g->message_count++] = (struct group_message){(uint32_t)to, event};
}

void group_drop(struct group *g, uint32_t index)
{
    struct group_message *m = &g->messages[index];
    if (m->event.type == REPL_PREPARED) chunk_unref(m->event.prepared.mutation);
    g->message_count--;
    memmove(m, m + 1, (g->message_count - index) * sizeof *m);
}

void group_duplicate(struct group *g, uint32_t index)
{
    if (g->message_count < GROUP_MESSAGES_MAX)
        send(g, g->messages[index].to, g->messages[index].event);
}

static void teach(struct group *g, uint64_t primary, const struct repl_event *asked);

void group_deliver(struct group *g, uint32_t index)
{
    struct group_message m = g->messages[index];
    if (m.event.type == REPL_PREPARED) chunk_ref(m.event.prepared.mutation);
    group_drop(g, index);
    const bool is_up = group_node(g, m.to)->is_up;
    if (is_up && m.event.type == REPL_LEARNED) teach(g, m.to, &m.event);
    else if (is_up) group_step(g, m.to, &m.event);
    if (m.event.type == REPL_PREPARED) chunk_unref(m.event.prepared.mutation);
}

/* ---- The disk ---- */

static void write_log(struct group_disk *disk, struct chunk *mutation, uint64_t ballot)
{
    CHECK(disk->written < GROUP_RECORDS_MAX);
    disk->ballots[disk->written] = ballot;
    disk->log[disk->written++] = chunk_ref(mutation);
}

/* The next record of the log is durable: whoever reads the log finds it, and nothing behind its
 * decree that was written before. */
static uint64_t sync_record(struct group_disk *disk)
{
    struct chunk *record = disk->log[disk->synced++];
    uint64_t decree = read_back(record).decree;
    CHECK(decree <= disk->held_to + 1 || decree <= disk->flushed + 1);
    disk->held[decree] = record;
    disk->held_to = decree;
    return decree;
}

void group_sync_log(struct group *g, uint64_t id, uint32_t records)
{
    struct group_node *n = group_node(g, id);
    struct repl_event logged = {.type = REPL_LOGGED};
    if (records > n->disk.written - n->disk.synced) records = n->disk.written - n->disk.synced;
    if (!n->is_up || n->repl.is_stopped || records == 0) return;
    while (records-- > 0) logged.logged.decree = sync_record(&n->disk);
    group_step(g, id, &logged);
}

void group_save_state(struct group *g, uint64_t id)
{
    struct group_node *n = group_node(g, id);
    if (!n->is_up || n->disk.saving.config.ballot == 0) return;
    n->disk.saved = n->disk.saving;
    n->disk.saving = (struct repl_saved){0};
    struct repl_event saved = {.type = REPL_STATE_SAVED, .ballot = n->disk.saved.config.ballot};
    group_step(g, id, &saved);
}

void group_apply(struct group *g, uint64_t id, uint64_t decrees)
{
    struct group_node *n = group_node(g, id);
    if (!n->is_up || n->repl.applied >= n->apply_to) return;
    uint64_t decree = n->repl.applied + decrees;
    if (decree > n->apply_to) decree = n->apply_to;
    struct repl_event applied = {.type = REPL_APPLIED, .applied.decree = decree};
    group_step(g, id, &applied);
}

/* What was handed to the disk and not synced is there or not, but never a later record without an
 * earlier one. The store may have flushed anything that it had. */
void group_crash(struct group *g, uint64_t id)
{
    struct group_node *n = group_node(g, id);
    struct group_disk *disk = &n->disk;
    if (!n->is_up) return;
    n->is_up = false;
    if (prng_percent(&g->prng, 50)) disk->flushed = n->repl.applied;
    for (uint64_t lucky = prng_below(&g->prng, disk->written - disk->synced + 1); lucky > 0;
         lucky--)
        (void)sync_record(disk);
    while (disk->written > disk->synced) chunk_unref(disk->log[--disk->written]);
    if (disk->saving.config.ballot != 0 && prng_percent(&g->prng, 50)) disk->saved = disk->saving;
    disk->saving = (struct repl_saved){0};
    repl_fini(&n->repl);
}

void group_restart(struct group *g, uint64_t id)
{
    struct group_node *n = group_node(g, id);
    struct group_disk *disk = &n->disk;
    if (n->is_up) return;
    CHECK(repl_init(&n->repl, id, disk->saved.config.ballot != 0 ? &disk->saved : NULL,
                    disk->flushed, 256) == 0);
    if (disk->flushed > 0) /* A store knows how late its rows are. */
        repl_saw_timestamp(&n->repl, read_back(g->committed[disk->flushed]).timestamp_us);
    n->is_up = true;
    n->apply_to = disk->flushed;
    n->checked = disk->flushed;
    n->waiting_to = n->primary_of = 0;
    for (uint32_t i = 0; i < disk->synced && n->is_up; i++) {
        struct repl_event event = {.type = REPL_RECOVERED,
                                   .recovered = {disk->log[i], disk->ballots[i]}};
        group_step(g, id, &event);
    }
    if (n->is_up) group_step(g, id, &(struct repl_event){.type = REPL_REPLAYED});
}

/* ---- A replica's effects ---- */

static void say(struct group *g, struct group_node *n, const struct repl_effect *e,
                struct repl_event event)
{
    must(g, n->disk.saved.config.ballot >= e->ballot,
         "I3: said something under a ballot not durable");
    event.ballot = e->ballot;
    send(g, e->to, event);
}

static void do_prepare(struct group *g, struct group_node *n, const struct repl_effect *e)
{
    for (uint64_t d = e->first; d <= e->last; d++)
        say(g, n, e,
            (struct repl_event){.type = REPL_PREPARED,
                                .prepared = {.from = id_of(g, n),
                                             .committed = n->repl.committed,
                                             .mutation = repl_tail_get(&n->repl, d)}});
}

/* A learner's question travels as an event that is never sent otherwise, with an ack's fields. */
static void do_learn(struct group *g, struct group_node *n, const struct repl_effect *e)
{
    say(g, n, e,
        (struct repl_event){.type = REPL_LEARNED,
                            .acked = {.from = id_of(g, n), .decree = e->last}});
}

void group_tell_all(struct group *g)
{
    for (uint64_t id = 1; id <= GROUP_NODES; id++) group_tell(g, id);
}

void group_renew_learner(struct group *g)
{
    const struct group_node *n = g->config.learner != 0 ? group_node(g, g->config.learner) : NULL;
    bool is_told = n != NULL && n->is_up && n->repl.config.ballot == g->config.ballot;
    if (!is_told || !repl_needs_ballot(&n->repl) || g->config.ballot + 4 >= GROUP_BALLOTS_MAX)
        return;
    group_decide_learner(g, g->config.learner);
    group_tell_all(g);
}

/* What a learner may be told: a piece of the log, or a copy of the store where the log is too short or
 * where chance wants it. Then its replica is opened anew. */
static void teach(struct group *g, uint64_t primary, const struct repl_event *asked)
{
    struct group_node *p = group_node(g, primary), *n = group_node(g, asked->acked.from);
    const uint64_t from = asked->acked.decree, ballot = asked->ballot;
    const bool is_ours = p->repl.role == REPL_PRIMARY && p->repl.config.ballot == ballot &&
                         n->is_up && n->repl.role == REPL_LEARNER &&
                         n->repl.config.ballot == ballot;
    if (!is_ours) return;
    bool is_lost = from + 1 > p->disk.held_to + 1 ||
                   (from < p->disk.flushed && p->disk.held[from + 1] == NULL);
    if (from > p->repl.committed || is_lost ||
        (from < p->repl.applied && prng_percent(&g->prng, 40))) {
        group_crash(g, id_of(g, n));
        n->disk.saved.floor = (struct repl_floor){ballot, p->repl.applied};
        n->disk.flushed = p->repl.applied;
        g->copies++;
        group_restart(g, id_of(g, n));
        group_renew_learner(g);
        return;
    }
    uint64_t last = from + prng_below(&g->prng, 4);
    if (last > p->repl.committed) last = p->repl.committed;
    for (uint64_t d = from + 1; d <= last && n->is_up; d++) {
        struct repl_event event = {.type = REPL_PREPARED, .ballot = ballot};
        event.prepared.from = primary;
        event.prepared.committed = p->repl.committed;
        event.prepared.mutation = g->committed[d];
        group_step(g, id_of(g, n), &event);
    }
    struct repl_event end = {
        .type = REPL_LEARNED, .ballot = ballot, .learned.is_end = last == p->repl.committed};
    if (n->is_up) group_step(g, id_of(g, n), &end);
}

/* The meta group hears a wish of the primary, unless it was slower than another decision. */
static void do_wish(struct group *g, struct group_node *n, const struct repl_effect *e)
{
    struct repl_config c = g->config;
    if (c.ballot != e->ballot || n->repl.is_stopped || c.ballot + 4 >= GROUP_BALLOTS_MAX) return;
    must(g, e->type == REPL_DO_JOIN, "nobody has lost anything here");
    must(g, c.learner == e->to, "the learner is another");
    c.members[c.member_count++] = c.learner;
    group_decide(g, c.members, c.member_count, c.primary);
    g->joins++;
    group_tell_all(g);
}

static void do_reply(struct group *g, struct group_node *n, uint64_t applied)
{
    const bool leads = n->repl.role == REPL_PRIMARY || n->repl.is_staying;
    if (n->waiting_to == 0 || (!leads && applied < n->waiting_to)) return;
    const uint64_t to = applied < n->waiting_to ? applied : n->waiting_to;
    if (to == n->waiting_to) n->waiting_to = 0;
    if (!leads && !is_same(g->committed[to], n->waiting))
        return; /* Another's took its place (R15). */
    uint64_t *acked = &g->acked_to[n->repl.config.ballot];
    must(g, n->repl.committed >= to, "I4: acknowledged before it was committed");
    if (to > *acked) *acked = to;
    g->acks++;
}

static void perform(struct group *g, struct group_node *n, const struct repl_effect *e)
{
    switch (e->type) {
    case REPL_DO_SAVE_STATE:
        n->disk.saving = (struct repl_saved){n->repl.coming, n->repl.floor};
        break;
    case REPL_DO_APPEND:
        for (uint64_t d = e->first; d <= e->last; d++)
            write_log(&n->disk, repl_tail_get(&n->repl, d), e->ballot);
        break;
    case REPL_DO_PREPARE: do_prepare(g, n, e); break;
    case REPL_DO_COMMIT_POINT:
        say(g, n, e,
            (struct repl_event){.type = REPL_COMMITTED, .committed = {id_of(g, n), e->last}});
        break;
    case REPL_DO_ACK:
        say(g, n, e,
            (struct repl_event){
                .type = REPL_ACKED,
                .acked = {id_of(g, n), e->last, e->asks_for_more, e->committed, e->prepared}});
        break;
    case REPL_DO_LEARN: do_learn(g, n, e); break;
    case REPL_DO_JOIN:
    case REPL_DO_EXPEL:
    case REPL_DO_SHUN:
    case REPL_DO_GIVE_WAY: do_wish(g, n, e); break;
    case REPL_DO_APPLY: n->apply_to = e->last; break;
    case REPL_DO_COMMIT: break; /* The onlooker sees it. */
    case REPL_DO_REPLY: do_reply(g, n, e->last); break;
    case REPL_DO_FAIL: n->waiting_to = 0; break;
    case REPL_DO_STOP: break;
    }
}

void group_step(struct group *g, uint64_t id, const struct repl_event *event)
{
    struct group_node *n = group_node(g, id);
    struct repl_effects effects;
    int rc = repl_step(&n->repl, event, &effects);
    if (rc != 0) {
        bool is_hole = rc == E_PROTO && event->type == REPL_PREPARED;
        bool is_stopped = rc == E_STATE && n->repl.is_stopped;
        must(g, is_hole || is_stopped, "a step was refused");
        CHECK(effects.count == 0);
        g->holes += is_hole;
    }
    uint32_t crash_at = UINT32_MAX;
    if (prng_percent(&g->prng, g->crash_percent))
        crash_at = (uint32_t)prng_below(&g->prng, effects.count + 1);
    for (uint32_t i = 0; i < effects.count && i < crash_at; i++) perform(g, n, &effects.items[i]);
    group_check(g);
    if (crash_at != UINT32_MAX) group_crash(g, id);
}

bool group_submit(struct group *g, uint64_t id)
{
    struct group_node *n = group_node(g, id);
    if (!n->is_up || !repl_is_serving(&n->repl)) return false;
    if (n->repl.prepared + 1 >= GROUP_DECREES_MAX) return false;
    struct repl_next next = repl_next(&n->repl, g->wall_us);
    struct chunk *mutation = group_mutation(next.decree, next.ballot, next.timestamp_us,
                                            (int)prng_below(&g->prng, 5), ++g->values);
    n->waiting_to = next.decree;
    chunk_unref(n->waiting);
    n->waiting = chunk_ref(mutation);
    struct repl_event event = {.type = REPL_SUBMITTED, .submitted.mutation = mutation};
    group_step(g, id, &event);
    chunk_unref(mutation);
    return true;
}

/* ---- The meta group ---- */

void group_decide(struct group *g, const uint64_t *members, uint32_t count, uint64_t primary)
{
    struct repl_config c = {.ballot = g->config.ballot + 1, .primary = primary};
    CHECK(c.ballot < GROUP_BALLOTS_MAX);
    for (uint32_t i = 0; i < count; i++) c.members[c.member_count++] = members[i];
    g->config = c;
}

void group_decide_learner(struct group *g, uint64_t node)
{
    g->config.ballot++;
    g->config.learner = node;
    CHECK(g->config.ballot < GROUP_BALLOTS_MAX);
}

bool group_is_member(const struct group *g, uint64_t id)
{
    for (uint32_t i = 0; i < g->config.member_count; i++)
        if (g->config.members[i] == id) return true;
    return false;
}

void group_tell(struct group *g, uint64_t id)
{
    send(g, id, (struct repl_event){.type = REPL_CONFIGURED, .configured = g->config});
}

/* ---- Without faults ---- */

void group_settle(struct group *g)
{
    for (bool is_busy = true; is_busy;) {
        is_busy = g->message_count > 0;
        if (is_busy) group_deliver(g, 0);
        for (uint64_t id = 1; id <= GROUP_NODES; id++) {
            struct group_node *n = group_node(g, id);
            if (!n->is_up || n->repl.is_stopped) continue;
            is_busy |= n->disk.saving.config.ballot != 0 || n->disk.written > n->disk.synced ||
                       n->repl.applied < n->apply_to;
            group_save_state(g, id);
            group_sync_log(g, id, UINT32_MAX);
            group_apply(g, id, GROUP_DECREES_MAX);
        }
    }
}

struct group_node *group_serving(struct group *g)
{
    struct group_node *n = group_node(g, g->config.primary);
    bool is_newest = n->is_up && n->repl.config.ballot == g->config.ballot;
    return is_newest && repl_is_serving(&n->repl) ? n : NULL;
}

/* ---- The onlooker ---- */

static bool is_held(const struct group_node *n, uint64_t decree, const struct chunk *mutation)
{
    const struct group_disk *disk = &n->disk;
    if (decree <= disk->flushed) return true; /* In its store, perhaps copied. */
    return disk->held_to >= decree && is_same(disk->held[decree], mutation);
}

/* One that is all there is knows what is committed without being told to be primary. */
static bool may_be_first(const struct repl *r)
{
    bool is_alone =
        r->config.member_count == 1 && r->config.primary == r->self && r->config.learner == 0;
    return r->role == REPL_PRIMARY || is_alone;
}

/* Somebody committed more: only a primary may be first, with a later time than before; all others
 * must have the same bytes. */
static void see_commits(struct group *g, struct group_node *n)
{
    for (; n->checked < n->repl.committed; n->checked++) {
        uint64_t d = n->checked + 1;
        struct chunk *mutation = repl_tail_get(&n->repl, d);
        CHECK(mutation != NULL);
        if (d <= g->committed_to) {
            must(g, is_same(g->committed[d], mutation),
                 "I1: two mutations committed as one decree");
            continue;
        }
        must(g, may_be_first(&n->repl), "I1: a secondary committed before its primary");
        must(g,
             d == 1 ||
                 read_back(mutation).timestamp_us > read_back(g->committed[d - 1]).timestamp_us,
             "I15: time went back");
        g->committed[d] = chunk_ref(mutation);
        g->committed_to = d;
    }
}

/* Until it has reconciled, a new primary may know less than its members do: the old one told
 * them. */
static void check_primary(struct group *g, struct group_node *p)
{
    const struct repl *r = &p->repl;
    if (p->primary_of != r->config.ballot) {
        p->primary_of = r->config.ballot;
        p->promoted_to = r->prepared;
    }
    for (uint32_t i = 0; i < r->config.member_count; i++) {
        const struct group_node *q = group_node(g, r->config.members[i]);
        for (uint64_t d = r->committed; d >= 1 && d + 4 > r->committed; d--)
            must(g, is_held(q, d, g->committed[d]), "I1: committed, and a member does not hold it");
        bool is_following = q->is_up && q->repl.config.ballot == r->config.ballot;
        must(g, !is_following || q->repl.committed <= r->committed || r->committed < p->promoted_to,
             "I1: a secondary is ahead of its primary");
    }
    if (!repl_is_serving(r)) return;
    must(g, r->applied >= p->promoted_to, "I5: serves before it has reconciled");
    for (uint64_t ballot = 1; ballot < r->config.ballot; ballot++)
        must(g, r->applied >= g->acked_to[ballot], "I4: serves without an acknowledged mutation");
}

void group_check(struct group *g)
{
    for (uint32_t i = 0; i < GROUP_NODES; i++)
        if (g->nodes[i].is_up) see_commits(g, &g->nodes[i]);
    for (uint32_t i = 0; i < GROUP_NODES; i++) {
        struct group_node *n = &g->nodes[i];
        if (!n->is_up) continue;
        must(g, n->repl.config.ballot <= n->disk.saved.config.ballot,
             "I3: a ballot in use is not durable");
        if (n->repl.role == REPL_PRIMARY) check_primary(g, n);
    }
}
