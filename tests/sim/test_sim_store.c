/* tests/sim/test_sim_store.c: simulated stores as files on a machine's disk: checkpoints are copied,
 * renamed over a store and opened; what was not synced is lost with the power, and what is damaged is
 * said to be. */
#include "store/steps.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/sim.h"
#include "sim/store/store_sim.h"

enum { ROWS = 200, BEFORE = ROWS + 7, NAMES_MAX = 64 };

struct setting {
    struct sim *sim;
    struct sim_machine *m;
    struct io *io;
    struct store_sim_disk *disk;
    struct sim_fake fake;
    struct store_env *env;
    struct store *store;
    void (*step)(struct setting *t);
    bool are_files_synced, is_name_synced;
    char names[NAMES_MAX][32]; /* Of the files of a directory. */
    size_t name_count;
    uint64_t decree, identity;
    int rc;
    struct err e;
};

/* ---- A machine, whose process is these stories ----------------------------------------------- */

static uint64_t no_clock(void *world)
{
    (void)world;
    return 0;
}

static void program(struct sim_machine *m, void *context)
{
    struct setting *t = context;
    struct store_env_options options = {.wall_us = no_clock, .world = sim_machine_io(m)};
    CHECK(store_env_open(&options, &t->env, NULL) == 0);
    t->store = NULL;
}

static void on_end(void *context, enum sim_end how)
{
    struct setting *t = context;
    (void)how;
    store_sim_crash(t->disk);
}

static void begin(struct setting *t, uint64_t seed)
{
    *t = (struct setting){.sim = sim_new(seed)};
    t->m = sim_machine_new(t->sim, "a");
    t->io = sim_machine_io(t->m);
    t->disk = store_sim_disk_new(t->io, seed);
    store_sim_files(t->disk, t->io);
    t->fake = (struct sim_fake){.kind = "store", .on_end = on_end, .context = t};
    sim_machine_attach(t->m, &t->fake);
    sim_machine_start(t->m, (struct sim_program){program, t});
}

static void end(struct setting *t)
{
    if (sim_machine_is_up(t->m)) sim_machine_crash(t->m, SIM_KILL);
    store_sim_disk_free(t->disk);
    sim_free(t->sim);
}

static int set_up(void **state)
{
    static struct setting t;
    begin(&t, 1);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    end(*state);
    return 0;
}

static void run_step(void *context)
{
    struct setting *t = context;
    t->step(t);
}

static bool in_process(struct setting *t, void (*step)(struct setting *t))
{
    t->step = step;
    return sim_machine_do(t->m, run_step, t);
}

/* What was done so far has had its time. */
static void crash(struct setting *t, enum sim_end how)
{
    sim_run_us(t->sim, 1000000);
    if (sim_machine_is_up(t->m)) sim_machine_crash(t->m, how);
    sim_machine_restart(t->m);
}

/* ---- Small sentences ------------------------------------------------------------------------- */

static void open_store(struct setting *t, const char *dir)
{
    t->e = (struct err){0};
    t->rc = store_open(t->env, dir, &t->store, &t->e);
}

static void close_store(struct setting *t)
{
    CHECK(store_close(t->store) == 0);
    t->store = NULL;
}

static void text_of(char *text, size_t size, int i)
{
    (void)snprintf(text, size, "%0*d", 20 + i % 50, i);
}

/* Decree after decree, a row each: some ten kilobytes. */
static void fill(struct setting *t)
{
    char text[128];
    for (int i = 1; i <= ROWS; i++) {
        text_of(text, sizeof text, i);
        put(t->store, (uint64_t)i, "hk", text, text);
    }
}

static void expect_all(struct setting *t)
{
    char text[128];
    for (int i = 1; i <= ROWS; i++) {
        text_of(text, sizeof text, i);
        expect(t->store, "hk", text, text);
    }
    assert_int_equal(store_applied(t->store), ROWS);
}

static void see_name(void *context, const char *name)
{
    struct setting *t = context;
    CHECK(t->name_count < NAMES_MAX);
    (void)snprintf(t->names[t->name_count++], sizeof t->names[0], "%s", name);
}

