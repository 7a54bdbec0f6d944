/* tests/log/test_log_write.c: what is acknowledged is there, and what is refused never was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log/world.h"
#include "wire/mutation.h"

static int setup(void **state)
{
    static struct world w;
    world_init(&w, 1);
    *state = &w;
    return world_open(&w);
}

static int teardown(void **state)
{
    world_fini(*state);
    return 0;
}

/* Two partitions write, the machine loses power, everything acknowledged is replayed. */
static void test_acknowledged_survives_power_loss(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_append(w, 0, 1, 10, 100), 0);
    assert_int_equal(world_append(w, 1, 1, 3, 2000), 0);
    assert_int_equal(world_append(w, 0, 11, 11, 1), 0);

    world_crash(w, SIM_POWER);
    assert_int_equal(world_open(w), 0);
    assert_int_equal(w->parts[0].replayed, 11);
    assert_int_equal(w->parts[1].replayed, 3);
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
}

/* Batches that arrive while the disk is busy become durable together: one sync for all of them. */
static void test_batches_share_one_sync(void **state)
{
    struct world *w = *state;
    uint64_t before = world_stats(w).syncs;
    for (uint64_t decree = 1; decree <= 50; decree++) world_submit(w, 0, decree, decree, 50);
    world_settle(w);
    for (size_t i = 0; i < 50; i++) assert_int_equal(world_batch_rc(w, i), 0);
    assert_true(world_stats(w).syncs - before <= 5);
    assert_int_equal(world_stats(w).records, 50);
}

/* What the store holds durably is not replayed; what comes after it is. */
static void test_replay_begins_above_the_store(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_append(w, 0, 1, 20, 100), 0);
    world_crash(w, SIM_KILL);
    w->parts[0].durable = 15;
    assert_int_equal(world_open(w), 0);
    assert_int_equal(w->parts[0].replayed, 20);
}

/* Records go on through many segments, closings and openings. */
static void test_log_goes_on_over_many_lives(void **state)
{
    struct world *w = *state;
    for (uint64_t life = 0; life < 5; life++) {
        for (uint64_t i = 1; i <= 20; i++)
            assert_int_equal(world_append(w, 2, life * 20 + i, life * 20 + i, 300), 0);
        if (life % 2 == 0) world_close(w);
        else world_crash(w, SIM_POWER);
        assert_int_equal(world_open(w), 0);
        assert_int_equal(w->parts[2].replayed, (life + 1) * 20);
    }
    assert_true(world_stats(w).segments > 5);
}

/* A decree that is written again under a newer ballot replaces the old one, in replay and reads. */
static void test_newer_ballot_replaces(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_append_ballot(w, 0, 1, 1, 10, 100), 0);
    assert_int_equal(world_append_ballot(w, 0, 2, 8, 9, 100), 0);
    assert_true(world_reads_all(w, 0, 1, 9));
    assert_int_equal(w->parts[0].ballot[7], 1);
    assert_int_equal(w->parts[0].ballot[8], 2);

    world_crash(w, SIM_POWER);
    assert_int_equal(world_open(w), 0);
    assert_int_equal(w->parts[0].replayed, 9);
    assert_int_equal(w->parts[0].ballot[8], 2);
    assert_true(world_reads_all(w, 0, 1, 9));
    assert_int_equal(w->parts[0].ballot[8], 2);
}

/* The disk is full: the batch is refused and leaves nothing; when there is room again it goes on.
 */
static void test_full_disk_refuses_and_recovers(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_append(w, 0, 1, 5, 100), 0);
    sim_disk_fail(w->machine, SIM_DISK_WRITE, "/log.", 1, E_NOSPACE, false);
    assert_int_equal(world_append(w, 0, 6, 9, 100), E_NOSPACE);
    assert_int_equal(world_append(w, 0, 6, 7, 200), 0);

    world_crash(w, SIM_POWER);
    assert_int_equal(world_open(w), 0);
    assert_int_equal(w->parts[0].replayed, 7);
}

