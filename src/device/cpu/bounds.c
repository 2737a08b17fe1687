/*
 * bounds.c
 *		The search that skips what the triangle inequality excludes.
 *
 * A row keeps an upper bound on the distance to its own centroid and, for
 * each group of centroids, a lower bound on the distance to the group's
 * others.  When centroids have moved, the bounds loosen by the way of the
 * centroid and by the longest way in the group.  A group whose lower bound
 * still is above the upper one cannot hold a nearer centroid.  With one group
 * this is the algorithm of G. Hamerly, "Making k-means even faster" (SDM
 * 2010); with several, that of Y. Ding et al., "Yinyang K-Means" (ICML 2015).
 *
 * So that what is left still runs on the dense kernels, the rows of a chunk
 * that a group is open for are packed into panels, group by group.
 */
#include "decide.h"

#include <math.h>

/* Groups fit into the bits of a mask; each has some centroids at least. */
#define MOST_GROUPS 32
#define CENTROIDS_PER_GROUP 24

/* Bounds and labels may take this fraction of the rows' bytes. */
#define BOUND_SHARE 0.2

/* Of the squared norm of a row, at most its rounding: see encode_row(). */
#define SQUARE_SLACK(d) ((double) ((d) + 16) * 0x1p-22)

/* Working memory of one lane. */
typedef struct Lane
{
	float	   *upper;			/* capacity */
	double	   *own;			/* capacity: squared distance to the centroid */
	int32_t    *open;			/* capacity: see prune() */
	uint32_t   *needs;			/* capacity: groups, as bits */
	int32_t    *active;			/* capacity: rows that need any */
	int32_t    *list;			/* capacity: rows that need a group */
	PmCpuScores scores;			/* of a panel */
} Lane;

struct PmCpuBounds
{
	PmLloydRows rows;
	PmCpuPrune	prune;
	bool		fresh;			/* no bounds yet: everything is open */
	float	   *previous;		/* k * d: where the centroids were */
	double	   *travel;			/* k, as in prune */
	double	   *group_travel;	/* groups */
	int			lanes;
	Lane	   *lane;
};

/* How many groups the memory allows and the centroids are worth; 0 = none. */
int
pm_cpu_bounds_groups(int64_t n, int d, int k)
{
	double		room = (BOUND_SHARE * 4 * d - 2 * sizeof(float)) / sizeof(float);
	int			wanted = (k + CENTROIDS_PER_GROUP - 1) / CENTROIDS_PER_GROUP;

	if (k < 2 || n < 1 || room < 1)
		return 0;
	wanted = wanted < MOST_GROUPS ? wanted : MOST_GROUPS;
	return room < wanted ? (int) room : wanted;
}

/* Working memory of a lane. */
static PmStatus
open_lane(PmContext *ctx, size_t capacity, Lane *lane)
{
	PM_TRY(pm_alloc(ctx, "upper bounds of a chunk", capacity, sizeof(float),
					&lane->upper));
	PM_TRY(pm_alloc(ctx, "distances of a chunk", capacity, sizeof(double),
					&lane->own));
	PM_TRY(pm_alloc(ctx, "rows of a chunk", 4 * capacity, sizeof(int32_t),
					&lane->open));
	lane->needs = (uint32_t *) lane->open + capacity;
	lane->active = lane->open + 2 * capacity;
	lane->list = lane->open + 3 * capacity;
	PM_TRY(pm_alloc(ctx, "scores of a panel", 3 * PM_CPU_PANEL, sizeof(float),
					&lane->scores.best));
	lane->scores.second = lane->scores.best + PM_CPU_PANEL;
	lane->scores.third = lane->scores.best + 2 * PM_CPU_PANEL;
	return PM_OK;
}

