/*
 * logistic_rows.c
 *		A pass over the rows: losses, gradient and Hessian.
 *
 * Rows are gone through in slabs, each cut into the same number of chunks.
 * A task takes a chunk: it computes losses block by block and adds the
 * gradient of numbers and of small fields, and the Hessian, to sums that
 * belong to the chunk's place in the slab.  Large fields do not get sums by
 * chunk: there the task leaves the residuals of the slab, and further tasks
 * go over them that own a field, or a range of the slab in a field.  All is
 * added up in the order of the places, so that nothing depends on the
 * threads.
 */
#include "logistic.h"

#include <math.h>
#include <string.h>

#define CHUNKS 32

/* Wanted of a chunk, in nanoseconds. */
#define CHUNK_TIME 4e5

/* Rows of a chunk: a multiple of the first. */
#define ROWS_MULTIPLE 64
#define MAX_CHUNK_ROWS 32768

/* Numbers of a block: they are read twice, the second time from a cache. */
#define BLOCK_NUMBERS 32768

/* A field has sums by chunk, in lanes, up to so many categories. */
#define MAX_LANED 512

/* An owned field is cut into at most so many ranges of a slab. */
#define MAX_RANGES 8

/* Nanoseconds, about. */
#define CODE_TIME 2.5			/* a category's share of logit and gradient */
#define DENSE_TIME 0.7			/* a number's */
#define LOSS_TIME 5.0
#define SUM_TIME 0.5

/* A chunk's sums begin with these. */
enum
{
	SUM_LOSS,
	SUM_LARGEST,
	SUM_LEAST_MARGIN,
	SUM_LARGEST_MARGIN,
	SUM_INTERCEPT,
	SUM_FIELDS
};

static inline bool
has_gradient(const LogisticPass *pass)
{
	return pass->mode != LOGISTIC_LOSS && pass->mode != LOGISTIC_MARGIN;
}

double
pm_logistic_row_time(const LogisticData *data)
{
	return LOSS_TIME + CODE_TIME * data->codes + DENSE_TIME * data->dense;
}

/* ---- chunks ------------------------------------------------------------- */

/* What the gradient is of: residuals, or weights in their place. */
static void
set_residuals(const LogisticPass *pass, int64_t begin, int count,
			  LogisticLosses *losses)
{
	const PmCtrRows *rows = pass->data->rows;

	pm_logistic_read_labels(rows, begin, count, losses);
	losses->loss = 0;
	if (pass->mode == LOGISTIC_WEIGHTS || pass->mode == LOGISTIC_POSITIVES)
	{
		for (int i = 0; i < count; i++)
			losses->residual[i] = pass->mode == LOGISTIC_WEIGHTS ||
				losses->sign[i] < 0 ? losses->weight[i] : 0;
		return;
	}
	for (int i = 0; i < count; i++)
		losses->logit[i] = pass->b[0];
	pm_logistic_add_logits(rows, pass->data->missing, pass->data->centre,
						   pass->b + 1, begin, count, losses->logit);
	if (pass->mode != LOGISTIC_MARGIN)
		pm_logistic_losses(losses);
}

/* Loss and extremes of a block. */
static void
sum_block(const LogisticPass *pass, const LogisticLosses *losses, int count,
		  double *sums)
{
	double		largest = sums[SUM_LARGEST];
	double		least_margin = sums[SUM_LEAST_MARGIN];
	double		largest_margin = sums[SUM_LARGEST_MARGIN];

	sums[SUM_LOSS] += losses->loss;
	if (pass->mode != LOGISTIC_HESSIAN && pass->mode != LOGISTIC_MARGIN)
		return;
	for (int i = 0; i < count; i++)
	{
		double		margin = -losses->sign[i] * losses->logit[i];

		largest = fabs(margin) > largest ? fabs(margin) : largest;
		least_margin = margin < least_margin ? margin : least_margin;
		largest_margin = margin > largest_margin ? margin : largest_margin;
	}
	sums[SUM_LARGEST] = largest;
	sums[SUM_LEAST_MARGIN] = least_margin;
	sums[SUM_LARGEST_MARGIN] = largest_margin;
}

