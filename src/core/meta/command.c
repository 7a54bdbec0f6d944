/* src/core/meta/command.c: a command as bytes, as the meta group's log keeps it.
 *
 *     offset  size  field      little-endian
 *     0       1     type       enum meta_command_type
 *     1       8     now_ms
 *     9       n     the struct of that type, in Thrift's binary protocol
 *
 * A table never gains a row that changes what a command means: members of the group with an older
 * program would skip it and go another way. A new meaning is a new type, which they refuse (M3). */
#include "base/bytes.h"
#include "core/meta/meta_impl.h"
#include "wire/schema.h"

enum {
    COMMAND_HEAD_SIZE = 9,
    COMMAND_MEMORY_MAX = 256 << 20, /* Bytes of lists while one command is applied. */
};

static const struct field meta_cluster_init_fields[] = {
    FIELD(meta_cluster_init, 1, STRING, name),
    FIELD(meta_cluster_init, 2, I32, cluster_id),
    FIELD(meta_cluster_init, 3, I64, uuid),
};
static SCHEMA(meta_cluster_init);

static const struct field meta_node_join_fields[] = {
    FIELD(meta_node_join, 1, I64, id),
    FIELD(meta_node_join, 2, I32, ipv4),
    FIELD(meta_node_join, 3, I32, port),
};
static SCHEMA(meta_node_join);

static const struct field meta_node_start_fields[] = {
    FIELD(meta_node_start, 1, I64, id),
    FIELD(meta_node_start, 2, I32, ipv4),
    FIELD(meta_node_start, 3, I32, port),
    FIELD(meta_node_start, 4, I64, incarnation),
};
static SCHEMA(meta_node_start);

static const struct field meta_node_leave_fields[] = {
    FIELD(meta_node_leave, 1, I64, id),
};
static SCHEMA(meta_node_leave);

static const struct field meta_node_dead_fields[] = {
    FIELD(meta_node_dead, 1, I64, id),
    FIELD(meta_node_dead, 2, I64, incarnation),
};
static SCHEMA(meta_node_dead);

static const struct field meta_node_yield_fields[] = {
    FIELD(meta_node_yield, 1, I64, id),
    FIELD(meta_node_yield, 2, I64, incarnation),
};
static SCHEMA(meta_node_yield);

static const struct field meta_remote_set_fields[] = {
    FIELD(meta_remote_set, 1, STRING, name),
    FIELD(meta_remote_set, 2, STRING, metas),
    FIELD(meta_remote_set, 3, I32, cluster_id),
};
static SCHEMA(meta_remote_set);

static const struct field meta_table_create_fields[] = {
    FIELD(meta_table_create, 1, STRING, name),
    FIELD(meta_table_create, 2, STRING, app_type),
    FIELD(meta_table_create, 3, I32, partition_count),
    FIELD(meta_table_create, 4, I32, replica_count),
    FIELD(meta_table_create, 5, BOOL, success_if_exist),
    FIELD(meta_table_create, 6, BOOL, clamp_replicas),
    FIELD_MAP(meta_table_create, 7, string_pair, envs),
};
static SCHEMA(meta_table_create);

static const struct field meta_table_drop_fields[] = {
    FIELD(meta_table_drop, 1, STRING, name),
    FIELD(meta_table_drop, 2, BOOL, success_if_absent),
    FIELD(meta_table_drop, 3, I64, reserve_s),
};
static SCHEMA(meta_table_drop);

static const struct field meta_table_recall_fields[] = {
    FIELD(meta_table_recall, 1, I32, table_id),
    FIELD(meta_table_recall, 2, STRING, new_name),
};
static SCHEMA(meta_table_recall);

static const struct field meta_table_rename_fields[] = {
    FIELD(meta_table_rename, 1, STRING, old_name),
    FIELD(meta_table_rename, 2, STRING, new_name),
};
static SCHEMA(meta_table_rename);

struct meta_table_purge {
    char nothing; /* C wants a member. */
};
static SCHEMA_EMPTY(meta_table_purge);

