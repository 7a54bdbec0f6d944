/* src/log/backlog.c: files with the records of one partition that only its shippers still need, or only
 * its next life.
 *
 *     dir/backlog/2.7.0000000000000005      of partition 2.7, from segment 5: decrees [100, 240]
 *     dir/backlog/2.7.0000000000000006      from segment 6: decrees [241, 300]
 *
 * A file is written under another name, synced, renamed, and the directory synced: under its own
 * name it is always whole, and never changes again. It begins with a block that says its decrees;
 * its number is that of the segment it was made from.
 * Source: docs/mutation-log.md, rules L19, L20 and L25. */
#include <inttypes.h>
#include <stdio.h>

#include "log/log_impl.h"

#define DRAFT ".new" /* What a name ends with until the file is whole. */

static void dir_path(const struct log *l, char *path)
{
    (void)snprintf(path, LOG_PATH_SIZE, "%s/backlog", l->dir);
}

int log_backlog_dir_sync(struct log *l)
{
    char path[LOG_PATH_SIZE];
    dir_path(l, path);
    return io_dir_sync(l->io, path);
}

void log_backlog_path(const struct log *l, struct gpid gpid, uint64_t number, char *path)
{
    (void)snprintf(path, LOG_PATH_SIZE, "%s/backlog/%" PRId32 ".%" PRId32 ".%016" PRIx64, l->dir,
                   gpid.app_id, gpid.partition_index, number);
}

/* ---- Bookkeeping ---- */

static void size_show(const struct log_owner *owner)
{
    if (owner->hold != NULL) atomic_store(&owner->hold->backlog_size, owner->backlog_size);
}

/* A file and what is newer may overlap: a newer ballot has replaced the end of what was moved. */
struct log_backlog_file *log_backlog_find(const struct mlog_partition *p, uint64_t decree,
                                          uint64_t *limit)
{
    const struct log_owner *owner = p->owner;
    const struct mlog_index *index = &p->index;
    struct log_backlog_file *found = NULL;
    uint64_t none = index->count > 0 ? index->spans[index->first].decree : UINT64_MAX;
    *limit = none;
    LIST_EACH (it, &owner->backlog) {
        struct log_backlog_file *file = LIST_ENTRY(it, struct log_backlog_file, node);
        if (file->is_all) {
            found = NULL; /* What is missing there may have replaced it. */
            *limit = none;
        } else if (file->first <= decree && decree <= file->last) found = file;
        else if (found != NULL && file->first < *limit) *limit = file->first;
    }
#ifdef MUT_replaced_backlog_is_read
    *limit = UINT64_MAX;
#endif
    return found;
}

bool log_backlog_is_unflushed(const struct mlog_partition *p)
{
    const struct log_owner *owner = p->owner;
    if (owner == NULL) return false;
    LIST_EACH (it, &owner->backlog)
        if (LIST_ENTRY(it, struct log_backlog_file, node)->last > p->durable) return true;
    return false;
}

void log_backlog_push(struct log *l, struct log_backlog_file *file)
{
    struct mlog_partition *p = mlog_partition_find(&l->space, file->gpid);
    struct log_owner *owner = p == NULL ? NULL : p->owner;
    if (owner == NULL || file->first == 0) {
        list_push_back(&l->dropped, &file->node);
        return;
    }
    struct list_node *next = owner->backlog.next;
    while (next != &owner->backlog &&
           LIST_ENTRY(next, struct log_backlog_file, node)->number < file->number)
        next = next->next;
    list_push_back(next, &file->node); /* Before it. */
    owner->backlog_size += file->size;
    log_backlog_release(l, p);
}

/* Nobody will read it any more. */
static void drop(struct log *l, struct log_owner *owner, struct log_backlog_file *file)
{
    list_remove(&file->node);
    list_push_back(&l->dropped, &file->node);
    owner->backlog_size -= file->size;
}

void log_backlog_release(struct log *l, struct mlog_partition *p)
{
    struct log_owner *owner = p->owner;
    if (owner == NULL) return;
#ifdef MUT_backlog_released_unflushed
    uint64_t done =
        p->confirmed; /* Known mistake: no remote wants it, and the store has not flushed. */
#else
    uint64_t done = p->durable < p->confirmed ? p->durable : p->confirmed;
#endif
    struct list_node *it = owner->backlog.next;
    while (it != &owner->backlog) {
        struct log_backlog_file *file = LIST_ENTRY(it, struct log_backlog_file, node);
        it = it->next;
        if (file->last <= done) drop(l, owner, file);
    }
    size_show(owner);
}

