/* src/core/mlog/frame.c: fields at fixed places; every length is bounded before it is used. */
#include "core/mlog/frame.h"

#include "base/check.h"
#include "base/crc.h"

#define MAGIC 0x676c6d50u /* "Pmlg" */

/* ---- Reading ---- */

static bool block_is_sane(const struct mlog_block *b)
{
    if (b->log_id == 0 || b->at.offset % MLOG_ALIGN != 0) return false;
    if (b->at.segment > MLOG_SEGMENT_MAX) return false;
    if (b->prev_offset % MLOG_ALIGN != 0) return false;
    if (b->at.offset == 0 ? b->prev_offset != 0 : b->prev_offset >= b->at.offset) return false;
    if (b->summary_count > MLOG_SUMMARY_COUNT_MAX || b->body_size > MLOG_BODY_SIZE_MAX)
        return false;
    if (b->record_count > b->body_size / MLOG_RECORD_HEAD_SIZE) return false;
    if (mlog_pos_compare(b->synced, b->at) > 0) return false;
    return b->kind == MLOG_RECORDS || b->kind == MLOG_HEAD || b->kind == MLOG_BACKLOG ||
           b->kind == MLOG_BACKLOG_ALL;
}

int mlog_block_read(struct slice in, struct mlog_block *out)
{
    if (in.size < MLOG_BLOCK_HEAD_SIZE) return E_SHORT;
    const uint8_t *p = in.data;
    if (bytes_get_le32(p) != MAGIC) return E_CORRUPT;
    struct mlog_block b = {
        .log_id = bytes_get_le64(p + 8),
        .at = {bytes_get_le64(p + 16), bytes_get_le32(p + 24)},
        .prev_offset = bytes_get_le32(p + 28),
        .body_size = bytes_get_le32(p + 32),
        .record_count = bytes_get_le32(p + 36),
        .kind = (enum mlog_kind)bytes_get_le16(p + 40),
        .summary_count = bytes_get_le16(p + 42),
        .synced = {bytes_get_le64(p + 48), bytes_get_le32(p + 44)},
        .crc = bytes_get_le32(p + 4),
    };
    if (!block_is_sane(&b)) return E_CORRUPT;
    size_t summary_size = (size_t)b.summary_count * MLOG_SUMMARY_SIZE;
    if (summary_size > in.size - MLOG_BLOCK_HEAD_SIZE) return E_SHORT;
    if (crc32c(0, p + 8, MLOG_BLOCK_HEAD_SIZE - 8 + summary_size) != b.crc) return E_CORRUPT;
    b.summary = slice_of(p + MLOG_BLOCK_HEAD_SIZE, summary_size);
    *out = b;
    return 0;
}

bool mlog_last_read(struct slice *entries, struct mlog_last *out)
{
    if (entries->size < MLOG_SUMMARY_SIZE) return false;
    const uint8_t *p = entries->data;
    out->gpid.app_id = (int32_t)bytes_get_le32(p);
    out->gpid.partition_index = (int32_t)bytes_get_le32(p + 4);
    out->serial = bytes_get_le64(p + 8);
    out->decree = bytes_get_le64(p + 16);
    *entries = slice_skip(*entries, MLOG_SUMMARY_SIZE);
    return true;
}

/* The checksum of something inside a block: its bytes, begun from the checksum of the block. */
static uint32_t crc_inside(uint32_t block_crc, const uint8_t *data, size_t size)
{
    uint8_t seed[4];
    bytes_put_le32(seed, block_crc);
    return crc32c(crc32c(0, seed, sizeof seed), data, size);
}

