/* tests/io/conformance_tcp.c: listeners, arrivals and connections.
 *
 *     front loop: listener -> arrival --post--> server loop: server end
 *                                                   ^
 *     client loop: client end ----- TCP ------------+
 *
 * Every story gets such a pair, ready, and an end that only keeps what it receives; stories give
 * ends other habits. */
#include "base/bytes.h"
#include "base/prng.h"
#include "io/conformance_impl.h"

struct end {
    struct pair *pair;
    struct io_loop *loop;
    struct io_tcp *tcp;

    /* Called instead of keeping the bytes, when not NULL. */
    size_t (*habit)(struct end *end, struct chunk *chunk, struct slice bytes, size_t *need);

    struct buf got;
    size_t wanted;       /* Bytes in 'got' that a story waits for. */
    atomic_bool has_all; /* They are there. */
    size_t needed;       /* What the last call of a habit said. */
    int calls;           /* Of on_bytes. */
    atomic_int told;     /* Calls of the handler, all kinds. */
    atomic_int followed; /* What 'told' was when the hook ran last. */
    struct io_turn_hook hook;
    bool is_inside; /* A call of ours is under way. */
    int connected_count;
    int connect_rc;
    atomic_bool is_connected, is_drained, is_closed;
    int why;
    int closed_count;
};

struct pair {
    struct io *io;
    struct io_loop *front;
    struct io_listener *listener;
    struct io_address address;
    struct io_post accept; /* From the front loop to the server's. */
    struct io_arrival *arrival;
    uint8_t magic[IO_MAGIC_SIZE];
    struct end server, client;
    atomic_bool is_accepted;
};

/* ---- What an end does ------------------------------------------------------------------------ */

static void on_connected(void *context, int rc)
{
    struct end *end = context;
    EXPECT(!end->is_inside);
    EXPECT(io_is_on(end->loop));
    atomic_fetch_add(&end->told, 1);
    end->connect_rc = rc;
    end->connected_count++;
    atomic_store(&end->is_connected, true);
}

static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need)
{
    struct end *end = context;
    EXPECT(!end->is_inside);
    EXPECT(end->closed_count == 0);
    EXPECT(io_is_on(end->loop));
    EXPECT(bytes.size > 0);
    EXPECT(bytes.size >= end->needed);
    EXPECT(*need == 0);
    EXPECT(bytes.data >= chunk->data && bytes.data + bytes.size <= chunk->data + chunk->capacity);
    end->calls++;
    atomic_fetch_add(&end->told, 1);
    if (end->habit != NULL) {
        size_t consumed = end->habit(end, chunk, bytes, need);
        end->needed = *need;
        return consumed;
    }
    buf_append_slice(&end->got, bytes);
    if (end->got.size >= end->wanted) atomic_store(&end->has_all, true);
    return bytes.size;
}

static void on_drained(void *context)
{
    struct end *end = context;
    EXPECT(io_tcp_unsent(end->tcp) < IO_TCP_LOW_WATER);
    atomic_fetch_add(&end->told, 1);
    atomic_store(&end->is_drained, true);
}

static void on_closed(void *context, int why)
{
    struct end *end = context;
    EXPECT(!end->is_inside);
    EXPECT(io_is_on(end->loop));
    atomic_fetch_add(&end->told, 1);
    end->why = why;
    end->closed_count++;
    atomic_store(&end->is_closed, true);
}

static const struct io_tcp_handler server_handler = {
    .on_bytes = on_bytes, .on_drained = on_drained, .on_closed = on_closed};
static const struct io_tcp_handler client_handler = {.on_connected = on_connected,
                                                     .on_bytes = on_bytes,
                                                     .on_drained = on_drained,
                                                     .on_closed = on_closed};

static void end_send(struct end *end, struct slice bytes)
{
    buf_append_slice(io_tcp_out(end->tcp), bytes);
}

static void end_pause(struct end *end, bool is_paused)
{
    end->is_inside = true;
    io_tcp_pause(end->tcp, is_paused);
    end->is_inside = false;
}

/* What an end has got so far is forgotten; it waits for so many bytes anew. */
static void end_want(struct end *end, size_t wanted)
{
    buf_clear(&end->got);
    end->wanted = wanted;
    atomic_store(&end->has_all, false);
}

