/* tests/log/test_log_free.c: nothing is freed that is needed (I10, I13), and everything else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log/world.h"

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

/* Fill about 'count' segments with records of one partition, from 'first' on; returns the last. */
static uint64_t fill(struct world *w, int part, uint64_t first, int segments)
{
    uint64_t decree = first;
    for (int i = 0; i < segments * 6; i++, decree++)
        assert_int_equal(world_append(w, part, decree, decree, 380), 0);
    return decree - 1;
}

static void reopen(struct world *w)
{
    world_crash(w, SIM_POWER);
    assert_int_equal(world_open(w), 0);
}

/* The store is flushed and nobody ships: old segments go, the newest stays. */
static void test_flushed_segments_are_freed(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, LOG_NO_SHIPPER);
    uint64_t last = fill(w, 0, 1, 6);
    assert_true(world_stats(w).segments >= 6);
    world_hold(w, 0, last / 2, LOG_NO_SHIPPER);
    assert_true(world_stats(w).segments <= 5);
    assert_true(world_reads_all(w, 0, last / 2 + 1, last));
    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_int_equal(world_stats(w).segments, 1);
    assert_int_equal(world_files(w, "/log", "log."), 1);

    w->parts[0].durable = last;
    reopen(w);
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
    assert_int_equal(world_append(w, 0, last + 1, last + 1, 100), 0);
    reopen(w);
    assert_int_equal(w->parts[0].replayed, last + 1);
}

/* A replica that has not come yet (no hold after opening) keeps everything. */
static void test_nothing_is_freed_before_the_replica_comes(void **state)
{
    struct world *w = *state;
    uint64_t last = fill(w, 0, 1, 4);
    uint64_t other = fill(w, 1, 1, 4);
    w->parts[0].durable = last;
    w->parts[1].durable = other;
    reopen(w);
    world_hold(w, 1, other, LOG_NO_SHIPPER);
    assert_true(world_stats(w).segments >= 8);
    assert_true(world_reads_all(w, 0, 1, last));
    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_int_equal(world_stats(w).segments, 1);
}

/* A duplication that has confirmed little keeps the rest, whatever the store has flushed. */
static void test_shipper_keeps_its_records(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, 0);
    uint64_t last = fill(w, 0, 1, 6);
    world_hold(w, 0, last, 10);
    assert_true(world_reads_all(w, 0, 11, last));
    assert_int_equal(world_read(w, 0, last + 1, last + 5), E_NOTFOUND);
    world_hold(w, 0, last, last - 5);
    assert_true(world_reads_all(w, 0, last - 4, last));
    assert_int_equal(world_read(w, 0, 1, last), E_NOTFOUND);
    assert_true(world_stats(w).segments <= 2);
}

/* The duplication is removed: what only it kept is freed, at once. */
static void test_removed_shipper_frees(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, 0);
    uint64_t last = fill(w, 0, 1, 6);
    world_hold(w, 0, last, 0);
    assert_true(world_stats(w).segments >= 6);
    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_int_equal(world_stats(w).segments, 1);
}

/* A partition that wrote once and fell silent keeps the log; it is asked to flush, before others.
 */
static void test_silent_partition_is_asked_to_flush(void **state)
{
    struct world *w = *state;
    world_close(w);
    w->options.flush_size = 5 * LOG_SEGMENT_SIZE_MIN;
    assert_int_equal(world_open(w), 0);
    for (int i = 0; i < 3; i++) world_hold(w, i, 0, LOG_NO_SHIPPER);
    assert_int_equal(world_append(w, 1, 1, 1, 100), 0);
    uint64_t last = fill(w, 0, 1, 4);
    assert_int_equal(w->parts[1].flush_wanted, 0);
    last = fill(w, 0, last + 1, 4);
    world_settle(w);
    assert_true(w->parts[1].flush_wanted > 0);
    assert_int_equal(w->parts[2].flush_wanted, 0);
    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_true(world_stats(w).segments >= 8);
    world_hold(w, 1, 1, LOG_NO_SHIPPER);
    assert_int_equal(world_stats(w).segments, 1);
}

