/* sim/io/tree.c: paths to inodes, in byte order. A directory's entries lie behind it in one run, so
 * listing and moving it is a walk. Directories are entries like files; "/" is always there and is
 * none. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/io/disk.h"

/* As strcmp, with '/' before all other characters, so that nothing comes between a directory and
 * what is in it ("a", "a/b", "a.b"). */
static int compare(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) a++, b++;
    int x = *a == '/' ? 1 : *a == '\0' ? 0 : (uint8_t)*a + 1;
    int y = *b == '/' ? 1 : *b == '\0' ? 0 : (uint8_t)*b + 1;
    return x - y;
}

/* Index of the first entry that is not before 'path'. */
static size_t lower_bound(const struct tree *t, const char *path)
{
    size_t begin = 0, end = t->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (compare(t->entries[middle].path, path) < 0) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

static bool is_at(const struct tree *t, size_t index, const char *path)
{
    return index < t->count && strcmp(t->entries[index].path, path) == 0;
}

struct inode *sim_tree_find(const struct tree *t, const char *path)
{
    size_t index = lower_bound(t, path);
    return is_at(t, index, path) ? t->entries[index].inode : NULL;
}

static char *copy_of(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = sim_alloc(size);
    memcpy(copy, text, size);
    return copy;
}

static void make_room(struct tree *t)
{
    if (t->count < t->capacity) return;
    t->capacity = t->capacity == 0 ? 16 : t->capacity * 2;
    t->entries = realloc(t->entries, t->capacity * sizeof *t->entries);
    CHECK(t->entries != NULL);
}

void sim_tree_put(struct tree *t, const char *path, struct inode *inode)
{
    size_t index = lower_bound(t, path);
    if (inode != NULL) (void)sim_inode_ref(inode);
    if (is_at(t, index, path)) {
        sim_inode_unref(t->entries[index].inode);
        t->entries[index].inode = inode;
        return;
    }
    make_room(t);
    memmove(&t->entries[index + 1], &t->entries[index], (t->count - index) * sizeof *t->entries);
    t->entries[index] = (struct tree_entry){copy_of(path), inode};
    t->count++;
}

void sim_tree_remove(struct tree *t, const char *path)
{
    size_t index = lower_bound(t, path);
    if (!is_at(t, index, path)) return;
    sim_inode_unref(t->entries[index].inode);
    sim_free_memory(t->entries[index].path);
    t->count--;
    memmove(&t->entries[index], &t->entries[index + 1], (t->count - index) * sizeof *t->entries);
}

bool sim_path_is_below(const char *path, const char *dir)
{
    size_t size = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/' && path[size + 1] != '\0';
}

size_t sim_tree_below(const struct tree *t, const char *path)
{
    if (strcmp(path, "/") == 0) return 0;
    size_t index = lower_bound(t, path);
    return is_at(t, index, path) ? index + 1 : index;
}

static void move_one(struct tree *t, const char *from, const char *to)
{
    struct inode *inode = sim_tree_find(t, from);
    if (inode == NULL) return;
    sim_tree_put(t, to, inode); /* Before the other, which may hold the last reference. */
    sim_tree_remove(t, from);
}

void sim_tree_move(struct tree *t, const char *from, const char *to)
{
    char old[SIM_PATH_SIZE], new[2 * SIM_PATH_SIZE];
    move_one(t, from, to);
    for (;;) {
        size_t index = sim_tree_below(t, from);
        if (index >= t->count || !sim_path_is_below(t->entries[index].path, from)) break;
        (void)snprintf(old, sizeof old, "%s", t->entries[index].path);
        (void)snprintf(new, sizeof new, "%s%s", to, old + strlen(from));
        move_one(t, old, new);
    }
}

void sim_tree_copy(struct tree *to, const struct tree *from)
{
    sim_tree_clear(to);
    for (size_t i = 0; i < from->count; i++)
        sim_tree_put(to, from->entries[i].path, from->entries[i].inode);
}

void sim_tree_clear(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++) {
        sim_inode_unref(t->entries[i].inode);
        sim_free_memory(t->entries[i].path);
    }
    sim_free_memory(t->entries);
    *t = (struct tree){0};
}

void sim_path_parent(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    CHECK(slash != NULL);
    size_t size = slash == path ? 1 : (size_t)(slash - path);
    memcpy(out, path, size);
    out[size] = '\0';
}
