/* tests/rpc/test_cluster.c: calls find their server, through moves, splits, redirects and
 * silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "rpc/cluster.h"
#include "rpc/fake_cluster.h"
#include "wire/messages.h"

enum { CALLS_MAX = 64, METAS_SIZE = 256 };

struct story;

struct test_call {
    struct cluster_call call;
    struct story *story;
    int rc;
    enum wire_error error;
    int node; /* Which answered; -1: none. */
    size_t ends;
};

struct story {
    struct world world;
    struct fake_cluster fake;
    char metas[METAS_SIZE];
    struct cluster_options options;
    struct cluster *cluster;
    struct cluster_table *table;
    const char *table_name;
    bool is_closed;

    struct test_call calls[CALLS_MAX];
    size_t count, ended;
    enum rpc_code rpc;
    unsigned flags;
    uint64_t timeout_ms;
};

/* ---- Calls ----------------------------------------------------------------------------------- */

static void on_done(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct test_call *c = LIST_ENTRY(call, struct test_call, call);
    struct read_response read = {0};
    struct incr_response incr = {0};
    c->ends++;
    c->story->ended++;
    c->rc = answer->rc;
    c->error = answer->error;
    c->node = -1;
    if (answer->rc != 0 || answer->error != WIRE_ERR_OK) return;
    if (call->rpc == RPC_GET && rpc_answer_read(answer, &read_response_schema, NULL, &read) == 0)
        c->node = read.error;
    if (call->rpc == RPC_INCR && rpc_answer_read(answer, &incr_response_schema, NULL, &incr) == 0)
        c->node = (int)incr.new_value;
}

/* Call i goes to the partition that hash i falls to. */
static void call_all(void *argument)
{
    static const struct bare_blob key = {.value = {(const uint8_t *)"abcdef", 6}};
    static const struct incr_request incr = {.key = {(const uint8_t *)"abcdef", 6}};
    struct story *s = argument;
    for (size_t i = 0; i < s->count; i++) {
        struct test_call *c = &s->calls[i];
        c->story = s;
        c->ends = 0;
        c->call.rpc = s->rpc;
        c->call.schema = s->rpc == RPC_INCR ? &incr_request_schema : &bare_blob_schema;
        c->call.args = s->rpc == RPC_INCR ? (const void *)&incr : &key;
        c->call.deadline_ms = io_now(s->world.io).boot_ms + s->timeout_ms;
        c->call.flags = s->flags;
        c->call.on_done = on_done;
        cluster_call_key(s->table, i, &c->call);
    }
}

static bool has_all_ended(void *argument)
{
    const struct story *s = argument;
    return s->ended >= s->count;
}

static void call_and_wait(struct story *s, size_t count)
{
    s->count = count;
    s->ended = 0;
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, has_all_ended, s);
    for (size_t i = 0; i < count; i++) assert_int_equal(s->calls[i].ends, 1);
}

static void expect_nodes(const struct story *s)
{
    for (size_t i = 0; i < s->count; i++) {
        assert_int_equal(s->calls[i].rc, 0);
        assert_int_equal(s->calls[i].error, WIRE_ERR_OK);
        assert_int_equal(s->calls[i].node, s->fake.true_primaries[i % s->fake.true_count]);
    }
}

/* ---- The stage ------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct story *s = test_calloc(1, sizeof *s);
    world_open(&s->world);
    fake_cluster_open(&s->world, 3, &s->fake);
    for (size_t i = 0; i < s->fake.node_count; i++) {
        char text[IO_ADDRESS_TEXT_SIZE];
        io_address_print(s->fake.nodes[i].server.address, text);
        size_t size = strlen(s->metas);
        (void)snprintf(s->metas + size, sizeof s->metas - size, "%s%s", i == 0 ? "" : ",", text);
    }
    s->options = (struct cluster_options){.metas = s->metas, .framing = FRAME_RDSN};
    s->table_name = "temp";
    s->rpc = RPC_GET;
    s->timeout_ms = 20000;
    *state = s;
    return 0;
}

static void open_cluster(void *argument)
{
    struct story *s = argument;
    assert_int_equal(cluster_open(s->world.loop, &s->options, &s->cluster), 0);
    assert_int_equal(cluster_table_open(s->cluster, s->table_name, &s->table), 0);
}

/* Begin: the options are set by now. */
static void begin(struct story *s)
{
    on_loop(&s->world, open_cluster, s);
}

static void on_closed(void *context)
{
    struct story *s = context;
    s->is_closed = true;
}

static void close_cluster(void *argument)
{
    struct story *s = argument;
    cluster_close(s->cluster, on_closed, s);
}

static bool is_closed(void *argument)
{
    const struct story *s = argument;
    return s->is_closed;
}

