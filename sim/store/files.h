/* sim/store/files.h: what a store holds, as the files of its directory on a simulated disk.
 *
 *     0123456789abcdef.sst   some of the rows, at most TABLE_SIZE bytes of them or a single larger
 *                            one; never changes, for its name is the CRC-64 of its bytes
 *     CURRENT                which of these there are, at what decree, and whose they are
 *
 *     CURRENT   offset  size  field           big-endian
 *               0       8     identity        of the store that lives here; 0: a checkpoint, that none
 *                                             has been opened in
 *               8       8     decree
 *               16      8     timestamp_us
 *               24      8     compacted_s
 *               32      4     table_count
 *               36      12*n  tables          in the order of their keys: u64 CRC-64, u32 size
 *               36+12n  4     crc             CRC-32C of all before
 *     a row     0       4+4   sizes           of the key, of the value; then their bytes
 *
 * A checkpoint becomes a store when it is opened: it is given an identity. From then on its files
 * say what it began with; what it flushes later is known by the identity (store_sim.c). So whatever
 * becomes of the directory, moved, removed, lost with the power, becomes of the store.
 *
 * All of this is done by the machine's process, on a thread that may block, and may be the last
 * that it does: nothing here is held in memory of the world meanwhile. */
#pragma once
#include "io/io.h"
#include "sim/store/pmap.h"

struct store_content {
    struct pmap rows;
    uint64_t decree, timestamp_us, compacted_s;
};

static inline struct store_content store_content_copy(const struct store_content *c)
{
    return (struct store_content){pmap_copy(c->rows), c->decree, c->timestamp_us, c->compacted_s};
}

/* Make 'dir', a checkpoint, all at once: it is made as "dir.tmp" and renamed. All is synced but its
 * name. Returns 0; E_EXISTS, E_NOSPACE, E_IO, E_NOMEM. */
int store_files_save(struct io *io, const char *dir, const struct store_content *content,
                     struct err *e) MUST_CHECK;

/* Read and check all files of 'dir'. Gives 'content', and 'identity' which may be 0. Returns 0;
 * E_NOTFOUND: there is no store; E_CORRUPT, E_IO, E_NOMEM. */
int store_files_load(struct io *io, const char *dir, struct store_content *content,
                     uint64_t *identity, struct err *e) MUST_CHECK;

/* What is in 'dir', a checkpoint or nothing at all, is the store 'identity' from now on: durably,
 * but for the name of 'dir' if it had to be made. Returns 0; E_NOSPACE, E_IO, E_NOMEM. */
int store_files_claim(struct io *io, const char *dir, uint64_t identity, struct err *e) MUST_CHECK;
