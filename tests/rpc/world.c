/* tests/rpc/world.c: posts with an end that can be waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <pthread.h>

#include "io/uv.h"
#include "rpc/world.h"

struct errand {
    struct io_post post;
    void (*run)(void *argument);
    void *argument;
    bool is_done;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;

void world_open(struct world *w)
{
    assert_int_equal(io_uv_open(&w->io), 0);
    assert_int_equal(io_loop_open(w->io, IO_LOOP_EVENTS, "rpc", &w->loop), 0);
}

void world_close(struct world *w)
{
    io_loop_close(w->loop);
    io_uv_close(w->io);
}

static void run_errand(struct io_post *post)
{
    struct errand *e = LIST_ENTRY(post, struct errand, post);
    e->run(e->argument);
    (void)pthread_mutex_lock(&mutex);
    e->is_done = true;
    (void)pthread_cond_broadcast(&done);
    (void)pthread_mutex_unlock(&mutex);
}

void on_loop(struct world *w, void (*run)(void *argument), void *argument)
{
    struct errand e = {.post.run = run_errand, .run = run, .argument = argument};
    io_post(w->loop, &e.post);
    (void)pthread_mutex_lock(&mutex);
    while (!e.is_done) (void)pthread_cond_wait(&done, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

struct question {
    bool (*is_true)(void *argument);
    void *argument;
    bool answer;
};

static void run_question(void *argument)
{
    struct question *q = argument;
    q->answer = q->is_true(q->argument);
}

void wait_until(struct world *w, bool (*is_true)(void *argument), void *argument)
{
    struct question q = {.is_true = is_true, .argument = argument};
    uint64_t until_ms = io_now(w->io).boot_ms + 10000;
    for (;;) {
        on_loop(w, run_question, &q);
        if (q.answer) return;
        assert_true(io_now(w->io).boot_ms < until_ms);
        const struct timespec pause = {.tv_nsec = 200000};
        (void)nanosleep(&pause, NULL);
    }
}

/* ---- Servers --------------------------------------------------------------------------------- */

static void on_arrival(void *context, struct io_arrival *arrival, const uint8_t *magic)
{
    struct test_server *t = context;
    if (rpc_server_speaks(magic)) rpc_server_accept(t->server, arrival);
    else io_arrival_close(arrival);
}

static const struct io_listen_handler listen_handler = {.on_arrival = on_arrival};

static void open_here(void *argument)
{
    struct test_server *t = argument;
    t->is_closed = false;
    if (t->address.ipv4 == 0) t->address.ipv4 = 0x7f000001;
    assert_int_equal(io_listen(t->world->loop, &t->address, &listen_handler, t, &t->listener), 0);
    t->options.self = t->address;
    assert_int_equal(
        rpc_server_open(t->world->loop, &t->options, t->on_request, t->context, &t->server), 0);
}

void test_server_open(struct world *w, struct test_server *t)
{
    t->world = w;
    on_loop(w, open_here, t);
}

static void on_closed(void *context)
{
    struct test_server *t = context;
    t->is_closed = true;
}

static void close_here(void *argument)
{
    struct test_server *t = argument;
    io_listener_close(t->listener);
    rpc_server_close(t->server, on_closed, t);
    t->server = NULL;
}

static bool is_closed(void *argument)
{
    const struct test_server *t = argument;
    return t->is_closed;
}

void test_server_close(struct test_server *t)
{
    on_loop(t->world, close_here, t);
    wait_until(t->world, is_closed, t);
}

struct copying {
    struct test_server *server;
    struct rpc_server_counters counters;
};

static void copy_counters(void *argument)
{
    struct copying *c = argument;
    c->counters = *rpc_server_counters(c->server->server);
}

struct rpc_server_counters test_server_counters(struct test_server *t)
{
    struct copying c = {.server = t};
    on_loop(t->world, copy_counters, &c);
    return c.counters;
}
