/* src/client/client.h: one cluster as a program outside of it sees it: calls from any thread.
 *
 *     pirene.c, src/cli  -- client_call -->  io_post  --> cluster (rpc/cluster.h), on the loop
 *                        -- client_ask  -->  the same, and waits for the answer
 *
 * rpc/cluster.h finds servers, follows routes and tries again; it lives on one loop and knows no
 * threads. This file is what lies between: it carries calls to that loop, and lets a thread wait.
 * On the loop itself client_call() costs nothing more, so that a program which works in callbacks
 * is as fast as the cluster is.
 *
 * Threads: any, unless a function says otherwise. */
#pragma once
#include "rpc/cluster.h"
#include "wire/messages.h"

struct client;
struct client_table;

enum { CLIENT_TIMEOUT_MS_DEFAULT = 10000 };

/* Open the cluster behind 'metas' ("host:port,host:port") on 'loop', which outlives it. Nothing is
 * asked before the first call. Returns 0 and gives '*out', to be closed with client_close();
 * E_INVALID ('metas' is no such list), E_NOMEM. Not on the loop. */
int client_open(struct io_loop *loop, const char *metas, struct client **out) MUST_CHECK;

/* End all calls with E_CANCELED and free the client and its tables. Waits for that: not on the
 * loop. Accepts NULL. */
void client_close(struct client *client);

struct io_loop *client_loop(const struct client *client);

/* The addresses it was opened with. */
const char *client_metas(const struct client *client);

/* From now on whatever is waited for, here and in round.h, ends at 'boot_ms' (io_now()), however
 * many questions it takes and whatever their own timeouts; 0: no such deadline. For the thread that
 * asks. */
void client_set_deadline(struct client *client, uint64_t boot_ms);

/* 'timeout_ms' (0: CLIENT_TIMEOUT_MS_DEFAULT), or what is left until the deadline if that is less;
 * at least 1. */
uint32_t client_time_left_ms(const struct client *client, uint32_t timeout_ms);

/* The table of that name, whether it exists or not; it is the client's, and lives as long. Asking
 * twice gives the same one. Returns 0, E_INVALID (the name's length), E_NOMEM. Not on the loop. */
int client_table(struct client *client, const char *name, struct client_table **out) MUST_CHECK;

const char *client_table_name(const struct client_table *table);

/* ---- Calls that come back -------------------------------------------------------------------- */

enum client_target { CLIENT_META, CLIENT_KEY, CLIENT_PARTITION };

struct client_call {
    /* The caller's: set before the call, and left alone until it has ended. */
    enum client_target to;
    struct client_table *table; /* KEY and PARTITION. */
    uint64_t hash;              /* KEY: of wire/key.h. */
    uint32_t partition_index;   /* PARTITION. */
    enum rpc_code rpc;
    const void *args; /* As the rpc's request (wire/rpc_names.h); borrowed until the call ends. */
    uint32_t timeout_ms; /* 0: CLIENT_TIMEOUT_MS_DEFAULT. */
    unsigned flags;      /* enum cluster_call_flags */

    /* Called once on the loop, later, never from inside; what the answer holds is borrowed. */
    void (*on_done)(struct client_call *call, const struct rpc_answer *answer);

    /* The client's. All-zero before the first use; may be used again once it has ended. */
    struct client *client;
    struct io_post post;
    struct cluster_call call;
};

void client_call(struct client *client, struct client_call *call);

/* ---- Calls that are waited for: not on the loop ---------------------------------------------- */

/* One question. */
struct client_question {
    enum client_target to;
    struct client_table *table;
    uint64_t hash;
    uint32_t partition_index;
    enum rpc_code rpc;
    const void *args;
    uint32_t timeout_ms;
};

/* Ask and wait. Fills 'result' (of the rpc's response type), whose bytes and lists lie in 'arena'.
 * Returns 0; or why there is no result, and 'e' says it in words with the server's part in it:
 *     E_NOTFOUND   no such table
 *     E_TIMEOUT    nobody answered in time
 *     E_UNKNOWN    it may have been executed
 *     E_STATE      the server refused; 'e' names its error
 *     E_PROTO, E_NOMEM, E_CANCELED... */
int client_ask(struct client *client, const struct client_question *question, struct arena *arena,
               void *result, struct err *e) MUST_CHECK;

/* Ask the metas; where they can't be reached 'e' names their addresses. */
int client_ask_meta(struct client *client, enum rpc_code rpc, const void *args, struct arena *arena,
                    void *result, struct err *e) MUST_CHECK;

/* Ask all 'count' questions at the same time and wait for all. 'results[i]' is filled if rcs[i] is
 * 0. Returns 0, or the first rc that is not; 'e' is about that one. */
int client_ask_all(struct client *client, const struct client_question *questions, size_t count,
                   struct arena *arena, void *const *results, int *rcs, struct err *e) MUST_CHECK;

/* How many partitions the table has, and its id; asks the metas. Returns as client_ask(). */
int client_table_shape(struct client *client, const char *name, uint32_t timeout_ms,
                       uint32_t *partition_count, int32_t *app_id, struct err *e) MUST_CHECK;

/* What an 'err' field of a result says: 0 for ERR_OK, otherwise a code and, in 'e', the error's
 * name, the hint, and what to do about it. */
int client_check(struct slice err, struct slice hint, struct err *e) MUST_CHECK;

/* How a call to 'where' ended, in words. Returns a code as client_ask() does; 0 when it was
 * answered. */
int client_verdict(const struct rpc_answer *answer, const char *where, struct err *e) MUST_CHECK;

/* ---- Waiting ------------------------------------------------------------------------------------
 *
 * A gate holds a thread until somebody on another thread has said 'pass' as often as was
 * announced. */
struct gate;

int gate_new(size_t passes, struct gate **out) MUST_CHECK;
void gate_pass(struct gate *gate);      /* Any thread. */
void gate_wait_free(struct gate *gate); /* Waits, then frees it. */
