/*
 * layout_count.c
 *		Categories, values and combinations of the training rows, counted.
 */
#include "layout_count.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "pm_sort.h"

/* ---- categories ------------------------------------------------------- */

static PmStatus
count_set(PmContext *ctx, const CtrTable *table, const CtrPart *part,
		  int64_t *counts)
{
	const int64_t *offsets = table->set_offsets[part->at];
	const int32_t *codes = table->set_codes[part->at];

	for (int64_t i = 0; i < table->n; i++)
	{
		PM_TRY(pm_ctr_check_interrupt(ctx, i));
		if (pm_ctr_is_training(table, i))
			for (int64_t j = offsets[i]; j < offsets[i + 1]; j++)
				counts[codes[j]]++;
	}
	return PM_OK;
}

PmStatus
pm_ctr_count_codes(PmContext *ctx, const CtrTable *table, const CtrPart *part,
				   int64_t **counts, int64_t *nulls)
{
	*nulls = 0;
	PM_TRY(pm_alloc_zero(ctx, "the layout", part->code_count, sizeof(int64_t), counts));
	if (part->kind == CTR_SET)
		return count_set(ctx, table, part, *counts);
	for (int64_t i = 0; i < table->n; i++)
	{
		int32_t		code = table->codes[i * table->code_width + part->at];

		PM_TRY(pm_ctr_check_interrupt(ctx, i));
		if (!pm_ctr_is_training(table, i))
			continue;
		if (code >= 0)
			(*counts)[code]++;
		else
			++*nulls;
	}
	return PM_OK;
}

PmStatus
pm_ctr_has_nulls(PmContext *ctx, const CtrTable *table, const CtrPart *part,
				 bool *nulls)
{
	*nulls = false;
	for (int64_t i = 0; i < table->n && !*nulls; i++)
	{
		PM_TRY(pm_ctr_check_interrupt(ctx, i));
		*nulls = pm_ctr_is_training(table, i) &&
			table->codes[i * table->code_width + part->at] < 0;
	}
	return PM_OK;
}

/* ---- values ----------------------------------------------------------- */

static int
compare_floats(const void *left, const void *right)
{
	float		a = *(const float *) left;
	float		b = *(const float *) right;

	return (a > b) - (a < b);
}

PmStatus
pm_ctr_sorted_values(PmContext *ctx, const CtrTable *table, int at,
					 int64_t limit, float **values, int64_t *count,
					 bool *missing)
{
	*count = 0;
	*missing = false;
	PM_TRY(pm_alloc(ctx, "the values to bin", table->n < limit ? table->n : limit,
					sizeof(float), values));
	for (int64_t i = 0; i < table->n; i++)
	{
		float		v = table->dense[i * table->dense_width + at];

		PM_TRY(pm_ctr_check_interrupt(ctx, i));
		if (!pm_ctr_is_training(table, i))
			continue;
		if (isnan(v))
			*missing = true;
		else if (*count < limit)
			(*values)[(*count)++] = v;
	}
	return pm_sort(ctx, *values, *count, sizeof(float), compare_floats);
}

int64_t
pm_ctr_distinct_values(float *values, int64_t count, int64_t frequency,
					   bool *rare)
{
	int64_t		kept = 0;

	*rare = false;
	for (int64_t begin = 0; begin < count;)
	{
		int64_t		end = begin + 1;

		while (end < count && values[end] == values[begin])
			end++;
		if (end - begin >= frequency)
			values[kept++] = values[begin];
		else
			*rare = true;
		begin = end;
	}
	return kept;
}

/* ---- combinations ----------------------------------------------------- */

static int
compare_keys(const void *left, const void *right)
{
	uint64_t	a = *(const uint64_t *) left;
	uint64_t	b = *(const uint64_t *) right;

	return (a > b) - (a < b);
}

PmStatus
pm_ctr_sort_keys(PmContext *ctx, uint64_t *keys, int64_t count)
{
	return pm_sort(ctx, keys, count, sizeof(uint64_t), compare_keys);
}

/* Of sorted keys those that occur often enough, each once, in place. */
static int64_t
frequent_keys(uint64_t *keys, int64_t count, int64_t frequency, bool *rare)
{
	int64_t		kept = 0;

	*rare = false;
	for (int64_t begin = 0; begin < count;)
	{
		int64_t		end = begin + 1;

		while (end < count && keys[end] == keys[begin])
			end++;
		if (end - begin >= frequency)
			keys[kept++] = keys[begin];
		else
			*rare = true;
		begin = end;
	}
	return kept;
}

PmStatus
pm_ctr_cross_keys(PmContext *ctx, const CtrLayout *layout,
				  const CtrTable *table, const CtrPart *part,
				  int64_t frequency, uint64_t **result, int64_t *kept,
				  bool *rare)
{
	uint64_t   *keys;
	int64_t		count = 0;
	uint64_t	product = 1;

	for (int j = 0; j < part->member_count; j++)
		if (__builtin_mul_overflow(product, (uint64_t) layout->parts[part->members[j]].size + 1,
								   &product))
			return pm_fail(ctx, PM_TOO_LARGE, "a cross has too many combinations");
	PM_TRY(pm_alloc(ctx, "the crossed rows", table->n, sizeof(uint64_t), &keys));
	for (int64_t i = 0; i < table->n; i++)
	{
		PM_TRY(pm_ctr_check_interrupt(ctx, i));
		if (pm_ctr_is_training(table, i))
			keys[count++] = pm_ctr_cross_key(layout, part, table->dense + i * table->dense_width,
											 table->codes + i * table->code_width);
	}
	PM_TRY(pm_ctr_sort_keys(ctx, keys, count));
	*kept = frequent_keys(keys, count, frequency, rare);
	if (*kept >= INT32_MAX - 1)
		return pm_fail(ctx, PM_TOO_LARGE, "a cross has too many combinations");
	PM_TRY(pm_alloc(ctx, "the layout", *kept, sizeof(uint64_t), result));
	memcpy(*result, keys, *kept * sizeof(uint64_t));
	pm_release(ctx, keys);
	return PM_OK;
}
