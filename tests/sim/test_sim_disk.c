/* tests/sim/test_sim_disk.c: what is left on the simulated disk after power loss, and how it fails.
 *
 * A model keeps what was promised: bytes synced, names synced. After a crash everything promised
 * must be there; of the rest anything may be, and over many seeds each possible outcome must be
 * seen, or the disk is too kind to find anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "sim/sim.h"

struct world {
    struct sim *sim;
    struct sim_machine *m;
    struct io *io;
    struct io_file *file;
    void (*step)(struct world *w);
    uint64_t seed;
    char text[8192]; /* What a story has read. */
    size_t size;
    int rc;
};

static void run_step(void *context)
{
    struct world *w = context;
    w->step(w);
}

/* Do it as the machine's process; false when the process died of it. */
static bool in_process(struct world *w, void (*step)(struct world *w))
{
    w->step = step;
    return sim_machine_do(w->m, run_step, w);
}

static void no_program(struct sim_machine *m, void *context)
{
    (void)m;
    (void)context;
}

static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.sim = sim_new(seed), .seed = seed};
    w->m = sim_machine_new(w->sim, "a");
    w->io = sim_machine_io(w->m);
    sim_machine_start(w->m, (struct sim_program){no_program, NULL});
}

static int setup(void **state)
{
    static struct world w;
    world_init(&w, 1);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    sim_free(((struct world *)*state)->sim);
    return 0;
}

static void lose_power(struct world *w)
{
    sim_machine_crash(w->m, SIM_POWER);
    sim_machine_restart(w->m);
    w->file = NULL;
}

/* ---- Small sentences for the stories ---- */

static void open_file(struct world *w, const char *path)
{
    CHECK(io_file_open(w->io, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &w->file) == 0);
}

static int put(struct world *w, uint64_t offset, const char *text)
{
    struct slice bytes = slice_str(text);
    return io_file_write(w->file, offset, &bytes, 1);
}

static int fill(struct world *w, uint64_t offset, char letter, size_t size)
{
    char bytes[4096];
    CHECK(size <= sizeof bytes);
    memset(bytes, letter, size);
    struct slice piece = slice_of(bytes, size);
    return io_file_write(w->file, offset, &piece, 1);
}

static void sync_all(struct world *w)
{
    CHECK(io_file_sync(w->file) == 0);
    CHECK(io_dir_sync(w->io, "/") == 0);
}

static void read_back(struct world *w, const char *path)
{
    struct io_file *file;
    w->size = 0;
    w->rc = io_file_open(w->io, path, IO_OPEN_READ, &file);
    if (w->rc != 0) return;
    w->rc = io_file_read(file, 0, w->text, sizeof w->text - 1, &w->size);
    w->text[w->size] = '\0';
    io_file_close(file);
}

/* ---- Files ---- */

static void step_files(struct world *w)
{
    struct io_file *file;
    uint64_t size;
    size_t got;
    char text[16];
    struct slice pieces[] = {slice_str("ab"), slice_str(""), slice_str("cde")};
    CHECK(io_file_open(w->io, "/x", IO_OPEN_READ, &file) == E_NOTFOUND);
    CHECK(io_file_open(w->io, "/d/x", IO_OPEN_WRITE | IO_OPEN_CREATE, &file) == E_NOTFOUND);
    open_file(w, "/x");
    CHECK(io_file_open(w->io, "//x/", IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE, &file) ==
          E_EXISTS);
    CHECK(io_file_write(w->file, 3, pieces, 3) == 0);
    CHECK(io_file_size(w->file, &size) == 0 && size == 8);
    CHECK(io_file_read(w->file, 2, text, sizeof text, &got) == 0 && got == 6);
    CHECK(memcmp(text, "\0abcde", 6) == 0);
    CHECK(io_file_read(w->file, 8, text, sizeof text, &got) == 0 && got == 0);
    CHECK(io_file_truncate(w->file, 4) == 0);
    CHECK(io_file_size(w->file, &size) == 0 && size == 4);
    io_file_close(w->file);
    w->file = NULL;
    CHECK(io_unlink(w->io, "/x") == 0 && io_unlink(w->io, "/x") == E_NOTFOUND);
    CHECK(sim_disk_used(w->m) == 0);
}

static void test_files(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_files));
}

static void each_name(void *context, const char *name)
{
    struct world *w = context;
    w->size += (size_t)snprintf(w->text + w->size, sizeof w->text - w->size, "%s ", name);
}