/* The log was too large when the process ended. Nobody writes any more: no segment begins, and still
 * each replica whose store lacks what the oldest segments hold is asked, as it comes. */
static void test_replica_is_asked_when_it_comes(void **state)
{
    struct world *w = *state;
    w->options.flush_size = 5 * LOG_SEGMENT_SIZE_MIN;
    uint64_t last = fill(w, 0, 1, 8);
    assert_int_equal(world_append(w, 1, 1, 1, 100), 0);
    w->parts[1].durable = 1;
    reopen(w);
    world_hold(w, 0, 0, LOG_NO_SHIPPER);
    assert_int_equal(w->parts[0].flush_wanted, 1);
    world_hold(w, 1, 1, LOG_NO_SHIPPER);
    assert_int_equal(w->parts[1].flush_wanted, 0);
    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_int_equal(w->parts[0].flush_wanted, 1);
    assert_int_equal(world_stats(w).segments, 1);
}

/* ---- Backlog ---- */

static void open_small(struct world *w)
{
    world_close(w);
    w->options.ship_size = 2 * LOG_SEGMENT_SIZE_MIN;
    assert_int_equal(world_open(w), 0);
}

/* A dead remote does not pin the common log: its records move to the partition's own files, the
 * segments go, and every record can still be read, before and after a restart. */
static void test_slow_shipper_moves_to_backlog(void **state)
{
    struct world *w = *state;
    open_small(w);
    world_hold(w, 0, 0, 0);
    world_hold(w, 1, 0, LOG_NO_SHIPPER);
    uint64_t last = 0, other = 0;
    for (int i = 0; i < 10; i++) {
        last = fill(w, 0, last + 1, 1);
        other = fill(w, 1, other + 1, 1);
    }
    world_hold(w, 1, other, LOG_NO_SHIPPER);
    world_hold(w, 0, last, 3);
    assert_true(world_stats(w).segments <= 4);
    assert_true(world_stats(w).backlog_size > 0);
    assert_true(world_files(w, "/log/backlog", "1.0.") >= 8);
    assert_true(atomic_load(&w->parts[0].hold.backlog_size) == world_stats(w).backlog_size);
    assert_true(world_reads_all(w, 0, 4, last));

    w->parts[0].durable = last;
    w->parts[1].durable = other;
    reopen(w);
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
    assert_true(world_reads_all(w, 0, 4, last));

    world_hold(w, 1, other, LOG_NO_SHIPPER);
    world_hold(w, 0, last, last - 1);
    assert_true(world_reads_all(w, 0, last, last));
    world_hold(w, 0, last, last);
    assert_int_equal(world_stats(w).backlog_size, 0);
    assert_int_equal(world_files(w, "/log/backlog", "1.0."), 0);
}

/* The duplication of a partition with a backlog is removed: its files go too. */
static void test_removed_shipper_frees_backlog(void **state)
{
    struct world *w = *state;
    open_small(w);
    world_hold(w, 0, 0, 0);
    uint64_t last = fill(w, 0, 1, 8);
    world_hold(w, 0, last, 0);
    assert_true(world_stats(w).backlog_size > 0);
    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_int_equal(world_stats(w).backlog_size, 0);
    assert_int_equal(world_stats(w).segments, 1);
    assert_int_equal(world_files(w, "/log/backlog", "1.0."), 0);
}

/* The backlog's budget is used up: the replica with the most of it is asked to give up a shipper,
 * the log keeps everything until it has, and then goes on. */
