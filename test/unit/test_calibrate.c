/*
 * test_calibrate.c
 *		Platt's and isotonic calibration: against scikit-learn, closed forms,
 *		edges, and a host without memory or patience.  And the ranking that
 *		they and AUC use.
 */
#include "test.h"

#include <stdlib.h>

#include "fault_device.h"
#include "golden/calibrate.h"
#include "pm_arena.h"
#include "pm_metrics.h"
#include "pm_ranking.h"
#include "pm_rng.h"

#define N 400
#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

static PmContext context = {.threads = 1};

/* Marsaglia's xorshift64, of which 31 bits are used. */
static int
below(uint64_t *state, int bound)
{
	uint64_t	x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return (int) ((x >> 33) % (uint64_t) bound);
}

/* The rows of golden/make_calibrate.py. */
static void
golden_rows(float *logits, uint8_t *labels, float *weights)
{
	uint64_t	state = UINT64_C(0x243f6a8885a308d3);

	for (int i = 0; i < N; i++)
	{
		double		score;

		logits[i] = (float) ((below(&state, 160) - 80) / 16.0);
		weights[i] = (float) (1 + below(&state, 4));
		score = 0.6 * (double) logits[i] - 0.7;
		labels[i] = below(&state, 1 << 20) / 1048576.0 < 0.5 + 0.5 * score / (1 + fabs(score));
	}
}

static void
platt_of_scikit_learn(void)
{
	float		logits[N];
	uint8_t		labels[N];
	float		weights[N];
	double		slope;
	double		shift;

	golden_rows(logits, labels, weights);
	CHECK_STATUS(&context, pm_calibrate_platt(&context, N, logits, labels, NULL, &slope, &shift), PM_OK);
	CHECK_CLOSE(slope, golden_platt[0], 1e-9, 0);
	CHECK_CLOSE(shift, golden_platt[1], 1e-9, 0);
	CHECK_STATUS(&context, pm_calibrate_platt(&context, N, logits, labels, weights, &slope, &shift), PM_OK);
	CHECK_CLOSE(slope, golden_platt_weighted[0], 1e-9, 0);
	CHECK_CLOSE(shift, golden_platt_weighted[1], 1e-9, 0);
}

/* Compare an isotonic fit with scikit-learn's. */
static void
compare_isotonic(const float *weights, const double *thresholds, const double *values,
				 int count, const double *applied, int applied_count)
{
	float		logits[N];
	uint8_t		labels[N];
	float		unused[N];
	double	   *found_thresholds;
	double	   *found_values;
	int32_t		found;

	golden_rows(logits, labels, unused);
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, N, logits, labels, weights, &found,
												 &found_thresholds, &found_values), PM_OK);
	CHECK_INT(found, count);
	for (int i = 0; i < count && found == count; i++)
	{
		CHECK_CLOSE(found_thresholds[i], thresholds[i], 0, 0);
		CHECK_CLOSE(found_values[i], values[i], 1e-12, 1e-15);
	}
	for (int i = 0; i < applied_count; i++)
		CHECK_CLOSE(pm_isotonic_apply((i - 48) / 8.0 + 1.0 / 64, found, found_thresholds, found_values),
					applied[i], 1e-12, 1e-15);
}

static void
isotonic_of_scikit_learn(void)
{
	float		logits[N];
	uint8_t		labels[N];
	float		weights[N];

	golden_rows(logits, labels, weights);
	compare_isotonic(NULL, golden_thresholds, golden_values, COUNT(golden_thresholds),
					 golden_applied, COUNT(golden_applied));
	compare_isotonic(weights, golden_thresholds_weighted, golden_values_weighted,
					 COUNT(golden_thresholds_weighted), golden_applied_weighted,
					 COUNT(golden_applied_weighted));
}

/*
 * Two logits: Platt's line goes through the logits of their mean targets.
 * With 1 of 4 rows a 1 at -1 and 3 of 4 at 1, targets are 5/6 and 1/6 and
 * the mean targets 1/4 * 5/6 + 3/4 * 1/6 = 1/3 and 2/3.
 */