static void list_files(struct setting *t, const char *dir)
{
    t->name_count = 0;
    CHECK(io_dir_list(t->io, dir, see_name, t) == 0);
}

static void copy_file(struct setting *t, const char *from, const char *to)
{
    static uint8_t bytes[64 << 10];
    struct io_file *file;
    uint64_t size;
    size_t got;
    CHECK(io_file_open(t->io, from, IO_OPEN_READ, &file) == 0);
    CHECK(io_file_size(file, &size) == 0 && size <= sizeof bytes);
    CHECK(io_file_read(file, 0, bytes, sizeof bytes, &got) == 0 && got == size);
    io_file_close(file);
    struct slice piece = slice_of(bytes, got);
    CHECK(io_file_open(t->io, to, IO_OPEN_WRITE | IO_OPEN_CREATE, &file) == 0);
    CHECK(io_file_write(file, 0, &piece, 1) == 0);
    if (t->are_files_synced) CHECK(io_file_sync(file) == 0);
    io_file_close(file);
}

static void copy_dir(struct setting *t, const char *from, const char *to)
{
    char a[128], b[128];
    list_files(t, from);
    CHECK(io_dir_make(t->io, to) == 0);
    for (size_t i = 0; i < t->name_count; i++) {
        (void)snprintf(a, sizeof a, "%s/%s", from, t->names[i]);
        (void)snprintf(b, sizeof b, "%s/%s", to, t->names[i]);
        copy_file(t, a, b);
    }
    if (t->are_files_synced) CHECK(io_dir_sync(t->io, to) == 0);
}

/* A store "r/old" with a checkpoint "r/point" of it. */
static void make_checkpoint(struct setting *t)
{
    CHECK(io_dir_make(t->io, "r") == 0 && io_dir_sync(t->io, "/") == 0);
    open_store(t, "r/old");
    CHECK(t->rc == 0);
    fill(t);
    CHECK(store_checkpoint(t->store, "r/point", &t->decree, NULL) == 0);
    t->identity = store_identity(t->store);
    close_store(t);
    CHECK(io_dir_sync(t->io, "r") == 0);
}

/* ---- Copying --------------------------------------------------------------------------------- */

static void step_copy(struct setting *t)
{
    make_checkpoint(t);
    t->are_files_synced = true;
    copy_dir(t, "r/point", "r/copy");
    open_store(t, "r/copy");
}

static int heads(const struct setting *t)
{
    int count = 0;
    for (size_t i = 0; i < t->name_count; i++) count += strcmp(t->names[i], "CURRENT") == 0;
    return count;
}

/* A checkpoint is several files, which is all there is to it: copied one by one they are an equal
 * store, with a name of its own, that goes its own way. */
static void test_copied_checkpoint_is_equal(void **state)
{
    struct setting *t = *state;
    assert_true(in_process(t, step_copy));
    assert_int_equal(t->rc, 0);
    assert_int_equal(t->decree, ROWS);
    assert_true(t->name_count > 3);
    assert_int_equal(heads(t), 1);
    expect_all(t);
    assert_true(store_identity(t->store) != t->identity);
    put(t->store, ROWS + 1, "hk", "more", "1");
}

static void step_write_and_flush(struct setting *t)
{
    put(t->store, ROWS + 1, "hk", "more", "1");
    CHECK(store_flush(t->store) == 0);
    CHECK(io_dir_sync(t->io, "r") == 0);
    t->identity = store_identity(t->store);
}

static void step_open_copy(struct setting *t)
{
    open_store(t, "r/copy");
}

/* What a copy has flushed by itself is not undone by its files when it is opened again. */
static void test_flushes_after_the_copy_stay(void **state)
{
    struct setting *t = *state;
    assert_true(in_process(t, step_copy));
    assert_true(in_process(t, step_write_and_flush));
    for (int i = 0; i < 2; i++) {
        crash(t, i == 0 ? SIM_KILL : SIM_POWER);
        assert_true(in_process(t, step_open_copy));
        assert_int_equal(t->rc, 0);
        assert_int_equal(store_applied(t->store), ROWS + 1);
        assert_true(store_identity(t->store) == t->identity);
        expect(t->store, "hk", "more", "1");
    }
}

