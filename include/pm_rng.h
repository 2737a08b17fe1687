/*
 * pm_rng.h
 *		Seeded random numbers, the same on every machine.
 *
 * xoshiro256++ 1.0 (Blackman and Vigna 2019) seeded by splitmix64.  Streams
 * with different `stream` numbers are independent for all purposes here.
 */
#ifndef PM_RNG_H
#define PM_RNG_H

#include <stdint.h>

typedef struct PmRng
{
	uint64_t	state[4];
} PmRng;

extern void pm_rng_seed(PmRng *rng, uint64_t seed, uint64_t stream);
extern uint64_t pm_rng_next(PmRng *rng);

/* Uniform in [0, 1), 53 bits. */
extern double pm_rng_uniform(PmRng *rng);

/* Uniform in [0, bound), without bias (Lemire 2019); bound > 0. */
extern uint64_t pm_rng_below(PmRng *rng, uint64_t bound);

#endif							/* PM_RNG_H */
