/*
 * fm_epoch.c
 *		Factorisation machines: one pass over the rows, batch by batch.
 *
 * A batch is taken in parts whose buffers fit a cache.  A part has two
 * phases.  In the first, each field adds the gradient of the part before it
 * to its coefficients, makes their step where a batch ends, and reads the
 * next part's codes; in the second, chunks of rows get their logits and
 * residuals.  Every sum is made by one task or in the order of chunks, so
 * nothing depends on the threads.
 */
#include "fm.h"

#include "pm_rng.h"

#include <string.h>

/* Wanted of a part's sums, and of a chunk's scratch. */
#define PART_BYTES (512 * 1024)
#define CHUNK_BYTES (64 * 1024)
#define MAX_PART 4096

/* Numbers in all chunks' gradients of pairs, about. */
#define MAX_CHUNK_PAIRS 2e6

/* Nanoseconds on one thread between two looks for interrupts. */
#define SLAB_TIME 1e7

/* A part that takes less is not worth a second thread. */
#define SERIAL_TIME 2e4

/* Rows of a block: a power of 2, and many blocks in a batch. */
#define MAX_BLOCK 16
#define BLOCKS_PER_BATCH 128

#define ORDER_TASK 4096			/* a multiple of a block */

/* ---- order of the rows -------------------------------------------------- */

/*
 * Number i of a permutation of the blocks: one of 2^order_bits numbers, made
 * of multiplications and shifts, taken again until it gives a block.
 */
static inline int64_t
permuted(const FmEpoch *epoch, uint64_t i)
{
	uint64_t	mask = (UINT64_C(1) << epoch->order_bits) - 1;
	int			shift = (epoch->order_bits + 1) / 2;

	do
		for (int k = 0; k < 8; k += 2)
		{
			i = (i * epoch->order_keys[k] + epoch->order_keys[k + 1]) & mask;
			i ^= i >> shift;
		}
	while (i >= (uint64_t) epoch->blocks);
	return (int64_t) i;
}

/*
 * Rows move in blocks, which spares caches and changes little: rows are in
 * random order to begin with, and a batch has many blocks.  The blocks are
 * cut from the rows turned by a random number; what is left over comes last.
 */
static void
order_task(int64_t index, int lane, void *argument)
{
	FmEpoch    *epoch = argument;
	int64_t		n = epoch->rows->n;
	int64_t		end = (index + 1) * ORDER_TASK;

	(void) lane;
	if (end > n)
		end = n;
	for (int64_t i = index * ORDER_TASK; i < end;)
	{
		int64_t		block = i / epoch->block;
		int64_t		row = (block < epoch->blocks ? permuted(epoch, (uint64_t) block) : block) *
			epoch->block + epoch->turn;

		for (int k = 0; k < epoch->block && i < end; k++, i++, row++)
			epoch->order[i] = (uint32_t) (row < n ? row : row - n);
	}
}

/* A new order, by seed and the number of batches so far. */
static PmStatus
make_order(PmContext *ctx, FmEpoch *epoch, int64_t steps)
{
	PmRng		rng;

	pm_rng_seed(&rng, epoch->seed, (uint64_t) steps + 1);
	for (int k = 0; k < 8; k++)
		epoch->order_keys[k] = pm_rng_next(&rng) | (k % 2 == 0);
	epoch->turn = (int64_t) pm_rng_below(&rng, (uint64_t) epoch->rows->n);
	return pm_parallel(ctx, "the training", (epoch->rows->n + ORDER_TASK - 1) / ORDER_TASK,
					   2.0 * ORDER_TASK, order_task, epoch);
}

/* ---- phases ------------------------------------------------------------- */

/* A part of a batch. */
typedef struct Part
{
	FmView		view;
	int			count;
	int32_t		step;			/* of the epoch, from 1 */
	bool		last;			/* of its batch */
} Part;

