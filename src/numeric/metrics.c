/*
 * metrics.c
 *		How good are predictions of a yes or no.
 */
#include "pm_metrics.h"

#include <float.h>
#include <math.h>

#include "pm_ranking.h"

#define CHECK_ROWS (1 << 20)
#define ECE_BINS 10
#define CLIP DBL_EPSILON		/* as scikit-learn clips probabilities */

static inline double
weight_of(const float *weights, int64_t i)
{
	return weights != NULL ? weights[i] : 1;
}

double
pm_sigmoid(double logit)
{
	double		e = exp(-fabs(logit));

	return logit >= 0 ? 1 / (1 + e) : e / (1 + e);
}

double
pm_log_loss_of_logit(double logit, bool label)
{
	double		margin = label ? logit : -logit;

	return margin >= 0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
}

double
pm_log_loss_of_probability(double probability, bool label)
{
	return label ? -log(fmax(probability, CLIP)) : -log1p(-fmin(probability, 1 - CLIP));
}

double
pm_metrics_log_loss(int64_t n, const float *logits, const uint8_t *labels,
					const float *weights)
{
	double		total = 0;
	double		sum = 0;

	for (int64_t i = 0; i < n; i++)
	{
		total += weight_of(weights, i);
		sum += weight_of(weights, i) * pm_log_loss_of_logit(logits[i], labels[i]);
	}
	return total > 0 ? sum / total : NAN;
}

/* ---- AUC -------------------------------------------------------------- */

/* Rows by group, where there are groups, and score. */
static PmStatus
rank(PmContext *ctx, int64_t n, const float *scores, const int32_t *groups,
	 PmRanked **ranked)
{
	PM_TRY(pm_alloc(ctx, "the ranking", n, sizeof(PmRanked), ranked));
	for (int64_t i = 0; i < n; i++)
	{
		uint64_t	group = groups != NULL ? (uint32_t) groups[i] : 0;

		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "cancelled");
		(*ranked)[i] = (PmRanked) {group << 32 | pm_rank_key_float(scores[i]), i};
	}
	return pm_rank_sort(ctx, n, ranked);
}

/* AUC of ranked rows: weight of the pairs in order, ties counting half. */
static double
ranked_auc(const PmRanked *ranked, int64_t n, const uint8_t *labels,
		   const float *weights)
{
	double		below = 0;		/* weight of the 0s that score lower */
	double		positives = 0;
	double		area = 0;

	for (int64_t begin = 0; begin < n;)
	{
		double		tied[2] = {0, 0};
		int64_t		end = begin;

		for (; end < n && ranked[end].key == ranked[begin].key; end++)
			tied[labels[ranked[end].row]] += weight_of(weights, ranked[end].row);
		area += tied[1] * (below + tied[0] / 2);
		below += tied[0];
		positives += tied[1];
		begin = end;
	}
	return positives > 0 && below > 0 ? area / (positives * below) : NAN;
}

PmStatus
pm_metrics_auc(PmContext *ctx, int64_t n, const float *scores,
			   const uint8_t *labels, const float *weights, double *auc)
{
	PmRanked   *ranked;

	PM_TRY(rank(ctx, n, scores, NULL, &ranked));
	*auc = ranked_auc(ranked, n, labels, weights);
	pm_release(ctx, ranked);
	return PM_OK;
}

PmStatus
pm_metrics_auc_double(PmContext *ctx, int64_t n, const double *scores,
					  const uint8_t *labels, const float *weights, double *auc)
{
	PmRanked   *ranked;

	PM_TRY(pm_alloc(ctx, "the ranking", n, sizeof(PmRanked), &ranked));
	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "cancelled");
		ranked[i] = (PmRanked) {pm_rank_key(scores[i]), i};
	}
	PM_TRY(pm_rank_sort(ctx, n, &ranked));
	*auc = ranked_auc(ranked, n, labels, weights);
	pm_release(ctx, ranked);
	return PM_OK;
}

PmStatus
pm_metrics_gauc(PmContext *ctx, int64_t n, const float *scores,
				const uint8_t *labels, const float *weights,
				const int32_t *groups, int32_t group_count, double *gauc)
{
	PmRanked   *ranked;
	double		total = 0;
	double		sum = 0;

	(void) group_count;
	PM_TRY(rank(ctx, n, scores, groups, &ranked));
	for (int64_t begin = 0; begin < n;)
	{
		int64_t		end = begin;
		double		weight = 0;
		double		auc;

		for (; end < n && ranked[end].key >> 32 == ranked[begin].key >> 32; end++)
			weight += weight_of(weights, ranked[end].row);
		auc = ranked_auc(ranked + begin, end - begin, labels, weights);
		if (!isnan(auc))
		{
			total += weight;
			sum += weight * auc;
		}
		begin = end;
	}
	*gauc = total > 0 ? sum / total : NAN;
	pm_release(ctx, ranked);
	return PM_OK;
}

/* ---- probabilities ---------------------------------------------------- */

/* Sums over all rows. */
typedef struct Sums
{
	double		weight;
	double		label;
	double		prediction;
	double		loss;
	double		square;
	double		table[2][2];	/* weight by label and by prediction */
	double		bins[ECE_BINS][3];	/* weight, labels, predictions */
} Sums;

static void
add_row(Sums *sums, double p, bool label, double weight, double threshold)
{
	int			bin = p >= 1 ? ECE_BINS - 1 : (int) (p * ECE_BINS);

	sums->weight += weight;
	sums->label += weight * label;
	sums->prediction += weight * p;
	sums->loss += weight * pm_log_loss_of_probability(p, label);
	sums->square += weight * (p - label) * (p - label);
	sums->table[label][p >= threshold] += weight;
	sums->bins[bin][0] += weight;
	sums->bins[bin][1] += weight * label;
	sums->bins[bin][2] += weight * p;
}

static double
ratio(double part, double whole)
{
	return whole > 0 ? part / whole : NAN;
}

PmStatus
pm_metrics_binary(PmContext *ctx, int64_t n, const double *probabilities,
				  const uint8_t *labels, const float *weights,
				  double threshold, PmBinaryMetrics *metrics)
{
	Sums		sums = {0};
	double		entropy;

	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "cancelled");
		add_row(&sums, probabilities[i], labels[i], weight_of(weights, i), threshold);
	}
	PM_TRY(pm_metrics_auc_double(ctx, n, probabilities, labels, weights,
								 &metrics->auc));
	metrics->n = n;
	metrics->base_rate = ratio(sums.label, sums.weight);
	metrics->mean_prediction = ratio(sums.prediction, sums.weight);
	metrics->log_loss = ratio(sums.loss, sums.weight);
	entropy = -metrics->base_rate * log(metrics->base_rate) -
		(1 - metrics->base_rate) * log1p(-metrics->base_rate);
	metrics->normalized_entropy = ratio(metrics->log_loss, entropy);
	metrics->brier = ratio(sums.square, sums.weight);
	metrics->ece = 0;
	for (int b = 0; b < ECE_BINS; b++)
		metrics->ece += fabs(sums.bins[b][1] - sums.bins[b][2]);
	metrics->ece = ratio(metrics->ece, sums.weight);
	metrics->accuracy = ratio(sums.table[0][0] + sums.table[1][1], sums.weight);
	metrics->precision = ratio(sums.table[1][1], sums.table[0][1] + sums.table[1][1]);
	metrics->recall = ratio(sums.table[1][1], sums.table[1][0] + sums.table[1][1]);
	metrics->f1 = ratio(2 * sums.table[1][1],
						2 * sums.table[1][1] + sums.table[0][1] + sums.table[1][0]);
	return PM_OK;
}
