/* tests/log_crash/disk.h: a disk that remembers every operation, so that each state in which a
 * crash could leave it can be made and looked at.
 *
 *     run     programs use it through io.h; every operation is recorded
 *     crash   disk_crash(): the first n operations happened; which of those that no sync covers
 *             reached the platter, and how whole, the caller chooses
 *
 * It is one world of io.h, linked instead of io/uv: loops are queues that world_run() empties, work
 * is done at once when its turn comes, time stands still. Only what the log uses is there. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

enum { DISK_FILES_MAX = 512, DISK_OPS_MAX = 4096, DISK_PATH_SIZE = 64, DISK_SECTOR = 512 };

enum op_type { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_CREATE, OP_UNLINK, OP_RENAME, OP_DIR_SYNC };

struct op {
    enum op_type type;
    int file;                  /* Index of the file's content. */
    uint64_t offset;           /* WRITE, TRUNCATE. */
    size_t size;               /* WRITE. */
    uint8_t *data;             /* WRITE. */
    char path[DISK_PATH_SIZE]; /* CREATE, UNLINK, RENAME (from); DIR_SYNC: the directory. */
    char to[DISK_PATH_SIZE];   /* RENAME. */
    bool is_dir;               /* CREATE: a directory. */
};

struct content {
    uint8_t *data;
    size_t size, capacity;
};

struct name {
    char path[DISK_PATH_SIZE];
    int file; /* -1: a directory. */
};

struct disk {
    struct content files[DISK_FILES_MAX];
    int file_count;
    struct name names[DISK_FILES_MAX];
    int name_count;
    struct op *ops; /* Recorded; NULL: not. */
    size_t op_count;
    uint64_t syncs;
};

void disk_init(struct disk *d); /* Empty; nothing is recorded. */
void disk_fini(struct disk *d);
void disk_copy(struct disk *to, const struct disk *from); /* What is seen; nothing is recorded. */
void disk_record(struct disk *d);                         /* From now on. */

/* The disk that io.h speaks of from now on. All loops are forgotten. */
void world_use(struct disk *d);
struct io *world_io(void);

/* Run all that is posted, and what that posts, until nothing is left. */
void world_run(void);

/* ---- Crashes ---- */

/* How an operation that no sync covers ends. */
struct fate {
    bool is_done;
    size_t cut; /* WRITE: only so many bytes from its front; size: all. */
    enum disk_fill { CUT_OLD, CUT_ZERO, CUT_NOISE } fill; /* What stands in place of the others. */
};

/* Which of the first 'count' operations are uncovered: their indexes into 'open', which has room
 * for 'room'. Returns how many; more than 'room' stops the test. */
size_t disk_open_ops(const struct disk *d, size_t count, size_t *open, size_t room);

/* What is there after a crash behind 'count' operations on a disk that was 'before' (NULL: empty).
 * All that is covered happened; fates are those of the open ones. */
void disk_crash(const struct disk *before, const struct disk *d, size_t count, const size_t *open,
                const struct fate *fates, size_t open_count, struct disk *out);
