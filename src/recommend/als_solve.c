/*
 * als_solve.c
 *		One row: its normal equations, solved exactly.
 */
#include "als.h"

#include <string.h>

/* Bytes of vectors that are packed together: a part of the second cache. */
#define PACKED_BYTES (256 * 1024)
#define MIN_BLOCK 64

PmStatus
pm_als_lane_open(PmContext *ctx, const AlsSide *side, AlsLane *lane)
{
	size_t		padded = (size_t) side->padded;

	memset(lane, 0, sizeof(*lane));
	PM_TRY(pm_alloc_zero(ctx, "normal equations", padded * padded, sizeof(float), &lane->matrix));
	/* zeros: numbers that pad a vector are never written */
	PM_TRY(pm_alloc_zero(ctx, "packed vectors", (size_t) side->block * padded, sizeof(float),
						 &lane->packed));
	for (int i = 0; i < 5; i++)
		PM_TRY(pm_alloc_zero(ctx, "normal equations", padded, sizeof(float), &lane->vectors[i]));
	return PM_OK;
}

void
pm_als_lane_close(PmContext *ctx, AlsLane *lane)
{
	pm_release(ctx, lane->matrix);
	pm_release(ctx, lane->packed);
	for (int i = 0; i < 5; i++)
		pm_release(ctx, lane->vectors[i]);
	memset(lane, 0, sizeof(*lane));
}

void
pm_als_side_init(AlsSide *side, const PmAlsOptions *options, double mean,
				 int32_t columns, const float *vectors, const float *biases)
{
	memset(side, 0, sizeof(*side));
	side->options = options;
	side->terms = pm_als_terms(options, mean);
	side->factors = options->factors;
	side->width = options->factors + (biases != NULL);
	side->padded = als_padded(side->width);
	side->block = PACKED_BYTES / (int) sizeof(float) / side->padded;
	if (side->block < MIN_BLOCK)
		side->block = MIN_BLOCK;
	side->columns = columns;
	side->vectors = vectors;
	side->biases = biases;
}

void
pm_als_solve_cholesky(const AlsSide *side, const AlsRow *row, AlsLane *lane,
					  float *x)
{
	size_t		padded = (size_t) side->padded;

	memset(x, 0, padded * sizeof(float));
	if (side->gramian != NULL)
		memcpy(lane->matrix, side->gramian, padded * padded * sizeof(float));
	else
		memset(lane->matrix, 0, padded * padded * sizeof(float));
	for (int64_t at = 0; at < row->count; at += side->block)
	{
		int			count = row->count - at < side->block ? (int) (row->count - at) : side->block;

		pm_als_pack(side, row, at, count, lane->packed, x);
		pm_als_square(side->padded, count, lane->packed, padded, lane->matrix);
	}
	for (int i = 0; i < side->width; i++)
		lane->matrix[i * padded + i] += row->lambda;
	pm_als_solve_spd(side->padded, side->width, lane->matrix, x);
}

PmStatus
pm_als_solve_long(PmContext *ctx, const AlsSide *side, const AlsRow *row,
				  AlsLane *lane, float *x)
{
	size_t		padded = (size_t) side->padded;
	double	   *sums;
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "sums of products", padded * padded + padded, sizeof(double), &sums));
	status = pm_als_sum_row(ctx, side, row, sums, sums + padded * padded);
	if (status == PM_OK)
	{
		for (size_t i = 0; i < padded * padded; i++)
			lane->matrix[i] = (float) (sums[i] + (side->gramian == NULL ? 0 : side->gramian[i]));
		for (int i = 0; i < side->width; i++)
			lane->matrix[i * padded + i] += row->lambda;
		for (size_t i = 0; i < padded; i++)
			x[i] = (float) sums[padded * padded + i];
		pm_als_solve_spd(side->padded, side->width, lane->matrix, x);
	}
	pm_release(ctx, sums);
	return status;
}
