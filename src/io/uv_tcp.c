/* src/io/uv_tcp.c: connections, by plain recv() and send() where libuv says they will not block.
 *
 *       io_tcp_connect()                      io_tcp_accept()
 *             |                                     |
 *             v        on_connect_ready             v
 *       IS_CONNECTING ------------------------> IS_OPEN
 *             |  fail(), io_tcp_close()             |  fail(), io_tcp_close()
 *             +-----------> IS_CLOSING <------------+
 *                               | shut(), at the end of the turn: libuv forgets it, close()
 *                               v
 *                            IS_SHUT
 *                               | on_shut(): on_closed, freed
 *
 * libuv is asked at the end of the turn only, and at home only (uv_post.c): to know a socket at all
 * (attach()), to watch for something else (watch()), to forget it.
 *
 * Input. A socket reads into the loop's chunk, behind what others have read there; most take all
 * their bytes at once and leave the chunk to the next, so a thousand idle connections hold no
 * memory. One that has half a message left keeps the chunk for itself until the message is whole.
 *
 *     chunk  | consumed, perhaps referred to by requests | left: begin..end | room for recv() |
 *
 * Bytes in front of 'end' are never written again while somebody else holds the chunk.
 *
 * Output. Messages of a turn are appended to one buffer, which goes out with one send() at its end.
 * If the system doesn't take all of it, nothing is tried before the socket is writable again. */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/uv_impl.h"

enum {
    CHUNK_SIZE = 64 << 10, /* Of a usual chunk. */
    ROOM_MIN = 16 << 10,   /* Less than this is not worth a recv(). */
};

enum tcp_state { IS_CONNECTING, IS_OPEN, IS_CLOSING, IS_SHUT };

struct io_tcp {
    uv_poll_t poll;
    struct io_loop *loop;
    struct list_node node; /* In loop->sockets while there is something to do at the turn's end. */
    const struct io_tcp_handler *handler;
    void *context;
    struct io_address peer;
    int fd;
    bool is_attached; /* libuv knows it. */

    enum tcp_state state;
    int why;               /* For on_closed. */
    bool is_last_try;      /* The owner has closed: what is unsent is offered once more. */
    int connect_error;     /* errno of a connect() that failed at once. */
    bool is_paused;        /* By the owner. */
    bool is_resumed;       /* What is left in 'in' is to be presented again. */
    bool is_blocked;       /* The system took no more: waits until writable. */
    bool is_high;          /* Was above IO_TCP_LOW_WATER: on_drained is owed. */
    int events;            /* What libuv watches for. */
    struct io_timer timer; /* The end of connecting. */

    struct chunk *in; /* NULL while nothing is left. */
    size_t in_begin, in_end;
    size_t need; /* Bytes from in_begin on without which on_bytes is not called. */

    struct buf out;
    size_t sent; /* Bytes of 'out' that the system has taken. */
};

static struct io_tcp *tcp_new(struct io_loop *loop, int fd, struct io_address peer,
                              const struct io_tcp_handler *handler, void *context);
static void options_set(int fd);
static void enlist(struct io_tcp *tcp);
static void on_ready(uv_poll_t *poll, int status, int events);
static void on_connect_ready(struct io_tcp *tcp);
static void on_connect_timeout(struct io_timer *timer);
static void connect_failed(struct io_tcp *tcp, int error);
static void on_readable(struct io_tcp *tcp);
static int room_make(struct io_tcp *tcp);
static void present(struct io_tcp *tcp);
static void chunk_give_back(struct io_tcp *tcp);
static void out_send(struct io_tcp *tcp);
static void out_give_back(struct io_tcp *tcp);
static void fail(struct io_tcp *tcp, int why);
static void shut(struct io_tcp *tcp);

/* ---- The owner's calls ----------------------------------------------------------------------- */

