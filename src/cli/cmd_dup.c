/* src/cli/cmd_dup.c: duplications: making and ending them, how far they are, and whether both sides
 * are equal. */
#include <stdlib.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/command.h"
#include "cli/verify.h"
#include "wire/key.h"

/* The state as a whole, in the words that the streams have for theirs (dup_state_name()). */
static const char *state_name(enum duplication_status status)
{
    static const char *const names[] = {
        [DS_INIT] = "preparing", [DS_PREPARE] = "preparing", [DS_APP] = "snapshot",
        [DS_LOG] = "live",       [DS_PAUSE] = "paused",      [DS_REMOVED] = "removed",
    };
    return (unsigned)status <= DS_REMOVED ? names[status] : "?";
}

/* There is none with that id; 0: none at all. */
static int no_duplication(const char *table, int32_t id, struct err *e)
{
    if (id == 0) err_set(e, E_NOTFOUND, "table %s is not duplicated (pirene dup add)", table);
    else
        err_set(e, E_NOTFOUND, "table %s has no duplication %d (pirene dup list %s)", table,
                (int)id, table);
    return E_NOTFOUND;
}

/* ---- Add ------------------------------------------------------------------------------------- */

/* Make the table over there, as it is here, unless it is there already. */
static int create_remote(struct cli *cli, struct client *client, const char *table,
                         const char *metas, const char *remote_table, bool *is_new, struct err *e)
{
    struct client *remote;
    uint32_t partitions;
    int32_t app_id;
    int rc = client_table_shape(client, table, 0, &partitions, &app_id, e);
    if (rc == 0) rc = cli_client_open(cli, "--to", metas, &remote, e);
    if (rc != 0) return rc;
    struct admin_table made = {
        .name = remote_table, .partition_count = partitions, .may_exist = true};
    rc = admin_table_create(remote, &made, &app_id, is_new, e);
    client_close(remote);
    return rc == 0 ? 0 : err_wrap(e, rc, "remote cluster at %s", metas);
}

int dup_add_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct client *client = NULL;
    struct admin_dup dup = {.table = args_at(args, 0),
                            .remote_metas = args_option(args, "--to"),
                            .remote_table = args_option(args, "--remote-table"),
                            .without_snapshot = args_has(args, "--no-snapshot")};
    const char *remote_table = dup.remote_table != NULL ? dup.remote_table : dup.table;
    int32_t id = 0;
    bool is_new = false;
    if (dup.remote_metas == NULL) {
        err_set(&e, E_INVALID, "where to? --to HOST:PORT[,HOST:PORT]");
        return cli_fail(cli, &e);
    }
    int rc = cli_client(cli, &client, &e);
    if (rc == 0 && !args_has(args, "--no-create"))
        rc = create_remote(cli, client, dup.table, dup.remote_metas, remote_table, &is_new, &e);
    if (rc == 0) rc = admin_dup_add(client, &dup, &id, &e);
    if (rc != 0) return cli_fail(cli, &e);
    if (is_new) output_note(&cli->out, "table %s created at %s", remote_table, dup.remote_metas);
    json_t *facts = json_new();
    json_set_text(facts, "table", dup.table);
    json_set_int(facts, "id", id);
    json_set_text(facts, "to", dup.remote_metas);
    json_set_text(facts, "remote_table", remote_table);
    json_set_bool(facts, "remote_table_created", is_new);
    output_say(&cli->out, facts, "table %s is duplicated to %s of %s: id %d (pirene dup status %s)",
               dup.table, remote_table, dup.remote_metas, (int)id, dup.table);
    return CLI_OK;
}

/* ---- List ------------------------------------------------------------------------------------ */

static json_t *entry_json(const char *table, const struct duplication_entry *entry)
{
    json_t *o = json_new();
    json_set_text(o, "table", table);
    json_set_int(o, "id", entry->dupid);
    json_set_text(o, "state", state_name((enum duplication_status)entry->status));
    json_set_bytes(o, "remote", entry->remote.data, entry->remote.size);
    json_set_bytes(o, "remote_metas", entry->remote_metas.data, entry->remote_metas.size);
    json_set_bytes(o, "remote_table", entry->remote_app_name.data, entry->remote_app_name.size);
    return o;
}

