/* tests/group/test_raft_process.c: the libraft adapter in processes that are killed, whose disk
 * refuses, whose directory is damaged; and what an idle one costs. Each process is a child of the
 * test. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "group/group.h"
#include "io/uv.h"

enum { PATH_SIZE = 256, WAIT_MS = 20000 };

static char dir[PATH_SIZE];

static void sleep_ms(long ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* ---- A process: one group that counts -------------------------------------------------------- */

struct process {
    struct io *io;
    struct io_loop *loop;
    struct io_post post;
    struct group *group;
    struct group_proposal proposal;
    uint64_t applied; /* The state: how many commands. */
    int tell;         /* Where acknowledged counts are written; -1: nowhere. */
    int rc;
    _Atomic int is_done;
    _Atomic int last_rc; /* Of the last proposal. */
    _Atomic int ended;
    uint64_t left; /* Proposals still to make; each starts the next. */
};

static void on_apply(void *context, struct slice command, struct buf *result)
{
    struct process *p = context;
    if (bytes_get_le64(command.data) != ++p->applied) abort(); /* Out of order, or twice. */
    buf_append_le64(result, p->applied);
}

static void on_snapshot(void *context, struct buf *out)
{
    buf_append_le64(out, ((struct process *)context)->applied);
}

static int on_restore(void *context, struct slice snapshot)
{
    ((struct process *)context)->applied = bytes_get_le64(snapshot.data);
    return 0;
}

static const struct group_handler handler = {on_apply, on_snapshot, on_restore, NULL};

static void propose_next(struct process *p);

static void on_done(struct group_proposal *proposal, int rc, struct slice result)
{
    struct process *p =
        (struct process *)(void *)((char *)proposal - offsetof(struct process, proposal));
    p->last_rc = rc;
    p->ended++;
    if (rc == 0 && p->tell >= 0 && write(p->tell, result.data, 8) != 8) abort();
    if (rc == 0 && --p->left > 0) propose_next(p);
    else p->is_done = 1;
}

static void propose_next(struct process *p)
{
    uint8_t command[8];
    bytes_put_le64(command, p->applied + 1);
    p->proposal.on_done = on_done;
    group_propose(p->group, &p->proposal, slice_of(command, sizeof command));
}

static void on_open(struct io_post *post)
{
    struct process *p = (struct process *)(void *)((char *)post - offsetof(struct process, post));
    const struct group_member self = {1, {0x7f000001, 34601}};
    const struct group_options options = {
        .dir = dir, .self_id = 1, .members = &self, .member_count = 1, .snapshot_every = 64};
    struct err e = {0};
    p->rc = group_open(p->loop, &options, &handler, p, &p->group, &e);
    if (p->rc == 0 && p->left > 0) propose_next(p);
    else p->is_done = 1;
}

static void wait_done(struct process *p)
{
    for (int i = 0; !p->is_done && i < WAIT_MS; i++) sleep_ms(1);
    if (!p->is_done) abort();
}

/* Open the group and make 'left' proposals. */
static void process_run(struct process *p, uint64_t left, int tell)
{
    *p = (struct process){.left = left, .tell = tell, .post.run = on_open};
    if (io_uv_open(&p->io) != 0) abort();
    if (io_loop_open(p->io, IO_LOOP_EVENTS, "control", &p->loop) != 0) abort();
    io_post(p->loop, &p->post);
    wait_done(p);
}

/* Run 'body' in a child of its own. */
static pid_t spawn(void (*body)(void *context), void *context)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    body(context);
    _exit(0);
}

static void assert_ended_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- A directory for each story -------------------------------------------------------------- */

static int begin(void **state)
{
    char *parent = strdup("/tmp/pirene-test-raft-XXXXXX");
    assert_non_null(mkdtemp(parent));
    (void)snprintf(dir, sizeof dir, "%s/meta", parent);
    *state = parent;
    return 0;
}

static int end(void **state)
{
    char command[PATH_SIZE];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    free(*state);
    return system(command);
}

/* ---- Killed ---------------------------------------------------------------------------------- */

static void propose_for_ever(void *context)
{
    static struct process p;
    process_run(&p, UINT64_MAX, *(int *)context);
}

static void count_applied(void *context)
{
    static struct process p;
    process_run(&p, 0, -1);
    if (p.rc != 0) _exit(1);
    if (write(*(int *)context, &p.applied, sizeof p.applied) != sizeof p.applied) _exit(1);
}

/* Wait for the first acknowledgement, or the end of who would give it. */
static uint64_t first_of(int fd)
{
    uint64_t first = 0;
    return read(fd, &first, sizeof first) == sizeof first ? first : 0;
}

static uint64_t last_of(int fd, uint64_t before)
{
    uint64_t last = before;
    while (read(fd, &last, sizeof last) == sizeof last) {
    }
    return last;
}

/* Killed at any moment, at first while it starts, later at its work: what was acknowledged is there at
 * the next start. */
