/* src/group/raft_entry.c: a command as libraft wants it: its log takes multiples of eight bytes only.
 *
 *     offset  size  field    little-endian
 *     0       8     size     bytes of the command
 *     8       n     command
 *     8+n     0-7   zeros */
#include "base/bytes.h"
#include "group/raft_impl.h"

enum { ENTRY_HEAD_SIZE = 8, ENTRY_UNIT = 8 };

bool raft_entry_new(struct slice command, struct raft_buffer *out)
{
    size_t size = ENTRY_HEAD_SIZE + (command.size + ENTRY_UNIT - 1) / ENTRY_UNIT * ENTRY_UNIT;
    uint8_t *data = raft_calloc(1, size);
    if (data == NULL) return false;
    bytes_put_le64(data, command.size);
    if (command.size > 0) memcpy(data + ENTRY_HEAD_SIZE, command.data, command.size);
    *out = (struct raft_buffer){data, size};
    return true;
}

bool raft_entry_read(struct slice entry, struct slice *out)
{
    if (entry.size < ENTRY_HEAD_SIZE) return false;
    uint64_t size = bytes_get_le64(entry.data);
    if (size > entry.size - ENTRY_HEAD_SIZE) return false;
    *out = slice_of(entry.data + ENTRY_HEAD_SIZE, (size_t)size);
    return true;
}