static void close_there(void *context)
{
    struct end *end = context;
    if (end->closed_count > 0) return;
    end->is_inside = true;
    io_tcp_close(end->tcp);
    io_tcp_close(end->tcp); /* Twice is harmless. */
    end->is_inside = false;
}

static void pause_there(void *context)
{
    end_pause(context, true);
}

static void resume_there(void *context)
{
    end_pause(context, false);
}

/* ---- Listening and arriving ------------------------------------------------------------------ */

static void accept_there(struct io_post *post)
{
    struct pair *pair = LIST_ENTRY(post, struct pair, accept);
    EXPECT(io_tcp_accept(pair->server.loop, pair->arrival, &server_handler, &pair->server,
                         &pair->server.tcp) == 0);
    atomic_store(&pair->is_accepted, true);
}

static void on_arrival(void *context, struct io_arrival *arrival, const uint8_t *magic)
{
    struct pair *pair = context;
    EXPECT(io_is_on(pair->front));
    memcpy(pair->magic, magic, sizeof pair->magic);
    pair->arrival = arrival;
    pair->accept.run = accept_there;
    io_post(pair->server.loop, &pair->accept);
}

static const struct io_listen_handler listen_handler = {.on_arrival = on_arrival};

static void listen_there(void *context)
{
    struct pair *pair = context;
    pair->address = world_address(pair->io);
    EXPECT(io_listen(pair->front, &pair->address, &listen_handler, pair, &pair->listener) == 0);
    EXPECT(pair->address.port != 0);
    struct io_address taken = pair->address;
    struct io_listener *second = NULL;
    EXPECT(io_listen(pair->front, &taken, &listen_handler, pair, &second) == E_EXISTS);
    EXPECT(second == NULL);
}

static void unlisten_there(void *context)
{
    struct pair *pair = context;
    io_listener_close(pair->listener);
    pair->listener = NULL;
    io_listener_close(NULL);
}

static void connect_there(void *context)
{
    struct pair *pair = context;
    struct end *client = &pair->client;
    client->is_inside = true;
    EXPECT(io_tcp_connect(client->loop, pair->address, &client_handler, client, &client->tcp) == 0);
    client->is_inside = false;
}

/* The greeting is appended before the connection stands. */
static void connect_and_greet_there(void *context)
{
    struct pair *pair = context;
    connect_there(pair);
    end_send(&pair->client, slice_str("HELO"));
}

static void loops_open(struct pair *pair, struct io *io)
{
    memset(pair, 0, sizeof *pair);
    pair->io = io;
    pair->server.pair = pair->client.pair = pair;
    pair->front = loop_open(io, IO_LOOP_EVENTS, "front");
    pair->server.loop = loop_open(io, IO_LOOP_EVENTS, "server");
    pair->client.loop = loop_open(io, IO_LOOP_EVENTS, "client");
}

static void bufs_free(void *context)
{
    struct pair *pair = context;
    buf_fini(&pair->server.got);
    buf_fini(&pair->client.got);
}

static void loops_close(struct pair *pair)
{
    loop_close(pair->io, pair->front);
    loop_close(pair->io, pair->server.loop);
    loop_close(pair->io, pair->client.loop);
    world_do(pair->io, bufs_free, pair);
}

static void pair_open(struct pair *pair, struct io *io)
{
    loops_open(pair, io);
    pair->server.wanted = IO_MAGIC_SIZE;
    on_loop(pair->front, listen_there, pair);
    on_loop(pair->client.loop, connect_and_greet_there, pair);
    await(io, &pair->client.is_connected);
    await(io, &pair->is_accepted);
    await(io, &pair->server.has_all);
    EXPECT(pair->client.connect_rc == 0);
    EXPECT(memcmp(pair->magic, "HELO", IO_MAGIC_SIZE) == 0);
    EXPECT(slice_is(buf_slice(&pair->server.got), "HELO"));
}

