/* src/rpc/request.c: a request's memory, and its end.
 *
 *     on the server's loop   the reply is encoded straight into the connection's output
 *     on any other loop      into the request's own buffer, which is posted home and appended there
 *
 * What may not be sent to whom is decided here, once for both ways: docs/wire.md, W9, W11 and
 * W17. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/server_impl.h"

enum {
    SPARE_COUNT_MAX = 2048,      /* Requests kept for reuse. */
    SPARE_REPLY_SIZE_MAX = 4096, /* Bytes: a larger reply buffer is not kept. */
    REPLIES_SIZE_MIN =
        256 << 10,             /* Bytes not taken that anybody may have, however crowded it is. */
    ARENA_SIZE_MAX = 64 << 20, /* Bytes that one request may make of what it says. */
};

/* ---- Memory ---------------------------------------------------------------------------------- */

struct rpc_request *request_new(struct rpc_server *s)
{
    struct list_node *node = list_pop_front(&s->spare);
    if (node != NULL) {
        s->spare_count--;
        return LIST_ENTRY(node, struct rpc_request, node);
    }
    struct rpc_request *r = mem_zalloc(sizeof *r);
    if (r == NULL) return NULL;
    r->arena.limit = ARENA_SIZE_MAX;
    list_init(&r->node);
    return r;
}

static void destroy(struct rpc_request *r)
{
    arena_fini(&r->arena);
    buf_fini(&r->reply);
    mem_free(r);
}

void request_free(struct rpc_server *s, struct rpc_request *r)
{
    if (s->spare_count == SPARE_COUNT_MAX) {
        destroy(r);
        return;
    }
    arena_reset(&r->arena);
    buf_clear(&r->reply);
    if (r->reply.capacity > SPARE_REPLY_SIZE_MAX) buf_fini(&r->reply);
    memset(r->owner, 0, sizeof r->owner);
    r->is_ended = false;
    s->spare_count++;
    /* The last to come is the first to go: it is still in the cache. */
    list_init(&r->node);
    list_push_back(s->spare.next, &r->node);
}

void request_free_spare(struct rpc_server *s)
{
    struct list_node *node;
    while ((node = list_pop_front(&s->spare)) != NULL)
        destroy(LIST_ENTRY(node, struct rpc_request, node));
    s->spare_count = 0;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

/* CLEAR_SCANNER is never answered over THFT, not even with an error: Go and Python have no decoder
 * for the answer and drop the connection. */
static bool is_answered(const struct rpc_request *r)
{
    return r->frame.kind == FRAME_RDSN || r->frame.code != RPC_CLEAR_SCANNER;
}

/* Append the whole reply. An error over THFT has no body: such clients don't look at it. */
static int encode(const struct rpc_request *r, struct buf *to, enum wire_error error,
                  const struct schema *schema, const void *result)
{
    const struct io_address *self = &r->connection->server->options.self;
    struct rpc_address from = {.ipv4 = self->ipv4, .port = self->port, .is_valid = self->port != 0};
    if (error != WIRE_ERR_OK && r->frame.kind != FRAME_RDSN) schema = NULL;
    return frame_response_write(to, &r->frame, from, error, schema, result);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

/* The request is over. On the server's loop. */
static void finish(struct rpc_request *r)
{
    struct rpc_connection *c = r->connection;
    size_t size = r->size;
    chunk_unref(r->chunk);
    request_free(c->server, r);
    connection_request_ended(c, size);
}

/* True if there is somebody to send a reply to. On the server's loop. */
static bool is_heard(struct rpc_connection *c)
{
    if (c->tcp != NULL && !c->is_leaving) return true;
    c->server->counters.replies_late++;
    return false;
}

/* A reply that found no memory leaves its client waiting for good: closing tells it at least
 * that. */
static void sent(struct rpc_connection *c, int rc, size_t size)
{
    if (rc == 0) connection_replied(c, size);
    else connection_leave(c);
}

static void run_finished(struct io_post *post)
{
    struct rpc_request *r = LIST_ENTRY(post, struct rpc_request, finished);
    struct rpc_connection *c = r->connection;
    size_t size = r->reply.size;
    connection_replies_shrink(c, size); /* Counted again by where it goes. */
    if ((size > 0 || r->reply.failed) && is_heard(c)) {
        struct buf *out = io_tcp_out(c->tcp);
        if (!r->reply.failed) buf_append_slice(out, buf_slice(&r->reply));
        sent(c, r->reply.failed ? E_NOMEM : buf_status(out), size);
    }
    finish(r);
}

/* From another loop: home by post. */
static void go_home(struct rpc_request *r)
{
    r->finished.run = run_finished;
    io_post_quick(r->connection->server->loop, &r->finished);
}

/* The owner gives the request back: it may do so once. */
static bool take_back(struct rpc_request *r)
{
    CHECK(!r->is_ended);
    r->is_ended = true;
    return io_is_on(r->connection->server->loop);
}

/* Encode the reply where it goes out, or where it travels home. */
static void encode_reply(struct rpc_request *r, bool is_home, enum wire_error error,
                         const struct schema *schema, const void *result)
{
    struct rpc_connection *c = r->connection;
    if (!is_home) {
        if (encode(r, &r->reply, error, schema, result) != 0) r->reply.failed = true;
        connection_replies_grow(c, r->reply.size);
    } else if (is_heard(c)) {
        struct buf *out = io_tcp_out(c->tcp);
        size_t before = out->size;
        int rc = encode(r, out, error, schema, result);
        sent(c, rc, out->size - before);
    }
}

void rpc_reply_then(struct rpc_request *request, enum wire_error error, const struct schema *schema,
                    const void *result, void (*release)(void *context), void *context)
{
    bool is_home = take_back(request);
    if (is_answered(request)) encode_reply(request, is_home, error, schema, result);
    if (release != NULL) release(context);
    if (is_home) finish(request);
    else go_home(request);
}

void rpc_reply(struct rpc_request *request, enum wire_error error, const struct schema *schema,
               const void *result)
{
    rpc_reply_then(request, error, schema, result, NULL, NULL);
}

void rpc_reply_error(struct rpc_request *request, enum wire_error error)
{
    rpc_reply(request, error, NULL, NULL);
}

void rpc_drop(struct rpc_request *request)
{
    if (take_back(request)) finish(request);
    else go_home(request);
}

bool rpc_request_is_crowded(const struct rpc_request *request)
{
    const struct rpc_connection *c = request->connection;
    return atomic_load_explicit(&c->replies, memory_order_relaxed) > REPLIES_SIZE_MIN &&
           atomic_load_explicit(&c->server->replies, memory_order_relaxed) >
               c->server->options.server_bytes_max / 2;
}

struct io_address rpc_request_peer(const struct rpc_request *request)
{
    return request->connection->peer;
}