/* Bounds of the rows of a run, whose labels the caller keeps. */
PmStatus
pm_cpu_bounds_open(PmContext *ctx, const PmLloydRows *rows,
				   const int32_t *labels, int groups, int lanes, int capacity,
				   PmCpuBounds **out)
{
	PmCpuBounds *bounds;
	size_t		k = (size_t) rows->k;

	PM_TRY(pm_alloc_zero(ctx, "bounds", 1, sizeof(PmCpuBounds), out));
	bounds = *out;
	bounds->rows = *rows;
	bounds->prune.n = rows->n;
	bounds->prune.groups = groups;
	bounds->prune.labels = labels;
	PM_TRY(pm_alloc(ctx, "upper bounds", (size_t) rows->n, sizeof(float),
					&bounds->prune.upper));
	PM_TRY(pm_alloc(ctx, "lower bounds", (size_t) rows->n,
					(size_t) groups * sizeof(float), &bounds->prune.lower));
	PM_TRY(pm_alloc(ctx, "ways of centroids", k, sizeof(float),
					&bounds->prune.travel));
	PM_TRY(pm_alloc(ctx, "ways of groups", (size_t) groups, sizeof(float),
					&bounds->prune.group_travel));
	PM_TRY(pm_alloc(ctx, "previous centroids", k * (size_t) rows->d,
					sizeof(float), &bounds->previous));
	PM_TRY(pm_alloc(ctx, "ways of centroids", k, sizeof(double),
					&bounds->travel));
	PM_TRY(pm_alloc(ctx, "ways of groups", (size_t) groups, sizeof(double),
					&bounds->group_travel));
	PM_TRY(pm_alloc_zero(ctx, "lanes of bounds", (size_t) lanes, sizeof(Lane),
						 &bounds->lane));
	bounds->lanes = lanes;
	for (int t = 0; t < lanes; t++)
		PM_TRY(open_lane(ctx, (size_t) capacity, &bounds->lane[t]));
	return PM_OK;
}

/* Give the memory back; NULL is allowed, and bounds half opened. */
void
pm_cpu_bounds_close(PmContext *ctx, PmCpuBounds *bounds)
{
	if (bounds == NULL)
		return;
	for (int t = 0; t < bounds->lanes; t++)
	{
		pm_release(ctx, bounds->lane[t].upper);
		pm_release(ctx, bounds->lane[t].own);
		pm_release(ctx, bounds->lane[t].open);
		pm_release(ctx, bounds->lane[t].scores.best);
	}
	pm_release(ctx, bounds->lane);
	pm_release(ctx, bounds->prune.upper);
	pm_release(ctx, bounds->prune.lower);
	pm_release(ctx, bounds->prune.travel);
	pm_release(ctx, bounds->prune.group_travel);
	pm_release(ctx, bounds->previous);
	pm_release(ctx, bounds->travel);
	pm_release(ctx, bounds->group_travel);
	pm_release(ctx, bounds);
}

/* The pass at hand, in which nothing is skipped, gives the first bounds. */
void
pm_cpu_bounds_start(PmCpuBounds *bounds, const PmCpuCentroids *set)
{
	size_t		k = (size_t) bounds->rows.k;

	memset(bounds->travel, 0, k * sizeof(double));
	memset(bounds->prune.travel, 0, k * sizeof(float));
	memset(bounds->group_travel, 0, (size_t) bounds->prune.groups * sizeof(double));
	memset(bounds->prune.group_travel, 0, (size_t) bounds->prune.groups * sizeof(float));
	memcpy(bounds->previous, set->source, k * (size_t) bounds->rows.d * sizeof(float));
	bounds->fresh = true;
}

/* The centroids have moved since the last pass: measure their ways. */
void
pm_cpu_bounds_follow(PmCpuBounds *bounds, const PmCpuCentroids *set)
{
	int			d = bounds->rows.d;

	bounds->fresh = false;
	for (int g = 0; g < bounds->prune.groups; g++)
	{
		double		longest = 0;

		for (int place = set->start[set->group_start[g]];
			 place < set->start[set->group_start[g + 1]]; place++)
		{
			int32_t		c = set->order[place];
			double		step;

			if (c < 0)
				continue;
			step = sqrt(set->kernels->distance(set->source + (size_t) c * d,
											   bounds->previous + (size_t) c * d, d));
			bounds->travel[c] += step;
			bounds->prune.travel[c] = (float) bounds->travel[c];
			longest = step <= longest ? longest : step;
		}
		bounds->group_travel[g] += longest;
		bounds->prune.group_travel[g] = (float) bounds->group_travel[g];
	}
	memcpy(bounds->previous, set->source,
		   (size_t) bounds->rows.k * (size_t) d * sizeof(float));
}

/* Store an upper bound, rounded up, for a row of a label. */
static inline void
store_upper(PmCpuBounds *bounds, int64_t row, int32_t label, double square)
{
	bounds->prune.upper[row] = (float) (sqrt(square) * (1 + 0x1p-22)) -
		bounds->prune.travel[label];
}

