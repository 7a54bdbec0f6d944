/* src/rpc/server.c: a server: opening, arrivals, the limit on all its bytes, closing. */
#include "rpc/server.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/server_impl.h"

/* An arrival on its way to the server's loop. */
struct arrival {
    struct io_post post;
    struct rpc_server *server;
    struct io_arrival *arrival;
};

static void set_default(size_t *option, size_t value)
{
    if (*option == 0) *option = value;
}

int rpc_server_open(struct io_loop *loop, const struct rpc_server_options *options,
                    rpc_on_request *on_request, void *context, struct rpc_server **out)
{
    struct rpc_server *s = mem_zalloc(sizeof *s);
    if (s == NULL) return E_NOMEM;
    s->loop = loop;
    s->options = *options;
    set_default(&s->options.requests_max, 1024);
    set_default(&s->options.connection_bytes_max, 32 << 20);
    set_default(&s->options.server_bytes_max, 256 << 20);
    if (s->options.body_size_max == 0) s->options.body_size_max = FRAME_BODY_SIZE_MAX;
    s->on_request = on_request;
    s->context = context;
    list_init(&s->connections);
    list_init(&s->spare);
    *out = s;
    return 0;
}

/* ---- Arrivals -------------------------------------------------------------------------------- */

bool rpc_server_speaks(const uint8_t *magic)
{
    enum frame_protocol protocol = frame_protocol_of(slice_of(magic, IO_MAGIC_SIZE));
    return protocol == FRAME_PROTOCOL_THFT || protocol == FRAME_PROTOCOL_RDSN;
}

static void run_arrival(struct io_post *post)
{
    struct arrival *a = LIST_ENTRY(post, struct arrival, post);
    struct rpc_server *s = a->server;
    if (s->is_closing) io_arrival_close(a->arrival);
    else connection_open(s, a->arrival);
    mem_free(a);
    atomic_fetch_sub(&s->arriving, 1);
    server_check_closed(s);
}

void rpc_server_accept(struct rpc_server *server, struct io_arrival *arrival)
{
    struct arrival *a = mem_zalloc(sizeof *a);
    if (a == NULL) {
        io_arrival_close(arrival);
        return;
    }
    *a = (struct arrival){.server = server, .arrival = arrival, .post.run = run_arrival};
    atomic_fetch_add(&server->arriving, 1);
    io_post(server->loop, &a->post);
}

/* ---- The limit on all bytes under way -------------------------------------------------------- */

void server_add_bytes(struct rpc_server *s, size_t size)
{
    s->counters.bytes_now += size;
    if (s->is_pausing || s->counters.bytes_now <= s->options.server_bytes_max) return;
    s->is_pausing = true;
    LIST_EACH (it, &s->connections)
        connection_pause(LIST_ENTRY(it, struct rpc_connection, node), PAUSED_BY_SERVER);
}

void server_sub_bytes(struct rpc_server *s, size_t size)
{
    CHECK(s->counters.bytes_now >= size);
    s->counters.bytes_now -= size;
    if (!s->is_pausing || s->counters.bytes_now > s->options.server_bytes_max / 2) return;
    s->is_pausing = false;
    LIST_EACH (it, &s->connections)
        connection_resume(LIST_ENTRY(it, struct rpc_connection, node), PAUSED_BY_SERVER);
}

void rpc_server_drain(struct rpc_server *server)
{
    server->is_draining = true;
    LIST_EACH (it, &server->connections)
        connection_pause(LIST_ENTRY(it, struct rpc_connection, node), PAUSED_BY_DRAIN);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void run_closed(struct io_post *post)
{
    struct rpc_server *s = LIST_ENTRY(post, struct rpc_server, closed);
    void (*on_closed)(void *context) = s->on_closed;
    void *context = s->closed_context;
    request_free_spare(s);
    mem_free(s);
    if (on_closed != NULL) on_closed(context);
}

void server_check_closed(struct rpc_server *s)
{
    if (!s->is_closing || s->closed.run != NULL) return;
    if (!list_is_empty(&s->connections) || atomic_load(&s->arriving) != 0) return;
    CHECK(s->counters.requests_now == 0);
    s->closed.run = run_closed;
    io_post(s->loop, &s->closed);
}

void rpc_server_close(struct rpc_server *server, void (*on_closed)(void *context), void *context)
{
    CHECK(!server->is_closing);
    server->is_closing = true;
    server->on_closed = on_closed;
    server->closed_context = context;
    LIST_EACH (it, &server->connections)
        connection_leave(LIST_ENTRY(it, struct rpc_connection, node));
    server_check_closed(server);
}

const struct rpc_server_counters *rpc_server_counters(const struct rpc_server *server)
{
    return &server->counters;
}
