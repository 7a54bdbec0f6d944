/* src/cli/cmd_data.c: records, through libpirene as any program would (include/pirene.h). */
#include <string.h>

#include "cli/command.h"
#include "pirene.h"
#include "wire/key.h"

/* One command on records: the handle, the table, and the key that was typed. */
struct work {
    struct cli *cli;
    struct pirene *db;
    struct pirene_table *table;
    struct pirene_key key;
    struct buf hash, sort, value;
    bool is_write; /* What isn't answered may have been done all the same. */
    struct err e;
};

/* ---- Beginning and ending -------------------------------------------------------------------- */

static struct pirene_bytes bytes_of(const struct buf *b)
{
    return (struct pirene_bytes){b->data, b->size};
}

static int set_err(struct work *w, int error)
{
    static const int codes[] = {[PIRENE_NOT_FOUND] = E_NOTFOUND, [PIRENE_CONDITION] = E_NOTFOUND,
                                [PIRENE_NO_TABLE] = E_NOTFOUND,  [PIRENE_INVALID] = E_INVALID,
                                [PIRENE_TIMEOUT] = E_TIMEOUT,    [PIRENE_UNKNOWN] = E_UNKNOWN,
                                [PIRENE_BUSY] = E_BUSY,          [PIRENE_REFUSED] = E_STATE,
                                [PIRENE_END] = E_NOTFOUND};
    bool is_known = error > 0 && (size_t)error < sizeof codes / sizeof codes[0];
    int code = is_known && codes[error] != 0 ? codes[error] : E_CLOSED;
    const char *text = pirene_error_text(error);
    if (error == PIRENE_NO_TABLE) return err_set(&w->e, code, "%s (pirene table list)", text);
    if (error == PIRENE_TIMEOUT)
        return err_set(&w->e, code, "no answer in time%s: is it running?",
                       w->is_write ? ", it may have been done" : "");
    return err_set(&w->e, code, "%s", text);
}

/* Words to a key: the hash key, and the sort key when 'sort' is not NULL. */
static int read_key(struct work *w, const char *hash, const char *sort)
{
    int rc = text_read(w->cli->form, hash, &w->hash, &w->e);
    if (rc == 0 && w->hash.size > KEY_HASH_SIZE_MAX)
        rc = err_set(&w->e, E_INVALID, "the hash key has %zu bytes: %d bytes are the most",
                     w->hash.size, KEY_HASH_SIZE_MAX);
    if (rc == 0 && sort != NULL) rc = text_read(w->cli->form, sort, &w->sort, &w->e);
    w->key = (struct pirene_key){bytes_of(&w->hash), bytes_of(&w->sort)};
    return rc;
}

static int work_open(struct work *w, struct cli *cli, const char *table)
{
    /* Without a limit, as for scans, it is the time of one request. */
    struct pirene_options options = {.timeout_ms = cli->timeout_ms};
    *w = (struct work){.cli = cli};
    int error = pirene_open(cli->metas, &options, &w->db);
    if (error == PIRENE_INVALID)
        return err_set(&w->e, E_INVALID, "--meta %s: it wants HOST:PORT[,HOST:PORT]", cli->metas);
    if (error == PIRENE_OK) error = pirene_table_open(w->db, table, &w->table);
    if (error == PIRENE_INVALID)
        return err_set(&w->e, E_INVALID, "'%.40s' can't be the name of a table", table);
    return error == PIRENE_OK ? 0 : set_err(w, error);
}

/* The same for the key behind the table's name. */
static int work_open_key(struct work *w, struct cli *cli, const struct args *args, bool is_write)
{
    int rc = work_open(w, cli, args_at(args, 0));
    w->is_write = is_write;
    return rc == 0 ? read_key(w, args_at(args, 1), args_at(args, 2)) : rc;
}

/* Between two requests of a scan: is it time to end it? */
static int check_time(struct work *w)
{
    if (cli_is_interrupted()) return err_set(&w->e, E_CANCELED, "stopped");
    if (!cli_is_late(w->cli)) return 0;
    return err_set(&w->e, E_TIMEOUT, "not through after %.1f s (--timeout)",
                   w->cli->timeout_ms / 1000.0);
}

/* End the command: with 'rc' not 0 say why. Returns the exit code. */
static int work_close(struct work *w, int rc, const char *table)
{
    if (rc != 0 && rc != E_INVALID) err_wrap(&w->e, rc, "table %s at %s", table, w->cli->metas);
    int code = rc == 0 ? CLI_OK : cli_fail(w->cli, &w->e);
    pirene_close(w->db);
    buf_fini(&w->hash);
    buf_fini(&w->sort);
    buf_fini(&w->value);
    return code;
}

/* ---- Printing -------------------------------------------------------------------------------- */

