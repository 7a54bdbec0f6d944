/* src/node/learn.h: the learner's half of learning: it asks its primary for what it lacks, until the rest
 * comes by itself (docs/replication.md, R12). The other half is teach.h.
 *
 *     REPL_DO_LEARN -> asking --- mutations ----> REPL_PREPARED each, then REPL_LEARNED
 *                       |   ^--- refused, lost: a pause, then asked again
 *                       | a store
 *                       v
 *                     copying <replica>/learn, file by file, piece by piece, each checked
 *                       | all there, and synced
 *                       v
 *                     <replica>/learned, and the replica closes: learn_install() puts it in place of the store
 *
 * A copy that was interrupted goes on with the next table: tables, which never change, are kept when they are
 * there whole and synced and the source's store is the same; one half copied (".part") begins again.
 * Threads: on the replica's worker, but for the files. */
#pragma once
#include "core/repl/repl.h"
#include "io/io.h"

struct learning;
struct replica;

/* Ask for what follows effect->last, as REPL_DO_LEARN wants. */
void learn_begin(struct replica *r, const struct repl_effect *effect);

/* It learns no more: it is another thing now, or closes. Harmless when it did not. */
void learn_end(struct replica *r);

/* Put a store that was copied to its end in the place of the one in 'dir', a replica's directory, and remove
 * what a crash has left of copies. Nothing is open there. Blocking. Returns 0 or what the io port does. */
int learn_install(struct io *io, const char *dir) MUST_CHECK;