static void test_backlog_over_budget(void **state)
{
    struct world *w = *state;
    world_close(w);
    w->options.ship_size = 2 * LOG_SEGMENT_SIZE_MIN;
    w->options.backlog_size_max = 4 * LOG_SEGMENT_SIZE_MIN;
    assert_int_equal(world_open(w), 0);
    world_hold(w, 0, 0, 0);
    world_hold(w, 1, 0, 0);
    uint64_t last = fill(w, 0, 1, 12);
    uint64_t other = fill(w, 1, 1, 1);
    world_hold(w, 1, other, 0);
    world_hold(w, 0, last, 0);
    assert_int_equal(w->parts[0].backlog_over, 1);
    assert_int_equal(w->parts[1].backlog_over, 0);
    assert_true(world_stats(w).backlog_size <= w->options.backlog_size_max);
    assert_true(world_reads_all(w, 0, 1, last));
    assert_true(world_reads_all(w, 1, 1, other));

    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_true(world_stats(w).segments <= 4);
    assert_true(world_reads_all(w, 1, 1, other));
}

/* A partition is set aside at a start, with records that its store lacks, between those of another. */
static uint64_t set_aside(struct world *w, uint64_t *other)
{
    uint64_t last = 0;
    world_close(w);
    w->options.ship_size = 2 * LOG_SEGMENT_SIZE_MIN;
    w->options.backlog_size_max = 1; /* That is for shippers: it isn't asked about. */
    assert_int_equal(world_open(w), 0);
    world_hold(w, 0, 0, LOG_NO_SHIPPER);
    world_hold(w, 1, 0, LOG_NO_SHIPPER);
    for (int i = 0; i < 10; i++) {
        last = fill(w, 0, last + 1, 1);
        *other = fill(w, 1, *other + 1, 1);
    }
    w->parts[0].durable = LOG_NO_STORE;
    w->parts[1].durable = *other;
    reopen(w);
    world_hold(w, 1, *other, LOG_NO_SHIPPER);
    return last;
}

/* Its records move to its backlog, so that the others' log is freed, life after life. When its store was
 * repaired they are replayed from there, again until they are flushed, and then the files go. */
static void test_set_aside_moves_to_backlog(void **state)
{
    struct world *w = *state;
    const uint64_t durable = 5; /* What its store has, as will be known then. */
    uint64_t other = 0, last = set_aside(w, &other);
    for (int life = 0; life < 3; life++) {
        assert_true(world_stats(w).segments <= 4);
        assert_true(world_stats(w).kept_size > 0);
        assert_true(world_stats(w).kept_size == world_stats(w).backlog_size);
        other = fill(w, 1, other + 1, 6);
        world_hold(w, 1, other, LOG_NO_SHIPPER);
        w->parts[1].durable = other;
        reopen(w);
        world_hold(w, 1, other, LOG_NO_SHIPPER);
    }
    w->parts[0].durable = durable;
    for (int life = 0; life < 2; life++) {
        reopen(w);
        assert_true(w->parts[0].damaged_above == UINT64_MAX);
        assert_int_equal(w->parts[0].replayed, last);
        world_hold(w, 1, other, LOG_NO_SHIPPER);
        world_hold(w, 0, durable, LOG_NO_SHIPPER);
        assert_true(w->parts[0].flush_wanted > 0);
        assert_true(world_reads_all(w, 0, durable + 1, last));
    }
    world_hold(w, 0, last, LOG_NO_SHIPPER);
    assert_int_equal(world_stats(w).backlog_size, 0);
    assert_int_equal(world_append(w, 0, last + 1, last + 1, 100), 0);
    w->parts[0].durable = last;
    reopen(w);
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
    assert_int_equal(w->parts[0].replayed, last + 1);
}

struct newest {
    char name[64];
};

static void on_name(void *context, const char *name)
{
    struct newest *newest = context;
    if (strncmp(name, "1.0.", 4) == 0 && strcmp(name, newest->name) > 0)
        (void)snprintf(newest->name, sizeof newest->name, "%s", name);
}

static void lose_newest(void *context)
{
    struct world *w = context;
    struct newest newest = {""};
    char path[128];
    assert_int_equal(io_dir_list(w->io, "/log/backlog", on_name, &newest), 0);
    (void)snprintf(path, sizeof path, "/log/backlog/%s", newest.name);
    assert_int_equal(io_unlink(w->io, path), 0);
    assert_int_equal(io_dir_sync(w->io, "/log/backlog"), 0);
}

