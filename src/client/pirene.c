/* src/client/pirene.c: libpirene: handles, and the calls on records. Each call builds an op and
 * starts it; its waiting form does that and waits. */
#include "base/check.h"
#include "base/mem.h"
#include "client/op.h"
#include "client/round.h"
#include "io/uv.h"
#include "wire/key.h"
#include "wire/value.h"

/* ---- Handles --------------------------------------------------------------------------------- */

enum { TIMEOUT_MS_DEFAULT = 10000 };

static int open_parts(struct pirene *db, const char *metas)
{
    int rc = io_uv_open(&db->io);
    if (rc == 0) rc = io_loop_open(db->io, IO_LOOP_EVENTS, "pirene", &db->loop);
    if (rc == 0) rc = client_open(db->loop, metas, &db->client);
    return rc;
}

int pirene_open(const char *metas, const struct pirene_options *options, struct pirene **out)
{
    struct pirene *db = mem_zalloc(sizeof *db);
    if (db == NULL) return PIRENE_NOMEM;
    list_init(&db->tables);
    CHECK(pthread_mutex_init(&db->mutex, NULL) == 0);
    bool has_timeout = options != NULL && options->timeout_ms > 0;
    db->timeout_ms = has_timeout ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    int rc = open_parts(db, metas);
    if (rc != 0) {
        pirene_close(db);
        return rc == E_INVALID ? PIRENE_INVALID : PIRENE_NOMEM;
    }
    *out = db;
    return PIRENE_OK;
}

void pirene_close(struct pirene *db)
{
    struct list_node *node;
    if (db == NULL) return;
    client_close(db->client);
    io_loop_close(db->loop);
    io_uv_close(db->io);
    while ((node = list_pop_front(&db->tables)) != NULL)
        mem_free(LIST_ENTRY(node, struct pirene_table, node));
    (void)pthread_mutex_destroy(&db->mutex);
    mem_free(db);
}

int pirene_table_open(struct pirene *db, const char *name, struct pirene_table **out)
{
    if (io_is_on(db->loop)) return PIRENE_INVALID;
    struct pirene_table *t = mem_zalloc(sizeof *t);
    if (t == NULL) return PIRENE_NOMEM;
    int rc = client_table(db->client, name, &t->table);
    if (rc != 0) {
        mem_free(t);
        return rc == E_INVALID ? PIRENE_INVALID : PIRENE_NOMEM;
    }
    t->db = db;
    (void)pthread_mutex_lock(&db->mutex);
    list_push_back(&db->tables, &t->node);
    (void)pthread_mutex_unlock(&db->mutex);
    *out = t;
    return PIRENE_OK;
}

/* ---- Building -------------------------------------------------------------------------------- */

/* An op on the partition of a key, still without the key; NULL: no memory. */
static struct op *op_on(struct pirene_table *table, enum rpc_code rpc, pirene_done *done,
                        void *context)
{
    struct op *op = op_new(table->db, done, context);
    if (op == NULL) return NULL;
    op->call.to = CLIENT_KEY;
    op->call.table = table->table;
    op->call.rpc = rpc;
    return op;
}

/* The hash key of a call on many records. */
static int set_hash_key(struct op *op, struct pirene_bytes hash_key, struct slice *to)
{
    if (hash_key.size == 0 || hash_key.size > KEY_HASH_SIZE_MAX) return E_INVALID;
    int rc = op_copy(op, hash_key, to);
    if (rc == 0) op->call.hash = key_parts_hash(*to, (struct slice){0});
    return rc;
}

/* Seconds to live as the moment when it ends. */
static int32_t expiry(const struct op *op, uint32_t ttl_s)
{
    if (ttl_s == 0) return 0;
    uint64_t at = (uint64_t)value_epoch_s(io_now(op->db->io).wall_us) + ttl_s;
    return at < INT32_MAX ? (int32_t)at : INT32_MAX;
}

static int copy_list(struct op *op, const struct pirene_bytes *from, size_t count,
                     struct blob_list *to)
{
    to->items = arena_array(&op->arena, count, sizeof *to->items);
    if (count > THRIFT_COUNT_MAX) return E_INVALID;
    if (to->items == NULL) return E_NOMEM;
    int rc = 0;
    for (; rc == 0 && to->count < count; to->count++)
        rc = op_copy(op, from[to->count], &to->items[to->count]);
    return rc;
}

/* ---- One record ------------------------------------------------------------------------------ */

void pirene_put_start(struct pirene_table *table, struct pirene_key key, struct pirene_bytes value,
                      uint32_t ttl_s, pirene_done *done, void *context)
{
    struct op *op = op_on(table, RPC_PUT, done, context);
    int rc = op != NULL ? op_copy_key(op, key, &op->args.put.key, &op->call.hash) : E_NOMEM;
    if (rc == 0) rc = op_copy(op, value, &op->args.put.value);
    if (rc == 0) op->args.put.expire_ts_seconds = expiry(op, ttl_s);
    op_start(op, rc, done, context);
}

