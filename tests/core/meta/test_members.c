/* tests/core/meta/test_members.c: who belongs to a partition: changed one ballot at a time, by hand, by learning,
 * by death and by a new life. */
#include "world.h"

#include <stdio.h>

#include "base/prng.h"

static const struct meta_partition *partition_of(const struct world *w, int32_t table_id)
{
    return &meta_table_by_id(w->meta, table_id)->partitions[0];
}

#define assert_members(w, table_id, text)                                                          \
    assert_string_equal(world_members(meta_table_by_id((w)->meta, table_id), 0), text)

/* ---- All members at once --------------------------------------------------------------------- */

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

/* ---- Learning -------------------------------------------------------------------------------- */

/* Make these the members of a table's only partition: the primary first. */
static void settle(struct world *w, int32_t table_id, int64_t primary, int64_t secondary)
{
    const int64_t ballot = (int64_t)partition_of(w, table_id)->ballot + 1;
    struct meta_command c = {
        .type = META_PARTITION_SET,
        .partition_set = {table_id, 0, ballot, primary, {&secondary, secondary != 0}},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
}

static uint64_t dropped_last(const struct world *w, int32_t table_id)
{
    const struct meta_partition *p = partition_of(w, table_id);
    return p->last_drop_count > 0 ? p->last_drops[p->last_drop_count - 1] : 0;
}

/* From nobody to learner to member, and out again: a ballot for each; only a member that leaves is
 * remembered, and only until it is one again. */
static void test_a_learner_becomes_a_member(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_add_member(w, 1, 0, 3), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, 1);
    assert_members(w, 1, "1 2 +3");
    assert_int_equal(meta_partition_role(partition_of(w, 1), 3), META_ROLE_LEARNER);
    assert_int_equal(world_join_member(w, 1, 0, 3), WIRE_ERR_OK);
    assert_members(w, 1, "1 2 3");
    assert_int_equal(world_drop_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_members(w, 1, "1 3");
    assert_int_equal(partition_of(w, 1)->last_drops[0], 2);
    assert_int_equal(world_add_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_int_equal(partition_of(w, 1)->last_drop_count, 1); /* Not a member yet. */
    assert_int_equal(world_drop_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_members(w, 1, "1 3");
    assert_int_equal(world_add_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_members(w, 1, "1 3 2");
    assert_int_equal(partition_of(w, 1)->last_drop_count, 0);
    assert_int_equal(partition_of(w, 1)->ballot, 8);
}

/* Each refusal of who may learn, in its words, and nothing changes. */
static void test_add_refused(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_add_member(w, 1, 0, 2), WIRE_ERR_APP_NOT_EXIST);
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_leave(w, 4), WIRE_ERR_OK);
    static const struct {
        int64_t id;
        const char *hint;
    } rows[] = {{9, "the node is not known"},
                {0, "the node is not known"},
                {4, "the node is dead"},
                {1, "the node is a member already"},
                {2, "the node is a member already"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(world_add_member(w, 1, 0, rows[i].id), WIRE_ERR_INVALID_PARAMETERS);
        assert_hint(w, rows[i].hint);
    }
    struct meta_command c = {.type = META_MEMBER_ADD, .member_add = {1, 0, 3, 3}};
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_VERSION);
    assert_hint(w, "the ballot is 1");
    c.member_add.partition = 1;
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    c.member_add.partition = -1;
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_members(w, 1, "1 2");

    assert_int_equal(world_add_member(w, 1, 0, 3), WIRE_ERR_OK);
    assert_int_equal(world_join(w, 4), WIRE_ERR_OK);
    assert_int_equal(world_add_member(w, 1, 0, 4), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "there is a learner already");
    assert_int_equal(world_drop(w, "t", 0), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 3), WIRE_ERR_APP_NOT_EXIST);
    assert_int_equal(world_drop_member(w, 1, 0, 3), WIRE_ERR_APP_NOT_EXIST);
}

/* Nobody to learn from, and no place for one more. */
static void test_add_needs_a_primary_and_a_place(void **state)
{
    struct world *w = *state;
    int64_t others[] = {2, 3, 4, 5};
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_join(w, 5), WIRE_ERR_OK);
    assert_int_equal(world_join(w, 6), WIRE_ERR_OK);
    assert_int_equal(set(w, 2, 0, NULL, 0), WIRE_ERR_OK);
    assert_int_equal(world_add_member(w, 1, 0, 1), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "there is no primary to learn from");
    assert_int_equal(set(w, 3, 1, others, 4), WIRE_ERR_OK);
    assert_int_equal(world_add_member(w, 1, 0, 6), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "there are as many members as can be");
}

