/* src/log/write.c: batches become a group, and a group becomes durable.
 *
 *     gather --> rotate? --> admit, stage --> encode --> save (write, sync) --> note --> end
 *     batches    segment     memory           blocks     once for all           index    on_done
 *
 * Nothing that the log knows changes before the group is saved, so a group that failed was never
 * there: what was written of it is cut off again, durably, before anybody is told (E_NOSPACE). When
 * that is not possible, or a write or a sync failed otherwise, the disk is lost: log_fail().
 * Source: docs/mutation-log.md, rules L21 to L24 and L26. */
#include "base/array.h"
#include "log/log_impl.h"

enum { PROMPT_US = 1000 }; /* A group that took longer: the next is no visitor's. */

void log_writer_init(struct log *l)
{
    list_init(&l->writer.pending);
    atomic_init(&l->writer.is_prompt, true);
}

void log_writer_fini(struct log *l)
{
    buf_fini(&l->writer.out);
    mem_free(l->writer.staged);
}

/* Counted no further than just above 'limit'. */
static size_t batch_size(const struct log_batch *batch, size_t limit)
{
    size_t size = 0;
    for (size_t i = 0; i < batch->count && size <= limit; i++)
        size += MLOG_RECORD_HEAD_SIZE + batch->entries[i].mutation.size;
    return size;
}

/* A few pages: writing them takes less time than waking a thread. */
static bool batch_is_quick(const struct log_batch *batch)
{
    return batch_size(batch, LOG_QUICK_SIZE_MAX) <= LOG_QUICK_SIZE_MAX;
}

/* ---- Finishing: each batch hears of its end on its own loop ---- */

static void on_done_loop(struct io_post *post)
{
    struct log_batch *batch = LIST_ENTRY(post, struct log_batch, post);
    batch->on_done(batch, batch->rc);
}

/* What comes of one record is quick too, of many it is not. While more is to be written, whoever waits is
 * woken: we have no time for visits. */
static void batch_finish(struct log_batch *batch, int rc)
{
    batch->rc = rc;
    batch->post.run = on_done_loop;
    if (batch->count == 1 && list_is_empty(&batch->log->writer.pending))
        io_post_quick(batch->loop, &batch->post);
    else io_post(batch->loop, &batch->post);
}

/* A batch that leaves no trace: higher decrees of its replicas wait until it comes again. */
static void batch_refuse(struct log *l, struct log_batch *batch, int rc)
{
    for (size_t i = 0; i < batch->count && !l->is_failed; i++) {
        const struct log_entry *entry = &batch->entries[i];
        struct mlog_partition *p;
        if (mlog_partition_get(&l->space, entry->gpid, &p) != 0) {
            log_fail(l); /* The hole could not even be remembered. */
            break;
        }
        if (p->staged.refused == 0 || entry->decree < p->staged.refused)
            p->staged.refused = entry->decree;
    }
    batch_finish(batch, rc);
}

static void group_end(struct log *l, struct log_group *g, int rc)
{
    struct list_node *node;
    while ((node = list_pop_front(&g->batches)) != NULL) {
        struct log_batch *batch = LIST_ENTRY(node, struct log_batch, node);
        if (rc == 0) batch_finish(batch, 0);
        else batch_refuse(l, batch, rc);
    }
}

/* ---- Gathering ---- */

/* Take batches from those that wait until the group is large enough. */
static void group_gather(struct log *l, struct log_group *g)
{
    while (g->size < LOG_GROUP_SIZE && !list_is_empty(&l->writer.pending)) {
        struct list_node *node = list_pop_front(&l->writer.pending);
        struct log_batch *batch = LIST_ENTRY(node, struct log_batch, node);
        size_t size = batch_size(batch, LOG_BATCH_SIZE_MAX);
        if (size > LOG_BATCH_SIZE_MAX) {
            batch_refuse(l, batch, E_LIMIT);
            continue;
        }
        g->size += size;
        list_push_back(&g->batches, node);
    }
}

/* ---- Rotation ---- */

static bool must_rotate(struct log *l, const struct log_group *g)
{
    const struct mlog_segment *newest = mlog_segment_newest(&l->space);
    uint64_t end = newest->end + (uint64_t)g->size + MLOG_ALIGN;
    return newest->share_count > 0 && end > l->options.segment_size && !l->is_syncing;
}

