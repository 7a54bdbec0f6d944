/* src/core/meta/load.h: what each node that is alive holds: counted once, then kept by whoever hands out more.
 * Included only in this room. Source: docs/meta.md, rules M12 and M39. */
#pragma once
#include "core/meta/meta.h"

/* Replicas are those of primaries, secondaries and learners, of available tables. */
struct load {
    uint64_t node_id;
    uint32_t here; /* Replicas of the table under way; nothing before loads_count_here(). */
    uint32_t everywhere;
    uint32_t primaries_here, primaries_everywhere; /* Of them. */
    uint32_t learners;                             /* Of those everywhere. */
    bool is_draining;                              /* It takes nothing new. */
    bool is_taken;                                 /* By the partition under way. */
};

struct loads {
    struct load *items; /* By node id. */
    size_t count;
};

/* Returns 0 or E_NOMEM. */
int loads_init(struct loads *loads, const struct meta *m) MUST_CHECK;
void loads_fini(struct loads *loads);

/* NULL: it is dead, or unknown. */
struct load *loads_of(const struct loads *loads, uint64_t node_id);

/* This table is under way. */
void loads_count_here(struct loads *loads, const struct meta_table *t);

/* Less of this table; as much of it, and less in all. Neither is, of equals: then ids decide. */
bool load_is_less(const struct load *a, const struct load *b);
