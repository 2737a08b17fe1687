/*
 * order_in_place.c
 *		Rows sorted by their hashes where they are.
 *
 * American flag passes (McIlroy, Bostic and McIlroy 1993) move whole rows: a
 * pass writes along a few hundred streams and its buckets soon fit the cache,
 * where following a permutation through all of memory would miss it at every
 * step.  The buckets of the first pass are shared among threads.
 */
#include "postgres.h"

#include "order.h"

#define CHECK_INTERVAL (1 << 18)

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
	for (; at + sizeof(uint32_t) <= size; at += sizeof(uint32_t))
	{
		uint32_t	kept;

		memcpy(&kept, left + at, sizeof(kept));
		memcpy(left + at, right + at, sizeof(kept));
		memcpy(right + at, &kept, sizeof(kept));
	}
	for (; at < size; at++)
	{
		char		kept = left[at];

		left[at] = right[at];
		right[at] = kept;
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

/* Few rows: sort their numbers, then swap each row into its place. */
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
	for (int i = 0; i < count; i++)
	{
		int			from = order[i];

		while (from < i)		/* swapped away since: follow it */
			from = order[from];
		if (from != i)
			swap_rows(sorter, begin + i, begin + from);
	}
}

/*
 * One pass: rows [begin, end) into buckets by `bits` bits of their hash from
 * `shift` on; ends[b] is where bucket b ends.  With interrupts for the long
 * first pass, which runs on the caller's thread.
 */
static PmStatus
distribute(Sorter *sorter, int64_t begin, int64_t end, int shift, int bits,
		   bool interrupts, int64_t *ends)
{
	int64_t		next[1 << CACHED_BITS];
	int64_t		position = begin;
	int64_t		swaps = 0;
	int			buckets = 1 << bits;

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
			if (interrupts && ++swaps % CHECK_INTERVAL == 0 &&
				pm_interrupted(sorter->ctx))
				return PM_CANCELLED;
		}
#undef BUCKET
	return PM_OK;
}

/* Sort rows [begin, end), whose hashes differ in their low `left` bits only. */
static void
sort_range(Sorter *sorter, int64_t begin, int64_t end, int left)
{
	int64_t		ends[1 << CACHED_BITS];
	int			bits = pm_order_pass_bits(end - begin, left);

	if (end - begin <= LEAF_ROWS)
	{
		sort_leaf(sorter, begin, (int) (end - begin));
		return;
	}
	if (left == 0)
		return;					/* equal hashes */
	(void) distribute(sorter, begin, end, left - bits, bits, false, ends);
	for (int b = 0; b < 1 << bits; b++)
	{
		int64_t		first = b == 0 ? begin : ends[b - 1];

		if (ends[b] - first > 1)
			sort_range(sorter, first, ends[b], left - bits);
	}
}

/* Sort one bucket of the first pass. */
static void
sort_bucket(int64_t index, int lane, void *argument)
{
	Sorter	   *sorter = argument;
	int64_t		b = sorter->first_task + index;

	sort_range(sorter, b == 0 ? 0 : sorter->ends[b - 1], sorter->ends[b],
			   64 - STREAM_BITS);
}

PmStatus
pm_order_in_place(Sorter *sorter)
{
	int64_t		n = sorter->frame->n;

	if (n <= CACHED_ROWS)
	{
		sort_range(sorter, 0, n, 64);
		return PM_OK;
	}
	PM_TRY(distribute(sorter, 0, n, 64 - STREAM_BITS, STREAM_BITS, true,
					  sorter->ends));
	return pm_order_run(sorter, STREAMS, sort_bucket);
}

