/* sim/check/linear.h: checker A: is every key linearizable? Believes nothing but what clients saw.
 *
 * Linearizability is local, so each key is checked alone, with a set of pairs
 *
 *     (which of the pending operations have taken effect, the value then)
 *
 * that holds everything that may be the truth at this moment. It is widened only when an answer
 * comes: pending operations are let take effect until the answered one has, with the answer it
 * gave. Pairs in which it can't are dropped; when none is left, no order explains the history.
 *
 *   - A read, or a cas that failed, takes effect as soon as the value fits: it can't hurt later.
 *   - Reads with an unknown end say nothing and are left out.
 *   - A put with an unknown end whose value no answer shows is left out too; should the key then
 *     seem broken, it is checked again with it.
 *
 * This is Wing and Gong's search in the just-in-time form of Lowe ("Testing for linearizability",
 * 2016). Exponential in what is pending at once: keep to at most 8 clients and 12 unknown ends per
 * key. */
#pragma once
#include "sim/check/history.h"
#include "sim/check/report.h"

/* Returns VERDICT_OK, VERDICT_BROKEN (the first key that is, with the operations before), or
 * VERDICT_UNKNOWN (over 64 pending at once, or 20 million pairs for one key). */
enum verdict check_linear(const struct history *h, struct report *report);
