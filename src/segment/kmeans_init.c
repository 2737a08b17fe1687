/*
 * kmeans_init.c
 *		Where k-means starts: greedy k-means++, k-means|| or random rows.
 */
#include "kmeans_internal.h"

#include <math.h>

/*
 * k-means++ looks at every row once for each centroid and trial.  When that
 * is more than FULL_WORK elements it works on a sample instead, one row
 * drawn from each of max(SAMPLE_ROWS, 20 k) equal stretches of the rows.
 */
#define FULL_WORK 1e9
#define SAMPLE_ROWS 50000
#define SAMPLE_ROWS_PER_CENTROID 20

/* k-means||: rounds, and candidates expected of each, in k. */
#define PARALLEL_ROUNDS 5
#define OVERSAMPLING 2

/* The state of k-means++ over the rows or over a sample of them. */
typedef struct Seeding
{
	const PmKMeansRows *rows;
	int64_t    *sample;			/* indexes of rows; NULL = all rows */
	int64_t		count;			/* of the sample, or n */
	int			trials;
	float	   *candidates;		/* trials * d */
	float	   *closest;		/* count: squared distance to the nearest
								 * centroid so far */
	double	   *masses;			/* chunks: sum of weight * closest */
	double	   *potentials;		/* chunks * trials: that sum if a candidate
								 * were a centroid */
	double		total;			/* of masses */
} Seeding;

/* Candidates that a step of greedy k-means++ tries, as in scikit-learn. */
int
pm_kmeans_trials(int k)
{
	return 2 + (int) log((double) k);
}

/* How many rows k-means++ looks at; see FULL_WORK. */
int64_t
pm_kmeans_seed_rows(int64_t n, int d, int k)
{
	int64_t		sample = SAMPLE_ROWS_PER_CENTROID * (int64_t) k;

	if ((double) n * d * k * pm_kmeans_trials(k) <= FULL_WORK)
		return n;
	if (sample < SAMPLE_ROWS)
		sample = SAMPLE_ROWS;
	return sample < n ? sample : n;
}

static inline int64_t
row_of(const Seeding *seeding, int64_t i)
{
	return seeding->sample == NULL ? i : seeding->sample[i];
}

/* End of a chunk of the seeding's rows. */
static inline int64_t
chunk_end(const Seeding *seeding, int64_t index)
{
	int64_t		end = (index + 1) * KMEANS_CHUNK;

	return end < seeding->count ? end : seeding->count;
}

/* Draw one row from each of `count` equal stretches, in order. */
static PmStatus
draw_sample(PmContext *ctx, Seeding *seeding, PmRng *rng)
{
	int64_t		whole = seeding->rows->n / seeding->count;
	int64_t		rest = seeding->rows->n % seeding->count;

	PM_TRY(pm_alloc(ctx, "sample of rows", (size_t) seeding->count,
					sizeof(int64_t), &seeding->sample));
	for (int64_t i = 0; i < seeding->count; i++)
	{
		int64_t		begin = i * whole + (i < rest ? i : rest);
		int64_t		length = whole + (i < rest ? 1 : 0);

		seeding->sample[i] = begin + (int64_t) pm_rng_below(rng, (uint64_t) length);
	}
	return PM_OK;
}

/* Give back what a seeding holds, at any stage. */
static void
close_seeding(PmContext *ctx, Seeding *seeding)
{
	pm_release(ctx, seeding->sample);
	pm_release(ctx, seeding->candidates);
	pm_release(ctx, seeding->closest);
	pm_release(ctx, seeding->masses);
	pm_release(ctx, seeding->potentials);
}

/* Allocate a seeding of `count` rows. */
static PmStatus
open_seeding(PmContext *ctx, Seeding *seeding, PmRng *rng)
{
	size_t		chunks = (size_t) pm_kmeans_chunks(seeding->count);
	size_t		trials = (size_t) seeding->trials;

	if (seeding->count < seeding->rows->n)
		PM_TRY(draw_sample(ctx, seeding, rng));
	PM_TRY(pm_alloc(ctx, "candidates of k-means++",
					trials * (size_t) seeding->rows->d, sizeof(float),
					&seeding->candidates));
	PM_TRY(pm_alloc(ctx, "distances of k-means++", (size_t) seeding->count,
					sizeof(float), &seeding->closest));
	PM_TRY(pm_alloc(ctx, "masses of k-means++", chunks, sizeof(double),
					&seeding->masses));
	return pm_alloc(ctx, "potentials of k-means++", chunks * trials,
					sizeof(double), &seeding->potentials);
}

