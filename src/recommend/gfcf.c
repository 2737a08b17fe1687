/*
 * gfcf.c
 *		GF-CF: filters on the graph of users and items, in closed form.
 */
#include "pm_gfcf.h"

#include <math.h>
#include <string.h>

#include "gram.h"
#include "pm_clones.h"
#include "pm_parallel.h"
#include "spectrum.h"

const PmGfcfOptions pm_gfcf_defaults = {256, 0.3, 1};

/* Rows that one task normalises, and nanoseconds of an element. */
#define TASK_ROWS 256
#define ELEMENT_TIME 5.0

typedef struct Normalising
{
	const PmCsr *matrix;
	float	   *sums;			/* of rows */
	const float *row_degree;
	const float *column_degree;
	float	   *values;			/* normalised; NULL: only sum */
	_Atomic bool negative;		/* a value is */
} Normalising;

/* Sum rows, or divide them by the roots of their degrees. */
static void
normalise_rows(int64_t index, int lane, void *argument)
{
	Normalising *state = argument;
	const PmCsr *matrix = state->matrix;
	int64_t		end = (index + 1) * TASK_ROWS < matrix->rows ? (index + 1) * TASK_ROWS : matrix->rows;

	(void) lane;
	for (int64_t row = index * TASK_ROWS; row < end; row++)
	{
		double		sum = 0;

		for (int64_t i = matrix->offsets[row]; i < matrix->offsets[row + 1]; i++)
		{
			float		value = matrix->values[i];

			sum += value;
			if (value < 0)
				state->negative = true;
			if (state->values != NULL)
				state->values[i] = value == 0 ? 0 :
					(float) (value / sqrt((double) state->row_degree[row] * state->column_degree[matrix->indices[i]]));
		}
		if (state->values == NULL)
			state->sums[row] = (float) sum;
	}
}

static PmStatus
run_normalising(PmContext *ctx, Normalising *state)
{
	int64_t		tasks = ((int64_t) state->matrix->rows + TASK_ROWS - 1) / TASK_ROWS;

	if (tasks == 0)
		return PM_OK;
	return pm_parallel(ctx, "normalisation", tasks,
					   1 + ELEMENT_TIME * (double) pm_csr_count(state->matrix) / (double) tasks,
					   normalise_rows, state);
}

/* The sums of the matrix's rows. */
static PmStatus
sum_rows(PmContext *ctx, const PmCsr *matrix, float *sums)
{
	Normalising state = {.matrix = matrix,.sums = sums};

	PM_TRY(run_normalising(ctx, &state));
	if (state.negative)
		return pm_fail(ctx, PM_INVALID, "a value is below 0");
	return PM_OK;
}

_Static_assert(PM_GFCF_MAX_RANK <= PM_SPECTRUM_MOST, "ranks that can be found");

/* What a fit works with beside the model. */
typedef struct Fitting
{
	PmCsr		transposed;		/* R', then R~' */
	PmCsr		normalised;		/* R~: the interactions' own but for values */
	float	   *users;			/* their degrees */
} Fitting;

static PmStatus
fit(PmContext *ctx, const PmCsr *interactions, const PmGfcfOptions *options,
	Fitting *fitting, PmGfcf *model)
{
	Normalising state;

	PM_TRY(pm_alloc(ctx, "degrees", (size_t) interactions->rows, sizeof(float), &fitting->users));
	PM_TRY(pm_alloc(ctx, "degrees", (size_t) interactions->columns, sizeof(float), &model->degree));
	PM_TRY(sum_rows(ctx, interactions, fitting->users));
	PM_TRY(pm_csr_transpose(ctx, interactions, &fitting->transposed));
	PM_TRY(sum_rows(ctx, &fitting->transposed, model->degree));
	fitting->normalised = *interactions;
	fitting->normalised.values = NULL;
	PM_TRY(pm_alloc(ctx, "normalised interactions", (size_t) pm_csr_count(interactions), sizeof(float),
					&fitting->normalised.values));
	state = (Normalising) {.matrix = interactions,.row_degree = fitting->users,.column_degree = model->degree,.values = fitting->normalised.values};
	PM_TRY(run_normalising(ctx, &state));

	/* the transpose is made of R~ in place: value by value as it was of R */
	state = (Normalising) {.matrix = &fitting->transposed,.row_degree = model->degree,.column_degree = fitting->users,.values = fitting->transposed.values};
	PM_TRY(run_normalising(ctx, &state));
	if (model->rank > 0)
	{
		PM_TRY(pm_alloc(ctx, "singular values", (size_t) model->rank, sizeof(double), &model->values));
		PM_TRY(pm_alloc(ctx, "singular vectors", (size_t) model->items, (size_t) model->rank * sizeof(float), &model->vectors));
		PM_TRY(pm_spectrum(ctx, &fitting->normalised, &fitting->transposed, model->rank,
						   options->seed, model->values, model->vectors));
	}

	/* the products make a transpose of their own */
	pm_csr_release(ctx, &fitting->transposed);
	return pm_gram_sparse(ctx, &fitting->normalised, &model->similar);
}

