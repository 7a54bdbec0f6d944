/* tests/cli/test_cli.c: the program pirene as people and scripts see it: what it prints, and its
 * exit codes. PIRENE is its path, by CMake. */
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "client/process.h"

enum { OUTPUT_SIZE = 1 << 16 };

struct world {
    struct process source, remote;
    const char *under;        /* What runs it, such as "timeout 5"; NULL: the shell itself. */
    char output[OUTPUT_SIZE]; /* Of the last run, stderr included. */
};

/* ---- Running --------------------------------------------------------------------------------- */

/* Run it with these arguments, as a shell would; returns the exit code. */
static int run(struct world *w, const char *metas, const char *format, va_list list)
{
    char arguments[1024], command[2048];
    (void)vsnprintf(arguments, sizeof arguments, format, list);
    (void)snprintf(command, sizeof command, "PIRENE_META=%s %s %s 2>&1 %s", metas,
                   w->under != NULL ? w->under : "", PIRENE, arguments);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    size_t size = fread(w->output, 1, OUTPUT_SIZE - 1, pipe);
    w->output[size] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int __attribute__((format(printf, 2, 3))) here(struct world *w, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int code = run(w, w->source.address, format, list);
    va_end(list);
    return code;
}

static int __attribute__((format(printf, 2, 3))) there(struct world *w, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int code = run(w, w->remote.address, format, list);
    va_end(list);
    return code;
}

static void says(const struct world *w, const char *text)
{
    if (strstr(w->output, text) == NULL) print_error("'%s' is not in:\n%s", text, w->output);
    assert_non_null(strstr(w->output, text));
}

/* The output as JSON; the caller lets go of it. */
static json_t *read_json(const struct world *w)
{
    json_error_t error;
    json_t *value = json_loads(w->output, 0, &error);
    if (value == NULL) print_error("%s in:\n%s", error.text, w->output);
    assert_non_null(value);
    return value;
}

static double number_of(const json_t *o, const char *name)
{
    const json_t *value = json_object_get(o, name);
    if (!json_is_number(value)) print_error("no number '%s'\n", name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){0};
    process_open(&w.source, 1);
    *state = &w;
    return here(&w, "table create t --partitions 4");
}

static int set_up_two(void **state)
{
    int rc = set_up(state);
    struct world *w = *state;
    process_open(&w->remote, 2);
    return rc;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    process_close(&w->source);
    process_close(&w->remote);
    return 0;
}

/* ---- Records --------------------------------------------------------------------------------- */

/* A record is written, read, counted, listed and deleted; what is not there is exit code 1. */
static void test_records(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "put t ada name Lovelace"), 0);
    assert_int_equal(here(w, "put t ada 36"), 0);
    assert_int_equal(here(w, "get t ada name"), 0);
    assert_string_equal(w->output, "Lovelace\n");
    assert_int_equal(here(w, "get t ada"), 0);
    assert_string_equal(w->output, "36\n");
    assert_int_equal(here(w, "get t nobody"), 1);
    says(w, "no such record");
    assert_int_equal(here(w, "exists t ada name"), 0);
    assert_int_equal(here(w, "exists t ada mane"), 1);
    assert_int_equal(here(w, "incr t ada logins --by 5"), 0);
    assert_int_equal(here(w, "incr t ada logins --by=-7"), 0);
    assert_string_equal(w->output, "-2\n");
    assert_int_equal(here(w, "incr t ada name"), 3);
    assert_int_equal(here(w, "put t ada x y --ttl 1000"), 0);
    assert_int_equal(here(w, "ttl t ada x"), 0);
    assert_int_equal(here(w, "ttl t ada name"), 0);
    assert_string_equal(w->output, "forever\n");
    assert_int_equal(here(w, "count t"), 0);
    assert_string_equal(w->output, "4\n");
    assert_int_equal(here(w, "scan t ada --prefix na"), 0);
    says(w, "Lovelace");
    assert_int_equal(here(w, "scan t --limit 2"), 0);
    says(w, "there are more");
    assert_int_equal(here(w, "del t ada name"), 0);
    assert_int_equal(here(w, "get t ada name"), 1);
}

