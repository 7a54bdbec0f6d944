/* src/core/meta/meta.h: what a cluster knows about itself, as a replicated state machine. Pure.
 *
 *     proposer             every member of the meta group
 *     checks nothing,      +------------------------- struct meta -------------------------+
 *     writes a command --> | cluster   name, id, uuid, next table id                       |
 *     with its own time    | nodes     id, address, alive                                  |
 *     (the group orders    | remotes   clusters known by name: id, metas                   |
 *     and keeps them)      | tables    status, envs, partitions (ballot, primary, ...),    |
 *                          |           duplications (status, remote, confirmed decrees)    |
 *                          +----------------------------------------------------------------+
 *
 * Commands are applied in the same order everywhere, and the same commands make the same bytes of
 * snapshot. Everything a decision depends on is in the state or in the command: a command carries
 * the wall clock of its proposer. A command that may not be done changes nothing and its result
 * says why, in the words of Pegasus where Pegasus has words. What is written here is durable; what
 * is only true now (leases, lag, disks) is somebody else's.
 *
 * Source: docs/meta.md, rules M1 to M21, M33, M35, M36 and M39. */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "wire/error.h"
#include "wire/messages_dup.h"
#include "wire/messages_meta.h"

/* ---- Limits ---------------------------------------------------------------------------------- */

enum {
    META_NAME_SIZE_MAX = 128,        /* Bytes of a table's or a cluster's name. */
    META_METAS_SIZE_MAX = 1024,      /* Bytes of "host:port,host:port". */
    META_PARTITIONS_MAX = 1024,      /* Of one table; always a power of two. */
    META_REPLICAS_MAX = 5,           /* Of one partition, the primary included. */
    META_ENV_KEY_SIZE_MAX = 256,     /* Bytes. */
    META_ENV_VALUE_SIZE_MAX = 65536, /* Bytes: some values are documents. */
    META_ENVS_MAX = 256,             /* Of one table. */
    META_DUPS_MAX = 16,              /* Of one table. */
    META_NODES_MAX = 1024,
    META_TABLES_MAX = 65536, /* Dropped ones that are not purged yet included. */
    META_REMOTES_MAX = 127,
    META_CLUSTER_ID_MAX = 127,           /* Cluster ids are 1 to this: seven bits of a timetag. */
    META_DROP_RESERVE_S = 7 * 24 * 3600, /* How long a dropped table can be recalled, by default. */
};

/* ---- Answers --------------------------------------------------------------------------------- */

enum {
    META_TABLE_NONE = 0, /* Nothing that a node holds is touched. */
    META_TABLE_ANY = -1, /* More than one table, or a node: look at all of them. */
};

struct meta_result {
    enum wire_error err; /* WIRE_ERR_OK: done. */
    int32_t table_id;    /* The table it is about; 0 when none was found. */
    int32_t changed_id;  /* The table that is not as before: an id, or one of the two above. */
    int32_t dup_id;      /* The duplication it is about, or 0. */
    int32_t old_value;   /* What META_REPLICAS_SET found. */
    struct slice hint;   /* One sentence for a person; may be empty. Borrowed. */
};

/* ---- The state ------------------------------------------------------------------------------- */

enum meta_role { META_ROLE_NONE, META_ROLE_PRIMARY, META_ROLE_SECONDARY, META_ROLE_LEARNER };

struct meta_env {
    char *key, *value; /* Ended by NUL; no NUL inside. */
};

struct meta_partition {
    uint64_t ballot;  /* At least 1; grows with every change of the members. */
    uint64_t primary; /* Node id; 0: none. */
    uint64_t secondaries[META_REPLICAS_MAX - 1];
    uint64_t last_drops[META_REPLICAS_MAX]; /* Members lost last, the newest at the end. */
    uint64_t
        learner; /* Copies the partition and is to become a secondary; no member yet. 0: none. */
    uint8_t secondary_count;
    uint8_t last_drop_count;
};

struct meta_dup_partition {
    int64_t confirmed;    /* Highest decree known to be applied on the remote; -1: nothing known. */
    bool is_bootstrapped; /* What the partition held before the duplication is over there. */
};

struct meta_dup {
    int32_t id; /* Unique within the table. */
    enum duplication_status status;
    enum duplication_fail_mode fail_mode;
    bool with_bootstrap;                         /* Ship what the table held before, too. */
    char remote_cluster[META_NAME_SIZE_MAX + 1]; /* "": not known before the first handshake. */
    char remote_metas[META_METAS_SIZE_MAX + 1];  /* "host:port,host:port" */
    char remote_table[META_NAME_SIZE_MAX + 1];
    int32_t remote_replica_count;          /* At least 1. */
    uint8_t remote_cluster_id;             /* 0: not known yet. */
    uint64_t remote_uuid;                  /* 0: not known yet. */
    int32_t remote_table_id;               /* 0: not known yet. */
    int64_t create_ms;                     /* Unix time. */
    struct meta_dup_partition *partitions; /* As many as the table has. */
};

