/* src/http/http.h: what a browser, curl or Prometheus sees, on the server's one port.
 *
 *     /metrics   every figure, as Prometheus's text format 0.0.4
 *     /version   {"Version": "...", "GitCommit": "..."}, as Pegasus answers
 *     /          what there is
 *
 * The node looks at a connection's first bytes and hands HTTP over as a bare socket; libmicrohttpd does
 * the rest on a thread of its own, so that a slow reader of metrics delays nobody. It touches nothing of
 * the node but the registry, whose figures any thread may read. */
#pragma once
#include "base/err.h"
#include "io/io.h"
#include "obs/metric.h"

struct http;

/* Returns 0 and gives '*out', to be closed with http_close(); E_NOMEM, E_IO. Borrows 'io' and 'registry'
 * until then. */
int http_open(struct io *io, struct metric_registry *registry, struct http **out) MUST_CHECK;

/* End all connections. Blocking. Accepts NULL. */
void http_close(struct http *h);

/* Serve the connected socket. Takes 'fd'. Any thread. */
void http_serve(struct http *h, int fd);
