/* src/wire/mutation.h: one step of a partition: what the log, the replicas and the shipper see.
 *
 * A mutation holds effects only: puts and deletes with full keys and final values. Whatever had to
 * be decided (increments, checks, last-writer-wins) was decided once, by the primary, before this
 * was made. So replaying it, learning it and shipping it need no special cases and may be repeated.
 *
 *     offset  size  field         little-endian
 *     0       8     decree        greater than 0; one more than the mutation before
 *     8       8     ballot        under which it was ordered
 *     16      8     timestamp_us  hybrid time of the mutation; strictly increasing with the decree
 *     24      4     op_count      may be 0: a mutation that only takes its place
 *     28      4     ops_size      bytes that follow
 *     32      n     ops
 *
 *     and each op
 *     0       8     timetag       its own: the origin's for one that was duplicated here; the
 *                                 deleted bit says whether this is a put or a delete
 *     8       4     expire_ts     0 for deletes
 *     12      4     key_size
 *     16      4     data_size     0 for deletes
 *     20      k     raw key
 *     20+k    d     user data
 *
 * The bytes of one mutation are written once and then borrowed by everybody. Pure.
 * Source: docs/replication.md, rules R1 to R3. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "wire/value.h"

enum {
    MUTATION_HEAD_SIZE = 32,
    MUTATION_OP_HEAD_SIZE = 20,
    MUTATION_SIZE_MAX = 16 << 20, /* Bytes. Four times the largest request that makes one. */
};

struct mutation {
    uint64_t decree;
    uint64_t ballot;
    uint64_t timestamp_us;
    uint32_t op_count;
    struct slice ops; /* Borrowed: walk it with mutation_op_next(). */
};

struct mutation_op {
    uint64_t timetag;
    uint32_t expire_ts;
    struct slice key;  /* The raw key. */
    struct slice data; /* User data; empty for a delete. */
};

/* Begin a mutation at the end of 'to'. Then add ops, then finish with the offset that this
 * returned. */
size_t mutation_begin(struct buf *to);
void mutation_add(struct buf *to, const struct mutation_op *op);

/* Fill in the head. Between begin and finish nothing else was written to 'to'. Returns 0; E_NOMEM
 * when an append failed; E_LIMIT when it became larger than MUTATION_SIZE_MAX. After a failure the
 * caller truncates 'to' to 'offset'. */
int mutation_finish(struct buf *to, size_t offset, uint64_t decree, uint64_t ballot,
                    uint64_t timestamp_us) MUST_CHECK;

/* Read the mutation that fills 'bytes' exactly, and check every length in it.
 * Returns 0, and then mutation_op_next() needs no checks; or E_SHORT, E_LIMIT, E_PROTO. */
int mutation_read(struct slice bytes, struct mutation *out) MUST_CHECK;

/* Take the op at the front of 'ops', which came from mutation_read(). False at the end. */
bool mutation_op_next(struct slice *ops, struct mutation_op *op);
