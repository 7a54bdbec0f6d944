/* src/log/tail.c: recovery writes the end of the log once more.
 *
 *     old segments  | ... synced ... S ... found, but perhaps only in the page cache ... |
 *     new segment   | head | copies of the blocks behind S |
 *
 * A process that died may have written what it never synced, or what it failed to sync: then the
 * bytes can be read, and a sync reports success without having saved them. So what lies behind the
 * last place that is known to be durable is copied into new blocks, which no sync has failed for.
 * The head comes last: until it is durable the new segment does not count, and the old ones are as
 * they were.
 * Source: docs/mutation-log.md, rule L12. */
#include "base/array.h"
#include "log/log_impl.h"

int log_tail_begin(struct log_tail *t, struct log *l)
{
    t->log = l;
    int rc = log_segment_create(l);
    if (rc != 0) return rc;
    t->is_begun = true;
    rc = log_head_collect(l, true, &t->head);
    if (rc != 0) return rc;
    buf_clear(&l->writer.out);
    rc = log_head_encode(l, &t->head, &t->head_size); /* For its size. */
    if (rc == 0) mlog_space_grow(&l->space, t->head_size);
    return rc;
}

static int tail_grow(struct log_tail *t)
{
    if (t->count < t->capacity) return 0;
    const size_t wanted = t->count + 1;
    size_t entries = t->capacity, partitions = t->capacity, serials = t->capacity;
    int rc = array_reserve(&t->entries, &entries, wanted, sizeof *t->entries);
    if (rc == 0)
        rc = array_reserve(&t->partitions, &partitions, wanted, sizeof(struct mlog_partition *));
    if (rc == 0) rc = array_reserve(&t->serials, &serials, wanted, sizeof *t->serials);
    if (rc == 0) t->capacity = entries;
    return rc;
}

int log_tail_push(struct log_tail *t, struct mlog_partition *p, const struct mlog_record *record)
{
    int rc = tail_grow(t);
    if (rc != 0) return rc;
    t->partitions[t->count] = p;
    t->serials[t->count] = record->serial;
    t->entries[t->count++] = (struct log_entry){
        .gpid = record->gpid,
        .decree = record->decree,
        .ballot = record->ballot,
        .mutation = record->body,
    };
    return 0;
}

int log_tail_block(struct log_tail *t)
{
    struct log *l = t->log;
    struct log_group g;
    int rc = 0;
    if (t->count == 0) return 0;
    log_group_begin(l, &g);
    for (size_t i = 0; i < t->count && rc == 0; i++) {
        struct mlog_partition *p = t->partitions[i];
        bool is_first = p->staged.group != g.serial;
        rc = log_group_stage(l, &g, p, &t->entries[i]);
        if (is_first) p->staged.serial = t->serials[i] - 1; /* It keeps the serials that it has. */
    }
    t->count = 0;
    if (rc == 0) rc = log_group_encode(l, &g);
    if (rc == 0) rc = log_group_save(l, false);
    if (rc == 0) log_group_note(l, &g, false);
    return rc;
}

/* Who is in doubt now was not when the table was made. */
static void doubts_note(struct log_tail *t)
{
    for (uint32_t i = 0; i < t->head.last_count; i++) {
        struct mlog_last *last = &t->head.lasts[i];
        const struct mlog_partition *p = mlog_partition_find(&t->log->space, last->gpid);
        if (p->replay.is_doubted) *last = (struct mlog_last){p->gpid, p->serial, p->decree};
    }
}

int log_tail_end(struct log_tail *t)
{
    struct log *l = t->log;
    struct log_segment *newest = log_segment_of(mlog_segment_newest(&l->space));
    struct buf *out = &l->writer.out;
    int rc = 0;
    if (newest->core.end > t->head_size) rc = io_file_sync(newest->file);
    if (rc != 0) return rc;

    doubts_note(t);
    buf_clear(out);
    rc = log_head_encode(l, &t->head, &t->head_size);
    if (rc != 0) return rc;
    struct slice bytes = buf_slice(out);
    rc = io_file_write(newest->file, 0, &bytes, 1);
    if (rc == 0) rc = log_segment_sync(l, newest);
    l->writer.synced = (struct mlog_pos){newest->core.number, newest->core.end};
    return rc;
}

void log_tail_fini(struct log_tail *t)
{
    log_head_fini(&t->head);
    mem_free(t->entries);
    mem_free(t->partitions);
    mem_free(t->serials);
}
