/* sim/io/file.c: the file functions of io.h over the fake disk: paths, handles, limits, failures.
 *
 * Every call goes through sim_disk_call(), which makes it take time, fail, or be the last. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/crc.h"
#include "sim/io/disk.h"

struct io_file {
    struct list_node node; /* In disk->handles. */
    struct disk *disk;
    struct inode *inode;
    unsigned flags;
    char path[SIM_PATH_SIZE];
};

/* ---- Paths ---- */

/* One '/' at the front, none at the end, none doubled; "." is the root, where every process stands.
 * Returns 0 or E_IO, as a system that finds a name too long. */
static int tidy(const char *path, char *out)
{
    size_t size = 0;
    out[size++] = '/';
    if (strcmp(path, ".") == 0) path = "";
    for (; *path != '\0'; path++) {
        if (*path == '/' && out[size - 1] == '/') continue;
        if (size + 1 >= SIM_PATH_SIZE) return E_IO;
        out[size++] = *path;
    }
    if (size > 1 && out[size - 1] == '/') size--;
    out[size] = '\0';
    return 0;
}

static bool is_dir(const struct disk *d, const char *path)
{
    if (strcmp(path, "/") == 0) return true;
    const struct inode *inode = sim_tree_find(&d->seen, path);
    return inode != NULL && inode->is_dir;
}

static bool has_parent(const struct disk *d, const char *path)
{
    char parent[SIM_PATH_SIZE];
    sim_path_parent(path, parent);
    return is_dir(d, parent);
}

/* ---- Files ---- */

static int find_or_create(struct disk *d, const char *path, unsigned flags, struct inode **out)
{
    struct inode *inode = sim_tree_find(&d->seen, path);
    if (inode != NULL && inode->is_dir) return E_IO;
    if (inode != NULL) {
        if ((flags & IO_OPEN_CREATE) != 0 && (flags & IO_OPEN_EXCLUSIVE) != 0) return E_EXISTS;
        *out = inode;
        return 0;
    }
    if ((flags & IO_OPEN_CREATE) == 0 || !has_parent(d, path)) return E_NOTFOUND;
    int rc = sim_disk_call(d, SIM_DISK_META, path);
    if (rc != 0) return rc;
    inode = sim_inode_new(d, false);
    sim_disk_change(d, CHANGE_PUT, path, NULL, inode);
    *out = inode;
    return 0;
}

int io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    struct disk *d = io->machine->disk;
    char tidied[SIM_PATH_SIZE];
    struct inode *inode;
    sim_check_may_block(io->machine);
    int rc = tidy(path, tidied);
    if (rc != 0) return rc;
    rc = find_or_create(d, tidied, flags, &inode);
    if (rc != 0) return rc;
    struct io_file *file = sim_alloc(sizeof *file);
    file->disk = d;
    file->inode = sim_inode_ref(inode);
    file->flags = flags;
    memcpy(file->path, tidied, sizeof tidied);
    list_push_back(&d->handles, &file->node);
    *out = file;
    return 0;
}

void io_file_close(struct io_file *file)
{
    if (file == NULL) return;
    list_remove(&file->node);
    sim_inode_unref(file->inode);
    sim_free_memory(file);
}

/* How many of 'size' bytes at 'offset' the disk has room for. */
static size_t room_for(const struct disk *d, const struct inode *inode, uint64_t offset,
                       size_t size)
{
    uint64_t total = d->behaviour.total_size;
    if (total == 0) return size;
    uint64_t free_size = d->used_size < total ? total - d->used_size : 0;
    uint64_t most = inode->seen.size + free_size; /* The length the file may have. */
    if (offset + size <= most) return size;
    return offset < most ? (size_t)(most - offset) : 0;
}

static size_t total_of(const struct slice *pieces, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += pieces[i].size;
    return size;
}

/* Write the first 'limit' bytes of the pieces, as one write of the device. */
static void write_pieces(struct io_file *file, uint64_t offset, const struct slice *pieces,
                         size_t limit)
{
    uint8_t *all = sim_alloc(limit);
    size_t done = 0;
    for (; done < limit; pieces++) {
        size_t part = pieces->size < limit - done ? pieces->size : limit - done;
        if (part != 0) memcpy(all + done, pieces->data, part);
        done += part;
    }
    struct sim_machine *m = file->disk->machine;
    sim_trace(m->sim, m, "bytes", file->inode->id << 32 | limit,
              offset ^ (uint64_t)crc32c(0, all, limit) << 32);
    if (limit != 0) sim_inode_write(file->disk, file->inode, offset, slice_of(all, limit));
    sim_free_memory(all);
}

