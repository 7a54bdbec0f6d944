/* tests/store/test_store_random.c: random calls against a model, over both adapters.
 *
 *     version   a row as it was written once; never changes
 *     view      for each key of a small set, which version is there: what the store must show
 *     history   the writes since a decree that is known to be durable, so that the view at any
 *               decree after it can be had again when a crash has left the store there
 *
 * With a policy, compaction may drop or expire rows at moments of its own. The model then marks
 * the versions that it has ever been allowed to touch; only these may be missing, and an older
 * version must never come back in their place. */
#include "store/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/prng.h"
#include "store/policy.h"
#include "wire/key.h"
#include "wire/value.h"

enum {
    KEYS = 48,
    VERSIONS = 8192,
    HISTORY = 4096,
    HELD = 3,
    STEPS = 400,
    VALUE_SIZE_MAX = 3000,
};

struct version {
    uint8_t key;        /* Index. */
    struct slice value; /* Head and data; empty: a delete. */
    bool may_go;        /* A policy has let it be dropped. */
    bool may_expire;    /* A policy has let it be given an expiry. */
};

struct view {
    uint16_t versions[KEYS]; /* 0: there is none. */
    uint64_t timestamp_us;
};

struct change {
    uint64_t decree;
    uint16_t version;      /* 0: no row, but */
    uint64_t timestamp_us; /* the stamp of the write. */
};

struct held {
    struct store_iter *it; /* NULL: none. */
    struct view view;
    size_t lower, upper; /* Indexes of keys: [lower, upper). */
    enum store_tier tier;
};

struct run {
    struct prng prng;
    struct world *world;
    struct store *store;
    struct store_batch *batch;
    bool has_policies;
    struct buf keys[KEYS]; /* In order. */
    struct version versions[VERSIONS];
    size_t version_count;
    struct view durable, now; /* At durable_decree; now. */
    uint64_t durable_decree;
    struct change history[HISTORY];
    size_t history_count;
    struct held held[HELD];
    struct store_policy policy;
    uint64_t wall_us;
    unsigned checkpoints;
};

/* ---- The model ------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
    return slice_compare(buf_slice(a), buf_slice(b));
}

/* Keys that are near each other: prefixes of each other, empty parts, bytes at both ends, no
 * rows. */
static void make_keys(struct run *r)
{
    static const char *const hashes[] = {"", "a", "ab", "b", "\xff", "\xff\xff"};
    static const char *const sorts[] = {"", "1", "10", "2", "z", "\xff", "\xff\xff"};
    size_t count = 0;
    for (size_t h = 0; h < 6; h++)
        for (size_t i = 0; i < 7; i++)
            key_append(&r->keys[count++], slice_str(hashes[h]), slice_str(sorts[i]));
    count++; /* The empty key. */
    buf_append_str(&r->keys[count++], "k");
    buf_append_str(&r->keys[count++], "\xff");
    buf_append(&r->keys[count++], "\0\1", 2); /* Says it has a hash key, and has none. */
    buf_append(&r->keys[count++], "\xff\xff", 2);
    buf_append(&r->keys[count++], "\0\0\0", 3);
    assert_int_equal(count, KEYS);
    qsort(r->keys, KEYS, sizeof r->keys[0], by_bytes);
}

static struct slice key_at(const struct run *r, size_t index)
{
    return index < KEYS ? buf_slice(&r->keys[index]) : slice_of(NULL, 0);
}

static size_t index_of(const struct run *r, struct slice key)
{
    for (size_t i = 0; i < KEYS; i++)
        if (slice_equal(key_at(r, i), key)) return i;
    fail_msg("a key that was never written");
    return 0;
}

static void mark_version(struct run *r, struct version *v)
{
    uint32_t expire_ts;
    struct slice key = key_at(r, v->key);
    switch (store_policy_judge(&r->policy, r->wall_us, key, v->value, &expire_ts)) {
    case STORE_KEEP: break;
    case STORE_DROP: v->may_go = true; break;
    case STORE_EXPIRE: v->may_expire = true; break;
    }
    if (v->may_expire) v->may_go = true; /* Later, once that has passed. */
}

