/* tests/rpc/test_server.c: what a server does with what peers send, and with peers that stop half
 * way.
 *
 * The peer is the test's own thread with a plain blocking socket; every request is a GET whose
 * value comes back by the key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "rpc/world.h"

enum { HELD_MAX = 4096 };

struct story {
    struct world world;
    struct test_server server;
    struct io_loop *other; /* Where 'carry' answers. */
    int fd;                /* The peer; -1: gone. */

    /* What the owner of the requests does. */
    enum { ECHO, HOLD, CARRY, FILL } manner;
    size_t fill_size;
    struct rpc_request *held[HELD_MAX];
    size_t held_count;
    _Atomic size_t request_count; /* Counted on the loop, read by the test. */
    _Atomic size_t crowded_count; /* Of these, those that came while it was crowded. */
};

/* ---- The owner of the requests --------------------------------------------------------------- */

static void answer(struct rpc_request *r, struct slice value)
{
    struct read_response response = {.value = value, .app_id = r->frame.app_id};
    rpc_reply(r, WIRE_ERR_OK, &read_response_schema, &response);
}

static void echo(struct rpc_request *r)
{
    struct bare_blob key;
    if (thrift_read_args(r->frame.body, &bare_blob_schema, &key, &r->arena) != 0)
        rpc_reply_error(r, WIRE_ERR_INVALID_DATA);
    else answer(r, key.value);
}

static void run_carried(struct io_post *post)
{
    echo(LIST_ENTRY(post, struct rpc_request, post));
}

static void on_request(void *context, struct rpc_request *r)
{
    struct story *s = context;
    s->request_count++;
    s->crowded_count += rpc_request_is_crowded(r);
    switch (s->manner) {
    case ECHO: echo(r); break;
    case HOLD: s->held[s->held_count++] = r; break;
    case CARRY:
        r->post.run = run_carried;
        io_post(s->other, &r->post);
        break;
    case FILL: {
        uint8_t *value = mem_zalloc(s->fill_size);
        answer(r, slice_of(value, s->fill_size));
        mem_free(value);
        break;
    }
    }
}

static void release_held(void *argument)
{
    struct story *s = argument;
    size_t count = s->held_count;
    s->held_count = 0;
    for (size_t i = 0; i < count; i++) echo(s->held[i]);
}

/* ---- The peer -------------------------------------------------------------------------------- */

static void peer_connect(struct story *s)
{
    const struct timeval patience = {.tv_sec = 10};
    const int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(s->server.address.port),
                             .sin_addr.s_addr = htonl(s->server.address.ipv4)};
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0);
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    assert_int_equal(connect(s->fd, (struct sockaddr *)&to, sizeof to), 0);
}

static void peer_close(struct story *s)
{
    (void)close(s->fd);
    s->fd = -1;
}

static void peer_send(struct story *s, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent = send(s->fd, at, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

/* Receive exactly 'size' bytes; fewer, when the server closes before. */
static size_t peer_recv(struct story *s, void *to, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t step = recv(s->fd, (uint8_t *)to + got, size - got, 0);
        assert_true(step >= 0); /* Otherwise it took too long. */
        if (step == 0) break;
        got += (size_t)step;
    }
    return got;
}

static void expect_closed(struct story *s)
{
    uint8_t byte;
    ssize_t got = recv(s->fd, &byte, 1, 0);
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET)); /* Reset: it left bytes unread. */
    peer_close(s);
}

static void append_get(struct buf *to, enum frame_kind kind, uint64_t id)
{
    struct frame_request frame = {.kind = kind, .code = RPC_GET, .id = id, .app_id = 2};
    struct bare_blob key = {.value = slice_str("abcdef")};
    assert_int_equal(frame_request_write(to, &frame, &bare_blob_schema, &key), 0);
}

static void append_clear_scanner(struct buf *to, enum frame_kind kind, uint64_t id)
{
    struct frame_request frame = {.kind = kind, .code = RPC_CLEAR_SCANNER, .id = id, .app_id = 2};
    struct bare_i64 scanner = {.value = 77};
    assert_int_equal(frame_request_write(to, &frame, &bare_i64_schema, &scanner), 0);
}

