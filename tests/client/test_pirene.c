/* tests/client/test_pirene.c: libpirene against a real server: a story for every call. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/client.h"
#include "client/process.h"
#include "io/uv.h"
#include "pirene.h"

struct world {
    struct process server, remote;
    struct pirene *db;
    struct pirene_table *table;
};

static struct pirene_key key(const char *hash, const char *sort)
{
    struct pirene_key k = {pirene_text(hash), pirene_text(sort)};
    return k;
}

static void assert_bytes(struct pirene_bytes bytes, const char *text)
{
    assert_int_equal(bytes.size, strlen(text));
    if (bytes.size > 0) assert_memory_equal(bytes.data, text, bytes.size);
}

/* ---- The world ------------------------------------------------------------------------------- */

/* Ask a meta something that pirene.h does not offer. */
static void ask_meta(const char *metas, enum rpc_code rpc, const void *args, void *result)
{
    struct io *io;
    struct io_loop *loop;
    struct client *client;
    struct arena arena = {0};
    struct err e = {0};
    struct client_question question = {.to = CLIENT_META, .rpc = rpc, .args = args};
    assert_int_equal(io_uv_open(&io), 0);
    assert_int_equal(io_loop_open(io, IO_LOOP_EVENTS, "test", &loop), 0);
    assert_int_equal(client_open(loop, metas, &client), 0);
    assert_int_equal(client_ask(client, &question, &arena, result, &e), 0);
    client_close(client);
    io_loop_close(loop);
    io_uv_close(io);
    arena_fini(&arena);
}

static void create_table(const struct process *server, const char *name, int32_t partitions)
{
    struct create_app_request args = {.app_name = slice_str(name),
                                      .options = {.partition_count = partitions,
                                                  .replica_count = 1,
                                                  .is_stateful = true,
                                                  .app_type = slice_str("pegasus")}};
    struct create_app_response result;
    ask_meta(server->address, RPC_CREATE_APP, &args, &result);
    assert_true(result.appid > 0);
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){0};
    process_open(&w.server, 1);
    create_table(&w.server, "t", 4);
    assert_int_equal(pirene_open(w.server.address, NULL, &w.db), PIRENE_OK);
    assert_int_equal(pirene_table_open(w.db, "t", &w.table), PIRENE_OK);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    pirene_close(w->db);
    process_close(&w->server);
    process_close(&w->remote);
    return 0;
}

/* ---- One record ------------------------------------------------------------------------------ */

/* What was put is got, until it is deleted; deleting what is not there is fine. */
static void test_put_get_del(void **state)
{
    struct world *w = *state;
    struct pirene_result r;
    assert_int_equal(pirene_get(w->table, key("a", "1"), &r), PIRENE_NOT_FOUND);
    pirene_result_free(&r);
    assert_int_equal(pirene_put(w->table, key("a", "1"), pirene_text("one"), 0), PIRENE_OK);
    assert_int_equal(pirene_get(w->table, key("a", "1"), &r), PIRENE_OK);
    assert_bytes(r.value, "one");
    pirene_result_free(&r);
    pirene_result_free(&r); /* Twice is harmless. */
    assert_int_equal(pirene_del(w->table, key("a", "1")), PIRENE_OK);
    assert_int_equal(pirene_del(w->table, key("a", "1")), PIRENE_OK);
    assert_int_equal(pirene_get(w->table, key("a", "1"), &r), PIRENE_NOT_FOUND);
    pirene_result_free(&r);
}

