/*
 * kmeans_init.c
 *		Where k-means starts: greedy k-means++, here; k-means||, in
 *		kmeans_parallel.c; or random rows, in kmeans_distinct.c.
 */
#include "kmeans_internal.h"

#include <math.h>

/*
 * k-means++ looks at every row once for each centroid and trial.  When that
 * is more than MOST_WORK elements it works on a sample instead, of as many
 * rows as keep to it but at least max(SAMPLE_ROWS, 20 k): one row drawn from
 * each of so many equal stretches of the rows.
 */
#define MOST_WORK 2e7
#define SAMPLE_ROWS 20000
#define SAMPLE_ROWS_PER_CENTROID 20

/* Rows and candidates that are compared at a time. */
#define BLOCK_ROWS 4
#define BLOCK 8

/* The state of k-means++ over the rows or over a sample of them. */
typedef struct Seeding
{
	const PmKMeansRows *rows;
	int64_t    *sample;			/* indexes of rows; NULL = all rows */
	int64_t		count;			/* of the sample, or n */
	int			trials;
	float	   *candidates;		/* trials * d */
	float	   *panels;			/* candidates in blocks: d * BLOCK floats
								 * each, column after column */
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

/* How many rows k-means++ looks at; see MOST_WORK. */
int64_t
pm_kmeans_seed_rows(int64_t n, int d, int k)
{
	int64_t		sample = (int64_t) (MOST_WORK / ((double) d * k * pm_kmeans_trials(k)));

	if (sample < SAMPLE_ROWS_PER_CENTROID * (int64_t) k)
		sample = SAMPLE_ROWS_PER_CENTROID * (int64_t) k;
	if (sample < SAMPLE_ROWS)
		sample = SAMPLE_ROWS;
	return sample < n ? sample : n;
}

static inline int
count_blocks(int trials)
{
	return (trials + BLOCK - 1) / BLOCK;
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
	pm_release(ctx, seeding->panels);
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
	PM_TRY(pm_alloc(ctx, "panels of k-means++",
					(size_t) count_blocks(seeding->trials) * BLOCK *
					(size_t) seeding->rows->d, sizeof(float),
					&seeding->panels));
	PM_TRY(pm_alloc(ctx, "distances of k-means++", (size_t) seeding->count,
					sizeof(float), &seeding->closest));
	PM_TRY(pm_alloc(ctx, "masses of k-means++", chunks, sizeof(double),
					&seeding->masses));
	return pm_alloc(ctx, "potentials of k-means++", chunks * trials,
					sizeof(double), &seeding->potentials);
}

/* Copy the candidates into panels; the places left over hold the first. */
static void
fill_panels(Seeding *seeding)
{
	int			d = seeding->rows->d;

	for (int p = 0; p < count_blocks(seeding->trials) * BLOCK; p++)
	{
		const float *candidate = seeding->candidates +
			(p < seeding->trials ? (size_t) p * d : 0);
		float	   *panel = seeding->panels + (size_t) (p / BLOCK) * d * BLOCK;

		for (int j = 0; j < d; j++)
			panel[(size_t) j * BLOCK + p % BLOCK] = candidate[j];
	}
}

/* Squared distances of some rows to the candidates of a panel. */
static inline __attribute__((always_inline)) void
panel_distances(const float *const rows[BLOCK_ROWS], const float *panel,
				int d, float distances[BLOCK_ROWS][BLOCK])
{
	KMeansFloat8 sums[BLOCK_ROWS] = {{0}, {0}, {0}, {0}};

	for (int j = 0; j < d; j++)
	{
		KMeansFloat8 column;

		memcpy(&column, panel + (size_t) j * BLOCK, sizeof(column));
		for (int r = 0; r < BLOCK_ROWS; r++)
		{
			KMeansFloat8 difference = column - rows[r][j];

			sums[r] += difference * difference;
		}
	}
	memcpy(distances, sums, sizeof(sums));
}

/* Add what a panel's candidates would leave of the mass of rows [i, end). */
static inline __attribute__((always_inline)) void
try_rows(const Seeding *seeding, const float *panel, int64_t i, int64_t end,
		 double *left)
{
	int			count = end - i < BLOCK_ROWS ? (int) (end - i) : BLOCK_ROWS;
	const float *rows[BLOCK_ROWS];
	float		distances[BLOCK_ROWS][BLOCK];

	for (int r = 0; r < BLOCK_ROWS; r++)
		rows[r] = pm_kmeans_row(seeding->rows,
								row_of(seeding, r < count ? i + r : i));
	panel_distances(rows, panel, seeding->rows->d, distances);
	for (int r = 0; r < count; r++)
	{
		double		weight = pm_kmeans_weight(seeding->rows,
											  row_of(seeding, i + r));
		float		closest = seeding->closest[i + r];

		for (int t = 0; t < BLOCK; t++)
			left[t] += weight *
				(distances[r][t] < closest ? distances[r][t] : closest);
	}
}

/* What would be left of a chunk's mass with each candidate a centroid? */
KMEANS_CLONES static void
try_candidates(const Seeding *seeding, int64_t index)
{
	double	   *potentials = seeding->potentials + index * seeding->trials;
	int64_t		end = chunk_end(seeding, index);

	for (int first = 0; first < seeding->trials; first += BLOCK)
	{
		const float *panel = seeding->panels +
			(size_t) first * (size_t) seeding->rows->d;
		double		left[BLOCK] = {0};

		for (int64_t i = index * KMEANS_CHUNK; i < end; i += BLOCK_ROWS)
			try_rows(seeding, panel, i, end, left);
		for (int t = 0; t < BLOCK && first + t < seeding->trials; t++)
			potentials[first + t] = left[t];
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
	fill_panels(seeding);
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
PmStatus
pm_kmeans_seed_greedy(PmContext *ctx, const PmKMeansRows *rows, int k,
					  PmRng *rng, float *centroids, int *found)
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

/* Fill centroids (k * d) for one run; each run has its own random stream. */
PmStatus
pm_kmeans_seed(PmContext *ctx, const PmKMeansRows *rows,
			   const PmKMeansOptions *options, int run, float *centroids)
{
	PmRng		rng;
	int			found = 0;

	pm_rng_seed(&rng, options->seed, (uint64_t) run);
	if (options->init == PM_INIT_KMEANSPP)
		PM_TRY(pm_kmeans_seed_greedy(ctx, rows, options->k, &rng, centroids,
									 &found));
	else if (options->init == PM_INIT_KMEANS_PARALLEL)
		PM_TRY(pm_kmeans_seed_parallel(ctx, rows, options->k, &rng,
									   centroids, &found));

	/* duplicates may leave some to fill, and random rows are all filled */
	return pm_kmeans_fill_distinct(ctx, rows, options->k, found, &rng,
								   centroids);
}
