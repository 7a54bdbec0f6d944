/* tests/sim/test_sim_net.c: connections of the simulated world under every fault it can make.
 *
 * A client on machine 'a' writes numbered bytes to a server on machine 'b', which answers each byte
 * with itself. Whatever happens to the link: what arrives is what was sent, in order and at most
 * once, and each side hears of its end exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/sim.h"

enum { PORT = 34601, MS = 1000, S = 1000 * MS };

/* One end of the conversation. */
struct talker {
    struct io_tcp *tcp;
    struct node *node;
    uint64_t received; /* Bytes: the nth is (uint8_t)n. */
    uint64_t sent, pieces;
    int connected_rc, connects, closed_why, closes;
    bool is_slow, is_echo;
    size_t need;
};

struct node {
    struct sim_machine *machine;
    struct io_loop *loop;
    struct io_listener *listener;
    struct io_address target;
    struct io_post post;
    struct talker talkers[4];
    size_t talker_count;
    int drains;
    size_t to_send;
    char magic[IO_MAGIC_SIZE + 1];
};

struct world {
    struct sim *sim;
    struct node a, b;
};

static size_t on_bytes(void *context, struct chunk *chunk, struct slice bytes, size_t *need)
{
    struct talker *t = context;
    CHECK(chunk->data <= bytes.data && *need == 0);
    t->pieces++;
    if (t->is_slow) return 0;
    if (bytes.size < t->need) {
        *need = t->need;
        return 0;
    }
    for (size_t i = 0; i < bytes.size; i++) CHECK(bytes.data[i] == (uint8_t)t->received++);
    if (t->is_echo) buf_append_slice(io_tcp_out(t->tcp), bytes);
    return bytes.size;
}

static void on_connected(void *context, int rc)
{
    struct talker *t = context;
    t->connected_rc = rc;
    t->connects++;
}

static void on_drained(void *context)
{
    struct talker *t = context;
    t->node->drains++;
}

static void on_closed(void *context, int why)
{
    struct talker *t = context;
    t->closed_why = why;
    t->closes++;
    t->tcp = NULL;
}

static const struct io_tcp_handler talker_handler = {on_connected, on_bytes, on_drained, on_closed};

static void on_arrival(void *context, struct io_arrival *arrival, const uint8_t *magic)
{
    struct node *n = context;
    struct talker *t = &n->talkers[n->talker_count++];
    memcpy(n->magic, magic, IO_MAGIC_SIZE);
    t->node = n;
    t->is_echo = true;
    CHECK(io_tcp_accept(n->loop, arrival, &talker_handler, t, &t->tcp) == 0);
}

static void on_listen(struct io_post *post)
{
    static const struct io_listen_handler handler = {on_arrival};
    struct node *n = LIST_ENTRY(post, struct node, post);
    struct io_address address = {0, PORT};
    CHECK(io_listen(n->loop, &address, &handler, n, &n->listener) == 0);
}

static void node_main(struct sim_machine *m, void *context)
{
    struct node *n = context;
    *n = (struct node){.machine = m};
    CHECK(io_loop_open(sim_machine_io(m), IO_LOOP_EVENTS, "loop", &n->loop) == 0);
}

static void server_main(struct sim_machine *m, void *context)
{
    struct node *n = context;
    node_main(m, context);
    n->post.run = on_listen;
    io_post(n->loop, &n->post);
}

/* Run 'run' on the loop of the node now, and let it be done. */
static void on_loop(struct world *w, struct node *n, void (*run)(struct io_post *post))
{
    n->post.run = run;
    io_post(n->loop, &n->post);
    sim_run_us(w->sim, MS);
}

static void on_connect(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, post);
    struct talker *t = &n->talkers[n->talker_count++];
    t->node = n;
    CHECK(io_tcp_connect(n->loop, n->target, &talker_handler, t, &t->tcp) == 0);
}

static void on_send(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, post);
    struct talker *t = &n->talkers[0];
    if (t->tcp == NULL) return; /* It has just been lost. */
    for (size_t i = 0; i < n->to_send; i++) buf_append_u8(io_tcp_out(t->tcp), (uint8_t)t->sent++);
}

