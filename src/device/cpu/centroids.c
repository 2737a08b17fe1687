/*
 * centroids.c
 *		Centroids laid out for the filter, with bounds on its errors.
 */
#include "cpu.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Blocks that `count` centroids are cut into. */
static int
blocks_for(int count)
{
	return (count + PM_CPU_BLOCK - 1) / PM_CPU_BLOCK;
}

/*
 * Append blocks of even size that hold centroids members[0 .. count), the
 * last places of each filled up to whole tiles.
 */
static void
append_blocks(PmCpuCentroids *set, const int32_t *members, int count)
{
	int			blocks = blocks_for(count);
	int			tiles = (count + PM_CPU_TILE - 1) / PM_CPU_TILE;
	int			next = 0;

	for (int b = 0; b < blocks; b++)
	{
		int			place = set->start[set->blocks];
		int			size = (tiles * (b + 1) / blocks - tiles * b / blocks) * PM_CPU_TILE;

		for (int i = 0; i < size; i++)
		{
			int32_t		member = next < count ? members[next++] : -1;

			if (member >= 0 && set->place_of != NULL)
				set->place_of[member] = place;
			set->order[place++] = member;
		}
		set->start[++set->blocks] = place;
	}
}

/* Place the centroids in their own order. */
void
pm_cpu_centroids_order(PmCpuCentroids *set)
{
	for (int c = 0; c < set->k; c++)
		set->members[c] = c;
	set->groups = 0;
	set->blocks = 0;
	set->start[0] = 0;
	append_blocks(set, set->members, set->k);
}

/* qsort: by key, then by number. */
static int
compare_keys(const void *a, const void *b)
{
	const PmCpuKey *x = a;
	const PmCpuKey *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->member < y->member ? -1 : x->member > y->member;
}

/* The member farthest from a point. */
static const float *
farthest(const PmCpuCentroids *set, const float *source,
		 const int32_t *members, int count, const float *point)
{
	const float *far = point;
	double		most = -1;

	for (int i = 0; i < count; i++)
	{
		const float *c = source + (size_t) members[i] * set->d;
		double		distance = set->kernels->distance(c, point, set->d);

		if (distance > most)
		{
			most = distance;
			far = c;
		}
	}
	return far;
}

/*
 * Cut members[0 .. count) into `groups` of about even size, neighbours
 * together: in halves along the line between two members far apart, and so
 * on.  Sizes are whole tiles where possible.
 */
static void
cut_groups(PmCpuCentroids *set, const float *source, int32_t *members,
		   int count, int groups)
{
	int			left_groups = groups / 2;
	int			left = (int) ((int64_t) count * left_groups / groups);
	const float *a;
	const float *b;

	if (groups == 1)
	{
		for (int i = 0; i < count; i++)
			set->group_of[members[i]] = set->groups;
		append_blocks(set, members, count);
		set->group_start[++set->groups] = set->blocks;
		return;
	}
	if (left >= PM_CPU_TILE)
		left -= left % PM_CPU_TILE;
	a = farthest(set, source, members, count, source + (size_t) members[0] * set->d);
	b = farthest(set, source, members, count, a);
	for (int i = 0; i < count; i++)
	{
		const float *c = source + (size_t) members[i] * set->d;

		set->keys[i].member = members[i];
		set->keys[i].key = set->kernels->distance(c, a, set->d) -
			set->kernels->distance(c, b, set->d);
		/* order must be total */
		if (!(fabs(set->keys[i].key) <= DBL_MAX))
			set->keys[i].key = 0;
	}
	qsort(set->keys, (size_t) count, sizeof(PmCpuKey), compare_keys);
	for (int i = 0; i < count; i++)
		members[i] = set->keys[i].member;
	cut_groups(set, source, members, left, left_groups);
	cut_groups(set, source, members + left, count - left, groups - left_groups);
}

/* Place the centroids in groups of neighbours; groups <= k. */
void
pm_cpu_centroids_group(PmCpuCentroids *set, int groups, const float *source)
{
	for (int c = 0; c < set->k; c++)
		set->members[c] = c;
	set->groups = 0;
	set->blocks = 0;
	set->start[0] = 0;
	set->group_start[0] = 0;
	cut_groups(set, source, set->members, set->k, groups);
}

/*
 * Make room for k centroids of d coordinates, placed in order; groups is how
 * many the run may want, or 0.
 */
