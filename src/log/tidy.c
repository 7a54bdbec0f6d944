/* src/log/tidy.c: housekeeping in the background, one piece at a time, decided on the writer loop
 * and done on the pool:
 *
 *     free   the oldest segment is needed by nobody       close, unlink, sync the directory
 *     drop   a backlog file is needed by nobody           unlink, sync the directory
 *     move   too many old segments are kept by shippers,  copy one partition's records to its
 *            or by replicas that take no records          backlog, segment by segment
 *
 * Each piece ends by looking for the next. A segment goes only after its successor is durable, and
 * each unlink is durable before the next, so that after a crash the files that remain are a run.
 * Source: docs/mutation-log.md, rules L16 to L20 and L25. */
#include "log/log_impl.h"

struct job {
    struct io_work work;
    struct log *log;
    struct log_segment *segment;   /* To be freed; or the one that is moved from. */
    struct log_backlog_file *file; /* To be dropped; or the one that is made. */
    struct mlog_span *spans;       /* To be moved. */
    struct log_move move;
    uint64_t changes; /* Of the log, when it began. */
    int rc;
};

static void job_start(struct job *j, void (*run)(struct io_work *), void (*done)(struct io_work *))
{
    j->log->is_tidying = true;
    j->work.run = run;
    j->work.done = done;
    io_work(j->log->loop, &j->work);
}

static void job_end(struct job *j)
{
    struct log *l = j->log;
    mem_free(j->spans);
    mem_free(j);
    l->is_tidying = false;
    log_backlog_count(l);
    log_figures_update(l);
    log_tidy(l);
    log_stop_try(l);
}

static struct job *job_new(struct log *l)
{
    struct job *j = mem_zalloc(sizeof *j);
    if (j == NULL) return NULL;
    j->log = l;
    j->changes = l->tidy_changes;
    return j;
}

/* ---- Free ---- */

static void free_run(struct io_work *work)
{
    struct job *j = LIST_ENTRY(work, struct job, work);
    char path[LOG_PATH_SIZE];
    log_segment_path(j->log, j->segment->core.number, path);
    log_segment_free(
        j->segment); /* Giving back large files takes long: not on the writer's loop. */
    j->rc = io_unlink(j->log->io, path);
    if (j->rc == 0) j->rc = log_dir_sync(j->log);
}

static void unlink_done(struct io_work *work)
{
    struct job *j = LIST_ENTRY(work, struct job, work);
    if (j->rc != 0) log_fail(j->log);
    j->log->tidy_changes++;
    job_end(j);
}

static bool free_oldest(struct log *l)
{
    struct mlog_segment *oldest = mlog_space_freeable(&l->space);
    if (oldest == NULL || !log_segment_of(oldest)->is_synced) return false;
    struct mlog_segment *next = LIST_ENTRY(oldest->node.next, struct mlog_segment, node);
    if (!log_segment_of(next)->is_durable) return false;
    struct job *j = job_new(l);
    if (j == NULL) return false;
    mlog_segment_remove(&l->space, oldest);
    mlog_partition_sweep(&l->space);
    j->segment = log_segment_of(oldest);
    job_start(j, free_run, unlink_done);
    return true;
}

/* ---- Drop ---- */

static void drop_run(struct io_work *work)
{
    struct job *j = LIST_ENTRY(work, struct job, work);
    char path[LOG_PATH_SIZE];
    log_backlog_path(j->log, j->file->gpid, j->file->number, path);
    j->rc = io_unlink(j->log->io, path);
    if (j->rc == 0) j->rc = log_backlog_dir_sync(j->log);
    mem_free(j->file);
}

static bool drop_next(struct log *l)
{
    LIST_EACH (it, &l->dropped) {
        struct log_backlog_file *file = LIST_ENTRY(it, struct log_backlog_file, node);
        if (file->readers > 0) continue;
        struct job *j = job_new(l);
        if (j == NULL) return false;
        list_remove(it);
        l->backlog_size -= file->size;
        j->file = file;
        job_start(j, drop_run, unlink_done);
        return true;
    }
    return false;
}

