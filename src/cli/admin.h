/* src/cli/admin.h: what an operator does to tables and duplications, as functions: for the
 * commands, and for the demo and the benches, which do the same things.
 *
 * All wait for their answers, until the client's deadline at most. Each returns 0 or a code, and then 'e'
 * says what, where and what to do. */
#pragma once
#include "client/round.h"

/* Tables and nodes as the metas know them; lists lie in 'arena'. NS_INVALID: nodes of any status. */
int admin_table_list(struct client *client, enum app_status status, struct arena *arena,
                     struct app_info_list *out, struct err *e) MUST_CHECK;
int admin_node_list(struct client *client, enum node_status status, struct arena *arena,
                    struct node_info_list *out, struct err *e) MUST_CHECK;

/* The whole cluster in figures. What a cluster of Pegasus's does not say (ids, what nodes hold, how partitions
 * are, who learns) is 0 or, of counts, ADMIN_UNKNOWN. */
enum { ADMIN_UNKNOWN = -1 };

int admin_census(struct client *client, struct arena *arena, struct census_response *out,
                 struct err *e) MUST_CHECK;

/* Make a table and wait until every partition of it answers. replica_count 0: as many as there are
 * nodes alive that do not drain, at most 3. '*is_new' is false when it was there before, which is fine if
 * 'may_exist'. */
struct admin_table {
    const char *name;
    uint32_t partition_count;
    uint32_t replica_count;
    bool may_exist;
};

int admin_table_create(struct client *client, const struct admin_table *table, int32_t *app_id,
                       bool *is_new, struct err *e) MUST_CHECK;

/* ---- Duplications ---------------------------------------------------------------------------- */

struct admin_dup {
    const char *table;
    const char *remote_metas;
    const char *remote_table; /* NULL: as 'table'. */
    bool without_snapshot;
};

int admin_dup_add(struct client *client, const struct admin_dup *dup, int32_t *dup_id,
                  struct err *e) MUST_CHECK;

/* The duplications of a table, as the metas know them; lists lie in 'arena'. */
int admin_dup_query(struct client *client, const char *table, struct arena *arena,
                    struct duplication_entry_list *out, struct err *e) MUST_CHECK;

int admin_dup_modify(struct client *client, const char *table, int32_t dup_id,
                     enum duplication_status status, struct err *e) MUST_CHECK;

/* How far the streams of all partitions are, as their primaries say now; rows of a partition that
 * does not answer have state "unknown" and lag -1. Lists lie in 'arena'. */
int admin_dup_status(struct client *client, const char *table, struct arena *arena,
                     struct dup_status_list *out, struct err *e) MUST_CHECK;

/* A duplication as a whole. */
struct admin_lag {
    int32_t dup_id;
    const char *state;  /* Of the partition that is furthest behind; in the arena, as the others. */
    const char *reason; /* Of the same. Empty: none. */
    const char *remote_cluster;
    const char *remote_table;
    uint32_t partitions;
    int64_t mutations; /* Sum; -1: unknown, as the two below. */
    int64_t bytes;     /* Sum. */
    int64_t ms;        /* Largest. */
};

/* Rows to one line per duplication; '*out' has '*count' elements in 'arena'. */
int admin_lag_sum(const struct dup_status_list *rows, struct arena *arena, struct admin_lag **out,
                  size_t *count) MUST_CHECK;
