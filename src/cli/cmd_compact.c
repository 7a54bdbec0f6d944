/* src/cli/cmd_compact.c: having a table's stores rewritten, which takes as long as it takes; the servers do
 * it, and this asks them how far they are. */
#include "cli/command.h"

enum { LOOK_MS = 200 };

static int start(struct cli *cli, const struct args *args, struct err *e)
{
    struct arena arena = {0};
    struct start_manual_compact_response result;
    struct start_manual_compact_request ask = {
        .set = START_MANUAL_COMPACT_REQUEST_HAS_BOTTOMMOST,
        .app_name = slice_str(args_at(args, 0)),
        .bottommost = !args_has(args, "--upper"),
    };
    int rc = cli_ask_meta(cli, RPC_START_MANUAL_COMPACT, &ask, &arena, &result, e);
    if (rc == 0) rc = client_check(result.err, result.hint_msg, e);
    if (rc != 0) err_wrap(e, rc, "table %s", args_at(args, 0));
    arena_fini(&arena);
    return rc;
}

/* '*percent' of the last that was asked for; -1: none was. */
static int look(struct cli *cli, const char *table, int32_t *percent, struct err *e)
{
    struct arena arena = {0};
    struct query_manual_compact_response result;
    struct query_manual_compact_request ask = {.app_name = slice_str(table)};
    int rc = cli_ask_meta(cli, RPC_QUERY_MANUAL_COMPACT, &ask, &arena, &result, e);
    bool is_none = rc == 0 && slice_is(result.err, "ERR_INVALID_STATE");
    if (rc == 0 && !is_none) rc = client_check(result.err, result.hint_msg, e);
    if (rc != 0) err_wrap(e, rc, "table %s", table);
    else *percent = is_none ? -1 : result.progress;
    arena_fini(&arena);
    return rc;
}

static int wait_for_end(struct cli *cli, const char *table, int32_t *percent, struct err *e)
{
    struct progress progress = {0};
    int rc;
    while ((rc = look(cli, table, percent, e)) == 0 && *percent >= 0 && *percent < 100 &&
           !cli_is_interrupted()) {
        progress_show(&progress, *percent / 100.0, "compact %s: %d %% of its partitions", table,
                      (int)*percent);
        cli_sleep_ms(LOOK_MS);
    }
    progress_end(&progress);
    if (rc == 0 && *percent < 0) rc = err_set(e, E_STATE, "table %s: it was called off", table);
    else if (rc == 0 && *percent < 100) rc = err_set(e, E_CANCELED, "table %s: interrupted", table);
    if (rc == E_TIMEOUT || rc == E_CANCELED)
        err_wrap(e, rc, "it goes on: pirene table compact %s --status tells how far it is", table);
    return rc;
}

static void say(struct cli *cli, const char *table, int32_t percent)
{
    json_t *facts = json_new();
    json_set_text(facts, "table", table);
    if (percent >= 0) json_set_int(facts, "done_percent", percent);
    if (percent < 0) output_say(&cli->out, facts, "table %s: no compaction was asked for", table);
    else if (percent == 100) output_say(&cli->out, facts, "table %s is compacted", table);
    else output_say(&cli->out, facts, "table %s: %d %% compacted", table, (int)percent);
}

int table_compact_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    const char *table = args_at(args, 0);
    int32_t percent = 0;
    int rc = args_has(args, "--status") ? 0 : start(cli, args, &e);
    if (rc == 0 && (args_has(args, "--status") || args_has(args, "--no-wait")))
        rc = look(cli, table, &percent, &e);
    else if (rc == 0) rc = wait_for_end(cli, table, &percent, &e);
    if (rc != 0) return cli_fail(cli, &e);
    say(cli, table, percent);
    return CLI_OK;
}
