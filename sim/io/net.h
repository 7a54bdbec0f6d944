/* sim/io/net.h: connections as the systems of two machines see them: two ends and two pipes.
 *
 *     ends[0] ══ pipes[0]: flight ─> unread ══> ends[1]          0 has connected to 1
 *             <══ unread <─ flight :pipes[1] ══
 *
 * A pipe carries segments in order, each with the time at which it would arrive by itself. When the
 * first can't (its link is cut, the machine is dark) the pipe stalls, and its sender gives up some
 * time later. What has arrived waits in 'unread' for the process. An end that its system doesn't
 * know any more answers everything with a reset: that is how a half open connection is found out.
 *
 * This is the system below io_tcp; tcp.c is the process's side and is told what happens here. */
#pragma once
#include "sim/io/sim_io.h"

struct conn;

enum segment_kind { SEGMENT_SYN, SEGMENT_ACCEPT, SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RESET };

struct segment {
    struct list_node node;
    enum segment_kind kind;
    uint64_t arrive_us;
    size_t size, taken; /* Bytes, and how many of them were read. */
    uint8_t data[];
};

struct pipe {
    struct conn *conn;
    int from;                /* Index of the end that sends. */
    struct event arrive;     /* The first of 'flight' is there. */
    struct event give_up;    /* Nothing was acknowledged for too long. */
    struct event room;       /* The sender hears that there is room again. */
    struct list_node flight; /* Segments under way... */
    struct list_node unread; /* ...and those that wait for the receiver, FIN included. */
    size_t unread_size;      /* Bytes of data in it. */
    size_t used_size;        /* Bytes sent and not known to be read. */
    size_t unheard_size;     /* Of these: read, but the word of it was lost. */
    bool is_full;            /* The window held something back. */
    bool is_stalled;         /* The first of 'flight' could not arrive... */
    uint64_t stalled_us;     /* ...since then. */
};

/* At most one of 'tcp' and 'arrival' is set; each has a pointer to the connection as long as it
 * is. */
struct end {
    struct sim_machine *machine; /* NULL: nobody has this address. */
    struct io_address address;
    bool is_known; /* Its system has this connection. */
    struct io_tcp *tcp;
    struct io_arrival *arrival;
};

struct conn {
    struct list_node node; /* In sim->conns. */
    struct sim *sim;
    uint64_t id;
    struct end ends[2];
    struct pipe pipes[2]; /* pipes[i] is sent by ends[i]. */
    struct event timeout; /* Of the attempt to connect. */
};

/* One side of a connection. */
struct side {
    struct conn *conn; /* NULL: no connection any more. */
    int index;
};

/* ---- What a process does ---- */

/* Send a SYN. Returns side 0 of a new connection, whose tcp is set; conn is NULL when no machine
 * has that address. */
struct side sim_side_connect(struct sim_machine *from, struct io_address to, struct io_tcp *tcp);

/* Hand over bytes; returns how many the window let through. */
size_t sim_side_send(struct side side, const uint8_t *data, size_t size);

/* Bytes that wait to be read; read up to 'size' of them. */
size_t sim_side_unread(struct side side);
size_t sim_side_recv(struct side side, uint8_t *to, size_t size);

/* The first bytes that wait, without reading them. There are as many. */
void sim_side_peek(struct side side, uint8_t *to, size_t size);

/* Everything was read and the peer has closed. */
bool sim_side_is_finished(struct side side);

/* Close: what was handed over still travels, then a FIN; or a reset when something stayed
 * unread. */
void sim_side_close(struct side side);

/* As if the machine had never heard of it: power loss. */
void sim_side_vanish(struct side side);

/* ---- What happens to a process (tcp.c) ---- */

void sim_tcp_on_connected(struct io_tcp *tcp, int rc); /* After a failure the side is gone. */
void sim_tcp_on_readable(struct io_tcp *tcp);          /* Bytes, or the peer's close. */
void sim_tcp_on_room(struct io_tcp *tcp);
void sim_tcp_on_lost(struct io_tcp *tcp, int why); /* The side is gone. */

/* A SYN has come for that port. False: nobody listens. Else it attached an arrival to the side. */
bool sim_listener_on_syn(struct sim_machine *m, struct side side);
void sim_arrival_on_readable(struct io_arrival *arrival);
void sim_arrival_on_lost(struct io_arrival *arrival); /* The side is gone. */

/* ---- The rest ---- */

struct sim_machine *sim_machine_at(struct sim_machine *from, uint32_t ipv4); /* Or NULL. */
uint16_t sim_port_take(struct sim_machine *m);
void sim_conns_drop(struct sim *sim);