/* The gradient of a block. */
static void
sum_gradient(LogisticPass *pass, const LogisticLosses *losses, int64_t begin,
			 int count, double *sums)
{
	const PmCtrRows *rows = pass->data->rows;
	double		intercept = 0;

	for (int i = 0; i < count; i++)
		intercept += losses->residual[i];
	sums[SUM_INTERCEPT] += intercept;
	for (int f = 0; f < rows->field_count; f++)
		if (!pass->fields[f].owned && !(pass->mode == LOGISTIC_POSITIVES &&
										rows->fields[f].kind == PM_CTR_DENSE))
			pm_logistic_sum_field(&rows->fields[f],
								  pass->data->centre + rows->fields[f].first,
								  pass->fields[f].lanes, begin, count,
								  losses->residual, sums + pass->fields[f].offset);
	if (pass->residual != NULL)
		memcpy(pass->residual + (begin - pass->slab), losses->residual,
			   (size_t) count * sizeof(double));
}

/* A task: one chunk of the slab. */
static void
do_chunk(int64_t index, int lane, void *argument)
{
	LogisticPass *pass = argument;
	LogisticLosses losses;
	double	   *sums = pass->partial + (size_t) index * pass->chunk_size;
	int64_t		begin = pass->slab + index * pass->chunk_rows;
	int64_t		end = begin + pass->chunk_rows;

	if (end > pass->slab_end)
		end = pass->slab_end;
	for (; begin < end; begin += pass->block_rows)
	{
		int			count = (int) (end - begin < pass->block_rows ? end - begin : pass->block_rows);

		set_residuals(pass, begin, count, &losses);
		sum_block(pass, &losses, count, sums);
		if (has_gradient(pass))
			sum_gradient(pass, &losses, begin, count, sums);
		if (pass->mode == LOGISTIC_HESSIAN)
			pm_logistic_hessian_add(pass->hessian, (int) index, lane, begin,
									count, losses.curvature);
	}
}

/* ---- owned fields ------------------------------------------------------- */

/* The field and range that a task of do_owned() is. */
static int
find_owned(const LogisticPass *pass, int64_t index, int *range)
{
	int			f = 0;

	for (;; f++)
	{
		if (!pass->fields[f].owned)
			continue;
		if (index < pass->fields[f].ranges)
			break;
		index -= pass->fields[f].ranges;
	}
	*range = (int) index;
	return f;
}

/* A task: a range of the slab in one field. */
static void
do_owned(int64_t index, int lane, void *argument)
{
	LogisticPass *pass = argument;
	int			range;
	int			f = find_owned(pass, index, &range);
	const PmCtrField *field = &pass->data->rows->fields[f];
	int			ranges = pass->fields[f].ranges;
	int64_t		rows = pass->slab_end - pass->slab;
	int64_t		begin = rows * range / ranges;
	int64_t		end = rows * (range + 1) / ranges;
	double	   *sums = pass->owned + pass->fields[f].offset +
		(size_t) range * ((size_t) field->count + 1);

	(void) lane;
	pm_logistic_sum_field(field, NULL, 1, pass->slab + begin, end - begin,
						  pass->residual + begin, sums);
}

/* How many tasks the owned fields are. */
static int
count_owned(const LogisticPass *pass)
{
	int			tasks = 0;

	for (int f = 0; f < pass->data->rows->field_count; f++)
		if (pass->fields[f].owned)
			tasks += pass->fields[f].ranges;
	return tasks;
}

/* ---- the whole ---------------------------------------------------------- */

/*
 * A task: add up one field's sums, and leave them at 0 for the next pass.
 * Categories from -1 on.
 */
static void
add_up_field(int64_t index, int lane, void *argument)
{
	LogisticPass *pass = argument;
	const PmCtrField *field = &pass->data->rows->fields[index];
	const LogisticField *how = &pass->fields[index];
	double	   *gradient = pass->gradient + 1 + field->first;
	bool		dense = field->kind == PM_CTR_DENSE;
	int			parts = how->owned ? how->ranges : pass->chunks;
	size_t		size = ((size_t) field->count + !dense) * (size_t) how->lanes;

	(void) lane;
	memset(gradient, 0, (size_t) field->count * sizeof(double));
	for (int part = 0; part < parts; part++)
	{
		double	   *sums = how->owned ?
			pass->owned + how->offset + (size_t) part * size :
			pass->partial + (size_t) part * pass->chunk_size + how->offset;
		const double *sum = sums + (dense ? 0 : how->lanes);

		if (how->lanes == 4)
			for (int32_t k = 0; k < field->count; k++, sum += 4)
				gradient[k] += (sum[0] + sum[2]) + (sum[1] + sum[3]);
		else
			for (int32_t k = 0; k < field->count; k++)
				gradient[k] += sum[k];
		memset(sums, 0, size * sizeof(double));
	}
}

