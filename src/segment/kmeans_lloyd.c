/*
 * kmeans_lloyd.c
 *		One run of Lloyd's iterations (Lloyd 1982), with the conventions of
 *		scikit-learn's KMeans(algorithm="lloyd").
 *
 * The rows stay on the device, which assigns them and sums them up; means,
 * shifts and empty clusters are dealt with here, in double precision.
 */
#include "kmeans_internal.h"

#include <math.h>
#include <stdlib.h>

/* A row and its squared distance to its own centroid. */
typedef struct FarRow
{
	double		distance;
	int64_t		row;
} FarRow;

/* The state of a run; arrays of k or k * d, besides `distances`. */
typedef struct Lloyd
{
	const PmKMeansRows *rows;
	const PmKMeansOptions *options;
	KMeansRun  *run;
	PmLloyd    *device_run;
	double	   *sums;
	double	   *weights;
	int64_t    *counts;
	double	   *mean;			/* d */

	/* for empty clusters, there when one was met */
	KMeansRowSet taken;
	FarRow	   *far;
	int			far_capacity;
	int			far_count;
	double	   *distances;		/* of some rows */
	int64_t		buffer_begin;
} Lloyd;

/* Give back all that a run holds, at any stage. */
static void
close_lloyd(PmContext *ctx, Lloyd *lloyd)
{
	if (lloyd->device_run != NULL)
		ctx->device->lloyd_close(ctx, lloyd->device_run);
	pm_release(ctx, lloyd->sums);
	pm_release(ctx, lloyd->weights);
	pm_release(ctx, lloyd->counts);
	pm_release(ctx, lloyd->mean);
	pm_release(ctx, lloyd->far);
	pm_release(ctx, lloyd->distances);
	pm_kmeans_set_close(ctx, &lloyd->taken);
}

/* Allocate the run's sums and hand the rows to the device. */
static PmStatus
open_lloyd(PmContext *ctx, Lloyd *lloyd)
{
	size_t		k = (size_t) lloyd->options->k;
	size_t		d = (size_t) lloyd->rows->d;
	PmLloydRows rows = {
		lloyd->rows->x, lloyd->rows->weights, lloyd->rows->n,
		lloyd->rows->d, lloyd->options->k
	};

	PM_TRY(pm_alloc(ctx, "sums of the clusters", k * d, sizeof(double),
					&lloyd->sums));
	PM_TRY(pm_alloc(ctx, "weights of the clusters", k, sizeof(double),
					&lloyd->weights));
	PM_TRY(pm_alloc(ctx, "sizes of the clusters", k, sizeof(int64_t),
					&lloyd->counts));
	PM_TRY(pm_alloc(ctx, "mean of a cluster", d, sizeof(double),
					&lloyd->mean));
	return ctx->device->lloyd_open(ctx, &rows, &lloyd->device_run);
}

