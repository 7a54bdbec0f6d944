/* src/cli/cmd_table.c: tables: making, listing, dropping, and their settings. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/admin.h"
#include "cli/command.h"

static int finish(struct cli *cli, struct arena *arena, int rc, const struct err *e)
{
    arena_fini(arena);
    return rc == 0 ? CLI_OK : cli_fail(cli, e);
}

/* ---- Create ---------------------------------------------------------------------------------- */

int table_create_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct client *client = NULL;
    uint64_t partitions, replicas;
    int32_t app_id = 0;
    bool is_new;
    int rc = args_number(args, "--partitions", 1, 65536, 8, &partitions, &e);
    if (rc == 0) rc = args_number(args, "--replicas", 1, 15, 0, &replicas, &e);
    if (rc == 0) rc = cli_client(cli, &client, &e);
    if (rc == 0) {
        struct admin_table table = {.name = args_at(args, 0),
                                    .partition_count = (uint32_t)partitions,
                                    .replica_count = (uint32_t)replicas};
        rc = admin_table_create(client, &table, &app_id, &is_new, &e);
    }
    if (rc != 0) return cli_fail(cli, &e);
    json_t *facts = json_new();
    json_set_text(facts, "table", args_at(args, 0));
    json_set_int(facts, "id", app_id);
    json_set_int(facts, "partitions", (int64_t)partitions);
    output_say(&cli->out, facts, "table %s created: id %d, %d partitions", args_at(args, 0),
               (int)app_id, (int)partitions);
    return CLI_OK;
}

/* ---- List and show --------------------------------------------------------------------------- */

static const char *status_name(int32_t status)
{
    static const char *const names[] = {"?",        "available",   "creating", "create-failed",
                                        "dropping", "drop-failed", "dropped",  "recalling"};
    return status >= 0 && status <= AS_RECALLING ? names[status] : "?";
}

static void set_time(json_t *o, const char *name, int64_t unix_s)
{
    char text[32];
    time_t at = (time_t)unix_s;
    struct tm parts;
    if (unix_s <= 0 || gmtime_r(&at, &parts) == NULL) return;
    if (strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0) json_set_text(o, name, text);
}

static json_t *info_json(const struct app_info *info)
{
    json_t *o = json_new();
    json_set_int(o, "id", info->app_id);
    json_set_bytes(o, "table", info->app_name.data, info->app_name.size);
    json_set_text(o, "status", status_name(info->status));
    json_set_int(o, "partitions", info->partition_count);
    json_set_int(o, "replicas", info->max_replica_count);
    json_set_bool(o, "duplicated", info->duplicating);
    set_time(o, "created", info->create_second);
    set_time(o, "dropped", info->drop_second);
    set_time(o, "gone_after", info->expire_second);
    return o;
}

static int ask_tables(struct cli *cli, enum app_status status, struct arena *arena,
                      struct app_info_list *out, struct err *e)
{
    struct client *client = NULL;
    int rc = cli_client(cli, &client, e);
    return rc == 0 ? admin_table_list(client, status, arena, out, e) : rc;
}

int table_list_run(struct cli *cli, const struct args *args)
{
    static const struct column columns[] = {{"id", "ID"},
                                            {"table", "TABLE"},
                                            {"status", "STATUS"},
                                            {"partitions", "PARTITIONS"},
                                            {"replicas", "REPLICAS"},
                                            {"duplicated", "DUPLICATED"},
                                            {"created", "CREATED"},
                                            {NULL, NULL}};
    struct arena arena = {0};
    struct app_info_list infos = {0};
    struct err e = {0};
    enum app_status status = args_has(args, "--dropped") ? AS_DROPPED : AS_AVAILABLE;
    int rc = ask_tables(cli, status, &arena, &infos, &e);
    if (rc == 0) {
        json_t *rows = json_rows_new();
        for (uint32_t i = 0; i < infos.count; i++) json_push(rows, info_json(&infos.items[i]));
        output_rows(&cli->out, rows, columns);
    }
    return finish(cli, &arena, rc, &e);
}

static const struct app_info *info_find(const struct app_info_list *infos, const char *name)
{
    for (uint32_t i = 0; i < infos->count; i++)
        if (slice_is(infos->items[i].app_name, name)) return &infos->items[i];
    return NULL;
}

static json_t *envs_json(const struct string_map *envs)
{
    json_t *o = json_new();
    char name[256];
    for (uint32_t i = 0; i < envs->count; i++) {
        (void)snprintf(name, sizeof name, "%.*s", (int)envs->items[i].key.size,
                       (const char *)envs->items[i].key.data);
        json_set_bytes(o, name, envs->items[i].value.data, envs->items[i].value.size);
    }
    return o;
}

static const struct census_learner *learner_of(const struct census_learner_list *learners,
                                               struct gpid pid)
{
    for (uint32_t i = 0; i < learners->count; i++) {
        const struct gpid at = learners->items[i].pid;
        if (at.app_id == pid.app_id && at.partition_index == pid.partition_index)
            return &learners->items[i];
    }
    return NULL;
}

