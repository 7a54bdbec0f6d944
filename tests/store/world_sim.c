/* tests/store/world_sim.c: the world on the simulator's disk. */
#include "store/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/store/store_sim.h"

enum { NAMES_MAX = 64 };

struct world {
    struct store_sim_disk *disk;
    struct store_env *env;
    uint64_t wall_us;
    char names[NAMES_MAX][32];
    size_t name_count;
};

static uint64_t wall_us(void *world)
{
    return ((struct world *)world)->wall_us;
}

static void open_env(struct world *w)
{
    struct store_env_options options = {
        .write_buffer_size = WORLD_BUFFERS_SIZE, .wall_us = wall_us, .world = w};
    assert_int_equal(store_env_open(&options, &w->env, NULL), 0);
}

struct world *world_new(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->disk = store_sim_disk_new(w, seed);
    open_env(w);
    return w;
}

void world_free(struct world *w)
{
    store_sim_crash(w->disk);
    store_sim_disk_free(w->disk);
    free(w);
}

void world_wall_set(struct world *w, uint64_t to_us)
{
    w->wall_us = to_us;
}

const char *world_dir(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->name_count; i++)
        if (strcmp(w->names[i], name) == 0) return w->names[i];
    assert_true(w->name_count < NAMES_MAX);
    (void)snprintf(w->names[w->name_count], sizeof w->names[0], "%s", name);
    return w->names[w->name_count++];
}

int world_try_open(struct world *w, const char *name, struct store **out, struct err *e)
{
    return store_open(w->env, world_dir(w, name), out, e);
}

struct store *world_open(struct world *w, const char *name)
{
    struct store *s = NULL;
    assert_int_equal(world_try_open(w, name, &s, NULL), 0);
    return s;
}

int world_close(struct world *w, struct store *s)
{
    (void)w;
    return store_close(s);
}

void world_crash(struct world *w)
{
    store_sim_crash(w->disk);
    open_env(w);
    store_sim_faults_set(w->disk, &(struct store_sim_faults){0});
}

void world_forget_cache(struct world *w)
{
    store_sim_faults_set(w->disk, &(struct store_sim_faults){.again_percent = 100});
}

void world_background(struct world *w)
{
    store_sim_background(w->disk);
}

void world_damage(struct world *w, const char *name)
{
    store_sim_damage(w->disk, world_dir(w, name));
}
