/* tests/rpc/test_rpc_sim.c: servers, peers and a cluster through bad nets and dying machines.
 *
 * Three machines serve the six partitions of table "temp"; the first is the meta. A fourth calls:
 * PUTs and INCRs, each with a number of its own, while links are cut, clogged and reset, machines
 * pause and die, and primaries move. The world's ghost counts how often each number was executed,
 * and holds every end against it:
 *
 *     a call ends once, not after its deadline by more than a moment
 *     ended well                            executed at least once
 *     an INCR                               executed at most once
 *     said to be certainly not executed     not executed
 *
 * Then everything is healed and every call must end well; then all is quiet and nothing may
 * happen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "rpc/cluster.h"
#include "rpc/server.h"
#include "sim/sim.h"
#include "wire/messages.h"

enum {
    MS = 1000,
    S = 1000 * MS,
    SERVERS = 3,
    PARTITIONS = 6,
    CALLS = 600,
    PORT = 34601,
    SEEDS = 25,
    LATE_MS = 20, /* A timer's lateness, and a turn's. */
};

struct server {
    struct sim_machine *machine;
    struct io_loop *loop;
    struct io_listener *listener;
    struct rpc_server *rpc;
    struct io_post post;
    int index;
    bool is_closed;
};

struct ghost_call {
    struct cluster_call call;
    struct update_request put;
    struct incr_request incr;
    uint8_t number[4]; /* The key. */
    uint32_t executed, ends;
    int rc;
    enum wire_error error;
    bool is_sent;
    uint64_t late_ms;
};

struct story {
    struct sim *sim;
    struct server servers[SERVERS];
    struct sim_machine *caller;
    struct io_loop *loop;
    const char *metas;
    unsigned flags; /* Of calls. */
    struct cluster *cluster;
    struct cluster_table *table;
    struct io_timer timer;
    struct ghost_call calls[CALLS];
    size_t made, made_max, ended;
    bool is_closed;
    struct io_post post;

    int primaries[PARTITIONS];
    int64_t ballots[PARTITIONS];
};

static struct story story;

#define META "a:34601"

static struct io_address address_of(int server)
{
    return (struct io_address){sim_machine_ipv4(story.servers[server].machine), PORT};
}

/* ---- Servers --------------------------------------------------------------------------------- */

static void answer_query(struct rpc_request *r)
{
    struct partition_configuration partitions[PARTITIONS];
    for (int i = 0; i < PARTITIONS; i++) {
        struct io_address primary = address_of(story.primaries[i]);
        partitions[i] = (struct partition_configuration){
            .pid = {.app_id = 2, .partition_index = i},
            .ballot = story.ballots[i],
            .primary = {.ipv4 = primary.ipv4, .port = primary.port, .is_valid = true},
        };
    }
    struct query_config_response response = {
        .err = wire_error_name(WIRE_ERR_OK),
        .app_id = 2,
        .partition_count = PARTITIONS,
        .is_stateful = true,
        .partitions = {.items = partitions, .count = PARTITIONS}};
    rpc_reply(r, WIRE_ERR_OK, &query_config_response_schema, &response);
}

/* Both messages begin with the key. */
static uint32_t number_of(struct rpc_request *r)
{
    const struct schema *schema = rpc_info(r->frame.code)->request;
    struct update_request put;
    struct incr_request incr;
    bool is_put = r->frame.code == RPC_PUT;
    CHECK(thrift_read_args(r->frame.body, schema, is_put ? (void *)&put : &incr, &r->arena) == 0);
    struct slice key = is_put ? put.key : incr.key;
    CHECK(key.size == 4);
    return bytes_get_be32(key.data);
}

static void execute(struct rpc_request *r)
{
    struct update_response put = {0};
    struct incr_response incr = {0};
    story.calls[number_of(r)].executed++;
    if (r->frame.code == RPC_PUT) rpc_reply(r, WIRE_ERR_OK, &update_response_schema, &put);
    else rpc_reply(r, WIRE_ERR_OK, &incr_response_schema, &incr);
}

static void on_request(void *context, struct rpc_request *r)
{
    const struct server *s = context;
    if (r->frame.code == RPC_QUERY_CONFIG) answer_query(r);
    else if (story.primaries[r->frame.partition_index] != s->index)
        rpc_reply_error(r, WIRE_ERR_INVALID_STATE);
    else execute(r);
}

static void on_arrival(void *context, struct io_arrival *arrival, const uint8_t *magic)
{
    struct server *s = context;
    CHECK(rpc_server_speaks(magic));
    rpc_server_accept(s->rpc, arrival);
}

