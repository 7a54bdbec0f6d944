/* src/kv/read.h: a read request, from its bytes to its answer.
 *
 *     kv_read_begin   on the owner's loop: decode; SCAN takes its scan out of the table
 *     kv_read_run     first there with STORE_CACHED; on E_AGAIN again on the pool with STORE_ANY
 *     kv_read_end     on the owner's loop: a scan that goes on gets its next id; gives the answer
 *     kv_read_fini    after the answer is encoded: values are unpinned
 *
 * The answer's slices point into the store (pinned), the arena and the request. GET and TTL allocate
 * nothing. Tombstones and expired rows do not exist, but count as visited where a limit counts visits.
 *
 * Source: docs/data.md, rules G1 to G4 (points), M1 to M9 (MULTI_GET), S1 to S9 (scans). */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "kv/kv.h"
#include "kv/scan.h"
#include "store/store.h"
#include "wire/messages.h"
#include "wire/rpc_names.h"

/* Bytes of keys and values in one answer. MULTI_GET stops there, BATCH_GET has no way to say so. */
enum { KV_REPLY_SIZE_MAX = 64 << 20 };

/* One read request. All fields are the room's. */
struct kv_read {
    enum rpc_code rpc;
    struct arena *arena;
    union {
        struct bare_blob key; /* GET, TTL; the hash key for SORTKEY_COUNT. */
        struct batch_get_request batch_get;
        struct multi_get_request multi_get;
        struct get_scanner_request get_scanner;
        struct scan_request scan;
        struct bare_i64 clear_scanner;
    } args;
    union {
        struct read_response get;
        struct ttl_response ttl;
        struct batch_get_response batch_get;
        struct multi_get_response multi_get;
        struct count_response count;
        struct scan_response scan;
    } response;
    int32_t status;             /* enum rrdb_status. */
    struct store_value value;   /* Pinned: of GET and TTL. */
    struct store_value *values; /* Pinned: in the arena. */
    uint32_t value_count;
    struct kv_scan *scan; /* Being read. */
    bool has_more;        /* It goes on. */
};

/* Decode. 'body' and 'a' live until kv_read_fini(); 'a' is for this request alone and has a limit.
 * 'scans' may be NULL unless 'rpc' is about scanners.
 * Returns 0; E_SHORT, E_PROTO: malformed; E_UNSUPPORTED: 'rpc' is no read; E_NOMEM. On failure there
 * is nothing to fini. */
int kv_read_begin(struct kv_read *r, enum rpc_code rpc, struct slice body, struct arena *a,
                  struct kv_scans *scans) MUST_CHECK;

/* Read. Returns 0: there is an answer, a storage status included; E_AGAIN: the disk is needed, call
 * again with STORE_ANY (only with STORE_CACHED); E_NOMEM (no memory, or the arena's limit): answer
 * ERR_BUSY; E_LIMIT (the answer would be too large): answer ERR_INVALID_DATA.
 * With STORE_CACHED: on the thread that writes the store. With STORE_ANY: any thread, blocking. */
int kv_read_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                enum store_tier tier) MUST_CHECK;

/* Close the request and give its answer, to be encoded before kv_read_fini(); nothing for
 * CLEAR_SCANNER. 'now_ms' is of the clock given to kv_scans_expire(). */
struct kv_reply kv_read_end(struct kv_read *r, const struct kv_partition *p, struct kv_scans *scans,
                            uint64_t now_ms);

/* Release what is pinned, close a scan that did not end well. After a successful kv_read_begin(),
 * whether or not the rest happened. Owner's loop. */
void kv_read_fini(struct kv_read *r);

/* Bytes of keys and values in the answer, for read throttling by size. */
size_t kv_read_size(const struct kv_read *r);
