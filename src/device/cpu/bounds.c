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
#define CENTROIDS_PER_GROUP 32

/* Bounds and labels may take this fraction of the rows' bytes. */
#define BOUND_SHARE 0.2

/* Rows that are fetched before they are needed. */
#define AHEAD 6

/* Working memory of one lane; arrays of a chunk's rows, or of a panel's. */
typedef struct Lane
{
	float	   *upper;
	double	   *distance;		/* squared, to the winner so far */
	int32_t    *winner;
	PmCpuOwn	own;
	uint32_t   *open;			/* groups, as bits */
	int32_t    *active;			/* rows with open groups */
	int32_t    *list;			/* rows that a group is open for */
	PmCpuScores scores;			/* panel: in the blocks of a group */
	float	   *lower;			/* panel */
	int32_t    *contested;		/* panel */
} Lane;

struct PmCpuPruner
{
	PmLloydRows rows;
	const PmCpuCentroids *set;	/* the run's */
	PmCpuBounds bounds;
	bool		fresh;			/* no bounds yet: everything is open */
	float	   *previous;		/* k * d: where the centroids were */
	double	   *travel;			/* k, as in bounds */
	double	   *group_travel;	/* groups */
	int			lanes;
	Lane	   *lane;
};

/* How many groups the memory allows and the centroids are worth; 0 = none. */
int
pm_cpu_pruner_groups(int64_t n, int d, int k)
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
open_lane(PmContext *ctx, size_t capacity, size_t blocks, Lane *lane)
{
	float	   *panels;

	PM_TRY(pm_alloc(ctx, "distances of a chunk", capacity, sizeof(double),
					&lane->distance));
	PM_TRY(pm_alloc(ctx, "bounds of a chunk", 2 * capacity, sizeof(float),
					&lane->upper));
	lane->own.square = lane->upper + capacity;
	PM_TRY(pm_alloc(ctx, "rows of a chunk", 5 * capacity, sizeof(int32_t),
					&lane->winner));
	lane->own.place = lane->winner + capacity;
	lane->active = lane->winner + 2 * capacity;
	lane->list = lane->winner + 3 * capacity;
	lane->open = (uint32_t *) lane->winner + 4 * capacity;
	PM_TRY(pm_alloc(ctx, "scores of a panel", 3 * blocks + 2,
					PM_CPU_PANEL * sizeof(float), &panels));
	lane->scores.best = panels;
	lane->scores.second = panels + blocks * PM_CPU_PANEL;
	lane->scores.third = panels + 2 * blocks * PM_CPU_PANEL;
	lane->lower = panels + 3 * blocks * PM_CPU_PANEL;
	lane->contested = (int32_t *) lane->lower + PM_CPU_PANEL;
	return PM_OK;
}

/*
 * Bounds of the rows of a run, whose labels and centroids the caller keeps;
 * the centroids have room for the groups.
 */
PmStatus
pm_cpu_pruner_open(PmContext *ctx, const PmLloydRows *rows,
				   const PmCpuCentroids *set, const int32_t *labels,
				   int groups, int lanes, int capacity, PmCpuPruner **out)
{
	PmCpuPruner *pruner;
	size_t		k = (size_t) rows->k;

	PM_TRY(pm_alloc_zero(ctx, "bounds", 1, sizeof(PmCpuPruner), out));
	pruner = *out;
	pruner->rows = *rows;
	pruner->set = set;
	pruner->bounds.n = rows->n;
	pruner->bounds.groups = groups;
	pruner->bounds.labels = labels;
	PM_TRY(pm_alloc(ctx, "upper bounds", (size_t) rows->n, sizeof(float),
					&pruner->bounds.upper));
	PM_TRY(pm_alloc(ctx, "lower bounds", (size_t) rows->n,
					(size_t) groups * sizeof(float), &pruner->bounds.lower));
	PM_TRY(pm_alloc(ctx, "ways of centroids", k, sizeof(float),
					&pruner->bounds.travel));
	PM_TRY(pm_alloc(ctx, "ways of groups", (size_t) groups, sizeof(float),
					&pruner->bounds.group_travel));
	PM_TRY(pm_alloc(ctx, "previous centroids", k * (size_t) rows->d,
					sizeof(float), &pruner->previous));
	PM_TRY(pm_alloc(ctx, "ways of centroids", k, sizeof(double),
					&pruner->travel));
	PM_TRY(pm_alloc(ctx, "ways of groups", (size_t) groups, sizeof(double),
					&pruner->group_travel));
	PM_TRY(pm_alloc_zero(ctx, "lanes of bounds", (size_t) lanes, sizeof(Lane),
						 &pruner->lane));
	pruner->lanes = lanes;
	for (int t = 0; t < lanes; t++)
		PM_TRY(open_lane(ctx, (size_t) capacity, (size_t) set->room_blocks,
						 &pruner->lane[t]));
	return PM_OK;
}

