/* tests/rpc/world.h: a loop, servers on it, and ways to wait for them, over the real loopback.
 *
 * The test's own thread tells the story; what belongs to the loop is done there by on_loop(). */
#pragma once
#include <stdatomic.h>

#include "rpc/server.h"

struct world {
    struct io *io;
    struct io_loop *loop;
};

void world_open(struct world *w);
void world_close(struct world *w);

/* Call 'run' on the loop and wait until it has returned. */
void on_loop(struct world *w, void (*run)(void *argument), void *argument);

/* Wait until 'is_true' of 'argument', which is asked on the loop; fails the test after ten
 * seconds. */
void wait_until(struct world *w, bool (*is_true)(void *argument), void *argument);

/* A server that listens at a port of its own. */
struct test_server {
    struct world *world;
    struct io_listener *listener;
    struct io_address address;
    struct rpc_server *server;
    struct rpc_server_options options;
    rpc_on_request *on_request;
    void *context;
    bool is_closed;
};

/* Listen at t->address (port 0: a free one) with t->options, t->on_request, t->context. */
void test_server_open(struct world *w, struct test_server *t);
void test_server_close(struct test_server *t);

struct rpc_server_counters test_server_counters(struct test_server *t);