/* A lower bound as it is now. */
static inline float
current_lower(const PmCpuBounds *bounds, int64_t row, int group)
{
	float		stored = bounds->prune.lower[(size_t) group * bounds->prune.n + row];
	float		travel = bounds->prune.group_travel[group];

	return stored - travel - (fabsf(stored) + travel) * PM_CPU_BOUND_SLACK;
}

/* Store a lower bound. */
static inline void
store_lower(PmCpuBounds *bounds, int64_t row, int group, float lower)
{
	bounds->prune.lower[(size_t) group * bounds->prune.n + row] =
		lower + bounds->prune.group_travel[group];
}

/*
 * Find the rows of a chunk that have open groups, and which: first by the
 * bounds as they are, then with the distance to the own centroid measured.
 */
static int
find_active(PmCpuBounds *bounds, const PmCpuCentroids *set, Lane *lane,
			int64_t begin, int count)
{
	int			groups = bounds->prune.groups;
	int			active = 0;

	if (!bounds->fresh)
		set->kernels->prune(&bounds->prune, begin, count, lane->upper,
							lane->open);
	for (int i = 0; i < count; i++)
	{
		int64_t		row = begin + i;
		int32_t		label = bounds->prune.labels[row];
		uint32_t	needs = 0;
		float		upper;

		if (!bounds->fresh && lane->open[i] == 0)
			continue;
		lane->own[i] = set->kernels->distance(bounds->rows.x + (size_t) row * set->d,
											  set->source + (size_t) label * set->d,
											  set->d);
		upper = (float) (sqrt(lane->own[i]) * (1 + 0x1p-22));
		for (int g = 0; g < groups; g++)
			if (bounds->fresh || !(current_lower(bounds, row, g) > upper))
				needs |= UINT32_C(1) << g;
		if (needs == 0)
		{
			store_upper(bounds, row, label, lane->own[i]);
			continue;
		}
		lane->needs[i] = needs;
		lane->active[active++] = i;
	}
	return active;
}

/*
 * Compute the scores of the active rows in the groups that are open for
 * them; gives the number of scores.
 */
static int64_t
score_open(const PmCpuCentroids *set, PmCpuScratch *scratch, Lane *lane,
		   int active)
{
	const PmCpuKernels *kernels = set->kernels;
	int64_t		scored = 0;

	for (int g = 0; g < set->groups; g++)
	{
		int			listed = 0;

		for (int a = 0; a < active; a++)
		{
			lane->list[listed] = lane->active[a];
			listed += lane->needs[lane->active[a]] >> g & 1;
		}
		for (int first = 0; first < listed; first += kernels->panel)
		{
			const int32_t *list = lane->list + first;
			int			rows = listed - first < kernels->panel ? listed - first : kernels->panel;

			kernels->pack(&scratch->rows, list, rows, set->words, scratch->panel);
			for (int b = set->group_start[g]; b < set->group_start[g + 1]; b++)
			{
				size_t		offset = (size_t) b * scratch->capacity;

				kernels->score(scratch->panel, set->words, rows,
							   set->tiles + (size_t) set->start[b] * set->words,
							   set->bias + set->start[b],
							   (set->start[b + 1] - set->start[b]) / PM_CPU_TILE,
							   &lane->scores);
				for (int i = 0; i < rows; i++)
				{
					scratch->scores.best[offset + list[i]] = lane->scores.best[i];
					scratch->scores.second[offset + list[i]] = lane->scores.second[i];
					scratch->scores.third[offset + list[i]] = lane->scores.third[i];
				}
			}
		}
		scored += (int64_t) listed *
			(set->start[set->group_start[g + 1]] - set->start[set->group_start[g]]);
	}
	return scored;
}

/*
 * What the squared distance of a row to a centroid of this score is not
 * below.
 */
static inline double
lowest_square(const PmCpuScratch *scratch, int slot, int d, float score,
			  float error)
{
	double		square = scratch->rows.square[slot];

	return square * (1 - SQUARE_SLACK(d)) - 2 * ((double) score + error);
}

