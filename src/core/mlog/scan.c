/* src/core/mlog/scan.c: expected places first, every aligned place after damage. */
#include "core/mlog/scan.h"

#include "base/check.h"

void mlog_scan_init(struct mlog_scan *s, uint64_t log_id, uint64_t segment, uint32_t end)
{
    *s = (struct mlog_scan){
        .log_id = log_id, .segment = segment, .end = end, .want = MLOG_FRONT_SIZE_MAX};
}

void mlog_scan_seek(struct mlog_scan *s, uint32_t offset)
{
    s->offset = offset;
    s->prev_offset = UINT32_MAX; /* Any will do. */
    s->is_searching = false;
}

static bool prev_is_right(const struct mlog_scan *s, const struct mlog_block *b)
{
    if (s->is_searching) return b->prev_offset >= s->damage_offset && b->at.offset > 0;
    return s->prev_offset == UINT32_MAX || b->prev_offset == s->prev_offset;
}

/* Is there a head at 's->offset' that belongs here? */
static bool head_read(const struct mlog_scan *s, struct slice window, struct mlog_block *out)
{
    struct mlog_block b;
    if (mlog_block_read(window, &b) != 0) return false;
    if (s->log_id != 0 && b.log_id != s->log_id) return false;
    if (b.at.segment != s->segment || b.at.offset != s->offset) return false;
    if ((b.at.offset == 0) != (b.kind != MLOG_RECORDS)) return false;
    if (!prev_is_right(s, &b)) return false;
    *out = b;
    return true;
}

/* The part of 'body' that is good, from its front. */
static struct slice body_check(const struct mlog_block *b, struct slice body, bool *is_whole)
{
    struct mlog_table table;
    struct mlog_range range;
    struct mlog_record record;
    struct slice rest = body;

    *is_whole = false;
    if (b->kind == MLOG_RECORDS) {
        uint32_t count = 0;
        while (count < b->record_count && mlog_record_read(b, &rest, &record) == 0) count++;
        *is_whole = count == b->record_count && rest.size == 0 && body.size == b->body_size;
        return slice_of(body.data, body.size - rest.size);
    }
    if (body.size == b->body_size)
        *is_whole = b->kind == MLOG_HEAD ? mlog_table_read(b, body, &table) == 0
                                         : mlog_range_read(b, body, &range) == 0;
    return *is_whole ? body : slice_of(NULL, 0);
}

/* The next block begins here, or nothing is known of the place. Moves past it. */
static void block_take(struct mlog_scan *s, struct slice window, struct mlog_scanned *out)
{
    const struct mlog_block *b = &out->block;
    size_t front_size = MLOG_BLOCK_HEAD_SIZE + b->summary.size;
    struct slice body = slice_skip(window, front_size);
    if (body.size > b->body_size) body.size = b->body_size;

    out->body = slice_of(NULL, 0);
    out->is_whole = true;
    if (!s->heads_only) out->body = body_check(b, body, &out->is_whole);

    uint64_t next = b->at.offset + mlog_block_size(b);
    s->log_id = b->log_id;
    s->prev_offset = b->at.offset;
    s->is_searching = false;
    s->offset = next < s->end ? (uint32_t)next : s->end;
    s->want = MLOG_FRONT_SIZE_MAX;
}

/* Look at every aligned place of the window but the first, which is known to be bad. */
static bool head_search(struct mlog_scan *s, struct slice window, struct mlog_block *out)
{
    size_t left = s->end - s->offset;
    for (;;) {
        if (left <= MLOG_ALIGN) {
            s->offset = s->end;
            return false;
        }
        if (window.size < left && window.size - MLOG_ALIGN < MLOG_FRONT_SIZE_MAX) return false;
        s->offset += MLOG_ALIGN;
        left -= MLOG_ALIGN;
        window = slice_skip(window, MLOG_ALIGN);
        if (head_read(s, window, out)) return true;
    }
}

enum mlog_found mlog_scan_next(struct mlog_scan *s, struct slice window, struct mlog_scanned *out)
{
    uint32_t left = s->end - s->offset;
    if (window.size > left) window.size = left;
    if (left == 0) return MLOG_FOUND_END;
    if (window.size < left && window.size < s->want) return MLOG_FOUND_NOTHING;

    uint32_t before = s->offset;
    if (!head_read(s, window, &out->block)) {
        if (!s->is_searching) {
            s->is_searching = true;
            s->damage_offset = s->offset;
            out->block.at = (struct mlog_pos){s->segment, s->offset};
            return MLOG_FOUND_DAMAGE;
        }
        if (!head_search(s, window, &out->block)) {
            s->want = MLOG_ALIGN + MLOG_FRONT_SIZE_MAX;
            return s->offset == s->end ? MLOG_FOUND_END : MLOG_FOUND_NOTHING;
        }
        window = slice_skip(window, s->offset - before);
        left = s->end - s->offset;
    }
    uint64_t size = mlog_block_size(&out->block);
    if (!s->heads_only && window.size < left && window.size < size) {
        s->want = (size_t)size;
        return MLOG_FOUND_NOTHING;
    }
    block_take(s, window, out);
    return MLOG_FOUND_BLOCK;
}
