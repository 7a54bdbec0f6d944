/* src/core/meta/snapshot.c: the whole state as bytes, and back (docs/meta.md, rule M4).
 *
 *     offset  size  field      little-endian
 *     0       4     magic      "PMS1"
 *     4       4     crc        CRC-32C of what follows
 *     8       n     struct image, in Thrift's binary protocol
 *
 * Between the state and its bytes stands an image: the same facts as flat structs with a table
 * each. Arrays are sorted in the state, so equal states make equal bytes. What is read is not
 * believed: a state that breaks a rule is E_CORRUPT. */
#include "base/bytes.h"
#include "base/crc.h"
#include "core/meta/meta_impl.h"
#include "wire/schema.h"

enum { SNAPSHOT_HEAD_SIZE = 8, SNAPSHOT_CRC_AT = 4 };

static const uint8_t magic[4] = {'P', 'M', 'S', '1'};

struct node_image {
    int64_t id;
    int32_t ipv4, port;
    bool is_alive;
    int64_t incarnation;
    bool is_draining; /* Absent where nobody knew of it: false. */
};

static const struct field node_image_fields[] = {
    FIELD(node_image, 1, I64, id),          FIELD(node_image, 2, I32, ipv4),
    FIELD(node_image, 3, I32, port),        FIELD(node_image, 4, BOOL, is_alive),
    FIELD(node_image, 5, I64, incarnation), FIELD(node_image, 6, BOOL, is_draining),
};
static SCHEMA(node_image);

struct remote_image {
    struct slice name, metas;
    int32_t cluster_id;
};

static const struct field remote_image_fields[] = {
    FIELD(remote_image, 1, STRING, name),
    FIELD(remote_image, 2, STRING, metas),
    FIELD(remote_image, 3, I32, cluster_id),
};
static SCHEMA(remote_image);

struct partition_image {
    int64_t ballot, primary;
    struct i64_list secondaries, last_drops;
    int64_t learner; /* Absent in older snapshots: none. */
};

static const struct field partition_image_fields[] = {
    FIELD(partition_image, 1, I64, ballot),
    FIELD(partition_image, 2, I64, primary),
    FIELD_LIST(partition_image, 3, I64, secondaries),
    FIELD_LIST(partition_image, 4, I64, last_drops),
    FIELD(partition_image, 5, I64, learner),
};
static SCHEMA(partition_image);

struct progress_image {
    int64_t confirmed;
    bool is_bootstrapped;
};

static const struct field progress_image_fields[] = {
    FIELD(progress_image, 1, I64, confirmed),
    FIELD(progress_image, 2, BOOL, is_bootstrapped),
};
static SCHEMA(progress_image);

struct dup_image {
    int32_t id, status, fail_mode;
    bool with_bootstrap;
    struct slice remote_cluster, remote_metas, remote_table;
    int32_t remote_replica_count, remote_cluster_id;
    int64_t remote_uuid, create_ms;
    int32_t remote_table_id;
    struct {
        struct progress_image *items;
        uint32_t count;
    } partitions;
};

static const struct field dup_image_fields[] = {
    FIELD(dup_image, 1, I32, id),
    FIELD(dup_image, 2, I32, status),
    FIELD(dup_image, 3, I32, fail_mode),
    FIELD(dup_image, 4, BOOL, with_bootstrap),
    FIELD(dup_image, 5, STRING, remote_cluster),
    FIELD(dup_image, 6, STRING, remote_metas),
    FIELD(dup_image, 7, STRING, remote_table),
    FIELD(dup_image, 8, I32, remote_replica_count),
    FIELD(dup_image, 9, I32, remote_cluster_id),
    FIELD(dup_image, 10, I64, remote_uuid),
    FIELD(dup_image, 11, I64, create_ms),
    FIELD_STRUCTS(dup_image, 12, progress_image, partitions),
    FIELD(dup_image, 13, I32, remote_table_id),
};
static SCHEMA(dup_image);

