/* src/wire/mutation.c: a head with lengths, then ops with lengths. */
#include "wire/mutation.h"

#include "base/check.h"
#include "wire/key.h"

size_t mutation_begin(struct buf *to)
{
    size_t offset = to->size;
    uint8_t *head = buf_extend(to, MUTATION_HEAD_SIZE);
    if (head != NULL) memset(head, 0, MUTATION_HEAD_SIZE);
    return offset;
}

void mutation_add(struct buf *to, const struct mutation_op *op)
{
    uint8_t *at = buf_extend(to, MUTATION_OP_HEAD_SIZE + op->key.size + op->data.size);
    if (at == NULL) return;
    bytes_put_le64(at, op->timetag);
    bytes_put_le32(at + 8, op->expire_ts);
    bytes_put_le32(at + 12, (uint32_t)op->key.size);
    bytes_put_le32(at + 16, (uint32_t)op->data.size);
    at += MUTATION_OP_HEAD_SIZE;
    if (op->key.size > 0) memcpy(at, op->key.data, op->key.size);
    if (op->data.size > 0) memcpy(at + op->key.size, op->data.data, op->data.size);
}

/* Count the ops that fill 'ops' exactly. Returns 0, E_SHORT or E_PROTO. */
static int ops_count(struct slice ops, uint32_t *count)
{
    uint32_t n = 0;
    while (ops.size > 0) {
        if (ops.size < MUTATION_OP_HEAD_SIZE) return E_SHORT;
        uint64_t timetag = bytes_get_le64(ops.data);
        uint64_t key_size = bytes_get_le32(ops.data + 12);
        uint64_t data_size = bytes_get_le32(ops.data + 16);
        if (key_size + data_size > ops.size - MUTATION_OP_HEAD_SIZE) return E_SHORT;
        if (key_size < KEY_HEAD_SIZE) return E_PROTO;
        if (timetag_is_deleted(timetag) && data_size != 0) return E_PROTO;
        ops = slice_skip(ops, MUTATION_OP_HEAD_SIZE + (size_t)(key_size + data_size));
        n++;
    }
    *count = n;
    return 0;
}

int mutation_finish(struct buf *to, size_t offset, uint64_t decree, uint64_t ballot,
                    uint64_t timestamp_us)
{
    if (to->failed) return E_NOMEM;
    CHECK(to->size >= offset + MUTATION_HEAD_SIZE);
    size_t ops_size = to->size - offset - MUTATION_HEAD_SIZE;
    if (ops_size > MUTATION_SIZE_MAX - MUTATION_HEAD_SIZE) return E_LIMIT;

    uint8_t *head = to->data + offset;
    uint32_t count = 0;
    CHECK(ops_count(slice_of(head + MUTATION_HEAD_SIZE, ops_size), &count) == 0);
    bytes_put_le64(head, decree);
    bytes_put_le64(head + 8, ballot);
    bytes_put_le64(head + 16, timestamp_us);
    bytes_put_le32(head + 24, count);
    bytes_put_le32(head + 28, (uint32_t)ops_size);
    return 0;
}

int mutation_read(struct slice bytes, struct mutation *out)
{
    if (bytes.size > MUTATION_SIZE_MAX) return E_LIMIT;
    if (bytes.size < MUTATION_HEAD_SIZE) return E_SHORT;
    struct mutation m = {
        .decree = bytes_get_le64(bytes.data),
        .ballot = bytes_get_le64(bytes.data + 8),
        .timestamp_us = bytes_get_le64(bytes.data + 16),
        .op_count = bytes_get_le32(bytes.data + 24),
        .ops = slice_skip(bytes, MUTATION_HEAD_SIZE),
    };
    uint32_t ops_size = bytes_get_le32(bytes.data + 28);
    if (ops_size > m.ops.size) return E_SHORT;
    if (ops_size < m.ops.size || m.decree == 0) return E_PROTO;

    uint32_t count = 0;
    int rc = ops_count(m.ops, &count);
    if (rc != 0) return rc;
    if (count != m.op_count) return E_PROTO;
    *out = m;
    return 0;
}

bool mutation_op_next(struct slice *ops, struct mutation_op *op)
{
    if (ops->size == 0) return false;
    const uint8_t *at = ops->data;
    size_t key_size = bytes_get_le32(at + 12);
    size_t data_size = bytes_get_le32(at + 16);
    op->timetag = bytes_get_le64(at);
    op->expire_ts = bytes_get_le32(at + 8);
    op->key = slice_of(at + MUTATION_OP_HEAD_SIZE, key_size);
    op->data = slice_of(at + MUTATION_OP_HEAD_SIZE + key_size, data_size);
    *ops = slice_skip(*ops, MUTATION_OP_HEAD_SIZE + key_size + data_size);
    return true;
}
