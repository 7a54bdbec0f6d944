/* src/base/mark.h: "has a test ever been here?"
 *
 * MARK("torn tail cut") counts a rare situation under its name. The suite prints the table and fails
 * when a marker of tests/sim/markers.list was never hit: a simulator that silently stopped reaching
 * the interesting places is caught by it. Compiled out unless PIRENE_MARKS is defined. */
#pragma once
#include <stdint.h>

struct mark {
    const char *name;
    uint64_t count;
    struct mark *next; /* In the table, once hit. */
    int is_listed;
};

/* Count one visit; lists the mark the first time. Any thread. */
void mark_hit(struct mark *m);

/* Walk all marks that were hit; NULL starts and ends. */
const struct mark *mark_next(const struct mark *before);

#ifdef PIRENE_MARKS
#define MARK(text)                                                                                 \
    do {                                                                                           \
        static struct mark mark_here = {.name = (text)};                                           \
        mark_hit(&mark_here);                                                                      \
    } while (0)
#else
#define MARK(text) ((void)0)
#endif
