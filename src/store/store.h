/* src/store/store.h: one partition's ordered keys and values, as a port.
 *
 * Two adapters: store/rocks (the one file that includes rocksdb/c.h) and sim/store (an ordered
 * map with explicit flushes). Both pass tests/store. What they promise is little, and exact:
 *
 *   S1  A write is atomic and carries a decree. After a crash a store holds exactly the writes up
 *       to some decree, its durable one, and knows it: store_applied() after opening.
 *   S2  There is no log in here: what was not flushed is lost by a crash. Durability is the
 *       business of the mutation log.
 *   S3  Reads see every write that returned before them.
 *   S4  Nothing here blocks unless it says so. A read of STORE_CACHED returns E_AGAIN instead of
 *       touching the disk; a write that would stall returns E_BUSY.
 *   S5  Compaction runs when it likes and drops only what store/policy.h lets go.
 *
 * Keys are raw keys (wire/key.h). Values carry their expiry and timetag:
 *     u32 big-endian expire_ts | u64 big-endian timetag | user data        (wire/value.h)
 * A value whose timetag has the deleted bit is a tombstone; the store returns it like any other.
 *
 * Threads: a store is written by its owner's loop; reads, iterators, flush, checkpoint and
 * compact may be called from any thread while the store is open. An iterator belongs to one
 * thread at a time. */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"
#include "store/policy.h"

struct store_env; /* What all stores of one process share: cache, write buffers, threads. */
struct store;
struct store_batch;
struct store_iter;

struct store_env_options {
    size_t cache_size;        /* Bytes of the block cache. */
    size_t write_buffer_size; /* Bytes of all write buffers; above, the fattest store is flushed. */
    int background_threads;   /* For compactions; flushes have one of their own. */

    /* CLOCK_REALTIME of 'world', for what expires. Any thread. 'world' is 'struct io *' in a
     * node; the simulator also finds the machine's disk by it. */
    uint64_t (*wall_us)(void *world);
    void *world;
};

/* Returns 0 or E_NOMEM. */
int store_env_open(const struct store_env_options *options, struct store_env **out,
                   struct err *e) MUST_CHECK;
void store_env_close(struct store_env *env); /* After all its stores. Accepts NULL. */

/* Open the store in 'dir', created if absent (its parent is there). Blocking. The policy is all
 * zero at first: nothing goes. On failure '*out' is untouched and 'e' says what and where:
 * E_CORRUPT; E_BUSY (it is open elsewhere); E_UNSUPPORTED (rows of another layout); E_NOSPACE,
 * E_IO, E_NOMEM. */
int store_open(struct store_env *env, const char *dir, struct store **out,
               struct err *e) MUST_CHECK;

/* Flush and close; iterators are closed and values released before. Blocking. Accepts NULL.
 * Returns the flush's result: it is closed in any case. */
int store_close(struct store *s);

/* The decree of the last write. After opening: the durable one. Any thread. */
uint64_t store_applied(const struct store *s);

/* The decree up to which a crash loses nothing. May do a small read. Any thread. */
uint64_t store_durable(struct store *s);

/* The highest hybrid time that a write was stamped with; 0: none was. A replica's clock may not
 * go below it after a restart, or a new write would lose to an old one. Any thread. */
uint64_t store_timestamp_us(const struct store *s);

/* Any thread, at any time. Compactions that have begun go by the policy they found. */
void store_policy_set(struct store *s, const struct store_policy *policy);

/* ---- Writing --------------------------------------------------------------------------------- */

/* A reusable list of changes. Not bound to one store. */
int store_batch_new(struct store_batch **out) MUST_CHECK;
void store_batch_free(struct store_batch *b); /* Accepts NULL. */
void store_batch_clear(struct store_batch *b);

/* The bytes are copied. 'head' and 'body' of the value are written one after the other. Without
 * memory these stop the process. Of several changes to one key the last one counts. */
void store_batch_put(struct store_batch *b, struct slice key, struct slice head, struct slice body);
void store_batch_delete(struct store_batch *b, struct slice key);

/* The hybrid time of a change; of several the highest counts. It becomes store_timestamp_us() with
 * the write, unless that is higher already, and is as durable as the decree. */
void store_batch_stamp(struct store_batch *b, uint64_t timestamp_us);

/* Write all of 'b', which may be empty, and 'decree' at once (S1). decree is above
 * store_applied(); decrees may be left out. 'b' stays as it is: clear it, or write it again.
 * Returns 0, or with nothing written
 *     E_BUSY            the store wants time: the same write will succeed later
 *     E_NOSPACE         the disk is full: the same write will succeed some seconds after there is
 *                       room; until then all are refused, and reads go on
 *     E_IO, E_CORRUPT   the disk failed, or holds a damaged file: no more writes until the store is
 *                       opened again; reads go on */
