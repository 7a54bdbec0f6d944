/* tests/log_crash/test_log_crash.c: every way in which a crash can leave the log, looked at.
 *
 * A fixed life of a log is recorded operation by operation. For every prefix of the operations, and
 * every fate of those that no sync covers (all subsets of up to six; else singles, all but one and
 * random ones; each write whole or torn at every sector, the rest old, zero or noise: in the first life
 * beside every fate of the others, in later ones when all others happened), the log is recovered and
 * must hold:
 *
 *   1  recovery succeeds, and calls nobody damaged
 *   2  every acknowledged mutation is there
 *   3  what is there was submitted, in order, and nothing else (checked while replaying)
 *   4  replay begins right above what each store holds
 *   5  a crash at each operation of the recovery itself changes nothing
 *   6  what a store has not flushed or a shipper not confirmed can be read, from the log or the backlog
 *   7  all of this also for a replica that is set aside in the next life, and for the others then; and
 *      after a crash at each operation of that life, in which its records move to backlog files */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/mlog/mlog.h"
#include "log_crash/story.h"

#ifndef LIVES
#define LIVES 2 /* Of chance, beside those that are written down. */
#endif

enum {
    OPEN_MAX = 64,
    SUBSET_MAX = 6,
    RANDOM_SUBSETS = 64,
    NESTED_EVERY = 23,
    ASIDE_EVERY = 5,
    ASIDE_NESTED_EVERY = 29
};

/* 0 writes and is flushed now and then, 1 has a remote that falls behind and comes back, 2 writes
 * once and falls silent, 3 writes large records. */
static const struct action life[] = {
    {HOLD, 0, 0, NONE},   {HOLD, 1, 0, 0},     {HOLD, 2, 0, NONE},   {HOLD, 3, 0, NONE},
    {APPEND, 0, 3, 100},  {APPEND, 1, 1, 400}, {APPEND, 2, 2, 50},   {APPEND, 0, 1, 20},
    {APPEND, 3, 1, 1500}, {APPEND, 1, 4, 300}, {APPEND, 0, 2, 700},  {HOLD, 0, 1, NONE},
    {APPEND, 1, 2, 350},  {APPEND, 1, 1, 900}, {APPEND, 0, 5, 30},   {HOLD, 2, 0, NONE},
    {APPEND, 3, 1, 3000}, {HOLD, 3, 0, NONE},  {APPEND, 1, 3, 500},  {HOLD, 1, 3, 9},
    {APPEND, 0, 2, 300},  {APPEND, 1, 2, 800}, {HOLD, 0, 0, NONE},   {APPEND, 1, 3, 700},
    {HOLD, 1, 0, 14},     {APPEND, 0, 1, 500}, {APPEND, 1, 2, 1000}, {REOPEN, 0, 0, 0},
    {APPEND, 0, 1, 90},   {APPEND, 1, 1, 600}, {APPEND, 2, 1, 60},   {HOLD, 1, 0, 12},
    {APPEND, 0, 4, 400},  {HOLD, 0, 0, NONE},  {APPEND, 1, 2, 1100}, {HOLD, 1, 0, 2},
    {APPEND, 3, 2, 200},  {APPEND, 1, 1, 100}, {HOLD, 3, 2, NONE},   {HOLD, 1, 0, 0},
    {APPEND, 0, 1, 10},   {HOLD, 2, 0, NONE},  {APPEND, 1, 3, 600},  {APPEND, 0, 1, 10},
};

/* 0 is set aside with records between those of others, twice, writes again before it has flushed, and is
 * set aside once more. 1 has a backlog for its remote, and stops; 2 stops with what it never flushed. */
