/* tests/kv/test_duplicate.c: writes that come from another cluster, and ours on their way there
 * (docs/data.md, X1 to X8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "kv/table.h"

enum {
    T1 = 1600000000,
    T2 = 1600000010
}; /* Timestamps in the past: microseconds, small on purpose. */

/* ---- Requests ---- */

struct batch {
    struct table *t;
    struct duplicate_entry entries[64];
    struct duplicate_request request;
    struct duplicate_response response;
};

static struct batch batch_of(struct table *t, bool is_from_pirene)
{
    struct batch b = {.t = t};
    if (is_from_pirene) {
        b.request.set = DUPLICATE_REQUEST_HAS_VERSION;
        b.request.version = DUPLICATE_VERSION;
    }
    return b;
}

static struct duplicate_entry *add(struct batch *b, enum rpc_code rpc, int64_t timestamp,
                                   int8_t cluster_id, const void *args)
{
    struct buf raw = {0};
    thrift_write_args(&raw, THRIFT_ARGS_ID_THFT, rpc_info(rpc)->request, args);
    struct duplicate_entry *entry = &b->entries[b->request.entries.count++];
    *entry = (struct duplicate_entry){
        .set = UINT64_MAX, /* All its fields. */
        .timestamp = timestamp,
        .task_code = rpc_info(rpc)->name,
        .raw_message = slice_of(arena_copy(&b->t->arena, raw.data, raw.size), raw.size),
        .cluster_id = cluster_id,
    };
    buf_fini(&raw);
    return entry;
}

static struct duplicate_entry *add_put(struct batch *b, int64_t timestamp, int8_t cluster_id,
                                       const char *sort_key, const char *value)
{
    struct update_request put = {.key = table_key(b->t, "hk", sort_key), .value = str(value)};
    return add(b, RPC_PUT, timestamp, cluster_id, &put);
}

static void add_remove(struct batch *b, int64_t timestamp, int8_t cluster_id, const char *sort_key)
{
    struct bare_blob remove = {.value = table_key(b->t, "hk", sort_key)};
    add(b, RPC_REMOVE, timestamp, cluster_id, &remove);
}

static int send(struct batch *b)
{
    b->request.entries.items = b->entries;
    return table_write(b->t, RPC_DUPLICATE, &b->request, &b->response);
}

static void send_put(struct table *t, int64_t timestamp, int8_t cluster_id, const char *sort_key,
                     const char *value)
{
    struct batch b = batch_of(t, false);
    add_put(&b, timestamp, cluster_id, sort_key, value);
    assert_int_equal(send(&b), 0);
    assert_int_equal(b.response.error, RRDB_OK);
}

static void send_remove(struct table *t, int64_t timestamp, int8_t cluster_id, const char *sort_key)
{
    struct batch b = batch_of(t, false);
    add_remove(&b, timestamp, cluster_id, sort_key);
    assert_int_equal(send(&b), 0);
    assert_int_equal(b.response.error, RRDB_OK);
}

/* ---- Last writer wins ---- */

/* The timetag is that of the origin, whoever applies it and whenever. */
static void test_entries_keep_the_timetag_of_their_origin(void **state)
{
    struct table *t = *state;
    struct kv_row row;
    send_put(t, T1, 2, "a", "v");
    assert_string_equal(table_get(t, "hk", "a"), "v");
    assert_true(table_row(t, "hk", "a", &row) && row.timetag == timetag_make(T1, 2, false));
    send_remove(t, T2, 3, "a");
    assert_null(table_get(t, "hk", "a"));
    assert_true(table_row(t, "hk", "a", &row) && row.timetag == timetag_make(T2, 3, true));
}

/* Equal and older entries are acknowledged without a mutation, also when nobody asked for the check: a
 * Pegasus server never does. At equal time the larger cluster id wins, and a delete beats a put. */
static void test_equal_and_older_entries_change_nothing(void **state)
{
    struct table *t = *state;
    send_put(t, T2, 2, "a", "new");
    uint64_t decree = t->decree;
    send_put(t, T2, 2, "a", "again");
    send_put(t, T1, 2, "a", "old");
    send_put(t, T1, 3, "a", "old from elsewhere");
    send_remove(t, T1, 3, "a");
    assert_false(t->write.has_effects);
    assert_int_equal(t->decree, decree);
    assert_string_equal(table_get(t, "hk", "a"), "new");

    send_put(t, T2, 3, "a", "larger id");
    assert_string_equal(table_get(t, "hk", "a"), "larger id");
    send_remove(t, T2, 3, "a");
    assert_null(table_get(t, "hk", "a"));
    send_put(t, T2, 3, "a", "back?");
    assert_null(table_get(t, "hk", "a"));
}