static void mark_versions(struct run *r)
{
    for (size_t i = 1; i < r->version_count; i++) mark_version(r, &r->versions[i]);
}

static uint16_t add_version(struct run *r, size_t key, struct slice value)
{
    assert_true(r->version_count < VERSIONS);
    struct version *v = &r->versions[r->version_count];
    *v = (struct version){.key = (uint8_t)key, .value = value};
    mark_version(r, v);
    return (uint16_t)r->version_count++;
}

static void apply(struct run *r, struct view *view, const struct change *change)
{
    if (change->timestamp_us > view->timestamp_us) view->timestamp_us = change->timestamp_us;
    if (change->version == 0) return;
    const struct version *v = &r->versions[change->version];
    view->versions[v->key] = v->value.size > 0 ? change->version : 0;
}

/* Everything up to 'decree' is known to be durable. */
static void settle(struct run *r, uint64_t decree)
{
    size_t done = 0;
    while (done < r->history_count && r->history[done].decree <= decree)
        apply(r, &r->durable, &r->history[done++]);
    r->history_count -= done;
    memmove(r->history, r->history + done, r->history_count * sizeof r->history[0]);
    r->durable_decree = decree;
}

/* May what was read stand for this version? */
static bool fits(const struct version *v, struct slice found)
{
    if (slice_equal(v->value, found)) return true;
    if (!v->may_expire || found.size != v->value.size) return false;
    return bytes_get_be32(found.data) != 0 &&
           slice_equal(slice_skip(v->value, 4), slice_skip(found, 4));
}

static bool may_be_absent(const struct run *r, const struct view *view, size_t key)
{
    return view->versions[key] == 0 || r->versions[view->versions[key]].may_go;
}

static void check_row(const struct run *r, const struct view *view, size_t key, struct slice found)
{
    assert_int_not_equal(view->versions[key], 0);
    assert_true(fits(&r->versions[view->versions[key]], found));
}

/* ---- What is done ---------------------------------------------------------------------------- */

static struct slice draw_value(struct run *r, size_t key)
{
    size_t size =
        VALUE_HEAD_SIZE + prng_below(&r->prng, prng_percent(&r->prng, 10) ? VALUE_SIZE_MAX : 40);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    struct value_head head = {
        .expire_ts = prng_percent(&r->prng, 30)
                         ? value_epoch_s(r->wall_us) + 100 - (uint32_t)prng_below(&r->prng, 200)
                         : 0,
        .timetag = timetag_make(prng_below(&r->prng, 1000), 1, prng_percent(&r->prng, 20)),
    };
    value_head_write(bytes, head);
    prng_bytes(&r->prng, bytes + VALUE_HEAD_SIZE, size - VALUE_HEAD_SIZE);
    (void)key;
    return slice_of(bytes, size);
}

static void remember(struct run *r, struct change change)
{
    assert_true(r->history_count < HISTORY);
    r->history[r->history_count++] = change;
}

static void add_change(struct run *r, uint64_t decree)
{
    size_t key = prng_below(&r->prng, KEYS);
    struct slice value = {NULL, 0};
    if (prng_percent(&r->prng, 20)) {
        store_batch_delete(r->batch, key_at(r, key));
    } else {
        value = draw_value(r, key);
        size_t cut = prng_below(&r->prng, value.size + 1);
        store_batch_put(r->batch, key_at(r, key), slice_of(value.data, cut),
                        slice_skip(value, cut));
    }
    remember(r, (struct change){.decree = decree, .version = add_version(r, key, value)});
}

static void add_stamp(struct run *r, uint64_t decree)
{
    uint64_t timestamp_us = 1000 + prng_below(&r->prng, 10 * decree);
    store_batch_stamp(r->batch, timestamp_us);
    remember(r, (struct change){.decree = decree, .timestamp_us = timestamp_us});
}

