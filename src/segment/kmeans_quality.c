/*
 * kmeans_quality.c
 *		How good a clustering is: silhouette, Davies-Bouldin and
 *		Calinski-Harabasz.
 *
 * All three use Euclidean distances to the fit's centroids; for the cosine
 * metric that means distances between vectors of length 1.  A row of weight
 * w counts as w equal rows.  Clusters without rows count for nothing, and
 * with fewer than two others every index is NAN.
 */
#include "kmeans_internal.h"

#include <float.h>
#include <math.h>

/* The state of the silhouette over some rows. */
typedef struct SilhouettePass
{
	const PmKMeansRows *rows;
	const PmKMeansFit *fit;
	int64_t		begin;			/* first of the rows in the arrays below */
	int64_t		end;
	int32_t    *labels;			/* nearest centroid by the device */
	float	   *distance;		/* squared, to that one */
	float	   *second;			/* squared, to the next */
	double	   *sums;			/* by chunk */
} SilhouettePass;

/* One row's silhouette. */
static inline __attribute__((always_inline)) double
row_silhouette(const SilhouettePass *pass, int64_t i)
{
	const PmKMeansFit *fit = pass->fit;
	int64_t		at = i - pass->begin;
	int32_t		label = fit->labels[i];
	double		own;
	double		other;
	double		larger;

	/* Rousseeuw's convention: a row alone in its cluster counts 0 */
	if (fit->counts[label] == 1)
		return 0;
	own = sqrt(pm_kmeans_distance(pm_kmeans_row(pass->rows, i),
								  fit->centroids + (size_t) label * fit->d,
								  fit->d));
	/* between equally near centroids device and fit may have chosen apart */
	other = pass->labels[at] == label ? pass->second[at] : pass->distance[at];
	other = other > 0 ? sqrt(other) : 0;
	larger = own > other ? own : other;
	return larger > 0 ? (other - own) / larger : 0;
}

/* Sum the silhouettes of a chunk of the rows at hand. */
KMEANS_CLONES static void
sum_silhouettes(const SilhouettePass *pass, int64_t index)
{
	int64_t		begin = pass->begin + index * KMEANS_CHUNK;
	int64_t		end = begin + KMEANS_CHUNK < pass->end ?
		begin + KMEANS_CHUNK : pass->end;
	double		sum = 0;

	for (int64_t i = begin; i < end; i++)
		sum += pm_kmeans_weight(pass->rows, i) * row_silhouette(pass, i);
	pass->sums[index] = sum;
}

static void
silhouette_task(int64_t index, int lane, void *argument)
{
	(void) lane;
	sum_silhouettes(argument, index);
}

/* Allocate what is kept by row of a slab. */
static PmStatus
open_silhouette(PmContext *ctx, SilhouettePass *pass, int64_t slab)
{
	size_t		rows = (size_t) slab;

	PM_TRY(pm_alloc(ctx, "labels of some rows", rows, sizeof(int32_t),
					&pass->labels));
	PM_TRY(pm_alloc(ctx, "distances of some rows", rows, sizeof(float),
					&pass->distance));
	PM_TRY(pm_alloc(ctx, "second distances of some rows", rows,
					sizeof(float), &pass->second));
	return pm_alloc(ctx, "silhouettes of some rows",
					(size_t) pm_kmeans_chunks(slab), sizeof(double),
					&pass->sums);
}

/* Give them back, at any stage. */
static void
close_silhouette(PmContext *ctx, SilhouettePass *pass)
{
	pm_release(ctx, pass->labels);
	pm_release(ctx, pass->distance);
	pm_release(ctx, pass->second);
	pm_release(ctx, pass->sums);
}

