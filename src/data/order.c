/*
 * order.c
 *		The canonical order of a frame's rows: by a hash of their content.
 *
 * Scans may start anywhere (synchronize_seqscans), run in parallel or follow
 * an index; sums in floating point and a seeded choice of rows depend on the
 * order.  Sorting by content makes a model a function of the rows alone, and
 * makes any prefix a random sample.  Rows of equal hash are taken as equal:
 * with 10 million distinct rows that is wrong with probability 3e-6, and
 * then costs only the independence of the scan's order.
 */
#include "postgres.h"

#include <math.h>

#include "pm_frame.h"
#include "pm_hash.h"

#define CHECK_INTERVAL (1 << 18)

/*
 * Bits of the hash that one pass looks at: few while its buckets are streams
 * through memory, more once they lie in the cache.
 */
#define STREAM_BITS 8
#define CACHED_BITS 10
#define CACHED_ROWS 65536

/* So few rows are sorted directly; the last pass aims at some of them. */
#define LEAF_ROWS 32
#define LEAF_AIM 8

/* Hash of one row's content. */
static uint64_t
hash_row(const PmFrame *frame, int64_t row)
{
	uint64_t	hash = pm_hash64(0, frame->dense + row * frame->dense_width,
								 frame->dense_width * sizeof(float));

	if (frame->code_width > 0)
		hash = pm_hash64(hash, frame->codes + row * frame->code_width,
						 frame->code_width * sizeof(int32_t));
	for (int i = 0; i < frame->set_count; i++)
	{
		const PmFrameSet *set = &frame->sets[i];

		hash = pm_hash64(hash, set->codes + set->offsets[row],
						 (set->offsets[row + 1] - set->offsets[row]) * sizeof(int32_t));
	}
	if (frame->weights != NULL)
		hash = pm_hash64(hash, frame->weights + row, sizeof(float));
	return hash;
}

/* An array with one element a row, to be moved along. */
typedef struct Moved
{
	char	   *base;
	size_t		size;
	char	   *held;			/* room for one element */
} Moved;

/*
 * The rows are sorted in place by American flag passes (McIlroy, Bostic and
 * McIlroy 1993) that move whole rows: a pass writes along a few hundred
 * streams and its buckets soon fit the cache, where following a permutation through
 * all of memory would miss it at every step.
 */
typedef struct Sorter
{
	PmContext  *ctx;
	uint64_t   *hashes;			/* also moved[0] */
	Moved		moved[5];
	int			moved_count;
} Sorter;

/* Swap two elements, 32 bytes at a time and what is left. */
static inline void
swap_elements(char *left, char *right, size_t size)
{
	typedef uint64_t Chunk __attribute__((vector_size(32)));
	size_t		at = 0;
	Chunk		a;
	Chunk		b;

	for (; at + sizeof(Chunk) <= size; at += sizeof(Chunk))
	{
		memcpy(&a, left + at, sizeof(Chunk));
		memcpy(&b, right + at, sizeof(Chunk));
		memcpy(left + at, &b, sizeof(Chunk));
		memcpy(right + at, &a, sizeof(Chunk));
	}
	for (; at < size; at += sizeof(uint32_t))
	{
		uint32_t	kept;

		memcpy(&kept, left + at, sizeof(kept));
		memcpy(left + at, right + at, sizeof(kept));
		memcpy(right + at, &kept, sizeof(kept));
	}
}

/*
 * Swap two rows.  The right one is the head of one of a few hundred streams,
 * too many for the processor to foresee: what it will need next is asked for
 * here.
 */
static inline void
swap_rows(Sorter *sorter, int64_t left, int64_t right)
{
	for (int m = 0; m < sorter->moved_count; m++)
	{
		Moved	   *moved = &sorter->moved[m];
		char	   *head = moved->base + right * moved->size;

		__builtin_prefetch(head + Max(2 * moved->size, 128), 1);
		swap_elements(moved->base + left * moved->size, head, moved->size);
	}
}

