/* tests/rpc/test_peer.c: calls to one server: matched, timed, cancelled, lost, waiting for better
 * times.
 *
 * Server and peer share the loop. The server echoes; what it does instead is the story's
 * 'manner'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "rpc/peer.h"
#include "rpc/world.h"

enum { CALL_MAX = 10000, PATIENCE_MS = 20000 };

struct story;

struct test_call {
    struct rpc_call call;
    struct story *story;
    int rc;
    enum wire_error error;
    int32_t echoed; /* The app id, as the server saw it. */
    bool is_sent;
    size_t ends;
};

struct story {
    struct world world;
    struct test_server server;
    struct rpc_peer_options options;
    struct rpc_peer *peer;
    bool is_peer_closed;
    struct test_call calls[CALL_MAX];
    size_t ended; /* Calls. */
    size_t count; /* Calls to make by call_all(). */
    uint64_t timeout_ms;
    bool fails_when_down;
    int last_rc; /* Of rpc_peer_call(). */

    enum { ECHO, HOLD, WRONG_ID, REFUSE } manner;
    struct rpc_request *held[CALL_MAX];
    size_t held_count;
};

/* ---- The server ------------------------------------------------------------------------------ */

static void echo(struct rpc_request *r)
{
    struct read_response response = {.app_id = r->frame.app_id};
    rpc_reply(r, WIRE_ERR_OK, &read_response_schema, &response);
}

static void on_request(void *context, struct rpc_request *r)
{
    struct story *s = context;
    switch (s->manner) {
    case ECHO: echo(r); break;
    case HOLD: s->held[s->held_count++] = r; break;
    case WRONG_ID:
        r->frame.id += 1000000;
        echo(r);
        break;
    case REFUSE: rpc_reply_error(r, WIRE_ERR_INVALID_STATE); break;
    }
}

static void release_held(void *argument)
{
    struct story *s = argument;
    for (size_t i = s->held_count; i > 0; i--) echo(s->held[i - 1]); /* The last first. */
    s->held_count = 0;
}

/* ---- The caller ------------------------------------------------------------------------------ */

static void on_done(struct rpc_call *call, const struct rpc_answer *answer)
{
    struct test_call *c = LIST_ENTRY(call, struct test_call, call);
    struct read_response result;
    c->ends++;
    c->story->ended++;
    c->rc = answer->rc;
    c->error = answer->error;
    c->is_sent = answer->is_sent;
    if (answer->rc == 0 && answer->error == WIRE_ERR_OK &&
        rpc_answer_read(answer, &read_response_schema, NULL, &result) == 0)
        c->echoed = result.app_id;
}

static void call_one(struct story *s, size_t i)
{
    static const struct bare_blob key = {.value = {(const uint8_t *)"abcdef", 6}};
    struct test_call *c = &s->calls[i];
    c->story = s;
    c->ends = 0;
    c->rc = 1;
    c->call.rpc = RPC_GET;
    c->call.app_id = (int32_t)i + 1;
    c->call.schema = &bare_blob_schema;
    c->call.args = &key;
    c->call.deadline_ms = io_now(s->world.io).boot_ms + s->timeout_ms;
    c->call.fails_when_down = s->fails_when_down;
    c->call.on_done = on_done;
    s->last_rc = rpc_peer_call(s->peer, &c->call);
}

static void call_all(void *argument)
{
    struct story *s = argument;
    for (size_t i = 0; i < s->count; i++) call_one(s, i);
}

static bool has_all_ended(void *argument)
{
    const struct story *s = argument;
    return s->ended >= s->count;
}

static bool has_all_held(void *argument)
{
    const struct story *s = argument;
    return s->held_count >= s->count;
}

/* Make 'count' calls and wait for their ends. */
static void call_and_wait(struct story *s, size_t count)
{
    s->count = count;
    s->ended = 0;
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, has_all_ended, s);
    for (size_t i = 0; i < count; i++) assert_int_equal(s->calls[i].ends, 1);
}

