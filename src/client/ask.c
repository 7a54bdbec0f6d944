/* src/client/ask.c: questions that a thread waits for, and what their answers say in words. */
#include <stdio.h>

#include "base/mem.h"
#include "client/client.h"

/* ---- In words -------------------------------------------------------------------------------- */

/* What a caller can do about an error, where there is something. */
static const struct {
    enum wire_error error;
    int code;
    const char *words;
} meanings[] = {
    {WIRE_ERR_OBJECT_NOT_FOUND, E_NOTFOUND, "there is no such thing"},
    {WIRE_ERR_APP_NOT_EXIST, E_NOTFOUND, "no such table (pirene table list)"},
    {WIRE_ERR_APP_EXIST, E_EXISTS, "a table of that name exists already"},
    {WIRE_ERR_DUP_EXIST, E_EXISTS, "it is duplicated there already (pirene dup list)"},
    {WIRE_ERR_APP_DROPPED, E_NOTFOUND, "the table was dropped (pirene table recall)"},
    {WIRE_ERR_BUSY_CREATING, E_BUSY, "the table is just being created, try again in a moment"},
    {WIRE_ERR_BUSY_DROPPING, E_BUSY, "the table is just being dropped, try again in a moment"},
    {WIRE_ERR_INVALID_PARAMETERS, E_INVALID, "the server does not accept these parameters"},
    {WIRE_ERR_TIMEOUT, E_TIMEOUT, "not finished in time"},
    {WIRE_ERR_BUSY, E_BUSY, "the server is busy, try again later"},
    {WIRE_ERR_HANDLER_NOT_FOUND, E_UNSUPPORTED, "the server does not know this call"},
    {WIRE_ERR_DISK_INSUFFICIENT, E_NOSPACE, "the server's disk is full"},
    {WIRE_ERR_OPERATION_DISABLED, E_STATE, "switched off by the server's configuration"},
    {WIRE_ERR_STATE_FREEZED, E_STATE, "the cluster is frozen"},
};

static const char *words_of(enum wire_error error, int *code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (meanings[i].error != error) continue;
        *code = meanings[i].code;
        return meanings[i].words;
    }
    *code = E_STATE;
    return "the server refused";
}

static int refused(enum wire_error error, struct slice hint, struct err *e)
{
    int code;
    struct slice name = wire_error_name(error);
    const char *words = words_of(error, &code);
    /* Of a table that isn't there no hint says more, and each says it in its own words. */
    if (hint.size > 0 && error != WIRE_ERR_APP_NOT_EXIST)
        return err_set(e, code, "%.*s (%.*s)", (int)hint.size, (const char *)hint.data,
                       (int)name.size, (const char *)name.data);
    return err_set(e, code, "%s (%.*s)", words, (int)name.size, (const char *)name.data);
}

/* RPC_QUERY_CONFIG, which every route begins with, says of a table what others say of other
 * things. */
static int no_table(struct err *e)
{
    return refused(WIRE_ERR_APP_NOT_EXIST, (struct slice){0}, e);
}

int client_check(struct slice err, struct slice hint, struct err *e)
{
    enum wire_error error = wire_error_find(err);
    return error == WIRE_ERR_OK ? 0 : refused(error, hint, e);
}

