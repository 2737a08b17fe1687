/*
 * pm_metrics.h
 *		How good are predictions of a yes or no.
 *
 * Labels are 0 or 1, scores any finite numbers of which higher means more
 * likely 1 (logits will do where only the order counts), probabilities in
 * [0, 1].  weights may be NULL: all 1.  What is not defined is NAN.
 */
#ifndef PM_METRICS_H
#define PM_METRICS_H

#include "pm_arena.h"
#include "pm_context.h"

/*
 * Area under the ROC curve: the chance that a 1 scores higher than a 0, ties
 * counting half.  NAN with one class only.
 */
extern PmStatus pm_metrics_auc(PmContext *ctx, int64_t n, const float *scores,
							   const uint8_t *labels, const float *weights,
							   double *auc);

/* The same of doubles, which a cast to float would tie. */
extern PmStatus pm_metrics_auc_double(PmContext *ctx, int64_t n,
									  const double *scores,
									  const uint8_t *labels,
									  const float *weights, double *auc);

/*
 * AUC within each group, averaged by the groups' weight over those that have
 * both classes (GAUC, Zhu et al. 2017).  groups[i] >= 0 numbers the group.
 */
extern PmStatus pm_metrics_gauc(PmContext *ctx, int64_t n, const float *scores,
								const uint8_t *labels, const float *weights,
								const int32_t *groups, int32_t group_count,
								double *gauc);

/* log(1 + exp(-y z)) with y = -1 or 1, without overflow or cancellation. */
extern double pm_log_loss_of_logit(double logit, bool label);

/*
 * The same of a probability, which is kept away from 0 and 1 by DBL_EPSILON,
 * as scikit-learn does: certain and wrong costs 36.04, not infinity.
 */
extern double pm_log_loss_of_probability(double probability, bool label);

/* 1 / (1 + exp(-z)) */
extern double pm_sigmoid(double logit);

/* Mean log loss of logits. */
extern double pm_metrics_log_loss(int64_t n, const float *logits,
								  const uint8_t *labels, const float *weights);

/* Of probabilities. */
typedef struct PmBinaryMetrics
{
	int64_t		n;
	double		base_rate;		/* mean label */
	double		mean_prediction;
	double		auc;
	double		log_loss;
	double		normalized_entropy; /* log loss over that of the base rate */
	double		brier;			/* mean squared error */
	double		ece;			/* expected calibration error, 10 equal-width
								 * bins of the probability */
	double		accuracy;		/* the rest at the threshold */
	double		precision;
	double		recall;
	double		f1;
} PmBinaryMetrics;

extern PmStatus pm_metrics_binary(PmContext *ctx, int64_t n,
								  const double *probabilities,
								  const uint8_t *labels, const float *weights,
								  double threshold, PmBinaryMetrics *metrics);

/* ---- calibration ------------------------------------------------------- */

/*
 * Platt 1999 with Lin, Lin and Weng's 2007 targets and Newton steps:
 * p = sigmoid(slope * z + shift).  Where all logits are one, or all labels,
 * slope is 0 and p the mean target.  PM_INVALID without any weight and for
 * logits that are not finite.
 */
extern PmStatus pm_calibrate_platt(PmContext *ctx, int64_t n,
								   const float *logits, const uint8_t *labels,
								   const float *weights, double *slope,
								   double *shift);

/*
 * Isotonic regression by pool-adjacent-violators: a nondecreasing function of
 * the logit through `count` points, linear between them and constant outside.
 * Rows of one logit count as one of their mean label.  thresholds (strictly
 * increasing) and values are from the arena.  PM_INVALID as above.
 */
extern PmStatus pm_calibrate_isotonic(PmContext *ctx, int64_t n,
									  const float *logits,
									  const uint8_t *labels,
									  const float *weights, int32_t *count,
									  double **thresholds, double **values);

extern double pm_isotonic_apply(double logit, int32_t count,
								const double *thresholds,
								const double *values);

#endif							/* PM_METRICS_H */
