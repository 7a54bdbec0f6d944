/* tests/core/meta/test_table.c: the life of tables, nodes and the cluster's name. */
#include "world.h"

static int one_node(void **state)
{
    static struct world w;
    world_init(&w, 1);
    *state = &w;
    return 0;
}

/* The cluster is named once. Who proposes another name later is told "fine" and changes nothing: at
 * every start each member proposes what its config says. */
static void test_cluster_is_named_once(void **state)
{
    struct world *w = *state;
    struct meta_command again = {
        .type = META_CLUSTER_INIT,
        .cluster_init = {.name = slice_str("other"), .cluster_id = 9, .uuid = 9},
    };
    assert_int_equal(world_do(w, &again), WIRE_ERR_OK);
    assert_string_equal(w->meta->cluster_name, "here");
    assert_int_equal(w->meta->cluster_id, 1);
    assert_int_equal(w->meta->cluster_uuid, 111);
}

/* A table is born complete: an id, a birthday, every partition with ballot 1 and a primary. */
static void test_create(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "orders", 8, 1), WIRE_ERR_OK);
    assert_int_equal(w->result.table_id, 1);
    assert_int_equal(w->result.changed_id, 1);
    const struct meta_table *t = world_table(w, "orders");
    assert_int_equal(t->status, AS_AVAILABLE);
    assert_int_equal(t->create_s, WORLD_NOW_S);
    assert_int_equal(t->partition_count, 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(t->partitions[i].ballot, 1);
        assert_string_equal(world_members(t, i), "1");
    }
    assert_ptr_equal(meta_table_by_id(w->meta, 1), t);
}

/* What may not be made, each row with the same answer; and the state does not notice. */
static void test_create_refused(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name, *app_type;
        int32_t partitions, replicas;
    } rows[] = {
        {"", "pegasus", 8, 1},     {"sp ace", "pegasus", 8, 1}, {"a/b", "pegasus", 8, 1},
        {"t", "pegasus", 0, 1},    {"t", "pegasus", -8, 1},     {"t", "pegasus", 3, 1},
        {"t", "pegasus", 2048, 1}, {"t", "pegasus", 8, 0},      {"t", "pegasus", 8, -1},
        {"t", "pegasus", 8, 6},    {"t", "pegasus", 8, 2},      {"t", "simple_kv", 8, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct meta_command c = {
            .type = META_TABLE_CREATE,
            .table_create = {.name = slice_str(rows[i].name),
                             .app_type = slice_str(rows[i].app_type),
                             .partition_count = rows[i].partitions,
                             .replica_count = rows[i].replicas},
        };
        assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
        assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    }
    assert_int_equal(w->meta->table_count, 0);
    assert_int_equal(w->meta->next_table_id, 1);
}

