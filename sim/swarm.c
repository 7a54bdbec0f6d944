/* sim/swarm.c: drawing a run, running it, judging it. The faults are in sim/faults.c. */
#include "sim/swarm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/faults.h"
#include "sim/judge.h"
#include "sim/waits.h"

enum { MS = 1000, S = 1000 * MS, HEAL_S = 300, SILENCE_S = 30, LAST_EVENTS = 200 };

struct swarm {
    const struct swarm_options *options;
    struct swarm_result *result;
    struct linked *linked;
    struct faults *faults;
    struct waits *waits[LINKED_SIDES]; /* NULL: none. */
    struct prng prng;
};

const char *swarm_profile_name(enum swarm_profile profile)
{
    static const char *const names[SWARM_PROFILES] = {"swarm", "dup", "liveness", "quiet"};
    return names[profile];
}

int swarm_profile_parse(const char *name, enum swarm_profile *out)
{
    for (int i = 0; i < SWARM_PROFILES; i++) {
        if (strcmp(swarm_profile_name((enum swarm_profile)i), name) != 0) continue;
        *out = (enum swarm_profile)i;
        return 0;
    }
    return E_INVALID;
}

static bool __attribute__((format(printf, 3, 4)))
finish(struct swarm *s, enum swarm_end end, const char *format, ...)
{
    if (s->result->end != SWARM_GOOD) return false;
    s->result->end = end;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(s->result->text, sizeof s->result->text, format, list);
    va_end(list);
    return false;
}

/* ---- Drawing ------------------------------------------------------------------------------------- */

static uint32_t draw_partitions(struct swarm *s)
{
    return 1u << prng_below(&s->prng, 4);
}

static void draw_sizes(struct swarm *s, struct node_config *c)
{
    c->workers = (uint32_t)prng_between(&s->prng, 1, 3);
    c->segment_size = (uint32_t)LOG_SEGMENT_SIZE_MIN << prng_below(&s->prng, 3);
    c->log_flush_size = UINT64_C(16384) << prng_below(&s->prng, 4);
    c->log_ship_size = UINT64_C(16384) << prng_below(&s->prng, 4);
    c->backlog_size_max = prng_percent(&s->prng, 50) ? UINT64_C(64) << 20 : UINT64_C(64) << 10;
}

static void draw_load(struct swarm *s, int side)
{
    struct load_options options = {
        .side = (uint32_t)side,
        .sessions = (uint32_t)prng_between(&s->prng, 1, 8),
        .own_keys = (uint32_t)prng_between(&s->prng, 1, 8),
        .groups = (uint32_t)prng_between(&s->prng, 1, 4),
        .shared_keys = (uint32_t)prng_between(&s->prng, 1, 12),
        .think_us = (uint64_t)1000 << prng_below(&s->prng, 9),
        .timeout_ms = (uint64_t)200 << prng_below(&s->prng, 5),
        .write_percent = (uint32_t)prng_between(&s->prng, 20, 95),
        .value_size_max = 16u << prng_below(&s->prng, 8),
    };
    s->linked->loads[side] = load_new(s->linked->clients[side], &options, prng_next(&s->prng));
}

/* ---- Phases -------------------------------------------------------------------------------------- */

static bool begin(struct swarm *s)
{
    struct linked *l = s->linked;
    for (int i = 0; i < LINKED_SIDES; i++) {
        draw_sizes(s, &l->clusters[i]->config);
        l->clusters[i]->flush_us = (uint64_t)(10 * MS) << prng_below(&s->prng, 6);
    }
    faults_set_quiet(s->faults);
    uint32_t here = draw_partitions(s), there = draw_partitions(s);
    if (!linked_begin(l, here, there)) return finish(s, SWARM_STUCK, "the clusters do not begin");
    for (int i = 0; i < LINKED_SIDES; i++)
        if (!linked_add_dup(l, i, prng_percent(&s->prng, 50)))
            return finish(s, SWARM_STUCK, "a duplication was refused");
    return true;
}