static void step_two_checkpoints(struct setting *t)
{
    make_checkpoint(t);
    open_store(t, "r/old");
    put(t->store, ROWS + 1, "hk", "zzz", "the last row of all");
    CHECK(store_checkpoint(t->store, "r/later", &t->decree, NULL) == 0);
    list_files(t, "r/point");
    size_t before = t->name_count;
    CHECK(io_dir_list(t->io, "r/later", see_name, t) == 0);
    int shared = 0;
    for (size_t i = 0; i < before; i++)
        for (size_t j = before; j < t->name_count; j++)
            shared += strcmp(t->names[i], t->names[j]) == 0;
    t->rc = shared;
}

/* What has not changed between two checkpoints has the same name in both: CURRENT apart, here all but
 * the last table. */
static void test_checkpoints_share_names(void **state)
{
    struct setting *t = *state;
    assert_true(in_process(t, step_two_checkpoints));
    assert_true(t->rc >= 3);
}

/* ---- Replacing a store ----------------------------------------------------------------------- */

/* The store "r/store", at BEFORE, is replaced by a copy of the checkpoint, at ROWS. */
static void step_replace(struct setting *t)
{
    make_checkpoint(t);
    open_store(t, "r/old");
    CHECK(store_checkpoint(t->store, "r/store", &t->decree, NULL) == 0);
    close_store(t);
    open_store(t, "r/store");
    CHECK(t->rc == 0);
    put(t->store, BEFORE, "hk", "before", "1");
    close_store(t);
    CHECK(io_dir_sync(t->io, "r") == 0);
    copy_dir(t, "r/point", "r/fresh");
    CHECK(io_dir_remove(t->io, "r/store") == 0);
    CHECK(io_rename(t->io, "r/fresh", "r/store") == 0);
    if (!t->is_name_synced) return;
    CHECK(io_dir_sync(t->io, "r") == 0);
    open_store(t, "r/store");
}

static void step_open_store(struct setting *t)
{
    open_store(t, "r/store");
}

/* The old one doesn't come back: not at once, nor after the power failed. */
static void test_renamed_copy_replaces_a_store(void **state)
{
    struct setting *t = *state;
    t->are_files_synced = t->is_name_synced = true;
    assert_true(in_process(t, step_replace));
    assert_int_equal(t->rc, 0);
    expect_all(t);
    expect(t->store, "hk", "before", NULL);
    crash(t, SIM_POWER);
    assert_true(in_process(t, step_open_store));
    assert_int_equal(t->rc, 0);
    expect_all(t);
}

enum { OLD, NEW, NONE, BROKEN, OUTCOMES };

/* What is found when the power has failed after the last step: the copy was opened, or renamed. */
static void count_outcomes(bool are_files_synced, bool is_name_synced, int seen[OUTCOMES])
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct setting t;
        begin(&t, seed);
        t.are_files_synced = are_files_synced;
        t.is_name_synced = is_name_synced;
        assert_true(in_process(&t, step_replace));
        assert_int_equal(t.rc, 0);
        crash(&t, SIM_POWER);
        assert_true(in_process(&t, step_open_store));
        uint64_t decree = t.rc == 0 ? store_applied(t.store) : 0;
        if (decree == ROWS) expect_all(&t);
        seen[BROKEN] += t.rc == E_CORRUPT;
        seen[OLD] += decree == BEFORE;
        seen[NEW] += decree == ROWS;
        seen[NONE] += t.rc == 0 && decree == 0;
        end(&t);
    }
    assert_int_equal(seen[OLD] + seen[NEW] + seen[NONE] + seen[BROKEN], 100);
}

