/* tests/sim/test_nodes.c: one cluster of three real nodes on simulated machines: what is acknowledged is
 * held by all members of its partition, whatever happens to machines and links; who dies is replaced, and who
 * comes back learns what it lacks.
 *
 *     client ──> one (the meta group), two, three: tables of three replicas
 *
 * After every event: one primary per ballot; what it has committed is in the logs of all members, and no
 * secondary is ahead of it once it serves; and where two replicas have committed the same decree, they
 * have committed the same bytes. Whom the metas take for dead has no lease. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "core/fd/fd.h"
#include "sim/client.h"
#include "obs/logger.h"
#include "sim/cluster.h"
#include "wire/key.h"
#include "wire/messages.h"

enum { MS = 1000, S = 1000 * MS, NODES = 3, PARTITIONS = 4, KEYS = 24, ROUNDS = 12 };

static const char *const names[NODES] = {"one", "two", "three"};

enum { TRIES_MAX = 256 };

struct key_fate {
    int tried, acknowledged; /* The last value that was put, and the last that was answered. */
    bool is_open[TRIES_MAX]; /* Nobody knows what became of it: it may be done at any time, also later, when a
                              * server goes on that was stopped with the request before it. */
};

/* What the servers log is printed with its time: PIRENE_LOG=1. */
static struct sim *logging;

struct counter_fate {
    int64_t acknowledged, unknown; /* Increments that were answered, and those whose end nobody knows. */
};

struct cast {
    struct sim *sim;
    struct sim_cluster *nodes[NODES];
    struct sim_client *client;
    struct buf key, value;
    int value_size; /* Bytes of a value, at least. */
    struct key_fate keys[KEYS];
    struct counter_fate counters[PARTITIONS];
    struct replica *found[NODES][PARTITIONS];
    int looking_at;
};

/* ---- What must be true after every event ----------------------------------------------------- */

static void note_replica(void *context, struct replica *r)
{
    struct cast *c = context;
    if (r->gpid.partition_index < PARTITIONS && !r->is_closing)
        c->found[c->looking_at][r->gpid.partition_index] = r;
}

static bool is_same(const struct replica *a, const struct replica *b, uint64_t decree)
{
    const struct chunk *x = repl_tail_get(&a->repl, decree), *y = repl_tail_get(&b->repl, decree);
    return x == NULL || y == NULL ||
           slice_equal(slice_of(x->data, x->capacity), slice_of(y->data, y->capacity));
}

/* What a primary has committed, the logs of all members hold; and one that serves has committed all that
 * anybody has: before, it may not know (I4, R7). */
static void check_two(const struct repl *a, const struct repl *b)
{
    if (a->config.ballot != b->config.ballot || a->role != REPL_PRIMARY) return;
    CHECK(b->role != REPL_PRIMARY); /* I1 */
    if (b->role != REPL_SECONDARY) return;
    CHECK(a->committed <= b->logged);
    if (repl_is_serving(a)) CHECK(b->committed <= a->committed);
}

/* Whom the metas take for dead answers nobody: its lease is over (I2, I8). */
static void check_dead(const struct cast *c)
{
    if (!c->nodes[0]->is_open) return;
    for (int i = 1; i < NODES; i++) {
        struct node *n = c->nodes[i]->is_open ? c->nodes[i]->node : NULL;
        const struct meta_node *told =
            n != NULL ? meta_node_by_id(c->nodes[0]->node->meta, n->node_id) : NULL;
        if (told == NULL || told->is_alive || told->incarnation != n->incarnation) continue;
        CHECK(!node_lease_holds(n));
    }
}

static void check_each(void *context)
{
    struct cast *c = context;
    check_dead(c);
    memset(c->found, 0, sizeof c->found);
    for (c->looking_at = 0; c->looking_at < NODES; c->looking_at++)
        if (c->nodes[c->looking_at]->is_open)
            sim_cluster_each(c->nodes[c->looking_at], note_replica, c);
    for (int p = 0; p < PARTITIONS; p++)
        for (int i = 0; i < NODES; i++)
            for (int k = 0; k < NODES; k++) {
                const struct replica *a = c->found[i][p], *b = c->found[k][p];
                if (i == k || a == NULL || b == NULL) continue;
                check_two(&a->repl, &b->repl);
                uint64_t both =
                    a->repl.committed < b->repl.committed ? a->repl.committed : b->repl.committed;
                CHECK(is_same(a, b, both));
            }
}

