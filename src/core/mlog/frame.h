/* src/core/mlog/frame.h: how the mutation log lies on disk. Pure: bytes to structs, and back.
 *
 * A file is a row of blocks. A block begins at a multiple of MLOG_ALIGN, so that no byte which was
 * synced shares a sector with one that is written later. All numbers are little-endian.
 *
 *     |<-------------------- block, padded with zeros to MLOG_ALIGN ------------------->|
 *     | head 56 | summary 24 x n | record head 40 | mutation | record head | mutation | 0 |
 *
 *     block head
 *     0   4   magic           "Pmlg"
 *     4   4   crc             CRC-32C of bytes [8, 56 + 24 n)
 *     8   8   log_id          of this log, drawn once; not 0. User data cannot forge it.
 *     16  8   segment         the number in the file's name
 *     24  4   offset          its own place in the file
 *     28  4   prev_offset     where the block before it begins; its own offset when it is the first
 *     32  4   body_size       bytes after the summary, padding excluded
 *     36  4   record_count    0 unless kind is MLOG_RECORDS
 *     40  2   kind            enum mlog_kind
 *     42  2   summary_count   n
 *     44  4   synced offset   } up to here the log was known to be durable
 *     48  8   synced segment  }           when this block was written
 *
 *     summary: who had records in the block before, and the last of each
 *     0   4   app_id     4   4   partition_index     8   8   serial     16  8   decree
 *
 *     record head
 *     0   4   crc             CRC-32C of the block's crc, bytes [4, 40) and the body
 *     4   4   body_size       1 to MUTATION_SIZE_MAX
 *     8   4   app_id     12  4   partition_index
 *     16  8   decree          greater than 0
 *     24  8   ballot
 *     32  8   serial          one more than that of the partition's record before, in this log
 *
 *     body of MLOG_HEAD, the first block of a segment: who and what is in the log before it
 *     0   4   crc             CRC-32C of the block's crc and the bytes after this
 *     4   4   segment_count   8   4   partition_count
 *     12  12  for each live segment before this one, ascending: number (8), end (4)
 *         24  for each partition with records in those, as in a summary: its last record, also
 *             when recovery found it lost
 *
 *     body of MLOG_BACKLOG, the first block of a backlog file
 *     0   4   crc             as above
 *     4   4   app_id     8   4   partition_index
 *     12  8   first decree    20  8   last decree: every one between is in the file
 *     its summary names the last record that the file stands for, also when that was replaced before
 *
 *     body of MLOG_BACKLOG_ALL, the same for a file that has every record that could be read, replaced
 *     ones too, and may have holes: as above, but the decrees are the lowest and the highest
 *
 * The record's checksum starts from its block's, so a record that strayed from another block is
 * bad.
 * Source: docs/mutation-log.md, rules L1 to L6. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "wire/mutation.h"
#include "wire/thrift.h"

enum {
    MLOG_ALIGN = 512, /* Bytes: what a disk writes whole. */
    MLOG_BLOCK_HEAD_SIZE = 56,
    MLOG_SUMMARY_SIZE = 24,
    MLOG_SUMMARY_COUNT_MAX = 1024, /* So a head and its summary stay within 25 KiB. */
    MLOG_FRONT_SIZE_MAX = MLOG_BLOCK_HEAD_SIZE + MLOG_SUMMARY_COUNT_MAX * MLOG_SUMMARY_SIZE,
    MLOG_RECORD_HEAD_SIZE = 40,
    MLOG_TABLE_HEAD_SIZE = 12,
    MLOG_TABLE_SEGMENT_SIZE = 12,
    MLOG_RANGE_SIZE = 28,
    MLOG_BODY_SIZE_MAX = 24 << 20, /* Bytes: one largest record, or many up to the target below. */
    MLOG_BODY_SIZE_TARGET = 1 << 20, /* A writer begins a new block after this many bytes. */
};

/* Decrees, serials and numbers of segments stay below these, so that counting on never wraps. What
 * lies on disk and is larger is not ours. */
#define MLOG_COUNT_MAX   (UINT64_MAX / 2)
#define MLOG_SEGMENT_MAX (UINT64_C(1) << 30)

enum mlog_kind {
    MLOG_RECORDS = 1,
    MLOG_HEAD = 2,
    MLOG_BACKLOG = 3,
    MLOG_BACKLOG_ALL = 4,
};

/* A place in the log: where a block begins, or where the last one ends. */
struct mlog_pos {
    uint64_t segment;
    uint32_t offset;
};

