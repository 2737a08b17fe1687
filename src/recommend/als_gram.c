/*
 * als_gram.c
 *		Sums of outer products over very many vectors: all of one side, or the
 *		longest rows.
 *
 * Chunks of vectors are summed in floats on threads, and their sums added in
 * doubles, chunk after chunk: the result does not depend on the threads.
 */
#include "als.h"

#include "pm_parallel.h"

#include <string.h>

/* Vectors of a chunk. */
#define CHUNK 2048

/* Numbers of the chunks' sums that are held at a time: 16 MB. */
#define HELD ((size_t) 4 << 20)
#define MAX_HELD 16

/* Nanoseconds of a multiplication, about. */
#define MULTIPLY_TIME 0.02

typedef struct Summing
{
	const AlsSide *side;
	const AlsRow *row;
	int64_t		first;			/* chunk of this batch */
	size_t		size;			/* numbers of a chunk's sums */
	float	   *sums;			/* by chunk of the batch: matrix and target */
	float	   *packed;			/* by chunk of the batch */
} Summing;

/* One chunk's sums; its place in the batch is its scratch. */
static void
sum_chunk(int64_t index, int lane, void *argument)
{
	const Summing *summing = argument;
	const AlsSide *side = summing->side;
	size_t		padded = (size_t) side->padded;
	float	   *sums = summing->sums + (size_t) index * summing->size;
	float	   *packed = summing->packed + (size_t) index * (size_t) side->block * padded;
	int64_t		at = (summing->first + index) * CHUNK;
	int64_t		end = summing->row->count - at < CHUNK ? summing->row->count : at + CHUNK;

	(void) lane;
	memset(sums, 0, summing->size * sizeof(float));
	for (; at < end; at += side->block)
	{
		int			count = end - at < side->block ? (int) (end - at) : side->block;

		pm_als_pack(side, summing->row, at, count, packed, sums + padded * padded);
		pm_als_square((int) padded, count, packed, padded, sums);
	}
}

/* Batches of chunks, and their sums. */
static PmStatus
sum_chunks(PmContext *ctx, Summing *summing, int held, double *sums,
		   double *target)
{
	size_t		padded = (size_t) summing->side->padded;
	int64_t		chunks = (summing->row->count + CHUNK - 1) / CHUNK;
	double		work = MULTIPLY_TIME * CHUNK * (double) (padded * padded);

	for (; summing->first < chunks; summing->first += held)
	{
		int64_t		left = chunks - summing->first < held ? chunks - summing->first : held;

		PM_TRY(pm_parallel(ctx, "alternating least squares", left, work, sum_chunk, summing));
		for (int64_t c = 0; c < left; c++)
		{
			const float *from = summing->sums + (size_t) c * summing->size;

			for (size_t i = 0; i < padded; i++)
				for (size_t j = i; j < padded; j++)
					sums[i * padded + j] += from[i * padded + j];
			for (size_t j = 0; j < padded; j++)
				target[j] += from[padded * padded + j];
		}
	}
	return PM_OK;
}

PmStatus
pm_als_sum_row(PmContext *ctx, const AlsSide *side, const AlsRow *row,
			   double *sums, double *target)
{
	size_t		padded = (size_t) side->padded;
	Summing		summing = {.side = side,.row = row,.size = padded * padded + padded};
	int64_t		held = (row->count + CHUNK - 1) / CHUNK;
	PmStatus	status;

	if (held > MAX_HELD)
		held = MAX_HELD;
	if (held > (int64_t) (HELD / summing.size))
		held = (int64_t) (HELD / summing.size);
	if (held < 1)
		held = 1;
	memset(sums, 0, padded * padded * sizeof(double));
	memset(target, 0, padded * sizeof(double));
	status = pm_alloc(ctx, "sums of products", (size_t) held * summing.size, sizeof(float),
					  &summing.sums);
	/* zeros: numbers that pad a vector are never written */
	if (status == PM_OK)
		status = pm_alloc_zero(ctx, "packed vectors", (size_t) held * (size_t) side->block * padded,
							   sizeof(float), &summing.packed);
	if (status == PM_OK)
		status = sum_chunks(ctx, &summing, (int) held, sums, target);
	pm_release(ctx, summing.packed);
	pm_release(ctx, summing.sums);
	return status;
}

PmStatus
pm_als_gramian(PmContext *ctx, const AlsSide *side, double scale,
			   float *gramian)
{
	size_t		padded = (size_t) side->padded;
	AlsRow		all = {.count = side->columns};
	double	   *sums;
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "sums of products", padded * padded + padded, sizeof(double), &sums));
	status = pm_als_sum_row(ctx, side, &all, sums, sums + padded * padded);
	if (status == PM_OK)
		for (size_t i = 0; i < padded; i++)
			for (size_t j = i; j < padded; j++)
				gramian[i * padded + j] = gramian[j * padded + i] =
					(float) (scale * sums[i * padded + j]);
	pm_release(ctx, sums);
	return status;
}