/* Keys and values are bytes: zeros, an empty value, an empty sort key, an empty hash key. */
static void test_keys_are_bytes(void **state)
{
    struct world *w = *state;
    struct pirene_result r;
    struct pirene_key odd = {{"\0\xff\0", 3}, {"\0", 1}};
    struct pirene_bytes value = {"\0\1\2", 3};
    assert_int_equal(pirene_put(w->table, odd, value, 0), PIRENE_OK);
    assert_int_equal(pirene_get(w->table, odd, &r), PIRENE_OK);
    assert_int_equal(r.value.size, 3);
    assert_memory_equal(r.value.data, "\0\1\2", 3);
    pirene_result_free(&r);
    assert_int_equal(pirene_put(w->table, key("h", ""), pirene_text(""), 0), PIRENE_OK);
    assert_int_equal(pirene_get(w->table, key("h", ""), &r), PIRENE_OK);
    assert_int_equal(r.value.size, 0);
    pirene_result_free(&r);
    assert_int_equal(pirene_put(w->table, key("", "s"), pirene_text("v"), 0), PIRENE_OK);
    assert_int_equal(pirene_exists(w->table, key("", "s")), PIRENE_OK);
}

/* A record with a time to live says how long it has; others live forever; absent ones are not
 * found. */
static void test_ttl_and_exists(void **state)
{
    struct world *w = *state;
    struct pirene_result r;
    assert_int_equal(pirene_put(w->table, key("t", "short"), pirene_text("v"), 1000), PIRENE_OK);
    assert_int_equal(pirene_put(w->table, key("t", "long"), pirene_text("v"), 0), PIRENE_OK);
    assert_int_equal(pirene_ttl(w->table, key("t", "short"), &r), PIRENE_OK);
    assert_in_range(r.number, 990, 1000);
    pirene_result_free(&r);
    assert_int_equal(pirene_ttl(w->table, key("t", "long"), &r), PIRENE_OK);
    assert_int_equal(r.number, -1);
    pirene_result_free(&r);
    assert_int_equal(pirene_ttl(w->table, key("t", "none"), &r), PIRENE_NOT_FOUND);
    pirene_result_free(&r);
    assert_int_equal(pirene_exists(w->table, key("t", "long")), PIRENE_OK);
    assert_int_equal(pirene_exists(w->table, key("t", "none")), PIRENE_NOT_FOUND);
}

/* Counting begins at 0 and goes both ways; what is no number is refused and kept. */
static void test_incr(void **state)
{
    struct world *w = *state;
    struct pirene_result r;
    assert_int_equal(pirene_incr(w->table, key("n", ""), 5, 0, &r), PIRENE_OK);
    assert_int_equal(r.number, 5);
    pirene_result_free(&r);
    assert_int_equal(pirene_incr(w->table, key("n", ""), -7, 0, &r), PIRENE_OK);
    assert_int_equal(r.number, -2);
    pirene_result_free(&r);
    assert_int_equal(pirene_put(w->table, key("n", ""), pirene_text("seven"), 0), PIRENE_OK);
    assert_int_equal(pirene_incr(w->table, key("n", ""), 1, 0, &r), PIRENE_INVALID);
    pirene_result_free(&r);
}

/* The first who claims a key gets it; the second is told the condition does not hold, and who was
 * first. */
static void test_check_and_set(void **state)
{
    struct world *w = *state;
    struct pirene_result r;
    struct pirene_checked_put claim = {.hash_key = pirene_text("lock"),
                                       .check_sort_key = pirene_text("owner"),
                                       .check = PIRENE_CHECK_ABSENT,
                                       .set_sort_key = pirene_text("owner"),
                                       .value = pirene_text("ada"),
                                       .wants_value = true};
    assert_int_equal(pirene_check_and_set(w->table, &claim, &r), PIRENE_OK);
    assert_false(r.has_value);
    pirene_result_free(&r);
    claim.value = pirene_text("bob");
    assert_int_equal(pirene_check_and_set(w->table, &claim, &r), PIRENE_CONDITION);
    assert_true(r.has_value);
    assert_bytes(r.value, "ada");
    pirene_result_free(&r);
    claim.check = PIRENE_CHECK_BYTES_EQUAL;
    claim.operand = pirene_text("ada");
    claim.set_sort_key = pirene_text("next");
    assert_int_equal(pirene_check_and_set(w->table, &claim, &r), PIRENE_OK);
    pirene_result_free(&r);
    assert_int_equal(pirene_get(w->table, key("lock", "next"), &r), PIRENE_OK);
    assert_bytes(r.value, "bob");
    pirene_result_free(&r);
}

