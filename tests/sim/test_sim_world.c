/* tests/sim/test_sim_world.c: loops, posts, timers, work, clocks, crashes and pauses of the
 * simulated world, each as a story on one or two machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/sim.h"

/* What a small process of these stories consists of. */
struct node {
    struct sim_machine *machine;
    struct io_loop *loop, *writer;
    struct io_post post[8];
    struct io_timer timer;
    struct io_work work;
    struct io_turn_hook hook;
    struct io_file *file;
    char order[64]; /* What happened, a letter each. */
    size_t count;
    uint64_t at_us[64]; /* And when, by the world's time. */
    uint64_t boot_ms[64];
    void *memory;
};

struct world {
    struct sim *sim;
    struct node a;
};

static void note(struct node *n, char letter)
{
    n->order[n->count] = letter;
    n->at_us[n->count] = sim_now_us(sim_machine_sim(n->machine));
    n->boot_ms[n->count++] = io_now(sim_machine_io(n->machine)).boot_ms;
    n->order[n->count] = '\0';
}

static void node_main(struct sim_machine *m, void *context)
{
    struct node *n = context;
    struct sim_machine *machine = m;
    *n = (struct node){.machine = machine};
    CHECK(io_loop_open(sim_machine_io(m), IO_LOOP_EVENTS, "loop", &n->loop) == 0);
    CHECK(io_loop_open(sim_machine_io(m), IO_LOOP_MAY_BLOCK, "writer", &n->writer) == 0);
}

static int setup(void **state)
{
    static struct world w;
    w = (struct world){.sim = sim_new(1)};
    struct sim_machine *m = sim_machine_new(w.sim, "a");
    sim_machine_start(m, (struct sim_program){node_main, &w.a});
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    sim_free(w->sim);
    return 0;
}

static void post(struct node *n, struct io_loop *loop, int index, void (*run)(struct io_post *post))
{
    n->post[index].run = run;
    io_post(loop, &n->post[index]);
}

/* ---- Posts and turns ---- */

#define NODE_OF(ptr, member) LIST_ENTRY(ptr, struct node, member)

static void on_post_0(struct io_post *p)
{
    note(NODE_OF(p, post[0]), '0');
}

static void on_post_1(struct io_post *p)
{
    note(NODE_OF(p, post[1]), '1');
}

static void on_post_2(struct io_post *p)
{
    note(NODE_OF(p, post[2]), '2');
}

static void post_three(void *context)
{
    struct node *n = context;
    post(n, n->loop, 0, on_post_0);
    post(n, n->loop, 1, on_post_1);
    post(n, n->loop, 2, on_post_2);
    note(n, '.');
}

/* Posts of one thread arrive in their order, later, never inside the call. */
static void test_posts_keep_their_order(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 50; i++) {
        w->a.count = 0;
        assert_true(sim_machine_do(w->a.machine, post_three, &w->a));
        sim_run_us(w->sim, 1000);
        assert_string_equal(w->a.order, ".012");
    }
}

static void on_hook(struct io_turn_hook *h)
{
    struct node *n = NODE_OF(h, hook);
    note(n, 'h');
    if (n->count < 8) post(n, n->loop, 1, on_post_1);
}

static void on_add_hook(struct io_post *p)
{
    struct node *n = NODE_OF(p, post[0]);
    n->hook.run = on_hook;
    io_turn_hook_add(n->loop, &n->hook);
    post(n, n->loop, 2, on_post_2);
    note(n, '0');
}

static void post_hook(void *context)
{
    struct node *n = context;
    post(n, n->loop, 0, on_add_hook);
}

/* The hook ends every turn; what it posts is handled without waiting for anything else. */
static void test_hooks_end_turns(void **state)
{
    struct world *w = *state;
    assert_true(sim_machine_do(w->a.machine, post_hook, &w->a));
    sim_run_us(w->sim, 1000);
    assert_string_equal(w->a.order, "0h21h1h1h");
}

/* ---- Blocking and time ---- */

static void on_synced(struct io_post *p)
{
    note(NODE_OF(p, post[1]), 's');
}

static void on_write(struct io_post *p)
{
    struct node *n = NODE_OF(p, post[0]);
    struct slice bytes = slice_str("mutation");
    note(n, 'w');
    CHECK(io_file_open(sim_machine_io(n->machine), "/log", IO_OPEN_WRITE | IO_OPEN_CREATE,
                       &n->file) == 0);
    CHECK(io_file_write(n->file, 0, &bytes, 1) == 0);
    CHECK(io_file_sync(n->file) == 0);
    post(n, n->loop, 1, on_synced);
}

