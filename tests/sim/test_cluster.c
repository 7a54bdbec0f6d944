/* tests/sim/test_cluster.c: a real node on a simulated machine: it serves, it ends well, and it comes
 * back with everything that it had acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/client.h"
#include "sim/cluster.h"
#include "wire/key.h"
#include "wire/messages.h"
#include "wire/messages_admin.h"

enum { MS = 1000, S = 1000 * MS };

struct story {
    struct sim *sim;
    struct sim_cluster *cluster;
    struct sim_client *client;
    struct buf key;
};

static int setup(void **state)
{
    struct story *s = calloc(1, sizeof *s);
    s->sim = sim_new(7);
    s->cluster = sim_cluster_new(s->sim, "one", 1);
    s->client = sim_client_new(s->sim, "client", "one:34601", "temp");
    sim_cluster_start(s->cluster);
    assert_true(sim_cluster_wait_ready(s->cluster, 5 * (uint64_t)S));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct story *s = *state;
    buf_fini(&s->key);
    sim_client_free(s->client);
    sim_cluster_free(s->cluster);
    sim_free(s->sim);
    free(s);
    return 0;
}

static void create_named(struct story *s, const char *name)
{
    struct create_app_request args = {
        .app_name = slice_str(name),
        .options = {.partition_count = 4,
                    .replica_count = 1,
                    .app_type = slice_str("pegasus"),
                    .is_stateful = true},
    };
    struct sim_call call = {.rpc = RPC_CREATE_APP, .args = &args, .timeout_ms = 5000};
    struct create_app_response response;
    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    assert_true(slice_is(response.err, "ERR_OK"));
    sim_call_fini(&call);
}

static void create_table(struct story *s)
{
    create_named(s, "temp");
}

static struct slice key_of(struct story *s, int i)
{
    char text[16];
    int size = snprintf(text, sizeof text, "user%d", i);
    buf_clear(&s->key);
    key_append(&s->key, slice_of(text, (size_t)size), slice_str("sort"));
    return buf_slice(&s->key);
}

/* Acknowledged, that is. */
static void put(struct story *s, int i)
{
    char text[16];
    struct update_request args = {.key = key_of(s, i)};
    args.value = slice_of(text, (size_t)snprintf(text, sizeof text, "value %d", i));
    struct sim_call call = {
        .rpc = RPC_PUT, .args = &args, .hash = key_hash(args.key), .timeout_ms = 5000};
    struct update_response response;
    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
    sim_call_fini(&call);
}

static void expect(struct story *s, int i)
{
    char text[16];
    size_t size = (size_t)snprintf(text, sizeof text, "value %d", i);
    struct bare_blob args = {.value = key_of(s, i)};
    struct sim_call call = {
        .rpc = RPC_GET, .args = &args, .hash = key_hash(args.value), .timeout_ms = 5000};
    struct read_response response;
    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
    assert_int_equal(response.value.size, size);
    assert_memory_equal(response.value.data, text, size);
    sim_call_fini(&call);
}

/* A table is made over the wire, written and read. */
static void test_serves(void **state)
{
    struct story *s = *state;
    create_table(s);
    for (int i = 0; i < 20; i++) put(s, i);
    for (int i = 0; i < 20; i++) expect(s, i);
}

/* Told to end, it ends, and no memory is left; the client too. Begun again, it has everything. */
static void test_stops_without_a_trace(void **state)
{
    struct story *s = *state;
    create_table(s);
    for (int i = 0; i < 20; i++) put(s, i);
    assert_true(sim_cluster_stop(s->cluster, 10 * (uint64_t)S));
    sim_cluster_start(s->cluster);
    assert_true(sim_cluster_wait_ready(s->cluster, 5 * (uint64_t)S));
    for (int i = 0; i < 20; i++) expect(s, i);
    assert_true(sim_client_stop(s->client, 10 * (uint64_t)S));
}

static void restart(struct story *s, enum sim_end how)
{
    sim_cluster_crash(s->cluster, how);
    sim_cluster_start(s->cluster);
    assert_true(sim_cluster_wait_ready(s->cluster, 5 * (uint64_t)S));
}

/* How many replicas the server states as failed, when it is asked. */
static int failed_replicas(struct story *s)
{
    struct query_replica_info_request args = {0};
    struct query_replica_info_response response = {0};
    struct sim_call call = {.rpc = RPC_QUERY_REPLICA_INFO, .args = &args, .timeout_ms = 5000};
    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    int count = 0;
    for (uint32_t i = 0; i < response.replicas.count; i++)
        count += response.replicas.items[i].status == PS_ERROR;
    sim_call_fini(&call);
    return count;
}

static void fail_opens(struct story *s, int code, uint32_t count)
{
    const struct store_sim_faults faults = {.open_code = code, .failing_opens = count};
    store_sim_faults_set(s->cluster->stores, &faults);
}

/* The stores of a new table can't be opened at first: the server says so, tries again, and in the end all
 * of them serve. */
