/*
 * kmeans.c
 *		Fitting k-means: checks, runs, and the order of the clusters.
 */
#include "kmeans_internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Are the options and sizes acceptable? */
static PmStatus
check_options(PmContext *ctx, const PmKMeansRows *rows,
			  const PmKMeansOptions *options)
{
	if (rows->d < 1)
		return pm_fail(ctx, PM_INVALID, "k-means needs at least one column");
	if (options->k < 1)
		return pm_fail(ctx, PM_INVALID, "k = %d is less than 1", options->k);
	if (options->k > rows->n)
		return pm_fail(ctx, PM_INVALID, "k = %d is more than the %lld rows",
					   options->k, (long long) rows->n);
	if (options->n_init < 1)
		return pm_fail(ctx, PM_INVALID, "n_init = %d is less than 1",
					   options->n_init);
	if (options->max_iter < 1)
		return pm_fail(ctx, PM_INVALID, "max_iter = %d is less than 1",
					   options->max_iter);
	if (!(options->tol >= 0))
		return pm_fail(ctx, PM_INVALID, "tol = %g is less than 0",
					   options->tol);
	return PM_OK;
}

/* Weights must be positive, and their sum within single precision. */
static PmStatus
check_weights(PmContext *ctx, const PmKMeansRows *rows)
{
	double		total = 0;

	if (rows->weights == NULL)
		return PM_OK;
	for (int64_t i = 0; i < rows->n; i++)
	{
		if (!(rows->weights[i] > 0))
			return pm_fail(ctx, PM_INVALID, "row %lld has weight %g, which is not above 0",
						   (long long) i + 1, (double) rows->weights[i]);
		total += rows->weights[i];
	}
	if (!(total <= FLT_MAX))
		return pm_fail(ctx, PM_INVALID, "the weights sum to %g, which is too large",
					   total);
	return PM_OK;
}

/* Name the first value of a range that is beyond the limit. */
static PmStatus
report_value(PmContext *ctx, const PmKMeansRows *rows, int64_t range,
			 float limit)
{
	int64_t		end = pm_kmeans_range(rows->n, range + 1);

	for (int64_t i = pm_kmeans_range(rows->n, range); i < end; i++)
		for (int j = 0; j < rows->d; j++)
		{
			float		value = pm_kmeans_row(rows, i)[j];

			if (!isfinite(value))
				return pm_fail(ctx, PM_INVALID, "row %lld, column %d is %g, which is not finite",
							   (long long) i + 1, j + 1, (double) value);
			if (!(fabsf(value) <= limit))
				return pm_fail(ctx, PM_INVALID, "row %lld, column %d is %g, which is too large to be squared in single precision",
							   (long long) i + 1, j + 1, (double) value);
		}
	return PM_OK;
}

/*
 * Check the values, and give the squared shift under which iterations stop:
 * tol times the mean of the columns' variances, unweighted, as in
 * scikit-learn.  A value is too large when the squared distance of two such
 * rows might not be finite.
 */
static PmStatus
check_values(PmContext *ctx, const PmKMeansRows *rows, double tol,
			 double *threshold)
{
	PmKMeansRows plain = {rows->x, NULL, rows->n, rows->d};
	float		limit = (float) sqrt((double) FLT_MAX / 16 / rows->d);
	double	   *mean;
	int64_t		bad_range;
	PmStatus	status;

	*threshold = 0;
	PM_TRY(pm_alloc(ctx, "column means", (size_t) rows->d, sizeof(double),
					&mean));
	status = pm_kmeans_column_sums(ctx, &plain, NULL, limit, mean,
								   &bad_range);
	if (status == PM_OK && bad_range >= 0)
		status = report_value(ctx, rows, bad_range, limit);
	if (status == PM_OK && tol > 0)
	{
		double	   *variance;

		for (int j = 0; j < rows->d; j++)
			mean[j] /= (double) rows->n;
		status = pm_alloc(ctx, "column variances", (size_t) rows->d,
						  sizeof(double), &variance);
		if (status == PM_OK)
			status = pm_kmeans_column_sums(ctx, &plain, mean, limit, variance,
										   &bad_range);
		for (int j = 0; status == PM_OK && j < rows->d; j++)
			*threshold += tol * variance[j] / (double) rows->n / rows->d;
		pm_release(ctx, variance);
	}
	pm_release(ctx, mean);
	return status;
}

