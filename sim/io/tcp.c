/* sim/io/tcp.c: io_tcp: a connection as its process sees it.
 *
 *     opening ── on_connected(0) ──> open ── close, peer's close, loss ──> closing ── on_closed
 *        └────── on_connected(why) ──────────────────────────────────────────^
 *
 * The world only puts posts on the loop; every handler is called in a turn. In 'closing' the system
 * has forgotten the connection already and 'side.conn' is NULL. */
#include "sim/io/tcp.h"
#include "base/check.h"

#include <string.h>

enum { CHUNK_SIZE = 16 << 10 };

struct io_tcp {
    struct list_node node;         /* In loop->ends. */
    struct list_node written_node; /* In loop->written. */
    struct io_loop *loop;
    struct side side;
    struct io_address peer;
    const struct io_tcp_handler *handler;
    void *context;

    struct buf out;
    size_t sent; /* Of 'out'. */
    bool was_high;

    struct chunk *chunk; /* Bytes [begin, end) of it were not consumed yet. */
    size_t begin, end, need;

    bool is_connected, is_paused, is_resumed, is_closing, is_closed_by_owner, is_shut;
    int connect_rc, why; /* How connecting ended; why it closes. */
    struct io_post connected, readable, closed;
};

/* ---- Posts: what happens to it, in a turn of its loop ---- */

static bool is_posted(const struct io_post *post)
{
    return post->node.next != &post->node;
}

static void post_once(struct io_tcp *tcp, struct io_post *post)
{
    if (!is_posted(post)) sim_loop_ready(tcp->loop, post);
}

static void enlist(struct io_tcp *tcp)
{
    list_remove(&tcp->written_node);
    list_push_back(&tcp->loop->written, &tcp->written_node);
    sim_loop_wake(tcp->loop);
}

/* From here on nothing happens any more but, at the end of the turn, shut() and then on_closed. */
static void fail(struct io_tcp *tcp, int why)
{
    if (tcp->is_closing) return;
    tcp->is_closing = true;
    tcp->why = why;
    enlist(tcp);
}

static void closed_run(struct io_post *post)
{
    struct io_tcp *tcp = LIST_ENTRY(post, struct io_tcp, closed);
    list_remove(&tcp->node);
    list_remove(&tcp->written_node);
    list_remove(&tcp->connected.node);
    list_remove(&tcp->readable.node);
    tcp->handler->on_closed(tcp->context, tcp->why);
    chunk_unref(tcp->chunk);
    buf_fini(&tcp->out);
    sim_free_memory(tcp);
}

static void connected_run(struct io_post *post)
{
    struct io_tcp *tcp = LIST_ENTRY(post, struct io_tcp, connected);
    if (tcp->is_closed_by_owner) return; /* It doesn't want to know. */
    tcp->is_connected = tcp->connect_rc == 0;
    tcp->handler->on_connected(tcp->context, tcp->connect_rc);
    if (tcp->connect_rc != 0) fail(tcp, tcp->connect_rc);
    else sim_tcp_on_room(tcp); /* What was written meanwhile goes out. */
}

/* ---- Reading ---- */

/* Make sure that there is room behind 'end', and for all that is needed. */
static int make_room(struct io_tcp *tcp)
{
    size_t left = tcp->end - tcp->begin;
    size_t wanted = tcp->need > left ? tcp->need : left + 1;
    if (tcp->chunk != NULL && tcp->chunk->capacity - tcp->begin >= wanted) return 0;
    struct chunk *chunk = chunk_new(wanted > CHUNK_SIZE ? wanted : CHUNK_SIZE);
    if (chunk == NULL) return E_NOMEM;
    if (left != 0) memcpy(chunk->data, tcp->chunk->data + tcp->begin, left);
    chunk_unref(tcp->chunk);
    tcp->chunk = chunk;
    tcp->begin = 0;
    tcp->end = left;
    return 0;
}

