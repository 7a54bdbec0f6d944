/* tests/core/meta/test_dup.c: duplications: who may go where, and from which state to which. */
#include "world.h"

#define METAS "10.0.1.1:34601,meta-2.example:34601"

/* A table "t" with two partitions; the cluster "there" is known by name. */
static int with_table(void **state)
{
    static struct world w;
    world_init(&w, 1);
    assert_int_equal(world_create(&w, "t", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_remote(&w, "there", METAS, 2), WIRE_ERR_OK);
    *state = &w;
    return 0;
}

static const struct meta_dup *only_dup(const struct world *w)
{
    assert_int_equal(world_table(w, "t")->dup_count, 1);
    return &world_table(w, "t")->dups[0];
}

static enum wire_error modify(struct world *w, int32_t status, int32_t fail_mode)
{
    struct meta_command c = {
        .type = META_DUP_MODIFY,
        .dup_modify = {.table = slice_str("t"),
                       .dup_id = only_dup(w)->id,
                       .status = status,
                       .fail_mode = fail_mode},
    };
    return world_do(w, &c);
}

static void confirm(struct world *w, int32_t partition, int64_t decree, bool is_bootstrapped)
{
    struct meta_confirm item = {1, only_dup(w)->id, partition, decree, is_bootstrapped};
    struct meta_command c = {.type = META_DUP_CONFIRM, .dup_confirm = {.confirms = {&item, 1}}};
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
}

static enum wire_error resolve(struct world *w, int32_t table_id, int32_t dup_id, const char *name,
                               int32_t id, int64_t uuid)
{
    struct meta_command c = {
        .type = META_DUP_RESOLVE,
        .dup_resolve = {.table_id = table_id,
                        .dup_id = dup_id,
                        .remote_cluster = slice_str(name),
                        .remote_cluster_id = id,
                        .remote_uuid = uuid},
    };
    return world_do(w, &c);
}

/* Without bootstrap a duplication ships from now on: every partition counts as bootstrapped. */
static void test_add_log_only(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_OK);
    const struct meta_dup *dup = only_dup(w);
    assert_int_equal(w->result.dup_id, dup->id);
    assert_int_equal(dup->id, WORLD_NOW_S);
    assert_int_equal(dup->create_ms, WORLD_NOW_S * 1000ll);
    assert_int_equal(dup->status, DS_LOG);
    assert_string_equal(dup->remote_cluster, "there");
    assert_string_equal(dup->remote_metas, METAS);
    assert_string_equal(dup->remote_table, "t");
    assert_int_equal(dup->remote_replica_count, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dup->partitions[i].confirmed, -1);
        assert_true(dup->partitions[i].is_bootstrapped);
    }
}

/* With bootstrap: PREPARE until the remote table is there, APP until all partitions are over
 * there. A partition that is done first does not wait for the others, and what is known never
 * goes back. */
static void test_bootstrap(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "there", true), WIRE_ERR_OK);
    assert_int_equal(only_dup(w)->status, DS_PREPARE);
    assert_int_equal(modify(w, DS_PAUSE, -1), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(modify(w, DS_LOG, -1), WIRE_ERR_INVALID_PARAMETERS);

    struct meta_command advance = {
        .type = META_DUP_ADVANCE,
        .dup_advance = {.table_id = 1, .dup_id = only_dup(w)->id},
    };
    assert_int_equal(world_do(w, &advance), WIRE_ERR_OK);
    assert_int_equal(only_dup(w)->status, DS_APP);
    assert_int_equal(w->result.changed_id, 1);
    assert_int_equal(world_do(w, &advance), WIRE_ERR_OK); /* Said twice. */
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);

    confirm(w, 0, 7, true);
    assert_int_equal(only_dup(w)->status, DS_APP);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    confirm(w, 0, 5, false); /* Late news. */
    assert_int_equal(only_dup(w)->partitions[0].confirmed, 7);
    assert_true(only_dup(w)->partitions[0].is_bootstrapped);
    confirm(w, 1, 9, true);
    assert_int_equal(only_dup(w)->status, DS_LOG);
    assert_int_equal(w->result.changed_id, 1);
}

