/* tests/sim/test_group_sim.c: the simulated meta group keeps rules G1 to G3 of group/group.h.
 *
 * The state machine is a list of numbers; a command appends one. Whatever fails and whenever power
 * goes, a number whose proposal ended with 0 stays, in its place, and none is there twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/group/group_sim.h"

enum { NUMBERS_MAX = 1000, S = 1000000 };

/* What the outside world knows; the process never looks at it. */
enum outcome { NEVER_PROPOSED, UNDER_WAY, DONE, UNKNOWN, REFUSED };

struct node {
    struct sim *sim;
    struct sim_machine *machine;
    struct io_loop *loop;
    struct group *group;
    struct io_post post;
    uint64_t snapshot_every;
    uint32_t numbers[NUMBERS_MAX]; /* The state. */
    size_t count;
    uint32_t proposed; /* The last number that was. */
    enum outcome outcomes[NUMBERS_MAX];
    bool is_closed;
    int open_rc;
};

struct proposal {
    struct group_proposal base;
    struct node *node;
    uint32_t number;
};

static void on_apply(void *context, struct slice command, struct buf *result)
{
    struct node *n = context;
    CHECK(command.size == 4 && n->count < NUMBERS_MAX);
    n->numbers[n->count++] = bytes_get_le32(command.data);
    buf_append_le32(result, (uint32_t)n->count);
}

static void on_snapshot(void *context, struct buf *out)
{
    struct node *n = context;
    buf_append(out, n->numbers, n->count * sizeof n->numbers[0]);
}

static int on_restore(void *context, struct slice snapshot)
{
    struct node *n = context;
    n->count = snapshot.size / sizeof n->numbers[0];
    if (n->count != 0) memcpy(n->numbers, snapshot.data, snapshot.size);
    return 0;
}

static const struct group_handler handler = {on_apply, on_snapshot, on_restore, NULL};

static void on_open(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, post);
    struct group_member self = {1, {sim_machine_ipv4(n->machine), 34601}};
    struct group_options options = {.dir = "/data/meta",
                                    .self_id = 1,
                                    .members = &self,
                                    .member_count = 1,
                                    .snapshot_every = n->snapshot_every};
    struct err e = {0};
    n->open_rc = group_open(n->loop, &options, &handler, n, &n->group, &e);
    CHECK(n->open_rc == 0 && group_is_leader(n->group));
}

static void program(struct sim_machine *m, void *context)
{
    struct node *n = context;
    n->machine = m;
    n->count = 0;
    n->group = NULL;
    CHECK(io_loop_open(sim_machine_io(m), IO_LOOP_EVENTS, "control", &n->loop) == 0);
    n->post.run = on_open;
    io_post(n->loop, &n->post);
}

static void on_done(struct group_proposal *base, int rc, struct slice result)
{
    struct proposal *p = (struct proposal *)(void *)base;
    struct node *n = p->node;
    if (rc == 0) { /* Applied already, and here is the answer. */
        uint32_t place = bytes_get_le32(result.data);
        CHECK(place <= n->count && n->numbers[place - 1] == p->number);
    }
    n->outcomes[p->number] = rc == 0 ? DONE : rc == E_UNKNOWN ? UNKNOWN : REFUSED;
    mem_free(p);
}

static void on_propose(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, post);
    struct proposal *p = mem_zalloc(sizeof *p);
    uint8_t command[4];
    p->node = n;
    p->number = ++n->proposed;
    p->base.on_done = on_done;
    n->outcomes[p->number] = UNDER_WAY;
    bytes_put_le32(command, p->number);
    group_propose(n->group, &p->base, slice_of(command, sizeof command));
}

static void on_loop(struct node *n, void (*run)(struct io_post *post))
{
    n->post.run = run;
    io_post(n->loop, &n->post);
    sim_run_us(n->sim, 30);
}

static void node_init(struct node *n, uint64_t seed, uint64_t snapshot_every)
{
    *n = (struct node){.sim = sim_new(seed), .snapshot_every = snapshot_every};
    n->machine = sim_machine_new(n->sim, "a");
    sim_machine_start(n->machine, (struct sim_program){program, n});
    sim_run_us(n->sim, S);
    CHECK(n->group != NULL);
}

/* Each number at most once; each that was done is there, in order of proposal; none that was
 * refused. */
static void check_state(const struct node *n)
{
    size_t seen[NUMBERS_MAX] = {0};
    uint32_t before = 0;
    for (size_t i = 0; i < n->count; i++) {
        CHECK(n->numbers[i] > before);
        before = n->numbers[i];
        seen[before]++;
    }
    for (uint32_t i = 1; i <= n->proposed; i++) {
        CHECK(n->outcomes[i] != DONE || seen[i] == 1);
        CHECK(n->outcomes[i] != REFUSED || seen[i] == 0);
    }
}