/* Bytes that no terminal shows go in and out as hex and base64, and are shown escaped. */
static void test_bytes(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "put t --hex 00ff 01 fe00"), 0);
    assert_int_equal(here(w, "get t --base64 AP8= AQ=="), 0);
    assert_string_equal(w->output, "/gA=\n");
    assert_int_equal(here(w, "scan t"), 0);
    says(w, "\\x00\\xff");
    assert_int_equal(here(w, "get t --hex 0"), 2);
    assert_int_equal(here(w, "get t --base64 'A---'"), 2);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

/* A table is made, shown, set up, renamed, dropped and recalled. */
static void test_tables(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "table create users --partitions 16"), 0);
    assert_int_equal(here(w, "table create users"), 3);
    says(w, "exists already");
    assert_int_equal(here(w, "table show users --json"), 0);
    json_t *shown = read_json(w);
    assert_int_equal(number_of(shown, "partitions"), 16);
    assert_int_equal(json_array_size(json_object_get(shown, "places")), 16);
    int id = (int)number_of(shown, "id");
    json_decref(shown);
    assert_int_equal(here(w, "table env set users default_ttl 100"), 0);
    assert_int_equal(here(w, "table env get users default_ttl"), 0);
    says(w, "100");
    assert_int_equal(here(w, "table env set users default_ttl soon"), 2);
    assert_int_equal(here(w, "table env del users default_ttl"), 0);
    assert_int_equal(here(w, "table env get users default_ttl"), 1);
    assert_int_equal(here(w, "table rename users people"), 0);
    assert_int_equal(here(w, "table drop people"), 0);
    assert_int_equal(here(w, "table show people"), 1);
    assert_int_equal(here(w, "table list --dropped"), 0);
    says(w, "people");
    assert_int_equal(here(w, "table recall %d folk", id), 0);
    assert_int_equal(here(w, "table list --json"), 0);
    json_t *list = read_json(w);
    assert_int_equal(json_array_size(list), 2);
    json_decref(list);
}

/* A table is rewritten while somebody waits, or not. */
static void test_compact(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "put t a b"), 0);
    assert_int_equal(here(w, "table compact t --status"), 0);
    says(w, "no compaction was asked for");
    assert_int_equal(here(w, "table compact t"), 0);
    says(w, "table t is compacted");
    assert_int_equal(here(w, "table compact t --upper --no-wait"), 0);
    assert_int_equal(here(w, "table compact t --status --json"), 0);
    json_t *status = read_json(w);
    assert_in_range(number_of(status, "done_percent"), 0, 100);
    json_decref(status);
    assert_int_equal(here(w, "table compact nosuch"), 1);
    says(w, "nosuch");
    assert_int_equal(here(w, "table env set t manual_compact.disabled true"), 0);
    assert_int_equal(here(w, "table compact t"), 3);
    says(w, "disable manual compaction");
    assert_int_equal(here(w, "get t a"), 0);
    says(w, "b");
}

/* Everything there is to say about a cluster is JSON too, errors included. */
static void test_json(void **state)
{
    static const char *const lines[] = {
        "cluster status", "node list", "table list", "table show t",    "put t a b",
        "get t a",        "incr t n",  "ttl t a",    "exists t a",      "scan t",
        "count t",        "del t a",   "dup list",   "table env get t",
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(here(w, "%s --json", lines[i]), 0);
        json_decref(read_json(w));
        assert_int_equal(here(w, "--json %s", lines[i][0] == 'i' ? "count t" : "node list"), 0);
    }
    assert_int_equal(here(w, "get t absent --json"), 1);
    json_t *error = read_json(w);
    assert_string_equal(json_string_value(json_object_get(error, "code")), "E_NOTFOUND");
    json_decref(error);
}

/* The cluster at a glance, once or again and again; what its one node holds. */
static void test_cluster(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "cluster status --json"), 0);
    json_t *status = read_json(w);
    assert_true(number_of(status, "nodes_alive") == 1);
    assert_true(number_of(status, "nodes_dead") == 0);
    assert_true(number_of(status, "partitions") == 4);
    assert_true(number_of(status, "whole") == 4);
    assert_true(number_of(status, "lacking_members") == 0);
    assert_true(number_of(status, "without_primary") == 0);
    assert_int_equal(json_array_size(json_object_get(status, "ailing")), 0);
    json_decref(status);
    assert_int_equal(here(w, "node list --json"), 0);
    json_t *nodes = read_json(w);
    const json_t *node = json_array_get(nodes, 0);
    assert_true(number_of(node, "id") > 0);
    assert_true(number_of(node, "primaries") == 4);
    assert_true(number_of(node, "secondaries") == 0);
    json_decref(nodes);
    w->under = "timeout --preserve-status -s INT 2.5";
    assert_int_equal(here(w, "cluster status --watch --json | tail -n 1"), 0);
    json_decref(read_json(w));
    w->under = NULL;
}