static void test_killed(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (int round = 0; round < 12; round++) {
        bool is_at_work = round >= 6;
        int acked[2], counted[2];
        assert_int_equal(pipe(acked), 0);
        assert_int_equal(pipe(counted), 0);
        pid_t pid = spawn(propose_for_ever, &acked[1]);
        close(acked[1]);
        uint64_t last = is_at_work ? first_of(acked[0]) : 0;
        sleep_ms(is_at_work ? round * 10 : round * 3);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        last = last_of(acked[0], last);
        assert_true(!is_at_work || last > before);

        assert_ended_well(spawn(count_applied, &counted[1]));
        close(counted[1]);
        uint64_t found = last_of(counted[0], 0);
        assert_true(found >= last && found >= before);
        before = found;
        close(acked[0]);
        close(counted[0]);
    }
}

/* ---- Refused by the disk --------------------------------------------------------------------- */

static void on_go_on(struct io_post *post)
{
    struct process *p = (struct process *)(void *)((char *)post - offsetof(struct process, post));
    propose_next(p);
}

static void go_on(struct process *p, uint64_t left)
{
    p->left = left;
    p->is_done = 0;
    p->post.run = on_go_on;
    io_post(p->loop, &p->post);
    wait_done(p);
}

static void propose_on_full_disk(void *context)
{
    (void)context;
    static struct process p;
    process_run(&p, 10, -1);
    if (p.rc != 0 || p.applied != 10) _exit(1);

    /* From here on no file may grow, as on a full disk; segments made before may still be
     * filled. */
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
    go_on(&p, 1000000);
    if (p.last_rc != E_UNKNOWN) _exit(3);
    for (int i = 0; i < 3; i++) { /* It stays so, and the process stays. */
        go_on(&p, 1);
        if (p.last_rc != E_UNKNOWN && p.last_rc != E_STATE) _exit(4);
    }
}

/* When the disk takes no more, proposals end with "unknown", and nothing else ends. */
static void test_full_disk(void **state)
{
    (void)state;
    assert_ended_well(spawn(propose_on_full_disk, NULL));
    int counted[2];
    assert_int_equal(pipe(counted), 0);
    assert_ended_well(spawn(count_applied, &counted[1]));
    close(counted[1]);
    assert_true(last_of(counted[0], 0) >= 10);
    close(counted[0]);
}

/* ---- Damaged --------------------------------------------------------------------------------- */

static void open_and_see_it_fail(void *context)
{
    (void)context;
    static struct process p;
    process_run(&p, 0, -1);
    if (p.rc == 0) _exit(1);
    sleep_ms(50); /* What was opened closes by itself. */
    io_loop_close(p.loop);
    io_uv_close(p.io);
}

static void open_and_close(void *context)
{
    (void)context;
    static struct process p;
    process_run(&p, 100, -1);
    if (p.rc != 0) _exit(1);
}

/* A file where the directory should be: refused with words, and the process goes on. */
static void test_not_a_directory(void **state)
{
    (void)state;
    int fd = open(dir, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_ended_well(spawn(open_and_see_it_fail, NULL));
}

/* Both of libraft's own files are gone bad. */
static void test_damaged_metadata(void **state)
{
    (void)state;
    assert_ended_well(spawn(open_and_close, NULL));
    for (int i = 1; i <= 2; i++) {
        char path[PATH_SIZE + 16];
        (void)snprintf(path, sizeof path, "%s/metadata%d", dir, i);
        int fd = open(path, O_WRONLY | O_TRUNC);
        if (fd < 0) continue;
        assert_int_equal(write(fd, "no metadata, no more than 32 bytes", 32), 32);
        close(fd);
    }
    assert_ended_well(spawn(open_and_see_it_fail, NULL));
}

/* ---- What it costs --------------------------------------------------------------------------- */

static long cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static void idle(void *context)
{
    (void)context;
    static struct process p;
    process_run(&p, 100, -1);
    sleep_ms(200);
    long before_us = cpu_us();
    sleep_ms(2000);
    long idle_us = cpu_us() - before_us;
    fprintf(stderr, "idle: %ld us of processor in 2 s\n", idle_us);
    if (idle_us > 20000) _exit(1);
}

/* An idle group of one does nothing, and its files are small. */
static void test_cost(void **state)
{
    (void)state;
    assert_ended_well(spawn(idle, NULL));
    char command[PATH_SIZE + 64];
    (void)snprintf(command, sizeof command, "test $(du -sk '%s' | cut -f1) -le 2048", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed, begin, end),
        cmocka_unit_test_setup_teardown(test_full_disk, begin, end),
        cmocka_unit_test_setup_teardown(test_not_a_directory, begin, end),
        cmocka_unit_test_setup_teardown(test_damaged_metadata, begin, end),
        cmocka_unit_test_setup_teardown(test_cost, begin, end),
    };
    return cmocka_run_group_tests_name("raft process", tests, NULL, NULL);
}