/* An entry that is later than everything the partition has seen wins without a look at what it replaces.
 * An equal or earlier one is compared, on whatever key, and so is each after a local write. */
static void test_newest_wins_unread(void **state)
{
    struct table *t = *state;
    send_put(t, T1, 2, "a", "first");
    send_put(t, T1 + 5, 2, "b", "v");
    assert_int_equal(t->lookups, 0);
    send_put(t, T1 + 5, 3, "b", "as late, and a larger id");
    assert_int_equal(t->lookups, 1);
    assert_true(t->write.has_effects);
    send_put(t, T1 + 2, 2, "b", "earlier");
    assert_int_equal(t->lookups, 1);
    assert_false(t->write.has_effects);
    send_put(t, T1 + 2, 2, "a", "earlier, but later than what is there");
    assert_int_equal(t->lookups, 1);
    assert_true(t->write.has_effects);

    table_put(t, "hk", "c", "local");
    send_put(t, (int64_t)t->timestamp_us - 1, 2, "d", "v");
    assert_int_equal(t->lookups, 1);
    send_put(t, (int64_t)t->timestamp_us + 500, 2, "d", "v");
    assert_int_equal(t->lookups, 0);
}

/* A delete is remembered: an older put that arrives late does not bring the record back. */
static void test_delete_beats_an_older_put_that_comes_late(void **state)
{
    struct table *t = *state;
    send_remove(t, T2, 2, "a");
    send_put(t, T1, 2, "a", "ghost");
    assert_null(table_get(t, "hk", "a"));
    table_put(t, "hk", "b", "v");
    table_del(t, "hk", "b");
    send_put(t, T1, 2, "b", "ghost");
    assert_null(table_get(t, "hk", "b"));
    send_put(t, T2 + 1, 2, "a", "newer");
    assert_string_equal(table_get(t, "hk", "a"), "newer");
}

/* An expired row still says when it was written: an older put without expiry must not appear. */
static void test_expired_row_beats_an_older_put(void **state)
{
    struct table *t = *state;
    struct batch b = batch_of(t, false);
    struct update_request put = {
        .key = table_key(t, "hk", "a"),
        .value = str("short-lived"),
        .expire_ts_seconds = TABLE_PAST_S,
    };
    add(&b, RPC_PUT, T2, 2, &put);
    assert_int_equal(send(&b), 0);
    assert_true(t->write.has_effects); /* Stored, though nobody will ever see it. */
    send_put(t, T1, 2, "a", "eternal");
    assert_null(table_get(t, "hk", "a"));
}

/* A write of ours is made now, and so beats what came before, whatever the source's clock said. */
static void test_local_writes_and_entries_compare_by_time(void **state)
{
    struct table *t = *state;
    table_put(t, "hk", "a", "ours");
    send_put(t, (int64_t)t->timestamp_us - 1, 2, "a", "earlier");
    assert_string_equal(table_get(t, "hk", "a"), "ours");
    send_put(t, (int64_t)t->timestamp_us + 500, 2, "a", "later");
    assert_string_equal(table_get(t, "hk", "a"), "later");
    table_put(t, "hk", "a", "ours again");
    assert_string_equal(table_get(t, "hk", "a"), "ours again");
}

/* One request, one key, several entries: the largest timetag is the only one that is looked up and
 * written, wherever it stands. */
static void test_entries_on_one_key_are_settled_among_themselves(void **state)
{
    struct table *t = *state;
    struct batch b = batch_of(t, false);
    add_put(&b, T1, 2, "a", "first");
    add_remove(&b, T2, 2, "a");
    add_put(&b, T1 + 1, 2, "a", "third");
    add_put(&b, T1, 2, "b", "early");
    add_put(&b, T1, 2, "b", "equal");
    assert_int_equal(send(&b), 0);
    assert_int_equal(t->mutation.op_count, 2);
    assert_int_equal(t->lookups, 2);
    assert_null(table_get(t, "hk", "a"));
    assert_string_equal(table_get(t, "hk", "b"), "early");
}