static void set_form(const struct work *w, json_t *o, const char *name, struct pirene_bytes bytes)
{
    struct buf text = {0};
    text_write(w->cli->form, slice_of(bytes.data, bytes.size), &text);
    json_set_bytes(o, name, text.data, text.size);
    buf_fini(&text);
}

static json_t *key_json(const struct work *w)
{
    json_t *o = json_new();
    set_form(w, o, "hash_key", w->key.hash);
    set_form(w, o, "sort_key", w->key.sort);
    return o;
}

static void say_done(struct work *w, const char *said)
{
    output_say(&w->cli->out, key_json(w), "%s", said);
}

static void say_number(struct work *w, const char *name, int64_t number)
{
    json_t *o = key_json(w);
    json_set_int(o, name, number);
    output_say(&w->cli->out, o, "%lld", (long long)number);
}

/* ---- One record ------------------------------------------------------------------------------ */

int put_run(struct cli *cli, const struct args *args)
{
    struct work w;
    uint64_t ttl_s = 0;
    bool has_sort = args->count == 4;
    int rc = work_open(&w, cli, args_at(args, 0));
    w.is_write = true;
    if (rc == 0) rc = read_key(&w, args_at(args, 1), has_sort ? args_at(args, 2) : NULL);
    if (rc == 0) rc = text_read(cli->form, args_at(args, has_sort ? 3 : 2), &w.value, &w.e);
    if (rc == 0) rc = args_number(args, "--ttl", 1, INT32_MAX, 0, &ttl_s, &w.e);
    if (rc == 0) {
        int error = pirene_put(w.table, w.key, bytes_of(&w.value), (uint32_t)ttl_s);
        if (error != PIRENE_OK) rc = set_err(&w, error);
        else say_done(&w, "written");
    }
    return work_close(&w, rc, args_at(args, 0));
}

int get_run(struct cli *cli, const struct args *args)
{
    struct work w;
    struct pirene_result result = {0};
    int rc = work_open_key(&w, cli, args, false);
    if (rc == 0) {
        int error = pirene_get(w.table, w.key, &result);
        if (error != PIRENE_OK) {
            rc = set_err(&w, error);
        } else {
            json_t *o = key_json(&w);
            set_form(&w, o, "value", result.value);
            json_t *text = json_incref(json_object_get(o, "value"));
            output_say(&cli->out, o, "%s", json_string_value(text));
            json_decref(text);
        }
    }
    pirene_result_free(&result);
    return work_close(&w, rc, args_at(args, 0));
}

int del_run(struct cli *cli, const struct args *args)
{
    struct work w;
    int rc = work_open_key(&w, cli, args, true);
    if (rc == 0) {
        int error = pirene_del(w.table, w.key);
        if (error != PIRENE_OK) rc = set_err(&w, error);
        else say_done(&w, "deleted");
    }
    return work_close(&w, rc, args_at(args, 0));
}

int incr_run(struct cli *cli, const struct args *args)
{
    struct work w;
    struct pirene_result result = {0};
    int64_t by = 1;
    int rc = work_open_key(&w, cli, args, true);
    if (rc == 0) rc = args_integer(args, "--by", 1, &by, &w.e);
    if (rc == 0) {
        int error = pirene_incr(w.table, w.key, by, 0, &result);
        if (error == PIRENE_INVALID)
            rc = err_set(&w.e, E_STATE, "the value is no number, or would become too large");
        else if (error != PIRENE_OK) rc = set_err(&w, error);
        else say_number(&w, "value", result.number);
    }
    pirene_result_free(&result);
    return work_close(&w, rc, args_at(args, 0));
}

int ttl_run(struct cli *cli, const struct args *args)
{
    struct work w;
    struct pirene_result result = {0};
    int rc = work_open_key(&w, cli, args, false);
    if (rc == 0) {
        int error = pirene_ttl(w.table, w.key, &result);
        if (error != PIRENE_OK) rc = set_err(&w, error);
        else if (result.number >= 0 || cli->out.is_json)
            say_number(&w, "ttl_seconds", result.number);
        else say_done(&w, "forever");
    }
    pirene_result_free(&result);
    return work_close(&w, rc, args_at(args, 0));
}

int exists_run(struct cli *cli, const struct args *args)
{
    struct work w;
    int error = PIRENE_OK;
    int rc = work_open_key(&w, cli, args, false);
    if (rc == 0) {
        error = pirene_exists(w.table, w.key);
        if (error == PIRENE_OK || error == PIRENE_NOT_FOUND) {
            json_t *o = key_json(&w);
            json_set_bool(o, "exists", error == PIRENE_OK);
            output_say(&cli->out, o, "%s", error == PIRENE_OK ? "yes" : "no");
        } else {
            rc = set_err(&w, error);
        }
    }
    int code = work_close(&w, rc, args_at(args, 0));
    return rc == 0 && error == PIRENE_NOT_FOUND ? CLI_NOT_FOUND : code;
}

/* ---- Many records ---------------------------------------------------------------------------- */

