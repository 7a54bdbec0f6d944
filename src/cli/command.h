/* src/cli/command.h: the table of commands, and what is made from it: running, help, completion. */
#pragma once
#include "cli/cli.h"

/* What a command may be given besides its own options: a bit for each of common_options. */
enum common_option {
    COMMON_META,
    COMMON_TIMEOUT,
    COMMON_JSON,
    COMMON_HEX,
    COMMON_BASE64,
    COMMON_HELP,
};

enum command_takes {
    TAKES_HELP = 1 << COMMON_HELP,
    TAKES_JSON = TAKES_HELP | 1 << COMMON_JSON,
    TAKES_META = TAKES_JSON | 1 << COMMON_META,
    TAKES_TIMEOUT = TAKES_META | 1 << COMMON_TIMEOUT,
    TAKES_KEYS = TAKES_TIMEOUT | 1 << COMMON_HEX | 1 << COMMON_BASE64,
};

struct cli_command {
    const char *noun;
    const char *verb;                  /* NULL: the noun alone is the command ("put"). */
    const char *arguments;             /* As args_match() reads it. */
    const char *help;                  /* One line, no full stop. */
    const char *example;               /* What somebody would type, behind "pirene". */
    const struct option_spec *options; /* Its own; NULL: none. */
    int (*run)(struct cli *cli, const struct args *args); /* Returns the exit code. */
    enum command_takes takes;
    unsigned limit_s; /* Without --timeout; 0: it may take as long as it wants. */
};

extern const struct cli_command commands[]; /* Ends with a noun NULL. */

extern const struct option_spec common_options[]; /* By enum common_option. */

/* Does it take this row of common_options? */
bool command_takes(const struct cli_command *command, const struct option_spec *common);

/* Common options in front of the command's words, or between them, go behind: "--json table list" becomes
 * "table list --json". Returns how many words there are that are no options, at most 2. */
size_t command_words_first(size_t count, char **words);

/* Run what was typed: "table create t --partitions 4". Returns the exit code. */
int command_run(struct cli *cli, size_t count, char **words);

/* The command that the first words name, and how many words that took; NULL: none. */
const struct cli_command *command_find(size_t count, char *const *words, size_t *taken);

/* Say what is wrong with the words, which are not understood: as JSON if they ask for that. Returns
 * the exit code. */
int command_usage(struct cli *cli, size_t count, char *const *words, const struct err *e);

/* What the common options say, from now on. Returns 0, or E_INVALID. */
int command_take_common(struct cli *cli, const struct args *args, struct err *e) MUST_CHECK;

void help_print_all(void);
void help_print_noun(const char *noun); /* Its commands, with an example of each. */
void help_print(const struct cli_command *command);

/* Scripts for bash and zsh, from the table. */
int completion_run(struct cli *cli, const struct args *args);

/* The interactive shell; the options hold for all of its commands. Returns the exit code. */
int shell_run(struct cli *cli, size_t option_count, char *const *options);

/* ---- Functions of the table, by file --------------------------------------------------------- */

int cluster_status_run(struct cli *cli, const struct args *args);
int node_list_run(struct cli *cli, const struct args *args);
int node_drain_run(struct cli *cli, const struct args *args);

int table_create_run(struct cli *cli, const struct args *args);
int table_list_run(struct cli *cli, const struct args *args);
int table_show_run(struct cli *cli, const struct args *args);
int table_compact_run(struct cli *cli, const struct args *args);
int table_drop_run(struct cli *cli, const struct args *args);
int table_recall_run(struct cli *cli, const struct args *args);
int table_rename_run(struct cli *cli, const struct args *args);
int table_env_run(struct cli *cli, const struct args *args);

int put_run(struct cli *cli, const struct args *args);
int get_run(struct cli *cli, const struct args *args);
int del_run(struct cli *cli, const struct args *args);
int incr_run(struct cli *cli, const struct args *args);
int ttl_run(struct cli *cli, const struct args *args);
int exists_run(struct cli *cli, const struct args *args);
int scan_run(struct cli *cli, const struct args *args);
int count_run(struct cli *cli, const struct args *args);

int dup_add_run(struct cli *cli, const struct args *args);
int dup_list_run(struct cli *cli, const struct args *args);
int dup_status_run(struct cli *cli, const struct args *args);
int dup_wait_run(struct cli *cli, const struct args *args);
int dup_verify_run(struct cli *cli, const struct args *args);
int dup_pause_run(struct cli *cli, const struct args *args);
int dup_resume_run(struct cli *cli, const struct args *args);
int dup_remove_run(struct cli *cli, const struct args *args);

int bench_put_run(struct cli *cli, const struct args *args);
int bench_get_run(struct cli *cli, const struct args *args);
int bench_mixed_run(struct cli *cli, const struct args *args);
int bench_last_mutation_run(struct cli *cli, const struct args *args);
int bench_burst_run(struct cli *cli, const struct args *args);
int bench_sustain_run(struct cli *cli, const struct args *args);
int bench_memory_run(struct cli *cli, const struct args *args);

int demo_run(struct cli *cli, const struct args *args);
