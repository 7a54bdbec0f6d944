/* tests/store/world.h: where stores live in these tests, and what can be done to them from
 * outside.
 *
 * Two of them: world_rocks.c with real files, world_sim.c with the simulator's disk. The same
 * stories are linked with each, so that the fake is known to behave like the real thing. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/store.h"

struct world;

enum { WORLD_BUFFERS_SIZE = 256 * 1024 }; /* Bytes: so small that flushes come by themselves. */

struct world *world_new(uint64_t seed);
void world_free(struct world *w); /* With everything open in it. */

void world_wall_set(struct world *w, uint64_t wall_us);

/* The place of a store or checkpoint called 'name'. Good for the life of the world. */
const char *world_dir(struct world *w, const char *name);

int world_try_open(struct world *w, const char *name, struct store **out, struct err *e);
struct store *world_open(struct world *w, const char *name); /* It must open. */
int world_close(struct world *w, struct store *s);

/* The process dies: no store is open any more. Iterators and values were given back before. */
void world_crash(struct world *w);

/* What is in memory must be fetched from the disk again, as far as this can be had. */
void world_forget_cache(struct world *w);

/* Something happens in the background. */
void world_background(struct world *w);

/* Let a file of the store 'name', which is closed and has rows, be damaged. */
void world_damage(struct world *w, const char *name);