static bool is_whole(struct swarm *s)
{
    struct linked *l = s->linked;
    if (l->invariants->is_broken) return finish(s, SWARM_BROKEN, "%s", l->invariants->report.text);
    for (int i = 0; i < LINKED_SIDES; i++)
        if (l->loads[i] != NULL && l->loads[i]->is_broken)
            return finish(s, SWARM_BROKEN, "%s", l->loads[i]->report.text);
    return true;
}

static bool run(struct swarm *s, uint64_t for_us)
{
    uint64_t end_us = sim_now_us(s->linked->sim) + for_us;
    while (sim_now_us(s->linked->sim) < end_us) {
        uint64_t left_us = end_us - sim_now_us(s->linked->sim);
        (void)linked_run(s->linked, left_us < 20 * MS ? left_us : 20 * MS);
        if (!is_whole(s)) return false;
        faults_tend(s->faults);
    }
    return true;
}

static bool is_settled(struct swarm *s)
{
    struct linked *l = s->linked;
    for (int i = 0; i < LINKED_SIDES; i++) {
        if (!load_is_idle(l->loads[i])) return false;
        if (s->waits[i] != NULL && !waits_is_idle(s->waits[i])) return false;
    }
    return faults_is_settled(s->faults) && invariants_is_quiet(l->invariants) &&
           invariants_logs_are_small(l->invariants);
}

static bool settle(struct swarm *s)
{
    struct linked *l = s->linked;
    uint64_t end_us = sim_now_us(l->sim) + HEAL_S * (uint64_t)S;
    faults_heal(s->faults);
    for (int i = 0; i < LINKED_SIDES; i++) {
        load_stop(l->loads[i]);
        if (s->waits[i] != NULL) waits_stop(s->waits[i]);
    }
    while (!is_settled(s) && sim_now_us(l->sim) < end_us)
        if (!run(s, 20 * MS)) return false;
    if (is_settled(s)) return true;
    char why[512];
    invariants_explain(l->invariants, why, sizeof why);
    return finish(s, SWARM_STUCK, "not settled after %d s without faults: clients %s, %s: %s",
                  HEAL_S, load_is_idle(l->loads[0]) ? "idle" : "waiting",
                  load_is_idle(l->loads[1]) ? "idle" : "waiting", why);
}

static bool stop(struct swarm *s)
{
    for (int i = 0; i < LINKED_SIDES; i++)
        if (!sim_cluster_stop(s->linked->clusters[i], 60 * (uint64_t)S))
            return finish(s, SWARM_STUCK, "a node does not stop");
    return true;
}

static bool judge(struct swarm *s)
{
    struct report report;
    invariants_check_end(s->linked->invariants);
    if (!is_whole(s)) return false;
    if (judge_histories(s->linked, &report) != VERDICT_OK)
        return finish(s, SWARM_BROKEN, "%s", report.text);
    return true;
}

/* ---- A run without faults (I16) ------------------------------------------------------------------ */

/* Clients stop, and no timer fires any more. What was asked still gets its answer. */
static bool fall_silent(struct swarm *s)
{
    struct linked *l = s->linked;
    for (int i = 0; i < LINKED_SIDES; i++) {
        load_stop(l->loads[i]);
        sim_timers_hold(l->clusters[i]->machine, true);
    }
    uint64_t end_us = sim_now_us(l->sim) + SILENCE_S * (uint64_t)S;
    while (!load_is_idle(l->loads[0]) || !load_is_idle(l->loads[1])) {
        if (sim_now_us(l->sim) >= end_us) return finish(s, SWARM_STUCK, "a question has no end");
        if (!run(s, MS)) return false;
    }
    return true;
}

/* Every client has its answer: what they wrote crosses now, with nobody to push it. */
static bool expect_last_write(struct swarm *s, uint64_t bound_us)
{
    struct linked *l = s->linked;
    if (!run(s, bound_us)) return false;
    if (invariants_are_equal(l->invariants)) return true;
    char why[256];
    invariants_explain(l->invariants, why, sizeof why);
    return finish(s, SWARM_BROKEN,
                  "I16: the last write is not at the remote after %" PRIu64 " us: %s", bound_us,
                  why);
}

