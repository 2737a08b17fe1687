/*
 * decide.h
 *		Deciding between centroids by distances in double precision: for the
 *		search (nearest.c) and for the one with bounds (bounds.c).
 */
#ifndef PM_CPU_DECIDE_H
#define PM_CPU_DECIDE_H

#include "cpu.h"

/* The nearest and the second nearest centroid so far. */
typedef struct Winner
{
	int32_t		label;
	double		distance;		/* squared, as is the next */
	double		second;
} Winner;

/* The centroid of a tagged score of a block. */
static inline int32_t
tagged_centroid(const PmCpuCentroids *set, int block, float score)
{
	uint32_t	bits;

	memcpy(&bits, &score, sizeof(bits));
	return set->order[set->start[block] + (bits & (PM_CPU_BLOCK - 1))];
}

/* At most the error of the scores of a row in a block. */
static inline float
score_error(const PmCpuCentroids *set, const PmCpuScratch *scratch, int slot,
			int block)
{
	return scratch->rows.norm[slot] * set->error_norm[block] +
		scratch->rows.error[slot] * set->error_encoding[block] +
		set->error_rest[block];
}

/* Let a centroid compete; the lowest number wins among equals. */
static inline void
compete(const PmCpuCentroids *set, const float *x, int32_t c, Winner *winner)
{
	double		distance;

	if (c < 0 || c == winner->label)
		return;
	distance = set->kernels->distance(x, set->source + (size_t) c * set->d,
									  set->d);
	if (distance < winner->distance ||
		(distance == winner->distance && c < winner->label))
	{
		winner->second = winner->distance;
		winner->distance = distance;
		winner->label = c;
	}
	else if (distance < winner->second)
		winner->second = distance;
}

/* Let all centroids of a block compete. */
static inline void
compete_block(const PmCpuCentroids *set, const float *x, int block,
			  Winner *winner)
{
	for (int place = set->start[block]; place < set->start[block + 1]; place++)
		compete(set, x, set->order[place], winner);
}

#endif							/* PM_CPU_DECIDE_H */
