/* tests/log/test_log_visits.c: a log that sleeps is written by the worker's own thread (L26): one small
 * batch, and nothing that may wait for the disk. The system's pwritev() is wrapped, to see who calls it
 * and to have the disk full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sys/uio.h>

#include "base/check.h"
#include "io/uv.h"
#include "log/log.h"

enum {
    ASLEEP_MS = 20,
    SMALL = 300,
    LARGE = 20000,
    SEGMENT_SIZE = 64 << 10,
    WAIT_MS = 10000,
};

/* ---- What the disk sees ---- */

static pthread_t writer; /* Who called pwritev() last... */
static int write_count;  /* ...and how often; both are read when the batch has ended. */
static bool is_full;

ssize_t __real_pwritev(int fd, const struct iovec *pieces, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t offset);

ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    writer = pthread_self();
    write_count++;
    if (!is_full) return __real_pwritev(fd, pieces, count, offset);
    errno = ENOSPC;
    return -1;
}

/* ---- One worker with one replica ---- */

static const struct gpid gpid = {3, 1};

struct life {
    struct io *io;
    struct log *log;
    struct io_loop *worker;
    pthread_t thread; /* The worker's. */
    struct log_hold hold;
    struct log_batch batch;
    struct log_entry entry;
    struct io_post go, start;
    struct log_stop stop;
    uint8_t bytes[LARGE];
    uint64_t decree;
    uint64_t replayed;
    int rc;
    atomic_int done;
    char dir[64];
};

static void await(struct life *l, int count)
{
    const struct timespec ms = {0, 1000000};
    for (int i = 0; i < WAIT_MS && atomic_load(&l->done) < count; i++) (void)nanosleep(&ms, NULL);
    assert_int_equal(atomic_load(&l->done), count);
    atomic_store(&l->done, 0);
}

static void on_notice(struct log_hold *hold)
{
    (void)hold;
}

static void on_start(struct io_post *post)
{
    struct life *l = LIST_ENTRY(post, struct life, start);
    static const struct log_hold_handler handler = {on_notice, on_notice, on_notice};
    l->thread = pthread_self();
    log_hold_init(&l->hold, l->log, gpid, l->worker, &handler);
    log_hold_set(&l->hold, 0, LOG_NO_SHIPPER);
    atomic_fetch_add(&l->done, 1);
}

static void on_done(struct log_batch *batch, int rc)
{
    struct life *l = LIST_ENTRY(batch, struct life, batch);
    CHECK(pthread_equal(pthread_self(), l->thread) || io_is_visited(l->worker));
    l->rc = rc;
    atomic_fetch_add(&l->done, 1);
}

static void on_go(struct io_post *post)
{
    struct life *l = LIST_ENTRY(post, struct life, go);
    log_submit(l->log, &l->batch);
}

/* One write after a silence; what it ended with. */
static int write_one(struct life *l, uint64_t decree, size_t size)
{
    (void)nanosleep(&(struct timespec){0, ASLEEP_MS * 1000000}, NULL);
    write_count = 0;
    l->entry = (struct log_entry){gpid, decree, 1, slice_of(l->bytes, size)};
    l->batch =
        (struct log_batch){.loop = l->worker, .entries = &l->entry, .count = 1, .on_done = on_done};
    l->go.run = on_go;
    io_post(l->worker, &l->go);
    await(l, 1);
    return l->rc;
}

static bool was_visited(const struct life *l)
{
    return pthread_equal(writer, l->thread) != 0;
}

static int on_record(void *context, struct gpid of, uint64_t decree, uint64_t ballot,
                     struct slice mutation)
{
    struct life *l = context;
    (void)mutation;
    CHECK(gpid_equal(of, gpid) && ballot == 1 && decree == l->replayed + 1);
    l->replayed = decree;
    return 0;
}

static void on_damaged(void *context, struct gpid of, uint64_t decree, const char *why)
{
    (void)context, (void)of, (void)decree, (void)why;
    CHECK(false);
}

