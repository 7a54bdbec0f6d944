/* tests/io/test_io_uv_edges.c: what only the real world does: no descriptors, no memory, crowds,
 * resets and peers that don't answer. The peers here are bare blocking sockets on the test's own
 * thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/uv.h"

/* One loop that listens, and keeps its last arrival and connection. */
struct host {
    struct io *io;
    struct io_loop *loop;
    struct io_listener *listener;
    struct io_address address;
    bool is_detaching;
    atomic_int detached; /* The descriptor; 0: none yet. */
    struct io_tcp *tcp;
    size_t need;     /* What on_bytes asks for. */
    bool fails_next; /* The first allocation after the next on_bytes fails. */
    atomic_int arrived_count, closed_count;
    atomic_int connect_rc, why;
    atomic_size_t got;
    int rc; /* Of the errand. */
};

/* ---- The host -------------------------------------------------------------------------------- */

static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need)
{
    struct host *h = context;
    (void)chunk;
    if (bytes.size < h->need) {
        if (h->fails_next) mem_fail_nth(1);
        *need = h->need;
        return 0;
    }
    atomic_fetch_add(&h->got, bytes.size);
    return bytes.size;
}

static void on_connected(void *context, int rc)
{
    struct host *h = context;
    atomic_store(&h->connect_rc, rc);
}

static void on_closed(void *context, int why)
{
    struct host *h = context;
    atomic_store(&h->why, why);
    atomic_fetch_add(&h->closed_count, 1);
}

static const struct io_tcp_handler tcp_handler = {
    .on_connected = on_connected, .on_bytes = on_bytes, .on_closed = on_closed};

static void on_arrival(void *context, struct io_arrival *arrival, const uint8_t *magic)
{
    struct host *h = context;
    (void)magic;
    int fd = 0;
    if (h->is_detaching) {
        if (io_arrival_detach(arrival, &fd) != 0) abort();
        atomic_store(&h->detached, fd);
    } else if (io_tcp_accept(h->loop, arrival, &tcp_handler, h, &h->tcp) != 0) {
        abort();
    }
    atomic_fetch_add(&h->arrived_count, 1);
}

static const struct io_listen_handler listen_handler = {.on_arrival = on_arrival};

/* ---- Errands --------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* Wait up to ten seconds. */
static void await_count(const atomic_int *count, int wanted)
{
    for (int i = 0; i < 10000 && atomic_load(count) < wanted; i++) pause_ms(1);
    assert_int_equal(atomic_load(count), wanted);
}

struct errand {
    struct io_post post;
    void (*run)(struct host *h);
    struct host *host;
    atomic_int done;
};

static void errand_run(struct io_post *post)
{
    struct errand *errand = LIST_ENTRY(post, struct errand, post);
    errand->run(errand->host);
    atomic_store(&errand->done, 1);
}

static void on_host(struct host *h, void (*run)(struct host *h))
{
    struct errand errand = {.post.run = errand_run, .run = run, .host = h};
    io_post(h->loop, &errand.post);
    while (atomic_load(&errand.done) == 0) pause_ms(1);
}

static void host_listen(struct host *h)
{
    h->address = (struct io_address){.ipv4 = 0x7f000001};
    h->rc = io_listen(h->loop, &h->address, &listen_handler, h, &h->listener);
}

static void host_unlisten(struct host *h)
{
    io_listener_close(h->listener);
    h->listener = NULL;
}

static void host_tcp_close(struct host *h)
{
    io_tcp_close(h->tcp);
}

static int host_open(void **state)
{
    static struct host h;
    memset(&h, 0, sizeof h);
    assert_int_equal(io_uv_open(&h.io), 0);
    assert_int_equal(io_loop_open(h.io, IO_LOOP_EVENTS, "host", &h.loop), 0);
    on_host(&h, host_listen);
    assert_int_equal(h.rc, 0);
    *state = &h;
    return 0;
}

