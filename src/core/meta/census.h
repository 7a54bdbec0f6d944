/* src/core/meta/census.h: a cluster in figures, for whoever looks at it. Pure; available tables count.
 *
 *     whole      an alive primary, and as many members as the table wants
 *     lacking    an alive primary, and fewer
 *     headless   no alive primary: nobody serves it
 *
 * A partition is one of the three; whether it has a learner is counted beside. Source: docs/meta.md, rules M35
 * to M37 and M39. */
#pragma once
#include "core/meta/meta.h"

struct census_held { /* By one node. */
    uint32_t primaries, secondaries, learners;
    uint32_t stuck; /* Of a node that drains: members whose place nobody can take now. */
};

struct census_health { /* Of one table's partitions. */
    uint32_t whole, lacking, headless, learning;
};

/* Fill 'held', which has an element for each node of the state, in its order. */
void census_held(const struct meta *m, struct census_held *held);

struct census_health census_health(const struct meta *m, const struct meta_table *t);
