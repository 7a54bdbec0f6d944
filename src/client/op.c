/* src/client/op.c: starting, answering, ending. */
#include "client/op.h"

#include "base/check.h"
#include "wire/key.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

struct op *op_new(struct pirene *db, pirene_done *done, void *context)
{
    struct arena arena = {0};
    struct op *op = arena_alloc(&arena, sizeof *op);
    if (op == NULL) return NULL;
    op->db = db;
    op->arena = arena;
    op->done = done;
    op->context = context;
    return op;
}

void op_free(struct op *op)
{
    struct arena arena = op->arena; /* The op itself lies in it. */
    chunk_unref(op->chunk);
    arena_fini(&arena);
}

void pirene_result_free(struct pirene_result *result)
{
    if (result->memory != NULL) op_free(result->memory);
    *result = (struct pirene_result){0};
}

int op_copy(struct op *op, struct pirene_bytes from, struct slice *to)
{
    if (from.size > INT32_MAX) return E_INVALID;
    const void *copy = from.size > 0 ? arena_copy(&op->arena, from.data, from.size) : NULL;
    if (copy == NULL && from.size > 0) return E_NOMEM;
    *to = slice_of(copy, from.size);
    return 0;
}

int op_copy_key(struct op *op, struct pirene_key key, struct slice *to, uint64_t *hash)
{
    if (key.hash.size > KEY_HASH_SIZE_MAX || key.sort.size > INT32_MAX / 2) return E_INVALID;
    uint8_t *raw = arena_alloc(&op->arena, KEY_HEAD_SIZE + key.hash.size + key.sort.size);
    if (raw == NULL) return E_NOMEM;
    bytes_put_be16(raw, (uint16_t)key.hash.size);
    if (key.hash.size > 0) memcpy(raw + KEY_HEAD_SIZE, key.hash.data, key.hash.size);
    if (key.sort.size > 0)
        memcpy(raw + KEY_HEAD_SIZE + key.hash.size, key.sort.data, key.sort.size);
    *to = slice_of(raw, KEY_HEAD_SIZE + key.hash.size + key.sort.size);
    *hash = key_hash(*to);
    return 0;
}

/* ---- What went wrong ------------------------------------------------------------------------- */

const char *pirene_error_text(int error)
{
    switch (error) {
#define X(name, code, text)                                                                        \
    case name: return text;
        PIRENE_ERROR_MAP(X)
#undef X
    default: return "unnamed error";
    }
}

int op_error_of_rc(int rc)
{
    switch (rc) {
    case 0: return PIRENE_OK;
    case E_NOTFOUND: return PIRENE_NO_TABLE;
    case E_TIMEOUT: return PIRENE_TIMEOUT;
    case E_UNKNOWN: return PIRENE_UNKNOWN;
    case E_CANCELED: return PIRENE_CLOSED;
    case E_NOMEM: return PIRENE_NOMEM;
    case E_BUSY: return PIRENE_BUSY;
    case E_LIMIT:
    case E_INVALID: return PIRENE_INVALID;
    case E_REFUSED:
    case E_CLOSED:
    case E_UNREACHABLE: return PIRENE_UNREACHABLE;
    default: return PIRENE_BAD_ANSWER;
    }
}

static int error_of_server(enum wire_error error)
{
    switch (error) {
    case WIRE_ERR_OK: return PIRENE_OK;
    case WIRE_ERR_TIMEOUT: return PIRENE_TIMEOUT;
    case WIRE_ERR_BUSY: return PIRENE_BUSY;
    case WIRE_ERR_INVALID_PARAMETERS: return PIRENE_INVALID;
    case WIRE_ERR_OBJECT_NOT_FOUND:
    case WIRE_ERR_APP_NOT_EXIST: return PIRENE_NO_TABLE;
    default: return PIRENE_REFUSED;
    }
}

int op_error_of_status(int32_t status)
{
    switch (status) {
    case RRDB_OK:
    case RRDB_INCOMPLETE: return PIRENE_OK;
    case RRDB_NOT_FOUND: return PIRENE_NOT_FOUND;
    case RRDB_TRY_AGAIN: return PIRENE_CONDITION;
    case RRDB_INVALID_ARGUMENT: return PIRENE_INVALID;
    case RRDB_BUSY: return PIRENE_BUSY;
    case RRDB_TIMED_OUT: return PIRENE_TIMEOUT;
    default: return PIRENE_REFUSED;
    }
}

/* ---- Results --------------------------------------------------------------------------------- */

static struct pirene_bytes bytes_of(struct slice s)
{
    return (struct pirene_bytes){s.data, s.size};
}

