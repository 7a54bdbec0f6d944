/* src/core/mlog/space.h: which partition has records in which segment, and who needs them. Pure.
 *
 *     segments, oldest first      5        6        7        8 (written to)
 *     partition 1.0              [1..9]            [10..30]
 *     partition 1.1                       [1..4]   [5..6]    [7..8]
 *
 * A record is needed by its store while its decree is above 'durable', and by shippers while it is
 * above 'confirmed'. Only the oldest segment is ever freed, so the live ones are a run of numbers
 * without a hole. What the oldest is kept for decides what is done about it:
 *
 *     MLOG_NEED_NOTHING    free it
 *     MLOG_NEED_SHIPPERS   past a budget: move those records to backlog files, then free it
 *     MLOG_NEED_STORES     past a budget: ask those stores to flush
 *
 * A partition is *kept* while its store takes no records (it can't be opened, or has failed): all above
 * 'confirmed' stays for its next life, and is moved as a shipper's would be.
 *
 * Source: docs/mutation-log.md, rules L16 to L20 and L25. */
#pragma once
#include "base/list.h"
#include "core/mlog/index.h"

#define MLOG_NEVER UINT64_MAX /* 'confirmed' without a shipper; 'durable' of what nobody wants. */

enum {
    MLOG_SPAN_INTERVAL = 64 << 10, /* Bytes; grows with the count of partitions. */
    MLOG_SEGMENT_BUCKETS = 256,    /* A dead remote may keep thousands of segments. */
};

struct mlog_segment;

struct mlog_partition {
    struct gpid gpid;
    struct mlog_partition *next; /* In its bucket. */
    struct list_node node;       /* Of all, in the order of their coming. */

    uint64_t serial, decree; /* Of its last record in the log; 0: none yet. */
    uint64_t durable;        /* Needed by its store above this... */
    uint64_t confirmed;      /* ...and by its shippers above this. */
    struct mlog_index index;
    struct mlog_segment *segment; /* The newest with records of it... */
    uint32_t share;               /* ...and which share there is its own. */
    uint32_t share_count;         /* Segments with records of it. */

    /* For replay.h only. */
    struct {
        uint64_t durable;   /* Replay above this. */
        uint64_t delivered; /* Replayed up to this. */
        uint64_t cleared;   /* Of the first so many losses it is known that none was its own. */
        const char *damage; /* NULL: whole. */
        bool is_doubted;    /* Nobody knows; its serial counts a record that nobody has seen. */
    } replay;

    /* For the writer only: the group that is being written. */
    struct {
        uint64_t group;          /* The last group with records of it. */
        uint64_t serial, decree; /* Of its last record there. */
        size_t jumps;            /* Records there that don't follow the one before. */
        uint64_t block;          /* The last block with records of it... */
        uint32_t slot;           /* ...and its place in that block's summary. */
        uint64_t refused;        /* Decree that left a hole: higher ones have to wait. 0: none. */
    } staged;

    void *owner; /* The shell's. */
};

/* What one partition has in one segment. */
struct mlog_share {
    struct mlog_partition *partition;
    uint64_t decree_max;  /* Highest. */
    uint64_t size;        /* Bytes of its records, heads included. */
    bool is_moved;        /* Shippers find these records in the backlog. */
    uint64_t serial;      /* Of its first record... */
    uint64_t serial_last; /* ...and of its last, which has... */
    uint64_t decree_last; /* ...this decree. */
};

/* Lives in the shell's own segment. */
struct mlog_segment {
    struct list_node node;     /* Of all, oldest first. */
    struct mlog_segment *next; /* In its bucket. */
    uint64_t number;
    uint32_t end; /* Bytes written. */
    struct mlog_share *shares;
    uint32_t share_count;
    size_t share_capacity;
    uint32_t pins; /* Reads and moves under way: not to be freed. */
};