static Part
part_at(const FmEpoch *epoch, int64_t number)
{
	int64_t		batch = number / epoch->parts_per_batch;
	int64_t		begin = batch * epoch->batch + number % epoch->parts_per_batch * epoch->part;
	int64_t		batch_end = (batch + 1) * epoch->batch;
	int64_t		end = begin + epoch->part;
	Part		part;

	if (batch_end > epoch->rows->n)
		batch_end = epoch->rows->n;
	if (end > batch_end)
		end = batch_end;
	part.view = (FmView) {epoch->rows, epoch->order + begin, 0, epoch->codes, 0};
	part.count = (int) (end - begin);
	part.step = (int32_t) batch + 1;
	part.last = end == batch_end;
	return part;
}

static int
phase_items(void *argument, int64_t phase)
{
	const FmEpoch *epoch = argument;

	if (phase % 2 == 0)
		return epoch->rows->field_count > 0 ? epoch->rows->field_count : 1;
	return (part_at(epoch, phase / 2).count + epoch->chunk - 1) / epoch->chunk;
}

/* A field ends one part and begins the next. */
static void
field_item(FmEpoch *epoch, int64_t number, int index)
{
	FmTable    *table = epoch->table;
	FmField    *field = &epoch->fields[epoch->heaviest_first[index]];

	if (number > 0)
	{
		Part		part = part_at(epoch, number - 1);

		pm_fm_field_gather(field, &part.view, part.count, table->width, epoch->residuals,
						   epoch->sums + (table->field_weighted ?
										  epoch->heaviest_first[index] * epoch->sums_stride : 0));
		if (part.last)
		{
			pm_fm_step(epoch->stepper, table, epoch->seen, field->first, field->touched,
					   field->touched_count, field->grad, field->squares,
					   epoch->inverse_weight, part.step);
			field->touched_count = 0;
		}
	}
	if (number < epoch->parts)
	{
		Part		part = part_at(epoch, number);

		pm_fm_field_prepare(field, &part.view, part.count, epoch->stepper, table,
							epoch->seen, part.step - 1,
							(uint32_t) (epoch->stepper->first_step + part.step));
	}
}

/* A chunk's logits, residuals and sums. */
static void
chunk_item(FmEpoch *epoch, int64_t number, int index, int lane)
{
	FmTable    *table = epoch->table;
	Part		part = part_at(epoch, number);
	int			begin = index * epoch->chunk;
	int			end = begin + epoch->chunk < part.count ? begin + epoch->chunk : part.count;
	float	   *scratch = epoch->scratch + (size_t) lane * epoch->scratch_size;
	size_t		pairs = (size_t) table->field_count * table->field_count;

	pm_fm_forward(&part.view, table, begin, end, epoch->sums, epoch->sums_stride, scratch,
				  epoch->logits);
	pm_fm_residuals(&part.view, begin, end, epoch->logits, epoch->residuals,
					epoch->chunk_totals + 3 * index);
	if (table->field_weighted)
		pm_fm_pair_gradient(table, end - begin, scratch, epoch->residuals + begin,
							epoch->chunk_pairs + (size_t) index * pairs);
}

static void
phase_item(void *argument, int64_t phase, int index, int lane)
{
	FmEpoch    *epoch = argument;

	if (phase % 2 != 0)
		chunk_item(epoch, phase / 2, index, lane);
	else if (epoch->rows->field_count > 0)
		field_item(epoch, phase / 2, index);
}

