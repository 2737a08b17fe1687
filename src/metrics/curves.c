/*
 * curves.c
 *		Curves over all thresholds of a prediction: ROC, precision and recall.
 */
#include "curves.h"

#include <math.h>

#include "pm_arena.h"
#include "pm_ranking.h"

#define CHECK_ROWS (1 << 18)

/* A curve under construction. */
typedef struct Curve
{
	PmCurveKind kind;
	PmCurvePoint *points;
	size_t		capacity;
	int64_t		count;
} Curve;

/* Rows by prediction, lowest first. */
static PmStatus
rank_rows(PmContext *ctx, int64_t n, const double *predictions,
		  PmRanked **ranked)
{
	PM_TRY(pm_alloc(ctx, "the ranking", n, sizeof(PmRanked), ranked));
	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "the curve was cancelled");
		(*ranked)[i] = (PmRanked) {pm_rank_key(predictions[i]), i};
	}
	return pm_rank_sort(ctx, n, ranked);
}

/* Does the curve look the same without b, which lies between a and c? */
static bool
is_dispensable(PmCurveKind kind, const PmCurvePoint *a, const PmCurvePoint *b,
			   const PmCurvePoint *c)
{
	/* recall stays, and precision only falls: not even a corner */
	if (kind == PM_CURVE_PRECISION_RECALL)
		return a->positives == b->positives && b->positives == c->positives;
	return (b->positives - a->positives) * (c->negatives - b->negatives) ==
		(c->positives - b->positives) * (b->negatives - a->negatives);
}

/* One more point, perhaps in the place of the last one. */
static PmStatus
add_point(PmContext *ctx, Curve *curve, PmCurvePoint point)
{
	if (curve->count >= 2)
	{
		PmCurvePoint *last = &curve->points[curve->count - 1];

		if (is_dispensable(curve->kind, last - 1, last, &point))
		{
			*last = point;
			return PM_OK;
		}
	}
	PM_TRY(pm_reserve(ctx, "the curve", curve->count + 1, sizeof(PmCurvePoint),
					  &curve->points, &curve->capacity));
	curve->points[curve->count++] = point;
	return PM_OK;
}

/* All corners. */
static PmStatus
make_corners(PmContext *ctx, int64_t n, const PmRanked *ranked,
			 const uint8_t *labels, const float *weights, Curve *curve)
{
	PmCurvePoint point = {INFINITY, 0, 0};
	int64_t		unchecked = 0;

	if (curve->kind == PM_CURVE_ROC && n > 0)
		PM_TRY(add_point(ctx, curve, point));
	for (int64_t end = n; end > 0;)
	{
		uint64_t	key = ranked[end - 1].key;

		for (; end > 0 && ranked[end - 1].key == key; end--)
		{
			int64_t		row = ranked[end - 1].row;

			*(labels[row] ? &point.positives : &point.negatives) +=
				weights != NULL ? weights[row] : 1;
			if (++unchecked % CHECK_ROWS == 0 && pm_interrupted(ctx))
				return pm_fail(ctx, PM_CANCELLED, "the curve was cancelled");
		}
		point.threshold = pm_rank_score(key);
		PM_TRY(add_point(ctx, curve, point));
	}
	return PM_OK;
}

/* Part of the way from the first row to the last, both classes alike. */
static double
progress_at(const PmCurvePoint *point, const PmCurvePoint *all)
{
	return (all->positives > 0 ? point->positives / all->positives : 0) +
		(all->negatives > 0 ? point->negatives / all->negatives : 0);
}

/* Keep the first, the last, and the first one after each equal step. */
static void
thin_out(Curve *curve, int64_t most)
{
	const PmCurvePoint all = curve->points[curve->count - 1];
	double		begin = progress_at(&curve->points[0], &all);
	double		step = (progress_at(&all, &all) - begin) / (double) (most - 1);
	int64_t		kept = 1;

	for (int64_t i = 1; i < curve->count - 1; i++)
		if (kept < most - 1 &&
			progress_at(&curve->points[i], &all) >= begin + (double) kept * step)
			curve->points[kept++] = curve->points[i];
	curve->points[kept++] = all;
	curve->count = kept;
}

PmStatus
pm_metrics_curve(PmContext *ctx, int64_t n, const double *predictions,
				 const uint8_t *labels, const float *weights,
				 PmCurveKind kind, int64_t most, PmCurvePoint **points,
				 int64_t *count)
{
	Curve		curve = {.kind = kind};
	PmRanked   *ranked;

	PM_TRY(rank_rows(ctx, n, predictions, &ranked));
	PM_TRY(make_corners(ctx, n, ranked, labels, weights, &curve));
	pm_release(ctx, ranked);
	if (curve.count > most)
		thin_out(&curve, most);
	*points = curve.points;
	*count = curve.count;
	return PM_OK;
}