static int teardown(void **state)
{
    struct story *s = *state;
    if (!s->is_closed) on_loop(&s->world, close_cluster, s);
    wait_until(&s->world, is_closed, s);
    fake_cluster_close(&s->fake);
    world_close(&s->world);
    test_free(s);
    return 0;
}

/* ---- Routes ---------------------------------------------------------------------------------- */

/* The first calls ask once for the route of all partitions, and each reaches its primary. */
static void test_calls_reach_their_primaries(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, CALLS_MAX);
    expect_nodes(s);
    assert_int_equal(s->fake.nodes[0].queries, 1);
    assert_int_equal(s->calls[5].call.partition_index, 1);
    assert_int_equal(s->calls[5].call.tries, 1);
}

static void test_the_same_over_thft(void **state)
{
    struct story *s = *state;
    s->options.framing = FRAME_THFT_V1;
    s->fake.leader = 2;
    begin(s);
    call_and_wait(s, CALLS_MAX);
    expect_nodes(s);
}

/* A primary has moved: ERR_INVALID_STATE has its partition, and no other, asked for again. */
static void test_refresh_after_invalid_state(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, 8);
    fake_cluster_move(&s->fake, 1, 2, true);
    call_and_wait(s, 8);
    expect_nodes(s);
    assert_int_equal(s->fake.last_query_count, 1);
    assert_int_equal(s->calls[1].call.tries, 2);
    assert_int_equal(s->calls[0].call.tries, 1);
}

static void tell_the_metas(void *argument)
{
    struct story *s = argument;
    fake_cluster_move(&s->fake, 1, 2, true);
}

/* The metas learn later than we do: the call tries on until they know. */
static void test_metas_that_lag_behind(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, 4);
    fake_cluster_move(&s->fake, 1, 2, false);
    s->count = 4;
    s->ended = 0;
    on_loop(&s->world, call_all, s);
    s->count = 3;
    wait_until(&s->world, has_all_ended, s);
    on_loop(&s->world, tell_the_metas, s);
    s->count = 4;
    wait_until(&s->world, has_all_ended, s);
    expect_nodes(s);
    assert_true(s->calls[1].call.tries > 1);
}

/* The table splits: a parent refuses keys of its child, and all is asked for anew; while a child
 * has no ballot its keys stay with the parent. */
static void test_split_doubles_the_count(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, 16);
    s->fake.count = 8;
    for (size_t i = 4; i < 8; i++) s->fake.ballots[i] = -1;
    fake_cluster_move(&s->fake, 1, 2, true); /* So that we ask, and hear of it. */
    call_and_wait(s, 16);
    expect_nodes(s);
    assert_int_equal(s->calls[5].call.partition_index, 1);

    for (size_t i = 4; i < 8; i++) s->fake.ballots[i] = 2;
    s->fake.true_count = 8;
    call_and_wait(s, 16);
    expect_nodes(s);
    assert_int_equal(s->calls[13].call.partition_index, 5);
}

/* A server is gone and its partitions have moved: calls go to the new primary. */
static void test_server_is_gone(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, 8);
    test_server_close(&s->fake.nodes[1].server);
    fake_cluster_move(&s->fake, 1, 2, true);
    call_and_wait(s, 8);
    expect_nodes(s);
}

/* ---- Trying again, or not -------------------------------------------------------------------- */

/* Without retries each failure is seen as it is; the route is refreshed for the next call. */
static void test_no_retry_shows_each_failure(void **state)
{
    struct story *s = *state;
    begin(s);
    s->flags = CLUSTER_NO_RETRY;
    call_and_wait(s, 4);
    expect_nodes(s);
    fake_cluster_move(&s->fake, 1, 2, true);
    call_and_wait(s, 4);
    assert_int_equal(s->calls[1].rc, 0);
    assert_int_equal(s->calls[1].error, WIRE_ERR_INVALID_STATE);
    call_and_wait(s, 4);
    expect_nodes(s);
}

/* An increment with an unknown outcome is not repeated, or it would count twice. */
static void test_increment_is_not_repeated(void **state)
{
    struct story *s = *state;
    begin(s);
    s->rpc = RPC_INCR;
    s->fake.nodes[0].manner = FAKE_SAYS;
    s->fake.nodes[0].error = WIRE_ERR_TIMEOUT;
    call_and_wait(s, 1);
    assert_int_equal(s->calls[0].rc, E_UNKNOWN);
    assert_int_equal(s->fake.nodes[0].incrs, 1);
}

static void recover(void *argument)
{
    struct story *s = argument;
    s->fake.nodes[0].manner = FAKE_GOOD;
}

static bool has_incremented_twice(void *argument)
{
    const struct story *s = argument;
    return s->fake.nodes[0].incrs >= 2;
}

