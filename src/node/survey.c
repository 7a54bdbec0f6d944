/* src/node/survey.c: from worker to worker, then to the disk. */
#include "node/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/node_impl.h"
#include "node/opening.h"
#include "node/stream.h"

enum { RATE_MS_MIN = 1000 }; /* A rate of less time says nothing: the one before is told again. */

/* ---- What a worker knows ---------------------------------------------------------------------- */

static uint64_t rate_of(struct survey_rate *rate, uint64_t value, uint64_t now_ms)
{
    uint64_t ms = now_ms - rate->at_ms;
    if (ms < RATE_MS_MIN) return rate->rate;
    *rate = (struct survey_rate){value, now_ms, (value - rate->value) * 1000 / ms};
    return rate->rate;
}

static void note_dup(struct survey *s, struct stream *stream, uint64_t now_ms)
{
    uint8_t *at = buf_extend(&s->dup_rows, sizeof(struct survey_dup));
    if (at == NULL) return;
    const struct dup *d = &stream->machine;
    struct survey_dup row = {
        .gpid = stream->replica->gpid,
        .id = stream->dup.id,
        .confirmed = d->confirmed,
        .saved = d->saved,
        .pending = dup_lag_now(d, now_ms).mutations,
        .ship_rate = rate_of(&stream->sent_rate, d->sent_ops, now_ms),
    };
    bool is_named = stream->dup.remote_cluster[0] != '\0';
    (void)snprintf(row.remote_cluster, sizeof row.remote_cluster, "%s",
                   is_named ? stream->dup.remote_cluster : stream->dup.remote_metas);
    (void)snprintf(row.remote_table, sizeof row.remote_table, "%s", stream->dup.remote_table);
    memcpy(at, &row, sizeof row);
}

/* What keeps it from serving or from writes. */
static const char *why_not(const struct replica *r)
{
    if (r->is_damaged)
        return "the log lost records of it, or they can't be applied: it does not serve";
    if (r->repl.is_stopped) return "its log or its store failed: it does not serve until a start";
    return r->is_disk_full ? "no space on the disk: writes are refused" : "";
}

static void note_replica(struct survey *s, struct replica *r, uint64_t now_ms)
{
    uint8_t *at = buf_extend(&s->replica_rows, sizeof(struct survey_replica));
    if (at == NULL) return;
    struct survey_replica row = {
        .gpid = r->gpid,
        .is_primary = r->repl.role == REPL_PRIMARY,
        .is_secondary = r->repl.role == REPL_SECONDARY,
        .ballot = r->repl.config.ballot,
        .prepared = r->repl.prepared,
        .committed = r->repl.committed,
        .applied = r->repl.applied,
        .durable = r->durable,
        .read_rate = rate_of(&r->read_rate, metric_counter_get(&r->metrics.reads), now_ms),
        .write_rate = rate_of(&r->write_rate, metric_counter_get(&r->metrics.writes), now_ms),
    };
    if (r->store != NULL) store_stats(r->store, &row.store);
    (void)snprintf(row.why, sizeof row.why, "%s", why_not(r));
    memcpy(at, &row, sizeof row);
    LIST_EACH (it, &r->streams) {
        struct stream *stream = LIST_ENTRY(it, struct stream, node);
        if (!stream->is_closing) note_dup(s, stream, now_ms);
    }
}

static void note_failed(void *context, struct gpid gpid, const char *why)
{
    struct survey *s = context;
    uint8_t *at = buf_extend(&s->replica_rows, sizeof(struct survey_replica));
    if (at == NULL) return;
    struct survey_replica row = {.gpid = gpid, .is_failed = true};
    (void)snprintf(row.why, sizeof row.why, "%s", why);
    memcpy(at, &row, sizeof row);
}

static void note_worker(struct survey *s, struct worker *w)
{
    openings_each_failed(w, note_failed, s);
    uint64_t now_ms = io_now(s->node->io).boot_ms;
    for (uint32_t i = 0; i < WORKER_BUCKETS; i++)
        LIST_EACH (it, &w->replicas[i]) {
            struct replica *r = LIST_ENTRY(it, struct replica, node);
            if (!r->is_closing) note_replica(s, r, now_ms);
        }
}

/* ---- The machine ------------------------------------------------------------------------------ */

/* The second number of this file are the pages resident. 0 where there is no such file. */
static uint64_t resident_size(struct io *io)
{
    struct io_file *file;
    char text[64] = "";
    size_t got = 0;
    if (io_file_open(io, "/proc/self/statm", IO_OPEN_READ, &file) != 0) return 0;
    int rc = io_file_read(file, 0, text, sizeof text - 1, &got);
    io_file_close(file);
    const char *second = rc == 0 ? strchr(text, ' ') : NULL;
    return second != NULL ? strtoull(second, NULL, 10) * 4096 : 0;
}

static void look_at_machine(struct io_work *work)
{
    struct survey *s = LIST_ENTRY(work, struct survey, work);
    struct io *io = s->node->io;
    if (io_disk_space(io, s->node->config.data_dir, &s->disk_free, &s->disk_size) != 0)
        s->disk_free = s->disk_size = 0;
    s->memory_size = resident_size(io);
}

static int compare(const void *a, const void *b)
{
    const struct gpid *x = a, *y = b; /* The first member of both kinds of row. */
    if (x->app_id != y->app_id) return x->app_id < y->app_id ? -1 : 1;
    return (x->partition_index > y->partition_index) - (x->partition_index < y->partition_index);
}

static void on_looked(struct io_work *work)
{
    struct survey *s = LIST_ENTRY(work, struct survey, work);
    s->rc = s->replica_rows.failed || s->dup_rows.failed ? E_NOMEM : 0;
    s->replicas = (struct survey_replica *)(void *)s->replica_rows.data;
    s->replica_count = s->replica_rows.size / sizeof *s->replicas;
    s->dups = (struct survey_dup *)(void *)s->dup_rows.data;
    s->dup_count = s->dup_rows.size / sizeof *s->dups;
    if (s->replica_count > 0) qsort(s->replicas, s->replica_count, sizeof *s->replicas, compare);
    if (s->dup_count > 0) qsort(s->dups, s->dup_count, sizeof *s->dups, compare);
    s->on_done(s->context, s);
}

/* ---- The tour --------------------------------------------------------------------------------- */

static void on_home(struct io_post *post)
{
    struct survey *s = LIST_ENTRY(post, struct survey, post);
    s->work.run = look_at_machine;
    s->work.done = on_looked;
    io_work(s->node->control, &s->work);
}

static void on_visit(struct io_post *post);

static void go_on(struct survey *s)
{
    bool is_over = s->next_worker == s->node->worker_count;
    s->post.run = is_over ? on_home : on_visit;
    io_post(is_over ? s->node->control : s->node->workers[s->next_worker].loop, &s->post);
}

static void on_visit(struct io_post *post)
{
    struct survey *s = LIST_ENTRY(post, struct survey, post);
    note_worker(s, &s->node->workers[s->next_worker]);
    s->next_worker++;
    go_on(s);
}

void survey_begin(struct node *n, void (*on_done)(void *context, struct survey *s), void *context)
{
    struct survey *s = mem_zalloc(sizeof *s);
    if (s == NULL) {
        on_done(context, NULL);
        return;
    }
    s->node = n;
    s->on_done = on_done;
    s->context = context;
    go_on(s);
}

void survey_free(struct survey *s)
{
    if (s == NULL) return;
    buf_fini(&s->replica_rows);
    buf_fini(&s->dup_rows);
    mem_free(s);
}
