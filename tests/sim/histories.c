/* tests/sim/histories.c: clients, their true values, scenes; random histories and brute force. */
#include "sim/histories.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
    KEYS_MAX = 4,
    CLIENTS_MAX = 16, /* The last two are the scene's. */
    GHOSTS_MAX = 64,
    SCENE_CLIENT = CLIENTS_MAX - 2,
    DELTA = 1 << 20, /* A scene's differences are far above those of others. */
};

enum stage { IDLE, CALLED, EFFECTIVE };

struct client {
    enum stage stage;
    size_t op; /* In the history. */
    int64_t result;
    uint64_t decree;
};

struct play {
    const struct histories *g;
    struct history *h;
    int64_t values[KEYS_MAX];
    struct client clients[CLIENTS_MAX];
    size_t ghosts[GHOSTS_MAX]; /* Abandoned operations that may still take effect. */
    size_t ghost_count;
    int64_t unique; /* The last value that was given out. */
    uint64_t decree;
};

static struct slice key_name(uint32_t key)
{
    static const char *const names[KEYS_MAX] = {"a", "b", "c", "d"};
    return slice_str(names[key]);
}

static int64_t unique(struct play *p)
{
    return p->unique += 1000;
}

/* ---- One operation ---- */

static void call(struct play *p, uint32_t client, enum history_type type, uint32_t key, int64_t a,
                 int64_t b)
{
    struct client *c = &p->clients[client];
    CHECK(c->stage == IDLE);
    c->op = history_invoke(p->h, client, type, key_name(key), a, b);
    c->stage = CALLED;
}

/* It happens. Gives its result and, for a write, its decree; a cas that fails has one or not. */
static int64_t take_effect(struct play *p, size_t op, uint64_t *decree)
{
    const struct history_op *o = &p->h->ops[op];
    int64_t *value = &p->values[keys_find(&p->h->keys, p->h->keys.keys[o->key])];
    int64_t before = *value;
    int64_t result = history_apply(o, value);
    bool is_write = o->type != HISTORY_GET && (o->type != HISTORY_CAS || before == o->a);
    if (!is_write && o->type == HISTORY_CAS) is_write = prng_percent(p->g->prng, 50);
    *decree = is_write ? ++p->decree : 0;
    return result;
}

static void effect(struct play *p, uint32_t client)
{
    struct client *c = &p->clients[client];
    CHECK(c->stage == CALLED);
    c->result = take_effect(p, c->op, &c->decree);
    c->stage = EFFECTIVE;
}

static void answer(struct play *p, uint32_t client)
{
    struct client *c = &p->clients[client];
    CHECK(c->stage == EFFECTIVE);
    history_return(p->h, c->op, HISTORY_DONE, c->result);
    history_decree(p->h, c->op, 0, c->decree);
    c->stage = IDLE;
}

/* ---- Everybody ---- */

static void call_any(struct play *p, uint32_t client)
{
    struct prng *r = p->g->prng;
    uint32_t key = (uint32_t)prng_below(r, p->g->keys);
    int64_t small = (int64_t)prng_between(r, 1, 9);
    switch (prng_below(r, 8)) {
    case 0:
    case 1: call(p, client, HISTORY_PUT, key, unique(p), 0); break;
    case 2: call(p, client, HISTORY_DEL, key, 0, 0); break;
    case 3: call(p, client, HISTORY_INCR, key, small, 0); break;
    case 4: /* One that may well succeed. */
        call(p, client, HISTORY_CAS, key, p->values[key], unique(p));
        break;
    default: call(p, client, HISTORY_GET, key, 0, 0); break;
    }
}

/* The client hears nothing: the operation is left to itself. */
static void abandon(struct play *p, uint32_t client)
{
    struct client *c = &p->clients[client];
    history_return(p->h, c->op, HISTORY_UNKNOWN, 0);
    if (c->stage == EFFECTIVE) history_decree(p->h, c->op, 0, c->decree);
    if (c->stage == CALLED && p->ghost_count < GHOSTS_MAX) p->ghosts[p->ghost_count++] = c->op;
    c->stage = IDLE;
}

