/*
 * metrics_sql.h
 *		What the SQL functions of the metrics share: rows of predictions.
 */
#ifndef METRICS_SQL_H
#define METRICS_SQL_H

#include "postgres.h"

#include "fmgr.h"

#include "pm_host.h"

/* Rows as they gather, in palloc'd arrays. */
typedef struct MetricsRows
{
	int64		n;
	int64		capacity;
	double	   *predictions;
	uint8_t    *labels;
	float	   *weights;		/* NULL = all 1 */
} MetricsRows;

/* One more row, with arrays in `memory`. */
extern void pm_metrics_rows_add(MetricsRows *rows, MemoryContext memory,
								double prediction, bool label, float weight);

/* All rows of others. */
extern void pm_metrics_rows_append(MetricsRows *rows, MemoryContext memory,
								   const MetricsRows *others);

/* What a prediction may be: any finite number, or in [0, 1]. */
typedef enum MetricsPrediction
{
	METRICS_SCORE,
	METRICS_PROBABILITY
} MetricsPrediction;

/* An ERROR for a prediction that is not what it must be. */
extern void pm_metrics_check_prediction(double prediction,
										MetricsPrediction kind);

/*
 * A weight that is an argument: false where the row is left out, because it
 * is NULL or 0; an ERROR where it is negative, NaN or infinite.
 */
extern bool pm_metrics_weight_argument(FunctionCallInfo fcinfo, int argument,
									   double *weight);

/*
 * The rows of a relation: arguments 0 to 2 are source, label and prediction.
 * weight_col may be NULL.
 */
extern void pm_metrics_read(FunctionCallInfo fcinfo, const char *weight_col,
							MetricsPrediction kind, MetricsRows *rows);

/* The number of bins, argument 3. */
extern int	pm_metrics_bins_argument(FunctionCallInfo fcinfo);

#endif							/* METRICS_SQL_H */
