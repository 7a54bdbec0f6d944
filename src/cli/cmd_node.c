/* src/cli/cmd_node.c: the servers of a cluster. */
#include "cli/admin.h"
#include "cli/command.h"

static void set_count(json_t *o, const char *name, int32_t count)
{
    if (count != ADMIN_UNKNOWN) json_set_int(o, name, count);
}

static json_t *node_json(const struct census_node *node)
{
    json_t *o = json_new();
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_print((struct io_address){node->address.ipv4, node->address.port}, text);
    if (node->node_id != 0) json_set_int(o, "id", node->node_id);
    json_set_text(o, "node", text);
    json_set_text(o, "status", node->is_alive ? "alive" : "dead");
    set_count(o, "primaries", node->primaries);
    set_count(o, "secondaries", node->secondaries);
    set_count(o, "learners", node->learners);
    return o;
}

int node_list_run(struct cli *cli, const struct args *args)
{
    static const struct column columns[] = {{"id", "ID"},
                                            {"node", "NODE"},
                                            {"status", "STATUS"},
                                            {"primaries", "PRIMARIES"},
                                            {"secondaries", "SECONDARIES"},
                                            {"learners", "LEARNERS"},
                                            {NULL, NULL}};
    struct arena arena = {0};
    struct client *client = NULL;
    struct census_response census;
    struct err e = {0};
    (void)args;
    int rc = cli_client(cli, &client, &e);
    if (rc == 0) rc = admin_census(client, &arena, &census, &e);
    if (rc == 0) {
        json_t *rows = json_rows_new();
        for (uint32_t i = 0; i < census.nodes.count; i++)
            json_push(rows, node_json(&census.nodes.items[i]));
        output_rows(&cli->out, rows, columns);
    }
    arena_fini(&arena);
    return rc == 0 ? CLI_OK : cli_fail(cli, &e);
}