/* Give the memory back; NULL is allowed, and bounds half opened. */
void
pm_cpu_pruner_close(PmContext *ctx, PmCpuPruner *pruner)
{
	if (pruner == NULL)
		return;
	for (int t = 0; t < pruner->lanes; t++)
	{
		pm_release(ctx, pruner->lane[t].distance);
		pm_release(ctx, pruner->lane[t].upper);
		pm_release(ctx, pruner->lane[t].winner);
		pm_release(ctx, pruner->lane[t].scores.best);
	}
	pm_release(ctx, pruner->lane);
	pm_release(ctx, pruner->bounds.upper);
	pm_release(ctx, pruner->bounds.lower);
	pm_release(ctx, pruner->bounds.travel);
	pm_release(ctx, pruner->bounds.group_travel);
	pm_release(ctx, pruner->previous);
	pm_release(ctx, pruner->travel);
	pm_release(ctx, pruner->group_travel);
	pm_release(ctx, pruner);
}

/* The pass at hand, in which nothing is skipped, gives the first bounds. */
void
pm_cpu_pruner_start(PmCpuPruner *pruner)
{
	size_t		k = (size_t) pruner->rows.k;
	size_t		groups = (size_t) pruner->bounds.groups;

	memset(pruner->travel, 0, k * sizeof(double));
	memset(pruner->bounds.travel, 0, k * sizeof(float));
	memset(pruner->group_travel, 0, groups * sizeof(double));
	memset(pruner->bounds.group_travel, 0, groups * sizeof(float));
	memcpy(pruner->previous, pruner->set->source,
		   k * (size_t) pruner->rows.d * sizeof(float));
	pruner->fresh = true;
}

/* The centroids have moved since the last pass: measure their ways. */
void
pm_cpu_pruner_follow(PmCpuPruner *pruner)
{
	const PmCpuCentroids *set = pruner->set;

	pruner->fresh = false;
	for (int g = 0; g < set->groups; g++)
	{
		double		longest = 0;

		for (int place = set->start[set->group_start[g]];
			 place < set->start[set->group_start[g + 1]]; place++)
		{
			int32_t		c = set->order[place];
			double		step;

			if (c < 0)
				continue;
			step = sqrt(set->kernels->distance(set->source + (size_t) c * set->d,
											   pruner->previous + (size_t) c * set->d,
											   set->d));
			pruner->travel[c] += step;
			pruner->bounds.travel[c] = (float) pruner->travel[c];
			longest = step <= longest ? longest : step;
		}
		pruner->group_travel[g] += longest;
		pruner->bounds.group_travel[g] = (float) pruner->group_travel[g];
	}
	memcpy(pruner->previous, set->source,
		   (size_t) set->k * (size_t) set->d * sizeof(float));
}

/* A bound that a distance, given its square, is not above. */
static inline float
round_up(double square)
{
	return (float) (sqrt(square) * (1 + 0x1p-22));
}

/* Store the upper bound of a row of this label. */
static inline void
store_upper(PmCpuPruner *pruner, int64_t row, int32_t label, float upper)
{
	pruner->bounds.upper[row] = upper - pruner->bounds.travel[label];
}

/* Store the lower bound of a row and a group. */
static inline void
store_lower(PmCpuPruner *pruner, int64_t row, int group, float lower)
{
	pruner->bounds.lower[(size_t) group * (size_t) pruner->bounds.n + row] =
		lower + pruner->bounds.group_travel[group];
}

/*
 * Lower the bound of a centroid's group: a row has left the centroid, which
 * therefore is one of the group's others now.
 */
static void
lower_to(PmCpuPruner *pruner, int64_t row, int32_t centroid, double square)
{
	int			group = pruner->set->group_of[centroid];
	float		stored = (float) (sqrt(square) * (1 - 0x1p-22)) +
		pruner->bounds.group_travel[group];
	float	   *lower = &pruner->bounds.lower[(size_t) group * (size_t) pruner->bounds.n + row];

	if (!(*lower <= stored))
		*lower = stored;
}

/* Begin to fetch a row. */
static inline void
prefetch_row(const float *x, int d)
{
	for (int j = 0; j < d; j += PM_CPU_LINE / (int) sizeof(float))
		__builtin_prefetch(x + j);
}

/*
 * Find the rows of a chunk that have open groups, and which: first by the
 * bounds as they are, then with the distance to the own centroid measured.
 */