int mlog_record_read(const struct mlog_block *block, struct slice *body, struct mlog_record *out)
{
    if (body->size < MLOG_RECORD_HEAD_SIZE) return E_SHORT;
    const uint8_t *p = body->data;
    size_t size = bytes_get_le32(p + 4);
    if (size == 0 || size > MUTATION_SIZE_MAX) return E_CORRUPT;
    if (size > body->size - MLOG_RECORD_HEAD_SIZE) return E_SHORT;
    if (crc_inside(block->crc, p + 4, MLOG_RECORD_HEAD_SIZE - 4 + size) != bytes_get_le32(p))
        return E_CORRUPT;

    struct mlog_record r = {
        .gpid = {(int32_t)bytes_get_le32(p + 8), (int32_t)bytes_get_le32(p + 12)},
        .decree = bytes_get_le64(p + 16),
        .ballot = bytes_get_le64(p + 24),
        .serial = bytes_get_le64(p + 32),
        .block_offset = block->at.offset,
        .body = slice_of(p + MLOG_RECORD_HEAD_SIZE, size),
    };
    if (r.decree == 0 || r.decree > MLOG_COUNT_MAX) return E_CORRUPT;
    if (r.serial == 0 || r.serial > MLOG_COUNT_MAX) return E_CORRUPT;
    *out = r;
    *body = slice_skip(*body, MLOG_RECORD_HEAD_SIZE + size);
    return 0;
}

int mlog_table_read(const struct mlog_block *block, struct slice body, struct mlog_table *out)
{
    if (block->kind != MLOG_HEAD || body.size < MLOG_TABLE_HEAD_SIZE) return E_CORRUPT;
    if (crc_inside(block->crc, body.data + 4, body.size - 4) != bytes_get_le32(body.data))
        return E_CORRUPT;
    uint64_t segments_size = (uint64_t)bytes_get_le32(body.data + 4) * MLOG_TABLE_SEGMENT_SIZE;
    uint64_t partitions_size = (uint64_t)bytes_get_le32(body.data + 8) * MLOG_SUMMARY_SIZE;
    if (segments_size + partitions_size != body.size - MLOG_TABLE_HEAD_SIZE) return E_CORRUPT;
    const uint8_t *at = body.data + MLOG_TABLE_HEAD_SIZE;
    out->segments = slice_of(at, (size_t)segments_size);
    out->partitions = slice_of(at + segments_size, (size_t)partitions_size);
    return 0;
}

bool mlog_segment_end_read(struct slice *segments, struct mlog_pos *out)
{
    if (segments->size < MLOG_TABLE_SEGMENT_SIZE) return false;
    out->segment = bytes_get_le64(segments->data);
    out->offset = bytes_get_le32(segments->data + 8);
    *segments = slice_skip(*segments, MLOG_TABLE_SEGMENT_SIZE);
    return true;
}

int mlog_range_read(const struct mlog_block *block, struct slice body, struct mlog_range *out)
{
    bool is_backlog = block->kind == MLOG_BACKLOG || block->kind == MLOG_BACKLOG_ALL;
    if (!is_backlog || body.size != MLOG_RANGE_SIZE) return E_CORRUPT;
    const uint8_t *p = body.data;
    if (crc_inside(block->crc, p + 4, body.size - 4) != bytes_get_le32(p)) return E_CORRUPT;
    struct mlog_range r = {
        .gpid = {(int32_t)bytes_get_le32(p + 4), (int32_t)bytes_get_le32(p + 8)},
        .first = bytes_get_le64(p + 12),
        .last = bytes_get_le64(p + 20),
    };
    if (r.first == 0 || r.last < r.first) return E_CORRUPT;
    *out = r;
    return 0;
}

/* ---- Writing ---- */

size_t mlog_block_begin(struct buf *to)
{
    size_t offset = to->size;
    uint8_t *head = buf_extend(to, MLOG_BLOCK_HEAD_SIZE);
    if (head != NULL) memset(head, 0, MLOG_BLOCK_HEAD_SIZE);
    return offset;
}

void mlog_last_write(struct buf *to, const struct mlog_last *last)
{
    buf_append_le32(to, (uint32_t)last->gpid.app_id);
    buf_append_le32(to, (uint32_t)last->gpid.partition_index);
    buf_append_le64(to, last->serial);
    buf_append_le64(to, last->decree);
}

