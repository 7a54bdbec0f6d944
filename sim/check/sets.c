/* sim/check/sets.c: three bits for each key. */
#include "sim/check/sets.h"

#include <stdio.h>

#include "sim/check/grow.h"

enum { ATTEMPTED = 1, ACKED = 2, FOUND = 4 };

void sets_fini(struct sets *s)
{
    keys_fini(&s->keys);
    free(s->marks);
    *s = (struct sets){0};
}

static uint8_t *marks_of(struct sets *s, struct slice key)
{
    size_t count = s->keys.count;
    uint32_t number = keys_number(&s->keys, key);
    s->marks = grow(s->marks, number, &s->capacity, sizeof *s->marks);
    if (number == count) s->marks[number] = 0;
    return &s->marks[number];
}

void sets_attempt(struct sets *s, struct slice key)
{
    *marks_of(s, key) |= ATTEMPTED;
}

void sets_ack(struct sets *s, struct slice key)
{
    *marks_of(s, key) |= ACKED;
}

static enum verdict broken(struct report *report, const char *what, struct slice key)
{
    (void)snprintf(report->text, sizeof report->text, "%s: '%.*s'", what,
                   (int)(key.size < 256 ? key.size : 256), (const char *)key.data);
    return VERDICT_BROKEN;
}

enum verdict sets_found(struct sets *s, struct slice key, struct report *report)
{
    uint8_t *marks = marks_of(s, key);
    if ((*marks & ATTEMPTED) == 0) return broken(report, "found what nobody wrote", key);
    if ((*marks & FOUND) != 0) return broken(report, "found twice", key);
    *marks |= FOUND;
    return VERDICT_OK;
}

enum verdict sets_check(const struct sets *s, struct report *report)
{
    for (size_t i = 0; i < s->keys.count; i++)
        if ((s->marks[i] & (ACKED | FOUND)) == ACKED)
            return broken(report, "acknowledged and lost", s->keys.keys[i]);
    return VERDICT_OK;
}

void sets_forget_found(struct sets *s)
{
    for (size_t i = 0; i < s->keys.count; i++) s->marks[i] &= (uint8_t)~FOUND;
}