static void step_dirs(struct world *w)
{
    CHECK(io_dir_make(w->io, "/a/b/c") == 0 && io_dir_make(w->io, "/a/b") == 0);
    CHECK(io_dir_make(w->io, "/a.b") == 0 && io_dir_make(w->io, "/a/b.c") == 0);
    open_file(w, "/a/b/2");
    io_file_close(w->file);
    open_file(w, "/a/b/10");
    io_file_close(w->file);
    w->file = NULL;
    CHECK(io_dir_list(w->io, "/a", each_name, w) == 0);
    CHECK(io_dir_list(w->io, "/a/b", each_name, w) == 0);
    CHECK(io_dir_list(w->io, "/", each_name, w) == 0);
    CHECK(io_dir_list(w->io, "/z", each_name, w) == E_NOTFOUND);
    CHECK(io_rename(w->io, "/a/b", "/moved") == 0);
    CHECK(io_dir_list(w->io, "/moved", each_name, w) == 0);
    CHECK(io_rename(w->io, "/moved/2", "/moved/10") == 0);
    CHECK(io_dir_list(w->io, "/moved", each_name, w) == 0);
    CHECK(io_dir_remove(w->io, "/moved") == 0 && io_dir_remove(w->io, "/moved") == 0);
    CHECK(io_dir_list(w->io, "/", each_name, w) == 0);
}

static void test_directories(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_dirs));
    assert_string_equal(w->text, "b b.c 10 2 c a a.b 10 2 c 10 c a a.b ");
}

static void step_lock(struct world *w)
{
    w->rc = io_lock(w->io, "/lock");
}

static void test_a_lock_ends_with_its_process(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_lock));
    assert_int_equal(w->rc, 0);
    assert_true(in_process(w, step_lock));
    assert_int_equal(w->rc, E_BUSY);
    sim_machine_crash(w->m, SIM_KILL);
    sim_machine_restart(w->m);
    assert_true(in_process(w, step_lock));
    assert_int_equal(w->rc, 0);
}

/* ---- Power loss ---- */

static void step_synced_and_not(struct world *w)
{
    open_file(w, "/log");
    CHECK(fill(w, 0, 'a', 2000) == 0);
    sync_all(w);
    CHECK(fill(w, 2000, 'b', 1500) == 0);
    CHECK(fill(w, 3500, 'c', 500) == 0);
}

static void step_read_log(struct world *w)
{
    read_back(w, "/log");
}

static bool is_all(const char *text, char letter, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != letter) return false;
    return true;
}

/* What was synced is there. Of the rest, each outcome is met in a few hundred seeds. */
static void test_power_loss_keeps_what_was_synced(void **state)
{
    (void)state;
    enum { LOST, WHOLE, FIRST_ONLY, SECOND_ONLY, TORN, ZEROS, OUTCOMES };
    int seen[OUTCOMES] = {0};
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct world w;
        world_init(&w, seed);
        assert_true(in_process(&w, step_synced_and_not));
        sim_run_us(w.sim, 10000);
        lose_power(&w);
        assert_true(in_process(&w, step_read_log));
        assert_int_equal(w.rc, 0);
        assert_true(w.size >= 2000 && is_all(w.text, 'a', 2000));
        bool b = w.size >= 3500 && is_all(w.text + 2000, 'b', 1500);
        bool c = w.size == 4000 && is_all(w.text + 3500, 'c', 500);
        bool begins = w.size > 2048 && is_all(w.text + 2000, 'b', 48) && !b;
        bool zeros = w.size > 2000 && is_all(w.text + 2000, '\0', w.size - 2000);
        seen[LOST] += w.size == 2000;
        seen[WHOLE] += b && c;
        seen[FIRST_ONLY] += b && w.size == 3500;
        seen[SECOND_ONLY] += !b && c;
        seen[TORN] += begins;
        seen[ZEROS] += zeros;
        sim_free(w.sim);
    }
    for (int i = 0; i < OUTCOMES; i++) assert_true(seen[i] > 2);
}

/* A kill leaves the page cache alone. */
static void test_a_kill_loses_nothing(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_synced_and_not));
    sim_machine_crash(w->m, SIM_KILL);
    sim_machine_restart(w->m);
    assert_true(in_process(w, step_read_log));
    assert_int_equal(w->size, 4000);
}

/* A sync is worth something only from the moment it has returned: before, the writer's thread is
 * merely ahead of the world. */