/* Steps of what belongs to no field: the intercept and the pairs' weights. */
static void
step_shared(FmEpoch *epoch, int32_t step)
{
	FmTable    *table = epoch->table;
	int			fields = table->field_count;

	pm_fm_step_number(epoch->stepper, &table->intercept, &table->intercept_state[0],
					  &table->intercept_state[1],
					  (float) (epoch->batch_totals[2] / epoch->batch_totals[0]), step);
	if (!table->field_weighted)
		return;
	for (int f = 0; f < fields; f++)
		for (int g = f + 1; g < fields; g++)
		{
			size_t		at = (size_t) f * fields + g;
			size_t		mirror = (size_t) g * fields + f;

			pm_fm_step_number(epoch->stepper, &table->pair[at], &table->pair_state[0][at],
							  &table->pair_state[1][at],
							  (float) (epoch->pair_gradient[at] / epoch->batch_totals[0]), step);
			table->pair[mirror] = table->pair[at];
			table->pair_state[0][mirror] = table->pair_state[0][at];
			table->pair_state[1][mirror] = table->pair_state[1][at];
		}
	memset(epoch->pair_gradient, 0, (size_t) fields * fields * sizeof(double));
}

/* Chunks are over: add them up. */
static void
phase_finish(void *argument, int64_t phase)
{
	FmEpoch    *epoch = argument;
	int			fields = epoch->table->field_count;
	int			chunks;
	Part		part;

	if (phase % 2 == 0)
		return;
	part = part_at(epoch, phase / 2);
	chunks = phase_items(epoch, phase);
	for (int k = 0; k < chunks; k++)
		for (int j = 0; j < 3; j++)
			epoch->batch_totals[j] += epoch->chunk_totals[3 * k + j];
	if (epoch->table->field_weighted)
		for (int k = 0; k < chunks; k++)
			for (int f = 0; f < fields; f++)
				for (int g = f + 1; g < fields; g++)
					epoch->pair_gradient[f * fields + g] +=
						epoch->chunk_pairs[((size_t) k * fields + f) * fields + g];
	if (!part.last)
		return;
	step_shared(epoch, part.step);
	epoch->inverse_weight = (float) (1 / epoch->batch_totals[0]);
	epoch->weight += epoch->batch_totals[0];
	epoch->loss += epoch->batch_totals[1];
	memset(epoch->batch_totals, 0, sizeof(epoch->batch_totals));
}

/* ---- the pass ----------------------------------------------------------- */

#define FLUSH_TASK 256

/* Bring coefficients to the epoch's end. */
static void
flush_task(int64_t index, int lane, void *argument)
{
	FmEpoch    *epoch = argument;
	int32_t		first = (int32_t) index * FLUSH_TASK;
	int32_t		left = epoch->table->count - first;

	(void) lane;
	pm_fm_catch_up(epoch->stepper, epoch->table, epoch->seen, first, NULL,
				   left < FLUSH_TASK ? left : FLUSH_TASK, (int32_t) epoch->batches);
}

PmStatus
pm_fm_epoch_run(PmContext *ctx, FmEpoch *epoch, int64_t steps)
{
	FmTeam		team = {phase_items, phase_item, phase_finish, epoch, 0, 0, 0, 0};
	int64_t		phases = 2 * epoch->parts + 1;
	int64_t		slab = 2 * (int64_t) (SLAB_TIME / epoch->part_time) + 2;

	PM_TRY(make_order(ctx, epoch, steps));
	pm_fm_stepper_begin(epoch->stepper, steps, epoch->batches);
	memset(epoch->seen, 0, (size_t) epoch->table->count * sizeof(int32_t));
	memset(epoch->batch_totals, 0, sizeof(epoch->batch_totals));
	epoch->loss = epoch->weight = 0;
	for (int64_t first = 0; first < phases; first += slab)
	{
		if (pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "the training was cancelled");
		pm_fm_team_run(ctx, &team, epoch->threads, first,
					   first + slab < phases ? first + slab : phases);
		pm_progress(ctx, "training", epoch->progress + epoch->progress_share *
					(double) (first + slab < phases ? first + slab : phases) / (double) phases);
	}
	return pm_parallel(ctx, "the training",
					   ((int64_t) epoch->table->count + FLUSH_TASK - 1) / FLUSH_TASK,
					   100.0 * FLUSH_TASK * epoch->table->width / FM_LANES, flush_task, epoch);
}

