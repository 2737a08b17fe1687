/*
 * fm_table.c
 *		Factorisation machines: a model as a table of rows, and back.
 */
#include "fm.h"

#include <math.h>
#include <string.h>

#define PREFETCHED_BYTES 32768

size_t
pm_fm_state_size(const PmFm *fm)
{
	size_t		pairs = fm->field_weighted ? (size_t) fm->field_count * fm->field_count : 0;

	return 1 + (size_t) fm->coefficient_count * (fm->factors + 1) + pairs;
}

/*
 * Where PmFm.first or second has the state of a coefficient's linear weight,
 * of its factors, and of the pairs.
 */
static inline size_t
factor_state(const PmFm *fm, int32_t c)
{
	return 1 + (size_t) fm->coefficient_count + (size_t) c * fm->factors;
}

static inline size_t
pair_state(const PmFm *fm)
{
	return 1 + (size_t) fm->coefficient_count * (fm->factors + 1);
}

/* Copy the state of an optimiser into a table. */
static void
read_state(const PmFm *fm, const float *values, int moment, FmTable *table)
{
	table->intercept_state[moment] = values[0];
	if (fm->optimizer == PM_FM_ADAGRAD)
		moment = 0;
	for (int32_t c = 0; c < fm->coefficient_count; c++)
	{
		float	   *state = table->state + (size_t) c * table->state_width + moment * table->width;

		memcpy(state, values + factor_state(fm, c), fm->factors * sizeof(float));
		state[fm->factors] = values[1 + c];
	}
}

static void
write_state(const FmTable *table, int moment, const PmFm *fm, float *values)
{
	int			place = fm->optimizer == PM_FM_ADAGRAD ? 0 : moment;

	values[0] = table->intercept_state[moment];
	for (int32_t c = 0; c < fm->coefficient_count; c++)
	{
		const float *state = table->state + (size_t) c * table->state_width + place * table->width;

		memcpy(values + factor_state(fm, c), state, fm->factors * sizeof(float));
		values[1 + c] = state[fm->factors];
	}
	if (fm->field_weighted)
		memcpy(values + pair_state(fm), table->pair_state[moment],
			   (size_t) fm->field_count * fm->field_count * sizeof(float));
}

PmStatus
pm_fm_table_open(PmContext *ctx, const PmFm *fm, bool with_state,
				 FmTable *table)
{
	size_t		count = (size_t) fm->coefficient_count;
	size_t		pairs = (size_t) fm->field_count * fm->field_count;
	size_t		width = (size_t) pm_fm_width(fm->factors);

	memset(table, 0, sizeof(*table));
	table->field_weighted = fm->field_weighted;
	table->optimizer = fm->optimizer;
	table->factors = fm->factors;
	table->width = (int) width;
	table->state_width = table->width * (fm->optimizer == PM_FM_ADAM ? 2 : 1);
	table->field_count = fm->field_count;
	table->count = fm->coefficient_count;
	table->intercept = fm->intercept;
	/* smaller fields stay in a cache by themselves */
	table->prefetched = (int32_t) (PREFETCHED_BYTES / (width * sizeof(float)));
	PM_TRY(pm_alloc_zero(ctx, "coefficients", width, sizeof(float), &table->mask));
	for (int d = 0; d < fm->factors; d++)
		table->mask[d] = 1;
	PM_TRY(pm_alloc_zero(ctx, "coefficients", count, width * sizeof(float), &table->rows));
	for (size_t c = 0; c < count; c++)
	{
		memcpy(table->rows + c * width, fm->factor + c * fm->factors, fm->factors * sizeof(float));
		table->rows[c * width + fm->factors] = fm->linear[c];
	}
	if (fm->field_weighted)
	{
		PM_TRY(pm_alloc(ctx, "coefficients", pairs, sizeof(float), &table->pair));
		memcpy(table->pair, fm->pair, pairs * sizeof(float));
	}
	if (!with_state)
		return PM_OK;
	PM_TRY(pm_alloc_zero(ctx, "state of the optimizer", count,
						 (size_t) table->state_width * sizeof(float), &table->state));
	for (int moment = 0; moment < 2; moment++)
	{
		const float *values = moment == 0 ? fm->first : fm->second;

		if (fm->field_weighted)
			PM_TRY(pm_alloc_zero(ctx, "state of the optimizer", pairs, sizeof(float),
								 &table->pair_state[moment]));
		if (values == NULL)
			continue;
		read_state(fm, values, moment, table);
		if (fm->field_weighted)
			memcpy(table->pair_state[moment], values + pair_state(fm), pairs * sizeof(float));
	}
	return PM_OK;
}

void
pm_fm_table_close(PmContext *ctx, FmTable *table)
{
	pm_release(ctx, table->mask);
	pm_release(ctx, table->rows);
	pm_release(ctx, table->state);
	pm_release(ctx, table->pair);
	pm_release(ctx, table->pair_state[0]);
	pm_release(ctx, table->pair_state[1]);
	memset(table, 0, sizeof(*table));
}

/* All of them finite? */
static bool
all_finite(const float *values, size_t count)
{
	float		sum = 0;

	/* 0 * x is 0 or not a number */
	for (size_t i = 0; i < count; i++)
		sum += 0 * values[i];
	return sum == 0;
}

PmStatus
pm_fm_table_read(PmContext *ctx, const FmTable *table, PmFm *fm)
{
	size_t		count = (size_t) table->count;
	size_t		width = (size_t) table->width;
	size_t		pairs = (size_t) table->field_count * table->field_count;

	if (!isfinite(table->intercept) || !all_finite(table->rows, count * width) ||
		!all_finite(table->state, count * table->state_width) ||
		(table->field_weighted && !all_finite(table->pair, pairs)))
		return pm_fail(ctx, PM_INVALID, "the weights grew beyond all bounds: lower the learning_rate");
	fm->intercept = table->intercept;
	for (size_t c = 0; c < count; c++)
	{
		memcpy(fm->factor + c * fm->factors, table->rows + c * width, fm->factors * sizeof(float));
		fm->linear[c] = table->rows[c * width + fm->factors];
	}
	if (table->field_weighted)
		memcpy(fm->pair, table->pair, pairs * sizeof(float));
	if (fm->first != NULL)
		write_state(table, 0, fm, fm->first);
	write_state(table, 1, fm, fm->second);
	return PM_OK;
}