/* Only the learner joins, and only who is there leaves. New members by hand end learning. */
static void test_join_and_drop_refused(void **state)
{
    struct world *w = *state;
    int64_t two = 2;
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 0), WIRE_ERR_INVALID_PARAMETERS); /* No learner. */
    assert_int_equal(world_add_member(w, 1, 0, 3), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 4), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "the node is not the learner");
    assert_int_equal(world_drop_member(w, 1, 0, 4), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "the node is no member");
    struct meta_command c = {.type = META_MEMBER_JOIN, .member_join = {1, 0, 2, 3}};
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_VERSION);
    c = (struct meta_command){.type = META_MEMBER_DROP, .member_drop = {1, 0, 2, 3, 0}};
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_VERSION);
    assert_members(w, 1, "1 2 +3");
    assert_int_equal(set(w, 3, 1, &two, 1), WIRE_ERR_OK);
    assert_members(w, 1, "1 2");
    assert_int_equal(world_drop_member(w, 1, 0, 0), WIRE_ERR_INVALID_PARAMETERS); /* No learner. */
}

/* A primary leaves only when somebody follows: who was named, or who leads least; never when it is the last. */
static void test_drop_of_a_primary(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 3), WIRE_ERR_OK); /* 1 2 3 */
    assert_int_equal(world_create(w, "u", 1, 1), WIRE_ERR_OK);
    settle(w, 2, 1, 0);
    struct meta_command c = {.type = META_MEMBER_DROP, .member_drop = {1, 0, 2, 1, 4}};
    assert_int_equal(world_do(w, &c), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "the successor is no alive secondary");
    c.member_drop.successor = 2;
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_members(w, 1, "2 3");
    assert_int_equal(world_add_member(w, 1, 0, 1), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop_member(w, 1, 0, 2), WIRE_ERR_OK); /* 1 leads one, 3 none. */
    assert_members(w, 1, "3 1");
    assert_int_equal(world_drop_member(w, 1, 0, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop_member(w, 1, 0, 3), WIRE_ERR_INVALID_STATE);
    assert_hint(w, "no other member is alive: what it holds is all there is");
    assert_members(w, 1, "3");

    assert_int_equal(world_leave(w, 4), WIRE_ERR_OK);
    settle(w, 1, 3, 4); /* By hand the dead may be anything, but they don't follow. */
    assert_int_equal(world_drop_member(w, 1, 0, 3), WIRE_ERR_INVALID_STATE);
    assert_int_equal(world_leave(w, 3), WIRE_ERR_OK);
    assert_members(w, 1, "3 4");
}

/* ---- Death (M35) ----------------------------------------------------------------------------- */

/* One death: the least burdened alive secondary leads, secondaries and learners go, a last member stays. */
static void test_death_fails_over(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"led", "followed", "alone", "learned", "gone"};
    for (size_t i = 0; i < 5; i++) assert_int_equal(world_create(w, names[i], 1, 3), WIRE_ERR_OK);
    settle(w, 1, 1, 3);
    assert_int_equal(world_add_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 2), WIRE_ERR_OK);
    settle(w, 2, 2, 1);
    settle(w, 3, 1, 0);
    settle(w, 4, 2, 0);
    settle(w, 5, 1, 2);
    assert_int_equal(world_add_member(w, 4, 0, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop(w, "gone", 0), WIRE_ERR_OK);
    uint64_t ballots[5];
    for (int32_t i = 0; i < 5; i++) ballots[i] = partition_of(w, i + 1)->ballot;
    const uint64_t dropped_before = dropped_last(w, 4);

    assert_int_equal(world_bury(w, 1, 0), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_ANY);
    assert_members(w, 1, "3 2"); /* 2 leads two already. */
    assert_members(w, 2, "2");
    assert_members(w, 3, "1"); /* What it holds is all there is. */
    assert_members(w, 4, "2");
    assert_members(w, 5, "2"); /* It may be recalled. */
    for (int32_t i = 0; i < 5; i++)
        assert_int_equal(partition_of(w, i + 1)->ballot, ballots[i] + (i != 2));
    assert_int_equal(dropped_last(w, 1), 1);
    assert_int_equal(dropped_last(w, 2), 1);
    assert_int_equal(dropped_last(w, 4), dropped_before); /* A learner is not missed. */

    assert_int_equal(world_bury(w, 1, 0), WIRE_ERR_OK); /* Dead is dead. */
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_int_equal(world_leave(w, 3), WIRE_ERR_OK);
    assert_members(w, 1, "2");
    assert_int_equal(world_leave(w, 2), WIRE_ERR_OK);
    assert_members(w, 1, "2");
    assert_members(w, 2, "2");
    assert_int_equal(partition_of(w, 1)->ballot, ballots[0] + 2);
}