/* Sum the silhouettes of all rows, slab by slab. */
static PmStatus
add_silhouettes(PmContext *ctx, SilhouettePass *pass, double *sum)
{
	const PmKMeansRows *rows = pass->rows;
	const PmKMeansFit *fit = pass->fit;
	int64_t		slab = pm_kmeans_slab_rows(rows->d, fit->k);

	if (slab > pm_kmeans_buffer_rows(rows->n))
		slab = pm_kmeans_buffer_rows(rows->n);
	PM_TRY(open_silhouette(ctx, pass, slab));
	*sum = 0;
	for (pass->begin = 0; pass->begin < rows->n; pass->begin = pass->end)
	{
		int64_t		chunks;

		pass->end = rows->n - pass->begin < slab ? rows->n : pass->begin + slab;
		chunks = pm_kmeans_chunks(pass->end - pass->begin);
		PM_TRY(ctx->device->nearest_centroid(ctx, pass->end - pass->begin,
											 fit->d, fit->k,
											 pm_kmeans_row(rows, pass->begin),
											 fit->centroids, pass->labels,
											 pass->distance, pass->second));
		PM_TRY(pm_kmeans_for_each(ctx, chunks,
								  (double) KMEANS_CHUNK * fit->d,
								  silhouette_task, pass));
		for (int64_t c = 0; c < chunks; c++)
			*sum += pass->sums[c];
	}
	return PM_OK;
}

/*
 * Simplified silhouette (Hruschka, de Castro and Campello 2004): the mean of
 * (b - a) / max(a, b), where a is a row's distance to its own centroid and b
 * to the nearest other one.
 */
static PmStatus
measure_silhouette(PmContext *ctx, const PmKMeansRows *rows,
				   const PmKMeansFit *fit, double weight, double *silhouette)
{
	SilhouettePass pass;
	double		sum;
	PmStatus	status;

	memset(&pass, 0, sizeof(pass));
	pass.rows = rows;
	pass.fit = fit;
	status = add_silhouettes(ctx, &pass, &sum);
	close_silhouette(ctx, &pass);
	if (status == PM_OK)
		*silhouette = sum / weight;
	return status;
}

/* What the ratios of Davies and Bouldin need; arrays of k. */
typedef struct RatioPass
{
	const PmKMeansFit *fit;
	const KMeansTotals *totals;
	double	   *worst;			/* largest ratio with another cluster */
} RatioPass;

/* A cluster's largest ratio with any other. */
KMEANS_CLONES static void
find_worst(const RatioPass *pass, int64_t index)
{
	const PmKMeansFit *fit = pass->fit;
	const KMeansTotals *totals = pass->totals;
	const float *centroid = fit->centroids + (size_t) index * fit->d;
	double		spread = totals->roots[index] / totals->weights[index];
	double		worst = 0;

	pass->worst[index] = 0;
	if (totals->counts[index] == 0)
		return;
	for (int c = 0; c < fit->k; c++)
	{
		double		distance;
		double		ratio;

		if (c == index || totals->counts[c] == 0)
			continue;
		distance = sqrt(pm_kmeans_distance(centroid,
										   fit->centroids + (size_t) c * fit->d,
										   fit->d));
		/* scikit-learn passes over centroids in the same place */
		if (!(distance > 0))
			continue;
		ratio = (spread + totals->roots[c] / totals->weights[c]) / distance;
		if (ratio > worst)
			worst = ratio;
	}
	pass->worst[index] = worst;
}

static void
worst_task(int64_t index, int lane, void *argument)
{
	(void) lane;
	find_worst(argument, index);
}

/*
 * Davies and Bouldin 1979, as in scikit-learn: the mean over clusters of the
 * largest (s_i + s_j) / d_ij, with s the mean distance of a cluster's rows to
 * its centroid and d the distance between centroids.
 */
static PmStatus
measure_davies_bouldin(PmContext *ctx, const PmKMeansFit *fit,
					   const KMeansTotals *totals, int clusters,
					   double *davies_bouldin)
{
	RatioPass	pass = {fit, totals, NULL};
	double		sum = 0;
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "ratios of the clusters", (size_t) fit->k,
					sizeof(double), &pass.worst));
	status = pm_kmeans_for_each(ctx, fit->k, (double) fit->k * fit->d,
								worst_task, &pass);
	for (int c = 0; status == PM_OK && c < fit->k; c++)
		sum += pass.worst[c];
	if (status == PM_OK)
		*davies_bouldin = sum / clusters;
	pm_release(ctx, pass.worst);
	return status;
}

