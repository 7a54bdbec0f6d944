/* tests/kv/test_model.c: random requests against a table and against a model of it, an array of twelve
 * records. Every answer must be the model's; and what the writes did, shipped to another table in any
 * order, must give an equal one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/prng.h"
#include "kv/digest.h"
#include "kv/range.h"
#include "kv/table.h"
#include "wire/key.h"

enum { HASHES = 2, SORTS = 6, VALUE_SIZE = 24, STEPS = 400, SEEDS = 30 };

static const char *const hash_keys[HASHES] = {"h", "hk"};
static const char *const sort_keys[SORTS] = {"", "a", "aa", "ab", "b", "c"}; /* In key order. */

struct record {
    bool exists;
    char value[VALUE_SIZE];
    uint32_t expire_ts;
};

struct model {
    struct table *t;
    struct prng p;
    struct record records[HASHES][SORTS];
    struct buf shipped; /* Entries of a DUPLICATE. */
    uint32_t shipped_count;
};

/* ---- The model ---- */

static bool is_live(const struct model *m, const struct record *r)
{
    return r->exists && (r->expire_ts == 0 || r->expire_ts > m->t->now_s);
}

static void set(struct record *r, const char *value, uint32_t expire_ts)
{
    r->exists = true;
    r->expire_ts = expire_ts;
    (void)snprintf(r->value, sizeof r->value, "%s", value);
}

static size_t any(struct model *m, size_t count)
{
    return prng_below(&m->p, count);
}

static const char *any_value(struct model *m)
{
    static const char *const values[] = {"", "1", "-5", "17", "x", "abc", "b"};
    return values[any(m, 7)];
}

static uint32_t any_expiry(struct model *m)
{
    return prng_percent(&m->p, 60) ? 0 : m->t->now_s + (uint32_t)any(m, 20) - 3;
}

/* What the last write did goes to the other side, too. */
static void ship(struct model *m)
{
    if (!m->t->write.has_effects) return;
    struct slice ops = m->t->mutation.ops;
    struct mutation_op op;
    while (mutation_op_next(&ops, &op)) {
        kv_dup_entry_append(&m->shipped, &op);
        m->shipped_count++;
    }
}

/* ---- Writes ---- */

static void do_put(struct model *m)
{
    size_t h = any(m, HASHES), s = any(m, SORTS);
    const char *value = any_value(m);
    uint32_t expire_ts = any_expiry(m);
    table_put_until(m->t, hash_keys[h], sort_keys[s], value, expire_ts);
    set(&m->records[h][s], value, expire_ts);
}

static void do_remove(struct model *m)
{
    size_t h = any(m, HASHES), s = any(m, SORTS);
    table_del(m->t, hash_keys[h], sort_keys[s]);
    m->records[h][s].exists = false;
}

static void do_multi_put(struct model *m)
{
    struct key_value kvs[4];
    size_t h = any(m, HASHES), count = 1 + any(m, 4);
    uint32_t expire_ts = any_expiry(m);
    for (size_t i = 0; i < count; i++) {
        size_t s = any(m, SORTS);
        const char *value = any_value(m);
        kvs[i] = (struct key_value){.key = str(sort_keys[s]), .value = str(value)};
        set(&m->records[h][s], value, expire_ts);
    }
    struct multi_put_request request = {
        .hash_key = str(hash_keys[h]),
        .kvs = {kvs, (uint32_t)count},
        .expire_ts_seconds = (int32_t)expire_ts,
    };
    struct update_response response;
    assert_int_equal(table_write(m->t, RPC_MULTI_PUT, &request, &response), 0);
    assert_int_equal(response.error, RRDB_OK);
}

static void do_multi_remove(struct model *m)
{
    struct slice keys[4];
    size_t h = any(m, HASHES), count = 1 + any(m, 4);
    for (size_t i = 0; i < count; i++) {
        size_t s = any(m, SORTS);
        keys[i] = str(sort_keys[s]);
        m->records[h][s].exists = false;
    }
    struct multi_remove_request request = {.hash_key = str(hash_keys[h]),
                                           .sort_keys = {keys, (uint32_t)count}};
    struct multi_remove_response response;
    assert_int_equal(table_write(m->t, RPC_MULTI_REMOVE, &request, &response), 0);
    assert_int_equal(response.count, count);
}

static bool is_number(const char *value)
{
    return *value == '-' || (*value >= '0' && *value <= '9');
}

