/*
 * als_cases.c
 *		See als_cases.h.
 */
#include "als_cases.h"

#include "pm_rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* malloc, or the end of the test. */
static void *
room(size_t count, size_t size)
{
	void	   *block = calloc(count > 0 ? count : 1, size);

	if (block == NULL)
	{
		perror("calloc");
		exit(2);
	}
	return block;
}

/* A matrix of what is seen in a dense array, or in its transpose. */
static PmCsr
matrix_of(int32_t rows, int32_t columns, const double *values,
		  size_t row_stride, size_t column_stride)
{
	PmCsr		matrix = {.rows = rows,.columns = columns};
	size_t		most = (size_t) rows * (size_t) columns;
	int64_t		count = 0;

	matrix.offsets = room((size_t) rows + 1, sizeof(int64_t));
	matrix.indices = room(most, sizeof(int32_t));
	matrix.values = room(most, sizeof(float));
	for (int32_t row = 0; row < rows; row++)
	{
		matrix.offsets[row] = count;
		for (int32_t column = 0; column < columns; column++)
		{
			double		value = values[(size_t) row * row_stride + (size_t) column * column_stride];

			if (!isnan(value))
			{
				matrix.indices[count] = column;
				matrix.values[count++] = (float) value;
			}
		}
	}
	matrix.offsets[rows] = count;
	return matrix;
}

AlsCase *
als_case_dense(int32_t users, int32_t items, const double *values)
{
	AlsCase    *rows = room(1, sizeof(AlsCase));

	rows->by_user = matrix_of(users, items, values, (size_t) items, 1);
	rows->by_item = matrix_of(items, users, values, 1, (size_t) items);
	return rows;
}

AlsCase *
als_case_random(int32_t users, int32_t items, double share, bool stars,
				bool gaps, uint64_t seed)
{
	double	   *values = room((size_t) users * (size_t) items, sizeof(double));
	AlsCase    *rows;
	PmRng		rng;

	pm_rng_seed(&rng, seed, 1);
	for (int32_t user = 0; user < users; user++)
		for (int32_t item = 0; item < items; item++)
		{
			bool		seen = pm_rng_uniform(&rng) < share;
			double		value = pm_rng_uniform(&rng);

			if (gaps && (user % 5 == 3 || item % 7 == 2))
				seen = false;
			values[(size_t) user * items + item] = !seen ? NAN :
				stars ? 1 + floor(5 * value) : 0.5 + 2.5 * value;
		}
	rows = als_case_dense(users, items, values);
	free(values);
	return rows;
}

void
als_case_free(AlsCase *rows)
{
	PmCsr	   *both[] = {&rows->by_user, &rows->by_item};

	for (int i = 0; i < 2; i++)
	{
		free(both[i]->offsets);
		free(both[i]->indices);
		free(both[i]->values);
	}
	free(rows);
}

PmAlsOptions
als_options(PmAlsFeedback feedback, int factors)
{
	PmAlsOptions options = pm_als_default_options;

	options.feedback = feedback;
	options.solver = PM_ALS_CHOLESKY;
	options.factors = factors;
	options.iterations = 3;
	options.regularization = feedback == PM_ALS_IMPLICIT ? 0.02 : 0.3;
	options.nu = feedback == PM_ALS_CONFIDENCE ? 0 : 0.7;
	options.alpha = 2.5;
	options.init_scale = 0.7;
	options.seed = 5;
	options.loss = true;
	return options;
}

/* Gaussian elimination; a is positive definite, (n, n). */
static void
eliminate(int n, double *a, double *b)
{
	for (int k = 0; k < n; k++)
		for (int i = k + 1; i < n; i++)
		{
			double		factor = a[i * n + k] / a[k * n + k];

			for (int j = k; j < n; j++)
				a[i * n + j] -= factor * a[k * n + j];
			b[i] -= factor * b[k];
		}
	for (int i = n - 1; i >= 0; i--)
	{
		for (int j = i + 1; j < n; j++)
			b[i] -= a[i * n + j] * b[j];
		b[i] /= a[i * n + i];
	}
}

/* What a pair weighs that is not seen, and the penalty of a row. */
static double
unseen_weight(const PmAlsOptions *options)
{
	return options->feedback == PM_ALS_IMPLICIT ? options->unobserved_weight :
		options->feedback == PM_ALS_CONFIDENCE ? 1 : 0;
}

static double
lambda_of(const PmAlsOptions *options, double seen, double columns)
{
	return options->regularization *
		pow(seen + unseen_weight(options) * columns, options->nu);
}

/*
 * Weighted squares of a pair: weight[i] (target[i] - s)^2, two of them in the
 * implicit objective.
 */