int client_verdict(const struct rpc_answer *answer, const char *where, struct err *e)
{
    static const struct slice no_hint = {0};
    if (answer->rc == 0)
        return answer->error == WIRE_ERR_OK ? 0 : refused(answer->error, no_hint, e);
    switch (answer->rc) {
    case E_NOTFOUND:
        if (answer->error != WIRE_ERR_OK) return refused(answer->error, no_hint, e);
        return err_set(e, E_NOTFOUND,
                       "no address of the cluster can be resolved, or there is no "
                       "such partition");
    case E_TIMEOUT:
        if (answer->error != WIRE_ERR_OK) {
            (void)refused(answer->error, no_hint, e);
            return err_wrap(e, E_TIMEOUT, "%s did not answer in time, and said last", where);
        }
        return err_set(e, E_TIMEOUT, "%s did not answer in time: is it running?", where);
    case E_UNKNOWN:
        return err_set(e, E_UNKNOWN,
                       "the connection to %s was lost: whether it was done is unknown", where);
    default: return err_set(e, answer->rc, "%s: %s", where, err_text(answer->rc));
    }
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* One question under way. */
struct asking {
    struct client_call call;
    struct gate *gate;
    struct rpc_answer answer; /* Its chunk is held. */
};

static void on_done(struct client_call *call, const struct rpc_answer *answer)
{
    struct asking *a = LIST_ENTRY(call, struct asking, call);
    a->answer = *answer;
    if (answer->chunk != NULL) chunk_ref(answer->chunk);
    gate_pass(a->gate);
}

static void ask(struct client *client, const struct client_question *question, struct asking *a)
{
    a->call = (struct client_call){
        .to = question->to,
        .table = question->table,
        .hash = question->hash,
        .partition_index = question->partition_index,
        .rpc = question->rpc,
        .args = question->args,
        .timeout_ms = client_time_left_ms(client, question->timeout_ms),
        .on_done = on_done,
    };
    client_call(client, &a->call);
}

/* The result out of the answer, with bytes of its own. */
static int read_result(struct asking *a, struct arena *arena, void *result, struct err *e)
{
    char server[IO_ADDRESS_TEXT_SIZE] = "the cluster";
    if (a->call.call.server.port != 0) io_address_print(a->call.call.server, server);
    else (void)snprintf(server, sizeof server, "the cluster");
    int rc = client_verdict(&a->answer, server, e);
    bool is_object = a->answer.error == WIRE_ERR_OBJECT_NOT_FOUND;
    if (rc == E_NOTFOUND && is_object && a->call.to != CLIENT_META) return no_table(e);
    if (rc != 0) return rc;
    struct slice *body = &a->answer.body;
    const void *copy = arena_copy(arena, body->data, body->size);
    if (copy == NULL && body->size > 0) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    body->data = copy;
    rc = rpc_answer_read(&a->answer, rpc_info(a->call.rpc)->response, arena, result);
    if (rc != 0) err_set(e, rc, "the answer of %s is %s", server, err_text(rc));
    return rc;
}

int client_ask_all(struct client *client, const struct client_question *questions, size_t count,
                   struct arena *arena, void *const *results, int *rcs, struct err *e)
{
    struct gate *gate;
    struct asking *askings = arena_array(arena, count, sizeof *askings);
    if (askings == NULL || gate_new(count, &gate) != 0)
        return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (size_t i = 0; i < count; i++) {
        askings[i].gate = gate;
        ask(client, &questions[i], &askings[i]);
    }
    gate_wait_free(gate);

    int first = 0;
    for (size_t i = 0; i < count; i++) {
        rcs[i] = read_result(&askings[i], arena, results[i], first == 0 ? e : NULL);
        if (first == 0) first = rcs[i];
        chunk_unref(askings[i].answer.chunk);
    }
    return first;
}

int client_ask(struct client *client, const struct client_question *question, struct arena *arena,
               void *result, struct err *e)
{
    int rc;
    return client_ask_all(client, question, 1, arena, &result, &rc, e);
}

static int ask_meta(struct client *client, enum rpc_code rpc, const void *args, uint32_t timeout_ms,
                    struct arena *arena, void *result, struct err *e)
{
    struct client_question question = {
        .to = CLIENT_META, .rpc = rpc, .args = args, .timeout_ms = timeout_ms};
    int rc = client_ask(client, &question, arena, result, e);
    bool is_away = rc == E_TIMEOUT || rc == E_REFUSED;
    return is_away ? err_wrap(e, rc, "cluster at %s", client_metas(client)) : rc;
}

int client_ask_meta(struct client *client, enum rpc_code rpc, const void *args, struct arena *arena,
                    void *result, struct err *e)
{
    return ask_meta(client, rpc, args, 0, arena, result, e);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

int client_table_shape(struct client *client, const char *name, uint32_t timeout_ms,
                       uint32_t *partition_count, int32_t *app_id, struct err *e)
{
    struct arena arena = {0};
    struct query_config_request args = {.app_name = slice_str(name)};
    struct query_config_response result = {0};
    int rc = ask_meta(client, RPC_QUERY_CONFIG, &args, timeout_ms, &arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    if (rc == E_NOTFOUND) rc = no_table(e);
    if (rc == 0 && result.partition_count <= 0)
        rc = err_set(e, E_PROTO, "the metas say that the table has no partitions");
    if (rc == 0) {
        *partition_count = (uint32_t)result.partition_count;
        *app_id = result.app_id;
    } else {
        err_wrap(e, rc, "table %s", name);
    }
    arena_fini(&arena);
    return rc;
}
