/* tests/core/meta/test_census.c: a cluster in figures: what each node holds, and how many partitions are as they
 * should be. */
#include "world.h"

#include "core/meta/census.h"

static void assert_held(const struct world *w, uint64_t id, struct census_held expected)
{
    struct census_held held[8] = {{.learners = 77}}; /* What was there does not matter. */
    census_held(w->meta, held);
    assert_memory_equal(&held[meta_node_by_id(w->meta, id) - w->meta->nodes], &expected,
                        sizeof expected);
}

static void assert_health(const struct world *w, const char *table, struct census_health expected)
{
    const struct census_health health = census_health(w->meta, world_table(w, table));
    assert_memory_equal(&health, &expected, sizeof health);
}

/* Four partitions of three on four nodes: all whole, evenly held. */
static void test_whole(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 4, 3), WIRE_ERR_OK);
    assert_health(w, "t", (struct census_health){.whole = 4});
    for (uint64_t id = 1; id <= 4; id++)
        assert_held(w, id, (struct census_held){.primaries = 1, .secondaries = 2});
}

/* Who is dead holds nothing, and its partitions lack a member until somebody has learned. */
static void test_lacking(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(w, 2), WIRE_ERR_OK);
    assert_health(w, "t", (struct census_health){.lacking = 1});
    assert_held(w, 2, (struct census_held){0});
    assert_int_equal(world_add_member(w, 1, 0, 4), WIRE_ERR_OK);
    assert_health(w, "t", (struct census_health){.lacking = 1, .learning = 1});
    assert_held(w, 4, (struct census_held){.learners = 1});
    assert_int_equal(world_join_member(w, 1, 0, 4), WIRE_ERR_OK);
    assert_health(w, "t", (struct census_health){.whole = 1});
}

/* The last member is dead: nobody serves, however many are wanted. A dropped table is nobody's concern. */
static void test_headless(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 1), WIRE_ERR_OK);
    assert_int_equal(world_leave(w, 1), WIRE_ERR_OK);
    assert_health(w, "t", (struct census_health){.headless = 1});
    assert_held(w, 1, (struct census_held){.primaries = 1});
    assert_int_equal(world_drop(w, "t", 0), WIRE_ERR_OK);
    assert_held(w, 1, (struct census_held){0});
}

/* Members that drain are stuck where all others that could take their place are members already. */
static void test_stuck(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 4, 3), WIRE_ERR_OK);
    assert_int_equal(world_drain(w, 1, true), WIRE_ERR_OK);
    assert_held(w, 1, (struct census_held){.secondaries = 3});
    assert_int_equal(world_leave(w, 4), WIRE_ERR_OK);
    assert_held(w, 1, (struct census_held){.secondaries = 3, .stuck = 1}); /* With 2 and 3. */
    assert_int_equal(world_drain(w, 1, false), WIRE_ERR_OK);
    assert_held(w, 1, (struct census_held){.secondaries = 3});
}

/* More members than wanted are none too few. */
static void test_too_many(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 3), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = slice_str("t"), .count = 1},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_health(w, "t", (struct census_health){.whole = 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_lacking, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_headless, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_stuck, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_too_many, world_four_nodes, world_done),
    };
    return cmocka_run_group_tests_name("meta census", tests, NULL, NULL);
}
