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

static void create_table(struct story *s)
{
    struct create_app_request args = {
        .app_name = slice_str("temp"),
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
        sim_cluster_crash(s->cluster, how);
        sim_cluster_start(s->cluster);
        assert_true(sim_cluster_wait_ready(s->cluster, 5 * (uint64_t)S));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_without_a_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_opens_are_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_ends_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_loss_loses_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
