/*
 * pm_ranking.h
 *		Rows in the order of a number.
 *
 * The number becomes a key whose bits order as an unsigned integer; a radix
 * sort does the rest.
 */
#ifndef PM_RANKING_H
#define PM_RANKING_H

#include <string.h>

#include "pm_context.h"

/* A row and what it is ranked by. */
typedef struct PmRanked
{
	uint64_t	key;
	int64_t		row;
} PmRanked;

/* The key of a score that is not NaN; -0 and 0 are one score. */
static inline uint64_t
pm_rank_key(double score)
{
	uint64_t	bits;

	score += 0.0;
	memcpy(&bits, &score, sizeof(bits));
	return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

/* The score of a key. */
static inline double
pm_rank_score(uint64_t key)
{
	uint64_t	bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
	double		score;

	memcpy(&score, &bits, sizeof(score));
	return score;
}

/* The same of a float, in 32 bits. */
static inline uint32_t
pm_rank_key_float(float score)
{
	uint32_t	bits;

	score += 0.0f;
	memcpy(&bits, &score, sizeof(bits));
	return bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
}

/*
 * Sort by key; rows of one key stay in order.  *ranked is from the arena, as
 * is what may take its place.
 */
extern PmStatus pm_rank_sort(PmContext *ctx, int64_t n, PmRanked **ranked);

#endif							/* PM_RANKING_H */