/* Every table there is, or the one asked for. */
static int list_tables(struct client *client, const char *only, struct arena *arena,
                       struct app_info_list *out, struct err *e)
{
    if (only == NULL) return admin_table_list(client, AS_AVAILABLE, arena, out, e);
    *out = (struct app_info_list){.items = arena_alloc(arena, sizeof *out->items)};
    if (out->items == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    out->items[out->count++].app_name = slice_str(only);
    return 0;
}

int dup_list_run(struct cli *cli, const struct args *args)
{
    static const struct column columns[] = {{"table", "TABLE"},
                                            {"id", "ID"},
                                            {"state", "STATE"},
                                            {"remote", "REMOTE"},
                                            {"remote_metas", "METAS"},
                                            {"remote_table", "REMOTE TABLE"},
                                            {NULL, NULL}};
    struct arena arena = {0};
    struct err e = {0};
    struct app_info_list tables;
    struct client *client = NULL;
    json_t *rows = json_rows_new();
    int rc = cli_client(cli, &client, &e);
    if (rc == 0) rc = list_tables(client, args_at(args, 0), &arena, &tables, &e);
    for (uint32_t i = 0; rc == 0 && i < tables.count; i++) {
        char name[1025];
        struct duplication_entry_list entries = {0};
        (void)snprintf(name, sizeof name, "%.*s", (int)tables.items[i].app_name.size,
                       (const char *)tables.items[i].app_name.data);
        rc = admin_dup_query(client, name, &arena, &entries, &e);
        for (uint32_t k = 0; rc == 0 && k < entries.count; k++)
            json_push(rows, entry_json(name, &entries.items[k]));
    }
    if (rc == 0) output_rows(&cli->out, rows, columns);
    else json_decref(rows);
    arena_fini(&arena);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}

/* ---- Status ---------------------------------------------------------------------------------- */

static json_t *lag_json(const struct admin_lag *lag)
{
    json_t *o = json_new();
    json_set_int(o, "id", lag->dup_id);
    json_set_text(o, "remote", lag->remote_cluster);
    json_set_text(o, "remote_table", lag->remote_table);
    json_set_text(o, "state", lag->state);
    json_set_int(o, "lag_mutations", lag->mutations);
    json_set_int(o, "lag_bytes", lag->bytes);
    json_set_int(o, "lag_ms", lag->ms);
    json_set_int(o, "partitions", lag->partitions);
    json_set_text(o, "reason", lag->reason);
    return o;
}

static json_t *row_json(const struct dup_status *row)
{
    json_t *o = json_new();
    json_set_int(o, "partition", row->partition_index);
    json_set_int(o, "id", row->dupid);
    json_set_bytes(o, "state", row->state.data, row->state.size);
    json_set_int(o, "committed", row->committed);
    json_set_int(o, "sent", row->sent);
    json_set_int(o, "confirmed", row->confirmed);
    json_set_int(o, "lag_mutations", row->lag_mutations);
    json_set_int(o, "lag_bytes", row->lag_bytes);
    json_set_int(o, "lag_ms", row->lag_ms);
    json_set_bytes(o, "reason", row->reason.data, row->reason.size);
    return o;
}

static const struct column lag_columns[] = {
    {"id", "ID"},       {"remote", "REMOTE"},     {"remote_table", "REMOTE TABLE"},
    {"state", "STATE"}, {"lag_mutations", "LAG"}, {"lag_bytes", "BYTES"},
    {"lag_ms", "MS"},   {"reason", "REASON"},     {NULL, NULL}};

static const struct column row_columns[] = {{"partition", "PARTITION"}, {"id", "ID"},
                                            {"state", "STATE"},         {"committed", "COMMITTED"},
                                            {"confirmed", "CONFIRMED"}, {"lag_mutations", "LAG"},
                                            {"lag_bytes", "BYTES"},     {"lag_ms", "MS"},
                                            {"reason", "REASON"},       {NULL, NULL}};

/* No duplication was named: because there is none, or because nobody could say. */
static int nothing_known(const char *table, const struct dup_status_list *rows, struct err *e)
{
    if (rows->count == 0) return no_duplication(table, 0, e);
    struct slice reason = rows->items[0].reason;
    return err_set(e, E_STATE, "table %s, partition %d: how far it is can't be known now: %.*s",
                   table, rows->items[0].partition_index, (int)reason.size,
                   (const char *)reason.data);
}

struct status {
    const char *table;
    bool by_partition;
};

static int print_status(struct cli *cli, void *context, struct err *e)
{
    const struct status *asked = context;
    struct arena arena = {0};
    struct client *client = NULL;
    struct dup_status_list rows;
    struct admin_lag *lags;
    size_t count = 0;
    int rc = cli_client(cli, &client, e);
    if (rc == 0) rc = admin_dup_status(client, asked->table, &arena, &rows, e);
    if (rc == 0) rc = admin_lag_sum(&rows, &arena, &lags, &count);
    if (rc == 0 && count == 0) rc = nothing_known(asked->table, &rows, e);
    if (rc == 0) {
        json_t *out = json_rows_new();
        for (uint32_t i = 0; asked->by_partition && i < rows.count; i++)
            json_push(out, row_json(&rows.items[i]));
        for (size_t i = 0; !asked->by_partition && i < count; i++)
            json_push(out, lag_json(&lags[i]));
        output_rows(&cli->out, out, asked->by_partition ? row_columns : lag_columns);
    }
    arena_fini(&arena);
    return rc;
}

int dup_status_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct status asked = {args_at(args, 0), args_has(args, "--partitions")};
    int rc = cli_watch(cli, args, print_status, &asked, &e);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}

