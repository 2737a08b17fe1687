/*
 * neighbours.c
 *		A matrix made ready to be asked for neighbours: weights as the metric
 *		has them, and what is known of each row.
 */
#include "neighbours.h"

#include <math.h>
#include <string.h>

/* Rows between two looks for interrupts. */
#define CHECK_ROWS 16384

/* What a metric makes of a weight, from its row and its column. */
typedef struct Weighting
{
	PmNeighbourMetric metric;
	const double *row_terms;	/* a mean, or what bm25 adds below */
	const double *column_terms; /* a mean, or an idf */
	double		k1;
} Weighting;

/* A weight as the metric has it. */
static inline double
weigh(const Weighting *weighting, int32_t row, int32_t column, double value)
{
	switch (weighting->metric)
	{
		case PM_NEIGHBOUR_PEARSON:
		case PM_NEIGHBOUR_ADJUSTED_COSINE:
			return value - (weighting->row_terms != NULL ? weighting->row_terms[row] :
							weighting->column_terms[column]);
		case PM_NEIGHBOUR_TFIDF:
			return sqrt(value) * weighting->column_terms[column];
		case PM_NEIGHBOUR_BM25:
			return value * (weighting->k1 + 1) / (weighting->row_terms[row] + value) *
				weighting->column_terms[column];
		default:
			return value;
	}
}

/* The mean of each row's elements. */
static PmStatus
find_means(PmContext *ctx, const PmCsr *rows, double **means)
{
	PM_TRY(pm_alloc(ctx, "the rows' means", rows->rows, sizeof(double), means));
	for (int32_t row = 0; row < rows->rows; row++)
	{
		int64_t		begin = rows->offsets[row];
		int64_t		end = rows->offsets[row + 1];
		double		sum = 0;

		if (row % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "neighbours were cancelled");
		for (int64_t i = begin; i < end; i++)
			sum += rows->values[i];
		(*means)[row] = end > begin ? sum / (double) (end - begin) : 0;
	}
	return PM_OK;
}

/* How telling each column is: ln(rows) - ln(1 + rows that have it). */
static PmStatus
find_idf(PmContext *ctx, const PmCsr *rows, const PmCsr *columns, double **idf)
{
	double		used = 0;

	PM_TRY(pm_alloc(ctx, "the columns' weights", columns->rows, sizeof(double), idf));
	for (int32_t row = 0; row < rows->rows; row++)
		used += rows->offsets[row + 1] > rows->offsets[row];
	for (int32_t column = 0; column < columns->rows; column++)
	{
		double		weight = log(used) -
			log1p((double) (columns->offsets[column + 1] - columns->offsets[column]));

		(*idf)[column] = fabs(weight) > 1e-12 ? weight : 0;
	}
	return PM_OK;
}

/* What bm25 adds to a weight of each row: k1 times its length, 1 on average. */
static PmStatus
find_lengths(PmContext *ctx, const PmCsr *rows, const PmNeighbourOptions *options,
			 double **lengths)
{
	double		total = 0;
	int32_t		used = 0;

	PM_TRY(find_means(ctx, rows, lengths));
	for (int32_t row = 0; row < rows->rows; row++)
	{
		int64_t		count = rows->offsets[row + 1] - rows->offsets[row];

		(*lengths)[row] *= (double) count;
		total += (*lengths)[row];
		used += count > 0;
	}
	for (int32_t row = 0; row < rows->rows; row++)
		(*lengths)[row] = options->bm25_k1 *
			(1 - options->bm25_b + options->bm25_b * (*lengths)[row] * used / total);
	return PM_OK;
}

/* The terms of a metric's weighting; NULL where it has none. */
static PmStatus
find_terms(PmContext *ctx, const PmNeighbours *neighbours, double **row_terms,
		   double **column_terms)
{
	const PmNeighbourOptions *options = &neighbours->options;

	switch (options->metric)
	{
		case PM_NEIGHBOUR_ADJUSTED_COSINE:
			if (options->columns_are_users)
				return find_means(ctx, neighbours->columns, column_terms);
			return find_means(ctx, neighbours->rows, row_terms);
		case PM_NEIGHBOUR_PEARSON:
			/* does not change it, but keeps sums of squares small */
			return find_means(ctx, neighbours->rows, row_terms);
		case PM_NEIGHBOUR_BM25:
			PM_TRY(find_lengths(ctx, neighbours->rows, options, row_terms));
			return find_idf(ctx, neighbours->rows, neighbours->columns, column_terms);
		case PM_NEIGHBOUR_TFIDF:
			return find_idf(ctx, neighbours->rows, neighbours->columns, column_terms);
		default:
			return PM_OK;
	}
}

