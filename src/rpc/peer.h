/* src/rpc/peer.h: calls to one other server, over one connection.
 *
 *              a call                 connected
 *      idle ------------> connecting ----------> up
 *                          ^      |               |
 *     pause over, and      |      | refused       | lost: what was sent ends with E_CLOSED,
 *     somebody waits       |      v               | what was not may wait for the next
 *     or calls             +---- down <-----------+
 *
 * Calls are matched to answers by id, in any order. Each has a deadline. A peer without calls has
 * no timer running and sends nothing: it costs its memory only. When a call passes its deadline and
 * the other side, although waited for, has not sent a single byte for RPC_PEER_SILENCE_MS, the
 * connection is taken for dead.
 *
 * Memory: the call is the caller's, embedded where it likes; the peer allocates nothing per call
 * while connected. Threads: everything on the peer's loop. Source: docs/rpc.md, rules C7 to C12. */
#pragma once
#include "base/buf.h"
#include "base/chunk.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "io/io.h"
#include "wire/frame.h"
#include "wire/rpc_names.h"
#include "wire/thrift.h"

struct rpc_peer;

enum {
    RPC_PEER_BACKOFF_MS_MIN = 8,    /* After the first failure; doubles... */
    RPC_PEER_BACKOFF_MS_MAX = 1000, /* ...up to this. A random half is taken off. */
    RPC_PEER_SILENCE_MS = 10000,
    RPC_PEER_BYTES_MAX = 64 << 20, /* Of requests under way, unless the options say otherwise. */
};

struct rpc_peer_options {
    enum frame_kind framing; /* FRAME_RDSN or FRAME_THFT_V1. */
    size_t bytes_max;        /* Of requests under way; 0: RPC_PEER_BYTES_MAX. */
    uint32_t silence_ms;     /* 0: RPC_PEER_SILENCE_MS. */
};

/* How a call ended. */
struct rpc_answer {
    /* 0           the server has answered: see 'error' and 'body'
     * E_TIMEOUT   the deadline passed
     * E_CLOSED    the connection was lost, or was down and the call does not wait
     * E_REFUSED, E_UNREACHABLE   it could not be made, and the call does not wait (E_TIMEOUT too)
     * E_CANCELED  the peer was closed
     * E_PROTO     the server answered nonsense (the connection is closed then) */
    int rc;
    bool is_sent;          /* False: certainly not executed there. */
    enum wire_error error; /* Of the framework. */
    struct slice body;     /* With its wrapper, as rpc_answer_read() wants it; borrowed from... */
    struct chunk *chunk;   /* ...this, which chunk_ref() keeps. NULL when there is no body. */
};

struct rpc_call {
    /* The caller's: set before the call, and left alone until it has ended. */
    enum rpc_code rpc;
    int32_t app_id;
    int32_t partition_index;
    uint64_t partition_hash;
    /* The arguments: a struct; or, with 'schema' NULL, whatever 'write' appends, with its wrapper. Used
     * during rpc_peer_call() only. */
    const struct schema *schema;
    const void *args;
    void (*write)(const void *args, struct buf *to);
    uint64_t deadline_ms; /* Boot time. */
    bool fails_when_down; /* Do not wait for a connection that is down. */
    void (*on_done)(struct rpc_call *call, const struct rpc_answer *answer);

    /* The peer's. All-zero before the first use; a call may be used again once it has ended. */
    struct rpc_peer *peer; /* NULL: not under way. */
    struct heap_node due;  /* In the peer's heap of deadlines. */
    struct list_node node; /* Among the calls of the peer, in order of calling. */
    struct buf held;       /* The frame, while there is no connection to send it on. */
    uint64_t id;
    size_t size; /* Bytes of the frame. */
    bool is_sent;
};

/* Returns 0 and gives '*out', to be closed with rpc_peer_close(); or E_NOMEM. Connects to
 * nothing. */
int rpc_peer_open(struct io_loop *loop, struct io_address to,
                  const struct rpc_peer_options *options, struct rpc_peer **out) MUST_CHECK;

/* End all calls with E_CANCELED, close the connection, call on_closed (which may be NULL) and free
 * the peer: all of it later, never inside. Accepts no further call. */
void rpc_peer_close(struct rpc_peer *peer, void (*on_closed)(void *context), void *context);

/* Call. Returns 0, and then on_done is called once, later, never from inside; or, and then it is
 * not:
 *     E_BUSY     as many bytes are under way as may be: call again when a call has ended
 *     E_CLOSED   the connection is down and the call fails when it is
 *     E_LIMIT    the arguments make no frame that a server would take
 *     E_NOMEM */
int rpc_peer_call(struct rpc_peer *peer, struct rpc_call *call) MUST_CHECK;

/* Forget the call: on_done is not called, an answer that still comes is thrown away. Harmless when
 * it is not under way. */
void rpc_call_cancel(struct rpc_call *call);

/* Read the result out of an answer's body. Strings borrow from it, lists lie in 'arena'.
 * Returns 0; or E_SHORT, E_PROTO, E_LIMIT, E_NOMEM, and then 'result' is to be discarded. */
int rpc_answer_read(const struct rpc_answer *answer, const struct schema *schema,
                    struct arena *arena, void *result) MUST_CHECK;

struct io_address rpc_peer_address(const struct rpc_peer *peer);

struct rpc_peer_view {
    bool is_up;
    size_t calls_now, bytes_now; /* Under way. */
    uint64_t calls, timeouts;    /* Ever. */
    uint64_t connections_lost;
    uint64_t answers_unknown; /* With an id that nobody waits for: late, or made up. */
    int why_down;             /* The last reason for being down; 0: never was. */
};

void rpc_peer_view(const struct rpc_peer *peer, struct rpc_peer_view *out);