static void hand_over(struct io_tcp *tcp)
{
    size_t size = tcp->end - tcp->begin, need = 0;
    if (size < tcp->need) return;
    struct slice bytes = slice_of(tcp->chunk->data + tcp->begin, size);
    size_t used = tcp->handler->on_bytes(tcp->context, tcp->chunk, bytes, &need);
    if (tcp->is_closing) return;
    if (used > size) {
        fail(tcp, E_PROTO);
        return;
    }
    tcp->begin += used;
    tcp->need = need;
}

/* Take what the system has. Returns true when there was something. */
static bool take(struct io_tcp *tcp)
{
    if (sim_side_unread(tcp->side) == 0) return false;
    if (make_room(tcp) != 0) {
        fail(tcp, E_NOMEM);
        return false;
    }
    size_t room = tcp->chunk->capacity - tcp->end;
    tcp->end += sim_side_recv(tcp->side, tcp->chunk->data + tcp->end, room);
    return true;
}

static void readable_run(struct io_post *post)
{
    struct io_tcp *tcp = LIST_ENTRY(post, struct io_tcp, readable);
    if (tcp->is_closing || tcp->is_paused) return;
    bool has_left = tcp->is_resumed && tcp->end > tcp->begin;
    tcp->is_resumed = false;
    if (take(tcp) || has_left) hand_over(tcp);
    if (tcp->is_closing || tcp->is_paused) return;
    if (sim_side_is_finished(tcp->side)) fail(tcp, E_CLOSED);
    else sim_tcp_on_readable(tcp); /* There may be more. */
}

void sim_tcp_on_readable(struct io_tcp *tcp)
{
    if (tcp->is_closing || tcp->is_paused || tcp->side.conn == NULL) return;
    if (sim_side_unread(tcp->side) > 0 || sim_side_is_finished(tcp->side))
        post_once(tcp, &tcp->readable);
}

void io_tcp_pause(struct io_tcp *tcp, bool is_paused)
{
    sim_check_on(tcp->loop);
    tcp->is_resumed |= tcp->is_paused && !is_paused;
    tcp->is_paused = is_paused;
    if (tcp->is_resumed && !tcp->is_closing && tcp->side.conn != NULL)
        post_once(tcp, &tcp->readable);
}

/* ---- Writing ---- */

static size_t unsent(const struct io_tcp *tcp)
{
    return tcp->out.size - tcp->sent;
}

static void compact(struct io_tcp *tcp)
{
    if (unsent(tcp) == 0) {
        buf_clear(&tcp->out);
        tcp->sent = 0;
    } else if (tcp->sent > tcp->out.size / 2) {
        buf_drop_front(&tcp->out, tcp->sent);
        tcp->sent = 0;
    }
}

static void offer(struct io_tcp *tcp)
{
    if (!tcp->is_connected || unsent(tcp) == 0 || tcp->side.conn == NULL) return;
    sim_machine_output(tcp->loop->thread.machine);
    tcp->sent += sim_side_send(tcp->side, tcp->out.data + tcp->sent, unsent(tcp));
    compact(tcp);
}

static void flush(struct io_tcp *tcp)
{
    if (tcp->out.failed || unsent(tcp) > IO_TCP_OUT_SIZE_MAX)
        fail(tcp, tcp->out.failed ? E_NOMEM : E_LIMIT);
    else offer(tcp);
}

/* The owner's last words, if it was the owner who closed; then the system forgets the
 * connection. */
static void shut(struct io_tcp *tcp)
{
    if (tcp->is_closed_by_owner) offer(tcp);
    if (tcp->side.conn != NULL) sim_side_close(tcp->side);
    tcp->side.conn = NULL;
    tcp->is_shut = true;
    post_once(tcp, &tcp->closed);
}

static void tell_if_drained(struct io_tcp *tcp)
{
    bool is_high = unsent(tcp) > IO_TCP_LOW_WATER;
    bool has_drained = tcp->was_high && unsent(tcp) < IO_TCP_LOW_WATER;
    if (is_high) tcp->was_high = true;
    if (!has_drained || tcp->is_closing) return;
    tcp->was_high = false;
    if (tcp->handler->on_drained != NULL) tcp->handler->on_drained(tcp->context);
}

