/* tests/io/conformance.h: what every adapter of io.h must do, as stories that know nothing else.
 *
 * The stories run in the real world (test_io_uv.c) and inside the simulator, from the same source.
 * Each adapter's test program supplies the functions of a world and calls conformance_run(). A
 * story acts through world_do() and on loops, and waits for flags: where time passes only when
 * somebody makes it pass, world_wait() is that somebody. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

#include "io/io.h"

/* ---- Supplied by the adapter's test program -------------------------------------------------- */

/* A machine that is switched on, without loops. Never fails: stops the test instead. */
struct io *world_open(void);

/* Its loops are closed. */
void world_close(struct io *io);

/* Run 'run' now, as the main thread of the machine's process, which may block. */
void world_do(struct io *io, void (*run)(void *context), void *context);

/* Let time pass until '*flag'. False: that took more than 20 seconds of the machine's clock. */
bool world_wait(struct io *io, const atomic_bool *flag);

/* A directory of the machine, which is there and empty when it is opened. */
const char *world_dir(struct io *io);

/* Where a machine can listen and reach itself; port 0. */
struct io_address world_address(struct io *io);

/* ---- Supplied to it -------------------------------------------------------------------------- */

/* Run all stories; returns how many failed. */
int conformance_run(void);