/* Receive one reply; its slices borrow from 'to', which is cleared first. */
static struct frame_response recv_reply(struct story *s, enum frame_kind kind, struct buf *to)
{
    struct frame_response response;
    size_t size = 4;
    buf_clear(to);
    for (;;) {
        size_t missing = size - to->size;
        assert_int_equal(peer_recv(s, buf_extend(to, missing), missing), missing);
        int rc = frame_response_read(buf_slice(to), kind, FRAME_BODY_SIZE_MAX, &response, &size);
        if (rc == 0) return response;
        assert_int_equal(rc, E_SHORT);
    }
}

static void expect_abcdef(const struct frame_response *response)
{
    struct read_response result;
    assert_int_equal(response->error, WIRE_ERR_OK);
    assert_int_equal(thrift_read_args(response->body, &read_response_schema, &result, NULL), 0);
    assert_true(slice_is(result.value, "abcdef"));
}

/* ---- The stage ------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct story *s = test_calloc(1, sizeof *s);
    s->fd = -1;
    world_open(&s->world);
    s->server.on_request = on_request;
    s->server.context = s;
    *state = s;
    return 0;
}

/* Begin: the server's options are set by now. */
static void begin(struct story *s)
{
    test_server_open(&s->world, &s->server);
    peer_connect(s);
}

static int teardown(void **state)
{
    struct story *s = *state;
    if (s->fd >= 0) peer_close(s);
    if (s->server.server != NULL) test_server_close(&s->server);
    world_close(&s->world);
    test_free(s);
    return 0;
}

static bool has_held(void *argument)
{
    const struct story *s = argument;
    return s->held_count >= s->request_count && s->request_count > 0;
}

static bool has_no_connection(void *argument)
{
    const struct story *s = argument;
    return rpc_server_counters(s->server.server)->connections == 0;
}

static bool has_paused(void *argument)
{
    const struct story *s = argument;
    return rpc_server_counters(s->server.server)->paused > 0;
}

/* ---- Stories --------------------------------------------------------------------------------- */

/* Ten thousand requests in one stream: each is answered, once, with its own id. */
static void pipeline(struct story *s, enum frame_kind kind)
{
    enum { COUNT = 10000 };
    static bool is_answered[COUNT];
    struct buf out = {0}, in = {0};
    memset(is_answered, 0, sizeof is_answered);
    begin(s);
    for (uint64_t i = 0; i < COUNT; i++) append_get(&out, kind, i);
    peer_send(s, out.data, out.size);
    for (int i = 0; i < COUNT; i++) {
        struct frame_response response = recv_reply(s, kind, &in);
        expect_abcdef(&response);
        assert_true(response.id < COUNT && !is_answered[response.id]);
        is_answered[response.id] = true;
    }
    struct rpc_server_counters counters = test_server_counters(&s->server);
    assert_int_equal(counters.requests, COUNT);
    assert_int_equal(counters.requests_now, 0);
    assert_int_equal(counters.bytes_now, 0);
    assert_int_equal(counters.bytes_in, out.size);
    buf_fini(&out);
    buf_fini(&in);
}

static void test_pipelined_thft_v0(void **state)
{
    pipeline(*state, FRAME_THFT_V0);
}

static void test_pipelined_rdsn(void **state)
{
    pipeline(*state, FRAME_RDSN);
}

/* Requests may be answered on another loop than their connection's. */
static void test_pipelined_and_answered_elsewhere(void **state)
{
    struct story *s = *state;
    s->manner = CARRY;
    assert_int_equal(io_loop_open(s->world.io, IO_LOOP_EVENTS, "other", &s->other), 0);
    pipeline(s, FRAME_THFT_V1);
    io_loop_close(s->other);
}

/* A request that comes byte by byte is a request all the same. */
static void test_byte_by_byte(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    begin(s);
    append_get(&out, FRAME_THFT_V1, 5);
    append_get(&out, FRAME_THFT_V0, 6);
    for (size_t i = 0; i < out.size; i++) peer_send(s, out.data + i, 1);
    for (uint64_t id = 5; id <= 6; id++) {
        struct frame_response response = recv_reply(s, FRAME_THFT_V0, &in);
        expect_abcdef(&response);
        assert_int_equal(response.id, id);
    }
    buf_fini(&out);
    buf_fini(&in);
}

