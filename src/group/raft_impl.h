/* src/group/raft_impl.h: what the files of the libraft adapter share; nobody else includes it.
 *
 *     raft.c       the group: proposing, applying, leading, closing
 *     raft_dir.c   its directory, made whole or not at all
 *     raft_entry.c a command as libraft wants it
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

/* A copy of the command as the data of an entry, to be freed with raft_free(). False: no memory. */
bool raft_entry_new(struct slice command, struct raft_buffer *out) MUST_CHECK;

/* The command in an entry's data; it borrows from it. False: no such bytes. */
bool raft_entry_read(struct slice entry, struct slice *out) MUST_CHECK;

/* A group of one has nobody to listen to and nobody to call. */
void raft_alone_init(struct raft_uv_transport *transport);
