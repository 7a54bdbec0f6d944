/* src/client/op.h: one call of pirene.h from its start to its callback. Used inside the room only.
 *
 * An op lies in its own arena, together with copies of what it was given and with the records of
 * its result; so it is one piece of memory, freed at once. */
#pragma once
#include <pthread.h>

#include "client/client.h"
#include "pirene.h"

struct pirene {
    struct io *io;
    struct io_loop *loop;
    struct client *client;
    uint32_t timeout_ms;
    pthread_mutex_t mutex;   /* Over... */
    struct list_node tables; /* ...these. */
};

struct pirene_table {
    struct list_node node;
    struct pirene *db;
    struct client_table *table;
};

struct op {
    struct client_call call;
    struct pirene *db;
    struct arena arena; /* Where this lies. */
    union {
        struct update_request put;
        struct bare_blob key; /* GET, TTL, REMOVE, SORTKEY_COUNT */
        struct incr_request incr;
        struct check_and_set_request check_and_set;
        struct multi_put_request multi_put;
        struct multi_get_request multi_get;
        struct multi_remove_request multi_remove;
        struct get_scanner_request get_scanner;
        struct scan_request scan;
    } args;
    struct chunk *chunk; /* The answer, which the result borrows from. */
    struct pirene_result result;
    pirene_done *done;
    void *context;
    /* Between the answer and 'done', for calls that have more to do: returns true when 'done' is to
     * be called. NULL: always. */
    bool (*on_answer)(struct op *op, const void *response);
    void *owner;
};

/* NULL: no memory. */
struct op *op_new(struct pirene *db, pirene_done *done, void *context);
void op_free(struct op *op);

/* A copy in the op's arena. Returns 0 or E_NOMEM. */
int op_copy(struct op *op, struct pirene_bytes from, struct slice *to) MUST_CHECK;

/* The raw key of a hash key and a sort key, likewise; '*hash' is that of the key. E_INVALID: too
 * long. */
int op_copy_key(struct op *op, struct pirene_key key, struct slice *to, uint64_t *hash) MUST_CHECK;

/* Go, with rc 0; otherwise call 'done' at once with what rc means. 'op' may be NULL then. */
void op_start(struct op *op, int rc, pirene_done *done, void *context);

/* Set a result's records out of those of an answer; 'is_raw': their keys are raw ones. */
int op_set_records(struct op *op, const struct key_value_list *kvs, bool is_raw) MUST_CHECK;

/* What one of our codes means to a program, and what a status of the storage. */
int op_error_of_rc(int rc);
int op_error_of_status(int32_t status);

/* ---- Waiting --------------------------------------------------------------------------------- */

struct op_wait {
    struct gate *gate;
    struct pirene_result result;
};

/* Make ready to wait: PIRENE_OK, PIRENE_INVALID (on the loop) or PIRENE_NOMEM. */
int op_wait_begin(struct op_wait *wait, const struct pirene *db) MUST_CHECK;

/* Nothing was begun: an empty result with the error, which is returned. */
int op_wait_refused(int error, struct pirene_result *result);

/* The callback that ends the wait; its context is the op_wait, which takes the op with the
 * result. */
void op_wait_done(void *context, const struct pirene_result *result);

/* Wait, and give the result, or free it with 'result' NULL. Returns its error. */
int op_wait_end(struct op_wait *wait, struct pirene_result *result);