/* The peer goes away in the middle of a frame, with requests under way: their replies lead nowhere,
 * and the connection is gone when the last of them has been given. */
static void test_cut_in_the_middle_of_a_frame(void **state)
{
    struct story *s = *state;
    struct buf out = {0};
    s->manner = HOLD;
    begin(s);
    for (uint64_t i = 0; i < 4; i++) append_get(&out, FRAME_RDSN, i);
    peer_send(s, out.data, out.size - 10);
    wait_until(&s->world, has_held, s);
    peer_close(s);
    wait_until(&s->world, has_no_connection, s);

    on_loop(&s->world, release_held, s);
    struct rpc_server_counters counters = test_server_counters(&s->server);
    assert_int_equal(counters.replies_late, 3);
    assert_int_equal(counters.requests_now, 0);
    assert_int_equal(counters.malformed, 0);
    buf_fini(&out);
}

/* The server is closed while requests are under way: it is gone when they have ended, not
 * before. */
static void close_server(void *argument)
{
    struct story *s = argument;
    io_listener_close(s->server.listener);
    rpc_server_close(s->server.server, NULL, NULL);
    s->server.server = NULL;
}

static void test_server_closes_under_requests(void **state)
{
    struct story *s = *state;
    struct buf out = {0};
    s->manner = HOLD;
    begin(s);
    for (uint64_t i = 0; i < 3; i++) append_get(&out, FRAME_THFT_V0, i);
    peer_send(s, out.data, out.size);
    wait_until(&s->world, has_held, s);
    on_loop(&s->world, close_server, s);
    expect_closed(s);
    on_loop(&s->world, release_held,
            s); /* The sanitizer says if the server did not wait, or never went. */
    buf_fini(&out);
}

static void drain(void *argument)
{
    struct story *s = argument;
    rpc_server_drain(s->server.server);
}

/* A server that is to stop answers what it has and reads no more. */
static void test_drain(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    s->manner = HOLD;
    begin(s);
    append_get(&out, FRAME_THFT_V0, 1);
    peer_send(s, out.data, out.size);
    wait_until(&s->world, has_held, s);
    on_loop(&s->world, drain, s);
    peer_send(s, out.data, out.size);
    on_loop(&s->world, release_held, s);
    (void)recv_reply(s, FRAME_THFT_V0, &in);
    assert_int_equal(test_server_counters(&s->server).requests, 1);
    on_loop(&s->world, close_server, s);
    expect_closed(s);
    buf_fini(&out);
    buf_fini(&in);
}

/* Reading stops when too many requests are under way, and goes on when they have ended. */
static void test_many_requests_stop_reading(void **state)
{
    struct story *s = *state;
    enum { COUNT = 100, MAX = 4 };
    struct buf out = {0}, in = {0};
    s->manner = HOLD;
    s->server.options.requests_max = MAX;
    begin(s);
    for (uint64_t i = 0; i < COUNT; i++) append_get(&out, FRAME_THFT_V0, i);
    peer_send(s, out.data, out.size);
    size_t answered = 0;
    while (answered < COUNT) {
        wait_until(&s->world, has_held, s);
        assert_in_range(s->held_count, 1, MAX + 1);
        s->request_count = 0;
        answered += s->held_count;
        on_loop(&s->world, release_held, s);
        wait_until(&s->world, has_paused, s);
    }
    for (size_t i = 0; i < COUNT; i++) (void)recv_reply(s, FRAME_THFT_V0, &in);
    buf_fini(&out);
    buf_fini(&in);
}

/* The same by the bytes of all connections. */
static void test_many_bytes_stop_all_reading(void **state)
{
    struct story *s = *state;
    enum { COUNT = 50 };
    struct buf out = {0}, in = {0};
    s->manner = HOLD;
    s->server.options.server_bytes_max = 500; /* Five requests and a bit. */
    begin(s);
    for (uint64_t i = 0; i < COUNT; i++) append_get(&out, FRAME_THFT_V0, i);
    peer_send(s, out.data, out.size);
    wait_until(&s->world, has_paused, s);
    assert_in_range(s->held_count, 1, 6);
    s->manner = ECHO;
    on_loop(&s->world, release_held, s);
    for (size_t i = 0; i < COUNT; i++) (void)recv_reply(s, FRAME_THFT_V0, &in);
    buf_fini(&out);
    buf_fini(&in);
}