struct meta_table {
    int32_t id; /* From 1 upward, never reused. */
    char name[META_NAME_SIZE_MAX + 1];
    enum app_status status;
    uint32_t partition_count;
    int32_t max_replica_count;
    int64_t create_s, drop_s, expire_s; /* Unix time; the last two 0 unless dropped. */
    struct meta_env *envs;              /* By key, in byte order. */
    size_t env_count;
    struct meta_partition *partitions;
    struct meta_dup *dups; /* By id. Removed ones are gone. */
    size_t dup_count;
};

struct meta_node {
    uint64_t id; /* Greater than 0; kept in the node's own directory, so that it may move house. */
    uint32_t ipv4;
    uint16_t port;
    bool is_alive;
    uint64_t incarnation; /* Of its last process; 0: not told. */
    bool is_draining;     /* It is to hold nothing (M39). */
};

struct meta_remote {
    char name[META_NAME_SIZE_MAX + 1];
    char metas[META_METAS_SIZE_MAX + 1]; /* "": not told. */
    uint8_t cluster_id;                  /* 0: not told. */
};

/* Read what you like, change nothing: changes are commands. */
struct meta {
    char cluster_name[META_NAME_SIZE_MAX + 1]; /* "" before META_CLUSTER_INIT. */
    uint64_t cluster_uuid; /* Tells two clusters apart that were given one id. */
    uint8_t cluster_id;
    int32_t next_table_id;
    struct meta_node *nodes; /* By id. */
    size_t node_count;
    struct meta_remote *remotes; /* By name. */
    size_t remote_count;
    struct meta_table **tables; /* By id. */
    size_t table_count, table_capacity;
};

/* An empty state, or NULL when there is no memory. */
struct meta *meta_new(void);
void meta_free(struct meta *m); /* Accepts NULL. */

/* ---- Commands -------------------------------------------------------------------------------- */

/* The numbers are in logs on disk: never renumber. */
enum meta_command_type {
    META_CLUSTER_INIT = 1,
    META_NODE_JOIN = 2,
    META_NODE_LEAVE = 3,
    META_REMOTE_SET = 4,
    META_TABLE_CREATE = 5,
    META_TABLE_DROP = 6,
    META_TABLE_RECALL = 7,
    META_TABLE_RENAME = 8,
    META_TABLE_PURGE = 9, /* No fields: dropped tables whose time has come are forgotten. */
    META_ENVS_SET = 10,
    META_ENVS_DELETE = 11,
    META_ENVS_CLEAR = 12,
    META_REPLICAS_SET = 13,
    META_DUP_ADD = 14,
    META_DUP_MODIFY = 15,
    META_DUP_RESOLVE = 16,
    META_DUP_ADVANCE = 17,
    META_DUP_CONFIRM = 18,
    META_PARTITION_SET = 19,
    META_NODE_START = 20,
    META_NODE_DEAD = 21,
    META_MEMBER_ADD = 22,
    META_MEMBER_JOIN = 23,
    META_MEMBER_DROP = 24,
    META_NODE_YIELD = 25,
    META_NODE_DRAIN = 26,
};

/* Each command is a struct and a table of wire/schema.h (command.c). Enums are int32_t because that
 * is how they are read; lists borrow while a command is written. */

/* Once, before anything else. Repeating it changes nothing. */
struct meta_cluster_init {
    struct slice name;
    int32_t cluster_id; /* 1 to META_CLUSTER_ID_MAX. */
    int64_t uuid;       /* Drawn by the proposer; not 0. */
};

/* A node is there, at this address. Servers say META_NODE_START. */
struct meta_node_join {
    int64_t id;
    int32_t ipv4, port; /* As the bits of uint32_t and uint16_t. */
};

/* A node's process has started. What it was in its last life is over: where it is one of several members the
 * partition gets a new ballot, under which a primary is a secondary; it learns nothing any more (M6). */
struct meta_node_start {
    int64_t id;
    int32_t ipv4, port; /* As above. */
    int64_t
        incarnation; /* Which of the node's processes it is: counted by its own directory, from 1. */
};

/* It is taken for dead: all its partitions lose it, and others take the place of primaries (M35). Servers say
 * META_NODE_DEAD. */
