/* src/cli/cli.h: what every command of pirene has in its hands, and how commands are declared.
 *
 *     command.h  the table of all commands: help, completion and the shell come from it
 *     cli.h      one run: options, the connection to the cluster, the output
 *     args.h     what was typed        text.h   keys and values as text
 *     output.h   what is printed, for people or as JSON
 *
 * Exit codes, for scripts:
 *     0  done                          2  wrong usage
 *     1  not found, or the condition   3  the cluster refused, or cannot be reached
 *        does not hold, or different   4  not finished in time */
#pragma once
#include <stdio.h>

#include "cli/args.h"
#include "cli/output.h"
#include "cli/text.h"
#include "client/client.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_NOT_FOUND = 1,
    CLI_USAGE = 2,
    CLI_FAILED = 3,
    CLI_TIMEOUT = 4,
};

struct cli {
    const char *program; /* argv[0]. */
    struct io *io;
    struct io_loop *loop;
    const char *metas;     /* --meta, PIRENE_META, or the default. */
    struct client *client; /* Opened when first asked for. */
    uint32_t timeout_ms;   /* Of the command; 0: it may take as long as it wants. */
    uint64_t deadline_ms;  /* When that is over, in boot time; 0: never. */
    struct output out;
    enum text_form form;
    char table[256]; /* In the shell, after 'use'; empty: none. */
};

enum { CLI_TIMEOUT_MS_MAX = 24 * 3600 * 1000 };

/* Open what a run needs; no connection is made. Returns 0, or why not. */
int cli_open(struct cli *cli, const char *program, struct err *e) MUST_CHECK;
void cli_close(struct cli *cli);

/* From now on the command has 'timeout_ms'. */
void cli_start_clock(struct cli *cli);
bool cli_is_late(const struct cli *cli);

/* The cluster of --meta, with the command's deadline. Returns 0, or fills 'e'. */
int cli_client(struct cli *cli, struct client **out, struct err *e) MUST_CHECK;

/* Another cluster, with the command's deadline; the caller closes it. 'option' is what named it.
 * Returns 0, or fills 'e'. */
int cli_client_open(struct cli *cli, const char *option, const char *metas, struct client **out,
                    struct err *e) MUST_CHECK;

/* Speak to other metas from now on. */
void cli_set_metas(struct cli *cli, const char *metas);

/* Ask the metas of --meta; to check 'err' of what comes back is up to the caller. */
int cli_ask_meta(struct cli *cli, enum rpc_code rpc, const void *args, struct arena *arena,
                 void *result, struct err *e) MUST_CHECK;

/* Look once; with --watch again every second, each time with the command's whole time, until a look fails or
 * Ctrl-C. Returns 0, or what the last look has said. */
typedef int cli_look(struct cli *cli, void *context, struct err *e);
int cli_watch(struct cli *cli, const struct args *args, cli_look *look, void *context,
              struct err *e) MUST_CHECK;

/* Say on stderr (as JSON with --json) what went wrong and give the exit code for it. */
int cli_fail(struct cli *cli, const struct err *e);

/* The exit code for an error code. */
int cli_exit_code(int code);

/* A clock for measuring, in nanoseconds. */
uint64_t cli_now_ns(void);
void cli_sleep_ms(uint64_t ms);

/* Ctrl-C ends the program at once, unless it is to be heard: from this call on the first one only
 * makes cli_is_interrupted() true, for commands that have something to end in order. */
void cli_hear_interrupts(void);
bool cli_is_interrupted(void);
void cli_interrupt(void); /* As Ctrl-C does, once it is heard. */
