/* src/cli/completion.c: scripts for shells, from the table of commands. */
#include <string.h>

#include "cli/command.h"

static bool is_first_of_noun(const struct cli_command *c)
{
    return c == commands || strcmp(c->noun, c[-1].noun) != 0;
}

static void print_nouns(void)
{
    for (const struct cli_command *c = commands; c->noun != NULL; c++)
        if (is_first_of_noun(c)) printf("%s ", c->noun);
}

static void print_verbs(const char *noun)
{
    for (const struct cli_command *c = commands; c->noun != NULL; c++)
        if (strcmp(c->noun, noun) == 0 && c->verb != NULL) printf("%s ", c->verb);
}

static void print_option_names(const struct cli_command *c)
{
    for (const struct option_spec *o = c->options; o != NULL && o->name != NULL; o++)
        printf("%s ", o->name);
    for (const struct option_spec *o = common_options; o->name != NULL; o++)
        if (command_takes(c, o)) printf("%s ", o->name);
}

/* One function; zsh runs it through bashcompinit. */
static void print_bash(void)
{
    printf("_pirene() {\n"
           "  local word=\"${COMP_WORDS[COMP_CWORD]}\" noun=\"${COMP_WORDS[1]}\" "
           "verb=\"${COMP_WORDS[2]}\" words=\"\"\n"
           "  case \"$COMP_CWORD:$noun:$verb\" in\n"
           "  1:*) words=\"");
    print_nouns();
    printf("help\" ;;\n");
    for (const struct cli_command *c = commands; c->noun != NULL; c++) {
        if (!is_first_of_noun(c) || c->verb == NULL) continue;
        printf("  2:%s:*) words=\"", c->noun);
        print_verbs(c->noun);
        printf("\" ;;\n");
    }
    for (const struct cli_command *c = commands; c->noun != NULL; c++) {
        printf("  *:%s:%s) words=\"", c->noun, c->verb != NULL ? c->verb : "*");
        print_option_names(c);
        printf("\" ;;\n");
    }
    printf("  esac\n"
           "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "}\n"
           "complete -F _pirene pirene\n");
}

int completion_run(struct cli *cli, const struct args *args)
{
    struct err e = {0};
    const char *shell = args_at(args, 0);
    bool is_zsh = strcmp(shell, "zsh") == 0;
    if (!is_zsh && strcmp(shell, "bash") != 0) {
        err_set(&e, E_INVALID, "for bash or zsh, not for '%s'", shell);
        return cli_fail(cli, &e);
    }
    if (is_zsh) printf("autoload -U +X bashcompinit && bashcompinit\n");
    print_bash();
    return CLI_OK;
}