static void on_close(struct io_post *post)
{
    struct node *n = LIST_ENTRY(post, struct node, post);
    if (n->talkers[0].tcp == NULL) return;
    io_tcp_close(n->talkers[0].tcp);
    io_tcp_close(n->talkers[0].tcp);
}

static void on_pause(struct io_post *post)
{
    io_tcp_pause(LIST_ENTRY(post, struct node, post)->talkers[0].tcp, true);
}

static void on_unpause(struct io_post *post)
{
    io_tcp_pause(LIST_ENTRY(post, struct node, post)->talkers[0].tcp, false);
}

static void send(struct world *w, struct node *n, size_t size)
{
    n->to_send = size;
    on_loop(w, n, on_send);
}

static int setup(void **state)
{
    static struct world w;
    w = (struct world){.sim = sim_new(7)};
    struct sim_machine *a = sim_machine_new(w.sim, "a"), *b = sim_machine_new(w.sim, "b");
    sim_machine_start(a, (struct sim_program){node_main, &w.a});
    sim_machine_start(b, (struct sim_program){server_main, &w.b});
    w.a.target = (struct io_address){sim_machine_ipv4(b), PORT};
    sim_run_us(w.sim, MS);
    *state = &w;
    return 0;
}

/* Connected and past the first bytes. */
static int setup_talking(void **state)
{
    if (setup(state) != 0) return -1;
    struct world *w = *state;
    on_loop(w, &w->a, on_connect);
    send(w, &w->a, 10);
    sim_run_us(w->sim, 20 * MS);
    CHECK(w->a.talkers[0].received == 10);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    sim_free(w->sim);
    return 0;
}

/* ---- Without faults ---- */

static void test_a_connection_carries_bytes_both_ways(void **state)
{
    struct world *w = *state;
    on_loop(w, &w->a, on_connect);
    assert_int_equal(w->a.talkers[0].connects, 1);
    assert_int_equal(w->a.talkers[0].connected_rc, 0);
    send(w, &w->a, 5000);
    sim_run_us(w->sim, 100 * MS);
    assert_int_equal(w->b.talkers[0].received, 5000);
    assert_int_equal(w->a.talkers[0].received, 5000);
    assert_memory_equal(w->b.magic, "\0\1\2\3", 4);
    assert_int_equal(io_tcp_peer(w->a.talkers[0].tcp).port, PORT);
    assert_int_equal(io_tcp_peer(w->b.talkers[0].tcp).ipv4, sim_machine_ipv4(w->a.machine));
}

/* Bytes come in every cut that chance thinks of: whoever parses them can't rely on any. */
static void test_bytes_come_in_pieces(void **state)
{
    struct world *w = *state;
    struct sim_link link = {.delay_us = 100, .jitter_us = 300, .split_percent = 90};
    sim_link_default(w->sim, &link);
    on_loop(w, &w->a, on_connect);
    for (int i = 0; i < 50; i++) send(w, &w->a, 40);
    sim_run_us(w->sim, S);
    assert_int_equal(w->b.talkers[0].received, 2000);
    assert_in_range(w->b.talkers[0].pieces, 100, 2000);
}

/* on_bytes says how many it needs, and is left alone until they are there. */
static void test_need_is_heeded(void **state)
{
    struct world *w = *state;
    on_loop(w, &w->a, on_connect);
    send(w, &w->a, 10);
    sim_run_us(w->sim, 10 * MS);
    struct talker *t = &w->b.talkers[0];
    t->need = 100000; /* Larger than any chunk that is at hand. */
    t->pieces = 0;
    for (int i = 0; i < 100; i++) send(w, &w->a, 999);
    sim_run_us(w->sim, 100 * MS);
    assert_int_equal(t->received, 10);
    assert_in_range(t->pieces, 1, 1);
    send(w, &w->a, 100);
    sim_run_us(w->sim, 100 * MS);
    assert_int_equal(t->received, 100010);
    assert_int_equal(t->pieces, 2);
}

static void test_nobody_listens(void **state)
{
    struct world *w = *state;
    w->a.target.port++;
    on_loop(w, &w->a, on_connect);
    assert_int_equal(w->a.talkers[0].connected_rc, E_REFUSED);
    assert_int_equal(w->a.talkers[0].closed_why, E_REFUSED);
    assert_int_equal(w->a.talkers[0].closes, 1);
}

