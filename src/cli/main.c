/* src/cli/main.c: pirene. The options in front, then one command, or the shell. */
#include <string.h>

#include "cli/command.h"

/* Options in front of the command go behind it, where they are read: "pirene --json table list".
 * Returns how many words there are without them; 0: only options. */
static size_t front_options(int argc, char **argv)
{
    size_t at = 1;
    while (at < (size_t)argc && strncmp(argv[at], "--", 2) == 0) {
        bool has_value = false;
        for (const struct option_spec *o = common_options; o->name != NULL; o++)
            if (strcmp(o->name, argv[at]) == 0) has_value = o->value != NULL;
        at += has_value ? 2 : 1;
    }
    return at < (size_t)argc ? at : (size_t)argc;
}

int main(int argc, char **argv)
{
    struct cli cli;
    struct err e = {0};
    char *words[ARGS_MAX];
    size_t front = front_options(argc, argv), count = (size_t)argc - front;
    if (argc > ARGS_MAX) return CLI_USAGE;
    bool wants_help = front > 1 && strcmp(argv[1], "--help") == 0;
    if (wants_help) return help_print_all(), CLI_OK;
    if (cli_open(&cli, argv[0], &e) != 0) return cli_fail(&cli, &e);

    memcpy(words, argv + front, count * sizeof *words);
    size_t taken = 0;
    const struct cli_command *c = command_find(count, words, &taken);
    if (c == NULL) taken = count; /* Nothing to put them behind. */
    memmove(words + taken + front - 1, words + taken, (count - taken) * sizeof *words);
    memcpy(words + taken, argv + 1, (front - 1) * sizeof *words);
    int code = count > 0 ? command_run(&cli, (size_t)argc - 1, words)
                         : shell_run(&cli, front - 1, argv + 1);
    cli_close(&cli);
    return code;
}