/* ---- The stage ------------------------------------------------------------------------------- */

static void start(struct cast *c, int node)
{
    sim_cluster_start(c->nodes[node]);
}

static void create_table(struct cast *c)
{
    struct create_app_request args = {
        .app_name = slice_str("t"),
        .options = {.partition_count = PARTITIONS,
                    .replica_count = NODES,
                    .app_type = slice_str("pegasus"),
                    .is_stateful = true},
    };
    struct sim_call call = {.rpc = RPC_CREATE_APP, .args = &args, .timeout_ms = 5000};
    struct create_app_response response;
    assert_int_equal(sim_ask(c->client, &call, &response), 0);
    assert_true(slice_is(response.err, "ERR_OK"));
    sim_call_fini(&call);
}

static struct cast *cast_begin(uint64_t seed)
{
    struct cast *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->sim = logging = sim_new(seed);
    for (int i = 0; i < NODES; i++) {
        c->nodes[i] = sim_cluster_new(c->sim, names[i], 1);
        if (i > 0) (void)snprintf(c->nodes[i]->config.join, CONFIG_METAS_SIZE, "one:34601");
        start(c, i);
    }
    c->client = sim_client_new(c->sim, "client", "one:34601", "t");
    for (int i = 0; i < NODES; i++)
        assert_true(sim_cluster_wait_ready(c->nodes[i], 10 * (uint64_t)S));
    sim_check_each(c->sim, check_each, c);
    create_table(c);
    return c;
}

static void cast_end(struct cast *c)
{
    logging = NULL;
    sim_check_each(c->sim, NULL, NULL);
    buf_fini(&c->key);
    buf_fini(&c->value);
    sim_client_free(c->client);
    for (int i = 0; i < NODES; i++) sim_cluster_free(c->nodes[i]);
    sim_free(c->sim);
    free(c);
}

/* ---- Acts ------------------------------------------------------------------------------------ */

static struct slice key_of(struct cast *c, int key)
{
    char text[16];
    int size = snprintf(text, sizeof text, "user%d", key);
    buf_clear(&c->key);
    key_append(&c->key, slice_of(text, (size_t)size), slice_str("s"));
    return buf_slice(&c->key);
}

/* The next value of a key; true: acknowledged. */
static bool put(struct cast *c, int key, uint64_t timeout_ms)
{
    struct key_fate *fate = &c->keys[key];
    struct update_request args = {.key = key_of(c, key)};
    struct update_response response = {0};
    fate->tried++;
    assert_true(fate->tried < TRIES_MAX);
    buf_clear(&c->value);
    buf_printf(&c->value, "%-*d", c->value_size, fate->tried);
    args.value = buf_slice(&c->value);
    struct sim_call call = {
        .rpc = RPC_PUT, .args = &args, .hash = key_hash(args.key), .timeout_ms = timeout_ms};
    bool is_done = sim_ask(c->client, &call, &response) == 0 && response.error == RRDB_OK;
    if (is_done) fate->acknowledged = fate->tried;
    fate->is_open[fate->tried] = !is_done;
    sim_call_fini(&call);
    return is_done;
}

/* Puts of all keys at once. */
struct burst {
    struct sim_call calls[KEYS];
    struct update_request args[KEYS];
    struct buf keys[KEYS], values[KEYS];
};

static bool is_burst_over(void *context)
{
    const struct burst *b = context;
    for (int i = 0; i < KEYS; i++)
        if (!b->calls[i].is_done) return false;
    return true;
}

static void put_burst(struct cast *c, uint64_t timeout_ms)
{
    struct burst *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (int i = 0; i < KEYS; i++) {
        struct key_fate *fate = &c->keys[i];
        assert_true(++fate->tried < TRIES_MAX);
        struct slice key = key_of(c, i);
        buf_append(&b->keys[i], key.data, key.size);
        buf_printf(&b->values[i], "%-*d", c->value_size, fate->tried);
        b->args[i] = (struct update_request){.key = buf_slice(&b->keys[i]),
                                             .value = buf_slice(&b->values[i])};
        b->calls[i] = (struct sim_call){.rpc = RPC_PUT,
                                        .args = &b->args[i],
                                        .hash = key_hash(b->args[i].key),
                                        .timeout_ms = timeout_ms};
        sim_call_begin(c->client, &b->calls[i]);
    }
    assert_true(sim_run_until(c->sim, is_burst_over, b, (timeout_ms + 10000) * MS));
    for (int i = 0; i < KEYS; i++) {
        struct key_fate *fate = &c->keys[i];
        struct update_response response = {0};
        bool is_done =
            sim_call_read(&b->calls[i], &response) == 0 && response.error == RRDB_OK;
        if (is_done) fate->acknowledged = fate->tried;
        fate->is_open[fate->tried] = !is_done;
        sim_call_fini(&b->calls[i]);
        buf_fini(&b->keys[i]);
        buf_fini(&b->values[i]);
    }
    free(b);
}

