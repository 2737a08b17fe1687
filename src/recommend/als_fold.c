/*
 * als_fold.c
 *		The vector of a user whom the model does not hold.
 */
#include "als.h"

#include <math.h>
#include <string.h>

PmStatus
pm_als_prepare(PmContext *ctx, PmAls *als)
{
	size_t		factors = (size_t) als->options.factors;
	AlsSide		side;
	float	   *padded;
	PmStatus	status;

	if (als->gramian == NULL)
		PM_TRY(pm_alloc(ctx, "sums of products", factors * factors, sizeof(float),
						&als->gramian));
	pm_als_side_init(&side, &als->options, 0, als->items, als->item_factors, NULL);
	PM_TRY(pm_alloc(ctx, "sums of products", (size_t) side.padded * (size_t) side.padded,
					sizeof(float), &padded));
	status = pm_als_gramian(ctx, &side, 1, padded);
	if (status == PM_OK)
		for (size_t i = 0; i < factors; i++)
			memcpy(als->gramian + i * factors, padded + i * (size_t) side.padded,
				   factors * sizeof(float));
	pm_release(ctx, padded);
	return status;
}

/* Items that the model has, and values that it learns from. */
static PmStatus
check_items(PmContext *ctx, const PmAls *als, int64_t count,
			const int32_t *items, const float *values)
{
	float		least = als->options.feedback == PM_ALS_EXPLICIT ? -INFINITY : 0;

	for (int64_t i = 0; i < count; i++)
	{
		if (items[i] < 0 || items[i] >= als->items)
			return pm_fail(ctx, PM_INVALID, "item %d is not one of the model's %d",
						   (int) items[i], (int) als->items);
		if (!isfinite(values[i]) || values[i] < least)
			return pm_fail(ctx, PM_INVALID, "item %d has the value %g, which is not %s",
						   (int) items[i], (double) values[i],
						   least == 0 ? "a number from 0 on" : "a finite number");
	}
	return PM_OK;
}

/* unseen * Y'Y, padded with zeros */
static PmStatus
pad_gramian(PmContext *ctx, const PmAls *als, const AlsSide *side, float **gramian)
{
	int			factors = als->options.factors;
	size_t		padded = (size_t) side->padded;

	if (!(side->terms.unseen > 0))
		return PM_OK;
	if (als->gramian == NULL)
		return pm_fail(ctx, PM_INVALID, "the model is not prepared for users it does not hold");
	PM_TRY(pm_alloc_zero(ctx, "normal equations", padded * padded, sizeof(float), gramian));
	for (int i = 0; i < factors; i++)
		for (int j = 0; j < factors; j++)
			(*gramian)[i * padded + j] = (float) side->terms.unseen *
				als->gramian[(size_t) i * factors + j];
	return PM_OK;
}

PmStatus
pm_als_fold_in(PmContext *ctx, const PmAls *als, int64_t count,
			   const int32_t *items, const float *values, float *factors,
			   float *bias)
{
	AlsRow		row = {.count = count,.indices = items,.values = values};
	AlsLane		lane = {0};
	float	   *gramian = NULL;
	AlsSide		side;
	PmStatus	status;

	memset(factors, 0, (size_t) als->options.factors * sizeof(float));
	if (bias != NULL)
		*bias = 0;
	if (count == 0)
		return PM_OK;
	PM_TRY(check_items(ctx, als, count, items, values));
	pm_als_side_init(&side, &als->options, als->mean, als->items, als->item_factors,
					 als->item_bias);
	row.lambda = (float) pm_als_lambda(&side, count);
	status = pad_gramian(ctx, als, &side, &gramian);
	side.gramian = gramian;
	if (status == PM_OK)
		status = pm_als_lane_open(ctx, &side, &lane);
	if (status == PM_OK && pm_als_is_long(&side, count))
		status = pm_als_solve_long(ctx, &side, &row, &lane, lane.vectors[0]);
	else if (status == PM_OK)
		pm_als_solve_cholesky(&side, &row, &lane, lane.vectors[0]);
	if (status == PM_OK)
	{
		memcpy(factors, lane.vectors[0], (size_t) side.factors * sizeof(float));
		if (bias != NULL && side.width > side.factors)
			*bias = lane.vectors[0][side.factors];
	}
	pm_als_lane_close(ctx, &lane);
	pm_release(ctx, gramian);
	return status;
}
