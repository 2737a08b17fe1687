/*
 * nearest.c
 *		The search for the nearest centroid: filter, then decide.
 */
#include "decide.h"

#include <limits.h>
#include <math.h>

/* Working memory that a lane's scores and rows should fit into: the L2. */
#define SCRATCH_BYTES (256 * 1024)

/* Most rows of a chunk of work. */
#define MOST_ROWS (8 * PM_CPU_PANEL)

/* One lane's working memory; on failure, what there is can be closed. */
static PmStatus
open_lane(PmContext *ctx, const PmCpuCentroids *set, int capacity,
		  PmCpuScratch *scratch)
{
	size_t		rows = (size_t) capacity;
	size_t		scores = rows * (size_t) set->room_blocks;
	int			padded = (set->words + PM_CPU_WORD_PAD - 1) / PM_CPU_WORD_PAD * PM_CPU_WORD_PAD;
	float	   *by_row;
	int32_t    *numbers;

	scratch->capacity = capacity;
	scratch->rows.stride = padded;
	PM_TRY(pm_alloc(ctx, "encoded rows", rows * (size_t) padded,
					sizeof(uint32_t), &scratch->rows.words));
	PM_TRY(pm_alloc(ctx, "panel of rows", PM_CPU_PANEL * (size_t) padded,
					sizeof(uint32_t), &scratch->panel));
	PM_TRY(pm_alloc(ctx, "scores", 3 * scores, sizeof(float),
					&scratch->scores.best));
	scratch->scores.second = scratch->scores.best + scores;
	scratch->scores.third = scratch->scores.best + 2 * scores;
	PM_TRY(pm_alloc(ctx, "bounds of rows", 4 * rows, sizeof(float), &by_row));
	scratch->bound = by_row;
	scratch->rows.square = by_row + rows;
	scratch->rows.norm = by_row + 2 * rows;
	scratch->rows.error = by_row + 3 * rows;
	PM_TRY(pm_alloc(ctx, "candidates of rows", 3 * rows, sizeof(int32_t),
					&numbers));
	scratch->all = numbers;
	scratch->hits = numbers + rows;
	scratch->where = numbers + 2 * rows;
	for (int i = 0; i < capacity; i++)
		scratch->all[i] = i;
	return PM_OK;
}

/* Working memory for so many lanes. */
PmStatus
pm_cpu_scratch_open(PmContext *ctx, const PmCpuCentroids *set, int lanes,
					PmCpuScratch **scratch)
{
	size_t		row_bytes = 12 * (size_t) set->room_blocks + 4 * (size_t) set->words;
	int			capacity = MOST_ROWS;

	while (capacity > PM_CPU_PANEL && (size_t) capacity * row_bytes > SCRATCH_BYTES)
		capacity -= PM_CPU_PANEL;
	PM_TRY(pm_alloc_zero(ctx, "working memory", (size_t) lanes,
						 sizeof(PmCpuScratch), scratch));
	for (int i = 0; i < lanes; i++)
		PM_TRY(open_lane(ctx, set, capacity, &(*scratch)[i]));
	return PM_OK;
}

/* Give it back; NULL is allowed. */
void
pm_cpu_scratch_close(PmContext *ctx, PmCpuScratch *scratch, int lanes)
{
	if (scratch == NULL)
		return;
	for (int i = 0; i < lanes; i++)
	{
		pm_release(ctx, scratch[i].rows.words);
		pm_release(ctx, scratch[i].panel);
		pm_release(ctx, scratch[i].scores.best);
		pm_release(ctx, scratch[i].bound);
		pm_release(ctx, scratch[i].all);
	}
	pm_release(ctx, scratch);
}

/*
 * Decide one row in double precision among the centroids whose score may
 * reach `bound`; among all of them when the row's scores may have overflown.
 */
static Winner
decide(const PmCpuCentroids *set, const PmCpuScratch *scratch, const float *x,
	   int slot, float bound)
{
	Winner		winner = {INT32_MAX, INFINITY, INFINITY};
	bool		sound = scratch->rows.norm[slot] <= set->norm_limit;

	for (int b = 0; b < set->blocks; b++)
	{
		size_t		i = (size_t) b * scratch->capacity + slot;
		float		best = scratch->scores.best[i];
		float		second = scratch->scores.second[i];
		float		slack = score_error(set, scratch, slot, b);

		if (!sound || scratch->scores.third[i] + slack >= bound)
		{
			compete_block(set, x, b, &winner);
			continue;
		}
		if (best + slack >= bound)
			compete(set, x, tagged_centroid(set, b, best), &winner);
		if (second + slack >= bound)
			compete(set, x, tagged_centroid(set, b, second), &winner);
	}
	/* every distance overflowed: possible with values that are not finite */
	if (winner.label == INT32_MAX)
		winner.label = 0;
	return winner;
}