static void test_nobody_is_there(void **state)
{
    struct world *w = *state;
    w->a.target.ipv4 = 0x0a000001;
    on_loop(w, &w->a, on_connect);
    assert_int_equal(w->a.talkers[0].connected_rc, E_UNREACHABLE);
    assert_int_equal(w->a.talkers[0].closes, 1);
}

static void test_both_ends_hear_of_a_close(void **state)
{
    struct world *w = *state;
    w->a.to_send = 100;
    on_loop(w, &w->a, on_send);
    on_loop(w, &w->a, on_close);
    sim_run_us(w->sim, 10 * MS);
    assert_int_equal(w->b.talkers[0].received, 110); /* What was written before still arrives. */
    assert_int_equal(w->a.talkers[0].closes, 1);
    assert_int_equal(w->a.talkers[0].closed_why, E_CLOSED);
    assert_int_equal(w->b.talkers[0].closes, 1);
    assert_int_equal(sim_machine_connections(w->a.machine), 0);
    assert_int_equal(sim_machine_connections(w->b.machine), 0);
}

/* A reader that pauses holds the writer back; nothing is lost, and the writer hears when it is
 * over. */
static void test_backpressure(void **state)
{
    struct world *w = *state;
    w->b.talkers[0].is_echo = false;
    on_loop(w, &w->b, on_pause);
    send(w, &w->a, 4 << 20);
    sim_run_us(w->sim, 5 * S);
    size_t held = io_tcp_unsent(w->a.talkers[0].tcp);
    assert_in_range(held, 3 << 20, 4 << 20);
    assert_int_equal(w->b.talkers[0].received, 10);
    on_loop(w, &w->b, on_unpause);
    sim_run_us(w->sim, 5 * S);
    assert_int_equal(w->b.talkers[0].received, (4 << 20) + 10);
    assert_int_equal(w->a.drains, 1);
}

/* What on_bytes left lies there until the reader goes on. */
static void test_what_was_left_comes_again(void **state)
{
    struct world *w = *state;
    w->b.talkers[0].is_slow = true;
    send(w, &w->a, 50);
    sim_run_us(w->sim, 50 * MS);
    on_loop(w, &w->b, on_pause);
    w->b.talkers[0].is_slow = false;
    sim_run_us(w->sim, 50 * MS);
    assert_int_equal(w->b.talkers[0].received, 10);
    on_loop(w, &w->b, on_unpause);
    assert_int_equal(w->b.talkers[0].received, 60);
}

/* ---- Faults of the link ---- */

static void test_a_short_cut_is_a_delay(void **state)
{
    struct world *w = *state;
    sim_cut(w->a.machine, w->b.machine);
    send(w, &w->a, 1000);
    sim_run_us(w->sim, 10 * S);
    assert_int_equal(w->b.talkers[0].received, 10);
    sim_heal(w->a.machine, w->b.machine);
    sim_run_us(w->sim, 5 * S);
    assert_int_equal(w->b.talkers[0].received, 1010);
    assert_int_equal(w->a.talkers[0].received, 1010);
}

/* Cut for too long: who has something to say gives up; who only listens hears nothing of it until
 * it says something itself. */
static void test_a_long_cut_leaves_one_end_half_open(void **state)
{
    struct world *w = *state;
    sim_cut(w->a.machine, w->b.machine);
    send(w, &w->a, 1000);
    sim_run_us(w->sim, 100 * S);
    assert_int_equal(w->a.talkers[0].closed_why, E_TIMEOUT);
    assert_int_equal(w->b.talkers[0].closes, 0);
    sim_heal_all(w->sim);
    sim_run_us(w->sim, 100 * S);
    assert_int_equal(w->b.talkers[0].closes, 0);
    send(w, &w->b, 1);
    sim_run_us(w->sim, 100 * MS);
    assert_int_equal(w->b.talkers[0].closed_why, E_CLOSED);
    assert_int_equal(sim_machine_connections(w->b.machine), 0);
}