static const struct action kept_life[] = {
    {HOLD, 0, 0, NONE},   {HOLD, 1, 0, 0},      {HOLD, 2, 0, NONE},   {HOLD, 3, 0, NONE},
    {APPEND, 0, 3, 500},  {APPEND, 1, 2, 600},  {APPEND, 2, 2, 300},  {HOLD, 0, 1, NONE},
    {APPEND, 3, 1, 3000}, {APPEND, 0, 4, 600},  {APPEND, 1, 3, 700},  {APPEND, 0, 2, 900},
    {HOLD, 2, 0, NONE},   {HOLD, 1, 0, 3},      {SET_ASIDE, 0, 0, 0}, {HOLD, 3, 0, NONE},
    {APPEND, 3, 1, 3000}, {APPEND, 1, 1, 900},  {HOLD, 3, 0, NONE},   {HOLD, 1, 0, 4},
    {APPEND, 3, 1, 3200}, {HOLD, 3, 0, NONE},   {REOPEN, 0, 0, 0},    {APPEND, 3, 1, 3000},
    {HOLD, 3, 0, NONE},   {APPEND, 2, 1, 100},  {REPAIR, 0, 0, 0},    {APPEND, 0, 2, 800},
    {APPEND, 3, 1, 3000}, {HOLD, 3, 0, NONE},   {HOLD, 1, 0, 2},      {REOPEN, 0, 0, 0},
    {APPEND, 0, 1, 400},  {SET_ASIDE, 0, 0, 0}, {HOLD, 2, 0, NONE},   {APPEND, 3, 1, 3300},
    {HOLD, 3, 0, NONE},   {APPEND, 1, 2, 800},  {HOLD, 1, 1, 3},      {STOP, 1, 0, 0},
    {APPEND, 3, 1, 3000}, {HOLD, 3, 0, NONE},   {APPEND, 2, 2, 1200}, {STOP, 2, 0, 0},
    {APPEND, 3, 1, 3400}, {HOLD, 3, 0, NONE},   {REPAIR, 0, 0, 0},    {APPEND, 2, 1, 200},
    {HOLD, 0, 2, NONE},   {HOLD, 0, 0, NONE},   {HOLD, 2, 0, NONE},   {HOLD, 1, 0, 1},
    {APPEND, 3, 1, 3000}, {HOLD, 3, 0, NONE},   {REOPEN, 0, 0, 0},    {HOLD, 1, 0, 0},
};

struct walk {
    const struct told *told;
    enum log_sync sync;
    bool is_thin; /* Tear a write only where all others happen. */
    size_t at;    /* Operations that happened. */
    size_t open[OPEN_MAX];
    struct fate fates[OPEN_MAX];
    size_t open_count;
    struct state states[PARTS];
    uint64_t images, nested, aside;
};

/* ---- What must hold ---- */

static void found_check(const struct walk *w, const struct found *f)
{
    assert_int_equal(f->rc, 0);
    for (int i = 0; i < PARTS; i++) {
        const struct state *s = &w->states[i];
        assert_false(f->is_damaged[i]);
        assert_true(w->sync == LOG_SYNC_OS || f->replayed[i] >= s->acked);
        assert_true(f->replayed[i] <= s->submitted);
        assert_true(w->sync == LOG_SYNC_OS || f->is_readable[i]);
    }
}

/* Recover again and again, each time from a crash one operation later in the first recovery. */
static void nested_check(struct walk *w, const struct disk *image, const struct found *first)
{
    struct disk run;
    struct found found;
    disk_copy(&run, image);
    disk_record(&run);
    story_recover(&run, w->sync, w->states, false, &found);
    struct fate fates[OPEN_MAX];
    size_t open[OPEN_MAX];
    for (size_t at = 0; at <= run.op_count; at++) {
        size_t count = disk_open_ops(&run, at, open, OPEN_MAX);
        for (size_t is_done = 0; is_done < 2; is_done++) {
            struct disk again;
            for (size_t i = 0; i < count; i++)
                fates[i] = (struct fate){.is_done = is_done == 1, .cut = SIZE_MAX};
            disk_crash(image, &run, at, open, fates, count, &again);
            story_recover(&again, w->sync, w->states, false, &found);
            assert_int_equal(found.rc, 0);
            assert_memory_equal(found.replayed, first->replayed, sizeof found.replayed);
            for (int i = 0; i < PARTS; i++) assert_false(found.is_damaged[i]);
            disk_fini(&again);
            w->nested++;
            if (count == 0) break;
        }
    }
    disk_fini(&run);
}

/* Crashes of the life 'run', which began on 'image' and in which 'part' was set aside: it has everything
 * afterwards, and the others have what they had. */
