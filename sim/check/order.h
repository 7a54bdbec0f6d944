/* sim/check/order.h: checker B: does what clients saw agree with the order that the servers say?
 *
 * Writes carry (partition, decree): from the reply, or, when the end was unknown, from the
 * committed log (no decree there: it never happened). Then the truth is known, and n log n is
 * enough:
 *
 *   B0  Every acknowledged write has a decree.
 *   B1  In a partition, a write that ended before another began has the smaller decree.
 *   B2  Replayed in the order of decrees, each incr and cas had the answer it gave.
 *   B3  A read shows the state after some decree: at least the highest that was acknowledged or
 *       read on its key before it began, at most one up to which all writes had begun before it
 *       ended.
 *
 * A cas that failed may have no decree: then it is a read. Operations of one request may share a
 * decree; on one key a decree is used once. */
#pragma once
#include "sim/check/history.h"
#include "sim/check/report.h"

enum verdict check_order(const struct history *h, struct report *report);
