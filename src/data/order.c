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

#include "pm_device.h"
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

/* Rows that a task hashes, and tasks between two looks for interrupts. */
#define HASH_ROWS 16384
#define TASKS_AT_ONCE 32

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
	if (frame->labels != NULL)
		hash = pm_mix64(hash + frame->labels[row]);
	if (frame->times != NULL)
		hash = pm_hash64(hash, frame->times + row, sizeof(double));
	return hash;
}

/* An array with one element a row, to be moved along. */
typedef struct Moved
{
	char	   *base;
	size_t		size;
} Moved;

/*
 * The rows are sorted in place by American flag passes (McIlroy, Bostic and
 * McIlroy 1993) that move whole rows: a pass writes along a few hundred
 * streams and its buckets soon fit the cache, where following a permutation
 * through all of memory would miss it at every step.  The buckets of the
 * first pass are shared among threads.
 */
typedef struct Sorter
{
	PmContext  *ctx;
	const PmFrame *frame;
	uint64_t   *hashes;			/* also moved[0] */
	Moved		moved[8];
	int			moved_count;
	int64_t		ends[1 << STREAM_BITS]; /* of the first pass's buckets */
	int64_t		first_task;		/* of the tasks that run now */
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
	int			bits = pass_bits(end - begin, left);

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

/* Hash a chunk of rows. */
static void
hash_chunk(int64_t index, int lane, void *argument)
{
	Sorter	   *sorter = argument;
	int64_t		begin = (sorter->first_task + index) * HASH_ROWS;
	int64_t		end = Min(begin + HASH_ROWS, sorter->frame->n);

	for (int64_t row = begin; row < end; row++)
		sorter->hashes[row] = hash_row(sorter->frame, row);
}

/* Tasks in threads, where there are any, with interrupts now and then. */
static PmStatus
run_tasks(Sorter *sorter, int64_t count, PmTask task)
{
	PmContext  *ctx = sorter->ctx;

	for (int64_t first = 0; first < count; first += TASKS_AT_ONCE)
	{
		int64_t		tasks = Min(count - first, TASKS_AT_ONCE);

		if (pm_interrupted(ctx))
			return PM_CANCELLED;
		sorter->first_task = first;
		if (ctx->device != NULL)
			ctx->device->parallel_for(ctx, tasks, task, sorter);
		else
			for (int64_t i = 0; i < tasks; i++)
				task(i, 0, sorter);
	}
	return PM_OK;
}

/* Sort all rows by their hashes. */
static PmStatus
sort_rows(Sorter *sorter)
{
	int64_t		n = sorter->frame->n;

	if (n <= CACHED_ROWS)
	{
		sort_range(sorter, 0, n, 64);
		return PM_OK;
	}
	PM_TRY(distribute(sorter, 0, n, 64 - STREAM_BITS, STREAM_BITS, true,
					  sorter->ends));
	return run_tasks(sorter, 1 << STREAM_BITS, sort_bucket);
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
static void
add_moved(Sorter *sorter, void *base, size_t size)
{
	Moved	   *moved = &sorter->moved[sorter->moved_count];

	if (base == NULL || size == 0)
		return;
	moved->base = base;
	moved->size = size;
	sorter->moved_count++;
}

PmStatus
pm_frame_sort(PmContext *ctx, PmFrame *frame)
{
	Sorter		sorter = {ctx, frame};
	int64_t    *from_row = NULL;

	PM_TRY(pm_alloc(ctx, "row order", frame->n, sizeof(uint64_t), &sorter.hashes));
	PM_TRY(run_tasks(&sorter, (frame->n + HASH_ROWS - 1) / HASH_ROWS, hash_chunk));
	if (frame->set_count > 0)
	{
		PM_TRY(pm_alloc(ctx, "row order", frame->n, sizeof(int64_t), &from_row));
		for (int64_t i = 0; i < frame->n; i++)
			from_row[i] = i;
	}
	add_moved(&sorter, sorter.hashes, sizeof(uint64_t));
	add_moved(&sorter, frame->dense, frame->dense_width * sizeof(float));
	add_moved(&sorter, frame->codes, frame->code_width * sizeof(int32_t));
	add_moved(&sorter, frame->weights, sizeof(float));
	add_moved(&sorter, frame->labels, sizeof(uint8_t));
	add_moved(&sorter, frame->times, sizeof(double));
	add_moved(&sorter, frame->ordinals, sizeof(int64_t));
	add_moved(&sorter, from_row, sizeof(int64_t));
	PM_TRY(sort_rows(&sorter));
	for (int i = 0; i < frame->set_count; i++)
		PM_TRY(reorder_set(ctx, &frame->sets[i], from_row, frame->n));
	pm_release(ctx, from_row);
	pm_release(ctx, sorter.hashes);
	return PM_OK;
}