/* The primaries of a dead node are spread over those that can follow: nobody gets all four. */
static void test_death_spreads_primaries(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 16, 3), WIRE_ERR_OK); /* Four of each. */
    assert_int_equal(world_leave(w, 1), WIRE_ERR_OK);
    for (uint64_t node = 2; node <= 4; node++) {
        uint32_t led = 0;
        for (uint32_t i = 0; i < 16; i++) led += world_table(w, "t")->partitions[i].primary == node;
        assert_in_range(led, 4, 6);
    }
}

/* Who takes a node's address takes it for dead, too. */
static void test_eviction_is_a_death(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_NODE_JOIN,
        .node_join = {.id = 9, .ipv4 = 0x0a000001, .port = 34601}, /* Where 1 was. */
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_members(w, 1, "2");
}

/* The primary said that the learner has everything, and died before that was decided: the learner is the only
 * one left, and leads. */
static void test_joining_a_dead_primary(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 1), WIRE_ERR_OK);
    assert_int_equal(world_add_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_int_equal(world_leave(w, 1), WIRE_ERR_OK);
    assert_members(w, 1, "1 +2");
    assert_int_equal(partition_of(w, 1)->ballot, 2);
    assert_int_equal(world_join_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_members(w, 1, "2");
    assert_int_equal(partition_of(w, 1)->ballot, 3);
    assert_int_equal(partition_of(w, 1)->last_drops[0], 1);
}

/* ---- Processes of a node ---------------------------------------------------------------------------- */

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
    assert_int_equal(world_start(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_ANY);
    assert_int_equal(with_ballot(w, "pairs", 2), 8);
    assert_int_equal(with_ballot(w, "alone", 1), 16);
    assert_int_equal(world_start(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_int_equal(world_start(w, 1, 4), WIRE_ERR_INVALID_VERSION);
    assert_int_equal(world_start(w, 1, 0), WIRE_ERR_INVALID_PARAMETERS);
    assert_int_equal(with_ballot(w, "pairs", 2), 8);
    assert_int_equal(world_start(w, 1, 6), WIRE_ERR_OK);
    assert_int_equal(with_ballot(w, "pairs", 3), 8);
}

/* Death is that of one process: a later one is not meant. */
static void test_death_is_of_a_process(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_start(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(world_bury(w, 1, 4), WIRE_ERR_INVALID_VERSION);
    assert_int_equal(meta_nodes_alive(w->meta), 4);
    assert_int_equal(world_bury(w, 1, 5), WIRE_ERR_OK);
    assert_int_equal(meta_nodes_alive(w->meta), 3);
    assert_int_equal(world_bury(w, 99, 1), WIRE_ERR_OBJECT_NOT_FOUND);
    assert_int_equal(world_start(w, 1, 5), WIRE_ERR_OK); /* It lives after all. */
    assert_int_equal(meta_nodes_alive(w->meta), 4);
}

/* A primary that starts again may have lost the end of what it held: a secondary that has it leads, and the
 * primary stays a member. A learner begins anew. */
static void test_starting_again_hands_over(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_add_member(w, 1, 0, 4), WIRE_ERR_OK);
    assert_int_equal(world_start(w, 1, 1), WIRE_ERR_OK);
    assert_members(w, 1, "2 1 3 +4");
    assert_int_equal(partition_of(w, 1)->ballot, 3);
    assert_int_equal(partition_of(w, 1)->last_drop_count, 0);
    assert_int_equal(world_start(w, 3, 1), WIRE_ERR_OK);
    assert_members(w, 1, "2 1 3 +4");
    assert_int_equal(partition_of(w, 1)->ballot, 4);
    assert_int_equal(world_start(w, 4, 1), WIRE_ERR_OK);
    assert_members(w, 1, "2 1 3");
    assert_int_equal(partition_of(w, 1)->ballot, 5);
}

/* A node is about to stop: others lead where they can, and it stays a member; said twice it changes nothing. */
static void test_yielding(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "alone", 1, 1), WIRE_ERR_OK);
    assert_members(w, 1, "1 2 3");
    assert_int_equal(world_yield(w, 1, 9), WIRE_ERR_INVALID_VERSION);
    assert_int_equal(world_yield(w, 77, 0), WIRE_ERR_OBJECT_NOT_FOUND);
    assert_members(w, 1, "1 2 3");
    const uint64_t node = partition_of(w, 2)->primary;
    assert_int_equal(world_yield(w, 1, 0), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_ANY);
    assert_int_equal(partition_of(w, 1)->ballot, 2);
    assert_int_not_equal(partition_of(w, 1)->primary, 1);
    assert_int_equal(meta_partition_role(partition_of(w, 1), 1), META_ROLE_SECONDARY);
    assert_int_equal(partition_of(w, 2)->primary, node);
    assert_int_equal(world_yield(w, 1, 0), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_int_equal(partition_of(w, 1)->ballot, 2);
}

/* Alone, a primary goes on as it was. With a learner it does not: that may hold what the primary has lost. */
static void test_starting_again_alone(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 1), WIRE_ERR_OK);
    assert_int_equal(world_start(w, 1, 1), WIRE_ERR_OK);
    assert_int_equal(partition_of(w, 1)->ballot, 1);
    assert_int_equal(world_add_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_int_equal(world_start(w, 1, 2), WIRE_ERR_OK);
    assert_members(w, 1, "1");
    assert_int_equal(partition_of(w, 1)->ballot, 3);
}

/* The same process elsewhere has lost nothing: all meet again under a new ballot, and that is all. */
static void test_moving_renews(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_start(w, 1, 1), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "u", 1, 1), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_NODE_START,
        .node_start = {.id = 1, .ipv4 = 0x0a000063, .port = 34601, .incarnation = 1},
    };
    assert_int_equal(world_do(w, &c), WIRE_ERR_OK);
    assert_members(w, 1, "1 2");
    assert_int_equal(partition_of(w, 1)->ballot, 2);
    assert_int_equal(partition_of(w, 2)->ballot, 1);
}