/* The number that a key holds; 0: nothing. */
static int read_text(struct cast *c, struct slice key)
{
    char text[16] = {0};
    struct bare_blob args = {.value = key};
    struct read_response response;
    struct sim_call call = {
        .rpc = RPC_GET, .args = &args, .hash = key_hash(args.value), .timeout_ms = 20000};
    assert_int_equal(sim_ask(c->client, &call, &response), 0);
    const size_t size = response.value.size;
    if (response.error == RRDB_OK)
        memcpy(text, response.value.data, size < sizeof text ? size : sizeof text - 1);
    else assert_int_equal(response.error, RRDB_NOT_FOUND);
    sim_call_fini(&call);
    return atoi(text);
}

static int get(struct cast *c, int key)
{
    return read_text(c, key_of(c, key));
}

static struct slice counter_of(struct cast *c, int partition)
{
    buf_clear(&c->key);
    for (int i = 0;; i++) {
        char text[24];
        int size = snprintf(text, sizeof text, "counter%d", i);
        buf_clear(&c->key);
        key_append(&c->key, slice_of(text, (size_t)size), slice_str("s"));
        if (key_hash(buf_slice(&c->key)) % PARTITIONS == (uint64_t)partition)
            return buf_slice(&c->key);
    }
}

/* One more; executed once, or not at all, or nobody knows, but never twice. */
static void count(struct cast *c, int partition, uint64_t timeout_ms)
{
    struct counter_fate *fate = &c->counters[partition];
    struct incr_request args = {.key = counter_of(c, partition), .increment = 1};
    struct incr_response response = {0};
    struct sim_call call = {
        .rpc = RPC_INCR, .args = &args, .hash = key_hash(args.key), .timeout_ms = timeout_ms};
    int rc = sim_ask(c->client, &call, &response);
    if (rc == 0 && response.error == RRDB_OK) {
        fate->acknowledged++;
        assert_true(response.new_value <= fate->acknowledged + fate->unknown);
        assert_true(response.new_value >= fate->acknowledged);
    } else if (call.answer.is_sent) {
        fate->unknown++;
    }
    sim_call_fini(&call);
}

/* Every member of every partition has applied the same decree. */
static bool is_equal(void *context)
{
    struct cast *c = context;
    check_each(c);
    for (int p = 0; p < PARTITIONS; p++) {
        int primaries = 0;
        for (int i = 0; i < NODES; i++) {
            const struct replica *r = c->found[i][p];
            if (r == NULL || (r->repl.role != REPL_PRIMARY && r->repl.role != REPL_SECONDARY))
                return false;
            primaries += repl_is_serving(&r->repl);
            /* Who was led by another may hold what nobody has ever committed. */
            if (r->repl.applied != c->found[0][p]->repl.applied ||
                (r->repl.role == REPL_PRIMARY && r->repl.applied != r->repl.prepared))
                return false;
        }
        if (primaries != 1) return false;
    }
    return true;
}

/* What is seen of it, when it never is so. */
static void print_replicas(const struct cast *c)
{
    for (int p = 0; p < PARTITIONS; p++)
        for (int i = 0; i < NODES; i++) {
            const struct replica *r = c->found[i][p];
            if (r == NULL) print_message("%d on %s: not there\n", p, names[i]);
            else
                print_message("%d on %s: role %d ballot %d (%d) applied %d committed %d logged %d "
                              "prepared %d unheard %d stopped %d\n",
                              p, names[i], (int)r->repl.role, (int)r->repl.config.ballot,
                              (int)r->repl.coming.ballot, (int)r->repl.applied,
                              (int)r->repl.committed, (int)r->repl.logged, (int)r->repl.prepared,
                              (int)r->repl.unheard, (int)r->repl.is_stopped);
        }
}

