/* tests/core/meta/world.c: see world.h. */
#include "world.h"

#include <stdio.h>

void world_init(struct world *w, int nodes)
{
    *w = (struct world){.meta = meta_new(), .now_ms = WORLD_NOW_S * 1000ull};
    assert_non_null(w->meta);
    struct meta_command init = {
        .type = META_CLUSTER_INIT,
        .cluster_init = {.name = slice_str("here"), .cluster_id = 1, .uuid = 111},
    };
    assert_int_equal(world_do(w, &init), WIRE_ERR_OK);
    for (int id = 1; id <= nodes; id++) assert_int_equal(world_join(w, id), WIRE_ERR_OK);
}

void world_fini(struct world *w)
{
    meta_free(w->meta);
    buf_fini(&w->command);
    buf_fini(&w->answer);
}

static int begin(void **state, int nodes)
{
    static struct world w;
    world_init(&w, nodes);
    *state = &w;
    return 0;
}

int world_three_nodes(void **state)
{
    return begin(state, 3);
}

int world_four_nodes(void **state)
{
    return begin(state, 4);
}

int world_done(void **state)
{
    world_fini(*state);
    return 0;
}

enum wire_error world_do(struct world *w, const struct meta_command *command)
{
    struct meta_command stamped = *command;
    if (stamped.now_ms == 0) stamped.now_ms = w->now_ms;
    buf_clear(&w->command);
    buf_clear(&w->answer);
    assert_int_equal(meta_command_write(&stamped, &w->command), 0);
    assert_int_equal(meta_apply(w->meta, buf_slice(&w->command), &w->answer), 0);
    assert_int_equal(meta_result_read(buf_slice(&w->answer), &w->result), 0);
    meta_check(w->meta);
    return w->result.err;
}

enum wire_error world_join(struct world *w, int64_t id)
{
    struct meta_command c = {
        .type = META_NODE_JOIN,
        .node_join = {.id = id, .ipv4 = 0x0a000000 + (int32_t)id, .port = 34601},
    };
    return world_do(w, &c);
}

enum wire_error world_create(struct world *w, const char *name, int32_t partitions,
                             int32_t replicas)
{
    struct meta_command c = {
        .type = META_TABLE_CREATE,
        .table_create = {.name = slice_str(name),
                         .app_type = slice_str("pegasus"),
                         .partition_count = partitions,
                         .replica_count = replicas},
    };
    return world_do(w, &c);
}

enum wire_error world_drop(struct world *w, const char *name, int64_t reserve_s)
{
    struct meta_command c = {
        .type = META_TABLE_DROP,
        .table_drop = {.name = slice_str(name), .reserve_s = reserve_s},
    };
    return world_do(w, &c);
}

enum wire_error world_set_env(struct world *w, const char *table, const char *key,
                              const char *value)
{
    struct string_pair pair = {slice_str(key), slice_str(value)};
    struct meta_command c = {
        .type = META_ENVS_SET,
        .envs_set = {.table = slice_str(table), .envs = {&pair, 1}},
    };
    return world_do(w, &c);
}

enum wire_error world_remote(struct world *w, const char *name, const char *metas, int32_t id)
{
    struct meta_command c = {
        .type = META_REMOTE_SET,
        .remote_set = {.name = slice_str(name), .metas = slice_str(metas), .cluster_id = id},
    };
    return world_do(w, &c);
}

enum wire_error world_add_dup(struct world *w, const char *table, const char *remote,
                              bool with_bootstrap)
{
    struct meta_command c = {
        .type = META_DUP_ADD,
        .dup_add = {.table = slice_str(table),
                    .remote = slice_str(remote),
                    .with_bootstrap = with_bootstrap},
    };
    return world_do(w, &c);
}

enum wire_error world_start(struct world *w, int64_t id, int64_t incarnation)
{
    struct meta_command c = {
        .type = META_NODE_START,
        .node_start = {.id = id,
                       .ipv4 = 0x0a000000 + (int32_t)id,
                       .port = 34601,
                       .incarnation = incarnation},
    };
    return world_do(w, &c);
}

enum wire_error world_bury(struct world *w, int64_t id, int64_t incarnation)
{
    struct meta_command c = {
        .type = META_NODE_DEAD,
        .node_dead = {.id = id, .incarnation = incarnation},
    };
    return world_do(w, &c);
}

enum wire_error world_yield(struct world *w, int64_t id, int64_t incarnation)
{
    struct meta_command c = {
        .type = META_NODE_YIELD,
        .node_yield = {.id = id, .incarnation = incarnation},
    };
    return world_do(w, &c);
}

enum wire_error world_leave(struct world *w, int64_t id)
{
    struct meta_command c = {.type = META_NODE_LEAVE, .node_leave = {.id = id}};
    return world_do(w, &c);
}

enum wire_error world_drain(struct world *w, int64_t id, bool is_draining)
{
    struct meta_command c = {.type = META_NODE_DRAIN, .node_drain = {id, is_draining}};
    return world_do(w, &c);
}

static int64_t next_ballot(const struct world *w, int32_t table_id, int32_t partition)
{
    const struct meta_table *t = meta_table_by_id(w->meta, table_id);
    return t != NULL ? (int64_t)t->partitions[partition].ballot + 1 : 1;
}

static enum wire_error change_member(struct world *w, enum meta_command_type type, int32_t table_id,
                                     int32_t partition, int64_t id)
{
    struct meta_command c = {
        .type = type,
        .member_add = {table_id, partition, next_ballot(w, table_id, partition), id},
    };
    return world_do(w, &c);
}

enum wire_error world_add_member(struct world *w, int32_t table_id, int32_t partition, int64_t id)
{
    return change_member(w, META_MEMBER_ADD, table_id, partition, id);
}

enum wire_error world_join_member(struct world *w, int32_t table_id, int32_t partition, int64_t id)
{
    return change_member(w, META_MEMBER_JOIN, table_id, partition, id);
}

enum wire_error world_drop_member(struct world *w, int32_t table_id, int32_t partition, int64_t id)
{
    struct meta_command c = {
        .type = META_MEMBER_DROP,
        .member_drop = {table_id, partition, next_ballot(w, table_id, partition), id, 0},
    };
    return world_do(w, &c);
}

const struct meta_table *world_table(const struct world *w, const char *name)
{
    return meta_table_by_name(w->meta, slice_str(name));
}

const char *world_members(const struct meta_table *t, uint32_t partition)
{
    static char text[128];
    const struct meta_partition *p = &t->partitions[partition];
    int used = snprintf(text, sizeof text, "%llu", (unsigned long long)p->primary);
    for (size_t i = 0; i < p->secondary_count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, " %llu",
                         (unsigned long long)p->secondaries[i]);
    if (p->learner != 0)
        (void)snprintf(text + used, sizeof text - (size_t)used, " +%llu",
                       (unsigned long long)p->learner);
    return text;
}
