/* tests/core/meta/test_cure.c: partitions that lack members get them, from the right nodes, at the right time
 * and not too many at once; those that have too many lose them. */
#include "world.h"

#include <stdio.h>

#include "base/prng.h"
#include "core/meta/cure.h"

static const struct cure_limits limits = {
    .learners_per_node = 2,
    .heal_delay_ms = 60000,
    .retry_ms_min = 1000,
    .retry_ms_max = 8000,
};

struct ward { /* A cluster and its cure. */
    struct world world;
    struct cure cure;
    uint64_t now_ms;  /* Of the boot clock. */
    char orders[512]; /* Those of the last ask: "+1.0:3 -2.0:4 ". */
    const char *why;  /* Of the last order. */
};

static struct ward ward;

static int begin(void **state, int nodes)
{
    ward = (struct ward){.now_ms = 5000};
    world_init(&ward.world, nodes);
    cure_init(&ward.cure, &limits);
    *state = &ward;
    return 0;
}

static int three_nodes(void **state)
{
    return begin(state, 3);
}

static int six_nodes(void **state)
{
    return begin(state, 6);
}

static int done(void **state)
{
    struct ward *d = *state;
    cure_fini(&d->cure);
    world_fini(&d->world);
    return 0;
}

static const struct meta_partition *partition_of(const struct ward *d, struct gpid gpid)
{
    return &meta_table_by_id(d->world.meta, gpid.app_id)->partitions[gpid.partition_index];
}

#define assert_members(d, text)                                                                    \
    assert_string_equal(world_members(meta_table_by_id((d)->world.meta, 1), 0), text)

static void note_order(struct ward *d, const struct cure_order *order)
{
    size_t used = strlen(d->orders);
    (void)snprintf(d->orders + used, sizeof d->orders - used, "%c%d.%d:%llu ",
                   order->command.type == META_MEMBER_ADD ? '+' : '-', order->gpid.app_id,
                   order->gpid.partition_index, (unsigned long long)order->node);
    d->why = order->why;
}

/* What the cure asks for now: the group does it at once, or has not decided yet. */
static const char *ask(struct ward *d, bool is_decided)
{
    struct cure_order order;
    d->orders[0] = '\0';
    d->why = "";
    while (cure_next(&d->cure, d->world.meta, d->now_ms, &order)) {
        note_order(d, &order);
        if (!is_decided) continue;
        assert_int_equal(world_do(&d->world, &order.command), WIRE_ERR_OK);
        cure_done(&d->cure, order.gpid);
    }
    return d->orders;
}

#define assert_asks(d, text)         assert_string_equal(ask(d, true), text)
#define assert_asks_in_vain(d, text) assert_string_equal(ask(d, false), text)

static void join(struct ward *d, int64_t node)
{
    assert_int_equal(world_join_member(&d->world, 1, 0, node), WIRE_ERR_OK);
}

static void give_up(struct ward *d, int64_t node)
{
    assert_int_equal(world_drop_member(&d->world, 1, 0, node), WIRE_ERR_OK);
}

/* ---- Who learns, and when -------------------------------------------------------------------- */

/* Nobody lacks anything: nothing is asked, now or later. */
static void test_whole(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 8, 3), WIRE_ERR_OK);
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), UINT64_MAX);
}

/* One of three is dead: it may come back, and is waited for; then another node learns. */
static void test_waits_for_who_may_come_back(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), d->now_ms + limits.heal_delay_ms);
    d->now_ms += limits.heal_delay_ms - 1;
    assert_asks(d, "");
    d->now_ms += 1;
    assert_asks(d, "+1.0:4 ");
    assert_string_equal(d->why, "no lost member came back");
    assert_members(d, "1 3 +4");
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), UINT64_MAX);
    join(d, 4);
    assert_asks(d, "");
    assert_int_equal(d->cure.note_count, 0);
}