static void
platt_of_two_logits(void)
{
	static const float logits[] = {-1, -1, -1, -1, 1, 1, 1, 1};
	static const uint8_t labels[] = {0, 1, 0, 0, 1, 1, 0, 1};
	float		far[8];
	double		slope;
	double		shift;

	CHECK_STATUS(&context, pm_calibrate_platt(&context, 8, logits, labels, NULL, &slope, &shift), PM_OK);
	CHECK_CLOSE(slope, log(2), 1e-12, 0);
	CHECK_CLOSE(shift, 0, 0, 1e-12);

	/* whatever the units, and down as well as up */
	for (int i = 0; i < 8; i++)
		far[i] = -1e30f * logits[i];
	CHECK_STATUS(&context, pm_calibrate_platt(&context, 8, far, labels, NULL, &slope, &shift), PM_OK);
	CHECK_CLOSE(slope * 1e30, -log(2), 1e-6, 0);
	CHECK_CLOSE(shift, 0, 0, 1e-9);
}

/* Where nothing tells rows or labels apart, the mean target: no slope. */
static void
platt_of_one_kind(void)
{
	static const float equal[] = {0.1f, 0.1f, 0.1f};
	static const float rising[] = {1, 2, 3};
	static const uint8_t mixed[] = {0, 1, 0};
	static const uint8_t zeros[] = {0, 0, 0};
	static const uint8_t ones[] = {1, 1, 1};
	double		slope;
	double		shift;

	/* targets 1/4 and 2/3: mean (2/4 + 2/3) / 3 = 7/18 */
	CHECK_STATUS(&context, pm_calibrate_platt(&context, 3, equal, mixed, NULL, &slope, &shift), PM_OK);
	CHECK(slope == 0);
	CHECK_CLOSE(shift, log(7.0 / 11), 1e-12, 0);
	CHECK_STATUS(&context, pm_calibrate_platt(&context, 3, rising, zeros, NULL, &slope, &shift), PM_OK);
	CHECK(slope == 0);
	CHECK_CLOSE(shift, log(0.2 / 0.8), 1e-12, 0);
	CHECK_STATUS(&context, pm_calibrate_platt(&context, 3, rising, ones, NULL, &slope, &shift), PM_OK);
	CHECK(slope == 0);
	CHECK_CLOSE(shift, log(0.8 / 0.2), 1e-12, 0);
	CHECK_STATUS(&context, pm_calibrate_platt(&context, 1, rising, ones, NULL, &slope, &shift), PM_OK);
	CHECK(slope == 0);
	CHECK_CLOSE(shift, log(2), 1e-12, 0);
}

/* Classes that a logit separates: the targets keep the slope finite. */
static void
platt_of_separate_classes(void)
{
	static const float logits[] = {-30, -20, 20, 30};
	static const uint8_t labels[] = {0, 0, 1, 1};
	double		slope;
	double		shift;
	double		gradient = 0;

	CHECK_STATUS(&context, pm_calibrate_platt(&context, 4, logits, labels, NULL, &slope, &shift), PM_OK);
	CHECK(slope > 0 && slope < 1);
	CHECK_CLOSE(shift, 0, 0, 1e-9);
	for (int i = 0; i < 4; i++)
		gradient += ((double) logits[i]) * (pm_sigmoid(slope * (double) logits[i] + shift) -
											(labels[i] ? 0.75 : 0.25));
	CHECK_CLOSE(gradient, 0, 0, 1e-9);
}

/* A weight is as many equal rows; weight 0 is none. */
static void
weights_are_rows(void)
{
	static const float logits[] = {3, -1, 0.5f, 2, -2, 0.5f, 9};
	static const uint8_t labels[] = {1, 0, 1, 0, 0, 0, 1};
	static const float weights[] = {2, 1, 3, 1, 2, 1, 0};
	float		many_logits[16];
	uint8_t		many_labels[16];
	int			n = 0;
	double		fit[2][2];
	double	   *thresholds[2];
	double	   *values[2];
	int32_t		counts[2];

	for (int i = 0; i < 7; i++)
		for (int k = 0; k < (int) weights[i]; k++)
		{
			many_logits[n] = logits[i];
			many_labels[n++] = labels[i];
		}
	CHECK_STATUS(&context, pm_calibrate_platt(&context, 7, logits, labels, weights, &fit[0][0], &fit[0][1]), PM_OK);
	CHECK_STATUS(&context, pm_calibrate_platt(&context, n, many_logits, many_labels, NULL, &fit[1][0], &fit[1][1]), PM_OK);
	CHECK_CLOSE(fit[0][0], fit[1][0], 1e-9, 0);
	CHECK_CLOSE(fit[0][1], fit[1][1], 1e-9, 0);
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, 7, logits, labels, weights, &counts[0], &thresholds[0], &values[0]), PM_OK);
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, n, many_logits, many_labels, NULL, &counts[1], &thresholds[1], &values[1]), PM_OK);
	CHECK_INT(counts[0], counts[1]);
	for (int i = 0; i < counts[1] && counts[0] == counts[1]; i++)
		CHECK(thresholds[0][i] == thresholds[1][i] && values[0][i] == values[1][i]);
}

