/* tests/kv/table.c: the way of a request without a network, a log or a second replica. */
#include "kv/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kv/range.h"
#include "sim/store/store_sim.h"
#include "wire/key.h"

static uint64_t wall_us(void *world)
{
    struct table *t = world;
    return (t->now_s + VALUE_EPOCH_UNIX_S) * 1000000;
}

static uint64_t clock_ms(void *context)
{
    struct table *t = context;
    t->clock_looks++;
    return t->clock_ms += t->clock_step_ms;
}

struct table *table_new(void)
{
    struct table *t = mem_zalloc(sizeof *t);
    assert_non_null(t);
    struct err e;
    t->disk = store_sim_disk_new(t, 1);
    assert_non_null(t->disk);
    struct store_env_options options = {
        .cache_size = 1 << 20,
        .write_buffer_size = 1 << 20,
        .wall_us = wall_us,
        .world = t,
    };
    assert_int_equal(store_env_open(&options, &t->env, &e), 0);
    assert_int_equal(store_open(t->env, "1.0", &t->store, &e), 0);
    assert_int_equal(store_batch_new(&t->batch), 0);
    assert_int_equal(kv_scans_init(&t->scans, 64, 1 << 20, 42), 0);
    t->partition = kv_partition_default();
    t->partition.app_id = 2;
    t->partition.server = str("10.1.2.3:34801");
    t->partition.cluster_id = 1;
    kv_sources_add(&t->partition.sources, 2);
    kv_sources_add(&t->partition.sources, 3);
    t->now_s = TABLE_NOW_S;
    t->timestamp_us = 1700000000000000;
    return t;
}

void table_free(struct table *t)
{
    kv_scans_fini(&t->scans);
    store_batch_free(t->batch);
    assert_int_equal(store_close(t->store), 0);
    store_env_close(t->env);
    store_sim_disk_free(t->disk);
    buf_fini(&t->ops);
    buf_fini(&t->body);
    buf_fini(&t->result);
    arena_fini(&t->arena);
    mem_free(t);
}

int table_setup(void **state)
{
    *state = table_new();
    return 0;
}

int table_teardown(void **state)
{
    table_free(*state);
    return 0;
}

struct kv_context table_context(struct table *t)
{
    return (struct kv_context){
        .partition = &t->partition,
        .now_s = t->now_s,
        .timestamp_us = t->timestamp_us,
        .newest_us = t->newest_us,
        .clock_ms = clock_ms,
        .clock_context = t,
    };
}

/* ---- Writing ---- */

struct store_view {
    struct kv_view view;
    struct table *table;
    struct store_value pin;
};

static int view_lookup(struct kv_view *view, struct slice key, struct kv_row *out)
{
    struct store_view *v = (struct store_view *)view;
    v->table->lookups++;
    store_value_release(&v->pin);
    int rc = store_get(v->table->store, key, STORE_ANY, &v->pin);
    return rc != 0 ? rc : kv_row_read(v->pin.bytes, out);
}

static void apply(struct table *t, size_t offset)
{
    assert_int_equal(mutation_finish(&t->ops, offset, ++t->decree, 1, t->timestamp_us), 0);
    assert_int_equal(mutation_read(buf_slice(&t->ops), &t->mutation), 0);
    struct slice ops = t->mutation.ops;
    struct mutation_op op;
    while (mutation_op_next(&ops, &op))
        if (timetag_timestamp_us(op.timetag) > t->newest_us)
            t->newest_us = timetag_timestamp_us(op.timetag);
    store_batch_clear(t->batch);
    kv_apply(t->batch, &t->mutation);
    assert_int_equal(store_write(t->store, t->batch, t->decree), 0);
}

static void decode_reply(struct table *t, struct kv_reply reply, void *response)
{
    if (reply.schema == NULL || response == NULL) return;
    buf_clear(&t->result);
    thrift_write_result(&t->result, THRIFT_FULL, reply.schema, reply.body);
    assert_int_equal(buf_status(&t->result), 0);
    struct slice bytes;
    assert_int_equal(kv_key_after(&t->arena, buf_slice(&t->result), &bytes),
                     0); /* A copy to keep. */
    bytes.size--;
    assert_int_equal(thrift_read_args(bytes, reply.schema, response, &t->arena), 0);
}

int table_write_bytes(struct table *t, enum rpc_code rpc, struct slice body, void *response)
{
    t->lookups = 0;
    t->timestamp_us += 1000;
    int rc = kv_write_read(&t->write, rpc, body, &t->arena);
    if (rc != 0) return rc;
    struct kv_context c = table_context(t);
    struct store_view view = {.view.lookup = view_lookup, .table = t};
    buf_clear(&t->ops);
    size_t offset = mutation_begin(&t->ops);
    rc = kv_write_evaluate(&t->write, &c, &view.view, &t->ops);
    store_value_release(&view.pin);
    assert_true(t->write.has_effects == (t->ops.size > MUTATION_HEAD_SIZE));
    if (rc != 0) return rc;
    if (t->write.has_effects) apply(t, offset);
    int64_t decree = t->write.has_effects ? (int64_t)t->decree : -1;
    decode_reply(t, kv_write_reply(&t->write, &t->partition, decree), response);
    return 0;
}

