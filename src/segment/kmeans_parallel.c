/*
 * kmeans_parallel.c
 *		k-means||: many candidates in a few rounds, then k of them.
 */
#include "kmeans_internal.h"

#include <math.h>

/* Rounds, and candidates expected of each, in k. */
#define PARALLEL_ROUNDS 5
#define OVERSAMPLING 2

/* The state of k-means||. */
typedef struct Overseeding
{
	const PmKMeansRows *rows;
	float	   *closest;		/* n */
	int32_t    *nearest;		/* n: index of a candidate */
	int32_t    *labels;			/* of some rows */
	float	   *distances;		/* of some rows */
	float	   *candidates;		/* rows, in the order drawn */
	size_t		candidate_floats;	/* room in candidates */
	int			count;			/* of candidates */
	int			known;			/* of them, already in closest and nearest */
	float	   *weights;		/* count: of the rows nearest to each */
	double		potential;		/* sum of weight * closest */
} Overseeding;

/* Give back what an overseeding holds, at any stage. */
static void
close_overseeding(PmContext *ctx, Overseeding *over)
{
	pm_release(ctx, over->closest);
	pm_release(ctx, over->nearest);
	pm_release(ctx, over->labels);
	pm_release(ctx, over->distances);
	pm_release(ctx, over->candidates);
	pm_release(ctx, over->weights);
}

/* Allocate what is kept by row. */
static PmStatus
open_overseeding(PmContext *ctx, Overseeding *over)
{
	size_t		n = (size_t) over->rows->n;
	size_t		buffer = (size_t) pm_kmeans_buffer_rows(over->rows->n);

	PM_TRY(pm_alloc(ctx, "distances of k-means||", n, sizeof(float),
					&over->closest));
	PM_TRY(pm_alloc(ctx, "nearest candidates of k-means||", n,
					sizeof(int32_t), &over->nearest));
	PM_TRY(pm_alloc(ctx, "labels of some rows", buffer, sizeof(int32_t),
					&over->labels));
	PM_TRY(pm_alloc(ctx, "distances of some rows", buffer, sizeof(float),
					&over->distances));
	for (size_t i = 0; i < n; i++)
		over->closest[i] = INFINITY;
	return PM_OK;
}

/* Append a row to the candidates. */
static PmStatus
add_candidate(PmContext *ctx, Overseeding *over, int64_t row)
{
	size_t		d = (size_t) over->rows->d;

	if (over->count == INT32_MAX)
		return pm_fail(ctx, PM_TOO_LARGE, "k-means|| has too many candidates");
	PM_TRY(pm_reserve(ctx, "candidates of k-means||",
					  ((size_t) over->count + 1) * d, sizeof(float),
					  &over->candidates, &over->candidate_floats));
	memcpy(over->candidates + over->count * d,
		   pm_kmeans_row(over->rows, row), d * sizeof(float));
	over->count++;
	return PM_OK;
}

/* Take the new candidates into account for rows [begin, begin + rows). */
static PmStatus
compare_rows(PmContext *ctx, Overseeding *over, int64_t begin, int64_t rows)
{
	int			d = over->rows->d;

	if (pm_interrupted(ctx))
		return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
	PM_TRY(ctx->device->nearest_centroid(ctx, rows, d,
										 over->count - over->known,
										 pm_kmeans_row(over->rows, begin),
										 over->candidates + (size_t) over->known * d,
										 over->labels, over->distances, NULL));
	for (int64_t i = 0; i < rows; i++)
	{
		float	   *closest = &over->closest[begin + i];
		float		distance = over->distances[i] > 0 ? over->distances[i] : 0;

		if (distance < *closest)
		{
			*closest = distance;
			over->nearest[begin + i] = over->known + over->labels[i];
		}
		over->potential += pm_kmeans_weight(over->rows, begin + i) * *closest;
	}
	return PM_OK;
}

