/* src/log/read.c: records back to shippers and learners.
 *
 *     worker --log_read--> writer loop: which spans, which files; pin them
 *                            --> pool: read, check, copy into one chunk
 *                          writer loop: unpin, remember how far a backlog file was read
 *     worker <--on_done------
 *
 * One read answers from one source: spans of the log, or one backlog file. */
#include "base/array.h"
#include "log/log_impl.h"

enum { SPANS_MAX = 64 }; /* Of one read: 4 MiB of log when one partition has it alone. */

struct log_read_state {
    struct io_work work;
    struct log_read *read;
    struct mlog_span spans[SPANS_MAX];
    struct log_segment *segments[SPANS_MAX]; /* Pinned; NULL: the spans are of a backlog file. */
    size_t span_count;
    struct log_backlog_file *backlog; /* Pinned; or NULL. */

    /* The pool's, until it is done. */
    struct chunk *chunk;
    struct log_entry *entries;
    size_t count, capacity, used; /* Used bytes of the chunk. */
    uint64_t last_decree;         /* Of the last record taken... */
    uint32_t last_offset;         /* ...and where its block begins. */
    int rc;
};

enum { READ_ENOUGH = 1 }; /* What an 'each' returns to stop without an error. */

/* ---- On the pool ---- */

static int on_record(void *context, const struct mlog_record *record)
{
    struct log_read_state *s = context;
    const struct log_read *r = s->read;
    uint64_t wanted = r->from_decree + s->count;
    if (record->decree < wanted) return 0;
    if (record->decree > wanted) return s->count > 0 ? READ_ENOUGH : E_NOTFOUND;
    if (wanted > r->to_decree || s->count >= r->count_max) return READ_ENOUGH;

    size_t size = record->body.size;
    if (s->chunk == NULL) {
        s->chunk = chunk_new(size > r->size_max ? size : r->size_max);
        if (s->chunk == NULL) return E_NOMEM;
    }
    if (size > s->chunk->capacity - s->used) return READ_ENOUGH;
    int rc = array_reserve(&s->entries, &s->capacity, s->count + 1, sizeof *s->entries);
    if (rc != 0) return rc;
    uint8_t *to = s->chunk->data + s->used;
    memcpy(to, record->body.data, size);
    s->used += size;
    s->last_decree = record->decree;
    s->last_offset = record->block_offset;
    s->entries[s->count++] = (struct log_entry){
        .gpid = record->gpid,
        .decree = record->decree,
        .ballot = record->ballot,
        .mutation = slice_of(to, size),
    };
    return 0;
}

static struct io_file *backlog_open(struct log_read_state *s)
{
    char path[LOG_PATH_SIZE];
    struct io_file *file = NULL;
    struct log *l = s->read->log;
    log_backlog_path(l, s->backlog->gpid, s->backlog->number, path);
    s->rc = io_file_open(l->io, path, IO_OPEN_READ, &file);
    return s->rc == 0 ? file : NULL;
}

static void on_pool(struct io_work *work)
{
    struct log_read_state *s = LIST_ENTRY(work, struct log_read_state, work);
    struct log_window window = {0};
    struct io_file *own = s->backlog != NULL ? backlog_open(s) : NULL;
    for (size_t i = 0; i < s->span_count && s->rc == 0; i++) {
        log_window_turn(&window, own != NULL ? own : s->segments[i]->file);
        s->rc = log_span_read(s->read->log, &window, s->read->gpid, &s->spans[i], on_record, s);
    }
    io_file_close(own);
    if (s->rc == READ_ENOUGH || (s->rc == E_CORRUPT && s->count > 0)) s->rc = 0;
    if (s->rc == 0 && s->count == 0) s->rc = E_NOTFOUND;
    if (s->rc == E_NOTFOUND && window.is_damaged) s->rc = E_CORRUPT;
    log_window_fini(&window);
}

/* ---- On the writer loop ---- */

/* Spans of the log that hold from_decree and what follows it without a hole. */
static void plan_log(struct log *l, struct log_read_state *s, const struct mlog_partition *p)
{
    size_t count;
    const struct mlog_span *spans = mlog_index_find(&p->index, s->read->from_decree, &count);
    if (spans == NULL) return;
    for (size_t i = 0; i < count && i < SPANS_MAX; i++) {
        if (spans[i].decree > s->read->to_decree) break;
        struct mlog_segment *segment = mlog_segment_find(&l->space, spans[i].segment);
        CHECK(segment != NULL);
        segment->pins++;
        s->segments[i] = log_segment_of(segment);
        s->spans[i] = spans[i];
        s->span_count++;
    }
}

static void plan_backlog(struct log_read_state *s, const struct mlog_partition *p)
{
    if (p->owner == NULL) return;
    uint64_t limit;
    struct log_backlog_file *file = log_backlog_find(p, s->read->from_decree, &limit);
    if (file == NULL) return;
    bool has_hint = file->hint_offset > 0 && file->hint_decree <= s->read->from_decree;
    s->spans[0] = (struct mlog_span){
        .limit = limit,
        .serial_last = UINT64_MAX,
        .segment = file->number,
        .begin = has_hint ? file->hint_offset : 0,
        .end = (uint32_t)file->size,
    };
    s->span_count = 1;
    s->backlog = file;
    file->readers++;
}

static void on_done_loop(struct io_post *post)
{
    struct log_read *r = LIST_ENTRY(post, struct log_read, post);
    struct log_read_state *s = r->state;
    r->chunk = s != NULL ? s->chunk : NULL;
    r->entries = s != NULL ? s->entries : NULL;
    r->count = s != NULL && r->rc == 0 ? s->count : 0;
    r->state = NULL;
    r->on_done(r, r->rc); /* 'r' may be gone or under way again after this. */
    if (s == NULL) return;
    chunk_unref(s->chunk);
    mem_free(s->entries);
    mem_free(s);
}

static void read_end(struct log_read *r, int rc)
{
    struct log *l = r->log;
    atomic_fetch_add(&l->figures.reads, 1);
    r->rc = rc;
    r->post.run = on_done_loop;
    io_post(r->loop, &r->post);
}

static void on_pool_done(struct io_work *work)
{
    struct log_read_state *s = LIST_ENTRY(work, struct log_read_state, work);
    struct log *l = s->read->log;
    if (s->backlog != NULL) {
        s->backlog->readers--;
        s->backlog->hint_decree = s->last_decree;
        s->backlog->hint_offset = s->last_offset;
    } else {
        for (size_t i = 0; i < s->span_count; i++) s->segments[i]->core.pins--;
    }
    l->reads--;
    read_end(s->read, s->rc);
    log_tidy(l);
    log_stop_try(l);
}

static void on_asked(struct io_post *post)
{
    struct log_read *r = LIST_ENTRY(post, struct log_read, post);
    struct log *l = r->log;
    struct mlog_partition *p = mlog_partition_find(&l->space, r->gpid);
    if (p == NULL || r->to_decree < r->from_decree || r->count_max == 0) {
        read_end(r, E_NOTFOUND);
        return;
    }
    struct log_read_state *s = mem_zalloc(sizeof *s);
    if (s == NULL) {
        read_end(r, E_NOMEM);
        return;
    }
    r->state = s;
    s->read = r;
    plan_log(l, s, p);
    if (s->span_count == 0) plan_backlog(s, p);
    s->work.run = on_pool;
    s->work.done = on_pool_done;
    l->reads++;
    io_work(l->loop, &s->work);
}

void log_read(struct log *l, struct log_read *r)
{
    r->log = l;
    r->state = NULL;
    r->post.run = on_asked;
    io_post(l->loop, &r->post);
}
