/* src/cli/output.c: JSON values to tables. */
#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { COLUMNS_MAX = 24, CELL_SIZE = 256, BAR_WIDTH = 30 };

/* ---- Sending off ----------------------------------------------------------------------------- */

static int lost_errno; /* Why output was lost; 0: none was. */

void output_flush(void)
{
    errno = 0;
    bool failed = fflush(stdout) != 0;
    if ((!failed && ferror(stdout) == 0) || lost_errno != 0) return;
    lost_errno = errno != 0 ? errno : EIO;
    cli_interrupt();
}

int output_lost(void)
{
    return lost_errno;
}

/* ---- For programs ---------------------------------------------------------------------------- */

static void print_json(const struct output *out, json_t *value)
{
    size_t shape = out->is_lines ? JSON_COMPACT : JSON_INDENT(2);
    (void)json_dumpf(value, stdout, shape | JSON_REAL_PRECISION(12));
    (void)fputc('\n', stdout);
    output_flush();
    json_decref(value);
}

/* ---- For people ------------------------------------------------------------------------------ */

/* The texts of a list, one after the other; what does not fit is left away. */
static void list_print(const json_t *list, char *to, size_t size)
{
    size_t used = 0, i;
    const json_t *item;
    (void)snprintf(to, size, "%s", json_array_size(list) == 0 ? "-" : "");
    json_array_foreach(list, i, item)
    {
        int more =
            snprintf(to + used, size - used, "%s%s", i > 0 ? ", " : "", json_string_value(item));
        if (more < 0 || (size_t)more >= size - used) return;
        used += (size_t)more;
    }
}