static void do_write(struct run *r)
{
    uint64_t decree = store_applied(r->store) + 1 + prng_below(&r->prng, 3);
    size_t first = r->history_count;
    store_batch_clear(r->batch);
    for (uint64_t n = prng_below(&r->prng, 7); n > 0; n--) add_change(r, decree);
    if (prng_percent(&r->prng, 70)) add_stamp(r, decree);
    int rc;
    while ((rc = store_write(r->store, r->batch, decree)) == E_BUSY) store_wait_writable(r->store);
    assert_int_equal(rc, 0);
    for (size_t i = first; i < r->history_count; i++) apply(r, &r->now, &r->history[i]);
    assert_int_equal(store_applied(r->store), decree);
}

static void do_get(struct run *r)
{
    size_t key = prng_below(&r->prng, KEYS);
    struct store_value v;
    int rc = E_AGAIN;
    if (prng_percent(&r->prng, 50)) rc = store_get(r->store, key_at(r, key), STORE_CACHED, &v);
    if (rc == E_AGAIN) rc = store_get(r->store, key_at(r, key), STORE_ANY, &v);
    if (rc == E_NOTFOUND) {
        assert_true(may_be_absent(r, &r->now, key));
        return;
    }
    assert_int_equal(rc, 0);
    check_row(r, &r->now, key, v.bytes);
    store_value_release(&v);
}

/* Between the keys 'from' and 'to', both left out, nothing may be that must be there. */
static void check_gap(const struct run *r, const struct held *h, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (i >= h->lower && i < h->upper) assert_true(may_be_absent(r, &h->view, i));
}

/* The iterator should now stand on the first row at or after 'from' (the last before it,
 * backwards). Returns where it stands; KEYS when nowhere. */
static size_t check_position(const struct run *r, const struct held *h, size_t from,
                             bool is_forward)
{
    size_t at = KEYS;
    if (store_iter_is_valid(h->it)) {
        at = index_of(r, store_iter_key(h->it));
        assert_true(at >= h->lower && at < h->upper);
        check_row(r, &h->view, at, store_iter_value(h->it));
    } else if (store_iter_status(h->it) != 0) {
        assert_int_equal(store_iter_status(h->it), E_AGAIN);
        assert_int_equal(h->tier, STORE_CACHED);
        return KEYS;
    }
    if (is_forward) {
        assert_true(at >= from);
        check_gap(r, h, from, at);
    } else {
        assert_true(at == KEYS || at < from);
        check_gap(r, h, at == KEYS ? 0 : at + 1, from);
    }
    return at;
}

static size_t position(struct run *r, struct held *h)
{
    size_t key = prng_below(&r->prng, KEYS);
    switch (prng_below(&r->prng, 3)) {
    case 0: store_iter_seek(h->it, key_at(r, key)); return check_position(r, h, key, true);
    case 1:
        store_iter_seek_last(h->it, key_at(r, key));
        return check_position(r, h, key + 1, false);
    default: store_iter_seek_end(h->it); return check_position(r, h, KEYS, false);
    }
}

static void wander(struct run *r, struct held *h)
{
    size_t at = position(r, h);
    for (uint64_t n = prng_below(&r->prng, 2 * KEYS); n > 0 && at < KEYS; n--) {
        bool is_forward = prng_percent(&r->prng, 60);
        if (is_forward) store_iter_next(h->it);
        else store_iter_prev(h->it);
        at = check_position(r, h, is_forward ? at + 1 : at, is_forward);
    }
}

static void let_go(struct held *h)
{
    store_iter_close(h->it);
    h->it = NULL;
}

static void let_all_go(struct run *r)
{
    for (size_t i = 0; i < HELD; i++) let_go(&r->held[i]);
}

