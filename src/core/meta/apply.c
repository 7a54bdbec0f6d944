/* src/core/meta/apply.c: one command in, one result out (docs/meta.md, rules M1 to M4).
 *
 *     offset  size  field of a result    little-endian; it never leaves the process
 *     0       1     status
 *     1       4     table_id
 *     5       4     changed_id
 *     9       4     dup_id
 *     13      4     old_value
 *     17      n     hint */
#include "base/bytes.h"
#include "core/meta/meta_impl.h"

enum { RESULT_HEAD_SIZE = 17 };

static meta_handler *const handlers[] = {
    [META_CLUSTER_INIT] = meta_on_cluster_init,   [META_NODE_JOIN] = meta_on_node_join,
    [META_NODE_LEAVE] = meta_on_node_leave,       [META_REMOTE_SET] = meta_on_remote_set,
    [META_TABLE_CREATE] = meta_on_table_create,   [META_TABLE_DROP] = meta_on_table_drop,
    [META_TABLE_RECALL] = meta_on_table_recall,   [META_TABLE_RENAME] = meta_on_table_rename,
    [META_TABLE_PURGE] = meta_on_table_purge,     [META_ENVS_SET] = meta_on_envs_set,
    [META_ENVS_DELETE] = meta_on_envs_delete,     [META_ENVS_CLEAR] = meta_on_envs_clear,
    [META_REPLICAS_SET] = meta_on_replicas_set,   [META_DUP_ADD] = meta_on_dup_add,
    [META_DUP_MODIFY] = meta_on_dup_modify,       [META_DUP_RESOLVE] = meta_on_dup_resolve,
    [META_DUP_ADVANCE] = meta_on_dup_advance,     [META_DUP_CONFIRM] = meta_on_dup_confirm,
    [META_PARTITION_SET] = meta_on_partition_set, [META_NODE_START] = meta_on_node_start,
    [META_NODE_YIELD] = meta_on_node_yield,       [META_NODE_DEAD] = meta_on_node_dead,
    [META_MEMBER_ADD] = meta_on_member_add,       [META_MEMBER_JOIN] = meta_on_member_join,
    [META_MEMBER_DROP] = meta_on_member_drop,     [META_NODE_DRAIN] = meta_on_node_drain,
};

static void result_write(const struct meta_result *r, struct slice hint, struct buf *to)
{
    buf_append_u8(to, (uint8_t)r->err);
    buf_append_le32(to, (uint32_t)r->table_id);
    buf_append_le32(to, (uint32_t)r->changed_id);
    buf_append_le32(to, (uint32_t)r->dup_id);
    buf_append_le32(to, (uint32_t)r->old_value);
    buf_append_slice(to, hint);
}

int meta_apply(struct meta *m, struct slice command, struct buf *result)
{
    struct arena arena = {0};
    struct meta_command c;
    struct outcome out = {.into = result};
    int rc = meta_command_read(command, &arena, &c);
    if (rc == 0) rc = handlers[c.type](m, &c, &out);
    if (rc == 0) rc = outcome_ready(&out); /* For those who refused: they have not called it. */
    if (rc == 0) result_write(&out.result, buf_slice(&out.hint), result);
    buf_fini(&out.hint);
    arena_fini(&arena);
    return rc;
}

int meta_result_read(struct slice bytes, struct meta_result *out)
{
    if (bytes.size < RESULT_HEAD_SIZE || bytes.data[0] >= WIRE_ERROR_COUNT) return E_PROTO;
    out->err = (enum wire_error)bytes.data[0];
    out->table_id = (int32_t)bytes_get_le32(bytes.data + 1);
    out->changed_id = (int32_t)bytes_get_le32(bytes.data + 5);
    out->dup_id = (int32_t)bytes_get_le32(bytes.data + 9);
    out->old_value = (int32_t)bytes_get_le32(bytes.data + 13);
    out->hint = slice_skip(bytes, RESULT_HEAD_SIZE);
    return 0;
}

int outcome_refused(struct outcome *out, enum wire_error why)
{
    out->result.err = why;
    return 0;
}

int outcome_ready(struct outcome *out)
{
    if (buf_status(&out->hint) != 0) return E_NOMEM;
    return buf_reserve(out->into, RESULT_HEAD_SIZE + out->hint.size);
}
