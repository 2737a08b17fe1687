/*
 * pm_ease.h
 *		EASE: a linear model of items by items, in closed form.
 *
 * Steck 2019, "Embarrassingly shallow autoencoders for sparse data": the
 * weights B that minimise |X - XB|^2 + l2 |B|^2 with a diagonal of 0.
 */
#ifndef PM_EASE_H
#define PM_EASE_H

#include "pm_csr.h"

/*
 * *weights is from the arena, (columns, columns); row i is what having taken
 * item i adds to the score of each.  Memory is that and 2 * 256 rows of it.
 */
extern PmStatus pm_ease_fit(PmContext *ctx, const PmCsr *interactions,
							double l2, float **weights);

/* Of the items that a user took, the scores of all `items` of them. */
extern void pm_ease_score(const float *weights, int32_t items, int64_t count,
						  const int32_t *taken, const float *values,
						  float *scores);

/*
 * Of each row the `keep` weights that are farthest from 0, the first of equal
 * ones, as a sparse matrix from the arena; pm_slim_score() takes it.
 */
extern PmStatus pm_ease_keep(PmContext *ctx, const float *weights,
							 int32_t items, int32_t keep, PmCsr *kept);

#endif							/* PM_EASE_H */