void mlog_record_write(struct buf *to, const struct mlog_record *record)
{
    CHECK(record->body.size > 0 && record->body.size <= MUTATION_SIZE_MAX);
    CHECK(record->decree > 0 && record->decree <= MLOG_COUNT_MAX);
    CHECK(record->serial > 0 && record->serial <= MLOG_COUNT_MAX);
    uint8_t *p = buf_extend(to, MLOG_RECORD_HEAD_SIZE + record->body.size);
    if (p == NULL) return;
    bytes_put_le32(p, 0);
    bytes_put_le32(p + 4, (uint32_t)record->body.size);
    bytes_put_le32(p + 8, (uint32_t)record->gpid.app_id);
    bytes_put_le32(p + 12, (uint32_t)record->gpid.partition_index);
    bytes_put_le64(p + 16, record->decree);
    bytes_put_le64(p + 24, record->ballot);
    bytes_put_le64(p + 32, record->serial);
    memcpy(p + MLOG_RECORD_HEAD_SIZE, record->body.data, record->body.size);
}

void mlog_table_write(struct buf *to, const struct mlog_pos *ends, uint32_t end_count,
                      const struct mlog_last *partitions, uint32_t partition_count)
{
    buf_append_le32(to, 0);
    buf_append_le32(to, end_count);
    buf_append_le32(to, partition_count);
    for (uint32_t i = 0; i < end_count; i++) {
        buf_append_le64(to, ends[i].segment);
        buf_append_le32(to, ends[i].offset);
    }
    for (uint32_t i = 0; i < partition_count; i++) mlog_last_write(to, &partitions[i]);
}

void mlog_range_write(struct buf *to, const struct mlog_range *range)
{
    buf_append_le32(to, 0);
    buf_append_le32(to, (uint32_t)range->gpid.app_id);
    buf_append_le32(to, (uint32_t)range->gpid.partition_index);
    buf_append_le64(to, range->first);
    buf_append_le64(to, range->last);
}

static void head_fill(uint8_t *p, struct mlog_block *b)
{
    bytes_put_le32(p, MAGIC);
    bytes_put_le64(p + 8, b->log_id);
    bytes_put_le64(p + 16, b->at.segment);
    bytes_put_le32(p + 24, b->at.offset);
    bytes_put_le32(p + 28, b->prev_offset);
    bytes_put_le32(p + 32, b->body_size);
    bytes_put_le32(p + 36, b->record_count);
    bytes_put_le16(p + 40, (uint16_t)b->kind);
    bytes_put_le16(p + 42, (uint16_t)b->summary_count);
    bytes_put_le32(p + 44, b->synced.offset);
    bytes_put_le64(p + 48, b->synced.segment);
    size_t summary_size = (size_t)b->summary_count * MLOG_SUMMARY_SIZE;
    b->crc = crc32c(0, p + 8, MLOG_BLOCK_HEAD_SIZE - 8 + summary_size);
    bytes_put_le32(p + 4, b->crc);
}

/* Fill the checksums of the body, which depend on the block's. */
static void body_fill(const struct mlog_block *b, uint8_t *p, size_t size)
{
    if (b->kind != MLOG_RECORDS) {
        bytes_put_le32(p, crc_inside(b->crc, p + 4, size - 4));
        return;
    }
    for (uint32_t i = 0; i < b->record_count; i++) {
        size_t record_size = MLOG_RECORD_HEAD_SIZE + (size_t)bytes_get_le32(p + 4);
        CHECK(record_size <= size);
        bytes_put_le32(p, crc_inside(b->crc, p + 4, record_size - 4));
        p += record_size;
        size -= record_size;
    }
    CHECK(size == 0);
}

int mlog_block_finish(struct buf *to, size_t offset, struct mlog_block *block)
{
    if (to->failed) return E_NOMEM;
    size_t front_size = MLOG_BLOCK_HEAD_SIZE + (size_t)block->summary_count * MLOG_SUMMARY_SIZE;
    CHECK(to->size >= offset + front_size);
    size_t body_size = to->size - offset - front_size;
    CHECK(body_size <= MLOG_BODY_SIZE_MAX);
    block->body_size = (uint32_t)body_size;
    CHECK(block_is_sane(block));

    size_t padding = (size_t)mlog_block_size(block) - front_size - body_size;
    uint8_t *zeros = buf_extend(to, padding);
    if (zeros == NULL) return E_NOMEM;
    memset(zeros, 0, padding);

    uint8_t *at = to->data + offset;
    head_fill(at, block);
    body_fill(block, at + front_size, body_size);
    block->summary = slice_of(at + MLOG_BLOCK_HEAD_SIZE, front_size - MLOG_BLOCK_HEAD_SIZE);
    return 0;
}
