/* tests/log_crash/story.h: a fixed life of a log, told action by action; what was promised at each
 * operation of the disk; and whether a log that was recovered keeps it. */
#pragma once
#include "log/log.h"
#include "log_crash/disk.h"

enum { PARTS = 4, PROMISES_MAX = 4096 };

/* A replica that was set aside or has stopped is kept until REPAIR: it appends and holds nothing. */
enum action_type {
    APPEND,
    HOLD,
    REOPEN,    /* Those that are kept are set aside again. */
    SET_ASIDE, /* REOPEN, and the store of 'part' can't be opened. */
    STOP,      /* 'part' takes no records any more. */
    REPAIR,    /* REOPEN, and no store is set aside. */
};

struct action {
    enum action_type type;
    int part;
    uint64_t a,
        b; /* APPEND: records in one batch, bytes of each. HOLD: records that are flushed, that
                    * are confirmed; both counted from the last submitted backwards; b: or NONE. */
};

#define NONE UINT64_MAX /* No shipper. */

/* From operation 'at' on, this holds. */
struct promise {
    size_t at;
    enum promise_type { SUBMITTED, ACKED, DURABLE, CONFIRMED } type;
    int part;
    uint64_t value;
};

struct told {
    struct disk disk; /* With every operation. */
    struct promise promises[PROMISES_MAX];
    size_t promise_count;
    uint64_t kept_size_max; /* Bytes that backlog files of kept replicas had at once. */
};

void story_tell(struct told *t, enum log_sync sync, const struct action *actions, size_t count);
void story_fini(struct told *t);

/* What holds for one partition after 'at' operations. */
struct state {
    uint64_t submitted, acked, durable, confirmed;
};

void story_state(const struct told *t, size_t at, struct state states[PARTS]);

/* What recovery found. */
struct found {
    int rc;
    uint64_t replayed[PARTS];
    bool is_damaged[PARTS];
    bool is_readable
        [PARTS]; /* All that its store or a shipper still needs, up to what was replayed. */
    uint64_t damaged_blocks;
};

/* Open a log on 'disk', look, and close it. Every record's bytes are checked on the way. */
void story_recover(struct disk *disk, enum log_sync sync, const struct state states[PARTS],
                   bool with_reads, struct found *out);

/* A life in which 'part' is set aside while all others flush and ship everything, so that nothing else
 * holds the segments. Then 'states' say so, and '*flushed_at' from which operation on. */
void story_set_aside(struct disk *disk, enum log_sync sync, int part, struct state states[PARTS],
                     size_t *flushed_at, struct found *out);