static struct rpc_peer_view view;

static void look(void *argument)
{
    const struct story *s = argument;
    rpc_peer_view(s->peer, &view);
}

static bool has_unknown_answers(void *argument)
{
    const struct story *s = argument;
    look(argument);
    return view.answers_unknown >= s->count;
}

/* ---- The stage ------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct story *s = test_calloc(1, sizeof *s);
    world_open(&s->world);
    s->server.on_request = on_request;
    s->server.context = s;
    s->options.framing = FRAME_RDSN;
    s->timeout_ms = PATIENCE_MS;
    test_server_open(&s->world, &s->server);
    *state = s;
    return 0;
}

static void open_peer(void *argument)
{
    struct story *s = argument;
    assert_int_equal(rpc_peer_open(s->world.loop, s->server.address, &s->options, &s->peer), 0);
}

static void begin(struct story *s)
{
    on_loop(&s->world, open_peer, s);
}

/* And the connection stands: what is called from here on is sent at once, whatever its deadline. */
static void begin_connected(struct story *s)
{
    begin(s);
    call_and_wait(s, 1);
}

static void on_peer_closed(void *context)
{
    struct story *s = context;
    s->is_peer_closed = true;
}

static void close_peer(void *argument)
{
    struct story *s = argument;
    rpc_peer_close(s->peer, on_peer_closed, s);
}

static bool is_peer_closed(void *argument)
{
    const struct story *s = argument;
    return s->is_peer_closed;
}

static int teardown(void **state)
{
    struct story *s = *state;
    if (!s->is_peer_closed) on_loop(&s->world, close_peer, s);
    wait_until(&s->world, is_peer_closed, s);
    on_loop(&s->world, release_held, s);
    if (s->server.server != NULL) test_server_close(&s->server);
    world_close(&s->world);
    test_free(s);
    return 0;
}

/* ---- Stories --------------------------------------------------------------------------------- */

static void expect_echoes(const struct story *s)
{
    for (size_t i = 0; i < s->count; i++) {
        assert_int_equal(s->calls[i].rc, 0);
        assert_int_equal(s->calls[i].echoed, i + 1);
    }
}

/* Ten thousand calls at once, answered in order; nothing is left behind, no timer either. */
static void test_pipelined_calls(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, CALL_MAX);
    expect_echoes(s);
    on_loop(&s->world, look, s);
    assert_true(view.is_up);
    assert_int_equal(view.calls_now, 0);
    assert_int_equal(view.bytes_now, 0);
    assert_int_equal(view.calls, CALL_MAX);
}

static void test_pipelined_calls_over_thft(void **state)
{
    struct story *s = *state;
    s->options.framing = FRAME_THFT_V1;
    begin(s);
    call_and_wait(s, CALL_MAX);
    expect_echoes(s);
}

/* Answers find their calls whatever their order. */
static void test_answers_in_reverse(void **state)
{
    struct story *s = *state;
    s->manner = HOLD;
    s->count = 900; /* Fewer than make the server pause. */
    begin(s);
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, has_all_held, s);
    on_loop(&s->world, release_held, s);
    wait_until(&s->world, has_all_ended, s);
    expect_echoes(s);
}

/* An error in the frame reaches the caller as such. */
static void test_framework_error(void **state)
{
    struct story *s = *state;
    s->manner = REFUSE;
    begin(s);
    call_and_wait(s, 1);
    assert_int_equal(s->calls[0].rc, 0);
    assert_int_equal(s->calls[0].error, WIRE_ERR_INVALID_STATE);
}

/* A call ends at its deadline; the answer that comes later is nobody's, and the connection goes
 * on. */