static void test_a_sync_under_way_promises_nothing(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct world w;
        struct sim_disk disk;
        world_init(&w, seed);
        sim_disk_default(&disk);
        disk.sync_us = 100000;
        sim_disk_set(w.m, &disk);
        assert_true(in_process(&w, step_synced_and_not)); /* Takes 200 ms and more. */
        sim_run_us(w.sim, 50000);
        lose_power(&w);
        assert_true(in_process(&w, step_read_log));
        lost += w.rc == E_NOTFOUND || w.size < 2000;
        sim_free(w.sim);
    }
    assert_true(lost > 10);
}

static void step_unsynced_name(struct world *w)
{
    open_file(w, "/log");
    CHECK(fill(w, 0, 'a', 100) == 0);
    CHECK(io_file_sync(w->file) == 0);
}

/* Without a sync of its directory a file may be gone, with all its synced bytes. */
static void test_names_need_a_sync_of_their_own(void **state)
{
    (void)state;
    int lost = 0, kept = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct world w;
        world_init(&w, seed);
        assert_true(in_process(&w, step_unsynced_name));
        sim_run_us(w.sim, 10000);
        lose_power(&w);
        assert_true(in_process(&w, step_read_log));
        lost += w.rc == E_NOTFOUND;
        kept += w.rc == 0 && w.size == 100;
        sim_free(w.sim);
    }
    assert_true(lost > 5 && kept > 5);
    assert_int_equal(lost + kept, 50);
}

static void step_replace(struct world *w)
{
    open_file(w, "/state");
    CHECK(put(w, 0, "old") == 0);
    sync_all(w);
    open_file(w, "/state.tmp");
    CHECK(put(w, 0, "new") == 0);
    CHECK(io_file_sync(w->file) == 0);
    CHECK(io_rename(w->io, "/state.tmp", "/state") == 0);
}

static void step_read_state(struct world *w)
{
    read_back(w, "/state");
}

/* Write aside, sync, rename: after any crash one of the two is there, whole. */
static void test_rename_is_atomic(void **state)
{
    (void)state;
    int old = 0, new = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct world w;
        world_init(&w, seed);
        assert_true(in_process(&w, step_replace));
        sim_run_us(w.sim, 10000);
        lose_power(&w);
        assert_true(in_process(&w, step_read_state));
        assert_int_equal(w.rc, 0);
        old += strcmp(w.text, "old") == 0;
        new += strcmp(w.text, "new") == 0;
        sim_free(w.sim);
    }
    assert_true(old > 5 && new > 5);
    assert_int_equal(old + new, 100);
}

static void step_deep(struct world *w)
{
    CHECK(io_dir_make(w->io, "/a/b") == 0);
    open_file(w, "/a/b/x");
    CHECK(put(w, 0, "x") == 0);
    CHECK(io_file_sync(w->file) == 0);
    CHECK(io_dir_sync(w->io, "/a/b") == 0 && io_dir_sync(w->io, "/a") == 0);
}

static void step_read_deep(struct world *w)
{
    read_back(w, "/a/b/x");
}

/* A directory that is lost takes with it what was synced in it. */
static void test_a_lost_directory_takes_its_files(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct world w;
        world_init(&w, seed);
        assert_true(in_process(&w, step_deep));
        sim_run_us(w.sim, 10000);
        lose_power(&w);
        assert_true(in_process(&w, step_read_deep));
        lost += w.rc == E_NOTFOUND;
        sim_free(w.sim);
    }
    assert_true(lost > 5 && lost < 45);
}

/* ---- Errors ---- */

static void step_failed_sync(struct world *w)
{
    open_file(w, "/log");
    CHECK(put(w, 0, "first") == 0);
    sync_all(w);
    CHECK(put(w, 5, "second") == 0);
    sim_disk_fail(w->m, SIM_DISK_SYNC, "log", 1, E_IO, false);
    CHECK(io_file_sync(w->file) == E_IO);
    CHECK(put(w, 11, "third") == 0);
    CHECK(io_file_sync(w->file) == 0); /* As if nothing had happened. */
}

/* The trap of fsync: the second one succeeds, and the bytes before the first may be gone all the
 * same. Who asks again is counted. */