void log_backlog_count(struct log *l)
{
    struct mlog_partition *p = NULL;
    l->kept_size = 0;
    while ((p = mlog_partition_next(&l->space, p)) != NULL) {
        const struct log_owner *owner = p->owner;
        if (owner != NULL && mlog_partition_is_kept(p)) l->kept_size += owner->backlog_size;
    }
}

int log_backlog_each(struct log *l, const struct log_backlog_file *file,
                     int (*each)(void *context, const struct mlog_record *record), void *context)
{
    char path[LOG_PATH_SIZE];
    struct log_window window = {0};
    const struct mlog_span all = {.limit = UINT64_MAX,
                                  .serial_last = UINT64_MAX,
                                  .segment = file->number,
                                  .end = (uint32_t)file->size};
    log_backlog_path(l, file->gpid, file->number, path);
    int rc = io_file_open(l->io, path, IO_OPEN_READ, &window.file);
    if (rc != 0) return rc;
    rc = log_span_read(l, &window, file->gpid, &all, each, context);
    io_file_close(window.file);
    log_window_fini(&window);
    return rc;
}

/* ---- Making one ---- */

struct maker {
    struct log *log;
    struct log_backlog_file *file;
    struct io_file *to;
    struct buf out; /* The block that is being filled. */
    struct mlog_block block;
    uint32_t offset, prev_offset;
    uint64_t above, first, last; /* Decrees. */
    uint64_t serial;             /* Of the last record copied. */
    int rc;                      /* Of the last write. */
};

static void block_open(struct maker *m)
{
    buf_clear(&m->out);
    (void)mlog_block_begin(&m->out);
    m->block = (struct mlog_block){
        .log_id = m->log->log_id,
        .at = {m->file->number, m->offset},
        .prev_offset = m->prev_offset,
        .kind = MLOG_RECORDS,
        .synced = {m->file->number, m->offset},
    };
}

static int block_save(struct maker *m)
{
    int rc = mlog_block_finish(&m->out, 0, &m->block);
    if (rc != 0) return rc;
    struct slice bytes = buf_slice(&m->out);
    rc = io_file_write(m->to, m->offset, &bytes, 1);
    if (rc != 0) return rc;
    m->prev_offset = m->offset;
    m->offset += (uint32_t)bytes.size;
    return 0;
}

enum { MAKE_ENOUGH = 1 }; /* What an 'each' returns at a hole, and when a write failed. */

static int record_push(struct maker *m, const struct mlog_record *record)
{
    if (m->block.record_count > 0 && m->out.size + record->body.size > LOG_BACKLOG_BODY_SIZE) {
        m->rc = block_save(m);
        if (m->rc != 0) return MAKE_ENOUGH;
        block_open(m);
    }
    mlog_record_write(&m->out, record);
    m->block.record_count++;
    if (m->first == 0 || record->decree < m->first) m->first = record->decree;
    if (record->decree > m->last) m->last = record->decree;
    m->serial = record->serial;
    return 0;
}

static int on_record(void *context, const struct mlog_record *record)
{
    struct maker *m = context;
#ifdef MUT_backlog_skips_record
    if (record->decree <= m->above + 1) return 0;
#else
    if (record->decree <= m->above) return 0;
#endif
    if (m->last != 0 && record->decree != m->last + 1) return MAKE_ENOUGH;
    return record_push(m, record);
}

static int on_any_record(void *context, const struct mlog_record *record)
{
    return record_push(context, record);
}

static int head_save(struct maker *m)
{
    uint32_t end = m->offset;
    m->offset = m->prev_offset = 0;
    block_open(m);
    m->block.kind = m->file->is_all ? MLOG_BACKLOG_ALL : MLOG_BACKLOG;
    m->block.summary_count = 1;
    mlog_last_write(&m->out, &(struct mlog_last){m->file->gpid, m->file->serial, m->file->decree});
    struct mlog_range range = {m->file->gpid, m->first, m->last};
    mlog_range_write(&m->out, &range);
    int rc = block_save(m);
    m->offset = end;
    return rc;
}

/* What it means that a write, or what goes with it, ended so. */
static int disk_rc(int rc)
{
    if (rc == E_NOSPACE || rc == E_NOMEM) return E_BUSY;
    return rc == 0 ? 0 : E_IO;
}

