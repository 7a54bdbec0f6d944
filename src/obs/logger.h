/* src/obs/logger.h: what a server tells its operator: one event, one line.
 *
 *     2026-01-31T12:00:00.123456Z INFO node table created table=3 name=temp partitions=8
 *     time, UTC                   level room message      key=value ...
 *
 *     LOG_INFO(&log, "table created", field_u64("table", id), field_str("name", name));
 *
 * The message is a constant: what varies goes into fields, so that lines can be counted by message.
 * A value with spaces, quotes or control bytes is quoted and escaped, whatever a peer put into it:
 * one event can't look like two. A line is cut at LOG_LINE_SIZE_MAX bytes.
 *
 * A logger is a value: it names the room and, when a test wants the lines, a sink of its own. All
 * others write to the sink of the process, which main() sets once, before the first thread; without
 * one (simulator, tests) lines are dropped before they are made. Not for the data path: that has
 * metrics. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum logger_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum { LOG_LINE_SIZE_MAX = 2048 }; /* Bytes, without time and newline. */

/* Where lines go. */
struct logger_sink {
    enum logger_level level; /* Lines below it are dropped before they are made. */

    /* 'line' has no time and no newline yet. Any thread, several at once. */
    void (*write)(struct logger_sink *sink, enum logger_level level, struct slice line);
};

struct logger {
    const char *room;         /* "repl", "node"; one word. */
    struct logger_sink *sink; /* Borrowed; NULL: that of the process. */
};

/* Set the sink of the process: once, in main(). Borrows it until the process ends. NULL drops. */
void logger_sink_set(struct logger_sink *sink);

/* "debug", "info", "warn", "error". Returns 0 or E_INVALID. */
int logger_level_parse(const char *text, enum logger_level *out) MUST_CHECK;

/* ---- Lines ----------------------------------------------------------------------------------- */

enum logger_field_type { LOG_FIELD_NONE, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_TEXT };

struct logger_field {
    const char *key;
    enum logger_field_type type;
    union {
        uint64_t u64;
        int64_t i64;
        struct slice text; /* Borrowed for the call. */
    };
};

static inline struct logger_field field_u64(const char *key, uint64_t value)
{
    return (struct logger_field){.key = key, .type = LOG_FIELD_U64, .u64 = value};
}

static inline struct logger_field field_i64(const char *key, int64_t value)
{
    return (struct logger_field){.key = key, .type = LOG_FIELD_I64, .i64 = value};
}

static inline struct logger_field field_slice(const char *key, struct slice value)
{
    return (struct logger_field){.key = key, .type = LOG_FIELD_TEXT, .text = value};
}

/* NULL prints as an empty value. */
static inline struct logger_field field_str(const char *key, const char *value)
{
    return field_slice(key, slice_str(value != NULL ? value : ""));
}

/* error=E_NOSPACE */
static inline struct logger_field field_code(int code)
{
    return field_str("error", err_name(code));
}

/* why="segment 12: no space left" */
static inline struct logger_field field_err(const struct err *e)
{
    return field_str("why", e->code != 0 ? e->text : err_text(0));
}

/* True when a line of that level would go anywhere. */
bool logger_is_on(const struct logger *log, enum logger_level level);

/* Write one line; 'fields' end with LOG_FIELD_NONE. Never fails: a line that can't be written is
 * lost. Any thread. Use the macros: they make no fields for a line that is dropped. */
void logger_write(const struct logger *log, enum logger_level level, const char *message,
                  const struct logger_field *fields);

#define LOG_HEAD(message, ...) (message)
#define LOG_TAIL(message, ...) __VA_ARGS__
#define LOG_AT(log, level, ...)                                                                    \
    (logger_is_on((log), (level))                                                                  \
         ? logger_write((log), (level), LOG_HEAD(__VA_ARGS__, 0),                                  \
                        (const struct logger_field[]){                                             \
                            LOG_TAIL(__VA_ARGS__, (struct logger_field){.type = LOG_FIELD_NONE})}) \
         : (void)0)

/* LOG_INFO(log, message, field ...): from none to many fields. */
#define LOG_DEBUG(log, ...) LOG_AT(log, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_INFO(log, ...)  LOG_AT(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_WARN(log, ...)  LOG_AT(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_ERROR(log, ...) LOG_AT(log, LOG_LEVEL_ERROR, __VA_ARGS__)
