/* src/cli/command.c: from words to the function of the table. */
#include "cli/command.h"

#include <string.h>

#include "cli/suggest.h"

/* ---- Words ----------------------------------------------------------------------------------- */

static bool is_option(const char *word)
{
    return strncmp(word, "--", 2) == 0;
}

static const struct option_spec *find_common(const char *word)
{
    size_t size = strcspn(word, "=");
    for (const struct option_spec *o = common_options; o->name != NULL; o++)
        if (strlen(o->name) == size && memcmp(o->name, word, size) == 0) return o;
    return NULL;
}

size_t command_words_first(size_t count, char **words)
{
    size_t placed = 0;
    for (size_t at = 0; at < count && placed < 2; at++) {
        if (is_option(words[at])) {
            const struct option_spec *o = find_common(words[at]);
            if (o == NULL) break; /* Whether it has a value only its command knows. */
            at += o->value != NULL && strchr(words[at], '=') == NULL;
            continue;
        }
        char *word = words[at];
        memmove(words + placed + 1, words + placed, (at - placed) * sizeof *words);
        words[placed++] = word;
    }
    return placed;
}

static bool has_word(size_t count, char *const *words, const char *word)
{
    for (size_t i = 0; i < count && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], word) == 0) return true;
    return false;
}

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

/* ---- Wrong usage ----------------------------------------------------------------------------- */

int command_usage(struct cli *cli, size_t count, char *const *words, const struct err *e)
{
    bool was_json = cli->out.is_json;
    if (has_word(count, words, "--json")) cli->out.is_json = true;
    int code = cli_fail(cli, e);
    cli->out.is_json = was_json;
    return code;
}

/* "dup wait", "put". */
struct name {
    char text[48];
};

static struct name name_of(const struct cli_command *c)
{
    struct name name;
    (void)snprintf(name.text, sizeof name.text, "%s%s%s", c->noun, c->verb != NULL ? " " : "",
                   c->verb != NULL ? c->verb : "");
    return name;
}

/* Where to read on is a part of the sentence. */
static void add_help(const struct cli_command *c, struct err *e)
{
    const struct err said = *e;
    err_set(e, said.code, "%s (pirene %s --help)", said.text, name_of(c).text);
}

static void no_command(const char *typed, struct err *e)
{
    struct suggestion s = {.typed = typed, .size = strlen(typed)};
    for (const struct cli_command *c = commands; c->noun != NULL; c++)
        suggestion_consider(&s, c->noun);
    if (s.word != NULL)
        err_set(e, E_INVALID, "there is no command '%s': did you mean '%s'? (pirene --help)", typed,
                s.word);
    else err_set(e, E_INVALID, "there is no command '%s' (pirene --help)", typed);
}

/* 'typed' may be NULL: nothing was. */
static void no_verb(const char *noun, const char *typed, struct err *e)
{
    struct buf verbs = {0};
    struct suggestion s = {.typed = typed, .size = typed != NULL ? strlen(typed) : 0};
    for (const struct cli_command *c = commands; c->noun != NULL; c++) {
        if (strcmp(c->noun, noun) != 0) continue;
        buf_printf(&verbs, "%s%s", verbs.size > 0 ? ", " : "", c->verb);
        if (typed != NULL) suggestion_consider(&s, c->verb);
    }
    if (s.word != NULL)
        err_set(e, E_INVALID, "%s knows no '%s': did you mean '%s'? (pirene %s --help)", noun,
                typed, s.word, noun);
    else if (typed != NULL)
        err_set(e, E_INVALID, "%s knows no '%s', but %.*s (pirene %s --help)", noun, typed,
                (int)verbs.size, (const char *)verbs.data, noun);
    else
        err_set(e, E_INVALID, "%s what? %.*s (pirene %s --help)", noun, (int)verbs.size,
                (const char *)verbs.data, noun);
    buf_fini(&verbs);
}

/* The words name no command; a noun alone may ask for help. */
static int unknown(struct cli *cli, size_t count, char *const *words)
{
    struct err e = {0};
    const char *verb = count > 1 && !is_option(words[1]) ? words[1] : NULL;
    if (!is_noun(words[0])) no_command(words[0], &e);
    else if (verb == NULL && has_word(count, words, "--help"))
        return help_print_noun(words[0]), CLI_OK;
    else no_verb(words[0], verb, &e);
    return command_usage(cli, count, words, &e);
}

/* ---- Running --------------------------------------------------------------------------------- */

bool command_takes(const struct cli_command *c, const struct option_spec *common)
{
    return ((unsigned)c->takes >> (common - common_options) & 1) != 0;
}

/* An option that the command would not heed is refused, in the shell also one of the shell. */
static int check_common(const struct cli *cli, const struct cli_command *c, const struct args *args,
                        struct err *e)
{
    for (const struct option_spec *o = common_options; o->name != NULL; o++) {
        bool is_given =
            args_has(args, o->name) || (o == &common_options[COMMON_JSON] && cli->out.is_json);
        if (is_given && !command_takes(c, o))
            return err_set(e, E_INVALID, "%s has no use for %s", name_of(c).text, o->name);
    }
    return 0;
}

int command_take_common(struct cli *cli, const struct args *args, struct err *e)
{
    uint64_t timeout_ms;
    int rc = args_duration_ms(args, "--timeout", cli->timeout_ms, &timeout_ms, e);
    if (rc != 0) return rc;
    if ((timeout_ms == 0 && args_has(args, "--timeout")) || timeout_ms > CLI_TIMEOUT_MS_MAX)
        return err_set(e, E_INVALID, "--timeout wants more than nothing and at most 24h");
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
    if (rc == 0) rc = check_common(cli, c, args, &e);
    if (rc == 0) rc = args_match(args, c->arguments, &e);
    if (rc != 0) add_help(c, &e);
    if (rc == 0 && cli->timeout_ms == 0) cli->timeout_ms = c->limit_s * 1000;
    if (rc == 0 && !command_takes(c, &common_options[COMMON_TIMEOUT])) cli_hear_interrupts();
    cli_start_clock(cli);
    int code = rc == 0 ? c->run(cli, args) : cli_fail(cli, &e);
    cli->out = before.out;
    cli->form = before.form;
    cli->timeout_ms = before.timeout_ms;
    cli_set_metas(cli, before.metas);
    return code;
}

/* "help", "help dup", "help dup wait". */
static int help(struct cli *cli, size_t count, char *const *words)
{
    size_t taken = 0;
    const struct cli_command *c = command_find(count, words, &taken);
    bool is_for_all = count == 0 || is_option(words[0]);
    if (is_for_all) help_print_all();
    else if (c != NULL) help_print(c);
    else if (is_noun(words[0]) && (count == 1 || is_option(words[1]))) help_print_noun(words[0]);
    else return unknown(cli, count, words);
    return CLI_OK;
}

int command_run(struct cli *cli, size_t count, char **words)
{
    size_t taken = 0;
    struct args args;
    struct err e = {0};
    (void)command_words_first(count, words);
    if (strcmp(words[0], "help") == 0 || strcmp(words[0], "-h") == 0) {
        (void)command_words_first(count - 1, words + 1);
        return help(cli, count - 1, words + 1);
    }
    const struct cli_command *c = command_find(count, words, &taken);
    if (c == NULL) return unknown(cli, count, words);
    int rc = args_read(&args, count - taken, words + taken, c->options, common_options, &e);
    if (rc != 0) {
        add_help(c, &e);
        return command_usage(cli, count, words, &e);
    }
    if (args_has(&args, "--help")) return help_print(c), CLI_OK;
    return run_with(cli, c, &args);
}
