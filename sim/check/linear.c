/* sim/check/linear.c: the search, key by key. */
#include "sim/check/linear.h"

#include <string.h>

#include "sim/check/grow.h"

enum { SLOTS = 64, SHOWN = 24 };
static const uint64_t PAIRS_MAX = 20 * 1000 * 1000;

struct pair {
    uint64_t mask; /* Slots of pending operations that have taken effect. */
    int64_t value;
};

/* Pairs, each once. Emptied by going to the next 'round'. */
struct pairs {
    struct pair *items;
    size_t count, capacity;
    struct place {
        uint32_t round, item;
    } * index;
    size_t index_size;
    uint32_t round;
};

/* A call or an answer of one key. */
struct moment {
    uint64_t at;
    const struct history_op *op;
    bool is_return;
};

struct search {
    struct moment *moments;
    size_t moment_count, moment_capacity;
    const struct history_op *slots[SLOTS];
    uint64_t pending; /* Slots in use... */
    uint64_t looks;   /* ...by operations that changed nothing. */
    struct pairs now, todo, next;
    uint64_t pairs_seen;
};

/* ---- Sets of pairs ---- */

static void pairs_clear(struct pairs *p)
{
    p->count = 0;
    p->round++;
}

static size_t hash_of(struct pair pair)
{
    uint64_t x = (pair.mask ^ (uint64_t)pair.value * UINT64_C(0x9e3779b97f4a7c15)) *
                 UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(x ^ x >> 31);
}

/* The place of the pair, or the free one where it belongs. */
static struct place *place_of(struct pairs *p, struct pair pair)
{
    size_t at = hash_of(pair) & (p->index_size - 1);
    for (;; at = (at + 1) & (p->index_size - 1)) {
        struct place *place = &p->index[at];
        if (place->round != p->round) return place;
        const struct pair *other = &p->items[place->item];
        if (other->mask == pair.mask && other->value == pair.value) return place;
    }
}

static void index_grow(struct pairs *p)
{
    if (p->count * 2 < p->index_size) return;
    free(p->index);
    p->index_size = p->index_size == 0 ? 64 : p->index_size * 2;
    p->index = calloc(p->index_size, sizeof *p->index);
    CHECK(p->index != NULL);
    p->round = 1;
    for (size_t i = 0; i < p->count; i++)
        *place_of(p, p->items[i]) = (struct place){p->round, (uint32_t)i};
}

static void pairs_add(struct pairs *p, struct pair pair)
{
    index_grow(p);
    struct place *place = place_of(p, pair);
    if (place->round == p->round) return;
    *place = (struct place){p->round, (uint32_t)p->count};
    p->items = grow(p->items, p->count, &p->capacity, sizeof *p->items);
    p->items[p->count++] = pair;
}

static void pairs_fini(struct pairs *p)
{
    free(p->items);
    free(p->index);
}

/* ---- What an operation may do ---- */

/* Could it take effect now, with the answer it gave? If so, '*value' is what it leaves. */
static bool fits(const struct history_op *op, int64_t *value)
{
    int64_t result = history_apply(op, value);
    bool has_result = op->type != HISTORY_PUT && op->type != HISTORY_DEL;
    return op->end != HISTORY_DONE || !has_result || result == op->result;
}

/* Its answer says that it changed nothing, whenever it happened. (A delete of nothing is not meant:
 * it might have had to wait for something.) */
static bool is_look(const struct history_op *op)
{
    if (op->end != HISTORY_DONE) return false;
    return op->type == HISTORY_GET || (op->type == HISTORY_CAS && op->result != op->a);
}

/* Let every look take effect that sees what is there. */
static struct pair absorb(const struct search *s, struct pair pair)
{
    for (uint64_t left = s->looks & ~pair.mask; left != 0; left &= left - 1)
        if (s->slots[__builtin_ctzll(left)]->result == pair.value) pair.mask |= left & -left;
    return pair;
}

/* ---- Calls and answers ---- */