/* Bounds are keys of the set, or one hash key, or none. */
static void hold(struct run *r, struct held *h)
{
    h->lower = prng_percent(&r->prng, 30) ? 0 : prng_below(&r->prng, KEYS);
    h->upper =
        prng_percent(&r->prng, 30) ? KEYS : h->lower + prng_below(&r->prng, KEYS - h->lower + 1);
    struct buf upper = {0};
    buf_append_slice(&upper, key_at(r, h->upper));
    struct key_parts parts;
    if (prng_percent(&r->prng, 40) && key_split(key_at(r, h->lower), &parts) == 0) {
        buf_clear(&upper);
        key_append(&upper, parts.hash_key, slice_of(NULL, 0));
        key_successor(&upper);
        for (h->upper = h->lower; h->upper < KEYS; h->upper++)
            if (upper.size > 0 && slice_compare(key_at(r, h->upper), buf_slice(&upper)) >= 0) break;
    } else if (h->upper < KEYS && upper.size == 0) {
        h->upper = KEYS; /* The empty key can't be an end. */
    }
    h->view = r->now;
    h->tier = prng_percent(&r->prng, 30) ? STORE_CACHED : STORE_ANY;
    assert_int_equal(
        store_iter_open(r->store, key_at(r, h->lower), buf_slice(&upper), h->tier, &h->it), 0);
    buf_fini(&upper);
}

static void do_iterate(struct run *r)
{
    struct held *h = &r->held[prng_below(&r->prng, HELD)];
    if (h->it == NULL) hold(r, h);
    wander(r, h);
    if (prng_percent(&r->prng, 50)) let_go(h);
}

/* The whole store, against a view. */
static void check_all(struct run *r, struct store *s, const struct view *view)
{
    assert_int_equal(store_timestamp_us(s), view->timestamp_us);
    struct held h = {.view = *view, .lower = 0, .upper = KEYS, .tier = STORE_ANY};
    struct slice none = {NULL, 0};
    assert_int_equal(store_iter_open(s, none, none, STORE_ANY, &h.it), 0);
    store_iter_seek(h.it, none);
    for (size_t at = check_position(r, &h, 0, true); at < KEYS;) {
        store_iter_next(h.it);
        at = check_position(r, &h, at + 1, true);
    }
    store_iter_close(h.it);
}

static void do_flush(struct run *r)
{
    assert_int_equal(store_flush(r->store), 0);
    assert_int_equal(store_durable(r->store), store_applied(r->store));
    settle(r, store_applied(r->store));
}

static void do_reopen(struct run *r)
{
    uint64_t applied = store_applied(r->store);
    let_all_go(r);
    assert_int_equal(world_close(r->world, r->store), 0);
    if (prng_percent(&r->prng, 30)) world_forget_cache(r->world);
    r->store = world_open(r->world, "store");
    store_policy_set(r->store, &r->policy);
    assert_int_equal(store_applied(r->store), applied);
    settle(r, applied);
    check_all(r, r->store, &r->now);
}

/* What is left is the state at one decree, which isn't below any that was said to be durable. */
static void do_crash(struct run *r)
{
    uint64_t durable = store_durable(r->store), applied = store_applied(r->store);
    assert_true(durable >= r->durable_decree);
    let_all_go(r);
    world_crash(r->world);
    r->store = world_open(r->world, "store");
    store_policy_set(r->store, &r->policy);
    uint64_t left = store_applied(r->store);
    assert_true(left >= durable && left <= applied);
    settle(r, left);
    r->history_count = 0;
    r->now = r->durable;
    check_all(r, r->store, &r->now);
}

static void do_compact(struct run *r)
{
    assert_int_equal(store_compact(r->store, STORE_COMPACT_ALL, 1), 0);
    settle(r, store_applied(r->store));
    struct store_iter *it;
    struct slice none = {NULL, 0};
    assert_int_equal(store_iter_open(r->store, none, none, STORE_ANY, &it), 0);
    for (store_iter_seek(it, none); store_iter_is_valid(it); store_iter_next(it)) {
        uint32_t expire_ts;
        assert_int_equal(store_policy_judge(&r->policy, r->wall_us, store_iter_key(it),
                                            store_iter_value(it), &expire_ts),
                         STORE_KEEP);
    }
    assert_int_equal(store_iter_status(it), 0);
    store_iter_close(it);
    check_all(r, r->store, &r->now);
}