/* Weighted squares of the centroids around the mean of all rows. */
static PmStatus
measure_between(PmContext *ctx, const PmKMeansRows *rows,
				const PmKMeansFit *fit, const KMeansTotals *totals,
				double weight, double *between)
{
	double	   *mean;
	int64_t		bad_range;
	PmStatus	status;

	*between = 0;
	PM_TRY(pm_alloc(ctx, "mean of all rows", (size_t) fit->d, sizeof(double),
					&mean));
	status = pm_kmeans_column_sums(ctx, rows, NULL, FLT_MAX, mean,
								   &bad_range);
	for (int c = 0; status == PM_OK && c < fit->k; c++)
	{
		const float *centroid = fit->centroids + (size_t) c * fit->d;
		double		square = 0;

		for (int j = 0; j < fit->d; j++)
			square += (centroid[j] - mean[j] / weight) *
				(centroid[j] - mean[j] / weight);
		*between += totals->weights[c] * square;
	}
	pm_release(ctx, mean);
	return status;
}

/*
 * Calinski and Harabasz 1974, as in scikit-learn, which gives 1 where all
 * rows lie on their centroids.  NAN when every row is a cluster of its own,
 * or the weight of the rows is not above k.
 */
static PmStatus
measure_calinski_harabasz(PmContext *ctx, const PmKMeansRows *rows,
						  const PmKMeansFit *fit, const KMeansTotals *totals,
						  int clusters, double weight,
						  double *calinski_harabasz)
{
	double		between;
	double		within = 0;

	if (clusters >= rows->n || weight <= clusters)
		return PM_OK;
	PM_TRY(measure_between(ctx, rows, fit, totals, weight, &between));
	for (int c = 0; c < fit->k; c++)
		within += totals->squares[c];
	*calinski_harabasz = within > 0 ?
		between * (weight - clusters) / (within * (clusters - 1)) : 1;
	return PM_OK;
}

/* The indexes, given the clusters' totals. */
static PmStatus
measure_indexes(PmContext *ctx, const PmKMeansRows *rows,
				const PmKMeansFit *fit, const KMeansTotals *totals,
				PmKMeansQuality *quality)
{
	double		weight = 0;
	int			clusters = 0;

	for (int c = 0; c < fit->k; c++)
	{
		weight += totals->weights[c];
		clusters += totals->counts[c] > 0;
	}
	if (clusters < 2)
		return PM_OK;
	PM_TRY(measure_silhouette(ctx, rows, fit, weight, &quality->silhouette));
	PM_TRY(measure_davies_bouldin(ctx, fit, totals, clusters,
								  &quality->davies_bouldin));
	return measure_calinski_harabasz(ctx, rows, fit, totals, clusters, weight,
									 &quality->calinski_harabasz);
}

/* Quality of a clustering; see pm_kmeans.h. */
PmStatus
pm_kmeans_quality(PmContext *ctx, const PmKMeansRows *rows,
				  const PmKMeansFit *fit, PmKMeansQuality *quality)
{
	KMeansTotals totals;
	PmStatus	status;

	quality->inertia = fit->inertia;
	quality->silhouette = NAN;
	quality->davies_bouldin = NAN;
	quality->calinski_harabasz = NAN;
	PM_TRY(pm_kmeans_open_totals(ctx, fit->k, &totals));
	status = pm_kmeans_measure(ctx, rows, fit->k, fit->centroids, fit->labels,
							   &totals);
	if (status == PM_OK)
		status = measure_indexes(ctx, rows, fit, &totals, quality);
	pm_kmeans_close_totals(ctx, &totals);
	return status;
}
