/*
 * kmeans_measure.c
 *		Passes over all rows: pieces of work small enough to be interrupted,
 *		column sums, and the totals of the clusters.
 *
 * Results are measured by differences in double precision, apart from the
 * distances that a device computes to choose.  Nothing depends on the number
 * of threads: every sum is formed over fixed pieces of the rows.
 */
#include "kmeans_internal.h"

#include <math.h>

/* Limits of one device call and of one batch of parallel work. */
#define SLAB_FLOPS 1e9
#define SLAB_ELEMENTS 8e6
#define SLAB_ROWS 262144
#define SLAB_MULTIPLE 8192
#define BATCH_ELEMENTS 3e7

/* Work that is done before another thread would have woken up. */
#define SERIAL_ELEMENTS 3e4

/*
 * Rows for one device call of about 2 * rows * d * columns flops: a multiple
 * of SLAB_MULTIPLE, so that a device's own pieces come out whole, unless the
 * rows are too heavy for that.
 */
int64_t
pm_kmeans_slab_rows(int d, int64_t columns)
{
	double		rows = SLAB_FLOPS / (2.0 * d * columns);
	int64_t		whole;

	if (rows > SLAB_ELEMENTS / d)
		rows = SLAB_ELEMENTS / d;
	if (rows > SLAB_ROWS)
		rows = SLAB_ROWS;
	whole = (int64_t) rows;
	if (whole >= SLAB_MULTIPLE)
		return whole / SLAB_MULTIPLE * SLAB_MULTIPLE;
	return (whole / 64 + 1) * 64;
}

/* A batch of parallel work starts at an index of its own. */
typedef struct Batch
{
	PmTask		task;
	void	   *argument;
	int64_t		first;
} Batch;

static void
run_in_batch(int64_t index, int lane, void *argument)
{
	const Batch *batch = argument;

	batch->task(batch->first + index, lane, batch->argument);
}

/* parallel_for in batches, looking for interrupts before each. */
PmStatus
pm_kmeans_for_each(PmContext *ctx, int64_t count, double work, PmTask task,
				   void *argument)
{
	Batch		batch = {task, argument, 0};
	double		wanted = BATCH_ELEMENTS * ctx->threads / work;
	int64_t		size = ctx->threads;

	if (wanted > (double) count)
		size = count;
	else if (wanted > (double) size)
		size = (int64_t) wanted;
	for (; batch.first < count; batch.first += size)
	{
		int64_t		left = count - batch.first;

		if (pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
		if (left > size)
			left = size;
		if (work * left > SERIAL_ELEMENTS)
			ctx->device->parallel_for(ctx, left, run_in_batch, &batch);
		else
			for (int64_t i = 0; i < left; i++)
				run_in_batch(i, 0, &batch);
	}
	return PM_OK;
}

/* One pass that sums columns, each range into its own d doubles. */
typedef struct ColumnPass
{
	const PmKMeansRows *rows;
	const double *mean;
	float		limit;
	double	   *partial;		/* KMEANS_RANGES * d */
	bool		bad[KMEANS_RANGES];
} ColumnPass;

/* Add a row to the sums; is one of its values beyond the limit? */
static inline __attribute__((always_inline)) int
add_row(const float *row, double weight, const double *mean, float limit,
		double *sums, int d)
{
	int			bad = 0;

	if (mean == NULL)
	{
		for (int j = 0; j < d; j++)
		{
			bad |= !(fabsf(row[j]) <= limit);
			sums[j] += weight * row[j];
		}
		return bad;
	}
	for (int j = 0; j < d; j++)
	{
		double		deviation = row[j] - mean[j];

		sums[j] += weight * (deviation * deviation);
	}
	return bad;
}

/* Sum the columns of a range of rows. */
KMEANS_CLONES static void
sum_range(ColumnPass *pass, int64_t range)
{
	const PmKMeansRows *rows = pass->rows;
	double	   *sums = pass->partial + (size_t) range * (size_t) rows->d;
	int64_t		end = pm_kmeans_range(rows->n, range + 1);
	int			bad = 0;

	for (int j = 0; j < rows->d; j++)
		sums[j] = 0;
	for (int64_t i = pm_kmeans_range(rows->n, range); i < end; i++)
		bad |= add_row(pm_kmeans_row(rows, i), pm_kmeans_weight(rows, i),
					   pass->mean, pass->limit, sums, rows->d);
	pass->bad[range] = bad != 0;
}

static void
sum_task(int64_t index, int lane, void *argument)
{
	(void) lane;
	sum_range(argument, index);
}

/* Column sums, or sums of squared deviations where `mean` is given. */
PmStatus
pm_kmeans_column_sums(PmContext *ctx, const PmKMeansRows *rows,
					  const double *mean, float limit, double *sums,
					  int64_t *bad_range)
{
	ColumnPass	pass = {rows, mean, limit, NULL, {false}};
	size_t		d = (size_t) rows->d;
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "column sums", KMEANS_RANGES * d, sizeof(double),
					&pass.partial));
	status = pm_kmeans_for_each(ctx, KMEANS_RANGES,
								(double) rows->n / KMEANS_RANGES * d,
								sum_task, &pass);
	*bad_range = -1;
	if (status == PM_OK)
	{
		for (size_t j = 0; j < d; j++)
			sums[j] = 0;
		for (int range = KMEANS_RANGES - 1; range >= 0; range--)
		{
			for (size_t j = 0; j < d; j++)
				sums[j] += pass.partial[range * d + j];
			if (pass.bad[range])
				*bad_range = range;
		}
	}
	pm_release(ctx, pass.partial);
	return status;
}

