/* tests/core/mlog/test_mlog_frame.c: blocks and records survive the way to bytes and back; nothing
 * that was cut or changed anywhere ever yields a record that was not written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "core/mlog/mlog.h"

enum { LOG_ID = 77 };

/* A head, then two blocks of records: three in the first, one in the second. */
struct fixture {
    struct buf file;
    uint32_t second, third; /* Where these blocks begin. */
};

static const struct mlog_pos ends[] = {{3, 4096}, {4, 512}};
static const struct mlog_last lasts[] = {{{1, 0}, 9, 90}, {{2, 5}, 7, 7}};

static struct mlog_record record_of(uint64_t decree, const char *text)
{
    return (struct mlog_record){
        .gpid = {1, (int32_t)(decree % 2)},
        .decree = decree,
        .ballot = 3,
        .serial = decree + 100,
        .body = slice_str(text),
    };
}

static struct mlog_block block_of(uint32_t offset, uint32_t prev_offset, enum mlog_kind kind)
{
    return (struct mlog_block){
        .log_id = LOG_ID,
        .at = {5, offset},
        .prev_offset = prev_offset,
        .kind = kind,
        .synced = {4, 512},
    };
}

static int file_write(struct fixture *f)
{
    struct mlog_block head = block_of(0, 0, MLOG_HEAD);
    size_t at = mlog_block_begin(&f->file);
    mlog_table_write(&f->file, ends, 2, lasts, 2);
    int rc = mlog_block_finish(&f->file, at, &head);
    if (rc != 0) return rc;

    f->second = (uint32_t)f->file.size;
    struct mlog_block second = block_of(f->second, 0, MLOG_RECORDS);
    second.record_count = 3;
    at = mlog_block_begin(&f->file);
    for (uint64_t i = 1; i <= 3; i++) {
        struct mlog_record record = record_of(i, "a body of some length, so that flips can hit it");
        mlog_record_write(&f->file, &record);
    }
    rc = mlog_block_finish(&f->file, at, &second);
    if (rc != 0) return rc;

    f->third = (uint32_t)f->file.size;
    struct mlog_block third = block_of(f->third, f->second, MLOG_RECORDS);
    third.record_count = 1;
    third.summary_count = 2;
    at = mlog_block_begin(&f->file);
    mlog_last_write(&f->file, &(struct mlog_last){{1, 0}, 102, 2});
    mlog_last_write(&f->file, &(struct mlog_last){{1, 1}, 103, 3});
    struct mlog_record record = record_of(4, "another");
    mlog_record_write(&f->file, &record);
    return mlog_block_finish(&f->file, at, &third);
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    *state = &f;
    return file_write(&f);
}

static int teardown(void **state)
{
    buf_fini(&((struct fixture *)*state)->file);
    return 0;
}

/* ---- Walking ---- */

struct seen {
    uint64_t blocks, damages, torn, records;
    uint64_t decrees; /* Bit i: a record with decree i. */
};

static void records_see(struct seen *seen, const struct mlog_scanned *scanned)
{
    struct slice body = scanned->body;
    struct mlog_record r;
    while (scanned->block.kind == MLOG_RECORDS &&
           mlog_record_read(&scanned->block, &body, &r) == 0) {
        assert_in_range(r.decree, 1, 4);
        assert_true(r.serial == r.decree + 100 && r.ballot == 3);
        assert_true(r.gpid.app_id == 1 && r.gpid.partition_index == (int32_t)(r.decree % 2));
        assert_true(r.decree == 4 ? slice_is(r.body, "another") : r.body.size == 47);
        seen->decrees |= UINT64_C(1) << r.decree;
        seen->records++;
    }
}

/* Scan 'file' through windows that are as small as allowed, and note what is found. */
static struct seen file_scan(struct slice file, uint64_t log_id)
{
    struct seen seen = {0};
    struct mlog_scan scan;
    struct mlog_scanned scanned;
    mlog_scan_init(&scan, log_id, 5, (uint32_t)file.size);
    for (uint64_t steps = 0;; steps++) {
        struct slice window = slice_skip(file, scan.offset);
        if (window.size > scan.want) window.size = scan.want;
        assert_true(steps < 4 + 2 * file.size / MLOG_ALIGN);
        switch (mlog_scan_next(&scan, window, &scanned)) {
        case MLOG_FOUND_END: return seen;
        case MLOG_FOUND_NOTHING: break;
        case MLOG_FOUND_DAMAGE: seen.damages++; break;
        case MLOG_FOUND_BLOCK:
            seen.blocks++;
            seen.torn += !scanned.is_whole;
            records_see(&seen, &scanned);
            break;
        }
    }
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct seen seen = file_scan(buf_slice(&f->file), 0);
    assert_int_equal(seen.blocks, 3);
    assert_int_equal(seen.records, 4);
    assert_int_equal(seen.damages + seen.torn, 0);
    assert_int_equal(f->file.size % MLOG_ALIGN, 0);
}

