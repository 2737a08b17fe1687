/*
 * pm_slim.h
 *		SLIM: a sparse linear model of items by items.
 *
 * Ning and Karypis 2011: for each item j the weights w that minimise
 * 1/2 |x_j - Xw|^2 + l2/2 |w|^2 + l1 |w|_1 with w_j = 0.  With `neighbours`
 * it is their fsSLIM: only that many items, the nearest by cosine, may have a
 * weight.
 */
#ifndef PM_SLIM_H
#define PM_SLIM_H

#include "pm_csr.h"

typedef struct PmSlimOptions
{
	double		l1;
	double		l2;
	bool		nonnegative;	/* w >= 0 */
	int32_t		neighbours;		/* 0: all that some user took with the item */
	int32_t		max_sweeps;		/* over an item's candidates */
	double		tolerance;		/* of a step, beside the item's own norm */
} PmSlimOptions;

/* l1 1, l2 10, nonnegative, all neighbours, 100 sweeps, tolerance 1e-4. */
extern const PmSlimOptions pm_slim_defaults;

/*
 * *weights has a row for each item taken: what it adds to the scores of
 * others.  It is from the arena.
 */
extern PmStatus pm_slim_fit(PmContext *ctx, const PmCsr *interactions,
							const PmSlimOptions *options, PmCsr *weights);

/* Of the items that a user took, the scores of all. */
extern void pm_slim_score(const PmCsr *weights, int64_t count,
						  const int32_t *taken, const float *values,
						  float *scores);

#endif							/* PM_SLIM_H */
