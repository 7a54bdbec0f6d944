/* src/rpc/peer.c: the life of a connection to one server and of the calls on it.
 *
 *     'all'        every call under way, in order of calling
 *     'by_id'      the same, to find an answer's call
 *     'deadlines'  the same, to find who has waited too long
 *
 * A call made without a connection holds its frame itself; connecting sends what is held, in order.
 * The one timer stands at the earliest deadline, or before it at the end of a pause. Without calls
 * it is stopped. */
#include "rpc/peer.h"

#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "base/prng.h"
#include "rpc/calls.h"

enum peer_state {
    PEER_IDLE, /* No connection; the next call makes one. */
    PEER_DOWN, /* No connection, and none is tried before retry_ms. */
    PEER_CONNECTING,
    PEER_UP,
    PEER_LEAVING, /* We have closed it; on_closed comes. */
};

struct rpc_peer {
    struct io_loop *loop;
    struct io_address address;
    struct rpc_peer_options options;
    enum peer_state state;
    struct io_tcp *tcp; /* While CONNECTING, UP, LEAVING. */

    struct list_node all;
    struct calls by_id;
    struct heap deadlines;
    uint64_t next_id;

    struct io_timer timer;
    uint64_t timer_ms;  /* When it stands; UINT64_MAX: stopped. */
    uint64_t silent_ms; /* Since when we wait in vain for a sign of life; 0: we don't. */
    uint64_t retry_ms;
    uint32_t backoff_ms; /* The last pause; 0 after a sign of life. */
    struct prng prng;
    struct rpc_peer_view view;

    bool is_closing;
    struct io_post closed;
    void (*on_closed)(void *context);
    void *closed_context;
};

static void on_connected(void *context, int rc);
static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need);
static void on_lost(void *context, int why);
static void run_timer(struct io_timer *timer);
static void run_closed(struct io_post *post);

static const struct io_tcp_handler handler = {
    .on_connected = on_connected,
    .on_bytes = on_bytes,
    .on_closed = on_lost,
};

/* ---- Opening and closing --------------------------------------------------------------------- */

int rpc_peer_open(struct io_loop *loop, struct io_address to,
                  const struct rpc_peer_options *options, struct rpc_peer **out)
{
    struct rpc_peer *p = mem_zalloc(sizeof *p);
    if (p == NULL) return E_NOMEM;
    p->loop = loop;
    p->address = to;
    p->options = *options;
    if (p->options.bytes_max == 0) p->options.bytes_max = RPC_PEER_BYTES_MAX;
    if (p->options.silence_ms == 0) p->options.silence_ms = RPC_PEER_SILENCE_MS;
    list_init(&p->all);
    prng_init(&p->prng, io_seed(io_of(loop)));
    p->next_id = 1;
    p->timer.run = run_timer;
    p->timer_ms = UINT64_MAX;
    p->closed.run = run_closed;
    *out = p;
    return 0;
}

void rpc_peer_close(struct rpc_peer *peer, void (*on_closed)(void *context), void *context)
{
    CHECK(!peer->is_closing);
    peer->is_closing = true;
    peer->on_closed = on_closed;
    peer->closed_context = context;
    io_timer_stop(&peer->timer);
    if (peer->tcp != NULL) io_tcp_close(peer->tcp); /* on_lost() goes on. */
    else io_post(peer->loop, &peer->closed);
}

/* ---- A call's end ---------------------------------------------------------------------------- */

/* Take the call out of everything: it may be used again from here. */
static void forget(struct rpc_call *call)
{
    struct rpc_peer *p = call->peer;
    list_remove(&call->node);
    heap_remove(&p->deadlines, &call->due);
    calls_remove(&p->by_id, call);
    buf_fini(&call->held);
    p->view.calls_now--;
    p->view.bytes_now -= call->size;
    call->peer = NULL;
}

