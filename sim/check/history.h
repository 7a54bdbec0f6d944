/* sim/check/history.h: what clients asked for and what they were told, in the order in which it
 * happened.
 *
 *     invoke ───────────────── return        an operation took effect once, somewhere in between
 *     invoke ───────────────── ...           or, when its end is unknown, perhaps later or never
 *
 * One recorder for the simulator and for real processes, and for all checkers. Values are numbers,
 * as decimal text in the table, so that every kind of operation can meet every other; tests let
 * each put and cas write a number of its own, which is what makes histories tell much.
 *
 * Time is the order of the calls of this recorder: invoke before the request is sent, return after
 * the reply is there. The caller serialises them (the simulator has one thread). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/check/keys.h"

#define HISTORY_ABSENT INT64_MIN  /* No value. Nobody writes it. */
#define HISTORY_OPEN   UINT64_MAX /* 'returned' of an operation whose end is not known. */

enum history_type {
    HISTORY_GET, /* Result: the value. */
    HISTORY_PUT, /* a: the value. */
    HISTORY_DEL,
    HISTORY_INCR, /* a: the difference. Result: the new value; an absent one counts as 0. */
    HISTORY_CAS,  /* Value a becomes b, if it is a. Result: the value before. */
};

enum history_end {
    HISTORY_DONE,    /* It happened; the result is known. */
    HISTORY_UNKNOWN, /* A timeout or the like: it happens at some time after its start, or never. */
    HISTORY_FAILED,  /* It is certain that it had no effect. */
};

struct history_op {
    enum history_type type;
    enum history_end end;
    uint32_t client, key;
    int64_t a, b, result;
    uint64_t invoked,
        returned; /* Places in the order of all calls; returned may be HISTORY_OPEN. */
    uint32_t partition;
    uint64_t decree; /* Of a write, as the server said or the log showed; 0: none. */
};

struct history {
    struct keys keys;
    struct history_op *ops;
    size_t count, capacity;
    uint64_t clock;
};

/* An all-zero history is a valid empty one. */
void history_fini(struct history *h);

/* A client begins; gives the number of the operation. 'a' and 'b' as above, else 0. */
size_t history_invoke(struct history *h, uint32_t client, enum history_type type, struct slice key,
                      int64_t a, int64_t b);

/* It has its answer. Operations that never get one stay HISTORY_UNKNOWN. */
void history_return(struct history *h, size_t op, enum history_end end, int64_t result);

/* Where a write stands in its partition's order: from the reply, or later from the committed
 * log. */
void history_decree(struct history *h, size_t op, uint32_t partition, uint64_t decree);

/* What an operation does to a value. Returns its result and changes '*value'. */
int64_t history_apply(const struct history_op *op, int64_t *value);

/* "[ 12, 15] client 3: incr(5) = 7", without a newline, into 'text'. Returns its length. */
int history_print(const struct history_op *op, char *text, size_t size);
