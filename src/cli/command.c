/* src/cli/command.c: from words to the function of the table, and help out of the same table. */
#include "cli/command.h"

#include <string.h>

#include "base/check.h"

/* ---- Finding --------------------------------------------------------------------------------- */

const struct cli_command *command_find(size_t count, char *const *words, size_t *taken)
{
    for (const struct cli_command *c = commands; count > 0 && c->noun != NULL; c++) {
        if (strcmp(c->noun, words[0]) != 0) continue;
        *taken = c->verb == NULL ? 1 : 2;
        if (c->verb == NULL || (count > 1 && strcmp(c->verb, words[1]) == 0)) return c;
    }
    return NULL;
}

static bool is_noun(const char *word)
{
    for (const struct cli_command *c = commands; c->noun != NULL; c++)
        if (strcmp(c->noun, word) == 0) return true;
    return false;
}

/* ---- Help ------------------------------------------------------------------------------------ */

static const char *space_if(const char *text)
{
    return text != NULL && *text != '\0' ? " " : "";
}

static const char *or_nothing(const char *text)
{
    return text != NULL ? text : "";
}

static int print_usage(const struct cli_command *c, const char *indent)
{
    return printf("%s%s%s%s%s%s", indent, c->noun, space_if(c->verb), or_nothing(c->verb),
                  space_if(c->arguments), c->arguments);
}

static void print_options(const struct option_spec *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        int used = printf("  %s%s%s", o->name, space_if(o->value), or_nothing(o->value));
        printf("%*s  %s\n", used < 26 ? 26 - used : 0, "", o->help);
    }
}

static void print_row(const struct cli_command *c)
{
    int used = print_usage(c, "  ");
    if (used > 44) used = printf("\n") - 1;
    printf("%*s  %s\n", 44 - used, "", c->help);
}

void help_print_all(void)
{
    printf("pirene: talk to a Pirene cluster\n\n"
           "  pirene [options] COMMAND ...       one command\n"
           "  pirene                             the interactive shell\n\n");
    const char *noun = "";
    for (const struct cli_command *c = commands; c->noun != NULL; c++) {
        if (c->verb != NULL && strcmp(noun, c->noun) != 0) printf("\n");
        noun = c->noun;
        print_row(c);
    }
    printf("\nOptions of all commands:\n");
    print_options(common_options);
    printf("\nExit codes: 0 done, 1 not found or condition not met, 2 wrong usage,\n"
           "            3 the cluster refused or cannot be reached, 4 not finished in time\n");
}

void help_print_noun(const char *noun)
{
    for (const struct cli_command *c = commands; c->noun != NULL; c++)
        if (strcmp(c->noun, noun) == 0) print_row(c);
}

void help_print(const struct cli_command *c)
{
    print_usage(c, "pirene ");
    printf("\n\n  %s.\n\n", c->help);
    if (c->options != NULL) {
        printf("Options:\n");
        print_options(c->options);
        printf("\n");
    }
    printf("Options of all commands:\n");
    print_options(common_options);
    if (c->example != NULL) printf("\nExample:\n  pirene %s\n", c->example);
}

/* ---- Running --------------------------------------------------------------------------------- */

int command_take_common(struct cli *cli, const struct args *args, struct err *e)
{
    uint64_t timeout_ms;
    int rc = args_duration_ms(args, "--timeout", cli->timeout_ms, &timeout_ms, e);
    if (rc != 0) return rc;
    if (timeout_ms == 0 || timeout_ms > INT32_MAX)
        return err_set(e, E_INVALID, "--timeout wants more than nothing and less than 24 days");
    cli->timeout_ms = (uint32_t)timeout_ms;
    if (args_has(args, "--json")) cli->out.is_json = true;
    if (args_has(args, "--hex")) cli->form = TEXT_HEX;
    if (args_has(args, "--base64")) cli->form = TEXT_BASE64;
    if (args_has(args, "--meta")) cli_set_metas(cli, args_option(args, "--meta"));
    return 0;
}

/* In the shell an option holds for one command only. */
static int run_with(struct cli *cli, const struct cli_command *c, const struct args *args)
{
    struct err e = {0};
    const struct cli before = *cli;
    int rc = command_take_common(cli, args, &e);
    if (rc == 0) rc = args_match(args, c->arguments, &e);
    int code = rc == 0 ? c->run(cli, args) : cli_fail(cli, &e);
    if (rc != 0 && !cli->out.is_json)
        (void)fprintf(stderr, "  pirene %s%s%s --help\n", c->noun, space_if(c->verb),
                      or_nothing(c->verb));
    cli->out = before.out;
    cli->form = before.form;
    cli->timeout_ms = before.timeout_ms;
    cli_set_metas(cli, before.metas);
    return code;
}

static int unknown(struct cli *cli, size_t count, char *const *words)
{
    struct err e = {0};
    if (is_noun(words[0])) {
        if (count > 1 && strncmp(words[1], "--", 2) != 0)
            (void)fprintf(stderr, "pirene: %s knows no '%s'\n", words[0], words[1]);
        help_print_noun(words[0]);
        return CLI_USAGE;
    }
    err_set(&e, E_INVALID, "there is no command '%s' (pirene --help)", words[0]);
    return cli_fail(cli, &e);
}

/* "help", "help dup", "help dup wait". */
static int help(struct cli *cli, size_t count, char *const *words)
{
    size_t taken = 0;
    const struct cli_command *c = command_find(count, words, &taken);
    if (count == 0) help_print_all();
    else if (c != NULL) help_print(c);
    else if (count == 1 && is_noun(words[0])) help_print_noun(words[0]);
    else return unknown(cli, count, words);
    return CLI_OK;
}

int command_run(struct cli *cli, size_t count, char *const *words)
{
    size_t taken = 0;
    struct args args;
    struct err e = {0};
    if (strcmp(words[0], "help") == 0) return help(cli, count - 1, words + 1);
    const struct cli_command *c = command_find(count, words, &taken);
    if (c == NULL) return unknown(cli, count, words);
    int rc = args_read(&args, count - taken, words + taken, c->options, common_options, &e);
    if (rc != 0) return cli_fail(cli, &e);
    if (args_has(&args, "--help")) return help_print(c), CLI_OK;
    return run_with(cli, c, &args);
}