static void pair_close(struct pair *pair)
{
    on_loop(pair->client.loop, close_there, &pair->client);
    await(pair->io, &pair->client.is_closed);
    on_loop(pair->server.loop, close_there, &pair->server); /* A paused end doesn't notice. */
    await(pair->io, &pair->server.is_closed);
    on_loop(pair->front, unlisten_there, pair);
    loops_close(pair);
    assert_int_equal(pair->client.closed_count, 1);
    assert_int_equal(pair->server.closed_count, 1);
    assert_int_equal(pair->client.connected_count, 1);
}

/* ---- Stories: bytes -------------------------------------------------------------------------- */

enum { BIG_SIZE = 8 << 20 };

/* Bytes that tell every displacement, for all stories; never changed. */
static uint8_t pattern[BIG_SIZE];

static void pattern_fill(void)
{
    struct prng p;
    prng_init(&p, 1);
    prng_bytes(&p, pattern, sizeof pattern);
}

/* Frames: a big-endian u32 size, and that many bytes. Sends each frame back once it is whole. */
static size_t echo_frames(struct end *end, struct chunk *chunk, struct slice bytes, size_t *need)
{
    (void)chunk;
    size_t consumed = 0;
    for (;;) {
        struct slice rest = slice_skip(bytes, consumed);
        size_t size = rest.size < 4 ? 4 : 4 + bytes_get_be32(rest.data);
        if (rest.size < size) {
            *need = size;
            return consumed;
        }
        end_send(end, slice_of(rest.data, size));
        consumed += size;
    }
}

static const uint32_t frame_sizes[] = {0, 1, 100, 70000, 3, 65532, 65536, BIG_SIZE, 5, 200000, 7};
enum { FRAMES = sizeof frame_sizes / sizeof frame_sizes[0] };

static size_t frames_size(void)
{
    size_t size = 0;
    for (size_t i = 0; i < FRAMES; i++) size += 4 + frame_sizes[i];
    return size;
}

static void frames_send(void *context)
{
    struct end *end = context;
    for (size_t i = 0; i < FRAMES; i++) {
        buf_append_be32(io_tcp_out(end->tcp), frame_sizes[i]);
        end_send(end, slice_of(pattern, frame_sizes[i]));
    }
    EXPECT(buf_status(io_tcp_out(end->tcp)) == 0);
    EXPECT(io_tcp_unsent(end->tcp) == frames_size());
}

static void expect_frames(struct slice got)
{
    EXPECT(got.size == frames_size());
    if (got.size != frames_size()) return;
    for (size_t i = 0; i < FRAMES; i++) {
        EXPECT(bytes_get_be32(got.data) == frame_sizes[i]);
        EXPECT(memcmp(got.data + 4, pattern, frame_sizes[i]) == 0);
        got = slice_skip(got, 4 + frame_sizes[i]);
    }
}

/* Frames from nothing to 8 MiB go there and back; the server is called only when it has said enough
 * is there, and the sender hears that its output has drained. */
static void test_frames_are_echoed(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    pair.server.habit = echo_frames;
    pair.client.wanted = frames_size();
    on_loop(pair.client.loop, frames_send, &pair.client);
    await(pair.io, &pair.client.has_all);
    expect_frames(buf_slice(&pair.client.got));
    await(pair.io, &pair.client.is_drained);
    pair_close(&pair);
}

/* Takes whole pairs of bytes, so one byte is left over again and again. */
static size_t keep_pairs(struct end *end, struct chunk *chunk, struct slice bytes, size_t *need)
{
    (void)chunk;
    (void)need;
    size_t size = bytes.size / 2 * 2;
    buf_append(&end->got, bytes.data, size);
    if (end->got.size >= end->wanted) atomic_store(&end->has_all, true);
    return size;
}

struct drip {
    struct io_timer timer;
    struct end *end;
    size_t sent;
};

enum { DRIPS = 400 };

static void on_drip(struct io_timer *timer)
{
    struct drip *drip = HEAP_ENTRY(timer, struct drip, timer);
    end_send(drip->end, slice_of(pattern + drip->sent++, 1));
    if (drip->sent < DRIPS) io_timer_start(drip->end->loop, timer, 0);
}

static void drip_there(void *context)
{
    struct drip *drip = context;
    drip->timer.run = on_drip;
    io_timer_start(drip->end->loop, &drip->timer, 0);
}

