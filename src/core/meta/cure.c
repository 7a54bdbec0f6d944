/* src/core/meta/cure.c: see cure.h; the rules are M37 to M39 of docs/meta.md.
 *
 * A look is one walk over the state with the notes of the last look beside it: both are in the order of
 * gpids, so each finds its note at the front. It writes new notes, which replace the old ones at the end;
 * when memory fails on the way the old ones stay. Whoever is whole gets none. */
#include "core/meta/cure.h"

#include "base/array.h"
#include "core/meta/load.h"
#include "core/meta/meta_impl.h"

struct look {
    struct cure *cure;
    const struct meta *meta;
    bool some_drain; /* There are nodes that do. */
    uint64_t now_ms;
    struct loads loads;
    uint64_t places; /* For learners, on all nodes. */
    size_t asked;    /* Commands on their way, or to be handed out. */
    size_t old;      /* The first old note of a partition that is still ahead. */
    uint64_t deadline_ms;

    const struct meta_table *table; /* The one under way. */
    size_t table_old;               /* Its first old note. */
    bool is_table_counted;
};

static int gpid_compare(struct gpid a, struct gpid b)
{
    if (a.app_id != b.app_id) return a.app_id < b.app_id ? -1 : 1;
    if (a.partition_index != b.partition_index)
        return a.partition_index < b.partition_index ? -1 : 1;
    return 0;
}

static const struct meta_partition *partition_at(const struct meta *m, struct gpid gpid)
{
    const struct meta_table *t = meta_table_by_id(m, gpid.app_id);
    if (t == NULL || t->status != AS_AVAILABLE) return NULL;
    return (uint32_t)gpid.partition_index < t->partition_count
               ? &t->partitions[gpid.partition_index]
               : NULL;
}

static uint32_t member_count(const struct meta_partition *p)
{
    return (p->primary != 0) + (uint32_t)p->secondary_count;
}

static bool is_draining(const struct look *l, uint64_t node_id)
{
    const struct meta_node *node = l->some_drain ? meta_node_by_id(l->meta, node_id) : NULL;
    return node != NULL && node->is_draining;
}

/* The members on nodes that don't drain. */
static uint32_t staying_count(const struct look *l, const struct meta_partition *p)
{
    uint32_t count = member_count(p);
    count -= is_draining(l, p->primary);
    for (size_t i = 0; i < p->secondary_count; i++) count -= is_draining(l, p->secondaries[i]);
    return count;
}

static void wait_until(struct look *l, uint64_t ms)
{
    if (ms < l->deadline_ms) l->deadline_ms = ms;
}

/* ---- What is on its way ---------------------------------------------------------------------- */

/* The node that was asked to learn, unless the state shows it already; NULL: none that is alive. */
static struct load *asked_learner(const struct look *l, const struct cure_note *note)
{
    if (note->state != CURE_ASKED || note->is_drop) return NULL;
    const struct meta_partition *p = partition_at(l->meta, note->gpid);
    if (p == NULL || meta_partition_role(p, note->node) != META_ROLE_NONE) return NULL;
    return loads_of(&l->loads, note->node);
}

static void count_asked(struct look *l)
{
    const struct cure *c = l->cure;
    for (size_t i = 0; i < c->note_count; i++) {
        struct load *load = asked_learner(l, &c->notes[i]);
        l->asked += c->notes[i].state == CURE_ASKED;
        if (load == NULL) continue;
        load->everywhere++;
        load->learners++;
    }
    for (size_t i = 0; i < l->loads.count; i++) {
        const struct load *load = &l->loads.items[i];
        const uint32_t max = load->is_draining ? 0 : c->limits.learners_per_node;
        l->places += load->learners < max ? max - load->learners : 0;
    }
}

/* Only for tables of which somebody is to be chosen: most lack nobody. */
static void count_table(struct look *l)
{
    const struct cure *c = l->cure;
    if (l->is_table_counted) return;
    l->is_table_counted = true;
    loads_count_here(&l->loads, l->table);
    for (size_t i = l->table_old; i < c->note_count && c->notes[i].gpid.app_id == l->table->id;
         i++) {
        struct load *load = asked_learner(l, &c->notes[i]);
        if (load != NULL) load->here++;
    }
}

/* ---- What became of it ----------------------------------------------------------------------- */