/* Unless the caller says that it does not mind; and one that was surely not executed is repeated
 * too. */
static void repeat_increment(struct story *s, unsigned flags, enum wire_error error)
{
    begin(s);
    s->rpc = RPC_INCR;
    s->flags = flags;
    s->fake.nodes[0].manner = FAKE_SAYS;
    s->fake.nodes[0].error = error;
    s->count = 1;
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, has_incremented_twice, s);
    on_loop(&s->world, recover, s);
    wait_until(&s->world, has_all_ended, s);
    expect_nodes(s);
}

static void test_increment_is_repeated_when_asked_to(void **state)
{
    repeat_increment(*state, CLUSTER_REPEAT_UNKNOWN, WIRE_ERR_TIMEOUT);
}

static void test_increment_that_was_refused_is_repeated(void **state)
{
    repeat_increment(*state, 0, WIRE_ERR_NOT_ENOUGH_MEMBER);
}

/* Trying again cannot help: the error is the answer. */
static void test_final_error(void **state)
{
    struct story *s = *state;
    begin(s);
    s->fake.nodes[0].manner = FAKE_SAYS;
    s->fake.nodes[0].error = WIRE_ERR_INVALID_DATA;
    call_and_wait(s, 1);
    assert_int_equal(s->calls[0].rc, 0);
    assert_int_equal(s->calls[0].error, WIRE_ERR_INVALID_DATA);
    assert_int_equal(s->fake.nodes[0].gets, 1);
}

/* The deadline ends all trying, and tells the last error that a server gave. */
static void test_deadline_tells_the_last_error(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, 1); /* The route is known. */
    s->timeout_ms = 1000;
    s->fake.nodes[0].manner = FAKE_SAYS;
    s->fake.nodes[0].error = WIRE_ERR_NOT_ENOUGH_MEMBER;
    call_and_wait(s, 1);
    assert_int_equal(s->calls[0].rc, E_TIMEOUT);
    assert_int_equal(s->calls[0].error, WIRE_ERR_NOT_ENOUGH_MEMBER);
    assert_in_range(s->calls[0].call.tries, 2, 20);
}

/* ---- Metas ----------------------------------------------------------------------------------- */

/* The first in the list does not lead and says who does. */
static void test_redirect_to_the_leader(void **state)
{
    struct story *s = *state;
    s->fake.leader = 2;
    begin(s);
    call_and_wait(s, 4);
    expect_nodes(s);
    assert_int_equal(s->fake.nodes[0].queries, 1);
    assert_int_equal(s->fake.nodes[1].queries, 0);
}

/* Also for a call that is not to be tried again: a redirect is no failure. */
static void call_meta(void *argument)
{
    static const struct query_config_request query = {.app_name = {(const uint8_t *)"temp", 4}};
    struct story *s = argument;
    struct test_call *c = &s->calls[0];
    c->story = s;
    c->call.rpc = RPC_QUERY_CONFIG;
    c->call.schema = &query_config_request_schema;
    c->call.args = &query;
    c->call.deadline_ms = io_now(s->world.io).boot_ms + s->timeout_ms;
    c->call.flags = s->flags;
    c->call.on_done = on_done;
    cluster_call_meta(s->cluster, &c->call);
}

static void call_meta_and_wait(struct story *s)
{
    s->count = 1;
    s->ended = 0;
    on_loop(&s->world, call_meta, s);
    wait_until(&s->world, has_all_ended, s);
}

static void test_redirect_without_retry(void **state)
{
    struct story *s = *state;
    s->fake.leader = 2;
    s->flags = CLUSTER_NO_RETRY;
    begin(s);
    call_meta_and_wait(s);
    assert_int_equal(s->calls[0].rc, 0);
    assert_int_equal(s->calls[0].error, WIRE_ERR_OK);
    assert_int_equal(s->fake.nodes[2].queries, 1);
}

/* Without retries a dead meta is told of, and the next call goes to the next. */
static void test_dead_meta_without_retry(void **state)
{
    struct story *s = *state;
    s->fake.leader = 1;
    s->flags = CLUSTER_NO_RETRY;
    test_server_close(&s->fake.nodes[0].server);
    begin(s);
    call_meta_and_wait(s);
    assert_int_equal(s->calls[0].rc, E_REFUSED);
    call_meta_and_wait(s);
    assert_int_equal(s->calls[0].rc, 0);
}

/* A leader that is not in our list is found all the same. */
static void test_redirect_out_of_the_list(void **state)
{
    struct story *s = *state;
    *strchr(s->metas, ',') = '\0';
    s->fake.leader = 2;
    begin(s);
    call_and_wait(s, 4);
    expect_nodes(s);
}

