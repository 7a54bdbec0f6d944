/* tests/store/test_store_faults.c: the faults of the simulator's store, each seen to happen. */
#include "store/world.h"

#include "base/prng.h"
#include "sim/store/store_sim.h"
#include "store/steps.h"

struct setting {
    struct store_sim_disk *disk;
    struct store_env *env;
    struct store *store;
};

static uint64_t no_clock(void *world)
{
    (void)world;
    return 0;
}

static void open_store(struct setting *t)
{
    struct store_env_options options = {.wall_us = no_clock, .world = t};
    assert_int_equal(store_env_open(&options, &t->env, NULL), 0);
    assert_int_equal(store_open(t->env, "data/a", &t->store, NULL), 0);
}

static int set_up(void **state)
{
    static struct setting t;
    t.disk = store_sim_disk_new(&t, 1);
    open_store(&t);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *t = *state;
    store_sim_crash(t->disk);
    store_sim_disk_free(t->disk);
    return 0;
}

static void crash(struct setting *t)
{
    store_sim_crash(t->disk);
    open_store(t);
}

static int try_put(struct setting *t, uint64_t decree)
{
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    batch_put(b, "hk", "k", "v");
    int rc = store_write(t->store, b, decree);
    store_batch_free(b);
    return rc;
}

/* A stalled write has written nothing, and passes when it is tried often enough. */
static void test_stalls_pass(void **state)
{
    struct setting *t = *state;
    struct store_stats stats;
    store_sim_faults_set(t->disk, &(struct store_sim_faults){.stall_percent = 100});
    assert_int_equal(try_put(t, 1), E_BUSY);
    assert_int_equal(store_applied(t->store), 0);
    store_sim_faults_set(t->disk, &(struct store_sim_faults){.stall_percent = 50});
    for (int tries = 0; try_put(t, 1) != 0; tries++) assert_true(tries < 100);
    store_stats(t->store, &stats);
    assert_true(stats.stalls >= 1);
}

/* A flush in the background makes durable what was there when it began, once it has ended. */
static void test_background_flush_lags(void **state)
{
    struct setting *t = *state;
    put(t->store, 1, "hk", "k", "1");
    while (store_durable(t->store) == 0) {
        uint64_t next = store_applied(t->store) + 1;
        store_sim_background(t->disk);
        put(t->store, next, "hk", "k", "later");
        assert_true(next < 100);
    }
    uint64_t durable = store_durable(t->store);
    assert_true(durable + 1 < store_applied(t->store));
    crash(t);
    assert_int_equal(store_applied(t->store), durable);
}

/* A failed flush ends writing, with a sentence, until the store is opened again; reads go on,
 * and what was durable stays so. */
static void test_failed_flush_is_final(void **state)
{
    struct setting *t = *state;
    struct err e = {0};
    put(t->store, 1, "hk", "k", "1");
    assert_int_equal(store_flush(t->store), 0);
    put(t->store, 2, "hk", "k", "2");
    assert_int_equal(store_failure(t->store, &e), 0);
    store_sim_faults_set(t->disk, &(struct store_sim_faults){.flush_code = E_IO});
    assert_int_equal(store_flush(t->store), E_IO);
    store_sim_faults_set(t->disk, &(struct store_sim_faults){0});
    assert_int_equal(try_put(t, 3), E_IO);
    assert_int_equal(store_failure(t->store, &e), E_IO);
    assert_non_null(strstr(e.text, "data/a"));
    expect(t->store, "hk", "k", "2");
    assert_int_equal(store_durable(t->store), 1);
    assert_int_equal(store_close(t->store), E_IO);

    assert_int_equal(store_open(t->env, "data/a", &t->store, NULL), 0);
    assert_int_equal(store_applied(t->store), 1);
    assert_int_equal(try_put(t, 2), 0);
}

/* A flush that finds the disk full ends writing as long as it is full, and costs nothing. */
static void test_full_disk_passes(void **state)
{
    struct setting *t = *state;
    put(t->store, 1, "hk", "k", "1");
    store_sim_faults_set(t->disk, &(struct store_sim_faults){.flush_code = E_NOSPACE});
    assert_int_equal(store_flush(t->store), E_NOSPACE);
    for (int i = 0; i < 3; i++) assert_int_equal(try_put(t, 2), E_NOSPACE);
    assert_int_equal(store_failure(t->store, NULL), E_NOSPACE);
    expect(t->store, "hk", "k", "1");
    assert_int_equal(store_durable(t->store), 0);
    store_sim_faults_set(t->disk, &(struct store_sim_faults){0});
    assert_int_equal(try_put(t, 2), 0);
    assert_int_equal(store_failure(t->store, NULL), 0);
    assert_int_equal(store_flush(t->store), 0);
    assert_int_equal(store_durable(t->store), 2);
}

/* A crash takes everything with it that is open, values and iterators too. */
static void test_crash_takes_all(void **state)
{
    struct setting *t = *state;
    struct store_value v;
    put(t->store, 1, "hk", "k", "1");
    assert_int_equal(get(t->store, "hk", "k", &v), 0);
    (void)walk(t->store, "hk", NULL); /* The leak sanitizer watches. */
    crash(t);
    assert_int_equal(store_applied(t->store), 0);
}

/* Removing a directory removes what lies below it, and nothing beside it. */
static void test_remove_is_recursive(void **state)
{
    struct setting *t = *state;
    struct store *beside;
    put(t->store, 1, "hk", "k", "1");
    assert_int_equal(store_close(t->store), 0);
    assert_int_equal(store_open(t->env, "data/ab", &beside, NULL), 0);
    put(beside, 2, "hk", "k", "2");
    assert_int_equal(store_close(beside), 0);
    store_sim_remove(t->disk, "data/a");
    assert_int_equal(store_open(t->env, "data/a", &t->store, NULL), 0);
    assert_int_equal(store_applied(t->store), 0);
    assert_int_equal(store_open(t->env, "data/ab", &beside, NULL), 0);
    assert_int_equal(store_applied(beside), 2);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_stalls_pass),           STORY(test_background_flush_lags),
        STORY(test_failed_flush_is_final), STORY(test_full_disk_passes),
        STORY(test_crash_takes_all),       STORY(test_remove_is_recursive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