/* What would be left of a chunk's mass with each candidate a centroid? */
KMEANS_CLONES static void
try_candidates(const Seeding *seeding, int64_t index)
{
	const PmKMeansRows *rows = seeding->rows;
	double	   *potentials = seeding->potentials + index * seeding->trials;
	int64_t		end = chunk_end(seeding, index);
	int			d = rows->d;

	for (int t = 0; t < seeding->trials; t++)
		potentials[t] = 0;
	for (int64_t i = index * KMEANS_CHUNK; i < end; i++)
	{
		int64_t		r = row_of(seeding, i);
		const float *row = pm_kmeans_row(rows, r);
		double		weight = pm_kmeans_weight(rows, r);

		/* what is 0 already stays 0 */
		if (!(seeding->closest[i] > 0))
			continue;
		for (int t = 0; t < seeding->trials; t++)
		{
			float		distance = pm_kmeans_distance_single(row,
												seeding->candidates + (size_t) t * d, d);

			potentials[t] += weight *
				(distance < seeding->closest[i] ? distance : seeding->closest[i]);
		}
	}
}

/* Make the first candidate a centroid: update a chunk's distances. */
KMEANS_CLONES static void
take_candidate(const Seeding *seeding, int64_t index)
{
	const PmKMeansRows *rows = seeding->rows;
	int64_t		end = chunk_end(seeding, index);
	double		mass = 0;

	for (int64_t i = index * KMEANS_CHUNK; i < end; i++)
	{
		int64_t		r = row_of(seeding, i);
		float		distance = pm_kmeans_distance_single(pm_kmeans_row(rows, r),
														 seeding->candidates, rows->d);

		if (distance < seeding->closest[i])
			seeding->closest[i] = distance;
		mass += pm_kmeans_weight(rows, r) * seeding->closest[i];
	}
	seeding->masses[index] = mass;
}

static void
try_task(int64_t index, int lane, void *argument)
{
	(void) lane;
	try_candidates(argument, index);
}

static void
take_task(int64_t index, int lane, void *argument)
{
	(void) lane;
	take_candidate(argument, index);
}

/* Sum the chunks' masses, always in the same order. */
static double
sum_masses(const Seeding *seeding)
{
	int64_t		chunks = pm_kmeans_chunks(seeding->count);
	double		total = 0;

	for (int64_t c = 0; c < chunks; c++)
		total += seeding->masses[c];
	return total;
}

/*
 * Draw a row with a probability in proportion to weight * closest: first
 * its chunk, then the row.  Where rounding lets the end be passed it is the
 * last row that has any mass.
 */
static int64_t
draw_row(const Seeding *seeding, PmRng *rng)
{
	double		left = pm_rng_uniform(rng) * seeding->total;
	int64_t		chunks = pm_kmeans_chunks(seeding->count);
	int64_t		chunk = -1;
	int64_t		drawn = -1;

	for (int64_t c = 0; c < chunks; c++)
	{
		if (!(seeding->masses[c] > 0))
			continue;
		chunk = c;
		if (left < seeding->masses[c])
			break;
		left -= seeding->masses[c];
	}
	for (int64_t i = chunk * KMEANS_CHUNK; i < chunk_end(seeding, chunk); i++)
	{
		double		mass = pm_kmeans_weight(seeding->rows, row_of(seeding, i)) *
			seeding->closest[i];

		if (!(mass > 0))
			continue;
		drawn = i;
		if (left < mass)
			break;
		left -= mass;
	}
	return row_of(seeding, drawn);
}

/* Copy a row to candidate t. */
static void
set_candidate(Seeding *seeding, int t, int64_t row)
{
	size_t		d = (size_t) seeding->rows->d;

	memcpy(seeding->candidates + t * d, pm_kmeans_row(seeding->rows, row),
		   d * sizeof(float));
}

/* The first centroid: a row drawn by its weight alone. */
static PmStatus
draw_first(PmContext *ctx, Seeding *seeding, PmRng *rng)
{
	int64_t		chunks = pm_kmeans_chunks(seeding->count);

	for (int64_t c = 0; c < chunks; c++)
	{
		seeding->masses[c] = 0;
		for (int64_t i = c * KMEANS_CHUNK; i < chunk_end(seeding, c); i++)
		{
			seeding->closest[i] = 1;
			seeding->masses[c] += pm_kmeans_weight(seeding->rows,
												   row_of(seeding, i));
		}
	}
	if (pm_interrupted(ctx))
		return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
	seeding->total = sum_masses(seeding);
	set_candidate(seeding, 0, draw_row(seeding, rng));
	for (int64_t i = 0; i < seeding->count; i++)
		seeding->closest[i] = INFINITY;
	return PM_OK;
}