static const struct field meta_envs_set_fields[] = {
    FIELD(meta_envs_set, 1, STRING, table),
    FIELD_MAP(meta_envs_set, 2, string_pair, envs),
};
static SCHEMA(meta_envs_set);

static const struct field meta_envs_delete_fields[] = {
    FIELD(meta_envs_delete, 1, STRING, table),
    FIELD_LIST(meta_envs_delete, 2, STRING, keys),
};
static SCHEMA(meta_envs_delete);

static const struct field meta_envs_clear_fields[] = {
    FIELD(meta_envs_clear, 1, STRING, table),
    FIELD(meta_envs_clear, 2, STRING, prefix),
};
static SCHEMA(meta_envs_clear);

static const struct field meta_replicas_set_fields[] = {
    FIELD(meta_replicas_set, 1, STRING, table),
    FIELD(meta_replicas_set, 2, I32, count),
};
static SCHEMA(meta_replicas_set);

static const struct field meta_dup_add_fields[] = {
    FIELD(meta_dup_add, 1, STRING, table),        FIELD(meta_dup_add, 2, STRING, remote),
    FIELD(meta_dup_add, 3, STRING, remote_table), FIELD(meta_dup_add, 4, I32, remote_replica_count),
    FIELD(meta_dup_add, 5, BOOL, with_bootstrap),
};
static SCHEMA(meta_dup_add);

static const struct field meta_dup_modify_fields[] = {
    FIELD(meta_dup_modify, 1, STRING, table),
    FIELD(meta_dup_modify, 2, I32, dup_id),
    FIELD(meta_dup_modify, 3, I32, status),
    FIELD(meta_dup_modify, 4, I32, fail_mode),
};
static SCHEMA(meta_dup_modify);

static const struct field meta_dup_resolve_fields[] = {
    FIELD(meta_dup_resolve, 1, I32, table_id),
    FIELD(meta_dup_resolve, 2, I32, dup_id),
    FIELD(meta_dup_resolve, 3, STRING, remote_cluster),
    FIELD(meta_dup_resolve, 4, I32, remote_cluster_id),
    FIELD(meta_dup_resolve, 5, I64, remote_uuid),
};
static SCHEMA(meta_dup_resolve);

static const struct field meta_dup_advance_fields[] = {
    FIELD(meta_dup_advance, 1, I32, table_id),
    FIELD(meta_dup_advance, 2, I32, dup_id),
    FIELD(meta_dup_advance, 3, I32, remote_table_id),
};
static SCHEMA(meta_dup_advance);

static const struct field meta_confirm_fields[] = {
    FIELD(meta_confirm, 1, I32, table_id),         FIELD(meta_confirm, 2, I32, dup_id),
    FIELD(meta_confirm, 3, I32, partition),        FIELD(meta_confirm, 4, I64, confirmed),
    FIELD(meta_confirm, 5, BOOL, is_bootstrapped),
};
static SCHEMA(meta_confirm);

static const struct field meta_dup_confirm_fields[] = {
    FIELD_STRUCTS(meta_dup_confirm, 1, meta_confirm, confirms),
};
static SCHEMA(meta_dup_confirm);

static const struct field meta_partition_set_fields[] = {
    FIELD(meta_partition_set, 1, I32, table_id),
    FIELD(meta_partition_set, 2, I32, partition),
    FIELD(meta_partition_set, 3, I64, ballot),
    FIELD(meta_partition_set, 4, I64, primary),
    FIELD_LIST(meta_partition_set, 5, I64, secondaries),
};
static SCHEMA(meta_partition_set);

static const struct field meta_member_change_fields[] = {
    FIELD(meta_member_change, 1, I32, table_id),
    FIELD(meta_member_change, 2, I32, partition),
    FIELD(meta_member_change, 3, I64, ballot),
    FIELD(meta_member_change, 4, I64, node),
};
static SCHEMA(meta_member_change);