/* It is back: it learns at once, for it holds most of the data. Of two the one that was lost last. */
static void test_who_comes_back_learns_at_once(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 5), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 3), WIRE_ERR_OK);
    assert_asks(d, "");
    assert_int_equal(world_join(&d->world, 2), WIRE_ERR_OK);
    assert_int_equal(world_join(&d->world, 3), WIRE_ERR_OK);
    assert_asks(d, "+1.0:3 ");
    assert_string_equal(d->why, "it was a member and is back");
    join(d, 3);
    assert_asks(d, "+1.0:2 ");
}

/* Another node lives where it did: its disk is gone, and nobody waits for it. */
static void test_whose_place_was_taken_is_not_waited_for(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    const struct meta_node *lost = meta_node_by_id(d->world.meta, 2);
    const struct meta_command other = {
        .type = META_NODE_JOIN,
        .node_join = {.id = 9, .ipv4 = (int32_t)lost->ipv4, .port = lost->port},
    };
    assert_int_equal(world_do(&d->world, &other), WIRE_ERR_OK);
    assert_asks(d, "+1.0:4 ");
    assert_string_equal(d->why, "another has taken the lost one's place");
}

/* Less than a majority is left: nobody is waited for. */
static void test_in_danger_nobody_is_waited_for(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 3), WIRE_ERR_OK);
    assert_asks(d, "+1.0:4 ");
    assert_string_equal(d->why, "less than a majority is left");
    join(d, 4);
    assert_asks(d, ""); /* Two of three: now they may come back. */
    d->now_ms += limits.heal_delay_ms;
    assert_asks(d, "+1.0:5 ");
}

/* More replicas are wanted than there ever were: there is nobody to wait for. */
static void test_more_are_wanted(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 2), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = slice_str("t"), .count = 3},
    };
    assert_int_equal(world_do(&d->world, &c), WIRE_ERR_OK);
    assert_asks(d, "+1.0:3 ");
    assert_string_equal(d->why, "more replicas are wanted");
}

/* Fewer are wanted: the most loaded secondary goes, one at a time, and before it who only learns. */
static void test_fewer_are_wanted(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK); /* 1 2 3 */
    assert_int_equal(world_create(&d->world, "u", 4, 3), WIRE_ERR_OK);
    assert_int_equal(world_add_member(&d->world, 1, 0, 4), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = slice_str("t"), .count = 1},
    };
    assert_int_equal(world_do(&d->world, &c), WIRE_ERR_OK);
    assert_asks(d, "-1.0:4 ");
    assert_string_equal(d->why, "there are more than are wanted");
    assert_asks(d, "-1.0:3 ");
    assert_asks(d, "-1.0:2 ");
    assert_asks(d, "");
    assert_members(d, "1");
}

/* The least loaded learns: by what it holds of the table, then in all, learners included, then by id. */
static void test_the_least_loaded_learns(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 2, 2), WIRE_ERR_OK); /* 1 2 and 3 4, say. */
    assert_int_equal(world_create(&d->world, "u", 1, 1), WIRE_ERR_OK); /* 5 */
    assert_string_equal(world_members(world_table(&d->world, "u"), 0), "5");
    struct meta_command c = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = slice_str("t"), .count = 3},
    };
    assert_int_equal(world_do(&d->world, &c), WIRE_ERR_OK);
    assert_asks(d, "+1.0:6 +1.1:5 ");
}

/* Who was asked to learn, and does not yet, holds that already: of this table, whatever it holds in all. */
static void test_asked_counts_as_held(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 2, 2), WIRE_ERR_OK);
    assert_string_equal(world_members(world_table(&d->world, "t"), 0), "1 2");
    assert_string_equal(world_members(world_table(&d->world, "t"), 1), "3 4");
    assert_int_equal(world_create(&d->world, "u", 2, 1), WIRE_ERR_OK);
    for (int32_t i = 0; i < 2; i++) {
        struct meta_command c = {
            .type = META_PARTITION_SET,
            .partition_set = {.table_id = 2, .partition = i, .ballot = 2, .primary = 6},
        };
        assert_int_equal(world_do(&d->world, &c), WIRE_ERR_OK);
    }
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_asks_in_vain(d, "+1.0:5 ");
    assert_int_equal(world_leave(&d->world, 4), WIRE_ERR_OK);
    assert_asks_in_vain(d, "+1.1:6 ");
}