static void test_commands_are_applied_in_order(void **state)
{
    (void)state;
    static struct node n;
    node_init(&n, 1, 0);
    for (int i = 0; i < 100; i++) on_loop(&n, on_propose);
    sim_run_us(n.sim, S);
    assert_int_equal(n.count, 100);
    for (uint32_t i = 1; i <= 100; i++) assert_int_equal(n.outcomes[i], DONE);
    check_state(&n);
    sim_free(n.sim);
}

/* Power goes again and again, at any moment; snapshots are taken every few commands. */
static void test_power_loss_keeps_what_was_done(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        static struct node n;
        node_init(&n, seed, 1 + seed % 7);
        for (int life = 0; life < 12; life++) {
            uint64_t proposals = prng_below(sim_prng(n.sim), 20);
            for (uint64_t i = 0; i < proposals; i++) on_loop(&n, on_propose);
            sim_run_us(n.sim, prng_below(sim_prng(n.sim), 2000));
            check_state(&n);
            sim_machine_crash(n.machine, SIM_POWER);
            sim_machine_restart(n.machine);
            sim_run_us(n.sim, S);
            assert_non_null(n.group);
            check_state(&n);
        }
        sim_free(n.sim);
    }
}

/* Unknown outcomes of both kinds are seen, and refusals that refused. */
static void test_outcomes(void **state)
{
    (void)state;
    static struct node n;
    static struct group_sim_faults faults = {
        .delay_us_max = 5000, .refused_percent = 10, .unknown_percent = 30};
    static struct sim_fake fake = {.kind = GROUP_SIM_KIND, .context = &faults};
    node_init(&n, 3, 10);
    sim_machine_attach(n.machine, &fake);
    for (int i = 0; i < 300; i++) on_loop(&n, on_propose);
    sim_run_us(n.sim, S);
    check_state(&n);
    size_t counts[REFUSED + 1] = {0};
    for (uint32_t i = 1; i <= n.proposed; i++) counts[n.outcomes[i]]++;
    assert_int_equal(counts[UNDER_WAY], 0);
    assert_in_range(counts[REFUSED], 10, 60);
    assert_in_range(counts[UNKNOWN], 50, 140);
    assert_in_range(n.count, counts[DONE] + 20, counts[DONE] + counts[UNKNOWN] - 20);
    sim_free(n.sim);
}

/* A failed sync: unknown, no leader for a while, and then on with the state that there is. */
static void test_a_failed_sync(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static struct node n;
        node_init(&n, seed, 5);
        for (int i = 0; i < 10; i++) on_loop(&n, on_propose);
        sim_run_us(n.sim, S);
        sim_disk_fail(n.machine, SIM_DISK_SYNC, "commands", 1, E_IO, false);
        on_loop(&n, on_propose);
        sim_run_us(n.sim, 10000);
        assert_int_equal(n.outcomes[11], UNKNOWN);
        assert_false(group_is_leader(n.group));
        on_loop(&n, on_propose);
        assert_int_equal(n.outcomes[12], REFUSED);
        sim_run_us(n.sim, 2 * S);
        assert_true(group_is_leader(n.group));
        on_loop(&n, on_propose);
        sim_run_us(n.sim, S);
        assert_int_equal(n.outcomes[13], DONE);
        sim_machine_crash(n.machine, SIM_POWER);
        sim_machine_restart(n.machine);
        sim_run_us(n.sim, S);
        check_state(&n);
        sim_free(n.sim);
    }
}

static void on_close(void *context)
{
    struct node *n = context;
    n->is_closed = true;
}

static void on_group_close(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, post);
    group_close(n->group, on_close, n);
}

static void close_loop(void *context)
{
    struct node *n = context;
    io_loop_close(n->loop);
}

/* Closing with proposals under way ends each of them, frees everything, and comes last. */
static void test_closing(void **state)
{
    (void)state;
    static struct node n;
    node_init(&n, 1, 0);
    for (int i = 0; i < 5; i++) on_loop(&n, on_propose);
    on_loop(&n, on_group_close);
    sim_run_us(n.sim, S);
    assert_true(n.is_closed);
    for (uint32_t i = 1; i <= 5; i++) assert_int_not_equal(n.outcomes[i], UNDER_WAY);
    assert_true(sim_machine_do(n.machine, close_loop, &n));
    sim_machine_exit(n.machine);
    sim_free(n.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_are_applied_in_order),
        cmocka_unit_test(test_power_loss_keeps_what_was_done),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_a_failed_sync),
        cmocka_unit_test(test_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