struct meta_node_leave {
    int64_t id;
};

/* The same, unless a later process of it has started meanwhile. */
struct meta_node_dead {
    int64_t id, incarnation;
};

/* A node's process is about to stop: where another member is alive that is primary from now on, and the node a
 * secondary. The same process as in META_NODE_DEAD. */
struct meta_node_yield {
    int64_t id, incarnation;
};

/* A cluster that duplications may name. Setting it again replaces it. */
struct meta_remote_set {
    struct slice name, metas; /* Metas may be empty: not told. */
    int32_t cluster_id;       /* 0: not told. */
};

struct meta_table_create {
    struct slice name, app_type; /* The type is "pegasus" or empty. */
    int32_t partition_count, replica_count;
    bool success_if_exist;
    bool clamp_replicas; /* Take as many replicas as there are nodes when more were asked. */
    struct string_map envs;
};

struct meta_table_drop {
    struct slice name;
    bool success_if_absent;
    int64_t reserve_s; /* 0 or less: META_DROP_RESERVE_S. */
};

struct meta_table_recall {
    int32_t table_id;
    struct slice new_name; /* Empty: the old one. */
};

struct meta_table_rename {
    struct slice old_name, new_name;
};

struct meta_envs_set {
    struct slice table;
    struct string_map envs;
};

struct meta_envs_delete {
    struct slice table;
    struct string_list keys;
};

struct meta_envs_clear {
    struct slice table;
    struct slice prefix; /* Of the keys "prefix.x"; empty: all keys. */
};

struct meta_replicas_set {
    struct slice table;
    int32_t count;
};

struct meta_dup_add {
    struct slice table;
    struct slice remote;          /* A known cluster's name, or its metas "host:port,...". */
    struct slice remote_table;    /* Empty: the same name. */
    int32_t remote_replica_count; /* 0: as here. */
    bool with_bootstrap;          /* Ship what the table holds already, too. */
};

struct meta_dup_modify {
    struct slice table;
    int32_t dup_id;
    int32_t status;    /* enum duplication_status, or -1: as it is. */
    int32_t fail_mode; /* enum duplication_fail_mode, or -1: as it is. */
};

/* A handshake with a remote said who it is. */
struct meta_dup_resolve {
    int32_t table_id, dup_id;
    struct slice remote_cluster;
    int32_t remote_cluster_id;
    int64_t remote_uuid; /* 0 for a Pegasus cluster. */
};

/* The remote table is there, with this id: PREPARE becomes APP. The first id counts. */
struct meta_dup_advance {
    int32_t table_id, dup_id;
    int32_t remote_table_id;
};

struct meta_confirm {
    int32_t table_id, dup_id, partition;
    int64_t confirmed;
    bool is_bootstrapped;
};

struct meta_confirms {
    struct meta_confirm *items;
    uint32_t count;
};

/* Positions only grow; those of what is gone meanwhile are ignored. When all partitions are
 * bootstrapped, APP becomes LOG. */
struct meta_dup_confirm {
    struct meta_confirms confirms;
};

/* New members, and no learner. Refused unless 'ballot' is one more than it has. */
struct meta_partition_set {
    int32_t table_id, partition;
    int64_t ballot, primary;
    struct i64_list secondaries;
};

/* One node comes or goes. Refused unless 'ballot' is one more than the partition has.
 * META_MEMBER_ADD: it becomes the learner. META_MEMBER_JOIN: the learner becomes the last secondary. */
struct meta_member_change {
    int32_t table_id, partition;
    int64_t ballot, node;
};

/* META_MEMBER_DROP: a member or the learner leaves. Where it is the primary an alive secondary follows, or it
 * is refused: what the last member holds is all there is. */
struct meta_member_drop {
    int32_t table_id, partition;
    int64_t ballot, node;
    int64_t successor; /* Of the primary; 0: the alive secondary with the fewest primaries. */
};

/* A node is to hold nothing any more, or may again. Where it is the primary a member that stays follows at once,
 * it learns nothing any more, and nothing new comes to it (M39). */
struct meta_node_drain {
    int64_t id;
    bool is_draining;
};