/* MULTI_PUT and MULTI_REMOVE are entries too; the mistakes of the source's clients count as success. */
static void test_lists_are_applied_and_empty_ones_are_fine(void **state)
{
    struct table *t = *state;
    struct batch b = batch_of(t, false);
    struct key_value kvs[] = {
        {.key = str("a"), .value = str("1")},
        {.key = str("b"), .value = str("2")},
        {.key = str("a"), .value = str("3")},
    };
    struct multi_put_request put = {.hash_key = str("hk"), .kvs = {kvs, 3}};
    struct multi_remove_request remove = {.hash_key = str("hk"),
                                          .sort_keys = table_blobs(t, "b c")};
    add(&b, RPC_MULTI_PUT, T1, 2, &put);
    add(&b, RPC_MULTI_REMOVE, T2, 2, &remove);
    put.kvs.count = remove.sort_keys.count = 0;
    add(&b, RPC_MULTI_PUT, T2, 2, &put);
    add(&b, RPC_MULTI_REMOVE, T2, 2, &remove);
    assert_int_equal(send(&b), 0);
    assert_int_equal(b.response.error, RRDB_OK);
    assert_int_equal(t->mutation.op_count, 3);
    assert_string_equal(table_get(t, "hk", "a"), "3");
    assert_null(table_get(t, "hk", "b"));
}

/* What a Pegasus primary made of a check-and-mutate's delete looks like an empty put. */
static void test_put_of_type_4_deletes(void **state)
{
    struct table *t = *state;
    struct batch b = batch_of(t, false);
    send_put(t, T1, 2, "a", "v");
    struct update_request put = {
        .set = UPDATE_REQUEST_HAS_TYPE,
        .key = table_key(t, "hk", "a"),
        .type = UPDATE_CHECK_AND_MUTATE_REMOVE,
    };
    add(&b, RPC_PUT, T2, 2, &put);
    put.key = table_key(t, "hk", "b");
    put.type = UPDATE_CHECK_AND_MUTATE_PUT;
    add(&b, RPC_PUT, T2, 2, &put);
    assert_int_equal(send(&b), 0);
    struct kv_row row;
    assert_true(table_row(t, "hk", "a", &row) && row.timetag == timetag_make(T2, 2, true));
    assert_string_equal(table_get(t, "hk", "b"), "");
}

/* Absolute expiry is taken as it is; without one the receiver's default applies. */
static void test_expiry_is_the_sources_or_our_default(void **state)
{
    struct table *t = *state;
    struct kv_row row;
    t->partition.default_ttl_s = 60;
    struct batch b = batch_of(t, false);
    struct update_request put = {.key = table_key(t, "hk", "a"), .expire_ts_seconds = TABLE_FAR_S};
    add(&b, RPC_PUT, T1, 2, &put);
    add_put(&b, T1, 2, "b", "v");
    assert_int_equal(send(&b), 0);
    assert_true(table_row(t, "hk", "a", &row) && row.expire_ts == TABLE_FAR_S);
    assert_true(table_row(t, "hk", "b", &row) && row.expire_ts == TABLE_NOW_S + 60);
}

/* Keys that the view does not know are named, all of them at once; then it is decided from scratch. */
struct half_view {
    struct kv_view view;
    bool knows_all;
};

static int half_lookup(struct kv_view *view, struct slice key, struct kv_row *out)
{
    const struct half_view *v = (const struct half_view *)view;
    if (!v->knows_all && key.data[key.size - 1] != 'b') return E_AGAIN;
    *out = (struct kv_row){.timetag = timetag_make(T1, 2, false)};
    return 0;
}

