/* src/cli/main.c: pirene. One command, or the shell. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli/command.h"
#include "obs/version.h"

/* Nothing but options: about pirene itself, or for the shell. */
static int run_options(struct cli *cli, size_t count, char **words)
{
    for (size_t i = 0; i < count; i++) {
        bool is_version = strcmp(words[i], "--version") == 0;
        if (is_version) printf("pirene %s (%s)\n", PIRENE_VERSION_TEXT, PIRENE_COMMIT_TEXT);
        else if (strcmp(words[i], "--help") == 0) help_print_all();
        else continue;
        return CLI_OK;
    }
    return shell_run(cli, count, words);
}

/* The last word: output that was lost is an error. Who lost his reader dies of SIGPIPE, as programs
 * do; until now it was ignored, for the sake of connections. */
static int end(struct cli *cli, int code)
{
    struct err e = {0};
    output_flush();
    if (output_lost() != 0) {
        err_set(&e, err_of_errno(output_lost()), "the output cannot be written: %s",
                strerror(output_lost()));
        code = output_lost() == EPIPE ? CLI_FAILED : cli_fail(cli, &e);
    }
    cli_close(cli);
    if (output_lost() == EPIPE) {
        (void)signal(SIGPIPE, SIG_DFL);
        (void)raise(SIGPIPE);
    }
    return code;
}

int main(int argc, char **argv)
{
    struct cli cli;
    struct err e = {0};
    size_t count = argc > 0 ? (size_t)argc - 1 : 0;
    char **words = argv + 1;
    int code;
    if (cli_open(&cli, argv[0], &e) != 0) return cli_fail(&cli, &e);
    if (count > ARGS_MAX) {
        err_set(&e, E_INVALID, "a command has at most %d words, not %zu", ARGS_MAX, count);
        code = command_usage(&cli, count, words, &e);
    } else if (command_words_first(count, words) > 0) {
        code = command_run(&cli, count, words);
    } else {
        code = run_options(&cli, count, words);
    }
    return end(&cli, code);
}
