/*
 * kmeans_cases.h
 *		What the tests of k-means share: rows, fits of one line, comparisons.
 */
#ifndef KMEANS_CASES_H
#define KMEANS_CASES_H

#include "fault_device.h"
#include "pm_arena.h"
#include "pm_kmeans.h"
#include "pm_rng.h"

/* Rows that a test owns; from malloc. */
typedef struct Rows
{
	PmKMeansRows rows;
	float	   *x;
	float	   *weights;		/* NULL = all 1 */
	int32_t    *truth;			/* planted cluster of each row, or NULL */
} Rows;

/* n * d zeros; weights and truth where asked for. */
extern Rows rows_new(int64_t n, int d, bool weights, bool truth);
extern void rows_free(Rows *rows);

/* Independent normal coordinates; weights, where asked for, 1 to 5. */
extern Rows rows_normal(int64_t n, int d, bool weights, uint64_t seed);

/*
 * k clusters of standard deviation 1 around centres that are `spread` apart
 * on a lattice, in random order.
 */
extern Rows rows_planted(int64_t n, int d, int k, double spread,
						 uint64_t seed);

/* Every row as often as its (integer) weight says. */
extern Rows rows_repeated(const Rows *rows);

/* A standard normal number. */
extern double random_normal(PmRng *rng);

/* Options with k-means++, one run, 300 iterations, tol 0. */
extern PmKMeansOptions kmeans_options(int k);

/* Adjusted Rand index (Hubert and Arabie 1985) of two labellings. */
extern double adjusted_rand(const int32_t *a, const int32_t *b, int64_t n);

/* Do two labellings cut the rows into the same parts? */
extern bool same_partition(const int32_t *a, const int32_t *b, int64_t n);

/* Sum of weighted squared distances to the labels' centroids. */
extern double inertia_of(const PmKMeansRows *rows, const float *centroids,
						 const int32_t *labels);

/* Squared distance of a row to a centroid. */
extern double distance_of(const PmKMeansRows *rows, int64_t i,
						  const float *centroid);

/* Are two fits equal in every bit? */
extern bool same_fit(const PmKMeansFit *a, const PmKMeansFit *b, int64_t n);

/*
 * Is a fit all that it should be: every label its nearest centroid, weights,
 * counts, radii and inertia those of the labels, clusters in order, nothing
 * NaN?  NULL, or what is wrong.
 */
extern const char *fit_defect(const PmKMeansRows *rows,
							  const PmKMeansFit *fit);

/* The devices to test on: the reference, and the CPU's where there is one. */
extern int	test_devices(PmDevice *devices, int most);

#endif							/* KMEANS_CASES_H */
