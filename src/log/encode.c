/* src/log/encode.c: what is staged becomes blocks in the writer's buffer. Nothing else changes, so
 * a group whose writing fails can be forgotten.
 *
 *     | head of a new segment | block | block |        each block says who was in the one before
 */
#include "log/log_impl.h"

static struct mlog_block block_begin(struct log *l, const struct log_group *g, size_t *offset)
{
    const struct mlog_segment *newest = mlog_segment_newest(&l->space);
    *offset = mlog_block_begin(&l->writer.out);
    return (struct mlog_block){
        .log_id = l->log_id,
        .at = {newest->number, newest->end + (uint32_t)*offset},
        .prev_offset = g->prev_offset,
        .kind = MLOG_RECORDS,
        .synced = l->writer.synced,
    };
}

/* ---- Heads ---- */

/* Does a head have to say what the last record of 'p' was? Also of one that has records in no segment, as
 * long as its backlog files are all there is of them. */
static bool is_named(const struct mlog_partition *p)
{
#ifdef MUT_heads_forget_kept
    return p->share_count > 0 || p->replay.damage != NULL;
#else
    return p->share_count > 0 || p->replay.damage != NULL || mlog_partition_is_kept(p) ||
           log_backlog_is_unflushed(p);
#endif
}

int log_head_collect(struct log *l, bool is_all, struct log_head *out)
{
    struct log_head h = {0};
    h.ends = mem_alloc(l->space.segment_count * sizeof *h.ends);
    h.lasts = mem_alloc((l->space.partition_count + 1) * sizeof *h.lasts);
    if (h.ends == NULL || h.lasts == NULL) {
        log_head_fini(&h);
        return E_NOMEM;
    }
    struct mlog_segment *newest = mlog_segment_newest(&l->space);
    LIST_EACH (it, &l->space.segments) {
        const struct mlog_segment *segment = LIST_ENTRY(it, struct mlog_segment, node);
        if (segment == newest) break;
        h.ends[h.end_count++] = (struct mlog_pos){segment->number, segment->end};
    }
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(&l->space, p)) != NULL)
        if (is_all || is_named(p))
            h.lasts[h.last_count++] = (struct mlog_last){p->gpid, p->serial, p->decree};
    *out = h;
    return 0;
}

void log_head_fini(struct log_head *h)
{
    mem_free(h->ends);
    mem_free(h->lasts);
    *h = (struct log_head){0};
}

int log_head_encode(struct log *l, const struct log_head *h, uint32_t *size)
{
    struct log_writer *w = &l->writer;
    size_t offset = mlog_block_begin(&w->out);
    struct mlog_block block = {
        .log_id = l->log_id,
        .at = {mlog_segment_newest(&l->space)->number, 0},
        .kind = MLOG_HEAD,
        .synced = w->synced,
    };
    mlog_table_write(&w->out, h->ends, h->end_count, h->lasts, h->last_count);
    int rc = mlog_block_finish(&w->out, offset, &block);
    if (rc == 0) *size = (uint32_t)mlog_block_size(&block);
    return rc;
}

/* ---- Blocks of records ---- */

/* Put the record into the summary of the block that is being encoded. */
static void summary_note(struct log_writer *w, struct log_summary *s, struct mlog_partition *p,
                         uint64_t decree)
{
    if (p->staged.block != w->block_serial) {
        p->staged.block = w->block_serial;
        p->staged.slot = s->count++;
    }
    s->items[p->staged.slot] = (struct mlog_last){p->gpid, p->staged.serial, decree};
}

/* Encode one block of the staged records from 'first' on; returns the first that is not in it. */
static size_t records_encode(struct log_writer *w, struct log_summary *s, size_t first,
                             struct mlog_block *block)
{
    size_t begin = w->out.size, i = first;
    for (; i < w->staged_count; i++) {
        struct log_staged *staged = &w->staged[i];
        struct mlog_partition *p = staged->partition;
        size_t size = w->out.size - begin;
        bool is_new = p->staged.block != w->block_serial;
        if (size + staged->entry->mutation.size > MLOG_BODY_SIZE_TARGET && i > first) break;
        if (is_new && s->count == MLOG_SUMMARY_COUNT_MAX) break;

        staged->serial = ++p->staged.serial;
        struct mlog_record record = {
            .gpid = p->gpid,
            .decree = staged->entry->decree,
            .ballot = staged->entry->ballot,
            .serial = staged->serial,
            .body = staged->entry->mutation,
        };
        mlog_record_write(&w->out, &record);
        summary_note(w, s, p, record.decree);
        block->record_count++;
    }
    return i;
}

/* Of the writer's three summaries: not the last written block's, not the last encoded one's. */
static uint32_t summary_free(const struct log_writer *w, const struct log_group *g)
{
    return g->summary == w->summary ? (w->summary + 1) % 3 : 3 - w->summary - g->summary;
}

static int block_encode(struct log *l, struct log_group *g, size_t first, size_t *next)
{
    struct log_writer *w = &l->writer;
    const struct log_summary *before = &w->summaries[g->summary];
    uint32_t index = summary_free(w, g);
    w->summaries[index].count = 0;
    w->block_serial++;

    size_t offset;
    struct mlog_block block = block_begin(l, g, &offset);
    block.summary_count = before->count;
    for (uint32_t i = 0; i < before->count; i++) mlog_last_write(&w->out, &before->items[i]);
    *next = records_encode(w, &w->summaries[index], first, &block);
    int rc = mlog_block_finish(&w->out, offset, &block);
    if (rc != 0) return rc;

    struct mlog_place place = {block.at.segment, block.at.offset,
                               block.at.offset + (uint32_t)mlog_block_size(&block)};
    for (size_t i = first; i < *next; i++) w->staged[i].place = place;
    g->summary = index;
    g->prev_offset = block.at.offset;
    return 0;
}

static int head_encode(struct log *l, struct log_group *g)
{
    struct log_head head;
    uint32_t size;
    int rc = log_head_collect(l, false, &head);
    if (rc != 0) return rc;
    rc = log_head_encode(l, &head, &size);
    log_head_fini(&head);
    g->prev_offset = 0;
    return rc;
}

int log_group_encode(struct log *l, struct log_group *g)
{
    struct log_writer *w = &l->writer;
    buf_clear(&w->out);
    int rc = 0;
    if (mlog_segment_newest(&l->space)->end == 0) rc = head_encode(l, g);
    size_t next = 0;
    do {
        if (rc == 0) rc = block_encode(l, g, next, &next);
    } while (rc == 0 && next < w->staged_count);
    return rc;
}
