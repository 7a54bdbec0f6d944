/* tests/node/meta_world.h: the meta service alone: a node of which only the control loop's state is
 * there, with a group, a clock, a remote cluster and replies that the test holds in its hands.
 *
 *     group    commands wait until world_decide(), which applies them or ends them as told
 *     clock    stands still; world_pass_ms() moves it and rings one timer after the other
 *     remote   calls to it wait until world_answer()
 *     replies  the last one is looked at with world_reply(), as a client of its framing reads it */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/meta_service_impl.h"

enum { WORLD_NOW_S = 1700000000 };

struct meta_world {
    struct node node;
    struct now now;
    bool is_leader;
    struct io_address leader;   /* As a follower knows it. */
    int compact_percent;        /* What control_compact_progress() says. */
    struct list_node proposals; /* Not decided yet. */
    struct list_node posts;
    struct heap timers;

    struct rpc_request request; /* The last. */
    struct buf body;            /* Its arguments. */
    bool is_answered;
    enum wire_error error; /* Of the frame. */
    struct buf reply;      /* The wrapper with the result; empty: none. */
    struct arena arena;    /* Of what was read from it. */

    struct cluster_call *call; /* To the remote, waiting for its answer; NULL: none. */
    uint32_t clusters_open;
    char metas[META_METAS_SIZE_MAX + 1]; /* Of the cluster opened last. */
    bool is_closed;                      /* The service has said so. */
};

/* Cluster "here", id 1, node 1 at 10.0.0.1:34601, ready and leading. */
struct meta_world *world_begin(void);

/* Closes the service when the test has not. Nothing is left under way. */
void world_end(struct meta_world *w);

/* A service for the node, and the first decisions. */
void world_open(struct meta_world *w);

/* Apply a command behind the service's back, as another member's proposal. */
void world_command(struct meta_world *w, const struct meta_command *command);
void world_create(struct meta_world *w, const char *name, int32_t partitions);

/* Ask, over THFT or RDSN; 'args' is a struct of the rpc's request. Decides what it proposes. */
void world_ask(struct meta_world *w, enum rpc_code code, enum frame_kind kind, const void *args);

/* The same without deciding. */
void world_ask_only(struct meta_world *w, enum rpc_code code, enum frame_kind kind,
                    const void *args);

/* End all proposals, also those that follow: 0 applies them. */
void world_decide(struct meta_world *w, int rc);

/* Read the last reply's result into 'out', a struct of the rpc's response. Fails the test when
 * there is none. Gives the name in its 'err'. */
struct slice world_reply(struct meta_world *w, void *out);

/* The error in the last reply's result. */
struct slice world_replied(struct meta_world *w);

#define assert_text(found, text)                                                                   \
    do {                                                                                           \
        struct slice found_ = (found);                                                             \
        assert_int_equal(found_.size, strlen(text));                                               \
        if (found_.size > 0) assert_memory_equal(found_.data, text, found_.size);                  \
    } while (0)
#define assert_replied(w, name) assert_text(world_replied(w), name)

void world_pass_ms(struct meta_world *w, uint64_t ms);

/* The remote's answer to the call under way: 'rc' as in rpc_answer; with 0, the frame's error and a
 * result of the rpc's response, or NULL. */
void world_answer(struct meta_world *w, int rc, enum wire_error error, const void *result);

/* Which rpc the remote is asked; RPC_UNKNOWN: none. */
enum rpc_code world_called(const struct meta_world *w);

void world_close(struct meta_world *w);