static void end(struct rpc_call *call, struct rpc_answer answer)
{
    answer.is_sent = call->is_sent;
    forget(call);
    call->on_done(call, &answer);
}

static void run_closed(struct io_post *post)
{
    struct rpc_peer *p = LIST_ENTRY(post, struct rpc_peer, closed);
    while (!list_is_empty(&p->all))
        end(LIST_ENTRY(p->all.next, struct rpc_call, node), (struct rpc_answer){.rc = E_CANCELED});
    void (*on_closed)(void *context) = p->on_closed;
    void *context = p->closed_context;
    calls_fini(&p->by_id);
    heap_fini(&p->deadlines);
    mem_free(p);
    if (on_closed != NULL) on_closed(context);
}

/* ---- The timer ------------------------------------------------------------------------------- */

static void lower(uint64_t *to, uint64_t value)
{
    if (value < *to) *to = value;
}

static void set_timer(struct rpc_peer *p)
{
    uint64_t at = UINT64_MAX;
    if (p->view.calls_now > 0) {
        lower(&at, heap_top(&p->deadlines)->key);
        if (p->state == PEER_DOWN) lower(&at, p->retry_ms);
    }
    if (at == p->timer_ms || p->is_closing) return;
    p->timer_ms = at;
    if (at == UINT64_MAX) io_timer_stop(&p->timer);
    else io_timer_start(p->loop, &p->timer, at);
}

static void connect_now(struct rpc_peer *p, uint64_t now_ms);

static void time_out(struct rpc_peer *p, struct rpc_call *call, uint64_t now_ms)
{
    p->view.timeouts++;
    end(call, (struct rpc_answer){.rc = E_TIMEOUT});
    if (p->state != PEER_UP || p->silent_ms == 0) return;
    if (now_ms - p->silent_ms < p->options.silence_ms) return;
    MARK("silent peer taken for dead");
    p->state = PEER_LEAVING;
    io_tcp_close(p->tcp);
}

static void run_timer(struct io_timer *timer)
{
    struct rpc_peer *p = HEAP_ENTRY(timer, struct rpc_peer, timer);
    uint64_t now_ms = io_now(io_of(p->loop)).boot_ms;
    p->timer_ms = UINT64_MAX;
    struct heap_node *due;
    while (!p->is_closing && (due = heap_top(&p->deadlines)) != NULL && due->key <= now_ms)
        time_out(p, HEAP_ENTRY(due, struct rpc_call, due), now_ms);
    if (p->is_closing) return;
    if (p->state == PEER_DOWN && p->retry_ms <= now_ms && p->view.calls_now > 0)
        connect_now(p, now_ms);
    set_timer(p);
}

/* ---- The connection -------------------------------------------------------------------------- */

/* No connection, for this reason: the next is tried after a pause that doubles each time. */
static void go_down(struct rpc_peer *p, int why, uint64_t now_ms)
{
    uint32_t pause_ms = p->backoff_ms * 2;
    if (pause_ms < RPC_PEER_BACKOFF_MS_MIN) pause_ms = RPC_PEER_BACKOFF_MS_MIN;
    if (pause_ms > RPC_PEER_BACKOFF_MS_MAX) pause_ms = RPC_PEER_BACKOFF_MS_MAX;
    p->backoff_ms = pause_ms;
    p->retry_ms = now_ms + pause_ms - prng_below(&p->prng, pause_ms / 2 + 1);
    p->state = PEER_DOWN;
    p->view.why_down = why;
}

static void connect_now(struct rpc_peer *p, uint64_t now_ms)
{
    int rc = io_tcp_connect(p->loop, p->address, &handler, p, &p->tcp);
    if (rc != 0) {
        go_down(p, rc, now_ms);
        return;
    }
    p->state = PEER_CONNECTING;
}