/* Positions of what is gone are ignored: they travelled while it went. */
static void test_confirm_of_nothing(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_OK);
    struct meta_confirm items[] = {
        {9, only_dup(w)->id, 0, 5, true}, {1, 9, 0, 5, true},
        {1, only_dup(w)->id, 2, 5, true}, {1, only_dup(w)->id, -1, 5, true},
        {1, only_dup(w)->id, 1, 5, true},
    };
    struct meta_command c = {.type = META_DUP_CONFIRM, .dup_confirm = {.confirms = {items, 5}}};
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_int_equal(only_dup(w)->partitions[0].confirmed, -1);
    assert_int_equal(only_dup(w)->partitions[1].confirmed, 5);
}

/* Metas given directly, with nobody knowing yet which cluster is there. */
static void test_add_by_metas(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "10.0.9.9:1", true), WIRE_ERR_OK);
    assert_string_equal(only_dup(w)->remote_cluster, "");
    assert_string_equal(only_dup(w)->remote_metas, "10.0.9.9:1");
    assert_int_equal(resolve(w, 1, only_dup(w)->id, "far", 3, 333), WIRE_ERR_OK);
    assert_string_equal(only_dup(w)->remote_cluster, "far");
    assert_int_equal(only_dup(w)->remote_cluster_id, 3);
    assert_int_equal(w->result.changed_id, 1);
    assert_int_equal(resolve(w, 1, only_dup(w)->id, "far", 3, 333), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
}

/* Metas that a known cluster has: it is that cluster. */
static void test_known_metas_have_a_name(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", METAS, false), WIRE_ERR_OK);
    assert_string_equal(only_dup(w)->remote_cluster, "there");
}

static void test_add_refused(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "here", true), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "illegal operation: adding duplication to itself");
    assert_int_equal(world_add_dup(w, "t", "nowhere", true), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "failed to find cluster[nowhere] address in config [pegasus.clusters]");
    assert_int_equal(world_remote(w, "idonly", "", 5), WIRE_ERR_OK);
    assert_int_equal(world_add_dup(w, "t", "idonly", true), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(world_add_dup(w, "u", "there", true), WIRE_ERR_APP_NOT_EXIST);
    assert_hint(w, "app u was not found");
    static const char *const no_metas[] = {":1",    "h:",   "h:0",          "h:65536",
                                           "h:1,",  ",h:1", "h:1,,h:2",     "h:1;h:2",
                                           "h 1:1", "h:1x", "h:99999999999"};
    for (size_t i = 0; i < sizeof no_metas / sizeof no_metas[0]; i++)
        assert_int_equal(world_add_dup(w, "t", no_metas[i], true), WIRE_ERR_INVALID_PARAMETERS);

    struct meta_command c = {
        .type = META_DUP_ADD,
        .dup_add = {.table = slice_str("t"),
                    .remote = slice_str("there"),
                    .remote_replica_count = -1},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "invalid remote_replica_count(-1) which should never be negative");
    c.dup_add.remote_replica_count = 0;
    c.dup_add.remote_table = slice_str("no way");
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(world_table(w, "t")->dup_count, 0);
}

/* Two tables never go into one. */
static void test_rival(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "u", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_DUP_ADD,
        .dup_add = {.table = slice_str("u"),
                    .remote = slice_str("there"),
                    .remote_table = slice_str("t")},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "illegal operation: another app(t) is also duplicated to the same remote "
                   "app(cluster=there, app=t)");
    c.dup_add.remote_table = slice_str("u");
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
}

/* Adding again says that it exists, with its id, and starts it when it was paused. */
static void test_add_again(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_OK);
    int32_t id = only_dup(w)->id;
    assert_int_equal(modify(w, DS_PAUSE, -1), WIRE_ERR_OK);
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_DUP_EXIST);
    assert_int_equal(w->result.dup_id, id);
    assert_int_equal(w->result.table_id, 1);
    assert_int_equal(only_dup(w)->status, DS_LOG);
    assert_int_equal(world_add_dup(w, "t", "there", true), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "start dup[t(1700000000)] failed: err = ERR_INVALID_PARAMETERS");
}

/* A table may go to several clusters; each duplication has an id of its own, and they are in
 * order. */