/* Open a scan of a hash key (not NULL) or of the table. */
static int scan_open(struct work *w, const char *hash, struct pirene_scan_options *options,
                     const char *prefix, struct pirene_scan **out)
{
    int rc = hash != NULL ? read_key(w, hash, NULL) : 0;
    if (rc == 0 && hash != NULL && w->hash.size == 0)
        rc = err_set(&w->e, E_INVALID,
                     "no records lie together under an empty hash key: leave it "
                     "out for the whole table");
    if (rc == 0 && prefix != NULL) rc = text_read(w->cli->form, prefix, &w->sort, &w->e);
    if (rc != 0) return rc;
    options->hash_key = hash != NULL ? &w->key.hash : NULL;
    options->sort_prefix = bytes_of(&w->sort);
    int error = pirene_scan_open(w->table, options, out);
    return error == PIRENE_OK ? 0 : set_err(w, error);
}

static json_t *record_json(const struct work *w, const struct pirene_record *record, bool has_value)
{
    json_t *o = json_new();
    set_form(w, o, "hash_key", record->key.hash);
    set_form(w, o, "sort_key", record->key.sort);
    if (has_value) set_form(w, o, "value", record->value);
    return o;
}

/* Up to 'limit' records into 'rows'. '*is_more': there was at least one further. */
static int scan_rows(struct work *w, struct pirene_scan *scan, uint64_t limit, bool has_values,
                     json_t *rows, bool *is_more)
{
    uint64_t count = 0;
    *is_more = false;
    for (;;) {
        struct pirene_result batch;
        int rc = check_time(w);
        if (rc != 0) return rc;
        int error = pirene_scan_next(scan, &batch);
        if (error == PIRENE_END) return 0;
        if (error != PIRENE_OK) return set_err(w, error);
        for (size_t i = 0; i < batch.record_count && !*is_more; i++) {
            *is_more = limit != 0 && count++ == limit;
            if (!*is_more) json_push(rows, record_json(w, &batch.records[i], has_values));
        }
        pirene_result_free(&batch);
        if (*is_more) return 0;
    }
}

int scan_run(struct cli *cli, const struct args *args)
{
    static const struct column columns[] = {
        {"hash_key", "HASH KEY"}, {"sort_key", "SORT KEY"}, {"value", "VALUE"}, {NULL, NULL}};
    static const struct column key_columns[] = {
        {"hash_key", "HASH KEY"}, {"sort_key", "SORT KEY"}, {NULL, NULL}};
    enum { LIMIT_DEFAULT = 100 };
    struct work w;
    struct pirene_scan *scan = NULL;
    bool is_more = false, has_values = !args_has(args, "--keys");
    uint64_t limit = LIMIT_DEFAULT;
    json_t *rows = json_rows_new();
    int rc = work_open(&w, cli, args_at(args, 0));
    if (rc == 0) rc = args_number(args, "--limit", 0, UINT32_MAX, LIMIT_DEFAULT, &limit, &w.e);
    struct pirene_scan_options options = {.has_no_values = !has_values};
    if (limit > 0 && limit < 1000) options.batch_count = (uint32_t)limit + 1;
    if (rc == 0)
        rc = scan_open(&w, args_at(args, 1), &options, args_option(args, "--prefix"), &scan);
    if (rc == 0) rc = scan_rows(&w, scan, limit, has_values, rows, &is_more);
    if (rc == 0) {
        output_rows(&cli->out, rows, has_values ? columns : key_columns);
        if (is_more) output_note(&cli->out, "there are more: --limit N, 0 for all");
    } else {
        json_decref(rows);
    }
    pirene_scan_close(scan);
    return work_close(&w, rc, args_at(args, 0));
}

int count_run(struct cli *cli, const struct args *args)
{
    struct work w;
    struct pirene_scan *scan = NULL;
    struct pirene_scan_options options = {.only_counts = true};
    struct progress progress = {0};
    int64_t count = 0;
    int rc = work_open(&w, cli, args_at(args, 0));
    if (rc == 0) rc = scan_open(&w, args_at(args, 1), &options, NULL, &scan);
    while (rc == 0) {
        struct pirene_result batch;
        int error = pirene_scan_next(scan, &batch);
        if (error == PIRENE_END) break;
        if (error != PIRENE_OK) rc = set_err(&w, error);
        count += batch.number;
        pirene_result_free(&batch);
        progress_show(&progress, 0, "%lld records", (long long)count);
        if (rc == 0) rc = check_time(&w);
    }
    progress_end(&progress);
    if (rc == 0) {
        json_t *o = json_new();
        json_set_text(o, "table", args_at(args, 0));
        json_set_int(o, "records", count);
        output_say(&cli->out, o, "%lld", (long long)count);
    }
    pirene_scan_close(scan);
    return work_close(&w, rc, args_at(args, 0));
}
