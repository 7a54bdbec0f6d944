/* src/log/log_impl.h: inside the room only. What the files of the log share.
 *
 *     log.c       life: open, start, stop, close; figures; failure
 *     recover.c   from what lies on the disk to a log that goes on
 *     write.c     batches become groups, groups become durable
 *     encode.c    what is staged becomes blocks
 *     tail.c      recovery writes the end of the log once more
 *     segment.c   the files of the log
 *     window.c    reading a file in large pieces
 *     read.c      records back to shippers and learners
 *     hold.c      what replicas still need, and what they are told
 *     tidy.c      one piece of housekeeping at a time: free, move, drop
 *     backlog.c   the files of slow shippers
 *
 * Everything here is touched on the writer loop only, or before it is opened; what runs on the pool
 * gets copies and pinned files. */
#pragma once
#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "core/mlog/mlog.h"
#include "log/log.h"

enum {
    LOG_PATH_SIZE = 4096,          /* Bytes of a path, its NUL included. */
    LOG_GROUP_SIZE = 8 << 20,      /* Bytes of mutations after which a group is closed. */
    LOG_ZERO_SIZE = 1 << 20,       /* Bytes that are made ready at once behind the end (write.c). */
    LOG_QUICK_SIZE_MAX = 16 << 10, /* Bytes of a batch that a visitor writes (L26). */
    LOG_WINDOW_SIZE = 256 << 10,   /* Bytes read at once. */
    LOG_BACKLOG_BODY_SIZE = 64 << 10 /* Bytes of a block of a backlog file. */
};

/* Bytes that are looked at of a file. More than recovery's tail can have: two segments that passed
 * their size twice, each with a largest batch behind. */
#define LOG_FILE_SIZE_MAX 0x80000000u

/* ---- Segments ---- */

struct log_segment {
    struct mlog_segment core;
    struct io_file *file;
    uint32_t zeroed; /* Bytes up to here exist, written or zero (write.c). */
    bool is_durable; /* Its entry in the directory was synced. */
    bool is_synced;  /* All its bytes were, after the last was written. */
};

static inline struct log_segment *log_segment_of(struct mlog_segment *core)
{
    return LIST_ENTRY(core, struct log_segment, core);
}

/* "dir/log.0000000000000007" */
void log_segment_path(const struct log *l, uint64_t number, char *path);

/* Create the file of a new segment, which becomes the newest. Blocking. */
int log_segment_create(struct log *l) MUST_CHECK;

/* Close the file and free; it is in no space any more. Accepts NULL. */
void log_segment_free(struct log_segment *segment);

/* ---- Backlog files ---- */

struct log_backlog_file {
    struct list_node node; /* Of its partition, by number; or of those to be dropped. */
    struct gpid gpid;
    uint64_t number;      /* Of the segment that it was made from. */
    uint64_t first, last; /* Decrees. Both 0: nobody can use it. */
    uint64_t serial; /* Of the last record that it stands for, replaced ones too; 0: not known. */
    uint64_t decree; /* Of that record. */
    uint64_t size;   /* Bytes. */
    bool is_all;     /* Has replaced records and perhaps holes: for the partition's store only. */
    uint32_t readers;
    uint64_t hint_decree; /* The first record of the block at... */
    uint32_t hint_offset; /* ...this offset; 0: nothing known. */
};

/* What the shell knows of a partition that has a hold or a backlog. mlog_partition.owner. */
struct log_owner {
    struct log_hold *hold;    /* NULL: the replica has not come yet, or is gone. */
    struct list_node backlog; /* struct log_backlog_file, by number. */
    uint64_t backlog_size;    /* Bytes. */
    bool is_over_asked;       /* on_backlog_over was called. */
};

/* "dir/backlog/2.7.0000000000000005" */
void log_backlog_path(const struct log *l, struct gpid gpid, uint64_t number, char *path);

int log_backlog_dir_sync(struct log *l) MUST_CHECK; /* Blocking. */

/* Find the backlog files on disk, before the segments are read. Blocking. */
int log_backlog_recover(struct log *l, struct err *e) MUST_CHECK;

/* The segments are known: those files are of no use that lie beside theirs. */
void log_backlog_settle(struct log *l);

/* Call 'each' for all records of the file, in order, until it returns other than 0. Blocking. Returns
 * that, 0, E_CORRUPT, E_IO or E_NOMEM. */
int log_backlog_each(struct log *l, const struct log_backlog_file *file,
                     int (*each)(void *context, const struct mlog_record *record),
                     void *context) MUST_CHECK;

/* Count kept_size. */
void log_backlog_count(struct log *l);

/* The newest file with this decree, or NULL. Its records from '*limit' on were replaced since. */
struct log_backlog_file *log_backlog_find(const struct mlog_partition *p, uint64_t decree,
                                          uint64_t *limit);

