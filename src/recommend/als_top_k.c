/*
 * als_top_k.c
 *		The best items of many users.
 *
 * Slabs of items are packed for the kernel; users come in blocks, one to a
 * task, which computes their scores of the slab, sets those of items they
 * have seen to -infinity and keeps the best in heaps.  The heaps are the
 * result's own arrays.  Items come in order, so that of equal ones the first
 * that came is the one to keep.
 */
#include "als.h"

#include "pm_parallel.h"

#include <math.h>
#include <string.h>

/* Items of a slab and of a panel, whose scores are computed at a time. */
#define SLAB 4096
#define PANEL 1024

/* Scores that are compared with the limit at a time. */
#define GROUP 64

/* Users of a task. */
#define USERS 64

/* Nanoseconds of a multiplication, and of a score's way to the heap. */
#define MULTIPLY_TIME 0.015
#define SCORE_TIME 0.3

typedef struct Search
{
	const PmAls *als;
	const PmAlsQuery *query;
	int			depth;			/* factors, and 1 for a bias */
	int32_t		k;
	int32_t		first_item;		/* of the slab */
	int32_t		slab_items;
	float	   *slab;			/* strips of 32 items, depth * 32 each */
	float	   *users;			/* by lane: depth * USERS, users in columns */
	float	   *scores;			/* by lane: 8 * PANEL */
	int32_t    *items;			/* count * k: heaps, the worst first */
	float	   *best;			/* count * k: their scores */
} Search;

/* Is a worse than b?  Equal scores: the larger index is. */
static inline bool
is_worse(float a, int32_t item_a, float b, int32_t item_b)
{
	return a < b || (a == b && item_a > item_b);
}

/* Put an element where it belongs, from the top of a heap of `size` down. */
static void
sift(float *scores, int32_t *items, int32_t size, int32_t at, float score,
	 int32_t item)
{
	for (;;)
	{
		int64_t		child = 2 * (int64_t) at + 1;

		if (child >= size)
			break;
		if (child + 1 < size &&
			is_worse(scores[child + 1], items[child + 1], scores[child], items[child]))
			child++;
		if (!is_worse(scores[child], items[child], score, item))
			break;
		scores[at] = scores[child];
		items[at] = items[child];
		at = (int32_t) child;
	}
	scores[at] = score;
	items[at] = item;
}

/* A strip of the slab's items. */
static void
pack_items(int64_t index, int lane, void *argument)
{
	const Search *search = argument;
	const PmAls *als = search->als;
	int			factors = als->options.factors;
	int			first = (int) index * ALS_TILE;
	float	   *strip = search->slab + (size_t) first * (size_t) search->depth;

	(void) lane;
	for (int i = 0; i < ALS_TILE; i++)
	{
		int64_t		item = (int64_t) search->first_item + first + i;
		bool		there = first + i < search->slab_items;
		const float *y = als->item_factors + (there ? item * factors : 0);

		for (int j = 0; j < factors; j++)
			strip[j * ALS_TILE + i] = there ? y[j] : 0;
		if (search->depth > factors)
			strip[factors * ALS_TILE + i] = there ? als->item_bias[item] : 0;
	}
}

/* The block's users side by side; those that are not there are 0. */
static void
pack_users(const Search *search, int64_t first, int count, float *users)
{
	int			factors = search->als->options.factors;

	for (int i = 0; i < USERS; i++)
	{
		const float *x = search->query->factors + (first + i) * factors;

		for (int j = 0; j < factors; j++)
			users[j * USERS + i] = i < count ? x[j] : 0;
		if (search->depth > factors)
			users[factors * USERS + i] = 1;
	}
}

/* Scores of items that must not be among the best become -infinity. */
static void
exclude(const Search *search, int64_t user, int32_t first, int32_t count,
		float *scores)
{
	const PmCsr *seen = search->query->seen;
	const bool *allowed = search->query->allowed;

	if (allowed != NULL)
		for (int32_t i = 0; i < count; i++)
			if (!allowed[first + i])
				scores[i] = -INFINITY;
	if (seen != NULL)
	{
		int64_t		row = search->query->first_seen + user;
		int64_t		end = seen->offsets[row + 1];
		int64_t		low = seen->offsets[row];
		int64_t		high = end;

		while (low < high)
		{
			int64_t		middle = low + (high - low) / 2;

			if (seen->indices[middle] < first)
				low = middle + 1;
			else
				high = middle;
		}
		for (; low < end && seen->indices[low] < first + count; low++)
			scores[seen->indices[low] - first] = -INFINITY;
	}
}