static void post_write(void *context)
{
    struct node *n = context;
    post(n, n->writer, 0, on_write);
    post(n, n->writer, 2, on_post_2);
}

/* A sync takes the writer's time: what it posts afterwards leaves afterwards, and its next event
 * waits, while other loops go on. */
static void test_blocking_calls_take_the_time_of_their_loop(void **state)
{
    struct world *w = *state;
    struct sim_disk disk;
    sim_disk_default(&disk);
    disk.sync_us = 10000;
    disk.sync_jitter_us = 0;
    sim_disk_set(w->a.machine, &disk);

    assert_true(sim_machine_do(w->a.machine, post_write, &w->a));
    sim_run_us(w->sim, 100000);
    assert_int_equal(w->a.count, 3);
    assert_int_equal(w->a.order[0], 'w');
    for (int i = 1; i < 3; i++) {
        assert_in_range(w->a.at_us[i] - w->a.at_us[0], 10000, 10200);
        assert_in_range(w->a.boot_ms[i] - w->a.boot_ms[0], 10, 11);
    }
}

/* ---- Timers and clocks ---- */

static void on_timer(struct io_timer *t)
{
    note(NODE_OF(t, timer), 't');
}

static void on_start_timer(struct io_post *p)
{
    struct node *n = NODE_OF(p, post[0]);
    n->timer.run = on_timer;
    io_timer_start(n->loop, &n->timer, io_now(io_of(n->loop)).boot_ms + 1000);
    note(n, '0');
}

static void post_timer(void *context)
{
    struct node *n = context;
    post(n, n->loop, 0, on_start_timer);
}

static void test_timers_fire_by_the_machines_own_clock(void **state)
{
    struct world *w = *state;
    sim_clock_rate(w->a.machine, 100000); /* A tenth too fast. */
    assert_true(sim_machine_do(w->a.machine, post_timer, &w->a));
    sim_run_us(w->sim, 2000000);
    assert_string_equal(w->a.order, "0t");
    assert_in_range(w->a.at_us[1] - w->a.at_us[0], 908000, 911000);
    assert_in_range(w->a.boot_ms[1] - w->a.boot_ms[0], 1000, 1002);
}

/* The rate changes while a timer waits: it follows the clock. */
static void test_timers_follow_a_rate_that_changes(void **state)
{
    struct world *w = *state;
    assert_true(sim_machine_do(w->a.machine, post_timer, &w->a));
    sim_run_us(w->sim, 500000);
    sim_clock_rate(w->a.machine, -500000);
    sim_run_us(w->sim, 900000);
    assert_string_equal(w->a.order, "0");
    sim_run_us(w->sim, 200000);
    assert_string_equal(w->a.order, "0t");
}

static void test_forbidden_timers_are_counted(void **state)
{
    struct world *w = *state;
    sim_timers_forbid(w->a.machine, true);
    assert_true(sim_machine_do(w->a.machine, post_timer, &w->a));
    sim_run_us(w->sim, 2000000);
    assert_int_equal(sim_timers_fired(w->a.machine), 1);
    sim_timers_allow(w->a.machine, on_timer);
    assert_true(sim_machine_do(w->a.machine, post_timer, &w->a));
    sim_run_us(w->sim, 2000000);
    assert_int_equal(sim_timers_fired(w->a.machine), 1);
}

static void test_wall_clocks_jump_and_boot_clocks_do_not(void **state)
{
    struct world *w = *state;
    struct io *io = sim_machine_io(w->a.machine);
    struct now before = io_now(io);
    assert_in_range(before.wall_us / 1000000, 1767225600, 1767225700);
    sim_clock_jump(w->a.machine, -3600 * INT64_C(1000000));
    struct now after = io_now(io);
    assert_int_equal(after.boot_ms, before.boot_ms);
    assert_int_equal(before.wall_us - after.wall_us, 3600 * UINT64_C(1000000));
}

/* ---- Work ---- */

static void on_work(struct io_work *work)
{
    struct node *n = NODE_OF(work, work);
    size_t got;
    char byte;
    CHECK(io_file_open(sim_machine_io(n->machine), "/x", IO_OPEN_READ | IO_OPEN_CREATE, &n->file) ==
          0);
    CHECK(io_file_read(n->file, 0, &byte, 1, &got) == 0 && got == 0);
    note(n, 'r');
}