/* There is nowhere for the only node's replicas to go: the drain says so, and is called off. */
static void test_drain(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "node drain %s", w->source.address), 1);
    says(w, "still holds 4 replicas: no other node can take their place");
    assert_int_equal(here(w, "node list"), 0);
    says(w, "draining");
    assert_int_equal(here(w, "table create u"), 2);
    assert_int_equal(here(w, "put t ada 36"), 0);
    assert_int_equal(here(w, "node drain %s --undo", w->source.address), 0);
    says(w, "takes replicas again");
    assert_int_equal(here(w, "node drain 10.0.0.9:1 --json"), 1);
    json_t *error = read_json(w);
    assert_string_equal(json_string_value(json_object_get(error, "code")), "E_NOTFOUND");
    json_decref(error);
}

/* ---- Usage ----------------------------------------------------------------------------------- */

/* What is wrong is exit code 2 with a sentence; a cluster that is not there is 4, in the time
 * given. */
static void test_usage(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "frobnicate"), 2);
    says(w, "pirene --help");
    assert_int_equal(here(w, "put t"), 2);
    says(w, "TABLE HASHKEY [SORTKEY] VALUE");
    assert_int_equal(here(w, "get t a b c d"), 2);
    assert_int_equal(here(w, "get t a --frob"), 2);
    assert_int_equal(here(w, "scan t --limit many"), 2);
    assert_int_equal(here(w, "get absent a"), 1);
    says(w, "no such table");
    assert_int_equal(here(w, "cluster status --meta nonsense"), 2);
    assert_int_equal(here(w, "cluster status --meta 127.0.0.1:1 --timeout 200ms"), 4);
    says(w, "is it running?");
}

/* Wrong usage with --json is an object too (C2), wherever the option stands and whatever is wrong. */
static void test_usage_is_json(void **state)
{
    static const char *const lines[] = {
        "frobnicate --json",
        "--json get",
        "put t a --frob --json",
        "--frob --json table list",
        "scan t --limit many --json",
        "dup --json",
        "--json dup staus t",
        "help frobnicate --json",
        "completion fish",
        "--json --timeout",
        "--json <<'END'\nuse a b c\nEND",
        "--json <<'END'\nput \"t\nEND",
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        bool is_json = strstr(lines[i], "--json") != NULL;
        assert_int_equal(here(w, "%s", lines[i]), 2);
        if (!is_json) continue;
        json_t *error = read_json(w);
        assert_string_equal(json_string_value(json_object_get(error, "code")), "E_INVALID");
        json_decref(error);
    }
}

/* A noun alone is told its verbs; what was nearly right is named; a common option may stand
 * between noun and verb. */
static void test_usage_helps(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "dup"), 2);
    says(w, "add, list, status");
    assert_int_equal(here(w, "tabel list"), 2);
    says(w, "did you mean 'table'?");
    assert_int_equal(here(w, "dup staus t"), 2);
    says(w, "did you mean 'status'?");
    assert_int_equal(here(w, "scan t --limt 3"), 2);
    says(w, "did you mean --limit?");
    assert_int_equal(here(w, "table --json list"), 0);
    json_decref(read_json(w));
    assert_int_equal(here(w, "table recall 7x"), 2);
    says(w, "'7x' is no id");
    assert_int_equal(here(w, "incr t n --by half"), 2);
    says(w, "--by wants a number");
    assert_int_equal(here(w, "put t $(seq 300 | tr '\n' ' ')"), 2);
    says(w, "256");
}

/* Demo and completion have no JSON to print, nor do tables need a form for keys: they say so. */
static void test_options_that_mean_nothing(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "demo --json"), 2);
    says(w, "demo has no use for --json");
    assert_int_equal(here(w, "completion bash --json"), 2);
    says(w, "completion has no use for --json");
    assert_int_equal(here(w, "table list --hex"), 2);
    says(w, "table list has no use for --hex");
    assert_int_equal(here(w, "bench burst --timeout 3s"), 2);
    assert_int_equal(here(w, "--json <<'END'\ncompletion bash\nEND"), 2);
    assert_int_equal(here(w, "demo --help"), 0);
    assert_null(strstr(w->output, "--json"));
}

