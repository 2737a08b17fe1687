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
#define NUMBER_TIME 0.2

typedef struct Loss
{
	const PmAls *als;
	const PmCsr *by_user;
	AlsTerms	terms;
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

static void
sum_rows(int64_t index, int lane, void *argument)
{
	const Loss *loss = argument;
	const PmCsr *matrix = loss->by_user;
	int64_t		first = index * ROWS;
	int64_t		end = matrix->rows - first < ROWS ? matrix->rows : first + ROWS;
	double		sum = 0;

	(void) lane;
	for (int64_t row = first; row < end; row++)
		for (int64_t i = matrix->offsets[row]; i < matrix->offsets[row + 1]; i++)
			sum += element_loss(loss, (int32_t) row, matrix->indices[i], matrix->values[i]);
	loss->sums[index] = sum;
}

/* What the vectors of one side cost. */
static double
penalty(const AlsSide *side, int32_t rows, const int64_t *counts,
		const int64_t *offsets, const float *vectors, const float *biases)
{
	double		sum = 0;

	for (int32_t row = 0; row < rows; row++)
	{
		const float *x = vectors + (int64_t) row * side->factors;
		double		square = biases == NULL ? 0 : (double) biases[row] * biases[row];

		for (int j = 0; j < side->factors; j++)
			square += (double) x[j] * x[j];
		sum += square * pm_als_lambda(side, counts != NULL ? counts[row] :
									  offsets[row + 1] - offsets[row]);
	}
	return sum;
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

/* How often each item is seen. */
static PmStatus
count_items(PmContext *ctx, const PmCsr *by_user, int64_t **counts)
{
	PM_TRY(pm_alloc_zero(ctx, "counts of items", (size_t) by_user->columns, sizeof(int64_t),
						 counts));
	for (int64_t i = 0; i < pm_csr_count(by_user); i++)
		(*counts)[by_user->indices[i]]++;
	return PM_OK;
}

/* The sum of it all, with arrays that the caller gives back. */
static PmStatus
sum_loss(PmContext *ctx, Loss *state, double **sums, int64_t **counts,
		 double *loss)
{
	const PmAls *als = state->als;
	int64_t		tasks = ((int64_t) als->users + ROWS - 1) / ROWS;
	double		count = (double) pm_csr_count(state->by_user);
	AlsSide		users;
	AlsSide		items;
	size_t		padded;

	pm_als_side_init(&users, &als->options, als->mean, als->users, als->user_factors,
					 als->user_bias);
	pm_als_side_init(&items, &als->options, als->mean, als->items, als->item_factors,
					 als->item_bias);
	padded = (size_t) users.padded;
	PM_TRY(pm_alloc(ctx, "sums of the objective", (size_t) tasks, sizeof(double), &state->sums));
	PM_TRY(pm_parallel(ctx, "alternating least squares", tasks,
					   count / (double) (tasks + 1) * (ELEMENT_TIME + NUMBER_TIME * users.factors),
					   sum_rows, state));
	*loss = 0;
	for (int64_t i = 0; i < tasks; i++)
		*loss += state->sums[i];
	if (users.terms.unseen > 0)
	{
		PM_TRY(pm_alloc(ctx, "sums of products", 2 * (padded * padded + padded), sizeof(double),
						sums));
		PM_TRY(all_pairs(ctx, &users, &items, *sums, loss));
	}
	PM_TRY(count_items(ctx, state->by_user, counts));
	/* a user's penalty depends on the number of items */
	*loss += penalty(&items, als->users, NULL, state->by_user->offsets, als->user_factors,
					 als->user_bias);
	*loss += penalty(&users, als->items, *counts, NULL, als->item_factors, als->item_bias);
	return PM_OK;
}

PmStatus
pm_als_loss(PmContext *ctx, const PmCsr *by_user, const PmAls *als,
			double *loss)
{
	Loss		state = {.als = als,.by_user = by_user};
	double	   *sums = NULL;
	int64_t    *counts = NULL;
	PmStatus	status = sum_loss(ctx, &state, &sums, &counts, loss);

	pm_release(ctx, state.sums);
	pm_release(ctx, sums);
	pm_release(ctx, counts);
	if (status == PM_OK && !isfinite(*loss))
		return pm_fail(ctx, PM_INVALID, "the objective is not finite: raise the regularization or scale the weights down");
	return status;
}
