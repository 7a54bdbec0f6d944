/* tests/log_crash/disk.c: an array of operations, and the worlds that follow from parts of it. */
#include "log_crash/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"

struct io {
    struct disk *disk;
};

struct io_loop {
    struct list_node hooks;
    struct io_loop *next;
};

struct io_file {
    int file;
    char path[DISK_PATH_SIZE];
};

static struct io world;
static struct io_loop *loops;
static struct list_node posts, works; /* Of all loops, in one order. */

/* ---- Disks ---- */

void disk_init(struct disk *d)
{
    memset(d, 0, sizeof *d);
}

void disk_record(struct disk *d)
{
    d->ops = calloc(DISK_OPS_MAX, sizeof *d->ops);
    CHECK(d->ops != NULL);
}

void disk_fini(struct disk *d)
{
    for (int i = 0; i < d->file_count; i++) free(d->files[i].data);
    for (size_t i = 0; i < d->op_count; i++) free(d->ops[i].data);
    free(d->ops);
    disk_init(d);
}

static void content_resize(struct content *c, size_t size)
{
    if (size > c->capacity) {
        c->capacity = size < 4096 ? 4096 : size * 2;
        c->data = realloc(c->data, c->capacity);
        CHECK(c->data != NULL);
    }
    if (size > c->size) memset(c->data + c->size, 0, size - c->size);
    c->size = size;
}

static void content_write(struct content *c, uint64_t offset, const uint8_t *data, size_t size)
{
    if (offset + size > c->size) content_resize(c, offset + size);
    if (size > 0) memcpy(c->data + offset, data, size);
}

void disk_copy(struct disk *to, const struct disk *from)
{
    disk_init(to);
    to->file_count = from->file_count;
    to->name_count = from->name_count;
    memcpy(to->names, from->names, sizeof to->names[0] * (size_t)from->name_count);
    for (int i = 0; i < from->file_count; i++)
        content_write(&to->files[i], 0, from->files[i].data, from->files[i].size);
}

static int name_find(const struct disk *d, const char *path)
{
    for (int i = 0; i < d->name_count; i++)
        if (strcmp(d->names[i].path, path) == 0) return i;
    return -1;
}

static void name_put(struct disk *d, const char *path, int file)
{
    int i = name_find(d, path);
    if (i < 0) i = d->name_count++;
    CHECK(i < DISK_FILES_MAX && strlen(path) < DISK_PATH_SIZE);
    (void)snprintf(d->names[i].path, DISK_PATH_SIZE, "%s", path);
    d->names[i].file = file;
}

static void name_remove(struct disk *d, const char *path)
{
    int i = name_find(d, path);
    if (i >= 0) d->names[i] = d->names[--d->name_count];
}

static bool is_below(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/';
}

/* ---- Doing an operation, now or in an image ---- */

static void op_apply(struct disk *d, const struct op *op)
{
    switch (op->type) {
    case OP_WRITE: content_write(&d->files[op->file], op->offset, op->data, op->size); break;
    case OP_TRUNCATE: content_resize(&d->files[op->file], op->offset); break;
    case OP_CREATE: name_put(d, op->path, op->is_dir ? -1 : op->file); break;
    case OP_UNLINK: name_remove(d, op->path); break;
    case OP_RENAME: {
        int i = name_find(d, op->path);
        if (i < 0) break; /* Its creation did not happen. */
        int file = d->names[i].file;
        name_remove(d, op->path);
        name_put(d, op->to, file);
        break;
    }
    case OP_SYNC:
    case OP_DIR_SYNC: break;
    }
}

static struct op *op_do(struct op op)
{
    struct disk *d = world.disk;
    op_apply(d, &op);
    if (d->ops == NULL) {
        free(op.data);
        return NULL;
    }
    CHECK(d->op_count < DISK_OPS_MAX);
    d->ops[d->op_count] = op;
    return &d->ops[d->op_count++];
}

static struct op op_named(enum op_type type, const char *path)
{
    struct op op = {.type = type};
    (void)snprintf(op.path, sizeof op.path, "%s", path);
    return op;
}

/* ---- Crashes ---- */

static void parent_of(const char *path, char *out)
{
    (void)snprintf(out, DISK_PATH_SIZE, "%s", path);
    char *slash = strrchr(out, '/');
    slash[slash == out] = '\0';
}

