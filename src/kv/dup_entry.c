/* src/kv/dup_entry.c: written by hand, for size: the codec would want every argument encoded apart and
 * copied into its entry. The tests hold these bytes to those of the codec.
 *
 *     duplicate_entry                        bytes
 *     1 i64   timestamp                      3 + 8
 *     2 name  task_code                      3 + 4 + n
 *     3 blob  raw_message                    3 + 4 + the argument: wrapper, update_request or blob
 *     4 byte  cluster_id                     3 + 1
 *     5 bool  verify_timetag                 3 + 1
 *     STOP                                   1 */
#include "kv/dup_entry.h"

#include "base/bytes.h"
#include "base/check.h"
#include "wire/rpc_names.h"

enum { /* Type bytes of the protocol. */
       WIRE_STOP = 0,
       WIRE_BOOL = 2,
       WIRE_BYTE = 3,
       WIRE_I32 = 8,
       WIRE_I64 = 10,
       WIRE_STRUCT = 12,
       WIRE_LIST = 15,
};

enum {
    FIELD_HEAD_SIZE = 3,
    BLOB_HEAD_SIZE = FIELD_HEAD_SIZE + 4,
    ENTRY_FIXED_SIZE = FIELD_HEAD_SIZE + 8 + 2 * BLOB_HEAD_SIZE + 2 * (FIELD_HEAD_SIZE + 1) + 1,
    REMOVE_FIXED_SIZE = BLOB_HEAD_SIZE + 1,
    PUT_FIXED_SIZE = FIELD_HEAD_SIZE + 2 * BLOB_HEAD_SIZE + FIELD_HEAD_SIZE + 4 + 2,
    REQUEST_HEAD_SIZE = FIELD_HEAD_SIZE + FIELD_HEAD_SIZE + 1 + 4, /* Wrapper, list, type, count. */
};

static uint8_t *put_field(uint8_t *at, uint8_t type, uint16_t id)
{
    *at = type;
    bytes_put_be16(at + 1, id);
    return at + FIELD_HEAD_SIZE;
}

static uint8_t *put_blob(uint8_t *at, uint16_t id, struct slice blob)
{
    at = put_field(at, WIRE_STRUCT, id);
    bytes_put_be32(at, (uint32_t)blob.size);
    if (blob.size > 0) memcpy(at + 4, blob.data, blob.size);
    return at + 4 + blob.size;
}

static struct slice task_code_of(const struct mutation_op *op)
{
    return rpc_info(timetag_is_deleted(op->timetag) ? RPC_REMOVE : RPC_PUT)->name;
}

static size_t argument_size(const struct mutation_op *op)
{
    return timetag_is_deleted(op->timetag) ? REMOVE_FIXED_SIZE + op->key.size
                                           : PUT_FIXED_SIZE + op->key.size + op->data.size;
}

size_t kv_dup_entry_size(const struct mutation_op *op)
{
    return ENTRY_FIXED_SIZE + task_code_of(op).size + argument_size(op);
}

/* The wrapper has id 0, as from a server. */
static uint8_t *put_argument(uint8_t *at, const struct mutation_op *op)
{
    if (timetag_is_deleted(op->timetag)) {
        at = put_blob(at, THRIFT_ARGS_ID_RDSN, op->key);
    } else {
        at = put_field(at, WIRE_STRUCT, THRIFT_ARGS_ID_RDSN);
        at = put_blob(at, 1, op->key);
        at = put_blob(at, 2, op->data);
        at = put_field(at, WIRE_I32, 3);
        bytes_put_be32(at, op->expire_ts);
        at += 4;
        *at++ = WIRE_STOP;
    }
    *at++ = WIRE_STOP;
    return at;
}

void kv_dup_entry_append(struct buf *to, const struct mutation_op *op)
{
    size_t size = kv_dup_entry_size(op);
    uint8_t *start = buf_extend(to, size);
    if (start == NULL) return;
    uint8_t *at = put_field(start, WIRE_I64, 1);
    bytes_put_be64(at, timetag_timestamp_us(op->timetag));
    at = put_blob(at + 8, 2, task_code_of(op));
    at = put_field(at, WIRE_STRUCT, 3);
    bytes_put_be32(at, (uint32_t)argument_size(op));
    at = put_argument(at + 4, op);
    at = put_field(at, WIRE_BYTE, 4);
    *at++ = timetag_cluster_id(op->timetag);
    at = put_field(at, WIRE_BOOL, 5);
    *at++ = true;
    *at++ = WIRE_STOP;
    CHECK(at == start + size);
}

size_t kv_dup_request_begin(struct buf *to)
{
    size_t offset = to->size;
    uint8_t *at = buf_extend(to, REQUEST_HEAD_SIZE);
    if (at == NULL) return offset;
    at = put_field(at, WIRE_STRUCT, THRIFT_ARGS_ID_RDSN);
    at = put_field(at, WIRE_LIST, 1);
    *at++ = WIRE_STRUCT;
    bytes_put_be32(at, 0); /* The count, known at the end. */
    return offset;
}

void kv_dup_request_finish(struct buf *to, size_t offset, uint32_t count,
                           const struct duplicate_request *fields)
{
    /* The codec writes a request without entries; what follows its empty list is the rest of ours. */
    CHECK(fields->entries.count == 0);
    size_t tail = to->size;
    thrift_write_args(to, THRIFT_ARGS_ID_RDSN, &duplicate_request_schema, fields);
    if (to->failed) return;
    size_t rest_size = to->size - tail - REQUEST_HEAD_SIZE;
    memmove(to->data + tail, to->data + tail + REQUEST_HEAD_SIZE, rest_size);
    to->size = tail + rest_size;
    bytes_put_be32(to->data + offset + REQUEST_HEAD_SIZE - 4, count);
}