static void
squares_of(const PmAlsOptions *options, bool seen, double value, double mean,
		   double weight[2], double target[2])
{
	weight[0] = unseen_weight(options);
	target[0] = target[1] = 0;
	weight[1] = 0;
	if (!seen)
		return;
	target[1] = 1;
	if (options->feedback == PM_ALS_IMPLICIT)
		weight[1] = value;
	else if (options->feedback == PM_ALS_CONFIDENCE)
	{
		weight[0] = 0;
		weight[1] = 1 + options->alpha * value;
	}
	else
	{
		weight[1] = 1;
		target[1] = value - mean;
	}
}

/* One row's system, over every column. */
static void
naive_row(const PmAlsOptions *options, const PmCsr *matrix, int32_t row,
		  double mean, const float *vectors, const float *biases, double *out)
{
	int			d = options->factors;
	int			n = d + (biases != NULL);
	int64_t		at = matrix->offsets[row];
	int64_t		end = matrix->offsets[row + 1];
	double		lambda = lambda_of(options, (double) (end - at), matrix->columns);
	double	   *a = room((size_t) n * (size_t) n, sizeof(double));
	double	   *v = room((size_t) n, sizeof(double));

	memset(out, 0, (size_t) (d + 1) * sizeof(double));
	for (int32_t column = 0; column < matrix->columns; column++)
	{
		bool		seen = at < end && matrix->indices[at] == column;
		double		weight[2];
		double		target[2];

		squares_of(options, seen, seen ? matrix->values[at] : 0, mean, weight, target);
		at += seen;
		for (int i = 0; i < d; i++)
			v[i] = vectors[(size_t) column * d + i];
		if (biases != NULL)
		{
			v[d] = 1;
			target[1] -= biases[column];
		}
		for (int i = 0; i < n; i++)
		{
			for (int j = 0; j < n; j++)
				a[i * n + j] += (weight[0] + weight[1]) * v[i] * v[j];
			out[i] += (weight[0] * target[0] + weight[1] * target[1]) * v[i];
		}
	}
	for (int i = 0; i < n; i++)
		a[i * n + i] += lambda;
	if (matrix->offsets[row] < end)
		eliminate(n, a, out);
	free(a);
	free(v);
}

void
als_naive_half(const PmAlsOptions *options, const PmCsr *matrix, double mean,
			   const float *vectors, const float *biases, double *out)
{
	for (int32_t row = 0; row < matrix->rows; row++)
		naive_row(options, matrix, row, mean, vectors, biases,
				  out + (size_t) row * (options->factors + 1));
}

double
als_naive_score(const PmAls *als, int32_t user, int32_t item)
{
	int			d = als->options.factors;
	double		score = als->mean;

	if (als->user_bias != NULL)
		score += (double) als->user_bias[user] + als->item_bias[item];
	for (int j = 0; j < d; j++)
		score += (double) als->user_factors[(size_t) user * d + j] *
			als->item_factors[(size_t) item * d + j];
	return score;
}

/* lambda * squares of one side, whose elements are counted. */
static double
naive_penalty(const PmAls *als, int32_t rows, int32_t columns,
			  const double *counts, const float *vectors, const float *biases)
{
	double		sum = 0;

	for (int32_t row = 0; row < rows; row++)
	{
		double		square = biases == NULL ? 0 : (double) biases[row] * biases[row];

		for (int j = 0; j < als->options.factors; j++)
			square += pow(vectors[(size_t) row * als->options.factors + j], 2);
		sum += square * lambda_of(&als->options, counts[row], columns);
	}
	return sum;
}

double
als_naive_loss(const PmCsr *by_user, const PmAls *als)
{
	double	   *user_counts = room((size_t) als->users, sizeof(double));
	double	   *item_counts = room((size_t) als->items, sizeof(double));
	double		sum = 0;

	for (int32_t user = 0; user < als->users; user++)
	{
		int64_t		at = by_user->offsets[user];

		for (int32_t item = 0; item < als->items; item++)
		{
			bool		seen = at < by_user->offsets[user + 1] && by_user->indices[at] == item;
			double		score = als_naive_score(als, user, item) - als->mean;
			double		weight[2];
			double		target[2];

			squares_of(&als->options, seen, seen ? by_user->values[at] : 0, als->mean, weight,
					   target);
			at += seen;
			user_counts[user] += seen;
			item_counts[item] += seen;
			for (int i = 0; i < 2; i++)
				sum += weight[i] * pow(target[i] - score, 2);
		}
	}
	sum += naive_penalty(als, als->users, als->items, user_counts, als->user_factors,
						 als->user_bias);
	sum += naive_penalty(als, als->items, als->users, item_counts, als->item_factors,
						 als->item_bias);
	free(user_counts);
	free(item_counts);
	return sum;
}
