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

/* ---- copies ------------------------------------------------------------- */

/* Coefficients of a task. */
#define COPY_TASK 2048

/* A copy from a model to a table, or back. */
typedef struct Copy
{
	FmTable    *table;
	PmFm	   *fm;
	bool		back;			/* to the model */
	_Atomic bool infinite;		/* something is */
} Copy;

/* `count` numbers, one way or the other. */
static inline void
copy_numbers(const Copy *copy, float *table, float *model, int count)
{
	if (copy->back)
		memcpy(model, table, (size_t) count * sizeof(float));
	else
		memcpy(table, model, (size_t) count * sizeof(float));
}

/* The state of one coefficient, for one moment. */
static inline void
copy_state(const Copy *copy, int32_t c, int moment, float *values)
{
	const FmTable *table = copy->table;
	int			place = table->optimizer == PM_FM_ADAGRAD ? 0 : moment;
	float	   *state = table->state + (size_t) c * table->state_width +
		(size_t) place * table->width;

	copy_numbers(copy, state, values + factor_state(copy->fm, c), table->factors);
	copy_numbers(copy, state + table->factors, values + 1 + c, 1);
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

static void
copy_task(int64_t index, int lane, void *argument)
{
	Copy	   *copy = argument;
	FmTable    *table = copy->table;
	PmFm	   *fm = copy->fm;
	size_t		width = (size_t) table->width;
	size_t		state_width = (size_t) table->state_width;
	int32_t		begin = (int32_t) index * COPY_TASK;
	int32_t		end = table->count - begin < COPY_TASK ? table->count : begin + COPY_TASK;

	(void) lane;
	for (int32_t c = begin; c < end; c++)
	{
		float	   *row = table->rows + (size_t) c * width;

		if (copy->back && (!all_finite(row, width) ||
						   !all_finite(table->state + (size_t) c * state_width, state_width)))
			copy->infinite = true;
		copy_numbers(copy, row, fm->factor + (size_t) c * fm->factors, fm->factors);
		copy_numbers(copy, row + fm->factors, fm->linear + c, 1);
		if (table->state == NULL)
			continue;
		if (fm->first != NULL)
			copy_state(copy, c, 0, fm->first);
		copy_state(copy, c, 1, fm->second);
	}
}

/* What does not go by coefficient. */
static void
copy_shared(const Copy *copy)
{
	FmTable    *table = copy->table;
	PmFm	   *fm = copy->fm;
	int			pairs = fm->field_count * fm->field_count;

	copy_numbers(copy, &table->intercept, &fm->intercept, 1);
	if (fm->field_weighted)
		copy_numbers(copy, table->pair, fm->pair, pairs);
	for (int moment = 0; moment < 2 && table->state != NULL; moment++)
	{
		float	   *values = moment == 0 ? fm->first : fm->second;

		if (values == NULL)
			continue;
		copy_numbers(copy, &table->intercept_state[moment], values, 1);
		if (fm->field_weighted)
			copy_numbers(copy, table->pair_state[moment], values + pair_state(fm), pairs);
	}
}

static PmStatus
run_copy(PmContext *ctx, Copy *copy)
{
	copy_shared(copy);
	return pm_parallel(ctx, "the training", ((int64_t) copy->table->count + COPY_TASK - 1) / COPY_TASK,
					   2.0 * COPY_TASK * copy->table->width, copy_task, copy);
}

/* ---- a table ------------------------------------------------------------ */

PmStatus
pm_fm_table_open(PmContext *ctx, const PmFm *fm, bool with_state,
				 FmTable *table)
{
	size_t		count = (size_t) fm->coefficient_count;
	size_t		pairs = (size_t) fm->field_count * fm->field_count;
	size_t		width = (size_t) pm_fm_width(fm->factors);
	PmFm		source = *fm;	/* only read */
	Copy		copy = {table, &source, false, false};

	memset(table, 0, sizeof(*table));
	table->field_weighted = fm->field_weighted;
	table->optimizer = fm->optimizer;
	table->factors = fm->factors;
	table->width = (int) width;
	table->state_width = table->width * (fm->optimizer == PM_FM_ADAM ? 2 : 1);
	table->field_count = fm->field_count;
	table->count = fm->coefficient_count;
	/* smaller fields stay in a cache by themselves */
	table->prefetched = (int32_t) (PREFETCHED_BYTES / (width * sizeof(float)));
	PM_TRY(pm_alloc_zero(ctx, "coefficients", width, sizeof(float), &table->mask));
	for (int d = 0; d < fm->factors; d++)
		table->mask[d] = 1;
	PM_TRY(pm_alloc_zero(ctx, "coefficients", count, width * sizeof(float), &table->rows));
	if (fm->field_weighted)
		PM_TRY(pm_alloc(ctx, "coefficients", pairs, sizeof(float), &table->pair));
	if (with_state)
		PM_TRY(pm_alloc_zero(ctx, "state of the optimizer", count,
							 (size_t) table->state_width * sizeof(float), &table->state));
	for (int moment = 0; moment < 2 && with_state && fm->field_weighted; moment++)
		PM_TRY(pm_alloc_zero(ctx, "state of the optimizer", pairs, sizeof(float),
							 &table->pair_state[moment]));
	return run_copy(ctx, &copy);
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

PmStatus
pm_fm_table_read(PmContext *ctx, FmTable *table, PmFm *fm)
{
	Copy		copy = {table, fm, true, false};

	PM_TRY(run_copy(ctx, &copy));
	if (copy.infinite || !isfinite(table->intercept) ||
		(fm->field_weighted && !all_finite(fm->pair, (size_t) fm->field_count * fm->field_count)))
		return pm_fail(ctx, PM_INVALID, "the weights grew beyond all bounds: lower the learning_rate");
	return PM_OK;
}