/* Bring closest, nearest and the potential up to date. */
static PmStatus
compare_candidates(PmContext *ctx, Overseeding *over)
{
	int64_t		n = over->rows->n;
	int64_t		buffer = pm_kmeans_buffer_rows(n);
	int64_t		slab = pm_kmeans_slab_rows(over->rows->d,
										   over->count - over->known);

	if (slab > buffer)
		slab = buffer;
	over->potential = 0;
	for (int64_t begin = 0; begin < n; begin += slab)
		PM_TRY(compare_rows(ctx, over, begin,
							n - begin < slab ? n - begin : slab));
	over->known = over->count;
	return PM_OK;
}

/* Draw every row by itself with its share of `expected` candidates. */
static PmStatus
draw_round(PmContext *ctx, Overseeding *over, double expected, PmRng *rng)
{
	double		scale = expected / over->potential;

	for (int64_t i = 0; i < over->rows->n; i++)
	{
		double		mass = pm_kmeans_weight(over->rows, i) * over->closest[i];

		if (i % 1000000 == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
		if (pm_rng_uniform(rng) < scale * mass)
			PM_TRY(add_candidate(ctx, over, i));
	}
	return PM_OK;
}

/* Weigh the candidates by their rows; drop those that have none. */
static PmStatus
weigh_candidates(PmContext *ctx, Overseeding *over)
{
	size_t		d = (size_t) over->rows->d;
	double	   *sums;
	int			kept = 0;

	PM_TRY(pm_alloc(ctx, "weights of candidates", (size_t) over->count,
					sizeof(float), &over->weights));
	PM_TRY(pm_alloc_zero(ctx, "sums of weights", (size_t) over->count,
						 sizeof(double), &sums));
	for (int64_t i = 0; i < over->rows->n; i++)
		sums[over->nearest[i]] += pm_kmeans_weight(over->rows, i);
	for (int c = 0; c < over->count; c++)
	{
		if (!(sums[c] > 0))
			continue;
		if (kept < c)
			memcpy(over->candidates + kept * d, over->candidates + c * d,
				   d * sizeof(float));
		over->weights[kept++] = (float) sums[c];
	}
	over->count = kept;
	pm_release(ctx, sums);
	return PM_OK;
}

/* The rounds of k-means||: candidates with their weights. */
static PmStatus
overseed_rounds(PmContext *ctx, Overseeding *over, int k, PmRng *rng)
{
	PM_TRY(open_overseeding(ctx, over));
	PM_TRY(add_candidate(ctx, over,
						 (int64_t) pm_rng_below(rng, (uint64_t) over->rows->n)));
	PM_TRY(compare_candidates(ctx, over));
	for (int round = 0; round < PARALLEL_ROUNDS && over->potential > 0; round++)
	{
		PM_TRY(draw_round(ctx, over, (double) OVERSAMPLING * k, rng));
		if (over->known < over->count)
			PM_TRY(compare_candidates(ctx, over));
		pm_progress(ctx, "k-means: seeding",
					(double) (round + 1) / PARALLEL_ROUNDS);
	}
	return weigh_candidates(ctx, over);
}

/* Choose k of the candidates, or all where they are not more. */
static PmStatus
choose_candidates(PmContext *ctx, const Overseeding *over, int k, PmRng *rng,
				  float *centroids, int *found)
{
	PmKMeansRows candidates = {
		over->candidates, over->weights, over->count, over->rows->d
	};

	if (over->count > k)
		return pm_kmeans_seed_greedy(ctx, &candidates, k, rng, centroids,
									 found);
	memcpy(centroids, over->candidates,
		   (size_t) over->count * over->rows->d * sizeof(float));
	*found = over->count;
	return PM_OK;
}

/*
 * k-means|| (Bahmani et al. 2012): a few rounds that each draw about 2 k
 * rows, by weight times squared distance to the candidates so far; then
 * k-means++ over the candidates, each with the weight of its rows.
 */
PmStatus
pm_kmeans_seed_parallel(PmContext *ctx, const PmKMeansRows *rows, int k,
						PmRng *rng, float *centroids, int *found)
{
	Overseeding over;
	PmStatus	status;

	memset(&over, 0, sizeof(over));
	over.rows = rows;
	status = overseed_rounds(ctx, &over, k, rng);
	if (status == PM_OK)
		status = choose_candidates(ctx, &over, k, rng, centroids, found);
	close_overseeding(ctx, &over);
	return status;
}
