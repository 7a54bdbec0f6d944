/* src/cli/samples.c: sorting and counting. */
#include "cli/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void samples_fini(struct samples *s)
{
    free(s->ns);
    *s = (struct samples){0};
}

static bool room_for(struct samples *s, size_t more)
{
    if (s->capacity - s->count >= more) return true;
    size_t capacity = s->capacity < 1024 ? 1024 : s->capacity;
    while (capacity - s->count < more) capacity *= 2;
    uint32_t *ns = realloc(s->ns, capacity * sizeof *ns);
    if (ns == NULL) {
        s->failed = true;
        return false;
    }
    s->ns = ns;
    s->capacity = capacity;
    return true;
}

void samples_add(struct samples *s, uint64_t ns)
{
    if (room_for(s, 1)) s->ns[s->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

void samples_append(struct samples *s, const struct samples *more)
{
    s->failed |= more->failed;
    if (more->count == 0 || !room_for(s, more->count)) return;
    memcpy(s->ns + s->count, more->ns, more->count * sizeof *more->ns);
    s->count += more->count;
}

static int compare(const void *a, const void *b)
{
    uint32_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

void samples_sort(struct samples *s)
{
    if (s->count > 0) qsort(s->ns, s->count, sizeof *s->ns, compare);
}

double samples_ms(const struct samples *s, unsigned per_mille)
{
    if (s->count == 0) return 0;
    size_t rank = (s->count * per_mille + 999) / 1000; /* From 1. */
    return s->ns[rank > 0 ? rank - 1 : 0] / 1e6;
}

void samples_json(const struct samples *s, json_t *o)
{
    json_set_real(o, "p50_ms", samples_ms(s, 500), 3);
    json_set_real(o, "p99_ms", samples_ms(s, 990), 3);
    json_set_real(o, "p999_ms", samples_ms(s, 999), 3);
    json_set_real(o, "max_ms", samples_ms(s, 1000), 3);
}

void samples_print(const struct samples *s)
{
    static const double bounds_ms[] = {0.1, 0.2, 0.3, 0.5, 0.75, 1,   1.5, 2,
                                       3,   5,   10,  20,  50,   100, 1000};
    enum { BOUNDS = sizeof bounds_ms / sizeof bounds_ms[0], WIDTH = 50 };
    size_t counts[BOUNDS + 1] = {0}, most = 1;
    for (size_t i = 0; i < s->count; i++) {
        size_t at = 0;
        while (at < BOUNDS && s->ns[i] / 1e6 > bounds_ms[at]) at++;
        if (++counts[at] > most) most = counts[at];
    }
    size_t first = 0, last = BOUNDS;
    while (first < BOUNDS && counts[first] == 0) first++;
    while (last > first && counts[last] == 0) last--;
    for (size_t i = first; i <= last; i++) {
        int width = (int)((counts[i] * WIDTH + most - 1) / most);
        if (i < BOUNDS) printf("  up to %7.2f ms  %6zu  ", bounds_ms[i], counts[i]);
        else printf("   over %7.0f ms  %6zu  ", bounds_ms[BOUNDS - 1], counts[i]);
        for (int k = 0; k < width; k++) (void)fputs("█", stdout);
        (void)fputc('\n', stdout);
    }
    output_flush();
}