/* Are there k distinct rows? */
static PmStatus
check_distinct(PmContext *ctx, const PmKMeansRows *rows, int k)
{
	int			distinct;

	PM_TRY(pm_kmeans_count_distinct(ctx, rows, k, &distinct));
	if (distinct < k)
		return pm_fail(ctx, PM_INVALID, "k = %d is more than the %d distinct rows",
					   k, distinct);
	return PM_OK;
}

/* Copy the caller's centroids; for the cosine metric, at length 1. */
static PmStatus
copy_initial(PmContext *ctx, const float *initial, const PmKMeansRows *rows,
			 const PmKMeansOptions *options, float *centroids)
{
	size_t		d = (size_t) rows->d;
	size_t		values = (size_t) options->k * d;
	float		limit = (float) sqrt((double) FLT_MAX / 16 / rows->d);

	for (size_t i = 0; i < values; i++)
	{
		if (!(fabsf(initial[i]) <= limit))
			return pm_fail(ctx, PM_INVALID, "initial centroid %zu, column %zu is %g, which is not usable",
						   i / d + 1, i % d + 1, (double) initial[i]);
		centroids[i] = initial[i];
	}
	if (options->metric == PM_METRIC_COSINE)
		pm_kmeans_normalise(centroids, options->k, rows->d);
	return PM_OK;
}

/* The runs of a fit. */
typedef struct Runs
{
	const PmKMeansRows *rows;
	const PmKMeansOptions *options;
	const float *initial;
	double		threshold;
	KMeansRun	run;			/* the current one */
	float	   *best;			/* k * d: centroids of the best */
	bool		best_is_last;	/* labels are those of the best */
	double		inertia;		/* of the best */
	int			iterations;
	bool		converged;
	int			refilled;
	KMeansTotals totals;
} Runs;

/* Allocate what all runs share. */
static PmStatus
open_runs(PmContext *ctx, Runs *runs)
{
	size_t		k = (size_t) runs->options->k;
	size_t		d = (size_t) runs->rows->d;

	runs->inertia = INFINITY;
	PM_TRY(pm_alloc(ctx, "labels", (size_t) runs->rows->n, sizeof(int32_t),
					&runs->run.labels));
	PM_TRY(pm_alloc(ctx, "centroids", k * d, sizeof(float),
					&runs->run.centroids));
	PM_TRY(pm_alloc(ctx, "best centroids", k * d, sizeof(float),
					&runs->best));
	return pm_kmeans_open_totals(ctx, runs->options->k, &runs->totals);
}

/* Give back what runs hold, at any stage. */
static void
close_runs(PmContext *ctx, Runs *runs)
{
	pm_release(ctx, runs->run.labels);
	pm_release(ctx, runs->run.centroids);
	pm_release(ctx, runs->best);
	pm_kmeans_close_totals(ctx, &runs->totals);
}

/* Measure the clustering in run.labels and give its inertia. */
static PmStatus
measure_runs(PmContext *ctx, Runs *runs, const float *centroids,
			 double *inertia)
{
	*inertia = 0;
	PM_TRY(pm_kmeans_measure(ctx, runs->rows, runs->options->k, centroids,
							 runs->run.labels, &runs->totals));
	for (int c = 0; c < runs->options->k; c++)
		*inertia += runs->totals.squares[c];
	return PM_OK;
}