static void end_loads(struct linked *l)
{
    for (int i = 0; i < LINKED_SIDES; i++) {
        load_free(l->loads[i]);
        l->loads[i] = NULL;
    }
}

/* A first load, so that streams are live and connections stand: the bound is that of a link, not of its
 * beginning. */
static bool make_acquaintance(struct swarm *s)
{
    struct linked *l = s->linked;
    for (int i = 0; i < LINKED_SIDES; i++) draw_load(s, i);
    if (!run(s, S) || !settle(s)) return false;
    end_loads(l);
    return true;
}

static bool run_quiet(struct swarm *s)
{
    const uint64_t sync_us = 200, one_way_us = prng_between(&s->prng, 0, 50 * MS);
    const struct sim_link link = {.delay_us = one_way_us};
    struct linked *l = s->linked;
    if (!make_acquaintance(s)) return false;
    sim_link_default(l->sim, &link);
    for (int i = 0; i < LINKED_SIDES; i++) {
        struct sim_disk disk;
        sim_disk_default(&disk);
        disk.sync_us = sync_us;
        disk.sync_jitter_us = 0;
        sim_disk_set(l->clusters[i]->machine, &disk);
    }
    for (uint64_t round = 0; round < s->options->virtual_s; round++) {
        for (int i = 0; i < LINKED_SIDES; i++) draw_load(s, i);
        if (!run(s, prng_between(&s->prng, 100 * MS, S))) return false;
        if (!fall_silent(s) || !expect_last_write(s, one_way_us + 2 * sync_us + 5 * MS))
            return false;
        for (int i = 0; i < LINKED_SIDES; i++) sim_timers_hold(l->clusters[i]->machine, false);
        end_loads(l);
    }
    return true;
}

/* ---- The run --------------------------------------------------------------------------------------- */

static void count(struct swarm *s)
{
    struct linked *l = s->linked;
    struct swarm_result *r = s->result;
    r->hash = sim_hash(l->sim);
    r->events = sim_events(l->sim);
    r->virtual_us = sim_now_us(l->sim);
    r->strikes = faults_strikes(s->faults);
    for (int i = 0; i < LINKED_SIDES; i++) {
        r->mutations += l->invariants->sides[i].ghost.mutation_count;
        if (l->loads[i] == NULL) continue;
        r->asked += l->loads[i]->done + l->loads[i]->unknown + l->loads[i]->failed;
        r->unknown += l->loads[i]->unknown;
    }
}

static void run_faulty(struct swarm *s)
{
    for (int i = 0; i < LINKED_SIDES; i++) {
        draw_load(s, i);
        s->waits[i] = waits_new(s->linked, i, prng_next(&s->prng));
    }
    faults_begin(s->faults);
    if (run(s, s->options->virtual_s * (uint64_t)S) && settle(s) && judge(s)) (void)stop(s);
}

void swarm_run(const struct swarm_options *options, struct swarm_result *out)
{
    struct swarm s = {.options = options, .result = out};
    *out = (struct swarm_result){0};
    prng_init(&s.prng, options->seed ^ UINT64_C(0x5eed));
    s.linked = linked_new(options->seed);
    s.faults = faults_new(s.linked, (int)options->profile, prng_next(&s.prng));
    sim_print_to(s.linked->sim, options->trace);
    if (begin(&s)) {
        if (options->profile == SWARM_QUIET) (void)run_quiet(&s);
        else run_faulty(&s);
    }
    count(&s);
    if (out->end != SWARM_GOOD && options->complain != NULL) {
        sim_print_last(s.linked->sim, options->complain, LAST_EVENTS);
        (void)fprintf(options->complain, "%s\n", out->text);
    }
    for (int i = 0; i < LINKED_SIDES; i++) waits_free(s.waits[i]);
    faults_free(s.faults);
    linked_free(s.linked);
}