static void test_deadline(void **state)
{
    struct story *s = *state;
    begin_connected(s);
    s->manner = HOLD;
    s->timeout_ms = 20;
    call_and_wait(s, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(s->calls[i].rc, E_TIMEOUT);
        assert_true(s->calls[i].is_sent);
    }
    wait_until(&s->world, has_all_held, s);
    on_loop(&s->world, release_held, s);
    s->manner = ECHO;
    s->timeout_ms = PATIENCE_MS;
    call_and_wait(s, 3);
    expect_echoes(s);
    on_loop(&s->world, look, s);
    assert_int_equal(view.answers_unknown, 3);
    assert_int_equal(view.timeouts, 3);
    assert_int_equal(view.connections_lost, 0);
}

/* An answer to a question that nobody asked ends nothing. */
static void test_unknown_id(void **state)
{
    struct story *s = *state;
    begin_connected(s);
    s->manner = WRONG_ID;
    s->timeout_ms = 50;
    call_and_wait(s, 2);
    assert_int_equal(s->calls[0].rc, E_TIMEOUT);
    wait_until(&s->world, has_unknown_answers, s);
    assert_int_equal(view.answers_unknown, 2);
}

/* The connection is lost: what was sent ends at once, as possibly done. */
static void test_lost_connection_ends_all(void **state)
{
    struct story *s = *state;
    s->manner = HOLD;
    s->count = 100;
    begin(s);
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, has_all_held, s);
    for (size_t i = 0; i < s->count; i++) rpc_drop(s->held[i]); /* From this thread, as any may. */
    s->held_count = 0;
    test_server_close(&s->server);
    wait_until(&s->world, has_all_ended, s);
    for (size_t i = 0; i < s->count; i++) {
        assert_int_equal(s->calls[i].rc, E_CLOSED);
        assert_true(s->calls[i].is_sent);
    }
}

/* Who listens there speaks another protocol. The call ends at once, for that reason, and the connection with
 * it. */
static void test_answer_that_is_none(void **state)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    struct story *s = *state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    struct io_address own = s->server.address;
    s->server.address.port = ntohs(at.sin_port);
    begin(s);
    s->server.address = own;

    s->count = 1;
    on_loop(&s->world, call_all, s);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, answer, sizeof answer - 1), sizeof answer - 1);
    wait_until(&s->world, has_all_ended, s);
    assert_int_equal(s->calls[0].rc, E_PROTO);
    assert_true(s->calls[0].is_sent);
    on_loop(&s->world, look, s);
    assert_int_equal(view.connections_lost, 1);
    (void)close(fd);
    (void)close(listener);
}

/* A server that is down: a call that fails then does so at once; one that waits gets its answer
 * when the server is back, with nothing else to wake it. */
static void test_waiting_for_a_server(void **state)
{
    struct story *s = *state;
    begin(s);
    test_server_close(&s->server);
    s->fails_when_down = true;
    call_and_wait(s, 1);
    assert_int_equal(s->calls[0].rc, E_REFUSED);
    assert_false(s->calls[0].is_sent);

    s->fails_when_down = false;
    s->ended = 0;
    s->count = 3;
    on_loop(&s->world, call_all, s);
    test_server_open(&s->world, &s->server);
    wait_until(&s->world, has_all_ended, s);
    expect_echoes(s);
}

/* While it is down and the pause is not over, such a call does not even begin. */
static void test_down_is_told_at_once(void **state)
{
    struct story *s = *state;
    begin(s);
    test_server_close(&s->server);
    s->fails_when_down = true;
    s->last_rc = 0;
    for (int i = 0; i < 100 && s->last_rc == 0; i++) {
        s->ended = 0;
        s->count = 1;
        on_loop(&s->world, call_all, s);
        if (s->last_rc == 0) wait_until(&s->world, has_all_ended, s);
    }
    assert_int_equal(s->last_rc, E_CLOSED);
}

/* A deadline ends a call that never left, and it is certain that it did not. */
static void test_deadline_while_down(void **state)
{
    struct story *s = *state;
    begin(s);
    test_server_close(&s->server);
    s->timeout_ms = 30;
    call_and_wait(s, 2);
    assert_int_equal(s->calls[1].rc, E_TIMEOUT);
    assert_false(s->calls[1].is_sent);
}

