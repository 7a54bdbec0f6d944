/* src/log/recover.c: from what lies on the disk to a log that goes on.
 *
 *     list the files --> find the newest good head --> which files are the log, how far was it durable
 *     --> replay from backlog files what the log no longer has
 *     --> replay segment by segment, up to a torn end
 *     --> what lies behind the durable part is copied into a new segment --> its head
 *     --> remove what is not the log
 *
 * Until the new head is durable nothing that could be read is changed, so a crash in here changes
 * nothing either. What is damage and whose is core/mlog/replay.h's to say.
 * Source: docs/mutation-log.md, rules L7 to L14 and L25. */
#include <inttypes.h>
#include <stdio.h>

#include "base/array.h"
#include "log/log_impl.h"

struct recovery {
    struct log *log;
    const struct log_replay_handler *handler;
    void *context;
    struct err *e;
    struct log_window window;
    struct mlog_replay replay;

    struct mlog_live *files; /* All segment files that are there, ascending, with their sizes. */
    size_t file_count, file_capacity;
    size_t newest;           /* The newest of them with a good head; file_count: none. */
    struct buf table_bytes;  /* The body of that head... */
    struct mlog_table table; /* ...and what it says. */
    struct mlog_live *live;  /* The files that are the log. */
    size_t live_count;
    bool is_cut;          /* The torn tail was met. */
    struct log_tail tail; /* What lies behind the last place known to be durable. */
    bool is_all;          /* The backlog file that is replayed is for its store only. */
    uint64_t moved_count; /* Records of it that its store lacks. */
    int rc;               /* Of a callback. */
};

static int fail(struct recovery *r, int rc, uint64_t number, const char *what)
{
    return err_set(r->e, rc, "log %s: segment %" PRIu64 ": %s: %s", r->log->dir, number, what,
                   err_text(rc));
}

static int file_open(struct recovery *r, uint64_t number, struct io_file **out)
{
    char path[LOG_PATH_SIZE];
    log_segment_path(r->log, number, path);
    int rc = io_file_open(r->log->io, path, IO_OPEN_READ | IO_OPEN_WRITE, out);
    return rc == 0 ? 0 : fail(r, rc, number, "open");
}

/* ---- Which files are the log ---- */

static void on_file(void *context, const char *name)
{
    struct recovery *r = context;
    uint64_t number;
    int used = 0;
    if (r->rc != 0 || sscanf(name, "log.%16" SCNx64 "%n", &number, &used) != 1) return;
    if (used != 20 || name[used] != '\0') return;
    if (number == 0 || number >= MLOG_SEGMENT_MAX) return;
    r->rc = array_reserve(&r->files, &r->file_capacity, r->file_count + 1, sizeof *r->files);
    if (r->rc != 0) return;
    r->files[r->file_count++] = (struct mlog_live){.number = number};
    if (number >= r->log->next_segment) r->log->next_segment = number + 1;
}

/* Walk a file's heads: 'each' sees every good one until it says stop. */
static int heads_walk(struct recovery *r, const struct mlog_live *file,
                      bool (*each)(struct recovery *r, const struct mlog_block *block))
{
    struct io_file *io_file;
    int rc = file_open(r, file->number, &io_file);
    if (rc != 0) return rc;
    struct mlog_scan scan;
    struct mlog_scanned scanned;
    enum mlog_found found = MLOG_FOUND_NOTHING;
    mlog_scan_init(&scan, r->log->log_id, file->number, file->end);
    scan.heads_only = true;
    log_window_turn(&r->window, io_file);
    do {
        rc = log_window_scan(&r->window, &scan, &scanned, &found);
        if (rc != 0) rc = fail(r, rc, file->number, "read");
        if (rc == 0 && found == MLOG_FOUND_BLOCK && !each(r, &scanned.block)) break;
    } while (rc == 0 && found != MLOG_FOUND_END);
    io_file_close(io_file);
    return rc;
}