static void do_incr(struct model *m)
{
    size_t h = any(m, HASHES), s = any(m, SORTS);
    struct record *r = &m->records[h][s];
    struct incr_request request = {
        .key = table_key(m->t, hash_keys[h], sort_keys[s]),
        .increment = (int64_t)any(m, 7) - 3,
        .expire_ts_seconds = prng_percent(&m->p, 50)   ? 0
                             : prng_percent(&m->p, 50) ? -1
                                                       : TABLE_FAR_S,
    };
    struct incr_response response;
    assert_int_equal(table_write(m->t, RPC_INCR, &request, &response), 0);
    bool exists = is_live(m, r);
    if (exists && r->value[0] != 0 && !is_number(r->value)) {
        assert_int_equal(response.error, RRDB_INVALID_ARGUMENT);
        return;
    }
    assert_int_equal(response.error, RRDB_OK);
    long long base = 0;
    if (exists && r->value[0] != 0) assert_int_equal(sscanf(r->value, "%lld", &base), 1);
    char sum[VALUE_SIZE];
    (void)snprintf(sum, sizeof sum, "%lld", base + request.increment);
    uint32_t expire_ts = request.expire_ts_seconds > 0              ? TABLE_FAR_S
                         : exists && request.expire_ts_seconds == 0 ? r->expire_ts
                                                                    : 0;
    set(r, sum, expire_ts);
    assert_int_equal(response.new_value, base + request.increment);
}

/* A check of existence, with a list of puts and deletes. */
static void do_check_and_mutate(struct model *m)
{
    struct mutate list[4];
    size_t h = any(m, HASHES), check = any(m, SORTS), count = 1 + any(m, 4);
    bool exists = is_live(m, &m->records[h][check]);
    bool passes = prng_percent(&m->p, 70);
    struct record *checked = &m->records[h][check];
    char before[VALUE_SIZE];
    (void)snprintf(before, sizeof before, "%s", exists ? checked->value : "");
    for (size_t i = 0; i < count; i++) {
        size_t s = any(m, SORTS);
        bool is_delete = prng_percent(&m->p, 40);
        list[i] = (struct mutate){
            .operation = is_delete ? MUTATE_DELETE : MUTATE_PUT,
            .sort_key = str(sort_keys[s]),
            .value = str(any_value(m)),
            .set_expire_ts_seconds = (int32_t)any_expiry(m),
        };
        struct record *r = &m->records[h][s];
        if (!passes) continue;
        if (is_delete) r->exists = false;
        else set(r, (const char *)list[i].value.data, (uint32_t)list[i].set_expire_ts_seconds);
    }
    struct check_and_mutate_request request = {
        .hash_key = str(hash_keys[h]),
        .check_sort_key = str(sort_keys[check]),
        .check_type = exists == passes ? CAS_VALUE_EXIST : CAS_VALUE_NOT_EXIST,
        .mutate_list = {list, (uint32_t)count},
        .return_check_value = true,
    };
    struct check_and_mutate_response response;
    assert_int_equal(table_write(m->t, RPC_CHECK_AND_MUTATE, &request, &response), 0);
    assert_int_equal(response.error, passes ? RRDB_OK : RRDB_TRY_AGAIN);
    assert_int_equal(response.check_value_exist, exists);
    assert_true(slice_is(response.check_value, before));
}

/* ---- Reads ---- */

static void check_points(struct model *m)
{
    size_t h = any(m, HASHES), s = any(m, SORTS);
    const struct record *r = &m->records[h][s];
    const char *value = table_get(m->t, hash_keys[h], sort_keys[s]);
    assert_int_equal(value != NULL, is_live(m, r));
    if (value != NULL) assert_string_equal(value, r->value);

    struct bare_blob key = {.value = table_key(m->t, hash_keys[h], sort_keys[s])};
    struct ttl_response ttl;
    assert_int_equal(table_read(m->t, RPC_TTL, &key, &ttl), 0);
    int32_t left = !is_live(m, r)      ? 0
                   : r->expire_ts == 0 ? -1
                                       : (int32_t)(r->expire_ts - m->t->now_s);
    assert_int_equal(ttl.ttl_seconds, left);

    struct bare_blob hash_key = {.value = str(hash_keys[h])};
    struct count_response count;
    int64_t live = 0;
    for (size_t i = 0; i < SORTS; i++) live += is_live(m, &m->records[h][i]);
    assert_int_equal(table_read(m->t, RPC_SORTKEY_COUNT, &hash_key, &count), 0);
    assert_int_equal(count.count, live);
}

static bool passes(const struct multi_get_request *q, const char *sort_key)
{
    struct slice key = str(sort_key);
    int from = slice_compare(key, q->start_sortkey), to = slice_compare(key, q->stop_sortkey);
    if (from < 0 || (from == 0 && !q->start_inclusive)) return false;
    if (q->stop_sortkey.size > 0 && (to > 0 || (to == 0 && !q->stop_inclusive))) return false;
    return q->sort_key_filter_type != FILTER_PREFIX ||
           slice_has_prefix(key, q->sort_key_filter_pattern);
}