static void on_work_done(struct io_work *work)
{
    struct node *n = NODE_OF(work, work);
    CHECK(io_is_on(n->loop));
    note(n, 'd');
}

static void on_start_work(struct io_post *p)
{
    struct node *n = NODE_OF(p, post[0]);
    n->work.run = on_work;
    n->work.done = on_work_done;
    io_work(n->loop, &n->work);
    note(n, '0');
}

static void post_work(void *context)
{
    struct node *n = context;
    post(n, n->loop, 0, on_start_work);
}

static void test_work_blocks_elsewhere_and_ends_on_the_loop(void **state)
{
    struct world *w = *state;
    assert_true(sim_machine_do(w->a.machine, post_work, &w->a));
    sim_run_us(w->sim, 10000);
    assert_string_equal(w->a.order, "0rd");
}

/* ---- Pause ---- */

static void test_nothing_runs_in_a_pause(void **state)
{
    struct world *w = *state;
    assert_true(sim_machine_do(w->a.machine, post_timer, &w->a));
    sim_run_us(w->sim, 1000);
    assert_true(sim_machine_do(w->a.machine, post_work, &w->a));
    sim_machine_pause(w->a.machine);
    sim_run_us(w->sim, 5000000);
    assert_string_equal(w->a.order, "0");
    sim_machine_resume(w->a.machine);
    sim_run_us(w->sim, 10000);
    assert_string_equal(w->a.order, "0t0rd");
    assert_in_range(w->a.boot_ms[1] - w->a.boot_ms[0], 5000, 5010); /* The clock went on. */
}

/* Nor does a turn go on that waited for the disk when the pause came. */
static void test_no_turn_goes_on_in_a_pause(void **state)
{
    struct world *w = *state;
    sim_disk_hang(w->a.machine, 10000);
    assert_true(sim_machine_do(w->a.machine, post_write, &w->a));
    sim_run_us(w->sim, 1000);
    sim_machine_pause(w->a.machine);
    sim_run_us(w->sim, 1000000);
    assert_int_equal(w->a.count, 1);
    sim_machine_resume(w->a.machine);
    sim_run_us(w->sim, 1000);
    assert_int_equal(w->a.count, 3);
}

static bool has_begun(void *context)
{
    return ((struct node *)context)->count > 0;
}

/* Nor does work begin that was asked for just before. */
static void test_no_work_begins_in_a_pause(void **state)
{
    struct world *w = *state;
    struct sim_pace pace = {.post_us_max = 100000, .work_threads = 1};
    sim_machine_pace(w->a.machine, &pace);
    assert_true(sim_machine_do(w->a.machine, post_work, &w->a));
    assert_true(sim_run_until(w->sim, has_begun, &w->a, 200000));
    sim_machine_pause(w->a.machine);
    sim_run_us(w->sim, 5000000);
    assert_string_equal(w->a.order, "0");
    sim_machine_resume(w->a.machine);
    sim_run_us(w->sim, 200000);
    assert_string_equal(w->a.order, "0rd");
}

/* ---- Crash ---- */

static void take_memory(void *context)
{
    struct node *n = context;
    n->memory = mem_alloc(1000);
    struct io_timer *timer = mem_zalloc(sizeof *timer);
    CHECK(n->memory != NULL && timer != NULL);
}

/* A process that is killed gives nothing back, and nothing of it happens any more; the world takes
 * its memory, which the leak sanitizer would miss. */
static void test_a_crash_drops_everything(void **state)
{
    struct world *w = *state;
    assert_true(sim_machine_do(w->a.machine, take_memory, &w->a));
    assert_int_equal(sim_machine_memory(w->a.machine), 1000 + sizeof(struct io_timer));
    assert_true(sim_machine_do(w->a.machine, post_three, &w->a));
    assert_true(sim_machine_do(w->a.machine, post_timer, &w->a));
    sim_machine_crash(w->a.machine, SIM_KILL);
    assert_false(sim_machine_is_up(w->a.machine));
    assert_int_equal(sim_machine_memory(w->a.machine), 0);
    sim_run_us(w->sim, 5000000);
    assert_string_equal(w->a.order, ".");

    sim_machine_restart(w->a.machine);
    assert_int_equal(sim_machine_starts(w->a.machine), 2);
    assert_true(sim_machine_do(w->a.machine, post_three, &w->a));
    sim_run_us(w->sim, 1000);
    assert_string_equal(w->a.order, ".012");
}