static void retry_later(const struct look *l, struct cure_note *note)
{
    const struct cure_limits *limits = &l->cure->limits;
    note->retry_ms *= 2;
    if (note->retry_ms < limits->retry_ms_min) note->retry_ms = limits->retry_ms_min;
    if (note->retry_ms > limits->retry_ms_max) note->retry_ms = limits->retry_ms_max;
    note->retry_at_ms = l->now_ms + note->retry_ms;
}

/* Compare with the state what was asked last; a learner may be somebody else's wish, too. */
static void review(const struct look *l, struct cure_note *note, const struct meta_partition *p)
{
    if (p->learner != 0 && note->node != p->learner) {
        note->node = p->learner;
        note->is_drop = false;
    }
    if (note->node == 0 || (note->node == p->learner && !note->is_drop)) return; /* It learns. */
    const bool is_there = meta_partition_role(p, note->node) != META_ROLE_NONE;
    if (is_there != note->is_drop) {
        note->failed = note->retry_ms = note->retry_at_ms = 0;
    } else {
        if (!note->is_drop) note->failed = note->node;
        retry_later(l, note);
    }
    note->node = 0;
}

/* ---- One more -------------------------------------------------------------------------------- */

static bool may_learn(const struct look *l, const struct meta_partition *p, const struct load *load)
{
    return load != NULL && !load->is_draining &&
           load->learners < l->cure->limits.learners_per_node &&
           meta_partition_role(p, load->node_id) == META_ROLE_NONE;
}

/* The member lost last that is back: it holds most of the data. */
static struct load *dropped_last(const struct look *l, const struct meta_partition *p,
                                 uint64_t except)
{
    for (size_t i = p->last_drop_count; i > 0; i--) {
        struct load *load = loads_of(&l->loads, p->last_drops[i - 1]);
        if (may_learn(l, p, load) && load->node_id != except) return load;
    }
    return NULL;
}

static struct load *least_loaded(const struct look *l, const struct meta_partition *p,
                                 uint64_t except)
{
    struct load *best = NULL;
    for (size_t i = 0; i < l->loads.count; i++) {
        struct load *load = &l->loads.items[i];
        if (!may_learn(l, p, load) || load->node_id == except) continue;
        if (best == NULL || load_is_less(load, best)) best = load;
    }
    return best;
}

/* One of those that were lost may still come back. Not one that drains, nor one whose place another has taken: its
 * disk is gone, or it would be here itself. */
static bool has_hope(const struct look *l, const struct meta_partition *p)
{
    for (size_t i = 0; i < p->last_drop_count; i++) {
        const struct meta_node *node = meta_node_by_id(l->meta, p->last_drops[i]);
        if (node != NULL && node->port != 0 && !node->is_draining) return true;
    }
    return false;
}

/* Who is to learn, and why; NULL: nobody can, or it is better to wait for who may come back. */
static struct load *choose(struct look *l, struct cure_note *note, const struct meta_partition *p)
{
    const uint32_t majority = (uint32_t)l->table->max_replica_count / 2 + 1;
    const uint64_t healed_ms = note->since_ms + l->cure->limits.heal_delay_ms;
    const bool is_in_danger = member_count(p) < majority;
    const bool is_lacking = member_count(p) < (uint32_t)l->table->max_replica_count;
    const bool is_patient = is_lacking && !is_in_danger && l->now_ms < healed_ms;

    struct load *chosen = dropped_last(l, p, is_patient ? 0 : note->failed);
    note->why = "it was a member and is back";
    if (chosen != NULL) return chosen;
    if (is_patient && has_hope(l, p)) {
        wait_until(l, healed_ms);
        return NULL;
    }
    chosen = least_loaded(l, p, note->failed);
    if (!is_lacking) note->why = "the node of a member drains";
    else if (is_in_danger) note->why = "less than a majority is left";
    else if (is_patient && p->last_drop_count > 0)
        note->why = "another has taken the lost one's place";
    else if (is_patient) note->why = "more replicas are wanted";
    else note->why = "no lost member came back";
    if (chosen != NULL || note->failed == 0) return chosen;
    struct load *failed = loads_of(&l->loads, note->failed); /* Better than nobody. */
    return may_learn(l, p, failed) ? failed : NULL;
}

static void want_learner(struct look *l, struct cure_note *note, const struct meta_partition *p)
{
    if (l->places == 0) return; /* Until somebody has learned. */
    count_table(l);
    struct load *chosen = choose(l, note, p);
    if (chosen == NULL) return;
    chosen->here++;
    chosen->everywhere++;
    chosen->learners++;
    l->places--;
    l->asked++;
    note->state = CURE_WANTED;
    note->is_drop = false;
    note->node = chosen->node_id;
}

