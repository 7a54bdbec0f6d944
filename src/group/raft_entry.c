/* src/group/raft_entry.c: an entry of libraft's log: the commands of one batch. Entries are
 * multiples of eight bytes: libraft takes no others.
 *
 *     offset  size  field     little-endian
 *     0       8     size      bytes of the commands
 *     8       n     commands, each   4  size
 *                                    m  bytes
 *     8+n     0-7   zeros */
#include "base/bytes.h"
#include "group/raft_impl.h"

enum { ENTRY_HEAD_SIZE = 8, ENTRY_UNIT = 8, COMMAND_HEAD_SIZE = 4 };

int raft_entry_add(struct buf *commands, struct slice command)
{
    if (command.size > UINT32_MAX) return E_LIMIT;
    int rc = buf_reserve(commands, COMMAND_HEAD_SIZE + command.size);
    if (rc != 0) return rc;
    buf_append_le32(commands, (uint32_t)command.size);
    buf_append_slice(commands, command);
    return 0;
}

bool raft_entry_seal(struct slice commands, struct raft_buffer *out)
{
    size_t size = ENTRY_HEAD_SIZE + (commands.size + ENTRY_UNIT - 1) / ENTRY_UNIT * ENTRY_UNIT;
    uint8_t *data = raft_calloc(1, size);
    if (data == NULL) return false;
    bytes_put_le64(data, commands.size);
    memcpy(data + ENTRY_HEAD_SIZE, commands.data, commands.size);
    *out = (struct raft_buffer){data, size};
    return true;
}

bool raft_entry_next(struct slice *commands, struct slice *command)
{
    if (commands->size < COMMAND_HEAD_SIZE) return false;
    uint32_t size = bytes_get_le32(commands->data);
    struct slice rest = slice_skip(*commands, COMMAND_HEAD_SIZE);
    if (size > rest.size) return false;
    *command = slice_of(rest.data, size);
    *commands = slice_skip(rest, size);
    return true;
}

bool raft_entry_open(struct slice entry, struct slice *commands)
{
    if (entry.size < ENTRY_HEAD_SIZE) return false;
    uint64_t size = bytes_get_le64(entry.data);
    if (size > entry.size - ENTRY_HEAD_SIZE) return false;
    struct slice walk = slice_of(entry.data + ENTRY_HEAD_SIZE, (size_t)size), command;
    *commands = walk;
    while (raft_entry_next(&walk, &command)) {
    }
    return walk.size == 0;
}
