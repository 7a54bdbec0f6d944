/* tests/core/fd/test_fd.c: leases and deaths, and that they never meet: whatever the network, the clocks
 * and the leaders do, a node whose lease holds is not taken for dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "core/fd/fd.h"

static const struct fd_times times = {.beacon_ms = 1000, .lease_ms = 9000, .grace_ms = 10000};

static struct fd_lease_effects step(struct fd_lease *l, enum fd_lease_event_type type,
                                    uint64_t now_ms, uint64_t sequence, uint32_t meta)
{
    const struct fd_lease_event event = {type, now_ms, sequence, meta};
    struct fd_lease_effects out;
    fd_lease_step(l, &event, &out);
    return out;
}

/* ---- Settings ---- */

static void test_impossible_times(void **state)
{
    (void)state;
    static const struct {
        struct fd_times times;
        bool is_possible;
    } rows[] = {
        {{3000, 9000, 10000}, true},
        {{3001, 9000, 10000}, false},
        {{0, 9000, 10000}, false},
        {{1000, 9608, 10000}, false}, /* 9608 * 1.02 = 9800.16, 10000 * 0.98 = 9800. */
        {{1000, 9607, 10000}, true},
        {{1000, 20000, 22000}, true},
        {{1000, 22000, 20000}, false},
        {{1000, UINT64_MAX / 2, UINT64_MAX}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = NULL;
        int rc = fd_times_check(&rows[i].times, &why);
        assert_int_equal(rc, rows[i].is_possible ? 0 : E_INVALID);
        assert_int_equal(why == NULL, rows[i].is_possible);
    }
}

/* ---- A node ---- */

/* The lease counts from when the beacon left, not from when its answer came. */
static void test_lease_counts_from_sending(void **state)
{
    (void)state;
    struct fd_lease l;
    fd_lease_init(&l, &times, 3, 100);
    assert_false(fd_lease_holds(&l, 100));
    assert_int_equal(fd_lease_deadline_ms(&l), 100);
    struct fd_lease_effects out = step(&l, FD_TICKED, 100, 0, 0);
    assert_true(out.sends_beacon);
    assert_int_equal(out.sequence, 1);
    out = step(&l, FD_ACKED, 800, 1, 0);
    assert_true(out.is_gained && !out.sends_beacon);
    assert_true(fd_lease_holds(&l, 9099));
    assert_false(fd_lease_holds(&l, 9100));
    out = step(&l, FD_ACKED, 900, 1, 0); /* A second answer to it is none. */
    assert_false(out.is_gained || out.is_lost);
    assert_false(fd_lease_holds(&l, 9100));
}

/* Without answers it ends at its moment, once, and comes back with the next answer to a new beacon. */
static void test_lease_ends_and_returns(void **state)
{
    (void)state;
    struct fd_lease l;
    fd_lease_init(&l, &times, 1, 0);
    (void)step(&l, FD_TICKED, 0, 0, 0);
    (void)step(&l, FD_ACKED, 1, 1, 0);
    uint64_t last = 0;
    struct fd_lease_effects out = {0};
    while (!out.is_lost) {
        uint64_t now_ms = fd_lease_deadline_ms(&l);
        assert_true(now_ms <= 9000);
        out = step(&l, FD_TICKED, now_ms, 0, 0);
        if (out.sends_beacon) last = out.sequence;
    }
    assert_int_equal(l.now_ms, 9000);
    out = step(&l, FD_ACKED, 9001, last, 0);
    assert_true(out.is_gained);
}

/* Beacons go on while answers are slow; the newest answered counts, older ones change nothing. */
static void test_answers_overtake_each_other(void **state)
{
    (void)state;
    struct fd_lease l;
    fd_lease_init(&l, &times, 1, 0);
    for (uint64_t ms = 0; ms <= 4000; ms += 1000)
        assert_true(step(&l, FD_TICKED, ms, 0, 0).sends_beacon);
    (void)step(&l, FD_ACKED, 4100, 4, 0); /* It left at 3000. */
    assert_true(fd_lease_holds(&l, 11999));
    assert_false(fd_lease_holds(&l, 12000));
    (void)step(&l, FD_ACKED, 4200, 2, 0);
    assert_false(fd_lease_holds(&l, 12000));
    (void)step(&l, FD_ACKED, 4300, 5, 0);
    assert_true(fd_lease_holds(&l, 12999));
}

/* An answer to a beacon that was given up long ago means nothing. */
static void test_old_beacons_are_forgotten(void **state)
{
    (void)state;
    struct fd_lease l;
    fd_lease_init(&l, &times, 1, 0);
    for (uint64_t ms = 0; ms <= FD_BEACONS_MAX * 1000; ms += 1000)
        (void)step(&l, FD_TICKED, ms, 0, 0);
    (void)step(&l, FD_ACKED, 8100, 1, 0);
    assert_false(fd_lease_holds(&l, 8100));
    (void)step(&l, FD_ACKED, 8100, 2, 0);
    assert_true(fd_lease_holds(&l, 8100));
}

/* Who doesn't lead says who does; who knows nobody, or is silent, is passed over. After once round there
 * is a pause. */
static void test_leader_is_found(void **state)
{
    (void)state;
    struct fd_lease l;
    fd_lease_init(&l, &times, 3, 0);
    assert_int_equal(step(&l, FD_TICKED, 0, 0, 0).meta, 0);
    struct fd_lease_effects out = step(&l, FD_REFUSED, 1, 1, 2);
    assert_true(out.sends_beacon);
    assert_int_equal(out.meta, 2);
    out = step(&l, FD_REFUSED, 2, 2, FD_META_UNKNOWN);
    assert_true(out.sends_beacon);
    assert_int_equal(out.meta, 0);
    out = step(&l, FD_FAILED, 3, 3, 0);
    assert_true(out.sends_beacon);
    assert_int_equal(out.meta, 1);
    out = step(&l, FD_REFUSED, 4, 4, 77); /* No such meta. */
    assert_false(out.sends_beacon);
    assert_int_equal(fd_lease_deadline_ms(&l), 1003);
    out = step(&l, FD_TICKED, 1003, 0, 0);
    assert_true(out.sends_beacon);
    assert_int_equal(out.meta, 2);
    out = step(&l, FD_ACKED, 1004, 5, 0);
    assert_true(out.is_gained);
    out = step(&l, FD_TICKED, 2003, 0, 0);
    assert_int_equal(out.meta, 2);
}

/* ---- The leader ---- */

/* A new leader gives everyone a whole grace period, whenever the last beacon to another leader was. */
static void test_new_leader_waits(void **state)
{
    (void)state;
    struct fd_watch w;
    fd_watch_init(&w, &times);
    assert_int_equal(fd_watch_heard(&w, 1, 1, 5), E_STATE);
    fd_watch_lead(&w, 50000);
    assert_int_equal(fd_watch_expect(&w, 7, 3), 0);
    assert_int_equal(fd_watch_expect(&w, 2, 1), 0);
    assert_int_equal(fd_watch_deadline_ms(&w), 60001);
    assert_int_equal(fd_watch_next_dead(&w, 60000), 0);
    assert_int_equal(fd_watch_heard(&w, 2, 1, 55000), FD_HEARD);
    assert_int_equal(fd_watch_next_dead(&w, 60001), 7);
    assert_int_equal(fd_watch_next_dead(&w, 60001), 0);
    assert_int_equal(fd_watch_deadline_ms(&w), 65001);
    fd_watch_resign(&w);
    assert_int_equal(fd_watch_deadline_ms(&w), UINT64_MAX);
    assert_int_equal(fd_watch_next_dead(&w, 99999), 0);
    fd_watch_fini(&w);
}

/* The dead come back, and processes follow each other: the state must hear of both. A beacon of the
 * process before, late on its way, is nobody's. */
static void test_new_processes(void **state)
{
    (void)state;
    struct fd_watch w;
    fd_watch_init(&w, &times);
    fd_watch_lead(&w, 0);
    assert_int_equal(fd_watch_heard(&w, 4, 1, 10), FD_HEARD_NEW);
    assert_int_equal(fd_watch_heard(&w, 4, 1, 15),
                     FD_HEARD_NEW); /* Hearing alone revives nobody. */
    assert_int_equal(fd_watch_started(&w, 4, 1, 15), 0);
    assert_int_equal(fd_watch_heard(&w, 4, 1, 20), FD_HEARD);
    assert_int_equal(fd_watch_heard(&w, 4, 2, 25), FD_HEARD_NEW);
    assert_int_equal(fd_watch_started(&w, 4, 2, 30), 0);
    assert_int_equal(fd_watch_started(&w, 4, 2, 35), 0); /* Twice is no second sign of life. */
    assert_int_equal(fd_watch_heard(&w, 4, 1, 40), FD_HEARD_OLD);
    assert_int_equal(fd_watch_deadline_ms(&w), 10031);
    assert_int_equal(fd_watch_next_dead(&w, 10031), 4);
    assert_int_equal(fd_watch_heard(&w, 4, 2, 10040), FD_HEARD_NEW);
    assert_int_equal(fd_watch_deadline_ms(&w), UINT64_MAX);
    fd_watch_fini(&w);
}

/* Who is dying is revived by nothing but a later process, or by the end of its dying: the command may be on
 * its way. Spared, it has another grace; buried, it may start again. */
static void test_dying(void **state)
{
    (void)state;
    struct fd_watch w;
    fd_watch_init(&w, &times);
    fd_watch_lead(&w, 0);
    for (uint64_t id = 1; id <= 4; id++) assert_int_equal(fd_watch_started(&w, id, 1, 0), 0);
    for (uint64_t id = 1; id <= 4; id++) assert_int_equal(fd_watch_next_dead(&w, 10001), id);
    for (uint64_t id = 1; id <= 4; id++) assert_int_equal(fd_watch_started(&w, id, 1, 10002), 0);
    fd_watch_excuse(&w, 10002);
    assert_int_equal(fd_watch_heard(&w, 1, 1, 10003), FD_HEARD_NEW);
    fd_watch_buried(&w, 1, false, 10004);
    assert_int_equal(fd_watch_heard(&w, 1, 1, 10005), FD_HEARD_NEW);
    assert_int_equal(fd_watch_started(&w, 1, 1, 10006), 0);
    assert_int_equal(fd_watch_heard(&w, 1, 1, 10007), FD_HEARD);
    fd_watch_buried(&w, 2, true, 10008);
    assert_int_equal(fd_watch_heard(&w, 2, 1, 10009), FD_HEARD);
    assert_int_equal(fd_watch_started(&w, 3, 2, 10010), 0);
    assert_int_equal(fd_watch_heard(&w, 3, 2, 10011), FD_HEARD);
    fd_watch_buried(&w, 3, false, 10012); /* It was meant for the process before. */
    assert_int_equal(fd_watch_heard(&w, 3, 2, 10013), FD_HEARD);
    assert_int_equal(fd_watch_deadline_ms(&w), 10007 + times.grace_ms + 1);
    fd_watch_excuse(&w, 12000);
    assert_int_equal(fd_watch_deadline_ms(&w), 12000 + times.grace_ms + 1);
    fd_watch_fini(&w);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fd_watch w;
    fd_watch_init(&w, &times);
    fd_watch_lead(&w, 0);
    mem_fail_nth(1);
    assert_int_equal(fd_watch_started(&w, 4, 1, 10), E_NOMEM);
    mem_fail_nth(1);
    assert_int_equal(fd_watch_expect(&w, 4, 1), E_NOMEM);
    mem_fail_nth(0);
    assert_int_equal(w.count, 0);
    for (uint64_t id = 40; id > 0; id--) assert_int_equal(fd_watch_expect(&w, id, 1), 0);
    assert_int_equal(w.count, 40);
    for (uint32_t i = 0; i < 40; i++) assert_int_equal(w.peers[i].node_id, i + 1);
    fd_watch_fini(&w);
}

/* ---- Together ---- */

enum { LEADERS = 3, NODES = 3, LETTERS = 256, STEP_MS = 7 };

/* A beacon or an answer on its way. */
struct letter {
    bool is_used, is_answer;
    uint32_t node, leader;
    uint64_t sequence;
    uint64_t arrives_ms, heard_term; /* Answers: the term under which it was heard. */
};

struct clock_ {
    double rate;
    double offset_ms;
};

struct drama {
    struct prng prng;
    uint64_t true_ms;
    struct clock_ node_clocks[NODES], leader_clocks[LEADERS];
    struct fd_lease leases[NODES];
    struct fd_watch watches[LEADERS];
    uint64_t terms[LEADERS]; /* That each believes to lead; 0: none. */
    uint64_t term;           /* The group's: whoever leads it is the leader. */
    struct letter letters[LETTERS];
    uint64_t deaths, gains;
    bool is_cut[NODES][LEADERS];
};

static uint64_t at(const struct drama *d, struct clock_ clock)
{
    return (uint64_t)(clock.offset_ms + (double)d->true_ms * clock.rate);
}

static struct clock_ draw_clock(struct drama *d)
{
    double ppm = (double)prng_below(&d->prng, 2 * FD_RATE_PPM_MAX + 1) - FD_RATE_PPM_MAX;
    return (struct clock_){1.0 + ppm / 1e6, (double)prng_below(&d->prng, 1000000)};
}

/* Beacons take up to four seconds, or are lost; with a cut all are. */
static void post(struct drama *d, struct letter letter)
{
    if (d->is_cut[letter.node][letter.leader] || prng_percent(&d->prng, 10)) return;
    for (int i = 0; i < LETTERS; i++) {
        if (d->letters[i].is_used) continue;
        letter.is_used = true;
        letter.arrives_ms =
            d->true_ms + prng_below(&d->prng, prng_percent(&d->prng, 5) ? 4000 : 40);
        d->letters[i] = letter;
        return;
    }
}

static void node_step(struct drama *d, uint32_t node, enum fd_lease_event_type type,
                      uint64_t sequence, uint32_t meta)
{
    struct fd_lease *l = &d->leases[node];
    struct fd_lease_effects out = step(l, type, at(d, d->node_clocks[node]), sequence, meta);
    if (out.is_gained) d->gains++;
    if (out.sends_beacon)
        post(d, (struct letter){.node = node, .leader = out.meta, .sequence = out.sequence});
}

/* The leader acknowledges only if the group confirms, after it heard, that it still leads (F4). */
static void leader_hears(struct drama *d, const struct letter *l)
{
    struct fd_watch *w = &d->watches[l->leader];
    uint64_t now_ms = at(d, d->leader_clocks[l->leader]);
    int rc = fd_watch_heard(w, l->node + 1, 1, now_ms);
    bool is_confirmed = rc >= 0 && d->terms[l->leader] == d->term;
    if (is_confirmed &&
        rc == FD_HEARD_NEW) /* It says that it has started, and the group takes it. */
        assert_int_equal(fd_watch_started(w, l->node + 1, 1, now_ms), 0);
    if (is_confirmed && rc == FD_HEARD)
        post(d,
             (struct letter){
                 .is_answer = true, .node = l->node, .leader = l->leader, .sequence = l->sequence});
}

static void deliver(struct drama *d)
{
    for (int i = 0; i < LETTERS; i++) {
        struct letter letter = d->letters[i];
        if (!letter.is_used || letter.arrives_ms > d->true_ms) continue;
        d->letters[i].is_used = false;
        if (letter.is_answer) node_step(d, letter.node, FD_ACKED, letter.sequence, 0);
        else leader_hears(d, &letter);
    }
}

/* Another leads the group from now on; the old one doesn't know it yet. */
static void change_leader(struct drama *d)
{
    uint32_t next = (uint32_t)prng_below(&d->prng, LEADERS);
    d->terms[next] = ++d->term;
    fd_watch_lead(&d->watches[next], at(d, d->leader_clocks[next]));
    for (uint32_t n = 0; n < NODES; n++)
        assert_int_equal(fd_watch_expect(&d->watches[next], n + 1, 1), 0);
}

/* Death is a command of the group: only who leads it gets it through. */
static void bury(struct drama *d, uint32_t leader)
{
    uint64_t dead;
    while ((dead = fd_watch_next_dead(&d->watches[leader], at(d, d->leader_clocks[leader]))) != 0) {
        if (d->terms[leader] != d->term) continue;
        const struct fd_lease *l = &d->leases[dead - 1];
        d->deaths++;
        assert_false(fd_lease_holds(l, at(d, d->node_clocks[dead - 1])));
    }
}

static void play(struct drama *d)
{
    d->true_ms += 1 + prng_below(&d->prng, STEP_MS);
    deliver(d);
    for (uint32_t n = 0; n < NODES; n++)
        if (at(d, d->node_clocks[n]) >= fd_lease_deadline_ms(&d->leases[n]))
            node_step(d, n, FD_TICKED, 0, 0);
    for (uint32_t i = 0; i < LEADERS; i++) bury(d, i);
    if (prng_below(&d->prng, 4000) == 0) change_leader(d);
    if (prng_below(&d->prng, 400) == 0) {
        bool *cut = &d->is_cut[prng_below(&d->prng, NODES)][prng_below(&d->prng, LEADERS)];
        *cut = !*cut;
    }
    uint32_t lost = (uint32_t)prng_below(&d->prng, NODES);
    if (prng_below(&d->prng, 50) == 0 && d->leases[lost].sent_count > 0)
        node_step(d, lost, FD_FAILED, d->leases[lost].next_sequence - 1, 0);
}

static void test_no_death_under_a_lease(void **state)
{
    (void)state;
    uint64_t deaths = 0, gains = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct drama d = {0};
        prng_init(&d.prng, seed);
        for (uint32_t n = 0; n < NODES; n++) {
            d.node_clocks[n] = draw_clock(&d);
            fd_lease_init(&d.leases[n], &times, LEADERS, at(&d, d.node_clocks[n]));
        }
        for (uint32_t i = 0; i < LEADERS; i++) {
            d.leader_clocks[i] = draw_clock(&d);
            fd_watch_init(&d.watches[i], &times);
        }
        change_leader(&d);
        for (int i = 0; i < 50000; i++) play(&d);
        for (uint32_t i = 0; i < LEADERS; i++) fd_watch_fini(&d.watches[i]);
        deaths += d.deaths;
        gains += d.gains;
    }
    assert_in_range(deaths, 100, UINT32_MAX); /* Both sides of it happen. */
    assert_in_range(gains, 100, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impossible_times),
        cmocka_unit_test(test_lease_counts_from_sending),
        cmocka_unit_test(test_lease_ends_and_returns),
        cmocka_unit_test(test_answers_overtake_each_other),
        cmocka_unit_test(test_old_beacons_are_forgotten),
        cmocka_unit_test(test_leader_is_found),
        cmocka_unit_test(test_new_leader_waits),
        cmocka_unit_test(test_new_processes),
        cmocka_unit_test(test_dying),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_death_under_a_lease),
    };
    return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
