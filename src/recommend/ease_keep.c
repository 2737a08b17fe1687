/*
 * ease_keep.c
 *		EASE: the weights that matter, as a sparse matrix.
 *
 * All weights of many items are too much for a model.  Of each row the
 * largest are kept, in a heap that lies where they will be.
 */
#include "pm_ease.h"

#include <math.h>
#include <string.h>

#include "pm_parallel.h"

/* Nanoseconds of a weight that is looked at, about. */
#define WEIGHT_TIME 3.0

/* Rows between two looks for interrupts. */
#define CHECK_ROWS 4096

typedef struct Keeping
{
	const float *weights;
	int32_t		items;
	int32_t		keep;
	int32_t    *indices;		/* items * keep */
	int32_t    *counts;			/* kept of a row */
} Keeping;

/* Is weight a of a row less than b?  Of equal ones, the first is greater. */
static inline bool
less(const float *row, int32_t a, int32_t b)
{
	float		x = fabsf(row[a]);
	float		y = fabsf(row[b]);

	return x < y || (x == y && a > b);
}

/* Let the index at a place sink, by weight or, without a row, by index. */
static void
sink(const float *row, int32_t *heap, int32_t count, int32_t at)
{
	int32_t		moving = heap[at];

	for (;;)
	{
		int32_t		child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count &&
			(row != NULL ? less(row, heap[child + 1], heap[child]) : heap[child + 1] > heap[child]))
			child++;
		if (row != NULL ? !less(row, heap[child], moving) : heap[child] <= moving)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

/* Make a heap of indices. */
static void
heapify(const float *row, int32_t *heap, int32_t count)
{
	for (int32_t at = count / 2 - 1; at >= 0; at--)
		sink(row, heap, count, at);
}

/* The largest weights of a row, other than 0, by index. */
static void
keep_row(int64_t index, int lane, void *argument)
{
	const Keeping *state = argument;
	const float *row = state->weights + (size_t) index * state->items;
	int32_t    *heap = state->indices + index * state->keep;
	int32_t		count = 0;

	(void) lane;
	for (int32_t j = 0; j < state->items; j++)
	{
		if (row[j] == 0)
			continue;
		if (count < state->keep)
		{
			heap[count++] = j;
			if (count == state->keep)
				heapify(row, heap, count);
		}
		else if (less(row, heap[0], j))
		{
			heap[0] = j;
			sink(row, heap, count, 0);
		}
	}
	heapify(NULL, heap, count);
	for (int32_t last = count - 1; last > 0; last--)
	{
		int32_t		largest = heap[0];

		heap[0] = heap[last];
		heap[last] = largest;
		sink(NULL, heap, last, 0);
	}
	state->counts[index] = count;
}

/* Rows of `keep` places close up, and take their weights along. */
static PmStatus
close_up(PmContext *ctx, const Keeping *state, PmCsr *kept)
{
	int64_t		at = 0;

	for (int64_t row = 0; row < state->items; row++)
	{
		if (row % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "keeping weights was cancelled");
		kept->offsets[row] = at;
		for (int32_t i = 0; i < state->counts[row]; i++)
		{
			int32_t		column = state->indices[row * state->keep + i];

			kept->indices[at] = column;
			kept->values[at++] = state->weights[(size_t) row * state->items + column];
		}
	}
	kept->offsets[state->items] = at;
	return PM_OK;
}

static PmStatus
keep_rows(PmContext *ctx, Keeping *state, PmCsr *kept)
{
	size_t		items = (size_t) state->items;
	size_t		places = items * (size_t) state->keep;
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "weights kept", items + 1, sizeof(int64_t), &kept->offsets));
	PM_TRY(pm_alloc(ctx, "weights kept", places, sizeof(int32_t), &kept->indices));
	PM_TRY(pm_alloc(ctx, "weights kept", places, sizeof(float), &kept->values));
	PM_TRY(pm_alloc(ctx, "weights kept", items, sizeof(int32_t), &state->counts));
	state->indices = kept->indices;
	status = pm_parallel(ctx, "keeping weights", state->items, 1 + WEIGHT_TIME * (double) items, keep_row, state);
	if (status == PM_OK)
		status = close_up(ctx, state, kept);
	pm_release(ctx, state->counts);
	return status;
}

PmStatus
pm_ease_keep(PmContext *ctx, const float *weights, int32_t items,
			 int32_t keep, PmCsr *kept)
{
	Keeping		state = {.weights = weights,.items = items,.keep = keep < items ? keep : items};
	PmStatus	status;

	memset(kept, 0, sizeof(*kept));
	if (keep < 1)
		return pm_fail(ctx, PM_INVALID, "keep = %d is less than 1", keep);
	kept->rows = kept->columns = items;
	status = keep_rows(ctx, &state, kept);
	if (status != PM_OK)
		pm_csr_release(ctx, kept);
	return status;
}
