/* src/cli/admin.c: the steps of an operator. */
#include "cli/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"

static int ask_meta(struct client *client, enum rpc_code rpc, const void *args, struct arena *arena,
                    void *result, struct err *e)
{
    struct client_question question = {
        .to = CLIENT_META, .rpc = rpc, .args = args, .timeout_ms = ADMIN_TIMEOUT_MS};
    int rc = client_ask(client, &question, arena, result, e);
    if (rc == E_TIMEOUT) return err_wrap(e, rc, "cluster at %s", client_metas(client));
    return rc;
}

/* ---- Tables -------------------------------------------------------------------------------------- */

static int replicas_default(struct client *client, struct arena *arena, int32_t *out, struct err *e)
{
    struct list_nodes_request args = {.status = NS_ALIVE};
    struct list_nodes_response result;
    int rc = ask_meta(client, RPC_LIST_NODES, &args, arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    if (rc != 0) return rc;
    *out = result.infos.count > 3 ? 3 : result.infos.count > 0 ? (int32_t)result.infos.count : 1;
    return 0;
}

/* The same call to every partition of 'table'. */
struct round {
    struct client_table *table;
    uint32_t count;
    int32_t app_id;
    struct client_question *questions;
    void **results;
    int *rcs;
};

static int round_init(struct round *r, struct client *client, const char *table,
                      struct arena *arena, enum rpc_code rpc, uint32_t timeout_ms, struct err *e)
{
    const struct rpc_info *info = rpc_info(rpc);
    int rc = client_table_shape(client, table, &r->count, &r->app_id, e);
    if (rc != 0) return rc;
    rc = client_table(client, table, &r->table);
    r->questions = arena_array(arena, r->count, sizeof *r->questions);
    r->results = arena_array(arena, r->count, sizeof *r->results);
    r->rcs = arena_array(arena, r->count, sizeof *r->rcs);
    if (rc != 0 || r->questions == NULL || r->results == NULL || r->rcs == NULL)
        return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < r->count; i++) {
        r->questions[i] = (struct client_question){.to = CLIENT_PARTITION,
                                                   .table = r->table,
                                                   .partition_index = i,
                                                   .rpc = rpc,
                                                   .timeout_ms = timeout_ms};
        r->results[i] = arena_alloc(arena, info->response->size);
        if (r->results[i] == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    }
    return 0;
}

static int round_ask(struct round *r, struct client *client, struct arena *arena, struct err *e)
{
    return client_ask_all(client, r->questions, r->count, arena, r->results, r->rcs, e);
}

/* Read something from every partition: a table that was just made is opening its stores. */
static int wait_until_open(struct client *client, const char *table, struct err *e)
{
    struct arena arena = {0};
    struct round r;
    struct dup_status_request args = {.app_name = slice_str(table)};
    int rc = round_init(&r, client, table, &arena, RPC_DUP_STATUS, ADMIN_TIMEOUT_MS, e);
    for (uint32_t i = 0; rc == 0 && i < r.count; i++) r.questions[i].args = &args;
    if (rc == 0) rc = round_ask(&r, client, &arena, e);
    /* A server of another kind does not know the call, but it has one. */
    if (rc == E_UNSUPPORTED) rc = 0;
    arena_fini(&arena);
    return rc;
}

int admin_table_create(struct client *client, const struct admin_table *table, int32_t *app_id,
                       bool *is_new, struct err *e)
{
    struct arena arena = {0};
    struct create_app_request args = {
        .app_name = slice_str(table->name),
        .options = {.partition_count = (int32_t)table->partition_count,
                    .replica_count = (int32_t)table->replica_count,
                    .app_type = slice_str("pegasus"),
                    .is_stateful = true},
    };
    struct create_app_response result = {0};
    int rc = 0;
    if (table->replica_count == 0)
        rc = replicas_default(client, &arena, &args.options.replica_count, e);
    if (rc == 0) rc = ask_meta(client, RPC_CREATE_APP, &args, &arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    *is_new = rc == 0;
    *app_id = result.appid;
    if (rc == E_EXISTS && table->may_exist) rc = 0;
    if (rc == 0) rc = wait_until_open(client, table->name, e);
    arena_fini(&arena);
    return rc == 0 ? 0 : err_wrap(e, rc, "table %s", table->name);
}

/* ---- Arranging duplications ---------------------------------------------------------------------- */

int admin_dup_add(struct client *client, const struct admin_dup *dup, int32_t *dup_id,
                  struct err *e)
{
    struct arena arena = {0};
    const char *remote_table = dup->remote_table != NULL ? dup->remote_table : dup->table;
    struct add_duplication_request args = {
        .set = ADD_DUPLICATION_REQUEST_HAS_IS_DUPLICATING_CHECKPOINT |
               ADD_DUPLICATION_REQUEST_HAS_REMOTE_APP_NAME,
        .app_name = slice_str(dup->table),
        .remote_cluster_name = slice_str(dup->remote_metas),
        .is_duplicating_checkpoint = !dup->without_snapshot,
        .remote_app_name = slice_str(remote_table),
    };
    struct add_duplication_response result;
    int rc = ask_meta(client, RPC_ADD_DUPLICATION, &args, &arena, &result, e);
    if (rc == 0) rc = client_check(result.err, result.hint, e);
    if (rc == 0) *dup_id = result.dupid;
    arena_fini(&arena);
    return rc == 0 ? 0 : err_wrap(e, rc, "duplicate %s to %s", dup->table, dup->remote_metas);
}

int admin_dup_query(struct client *client, const char *table, struct arena *arena,
                    struct duplication_entry_list *out, struct err *e)
{
    struct query_duplication_request args = {.app_name = slice_str(table)};
    struct query_duplication_response result;
    int rc = ask_meta(client, RPC_QUERY_DUPLICATION, &args, arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    if (rc != 0) return err_wrap(e, rc, "table %s", table);
    *out = result.entry_list;
    return 0;
}

int admin_dup_modify(struct client *client, const char *table, int32_t dup_id,
                     enum duplication_status status, struct err *e)
{
    struct arena arena = {0};
    struct modify_duplication_request args = {
        .set = MODIFY_DUPLICATION_REQUEST_HAS_STATUS,
        .app_name = slice_str(table),
        .dupid = dup_id,
        .status = (int32_t)status,
    };
    struct modify_duplication_response result;
    int rc = ask_meta(client, RPC_MODIFY_DUPLICATION, &args, &arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    arena_fini(&arena);
    return rc == 0 ? 0 : err_wrap(e, rc, "duplication %d of table %s", (int)dup_id, table);
}

/* ---- Status -------------------------------------------------------------------------------------- */

/* Copy the rows of one partition; one that did not answer becomes a row that says so. */
static void rows_add(struct dup_status_list *out, const struct round *r, uint32_t index,
                     const char *why)
{
    const struct dup_status_response *result = r->results[index];
    bool is_answered = r->rcs[index] == 0 && slice_is(result->err, "ERR_OK");
    for (uint32_t i = 0; is_answered && i < result->partitions.count; i++)
        out->items[out->count++] = result->partitions.items[i];
    if (is_answered) return;
    out->items[out->count++] = (struct dup_status){
        .partition_index = (int32_t)index,
        .state = slice_str("unknown"),
        .reason = slice_str(why),
        .committed = -1,
        .sent = -1,
        .confirmed = -1,
        .lag_mutations = -1,
        .lag_bytes = -1,
        .lag_ms = -1,
        .app_id = r->app_id,
    };
}

int admin_dup_status(struct client *client, const char *table, struct arena *arena,
                     struct dup_status_list *out, struct err *e)
{
    struct round r;
    struct dup_status_request args = {.app_name = slice_str(table)};
    int rc = round_init(&r, client, table, arena, RPC_DUP_STATUS, ADMIN_TIMEOUT_MS, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < r.count; i++) r.questions[i].args = &args;
    rc = round_ask(&r, client, arena, e); /* A partition that fails becomes a row. */
    if (rc == E_UNSUPPORTED) return rc;
    size_t count = 0;
    for (uint32_t i = 0; i < r.count; i++) {
        const struct dup_status_response *result = r.results[i];
        count += r.rcs[i] == 0 ? result->partitions.count + 1 : 1;
    }
    *out = (struct dup_status_list){.items = arena_array(arena, count, sizeof *out->items)};
    if (out->items == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < r.count; i++) rows_add(out, &r, i, "its server does not answer");
    return 0;
}

static const char *text_of(struct arena *arena, struct slice s)
{
    char *text = arena_alloc(arena, s.size + 1);
    if (text == NULL) return "";
    if (s.size > 0) memcpy(text, s.data, s.size);
    return text;
}

static struct admin_lag *lag_find(struct admin_lag *lags, size_t count, int32_t dup_id)
{
    for (size_t i = 0; i < count; i++)
        if (lags[i].dup_id == dup_id) return &lags[i];
    return NULL;
}

/* Unknown stays unknown, whatever is added. */
static int64_t sum_known(int64_t a, int64_t b)
{
    return a < 0 || b < 0 ? -1 : a + b;
}

static bool is_worse(const struct admin_lag *lag, const struct dup_status *row)
{
    if (lag->partitions == 0 || row->lag_ms < 0) return true;
    if (lag->ms < 0) return false;
    /* A partition that has something to say says more than one that is as late. */
    return row->lag_ms > lag->ms || (row->reason.size > 0 && *lag->reason == '\0');
}

static void lag_add(struct admin_lag *lag, const struct dup_status *row, struct arena *arena)
{
    if (is_worse(lag, row)) {
        lag->state = text_of(arena, row->state);
        lag->reason = text_of(arena, row->reason);
    }
    if (lag->partitions == 0) {
        lag->remote_cluster = text_of(arena, row->remote_cluster);
        lag->remote_table = text_of(arena, row->remote_app_name);
    }
    lag->mutations = sum_known(lag->mutations, row->lag_mutations);
    lag->bytes = sum_known(lag->bytes, row->lag_bytes);
    lag->ms = lag->ms < 0 || row->lag_ms < 0 ? -1 : row->lag_ms > lag->ms ? row->lag_ms : lag->ms;
    lag->partitions++;
}

int admin_lag_sum(const struct dup_status_list *rows, struct arena *arena, struct admin_lag **out,
                  size_t *count)
{
    struct admin_lag *lags = arena_array(arena, rows->count + 1, sizeof *lags);
    size_t used = 0;
    if (lags == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct dup_status *row = &rows->items[i];
        if (row->dupid == 0) continue; /* It is not known which duplications it has. */
        struct admin_lag *lag = lag_find(lags, used, row->dupid);
        if (lag == NULL) {
            lag = &lags[used++];
            lag->dup_id = row->dupid;
            lag->reason = "";
        }
        lag_add(lag, row, arena);
    }
    for (uint32_t i = 0; i < rows->count; i++)
        for (size_t k = 0; rows->items[i].dupid == 0 && k < used; k++)
            lag_add(&lags[k], &rows->items[i], arena);
    *out = lags;
    *count = used;
    return 0;
}

/* ---- Waiting ------------------------------------------------------------------------------------- */

static void late_add(struct admin_wait *out, uint32_t partition)
{
    size_t used = strlen(out->late);
    (void)snprintf(out->late + used, sizeof out->late - used, "%s%u", used > 0 ? ", " : "",
                   partition);
    out->late_count++;
}

/* What the partitions said; 'e' is about the first that was not done. */
static int verdict_of(const struct round *r, struct admin_wait *out, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct dup_wait_response *result = r->results[i];
        int one = r->rcs[i];
        struct err why = {0};
        if (one == 0) one = client_check(result->err, result->hint, &why);
        if (one == 0) continue;
        late_add(out, i);
        /* Anything else is worse than late. */
        if (rc == 0 || (rc == E_TIMEOUT && one != E_TIMEOUT)) {
            rc = one;
            if (why.code != 0) *e = why;
        }
    }
    return rc;
}

int admin_dup_wait(struct client *client, const char *table, int32_t dup_id, uint32_t timeout_ms,
                   struct admin_wait *out, struct err *e)
{
    enum { ANSWER_MS = 1000 }; /* The servers keep the time; their answer needs some too. */
    struct arena arena = {0};
    struct round r;
    *out = (struct admin_wait){0};
    int rc = round_init(&r, client, table, &arena, RPC_DUP_WAIT, timeout_ms + ANSWER_MS, e);
    struct dup_wait_request *args = rc == 0 ? arena_array(&arena, r.count, sizeof *args) : NULL;
    if (rc == 0 && args == NULL) rc = err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    if (rc == 0) {
        for (uint32_t i = 0; i < r.count; i++) {
            args[i] = (struct dup_wait_request){
                .pid = {r.app_id, (int32_t)i}, .dupid = dup_id, .timeout_ms = (int32_t)timeout_ms};
            r.questions[i].args = &args[i];
        }
        out->partition_count = r.count;
        (void)!round_ask(&r, client, &arena, e); /* Looked at one by one. */
        rc = verdict_of(&r, out, e);
        if (rc == E_TIMEOUT)
            err_set(e, rc, "after %.1f s still behind: partition %s of %s (pirene dup status %s)",
                    timeout_ms / 1000.0, out->late, table, table);
        else if (rc != 0) err_wrap(e, rc, "table %s, partition %s", table, out->late);
    }
    arena_fini(&arena);
    return rc;
}