/* ---- Draining -------------------------------------------------------------------------------- */

/* Its primaries move at once, each to the member with the fewest; it stays a member until it is replaced, and what
 * it learned it learns no more. Nobody else's partition is touched. Said twice it changes nothing. */
static void test_draining_hands_over(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 16, 3), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "u", 1, 1), WIRE_ERR_OK);
    settle(w, 2, 2, 0);
    assert_int_equal(world_add_member(w, 2, 0, 1), WIRE_ERR_OK);
    assert_members(w, 2, "2 +1");
    assert_int_equal(world_drain(w, 1, true), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_ANY);
    assert_members(w, 2, "2");
    assert_int_equal(with_ballot(w, "t", 2), 4); /* Of which it was the primary. */
    uint32_t primaries[5] = {0};
    for (uint32_t i = 0; i < 16; i++) {
        const struct meta_partition *p = &world_table(w, "t")->partitions[i];
        primaries[p->primary]++;
        assert_int_equal(p->secondary_count, 2);
        assert_int_equal(p->last_drop_count, 0);
    }
    assert_int_equal(primaries[1], 0);
    assert_true(primaries[2] == 6 && primaries[3] == 6); /* Node 4 is in none of the four. */
    assert_int_equal(world_drain(w, 1, true), WIRE_ERR_OK);
    assert_int_equal(w->result.changed_id, META_TABLE_NONE);
    assert_int_equal(with_ballot(w, "t", 3), 0);
    assert_int_equal(world_drain(w, 77, true), WIRE_ERR_OBJECT_NOT_FOUND);
}

/* Nothing new comes to it, in whatever life it is; once that is called off, it does again. */
static void test_draining_takes_nothing(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_drain(w, 4, true), WIRE_ERR_OK);
    assert_int_equal(world_start(w, 4, 1), WIRE_ERR_OK);
    assert_int_equal(meta_nodes_taking(w->meta), 3);
    assert_int_equal(world_add_member(w, 1, 0, 4), WIRE_ERR_INVALID_PARAMETERS);
    assert_hint(w, "the node drains");
    assert_int_equal(world_drain(w, 4, false), WIRE_ERR_OK);
    assert_int_equal(world_add_member(w, 1, 0, 4), WIRE_ERR_OK);
}