/* Returns false when too much is pending. */
static bool on_invoke(struct search *s, const struct history_op *op)
{
    if (~s->pending == 0) return false;
    int slot = __builtin_ctzll(~s->pending);
    s->slots[slot] = op;
    s->pending |= UINT64_C(1) << slot;
    if (is_look(op)) s->looks |= UINT64_C(1) << slot;
    pairs_clear(&s->next);
    for (size_t i = 0; i < s->now.count; i++) pairs_add(&s->next, absorb(s, s->now.items[i]));
    struct pairs swap = s->now;
    s->now = s->next;
    s->next = swap;
    return true;
}

static uint64_t bit_of(const struct search *s, const struct history_op *op)
{
    for (uint64_t left = s->pending; left != 0; left &= left - 1)
        if (s->slots[__builtin_ctzll(left)] == op) return left & -left;
    CHECK(false);
    return 0;
}

/* From a pair in which 'wanted' has not taken effect: all that one more effect leads to. */
static void widen(struct search *s, struct pair pair, uint64_t wanted)
{
    for (uint64_t left = s->pending & ~s->looks & ~pair.mask; left != 0; left &= left - 1) {
        const struct history_op *op = s->slots[__builtin_ctzll(left)];
        struct pair after = pair;
        if (!fits(op, &after.value)) continue;
        if (op->end != HISTORY_DONE && after.value == pair.value) continue; /* Pointless. */
        after.mask |= left & -left;
        after = absorb(s, after);
        pairs_add((after.mask & wanted) != 0 ? &s->next : &s->todo, after);
    }
}

/* Returns false when nothing explains the answer. */
static bool on_return(struct search *s, const struct history_op *op)
{
    uint64_t wanted = bit_of(s, op);
    pairs_clear(&s->todo);
    pairs_clear(&s->next);
    for (size_t i = 0; i < s->now.count; i++) {
        struct pair pair = s->now.items[i];
        pairs_add((pair.mask & wanted) != 0 ? &s->next : &s->todo, pair);
    }
    for (size_t i = 0; i < s->todo.count && s->pairs_seen + i <= PAIRS_MAX; i++)
        widen(s, s->todo.items[i], wanted);
    s->pairs_seen += s->todo.count + s->next.count;
    s->pending &= ~wanted;
    s->looks &= ~wanted;
    pairs_clear(&s->now);
    for (size_t i = 0; i < s->next.count; i++) {
        struct pair pair = s->next.items[i];
        pair.mask &= ~wanted;
        pairs_add(&s->now, pair);
    }
    return s->now.count > 0;
}

static enum verdict search_run(struct search *s, size_t *failed_at)
{
    s->pending = s->looks = 0;
    s->pairs_seen = 0;
    pairs_clear(&s->now);
    pairs_add(&s->now, (struct pair){0, HISTORY_ABSENT});
    for (size_t i = 0; i < s->moment_count; i++) {
        const struct moment *m = &s->moments[i];
        bool holds = m->is_return ? on_return(s, m->op) : on_invoke(s, m->op);
        if (s->pairs_seen > PAIRS_MAX || (!holds && !m->is_return)) return VERDICT_UNKNOWN;
        *failed_at = i;
        if (!holds) return VERDICT_BROKEN;
    }
    return VERDICT_OK;
}

/* ---- One key's moments ---- */