/* Nobody to learn from: the last member is dead. Nor is anything done for a table that is dropped. */
static void test_the_dead_teach_nobody(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 2), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 1), WIRE_ERR_OK);
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), UINT64_MAX);
    assert_int_equal(world_join(&d->world, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop(&d->world, "t", 0), WIRE_ERR_OK);
    assert_asks(d, "");
    struct meta_command recall = {.type = META_TABLE_RECALL, .table_recall = {.table_id = 1}};
    assert_int_equal(world_do(&d->world, &recall), WIRE_ERR_OK);
    assert_asks(d, "+1.0:3 ");
}

/* ---- Draining -------------------------------------------------------------------------------- */

static void drain(struct ward *d, int64_t node, bool is_draining)
{
    assert_int_equal(world_drain(&d->world, node, is_draining), WIRE_ERR_OK);
}

/* A member that drains is replaced: another learns at once, joins, and only then it goes. The partition never has
 * fewer members than wanted. */
static void test_draining_is_replaced(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    drain(d, 2, true);
    assert_asks(d, "+1.0:4 ");
    assert_string_equal(d->why, "the node of a member drains");
    assert_members(d, "1 2 3 +4");
    assert_asks(d, "");
    join(d, 4);
    assert_asks(d, "-1.0:2 ");
    assert_string_equal(d->why, "the node drains");
    assert_members(d, "1 3 4");
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), UINT64_MAX);
    assert_int_equal(d->cure.note_count, 0);
}

/* Several members drain: one after the other. The only replica of a table leads until its successor is there. */
static void test_draining_one_after_the_other(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 2), WIRE_ERR_OK);
    drain(d, 1, true);
    drain(d, 2, true);
    assert_asks(d, "+1.0:3 ");
    join(d, 3);
    assert_members(d, "3 1 2");
    assert_asks(d, "-1.0:1 ");
    assert_asks(d, "+1.0:4 ");
    join(d, 4);
    assert_asks(d, "-1.0:2 ");
    assert_members(d, "3 4");
    assert_asks(d, "");
}

/* Nobody else is there: it stays, nothing is asked for in vain; a node that joins takes its place. */
static void test_draining_stays_for_want_of_others(void **state)
{
    struct ward *d = *state; /* Three nodes. */
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    drain(d, 3, true);
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), UINT64_MAX);
    assert_int_equal(world_join(&d->world, 7), WIRE_ERR_OK);
    assert_asks(d, "+1.0:7 ");
}

/* Five are as many members as can be: there is no place for a sixth to learn. */
static void test_draining_of_five(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 5), WIRE_ERR_OK);
    drain(d, 5, true);
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), UINT64_MAX);
}

/* Called off: who learns in its place is not needed any more. */
static void test_draining_called_off(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    drain(d, 2, true);
    assert_asks(d, "+1.0:4 ");
    drain(d, 2, false);
    assert_asks(d, "-1.0:4 ");
    assert_members(d, "1 2 3");
    assert_asks(d, "");
}

/* Fewer are wanted: who drains goes first, however little it holds. */
static void test_draining_goes_first(void **state)
{
    struct ward *d = *state; /* Three nodes. */
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_create(&d->world, "u", 1, 1), WIRE_ERR_OK);
    assert_string_equal(world_members(world_table(&d->world, "u"), 0), "2");
    drain(d, 3, true);
    struct meta_command c = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = slice_str("t"), .count = 2},
    };
    assert_int_equal(world_do(&d->world, &c), WIRE_ERR_OK);
    assert_asks(d, "-1.0:3 ");
    assert_members(d, "1 2");
}

