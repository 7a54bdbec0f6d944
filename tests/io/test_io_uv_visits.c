/* tests/io/test_io_uv_visits.c: who runs a quick message (io/uv_post.c): the sender's thread while the
 * loop sleeps, else the loop's own; and that a visit leaves nothing undone that only home can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "io/uv.h"

enum {
    ASLEEP_MS = 30, /* After so long without anything to do a loop sleeps. */
    WAIT_MS = 10000,
};

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static void await(const atomic_int *count, int wanted)
{
    for (int i = 0; i < WAIT_MS && atomic_load(count) < wanted; i++) pause_ms(1);
    assert_int_equal(atomic_load(count), wanted);
}

/* ---- A guest and a sleeper ------------------------------------------------------------------- */

struct pair {
    struct io *io;
    struct io_loop *guest, *sleeper;
    struct io_post go;
    void (*send)(struct pair *p); /* On the guest. */
    struct io_post messages[2];
    void (*work)(struct pair *p); /* At the first message, on the sleeper. */

    pthread_t guest_thread, ran_on[2];
    bool was_visited;
    atomic_int ran; /* Messages. */

    struct io_turn_hook hook;
    struct io_timer timer;
    struct io_tcp *tcp;
    struct io_address address; /* Where it connects to. */
    bool pauses;               /* After its first bytes. */
    pthread_t told_on;
    int told;
    atomic_int hooked, rang, ended, fed;
};

static void on_message(struct pair *p, int which)
{
    CHECK(io_is_on(p->sleeper) && !io_is_on(p->guest));
    p->ran_on[which] = pthread_self();
    if (which == 0) p->was_visited = io_is_visited(p->sleeper);
    if (which == 0 && p->work != NULL) p->work(p);
    atomic_fetch_add(&p->ran, 1);
}

static void on_first(struct io_post *post)
{
    on_message(LIST_ENTRY(post, struct pair, messages[0]), 0);
}

static void on_second(struct io_post *post)
{
    on_message(LIST_ENTRY(post, struct pair, messages[1]), 1);
}

static void on_go(struct io_post *post)
{
    struct pair *p = LIST_ENTRY(post, struct pair, go);
    p->guest_thread = pthread_self();
    p->send(p);
    CHECK(io_is_on(p->guest));
}

/* Both sleep; then the guest sends. Returns when all of 'count' messages have run. */
static void pair_send(struct pair *p, void (*send)(struct pair *p), int count)
{
    pause_ms(ASLEEP_MS);
    p->send = send;
    io_post(p->guest, &p->go);
    await(&p->ran, count);
}

static int pair_open(void **state)
{
    static struct pair p;
    p = (struct pair){.go.run = on_go, .messages = {{.run = on_first}, {.run = on_second}}};
    assert_int_equal(io_uv_open(&p.io), 0);
    assert_int_equal(io_loop_open(p.io, IO_LOOP_EVENTS, "guest", &p.guest), 0);
    assert_int_equal(io_loop_open(p.io, IO_LOOP_EVENTS, "sleeper", &p.sleeper), 0);
    *state = &p;
    return 0;
}

static int pair_close(void **state)
{
    struct pair *p = *state;
    io_loop_close(p->guest);
    io_loop_close(p->sleeper);
    io_uv_close(p->io);
    return 0;
}

static bool is_guest(const struct pair *p, pthread_t thread)
{
    return pthread_equal(p->guest_thread, thread) != 0;
}

static void send_quick(struct pair *p)
{
    io_post_quick(p->sleeper, &p->messages[0]);
    CHECK(atomic_load(&p->ran) == 0); /* Never inside the call. */
}

static void send_plain(struct pair *p)
{
    io_post(p->sleeper, &p->messages[0]);
}

static void send_two(struct pair *p)
{
    io_post_quick(p->sleeper, &p->messages[0]);
    io_post_quick(p->sleeper, &p->messages[1]);
}

/* One quick message: the sender's thread runs it, and nobody was woken. */
static void test_lone_message_is_a_visit(void **state)
{
    struct pair *p = *state;
    pair_send(p, send_quick, 1);
    assert_true(p->was_visited);
    assert_true(is_guest(p, p->ran_on[0]));
}

/* A plain message, or a second quick one: there is work for another thread, which is woken. */
static void test_more_wakes_the_loop(void **state)
{
    struct pair *p = *state;
    pair_send(p, send_plain, 1);
    assert_false(p->was_visited || is_guest(p, p->ran_on[0]));

    atomic_store(&p->ran, 0);
    pair_send(p, send_two, 2);
    assert_false(p->was_visited || is_guest(p, p->ran_on[0]) || is_guest(p, p->ran_on[1]));
}