/* Send what waits, in the order of calling. */
static void send_held(struct rpc_peer *p)
{
    struct buf *out = io_tcp_out(p->tcp);
    LIST_EACH (it, &p->all) {
        struct rpc_call *call = LIST_ENTRY(it, struct rpc_call, node);
        buf_append_slice(out, buf_slice(&call->held));
        buf_fini(&call->held);
        call->is_sent = true;
    }
}

static void on_connected(void *context, int rc)
{
    struct rpc_peer *p = context;
    if (rc != 0 || p->is_closing) return; /* on_lost() follows. */
    CHECK(p->state == PEER_CONNECTING);
    p->state = PEER_UP;
    p->silent_ms = p->view.calls_now > 0 ? io_now(io_of(p->loop)).boot_ms : 0;
    send_held(p);
    set_timer(p);
}

/* What was sent is lost with the connection; what was not may wait for the next, as it likes.
 * Whoever is told may call again: so the lost are set apart first. */
static void end_lost(struct rpc_peer *p, int why)
{
    struct list_node lost, waiting, *node;
    list_init(&lost);
    list_init(&waiting);
    while ((node = list_pop_front(&p->all)) != NULL) {
        struct rpc_call *call = LIST_ENTRY(node, struct rpc_call, node);
        list_push_back(call->is_sent || call->fails_when_down ? &lost : &waiting, node);
    }
    list_splice_back(&p->all, &waiting);
    while ((node = list_pop_front(&lost)) != NULL)
        end(LIST_ENTRY(node, struct rpc_call, node), (struct rpc_answer){.rc = why});
}

static void on_lost(void *context, int why)
{
    struct rpc_peer *p = context;
    uint64_t now_ms = io_now(io_of(p->loop)).boot_ms;
    bool was_up = p->state == PEER_UP || p->state == PEER_LEAVING;
    p->tcp = NULL;
    if (p->is_closing) {
        run_closed(&p->closed);
        return;
    }
    if (was_up) p->view.connections_lost++;
    go_down(p, why, now_ms);
    end_lost(p, was_up && why != E_PROTO ? E_CLOSED : why);
    set_timer(p);
}

/* ---- Calling --------------------------------------------------------------------------------- */

/* Append the request's frame; on failure 'to' is as it was. */
static int encode(const struct rpc_peer *p, struct rpc_call *call, uint64_t now_ms, struct buf *to)
{
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
    struct frame_request frame = {
        .kind = p->options.framing,
        .code = call->rpc,
        .id = call->id,
        .app_id = call->app_id,
        .partition_index = call->partition_index,
        .timeout_ms = left_ms < INT32_MAX ? (int32_t)left_ms : INT32_MAX,
        .thread_hash = frame_thread_hash(call->app_id, call->partition_index),
        .partition_hash = call->partition_hash,
        .context = FRAME_CONTEXT_FORWARD_SUPPORTED,
    };
    size_t before = to->size;
    size_t offset = frame_request_begin(to, &frame);
    if (call->schema == NULL) call->write(call->args, to);
    else thrift_write_args(to, frame_args_id(frame.kind), call->schema, call->args);
    int rc = frame_request_finish(to, &frame, offset);
    if (rc == 0 && to->size - before > FRAME_BODY_SIZE_MAX) rc = E_LIMIT;
    if (rc != 0) {
        to->size = before; /* Nothing but whole frames was ever in it: it can go on. */
        to->failed = false;
        return rc;
    }
    call->size = to->size - before;
    return 0;
}

/* Ids count up; over THFT they have 31 bits, and one that is still waited for is not given
 * again. */
static uint64_t take_id(struct rpc_peer *p)
{
    uint64_t mask = p->options.framing == FRAME_RDSN ? UINT64_MAX : INT32_MAX;
    while (calls_find(&p->by_id, p->next_id & mask) != NULL) p->next_id++;
    return p->next_id++ & mask;
}