static void aside_nested_check(struct walk *w, const struct disk *image, const struct disk *run,
                               const struct found *first, const struct state flushed[PARTS],
                               size_t flushed_at)
{
    struct fate fates[OPEN_MAX];
    size_t open[OPEN_MAX];
    for (size_t at = 0; at <= run->op_count; at++) {
        size_t count = disk_open_ops(run, at, open, OPEN_MAX);
        for (size_t is_done = 0; is_done < 2; is_done++) {
            struct disk again;
            struct found found;
            for (size_t i = 0; i < count; i++)
                fates[i] = (struct fate){.is_done = is_done == 1, .cut = SIZE_MAX};
            disk_crash(image, run, at, open, fates, count, &again);
            story_recover(&again, w->sync, at > flushed_at ? flushed : w->states, true, &found);
            assert_int_equal(found.rc, 0);
            assert_memory_equal(found.replayed, first->replayed, sizeof found.replayed);
            for (int i = 0; i < PARTS; i++) assert_false(found.is_damaged[i]);
            for (int i = 0; i < PARTS; i++)
                assert_true(w->sync == LOG_SYNC_OS || found.is_readable[i]);
            disk_fini(&again);
            w->nested++;
            if (count == 0) break;
        }
    }
}

/* One replica is set aside in the life that follows the crash, and is there again in the one after it. */
static void aside_check(struct walk *w, const struct disk *image, const struct found *first,
                        int part, bool is_nested)
{
    struct disk run;
    struct found found;
    struct state flushed[PARTS];
    size_t flushed_at;
    memcpy(flushed, w->states, sizeof flushed);
    disk_copy(&run, image);
    disk_record(&run);
    story_set_aside(&run, w->sync, part, flushed, &flushed_at, &found);
    assert_int_equal(found.rc, 0);
    for (int i = 0; i < PARTS; i++) {
        assert_false(found.is_damaged[i]);
        assert_true(i == part || found.replayed[i] == first->replayed[i]);
    }
    if (is_nested) aside_nested_check(w, image, &run, first, flushed, flushed_at);
    story_recover(&run, w->sync, flushed, true, &found);
    found_check(w, &found);
    assert_int_equal(found.replayed[part], first->replayed[part]);
    disk_fini(&run);
    w->aside++;
}

static void image_check(struct walk *w)
{
    struct disk image, copy;
    struct found found;
    disk_crash(NULL, &w->told->disk, w->at, w->open, w->fates, w->open_count, &image);
    bool is_nested = w->images % NESTED_EVERY == 0;
    bool is_aside = w->images % ASIDE_EVERY == 0;
    if (is_nested || is_aside) disk_copy(&copy, &image);
    story_recover(&image, w->sync, w->states, true, &found);
    found_check(w, &found);
    if (is_nested) nested_check(w, &copy, &found);
    if (is_aside)
        aside_check(w, &copy, &found, (int)(w->aside % PARTS), w->aside % ASIDE_NESTED_EVERY == 0);
    if (is_nested || is_aside) disk_fini(&copy);
    disk_fini(&image);
    w->images++;
}

/* ---- All fates ---- */

/* Every way to tear each one of the writes that happen, the others whole. */
static void torn_check(struct walk *w)
{
    for (size_t i = 0; i < w->open_count; i++) {
        const struct op *op = &w->told->disk.ops[w->open[i]];
        if (op->type != OP_WRITE || !w->fates[i].is_done) continue;
        for (size_t cut = 0; cut < op->size; cut += DISK_SECTOR) {
            for (int fill = cut == 0 ? CUT_ZERO : CUT_OLD; fill <= CUT_NOISE; fill++) {
                w->fates[i].cut = cut;
                w->fates[i].fill = (enum disk_fill)fill;
                image_check(w);
            }
        }
        w->fates[i].cut = SIZE_MAX;
    }
}

static void subset_check(struct walk *w, uint64_t mask)
{
    for (size_t i = 0; i < w->open_count; i++)
        w->fates[i] = (struct fate){.is_done = (mask >> i & 1) != 0, .cut = SIZE_MAX};
    image_check(w);
    uint64_t all = (UINT64_C(1) << w->open_count) - 1;
    if (!w->is_thin || mask == all) torn_check(w);
}