/* From a thread that is no loop's. */
static void test_outsiders_wake_the_loop(void **state)
{
    struct pair *p = *state;
    pause_ms(ASLEEP_MS);
    io_post_quick(p->sleeper, &p->messages[0]);
    await(&p->ran, 1);
    assert_false(p->was_visited);
}

/* ---- What only home can do --------------------------------------------------------------------- */

static void on_hook(struct io_turn_hook *hook)
{
    struct pair *p = LIST_ENTRY(hook, struct pair, hook);
    if (!io_is_visited(p->sleeper)) p->told_on = pthread_self();
    if (atomic_fetch_add(&p->hooked, 1) == 0) io_call_home(p->sleeper);
}

static void add_hook(struct pair *p)
{
    p->hook.run = on_hook;
    io_turn_hook_add(p->sleeper, &p->hook);
}

/* A hook runs in the visit too; what it puts off is done by the loop's own thread, without another message. */
static void test_called_home(void **state)
{
    struct pair *p = *state;
    p->work = add_hook;
    pair_send(p, send_quick, 1);
    assert_true(p->was_visited);
    await(&p->hooked, 2);
    assert_false(is_guest(p, p->told_on));
}

static void on_timer(struct io_timer *timer)
{
    struct pair *p = LIST_ENTRY(timer, struct pair, timer);
    p->told_on = pthread_self();
    atomic_store(&p->rang, 1);
}

static void start_timer(struct pair *p)
{
    p->timer.run = on_timer;
    io_timer_start(p->sleeper, &p->timer, io_now(p->io).boot_ms + 20);
}

/* A timer that a visit starts rings, at home. */
static void test_timer_of_a_visit(void **state)
{
    struct pair *p = *state;
    p->work = start_timer;
    pair_send(p, send_quick, 1);
    assert_true(p->was_visited);
    await(&p->rang, 1);
    assert_false(is_guest(p, p->told_on));
}

/* Takes half a message; then, when it is shown the rest, it has enough. */
static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need)
{
    struct pair *p = context;
    (void)chunk;
    (void)need;
    if (atomic_fetch_add(&p->fed, 1) > 0) {
        io_tcp_close(p->tcp);
        return bytes.size;
    }
    if (p->pauses) io_tcp_pause(p->tcp, true);
    return bytes.size / 2;
}

static void on_connected(void *context, int rc)
{
    struct pair *p = context;
    p->told = rc;
    p->told_on = pthread_self();
}

static void on_closed(void *context, int why)
{
    struct pair *p = context;
    (void)why;
    atomic_store(&p->ended, 1);
}

static const struct io_tcp_handler tcp_handler = {
    .on_connected = on_connected, .on_bytes = on_bytes, .on_closed = on_closed};

static void connect_tcp(struct pair *p)
{
    CHECK(io_tcp_connect(p->sleeper, p->address, &tcp_handler, p, &p->tcp) == 0);
}

static void connect_and_close(struct pair *p)
{
    connect_tcp(p);
    io_tcp_close(p->tcp);
}

/* A connection that a visit opens is opened, and one that it closes again is closed. */
static void test_connection_of_a_visit(void **state)
{
    struct pair *p = *state;
    p->address = (struct io_address){.ipv4 = 0x7f000001, .port = 1};
    p->work = connect_tcp;
    pair_send(p, send_quick, 1);
    assert_true(p->was_visited);
    await(&p->ended, 1);
    assert_int_equal(p->told, E_REFUSED);
    assert_false(is_guest(p, p->told_on));

    atomic_store(&p->ran, 0);
    atomic_store(&p->ended, 0);
    p->work = connect_and_close;
    pair_send(p, send_quick, 1);
    await(&p->ended, 1);
}

/* A socket that listens on this machine, and where. */
static int listen_bare(struct io_address *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *address = (struct io_address){.ipv4 = 0x7f000001, .port = ntohs(at.sin_port)};
    return fd;
}

static void resume(struct pair *p)
{
    io_tcp_pause(p->tcp, false);
}

static void pause_and_resume(struct pair *p)
{
    io_tcp_pause(p->tcp, true);
    io_tcp_pause(p->tcp, false);
}

/* A connection with half a message left, that 'work' has shown again, upon which its owner closes it. */
static void close_at_the_rest(struct pair *p, bool pauses, void (*work)(struct pair *p),
                              void (*send_it)(struct pair *p))
{
    int listener = listen_bare(&p->address);
    atomic_store(&p->ran, 0);
    atomic_store(&p->fed, 0);
    atomic_store(&p->ended, 0);
    p->pauses = pauses;
    p->work = connect_tcp;
    pair_send(p, send_plain, 1);
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(send(peer, "half&half", 8, MSG_NOSIGNAL), 8);
    await(&p->fed, 1);

    atomic_store(&p->ran, 0);
    p->work = work;
    pair_send(p, send_it, 1);
    assert_int_equal(p->was_visited, send_it == send_quick);
    await(&p->ended, 1);
    assert_int_equal(atomic_load(&p->fed), 2);
    (void)close(peer);
    (void)close(listener);
}

