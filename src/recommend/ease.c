/*
 * ease.c
 *		EASE: a linear model of items by items, in closed form.
 *
 * With P = (X'X + l2 I)^-1, B_ij = -P_ij / P_jj and B_jj = 0 (Steck 2019,
 * equation 8).
 */
#include "pm_ease.h"

#include <math.h>
#include <string.h>

#include "gram.h"
#include "invert.h"
#include "pm_clones.h"
#include "pm_parallel.h"

/* Rows and columns of a tile. */
#define TILE 128

/* Nanoseconds of an element of a tile, about. */
#define ELEMENT_TIME 2.0

typedef struct Dividing
{
	int32_t		n;
	float	   *weights;		/* -P, upper triangle; becomes B */
	float	   *diagonal;		/* of P */
} Dividing;

/* A column of tiles, down to the diagonal, and the row that mirrors it. */
static void
divide_tiles(int64_t column, int lane, void *argument)
{
	const Dividing *state = argument;
	size_t		n = (size_t) state->n;
	int32_t		begin = (int32_t) column * TILE;
	int32_t		end = state->n - begin < TILE ? state->n : begin + TILE;

	(void) lane;
	for (int32_t row = 0; row <= begin; row += TILE)
		for (int32_t j = begin; j < end; j++)
			for (int32_t i = row; i < row + TILE && i < j; i++)
			{
				float		value = state->weights[i * n + j];

				state->weights[i * n + j] = value / state->diagonal[j];
				state->weights[j * n + i] = value / state->diagonal[i];
			}
	for (int32_t j = begin; j < end; j++)
		state->weights[j * n + j] = 0;
}

static PmStatus
solve(PmContext *ctx, const PmCsr *interactions, double l2, float *weights)
{
	Dividing	state = {interactions->columns, weights, NULL};
	size_t		n = (size_t) state.n;
	int32_t		column = -1;
	PmStatus	status;

	PM_TRY(pm_gram_dense(ctx, interactions, weights));
	for (size_t i = 0; i < n; i++)
		weights[i * n + i] = (float) (weights[i * n + i] + l2);
	status = pm_invert(ctx, state.n, weights, &column);
	if (status == PM_INVALID && column >= 0)
		return pm_fail(ctx, PM_INVALID, "l2 = %g is too small: item %d depends on others", l2, column);
	PM_TRY(status);
	PM_TRY(pm_alloc(ctx, "diagonal of a matrix", n, sizeof(float), &state.diagonal));
	for (size_t i = 0; i < n; i++)
		state.diagonal[i] = -weights[i * n + i];
	status = pm_parallel(ctx, "weights of items", ((int64_t) state.n + TILE - 1) / TILE,
						 ELEMENT_TIME * TILE * (double) n, divide_tiles, &state);
	pm_release(ctx, state.diagonal);
	return status;
}

PmStatus
pm_ease_fit(PmContext *ctx, const PmCsr *interactions, double l2,
			float **weights)
{
	size_t		n = (size_t) interactions->columns;
	PmStatus	status;

	*weights = NULL;
	if (!(l2 > 0) || isinf(l2))
		return pm_fail(ctx, PM_INVALID, "l2 = %g is not a number above 0", l2);
	PM_TRY(pm_alloc(ctx, "weights of items by items", n, n * sizeof(float), weights));
	status = solve(ctx, interactions, l2, *weights);
	if (status != PM_OK)
	{
		pm_release(ctx, *weights);
		*weights = NULL;
	}
	return status;
}

/* Eight scores at a time. */
typedef float Eight __attribute__((vector_size(32)));

PM_INLINE void
add_rows_body(const float *weights, size_t items, int64_t count,
			  const int32_t *taken, const float *values, float *scores)
{
	for (int64_t i = 0; i < count; i++)
	{
		const float *row = weights + taken[i] * items;
		float		value = values[i];
		size_t		j = 0;

		for (; j + 8 <= items; j += 8)
		{
			Eight		w;
			Eight		sum;

			memcpy(&w, row + j, sizeof(w));
			memcpy(&sum, scores + j, sizeof(sum));
			sum += value * w;
			memcpy(scores + j, &sum, sizeof(sum));
		}
		for (; j < items; j++)
			scores[j] += value * row[j];
	}
}

PM_CLONES(add_rows,
		  (const float *weights, size_t items, int64_t count,
		   const int32_t *taken, const float *values, float *scores),
		  (weights, items, count, taken, values, scores));

void
pm_ease_score(const float *weights, int32_t items, int64_t count,
			  const int32_t *taken, const float *values, float *scores)
{
	memset(scores, 0, (size_t) items * sizeof(float));
	add_rows(weights, (size_t) items, count, taken, values, scores);
}