static void server_begin(struct io_post *post)
{
    static const struct io_listen_handler handler = {.on_arrival = on_arrival};
    struct server *s = LIST_ENTRY(post, struct server, post);
    struct io_address address = address_of(s->index);
    struct rpc_server_options options = {.self = address};
    CHECK(rpc_server_open(s->loop, &options, on_request, s, &s->rpc) == 0);
    CHECK(io_listen(s->loop, &address, &handler, s, &s->listener) == 0);
}

static void server_main(struct sim_machine *machine, void *context)
{
    struct server *s = context;
    CHECK(io_loop_open(sim_machine_io(machine), IO_LOOP_EVENTS, "rpc", &s->loop) == 0);
    s->post.run = server_begin;
    io_post(s->loop, &s->post);
}

/* ---- The caller ------------------------------------------------------------------------------ */

static void on_done(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct ghost_call *c = LIST_ENTRY(call, struct ghost_call, call);
    uint64_t now_ms = io_now(io_of(story.loop)).boot_ms;
    c->ends++;
    c->rc = answer->rc;
    c->error = answer->error;
    c->is_sent = answer->is_sent;
    c->late_ms = now_ms > call->deadline_ms ? now_ms - call->deadline_ms : 0;
    story.ended++;
}

static void make_call(size_t i, uint64_t timeout_ms)
{
    struct ghost_call *c = &story.calls[i];
    bool is_put = prng_percent(sim_prng(story.sim), 50);
    bytes_put_be32(c->number, (uint32_t)i);
    c->put.key = c->incr.key = slice_of(c->number, sizeof c->number);
    c->incr.increment = 1;
    c->call.rpc = is_put ? RPC_PUT : RPC_INCR;
    c->call.schema = rpc_info(c->call.rpc)->request;
    c->call.args = is_put ? (const void *)&c->put : &c->incr;
    c->call.deadline_ms = io_now(io_of(story.loop)).boot_ms + timeout_ms;
    c->call.flags = story.flags;
    c->call.on_done = on_done;
    cluster_call_key(story.table, i, &c->call);
}

static void run_timer(struct io_timer *timer)
{
    struct prng *prng = sim_prng(story.sim);
    uint64_t now_ms = io_now(io_of(story.loop)).boot_ms;
    if (story.made == story.made_max) return;
    make_call(story.made++, prng_between(prng, 20, 4000));
    io_timer_start(story.loop, timer, now_ms + prng_below(prng, 20));
}

static void caller_begin(struct io_post *post)
{
    (void)post;
    struct cluster_options options = {.metas = story.metas, .framing = FRAME_RDSN};
    CHECK(cluster_open(story.loop, &options, &story.cluster) == 0);
    CHECK(cluster_table_open(story.cluster, "temp", &story.table) == 0);
}

static void caller_main(struct sim_machine *machine, void *context)
{
    (void)context;
    CHECK(io_loop_open(sim_machine_io(machine), IO_LOOP_EVENTS, "calls", &story.loop) == 0);
    story.post.run = caller_begin;
    io_post(story.loop, &story.post);
}

static void caller_go_on(struct io_post *post)
{
    (void)post;
    story.timer.run = run_timer;
    run_timer(&story.timer);
}

static void post_go_on(void *context)
{
    (void)context;
    story.post.run = caller_go_on;
    io_post(story.loop, &story.post);
}

static bool has_all_ended(void *context)
{
    (void)context;
    return story.made == story.made_max && story.ended == story.made_max;
}

/* ---- Trouble --------------------------------------------------------------------------------- */

static void move_a_primary(struct prng *prng)
{
    int partition = (int)prng_below(prng, PARTITIONS);
    story.primaries[partition] = (int)prng_below(prng, SERVERS);
    story.ballots[partition]++;
}

static void make_trouble(struct prng *prng)
{
    struct sim_machine *m = story.servers[prng_below(prng, SERVERS)].machine;
    switch (prng_below(prng, 8)) {
    case 0: sim_cut(story.caller, m); break;
    case 1: sim_cut_one_way(m, story.caller); break;
    case 2: sim_heal_all(story.sim); break;
    case 3: sim_clog(m, story.caller, prng_between(prng, 1 * MS, 500 * MS)); break;
    case 4: sim_reset(story.caller, m); break;
    case 5:
        if (sim_machine_is_up(m)) sim_machine_pause(m);
        break;
    case 6:
        if (sim_machine_is_up(m))
            sim_machine_crash(m, prng_percent(prng, 50) ? SIM_KILL : SIM_POWER);
        break;
    default: move_a_primary(prng); break;
    }
    for (int i = 0; i < SERVERS; i++) { /* Half of what is down comes back. */
        m = story.servers[i].machine;
        if (prng_percent(prng, 50)) continue;
        if (sim_machine_is_up(m)) sim_machine_resume(m);
        else sim_machine_restart(m);
    }
}

