/*
 * neighbours_rows.c
 *		The nearest rows of every row, on threads.
 */
#include "neighbours_lane.h"

#include <string.h>

#include "pm_parallel.h"

/* So many neighbours, or rows, are found before they are gathered. */
#define BATCH_NEIGHBOURS (1 << 20)
#define BATCH_ROWS 4096

/* What adding to a place takes, in nanoseconds. */
#define PLACE_TIME 3.0

/* Rows whose neighbours are found together. */
typedef struct Batch
{
	const PmNeighbours *neighbours;
	PmNeighbourLane	   *lanes;
	int32_t		first;
	int32_t		k;
	PmNeighbour *lists;			/* k for each row */
	int32_t    *counts;
} Batch;

static void
find_row(int64_t index, int lane, void *argument)
{
	const Batch *batch = argument;

	batch->counts[index] = pm_neighbour_lane_find(batch->neighbours, &batch->lanes[lane],
												  batch->first + (int32_t) index, batch->k,
												  batch->lists + index * batch->k);
}

/* What a row takes on average, in nanoseconds. */
static double
row_time(const PmNeighbours *neighbours)
{
	const PmCsr *columns = neighbours->columns;
	double		places = 1;

	for (int32_t column = 0; column < columns->rows; column++)
	{
		double		length = (double) (columns->offsets[column + 1] - columns->offsets[column]);

		places += length * length;
	}
	return PLACE_TIME * places / (neighbours->rows->rows > 0 ? neighbours->rows->rows : 1) + 100;
}

/* Batch after batch, gathered without the room that is left over. */
static PmStatus
find_batches(PmContext *ctx, Batch *batch, int32_t batch_rows, int64_t *offsets,
			 PmNeighbour **list)
{
	int32_t		rows = batch->neighbours->rows->rows;
	double		work = row_time(batch->neighbours);
	size_t		capacity = 0;

	offsets[0] = 0;
	for (batch->first = 0; batch->first < rows; batch->first += batch_rows)
	{
		int32_t		left = rows - batch->first;

		if (left > batch_rows)
			left = batch_rows;
		PM_TRY(pm_parallel(ctx, "neighbours", left, work, find_row, batch));
		for (int32_t i = 0; i < left; i++)
			offsets[batch->first + i + 1] = offsets[batch->first + i] + batch->counts[i];
		PM_TRY(pm_reserve(ctx, "the neighbours", (size_t) offsets[batch->first + left],
						  sizeof(PmNeighbour), list, &capacity));
		for (int32_t i = 0; i < left; i++)
			if (batch->counts[i] > 0)
				memcpy(*list + offsets[batch->first + i], batch->lists + (size_t) i * batch->k,
					   (size_t) batch->counts[i] * sizeof(PmNeighbour));
		pm_progress(ctx, "neighbours", (double) (batch->first + left) / rows);
		if (left < batch_rows)
			break;
	}
	return PM_OK;
}

PmStatus
pm_neighbours_of_rows(PmContext *ctx, const PmNeighbours *neighbours, int32_t k,
					  int64_t **offsets, PmNeighbour **list)
{
	int32_t		rows = neighbours->rows->rows;
	int			lanes = ctx->device == NULL || ctx->threads < 1 ? 1 : ctx->threads;
	Batch		batch = {.neighbours = neighbours,.k = k};
	int32_t		batch_rows;

	*offsets = NULL;
	*list = NULL;
	if (batch.k > rows - 1)
		batch.k = rows > 1 ? rows - 1 : 0;
	batch_rows = BATCH_NEIGHBOURS / (batch.k > 0 ? batch.k : 1) + 1;
	if (batch_rows > BATCH_ROWS)
		batch_rows = BATCH_ROWS;
	PM_TRY(pm_alloc(ctx, "the neighbours", (size_t) rows + 1, sizeof(int64_t), offsets));
	PM_TRY(pm_alloc(ctx, "the neighbours", (size_t) batch_rows * batch.k, sizeof(PmNeighbour),
					&batch.lists));
	PM_TRY(pm_alloc(ctx, "the neighbours", batch_rows, sizeof(int32_t), &batch.counts));
	PM_TRY(pm_alloc(ctx, "the neighbours", lanes, sizeof(PmNeighbourLane), &batch.lanes));
	for (int lane = 0; lane < lanes; lane++)
		PM_TRY(pm_neighbour_lane_make(ctx, neighbours, batch.k, &batch.lanes[lane]));
	PM_TRY(find_batches(ctx, &batch, batch_rows, *offsets, list));
	for (int lane = 0; lane < lanes; lane++)
		pm_neighbour_lane_release(ctx, &batch.lanes[lane]);
	pm_release(ctx, batch.lanes);
	pm_release(ctx, batch.lists);
	pm_release(ctx, batch.counts);
	return PM_OK;
}
