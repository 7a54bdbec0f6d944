/* sim/store/files.c: see files.h. Names change hands as RocksDB's do: a file is written under another
 * name, synced, and renamed. */
#include "sim/store/files.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/crc.h"

enum {
    TABLE_SIZE = 4096,
    HEAD_SIZE = 36,
    ENTRY_SIZE = 12,
    CRC_SIZE = 4,
    ROW_HEAD_SIZE = 8,
    NAME_SIZE = 32,
    PATH_SIZE = 1024,
};

#define HEAD_NAME  "CURRENT"
#define HEAD_DRAFT "CURRENT.tmp"

struct head {
    uint64_t identity, decree, timestamp_us, compacted_s;
    struct slice tables; /* Borrowed. */
};

/* ---- Files ----------------------------------------------------------------------------------- */

struct path {
    char text[PATH_SIZE];
};

static struct path path_of(const char *dir, const char *between, const char *name)
{
    struct path path;
    (void)snprintf(path.text, sizeof path.text, "%s%s%s", dir, between, name);
    return path;
}

/* Write and sync a file that is not there yet. */
static int file_save(struct io *io, const char *dir, const char *name, const struct buf *bytes)
{
    struct io_file *file;
    struct slice piece = buf_slice(bytes);
    struct path path = path_of(dir, "/", name);
    int rc = buf_status(bytes);
    if (rc == 0)
        rc = io_file_open(io, path.text, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE, &file);
    if (rc != 0) return rc;
    rc = io_file_write(file, 0, &piece, 1);
    if (rc == 0) rc = io_file_sync(file);
    io_file_close(file);
    return rc;
}

/* Append what is in a file. */
static int file_load(struct io *io, const char *dir, const char *name, struct buf *out)
{
    struct io_file *file;
    uint64_t size;
    size_t got = 0;
    struct path path = path_of(dir, "/", name);
    int rc = io_file_open(io, path.text, IO_OPEN_READ, &file);
    if (rc != 0) return rc;
    rc = io_file_size(file, &size);
    uint8_t *at = rc == 0 && size > 0 ? buf_extend(out, (size_t)size) : NULL;
    if (rc == 0) rc = buf_status(out);
    if (rc == 0 && at != NULL) rc = io_file_read(file, 0, at, (size_t)size, &got);
    if (rc == 0 && got < size) rc = E_CORRUPT;
    io_file_close(file);
    return rc;
}

/* ---- CURRENT --------------------------------------------------------------------------------- */

static void head_write(struct buf *out, const struct head *head)
{
    buf_append_be64(out, head->identity);
    buf_append_be64(out, head->decree);
    buf_append_be64(out, head->timestamp_us);
    buf_append_be64(out, head->compacted_s);
    buf_append_be32(out, (uint32_t)(head->tables.size / ENTRY_SIZE));
    buf_append_slice(out, head->tables);
    buf_append_be32(out, crc32c(0, out->data, out->size));
}