/* One of those files is lost, the newest, with nothing behind it that would leave a gap. It is not
 * forgotten that there was more: the repaired partition counts as damaged, and the other is well. */
static void test_lost_backlog_of_set_aside_is_damage(void **state)
{
    struct world *w = *state;
    uint64_t other = 0, last = set_aside(w, &other);
    for (int life = 0; life < 2; life++) { /* All of it has moved, and every old head is gone. */
        other = fill(w, 1, other + 1, 6);
        world_hold(w, 1, other, LOG_NO_SHIPPER);
        w->parts[1].durable = other;
        if (life == 0) reopen(w);
    }
    assert_true(sim_machine_do(w->machine, lose_newest, w));
    world_settle(w);
    w->parts[0].durable = 5;
    reopen(w);
    assert_true(w->parts[0].damaged_above < last);
    assert_true(w->parts[1].damaged_above == UINT64_MAX);
}

/* The same, after the repair, while what was replayed from there is not flushed yet: also then the heads
 * of the log say that there was more. */
static void test_lost_backlog_before_the_flush_is_damage(void **state)
{
    struct world *w = *state;
    uint64_t other = 0, last = set_aside(w, &other);
    for (int life = 0; life < 3; life++) {
        other = fill(w, 1, other + 1, 8); /* Of each life's own head nothing is left. */
        world_hold(w, 1, other, LOG_NO_SHIPPER);
        w->parts[1].durable = other;
        if (life < 2) w->parts[0].durable = 5;
        if (life == 2) break;
        reopen(w);
        assert_int_equal(w->parts[0].replayed, last);
        world_hold(w, 0, 5, LOG_NO_SHIPPER);
        world_hold(w, 1, other, LOG_NO_SHIPPER);
    }
    assert_true(sim_machine_do(w->machine, lose_newest, w));
    world_settle(w);
    reopen(w);
    assert_true(w->parts[0].damaged_above < last);
    assert_true(w->parts[1].damaged_above == UINT64_MAX);
}

/* What was moved had not been committed: after the repair a newer ballot replaces its end. Then a shipper
 * that reads from the backlog on gets what has replaced it, also when that has moved too. */
static void test_replaced_backlog_is_not_read(void **state)
{
    struct world *w = *state;
    uint64_t other = 0, last = set_aside(w, &other);
    w->parts[0].durable = 5;
    reopen(w);
    world_hold(w, 1, other, LOG_NO_SHIPPER);
    world_hold(w, 0, 5, 5);
    assert_int_equal(world_append_ballot(w, 0, 2, last - 9, last + 1, 300), 0);
    for (int life = 0; life < 3; life++) {
        if (life == 1) w->parts[0].durable = LOG_NO_STORE;
        if (life == 2) w->parts[0].durable = 5;
        if (life > 0) reopen(w);
        assert_true(w->parts[0].damaged_above == UINT64_MAX);
        if (life != 1) world_hold(w, 0, 5, 5);
        memset(w->parts[0].ballot, 0, sizeof w->parts[0].ballot);
        if (life != 1) assert_true(world_reads_all(w, 0, 6, last + 1));
        for (uint64_t decree = last - 9; decree <= last + 1 && life != 1; decree++)
            assert_int_equal(w->parts[0].ballot[decree], 2);
        other = fill(w, 1, other + 1, 8);
        world_hold(w, 1, other, LOG_NO_SHIPPER);
        w->parts[1].durable = other;
    }
}

/* A newer ballot has replaced records before they moved, and lies in a segment that is still there, or in
 * another file: wherever the one ends and the other begins, nothing is missing. */