/* ---- Wait ------------------------------------------------------------------------------------ */

int dup_wait_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct client *client = NULL;
    struct client_dup_wait wait = {0};
    const char *table = args_at(args, 0);
    uint64_t id, begin_ns = cli_now_ns();
    int rc = args_number(args, "--id", 1, INT32_MAX, 0, &id, &e);
    if (rc == 0) rc = cli_client(cli, &client, &e);
    if (rc == 0) rc = client_dup_wait(client, table, (int32_t)id, cli->timeout_ms, &wait, &e);
    if (rc == E_NOTFOUND && wait.partition_count > 0) no_duplication(table, (int32_t)id, &e);
    if (rc != 0) return cli_fail(cli, &e);
    double took_ms = (double)(cli_now_ns() - begin_ns) / 1e6;
    json_t *facts = json_new();
    json_set_text(facts, "table", table);
    json_set_int(facts, "partitions", wait.partition_count);
    json_set_real(facts, "took_ms", took_ms, 3);
    output_say(&cli->out, facts, "everything acknowledged before is applied there (%.1f ms)",
               took_ms);
    return CLI_OK;
}

/* ---- Verify ---------------------------------------------------------------------------------- */

/* Which duplication of the table is meant: the one with 'id', or the only one (0). */
static int choose(const struct duplication_entry_list *entries, int32_t id, const char *table,
                  const struct duplication_entry **out, struct err *e)
{
    *out = NULL;
    for (uint32_t i = 0; i < entries->count; i++)
        if (id == 0 || entries->items[i].dupid == id) *out = &entries->items[i];
    if (*out == NULL) return no_duplication(table, id, e);
    if (id == 0 && entries->count > 1)
        return err_set(e, E_INVALID, "table %s has %u duplications: which, --id N?", table,
                       entries->count);
    return 0;
}

/* The other side of the duplication; 'remote' owns the client, and its table's name lies in the
 * arena. */
