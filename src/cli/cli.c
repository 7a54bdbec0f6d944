/* src/cli/cli.c: one run of pirene: its loop, its cluster, its errors. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/uv.h"

static const char metas_default[] = "127.0.0.1:34601";
int cli_open(struct cli *cli, const char *program, struct err *e)
{
    const char *metas = getenv("PIRENE_META");
    *cli = (struct cli){
        .program = program,
        .metas = metas != NULL && *metas != '\0' ? metas : metas_default,
    };
    int rc = io_uv_open(&cli->io);
    if (rc == 0) rc = io_loop_open(cli->io, IO_LOOP_EVENTS, "pirene", &cli->loop);
    if (rc != 0) return err_set(e, rc, "cannot start: %s", err_text(rc));
    return 0;
}

void cli_close(struct cli *cli)
{
    client_close(cli->client);
    io_loop_close(cli->loop);
    io_uv_close(cli->io);
}

/* ---- Time ------------------------------------------------------------------------------------ */

void cli_start_clock(struct cli *cli)
{
    uint64_t now_ms = io_now(cli->io).boot_ms;
    cli->deadline_ms = cli->timeout_ms > 0 ? now_ms + cli->timeout_ms : 0;
    if (cli->client != NULL) client_set_deadline(cli->client, cli->deadline_ms);
}

bool cli_is_late(const struct cli *cli)
{
    return cli->deadline_ms != 0 && io_now(cli->io).boot_ms >= cli->deadline_ms;
}

/* ---- The cluster ----------------------------------------------------------------------------- */

int cli_client_open(struct cli *cli, const char *option, const char *metas, struct client **out,
                    struct err *e)
{
    int rc = client_open(cli->loop, metas, out);
    if (rc == E_INVALID)
        return err_set(e, rc, "%s %s: it wants HOST:PORT[,HOST:PORT]", option, metas);
    if (rc != 0) return err_set(e, rc, "%s %s: %s", option, metas, err_text(rc));
    client_set_deadline(*out, cli->deadline_ms);
    return 0;
}

int cli_client(struct cli *cli, struct client **out, struct err *e)
{
    int rc = 0;
    if (cli->client == NULL) rc = cli_client_open(cli, "--meta", cli->metas, &cli->client, e);
    if (rc == 0) *out = cli->client;
    return rc;
}

void cli_set_metas(struct cli *cli, const char *metas)
{
    if (strcmp(metas, cli->metas) == 0) return;
    client_close(cli->client);
    cli->client = NULL;
    cli->metas = metas;
}

int cli_ask_meta(struct cli *cli, enum rpc_code rpc, const void *args, struct arena *arena,
                 void *result, struct err *e)
{
    struct client *client = NULL;
    int rc = cli_client(cli, &client, e);
    return rc == 0 ? client_ask_meta(client, rpc, args, arena, result, e) : rc;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

int cli_exit_code(int code)
{
    switch (code) {
    case 0: return CLI_OK;
    case E_NOTFOUND: return CLI_NOT_FOUND;
    case E_INVALID: return CLI_USAGE;
    case E_TIMEOUT: return CLI_TIMEOUT;
    default: return CLI_FAILED;
    }
}

int cli_fail(struct cli *cli, const struct err *e)
{
    if (cli->out.is_json) {
        json_t *o = json_new();
        json_set_text(o, "error", e->text);
        json_set_text(o, "code", err_name(e->code));
        (void)json_dumpf(o, stderr, JSON_COMPACT);
        (void)fputc('\n', stderr);
        json_decref(o);
    } else {
        (void)fprintf(stderr, "pirene: %s\n", e->text);
    }
    return cli_exit_code(e->code);
}

uint64_t cli_now_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

void cli_sleep_ms(uint64_t ms)
{
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR && !cli_is_interrupted()) continue;
}

/* ---- Interrupts ------------------------------------------------------------------------------ */

enum { SAME_NS = 500000000 };

static volatile sig_atomic_t is_interrupted;
static atomic_uint_fast64_t heard_ns; /* When it became true. */

/* The second one ends the program whatever it does; but some send the first twice, to the process
 * and to its group. */
static void on_interrupt(int number)
{
    uint64_t now_ns = cli_now_ns();
    if (is_interrupted == 0) atomic_store(&heard_ns, now_ns);
    is_interrupted = 1;
    if (now_ns - atomic_load(&heard_ns) < SAME_NS) return;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void cli_hear_interrupts(void)
{
    is_interrupted = 0;
    (void)signal(SIGINT, on_interrupt);
    (void)signal(SIGTERM, on_interrupt);
}

void cli_interrupt(void)
{
    is_interrupted = 1;
}

bool cli_is_interrupted(void)
{
    return is_interrupted != 0;
}

/* ---- Watching -------------------------------------------------------------------------------- */

int cli_watch(struct cli *cli, const struct args *args, cli_look *look, void *context,
              struct err *e)
{
    enum { WATCH_MS = 1000 };
    const bool is_watch = args_has(args, "--watch");
    if (is_watch) {
        cli->out.is_lines = true;
        cli_hear_interrupts();
    }
    int rc = look(cli, context, e);
    while (rc == 0 && is_watch && !cli_is_interrupted()) {
        cli_sleep_ms(WATCH_MS);
        if (cli_is_interrupted()) break;
        cli_start_clock(cli); /* It is the time of one look. */
        rc = look(cli, context, e);
    }
    return rc;
}