/* A peer that asks and does not read its answers is not asked for more, and loses nothing. */
static void test_slow_reader(void **state)
{
    struct story *s = *state;
    enum { COUNT = 64 };
    struct buf out = {0}, in = {0};
    s->manner = FILL;
    s->fill_size = 1 << 20;
    begin(s);
    for (uint64_t i = 0; i < COUNT; i++) append_get(&out, FRAME_RDSN, i);
    peer_send(s, out.data, out.size);
    wait_until(&s->world, has_paused, s);
    assert_in_range(test_server_counters(&s->server).requests, 4, COUNT - 1);
    for (size_t i = 0; i < COUNT; i++) {
        struct frame_response response = recv_reply(s, FRAME_RDSN, &in);
        assert_true(response.body.size > s->fill_size);
    }
    assert_int_equal(test_server_counters(&s->server).requests, COUNT);
    buf_fini(&out);
    buf_fini(&in);
}

/* Replies that nobody takes fill the server's limit: the owner is told so, for as long as that is so. */
static void test_replies_not_taken_are_known(void **state)
{
    struct story *s = *state;
    enum { COUNT = 64 };
    struct buf out = {0}, in = {0};
    s->manner = FILL;
    s->fill_size = 1 << 20;
    s->server.options.server_bytes_max = 2 << 20;
    begin(s);
    for (uint64_t i = 0; i < COUNT; i++) append_get(&out, FRAME_RDSN, i);
    peer_send(s, out.data, out.size);
    wait_until(&s->world, has_paused, s);
    assert_true(s->crowded_count > 0 && s->crowded_count < s->request_count);
    for (size_t i = 0; i < COUNT; i++) (void)recv_reply(s, FRAME_RDSN, &in);

    size_t before = s->crowded_count;
    s->manner = ECHO;
    peer_send(s, out.data, out.size / COUNT);
    (void)recv_reply(s, FRAME_RDSN, &in);
    assert_int_equal(s->crowded_count, before);
    buf_fini(&out);
    buf_fini(&in);
}

/* ---- What clients rely on -------------------------------------------------------------------- */

/* CLEAR_SCANNER is never answered over THFT, not even with an error. */
static void test_clear_scanner_is_not_answered_over_thft(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    begin(s);
    append_clear_scanner(&out, FRAME_THFT_V0, 1);
    append_get(&out, FRAME_THFT_V0, 2);
    peer_send(s, out.data, out.size);
    struct frame_response response = recv_reply(s, FRAME_THFT_V0, &in);
    assert_int_equal(response.id, 2);
    buf_fini(&out);
    buf_fini(&in);
}

/* Over RDSN it is, or the C++ client asks again. */
static void test_clear_scanner_is_answered_over_rdsn(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    begin(s);
    append_clear_scanner(&out, FRAME_RDSN, 1);
    peer_send(s, out.data, out.size);
    struct frame_response response = recv_reply(s, FRAME_RDSN, &in);
    assert_int_equal(response.id, 1);
    assert_true(slice_is(response.name, "RPC_RRDB_RRDB_CLEAR_SCANNER_ACK"));
    buf_fini(&out);
    buf_fini(&in);
}

/* An rpc that nobody knows gets an answer, and the connection goes on. */
static void test_unknown_rpc(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    struct frame_request frame = {.kind = FRAME_THFT_V0, .name = slice_str("RPC_NO_SUCH"), .id = 9};
    struct bare_blob key = {.value = slice_str("x")};
    begin(s);
    assert_int_equal(frame_request_write(&out, &frame, &bare_blob_schema, &key), 0);
    append_get(&out, FRAME_THFT_V0, 10);
    peer_send(s, out.data, out.size);
    struct frame_response response = recv_reply(s, FRAME_THFT_V0, &in);
    assert_int_equal(response.error, WIRE_ERR_HANDLER_NOT_FOUND);
    assert_true(slice_is(response.name, "RPC_NO_SUCH_ACK"));
    response = recv_reply(s, FRAME_THFT_V0, &in);
    expect_abcdef(&response);
    assert_int_equal(s->request_count, 1);
    buf_fini(&out);
    buf_fini(&in);
}