static void test_replaced_before_it_moved(void **state)
{
    struct world *w = *state;
    for (int behind = 0; behind < 6; behind++) {
        if (behind > 0) assert_int_equal(setup(state), 0);
        open_small(w);
        world_hold(w, 0, 0, LOG_NO_SHIPPER);
        uint64_t last = fill(w, 0, 1, 5);
        for (uint64_t decree = last - 1; decree <= last; decree++)
            assert_int_equal(world_append_ballot(w, 0, 2, decree, decree, 380), 0);
        for (int i = 0; i < behind; i++) last = fill(w, 0, last + 1, 1);
        world_hold(w, 0, LOG_NO_STORE, 3);
        w->parts[0].durable = 3;
        reopen(w);
        assert_true(w->parts[0].damaged_above == UINT64_MAX);
        assert_int_equal(w->parts[0].replayed, last);
        assert_int_equal(w->parts[0].ballot[30], 2);
        if (behind < 5) world_fini(w);
    }
}

/* A replica stops while it lives: it doesn't hold the common segments either. */
static void test_stopped_replica_moves_to_backlog(void **state)
{
    struct world *w = *state;
    open_small(w);
    world_hold(w, 0, 0, LOG_NO_SHIPPER);
    uint64_t last = fill(w, 0, 1, 10);
    world_hold(w, 0, 7, LOG_NO_SHIPPER);
    assert_true(world_stats(w).segments >= 8);
    world_hold(w, 0, LOG_NO_STORE, 7);
    assert_true(world_stats(w).segments <= 4);
    w->parts[0].durable = 7;
    reopen(w);
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
    assert_int_equal(w->parts[0].replayed, last);
}

/* The table of a set-aside partition is dropped: its files go, what is kept is none, and the next life
 * doesn't know it. The same when its files are there and nobody lists it. */
static void test_set_aside_is_forgotten(void **state)
{
    struct world *w = *state;
    for (int is_listed = 0; is_listed < 2; is_listed++) {
        if (is_listed > 0) {
            world_fini(w);
            assert_int_equal(setup(state), 0);
        }
        uint64_t other = 0;
        (void)set_aside(w, &other);
        assert_true(world_files(w, "/log/backlog", "1.0.") > 0);
        w->parts[0].is_listed = is_listed > 0;
        if (is_listed > 0) world_forget(w, 0);
        else reopen(w);
        world_hold(w, 1, other, LOG_NO_SHIPPER);
        assert_int_equal(world_files(w, "/log/backlog", "1.0."), 0);
        assert_int_equal(world_stats(w).kept_size, 0);
        assert_int_equal(world_stats(w).backlog_size, 0);
        assert_int_equal(world_stats(w).segments, 1);
    }
}

/* ---- Holes in what is kept ---- */

/* One byte of each record of partition 0 with a decree in [first, last] is flipped, wherever it lies. */
struct rot {
    struct world *world;
    const char *dir, *prefix;
    uint64_t first, last, ballot;
    size_t count;
};

static void rot_file(struct rot *rot, const char *name)
{
    static uint8_t bytes[256 << 10];
    char path[128];
    struct io_file *file;
    size_t size;
    (void)snprintf(path, sizeof path, "%s/%s", rot->dir, name);
    assert_int_equal(io_file_open(rot->world->io, path, IO_OPEN_READ, &file), 0);
    assert_int_equal(io_file_read(file, 0, bytes, sizeof bytes, &size), 0);
    assert_true(size < sizeof bytes);
    for (uint64_t decree = rot->first; decree <= rot->last; decree++) {
        uint8_t content[64];
        world_content(content, sizeof content, 0, decree, rot->ballot);
        for (size_t at = 0; at + sizeof content <= size; at++) {
            if (memcmp(bytes + at, content, sizeof content) != 0) continue;
            assert_int_equal(sim_disk_flip_bit(rot->world->machine, path, at * 8), 0);
            rot->count++;
            break;
        }
    }
    io_file_close(file);
}

struct names {
    const char *prefix;
    char names[64][64];
    size_t count;
};

static void on_rot_name(void *context, const char *name)
{
    struct names *names = context;
    if (strncmp(name, names->prefix, strlen(names->prefix)) != 0) return;
    assert_true(names->count < 64);
    (void)snprintf(names->names[names->count++], sizeof names->names[0], "%s", name);
}

