/* tests/group/conformance.c: what every adapter of group.h must do, as stories that know nothing
 * else. They run on libraft in the real world and on the fake in the simulator, in the worlds that
 * tests/io and tests/sim supply (io/conformance.h).
 *
 * The state machine is a list of numbers, and how many bytes came with each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "group/group.h"
#include "io/conformance.h"

enum { NUMBERS_MAX = 2048, DIR_SIZE = 256 };

struct numbers {
    uint32_t items[NUMBERS_MAX];
    uint32_t sizes[NUMBERS_MAX]; /* Of the commands. */
    uint32_t count;
};

enum { NOT_ENDED = 1 }; /* No code of err.h is positive. */

struct story {
    struct io *io;
    struct io_loop *loop;
    struct io_post post;
    void (*run)(struct story *s);
    atomic_bool is_done;

    struct group *group;
    char dir[DIR_SIZE];
    uint64_t snapshot_every;
    struct numbers state;
    uint32_t restored; /* Numbers that came with a snapshot. */
    struct io_address leader;

    struct proposal {
        struct group_proposal base;
        struct story *story;
        uint32_t number;
        size_t size; /* Bytes of its command: at least those of the number. */
        int rc;
        uint32_t place; /* What the state machine answered. */
    } proposals[NUMBERS_MAX];
    uint32_t proposed, ended, waited_for;
    uint32_t last_place; /* Of those that ended with 0: they end in order. */
    bool is_proposing;   /* Inside group_propose(). */
};

/* ---- The state machine ----------------------------------------------------------------------- */

static void on_apply(void *context, struct slice command, struct buf *result)
{
    struct story *s = context;
    assert_true(command.size >= 4 && s->state.count < NUMBERS_MAX);
    s->state.items[s->state.count] = bytes_get_le32(command.data);
    s->state.sizes[s->state.count++] = (uint32_t)command.size;
    buf_append_le32(result, s->state.count);
}

static void on_snapshot(void *context, struct buf *out)
{
    const struct story *s = context;
    buf_append(out, &s->state, sizeof s->state);
}

static int on_restore(void *context, struct slice snapshot)
{
    struct story *s = context;
    assert_int_equal(snapshot.size, sizeof s->state);
    memcpy(&s->state, snapshot.data, sizeof s->state);
    s->restored = s->state.count;
    return 0;
}

static void on_leader(void *context, struct io_address leader)
{
    struct story *s = context;
    s->leader = leader;
    atomic_store(&s->is_done, true);
}

static const struct group_handler handler = {on_apply, on_snapshot, on_restore, on_leader};

/* ---- Acting on the loop ---------------------------------------------------------------------- */

static void on_post(struct io_post *post)
{
    struct story *s = LIST_ENTRY(post, struct story, post);
    s->run(s);
}

/* Run 'run' on the loop and wait until something sets is_done. */
static void act(struct story *s, void (*run)(struct story *s))
{
    s->run = run;
    s->post.run = on_post;
    atomic_store(&s->is_done, false);
    io_post(s->loop, &s->post);
    assert_true(world_wait(s->io, &s->is_done));
}

static void open_here(struct story *s)
{
    struct err e = {0};
    const struct group_member self = {7, {world_address(s->io).ipv4, 34601}};
    const struct group_options options = {.dir = s->dir,
                                          .self_id = 7,
                                          .members = &self,
                                          .member_count = 1,
                                          .snapshot_every = s->snapshot_every};
    memset(&s->state, 0, sizeof s->state);
    s->restored = 0;
    int rc = group_open(s->loop, &options, &handler, s, &s->group, &e);
    if (rc != 0) fail_msg("%s", e.text);
    assert_true(
        group_is_leader(s->group)); /* Alone, it leads from the beginning. on_leader follows. */
}

static void on_closed(void *context)
{
    struct story *s = context;
    s->group = NULL;
    atomic_store(&s->is_done, true);
}

