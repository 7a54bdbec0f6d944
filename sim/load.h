/* sim/load.h: what clients do all day: sessions that ask, wait, think and ask again, and a record of
 * what they were told.
 *
 *     own keys      get, put, del, incr, cas: in 'history', for checkers A and B. Only this side's
 *                   clients touch them, so the other cluster's writes never show through
 *     groups        multi_put and multi_get of three sort keys that always hold the same number: in
 *                   'history' too, and compared at once
 *     inserts       each key once: in 'inserts', for checker D
 *     shared keys   put with and without ttl, del, incr, cas on both sides: the last writer wins, which
 *                   the world's ghost judges
 *
 * A key whose operations had too many unknown ends is retired: the next ones use a fresh one. */
#pragma once
#include "sim/check/history.h"
#include "sim/check/sets.h"
#include "sim/client.h"

enum { LOAD_SESSIONS_MAX = 16, LOAD_SLOTS_MAX = 32, LOAD_UNKNOWN_MAX = 10 };

struct load_options {
    uint32_t side; /* Names the keys apart. */
    uint32_t sessions, own_keys, groups, shared_keys;
    uint64_t think_us;   /* Mean time between an answer and the next question. */
    uint64_t timeout_ms; /* Of a question. */
    uint32_t write_percent;
    uint32_t value_size_max; /* Of inserts and shared keys. */
};

struct load_slot { /* A place for a key. */
    uint32_t generation, unknown;
};

struct load;

struct load_session {
    struct load *load;
    uint32_t number;
    struct io_timer timer;
    struct io_post post;
    struct sim_call call;
    bool is_asking;

    int kind; /* Of the question under way; and what it was about. */
    struct load_slot *slot;
    size_t op, op_count; /* In the history. */
    int64_t a, b;
    struct buf key, hash_key, value;
    char operand[32];
    union {
        struct update_request update;
        struct bare_blob blob;
        struct incr_request incr;
        struct check_and_set_request cas;
        struct multi_put_request multi_put;
        struct multi_get_request multi_get;
    } args;
    struct key_value pairs[3];
};

struct load {
    struct sim_client *client;
    struct load_options options;
    struct prng prng;
    struct load_session sessions[LOAD_SESSIONS_MAX];
    struct load_slot own[LOAD_SLOTS_MAX], groups[LOAD_SLOTS_MAX];
    struct history history;
    struct sets inserts;
    int64_t next_number; /* Every put and cas writes one of its own. */
    bool is_stopping;
    uint64_t done, unknown, failed; /* Ends of questions. */
    uint64_t last_done_us;          /* When the last write was acknowledged. */
    bool is_broken;
    struct report report;
};

/* Sessions on that client's machine; they begin at once. Freed before the client; after
 * that the world does not run. */
struct load *load_new(struct sim_client *client, const struct load_options *options, uint64_t seed);
void load_free(struct load *l); /* Accepts NULL. */

void load_stop(struct load *l);          /* Ask nothing new. */
bool load_is_idle(const struct load *l); /* And nothing is under way. */
