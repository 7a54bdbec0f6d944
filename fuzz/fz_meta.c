/* fuzz/fz_meta.c: bytes as commands of the meta group and as its snapshots. Whatever is taken keeps
 * the invariants; whatever is refused changes nothing that a snapshot would show.
 *
 * The first byte chooses: even, the rest is a row of commands, each behind a two-byte size; odd,
 * the rest is the body of a snapshot, to which the right head is put. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc.h"
#include "core/meta/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A cluster with two nodes, a table and a duplication, so that commands find something. */
static struct meta *meta_with_life(void)
{
    struct meta *m = meta_new();
    const struct meta_command life[] = {
        {.type = META_CLUSTER_INIT,
         .cluster_init = {.name = slice_str("here"), .cluster_id = 1, .uuid = 1}},
        {.type = META_NODE_JOIN, .node_join = {.id = 1, .ipv4 = 1, .port = 1}},
        {.type = META_NODE_JOIN, .node_join = {.id = 2, .ipv4 = 2, .port = 1}},
        {.type = META_TABLE_CREATE,
         .table_create = {.name = slice_str("t"), .partition_count = 2, .replica_count = 1}},
        {.type = META_DUP_ADD, .dup_add = {.table = slice_str("t"), .remote = slice_str("h:1")}},
    };
    for (size_t i = 0; i < sizeof life / sizeof life[0]; i++) {
        struct buf command = {0}, result = {0};
        CHECK(meta_command_write(&life[i], &command) == 0);
        CHECK(meta_apply(m, buf_slice(&command), &result) == 0);
        buf_fini(&command);
        buf_fini(&result);
    }
    return m;
}

static void apply(struct meta *m, struct slice command)
{
    struct buf result = {0};
    struct meta_result read;
    if (meta_apply(m, command, &result) == 0)
        CHECK(meta_result_read(buf_slice(&result), &read) == 0);
    buf_fini(&result);
    meta_check(m);
}

static void fuzz_commands(struct slice bytes)
{
    struct meta *m = meta_with_life();
    while (bytes.size >= 2) {
        size_t size = bytes_get_be16(bytes.data);
        bytes = slice_skip(bytes, 2);
        if (size > bytes.size) size = bytes.size;
        apply(m, slice_of(bytes.data, size));
        bytes = slice_skip(bytes, size);
    }
    meta_free(m);
}

static void fuzz_snapshot(struct slice body)
{
    struct buf bytes = {0}, again = {0};
    struct meta *m = NULL;
    buf_append_str(&bytes, "PMS1");
    buf_append_le32(&bytes, crc32c(0, body.data, body.size));
    buf_append_slice(&bytes, body);
    if (meta_snapshot_read(buf_slice(&bytes), &m) == 0) {
        meta_check(m);
        CHECK(meta_snapshot_write(m, &again) == 0);
    }
    meta_free(m);
    buf_fini(&bytes);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0) fuzz_commands(rest);
    else fuzz_snapshot(rest);
    return 0;
}
