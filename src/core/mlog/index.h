/* src/core/mlog/index.h: where one partition's records lie in the log. Sparse, and bounded. Pure.
 *
 *     segment 7   |..PP..P.......P....|        spans of P:  {decree 1, segment 7, [2, 7)}
 *     segment 8   |....P..............|                     {decree 4, segment 7, [15, 16)}
 *                                                           {decree 5, segment 8, [4, 5)}
 *
 * A span is a stretch of one segment that is worth reading from end to end for this partition. A
 * new one begins with a new segment, when the last one began an interval ago, and when the
 * partition rewinds: writes a decree again under a newer ballot. What a rewind replaced is never
 * found again.
 * Source: docs/mutation-log.md, rule L15. */
#pragma once
#include "core/mlog/frame.h"

struct mlog_span {
    uint64_t decree;      /* Of the first record. */
    uint64_t limit;       /* Records with this decree or above were replaced by a later span. */
    uint64_t serial;      /* Of the first record... */
    uint64_t serial_last; /* ...and of the last: others in the same blocks belong to other spans. */
    uint64_t segment;
    uint32_t begin, end; /* Bytes: from the block of the first record to behind that of the last. */
};

struct mlog_index {
    struct mlog_span *spans; /* By serial. */
    size_t first, count;     /* The live ones are [first, first + count). */
    size_t capacity;
    uint64_t since; /* Serial of the first record behind the last hole; 0: no hole was met. */
};

/* An all-zero index is a valid empty one. */
void mlog_index_fini(struct mlog_index *index);

/* Make room for 'more' spans. Returns 0 or E_NOMEM. */
int mlog_index_reserve(struct mlog_index *index, size_t more) MUST_CHECK;

struct mlog_place {
    uint64_t segment;
    uint32_t begin, end; /* Of the record's block. */
};

/* Note a record that was written. When records before it were lost (its serial does not follow),
 * all that is known is forgotten: what was lost may have replaced it. Room was reserved for a span
 * if it does not follow the one before; one that follows joins the last span when an interval
 * (bytes) has not passed, or there is no room. */
void mlog_index_add(struct mlog_index *index, uint64_t decree, uint64_t serial,
                    struct mlog_place place, uint32_t interval);

/* The span to read for 'decree', with those after it that follow; *count of them. NULL: there is
 * none before or at it. */
const struct mlog_span *mlog_index_find(const struct mlog_index *index, uint64_t decree,
                                        size_t *count);

/* Forget the spans of segments up to 'segment'. */
void mlog_index_drop(struct mlog_index *index, uint64_t segment);
