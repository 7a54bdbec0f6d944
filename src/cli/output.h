/* src/cli/output.h: what a command says: rows and facts for people, one JSON value for programs.
 *
 * A command builds one JSON value. With --json it is printed as it is; otherwise rows become a
 * table with the columns that the command names, and an object becomes lines of "name  value". So
 * both always say the same. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct output {
    bool is_json;
    bool is_lines; /* JSON values follow one another: each is a line. */
    bool is_drawn; /* There is something to redraw. */
};

/* A column of a table: the member of each row and the head over it. */
struct column {
    const char *member; /* NULL ends a list. */
    const char *head;
};

/* Print an array of objects. 'rows' is taken. */
void output_rows(const struct output *out, json_t *rows, const struct column *columns);

/* Print one object. 'facts' is taken. */
void output_facts(const struct output *out, json_t *facts);

/* Print 'facts' with --json, otherwise the sentence. 'facts' is taken. */
void output_say(const struct output *out, json_t *facts, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A line for people only: nothing with --json. */
void output_note(const struct output *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What follows takes the place of what a terminal shows, for people only; elsewhere it follows an empty line,
 * unless it is the first. */
void output_redraw(struct output *out);

/* Send off what was printed. Where nobody can have it (a full disk, a reader that went away) the
 * command is interrupted, and output_lost() says why. */
void output_flush(void);
int output_lost(void); /* An errno; 0: nothing was lost. */

/* ---- Building -----------------------------------------------------------------------------------
 *
 * Memory that is not there ends the program: there is nothing else that a command could do. */

json_t *json_new(void);      /* An object. */
json_t *json_rows_new(void); /* An array. */
void json_set_text(json_t *o, const char *name, const char *text);
void json_set_bytes(json_t *o, const char *name, const void *data,
                    size_t size); /* UTF-8 or escaped. */
void json_set_int(json_t *o, const char *name, int64_t value);
void json_set_real(json_t *o, const char *name, double value, unsigned decimals);
void json_set_bool(json_t *o, const char *name, bool value);
void json_set_json(json_t *o, const char *name, json_t *value); /* Taken. */
void json_push(json_t *rows, json_t *row);                      /* Taken. */

/* ---- Progress -------------------------------------------------------------------------------- */

/* A line on stderr that is overwritten, while something takes longer than a second and stderr is a
 * terminal. All-zero before the first use. */
struct progress {
    uint64_t begin_ns;
    uint64_t shown_ns;
    bool is_shown;
};

void progress_show(struct progress *p, double done_of_1, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void progress_end(struct progress *p);