/* --timeout bounds the whole command, whatever it asks and however often, and the error says whom
 * it waited for. */
static void test_timeout(void **state)
{
    static const char *const lines[] = {
        "cluster status", "node list", "table list",     "table show x",     "table create x",
        "table drop x",   "dup list",  "dup status x",   "dup wait x",       "dup verify x",
        "dup pause x 7",  "get x a",   "scan x",         "count x",          "table env get x",
        "dup list x",     "put x a b", "table recall 7", "table rename x y", "node drain x",
    };
    struct world *w = *state;
    w->under = "timeout 5";
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int code = here(w, "%s --meta 127.0.0.1:1 --timeout 200ms", lines[i]);
        if (code != 4) print_error("%s: %s", lines[i], w->output);
        assert_int_equal(code, 4);
        says(w, "127.0.0.1:1");
    }
    assert_int_equal(here(w, "dup add t --to 127.0.0.1:1 --timeout 200ms"), 4);
    says(w, "remote cluster at 127.0.0.1:1");
    assert_int_equal(here(w, "get t a --meta 127.0.0.1:1 --timeout 200ms"), 4);
    assert_null(strstr(w->output, "a write may have been done"));
    assert_int_equal(here(w, "dup list --help"), 0);
    says(w, "default 5s");
    assert_int_equal(here(w, "dup wait --help"), 0);
    says(w, "default 30s");
}

/* What is not there is named as what it is, by every command in the same words. */
static void test_what_is_missing(void **state)
{
    static const char *const lines[] = {
        "get absent a",
        "scan absent",
        "count absent",
        "table show absent",
        "table drop absent",
        "dup list absent",
        "dup status absent",
        "dup wait absent",
        "dup verify absent",
        "dup pause absent 7",
        "table env get absent",
        "table env set absent default_ttl 3",
        "table rename absent b",
        "dup add absent --to 127.0.0.1:1",
        "bench put absent --seconds 1",
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(here(w, "%s", lines[i]), 1);
        says(w, "table absent");
        says(w, "no such table");
    }
    assert_int_equal(here(w, "dup wait t"), 1);
    says(w, "table t is not duplicated");
    assert_int_equal(here(w, "dup verify t"), 1);
    says(w, "table t is not duplicated");
    assert_int_equal(here(w, "dup pause t 7"), 1);
    says(w, "there is none (pirene dup list t)");
    assert_int_equal(here(w, "table create 'a b'"), 2);
    says(w, "letters, digits");
    assert_int_equal(here(w, "get t $(head -c 70000 /dev/zero | tr '\\0' k)"), 2);
    says(w, "65534 bytes");
    assert_int_equal(here(w, "scan t ''"), 2);
    says(w, "empty hash key");
}

/* What was not written to where it should go is no success. */
static void test_output_that_is_lost(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "put t k v"), 0);
    assert_int_equal(here(w, "get t k >/dev/full"), 3);
    says(w, "No space left on device");
}

/* Help of everything, from the table; completion for both shells is a script that bash can read. */
static void test_help(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "--help"), 0);
    says(w, "dup verify TABLE");
    assert_int_equal(here(w, "help bench burst"), 0);
    says(w, "--rounds");
    assert_int_equal(here(w, "put --help"), 0);
    says(w, "Example");
    says(w, "Exit codes");
    assert_int_equal(here(w, "dup --help"), 0);
    says(w, "pirene dup add users --to");
    assert_int_equal(here(w, "table --help --json"), 0);
    says(w, "pirene table create users");
    assert_int_equal(here(w, "help dup"), 0);
    says(w, "pirene dup verify users");
    assert_int_equal(here(w, "-h"), 0);
    says(w, "dup verify TABLE");
    assert_int_equal(here(w, "--version"), 0);
    says(w, "pirene ");
    assert_int_equal(here(w, "completion bash | bash -n"), 0);
    assert_int_equal(here(w, "completion zsh"), 0);
    says(w, "bashcompinit");
}

/* The shell: quotes, 'use', and one bad line does not end it, but shows in the exit code. */
static void test_shell(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "<<'END'\nuse t\nput 'a b' \"c d\"\nget a\\ b\nexit\nget never\nEND"),
                     0);
    says(w, "c d");
    assert_int_equal(here(w, "<<'END'\nget t none\nput t k v\nget t k\nEND"), 1);
    says(w, "written\nv\n");
}

