/*
 * pm_gfcf.h
 *		GF-CF: filters on the graph of users and items, in closed form.
 *
 * Shen et al. 2021, "How powerful is graph convolution for recommendation?".
 * With R~ = D_u^-1/2 R D_i^-1/2 the scores of a user's row r are
 *
 *		r R~'R~ + alpha r D_i^-1/2 V V' D_i^1/2
 *
 * V being the right singular vectors of R~ of the largest singular values: a
 * linear filter and an ideal low-pass one.
 */
#ifndef PM_GFCF_H
#define PM_GFCF_H

#include "pm_csr.h"

#define PM_GFCF_MAX_RANK 1024

typedef struct PmGfcfOptions
{
	int32_t		rank;			/* singular vectors, 0 = no low-pass filter */
	double		alpha;
	uint64_t	seed;
} PmGfcfOptions;

/* rank 256, alpha 0.3 as in the paper, seed 1. */
extern const PmGfcfOptions pm_gfcf_defaults;

typedef struct PmGfcf
{
	int32_t		items;
	int32_t		rank;			/* at most as many as items */
	double		alpha;
	PmCsr		similar;		/* R~'R~ */
	float	   *degree;			/* items: sum of the column */
	double	   *values;			/* rank: squared singular values, 0 = none */
	float	   *vectors;		/* (items, rank) */
} PmGfcf;

/* Values must not be below 0. */
extern PmStatus pm_gfcf_fit(PmContext *ctx, const PmCsr *interactions,
							const PmGfcfOptions *options, PmGfcf *model);
extern void pm_gfcf_release(PmContext *ctx, PmGfcf *model);

/* Of the items that a user took, the scores of all. */
extern void pm_gfcf_score(const PmGfcf *model, int64_t count,
						  const int32_t *taken, const float *values,
						  float *scores);

#endif							/* PM_GFCF_H */
