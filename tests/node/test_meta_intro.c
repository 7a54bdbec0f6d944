/* tests/node/test_meta_intro.c: the first contact of a duplication with its remote (M19, M20). */
#include "meta_world.h"

static const struct hello_response greeting = {
    .err = {(const uint8_t *)"ERR_OK", 6},
    .version = 1,
    .cluster_name = {(const uint8_t *)"there", 5},
    .cluster_id = 2,
    .cluster_uuid = 222,
};

static const struct query_config_response table_is_there = {
    .err = {(const uint8_t *)"ERR_OK", 6}, .app_id = 5, .partition_count = 8, .is_stateful = true};
static const struct query_config_response table_is_not_there = {
    .err = {(const uint8_t *)"ERR_OBJECT_NOT_FOUND", 20}};
static const struct create_app_response created = {.err = {(const uint8_t *)"ERR_OK", 6}};

static int with_table(void **state)
{
    struct meta_world *w = world_begin();
    world_open(w);
    world_create(w, "t", 4);
    *state = w;
    return 0;
}

static int done(void **state)
{
    world_end(*state);
    return 0;
}

static void add_dup(struct meta_world *w, const char *remote, bool with_bootstrap)
{
    world_command(w, &(struct meta_command){.type = META_DUP_ADD,
                                            .dup_add = {.table = slice_str("t"),
                                                        .remote = slice_str(remote),
                                                        .with_bootstrap = with_bootstrap}});
}

static void remove_dup(struct meta_world *w)
{
    world_command(w, &(struct meta_command){.type = META_DUP_MODIFY,
                                            .dup_modify = {.table = slice_str("t"),
                                                           .dup_id = WORLD_NOW_S,
                                                           .status = DS_REMOVED,
                                                           .fail_mode = -1}});
}

static const struct meta_dup *dup(const struct meta_world *w)
{
    const struct meta_table *t = meta_table_by_id(w->node.meta, 1);
    assert_int_equal(t->dup_count, 1);
    return &t->dups[0];
}

/* Let posts run and proposals be decided. */
static void settle(struct meta_world *w)
{
    world_decide(w, 0);
    world_pass_ms(w, 0);
}

/* Greeted, noted, looked for the table, made it, looked again, begun; then the connection is given
 * up. */
static void test_whole_way(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", true);
    assert_string_equal(w->metas, "10.9.9.9:34601");
    assert_int_equal(world_called(w), RPC_HELLO);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    assert_int_equal(world_called(w), RPC_UNKNOWN); /* First the group must know. */
    settle(w);
    assert_string_equal(dup(w)->remote_cluster, "there");
    assert_int_equal(dup(w)->remote_cluster_id, 2);
    assert_int_equal(dup(w)->remote_uuid, 222);

    assert_int_equal(world_called(w), RPC_QUERY_CONFIG);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_not_there);
    assert_int_equal(world_called(w), RPC_CREATE_APP);
    world_answer(w, 0, WIRE_ERR_OK, &created);
    assert_int_equal(world_called(w), RPC_QUERY_CONFIG);
    assert_int_equal(dup(w)->status, DS_PREPARE);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_there);
    settle(w);
    assert_int_equal(dup(w)->status, DS_APP);
    assert_int_equal(dup(w)->remote_table_id, 5);
    assert_int_equal(w->clusters_open, 0);
}

/* The table is made as the source's is. */
static void test_table_is_made_alike(void **state)
{
    struct meta_world *w = *state;
    struct string_pair env = {slice_str("default_ttl"), slice_str("60")};
    struct create_app_request request;
    struct arena arena = {0};
    world_command(w,
                  &(struct meta_command){.type = META_ENVS_SET,
                                         .envs_set = {.table = slice_str("t"), .envs = {&env, 1}}});
    add_dup(w, "10.9.9.9:34601", true);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_not_there);
    struct buf body = {0};
    w->call->write(w->call->args, &body);
    assert_int_equal(
        thrift_read_args(buf_slice(&body), &create_app_request_schema, &request, &arena), 0);
    assert_text(request.app_name, "t");
    assert_int_equal(request.options.partition_count, 4);
    assert_int_equal(request.options.replica_count, 1);
    assert_true(request.options.is_stateful);
    assert_int_equal(request.options.envs.count, 1);
    assert_text(request.options.envs.items[0].key, "default_ttl");
    buf_fini(&body);
    arena_fini(&arena);
}