static void life_begin(struct life *l, enum log_sync sync)
{
    static const struct log_replay_handler handler = {on_record, on_damaged};
    struct log_replica replica = {gpid, 0};
    struct log_options options = {
        .dir = l->dir,
        .sync = sync,
        .segment_size = SEGMENT_SIZE,
        .flush_size = UINT64_MAX,
        .ship_size = UINT64_MAX,
        .backlog_size_max = UINT64_MAX,
    };
    struct err e = {0};
    l->replayed = 0;
    assert_int_equal(log_open(l->io, &options, &replica, 1, &handler, l, &l->log, &e), 0);
    assert_int_equal(log_start(l->log), 0);
    assert_int_equal(io_loop_open(l->io, IO_LOOP_EVENTS, "worker", &l->worker), 0);
    l->start.run = on_start;
    io_post(l->worker, &l->start);
    await(l, 1);
}

static void on_stopped(struct log_stop *stop)
{
    atomic_fetch_add(&LIST_ENTRY(stop, struct life, stop)->done, 1);
}

static void life_end(struct life *l)
{
    l->stop = (struct log_stop){.loop = l->worker, .on_stopped = on_stopped};
    log_stop(l->log, &l->stop);
    await(l, 1);
    io_loop_close(l->worker);
    log_close(l->log);
}

static int setup(void **state)
{
    static struct life l;
    memset(&l, 0, sizeof l);
    is_full = false;
    (void)snprintf(l.dir, sizeof l.dir, "/tmp/pirene-log-XXXXXX");
    assert_non_null(mkdtemp(l.dir));
    assert_int_equal(io_uv_open(&l.io), 0);
    *state = &l;
    return 0;
}

static int teardown(void **state)
{
    struct life *l = *state;
    assert_int_equal(io_dir_remove(l->io, l->dir), 0);
    io_uv_close(l->io);
    return 0;
}

/* ---- Stories ---- */

/* Under sync = os an isolated write is the worker's own. A larger one, or one for which a new segment has to
 * begin, is written by the log's thread; all of them are there afterwards. */
static void test_small_ones_are_visits(void **state)
{
    struct life *l = *state;
    int visits = 0, others = 0;
    life_begin(l, LOG_SYNC_OS);
    for (uint64_t decree = 1; decree <= 100; decree++) {
        bool is_large = decree % 40 == 0;
        assert_int_equal(write_one(l, decree, is_large ? LARGE : SMALL), 0);
        assert_false(is_large && was_visited(l));
        if (was_visited(l)) visits++;
        else others++;
    }
    assert_true(
        visits >
        20); /* Not all: a group that took long sends the next one home, and so does the end of a segment. */
    assert_true(others > 2);
    life_end(l);
    life_begin(l, LOG_SYNC_OS);
    assert_int_equal(l->replayed, 100);
    life_end(l);
}

/* Under sync = group never: the sync would keep the worker waiting. */
static void test_syncs_are_no_visits(void **state)
{
    struct life *l = *state;
    life_begin(l, LOG_SYNC_GROUP);
    for (uint64_t decree = 1; decree <= 10; decree++) {
        assert_int_equal(write_one(l, decree, SMALL), 0);
        assert_false(was_visited(l));
    }
    life_end(l);
}

/* A visitor that finds the disk full leaves it to the log's thread to cut off what was written; the same
 * record may come again, and nothing is lost. */
static void test_full_disk_is_left_to_the_log(void **state)
{
    struct life *l = *state;
    life_begin(l, LOG_SYNC_OS);
    assert_int_equal(write_one(l, 1, SMALL), 0);
    for (int i = 0; i < 5; i++) {
        is_full = true;
        assert_int_equal(write_one(l, 2, SMALL), E_NOSPACE);
        assert_false(was_visited(l)); /* The last try. */
    }
    is_full = false;
    for (uint64_t decree = 2; decree <= 4; decree++)
        assert_int_equal(write_one(l, decree, SMALL), 0);
    life_end(l);
    life_begin(l, LOG_SYNC_OS);
    assert_int_equal(l->replayed, 4);
    life_end(l);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_small_ones_are_visits),
        STORY(test_syncs_are_no_visits),
        STORY(test_full_disk_is_left_to_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