/* ---- Move ---- */

static void move_run(struct io_work *work)
{
    struct job *j = LIST_ENTRY(work, struct job, work);
    j->rc = log_backlog_make(j->log, &j->move, j->file);
}

static struct mlog_share *share_find(struct mlog_segment *segment, struct gpid gpid)
{
    for (uint32_t i = 0; i < segment->share_count; i++)
        if (gpid_equal(segment->shares[i].partition->gpid, gpid)) return &segment->shares[i];
    return NULL;
}

static void move_done(struct io_work *work)
{
    struct job *j = LIST_ENTRY(work, struct job, work);
    struct log *l = j->log;
    j->segment->core.pins--;
    if (j->rc == 0 || j->rc == E_NOTFOUND)
        share_find(&j->segment->core, j->file->gpid)->is_moved = true;
    if (j->rc == 0) {
        MARK("records moved to backlog");
        l->backlog_size += j->file->size;
        log_backlog_push(l, j->file);
    } else {
        mem_free(j->file);
    }
    if (j->rc == E_BUSY) l->tidy_blocked_at = j->changes;
    if (j->rc == E_IO) log_fail(l);
    job_end(j);
}

/* The spans of the partition in this segment, copied for the pool. The file stands for all serials up to
 * the next span, which may have replaced some of them. */
static int spans_copy(struct job *j, const struct mlog_partition *p)
{
    const struct mlog_index *index = &p->index;
    const struct mlog_span *spans = index->spans + index->first;
    j->spans = mem_alloc((index->count + 1) * sizeof *j->spans);
    if (j->spans == NULL) return E_NOMEM;
    for (size_t i = 0; i < index->count; i++) {
        if (spans[i].segment != j->segment->core.number) continue;
        j->spans[j->move.span_count++] = spans[i];
        j->file->serial = i + 1 < index->count ? spans[i + 1].serial - 1 : spans[i].serial_last;
    }
    j->move.spans = j->spans;
    return 0;
}

static void move_fill(struct log_move *move, struct mlog_segment *segment,
                      const struct mlog_share *share)
{
    move->from = log_segment_of(segment)->file;
    move->all = (struct mlog_span){
        .limit = UINT64_MAX,
        .serial = share->serial,
        .serial_last = share->serial_last,
        .segment = segment->number,
        .end = segment->end,
    };
    move->decree_last = share->decree_last;
    move->decree_max = share->decree_max;
    move->above = share->partition->confirmed;
    move->is_kept = mlog_partition_is_kept(share->partition);
    move->is_all = move->is_kept && !mlog_share_is_indexed(share);
}

/* The backlog is full: the replica with the most of it has to give up a shipper. */
static void ask_for_room(struct log *l, const struct mlog_partition *mover, uint64_t size)
{
    struct log_owner *largest = NULL;
    uint64_t largest_size = 0;
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(&l->space, p)) != NULL) {
        struct log_owner *owner = p->owner;
        if (owner == NULL || owner->hold == NULL || mlog_partition_is_kept(p)) continue;
        uint64_t owned = owner->backlog_size + (p == mover ? size : 0);
        if (owned <= largest_size) continue;
        largest = owner;
        largest_size = owned;
    }
    if (largest == NULL || largest->is_over_asked) return;
    MARK("backlog over budget");
    largest->is_over_asked = true;
    log_hold_notify(largest->hold, LOG_NOTICE_OVER);
}

/* Bytes of a backlog file with so many bytes of records: each block, and the head, adds its own. */
static uint64_t file_size_max(uint64_t records_size)
{
    uint64_t blocks = 2 + records_size / (LOG_BACKLOG_BODY_SIZE / 2);
    return records_size + blocks * 2 * MLOG_ALIGN;
}

/* The budget is for shippers. What a kept partition has is all there is of acknowledged writes, and does
 * not grow: it is outside of it. */