/* A lost member that drains is not waited for, and does not learn when it is back. */
static void test_draining_and_dead(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    drain(d, 2, true);
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_asks(d, "+1.0:4 ");
    assert_int_equal(world_join(&d->world, 2), WIRE_ERR_OK);
    join(d, 4);
    assert_asks(d, "");
    assert_members(d, "1 3 4");
}

/* ---- Not too many ---------------------------------------------------------------------------- */

/* A node has two learners at once, those included that were only asked for. */
static void test_learners_per_node(void **state)
{
    struct ward *d = *state; /* Three nodes. */
    assert_int_equal(world_create(&d->world, "t", 8, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 3), WIRE_ERR_OK);
    assert_int_equal(world_join(&d->world, 3), WIRE_ERR_OK);
    assert_asks_in_vain(d, "+1.0:3 +1.1:3 ");
    assert_asks_in_vain(d, "");
    cure_done(&d->cure, (struct gpid){1, 0}); /* Refused: another one may. */
    assert_asks(d, "+1.2:3 ");
}

/* ---- Failures -------------------------------------------------------------------------------- */

/* A learner that is gone without having become a member is tried again after a while, ever more slowly, and
 * when the time to come back is over, after somebody else. */
static void test_failures_are_retried_slowly(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_int_equal(world_join(&d->world, 2), WIRE_ERR_OK);
    const uint64_t since_ms = d->now_ms;
    for (uint64_t wait_ms = 1000;; wait_ms *= 2) {
        if (wait_ms > 8000) wait_ms = 8000;
        assert_asks(d, "+1.0:2 ");
        give_up(d, 2);
        assert_asks(d, "");
        assert_int_equal(cure_deadline_ms(&d->cure), d->now_ms + wait_ms);
        d->now_ms += wait_ms - 1;
        assert_asks(d, "");
        d->now_ms += 1;
        if (d->now_ms >= since_ms + limits.heal_delay_ms) break;
    }
    assert_asks(d, "+1.0:4 ");
    give_up(d, 4);
    assert_asks(d, "");
    d->now_ms += limits.retry_ms_max;
    assert_asks(d, "+1.0:2 ");
    join(d, 2);
    assert_asks(d, "");
    assert_int_equal(d->cure.note_count, 0); /* Whole: forgotten. */
}

/* Who became a member has not failed: what fails next is tried again as soon as the first time. */
static void test_success_is_a_new_beginning(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 5), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 2), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 3), WIRE_ERR_OK);
    d->now_ms += 1;
    assert_asks(d, "");
    d->now_ms += limits.heal_delay_ms;
    assert_int_equal(world_join(&d->world, 2), WIRE_ERR_OK);
    assert_asks(d, "+1.0:2 ");
    give_up(d, 2);
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), d->now_ms + limits.retry_ms_min);
    d->now_ms += limits.retry_ms_min;
    assert_asks(d, "+1.0:6 ");
    join(d, 6);
    assert_asks(d, "+1.0:2 ");
    give_up(d, 2);
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), d->now_ms + limits.retry_ms_min);
}

/* What was refused, or is not known, is a failure like any other; and who failed is better than nobody. */
static void test_what_was_refused_is_retried_slowly(void **state)
{
    struct ward *d = *state; /* Three nodes. */
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 3), WIRE_ERR_OK);
    assert_int_equal(world_join(&d->world, 3), WIRE_ERR_OK);
    assert_asks_in_vain(d, "+1.0:3 ");
    cure_done(&d->cure, (struct gpid){1, 0});
    assert_asks(d, "");
    assert_int_equal(cure_deadline_ms(&d->cure), d->now_ms + limits.retry_ms_min);
    d->now_ms += limits.heal_delay_ms;
    assert_asks(d, "+1.0:3 ");
}

