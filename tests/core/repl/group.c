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

void group_deliver(struct group *g, uint32_t index)
{
    struct group_message m = g->messages[index];
    if (m.event.type == REPL_PREPARED) chunk_ref(m.event.prepared.mutation);
    group_drop(g, index);
    if (group_node(g, m.to)->is_up) group_step(g, m.to, &m.event);
    if (m.event.type == REPL_PREPARED) chunk_unref(m.event.prepared.mutation);
}

/* ---- The disk ---- */

static void write_log(struct group_disk *disk, struct chunk *mutation)
{
    CHECK(disk->written < GROUP_RECORDS_MAX);
    disk->log[disk->written++] = chunk_ref(mutation);
}

/* The next record of the log is durable: whoever reads the log finds it, and nothing behind its
 * decree that was written before. */
static uint64_t sync_record(struct group_disk *disk)
{
    struct chunk *record = disk->log[disk->synced++];
    uint64_t decree = read_back(record).decree;
    CHECK(decree <= disk->held_to + 1);
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
    if (!n->is_up || n->disk.saving.ballot == 0) return;
    n->disk.saved = n->disk.saving;
    n->disk.saving = (struct repl_config){0};
    struct repl_event saved = {.type = REPL_STATE_SAVED, .ballot = n->disk.saved.ballot};
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
    if (disk->saving.ballot != 0 && prng_percent(&g->prng, 50)) disk->saved = disk->saving;
    disk->saving = (struct repl_config){0};
    repl_fini(&n->repl);
}

void group_copy_disk(struct group *g, uint64_t from, uint64_t to)
{
    const struct group_disk *source = &group_node(g, from)->disk;
    struct group_disk *disk = &group_node(g, to)->disk;
    CHECK(!group_node(g, to)->is_up);
    for (uint32_t i = 0; i < disk->written; i++) chunk_unref(disk->log[i]);
    struct repl_config saved = disk->saved;
    memset(disk, 0, sizeof *disk);
    disk->saved = saved;
    disk->flushed = source->flushed;
    for (uint32_t i = 0; i < source->synced; i++) {
        write_log(disk, source->log[i]);
        (void)sync_record(disk);
    }
}

void group_restart(struct group *g, uint64_t id)
{
    struct group_node *n = group_node(g, id);
    struct group_disk *disk = &n->disk;
    if (n->is_up) return;
    CHECK(repl_init(&n->repl, id, disk->saved.ballot != 0 ? &disk->saved : NULL, disk->flushed,
                    256) == 0);
    n->is_up = true;
    n->apply_to = disk->flushed;
    n->checked = disk->flushed;
    n->waiting_to = n->primary_of = 0;
    for (uint32_t i = 0; i < disk->synced && n->is_up; i++) {
        struct repl_event event = {.type = REPL_RECOVERED, .recovered.mutation = disk->log[i]};
        group_step(g, id, &event);
    }
    if (n->is_up) group_step(g, id, &(struct repl_event){.type = REPL_REPLAYED});
}

/* ---- A replica's effects ---- */

static void say(struct group *g, struct group_node *n, const struct repl_effect *e,
                struct repl_event event)
{
    must(g, n->disk.saved.ballot >= e->ballot, "I3: said something under a ballot not durable");
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

static void do_reply(struct group *g, struct group_node *n, uint64_t applied)
{
    if (n->waiting_to == 0) return;
    uint64_t to = applied < n->waiting_to ? applied : n->waiting_to;
    uint64_t *acked = &g->acked_to[n->repl.config.ballot];
    must(g, n->repl.committed >= to, "I4: acknowledged before it was committed");
    if (to > *acked) *acked = to;
    g->acks++;
    if (to == n->waiting_to) n->waiting_to = 0;
}

static void perform(struct group *g, struct group_node *n, const struct repl_effect *e)
{
    switch (e->type) {
    case REPL_DO_SAVE_STATE: n->disk.saving = n->repl.coming; break;
    case REPL_DO_APPEND:
        for (uint64_t d = e->first; d <= e->last; d++)
            write_log(&n->disk, repl_tail_get(&n->repl, d));
        break;
    case REPL_DO_PREPARE: do_prepare(g, n, e); break;
    case REPL_DO_COMMIT_POINT:
        say(g, n, e,
            (struct repl_event){.type = REPL_COMMITTED, .committed = {id_of(g, n), e->last}});
        break;
    case REPL_DO_ACK:
        say(g, n, e,
            (struct repl_event){.type = REPL_ACKED,
                                .acked = {id_of(g, n), e->last, e->asks_for_more}});
        break;
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
            is_busy |= n->disk.saving.ballot != 0 || n->disk.written > n->disk.synced ||
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
    return disk->held_to >= decree && is_same(disk->held[decree], mutation);
}

bool group_holds_committed(const struct group *g, uint64_t id)
{
    for (uint64_t d = 1; d <= g->committed_to; d++)
        if (!is_held(&g->nodes[id - 1], d, g->committed[d])) return false;
    return true;
}

/* One that is all there is knows what is committed without being told to be primary. */
static bool may_be_first(const struct repl *r)
{
    bool is_alone = r->config.member_count == 1 && r->config.primary == r->self;
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
        must(g, n->repl.config.ballot <= n->disk.saved.ballot,
             "I3: a ballot in use is not durable");
        if (n->repl.role == REPL_PRIMARY) check_primary(g, n);
    }
}