static void haunt(struct play *p)
{
    if (p->ghost_count == 0) return;
    size_t at = (size_t)prng_below(p->g->prng, p->ghost_count);
    uint64_t decree;
    (void)take_effect(p, p->ghosts[at], &decree);
    history_decree(p->h, p->ghosts[at], 0, decree);
    p->ghosts[at] = p->ghosts[--p->ghost_count];
}

static void step(struct play *p)
{
    struct prng *r = p->g->prng;
    uint32_t client = (uint32_t)prng_below(r, p->g->clients);
    if (prng_percent(r, 3)) haunt(p);
    switch (p->clients[client].stage) {
    case IDLE: call_any(p, client); break;
    case CALLED:
        if (prng_percent(r, 2)) {
            history_return(p->h, p->clients[client].op, HISTORY_FAILED, 0);
            p->clients[client].stage = IDLE;
        } else if (prng_percent(r, p->g->unknown_percent)) {
            abandon(p, client);
        } else {
            effect(p, client);
        }
        break;
    case EFFECTIVE:
        if (prng_percent(r, p->g->unknown_percent)) abandon(p, client);
        else answer(p, client);
        break;
    }
}

static void steps(struct play *p, uint64_t most)
{
    for (uint64_t i = prng_between(p->g->prng, 0, most); i > 0; i--) step(p);
}

/* ---- The scene ---- */

/* From call to answer, with others in between. Returns what it was answered. */
static int64_t act(struct play *p, enum history_type type, int64_t a, int64_t b)
{
    call(p, SCENE_CLIENT, type, 0, a, b);
    steps(p, 4);
    effect(p, SCENE_CLIENT);
    steps(p, 4);
    answer(p, SCENE_CLIENT);
    steps(p, 4);
    return p->clients[SCENE_CLIENT].result;
}

/* The last answer of the scene becomes this. */
static void falsify(struct play *p, int64_t result)
{
    if (p->g->is_broken) p->h->ops[p->clients[SCENE_CLIENT].op].result = result;
}

static void scene_inversion(struct play *p, int64_t u1, int64_t u2)
{
    enum { OTHER = SCENE_CLIENT + 1 };
    (void)act(p, HISTORY_PUT, u1, 0);
    call(p, OTHER, HISTORY_PUT, 0, u2, 0);
    effect(p, OTHER);
    call(p, SCENE_CLIENT, HISTORY_GET, 0, 0, 0);
    effect(p, SCENE_CLIENT); /* At once: so it shows u2. */
    answer(p, SCENE_CLIENT);
    (void)act(p, HISTORY_GET, 0, 0);
    falsify(p, u1);
    answer(p, OTHER);
}

static void scene_play(struct play *p)
{
    int64_t u1 = unique(p), u2 = unique(p), u3 = unique(p);
    if (p->g->scene == SCENE_NONE) return;
    if (p->g->scene == SCENE_INVERSION) {
        scene_inversion(p, u1, u2);
        return;
    }
    (void)act(p, HISTORY_PUT, u1, 0);
    switch (p->g->scene) {
    case SCENE_STALE_READ:
        (void)act(p, HISTORY_PUT, u2, 0);
        (void)act(p, HISTORY_GET, 0, 0);
        falsify(p, u1);
        break;
    case SCENE_RESURRECTED:
        (void)act(p, HISTORY_DEL, 0, 0);
        (void)act(p, HISTORY_GET, 0, 0);
        falsify(p, u1);
        break;
    case SCENE_DOUBLE_INCR: {
        int64_t after = act(p, HISTORY_INCR, DELTA, 0);
        (void)act(p, HISTORY_GET, 0, 0);
        falsify(p, after + DELTA);
        break;
    }
    case SCENE_LOST_INCR:
        (void)act(p, HISTORY_INCR, DELTA, 0);
        (void)act(p, HISTORY_INCR, 4 * DELTA, 0);
        falsify(p, u1 + 4 * DELTA);
        break;
    case SCENE_REORDERED_CAS:
        (void)act(p, HISTORY_PUT, u2, 0);
        (void)act(p, HISTORY_CAS, u1, u3);
        falsify(p, u1);
        break;
    case SCENE_PHANTOM:
        (void)act(p, HISTORY_GET, 0, 0);
        falsify(p, u3);
        break;
    case SCENE_LOST_WRITE:
        (void)act(p, HISTORY_PUT, u2, 0);
        (void)act(p, HISTORY_INCR, DELTA, 0);
        falsify(p, u1 + DELTA);
        break;
    default: CHECK(false);
    }
}