static int sizes_load(struct recovery *r)
{
    for (size_t i = 0; i < r->file_count; i++) {
        struct io_file *io_file;
        uint64_t size;
        int rc = file_open(r, r->files[i].number, &io_file);
        if (rc != 0) return rc;
        rc = io_file_size(io_file, &size);
        io_file_close(io_file);
        if (rc != 0) return fail(r, rc, r->files[i].number, "size");
        r->files[i].end = size < LOG_FILE_SIZE_MAX ? (uint32_t)size : LOG_FILE_SIZE_MAX;
    }
    return 0;
}

/* Keep the table that the file begins with, if it does. */
static int head_load(struct recovery *r, const struct mlog_live *file, bool *is_good)
{
    struct io_file *io_file;
    int rc = file_open(r, file->number, &io_file);
    if (rc != 0) return rc;
    struct mlog_scan scan;
    struct mlog_scanned scanned;
    enum mlog_found found;
    mlog_scan_init(&scan, 0, file->number, file->end);
    log_window_turn(&r->window, io_file);
    rc = log_window_scan(&r->window, &scan, &scanned, &found);
    io_file_close(io_file);
    if (rc != 0) return fail(r, rc, file->number, "read");

    *is_good = found == MLOG_FOUND_BLOCK && scanned.is_whole && scanned.block.kind == MLOG_HEAD;
    if (!*is_good) return 0;
    r->log->log_id = scanned.block.log_id;
    mlog_replay_synced(&r->replay, scanned.block.synced);
    buf_append_slice(&r->table_bytes, scanned.body);
    if (buf_status(&r->table_bytes) != 0) return fail(r, E_NOMEM, file->number, "read");
    return mlog_table_read(&scanned.block, buf_slice(&r->table_bytes), &r->table);
}

static bool on_head(struct recovery *r, const struct mlog_block *block)
{
    if (r->log->log_id == 0) r->log->log_id = block->log_id;
    mlog_replay_synced(&r->replay, block->synced);
    return true;
}

static int live_find(struct recovery *r)
{
    bool is_good = false;
    r->newest = r->file_count;
    for (size_t i = r->file_count; i-- > 0 && !is_good;) {
        int rc = head_load(r, &r->files[i], &is_good);
        if (rc != 0) return rc;
        if (is_good) r->newest = i;
    }
    size_t first = r->newest < r->file_count ? r->newest : 0;
    for (size_t i = first; i < r->file_count; i++) {
        int rc = heads_walk(r, &r->files[i], on_head);
        if (rc != 0) return rc;
    }
    size_t room = r->file_count + r->table.segments.size / MLOG_TABLE_SEGMENT_SIZE;
    if (r->log->log_id == 0) r->log->log_id = io_seed(r->log->io) | 1; /* A new log. */
    r->live = mem_alloc((room + 1) * sizeof *r->live);
    if (r->live == NULL) return err_set(r->e, E_NOMEM, "log %s", r->log->dir);
    r->live_count = mlog_live_find(r->files, r->file_count, r->newest, &r->table, r->live);
    return 0;
}

/* ---- Replay ---- */

/* Note where the record lies; or, behind the last place that is known to be durable, have it
 * copied. */
static int record_keep(struct recovery *r, struct mlog_partition *p,
                       const struct mlog_record *record, const struct mlog_block *block)
{
    struct mlog_space *space = &r->log->space;
    if (r->tail.is_begun) return log_tail_push(&r->tail, p, record);
    int rc = mlog_space_reserve(space, p, 1, 1);
    if (rc != 0) return rc;
    struct mlog_place place = {block->at.segment, block->at.offset,
                               block->at.offset + (uint32_t)mlog_block_size(block)};
    mlog_space_add(space, p, record->decree, record->serial, place,
                   MLOG_RECORD_HEAD_SIZE + record->body.size);
    return 0;
}

static int record_replay(struct recovery *r, const struct mlog_record *record,
                         const struct mlog_block *block)
{
    bool is_new;
    struct mlog_partition *p = mlog_replay_record(&r->replay, record, &is_new);
    int rc = p == NULL ? 0 : record_keep(r, p, record, block);
    if (rc == 0 && is_new)
        rc = r->handler->on_record(r->context, record->gpid, record->decree, record->ballot,
                                   record->body);
    return rc;
}