/* ---- Many records ---------------------------------------------------------------------------- */

/* Records of one hash key are written together, read together in order, counted, and deleted
 * together. */
static void test_multi(void **state)
{
    struct world *w = *state;
    struct pirene_result r;
    struct pirene_pair pairs[] = {{pirene_text("c"), pirene_text("3")},
                                  {pirene_text("a"), pirene_text("1")},
                                  {pirene_text("b"), pirene_text("2")}};
    struct pirene_bytes wanted[] = {pirene_text("b"), pirene_text("x")};
    struct pirene_bytes gone[] = {pirene_text("a"), pirene_text("b")};
    assert_int_equal(pirene_multi_put(w->table, pirene_text("m"), pairs, 3, 0), PIRENE_OK);
    assert_int_equal(pirene_multi_get(w->table, pirene_text("m"), NULL, 0, &r), PIRENE_OK);
    assert_int_equal(r.record_count, 3);
    assert_false(r.is_partial);
    assert_bytes(r.records[0].key.sort, "a");
    assert_bytes(r.records[2].value, "3");
    pirene_result_free(&r);
    assert_int_equal(pirene_multi_get(w->table, pirene_text("m"), wanted, 2, &r), PIRENE_OK);
    assert_int_equal(r.record_count, 1);
    assert_bytes(r.records[0].value, "2");
    pirene_result_free(&r);
    assert_int_equal(pirene_sortkey_count(w->table, pirene_text("m"), &r), PIRENE_OK);
    assert_int_equal(r.number, 3);
    pirene_result_free(&r);
    assert_int_equal(pirene_multi_del(w->table, pirene_text("m"), gone, 2), PIRENE_OK);
    assert_int_equal(pirene_sortkey_count(w->table, pirene_text("m"), &r), PIRENE_OK);
    assert_int_equal(r.number, 1);
    pirene_result_free(&r);
}

/* ---- Scans ----------------------------------------------------------------------------------- */

enum { HASH_KEYS = 20, SORT_KEYS = 30 };

static void fill(struct world *w)
{
    char hash[16], sort[16];
    for (int i = 0; i < HASH_KEYS; i++)
        for (int k = 0; k < SORT_KEYS; k++) {
            (void)snprintf(hash, sizeof hash, "h%02d", i);
            (void)snprintf(sort, sizeof sort, "%s%02d", k % 2 == 0 ? "even" : "odd", k);
            assert_int_equal(pirene_put(w->table, key(hash, sort), pirene_text(sort), 0),
                             PIRENE_OK);
        }
}

/* Walk to the end; returns how many records there were, in how many batches. */
static size_t walk(struct world *w, const struct pirene_scan_options *options, size_t *batches)
{
    struct pirene_scan *scan;
    struct pirene_result r;
    size_t count = 0;
    int rc;
    assert_int_equal(pirene_scan_open(w->table, options, &scan), PIRENE_OK);
    *batches = 0;
    while ((rc = pirene_scan_next(scan, &r)) == PIRENE_OK) {
        assert_true(r.number > 0);
        count += (size_t)r.number;
        *batches += 1;
        pirene_result_free(&r);
    }
    assert_int_equal(rc, PIRENE_END);
    assert_int_equal(pirene_scan_next(scan, &r), PIRENE_END); /* And stays so. */
    pirene_scan_close(scan);
    return count;
}

/* A scan sees every record once: of the table, of a hash key, of a prefix, as counts; whatever its
 * batches are. */
