/* tests/group/test_raft_three.c: three members in one process, over libraft's own transport: who
 * leads, what the others answer, and what is left when the leader goes. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/free_port.h"
#include "group/group.h"
#include "io/uv.h"

enum { MEMBERS = 3, PATH_SIZE = 256, WAIT_MS = 20000 };

struct member {
    struct io_loop *loop;
    struct io_post post;
    void (*run)(struct member *m);
    struct group *group;
    struct group_options options;
    char dir[PATH_SIZE];
    struct group_proposal proposal;
    _Atomic uint64_t applied;
    _Atomic uint16_t leader_port;
    _Atomic int rc;
    _Atomic bool is_leader, is_done, is_open;
};

static struct io *io;
static char parent[] = "/tmp/pirene-test-three-XXXXXX";
static struct group_member members[MEMBERS];
static struct member group[MEMBERS];

/* ---- A member -------------------------------------------------------------------------------- */

static void on_apply(void *context, struct slice command, struct buf *result)
{
    struct member *m = context;
    if (bytes_get_le64(command.data) != m->applied + 1) abort(); /* Out of order, or twice. */
    m->applied++;
    buf_append_le64(result, m->applied);
}

static void on_snapshot(void *context, struct buf *out)
{
    buf_append_le64(out, ((struct member *)context)->applied);
}

static int on_restore(void *context, struct slice snapshot)
{
    ((struct member *)context)->applied = bytes_get_le64(snapshot.data);
    return 0;
}

static void on_leader(void *context, struct io_address leader)
{
    struct member *m = context;
    m->leader_port = leader.port;
    m->is_leader = group_is_leader(m->group);
}

static const struct group_handler handler = {on_apply, on_snapshot, on_restore, on_leader};

static void open_here(struct member *m)
{
    struct err e = {0};
    m->applied = 0;
    m->rc = group_open(m->loop, &m->options, &handler, m, &m->group, &e);
    if (m->rc != 0) fprintf(stderr, "%s\n", e.text);
    m->is_open = m->rc == 0;
    m->is_done = true;
}

static void on_closed(void *context)
{
    struct member *m = context;
    m->is_open = m->is_leader = false;
    m->leader_port = 0;
    m->is_done = true;
}

static void close_here(struct member *m)
{
    group_close(m->group, on_closed, m);
}

static void on_done(struct group_proposal *proposal, int rc, struct slice result)
{
    struct member *m =
        (struct member *)(void *)((char *)proposal - offsetof(struct member, proposal));
    (void)result;
    m->rc = rc;
    m->is_done = true;
}

static void propose_here(struct member *m)
{
    uint8_t command[8];
    bytes_put_le64(command, m->applied + 1);
    m->proposal.on_done = on_done;
    group_propose(m->group, &m->proposal, slice_of(command, sizeof command));
}

/* ---- From the test's thread ------------------------------------------------------------------ */

static void on_post(struct io_post *post)
{
    struct member *m = (struct member *)(void *)((char *)post - offsetof(struct member, post));
    m->run(m);
}

static bool wait_for(bool (*holds)(const void *context), const void *context)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < WAIT_MS; i++) {
        if (holds(context)) return true;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

static bool is_done(const void *context)
{
    return ((const struct member *)context)->is_done;
}

static void act(struct member *m, void (*run)(struct member *m))
{
    m->run = run;
    m->is_done = false;
    m->post.run = on_post;
    io_post(m->loop, &m->post);
    assert_true(wait_for(is_done, m));
}

/* All open members know one leader, which is open and knows it of itself. */
static bool agree(const void *context)
{
    int leaders = 0;
    (void)context;
    for (int i = 0; i < MEMBERS; i++) {
        const struct member *m = &group[i];
        if (!m->is_open || !m->is_leader) continue;
        leaders++;
        for (int k = 0; k < MEMBERS; k++)
            if (group[k].is_open && group[k].leader_port != members[i].address.port) return false;
    }
    return leaders == 1;
}

static struct member *leader(void)
{
    assert_true(wait_for(agree, NULL));
    for (int i = 0; i < MEMBERS; i++)
        if (group[i].is_leader) return &group[i];
    return NULL;
}

static bool all_have(const void *context)
{
    uint64_t count = *(const uint64_t *)context;
    for (int i = 0; i < MEMBERS; i++)
        if (group[i].is_open && group[i].applied != count) return false;
    return true;
}

static int begin(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(parent));
    assert_int_equal(io_uv_open(&io), 0);
    for (int i = 0; i < MEMBERS; i++)
        members[i] = (struct group_member){(uint64_t)i + 1, {INADDR_LOOPBACK, free_port()}};
    for (int i = 0; i < MEMBERS; i++) {
        struct member *m = &group[i];
        (void)snprintf(m->dir, sizeof m->dir, "%s/%d", parent, i);
        m->options = (struct group_options){.dir = m->dir,
                                            .self_id = members[i].id,
                                            .members = members,
                                            .member_count = MEMBERS,
                                            .snapshot_every = 16};
        assert_int_equal(io_loop_open(io, IO_LOOP_EVENTS, "control", &m->loop), 0);
        act(m, open_here);
        assert_int_equal(m->rc, 0);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < MEMBERS; i++) {
        if (group[i].is_open) act(&group[i], close_here);
        io_loop_close(group[i].loop);
    }
    int rc = io_dir_remove(io, parent);
    io_uv_close(io);
    return rc;
}

/* One leads, all know it; what it proposes all apply; the others refuse to propose. The leader
 * goes: another comes and has everything; it goes on with two. The first comes back and catches up,
 * by snapshot. */
static void test_leaders_come_and_go(void **state)
{
    (void)state;
    uint64_t count = 0;
    struct member *first = leader();
    for (int i = 0; i < 10; i++) {
        act(first, propose_here);
        assert_int_equal(first->rc, 0);
        count++;
    }
    assert_true(wait_for(all_have, &count));
    struct member *other = &group[first == &group[0]];
    act(other, propose_here);
    assert_int_equal(other->rc, E_STATE);

    act(first, close_here);
    struct member *second = leader();
    assert_ptr_not_equal(second, first);
    assert_int_equal(second->applied, count);
    for (int i = 0; i < 60; i++) {
        act(second, propose_here);
        assert_int_equal(second->rc, 0);
        count++;
    }
    act(first, open_here);
    assert_true(wait_for(all_have, &count));
    assert_non_null(leader());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_leaders_come_and_go, begin, end),
    };
    return cmocka_run_group_tests_name("raft of three", tests, NULL, NULL);
}
