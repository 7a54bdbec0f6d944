/* src/kv/dup_entry.h: ops of a mutation as entries of a DUPLICATE request: what the shipper sends.
 *
 * Each op becomes one entry: REMOVE or PUT with absolute expiry, its timestamp and cluster id from the
 * op's own timetag, and verify_timetag set. So an entry means the same wherever and however often it
 * arrives. Requests are encoded in place, and sizes are exact: a batch is closed by bytes.
 *
 *     size_t offset = kv_dup_request_begin(&body);
 *     for each op: kv_dup_entry_append(&body, &op), count++
 *     kv_dup_request_finish(&body, offset, count, &fields);
 *
 * Source: docs/data.md, rule X8. Pure. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "wire/messages_dup.h"
#include "wire/mutation.h"

/* Bytes of a request besides its entries: to a Pegasus server, and with all fields for another Pirene. */
enum { KV_DUP_REQUEST_OVERHEAD = 13, KV_DUP_REQUEST_OVERHEAD_MAX = 85 };

/* Bytes that kv_dup_entry_append() will append for 'op'. */
size_t kv_dup_entry_size(const struct mutation_op *op);

/* Append the entry. A failed allocation is remembered by 'to'. */
void kv_dup_entry_append(struct buf *to, const struct mutation_op *op);

/* Begin a request body (wrapper and list head) at the end of 'to'; returns where. */
size_t kv_dup_request_begin(struct buf *to);

/* End the body begun at 'offset', holding 'count' entries, with the optional fields that 'fields' has set
 * (its own list of entries is empty). A failed allocation is remembered by 'to'. */
void kv_dup_request_finish(struct buf *to, size_t offset, uint32_t count,
                           const struct duplicate_request *fields);