struct mlog_space {
    struct list_node segments; /* The last is written to. */
    struct mlog_segment *by_number[MLOG_SEGMENT_BUCKETS];
    struct list_node partitions; /* In the order of their coming. */
    struct mlog_partition **buckets;
    size_t bucket_count, partition_count;
    uint64_t size; /* Bytes of all segments. */
    uint32_t segment_count;
};

void mlog_space_init(struct mlog_space *s);
void mlog_space_fini(struct mlog_space *s); /* Partitions are freed; segments are the shell's. */

/* ---- Partitions ---- */

struct mlog_partition *mlog_partition_find(const struct mlog_space *s, struct gpid gpid);

/* Find or add: nothing is known of a new one, so everything of it is kept. Returns 0 or E_NOMEM. */
int mlog_partition_get(struct mlog_space *s, struct gpid gpid,
                       struct mlog_partition **out) MUST_CHECK;

/* Its store takes no records. */
static inline bool mlog_partition_is_kept(const struct mlog_partition *p)
{
    return p->durable == MLOG_NEVER && p->confirmed != MLOG_NEVER;
}

/* Nobody wants its records any more, whatever is written of it later. */
void mlog_partition_forget(struct mlog_space *s, struct mlog_partition *p);

/* What it has until now belongs to an earlier life of it, which is over (L27). */
void mlog_partition_void(struct mlog_space *s, struct mlog_partition *p);

/* Free partitions that have no owner, no record, and so nothing worth knowing. */
void mlog_partition_sweep(struct mlog_space *s);

/* The next after 'before' in the order of coming; NULL starts and ends. */
struct mlog_partition *mlog_partition_next(const struct mlog_space *s,
                                           const struct mlog_partition *before);

/* ---- Segments ---- */

/* From now on 'segment', all zero but its number, is the newest. */
void mlog_segment_push(struct mlog_space *s, struct mlog_segment *segment);

/* Take a segment out, with its shares and whatever the indexes know of it and of older ones. */
void mlog_segment_remove(struct mlog_space *s, struct mlog_segment *segment);

/* NULL: there is none. */
struct mlog_segment *mlog_segment_oldest(const struct mlog_space *s);
struct mlog_segment *mlog_segment_newest(const struct mlog_space *s);
struct mlog_segment *mlog_segment_find(const struct mlog_space *s, uint64_t number);

/* Make room to note 'shares' more partitions in the newest segment and 'spans' more spans of 'p'.
 * Returns 0 or E_NOMEM. */
int mlog_space_reserve(struct mlog_space *s, struct mlog_partition *p, uint32_t shares,
                       size_t spans) MUST_CHECK;

/* Note a record that was written to the newest segment. Room was reserved. */
void mlog_space_add(struct mlog_space *s, struct mlog_partition *p, uint64_t decree,
                    uint64_t serial, struct mlog_place place, uint64_t record_size);

/* The newest segment has grown to 'end'. */
void mlog_space_grow(struct mlog_space *s, uint32_t end);

/* ---- Decisions ---- */

enum mlog_need { MLOG_NEED_NOTHING, MLOG_NEED_SHIPPERS, MLOG_NEED_STORES };

enum mlog_need mlog_share_need(const struct mlog_share *share);
enum mlog_need mlog_segment_need(const struct mlog_segment *segment);

/* The index knows of every record in the share that was not replaced, and of no hole behind or right in
 * front of it. */
bool mlog_share_is_indexed(const struct mlog_share *share);

/* The oldest segment, if nothing needs it, nobody has pinned it and it is not the newest. */
struct mlog_segment *mlog_space_freeable(const struct mlog_space *s);

/* The oldest segment, if the run of old segments that only shippers need is larger than
 * 'ship_size'. */
struct mlog_segment *mlog_space_movable(const struct mlog_space *s, uint64_t ship_size);

/* Call 'each' once for every partition whose store keeps one of the oldest segments which have to
 * go until all fit into 'size_max'; those of the oldest segment first. */
void mlog_space_flush_wanted(struct mlog_space *s, uint64_t size_max,
                             void (*each)(void *context, struct mlog_partition *p), void *context);
