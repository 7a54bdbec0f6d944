/* tests/core/repl/test_repl_group.c: three replicas under every fault of group.h, thousands of
 * lives of a few hundred steps. The rules are checked after every step by the group itself; each
 * life ends healed, and then everything must come to an end by itself. PIRENE_SEED repeats one
 * life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group.h"

enum { LIVES = 3000, STEPS = 1000 };

static uint64_t some_node(struct group *g)
{
    return 1 + prng_below(&g->prng, GROUP_NODES);
}

/* ---- The meta group, which sees little and decides anyway ---- */

/* All members of the newest configuration, or all but one: none of these holds less than what is
 * committed, so any of them may be primary. */
static void decide_smaller(struct group *g, uint32_t drop_percent)
{
    uint64_t members[REPL_MEMBERS_MAX];
    uint32_t count = 0;
    const struct repl_config *c = &g->config;
    uint64_t skip = c->member_count;
    if (c->member_count > 1 && prng_percent(&g->prng, drop_percent))
        skip = prng_below(&g->prng, c->member_count);
    for (uint32_t i = 0; i < c->member_count; i++)
        if (i != skip) members[count++] = c->members[i];
    group_decide(g, members, count, members[prng_below(&g->prng, count)]);
}

/* The power fails everywhere. */
static void power_cut(struct group *g)
{
    for (uint64_t id = 1; id <= GROUP_NODES; id++) group_crash(g, id);
    while (g->message_count > 0) group_drop(g, 0);
    decide_smaller(g, 0);
    for (uint64_t id = 1; id <= GROUP_NODES; id++) group_restart(g, id);
}

/* Who is no member copies what the members have, and joins them by itself. */
static bool add_learner(struct group *g)
{
    const uint64_t id = some_node(g);
    if (g->config.learner != 0 || group_is_member(g, id)) return false;
    group_decide_learner(g, id);
    return true;
}

/* ---- A life ---- */

struct faults {
    uint32_t drop_percent, duplicate_percent, reorder_percent;
    uint32_t crash_rate, decide_rate, log_failure_rate; /* In 1000 steps. */
};

static struct faults draw_faults(struct group *g)
{
    struct prng *p = &g->prng;
    g->crash_percent = prng_percent(p, 30) ? 1 : 0;
    return (struct faults){
        .drop_percent = prng_percent(p, 30) ? (uint32_t)prng_below(p, 3) : 0,
        .duplicate_percent = prng_percent(p, 30) ? (uint32_t)prng_below(p, 10) : 0,
        .reorder_percent = prng_percent(p, 25) ? (uint32_t)prng_below(p, 60) : 0,
        .crash_rate = prng_percent(p, 70) ? (uint32_t)prng_below(p, 8) : 0,
        .decide_rate = prng_percent(p, 90) ? (uint32_t)prng_below(p, 16) : 0,
        .log_failure_rate = prng_percent(p, 10) ? 2 : 0,
    };
}

static void deliver_some(struct group *g, const struct faults *f)
{
    if (g->message_count == 0) return;
    uint32_t index = 0;
    if (prng_percent(&g->prng, f->reorder_percent))
        index = (uint32_t)prng_below(&g->prng, g->message_count);
    if (prng_percent(&g->prng, f->drop_percent)) {
        group_drop(g, index);
        return;
    }
    if (prng_percent(&g->prng, f->duplicate_percent)) group_duplicate(g, index);
    group_deliver(g, index);
}

static void fail_log(struct group *g, uint64_t id)
{
    struct repl_event failed = {.type = REPL_LOG_FAILED, .failed.rc = E_IO};
    if (group_node(g, id)->is_up) group_step(g, id, &failed);
}

static void misfortune(struct group *g, const struct faults *f)
{
    uint64_t dice = prng_below(&g->prng, 1000);
    if (dice < f->crash_rate) {
        group_crash(g, some_node(g));
    } else if ((dice -= f->crash_rate) < f->decide_rate) {
        if (g->config.ballot + 4 >= GROUP_BALLOTS_MAX) return;
        if (prng_percent(&g->prng, 20)) power_cut(g);
        else if (!add_learner(g)) decide_smaller(g, 30);
        group_tell_all(g);
    } else if ((dice -= f->decide_rate) < f->log_failure_rate) {
        fail_log(g, some_node(g));
    }
}

