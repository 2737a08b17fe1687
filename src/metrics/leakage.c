/*
 * leakage.c
 *		How well one column alone tells the label: too well is a leak.
 */
#include "leakage.h"

#include <math.h>

#include "pm_arena.h"
#include "pm_hash.h"
#include "pm_metrics.h"
#include "pm_ranking.h"

#define CHECK_ROWS (1 << 18)
#define PRIOR_ROWS 10			/* at the base rate, added to every category */

/* Occurrences of categories: one a row or, in sets, any number. */
typedef struct Items
{
	int64_t		count;
	PmRanked   *items;			/* a category and the row it occurs in */
} Items;

/* Weight by half and label, and the base rate of each half. */
typedef struct Halves
{
	double		weight[2];
	double		ones[2];
	double		prior;			/* weight of PRIOR_ROWS */
} Halves;

static inline double
weight_of(const PmLeakageRows *rows, int64_t i)
{
	return rows->weights != NULL ? rows->weights[i] : 1;
}

/* The half of a row, 0 or 1. */
static inline int
half_of(int64_t row)
{
	return (int) (pm_mix64((uint64_t) row + UINT64_C(0x9e3779b97f4a7c15)) & 1);
}

static inline double
both_ways(double auc)
{
	return auc < 0.5 ? 1 - auc : auc;
}

static PmStatus
cancelled(PmContext *ctx)
{
	return pm_fail(ctx, PM_CANCELLED, "the search for leaks was cancelled");
}

/*
 * Coverage, known rows and the AUC of being NULL, which takes no sorting.
 * known_at(source, row) tells whether a row has a value.
 */
static PmStatus
measure_missing(PmContext *ctx, const PmLeakageRows *rows, const void *source,
				int stride, bool (*known_at) (const void *source, int stride,
											  int64_t row), PmLeakage *leakage)
{
	double		weight[2][2] = {{0, 0}, {0, 0}};	/* by label, known */
	double		zeros;
	double		ones;

	*leakage = (PmLeakage) {.value = NAN,.category = NAN,.missing = NAN};
	for (int64_t i = 0; i < rows->n; i++)
	{
		bool		known = known_at(source, stride, i);

		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return cancelled(ctx);
		weight[rows->labels[i]][known] += weight_of(rows, i);
		leakage->known[rows->labels[i]] += known;
	}
	zeros = weight[0][0] + weight[0][1];
	ones = weight[1][0] + weight[1][1];
	leakage->coverage = (weight[0][1] + weight[1][1]) / (zeros + ones);
	if (zeros > 0 && ones > 0)
		leakage->missing = both_ways((weight[1][1] * weight[0][0] +
									  (weight[1][0] * weight[0][0] +
									   weight[1][1] * weight[0][1]) / 2) / (zeros * ones));
	return PM_OK;
}

static bool
number_known(const void *source, int stride, int64_t row)
{
	return !isnan(((const float *) source)[row * stride]);
}

static bool
code_known(const void *source, int stride, int64_t row)
{
	return ((const int32_t *) source)[row * stride] >= 0;
}

static bool
set_known(const void *source, int stride, int64_t row)
{
	const int64_t *offsets = source;

	return offsets[row * stride] < offsets[row * stride + 1];
}

/* Base rates of the halves. */
static PmStatus
measure_halves(PmContext *ctx, const PmLeakageRows *rows, Halves *halves)
{
	*halves = (Halves) {0};
	for (int64_t i = 0; i < rows->n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return cancelled(ctx);
		halves->weight[half_of(i)] += weight_of(rows, i);
		halves->ones[half_of(i)] += rows->labels[i] ? weight_of(rows, i) : 0;
	}
	if (rows->n > 0)
		halves->prior = PRIOR_ROWS * (halves->weight[0] + halves->weight[1]) /
			(double) rows->n;
	return PM_OK;
}

/* Rate of a category in one half, shrunk to the base rate, less that. */
static double
excess_rate(const Halves *halves, int half, double ones, double weight)
{
	double		base = halves->weight[half] > 0 ?
		halves->ones[half] / halves->weight[half] : 0;

	return (ones + halves->prior * base) / (weight + halves->prior) - base;
}

/* Add to every row's score what its categories say in the other half. */
static PmStatus
score_rows(PmContext *ctx, const PmLeakageRows *rows, const Items *items,
		   double *scores)
{
	const PmRanked *ranked = items->items;
	Halves		halves;
	int64_t		checked = 0;

	PM_TRY(measure_halves(ctx, rows, &halves));
	for (int64_t begin = 0, end = 0; begin < items->count; begin = end)
	{
		double		weight[2] = {0, 0};
		double		ones[2] = {0, 0};
		double		rates[2];

		for (; end < items->count && ranked[end].key == ranked[begin].key; end++)
		{
			int64_t		row = ranked[end].row;

			weight[half_of(row)] += weight_of(rows, row);
			ones[half_of(row)] += rows->labels[row] ? weight_of(rows, row) : 0;
		}
		for (int half = 0; half < 2; half++)
			rates[half] = excess_rate(&halves, half, ones[half], weight[half]);
		for (int64_t i = begin; i < end; i++)
			scores[ranked[i].row] += rates[1 - half_of(ranked[i].row)];
		if (end > checked)
		{
			checked = end + CHECK_ROWS;
			if (pm_interrupted(ctx))
				return cancelled(ctx);
		}
	}
	return PM_OK;
}

