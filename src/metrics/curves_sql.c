/*
 * curves_sql.c
 *		pm_roc and pm_pr_curve: curves over all thresholds.
 */
#include "postgres.h"

#include <math.h>

#include "curves.h"
#include "metrics_sql.h"

#define MAX_POINTS 10000000

/* A ratio, NAN where it has no meaning. */
static double
ratio(double part, double whole)
{
	return whole > 0 ? part / whole : NAN;
}

/* Read the arguments and the rows, and make the curve. */
static PmContext *
make_curve(FunctionCallInfo fcinfo, PmCurveKind kind, const char *what,
		   PmCurvePoint **points, int64_t *count)
{
	PmContext  *ctx;
	MetricsRows rows;
	char	   *weight_col = NULL;
	int			most = 1000;
	PmOption	options[] = {
		{"points", PM_OPTION_INT, &most, 2, MAX_POINTS},
		{"weight_col", PM_OPTION_STRING, &weight_col},
	};

	pm_options_parse(PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3), options,
					 lengthof(options), what);
	pm_metrics_read(fcinfo, weight_col, METRICS_SCORE, &rows);
	ctx = pm_host_begin(what);
	pm_host_check(ctx, pm_metrics_curve(ctx, rows.n, rows.predictions, rows.labels,
										rows.weights, kind, most, points, count));
	return ctx;
}

PM_FUNCTION(pm_roc);

/*
 * pm_roc(source regclass, label name, prediction name, options jsonb)
 *	→ TABLE(threshold, false_positive_rate, true_positive_rate)
 */
Datum
pm_roc(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmCurvePoint *points;
	int64_t		count;
	PmContext  *ctx = make_curve(fcinfo, PM_CURVE_ROC, "a ROC curve", &points, &count);

	for (int64_t i = 0; i < count; i++)
	{
		const PmCurvePoint *all = &points[count - 1];
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = Float8GetDatum(points[i].threshold);
		values[1] = pm_float8_or_null(ratio(points[i].negatives, all->negatives), &nulls[1]);
		values[2] = pm_float8_or_null(ratio(points[i].positives, all->positives), &nulls[2]);
		pm_rows_put(&rows, values, nulls);
	}
	pm_host_end(ctx);
	return (Datum) 0;
}

PM_FUNCTION(pm_pr_curve);

/*
 * pm_pr_curve(source regclass, label name, prediction name, options jsonb)
 *	→ TABLE(threshold, recall, precision)
 */
Datum
pm_pr_curve(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmCurvePoint *points;
	int64_t		count;
	PmContext  *ctx = make_curve(fcinfo, PM_CURVE_PRECISION_RECALL,
								 "a precision-recall curve", &points, &count);

	for (int64_t i = 0; i < count; i++)
	{
		double		caught = points[i].positives + points[i].negatives;
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = Float8GetDatum(points[i].threshold);
		values[1] = pm_float8_or_null(ratio(points[i].positives, points[count - 1].positives), &nulls[1]);
		values[2] = pm_float8_or_null(ratio(points[i].positives, caught), &nulls[2]);
		pm_rows_put(&rows, values, nulls);
	}
	pm_host_end(ctx);
	return (Datum) 0;
}
