/* src/rpc/server_impl.h: what the three files of the server share.
 *
 *     server.c      a server: its connections, limits, opening and closing
 *     connection.c  a connection: bytes to requests, backpressure
 *     request.c     a request: its memory and its three ends
 *
 *     rpc_server 1 --- n rpc_connection 1 --- n rpc_request
 *
 * A connection lives until its socket is gone and its last request has come home; a server until
 * its last connection has gone. All of it is touched on the server's loop only, except for a
 * request while it is the owner's, and 'arriving'. */
#pragma once
#include <stdatomic.h>

#include "rpc/server.h"

enum rpc_pause {
    PAUSED_BY_REQUESTS = 1, /* Its own requests or their bytes. */
    PAUSED_BY_OUTPUT = 2,   /* The peer does not take its replies. */
    PAUSED_BY_SERVER = 4,   /* The bytes of all connections. */
    PAUSED_BY_DRAIN = 8,    /* For good. */
};

struct rpc_connection {
    struct list_node node; /* In the server's. */
    struct rpc_server *server;
    struct io_tcp *tcp; /* NULL: closed. */
    struct io_address peer;
    enum frame_protocol protocol; /* SHORT until its first bytes are here. */
    bool is_leaving;              /* We have closed it; nothing more is read or written. */
    unsigned paused;              /* enum rpc_pause; reading while 0. */
    size_t request_count;         /* Under way. */
    size_t bytes;                 /* Of their frames. */
    size_t awaited;               /* Bytes of a frame that has begun and is not yet whole. */
    size_t unsent;                /* Bytes of replies in its output, when last looked at. */
    atomic_size_t replies;        /* ... and of those on their way there from other loops. */
};

struct rpc_server {
    struct io_loop *loop;
    struct rpc_server_options options;
    rpc_on_request *on_request;
    void *context;
    struct list_node connections;
    struct list_node spare; /* Requests for reuse. */
    size_t spare_count;
    size_t awaited;   /* Of all connections. */
    bool is_pausing;  /* PAUSED_BY_SERVER is in force. */
    bool is_draining; /* PAUSED_BY_DRAIN is. */
    struct rpc_server_counters counters;

    atomic_size_t arriving; /* Accepted on some thread and not yet here. */
    atomic_size_t replies;  /* Of all connections. */
    bool is_closing;
    struct io_post closed;
    void (*on_closed)(void *context);
    void *closed_context;
};

/* ---- server.c -------------------------------------------------------------------------------- */

/* Something of a closing server is gone: it may have been the last. */
void server_check_closed(struct rpc_server *s);

/* A request of 'size' bytes came (or has ended): count it, pause or resume all connections. */
void server_add_bytes(struct rpc_server *s, size_t size);
void server_sub_bytes(struct rpc_server *s, size_t size);

/* ---- connection.c ---------------------------------------------------------------------------- */

/* Serve the arrival, which is taken; where that fails it is closed, and there is no more to do. */
void connection_open(struct rpc_server *s, struct io_arrival *arrival);

/* A request has come home and is gone. */
void connection_request_ended(struct rpc_connection *c, size_t size);

/* A reply was appended to the output. */
void connection_replied(struct rpc_connection *c, size_t size);

/* So many bytes more, or less, of replies that its socket has not taken. Any thread. */
void connection_replies_grow(struct rpc_connection *c, size_t size);
void connection_replies_shrink(struct rpc_connection *c, size_t size);

/* Close it from our side. */
void connection_leave(struct rpc_connection *c);

void connection_pause(struct rpc_connection *c, enum rpc_pause why);
void connection_resume(struct rpc_connection *c, enum rpc_pause why);

/* ---- request.c ------------------------------------------------------------------------------- */

/* A clean request from the pool, or NULL. */
struct rpc_request *request_new(struct rpc_server *s);

/* Back into the pool. */
void request_free(struct rpc_server *s, struct rpc_request *r);

/* Free the pool. */
void request_free_spare(struct rpc_server *s);