static int head_read(struct slice in, struct head *out)
{
    if (in.size < HEAD_SIZE + CRC_SIZE) return E_CORRUPT;
    size_t size = in.size - CRC_SIZE;
    if (crc32c(0, in.data, size) != bytes_get_be32(in.data + size)) return E_CORRUPT;
    if (size - HEAD_SIZE != (uint64_t)bytes_get_be32(in.data + 32) * ENTRY_SIZE) return E_CORRUPT;
    *out = (struct head){
        .identity = bytes_get_be64(in.data),
        .decree = bytes_get_be64(in.data + 8),
        .timestamp_us = bytes_get_be64(in.data + 16),
        .compacted_s = bytes_get_be64(in.data + 24),
        .tables = slice_of(in.data + HEAD_SIZE, size - HEAD_SIZE),
    };
    return 0;
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static struct path table_name(uint64_t crc)
{
    struct path name;
    (void)snprintf(name.text, sizeof name.text, "%016" PRIx64 ".sst", crc);
    return name;
}

static void row_write(struct buf *out, const struct row *row)
{
    buf_append_be32(out, (uint32_t)row->key.size);
    buf_append_be32(out, (uint32_t)row->value.size);
    buf_append_slice(out, row->key);
    buf_append_slice(out, row->value);
}

/* Save the table and add it to the list. */
static int table_save(struct io *io, const char *dir, struct buf *table, struct buf *list)
{
    uint64_t crc = crc64(table->data, table->size);
    int rc = file_save(io, dir, table_name(crc).text, table);
    buf_append_be64(list, crc);
    buf_append_be32(list, (uint32_t)table->size);
    buf_clear(table);
    return rc;
}

static int tables_save(struct io *io, const char *dir, struct pmap rows, struct buf *list)
{
    int rc = 0;
    struct buf table = {0};
    for (struct row *row = pmap_first(rows); row != NULL && rc == 0;
         row = pmap_after(rows, row->key)) {
        size_t size = ROW_HEAD_SIZE + row->key.size + row->value.size;
        if (table.size > 0 && table.size + size > TABLE_SIZE)
            rc = table_save(io, dir, &table, list);
        row_write(&table, row);
    }
    if (rc == 0 && table.size > 0) rc = table_save(io, dir, &table, list);
    buf_fini(&table);
    return rc;
}

/* Append the bytes of the table that stands at the front of the list. */
static int table_load(struct io *io, const char *dir, struct slice list, struct buf *out,
                      struct err *e)
{
    uint64_t crc = bytes_get_be64(list.data);
    uint32_t size = bytes_get_be32(list.data + 8);
    size_t before = out->size;
    struct path name = table_name(crc);
    int rc = file_load(io, dir, name.text, out);
    if (rc == E_NOTFOUND) return err_set(e, E_CORRUPT, "store %s: %s is missing", dir, name.text);
    if (rc != 0) return err_set(e, rc, "store %s: %s: %s", dir, name.text, err_text(rc));
    if (out->size - before != size)
        return err_set(e, E_CORRUPT, "store %s: %s: %zu bytes instead of %" PRIu32, dir, name.text,
                       out->size - before, size);
    if (crc64(out->data + before, size) != crc)
        return err_set(e, E_CORRUPT, "store %s: %s: checksum is wrong", dir, name.text);
    return 0;
}

/* Put the row at the front of 'in' into the map, and step over it. */
static int row_read(struct slice *in, struct pmap *rows)
{
    if (in->size < ROW_HEAD_SIZE) return E_CORRUPT;
    size_t key_size = bytes_get_be32(in->data), value_size = bytes_get_be32(in->data + 4);
    struct slice bytes = slice_skip(*in, ROW_HEAD_SIZE);
    if (key_size + value_size > bytes.size) return E_CORRUPT;
    struct slice value = slice_of(bytes.data + key_size, value_size);
    struct row *row = row_new(slice_of(bytes.data, key_size), value, slice_of(NULL, 0));
    pmap_put(rows, row);
    row_unref(row);
    *in = slice_skip(bytes, key_size + value_size);
    return 0;
}

/* ---- Saving ---------------------------------------------------------------------------------- */

static void see_name(void *context, const char *name)
{
    (void)context;
    (void)name;
}

static int content_save(struct io *io, const char *dir, const struct store_content *content)
{
    struct buf list = {0}, bytes = {0};
    int rc = tables_save(io, dir, content->rows, &list);
    if (rc == 0) rc = buf_status(&list);
    struct head head = {0, content->decree, content->timestamp_us, content->compacted_s,
                        buf_slice(&list)};
    if (rc == 0) head_write(&bytes, &head);
    if (rc == 0) rc = file_save(io, dir, HEAD_NAME, &bytes);
    if (rc == 0) rc = io_dir_sync(io, dir);
    buf_fini(&bytes);
    buf_fini(&list);
    return rc;
}

int store_files_save(struct io *io, const char *dir, const struct store_content *content,
                     struct err *e)
{
    struct path draft = path_of(dir, ".tmp", "");
    int rc = io_dir_list(io, dir, see_name, NULL);
    if (rc == 0) return err_set(e, E_EXISTS, "checkpoint %s: it is there", dir);
    if (rc == E_NOTFOUND) rc = io_dir_remove(io, draft.text);
    if (rc == 0) rc = io_dir_make(io, draft.text);
    if (rc == 0) rc = content_save(io, draft.text, content);
    if (rc == 0) rc = io_rename(io, draft.text, dir);
    if (rc == 0) return 0;
    int removed = io_dir_remove(io, draft.text);
    (void)removed; /* Else the next checkpoint will: the first failure is the one to tell. */
    return err_set(e, rc, "checkpoint %s: %s", dir, err_text(rc));
}

/* ---- Loading --------------------------------------------------------------------------------- */

static void see_table(void *context, const char *name)
{
    bool *has_tables = context;
    if (slice_has_suffix(slice_str(name), slice_str(".sst"))) *has_tables = true;
}

/* There is no CURRENT: because there is no store, or because it was lost. */
static int headless(struct io *io, const char *dir, struct err *e)
{
    bool has_tables = false;
    int rc = io_dir_list(io, dir, see_table, &has_tables);
    if (rc == 0 && has_tables)
        return err_set(e, E_CORRUPT, "store %s: table files, but no CURRENT file", dir);
    if (rc == 0 || rc == E_NOTFOUND) return E_NOTFOUND;
    return err_set(e, rc, "store %s: %s", dir, err_text(rc));
}

static int head_load(struct io *io, const char *dir, struct buf *bytes, struct head *head,
                     struct err *e)
{
    int rc = file_load(io, dir, HEAD_NAME, bytes);
    if (rc == E_NOTFOUND) return headless(io, dir, e);
    if (rc == 0) rc = head_read(buf_slice(bytes), head);
    return rc == 0 ? 0 : err_set(e, rc, "store %s: CURRENT: %s", dir, err_text(rc));
}

int store_files_load(struct io *io, const char *dir, struct store_content *content,
                     uint64_t *identity, struct err *e)
{
    struct buf bytes = {0}, rows = {0};
    struct head head;
    struct pmap map = {0};
    int rc = head_load(io, dir, &bytes, &head, e);
    if (rc != 0) goto fini;
    for (struct slice at = head.tables; at.size > 0 && rc == 0; at = slice_skip(at, ENTRY_SIZE))
        rc = table_load(io, dir, at, &rows, e);
    if (rc != 0) goto fini;
    /* From here on the process doesn't die: there is no more I/O. */
    for (struct slice in = buf_slice(&rows); in.size > 0 && rc == 0;) rc = row_read(&in, &map);
    if (rc != 0) {
        rc = err_set(e, rc, "store %s: a row is malformed", dir);
        pmap_fini(&map);
        goto fini;
    }
    *content = (struct store_content){map, head.decree, head.timestamp_us, head.compacted_s};
    *identity = head.identity;

fini:
    buf_fini(&rows);
    buf_fini(&bytes);
    return rc;
}

/* ---- Claiming -------------------------------------------------------------------------------- */

static int head_replace(struct io *io, const char *dir, const struct head *head)
{
    struct path draft = path_of(dir, "/", HEAD_DRAFT), path = path_of(dir, "/", HEAD_NAME);
    struct buf bytes = {0};
    head_write(&bytes, head);
    int rc = io_unlink(io, draft.text); /* Of a process that ended in the middle of this. */
    if (rc == 0 || rc == E_NOTFOUND) rc = file_save(io, dir, HEAD_DRAFT, &bytes);
    if (rc == 0) rc = io_rename(io, draft.text, path.text);
    if (rc == 0) rc = io_dir_sync(io, dir);
    buf_fini(&bytes);
    return rc;
}

int store_files_claim(struct io *io, const char *dir, uint64_t identity, struct err *e)
{
    struct buf bytes = {0};
    struct head head = {0};
    int rc = head_load(io, dir, &bytes, &head, e);
    if (rc == E_NOTFOUND) rc = io_dir_make(io, dir);
    if (rc == 0) {
        head.identity = identity;
        rc = head_replace(io, dir, &head);
    }
    buf_fini(&bytes);
    return rc == 0 ? 0 : err_set(e, rc, "store %s: CURRENT: %s", dir, err_text(rc));
}