static void heal(void)
{
    sim_heal_all(story.sim);
    for (int i = 0; i < SERVERS; i++) {
        struct sim_machine *m = story.servers[i].machine;
        if (sim_machine_is_up(m)) sim_machine_resume(m);
        else sim_machine_restart(m);
    }
}

/* ---- What must hold -------------------------------------------------------------------------- */

static void expect_true_ends(size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        const struct ghost_call *c = &story.calls[i];
        assert_int_equal(c->ends, 1);
        assert_true(c->late_ms <= LATE_MS);
        if (c->rc == 0 && c->error == WIRE_ERR_OK) assert_true(c->executed >= 1);
        if (c->call.rpc == RPC_INCR) assert_true(c->executed <= 1);
        if (c->rc != 0 && !c->is_sent) assert_int_equal(c->executed, 0);
        assert_true(c->rc == 0 || c->rc == E_TIMEOUT || c->rc == E_UNKNOWN);
    }
}

static void expect_good_ends(size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        assert_int_equal(story.calls[i].rc, 0);
        assert_int_equal(story.calls[i].error, WIRE_ERR_OK);
    }
}

/* ---- The stage ------------------------------------------------------------------------------- */

static void begin(uint64_t seed, const char *metas)
{
    static const char *const names[SERVERS] = {"a", "b", "c"};
    const struct sim_link link = {.delay_us = 300, .jitter_us = 200, .split_percent = 20};
    story = (struct story){.sim = sim_new(seed), .metas = metas};
    sim_link_default(story.sim, &link);
    for (int i = 0; i < SERVERS; i++) {
        struct server *s = &story.servers[i];
        s->index = i;
        s->machine = sim_machine_new(story.sim, names[i]);
    }
    for (int i = 0; i < PARTITIONS; i++) {
        story.primaries[i] = i % SERVERS;
        story.ballots[i] = 1;
    }
    for (int i = 0; i < SERVERS; i++)
        sim_machine_start(story.servers[i].machine,
                          (struct sim_program){server_main, &story.servers[i]});
    story.caller = sim_machine_new(story.sim, "caller");
    sim_machine_start(story.caller, (struct sim_program){caller_main, NULL});
    sim_run_us(story.sim, 10 * MS);
}

/* Calls up to 'count' in all; true when all have ended within that time. */
static void start_calls(size_t count)
{
    story.made_max = count;
    assert_true(sim_machine_do(story.caller, post_go_on, NULL));
}

static void on_server_closed(void *context)
{
    struct server *s = context;
    s->is_closed = true;
}

static void run_close_server(struct io_post *post)
{
    struct server *s = LIST_ENTRY(post, struct server, post);
    io_listener_close(s->listener);
    rpc_server_close(s->rpc, on_server_closed, s);
}

static void close_server(void *context)
{
    struct server *s = context;
    s->post.run = run_close_server;
    io_post(s->loop, &s->post);
}

static void run_close_cluster(struct io_post *post)
{
    (void)post;
    cluster_close(story.cluster, NULL, NULL);
}

static void close_caller(void *context)
{
    (void)context;
    story.post.run = run_close_cluster;
    io_post(story.loop, &story.post);
}

static void close_loop(void *context)
{
    io_loop_close(*(struct io_loop **)context);
}

/* Everything ends well: the world sees to it that no memory is left. */
static void finish(void)
{
    assert_true(sim_machine_do(story.caller, close_caller, NULL));
    sim_run_us(story.sim, 100 * MS);
    assert_true(sim_machine_do(story.caller, close_loop, &story.loop));
    sim_machine_exit(story.caller);
    for (int i = 0; i < SERVERS; i++) {
        struct server *s = &story.servers[i];
        assert_true(sim_machine_do(s->machine, close_server, s));
        sim_run_us(story.sim, 100 * MS);
        assert_true(s->is_closed);
        assert_true(sim_machine_do(s->machine, close_loop, &s->loop));
        sim_machine_exit(s->machine);
    }
    sim_free(story.sim);
}

/* ---- Stories --------------------------------------------------------------------------------- */

