/* src/client/scan.c: scans: the partitions of a table one after the other, each in batches.
 *
 *     partition 0: GET_SCANNER -> batch, context -> SCAN -> batch, context -> ... -> batch, done
 *     partition 1: GET_SCANNER -> ...                            end: the last partition is done
 *
 * A context lives on the server only: when it is lost (the server was restarted, or nobody asked
 * for long), the scan begins again behind the last key that it has seen. */
#include "base/mem.h"
#include "client/op.h"
#include "wire/key.h"

enum { BATCH_COUNT_DEFAULT = 1000 };

struct pirene_scan {
    struct pirene_table *table;
    struct buf start, stop; /* Raw keys. */
    struct buf prefix;      /* Of sort keys, for a scan of the whole table. */
    bool start_inclusive;
    bool is_hash_scan;
    uint64_t hash; /* Of the hash key. */
    uint32_t batch_count;
    bool has_no_values, only_counts;
    uint32_t partition, partition_count; /* The one it is in. */
    int64_t context_id;                  /* SCAN_CONTEXT_DONE: none. */
    pirene_done *done;
    void *context;
};

static void ask(struct pirene_scan *s);

/* ---- Opening and closing --------------------------------------------------------------------- */

static struct slice slice_of_bytes(struct pirene_bytes bytes)
{
    return slice_of(bytes.data, bytes.size);
}

/* From the first key to before the first one behind: of a hash key, of a prefix in it, or of
 * all. */
static int set_range(struct pirene_scan *s, const struct pirene_scan_options *o)
{
    static const uint8_t last[] = {0xff, 0xff};
    s->start_inclusive = true;
    buf_clear(&s->start);
    if (!s->is_hash_scan) {
        buf_append_be16(&s->start, 0);
        buf_append(&s->stop, last, sizeof last);
        buf_append_slice(&s->prefix, slice_of_bytes(o->sort_prefix));
    } else {
        struct slice hash_key = slice_of_bytes(*o->hash_key);
        if (hash_key.size == 0 || hash_key.size > KEY_HASH_SIZE_MAX) return E_INVALID;
        s->hash = key_parts_hash(hash_key, (struct slice){0});
        key_append(&s->start, hash_key, slice_of_bytes(o->sort_prefix));
        key_append(&s->stop, hash_key, slice_of_bytes(o->sort_prefix));
        key_successor(&s->stop);
    }
    if (s->start.failed || s->stop.failed || s->prefix.failed) return E_NOMEM;
    return 0;
}

static void scan_free(struct pirene_scan *s)
{
    buf_fini(&s->start);
    buf_fini(&s->stop);
    buf_fini(&s->prefix);
    mem_free(s);
}

int pirene_scan_open(struct pirene_table *table, const struct pirene_scan_options *options,
                     struct pirene_scan **out)
{
    static const struct pirene_scan_options defaults = {.hash_key = NULL};
    const struct pirene_scan_options *o = options != NULL ? options : &defaults;
    int32_t app_id;
    if (io_is_on(table->db->loop)) return PIRENE_INVALID;
    struct pirene_scan *s = mem_zalloc(sizeof *s);
    if (s == NULL) return PIRENE_NOMEM;
    s->table = table;
    s->is_hash_scan = o->hash_key != NULL;
    s->batch_count = o->batch_count > 0 ? o->batch_count : BATCH_COUNT_DEFAULT;
    s->has_no_values = o->has_no_values;
    s->only_counts = o->only_counts;
    s->context_id = SCAN_CONTEXT_DONE;
    int rc = set_range(s, o);
    s->partition_count = 1;
    if (rc == 0 && !s->is_hash_scan)
        rc = client_table_shape(table->db->client, client_table_name(table->table),
                                table->db->timeout_ms, &s->partition_count, &app_id, NULL);
    if (rc != 0) {
        scan_free(s);
        return op_error_of_rc(rc);
    }
    *out = s;
    return PIRENE_OK;
}

