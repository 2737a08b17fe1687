/*
 * als_loss.c
 *		The objective, exactly.
 *
 * What pairs that are not seen add is the sum over all of s^2, the trace of
 * (X'X)(Y'Y), less than a pass over all of them: with it the objective
 * costs one product per element (Rendle et al. 2021).
 */
#include "als.h"

#include "pm_parallel.h"

#include <math.h>
#include <string.h>

/* Rows of a task: each has a sum of its own. */
#define ROWS 64

#define ELEMENT_TIME 30.0
#define NUMBER_TIME 0.3

typedef struct Loss
{
	const PmAls *als;
	const PmCsr *by_user;
	const PmCsr *by_item;
	AlsSide		users;			/* what items are solved against */
	AlsSide		items;
	double	   *sums;			/* by task */
} Loss;

typedef float Floats __attribute__((vector_size(32)));
typedef double Doubles __attribute__((vector_size(64)));

/* <x, y> in doubles. */
PM_INLINE void
dot_body(int factors, const float *x, const float *y, double *result)
{
	Doubles		sum = {0};
	int			j = 0;

	for (; j + 8 <= factors; j += 8)
	{
		Floats		left;
		Floats		right;

		memcpy(&left, x + j, sizeof(left));
		memcpy(&right, y + j, sizeof(right));
		sum += __builtin_convertvector(left, Doubles) * __builtin_convertvector(right, Doubles);
	}
	*result = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
	for (; j < factors; j++)
		*result += (double) x[j] * y[j];
}

PM_CLONES(dot,
		  (int factors, const float *x, const float *y, double *result),
		  (factors, x, y, result));

/* What an element adds, besides what all pairs do. */
static double
element_loss(const Loss *loss, int32_t user, int32_t item, float value)
{
	const PmAls *als = loss->als;
	int			factors = als->options.factors;
	const float *x = als->user_factors + (int64_t) user * factors;
	const float *y = als->item_factors + (int64_t) item * factors;
	double		s;
	double		miss;

	dot(factors, x, y, &s);
	switch (als->options.feedback)
	{
		case PM_ALS_IMPLICIT:
			return value * (1 - s) * (1 - s);
		case PM_ALS_CONFIDENCE:
			/* c (1 - s)^2, less the s^2 that all pairs have */
			return (1 + als->options.alpha * value) * (1 - s) * (1 - s) - s * s;
		default:
			miss = value - als->mean - s;
			if (als->user_bias != NULL)
				miss -= (double) als->user_bias[user] + als->item_bias[item];
			return miss * miss;
	}
}

/* What the vectors of rows [first, end) of one side cost. */
static double
penalty(const AlsSide *side, const PmCsr *matrix, int64_t first, int64_t end,
		const float *vectors, const float *biases)
{
	double		sum = 0;

	for (int64_t row = first; row < end; row++)
	{
		const float *x = vectors + row * side->factors;
		double		square;

		dot(side->factors, x, x, &square);
		if (biases != NULL)
			square += (double) biases[row] * biases[row];
		sum += square * pm_als_lambda(side, matrix->offsets[row + 1] - matrix->offsets[row]);
	}
	return sum;
}

/* Users and what they have seen. */
static void
sum_users(int64_t index, int lane, void *argument)
{
	const Loss *loss = argument;
	const PmCsr *matrix = loss->by_user;
	int64_t		first = index * ROWS;
	int64_t		end = matrix->rows - first < ROWS ? matrix->rows : first + ROWS;
	double		sum = penalty(&loss->items, matrix, first, end, loss->als->user_factors,
							  loss->als->user_bias);

	(void) lane;
	for (int64_t row = first; row < end; row++)
		for (int64_t i = matrix->offsets[row]; i < matrix->offsets[row + 1]; i++)
			sum += element_loss(loss, (int32_t) row, matrix->indices[i], matrix->values[i]);
	loss->sums[index] = sum;
}

