/*
 * fm.c
 *		Factorisation machines: fresh weights, and what is acceptable.
 */
#include "fm.h"

#include "pm_rng.h"

#include <math.h>
#include <string.h>

/* Coefficients whose factors are drawn by one task, from their own stream. */
#define INIT_TASK 256

/* ---- what is acceptable ------------------------------------------------- */

PmStatus
pm_fm_check_rows(PmContext *ctx, const PmCtrRows *rows)
{
	int32_t		first = 0;

	if (rows->n <= 0)
		return pm_fail(ctx, PM_INVALID, "there is no row to learn from");
	if (rows->n > UINT32_MAX)
		return pm_fail(ctx, PM_TOO_LARGE, "a factorisation machine takes at most %u rows", UINT32_MAX);
	for (int f = 0; f < rows->field_count; f++)
	{
		if (rows->fields[f].first != first)
			return pm_fail(ctx, PM_INVALID, "field %d does not begin where the one before it ends",
						   f + 1);
		first += rows->fields[f].count;
	}
	if (first != rows->coefficient_count)
		return pm_fail(ctx, PM_INVALID, "the fields have %d coefficients, not %d", first,
					   rows->coefficient_count);
	for (int64_t i = 0; rows->weights != NULL && i < rows->n; i++)
		if (!(rows->weights[i] > 0 && isfinite(rows->weights[i])))
			return pm_fail(ctx, PM_INVALID, "row %lld has weight %g, which is not above 0",
						   (long long) i + 1, rows->weights[i]);
	return PM_OK;
}

PmStatus
pm_fm_check_options(PmContext *ctx, const PmFmOptions *options)
{
	if (options->factors < 1 || options->factors > FM_MAX_FACTORS)
		return pm_fail(ctx, PM_INVALID, "factors = %d is not from 1 to %d", options->factors,
					   FM_MAX_FACTORS);
	if (!(options->learning_rate > 0 && options->learning_rate <= 1e6))
		return pm_fail(ctx, PM_INVALID, "learning_rate = %g is not a number above 0",
					   options->learning_rate);
	if (!(options->l2 >= 0 && options->l2 <= 1e12))
		return pm_fail(ctx, PM_INVALID, "l2 = %g is not a number from 0 on", options->l2);
	if (!(options->init_scale >= 0 && options->init_scale <= 1e6))
		return pm_fail(ctx, PM_INVALID, "init_scale = %g is not a number from 0 on",
					   options->init_scale);
	if (options->epochs < 1)
		return pm_fail(ctx, PM_INVALID, "epochs = %d is less than 1", options->epochs);
	if (options->batch_size < 1)
		return pm_fail(ctx, PM_INVALID, "batch_size = %d is less than 1", options->batch_size);
	if (options->early_stopping && options->patience < 1)
		return pm_fail(ctx, PM_INVALID, "patience = %d is less than 1", options->patience);
	return PM_OK;
}

PmStatus
pm_fm_check_model(PmContext *ctx, const PmCtrRows *rows, const PmFm *fm)
{
	if (rows->coefficient_count != fm->coefficient_count || rows->field_count != fm->field_count)
		return pm_fail(ctx, PM_INVALID, "the model has %d coefficients of %d fields, the rows %d of %d",
					   fm->coefficient_count, fm->field_count, rows->coefficient_count,
					   rows->field_count);
	return PM_OK;
}

/* ---- fresh weights ------------------------------------------------------ */

/* Factors to draw. */
typedef struct Drawing
{
	PmFm	   *fm;
	uint64_t	seed;
	double		scale;
} Drawing;

