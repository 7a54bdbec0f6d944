/* bench/log_bench.c: how fast the mutation log is on this disk.
 *
 *     log_bench DIR [SECONDS]
 *
 * For both policies and some numbers of writers, each with one record of 200 bytes on its way at
 * any time: records per second, and the time from submission to completion as its loop sees it. DIR
 * is made, and removed afterwards. One line per run:
 *     sync=group writers=1 records/s=... p50_us=... p99_us=... max_us=... records/sync=... */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "io/uv.h"
#include "log/log.h"

enum { RECORD_SIZE = 200, WRITERS_MAX = 256, SAMPLES_MAX = 1 << 22 };

struct writer {
    struct log_batch batch;
    struct log_entry entry;
    struct bench *bench;
    uint64_t submitted_ns;
    struct io_post post;
};

struct bench {
    struct io *io;
    struct log *log;
    struct io_loop *loop;
    struct writer writers[WRITERS_MAX];
    int writer_count, active;
    uint64_t deadline_ns;
    uint32_t *samples_ns;
    size_t sample_count;
    uint8_t bytes[RECORD_SIZE];
    struct log_stop stop;
    atomic_bool is_over;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int on_record(void *context, struct gpid gpid, uint64_t decree, uint64_t ballot,
                     struct slice mutation)
{
    (void)context, (void)gpid, (void)decree, (void)ballot, (void)mutation;
    return 0;
}

static void on_damaged(void *context, struct gpid gpid, uint64_t decree, const char *why)
{
    (void)context, (void)gpid, (void)decree, (void)why;
}

/* ---- On the worker's loop ---- */

static void on_stopped(struct log_stop *stop)
{
    atomic_store(&LIST_ENTRY(stop, struct bench, stop)->is_over, true);
}

static void submit(struct writer *w)
{
    w->entry.decree++;
    w->submitted_ns = now_ns();
    log_submit(w->bench->log, &w->batch);
}

static void on_done(struct log_batch *batch, int rc)
{
    struct writer *w = LIST_ENTRY(batch, struct writer, batch);
    struct bench *b = w->bench;
    uint64_t now = now_ns();
    CHECK(rc == 0);
    if (b->sample_count < SAMPLES_MAX)
        b->samples_ns[b->sample_count++] = (uint32_t)(now - w->submitted_ns);
    if (now < b->deadline_ns) submit(w);
    else if (--b->active == 0) log_stop(b->log, &b->stop);
}

static void on_start(struct io_post *post)
{
    submit(LIST_ENTRY(post, struct writer, post));
}

/* ---- One run ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_line(struct bench *b, const char *sync, double seconds)
{
    struct log_stats stats;
    log_stats(b->log, &stats);
    qsort(b->samples_ns, b->sample_count, sizeof *b->samples_ns, compare);
    const uint32_t *s = b->samples_ns;
    printf("sync=%s writers=%d records/s=%.0f p50_us=%.1f p99_us=%.1f max_us=%.1f", sync,
           b->writer_count, (double)stats.records / seconds, s[b->sample_count / 2] / 1e3,
           s[b->sample_count * 99 / 100] / 1e3, s[b->sample_count - 1] / 1e3);
    if (stats.syncs > 1) printf(" records/sync=%.1f", (double)stats.records / (double)stats.syncs);
    printf("\n");
    (void)fflush(stdout);
}

static void run(struct bench *b, const char *dir, const char *name, enum log_sync sync, int writers,
                double seconds)
{
    static const struct log_replay_handler handler = {on_record, on_damaged};
    struct log_options options = {
        .dir = dir,
        .sync = sync,
        .segment_size = LOG_SEGMENT_SIZE_DEFAULT,
        .flush_size = UINT64_MAX,
        .ship_size = UINT64_MAX,
        .backlog_size_max = UINT64_MAX,
    };
    struct err e = {0};
    CHECK(io_dir_remove(b->io, dir) == 0);
    if (log_open(b->io, &options, NULL, 0, &handler, NULL, &b->log, &e) != 0) {
        (void)fprintf(stderr, "log_bench: %s\n", e.text);
        exit(1);
    }
    CHECK(log_start(b->log) == 0);
    CHECK(io_loop_open(b->io, IO_LOOP_EVENTS, "bench", &b->loop) == 0);

    uint64_t began_ns = now_ns();
    b->deadline_ns = began_ns + (uint64_t)(seconds * 1e9);
    b->writer_count = b->active = writers;
    b->sample_count = 0;
    b->stop = (struct log_stop){.loop = b->loop, .on_stopped = on_stopped};
    atomic_store(&b->is_over, false);
    for (int i = 0; i < writers; i++) {
        struct writer *w = &b->writers[i];
        *w = (struct writer){.bench = b, .post = {.run = on_start}};
        w->entry = (struct log_entry){{1, i}, 0, 1, slice_of(b->bytes, RECORD_SIZE)};
        w->batch = (struct log_batch){
            .loop = b->loop, .entries = &w->entry, .count = 1, .on_done = on_done};
        io_post(b->loop, &w->post);
    }
    while (!atomic_load(&b->is_over)) (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    print_line(b, name, (double)(now_ns() - began_ns) / 1e9);
    log_close(b->log);
    io_loop_close(b->loop);
    CHECK(io_dir_remove(b->io, dir) == 0);
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: log_bench DIR [SECONDS]\n");
        return 2;
    }
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    b.samples_ns = malloc(SAMPLES_MAX * sizeof *b.samples_ns);
    CHECK(b.samples_ns != NULL);
    CHECK(io_uv_open(&b.io) == 0);
    static const int writers[] = {1, 8, 64, 256};
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++)
        run(&b, argv[1], "group", LOG_SYNC_GROUP, writers[i], seconds);
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++)
        run(&b, argv[1], "os", LOG_SYNC_OS, writers[i], seconds);
    io_uv_close(b.io);
    free(b.samples_ns);
    return 0;
}
