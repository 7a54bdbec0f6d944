/* src/cli/args.c: words to arguments. */
#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/suggest.h"

/* ---- Reading --------------------------------------------------------------------------------- */

static const struct option_spec *spec_find(const struct option_spec *list, const char *name,
                                           size_t size)
{
    for (; list != NULL && list->name != NULL; list++)
        if (strlen(list->name) == size && memcmp(list->name, name, size) == 0) return list;
    return NULL;
}

static void consider(struct suggestion *s, const struct option_spec *list)
{
    for (; list != NULL && list->name != NULL; list++) suggestion_consider(s, list->name);
}

static int unknown_option(const char *word, size_t size, const struct option_spec *own,
                          const struct option_spec *common, struct err *e)
{
    struct suggestion s = {.typed = word, .size = size};
    consider(&s, own);
    consider(&s, common);
    if (s.word == NULL)
        return err_set(e, E_INVALID, "there is no option %.*s here", (int)size, word);
    return err_set(e, E_INVALID, "there is no option %.*s here: did you mean %s?", (int)size, word,
                   s.word);
}

/* One option at words[*at], and its value, which may be the next word. */
static int read_option(struct args *a, size_t count, char *const *words, size_t *at,
                       const struct option_spec *own, const struct option_spec *common,
                       struct err *e)
{
    const char *word = words[*at], *equals = strchr(word, '=');
    size_t size = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const struct option_spec *spec = spec_find(own, word, size);
    if (spec == NULL) spec = spec_find(common, word, size);
    if (spec == NULL) return unknown_option(word, size, own, common, e);
    if (a->option_count == OPTIONS_MAX) return err_set(e, E_INVALID, "too many options");

    const char *value = equals != NULL ? equals + 1 : NULL;
    if (spec->value == NULL && value != NULL)
        return err_set(e, E_INVALID, "%s takes no value", spec->name);
    if (spec->value != NULL && value == NULL) {
        if (*at + 1 == count)
            return err_set(e, E_INVALID, "%s wants a value: %s %s", spec->name, spec->name,
                           spec->value);
        value = words[++*at];
    }
    a->options[a->option_count].name = spec->name;
    a->options[a->option_count++].value = value != NULL ? value : "";
    return 0;
}

int args_read(struct args *a, size_t count, char *const *words, const struct option_spec *own,
              const struct option_spec *common, struct err *e)
{
    bool may_be_options = true;
    *a = (struct args){0};
    for (size_t i = 0; i < count; i++) {
        if (may_be_options && strcmp(words[i], "--") == 0) {
            may_be_options = false;
        } else if (may_be_options && strncmp(words[i], "--", 2) == 0) {
            int rc = read_option(a, count, words, &i, own, common, e);
            if (rc != 0) return rc;
        } else if (a->count == ARGS_MAX) {
            return err_set(e, E_INVALID, "too many arguments");
        } else {
            a->values[a->count++] = words[i];
        }
    }
    return 0;
}

int args_match(const struct args *a, const char *pattern, struct err *e)
{
    size_t min = 0, max = 0;
    for (const char *at = pattern; *at != '\0';) {
        size_t size = strcspn(at, " ");
        max = strstr(at, "...") != NULL && strstr(at, "...") < at + size ? ARGS_MAX : max + 1;
        if (*at != '[') min++;
        at += size + strspn(at + size, " ");
    }
    if (a->count < min) return err_set(e, E_INVALID, "something is missing: it takes %s", pattern);
    if (a->count > max)
        return err_set(e, E_INVALID, "'%s' is one too many: it takes %s", a->values[max],
                       max > 0 ? pattern : "nothing more");
    return 0;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

const char *args_at(const struct args *a, size_t index)
{
    return index < a->count ? a->values[index] : NULL;
}

const char *args_option(const struct args *a, const char *name)
{
    for (size_t i = a->option_count; i > 0; i--)
        if (strcmp(a->options[i - 1].name, name) == 0) return a->options[i - 1].value;
    return NULL;
}

bool args_has(const struct args *a, const char *name)
{
    return args_option(a, name) != NULL;
}

int args_number(const struct args *a, const char *name, uint64_t min, uint64_t max,
                uint64_t otherwise, uint64_t *out, struct err *e)
{
    const char *text = args_option(a, name);
    char *end;
    if (text == NULL) {
        *out = otherwise;
        return 0;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    bool is_number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (!is_number || value < min || value > max)
        return err_set(e, E_INVALID, "%s wants a number from %llu to %llu, not '%s'", name,
                       (unsigned long long)min, (unsigned long long)max, text);
    *out = value;
    return 0;
}

int args_integer(const struct args *a, const char *name, int64_t otherwise, int64_t *out,
                 struct err *e)
{
    const char *text = args_option(a, name);
    char *end;
    if (text == NULL) {
        *out = otherwise;
        return 0;
    }
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return err_set(e, E_INVALID, "%s wants a number of 64 bits, not '%s'", name, text);
    *out = value;
    return 0;
}

int args_id(const struct args *a, size_t index, const char *listed_by, int32_t *out, struct err *e)
{
    const char *text = args_at(a, index);
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || errno != 0 || value <= 0 || value > INT32_MAX)
        return err_set(e, E_INVALID, "'%s' is no id (%s)", text, listed_by);
    *out = (int32_t)value;
    return 0;
}

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};

int args_duration_ms(const struct args *a, const char *name, uint64_t otherwise, uint64_t *out,
                     struct err *e)
{
    const char *text = args_option(a, name);
    char *end;
    if (text == NULL) {
        *out = otherwise;
        return 0;
    }
    double value = strtod(text, &end);
    for (size_t i = 0; end != text && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) != 0 || !(value >= 0) || value > 1e9) continue;
        *out = (uint64_t)(value * (double)units[i].ms + 0.5);
        return 0;
    }
    return err_set(e, E_INVALID, "%s wants a time such as 500ms, 30s or 2m, not '%s'", name, text);
}