struct table_image {
    int32_t id;
    struct slice name;
    int32_t status, max_replica_count;
    int64_t create_s, drop_s, expire_s;
    struct string_map envs;
    struct {
        struct partition_image *items;
        uint32_t count;
    } partitions;
    struct {
        struct dup_image *items;
        uint32_t count;
    } dups;
};

static const struct field table_image_fields[] = {
    FIELD(table_image, 1, I32, id),
    FIELD(table_image, 2, STRING, name),
    FIELD(table_image, 3, I32, status),
    FIELD(table_image, 4, I32, max_replica_count),
    FIELD(table_image, 5, I64, create_s),
    FIELD(table_image, 6, I64, drop_s),
    FIELD(table_image, 7, I64, expire_s),
    FIELD_MAP(table_image, 8, string_pair, envs),
    FIELD_STRUCTS(table_image, 9, partition_image, partitions),
    FIELD_STRUCTS(table_image, 10, dup_image, dups),
};
static SCHEMA(table_image);

struct image {
    struct slice cluster_name;
    int64_t cluster_uuid;
    int32_t cluster_id, next_table_id;
    struct {
        struct node_image *items;
        uint32_t count;
    } nodes;
    struct {
        struct remote_image *items;
        uint32_t count;
    } remotes;
    struct {
        struct table_image *items;
        uint32_t count;
    } tables;
};

static const struct field image_fields[] = {
    FIELD(image, 1, STRING, cluster_name),
    FIELD(image, 2, I64, cluster_uuid),
    FIELD(image, 3, I32, cluster_id),
    FIELD(image, 4, I32, next_table_id),
    FIELD_STRUCTS(image, 5, node_image, nodes),
    FIELD_STRUCTS(image, 6, remote_image, remotes),
    FIELD_STRUCTS(image, 7, table_image, tables),
};
static SCHEMA(image);

/* ---- From the state to the image ------------------------------------------------------------- */

/* Give 'list' 'n' items from the arena, or leave the function. */
#define TAKE_ITEMS(arena, list, n)                                                                 \
    do {                                                                                           \
        (list)->count = (uint32_t)(n);                                                             \
        (list)->items = arena_array(arena, n, sizeof *(list)->items);                              \
        if ((list)->items == NULL) return E_NOMEM;                                                 \
    } while (0)

static int draw_ids(const uint64_t *ids, size_t count, struct arena *arena, struct i64_list *to)
{
    TAKE_ITEMS(arena, to, count);
    for (size_t i = 0; i < count; i++) to->items[i] = (int64_t)ids[i];
    return 0;
}

static int draw_partition(const struct meta_partition *p, struct arena *arena,
                          struct partition_image *to)
{
    to->ballot = (int64_t)p->ballot;
    to->primary = (int64_t)p->primary;
    to->learner = (int64_t)p->learner;
    int rc = draw_ids(p->secondaries, p->secondary_count, arena, &to->secondaries);
    return rc != 0 ? rc : draw_ids(p->last_drops, p->last_drop_count, arena, &to->last_drops);
}

static int draw_dup(const struct meta_dup *dup, uint32_t partition_count, struct arena *arena,
                    struct dup_image *to)
{
    to->id = dup->id;
    to->status = (int32_t)dup->status;
    to->fail_mode = (int32_t)dup->fail_mode;
    to->with_bootstrap = dup->with_bootstrap;
    to->remote_cluster = slice_str(dup->remote_cluster);
    to->remote_metas = slice_str(dup->remote_metas);
    to->remote_table = slice_str(dup->remote_table);
    to->remote_replica_count = dup->remote_replica_count;
    to->remote_cluster_id = dup->remote_cluster_id;
    to->remote_uuid = (int64_t)dup->remote_uuid;
    to->remote_table_id = dup->remote_table_id;
    to->create_ms = dup->create_ms;
    TAKE_ITEMS(arena, &to->partitions, partition_count);
    for (uint32_t i = 0; i < partition_count; i++)
        to->partitions.items[i] = (struct progress_image){dup->partitions[i].confirmed,
                                                          dup->partitions[i].is_bootstrapped};
    return 0;
}

