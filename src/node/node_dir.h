/* src/node/node_dir.h: directories that are still there after a loss of power. */
#pragma once
#include "io/io.h"

/* Make 'path' where it is missing, and sync the directory that holds it: also when it was there, for it
 * may have been made just before a crash. Blocking. Returns what io_dir_make() and io_dir_sync() do. */
int node_dir_make(struct io *io, const char *path) MUST_CHECK;
