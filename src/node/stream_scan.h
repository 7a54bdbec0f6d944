/* src/node/stream_scan.h: a stream's snapshot: the table as it is, row by row with its timetags and
 * tombstones, as if it were one long mutation. Read on the pool, piece by piece. */
#pragma once
#include "node/stream.h"

/* Returns 0, and then DUP_SCAN_OPENED or DUP_SCAN_FAILED follows; or E_NOMEM. */
int stream_scan_open(struct stream *s, const struct dup_effect *effect) MUST_CHECK;
void stream_scan_next(struct stream *s, const struct dup_effect *effect);

/* Forget it; what is being read is thrown away when it is done. Harmless when there is none. */
void stream_scan_close(struct stream *s);
