/* src/node/node_identity.h: who this node is: a number drawn at its first start and kept in the file
 * 'node' of its data directory. It stays the same when the server's address changes. Blocking. */
#pragma once
#include "io/io.h"

/* Read the id, or draw one and write it. Returns 0; E_CORRUPT: the file holds no id; E_IO, E_NOSPACE. */
int node_identity_load(struct io *io, const char *data_dir, uint64_t *id, struct err *e) MUST_CHECK;