static void test_head_and_summary_round_trip(void **state)
{
    struct fixture *f = *state;
    struct mlog_block block;
    assert_int_equal(mlog_block_read(buf_slice(&f->file), &block), 0);
    assert_true(block.kind == MLOG_HEAD && block.log_id == LOG_ID);
    assert_true(block.synced.segment == 4 && block.synced.offset == 512);
    struct mlog_table table;
    struct slice body = slice_of(f->file.data + MLOG_BLOCK_HEAD_SIZE, block.body_size);
    assert_int_equal(mlog_table_read(&block, body, &table), 0);
    struct mlog_pos end;
    for (size_t i = 0; i < 2; i++) {
        assert_true(mlog_segment_end_read(&table.segments, &end));
        assert_int_equal(mlog_pos_compare(end, ends[i]), 0);
    }
    assert_false(mlog_segment_end_read(&table.segments, &end));
    struct mlog_last last;
    for (size_t i = 0; i < 2; i++) {
        assert_true(mlog_last_read(&table.partitions, &last));
        assert_true(gpid_equal(last.gpid, lasts[i].gpid));
        assert_true(last.serial == lasts[i].serial && last.decree == lasts[i].decree);
    }
    assert_false(mlog_last_read(&table.partitions, &last));

    struct slice rest = slice_skip(buf_slice(&f->file), f->third);
    assert_int_equal(mlog_block_read(rest, &block), 0);
    assert_true(mlog_last_read(&block.summary, &last) && last.serial == 102);
    assert_true(mlog_last_read(&block.summary, &last) && last.serial == 103);
}

/* Cut anywhere: what comes out was written, up to the cut. */
static void test_every_truncation(void **state)
{
    struct fixture *f = *state;
    for (size_t size = 0; size < f->file.size; size++) {
        uint8_t *copy = malloc(size + 1); /* So that the sanitizer sees a step too far. */
        memcpy(copy, f->file.data, size);
        struct seen seen = file_scan(slice_of(copy, size), LOG_ID);
        free(copy);
        assert_true((seen.decrees & (seen.decrees + 2)) == 0); /* 1, 2, 3... without a hole. */
        if (size < f->third) assert_true(seen.records <= 3);
    }
}

/* Any bit flips: no record that was not written, and what lies in other blocks is still found. */
static void test_every_bit_flip(void **state)
{
    struct fixture *f = *state;
    uint64_t noticed = 0;
    for (size_t bit = 0; bit < f->file.size * 8; bit++) {
        f->file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct seen seen = file_scan(buf_slice(&f->file), LOG_ID);
        f->file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (bit / 8 < f->second) assert_int_equal(seen.records, 4);
        else if (bit / 8 < f->third) assert_true(seen.decrees & 1u << 4);
        else assert_true((seen.decrees & 14) == 14);
        noticed += seen.damages + seen.torn > 0;
    }
    assert_true(noticed > 8 * 500); /* All but the padding. */
}

/* A block is only believed in its own place, segment and log. */
static void test_strayed_blocks(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_scan(buf_slice(&f->file), LOG_ID + 1).records, 0);

    struct buf other = {0};
    buf_append_slice(&other, buf_slice(&f->file));
    memcpy(other.data + f->third, other.data + f->second, MLOG_ALIGN);
    assert_int_equal(file_scan(buf_slice(&other), LOG_ID).records, 3);

    struct mlog_scan scan;
    struct mlog_scanned scanned;
    mlog_scan_init(&scan, LOG_ID, 6, (uint32_t)f->file.size);
    assert_int_equal(mlog_scan_next(&scan, buf_slice(&f->file), &scanned), MLOG_FOUND_DAMAGE);
    assert_int_equal(mlog_scan_next(&scan, buf_slice(&f->file), &scanned), MLOG_FOUND_END);
    buf_fini(&other);
}

/* A record that is copied, whole, from one block into another is bad there. */
static void test_strayed_record(void **state)
{
    struct fixture *f = *state;
    struct mlog_block second, third;
    assert_int_equal(mlog_block_read(slice_skip(buf_slice(&f->file), f->second), &second), 0);
    assert_int_equal(mlog_block_read(slice_skip(buf_slice(&f->file), f->third), &third), 0);
    struct slice body = slice_of(f->file.data + f->second + MLOG_BLOCK_HEAD_SIZE, second.body_size);
    struct mlog_record record;
    assert_int_equal(mlog_record_read(&third, &body, &record), E_CORRUPT);
    assert_int_equal(mlog_record_read(&second, &body, &record), 0);
}

static void test_backlog_range(void **state)
{
    (void)state;
    struct buf file = {0};
    struct mlog_block head = block_of(0, 0, MLOG_BACKLOG), read;
    struct mlog_range range = {{4, 2}, 10, 20}, out;
    size_t at = mlog_block_begin(&file);
    mlog_range_write(&file, &range);
    assert_int_equal(mlog_block_finish(&file, at, &head), 0);
    assert_int_equal(mlog_block_read(buf_slice(&file), &read), 0);
    struct slice body = slice_of(file.data + MLOG_BLOCK_HEAD_SIZE, read.body_size);
    assert_int_equal(mlog_range_read(&read, body, &out), 0);
    assert_true(gpid_equal(out.gpid, range.gpid) && out.first == 10 && out.last == 20);
    file.data[MLOG_BLOCK_HEAD_SIZE + 12] ^= 1;
    assert_int_equal(mlog_range_read(&read, body, &out), E_CORRUPT);
    buf_fini(&file);
}

/* No memory at any moment: the writer says so. */
static void test_every_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct fixture f = {0};
        mem_fail_nth(nth);
        int rc = file_write(&f);
        bool has_failed = mem_has_failed();
        mem_fail_nth(0);
        buf_fini(&f.file);
        if (!has_failed) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_and_summary_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_truncation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_bit_flip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strayed_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strayed_record, setup, teardown),
        cmocka_unit_test(test_backlog_range),
        cmocka_unit_test(test_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
