/* tests/core/meta/test_place.c: who holds what of a new table: as even as can be. */
#include "world.h"

/* How many partitions of the table a node holds, and how many as primary. */
static void count(const struct meta_table *t, uint64_t node, uint32_t *all, uint32_t *primaries)
{
    *all = *primaries = 0;
    for (uint32_t i = 0; i < t->partition_count; i++) {
        enum meta_role role = meta_partition_role(&t->partitions[i], node);
        *all += role != META_ROLE_NONE;
        *primaries += role == META_ROLE_PRIMARY;
    }
}

/* Sixteen partitions of three replicas over four nodes: twelve each, four of them as primary. A
 * second table is as even by itself. */
static void test_even(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"a", "b"};
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(world_create(w, names[k], 16, 3), WIRE_ERR_OK);
        for (uint64_t node = 1; node <= 4; node++) {
            uint32_t all, primaries;
            count(world_table(w, names[k]), node, &all, &primaries);
            assert_int_equal(all, 12);
            assert_int_equal(primaries, 4);
        }
    }
}

/* A node that comes late is loaded less in all, and still gets no more of a new table than its
 * part: each table is spread by itself. */
static void test_newcomers_get_their_part(void **state)
{
    struct world *w = *state;
    struct meta_command leave = {.type = META_NODE_LEAVE, .node_leave = {.id = 4}};
    assert_int_equal(world_do(w, &leave), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "a", 16, 2), WIRE_ERR_OK);
    assert_int_equal(world_join(w, 4), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "b", 16, 2), WIRE_ERR_OK);
    for (uint64_t node = 1; node <= 4; node++) {
        uint32_t all, primaries;
        count(world_table(w, "b"), node, &all, &primaries);
        assert_int_equal(all, 8);
        assert_int_equal(primaries, 4);
    }
}

/* Many tables of one partition: the nodes take turns. */
static void test_small_tables_take_turns(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"a", "b", "c", "d"};
    for (size_t k = 0; k < 4; k++) {
        assert_int_equal(world_create(w, names[k], 1, 1), WIRE_ERR_OK);
        assert_int_equal(world_table(w, names[k])->partitions[0].primary, k + 1);
    }
}

/* The dead get nothing. */
static void test_dead_get_nothing(void **state)
{
    struct world *w = *state;
    struct meta_command leave = {.type = META_NODE_LEAVE, .node_leave = {.id = 2}};
    assert_int_equal(world_do(w, &leave), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "t", 8, 3), WIRE_ERR_OK);
    uint32_t all, primaries;
    count(world_table(w, "t"), 2, &all, &primaries);
    assert_int_equal(all, 0);
    assert_int_equal(world_create(w, "u", 8, 4), WIRE_ERR_INVALID_PARAMETERS);
}

/* Nor do those that drain, and they don't count as nodes that a table could be on. */
static void test_draining_get_nothing(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_drain(w, 2, true), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "u", 8, 4), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(world_create(w, "t", 8, 3), WIRE_ERR_OK);
    uint32_t all, primaries;
    count(world_table(w, "t"), 2, &all, &primaries);
    assert_int_equal(all, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_even, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_newcomers_get_their_part, world_four_nodes,
                                        world_done),
        cmocka_unit_test_setup_teardown(test_small_tables_take_turns, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_dead_get_nothing, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_draining_get_nothing, world_four_nodes, world_done),
    };
    return cmocka_run_group_tests_name("meta place", tests, NULL, NULL);
}