static int
find_active(PmCpuPruner *pruner, Lane *lane, int64_t begin, int count)
{
	const PmCpuCentroids *set = pruner->set;
	uint32_t	all = UINT32_MAX >> (32 - set->groups);
	int			active = 0;

	if (pruner->fresh)
		memset(lane->open, 0xff, (size_t) count * sizeof(uint32_t));
	else
	{
		set->kernels->loosen(&pruner->bounds, begin, count, lane->upper);
		set->kernels->prune(&pruner->bounds, begin, count, lane->upper, lane->open);
	}
	for (int i = 0; i < count; i++)
	{
		lane->active[active] = i;
		active += lane->open[i] != 0;
	}
	for (int a = 0; a < active; a++)
	{
		int			i = lane->active[a];
		int64_t		row = begin + i;
		int32_t		label = pruner->bounds.labels[row];

		/* no pattern that the hardware would know */
		if (a + AHEAD < active)
			prefetch_row(pruner->rows.x + (size_t) (begin + lane->active[a + AHEAD]) * set->d,
						 set->d);
		lane->winner[i] = label;
		lane->distance[i] = set->kernels->distance(pruner->rows.x + (size_t) row * set->d,
												   set->source + (size_t) label * set->d,
												   set->d);
		lane->own.square[i] = (float) (lane->distance[i] * (1 + 0x1p-22));
		lane->own.place[i] = set->place_of[label];
		lane->upper[i] = round_up(lane->distance[i]);
		store_upper(pruner, row, label, lane->upper[i]);
	}
	if (!pruner->fresh && active > 0)
	{
		int			still = 0;

		set->kernels->prune(&pruner->bounds, begin, count, lane->upper, lane->open);
		for (int a = 0; a < active; a++)
		{
			lane->active[still] = lane->active[a];
			still += lane->open[lane->active[a]] != 0;
		}
		active = still;
	}
	for (int a = 0; a < active; a++)
		lane->open[lane->active[a]] &= all;
	return active;
}

/* Score a panel of rows in the blocks of a group. */
static void
score_panel(const PmCpuCentroids *set, PmCpuScratch *scratch, Lane *lane,
			int group, const int32_t *list, int rows)
{
	set->kernels->pack(&scratch->rows, list, rows, set->words, scratch->panel);
	for (int b = set->group_start[group]; b < set->group_start[group + 1]; b++)
	{
		int			offset = (b - set->group_start[group]) * PM_CPU_PANEL;
		PmCpuScores scores = {
			lane->scores.best + offset, lane->scores.second + offset,
			lane->scores.third + offset
		};

		set->kernels->score(scratch->panel, set->words, rows,
							set->tiles + (size_t) set->start[b] * set->words,
							set->bias + set->start[b],
							(set->start[b + 1] - set->start[b]) / PM_CPU_TILE,
							&scores);
	}
}

/*
 * What the squared distance of a row to a centroid of this score is not
 * below.
 */
static inline double
lowest_square(const PmCpuRows *rows, int slot, int d, float score, float error)
{
	return rows->square[slot] * (1 - (double) (d + 16) * 0x1p-22) -
		2 * ((double) score + error);
}

/*
 * Decide a row for which a group may hold a nearer centroid; `panel_row` is
 * its number in the panel.  Gives the group's lower bound.
 */
static float
contest(PmCpuPruner *pruner, const PmCpuScratch *scratch, Lane *lane,
		int group, int64_t row, int slot, int panel_row)
{
	const PmCpuCentroids *set = pruner->set;
	const float *x = pruner->rows.x + (size_t) row * set->d;
	Winner		winner = {lane->winner[slot], lane->distance[slot], INFINITY};
	double		lowest = INFINITY;

	for (int b = set->group_start[group]; b < set->group_start[group + 1]; b++)
	{
		int			i = (b - set->group_start[group]) * PM_CPU_PANEL + panel_row;
		float		error = score_error(set, scratch, slot, b);

		if (lowest_square(&scratch->rows, slot, set->d, lane->scores.third[i], error) <=
			winner.distance)
		{
			compete_block(set, x, b, &winner);
			continue;
		}
		if (lowest_square(&scratch->rows, slot, set->d, lane->scores.best[i], error) <=
			winner.distance)
			compete(set, x, tagged_centroid(set, b, lane->scores.best[i]), &winner);
		if (lowest_square(&scratch->rows, slot, set->d, lane->scores.second[i], error) <=
			winner.distance)
			compete(set, x, tagged_centroid(set, b, lane->scores.second[i]), &winner);
	}
	for (int b = set->group_start[group]; b < set->group_start[group + 1]; b++)
	{
		int			i = (b - set->group_start[group]) * PM_CPU_PANEL + panel_row;
		float		score = lane->scores.best[i];
		double		square;

		if (tagged_centroid(set, b, score) == winner.label)
			score = lane->scores.second[i];
		square = lowest_square(&scratch->rows, slot, set->d, score,
							   score_error(set, scratch, slot, b));
		lowest = square < lowest ? square : lowest;
	}
	if (winner.label != lane->winner[slot])
	{
		if (set->group_of[lane->winner[slot]] != group)
			lower_to(pruner, row, lane->winner[slot], lane->distance[slot]);
		lane->winner[slot] = winner.label;
		lane->distance[slot] = winner.distance;
		lane->own.square[slot] = (float) (winner.distance * (1 + 0x1p-22));
		lane->own.place[slot] = set->place_of[winner.label];
		store_upper(pruner, row, winner.label, round_up(winner.distance));
	}
	return lowest > 0 ? (float) (sqrt(lowest) * (1 - 0x1p-22)) : 0;
}