/* From this block on the log is written once more. */
static int tail_begin(struct recovery *r, struct mlog_pos at)
{
    struct log *l = r->log;
    struct mlog_segment *newest = mlog_segment_newest(&l->space);
    if (newest != NULL && newest->number == at.segment) mlog_space_grow(&l->space, at.offset);
    l->writer.synced = r->replay.synced;
    return log_tail_begin(&r->tail, l);
}

static int block_replay(struct recovery *r, const struct mlog_scanned *scanned)
{
    const struct mlog_block *block = &scanned->block;
    struct mlog_table table;
    int rc = 0;
    mlog_replay_block(&r->replay, block);
    if (block->kind == MLOG_HEAD && mlog_table_read(block, scanned->body, &table) == 0)
        mlog_replay_table(&r->replay, &table);
    /* Only now: what the block says of those before it belongs into the new segment's head. */
    if (!r->tail.is_begun && mlog_replay_judge(&r->replay, block->at) == MLOG_TORN)
        rc = tail_begin(r, block->at);
    if (block->kind != MLOG_RECORDS) return rc;

    struct slice body = scanned->body;
    struct mlog_record record;
    while (rc == 0 && mlog_record_read(block, &body, &record) == 0)
        rc = record_replay(r, &record, block);
    return rc == 0 ? log_tail_block(&r->tail) : rc;
}

/* Something that should be at 'at' is not. True: the log ends there. */
static bool is_torn(struct recovery *r, struct mlog_pos at)
{
    if (mlog_replay_judge(&r->replay, at) != MLOG_TORN) return false;
    MARK("torn tail cut");
    r->is_cut = true;
    return true;
}

static void on_corrupt(struct recovery *r, struct mlog_pos at)
{
    atomic_fetch_add(&r->log->figures.damaged_blocks, 1);
    mlog_replay_lost(&r->replay, at);
}

/* What was found is not as it was written. */
static bool is_damage(enum mlog_found found, const struct mlog_scanned *scanned,
                      const struct mlog_scan *s, uint32_t end)
{
    if (found == MLOG_FOUND_END) return s->end < end; /* The file is shorter than it was. */
    return found == MLOG_FOUND_DAMAGE || !scanned->is_whole;
}

/* Is there nothing but the room that was made ahead of the next blocks? */
static int is_room(struct recovery *r, uint32_t offset, bool *out)
{
    uint8_t bytes[MLOG_ALIGN * 8], any = 0;
    size_t got = sizeof bytes;
    for (uint64_t at = offset; got == sizeof bytes && any == 0; at += got) {
        int rc = io_file_read(r->window.file, at, bytes, sizeof bytes, &got);
        if (rc != 0) return rc;
        for (size_t i = 0; i < got; i++) any |= bytes[i];
    }
    *out = any == 0;
    return 0;
}

/* Replay the blocks that 's' finds. '*end' is where the log ends in this segment. */
static int blocks_replay(struct recovery *r, struct mlog_scan *s, bool is_open, uint32_t *end)
{
    for (;;) {
        struct mlog_scanned scanned;
        enum mlog_found found;
        int rc = log_window_scan(&r->window, s, &scanned, &found);
        struct mlog_pos at = {s->segment, s->end};
        if (found != MLOG_FOUND_END) at = scanned.block.at;
        bool is_end = false;
        if (rc == 0 && found == MLOG_FOUND_DAMAGE && is_open) rc = is_room(r, at.offset, &is_end);
        if (rc != 0) return fail(r, rc, s->segment, "read");
        bool is_damaged = !is_end && is_damage(found, &scanned, s, *end);
        if (is_end || (is_damaged && is_torn(r, at))) {
            *end = at.offset;
            return 0;
        }
        if (found == MLOG_FOUND_BLOCK) rc = block_replay(r, &scanned);
        if (rc != 0) return fail(r, rc, s->segment, "replay");
        if (is_damaged) on_corrupt(r, at);
        if (found == MLOG_FOUND_END) return 0;
    }
}

