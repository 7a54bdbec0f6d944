/* src/core/mlog/scan.h: walks the blocks of one file, good and bad. Pure: the caller brings the
 * bytes.
 *
 *     file  | block | block | ???????????? | block | block, cut short
 *     found   BLOCK   BLOCK   DAMAGE         BLOCK   BLOCK (not whole)   END
 *
 * After damage it looks for the next block at every multiple of MLOG_ALIGN. A block found there
 * must carry the log's id, its own place, and say that the block before it began inside the damage.
 * Whether damage is a torn tail or corruption is not known here: that is replay.h.
 * Source: docs/mutation-log.md, rules L5 and L7. */
#pragma once
#include "core/mlog/frame.h"

struct mlog_scan {
    uint64_t log_id;  /* 0: not known yet, the first good block decides. */
    uint64_t segment; /* The file's number. */
    uint32_t offset;  /* Where the next block is expected. */
    uint32_t end;     /* Bytes of the file that may hold blocks. */
    bool heads_only;  /* Don't look at bodies: blocks come without, and count as whole. */
    size_t want;      /* After MLOG_FOUND_NOTHING: give at least so many bytes from 'offset' on. */

    uint32_t prev_offset; /* Where the block before 'offset' begins. */
    bool is_searching;    /* Inside damage, which began at... */
    uint32_t damage_offset;
};

enum mlog_found {
    MLOG_FOUND_NOTHING, /* The window is too small: see 'want' and 'offset'. */
    MLOG_FOUND_BLOCK,   /* A head that can be trusted. */
    MLOG_FOUND_DAMAGE,  /* No block where one is expected; found once per damaged stretch. */
    MLOG_FOUND_END,
};

struct mlog_scanned {
    struct mlog_block block; /* After DAMAGE only block.at is set: where it begins. */
    struct slice body;       /* The good records, or a whole table or range. In the window. */
    bool is_whole;           /* Nothing of the body is missing. */
};

/* Begin at 'offset', which is 0 or where a block begins whose predecessor began at 'prev_offset'.
 */
void mlog_scan_init(struct mlog_scan *s, uint64_t log_id, uint64_t segment, uint32_t end);

/* Begin in the middle, at a place where a block is known to begin. */
void mlog_scan_seek(struct mlog_scan *s, uint32_t offset);

/* Find what comes next. 'window' is the file from s->offset on: at least s->want bytes of it, or
 * all up to s->end. The offset moves past what was found. */
enum mlog_found mlog_scan_next(struct mlog_scan *s, struct slice window, struct mlog_scanned *out);
