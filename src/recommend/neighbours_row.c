/*
 * neighbours_row.c
 *		The nearest rows of one row.
 *
 * What a row has in common with the others is summed up in an array that has
 * a place for each of them, column by column of the row (Gustavson 1978), and
 * the places touched are listed.
 */
#include "neighbours_lane.h"

#include <string.h>

/* Where more than so many times k come into question, a heap is better. */
#define SORTED_SHARE 4

/* Between two looks for interrupts while one row is asked for. */
#define CHECK_PLACES (1 << 20)

/* ---- one row ----------------------------------------------------------- */

/* Count the columns that each row has in common with one of [begin, end). */
static int32_t
count_common(const PmNeighbours *neighbours, PmNeighbourLane *lane, int64_t begin, int64_t end,
			 int32_t touched)
{
	const PmCsr *columns = neighbours->columns;

	for (int64_t i = begin; i < end; i++)
	{
		int32_t		column = neighbours->rows->indices[i];

		for (int64_t j = columns->offsets[column]; j < columns->offsets[column + 1]; j++)
		{
			int32_t		other = columns->indices[j];

			lane->touched[touched] = other;
			touched += lane->counts[other]++ == 0;
		}
	}
	return touched;
}

/* The same, with sums of products. */
static int32_t
sum_common(const PmNeighbours *neighbours, PmNeighbourLane *lane, int64_t begin, int64_t end,
		   int32_t touched)
{
	const PmCsr *columns = neighbours->columns;

	for (int64_t i = begin; i < end; i++)
	{
		int32_t		column = neighbours->rows->indices[i];
		double		x = neighbours->row_values[i];

		for (int64_t j = columns->offsets[column]; j < columns->offsets[column + 1]; j++)
		{
			int32_t		other = columns->indices[j];
			PmCommonSums	   *sums = &lane->sums[other];

			lane->touched[touched] = other;
			touched += sums->count++ == 0;
			sums->xy += x * neighbours->column_values[j];
		}
	}
	return touched;
}

/* The same, with all that a correlation takes. */
static int32_t
sum_moments(const PmNeighbours *neighbours, PmNeighbourLane *lane, int64_t begin, int64_t end,
			int32_t touched)
{
	const PmCsr *columns = neighbours->columns;

	for (int64_t i = begin; i < end; i++)
	{
		int32_t		column = neighbours->rows->indices[i];
		double		x = neighbours->row_values[i];

		for (int64_t j = columns->offsets[column]; j < columns->offsets[column + 1]; j++)
		{
			int32_t		other = columns->indices[j];
			PmCommonMoments    *moments = &lane->moments[other];
			double		y = neighbours->column_values[j];

			lane->touched[touched] = other;
			touched += moments->count++ == 0;
			moments->x += x;
			moments->y += y;
			moments->xx += x * x;
			moments->yy += y * y;
			moments->xy += x * y;
		}
	}
	return touched;
}

/* Some of a row's elements; gives the new number of places touched. */
static int32_t
add_elements(const PmNeighbours *neighbours, PmNeighbourLane *lane, int64_t begin, int64_t end,
			 int32_t touched)
{
	if (lane->counts != NULL)
		return count_common(neighbours, lane, begin, end, touched);
	if (lane->sums != NULL)
		return sum_common(neighbours, lane, begin, end, touched);
	return sum_moments(neighbours, lane, begin, end, touched);
}

PmStatus
pm_neighbour_lane_make(PmContext *ctx, const PmNeighbours *neighbours, int32_t k,
					   PmNeighbourLane *lane)
{
	size_t		rows = (size_t) neighbours->rows->rows;
	size_t		keys = (size_t) k * SORTED_SHARE + 1;
	static const char *const what = "what rows have in common";

	memset(lane, 0, sizeof(*lane));
	lane->key_count = (int32_t) (keys < rows ? keys : rows);
	PM_TRY(pm_alloc(ctx, what, rows + 1, sizeof(int32_t), &lane->touched));
	PM_TRY(pm_alloc(ctx, what, rows + 1, sizeof(int32_t), &lane->kept));
	PM_TRY(pm_alloc(ctx, what, rows + 1, sizeof(float), &lane->scores));
	PM_TRY(pm_alloc_zero(ctx, what, PM_SCORE_BUCKETS, sizeof(uint32_t), &lane->buckets));
	PM_TRY(pm_alloc(ctx, what, lane->key_count, sizeof(PmNeighbourKey), &lane->keys));
	PM_TRY(pm_alloc(ctx, what, lane->key_count, sizeof(PmNeighbourKey), &lane->spare_keys));
	if (neighbours->counts)
		return pm_alloc_zero(ctx, what, rows, sizeof(int32_t), &lane->counts);
	if (neighbours->options.metric == PM_NEIGHBOUR_PEARSON)
		return pm_alloc_zero(ctx, what, rows, sizeof(PmCommonMoments), &lane->moments);
	return pm_alloc_zero(ctx, what, rows, sizeof(PmCommonSums), &lane->sums);
}

void
pm_neighbour_lane_release(PmContext *ctx, PmNeighbourLane *lane)
{
	pm_release(ctx, lane->touched);
	pm_release(ctx, lane->kept);
	pm_release(ctx, lane->scores);
	pm_release(ctx, lane->buckets);
	pm_release(ctx, lane->keys);
	pm_release(ctx, lane->spare_keys);
	pm_release(ctx, lane->counts);
	pm_release(ctx, lane->sums);
	pm_release(ctx, lane->moments);
}

int32_t
pm_neighbour_lane_find(const PmNeighbours *neighbours, PmNeighbourLane *lane, int32_t row,
					   int32_t k, PmNeighbour *list)
{
	const PmCsr *rows = neighbours->rows;
	int32_t		touched = add_elements(neighbours, lane, rows->offsets[row],
									   rows->offsets[row + 1], 0);

	return pm_neighbour_rank(neighbours, lane, row, touched, k, list);
}

PmStatus
pm_neighbours_of_row(PmContext *ctx, const PmNeighbours *neighbours, int32_t row, int32_t k,
					 PmNeighbour *list, int32_t *count)
{
	const PmCsr *rows = neighbours->rows;
	const PmCsr *columns = neighbours->columns;
	int32_t		touched = 0;
	int64_t		places = 0;
	PmNeighbourLane		lane;

	*count = 0;
	PM_TRY(pm_neighbour_lane_make(ctx, neighbours, k, &lane));
	for (int64_t i = rows->offsets[row]; k > 0 && i < rows->offsets[row + 1]; i++)
	{
		int32_t		column = rows->indices[i];

		if (places >= CHECK_PLACES && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "neighbours were cancelled");
		places = places >= CHECK_PLACES ? 0 : places;
		places += columns->offsets[column + 1] - columns->offsets[column];
		touched = add_elements(neighbours, &lane, i, i + 1, touched);
	}
	*count = pm_neighbour_rank(neighbours, &lane, row, touched, k, list);
	pm_neighbour_lane_release(ctx, &lane);
	return PM_OK;
}