/* One byte per turn arrives, and a reader that leaves some behind gets all of them, in order. */
static void test_tiny_reads(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    pair.server.habit = keep_pairs;
    end_want(&pair.server, DRIPS);
    struct drip drip = {.end = &pair.client};
    on_loop(pair.client.loop, drip_there, &drip);
    await(pair.io, &pair.server.has_all);
    EXPECT(slice_equal(buf_slice(&pair.server.got), slice_of(pattern, DRIPS)));
    pair_close(&pair);
}

enum { KEPT_MAX = 4096 };

/* Keeps every call's bytes where they are. */
struct keeper {
    struct end *end;
    struct slice kept[KEPT_MAX];
    struct chunk *chunks[KEPT_MAX];
    size_t count, size;
};

static struct keeper keeper;

static size_t keep_in_place(struct end *end, struct chunk *chunk, struct slice bytes, size_t *need)
{
    /* Every other time not quite all, so that some bytes are seen twice and moved. */
    size_t size = bytes.size > 100 && keeper.count % 2 == 0 ? bytes.size - 37 : bytes.size;
    (void)need;
    EXPECT(keeper.count < KEPT_MAX);
    keeper.kept[keeper.count] = slice_of(bytes.data, size);
    keeper.chunks[keeper.count++] = chunk_ref(chunk);
    keeper.size += size;
    if (keeper.size + 100 >= end->wanted) atomic_store(&end->has_all, true);
    return size;
}

static void pattern_send(void *context)
{
    end_send(context, slice_of(pattern, BIG_SIZE));
}

static void keeper_check(void *context)
{
    (void)context;
    size_t at = 0;
    for (size_t i = 0; i < keeper.count; i++) {
        EXPECT(memcmp(keeper.kept[i].data, pattern + at, keeper.kept[i].size) == 0);
        at += keeper.kept[i].size;
        chunk_unref(keeper.chunks[i]);
    }
    EXPECT(at == keeper.size);
}

/* Eight MiB arrive and are kept where they were received: none of them ever changes. */
static void test_kept_bytes_never_change(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    keeper = (struct keeper){.end = &pair.server};
    pair.server.habit = keep_in_place;
    end_want(&pair.server, BIG_SIZE);
    on_loop(pair.client.loop, pattern_send, &pair.client);
    await(pair.io, &pair.server.has_all);
    on_loop(pair.server.loop, keeper_check, NULL);
    pair_close(&pair);
}

/* ---- Stories: backpressure ------------------------------------------------------------------- */

/* The server stops reading and the client sends 8 MiB: nothing arrives, what the system doesn't
 * take stays with the sender. The server goes on: all arrives, and the sender hears of it. */
static void test_pause_holds_the_peer(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    end_want(&pair.server, BIG_SIZE);
    on_loop(pair.server.loop, pause_there, &pair.server);
    int calls = pair.server.calls;
    on_loop(pair.client.loop, pattern_send, &pair.client);
    let_pass(pair.server.loop, 50);
    assert_int_equal(pair.server.calls, calls);
    on_loop(pair.server.loop, resume_there, &pair.server);
    await(pair.io, &pair.server.has_all);
    await(pair.io, &pair.client.is_drained);
    EXPECT(pair.server.got.size == BIG_SIZE);
    EXPECT(memcmp(pair.server.got.data, pattern, BIG_SIZE) == 0);
    pair_close(&pair);
}

/* Takes "one." and stops reading, though more lies there. */
static size_t take_one_and_pause(struct end *end, struct chunk *chunk, struct slice bytes,
                                 size_t *need)
{
    (void)chunk;
    (void)need;
    if (bytes.size < 8) return 0; /* Until both have come. */
    buf_append(&end->got, bytes.data, 4);
    end->habit = NULL;
    io_tcp_pause(end->tcp, true);
    return 4;
}

static void resume_and_pause_there(void *context)
{
    end_pause(context, false);
    end_pause(context, true);
}

static void one_two_send(void *context)
{
    end_send(context, slice_str("one.two."));
}

