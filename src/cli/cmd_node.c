/* src/cli/cmd_node.c: the servers of a cluster. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/command.h"

/* ---- List ------------------------------------------------------------------------------------ */

static void set_count(json_t *o, const char *name, int32_t count)
{
    if (count != ADMIN_UNKNOWN) json_set_int(o, name, count);
}

static int64_t held_by(const struct census_node *node)
{
    return (int64_t)node->primaries + node->secondaries + node->learners;
}

static const char *status_of(const struct census_node *node)
{
    if (!node->is_alive) return "dead";
    if (!node->is_draining) return "alive";
    return held_by(node) > 0 ? "draining" : "drained";
}

static void address_of(const struct census_node *node, char text[IO_ADDRESS_TEXT_SIZE])
{
    io_address_print((struct io_address){node->address.ipv4, node->address.port}, text);
}

static json_t *node_json(const struct census_node *node)
{
    json_t *o = json_new();
    char text[IO_ADDRESS_TEXT_SIZE];
    address_of(node, text);
    if (node->node_id != 0) json_set_int(o, "id", node->node_id);
    json_set_text(o, "node", text);
    json_set_text(o, "status", status_of(node));
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

/* ---- Drain ----------------------------------------------------------------------------------- */

/* By id or address; NULL: there is none. */
static const struct census_node *node_called(const struct census_node_list *nodes, const char *name)
{
    char text[IO_ADDRESS_TEXT_SIZE], *end;
    const int64_t id = strtoll(name, &end, 10);
    for (uint32_t i = 0; i < nodes->count; i++) {
        const struct census_node *node = &nodes->items[i];
        address_of(node, text);
        if (strcmp(text, name) == 0 || (*end == '\0' && node->node_id == id)) return node;
    }
    return NULL;
}

static int look(struct cli *cli, const char *name, struct census_node *out, struct err *e)
{
    struct arena arena = {0};
    struct client *client = NULL;
    struct census_response census;
    int rc = cli_client(cli, &client, e);
    if (rc == 0) rc = admin_census(client, &arena, &census, e);
    const struct census_node *node = rc == 0 ? node_called(&census.nodes, name) : NULL;
    if (rc == 0 && node == NULL)
        rc = err_set(e, E_NOTFOUND, "no node is called %s (pirene node list)", name);
    if (node != NULL) *out = *node;
    arena_fini(&arena);
    return rc;
}

static int wish(struct cli *cli, const struct census_node *node, bool is_draining, struct err *e)
{
    struct arena arena = {0};
    struct drain_request args = {.node_id = node->node_id, .is_draining = is_draining};
    struct drain_response result;
    int rc = cli_ask_meta(cli, RPC_DRAIN, &args, &arena, &result, e);
    if (rc == 0) rc = client_check(result.err, (struct slice){0}, e);
    arena_fini(&arena);
    return rc;
}

/* All that it still holds nobody else can take. */
static bool is_stuck(const struct census_node *node)
{
    return node->stuck > 0 && node->stuck == held_by(node);
}

static int wait_for_end(struct cli *cli, const char *name, struct census_node *node, struct err *e)
{
    enum { LOOK_MS = 200 };
    struct progress progress = {0};
    int64_t most = 1;
    int rc;
    while ((rc = look(cli, name, node, e)) == 0 && node->is_draining && held_by(node) > 0 &&
           !is_stuck(node) && !cli_is_interrupted() && !cli_is_late(cli)) {
        if (held_by(node) > most) most = held_by(node);
        progress_show(&progress, 1 - (double)held_by(node) / (double)most,
                      "drain %s: %" PRId64 " replicas left", name, held_by(node));
        cli_sleep_ms(LOOK_MS);
    }
    progress_end(&progress);
    if (rc == 0 && !node->is_draining)
        return err_set(e, E_STATE, "node %s: the drain was called off", name);
    if (rc == 0 && held_by(node) > 0 && !is_stuck(node))
        rc = err_set(e, cli_is_late(cli) ? E_TIMEOUT : E_CANCELED,
                     "node %s: %" PRId64 " replicas are left", name, held_by(node));
    if (rc == E_TIMEOUT || rc == E_CANCELED)
        err_wrap(e, rc, "it goes on: pirene node list tells how far it is");
    return rc;
}

static void say(struct cli *cli, const char *name, const struct census_node *node)
{
    json_t *facts = node_json(node);
    json_set_int(facts, "stuck", node->stuck);
    if (!node->is_draining) output_say(&cli->out, facts, "node %s takes replicas again", name);
    else if (held_by(node) == 0)
        output_say(&cli->out, facts, "node %s holds nothing any more", name);
    else if (is_stuck(node))
        output_say(&cli->out, facts,
                   "node %s still holds %" PRId64
                   " replicas: no other node can take their place. They "
                   "stay until a server joins, or their tables want fewer replicas",
                   name, held_by(node));
    else
        output_say(&cli->out, facts,
                   "node %s drains: %" PRId64 " replicas are left (pirene node list)", name,
                   held_by(node));
}

int node_drain_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    struct census_node node = {0};
    const char *name = args_at(args, 0);
    const bool is_draining = !args_has(args, "--undo");
    int rc = look(cli, name, &node, &e);
    if (rc == 0) rc = wish(cli, &node, is_draining, &e);
    if (rc == 0 && is_draining && !args_has(args, "--no-wait"))
        rc = wait_for_end(cli, name, &node, &e);
    else if (rc == 0) rc = look(cli, name, &node, &e);
    if (rc != 0) return cli_fail(cli, &e);
    say(cli, name, &node);
    return is_draining && is_stuck(&node) ? CLI_NOT_FOUND : CLI_OK;
}
