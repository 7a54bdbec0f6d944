/* sim/group/log_sim.c: records in, records out. */
#include "sim/group/log_sim.h"

#include <stdio.h>

#include "base/crc.h"
#include "base/mem.h"

enum { HEAD_SIZE = 16, PATH_SIZE = 300, RECORD_SIZE_MAX = 64 << 20 };

struct record {
    uint64_t index;
    struct slice bytes;
};

void log_sim_encode(struct buf *to, uint64_t index, struct slice bytes)
{
    size_t at = to->size;
    buf_append_le32(to, (uint32_t)bytes.size);
    buf_append_le32(to, 0);
    buf_append_le64(to, index);
    buf_append_slice(to, bytes);
    if (buf_status(to) != 0) return;
    uint8_t *head = to->data + at;
    bytes_put_le32(head + 4, crc32c(crc32c(0, head, 4), head + 8, 8 + bytes.size));
}

/* Take the record at the front. False when there is no whole one. */
static bool record_next(struct slice *in, struct record *out)
{
    if (in->size < HEAD_SIZE) return false;
    uint32_t size = bytes_get_le32(in->data);
    if (size > RECORD_SIZE_MAX || in->size - HEAD_SIZE < size) return false;
    uint32_t crc = crc32c(crc32c(0, in->data, 4), in->data + 8, 8 + (size_t)size);
    if (crc != bytes_get_le32(in->data + 4)) return false;
    out->index = bytes_get_le64(in->data + 8);
    out->bytes = slice_of(in->data + HEAD_SIZE, size);
    *in = slice_skip(*in, HEAD_SIZE + size);
    return true;
}

static void path_of(const struct log_sim *log, const char *name, char *out)
{
    (void)snprintf(out, PATH_SIZE, "%s/%s", log->dir, name);
}

static int read_all(struct io_file *file, struct buf *out)
{
    uint64_t size;
    size_t got;
    int rc = io_file_size(file, &size);
    if (rc != 0 || size == 0) return rc;
    uint8_t *to = buf_extend(out, (size_t)size);
    if (to == NULL) return E_NOMEM;
    return io_file_read(file, 0, to, (size_t)size, &got);
}

static int load_snapshot(struct log_sim *log, const struct log_sim_handler *handler, void *context,
                         uint64_t *index)
{
    char path[PATH_SIZE];
    struct io_file *file;
    struct buf bytes = {0};
    struct record record;
    path_of(log, "snapshot", path);
    int rc = io_file_open(log->io, path, IO_OPEN_READ, &file);
    if (rc != 0) return rc == E_NOTFOUND ? 0 : rc;
    rc = read_all(file, &bytes);
    struct slice in = buf_slice(&bytes);
    if (rc == 0 && !record_next(&in, &record))
        rc = E_CORRUPT; /* It was synced before its rename. */
    if (rc == 0) rc = handler->on_snapshot(context, record.index, record.bytes);
    if (rc == 0) *index = record.index;
    buf_fini(&bytes);
    io_file_close(file);
    return rc;
}

/* Replay what is newer than the snapshot, and cut what is torn. */
static int load_commands(struct log_sim *log, const struct log_sim_handler *handler, void *context,
                         uint64_t after)
{
    struct buf bytes = {0};
    struct record record;
    int rc = read_all(log->commands, &bytes);
    struct slice in = buf_slice(&bytes);
    while (rc == 0 && record_next(&in, &record)) {
        log->size = bytes.size - in.size;
        if (record.index > after) handler->on_command(context, record.index, record.bytes);
    }
    buf_fini(&bytes);
    return rc == 0 ? io_file_truncate(log->commands, log->size) : rc;
}

int log_sim_open(struct log_sim *log, struct io *io, const char *dir,
                 const struct log_sim_handler *handler, void *context)
{
    char path[PATH_SIZE];
    uint64_t index = 0;
    *log = (struct log_sim){.io = io};
    (void)snprintf(log->dir, sizeof log->dir, "%s", dir);
    path_of(log, "commands", path);
    int rc = io_dir_make(io, dir);
    if (rc == 0)
        rc = io_file_open(io, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &log->commands);
    if (rc == 0) rc = load_snapshot(log, handler, context, &index);
    if (rc == 0) rc = load_commands(log, handler, context, index);
    if (rc == 0) rc = io_file_sync(log->commands);
    for (char *end = path; rc == 0 && end != NULL;) { /* The names above, up to the root. */
        end = strrchr(path, '/');
        if (end == NULL) break;
        *end = '\0';
        rc = io_dir_sync(io, path[0] == '\0' ? "/" : path);
    }
    if (rc != 0) log_sim_close(log);
    return rc;
}

void log_sim_close(struct log_sim *log)
{
    io_file_close(log->commands);
    log->commands = NULL;
}

int log_sim_append(struct log_sim *log, struct slice records)
{
    int rc = io_file_write(log->commands, log->size, &records, 1);
    if (rc == 0) rc = io_file_sync(log->commands);
    if (rc == 0) log->size += records.size;
    return rc;
}

int log_sim_save(struct log_sim *log, struct slice snapshot)
{
    char path[PATH_SIZE], aside[PATH_SIZE];
    struct io_file *file = NULL;
    path_of(log, "snapshot", path);
    path_of(log, "snapshot.new", aside);
    int rc = io_file_open(log->io, aside, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
    if (rc != 0) return rc;
    rc = io_file_truncate(file, 0);
    if (rc == 0) rc = io_file_write(file, 0, &snapshot, 1);
    if (rc == 0) rc = io_file_sync(file);
    io_file_close(file);
    if (rc == 0) rc = io_rename(log->io, aside, path);
    if (rc == 0) rc = io_dir_sync(log->io, log->dir);
    if (rc == 0) rc = io_file_truncate(log->commands, 0);
    if (rc != 0) return rc;
    log->size = 0;
    return io_file_sync(log->commands);
}
