/* sim/store/store_sim.h: the storage port (store/store.h) in memory, and what a test may do to
 * it.
 *
 *     disk    what survives: for each store an image (rows, decree) as of the last good flush
 *     store   an open directory: rows in memory, ahead of the image; perhaps a flush under way
 *
 *                store_write()        background: begin       background: end
 *     rows in memory ------> memory  ----------------> flushing ------------> image
 *                              |                                               |
 *                              +-- store_sim_crash(): gone                     +-- opened next time
 *
 * Faults it can make: everything after the last flush lost; flushes that lag or fail, with the
 * writes after them; stalled writes; reads that would have to touch the disk; compaction of any
 * rows at any moment; an image that can't be opened. It doesn't make: rows that are silently
 * wrong, torn flushes (RocksDB's checksums and its manifest turn these into an image that can't
 * be opened).
 *
 * All chance comes from the disk's seed. One thread. Nothing here is taken with mem_alloc()
 * except batches: stores survive their process until store_sim_crash() takes them back. */
#pragma once
#include "store/store.h"

struct io;
struct store_sim_disk;

/* The disk that store_env_open() finds by store_env_options.world. At most one for each world. */
struct store_sim_disk *store_sim_disk_new(void *world, uint64_t seed);
void store_sim_disk_free(
    struct store_sim_disk *disk); /* After a crash or all closes. Accepts NULL. */

/* From now on stores live in directories of that machine's disk (files.h): checkpoints are files that
 * can be copied, and a store is there if its directory is. Stores are opened and checkpoints made by
 * its process then, on threads that may block. Without this a directory is but the name of an image.
 * Before the first store is opened. */
void store_sim_files(struct store_sim_disk *disk, struct io *io);

struct store_sim_faults {
    uint32_t again_percent; /* Of reads and seeks of STORE_CACHED; of steps a tenth of that. */
    uint32_t stall_percent; /* Of writes: E_BUSY. */
    int flush_code;         /* Not 0: the next flush of each store fails with it, and its writes:
                             * for good, but with E_NOSPACE only as long as this is set. */
    int open_code;          /* Not 0: so many... */
    uint32_t failing_opens; /* ...stores can't be opened, for that reason. */
};
void store_sim_faults_set(struct store_sim_disk *disk, const struct store_sim_faults *faults);

/* What stores that were opened since the last such call have flushed is theirs to keep... */
void store_sim_keep(struct store_sim_disk *disk);

/* ...or was never done: the images are again as they were opened. For a process whose code has run ahead of
 * the time at which it ended. Not while a store is open. */
void store_sim_undo(struct store_sim_disk *disk);

/* The process that had stores on this disk is no more, and nothing was closed: every env, store,
 * iterator and pinned value is gone, and the disk holds the images. */
void store_sim_crash(struct store_sim_disk *disk);

/* One step of what RocksDB does in the background, in some open store: begin a flush, end it, or
 * compact some of the rows. Call it whenever something may happen. */
void store_sim_background(struct store_sim_disk *disk);

/* From now on 'dir', which is closed, can't be opened: E_CORRUPT. Without files. */
void store_sim_damage(struct store_sim_disk *disk, const char *dir);

/* Remove the images of 'dir' and below, which are closed; "" is all. What removing the directory does
 * where there are files. */
void store_sim_remove(struct store_sim_disk *disk, const char *dir);