/* Normal numbers by Box and Muller's method, which gives two at a time. */
static void
draw_task(int64_t index, int lane, void *argument)
{
	const Drawing *drawing = argument;
	int64_t		factors = drawing->fm->factors;
	int64_t		at = index * INIT_TASK * factors;
	int64_t		end = at + INIT_TASK * factors;
	PmRng		rng;

	(void) lane;
	if (end > drawing->fm->coefficient_count * factors)
		end = drawing->fm->coefficient_count * factors;
	/* streams from 1 on belong to the orders of epochs */
	pm_rng_seed(&rng, drawing->seed, (UINT64_C(1) << 63) + (uint64_t) index);
	for (; at < end; at += 2)
	{
		double		radius = drawing->scale * sqrt(-2 * log(1 - pm_rng_uniform(&rng)));
		double		angle = 6.283185307179586 * pm_rng_uniform(&rng);

		drawing->fm->factor[at] = (float) (radius * cos(angle));
		if (at + 1 < end)
			drawing->fm->factor[at + 1] = (float) (radius * sin(angle));
	}
}

/* The logit of the base rate: the best of an intercept alone. */
static float
log_odds(const PmCtrRows *rows)
{
	double		sums[2] = {0, 0};

	for (int64_t i = 0; i < rows->n; i++)
		sums[rows->labels[i]] += rows->weights != NULL ? rows->weights[i] : 1;
	if (sums[0] == 0 || sums[1] == 0)
		return 0;
	return (float) log(sums[1] / sums[0]);
}

/* Allocate the arrays of fm->first, second and weights. */
static PmStatus
allocate(PmContext *ctx, PmFm *fm)
{
	size_t		count = (size_t) fm->coefficient_count;

	PM_TRY(pm_alloc_zero(ctx, "linear weights", count, sizeof(float), &fm->linear));
	PM_TRY(pm_alloc(ctx, "factors", count, (size_t) fm->factors * sizeof(float), &fm->factor));
	if (fm->field_weighted)
		PM_TRY(pm_alloc_zero(ctx, "weights of the pairs", (size_t) fm->field_count,
							 (size_t) fm->field_count * sizeof(float), &fm->pair));
	if (fm->optimizer == PM_FM_ADAM)
		PM_TRY(pm_alloc_zero(ctx, "state of the optimizer", pm_fm_state_size(fm), sizeof(float),
							 &fm->first));
	return pm_alloc_zero(ctx, "state of the optimizer", pm_fm_state_size(fm), sizeof(float),
						 &fm->second);
}

PmStatus
pm_fm_allocate(PmContext *ctx, PmFm *fm)
{
	PmStatus	status;

	fm->linear = fm->factor = fm->pair = fm->first = fm->second = NULL;
	status = allocate(ctx, fm);
	if (status != PM_OK)
		pm_fm_release(ctx, fm);
	return status;
}

void
pm_fm_release(PmContext *ctx, PmFm *fm)
{
	pm_release(ctx, fm->linear);
	pm_release(ctx, fm->factor);
	pm_release(ctx, fm->pair);
	pm_release(ctx, fm->first);
	pm_release(ctx, fm->second);
	fm->linear = fm->factor = fm->pair = fm->first = fm->second = NULL;
}

PmStatus
pm_fm_init(PmContext *ctx, const PmCtrRows *rows, const PmFmOptions *options,
		   PmFm *fm)
{
	Drawing		drawing = {fm, options->seed, options->init_scale};
	PmStatus	status;

	memset(fm, 0, sizeof(*fm));
	PM_TRY(pm_fm_check_rows(ctx, rows));
	PM_TRY(pm_fm_check_options(ctx, options));
	fm->field_weighted = options->field_weighted;
	fm->factors = options->factors;
	fm->field_count = rows->field_count;
	fm->coefficient_count = rows->coefficient_count;
	fm->optimizer = options->optimizer;
	fm->intercept = log_odds(rows);
	PM_TRY(pm_fm_allocate(ctx, fm));
	for (int f = 0; fm->field_weighted && f < fm->field_count; f++)
		for (int g = 0; g < fm->field_count; g++)
			fm->pair[(size_t) f * fm->field_count + g] = f != g;
	status = pm_parallel(ctx, "the training",
						 ((int64_t) fm->coefficient_count + INIT_TASK - 1) / INIT_TASK,
						 30.0 * INIT_TASK * fm->factors, draw_task, &drawing);
	if (status != PM_OK)
		pm_fm_release(ctx, fm);
	return status;
}