/* Files that nobody synced are torn, though the store was opened from them before. */
static void test_copies_must_be_synced(void **state)
{
    (void)state;
    int seen[OUTCOMES] = {0};
    count_outcomes(false, true, seen);
    assert_true(seen[BROKEN] > 5);
    assert_int_equal(seen[OLD], 0);
}

/* Without a sync of its parent a directory that was replaced may be the old one, the new one, neither,
 * or the old one half removed. */
static void test_the_name_must_be_synced(void **state)
{
    (void)state;
    int seen[OUTCOMES] = {0};
    count_outcomes(true, false, seen);
    for (int i = 0; i < OUTCOMES; i++) assert_true(seen[i] > 0);
}

static void step_remove(struct setting *t)
{
    t->is_name_synced = true;
    step_replace(t);
    close_store(t);
    CHECK(io_dir_remove(t->io, "r/store") == 0);
    open_store(t, "r/store");
}

/* A directory that was removed is a new store's when it is opened. */
static void test_removed_store_is_gone(void **state)
{
    struct setting *t = *state;
    assert_true(in_process(t, step_remove));
    assert_int_equal(t->rc, 0);
    assert_int_equal(store_applied(t->store), 0);
    expect(t->store, "hk", "before", NULL);
}

static void step_move(struct setting *t)
{
    make_checkpoint(t);
    open_store(t, "r/store");
    put(t->store, BEFORE, "hk", "before", "1");
    close_store(t);
    CHECK(io_rename(t->io, "r/store", "r/moved") == 0);
    open_store(t, "r/moved");
}

/* A store that was moved has all that it had flushed; where it was there is none. */
static void test_moved_store_is_whole(void **state)
{
    struct setting *t = *state;
    assert_true(in_process(t, step_move));
    assert_int_equal(t->rc, 0);
    assert_int_equal(store_applied(t->store), BEFORE);
    assert_true(in_process(t, step_open_store));
    assert_int_equal(store_applied(t->store), 0);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static void step_checkpoint(struct setting *t)
{
    make_checkpoint(t);
    list_files(t, "r/point");
}

static void step_open_point(struct setting *t)
{
    open_store(t, "r/point");
}

static void expect_corrupt(struct setting *t, const char *what)
{
    assert_true(in_process(t, step_open_point));
    assert_int_equal(t->rc, E_CORRUPT);
    assert_null(t->store);
    assert_non_null(strstr(t->e.text, "r/point"));
    assert_non_null(strstr(t->e.text, what));
}

/* One bit of any file, and it is said which. */
static void test_damage_is_found(void **state)
{
    struct setting *t = *state;
    char path[128];
    assert_true(in_process(t, step_checkpoint));
    for (size_t i = 0; i < t->name_count; i++) {
        (void)snprintf(path, sizeof path, "/r/point/%s", t->names[i]);
        for (uint64_t bit = 7; bit < 40 * 8; bit += 101) {
            assert_int_equal(sim_disk_flip_bit(t->m, path, bit), 0);
            expect_corrupt(t, t->names[i]);
            assert_int_equal(sim_disk_flip_bit(t->m, path, bit), 0);
        }
    }
    assert_true(in_process(t, step_open_point));
    assert_int_equal(t->rc, 0);
    expect_all(t);
}

static void step_lose_table(struct setting *t)
{
    char path[128];
    (void)snprintf(path, sizeof path, "r/point/%s", t->names[0]);
    CHECK(io_unlink(t->io, path) == 0);
}

static void step_lose_head(struct setting *t)
{
    CHECK(io_unlink(t->io, "r/point/CURRENT") == 0);
}

/* A file that is missing is missed; without CURRENT the directory isn't taken for a new store's. */
static void test_missing_files_are_missed(void **state)
{
    struct setting *t = *state;
    assert_true(in_process(t, step_checkpoint));
    assert_true(in_process(t, step_lose_table));
    expect_corrupt(t, t->names[0]);
    assert_true(in_process(t, step_lose_head));
    expect_corrupt(t, "CURRENT");
}

/* A checkpoint whose name was synced, and a store too, is whole when the power fails. */
static void test_checkpoints_are_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct setting t;
        begin(&t, seed);
        assert_true(in_process(&t, make_checkpoint));
        for (int i = 0; i < 2; i++) { /* As a checkpoint, then as the store that it became. */
            crash(&t, SIM_POWER);
            assert_true(in_process(&t, step_open_point));
            assert_int_equal(t.rc, 0);
            expect_all(&t);
        }
        end(&t);
    }
}