static void test_a_failed_sync_loses_and_then_lies(void **state)
{
    (void)state;
    int lost = 0, kept = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world w;
        world_init(&w, seed);
        assert_true(in_process(&w, step_failed_sync));
        assert_int_equal(sim_disk_syncs_after_failure(w.m), 1);
        sim_run_us(w.sim, 10000);
        lose_power(&w);
        assert_true(in_process(&w, step_read_log));
        assert_memory_equal(w.text, "first", 5);
        assert_memory_equal(w.text + 11, "third", 5);
        lost += memcmp(w.text + 5, "second", 6) != 0;
        kept += memcmp(w.text + 5, "second", 6) == 0;
        sim_free(w.sim);
    }
    assert_true(lost > 5 && kept > 5);
}

static void step_full(struct world *w)
{
    struct sim_disk disk;
    uint64_t free_size, total_size, size;
    sim_disk_default(&disk);
    disk.total_size = 1000;
    sim_disk_set(w->m, &disk);
    open_file(w, "/log");
    CHECK(fill(w, 0, 'a', 600) == 0);
    CHECK(fill(w, 600, 'b', 600) == E_NOSPACE);
    CHECK(io_file_size(w->file, &size) == 0 && size >= 600 && size <= 1000);
    CHECK(io_file_truncate(w->file, 600) == 0);
    CHECK(fill(w, 300, 'c', 300) == 0); /* Overwriting takes no room. */
    CHECK(io_disk_space(w->io, "/", &free_size, &total_size) == 0);
    CHECK(free_size == 400 && total_size == 1000);
    CHECK(io_unlink(w->io, "/log") == 0);
    CHECK(io_disk_space(w->io, "/", &free_size, &total_size) == 0 && free_size == 1000);
}

static void test_a_full_disk(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_full));
}

static void step_sticky(struct world *w)
{
    open_file(w, "/log");
    sim_disk_fail(w->m, SIM_DISK_WRITE, "log", 2, E_IO, true);
    sim_disk_fail(w->m, SIM_DISK_READ, "other", 1, E_IO, false);
    CHECK(put(w, 0, "a") == 0);
    CHECK(put(w, 1, "b") == E_IO && put(w, 1, "b") == E_IO);
    read_back(w, "/log");
    CHECK(w->rc == 0);
    sim_disk_mend(w->m);
    CHECK(put(w, 1, "b") == 0);
}

static void test_faults_on_demand(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_sticky));
}

static void step_hang(struct world *w)
{
    uint64_t before = io_now(w->io).boot_ms;
    sim_disk_hang(w->m, 5000000);
    open_file(w, "/log");
    CHECK(io_now(w->io).boot_ms - before == 5000);
    CHECK(put(w, 0, "x") == 0);
    CHECK(io_now(w->io).boot_ms - before == 5000);
}

static void test_a_disk_hangs(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_hang));
}

static void step_rot(struct world *w)
{
    open_file(w, "/log");
    CHECK(fill(w, 0, 'a', 1100) == 0);
    sync_all(w);
    CHECK(sim_disk_flip_bit(w->m, "/log", 8 * 3) == 0);
    CHECK(sim_disk_zero_sector(w->m, "/log", 1030) == 0);
    CHECK(sim_disk_flip_bit(w->m, "/log", 8 * 1100) == E_INVALID);
    CHECK(sim_disk_flip_bit(w->m, "/none", 0) == E_NOTFOUND);
}

static void test_bytes_rot(void **state)
{
    struct world *w = *state;
    assert_true(in_process(w, step_rot));
    sim_run_us(w->sim, 10000);
    lose_power(w);
    assert_true(in_process(w, step_read_log));
    assert_int_equal(w->size, 1100);
    assert_int_equal(w->text[3], 'a' ^ 1);
    assert_true(is_all(w->text + 4, 'a', 1020));
    assert_true(is_all(w->text + 1024, '\0', 76));
}

int main(void)
{
#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_files),
        STORY(test_directories),
        STORY(test_a_lock_ends_with_its_process),
        cmocka_unit_test(test_power_loss_keeps_what_was_synced),
        STORY(test_a_kill_loses_nothing),
        cmocka_unit_test(test_a_sync_under_way_promises_nothing),
        cmocka_unit_test(test_names_need_a_sync_of_their_own),
        cmocka_unit_test(test_rename_is_atomic),
        cmocka_unit_test(test_a_lost_directory_takes_its_files),
        cmocka_unit_test(test_a_failed_sync_loses_and_then_lies),
        STORY(test_a_full_disk),
        STORY(test_faults_on_demand),
        STORY(test_a_disk_hangs),
        STORY(test_bytes_rot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