/* The weights of a matrix, or of its transpose. */
static PmStatus
weigh_all(PmContext *ctx, const Weighting *weighting, const PmCsr *matrix, bool transposed,
		  double **values)
{
	PM_TRY(pm_alloc(ctx, "the weights of neighbours", (size_t) pm_csr_count(matrix),
					sizeof(double), values));
	for (int32_t row = 0; row < matrix->rows; row++)
	{
		if (row % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "neighbours were cancelled");
		for (int64_t i = matrix->offsets[row]; i < matrix->offsets[row + 1]; i++)
			(*values)[i] = transposed ?
				weigh(weighting, matrix->indices[i], row, matrix->values[i]) :
				weigh(weighting, row, matrix->indices[i], matrix->values[i]);
	}
	return PM_OK;
}

/* Is every weight the same one, so that counting does?  Gives its square. */
static bool
one_weight(const PmCsr *rows, double *square)
{
	int64_t		count = pm_csr_count(rows);

	for (int64_t i = 1; i < count; i++)
		if (rows->values[i] != rows->values[0])
			return false;
	*square = count > 0 ? (double) rows->values[0] * rows->values[0] : 1;
	return true;
}

/* The sums of squares; a row that has lost all to rounding has 0. */
static void
find_squares(PmNeighbours *neighbours)
{
	const PmCsr *rows = neighbours->rows;

	for (int32_t row = 0; row < rows->rows; row++)
	{
		int64_t		begin = rows->offsets[row];
		int64_t		end = rows->offsets[row + 1];
		double		sum = 0;
		double		before = 0;

		if (neighbours->row_values == NULL)
			sum = (double) (end - begin) * neighbours->unit;
		else
			for (int64_t i = begin; i < end; i++)
			{
				sum += neighbours->row_values[i] * neighbours->row_values[i];
				before += (double) rows->values[i] * rows->values[i];
			}
		if (sum <= 1e-24 * before)
			sum = 0;
		neighbours->squares[row] = sum;
		neighbours->inverse[row] = sum > 0 ? 1 / sqrt(sum) : 0;
	}
}

/* Weights by the metric, where it is not enough to count. */
static PmStatus
prepare_values(PmContext *ctx, PmNeighbours *neighbours)
{
	double	   *row_terms = NULL;
	double	   *column_terms = NULL;
	Weighting	weighting;

	PM_TRY(find_terms(ctx, neighbours, &row_terms, &column_terms));
	weighting.metric = neighbours->options.metric;
	weighting.row_terms = row_terms;
	weighting.column_terms = column_terms;
	weighting.k1 = neighbours->options.bm25_k1;
	PM_TRY(weigh_all(ctx, &weighting, neighbours->rows, false, &neighbours->row_values));
	PM_TRY(weigh_all(ctx, &weighting, neighbours->columns, true, &neighbours->column_values));
	pm_release(ctx, row_terms);
	pm_release(ctx, column_terms);
	return PM_OK;
}

PmStatus
pm_neighbours_prepare(PmContext *ctx, const PmCsr *rows, const PmCsr *columns,
					  const PmNeighbourOptions *options, PmNeighbours *neighbours)
{
	memset(neighbours, 0, sizeof(*neighbours));
	neighbours->options = *options;
	neighbours->rows = rows;
	neighbours->columns = columns;
	neighbours->unit = 1;
	neighbours->counts = options->metric == PM_NEIGHBOUR_JACCARD ||
		(options->metric == PM_NEIGHBOUR_COSINE && one_weight(rows, &neighbours->unit));
	PM_TRY(pm_alloc(ctx, "the rows' norms", rows->rows, sizeof(double), &neighbours->squares));
	PM_TRY(pm_alloc(ctx, "the rows' norms", rows->rows, sizeof(double), &neighbours->inverse));
	if (!neighbours->counts)
		PM_TRY(prepare_values(ctx, neighbours));
	find_squares(neighbours);
	return PM_OK;
}

void
pm_neighbours_release(PmContext *ctx, PmNeighbours *neighbours)
{
	pm_release(ctx, neighbours->row_values);
	pm_release(ctx, neighbours->column_values);
	pm_release(ctx, neighbours->squares);
	pm_release(ctx, neighbours->inverse);
	memset(neighbours, 0, sizeof(*neighbours));
}