static const struct field meta_member_drop_fields[] = {
    FIELD(meta_member_drop, 1, I32, table_id),  FIELD(meta_member_drop, 2, I32, partition),
    FIELD(meta_member_drop, 3, I64, ballot),    FIELD(meta_member_drop, 4, I64, node),
    FIELD(meta_member_drop, 5, I64, successor),
};
static SCHEMA(meta_member_drop);

static const struct field meta_node_drain_fields[] = {
    FIELD(meta_node_drain, 1, I64, id),
    FIELD(meta_node_drain, 2, BOOL, is_draining),
};
static SCHEMA(meta_node_drain);

static const struct schema *const schemas[] = {
    [META_CLUSTER_INIT] = &meta_cluster_init_schema,
    [META_NODE_JOIN] = &meta_node_join_schema,
    [META_NODE_LEAVE] = &meta_node_leave_schema,
    [META_REMOTE_SET] = &meta_remote_set_schema,
    [META_TABLE_CREATE] = &meta_table_create_schema,
    [META_TABLE_DROP] = &meta_table_drop_schema,
    [META_TABLE_RECALL] = &meta_table_recall_schema,
    [META_TABLE_RENAME] = &meta_table_rename_schema,
    [META_TABLE_PURGE] = &meta_table_purge_schema,
    [META_ENVS_SET] = &meta_envs_set_schema,
    [META_ENVS_DELETE] = &meta_envs_delete_schema,
    [META_ENVS_CLEAR] = &meta_envs_clear_schema,
    [META_REPLICAS_SET] = &meta_replicas_set_schema,
    [META_DUP_ADD] = &meta_dup_add_schema,
    [META_DUP_MODIFY] = &meta_dup_modify_schema,
    [META_DUP_RESOLVE] = &meta_dup_resolve_schema,
    [META_DUP_ADVANCE] = &meta_dup_advance_schema,
    [META_DUP_CONFIRM] = &meta_dup_confirm_schema,
    [META_PARTITION_SET] = &meta_partition_set_schema,
    [META_NODE_START] = &meta_node_start_schema,
    [META_NODE_DEAD] = &meta_node_dead_schema,
    [META_NODE_YIELD] = &meta_node_yield_schema,
    [META_MEMBER_ADD] = &meta_member_change_schema,
    [META_MEMBER_JOIN] = &meta_member_change_schema,
    [META_MEMBER_DROP] = &meta_member_drop_schema,
    [META_NODE_DRAIN] = &meta_node_drain_schema,
};

enum { TYPE_COUNT = sizeof schemas / sizeof schemas[0] };

int meta_command_write(const struct meta_command *command, struct buf *to)
{
    CHECK(command->type > 0 && (unsigned)command->type < TYPE_COUNT);
    buf_append_u8(to, (uint8_t)command->type);
    buf_append_le64(to, command->now_ms);
    thrift_write_struct(to, THRIFT_FULL, schemas[command->type], &command->cluster_init);
    return buf_status(to);
}

bool meta_command_is_valid(struct slice bytes)
{
    struct arena arena = {0};
    struct meta_command command;
    int rc = meta_command_read(bytes, &arena, &command);
    arena_fini(&arena);
    return rc == 0;
}

/* All structs of the union begin where the first one does. */
int meta_command_read(struct slice bytes, struct arena *arena, struct meta_command *out)
{
    if (bytes.size < COMMAND_HEAD_SIZE) return E_PROTO;
    uint8_t type = bytes.data[0];
    if (type >= TYPE_COUNT || schemas[type] == NULL) return E_PROTO;
    out->type = (enum meta_command_type)type;
    out->now_ms = bytes_get_le64(bytes.data + 1);
    struct slice body = slice_skip(bytes, COMMAND_HEAD_SIZE);
    arena->limit = COMMAND_MEMORY_MAX;
    int rc = thrift_read_struct(&body, schemas[type], &out->cluster_init, arena);
    if (rc == E_NOMEM && arena->total < COMMAND_MEMORY_MAX / 2) return rc;
    return rc == 0 && body.size == 0 ? 0 : E_PROTO;
}
