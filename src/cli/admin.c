/* src/cli/admin.c: the steps of an operator. */
#include "cli/admin.h"

#include <string.h>

/* ---- Tables and nodes ------------------------------------------------------------------------ */

int admin_table_list(struct client *client, enum app_status status, struct arena *arena,
                     struct app_info_list *out, struct err *e)
{
    struct list_apps_request args = {.status = (int32_t)status};
    struct list_apps_response result;
    int rc = client_ask_meta(client, RPC_LIST_APPS, &args, arena, &result, e);
    if (rc == 0) rc = client_check(result.err, result.hint_message, e);
    if (rc == 0) *out = result.infos;
    return rc;
}

int admin_node_list(struct client *client, enum node_status status, struct arena *arena,
                    struct node_info_list *out, struct err *e)
{
    struct list_nodes_request args = {.status = (int32_t)status};
    struct list_nodes_response result;
    int rc = client_ask_meta(client, RPC_LIST_NODES, &args, arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    if (rc == 0) *out = result.infos;
    return rc;
}

/* ---- Figures --------------------------------------------------------------------------------- */

static int pegasus_nodes(struct client *client, struct arena *arena, struct census_node_list *to,
                         struct err *e)
{
    struct node_info_list nodes = {0};
    int rc = admin_node_list(client, NS_INVALID, arena, &nodes, e);
    if (rc != 0) return rc;
    to->items = arena_array(arena, nodes.count + 1, sizeof *to->items);
    if (to->items == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < nodes.count; i++)
        to->items[to->count++] = (struct census_node){.address = nodes.items[i].node,
                                                      .is_alive = nodes.items[i].status == NS_ALIVE,
                                                      .primaries = ADMIN_UNKNOWN,
                                                      .secondaries = ADMIN_UNKNOWN,
                                                      .learners = ADMIN_UNKNOWN};
    return 0;
}

static int pegasus_tables(struct client *client, struct arena *arena, struct census_table_list *to,
                          struct err *e)
{
    struct app_info_list tables = {0};
    int rc = admin_table_list(client, AS_AVAILABLE, arena, &tables, e);
    if (rc != 0) return rc;
    to->items = arena_array(arena, tables.count + 1, sizeof *to->items);
    if (to->items == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < tables.count; i++)
        to->items[to->count++] = (struct census_table){
            .app_id = tables.items[i].app_id,
            .app_name = tables.items[i].app_name,
            .partitions = tables.items[i].partition_count,
            .whole = ADMIN_UNKNOWN,
            .lacking = ADMIN_UNKNOWN,
            .headless = ADMIN_UNKNOWN,
            .learning = ADMIN_UNKNOWN,
        };
    return 0;
}

int admin_census(struct client *client, struct arena *arena, struct census_response *out,
                 struct err *e)
{
    struct census_request args = {0};
    int rc = client_ask_meta(client, RPC_CENSUS, &args, arena, out, e);
    if (rc != E_UNSUPPORTED) return rc == 0 ? client_check(out->err, (struct slice){0}, e) : rc;
    *out = (struct census_response){0};
    rc = pegasus_nodes(client, arena, &out->nodes, e);
    return rc == 0 ? pegasus_tables(client, arena, &out->tables, e) : rc;
}

/* ---- Making tables --------------------------------------------------------------------------- */

static int replicas_default(struct client *client, struct arena *arena, int32_t *out, struct err *e)
{
    struct census_response census;
    int32_t taking = 0;
    int rc = admin_census(client, arena, &census, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < census.nodes.count; i++)
        taking += census.nodes.items[i].is_alive && !census.nodes.items[i].is_draining;
    *out = taking > 3 ? 3 : taking > 0 ? taking : 1;
    return 0;
}

/* Read something from every partition: a table that was just made is opening its stores. */
static int wait_until_open(struct client *client, const char *table, struct err *e)
{
    struct arena arena = {0};
    struct client_round r;
    struct dup_status_request args = {.app_name = slice_str(table)};
    int rc = client_round_init(&r, client, table, RPC_DUP_STATUS, 0, &arena, e);
    for (uint32_t i = 0; rc == 0 && i < r.count; i++) r.questions[i].args = &args;
    if (rc == 0) rc = client_round_ask(&r, client, &arena, e);
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
    if (rc == 0) rc = client_ask_meta(client, RPC_CREATE_APP, &args, &arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    *is_new = rc == 0;
    *app_id = result.appid;
    if (rc == E_EXISTS && table->may_exist) rc = 0;
    if (rc == E_INVALID)
        err_set(
            e, rc,
            "the metas refuse it: a name has 1 to 128 letters, digits or _ . : -, partitions are "
            "a power of two, 1024 at most, and there are no more replicas than nodes that are "
            "alive "
            "and do not drain");
    if (rc == 0 && (rc = wait_until_open(client, table->name, e)) != 0 && *is_new)
        err_wrap(e, rc, "made, but not ready yet");
    arena_fini(&arena);
    return rc == 0 ? 0 : err_wrap(e, rc, "table %s", table->name);
}

/* ---- Arranging duplications ------------------------------------------------------------------ */

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
    int rc = client_ask_meta(client, RPC_ADD_DUPLICATION, &args, &arena, &result, e);
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
    int rc = client_ask_meta(client, RPC_QUERY_DUPLICATION, &args, arena, &result, e);
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
    int rc = client_ask_meta(client, RPC_MODIFY_DUPLICATION, &args, &arena, &result, e);
    bool is_missing = rc == 0 && slice_is(result.err, "ERR_OBJECT_NOT_FOUND");
    if (is_missing) rc = err_set(e, E_NOTFOUND, "there is none (pirene dup list %s)", table);
    else if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    arena_fini(&arena);
    return rc == 0 ? 0 : err_wrap(e, rc, "duplication %d of table %s", (int)dup_id, table);
}

/* ---- Status ---------------------------------------------------------------------------------- */

/* Copy the rows of one partition; one that did not answer becomes a row that says so. */
static void rows_add(struct dup_status_list *out, const struct client_round *r, uint32_t index,
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

/* Until the metas have seen the remote the streams are paused, by nobody: what the metas know is the
 * better word. Without their answer the row stays as it is. */
static void mark_preparing(struct client *client, const char *table, struct arena *arena,
                           struct dup_status_list *rows)
{
    struct duplication_entry_list entries = {0};
    bool is_paused = false;
    for (uint32_t i = 0; i < rows->count; i++)
        is_paused = is_paused || slice_is(rows->items[i].state, "paused");
    if (!is_paused || admin_dup_query(client, table, arena, &entries, NULL) != 0) return;
    for (uint32_t k = 0; k < entries.count; k++) {
        if (entries.items[k].status != DS_PREPARE) continue;
        for (uint32_t i = 0; i < rows->count; i++)
            if (rows->items[i].dupid == entries.items[k].dupid)
                rows->items[i].state = slice_str("preparing");
    }
}

int admin_dup_status(struct client *client, const char *table, struct arena *arena,
                     struct dup_status_list *out, struct err *e)
{
    struct client_round r;
    struct dup_status_request args = {.app_name = slice_str(table)};
    int rc = client_round_init(&r, client, table, RPC_DUP_STATUS, 0, arena, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < r.count; i++) r.questions[i].args = &args;
    rc = client_round_ask(&r, client, arena, e); /* A partition that fails becomes a row. */
    if (rc == E_UNSUPPORTED) return rc;
    size_t count = 0;
    for (uint32_t i = 0; i < r.count; i++) {
        const struct dup_status_response *result = r.results[i];
        count += r.rcs[i] == 0 ? result->partitions.count + 1 : 1;
    }
    *out = (struct dup_status_list){.items = arena_array(arena, count, sizeof *out->items)};
    if (out->items == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < r.count; i++) rows_add(out, &r, i, "its server does not answer");
    mark_preparing(client, table, arena, out);
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
