/*
 * kmeans_internal.h
 *		What the files of k-means share: pieces of parallel work, one Lloyd
 *		run, seeding, sets of distinct rows, and two distance kernels.
 */
#ifndef KMEANS_INTERNAL_H
#define KMEANS_INTERNAL_H

#include "pm_arena.h"
#include "pm_device.h"
#include "pm_kmeans.h"
#include "pm_rng.h"

#include <string.h>

/* Rows of one piece of parallel work. */
#define KMEANS_CHUNK 1024

/*
 * Reductions that need an array per piece cut the rows into this many ranges
 * whatever the number of threads, so that sums are always formed alike.
 */
#define KMEANS_RANGES 64

/* Most rows for which a step keeps an array of its own. */
#define KMEANS_BUFFER_ROWS 65536

/*
 * Loops over rows are compiled for wider vectors too where the compiler can
 * choose among them at load time.  Not for fused multiply-add: without it
 * every x86-64 CPU computes the same bits.  The address sanitizer does not
 * survive such a choice, and PostgreSQL's bitcode cannot hold it.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && \
	!defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__)
#define KMEANS_CLONES \
	__attribute__((target_clones("default", "avx2")))
#else
#define KMEANS_CLONES
#endif

/* First row of a range. */
static inline int64_t
pm_kmeans_range(int64_t n, int64_t range)
{
	return n / KMEANS_RANGES * range + n % KMEANS_RANGES * range / KMEANS_RANGES;
}

static inline int64_t
pm_kmeans_chunks(int64_t n)
{
	return (n + KMEANS_CHUNK - 1) / KMEANS_CHUNK;
}

/* Rows of such an array: few beside n, a multiple of the chunk. */
static inline int64_t
pm_kmeans_buffer_rows(int64_t n)
{
	int64_t		rows = pm_kmeans_chunks(n / 16 + 1) * KMEANS_CHUNK;

	return rows < KMEANS_BUFFER_ROWS ? rows : KMEANS_BUFFER_ROWS;
}

static inline const float *
pm_kmeans_row(const PmKMeansRows *rows, int64_t i)
{
	return rows->x + (size_t) i * (size_t) rows->d;
}

static inline double
pm_kmeans_weight(const PmKMeansRows *rows, int64_t i)
{
	return rows->weights == NULL ? 1.0 : (double) rows->weights[i];
}

typedef float KMeansFloat8 __attribute__((vector_size(32)));
typedef float KMeansFloat4 __attribute__((vector_size(16)));
typedef double KMeansDouble4 __attribute__((vector_size(32)));

/*
 * Squared distance in single precision by differences, so that equal rows
 * are exactly 0 apart.  The lanes make the order of the sum the same for
 * every instruction set.
 */