/* Few rows: sort their numbers, then move each row once along the cycles. */
static void
sort_leaf(Sorter *sorter, int64_t begin, int count)
{
	const uint64_t *hashes = sorter->hashes + begin;
	int			order[LEAF_ROWS];

	for (int i = 0; i < count; i++)
	{
		int			at = i;

		for (; at > 0 && hashes[order[at - 1]] > hashes[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	for (int start = 0; start < count; start++)
	{
		int			to = start;

		if (order[start] == start)
			continue;
		for (int m = 0; m < sorter->moved_count; m++)
		{
			Moved	   *moved = &sorter->moved[m];

			memcpy(moved->held, moved->base + (begin + start) * moved->size,
				   moved->size);
		}
		for (int from = order[to]; from != start; from = order[to])
		{
			for (int m = 0; m < sorter->moved_count; m++)
			{
				Moved	   *moved = &sorter->moved[m];

				memcpy(moved->base + (begin + to) * moved->size,
					   moved->base + (begin + from) * moved->size, moved->size);
			}
			order[to] = to;
			to = from;
		}
		order[to] = to;
		for (int m = 0; m < sorter->moved_count; m++)
		{
			Moved	   *moved = &sorter->moved[m];

			memcpy(moved->base + (begin + to) * moved->size, moved->held,
				   moved->size);
		}
	}
}

/* Bits for one pass over so many rows, of those that are left. */
static int
pass_bits(int64_t rows, int left)
{
	int			bits = STREAM_BITS;

	if (rows <= CACHED_ROWS)
		for (bits = 1; bits < CACHED_BITS && (rows >> bits) > LEAF_AIM;)
			bits++;
	return Min(bits, left);
}

/* Sort rows [begin, end), whose hashes differ in their low `left` bits only. */
static PmStatus
sort_range(Sorter *sorter, int64_t begin, int64_t end, int left)
{
	int64_t		next[1 << CACHED_BITS];
	int64_t		ends[1 << CACHED_BITS];
	int64_t		position = begin;
	int			bits = pass_bits(end - begin, left);
	int			buckets = 1 << bits;
	int			shift = left - bits;

	if (end - begin <= LEAF_ROWS)
	{
		sort_leaf(sorter, begin, (int) (end - begin));
		return PM_OK;
	}
	if (left == 0)
		return PM_OK;			/* equal hashes */
	if (pm_interrupted(sorter->ctx))
		return PM_CANCELLED;
#define BUCKET(row) ((sorter->hashes[row] >> shift) & (buckets - 1))
	memset(ends, 0, buckets * sizeof(int64_t));
	for (int64_t row = begin; row < end; row++)
		ends[BUCKET(row)]++;
	for (int b = 0; b < buckets; b++)
	{
		next[b] = position;
		position += ends[b];
		ends[b] = position;
	}
	for (int b = 0; b < buckets; b++)
		while (next[b] < ends[b])
		{
			int			home = BUCKET(next[b]);

			if (home == b)
				next[b]++;
			else
				swap_rows(sorter, next[b], next[home]++);
		}
#undef BUCKET
	for (int b = 0; b < buckets; b++)
	{
		int64_t		first = b == 0 ? begin : ends[b - 1];

		if (ends[b] - first > 1)
			PM_TRY(sort_range(sorter, first, ends[b], shift));
	}
	return PM_OK;
}

/* Rows of a multi-valued column, copied into their new order. */
static PmStatus
reorder_set(PmContext *ctx, PmFrameSet *set, const int64_t *from_row,
			int64_t n)
{
	int64_t    *offsets;
	int32_t    *codes;

	PM_TRY(pm_alloc(ctx, "row order", n + 1, sizeof(int64_t), &offsets));
	PM_TRY(pm_alloc(ctx, "row order", set->offsets[n], sizeof(int32_t), &codes));
	offsets[0] = 0;
	for (int64_t i = 0; i < n; i++)
	{
		int64_t		from = set->offsets[from_row[i]];
		int64_t		count = set->offsets[from_row[i] + 1] - from;

		if (i % CHECK_INTERVAL == 0 && pm_interrupted(ctx))
			return PM_CANCELLED;
		if (count > 0)
			memcpy(codes + offsets[i], set->codes + from, count * sizeof(int32_t));
		offsets[i + 1] = offsets[i] + count;
	}
	pm_release(ctx, set->offsets);
	pm_release(ctx, set->codes);
	set->offsets = offsets;
	set->codes = codes;
	return PM_OK;
}

/* Have an array moved along; NULL has nothing to move. */
static PmStatus
add_moved(Sorter *sorter, void *base, size_t size)
{
	Moved	   *moved = &sorter->moved[sorter->moved_count];

	if (base == NULL || size == 0)
		return PM_OK;
	moved->base = base;
	moved->size = size;
	sorter->moved_count++;
	return pm_alloc(sorter->ctx, "row order", size, 1, &moved->held);
}

PmStatus
pm_frame_sort(PmContext *ctx, PmFrame *frame)
{
	Sorter		sorter = {ctx};
	int64_t    *from_row = NULL;

	PM_TRY(pm_alloc(ctx, "row order", frame->n, sizeof(uint64_t), &sorter.hashes));
	if (frame->set_count > 0)
		PM_TRY(pm_alloc(ctx, "row order", frame->n, sizeof(int64_t), &from_row));
	for (int64_t i = 0; i < frame->n; i++)
	{
		if (i % CHECK_INTERVAL == 0 && pm_interrupted(ctx))
			return PM_CANCELLED;
		sorter.hashes[i] = hash_row(frame, i);
		if (from_row != NULL)
			from_row[i] = i;
	}
	PM_TRY(add_moved(&sorter, sorter.hashes, sizeof(uint64_t)));
	PM_TRY(add_moved(&sorter, frame->dense, frame->dense_width * sizeof(float)));
	PM_TRY(add_moved(&sorter, frame->codes, frame->code_width * sizeof(int32_t)));
	PM_TRY(add_moved(&sorter, frame->weights, sizeof(float)));
	PM_TRY(add_moved(&sorter, from_row, sizeof(int64_t)));
	PM_TRY(sort_range(&sorter, 0, frame->n, 64));
	for (int i = 0; i < frame->set_count; i++)
		PM_TRY(reorder_set(ctx, &frame->sets[i], from_row, frame->n));
	for (int m = 0; m < sorter.moved_count; m++)
		pm_release(ctx, sorter.moved[m].held);
	pm_release(ctx, from_row);
	pm_release(ctx, sorter.hashes);
	return PM_OK;
}