void histories_generate(const struct histories *g, struct history *h)
{
    struct play p = {.g = g, .h = h};
    CHECK(g->clients <= SCENE_CLIENT && g->keys <= KEYS_MAX);
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        (void)keys_number(&h->keys, key_name(i));
        p.values[i] = HISTORY_ABSENT;
    }
    steps(&p, g->steps);
    scene_play(&p);
    steps(&p, g->steps);
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) /* The log shows what nobody heard of. */
        if (p.clients[i].stage == EFFECTIVE)
            history_decree(h, p.clients[i].op, 0, p.clients[i].decree);
}

/* ---- Any answers at all ---- */

static int64_t small_value(struct prng *p)
{
    return prng_percent(p, 30) ? HISTORY_ABSENT : (int64_t)prng_between(p, 1, 3);
}

static void random_answer(struct prng *p, struct history *h, size_t op)
{
    enum history_end end = HISTORY_DONE;
    if (prng_percent(p, 15)) end = HISTORY_UNKNOWN;
    if (prng_percent(p, 5)) end = HISTORY_FAILED;
    int64_t result = small_value(p);
    if (h->ops[op].type == HISTORY_INCR && result == HISTORY_ABSENT) result = 1;
    history_return(h, op, end, result);
}

void histories_random(struct prng *p, size_t ops_max, struct history *h)
{
    enum { OPEN_MAX = 8 };
    size_t open[OPEN_MAX], open_count = 0, left = (size_t)prng_between(p, 1, ops_max);
    while (left > 0 || open_count > 0) {
        bool can_call = left > 0 && open_count < OPEN_MAX;
        if (can_call && (open_count == 0 || prng_percent(p, 50))) {
            enum history_type type = (enum history_type)prng_below(p, 5);
            int64_t a = type == HISTORY_CAS ? small_value(p) : (int64_t)prng_between(p, 1, 3);
            open[open_count++] = history_invoke(h, (uint32_t)h->count, type, slice_str("k"), a,
                                                (int64_t)prng_between(p, 1, 3));
            left--;
        } else {
            size_t at = (size_t)prng_below(p, open_count);
            random_answer(p, h, open[at]);
            open[at] = open[--open_count];
        }
    }
}

/* ---- Brute force ---- */

/* Everything in 'left' is to be ordered; those with an unknown end may be left over. */
static bool try(const struct history *h, uint64_t left, int64_t value)
{
    uint64_t first_end = HISTORY_OPEN;
    bool is_done = true;
    for (size_t i = 0; i < h->count; i++) {
        if ((left >> i & 1) == 0 || h->ops[i].end != HISTORY_DONE) continue;
        is_done = false;
        if (h->ops[i].returned < first_end) first_end = h->ops[i].returned;
    }
    if (is_done) return true;
    for (size_t i = 0; i < h->count; i++) {
        const struct history_op *op = &h->ops[i];
        if ((left >> i & 1) == 0 || op->invoked > first_end) continue;
        int64_t after = value;
        int64_t result = history_apply(op, &after);
        bool has_result = op->type != HISTORY_PUT && op->type != HISTORY_DEL;
        if (op->end == HISTORY_DONE && has_result && result != op->result) continue;
        if (try(h, left & ~(UINT64_C(1) << i), after)) return true;
    }
    return false;
}

bool histories_brute(const struct history *h)
{
    uint64_t all = 0;
    CHECK(h->count <= 64);
    for (size_t i = 0; i < h->count; i++)
        if (h->ops[i].end != HISTORY_FAILED) all |= UINT64_C(1) << i;
    return try(h, all, HISTORY_ABSENT);
}
