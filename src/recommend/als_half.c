/*
 * als_half.c
 *		Half an iteration: every row solved, while the other side stays.
 *
 * Rows are cut into pieces of about the same work, by their lengths alone.
 * Threads take pieces; a row so long that it would keep one thread from
 * looking for interrupts is summed by all of them.
 */
#include "als.h"

#include "pm_parallel.h"

#include <math.h>
#include <string.h>

/* Nanoseconds: of a piece, between two looks, and of a row summed by all. */
#define PIECE_WORK 3e5
#define BATCH_WORK 2.5e7
#define LONG_WORK 5e6

/* Nanoseconds of a multiplication packed, and of getting one number of a
 * vector from memory. */
#define MULTIPLY_TIME 0.015
#define GATHER_TIME 0.4

/*
 * Factors up to which exact solutions take about as long as three steps of
 * conjugate gradients.  Seconds of CPU an iteration, 10 million interactions
 * of 137,000 users and 20,000 items: 64 factors 1.3 and 1.1, 128 factors 3.6
 * and 2.0, with objectives within 0.2 % of each other after five.
 */
#define EXACT_FACTORS 64

typedef struct Half
{
	const AlsSide *side;
	PmAlsSolver solver;
	const PmCsr *matrix;
	float	   *vectors;
	float	   *biases;
	AlsLane    *lanes;
	int32_t    *pieces;			/* the first row of each, and the end */
	int64_t		first_piece;
	bool		not_finite;
} Half;

PmAlsSolver
pm_als_solver(const PmAlsOptions *options)
{
	if (options->solver != PM_ALS_AUTO)
		return options->solver;
	return options->factors <= EXACT_FACTORS ? PM_ALS_CHOLESKY : PM_ALS_CG;
}

/* What a row of so many elements takes, in nanoseconds, about. */
static double
work_of(const AlsSide *side, PmAlsSolver solver, int64_t elements)
{
	double		count = (double) elements;
	double		d = side->padded;
	double		steps = side->options->cg_steps + 1;
	double		block = als_padded(side->options->block_size);

	if (elements == 0)
		return d;
	switch (solver)
	{
		case PM_ALS_CG:
			return d * (GATHER_TIME * count + 4 * MULTIPLY_TIME * steps * (count + d)) +
				(count > side->block ? d * GATHER_TIME * steps * count : 0);
		case PM_ALS_BLOCKS:
			return d * (GATHER_TIME * count + MULTIPLY_TIME * block * (count + block)) +
				(count > side->block ? 2 * d * GATHER_TIME * count * d / block : 0);
		default:
			return d * (GATHER_TIME * count + MULTIPLY_TIME * d * (count + d));
	}
}

/*
 * Is that more than one thread's work?  What does not depend on the elements
 * all threads could not share either.
 */
static bool
is_long(const AlsSide *side, PmAlsSolver solver, int64_t elements)
{
	return work_of(side, solver, elements) - work_of(side, solver, 1) > LONG_WORK;
}

bool
pm_als_is_long(const AlsSide *side, int64_t count)
{
	return is_long(side, PM_ALS_CHOLESKY, count);
}

static int64_t
elements_of(const Half *half, int32_t row)
{
	return half->matrix->offsets[row + 1] - half->matrix->offsets[row];
}

static bool
row_is_long(const Half *half, int32_t row)
{
	return is_long(half->side, half->solver, elements_of(half, row));
}

/* One thread's work: none where it is all threads'. */
static double
row_work(const Half *half, int32_t row)
{
	return row_is_long(half, row) ? 0 :
		work_of(half->side, half->solver, elements_of(half, row));
}

static AlsRow
row_of(const Half *half, int32_t row)
{
	int64_t		first = half->matrix->offsets[row];
	int64_t		count = half->matrix->offsets[row + 1] - first;

	return (AlsRow) {
		.count = count,
		.indices = half->matrix->indices + first,
		.values = half->matrix->values + first,
		.lambda = (float) pm_als_lambda(half->side, count)
	};
}

/* Where the solution starts. */
static void
load_row(const Half *half, int32_t row, float *x)
{
	int			factors = half->side->factors;

	memcpy(x, half->vectors + (int64_t) row * factors, (size_t) factors * sizeof(float));
	if (half->biases != NULL)
		x[factors] = half->biases[row];
}

/* And where it goes. */
static void
store_row(Half *half, int32_t row, const float *x)
{
	int			factors = half->side->factors;
	float		check = 0;

	for (int i = 0; i < half->side->width; i++)
		check += x[i] * 0;
	if (check != 0)				/* not a number */
		__atomic_store_n(&half->not_finite, true, __ATOMIC_RELAXED);
	memcpy(half->vectors + (int64_t) row * factors, x, (size_t) factors * sizeof(float));
	if (half->biases != NULL)
		half->biases[row] = x[factors];
}

