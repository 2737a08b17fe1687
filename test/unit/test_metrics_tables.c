/*
 * test_metrics_tables.c
 *		Curves, bins and the search for leaks: against counting and closed
 *		forms, and with a host without memory or patience.
 */
#include "test.h"

#include <stdlib.h>

#include "bins.h"
#include "curves.h"
#include "fault_device.h"
#include "leakage.h"
#include "pm_arena.h"
#include "pm_metrics.h"
#include "pm_rng.h"

#define N 1000

static PmContext context = {.threads = 1};

/* Rows of which many are tied; weights are 1 to 3. */
typedef struct Rows
{
	double		predictions[N];
	float		values[N];
	int32_t		codes[N];
	int64_t		offsets[N + 1];
	uint8_t		labels[N];
	float		weights[N];
} Rows;

static void
make_rows(Rows *rows)
{
	PmRng		rng;

	pm_rng_seed(&rng, 3, 0);
	for (int i = 0; i < N; i++)
	{
		rows->predictions[i] = (double) pm_rng_below(&rng, 101) / 100;
		rows->labels[i] = pm_rng_uniform(&rng) < rows->predictions[i];
		rows->weights[i] = (float) (1 + pm_rng_below(&rng, 3));
		rows->values[i] = i % 7 == 0 ? NAN : (float) rows->predictions[i];
		rows->codes[i] = i % 5 == 0 ? -1 : (int32_t) pm_rng_below(&rng, 4) + 4 * rows->labels[i];
		rows->offsets[i] = i;
	}
	rows->offsets[N] = N;
}

/* Every point is what counting gives, and the whole has the area of the AUC. */
static void
check_curve(const Rows *rows, PmCurveKind kind, int64_t most)
{
	PmCurvePoint *points;
	int64_t		count;
	double		area = 0;
	double		auc;

	CHECK_STATUS(&context, pm_metrics_curve(&context, N, rows->predictions, rows->labels, rows->weights,
											kind, most, &points, &count), PM_OK);
	CHECK(count >= 2 && count <= most);
	for (int64_t i = 0; i < count; i++)
	{
		double		sums[2] = {0, 0};

		for (int j = 0; j < N; j++)
			if (rows->predictions[j] >= points[i].threshold)
				sums[rows->labels[j]] += (double) rows->weights[j];
		CHECK(points[i].negatives == sums[0] && points[i].positives == sums[1]);
		CHECK(i == 0 || points[i].threshold < points[i - 1].threshold);
		if (i > 0)
			area += (points[i].negatives - points[i - 1].negatives) *
				(points[i].positives + points[i - 1].positives) / 2;
	}
	CHECK(kind != PM_CURVE_ROC || isinf(points[0].threshold));
	CHECK_CLOSE(points[count - 1].threshold, 0, 0, 0);
	if (kind == PM_CURVE_ROC && most > N)
	{
		CHECK_STATUS(&context, pm_metrics_auc_double(&context, N, rows->predictions, rows->labels, rows->weights, &auc), PM_OK);
		CHECK_CLOSE(area / points[count - 1].negatives / points[count - 1].positives, auc, 1e-12, 0);
	}
	pm_release(&context, points);
}

static void
curves(void)
{
	Rows	   *rows = malloc(sizeof(Rows));

	make_rows(rows);
	for (int kind = 0; kind < 2; kind++)
		for (int64_t most = 2; most < 2000; most = most * 3 - 1)
			check_curve(rows, (PmCurveKind) kind, most);
	free(rows);
}

/* All in order: a corner; the other way round: the other one. */
static void
curves_of_few(void)
{
	static const double rising[] = {1, 2, 3, 4};
	static const double equal[] = {7, 7, 7, 7};
	static const uint8_t labels[] = {0, 0, 1, 1};
	static const uint8_t turned[] = {1, 1, 0, 0};
	PmCurvePoint *points;
	int64_t		count;

	CHECK_STATUS(&context, pm_metrics_curve(&context, 4, rising, labels, NULL, PM_CURVE_ROC, 1000, &points, &count), PM_OK);
	CHECK(count == 3 && points[1].threshold == 3 && points[1].positives == 2 && points[1].negatives == 0);
	CHECK_STATUS(&context, pm_metrics_curve(&context, 4, rising, turned, NULL, PM_CURVE_ROC, 1000, &points, &count), PM_OK);
	CHECK(count == 3 && points[1].threshold == 3 && points[1].positives == 0 && points[1].negatives == 2);
	CHECK_STATUS(&context, pm_metrics_curve(&context, 4, equal, labels, NULL, PM_CURVE_ROC, 1000, &points, &count), PM_OK);
	CHECK(count == 2 && points[1].threshold == 7);
	CHECK_STATUS(&context, pm_metrics_curve(&context, 4, equal, labels, NULL, PM_CURVE_PRECISION_RECALL, 1000, &points, &count), PM_OK);
	CHECK(count == 1 && points[0].positives == 2 && points[0].negatives == 2);
	for (int kind = 0; kind < 2; kind++)
	{
		CHECK_STATUS(&context, pm_metrics_curve(&context, 0, equal, labels, NULL, (PmCurveKind) kind, 2, &points, &count), PM_OK);
		CHECK_INT(count, 0);
	}
}