static int rotate(struct log *l)
{
    log_segment_of(mlog_segment_newest(&l->space))->is_synced = l->options.sync == LOG_SYNC_GROUP;
    int rc = log_segment_create(l);
    if (rc == E_NOSPACE || rc == E_NOMEM) return rc;
    if (rc == 0) log_ask_flushes(l);
    else log_fail(l);
    return rc == 0 ? 0 : E_IO;
}

/* ---- Admission: all that memory can refuse is asked for here ---- */

static int staged_push(struct log_writer *w, struct mlog_partition *p,
                       const struct log_entry *entry)
{
    int rc = array_reserve(&w->staged, &w->staged_capacity, w->staged_count + 1, sizeof *w->staged);
    if (rc != 0) return rc;
    w->staged[w->staged_count++] = (struct log_staged){.partition = p, .entry = entry};
    return 0;
}

/* The first record of 'p' in this group. */
static void partition_stage(struct log *l, struct log_group *g, struct mlog_partition *p)
{
    const struct mlog_segment *newest = mlog_segment_newest(&l->space);
    p->staged.group = g->serial;
    p->staged.jumps = 0;
    p->staged.decree = p->decree;
    /* A partition that comes anew must not count from where an earlier life of it did. */
    p->staged.serial = p->serial != 0 ? p->serial : newest->number << 32;
    if (p->segment != newest) g->shares++;
}

int log_group_stage(struct log *l, struct log_group *g, struct mlog_partition *p,
                    const struct log_entry *entry)
{
    if (p->staged.group != g->serial) partition_stage(l, g, p);
    if (entry->decree != p->staged.decree + 1) p->staged.jumps++;
    size_t spans = p->staged.jumps + 1 + g->size / MLOG_SPAN_INTERVAL;
    int rc = mlog_space_reserve(&l->space, p, g->shares, spans);
    if (rc != 0) return rc;
    p->staged.decree = entry->decree;
    p->staged.refused = 0;
    return staged_push(&l->writer, p, entry);
}

static int entry_admit(struct log *l, struct log_group *g, const struct log_entry *entry)
{
    struct mlog_partition *p;
    CHECK(entry->decree > 0 && entry->mutation.size > 0);
    CHECK(entry->mutation.size <= MUTATION_SIZE_MAX);
    int rc = mlog_partition_get(&l->space, entry->gpid, &p);
    if (rc != 0) return rc;
    if (p->staged.refused != 0 && entry->decree > p->staged.refused) return E_NOSPACE;
    return log_group_stage(l, g, p, entry);
}

/* Keep in the group what can be, each batch whole or not at all. */
static void group_admit(struct log *l, struct log_group *g)
{
    struct list_node gathered;
    struct list_node *node;
    list_init(&gathered);
    list_splice_back(&gathered, &g->batches);
    l->writer.staged_count = 0;
    while ((node = list_pop_front(&gathered)) != NULL) {
        struct log_batch *batch = LIST_ENTRY(node, struct log_batch, node);
        size_t before = l->writer.staged_count;
        int rc = 0;
        for (size_t i = 0; i < batch->count && rc == 0; i++)
            rc = entry_admit(l, g, &batch->entries[i]);
        if (rc == 0) {
            list_push_back(&g->batches, node);
            continue;
        }
        l->writer.staged_count = before;
        batch_refuse(l, batch, rc);
    }
}

/* ---- Saving ---- */

int log_segment_sync(struct log *l, struct log_segment *segment)
{
    atomic_fetch_add(&l->figures.syncs, 1);
    int rc = io_file_sync(segment->file);
#ifdef MUT_resync_after_eio
    if (rc != 0) rc = io_file_sync(segment->file);
#endif
    if (rc != 0) return rc;
#ifndef MUT_no_dir_sync
    if (!segment->is_durable) rc = log_dir_sync(l);
#endif
    if (rc == 0) segment->is_durable = true;
    return rc;
}

/* The disk is full: cut off what was written, so that it never comes back. */
static int group_undo(struct log *l)
{
    struct log_segment *newest = log_segment_of(mlog_segment_newest(&l->space));
    MARK("disk full, group undone");
    atomic_fetch_add(&l->figures.syncs, 1);
    int rc = io_file_truncate(newest->file, newest->core.end);
    if (rc == 0) rc = io_file_sync(newest->file);
    newest->zeroed = newest->core.end;
    return rc;
}

/* Let the file be there before it is written: a sync that need not save a new length, nor new
 * places on the disk, is several times faster, and does not wait for what other files have in the
 * journal of the file system. One group in many pays for those behind it. */