/* One value as the text of a cell. */
static void cell_print(const json_t *value, char *to, size_t size)
{
    switch (value != NULL ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING: (void)snprintf(to, size, "%s", json_string_value(value)); break;
    case JSON_INTEGER:
        (void)snprintf(to, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL: (void)snprintf(to, size, "%g", json_real_value(value)); break;
    case JSON_TRUE: (void)snprintf(to, size, "yes"); break;
    case JSON_FALSE: (void)snprintf(to, size, "no"); break;
    case JSON_ARRAY: list_print(value, to, size); break;
    default: (void)snprintf(to, size, "-"); break;
    }
}

/* Characters, not bytes, so that names in any script line up nearly everywhere. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++) width += ((uint8_t)*text & 0xc0) != 0x80;
    return width;
}

static void pad(const char *text, int width, bool to_the_right)
{
    int missing = width - width_of(text);
    if (to_the_right) printf("%*s%s", missing > 0 ? missing : 0, "", text);
    else printf("%s%*s", text, missing > 0 ? missing : 0, "");
}

static void print_table(const json_t *rows, const struct column *columns)
{
    int widths[COLUMNS_MAX];
    size_t count = 0, i;
    json_t *row;
    char cell[CELL_SIZE];
    for (; columns[count].member != NULL && count < COLUMNS_MAX; count++) {
        widths[count] = width_of(columns[count].head);
        json_array_foreach(rows, i, row)
        {
            cell_print(json_object_get(row, columns[count].member), cell, sizeof cell);
            if (width_of(cell) > widths[count]) widths[count] = width_of(cell);
        }
    }
    for (size_t k = 0; k < count; k++) {
        pad(columns[k].head, k + 1 < count ? widths[k] : 0, false);
        (void)fputs(k + 1 < count ? "  " : "\n", stdout);
    }
    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < count; k++) {
            const json_t *value = json_object_get(row, columns[k].member);
            cell_print(value, cell, sizeof cell);
            pad(cell, k + 1 < count || json_is_number(value) ? widths[k] : 0,
                json_is_number(value));
            (void)fputs(k + 1 < count ? "  " : "\n", stdout);
        }
    }
    output_flush();
}

void output_rows(const struct output *out, json_t *rows, const struct column *columns)
{
    if (out->is_json) {
        print_json(out, rows);
        return;
    }
    print_table(rows, columns);
    json_decref(rows);
}

void output_facts(const struct output *out, json_t *facts)
{
    const char *name;
    json_t *value;
    char cell[CELL_SIZE];
    int width = 0;
    if (out->is_json) {
        print_json(out, facts);
        return;
    }
    json_object_foreach(facts, name, value) if (width_of(name) > width) width = width_of(name);
    json_object_foreach(facts, name, value)
    {
        cell_print(value, cell, sizeof cell);
        pad(name, width, false);
        printf("  %s\n", json_is_string(value) ? json_string_value(value) : cell);
    }
    output_flush();
    json_decref(facts);
}

static void __attribute__((format(printf, 1, 0))) print_line(const char *format, va_list args)
{
    (void)vprintf(format, args);
    (void)fputc('\n', stdout);
    output_flush();
}

void output_say(const struct output *out, json_t *facts, const char *format, ...)
{
    if (out->is_json) {
        print_json(out, facts);
        return;
    }
    va_list args;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
    json_decref(facts);
}

void output_note(const struct output *out, const char *format, ...)
{
    if (out->is_json) return;
    va_list args;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
}

void output_redraw(struct output *out)
{
    if (out->is_json) return;
    if (isatty(STDOUT_FILENO) == 1) (void)fputs("\033[H\033[J", stdout);
    else if (out->is_drawn) (void)fputc('\n', stdout);
    out->is_drawn = true;
}

/* ---- Building -------------------------------------------------------------------------------- */

static json_t *needed(json_t *value)
{
    if (value != NULL) return value;
    (void)fputs("pirene: out of memory\n", stderr);
    exit(CLI_FAILED);
}

json_t *json_new(void)
{
    return needed(json_object());
}

json_t *json_rows_new(void)
{
    return needed(json_array());
}

void json_set_json(json_t *o, const char *name, json_t *value)
{
    if (json_object_set_new(o, name, needed(value)) != 0) (void)needed(NULL);
}

void json_set_text(json_t *o, const char *name, const char *text)
{
    json_set_bytes(o, name, text, strlen(text));
}

void json_set_bytes(json_t *o, const char *name, const void *data, size_t size)
{
    json_t *value = json_stringn(data != NULL ? data : "", size);
    struct buf escaped = {0};
    if (value == NULL) { /* Not UTF-8. */
        text_write(TEXT_PLAIN, slice_of(data, size), &escaped);
        value = json_stringn((const char *)escaped.data, escaped.size);
        buf_fini(&escaped);
    }
    json_set_json(o, name, value);
}

void json_set_int(json_t *o, const char *name, int64_t value)
{
    json_set_json(o, name, json_integer(value));
}

void json_set_real(json_t *o, const char *name, double value, unsigned decimals)
{
    double scale = pow(10, decimals);
    if (decimals == 0) {
        json_set_int(o, name, (int64_t)round(value));
        return;
    }
    json_set_json(o, name, json_real(round(value * scale) / scale));
}

void json_set_bool(json_t *o, const char *name, bool value)
{
    json_set_json(o, name, json_boolean(value));
}

void json_push(json_t *rows, json_t *row)
{
    if (json_array_append_new(rows, row) != 0) (void)needed(NULL);
}

/* ---- Progress -------------------------------------------------------------------------------- */

enum { PROGRESS_AFTER_NS = 1000000000, PROGRESS_EVERY_NS = 100000000 };

void progress_show(struct progress *p, double done_of_1, const char *format, ...)
{
    uint64_t now_ns = cli_now_ns();
    if (p->begin_ns == 0) p->begin_ns = now_ns;
    if (now_ns - p->begin_ns < PROGRESS_AFTER_NS || now_ns - p->shown_ns < PROGRESS_EVERY_NS ||
        isatty(STDERR_FILENO) == 0)
        return;
    p->shown_ns = now_ns;
    p->is_shown = true;
    int full = (int)(done_of_1 * BAR_WIDTH);
    if (full < 0) full = 0;
    if (full > BAR_WIDTH) full = BAR_WIDTH;
    (void)fprintf(stderr, "\r\033[K[%.*s%*s] ", full, "##############################",
                  BAR_WIDTH - full, "");
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->is_shown) (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    *p = (struct progress){0};
}
