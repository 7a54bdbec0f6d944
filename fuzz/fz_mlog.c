/* fuzz/fz_mlog.c: bytes as a segment or a backlog file of the mutation log.
 *
 *     byte 0      bit 0: make the checksums of blocks right again, bit 1: those of records too, so
 *                 that what lies behind them is reached
 *     bytes 8..   the file
 *
 * Scanning ends, finds the same through large and small windows, never gives a record whose
 * checksum is wrong, and replay hands each replica decrees without a hole. */
#include <stdlib.h>

#include "base/check.h"
#include "base/crc.h"
#include "core/mlog/mlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODE_SIZE = 8, PARTITIONS = 4, FILE_SIZE_MAX = 1 << 20 };

/* ---- Making checksums right ---- */

static uint32_t crc_inside(const uint8_t *block, const uint8_t *data, size_t size)
{
    return crc32c(crc32c(0, block + 4, 4), data, size);
}

static void records_mend(uint8_t *block, size_t front_size, size_t size)
{
    size_t at = front_size;
    while (size - at >= MLOG_RECORD_HEAD_SIZE) {
        size_t body_size = bytes_get_le32(block + at + 4);
        if (body_size > size - at - MLOG_RECORD_HEAD_SIZE) return;
        size_t record_size = MLOG_RECORD_HEAD_SIZE + body_size;
        bytes_put_le32(block + at, crc_inside(block, block + at + 4, record_size - 4));
        at += record_size;
    }
}

static void block_mend(uint8_t *block, size_t size, bool with_records)
{
    if (size < MLOG_BLOCK_HEAD_SIZE) return;
    size_t front_size =
        MLOG_BLOCK_HEAD_SIZE + (size_t)bytes_get_le16(block + 42) * MLOG_SUMMARY_SIZE;
    if (front_size > size) return;
    bytes_put_le32(block + 4, crc32c(0, block + 8, front_size - 8));
    size_t body_size = bytes_get_le32(block + 32);
    if (body_size > size - front_size || !with_records) return;
    if (bytes_get_le16(block + 40) == MLOG_RECORDS) {
        records_mend(block, front_size, front_size + body_size);
    } else if (body_size >= 4) {
        uint8_t *body = block + front_size;
        bytes_put_le32(body, crc_inside(block, body + 4, body_size - 4));
    }
}

/* ---- Walking ---- */

struct walk {
    struct mlog_space space;
    struct mlog_segment segment;
    struct mlog_replay replay;
    uint64_t delivered[PARTITIONS];
    uint32_t trail; /* A checksum over all that was found. */
};

static void note(struct walk *w, const void *data, size_t size)
{
    w->trail = crc32c(w->trail, data, size);
}

static void on_record(struct walk *w, const struct mlog_block *block, const struct mlog_record *r)
{
    bool is_new;
    struct mlog_partition *p = mlog_replay_record(&w->replay, r, &is_new);
    note(w, &r->serial, sizeof r->serial);
    if (p == NULL) return;
    struct mlog_place place = {block->at.segment, block->at.offset,
                               block->at.offset + (uint32_t)mlog_block_size(block)};
    CHECK(mlog_space_reserve(&w->space, p, 1, 1) == 0);
    mlog_space_add(&w->space, p, r->decree, r->serial, place, r->body.size);
    if (!is_new) return;
    uint64_t *delivered = &w->delivered[r->gpid.partition_index];
    CHECK(r->decree <= *delivered + 1);
    *delivered = r->decree;
}

static void on_block(struct walk *w, const struct mlog_scanned *found)
{
    const struct mlog_block *block = &found->block;
    struct mlog_table table;
    struct mlog_range range;
    struct mlog_record record;
    struct slice body = found->body;
    note(w, &block->at.offset, sizeof block->at.offset);
    note(w, &found->is_whole, sizeof found->is_whole);
    mlog_replay_block(&w->replay, block);
    if (block->kind == MLOG_HEAD && mlog_table_read(block, body, &table) == 0)
        mlog_replay_table(&w->replay, &table);
    if (block->kind != MLOG_HEAD && mlog_range_read(block, body, &range) == 0)
        CHECK(range.first <= range.last);
    if (block->kind != MLOG_RECORDS) return;
    uint32_t count = 0;
    while (mlog_record_read(block, &body, &record) == 0) {
        on_record(w, block, &record);
        count++;
    }
    CHECK(body.size == 0); /* All that was given was good. */
    CHECK(!found->is_whole || count == block->record_count);
}

static uint32_t file_walk(struct slice file, bool has_small_windows)
{
    struct walk w = {.segment = {.number = 5}};
    mlog_space_init(&w.space);
    mlog_replay_init(&w.replay, &w.space);
    for (int i = 0; i < PARTITIONS; i++)
        CHECK(mlog_replay_list(&w.replay, (struct gpid){1, i}, 0) == 0);
    mlog_segment_push(&w.space, &w.segment);

    struct mlog_scan scan;
    struct mlog_scanned found;
    mlog_scan_init(&scan, 0, file.size >= 24 ? bytes_get_le64(file.data + 16) : 5,
                   (uint32_t)file.size);
    for (size_t steps = 0;; steps++) {
        CHECK(steps <= 4 + 4 * (file.size / MLOG_ALIGN)); /* It ends. */
        struct slice window = slice_skip(file, scan.offset);
        if (has_small_windows && window.size > scan.want) window.size = scan.want;
        enum mlog_found what = mlog_scan_next(&scan, window, &found);
        if (what == MLOG_FOUND_END) break;
        if (what == MLOG_FOUND_BLOCK) on_block(&w, &found);
        if (what == MLOG_FOUND_DAMAGE) {
            note(&w, &found.block.at.offset, sizeof found.block.at.offset);
            if (mlog_replay_judge(&w.replay, found.block.at) == MLOG_CORRUPT)
                mlog_replay_lost(&w.replay, found.block.at);
        }
        mlog_replay_synced(&w.replay, (struct mlog_pos){scan.segment, scan.offset / 2});
    }
    mlog_replay_end(&w.replay);
    mlog_space_fini(&w.space);
    return w.trail;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < MODE_SIZE || size > FILE_SIZE_MAX) return 0;
    size_t file_size = size - MODE_SIZE;
    uint8_t *file = malloc(file_size + 1);
    CHECK(file != NULL);
    memcpy(file, data + MODE_SIZE, file_size);
    for (size_t at = 0; at < file_size && (data[0] & 1) != 0; at += MLOG_ALIGN)
        block_mend(file + at, file_size - at, (data[0] & 2) != 0);
    uint32_t trail = file_walk(slice_of(file, file_size), false);
    CHECK(file_walk(slice_of(file, file_size), true) == trail);
    free(file);
    return 0;
}
