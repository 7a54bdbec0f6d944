/* tests/wire/golden.c: a reader of the hex dumps. A message begins with "== REQUEST" or "==
 * RESPONSE"; its bytes are the lines after "hex:", 16 in a line, from column 8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <dirent.h>

#include <cmocka.h>

#include "wire/golden.h"

#define GOLDEN_DIR "tests/wire/golden"
enum { HEX_COLUMN = 8, HEX_PER_LINE = 16 };

static void add_hex_line(struct golden_message *message, const char *line)
{
    for (int i = 0; i < HEX_PER_LINE; i++) {
        char pair[3] = {line[HEX_COLUMN + 3 * i], line[HEX_COLUMN + 3 * i + 1], 0};
        if (pair[0] == ' ') return;
        assert_true(message->size < GOLDEN_SIZE_MAX);
        message->bytes[message->size++] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static bool is_hex_line(const char *line)
{
    return strlen(line) > HEX_COLUMN + 3 * HEX_PER_LINE && strspn(line, "0123456789abcdef") == 6;
}

void golden_load(const char *name, struct golden *out)
{
    char path[256];
    char line[4096];
    (void)snprintf(path, sizeof path, GOLDEN_DIR "/%s", name);
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    out->count = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "== ", 3) == 0) {
            assert_true(out->count < GOLDEN_MESSAGE_COUNT_MAX);
            struct golden_message *message = &out->messages[out->count++];
            message->is_request = strncmp(line + 3, "REQUEST", 7) == 0;
            message->size = 0;
        } else if (out->count > 0 && is_hex_line(line)) {
            add_hex_line(&out->messages[out->count - 1], line);
        }
    }
    (void)fclose(file);
    assert_true(out->count > 0);
}

static int is_capture(const struct dirent *entry)
{
    return strstr(entry->d_name, ".txt") != NULL;
}

size_t golden_each(void (*visit)(struct golden *golden))
{
    static struct golden golden;
    struct dirent **entries = NULL;
    int count = scandir(GOLDEN_DIR, &entries, is_capture, alphasort);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        golden_load(entries[i]->d_name, &golden);
        visit(&golden);
        free(entries[i]);
    }
    free(entries);
    return (size_t)count;
}