/* One logit, one row, one class, labels that fall all the way, ties. */
static void
isotonic_of_few(void)
{
	static const float equal[] = {0.0f, -0.0f, 0.0f, -0.0f};
	static const float rising[] = {1, 2, 3, 4};
	static const float tied[] = {1, 2, 2, 3};
	static const uint8_t mixed[] = {1, 0, 0, 0};
	static const uint8_t zeros[] = {0, 0, 0, 0};
	static const uint8_t rise[] = {0, 0, 1, 1};
	double	   *thresholds;
	double	   *values;
	int32_t		count;

	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, 4, equal, mixed, NULL, &count, &thresholds, &values), PM_OK);
	CHECK(count == 1 && thresholds[0] == 0 && values[0] == 0.25);
	CHECK(pm_isotonic_apply(-7, count, thresholds, values) == 0.25);
	CHECK(pm_isotonic_apply(7, count, thresholds, values) == 0.25);
	CHECK(pm_isotonic_apply(INFINITY, count, thresholds, values) == 0.25);
	CHECK(isnan(pm_isotonic_apply(NAN, count, thresholds, values)));
	CHECK(isnan(pm_isotonic_apply(1, 0, NULL, NULL)));

	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, 4, rising, mixed, NULL, &count, &thresholds, &values), PM_OK);
	CHECK(count == 2 && thresholds[0] == 1 && thresholds[1] == 4 && values[0] == 0.25 && values[1] == 0.25);
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, 4, rising, zeros, NULL, &count, &thresholds, &values), PM_OK);
	CHECK(count == 2 && values[0] == 0 && values[1] == 0);
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, 1, rising, mixed, NULL, &count, &thresholds, &values), PM_OK);
	CHECK(count == 1 && thresholds[0] == 1 && values[0] == 1);
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, 4, rising, rise, NULL, &count, &thresholds, &values), PM_OK);
	CHECK(count == 4 && values[1] == 0 && values[2] == 1);
	CHECK(pm_isotonic_apply(2.25, count, thresholds, values) == 0.25);
	CHECK(pm_isotonic_apply(2, count, thresholds, values) == 0);
	CHECK(pm_isotonic_apply(3, count, thresholds, values) == 1);

	/* the tie is a row of label 1/2: no longer between 0 and 1 by order */
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, 4, tied, rise, NULL, &count, &thresholds, &values), PM_OK);
	CHECK(count == 3 && thresholds[1] == 2 && values[1] == 0.5);
}

/* What cannot be calibrated on is refused, by both. */
static void
refused(int64_t n, const float *logits, const float *weights, const char *message)
{
	static const uint8_t labels[] = {0, 1, 0};
	double		slope;
	double		shift;
	double	   *thresholds;
	double	   *values;
	int32_t		count;

	CHECK_STATUS(&context, pm_calibrate_platt(&context, n, logits, labels, weights, &slope, &shift), PM_INVALID);
	CHECK_TEXT(context.message, message);
	CHECK_STATUS(&context, pm_calibrate_isotonic(&context, n, logits, labels, weights, &count, &thresholds, &values), PM_INVALID);
	CHECK_TEXT(context.message, message);
}

