/*
 * bins.c
 *		Predictions in bins, and what was seen there.
 */
#include "bins.h"

#include <math.h>

#include "pm_arena.h"
#include "pm_ranking.h"

#define CHECK_ROWS (1 << 18)
#define Z95 1.959963984540054	/* the normal distribution's 97.5 % point */

static inline double
weight_of(const float *weights, int64_t i)
{
	return weights != NULL ? weights[i] : 1;
}

/* Count a row in a bin. */
static void
add_row(PmBin *bin, double prediction, bool label, double weight)
{
	if (bin->n++ == 0 || prediction < bin->lowest)
		bin->lowest = prediction;
	bin->weight += weight;
	bin->squares += weight * weight;
	bin->positives += label ? weight : 0;
	bin->predictions += weight * prediction;
}

static PmStatus
fill_uniform(PmContext *ctx, int64_t n, const double *predictions,
			 const uint8_t *labels, const float *weights, int count,
			 PmBin *bins)
{
	for (int64_t i = 0; i < n; i++)
	{
		double		p = predictions[i];
		int			at = p >= 1 ? count - 1 : p <= 0 ? 0 : (int) (p * count);

		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "binning was cancelled");
		add_row(&bins[at], p, labels[i], weight_of(weights, i));
	}
	return PM_OK;
}

static PmStatus
fill_quantiles(PmContext *ctx, int64_t n, const PmRanked *ranked,
			   const uint8_t *labels, const float *weights, double total,
			   int count, PmBin *bins)
{
	double		before = 0;
	int64_t		checked = 0;

	for (int64_t begin = 0, end = 0; begin < n; begin = end)
	{
		double		tied = 0;
		double		middle;
		int			at;

		for (; end < n && ranked[end].key == ranked[begin].key; end++)
			tied += weight_of(weights, ranked[end].row);
		middle = (before + tied / 2) / total * count;
		at = middle >= count ? count - 1 : (int) middle;
		for (int64_t i = begin; i < end; i++)
			add_row(&bins[at], pm_rank_score(ranked[i].key),
					labels[ranked[i].row], weight_of(weights, ranked[i].row));
		before += tied;
		if (end > checked)
		{
			checked = end + CHECK_ROWS;
			if (pm_interrupted(ctx))
				return pm_fail(ctx, PM_CANCELLED, "binning was cancelled");
		}
	}
	return PM_OK;
}

PmStatus
pm_metrics_bins(PmContext *ctx, int64_t n, const double *predictions,
				const uint8_t *labels, const float *weights, PmBinning binning,
				int count, PmBin **bins)
{
	PmRanked   *ranked;
	double		total = 0;

	PM_TRY(pm_alloc_zero(ctx, "the bins", count, sizeof(PmBin), bins));
	if (binning == PM_BINS_UNIFORM)
		return fill_uniform(ctx, n, predictions, labels, weights, count, *bins);
	PM_TRY(pm_alloc(ctx, "the ranking", n, sizeof(PmRanked), &ranked));
	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "binning was cancelled");
		ranked[i] = (PmRanked) {pm_rank_key(predictions[i]), i};
		total += weight_of(weights, i);
	}
	PM_TRY(pm_rank_sort(ctx, n, &ranked));
	PM_TRY(fill_quantiles(ctx, n, ranked, labels, weights, total, count, *bins));
	pm_release(ctx, ranked);
	return PM_OK;
}

void
pm_metrics_wilson(double rate, double n, double *lower, double *upper)
{
	double		z2 = Z95 * Z95;
	double		centre = (rate + z2 / (2 * n)) / (1 + z2 / n);
	double		half = Z95 * sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n);

	/* rounding must not put a rate of 0 or 1 outside */
	*lower = rate <= 0 ? 0 : centre - half;
	*upper = rate >= 1 ? 1 : centre + half;
}