/* Whole messages that were left behind by a pause come when it ends, with no byte more. */
static void test_resume_presents_what_was_left(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    end_want(&pair.server, 8);
    pair.server.habit = take_one_and_pause;
    on_loop(pair.client.loop, one_two_send, &pair.client);
    let_pass(pair.server.loop, 50);
    on_loop(pair.server.loop, resume_and_pause_there, &pair.server);
    let_pass(pair.server.loop, 50);
    EXPECT(!atomic_load(&pair.server.has_all));
    on_loop(pair.server.loop, resume_there, &pair.server);
    await(pair.io, &pair.server.has_all);
    EXPECT(slice_is(buf_slice(&pair.server.got), "one.two."));
    pair_close(&pair);
}

static void on_follow(struct io_turn_hook *hook)
{
    struct end *end = LIST_ENTRY(hook, struct end, hook);
    atomic_store(&end->followed, atomic_load(&end->told));
}

static void follow_there(void *context)
{
    struct end *end = context;
    end->hook.run = on_follow;
    io_turn_hook_add(end->loop, &end->hook);
}

static void unfollow_there(void *context)
{
    struct end *end = context;
    io_turn_hook_remove(&end->hook);
}

/* Whatever an owner is told, hooks run after it before the loop sleeps: nothing here wakes the loops
 * between that and the last look. What a resumed connection presents at the end of a turn used to
 * wait for the next event: a batch that nobody closed. */
static void test_hooks_follow_what_owners_are_told(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    on_loop(pair.server.loop, follow_there, &pair.server);
    on_loop(pair.client.loop, follow_there, &pair.client);
    end_want(&pair.server, 8 + BIG_SIZE);
    pair.server.habit = take_one_and_pause;
    on_loop(pair.client.loop, one_two_send, &pair.client);
    on_loop(pair.client.loop, pattern_send, &pair.client);
    let_pass(pair.front, 50);
    on_loop(pair.server.loop, resume_there, &pair.server);
    await(pair.io, &pair.server.has_all);
    await(pair.io, &pair.client.is_drained);
    let_pass(pair.front, 50);
    assert_int_equal(atomic_load(&pair.server.followed), atomic_load(&pair.server.told));
    assert_int_equal(atomic_load(&pair.client.followed), atomic_load(&pair.client.told));
    on_loop(pair.server.loop, unfollow_there, &pair.server);
    on_loop(pair.client.loop, unfollow_there, &pair.client);
    pair_close(&pair);
}

/* The same where what was left is all there is: no byte follows that would wake the loop. */
static void test_hooks_follow_the_last_message(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    on_loop(pair.server.loop, follow_there, &pair.server);
    end_want(&pair.server, 8);
    pair.server.habit = take_one_and_pause;
    on_loop(pair.client.loop, one_two_send, &pair.client);
    let_pass(pair.server.loop, 50);
    on_loop(pair.server.loop, resume_there, &pair.server);
    await(pair.io, &pair.server.has_all);
    let_pass(pair.front, 50);
    assert_int_equal(atomic_load(&pair.server.followed), atomic_load(&pair.server.told));
    on_loop(pair.server.loop, unfollow_there, &pair.server);
    pair_close(&pair);
}

/* Changes its mind within one call, and takes everything. */
static size_t pause_and_resume(struct end *end, struct chunk *chunk, struct slice bytes,
                               size_t *need)
{
    (void)chunk;
    (void)need;
    io_tcp_pause(end->tcp, true);
    io_tcp_pause(end->tcp, false);
    buf_append_slice(&end->got, bytes);
    if (end->got.size >= end->wanted) atomic_store(&end->has_all, true);
    return bytes.size;
}

/* Nothing was left: nothing is presented again. */
static void test_resume_with_nothing_left(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    end_want(&pair.server, 16);
    pair.server.habit = pause_and_resume;
    on_loop(pair.client.loop, one_two_send, &pair.client);
    let_pass(pair.server.loop, 20);
    on_loop(pair.client.loop, one_two_send, &pair.client);
    await(pair.io, &pair.server.has_all);
    EXPECT(slice_is(buf_slice(&pair.server.got), "one.two.one.two."));
    pair_close(&pair);
}

/* Appends 16 MiB each millisecond until the connection is gone. */
struct flood {
    struct io_timer timer;
    struct end *end;
    size_t size_max;
};

