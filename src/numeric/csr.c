/*
 * csr.c
 *		The transpose of a sparse matrix.
 *
 * The columns of each piece of rows are counted, so that every piece has its
 * own places in every column: threads write without meeting, and the result
 * is the same for any number of them.
 */
#include "pm_csr.h"

#include <string.h>

#include "pm_parallel.h"

/* Pieces that rows are cut into: each has a count for every column. */
#define MAX_PIECES 8

/* What an element costs, in nanoseconds: mostly a miss of the cache. */
#define ELEMENT_TIME 10.0

typedef struct Transpose
{
	const PmCsr *from;
	PmCsr	   *to;
	int			pieces;
	int64_t    *places;			/* piece * columns: where its next one goes */
} Transpose;

/* The rows of a piece: of about as many elements as the others'. */
static int32_t
first_row(const Transpose *transpose, int64_t piece)
{
	const PmCsr *from = transpose->from;
	int64_t		wanted = pm_csr_count(from) / transpose->pieces * piece;
	int32_t		low = 0;
	int32_t		high = from->rows;

	if (piece == transpose->pieces)
		return from->rows;
	while (low < high)
	{
		int32_t		middle = low + (high - low) / 2;

		if (from->offsets[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
count_piece(int64_t piece, int lane, void *argument)
{
	const Transpose *transpose = argument;
	const PmCsr *from = transpose->from;
	int64_t    *counts = transpose->places + piece * from->columns;
	int64_t		end = from->offsets[first_row(transpose, piece + 1)];

	(void) lane;
	memset(counts, 0, from->columns * sizeof(int64_t));
	for (int64_t i = from->offsets[first_row(transpose, piece)]; i < end; i++)
		counts[from->indices[i]]++;
}

/* Counts become places: column by column, in it piece by piece. */
static void
find_places(Transpose *transpose)
{
	int32_t		columns = transpose->from->columns;
	int64_t		place = 0;

	for (int32_t column = 0; column < columns; column++)
	{
		transpose->to->offsets[column] = place;
		for (int piece = 0; piece < transpose->pieces; piece++)
		{
			int64_t    *next = &transpose->places[(int64_t) piece * columns + column];
			int64_t		count = *next;

			*next = place;
			place += count;
		}
	}
	transpose->to->offsets[columns] = place;
}

static void
write_piece(int64_t piece, int lane, void *argument)
{
	const Transpose *transpose = argument;
	const PmCsr *from = transpose->from;
	PmCsr	   *to = transpose->to;
	int64_t    *next = transpose->places + piece * from->columns;
	int32_t		end = first_row(transpose, piece + 1);

	(void) lane;
	for (int32_t row = first_row(transpose, piece); row < end; row++)
		for (int64_t i = from->offsets[row]; i < from->offsets[row + 1]; i++)
		{
			int64_t		at = next[from->indices[i]]++;

			to->indices[at] = row;
			to->values[at] = from->values[i];
		}
}

static PmStatus
transpose_pieces(PmContext *ctx, Transpose *transpose)
{
	double		work = ELEMENT_TIME * (double) pm_csr_count(transpose->from) / transpose->pieces;

	PM_TRY(pm_parallel(ctx, "a transpose", transpose->pieces, work, count_piece, transpose));
	find_places(transpose);
	return pm_parallel(ctx, "a transpose", transpose->pieces, work, write_piece, transpose);
}

PmStatus
pm_csr_transpose(PmContext *ctx, const PmCsr *matrix, PmCsr *transposed)
{
	Transpose	transpose = {.from = matrix,.to = transposed,.pieces = MAX_PIECES};
	size_t		count = (size_t) pm_csr_count(matrix);
	PmStatus	status;

	memset(transposed, 0, sizeof(*transposed));
	transposed->rows = matrix->columns;
	transposed->columns = matrix->rows;
	PM_TRY(pm_alloc(ctx, "the transpose", (size_t) matrix->columns + 1, sizeof(int64_t),
					&transposed->offsets));
	PM_TRY(pm_alloc(ctx, "the transpose", count, sizeof(int32_t), &transposed->indices));
	PM_TRY(pm_alloc(ctx, "the transpose", count, sizeof(float), &transposed->values));
	PM_TRY(pm_alloc(ctx, "the transpose", (size_t) MAX_PIECES * matrix->columns, sizeof(int64_t),
					&transpose.places));
	status = transpose_pieces(ctx, &transpose);
	pm_release(ctx, transpose.places);
	return status;
}

void
pm_csr_release(PmContext *ctx, PmCsr *matrix)
{
	pm_release(ctx, matrix->offsets);
	pm_release(ctx, matrix->indices);
	pm_release(ctx, matrix->values);
	memset(matrix, 0, sizeof(*matrix));
}