/* Nobody says who leads: each is asked in turn. */
static void test_leader_is_looked_for(void **state)
{
    struct story *s = *state;
    s->fake.leader = 2;
    s->fake.tells_leader = false;
    begin(s);
    call_and_wait(s, 4);
    expect_nodes(s);
    assert_int_equal(s->fake.nodes[1].queries, 1);
}

/* The first in the list is gone. */
static void test_dead_meta(void **state)
{
    struct story *s = *state;
    s->fake.leader = 2;
    for (uint32_t i = 0; i < 4; i++) fake_cluster_move(&s->fake, i, 2, true);
    test_server_close(&s->fake.nodes[0].server);
    begin(s);
    call_and_wait(s, 4);
    expect_nodes(s);
}

/* The leader leads and is not ready: it is asked again. */
static void test_leader_that_is_not_ready(void **state)
{
    struct story *s = *state;
    s->fake.inactive_count = 2;
    begin(s);
    call_and_wait(s, 4);
    expect_nodes(s);
    assert_int_equal(s->fake.nodes[0].queries, 3);
    assert_int_equal(s->fake.nodes[1].queries, 0);
}

/* There is no such table: whoever waits is told, at once. */
static void test_no_such_table(void **state)
{
    struct story *s = *state;
    s->table_name = "nowhere";
    begin(s);
    call_and_wait(s, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s->calls[i].rc, E_NOTFOUND);
        assert_int_equal(s->calls[i].error, WIRE_ERR_OBJECT_NOT_FOUND);
    }
}

/* No meta is there at all: the deadline says so. */
static void test_no_meta_at_all(void **state)
{
    struct story *s = *state;
    s->options.metas = "127.0.0.1:1";
    s->timeout_ms = 60;
    begin(s);
    call_and_wait(s, 2);
    assert_int_equal(s->calls[0].rc, E_TIMEOUT);
}

static void test_lists_that_are_none(void **state)
{
    struct story *s = *state;
    struct cluster *none = NULL;
    s->options.metas = "nowhere";
    assert_int_equal(cluster_open(s->world.loop, &s->options, &none), E_INVALID);
    assert_null(none);
    s->options.metas = s->metas;
    begin(s);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static bool is_held(void *argument)
{
    const struct story *s = argument;
    return s->fake.nodes[0].held_count > 0;
}

/* Closing ends every call, wherever it stands. */
static void test_close_cancels(void **state)
{
    struct story *s = *state;
    begin(s);
    call_and_wait(s, 4); /* So that the route is known... */
    s->fake.nodes[0].manner = FAKE_SILENT;
    s->fake.nodes[1].manner = FAKE_SAYS;
    s->fake.nodes[1].error = WIRE_ERR_NOT_ENOUGH_MEMBER;
    fake_cluster_move(&s->fake, 2, 1, true);
    s->count = 3; /* ...one flies, one pauses, one waits for a meta that is silent. */
    s->ended = 0;
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, is_held, s);
    on_loop(&s->world, close_cluster, s);
    wait_until(&s->world, is_closed, s);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(s->calls[i].ends, 1);
        assert_int_equal(s->calls[i].rc, E_CANCELED);
    }
}

static void cancel_all(void *argument)
{
    struct story *s = argument;
    for (size_t i = 0; i < s->count; i++) cluster_call_cancel(&s->calls[i].call);
    cluster_table_close(s->table);
}

/* A cancelled call is forgotten, and its table can be closed. */
static void test_cancel(void **state)
{
    struct story *s = *state;
    begin(s);
    s->fake.nodes[0].manner = FAKE_SILENT;
    s->count = 4;
    on_loop(&s->world, call_all, s);
    wait_until(&s->world, is_held, s);
    on_loop(&s->world, cancel_all, s);
    assert_int_equal(s->ended, 0);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_calls_reach_their_primaries),
        STORY(test_the_same_over_thft),
        STORY(test_refresh_after_invalid_state),
        STORY(test_metas_that_lag_behind),
        STORY(test_split_doubles_the_count),
        STORY(test_server_is_gone),
        STORY(test_no_retry_shows_each_failure),
        STORY(test_increment_is_not_repeated),
        STORY(test_increment_is_repeated_when_asked_to),
        STORY(test_increment_that_was_refused_is_repeated),
        STORY(test_final_error),
        STORY(test_deadline_tells_the_last_error),
        STORY(test_redirect_to_the_leader),
        STORY(test_redirect_without_retry),
        STORY(test_dead_meta_without_retry),
        STORY(test_redirect_out_of_the_list),
        STORY(test_leader_is_looked_for),
        STORY(test_dead_meta),
        STORY(test_leader_that_is_not_ready),
        STORY(test_no_such_table),
        STORY(test_no_meta_at_all),
        STORY(test_lists_that_are_none),
        STORY(test_close_cancels),
        STORY(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