enum { FLOOD_STEP = 16 << 20 };

static void on_flood(struct io_timer *timer)
{
    struct flood *flood = HEAP_ENTRY(timer, struct flood, timer);
    if (flood->end->closed_count > 0) return;
    if (io_tcp_unsent(flood->end->tcp) > flood->size_max)
        flood->size_max = io_tcp_unsent(flood->end->tcp);
    uint8_t *room = buf_extend(io_tcp_out(flood->end->tcp), FLOOD_STEP);
    if (room != NULL) memset(room, 7, FLOOD_STEP);
    io_timer_start(flood->end->loop, timer, io_now(flood->end->pair->io).boot_ms + 1);
}

static void flood_there(void *context)
{
    struct flood *flood = context;
    flood->timer.run = on_flood;
    io_timer_start(flood->end->loop, &flood->timer, 0);
}

static void flood_stop(void *context)
{
    struct flood *flood = context;
    io_timer_stop(&flood->timer);
}

/* The peer takes nothing: above the limit the connection is closed, not the memory filled. */
static void test_output_is_limited(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    on_loop(pair.server.loop, pause_there, &pair.server);
    struct flood flood = {.end = &pair.client};
    on_loop(pair.client.loop, flood_there, &flood);
    await(pair.io, &pair.client.is_closed);
    on_loop(pair.client.loop, flood_stop, &flood);
    assert_int_equal(pair.client.why, E_LIMIT);
    assert_true(flood.size_max <= IO_TCP_OUT_SIZE_MAX);
    pair_close(&pair);
}

/* ---- Stories: closing ------------------------------------------------------------------------ */

static void last_words_and_close(void *context)
{
    struct end *end = context;
    end_send(end, slice_str("last words"));
    close_there(end);
}

/* What was appended before the close still arrives; both owners hear of the end once. */
static void test_close_sends_the_last_words(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    end_want(&pair.server, 10);
    on_loop(pair.client.loop, last_words_and_close, &pair.client);
    await(pair.io, &pair.client.is_closed);
    await(pair.io, &pair.server.is_closed);
    EXPECT(slice_is(buf_slice(&pair.server.got), "last words"));
    assert_int_equal(pair.client.why, E_CLOSED);
    assert_int_equal(pair.server.why, E_CLOSED);
    pair_close(&pair);
}

/* Closes from inside on_bytes, with all sorts of afterthoughts. */
static size_t close_at_once(struct end *end, struct chunk *chunk, struct slice bytes, size_t *need)
{
    (void)chunk;
    (void)need;
    close_there(end);
    io_tcp_pause(end->tcp, true);
    io_tcp_pause(end->tcp, false);
    end_send(end, slice_str("bye"));
    return bytes.size / 2;
}

/* An owner closes inside on_bytes and leaves bytes behind: it is not called with them again, only
 * told of the end. */
static void test_close_inside_on_bytes(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    pair.server.habit = close_at_once;
    on_loop(pair.client.loop, one_two_send, &pair.client);
    await(pair.io, &pair.server.is_closed);
    await(pair.io, &pair.client.is_closed);
    assert_int_equal(pair.server.calls, 2); /* The greeting and this. */
    pair_close(&pair);
}

/* Has something to say at the end of every turn, until it is told of the end. */
struct chatter {
    struct io_turn_hook hook;
    struct io_post again; /* Makes another turn follow at once. */
    bool is_posted;
    struct end *end;
};

static void on_again(struct io_post *post)
{
    LIST_ENTRY(post, struct chatter, again)->is_posted = false;
}

static void on_chatter(struct io_turn_hook *hook)
{
    struct chatter *chatter = LIST_ENTRY(hook, struct chatter, hook);
    if (chatter->end->closed_count > 0) {
        io_turn_hook_remove(hook);
        return;
    }
    end_send(chatter->end, slice_str("."));
    close_there(chatter->end);
    if (!chatter->is_posted) io_post(chatter->end->loop, &chatter->again);
    chatter->is_posted = true;
}

static void chatter_start(void *context)
{
    struct chatter *chatter = context;
    chatter->hook.run = on_chatter;
    chatter->again.run = on_again;
    io_turn_hook_add(chatter->end->loop, &chatter->hook);
}

