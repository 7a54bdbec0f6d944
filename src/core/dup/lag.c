/* src/core/dup/lag.c: a short history of commits. */
#include "core/dup/lag.h"

#include <string.h>

#include "base/check.h"

void dup_lag_start(struct dup_lag *l, uint64_t confirmed, uint64_t committed, uint64_t size,
                   uint64_t now_ms, uint64_t age_ms)
{
    *l = (struct dup_lag){.committed = committed, .confirmed = confirmed, .size = size};
    if (committed == confirmed) return;
    l->samples[l->count++] =
        (struct dup_lag_sample){committed, now_ms > age_ms ? now_ms - age_ms : 0};
}

void dup_lag_rewind(struct dup_lag *l, uint64_t confirmed, uint64_t size, uint64_t now_ms)
{
    CHECK(confirmed <= l->confirmed);
    l->confirmed = confirmed;
    if (size > l->size) l->size = size;
    if (l->count == 0 && l->committed > confirmed)
        l->samples[l->count++] = (struct dup_lag_sample){l->committed, now_ms};
}

/* Merge neighbours two by two: the younger's decree, the older's time. */
static void halve(struct dup_lag *l)
{
    for (uint32_t i = 0; i < l->count / 2; i++)
        l->samples[i] =
            (struct dup_lag_sample){l->samples[2 * i + 1].decree, l->samples[2 * i].commit_ms};
    l->count /= 2;
    l->merged = l->samples[l->count - 1].decree;
}

void dup_lag_committed(struct dup_lag *l, uint64_t decree, uint64_t size, uint64_t now_ms)
{
    if (decree <= l->committed) return;
    l->committed = decree;
    l->size += size;
    if (l->count > 0 && l->samples[l->count - 1].commit_ms == now_ms) {
        l->samples[l->count - 1].decree = decree;
        return;
    }
    if (l->count == DUP_LAG_SAMPLES_MAX) halve(l);
    l->samples[l->count++] = (struct dup_lag_sample){decree, now_ms};
}

void dup_lag_confirmed(struct dup_lag *l, uint64_t decree, uint64_t size)
{
    CHECK(decree <= l->committed);
    if (decree <= l->confirmed) return;
    l->confirmed = decree;
    l->size = decree == l->committed || size > l->size ? 0 : l->size - size;

    uint32_t done = 0;
    while (done < l->count && l->samples[done].decree <= decree) done++;
    l->count -= done;
    memmove(l->samples, l->samples + done, l->count * sizeof l->samples[0]);
}

struct dup_lag_view dup_lag_view(const struct dup_lag *l, uint64_t now_ms)
{
    struct dup_lag_view view = {.mutations = l->committed - l->confirmed};
    if (view.mutations == 0) return view;
    CHECK(l->count > 0);
#ifdef MUT_lag_freezes_when_cut
    now_ms =
        l->samples[l->count - 1].commit_ms; /* Known mistake: computed when something arrives. */
#endif
    view.bytes = l->size;
    view.ms = now_ms > l->samples[0].commit_ms ? now_ms - l->samples[0].commit_ms : 0;
    return view;
}