/* Begin at the beginning; the head comes last. */
static void make_begin(struct maker *m)
{
    m->offset = MLOG_ALIGN;
    m->prev_offset = 0;
    m->first = m->last = m->serial = 0;
    block_open(m);
}

static int spans_copy(struct maker *m, const struct log_move *move)
{
    struct log_window window = {.file = move->from};
    int rc = 0;
    make_begin(m);
    for (size_t i = 0; i < move->span_count && rc == 0; i++)
        rc = log_span_read(m->log, &window, m->file->gpid, &move->spans[i], on_record, m);
    log_window_fini(&window);
    if (rc != 0) m->file->serial = m->serial; /* Up to the hole. */
    m->file->decree = m->last;
    return rc;
}

/* Everything that can be read. What can't is known to be missing by what the head says. */
static int all_copy(struct maker *m, const struct log_move *move)
{
    MARK("kept records moved past a hole");
    struct log_window window = {.file = move->from};
    make_begin(m);
    m->rc = io_file_truncate(m->to, 0);
    if (m->rc != 0) return 0;
    int rc = log_span_read(m->log, &window, m->file->gpid, &move->all, on_any_record, m);
    log_window_fini(&window);
    m->file->is_all = true;
    m->file->serial = move->all.serial_last;
    m->file->decree = move->decree_last;
    m->last = move->decree_max;
    if (m->first == 0) m->first = m->last;
    return rc == E_CORRUPT ? 0 : rc;
}

static int records_copy(struct maker *m, const struct log_move *move)
{
    int rc = move->is_all ? E_CORRUPT : spans_copy(m, move);
    bool has_hole = m->rc == 0 && (rc == E_CORRUPT || rc == MAKE_ENOUGH);
#ifdef MUT_kept_moved_up_to_hole
    bool is_past = move->is_all; /* Known mistake: what lies behind a new hole is freed. */
#else
    bool is_past = move->is_kept;
#endif
    if (has_hole && is_past) rc = all_copy(m, move);
    if (m->rc != 0) return disk_rc(m->rc);
    if (rc == E_IO || rc == E_NOMEM) return E_BUSY;
    if (m->last == 0) return E_NOTFOUND; /* Else up to the hole, if there is one. */
    rc = m->block.record_count > 0 ? block_save(m) : 0;
    return disk_rc(rc == 0 ? head_save(m) : rc);
}

int log_backlog_make(struct log *l, const struct log_move *move, struct log_backlog_file *file)
{
    char path[LOG_PATH_SIZE], draft[LOG_PATH_SIZE + sizeof DRAFT];
    log_backlog_path(l, file->gpid, file->number, path);
    (void)snprintf(draft, sizeof draft, "%s" DRAFT, path);

    struct maker m = {.log = l, .file = file, .above = move->above};
    unsigned flags = IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE;
    int rc = io_file_open(l->io, draft, flags, &m.to);
    if (rc != 0) return disk_rc(rc);
    rc = disk_rc(io_file_truncate(m.to, 0));
    if (rc == 0) rc = records_copy(&m, move);
    if (rc == 0 && io_file_sync(m.to) != 0) rc = E_IO;
    io_file_close(m.to);
    buf_fini(&m.out);
    if (rc == 0) rc = disk_rc(io_rename(l->io, draft, path));
    if (rc == 0 && log_backlog_dir_sync(l) != 0) rc = E_IO;
    if (rc != 0) {
        int removed = io_unlink(l->io, draft);
        (void)removed; /* What stays is removed by recovery. */
        return rc;
    }
    file->first = m.first;
    file->last = m.last;
    file->size = m.offset;
    return 0;
}

/* ---- Recovery ---- */

struct finder {
    struct log *log;
    struct log_window window;
    int rc;
};

