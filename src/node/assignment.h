/* src/node/assignment.h: what the meta group wants of one replica, as the control loop tells it to the
 * replica's worker. A value that travels: made on one loop, given to another, freed there. */
#pragma once
#include <stdbool.h>

#include "core/meta/meta.h"
#include "core/repl/repl.h"
#include "core/throttle/throttle.h"
#include "io/io.h"
#include "wire/thrift.h"

enum assignment_deny { /* Environment replica.deny_client_request. */
                       DENY_NOTHING = 0,
                       DENY_READS = 1,
                       DENY_WRITES = 2,
                       DENY_BY_SILENCE = 4, /* "timeout": no answer; otherwise ERR_INVALID_STATE. */
};

struct assignment_dup { /* One duplication of the table, as it concerns this partition. */
    int32_t id;
    bool is_paused;
    bool needs_snapshot;       /* What the table held before it was added is not over there yet. */
    int64_t confirmed;         /* -1: nothing is known. */
    uint8_t remote_cluster_id; /* These three 0: not known yet. */
    uint64_t remote_uuid;
    int32_t remote_table_id;
    char remote_cluster[META_NAME_SIZE_MAX + 1];
    char remote_metas[META_METAS_SIZE_MAX + 1];
    char remote_table[META_NAME_SIZE_MAX + 1];
};

/* Environments replica.*_throttling: of the whole table, to be shared out by its partitions. */
struct assignment_throttles {
    struct throttle_rule writes, write_bytes, reads, backup_reads;
    uint64_t read_bytes; /* Per second; 0: no limit. */
};

struct assignment {
    struct gpid gpid;
    uint8_t cluster_id; /* Ours. */
    uint64_t cluster_uuid;
    char table_name[META_NAME_SIZE_MAX + 1];
    uint32_t partition_count;
    struct repl_config config;
    struct io_address addresses[REPL_MEMBERS_MAX]; /* Of its members; port 0: not known. */
    struct io_address learner_address;
    uint32_t write_members_min; /* With fewer nothing is written. */

    uint32_t default_ttl_s;
    uint32_t iteration_time_ms_max;
    bool has_iteration_time;
    bool validates_partition_hash;
    unsigned deny; /* enum assignment_deny */
    struct assignment_throttles throttles;

    uint32_t dup_count;
    struct assignment_dup dups[];
};

/* What the state says of partition 'index' of 'table'. Gives memory for assignment_free(); NULL: there is
 * none. */
struct assignment *assignment_new(const struct meta *m, const struct meta_table *table,
                                  uint32_t index);
void assignment_free(struct assignment *a); /* Accepts NULL. */

/* Where a member or the learner is. False: it is none, or its address is not known. */
bool assignment_address(const struct assignment *a, uint64_t node_id, struct io_address *out);