static inline int mlog_pos_compare(struct mlog_pos a, struct mlog_pos b)
{
    if (a.segment != b.segment) return a.segment < b.segment ? -1 : 1;
    return (a.offset > b.offset) - (a.offset < b.offset);
}

/* The last record of a partition, as summaries and tables name it. */
struct mlog_last {
    struct gpid gpid;
    uint64_t serial;
    uint64_t decree; /* 0: the partition was forgotten here (L27). */
};

struct mlog_block {
    uint64_t log_id;
    struct mlog_pos at;
    uint32_t prev_offset;
    enum mlog_kind kind;
    uint32_t body_size;
    uint32_t record_count;
    uint32_t summary_count;
    struct mlog_pos synced;
    uint32_t crc;         /* Filled by reading and by finishing. */
    struct slice summary; /* Borrowed; mlog_last_read() takes entries from it. */
};

struct mlog_record {
    struct gpid gpid;
    uint64_t decree;
    uint64_t ballot;
    uint64_t serial;
    uint32_t block_offset; /* Where its block begins. Filled by reading. */
    struct slice body;     /* Borrowed. */
};

/* Bytes of the whole block in the file. */
static inline uint64_t mlog_block_size(const struct mlog_block *b)
{
    uint64_t size = MLOG_BLOCK_HEAD_SIZE + (uint64_t)b->summary_count * MLOG_SUMMARY_SIZE +
                    (uint64_t)b->body_size;
    return (size + MLOG_ALIGN - 1) / MLOG_ALIGN * MLOG_ALIGN;
}

/* ---- Reading ---- */

/* Read the head and the summary at the front of 'in', of which at least MLOG_FRONT_SIZE_MAX bytes
 * or all there are must be given.
 * Returns 0; E_SHORT: 'in' ends inside; E_CORRUPT. On failure 'out' is untouched. */
int mlog_block_read(struct slice in, struct mlog_block *out) MUST_CHECK;

/* Take the entry at the front of 'entries' (a summary, or the partitions of a table, whose sizes
 * are multiples of MLOG_SUMMARY_SIZE). False at the end. */
bool mlog_last_read(struct slice *entries, struct mlog_last *out);

/* Read the record at the front of 'body', which is the rest of the block's body, and advance
 * 'body'. Returns 0, or leaves both as they were: E_SHORT, E_CORRUPT. */
int mlog_record_read(const struct mlog_block *block, struct slice *body,
                     struct mlog_record *out) MUST_CHECK;

struct mlog_table {
    struct slice segments;   /* Borrowed; mlog_segment_end_read() takes entries from it. */
    struct slice partitions; /* Borrowed; mlog_last_read() takes entries from it. */
};

/* Read the body of an MLOG_HEAD block. Returns 0 or E_CORRUPT. */
int mlog_table_read(const struct mlog_block *block, struct slice body,
                    struct mlog_table *out) MUST_CHECK;

/* Take the entry at the front of the table's 'segments': the end of a live segment. */
bool mlog_segment_end_read(struct slice *segments, struct mlog_pos *out);

struct mlog_range {
    struct gpid gpid;
    uint64_t first, last; /* Decrees, both included. */
};

/* Read the body of an MLOG_BACKLOG or MLOG_BACKLOG_ALL block. Returns 0 or E_CORRUPT. */
int mlog_range_read(const struct mlog_block *block, struct slice body,
                    struct mlog_range *out) MUST_CHECK;

/* ---- Writing: begin, add, finish; memory is asked for once, with buf_status() at the end. ---- */

/* Begin a block at the end of 'to'. Returns its offset in 'to', for mlog_block_finish(). */
size_t mlog_block_begin(struct buf *to);

/* Between begin and the first record: one entry of the summary. At most MLOG_SUMMARY_COUNT_MAX. */
void mlog_last_write(struct buf *to, const struct mlog_last *last);

void mlog_record_write(struct buf *to, const struct mlog_record *record);
void mlog_table_write(struct buf *to, const struct mlog_pos *ends, uint32_t end_count,
                      const struct mlog_last *partitions, uint32_t partition_count);
void mlog_range_write(struct buf *to, const struct mlog_range *range);

/* Pad the block that began at 'offset', fill in its head and every checksum. The caller has set
 * everything in 'block' but body_size, crc and summary. Returns 0; E_NOMEM when an append failed.
 */
int mlog_block_finish(struct buf *to, size_t offset, struct mlog_block *block) MUST_CHECK;