/* ---- Disks that fail ------------------------------------------------------------------------- */

static void step_checkpoint_fails(struct setting *t)
{
    open_store(t, "r/old");
    t->rc = store_checkpoint(t->store, "r/again", &t->decree, &t->e);
    list_files(t, "r");
}

/* Whatever fails, is said; and nothing is left of the checkpoint. */
static void test_failed_checkpoint_leaves_nothing(void **state)
{
    struct setting *t = *state;
    static const enum sim_disk_call calls[] = {SIM_DISK_WRITE, SIM_DISK_SYNC, SIM_DISK_META};
    assert_true(in_process(t, step_checkpoint));
    for (size_t i = 0; i < 3; i++) {
        for (uint64_t nth = 1; nth <= 3; nth++) {
            int code = nth == 2 ? E_IO : E_NOSPACE;
            sim_disk_fail(t->m, calls[i], "/r/again", nth, code, false);
            t->decree = 77;
            assert_true(in_process(t, step_checkpoint_fails));
            assert_int_equal(t->rc, code);
            assert_int_equal(t->e.code, code);
            assert_int_equal(t->decree, 77);
            assert_int_equal(t->name_count, 2);
            sim_disk_mend(t->m);
            crash(t, SIM_KILL);
        }
    }
    assert_true(in_process(t, step_checkpoint_fails));
    assert_int_equal(t->rc, 0);
    assert_int_equal(t->decree, ROWS);
    assert_int_equal(t->name_count, 3);
}

static void step_checkpoint_or_die(struct setting *t)
{
    open_store(t, "r/old");
    t->rc = store_checkpoint(t->store, "r/again", &t->decree, &t->e);
    close_store(t);
}

static void step_open_again(struct setting *t)
{
    bool is_there = io_dir_list(t->io, "r/again", see_name, t) == 0;
    t->name_count = 0;
    open_store(t, is_there ? "r/again" : "r/point");
}

/* A process that dies anywhere in a checkpoint leaves all of it or none, and the next one is made. */
static void test_death_in_a_checkpoint(void **state)
{
    (void)state;
    bool was_killed = true;
    for (uint64_t nth = 1; was_killed; nth++) {
        struct setting t;
        begin(&t, nth);
        assert_true(in_process(&t, make_checkpoint));
        sim_machine_crash_at(t.m, nth, SIM_KILL);
        was_killed = !in_process(&t, step_checkpoint_or_die);
        sim_machine_crash_at(t.m, 0, SIM_KILL);
        crash(&t, SIM_KILL);
        assert_true(in_process(&t, step_open_again));
        assert_int_equal(t.rc, 0);
        expect_all(&t);
        crash(&t, SIM_KILL);
        assert_true(in_process(&t, step_checkpoint_or_die));
        assert_true(t.rc == 0 || t.rc == E_EXISTS);
        end(&t);
        assert_true(nth < 100);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_copied_checkpoint_is_equal),
        STORY(test_flushes_after_the_copy_stay),
        STORY(test_checkpoints_share_names),
        STORY(test_renamed_copy_replaces_a_store),
        cmocka_unit_test(test_copies_must_be_synced),
        cmocka_unit_test(test_the_name_must_be_synced),
        STORY(test_removed_store_is_gone),
        STORY(test_moved_store_is_whole),
        STORY(test_damage_is_found),
        STORY(test_missing_files_are_missed),
        cmocka_unit_test(test_checkpoints_are_synced),
        STORY(test_failed_checkpoint_leaves_nothing),
        cmocka_unit_test(test_death_in_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