static void test_opens_are_tried_again(void **state)
{
    struct story *s = *state;
    fail_opens(s, E_NOSPACE, 10);
    create_table(s);
    sim_run_us(s->sim, 50 * MS);
    assert_int_equal(failed_replicas(s), 4);
    sim_run_us(s->sim, S);
    assert_int_equal(failed_replicas(s), 0);
    for (int i = 0; i < 20; i++) put(s, i);
    for (int i = 0; i < 20; i++) expect(s, i);
}

static void drop_table(struct story *s)
{
    struct drop_app_request args = {.app_name = slice_str("temp"), .options = {0}};
    struct drop_app_response response;
    struct sim_call call = {.rpc = RPC_DROP_APP, .args = &args, .timeout_ms = 5000};
    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    assert_true(slice_is(response.err, "ERR_OK"));
    sim_call_fini(&call);
}

static void expect_no_openings(struct story *s)
{
    struct node *n = s->cluster->node;
    for (uint32_t i = 0; i < n->worker_count; i++)
        assert_true(list_is_empty(&n->workers[i].openings));
    LIST_EACH (it, &n->placements)
        assert_int_equal(LIST_ENTRY(it, struct placement, node)->state, CLOSED);
}

/* The table is dropped while its stores can't be opened: that ends it, whether a try is under way or waits
 * for its time, and the next table of that name is not concerned. Nor does it keep the server from ending. */
static void test_drop_ends_opening(void **state)
{
    struct story *s = *state;
    for (uint64_t after_us = 0; after_us < S; after_us = 3 * after_us + 1000) {
        fail_opens(s, E_IO, UINT32_MAX);
        create_table(s);
        sim_run_us(s->sim, after_us);
        drop_table(s);
        sim_run_us(s->sim, 100 * MS);
        expect_no_openings(s);
    }
    fail_opens(s, 0, 0);
    create_table(s);
    for (int i = 0; i < 20; i++) put(s, i);
    drop_table(s);
    fail_opens(s, E_IO, UINT32_MAX);
    create_table(s);
    sim_run_us(s->sim, 60 * (uint64_t)S); /* The next try is half a minute away. */
    assert_true(sim_cluster_stop(s->cluster, 10 * (uint64_t)S));
}

static void crash_and_come_back(struct story *s, enum sim_end how)
{
    create_table(s);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20; i++) put(s, 20 * round + i);
        restart(s, how);
        for (int i = 0; i < 20 * (round + 1); i++) expect(s, i);
    }
}

/* kill -9, right after the last answer. */
static void test_kill_loses_nothing(void **state)
{
    crash_and_come_back(*state, SIM_KILL);
}

/* The plug is pulled, right after the last answer. */
static void test_power_loss_loses_nothing(void **state)
{
    crash_and_come_back(*state, SIM_POWER);
}

/* ---- The store falls behind -------------------------------------------------------------------- */

enum { LARGE_SIZE = 1000000, LARGE_COUNT = 40, UNAPPLIED_MAX = 32 << 20 };

struct large_put {
    struct buf key;
    struct update_request args;
    struct sim_call call;
};

static void large_put_begin(struct large_put *p, struct sim_client *client, int i)
{
    static const char value[LARGE_SIZE];
    char sort[16];
    (void)snprintf(sort, sizeof sort, "%d", i);
    key_append(&p->key, slice_str("one partition"), slice_str(sort));
    p->args =
        (struct update_request){.key = buf_slice(&p->key), .value = slice_of(value, sizeof value)};
    p->call = (struct sim_call){.rpc = RPC_PUT,
                                .args = &p->args,
                                .hash = key_hash(p->args.key),
                                .flags = CLUSTER_NO_RETRY,
                                .timeout_ms = 60000};
    sim_call_begin(client, &p->call);
}

static bool is_refused(const struct large_put *p)
{
    return p->call.is_done && p->call.answer.error == WIRE_ERR_CAPACITY_EXCEEDED;
}

static void large_put_end(struct large_put *p)
{
    struct update_response response;
    assert_true(p->call.is_done);
    if (!is_refused(p)) {
        assert_int_equal(sim_call_read(&p->call, &response), 0);
        assert_int_equal(response.error, RRDB_OK);
    }
    sim_call_fini(&p->call);
    buf_fini(&p->key);
}

/* The store wants time and gets it: writes are held meanwhile, and when so many bytes are held, refused. What
 * was taken is answered when the store takes writes again, and so are new ones. */