static void do_rot(void *context)
{
    struct rot *rot = context;
    static struct names names;
    names = (struct names){.prefix = rot->prefix};
    assert_int_equal(io_dir_list(rot->world->io, rot->dir, on_rot_name, &names), 0);
    for (size_t i = 0; i < names.count; i++) rot_file(rot, names.names[i]);
}

static void rot_log(struct world *w, uint64_t ballot, uint64_t first, uint64_t last)
{
    struct rot rot = {w, "/log", "log.", first, last, ballot, 0};
    assert_true(sim_machine_do(w->machine, do_rot, &rot));
    assert_int_equal(rot.count, last - first + 1);
}

static void rot_backlog(struct world *w, uint64_t first, uint64_t last)
{
    struct rot rot = {w, "/log/backlog", "1.0.", first, last, 1, 0};
    assert_true(sim_machine_do(w->machine, do_rot, &rot));
    assert_int_equal(rot.count, last - first + 1);
}

/* Sixty records of partition 0, six in a segment, before any moves. When there are 36, the last 'again' are replaced by a
 * newer ballot. */
static void write_sixty(struct world *w, uint64_t again)
{
    open_small(w);
    world_hold(w, 0, 0, LOG_NO_SHIPPER);
    world_hold(w, 1, 0, LOG_NO_SHIPPER);
    uint64_t last = fill(w, 0, 1, 6);
    for (uint64_t decree = last - again + 1; decree <= last; decree++)
        assert_int_equal(world_append_ballot(w, 0, 2, decree, decree, 380), 0);
    assert_int_equal(fill(w, 0, last + 1, 4), 60);
}

/* Partition 0 takes no records any more, from this life or from the next one on; all of it moves. */
static void keep(struct world *w, bool is_next)
{
    w->parts[0].durable = LOG_NO_STORE;
    if (is_next) reopen(w);
    else world_hold(w, 0, LOG_NO_STORE, 0);
    uint64_t other = fill(w, 1, 1, 5);
    world_hold(w, 1, other, LOG_NO_SHIPPER);
    w->parts[1].durable = other;
    assert_true(world_stats(w).segments <= 4);
    assert_true(world_files(w, "/log/backlog", "1.0.") > 0);
}

/* The repaired store turns out to hold 'durable': it has lost nothing, or it says so. */
static void return_kept(struct world *w, uint64_t last, uint64_t durable, uint64_t lost)
{
    w->parts[0].durable = durable;
    for (int life = 0; life < 2; life++) {
        reopen(w);
        assert_true(w->parts[1].damaged_above == UINT64_MAX);
        if (lost <= durable) {
            assert_true(w->parts[0].damaged_above == UINT64_MAX);
            assert_int_equal(w->parts[0].replayed, last);
        } else {
            assert_true(w->parts[0].damaged_above <= lost);
        }
    }
}

struct hole {
    uint64_t ballot, first, last, again;
    bool is_next; /* Met by a recovery; or when the records move. */
};

static void hole_story(void **state, const struct hole *h)
{
    static const uint64_t durables[] = {50, 40, 29, 10, 0};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof durables / sizeof durables[0]; i++) {
        world_fini(w);
        assert_int_equal(setup(state), 0);
        write_sixty(w, h->again);
        rot_log(w, h->ballot, h->first, h->last);
        keep(w, h->is_next);
        return_kept(w, 60, durables[i], h->last);
    }
}

/* A block rots, and what is around it moves. What lies behind it is not lost with it: where the store holds
 * what the block held, nothing is missing. */
static void test_kept_moves_past_a_hole(void **state)
{
    for (int is_next = 0; is_next < 2; is_next++)
        for (uint64_t first = 25; first <= 36; first++)
            hole_story(state, &(struct hole){1, first, first + 1, 0, is_next});
}

/* The same for more than all of a segment. */
static void test_kept_moves_past_a_wide_hole(void **state)
{
    for (int is_next = 0; is_next < 2; is_next++)
        for (uint64_t first = 22; first <= 28; first++)
            hole_story(state, &(struct hole){1, first, first + 8, 0, is_next});
}

