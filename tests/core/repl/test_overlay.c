/* tests/core/repl/test_overlay.c: the table of ops on their way, against a list that is too simple
 * to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/prng.h"
#include "core/repl/overlay.h"

enum { KEYS = 600, FLIGHT_MAX = 500, OPS_MAX = 4, ROUNDS = 20000 };

/* A mutation on its way, and which keys it writes. */
struct flying {
    struct buf bytes;
    struct mutation m;
    int keys[OPS_MAX], key_count;
};

struct world {
    struct prng prng;
    struct overlay overlay;
    struct flying flights[FLIGHT_MAX]; /* A ring, oldest at 'first'. */
    int first, count;
    uint64_t decree;
    int next_key; /* -1: any. */
};

static struct slice key_of(int key, char text[16])
{
    (void)snprintf(text, 16, "key %d", key);
    return slice_str(text);
}

static void fly(struct world *w, int key_count)
{
    struct flying *f = &w->flights[(w->first + w->count) % FLIGHT_MAX];
    char text[16];
    buf_clear(&f->bytes);
    size_t at = mutation_begin(&f->bytes);
    f->key_count = key_count;
    for (int i = 0; i < key_count; i++) {
        f->keys[i] = w->next_key < 0 ? (int)prng_below(&w->prng, KEYS) : w->next_key++ % KEYS;
        mutation_add(&f->bytes, &(struct mutation_op){.key = key_of(f->keys[i], text),
                                                      .expire_ts = (uint32_t)i});
    }
    w->decree++;
    assert_int_equal(mutation_finish(&f->bytes, at, w->decree, 1, w->decree), 0);
    assert_int_equal(mutation_read(buf_slice(&f->bytes), &f->m), 0);
    assert_int_equal(overlay_reserve(&w->overlay, f->m.op_count), 0);
    overlay_add(&w->overlay, &f->m);
    w->count++;
}

/* The oldest is applied. */
static void land(struct world *w)
{
    if (w->count == 0) return;
    overlay_remove(&w->overlay, &w->flights[w->first].m);
    w->first = (w->first + 1) % FLIGHT_MAX;
    w->count--;
}

/* The op that the list says is the newest of the key: decree and place in its mutation. */
static uint64_t newest(const struct world *w, int key, uint32_t *op)
{
    for (int i = w->count; i-- > 0;) {
        const struct flying *f = &w->flights[(w->first + i) % FLIGHT_MAX];
        for (int k = f->key_count; k-- > 0;)
            if (f->keys[k] == key) {
                *op = (uint32_t)k;
                return f->m.decree;
            }
    }
    return 0;
}

static void check_key(struct world *w, int key)
{
    char text[16];
    uint32_t op = 0;
    const struct mutation_op *found = overlay_find(&w->overlay, key_of(key, text));
    bool is_there = newest(w, key, &op) != 0;
    assert_int_equal(found != NULL, is_there);
    if (found != NULL) assert_int_equal(found->expire_ts, op);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    prng_init(&w->prng, 7);
    w->next_key = -1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < FLIGHT_MAX; i++) buf_fini(&w->flights[i].bytes);
    overlay_fini(&w->overlay);
    free(w);
    return 0;
}

/* Writes take off and land in order, thousands of times over a table that is half full: what is
 * found is always the newest op of its key, and nothing is found of what has landed. */
static void test_agrees_with_a_list(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < ROUNDS; i++) {
        bool is_filling = (i / 1000) % 2 == 0;
        if (w->count < FLIGHT_MAX && prng_percent(&w->prng, is_filling ? 60 : 40))
            fly(w, (int)prng_below(&w->prng, OPS_MAX + 1));
        else land(w);
        check_key(w, (int)prng_below(&w->prng, KEYS));
        if (i % 500 == 0)
            for (int key = 0; key < KEYS; key++) check_key(w, key);
    }
    while (w->count > 0) land(w);
    assert_int_equal(w->overlay.count, 0);
    for (int key = 0; key < KEYS; key++) check_key(w, key);
}

/* Removing from a full neighbourhood leaves no hole that hides a key: every other mutation goes,
 * and each key of the others is still found. */
static void test_removal_hides_nobody(void **state)
{
    struct world *w = *state;
    w->next_key = 0;
    for (int round = 0; round < 50; round++) {
        while (w->count < 60) fly(w, OPS_MAX);
        for (int i = 0; i < 60; i += 2) { /* Their ops go, wherever they are in the table. */
            struct flying *f = &w->flights[(w->first + i) % FLIGHT_MAX];
            overlay_remove(&w->overlay, &f->m);
            f->key_count = 0;
        }
        for (int i = 1; i < 60; i += 2) {
            struct flying *f = &w->flights[(w->first + i) % FLIGHT_MAX];
            for (int k = 0; k < f->key_count; k++) {
                char text[16];
                assert_non_null(overlay_find(&w->overlay, key_of(f->keys[k], text)));
            }
        }
        overlay_clear(&w->overlay);
        w->count = 0;
    }
}

/* Room is reserved before anything is added: when there is none, nothing has changed. */
static void test_no_memory(void **state)
{
    struct world *w = *state;
    mem_fail_nth(1);
    assert_int_equal(overlay_reserve(&w->overlay, 1), E_NOMEM);
    mem_fail_nth(0);
    assert_null(overlay_find(&w->overlay, slice_str("key 1")));
    while (w->overlay.count < 120) fly(w, OPS_MAX);
    mem_fail_nth(1);
    assert_int_equal(overlay_reserve(&w->overlay, 100), E_NOMEM);
    mem_fail_nth(0);
    for (int key = 0; key < KEYS; key++) check_key(w, key);
    assert_int_equal(overlay_reserve(&w->overlay, UINT32_MAX), E_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agrees_with_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removal_hides_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
