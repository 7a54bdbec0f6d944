/* src/io/uv.h: opening the real world: io.h over libuv, threads, sockets and files of the system.
 *
 * For main(), for tests, and for the one other adapter that needs the loop itself
 * (src/group/raft.c). */
#pragma once
#include <uv.h>

#include "io/io.h"

/* Open the world: its pool of threads for blocking work. From here on SIGPIPE is ignored in the
 * whole process. Returns 0 and gives '*out', to be closed with io_uv_close(); or E_NOMEM, E_IO. */
int io_uv_open(struct io **out) MUST_CHECK;

/* All its loops have been closed. Lets go of what io_lock() held. Accepts NULL. */
void io_uv_close(struct io *io);

/* libuv's loop, to be used on the thread of 'loop' only, which therefore gets no quick messages.
 * Handles opened on it must be closed, and their close callbacks seen, before io_loop_close(). */
uv_loop_t *io_uv_loop(struct io_loop *loop);
