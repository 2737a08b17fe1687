/*
 * neighbours_row.c
 *		The nearest rows of one row.
 *
 * What a row has in common with the others is summed up in an array that has
 * a place for each of them, column by column of the row (Gustavson 1978); the
 * places touched are listed, and a heap keeps the best of them.
 */
#include "neighbours_lane.h"

#include <math.h>
#include <string.h>

/* Between two looks for interrupts while one row is asked for. */
#define CHECK_PLACES (1 << 20)

/* The best so far, the worst of them first. */
typedef struct Heap
{
	PmNeighbour *list;
	int32_t		count;
	int32_t		size;
} Heap;

/* ---- the best ---------------------------------------------------------- */

static inline bool
is_worse(const PmNeighbour *a, const PmNeighbour *b)
{
	return a->similarity < b->similarity || (a->similarity == b->similarity && a->row > b->row);
}

/* Put one in at the root and let it sink to its place. */
static void
sink(PmNeighbour *list, int32_t count, PmNeighbour one)
{
	int32_t		at = 0;

	for (;;)
	{
		int32_t		child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && is_worse(&list[child + 1], &list[child]))
			child++;
		if (!is_worse(&list[child], &one))
			break;
		list[at] = list[child];
		at = child;
	}
	list[at] = one;
}

/* Keep one where it is good enough. */
static void
offer(Heap *heap, PmNeighbour one)
{
	int32_t		at = heap->count;

	if (heap->count == heap->size)
	{
		if (is_worse(&heap->list[0], &one))
			sink(heap->list, heap->size, one);
		return;
	}
	heap->count++;
	for (; at > 0 && is_worse(&one, &heap->list[(at - 1) / 2]); at = (at - 1) / 2)
		heap->list[at] = heap->list[(at - 1) / 2];
	heap->list[at] = one;
}

/* The best first. */
static void
order(Heap *heap)
{
	for (int32_t last = heap->count - 1; last > 0; last--)
	{
		PmNeighbour one = heap->list[last];

		heap->list[last] = heap->list[0];
		sink(heap->list, last, one);
	}
}

/* ---- similarities ------------------------------------------------------ */

/* To 44 bits: what is equal on paper shall be equal. */
static inline double
round_similarity(double value)
{
	uint64_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	bits = (bits + (UINT64_C(1) << 8)) & ~((UINT64_C(1) << 9) - 1);
	memcpy(&value, &bits, sizeof(bits));
	return value;
}

/* Offer a row whose similarity before shrinkage is known. */
static inline void
offer_row(const PmNeighbours *neighbours, Heap *heap, int32_t row, int64_t common,
		  double similarity)
{
	double		n = (double) common;
	PmNeighbour one = {round_similarity(similarity * (n / (n + neighbours->options.shrinkage))),
	row, (int32_t) common};

	offer(heap, one);
}

/* The similarity that has to be reached, about; -1 where any will do. */
static inline double
wanted(const Heap *heap)
{
	return heap->count == heap->size && heap->list[0].similarity > 0 ?
		heap->list[0].similarity * (1 - 1e-5) : -1;
}

/* A cosine from the sum of products; few get as far as the division. */
static inline void
offer_cosine(const PmNeighbours *neighbours, Heap *heap, int32_t row, int32_t other,
			 int64_t common, double sum)
{
	double		least = wanted(heap);

	if ((least > 0 && sum * neighbours->inverse[other] * neighbours->inverse[row] < least) ||
		neighbours->squares[other] <= 0)
		return;
	offer_row(neighbours, heap, other, common,
			  sum / sqrt(neighbours->squares[row] * neighbours->squares[other]));
}

static inline void
offer_jaccard(const PmNeighbours *neighbours, Heap *heap, int32_t row, int32_t other,
			  int64_t common)
{
	double		both = neighbours->squares[row] + neighbours->squares[other];
	double		least = wanted(heap);

	if (least > 0 && (double) common * (1 + least) < least * both)
		return;
	offer_row(neighbours, heap, other, common, (double) common / (both - (double) common));
}