static json_t *places_json(const struct partition_configuration_list *places,
                           const struct census_learner_list *learners)
{
    json_t *rows = json_rows_new();
    char text[IO_ADDRESS_TEXT_SIZE];
    for (uint32_t i = 0; i < places->count; i++) {
        const struct partition_configuration *p = &places->items[i];
        json_t *row = json_new();
        json_set_int(row, "partition", p->pid.partition_index);
        json_set_int(row, "ballot", p->ballot);
        io_address_print((struct io_address){p->primary.ipv4, p->primary.port}, text);
        json_set_text(row, "primary", p->primary.is_valid ? text : "none");
        json_t *secondaries = json_rows_new();
        for (uint32_t k = 0; k < p->secondaries.count; k++) {
            struct rpc_address at = p->secondaries.items[k];
            io_address_print((struct io_address){at.ipv4, at.port}, text);
            json_push(secondaries, json_string(text));
        }
        json_set_json(row, "secondaries", secondaries);
        const struct census_learner *learner = learner_of(learners, p->pid);
        if (learner != NULL) {
            io_address_print((struct io_address){learner->node.ipv4, learner->node.port}, text);
            json_set_text(row, "learner", text);
        }
        json_push(rows, row);
    }
    return rows;
}

/* For people: the facts of the table, then its settings, then its partitions. */
static void show(struct cli *cli, const struct app_info *info,
                 const struct partition_configuration_list *places,
                 const struct census_learner_list *learners)
{
    static const struct column columns[] = {{"partition", "PARTITION"},     {"primary", "PRIMARY"},
                                            {"secondaries", "SECONDARIES"}, {"learner", "LEARNER"},
                                            {"ballot", "BALLOT"},           {NULL, NULL}};
    json_t *facts = info_json(info), *envs = envs_json(&info->envs);
    if (cli->out.is_json) {
        json_set_json(facts, "settings", envs);
        json_set_json(facts, "places", places_json(places, learners));
        output_facts(&cli->out, facts);
        return;
    }
    output_facts(&cli->out, facts);
    if (json_object_size(envs) > 0) {
        output_note(&cli->out, "\nSettings");
        output_facts(&cli->out, envs);
    } else {
        json_decref(envs);
    }
    output_note(&cli->out, "%s", "");
    output_rows(&cli->out, places_json(places, learners), columns);
}

/* The table among those that are there; E_NOTFOUND and says so. */
static int ask_table(struct cli *cli, const char *name, struct arena *arena,
                     const struct app_info **out, struct err *e)
{
    struct app_info_list infos = {0};
    int rc = ask_tables(cli, AS_AVAILABLE, arena, &infos, e);
    if (rc != 0) return rc;
    *out = info_find(&infos, name);
    if (*out != NULL) return 0;
    return err_set(e, E_NOTFOUND, "table %s: no such table (pirene table list)", name);
}

int table_show_run(struct cli *cli, const struct args *args)
{
    struct arena arena = {0};
    struct err e = {0};
    const struct app_info *info = NULL;
    struct query_config_request query = {.app_name = slice_str(args_at(args, 0))};
    struct query_config_response result;
    struct census_response census;
    struct client *client = NULL;
    int rc = ask_table(cli, args_at(args, 0), &arena, &info, &e);
    if (rc == 0) rc = cli_ask_meta(cli, RPC_QUERY_CONFIG, &query, &arena, &result, &e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, &e);
    if (rc == 0) rc = cli_client(cli, &client, &e);
    if (rc == 0) rc = admin_census(client, &arena, &census, &e);
    if (rc == 0) show(cli, info, &result.partitions, &census.learners);
    return finish(cli, &arena, rc, &e);
}

/* ---- Drop, recall, rename -------------------------------------------------------------------- */

int table_drop_run(struct cli *cli, const struct args *args)
{
    struct arena arena = {0};
    struct err e = {0};
    uint64_t reserve_ms = 0;
    struct drop_app_request drop = {.app_name = slice_str(args_at(args, 0))};
    struct drop_app_response result;
    int rc = args_duration_ms(args, "--reserve", 0, &reserve_ms, &e);
    if (args_has(args, "--reserve")) {
        drop.options.set = DROP_APP_OPTIONS_HAS_RESERVE_SECONDS;
        drop.options.reserve_seconds = (int64_t)(reserve_ms / 1000);
    }
    if (rc == 0) rc = cli_ask_meta(cli, RPC_DROP_APP, &drop, &arena, &result, &e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, &e);
    if (rc != 0) err_wrap(&e, rc, "table %s", args_at(args, 0));
    if (rc == 0) {
        json_t *facts = json_new();
        json_set_text(facts, "table", args_at(args, 0));
        output_say(&cli->out, facts, "table %s dropped (pirene table list --dropped)",
                   args_at(args, 0));
    }
    return finish(cli, &arena, rc, &e);
}