static void assert_equal_within(struct cast *c, uint64_t for_us)
{
    bool is_so = is_equal(c) || sim_run_until(c->sim, is_equal, c, for_us);
    if (!is_so) print_replicas(c);
    assert_true(is_so);
}

/* No acknowledged value is lost, and none appears that nobody put. */
static void assert_kept(struct cast *c)
{
    for (int i = 0; i < KEYS; i++) {
        int value = get(c, i);
        const struct key_fate *fate = &c->keys[i];
        bool is_right = value == fate->acknowledged ||
                        (value > 0 && value <= fate->tried && fate->is_open[value]);
        if (!is_right)
            print_message("key %d: %d, acknowledged %d, tried %d\n", i, value, fate->acknowledged,
                          fate->tried);
        assert_true(is_right);
    }
    for (int i = 0; i < PARTITIONS; i++) {
        const struct counter_fate *fate = &c->counters[i];
        int64_t value = read_text(c, counter_of(c, i));
        if (value < fate->acknowledged || value > fate->acknowledged + fate->unknown)
            print_message("counter %d: %d, acknowledged %d, unknown %d\n", i, (int)value,
                          (int)fate->acknowledged, (int)fate->unknown);
        assert_true(value >= fate->acknowledged && value <= fate->acknowledged + fate->unknown);
    }
}

/* ---- Stories --------------------------------------------------------------------------------- */

/* Writes are held by all three, and read. */
static void test_held_by_all(void **state)
{
    (void)state;
    struct cast *c = cast_begin(1);
    for (int i = 0; i < KEYS; i++) assert_true(put(c, i, 5000));
    assert_equal_within(c, S);
    assert_kept(c);
    cast_end(c);
}

/* The last write before silence is acknowledged by all members, and its commit point reaches all of them,
 * with every timer of every server held back (I23). */
static void test_last_write_needs_no_timer(void **state)
{
    (void)state;
    struct cast *c = cast_begin(2);
    for (int i = 0; i < KEYS; i++) assert_true(put(c, i, 5000));
    assert_equal_within(c, S);
    for (int i = 0; i < NODES; i++) sim_timers_hold(c->nodes[i]->machine, true);
    for (int i = 0; i < KEYS; i++) {
        assert_true(put(c, i, 5000));
        assert_equal_within(c, 20 * MS);
    }
    cast_end(c);
}

/* A write that a member does not hold is not acknowledged; when that can be reached again it is held, with
 * nothing sent after it: the cut is too short for anybody's death. */
static void test_cut_member(void **state)
{
    (void)state;
    struct cast *c = cast_begin(3);
    for (int i = 0; i < KEYS; i++) assert_true(put(c, i, 5000));
    sim_cut(c->nodes[0]->machine, c->nodes[2]->machine);
    sim_cut(c->nodes[1]->machine, c->nodes[2]->machine);
    int acknowledged = 0;
    for (int i = 0; i < KEYS; i++) acknowledged += put(c, i, 300);
    assert_int_equal(acknowledged, 0);
    sim_heal_all(c->sim);
    assert_equal_within(c, 20 * (uint64_t)S);
    assert_kept(c);
    cast_end(c);
}

static bool is_taken_for(const struct cast *c, int node, bool is_alive)
{
    const struct meta_node *told =
        meta_node_by_id(c->nodes[0]->node->meta, c->nodes[node]->node->node_id);
    return told->is_alive == is_alive;
}

static void put_all(struct cast *c, int rounds)
{
    for (int i = 0; i < rounds * KEYS; i++) {
        bool is_done = put(c, i % KEYS, 20000);
        if (!is_done) {
            print_message("put %d not done at %llu us\n", i, (unsigned long long)sim_now_us(c->sim));
            print_replicas(c);
        }
        assert_true(is_done);
    }
}

/* A server dies for good: within a grace, and what it takes to notice, all partitions take writes again. It
 * comes back and learns what it lacks: from memory, or what the logs have, or with a copy of a store. */
static void fail_over(uint64_t seed, int value_size, enum sim_end how)
{
    struct cast *c = cast_begin(seed);
    c->value_size = value_size;
    for (int node = NODES - 1; node > 0; node--) {
        put_all(c, 1);
        sim_cluster_crash(c->nodes[node], how);
        const uint64_t died_us = sim_now_us(c->sim);
        put_all(c, 1);
        assert_true(sim_now_us(c->sim) - died_us < 11 * (uint64_t)S);
        put_all(c, 3);
        start(c, node);
        assert_equal_within(c, 60 * (uint64_t)S);
        assert_kept(c);
    }
    cast_end(c);
}