/* What has rotted had replaced records that are there still: they don't pass for it. */
static void test_kept_hole_that_had_replaced(void **state)
{
    for (int is_next = 0; is_next < 2; is_next++)
        for (uint64_t first = 31; first <= 36; first++)
            for (uint64_t again = 6; again <= 16; again++)
                hole_story(state, &(struct hole){2, first, 36, again, is_next});
    for (int is_next = 0; is_next < 2; is_next++) /* All of what replaced; also a whole share. */
        for (uint64_t again = 1; again <= 14; again++)
            hole_story(state, &(struct hole){2, 37 - again, 36, again, is_next});
}

/* A block of a backlog file rots. It is judged as it would be in a segment, also when the file had a hole
 * from the beginning. */
static void test_rotten_backlog_of_set_aside(void **state)
{
    struct world *w = *state;
    for (int has_hole = 0; has_hole < 2; has_hole++) {
        for (uint64_t durable = 0; durable <= 4; durable++) {
            world_fini(w);
            assert_int_equal(setup(state), 0);
            open_small(w);
            world_hold(w, 0, 0, LOG_NO_SHIPPER);
            world_hold(w, 1, 0, LOG_NO_SHIPPER);
            assert_int_equal(world_append(w, 0, 1, 1, 380),
                             0); /* In one segment, and in the file... */
            assert_int_equal(world_append(w, 0, 2, 5, 40 << 10), 0); /* ...each in its block. */
            if (has_hole) rot_log(w, 1, 1, 1);
            keep(w, true);
            rot_backlog(w, 2, 2);
            return_kept(w, 5, durable, 2);
        }
    }
}

/* A segment that can't be read stays until it can: nobody knows what it holds. */
static void test_kept_waits_for_the_disk(void **state)
{
    struct world *w = *state;
    write_sixty(w, 0);
    rot_log(w, 1, 20, 20);
    sim_disk_fail(w->machine, SIM_DISK_READ, "/log.", 1, E_IO, true);
    world_hold(w, 0, LOG_NO_STORE, 0);
    assert_int_equal(world_stats(w).backlog_size, 0);
    assert_true(world_stats(w).segments >= 8);
    sim_disk_mend(w->machine);
    keep(w, false);
    return_kept(w, 60, 20, 20);
}

/* No room for the backlog on the disk: nothing is lost, and it is tried again later. */
static void test_backlog_on_full_disk(void **state)
{
    struct world *w = *state;
    open_small(w);
    world_hold(w, 0, 0, 0);
    uint64_t last = fill(w, 0, 1, 8);
    sim_disk_fail(w->machine, SIM_DISK_WRITE, "/backlog/", 1, E_NOSPACE, true);
    world_hold(w, 0, last, 0);
    assert_int_equal(world_stats(w).backlog_size, 0);
    assert_true(world_reads_all(w, 0, 1, last));
    assert_int_equal(world_append(w, 0, last + 1, last + 1, 10), 0);

    sim_disk_mend(w->machine);
    world_hold(w, 0, last, 0);
    assert_true(world_stats(w).backlog_size > 0);
    assert_true(world_reads_all(w, 0, 1, last + 1));
}

/* The sync of a backlog file fails: the disk is lost, and the segments were not freed for it. */
static void test_backlog_sync_fails(void **state)
{
    struct world *w = *state;
    open_small(w);
    world_hold(w, 0, 0, 0);
    uint64_t last = fill(w, 0, 1, 8);
    sim_disk_fail(w->machine, SIM_DISK_SYNC, "/backlog/", 1, E_IO, false);
    world_hold(w, 0, last, 0);
    assert_true(world_stats(w).is_failed);
    assert_int_equal(w->parts[0].failed, 1);
    reopen(w);
    assert_int_equal(w->parts[0].replayed, last);
}

/* ---- Forgetting, and readers in the way ---- */