/* Until on_closed the connection is there: its owner may append to it and close it again. */
static void test_usable_until_told_of_the_end(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    struct chatter chatter = {.end = &pair.client};
    on_loop(pair.client.loop, chatter_start, &chatter);
    await(pair.io, &pair.client.is_closed);
    await(pair.io, &pair.server.is_closed);
    let_pass(pair.client.loop, 1); /* The hook has removed itself. */
    pair_close(&pair);
}

static size_t take_too_much(struct end *end, struct chunk *chunk, struct slice bytes, size_t *need)
{
    (void)end;
    (void)chunk;
    (void)need;
    return bytes.size + 1;
}

/* "More than there is" is how an owner says that the peer makes no sense. */
static void test_consuming_too_much_closes(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    pair.server.habit = take_too_much;
    on_loop(pair.client.loop, one_two_send, &pair.client);
    await(pair.io, &pair.server.is_closed);
    assert_int_equal(pair.server.why, E_PROTO);
    await(pair.io, &pair.client.is_closed);
    pair_close(&pair);
}

/* ---- Stories: connecting and arriving -------------------------------------------------------- */

/* Nobody listens: the owner is told why, then that it is over, and neither inside the call. */
static void test_connect_refused(void **state)
{
    struct pair pair;
    loops_open(&pair, *state);
    on_loop(pair.front, listen_there, &pair);
    on_loop(pair.front, unlisten_there, &pair); /* Its port is free now. */
    let_pass(pair.front, 1);
    on_loop(pair.client.loop, connect_and_greet_there, &pair);
    await(pair.io, &pair.client.is_closed);
    loops_close(&pair);
    assert_int_equal(pair.client.connect_rc, E_REFUSED);
    assert_int_equal(pair.client.connected_count, 1);
    assert_int_equal(pair.client.why, E_REFUSED);
    assert_int_equal(pair.client.closed_count, 1);
}

static void connect_and_close_there(void *context)
{
    struct pair *pair = context;
    connect_and_greet_there(pair);
    close_there(&pair->client);
}

/* The owner closes before the connection stands: it hears of the end only, and hooks follow. */
static void test_close_while_connecting(void **state)
{
    struct pair pair;
    loops_open(&pair, *state);
    on_loop(pair.front, listen_there, &pair);
    on_loop(pair.client.loop, follow_there, &pair.client);
    on_loop(pair.client.loop, connect_and_close_there, &pair);
    await(pair.io, &pair.client.is_closed);
    let_pass(pair.front, 20);
    assert_int_equal(atomic_load(&pair.client.followed), 1);
    let_pass(pair.client.loop, 20);
    on_loop(pair.client.loop, unfollow_there, &pair.client);
    on_loop(pair.front, unlisten_there, &pair);
    loops_close(&pair);
    assert_int_equal(pair.client.connected_count, 0);
    assert_int_equal(pair.client.why, E_CLOSED);
    assert_int_equal(pair.client.closed_count, 1);
}

static void two_bytes_send(void *context)
{
    end_send(context, slice_str("HE"));
}

static void rest_send(void *context)
{
    end_send(context, slice_str("LO, and what follows"));
}

/* A peer that says too little is no arrival; it is one as soon as it says the rest, and loses
 * nothing of what it has said. */
static void test_arrival_needs_its_first_bytes(void **state)
{
    struct pair pair;
    loops_open(&pair, *state);
    pair.server.wanted = sizeof "HELO, and what follows" - 1;
    on_loop(pair.front, listen_there, &pair);
    on_loop(pair.client.loop, connect_there, &pair);
    await(pair.io, &pair.client.is_connected);
    on_loop(pair.client.loop, two_bytes_send, &pair.client);
    let_pass(pair.front, 50);
    EXPECT(!atomic_load(&pair.is_accepted));
    on_loop(pair.client.loop, rest_send, &pair.client);
    await(pair.io, &pair.server.has_all);
    EXPECT(slice_is(buf_slice(&pair.server.got), "HELO, and what follows"));
    pair_close(&pair);
}