/* A member too many that is not let go is asked for again, slowly as well. */
static void test_a_drop_refused_is_retried_slowly(void **state)
{
    struct ward *d = *state; /* Three nodes. */
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_drop_member(&d->world, 1, 0, 3), WIRE_ERR_OK);
    assert_int_equal(world_add_member(&d->world, 1, 0, 3), WIRE_ERR_OK);
    struct meta_command c = {
        .type = META_REPLICAS_SET,
        .replicas_set = {.table = slice_str("t"), .count = 1},
    };
    assert_int_equal(world_do(&d->world, &c), WIRE_ERR_OK);
    for (uint64_t wait_ms = 1000; wait_ms < 8000; wait_ms *= 2) {
        assert_asks_in_vain(d, "-1.0:3 ");
        cure_done(&d->cure, (struct gpid){1, 0});
        assert_asks(d, "");
        assert_int_equal(cure_deadline_ms(&d->cure), d->now_ms + wait_ms);
        d->now_ms += wait_ms;
    }
    assert_asks(d, "-1.0:3 ");
    assert_asks(d, "-1.0:2 ");
    assert_members(d, "1");
}

/* A learner that another leader has asked for is known when it is seen, and so is its end. */
static void test_another_leaders_learner(void **state)
{
    struct ward *d = *state;
    assert_int_equal(world_create(&d->world, "t", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 3), WIRE_ERR_OK);
    assert_int_equal(world_add_member(&d->world, 1, 0, 4), WIRE_ERR_OK);
    assert_asks(d, "");
    give_up(d, 4);
    assert_asks(d, "");
    d->now_ms += limits.heal_delay_ms;
    assert_asks(d, "+1.0:5 "); /* Not 4 again. */
}

/* Whatever memory fails: nothing is asked, nothing forgotten, and soon it is tried again. */
static void test_no_memory(void **state)
{
    struct ward *d = *state; /* Three nodes. */
    assert_int_equal(world_create(&d->world, "t", 32, 3), WIRE_ERR_OK);
    assert_int_equal(world_leave(&d->world, 3), WIRE_ERR_OK);
    assert_asks(d, "");
    assert_int_equal(world_join(&d->world, 3), WIRE_ERR_OK);
    const size_t notes = d->cure.note_count;
    for (uint64_t n = 1;; n++) {
        struct cure_order order;
        d->now_ms++;
        mem_fail_nth(n);
        bool is_asked = cure_next(&d->cure, d->world.meta, d->now_ms, &order);
        const int has_failed = mem_has_failed();
        mem_fail_nth(0);
        assert_true(is_asked != (bool)has_failed);
        if (!has_failed) break;
        assert_int_equal(d->cure.note_count, notes);
        assert_int_equal(cure_deadline_ms(&d->cure), d->now_ms + limits.retry_ms_min);
    }
}

/* ---- Until all are whole --------------------------------------------------------------------- */

enum { LATE_MAX = 16 };

struct chaos {
    struct ward *ward;
    struct prng prng;
    int nodes;
    struct cure_order late[LATE_MAX]; /* Asked, and not decided yet. */
    size_t late_count;
    uint64_t asked, joined;
};

static void assert_limits(const struct ward *d, int nodes)
{
    uint32_t learners[64] = {0};
    const struct meta *m = d->world.meta;
    for (size_t i = 0; i < m->table_count; i++) {
        for (uint32_t k = 0; k < m->tables[i]->partition_count; k++)
            learners[m->tables[i]->partitions[k].learner]++;
    }
    for (int id = 1; id <= nodes; id++) assert_true(learners[id] <= limits.learners_per_node);
}

static void decide(struct chaos *x, const struct cure_order *order, bool may_fail)
{
    if (!may_fail || !prng_percent(&x->prng, 5)) (void)world_do(&x->ward->world, &order->command);
    cure_done(&x->ward->cure, order->gpid);
    assert_limits(x->ward, x->nodes);
}

