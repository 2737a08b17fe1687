/*
 * pm_kmeans_model.h
 *		A k-means model: its sections in the container, and scoring a row.
 *
 *		schema		bytes		how a row becomes features (pm_schema.h)
 *		metric		int32[1]	PmKMeansMetric
 *		centroids	float32[k, d]	in scaled features
 *		weights		float64[k]	weight of the training rows of a cluster
 *		counts		int64[k]	their number
 *		radius		float64[k]	their root mean squared distance
 *		evaluation	float64[6]	PM_EVAL_...; NaN where not defined
 */
#ifndef PM_KMEANS_MODEL_H
#define PM_KMEANS_MODEL_H

#include "pm_kmeans.h"
#include "pm_model.h"
#include "pm_schema.h"

#define PM_KMEANS_KIND "kmeans"

/* Centroids that scoring a row looks at together: a vector of any processor. */
#define PM_KMEANS_BLOCK 4

enum
{
	PM_EVAL_INERTIA,
	PM_EVAL_SILHOUETTE,
	PM_EVAL_DAVIES_BOULDIN,
	PM_EVAL_CALINSKI_HARABASZ,
	PM_EVAL_ITERATIONS,
	PM_EVAL_CONVERGED,
	PM_EVAL_COUNT
};

typedef struct PmKMeansModel
{
	PmSchema   *schema;
	PmKMeansMetric metric;
	int			k;
	int			d;
	const float *centroids;		/* k * d */
	const double *weights;
	const int64_t *counts;
	const double *radius;
	const double *evaluation;

	float	   *blocks;			/* ceil(k / PM_KMEANS_BLOCK) * d *
								 * PM_KMEANS_BLOCK: centroids by feature */
} PmKMeansModel;

/* Check the sections of an opened container; *model is a PmKMeansModel. */
extern PmStatus pm_kmeans_model_open(PmContext *ctx, const PmModel *container,
									 void **model);

/*
 * The cluster (0-based) nearest to one encoded row, which for the cosine
 * metric is brought to length 1 first; *distance is Euclidean, or 1 - cosine.
 */
extern int	pm_kmeans_model_nearest(const PmKMeansModel *model, float *row,
									double *distance);

/*
 * The distance that SQL shows for a row, given its squared Euclidean one; for
 * the cosine metric the row has length 1, or 0 and then distance 1.
 */
extern double pm_kmeans_metric_distance(PmKMeansMetric metric,
										const float *row, int d,
										double squared);

#endif							/* PM_KMEANS_MODEL_H */
