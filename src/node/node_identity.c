/* src/node/node_identity.c: sixteen hexadecimal digits and a newline, so that a person can read them. */
#include "node/node_identity.h"

#include <inttypes.h>
#include <stdio.h>

enum { NUMBER_SIZE = 17, PATH_SIZE = 512, FRESH_SIZE = PATH_SIZE + 4 };

static int number_read(struct io_file *file, uint64_t *number)
{
    char text[NUMBER_SIZE + 1] = {0};
    size_t got = 0;
    int rc = io_file_read(file, 0, text, NUMBER_SIZE, &got);
    if (rc != 0) return rc;
    bool is_number = got == NUMBER_SIZE && sscanf(text, "%16" SCNx64, number) == 1;
    return is_number && *number != 0 ? 0 : E_CORRUPT;
}

/* Ids travel as positive i64. */
static uint64_t draw(struct io *io)
{
    return io_seed(io) >> 1 | 1;
}

static int number_write(struct io *io, const char *data_dir, const char *path, uint64_t number)
{
    char text[NUMBER_SIZE + 1], fresh[FRESH_SIZE];
    (void)snprintf(text, sizeof text, "%016" PRIx64 "\n", number);
    (void)snprintf(fresh, sizeof fresh, "%s.tmp", path);
    struct slice bytes = slice_of(text, NUMBER_SIZE);
    struct io_file *file;
    int rc = io_file_open(io, fresh, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
    if (rc != 0) return rc;
    rc = io_file_write(file, 0, &bytes, 1);
    if (rc == 0) rc = io_file_sync(file);
    io_file_close(file);
    if (rc == 0) rc = io_rename(io, fresh, path);
    return rc == 0 ? io_dir_sync(io, data_dir) : rc;
}

/* Returns 0, E_NOTFOUND, or what else io_file_open() and number_read() say. */
static int number_load(struct io *io, const char *path, uint64_t *number)
{
    struct io_file *file;
    int rc = io_file_open(io, path, IO_OPEN_READ, &file);
    if (rc != 0) return rc;
    rc = number_read(file, number);
    io_file_close(file);
    return rc;
}

int node_identity_load(struct io *io, const char *data_dir, uint64_t *id, struct err *e)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/node", data_dir);
    int rc = number_load(io, path, id);
    if (rc == E_NOTFOUND) {
        *id = draw(io);
        rc = number_write(io, data_dir, path, *id);
    }
    return rc == 0 ? 0 : err_set(e, rc, "%s: %s", path, err_text(rc));
}

int node_incarnation_next(struct io *io, const char *data_dir, uint64_t *incarnation, struct err *e)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/incarnation", data_dir);
    *incarnation = 0;
    int rc = number_load(io, path, incarnation);
    if (rc == 0 || rc == E_NOTFOUND) rc = number_write(io, data_dir, path, ++*incarnation);
    return rc == 0 ? 0 : err_set(e, rc, "%s: %s", path, err_text(rc));
}

int node_cluster_load(struct io *io, const char *data_dir, uint64_t *uuid, struct err *e)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/cluster", data_dir);
    *uuid = 0;
    int rc = number_load(io, path, uuid);
    return rc == 0 || rc == E_NOTFOUND ? 0 : err_set(e, rc, "%s: %s", path, err_text(rc));
}

int node_cluster_save(struct io *io, const char *data_dir, uint64_t uuid)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/cluster", data_dir);
    return number_write(io, data_dir, path, uuid);
}

static void ignore_name(void *context, const char *name)
{
    (void)context;
    (void)name;
}

int node_cluster_check(struct io *io, const char *data_dir, bool is_joining, uint64_t joined,
                       struct err *e)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/meta", data_dir);
    if (!is_joining && joined == 0) return 0;
    if (!is_joining)
        return err_set(e, E_STATE,
                       "%s: this server has joined cluster %016" PRIx64
                       ": start it with 'join', or give it another data directory",
                       data_dir, joined);
    int rc = io_dir_list(io, path, ignore_name, NULL);
    if (rc == E_NOTFOUND) return 0;
    if (rc != 0) return err_set(e, rc, "%s: %s", path, err_text(rc));
    return err_set(e, E_STATE,
                   "%s: this server holds the metadata of a cluster: start it without 'join', or "
                   "give it another data directory",
                   path);
}
