/*
 * test_metrics.c
 *		Metrics of predictions, against examples of scikit-learn's
 *		documentation, closed forms and sums over all pairs.
 */
#include "pm_metrics.h"

#include <float.h>
#include <stdlib.h>

#include "pm_rng.h"
#include "test.h"

#define N 500
#define GROUPS 7

static PmContext context = {.threads = 1};

/* Weight of the pairs in order, over all pairs of a 1 and a 0 in a group. */
static double
pairs_auc(int n, const float *scores, const uint8_t *labels,
		  const float *weights, const int32_t *groups, int32_t group)
{
	double		total = 0;
	double		sum = 0;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			if (labels[i] && !labels[j] &&
				(groups == NULL || (groups[i] == group && groups[j] == group)))
			{
				double		weight = (double) weights[i] * weights[j];

				total += weight;
				sum += weight * (scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0);
			}
	return total > 0 ? sum / total : NAN;
}

/* Random rows with many ties, negative scores, a group of one class. */
static void
make_rows(float *scores, uint8_t *labels, float *weights, int32_t *groups)
{
	PmRng		rng;

	pm_rng_seed(&rng, 5, 0);
	for (int i = 0; i < N; i++)
	{
		groups[i] = (int32_t) pm_rng_below(&rng, GROUPS);
		labels[i] = groups[i] != 3 && pm_rng_uniform(&rng) < 0.3;
		scores[i] = (float) ((int) pm_rng_below(&rng, 21) - 10 + 3 * labels[i]) / 4;
		weights[i] = (float) (0.5 + pm_rng_uniform(&rng));
	}
}

static void
auc_of_all_pairs(void)
{
	float		scores[N];
	uint8_t		labels[N];
	float		weights[N];
	int32_t		groups[N];
	double		auc;
	double		gauc;
	double		total = 0;
	double		sum = 0;

	make_rows(scores, labels, weights, groups);
	CHECK(pm_metrics_auc(&context, N, scores, labels, weights, &auc) == PM_OK);
	CHECK(fabs(auc - pairs_auc(N, scores, labels, weights, NULL, 0)) < 1e-12);
	CHECK(pm_metrics_gauc(&context, N, scores, labels, weights, groups, GROUPS, &gauc) == PM_OK);
	for (int32_t group = 0; group < GROUPS; group++)
	{
		double		one = pairs_auc(N, scores, labels, weights, groups, group);
		double		weight = 0;

		for (int i = 0; i < N; i++)
			weight += groups[i] == group ? weights[i] : 0;
		CHECK(group == 3 ? isnan(one) : !isnan(one));
		total += isnan(one) ? 0 : weight;
		sum += isnan(one) ? 0 : weight * one;
	}
	CHECK(fabs(gauc - sum / total) < 1e-12);
}

/* roc_auc_score's example in scikit-learn's documentation, and edges. */
static void
auc_of_few(void)
{
	static const float scores[] = {0.1f, 0.4f, 0.35f, 0.8f};
	static const uint8_t labels[] = {0, 0, 1, 1};
	static const uint8_t ones[] = {1, 1, 1, 1};
	static const float zeros[] = {0.0f, -0.0f, 0.0f, -0.0f};
	double		auc;

	CHECK(pm_metrics_auc(&context, 4, scores, labels, NULL, &auc) == PM_OK);
	CHECK(fabs(auc - 0.75) < 1e-15);
	CHECK(pm_metrics_auc(&context, 4, zeros, labels, NULL, &auc) == PM_OK);
	CHECK(auc == 0.5);
	CHECK(pm_metrics_auc(&context, 4, scores, ones, NULL, &auc) == PM_OK);
	CHECK(isnan(auc));
	CHECK(pm_metrics_auc(&context, 0, scores, labels, NULL, &auc) == PM_OK);
	CHECK(isnan(auc));
}

/* Doubles that are one float are not tied. */
static void
auc_of_close_doubles(void)
{
	static const double scores[] = {0.5, 0.5 + 1e-15, 0.5 + 2e-15};
	static const uint8_t labels[] = {0, 1, 1};
	double		auc;
	PmBinaryMetrics metrics;

	CHECK(pm_metrics_auc_double(&context, 3, scores, labels, NULL, &auc) == PM_OK);
	CHECK(auc == 1);
	CHECK(pm_metrics_binary(&context, 3, scores, labels, NULL, 0.5, &metrics) == PM_OK);
	CHECK(metrics.auc == 1);
}