static void on_crash(struct io_post *p)
{
    struct node *n = NODE_OF(p, post[1]);
    n->memory = mem_alloc(1000);
    note(n, 'x');
    sim_machine_crash(n->machine, SIM_POWER);
    note(n, '!');
}

static void post_crash(void *context)
{
    struct node *n = context;
    post(n, n->loop, 0, on_post_0);
    post(n, n->loop, 1, on_crash);
    post(n, n->loop, 2, on_post_2);
}

static void test_a_process_may_die_in_its_own_code(void **state)
{
    struct world *w = *state;
    assert_true(sim_machine_do(w->a.machine, post_crash, &w->a));
    sim_run_us(w->sim, 1000);
    assert_string_equal(w->a.order, "0x");
    assert_false(sim_machine_is_up(w->a.machine));
    assert_null(sim_machine_current());
}

/* Crash at every output of a story in turn: each run ends earlier or is whole. */
static void test_a_crash_at_every_output(void **state)
{
    struct world *w = *state;
    struct sim_machine *m = w->a.machine;
    uint64_t n = 0;
    bool has_died;
    do {
        if (!sim_machine_is_up(m)) {
            sim_disk_wipe(m);
            sim_machine_restart(m);
        }
        w->a.count = 0;
        sim_machine_crash_at(m, ++n, SIM_KILL);
        has_died = !sim_machine_do(m, post_write, &w->a);
        sim_run_us(w->sim, 100000);
        has_died = has_died || !sim_machine_is_up(m);
    } while (has_died);
    assert_int_equal(n, 7); /* Two posts, create, write, sync, one post: six chances to die. */
    sim_machine_crash_at(m, 0, SIM_KILL);
}

/* ---- Ending well ---- */

static void close_all(void *context)
{
    struct node *n = context;
    io_file_close(n->file);
    io_loop_close(n->loop);
    io_loop_close(n->writer);
}

static void test_closing_a_loop_runs_what_was_posted(void **state)
{
    struct world *w = *state;
    assert_true(sim_machine_do(w->a.machine, post_three, &w->a));
    assert_true(sim_machine_do(w->a.machine, close_all, &w->a));
    assert_string_equal(w->a.order, ".012");
    sim_machine_exit(w->a.machine);
    assert_false(sim_machine_is_up(w->a.machine));
}

/* ---- The same again ---- */

static uint64_t hash_of_a_run(uint64_t seed)
{
    struct node n;
    struct sim *sim = sim_new(seed);
    struct sim_machine *m = sim_machine_new(sim, "a");
    sim_machine_start(m, (struct sim_program){node_main, &n});
    for (int i = 0; i < 20; i++) {
        CHECK(sim_machine_do(m, post_write, &n));
        sim_run_us(sim, 1000);
        CHECK(sim_machine_do(m, post_timer, &n));
        sim_run_us(sim, 1000 + prng_below(sim_prng(sim), 3000000));
        n.count = 0;
    }
    sim_machine_crash(m, SIM_POWER);
    uint64_t hash = sim_hash(sim);
    sim_free(sim);
    return hash;
}

static void test_a_seed_gives_the_same_world_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++)
        assert_int_equal(hash_of_a_run(seed), hash_of_a_run(seed));
    assert_int_not_equal(hash_of_a_run(1), hash_of_a_run(2));
}

int main(void)
{
#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_posts_keep_their_order),
        STORY(test_hooks_end_turns),
        STORY(test_blocking_calls_take_the_time_of_their_loop),
        STORY(test_timers_fire_by_the_machines_own_clock),
        STORY(test_timers_follow_a_rate_that_changes),
        STORY(test_forbidden_timers_are_counted),
        STORY(test_wall_clocks_jump_and_boot_clocks_do_not),
        STORY(test_work_blocks_elsewhere_and_ends_on_the_loop),
        STORY(test_nothing_runs_in_a_pause),
        STORY(test_no_turn_goes_on_in_a_pause),
        STORY(test_no_work_begins_in_a_pause),
        STORY(test_a_crash_drops_everything),
        STORY(test_a_process_may_die_in_its_own_code),
        STORY(test_a_crash_at_every_output),
        STORY(test_closing_a_loop_runs_what_was_posted),
        cmocka_unit_test(test_a_seed_gives_the_same_world_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