/* GET, TTL and REMOVE: just a key. */
static void start_on_key(struct pirene_table *table, enum rpc_code rpc, struct pirene_key key,
                         pirene_done *done, void *context)
{
    struct op *op = op_on(table, rpc, done, context);
    int rc = op != NULL ? op_copy_key(op, key, &op->args.key.value, &op->call.hash) : E_NOMEM;
    op_start(op, rc, done, context);
}

void pirene_get_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                      void *context)
{
    start_on_key(table, RPC_GET, key, done, context);
}

void pirene_del_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                      void *context)
{
    start_on_key(table, RPC_REMOVE, key, done, context);
}

/* Asked as the time to live: that moves no value. */
void pirene_exists_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                         void *context)
{
    start_on_key(table, RPC_TTL, key, done, context);
}

void pirene_ttl_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                      void *context)
{
    start_on_key(table, RPC_TTL, key, done, context);
}

void pirene_incr_start(struct pirene_table *table, struct pirene_key key, int64_t by, int32_t ttl_s,
                       pirene_done *done, void *context)
{
    struct op *op = op_on(table, RPC_INCR, done, context);
    int rc = op != NULL ? op_copy_key(op, key, &op->args.incr.key, &op->call.hash) : E_NOMEM;
    if (rc == 0) op->args.incr.increment = by;
    if (rc == 0) op->args.incr.expire_ts_seconds = ttl_s > 0 ? expiry(op, (uint32_t)ttl_s) : ttl_s;
    op_start(op, rc, done, context);
}

static int set_check(struct op *op, const struct pirene_checked_put *what)
{
    struct check_and_set_request *args = &op->args.check_and_set;
    int rc = set_hash_key(op, what->hash_key, &args->hash_key);
    if (rc == 0) rc = op_copy(op, what->check_sort_key, &args->check_sort_key);
    if (rc == 0) rc = op_copy(op, what->operand, &args->check_operand);
    if (rc == 0) rc = op_copy(op, what->set_sort_key, &args->set_sort_key);
    if (rc == 0) rc = op_copy(op, what->value, &args->set_value);
    args->check_type = (int32_t)what->check;
    args->set_diff_sort_key = !slice_equal(args->check_sort_key, args->set_sort_key);
    args->set_expire_ts_seconds = expiry(op, what->ttl_s);
    args->return_check_value = what->wants_value;
    return rc;
}

void pirene_check_and_set_start(struct pirene_table *table, const struct pirene_checked_put *what,
                                pirene_done *done, void *context)
{
    struct op *op = op_on(table, RPC_CHECK_AND_SET, done, context);
    op_start(op, op != NULL ? set_check(op, what) : E_NOMEM, done, context);
}

/* ---- Many records ---------------------------------------------------------------------------- */

static int set_pairs(struct op *op, struct pirene_bytes hash_key, const struct pirene_pair *pairs,
                     size_t count)
{
    struct multi_put_request *args = &op->args.multi_put;
    if (count == 0 || count > THRIFT_COUNT_MAX) return E_INVALID;
    int rc = set_hash_key(op, hash_key, &args->hash_key);
    args->kvs.items = arena_array(&op->arena, count, sizeof *args->kvs.items);
    if (args->kvs.items == NULL) return E_NOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = op_copy(op, pairs[i].sort_key, &args->kvs.items[i].key);
        if (rc == 0) rc = op_copy(op, pairs[i].value, &args->kvs.items[i].value);
    }
    args->kvs.count = (uint32_t)count;
    return rc;
}

void pirene_multi_put_start(struct pirene_table *table, struct pirene_bytes hash_key,
                            const struct pirene_pair *pairs, size_t count, uint32_t ttl_s,
                            pirene_done *done, void *context)
{
    struct op *op = op_on(table, RPC_MULTI_PUT, done, context);
    int rc = op != NULL ? set_pairs(op, hash_key, pairs, count) : E_NOMEM;
    if (rc == 0) op->args.multi_put.expire_ts_seconds = expiry(op, ttl_s);
    op_start(op, rc, done, context);
}

void pirene_multi_get_start(struct pirene_table *table, struct pirene_bytes hash_key,
                            const struct pirene_bytes *sort_keys, size_t count, pirene_done *done,
                            void *context)
{
    struct op *op = op_on(table, RPC_MULTI_GET, done, context);
    int rc = op != NULL ? set_hash_key(op, hash_key, &op->args.multi_get.hash_key) : E_NOMEM;
    if (rc == 0) rc = copy_list(op, sort_keys, count, &op->args.multi_get.sort_keys);
    if (rc == 0) op->args.multi_get.start_inclusive = true;
    op_start(op, rc, done, context);
}

