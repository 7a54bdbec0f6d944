/* src/cli/cmd_cluster.c: the cluster and its nodes. */
#include "cli/admin.h"
#include "cli/command.h"

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
    struct client *client = NULL;
    struct node_info_list nodes = {0};
    struct err e = {0};
    (void)args;
    int rc = cli_client(cli, &client, &e);
    if (rc == 0) rc = admin_node_list(client, NS_INVALID, &arena, &nodes, &e);
    if (rc == 0) {
        json_t *rows = json_rows_new();
        for (uint32_t i = 0; i < nodes.count; i++) {
            json_t *row = json_new();
            set_address(row, "node", nodes.items[i].node);
            json_set_text(row, "status", status_name(nodes.items[i].status));
            json_push(rows, row);
        }
        output_rows(&cli->out, rows, columns);
    }
    arena_fini(&arena);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}

/* ---- Status ---------------------------------------------------------------------------------- */

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

static int ask_tables(struct client *client, struct arena *arena, json_t *facts, struct err *e)
{
    struct app_info_list tables = {0};
    int64_t partitions = 0, duplicating = 0;
    int rc = admin_table_list(client, AS_AVAILABLE, arena, &tables, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < tables.count; i++) {
        partitions += tables.items[i].partition_count;
        duplicating += tables.items[i].duplicating;
    }
    json_set_int(facts, "tables", tables.count);
    json_set_int(facts, "partitions", partitions);
    json_set_int(facts, "tables_duplicated", duplicating);
    return 0;
}

static int ask_node_counts(struct client *client, struct arena *arena, json_t *facts, struct err *e)
{
    struct node_info_list nodes = {0};
    int64_t alive = 0;
    int rc = admin_node_list(client, NS_INVALID, arena, &nodes, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < nodes.count; i++) alive += nodes.items[i].status == NS_ALIVE;
    json_set_int(facts, "nodes", nodes.count);
    json_set_int(facts, "nodes_alive", alive);
    return 0;
}

int cluster_status_run(struct cli *cli, const struct args *args)
{
    struct arena arena = {0};
    struct err e = {0};
    struct client *client = NULL;
    json_t *facts = json_new();
    (void)args;
    int rc = cli_client(cli, &client, &e);
    if (rc == 0) rc = ask_hello(client, &arena, facts, &e);
    json_set_text(facts, "metas", cli->metas);
    if (rc == 0) rc = ask_node_counts(client, &arena, facts, &e);
    if (rc == 0) rc = ask_tables(client, &arena, facts, &e);
    if (rc == 0) output_facts(&cli->out, facts);
    else json_decref(facts);
    arena_fini(&arena);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