static int draw_table(const struct meta_table *t, struct arena *arena, struct table_image *to)
{
    int rc = 0;
    to->id = t->id;
    to->name = slice_str(t->name);
    to->status = (int32_t)t->status;
    to->max_replica_count = t->max_replica_count;
    to->create_s = t->create_s;
    to->drop_s = t->drop_s;
    to->expire_s = t->expire_s;
    TAKE_ITEMS(arena, &to->envs, t->env_count);
    for (size_t i = 0; i < t->env_count; i++)
        to->envs.items[i] =
            (struct string_pair){slice_str(t->envs[i].key), slice_str(t->envs[i].value)};
    TAKE_ITEMS(arena, &to->partitions, t->partition_count);
    for (uint32_t i = 0; rc == 0 && i < t->partition_count; i++)
        rc = draw_partition(&t->partitions[i], arena, &to->partitions.items[i]);
    TAKE_ITEMS(arena, &to->dups, t->dup_count);
    for (size_t i = 0; rc == 0 && i < t->dup_count; i++)
        rc = draw_dup(&t->dups[i], t->partition_count, arena, &to->dups.items[i]);
    return rc;
}

static int draw(const struct meta *m, struct arena *arena, struct image *to)
{
    int rc = 0;
    to->cluster_name = slice_str(m->cluster_name);
    to->cluster_uuid = (int64_t)m->cluster_uuid;
    to->cluster_id = m->cluster_id;
    to->next_table_id = m->next_table_id;
    TAKE_ITEMS(arena, &to->nodes, m->node_count);
    for (size_t i = 0; i < m->node_count; i++) {
        const struct meta_node *n = &m->nodes[i];
        to->nodes.items[i] =
            (struct node_image){(int64_t)n->id, (int32_t)n->ipv4,        n->port,
                                n->is_alive,    (int64_t)n->incarnation, n->is_draining};
    }
    TAKE_ITEMS(arena, &to->remotes, m->remote_count);
    for (size_t i = 0; i < m->remote_count; i++) {
        const struct meta_remote *r = &m->remotes[i];
        to->remotes.items[i] =
            (struct remote_image){slice_str(r->name), slice_str(r->metas), r->cluster_id};
    }
    TAKE_ITEMS(arena, &to->tables, m->table_count);
    for (size_t i = 0; rc == 0 && i < m->table_count; i++)
        rc = draw_table(m->tables[i], arena, &to->tables.items[i]);
    return rc;
}

int meta_snapshot_write(const struct meta *m, struct buf *to)
{
    struct arena arena = {0};
    struct image image = {0};
    size_t start = to->size;
    int rc = draw(m, &arena, &image);
    if (rc == 0) {
        buf_append(to, magic, sizeof magic);
        buf_append_le32(to, 0);
        thrift_write_struct(to, THRIFT_FULL, &image_schema, &image);
        rc = buf_status(to);
    }
    arena_fini(&arena);
    if (rc != 0) return rc;
    uint8_t *head = to->data + start;
    bytes_put_le32(head + SNAPSHOT_CRC_AT,
                   crc32c(0, head + SNAPSHOT_HEAD_SIZE, to->size - start - SNAPSHOT_HEAD_SIZE));
    return 0;
}

/* ---- From the image to the state ------------------------------------------------------------- */

static bool fits(struct slice text, size_t size_max)
{
    return text.size <= size_max && (text.size == 0 || memchr(text.data, '\0', text.size) == NULL);
}

static int build_ids(const struct i64_list *from, size_t count_max, uint64_t *to, uint8_t *count)
{
    if (from->count > count_max) return E_CORRUPT;
    for (uint32_t i = 0; i < from->count; i++) to[i] = (uint64_t)from->items[i];
    *count = (uint8_t)from->count;
    return 0;
}