/* A line with too many words is not run, and says so; a long one is one command all the same. */
static void test_shell_limits(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "<<END\nput t k $(seq 300 | tr '\n' ' ')\nEND"), 2);
    says(w, "more than 256 words");
    assert_int_equal(here(w, "<<'END'\nput t 'k\nEND"), 2);
    says(w, "a quote is left open");
    assert_int_equal(here(w, "<<END\nput t k $(seq 200 | tr '\n' ' ')\nEND"), 2);
    says(w, "one too many");
    assert_int_equal(here(w, "<<END\nput t long $(head -c 70000 /dev/zero | tr '\\0' v)\nEND"), 0);
    assert_int_equal(here(w, "get t long | wc -c"), 0);
    assert_string_equal(w->output, "70001\n");
}

/* ---- Duplication ----------------------------------------------------------------------------- */

static int dup_id(struct world *w)
{
    assert_int_equal(here(w, "dup list t --json"), 0);
    json_t *list = read_json(w);
    int id = (int)number_of(json_array_get(list, 0), "id");
    json_decref(list);
    return id;
}

/* A table with data is duplicated: the remote table is made, everything arrives, wait and status
 * agree, and verify says equal. */
static void test_dup(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "dup status t"), 1);
    for (int i = 0; i < 20; i++) assert_int_equal(here(w, "put t k%d v%d", i, i), 0);
    assert_int_equal(here(w, "dup add t --to %s", w->remote.address), 0);
    says(w, "table t created at");
    assert_int_equal(here(w, "dup wait t"), 0);
    assert_int_equal(there(w, "get t k7"), 0);
    assert_string_equal(w->output, "v7\n");
    assert_int_equal(here(w, "dup status t --json"), 0);
    json_t *rows = read_json(w);
    json_t *row = json_array_get(rows, 0);
    assert_int_equal(number_of(row, "lag_mutations"), 0);
    assert_int_equal(number_of(row, "lag_bytes"), 0);
    assert_int_equal(number_of(row, "lag_ms"), 0);
    assert_int_equal(number_of(row, "partitions"), 4);
    json_decref(rows);
    assert_int_equal(here(w, "dup verify t"), 0);
    says(w, "dup verify: equal");
}

/* A watch ends when nobody reads any longer, and on Ctrl-C with success; with --json every look is
 * one line. */
static void test_watch(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "dup add t --to %s --no-snapshot", w->remote.address), 0);
    assert_int_equal(here(w, "dup wait t"), 0);
    w->under = "timeout -k 5 20";
    time_t begin = time(NULL);
    assert_int_equal(here(w, "dup status t --watch | head -1"), 0);
    assert_true(time(NULL) - begin < 15);
    w->under = "timeout --preserve-status -k 30 -s INT 2"; /* A sanitizer takes its time to end. */
    assert_int_equal(here(w, "dup status t --watch"), 0);
    w->under = "timeout -k 5 20";
    assert_int_equal(here(w, "dup status t --watch --json | head -1"), 0);
    json_decref(read_json(w));
}

/* A remote that isn't there yet: the duplication is being prepared, by every command's word. */
static void test_preparing(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "dup add t --to 127.0.0.1:1 --no-create"), 0);
    assert_int_equal(here(w, "dup list t"), 0);
    says(w, "preparing");
    assert_int_equal(here(w, "dup status t"), 0);
    says(w, "preparing");
}

/* The remote stands still: a comparison ends in the time given, and says whom it waited for. */
static void test_verify_in_time(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "dup add t --to %s --no-snapshot", w->remote.address), 0);
    assert_int_equal(here(w, "dup verify t"), 0);
    assert_int_equal(kill(w->remote.pid, SIGSTOP), 0);
    w->under = "timeout -k 5 5";
    assert_int_equal(here(w, "dup verify t --no-wait --timeout 1s"), 4);
    says(w, w->remote.address);
    assert_int_equal(here(w, "dup verify t --no-wait --timeout 1s --json"), 4);
    json_decref(read_json(w));
    assert_int_equal(kill(w->remote.pid, SIGCONT), 0);
}

/* 4 partitions into 8: equal. A record is changed at the remote only: different, and its key is
 * named. */