/* Bins hold every row once, ties together, and about equal weight. */
static void
bins(void)
{
	Rows	   *rows = malloc(sizeof(Rows));
	PmBin	   *found;

	make_rows(rows);
	for (int binning = 0; binning < 2; binning++)
	{
		int64_t		n = 0;
		double		weight = 0;
		double		highest = -1;

		CHECK_STATUS(&context, pm_metrics_bins(&context, N, rows->predictions, rows->labels, rows->weights,
											   (PmBinning) binning, 10, &found), PM_OK);
		for (int b = 0; b < 10; b++)
		{
			n += found[b].n;
			weight += found[b].weight;
			CHECK(found[b].lowest > highest && found[b].positives <= found[b].weight);
			for (int i = 0; i < N; i++)
				if (b == 9 || rows->predictions[i] < found[b + 1].lowest)
					highest = fmax(highest, rows->predictions[i]);
			CHECK(binning == PM_BINS_UNIFORM || fabs(found[b].weight - 200) < 60);
		}
		CHECK_INT(n, N);
		for (int i = 0; i < N; i++)
			weight -= (double) rows->weights[i];
		CHECK_CLOSE(weight, 0, 0, 1e-9);
		pm_release(&context, found);
	}
	free(rows);
}

/*
 * Wilson's interval of 81 of 263, by Newcombe (1998), table I: 0.2553 to
 * 0.3662; of 15 of 148: 0.0624 to 0.1605; of 0 of 20: 0 to 0.1611; of 1 of
 * 29: 0.0061 to 0.1718.
 */
static void
wilson(void)
{
	static const double cases[][4] = {
		{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}
	};
	double		lower;
	double		upper;

	for (int i = 0; i < 4; i++)
	{
		pm_metrics_wilson(cases[i][0] / cases[i][1], cases[i][1], &lower, &upper);
		CHECK_CLOSE(lower, cases[i][2], 0, 5e-5);
		CHECK_CLOSE(upper, cases[i][3], 0, 5e-5);
		pm_metrics_wilson(1 - cases[i][0] / cases[i][1], cases[i][1], &lower, &upper);
		CHECK_CLOSE(1 - upper, cases[i][2], 0, 5e-5);
	}
}