static void test_missing_keys_are_named_all_at_once(void **state)
{
    struct table *t = *state;
    struct batch b = batch_of(t, false);
    add_put(&b, T2, 2, "a", "new");
    add_put(&b, T1, 2, "a", "superseded");
    add_put(&b, T2, 2, "b", "new");
    add_put(&b, T1, 2, "c", "equal");
    b.request.entries.items = b.entries;
    thrift_write_args(&t->body, 0, &duplicate_request_schema, &b.request);
    struct kv_write w;
    struct half_view view = {.view.lookup = half_lookup};
    struct kv_context c = table_context(t);
    assert_int_equal(kv_write_read(&w, RPC_DUPLICATE, buf_slice(&t->body), &t->arena), 0);
    assert_int_equal(kv_write_evaluate(&w, &c, &view.view, &t->ops), E_AGAIN);
    assert_int_equal(t->ops.size, 0);
    size_t position = 0;
    struct slice key;
    assert_true(kv_write_missing_key(&w, &position, &key));
    assert_true(slice_equal(key, table_key(t, "hk", "a")));
    assert_true(kv_write_missing_key(&w, &position, &key));
    assert_true(slice_equal(key, table_key(t, "hk", "c")));
    assert_false(kv_write_missing_key(&w, &position, &key));

    view.knows_all = true;
    size_t offset = mutation_begin(&t->ops);
    assert_int_equal(kv_write_evaluate(&w, &c, &view.view, &t->ops), 0);
    position = 0;
    assert_false(kv_write_missing_key(&w, &position, &key));
    assert_int_equal(mutation_finish(&t->ops, offset, 1, 1, 1), 0);
    assert_int_equal(mutation_read(buf_slice(&t->ops), &t->mutation), 0);
    assert_int_equal(t->mutation.op_count, 2);
}

/* ---- What is refused ---- */

/* Clusters that nobody configured, our own id, keys of other partitions: a Pegasus source is told to ask
 * again, for status 4 would end its process; another Pirene learns why. Nothing is applied. */
static void test_misconfiguration_is_put_off_not_refused(void **state)
{
    struct table *t = *state;
    static const struct {
        int8_t cluster_id;
        uint32_t count;
        const char *hint;
    } rows[] = {
        {9, 0, "request cluster id is unconfigured"},
        {0, 0, "request cluster id is unconfigured"},
        {1, 0, "self-duplicating"},
        {2, 2, "key of another partition"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int is_from_pirene = 0; is_from_pirene < 2; is_from_pirene++) {
            struct batch b = batch_of(t, is_from_pirene);
            add_put(&b, T1, 2, "good", "v");
            add_put(&b, T1, rows[i].cluster_id, "a", "v");
            t->partition.count =
                rows[i].count; /* crc64("hk") is odd: partition 1 of 2, we are 0. */
            assert_int_equal(send(&b), is_from_pirene ? 0 : E_REFUSED);
            assert_string_equal(t->write.reason, rows[i].hint);
            assert_false(t->write.has_effects);
            if (!is_from_pirene) continue;
            assert_int_equal(b.response.error, RRDB_TRY_AGAIN);
            assert_true(slice_is(b.response.error_hint, rows[i].hint));
            assert_int_equal(b.response.refused_index, -1);
        }
    }
    assert_null(table_get(t, "hk", "good"));
}

static void test_any_cluster_but_ours_may_be_accepted(void **state)
{
    struct table *t = *state;
    t->partition.sources = (struct kv_sources){.are_all_accepted = true};
    send_put(t, T1, 99, "a", "v");
    assert_string_equal(table_get(t, "hk", "a"), "v");
    struct batch b = batch_of(t, false);
    add_put(&b, T1, 1, "b", "v");
    assert_int_equal(send(&b), E_REFUSED);
    t->partition.index = 1;
    t->partition.count = 2;
    send_put(t, T1, 99, "c", "v");
}

/* One entry that can never be taken is named; the others are applied and acknowledged. */
static void test_one_bad_entry_is_named_and_blocks_no_other(void **state)
{
    struct table *t = *state;
    for (int kind = 0; kind < 6; kind++) {
        struct batch b = batch_of(t, true);
        add_put(&b, T1 + kind, 2, "before", "v");
        struct duplicate_entry *bad = add_put(&b, T1 + kind, 2, "bad", "v");
        if (kind == 0) bad->task_code = str("RPC_RRDB_RRDB_INCR");
        if (kind == 1) bad->task_code = str("RPC_RRDB_RRDB_NEW");
        if (kind == 2) bad->raw_message.size--;
        if (kind == 3) bad->timestamp = INT64_C(1) << 56;
        if (kind == 4) bad->timestamp = 0;
        if (kind == 5) {
            struct update_request put = {.key = str("\x7f?")};
            b.request.entries.count--;
            bad = add(&b, RPC_PUT, T1, 2, &put);
        }
        add_put(&b, T1 + kind, 2, "after", "v");
        assert_int_equal(send(&b), 0);
        assert_int_equal(b.response.error, RRDB_OK);
        assert_int_equal(b.response.refused_index, 1);
        assert_int_equal(b.response.version, DUPLICATE_VERSION);
        assert_int_equal(b.response.applied_decree, t->decree);
        assert_true(b.response.error_hint.size > 0);
        assert_int_equal(t->mutation.op_count, 2);
        assert_null(table_get(t, "hk", "bad"));

        b.request.set = 0; /* The same from Pegasus. */
        assert_int_equal(send(&b), E_REFUSED);
    }
}