/* A peer that never says anything is closed with the listener. */
static void test_silent_peer_goes_with_the_listener(void **state)
{
    struct pair pair;
    loops_open(&pair, *state);
    on_loop(pair.front, listen_there, &pair);
    on_loop(pair.client.loop, connect_there, &pair);
    await(pair.io, &pair.client.is_connected);
    let_pass(pair.front, 20);
    EXPECT(!atomic_load(&pair.client.is_closed));
    on_loop(pair.front, unlisten_there, &pair);
    await(pair.io, &pair.client.is_closed);
    loops_close(&pair);
    assert_int_equal(pair.client.why, E_CLOSED);
}

static void turn_away(void *context, struct io_arrival *arrival, const uint8_t *magic)
{
    (void)context;
    (void)magic;
    io_arrival_close(arrival);
}

static const struct io_listen_handler unfriendly_handler = {.on_arrival = turn_away};

static void listen_unfriendly_there(void *context)
{
    struct pair *pair = context;
    pair->address = world_address(pair->io);
    EXPECT(io_listen(pair->front, &pair->address, &unfriendly_handler, pair, &pair->listener) == 0);
}

/* An arrival that is turned away finds its connection closed. */
static void test_arrival_is_turned_away(void **state)
{
    struct pair pair;
    loops_open(&pair, *state);
    on_loop(pair.front, listen_unfriendly_there, &pair);
    on_loop(pair.client.loop, connect_and_greet_there, &pair);
    await(pair.io, &pair.client.is_closed);
    on_loop(pair.front, unlisten_there, &pair);
    loops_close(&pair);
    assert_int_equal(pair.client.connect_rc, 0);
    assert_int_equal(pair.client.why, E_CLOSED);
}

/* Long after the time that connecting may take, an idle connection still stands. */
static void test_connected_is_connected(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    end_want(&pair.server, 8);
    let_pass(pair.client.loop, IO_TCP_CONNECT_MS + 100);
    on_loop(pair.client.loop, one_two_send, &pair.client);
    await(pair.io, &pair.server.has_all);
    pair_close(&pair);
}

struct peers {
    struct pair *pair;
    struct io_address of_client, of_server;
};

static void client_peer_take(void *context)
{
    struct peers *peers = context;
    peers->of_client = io_tcp_peer(peers->pair->client.tcp);
}

static void server_peer_take(void *context)
{
    struct peers *peers = context;
    peers->of_server = io_tcp_peer(peers->pair->server.tcp);
}

/* Each end knows who is at the other. */
static void test_peers_are_known(void **state)
{
    struct pair pair;
    struct peers peers = {.pair = &pair};
    pair_open(&pair, *state);
    on_loop(pair.client.loop, client_peer_take, &peers);
    on_loop(pair.server.loop, server_peer_take, &peers);
    EXPECT(peers.of_client.ipv4 == pair.address.ipv4);
    EXPECT(peers.of_client.port == pair.address.port);
    EXPECT(peers.of_server.ipv4 == pair.address.ipv4); /* One machine. */
    EXPECT(peers.of_server.port != 0 && peers.of_server.port != pair.address.port);
    pair_close(&pair);
}

int tcp_stories_run(void)
{
    const struct CMUnitTest stories[] = {
        STORY(test_frames_are_echoed),
        STORY(test_tiny_reads),
        STORY(test_kept_bytes_never_change),
        STORY(test_pause_holds_the_peer),
        STORY(test_resume_presents_what_was_left),
        STORY(test_hooks_follow_what_owners_are_told),
        STORY(test_hooks_follow_the_last_message),
        STORY(test_resume_with_nothing_left),
        STORY(test_output_is_limited),
        STORY(test_close_sends_the_last_words),
        STORY(test_close_inside_on_bytes),
        STORY(test_usable_until_told_of_the_end),
        STORY(test_consuming_too_much_closes),
        STORY(test_connect_refused),
        STORY(test_close_while_connecting),
        STORY(test_connected_is_connected),
        STORY(test_arrival_needs_its_first_bytes),
        STORY(test_silent_peer_goes_with_the_listener),
        STORY(test_arrival_is_turned_away),
        STORY(test_peers_are_known),
    };
    pattern_fill();
    return cmocka_run_group_tests_name("io: tcp", stories, NULL, NULL);
}