int io_tcp_accept(struct io_loop *loop, struct io_arrival *arrival,
                  const struct io_tcp_handler *handler, void *context, struct io_tcp **out)
{
    struct io_tcp *tcp = tcp_new(loop, arrival->fd, arrival->peer, handler, context);
    if (tcp == NULL) {
        io_arrival_close(arrival);
        return E_NOMEM;
    }
    mem_free(arrival);
    tcp->state = IS_OPEN;
    *out = tcp;
    return 0;
}

int io_tcp_connect(struct io_loop *loop, struct io_address to, const struct io_tcp_handler *handler,
                   void *context, struct io_tcp **out)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno == ENOMEM || errno == ENOBUFS ? E_NOMEM : E_IO;
    struct io_tcp *tcp = tcp_new(loop, fd, to, handler, context);
    if (tcp == NULL) {
        (void)close(fd);
        return E_NOMEM;
    }
    struct sockaddr_in at = io_uv_sockaddr(to);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS) {
        tcp->connect_error =
            errno; /* The owner is told at the end of the turn, not inside this call. */
    } else {
        tcp->timer.run = on_connect_timeout;
        io_timer_start(loop, &tcp->timer, io_now(loop->io).boot_ms + IO_TCP_CONNECT_MS);
    }
    *out = tcp;
    return 0;
}

/* A socket that connects and that libuv will know of by the end of the turn; NULL: no memory. */
static struct io_tcp *tcp_new(struct io_loop *loop, int fd, struct io_address peer,
                              const struct io_tcp_handler *handler, void *context)
{
    struct io_tcp *tcp = mem_zalloc(sizeof *tcp);
    if (tcp == NULL) return NULL;
    options_set(fd);
    tcp->loop = loop;
    list_init(&tcp->node);
    tcp->handler = handler;
    tcp->context = context;
    tcp->peer = peer;
    tcp->fd = fd;
    tcp->state = IS_CONNECTING;
    loop->open_count++;
    enlist(tcp);
    return tcp;
}

/* No delay, for we batch ourselves; and a peer whose machine has vanished is noticed in two
 * minutes. A socket that refuses an option works without it. */