static void
bad_rows(void)
{
	static const float fine[] = {0, 1, 2};
	static const float infinite[] = {0, INFINITY, 2};
	static const float nan[] = {0, 1, NAN};
	static const float none[] = {0, 0, 0};
	static const float negative[] = {-1, 1, 1};

	refused(0, fine, NULL, "there is no row to calibrate on");
	refused(3, fine, none, "there is no row to calibrate on");
	refused(3, infinite, NULL, "the logit of row 2 is inf");
	refused(3, nan, NULL, "the logit of row 3 is nan");
	refused(3, fine, negative, "the weight of row 1 is -1");
}

/* Every limit and every moment of a cancel gives its status, no crash. */
static void
faults(void)
{
	float		logits[N];
	uint8_t		labels[N];
	float		weights[N];
	double		slope;
	double		shift;
	double	   *thresholds;
	double	   *values;
	int32_t		count;
	PmStatus	status = PM_MEMORY_LIMIT;
	FaultHost	host;
	PmContext	ctx;
	int			failures = 0;

	golden_rows(logits, labels, weights);
	for (size_t limit = 1024; status == PM_MEMORY_LIMIT; limit += 4096)
	{
		fault_context(&ctx, NULL, limit, 1, NULL);
		status = pm_calibrate_isotonic(&ctx, N, logits, labels, weights, &count, &thresholds, &values);
		CHECK(status == PM_OK || status == PM_MEMORY_LIMIT);
		failures += status == PM_MEMORY_LIMIT;
		pm_arena_destroy(ctx.arena);
	}
	CHECK(failures > 3);
	for (int which = 0; which < 2; which++)
		for (host.cancel_at = 1, status = PM_CANCELLED; status == PM_CANCELLED; host.cancel_at++)
		{
			host.checks = 0;
			fault_context(&ctx, NULL, 0, 1, &host);
			status = which == 0 ?
				pm_calibrate_platt(&ctx, N, logits, labels, weights, &slope, &shift) :
				pm_calibrate_isotonic(&ctx, N, logits, labels, weights, &count, &thresholds, &values);
			CHECK(status == PM_OK || (status == PM_CANCELLED && strstr(ctx.message, "cancelled") != NULL));
			pm_arena_destroy(ctx.arena);
		}
}

/* Keys order as their scores do, and go back to them. */
static void
ranking(void)
{
	static const double scores[] = {-INFINITY, -1e300, -2, -1, -1e-320, 0, 1e-320, 0.5, 1, 1e300, INFINITY};
	PmRanked   *ranked;
	PmRng		rng;

	for (int i = 0; i < COUNT(scores); i++)
	{
		CHECK(pm_rank_score(pm_rank_key(scores[i])) == scores[i]);
		CHECK(i == 0 || pm_rank_key(scores[i - 1]) < pm_rank_key(scores[i]));
	}
	CHECK(pm_rank_key(-0.0) == pm_rank_key(0) && pm_rank_key_float(-0.0f) == pm_rank_key_float(0));
	CHECK(pm_rank_key_float(-1) < pm_rank_key_float(0) && pm_rank_key_float(0) < pm_rank_key_float(1));
	pm_rng_seed(&rng, 1, 0);
	for (int n = 0; n < 5000; n = n * 2 + 1)
	{
		CHECK_STATUS(&context, pm_alloc(&context, "rows", n, sizeof(PmRanked), &ranked), PM_OK);
		for (int i = 0; i < n; i++)
			ranked[i] = (PmRanked) {n % 3 == 0 ? pm_rng_below(&rng, 5) : pm_rank_key(pm_rng_uniform(&rng) - 0.5), i};
		CHECK_STATUS(&context, pm_rank_sort(&context, n, &ranked), PM_OK);
		for (int i = 1; i < n; i++)
			CHECK(ranked[i - 1].key < ranked[i].key ||
				  (ranked[i - 1].key == ranked[i].key && ranked[i - 1].row < ranked[i].row));
		pm_release(&context, ranked);
	}
}

int
main(void)
{
	context.arena = pm_arena_create(&pm_malloc_allocator, 0);
	TEST(platt_of_scikit_learn);
	TEST(isotonic_of_scikit_learn);
	TEST(platt_of_two_logits);
	TEST(platt_of_one_kind);
	TEST(platt_of_separate_classes);
	TEST(weights_are_rows);
	TEST(isotonic_of_few);
	TEST(bad_rows);
	TEST(faults);
	TEST(ranking);
	pm_arena_destroy(context.arena);
	return test_report();
}
