/*
 * order_copy.c
 *		Rows sorted by their hashes, from their arrays into copies and back.
 *
 * The first pass scatters all rows into the copies, each thread some pieces of
 * them: every piece has its own places in every bucket.  A bucket fits the
 * cache, so that its order can be found on numbers and followed while its rows
 * are copied back.
 */
#include "postgres.h"

#include "order.h"

/* Rows of a piece of the first pass. */
#define PIECE_ROWS 32768

typedef struct Copies
{
	Moved		moved[MAX_MOVED];	/* the copies of sorter->moved */
	int64_t    *next;			/* piece * STREAMS: where its next row goes */
	int64_t		scratch_rows;	/* of each lane's scratch */
	uint32_t   *scratch;		/* lane * 2 * scratch_rows */
} Copies;

/* One element, inlined for the usual sizes. */
static inline void
copy_element(char *to, const char *from, size_t size)
{
	switch (size)
	{
		case 1:
			*to = *from;
			break;
		case 4:
			memcpy(to, from, 4);
			break;
		case 8:
			memcpy(to, from, 8);
			break;
		case 32:
			memcpy(to, from, 32);
			break;
		default:
			memcpy(to, from, size);
			break;
	}
}

/* ---- the first pass --------------------------------------------------- */

static inline int
stream_of(uint64_t hash)
{
	return (int) (hash >> (64 - STREAM_BITS));
}

/* The rows of a piece. */
static int64_t
piece_rows(const Sorter *sorter, int64_t piece)
{
	return Min(PIECE_ROWS, sorter->frame->n - piece * PIECE_ROWS);
}

/* How many rows of a piece go into each bucket. */
static void
count_piece(int64_t index, int lane, void *argument)
{
	Sorter	   *sorter = argument;
	int64_t		piece = sorter->first_task + index;
	int64_t		rows = piece_rows(sorter, piece);
	const uint64_t *hashes = sorter->hashes + piece * PIECE_ROWS;
	int64_t    *counts = sorter->copies->next + piece * STREAMS;

	memset(counts, 0, STREAMS * sizeof(int64_t));
	for (int64_t i = 0; i < rows; i++)
		counts[stream_of(hashes[i])]++;
}

/* Counts become places: bucket by bucket, in it piece by piece. */
static void
find_places(Sorter *sorter, int64_t pieces)
{
	int64_t    *next = sorter->copies->next;
	int64_t		place = 0;

	for (int b = 0; b < STREAMS; b++)
	{
		for (int64_t piece = 0; piece < pieces; piece++)
		{
			int64_t		count = next[piece * STREAMS + b];

			next[piece * STREAMS + b] = place;
			place += count;
		}
		sorter->ends[b] = place;
	}
}

/* A piece's rows to their places: array by array, so that streams are few. */
static void
scatter_piece(int64_t index, int lane, void *argument)
{
	Sorter	   *sorter = argument;
	Copies	   *copies = sorter->copies;
	int64_t		piece = sorter->first_task + index;
	int64_t		first = piece * PIECE_ROWS;
	int64_t		rows = piece_rows(sorter, piece);
	int64_t    *next = copies->next + piece * STREAMS;
	uint32_t   *places = copies->scratch + lane * 2 * copies->scratch_rows;

	for (int64_t i = 0; i < rows; i++)
		places[i] = (uint32_t) next[stream_of(sorter->hashes[first + i])]++;
	for (int m = 0; m < sorter->moved_count; m++)
	{
		size_t		size = sorter->moved[m].size;
		const char *from = sorter->moved[m].base + first * size;
		char	   *to = copies->moved[m].base;

		for (int64_t i = 0; i < rows; i++)
			copy_element(to + places[i] * size, from + i * size, size);
	}
}

/* ---- a bucket --------------------------------------------------------- */

/* Few rows: sort their numbers by insertion. */
static void
sort_few(const uint64_t *hashes, uint32_t *order, int count)
{
	for (int i = 1; i < count; i++)
	{
		uint32_t	moving = order[i];
		int			at = i;

		for (; at > 0 && hashes[order[at - 1]] > hashes[moving]; at--)
			order[at] = order[at - 1];
		order[at] = moving;
	}
}