static int group_make_room(struct log *l, size_t size)
{
    static uint8_t zeros[LOG_ZERO_SIZE]; /* Not const: it would fill the program's file. */
    struct log_segment *newest = log_segment_of(mlog_segment_newest(&l->space));
    uint32_t end = newest->core.end + (uint32_t)size;
    if (end <= newest->zeroed) return 0;
    uint32_t room = l->options.segment_size > end ? l->options.segment_size - end : 0;
    if (room > LOG_ZERO_SIZE) room = LOG_ZERO_SIZE;
    struct slice bytes = slice_of(zeros, room);
    int rc = room > 0 ? io_file_write(newest->file, end, &bytes, 1) : 0;
    if (rc == 0) newest->zeroed = end + room;
    return rc;
}

/* True while a worker's thread writes in our place: it must not wait for the disk (L26). */
static bool is_visited(const struct log *l)
{
    return l->loop != NULL && io_is_visited(l->loop);
}

/* Write and sync. Returns 0; E_NOSPACE and nothing remains; E_AGAIN: it is full, and a visitor can't
 * clean up; E_IO and the disk is lost. */
int log_group_save(struct log *l, bool is_sync)
{
    struct log_segment *newest = log_segment_of(mlog_segment_newest(&l->space));
    struct slice bytes = buf_slice(&l->writer.out);
    int rc = is_sync ? group_make_room(l, bytes.size) : 0;
    if (rc == 0) rc = io_file_write(newest->file, newest->core.end, &bytes, 1);
    if (rc == E_NOSPACE && is_visited(l)) return E_AGAIN;
    if (rc == E_NOSPACE && group_undo(l) == 0) return E_NOSPACE;
#ifdef MUT_ack_before_sync
    is_sync = is_sync && l->writer.staged_count == 0;
#endif
    if (rc == 0 && is_sync) rc = log_segment_sync(l, newest);
    if (rc == 0) return 0;
    log_fail(l);
    return E_IO;
}

/* What was saved is now part of the log. */
void log_group_note(struct log *l, const struct log_group *g, bool is_synced)
{
    struct log_writer *w = &l->writer;
    struct mlog_segment *newest = mlog_segment_newest(&l->space);
    for (size_t i = 0; i < w->staged_count; i++) {
        const struct log_staged *s = &w->staged[i];
        mlog_space_add(&l->space, s->partition, s->entry->decree, s->serial, s->place,
                       MLOG_RECORD_HEAD_SIZE + s->entry->mutation.size);
    }
    mlog_space_grow(&l->space, newest->end + (uint32_t)w->out.size);
    w->summary = g->summary;
    w->prev_offset = g->prev_offset;
    if (is_synced) w->synced = (struct mlog_pos){newest->number, newest->end};
    atomic_fetch_add(&l->figures.records, w->staged_count);
    atomic_fetch_add(&l->figures.bytes, w->out.size);
    log_figures_update(l);
}

static uint32_t bucket_of(uint64_t value)
{
    uint32_t bucket = 0;
    while (value > 1 && bucket + 1 < LOG_BUCKETS) {
        value >>= 1;
        bucket++;
    }
    return bucket;
}

/* Encode, save and note what is staged. */
static int group_commit(struct log *l, struct log_group *g)
{
    bool is_sync = l->options.sync == LOG_SYNC_GROUP;
    uint64_t began_us = io_now(l->io).wall_us;
    int rc = log_group_encode(l, g);
    if (rc == 0) rc = log_group_save(l, is_sync);
    if (rc != 0) return rc;
    log_group_note(l, g, is_sync);
    if (l->writer.out.capacity > 2 * LOG_GROUP_SIZE) buf_fini(&l->writer.out);

    uint64_t ended_us = io_now(l->io).wall_us;
    atomic_store(&l->writer.is_prompt, ended_us - began_us < PROMPT_US);
    atomic_fetch_add(&l->figures.group_records[bucket_of(l->writer.staged_count)], 1);
    if (ended_us >= began_us)
        atomic_fetch_add(&l->figures.group_us[bucket_of(ended_us - began_us)], 1);
    return 0;
}

void log_group_begin(struct log *l, struct log_group *g)
{
    *g = (struct log_group){
        .serial = ++l->writer.group_serial,
        .summary = l->writer.summary,
        .prev_offset = l->writer.prev_offset,
    };
    list_init(&g->batches);
    l->writer.staged_count = 0;
}

/* The group was not to be written now: its batches wait again, in front of what came since. */
static void group_put_off(struct log *l, struct log_group *g)
{
    list_splice_back(&g->batches, &l->writer.pending);
    list_splice_back(&l->writer.pending, &g->batches);
    l->writer.is_put_off = true;
}

