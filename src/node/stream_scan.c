/* src/node/stream_scan.c: the snapshot of a bootstrap (docs/duplication.md, D6). */
#include "node/stream_scan.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/worker.h"

struct stream_scan {
    struct stream *stream; /* NULL: closed meanwhile. */
    struct replica *replica;
    struct store_iter *rows; /* NULL until opened. */
    uint64_t decree;         /* The rows are as they were after this, or a little later. */
    uint64_t epoch;
    size_t size_max;
    bool is_running; /* On the pool. */
    bool is_last;
    int rc;
    struct buf piece; /* A mutation with the rows of one piece. */
    struct io_work work;
};

static void scan_free(struct stream_scan *scan)
{
    struct replica *r = scan->replica;
    store_iter_close(scan->rows);
    buf_fini(&scan->piece);
    mem_free(scan);
    replica_release(r);
}

static void scan_begin(struct stream_scan *scan)
{
    /* The decree first: what is applied in between is in the rows already, and sent twice. */
    scan->decree = store_applied(scan->replica->store);
    scan->rc = store_iter_open(scan->replica->store, (struct slice){0}, (struct slice){0},
                               STORE_ANY, &scan->rows);
    if (scan->rc == 0) store_iter_seek(scan->rows, (struct slice){0});
}

static void add_row(struct stream_scan *scan)
{
    struct value_head head;
    struct slice data, key = store_iter_key(scan->rows);
    if (key.size < 2 || value_split(store_iter_value(scan->rows), &head, &data) != 0) return;
    struct mutation_op op = {
        .timetag = head.timetag,
        .expire_ts = head.expire_ts,
        .key = key,
        .data = timetag_is_deleted(head.timetag) ? (struct slice){0} : data,
    };
    mutation_add(&scan->piece, &op);
}

static void scan_run(struct io_work *work)
{
    struct stream_scan *scan = LIST_ENTRY(work, struct stream_scan, work);
    if (scan->rows == NULL) {
        scan_begin(scan);
        return;
    }
    buf_clear(&scan->piece);
    size_t offset = mutation_begin(&scan->piece);
    while (store_iter_is_valid(scan->rows) && scan->piece.size < scan->size_max) {
        add_row(scan);
        store_iter_next(scan->rows);
    }
    scan->is_last = !store_iter_is_valid(scan->rows);
    scan->rc = store_iter_status(scan->rows);
    /* Its decree is not used: a piece of a snapshot confirms nothing but, the last, all of it. */
    if (scan->rc == 0) scan->rc = mutation_finish(&scan->piece, offset, 1, 0, 0);
}

/* The piece as the machine takes mutations; NULL with rc 0: it has no rows. */
static struct chunk *piece_take(struct stream_scan *scan, int *rc)
{
    *rc = scan->rc;
    if (scan->rc != 0 || scan->piece.size == MUTATION_HEAD_SIZE) return NULL;
    struct chunk *bytes = chunk_new(scan->piece.size);
    if (bytes == NULL) *rc = E_NOMEM;
    else memcpy(bytes->data, scan->piece.data, scan->piece.size);
    return bytes;
}

static void scan_done(struct io_work *work)
{
    struct stream_scan *scan = LIST_ENTRY(work, struct stream_scan, work);
    struct stream *s = scan->stream;
    scan->is_running = false;
    if (s == NULL) {
        scan_free(scan);
        return;
    }
    struct dup_event event = {.epoch = scan->epoch};
    struct chunk *piece = NULL;
    int rc = scan->rc;
    bool is_opened = scan->size_max == 0;
    if (!is_opened) piece = piece_take(scan, &rc);
    if (rc != 0) {
        event.type = DUP_SCAN_FAILED;
        event.failed.rc = rc;
        stream_scan_close(s);
    } else if (is_opened) {
        event.type = DUP_SCAN_OPENED;
        event.scan_opened.decree = scan->decree;
    } else {
        event.type = DUP_SCANNED;
        event.scanned.mutation = piece;
        event.scanned.is_last = scan->is_last;
        if (scan->is_last) stream_scan_close(s);
    }
    stream_step(s, event);
    chunk_unref(piece);
}

static void scan_go(struct stream_scan *scan)
{
    scan->is_running = true;
    scan->work.run = scan_run;
    scan->work.done = scan_done;
    io_work(scan->replica->worker->loop, &scan->work);
}

int stream_scan_open(struct stream *s, const struct dup_effect *effect)
{
    stream_scan_close(s);
    struct stream_scan *scan = mem_zalloc(sizeof *scan);
    if (scan == NULL) return E_NOMEM;
    scan->stream = s;
    scan->replica = s->replica;
    scan->epoch = effect->epoch;
    s->replica->busy++;
    s->scan = scan;
    scan_go(scan);
    return 0;
}

void stream_scan_next(struct stream *s, const struct dup_effect *effect)
{
    CHECK(s->scan != NULL && !s->scan->is_running);
    s->scan->size_max = effect->size;
    s->scan->epoch = effect->epoch;
    scan_go(s->scan);
}

void stream_scan_close(struct stream *s)
{
    struct stream_scan *scan = s->scan;
    if (scan == NULL) return;
    s->scan = NULL;
    scan->stream = NULL;
    if (!scan->is_running) scan_free(scan);
}