static void close_here(struct story *s)
{
    group_close(s->group, on_closed, s);
}

static void reopen(struct story *s)
{
    act(s, close_here);
    act(s, open_here);
}

static void on_done(struct group_proposal *base, int rc, struct slice result)
{
    struct proposal *p = LIST_ENTRY(base, struct proposal, base);
    struct story *s = p->story;
    assert_false(s->is_proposing);
    assert_int_equal(p->rc, NOT_ENDED);
    p->rc = rc;
    if (rc == 0) {
        p->place = bytes_get_le32(result.data);
        assert_true(p->place <= s->state.count); /* Applied here already (G2). */
        assert_int_equal(s->state.items[p->place - 1], p->number);
        assert_true(p->place > s->last_place);
        s->last_place = p->place;
    }
    if (++s->ended == s->waited_for) atomic_store(&s->is_done, true);
}

static void propose(struct story *s, size_t size)
{
    struct proposal *p = &s->proposals[s->proposed++];
    *p = (struct proposal){
        .base.on_done = on_done, .story = s, .number = s->proposed, .size = size, .rc = NOT_ENDED};
    uint8_t *command = mem_zalloc(size);
    bytes_put_le32(command, p->number);
    s->is_proposing = true;
    group_propose(s->group, &p->base, slice_of(command, size));
    s->is_proposing = false;
    memset(command, 0xee, size); /* It was copied. */
    mem_free(command);
}

static void propose_ten(struct story *s)
{
    s->waited_for = s->proposed + 10;
    for (int i = 0; i < 10; i++) propose(s, 4 + (size_t)i);
}

static void assert_state_is_first(const struct story *s, uint32_t count)
{
    assert_int_equal(s->state.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(s->state.items[i], i + 1);
        assert_int_equal(s->state.sizes[i], s->proposals[i].size);
    }
}

/* ---- A world for each story ------------------------------------------------------------------ */

static struct story story;

static void open_loop(void *context)
{
    struct story *s = context;
    if (io_loop_open(s->io, IO_LOOP_EVENTS, "control", &s->loop) != 0) abort();
    (void)snprintf(s->dir, sizeof s->dir, "%s/meta", world_dir(s->io));
}

static void close_loop(void *context)
{
    struct story *s = context;
    io_loop_close(s->loop);
}

static int begin(void **state)
{
    memset(&story, 0, sizeof story);
    story.io = world_open();
    story.snapshot_every = 1000;
    world_do(story.io, open_loop, &story);
    *state = &story;
    return 0;
}

static int end(void **state)
{
    struct story *s = *state;
    if (s->group != NULL) act(s, close_here);
    world_do(s->io, close_loop, s);
    world_close(s->io);
    return 0;
}

/* ---- Stories --------------------------------------------------------------------------------- */

/* A group of one leads as soon as it is open, and says so, by its address. */
static void test_leads_alone(void **state)
{
    struct story *s = *state;
    act(s, open_here);
    assert_int_equal(s->leader.ipv4, world_address(s->io).ipv4);
    assert_int_equal(s->leader.port, 34601);
}

/* What is proposed in one turn is applied in that order; each proposer gets its own answer,
 * later. */
static void test_in_order(void **state)
{
    struct story *s = *state;
    act(s, open_here);
    for (int i = 0; i < 5; i++) act(s, propose_ten);
    for (int i = 0; i < 50; i++) assert_int_equal(s->proposals[i].rc, 0);
    assert_state_is_first(s, 50);
}

/* What was acknowledged is there again after reopening, before the group leads. */
static void test_survives_reopening(void **state)
{
    struct story *s = *state;
    act(s, open_here);
    for (int round = 1; round <= 3; round++) {
        act(s, propose_ten);
        reopen(s);
        assert_state_is_first(s, 10 * (uint32_t)round);
        s->last_place = 0;
    }
}