static void group_write(struct log *l)
{
    struct log_group g;
    log_group_begin(l, &g);
    group_gather(l, &g);
    int rc = l->is_failed ? E_IO : 0;
    bool is_new = rc == 0 && must_rotate(l, &g);
    if (is_new) rc = rotate(l);
    if (rc == 0) group_admit(l, &g);
    if (rc == 0 && !list_is_empty(&g.batches)) rc = group_commit(l, &g);
    if (rc == E_AGAIN) group_put_off(l, &g);
    else group_end(l, &g, rc);
    log_sync_rotated(l);
    if (is_new) {
        l->tidy_changes++;
        log_tidy(l);
    }
}

/* Under LOG_SYNC_OS the disk may fall behind, but not without end: what is behind has to be copied
 * by a recovery. Then batches wait for the sync that is under way. */
static bool is_behind(const struct log *l)
{
    return l->is_syncing && mlog_segment_newest(&l->space)->end / 2 >= l->options.segment_size;
}

static bool has_one_quick(const struct log *l)
{
    const struct list_node *first = l->writer.pending.next;
    return first->next == &l->writer.pending &&
           batch_is_quick(LIST_ENTRY(first, struct log_batch, node));
}

/* A visitor writes one small batch into a segment that has room for it: anything else would keep its own
 * loop waiting for the disk (L26). */
static bool must_go_home(struct log *l)
{
    struct log_group one = {.size = LOG_QUICK_SIZE_MAX};
    if (!is_visited(l)) {
        l->writer.is_put_off = false;
        return false;
    }
    bool is_calm = !l->writer.is_put_off && !l->is_syncing && !must_rotate(l, &one);
    if (is_calm && has_one_quick(l)) return false;
    io_call_home(l->loop);
    return true;
}

void log_write_pending(struct log *l)
{
    while (!list_is_empty(&l->writer.pending) && !is_behind(l) && !must_go_home(l)) group_write(l);
}

/* A block without records: for what its summary says. Returns 0 or as log_group_save(). */
static int write_empty(struct log *l, bool is_sync)
{
    struct log_group g;
    log_group_begin(l, &g);
    int rc = log_group_encode(l, &g);
    if (rc == 0) rc = log_group_save(l, is_sync);
    if (rc == 0) log_group_note(l, &g, is_sync);
    return rc;
}

/* What the next block says of the partition; NULL: there is no room for it. */
static struct mlog_last *summary_slot(struct log_summary *s, struct gpid gpid)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (gpid_equal(s->items[i].gpid, gpid)) return &s->items[i];
    return s->count < MLOG_SUMMARY_COUNT_MAX ? &s->items[s->count++] : NULL;
}

/* Without room on the disk the next block that is written says it, before anything of a later life. */
void log_write_forgotten(struct log *l, const struct mlog_partition *p)
{
    const bool is_sync = l->options.sync == LOG_SYNC_GROUP;
    struct log_writer *w = &l->writer;
    if (p->serial == 0 || l->is_failed) return;
    struct mlog_last *slot = summary_slot(&w->summaries[w->summary], p->gpid);
    if (slot == NULL && write_empty(l, is_sync) == 0)
        slot = summary_slot(&w->summaries[w->summary], p->gpid);
    if (slot == NULL) return;
    *slot = (struct mlog_last){p->gpid, p->serial, 0};
    (void)write_empty(l, is_sync);
}

void log_write_end(struct log *l)
{
    struct log_segment *newest = log_segment_of(mlog_segment_newest(&l->space));
    if (l->is_failed || newest->core.end == 0) return;
    if (log_segment_sync(l, newest) != 0) {
        log_fail(l);
        return;
    }
    l->writer.synced = (struct mlog_pos){newest->core.number, newest->core.end};
    (void)write_empty(l, true); /* Else the end of the log is only as certain as after a crash. */
}

static void on_submitted(struct io_post *post)
{
    struct log_batch *batch = LIST_ENTRY(post, struct log_batch, post);
    list_push_back(&batch->log->writer.pending, &batch->node);
}

void log_submit(struct log *l, struct log_batch *batch)
{
    CHECK(batch->count > 0);
    batch->log = l;
    batch->post.run = on_submitted;
    bool is_prompt = l->options.sync == LOG_SYNC_OS && atomic_load(&l->writer.is_prompt);
    if (is_prompt && batch_is_quick(batch)) io_post_quick(l->loop, &batch->post);
    else io_post(l->loop, &batch->post);
}