static int open_remote(struct cli *cli, const struct duplication_entry *entry, struct arena *arena,
                       struct verify_side *remote, struct err *e)
{
    struct slice metas = entry->remote_metas.size > 0 ? entry->remote_metas : entry->remote;
    char *name = arena_alloc(arena, entry->remote_app_name.size + 1);
    char *text = arena_alloc(arena, metas.size + 1);
    if (name == NULL || text == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    (void)snprintf(name, entry->remote_app_name.size + 1, "%.*s", (int)entry->remote_app_name.size,
                   (const char *)entry->remote_app_name.data);
    (void)snprintf(text, metas.size + 1, "%.*s", (int)metas.size, (const char *)metas.data);
    remote->table = name;
    return cli_client_open(cli, "the remote's metas", text, &remote->client, e);
}

/* Wait and compare, again while writes are in flight. */
static int compare(const struct verify_side *source, const struct verify_side *remote, int32_t id,
                   bool waits, struct arena *arena, struct verify_result *result, struct err *e)
{
    enum { TRIES = 5, WAIT_MS = 30000 };
    struct client_dup_wait wait;
    int rc = 0;
    *result = (struct verify_result){0};
    for (int i = 0; rc == 0 && i < TRIES && !result->is_equal; i++) {
        arena_reset(arena);
        if (waits) rc = client_dup_wait(source->client, source->table, id, WAIT_MS, &wait, e);
        if (rc == 0) rc = verify(source, remote, arena, result, e);
    }
    return rc;
}

static int print_verdict(struct cli *cli, const struct verify_result *result)
{
    struct key_parts parts = {0};
    struct buf key = {0};
    json_t *facts = json_new();
    json_set_bool(facts, "equal", result->is_equal);
    json_set_int(facts, "source_records", (int64_t)result->source_count);
    json_set_int(facts, "remote_records", (int64_t)result->remote_count);
    if (result->is_equal) {
        output_note(&cli->out, "%llu records on both sides",
                    (unsigned long long)result->source_count);
        output_say(&cli->out, facts, "dup verify: equal");
        return CLI_OK;
    }
    if (key_split(result->key, &parts) == 0) {
        text_write(cli->form, parts.hash_key, &key);
        json_set_bytes(facts, "hash_key", key.data, key.size);
        size_t size = key.size;
        buf_append_str(&key, " ");
        text_write(cli->form, parts.sort_key, &key);
        json_set_bytes(facts, "sort_key", key.data + size + 1, key.size - size - 1);
    }
    json_set_text(facts, "difference", result->how);
    output_say(&cli->out, facts,
               "dup verify: different: %llu records here, %llu there; the first that differs: "
               "'%.*s' %s",
               (unsigned long long)result->source_count, (unsigned long long)result->remote_count,
               (int)key.size, (const char *)key.data, result->how);
    buf_fini(&key);
    return CLI_NOT_FOUND;
}

int dup_verify_run(struct cli *cli, const struct args *args)
{
    struct arena names = {0}, arena = {0};
    struct err e = {0};
    struct verify_side source = {.table = args_at(args, 0)}, remote = {0};
    struct duplication_entry_list entries;
    const struct duplication_entry *entry;
    struct verify_result result;
    uint64_t id = 0;
    int rc = args_number(args, "--id", 1, INT32_MAX, 0, &id, &e);
    if (rc == 0) rc = cli_client(cli, &source.client, &e);
    if (rc == 0) rc = admin_dup_query(source.client, source.table, &names, &entries, &e);
    if (rc == 0) rc = choose(&entries, (int32_t)id, source.table, &entry, &e);
    if (rc == 0) rc = open_remote(cli, entry, &names, &remote, &e);
    if (rc == 0)
        rc = compare(&source, &remote, entry->dupid, !args_has(args, "--no-wait"), &arena, &result,
                     &e);
    int code = rc == 0 ? print_verdict(cli, &result) : cli_fail(cli, &e);
    client_close(remote.client);
    arena_fini(&arena);
    arena_fini(&names);
    return code;
}

/* ---- Pause, resume, remove ------------------------------------------------------------------- */

static int modify(struct cli *cli, const struct args *args, enum duplication_status status)
{
    struct err e = {0};
    struct client *client = NULL;
    const char *table = args_at(args, 0), *state = state_name(status);
    int32_t id = 0;
    int rc = args_id(args, 1, "pirene dup list", &id, &e);
    if (rc == 0) rc = cli_client(cli, &client, &e);
    if (rc == 0) rc = admin_dup_modify(client, table, id, status, &e);
    if (rc == E_INVALID && client != NULL)
        rc = err_set(&e, E_STATE,
                     "duplication %d of table %s cannot become %s now: while it sends its "
                     "snapshot it can only be removed (pirene dup list %s)",
                     (int)id, table, state, table);
    if (rc != 0) return cli_fail(cli, &e);
    json_t *facts = json_new();
    json_set_text(facts, "table", table);
    json_set_int(facts, "id", id);
    json_set_text(facts, "state", state);
    output_say(&cli->out, facts, "duplication %d of table %s is %s", (int)id, table, state);
    return CLI_OK;
}

int dup_pause_run(struct cli *cli, const struct args *args)
{
    return modify(cli, args, DS_PAUSE);
}

int dup_resume_run(struct cli *cli, const struct args *args)
{
    return modify(cli, args, DS_LOG);
}

int dup_remove_run(struct cli *cli, const struct args *args)
{
    return modify(cli, args, DS_REMOVED);
}
