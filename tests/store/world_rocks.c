/* tests/store/world_rocks.c: the world in a directory of its own under TMPDIR.
 *
 * A crash is a copy of the files as they are while the store is open: that is what a kill -9
 * leaves. The copy is taken again until no file came, went or changed its size in the meantime. */
#include "store/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc.h"

enum { OPEN_MAX_COUNT = 8, NAMES_MAX = 64, PATH_SIZE = 256 };

struct opened {
    struct store *store; /* NULL: free. */
    const char *dir;
};

struct world {
    char root[PATH_SIZE];
    struct store_env *env;
    uint64_t wall_us;
    struct opened opened[OPEN_MAX_COUNT];
    char dirs[NAMES_MAX][PATH_SIZE];
    size_t dir_count;
};

static uint64_t wall_us(void *world)
{
    return ((struct world *)world)->wall_us;
}

static void open_env(struct world *w)
{
    struct store_env_options options = {.cache_size = 8 << 20,
                                        .write_buffer_size = WORLD_BUFFERS_SIZE,
                                        .background_threads = 2,
                                        .wall_us = wall_us,
                                        .world = w};
    assert_int_equal(store_env_open(&options, &w->env, NULL), 0);
}

struct world *world_new(uint64_t seed)
{
    (void)seed;
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(w->root, sizeof w->root, "%s/pirene-store-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->root));
    open_env(w);
    return w;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void path_join(char *to, const char *dir, const char *name)
{
    assert_true(snprintf(to, PATH_SIZE * 2, "%s/%s", dir, name) < PATH_SIZE * 2);
}

static void each_entry(const char *dir,
                       void (*each)(const char *path, const char *name, void *context),
                       void *context)
{
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char path[PATH_SIZE * 2];
        path_join(path, dir, entry->d_name);
        each(path, entry->d_name, context);
    }
    closedir(entries);
}

static void remove_tree(const char *path, const char *name, void *context)
{
    (void)name;
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        each_entry(path, remove_tree, context);
        (void)rmdir(path);
    } else {
        (void)unlink(path);
    }
}

static void copy_file(const char *path, const char *name, void *context)
{
    char to_path[PATH_SIZE * 2];
    path_join(to_path, context, name);
    FILE *from = fopen(path, "rb");
    if (from == NULL) return; /* It went meanwhile: the copy will be taken again. */
    FILE *to = fopen(to_path, "wb");
    assert_non_null(to);
    char bytes[4096];
    for (size_t size; (size = fread(bytes, 1, sizeof bytes, from)) > 0;)
        assert_int_equal(fwrite(bytes, 1, size, to), size);
    assert_int_equal(fclose(to), 0);
    (void)fclose(from);
}

/* Add a file's name, identity and size, in no order. The human's log doesn't count. */
static void add_print(const char *path, const char *name, void *context)
{
    struct stat st;
    if (strncmp(name, "LOG", 3) == 0 || stat(path, &st) != 0) return;
    uint64_t facts[] = {crc64(name, strlen(name)), (uint64_t)st.st_ino, (uint64_t)st.st_size};
    *(uint64_t *)context += crc64(facts, sizeof facts);
}

static uint64_t print_of(const char *dir)
{
    uint64_t print = 0;
    each_entry(dir, add_print, &print);
    return print;
}

static void copy_as_killed(const char *dir, const char *to)
{
    for (uint64_t before = 0, after = 1; before != after;) {
        before = print_of(dir);
        remove_tree(to, "", NULL);
        assert_int_equal(mkdir(to, 0755), 0);
        each_entry(dir, copy_file, (void *)(uintptr_t)to);
        after = print_of(dir);
    }
}

/* ---- The world ------------------------------------------------------------------------------- */

void world_free(struct world *w)
{
    for (size_t i = 0; i < OPEN_MAX_COUNT; i++) (void)store_close(w->opened[i].store);
    store_env_close(w->env);
    remove_tree(w->root, "", NULL);
    free(w);
}

void world_wall_set(struct world *w, uint64_t to_us)
{
    w->wall_us = to_us;
}

const char *world_dir(struct world *w, const char *name)
{
    char path[PATH_SIZE * 2];
    path_join(path, w->root, name);
    for (size_t i = 0; i < w->dir_count; i++)
        if (strcmp(w->dirs[i], path) == 0) return w->dirs[i];
    assert_true(w->dir_count < NAMES_MAX && strlen(path) < PATH_SIZE);
    memcpy(w->dirs[w->dir_count], path, strlen(path) + 1);
    return w->dirs[w->dir_count++];
}

int world_try_open(struct world *w, const char *name, struct store **out, struct err *e)
{
    const char *dir = world_dir(w, name);
    int rc = store_open(w->env, dir, out, e);
    if (rc != 0) return rc;
    size_t i = 0;
    while (i < OPEN_MAX_COUNT && w->opened[i].store != NULL) i++;
    assert_true(i < OPEN_MAX_COUNT);
    w->opened[i] = (struct opened){*out, dir};
    return 0;
}

struct store *world_open(struct world *w, const char *name)
{
    struct store *s = NULL;
    struct err e = {0};
    if (world_try_open(w, name, &s, &e) != 0) fail_msg("%s", e.text);
    return s;
}

static struct opened *find_opened(struct world *w, const struct store *s)
{
    for (size_t i = 0; i < OPEN_MAX_COUNT; i++)
        if (w->opened[i].store == s) return &w->opened[i];
    fail_msg("this store is not open");
    return NULL;
}

int world_close(struct world *w, struct store *s)
{
    find_opened(w, s)->store = NULL;
    return store_close(s);
}

void world_crash(struct world *w)
{
    char copy[PATH_SIZE * 2];
    path_join(copy, w->root, "killed");
    for (size_t i = 0; i < OPEN_MAX_COUNT; i++) {
        struct opened *opened = &w->opened[i];
        if (opened->store == NULL) continue;
        copy_as_killed(opened->dir, copy);
        (void)store_close(opened->store);
        opened->store = NULL;
        remove_tree(opened->dir, "", NULL);
        assert_int_equal(rename(copy, opened->dir), 0);
    }
    store_env_close(w->env);
    open_env(w);
}

/* Only a store that is opened afterwards with a new environment is cold. */
void world_forget_cache(struct world *w)
{
    for (size_t i = 0; i < OPEN_MAX_COUNT; i++) assert_null(w->opened[i].store);
    store_env_close(w->env);
    open_env(w);
}

void world_background(struct world *w)
{
    (void)w; /* It has threads for that. */
}

static void damage_manifest(const char *path, const char *name, void *context)
{
    (void)context;
    if (strstr(name, "MANIFEST") == NULL) return;
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "damaged", 7, 10) == 7);
    (void)close(fd);
}

void world_damage(struct world *w, const char *name)
{
    each_entry(world_dir(w, name), damage_manifest, NULL);
}
