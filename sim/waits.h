/* sim/waits.h: somebody who asks all day whether everything is at the other side (DUP_WAIT), partition by
 * partition. What is answered with yes is held against what was found there (I21). */
#pragma once
#include "sim/linked.h"

struct waits {
    struct linked *linked;
    int side;
    struct prng prng;
    struct io_timer timer;
    struct sim_call call;
    struct dup_wait_request args;
    uint64_t decree; /* What was committed when it asked. */
    bool is_asking, is_stopping;
};

/* Begin to ask 'side', until waits_stop(). All clients' machines are up. */
struct waits *waits_new(struct linked *l, int side, uint64_t seed);
void waits_free(struct waits *w); /* Accepts NULL. Before linked_free(). */

/* Ask no more. The last question still gets its end. */
void waits_stop(struct waits *w);
bool waits_is_idle(const struct waits *w);