/* A table is dropped while its records lie between others'. */
static void test_forget(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, 0);
    world_hold(w, 1, 0, LOG_NO_SHIPPER);
    uint64_t last = 0, other = 0;
    for (int i = 0; i < 4; i++) {
        last = fill(w, 0, last + 1, 1);
        other = fill(w, 1, other + 1, 1);
    }
    world_hold(w, 1, other, LOG_NO_SHIPPER);
    assert_true(world_stats(w).segments >= 8);
    world_forget(w, 0);
    assert_int_equal(w->parts[0].forgotten, 1);
    assert_int_equal(world_stats(w).segments, 1);
    assert_int_equal(world_read(w, 0, 1, last), E_NOTFOUND);
}

/* A partition that was dropped and comes back to this disk later is not mixed up with its past. */
static void test_forgotten_partition_comes_back(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, 0);
    world_hold(w, 1, 0, 0);
    uint64_t last = fill(w, 0, 1, 2);
    assert_int_equal(world_append(w, 1, 1, 1, 100), 0);
    world_forget(w, 0);
    w->parts[0].is_listed = false;
    reopen(w);
    world_hold(w, 0, last, LOG_NO_SHIPPER); /* It was learned from another replica. */
    assert_int_equal(world_append(w, 0, last + 1, last + 3, 100), 0);

    w->parts[0].is_listed = true;
    w->parts[0].durable = last;
    reopen(w);
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
    assert_int_equal(w->parts[0].replayed, last + 3);
}

/* It comes back with less than it once had in the log: its past is no loss, be there anything of its new life or
 * not (L27). */
static void test_comes_back_with_less(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, LOG_NO_SHIPPER);
    world_hold(w, 1, 0, 0);
    uint64_t last = fill(w, 0, 1, 3);
    assert_int_equal(world_append(w, 1, 1, 3, 100), 0);
    world_forget(w, 0);
    world_hold(w, 0, last - 5, LOG_NO_SHIPPER);
    w->parts[0].durable = last - 5;
    reopen(w); /* Nothing of its new life is there. */
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
    world_hold(w, 0, last - 5, LOG_NO_SHIPPER);
    world_hold(w, 1, 0, 0);
    assert_int_equal(world_append(w, 0, last - 4, last - 3, 100), 0);
    reopen(w);
    assert_true(w->parts[0].damaged_above == UINT64_MAX);
    assert_int_equal(w->parts[0].replayed, last - 3);
}

/* A segment is freed only when the last read of it has ended. */
static void test_reader_keeps_its_segment(void **state)
{
    struct world *w = *state;
    world_hold(w, 0, 0, 0);
    uint64_t last = fill(w, 0, 1, 4);
    for (uint64_t delay_us = 0; delay_us < 400; delay_us += 7) {
        world_read_start(w, 0, last - 20, last);
        sim_run_us(w->sim, delay_us);
        world_hold(w, 0, last, LOG_NO_SHIPPER);
        assert_true(w->is_read_done);
        assert_true(w->rc == 0 || w->rc == E_NOTFOUND);
        assert_int_equal(world_stats(w).segments, 1);
        uint64_t next = fill(w, 0, last + 1, 4);
        world_hold(w, 0, last, last);
        last = next;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flushed_segments_are_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_freed_before_the_replica_comes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_shipper_keeps_its_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_shipper_frees, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_partition_is_asked_to_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replica_is_asked_when_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_shipper_moves_to_backlog, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_shipper_frees_backlog, setup, teardown),
        cmocka_unit_test_setup_teardown(test_backlog_over_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_aside_moves_to_backlog, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_backlog_of_set_aside_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_backlog_before_the_flush_is_damage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_replaced_backlog_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced_before_it_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_replica_moves_to_backlog, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_aside_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_moves_past_a_hole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_moves_past_a_wide_hole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_hole_that_had_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotten_backlog_of_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_waits_for_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_backlog_on_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_backlog_sync_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_comes_back_with_less, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten_partition_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader_keeps_its_segment, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
