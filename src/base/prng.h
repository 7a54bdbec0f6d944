/* src/base/prng.h: numbers that look random and come from a seed, so that any run can be had again.
 * The generator is xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. Not for secrets. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

/* Any seed will do, 0 included. */
void prng_init(struct prng *p, uint64_t seed);

uint64_t prng_next(struct prng *p);

/* Evenly from [0, bound); 0 when bound is 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);

/* Evenly from [low, high], low <= high. */
uint64_t prng_between(struct prng *p, uint64_t low, uint64_t high);

/* True in 'percent' of 100 cases. */
bool prng_percent(struct prng *p, uint32_t percent);

/* Fill 'size' bytes. */
void prng_bytes(struct prng *p, void *to, uint64_t size);
