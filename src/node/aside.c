/* src/node/aside.c: the old one goes first, so that a crash leaves too few of them, and never two. */
#include "node/aside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PATH_SIZE = 512,
    US_PER_S = 1000 * 1000,
};

/* 'dir' taken apart: where it is, and how the names of those put aside begin. */
struct place {
    struct io *io;
    char parent[PATH_SIZE];
    char prefix[PATH_SIZE];
    int rc;
};

static int place_init(struct place *p, struct io *io, const char *dir)
{
    const char *slash = strrchr(dir, '/');
    if (slash == NULL || strlen(dir) + sizeof ".damaged." > PATH_SIZE) return E_INVALID;
    *p = (struct place){.io = io};
    memcpy(p->parent, dir, (size_t)(slash - dir));
    (void)snprintf(p->prefix, sizeof p->prefix, "%s.damaged.", slash + 1);
    return 0;
}

static void remove_if_aside(void *context, const char *name)
{
    struct place *p = context;
    char path[2 * PATH_SIZE];
    if (p->rc != 0 || strncmp(name, p->prefix, strlen(p->prefix)) != 0) return;
    (void)snprintf(path, sizeof path, "%s/%s", p->parent, name);
    p->rc = io_dir_remove(p->io, path);
}

static int remove_all(struct place *p)
{
    int rc = io_dir_list(p->io, p->parent, remove_if_aside, p);
    return rc != 0 ? rc : p->rc;
}

int aside_put(struct io *io, const char *dir)
{
    struct place p;
    char to[2 * PATH_SIZE + 32];
    int rc = place_init(&p, io, dir);
    if (rc == 0) rc = remove_all(&p);
    if (rc != 0) return rc;
    (void)snprintf(to, sizeof to, "%s/%s%" PRIu64, p.parent, p.prefix,
                   io_now(io).wall_us / US_PER_S);
    rc = io_rename(io, dir, to);
    if (rc == E_NOTFOUND) return 0;
    return rc == 0 ? io_dir_sync(io, p.parent) : rc;
}

int aside_remove(struct io *io, const char *dir)
{
    struct place p;
    int rc = place_init(&p, io, dir);
    return rc == 0 ? remove_all(&p) : rc;
}