/* Without bootstrap the table is not made, only noted: when it is there. */
static void test_log_only(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", false);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    assert_string_equal(dup(w)->remote_cluster, "there");
    assert_int_equal(world_called(w), RPC_QUERY_CONFIG);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_not_there);
    assert_int_equal(world_called(w), RPC_UNKNOWN);
    world_pass_ms(w, 5000);
    assert_int_equal(world_called(w), RPC_HELLO);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_there);
    settle(w);
    assert_int_equal(dup(w)->remote_table_id, 5);
    assert_int_equal(world_called(w), RPC_UNKNOWN);
    assert_int_equal(w->clusters_open, 0);
}

/* A remote that is away is called again, ever more slowly, until it is there. */
static void test_unreachable(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", false);
    uint64_t pause_ms = 100;
    for (int i = 0; i < 9; i++) {
        world_answer(w, E_REFUSED, WIRE_ERR_OK, NULL);
        world_pass_ms(w, pause_ms - 1);
        assert_int_equal(world_called(w), RPC_UNKNOWN);
        world_pass_ms(w, 1);
        assert_int_equal(world_called(w), RPC_HELLO);
        pause_ms = pause_ms * 2 < 5000 ? pause_ms * 2 : 5000;
    }
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    assert_int_equal(dup(w)->remote_cluster_id, 2);
}

/* Every step may fail and is taken again, from the greeting on. */
static void test_every_step_may_fail(void **state)
{
    struct meta_world *w = *state;
    struct hello_response starting = greeting;
    starting.err = slice_str("ERR_SERVICE_NOT_ACTIVE");
    add_dup(w, "10.9.9.9:34601", true);
    world_answer(w, 0, WIRE_ERR_OK, &starting);
    world_pass_ms(w, 10000);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    world_decide(w, E_UNKNOWN);
    world_pass_ms(w, 10000);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    world_answer(w, E_TIMEOUT, WIRE_ERR_OK, NULL);
    world_pass_ms(w, 10000);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_not_there);
    world_answer(w, 0, WIRE_ERR_CAPACITY_EXCEEDED, NULL);
    world_pass_ms(w, 10000);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_there);
    world_decide(w, E_UNKNOWN);
    assert_int_equal(dup(w)->status, DS_PREPARE);
    world_pass_ms(w, 10000);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    settle(w);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_there);
    settle(w);
    assert_int_equal(dup(w)->status, DS_APP);
}

/* Whoever answers with our own uuid is us: nothing is begun, nothing is tried again. */
static void test_ourselves(void **state)
{
    struct meta_world *w = *state;
    struct hello_response us = greeting;
    us.cluster_uuid = 111;
    add_dup(w, "10.0.0.1:34601", true);
    world_answer(w, 0, WIRE_ERR_OK, &us);
    settle(w);
    assert_int_equal(dup(w)->status, DS_PREPARE);
    assert_int_equal(dup(w)->remote_cluster_id, 0);
    assert_int_equal(w->clusters_open, 0);
    world_pass_ms(w, 3600 * 1000);
    assert_int_equal(world_called(w), RPC_UNKNOWN);
}

/* A Pegasus cluster does not know the greeting. What the config says of it is noted; the rest goes
 * on. */
static void test_pegasus(void **state)
{
    struct meta_world *w = *state;
    world_command(w, &(struct meta_command){.type = META_REMOTE_SET,
                                            .remote_set = {.name = slice_str("old"),
                                                           .metas = slice_str("10.9.9.9:34601"),
                                                           .cluster_id = 9}});
    add_dup(w, "old", true);
    world_answer(w, 0, WIRE_ERR_HANDLER_NOT_FOUND, NULL);
    settle(w);
    assert_int_equal(dup(w)->remote_cluster_id, 9);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_there);
    settle(w);
    assert_int_equal(dup(w)->status, DS_APP);
}

