/* sim/check/sets.h: checker D: were acknowledged inserts lost, or things found that nobody wrote?
 *
 * Unique inserts while everything goes wrong, one read of everything at the end:
 *
 *     acknowledged  within  found  within  attempted,   and nothing found twice
 *
 * The cheapest detector of loss there is. */
#pragma once
#include "sim/check/keys.h"
#include "sim/check/report.h"

struct sets {
    struct keys keys;
    uint8_t *marks; /* Of each key: attempted, acknowledged, found. */
    size_t capacity;
};

/* An all-zero 'struct sets' is a valid empty one. */
void sets_fini(struct sets *s);

void sets_attempt(struct sets *s, struct slice key); /* Before the insert is sent. */
void sets_ack(struct sets *s, struct slice key);     /* After it was acknowledged. */

/* Seen by the final read. Returns VERDICT_BROKEN when never attempted, or seen before. */
enum verdict sets_found(struct sets *s, struct slice key, struct report *report);

/* After the last sets_found(): is all there that was acknowledged? */
enum verdict sets_check(const struct sets *s, struct report *report);

/* Begin another final read: nothing was found yet. */
void sets_forget_found(struct sets *s);