/* A refused decree makes later ones wait for it: the log never holds 7 without 6. */
static void test_refusal_leaves_no_hole(void **state)
{
    struct world *w = *state;
    sim_disk_fail(w->machine, SIM_DISK_WRITE, "/log.", 1, E_NOSPACE, false);
    world_submit(w, 0, 1, 1, 100);
    world_settle(w);
    world_submit(w, 0, 2, 2, 100);
    world_settle(w);
    assert_int_equal(world_batch_rc(w, 0), E_NOSPACE);
    assert_int_equal(world_batch_rc(w, 1), E_NOSPACE);
    assert_int_equal(world_append(w, 0, 1, 2, 100), 0);
}

/* A sync fails: the batch and everything after it fail, replicas hear of it, and that file is never
 * synced again (I19). */
static void test_failed_sync_is_final(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, 0);
    assert_int_equal(world_append(w, 0, 1, 5, 100), 0);
    sim_disk_fail(w->machine, SIM_DISK_SYNC, "/log.", 1, E_IO, false);
    assert_int_equal(world_append(w, 0, 6, 6, 100), E_IO);
    assert_int_equal(world_append(w, 0, 7, 7, 100), E_IO);
    assert_int_equal(world_append(w, 1, 1, 1, 100), E_IO);
    world_settle(w);
    assert_int_equal(w->parts[0].failed, 1);
    assert_true(world_stats(w).is_failed);
    assert_int_equal(sim_disk_syncs_after_failure(w->machine), 0);

    world_crash(w, SIM_POWER);
    assert_int_equal(world_open(w), 0);
    assert_true(w->parts[0].replayed >= 5);
    assert_true(w->parts[1].replayed == 0);
}

/* With sync = os a write waits for no disk, survives the process, and rotation syncs behind it. */
static void test_sync_os(void **state)
{
    struct world *w = *state;
    world_close(w);
    w->options.sync = LOG_SYNC_OS;
    assert_int_equal(world_open(w), 0);
    uint64_t before = world_stats(w).syncs;
    assert_int_equal(world_append(w, 0, 1, 5, 100), 0);
    assert_int_equal(world_stats(w).syncs, before);
    for (uint64_t decree = 6; decree <= 40; decree++)
        assert_int_equal(world_append(w, 0, decree, decree, 500), 0);
    world_settle(w);
    assert_true(world_stats(w).syncs > before);

    world_crash(w, SIM_KILL);
    assert_int_equal(world_open(w), 0);
    assert_int_equal(w->parts[0].replayed, 40);
    world_crash(w, SIM_POWER);
    assert_int_equal(world_open(w), 0);
    assert_int_equal(w->parts[0].replayed, 40); /* What was replayed once was made durable. */
}

/* Under sync = os power loss takes an end of the log, never a middle, and damages nobody. */
static void test_sync_os_loses_only_the_end(void **state)
{
    struct world *w = *state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_fini(w);
        world_init(w, seed);
        w->options.sync = LOG_SYNC_OS;
        assert_int_equal(world_open(w), 0);
        for (uint64_t decree = 1; decree <= 60; decree++) {
            assert_int_equal(world_append(w, 0, decree, decree, 400), 0);
            assert_int_equal(world_append(w, 1, decree, decree, 90), 0);
        }
        world_crash(w, SIM_POWER);
        assert_int_equal(world_open(w), 0);
        assert_true(w->parts[0].damaged_above == UINT64_MAX);
        assert_true(w->parts[1].damaged_above == UINT64_MAX);
        assert_true(w->parts[0].replayed <= w->parts[1].replayed + 1);
    }
}

/* A record larger than a segment and than every buffer. */
static void test_largest_record(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_append(w, 0, 1, 1, MUTATION_SIZE_MAX), 0);
    assert_int_equal(world_append(w, 0, 2, 2, 10), 0);
    assert_int_equal(world_read(w, 0, 1, 2), 0);
    assert_int_equal(w->read_last, 1);
    world_crash(w, SIM_POWER);
    assert_int_equal(world_open(w), 0);
    assert_int_equal(w->parts[0].replayed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_acknowledged_survives_power_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batches_share_one_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay_begins_above_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_goes_on_over_many_lives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_ballot_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk_refuses_and_recovers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_leaves_no_hole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_sync_is_final, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sync_os, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sync_os_loses_only_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_largest_record, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
