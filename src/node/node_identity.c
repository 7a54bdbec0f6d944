/* src/node/node_identity.c: sixteen hexadecimal digits and a newline, so that a person can read it. */
#include "node/node_identity.h"

#include <inttypes.h>
#include <stdio.h>

enum { IDENTITY_SIZE = 17, PATH_SIZE = 512, FRESH_SIZE = PATH_SIZE + 4 };

static int identity_read(struct io_file *file, uint64_t *id)
{
    char text[IDENTITY_SIZE + 1] = {0};
    size_t got = 0;
    int rc = io_file_read(file, 0, text, IDENTITY_SIZE, &got);
    if (rc != 0) return rc;
    return got == IDENTITY_SIZE && sscanf(text, "%16" SCNx64, id) == 1 && *id != 0 ? 0 : E_CORRUPT;
}

/* Ids travel as positive i64. */
static uint64_t draw(struct io *io)
{
    return io_seed(io) >> 1 | 1;
}

static int identity_write(struct io *io, const char *data_dir, const char *path, uint64_t id)
{
    char text[IDENTITY_SIZE + 1], fresh[FRESH_SIZE];
    (void)snprintf(text, sizeof text, "%016" PRIx64 "\n", id);
    (void)snprintf(fresh, sizeof fresh, "%s.tmp", path);
    struct slice bytes = slice_of(text, IDENTITY_SIZE);
    struct io_file *file;
    int rc = io_file_open(io, fresh, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
    if (rc != 0) return rc;
    rc = io_file_write(file, 0, &bytes, 1);
    if (rc == 0) rc = io_file_sync(file);
    io_file_close(file);
    if (rc == 0) rc = io_rename(io, fresh, path);
    return rc == 0 ? io_dir_sync(io, data_dir) : rc;
}

int node_identity_load(struct io *io, const char *data_dir, uint64_t *id, struct err *e)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/node", data_dir);
    struct io_file *file;
    int rc = io_file_open(io, path, IO_OPEN_READ, &file);
    if (rc == 0) {
        rc = identity_read(file, id);
        io_file_close(file);
    } else if (rc == E_NOTFOUND) {
        *id = draw(io);
        rc = identity_write(io, data_dir, path, *id);
    }
    return rc == 0 ? 0 : err_set(e, rc, "%s: %s", path, err_text(rc));
}
