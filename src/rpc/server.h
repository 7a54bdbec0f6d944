/* src/rpc/server.h: requests in, replies out: the server side of the connections of one loop.
 *
 *     arrival -> connection -> frames -> rpc_request -> owner ... rpc_reply() -> output -> peer
 *                                        (pooled)       (any loop)
 *
 * A server lives on one loop. It cuts what its peers send into requests, without copying: a request
 * borrows from the chunk it arrived in and holds a reference to it. The owner decodes the
 * arguments, may carry the request to another loop, and ends it exactly once. Replies go out in the
 * order in which they are given, one write per connection and loop turn. There are no timers.
 *
 * It knows the framings (wire/frame.h) and what no client may be sent; it does not know what an rpc
 * means. Source: docs/rpc.md, rules C1 to C6.
 *
 * Backpressure: a connection that has too many requests or bytes under way, or does not take its
 * replies, is not read from until that has halved; nor is any connection of a server that has too
 * many bytes under way. A limit is overshot by one request at most. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/chunk.h"
#include "base/err.h"
#include "base/list.h"
#include "io/io.h"
#include "wire/frame.h"
#include "wire/rpc_names.h"
#include "wire/thrift.h"

struct rpc_server;
struct rpc_connection;

enum { RPC_OWNER_SIZE = 256 }; /* Bytes a request has for its owner's own state. */

/* One request, from its arrival to its end. It stays where it is in memory. */
struct rpc_request {
    struct frame_request
        frame;          /* Its slices borrow from the request: they live until it is ended. */
    struct arena arena; /* For decoding the arguments; emptied when the request ends. */

    /* The owner's, to queue the request and to carry it to another loop; idle on arrival. */
    struct list_node node;
    struct io_post post;
    _Alignas(16) uint8_t owner[RPC_OWNER_SIZE]; /* Zeroed on arrival. */

    /* The server's. */
    struct rpc_connection *connection;
    struct chunk *chunk;     /* One reference: 'frame' borrows from it. */
    struct buf reply;        /* The whole reply, when it was given on another loop. */
    struct io_post finished; /* Brings it home from there. */
    size_t size;             /* Bytes of the frame, as counted against the limits. */
    bool is_ended;
};

struct rpc_server_options {
    struct io_address self;      /* Told to peers in RDSN replies. */
    size_t requests_max;         /* Under way per connection; 0: 1024. */
    size_t connection_bytes_max; /* Under way per connection; 0: 32 MiB. */
    size_t server_bytes_max;     /* Under way in all; 0: 256 MiB. Frames not yet whole may take half
                                  * as much again: above that the connection is closed. Replies
                                  * may take half as much, too: rpc_request_is_crowded(). */
    uint32_t body_size_max;      /* Of one request, in bytes; 0: FRAME_BODY_SIZE_MAX. */
};

/* Take a request: the owner ends it, once, with one of the three functions below, at any time and
 * on any loop, or at once. Only requests whose rpc the house knows arrive here. On the server's
 * loop. */
typedef void rpc_on_request(void *context, struct rpc_request *request);

/* Returns 0 and gives '*out', to be closed with rpc_server_close(); or E_NOMEM. On 'loop', or
 * before anything runs there. */
int rpc_server_open(struct io_loop *loop, const struct rpc_server_options *options,
                    rpc_on_request *on_request, void *context, struct rpc_server **out) MUST_CHECK;

/* Read no further requests, for good; those under way are answered. When counters->requests_now is
 * 0, a server that is to stop may be closed and has left nobody without an answer. */
void rpc_server_drain(struct rpc_server *server);

/* Close all connections, wait until every request has been ended (their replies lead nowhere now),
 * then call on_closed, later, and free the server. Accepts NULL for on_closed. */
void rpc_server_close(struct rpc_server *server, void (*on_closed)(void *context), void *context);

/* True if a peer that begins with these IO_MAGIC_SIZE bytes is ours to serve. */
bool rpc_server_speaks(const uint8_t *magic);

/* Serve the peer. Takes 'arrival'; when there is no memory for it, it is closed. Any thread, but
 * not while or after rpc_server_close() is called. */
void rpc_server_accept(struct rpc_server *server, struct io_arrival *arrival);

/* ---- The three ends of a request. Any thread; the request is gone afterwards. ---------------- */

/* Answer with 'result', which 'schema' describes; both NULL: no body. Over THFT an error has no
 * body in any case, unsafe error names are replaced, and RPC_CLEAR_SCANNER is not answered at all.
 * When there is no memory for the reply, the connection is closed. */
void rpc_reply(struct rpc_request *request, enum wire_error error, const struct schema *schema,
               const void *result);

/* The same, and call 'release' with 'context' when 'result' is encoded and before the request, its
 * arena included, is gone: for results that borrow what must be given back. */
void rpc_reply_then(struct rpc_request *request, enum wire_error error, const struct schema *schema,
                    const void *result, void (*release)(void *context), void *context);

/* Answer with an error of the framework and no body. */
void rpc_reply_error(struct rpc_request *request, enum wire_error error);

/* Do not answer. */
void rpc_drop(struct rpc_request *request);

/* ---- Looking --------------------------------------------------------------------------------- */

/* True while the replies that no socket has taken yet fill the server's limit, and this peer has its
 * part in that: answer ERR_BUSY rather than make another. (Requests are small, and were let in before it
 * was known how large their answers would be.) Any thread. */
bool rpc_request_is_crowded(const struct rpc_request *request);

/* Who asks. Good until the request is ended. Any thread. */
struct io_address rpc_request_peer(const struct rpc_request *request);

struct rpc_server_counters {
    uint64_t connections;        /* Open now. */
    uint64_t connections_opened; /* Ever. */
    uint64_t requests;           /* Ever. */
    uint64_t requests_now;       /* Under way. */
    uint64_t bytes_now;          /* Of frames under way. */
    uint64_t bytes_in, bytes_out;
    uint64_t malformed;     /* Connections closed for what they sent. */
    uint64_t paused;        /* Times that reading was stopped. */
    uint64_t replies_late;  /* For connections that were gone. */
    uint64_t unknown_names; /* Requests answered ERR_HANDLER_NOT_FOUND. */
};

/* On the server's loop. The counters stay the server's. */
const struct rpc_server_counters *rpc_server_counters(const struct rpc_server *server);
