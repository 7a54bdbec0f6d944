/* src/base/prng.c: xoshiro256**. */
#include "base/prng.h"

#include <string.h>

__extension__ typedef unsigned __int128 wide; /* gcc and clang have it on every 64-bit machine. */

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

void prng_init(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++) p->state[i] = splitmix(&seed);
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t bound)
{
    /* The bias of the high product is below 2^-32 for every bound that we use. */
    return bound == 0 ? 0 : (uint64_t)(((wide)prng_next(p) * bound) >> 64);
}

uint64_t prng_between(struct prng *p, uint64_t low, uint64_t high)
{
    return low + prng_below(p, high - low + 1);
}

bool prng_percent(struct prng *p, uint32_t percent)
{
    return prng_below(p, 100) < percent;
}

void prng_bytes(struct prng *p, void *to, uint64_t size)
{
    uint8_t *at = to;
    while (size > 0) {
        uint64_t value = prng_next(p);
        uint64_t step = size < sizeof value ? size : sizeof value;
        memcpy(at, &value, step);
        at += step;
        size -= step;
    }
}