static void options_set(int fd)
{
    int one = 1, idle_s = 60, interval_s = 10, probes = 6;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

struct buf *io_tcp_out(struct io_tcp *tcp)
{
    struct io_loop *loop = tcp->loop;
    if (tcp->out.data == NULL && !tcp->out.failed && loop->spare_count > 0)
        tcp->out = loop->spares[--loop->spare_count];
    enlist(tcp);
    return &tcp->out;
}

size_t io_tcp_unsent(const struct io_tcp *tcp)
{
    return tcp->out.size - tcp->sent;
}

void io_tcp_pause(struct io_tcp *tcp, bool is_paused)
{
    if (tcp->is_paused == is_paused) return;
    tcp->is_paused = is_paused;
    if (tcp->state != IS_OPEN) return;
    tcp->is_resumed = !is_paused && tcp->in != NULL;
    enlist(tcp);
}

void io_tcp_close(struct io_tcp *tcp)
{
    if (tcp->state >= IS_CLOSING) return;
    tcp->is_last_try = tcp->state == IS_OPEN;
    fail(tcp, E_CLOSED);
}

struct io_address io_tcp_peer(const struct io_tcp *tcp)
{
    return tcp->peer;
}

/* ---- What libuv watches, and what waits for the end of the turn ------------------------------ */

static void enlist(struct io_tcp *tcp)
{
    if (list_is_empty(&tcp->node) && tcp->state != IS_SHUT)
        list_push_back(&tcp->loop->sockets, &tcp->node);
}

/* A change costs system calls. */
static void watch(struct io_tcp *tcp)
{
    int events = 0;
    if (tcp->state == IS_CONNECTING || tcp->is_blocked) events |= UV_WRITABLE;
    if (tcp->state == IS_OPEN && !tcp->is_paused) events |= UV_READABLE;
    if (events == tcp->events) return;
    if (tcp->loop->is_visited) {
        enlist(tcp);
        return;
    }
    tcp->events = events;
    CHECK(uv_poll_start(&tcp->poll, events, on_ready) == 0);
}

/* Make it known to libuv, unless it is about to go. False: its end comes in the next round. */
static bool attach(struct io_tcp *tcp)
{
    if (tcp->is_attached || tcp->state >= IS_CLOSING) return true;
    CHECK(!tcp->loop->is_visited);
    tcp->poll.data = tcp;
    tcp->is_attached = uv_poll_init(&tcp->loop->uv, &tcp->poll, tcp->fd) == 0;
    if (tcp->is_attached) return true;
    if (tcp->state == IS_CONNECTING) connect_failed(tcp, ENOMEM);
    else fail(tcp, E_NOMEM);
    return false;
}

/* What one socket has to do at the end of a turn. */
static void turn(struct io_tcp *tcp)
{
    enum tcp_state before = tcp->state;
    if (tcp->is_resumed && tcp->state == IS_OPEN) present(tcp);
    if (tcp->state != before) return; /* Its end comes in the next round. */
    switch (tcp->state) {
    case IS_CONNECTING:
        if (tcp->connect_error != 0) connect_failed(tcp, tcp->connect_error);
        else watch(tcp);
        break;
    case IS_OPEN: out_send(tcp); break;
    case IS_CLOSING: shut(tcp); break;
    case IS_SHUT: break;
    }
}

/* Those that are enlisted meanwhile, by on_drained or on_bytes, come in the next round. */
void io_uv_tcp_turn(struct io_loop *loop)
{
    struct list_node sockets, *node;
    list_init(&sockets);
    list_splice_back(&sockets, &loop->sockets);
    while ((node = list_pop_front(&sockets)) != NULL) {
        struct io_tcp *tcp = LIST_ENTRY(node, struct io_tcp, node);
        bool is_for_home = !tcp->is_attached || tcp->state != IS_OPEN;
        if (loop->is_visited && is_for_home) enlist(tcp);
        else if (attach(tcp)) turn(tcp);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct io_tcp *tcp = poll->data;
    io_uv_awake(tcp->loop);
    if (tcp->state >= IS_CLOSING) return;
    if (tcp->state == IS_CONNECTING) {
        on_connect_ready(tcp);
        return;
    }
    if (status != 0) { /* An error lies on the socket. */
        fail(tcp, E_CLOSED);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        tcp->is_blocked = false;
        enlist(tcp);
    }
    if ((events & UV_READABLE) != 0 && !tcp->is_paused) on_readable(tcp);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

/* A port of ours that nobody listens on may be given to the very socket that connects to it, and
 * then TCP lets it meet itself, and keeps the server that comes back from its own port. */
static bool is_self(int fd)
{
    struct sockaddr_in here = {0}, there = {0};
    socklen_t here_size = sizeof here, there_size = sizeof there;
    return getsockname(fd, (struct sockaddr *)&here, &here_size) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_size) == 0 &&
           here.sin_port == there.sin_port && here.sin_addr.s_addr == there.sin_addr.s_addr;
}

static void on_connect_ready(struct io_tcp *tcp)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0 && is_self(tcp->fd)) error = ECONNREFUSED;
    if (error != 0) {
        connect_failed(tcp, error);
        return;
    }
    io_timer_stop(&tcp->timer);
    tcp->state = IS_OPEN;
    enlist(tcp); /* What was appended meanwhile. */
    tcp->handler->on_connected(tcp->context, 0);
}

static void on_connect_timeout(struct io_timer *timer)
{
    connect_failed(LIST_ENTRY(timer, struct io_tcp, timer), ETIMEDOUT);
}