void sim_tcp_flush(struct io_loop *loop)
{
    struct list_node written, *node;
    list_init(&written);
    list_splice_back(&written,
                     &loop->written); /* What on_drained() writes waits for the next turn. */
    while ((node = list_pop_front(&written)) != NULL) {
        struct io_tcp *tcp = LIST_ENTRY(node, struct io_tcp, written_node);
        if (!tcp->is_closing) {
            flush(tcp);
            tell_if_drained(tcp);
        }
        if (tcp->is_closing && !tcp->is_shut) shut(tcp);
    }
}

void sim_tcp_on_room(struct io_tcp *tcp)
{
    enlist(tcp);
}

struct buf *io_tcp_out(struct io_tcp *tcp)
{
    sim_check_on(tcp->loop);
    enlist(tcp);
    return &tcp->out;
}

size_t io_tcp_unsent(const struct io_tcp *tcp)
{
    return unsent(tcp);
}

/* ---- Beginning and end ---- */

static struct io_tcp *tcp_new(struct io_loop *loop, const struct io_tcp_handler *handler,
                              void *context)
{
    struct io_tcp *tcp = sim_alloc(sizeof *tcp);
    tcp->loop = loop;
    tcp->handler = handler;
    tcp->context = context;
    tcp->connected.run = connected_run;
    tcp->readable.run = readable_run;
    tcp->closed.run = closed_run;
    list_init(&tcp->connected.node);
    list_init(&tcp->readable.node);
    list_init(&tcp->closed.node);
    list_init(&tcp->written_node);
    list_push_back(&loop->ends, &tcp->node);
    return tcp;
}

int io_tcp_connect(struct io_loop *loop, struct io_address to, const struct io_tcp_handler *handler,
                   void *context, struct io_tcp **out)
{
    sim_check_on(loop);
    struct io_tcp *tcp = tcp_new(loop, handler, context);
    tcp->peer = to;
    sim_machine_output(loop->thread.machine);
    tcp->side = sim_side_connect(loop->thread.machine, to, tcp);
    if (tcp->side.conn == NULL) sim_tcp_on_connected(tcp, E_UNREACHABLE);
    *out = tcp;
    return 0;
}

struct io_tcp *sim_tcp_accepted(struct io_loop *loop, struct side side,
                                const struct io_tcp_handler *handler, void *context)
{
    struct io_tcp *tcp = tcp_new(loop, handler, context);
    tcp->is_connected = true;
    tcp->side = side;
    if (side.conn == NULL) { /* It was lost on the way here. */
        fail(tcp, E_CLOSED);
        return tcp;
    }
    struct end *end = &side.conn->ends[side.index];
    tcp->peer = side.conn->ends[1 - side.index].address;
    end->arrival = NULL;
    end->tcp = tcp;
    sim_tcp_on_readable(tcp);
    return tcp;
}

void sim_tcp_on_connected(struct io_tcp *tcp, int rc)
{
    if (rc != 0) tcp->side.conn = NULL;
    tcp->connect_rc = rc;
    post_once(tcp, &tcp->connected);
}

void sim_tcp_on_lost(struct io_tcp *tcp, int why)
{
    tcp->side.conn = NULL;
    fail(tcp, why);
}

void io_tcp_close(struct io_tcp *tcp)
{
    sim_check_on(tcp->loop);
    if (tcp->is_closing) return;
    tcp->is_closed_by_owner = true;
    fail(tcp, E_CLOSED);
}

struct io_address io_tcp_peer(const struct io_tcp *tcp)
{
    return tcp->peer;
}

/* The process is gone; its buffers are its own memory, which goes as a whole. */
static void tcp_drop(struct io_tcp *tcp, enum sim_end how)
{
    if (tcp->side.conn != NULL && how == SIM_POWER) sim_side_vanish(tcp->side);
    if (tcp->side.conn != NULL && how == SIM_KILL) sim_side_close(tcp->side);
    list_remove(&tcp->node);
    sim_free_memory(tcp);
}

void sim_tcps_drop(struct io_loop *loop, enum sim_end how)
{
    while (!list_is_empty(&loop->ends))
        tcp_drop(LIST_ENTRY(loop->ends.next, struct io_tcp, node), how);
}