/* One that nobody told an id of remains without one, and is shipped to all the same. */
static void test_unknown_pegasus(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", true);
    world_answer(w, 0, WIRE_ERR_HANDLER_NOT_FOUND, NULL);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_there);
    settle(w);
    assert_int_equal(dup(w)->status, DS_APP);
    assert_int_equal(dup(w)->remote_cluster_id, 0);
    world_pass_ms(w, 3600 * 1000);
    assert_int_equal(world_called(w), RPC_UNKNOWN);
}

/* Where only new writes are wanted the table is the operator's business: it is noted, not made. */
static void test_unknown_pegasus_log_only(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", false);
    world_answer(w, 0, WIRE_ERR_HANDLER_NOT_FOUND, NULL);
    assert_int_equal(world_called(w), RPC_QUERY_CONFIG);
    world_answer(w, 0, WIRE_ERR_OK, &table_is_there);
    settle(w);
    assert_int_equal(dup(w)->remote_table_id, 5);
    assert_int_equal(w->clusters_open, 0);
}

/* Removed in the middle of a call, of a pause, of a proposal: nothing of it is left. */
static void test_removed_meanwhile(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", true);
    remove_dup(w);
    assert_int_equal(world_called(w), RPC_UNKNOWN);
    settle(w);
    assert_int_equal(w->clusters_open, 0);

    add_dup(w, "10.9.9.9:34601", true);
    world_answer(w, E_REFUSED, WIRE_ERR_OK, NULL);
    remove_dup(w);
    settle(w);
    assert_int_equal(w->clusters_open, 0);

    add_dup(w, "10.9.9.9:34601", true);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    remove_dup(w);
    settle(w);
    assert_int_equal(w->clusters_open, 0);
    assert_int_equal(world_called(w), RPC_UNKNOWN);
}

/* Closed in the middle of a call, and of a proposal. */
static void test_closed_meanwhile(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", true);
    world_close(w);
}

static void test_closed_over_proposal(void **state)
{
    struct meta_world *w = *state;
    add_dup(w, "10.9.9.9:34601", true);
    world_answer(w, 0, WIRE_ERR_OK, &greeting);
    world_close(w);
}

/* Only the leader makes contact; a leader that comes finds what there is to do when it opens. */
static void test_only_the_leader(void **state)
{
    struct meta_world *w = *state;
    w->is_leader = false;
    add_dup(w, "10.9.9.9:34601", true);
    assert_int_equal(world_called(w), RPC_UNKNOWN);
    w->is_leader = true;
    meta_service_on_changed(w->node.service, META_TABLE_ANY);
    assert_int_equal(world_called(w), RPC_HELLO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole_way, with_table, done),
        cmocka_unit_test_setup_teardown(test_table_is_made_alike, with_table, done),
        cmocka_unit_test_setup_teardown(test_log_only, with_table, done),
        cmocka_unit_test_setup_teardown(test_unreachable, with_table, done),
        cmocka_unit_test_setup_teardown(test_every_step_may_fail, with_table, done),
        cmocka_unit_test_setup_teardown(test_ourselves, with_table, done),
        cmocka_unit_test_setup_teardown(test_pegasus, with_table, done),
        cmocka_unit_test_setup_teardown(test_unknown_pegasus, with_table, done),
        cmocka_unit_test_setup_teardown(test_unknown_pegasus_log_only, with_table, done),
        cmocka_unit_test_setup_teardown(test_removed_meanwhile, with_table, done),
        cmocka_unit_test_setup_teardown(test_closed_meanwhile, with_table, done),
        cmocka_unit_test_setup_teardown(test_closed_over_proposal, with_table, done),
        cmocka_unit_test_setup_teardown(test_only_the_leader, with_table, done),
    };
    return cmocka_run_group_tests_name("meta intro", tests, NULL, NULL);
}
