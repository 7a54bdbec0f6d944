/* tests/sim/histories.h: histories that are right by construction, and ways to make them wrong.
 *
 * A generator plays clients against one true value for each key: every operation takes effect at a
 * moment between its call and its answer, or is abandoned and takes effect late or never. So the
 * history is linearizable. In the middle a small scene is played by clients of its own, whose last
 * answer can be falsified so that no other client's doing explains it: its values occur nowhere
 * else. */
#pragma once
#include "base/prng.h"
#include "sim/check/history.h"

enum scene {
    SCENE_NONE,
    SCENE_STALE_READ,    /* put 1, put 2, get = 1 */
    SCENE_RESURRECTED,   /* put 1, del, get = 1 */
    SCENE_DOUBLE_INCR,   /* put 1, incr 2, get = 1 + 2 + 2 */
    SCENE_LOST_INCR,     /* put 1, incr 2, incr 3 = 1 + 3 */
    SCENE_REORDERED_CAS, /* put 1, put 2, cas 1 -> 3 = 1 */
    SCENE_PHANTOM,       /* put 1, get = what nobody wrote */
    SCENE_INVERSION,     /* put 1; put 2 begins; get = 2, get = 1; put 2 ends */
    SCENE_LOST_WRITE,    /* put 1, put 2, incr 3 = 1 + 3 */
    SCENE_COUNT,
};

struct histories {
    struct prng *prng;
    uint32_t clients, keys;
    size_t steps;
    uint32_t unknown_percent; /* Of operations. */
    enum scene scene;
    bool is_broken; /* The scene's last answer is a lie. */
};

/* Append a history to 'h', which is empty. */
void histories_generate(const struct histories *g, struct history *h);

/* A history of up to 'ops_max' operations on one key with any answers at all, right or wrong. */
void histories_random(struct prng *p, size_t ops_max, struct history *h);

/* Is a history of a few operations on one key linearizable? By trying all orders. */
bool histories_brute(const struct history *h);