/* Compute the best scores in every block of the first `count` rows. */
static void
filter(const PmCpuCentroids *set, PmCpuScratch *scratch, const float *x,
	   int count)
{
	const PmCpuKernels *kernels = set->kernels;

	kernels->encode(x, set->d, set->shift, NULL, count, &scratch->rows);
	for (int i = 0; i < count; i += kernels->panel)
	{
		int			rows = count - i < kernels->panel ? count - i : kernels->panel;

		kernels->pack(&scratch->rows, scratch->all + i, rows, set->words,
					  scratch->panel);
		for (int b = 0; b < set->blocks; b++)
		{
			size_t		offset = (size_t) b * scratch->capacity + i;
			PmCpuScores scores = {
				scratch->scores.best + offset, scratch->scores.second + offset,
				scratch->scores.third + offset
			};

			kernels->score(scratch->panel, set->words, rows,
						   set->tiles + (size_t) set->start[b] * set->words,
						   set->bias + set->start[b],
						   (set->start[b + 1] - set->start[b]) / PM_CPU_TILE,
						   &scores);
		}
	}
}

/* The nearest centroids of count <= scratch->capacity rows. */
void
pm_cpu_search(const PmCpuCentroids *set, PmCpuScratch *scratch,
			  const float *x, int count, int32_t *labels)
{
	filter(set, scratch, x, count);
	set->kernels->narrow(set, scratch, count);
	for (int i = 0; i < count; i++)
	{
		int			b = scratch->where[i];

		if (scratch->hits[i] == 1)
			labels[i] = tagged_centroid(set, b, scratch->scores.best[(size_t) b * scratch->capacity + i]);
		else
			labels[i] = decide(set, scratch, x + (size_t) i * set->d, i,
							   scratch->bound[i]).label;
	}
}

/* A bound that the second best score of a row is not below. */
static float
second_bound(const PmCpuCentroids *set, const PmCpuScratch *scratch, int slot)
{
	float		high = -3e38f;
	float		low = -3e38f;

	for (int b = 0; b < set->blocks; b++)
	{
		float		slack = score_error(set, scratch, slot, b);
		float		scores[2] = {
			scratch->scores.best[(size_t) b * scratch->capacity + slot] - slack,
			scratch->scores.second[(size_t) b * scratch->capacity + slot] - slack
		};

		for (int i = 0; i < 2; i++)
		{
			if (scores[i] > high)
			{
				low = high;
				high = scores[i];
			}
			else if (scores[i] > low)
				low = scores[i];
		}
	}
	return low;
}

/* One call of nearest_centroid, for its chunks. */
typedef struct Search
{
	PmCpuCentroids set;
	PmCpuScratch *scratch;
	int64_t		n;
	const float *x;
	int32_t    *labels;
	float	   *distance;
	float	   *second;
} Search;

/* Labels, and distances where asked for, of one chunk of rows. */
static void
search_chunk(int64_t index, int lane, void *argument)
{
	Search	   *search = argument;
	PmCpuScratch *scratch = &search->scratch[lane];
	int64_t		begin = index * scratch->capacity;
	int			count = search->n - begin < scratch->capacity ?
		(int) (search->n - begin) : scratch->capacity;
	const float *x = search->x + (size_t) begin * search->set.d;

	if (search->distance == NULL && search->second == NULL)
	{
		pm_cpu_search(&search->set, scratch, x, count, search->labels + begin);
		return;
	}
	filter(&search->set, scratch, x, count);
	search->set.kernels->narrow(&search->set, scratch, count);
	for (int i = 0; i < count; i++)
	{
		Winner		winner = decide(&search->set, scratch,
									x + (size_t) i * search->set.d, i,
									search->second == NULL ? scratch->bound[i] :
									second_bound(&search->set, scratch, i));

		if (search->labels != NULL)
			search->labels[begin + i] = winner.label;
		if (search->distance != NULL)
			search->distance[begin + i] = (float) winner.distance;
		if (search->second != NULL)
			search->second[begin + i] = (float) winner.second;
	}
}

/* For each of n rows its nearest of k centroids; see pm_device.h. */
PmStatus
pm_cpu_nearest_centroid(PmContext *ctx, int64_t n, int d, int k,
						const float *x, const float *centroids,
						int32_t *labels, float *distance, float *second)
{
	Search		search;
	PmStatus	status;

	if (n < 0 || d < 1 || k < 1)
		return pm_fail(ctx, PM_INVALID,
					   "nearest centroid: %lld rows of %d columns, %d centroids",
					   (long long) n, d, k);
	if (labels == NULL && distance == NULL && second == NULL)
		return PM_OK;
	memset(&search, 0, sizeof(search));
	search.n = n;
	search.x = x;
	search.labels = labels;
	search.distance = distance;
	search.second = second;
	status = pm_cpu_centroids_open(ctx, k, d, 0, &search.set);
	if (status == PM_OK)
		status = pm_cpu_scratch_open(ctx, &search.set, ctx->threads,
									 &search.scratch);
	if (status == PM_OK)
	{
		int			capacity = search.scratch[0].capacity;

		pm_cpu_centroids_load(&search.set, centroids);
		pm_cpu_parallel_for(ctx, (n + capacity - 1) / capacity, search_chunk,
							&search);
	}
	pm_cpu_scratch_close(ctx, search.scratch, ctx->threads);
	pm_cpu_centroids_close(ctx, &search.set);
	return status;
}