/* Bytes arrive but no acknowledgement comes back: in the end the sender gives up all the same. */
static void test_a_one_way_cut(void **state)
{
    struct world *w = *state;
    sim_cut_one_way(w->b.machine, w->a.machine);
    send(w, &w->a, 100);
    sim_run_us(w->sim, 100 * MS);
    assert_int_equal(w->b.talkers[0].received, 110);
    assert_int_equal(w->a.talkers[0].received, 10);
    sim_run_us(w->sim, 100 * S);
    assert_int_equal(w->a.talkers[0].closed_why, E_TIMEOUT);
}

static void test_connecting_through_a_cut_times_out(void **state)
{
    struct world *w = *state;
    sim_cut_one_way(w->b.machine, w->a.machine);
    on_loop(w, &w->a, on_connect);
    sim_run_us(w->sim, 2 * S);
    assert_int_equal(w->a.talkers[0].connects, 0);
    sim_run_us(w->sim, 2 * S);
    assert_int_equal(w->a.talkers[0].connected_rc, E_TIMEOUT);
    assert_int_equal(w->a.talkers[0].closed_why, E_TIMEOUT);
}

static void test_a_clog_ends_in_a_burst(void **state)
{
    struct world *w = *state;
    sim_clog(w->a.machine, w->b.machine, S);
    for (int i = 0; i < 100; i++) send(w, &w->a, 10);
    sim_run_us(w->sim, 800 * MS);
    assert_int_equal(w->b.talkers[0].received, 10);
    w->b.talkers[0].pieces = 0;
    sim_run_us(w->sim, 200 * MS);
    assert_int_equal(w->b.talkers[0].received, 1010);
    assert_in_range(w->b.talkers[0].pieces, 1, 3);
}

static void test_a_reset_tells_both(void **state)
{
    struct world *w = *state;
    send(w, &w->a, 10);
    sim_reset(w->a.machine, w->b.machine);
    sim_run_us(w->sim, 10 * MS);
    assert_int_equal(w->a.talkers[0].closed_why, E_CLOSED);
    assert_int_equal(w->b.talkers[0].closed_why, E_CLOSED);
    assert_int_equal(w->a.talkers[0].closes + w->b.talkers[0].closes, 2);
}

static void test_bandwidth(void **state)
{
    struct world *w = *state;
    struct sim_link link = {.delay_us = 100, .bytes_per_s = 10000};
    sim_link_set(w->a.machine, w->b.machine, &link);
    send(w, &w->a, 20000);
    sim_run_us(w->sim, 1900 * MS);
    assert_int_equal(w->b.talkers[0].received, 10);
    sim_run_us(w->sim, 200 * MS);
    assert_int_equal(w->b.talkers[0].received, 20010);
}

static void test_loss_is_delay(void **state)
{
    struct world *w = *state;
    struct sim_link link = {.delay_us = 100, .loss_permille = 500};
    sim_link_set(w->a.machine, w->b.machine, &link);
    for (int i = 0; i < 20; i++) send(w, &w->a, 1);
    sim_run_us(w->sim, 100 * MS);
    assert_in_range(w->b.talkers[0].received, 10, 29);
    sim_run_us(w->sim, 30 * S);
    assert_int_equal(w->b.talkers[0].received, 30);
}

/* ---- Faults of machines ---- */

static void test_a_killed_process_is_noticed_at_once(void **state)
{
    struct world *w = *state;
    sim_machine_crash(w->b.machine, SIM_KILL);
    sim_run_us(w->sim, 10 * MS);
    assert_int_equal(w->a.talkers[0].closed_why, E_CLOSED);
    w->a.talker_count = 0;
    on_loop(w, &w->a, on_connect);
    assert_int_equal(w->a.talkers[0].connected_rc, E_REFUSED);
}

/* Power loss says nothing. When the machine is back, it answers bytes of a connection that it
 * doesn't know with a reset. */
static void test_a_dark_machine_resets_when_it_is_back(void **state)
{
    struct world *w = *state;
    sim_machine_crash(w->b.machine, SIM_POWER);
    sim_run_us(w->sim, 10 * S);
    assert_int_equal(w->a.talkers[0].closes, 0);
    send(w, &w->a, 10);
    sim_run_us(w->sim, 10 * S);
    assert_int_equal(w->a.talkers[0].closes, 0);
    sim_machine_restart(w->b.machine);
    sim_run_us(w->sim, 2 * S);
    assert_int_equal(w->a.talkers[0].closed_why, E_CLOSED);
    assert_int_equal(w->b.talker_count, 0);
}