/* Some of what is asked is decided at once, some later, some never. */
static void ask_in_chaos(struct chaos *x, bool may_fail)
{
    struct ward *d = x->ward;
    struct cure_order order;
    while (cure_next(&d->cure, d->world.meta, d->now_ms, &order)) {
        const struct meta_partition *p = partition_of(d, order.gpid);
        assert_true(order.command.type == META_MEMBER_DROP || p->learner == 0);
        x->asked++;
        if (x->late_count < LATE_MAX && prng_percent(&x->prng, 50))
            x->late[x->late_count++] = order;
        else decide(x, &order, may_fail);
    }
    while (x->late_count > 0 && (!may_fail || prng_percent(&x->prng, 50)))
        decide(x, &x->late[--x->late_count], may_fail);
}

/* Each learner joins, fails, or goes on. */
static void learn(struct chaos *x, bool may_fail)
{
    const struct meta *m = x->ward->world.meta;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; k < t->partition_count; k++) {
            const int64_t learner = (int64_t)t->partitions[k].learner;
            if (learner == 0 || t->status != AS_AVAILABLE || prng_percent(&x->prng, 50)) continue;
            if (may_fail && prng_percent(&x->prng, 20)) {
                (void)world_drop_member(&x->ward->world, t->id, (int32_t)k, learner);
            } else {
                assert_int_equal(world_join_member(&x->ward->world, t->id, (int32_t)k, learner),
                                 WIRE_ERR_OK);
                x->joined++;
            }
        }
    }
}

static void strike(struct chaos *x)
{
    struct world *w = &x->ward->world;
    const int64_t id = (int64_t)prng_between(&x->prng, 1, (uint64_t)x->nodes);
    const struct meta_node *node = meta_node_by_id(w->meta, (uint64_t)id);
    if (!node->is_alive) {
        (void)world_start(w, id, (int64_t)(node->incarnation + prng_percent(&x->prng, 50) + 1));
    } else if (prng_percent(&x->prng, 20)) {
        (void)world_leave(w, id);
    } else if (prng_percent(&x->prng, 5)) {
        (void)world_start(w, id, (int64_t)node->incarnation + 1);
    } else if (prng_percent(&x->prng, 5)) {
        (void)world_drain(w, id, prng_percent(&x->prng, 50));
    } else if (prng_percent(&x->prng, 5)) {
        struct meta_command c = {
            .type = META_REPLICAS_SET,
            .replicas_set = {slice_str("a"), (int32_t)prng_between(&x->prng, 1, 5)},
        };
        (void)world_do(w, &c);
    }
}

static bool is_whole(const struct meta *m)
{
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; k < t->partition_count; k++) {
            const struct meta_partition *p = &t->partitions[k];
            if (p->learner != 0 || (int32_t)p->secondary_count + 1 != t->max_replica_count)
                return false;
            for (size_t n = 0; n < m->node_count; n++) {
                if (m->nodes[n].is_draining && t->max_replica_count < META_REPLICAS_MAX &&
                    meta_partition_role(p, m->nodes[n].id) != META_ROLE_NONE)
                    return false;
            }
        }
    }
    return true;
}

/* Nodes die, return and drain, learners fail, decisions are late or lost, counts change: the limits hold throughout;
 * and when that ends all partitions are whole before long, those that drain hold nothing (but of tables with five
 * replicas), and nothing is asked any more. */
