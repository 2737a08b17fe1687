/*
 * als_iterate.c
 *		One row: its normal equations, better solved than before.
 */
#include "als.h"

#include <string.h>

/* Smaller than this part of the target's square, a residual is rounding. */
#define NO_RESIDUAL 1e-12

static inline int
block_at(const AlsSide *side, const AlsRow *row, int64_t at)
{
	return row->count - at < side->block ? (int) (row->count - at) : side->block;
}

/*
 * q = (G + sum of w w' + lambda I) p.  A row that is longer than what is
 * packed together is packed again, for which it needs some scratch.
 */
static void
apply_matrix(const AlsSide *side, const AlsRow *row, AlsLane *lane,
			 float *scratch, const float *p, float *q)
{
	pm_als_apply_gramian(side, row->lambda, p, q);
	for (int64_t at = 0; at < row->count; at += side->block)
	{
		int			count = block_at(side, row, at);

		if (row->count > side->block)
			pm_als_pack(side, row, at, count, lane->packed, scratch);
		pm_als_apply(side->padded, count, lane->packed, p, q);
	}
}

/*
 * The residual target - A x goes to vectors[1], and the vectors are packed
 * where they fit; gives the square of the target.
 */
static double
start(const AlsSide *side, const AlsRow *row, AlsLane *lane, const float *x)
{
	size_t		bytes = (size_t) side->padded * sizeof(float);
	float	   *r = lane->vectors[1];
	float	   *q = lane->vectors[3];
	float	   *scratch = lane->vectors[4];
	double		square;

	memset(r, 0, bytes);
	for (int64_t at = 0; at < row->count; at += side->block)
		pm_als_pack(side, row, at, block_at(side, row, at), lane->packed, r);
	square = pm_als_dot(side->padded, r, r);
	memset(scratch, 0, bytes);
	apply_matrix(side, row, lane, scratch, x, q);
	pm_als_add_scaled(side->padded, -1, q, r);
	return square;
}

void
pm_als_solve_cg(const AlsSide *side, const AlsRow *row, AlsLane *lane,
				float *x)
{
	int			padded = side->padded;
	size_t		bytes = (size_t) padded * sizeof(float);
	float	   *r = lane->vectors[1];
	float	   *p = lane->vectors[2];
	float	   *q = lane->vectors[3];
	float	   *scratch = lane->vectors[4];
	double		none = NO_RESIDUAL * start(side, row, lane, x);
	double		square;

	memcpy(p, r, bytes);
	square = pm_als_dot(padded, r, r);
	for (int step = 0; step < side->options->cg_steps && square > none; step++)
	{
		double		before = square;
		double		curvature;
		float		length;

		memset(scratch, 0, bytes);
		apply_matrix(side, row, lane, scratch, p, q);
		curvature = pm_als_dot(padded, p, q);
		if (!(curvature > 0))
			break;
		length = (float) (square / curvature);
		pm_als_add_scaled(padded, length, p, x);
		pm_als_add_scaled(padded, -length, q, r);
		square = pm_als_dot(padded, r, r);
		/* p = r + square / before * p */
		memcpy(q, r, bytes);
		pm_als_add_scaled(padded, (float) (square / before), p, q);
		memcpy(p, q, bytes);
	}
}

/*
 * Numbers [first, first + size) of x: the minimum over them while the others
 * stay.  residual = target - A x; step (padded) is what is added to x.
 */
static void
solve_block(const AlsSide *side, const AlsRow *row, AlsLane *lane, int first,
			int size, const float *residual, float *scratch, float *step)
{
	size_t		padded = (size_t) side->padded;
	int			stride = als_padded(size);
	float	   *matrix = lane->matrix;

	memset(matrix, 0, (size_t) stride * stride * sizeof(float));
	for (int i = 0; i < size; i++)
	{
		if (side->gramian != NULL)
			memcpy(matrix + (size_t) i * stride, side->gramian + (first + i) * padded + first,
				   (size_t) size * sizeof(float));
		matrix[(size_t) i * stride + i] += row->lambda;
	}
	for (int64_t at = 0; at < row->count; at += side->block)
	{
		int			count = block_at(side, row, at);

		if (row->count > side->block)
			pm_als_pack(side, row, at, count, lane->packed, scratch);
		pm_als_square(stride, count, lane->packed + first, padded, matrix);
	}
	memset(step, 0, padded * sizeof(float));
	memcpy(step + first, residual + first, (size_t) size * sizeof(float));
	pm_als_solve_spd(stride, size, matrix, step + first);
}

void
pm_als_solve_blocks(const AlsSide *side, const AlsRow *row, AlsLane *lane,
					float *x)
{
	int			padded = side->padded;
	int			block = als_padded(side->options->block_size);
	float	   *r = lane->vectors[1];
	float	   *step = lane->vectors[2];
	float	   *q = lane->vectors[3];
	float	   *scratch = lane->vectors[4];

	start(side, row, lane, x);
	for (int first = 0; first < side->width; first += block)
	{
		int			size = side->width - first < block ? side->width - first : block;

		memset(scratch, 0, (size_t) padded * sizeof(float));
		solve_block(side, row, lane, first, size, r, scratch, step);
		pm_als_add_scaled(padded, 1, step, x);
		if (first + block >= side->width)
			break;
		apply_matrix(side, row, lane, scratch, step, q);
		pm_als_add_scaled(padded, -1, q, r);
	}
}