static int build_partitions(const struct table_image *from, struct meta_table *t)
{
    if (from->partitions.count == 0 || from->partitions.count > META_PARTITIONS_MAX)
        return E_CORRUPT;
    t->partition_count = from->partitions.count;
    t->partitions = mem_zalloc(t->partition_count * sizeof *t->partitions);
    if (t->partitions == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < t->partition_count; i++) {
        const struct partition_image *image = &from->partitions.items[i];
        struct meta_partition *p = &t->partitions[i];
        p->ballot = (uint64_t)image->ballot;
        p->primary = (uint64_t)image->primary;
        p->learner = (uint64_t)image->learner;
        int rc = build_ids(&image->secondaries, META_REPLICAS_MAX - 1, p->secondaries,
                           &p->secondary_count);
        if (rc == 0)
            rc = build_ids(&image->last_drops, META_REPLICAS_MAX, p->last_drops,
                           &p->last_drop_count);
        if (rc != 0) return rc;
    }
    return 0;
}

static int build_envs(const struct table_image *from, struct meta_table *t)
{
    struct env_list list = {0};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < from->envs.count; i++)
        rc = env_list_put(&list, from->envs.items[i].key, from->envs.items[i].value);
    t->envs = list.items;
    t->env_count = list.count;
    if (rc == 0 && list.count != from->envs.count) rc = E_CORRUPT; /* A key came twice. */
    return rc == E_LIMIT ? E_CORRUPT : rc;
}

static int build_dup(const struct dup_image *from, uint32_t partition_count, struct meta_dup *dup)
{
    if (!fits(from->remote_cluster, META_NAME_SIZE_MAX) ||
        !fits(from->remote_metas, META_METAS_SIZE_MAX) ||
        !fits(from->remote_table, META_NAME_SIZE_MAX) || from->remote_cluster_id < 0 ||
        from->remote_cluster_id > META_CLUSTER_ID_MAX || from->partitions.count != partition_count)
        return E_CORRUPT;
    dup->id = from->id;
    dup->status = (enum duplication_status)from->status;
    dup->fail_mode = (enum duplication_fail_mode)from->fail_mode;
    dup->with_bootstrap = from->with_bootstrap;
    dup->remote_replica_count = from->remote_replica_count;
    dup->remote_cluster_id = (uint8_t)from->remote_cluster_id;
    dup->remote_uuid = (uint64_t)from->remote_uuid;
    dup->remote_table_id = from->remote_table_id;
    dup->create_ms = from->create_ms;
    meta_text_set(dup->remote_cluster, from->remote_cluster);
    meta_text_set(dup->remote_metas, from->remote_metas);
    meta_text_set(dup->remote_table, from->remote_table);
    dup->partitions = mem_zalloc(partition_count * sizeof *dup->partitions);
    if (dup->partitions == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < partition_count; i++)
        dup->partitions[i] = (struct meta_dup_partition){from->partitions.items[i].confirmed,
                                                         from->partitions.items[i].is_bootstrapped};
    return 0;
}

static int build_dups(const struct table_image *from, struct meta_table *t)
{
    if (from->dups.count > META_DUPS_MAX) return E_CORRUPT;
    if (from->dups.count == 0) return 0;
    t->dups = mem_zalloc(from->dups.count * sizeof *t->dups);
    if (t->dups == NULL) return E_NOMEM;
    for (; t->dup_count < from->dups.count; t->dup_count++) {
        int rc =
            build_dup(&from->dups.items[t->dup_count], t->partition_count, &t->dups[t->dup_count]);
        if (rc != 0) return rc;
    }
    return 0;
}

static int build_table(const struct table_image *from, struct meta_table **out)
{
    if (!fits(from->name, META_NAME_SIZE_MAX)) return E_CORRUPT;
    struct meta_table *t = mem_zalloc(sizeof *t);
    if (t == NULL) return E_NOMEM;
    t->id = from->id;
    t->status = (enum app_status)from->status;
    t->max_replica_count = from->max_replica_count;
    t->create_s = from->create_s;
    t->drop_s = from->drop_s;
    t->expire_s = from->expire_s;
    meta_text_set(t->name, from->name);
    int rc = build_partitions(from, t);
    if (rc == 0) rc = build_envs(from, t);
    if (rc == 0) rc = build_dups(from, t);
    if (rc == 0) *out = t;
    else meta_table_free(t);
    return rc;
}