void pirene_multi_del_start(struct pirene_table *table, struct pirene_bytes hash_key,
                            const struct pirene_bytes *sort_keys, size_t count, pirene_done *done,
                            void *context)
{
    struct op *op = op_on(table, RPC_MULTI_REMOVE, done, context);
    int rc = op != NULL ? set_hash_key(op, hash_key, &op->args.multi_remove.hash_key) : E_NOMEM;
    if (rc == 0 && count == 0) rc = E_INVALID;
    if (rc == 0) rc = copy_list(op, sort_keys, count, &op->args.multi_remove.sort_keys);
    op_start(op, rc, done, context);
}

void pirene_sortkey_count_start(struct pirene_table *table, struct pirene_bytes hash_key,
                                pirene_done *done, void *context)
{
    struct op *op = op_on(table, RPC_SORTKEY_COUNT, done, context);
    int rc = op != NULL ? set_hash_key(op, hash_key, &op->args.key.value) : E_NOMEM;
    op_start(op, rc, done, context);
}

/* ---- The waiting forms ----------------------------------------------------------------------- */

/* Start with op_wait_done and wait; 'result' NULL: nobody wants it. */
#define WAIT(table, result, start)                                                                 \
    do {                                                                                           \
        struct op_wait wait;                                                                       \
        int error = op_wait_begin(&wait, (table)->db);                                             \
        if (error != PIRENE_OK) return op_wait_refused(error, result);                             \
        start;                                                                                     \
        return op_wait_end(&wait, result);                                                         \
    } while (0)

int pirene_put(struct pirene_table *table, struct pirene_key key, struct pirene_bytes value,
               uint32_t ttl_s)
{
    WAIT(table, NULL, pirene_put_start(table, key, value, ttl_s, op_wait_done, &wait));
}

int pirene_get(struct pirene_table *table, struct pirene_key key, struct pirene_result *result)
{
    WAIT(table, result, pirene_get_start(table, key, op_wait_done, &wait));
}

int pirene_del(struct pirene_table *table, struct pirene_key key)
{
    WAIT(table, NULL, pirene_del_start(table, key, op_wait_done, &wait));
}

int pirene_exists(struct pirene_table *table, struct pirene_key key)
{
    WAIT(table, NULL, pirene_exists_start(table, key, op_wait_done, &wait));
}

int pirene_ttl(struct pirene_table *table, struct pirene_key key, struct pirene_result *result)
{
    WAIT(table, result, pirene_ttl_start(table, key, op_wait_done, &wait));
}

int pirene_incr(struct pirene_table *table, struct pirene_key key, int64_t by, int32_t ttl_s,
                struct pirene_result *result)
{
    WAIT(table, result, pirene_incr_start(table, key, by, ttl_s, op_wait_done, &wait));
}

int pirene_check_and_set(struct pirene_table *table, const struct pirene_checked_put *what,
                         struct pirene_result *result)
{
    WAIT(table, result, pirene_check_and_set_start(table, what, op_wait_done, &wait));
}

int pirene_multi_put(struct pirene_table *table, struct pirene_bytes hash_key,
                     const struct pirene_pair *pairs, size_t count, uint32_t ttl_s)
{
    WAIT(table, NULL,
         pirene_multi_put_start(table, hash_key, pairs, count, ttl_s, op_wait_done, &wait));
}

int pirene_multi_get(struct pirene_table *table, struct pirene_bytes hash_key,
                     const struct pirene_bytes *sort_keys, size_t count,
                     struct pirene_result *result)
{
    WAIT(table, result,
         pirene_multi_get_start(table, hash_key, sort_keys, count, op_wait_done, &wait));
}

int pirene_multi_del(struct pirene_table *table, struct pirene_bytes hash_key,
                     const struct pirene_bytes *sort_keys, size_t count)
{
    WAIT(table, NULL,
         pirene_multi_del_start(table, hash_key, sort_keys, count, op_wait_done, &wait));
}

int pirene_sortkey_count(struct pirene_table *table, struct pirene_bytes hash_key,
                         struct pirene_result *result)
{
    WAIT(table, result, pirene_sortkey_count_start(table, hash_key, op_wait_done, &wait));
}

/* ---- Duplication ----------------------------------------------------------------------------- */

int pirene_dup_wait(struct pirene_table *table, uint32_t timeout_ms)
{
    struct client_dup_wait wait;
    struct err e = {0};
    if (io_is_on(table->db->loop)) return PIRENE_INVALID;
    int rc = client_dup_wait(table->db->client, client_table_name(table->table), 0, timeout_ms,
                             &wait, &e);
    if (rc == E_NOTFOUND) return wait.partition_count == 0 ? PIRENE_NO_TABLE : PIRENE_NOT_FOUND;
    return op_error_of_rc(rc);
}
