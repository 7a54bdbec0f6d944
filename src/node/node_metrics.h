/* src/node/node_metrics.h: the figures of the server as a whole: its log, its loops. Those of partitions
 * and duplications are in replica.c and stream.c. */
#pragma once
#include "log/log.h"
#include "obs/metric.h"
#include "rpc/server.h"

struct log_figures_view { /* Worked out when asked for. */
    const struct log *log;
};
extern const struct metric_table node_log_table;

/* A worker's connections, copied from its server at the end of a turn; and what it could not open. */
struct worker_metrics {
    struct metric_gauge replicas_failing;
    struct metric_gauge connections, requests_now, bytes_now;
    struct metric_gauge connections_opened, requests, bytes_in, bytes_out, malformed, paused;
};
extern const struct metric_table node_worker_table;

void worker_metrics_copy(struct worker_metrics *to, const struct rpc_server_counters *from);