static bool has_budget(const struct log *l, const struct mlog_partition *p, uint64_t size)
{
    if (mlog_partition_is_kept(p)) return true;
    return l->backlog_size - l->kept_size + size <= l->options.backlog_size_max;
}

static bool move_share(struct log *l, struct mlog_segment *segment, struct mlog_share *share)
{
    const struct mlog_partition *p = share->partition;
    uint64_t size = file_size_max(share->size);
    if (!has_budget(l, p, size)) {
        ask_for_room(l, p, size);
        return false;
    }
    struct job *j = job_new(l);
    if (j == NULL) return false;
    j->segment = log_segment_of(segment);
    j->file = mem_zalloc(sizeof *j->file);
    if (j->file == NULL || spans_copy(j, p) != 0) {
        mem_free(j->file);
        mem_free(j);
        return false;
    }
    move_fill(&j->move, segment, share);
    j->file->gpid = p->gpid;
    j->file->number = segment->number;
    segment->pins++;
    job_start(j, move_run, move_done);
    return true;
}

static void move_oldest(struct log *l)
{
    struct mlog_segment *oldest = mlog_space_movable(&l->space, l->options.ship_size);
    if (oldest == NULL || !log_segment_of(oldest)->is_synced) return;
    for (uint32_t i = 0; i < oldest->share_count; i++) {
        if (mlog_share_need(&oldest->shares[i]) != MLOG_NEED_SHIPPERS) continue;
        (void)move_share(l, oldest, &oldest->shares[i]);
        return;
    }
}

void log_tidy(struct log *l)
{
    if (l->is_tidying || l->is_failed || l->stop != NULL || l->loop == NULL) return;
    if (free_oldest(l) || drop_next(l) || l->tidy_blocked_at == l->tidy_changes) return;
    move_oldest(l);
}

/* ---- Syncing what was rotated, under LOG_SYNC_OS ---- */

struct sync_job {
    struct io_work work;
    struct log *log;
    struct log_segment *segment; /* Rotated: nobody else syncs it. */
    int rc;
};

static void sync_run(struct io_work *work)
{
    struct sync_job *j = LIST_ENTRY(work, struct sync_job, work);
    j->rc = io_file_sync(j->segment->file);
    if (j->rc == 0) j->rc = log_dir_sync(j->log);
}

static void sync_done(struct io_work *work)
{
    struct sync_job *j = LIST_ENTRY(work, struct sync_job, work);
    struct log *l = j->log;
    l->is_syncing = false;
    if (j->rc == 0) {
        j->segment->is_synced = j->segment->is_durable = true;
        l->writer.synced = (struct mlog_pos){j->segment->core.number, j->segment->core.end};
    } else {
        log_fail(l);
    }
    j->segment->core.pins--;
    mem_free(j);
    log_sync_rotated(l);
    log_write_pending(l);
    log_tidy(l);
    log_stop_try(l);
}

/* The oldest segment that is written no more and was not synced. */
static struct log_segment *unsynced_find(struct log *l)
{
    struct log_segment *oldest = NULL;
    struct list_node *it = l->space.segments.prev->prev; /* They are few, and next to the newest. */
    for (; it != &l->space.segments; it = it->prev) {
        struct log_segment *segment = log_segment_of(LIST_ENTRY(it, struct mlog_segment, node));
        if (segment->is_synced) break;
        oldest = segment;
    }
    return oldest;
}

void log_sync_rotated(struct log *l)
{
    if (l->is_syncing || l->is_failed) return;
    struct log_segment *segment = unsynced_find(l);
    if (segment == NULL) return;
    struct sync_job *j = mem_zalloc(sizeof *j);
    if (j == NULL) return; /* The next group tries again. */
    *j = (struct sync_job){.log = l, .segment = segment};
    segment->core.pins++;
    l->is_syncing = true;
    atomic_fetch_add(&l->figures.syncs, 1);
    j->work.run = sync_run;
    j->work.done = sync_done;
    io_work(l->loop, &j->work);
}