/* AUC of a number is that of its rows; codes that tell all; codes that cannot. */
static void
leaks(void)
{
	Rows	   *rows = malloc(sizeof(Rows));
	PmLeakageRows labelled = {N, rows->labels, rows->weights};
	PmLeakage	leakage;
	float		known[N];
	uint8_t		labels[N];
	float		weights[N];
	double		auc;
	int			n = 0;

	make_rows(rows);
	for (int i = 0; i < N; i++)
		if (!isnan(rows->values[i]))
		{
			known[n] = rows->values[i];
			labels[n] = rows->labels[i];
			weights[n++] = rows->weights[i];
		}
	CHECK_STATUS(&context, pm_metrics_auc(&context, n, known, labels, weights, &auc), PM_OK);
	CHECK_STATUS(&context, pm_leakage_number(&context, &labelled, rows->values, 1, &leakage), PM_OK);
	CHECK_CLOSE(leakage.value, auc, 1e-12, 0);
	CHECK_INT(leakage.known[0] + leakage.known[1], n);
	CHECK(leakage.missing >= 0.5 && leakage.missing < 0.6);
	for (int i = 0; i < N; i++)
		rows->values[i] = -rows->values[i];
	CHECK_STATUS(&context, pm_leakage_number(&context, &labelled, rows->values, 1, &leakage), PM_OK);
	CHECK_CLOSE(leakage.value, auc, 1e-12, 0);

	/* codes below 4 are 0s, others 1s */
	CHECK_STATUS(&context, pm_leakage_category(&context, &labelled, rows->codes, 1, &leakage), PM_OK);
	CHECK(leakage.category == 1 && isnan(leakage.value));
	for (int i = 0; i < N; i += 5)
		rows->codes[i] = 4 * rows->labels[i];
	CHECK_STATUS(&context, pm_leakage_set(&context, &labelled, rows->offsets, rows->codes, &leakage), PM_OK);
	CHECK(leakage.category == 1 && leakage.coverage == 1);

	/* a code for each row tells nothing at all; two for each row next to nothing */
	for (int i = 0; i < N; i++)
		rows->codes[i] = i;
	CHECK_STATUS(&context, pm_leakage_category(&context, &labelled, rows->codes, 1, &leakage), PM_OK);
	CHECK(leakage.category == 0.5);
	CHECK(leakage.missing == 0.5);
	for (int i = 0; i < N; i++)
		rows->codes[i] = i / 2;
	CHECK_STATUS(&context, pm_leakage_category(&context, &labelled, rows->codes, 1, &leakage), PM_OK);
	CHECK(fabs(leakage.category - 0.5) < 0.1);

	/* missing where the label is 0 */
	for (int i = 0; i < N; i++)
		rows->codes[i] = rows->labels[i] ? i : -1;
	CHECK_STATUS(&context, pm_leakage_category(&context, &labelled, rows->codes, 1, &leakage), PM_OK);
	CHECK(leakage.missing == 1 && isnan(leakage.category) && leakage.known[0] == 0);

	/* nothing known, one class, one row */
	for (int i = 0; i < N; i++)
		rows->codes[i] = -1;
	CHECK_STATUS(&context, pm_leakage_category(&context, &labelled, rows->codes, 1, &leakage), PM_OK);
	CHECK(leakage.missing == 0.5 && isnan(leakage.category) && leakage.coverage == 0);
	labelled.n = 1;
	CHECK_STATUS(&context, pm_leakage_number(&context, &labelled, rows->values + 1, 1, &leakage), PM_OK);
	CHECK(isnan(leakage.missing) && isnan(leakage.value) && isnan(leakage.category) && leakage.coverage == 1);
	free(rows);
}

/* One of the functions, by number. */
static PmStatus
run(PmContext *ctx, int which, const Rows *rows)
{
	PmLeakageRows labelled = {N, rows->labels, rows->weights};
	PmLeakage	leakage;
	PmCurvePoint *points;
	PmBin	   *found;
	int64_t		count;

	switch (which)
	{
		case 0:
			return pm_metrics_curve(ctx, N, rows->predictions, rows->labels, NULL, PM_CURVE_ROC, 10, &points, &count);
		case 1:
			return pm_metrics_bins(ctx, N, rows->predictions, rows->labels, NULL, PM_BINS_QUANTILE, 10, &found);
		case 2:
			return pm_leakage_number(ctx, &labelled, rows->values, 1, &leakage);
		case 3:
			return pm_leakage_category(ctx, &labelled, rows->codes, 1, &leakage);
		default:
			return pm_leakage_set(ctx, &labelled, rows->offsets, rows->codes, &leakage);
	}
}

/* Every limit and every moment of a cancel gives its status, no crash. */
static void
faults(void)
{
	Rows	   *rows = malloc(sizeof(Rows));
	PmContext	ctx;
	FaultHost	host;
	PmStatus	status;

	make_rows(rows);
	for (int which = 0; which < 5; which++)
	{
		status = PM_MEMORY_LIMIT;
		for (size_t limit = 100; status == PM_MEMORY_LIMIT; limit += 997)
		{
			fault_context(&ctx, NULL, limit, 1, NULL);
			status = run(&ctx, which, rows);
			CHECK(status == PM_OK || status == PM_MEMORY_LIMIT);
			pm_arena_destroy(ctx.arena);
		}
		status = PM_CANCELLED;
		for (host.cancel_at = 1; status == PM_CANCELLED; host.cancel_at++)
		{
			host.checks = 0;
			fault_context(&ctx, NULL, 0, 1, &host);
			status = run(&ctx, which, rows);
			CHECK(status == PM_OK || (status == PM_CANCELLED && strstr(ctx.message, "cancelled") != NULL));
			pm_arena_destroy(ctx.arena);
		}
		CHECK(host.cancel_at > 3);
	}
	free(rows);
}

int
main(void)
{
	context.arena = pm_arena_create(&pm_malloc_allocator, 0);
	TEST(curves);
	TEST(curves_of_few);
	TEST(bins);
	TEST(wilson);
	TEST(leaks);
	TEST(faults);
	pm_arena_destroy(context.arena);
	return test_report();
}