/* Its store was not open when records of it were moved, and does not hold them durably yet. */
bool log_backlog_is_unflushed(const struct mlog_partition *p);

/* Move files whose records nobody needs to the list of those to be dropped. */
void log_backlog_release(struct log *l, struct mlog_partition *p);

/* What of one partition moves from one segment. */
struct log_move {
    struct io_file *from;
    const struct mlog_span *spans; /* What was not replaced. */
    size_t span_count;
    struct mlog_span all; /* The segment, with the serials that are there... */
    uint64_t decree_last; /* ...the decree of the last of them... */
    uint64_t decree_max;  /* ...and the highest. */
    uint64_t above;       /* Decrees up to this are not wanted. */
    bool is_kept, is_all; /* For its next life; the spans are known not to tell all of it. */
};

/* Copy the records into a backlog file, durably. On the pool. Of what is for shippers up to the first
 * record that cannot be read. Of what is kept all that can be read: past a hole, or when the spans don't
 * tell, it is 'all', with what was replaced, and the file says what should have been there.
 * Returns 0 and fills what the head says and the size of 'file', whose gpid and number are set, and its
 * serial, which is taken back to what was copied if that is not all; E_NOTFOUND:
 * there was nothing to copy; E_BUSY: not now (no room, no memory, the segment can't be read),
 * nothing remains; E_IO: the disk is lost. */
int log_backlog_make(struct log *l, const struct log_move *move,
                     struct log_backlog_file *file) MUST_CHECK;

/* The file is there: its partition's, or nobody's any more. */
void log_backlog_push(struct log *l, struct log_backlog_file *file);

/* ---- Reading files ---- */

struct log_window {
    struct io_file *file;
    uint8_t *data;
    size_t capacity, size;
    uint64_t offset; /* Of data[0] in the file. */
    bool is_damaged; /* log_span_read() has met damage. */
};

void log_window_fini(struct log_window *w);

/* Turn to another file; the memory is kept. */
void log_window_turn(struct log_window *w, struct io_file *file);

/* What comes next in the file that 's' walks. Blocking. Returns 0, E_IO or E_NOMEM. */
int log_window_scan(struct log_window *w, struct mlog_scan *s, struct mlog_scanned *out,
                    enum mlog_found *found) MUST_CHECK;

/* Call 'each' for every record of 'gpid' that counts in a span, in order, until it returns other
 * than 0, which is then returned. E_CORRUPT, at the end: there was damage in the span. Blocking. */
int log_span_read(struct log *l, struct log_window *w, struct gpid gpid,
                  const struct mlog_span *span,
                  int (*each)(void *context, const struct mlog_record *record),
                  void *context) MUST_CHECK;

/* ---- Writing ---- */

/* Who had records in one block. */
struct log_summary {
    struct mlog_last items[MLOG_SUMMARY_COUNT_MAX];
    uint32_t count;
};

/* One record of the group that is being written. */
struct log_staged {
    struct mlog_partition *partition;
    const struct log_entry *entry;
    uint64_t serial;
    struct mlog_place place; /* Of its block. */
};

struct log_writer {
    struct list_node pending;  /* Batches that came in this turn. */
    struct buf out;            /* The group in its bytes. */
    struct log_staged *staged; /* Its records. */
    size_t staged_count, staged_capacity;
    struct log_summary summaries[3];
    uint32_t summary;       /* Which of them is of the last block that is written. */
    uint32_t prev_offset;   /* Where that block begins in the newest segment. */
    uint64_t block_serial;  /* Counts blocks since the start... */
    uint64_t group_serial;  /* ...and groups. */
    struct mlog_pos synced; /* Everything before it is durable. */
    atomic_bool is_prompt;  /* The last group was written without waiting (L26). */
    bool is_put_off;        /* What is pending is for the log's own thread. */
};

/* A group commit under way. */
struct log_group {
    uint64_t serial;          /* Counts groups since the start. */
    struct list_node batches; /* Those in it. */
    size_t size;              /* Bytes of records. */
    uint32_t shares;          /* Partitions that had no record in the newest segment. */
    uint32_t summary;         /* Which of the writer's is of the last block encoded. */
    uint32_t prev_offset;     /* Where that block begins. */
};

/* What the head of a segment says. */
struct log_head {
    struct mlog_pos *ends;
    struct mlog_last *lasts;
    uint32_t end_count, last_count;
};

/* Append what waits, group by group. On the writer loop. */
void log_write_pending(struct log *l);

/* Note durably that everything written is durable. */
void log_write_end(struct log *l);

/* Write that the partition is forgotten, so that a recovery does not miss what was freed of it (L27). */
void log_write_forgotten(struct log *l, const struct mlog_partition *p);