/* A segment that goes on being one: its beginning is known to be durable. */
static int segment_push(struct recovery *r, uint64_t number, struct io_file *file)
{
    struct log_segment *segment = mem_zalloc(sizeof *segment);
    if (segment == NULL) return fail(r, E_NOMEM, number, "open");
    segment->core.number = number;
    segment->file = file;
    segment->is_durable = segment->is_synced = true;
    mlog_segment_push(&r->log->space, &segment->core);
    return 0;
}

static int segment_replay(struct recovery *r, const struct mlog_live *live)
{
    struct log *l = r->log;
    struct io_file *file;
    int rc = file_open(r, live->number, &file);
    if (rc != 0) return rc;
    struct mlog_pos begin = {live->number, 0};
    bool is_kept = !r->tail.is_begun && mlog_replay_judge(&r->replay, begin) == MLOG_CORRUPT;
    if (is_kept) rc = segment_push(r, live->number, file);
    is_kept = is_kept && rc == 0; /* Else the file is still ours. */

    struct mlog_scan scan;
    uint32_t end = live->end;
    mlog_scan_init(&scan, l->log_id, live->number, end);
    log_window_turn(&r->window, file);
    if (rc == 0) rc = blocks_replay(r, &scan, live->is_open, &end);
    if (rc == 0 && is_kept && !r->tail.is_begun) mlog_space_grow(&l->space, end);
    if (!is_kept) io_file_close(file);
    return rc;
}

static int on_moved(void *context, const struct mlog_record *record)
{
    struct recovery *r = context;
    const struct mlog_partition *p = mlog_partition_find(&r->log->space, record->gpid);
    if (p != NULL && record->decree > p->replay.durable) r->moved_count++;
    if (!mlog_replay_moved(&r->replay, record, r->is_all)) return 0;
    r->rc = r->handler->on_record(r->context, record->gpid, record->decree, record->ballot,
                                  record->body);
    return r->rc;
}

/* Damage to the file has cost nothing that the store lacks. Every decree is there once, unless the file
 * has holes: then serials tell. */
static bool is_whole_above(const struct recovery *r, const struct mlog_partition *p,
                           const struct log_backlog_file *file)
{
    uint64_t durable = p->replay.durable;
    uint64_t below = durable < file->first ? file->first - 1 : durable;
    return file->is_all || r->moved_count == file->last - below;
}

/* A file whose segment is still there has nothing that the segment has not. */
static int file_replay(struct recovery *r, const struct mlog_partition *p,
                       const struct log_backlog_file *file)
{
    bool is_in_log = r->live_count > 0 && file->number >= r->live[0].number;
    int rc = 0;
    if (is_in_log) return 0;
    if (file->last > p->replay.durable) {
        MARK("records replayed from backlog");
        r->is_all = file->is_all;
        r->moved_count = 0;
        rc = log_backlog_each(r->log, file, on_moved, r);
        if (rc == E_CORRUPT && r->rc == 0 && is_whole_above(r, p, file)) rc = 0;
    }
    if (r->rc != 0 || rc == E_NOMEM) return fail(r, rc, file->number, "replay a backlog file");
    struct mlog_last last = {file->gpid, file->serial, file->decree};
    if (rc == 0) mlog_replay_moved_end(&r->replay, &last, file->is_all);
    else mlog_replay_moved_lost(&r->replay, file->gpid); /* The others are well. */
    return 0;
}

/* Replicas that come back have records in backlog files: all older than what the segments have. */
static int backlog_replay(struct recovery *r)
{
#ifdef MUT_backlog_not_replayed
    return 0; /* Known mistake: a store that comes back lacks what was moved. */
#endif
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(&r->log->space, p)) != NULL) {
        const struct log_owner *owner = p->owner;
        if (owner == NULL || mlog_partition_is_kept(p)) continue;
        LIST_EACH (it, &owner->backlog) {
            int rc = file_replay(r, p, LIST_ENTRY(it, struct log_backlog_file, node));
            if (rc != 0) return rc;
        }
    }
    return 0;
}

static int all_replay(struct recovery *r)
{
    for (size_t i = 0; i < r->live_count && !r->is_cut; i++) {
        const struct mlog_live *live = &r->live[i];
        int rc = 0;
        struct mlog_pos begin = {live->number, 0};
        if (!live->is_missing) rc = segment_replay(r, live);
        else if (!is_torn(r, begin)) on_corrupt(r, begin);
        if (rc != 0) return rc;
    }
    mlog_replay_end(&r->replay);
    return 0;
}