/* The longest name is taken, one byte more is not. */
static void test_name_limits(void **state)
{
    struct world *w = *state;
    char name[META_NAME_SIZE_MAX + 2] = {0};
    memset(name, 'n', META_NAME_SIZE_MAX);
    assert_int_equal(world_create(w, name, 1, 1), WIRE_ERR_OK);
    memset(name, 'n', META_NAME_SIZE_MAX + 1);
    assert_int_equal(world_create(w, name, 1, 1), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(world_create(w, "A-z_0.9:x", 1, 1), WIRE_ERR_OK);
}

/* Three replicas asked for on one node: refused, unless the proposer says to take what there is. */
static void test_clamp(void **state)
{
    struct world *w = *state;
    struct meta_command c = {
        .type = META_TABLE_CREATE,
        .table_create = {.name = slice_str("t"),
                         .partition_count = 4,
                         .replica_count = 3,
                         .clamp_replicas = true},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_int_equal(world_table(w, "t")->max_replica_count, 1);
}

/* Creating again answers "it is there", or "it is there and is what you want", or "it is
 * another". */
static void test_create_again(void **state)
{
    struct world *w = *state;
    struct string_pair env = {slice_str("business.info"), slice_str("x")};
    struct meta_command c = {
        .type = META_TABLE_CREATE,
        .table_create = {.name = slice_str("t"),
                         .partition_count = 4,
                         .replica_count = 1,
                         .envs = {&env, 1}},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_int_equal(world_do(w, &c), WIRE_ERR_APP_EXIST);
    c.table_create.success_if_exist = true;
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_int_equal(w->result.table_id, 1);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);

    c.table_create.partition_count = 8;
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    c.table_create.partition_count = 4;
    env.value = slice_str("y");
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    c.table_create.envs.count = 0;
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(w->meta->table_count, 1);
}

/* Of the environment given at birth only what shapes the store is looked at. */
static void test_create_with_envs(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *key, *value;
        enum wire_error err;
    } rows[] = {
        {"rocksdb.num_levels", "11", WIRE_ERR_INVALID_PARAMETERS},
        {"rocksdb.num_levels", "7", WIRE_ERR_OK},
        {"rocksdb.write_buffer_size", "1", WIRE_ERR_INVALID_PARAMETERS},
        {"any.thing", "goes", WIRE_ERR_OK},
        {"", "no key", WIRE_ERR_INVALID_PARAMETERS},
        {"duplication.master_cluster", "c2", WIRE_ERR_INVALID_PARAMETERS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct string_pair env = {slice_str(rows[i].key), slice_str(rows[i].value)};
        struct meta_command c = {
            .type = META_TABLE_CREATE,
            .table_create = {.name = slice_str("t"),
                             .partition_count = 1,
                             .replica_count = 1,
                             .envs = {&env, 1}},
        };
        assert_int_equal(world_do(w, &c), rows[i].err);
        if (rows[i].err != WIRE_ERR_OK) continue;
        assert_string_equal(meta_env_get(world_table(w, "t"), rows[i].key), rows[i].value);
        assert_int_equal(world_drop(w, "t", 0), WIRE_ERR_OK);
    }
}

/* A dropped table loses its name at once, keeps its data for a week, and comes back under a higher
 * ballot, so that nobody takes what it says for old news. */
static void test_drop_and_recall(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop(w, "t", 0), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, 1);
    assert_null(world_table(w, "t"));
    const struct meta_table *t = meta_table_by_id(w->meta, 1);
    assert_int_equal(t->status, AS_DROPPED);
    assert_int_equal(t->drop_s, WORLD_NOW_S);
    assert_int_equal(t->expire_s, WORLD_NOW_S + META_DROP_RESERVE_S);
    assert_int_equal(meta_purge_due_s(w->meta), t->expire_s);

    struct meta_command recall = {.type = META_TABLE_RECALL, .table_recall = {.table_id = 1}};
    assert_int_equal(world_do(w, &recall), WIRE_ERR_OK);
    assert_ptr_equal(world_table(w, "t"), t);
    assert_int_equal(t->partitions[1].ballot, 2);
    assert_int_equal(meta_purge_due_s(w->meta), 0);
    assert_int_equal(world_do(w, &recall), WIRE_ERR_APP_EXIST);
}

static void test_drop_of_nothing(void **state)
{
    struct world *w = *state;
    struct meta_command c = {.type = META_TABLE_DROP, .table_drop = {.name = slice_str("t")}};
    assert_int_equal(world_do(w, &c), WIRE_ERR_APP_NOT_EXIST);
    c.table_drop.success_if_absent = true;
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
}

/* The name may be taken meanwhile: then the old table comes back under another, or not at all. */
static void test_recall_under_another_name(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop(w, "t", 0), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "t", 2, 1), WIRE_ERR_OK);
    assert_int_equal(w->result.table_id, 2); /* Ids are never used twice. */
    struct meta_command recall = {.type = META_TABLE_RECALL, .table_recall = {.table_id = 1}};
    assert_int_equal(world_do(w, &recall), WIRE_ERR_INVALID_PARAMETERS);
    recall.table_recall.new_name = slice_str("no way");
    assert_int_equal(world_do(w, &recall), WIRE_ERR_INVALID_PARAMETERS);
    recall.table_recall.new_name = slice_str("t2");
    assert_int_equal(world_do(w, &recall), WIRE_ERR_OK);
    assert_int_equal(world_table(w, "t2")->id, 1);
    recall.table_recall.table_id = 3;
    assert_int_equal(world_do(w, &recall), WIRE_ERR_APP_NOT_EXIST);
}

