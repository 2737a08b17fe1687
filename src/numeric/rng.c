/*
 * rng.c
 *		xoshiro256++ 1.0, after the public-domain algorithm of D. Blackman and
 *		S. Vigna, https://prng.di.unimi.it/.
 */
#include "pm_rng.h"

#include "pm_hash.h"

#define GOLDEN_GAMMA UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t
rotate_left(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

void
pm_rng_seed(PmRng *rng, uint64_t seed, uint64_t stream)
{
	uint64_t	x = seed ^ pm_mix64(stream + GOLDEN_GAMMA);

	for (int i = 0; i < 4; i++)
	{
		x += GOLDEN_GAMMA;
		rng->state[i] = pm_mix64(x);
	}
}

uint64_t
pm_rng_next(PmRng *rng)
{
	uint64_t   *s = rng->state;
	uint64_t	result = rotate_left(s[0] + s[3], 23) + s[0];
	uint64_t	t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

double
pm_rng_uniform(PmRng *rng)
{
	return (double) (pm_rng_next(rng) >> 11) * 0x1.0p-53;
}

uint64_t
pm_rng_below(PmRng *rng, uint64_t bound)
{
	unsigned __int128 product = (unsigned __int128) pm_rng_next(rng) * bound;
	uint64_t	low = (uint64_t) product;

	if (low < bound)
	{
		uint64_t	threshold = -bound % bound;

		while (low < threshold)
		{
			product = (unsigned __int128) pm_rng_next(rng) * bound;
			low = (uint64_t) product;
		}
	}
	return (uint64_t) (product >> 64);
}