static void connect_failed(struct io_tcp *tcp, int error)
{
    int why = E_UNREACHABLE;
    if (error == ECONNREFUSED || error == ECONNRESET) why = E_REFUSED;
    if (error == ETIMEDOUT) why = E_TIMEOUT;
    fail(tcp, why);
    tcp->handler->on_connected(tcp->context, why); /* It is still there: on_shut() comes later. */
}

/* ---- Input ----------------------------------------------------------------------------------- */

static void on_readable(struct io_tcp *tcp)
{
    int rc = room_make(tcp);
    if (rc != 0) {
        fail(tcp, rc);
        return;
    }
    ssize_t size = recv(tcp->fd, tcp->in->data + tcp->in_end, tcp->in->capacity - tcp->in_end, 0);
    if (size > 0) {
        tcp->in_end += (size_t)size;
        present(tcp);
    } else {
        if (size == 0 || (errno != EAGAIN && errno != EINTR)) fail(tcp, E_CLOSED);
        chunk_give_back(tcp);
    }
}

/* Have tcp->in hold what is needed, and room for a decent recv(). Returns 0, E_NOMEM or E_LIMIT. */
static int room_make(struct io_tcp *tcp)
{
    struct io_loop *loop = tcp->loop;
    if (tcp->in == NULL && loop->in != NULL) {
        tcp->in = loop->in;
        tcp->in_begin = tcp->in_end = loop->in_used;
        loop->in = NULL;
    }
    size_t left = tcp->in_end - tcp->in_begin;
    size_t wanted = tcp->need > left ? tcp->need : left;
    if (wanted > SIZE_MAX / 4) return E_LIMIT; /* The owner has no limit of its own. */
    if (tcp->in != NULL && tcp->in->capacity - tcp->in_begin >= wanted + ROOM_MIN) return 0;

    /* Doubling, for owners that can't tell what they need. */
    size_t capacity = (tcp->need > 2 * left ? tcp->need : 2 * left) + ROOM_MIN;
    struct chunk *chunk = chunk_new(capacity > CHUNK_SIZE ? capacity : CHUNK_SIZE);
    if (chunk == NULL) return E_NOMEM;
    if (tcp->in != NULL) memcpy(chunk->data, tcp->in->data + tcp->in_begin, left);
    chunk_unref(tcp->in);
    tcp->in = chunk;
    tcp->in_begin = 0;
    tcp->in_end = left;
    return 0;
}

/* Show the owner what is there, if it is enough. */
static void present(struct io_tcp *tcp)
{
    tcp->is_resumed = false;
    if (tcp->in == NULL) return; /* It took all in the same call in which it paused and resumed. */
    size_t size = tcp->in_end - tcp->in_begin, need = 0;
    if (tcp->is_paused || size < tcp->need) return;
#ifndef MUT_hooks_before_the_last
    tcp->loop->are_hooks_due = true;
#endif
    size_t consumed = tcp->handler->on_bytes(tcp->context, tcp->in,
                                             slice_of(tcp->in->data + tcp->in_begin, size), &need);
    if (consumed > size) {
        consumed = size;
        fail(tcp, E_PROTO);
    }
    tcp->in_begin += consumed;
    tcp->need = need;
    chunk_give_back(tcp);
}

/* Nothing left: the chunk becomes the loop's again, unless it is of unusual size or one too
 * many. */
static void chunk_give_back(struct io_tcp *tcp)
{
    struct io_loop *loop = tcp->loop;
    if (tcp->in == NULL || tcp->in_begin != tcp->in_end) return;
    if (loop->in != NULL || tcp->in->capacity > CHUNK_SIZE) {
        chunk_unref(tcp->in);
    } else {
        /* When nobody else refers to it any more, it is as good as new. */
        bool is_ours = atomic_load_explicit(&tcp->in->refs, memory_order_acquire) == 1;
        loop->in = tcp->in;
        loop->in_used = is_ours ? 0 : tcp->in_end;
    }
    tcp->in = NULL;
    tcp->in_begin = tcp->in_end = 0;
}