static void test_verify_names_the_difference(void **state)
{
    struct world *w = *state;
    assert_int_equal(there(w, "table create t8 --partitions 8"), 0);
    for (int i = 0; i < 20; i++) assert_int_equal(here(w, "put t k%d s v%d", i, i), 0);
    assert_int_equal(here(w, "dup add t --to %s --remote-table t8", w->remote.address), 0);
    assert_int_equal(here(w, "dup verify t"), 0);
    says(w, "20 records on both sides");
    assert_int_equal(there(w, "put t8 k3 s other"), 0);
    assert_int_equal(here(w, "dup verify t"), 1);
    says(w, "'k3 s' is newer at the remote");
    assert_int_equal(there(w, "del t8 k3 s"), 0);
    assert_int_equal(here(w, "dup verify t --json"), 1);
    json_t *verdict = read_json(w);
    assert_string_equal(json_string_value(json_object_get(verdict, "hash_key")), "k3");
    assert_string_equal(json_string_value(json_object_get(verdict, "difference")),
                        "is missing at the remote");
    json_decref(verdict);
}

/* What 'dup list' and the command itself call the state that the duplication is in. */
static void is_in_state(struct world *w, const char *command, const char *state)
{
    assert_int_equal(here(w, "%s --json", command), 0);
    json_t *said = read_json(w);
    assert_string_equal(json_string_value(json_object_get(said, "state")), state);
    json_decref(said);
    assert_int_equal(here(w, "dup list t --json"), 0);
    said = read_json(w);
    for (size_t i = 0; i < json_array_size(said); i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(said, i), "state")),
                            state);
    json_decref(said);
}

/* The command's answer comes before every worker has heard of it. */
static bool is_paused(struct world *w)
{
    size_t paused = 0;
    if (here(w, "dup status t --partitions") != 0) return false;
    for (const char *at = w->output; (at = strstr(at, "paused")) != NULL; at++) paused++;
    return paused == 4;
}

/* While it is paused a wait ends in time with code 4 and names what lags; Ctrl-C ends it at once;
 * afterwards all arrives. Every command has the same word for the state. */
static void test_pause(void **state)
{
    char command[64];
    struct world *w = *state;
    assert_int_equal(here(w, "dup add t --to %s --no-snapshot", w->remote.address), 0);
    int id = dup_id(w);
    time_t end = time(NULL) + 30; /* Not before the first handshake is over. */
    while (here(w, "dup pause t %d", id) != 0) assert_true(time(NULL) < end);
    while (!is_paused(w)) assert_true(time(NULL) < end);
    assert_int_equal(here(w, "put t k v"), 0);
    assert_int_equal(here(w, "dup wait t --timeout 300ms"), 4);
    says(w, "still behind: partition");
    assert_int_equal(here(w, "dup status t --partitions"), 0);
    says(w, "paused");
    w->under = "timeout --preserve-status -k 5 -s INT 1";
    assert_int_equal(here(w, "dup wait t --timeout 1m"), 128 + SIGINT);
    w->under = NULL;
    (void)snprintf(command, sizeof command, "dup pause t %d", id);
    is_in_state(w, command, "paused");
    (void)snprintf(command, sizeof command, "dup resume t %d", id);
    is_in_state(w, command, "live");
    assert_int_equal(here(w, "dup wait t"), 0);
    assert_int_equal(here(w, "dup status t"), 0);
    says(w, "live");
    (void)snprintf(command, sizeof command, "dup remove t %d", id);
    is_in_state(w, command, "removed");
    assert_int_equal(here(w, "dup wait t"), 1);
    assert_int_equal(here(w, "dup pause t no-id"), 2);
}

/* Partitions [begin, end) can't be opened any more: their server finds nonsense in place of their stores. */
static void spoil_stores(struct world *w, int begin, int end)
{
    process_kill(&w->source);
    for (int i = begin; i < end; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/data/replicas/1.%d/store/CURRENT", w->source.dir, i);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("nonsense\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    process_start(&w->source);
}

/* A partition that can't say how far it is makes the sum unknown, never smaller; when none can, it is said
 * so, and not that there is no duplication. */
static void test_unknown_lag(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "dup status t"), 1);
    says(w, "is not duplicated");
    assert_int_equal(here(w, "dup add t --to %s --no-snapshot", w->remote.address), 0);
    assert_int_equal(here(w, "put t k v"), 0);
    assert_int_equal(here(w, "dup wait t"), 0);
    process_kill(&w->remote); /* All was there: whether it is, nobody can say, and that is said. */
    assert_int_equal(here(w, "dup wait t --timeout 300ms"), 4);
    says(w, "its metas cannot be reached");

    spoil_stores(w, 0, 1);
    assert_int_equal(here(w, "dup status t --json"), 0);
    json_t *rows = read_json(w);
    assert_int_equal(json_array_size(rows), 1);
    assert_int_equal((int)number_of(json_array_get(rows, 0), "lag_mutations"), -1);
    assert_int_equal((int)number_of(json_array_get(rows, 0), "lag_ms"), -1);
    says(w, "\"unknown\"");
    json_decref(rows);

    spoil_stores(w, 1, 4);
    assert_int_equal(here(w, "dup status t"), 3);
    says(w, "how far it is can't be known now");
}