static void test_scan(void **state)
{
    struct world *w = *state;
    struct pirene_bytes hash = pirene_text("h07");
    struct pirene_scan_options all = {.batch_count = 7};
    struct pirene_scan_options one = {.hash_key = &hash, .batch_count = 7};
    struct pirene_scan_options prefix = {.hash_key = &hash, .sort_prefix = pirene_text("even")};
    struct pirene_scan_options odds = {.sort_prefix = pirene_text("odd")};
    struct pirene_scan_options counts = {.only_counts = true};
    size_t batches;
    fill(w);
    assert_int_equal(walk(w, NULL, &batches), HASH_KEYS * SORT_KEYS);
    assert_int_equal(walk(w, &all, &batches), HASH_KEYS * SORT_KEYS);
    assert_true(batches >= HASH_KEYS * SORT_KEYS / 7);
    assert_int_equal(walk(w, &one, &batches), SORT_KEYS);
    assert_int_equal(walk(w, &prefix, &batches), SORT_KEYS / 2);
    assert_int_equal(walk(w, &odds, &batches), HASH_KEYS * SORT_KEYS / 2);
    assert_int_equal(walk(w, &counts, &batches), HASH_KEYS * SORT_KEYS);
}

/* The server forgets its contexts when it is restarted: the scan goes on behind the last key it has
 * seen, and still sees every record once, in order. */
