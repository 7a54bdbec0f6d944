/* src/log/window.c: a file seen through a window that moves forward and grows when a block asks. */
#include "log/log_impl.h"

void log_window_fini(struct log_window *w)
{
    mem_free(w->data);
    *w = (struct log_window){0};
}

void log_window_turn(struct log_window *w, struct io_file *file)
{
    w->file = file;
    w->size = 0;
    w->offset = 0;
}

static int window_grow(struct log_window *w, size_t size)
{
    if (size <= w->capacity) return 0;
    uint8_t *data = mem_realloc(w->data, size);
    if (data == NULL) return E_NOMEM;
    w->data = data;
    w->capacity = size;
    return 0;
}

/* Have the window begin at 'offset' and show 'size' bytes or all there are. */
static int window_move(struct log_window *w, uint64_t offset, size_t size)
{
    bool is_inside = offset >= w->offset && offset - w->offset <= w->size;
    if (is_inside && w->size - (size_t)(offset - w->offset) >= size) return 0;
    int rc = window_grow(w, size);
    if (rc != 0) return rc;

    size_t kept = is_inside ? w->size - (size_t)(offset - w->offset) : 0;
    if (kept > 0) memmove(w->data, w->data + (offset - w->offset), kept);
    w->offset = offset;
    w->size = kept;
    size_t got;
    rc = io_file_read(w->file, offset + kept, w->data + kept, size - kept, &got);
    if (rc != 0) return rc;
    w->size += got;
    return 0;
}

int log_window_scan(struct log_window *w, struct mlog_scan *s, struct mlog_scanned *out,
                    enum mlog_found *found)
{
    for (;;) {
        size_t left = s->end - s->offset;
        size_t least = s->want < left ? s->want : left;
        size_t skip = s->offset - (size_t)w->offset;
        bool has_enough = s->offset >= w->offset && skip <= w->size && w->size - skip >= least;
        if (!has_enough) {
            size_t size = least > LOG_WINDOW_SIZE ? least : LOG_WINDOW_SIZE;
            int rc = window_move(w, s->offset, size < left ? size : left);
            if (rc != 0) return rc;
            skip = 0;
            if (w->size < least) s->end = s->offset + (uint32_t)w->size; /* Shorter than it said. */
        }
        *found = mlog_scan_next(s, slice_skip(slice_of(w->data, w->size), skip), out);
        if (*found != MLOG_FOUND_NOTHING) return 0;
    }
}

/* The records of one block that count. */
static int block_each(const struct mlog_scanned *scanned, struct gpid gpid,
                      const struct mlog_span *span,
                      int (*each)(void *context, const struct mlog_record *record), void *context)
{
    if (scanned->block.kind != MLOG_RECORDS) return 0;
    struct slice body = scanned->body;
    struct mlog_record record;
    while (mlog_record_read(&scanned->block, &body, &record) == 0) {
        if (!gpid_equal(record.gpid, gpid) || record.decree >= span->limit) continue;
        if (record.serial < span->serial || record.serial > span->serial_last) continue;
        int rc = each(context, &record);
        if (rc != 0) return rc;
    }
    return 0;
}

int log_span_read(struct log *l, struct log_window *w, struct gpid gpid,
                  const struct mlog_span *span,
                  int (*each)(void *context, const struct mlog_record *record), void *context)
{
    struct mlog_scan scan;
    mlog_scan_init(&scan, l->log_id, span->segment, span->end);
    mlog_scan_seek(&scan, span->begin);
    for (;;) {
        struct mlog_scanned scanned;
        enum mlog_found found;
        int rc = log_window_scan(w, &scan, &scanned, &found);
        if (rc != 0) return rc;
        if (found == MLOG_FOUND_BLOCK) rc = block_each(&scanned, gpid, span, each, context);
        if (rc != 0) return rc;
        bool is_end = found == MLOG_FOUND_END;
        bool is_damage = found == MLOG_FOUND_DAMAGE || (is_end && scan.end != span->end) ||
                         (found == MLOG_FOUND_BLOCK && !scanned.is_whole);
        if (is_damage) {
            atomic_fetch_add(&l->figures.damaged_blocks, 1);
            w->is_damaged = true;
        }
        if (is_end) return w->is_damaged ? E_CORRUPT : 0;
    }
}