/* Items. */
static void
sum_items(int64_t index, int lane, void *argument)
{
	const Loss *loss = argument;
	int64_t		first = index * ROWS;
	int64_t		end = loss->als->items - first < ROWS ? loss->als->items : first + ROWS;

	(void) lane;
	loss->sums[index] = penalty(&loss->users, loss->by_item, first, end,
								loss->als->item_factors, loss->als->item_bias);
}

/* One of the two, in tasks; adds to *total. */
static PmStatus
sum_tasks(PmContext *ctx, Loss *loss, int32_t rows, double work, PmTask task,
		  double *total)
{
	int64_t		tasks = ((int64_t) rows + ROWS - 1) / ROWS;

	PM_TRY(pm_parallel(ctx, "alternating least squares", tasks, work / (double) (tasks + 1) + ROWS,
					   task, loss));
	for (int64_t i = 0; i < tasks; i++)
		*total += loss->sums[i];
	return PM_OK;
}

/* unseen * the sum over all pairs of s^2 */
static PmStatus
all_pairs(PmContext *ctx, const AlsSide *users, const AlsSide *items,
		  double *sums, double *loss)
{
	size_t		padded = (size_t) users->padded;
	size_t		size = padded * padded + padded;
	AlsRow		row = {.count = users->columns};
	double		sum = 0;

	PM_TRY(pm_als_sum_row(ctx, users, &row, sums, sums + padded * padded));
	row.count = items->columns;
	PM_TRY(pm_als_sum_row(ctx, items, &row, sums + size, sums + size + padded * padded));
	for (size_t i = 0; i < padded; i++)
		for (size_t j = i; j < padded; j++)
			sum += (i == j ? 1 : 2) * sums[i * padded + j] * sums[size + i * padded + j];
	*loss += users->terms.unseen * sum;
	return PM_OK;
}

/* The sum of it all, with arrays that the caller gives back. */
static PmStatus
sum_loss(PmContext *ctx, Loss *state, double **sums, double *loss)
{
	const PmAls *als = state->als;
	size_t		padded = (size_t) state->users.padded;
	int64_t		most = als->users > als->items ? als->users : als->items;
	double		numbers = NUMBER_TIME * als->options.factors;
	double		elements = (double) pm_csr_count(state->by_user);

	PM_TRY(pm_alloc(ctx, "sums of the objective", (size_t) (most + ROWS - 1) / ROWS,
					sizeof(double), &state->sums));
	PM_TRY(sum_tasks(ctx, state, als->users,
					 elements * (ELEMENT_TIME + numbers) + als->users * numbers, sum_users, loss));
	PM_TRY(sum_tasks(ctx, state, als->items, als->items * numbers, sum_items, loss));
	if (!(state->users.terms.unseen > 0))
		return PM_OK;
	PM_TRY(pm_alloc(ctx, "sums of products", 2 * (padded * padded + padded), sizeof(double),
					sums));
	return all_pairs(ctx, &state->users, &state->items, *sums, loss);
}

PmStatus
pm_als_loss(PmContext *ctx, const PmCsr *by_user, const PmCsr *by_item,
			const PmAls *als, double *loss)
{
	Loss		state = {.als = als,.by_user = by_user,.by_item = by_item};
	double	   *sums = NULL;
	PmStatus	status;

	pm_als_side_init(&state.users, &als->options, als->mean, als->users, als->user_factors,
					 als->user_bias);
	pm_als_side_init(&state.items, &als->options, als->mean, als->items, als->item_factors,
					 als->item_bias);
	*loss = 0;
	status = sum_loss(ctx, &state, &sums, loss);
	pm_release(ctx, state.sums);
	pm_release(ctx, sums);
	if (status == PM_OK && !isfinite(*loss))
		return pm_fail(ctx, PM_INVALID,
					   "the objective is not finite: raise the regularization or scale the weights down");
	return status;
}