/* ---- One less -------------------------------------------------------------------------------- */

/* A secondary before the primary. 0: nobody drains. */
static uint64_t draining_member(const struct look *l, const struct meta_partition *p)
{
    for (size_t i = 0; i < p->secondary_count; i++) {
        if (is_draining(l, p->secondaries[i])) return p->secondaries[i];
    }
    return is_draining(l, p->primary) ? p->primary : 0;
}

/* The dead, if any, before the most loaded; of equals the last. */
static uint64_t most_loaded(const struct look *l, const struct meta_partition *p)
{
    const struct load *worst = NULL;
    for (size_t i = 0; i < p->secondary_count; i++) {
        const struct load *load = loads_of(&l->loads, p->secondaries[i]);
        if (load == NULL) return p->secondaries[i];
        if (worst == NULL || !load_is_less(load, worst)) worst = load;
    }
    CHECK(worst != NULL); /* The caller saw more members than the primary. */
    return worst->node_id;
}

static void want_drop(struct look *l, struct cure_note *note, const struct meta_partition *p)
{
    count_table(l);
    note->state = CURE_WANTED;
    note->is_drop = true;
    const uint64_t drains = p->learner == 0 ? draining_member(l, p) : 0;
    note->node = p->learner != 0 ? p->learner : drains != 0 ? drains : most_loaded(l, p);
    note->why = drains != 0 ? "the node drains" : "there are more than are wanted";
    l->asked++;
    struct load *load = loads_of(&l->loads, note->node);
    if (load == NULL) return;
    load->here--;
    load->everywhere--;
}

/* ---- A look ---------------------------------------------------------------------------------- */

/* Nobody is to come or to go. */
static bool is_whole(const struct look *l, const struct meta_table *t,
                     const struct meta_partition *p)
{
    const uint32_t wanted = (uint32_t)t->max_replica_count;
    return p->learner == 0 && member_count(p) == wanted && staying_count(l, p) == wanted;
}

/* Who learns in place of a member that drains is wanted until it has that place. */
static bool has_too_many(const struct look *l, const struct meta_partition *p)
{
    const uint32_t wanted = (uint32_t)l->table->max_replica_count;
#ifdef MUT_drained_before_replaced
    if (staying_count(l, p) < member_count(p)) return true;
#endif
    return p->learner != 0 ? staying_count(l, p) >= wanted : member_count(p) > wanted;
}

static bool has_too_few(const struct look *l, const struct meta_partition *p)
{
    const bool has_room = p->secondary_count + 1 < META_REPLICAS_MAX;
    return p->learner == 0 && has_room &&
           staying_count(l, p) < (uint32_t)l->table->max_replica_count;
}

static void look_at(struct look *l, struct cure_note *note, const struct meta_partition *p)
{
    if (note->state == CURE_ASKED) return;
    note->state = CURE_IDLE;
    review(l, note, p);
    if (loads_of(&l->loads, p->primary) == NULL) return; /* Nobody to learn from. */
    if (l->now_ms < note->retry_at_ms) {
        wait_until(l, note->retry_at_ms);
        return;
    }
    if (l->asked >= CURE_ASKED_MAX) return; /* Until some are decided. */
    if (has_too_many(l, p)) want_drop(l, note, p);
    else if (has_too_few(l, p)) want_learner(l, note, p);
}

/* The old note of a partition, or NULL. Those before it are of partitions that are gone or whole. */
static const struct cure_note *old_note(struct look *l, struct gpid gpid)
{
    const struct cure *c = l->cure;
    while (l->old < c->note_count && gpid_compare(c->notes[l->old].gpid, gpid) < 0) l->old++;
    if (l->old == c->note_count || gpid_compare(c->notes[l->old].gpid, gpid) != 0) return NULL;
    return &c->notes[l->old];
}

static int look_at_table(struct look *l, const struct meta_table *t)
{
    struct cure *c = l->cure;
    (void)old_note(l, (struct gpid){t->id, 0});
    l->table = t;
    l->table_old = l->old;
    l->is_table_counted = false;
    for (uint32_t i = 0; i < t->partition_count; i++) {
        const struct gpid gpid = {t->id, (int32_t)i};
        const struct cure_note *old = old_note(l, gpid);
        const bool is_asked = old != NULL && old->state == CURE_ASKED;
        if (is_whole(l, t, &t->partitions[i]) && !is_asked) continue;
        if (array_reserve(&c->fresh, &c->fresh_capacity, c->fresh_count + 1, sizeof *c->fresh) != 0)
            return E_NOMEM;
        struct cure_note *note = &c->fresh[c->fresh_count++];
        *note = old != NULL ? *old : (struct cure_note){.gpid = gpid, .since_ms = l->now_ms};
        look_at(l, note, &t->partitions[i]);
    }
    return 0;
}