/* A snapshot stands for the commands before it: nothing is applied twice, nothing is left out. */
static void test_snapshots(void **state)
{
    struct story *s = *state;
    s->snapshot_every = 8;
    act(s, open_here);
    uint32_t count = 0;
    /* Snapshots are written beside the log, in their own time: the next takes part of it with it. */
    while (s->restored <= 100 && count + 110 < NUMBERS_MAX) {
        for (int i = 0; i < 10; i++) act(s, propose_ten);
        count += 100;
        reopen(s);
        assert_state_is_first(s, count);
        s->last_place = 0;
    }
    assert_true(s->restored > 100);
    act(s, propose_ten);
    assert_state_is_first(s, count + 10);
}

static void propose_sizes(struct story *s)
{
    s->waited_for = s->proposed + 4;
    propose(s, 4);
    propose(s, 1000 * 1000);
    propose(s, 5);
    propose(s, 300 * 1000);
}

/* A command may be large, of any size. */
static void test_large_commands(void **state)
{
    struct story *s = *state;
    act(s, open_here);
    act(s, propose_sizes);
    reopen(s);
    assert_state_is_first(s, 4);
}

static void propose_and_close(struct story *s)
{
    s->waited_for = UINT32_MAX;
    for (int i = 0; i < 10; i++) propose(s, 4);
    group_close(s->group, on_closed, s);
    for (int i = 0; i < 3; i++) propose(s, 4);
}

static bool did_nothing(int rc)
{
    return rc == E_STATE || rc == E_CANCELED;
}

/* Closed over proposals: each ends, once, before the group is gone. Those that ended well are there
 * at the next opening, those whose end is unknown are there or not, the late ones never; all in
 * order. */
static void test_close_over_proposals(void **state)
{
    struct story *s = *state;
    act(s, open_here);
    act(s, propose_ten);
    act(s, propose_and_close);
    assert_int_equal(s->ended, 23);
    for (int i = 10; i < 20; i++) {
        int rc = s->proposals[i].rc;
        assert_true(rc == 0 || rc == E_UNKNOWN || did_nothing(rc));
    }
    for (int i = 20; i < 23; i++) assert_true(did_nothing(s->proposals[i].rc));

    act(s, open_here);
    uint32_t at = 0;
    for (uint32_t i = 0; i < 23; i++) {
        const struct proposal *p = &s->proposals[i];
        bool is_there = at < s->state.count && s->state.items[at] == p->number;
        if (p->rc == 0) assert_true(is_there);
        if (did_nothing(p->rc)) assert_false(is_there);
        at += is_there;
    }
    assert_int_equal(at, s->state.count);
}

static void propose_from_on_done(struct group_proposal *base, int rc, struct slice result)
{
    struct proposal *p = LIST_ENTRY(base, struct proposal, base);
    struct story *s = p->story;
    on_done(base, rc, result);
    if (s->proposed == 5) {
        group_close(s->group, on_closed, s); /* From inside, too. */
        return;
    }
    propose(s, 4);
    s->proposals[s->proposed - 1].base.on_done = propose_from_on_done;
}

static void propose_chain(struct story *s)
{
    s->waited_for = UINT32_MAX;
    propose(s, 4);
    s->proposals[0].base.on_done = propose_from_on_done;
}

/* on_done may propose, and may close. */
static void test_acting_in_on_done(void **state)
{
    struct story *s = *state;
    act(s, open_here);
    act(s, propose_chain);
    assert_null(s->group);
    assert_int_equal(s->ended, 5);
    act(s, open_here);
    assert_state_is_first(s, 5);
}

int conformance_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_leads_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_in_order, begin, end),
        cmocka_unit_test_setup_teardown(test_survives_reopening, begin, end),
        cmocka_unit_test_setup_teardown(test_snapshots, begin, end),
        cmocka_unit_test_setup_teardown(test_large_commands, begin, end),
        cmocka_unit_test_setup_teardown(test_close_over_proposals, begin, end),
        cmocka_unit_test_setup_teardown(test_acting_in_on_done, begin, end),
    };
    return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