/* Only one entry can be named. With a second bad one the request is no success, though what is good in
 * it was applied: sent again it is no news. */
static void test_two_bad_entries_are_no_success(void **state)
{
    struct table *t = *state;
    struct batch b = batch_of(t, true);
    add_put(&b, T1, 2, "good", "v");
    add_put(&b, T1, 2, "bad", "v")->task_code = str("?");
    add_put(&b, T1, -1, "bad", "v");
    assert_int_equal(send(&b), 0);
    assert_int_equal(b.response.error, RRDB_NOT_SUPPORTED);
    assert_int_equal(b.response.refused_index, 1);
    assert_string_equal(table_get(t, "hk", "good"), "v");
    assert_int_equal(send(&b), 0);
    assert_int_equal(b.response.error, RRDB_NOT_SUPPORTED);
    assert_false(t->write.has_effects);
}

/* A Pegasus source gets the two fields it knows; a plain success is "error 0" and no more. */
static void test_pegasus_is_answered_in_its_own_words(void **state)
{
    struct table *t = *state;
    static const uint8_t success[] = {0x0c, 0, 0, 0x08, 0, 1, 0, 0, 0, 0, 0, 0};
    send_put(t, T1, 2, "a", "v");
    assert_true(slice_equal(buf_slice(&t->result), slice_of(success, sizeof success)));
}

/* ---- Ours on their way ---- */

/* The request of docs/duplication.md: an entry as a server sends it, taken apart byte by byte. */
static void test_request_as_a_server_sends_it_is_understood(void **state)
{
    struct table *t = *state;
    static const uint8_t bytes[] =
        "\x0c\x00\x00\x0f\x00\x01\x0c\x00\x00\x00\x01\x0a\x00\x01\x00\x06"
        "\x0a\x24\x18\x1e\x40\x00\x0c\x00\x02\x00\x00\x00\x11\x52\x50\x43"
        "\x5f\x52\x52\x44\x42\x5f\x52\x52\x44\x42\x5f\x50\x55\x54\x0c\x00"
        "\x03\x00\x00\x00\x25\x0c\x00\x01\x0c\x00\x01\x00\x00\x00\x06\x00"
        "\x02\x68\x6b\x73\x6b\x0c\x00\x02\x00\x00\x00\x05\x76\x61\x6c\x75"
        "\x65\x08\x00\x03\x00\x00\x00\x00\x00\x00\x03\x00\x04\x01\x00\x00"
        "\x00";
    t->partition.cluster_id = 2;
    kv_sources_add(&t->partition.sources, 1);
    struct duplicate_response response;
    assert_int_equal(
        table_write_bytes(t, RPC_DUPLICATE, slice_of(bytes, sizeof bytes - 1), &response), 0);
    struct kv_row row;
    assert_true(table_row(t, "hk", "sk", &row));
    assert_true(row.timetag == UINT64_C(0x060a24181e400002));
    assert_true(slice_is(row.data, "value"));
}

static struct mutation_op op_of(struct table *t, uint64_t timetag, uint32_t expire_ts,
                                const char *sort_key, const char *data)
{
    return (struct mutation_op){timetag, expire_ts, table_key(t, "hk", sort_key), str(data)};
}