static bool all_are_whole(const struct look *l)
{
    const struct meta *m = l->meta;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; t->status == AS_AVAILABLE && k < t->partition_count; k++) {
            if (!is_whole(l, t, &t->partitions[k])) return false;
        }
    }
    return true;
}

static void swap_notes(struct cure *c)
{
    struct cure_note *notes = c->notes;
    const size_t capacity = c->note_capacity;
    c->notes = c->fresh;
    c->note_count = c->fresh_count;
    c->note_capacity = c->fresh_capacity;
    c->fresh = notes;
    c->fresh_capacity = capacity;
}

static int look(struct cure *c, const struct meta *m, uint64_t now_ms)
{
    struct look l = {.cure = c, .meta = m, .now_ms = now_ms, .deadline_ms = UINT64_MAX};
    for (size_t i = 0; i < m->node_count; i++) l.some_drain |= m->nodes[i].is_draining;
    if (c->note_count == 0 && all_are_whole(&l)) { /* As nearly always: nothing is to be counted. */
        c->deadline_ms = UINT64_MAX;
        return 0;
    }
    c->deadline_ms = now_ms + c->limits.retry_ms_min;
    if (loads_init(&l.loads, m) != 0) return E_NOMEM;
    int rc = 0;
    c->fresh_count = 0;
    count_asked(&l);
    for (size_t i = 0; rc == 0 && i < m->table_count; i++) {
        if (m->tables[i]->status == AS_AVAILABLE) rc = look_at_table(&l, m->tables[i]);
    }
    loads_fini(&l.loads);
    if (rc != 0) return rc;
    swap_notes(c);
    c->deadline_ms = l.deadline_ms;
    return 0;
}

/* ---- The face -------------------------------------------------------------------------------- */

void cure_init(struct cure *c, const struct cure_limits *limits)
{
    *c = (struct cure){.limits = *limits, .deadline_ms = UINT64_MAX};
}

void cure_fini(struct cure *c)
{
    mem_free(c->notes);
    mem_free(c->fresh);
    *c = (struct cure){.deadline_ms = UINT64_MAX};
}

/* The ballot is that of now: whatever happened since the look, the group judges. */
static bool order_write(const struct cure_note *note, const struct meta *m, struct cure_order *out)
{
    const struct meta_partition *p = partition_at(m, note->gpid);
    if (p == NULL) return false;
    *out = (struct cure_order){.gpid = note->gpid, .node = note->node, .why = note->why};
    const struct meta_member_change change = {note->gpid.app_id, note->gpid.partition_index,
                                              (int64_t)p->ballot + 1, (int64_t)note->node};
    if (note->is_drop)
        out->command = (struct meta_command){
            .type = META_MEMBER_DROP,
            .member_drop = {change.table_id, change.partition, change.ballot, change.node, 0}};
    else out->command = (struct meta_command){.type = META_MEMBER_ADD, .member_add = change};
    return true;
}

bool cure_next(struct cure *c, const struct meta *m, uint64_t now_ms, struct cure_order *out)
{
    if (!c->is_handing) {
        if (look(c, m, now_ms) != 0) return false;
        c->is_handing = true;
        c->next = 0;
    }
    while (c->next < c->note_count) {
        struct cure_note *note = &c->notes[c->next++];
        if (note->state != CURE_WANTED || !order_write(note, m, out)) continue;
        note->state = CURE_ASKED;
        return true;
    }
    c->is_handing = false;
    return false;
}

void cure_done(struct cure *c, struct gpid gpid)
{
    size_t low = 0, high = c->note_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (gpid_compare(c->notes[middle].gpid, gpid) < 0) low = middle + 1;
        else high = middle;
    }
    if (low == c->note_count || gpid_compare(c->notes[low].gpid, gpid) != 0) return;
    if (c->notes[low].state == CURE_ASKED) c->notes[low].state = CURE_IDLE;
}

uint64_t cure_deadline_ms(const struct cure *c)
{
    return c->deadline_ms;
}