static inline __attribute__((always_inline)) float
pm_kmeans_distance_single(const float *a, const float *b, int d)
{
	KMeansFloat8 sum[2] = {{0}, {0}};
	float		lanes[8];
	float		rest = 0;
	int			j = 0;

	for (; j + 16 <= d; j += 16)
		for (int half = 0; half < 2; half++)
		{
			KMeansFloat8 p;
			KMeansFloat8 q;

			memcpy(&p, a + j + 8 * half, sizeof(p));
			memcpy(&q, b + j + 8 * half, sizeof(q));
			p -= q;
			sum[half] += p * p;
		}
	for (; j + 8 <= d; j += 8)
	{
		KMeansFloat8 p;
		KMeansFloat8 q;

		memcpy(&p, a + j, sizeof(p));
		memcpy(&q, b + j, sizeof(q));
		p -= q;
		sum[0] += p * p;
	}
	for (; j < d; j++)
		rest += (a[j] - b[j]) * (a[j] - b[j]);
	sum[0] += sum[1];
	memcpy(lanes, &sum[0], sizeof(lanes));
	return (((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
			((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))) + rest;
}

/* The same in double precision: for results, not for choices. */
static inline __attribute__((always_inline)) double
pm_kmeans_distance(const float *a, const float *b, int d)
{
	KMeansDouble4 sum[2] = {{0}, {0}};
	double		lanes[4];
	double		rest = 0;
	int			j = 0;

	for (; j + 8 <= d; j += 8)
		for (int half = 0; half < 2; half++)
		{
			KMeansFloat4 p;
			KMeansFloat4 q;
			KMeansDouble4 difference;

			memcpy(&p, a + j + 4 * half, sizeof(p));
			memcpy(&q, b + j + 4 * half, sizeof(q));
			difference = __builtin_convertvector(p, KMeansDouble4) -
				__builtin_convertvector(q, KMeansDouble4);
			sum[half] += difference * difference;
		}
	for (; j < d; j++)
		rest += ((double) a[j] - b[j]) * ((double) a[j] - b[j]);
	sum[0] += sum[1];
	memcpy(lanes, &sum[0], sizeof(lanes));
	return ((lanes[0] + lanes[2]) + (lanes[1] + lanes[3])) + rest;
}

/* kmeans_measure.c */

/* What a clustering amounts to, by cluster; arrays of k. */
typedef struct KMeansTotals
{
	double	   *squares;		/* weighted sum of squared distances */
	double	   *roots;			/* weighted sum of distances */
	double	   *weights;
	int64_t    *counts;
} KMeansTotals;

/*
 * Rows for one device call that does about 2 * rows * d * columns flops: at
 * most 1 Gflop, 32 MB and 262144 rows, so that it stays under 50 ms.
 */
extern int64_t pm_kmeans_slab_rows(int d, int64_t columns);

/*
 * parallel_for in batches, looking for interrupts before each; `work` is
 * the elements that one index touches.
 */
extern PmStatus pm_kmeans_for_each(PmContext *ctx, int64_t count, double work,
								   PmTask task, void *argument);

/*
 * Column sums of weighted rows, or of squared deviations from `mean`, in
 * double; weights NULL = all 1.  *bad_range is a range with a value that is
 * not within [-limit, limit], or -1.
 */
extern PmStatus pm_kmeans_column_sums(PmContext *ctx, const PmKMeansRows *rows,
									  const double *mean, float limit,
									  double *sums, int64_t *bad_range);

extern PmStatus pm_kmeans_open_totals(PmContext *ctx, int k,
									  KMeansTotals *totals);
extern void pm_kmeans_close_totals(PmContext *ctx, KMeansTotals *totals);
extern PmStatus pm_kmeans_measure(PmContext *ctx, const PmKMeansRows *rows,
								  int k, const float *centroids,
								  const int32_t *labels, KMeansTotals *totals);

/* kmeans_lloyd.c */

/* One run of Lloyd's iterations. */
typedef struct KMeansRun
{
	float	   *centroids;		/* k * d: the start, then the result */
	int32_t    *labels;			/* n: of the result */
	int			iterations;
	bool		converged;
	int			refilled;
} KMeansRun;

extern PmStatus pm_kmeans_lloyd(PmContext *ctx, const PmKMeansRows *rows,
								const PmKMeansOptions *options,
								double threshold, KMeansRun *run);

/* Scale a centroid to length 1; false, and unchanged, where it has none. */
extern bool pm_kmeans_unit(double *vector, int d);

/* kmeans_init.c */

/* Fill centroids (k * d) for one run; each run has its own random stream. */
extern PmStatus pm_kmeans_seed(PmContext *ctx, const PmKMeansRows *rows,
							   const PmKMeansOptions *options, int run,
							   float *centroids);

/*
 * Greedy k-means++.  *found is less than k where the rows looked at have not
 * k distinct ones.
 */
extern PmStatus pm_kmeans_seed_greedy(PmContext *ctx, const PmKMeansRows *rows,
									  int k, PmRng *rng, float *centroids,
									  int *found);

/* k-means||, in kmeans_parallel.c; *found likewise. */
extern PmStatus pm_kmeans_seed_parallel(PmContext *ctx,
										const PmKMeansRows *rows, int k,
										PmRng *rng, float *centroids,
										int *found);

/* Candidates that a step of greedy k-means++ tries. */
extern int	pm_kmeans_trials(int k);

/* How many rows k-means++ looks at; see the rule there. */
extern int64_t pm_kmeans_seed_rows(int64_t n, int d, int k);

/* kmeans_distinct.c */

/* A set of rows distinct in content; holds pointers, not copies. */
typedef struct KMeansRowSet
{
	int			d;
	size_t		mask;			/* slots - 1 */
	const float **slots;
	float	   *scratch;		/* d: a row without negative zeros */
} KMeansRowSet;

extern PmStatus pm_kmeans_set_open(PmContext *ctx, int capacity, int d,
								   KMeansRowSet *set);
extern void pm_kmeans_set_close(PmContext *ctx, KMeansRowSet *set);

/* Add a row; false when the set has its content already. */
extern bool pm_kmeans_set_add(KMeansRowSet *set, const float *row);

/* Count distinct rows, but no further than `enough`. */
extern PmStatus pm_kmeans_count_distinct(PmContext *ctx,
										 const PmKMeansRows *rows, int enough,
										 int *count);

/*
 * Fill centroids [have, k) with random rows, distinct in content from each
 * other and from those before.
 */
extern PmStatus pm_kmeans_fill_distinct(PmContext *ctx,
										const PmKMeansRows *rows, int k,
										int have, PmRng *rng,
										float *centroids);

#endif							/* KMEANS_INTERNAL_H */