static void test_several(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_OK);
    assert_int_equal(world_add_dup(w, "t", "b:1", false), WIRE_ERR_OK);
    assert_int_equal(w->result.dup_id, WORLD_NOW_S + 1);
    w->now_ms -= 5000; /* The next leader's clock is behind. */
    assert_int_equal(world_add_dup(w, "t", "c:1", false), WIRE_ERR_OK);
    const struct meta_table *t = world_table(w, "t");
    assert_int_equal(t->dups[0].id, WORLD_NOW_S - 5);
    assert_int_equal(t->dups[2].id, WORLD_NOW_S + 1);
    for (int i = 0; t->dup_count < META_DUPS_MAX; i++) {
        char metas[] = {'d', (char)('a' + i), ':', '1', '\0'};
        assert_int_equal(world_add_dup(w, "t", metas, false), WIRE_ERR_OK);
    }
    assert_int_equal(world_add_dup(w, "t", "z:1", false), WIRE_ERR_CAPACITY_EXCEEDED);
}

static void test_pause_start_remove(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_OK);
    assert_int_equal(modify(w, DS_PAUSE, -1), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, 1);
    assert_int_equal(modify(w, DS_PAUSE, -1), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_int_equal(modify(w, DS_APP, -1), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(modify(w, 77, -1), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(modify(w, DS_LOG, -1), WIRE_ERR_OK);
    assert_int_equal(modify(w, -1, FAIL_SKIP), WIRE_ERR_OK);
    assert_int_equal(only_dup(w)->fail_mode, FAIL_SKIP);
    assert_int_equal(modify(w, -1, 3), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(modify(w, DS_REMOVED, -1), WIRE_ERR_OK);
    assert_int_equal(world_table(w, "t")->dup_count, 0);

    struct meta_command gone = {
        .type = META_DUP_MODIFY,
        .dup_modify = {.table = slice_str("t"), .dup_id = WORLD_NOW_S, .status = DS_LOG},
    };
    assert_int_equal(world_do(w, &gone), WIRE_ERR_OBJECT_NOT_FOUND);
    gone.dup_modify.table = slice_str("u");
    assert_int_equal(world_do(w, &gone), WIRE_ERR_APP_NOT_EXIST);
}

/* The handshake finds out what the names did not say. */
static void test_resolve_refused(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "a:1", false), WIRE_ERR_OK);
    int32_t a = w->result.dup_id;
    assert_int_equal(world_add_dup(w, "t", "b:1", false), WIRE_ERR_OK);
    int32_t b = w->result.dup_id;
    assert_int_equal(resolve(w, 1, a, "here", 1, 111), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "illegal operation: adding duplication to itself");
    assert_int_equal(resolve(w, 1, a, "here", 5, 0), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(resolve(w, 1, a, "far", 1, 333), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w,
                "both clusters have the same cluster_id: give one of them another in its config");
    assert_int_equal(resolve(w, 1, a, "far", 0, 333), WIRE_ERR_INVALID_PARAMETERS);

    assert_int_equal(resolve(w, 1, a, "far", 3, 333), WIRE_ERR_OK);
    assert_int_equal(resolve(w, 1, b, "far", 3, 333), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "another duplication of this table goes to the same cluster");
    assert_int_equal(resolve(w, 1, a, "far", 3, 444), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "another cluster than before answers at this address");
    assert_int_equal(resolve(w, 1, 77, "far", 3, 333), WIRE_ERR_OBJECT_NOT_FOUND);
}

/* Two tables whose remotes turn out to be one cluster, and one table there. */
static void test_resolve_finds_rival(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "u", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_add_dup(w, "t", "a:1", false), WIRE_ERR_OK);
    assert_int_equal(resolve(w, 1, w->result.dup_id, "far", 3, 333), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_DUP_ADD,
        .dup_add = {.table = slice_str("u"),
                    .remote = slice_str("b:1"),
                    .remote_table = slice_str("t")},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_int_equal(resolve(w, 2, w->result.dup_id, "far", 3, 333), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "another app(t) goes to the same remote app");
}

/* Whoever drops a table drops its duplications: nothing is left that would keep its log. */
static void test_drop_ends_dups(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_dup(w, "t", "there", false), WIRE_ERR_OK);
    assert_int_equal(world_drop(w, "t", 0), WIRE_ERR_OK);
    assert_int_equal(meta_table_by_id(w->meta, 1)->dup_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_add_log_only, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_bootstrap, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_confirm_of_nothing, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_add_by_metas, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_known_metas_have_a_name, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_add_refused, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_rival, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_add_again, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_several, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_pause_start_remove, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_resolve_refused, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_resolve_finds_rival, with_table, world_done),
        cmocka_unit_test_setup_teardown(test_drop_ends_dups, with_table, world_done),
    };
    return cmocka_run_group_tests_name("meta dup", tests, NULL, NULL);
}