static int build_nodes(const struct image *from, struct meta *m)
{
    if (from->nodes.count > META_NODES_MAX) return E_CORRUPT;
    m->nodes = mem_zalloc((from->nodes.count + 1) * sizeof *m->nodes);
    if (m->nodes == NULL) return E_NOMEM;
    for (; m->node_count < from->nodes.count; m->node_count++) {
        const struct node_image *n = &from->nodes.items[m->node_count];
        if (n->port < 0 || n->port > UINT16_MAX) return E_CORRUPT;
        m->nodes[m->node_count] =
            (struct meta_node){(uint64_t)n->id, (uint32_t)n->ipv4,        (uint16_t)n->port,
                               n->is_alive,     (uint64_t)n->incarnation, n->is_draining};
    }
    return 0;
}

static int build_remotes(const struct image *from, struct meta *m)
{
    if (from->remotes.count > META_REMOTES_MAX) return E_CORRUPT;
    m->remotes = mem_zalloc((from->remotes.count + 1) * sizeof *m->remotes);
    if (m->remotes == NULL) return E_NOMEM;
    for (; m->remote_count < from->remotes.count; m->remote_count++) {
        const struct remote_image *image = &from->remotes.items[m->remote_count];
        struct meta_remote *remote = &m->remotes[m->remote_count];
        if (!fits(image->name, META_NAME_SIZE_MAX) || !fits(image->metas, META_METAS_SIZE_MAX) ||
            image->cluster_id < 0 || image->cluster_id > META_CLUSTER_ID_MAX)
            return E_CORRUPT;
        remote->cluster_id = (uint8_t)image->cluster_id;
        meta_text_set(remote->name, image->name);
        meta_text_set(remote->metas, image->metas);
    }
    return 0;
}

static int build_tables(const struct image *from, struct meta *m)
{
    if (from->tables.count > META_TABLES_MAX) return E_CORRUPT;
    m->table_capacity = from->tables.count + (size_t)1;
    m->tables = mem_zalloc(m->table_capacity * sizeof(struct meta_table *));
    if (m->tables == NULL) return E_NOMEM;
    for (; m->table_count < from->tables.count; m->table_count++) {
        int rc = build_table(&from->tables.items[m->table_count], &m->tables[m->table_count]);
        if (rc != 0) return rc;
    }
    return 0;
}

static int build(const struct image *from, struct meta *m)
{
    if (!fits(from->cluster_name, META_NAME_SIZE_MAX) || from->cluster_id < 0 ||
        from->cluster_id > META_CLUSTER_ID_MAX)
        return E_CORRUPT;
    meta_text_set(m->cluster_name, from->cluster_name);
    m->cluster_uuid = (uint64_t)from->cluster_uuid;
    m->cluster_id = (uint8_t)from->cluster_id;
    m->next_table_id = from->next_table_id;
    int rc = build_nodes(from, m);
    if (rc == 0) rc = build_remotes(from, m);
    if (rc == 0) rc = build_tables(from, m);
    if (rc == 0 && meta_fault(m) != NULL) rc = E_CORRUPT;
    return rc;
}

static int read_image(struct slice bytes, struct arena *arena, struct image *image)
{
    if (bytes.size < SNAPSHOT_HEAD_SIZE || memcmp(bytes.data, magic, sizeof magic) != 0)
        return E_PROTO;
    struct slice body = slice_skip(bytes, SNAPSHOT_HEAD_SIZE);
    if (crc32c(0, body.data, body.size) != bytes_get_le32(bytes.data + SNAPSHOT_CRC_AT))
        return E_PROTO;
    int rc = thrift_read_struct(&body, &image_schema, image, arena);
    if (rc == E_NOMEM) return rc;
    return rc == 0 && body.size == 0 ? 0 : E_PROTO;
}

int meta_snapshot_read(struct slice bytes, struct meta **out)
{
    struct arena arena = {0};
    struct image image;
    struct meta *m = meta_new();
    int rc = m != NULL ? read_image(bytes, &arena, &image) : E_NOMEM;
    if (rc == 0) rc = build(&image, m);
    arena_fini(&arena);
    if (rc == 0) *out = m;
    else meta_free(m);
    return rc;
}
