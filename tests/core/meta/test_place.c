/* tests/core/meta/test_place.c: who holds what: even when new, and changed only in order. */
#include "world.h"

static int done(void **state)
{
    world_fini(*state);
    return 0;
}

static int four_nodes(void **state)
{
    static struct world w;
    world_init(&w, 4);
    *state = &w;
    return 0;
}

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

static enum wire_error set(struct world *w, int64_t ballot, int64_t primary, int64_t *secondaries,
                           uint32_t secondary_count)
{
    struct meta_command c = {
        .type = META_PARTITION_SET,
        .partition_set = {.table_id = 1,
                          .partition = 0,
                          .ballot = ballot,
                          .primary = primary,
                          .secondaries = {secondaries, secondary_count}},
    };
    return world_do(w, &c);
}

/* Members change one ballot at a time; who was lost last is remembered. */
static void test_members_change(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 3), WIRE_ERR_OK);
    const struct meta_partition *p = &world_table(w, "t")->partitions[0];
    assert_string_equal(world_members(world_table(w, "t"), 0), "1 2 3");
    int64_t s[] = {3, 4};
    assert_int_equal(set(w, 1, 2, s, 2), WIRE_ERR_INVALID_VERSION);
    assert_hint(w, "the ballot is 1");
    assert_int_equal(set(w, 3, 2, s, 2), WIRE_ERR_INVALID_VERSION);
    assert_int_equal(set(w, 2, 2, s, 2), WIRE_ERR_OK);
    assert_string_equal(world_members(world_table(w, "t"), 0), "2 3 4");
    assert_int_equal(p->ballot, 2);
    assert_int_equal(p->last_drop_count, 1);
    assert_int_equal(p->last_drops[0], 1);
    assert_int_equal(w->result.changed_id, 1);

    assert_int_equal(set(w, 3, 0, NULL, 0), WIRE_ERR_OK); /* All lost. */
    assert_int_equal(p->last_drop_count, 4);
    s[0] = 1;
    assert_int_equal(set(w, 4, 4, s, 1), WIRE_ERR_OK); /* Two are back. */
    assert_int_equal(p->last_drop_count, 2);
    assert_int_equal(p->last_drops[0], 2);
    assert_int_equal(p->last_drops[1], 3);
}

static void test_members_refused(void **state)
{
    struct world *w = *state;
    assert_int_equal(set(w, 2, 1, NULL, 0), WIRE_ERR_APP_NOT_EXIST);
    assert_int_equal(world_create(w, "t", 1, 3), WIRE_ERR_OK);
    int64_t twice[] = {2, 2}, self[] = {1}, unknown[] = {9}, many[] = {2, 3, 4, 5, 6};
    assert_int_equal(set(w, 2, 1, twice, 2), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(set(w, 2, 1, self, 1), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(set(w, 2, 1, unknown, 1), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(set(w, 2, 9, NULL, 0), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(set(w, 2, 0, self, 1), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(set(w, 2, 1, many, 5), WIRE_ERR_INVALID_PARAMETERS);
    struct meta_command beyond = {
        .type = META_PARTITION_SET,
        .partition_set = {.table_id = 1, .partition = 1, .ballot = 2, .primary = 1},
    };
    assert_int_equal(world_do(w, &beyond), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(world_table(w, "t")->partitions[0].ballot, 1);
}

/* ---- Processes of a node ---------------------------------------------------------------------------- */

static enum wire_error start(struct world *w, int64_t id, int64_t incarnation)
{
    struct meta_command c = {
        .type = META_NODE_START,
        .node_start = {
            .id = id, .ipv4 = 0x0a000000 + (int32_t)id, .port = 34601, .incarnation = incarnation}};
    return world_do(w, &c);
}

static enum wire_error bury(struct world *w, int64_t id, int64_t incarnation)
{
    struct meta_command c = {.type = META_NODE_DEAD,
                             .node_dead = {.id = id, .incarnation = incarnation}};
    return world_do(w, &c);
}

/* How many partitions of a table have this ballot. */
static uint32_t with_ballot(const struct world *w, const char *table, uint64_t ballot)
{
    const struct meta_table *t = world_table(w, table);
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->partition_count; i++) count += t->partitions[i].ballot == ballot;
    return count;
}

/* A node that starts again renews the partitions that it shares with others, and no others; saying it twice
 * changes nothing, and an earlier process is refused. */
static void test_starting_again_renews(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "pairs", 16, 2),
                     WIRE_ERR_OK); /* Eight of node 1, as it is even. */
    assert_int_equal(world_create(w, "alone", 16, 1), WIRE_ERR_OK);
    assert_int_equal(start(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_ANY);
    assert_int_equal(with_ballot(w, "pairs", 2), 8);
    assert_int_equal(with_ballot(w, "alone", 1), 16);
    assert_int_equal(start(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_int_equal(start(w, 1, 4), WIRE_ERR_INVALID_VERSION);
    assert_int_equal(start(w, 1, 0), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(with_ballot(w, "pairs", 2), 8);
    assert_int_equal(start(w, 1, 6), WIRE_ERR_OK);
    assert_int_equal(with_ballot(w, "pairs", 3), 8);
}

/* Death is that of one process: a later one is not meant. */
static void test_death_is_of_a_process(void **state)
{
    struct world *w = *state;
    assert_int_equal(start(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(bury(w, 1, 4), WIRE_ERR_INVALID_VERSION);
    assert_int_equal(meta_nodes_alive(w->meta), 4);
    assert_int_equal(bury(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(meta_nodes_alive(w->meta), 3);
    assert_int_equal(bury(w, 99, 1), WIRE_ERR_OBJECT_NOT_FOUND);
    assert_int_equal(start(w, 1, 5), WIRE_ERR_OK); /* It lives after all. */
    assert_int_equal(meta_nodes_alive(w->meta), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_even, four_nodes, done),
        cmocka_unit_test_setup_teardown(test_starting_again_renews, four_nodes, done),
        cmocka_unit_test_setup_teardown(test_death_is_of_a_process, four_nodes, done),
        cmocka_unit_test_setup_teardown(test_newcomers_get_their_part, four_nodes, done),
        cmocka_unit_test_setup_teardown(test_small_tables_take_turns, four_nodes, done),
        cmocka_unit_test_setup_teardown(test_dead_get_nothing, four_nodes, done),
        cmocka_unit_test_setup_teardown(test_members_change, four_nodes, done),
        cmocka_unit_test_setup_teardown(test_members_refused, four_nodes, done),
    };
    return cmocka_run_group_tests_name("meta place", tests, NULL, NULL);
}