static void do_checkpoint(struct run *r)
{
    char name[32];
    (void)snprintf(name, sizeof name, "checkpoint.%u", r->checkpoints % 20);
    if (r->checkpoints++ >= 20) return;
    uint64_t decree = 0;
    assert_int_equal(store_checkpoint(r->store, world_dir(r->world, name), &decree, NULL), 0);
    assert_int_equal(decree, store_applied(r->store));
    settle(r, decree);
    struct store *copy = world_open(r->world, name);
    assert_int_equal(store_applied(copy), decree);
    check_all(r, copy, &r->now);
    assert_int_equal(world_close(r->world, copy), 0);
}

static void do_policy(struct run *r)
{
    if (!r->has_policies) return;
    if (prng_percent(&r->prng, 50)) {
        r->wall_us += prng_below(&r->prng, 60) * 1000000;
        world_wall_set(r->world, r->wall_us);
    } else {
        r->policy = (struct store_policy){
            .default_ttl_s = prng_percent(&r->prng, 30) ? 50 : 0,
            .tombstones_below_us = prng_below(&r->prng, 1000),
        };
        store_policy_set(r->store, &r->policy);
    }
    mark_versions(r);
}

static const struct {
    uint32_t weight;
    void (*run)(struct run *r);
} deeds[] = {
    {40, do_write}, {20, do_get},    {20, do_iterate},   {3, do_flush},  {1, do_reopen},
    {3, do_crash},  {2, do_compact}, {1, do_checkpoint}, {4, do_policy},
};

static void do_something(struct run *r)
{
    uint64_t drawn = prng_below(&r->prng, 94);
    size_t i = 0;
    while (drawn >= deeds[i].weight) drawn -= deeds[i++].weight;
    deeds[i].run(r);
    world_background(r->world);
    uint64_t durable = store_durable(r->store);
    assert_true(durable >= r->durable_decree && durable <= store_applied(r->store));
}

static void run_seed(uint64_t seed, bool has_policies)
{
    struct run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    prng_init(&r->prng, seed);
    r->world = world_new(seed);
    r->wall_us = (VALUE_EPOCH_UNIX_S + 1000000) * 1000000;
    world_wall_set(r->world, r->wall_us);
    r->has_policies = has_policies;
    r->version_count = 1;
    make_keys(r);
    assert_int_equal(store_batch_new(&r->batch), 0);
    r->store = world_open(r->world, "store");
    for (int i = 0; i < STEPS; i++) do_something(r);
    check_all(r, r->store, &r->now);

    let_all_go(r);
    world_free(r->world);
    store_batch_free(r->batch);
    for (size_t i = 0; i < r->version_count; i++)
        free((void *)(uintptr_t)r->versions[i].value.data);
    for (size_t i = 0; i < KEYS; i++) buf_fini(&r->keys[i]);
    free(r);
}

/* STORE_SEEDS=n runs more of them, STORE_SEED=s that one only. */
static void run_seeds(bool has_policies)
{
    const char *one = getenv("STORE_SEED"), *more = getenv("STORE_SEEDS");
    uint64_t first = one != NULL ? strtoull(one, NULL, 0) : 1;
    uint64_t count = one != NULL ? 1 : more != NULL ? strtoull(more, NULL, 0) : WORLD_SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        printf("seed %llu\r", (unsigned long long)seed);
        (void)fflush(stdout);
        run_seed(seed, has_policies);
    }
}

static void test_random_calls(void **state)
{
    (void)state;
    run_seeds(false);
}

static void test_random_calls_with_policies(void **state)
{
    (void)state;
    run_seeds(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_calls),
        cmocka_unit_test(test_random_calls_with_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
