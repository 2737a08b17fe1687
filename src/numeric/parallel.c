/*
 * parallel.c
 *		Work in many pieces, on the device's threads, that can be cancelled.
 */
#include "pm_parallel.h"

/* Between two looks for interrupts, on each thread. */
#define BATCH_WORK 2e7

/* What is done before another thread would have woken up. */
#define SERIAL_WORK 1e5

/* A batch starts at an index of its own. */
typedef struct Batch
{
	PmTask		task;
	void	   *argument;
	int64_t		first;
} Batch;

static void
run_in_batch(int64_t index, int lane, void *argument)
{
	const Batch *batch = argument;

	batch->task(batch->first + index, lane, batch->argument);
}

PmStatus
pm_parallel(PmContext *ctx, const char *what, int64_t count, double work,
			PmTask task, void *argument)
{
	Batch		batch = {task, argument, 0};
	int64_t		threads = ctx->device == NULL || ctx->threads < 1 ? 1 : ctx->threads;
	double		wanted = BATCH_WORK * (double) threads / work;
	int64_t		size = threads;

	if (!(wanted < (double) count))
		size = count;
	else if (wanted > (double) size)
		size = (int64_t) wanted;
	for (; batch.first < count; batch.first += size)
	{
		int64_t		left = count - batch.first;

		if (pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "%s was cancelled", what);
		if (left > size)
			left = size;
		if (threads > 1 && work * (double) left > SERIAL_WORK)
			ctx->device->parallel_for(ctx, left, run_in_batch, &batch);
		else
			for (int64_t i = 0; i < left; i++)
				run_in_batch(i, 0, &batch);
	}
	return PM_OK;
}
