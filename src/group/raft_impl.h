/* src/group/raft_impl.h: what the files of the libraft adapter share; nobody else includes it.
 *
 *     raft.c       the group: proposing, applying, leading, closing
 *     raft_dir.c   its directory, made whole or not at all
 *     raft_entry.c commands as libraft wants them
 *     raft_alone.c a transport for a group of one
 */
#pragma once
#include <raft.h>
#include <raft/uv.h>

#include "group/group.h"

enum {
    RAFT_MEMBERS_MAX = 9,
    RAFT_SEGMENT_SIZE = 256 * 1024, /* Bytes of an open log segment; libraft keeps up to three. */
};

/* The code nearest to one of libraft's. */
int raft_code(int status);

/* See that the group's directory holds a log with the first configuration. Blocking.
 * Returns 0, or a code and the reason in 'e'. */
int raft_dir_prepare(struct io *io, const struct group_options *options, struct err *e) MUST_CHECK;

/* Add a command to those of an entry. Returns 0; E_NOMEM or E_LIMIT, and then nothing was added. */
int raft_entry_add(struct buf *commands, struct slice command) MUST_CHECK;

/* A copy of the commands as an entry's data, to be freed with raft_free(). False: no memory. */
bool raft_entry_seal(struct slice commands, struct raft_buffer *out) MUST_CHECK;

/* The commands in an entry's data, which they borrow from. False: these bytes are no entry. */
bool raft_entry_open(struct slice entry, struct slice *commands) MUST_CHECK;

/* Take the first of them. False at the end. */
bool raft_entry_next(struct slice *commands, struct slice *command);

/* A group of one has nobody to listen to and nobody to call. */
void raft_alone_init(struct raft_uv_transport *transport);