/* Does 'sync' make 'op', which came before it, certain? */
static bool covers(const struct op *sync, const struct op *op)
{
    char parent[DISK_PATH_SIZE];
    switch (op->type) {
    case OP_WRITE:
    case OP_TRUNCATE: return sync->type == OP_SYNC && sync->file == op->file;
    case OP_CREATE:
    case OP_UNLINK:
    case OP_RENAME:
        parent_of(op->path, parent);
        return sync->type == OP_DIR_SYNC && strcmp(sync->path, parent) == 0;
    case OP_SYNC:
    case OP_DIR_SYNC: break;
    }
    return true;
}

static bool is_covered(const struct disk *d, size_t index, size_t count)
{
    const struct op *op = &d->ops[index];
    if (op->type == OP_SYNC || op->type == OP_DIR_SYNC) return true;
    for (size_t i = index + 1; i < count; i++)
        if (covers(&d->ops[i], op)) return true;
    return false;
}

size_t disk_open_ops(const struct disk *d, size_t count, size_t *open, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_covered(d, i, count)) continue;
        CHECK(n < room);
        open[n++] = i;
    }
    return n;
}

static void write_torn(struct disk *out, const struct op *op, const struct fate *fate)
{
    struct content *c = &out->files[op->file];
    content_write(c, op->offset, op->data, fate->cut);
    if (fate->fill == CUT_OLD) return;
    uint8_t rest[64 * 1024] = {0};
    size_t size = op->size - fate->cut;
    CHECK(size <= sizeof rest);
    struct prng prng;
    prng_init(&prng, op->offset + fate->cut);
    if (fate->fill == CUT_NOISE) prng_bytes(&prng, rest, size);
    content_write(c, op->offset + fate->cut, rest, size);
}

void disk_crash(const struct disk *before, const struct disk *d, size_t count, const size_t *open,
                const struct fate *fates, size_t open_count, struct disk *out)
{
    if (before != NULL) disk_copy(out, before);
    else disk_init(out);
    for (int i = out->file_count; i < d->file_count; i++) out->files[i] = (struct content){0};
    out->file_count = d->file_count;

    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        const struct op *op = &d->ops[i];
        if (next == open_count || open[next] != i) {
            op_apply(out, op);
            continue;
        }
        const struct fate *fate = &fates[next++];
        if (!fate->is_done) continue;
        if (op->type == OP_WRITE && fate->cut < op->size) write_torn(out, op, fate);
        else op_apply(out, op);
    }
}

/* ---- io.h: loops ---- */

void world_use(struct disk *d)
{
    while (loops != NULL) io_loop_close(loops);
    world.disk = d;
    list_init(&posts);
    list_init(&works);
}

struct io *world_io(void)
{
    return &world;
}

struct now io_now(struct io *io)
{
    (void)io;
    return (struct now){1000, 1000000};
}

uint64_t io_seed(struct io *io)
{
    (void)io;
    return 0x5eed;
}

int io_loop_open(struct io *io, enum io_loop_kind kind, const char *name, struct io_loop **out)
{
    (void)io;
    (void)kind;
    (void)name;
    struct io_loop *loop = calloc(1, sizeof *loop);
    CHECK(loop != NULL);
    list_init(&loop->hooks);
    loop->next = loops;
    loops = loop;
    *out = loop;
    return 0;
}

void io_loop_close(struct io_loop *loop)
{
    if (loop == NULL) return;
    struct io_loop **link = &loops;
    while (*link != loop) link = &(*link)->next;
    *link = loop->next;
    free(loop);
}

void io_post(struct io_loop *loop, struct io_post *post)
{
    (void)loop;
    list_push_back(&posts, &post->node);
}

void io_post_quick(struct io_loop *to, struct io_post *post)
{
    io_post(to, post);
}

bool io_is_visited(const struct io_loop *of)
{
    (void)of;
    return false;
}

void io_call_home(struct io_loop *of)
{
    (void)of;
}

void io_turn_hook_add(struct io_loop *loop, struct io_turn_hook *hook)
{
    list_push_back(&loop->hooks, &hook->node);
}

void io_turn_hook_remove(struct io_turn_hook *hook)
{
    list_remove(&hook->node);
}

void io_work(struct io_loop *loop, struct io_work *work)
{
    work->loop = loop;
    list_push_back(&works, &work->node);
}

static void hooks_run(void)
{
    struct list_node *next;
    for (struct io_loop *loop = loops; loop != NULL; loop = loop->next)
        for (struct list_node *it = loop->hooks.next; it != &loop->hooks; it = next) {
            struct io_turn_hook *hook = LIST_ENTRY(it, struct io_turn_hook, node);
            next = it->next; /* It may remove itself. */
            hook->run(hook);
        }
}