/* What the shipper writes by hand is what the codec would write, to the byte, and as large as said. */
static void test_entries_are_encoded_as_the_codec_does(void **state)
{
    struct table *t = *state;
    const struct mutation_op ops[] = {
        op_of(t, timetag_make(T1, 5, false), TABLE_FAR_S, "a", "value"),
        op_of(t, timetag_make(T2, 127, true), 0, "b", ""),
        op_of(t, timetag_make((UINT64_C(1) << 56) - 1, 0, false), 0xffffffff, "", ""),
    };
    const uint64_t all = DUPLICATE_REQUEST_HAS_PIRENE | DUPLICATE_REQUEST_HAS_TARGET_CLUSTER_UUID;
    for (uint64_t set = 0; set <= all; set += all) {
        struct batch b = batch_of(t, false);
        struct duplicate_request fields = {.set = set, .source_decree_last = 7, .version = 1};
        struct buf body = {0};
        buf_append_str(&body, "frame head");
        size_t offset = kv_dup_request_begin(&body), size = 0;
        for (size_t i = 0; i < 3; i++) {
            size_t before = body.size;
            kv_dup_entry_append(&body, &ops[i]);
            assert_int_equal(body.size - before, kv_dup_entry_size(&ops[i]));
            size += body.size - before;
            bool is_delete = timetag_is_deleted(ops[i].timetag);
            struct update_request put = {
                .key = ops[i].key,
                .value = ops[i].data,
                .expire_ts_seconds = (int32_t)ops[i].expire_ts,
            };
            struct bare_blob remove = {.value = ops[i].key};
            struct duplicate_entry *entry = add(&b, is_delete ? RPC_REMOVE : RPC_PUT,
                                                (int64_t)timetag_timestamp_us(ops[i].timetag),
                                                (int8_t)timetag_cluster_id(ops[i].timetag),
                                                is_delete ? (void *)&remove : (void *)&put);
            /* Servers say 0 where the codec was told 1. */
            ((uint8_t *)(uintptr_t)entry->raw_message.data)[2] = THRIFT_ARGS_ID_RDSN;
            entry->verify_timetag = true;
        }
        kv_dup_request_finish(&body, offset, 3, &fields);
        assert_int_equal(buf_status(&body), 0);
        size_t overhead = set == 0 ? KV_DUP_REQUEST_OVERHEAD : KV_DUP_REQUEST_OVERHEAD_MAX;
        assert_int_equal(body.size - offset, size + overhead);

        struct buf expected = {0};
        buf_append_str(&expected, "frame head");
        fields.entries = (struct duplicate_entry_list){b.entries, 3};
        thrift_write_args(&expected, THRIFT_ARGS_ID_RDSN, &duplicate_request_schema, &fields);
        assert_true(slice_equal(buf_slice(&body), buf_slice(&expected)));
        buf_fini(&body);
        buf_fini(&expected);
    }
}

/* ---- The algebra ---- */

enum { KEYS = 4, ENTRIES = 12 };

static void random_batch(struct prng *p, struct batch *b)
{
    static const char *keys[KEYS] = {"a", "b", "c", "d"};
    static const char *values[] = {"x", "y", "z"};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        int64_t timestamp = (int64_t)(T1 + prng_below(p, 6));
        int8_t cluster_id = (int8_t)(2 + prng_below(p, 2));
        const char *key = keys[prng_below(p, KEYS)];
        if (prng_percent(p, 30)) {
            add_remove(b, timestamp, cluster_id, key);
            continue;
        }
        /* One cluster writes a key once at one time, so the value follows from the timetag. */
        struct update_request put = {
            .key = table_key(b->t, "hk", key),
            .value = str(values[(timestamp + cluster_id) % 3]),
            .expire_ts_seconds = (timestamp + cluster_id) % 4 == 0 ? TABLE_PAST_S : 0,
        };
        add(b, RPC_PUT, timestamp, cluster_id, &put);
    }
}

static void shuffle(struct prng *p, struct batch *b)
{
    for (uint32_t i = b->request.entries.count; i > 1; i--) {
        uint64_t j = prng_below(p, i);
        struct duplicate_entry other = b->entries[i - 1];
        b->entries[i - 1] = b->entries[j];
        b->entries[j] = other;
    }
}

/* Send the entries in requests of random sizes. */
static void send_in_pieces(struct prng *p, struct batch *b)
{
    uint32_t count = b->request.entries.count;
    for (uint32_t from = 0; from < count;) {
        uint32_t size = (uint32_t)prng_between(p, 1, count - from);
        b->request.entries = (struct duplicate_entry_list){b->entries + from, size};
        assert_int_equal(table_write(b->t, RPC_DUPLICATE, &b->request, &b->response), 0);
        assert_int_equal(b->response.error, RRDB_OK);
        from += size;
    }
    b->request.entries.count = count;
}

