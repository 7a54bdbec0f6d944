/* tests/log/test_log_uv.c: the log in the real world: threads, files and all, mostly for the thread
 * sanitizer's eyes.
 *
 * Four replicas on two loops write as fast as they can, read back what they wrote, confirm it, and
 * flush now and then; segments are small, so that they are rotated, moved and freed all the time.
 * Then all of it is opened again and must be there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/uv.h"
#include "log/log.h"

enum { REPLICAS = 4, LOOPS = 2, DECREES = 600, SIZE = 300 };

struct replica {
    struct fixture *fixture;
    struct io_loop *loop;
    struct io_post start;
    struct log_hold hold;
    struct log_batch batch;
    struct log_entry entry;
    struct log_read read;
    uint8_t bytes[SIZE];
    uint64_t written, shipped, durable;
    uint64_t replayed;
    bool is_reading;
};

struct fixture {
    struct io *io;
    struct log *log;
    struct io_loop *loops[LOOPS];
    struct replica replicas[REPLICAS];
    struct log_stop stop;
    atomic_int running;
    atomic_bool is_stopped;
    char dir[64];
};

static struct gpid gpid_of(const struct replica *r)
{
    return (struct gpid){7, (int32_t)(r - r->fixture->replicas)};
}

/* ---- Opening ---- */

static int on_record(void *context, struct gpid gpid, uint64_t decree, uint64_t ballot,
                     struct slice mutation)
{
    struct fixture *f = context;
    struct replica *r = &f->replicas[gpid.partition_index];
    CHECK(ballot == 1 && decree == r->replayed + 1);
    CHECK(mutation.size == SIZE && mutation.data[SIZE - 1] == (uint8_t)decree);
    r->replayed = decree;
    return 0;
}

static void on_damaged(void *context, struct gpid gpid, uint64_t decree, const char *why)
{
    (void)context, (void)gpid, (void)decree, (void)why;
    CHECK(false);
}

static void on_flush_wanted(struct log_hold *hold)
{
    struct replica *r = LIST_ENTRY(hold, struct replica, hold);
    r->durable = r->written;
    log_hold_set(hold, r->durable, r->shipped);
}

static void on_notice(struct log_hold *hold)
{
    (void)hold;
    CHECK(false);
}

static void log_ready(struct fixture *f, enum log_sync sync)
{
    static const struct log_replay_handler handler = {on_record, on_damaged};
    struct log_replica replicas[REPLICAS];
    struct log_options options = {
        .dir = f->dir,
        .sync = sync,
        .segment_size = 32 << 10,
        .flush_size = 128 << 10,
        .ship_size = 64 << 10,
        .backlog_size_max = UINT64_MAX,
    };
    for (int i = 0; i < REPLICAS; i++) {
        struct replica *r = &f->replicas[i];
        r->fixture = f;
        r->replayed = r->durable;
        replicas[i] = (struct log_replica){gpid_of(r), r->durable};
    }
    struct err e = {0};
    int rc = log_open(f->io, &options, replicas, REPLICAS, &handler, f, &f->log, &e);
    if (rc != 0) print_error("%s\n", e.text);
    CHECK(rc == 0 && log_start(f->log) == 0);
}

/* ---- Working, on the replicas' loops ---- */

static void on_read_done(struct log_read *read, int rc)
{
    struct replica *r = LIST_ENTRY(read, struct replica, read);
    CHECK(rc == 0);
    for (size_t i = 0; i < read->count; i++) {
        const struct log_entry *e = &read->entries[i];
        CHECK(e->decree == r->shipped + 1);
        CHECK(e->mutation.data[SIZE - 1] == (uint8_t)e->decree);
        r->shipped = e->decree;
    }
    r->is_reading = false;
    if (r->shipped % 7 == 0) r->durable = r->written;
    log_hold_set(&r->hold, r->durable, r->shipped);
}

static void read_some(struct replica *r)
{
    r->is_reading = true;
    r->read = (struct log_read){
        .gpid = gpid_of(r),
        .from_decree = r->shipped + 1,
        .to_decree = r->written,
        .size_max = 2048,
        .count_max = 100,
        .loop = r->loop,
        .on_done = on_read_done,
    };
    log_read(r->fixture->log, &r->read);
}

static void on_stopped(struct log_stop *stop)
{
    atomic_store(&LIST_ENTRY(stop, struct fixture, stop)->is_stopped, true);
}

static void write_next(struct replica *r)
{
    uint64_t decree = r->written + 1;
    memset(r->bytes, (uint8_t)decree, SIZE);
    r->entry = (struct log_entry){gpid_of(r), decree, 1, slice_of(r->bytes, SIZE)};
    log_submit(r->fixture->log, &r->batch);
}

static void on_batch_done(struct log_batch *batch, int rc)
{
    struct replica *r = LIST_ENTRY(batch, struct replica, batch);
    struct fixture *f = r->fixture;
    CHECK(rc == 0);
    r->written = r->entry.decree;
    if (!r->is_reading && r->written > r->shipped + 20) read_some(r);
    if (r->written < DECREES) write_next(r);
    else if (atomic_fetch_sub(&f->running, 1) == 1) log_stop(f->log, &f->stop);
}

static void on_start(struct io_post *post)
{
    struct replica *r = LIST_ENTRY(post, struct replica, start);
    static const struct log_hold_handler handler = {on_flush_wanted, on_notice, on_notice};
    log_hold_init(&r->hold, r->fixture->log, gpid_of(r), r->loop, &handler);
    log_hold_set(&r->hold, r->durable, r->shipped);
    r->batch = (struct log_batch){
        .loop = r->loop, .entries = &r->entry, .count = 1, .on_done = on_batch_done};
    write_next(r);
}

static void everything_at_once(enum log_sync sync)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    (void)snprintf(f.dir, sizeof f.dir, "/tmp/pirene-log-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    assert_int_equal(io_uv_open(&f.io), 0);
    log_ready(&f, sync);
    f.stop = (struct log_stop){.on_stopped = on_stopped};
    atomic_store(&f.running, REPLICAS);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(io_loop_open(f.io, IO_LOOP_EVENTS, "worker", &f.loops[i]), 0);
    f.stop.loop = f.loops[0];
    for (int i = 0; i < REPLICAS; i++) {
        f.replicas[i].loop = f.loops[i % LOOPS];
        f.replicas[i].start.run = on_start;
        io_post(f.replicas[i].loop, &f.replicas[i].start);
    }
    while (!atomic_load(&f.is_stopped)) (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.records, REPLICAS * DECREES);
    assert_false(stats.is_failed);
    for (int i = 0; i < LOOPS; i++) io_loop_close(f.loops[i]);
    log_close(f.log);

    log_ready(&f, sync);
    for (int i = 0; i < REPLICAS; i++) assert_int_equal(f.replicas[i].replayed, DECREES);
    f.stop = (struct log_stop){.on_stopped = on_stopped};
    atomic_store(&f.is_stopped, false);
    assert_int_equal(io_loop_open(f.io, IO_LOOP_EVENTS, "worker", &f.stop.loop), 0);
    log_stop(f.log, &f.stop);
    while (!atomic_load(&f.is_stopped)) (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    log_close(f.log);
    io_loop_close(f.stop.loop);
    assert_int_equal(io_dir_remove(f.io, f.dir), 0);
    io_uv_close(f.io);
}

static void test_everything_at_once(void **state)
{
    (void)state;
    everything_at_once(LOG_SYNC_GROUP);
}

/* The log is visited and woken in turn (L26). */
static void test_everything_unsynced(void **state)
{
    (void)state;
    everything_at_once(LOG_SYNC_OS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_everything_unsynced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
