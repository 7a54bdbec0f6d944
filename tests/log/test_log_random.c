/* tests/log/test_log_random.c: chance writes, flushes, ships, reads, fills the disk, kills and cuts
 * the power, also in the middle of anything; and after every restart a model is asked:
 *
 *   - what was acknowledged is there (I4), replay leaves no gap (I11), nobody is damaged
 *   - what a shipper has not confirmed can be read, from log or backlog (I10, I13)
 *   - when nothing is needed any more, nothing is kept (I10, the converse)
 *   - no file was synced again after a failed sync (I19) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "log/world.h"

#ifndef SEEDS
#define SEEDS 400
#endif

enum { USED = 4, STEPS = 120 }; /* Partitions; actions of one seed. */

struct model {
    struct world world;
    struct prng prng;
    uint64_t submitted[USED], acked[USED], durable[USED], confirmed[USED];
    bool has_shipper[USED];
    uint64_t crashes, refusals;
};

static bool is_dead(const struct model *m)
{
    return !sim_machine_is_up(m->world.machine);
}

/* What sync = os promises holds for a process that dies, not for a machine. */
static enum sim_end crash_draw(struct model *m)
{
    if (m->world.options.sync == LOG_SYNC_OS) return SIM_KILL;
    return prng_percent(&m->prng, 50) ? SIM_KILL : SIM_POWER;
}

static void act_append(struct model *m, int part)
{
    struct world *w = &m->world;
    uint64_t count = 1 + prng_below(&m->prng, 4);
    uint64_t size = 1 + prng_below(&m->prng, prng_percent(&m->prng, 5) ? 6000 : 500);
    uint64_t first = m->acked[part] + 1;
    if (m->submitted[part] < first + count - 1) m->submitted[part] = first + count - 1;
    int rc = world_append(w, part, first, first + count - 1, size);
    if (rc == 0) m->acked[part] = first + count - 1;
    else m->refusals += rc == E_NOSPACE;
}

static void act_hold(struct model *m, int part)
{
    uint64_t ahead = m->acked[part] - m->durable[part];
    m->durable[part] += prng_below(&m->prng, ahead + 1);
    uint64_t behind = m->acked[part] - m->confirmed[part];
    if (m->has_shipper[part]) m->confirmed[part] += prng_below(&m->prng, behind / 4 + 1);
    world_hold(&m->world, part, m->durable[part],
               m->has_shipper[part] ? m->confirmed[part] : LOG_NO_SHIPPER);
}

static void act_read(struct model *m, int part)
{
    if (!m->has_shipper[part] || m->acked[part] == m->confirmed[part]) return;
    bool has_all = world_reads_all(&m->world, part, m->confirmed[part] + 1, m->acked[part]);
    assert_true(has_all || is_dead(m));
}

static void reset(struct model *m)
{
    struct world *w = &m->world;
    assert_int_equal(sim_disk_syncs_after_failure(w->machine), 0);
    m->crashes++;
    world_crash(w, crash_draw(m));
    if (prng_percent(&m->prng, 50)) return;
    sim_disk_mend(w->machine);
    sim_machine_crash_at(w->machine, 0, SIM_KILL);
}

static void after_restart(struct model *m)
{
    struct world *w = &m->world;
    for (int i = 0; i < USED; i++) w->parts[i].durable = m->durable[i];
    while (world_open(w) != 0) reset(m); /* Faults are armed, recovery meets them too. */
    for (int i = 0; i < USED; i++) {
        if (w->parts[i].damaged_above != UINT64_MAX)
            fail_msg("1.%d is damaged above %llu: %s", i,
                     (unsigned long long)w->parts[i].damaged_above, w->parts[i].why);
        assert_true(w->parts[i].replayed >= m->acked[i]);
        assert_true(w->parts[i].replayed <= m->submitted[i]);
        m->acked[i] = w->parts[i].replayed;
    }
    for (int i = 0; i < USED; i++) act_read(m, i);
    for (int i = 0; i < USED; i++) act_hold(m, i);
}

static void act_crash(struct model *m)
{
    reset(m);
    after_restart(m);
}

static void act_fault(struct model *m)
{
    struct sim_machine *machine = m->world.machine;
    switch (prng_below(&m->prng, 3)) {
    case 0:
        sim_disk_fail(machine, SIM_DISK_WRITE, NULL, 1 + prng_below(&m->prng, 4), E_NOSPACE, false);
        break;
    case 1:
        sim_disk_fail(machine, SIM_DISK_SYNC, NULL, 1 + prng_below(&m->prng, 8), E_IO, false);
        break;
    default: sim_machine_crash_at(machine, 1 + prng_below(&m->prng, 12), crash_draw(m));
    }
}

static void step(struct model *m)
{
    int part = (int)prng_below(&m->prng, USED);
    uint64_t chance = prng_below(&m->prng, 100);
    if (chance < 55) act_append(m, part);
    else if (chance < 80) act_hold(m, part);
    else if (chance < 90) act_read(m, part);
    else if (chance < 96) act_fault(m);
    else act_crash(m);
    if (is_dead(m) || world_stats(&m->world).is_failed) act_crash(m);
}

/* Everything is flushed and confirmed: one segment is left, and no backlog. */
static void end_check(struct model *m)
{
    struct world *w = &m->world;
    act_append(m, 0); /* So that the newest segment has been written. */
    for (int i = 0; i < USED; i++) world_hold(w, i, m->acked[i], LOG_NO_SHIPPER);
    for (int i = USED; i < PARTITIONS; i++) world_hold(w, i, 0, LOG_NO_SHIPPER);
    /* With sync = os the newest is not known to be durable, so the one before it stays too. */
    assert_true(world_stats(w).segments <= (w->options.sync == LOG_SYNC_OS ? 2 : 1));
    assert_int_equal(world_stats(w).backlog_size, 0);
}

static void seed_run(struct model *m, uint64_t seed)
{
    struct world *w = &m->world;
    *m = (struct model){0};
    prng_init(&m->prng, seed);
    world_init(w, seed);
    w->options.ship_size = prng_percent(&m->prng, 50) ? 2 * LOG_SEGMENT_SIZE_MIN : UINT64_MAX;
    w->options.sync = prng_percent(&m->prng, 25) ? LOG_SYNC_OS : LOG_SYNC_GROUP;
    m->has_shipper[1] = m->has_shipper[2] = true;
    after_restart(m);
    for (int i = 0; i < STEPS; i++) step(m);
    sim_disk_mend(w->machine);
    sim_machine_crash_at(w->machine, 0, SIM_KILL);
    world_settle(w);
    if (is_dead(m) || world_stats(w).is_failed) act_crash(m);
    end_check(m);
    world_fini(w);
}

static uint64_t last_seed;

static int seed_print(void **state)
{
    (void)state;
    print_message("last seed: %llu\n", (unsigned long long)last_seed);
    return 0;
}

static void test_chance(void **state)
{
    (void)state;
    static struct model m;
    uint64_t crashes = 0, refusals = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        last_seed = seed;
        seed_run(&m, seed);
        crashes += m.crashes;
        refusals += m.refusals;
    }
    print_message("%d seeds, %llu restarts, %llu refusals\n", SEEDS, (unsigned long long)crashes,
                  (unsigned long long)refusals);
    assert_true(crashes > SEEDS && refusals > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_chance, seed_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