int store_write(struct store *s, struct store_batch *b, uint64_t decree) MUST_CHECK;

/* What the last write was refused for, unless it was E_BUSY, as a code and, in 'e' (may be NULL), as
 * a sentence; 0 when it was not. The owner's loop. */
int store_failure(const struct store *s, struct err *e);

/* Wait until a write would no longer return E_BUSY, or would fail for another reason. Blocking.
 * Any thread but not while the store is being closed. */
void store_wait_writable(struct store *s);

/* ---- Reading --------------------------------------------------------------------------------- */

enum store_tier {
    STORE_CACHED, /* Memory only: E_AGAIN when the answer is on disk. */
    STORE_ANY,    /* Blocking. */
};

/* A value that is pinned in the store's memory until released. */
struct store_value {
    struct slice bytes; /* expire_ts, timetag, user data. */
    void *pin;          /* The adapter's. */
};

/* Returns 0 and fills 'out', to be released; or E_NOTFOUND, E_AGAIN, E_CORRUPT, E_IO. */
int store_get(struct store *s, struct slice key, enum store_tier tier,
              struct store_value *out) MUST_CHECK;
void store_value_release(struct store_value *v); /* Accepts an all-zero one; leaves it so. */

/* A walk over keys in [lower, upper) as they were when it was opened; an empty 'upper' means no
 * end. The iterator keeps copies of the bounds. */
int store_iter_open(struct store *s, struct slice lower, struct slice upper, enum store_tier tier,
                    struct store_iter **out) MUST_CHECK;
void store_iter_close(struct store_iter *it);                       /* Accepts NULL. */
void store_iter_seek(struct store_iter *it, struct slice key);      /* First at or after. */
void store_iter_seek_last(struct store_iter *it, struct slice key); /* Last at or before. */
void store_iter_seek_end(struct store_iter *it);                    /* The very last. */
void store_iter_next(struct store_iter *it);
void store_iter_prev(struct store_iter *it);
bool store_iter_is_valid(const struct store_iter *it);
struct slice store_iter_key(const struct store_iter *it);   /* Until it moves. */
struct slice store_iter_value(const struct store_iter *it); /* Until it moves. */
int store_iter_status(const struct store_iter *it);         /* 0, E_AGAIN, E_CORRUPT, E_IO. */

/* ---- Upkeep ---------------------------------------------------------------------------------- */

/* Make everything written so far durable. Blocking. Returns 0, E_NOSPACE or E_IO. */
int store_flush(struct store *s) MUST_CHECK;

/* Flush, hard-link the store as it then is into 'dir', whose parent exists and which itself must
 * not, and say at what decree. Opening 'dir' gives an equal store. Blocking. Returns 0;
 * E_EXISTS, E_NOSPACE, E_IO, E_NOMEM: 'dir' does not exist then. */
int store_checkpoint(struct store *s, const char *dir, uint64_t *decree, struct err *e) MUST_CHECK;

/* Whose checkpoints these are: another number for every store that was made, be it from nothing or
 * from a checkpoint, and the same one as long as that store lives. Two files of one name, a table's
 * (*.sst), in two checkpoints are the same file if this is the same. Any thread. */
uint64_t store_identity(const struct store *s);

enum store_compaction {
    STORE_COMPACT_ALL,   /* Rewrite everything. */
    STORE_COMPACT_UPPER, /* Leave alone what lies at the bottom already. */
};

/* Flush and rewrite, dropping what the policy allows; then note 'as_of_s' durably. Blocking, long.
 * Returns 0, E_NOSPACE, E_IO; E_CANCELED by store_compact_stop(). */
int store_compact(struct store *s, enum store_compaction what, uint64_t as_of_s) MUST_CHECK;

/* 'as_of_s' of the last store_compact() that succeeded: a unix second; 0: none did. Any thread. */
uint64_t store_compacted_s(const struct store *s);

/* End store_compact() soon, now and whenever it is called again. Blocking, for a moment. Any thread. */
void store_compact_stop(struct store *s);

struct store_stats {
    uint64_t memory_size; /* Bytes of write buffers. */
    uint64_t disk_size;   /* Bytes of table files. */
    uint64_t debt_size;   /* Bytes that compaction has yet to rewrite: an estimate. */
    uint64_t keys;        /* An estimate; tombstones count. */
    uint64_t stalls;      /* Writes that were answered E_BUSY since opening. */
};
void store_stats(struct store *s, struct store_stats *out);