int table_recall_run(struct cli *cli, const struct args *args)
{
    struct arena arena = {0};
    struct err e = {0};
    const char *name = args_at(args, 1);
    struct recall_app_request recall = {.new_app_name = slice_str(name != NULL ? name : "")};
    struct recall_app_response result;
    int rc = args_id(args, 0, "pirene table list --dropped", &recall.app_id, &e);
    if (rc == 0) rc = cli_ask_meta(cli, RPC_RECALL_APP, &recall, &arena, &result, &e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, &e);
    if (rc == E_NOTFOUND)
        err_set(&e, rc, "no dropped table has the id %d (pirene table list --dropped)",
                (int)recall.app_id);
    else if (rc != 0 && rc != E_INVALID) err_wrap(&e, rc, "recall table %d", (int)recall.app_id);
    if (rc == 0)
        output_say(&cli->out, info_json(&result.info), "table %.*s is back",
                   (int)result.info.app_name.size, (const char *)result.info.app_name.data);
    return finish(cli, &arena, rc, &e);
}

int table_rename_run(struct cli *cli, const struct args *args)
{
    struct arena arena = {0};
    struct err e = {0};
    struct rename_app_request rename = {.old_app_name = slice_str(args_at(args, 0)),
                                        .new_app_name = slice_str(args_at(args, 1))};
    struct rename_app_response result;
    int rc = cli_ask_meta(cli, RPC_RENAME_APP, &rename, &arena, &result, &e);
    if (rc == 0) rc = client_check(result.err, result.hint_message, &e);
    if (rc != 0) err_wrap(&e, rc, "table %s", args_at(args, 0));
    if (rc == 0) {
        json_t *facts = json_new();
        json_set_text(facts, "table", args_at(args, 1));
        output_say(&cli->out, facts, "table %s is now %s", args_at(args, 0), args_at(args, 1));
    }
    return finish(cli, &arena, rc, &e);
}

/* ---- Settings -------------------------------------------------------------------------------- */

static int env_get(struct cli *cli, const char *table, const char *key)
{
    struct arena arena = {0};
    struct err e = {0};
    const struct app_info *info = NULL;
    int rc = ask_table(cli, table, &arena, &info, &e);
    if (rc == 0) {
        json_t *envs = envs_json(&info->envs);
        json_t *one = key != NULL ? json_object_get(envs, key) : NULL;
        if (key == NULL) {
            if (json_object_size(envs) == 0)
                output_note(&cli->out, "table %s has no settings", table);
            output_facts(&cli->out, envs);
        } else if (one == NULL) {
            rc = err_set(&e, E_NOTFOUND, "table %s has no setting %s", table, key);
            json_decref(envs);
        } else {
            json_t *facts = json_new();
            json_set_json(facts, key, json_incref(one));
            output_facts(&cli->out, facts);
            json_decref(envs);
        }
    }
    return finish(cli, &arena, rc, &e);
}

static int env_update(struct cli *cli, struct update_app_env_request *update)
{
    struct arena arena = {0};
    struct err e = {0};
    struct update_app_env_response result;
    int rc = cli_ask_meta(cli, RPC_UPDATE_APP_ENV, update, &arena, &result, &e);
    if (rc == 0) rc = client_check(result.err, result.hint_message, &e);
    int size = (int)update->app_name.size;
    const char *name = (const char *)update->app_name.data;
    if (rc != 0) err_wrap(&e, rc, "table %.*s", size, name);
    if (rc == 0) {
        json_t *facts = json_new();
        json_set_bytes(facts, "table", name, update->app_name.size);
        output_say(&cli->out, facts, "table %.*s: settings changed", size, name);
    }
    return finish(cli, &arena, rc, &e);
}

int table_env_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    const char *verb = args_at(args, 0), *key = args_at(args, 2), *value = args_at(args, 3);
    struct slice key_slice = slice_str(key != NULL ? key : "");
    struct slice value_slice = slice_str(value != NULL ? value : "");
    struct update_app_env_request update = {.app_name = slice_str(args_at(args, 1))};
    if (strcmp(verb, "get") == 0 && value == NULL) return env_get(cli, args_at(args, 1), key);
    if (strcmp(verb, "set") == 0 && value != NULL) {
        update.set = UPDATE_APP_ENV_REQUEST_HAS_KEYS | UPDATE_APP_ENV_REQUEST_HAS_VALUES;
        update.op = APP_ENV_OP_SET;
        update.keys = (struct string_list){&key_slice, 1};
        update.values = (struct string_list){&value_slice, 1};
        return env_update(cli, &update);
    }
    if (strcmp(verb, "del") == 0 && key != NULL && value == NULL) {
        update.set = UPDATE_APP_ENV_REQUEST_HAS_KEYS;
        update.op = APP_ENV_OP_DEL;
        update.keys = (struct string_list){&key_slice, 1};
        return env_update(cli, &update);
    }
    if (strcmp(verb, "clear") == 0 && value == NULL) {
        update.set = UPDATE_APP_ENV_REQUEST_HAS_CLEAR_PREFIX;
        update.op = APP_ENV_OP_CLEAR;
        update.clear_prefix = key_slice; /* Empty: all. */
        return env_update(cli, &update);
    }
    err_set(&e, E_INVALID,
            "it is 'get TABLE [KEY]', 'set TABLE KEY VALUE', 'del TABLE KEY' or "
            "'clear TABLE [PREFIX]'");
    return cli_fail(cli, &e);
}