/* ---- From history to a log that is written ---- */

/* Remove files that are no longer the log: cut off, or a new segment that never came to be. */
static int rest_remove(struct recovery *r)
{
    for (size_t i = 0; i < r->file_count; i++) {
        uint64_t number = r->files[i].number;
        if (mlog_segment_find(&r->log->space, number) != NULL) continue;
        char path[LOG_PATH_SIZE];
        log_segment_path(r->log, number, path);
        int rc = io_unlink(r->log->io, path);
        if (rc == 0) rc = log_dir_sync(r->log);
        if (rc != 0) return fail(r, rc, number, "remove");
    }
    return 0;
}

/* From here on the log is what the new segment's head says. */
static int log_begin(struct recovery *r)
{
    struct log *l = r->log;
    int rc = 0;
    if (!r->tail.is_begun) rc = tail_begin(r, (struct mlog_pos){0, 0});
    if (rc == 0) rc = log_tail_end(&r->tail);
    return rc == 0 ? 0 : fail(r, rc, l->next_segment - 1, "begin");
}

/* Cut off what was torn or copied from the segment in which that began. */
static int tail_cut(struct recovery *r)
{
    struct mlog_segment *newest = mlog_segment_newest(&r->log->space);
    if (newest->node.prev == &r->log->space.segments) return 0;
    struct mlog_segment *last = LIST_ENTRY(newest->node.prev, struct mlog_segment, node);
    int rc = io_file_truncate(log_segment_of(last)->file, last->end);
    return rc == 0 ? 0 : fail(r, rc, last->number, "cut");
}

static void damage_report(struct recovery *r)
{
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(&r->log->space, p)) != NULL)
        if (p->replay.damage != NULL)
            r->handler->on_damaged(r->context, p->gpid, p->replay.delivered, p->replay.damage);
}

static int replica_list(struct recovery *r, const struct log_replica *replica)
{
    _Static_assert(LOG_NO_STORE == MLOG_NEVER, "one number for what nobody can say");
    int rc = mlog_replay_list(&r->replay, replica->gpid, replica->durable);
    if (rc != 0 || replica->durable != LOG_NO_STORE) return rc;
    struct mlog_partition *p = mlog_partition_find(&r->log->space, replica->gpid);
    return log_owner_get(p) != NULL ? 0 : E_NOMEM; /* It has no hold that would bring one. */
}

static int recover(struct recovery *r, const struct log_replica *replicas, size_t replica_count)
{
    struct log *l = r->log;
    int rc = 0;
    for (size_t i = 0; i < replica_count && rc == 0; i++) rc = replica_list(r, &replicas[i]);
    if (rc == 0) rc = io_dir_list(l->io, l->dir, on_file, r);
    if (rc == 0) rc = r->rc;
    if (rc != 0) return err_set(r->e, rc, "log %s: %s", l->dir, err_text(rc));

    if ((rc = sizes_load(r)) != 0 || (rc = live_find(r)) != 0) return rc;
    if ((rc = log_backlog_recover(l, r->e)) != 0 || (rc = backlog_replay(r)) != 0) return rc;
    if ((rc = all_replay(r)) != 0 || (rc = log_begin(r)) != 0) return rc;
    if ((rc = tail_cut(r)) != 0 || (rc = rest_remove(r)) != 0) return rc;
    log_backlog_settle(l);
    damage_report(r);
    return 0;
}

int log_recover(struct log *l, const struct log_replica *replicas, size_t replica_count,
                const struct log_replay_handler *handler, void *context, struct err *e)
{
    struct recovery r = {.log = l, .handler = handler, .context = context, .e = e};
    mlog_replay_init(&r.replay, &l->space);
    int rc = recover(&r, replicas, replica_count);
    log_tail_fini(&r.tail);
    log_window_fini(&r.window);
    buf_fini(&r.table_bytes);
    mem_free(r.files);
    mem_free(r.live);
    return rc;
}