/* With nothing wrong every call ends well, and afterwards no timer runs and nothing is sent. */
static void test_idle_costs_nothing(void **state)
{
    (void)state;
    begin(1, META);
    start_calls(100);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 10 * (uint64_t)S));
    expect_true_ends(0, 100);
    expect_good_ends(0, 100);
    sim_run_us(story.sim, 10 * S);
    uint64_t events = sim_events(story.sim);
    sim_run_us(story.sim, 3600 * (uint64_t)S);
    assert_int_equal(sim_events(story.sim), events);
    finish();
}

/* A machine loses its power in silence: its connection is left once it has been silent for too
 * long, and the calls that come then go through. */
static void test_power_loss_is_survived(void **state)
{
    (void)state;
    begin(2, META);
    start_calls(20);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 10 * (uint64_t)S));
    sim_machine_crash(story.servers[1].machine, SIM_POWER);
    start_calls(200);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 60 * (uint64_t)S));
    sim_machine_restart(story.servers[1].machine);
    sim_run_us(story.sim, 5 * S);
    size_t before = story.made;
    start_calls(before + 50);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 10 * (uint64_t)S));
    expect_true_ends(0, before + 50);
    expect_good_ends(before, before + 50);
    finish();
}

/* Names that do not resolve are tried again until the deadline. */
static void test_names_that_do_not_resolve(void **state)
{
    (void)state;
    begin(3, "nowhere:34601, neither-here:34601");
    start_calls(10);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 60 * (uint64_t)S));
    expect_true_ends(0, 10);
    for (size_t i = 0; i < 10; i++) assert_int_equal(story.calls[i].rc, E_TIMEOUT);
    finish();
}

/* One name that does is enough. */
static void test_one_name_that_resolves(void **state)
{
    (void)state;
    begin(4, "nowhere:34601," META);
    start_calls(10);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 60 * (uint64_t)S));
    expect_good_ends(0, 10);
    finish();
}

/* The meta is away for long, and its name is resolved again and again: calls go on with what they
 * know, and so does the list when the name is gone meanwhile. */
static void test_data_outlives_the_meta(void **state)
{
    (void)state;
    begin(5, META);
    start_calls(30);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 60 * (uint64_t)S));
    sim_cut(story.caller, story.servers[0].machine);
    for (int i = 0; i < PARTITIONS; i++) { /* Moved without a word: the old route is in doubt. */
        if (story.primaries[i] == 0) story.primaries[i] = 1;
        story.ballots[i]++;
    }
    sim_reset(story.caller, story.servers[1].machine);
    size_t before = story.made;
    story.flags = CLUSTER_REPEAT_UNKNOWN;
    start_calls(before + 60);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 60 * (uint64_t)S));
    size_t good = 0;
    for (size_t i = before; i < story.made; i++) good += story.calls[i].rc == 0;
    assert_true(good > 10); /* Those of the second and the third, but for short deadlines. */
    sim_heal_all(story.sim);
    sim_run_us(story.sim, 15 * S);
    before = story.made;
    start_calls(before + 10);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 60 * (uint64_t)S));
    sim_run_us(story.sim, 5 * S);
    before = story.made;
    start_calls(before + 60);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 60 * (uint64_t)S));
    expect_good_ends(before, before + 60);
    finish();
}

static void run_seed(uint64_t seed)
{
    enum { TROUBLED = CALLS - 150, WARMED = CALLS - 100 };
    begin(seed, META);
    struct prng prng;
    prng_init(&prng, seed);
    start_calls(TROUBLED);
    while (!has_all_ended(NULL)) {
        sim_run_us(story.sim, prng_between(&prng, 1 * MS, 300 * MS));
        make_trouble(&prng);
    }
    expect_true_ends(0, TROUBLED);

    heal();
    start_calls(WARMED); /* They find the connections that died unnoticed. */
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 20 * (uint64_t)S));
    sim_run_us(story.sim, 15 * S);
    start_calls(CALLS);
    assert_true(sim_run_until(story.sim, has_all_ended, NULL, 20 * (uint64_t)S));
    expect_true_ends(TROUBLED, CALLS);
    expect_good_ends(WARMED, CALLS);
    finish();
}

/* Any trouble, any order. A seed that fails is printed: run_seed() of it is the next story. */
static void test_trouble(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 100 + SEEDS; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_costs_nothing),
        cmocka_unit_test(test_power_loss_is_survived),
        cmocka_unit_test(test_names_that_do_not_resolve),
        cmocka_unit_test(test_one_name_that_resolves),
        cmocka_unit_test(test_data_outlives_the_meta),
        cmocka_unit_test(test_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
