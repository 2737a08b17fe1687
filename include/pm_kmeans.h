/*
 * pm_kmeans.h
 *		k-means: the algorithm, over a dense float32 matrix.
 *
 * Knows no PostgreSQL.  The rows come encoded and, where asked, standardised;
 * src/segment/segment_sql.c does both and puts the result into a model.
 */
#ifndef PM_KMEANS_H
#define PM_KMEANS_H

#include "pm_context.h"

typedef enum PmKMeansInit
{
	PM_INIT_KMEANSPP,			/* greedy k-means++ (Arthur and
								 * Vassilvitskii 2007) */
	PM_INIT_KMEANS_PARALLEL,	/* k-means|| (Bahmani et al. 2012) */
	PM_INIT_RANDOM				/* k distinct rows */
} PmKMeansInit;

typedef enum PmKMeansMetric
{
	PM_METRIC_EUCLIDEAN,
	PM_METRIC_COSINE			/* rows and centroids of length 1 */
} PmKMeansMetric;

typedef struct PmKMeansOptions
{
	int			k;
	PmKMeansInit init;
	int			n_init;			/* runs; the lowest inertia is kept */
	int			max_iter;
	double		tol;			/* times the mean variance of the columns,
								 * against the summed squared shifts */
	uint64_t	seed;
	PmKMeansMetric metric;
} PmKMeansOptions;

/*
 * Rows in their canonical order (pm_kmeans_fit does not reorder them), so
 * that the same content gives the same result.  For PM_METRIC_COSINE the
 * rows have been brought to length 1 by pm_kmeans_normalise().
 */
typedef struct PmKMeansRows
{
	const float *x;				/* n * d */
	const float *weights;		/* n, all > 0; NULL = all 1 */
	int64_t		n;
	int			d;
} PmKMeansRows;

/* What a fit gives; all arrays are from the context's arena. */
typedef struct PmKMeansFit
{
	int			k;
	int			d;
	float	   *centroids;		/* k * d, sorted: larger weight first */
	double	   *weights;		/* k: weight of the rows of each cluster */
	int64_t    *counts;			/* k: number of its rows */
	double	   *radius;			/* k: root mean squared distance */
	int32_t    *labels;			/* n, 0-based */
	double		inertia;		/* weighted sum of squared distances */
	int			iterations;		/* of the run that was kept */
	bool		converged;
	int			empty_refilled; /* empty clusters given a farthest row */
} PmKMeansFit;

/* Quality of a clustering; NAN where it is not defined (k = 1). */
typedef struct PmKMeansQuality
{
	double		inertia;
	double		silhouette;		/* simplified: distances to centroids */
	double		davies_bouldin;
	double		calinski_harabasz;
} PmKMeansQuality;

/*
 * Fit.  `initial` (k * d) replaces the initialisation when not NULL.
 * Errors: PM_INVALID when k < 1, k > n or k > the number of distinct rows.
 */
extern PmStatus pm_kmeans_fit(PmContext *ctx, const PmKMeansRows *rows,
							  const PmKMeansOptions *options,
							  const float *initial, PmKMeansFit *fit);

/* Give back the arrays of a fit. */
extern void pm_kmeans_release(PmContext *ctx, PmKMeansFit *fit);

extern PmStatus pm_kmeans_quality(PmContext *ctx, const PmKMeansRows *rows,
								  const PmKMeansFit *fit,
								  PmKMeansQuality *quality);

/* Scale each row to length 1; rows of length 0 stay as they are. */
extern void pm_kmeans_normalise(float *x, int64_t n, int d);

#endif							/* PM_KMEANS_H */