static void step_somehow(struct group *g, const struct faults *f)
{
    uint64_t id = some_node(g);
    misfortune(g, f);
    switch (prng_below(&g->prng, 24)) {
    case 0:
    case 1: (void)group_submit(g, g->config.primary); break;
    case 2:
        (void)group_submit(g, id);
        break; /* Perhaps one who doesn't know that he was deposed. */
    case 3:
    case 4:
    case 5: group_sync_log(g, id, 1 + (uint32_t)prng_below(&g->prng, 4)); break;
    case 6:
        for (id = 1; id <= GROUP_NODES; id++) group_save_state(g, id);
        break;
    case 7:
    case 8: group_apply(g, id, prng_below(&g->prng, 4)); break;
    case 9:
        if (prng_percent(&g->prng, 60)) group_restart(g, id);
        break;
    case 10:
        if (prng_percent(&g->prng, 30)) group_tell(g, id);
        else group_renew_learner(g);
        break;
    case 11: g->wall_us = g->wall_us + prng_below(&g->prng, 3000) - 1400; break;
    default: deliver_some(g, f); break;
    }
}

/* Heal: everybody up, the net and the clocks good, a configuration that all members hear of. Then
 * writes commit, and everybody has applied them without anybody writing more. */
static void heal(struct group *g)
{
    g->crash_percent = 0;
    for (uint64_t id = 1; id <= GROUP_NODES; id++) {
        if (group_node(g, id)->repl.is_stopped) group_crash(g, id);
        group_restart(g, id);
    }
    decide_smaller(g, 0);
    group_tell_all(g);
    group_settle(g);
    struct group_node *primary = group_serving(g);
    assert_non_null(primary);
    for (int i = 0; i < 3; i++) assert_true(group_submit(g, g->config.primary));
    group_settle(g);
    for (uint64_t id = 1; id <= GROUP_NODES; id++) {
        if (group_is_member(g, id)) continue;
        group_decide_learner(g, id);
        group_tell_all(g);
        group_settle(g);
        assert_true(group_is_member(g, id));
    }
    primary = group_serving(g);
    assert_non_null(primary);
    assert_true(group_submit(g, g->config.primary));
    group_settle(g);
    assert_int_equal(g->acked_to[g->config.ballot], primary->repl.prepared);
    for (uint32_t i = 0; i < g->config.member_count; i++)
        assert_int_equal(group_node(g, g->config.members[i])->repl.applied, primary->repl.prepared);
}

static void live(struct group *g, uint64_t seed)
{
    group_init(g, seed);
    group_tell_all(g);
    if (seed % 2 == 0) group_settle(g); /* Otherwise trouble is there from the first moment. */
    struct faults f = draw_faults(g);
    for (int i = 0; i < STEPS; i++) step_somehow(g, &f);
    heal(g);
}

/* Whatever happens, committed prefixes agree, what was acknowledged stays, a new primary serves
 * only when it has reconciled, and a healed group comes to rest with all applied everywhere. */
static void test_lives_under_faults(void **state)
{
    (void)state;
    struct group *g = calloc(1, sizeof *g);
    assert_non_null(g);
    const char *one = getenv("PIRENE_SEED");
    uint64_t first = one != NULL ? strtoull(one, NULL, 0) : 1;
    uint64_t last = one != NULL ? first : LIVES;
    uint64_t acks = 0, holes = 0, ballots = 0, joins = 0, copies = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        live(g, seed);
        acks += g->acks;
        holes += g->holes;
        joins += g->joins;
        copies += g->copies;
        ballots += g->config.ballot;
        group_fini(g);
    }
    print_message("%llu acknowledgements, %llu holes, %llu configurations, %llu learners joined, "
                  "%llu stores copied\n",
                  (unsigned long long)acks, (unsigned long long)holes, (unsigned long long)ballots,
                  (unsigned long long)joins, (unsigned long long)copies);
    assert_true(one != NULL || (acks > 5 * LIVES && holes > LIVES && ballots > 4 * LIVES &&
                                joins > LIVES && copies > LIVES / 2));
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives_under_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
