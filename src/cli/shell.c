/* src/cli/shell.c: the interactive shell: the same commands, with history and completion. After
 * "use TABLE" commands on a table may leave its name out. */
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

enum { WORDS_MAX = ARGS_MAX, HISTORY_MAX = 1000 };

struct shell {
    struct cli *cli;
    EditLine *edit;
    History *history;
    char history_path[1024]; /* Empty: it is not kept. */
    char prompt[300];        /* libedit wants it to stay. */
    bool is_over;
    int code; /* Of the last command. */
};

/* ---- Words ----------------------------------------------------------------------------------- */

/* Cut 'line' into words; quotes hold words together, a backslash takes the next character as it is.
 * The words lie in 'line'. Returns 0, E_INVALID (a quote is left open) or E_LIMIT. */
static int split(char *line, char **words, size_t *count)
{
    char *from = line, *to = line;
    *count = 0;
    for (;;) {
        char quote = '\0';
        from += strspn(from, " \t\r\n");
        if (*from == '\0') return 0;
        if (*count == WORDS_MAX) return E_LIMIT;
        words[(*count)++] = to;
        for (; *from != '\0' && (quote != '\0' || strchr(" \t\r\n", *from) == NULL); from++) {
            if (quote == '\0' && (*from == '"' || *from == '\'')) quote = *from;
            else if (*from == quote) quote = '\0';
            else if (*from == '\\' && quote != '\'' && from[1] != '\0') *to++ = *++from;
            else *to++ = *from;
        }
        if (quote != '\0') return E_INVALID;
        if (*from != '\0') from++;
        *to++ = '\0';
    }
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void use(struct shell *s, size_t count, char **words)
{
    struct err e = {0};
    struct cli *cli = s->cli;
    if (count > 2 || (count == 2 && strlen(words[1]) >= sizeof cli->table)) {
        err_set(&e, E_INVALID, "it is 'use TABLE', with a name that a table can have");
        s->code = command_usage(cli, count, words, &e);
        return;
    }
    (void)snprintf(cli->table, sizeof cli->table, "%s", count == 2 ? words[1] : "");
    s->code = CLI_OK;
}

/* Put the table in use before the arguments of commands that begin with one. */
static size_t add_table(struct shell *s, char **words, size_t count)
{
    size_t taken = 0;
    (void)command_words_first(count, words);
    const struct cli_command *c = command_find(count, words, &taken);
    bool wants_table = c != NULL && strncmp(c->arguments, "TABLE", 5) == 0;
    if (!wants_table || s->cli->table[0] == '\0') return count;
    memmove(words + taken + 1, words + taken, (count - taken) * sizeof *words);
    words[taken] = s->cli->table;
    return count + 1;
}

/* The line has no words that could be run. */
static int no_words(struct shell *s, int rc)
{
    struct err e = {0};
    if (rc == E_LIMIT) err_set(&e, E_INVALID, "the line has more than %d words", WORDS_MAX);
    else err_set(&e, E_INVALID, "a quote is left open in the line");
    return cli_fail(s->cli, &e);
}

static void run_line(struct shell *s, char *line)
{
    char *words[WORDS_MAX + 1];
    size_t count;
    int rc = split(line, words, &count);
    cli_hear_interrupts();
    if (rc != 0) {
        s->code = no_words(s, rc);
    } else if (count == 0) {
        return;
    } else if (strcmp(words[0], "exit") == 0 || strcmp(words[0], "quit") == 0) {
        s->is_over = true;
    } else if (strcmp(words[0], "use") == 0) {
        use(s, count, words);
    } else {
        count = add_table(s, words, count);
        s->code = command_run(s->cli, count, words);
    }
}

/* ---- Completion ------------------------------------------------------------------------------ */

/* The words that may stand at the cursor: nouns, then verbs of the noun, then options of the
 * command. */
static const char *candidate(size_t index, size_t at, char **words, size_t count)
{
    size_t taken = 0, seen = 0;
    const char *before = "";
    if (at <= 1) {
        for (const struct cli_command *c = commands; c->noun != NULL; c++) {
            const char *word = at == 0 ? c->noun : c->verb;
            bool fits = word != NULL && (at == 0 || strcmp(c->noun, words[0]) == 0);
            if (!fits || strcmp(word, before) == 0) continue;
            before = word;
            if (seen++ == index) return word;
        }
        if (at == 0) return NULL;
    }
    const struct cli_command *c = command_find(count, words, &taken);
    if (c == NULL || at < taken) return NULL;
    for (const struct option_spec *o = c->options; o != NULL && o->name != NULL; o++)
        if (seen++ == index) return o->name;
    for (const struct option_spec *o = common_options; o->name != NULL; o++)
        if (command_takes(c, o) && seen++ == index) return o->name;
    return NULL;
}

/* Insert what all fitting words have in common; show them when that is nothing more. */
static void offer(EditLine *edit, const char *begun, size_t at, char **words, size_t count)
{
    const char *first = NULL;
    size_t common = 0, fits = 0, size = strlen(begun);
    for (size_t i = 0; i < 256; i++) {
        const char *word = candidate(i, at, words, count);
        if (word == NULL) break;
        if (strncmp(word, begun, size) != 0) continue;
        if (fits++ == 0) first = word, common = strlen(word);
        while (strncmp(word, first, common) != 0) common--;
    }
    if (fits == 0) return;
    char text[64];
    (void)snprintf(text, sizeof text, "%.*s%s", (int)(common - size), first + size,
                   fits == 1 ? " " : "");
    if (text[0] != '\0') {
        (void)el_insertstr(edit, text);
        return;
    }
    printf("\n");
    for (size_t i = 0; i < 256; i++) {
        const char *word = candidate(i, at, words, count);
        if (word == NULL) break;
        if (strncmp(word, begun, size) == 0) printf("%s  ", word);
    }
    printf("\n");
}

static unsigned char on_tab(EditLine *edit, int key)
{
    const LineInfo *info = el_line(edit);
    size_t size = (size_t)(info->cursor - info->buffer), count;
    char line[1024], *words[WORDS_MAX + 1];
    (void)key;
    if (size >= sizeof line) return CC_ERROR;
    memcpy(line, info->buffer, size);
    line[size] = '\0';
    bool is_new = size == 0 || line[size - 1] == ' ';
    if (split(line, words, &count) != 0) return CC_ERROR;
    if (is_new) words[count] = (char[]){""};
    size_t at = is_new ? count : count - 1;
    offer(edit, words[at], at, words, at);
    return CC_REDISPLAY;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static char *prompt(EditLine *edit)
{
    struct shell *s;
    (void)el_get(edit, EL_CLIENTDATA, &s);
    (void)snprintf(s->prompt, sizeof s->prompt, "pirene%s%s> ", s->cli->table[0] != '\0' ? " " : "",
                   s->cli->table);
    return s->prompt;
}

static bool open_editor(struct shell *s)
{
    HistEvent event;
    const char *home = getenv("HOME");
    s->edit = el_init("pirene", stdin, stdout, stderr);
    s->history = history_init();
    if (s->edit == NULL || s->history == NULL) return false;
    (void)history(s->history, &event, H_SETSIZE, HISTORY_MAX);
    (void)history(s->history, &event, H_SETUNIQUE, 1);
    if (home != NULL)
        (void)snprintf(s->history_path, sizeof s->history_path, "%s/.pirene_history", home);
    if (home != NULL) (void)history(s->history, &event, H_LOAD, s->history_path);
    (void)el_set(s->edit, EL_CLIENTDATA, s);
    (void)el_set(s->edit, EL_PROMPT, prompt);
    (void)el_set(s->edit, EL_EDITOR, "emacs");
    (void)el_set(s->edit, EL_HIST, history, s->history);
    (void)el_set(s->edit, EL_ADDFN, "complete", "complete commands and options", on_tab);
    (void)el_set(s->edit, EL_BIND, "^I", "complete", NULL);
    (void)el_set(s->edit, EL_SIGNAL, 1);
    (void)el_source(s->edit, NULL);
    return true;
}

static void save_history(struct shell *s)
{
    HistEvent event;
    if (s->history_path[0] != '\0') (void)history(s->history, &event, H_SAVE, s->history_path);
}

static void close_editor(struct shell *s)
{
    if (s->history != NULL) history_end(s->history);
    if (s->edit != NULL) el_end(s->edit);
}

static void run_typed(struct shell *s)
{
    HistEvent event;
    int size;
    printf("pirene at %s; 'help' lists the commands, 'use TABLE' saves typing, 'exit' ends\n",
           s->cli->metas);
    while (!s->is_over) {
        cli_hear_interrupts();
        const char *typed = el_gets(s->edit, &size);
        if (typed == NULL && cli_is_interrupted()) continue; /* Ctrl-C drops the line. */
        if (typed == NULL || size <= 0) break;
        if (strspn(typed, " \t\r\n") == strlen(typed)) continue;
        (void)history(s->history, &event, H_ENTER, typed);
        save_history(s); /* A second Ctrl-C may end the command, and us. */
        char *line = strdup(typed);
        if (line != NULL) run_line(s, line);
        free(line);
    }
}

/* Lines from a file or a pipe: no prompt, and it ends with the code of the last command that
 * failed. */
static void run_piped(struct shell *s)
{
    char *line = NULL;
    size_t capacity = 0;
    int code = CLI_OK;
    while (!s->is_over && output_lost() == 0 && getline(&line, &capacity, stdin) >= 0) {
        run_line(s, line);
        if (s->code != CLI_OK) code = s->code;
    }
    free(line);
    s->code = code;
}

int shell_run(struct cli *cli, size_t option_count, char *const *options)
{
    struct shell s = {.cli = cli};
    struct args args;
    struct err e = {0};
    int rc = args_read(&args, option_count, options, NULL, common_options, &e);
    if (rc == 0) rc = command_take_common(cli, &args, &e);
    if (rc != 0) return command_usage(cli, option_count, options, &e);
    if (isatty(STDIN_FILENO) == 0) {
        run_piped(&s);
        return s.code;
    }
    if (open_editor(&s)) run_typed(&s);
    close_editor(&s);
    return CLI_OK;
}
