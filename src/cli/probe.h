/* src/cli/probe.h: one isolated write, and how soon it is visible on the other cluster.
 *
 *     silence ---- put at the source ---- acknowledged: the clock starts
 *     get at the remote, again and again ---- found: the clock stops
 *
 * All of it happens on the loop, which its own timer wakes, so that no change of threads is measured.
 * What is reported includes the last read's own way.
 *
 * Reads follow each other at once for READ_HARD_US, then each after a tenth of the time that has passed:
 * on a small machine a reader that never pauses takes the processor that the servers need, and measures
 * itself. So what is reported may be a tenth too long, and is never too short. */
#pragma once
#include "base/prng.h"
#include "cli/samples.h"
#include "cli/servers.h"

struct probes {
    struct pair *pair;
    struct client_table *source, *remote;
    struct prng prng;
    uint64_t sequence;   /* Of the next write; its partition is the remainder. */
    struct samples lags; /* From the acknowledgement to visibility. */
    struct samples acks; /* From the request to the acknowledgement. */
    uint64_t reads;      /* At the remote, in all. */
};

int probes_init(struct probes *p, struct pair *pair, struct err *e) MUST_CHECK;
void probes_fini(struct probes *p);

enum {
    PROBE_MS = 30000,   /* After so long without the write, it is given up. */
    READ_HARD_US = 500, /* Reads without a pause. */
};

/* Be silent for 'gap_ms' (less after Ctrl-C), write once, to the next partition, and wait until the
 * remote has it. Returns 0; E_TIMEOUT after PROBE_MS, or what either call failed with. */
int probes_write(struct probes *p, uint64_t gap_ms, struct err *e) MUST_CHECK;