void pirene_scan_close(struct pirene_scan *scan)
{
    if (scan != NULL) scan_free(scan);
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Behind the last key of the batch a scan would begin again. */
static int remember(struct pirene_scan *s, const struct key_value_list *kvs)
{
    if (kvs->count == 0) return 0;
    buf_clear(&s->start);
    buf_append_slice(&s->start, kvs->items[kvs->count - 1].key);
    s->start_inclusive = false;
    return buf_status(&s->start);
}

/* The partition is done: the next one begins at its beginning. */
static void next_partition(struct pirene_scan *s)
{
    static const uint8_t first[KEY_HEAD_SIZE] = {0};
    s->partition++;
    s->context_id = SCAN_CONTEXT_DONE;
    s->start_inclusive = true;
    buf_clear(&s->start);
    buf_append(&s->start, first, sizeof first); /* It has had room for more. */
}

/* Take the batch; false: there was nothing in it, and more is asked for. */
static bool take(struct pirene_scan *s, struct op *op, const struct scan_response *response)
{
    int rc = op_set_records(op, &response->kvs, true);
    if (rc == 0) rc = remember(s, &response->kvs);
    if (rc != 0) {
        op->result.error = op_error_of_rc(rc);
        return true;
    }
    bool has_count = (response->set & SCAN_RESPONSE_HAS_KV_COUNT) != 0;
    op->result.error = PIRENE_OK;
    op->result.number = has_count ? response->kv_count : (int64_t)response->kvs.count;
    s->context_id = response->context_id;
    if (response->context_id < 0) next_partition(s);
    return op->result.number > 0;
}

static bool on_answer(struct op *op, const void *response)
{
    struct pirene_scan *s = op->owner;
    const struct scan_response *batch = response;
    bool had_context = s->context_id >= 0;
    if (batch == NULL) { /* An error, told by the op. */
        s->context_id = SCAN_CONTEXT_DONE;
        return true;
    }
    if (batch->error == RRDB_NOT_FOUND && had_context && !s->only_counts) {
        s->context_id = SCAN_CONTEXT_DONE; /* Lost: begin again behind the last key. */
    } else if (batch->error != RRDB_OK && batch->error != RRDB_INCOMPLETE) {
        op->result.error = op_error_of_status(batch->error);
        if (batch->error == RRDB_NOT_FOUND) op->result.error = PIRENE_REFUSED;
        s->context_id = SCAN_CONTEXT_DONE;
        return true;
    } else if (take(s, op, batch)) {
        return true;
    }
    ask(s);
    return false;
}

/* ---- Questions ------------------------------------------------------------------------------- */

static int set_begin(struct pirene_scan *s, struct op *op)
{
    struct get_scanner_request *args = &op->args.get_scanner;
    struct pirene_bytes start = {s->start.data, s->start.size};
    struct pirene_bytes stop = {s->stop.data, s->stop.size};
    struct pirene_bytes prefix = {s->prefix.data, s->prefix.size};
    op->call.rpc = RPC_GET_SCANNER;
    *args = (struct get_scanner_request){
        .set = GET_SCANNER_REQUEST_HAS_VALIDATE_PARTITION_HASH | GET_SCANNER_REQUEST_HAS_FULL_SCAN |
               GET_SCANNER_REQUEST_HAS_ONLY_RETURN_COUNT,
        .start_inclusive = s->start_inclusive,
        .batch_size = (int32_t)s->batch_count,
        .no_value = s->has_no_values,
        .sort_key_filter_type = prefix.size > 0 ? FILTER_PREFIX : FILTER_NONE,
        .validate_partition_hash = true,
        .full_scan = !s->is_hash_scan,
        .only_return_count = s->only_counts,
    };
    int rc = op_copy(op, start, &args->start_key);
    if (rc == 0) rc = op_copy(op, stop, &args->stop_key);
    return rc == 0 ? op_copy(op, prefix, &args->sort_key_filter_pattern) : rc;
}

/* Ask for the next batch of the partition, or end. */
static void ask(struct pirene_scan *s)
{
    struct pirene_result end = {.error = PIRENE_END};
    if (s->partition >= s->partition_count) {
        s->done(s->context, &end);
        return;
    }
    struct op *op = op_new(s->table->db, s->done, s->context);
    int rc = E_NOMEM;
    if (op != NULL) {
        op->call.to = s->is_hash_scan ? CLIENT_KEY : CLIENT_PARTITION;
        op->call.table = s->table->table;
        op->call.hash = s->hash;
        op->call.partition_index = s->partition;
        op->owner = s;
        op->on_answer = on_answer;
        op->call.rpc = RPC_SCAN;
        op->args.scan.context_id = s->context_id;
        rc = s->context_id >= 0 ? 0 : set_begin(s, op);
    }
    op_start(op, rc, s->done, s->context);
}

void pirene_scan_next_start(struct pirene_scan *scan, pirene_done *done, void *context)
{
    scan->done = done;
    scan->context = context;
    ask(scan);
}

int pirene_scan_next(struct pirene_scan *scan, struct pirene_result *result)
{
    struct op_wait wait;
    int error = op_wait_begin(&wait, scan->table->db);
    if (error != PIRENE_OK) return op_wait_refused(error, result);
    pirene_scan_next_start(scan, op_wait_done, &wait);
    return op_wait_end(&wait, result);
}