/* ---- buffers ------------------------------------------------------------ */

/* Nonzeros of a row, on average. */
static double
entries_per_row(const PmCtrRows *rows)
{
	double		entries = 0;

	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];

		entries += field->kind == PM_CTR_DENSE ? field->count :
			field->kind == PM_CTR_CODE ? 1 : (double) field->offsets[rows->n] / (double) rows->n;
	}
	return entries;
}

/* How the rows are cut, by sizes alone. */
static void
plan(PmContext *ctx, FmEpoch *epoch, const PmFmOptions *options)
{
	const PmCtrRows *rows = epoch->rows;
	const FmTable *table = epoch->table;
	int64_t		row_bytes = (int64_t) sizeof(float) * table->width *
		(table->field_weighted && rows->field_count > 0 ? rows->field_count : 1);
	int64_t		part = PART_BYTES / row_bytes / FM_CHUNK * FM_CHUNK;
	int64_t		chunk = table->field_weighted ? CHUNK_BYTES / row_bytes / 4 * 4 : FM_CHUNK;
	double		vectors = table->width / FM_LANES;
	double		row_time;

	epoch->block = epoch->order_bits = 1;
	epoch->batch = options->batch_size < rows->n ? options->batch_size : rows->n;
	part = part < FM_CHUNK ? FM_CHUNK : part > MAX_PART ? MAX_PART : part;
	epoch->part = (int) (part < epoch->batch ? part : epoch->batch);
	chunk = chunk < 4 ? 4 : chunk > FM_CHUNK ? FM_CHUNK : chunk;
	while (table->field_weighted && chunk < FM_CHUNK &&
		   (double) part / (double) chunk * rows->field_count * rows->field_count > MAX_CHUNK_PAIRS)
		chunk *= 2;
	epoch->chunk = (int) (chunk < FM_CHUNK ? chunk : FM_CHUNK);
	epoch->parts_per_batch = (epoch->batch + epoch->part - 1) / epoch->part;
	epoch->batches = (rows->n + epoch->batch - 1) / epoch->batch;
	epoch->parts = (epoch->batches - 1) * epoch->parts_per_batch +
		(rows->n - (epoch->batches - 1) * epoch->batch + epoch->part - 1) / epoch->part;
	row_time = 20 + entries_per_row(rows) * (10 + 6 * vectors);
	if (table->field_weighted)
		row_time += (double) rows->field_count * rows->field_count * vectors;
	epoch->part_time = epoch->part * row_time;
	epoch->lanes = ctx->threads < 1 ? 1 : ctx->threads;
	epoch->threads = ctx->device == NULL || epoch->part_time < SERIAL_TIME ? 1 : epoch->lanes;
	while (epoch->block < MAX_BLOCK && 2 * epoch->block * BLOCKS_PER_BATCH <= epoch->batch)
		epoch->block *= 2;
	epoch->blocks = rows->n / epoch->block;
	while ((INT64_C(1) << epoch->order_bits) < epoch->blocks)
		epoch->order_bits++;
}

/* Fields in the order in which threads take them: the large ones first. */
static void
sort_fields(FmEpoch *epoch)
{
	const PmCtrRows *rows = epoch->rows;

	for (int f = 0; f < rows->field_count; f++)
	{
		int			k = f;

		for (; k > 0 && rows->fields[epoch->heaviest_first[k - 1]].count < rows->fields[f].count; k--)
			epoch->heaviest_first[k] = epoch->heaviest_first[k - 1];
		epoch->heaviest_first[k] = f;
	}
}