int table_write(struct table *t, enum rpc_code rpc, const void *request, void *response)
{
    buf_clear(&t->body);
    thrift_write_args(&t->body, THRIFT_ARGS_ID_THFT, rpc_info(rpc)->request, request);
    return table_write_bytes(t, rpc, buf_slice(&t->body), response);
}

/* ---- Reading ---- */

int table_read(struct table *t, enum rpc_code rpc, const void *request, void *response)
{
    struct kv_read read;
    buf_clear(&t->body);
    thrift_write_args(&t->body, THRIFT_ARGS_ID_RDSN, rpc_info(rpc)->request, request);
    int rc = kv_read_begin(&read, rpc, buf_slice(&t->body), &t->arena, &t->scans);
    if (rc != 0) return rc;
    struct kv_context c = table_context(t);
    rc = kv_read_run(&read, &c, t->store, STORE_CACHED);
    if (rc == E_AGAIN) rc = kv_read_run(&read, &c, t->store, STORE_ANY);
    if (rc == 0)
        decode_reply(t, kv_read_end(&read, &t->partition, &t->scans, t->clock_ms), response);
    kv_read_fini(&read);
    return rc;
}

/* ---- In fewer words ---- */

struct slice str(const char *text)
{
    return slice_str(text);
}

struct slice table_key(struct table *t, const char *hash_key, const char *sort_key)
{
    struct slice key;
    assert_int_equal(kv_key_join(&t->arena, str(hash_key), str(sort_key), &key), 0);
    return key;
}

struct blob_list table_blobs(struct table *t, const char *words)
{
    struct blob_list list = {arena_array(&t->arena, strlen(words) + 1, sizeof(struct slice)), 0};
    assert_non_null(list.items);
    while (*words != 0) {
        size_t size = strcspn(words, " ");
        list.items[list.count++] = slice_of(words, size);
        words += size + (words[size] == ' ');
    }
    return list;
}

void table_put_until(struct table *t, const char *hash_key, const char *sort_key, const char *value,
                     uint32_t expire_ts)
{
    struct update_request request = {
        .key = table_key(t, hash_key, sort_key),
        .value = str(value),
        .expire_ts_seconds = (int32_t)expire_ts,
    };
    struct update_response response;
    assert_int_equal(table_write(t, RPC_PUT, &request, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
}

void table_put(struct table *t, const char *hash_key, const char *sort_key, const char *value)
{
    table_put_until(t, hash_key, sort_key, value, 0);
}

void table_del(struct table *t, const char *hash_key, const char *sort_key)
{
    struct bare_blob request = {.value = table_key(t, hash_key, sort_key)};
    struct update_response response;
    assert_int_equal(table_write(t, RPC_REMOVE, &request, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
}

static const char *text_of(struct table *t, struct slice bytes)
{
    char *text = arena_alloc(&t->arena, bytes.size + 1);
    assert_non_null(text);
    if (bytes.size > 0) memcpy(text, bytes.data, bytes.size);
    return text;
}

const char *table_get(struct table *t, const char *hash_key, const char *sort_key)
{
    struct bare_blob request = {.value = table_key(t, hash_key, sort_key)};
    struct read_response response;
    assert_int_equal(table_read(t, RPC_GET, &request, &response), 0);
    if (response.error == RRDB_NOT_FOUND) return NULL;
    assert_int_equal(response.error, RRDB_OK);
    return text_of(t, response.value);
}

bool table_row(struct table *t, const char *hash_key, const char *sort_key, struct kv_row *row)
{
    struct store_value value;
    int rc = store_get(t->store, table_key(t, hash_key, sort_key), STORE_ANY, &value);
    if (rc == E_NOTFOUND) return false;
    assert_int_equal(rc, 0);
    assert_int_equal(kv_row_read(value.bytes, row), 0);
    row->data = str(text_of(t, row->data));
    store_value_release(&value);
    return true;
}

struct scan_response table_scan_next(struct table *t, int64_t context_id)
{
    struct scan_request request = {.context_id = context_id};
    struct scan_response r;
    assert_int_equal(table_read(t, RPC_SCAN, &request, &r), 0);
    return r;
}

const char *table_pairs(struct table *t, const struct key_value_list *kvs)
{
    struct buf text = {0};
    for (uint32_t i = 0; i < kvs->count; i++) {
        if (i > 0) buf_append_str(&text, " ");
        buf_append_slice(&text, kvs->items[i].key);
        buf_append_str(&text, "=");
        buf_append_slice(&text, kvs->items[i].value);
    }
    const char *copy = text_of(t, buf_slice(&text));
    buf_fini(&text);
    return copy;
}