static void assert_same_rows(struct table *a, struct table *b)
{
    static const char *keys[KEYS] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < KEYS; i++) {
        struct kv_row x, y;
        bool exists = table_row(a, "hk", keys[i], &x);
        assert_int_equal(exists, table_row(b, "hk", keys[i], &y));
        if (!exists) continue;
        assert_true(x.timetag == y.timetag && x.expire_ts == y.expire_ts);
        assert_true(slice_equal(x.data, y.data));
    }
}

/* Whatever the order, the grouping and the number of times in which entries arrive, the rows are the
 * same: commutative, associative, idempotent. */
static void test_any_order_grouping_and_repetition_gives_the_same_rows(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct prng p;
        prng_init(&p, seed);
        struct table *a = table_new(), *b = table_new();
        struct batch entries = batch_of(a, false);
        random_batch(&p, &entries);
        send_in_pieces(&p, &entries);
        entries.t = b;
        for (int round = 0; round < 3; round++) {
            shuffle(&p, &entries);
            send_in_pieces(&p, &entries);
        }
        entries.t = a;
        assert_same_rows(a, b);
        table_free(b);
        table_free(a);
    }
}

/* Two clusters write on their own and ship what they did to each other, late and twice: equal rows. */
static void test_two_clusters_converge(void **state)
{
    (void)state;
    static const char *keys[KEYS] = {"a", "b", "c", "d"};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct prng p;
        prng_init(&p, seed);
        struct table *sides[2] = {table_new(), table_new()};
        struct buf shipped[2] = {{0}, {0}};
        uint32_t counts[2] = {0, 0};
        for (size_t i = 0; i < 2; i++) {
            sides[i]->partition.cluster_id = (uint8_t)(i + 1);
            kv_sources_add(&sides[i]->partition.sources, (uint8_t)(2 - i));
            sides[i]->timestamp_us += prng_below(&p, 3) * 1000;
            kv_dup_request_begin(&shipped[i]);
        }
        for (int step = 0; step < 40; step++) {
            size_t side = prng_below(&p, 2);
            struct table *t = sides[side];
            const char *key = keys[prng_below(&p, KEYS)];
            if (prng_percent(&p, 30)) table_del(t, "hk", key);
            else
                table_put_until(t, "hk", key, prng_percent(&p, 50) ? "x" : "y",
                                prng_percent(&p, 30) ? TABLE_PAST_S : 0);
            struct slice ops = t->mutation.ops;
            struct mutation_op op;
            while (mutation_op_next(&ops, &op)) {
                kv_dup_entry_append(&shipped[side], &op);
                counts[side]++;
            }
        }
        for (int again = 0; again < 2; again++) {
            for (size_t i = 0; i < 2; i++) {
                struct duplicate_request fields = {0};
                struct duplicate_response response;
                if (again == 0) kv_dup_request_finish(&shipped[i], 0, counts[i], &fields);
                assert_int_equal(buf_status(&shipped[i]), 0);
                assert_int_equal(table_write_bytes(sides[1 - i], RPC_DUPLICATE,
                                                   buf_slice(&shipped[i]), &response),
                                 0);
            }
        }
        assert_same_rows(sides[0], sides[1]);
        for (size_t i = 0; i < 2; i++) {
            buf_fini(&shipped[i]);
            table_free(sides[i]);
        }
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_entries_keep_the_timetag_of_their_origin),
        STORY(test_equal_and_older_entries_change_nothing),
        STORY(test_newest_wins_unread),
        STORY(test_delete_beats_an_older_put_that_comes_late),
        STORY(test_expired_row_beats_an_older_put),
        STORY(test_local_writes_and_entries_compare_by_time),
        STORY(test_entries_on_one_key_are_settled_among_themselves),
        STORY(test_lists_are_applied_and_empty_ones_are_fine),
        STORY(test_put_of_type_4_deletes),
        STORY(test_expiry_is_the_sources_or_our_default),
        STORY(test_missing_keys_are_named_all_at_once),
        STORY(test_misconfiguration_is_put_off_not_refused),
        STORY(test_any_cluster_but_ours_may_be_accepted),
        STORY(test_one_bad_entry_is_named_and_blocks_no_other),
        STORY(test_two_bad_entries_are_no_success),
        STORY(test_pegasus_is_answered_in_its_own_words),
        STORY(test_request_as_a_server_sends_it_is_understood),
        STORY(test_entries_are_encoded_as_the_codec_does),
        cmocka_unit_test(test_any_order_grouping_and_repetition_gives_the_same_rows),
        cmocka_unit_test(test_two_clusters_converge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