void world_run(void)
{
    struct list_node *node;
    for (;;) {
        while ((node = list_pop_front(&posts)) != NULL) {
            struct io_post *post = LIST_ENTRY(node, struct io_post, node);
            post->run(post);
        }
        hooks_run();
        if (!list_is_empty(&posts)) continue;
        node = list_pop_front(&works);
        if (node == NULL) return;
        struct io_work *work = LIST_ENTRY(node, struct io_work, node);
        work->run(work);
        work->done(work);
    }
}

/* ---- io.h: files ---- */

int io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    struct disk *d = io->disk;
    int i = name_find(d, path);
    if (i < 0 && !(flags & IO_OPEN_CREATE)) return E_NOTFOUND;
    struct io_file *file = calloc(1, sizeof *file);
    CHECK(file != NULL);
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    if (i >= 0) {
        file->file = d->names[i].file;
    } else {
        CHECK(d->file_count < DISK_FILES_MAX);
        file->file = d->file_count++;
        d->files[file->file] = (struct content){0};
        struct op op = op_named(OP_CREATE, path);
        op.file = file->file;
        (void)op_do(op);
    }
    *out = file;
    return 0;
}

void io_file_close(struct io_file *file)
{
    free(file);
}

int io_file_write(struct io_file *file, uint64_t offset, const struct slice *pieces, size_t count)
{
    CHECK(count == 1);
    struct op op = {.type = OP_WRITE, .file = file->file, .offset = offset, .size = pieces->size};
    op.data = malloc(op.size);
    CHECK(op.data != NULL);
    memcpy(op.data, pieces->data, op.size);
    (void)op_do(op);
    return 0;
}

int io_file_read(struct io_file *file, uint64_t offset, void *to, size_t size, size_t *got)
{
    const struct content *c = &world.disk->files[file->file];
    *got = offset >= c->size ? 0 : c->size - offset < size ? c->size - (size_t)offset : size;
    if (*got > 0) memcpy(to, c->data + offset, *got);
    return 0;
}

int io_file_sync(struct io_file *file)
{
    world.disk->syncs++;
    (void)op_do((struct op){.type = OP_SYNC, .file = file->file});
    return 0;
}

int io_file_size(struct io_file *file, uint64_t *size)
{
    *size = world.disk->files[file->file].size;
    return 0;
}

int io_file_truncate(struct io_file *file, uint64_t size)
{
    if (world.disk->files[file->file].size == size) return 0;
    (void)op_do((struct op){.type = OP_TRUNCATE, .file = file->file, .offset = size});
    return 0;
}

int io_dir_make(struct io *io, const char *path)
{
    char parent[DISK_PATH_SIZE];
    if (strcmp(path, "/") == 0 || name_find(io->disk, path) >= 0) return 0;
    parent_of(path, parent);
    int rc = io_dir_make(io, parent);
    if (rc != 0) return rc;
    struct op op = op_named(OP_CREATE, path);
    op.is_dir = true;
    (void)op_do(op);
    return 0;
}

int io_dir_sync(struct io *io, const char *path)
{
    (void)io;
    (void)op_do(op_named(OP_DIR_SYNC, path));
    return 0;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

int io_dir_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
                void *context)
{
    char names[DISK_FILES_MAX][DISK_PATH_SIZE];
    size_t count = 0, skip = strlen(path) + 1;
    for (int i = 0; i < io->disk->name_count; i++) {
        const char *full = io->disk->names[i].path;
        if (!is_below(full, path) || strchr(full + skip, '/') != NULL) continue;
        (void)snprintf(names[count++], DISK_PATH_SIZE, "%s", full + skip);
    }
    qsort(names, count, sizeof names[0], name_compare);
    for (size_t i = 0; i < count; i++) each(context, names[i]);
    return 0;
}

int io_rename(struct io *io, const char *from, const char *to)
{
    if (name_find(io->disk, from) < 0) return E_NOTFOUND;
    struct op op = op_named(OP_RENAME, from);
    (void)snprintf(op.to, sizeof op.to, "%s", to);
    (void)op_do(op);
    return 0;
}

int io_unlink(struct io *io, const char *path)
{
    if (name_find(io->disk, path) < 0) return E_NOTFOUND;
    (void)op_do(op_named(OP_UNLINK, path));
    return 0;
}

int io_dir_remove(struct io *io, const char *path)
{
    for (int i = io->disk->name_count; i-- > 0;)
        if (is_below(io->disk->names[i].path, path))
            (void)op_do(op_named(OP_UNLINK, io->disk->names[i].path));
    return io_unlink(io, path);
}
