/* src/cli/samples.h: measured times, all of them kept: percentiles are exact, nothing is
 * smoothed. */
#pragma once
#include "base/err.h"
#include "cli/output.h"

/* Nanoseconds, at most UINT32_MAX (4.2 s): longer ones count as that. All-zero is a valid empty
 * one. */
struct samples {
    uint32_t *ns;
    size_t count, capacity;
    bool failed; /* One did not find memory. */
};

void samples_fini(struct samples *s);
void samples_add(struct samples *s, uint64_t ns);
void samples_append(struct samples *s, const struct samples *more);

/* Sort; then ask. */
void samples_sort(struct samples *s);

/* The smallest sample that 'per_mille' of all do not exceed, in ms: 500 is the median, 1000 the
 * largest. 0 when there is none. */
double samples_ms(const struct samples *s, unsigned per_mille);

/* p50_ms, p99_ms, p999_ms, max_ms. */
void samples_json(const struct samples *s, json_t *o);

/* A histogram for people, with bars. */
void samples_print(const struct samples *s);
