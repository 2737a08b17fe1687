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

#include "order.h"
#include "pm_hash.h"

#define CHECK_INTERVAL (1 << 18)

/* Rows that a task hashes, and tasks between two looks for interrupts. */
#define HASH_ROWS 16384
#define TASKS_AT_ONCE 32

/* Rows that the last pass aims at. */
#define LEAF_AIM 8

/* A copy is made of rows up to so many bytes. */
#define COPY_BYTES ((size_t) 1 << 29)

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

PmStatus
pm_order_run(Sorter *sorter, int64_t count, PmTask task)
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

int
pm_order_pass_bits(int64_t rows, int left)
{
	int			bits = STREAM_BITS;

	if (rows <= CACHED_ROWS)
		for (bits = 1; bits < CACHED_BITS && (rows >> bits) > LEAF_AIM;)
			bits++;
	return Min(bits, left);
}

/* Sort all rows by their hashes. */
static PmStatus
sort_rows(Sorter *sorter)
{
	size_t		width = 0;
	bool		done = false;

	for (int m = 0; m < sorter->moved_count; m++)
		width += sorter->moved[m].size;
	if (sorter->frame->n > CACHED_ROWS && sorter->frame->n < COPY_BYTES / width)
		PM_TRY(pm_order_by_copy(sorter, &done));
	return done ? PM_OK : pm_order_in_place(sorter);
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
	PM_TRY(pm_order_run(&sorter, (frame->n + HASH_ROWS - 1) / HASH_ROWS, hash_chunk));
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