static void test_store_behind_refuses_writes(void **state)
{
    static struct large_put puts[LARGE_COUNT];
    struct story *s = *state;
    const struct store_sim_faults stalled = {.stall_percent = 100}, none = {0};
    struct sim_client *other = sim_client_new(s->sim, "other", "one:34601", "temp");
    create_table(s);
    store_sim_faults_set(s->cluster->stores, &stalled);
    memset(puts, 0, sizeof puts);
    int count = 0, refused = 0;
    while (refused == 0 && count < LARGE_COUNT) {
        struct large_put *p = &puts[count++];
        /* From two: what one connection has under way is bounded too. */
        large_put_begin(p, count % 2 == 0 ? s->client : other, count);
        sim_run_us(s->sim, 5 * MS);
        refused += is_refused(p);
        assert_int_equal(p->call.is_done, is_refused(p));
    }
    assert_int_equal(count, UNAPPLIED_MAX / LARGE_SIZE + 2); /* Held, the one over it, and this. */

    store_sim_faults_set(s->cluster->stores, &none);
    sim_run_us(s->sim, S);
    for (int i = 0; i < count; i++) large_put_end(&puts[i]);
    put(s, 1);
    expect(s, 1);
    sim_client_free(other);
}

/* The log fails under an increment that is ordered and written. Its client hears that it may have happened,
 * and does not try again: found again by the next process, it has happened once. */
static void test_increment_under_a_failing_log_happens_once(void **state)
{
    struct story *s = *state;
    create_table(s);
    struct incr_request args = {.key = key_of(s, 1), .increment = 10};
    struct sim_call call = {
        .rpc = RPC_INCR, .args = &args, .hash = key_hash(args.key), .timeout_ms = 10000};
    struct incr_response response;
    sim_disk_fail(s->cluster->machine, SIM_DISK_SYNC, "/log/", 1, E_IO, false);
    sim_call_begin(s->client, &call);
    sim_run_us(s->sim, S);
    restart(s, SIM_KILL);
    sim_run_us(s->sim, S);
    assert_true(call.is_done);
    assert_int_equal(sim_call_read(&call, &response), E_UNKNOWN);

    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    assert_int_equal(response.new_value, 20);
    sim_call_fini(&call);
}

/* ---- Compaction -------------------------------------------------------------------------------------- */

static void start_compaction(struct story *s, const char *table)
{
    struct start_manual_compact_request args = {.app_name = slice_str(table)};
    struct sim_call call = {.rpc = RPC_START_MANUAL_COMPACT, .args = &args, .timeout_ms = 5000};
    struct start_manual_compact_response response;
    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    assert_true(slice_is(response.err, "ERR_OK"));
    sim_call_fini(&call);
}

/* Ask for one, stop the server so much later, and start it. */
static void stop_during_compaction(struct story *s, uint64_t after_us)
{
    struct start_manual_compact_request args = {.app_name = slice_str("temp")};
    struct sim_call call = {.rpc = RPC_START_MANUAL_COMPACT, .args = &args, .timeout_ms = 5000};
    struct start_manual_compact_response response;
    sim_call_begin(s->client, &call);
    sim_run_us(s->sim, after_us);
    assert_true(sim_cluster_stop(s->cluster, 10 * (uint64_t)S));
    sim_cluster_start(s->cluster);
    assert_true(sim_cluster_wait_ready(s->cluster, 5 * (uint64_t)S));
    while (!call.is_done) sim_run_us(s->sim, 10 * MS);
    (void)!sim_call_read(&call, &response);
    sim_call_fini(&call);
}

static int compaction_percent(struct story *s, const char *table)
{
    struct query_manual_compact_request args = {.app_name = slice_str(table)};
    struct sim_call call = {.rpc = RPC_QUERY_MANUAL_COMPACT, .args = &args, .timeout_ms = 5000};
    struct query_manual_compact_response response;
    assert_int_equal(sim_ask(s->client, &call, &response), 0);
    int percent = slice_is(response.err, "ERR_OK") ? response.progress : -1;
    sim_call_fini(&call);
    return percent;
}

/* Replicas that can't be compacted don't keep others waiting, nor those who wait for the end. */
static void test_compaction_passes_what_was_set_aside(void **state)
{
    struct story *s = *state;
    create_table(s);
    create_named(s, "other");
    for (int i = 0; i < 20; i++) put(s, i);
    sim_cluster_crash(s->cluster, SIM_KILL);
    fail_opens(s, E_CORRUPT, 2);
    sim_cluster_start(s->cluster);
    assert_true(sim_cluster_wait_ready(s->cluster, 5 * (uint64_t)S));
    fail_opens(s, 0, 0);
    start_compaction(s, "temp");
    start_compaction(s, "other");
    sim_run_us(s->sim, S);
    assert_int_equal(compaction_percent(s, "temp"), 100);
    assert_int_equal(compaction_percent(s, "other"), 100);
}

/* The server stops at any moment of a compaction: it does not wait for it, and nothing is lost. */
static void test_stop_ends_compaction(void **state)
{
    struct story *s = *state;
    create_table(s);
    for (int i = 0; i < 20; i++) put(s, i);
    for (uint64_t after_us = 0; after_us < 5 * MS; after_us += 40) {
        stop_during_compaction(s, after_us);
        for (int i = 0; i < 20; i++) expect(s, i);
    }
    sim_run_us(s->sim, S);
    assert_int_equal(compaction_percent(s, "temp"), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_without_a_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_opens_are_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compaction_passes_what_was_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_ends_compaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_ends_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_loss_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store_behind_refuses_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_increment_under_a_failing_log_happens_once, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
