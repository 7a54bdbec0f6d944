/* src/node/config.h: what an operator may choose, read from an INI file. docs/configuration.md lists
 * every key with its default; no file at all is a good choice for one machine. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "log/log.h"

enum {
    CONFIG_TEXT_SIZE = 256, /* Bytes of a path, name or address, the NUL included. */
    CONFIG_REMOTES_MAX = 64,
    CONFIG_METAS_SIZE = 1024,
    NODE_WORKERS_MAX = 64,
};

struct config_remote { /* [pegasus.clusters] and [duplication-group]: clusters known by name. */
    char name[CONFIG_TEXT_SIZE];
    char metas[CONFIG_METAS_SIZE]; /* "host:port,host:port"; empty: not told. */
    uint8_t cluster_id;            /* 1 to 127; 0: not told. */
};

struct node_config {
    char data_dir[CONFIG_TEXT_SIZE];
    char listen[CONFIG_TEXT_SIZE];    /* "host:port"; port 0: any free one. */
    char advertise[CONFIG_TEXT_SIZE]; /* What others are told; empty: as listen. */
    char cluster_name[CONFIG_TEXT_SIZE];
    char join
        [CONFIG_METAS_SIZE]; /* "host:port,host:port": be part of that cluster; empty: make one. */
    uint8_t cluster_id;      /* 1 to 127; 0: drawn when the cluster is made (docs/decisions/). */
    uint32_t workers;        /* 1 to NODE_WORKERS_MAX. */
    enum log_sync sync;      /* When an acknowledged write is in the log. */
    uint32_t segment_size;   /* Bytes of a log segment. */
    uint64_t log_flush_size; /* Bytes of log above which stores are flushed. */
    uint64_t
        log_ship_size; /* Bytes of log that only shippers hold, before backlog files are made. */
    uint64_t backlog_size_max;
    uint64_t cache_size;        /* Bytes of RocksDB's block cache. */
    uint64_t write_buffer_size; /* Bytes of all stores' write buffers. */
    uint64_t
        disk_reserve_size; /* Bytes of the disk that writes leave free; at most a tenth of it. */
    uint64_t tail_size;    /* Bytes of recent mutations kept in memory, of all replicas. */
    uint64_t learn_rate;   /* Bytes a second of stores that are copied here, of all; 0: no limit. */
    uint32_t write_size_max; /* Bytes of a write request; 0: no limit but the frame's. */
    bool accepts_any_source; /* Duplicated writes of clusters that are not listed below. */
    struct config_remote remotes[CONFIG_REMOTES_MAX];
    uint32_t remote_count;
};

/* What holds without a file. */
void config_default(struct node_config *c);

/* Set one key. Returns NULL, or what was expected instead; then 'c' is as before. */
const char *config_set(struct node_config *c, const char *section, const char *key,
                       const char *value) MUST_CHECK;

/* Read 'path' over what is in 'c'. Blocking. Returns 0; E_NOTFOUND, E_INVALID: 'e' names the line, the key
 * and what would be right. */
int config_load(struct node_config *c, const char *path, struct err *e) MUST_CHECK;