struct meta_command {
    enum meta_command_type type;
    uint64_t now_ms; /* Unix time of the proposer. */
    union {
        struct meta_cluster_init cluster_init;
        struct meta_node_join node_join;
        struct meta_node_start node_start;
        struct meta_node_leave node_leave;
        struct meta_node_dead node_dead;
        struct meta_node_yield node_yield;
        struct meta_remote_set remote_set;
        struct meta_table_create table_create;
        struct meta_table_drop table_drop;
        struct meta_table_recall table_recall;
        struct meta_table_rename table_rename;
        struct meta_envs_set envs_set;
        struct meta_envs_delete envs_delete;
        struct meta_envs_clear envs_clear;
        struct meta_replicas_set replicas_set;
        struct meta_dup_add dup_add;
        struct meta_dup_modify dup_modify;
        struct meta_dup_resolve dup_resolve;
        struct meta_dup_advance dup_advance;
        struct meta_dup_confirm dup_confirm;
        struct meta_partition_set partition_set;
        struct meta_member_change member_add, member_join;
        struct meta_member_drop member_drop;
        struct meta_node_drain node_drain;
    };
};

/* Append the command to 'to'. Returns 0 or E_NOMEM. */
int meta_command_write(const struct meta_command *command, struct buf *to) MUST_CHECK;

/* True when meta_apply() would take these bytes for a command. False also when there is no memory to
 * find out. */
bool meta_command_is_valid(struct slice bytes);

/* Apply a command and append its result to 'result'; meta_result_read() reads it.
 * Returns 0, also when the command was refused: the result says so, and the state is unchanged;
 *     E_NOMEM    the state is as before: the caller may not go on to the next command (M2)
 *     E_PROTO    these bytes are no command; the state is as before */
int meta_apply(struct meta *m, struct slice command, struct buf *result) MUST_CHECK;

/* Read a result; 'hint' borrows from the bytes. Returns 0 or E_PROTO. */
int meta_result_read(struct slice bytes, struct meta_result *out) MUST_CHECK;

/* ---- Snapshots ------------------------------------------------------------------------------- */

/* Append the whole state. Equal states make equal bytes. Returns 0 or E_NOMEM. */
int meta_snapshot_write(const struct meta *m, struct buf *to) MUST_CHECK;

/* Give the state that meta_snapshot_write() wrote. Returns 0, E_NOMEM, E_PROTO (no such bytes),
 * E_CORRUPT (a state that no sequence of commands makes). */
int meta_snapshot_read(struct slice bytes, struct meta **out) MUST_CHECK;

/* Stop the process unless all invariants of docs/meta.md hold. */
void meta_check(const struct meta *m);

/* ---- Questions ------------------------------------------------------------------------------- */

/* By id, dropped ones included; NULL: none. */
const struct meta_table *meta_table_by_id(const struct meta *m, int32_t id);

/* By name, available ones only: dropped tables have lost their name. */
const struct meta_table *meta_table_by_name(const struct meta *m, struct slice name);

const struct meta_node *meta_node_by_id(const struct meta *m, uint64_t id);
size_t meta_nodes_alive(const struct meta *m);

/* It is alive and does not drain: what is new may come to it. Of all nodes: how many. */
bool meta_node_takes(const struct meta_node *node);
size_t meta_nodes_taking(const struct meta *m);

const struct meta_dup *meta_dup_by_id(const struct meta_table *t, int32_t id);

/* The value of an environment variable, or NULL. */
const char *meta_env_get(const struct meta_table *t, const char *key);

/* What a table's environment says of compactions that an operator wants (M32). All zero: none. */
struct meta_compaction {
    int64_t wanted_s; /* Who was compacted last before this unix second is due; 0: nobody is. */
    bool rewrites_bottom;
    bool is_daily, is_later; /* Another will be wanted: every day, or once. */
    bool is_disabled;
    uint32_t at_once_max; /* On one server. */
};

/* As of 'now_s'; midnight is 'zone_s' seconds before that of UTC. */
struct meta_compaction meta_compaction(const struct meta_table *t, int64_t now_s, int32_t zone_s);

enum meta_role meta_partition_role(const struct meta_partition *p, uint64_t node_id);

/* The earliest expire_s of a dropped table: when META_TABLE_PURGE next has work. 0: never. */
int64_t meta_purge_due_s(const struct meta *m);

/* True when META_ENVS_SET would take this value under this key. Otherwise the reason is appended to
 * 'hint', which may be NULL. */
bool meta_env_is_valid(struct slice key, struct slice value, struct buf *hint);

/* The known environment variables, for listings: fill 'out' with the row at 'index' and return it,
 * or return NULL after the last. */
struct meta_env_rule {
    const char *key;
    const char *type;  /* "bool", "int32", "int64" or "string". */
    const char *limit; /* What is allowed, in words; "" when the type says it all. */
    const char *sample;
};
const struct meta_env_rule *meta_env_rule_at(size_t index, struct meta_env_rule *out);