/* Names that a client on THFT doesn't know would cost it its connection. */
static void reply_disk_error(void *argument)
{
    struct story *s = argument;
    rpc_reply_error(s->held[0], WIRE_ERR_DISK_IO_ERROR);
    s->held_count = 0;
}

static void test_unsafe_error_name_is_replaced(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    s->manner = HOLD;
    begin(s);
    append_get(&out, FRAME_THFT_V0, 1);
    peer_send(s, out.data, out.size);
    wait_until(&s->world, has_held, s);
    on_loop(&s->world, reply_disk_error, s);
    struct frame_response response = recv_reply(s, FRAME_THFT_V0, &in);
    assert_true(slice_is(response.error_name, "ERR_DISK_INSUFFICIENT"));
    assert_int_equal(response.body.size, 0);
    buf_fini(&out);
    buf_fini(&in);
}

/* ---- Hostile peers --------------------------------------------------------------------------- */

/* What is no frame costs the connection, after the requests before it were served. */
static void test_garbage_closes(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    begin(s);
    append_get(&out, FRAME_THFT_V0, 1);
    buf_append_str(&out, "THFTxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    peer_send(s, out.data, out.size);
    struct frame_response response = recv_reply(s, FRAME_THFT_V0, &in);
    expect_abcdef(&response);
    expect_closed(s);
    assert_int_equal(test_server_counters(&s->server).malformed, 1);
    buf_fini(&out);
    buf_fini(&in);
}

/* The protocol of a connection is chosen once. */
static void test_protocol_does_not_change(void **state)
{
    struct story *s = *state;
    struct buf out = {0}, in = {0};
    begin(s);
    append_get(&out, FRAME_RDSN, 1);
    append_get(&out, FRAME_THFT_V0, 2);
    peer_send(s, out.data, out.size);
    (void)recv_reply(s, FRAME_RDSN, &in);
    expect_closed(s);
    buf_fini(&out);
    buf_fini(&in);
}

/* A body above the limit is not waited for. */
static void test_too_large_a_body_closes(void **state)
{
    struct story *s = *state;
    struct buf out = {0};
    s->server.options.body_size_max = 1000;
    begin(s);
    append_get(&out, FRAME_RDSN, 1);
    bytes_put_le32(out.data + 16, 1001);
    peer_send(s, out.data, 192);
    expect_closed(s);
    buf_fini(&out);
}

/* Many peers that each announce much and send little: those past the limit are turned away. */
static void test_announcing_much_is_bounded(void **state)
{
    struct story *s = *state;
    struct buf out = {0};
    s->server.options.server_bytes_max = 100000; /* Half of it for what is only announced. */
    begin(s);
    append_get(&out, FRAME_RDSN, 1);
    bytes_put_le32(out.data + 16, 30000);
    peer_send(s, out.data, 192);
    int patient = s->fd;
    peer_connect(s);
    peer_send(s, out.data, 192);
    expect_closed(s);
    s->fd = patient;
    buf_fini(&out);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_pipelined_thft_v0),
        STORY(test_pipelined_rdsn),
        STORY(test_pipelined_and_answered_elsewhere),
        STORY(test_byte_by_byte),
        STORY(test_cut_in_the_middle_of_a_frame),
        STORY(test_server_closes_under_requests),
        STORY(test_drain),
        STORY(test_many_requests_stop_reading),
        STORY(test_many_bytes_stop_all_reading),
        STORY(test_slow_reader),
        STORY(test_replies_not_taken_are_known),
        STORY(test_clear_scanner_is_not_answered_over_thft),
        STORY(test_clear_scanner_is_answered_over_rdsn),
        STORY(test_unknown_rpc),
        STORY(test_unsafe_error_name_is_replaced),
        STORY(test_garbage_closes),
        STORY(test_protocol_does_not_change),
        STORY(test_too_large_a_body_closes),
        STORY(test_announcing_much_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
