/* src/cli/load.h: as many requests as fit, for some time or until all are done.
 *
 * Each lane is a connection with a loop of its own, and has its share of the requests that are
 * under way at any time; an answer starts the next request at once. Every latency is kept. */
#pragma once
#include "cli/samples.h"
#include "cli/servers.h"

struct load_options {
    const char *metas;
    const char *table;
    unsigned read_percent; /* 0: only puts, 100: only gets. */
    uint32_t lanes;
    uint32_t in_flight; /* Of all lanes. */
    uint32_t value_size;
    uint64_t key_count; /* Keys are drawn from so many... */
    bool is_fill;       /* ...or each is written once, in order, and then it ends. */
    uint64_t seconds;   /* Otherwise it ends after so long. */
    const char *label;  /* For the progress line; NULL: none. */
    /* Called about every 100 ms on the calling thread; may be NULL. */
    void (*on_tick)(void *context);
    void *context;
};

struct load_result {
    struct samples samples;
    uint64_t ops, errors, missing; /* missing: reads that found nothing. */
    uint64_t took_ns;
    struct err e; /* The first error. */
};

/* Returns 0, or why it could not begin; errors of requests are counted. 'out->samples' is sorted;
 * give it to samples_fini(). Ends early on Ctrl-C. */
int load_run(struct cli *cli, const struct load_options *options, struct load_result *out,
             struct err *e) MUST_CHECK;
