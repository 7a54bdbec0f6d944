/* src/node/node_metrics.c: tables of figures, row by row. */
#include "node/node_metrics.h"

/* ---- The log ------------------------------------------------------------------------------------------------ */

#define LOG_FIGURE(member)                                                                         \
    static bool read_##member(const void *figures, struct now now, int64_t *out)                   \
    {                                                                                              \
        const struct log_figures_view *view = figures;                                             \
        struct log_stats stats;                                                                    \
        (void)now;                                                                                 \
        log_stats(view->log, &stats);                                                              \
        *out = (int64_t)stats.member;                                                              \
        return true;                                                                               \
    }
LOG_FIGURE(size)
LOG_FIGURE(segments)
LOG_FIGURE(backlog_size)
LOG_FIGURE(kept_size)
LOG_FIGURE(records)
LOG_FIGURE(bytes)
LOG_FIGURE(syncs)
LOG_FIGURE(damaged_blocks)
LOG_FIGURE(is_failed)

static const struct metric_row log_rows[] = {
    METRIC_READ_ROW(read_size, "log_size", "bytes", "Mutation log: all its segments"),
    METRIC_READ_ROW(read_segments, "log_segments", "files", "Mutation log: segments"),
    METRIC_READ_ROW(read_backlog_size, "log_backlog_size", "bytes",
                    "Backlog files: what only slow duplications or repairs still need"),
    METRIC_READ_ROW(read_kept_size, "log_kept_size", "bytes",
                    "Of these, what replicas need that are set aside, damaged or stopped"),
    METRIC_READ_ROW(read_records, "log_records", "mutations", "Mutations written since the start"),
    METRIC_READ_ROW(read_bytes, "log_bytes", "bytes", "Bytes written to the log since the start"),
    METRIC_READ_ROW(read_syncs, "log_syncs", "calls", "Syncs of the log since the start"),
    METRIC_READ_ROW(read_damaged_blocks, "log_damaged_blocks", "blocks",
                    "Blocks found damaged by recovery and by reads"),
    METRIC_READ_ROW(read_is_failed, "log_failed", "bool",
                    "1: a write or sync failed, and this disk takes no more writes"),
};
const struct metric_table node_log_table = METRIC_TABLE(METRIC_OF_SERVER, log_rows);

/* ---- Workers --------------------------------------------------------------------------------------------------- */

#define WORKER_ROW(member, name, unit, help)                                                       \
    METRIC_GAUGE_ROW(struct worker_metrics, member, name, unit, help)

static const struct metric_row worker_rows[] = {
    WORKER_ROW(replicas_failing, "replicas_failing", "replicas",
               "Replicas that could not be opened, and are tried again"),
    WORKER_ROW(connections, "rpc_connections", "connections", "Open connections"),
    WORKER_ROW(requests_now, "rpc_requests_now", "requests", "Requests under way"),
    WORKER_ROW(bytes_now, "rpc_bytes_now", "bytes", "Of requests under way"),
    WORKER_ROW(connections_opened, "rpc_connections_opened", "connections",
               "Connections opened since the start"),
    WORKER_ROW(requests, "rpc_requests", "requests", "Requests since the start"),
    WORKER_ROW(bytes_in, "rpc_bytes_in", "bytes", "Bytes received since the start"),
    WORKER_ROW(bytes_out, "rpc_bytes_out", "bytes", "Bytes sent since the start"),
    WORKER_ROW(malformed, "rpc_malformed", "connections", "Connections closed for what they sent"),
    WORKER_ROW(paused, "rpc_paused", "times", "Times that reading was stopped for backpressure"),
};
const struct metric_table node_worker_table = METRIC_TABLE(METRIC_OF_SERVER, worker_rows);

void worker_metrics_copy(struct worker_metrics *to, const struct rpc_server_counters *from)
{
    metric_gauge_set(&to->connections, (int64_t)from->connections);
    metric_gauge_set(&to->requests_now, (int64_t)from->requests_now);
    metric_gauge_set(&to->bytes_now, (int64_t)from->bytes_now);
    metric_gauge_set(&to->connections_opened, (int64_t)from->connections_opened);
    metric_gauge_set(&to->requests, (int64_t)from->requests);
    metric_gauge_set(&to->bytes_in, (int64_t)from->bytes_in);
    metric_gauge_set(&to->bytes_out, (int64_t)from->bytes_out);
    metric_gauge_set(&to->malformed, (int64_t)from->malformed);
    metric_gauge_set(&to->paused, (int64_t)from->paused);
}
