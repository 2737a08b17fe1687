/*
 * curves.h
 *		Curves over all thresholds of a prediction: ROC, precision and recall.
 */
#ifndef CURVES_H
#define CURVES_H

#include "pm_context.h"

typedef enum PmCurveKind
{
	PM_CURVE_ROC,				/* begins with the threshold above all rows */
	PM_CURVE_PRECISION_RECALL
} PmCurveKind;

/* What lies at or above a threshold. */
typedef struct PmCurvePoint
{
	double		threshold;
	double		positives;		/* weight of the rows of label 1 */
	double		negatives;
} PmCurvePoint;

/*
 * The corners of a curve, from the highest threshold down, of which the last
 * has all rows; where there are more than `most` (2 or more), about evenly
 * spread ones of them.  Rows of one prediction stay together.  *points is
 * from the arena.
 */
extern PmStatus pm_metrics_curve(PmContext *ctx, int64_t n,
								 const double *predictions,
								 const uint8_t *labels, const float *weights,
								 PmCurveKind kind, int64_t most,
								 PmCurvePoint **points, int64_t *count);

#endif							/* CURVES_H */