/* Start a pass: extremes of no rows. */
static void
clear_sums(LogisticPass *pass)
{
	for (int chunk = 0; chunk < pass->chunks; chunk++)
	{
		double	   *sums = pass->partial + (size_t) chunk * pass->chunk_size;

		sums[SUM_LOSS] = sums[SUM_LARGEST] = sums[SUM_INTERCEPT] = 0;
		sums[SUM_LEAST_MARGIN] = INFINITY;
		sums[SUM_LARGEST_MARGIN] = -INFINITY;
	}
}

/* Finish it. */
static PmStatus
add_up(PmContext *ctx, LogisticPass *pass, LogisticSums *all)
{
	double		intercept = 0;
	double		elements = (double) pass->chunk_size * pass->chunks;

	*all = (LogisticSums) {0, 0, INFINITY, -INFINITY};
	for (int chunk = 0; chunk < pass->chunks; chunk++)
	{
		const double *sums = pass->partial + (size_t) chunk * pass->chunk_size;

		all->loss += sums[SUM_LOSS];
		all->largest = fmax(all->largest, sums[SUM_LARGEST]);
		all->least_margin = fmin(all->least_margin, sums[SUM_LEAST_MARGIN]);
		all->largest_margin = fmax(all->largest_margin, sums[SUM_LARGEST_MARGIN]);
		intercept += sums[SUM_INTERCEPT];
	}
	if (!has_gradient(pass))
		return PM_OK;
	pass->gradient[0] = intercept;
	if (pass->data->rows->field_count == 0)
		return PM_OK;
	for (int f = 0; f < pass->data->rows->field_count; f++)
		if (pass->fields[f].owned)
			elements += (double) pass->data->rows->fields[f].count * pass->fields[f].ranges;
	return pm_parallel(ctx, "logistic regression", pass->data->rows->field_count,
					   SUM_TIME * elements / pass->data->rows->field_count + 1,
					   add_up_field, pass);
}

PmStatus
pm_logistic_pass(PmContext *ctx, LogisticPass *pass, LogisticMode mode,
				 const double *b, double *gradient, LogisticSums *sums)
{
	int64_t		n = pass->data->rows->n;
	int64_t		slab_rows = pass->chunks * pass->chunk_rows;
	int			owned = count_owned(pass);
	double		time = pm_logistic_row_time(pass->data);

	pass->mode = mode;
	pass->b = b;
	pass->gradient = gradient;
	if (mode == LOGISTIC_HESSIAN)
	{
		time += pm_logistic_hessian_time(pass->data);
		PM_TRY(pm_logistic_hessian_clear(ctx, pass->hessian));
	}
	clear_sums(pass);
	for (pass->slab = 0; pass->slab < n; pass->slab = pass->slab_end)
	{
		int64_t		rows = n - pass->slab < slab_rows ? n - pass->slab : slab_rows;

		pass->slab_end = pass->slab + rows;
		PM_TRY(pm_parallel(ctx, "logistic regression",
						   (rows + pass->chunk_rows - 1) / pass->chunk_rows,
						   time * (double) pass->chunk_rows, do_chunk, pass));
		if (owned > 0 && has_gradient(pass))
			PM_TRY(pm_parallel(ctx, "logistic regression", owned,
							   CODE_TIME * (double) rows, do_owned, pass));
	}
	return add_up(ctx, pass, sums);
}

/* ---- opening ------------------------------------------------------------ */