/* After its time a table is gone, and only then. The clock is the proposer's. */
static void test_purge(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop(w, "t", 10), WIRE_ERR_OK);
    struct meta_command purge = {.type = META_TABLE_PURGE, .now_ms = (WORLD_NOW_S + 10) * 1000ull};
    assert_int_equal(world_do(w, &purge), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_non_null(meta_table_by_id(w->meta, 1));

    struct meta_command late = {.type = META_TABLE_RECALL,
                                .now_ms = (WORLD_NOW_S + 11) * 1000ull,
                                .table_recall = {.table_id = 1}};
    assert_int_equal(world_do(w, &late), WIRE_ERR_APP_NOT_EXIST);
    purge.now_ms = (WORLD_NOW_S + 11) * 1000ull;
    assert_int_equal(world_do(w, &purge), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_ANY);
    assert_null(meta_table_by_id(w->meta, 1));
    assert_int_equal(w->meta->next_table_id, 2);
}

static void test_rename(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "a", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "b", 2, 1), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_TABLE_RENAME,
        .table_rename = {.old_name = slice_str("x"), .new_name = slice_str("b")},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_APP_NOT_EXIST);
    assert_hint(w, "ERROR: app(x) not exist!");
    c.table_rename.old_name = slice_str("a");
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "ERROR: app(b) already exist!");
    c.table_rename.new_name = slice_str("?");
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    c.table_rename.new_name = slice_str("c");
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_int_equal(world_table(w, "c")->id, 1);
    assert_null(world_table(w, "a"));
}

static void test_replica_count(void **state)
{
    struct world *w = *state; /* Three nodes. */
    struct meta_command c = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = slice_str("t"), .count = 2},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_APP_NOT_EXIST);
    assert_hint(w, "app(t) does not exist");
    assert_int_equal(world_create(w, "t", 4, 1), WIRE_ERR_OK);

    static const struct {
        int32_t count;
        enum wire_error err;
        const char *hint;
    } rows[] = {
        {6, WIRE_ERR_INVALID_PARAMETERS,
         "requested replica count(6) must be within the range of [min=1, max=5]"},
        {0, WIRE_ERR_INVALID_PARAMETERS,
         "requested replica count(0) must be within the range of [min=1, max=5]"},
        {4, WIRE_ERR_INVALID_PARAMETERS,
         "there are not enough alive replica servers(3) for the requested replica count(4)"},
        {1, WIRE_ERR_OK, "no need to update max_replica_count since it's not changed"},
        {2, WIRE_ERR_OK, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        c.replicas_set.count = rows[i].count;
        assert_int_equal(world_do(w, &c), rows[i].err);
        assert_hint(w, rows[i].hint);
        assert_int_equal(w->result.old_value, 1);
    }
    assert_int_equal(world_table(w, "t")->max_replica_count, 2);
    assert_int_equal(world_table(w, "t")->partitions[3].ballot, 2);
}

/* A node that comes back at another address is the same node; the address it left is free. A node
 * whose address somebody else took has none. */
static void test_nodes_move(void **state)
{
    struct world *w = *state; /* Three nodes. */
    struct meta_command leave = {.type = META_NODE_LEAVE, .node_leave = {.id = 2}};
    assert_int_equal(world_do(w, &leave), WIRE_ERR_OK);
    assert_int_equal(meta_nodes_alive(w->meta), 2);
    assert_int_equal(w->result.changed_id, META_TABLE_ANY);

    struct meta_command join = {
        .type = META_NODE_JOIN,
        .node_join = {.id = 2, .ipv4 = 0x0a000003, .port = 34601}, /* Where 3 was. */
    };
    assert_int_equal(world_do(w, &join), WIRE_ERR_OK);
    assert_true(meta_node_by_id(w->meta, 2)->is_alive);
    assert_false(meta_node_by_id(w->meta, 3)->is_alive);
    assert_int_equal(meta_node_by_id(w->meta, 3)->port, 0);
    assert_int_equal(world_do(w, &join), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE); /* Old news. */

    join.node_join.port = 65536;
    assert_int_equal(world_do(w, &join), WIRE_ERR_INVALID_PARAMETERS);
    leave.node_leave.id = 7;
    assert_int_equal(world_do(w, &leave), WIRE_ERR_OBJECT_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cluster_is_named_once, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_create, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_create_refused, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_name_limits, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_clamp, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_create_again, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_create_with_envs, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_drop_and_recall, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_drop_of_nothing, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_recall_under_another_name, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_purge, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_rename, one_node, world_done),
        cmocka_unit_test_setup_teardown(test_replica_count, world_three_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_nodes_move, world_three_nodes, world_done),
    };
    return cmocka_run_group_tests_name("meta table", tests, NULL, NULL);
}
