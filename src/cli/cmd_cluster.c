/* src/cli/cmd_cluster.c: the cluster and its nodes. */
#include "cli/command.h"

static int ask_nodes(struct cli *cli, struct arena *arena, struct list_nodes_response *result,
                     struct err *e)
{
    struct list_nodes_request args = {.status = NS_INVALID};
    int rc = cli_ask_meta(cli, RPC_LIST_NODES, &args, arena, result, e);
    return rc != 0 ? rc : client_check(result->err, (struct slice){0}, e);
}

static void set_address(json_t *o, const char *name, struct rpc_address address)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_print((struct io_address){address.ipv4, address.port}, text);
    json_set_text(o, name, text);
}

static const char *status_name(int32_t status)
{
    return status == NS_ALIVE ? "alive" : "dead";
}

int node_list_run(struct cli *cli, const struct args *args)
{
    static const struct column columns[] = {{"node", "NODE"}, {"status", "STATUS"}, {NULL, NULL}};
    struct arena arena = {0};
    struct list_nodes_response result;
    struct err e = {0};
    (void)args;
    int rc = ask_nodes(cli, &arena, &result, &e);
    if (rc == 0) {
        json_t *rows = json_rows_new();
        for (uint32_t i = 0; i < result.infos.count; i++) {
            json_t *row = json_new();
            set_address(row, "node", result.infos.items[i].node);
            json_set_text(row, "status", status_name(result.infos.items[i].status));
            json_push(rows, row);
        }
        output_rows(&cli->out, rows, columns);
    }
    arena_fini(&arena);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}

/* ---- Status ---------------------------------------------------------------------------------- */

static int ask_hello(struct cli *cli, struct arena *arena, json_t *facts, struct err *e)
{
    struct hello_request args = {.version = PIRENE_VERSION};
    struct hello_response result;
    int rc = cli_ask_meta(cli, RPC_HELLO, &args, arena, &result, e);
    if (rc == E_UNSUPPORTED) return 0; /* Pegasus: the rest is worth having. */
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    if (rc != 0) return rc;
    json_set_bytes(facts, "cluster", result.cluster_name.data, result.cluster_name.size);
    json_set_int(facts, "cluster_id", result.cluster_id);
    return 0;
}

static int ask_tables(struct cli *cli, struct arena *arena, json_t *facts, struct err *e)
{
    struct list_apps_request args = {.status = AS_AVAILABLE};
    struct list_apps_response result;
    int64_t partitions = 0, duplicating = 0;
    int rc = cli_ask_meta(cli, RPC_LIST_APPS, &args, arena, &result, e);
    if (rc == 0) rc = client_check(result.err, result.hint_message, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < result.infos.count; i++) {
        partitions += result.infos.items[i].partition_count;
        duplicating += result.infos.items[i].duplicating;
    }
    json_set_int(facts, "tables", result.infos.count);
    json_set_int(facts, "partitions", partitions);
    json_set_int(facts, "tables_duplicated", duplicating);
    return 0;
}

static int ask_node_counts(struct cli *cli, struct arena *arena, json_t *facts, struct err *e)
{
    struct list_nodes_response result;
    int64_t alive = 0;
    int rc = ask_nodes(cli, arena, &result, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < result.infos.count; i++)
        alive += result.infos.items[i].status == NS_ALIVE;
    json_set_int(facts, "nodes", result.infos.count);
    json_set_int(facts, "nodes_alive", alive);
    return 0;
}

int cluster_status_run(struct cli *cli, const struct args *args)
{
    struct arena arena = {0};
    struct err e = {0};
    json_t *facts = json_new();
    (void)args;
    int rc = ask_hello(cli, &arena, facts, &e);
    json_set_text(facts, "metas", cli->metas);
    if (rc == 0) rc = ask_node_counts(cli, &arena, facts, &e);
    if (rc == 0) rc = ask_tables(cli, &arena, facts, &e);
    if (rc == 0) output_facts(&cli->out, facts);
    else json_decref(facts);
    arena_fini(&arena);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