/* Rows of a chunk, and how many chunks a slab has. */
static void
plan_chunks(LogisticPass *pass, bool hessian)
{
	const LogisticData *data = pass->data;
	int64_t		n = data->rows->n;
	double		time = pm_logistic_row_time(data);
	double		rows;
	int64_t		share;

	pass->chunks = CHUNKS;
	if (hessian)
	{
		time += pm_logistic_hessian_time(data);
		pass->chunks = pm_logistic_hessian_chunks(data);
	}
	rows = CHUNK_TIME / time;
	share = (n + pass->chunks - 1) / pass->chunks;
	if (rows > (double) share)
		rows = (double) share;
	if (rows > MAX_CHUNK_ROWS)
		rows = MAX_CHUNK_ROWS;
	pass->chunk_rows = ((int64_t) rows + ROWS_MULTIPLE - 1) / ROWS_MULTIPLE * ROWS_MULTIPLE;
	if (pass->chunk_rows < ROWS_MULTIPLE)
		pass->chunk_rows = ROWS_MULTIPLE;

	pass->block_rows = LOGISTIC_BLOCK;
	if (data->dense > BLOCK_NUMBERS / LOGISTIC_BLOCK)
		pass->block_rows = BLOCK_NUMBERS / data->dense / ROWS_MULTIPLE * ROWS_MULTIPLE;
	if (pass->block_rows < ROWS_MULTIPLE)
		pass->block_rows = ROWS_MULTIPLE;
}

/* How each field is summed; the size of what all owned ones need. */
static PmStatus
plan_fields(PmContext *ctx, LogisticPass *pass, size_t *owned_size)
{
	const PmCtrRows *rows = pass->data->rows;

	pass->chunk_size = SUM_FIELDS;
	*owned_size = 0;
	for (int f = 0; f < rows->field_count; f++)
	{
		LogisticField *how = &pass->fields[f];
		size_t		size = (size_t) rows->fields[f].count;

		*how = (LogisticField) {false, 1, 1, pass->chunk_size};
		if (rows->fields[f].kind != PM_CTR_DENSE)
		{
			size++;
			how->owned = size > MAX_LANED;
			if (!how->owned && rows->fields[f].kind == PM_CTR_CODE)
				how->lanes = 4;
		}
		if (how->owned)
		{
			int64_t		ranges = rows->n / (4 * (int64_t) size);

			how->ranges = ranges < 1 ? 1 : ranges > MAX_RANGES ? MAX_RANGES : (int) ranges;
			how->offset = *owned_size;
			if (!pm_multiply(size, (size_t) how->ranges, &size) ||
				__builtin_add_overflow(*owned_size, size, owned_size))
				return pm_fail(ctx, PM_TOO_LARGE, "the fields have too many categories");
		}
		else if (__builtin_add_overflow(pass->chunk_size, size * (size_t) how->lanes,
										&pass->chunk_size))
			return pm_fail(ctx, PM_TOO_LARGE, "the fields have too many columns");
	}
	/* chunks do not share a cache line */
	pass->chunk_size = (pass->chunk_size + 7) / 8 * 8;
	return PM_OK;
}

PmStatus
pm_logistic_pass_open(PmContext *ctx, const LogisticData *data, bool hessian,
					  LogisticPass *pass)
{
	size_t		owned_size;

	memset(pass, 0, sizeof(*pass));
	pass->data = data;
	PM_TRY(pm_alloc(ctx, "fields", (size_t) data->rows->field_count,
					sizeof(LogisticField), &pass->fields));
	plan_chunks(pass, hessian);
	PM_TRY(plan_fields(ctx, pass, &owned_size));
	PM_TRY(pm_alloc_zero(ctx, "sums of the gradient", pass->chunk_size,
						 (size_t) pass->chunks * sizeof(double), &pass->partial));
	if (owned_size > 0)
	{
		PM_TRY(pm_alloc_zero(ctx, "sums of the gradient", owned_size,
							 sizeof(double), &pass->owned));
		PM_TRY(pm_alloc(ctx, "residuals", (size_t) (pass->chunks * pass->chunk_rows),
						sizeof(double), &pass->residual));
	}
	if (hessian)
		PM_TRY(pm_logistic_hessian_open(ctx, data, pass->chunks, &pass->hessian));
	return PM_OK;
}

void
pm_logistic_pass_close(PmContext *ctx, LogisticPass *pass)
{
	pm_release(ctx, pass->fields);
	pm_release(ctx, pass->partial);
	pm_release(ctx, pass->owned);
	pm_release(ctx, pass->residual);
	if (pass->hessian != NULL)
		pm_logistic_hessian_close(ctx, pass->hessian);
	memset(pass, 0, sizeof(*pass));
}