/* Who is alone leads on until a member that stays has come; that leads from then on. Of those that could follow
 * a dead primary one that drains comes last. */
static void test_draining_leads_only_alone(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 1), WIRE_ERR_OK);
    assert_int_equal(world_drain(w, 1, true), WIRE_ERR_OK);
    assert_members(w, 1, "1");
    assert_int_equal(world_add_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 2), WIRE_ERR_OK);
    assert_members(w, 1, "2 1");
    assert_int_equal(world_add_member(w, 1, 0, 3), WIRE_ERR_OK);
    assert_int_equal(world_join_member(w, 1, 0, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(w, 2), WIRE_ERR_OK);
    assert_members(w, 1, "3 1");
    assert_int_equal(world_leave(w, 3), WIRE_ERR_OK);
    assert_members(w, 1, "1");
}

/* Two drain, and one may stay after all: it leads where the other did. */
static void test_draining_called_off(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_create(w, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_drain(w, 2, true), WIRE_ERR_OK);
    assert_int_equal(world_drain(w, 1, true), WIRE_ERR_OK);
    assert_members(w, 1, "1 2");
    assert_int_equal(world_drain(w, 2, false), WIRE_ERR_OK);
    assert_members(w, 1, "2 1");
}

/* ---- Any order ------------------------------------------------------------------------------- */

enum { NODES = 6, TABLES = 3, STEPS = 4000 };

static int64_t any_node(struct prng *prng)
{
    return (int64_t)prng_between(prng, 0, NODES + 1); /* Two of them are unknown. */
}

/* A node dies, or starts: mostly as the process that it is, or the next, where it was. */
static struct meta_command any_node_event(struct prng *prng, const struct world *w)
{
    const int64_t id = (int64_t)prng_between(prng, 1, NODES);
    const struct meta_node *node = meta_node_by_id(w->meta, (uint64_t)id);
    const int64_t incarnation = (int64_t)(node->incarnation + prng_percent(prng, 30));
    const int32_t at = prng_percent(prng, 10) ? (int32_t)prng_between(prng, 1, 9) : (int32_t)id;
    if (prng_percent(prng, 10))
        return (struct meta_command){.type = META_NODE_DRAIN,
                                     .node_drain = {any_node(prng), prng_percent(prng, 50)}};
    if (prng_percent(prng, 20))
        return (struct meta_command){.type = META_NODE_DEAD, .node_dead = {id, incarnation}};
    if (prng_percent(prng, 10))
        return (struct meta_command){.type = META_NODE_LEAVE, .node_leave = {any_node(prng)}};
    if (prng_percent(prng, 10))
        return (struct meta_command){.type = META_NODE_YIELD, .node_yield = {id, incarnation}};
    return (struct meta_command){
        .type = META_NODE_START,
        .node_start = {id, 0x0a000000 + at, 34601, incarnation},
    };
}

/* A command that may or may not make sense. */
static struct meta_command any_command(struct prng *prng, const struct world *w)
{
    const int32_t table = (int32_t)prng_between(prng, 1, TABLES);
    const struct meta_table *t = meta_table_by_id(w->meta, table);
    const int32_t partition = (int32_t)prng_below(prng, t->partition_count);
    const struct meta_partition *p = &t->partitions[partition];
    const int64_t ballot = (int64_t)(p->ballot + 1 - prng_percent(prng, 5));
    const int64_t id = any_node(prng);
    switch (prng_below(prng, 10)) {
    case 0:
    case 1: return any_node_event(prng, w);
    case 2:
        return (struct meta_command){
            .type = META_MEMBER_DROP,
            .member_drop = {table, partition, ballot, id, prng_percent(prng, 50) ? id % 3 : 0},
        };
    case 3:
        if (t->status == AS_DROPPED)
            return (struct meta_command){.type = META_TABLE_RECALL, .table_recall = {table, {0}}};
        if (prng_percent(prng, 90)) return any_node_event(prng, w);
        return (struct meta_command){.type = META_TABLE_DROP,
                                     .table_drop = {.name = slice_str(t->name)}};
    case 4:
    case 5:
    case 6:
        return (struct meta_command){
            .type = META_MEMBER_JOIN,
            .member_join = {table, partition, ballot,
                            prng_percent(prng, 90) ? (int64_t)p->learner : id},
        };
    default:
        return (struct meta_command){.type = META_MEMBER_ADD,
                                     .member_add = {table, partition, ballot, id}};
    }
}

