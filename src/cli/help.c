/* src/cli/help.c: help, out of the table of commands. */
#include <string.h>

#include "cli/command.h"

enum { OPTION_WIDTH = 26, ROW_WIDTH = 44 };

static const char exit_codes[] =
    "Exit codes: 0 done, 1 not found or condition not met, 2 wrong usage,\n"
    "            3 the cluster refused or cannot be reached, 4 not finished in time\n";

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

static void print_option(const struct option_spec *o)
{
    int used = printf("  %s%s%s", o->name, space_if(o->value), or_nothing(o->value));
    printf("%*s  %s", used < OPTION_WIDTH ? OPTION_WIDTH - used : 0, "", o->help);
}

static void print_options(const struct option_spec *o)
{
    for (; o->name != NULL; o++) {
        print_option(o);
        printf("\n");
    }
}

/* Those that the command takes; how long it may take is its own. */
static void print_common(const struct cli_command *c)
{
    for (const struct option_spec *o = common_options; o->name != NULL; o++) {
        if (!command_takes(c, o)) continue;
        print_option(o);
        bool is_timeout = o == &common_options[COMMON_TIMEOUT];
        if (is_timeout && c->limit_s > 0) printf(" (default %us)", c->limit_s);
        else if (is_timeout) printf(" (default: no limit)");
        printf("\n");
    }
}

static void print_row(const struct cli_command *c)
{
    int used = print_usage(c, "  ");
    if (used > ROW_WIDTH) used = printf("\n") - 1;
    printf("%*s  %s\n", ROW_WIDTH - used, "", c->help);
}

/* Nouns with several verbs are groups; so are the commands without a verb. */
static bool begins_group(const struct cli_command *c)
{
    if (c == commands) return false;
    return (c->verb == NULL) != (c[-1].verb == NULL) ||
           (c->verb != NULL && strcmp(c->noun, c[-1].noun) != 0);
}

void help_print_all(void)
{
    printf("pirene: talk to a Pirene cluster\n\n"
           "  pirene [options] COMMAND ...       one command\n"
           "  pirene                             the interactive shell\n"
           "  pirene COMMAND --help              its options, and an example\n"
           "  pirene --version                   which pirene this is\n\n");
    for (const struct cli_command *c = commands; c->noun != NULL; c++) {
        if (begins_group(c)) printf("\n");
        print_row(c);
    }
    printf("\nOptions of most commands:\n");
    print_options(common_options);
    printf("\n%s", exit_codes);
}

void help_print_noun(const char *noun)
{
    printf("pirene %s ...\n\n", noun);
    for (const struct cli_command *c = commands; c->noun != NULL; c++)
        if (strcmp(c->noun, noun) == 0) print_row(c);
    printf("\nExamples:\n");
    for (const struct cli_command *c = commands; c->noun != NULL; c++)
        if (strcmp(c->noun, noun) == 0) printf("  pirene %s\n", c->example);
    printf("\nOptions of each: pirene %s VERB --help\n", noun);
}

void help_print(const struct cli_command *c)
{
    print_usage(c, "pirene ");
    printf("\n\n  %s.\n\nOptions:\n", c->help);
    if (c->options != NULL) print_options(c->options);
    print_common(c);
    printf("\nExample:\n  pirene %s\n\n%s", c->example, exit_codes);
}