static void test_scan_outlives_a_restart(void **state)
{
    struct world *w = *state;
    struct pirene_bytes hash = pirene_text("h03");
    struct pirene_scan_options options = {.hash_key = &hash, .batch_count = 4};
    struct pirene_scan *scan;
    struct pirene_result r;
    char last[16] = "";
    size_t count = 0;
    int rc = PIRENE_OK;
    fill(w);
    assert_int_equal(pirene_scan_open(w->table, &options, &scan), PIRENE_OK);
    for (int batch = 0; rc == PIRENE_OK; batch++) {
        if (batch == 3) {
            process_kill(&w->server);
            process_start(&w->server);
        }
        rc = pirene_scan_next(scan, &r);
        for (size_t i = 0; rc == PIRENE_OK && i < r.record_count; i++, count++) {
            char sort[16];
            (void)snprintf(sort, sizeof sort, "%.*s", (int)r.records[i].key.sort.size,
                           (const char *)r.records[i].key.sort.data);
            assert_true(strcmp(last, sort) < 0);
            memcpy(last, sort, sizeof last);
        }
        pirene_result_free(&r);
    }
    assert_int_equal(rc, PIRENE_END);
    assert_int_equal(count, SORT_KEYS);
    pirene_scan_close(scan);
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

enum { STARTED = 2000 };

struct tally {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t ended, good;
    int nested; /* What a waiting call said inside a callback. */
    int bad;    /* The last error that was told, if one was. */
    struct world *world;
};

static void on_done(void *context, const struct pirene_result *result)
{
    struct tally *t = context;
    struct pirene_result r;
    int nested = pirene_get(t->world->table, key("x", "y"), &r);
    (void)pthread_mutex_lock(&t->mutex);
    t->nested = nested;
    t->ended++;
    t->good += result->error == PIRENE_OK;
    if (result->error != PIRENE_OK) t->bad = result->error;
    (void)pthread_cond_signal(&t->changed);
    (void)pthread_mutex_unlock(&t->mutex);
}

static void wait_until(struct tally *t, size_t ended)
{
    (void)pthread_mutex_lock(&t->mutex);
    while (t->ended < ended) (void)pthread_cond_wait(&t->changed, &t->mutex);
    (void)pthread_mutex_unlock(&t->mutex);
}

/* Thousands of writes are under way at once, and all end with a callback. What they were given may
 * be overwritten as soon as they have been started. Waiting inside a callback is refused, not
 * deadly. */
static void test_many_at_once(void **state)
{
    struct world *w = *state;
    struct tally t = {
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .world = w};
    struct pirene_result r;
    char text[16];
    for (int i = 0; i < STARTED; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        pirene_put_start(w->table, key(text, ""), pirene_text(text), 0, on_done, &t);
        memset(text, '?', sizeof text);
    }
    wait_until(&t, STARTED);
    assert_string_equal(pirene_error_text(t.bad), pirene_error_text(PIRENE_OK));
    assert_int_equal(t.good, STARTED);
    assert_int_equal(t.nested, PIRENE_INVALID);
    assert_int_equal(pirene_get(w->table, key("1234", ""), &r), PIRENE_OK);
    assert_bytes(r.value, "1234");
    pirene_result_free(&r);
}

/* Closing ends what is under way: every callback is called, and nothing is lost or freed twice. */
static void test_close_ends_what_is_under_way(void **state)
{
    struct world *w = *state;
    struct tally t = {
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .world = w};
    for (int i = 0; i < STARTED; i++)
        pirene_put_start(w->table, key("k", ""), pirene_text("v"), 0, on_done, &t);
    pirene_close(w->db);
    w->db = NULL;
    assert_int_equal(t.ended, STARTED);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* What cannot work says so, at once where it can be known at once. */
static void test_errors(void **state)
{
    struct world *w = *state;
    struct pirene_table *absent;
    struct pirene *nobody;
    struct pirene_result r;
    struct pirene_options hasty = {.timeout_ms = 100};
    static char long_key[70000];
    struct pirene_key too_long = {{long_key, sizeof long_key}, {NULL, 0}};
    assert_int_equal(pirene_table_open(w->db, "absent", &absent), PIRENE_OK);
    assert_int_equal(pirene_get(absent, key("k", ""), &r), PIRENE_NO_TABLE);
    pirene_result_free(&r);
    assert_int_equal(pirene_put(w->table, too_long, pirene_text("v"), 0), PIRENE_INVALID);
    assert_int_equal(pirene_multi_put(w->table, pirene_text("m"), NULL, 0, 0), PIRENE_INVALID);
    assert_int_equal(pirene_sortkey_count(w->table, pirene_text(""), &r), PIRENE_INVALID);
    pirene_result_free(&r);
    assert_int_equal(pirene_open("not an address", NULL, &nobody), PIRENE_INVALID);
    assert_int_equal(pirene_open("127.0.0.1:1", &hasty, &nobody), PIRENE_OK);
    assert_int_equal(pirene_table_open(nobody, "t", &absent), PIRENE_OK);
    assert_int_equal(pirene_put(absent, key("k", ""), pirene_text("v"), 0), PIRENE_TIMEOUT);
    pirene_close(nobody);
    for (int error = PIRENE_OK; error <= PIRENE_END; error++)
        assert_string_not_equal(pirene_error_text(error), "unnamed error");
}

/* ---- Duplication ----------------------------------------------------------------------------- */

/* dup wait says yes when the remote has everything, and not while the remote is dead. */
static void test_dup_wait(void **state)
{
    struct world *w = *state;
    struct add_duplication_request args = {.app_name = slice_str("t")};
    struct add_duplication_response result;
    assert_int_equal(pirene_dup_wait(w->table, 30000), PIRENE_NOT_FOUND);
    process_open(&w->remote, 2);
    create_table(&w->remote, "t", 2);
    args.remote_cluster_name = slice_str(w->remote.address);
    ask_meta(w->server.address, RPC_ADD_DUPLICATION, &args, &result);
    assert_true(result.dupid > 0);
    assert_int_equal(pirene_put(w->table, key("k", ""), pirene_text("v"), 0), PIRENE_OK);
    assert_int_equal(pirene_dup_wait(w->table, 30000), PIRENE_OK);
    process_kill(&w->remote);
    assert_int_equal(pirene_put(w->table, key("k", ""), pirene_text("w"), 0), PIRENE_OK);
    assert_int_equal(pirene_dup_wait(w->table, 300), PIRENE_TIMEOUT);
    process_start(&w->remote);
    assert_int_equal(pirene_dup_wait(w->table, 30000), PIRENE_OK);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest stories[] = {
        STORY(test_put_get_del),    STORY(test_keys_are_bytes),
        STORY(test_ttl_and_exists), STORY(test_incr),
        STORY(test_check_and_set),  STORY(test_multi),
        STORY(test_scan),           STORY(test_scan_outlives_a_restart),
        STORY(test_many_at_once),   STORY(test_close_ends_what_is_under_way),
        STORY(test_errors),         STORY(test_dup_wait),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