/* One run; keep it when it is better than those before. */
static PmStatus
do_run(PmContext *ctx, Runs *runs, int number)
{
	double		inertia;

	if (runs->initial != NULL)
		PM_TRY(copy_initial(ctx, runs->initial, runs->rows, runs->options,
							runs->run.centroids));
	else
		PM_TRY(pm_kmeans_seed(ctx, runs->rows, runs->options, number,
							  runs->run.centroids));
	PM_TRY(pm_kmeans_lloyd(ctx, runs->rows, runs->options, runs->threshold,
						   &runs->run));
	PM_TRY(measure_runs(ctx, runs, runs->run.centroids, &inertia));
	runs->best_is_last = number == 0 || inertia < runs->inertia;
	if (runs->best_is_last)
	{
		float	   *centroids = runs->best;

		runs->best = runs->run.centroids;
		runs->run.centroids = centroids;
		runs->inertia = inertia;
		runs->iterations = runs->run.iterations;
		runs->converged = runs->run.converged;
		runs->refilled = runs->run.refilled;
	}
	return PM_OK;
}

/*
 * Labels of the best run where a later one has overwritten them: a second
 * array of n would pass the memory that a fit may take.
 */
static PmStatus
restore_best(PmContext *ctx, Runs *runs)
{
	const PmKMeansRows *rows = runs->rows;
	int			k = runs->options->k;
	int64_t		slab = pm_kmeans_slab_rows(rows->d, k);

	for (int64_t begin = 0; begin < rows->n; begin += slab)
	{
		int64_t		count = rows->n - begin < slab ? rows->n - begin : slab;

		if (pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
		PM_TRY(ctx->device->nearest_centroid(ctx, count, rows->d, k,
											 pm_kmeans_row(rows, begin),
											 runs->best,
											 runs->run.labels + begin, NULL,
											 NULL));
	}
	return measure_runs(ctx, runs, runs->best, &runs->inertia);
}

/* A cluster to be sorted. */
typedef struct Ranked
{
	double		weight;
	const float *centroid;
	int			d;
	int			cluster;
} Ranked;

/* qsort: larger weight first, then smaller centroid, then first cluster. */
static int
compare_ranked(const void *a, const void *b)
{
	const Ranked *left = a;
	const Ranked *right = b;

	if (left->weight != right->weight)
		return left->weight > right->weight ? -1 : 1;
	for (int j = 0; j < left->d; j++)
		if (left->centroid[j] != right->centroid[j])
			return left->centroid[j] < right->centroid[j] ? -1 : 1;
	return left->cluster < right->cluster ? -1 : left->cluster > right->cluster;
}

/* The order of the clusters: order[new] = old. */
static PmStatus
rank_clusters(PmContext *ctx, const Runs *runs, int32_t *order)
{
	int			k = runs->options->k;
	Ranked	   *ranked;

	PM_TRY(pm_alloc(ctx, "order of the clusters", (size_t) k, sizeof(Ranked),
					&ranked));
	for (int c = 0; c < k; c++)
		ranked[c] = (Ranked) {runs->totals.weights[c],
			runs->best + (size_t) c * runs->rows->d, runs->rows->d, c};
	qsort(ranked, (size_t) k, sizeof(Ranked), compare_ranked);
	for (int c = 0; c < k; c++)
		order[c] = ranked[c].cluster;
	pm_release(ctx, ranked);
	return PM_OK;
}

/* Allocate the arrays of a fit, besides the labels. */
static PmStatus
open_fit(PmContext *ctx, int k, int d, PmKMeansFit *fit)
{
	memset(fit, 0, sizeof(*fit));
	fit->k = k;
	fit->d = d;
	PM_TRY(pm_alloc(ctx, "centroids of the fit", (size_t) k * d,
					sizeof(float), &fit->centroids));
	PM_TRY(pm_alloc(ctx, "weights of the fit", (size_t) k, sizeof(double),
					&fit->weights));
	PM_TRY(pm_alloc(ctx, "sizes of the fit", (size_t) k, sizeof(int64_t),
					&fit->counts));
	return pm_alloc(ctx, "radii of the fit", (size_t) k, sizeof(double),
					&fit->radius);
}

/* Write the clusters in their order, and the labels' new numbers. */
static void
number_clusters(Runs *runs, const int32_t *order, int32_t *number,
				PmKMeansFit *fit)
{
	const KMeansTotals *totals = &runs->totals;
	size_t		d = (size_t) fit->d;

	for (int c = 0; c < fit->k; c++)
	{
		int32_t		old = order[c];

		number[old] = c;
		memcpy(fit->centroids + c * d, runs->best + old * d,
			   d * sizeof(float));
		fit->weights[c] = totals->weights[old];
		fit->counts[c] = totals->counts[old];
		fit->radius[c] = totals->weights[old] > 0 ?
			sqrt(totals->squares[old] / totals->weights[old]) : 0;
	}
	for (int64_t i = 0; i < runs->rows->n; i++)
		runs->run.labels[i] = number[runs->run.labels[i]];
	fit->labels = runs->run.labels;
	runs->run.labels = NULL;
	fit->inertia = runs->inertia;
	fit->iterations = runs->iterations;
	fit->converged = runs->converged;
	fit->empty_refilled = runs->refilled;
}

/* Turn the best run into the fit. */
static PmStatus
finish_fit(PmContext *ctx, Runs *runs, PmKMeansFit *fit)
{
	size_t		k = (size_t) runs->options->k;
	int32_t    *order;
	PmStatus	status;

	if (!runs->best_is_last)
		PM_TRY(restore_best(ctx, runs));
	PM_TRY(open_fit(ctx, runs->options->k, runs->rows->d, fit));
	PM_TRY(pm_alloc(ctx, "numbers of the clusters", 2 * k, sizeof(int32_t),
					&order));
	status = rank_clusters(ctx, runs, order);
	if (status == PM_OK)
		number_clusters(runs, order, order + k, fit);
	pm_release(ctx, order);
	return status;
}

/* All that a fit does once its arguments are known to be good. */
static PmStatus
do_runs(PmContext *ctx, Runs *runs, PmKMeansFit *fit)
{
	int			count = runs->initial != NULL ? 1 : runs->options->n_init;

	PM_TRY(open_runs(ctx, runs));
	for (int number = 0; number < count; number++)
	{
		PM_TRY(do_run(ctx, runs, number));
		if (count > 1)
			pm_progress(ctx, "k-means: runs", (double) (number + 1) / count);
	}
	return finish_fit(ctx, runs, fit);
}

/* Fit; see pm_kmeans.h. */
PmStatus
pm_kmeans_fit(PmContext *ctx, const PmKMeansRows *rows,
			  const PmKMeansOptions *options, const float *initial,
			  PmKMeansFit *fit)
{
	Runs		runs;
	PmStatus	status;

	memset(fit, 0, sizeof(*fit));
	memset(&runs, 0, sizeof(runs));
	runs.rows = rows;
	runs.options = options;
	runs.initial = initial;
	PM_TRY(check_options(ctx, rows, options));
	PM_TRY(check_weights(ctx, rows));
	PM_TRY(check_values(ctx, rows, options->tol, &runs.threshold));
	PM_TRY(check_distinct(ctx, rows, options->k));
	status = do_runs(ctx, &runs, fit);
	if (status != PM_OK)
		pm_kmeans_release(ctx, fit);
	close_runs(ctx, &runs);
	return status;
}

/* Give back the arrays of a fit. */
void
pm_kmeans_release(PmContext *ctx, PmKMeansFit *fit)
{
	pm_release(ctx, fit->centroids);
	pm_release(ctx, fit->weights);
	pm_release(ctx, fit->counts);
	pm_release(ctx, fit->radius);
	pm_release(ctx, fit->labels);
	memset(fit, 0, sizeof(*fit));
}

/* Scale each row to length 1; rows of length 0 stay as they are. */
void
pm_kmeans_normalise(float *x, int64_t n, int d)
{
	for (int64_t i = 0; i < n; i++)
	{
		float	   *row = x + (size_t) i * (size_t) d;
		double		square = 0;
		double		length;

		for (int j = 0; j < d; j++)
			square += (double) row[j] * row[j];
		length = sqrt(square);
		if (!(length > 0))
			continue;
		for (int j = 0; j < d; j++)
			row[j] = (float) (row[j] / length);
	}
}