static void test_fails_over(void **state)
{
    (void)state;
    fail_over(11, 1, SIM_KILL);
    fail_over(12, 2000, SIM_KILL);
    fail_over(13, 5000, SIM_POWER);
}

/* A server loses its disk: it is another one then, and learns everything. */
static void test_lost_disk(void **state)
{
    (void)state;
    struct cast *c = cast_begin(14);
    c->value_size = 5000;
    put_all(c, 2);
    sim_cluster_wipe(c->nodes[2]);
    start(c, 2);
    put_all(c, 1);
    assert_equal_within(c, 120 * (uint64_t)S);
    assert_kept(c);
    cast_end(c);
}

static bool is_three_dead(void *context)
{
    return is_taken_for(context, 2, false);
}

static bool is_three_alive(void *context)
{
    return is_taken_for(context, 2, true);
}

static bool is_three_without_lease(void *context)
{
    struct cast *c = context;
    return !node_lease_holds(c->nodes[2]->node);
}

/* A server that cannot reach the metas stops answering when its lease ends; after that, and not before,
 * they take it for dead. It can be reached again: it says that it lives, and serves. Its clock is slow,
 * and theirs is fast. */
static void test_lease_ends_before_death(void **state)
{
    (void)state;
    struct cast *c = cast_begin(5);
    sim_clock_rate(c->nodes[2]->machine, -FD_RATE_PPM_MAX);
    sim_clock_rate(c->nodes[0]->machine, FD_RATE_PPM_MAX);
    for (int i = 0; i < KEYS; i++) assert_true(put(c, i, 5000));
    sim_cut(c->nodes[0]->machine, c->nodes[2]->machine);
    sim_run_us(c->sim, 4 * (uint64_t)S);
    assert_false(is_three_without_lease(c));
    assert_true(sim_run_until(c->sim, is_three_without_lease, c, 3 * (uint64_t)S));
    assert_false(is_three_dead(c));
    assert_true(sim_run_until(c->sim, is_three_dead, c, 5 * (uint64_t)S));
    sim_heal_all(c->sim);
    assert_true(sim_run_until(c->sim, is_three_alive, c, 20 * (uint64_t)S));
    assert_equal_within(c, 20 * (uint64_t)S);
    assert_kept(c);
    cast_end(c);
}

/* The meta is paused for longer than a grace: when it goes on it gives everybody time, and nobody is taken
 * for dead. */
static void test_sleeping_meta_buries_nobody(void **state)
{
    (void)state;
    struct cast *c = cast_begin(6);
    for (int i = 0; i < KEYS; i++) assert_true(put(c, i, 5000));
    sim_machine_pause(c->nodes[0]->machine);
    sim_run_us(c->sim, 20 * (uint64_t)S);
    assert_true(is_three_without_lease(c));
    sim_machine_resume(c->nodes[0]->machine);
    for (int i = 0; i < 40; i++) {
        sim_run_us(c->sim, 100 * MS);
        assert_true(is_three_alive(c));
    }
    assert_equal_within(c, 20 * (uint64_t)S);
    assert_kept(c);
    cast_end(c);
}

/* Each server in turn is killed, or loses power, with writes under way, and comes back. */
static void test_each_comes_back(void **state)
{
    (void)state;
    struct cast *c = cast_begin(4);
    for (int round = 0; round < 2 * NODES; round++) {
        for (int i = 0; i < KEYS; i++) (void)put(c, i, 1000);
        sim_cluster_crash(c->nodes[round % NODES], round < NODES ? SIM_KILL : SIM_POWER);
        for (int i = 0; i < 5; i++) assert_false(put(c, i, 200));
        start(c, round % NODES);
        assert_true(sim_cluster_wait_ready(c->nodes[round % NODES], 20 * (uint64_t)S));
        assert_equal_within(c, 20 * (uint64_t)S);
        assert_kept(c);
    }
    cast_end(c);
}

/* ---- Chance ---------------------------------------------------------------------------------- */