static void check_range(struct model *m)
{
    size_t h = any(m, HASHES);
    struct multi_get_request q = {
        .hash_key = str(hash_keys[h]),
        .max_kv_count = (int32_t)any(m, 5),
        .start_sortkey = str(sort_keys[any(m, SORTS)]),
        .stop_sortkey = str(sort_keys[any(m, SORTS)]),
        .start_inclusive = prng_percent(&m->p, 50),
        .stop_inclusive = prng_percent(&m->p, 50),
        .sort_key_filter_type = prng_percent(&m->p, 30) ? FILTER_PREFIX : FILTER_NONE,
        .sort_key_filter_pattern = str(sort_keys[any(m, SORTS)]),
        .reverse = prng_percent(&m->p, 40),
    };
    size_t found[SORTS], count = 0;
    for (size_t s = 0; s < SORTS; s++)
        if (is_live(m, &m->records[h][s]) && passes(&q, sort_keys[s])) found[count++] = s;
    size_t page =
        q.max_kv_count > 0 && (size_t)q.max_kv_count < count ? (size_t)q.max_kv_count : count;
    size_t first = q.reverse ? count - page : 0;

    struct multi_get_response r;
    assert_int_equal(table_read(m->t, RPC_MULTI_GET, &q, &r), 0);
    assert_int_equal(r.kvs.count, page);
    for (size_t i = 0; i < page; i++) {
        size_t s = found[first + i];
        assert_true(slice_is(r.kvs.items[i].key, sort_keys[s]));
        assert_true(slice_is(r.kvs.items[i].value, m->records[h][s].value));
    }
    if (page < count) assert_int_equal(r.error, RRDB_INCOMPLETE);
    if (q.max_kv_count == 0) assert_int_equal(r.error, RRDB_OK);
}

/* All live records in order, whatever the batches. */
static void check_scan(struct model *m)
{
    struct get_scanner_request request = {
        .start_key = slice_of("\0", 2),
        .stop_key = slice_of("\xff\xff", 2),
        .start_inclusive = true,
        .batch_size = (int32_t)any(m, 5),
    };
    struct scan_response r;
    assert_int_equal(table_read(m->t, RPC_GET_SCANNER, &request, &r), 0);
    uint32_t at = 0;
    for (size_t i = 0; i < HASHES * SORTS; i++) {
        const struct record *record = &m->records[i / SORTS][i % SORTS];
        if (!is_live(m, record)) continue;
        while (at == r.kvs.count && r.context_id >= 0) {
            struct scan_request more = {.context_id = r.context_id};
            assert_int_equal(table_read(m->t, RPC_SCAN, &more, &r), 0);
            assert_int_equal(r.error, RRDB_OK);
            at = 0;
        }
        assert_true(at < r.kvs.count);
        assert_true(slice_equal(r.kvs.items[at].key,
                                table_key(m->t, hash_keys[i / SORTS], sort_keys[i % SORTS])));
        assert_true(slice_is(r.kvs.items[at].value, record->value));
        at++;
    }
    assert_int_equal(at, r.kvs.count);
}

/* ---- The other side ---- */

static void check_shipped(struct model *m)
{
    struct table *other = table_new();
    other->now_s = m->t->now_s;
    other->partition.cluster_id = 2;
    kv_sources_add(&other->partition.sources, 1);
    struct duplicate_request fields = {0};
    struct duplicate_response response;
    kv_dup_request_finish(&m->shipped, 0, m->shipped_count, &fields);
    assert_int_equal(buf_status(&m->shipped), 0);
    /* Decoded and sent backwards, one by one: order does not matter. */
    struct duplicate_request request;
    assert_int_equal(thrift_read_args(buf_slice(&m->shipped), &duplicate_request_schema, &request,
                                      &other->arena),
                     0);
    for (uint32_t i = request.entries.count; i > 0; i--) {
        struct duplicate_request one = {.entries = {&request.entries.items[i - 1], 1}};
        one.entries.items->set = UINT64_MAX;
        assert_int_equal(table_write(other, RPC_DUPLICATE, &one, &response), 0);
        assert_int_equal(response.error, RRDB_OK);
    }
    struct kv_digest_scope scope = {.now_s = m->t->now_s};
    struct kv_digest_bucket here = {0}, there = {0};
    assert_int_equal(kv_digest(m->t->store, &scope, &here), 0);
    assert_int_equal(kv_digest(other->store, &scope, &there), 0);
    assert_true(here.count == there.count && here.sum == there.sum);
    table_free(other);
}

static void run(uint64_t seed)
{
    struct model m = {.t = table_new()};
    prng_init(&m.p, seed);
    kv_dup_request_begin(&m.shipped);
    for (int step = 0; step < STEPS; step++) {
        switch (any(&m, 12)) {
        case 0:
        case 1: do_put(&m); break;
        case 2: do_remove(&m); break;
        case 3: do_multi_put(&m); break;
        case 4: do_multi_remove(&m); break;
        case 5: do_incr(&m); break;
        case 6: do_check_and_mutate(&m); break;
        case 7: m.t->now_s += (uint32_t)any(&m, 4); continue;
        case 8: check_scan(&m); continue;
        case 9: check_points(&m); continue;
        default: check_range(&m); continue;
        }
        ship(&m);
    }
    check_scan(&m);
    check_shipped(&m);
    buf_fini(&m.shipped);
    table_free(m.t);
}

static void test_every_answer_is_that_of_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_answer_is_that_of_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
