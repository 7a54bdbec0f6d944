/* src/core/throttle/throttle.h: how many requests, or bytes, one partition takes in a second. Pure:
 * the time is an input, and who waits, waits elsewhere.
 *
 * A table's rule is shared out evenly: each partition counts for itself. Two kinds, as Pegasus has
 * them:
 *
 *     throttle   "10000*delay*100,20K*reject*100": counts within the calendar second; above the one
 *                limit a request waits, above the other it is refused after a wait
 *     bucket     "10M": fills at that rate and holds one second's worth; what was used is taken
 *                afterwards and may leave a debt; nobody is served while it is empty
 *
 * Source: docs/data.md (admission of requests); the behaviour is Pegasus's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { THROTTLE_WAIT_MS_MAX = 60000 }; /* No client waits longer for anything. */

/* What was written for the whole table. Units are requests or bytes; 0: no such limit. */
struct throttle_rule {
    uint64_t delay_units, reject_units;
    uint32_t delay_ms, reject_ms;
};

/* Read a rule, or a bucket's rate in bytes per second ('0': there is none). A number may end in K
 * (1024) or M (1048576). A list in place of a rate means its reject part. Returns 0; or E_PROTO and
 * then '*out' is "no limit": Pegasus, too, serves a table with a bad rule unthrottled. */
int throttle_rule_read(struct slice text, struct throttle_rule *out);
int throttle_rate_read(struct slice text, uint64_t *out);

/* ---- Counting ---- */

struct throttle {
    struct throttle_rule share; /* Of this partition. */
    uint64_t second;            /* That 'used' belongs to. */
    uint64_t used;
};

enum throttle_verdict {
    THROTTLE_PASS,
    THROTTLE_DELAY,  /* After '*wait_ms' it passes, without being asked again. */
    THROTTLE_REJECT, /* After '*wait_ms' it is refused. */
};

/* Obey 'rule' from now on; what was used in this second stays used. An all-zero throttle is off. */
void throttle_set(struct throttle *t, const struct throttle_rule *rule, uint32_t partition_count);

static inline bool throttle_is_on(const struct throttle *t)
{
    return t->share.delay_units > 0 || t->share.reject_units > 0;
}

/* May 'units' more be used in the second 'wall_s' (since 1970)? The wait is at most half of what
 * the client gives us ('timeout_ms'; 0 or less: it does not say), so that it hears the answer. */
enum throttle_verdict throttle_ask(struct throttle *t, uint64_t wall_s, uint32_t units,
                                   int32_t timeout_ms, uint32_t *wait_ms);

/* ---- The bucket ---- */

struct throttle_bucket {
    uint64_t rate;      /* Bytes per second, of this partition; 0: off. */
    int64_t bytes;      /* In it; less than 0: a debt. */
    uint64_t filled_ms; /* CLOCK_BOOTTIME up to which it was filled. */
};

/* A bucket that comes to life is full. */
void throttle_bucket_set(struct throttle_bucket *b, uint64_t rate, uint32_t partition_count,
                         uint64_t now_ms);

/* Is anything left in it? True when it is off. */
bool throttle_bucket_ask(struct throttle_bucket *b, uint64_t now_ms);

/* This much was used. */
void throttle_bucket_take(struct throttle_bucket *b, uint64_t bytes);