static void prefix_check(struct walk *w)
{
    w->open_count = disk_open_ops(&w->told->disk, w->at, w->open, OPEN_MAX - 1);
    story_state(w->told, w->at, w->states);
    uint64_t all = (UINT64_C(1) << w->open_count) - 1;
    if (w->open_count <= SUBSET_MAX) {
        for (uint64_t mask = 0; mask <= all; mask++) subset_check(w, mask);
        return;
    }
    struct prng prng;
    prng_init(&prng, w->at);
    for (size_t i = 0; i < w->open_count; i++) {
        subset_check(w, UINT64_C(1) << i);
        subset_check(w, all & ~(UINT64_C(1) << i));
    }
    for (int i = 0; i < RANDOM_SUBSETS; i++) subset_check(w, prng_next(&prng) & all);
}

struct counts {
    uint64_t operations, images, nested, aside;
    uint64_t kept_size_max;
};

static void life_check(enum log_sync sync, bool is_thin, const struct action *actions, size_t count,
                       struct counts *counts)
{
    struct told *told = malloc(sizeof *told);
    assert_non_null(told);
    story_tell(told, sync, actions, count);
    struct walk w = {.told = told, .sync = sync, .is_thin = is_thin};
    for (w.at = 0; w.at <= told->disk.op_count; w.at++) prefix_check(&w);
    counts->operations += told->disk.op_count;
    counts->images += w.images;
    counts->nested += w.nested;
    counts->aside += w.aside;
    counts->kept_size_max = told->kept_size_max;
    story_fini(told);
    free(told);
}

static struct action action_draw(struct prng *prng)
{
    int part = (int)prng_below(prng, PARTS);
    uint64_t chance = prng_below(prng, 100);
    if (chance < 2) return (struct action){REOPEN, 0, 0, 0};
    if (chance < 4) return (struct action){SET_ASIDE, part, 0, 0};
    if (chance < 6) return (struct action){STOP, part, 0, 0};
    if (chance < 9) return (struct action){REPAIR, 0, 0, 0};
    if (chance < 30)
        return (struct action){HOLD, part, prng_below(prng, 6),
                               part == 1 ? prng_below(prng, 25) : NONE};
    uint64_t size = prng_percent(prng, 10) ? 3500 : 1 + prng_below(prng, 1200);
    return (struct action){APPEND, part, 1 + prng_below(prng, 5), size};
}

static void lives_check(enum log_sync sync, uint64_t lives)
{
    enum { ACTIONS = 80 };
    struct counts counts = {0};
    life_check(sync, false, life, sizeof life / sizeof life[0], &counts);
    life_check(sync, true, kept_life, sizeof kept_life / sizeof kept_life[0], &counts);
    assert_true(counts.kept_size_max > 3 * LOG_SEGMENT_SIZE_MIN); /* They did move. */
    for (uint64_t seed = 1; seed <= lives; seed++) {
        struct action actions[ACTIONS];
        struct prng prng;
        prng_init(&prng, seed);
        for (size_t i = 0; i < PARTS; i++)
            actions[i] = (struct action){HOLD, (int)i, 0, i == 1 ? 0 : NONE};
        for (size_t i = PARTS; i < ACTIONS; i++) actions[i] = action_draw(&prng);
        life_check(sync, true, actions, ACTIONS, &counts);
    }
    print_message(
        "%llu operations, %llu images, %llu replicas set aside, %llu crashes inside recovery\n",
        (unsigned long long)counts.operations, (unsigned long long)counts.images,
        (unsigned long long)counts.aside, (unsigned long long)counts.nested);
}

static void test_every_crash_of_a_synced_log(void **state)
{
    (void)state;
    lives_check(LOG_SYNC_GROUP, LIVES);
}

/* With sync = os acknowledged writes may be lost, but only at the end, and nobody is damaged. */
static void test_every_crash_of_an_unsynced_log(void **state)
{
    (void)state;
    lives_check(LOG_SYNC_OS, LIVES / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_crash_of_a_synced_log),
        cmocka_unit_test(test_every_crash_of_an_unsynced_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