/* Sort numbers of rows whose hashes differ in their low `left` bits only. */
static void
sort_order(const uint64_t *hashes, uint32_t *order, uint32_t *other,
		   int64_t count, int left)
{
	int64_t		ends[1 << CACHED_BITS];
	int			bits = pm_order_pass_bits(count, left);
	int			shift = left - bits;
	int			mask = (1 << bits) - 1;
	int64_t		place = 0;

	if (count <= LEAF_ROWS)
	{
		sort_few(hashes, order, (int) count);
		return;
	}
	if (left == 0)
		return;					/* equal hashes */
	memset(ends, 0, (mask + 1) * sizeof(int64_t));
	for (int64_t i = 0; i < count; i++)
		ends[(hashes[order[i]] >> shift) & mask]++;
	for (int b = 0; b <= mask; b++)
	{
		int64_t		rows = ends[b];

		ends[b] = place;
		place += rows;
	}
	for (int64_t i = 0; i < count; i++)
		other[ends[(hashes[order[i]] >> shift) & mask]++] = order[i];
	memcpy(order, other, count * sizeof(uint32_t));
	for (int b = 0; b <= mask; b++)
	{
		int64_t		first = b == 0 ? 0 : ends[b - 1];

		if (ends[b] - first > 1)
			sort_order(hashes, order + first, other + first, ends[b] - first, shift);
	}
}

/* A bucket's rows back, in order. */
static void
gather_bucket(int64_t index, int lane, void *argument)
{
	Sorter	   *sorter = argument;
	Copies	   *copies = sorter->copies;
	int64_t		b = sorter->first_task + index;
	int64_t		first = b == 0 ? 0 : sorter->ends[b - 1];
	int64_t		rows = sorter->ends[b] - first;
	uint32_t   *order = copies->scratch + lane * 2 * copies->scratch_rows;

	for (int64_t i = 0; i < rows; i++)
		order[i] = (uint32_t) i;
	sort_order((const uint64_t *) copies->moved[0].base + first, order,
			   order + copies->scratch_rows, rows, 64 - STREAM_BITS);
	for (int m = 0; m < sorter->moved_count; m++)
	{
		size_t		size = sorter->moved[m].size;
		const char *from = copies->moved[m].base + first * size;
		char	   *to = sorter->moved[m].base + first * size;

		for (int64_t i = 0; i < rows; i++)
			copy_element(to + i * size, from + order[i] * size, size);
	}
}

/* ---- all -------------------------------------------------------------- */

static void
close_copies(Sorter *sorter)
{
	Copies	   *copies = sorter->copies;

	for (int m = 0; m < sorter->moved_count; m++)
		pm_release(sorter->ctx, copies->moved[m].base);
	pm_release(sorter->ctx, copies->next);
	pm_release(sorter->ctx, copies->scratch);
}

/* Room for each lane to number so many rows. */
static PmStatus
reserve_scratch(Sorter *sorter, int64_t rows)
{
	Copies	   *copies = sorter->copies;

	pm_release(sorter->ctx, copies->scratch);
	copies->scratch_rows = rows;
	return pm_alloc(sorter->ctx, "row order", 2 * (size_t) Max(1, sorter->ctx->threads) * rows,
					sizeof(uint32_t), &copies->scratch);
}

static PmStatus
open_copies(Sorter *sorter, int64_t pieces)
{
	Copies	   *copies = sorter->copies;

	for (int m = 0; m < sorter->moved_count; m++)
		PM_TRY(pm_alloc(sorter->ctx, "row order", sorter->frame->n, sorter->moved[m].size,
						&copies->moved[m].base));
	PM_TRY(pm_alloc(sorter->ctx, "row order", pieces * STREAMS, sizeof(int64_t), &copies->next));
	return reserve_scratch(sorter, PIECE_ROWS);
}

/* Rows that the largest bucket has. */
static int64_t
largest_bucket(const Sorter *sorter)
{
	int64_t		largest = sorter->ends[0];

	for (int b = 1; b < STREAMS; b++)
		largest = Max(largest, sorter->ends[b] - sorter->ends[b - 1]);
	return largest;
}

PmStatus
pm_order_by_copy(Sorter *sorter, bool *done)
{
	Copies		copies = {0};
	int64_t		pieces = (sorter->frame->n + PIECE_ROWS - 1) / PIECE_ROWS;
	PmStatus	status;

	sorter->copies = &copies;
	*done = false;
	status = open_copies(sorter, pieces);
	if (status == PM_OK)
		status = pm_order_run(sorter, pieces, count_piece);
	if (status == PM_OK)
	{
		find_places(sorter, pieces);
		status = pm_order_run(sorter, pieces, scatter_piece);
	}
	if (status == PM_OK)
		status = reserve_scratch(sorter, largest_bucket(sorter));
	if (status == PM_OK)
		status = pm_order_run(sorter, STREAMS, gather_bucket);
	*done = status == PM_OK;
	close_copies(sorter);
	return status == PM_MEMORY_LIMIT || status == PM_NO_MEMORY ? PM_OK : status;
}
