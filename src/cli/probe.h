/* src/cli/probe.h: one isolated write, and how soon it is visible on the other cluster.
 *
 *     put at the source ---- acknowledged: the clock starts
 *     get at the remote, again and again without a pause ---- found: the clock stops
 *
 * All of it happens on the loop, so that no change of threads is measured. What is reported
 * includes the last read's own way. */
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

/* Write once, to the next partition, and wait until the remote has it. Returns 0; E_TIMEOUT after
 * PROBE_MS, or what either call failed with. */
enum { PROBE_MS = 30000 };
int probes_write(struct probes *p, struct err *e) MUST_CHECK;
