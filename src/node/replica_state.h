/* src/node/replica_state.h: the one small file beside a replica's store: its configuration, which is
 * durable before anything is said under its ballot (docs/replication.md, R4).
 *
 *     <replica>/state      magic | crc32c of the rest | ballot | primary | member count | members
 *                          | learner | floor: ballot, decree
 *     <replica>/state.tmp  the next one, until it is complete and renamed
 *
 * All integers are little-endian. Blocking. */
#pragma once
#include "core/repl/repl.h"
#include "io/io.h"

/* Read it. No file: '*out' is all zero, ballot 0. Returns 0, E_CORRUPT, E_IO, E_NOMEM. */
int replica_state_load(struct io *io, const char *dir, struct repl_saved *out) MUST_CHECK;

/* Replace it, durably. On failure the old one is still there. Returns 0, E_IO, E_NOSPACE, E_NOMEM. */
int replica_state_save(struct io *io, const char *dir, const struct repl_saved *state) MUST_CHECK;
