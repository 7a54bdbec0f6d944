/* src/io/uv_listen.c: listening sockets, and their peers until these have said which protocol they
 * speak.
 *
 *     accept4() -> silent, on the listener's loop -> IO_MAGIC_SIZE bytes are there
 *         -> arrival, on no loop -> io_tcp_accept() on any | io_arrival_detach() | io_arrival_close()
 *
 * A silent peer costs a descriptor and some 300 bytes, and there are at most SILENT_MAX of them: a
 * crowd that connects and says nothing pushes out its own oldest members. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/uv_impl.h"

enum {
    BACKLOG = 1024,
    ACCEPTS_MAX = 64, /* Per turn, so that a storm of peers leaves time for those who are here. */
    SILENT_MAX = 1024,
    RETRY_MS = 100, /* After accept4() found no descriptor or memory. */
};

struct io_listener {
    uv_poll_t poll;
    struct io_loop *loop;
    int fd;
    const struct io_listen_handler *handler;
    void *context;
    struct io_timer retry;
    struct list_node silent; /* The oldest first. */
    size_t silent_count;
};

struct silent {
    uv_poll_t poll;
    struct list_node node;
    struct io_listener *listener;
    int fd; /* Negative: passed on. */
    struct io_address peer;
};

static int listen_at(struct io_address *address, int *out);
static void on_acceptable(uv_poll_t *poll, int status, int events);
static void on_retry(struct io_timer *timer);
static void on_listener_closed(uv_handle_t *handle);
static int silent_open(struct io_listener *listener, int fd, const struct sockaddr_in *peer);
static void silent_close(struct silent *s);
static void on_silent_ready(uv_poll_t *poll, int status, int events);

/* ---- Listeners ------------------------------------------------------------------------------- */

int io_listen(struct io_loop *loop, struct io_address *address,
              const struct io_listen_handler *handler, void *context, struct io_listener **out)
{
    CHECK(!loop->is_visited);
    int fd;
    struct io_address bound = *address;
    int rc = listen_at(&bound, &fd);
    if (rc != 0) return rc;
    struct io_listener *listener = mem_zalloc(sizeof *listener);
    rc = E_NOMEM;
    if (listener == NULL) goto close_fd;
    rc = E_IO;
    if (uv_poll_init(&loop->uv, &listener->poll, fd) != 0) goto free_listener;

    listener->poll.data = listener;
    listener->loop = loop;
    listener->fd = fd;
    listener->handler = handler;
    listener->context = context;
    listener->retry.run = on_retry;
    list_init(&listener->silent);
    CHECK(uv_poll_start(&listener->poll, UV_READABLE, on_acceptable) == 0);
    *address = bound;
    *out = listener;
    return 0;

free_listener:
    mem_free(listener);
close_fd:
    (void)close(fd);
    return rc;
}

/* Gives a listening socket, and which port it got. */
static int listen_at(struct io_address *address, int *out)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno == ENOMEM || errno == ENOBUFS ? E_NOMEM : E_IO;
    int one = 1;
    struct sockaddr_in at = io_uv_sockaddr(*address);
    socklen_t size = sizeof at;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        int rc = errno == EADDRINUSE ? E_EXISTS : E_IO;
        (void)close(fd);
        return rc;
    }
    *address = io_uv_address(&at);
    *out = fd;
    return 0;
}

void io_listener_close(struct io_listener *listener)
{
    if (listener == NULL) return;
    CHECK(!listener->loop->is_visited);
    io_timer_stop(&listener->retry);
    while (!list_is_empty(&listener->silent))
        silent_close(LIST_ENTRY(listener->silent.next, struct silent, node));
    uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
    (void)close(listener->fd);
}

static void on_listener_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct io_listener *listener = poll->data;
    io_uv_awake(listener->loop);
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof peer;
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd < 0 || silent_open(listener, fd, &peer) != 0) {
            /* No descriptor or no memory. The peer stays in the backlog, the socket stays readable:
             * going on at once would spin. Somebody who says nothing may make room. */
            if (listener->silent_count > 0)
                silent_close(LIST_ENTRY(listener->silent.next, struct silent, node));
            (void)uv_poll_stop(poll);
            io_timer_start(listener->loop, &listener->retry,
                           io_now(listener->loop->io).boot_ms + RETRY_MS);
            return;
        }
    }
}

static void on_retry(struct io_timer *timer)
{
    struct io_listener *listener = LIST_ENTRY(timer, struct io_listener, retry);
    CHECK(uv_poll_start(&listener->poll, UV_READABLE, on_acceptable) == 0);
}

/* ---- Silent peers ---------------------------------------------------------------------------- */

static void lowat_set(int fd, int size)
{
    /* Cannot fail on a TCP socket; if it did we should only see fewer bytes than hoped for. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &size, sizeof size);
}

/* Wait for the first bytes. Takes 'fd', also on failure. */
static int silent_open(struct io_listener *listener, int fd, const struct sockaddr_in *peer)
{
    struct silent *s = mem_zalloc(sizeof *s);
    if (s == NULL || uv_poll_init(&listener->loop->uv, &s->poll, fd) != 0) {
        mem_free(s);
        (void)close(fd);
        return E_NOMEM;
    }
    if (listener->silent_count >= SILENT_MAX)
        silent_close(LIST_ENTRY(listener->silent.next, struct silent, node));
    s->poll.data = s;
    s->listener = listener;
    s->fd = fd;
    s->peer = io_uv_address(peer);
    list_push_back(&listener->silent, &s->node);
    listener->silent_count++;
    /* Two bytes and then nothing must not keep the socket readable for ever. */
    lowat_set(fd, IO_MAGIC_SIZE);
    CHECK(uv_poll_start(&s->poll, UV_READABLE, on_silent_ready) == 0);
    return 0;
}

static void on_silent_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* Let go of the peer; its descriptor stays open. */
static void silent_release(struct silent *s)
{
    list_remove(&s->node);
    s->listener->silent_count--;
    uv_close((uv_handle_t *)&s->poll, on_silent_closed);
}

static void silent_close(struct silent *s)
{
    silent_release(s);
    (void)close(s->fd);
}

static void on_silent_ready(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct silent *s = poll->data;
    struct io_listener *listener = s->listener;
    io_uv_awake(listener->loop);
    uint8_t magic[IO_MAGIC_SIZE];
    ssize_t size = status == 0 ? recv(s->fd, magic, sizeof magic, MSG_PEEK) : 0;
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    struct io_arrival *arrival = size == IO_MAGIC_SIZE ? mem_alloc(sizeof *arrival) : NULL;
    if (arrival == NULL) { /* It left, or said too little before it left; or we lack memory. */
        silent_close(s);
        return;
    }
    *arrival = (struct io_arrival){.fd = s->fd, .peer = s->peer};
    lowat_set(s->fd, 1);
    silent_release(s);
    listener->handler->on_arrival(listener->context, arrival, magic); /* May close the listener. */
}

/* ---- Arrivals -------------------------------------------------------------------------------- */

void io_arrival_close(struct io_arrival *arrival)
{
    (void)close(arrival->fd);
    mem_free(arrival);
}

int io_arrival_detach(struct io_arrival *arrival, int *fd)
{
    *fd = arrival->fd;
    mem_free(arrival);
    return 0;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

struct sockaddr_in io_uv_sockaddr(struct io_address address)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(address.port),
        .sin_addr.s_addr = htonl(address.ipv4),
    };
}

struct io_address io_uv_address(const struct sockaddr_in *from)
{
    return (struct io_address){ntohl(from->sin_addr.s_addr), ntohs(from->sin_port)};
}
