/* src/obs/logger.c: one line is made on the stack of the caller and given to the sink whole. */
#include "obs/logger.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

/* The one global of the room. Atomic, so that a test may set it while threads run. */
static _Atomic(struct logger_sink *) process_sink;

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

/* A line in the making: what doesn't fit is cut. */
struct line {
    size_t size;
    char text[LOG_LINE_SIZE_MAX];
};

static struct logger_sink *sink_of(const struct logger *log);
static void put_text(struct line *line, const char *text);
static void put_field(struct line *line, const struct logger_field *field);
static void put_value(struct line *line, struct slice value);
static void put_byte(struct line *line, uint8_t byte);

void logger_sink_set(struct logger_sink *sink)
{
    atomic_store(&process_sink, sink);
}

int logger_level_parse(const char *text, enum logger_level *out)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        *out = (enum logger_level)i;
        return 0;
    }
    return E_INVALID;
}

bool logger_is_on(const struct logger *log, enum logger_level level)
{
    const struct logger_sink *sink = sink_of(log);
    return sink != NULL && level >= sink->level;
}

void logger_write(const struct logger *log, enum logger_level level, const char *message,
                  const struct logger_field *fields)
{
    struct logger_sink *sink = sink_of(log);
    if (sink == NULL) return;
    struct line line;
    line.size = 0;
    put_text(&line, level_names[level]);
    put_text(&line, " ");
    put_text(&line, log->room);
    put_text(&line, " ");
    put_text(&line, message);
    for (; fields->type != LOG_FIELD_NONE; fields++) put_field(&line, fields);
    sink->write(sink, level, slice_of(line.text, line.size));
}

static struct logger_sink *sink_of(const struct logger *log)
{
    return log->sink != NULL ? log->sink
                             : atomic_load_explicit(&process_sink, memory_order_acquire);
}

static void put_text(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) put_byte(line, (uint8_t)*text);
}

static void put_field(struct line *line, const struct logger_field *field)
{
    char number[24];
    put_text(line, " ");
    put_text(line, field->key);
    put_text(line, "=");
    switch (field->type) {
    case LOG_FIELD_NONE: break;
    case LOG_FIELD_U64:
        (void)snprintf(number, sizeof number, "%" PRIu64, field->u64);
        put_text(line, number);
        break;
    case LOG_FIELD_I64:
        (void)snprintf(number, sizeof number, "%" PRId64, field->i64);
        put_text(line, number);
        break;
    case LOG_FIELD_TEXT: put_value(line, field->text); break;
    }
}

/* Bytes that a reader of "key=value key=value" could stumble over. */
static bool is_plain(uint8_t byte)
{
    return byte > ' ' && byte < 0x7f && byte != '"' && byte != '\\' && byte != '=';
}

/* As it is, or in quotes with every doubtful byte escaped: \" \\ \xNN. UTF-8 is escaped too: a
 * terminal must not obey what a peer has sent. */
static void put_value(struct line *line, struct slice value)
{
    bool plain = value.size > 0;
    for (size_t i = 0; i < value.size && plain; i++) plain = is_plain(value.data[i]);
    if (!plain) put_byte(line, '"');
    for (size_t i = 0; i < value.size && line->size < sizeof line->text; i++) {
        uint8_t byte = value.data[i];
        char escaped[5];
        if (byte == '"' || byte == '\\') (void)snprintf(escaped, sizeof escaped, "\\%c", byte);
        else if (byte < ' ' || byte >= 0x7f)
            (void)snprintf(escaped, sizeof escaped, "\\x%02x", byte);
        else (void)snprintf(escaped, sizeof escaped, "%c", byte);
        put_text(line, escaped);
    }
    if (!plain) put_byte(line, '"');
}

static void put_byte(struct line *line, uint8_t byte)
{
    if (line->size < sizeof line->text) line->text[line->size++] = (char)byte;
}
