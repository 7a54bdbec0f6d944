/* tests/core/meta/world.h: a cluster's state under test: commands in C, answers looked at, and the
 * invariants asked after each of them. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/meta/meta.h"

enum { WORLD_NOW_S = 1700000000 };

struct world {
    struct meta *meta;
    uint64_t now_ms; /* Of the next command. */
    struct buf command, answer;
    struct meta_result result; /* Of the last command. */
};

/* A cluster "here" with id 1, and as many nodes alive as asked for: ids from 1, 10.0.0.id:34601. */
void world_init(struct world *w, int nodes);
void world_fini(struct world *w);

/* The same as what cmocka calls before and after a test. */
int world_three_nodes(void **state);
int world_four_nodes(void **state);
int world_done(void **state);

/* Apply and check; gives the answer's error. */
enum wire_error world_do(struct world *w, const struct meta_command *command);

/* The commands that stories need most. */
enum wire_error world_join(struct world *w, int64_t id);
enum wire_error world_create(struct world *w, const char *name, int32_t partitions,
                             int32_t replicas);
enum wire_error world_drop(struct world *w, const char *name, int64_t reserve_s);
enum wire_error world_set_env(struct world *w, const char *table, const char *key,
                              const char *value);
enum wire_error world_remote(struct world *w, const char *name, const char *metas, int32_t id);
enum wire_error world_add_dup(struct world *w, const char *table, const char *remote,
                              bool with_bootstrap);

/* Of processes: a node's start, as the incarnation told, at its own address; its death. */
enum wire_error world_start(struct world *w, int64_t id, int64_t incarnation);
enum wire_error world_bury(struct world *w, int64_t id, int64_t incarnation);
enum wire_error world_yield(struct world *w, int64_t id, int64_t incarnation);
enum wire_error world_leave(struct world *w, int64_t id);

/* A node is to hold nothing, or may again. */
enum wire_error world_drain(struct world *w, int64_t id, bool is_draining);

/* A node becomes the learner of a partition, a member, or neither; the ballot is the next. */
enum wire_error world_add_member(struct world *w, int32_t table_id, int32_t partition, int64_t id);
enum wire_error world_join_member(struct world *w, int32_t table_id, int32_t partition, int64_t id);
enum wire_error world_drop_member(struct world *w, int32_t table_id, int32_t partition, int64_t id);

const struct meta_table *world_table(const struct world *w, const char *name);

/* The hint of the last answer is this text. */
#define assert_hint(w, text)                                                                       \
    do {                                                                                           \
        assert_int_equal((w)->result.hint.size, strlen(text));                                     \
        assert_memory_equal((w)->result.hint.data, text, strlen(text));                            \
    } while (0)

/* "primary secondary secondary" of a partition, and "+learner" behind; in a buffer of the function's. */
const char *world_members(const struct meta_table *t, uint32_t partition);