static void test_a_paused_peer_costs_nothing_but_time(void **state)
{
    struct world *w = *state;
    sim_machine_pause(w->b.machine);
    send(w, &w->a, 1000);
    sim_run_us(w->sim, 300 * S);
    assert_int_equal(w->b.talkers[0].received, 10);
    sim_machine_resume(w->b.machine);
    sim_run_us(w->sim, 100 * MS);
    assert_int_equal(w->b.talkers[0].received, 1010);
    assert_int_equal(w->a.talkers[0].received, 1010);
}

/* ---- Everything at once ---- */

static void fault(struct world *w, struct prng *p)
{
    struct sim_machine *a = w->a.machine, *b = w->b.machine;
    switch (prng_below(p, 8)) {
    case 0: sim_cut(a, b); break;
    case 1: sim_cut_one_way(a, b); break;
    case 2: sim_cut_one_way(b, a); break;
    case 3: sim_clog(a, b, prng_below(p, S)); break;
    case 4:
        if (prng_percent(p, 10)) sim_reset(a, b);
        break;
    default: sim_heal_all(w->sim); break;
    }
}

/* Random faults for a minute: what arrives is always a prefix of what was sent (on_bytes checks
 * it), and nobody is told twice. In the end all that is left of a connection is gone. */
static void test_streams_stay_streams(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        void *again;
        (void)setup(&again);
        struct world *w = again;
        struct prng *p = sim_prng(w->sim);
        for (uint64_t i = 0; i < seed; i++) (void)prng_next(p);
        struct sim_link link = {.delay_us = prng_below(p, 50 * MS),
                                .jitter_us = prng_below(p, 10 * MS),
                                .loss_permille = (uint32_t)prng_below(p, 100),
                                .split_percent = (uint32_t)prng_below(p, 100),
                                .window_size = 1 + prng_below(p, 5000)};
        sim_link_default(w->sim, &link);
        on_loop(w, &w->a, on_connect);
        for (int i = 0; i < 200; i++) {
            if (w->a.talkers[0].tcp != NULL) send(w, &w->a, prng_below(p, 300));
            sim_run_us(w->sim, prng_below(p, 600 * MS));
            fault(w, p);
        }
        sim_heal_all(w->sim);
        if (w->a.talkers[0].tcp != NULL) on_loop(w, &w->a, on_close);
        sim_run_us(w->sim, 300 * S);
        assert_int_equal(w->a.talkers[0].closes, 1);
        if (w->b.talkers[0].tcp != NULL) send(w, &w->b, 1);
        sim_run_us(w->sim, 100 * S);
        assert_true(w->b.talkers[0].received <= w->a.talkers[0].sent);
        assert_true(w->a.talkers[0].received <= w->b.talkers[0].received);
        assert_int_equal(sim_machine_connections(w->a.machine), 0);
        assert_int_equal(sim_machine_connections(w->b.machine), 0);
        (void)teardown(&again);
    }
}

int main(void)
{
#define STORY(test)   cmocka_unit_test_setup_teardown(test, setup, teardown)
#define TALKING(test) cmocka_unit_test_setup_teardown(test, setup_talking, teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_a_connection_carries_bytes_both_ways),
        STORY(test_bytes_come_in_pieces),
        STORY(test_need_is_heeded),
        STORY(test_nobody_listens),
        STORY(test_nobody_is_there),
        TALKING(test_both_ends_hear_of_a_close),
        TALKING(test_backpressure),
        TALKING(test_what_was_left_comes_again),
        TALKING(test_a_short_cut_is_a_delay),
        TALKING(test_a_long_cut_leaves_one_end_half_open),
        TALKING(test_a_one_way_cut),
        STORY(test_connecting_through_a_cut_times_out),
        TALKING(test_a_clog_ends_in_a_burst),
        TALKING(test_a_reset_tells_both),
        TALKING(test_bandwidth),
        TALKING(test_loss_is_delay),
        TALKING(test_a_killed_process_is_noticed_at_once),
        TALKING(test_a_dark_machine_resets_when_it_is_back),
        TALKING(test_a_paused_peer_costs_nothing_but_time),
        cmocka_unit_test(test_streams_stay_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
