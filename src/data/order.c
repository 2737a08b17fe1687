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

typedef struct RowKey
{
	uint64_t	hash;
	int64_t		row;
} RowKey;

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

static int
compare_keys(const void *left, const void *right)
{
	uint64_t	a = ((const RowKey *) left)->hash;
	uint64_t	b = ((const RowKey *) right)->hash;

	return (a > b) - (a < b);
}

/*
 * Sort by hash, in place: hashes are uniform, so one American-flag pass over
 * their leading bits leaves small buckets for qsort.
 */
static PmStatus
sort_keys(PmContext *ctx, RowKey *keys, int64_t n)
{
	int			bits = 0;
	int			shift;
	int64_t    *starts;
	int64_t    *ends;
	int64_t		buckets;

	while (bits < 20 && (n >> bits) > 32)
		bits++;
	buckets = INT64_C(1) << bits;
	shift = 64 - bits;
	if (bits == 0)
	{
		qsort(keys, n, sizeof(RowKey), compare_keys);
		return PM_OK;
	}
	PM_TRY(pm_alloc_zero(ctx, "row order", buckets + 1, sizeof(int64_t), &starts));
	PM_TRY(pm_alloc(ctx, "row order", buckets, sizeof(int64_t), &ends));
	for (int64_t i = 0; i < n; i++)
		starts[(keys[i].hash >> shift) + 1]++;
	for (int64_t b = 0; b < buckets; b++)
	{
		starts[b + 1] += starts[b];
		ends[b] = starts[b];
	}
	for (int64_t b = 0; b < buckets; b++)
	{
		if (b % 1024 == 0 && pm_interrupted(ctx))
			return PM_CANCELLED;
		while (ends[b] < starts[b + 1])
		{
			RowKey		key = keys[ends[b]];
			int64_t		home = key.hash >> shift;

			while (home != b)
			{
				RowKey		displaced = keys[ends[home]];

				keys[ends[home]++] = key;
				key = displaced;
				home = key.hash >> shift;
			}
			keys[ends[b]++] = key;
		}
	}
	for (int64_t b = 0; b < buckets; b++)
	{
		if (b % 1024 == 0 && pm_interrupted(ctx))
			return PM_CANCELLED;
		qsort(keys + starts[b], starts[b + 1] - starts[b], sizeof(RowKey),
			  compare_keys);
	}
	pm_release(ctx, ends);
	pm_release(ctx, starts);
	return PM_OK;
}

/* One array whose rows are to be moved. */
typedef struct Moved
{
	char	   *base;
	size_t		size;
	char	   *held;			/* room for one row */
} Moved;

/*
 * Move rows within their arrays along the permutation's cycles: row i comes
 * from keys[i].row.  Marks a place as done by pointing it at itself.
 */
static PmStatus
permute_rows(PmContext *ctx, RowKey *keys, int64_t n, Moved *moved,
			 int moved_count)
{
	int64_t		steps = 0;

	for (int64_t start = 0; start < n; start++)
	{
		int64_t		to = start;

		if (keys[start].row == start)
			continue;
		for (int m = 0; m < moved_count; m++)
			memcpy(moved[m].held, moved[m].base + start * moved[m].size,
				   moved[m].size);
		for (;;)
		{
			int64_t		from = keys[to].row;

			keys[to].row = to;
			if (++steps % CHECK_INTERVAL == 0 && pm_interrupted(ctx))
				return PM_CANCELLED;
			if (from == start)
				break;
			for (int m = 0; m < moved_count; m++)
				memcpy(moved[m].base + to * moved[m].size,
					   moved[m].base + from * moved[m].size, moved[m].size);
			to = from;
		}
		for (int m = 0; m < moved_count; m++)
			memcpy(moved[m].base + to * moved[m].size, moved[m].held,
				   moved[m].size);
	}
	return PM_OK;
}

/* Rows of a multi-valued column, copied into their new order. */
static PmStatus
reorder_set(PmContext *ctx, PmFrameSet *set, const RowKey *keys, int64_t n)
{
	int64_t    *offsets;
	int32_t    *codes;

	PM_TRY(pm_alloc(ctx, "row order", n + 1, sizeof(int64_t), &offsets));
	PM_TRY(pm_alloc(ctx, "row order", set->offsets[n], sizeof(int32_t), &codes));
	offsets[0] = 0;
	for (int64_t i = 0; i < n; i++)
	{
		int64_t		from = set->offsets[keys[i].row];
		int64_t		count = set->offsets[keys[i].row + 1] - from;

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

static PmStatus
add_moved(PmContext *ctx, Moved *moved, int *count, void *base, size_t size)
{
	if (base == NULL || size == 0)
		return PM_OK;
	moved[*count].base = base;
	moved[*count].size = size;
	return pm_alloc(ctx, "row order", size, 1, &moved[(*count)++].held);
}

PmStatus
pm_frame_sort(PmContext *ctx, PmFrame *frame)
{
	RowKey	   *keys;
	Moved		moved[3];
	int			moved_count = 0;

	PM_TRY(pm_alloc(ctx, "row order", frame->n, sizeof(RowKey), &keys));
	for (int64_t i = 0; i < frame->n; i++)
	{
		if (i % CHECK_INTERVAL == 0 && pm_interrupted(ctx))
			return PM_CANCELLED;
		keys[i].hash = hash_row(frame, i);
		keys[i].row = i;
	}
	PM_TRY(sort_keys(ctx, keys, frame->n));
	for (int i = 0; i < frame->set_count; i++)
		PM_TRY(reorder_set(ctx, &frame->sets[i], keys, frame->n));
	PM_TRY(add_moved(ctx, moved, &moved_count, frame->dense,
					 frame->dense_width * sizeof(float)));
	PM_TRY(add_moved(ctx, moved, &moved_count, frame->codes,
					 frame->code_width * sizeof(int32_t)));
	PM_TRY(add_moved(ctx, moved, &moved_count, frame->weights, sizeof(float)));
	PM_TRY(permute_rows(ctx, keys, frame->n, moved, moved_count));
	for (int m = 0; m < moved_count; m++)
		pm_release(ctx, moved[m].held);
	pm_release(ctx, keys);
	return PM_OK;
}