/* ---- Output ---------------------------------------------------------------------------------- */

/* Offer the system all that is unsent, once. Returns 0, or E_CLOSED when the peer is gone. */
static int out_offer(struct io_tcp *tcp)
{
    size_t size = io_tcp_unsent(tcp);
    if (size == 0) return 0;
    ssize_t taken;
    do {
        taken = send(tcp->fd, tcp->out.data + tcp->sent, size, MSG_NOSIGNAL);
    } while (taken < 0 && errno == EINTR);
    if (taken < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) return E_CLOSED;
    tcp->sent += taken > 0 ? (size_t)taken : 0;
    return 0;
}

static void out_send(struct io_tcp *tcp)
{
    if (io_tcp_unsent(tcp) > IO_TCP_LOW_WATER) tcp->is_high = true;
    int rc = buf_status(&tcp->out);
    if (rc == 0 && !tcp->is_blocked) rc = out_offer(tcp);
    if (rc == 0 && io_tcp_unsent(tcp) > IO_TCP_OUT_SIZE_MAX) rc = E_LIMIT;
    if (rc != 0) {
        fail(tcp, rc);
        return;
    }
    tcp->is_blocked = io_tcp_unsent(tcp) > 0;
    watch(tcp);
    if (!tcp->is_blocked) {
        out_give_back(tcp);
    } else if (tcp->sent > tcp->out.size / 2) { /* So fewer bytes are moved than were sent. */
        buf_drop_front(&tcp->out, tcp->sent);
        tcp->sent = 0;
    }
    if (tcp->is_high && io_tcp_unsent(tcp) < IO_TCP_LOW_WATER) {
        tcp->is_high = false;
        tcp->loop->are_hooks_due = true;
        if (tcp->handler->on_drained != NULL) tcp->handler->on_drained(tcp->context);
    }
}

/* All is sent: the buffer serves the next that has something to say. */
static void out_give_back(struct io_tcp *tcp)
{
    struct io_loop *loop = tcp->loop;
    buf_clear(&tcp->out);
    tcp->sent = 0;
    if (tcp->out.data == NULL) return;
    if (loop->spare_count < SPARE_COUNT && tcp->out.capacity <= SPARE_SIZE_MAX)
        loop->spares[loop->spare_count++] = tcp->out;
    else buf_fini(&tcp->out);
    tcp->out = (struct buf){0};
}

void io_uv_tcp_fini(struct io_loop *loop)
{
    chunk_unref(loop->in);
    while (loop->spare_count > 0) buf_fini(&loop->spares[--loop->spare_count]);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Go to IS_CLOSING, unless the owner or another failure was first. */
static void fail(struct io_tcp *tcp, int why)
{
    if (tcp->state >= IS_CLOSING) return;
    io_timer_stop(&tcp->timer);
    tcp->state = IS_CLOSING;
    tcp->why = why;
    enlist(tcp);
}

/* No call of the owner's is under way. */
static void gone(struct io_tcp *tcp)
{
    tcp->loop->are_hooks_due = true;
    tcp->handler->on_closed(tcp->context, tcp->why);
    tcp->loop->open_count--;
    chunk_unref(tcp->in);
    buf_fini(&tcp->out);
    mem_free(tcp);
}

static void on_shut(uv_handle_t *handle)
{
    struct io_tcp *tcp = handle->data;
    io_uv_awake(tcp->loop);
    gone(tcp);
}

static void shut(struct io_tcp *tcp)
{
    CHECK(!tcp->loop->is_visited);
    if (tcp->is_last_try) (void)out_offer(tcp); /* Tried, as promised; no more. */
    tcp->state = IS_SHUT;
    if (tcp->is_attached) uv_close((uv_handle_t *)&tcp->poll, on_shut);
    (void)close(tcp->fd);
    if (!tcp->is_attached) gone(tcp);
}
