/*
 * slim.c
 *		SLIM: a sparse linear model of items by items.
 *
 * The products of all pairs of items that someone took are made once; then
 * each item is a problem of its own, see slim_item.c.
 */
#include "slim.h"

#include <math.h>
#include <string.h>

#include "gram.h"
#include "pm_parallel.h"
#include "share.h"

const PmSlimOptions pm_slim_defaults = {1, 10, true, 0, 100, 1e-4};

/* Floats of rows that a slot keeps: at most this many, at least a row. */
#define CACHE_SIZE (1 << 21)

/* Items whose candidates are counted by one task, and nanoseconds of one. */
#define COUNT_ITEMS 64
#define COUNT_TIME 2.0

/* Elements between two looks for interrupts. */
#define CHECK_ELEMENTS (1 << 23)

static PmStatus
check_options(PmContext *ctx, const PmSlimOptions *options)
{
	if (!(options->l1 >= 0) || isinf(options->l1))
		return pm_fail(ctx, PM_INVALID, "l1 = %g is not a number from 0 on", options->l1);
	if (!(options->l2 >= 0) || isinf(options->l2))
		return pm_fail(ctx, PM_INVALID, "l2 = %g is not a number from 0 on", options->l2);
	if (options->neighbours < 0)
		return pm_fail(ctx, PM_INVALID, "neighbours = %d is less than 0", options->neighbours);
	if (options->max_sweeps < 1)
		return pm_fail(ctx, PM_INVALID, "max_sweeps = %d is less than 1", options->max_sweeps);
	if (!(options->tolerance >= 0))
		return pm_fail(ctx, PM_INVALID, "tolerance = %g is not a number from 0 on", options->tolerance);
	return PM_OK;
}

/* The diagonal of the products, and with neighbours what makes them cosines. */
static PmStatus
find_diagonal(PmContext *ctx, Slim *slim)
{
	size_t		items = (size_t) slim->gram.rows;

	PM_TRY(pm_alloc_zero(ctx, "norms of items", items, sizeof(float), &slim->diagonal));
	if (slim->options->neighbours > 0)
		PM_TRY(pm_alloc_zero(ctx, "norms of items", items, sizeof(float), &slim->scale));
	for (int32_t item = 0; item < slim->gram.rows; item++)
	{
		int64_t		low = slim->gram.offsets[item];
		int64_t		high = slim->gram.offsets[item + 1];

		/* a row of the products is empty or has its diagonal */
		while (low + 1 < high)
		{
			int64_t		middle = low + (high - low) / 2;

			if (slim->gram.indices[middle] <= item)
				low = middle;
			else
				high = middle;
		}
		if (low < high)
			slim->diagonal[item] = slim->gram.values[low];
		if (slim->scale != NULL && slim->diagonal[item] > 0)
			slim->scale[item] = 1 / sqrtf(slim->diagonal[item]);
	}
	return PM_OK;
}

/* How many weights each of a task's items may have. */
static void
count_candidates(int64_t index, int lane, void *argument)
{
	Slim	   *slim = argument;
	int64_t		end = (index + 1) * COUNT_ITEMS < slim->gram.rows ? (index + 1) * COUNT_ITEMS : slim->gram.rows;

	(void) lane;
	for (int64_t item = index * COUNT_ITEMS; item < end; item++)
	{
		int64_t		count = 0;

		for (int64_t i = slim->gram.offsets[item]; i < slim->gram.offsets[item + 1]; i++)
			count += pm_slim_allowed(slim, (int32_t) item, i);
		if (slim->options->neighbours > 0 && count > slim->options->neighbours)
			count = slim->options->neighbours;
		slim->counts[item] = count;
	}
}

/* Room for the weights. */
static PmStatus
make_room(PmContext *ctx, Slim *slim)
{
	size_t		items = (size_t) slim->gram.rows;
	int64_t		tasks = ((int64_t) slim->gram.rows + COUNT_ITEMS - 1) / COUNT_ITEMS;

	PM_TRY(pm_alloc(ctx, "weights of items", items, sizeof(int64_t), &slim->counts));
	PM_TRY(pm_alloc(ctx, "weights of items", items + 1, sizeof(int64_t), &slim->offsets));
	if (tasks > 0)
		PM_TRY(pm_parallel(ctx, "counts of candidates", tasks,
						   COUNT_TIME * (double) pm_csr_count(&slim->gram) / (double) tasks + 1,
						   count_candidates, slim));
	slim->offsets[0] = 0;
	for (size_t item = 0; item < items; item++)
		slim->offsets[item + 1] = slim->offsets[item] + slim->counts[item];
	PM_TRY(pm_alloc(ctx, "weights of items", (size_t) slim->offsets[items], sizeof(int32_t), &slim->indices));
	return pm_alloc(ctx, "weights of items", (size_t) slim->offsets[items], sizeof(float), &slim->values);
}