static int host_close(void **state)
{
    struct host *h = *state;
    on_host(h, host_unlisten);
    io_loop_close(h->loop);
    io_uv_close(h->io);
    return 0;
}

/* ---- Bare peers ------------------------------------------------------------------------------ */

static struct sockaddr_in sockaddr_of(struct io_address address)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(address.port),
                                .sin_addr.s_addr = htonl(address.ipv4)};
}

static int peer_connect(const struct host *h)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = sockaddr_of(h->address);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void peer_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void limit_set(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static double cpu_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* ---- Stories --------------------------------------------------------------------------------- */

enum { CROWD = 1024 + 6, FDS_MAX = 4096 };

/* More peers than we hold connect and say nothing: the oldest are let go, the newest may still
 * speak. */
static void test_silent_crowd_is_bounded(void **state)
{
    struct host *h = *state;
    static int fds[CROWD];
    limit_set(FDS_MAX);
    for (int i = 0; i < CROWD; i++) fds[i] = peer_connect(h);
    char byte;
    for (int i = 0; i < CROWD - 1024; i++) assert_true(recv(fds[i], &byte, 1, 0) <= 0);
    assert_int_equal(recv(fds[CROWD - 1024], &byte, 1, MSG_DONTWAIT), -1); /* Still open. */
    peer_send(fds[CROWD - 1], "HELO");
    await_count(&h->arrived_count, 1);
    for (int i = 0; i < CROWD; i++) (void)close(fds[i]);
    await_count(&h->closed_count, 1);
}

/* No descriptor is left when a peer comes: we don't spin, and the peer is served as soon as one is
 * free again. */
static void test_no_descriptors(void **state)
{
    struct host *h = *state;
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    limit_set((rlim_t)peer + 1); /* It is the highest: nothing was opened after it. */
    struct sockaddr_in at = sockaddr_of(h->address);
    assert_int_equal(connect(peer, (struct sockaddr *)&at, sizeof at), 0);
    peer_send(peer, "HELO");
    double before_s = cpu_s();
    pause_ms(400);
    double used_s = cpu_s() - before_s;
    limit_set(FDS_MAX);
    assert_int_equal(atomic_load(&h->arrived_count), 0);
    assert_true(used_s < 0.2);
    await_count(&h->arrived_count, 1);
    (void)close(peer);
    await_count(&h->closed_count, 1);
}

/* A peer says two of the four bytes and no more: nobody spins over them. */
static void test_half_a_magic_costs_nothing(void **state)
{
    struct host *h = *state;
    int peer = peer_connect(h);
    peer_send(peer, "HE");
    double before_s = cpu_s();
    pause_ms(400);
    assert_true(cpu_s() - before_s < 0.2);
    assert_int_equal(atomic_load(&h->arrived_count), 0);
    (void)close(peer);
}

/* A peer goes away with a reset: the owner is told once. */
static void test_reset_by_peer(void **state)
{
    struct host *h = *state;
    int peer = peer_connect(h);
    peer_send(peer, "HELO");
    await_count(&h->arrived_count, 1);
    const struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    (void)close(peer);
    await_count(&h->closed_count, 1);
    assert_int_equal(atomic_load(&h->why), E_CLOSED);
}

/* Whoever speaks HTTP gets the bare socket, with nothing read from it. */
static void test_detached_arrival_is_whole(void **state)
{
    struct host *h = *state;
    h->is_detaching = true;
    int peer = peer_connect(h);
    peer_send(peer, "GET / HTTP/1.1\r\n");
    await_count(&h->arrived_count, 1);
    int fd = atomic_load(&h->detached);
    char text[32] = {0};
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 16);
    assert_string_equal(text, "GET / HTTP/1.1\r\n");
    peer_send(peer, "x"); /* One byte makes it readable: no low-water mark was left behind. */
    struct timeval wait = {.tv_sec = 5};
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    assert_int_equal(select(fd + 1, &readable, NULL, NULL, &wait), 1);
    (void)close(fd);
    (void)close(peer);
}

