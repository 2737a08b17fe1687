/*
 * bins_sql.c
 *		pm_lift and pm_calibration: predictions in bins.
 */
#include "postgres.h"

#include <math.h>

#include "bins.h"
#include "metrics_sql.h"

static const char *const strategy_names[] = {"quantile", "uniform", NULL};

/* A ratio, NAN where it has no meaning. */
static double
ratio(double part, double whole)
{
	return whole > 0 ? part / whole : NAN;
}

/* Read the rows and put them into bins. */
static PmContext *
make_bins(FunctionCallInfo fcinfo, const char *weight_col,
		  MetricsPrediction kind, PmBinning binning, int count, PmBin **bins)
{
	PmContext  *ctx;
	MetricsRows rows;

	pm_metrics_read(fcinfo, weight_col, kind, &rows);
	ctx = pm_host_begin("bins");
	pm_host_check(ctx, pm_metrics_bins(ctx, rows.n, rows.predictions, rows.labels,
									   rows.weights, binning, count, bins));
	return ctx;
}

PM_FUNCTION(pm_lift);

/*
 * pm_lift(source regclass, label name, prediction name, bins int, options)
 *	→ TABLE(bin, n, min_prediction, mean_prediction, response_rate, lift,
 *			cumulative_lift, cumulative_gain), highest predictions first
 */
Datum
pm_lift(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx;
	PmBin	   *bins;
	PmBin		all = {0};
	PmBin		above = {0};
	char	   *weight_col = NULL;
	PmOption	options[] = {{"weight_col", PM_OPTION_STRING, &weight_col}};
	int			count = pm_metrics_bins_argument(fcinfo);

	pm_options_parse(PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4), options,
					 lengthof(options), "lift");
	ctx = make_bins(fcinfo, weight_col, METRICS_SCORE, PM_BINS_QUANTILE, count, &bins);
	for (int b = 0; b < count; b++)
	{
		all.weight += bins[b].weight;
		all.positives += bins[b].positives;
	}
	for (int b = count - 1; b >= 0; b--)
	{
		const PmBin *bin = &bins[b];
		double		base_rate = ratio(all.positives, all.weight);
		double		rate = ratio(bin->positives, bin->weight);
		Datum		values[8];
		bool		nulls[8] = {false};

		if (bin->n == 0)
			continue;
		above.weight += bin->weight;
		above.positives += bin->positives;
		values[0] = Int32GetDatum(count - b);
		values[1] = Int64GetDatum(bin->n);
		values[2] = Float8GetDatum(bin->lowest);
		values[3] = Float8GetDatum(bin->predictions / bin->weight);
		values[4] = Float8GetDatum(rate);
		values[5] = pm_float8_or_null(ratio(rate, base_rate), &nulls[5]);
		values[6] = pm_float8_or_null(ratio(above.positives / above.weight, base_rate), &nulls[6]);
		values[7] = pm_float8_or_null(ratio(above.positives, all.positives), &nulls[7]);
		pm_rows_put(&rows, values, nulls);
	}
	pm_host_end(ctx);
	return (Datum) 0;
}

PM_FUNCTION(pm_calibration);

/*
 * pm_calibration(source regclass, label name, prediction name, bins int,
 *				  options)
 *	→ TABLE(bin, n, mean_prediction, base_rate, lower, upper)
 */
Datum
pm_calibration(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx;
	PmBin	   *bins;
	char	   *weight_col = NULL;
	int			strategy = PM_BINS_QUANTILE;
	PmOption	options[] = {
		{"strategy", PM_OPTION_CHOICE, &strategy,.choices = strategy_names},
		{"weight_col", PM_OPTION_STRING, &weight_col},
	};
	int			count = pm_metrics_bins_argument(fcinfo);

	pm_options_parse(PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4), options,
					 lengthof(options), "calibration");
	ctx = make_bins(fcinfo, weight_col, METRICS_PROBABILITY, strategy, count, &bins);
	for (int b = 0; b < count; b++)
	{
		const PmBin *bin = &bins[b];
		double		rate = ratio(bin->positives, bin->weight);
		double		lower;
		double		upper;
		Datum		values[6];
		bool		nulls[6] = {false};

		if (bin->n == 0)
			continue;
		pm_metrics_wilson(rate, bin->weight * bin->weight / bin->squares, &lower, &upper);
		values[0] = Int32GetDatum(b + 1);
		values[1] = Int64GetDatum(bin->n);
		values[2] = Float8GetDatum(bin->predictions / bin->weight);
		values[3] = Float8GetDatum(rate);
		values[4] = Float8GetDatum(lower);
		values[5] = Float8GetDatum(upper);
		pm_rows_put(&rows, values, nulls);
	}
	pm_host_end(ctx);
	return (Datum) 0;
}