static void
losses_of_logits(void)
{
	static const float logits[] = {800, -800, 0};
	static const uint8_t labels[] = {1, 0, 1};
	static const uint8_t wrong[] = {0, 1, 0};

	CHECK(pm_log_loss_of_logit(0, true) == log(2));
	CHECK(pm_log_loss_of_logit(800, false) == 800);
	CHECK(pm_log_loss_of_logit(-800, true) == 800);
	CHECK(pm_log_loss_of_logit(40, true) > 0);	/* e^-40, not 0 */
	CHECK(pm_sigmoid(0) == 0.5);
	CHECK(pm_sigmoid(-800) >= 0 && pm_sigmoid(-800) < 1e-300);
	CHECK(pm_sigmoid(800) == 1);
	CHECK(fabs(pm_sigmoid(2) + pm_sigmoid(-2) - 1) < 1e-15);
	CHECK(fabs(pm_metrics_log_loss(3, logits, labels, NULL) - log(2) / 3) < 1e-15);
	CHECK(fabs(pm_metrics_log_loss(3, logits, wrong, NULL) - (1600 + log(2)) / 3) < 1e-9);
	CHECK(isnan(pm_metrics_log_loss(0, logits, labels, NULL)));
}

/*
 * brier_score_loss's and log_loss's examples in scikit-learn's documentation:
 * 0.0375 and 0.21616.
 */
static void
metrics_of_probabilities(void)
{
	static const double brier[] = {0.1, 0.9, 0.8, 0.3};
	static const uint8_t brier_labels[] = {0, 1, 1, 0};
	static const double spam[] = {0.9, 0.1, 0.2, 0.65};
	static const uint8_t spam_labels[] = {1, 0, 0, 1};
	static const float weights[] = {2, 1, 1, 1};
	PmBinaryMetrics metrics;

	CHECK(pm_metrics_binary(&context, 4, brier, brier_labels, NULL, 0.5, &metrics) == PM_OK);
	CHECK(fabs(metrics.brier - 0.0375) < 1e-15);
	CHECK(metrics.accuracy == 1 && metrics.precision == 1 && metrics.recall == 1 && metrics.f1 == 1);
	CHECK(metrics.auc == 1);
	CHECK(fabs(metrics.mean_prediction - 0.525) < 1e-15);
	CHECK(fabs(metrics.ece - (0.1 + 0.1 + 0.2 + 0.3) / 4) < 1e-12);
	CHECK(pm_metrics_binary(&context, 4, spam, spam_labels, NULL, 0.7, &metrics) == PM_OK);
	CHECK(fabs(metrics.log_loss - 0.21616187468057912) < 1e-12);
	CHECK(fabs(metrics.normalized_entropy - 0.21616187468057912 / log(2)) < 1e-12);
	CHECK(metrics.precision == 1 && metrics.recall == 0.5 && metrics.accuracy == 0.75);
	CHECK(fabs(metrics.f1 - 2.0 / 3) < 1e-15);
	CHECK(pm_metrics_binary(&context, 4, spam, spam_labels, weights, 0.7, &metrics) == PM_OK);
	CHECK(fabs(metrics.base_rate - 0.6) < 1e-15);
	CHECK(fabs(metrics.recall - 2.0 / 3) < 1e-15);
}

/* Probabilities of 0 and 1 that are wrong cost what scikit-learn clips to. */
static void
certain_and_wrong(void)
{
	static const double p[] = {0, 1};
	static const uint8_t labels[] = {1, 0};
	PmBinaryMetrics metrics;

	CHECK(pm_metrics_binary(&context, 2, p, labels, NULL, 0.5, &metrics) == PM_OK);
	CHECK(fabs(metrics.log_loss + log(DBL_EPSILON)) < 1e-12);
	CHECK(pm_log_loss_of_probability(1, true) == 0 && pm_log_loss_of_probability(0, false) == 0);
	CHECK(metrics.auc == 0 && metrics.accuracy == 0 && metrics.brier == 1);
}

int
main(void)
{
	context.arena = pm_arena_create(&pm_malloc_allocator, 0);
	TEST(auc_of_all_pairs);
	TEST(auc_of_few);
	TEST(auc_of_close_doubles);
	TEST(losses_of_logits);
	TEST(metrics_of_probabilities);
	TEST(certain_and_wrong);
	pm_arena_destroy(context.arena);
	return test_report();
}