/* ---- Benches and the demo: each starts its own servers --------------------------------------- */

static void test_benches(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *line, *members[4];
    } benches[] = {
        {"put --start --seconds 1", {"ops_per_s", "p99_ms", "server_cpu_us_per_op", "errors"}},
        {"get --start --seconds 1 --sync os", {"ops_per_s", "p999_ms", "max_ms", "missing"}},
        {"mixed --start --seconds 1 --connections 2", {"ops", "p50_ms", "max_ms", "errors"}},
        {"last-mutation --writes 20 --gap-max 60ms", {"n", "p50_ms", "p99_ms", "max_ms"}},
        {"burst --rounds 2 --burst 200ms", {"rounds", "writers", "max_ms", "cpu_after_ms"}},
        {"sustain --seconds 1", {"max_lag_ms", "wait_ms", "ops_per_s", "errors"}},
        {"memory --records 1000", {"idle_mb", "loaded_mb", "records", "idle_cpu_ms_per_s"}},
    };
    for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++) {
        assert_int_equal(here(w, "bench %s --json", benches[i].line), 0);
        json_t *result = read_json(w);
        for (size_t k = 0; k < 4; k++) (void)number_of(result, benches[i].members[k]);
        json_decref(result);
    }
    assert_int_equal(here(w, "bench put --sync sometimes"), 2);
    assert_int_equal(here(w, "bench last-mutation --source 127.0.0.1:1"), 2);
}

/* One that is stopped says so, and leaves neither servers nor data behind; also when it is told
 * twice, as some do, by its own name and by its group's. */
static void test_stopped_bench(void **state)
{
    struct world *w = *state;
    w->under = "d=$(mktemp -d); TMPDIR=$d";
    assert_int_equal(here(w, "bench put --start & p=$!; sleep 2; kill $p; sleep 0.01; kill $p; "
                             "wait $p; echo code $?; ls $d; rmdir $d"),
                     0);
    says(w, "put: ");
    says(w, "code 0");
    w->under = "d=$(mktemp -d) && TMPDIR=$d timeout --preserve-status -k 9 -s INT 2";
    assert_int_equal(here(w, "demo; echo code $?; ls $d; rmdir $d"), 0);
    says(w, "nothing is left behind");
    says(w, "code 3");
}

/* The whole demo, shortened: it ends with the two lines that it promises. */
static void test_demo(void **state)
{
    struct world *w = *state;
    assert_int_equal(here(w, "demo --writes 20 --records 2000 --gap-max 100ms"), 0);
    says(w, "last-mutation lag over 20 isolated writes: p50 ");
    says(w, "\ndup verify: equal\n");
}

#define STORY(test)     cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define STORY_TWO(test) cmocka_unit_test_setup_teardown(test, set_up_two, tear_down)

int main(void)
{
    const struct CMUnitTest stories[] = {
        STORY(test_records),
        STORY(test_bytes),
        STORY(test_tables),
        STORY(test_compact),
        STORY(test_json),
        STORY(test_cluster),
        STORY(test_drain),
        STORY(test_usage),
        STORY(test_usage_is_json),
        STORY(test_usage_helps),
        STORY(test_options_that_mean_nothing),
        STORY(test_timeout),
        STORY(test_what_is_missing),
        STORY(test_output_that_is_lost),
        STORY(test_help),
        STORY(test_shell),
        STORY(test_shell_limits),
        STORY_TWO(test_dup),
        STORY_TWO(test_watch),
        STORY(test_preparing),
        STORY_TWO(test_verify_in_time),
        STORY_TWO(test_verify_names_the_difference),
        STORY_TWO(test_pause),
        STORY_TWO(test_unknown_lag),
        STORY(test_benches),
        STORY(test_stopped_bench),
        STORY(test_demo),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
