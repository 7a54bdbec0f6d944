/* src/node/replica_state.c: write beside, sync, rename, sync the directory: the only order in which a
 * crash leaves either the old file or the new one. */
#include "node/replica_state.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/crc.h"

enum {
    STATE_MAGIC = 0x73525250, /* "PRRs" */
    STATE_HEAD_SIZE = 8,      /* Magic and checksum. */
    STATE_FIXED_SIZE = 28,    /* ... ballot, primary, count. */
    STATE_TAIL_SIZE = 24,     /* Learner, floor. Files of older programs have none. */
    STATE_SIZE_MAX = STATE_FIXED_SIZE + 8 * REPL_MEMBERS_MAX + STATE_TAIL_SIZE,
    STATE_PATH_SIZE = 512,
};

static int state_read(const uint8_t *at, size_t size, struct repl_saved *out)
{
    if (size < STATE_FIXED_SIZE || bytes_get_le32(at) != STATE_MAGIC) return E_CORRUPT;
    const uint32_t count = bytes_get_le32(at + 24);
    const size_t head_size = STATE_FIXED_SIZE + 8 * (size_t)count;
    if (count > REPL_MEMBERS_MAX || (size != head_size && size != head_size + STATE_TAIL_SIZE))
        return E_CORRUPT;
    if (bytes_get_le32(at + 4) != crc32c(0, at + STATE_HEAD_SIZE, size - STATE_HEAD_SIZE))
        return E_CORRUPT;
    *out = (struct repl_saved){.config = {
                                   .ballot = bytes_get_le64(at + 8),
                                   .primary = bytes_get_le64(at + 16),
                                   .member_count = count,
                               }};
    for (uint32_t i = 0; i < count; i++)
        out->config.members[i] = bytes_get_le64(at + STATE_FIXED_SIZE + 8 * (size_t)i);
    if (size == head_size) return 0;
    out->config.learner = bytes_get_le64(at + head_size);
    out->floor.ballot = bytes_get_le64(at + head_size + 8);
    out->floor.decree = bytes_get_le64(at + head_size + 16);
    return 0;
}

int replica_state_load(struct io *io, const char *dir, struct repl_saved *out)
{
    char path[STATE_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/state", dir);
    struct io_file *file;
    int rc = io_file_open(io, path, IO_OPEN_READ, &file);
    if (rc == E_NOTFOUND) {
        *out = (struct repl_saved){0};
        return 0;
    }
    if (rc != 0) return rc;
    uint8_t bytes[STATE_SIZE_MAX + 1];
    size_t got = 0;
    rc = io_file_read(file, 0, bytes, sizeof bytes, &got);
    io_file_close(file);
    return rc != 0 ? rc : state_read(bytes, got, out);
}

static void state_write(struct buf *to, const struct repl_saved *state)
{
    const struct repl_config *c = &state->config;
    buf_append_le32(to, STATE_MAGIC);
    buf_append_le32(to, 0);
    buf_append_le64(to, c->ballot);
    buf_append_le64(to, c->primary);
    buf_append_le32(to, c->member_count);
    for (uint32_t i = 0; i < c->member_count; i++) buf_append_le64(to, c->members[i]);
    buf_append_le64(to, c->learner);
    buf_append_le64(to, state->floor.ballot);
    buf_append_le64(to, state->floor.decree);
    if (to->failed) return;
    bytes_put_le32(to->data + 4, crc32c(0, to->data + STATE_HEAD_SIZE, to->size - STATE_HEAD_SIZE));
}

static int file_put(struct io *io, const char *path, struct slice bytes)
{
    struct io_file *file;
    int rc = io_file_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
    if (rc != 0) return rc;
    rc = io_file_truncate(file, 0);
    if (rc == 0) rc = io_file_write(file, 0, &bytes, 1);
    if (rc == 0) rc = io_file_sync(file);
    io_file_close(file);
    return rc;
}

int replica_state_save(struct io *io, const char *dir, const struct repl_saved *state)
{
    char path[STATE_PATH_SIZE], fresh[STATE_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/state", dir);
    (void)snprintf(fresh, sizeof fresh, "%s/state.tmp", dir);
    struct buf bytes = {0};
    state_write(&bytes, state);
    int rc = buf_status(&bytes);
    if (rc == 0) rc = file_put(io, fresh, buf_slice(&bytes));
    if (rc == 0) rc = io_rename(io, fresh, path);
    if (rc == 0) rc = io_dir_sync(io, dir);
    buf_fini(&bytes);
    return rc;
}
