/* src/cli/args.h: what somebody typed after a command, held against what the command takes.
 *
 * Options may stand anywhere: "--name value", "--name=value", or "--name" for a flag. "--" ends
 * them. The rest are positional arguments, counted against the pattern of the command ("TABLE
 * HASHKEY [SORTKEY]"). */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { ARGS_MAX = 256, OPTIONS_MAX = 16 };

struct option_spec {
    const char *name;  /* "--limit"; NULL ends a list. */
    const char *value; /* How help calls its value, "N"; NULL: a flag. */
    const char *help;
};

struct args {
    const char *values[ARGS_MAX]; /* Positional, borrowed. */
    size_t count;
    struct {
        const char *name;  /* Of the spec. */
        const char *value; /* Borrowed; "" for a flag. */
    } options[OPTIONS_MAX];
    size_t option_count;
};

/* Read 'words'. An option is looked for in 'own', then in 'common'; both end with a NULL name.
 * Returns 0, or E_INVALID and 'e' says what is wrong. */
int args_read(struct args *a, size_t count, char *const *words, const struct option_spec *own,
              const struct option_spec *common, struct err *e) MUST_CHECK;

/* Are there as many positional arguments as "A B [C] [D...]" wants? Returns 0, or E_INVALID and
 * says so. */
int args_match(const struct args *a, const char *pattern, struct err *e) MUST_CHECK;

/* The positional argument, or NULL. */
const char *args_at(const struct args *a, size_t index);

/* The option's value (of the last one given), "" for a flag, NULL when it was not given. */
const char *args_option(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);

/* The option as a number in [min, max], or 'otherwise' when it was not given. Returns 0, or
 * E_INVALID. */
int args_number(const struct args *a, const char *name, uint64_t min, uint64_t max,
                uint64_t otherwise, uint64_t *out, struct err *e) MUST_CHECK;

/* The same for a number that may be negative. */
int args_integer(const struct args *a, const char *name, int64_t otherwise, int64_t *out,
                 struct err *e) MUST_CHECK;

/* The positional argument, which must be there, as an id of the metas: greater than 0. 'listed_by'
 * is the command that shows such ids. */
int args_id(const struct args *a, size_t index, const char *listed_by, int32_t *out,
            struct err *e) MUST_CHECK;

/* The option as milliseconds: "500ms", "30s", "2m", "1h"; a bare number means seconds. */
int args_duration_ms(const struct args *a, const char *name, uint64_t otherwise, uint64_t *out,
                     struct err *e) MUST_CHECK;