static void cancel_half(void *argument)
{
    struct story *s = argument;
    for (size_t i = 0; i < s->count; i += 2) rpc_call_cancel(&s->calls[i].call);
}

/* Nothing comes from a server that has been waited for long enough: the connection is taken for
 * dead, also when no single call waits that long. */
static void test_silent_server_is_left(void **state)
{
    struct story *s = *state;
    s->options.silence_ms = 50;
    begin_connected(s);
    s->manner = HOLD;
    s->timeout_ms = 20;
    view.connections_lost = 0;
    for (int i = 0; i < 10 && view.connections_lost == 0; i++) {
        call_and_wait(s, 1);
        on_loop(&s->world, look, s);
        assert_int_equal(s->calls[0].rc, E_TIMEOUT);
    }
    assert_int_equal(view.connections_lost, 1);
}

/* A cancelled call is forgotten: it does not end, and its answer disturbs nobody. */
static void test_cancel(void **state)
{
    struct story *s = *state;
    s->manner = HOLD;
    s->count = 10;
    begin(s);
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, has_all_held, s);
    on_loop(&s->world, cancel_half, s);
    on_loop(&s->world, release_held, s);
    s->count = 5;
    wait_until(&s->world, has_all_ended, s);
    for (size_t i = 0; i < 10; i++) assert_int_equal(s->calls[i].ends, i % 2);
}

/* Too many bytes under way: the call is refused, and accepted when others have ended. */
static void test_bytes_are_bounded(void **state)
{
    struct story *s = *state;
    s->options.bytes_max = 1000; /* Five RDSN frames. */
    s->manner = HOLD;
    s->count = 20;
    begin(s);
    on_loop(&s->world, call_all, s);
    assert_int_equal(s->last_rc, E_BUSY);
    s->count = 5;
    wait_until(&s->world, has_all_held, s);
    on_loop(&s->world, look, s);
    assert_int_equal(view.calls_now, 5);
    on_loop(&s->world, release_held, s);
    wait_until(&s->world, has_all_ended, s);
    s->manner = ECHO;
    call_and_wait(s, 3);
    expect_echoes(s);
}

/* Closing ends what is under way, later, and then itself. */
static void test_close_cancels(void **state)
{
    struct story *s = *state;
    s->manner = HOLD;
    s->count = 10;
    begin(s);
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, has_all_held, s);
    on_loop(&s->world, close_peer, s);
    wait_until(&s->world, is_peer_closed, s);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(s->calls[i].ends, 1);
        assert_int_equal(s->calls[i].rc, E_CANCELED);
    }
}

/* Whichever allocation of a call fails: the call is refused, or goes well; the peer goes on. */
static void call_without_memory(void *argument)
{
    struct story *s = argument;
    for (uint64_t nth = 1;; nth++) {
        mem_fail_nth(nth);
        call_one(s, 0);
        bool has_failed = mem_has_failed() != 0;
        mem_fail_nth(0);
        if (s->last_rc == 0) {
            rpc_call_cancel(&s->calls[0].call);
            if (!has_failed) return;
        } else {
            assert_int_equal(s->last_rc, E_NOMEM);
        }
    }
}

static void test_no_memory(void **state)
{
    struct story *s = *state;
    begin(s);
    on_loop(&s->world, call_without_memory, s);
    call_and_wait(s, 10);
    expect_echoes(s);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_pipelined_calls),
        STORY(test_pipelined_calls_over_thft),
        STORY(test_answers_in_reverse),
        STORY(test_framework_error),
        STORY(test_deadline),
        STORY(test_answer_that_is_none),
        STORY(test_unknown_id),
        STORY(test_lost_connection_ends_all),
        STORY(test_waiting_for_a_server),
        STORY(test_down_is_told_at_once),
        STORY(test_deadline_while_down),
        STORY(test_silent_server_is_left),
        STORY(test_cancel),
        STORY(test_bytes_are_bounded),
        STORY(test_close_cancels),
        STORY(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
