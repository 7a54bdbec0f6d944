/* src/cli/cmd_cluster.c: the cluster at a glance: who is there, and do all partitions have the members that they
 * are to have? */
#include "cli/admin.h"
#include "cli/command.h"

static int ask_hello(struct client *client, struct arena *arena, json_t *facts, struct err *e)
{
    struct hello_request args = {.version = PIRENE_VERSION};
    struct hello_response result;
    int rc = client_ask_meta(client, RPC_HELLO, &args, arena, &result, e);
    if (rc == E_UNSUPPORTED) return 0; /* Pegasus: the rest is worth having. */
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    if (rc != 0) return rc;
    json_set_bytes(facts, "cluster", result.cluster_name.data, result.cluster_name.size);
    json_set_int(facts, "cluster_id", result.cluster_id);
    return 0;
}

static void set_nodes(json_t *facts, const struct census_node_list *nodes)
{
    int64_t alive = 0;
    for (uint32_t i = 0; i < nodes->count; i++) alive += nodes->items[i].is_alive;
    json_set_int(facts, "nodes", nodes->count);
    json_set_int(facts, "nodes_alive", alive);
    json_set_int(facts, "nodes_dead", nodes->count - alive);
}

static int set_tables(json_t *facts, struct client *client, struct arena *arena, struct err *e)
{
    struct app_info_list tables = {0};
    int64_t duplicating = 0;
    int rc = admin_table_list(client, AS_AVAILABLE, arena, &tables, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < tables.count; i++) duplicating += tables.items[i].duplicating;
    json_set_int(facts, "tables", tables.count);
    json_set_int(facts, "tables_duplicated", duplicating);
    return 0;
}

/* ---- Partitions ------------------------------------------------------------------------------ */

static bool is_known(const struct census_table *t)
{
    return t->whole != ADMIN_UNKNOWN;
}

static bool is_whole(const struct census_table *t)
{
    return !is_known(t) || (t->lacking == 0 && t->headless == 0);
}

static void set_health(json_t *o, const struct census_table *t)
{
    json_set_int(o, "partitions", t->partitions);
    if (!is_known(t)) return;
    json_set_int(o, "whole", t->whole);
    json_set_int(o, "lacking_members", t->lacking);
    json_set_int(o, "without_primary", t->headless);
    json_set_int(o, "learning", t->learning);
}

/* All tables as if they were one. */
static struct census_table sum_of(const struct census_table_list *tables)
{
    struct census_table sum = {0};
    for (uint32_t i = 0; i < tables->count; i++) {
        const struct census_table *t = &tables->items[i];
        sum.partitions += t->partitions;
        sum.whole += is_known(t) ? t->whole : 0;
        sum.lacking += is_known(t) ? t->lacking : 0;
        sum.headless += is_known(t) ? t->headless : 0;
        sum.learning += is_known(t) ? t->learning : 0;
        if (!is_known(t)) sum.whole = ADMIN_UNKNOWN;
    }
    return sum;
}

static json_t *table_json(const struct census_table *t)
{
    json_t *o = json_new();
    json_set_bytes(o, "table", t->app_name.data, t->app_name.size);
    set_health(o, t);
    return o;
}

/* Those that are not whole: it is they that somebody looks for. */
static json_t *ailing_json(const struct census_table_list *tables)
{
    json_t *rows = json_rows_new();
    for (uint32_t i = 0; i < tables->count; i++)
        if (!is_whole(&tables->items[i])) json_push(rows, table_json(&tables->items[i]));
    return rows;
}

/* ---- Status ---------------------------------------------------------------------------------- */

static void print_status(struct cli *cli, json_t *facts, const struct census_table_list *tables)
{
    static const struct column columns[] = {{"table", "TABLE"},
                                            {"partitions", "PARTITIONS"},
                                            {"whole", "WHOLE"},
                                            {"lacking_members", "LACKING MEMBERS"},
                                            {"without_primary", "WITHOUT PRIMARY"},
                                            {"learning", "LEARNING"},
                                            {NULL, NULL}};
    json_t *ailing = ailing_json(tables);
    if (cli->out.is_json) {
        json_set_json(facts, "ailing", ailing);
        output_facts(&cli->out, facts);
        return;
    }
    output_facts(&cli->out, facts);
    if (json_array_size(ailing) > 0) {
        output_note(&cli->out, "%s", "");
        output_rows(&cli->out, ailing, columns);
    } else {
        json_decref(ailing);
    }
}

static int look(struct cli *cli, void *context, struct err *e)
{
    bool *is_all_whole = context;
    struct arena arena = {0};
    struct client *client = NULL;
    struct census_response census;
    json_t *facts = json_new();
    int rc = cli_client(cli, &client, e);
    if (rc == 0) rc = ask_hello(client, &arena, facts, e);
    json_set_text(facts, "metas", cli->metas);
    if (rc == 0) rc = admin_census(client, &arena, &census, e);
    if (rc == 0) set_nodes(facts, &census.nodes);
    if (rc == 0) rc = set_tables(facts, client, &arena, e);
    if (rc == 0) {
        const struct census_table sum = sum_of(&census.tables);
        *is_all_whole = is_whole(&sum);
        set_health(facts, &sum);
        if (cli->out.is_lines) output_redraw(&cli->out);
        print_status(cli, facts, &census.tables);
    } else {
        json_decref(facts);
    }
    arena_fini(&arena);
    return rc;
}

int cluster_status_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    bool is_all_whole = false;
    int rc = cli_watch(cli, args, look, &is_all_whole, &e);
    if (rc != 0) return cli_fail(cli, &e);
    return is_all_whole ? CLI_OK : CLI_NOT_FOUND;
}