int op_set_records(struct op *op, const struct key_value_list *kvs, bool is_raw)
{
    struct pirene_record *records = arena_array(&op->arena, kvs->count, sizeof *records);
    if (records == NULL && kvs->count > 0) return E_NOMEM;
    for (uint32_t i = 0; i < kvs->count; i++) {
        struct key_parts parts = {.sort_key = kvs->items[i].key};
        if (is_raw && key_split(kvs->items[i].key, &parts) != 0) return E_PROTO;
        records[i].key.hash = bytes_of(parts.hash_key);
        records[i].key.sort = bytes_of(parts.sort_key);
        records[i].value = bytes_of(kvs->items[i].value);
    }
    op->result.records = records;
    op->result.record_count = kvs->count;
    return 0;
}

static void set_value(struct op *op, const struct read_response *response)
{
    op->result.error = op_error_of_status(response->error);
    op->result.value = bytes_of(response->value);
}

static int set_multi_get(struct op *op, const struct multi_get_response *response)
{
    op->result.error = op_error_of_status(response->error);
    op->result.is_partial = response->error == RRDB_INCOMPLETE;
    return op_set_records(op, &response->kvs, false);
}

static void set_check_and_set(struct op *op, const struct check_and_set_response *response)
{
    op->result.error = op_error_of_status(response->error);
    op->result.has_value = response->check_value_returned && response->check_value_exist;
    op->result.value = bytes_of(response->check_value);
}

/* 'type' is that of the answer, 'member' the number in it. */
#define SET_NUMBER(type, member)                                                                   \
    do {                                                                                           \
        const struct type *r = response;                                                           \
        op->result.error = op_error_of_status(r->error);                                           \
        op->result.number = r->member;                                                             \
    } while (0)

/* An answer of this rpc as a result. */
static int set_result(struct op *op, const void *response)
{
    switch (op->call.rpc) {
    case RPC_GET: set_value(op, response); return 0;
    case RPC_INCR: SET_NUMBER(incr_response, new_value); return 0;
    case RPC_TTL: SET_NUMBER(ttl_response, ttl_seconds); return 0;
    case RPC_SORTKEY_COUNT: SET_NUMBER(count_response, count); return 0;
    case RPC_MULTI_REMOVE: SET_NUMBER(multi_remove_response, count); return 0;
    case RPC_CHECK_AND_SET: set_check_and_set(op, response); return 0;
    case RPC_MULTI_GET: return set_multi_get(op, response);
    default:
        op->result.error = op_error_of_status(((const struct update_response *)response)->error);
        return 0;
    }
}

/* ---- The way of a call ----------------------------------------------------------------------- */

static void end(struct op *op)
{
    bool is_kept = op->done == op_wait_done; /* By who waits, and may have freed it already. */
    op->result.memory = op;
    op->done(op->context, &op->result);
    if (!is_kept) op_free(op);
}

static void on_done(struct client_call *call, const struct rpc_answer *answer)
{
    struct op *op = LIST_ENTRY(call, struct op, call);
    const struct schema *schema = rpc_info(call->rpc)->response;
    void *response = NULL;
    int rc = answer->rc;
    bool is_over = true;
    op->result.error = error_of_server(answer->error);
    if (rc == 0 && answer->error == WIRE_ERR_OK) {
        if (answer->chunk != NULL) op->chunk = chunk_ref(answer->chunk);
        response = arena_alloc(&op->arena, schema->size);
        rc = response != NULL ? rpc_answer_read(answer, schema, &op->arena, response) : E_NOMEM;
        if (rc == 0 && op->on_answer == NULL) rc = set_result(op, response);
    }
    if (rc != 0) op->result.error = op_error_of_rc(rc);
    if (op->on_answer != NULL) is_over = op->on_answer(op, rc == 0 ? response : NULL);
    if (is_over) end(op);
    else op_free(op);
}

void op_start(struct op *op, int rc, pirene_done *done, void *context)
{
    if (op == NULL || rc != 0) {
        struct pirene_result result = {.error = op == NULL ? PIRENE_NOMEM : op_error_of_rc(rc)};
        if (op != NULL) op_free(op);
        done(context, &result);
        return;
    }
    op->call.timeout_ms = op->db->timeout_ms;
    op->call.on_done = on_done;
    op->call.args = &op->args;
    client_call(op->db->client, &op->call);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

int op_wait_begin(struct op_wait *wait, const struct pirene *db)
{
    *wait = (struct op_wait){0};
    if (io_is_on(db->loop)) return PIRENE_INVALID;
    return gate_new(1, &wait->gate) == 0 ? PIRENE_OK : PIRENE_NOMEM;
}

int op_wait_refused(int error, struct pirene_result *result)
{
    if (result != NULL) *result = (struct pirene_result){.error = error};
    return error;
}

void op_wait_done(void *context, const struct pirene_result *result)
{
    struct op_wait *wait = context;
    wait->result = *result;
    gate_pass(wait->gate);
}

int op_wait_end(struct op_wait *wait, struct pirene_result *result)
{
    gate_wait_free(wait->gate);
    int error = wait->result.error;
    if (result != NULL) *result = wait->result;
    else pirene_result_free(&wait->result);
    return error;
}