void log_writer_init(struct log *l);
void log_writer_fini(struct log *l);

/* The steps of a group, in this order; see write.c. */
void log_group_begin(struct log *l, struct log_group *g);
int log_group_stage(struct log *l, struct log_group *g, struct mlog_partition *p,
                    const struct log_entry *entry) MUST_CHECK;
int log_group_encode(struct log *l,
                     struct log_group *g) MUST_CHECK; /* Nothing staged: one block. */
int log_group_save(struct log *l, bool is_sync) MUST_CHECK;
void log_group_note(struct log *l, const struct log_group *g, bool is_synced);

/* Sync a segment, and the directory when the segment's entry in it was not. Blocking. */
int log_segment_sync(struct log *l, struct log_segment *segment) MUST_CHECK;

/* The partitions and the segments before the newest; 'is_all': those without records too.
 * Gives 'out', or returns E_NOMEM. */
int log_head_collect(struct log *l, bool is_all, struct log_head *out) MUST_CHECK;
void log_head_fini(struct log_head *h);

/* Append the head of the newest segment to the writer's buffer. Returns 0 or E_NOMEM. */
int log_head_encode(struct log *l, const struct log_head *h, uint32_t *size) MUST_CHECK;

/* ---- Recovery's own writing: what no sync is known to cover is written once more ---- */

struct log_tail {
    struct log *log;
    struct log_head head; /* As it was where the tail begins. */
    uint32_t head_size;
    bool is_begun;
    struct log_entry *entries; /* Of one block. */
    struct mlog_partition **partitions;
    uint64_t *serials;
    size_t count, capacity;
};

/* Create the segment that the log goes on in; log_tail_end() writes its head. All blocking. */
int log_tail_begin(struct log_tail *t, struct log *l) MUST_CHECK;
int log_tail_push(struct log_tail *t, struct mlog_partition *p,
                  const struct mlog_record *record) MUST_CHECK;
int log_tail_block(struct log_tail *t) MUST_CHECK; /* Copy what was pushed since the last block. */
int log_tail_end(struct log_tail *t) MUST_CHECK;
void log_tail_fini(struct log_tail *t);

/* ---- The log ---- */

struct log_figures {
    _Atomic uint64_t size, segments, backlog_size, kept_size, records, bytes, syncs, reads,
        damaged_blocks;
    _Atomic uint64_t group_records[LOG_BUCKETS], group_us[LOG_BUCKETS];
    atomic_bool is_failed;
};

struct log {
    struct io *io;
    char dir[LOG_PATH_SIZE / 2];
    struct log_options options;
    struct io_loop *loop; /* NULL: not started. */
    struct io_post start_post;
    struct io_turn_hook turn;

    uint64_t log_id;
    uint64_t next_segment; /* Number of the next file. */
    struct mlog_space space;
    struct log_writer writer;
    bool is_failed;

    uint64_t backlog_size;    /* Bytes of all backlog files. */
    uint64_t kept_size;       /* Of these, of partitions that were kept when it was last counted. */
    struct list_node dropped; /* Backlog files to unlink. */
    bool is_tidying;          /* A piece of housekeeping is under way. */
    uint64_t tidy_changes;    /* Counts what may let a move succeed that had no room. */
    uint64_t tidy_blocked_at; /* A move had no room when the count was this. */
    bool is_syncing;          /* A rotated segment is being synced (LOG_SYNC_OS). */
    uint32_t reads;           /* Under way. */
    struct log_stop *stop;    /* NULL: go on. */
    bool is_stopped;

    struct log_figures figures;
};

/* Recover all that lies in l->dir. Blocking. */
int log_recover(struct log *l, const struct log_replica *replicas, size_t replica_count,
                const struct log_replay_handler *handler, void *context, struct err *e) MUST_CHECK;

/* The disk is lost: nothing is written any more. */
void log_fail(struct log *l);

/* Sync the directory of the segments. Blocking. */
int log_dir_sync(struct log *l) MUST_CHECK;

/* Do the next piece of housekeeping, if there is one and none is being done. */
void log_tidy(struct log *l);

/* Under LOG_SYNC_OS: sync the oldest rotated segment that is not, in the background. */
void log_sync_rotated(struct log *l);

/* A new segment was begun: ask stores to flush if the log is too large. */
void log_ask_flushes(struct log *l);

enum { LOG_NOTICE_FLUSH = 1, LOG_NOTICE_OVER = 2, LOG_NOTICE_FAILED = 4 };
void log_hold_notify(struct log_hold *hold, unsigned notice);

/* The owner of 'p', made when absent. NULL: no memory. */
struct log_owner *log_owner_get(struct mlog_partition *p);

/* If the log is to stop and nothing is under way any more, say so. */
void log_stop_try(struct log *l);

void log_figures_update(struct log *l);