/* Arrays for pm_kmeans_measure(). */
PmStatus
pm_kmeans_open_totals(PmContext *ctx, int k, KMeansTotals *totals)
{
	size_t		count = (size_t) k;
	PmStatus	status;

	memset(totals, 0, sizeof(*totals));
	status = pm_alloc(ctx, "squares of the clusters", count, sizeof(double),
					  &totals->squares);
	if (status == PM_OK)
		status = pm_alloc(ctx, "distances of the clusters", count,
						  sizeof(double), &totals->roots);
	if (status == PM_OK)
		status = pm_alloc(ctx, "weights of the clusters", count,
						  sizeof(double), &totals->weights);
	if (status == PM_OK)
		status = pm_alloc(ctx, "sizes of the clusters", count,
						  sizeof(int64_t), &totals->counts);
	if (status != PM_OK)
		pm_kmeans_close_totals(ctx, totals);
	return status;
}

/* Give the arrays back; those that failed to open are allowed. */
void
pm_kmeans_close_totals(PmContext *ctx, KMeansTotals *totals)
{
	pm_release(ctx, totals->squares);
	pm_release(ctx, totals->roots);
	pm_release(ctx, totals->weights);
	pm_release(ctx, totals->counts);
	memset(totals, 0, sizeof(*totals));
}

/* One cluster's share of a range. */
typedef struct Share
{
	double		square;
	double		root;
	double		weight;
	int64_t		count;
} Share;

/* One pass that measures clusters, each range into k shares. */
typedef struct MeasurePass
{
	const PmKMeansRows *rows;
	int			k;
	const float *centroids;
	const int32_t *labels;
	Share	   *shares;			/* KMEANS_RANGES * k */
} MeasurePass;

/* Measure the rows of a range. */
KMEANS_CLONES static void
measure_range(const MeasurePass *pass, int64_t range)
{
	const PmKMeansRows *rows = pass->rows;
	Share	   *shares = pass->shares + (size_t) range * (size_t) pass->k;
	int64_t		end = pm_kmeans_range(rows->n, range + 1);
	int			d = rows->d;

	memset(shares, 0, (size_t) pass->k * sizeof(Share));
	for (int64_t i = pm_kmeans_range(rows->n, range); i < end; i++)
	{
		Share	   *share = &shares[pass->labels[i]];
		double		weight = pm_kmeans_weight(rows, i);
		double		square = pm_kmeans_distance(pm_kmeans_row(rows, i),
												pass->centroids + (size_t) pass->labels[i] * d, d);

		share->square += weight * square;
		share->root += weight * sqrt(square);
		share->weight += weight;
		share->count++;
	}
}

static void
measure_task(int64_t index, int lane, void *argument)
{
	(void) lane;
	measure_range(argument, index);
}

/* Measure clusters: squares, distances, weights and sizes. */
PmStatus
pm_kmeans_measure(PmContext *ctx, const PmKMeansRows *rows, int k,
				  const float *centroids, const int32_t *labels,
				  KMeansTotals *totals)
{
	MeasurePass pass = {rows, k, centroids, labels, NULL};
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "shares of the clusters",
					(size_t) KMEANS_RANGES * (size_t) k, sizeof(Share),
					&pass.shares));
	status = pm_kmeans_for_each(ctx, KMEANS_RANGES,
								(double) rows->n / KMEANS_RANGES * rows->d,
								measure_task, &pass);
	for (int c = 0; status == PM_OK && c < k; c++)
	{
		Share		sum = {0, 0, 0, 0};

		for (int range = 0; range < KMEANS_RANGES; range++)
		{
			const Share *share = &pass.shares[(size_t) range * k + c];

			sum.square += share->square;
			sum.root += share->root;
			sum.weight += share->weight;
			sum.count += share->count;
		}
		totals->squares[c] = sum.square;
		totals->roots[c] = sum.root;
		totals->weights[c] = sum.weight;
		totals->counts[c] = sum.count;
	}
	pm_release(ctx, pass.shares);
	return status;
}
