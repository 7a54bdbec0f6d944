/* tests/store/test_flusher.c: who is flushed, when, and who is left alone. The stores are fakes
 * that count: a good flush leaves nothing, a bad one everything. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/flusher.h"

enum { MIB = 1 << 20, BUDGET = 4 * MIB, STORES = 3 };

struct fake {
    struct flusher_entry entry;
    struct bench *bench;
    size_t size;
    int code; /* What its flushes return. */
    int flushes;
};

struct bench {
    struct flusher *flusher;
    struct fake fakes[STORES];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_gate_closed; /* Flushes wait before it. */
    int waiting;         /* Flushes before the gate. */
    int last;            /* The index of the last one flushed. */
};

static int flush(struct flusher_entry *entry)
{
    struct fake *fake = LIST_ENTRY(entry, struct fake, entry);
    struct bench *bench = fake->bench;
    pthread_mutex_lock(&bench->lock);
    bench->waiting++;
    pthread_cond_broadcast(&bench->changed);
    while (bench->is_gate_closed) pthread_cond_wait(&bench->changed, &bench->lock);
    bench->waiting--;
    fake->flushes++;
    if (fake->code == 0) fake->size = 0;
    bench->last = (int)(fake - bench->fakes);
    pthread_cond_broadcast(&bench->changed);
    pthread_mutex_unlock(&bench->lock);
    return fake->code;
}

static size_t measure(struct flusher_entry *entry)
{
    return LIST_ENTRY(entry, struct fake, entry)->size;
}

static int set_up(void **state)
{
    static struct bench bench;
    bench = (struct bench){.last = -1};
    pthread_mutex_init(&bench.lock, NULL);
    pthread_cond_init(&bench.changed, NULL);
    assert_int_equal(flusher_open(BUDGET, &bench.flusher), 0);
    for (int i = 0; i < STORES; i++) {
        bench.fakes[i].bench = &bench;
        bench.fakes[i].entry = (struct flusher_entry){.flush = flush, .measure = measure};
        flusher_add(bench.flusher, &bench.fakes[i].entry);
    }
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    for (int i = 0; i < STORES; i++) flusher_remove(bench->flusher, &bench->fakes[i].entry);
    flusher_close(bench->flusher);
    return 0;
}

static void set_gate(struct bench *bench, bool is_closed)
{
    pthread_mutex_lock(&bench->lock);
    bench->is_gate_closed = is_closed;
    pthread_cond_broadcast(&bench->changed);
    pthread_mutex_unlock(&bench->lock);
}

/* A flush is under way, and stands before the gate. */
static void await_gate(struct bench *bench)
{
    pthread_mutex_lock(&bench->lock);
    while (bench->waiting == 0) pthread_cond_wait(&bench->changed, &bench->lock);
    pthread_mutex_unlock(&bench->lock);
}

static void await_flushes(struct bench *bench, int index, int count)
{
    pthread_mutex_lock(&bench->lock);
    while (bench->fakes[index].flushes < count) pthread_cond_wait(&bench->changed, &bench->lock);
    pthread_mutex_unlock(&bench->lock);
}

static void grow(struct bench *bench, int index, size_t size)
{
    bench->fakes[index].size = size;
    flusher_report(bench->flusher, &bench->fakes[index].entry, size);
}

/* Within the budget nobody is disturbed. */
static void test_within_budget_nothing_happens(void **state)
{
    struct bench *bench = *state;
    for (int i = 0; i < STORES; i++) grow(bench, i, BUDGET / STORES);
    tear_down(state);
    for (int i = 0; i < STORES; i++) assert_int_equal(bench->fakes[i].flushes, 0);
    set_up(state);
}

/* Over it the fattest goes, and only as many as needed; the sum counts, not who reported. */
static void test_fattest_goes_first(void **state)
{
    struct bench *bench = *state;
    grow(bench, 0, MIB);
    grow(bench, 1, 2 * MIB);
    grow(bench, 2, MIB + MIB / 2);
    await_flushes(bench, 1, 1);
    grow(bench, 0, 3 * MIB);
    await_flushes(bench, 0, 1);
    assert_int_equal(bench->fakes[1].flushes, 1);
    assert_int_equal(bench->fakes[2].flushes, 0);
}

/* Writers may outrun the flush up to twice the budget; then they wait until it has ended. */
static void test_full_is_waited_for(void **state)
{
    struct bench *bench = *state;
    set_gate(bench, true);
    grow(bench, 0, 2 * BUDGET);
    await_gate(bench);
    assert_false(flusher_is_full(bench->flusher));
    grow(bench, 1, MIB);
    assert_true(flusher_is_full(bench->flusher));
    set_gate(bench, false);
    flusher_wait(bench->flusher);
    assert_false(flusher_is_full(bench->flusher));
    assert_int_equal(bench->fakes[0].flushes, 1);
}

/* A full disk under one store: it is tried once, then neither tried nor counted, so that the
 * others go on; when it takes writes again it is flushed again. */
static void test_failed_store_harms_no_other(void **state)
{
    struct bench *bench = *state;
    bench->fakes[0].code = E_NOSPACE;
    grow(bench, 0, 5 * BUDGET);
    await_flushes(bench, 0, 1);
    flusher_wait(bench->flusher);
    grow(bench, 1, BUDGET - MIB);
    grow(bench, 2, 2 * MIB);
    await_flushes(bench, 1, 1);
    assert_int_equal(bench->fakes[0].flushes, 1);

    bench->fakes[0].code = 0;
    grow(bench, 0, 5 * BUDGET);
    await_flushes(bench, 0, 2);
}

static void *open_gate(void *bench)
{
    set_gate(bench, false);
    return NULL;
}

/* A store that is being flushed isn't taken away from under it. */
static void test_remove_waits_for_flush(void **state)
{
    struct bench *bench = *state;
    pthread_t opener;
    set_gate(bench, true);
    grow(bench, 0, 2 * BUDGET);
    await_gate(bench);
    assert_int_equal(pthread_create(&opener, NULL, open_gate, bench), 0);
    flusher_remove(bench->flusher, &bench->fakes[0].entry);
    assert_int_equal(bench->fakes[0].flushes, 1);
    pthread_join(opener, NULL);
    flusher_add(bench->flusher, &bench->fakes[0].entry);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_within_budget_nothing_happens),
        STORY(test_fattest_goes_first),
        STORY(test_full_is_waited_for),
        STORY(test_failed_store_harms_no_other),
        STORY(test_remove_waits_for_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