typedef float Scores __attribute__((vector_size(64)));
typedef int32_t Flags __attribute__((vector_size(64)));
typedef int64_t Wider __attribute__((vector_size(64)));

/* Is one of a group's scores above the limit? */
PM_INLINE bool
any_above(const float *scores, float limit)
{
	Flags		above = {0};
	Wider		flags;

	for (int i = 0; i < GROUP; i += 16)
	{
		Scores		some;

		memcpy(&some, scores + i, sizeof(some));
		above |= some > limit;
	}
	flags = (Wider) above;
	return (((flags[0] | flags[1]) | (flags[2] | flags[3])) |
			((flags[4] | flags[5]) | (flags[6] | flags[7]))) != 0;
}

/* Groups of scores with one above the limit; their number goes to *count. */
PM_INLINE void
find_groups_body(const float *scores, int groups, float limit, int *found,
				 int *count)
{
	int			number = 0;

	for (int g = 0; g < groups; g++)
	{
		found[number] = g;
		number += any_above(scores + g * GROUP, limit);
	}
	*count = number;
}

PM_CLONES(find_groups,
		  (const float *scores, int groups, float limit, int *found, int *count),
		  (scores, groups, limit, found, count));

/* Keep the best of a panel's scores; count is padded with -infinity. */
static void
keep_best(const Search *search, int64_t user, int32_t first, int count,
		  const float *scores)
{
	float	   *best = search->best + user * search->k;
	int32_t    *items = search->items + user * search->k;
	int			groups[PANEL / GROUP];
	int			found;

	find_groups(scores, count / GROUP, best[0], groups, &found);
	for (int g = 0; g < found; g++)
		for (int i = groups[g] * GROUP; i < (groups[g] + 1) * GROUP; i++)
			if (scores[i] > best[0])
				sift(best, items, search->k, 0, scores[i], first + i);
}

/* One block of users against the slab. */
static void
search_block(int64_t index, int lane, void *argument)
{
	const Search *search = argument;
	int64_t		first = index * USERS;
	int			count = search->query->count - first < USERS ?
		(int) (search->query->count - first) : USERS;
	float	   *users = search->users + (size_t) lane * (size_t) search->depth * USERS;
	float	   *scores = search->scores + (size_t) lane * ALS_TILE_ROWS * PANEL;

	pack_users(search, first, count, users);
	for (int at = 0; at < search->slab_items; at += PANEL)
	{
		int			items = search->slab_items - at < PANEL ? search->slab_items - at : PANEL;
		int			padded = (items + GROUP - 1) / GROUP * GROUP;

		for (int u = 0; u < count; u += ALS_TILE_ROWS)
		{
			for (int j = 0; j < padded; j += ALS_TILE)
				pm_als_multiply(search->depth, ALS_TILE_ROWS, ALS_TILE, users + u, USERS,
								search->slab + (size_t) (at + j) * (size_t) search->depth,
								ALS_TILE, scores + j, PANEL);
			for (int i = 0; i < ALS_TILE_ROWS && u + i < count; i++)
			{
				float	   *row = scores + i * PANEL;

				for (int j = items; j < padded; j++)
					row[j] = -INFINITY;
				exclude(search, first + u + i, search->first_item + at, items, row);
				keep_best(search, first + u + i, search->first_item + at, padded, row);
			}
		}
	}
}

/* The end of a block of users. */
static inline int64_t
end_of(const Search *search, int64_t index)
{
	int64_t		end = (index + 1) * USERS;

	return end < search->query->count ? end : search->query->count;
}

/* Heaps of nothing. */
static void
clear_block(int64_t index, int lane, void *argument)
{
	const Search *search = argument;
	int64_t		end = end_of(search, index) * search->k;

	(void) lane;
	for (int64_t i = index * USERS * search->k; i < end; i++)
	{
		search->best[i] = -INFINITY;
		search->items[i] = INT32_MAX;
	}
}

