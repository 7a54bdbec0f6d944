/* sim/io/tcp.h: the process's side of connections: what tcp.c and listen.c have in common. */
#pragma once
#include "sim/io/net.h"

/* An accepted connection, reading. side.conn may be NULL: then it is closed at once. */
struct io_tcp *sim_tcp_accepted(struct io_loop *loop, struct side side,
                                const struct io_tcp_handler *handler, void *context);

void sim_tcps_drop(struct io_loop *loop, enum sim_end how);