int io_file_write(struct io_file *file, uint64_t offset, const struct slice *pieces, size_t count)
{
    struct disk *d = file->disk;
    CHECK((file->flags & IO_OPEN_WRITE) != 0);
    size_t size = total_of(pieces, count);
    int rc = sim_disk_call(d, SIM_DISK_WRITE, file->path);
    size_t most = room_for(d, file->inode, offset, size);
    if (rc == 0 && most < size) rc = E_NOSPACE;
    if (rc != 0) most = (size_t)prng_between(&d->machine->sim->prng, 0, most);
    write_pieces(file, offset, pieces, most);
    return rc;
}

int io_file_read(struct io_file *file, uint64_t offset, void *to, size_t size, size_t *got)
{
    const struct buf *seen = &file->inode->seen;
    CHECK((file->flags & IO_OPEN_READ) != 0);
    int rc = sim_disk_call(file->disk, SIM_DISK_READ, file->path);
    if (rc != 0) return rc;
    size_t left = offset < seen->size ? seen->size - (size_t)offset : 0;
    *got = size < left ? size : left;
    if (*got != 0) memcpy(to, seen->data + offset, *got);
    return 0;
}

int io_file_sync(struct io_file *file)
{
    struct disk *d = file->disk;
    d->syncs++;
    if (file->inode->has_sync_failed) d->syncs_after_failure++;
    int rc = sim_disk_call(d, SIM_DISK_SYNC, file->path);
    if (rc == 0) sim_inode_synced(d, file->inode, sim_thread_now_us(d->machine->sim));
    else sim_inode_sync_failed(d, file->inode);
    return rc;
}

int io_file_size(struct io_file *file, uint64_t *size)
{
    sim_check_may_block(file->disk->machine);
    *size = file->inode->seen.size;
    return 0;
}

int io_file_truncate(struct io_file *file, uint64_t size)
{
    CHECK((file->flags & IO_OPEN_WRITE) != 0);
    int rc = sim_disk_call(file->disk, SIM_DISK_META, file->path);
    if (rc != 0) return rc;
    size_t more = size > file->inode->seen.size ? (size_t)size - file->inode->seen.size : 0;
    if (room_for(file->disk, file->inode, file->inode->seen.size, more) < more) return E_NOSPACE;
    sim_inode_truncate(file->disk, file->inode, size);
    return 0;
}

/* ---- Directories ---- */

static int make_one(struct disk *d, const char *path)
{
    if (is_dir(d, path)) return 0;
    if (sim_tree_find(&d->seen, path) != NULL) return E_EXISTS; /* A file. */
    int rc = sim_disk_call(d, SIM_DISK_META, path);
    if (rc == 0) sim_disk_change(d, CHANGE_PUT, path, NULL, sim_inode_new(d, true));
    return rc;
}

int io_dir_make(struct io *io, const char *path)
{
    char tidied[SIM_PATH_SIZE];
    sim_check_may_block(io->machine);
    int rc = tidy(path, tidied);
    for (char *at = tidied + 1; rc == 0 && (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        rc = make_one(io->machine->disk, tidied);
        *at = '/';
    }
    return rc == 0 ? make_one(io->machine->disk, tidied) : rc;
}

int io_dir_sync(struct io *io, const char *path)
{
    struct disk *d = io->machine->disk;
    char tidied[SIM_PATH_SIZE];
    int rc = tidy(path, tidied);
    if (rc != 0) return rc;
    if (!is_dir(d, tidied)) return E_NOTFOUND;
    rc = sim_disk_call(d, SIM_DISK_SYNC, tidied);
    if (rc == 0) sim_dir_synced(d, tidied, sim_thread_now_us(d->machine->sim));
    else sim_dir_sync_failed(d, tidied);
    return rc;
}

/* Is this entry in that directory itself, and not deeper? Gives its name. */
static const char *name_in(const char *path, const char *dir)
{
    if (!sim_path_is_below(path, dir)) return NULL;
    const char *name = path + (strcmp(dir, "/") == 0 ? 0 : strlen(dir)) + 1;
    return strchr(name, '/') == NULL ? name : NULL;
}

/* The names in a directory, each with its NUL. The tree puts '/' before all else; among the names
 * of one directory that makes no difference. */
static void collect_names(const struct tree *t, const char *dir, struct buf *out)
{
    for (size_t i = sim_tree_below(t, dir); i < t->count; i++) {
        if (!sim_path_is_below(t->entries[i].path, dir)) break;
        const char *name = name_in(t->entries[i].path, dir);
        if (name != NULL) buf_append(out, name, strlen(name) + 1);
    }
}

int io_dir_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
                void *context)
{
    struct disk *d = io->machine->disk;
    char tidied[SIM_PATH_SIZE];
    int rc = tidy(path, tidied);
    if (rc != 0) return rc;
    if (!is_dir(d, tidied)) return E_NOTFOUND;
    rc = sim_disk_call(d, SIM_DISK_READ, tidied);
    if (rc != 0) return rc;
    struct buf names = {0}; /* A copy, the process's own: 'each' may remove a name, or die of it. */
    collect_names(&d->seen, tidied, &names);
    rc = buf_status(&names);
    const char *name = (const char *)names.data;
    for (size_t at = 0; rc == 0 && at < names.size; at += strlen(name + at) + 1)
        each(context, name + at);
    buf_fini(&names);
    return rc;
}