PmStatus
pm_gfcf_fit(PmContext *ctx, const PmCsr *interactions,
			const PmGfcfOptions *options, PmGfcf *model)
{
	Fitting		fitting = {0};
	PmStatus	status;

	memset(model, 0, sizeof(*model));
	if (options->rank < 0 || options->rank > PM_GFCF_MAX_RANK)
		return pm_fail(ctx, PM_INVALID, "rank = %d is not from 0 to %d", options->rank, PM_GFCF_MAX_RANK);
	if (!(options->alpha >= 0) || isinf(options->alpha))
		return pm_fail(ctx, PM_INVALID, "alpha = %g is not a number from 0 on", options->alpha);
	model->items = interactions->columns;
	model->rank = options->rank < model->items ? options->rank : model->items;
	model->alpha = options->alpha;
	status = fit(ctx, interactions, options, &fitting, model);
	pm_csr_release(ctx, &fitting.transposed);
	pm_release(ctx, fitting.normalised.values);
	pm_release(ctx, fitting.users);
	if (status != PM_OK)
		pm_gfcf_release(ctx, model);
	return status;
}

void
pm_gfcf_release(PmContext *ctx, PmGfcf *model)
{
	pm_csr_release(ctx, &model->similar);
	pm_release(ctx, model->degree);
	pm_release(ctx, model->values);
	pm_release(ctx, model->vectors);
	memset(model, 0, sizeof(*model));
}

typedef float Eight __attribute__((vector_size(32)));

/* sum += value * row */
PM_INLINE void
add_vector_body(int32_t rank, float value, const float *row, float *sum)
{
	int32_t		k = 0;

	for (; k + 8 <= rank; k += 8)
	{
		Eight		x;
		Eight		y;

		memcpy(&x, row + k, sizeof(x));
		memcpy(&y, sum + k, sizeof(y));
		y += value * x;
		memcpy(sum + k, &y, sizeof(y));
	}
	for (; k < rank; k++)
		sum[k] += value * row[k];
}

PM_CLONES(add_vector, (int32_t rank, float value, const float *row, float *sum),
		  (rank, value, row, sum));

/* scores += factor * sqrt(degree) * the vectors' products with one. */
PM_INLINE void
add_low_pass_body(const PmGfcf *model, float factor, const float *vector,
				  float *scores)
{
	for (int32_t item = 0; item < model->items; item++)
	{
		const float *row = model->vectors + (size_t) item * model->rank;
		Eight		sum = {0};
		float		rest = 0;
		int32_t		k = 0;

		for (; k + 8 <= model->rank; k += 8)
		{
			Eight		x;
			Eight		y;

			memcpy(&x, row + k, sizeof(x));
			memcpy(&y, vector + k, sizeof(y));
			sum += x * y;
		}
		for (; k < model->rank; k++)
			rest += row[k] * vector[k];
		for (int i = 0; i < 8; i++)
			rest += sum[i];
		scores[item] += factor * __builtin_sqrtf(model->degree[item]) * rest;
	}
}

PM_CLONES(add_low_pass,
		  (const PmGfcf *model, float factor, const float *vector, float *scores),
		  (model, factor, vector, scores));

void
pm_gfcf_score(const PmGfcf *model, int64_t count, const int32_t *taken,
			  const float *values, float *scores)
{
	float		vector[PM_GFCF_MAX_RANK] = {0};
	const PmCsr *similar = &model->similar;

	memset(scores, 0, (size_t) model->items * sizeof(float));
	for (int64_t k = 0; k < count; k++)
	{
		int32_t		item = taken[k];

		for (int64_t i = similar->offsets[item]; i < similar->offsets[item + 1]; i++)
			scores[similar->indices[i]] += values[k] * similar->values[i];
		if (model->degree[item] > 0)
			add_vector(model->rank, values[k] / sqrtf(model->degree[item]),
					   model->vectors + (size_t) item * model->rank, vector);
	}
	if (model->rank > 0 && model->alpha > 0)
		add_low_pass(model, (float) model->alpha, vector, scores);
}