/*
 * Search one group for the active rows that it is open for; gives the number
 * of these.
 */
static int
search_group(PmCpuPruner *pruner, PmCpuScratch *scratch, Lane *lane, int group,
			 int64_t begin, int active)
{
	const PmCpuCentroids *set = pruner->set;
	int			panel = set->kernels->panel;
	int			listed = 0;

	for (int a = 0; a < active; a++)
	{
		lane->list[listed] = lane->active[a];
		listed += lane->open[lane->active[a]] >> group & 1;
	}
	for (int first = 0; first < listed; first += panel)
	{
		const int32_t *list = lane->list + first;
		int			rows = listed - first < panel ? listed - first : panel;

		score_panel(set, scratch, lane, group, list, rows);
		set->kernels->bound_group(set, &scratch->rows, &lane->own, &lane->scores,
								  group, list, rows, lane->lower, lane->contested);
		for (int i = 0; i < rows; i++)
			store_lower(pruner, begin + list[i], group,
						lane->contested[i] == 0 ? lane->lower[i] :
						contest(pruner, scratch, lane, group, begin + list[i],
								list[i], i));
	}
	return listed;
}

/*
 * Rows whose scores may overflow: search all centroids, now and in the next
 * pass.  Takes them off the active ones; gives how many remain.
 */
static int
search_unsound(PmCpuPruner *pruner, const PmCpuScratch *scratch, Lane *lane,
			   int64_t begin, int active)
{
	const PmCpuCentroids *set = pruner->set;
	int			sound = 0;

	for (int a = 0; a < active; a++)
	{
		int			slot = lane->active[a];
		Winner		winner = {lane->winner[slot], lane->distance[slot], INFINITY};

		lane->active[sound] = slot;
		if (scratch->rows.norm[slot] <= set->norm_limit)
		{
			sound++;
			continue;
		}
		for (int b = 0; b < set->blocks; b++)
			compete_block(set, pruner->rows.x + (size_t) (begin + slot) * set->d, b,
						  &winner);
		lane->winner[slot] = winner.label;
		store_upper(pruner, begin + slot, winner.label, INFINITY);
		for (int g = 0; g < set->groups; g++)
			store_lower(pruner, begin + slot, g, -INFINITY);
	}
	return sound;
}

/*
 * The nearest centroids of rows [begin, begin + count); gives the number of
 * scores that were computed.  The labels of the last pass are not changed.
 */
int64_t
pm_cpu_pruner_search(PmCpuPruner *pruner, PmCpuScratch *scratch,
					 int lane_number, int64_t begin, int count,
					 int32_t *labels)
{
	const PmCpuCentroids *set = pruner->set;
	Lane	   *lane = &pruner->lane[lane_number];
	int			active = find_active(pruner, lane, begin, count);
	int			sound;
	int64_t		scored = 0;

	memcpy(labels, pruner->bounds.labels + begin, (size_t) count * sizeof(int32_t));
	if (active == 0)
		return 0;
	set->kernels->encode(pruner->rows.x + (size_t) begin * set->d, set->d,
						 set->shift, lane->active, active, &scratch->rows);
	sound = search_unsound(pruner, scratch, lane, begin, active);
	for (int g = 0; g < set->groups && sound > 0; g++)
		scored += (int64_t) search_group(pruner, scratch, lane, g, begin, sound) *
			(set->start[set->group_start[g + 1]] - set->start[set->group_start[g]]);
	for (int i = 0; i < count; i++)
		if (lane->open[i] != 0)
			labels[i] = lane->winner[i];
	return scored;
}