/* A block's heaps become lists, the best first. */
static void
sort_block(int64_t index, int lane, void *argument)
{
	const Search *search = argument;
	const PmAls *als = search->als;
	int64_t		end = end_of(search, index);

	(void) lane;
	for (int64_t user = index * USERS; user < end; user++)
	{
		float	   *best = search->best + user * search->k;
		int32_t    *items = search->items + user * search->k;
		float		more = (float) als->mean;

		if (search->query->biases != NULL)
			more += search->query->biases[user];
		for (int32_t size = search->k - 1; size > 0; size--)
		{
			float		score = best[size];
			int32_t		item = items[size];

			best[size] = best[0];
			items[size] = items[0];
			sift(best, items, size, 0, score, item);
		}
		for (int32_t i = 0; i < search->k; i++)
		{
			if (best[i] == -INFINITY)
				items[i] = -1;
			best[i] += more;
		}
	}
}

/* All slabs, with memory that the caller gives back. */
static PmStatus
search_slabs(PmContext *ctx, Search *search, int lanes)
{
	size_t		depth = (size_t) search->depth;
	int64_t		blocks = (search->query->count + USERS - 1) / USERS;

	PM_TRY(pm_alloc(ctx, "a slab of items", depth * SLAB, sizeof(float), &search->slab));
	PM_TRY(pm_alloc(ctx, "a block of users", (size_t) lanes * depth * USERS, sizeof(float),
					&search->users));
	PM_TRY(pm_alloc(ctx, "scores", (size_t) lanes * ALS_TILE_ROWS * PANEL, sizeof(float),
					&search->scores));
	PM_TRY(pm_parallel(ctx, "the search for the best items", blocks, USERS * 2.0 * search->k,
					   clear_block, search));
	for (; search->first_item < search->als->items; search->first_item += search->slab_items)
	{
		int32_t		left = search->als->items - search->first_item;
		double		work;

		search->slab_items = left < SLAB ? left : SLAB;
		work = (double) USERS * search->slab_items *
			(SCORE_TIME + MULTIPLY_TIME * search->depth);
		PM_TRY(pm_parallel(ctx, "the search for the best items",
						   (search->slab_items + GROUP - 1) / GROUP * (GROUP / ALS_TILE),
						   1.0 * ALS_TILE * search->depth, pack_items, search));
		PM_TRY(pm_parallel(ctx, "the search for the best items", blocks, work, search_block,
						   search));
	}
	return pm_parallel(ctx, "the search for the best items", blocks,
					   USERS * 50.0 * search->k, sort_block, search);
}

PmStatus
pm_als_top_k(PmContext *ctx, const PmAls *als, const PmAlsQuery *query,
			 int32_t k, int32_t *items, float *scores)
{
	Search		search = {.als = als,.query = query,.k = k,.items = items,.best = scores};
	int			lanes = ctx->device == NULL || ctx->threads < 1 ? 1 : ctx->threads;
	PmStatus	status;

	if (k < 1 || k > PM_ALS_MAX_K)
		return pm_fail(ctx, PM_INVALID, "k = %d is not from 1 to %d", (int) k, PM_ALS_MAX_K);
	if (query->seen != NULL && (query->seen->columns != als->items || query->first_seen < 0 ||
								query->first_seen + query->count > query->seen->rows))
		return pm_fail(ctx, PM_INVALID, "the items that were seen are not of these users");
	search.depth = als->options.factors + (als->item_bias != NULL);
	status = search_slabs(ctx, &search, lanes);
	pm_release(ctx, search.slab);
	pm_release(ctx, search.users);
	pm_release(ctx, search.scores);
	return status;
}

PmAlsQuery
pm_als_users(const PmAls *als, int32_t first, int32_t end, const PmCsr *seen)
{
	return (PmAlsQuery) {
		.count = end - first,
		.factors = als->user_factors + (int64_t) first * als->options.factors,
		.biases = als->user_bias == NULL ? NULL : als->user_bias + first,
		.seen = seen,
		.first_seen = first
	};
}