/* Move every row to its nearest centroid, slab by slab, and sum up. */
static PmStatus
assign_rows(PmContext *ctx, Lloyd *lloyd, int64_t *changed)
{
	int64_t		n = lloyd->rows->n;
	int64_t		slab = pm_kmeans_slab_rows(lloyd->rows->d, lloyd->options->k);

	for (int64_t begin = 0; begin < n; begin += slab)
	{
		int64_t		end = begin < n - slab ? begin + slab : n;

		if (pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
		PM_TRY(ctx->device->lloyd_assign(ctx, lloyd->device_run,
										 lloyd->run->centroids, begin, end));
	}
	return ctx->device->lloyd_sums(ctx, lloyd->device_run, lloyd->sums,
								   lloyd->weights, lloyd->counts, changed);
}

/* How many clusters have no row? */
static int
count_empty(const Lloyd *lloyd)
{
	int			empty = 0;

	for (int c = 0; c < lloyd->options->k; c++)
		if (lloyd->counts[c] <= 0)
			empty++;
	return empty;
}

/* Is a farther than b?  Equal distances: the earlier row. */
static inline bool
is_farther(const FarRow *a, const FarRow *b)
{
	return a->distance > b->distance ||
		(a->distance == b->distance && a->row < b->row);
}

/* qsort: farthest first. */
static int
compare_far(const void *a, const void *b)
{
	return is_farther(a, b) ? -1 : is_farther(b, a);
}

/* Keep a row in the heap of the farthest, whose top is the least far. */
static void
keep_far(Lloyd *lloyd, FarRow candidate)
{
	FarRow	   *heap = lloyd->far;
	int			i;

	if (lloyd->far_count < lloyd->far_capacity)
	{
		for (i = lloyd->far_count++; i > 0; i = (i - 1) / 2)
		{
			if (!is_farther(&heap[(i - 1) / 2], &candidate))
				break;
			heap[i] = heap[(i - 1) / 2];
		}
		heap[i] = candidate;
		return;
	}
	if (!is_farther(&candidate, &heap[0]))
		return;
	for (i = 0; 2 * i + 1 < lloyd->far_count;)
	{
		int			child = 2 * i + 1;

		if (child + 1 < lloyd->far_count &&
			is_farther(&heap[child], &heap[child + 1]))
			child++;
		if (!is_farther(&candidate, &heap[child]))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = candidate;
}

/* Squared distances of a chunk's rows to their centroids; taken rows: 0. */
static void
measure_chunk(int64_t index, int lane, void *argument)
{
	Lloyd	   *lloyd = argument;
	int64_t		begin = lloyd->buffer_begin + index * KMEANS_CHUNK;
	int64_t		end = begin + KMEANS_CHUNK;
	int			d = lloyd->rows->d;

	(void) lane;
	if (end > lloyd->rows->n)
		end = lloyd->rows->n;
	for (int64_t i = begin; i < end; i++)
	{
		int32_t		label = lloyd->run->labels[i];

		lloyd->distances[i - lloyd->buffer_begin] = label < 0 ? 0 :
			pm_kmeans_distance(pm_kmeans_row(lloyd->rows, i),
							   lloyd->run->centroids + (size_t) label * d, d);
	}
}

/* Find the rows farthest from their own centroids. */
static PmStatus
find_far_rows(PmContext *ctx, Lloyd *lloyd)
{
	int64_t		n = lloyd->rows->n;
	int64_t		buffer = pm_kmeans_buffer_rows(n);

	lloyd->far_count = 0;
	for (int64_t begin = 0; begin < n; begin += buffer)
	{
		int64_t		rows = n - begin < buffer ? n - begin : buffer;

		lloyd->buffer_begin = begin;
		PM_TRY(pm_kmeans_for_each(ctx, pm_kmeans_chunks(rows),
								  (double) KMEANS_CHUNK * lloyd->rows->d,
								  measure_chunk, lloyd));
		for (int64_t i = 0; i < rows; i++)
			if (lloyd->distances[i] > 0)
				keep_far(lloyd, (FarRow) {lloyd->distances[i], begin + i});
	}
	qsort(lloyd->far, (size_t) lloyd->far_count, sizeof(FarRow), compare_far);
	return PM_OK;
}

/* Move one row out of its cluster's sums and make it a cluster of its own. */
static void
move_row(Lloyd *lloyd, int64_t i, int to)
{
	int			from = lloyd->run->labels[i];
	size_t		d = (size_t) lloyd->rows->d;
	const float *row = pm_kmeans_row(lloyd->rows, i);
	double		weight = pm_kmeans_weight(lloyd->rows, i);

	for (size_t j = 0; j < d; j++)
	{
		lloyd->sums[from * d + j] -= weight * row[j];
		lloyd->sums[to * d + j] = weight * row[j];
	}
	lloyd->weights[from] -= weight;
	lloyd->counts[from]--;
	lloyd->weights[to] = weight;
	lloyd->counts[to] = 1;
	lloyd->run->labels[i] = -1;
}

/* Give the far rows, farthest first, to the empty clusters in order. */
static int
give_far_rows(Lloyd *lloyd)
{
	int			given = 0;
	int			to = 0;

	for (int f = 0; f < lloyd->far_count; f++)
	{
		int64_t		i = lloyd->far[f].row;

		while (to < lloyd->options->k && lloyd->counts[to] > 0)
			to++;
		if (to == lloyd->options->k)
			break;
		/* a cluster's only row would leave it empty in turn */
		if (lloyd->counts[lloyd->run->labels[i]] <= 1)
			continue;
		/* and a second row of the same content would attract nothing */
		if (!pm_kmeans_set_add(&lloyd->taken, pm_kmeans_row(lloyd->rows, i)))
			continue;
		move_row(lloyd, i, to);
		given++;
	}
	return given;
}

/* What filling empty clusters needs. */
static PmStatus
open_refill(PmContext *ctx, Lloyd *lloyd)
{
	int64_t		n = lloyd->rows->n;
	int			k = lloyd->options->k;

	if (lloyd->far == NULL)
	{
		int64_t		capacity = 2 * (int64_t) k + 64;

		if (capacity > n)
			capacity = n;
		lloyd->far_capacity = (int) (capacity < INT32_MAX ? capacity : INT32_MAX);
		PM_TRY(pm_alloc(ctx, "farthest rows", (size_t) lloyd->far_capacity,
						sizeof(FarRow), &lloyd->far));
		PM_TRY(pm_alloc(ctx, "distances of some rows",
						(size_t) pm_kmeans_buffer_rows(n), sizeof(double),
						&lloyd->distances));
	}
	pm_kmeans_set_close(ctx, &lloyd->taken);
	return pm_kmeans_set_open(ctx, k, lloyd->rows->d, &lloyd->taken);
}

/*
 * Empty clusters take the rows farthest from their own centroids, as in
 * scikit-learn's _relocate_empty_clusters: a row leaves the sums of its
 * cluster and becomes the mean of the empty one.  Unlike there, it is never
 * a cluster's only row nor one equal to a row taken before; several passes
 * may be needed where many are equal.  Labels are scratch afterwards.
 */
static PmStatus
refill_empty(PmContext *ctx, Lloyd *lloyd)
{
	int			given;

	PM_TRY(open_refill(ctx, lloyd));
	PM_TRY(ctx->device->lloyd_labels(ctx, lloyd->device_run,
									 lloyd->run->labels));
	do
	{
		PM_TRY(find_far_rows(ctx, lloyd));
		given = give_far_rows(lloyd);
		lloyd->run->refilled += given;
	} while (given > 0 && count_empty(lloyd) > 0);
	return PM_OK;
}

/* Scale a centroid to length 1; false, and unchanged, where it has none. */
bool
pm_kmeans_unit(double *vector, int d)
{
	double		square = 0;
	double		length;

	for (int j = 0; j < d; j++)
		square += vector[j] * vector[j];
	length = sqrt(square);
	if (!(length > 0))
		return false;
	for (int j = 0; j < d; j++)
		vector[j] /= length;
	return true;
}

/*
 * Move the centroids to the means of their rows and give the sum of the
 * squared shifts.  For the cosine metric a mean is brought back to length 1
 * (spherical k-means, Dhillon and Modha 2001).  A cluster without rows or
 * without a direction keeps its centroid.
 */
static double
update_centroids(Lloyd *lloyd)
{
	int			d = lloyd->rows->d;
	bool		cosine = lloyd->options->metric == PM_METRIC_COSINE;
	double		shift = 0;

	for (int c = 0; c < lloyd->options->k; c++)
	{
		float	   *centroid = lloyd->run->centroids + (size_t) c * d;
		const double *sum = lloyd->sums + (size_t) c * d;

		if (lloyd->counts[c] <= 0 || !(lloyd->weights[c] > 0))
			continue;
		for (int j = 0; j < d; j++)
			lloyd->mean[j] = sum[j] / lloyd->weights[c];
		if (cosine && !pm_kmeans_unit(lloyd->mean, d))
			continue;
		for (int j = 0; j < d; j++)
		{
			float		moved = (float) lloyd->mean[j];
			double		difference = (double) moved - centroid[j];

			shift += difference * difference;
			centroid[j] = moved;
		}
	}
	return shift;
}

/*
 * Iterate until the labels stay (strict convergence), the centroids hardly
 * move, or max_iter means have been taken.  The labels always belong to the
 * centroids: after the last update there is one more assignment, and if that
 * leaves a cluster empty the iterations go on while there are any.
 */
static PmStatus
iterate(PmContext *ctx, Lloyd *lloyd, double threshold)
{
	KMeansRun  *run = lloyd->run;
	int			max_iter = lloyd->options->max_iter;
	bool		settled = false;

	for (;;)
	{
		int64_t		changed;
		int			empty;

		PM_TRY(assign_rows(ctx, lloyd, &changed));
		empty = count_empty(lloyd);
		if (run->iterations > 0 && empty == 0 && (settled || changed == 0))
		{
			/* scikit-learn counts the pass that changed no label */
			if (!settled && run->iterations < max_iter)
				run->iterations++;
			run->converged = true;
			break;
		}
		if (run->iterations == max_iter)
			break;
		if (empty > 0)
			PM_TRY(refill_empty(ctx, lloyd));
		settled = update_centroids(lloyd) <= threshold;
		run->iterations++;
		pm_progress(ctx, "k-means", (double) run->iterations / max_iter);
	}
	return ctx->device->lloyd_labels(ctx, lloyd->device_run, run->labels);
}

/* Run from run->centroids to a local optimum. */
PmStatus
pm_kmeans_lloyd(PmContext *ctx, const PmKMeansRows *rows,
				const PmKMeansOptions *options, double threshold,
				KMeansRun *run)
{
	Lloyd		lloyd;
	PmStatus	status;

	memset(&lloyd, 0, sizeof(lloyd));
	lloyd.rows = rows;
	lloyd.options = options;
	lloyd.run = run;
	run->iterations = 0;
	run->converged = false;
	run->refilled = 0;
	status = open_lloyd(ctx, &lloyd);
	if (status == PM_OK)
		status = iterate(ctx, &lloyd, threshold);
	close_lloyd(ctx, &lloyd);
	return status;
}