/* The rows of a piece, but for those that all threads sum. */
static void
solve_piece(int64_t index, int lane_index, void *argument)
{
	Half	   *half = argument;
	const int32_t *piece = half->pieces + half->first_piece + index;
	AlsLane    *lane = &half->lanes[lane_index];
	float	   *x = lane->vectors[0];

	for (int32_t i = piece[0]; i < piece[1]; i++)
	{
		AlsRow		row = row_of(half, i);

		if (row_is_long(half, i))
			continue;
		load_row(half, i, x);
		if (row.count == 0)
			memset(x, 0, (size_t) half->side->padded * sizeof(float));
		else if (half->solver == PM_ALS_CG)
			pm_als_solve_cg(half->side, &row, lane, x);
		else if (half->solver == PM_ALS_BLOCKS)
			pm_als_solve_blocks(half->side, &row, lane, x);
		else
			pm_als_solve_cholesky(half->side, &row, lane, x);
		store_row(half, i, x);
	}
}

/*
 * Cut rows into pieces; pieces NULL: only count them.  A row that all threads
 * sum is no work here.
 */
static int64_t
cut(const Half *half, int32_t *pieces)
{
	int64_t		count = 0;
	double		work = PIECE_WORK;

	for (int32_t i = 0; i < half->matrix->rows; i++)
	{
		double		more = row_work(half, i);

		if (work + more > PIECE_WORK || i == 0)
		{
			if (pieces != NULL)
				pieces[count] = i;
			count++;
			work = 0;
		}
		work += more;
	}
	if (pieces != NULL)
		pieces[count] = half->matrix->rows;
	return count;
}

static double
piece_work(const Half *half, int64_t piece)
{
	double		work = 0;

	for (int32_t i = half->pieces[piece]; i < half->pieces[piece + 1]; i++)
		work += row_work(half, i);
	return work;
}

/* Pieces, as many at a time as leave the host waiting for so long. */
static PmStatus
solve_pieces(PmContext *ctx, Half *half, int64_t count)
{
	while (half->first_piece < count)
	{
		double		work = 0;
		int64_t		some = 0;

		while (half->first_piece + some < count && work < BATCH_WORK * ctx->threads)
			work += piece_work(half, half->first_piece + some++);
		PM_TRY(pm_parallel(ctx, "alternating least squares", some, work / (double) some,
						   solve_piece, half));
		half->first_piece += some;
	}
	return PM_OK;
}

static PmStatus
solve_long_rows(PmContext *ctx, Half *half)
{
	for (int32_t i = 0; i < half->matrix->rows; i++)
	{
		AlsRow		row;

		if (!row_is_long(half, i))
			continue;
		row = row_of(half, i);
		PM_TRY(pm_als_solve_long(ctx, half->side, &row, &half->lanes[0],
								 half->lanes[0].vectors[0]));
		store_row(half, i, half->lanes[0].vectors[0]);
	}
	return PM_OK;
}

/* All rows, with lanes that are zeros. */
static PmStatus
solve_rows(PmContext *ctx, Half *half, int lanes)
{
	int64_t		count = cut(half, NULL);

	for (int i = 0; i < lanes; i++)
		PM_TRY(pm_als_lane_open(ctx, half->side, &half->lanes[i]));
	PM_TRY(pm_alloc(ctx, "pieces of work", (size_t) count + 1, sizeof(int32_t), &half->pieces));
	(void) cut(half, half->pieces);
	PM_TRY(solve_pieces(ctx, half, count));
	PM_TRY(solve_long_rows(ctx, half));
	if (half->not_finite)
		return pm_fail(ctx, PM_INVALID,
					   "the factors are not finite: raise the regularization or scale the weights down");
	return PM_OK;
}

PmStatus
pm_als_half(PmContext *ctx, AlsSide *side, const PmCsr *matrix,
			float *vectors, float *biases)
{
	Half		half = {.side = side,.matrix = matrix,.vectors = vectors,.biases = biases};
	int			lanes = ctx->device == NULL || ctx->threads < 1 ? 1 : ctx->threads;
	size_t		padded = (size_t) side->padded;
	float	   *gramian = NULL;
	PmStatus	status = PM_OK;

	half.solver = pm_als_solver(side->options);
	if (side->terms.unseen > 0)
		status = pm_alloc(ctx, "sums of products", padded * padded, sizeof(float), &gramian);
	if (status == PM_OK && gramian != NULL)
		status = pm_als_gramian(ctx, side, side->terms.unseen, gramian);
	side->gramian = gramian;
	if (status == PM_OK)
		status = pm_alloc_zero(ctx, "normal equations", (size_t) lanes, sizeof(AlsLane),
							   &half.lanes);
	if (status == PM_OK)
		status = solve_rows(ctx, &half, lanes);
	if (half.lanes != NULL)
		for (int i = 0; i < lanes; i++)
			pm_als_lane_close(ctx, &half.lanes[i]);
	pm_release(ctx, half.lanes);
	pm_release(ctx, half.pieces);
	side->gramian = NULL;
	pm_release(ctx, gramian);
	return status;
}
