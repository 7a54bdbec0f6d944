/* src/node/disk_guard.h: stops taking writes before the disk is full, so that what was taken can always be
 * logged, flushed and compacted: a store that meets a full disk keeps its clients waiting until it has room.
 * Reads go on, and writes resume by themselves when there is room.
 *
 * It looks at the disk when something was written, or was refused, since it looked last: no timer. One per
 * worker, on its loop. */
#pragma once
#include "io/io.h"

struct disk_guard {
    struct io_loop *loop;
    const char *dir;       /* Borrowed. */
    uint64_t reserve_size; /* Bytes to be left free; at most a tenth of the disk. */
    uint64_t written_size; /* Bytes since the last look. */
    uint64_t looked_ms;
    bool is_looking, is_low;
    void (*on_low)(struct disk_guard *g); /* It has just become low: free what can be freed. */
    void (*on_idle)(
        struct disk_guard *g); /* Once, after disk_guard_stop(), when nothing is under way. */
    uint64_t free_size, total_size;
    int rc;
    struct io_work work;
};

void disk_guard_init(struct disk_guard *g, struct io_loop *loop, const char *dir,
                     uint64_t reserve_size, void (*on_low)(struct disk_guard *g));

/* So many bytes go to the disk. */
void disk_guard_wrote(struct disk_guard *g, uint64_t size);

/* True: refuse the write. */
bool disk_guard_refuses(struct disk_guard *g);

/* Look no more. Returns true when nothing is under way; otherwise on_idle follows. */
bool disk_guard_stop(struct disk_guard *g, void (*on_idle)(struct disk_guard *g));