/* What a slot works with, for as many candidates as an item has at most. */
static PmStatus
open_slot(PmContext *ctx, Slim *slim, SlimSlot *slot, size_t most)
{
	size_t		items = (size_t) slim->gram.rows;

	PM_TRY(pm_alloc(ctx, "candidates", most, sizeof(int32_t), &slot->candidates));
	PM_TRY(pm_alloc(ctx, "candidates", most, sizeof(int32_t), &slot->active));
	PM_TRY(pm_alloc(ctx, "candidates", most, sizeof(double), &slot->residual));
	PM_TRY(pm_alloc(ctx, "candidates", most, sizeof(double), &slot->weight));
	PM_TRY(pm_alloc(ctx, "candidates", most, sizeof(int64_t), &slot->cached));
	PM_TRY(pm_alloc(ctx, "candidates", items, sizeof(int32_t), &slot->place));
	memset(slot->place, -1, items * sizeof(int32_t));
	return pm_alloc(ctx, "products of candidates", (size_t) slim->cache_size, sizeof(float), &slot->cache);
}

static PmStatus
open_slots(PmContext *ctx, Slim *slim)
{
	int64_t		most = 1;
	int			count = pm_share_slots(ctx);

	for (int32_t item = 0; item < slim->gram.rows; item++)
		if (slim->counts[item] > most)
			most = slim->counts[item];
	slim->cache_size = most * most < CACHE_SIZE ? most * most : most > CACHE_SIZE ? most : CACHE_SIZE;
	PM_TRY(pm_alloc_zero(ctx, "candidates", (size_t) count, sizeof(SlimSlot), &slim->slots));
	for (int i = 0; i < count; i++)
		PM_TRY(open_slot(ctx, slim, &slim->slots[i], (size_t) most));
	return PM_OK;
}

/* Close the gaps between the items' weights, and turn them around. */
static PmStatus
gather_weights(PmContext *ctx, Slim *slim, PmCsr *weights)
{
	PmCsr		columns = {slim->gram.rows, slim->gram.rows, slim->offsets, slim->indices, slim->values};
	int64_t		at = 0;
	int64_t		next_check = CHECK_ELEMENTS;

	for (int32_t item = 0; item < slim->gram.rows; item++)
	{
		size_t		count = (size_t) slim->counts[item];
		int64_t		from = slim->offsets[item];

		memmove(slim->indices + at, slim->indices + from, count * sizeof(int32_t));
		memmove(slim->values + at, slim->values + from, count * sizeof(float));
		slim->offsets[item] = at;
		at += slim->counts[item];
		if (at < next_check)
			continue;
		next_check = at + CHECK_ELEMENTS;
		if (pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "SLIM was cancelled");
	}
	slim->offsets[slim->gram.rows] = at;
	return pm_csr_transpose(ctx, &columns, weights);
}

static void
close_slots(PmContext *ctx, Slim *slim)
{
	for (int i = 0; slim->slots != NULL && i < pm_share_slots(ctx); i++)
	{
		SlimSlot   *slot = &slim->slots[i];

		pm_release(ctx, slot->candidates);
		pm_release(ctx, slot->active);
		pm_release(ctx, slot->residual);
		pm_release(ctx, slot->weight);
		pm_release(ctx, slot->cached);
		pm_release(ctx, slot->place);
		pm_release(ctx, slot->cache);
	}
	pm_release(ctx, slim->slots);
	slim->slots = NULL;
}

static PmStatus
solve(PmContext *ctx, Slim *slim, const PmCsr *interactions, PmCsr *weights)
{
	slim->screened = slim->options->nonnegative;
	for (int64_t i = 0; i < pm_csr_count(interactions) && slim->screened; i++)
	{
		slim->screened = interactions->values[i] >= 0;
		if (i % CHECK_ELEMENTS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "SLIM was cancelled");
	}
	PM_TRY(pm_gram_sparse(ctx, interactions, &slim->gram));
	PM_TRY(find_diagonal(ctx, slim));
	PM_TRY(make_room(ctx, slim));
	PM_TRY(open_slots(ctx, slim));
	PM_TRY(pm_share(ctx, "SLIM", slim->gram.rows, pm_slim_item, slim));

	/* the transpose takes their room */
	close_slots(ctx, slim);
	return gather_weights(ctx, slim, weights);
}

PmStatus
pm_slim_fit(PmContext *ctx, const PmCsr *interactions,
			const PmSlimOptions *options, PmCsr *weights)
{
	Slim		slim = {.options = options};
	PmStatus	status;

	memset(weights, 0, sizeof(*weights));
	PM_TRY(check_options(ctx, options));
	status = solve(ctx, &slim, interactions, weights);
	close_slots(ctx, &slim);
	pm_csr_release(ctx, &slim.gram);
	pm_release(ctx, slim.diagonal);
	pm_release(ctx, slim.scale);
	pm_release(ctx, slim.offsets);
	pm_release(ctx, slim.counts);
	pm_release(ctx, slim.indices);
	pm_release(ctx, slim.values);
	if (status != PM_OK)
		pm_csr_release(ctx, weights);
	return status;
}

void
pm_slim_score(const PmCsr *weights, int64_t count, const int32_t *taken,
			  const float *values, float *scores)
{
	memset(scores, 0, (size_t) weights->columns * sizeof(float));
	for (int64_t k = 0; k < count; k++)
		for (int64_t i = weights->offsets[taken[k]]; i < weights->offsets[taken[k] + 1]; i++)
			scores[weights->indices[i]] += values[k] * weights->values[i];
}