/* What the head of the file says; first and last stay 0 when it can't be trusted. */
static int head_load(struct finder *f, const char *path, struct log_backlog_file *file)
{
    struct io_file *io_file;
    int rc = io_file_open(f->log->io, path, IO_OPEN_READ, &io_file);
    if (rc != 0) return rc;
    rc = io_file_size(io_file, &file->size);
    if (rc != 0) goto done;

    struct mlog_scan scan;
    struct mlog_scanned scanned;
    enum mlog_found found;
    struct mlog_range range;
    uint64_t size = file->size < LOG_FILE_SIZE_MAX ? file->size : LOG_FILE_SIZE_MAX;
    mlog_scan_init(&scan, f->log->log_id, file->number, (uint32_t)size);
    log_window_turn(&f->window, io_file);
    rc = log_window_scan(&f->window, &scan, &scanned, &found);
    if (rc != 0) goto done;
    bool is_good = found == MLOG_FOUND_BLOCK && scanned.is_whole &&
                   mlog_range_read(&scanned.block, scanned.body, &range) == 0 &&
                   gpid_equal(range.gpid, file->gpid);
    if (is_good) {
        file->first = range.first;
        file->last = range.last;
        struct slice summary = scanned.block.summary;
        struct mlog_last last;
        if (mlog_last_read(&summary, &last) && last.serial <= MLOG_COUNT_MAX) {
            file->serial = last.serial;
            file->decree = last.decree;
        }
        file->is_all = scanned.block.kind == MLOG_BACKLOG_ALL;
    } else {
        atomic_fetch_add(&f->log->figures.damaged_blocks, 1);
    }
done:
    io_file_close(io_file);
    return rc;
}

/* The segment that the file was made from may still be there. If all is well the file is dropped,
 * to be made again: perhaps it is only in the page cache. Else it may be worth more than the
 * segment. */
static void file_settle(struct log *l, struct log_owner *owner, struct log_backlog_file *file)
{
    struct mlog_segment *segment = mlog_segment_find(&l->space, file->number);
    if (segment == NULL) return;
    if (atomic_load(&l->figures.damaged_blocks) == 0) {
        drop(l, owner, file);
        return;
    }
    for (uint32_t i = 0; i < segment->share_count; i++) {
        struct mlog_share *share = &segment->shares[i];
        if (gpid_equal(share->partition->gpid, file->gpid)) share->is_moved = true;
    }
}

void log_backlog_settle(struct log *l)
{
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(&l->space, p)) != NULL) {
        struct log_owner *owner = p->owner;
        if (owner == NULL) continue;
        struct list_node *it = owner->backlog.next;
        while (it != &owner->backlog) {
            struct log_backlog_file *file = LIST_ENTRY(it, struct log_backlog_file, node);
            it = it->next;
            file_settle(l, owner, file);
        }
    }
    log_backlog_count(l);
}

static int draft_remove(struct log *l, const char *name)
{
    char dir[LOG_PATH_SIZE], path[LOG_PATH_SIZE + 64];
    dir_path(l, dir);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return io_unlink(l->io, path);
}

/* Take the file into the books of its partition; if that is not here, to be dropped. */
static int file_take(struct finder *f, struct gpid gpid, uint64_t number)
{
    struct log *l = f->log;
    char path[LOG_PATH_SIZE];
    struct mlog_partition *p = mlog_partition_find(&l->space, gpid);
    if (p != NULL && log_owner_get(p) == NULL) return E_NOMEM;
    struct log_backlog_file *file = mem_zalloc(sizeof *file);
    if (file == NULL) return E_NOMEM;
    file->gpid = gpid;
    file->number = number;
    log_backlog_path(l, gpid, number, path);
    int rc = head_load(f, path, file);
    if (rc != 0) {
        mem_free(file);
        return rc;
    }
    l->backlog_size += file->size;
    log_backlog_push(l, file);
    return 0;
}

static void on_file(void *context, const char *name)
{
    struct finder *f = context;
    struct gpid gpid;
    uint64_t number;
    int used = 0;
    if (f->rc != 0 || strlen(name) > 60) return;
    int n = sscanf(name, "%" SCNd32 ".%" SCNd32 ".%16" SCNx64 "%n", &gpid.app_id,
                   &gpid.partition_index, &number, &used);
    if (n != 3 || number == 0 || number >= MLOG_SEGMENT_MAX) return; /* Not ours. */
    if (name[used] == '\0') f->rc = file_take(f, gpid, number);
    else if (strcmp(name + used, DRAFT) == 0) f->rc = draft_remove(f->log, name);
}

int log_backlog_recover(struct log *l, struct err *e)
{
    struct finder f = {.log = l};
    char path[LOG_PATH_SIZE];
    dir_path(l, path);
    int rc = io_dir_list(l->io, path, on_file, &f);
    if (rc == 0) rc = f.rc;
    log_window_fini(&f.window);
    return rc == 0 ? 0 : err_set(e, rc, "backlog files in %s: %s", path, err_text(rc));
}