/* A correlation from the moments, where neither side is constant. */
static inline void
offer_pearson(const PmNeighbours *neighbours, Heap *heap, int32_t other, const PmCommonMoments *m)
{
	double		n = (double) m->count;
	double		xx = n * m->xx - m->x * m->x;
	double		yy = n * m->yy - m->y * m->y;
	double		r;

	if (m->count < 2 || xx <= 1e-12 * n * m->xx || yy <= 1e-12 * n * m->yy)
		return;
	r = (n * m->xy - m->x * m->y) / sqrt(xx * yy);
	offer_row(neighbours, heap, other, m->count, r > 1 ? 1 : r < -1 ? -1 : r);
}

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

/* Offer what was touched, and leave the places as they were. */
static void
offer_touched(const PmNeighbours *neighbours, PmNeighbourLane *lane, int32_t row, int32_t touched,
			  Heap *heap)
{
	int32_t		least = neighbours->options.min_overlap;

	for (int32_t i = 0; i < touched; i++)
	{
		int32_t		other = lane->touched[i];

		if (lane->counts != NULL)
		{
			int32_t		common = lane->counts[other];

			lane->counts[other] = 0;
			if (other == row || common < least)
				continue;
			if (neighbours->options.metric == PM_NEIGHBOUR_JACCARD)
				offer_jaccard(neighbours, heap, row, other, common);
			else
				offer_cosine(neighbours, heap, row, other, common, common * neighbours->unit);
		}
		else if (lane->sums != NULL)
		{
			PmCommonSums		sums = lane->sums[other];

			memset(&lane->sums[other], 0, sizeof(PmCommonSums));
			if (other != row && sums.count >= least && neighbours->squares[row] > 0)
				offer_cosine(neighbours, heap, row, other, sums.count, sums.xy);
		}
		else
		{
			PmCommonMoments		moments = lane->moments[other];

			memset(&lane->moments[other], 0, sizeof(PmCommonMoments));
			if (other != row && moments.count >= least)
				offer_pearson(neighbours, heap, other, &moments);
		}
	}
	order(heap);
}

PmStatus
pm_neighbour_lane_make(PmContext *ctx, const PmNeighbours *neighbours, PmNeighbourLane *lane)
{
	size_t		rows = (size_t) neighbours->rows->rows;
	static const char *const what = "what rows have in common";

	memset(lane, 0, sizeof(*lane));
	PM_TRY(pm_alloc(ctx, what, rows + 1, sizeof(int32_t), &lane->touched));
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
	pm_release(ctx, lane->counts);
	pm_release(ctx, lane->sums);
	pm_release(ctx, lane->moments);
}

int32_t
pm_neighbour_lane_find(const PmNeighbours *neighbours, PmNeighbourLane *lane, int32_t row,
					   int32_t k, PmNeighbour *list)
{
	const PmCsr *rows = neighbours->rows;
	Heap		heap = {list, 0, k};
	int32_t		touched = add_elements(neighbours, lane, rows->offsets[row],
									   rows->offsets[row + 1], 0);

	offer_touched(neighbours, lane, row, touched, &heap);
	return heap.count;
}

PmStatus
pm_neighbours_of_row(PmContext *ctx, const PmNeighbours *neighbours, int32_t row, int32_t k,
					 PmNeighbour *list, int32_t *count)
{
	const PmCsr *rows = neighbours->rows;
	const PmCsr *columns = neighbours->columns;
	Heap		heap = {list, 0, k};
	int32_t		touched = 0;
	int64_t		places = 0;
	PmNeighbourLane		lane;

	*count = 0;
	PM_TRY(pm_neighbour_lane_make(ctx, neighbours, &lane));
	for (int64_t i = rows->offsets[row]; k > 0 && i < rows->offsets[row + 1]; i++)
	{
		int32_t		column = rows->indices[i];

		if (places >= CHECK_PLACES && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "neighbours were cancelled");
		places = places >= CHECK_PLACES ? 0 : places;
		places += columns->offsets[column + 1] - columns->offsets[column];
		touched = add_elements(neighbours, &lane, i, i + 1, touched);
	}
	offer_touched(neighbours, &lane, row, touched, &heap);
	*count = heap.count;
	pm_neighbour_lane_release(ctx, &lane);
	return PM_OK;
}