/* Put the call among those under way, where its answer and its deadline find it. */
static int enlist(struct rpc_peer *p, struct rpc_call *call)
{
    call->id = take_id(p);
    call->due = (struct heap_node){.key = call->deadline_ms, .order = p->next_id};
    if (heap_push(&p->deadlines, &call->due) != 0) return E_NOMEM;
    if (calls_put(&p->by_id, call) != 0) {
        heap_remove(&p->deadlines, &call->due);
        return E_NOMEM;
    }
    call->peer = p;
    list_push_back(&p->all, &call->node);
    p->view.calls_now++;
    return 0;
}

/* Requests under way, or left in the connection by calls that have ended since. */
static bool is_full(const struct rpc_peer *p)
{
    if (p->view.bytes_now >= p->options.bytes_max) return true;
    return p->state == PEER_UP && io_tcp_unsent(p->tcp) >= p->options.bytes_max;
}

int rpc_peer_call(struct rpc_peer *peer, struct rpc_call *call)
{
    struct rpc_peer *p = peer;
    CHECK(!p->is_closing && call->peer == NULL);
    if (is_full(p)) return E_BUSY;
    uint64_t now_ms = io_now(io_of(p->loop)).boot_ms;
    if (p->state == PEER_IDLE || (p->state == PEER_DOWN && now_ms >= p->retry_ms))
        connect_now(p, now_ms);
    if (call->fails_when_down && (p->state == PEER_DOWN || p->state == PEER_LEAVING))
        return E_CLOSED;

    call->size = 0;
    call->is_sent = p->state == PEER_UP;
    if (enlist(p, call) != 0) return E_NOMEM;
    int rc = encode(p, call, now_ms, call->is_sent ? io_tcp_out(p->tcp) : &call->held);
    if (rc != 0) {
        forget(call);
        return rc;
    }
    p->view.bytes_now += call->size;
    p->view.calls++;
    if (p->silent_ms == 0) p->silent_ms = now_ms;
    set_timer(p);
    return 0;
}

void rpc_call_cancel(struct rpc_call *call)
{
    struct rpc_peer *p = call->peer;
    if (p == NULL) return;
    forget(call);
    set_timer(p);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void on_answer(struct rpc_peer *p, struct chunk *chunk,
                      const struct frame_response *response)
{
    struct rpc_call *call = calls_find(&p->by_id, response->id);
    if (call == NULL || !call->is_sent) {
        p->view.answers_unknown++;
        return;
    }
    struct rpc_answer answer = {.error = response->error, .body = response->body, .chunk = chunk};
    end(call, answer);
}

static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need)
{
    struct rpc_peer *p = context;
    struct slice rest = bytes;
    *need = 0;
    while (rest.size > 0 && !p->is_closing && p->state == PEER_UP) {
        struct frame_response response;
        size_t size;
        int rc =
            frame_response_read(rest, p->options.framing, FRAME_BODY_SIZE_MAX, &response, &size);
        if (rc == E_SHORT) {
            *need = size;
            break;
        }
        if (rc != 0) {
            MARK("peer answered nonsense");
            p->state = PEER_LEAVING;
            return bytes.size + 1; /* Closes. */
        }
        rest = slice_skip(rest, size);
        p->backoff_ms = 0;
        on_answer(p, chunk, &response);
    }
    p->silent_ms = p->view.calls_now > 0 ? io_now(io_of(p->loop)).boot_ms : 0;
    set_timer(p);
    return bytes.size - rest.size;
}

int rpc_answer_read(const struct rpc_answer *answer, const struct schema *schema,
                    struct arena *arena, void *result)
{
    return thrift_read_args(answer->body, schema, result, arena);
}

/* ---- Looking --------------------------------------------------------------------------------- */

struct io_address rpc_peer_address(const struct rpc_peer *peer)
{
    return peer->address;
}

void rpc_peer_view(const struct rpc_peer *peer, struct rpc_peer_view *out)
{
    *out = peer->view;
    out->is_up = peer->state == PEER_UP;
}
