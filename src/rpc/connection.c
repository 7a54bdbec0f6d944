/* src/rpc/connection.c: one peer's bytes, cut into requests; and when not to read from it.
 *
 * A request borrows from the chunk that the bytes lie in, so nothing is copied and one read of many
 * pipelined requests costs one chunk. What is read and not yet cut when reading pauses stays with
 * the socket (io.h) and comes again. */
#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "rpc/server_impl.h"

enum { OUT_SIZE_MAX = 4 << 20 }; /* Replies not yet taken: above, no further requests are read. */

static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need);
static void on_drained(void *context);
static void on_closed(void *context, int why);

static const struct io_tcp_handler handler = {
    .on_bytes = on_bytes,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

void connection_open(struct rpc_server *s, struct io_arrival *arrival)
{
    struct rpc_connection *c = mem_zalloc(sizeof *c);
    if (c == NULL) {
        io_arrival_close(arrival);
        return;
    }
    c->server = s;
    if (io_tcp_accept(s->loop, arrival, &handler, c, &c->tcp) != 0) {
        mem_free(c);
        return;
    }
    c->peer = io_tcp_peer(c->tcp);
    list_push_back(&s->connections, &c->node);
    s->counters.connections++;
    s->counters.connections_opened++;
    if (s->is_pausing) connection_pause(c, PAUSED_BY_SERVER);
    if (s->is_draining) connection_pause(c, PAUSED_BY_DRAIN);
}

void connection_leave(struct rpc_connection *c)
{
    if (c->tcp == NULL || c->is_leaving) return;
    c->is_leaving = true;
    io_tcp_close(c->tcp);
}

/* ---- Backpressure ---------------------------------------------------------------------------- */

void connection_pause(struct rpc_connection *c, enum rpc_pause why)
{
    if (c->paused == 0 && c->tcp != NULL) {
        io_tcp_pause(c->tcp, true);
        c->server->counters.paused++;
    }
    c->paused |= why;
}

void connection_resume(struct rpc_connection *c, enum rpc_pause why)
{
    if ((c->paused & why) == 0) return;
    c->paused &= ~(unsigned)why;
    if (c->paused == 0 && c->tcp != NULL) io_tcp_pause(c->tcp, false);
}

static void request_began(struct rpc_connection *c, struct rpc_request *r)
{
    const struct rpc_server_options *limits = &c->server->options;
    c->request_count++;
    c->bytes += r->size;
    c->server->counters.requests++;
    c->server->counters.requests_now++;
    if (c->request_count > limits->requests_max || c->bytes > limits->connection_bytes_max)
        connection_pause(c, PAUSED_BY_REQUESTS);
    server_add_bytes(c->server, r->size);
}

static void free_if_gone(struct rpc_connection *c)
{
    if (c->tcp != NULL || c->request_count != 0) return;
    struct rpc_server *s = c->server;
    list_remove(&c->node);
    mem_free(c);
    server_check_closed(s);
}

void connection_request_ended(struct rpc_connection *c, size_t size)
{
    const struct rpc_server_options *limits = &c->server->options;
    CHECK(c->request_count > 0 && c->bytes >= size);
    c->request_count--;
    c->bytes -= size;
    c->server->counters.requests_now--;
    server_sub_bytes(c->server, size);
    if (c->request_count <= limits->requests_max / 2 &&
        c->bytes <= limits->connection_bytes_max / 2)
        connection_resume(c, PAUSED_BY_REQUESTS);
    free_if_gone(c);
}

void connection_replies_grow(struct rpc_connection *c, size_t size)
{
    atomic_fetch_add_explicit(&c->replies, size, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->server->replies, size, memory_order_relaxed);
}

void connection_replies_shrink(struct rpc_connection *c, size_t size)
{
    atomic_fetch_sub_explicit(&c->replies, size, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->server->replies, size, memory_order_relaxed);
}

/* Looked at with each reply and when the output has drained: between these it only shrinks. */
static void count_unsent(struct rpc_connection *c, size_t unsent)
{
    if (unsent > c->unsent) connection_replies_grow(c, unsent - c->unsent);
    else if (unsent < c->unsent) connection_replies_shrink(c, c->unsent - unsent);
    c->unsent = unsent;
}

void connection_replied(struct rpc_connection *c, size_t size)
{
    c->server->counters.bytes_out += size;
    count_unsent(c, io_tcp_unsent(c->tcp));
    if (c->unsent > OUT_SIZE_MAX) connection_pause(c, PAUSED_BY_OUTPUT);
}

static void on_drained(void *context)
{
    struct rpc_connection *c = context;
    count_unsent(c, io_tcp_unsent(c->tcp));
    connection_resume(c, PAUSED_BY_OUTPUT);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* A frame has begun that needs so many bytes in all; 0: none has. Peers that announce much and send
 * nothing could hold all memory: past the limit the newest to announce is turned away. */
static bool set_awaited(struct rpc_connection *c, size_t size)
{
    struct rpc_server *s = c->server;
    s->awaited = s->awaited - c->awaited + size;
    c->awaited = size;
    return size == 0 || s->awaited <= s->options.server_bytes_max / 2;
}

/* The request is the owner's from here, or answered already. */
static void start(struct rpc_connection *c, struct rpc_request *r)
{
    struct rpc_server *s = c->server;
    request_began(c, r);
    if (r->frame.code == RPC_UNKNOWN) {
        s->counters.unknown_names++;
        rpc_reply_error(r, WIRE_ERR_HANDLER_NOT_FOUND);
        return;
    }
    s->on_request(s->context, r);
}

/* Read the request at the front of 'bytes'; '*size' is as frame_request_read() says. */
static int read_request(struct rpc_connection *c, struct chunk *chunk, struct slice bytes,
                        size_t *size, struct rpc_request **out)
{
    struct rpc_request *r = request_new(c->server);
    if (r == NULL) return E_NOMEM;
    int rc =
        frame_request_read(bytes, c->protocol, c->server->options.body_size_max, &r->frame, size);
    if (rc != 0) {
        request_free(c->server, r);
        return rc;
    }
    r->connection = c;
    r->chunk = chunk_ref(chunk);
    r->size = *size;
    *out = r;
    return 0;
}

/* Serve all that is whole. Returns 0, or why the connection cannot go on. */
static int read_all(struct rpc_connection *c, struct chunk *chunk, struct slice *bytes,
                    size_t *need)
{
    if (c->protocol == FRAME_PROTOCOL_SHORT) c->protocol = frame_protocol_of(*bytes);
    while (bytes->size > 0 && c->paused == 0 && !c->is_leaving) {
        struct rpc_request *r;
        size_t size;
        int rc = read_request(c, chunk, *bytes, &size, &r);
        if (rc == E_SHORT) {
            *need = size;
            return set_awaited(c, size) ? 0 : E_LIMIT;
        }
        if (rc != 0) return rc;
        *bytes = slice_skip(*bytes, size);
        start(c, r);
    }
    return set_awaited(c, 0) ? 0 : E_LIMIT;
}

static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need)
{
    struct rpc_connection *c = context;
    struct slice rest = bytes;
    *need = 0;
    int rc = read_all(c, chunk, &rest, need);
    c->server->counters.bytes_in += bytes.size - rest.size;
    if (rc == 0) return bytes.size - rest.size;
    MARK("connection closed for what it sent");
    c->server->counters.malformed++;
    connection_leave(c); /* After the replies to the requests before. */
    return bytes.size;
}

static void on_closed(void *context, int why)
{
    (void)why;
    struct rpc_connection *c = context;
    c->tcp = NULL;
    count_unsent(c, 0);
    (void)set_awaited(c, 0);
    c->server->counters.connections--;
    free_if_gone(c);
}
