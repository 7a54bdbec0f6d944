/* tests/node/test_config.c: the configuration file: what is taken, what is refused and with which words,
 * and that docs/configuration.md says of every key what the program does. */
#include "node/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINE_SIZE = 1024 };

/* Load a file with this text over 'c'. */
static int load(struct node_config *c, const char *text, struct err *e)
{
    char path[] = "/tmp/pirene-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    *e = (struct err){0};
    int rc = config_load(c, path, e);
    assert_int_equal(unlink(path), 0);
    return rc;
}

/* ---- The page -------------------------------------------------------------------------------------- */

/* A row of the page's table: "| server | listen | 127.0.0.1:34601 | Where..." */
struct doc_row {
    char section[64], key[64], value[128];
};

static bool read_row(const char *line, struct doc_row *row)
{
    return sscanf(line, "| %63[^ |] | %63[^ |] | %127[^|] |", row->section, row->key, row->value) ==
               3 &&
           strcmp(row->section, "Section") != 0 && strncmp(row->section, "---", 3) != 0;
}

static bool is_in_page(const char *section, const char *key)
{
    FILE *page = fopen("docs/configuration.md", "r");
    assert_non_null(page);
    char line[LINE_SIZE];
    struct doc_row row;
    bool found = false;
    while (!found && fgets(line, sizeof line, page) != NULL)
        found =
            read_row(line, &row) && strcmp(row.section, section) == 0 && strcmp(row.key, key) == 0;
    (void)fclose(page);
    return found;
}

/* Every key that the program knows has its row. */
static void test_every_key_is_on_the_page(void **state)
{
    (void)state;
    FILE *source = fopen("src/node/config.c", "r");
    assert_non_null(source);
    char line[LINE_SIZE], section[64], key[64];
    int keys = 0;
    while (fgets(line, sizeof line, source) != NULL) {
        if (sscanf(line, " KEY(\"%63[^\"]\", \"%63[^\"]\"", section, key) != 2) continue;
        if (!is_in_page(section, key)) fail_msg("[%s] %s has no row", section, key);
        keys++;
    }
    (void)fclose(source);
    assert_true(keys >= 17);
}

/* Every default on the page can be written into a file, and changes nothing. */
static void test_the_page_states_the_defaults(void **state)
{
    (void)state;
    FILE *page = fopen("docs/configuration.md", "r");
    assert_non_null(page);
    char line[LINE_SIZE], text[LINE_SIZE];
    struct doc_row row;
    int rows = 0;
    struct node_config plain, told;
    memset(&plain, 0, sizeof plain);
    config_default(&plain);
    while (fgets(line, sizeof line, page) != NULL) {
        if (!read_row(line, &row) || strchr(line, '=') != NULL) continue;
        rows++;
        if (row.value[0] == '(') continue; /* Words, not a value. */
        (void)snprintf(text, sizeof text, "[%s]\n%s = %s\n", row.section, row.key, row.value);
        struct err e;
        memcpy(&told, &plain, sizeof told);
        if (load(&told, text, &e) != 0) fail_msg("%s", e.text);
        if (memcmp(&told, &plain, sizeof told) != 0)
            fail_msg("[%s] %s is not %s", row.section, row.key, row.value);
    }
    (void)fclose(page);
    assert_true(rows >= 17);
}

/* ---- Files ----------------------------------------------------------------------------------------- */

static void test_values_and_clusters_are_taken(void **state)
{
    (void)state;
    struct node_config c;
    struct err e;
    config_default(&c);
    assert_int_equal(load(&c,
                          "[server]\nlisten = 10.0.0.7:1\n[log]\nsync = os\nsegment_size = 4K\n"
                          "[pegasus.clusters]\neast = 10.1.0.7:34601,10.1.0.8:34601\n"
                          "[duplication-group]\neast = 7\n",
                          &e),
                     0);
    assert_string_equal(c.listen, "10.0.0.7:1");
    assert_int_equal(c.sync, LOG_SYNC_OS);
    assert_int_equal(c.segment_size, 4096);
    assert_int_equal(c.remote_count, 1);
    assert_string_equal(c.remotes[0].metas, "10.1.0.7:34601,10.1.0.8:34601");
    assert_int_equal(c.remotes[0].cluster_id, 7);
}

/* What is wrong is refused with its line, the key, and what would be right. */
static void test_mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"[log]\nsync = often\n", "expected group or os"},
        {"[log]\nsink = group\n", "expected a key of docs/configuration.md"},
        {"[cluster]\nid = 128\n", "expected 1 to 127"},
        {"[cluster]\nid = 0\n", "expected 1 to 127"},
        {"[server]\nworkers = 0\n", "expected 1 to 64"},
        {"[server]\nworkers = 65\n", "expected 1 to 64"},
        {"[server]\nworkers = 3x\n", "expected 1 to 64"},
        {"[store]\ncache_size = -1\n", "expected a number of bytes"},
        {"[store]\ncache_size = 18446744073709551615G\n", "expected a number of bytes"},
        {"[log]\nsegment_size = 4G\n", "expected a number of bytes"},
        {"[duplication]\naccepts_any_source = yes\n", "expected true or false"},
        {"[pegasus.clusters]\neast = nowhere\n", "expected host:port"},
        {"[server]\nnothing here\n", "line 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node_config c;
        struct err e;
        config_default(&c);
        assert_int_equal(load(&c, rows[i].text, &e), E_INVALID);
        if (strstr(e.text, rows[i].words) == NULL)
            fail_msg("\"%s\" said: %s", rows[i].text, e.text);
        if (strstr(e.text, "line 2") == NULL) fail_msg("no line: %s", e.text);
    }
    struct node_config c;
    struct err e = {0};
    config_default(&c);
    assert_int_equal(config_load(&c, "/nowhere/pirene.ini", &e), E_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_on_the_page),
        cmocka_unit_test(test_the_page_states_the_defaults),
        cmocka_unit_test(test_values_and_clusters_are_taken),
        cmocka_unit_test(test_mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