/* What a visit shows to an owner, who then closes, is closed at home, once. */
static void test_closed_in_a_visit(void **state)
{
    struct pair *p = *state;
    close_at_the_rest(p, true, resume, send_quick);
    close_at_the_rest(p, false, pause_and_resume, send_quick);
    close_at_the_rest(p, true, resume, send_plain);
    close_at_the_rest(p, false, pause_and_resume, send_plain);
}

/* ---- Many -------------------------------------------------------------------------------------- */

enum { LOOPS = 4, BALLS = 2, HITS = 8000 };

/* Not atomic: a loop is run by one thread at a time. */
struct side {
    struct io *io;
    struct io_loop *loop;
    struct io_timer timer; /* Takes the loop home, again and again. */
    int inside;
    uint64_t hits, rings;
    const atomic_int *out;
};

struct court {
    struct side sides[LOOPS];
    atomic_int out;
};

struct ball {
    struct io_post post;
    struct court *court;
    uint32_t at, hits, seed;
};

static void on_ball(struct io_post *post)
{
    struct ball *ball = LIST_ENTRY(post, struct ball, post);
    struct court *c = ball->court;
    struct side *from = &c->sides[ball->at];
    CHECK(io_is_on(from->loop) && from->inside++ == 0);
    from->hits++;
    ball->seed = ball->seed * 1664525 + 1013904223;
    ball->at = (ball->seed >> 16) % LOOPS;
    bool is_out = ++ball->hits == HITS;
    uint64_t now_us = io_now(from->io).wall_us;
    while (ball->seed >> 30 == 0 && io_now(from->io).wall_us < now_us + 20) continue;
    CHECK(--from->inside == 0);
    if (is_out) atomic_fetch_add(&c->out, 1);
    else if (ball->seed >> 28 == 0) io_post(c->sides[ball->at].loop, &ball->post);
    else io_post_quick(c->sides[ball->at].loop, &ball->post);
}

static void on_ring(struct io_timer *timer)
{
    struct side *side = LIST_ENTRY(timer, struct side, timer);
    CHECK(side->inside == 0 && !io_is_visited(side->loop));
    side->rings++;
    if (atomic_load(side->out) < BALLS)
        io_timer_start(side->loop, timer, io_now(side->io).boot_ms + 1);
}

struct whistle {
    struct io_post post;
    struct side *side;
};

static void on_whistle(struct io_post *post)
{
    struct side *side = LIST_ENTRY(post, struct whistle, post)->side;
    on_ring(&side->timer);
}

/* Balls between loops that fall asleep all the time, and that their own threads run now and then: each ball
 * is hit as often as it should be, and no loop is run by two threads at a time (the thread sanitizer looks
 * too). */
static void test_many_visits(void **state)
{
    (void)state;
    static struct court court;
    static struct ball balls[BALLS];
    static struct whistle whistles[LOOPS];
    struct io *io;
    assert_int_equal(io_uv_open(&io), 0);
    for (int i = 0; i < LOOPS; i++) {
        struct side *side = &court.sides[i];
        *side = (struct side){.io = io, .timer.run = on_ring, .out = &court.out};
        assert_int_equal(io_loop_open(io, IO_LOOP_EVENTS, "court", &side->loop), 0);
        whistles[i] = (struct whistle){.post.run = on_whistle, .side = side};
        io_post(side->loop, &whistles[i].post);
    }
    for (uint32_t i = 0; i < BALLS; i++) {
        balls[i] = (struct ball){
            .post.run = on_ball, .court = &court, .at = i % LOOPS, .seed = i * 2654435761u};
        io_post(court.sides[balls[i].at].loop, &balls[i].post);
    }
    await(&court.out, BALLS);
    pause_ms(ASLEEP_MS); /* The last rings. */
    uint64_t hits = 0;
    for (int i = 0; i < LOOPS; i++) {
        io_loop_close(court.sides[i].loop);
        hits += court.sides[i].hits;
        assert_true(court.sides[i].rings > 1);
    }
    assert_int_equal(hits, BALLS * HITS);
    io_uv_close(io);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, pair_open, pair_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR(test_lone_message_is_a_visit), PAIR(test_more_wakes_the_loop),
        PAIR(test_outsiders_wake_the_loop), PAIR(test_called_home),
        PAIR(test_timer_of_a_visit),        PAIR(test_connection_of_a_visit),
        PAIR(test_closed_in_a_visit),       cmocka_unit_test(test_many_visits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