/* What FwFM needs besides. */
static PmStatus
open_pairs(PmContext *ctx, FmEpoch *epoch, size_t chunks)
{
	size_t		fields = (size_t) epoch->rows->field_count;
	size_t		lanes = (size_t) epoch->lanes;

	epoch->scratch_size = (size_t) epoch->chunk * fields * epoch->table->width;
	PM_TRY(pm_alloc(ctx, "sums of the fields", epoch->scratch_size * lanes, sizeof(float),
					&epoch->scratch));
	PM_TRY(pm_alloc_zero(ctx, "gradient of the pairs", chunks * fields * fields, sizeof(double),
						 &epoch->chunk_pairs));
	return pm_alloc_zero(ctx, "gradient of the pairs", fields * fields, sizeof(double),
						 &epoch->pair_gradient);
}

PmStatus
pm_fm_epoch_open(PmContext *ctx, const PmCtrRows *rows,
				 const PmFmOptions *options, FmTable *table,
				 FmStepper *stepper, FmEpoch *epoch)
{
	size_t		part;
	size_t		chunks;
	size_t		fields = (size_t) rows->field_count;

	memset(epoch, 0, sizeof(*epoch));
	epoch->rows = rows;
	epoch->table = table;
	epoch->stepper = stepper;
	epoch->seed = options->seed;
	plan(ctx, epoch, options);
	part = (size_t) epoch->part;
	chunks = (part + (size_t) epoch->chunk - 1) / (size_t) epoch->chunk;
	PM_TRY(pm_fm_stepper_open(ctx, options, table->optimizer, epoch->batches, stepper));
	PM_TRY(pm_alloc(ctx, "order of the rows", (size_t) rows->n, sizeof(uint32_t), &epoch->order));
	PM_TRY(pm_alloc(ctx, "steps of the coefficients", (size_t) table->count, sizeof(int32_t),
					&epoch->seen));
	PM_TRY(pm_alloc(ctx, "residuals", part, sizeof(float), &epoch->residuals));
	PM_TRY(pm_alloc(ctx, "logits", part, sizeof(float), &epoch->logits));
	PM_TRY(pm_alloc(ctx, "sums of chunks", 3 * chunks, sizeof(double), &epoch->chunk_totals));
	epoch->sums_stride = part * (size_t) table->width;
	PM_TRY(pm_alloc(ctx, "sums of rows", table->field_weighted ? epoch->sums_stride * fields :
					epoch->sums_stride, sizeof(float), &epoch->sums));
	if (table->field_weighted)
		PM_TRY(open_pairs(ctx, epoch, chunks));
	PM_TRY(pm_alloc(ctx, "fields", fields, sizeof(int), &epoch->heaviest_first));
	sort_fields(epoch);
	PM_TRY(pm_alloc_zero(ctx, "fields", fields, sizeof(int32_t *), &epoch->codes));
	PM_TRY(pm_alloc_zero(ctx, "fields", fields, sizeof(FmField), &epoch->fields));
	for (size_t f = 0; f < fields; f++)
	{
		PM_TRY(pm_fm_field_open(ctx, rows, (int) f, table->width, epoch->batch, epoch->part,
								&epoch->fields[f]));
		epoch->codes[f] = epoch->fields[f].codes;
	}
	return PM_OK;
}

void
pm_fm_epoch_close(PmContext *ctx, FmEpoch *epoch)
{
	if (epoch->fields != NULL)
		for (int f = 0; f < epoch->rows->field_count; f++)
			pm_fm_field_close(ctx, &epoch->fields[f]);
	pm_release(ctx, epoch->fields);
	pm_release(ctx, epoch->codes);
	pm_release(ctx, epoch->heaviest_first);
	pm_release(ctx, epoch->order);
	pm_release(ctx, epoch->seen);
	pm_release(ctx, epoch->residuals);
	pm_release(ctx, epoch->logits);
	pm_release(ctx, epoch->chunk_totals);
	pm_release(ctx, epoch->sums);
	pm_release(ctx, epoch->scratch);
	pm_release(ctx, epoch->chunk_pairs);
	pm_release(ctx, epoch->pair_gradient);
	if (epoch->stepper != NULL)
		pm_fm_stepper_close(ctx, epoch->stepper);
	memset(epoch, 0, sizeof(*epoch));
}