static void test_until_all_are_whole(void **state)
{
    struct ward *d = &ward;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct chaos x = {.ward = d, .nodes = 8};
        prng_init(&x.prng, seed);
        (void)begin(state, x.nodes);
        assert_int_equal(world_create(&d->world, "a", 16, 3), WIRE_ERR_OK);
        assert_int_equal(world_create(&d->world, "b", 4, 5), WIRE_ERR_OK);
        assert_int_equal(world_create(&d->world, "c", 8, 1), WIRE_ERR_OK);
        assert_int_equal(world_create(&d->world, "d", 8, 2), WIRE_ERR_OK);
        for (uint32_t step = 0; step < 500; step++) {
            strike(&x);
            ask_in_chaos(&x, true);
            learn(&x, true);
            d->now_ms += prng_below(&x.prng, 5000);
        }
        for (int64_t id = 1; id <= x.nodes; id++) {
            assert_int_equal(world_join(&d->world, id), WIRE_ERR_OK);
            assert_int_equal(world_drain(&d->world, id, id <= 2), WIRE_ERR_OK);
        }
        uint32_t steps = 0;
        for (; !is_whole(d->world.meta); steps++) {
            assert_true(steps < 1000);
            ask_in_chaos(&x, false);
            learn(&x, false);
            d->now_ms += 1000;
        }
        assert_true(x.asked > 100 && x.joined > 50);
        assert_asks(d, "");
        assert_int_equal(cure_deadline_ms(&d->cure), UINT64_MAX);
        for (int64_t id = 1; id <= 2; id++)
            assert_int_equal(world_drain(&d->world, id, false), WIRE_ERR_OK);
        assert_asks(d, "");
        assert_int_equal(d->cure.note_count, 0);
        (void)done(state);
    }
}

/* Twenty thousand partitions on five hundred nodes, fifty of which die at once: no node learns more than two at
 * a time, and no more is asked at once than the group's log is to carry. */
static void test_many(void **state)
{
    struct ward *d = &ward;
    const int nodes = 500;
    (void)begin(state, nodes);
    char name[8];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        assert_int_equal(world_create(&d->world, name, 1024, 3), WIRE_ERR_OK);
    }
    for (int64_t id = 10; id <= nodes; id += 10)
        assert_int_equal(world_leave(&d->world, id), WIRE_ERR_OK);
    assert_asks(d, ""); /* Two of three are left everywhere. */
    assert_true(d->cure.note_count > 5000);
    d->now_ms += limits.heal_delay_ms;
    struct cure_order order;
    uint32_t count = 0, learners[501] = {0};
    while (cure_next(&d->cure, d->world.meta, d->now_ms, &order)) {
        count++;
        assert_true(++learners[order.node] <= limits.learners_per_node);
    }
    assert_int_equal(count, CURE_ASKED_MAX);
    assert_asks(d, "");
    (void)done(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_waits_for_who_may_come_back, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_who_comes_back_learns_at_once, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_whose_place_was_taken_is_not_waited_for, six_nodes,
                                        done),
        cmocka_unit_test_setup_teardown(test_in_danger_nobody_is_waited_for, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_more_are_wanted, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_fewer_are_wanted, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_the_least_loaded_learns, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_asked_counts_as_held, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_the_dead_teach_nobody, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_draining_is_replaced, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_draining_one_after_the_other, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_draining_stays_for_want_of_others, three_nodes, done),
        cmocka_unit_test_setup_teardown(test_draining_of_five, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_draining_called_off, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_draining_goes_first, three_nodes, done),
        cmocka_unit_test_setup_teardown(test_draining_and_dead, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_learners_per_node, three_nodes, done),
        cmocka_unit_test_setup_teardown(test_failures_are_retried_slowly, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_success_is_a_new_beginning, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_what_was_refused_is_retried_slowly, three_nodes, done),
        cmocka_unit_test_setup_teardown(test_a_drop_refused_is_retried_slowly, three_nodes, done),
        cmocka_unit_test_setup_teardown(test_another_leaders_learner, six_nodes, done),
        cmocka_unit_test_setup_teardown(test_no_memory, three_nodes, done),
        cmocka_unit_test(test_until_all_are_whole),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests_name("meta cure", tests, NULL, NULL);
}
