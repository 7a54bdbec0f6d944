/* src/store/flusher.h: one budget for the write buffers of all stores of a process.
 *
 * RocksDB has such a thing, but not in rocksdb/c.h. Stores report how many bytes they hold
 * unflushed; a thread flushes the fattest of them while the sum is over the budget:
 *
 *     report ->  sum <= budget        nothing
 *                sum >  budget        the thread flushes, the fattest first
 *                sum >  2 * budget    flusher_is_full(): writers are to wait
 *
 * A store whose flush fails is left alone, and its bytes aren't counted, until it reports again:
 * a full disk must not keep the stores of another one from being flushed. Threads: any. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/list.h"

struct flusher;

/* One store, as the flusher sees it. Lives inside the store. */
struct flusher_entry {
    struct list_node node; /* The flusher's, as are the next three. */
    size_t size;           /* Bytes at the last report. */
    bool is_failed;        /* Its last flush failed and it hasn't reported since. */
    bool is_busy;          /* Being flushed right now. */

    /* Both are called on the flusher's thread; flush() blocks. */
    int (*flush)(struct flusher_entry *entry);
    size_t (*measure)(struct flusher_entry *entry);
};

/* Start the thread. Returns 0 or E_NOMEM. */
int flusher_open(size_t budget, struct flusher **out) MUST_CHECK;
void flusher_close(struct flusher *f); /* All entries have been removed. Accepts NULL. */

void flusher_add(struct flusher *f, struct flusher_entry *entry);

/* Waits until a flush of 'entry' that is under way has ended. */
void flusher_remove(struct flusher *f, struct flusher_entry *entry);

/* 'entry' now holds 'size' bytes, and is able to take writes. */
void flusher_report(struct flusher *f, struct flusher_entry *entry, size_t size);

/* More than twice the budget is held: nothing should be added. Cheap. */
bool flusher_is_full(struct flusher *f);

/* Wait until it isn't full. */
void flusher_wait(struct flusher *f);
