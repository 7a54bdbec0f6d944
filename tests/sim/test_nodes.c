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
#include "obs/logger.h"
#include "sim/client.h"
#include "sim/cluster.h"
#include "wire/key.h"
#include "wire/messages.h"

enum { MS = 1000, S = 1000 * MS, NODES = 3, PARTITIONS = 4, KEYS = 24, ROUNDS = 12 };

static const char *const names[NODES] = {"one", "two", "three"};

enum { TRIES_MAX = 256 };

struct key_fate {
    int tried, acknowledged; /* The last value that was put, and the last that was answered. */
    bool is_open
        [TRIES_MAX]; /* Nobody knows what became of it: it may be done at any time, also later, when a
                              * server goes on that was stopped with the request before it. */
};

/* What the servers log is printed with its time: PIRENE_LOG=1. */
static struct sim *logging;

struct counter_fate {
    int64_t acknowledged,
        unknown; /* Increments that were answered, and those whose end nobody knows. */
};

struct cast {
    struct sim *sim;
    struct sim_cluster *nodes[NODES];
    struct sim_client *client;
    struct buf key, value;
    int value_size; /* Bytes of a value, at least. */
    bool is_lossy;  /* Chance takes replicas, too. */
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

static struct cast *cast_begin_synced(uint64_t seed, enum log_sync sync)
{
    struct cast *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->sim = logging = sim_new(seed);
    for (int i = 0; i < NODES; i++) {
        c->nodes[i] = sim_cluster_new(c->sim, names[i], 1);
        c->nodes[i]->config.sync = sync;
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

static struct cast *cast_begin(uint64_t seed)
{
    return cast_begin_synced(seed, LOG_SYNC_GROUP);
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

static struct burst *burst_begin(struct cast *c, uint64_t timeout_ms)
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
    return b;
}

static void burst_end(struct cast *c, struct burst *b)
{
    assert_true(sim_run_until(c->sim, is_burst_over, b, 60 * (uint64_t)S));
    for (int i = 0; i < KEYS; i++) {
        struct key_fate *fate = &c->keys[i];
        struct update_response response = {0};
        bool is_done = sim_call_read(&b->calls[i], &response) == 0 && response.error == RRDB_OK;
        if (is_done) fate->acknowledged = fate->tried;
        fate->is_open[fate->tried] = !is_done;
        sim_call_fini(&b->calls[i]);
        buf_fini(&b->keys[i]);
        buf_fini(&b->values[i]);
    }
    free(b);
}

static void put_burst(struct cast *c, uint64_t timeout_ms)
{
    burst_end(c, burst_begin(c, timeout_ms));
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
            print_message("put %d not done at %llu us\n", i,
                          (unsigned long long)sim_now_us(c->sim));
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

/* ---- What is lost of one replica -------------------------------------------------------------- */

enum loss { LOST_STORE, LOST_DIRECTORY, LOST_RECORDS, LOSSES };

struct wound {
    struct gpid gpid;
    enum loss loss;
    char segment[32]; /* The oldest of the log... */
    int segments;     /* ...which has so many. */
};

static struct wound wound_of(const struct cast *c, int partition, enum loss loss)
{
    return (struct wound){.gpid = c->found[0][partition]->gpid, .loss = loss};
}

static void note_oldest(void *context, const char *name)
{
    struct wound *w = context;
    if (strncmp(name, "log.", 4) != 0 || w->segments++ > 0) return;
    (void)snprintf(w->segment, sizeof w->segment, "%s", name);
}

/* A sector in the middle of a file is zeros now. */
static void rot(struct io *io, const char *path)
{
    enum { SECTOR = 512 };
    static const uint8_t zeros[SECTOR];
    struct io_file *file;
    uint64_t size = 0;
    assert_int_equal(io_file_open(io, path, IO_OPEN_READ | IO_OPEN_WRITE, &file), 0);
    assert_int_equal(io_file_size(file, &size), 0);
    const uint64_t offset = size / 2 / SECTOR * SECTOR;
    struct slice piece = slice_of(zeros, size - offset < SECTOR ? size - offset : SECTOR);
    assert_int_equal(io_file_write(file, offset, &piece, 1), 0);
    io_file_close(file);
}

/* The newest segment is spared: damage to the last group looks like its torn end (mutation-log.md, L9), and then
 * it is the primary that finds out (R13). */
static void rot_log(struct io *io, struct wound *w)
{
    char path[64];
    assert_int_equal(io_dir_list(io, "data/log", note_oldest, w), 0);
    (void)snprintf(path, sizeof path, "data/log/%s", w->segment);
    if (w->segments > 1) rot(io, path);
}

static void do_wound(struct sim_machine *m, void *context)
{
    struct wound *w = context;
    struct io *io = sim_machine_io(m);
    char dir[64], current[128];
    (void)snprintf(dir, sizeof dir, "data/replicas/%d.%d", w->gpid.app_id, w->gpid.partition_index);
    (void)snprintf(current, sizeof current, "%s/store/CURRENT", dir);
    switch (w->loss) {
    case LOST_STORE: rot(io, current); break;
    case LOST_DIRECTORY: assert_int_equal(io_dir_remove(io, dir), 0); break;
    case LOST_RECORDS: rot_log(io, w); break;
    case LOSSES: break;
    }
}

/* A server dies, and something of one replica is gone when it comes back. */
static void lose(struct cast *c, int node, struct wound wound)
{
    sim_cluster_crash(c->nodes[node], SIM_KILL);
    sim_cluster_tamper(c->nodes[node], do_wound, &wound);
    start(c, node);
}

/* What one replica of several has lost the others give it, whether it was the primary or not, with writes under way,
 * and nothing that was acknowledged is missing: a store that can't be opened, a directory, records of the log. */
static void test_lost_replica_learns(void **state)
{
    (void)state;
    for (enum loss loss = LOST_STORE; loss < LOSSES; loss++) {
        struct cast *c = cast_begin(20 + (uint64_t)loss);
        c->value_size = 300;
        for (int turn = 0; turn < 2 * PARTITIONS; turn++) {
            put_all(c, 1);
            lose(c, 1 + turn % 2, wound_of(c, turn % PARTITIONS, loss));
            put_all(c, 1);
            assert_equal_within(c, 60 * (uint64_t)S);
            assert_kept(c);
        }
        cast_end(c);
    }
}

/* The server dies again at any of its first outputs after that, and comes back: what its log has of before is not
 * taken for what it has learned. */
static void test_lost_replica_learns_through_crashes(void **state)
{
    (void)state;
    for (enum loss loss = LOST_STORE; loss < LOSSES; loss++) {
        struct cast *c = cast_begin(30 + (uint64_t)loss);
        for (uint64_t output = 1; output < 400; output += 7) {
            for (int i = 0; i < KEYS; i++) (void)put(c, i, 1000);
            lose(c, 2, wound_of(c, (int)(output % PARTITIONS), loss));
            sim_machine_crash_at(c->nodes[2]->machine, output,
                                 output % 2 == 0 ? SIM_POWER : SIM_KILL);
            sim_run_us(c->sim, S);
            if (!sim_machine_is_up(c->nodes[2]->machine)) start(c, 2);
            sim_machine_crash_at(c->nodes[2]->machine, 0, SIM_KILL);
            assert_equal_within(c, 60 * (uint64_t)S);
            assert_kept(c);
        }
        cast_end(c);
    }
}

/* A server's stores fail while it runs, in a flush and whatever follows; or its log does, for good. The others go on
 * within seconds. The stores are put aside and learned again by themselves; a log takes a start on a good disk. */
static void fail_while_running(uint64_t seed, int node, bool is_log)
{
    struct cast *c = cast_begin(seed);
    struct sim_machine *m = c->nodes[node]->machine;
    c->value_size = 300;
    put_all(c, 1);
    if (is_log) sim_disk_fail(m, SIM_DISK_SYNC, "/log.", 1, E_IO, true);
    else
        store_sim_faults_set(c->nodes[node]->stores,
                             &(struct store_sim_faults){.flush_code = E_IO});
    const uint64_t failed_us = sim_now_us(c->sim);
    put_all(c, 2);
    assert_true(sim_now_us(c->sim) - failed_us < 5 * (uint64_t)S);
    assert_true(sim_machine_is_up(m));
    if (is_log) sim_cluster_crash(c->nodes[node], SIM_KILL);
    sim_disk_mend(m);
    store_sim_faults_set(c->nodes[node]->stores, &(struct store_sim_faults){0});
    if (is_log) start(c, node);
    put_all(c, 1);
    assert_equal_within(c, 120 * (uint64_t)S);
    assert_kept(c);
    cast_end(c);
}

static void test_fails_while_running(void **state)
{
    (void)state;
    for (int node = 1; node < NODES; node++) {
        fail_while_running(50 + (uint64_t)node, node, false);
        fail_while_running(60 + (uint64_t)node, node, true);
    }
}

/* All servers die at once, before anything was flushed: what is committed nobody knows, for the logs alone have it.
 * One has lost the directories, and must not lead. */
static void test_lost_directories_after_an_outage(void **state)
{
    (void)state;
    for (int node = 0; node < NODES; node++) {
        struct cast *c = cast_begin(40 + (uint64_t)node);
        for (int i = 0; i < NODES; i++) c->nodes[i]->flush_us = 3600 * (uint64_t)S;
        put_all(c, 1);
        for (int i = 0; i < NODES; i++) sim_cluster_crash(c->nodes[i], SIM_KILL);
        for (int p = 0; p < PARTITIONS; p++) {
            struct wound wound = {.gpid = {1, p}, .loss = LOST_DIRECTORY};
            sim_cluster_tamper(c->nodes[node], do_wound, &wound);
        }
        for (int i = 0; i < NODES; i++) start(c, i);
        assert_equal_within(c, 60 * (uint64_t)S);
        assert_kept(c);
        cast_end(c);
    }
}

/* One of three is dead; another dies with writes under way. The last one keeps what it has, and leads: reads go
 * on, writes are refused. The two come back with empty disks, and are given everything. */
static void test_the_last_one_keeps_what_it_has(void **state)
{
    (void)state;
    struct cast *c = cast_begin(77);
    put_all(c, 2);
    sim_cluster_crash(c->nodes[2], SIM_KILL);
    sim_run_us(c->sim, 20 * (uint64_t)S);
    put_all(c, 1);
    const struct sim_link slow = {.delay_us = 2000};
    sim_link_default(c->sim, &slow);
    struct burst *b = burst_begin(c, 3000);
    sim_run_us(c->sim, 5500);
    sim_cluster_crash(c->nodes[1], SIM_KILL);
    burst_end(c, b);
    sim_run_us(c->sim, 30 * (uint64_t)S);
    assert_kept(c);
    assert_false(put(c, 0, 1000));
    for (int i = 1; i < NODES; i++) {
        sim_cluster_wipe(c->nodes[i]);
        start(c, i);
    }
    assert_equal_within(c, 120 * (uint64_t)S);
    assert_kept(c);
    cast_end(c);
}

/* Under sync = os a member loses the end of its log with its power, and is back before anybody took it for dead:
 * it learns again, from the one that has everything, although that is the only other one. */
static void test_lost_end_of_a_log(void **state)
{
    (void)state;
    for (uint64_t seed = 78; seed < 84; seed++) {
        struct cast *c = cast_begin_synced(seed, LOG_SYNC_OS);
        put_all(c, 1);
        sim_cluster_crash(c->nodes[2], SIM_KILL);
        sim_run_us(c->sim, 20 * (uint64_t)S);
        put_all(c, 3);
        sim_run_us(c->sim, 20 * MS);
        sim_check_each(c->sim, NULL,
                       NULL); /* A log that has lost its end breaks I4 until that is noticed. */
        sim_cluster_crash(c->nodes[1], SIM_POWER);
        start(c, 1);
        start(c, 2);
        sim_run_us(c->sim, 20 * (uint64_t)S);
        assert_equal_within(c, 60 * (uint64_t)S);
        assert_kept(c);
        cast_end(c);
    }
}

static bool is_three_copying(void *context)
{
    struct cast *c = context;
    memset(c->found, 0, sizeof c->found);
    c->looking_at = 2;
    if (c->nodes[2]->is_open) sim_cluster_each(c->nodes[2], note_replica, c);
    for (int p = 0; p < PARTITIONS; p++)
        if (c->found[2][p] != NULL && c->found[2][p]->repl.learning == REPL_LEARN_COPYING)
            return true;
    return false;
}

/* The power fails while stores are copied, again and again: what goes on where it was is what was synced. */
static void test_power_fails_while_copying(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 12; seed++) {
        struct cast *c = cast_begin(seed);
        c->value_size = 50000;
        put_all(c, 2);
        sim_cluster_wipe(c->nodes[2]);
        start(c, 2);
        for (int i = 0; i < 3; i++) {
            (void)sim_run_until(c->sim, is_three_copying, c, 20 * (uint64_t)S);
            sim_run_us(c->sim, prng_below(sim_prng(c->sim), 200 * MS));
            sim_cluster_crash(c->nodes[2], SIM_POWER);
            start(c, 2);
        }
        assert_equal_within(c, 120 * (uint64_t)S);
        assert_kept(c);
        cast_end(c);
    }
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

/* Nobody can lose more than what the others have: so only when all of them have all. */
static void lose_something(struct cast *c)
{
    struct prng *p = sim_prng(c->sim);
    const int node = 1 + (int)prng_below(p, NODES - 1);
    const int partition = (int)prng_below(p, PARTITIONS);
    const enum loss loss = (enum loss)prng_below(p, LOSSES);
    if (is_equal(c)) lose(c, node, wound_of(c, partition, loss));
}

static void disturb(struct cast *c)
{
    struct prng *p = sim_prng(c->sim);
    const int a = (int)prng_below(p, NODES), b = (a + 1 + (int)prng_below(p, NODES - 1)) % NODES;
    struct sim_machine *x = c->nodes[a]->machine, *y = c->nodes[b]->machine;
    switch (prng_below(p, c->is_lossy ? 11 : 8)) {
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
    case 7:
        if (sim_machine_is_up(x)) sim_machine_pause(x);
        break;
    default: lose_something(c); break;
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

static void play(uint64_t seed, bool is_lossy)
{
    struct cast *c = cast_begin(seed);
    c->is_lossy = is_lossy;
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
        2008,       /* A dying node's beacon was acknowledged. */
        431,        /* They meet a follower that has to ask again... */
        5004,       /* ...and learning from a log. */
        3233, 3477, /* A put of before came late; a copy that had come too late was in the way. */
    };
    for (uint64_t seed = 100; seed < 140; seed++) play(seed, false);
    for (size_t i = 0; i < sizeof remembered / sizeof remembered[0]; i++)
        play(remembered[i], false);
}

/* The same, and whenever all members have everything, one of them may lose some of it. */
static void test_chance_of_losses(void **state)
{
    (void)state;
    static const uint64_t remembered[] = {
        126, 153, 180, /* They meet copies that are interrupted, and go on... */
        460, 470, 477, /* ...and a message that another server does not take. */
    };
    for (uint64_t seed = 500; seed < 540; seed++) play(seed, true);
    for (size_t i = 0; i < sizeof remembered / sizeof remembered[0]; i++) play(remembered[i], true);
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
        cmocka_unit_test(test_the_last_one_keeps_what_it_has),
        cmocka_unit_test(test_lost_end_of_a_log),
        cmocka_unit_test(test_power_fails_while_copying),
        cmocka_unit_test(test_lost_replica_learns),
        cmocka_unit_test(test_lost_replica_learns_through_crashes),
        cmocka_unit_test(test_fails_while_running),
        cmocka_unit_test(test_lost_directories_after_an_outage),
        cmocka_unit_test(test_lease_ends_before_death),
        cmocka_unit_test(test_sleeping_meta_buries_nobody),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_chance_of_losses),
    };
    for (int i = 1; i < argc; i++) /* Seeds, for whoever looks. */
        for (int is_lossy = 0; is_lossy < 2; is_lossy++) play(strtoull(argv[i], NULL, 0), is_lossy);
    return argc > 1 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
