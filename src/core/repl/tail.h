/* src/core/repl/tail.h: inside the room only. The ring of recent mutations of a replica. */
#pragma once
#include "core/repl/repl.h"

int tail_init(struct repl_tail *t, uint64_t next_decree, size_t size_max) MUST_CHECK;
void tail_fini(struct repl_tail *t);

/* Decree that the next push takes. */
static inline uint64_t tail_next(const struct repl_tail *t)
{
    return t->first_decree + t->count;
}

/* Append a mutation, whose decree is tail_next(); a reference is taken. Returns 0 or E_NOMEM. */
int tail_push(struct repl_tail *t, struct chunk *mutation) MUST_CHECK;

/* The mutation with this decree, borrowed; NULL when it is not kept. */
struct chunk *tail_get(const struct repl_tail *t, uint64_t decree);

/* Drop everything from this decree on. */
void tail_cut(struct repl_tail *t, uint64_t decree);

/* Drop the oldest while over the budget, but none above 'applied'. */
void tail_trim(struct repl_tail *t, uint64_t applied);