/* Let the centroids of an open block compete that may be near enough. */
static void
compete_open(const PmCpuCentroids *set, const PmCpuScratch *scratch,
			 const float *x, int slot, int block, Winner *winner)
{
	size_t		i = (size_t) block * scratch->capacity + slot;
	float		error = score_error(set, scratch, slot, block);
	float		best = scratch->scores.best[i];
	float		second = scratch->scores.second[i];

	if (lowest_square(scratch, slot, set->d, best, error) > winner->distance)
		return;
	compete(set, x, tagged_centroid(set, block, best), winner);
	if (lowest_square(scratch, slot, set->d, second, error) > winner->distance)
		return;
	compete(set, x, tagged_centroid(set, block, second), winner);
	if (lowest_square(scratch, slot, set->d, scratch->scores.third[i], error) <=
		winner->distance)
		compete_block(set, x, block, winner);
}

/* The lower bound of a group for a row that belongs to `label` now. */
static float
group_lower(const PmCpuCentroids *set, const PmCpuScratch *scratch, int slot,
			int group, int32_t label)
{
	double		lowest = INFINITY;

	for (int b = set->group_start[group]; b < set->group_start[group + 1]; b++)
	{
		size_t		i = (size_t) b * scratch->capacity + slot;
		float		score = scratch->scores.best[i];
		double		square;

		if (tagged_centroid(set, b, score) == label)
			score = scratch->scores.second[i];
		square = lowest_square(scratch, slot, set->d, score,
							   score_error(set, scratch, slot, b));
		lowest = square < lowest ? square : lowest;
	}
	return lowest > 0 ? (float) (sqrt(lowest) * (1 - 0x1p-22)) : 0;
}

/* Decide an active row and renew its bounds. */
static int32_t
decide_active(PmCpuBounds *bounds, const PmCpuCentroids *set,
			  const PmCpuScratch *scratch, const Lane *lane, int64_t row,
			  int slot)
{
	const float *x = bounds->rows.x + (size_t) row * set->d;
	int32_t		label = bounds->prune.labels[row];
	uint32_t	needs = lane->needs[slot];
	int			old_group = set->group_of[label];
	Winner		winner = {label, lane->own[slot], INFINITY};

	/* scores that may have overflown say nothing, now and in the next pass */
	if (!(scratch->rows.norm[slot] <= set->norm_limit))
	{
		for (int b = 0; b < set->blocks; b++)
			compete_block(set, x, b, &winner);
		bounds->prune.upper[row] = INFINITY;
		for (int g = 0; g < set->groups; g++)
			store_lower(bounds, row, g, -INFINITY);
		return winner.label;
	}
	for (int g = 0; g < set->groups; g++)
		if (needs >> g & 1)
			for (int b = set->group_start[g]; b < set->group_start[g + 1]; b++)
				compete_open(set, scratch, x, slot, b, &winner);
	for (int g = 0; g < set->groups; g++)
		if (needs >> g & 1)
			store_lower(bounds, row, g, group_lower(set, scratch, slot, g, winner.label));
	/* the centroid it leaves is one of the others of its group now */
	if (winner.label != label && (needs >> old_group & 1) == 0)
		store_lower(bounds, row, old_group,
					fminf(current_lower(bounds, row, old_group),
						  (float) (sqrt(lane->own[slot]) * (1 - 0x1p-22))));
	store_upper(bounds, row, winner.label, winner.distance);
	return winner.label;
}

/*
 * The nearest centroids of rows [begin, begin + count); gives the number of
 * scores that were computed.  The labels of the last pass are not changed.
 */
int64_t
pm_cpu_bounds_search(PmCpuBounds *bounds, const PmCpuCentroids *set,
					 PmCpuScratch *scratch, int lane_number, int64_t begin,
					 int count, int32_t *labels)
{
	Lane	   *lane = &bounds->lane[lane_number];
	int			active = find_active(bounds, set, lane, begin, count);
	int64_t		scored;

	memcpy(labels, bounds->prune.labels + begin, (size_t) count * sizeof(int32_t));
	if (active == 0)
		return 0;
	set->kernels->encode(bounds->rows.x + (size_t) begin * set->d, set->d,
						 set->shift, lane->active, active, &scratch->rows);
	scored = score_open(set, scratch, lane, active);
	for (int a = 0; a < active; a++)
	{
		int			slot = lane->active[a];

		labels[slot] = decide_active(bounds, set, scratch, lane, begin + slot, slot);
	}
	return scored;
}
