/* src/node/meta_copy.c: this node's copy of the cluster's state, and the version that it has.
 *
 *     offset  size  field of a copy as bytes   little-endian
 *     0       8     version                    commands that made it (docs/meta.md, M33)
 *     8       n     state                      as core/meta/snapshot.c writes it */
#include "base/bytes.h"
#include "node/node_impl.h"

enum { COPY_HEAD_SIZE = 8 };

int meta_copy_apply(struct node *n, struct slice command, struct buf *result,
                    struct meta_result *read)
{
    const size_t before = result->size;
    int rc = meta_apply(n->meta, command, result);
    if (rc != 0) return rc;
    meta_history_push(&n->history, command);
    rc = meta_result_read(slice_skip(buf_slice(result), before), read);
    CHECK(rc == 0);
    return 0;
}

int meta_copy_write(const struct node *n, struct buf *to)
{
    buf_append_le64(to, n->history.version);
    return meta_snapshot_write(n->meta, to);
}

int meta_copy_read(struct node *n, struct slice bytes)
{
    struct meta *fresh;
    if (bytes.size < COPY_HEAD_SIZE) return E_PROTO;
    int rc = meta_snapshot_read(bytes, &fresh);
    bool is_bare = rc != E_PROTO; /* As it was written before there were versions. */
    if (!is_bare) rc = meta_snapshot_read(slice_skip(bytes, COPY_HEAD_SIZE), &fresh);
    if (rc != 0) return rc;
    meta_free(n->meta);
    n->meta = fresh;
    meta_history_reset(&n->history, is_bare ? 1 : bytes_get_le64(bytes.data));
    return 0;
}