int io_rename(struct io *io, const char *from, const char *to)
{
    struct disk *d = io->machine->disk;
    char a[SIM_PATH_SIZE], b[SIM_PATH_SIZE];
    int rc = tidy(from, a);
    if (rc == 0) rc = tidy(to, b);
    if (rc != 0) return rc;
    if (sim_tree_find(&d->seen, a) == NULL || !has_parent(d, b)) return E_NOTFOUND;
    const struct inode *target = sim_tree_find(&d->seen, b);
    if (target != NULL && target->is_dir) return E_EXISTS;
    rc = sim_disk_call(d, SIM_DISK_META, b);
    if (rc == 0 && strcmp(a, b) != 0) sim_disk_change(d, CHANGE_MOVE, a, b, NULL);
    return rc;
}

static int remove_one(struct disk *d, const char *path)
{
    int rc = sim_disk_call(d, SIM_DISK_META, path);
    if (rc != 0) return rc;
    struct inode *inode = sim_tree_find(&d->seen, path);
    d->used_size -= inode->seen.size;
    sim_disk_change(d, CHANGE_REMOVE, path, NULL, NULL);
    return 0;
}

int io_unlink(struct io *io, const char *path)
{
    struct disk *d = io->machine->disk;
    char tidied[SIM_PATH_SIZE];
    int rc = tidy(path, tidied);
    if (rc != 0) return rc;
    const struct inode *inode = sim_tree_find(&d->seen, tidied);
    if (inode == NULL) return E_NOTFOUND;
    return inode->is_dir ? E_IO : remove_one(d, tidied);
}

int io_dir_remove(struct io *io, const char *path)
{
    struct disk *d = io->machine->disk;
    char tidied[SIM_PATH_SIZE];
    int rc = tidy(path, tidied);
    if (rc != 0 || !is_dir(d, tidied)) return rc;
    size_t begin = sim_tree_below(&d->seen, tidied), end = begin;
    while (end < d->seen.count && sim_path_is_below(d->seen.entries[end].path, tidied)) end++;
    while (end > begin) { /* From the end, so that directories are empty when their turn comes. */
        char below[SIM_PATH_SIZE];
        (void)snprintf(below, sizeof below, "%s", d->seen.entries[--end].path);
        rc = remove_one(d, below);
        if (rc != 0) return rc;
    }
    return strcmp(tidied, "/") == 0 ? 0 : remove_one(d, tidied);
}

int io_disk_space(struct io *io, const char *path, uint64_t *free_size, uint64_t *total_size)
{
    static const uint64_t LARGE = UINT64_C(1) << 40;
    const struct disk *d = io->machine->disk; /* There is one. */
    char tidied[SIM_PATH_SIZE];
    sim_check_may_block(io->machine);
    int rc = tidy(path, tidied);
    if (rc != 0) return rc;
    if (!is_dir(d, tidied) && sim_tree_find(&d->seen, tidied) == NULL) return E_NOTFOUND;
    *total_size = d->behaviour.total_size == 0 ? LARGE : d->behaviour.total_size;
    *free_size = d->used_size < *total_size ? *total_size - d->used_size : 0;
    return 0;
}

/* ---- What belongs to the process ---- */

int io_lock(struct io *io, const char *path)
{
    struct disk *d = io->machine->disk;
    char tidied[SIM_PATH_SIZE];
    struct inode *inode;
    sim_check_may_block(io->machine);
    int rc = tidy(path, tidied);
    if (rc != 0) return rc;
    if (sim_tree_find(&d->locks, tidied) != NULL) return E_BUSY;
    rc = find_or_create(d, tidied, IO_OPEN_CREATE, &inode);
    if (rc == 0) sim_tree_put(&d->locks, tidied, inode);
    return rc;
}

void sim_disk_close_all(struct disk *d)
{
    while (!list_is_empty(&d->handles))
        io_file_close(LIST_ENTRY(d->handles.next, struct io_file, node));
    sim_tree_clear(&d->locks);
    for (size_t i = 0; i < d->seen.count; i++) d->seen.entries[i].inode->has_sync_failed = false;
}
