/* sim/swarm.h: random runs. The seed draws sizes, load, and which faults strike how often.
 *
 *     begin      both clusters up, tables made, linked; no faults yet
 *     phase 1    faults strike, clients ask; safety is looked at after every event
 *     phase 2    everything is healed for good, clients stop; within a deadline both sides are equal,
 *                lag is 0, every question has its end and the logs are small; then the checkers
 *                judge what clients saw, and both nodes end and leave no memory
 *
 * Each kind of fault is on with one chance in two, at a rate that is drawn too: few kinds at a high
 * rate find what an even mixture hides. A run is its seed, its profile and its length: nothing else. */
#pragma once
#include <stdio.h>

#include "sim/linked.h"

enum swarm_profile {
    SWARM_ALL,      /* Everything. */
    SWARM_DUP,      /* What happens between clusters: links, clocks, deaths; no failing disks. */
    SWARM_LIVENESS, /* A short phase 1, at high rates. */
    SWARM_QUIET,    /* No faults: the last write is there in time, without a timer (I16). */
    SWARM_PROFILES,
};

const char *swarm_profile_name(enum swarm_profile profile);

/* Returns 0 or E_INVALID. */
int swarm_profile_parse(const char *name, enum swarm_profile *out) MUST_CHECK;

struct swarm_options {
    uint64_t seed;
    enum swarm_profile profile;
    uint64_t virtual_s; /* Length of phase 1. */
    FILE *trace;        /* Every event; NULL: none. */
    FILE *complain;     /* Where a failure tells its story; NULL: nowhere. */
};

enum swarm_end { SWARM_GOOD = 0, SWARM_BROKEN = 3, SWARM_STUCK = 4 }; /* Exit codes. */

struct swarm_result {
    enum swarm_end end;
    char text[REPORT_TEXT_SIZE]; /* What was broken, or what never came. */
    uint64_t hash, events, virtual_us;
    uint64_t asked, unknown; /* Questions of clients, and those without a certain end. */
    uint64_t mutations;      /* Committed on both sides. */
    uint64_t strikes;        /* Faults. */
};

void swarm_run(const struct swarm_options *options, struct swarm_result *out);
