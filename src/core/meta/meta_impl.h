/* src/core/meta/meta_impl.h: what the files of this room share. Included only here.
 *
 *     apply.c      one command: read, done or refused, answered
 *     cluster.c    who we are, nodes, known remotes          table.c   life and death of tables
 *     place.c      which node gets what of a new table       env.c     environment variables
 *     members.c    who belongs to a partition                env_rules.c  which of them are valid
 *     load.c       what each node holds                      dup.c     duplications and their positions
 *     command.c    commands as bytes                         snapshot.c   the whole state as bytes
 *     state.c      making, freeing, finding                  check.c      what must be true
 *
 * How a handler keeps M2 (all or nothing): it decides, gathers every piece of memory that it will
 * need, calls outcome_ready(), and only then changes the state; nothing after that can fail. */
#pragma once
#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/meta/meta.h"

/* ---- One command under way ------------------------------------------------------------------- */

struct outcome {
    struct meta_result result;
    struct buf hint;  /* What result.hint will borrow from. */
    struct buf *into; /* Where the result goes. */
};

/* Refuse, with a hint printed as printf does: nothing has been changed. Returns 0, for 'return'. */
#define OUTCOME_REFUSE(out, why, ...)                                                              \
    (buf_printf(&(out)->hint, __VA_ARGS__), outcome_refused(out, why))
int outcome_refused(struct outcome *out, enum wire_error why); /* The same without a hint. */

/* Have room for the result. After 0 the handler may change the state, and can no longer fail. */
int outcome_ready(struct outcome *out) MUST_CHECK;

typedef int meta_handler(struct meta *m, const struct meta_command *c, struct outcome *out);

meta_handler meta_on_cluster_init, meta_on_node_join, meta_on_node_start, meta_on_node_leave;
meta_handler meta_on_node_dead, meta_on_node_yield, meta_on_node_drain, meta_on_remote_set;
meta_handler meta_on_table_create, meta_on_table_drop, meta_on_table_recall, meta_on_table_rename;
meta_handler meta_on_table_purge, meta_on_replicas_set, meta_on_partition_set;
meta_handler meta_on_envs_set, meta_on_envs_delete, meta_on_envs_clear;
meta_handler meta_on_dup_add, meta_on_dup_modify, meta_on_dup_resolve, meta_on_dup_advance;
meta_handler meta_on_dup_confirm;
meta_handler meta_on_member_add, meta_on_member_join, meta_on_member_drop;

/* Read a command into 'out', lists in 'arena', bytes borrowed. Returns 0, E_NOMEM, E_PROTO. */
int meta_command_read(struct slice bytes, struct arena *arena, struct meta_command *out) MUST_CHECK;

/* ---- State ----------------------------------------------------------------------------------- */

/* The const questions of meta.h, for those who may change the answer. */
struct meta_table *meta_table_find(struct meta *m, int32_t id);
struct meta_table *meta_table_named(struct meta *m, struct slice name);
struct meta_dup *meta_dup_find(struct meta_table *t, int32_t id);

void meta_table_free(struct meta_table *t); /* Accepts NULL, and what mem_zalloc gives. */
void meta_dup_fini(struct meta_dup *dup);

/* Make room for one more item in an array that the state owns: '*items' may move, the count stays.
 * Returns 0 or E_NOMEM. */
int meta_room_for_one(void **items, size_t count, size_t item_size) MUST_CHECK;

/* Copy a text that was checked to fit, with a NUL. */
void meta_text_set(char *to, struct slice text);

/* A table's or cluster's name: letters, digits, '_', '.', ':', '-'; 1 to META_NAME_SIZE_MAX
 * bytes. */
bool meta_name_is_valid(struct slice name);

/* "host:port,host:port": at least one. */
bool meta_metas_is_valid(struct slice metas);

/* ---- Environment variables ------------------------------------------------------------------- */

struct env_list {
    struct meta_env *items; /* Sorted by key. */
    size_t count;
};

void env_list_free(struct env_list *list);

/* A copy of a table's variables. Returns 0 or E_NOMEM. */
int env_list_copy(const struct meta_table *t, struct env_list *out) MUST_CHECK;

/* Set one variable. Returns 0; E_LIMIT: too many, too long, or a NUL in it; E_NOMEM. */
int env_list_put(struct env_list *list, struct slice key, struct slice value) MUST_CHECK;

/* ---- Placement ------------------------------------------------------------------------------- */

/* Choose members for 'count' new partitions of 'replica_count' members each, as even as can be over
 * the nodes alive, of which there are enough. Ballots are 1. Pure: the same state, the same choice.
 * Returns 0 or E_NOMEM. */
int meta_place(const struct meta *m, struct meta_partition *partitions, uint32_t count,
               uint32_t replica_count) MUST_CHECK;

/* ---- Members --------------------------------------------------------------------------------- */

/* In all tables, those that may be recalled included, each change with a new ballot of its partition: */

/* The node is dead, which it is already in the state: nobody's member any more, except where no other member
 * is alive (M35). False: nothing was to be changed. */
bool meta_members_bury(struct meta *m, uint64_t node_id);

/* The node is about to stop: others lead where they can. False: nothing was to be changed. */
bool meta_members_yield(struct meta *m, uint64_t node_id);

/* Another process of the node has started (M6). */
void meta_members_restart(struct meta *m, uint64_t node_id);

/* The same process is alive after all, or elsewhere: whoever it shares a partition with meets it again. */
void meta_members_renew(struct meta *m, uint64_t node_id);

/* The node drains, or does no longer, which the state knows already: primaries that drain and could be followed by
 * a member that stays are, and no draining node learns. False: nothing was to be changed. */
bool meta_members_relieve(struct meta *m, uint64_t node_id);

/* NULL, or what is wrong with the state. */
const char *meta_fault(const struct meta *m);