/* Draw the step's candidates and move the best one to the front. */
static PmStatus
draw_best(PmContext *ctx, Seeding *seeding, PmRng *rng)
{
	int64_t		chunks = pm_kmeans_chunks(seeding->count);
	size_t		d = (size_t) seeding->rows->d;
	double		best_potential = INFINITY;
	int			best = 0;

	for (int t = 0; t < seeding->trials; t++)
		set_candidate(seeding, t, draw_row(seeding, rng));
	PM_TRY(pm_kmeans_for_each(ctx, chunks,
							  (double) KMEANS_CHUNK * d * seeding->trials,
							  try_task, seeding));
	for (int t = 0; t < seeding->trials; t++)
	{
		double		potential = 0;

		for (int64_t c = 0; c < chunks; c++)
			potential += seeding->potentials[c * seeding->trials + t];
		if (potential < best_potential)
		{
			best_potential = potential;
			best = t;
		}
	}
	if (best > 0)
		memcpy(seeding->candidates, seeding->candidates + best * d,
			   d * sizeof(float));
	return PM_OK;
}

/*
 * The steps of k-means++.  *found is less than k when all rows looked at lie
 * on centroids before.
 */
static PmStatus
seed_steps(PmContext *ctx, Seeding *seeding, PmRng *rng, int k,
		   float *centroids, int *found)
{
	size_t		d = (size_t) seeding->rows->d;

	for (*found = 0; *found < k; (*found)++)
	{
		if (*found == 0)
			PM_TRY(draw_first(ctx, seeding, rng));
		else if (seeding->total > 0)
			PM_TRY(draw_best(ctx, seeding, rng));
		else
			break;
		memcpy(centroids + *found * d, seeding->candidates,
			   d * sizeof(float));
		PM_TRY(pm_kmeans_for_each(ctx, pm_kmeans_chunks(seeding->count),
								  (double) KMEANS_CHUNK * d, take_task,
								  seeding));
		seeding->total = sum_masses(seeding);
		pm_progress(ctx, "k-means: seeding", (double) (*found + 1) / k);
	}
	return PM_OK;
}

/*
 * Greedy k-means++ (Arthur and Vassilvitskii 2007, with the trials of their
 * section 5): each centroid is the best of a few rows drawn in proportion to
 * weight times squared distance to the nearest centroid so far.
 */
static PmStatus
seed_kmeanspp(PmContext *ctx, const PmKMeansRows *rows, int k, PmRng *rng,
			  float *centroids, int *found)
{
	Seeding		seeding;
	PmStatus	status;

	memset(&seeding, 0, sizeof(seeding));
	seeding.rows = rows;
	seeding.count = pm_kmeans_seed_rows(rows->n, rows->d, k);
	seeding.trials = pm_kmeans_trials(k);
	status = open_seeding(ctx, &seeding, rng);
	if (status == PM_OK)
		status = seed_steps(ctx, &seeding, rng, k, centroids, found);
	close_seeding(ctx, &seeding);
	return status;
}

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
		return seed_kmeanspp(ctx, &candidates, k, rng, centroids, found);
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
static PmStatus
seed_parallel(PmContext *ctx, const PmKMeansRows *rows, int k, PmRng *rng,
			  float *centroids, int *found)
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

/* Fill centroids (k * d) for one run; each run has its own random stream. */
PmStatus
pm_kmeans_seed(PmContext *ctx, const PmKMeansRows *rows,
			   const PmKMeansOptions *options, int run, float *centroids)
{
	PmRng		rng;
	int			found = 0;

	pm_rng_seed(&rng, options->seed, (uint64_t) run);
	if (options->init == PM_INIT_KMEANSPP)
		PM_TRY(seed_kmeanspp(ctx, rows, options->k, &rng, centroids, &found));
	else if (options->init == PM_INIT_KMEANS_PARALLEL)
		PM_TRY(seed_parallel(ctx, rows, options->k, &rng, centroids, &found));

	/* duplicates may leave some to fill, and random rows are all filled */
	return pm_kmeans_fill_distinct(ctx, rows, options->k, found, &rng,
								   centroids);
}