static void host_connect(struct host *h)
{
    h->rc = io_tcp_connect(h->loop, h->address, &tcp_handler, h, &h->tcp);
}

/* The other side doesn't answer at all: after three seconds the owner is told, and not after minutes, when
 * the system gives up (await_count() is not as patient). */
static void test_connect_times_out(void **state)
{
    struct host *h = *state;
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_address kept = h->address;
    struct sockaddr_in at = sockaddr_of((struct io_address){.ipv4 = 0x7f000001});
    socklen_t size = sizeof at;
    assert_int_equal(bind(full, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(full, 0), 0);
    assert_int_equal(getsockname(full, (struct sockaddr *)&at, &size), 0);
    h->address.port = ntohs(at.sin_port);
    int filler = peer_connect(h); /* A backlog of none holds one; then the system drops. */

    uint64_t before_ms = io_now(h->io).boot_ms;
    on_host(h, host_connect);
    assert_int_equal(h->rc, 0);
    await_count(&h->closed_count, 1);
    uint64_t took_ms = io_now(h->io).boot_ms - before_ms;
    assert_int_equal(atomic_load(&h->connect_rc), E_TIMEOUT);
    assert_int_equal(atomic_load(&h->why), E_TIMEOUT);
    assert_true(took_ms >= IO_TCP_CONNECT_MS);
    (void)close(filler);
    (void)close(full);
    h->address = kept;
}

/* There is no memory for a large message: its connection ends, and only that. */
static void test_no_memory_for_a_message(void **state)
{
    struct host *h = *state;
    h->need = 1 << 20;
    h->fails_next = true;
    int peer = peer_connect(h);
    peer_send(peer, "HELO");
    await_count(&h->arrived_count, 1);
    pause_ms(50); /* Its need is known now. */
    peer_send(peer, "more");
    await_count(&h->closed_count, 1);
    assert_int_equal(atomic_load(&h->why), E_NOMEM);
    (void)close(peer);

    h->need = 0;
    peer = peer_connect(h);
    peer_send(peer, "HELO");
    await_count(&h->arrived_count, 2);
    on_host(h, host_tcp_close);
    await_count(&h->closed_count, 2);
    assert_int_equal(atomic_load(&h->got), 4);
    (void)close(peer);
}

static void host_listen_failing(struct host *h)
{
    struct io_listener *second = NULL;
    for (uint64_t nth = 1;; nth++) {
        struct io_address address = {.ipv4 = 0x7f000001};
        mem_fail_nth(nth);
        h->rc = io_listen(h->loop, &address, &listen_handler, h, &second);
        bool has_failed = mem_has_failed();
        mem_fail_nth(0);
        if (!has_failed) break;
        if (h->rc != E_NOMEM || second != NULL || address.port != 0) abort();
    }
    io_listener_close(second);
}

static void host_connect_failing(struct host *h)
{
    mem_fail_nth(1);
    h->rc = io_tcp_connect(h->loop, h->address, &tcp_handler, h, &h->tcp);
    mem_fail_nth(0);
}

/* Every allocation of opening something fails once: the caller is told, and nothing is left
 * open. */
static void test_nth_allocation_fails(void **state)
{
    struct host *h = *state;
    on_host(h, host_listen_failing);
    assert_int_equal(h->rc, 0);
    on_host(h, host_connect_failing);
    assert_int_equal(h->rc, E_NOMEM);
    assert_null(h->tcp);

    struct io *io = NULL;
    struct io_loop *loop = NULL;
    mem_fail_nth(1);
    assert_int_equal(io_uv_open(&io), E_NOMEM);
    mem_fail_nth(1);
    assert_int_equal(io_loop_open(h->io, IO_LOOP_EVENTS, "none", &loop), E_NOMEM);
    struct io_file *file = NULL;
    mem_fail_nth(1);
    assert_int_equal(io_file_open(h->io, "/dev/null", IO_OPEN_READ, &file), E_NOMEM);
    mem_fail_nth(0);
    assert_null(io);
    assert_null(loop);
    assert_null(file);
}

/* A second world in the same process is held off by a lock until the first one closes. */
static void test_lock_ends_with_its_world(void **state)
{
    struct host *h = *state;
    char path[] = "/tmp/pirene-test-lock-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct io *other = NULL;
    assert_int_equal(io_uv_open(&other), 0);
    assert_int_equal(io_lock(other, path), 0);
    assert_int_equal(io_lock(h->io, path), E_BUSY);
    io_uv_close(other);
    assert_int_equal(io_lock(h->io, path), 0);
    (void)close(fd);
    (void)unlink(path);
}

/* The linker puts these between the adapter and the system (CMakeLists.txt): while is_stuttering,
 * calls are interrupted every third time, and never do more than five bytes. */
static atomic_bool is_stuttering;
static atomic_int calls;

enum { STUTTER = 5 };

ssize_t __real_pread(int fd, void *to, size_t size, off_t offset);
ssize_t __real_pwritev(int fd, const struct iovec *pieces, int count, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t offset);

static bool is_interrupted(void)
{
    errno = EINTR;
    return atomic_load(&is_stuttering) && atomic_fetch_add(&calls, 1) % 3 == 0;
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset)
{
    if (is_interrupted()) return -1;
    if (atomic_load(&is_stuttering) && size > STUTTER) size = STUTTER;
    return __real_pread(fd, to, size, offset);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    if (is_interrupted()) return -1;
    if (!atomic_load(&is_stuttering)) return __real_pwritev(fd, pieces, count, offset);
    struct iovec some[2];
    size_t left = STUTTER;
    int used = 0;
    for (; used < count && used < 2 && left > 0; used++) {
        some[used] = pieces[used];
        if (some[used].iov_len > left) some[used].iov_len = left;
        left -= some[used].iov_len;
    }
    return __real_pwritev(fd, some, used, offset);
}

/* The system does a few bytes at a time and is interrupted: all are written and read all the
 * same. */
static void test_files_go_on_where_they_stopped(void **state)
{
    struct host *h = *state;
    char path[] = "/tmp/pirene-test-file-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct io_file *file = NULL;
    const struct slice pieces[] = {slice_str("0123456"), slice_str("78"), slice_of(NULL, 0),
                                   slice_str("9abcdefghijkl"), slice_str("m")};
    assert_int_equal(io_file_open(h->io, path, IO_OPEN_READ | IO_OPEN_WRITE, &file), 0);
    atomic_store(&is_stuttering, true);
    int written = io_file_write(file, 0, pieces, 5);
    char got[64] = {0};
    size_t size = 0;
    int read_back = io_file_read(file, 0, got, sizeof got, &size);
    atomic_store(&is_stuttering, false);
    assert_int_equal(written, 0);
    assert_int_equal(read_back, 0);
    assert_string_equal(got, "0123456789abcdefghijklm");
    io_file_close(file);
    (void)close(fd);
    (void)unlink(path);
}

/* A disk that is full says so. */
static void test_full_disk(void **state)
{
    struct host *h = *state;
    struct io_file *file = NULL;
    if (io_file_open(h->io, "/dev/full", IO_OPEN_WRITE, &file) != 0) skip();
    const struct slice piece = slice_str("x");
    assert_int_equal(io_file_write(file, 0, &piece, 1), E_NOSPACE);
    io_file_close(file);
}

#define EDGE(function) cmocka_unit_test_setup_teardown(function, host_open, host_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE(test_silent_crowd_is_bounded),
        EDGE(test_no_descriptors),
        EDGE(test_half_a_magic_costs_nothing),
        EDGE(test_reset_by_peer),
        EDGE(test_detached_arrival_is_whole),
        EDGE(test_connect_times_out),
        EDGE(test_no_memory_for_a_message),
        EDGE(test_nth_allocation_fails),
        EDGE(test_lock_ends_with_its_world),
        EDGE(test_files_go_on_where_they_stopped),
        EDGE(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