static void disturb(struct cast *c)
{
    struct prng *p = sim_prng(c->sim);
    const int a = (int)prng_below(p, NODES), b = (a + 1 + (int)prng_below(p, NODES - 1)) % NODES;
    struct sim_machine *x = c->nodes[a]->machine, *y = c->nodes[b]->machine;
    switch (prng_below(p, 8)) {
    case 0: sim_cluster_crash(c->nodes[a], SIM_KILL); break;
    case 1: sim_cluster_crash(c->nodes[a], SIM_POWER); break;
    case 2: sim_cut(x, y); break;
    case 3: sim_cut_one_way(x, y); break;
    case 4: sim_clog(x, y, prng_below(p, 2 * S)); break;
    case 5: sim_reset(x, y); break;
    case 6: /* As an operator stops it; if it does not end (it is paused), as his supervisor does. */
        if (sim_machine_is_up(x) && c->nodes[a]->is_ready &&
            !sim_cluster_stop(c->nodes[a], 5 * (uint64_t)S))
            sim_cluster_crash(c->nodes[a], SIM_KILL);
        break;
    default:
        if (sim_machine_is_up(x)) sim_machine_pause(x);
        break;
    }
}

static void mend(struct cast *c)
{
    sim_heal_all(c->sim);
    for (int i = 0; i < NODES; i++) {
        sim_machine_resume(c->nodes[i]->machine);
        if (!sim_machine_is_up(c->nodes[i]->machine)) start(c, i);
    }
}

static void play(uint64_t seed)
{
    struct cast *c = cast_begin(seed);
    const struct sim_link slow = {.delay_us = 500};
    if (seed % 2 == 0) sim_link_default(c->sim, &slow);
    c->value_size = seed % 3 == 0 ? 4000 : 1;
    for (int round = 0; round < ROUNDS; round++) {
        disturb(c);
        for (int i = 0; i < 6; i++) (void)put(c, (int)prng_below(sim_prng(c->sim), KEYS), 200);
        for (int i = 0; i < PARTITIONS; i++) count(c, i, 300);
        if (prng_below(sim_prng(c->sim), 3) > 0) mend(c);
        if (prng_below(sim_prng(c->sim), 3) == 0) { /* While they learn again. */
            sim_run_us(c->sim, prng_below(sim_prng(c->sim), 30 * MS));
            disturb(c);
        }
        for (uint64_t i = prng_below(sim_prng(c->sim), 4); i > 0; i--) put_burst(c, 300);
        for (int i = 0; i < 6; i++) (void)put(c, (int)prng_below(sim_prng(c->sim), KEYS), 500);
    }
    mend(c);
    assert_equal_within(c, 120 * (uint64_t)S);
    assert_kept(c);
    cast_end(c);
}

/* Machines and links fail at random; afterwards all is there, and all members are equal. */
static void test_chance(void **state)
{
    (void)state;
    static const uint64_t remembered[] = {
        2008,     /* A dying node's beacon was acknowledged. */
        6100, 6177, /* They meet a message that another server does not take... */
        431,        /* ...a follower that has to ask again... */
        5004,       /* ...learning from a log... */
        5196, 6366, /* ...and copies that are interrupted, and go on. */
        3233, 3477, /* A put of before came late; a copy that had come too late was in the way. */
    };
    for (uint64_t seed = 100; seed < 140; seed++) play(seed);
    for (size_t i = 0; i < sizeof remembered / sizeof remembered[0]; i++) play(remembered[i]);
}

static void print_log(struct logger_sink *sink, enum logger_level level, struct slice line)
{
    (void)sink;
    (void)level;
    (void)fprintf(stderr, "%9llu us %.*s\n",
                  logging != NULL ? (unsigned long long)sim_now_us(logging) : 0, (int)line.size,
                  (const char *)line.data);
}

int main(int argc, char **argv)
{
    struct logger_sink sink = {.level = LOG_LEVEL_DEBUG, .write = print_log};
    if (getenv("PIRENE_LOG") != NULL) logger_sink_set(&sink);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_by_all),
        cmocka_unit_test(test_last_write_needs_no_timer),
        cmocka_unit_test(test_cut_member),
        cmocka_unit_test(test_each_comes_back),
        cmocka_unit_test(test_fails_over),
        cmocka_unit_test(test_lost_disk),
        cmocka_unit_test(test_lease_ends_before_death),
        cmocka_unit_test(test_sleeping_meta_buries_nobody),
        cmocka_unit_test(test_chance),
    };
    for (int i = 1; i < argc; i++) play(strtoull(argv[i], NULL, 0)); /* Seeds, for whoever looks. */
    return argc > 1 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