static void moment_add(struct search *s, uint64_t at, const struct history_op *op, bool is_return)
{
    s->moments = grow(s->moments, s->moment_count, &s->moment_capacity, sizeof *s->moments);
    s->moments[s->moment_count++] = (struct moment){at, op, is_return};
}

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static int compare_values(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The answers of a key, sorted: what anybody has seen. */
static int64_t *seen_values(const struct history_op *const *ops, size_t count, size_t *seen_count)
{
    int64_t *seen = malloc((count + 1) * sizeof *seen);
    CHECK(seen != NULL);
    *seen_count = 0;
    for (size_t i = 0; i < count; i++)
        if (ops[i]->end == HISTORY_DONE) seen[(*seen_count)++] = ops[i]->result;
    qsort(seen, *seen_count, sizeof *seen, compare_values);
    return seen;
}

/* Take in the key's operations. Returns how many unobserved puts were left out. */
static size_t take(struct search *s, const struct history_op *const *ops, size_t count,
                   bool drop_unobserved)
{
    size_t seen_count, dropped = 0;
    int64_t *seen = seen_values(ops, count, &seen_count);
    s->moment_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct history_op *op = ops[i];
        bool is_open = op->end == HISTORY_UNKNOWN;
        if (op->end == HISTORY_FAILED || (is_open && op->type == HISTORY_GET)) continue;
        if (drop_unobserved && is_open && op->type == HISTORY_PUT &&
            bsearch(&op->a, seen, seen_count, sizeof *seen, compare_values) == NULL) {
            dropped++;
            continue;
        }
        moment_add(s, op->invoked, op, false);
        if (!is_open) moment_add(s, op->returned, op, true);
    }
    if (s->moment_count > 0)
        qsort(s->moments, s->moment_count, sizeof *s->moments, compare_moments);
    free(seen);
    return dropped;
}

/* ---- The whole ---- */

static void describe(const struct history *h, const struct search *s, size_t failed_at,
                     struct report *report)
{
    const struct history_op *failed = s->moments[failed_at].op;
    struct slice key = h->keys.keys[failed->key];
    size_t used = (size_t)snprintf(
        report->text, sizeof report->text,
        "key '%.*s' is not linearizable: no order explains the last of these answers\n",
        (int)(key.size < 64 ? key.size : 64), (const char *)key.data);
    size_t first = failed_at, shown = 0;
    while (first > 0 && shown < SHOWN) shown += s->moments[--first].is_return;
    for (size_t i = first; i <= failed_at && used + 200 < sizeof report->text; i++) {
        const struct moment *m = &s->moments[i];
        if (!m->is_return && m->op->end == HISTORY_DONE) continue;
        used += (size_t)history_print(m->op, report->text + used, sizeof report->text - used);
        report->text[used++] = '\n';
        report->text[used] = '\0';
    }
}

static enum verdict check_key(const struct history *h, struct search *s,
                              const struct history_op *const *ops, size_t count,
                              struct report *report)
{
    size_t failed_at = 0;
    size_t dropped = take(s, ops, count, true);
    enum verdict verdict = search_run(s, &failed_at);
    if (verdict == VERDICT_BROKEN && dropped > 0) {
        (void)take(s, ops, count, false);
        verdict = search_run(s, &failed_at);
    }
    if (verdict == VERDICT_BROKEN) describe(h, s, failed_at, report);
    if (verdict == VERDICT_UNKNOWN)
        (void)snprintf(report->text, sizeof report->text, "key %u: too much at once", ops[0]->key);
    return verdict;
}

static int compare_ops(const void *a, const void *b)
{
    const struct history_op *const *x = a, *const *y = b;
    if ((*x)->key != (*y)->key) return (*x)->key < (*y)->key ? -1 : 1;
    return ((*x)->invoked > (*y)->invoked) - ((*x)->invoked < (*y)->invoked);
}

enum verdict check_linear(const struct history *h, struct report *report)
{
    struct search s = {0};
    enum verdict verdict = VERDICT_OK;
    const struct history_op **ops = malloc((h->count + 1) * sizeof *ops);
    CHECK(ops != NULL);
    for (size_t i = 0; i < h->count; i++) ops[i] = &h->ops[i];
    qsort(ops, h->count, sizeof *ops, compare_ops);
    for (size_t begin = 0, end; begin < h->count && verdict != VERDICT_BROKEN; begin = end) {
        for (end = begin; end < h->count && ops[end]->key == ops[begin]->key;) end++;
        enum verdict of_key = check_key(h, &s, ops + begin, end - begin, report);
        if (of_key != VERDICT_OK) verdict = of_key;
    }
    free(ops);
    free(s.moments);
    pairs_fini(&s.now);
    pairs_fini(&s.todo);
    pairs_fini(&s.next);
    return verdict;
}