/* Beyond what meta_check() asks of any state: true as long as nobody is set by hand. */
static void assert_led(const struct meta *m)
{
    for (size_t i = 0; i < m->table_count; i++) {
        for (uint32_t k = 0; k < m->tables[i]->partition_count; k++) {
            const struct meta_partition *p = &m->tables[i]->partitions[k];
            assert_true(p->primary != 0);
            if (p->secondary_count > 0) assert_true(meta_node_by_id(m, p->primary)->is_alive);
            for (size_t s = 0; s < p->secondary_count; s++)
                assert_true(meta_node_by_id(m, p->secondaries[s])->is_alive);
            if (p->learner != 0) assert_true(meta_node_by_id(m, p->learner)->is_alive);
        }
    }
}

/* The members of a ballot are its members for ever. */
static void assert_ballots_grow(const struct meta_partition *before,
                                const struct meta_partition *now)
{
    assert_true(now->ballot >= before->ballot && now->ballot <= before->ballot + 2);
    if (now->ballot > before->ballot) return;
    assert_int_equal(now->primary, before->primary);
    assert_int_equal(now->learner, before->learner);
    assert_memory_equal(now->secondaries, before->secondaries, sizeof now->secondaries);
}

static void snapshot(const struct meta *m, struct buf *to)
{
    buf_clear(to);
    assert_int_equal(meta_snapshot_write(m, to), 0);
}

/* Four thousand commands in any order: after each the invariants hold, who is alive leads, a ballot has one
 * configuration, a refusal changes nothing, and the snapshot is read as it was written. */
static void test_any_order(void **state)
{
    struct world *w = *state;
    struct prng prng;
    struct buf before = {0}, after = {0};
    uint32_t done_count = 0;
    prng_init(&prng, 36);
    for (int64_t id = 5; id <= NODES; id++) assert_int_equal(world_join(w, id), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "a", 4, 3), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "b", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "c", 1, 5), WIRE_ERR_OK);
    for (uint32_t step = 0; step < STEPS; step++) {
        struct meta_command c = any_command(&prng, w);
        struct meta_partition old[TABLES][4];
        for (size_t i = 0; i < TABLES; i++)
            memcpy(old[i], w->meta->tables[i]->partitions,
                   w->meta->tables[i]->partition_count * sizeof old[i][0]);
        snapshot(w->meta, &before);
        enum wire_error err = world_do(w, &c);
        snapshot(w->meta, &after);
        if (err != WIRE_ERR_OK) assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
        done_count += err == WIRE_ERR_OK;
        assert_led(w->meta);
        for (size_t i = 0; i < TABLES; i++) {
            for (uint32_t k = 0; k < w->meta->tables[i]->partition_count; k++)
                assert_ballots_grow(&old[i][k], &w->meta->tables[i]->partitions[k]);
        }
        struct meta *copy = NULL;
        assert_int_equal(meta_snapshot_read(buf_slice(&after), &copy), 0);
        snapshot(copy, &before);
        assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
        meta_free(copy);
    }
    assert_true(done_count > STEPS / 4);
    buf_fini(&before);
    buf_fini(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_members_change, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_members_refused, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_a_learner_becomes_a_member, world_four_nodes,
                                        world_done),
        cmocka_unit_test_setup_teardown(test_add_refused, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_add_needs_a_primary_and_a_place, world_four_nodes,
                                        world_done),
        cmocka_unit_test_setup_teardown(test_join_and_drop_refused, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_drop_of_a_primary, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_death_fails_over, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_death_spreads_primaries, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_eviction_is_a_death, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_joining_a_dead_primary, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_starting_again_renews, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_death_is_of_a_process, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_starting_again_hands_over, world_four_nodes,
                                        world_done),
        cmocka_unit_test_setup_teardown(test_yielding, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_starting_again_alone, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_moving_renews, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_draining_hands_over, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_draining_takes_nothing, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_draining_leads_only_alone, world_four_nodes,
                                        world_done),
        cmocka_unit_test_setup_teardown(test_draining_called_off, world_four_nodes, world_done),
        cmocka_unit_test_setup_teardown(test_any_order, world_four_nodes, world_done),
    };
    return cmocka_run_group_tests_name("meta members", tests, NULL, NULL);
}