/* AUC of the scores within each half, over the rows that have a category. */
static PmStatus
auc_of_scores(PmContext *ctx, const PmLeakageRows *rows, const double *scores,
			  const int32_t *counts, double *auc)
{
	float	   *known;
	uint8_t    *labels;
	float	   *weights;
	int32_t    *halves;
	int64_t		n = 0;

	PM_TRY(pm_alloc(ctx, "the scores", rows->n, sizeof(float), &known));
	PM_TRY(pm_alloc(ctx, "the scores", rows->n, sizeof(uint8_t), &labels));
	PM_TRY(pm_alloc(ctx, "the scores", rows->n, sizeof(float), &weights));
	PM_TRY(pm_alloc(ctx, "the scores", rows->n, sizeof(int32_t), &halves));
	for (int64_t i = 0; i < rows->n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return cancelled(ctx);
		if (counts[i] == 0)
			continue;
		known[n] = (float) (scores[i] / counts[i]);
		labels[n] = rows->labels[i];
		weights[n] = (float) weight_of(rows, i);
		halves[n++] = half_of(i);
	}
	PM_TRY(pm_metrics_gauc(ctx, n, known, labels, weights, halves, 2, auc));
	pm_release(ctx, known);
	pm_release(ctx, labels);
	pm_release(ctx, weights);
	pm_release(ctx, halves);
	return PM_OK;
}

/* AUC of categories, out of fold. */
static PmStatus
auc_of_items(PmContext *ctx, const PmLeakageRows *rows, Items *items,
			 double *auc)
{
	double	   *scores;
	int32_t    *counts;

	PM_TRY(pm_alloc_zero(ctx, "the scores", rows->n, sizeof(double), &scores));
	PM_TRY(pm_alloc_zero(ctx, "the scores", rows->n, sizeof(int32_t), &counts));
	for (int64_t i = 0; i < items->count; i++)
		counts[items->items[i].row]++;
	PM_TRY(pm_rank_sort(ctx, items->count, &items->items));
	PM_TRY(score_rows(ctx, rows, items, scores));
	PM_TRY(auc_of_scores(ctx, rows, scores, counts, auc));
	pm_release(ctx, scores);
	pm_release(ctx, counts);
	pm_release(ctx, items->items);
	return PM_OK;
}

PmStatus
pm_leakage_number(PmContext *ctx, const PmLeakageRows *rows,
				  const float *values, int stride, PmLeakage *leakage)
{
	Items		items = {0};
	float	   *known;
	uint8_t    *labels;
	float	   *weights;

	PM_TRY(measure_missing(ctx, rows, values, stride, number_known, leakage));
	PM_TRY(pm_alloc(ctx, "the values", rows->n, sizeof(float), &known));
	PM_TRY(pm_alloc(ctx, "the values", rows->n, sizeof(uint8_t), &labels));
	PM_TRY(pm_alloc(ctx, "the values", rows->n, sizeof(float), &weights));
	PM_TRY(pm_alloc(ctx, "the values", rows->n, sizeof(PmRanked), &items.items));
	for (int64_t i = 0; i < rows->n; i++)
	{
		float		value = values[i * stride];

		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return cancelled(ctx);
		if (isnan(value))
			continue;
		known[items.count] = value;
		labels[items.count] = rows->labels[i];
		weights[items.count] = (float) weight_of(rows, i);
		items.items[items.count++] = (PmRanked) {pm_rank_key_float(value), i};
	}
	PM_TRY(pm_metrics_auc(ctx, items.count, known, labels, weights, &leakage->value));
	leakage->value = both_ways(leakage->value);
	pm_release(ctx, known);
	pm_release(ctx, labels);
	pm_release(ctx, weights);
	return auc_of_items(ctx, rows, &items, &leakage->category);
}

PmStatus
pm_leakage_category(PmContext *ctx, const PmLeakageRows *rows,
					const int32_t *codes, int stride, PmLeakage *leakage)
{
	Items		items = {0};

	PM_TRY(measure_missing(ctx, rows, codes, stride, code_known, leakage));
	PM_TRY(pm_alloc(ctx, "the categories", rows->n, sizeof(PmRanked), &items.items));
	for (int64_t i = 0; i < rows->n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return cancelled(ctx);
		if (codes[i * stride] >= 0)
			items.items[items.count++] = (PmRanked) {(uint64_t) codes[i * stride], i};
	}
	return auc_of_items(ctx, rows, &items, &leakage->category);
}

PmStatus
pm_leakage_set(PmContext *ctx, const PmLeakageRows *rows,
			   const int64_t *offsets, const int32_t *codes,
			   PmLeakage *leakage)
{
	Items		items = {0};

	PM_TRY(measure_missing(ctx, rows, offsets, 1, set_known, leakage));
	PM_TRY(pm_alloc(ctx, "the members", offsets[rows->n] - offsets[0],
					sizeof(PmRanked), &items.items));
	for (int64_t i = 0; i < rows->n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return cancelled(ctx);
		for (int64_t j = offsets[i]; j < offsets[i + 1]; j++)
			items.items[items.count++] = (PmRanked) {(uint64_t) (uint32_t) codes[j], i};
	}
	return auc_of_items(ctx, rows, &items, &leakage->category);
}