PmStatus
pm_cpu_centroids_open(PmContext *ctx, int k, int d, int groups,
					  PmCpuCentroids *set)
{
	size_t		places;
	size_t		padded = ((size_t) d + PM_CPU_WORD_PAD - 1) / PM_CPU_WORD_PAD * PM_CPU_WORD_PAD;

	memset(set, 0, sizeof(*set));
	set->kernels = d <= PM_CPU_NARROW ? pm_cpu_kernels_narrow : pm_cpu_kernels;
	set->k = k;
	set->d = d;
	set->words = (d + set->kernels->pair - 1) / set->kernels->pair;
	/* each group may leave one block and one tile in part */
	set->room_blocks = blocks_for(k) + groups;
	places = ((size_t) k / PM_CPU_TILE + 1 + (size_t) groups) * PM_CPU_TILE;
	PM_TRY(pm_alloc(ctx, "centroid blocks", (size_t) set->room_blocks + 1,
					sizeof(int32_t), &set->start));
	PM_TRY(pm_alloc(ctx, "centroid order", places, sizeof(int32_t),
					&set->order));
	PM_TRY(pm_alloc(ctx, "centroid tiles", places * (size_t) set->words,
					sizeof(uint32_t), &set->tiles));
	PM_TRY(pm_alloc(ctx, "centroid norms", places, sizeof(float), &set->bias));
	PM_TRY(pm_alloc(ctx, "centroid errors", 3 * (size_t) set->room_blocks,
					sizeof(float), &set->error_norm));
	set->error_encoding = set->error_norm + set->room_blocks;
	set->error_rest = set->error_encoding + set->room_blocks;
	PM_TRY(pm_alloc(ctx, "mean centroid", (size_t) d, sizeof(float),
					&set->shift));
	PM_TRY(pm_alloc(ctx, "mean centroid", (size_t) d, sizeof(double),
					&set->mean));
	PM_TRY(pm_alloc(ctx, "encoded centroid", padded, sizeof(uint32_t),
					&set->encoded));
	PM_TRY(pm_alloc(ctx, "centroid numbers", (size_t) k, sizeof(int32_t),
					&set->members));
	if (groups > 0)
	{
		PM_TRY(pm_alloc(ctx, "centroid groups", (size_t) groups + 1,
						sizeof(int32_t), &set->group_start));
		PM_TRY(pm_alloc(ctx, "groups of centroids", (size_t) k,
						sizeof(int32_t), &set->group_of));
		PM_TRY(pm_alloc(ctx, "places of centroids", (size_t) k,
						sizeof(int32_t), &set->place_of));
		PM_TRY(pm_alloc(ctx, "keys of centroids", (size_t) k,
						sizeof(PmCpuKey), &set->keys));
	}
	pm_cpu_centroids_order(set);
	return PM_OK;
}

/* Give the memory back; all zeroes is allowed. */
void
pm_cpu_centroids_close(PmContext *ctx, PmCpuCentroids *set)
{
	pm_release(ctx, set->start);
	pm_release(ctx, set->order);
	pm_release(ctx, set->tiles);
	pm_release(ctx, set->bias);
	pm_release(ctx, set->error_norm);
	pm_release(ctx, set->shift);
	pm_release(ctx, set->mean);
	pm_release(ctx, set->encoded);
	pm_release(ctx, set->members);
	pm_release(ctx, set->group_start);
	pm_release(ctx, set->group_of);
	pm_release(ctx, set->place_of);
	pm_release(ctx, set->keys);
	memset(set, 0, sizeof(*set));
}

/*
 * The mean centroid, taken off rows and centroids alike: it keeps the scores
 * small, and errors with them, where the data are far from the origin.
 */
static void
set_shift(PmCpuCentroids *set)
{
	memset(set->mean, 0, (size_t) set->d * sizeof(double));
	for (int c = 0; c < set->k; c++)
		for (int j = 0; j < set->d; j++)
			set->mean[j] += set->source[(size_t) c * set->d + j];
	for (int j = 0; j < set->d; j++)
		set->shift[j] = (float) (set->mean[j] / set->k);
}

/* Encode a centroid into its place; gives its norm and error. */
static void
load_place(PmCpuCentroids *set, int place, float *norm, float *error)
{
	const float *source = set->source + (size_t) set->order[place] * set->d;
	uint32_t   *tile = set->tiles +
		(size_t) (place / PM_CPU_TILE) * set->words * PM_CPU_TILE + place % PM_CPU_TILE;
	float		square;
	double		exact = 0;
	PmCpuRows	row = {0, set->encoded, &square, norm, error};

	set->kernels->encode(source, set->d, set->shift, NULL, 1, &row);
	for (int p = 0; p < set->words; p++)
		tile[(size_t) p * PM_CPU_TILE] = set->encoded[p];
	for (int j = 0; j < set->d; j++)
	{
		double		z = (double) source[j] - (double) set->shift[j];

		exact += z * z;
	}
	set->bias[place] = (float) (-exact / 2);
}

/* Leave a place without a centroid. */
static void
clear_place(PmCpuCentroids *set, int place)
{
	uint32_t   *tile = set->tiles +
		(size_t) (place / PM_CPU_TILE) * set->words * PM_CPU_TILE + place % PM_CPU_TILE;

	for (int p = 0; p < set->words; p++)
		tile[(size_t) p * PM_CPU_TILE] = 0;
	set->bias[place] = PM_CPU_NOWHERE;
}

/*
 * Load centroids, which stay the caller's and stay in place.
 *
 * The error of a score, for a row y and a centroid z, both shifted, with
 * encodings y' and z':
 *
 *		|y'.z' - y.z| <= |y' - y| |z| + |y'| |z' - z|		(Cauchy-Schwarz),
 *
 * plus rounding of at most d + 8 additions, plus the tag in the low bits of
 * the score, both relative to at most |y'| |z'| + |z|^2 / 2, plus what
 * underflows.
 */
void
pm_cpu_centroids_load(PmCpuCentroids *set, const float *source)
{
	float		relative = (float) (set->d + 8) * 0x1p-24f + 0x1p-23f * PM_CPU_BLOCK;
	float		largest = 0;

	set->source = source;
	set_shift(set);
	for (int b = 0; b < set->blocks; b++)
	{
		float		norm = 0;
		float		error = 0;

		for (int place = set->start[b]; place < set->start[b + 1]; place++)
		{
			float		one_norm;
			float		one_error;

			if (set->order[place] < 0)
			{
				clear_place(set, place);
				continue;
			}
			load_place(set, place, &one_norm, &one_error);
			/* also keeps what is not finite */
			norm = one_norm <= norm ? norm : one_norm;
			error = one_error <= error ? error : one_error;
		}
		set->error_norm[b] = 1.001f * (error + relative * norm);
		set->error_encoding[b] = 1.001f * norm;
		set->error_rest[b] = 1.001f * (relative * norm * norm) + 1e-30f;
		largest = norm <= largest ? largest : norm;
	}
	set->norm_limit = -1;
	if (largest < 1e18f)
		set->norm_limit = 1e37f / (largest + 1e19f);
}
