/*
 * test_fm.c
 *		Factorisation machines against the naive ones of fm_cases.c: logits,
 *		contributions; epochs, early stopping, what is learnt.
 */
#include "test.h"

#include "fault_device.h"
#include "fm_cases.h"
#include "kmeans_cases.h"
#include "pm_metrics.h"
#include "pm_rng.h"

#include <stdlib.h>

static PmDevice *device;

static const int factor_counts[] = {1, 4, 7, 8, 13, 16, 33, 40};
#define FACTOR_COUNTS ((int) (sizeof(factor_counts) / sizeof(factor_counts[0])))

/* Fields of all kinds. */
static CtrCase *
mixed_rows(int64_t n, bool weights)
{
	static const int sizes[] = {11, 5, 60, 0};

	return case_random(n, 3, sizes, weights, 7);
}

/* ---- logits ------------------------------------------------------------- */

/* Logits of a table's rows, and of each row alone, are the formula's. */
static void
check_logits(const CtrCase *rows, bool field_weighted, int factors)
{
	PmFmOptions options = fm_options(field_weighted, factors);
	int64_t		n = rows->rows.n;
	float	   *logits = calloc((size_t) n + 1, sizeof(float));
	double	   *scratch = calloc((size_t) (rows->rows.field_count + 1) * factors, sizeof(double));
	PmCtrEntry	entries[NAIVE_ENTRIES];
	double		contributions[NAIVE_ENTRIES];
	NaiveFm    *naive;
	PmContext	ctx;
	PmFm		fm;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, &options, &fm), PM_OK);
	fm_fill(&fm, 0.7, 3);
	naive = naive_new(&fm);
	CHECK_STATUS(&ctx, pm_fm_logits(&ctx, &rows->rows, &fm, logits), PM_OK);
	for (int64_t i = 0; i < n; i++)
	{
		double		expected = naive_logit(naive, &rows->rows, i);
		int			count = fm_entries(&rows->rows, i, entries);
		double		logit = pm_fm_logit(&fm, entries, count, scratch);
		double		sum = fm.intercept;

		CHECK_CLOSE(logits[i], expected, 1e-5, 2e-5);
		CHECK_CLOSE(logit, expected, 1e-12, 1e-12);
		CHECK_CLOSE(logits[i], logit, 1e-5, 2e-5);
		pm_fm_contributions(&fm, entries, count, scratch, contributions);
		for (int k = 0; k < count; k++)
			sum += contributions[k];
		CHECK_CLOSE(sum, expected, 1e-12, 1e-12);
		if (test_bad_checks > 3)
			break;
	}
	pm_fm_release(&ctx, &fm);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	naive_free(naive);
	free(logits);
	free(scratch);
}

static void
logits_are_the_formula(void)
{
	CtrCase    *rows = mixed_rows(1500, false);

	for (int weighted = 0; weighted <= 1; weighted++)
		for (int k = 0; k < FACTOR_COUNTS; k++)
			check_logits(rows, weighted, factor_counts[k]);
	case_free(rows);
}

/* Each kind of field alone, and rows that have nothing. */
static void
single_fields(void)
{
	for (int kind = PM_CTR_DENSE; kind <= PM_CTR_SET; kind++)
		for (int weighted = 0; weighted <= 1; weighted++)
		{
			CtrCase    *rows = case_new(5, false);

			case_add(rows, kind, 3, 20);
			for (int i = 0; i < 5 && kind == PM_CTR_CODE; i++)
				rows->codes[0][i] = i - 2 < 3 ? i - 2 : -1;
			for (int i = 0; i < 15 && kind == PM_CTR_DENSE; i++)
				rows->values[0][i] = (float) (i - 7);
			for (int i = 0; i < 5 && kind == PM_CTR_SET; i++)
				rows->offsets[0][i + 1] = rows->offsets[0][i] + i;
			if (kind == PM_CTR_CODE)
				rows->codes[0][0] = -1;
			check_logits(rows, weighted, 5);
			case_free(rows);
		}
}

/* No field, or none with a coefficient. */
static void
no_coefficients(void)
{
	for (int fields = 0; fields <= 2; fields++)
		for (int weighted = 0; weighted <= 1; weighted++)
		{
			CtrCase    *rows = case_new(7, false);
			PmFmOptions options = fm_options(weighted, 3);
			float		logits[7];
			PmContext	ctx;
			PmFm		fm;

			for (int f = 0; f < fields; f++)
				case_add(rows, f == 0 ? PM_CTR_CODE : PM_CTR_SET, 0, 1);
			for (int i = 0; i < 7; i++)
			{
				rows->labels[i] = i < 2;
				if (fields > 0)
					rows->codes[0][i] = -1;
			}
			fault_context(&ctx, device, 0, 2, NULL);
			CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, &options, &fm), PM_OK);
			CHECK_CLOSE(fm.intercept, log(2.0 / 5), 1e-6, 0);
			CHECK_STATUS(&ctx, pm_fm_fit(&ctx, &rows->rows, NULL, &options, &fm, NULL), PM_OK);
			CHECK_STATUS(&ctx, pm_fm_logits(&ctx, &rows->rows, &fm, logits), PM_OK);
			CHECK_CLOSE(logits[3], log(2.0 / 5), 0, 0.01);
			pm_arena_destroy(ctx.arena);
			case_free(rows);
		}
}

/* ---- training ----------------------------------------------------------- */

/* A fit from fresh weights, in a context of its own. */
static void
fit(PmContext *ctx, int threads, const CtrCase *rows, const CtrCase *eval,
	const PmFmOptions *options, PmFm *fm, PmCtrLog *log)
{
	fault_context(ctx, device, 0, threads, NULL);
	CHECK_STATUS(ctx, pm_fm_init(ctx, &rows->rows, options, fm), PM_OK);
	CHECK_STATUS(ctx, pm_fm_fit(ctx, &rows->rows, eval == NULL ? NULL : &eval->rows, options, fm,
								log), PM_OK);
}

/* All of two models are the same. */
static void
check_same(const PmFm *a, const PmFm *b)
{
	size_t		state = pm_fm_state_size(a);
	size_t		count = (size_t) a->coefficient_count;

	CHECK_INT(pm_fm_state_size(b), state);
	CHECK_INT(a->steps, b->steps);
	CHECK(a->intercept == b->intercept);
	CHECK(memcmp(a->linear, b->linear, count * sizeof(float)) == 0);
	CHECK(memcmp(a->factor, b->factor, count * a->factors * sizeof(float)) == 0);
	if (a->field_weighted)
		CHECK(memcmp(a->pair, b->pair, (size_t) a->field_count * a->field_count * sizeof(float)) == 0);
	CHECK((a->first == NULL) == (b->first == NULL));
	if (a->first != NULL)
		CHECK(memcmp(a->first, b->first, state * sizeof(float)) == 0);
	CHECK(memcmp(a->second, b->second, state * sizeof(float)) == 0);
}

static void
threads_change_nothing(void)
{
	CtrCase    *rows = mixed_rows(20000, true);

	for (int weighted = 0; weighted <= 1; weighted++)
		for (int adagrad = 0; adagrad <= 1; adagrad++)
		{
			PmFmOptions options = fm_options(weighted, 12);
			PmCtrLog	log[3] = {{0}};
			PmContext	ctx[3];
			PmFm		fm[3];

			options.optimizer = adagrad ? PM_FM_ADAGRAD : PM_FM_ADAM;
			options.l2 = 1e-4;
			options.batch_size = 7000;
			options.epochs = 2;
			for (int k = 0; k < 3; k++)
			{
				fit(&ctx[k], k + 1, rows, rows, &options, &fm[k], &log[k]);
				if (test_bad_checks > 0)
					return;
				check_same(&fm[0], &fm[k]);
				CHECK(log[k].entries[1].loss == log[0].entries[1].loss);
				CHECK(log[k].entries[1].eval_loss == log[0].entries[1].eval_loss);
			}
			for (int k = 0; k < 3; k++)
				pm_arena_destroy(ctx[k].arena);
		}
	case_free(rows);
}

/* Going on is the same as not stopping, and leaves the model it began with. */
static void
going_on(void)
{
	CtrCase    *rows = mixed_rows(3000, false);

	for (int weighted = 0; weighted <= 1; weighted++)
	{
		PmFmOptions options = fm_options(weighted, 6);
		PmContext	ctx[2];
		PmFm		whole;
		PmFm		parts;
		PmFm		before;
		PmFm		copy;

		options.l2 = 1e-4;
		options.epochs = 5;
		fit(&ctx[0], 2, rows, NULL, &options, &whole, NULL);
		options.epochs = 2;
		fit(&ctx[1], 2, rows, NULL, &options, &parts, NULL);
		before = copy = parts;
		CHECK_STATUS(&ctx[1], pm_alloc(&ctx[1], "copy", (size_t) before.coefficient_count * 6,
									   sizeof(float), &copy.factor), PM_OK);
		memcpy(copy.factor, before.factor, (size_t) before.coefficient_count * 6 * sizeof(float));
		options.epochs = 3;
		CHECK_STATUS(&ctx[1], pm_fm_fit(&ctx[1], &rows->rows, NULL, &options, &parts, NULL), PM_OK);
		check_same(&whole, &parts);
		check_same(&before, &copy);
		pm_arena_destroy(ctx[0].arena);
		pm_arena_destroy(ctx[1].arena);
	}
	case_free(rows);
}

/* Training ends `patience` epochs after the best, whose weights are kept. */
static void
stop_early(PmFmMonitor monitor)
{
	CtrCase    *rows = mixed_rows(400, false);
	CtrCase    *eval = case_random(300, 3, (const int[]) {11, 5, 60, 0}, true, 8);
	PmFmOptions options = fm_options(false, 8);
	float		logits[300];
	double		auc;
	PmCtrLog	log = {0};
	PmContext	ctx;
	PmFm		fm;
	size_t		at = 0;

	options.batch_size = 20;
	options.epochs = 200;
	options.early_stopping = true;
	options.monitor = monitor;
	options.patience = 3;
	fit(&ctx, 2, rows, eval, &options, &fm, &log);
	for (size_t k = 0; k < log.count; k++)
		if (monitor == PM_FM_AUC ? log.entries[k].eval_auc > log.entries[at].eval_auc :
			log.entries[k].eval_loss < log.entries[at].eval_loss)
			at = k;
	CHECK(log.count < 200);
	CHECK_INT(log.count, at + 1 + 3);
	CHECK_INT(fm.steps, 20 * (at + 1));
	CHECK_STATUS(&ctx, pm_fm_logits(&ctx, &eval->rows, &fm, logits), PM_OK);
	CHECK_STATUS(&ctx, pm_metrics_auc(&ctx, 300, logits, eval->labels, eval->weights, &auc), PM_OK);
	CHECK_CLOSE(pm_metrics_log_loss(300, logits, eval->labels, eval->weights),
				log.entries[at].eval_loss, 1e-12, 0);
	CHECK(auc == log.entries[at].eval_auc && auc > 0.6 && auc < 1);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
	case_free(eval);
}

static void
early_stopping(void)
{
	stop_early(PM_FM_LOG_LOSS);
	stop_early(PM_FM_AUC);
}

/* The first epoch is the best: its weights are those of one epoch. */
static void
stopping_after_the_first(void)
{
	CtrCase    *rows = mixed_rows(400, false);
	CtrCase    *eval = mixed_rows(400, false);
	PmFmOptions options = fm_options(true, 8);
	PmCtrLog	log = {0};
	PmContext	ctx[2];
	PmFm		stopped;
	PmFm		one;

	/* what is learnt is the contrary of what is asked */
	for (int i = 0; i < 400; i++)
		eval->labels[i] = !eval->labels[i];
	options.epochs = 9;
	options.early_stopping = true;
	fit(&ctx[0], 2, rows, eval, &options, &stopped, &log);
	CHECK_INT(log.count, 3);
	options.early_stopping = false;
	options.epochs = 1;
	fit(&ctx[1], 1, rows, NULL, &options, &one, NULL);
	check_same(&stopped, &one);
	pm_arena_destroy(ctx[0].arena);
	pm_arena_destroy(ctx[1].arena);
	case_free(rows);
	case_free(eval);
}

/* ---- what is learnt ----------------------------------------------------- */

/*
 * Rows of two categories of 30 whose chance depends on their pair only, and a
 * third that says nothing; truth gets the logits.
 */
static CtrCase *
planted_rows(int64_t n, uint64_t seed, float *truth)
{
	CtrCase    *rows = case_new(n, false);
	double		taste[2][30][2];
	PmRng		rng;

	pm_rng_seed(&rng, 100, 0);
	for (int f = 0; f < 2; f++)
		for (int c = 0; c < 30; c++)
			for (int d = 0; d < 2; d++)
				taste[f][c][d] = pm_rng_uniform(&rng) < 0.5 ? -1.2 : 1.2;
	pm_rng_seed(&rng, seed, 1);
	for (int f = 0; f < 3; f++)
		case_add(rows, PM_CTR_CODE, 30, 0);
	for (int64_t i = 0; i < n; i++)
	{
		const double *u;
		const double *v;

		for (int f = 0; f < 3; f++)
			rows->codes[f][i] = (int32_t) pm_rng_below(&rng, 30);
		u = taste[0][rows->codes[0][i]];
		v = taste[1][rows->codes[1][i]];
		truth[i] = (float) (u[0] * v[0] + u[1] * v[1] - 0.5);
		rows->labels[i] = pm_rng_uniform(&rng) < pm_sigmoid(truth[i]);
	}
	return rows;
}

static void
planted_interactions_are_found(void)
{
	enum
	{
		N = 40000,
		TEST = 20000
	};
	float	   *truth = malloc(N * sizeof(float));
	float	   *logits = malloc(TEST * sizeof(float));
	CtrCase    *rows = planted_rows(N, 1, truth);
	CtrCase    *test = planted_rows(TEST, 2, truth);

	for (int weighted = 0; weighted <= 1; weighted++)
		for (int adagrad = 0; adagrad <= 1; adagrad++)
		{
			PmFmOptions options = fm_options(weighted, 4);
			double		best;
			double		auc;
			PmContext	ctx;
			PmFm		fm;

			options.optimizer = adagrad ? PM_FM_ADAGRAD : PM_FM_ADAM;
			options.learning_rate = adagrad ? 0.1 : 0.01;
			options.epochs = 15;
			options.l2 = 1e-5;
			fit(&ctx, 2, rows, NULL, &options, &fm, NULL);
			CHECK_STATUS(&ctx, pm_fm_logits(&ctx, &test->rows, &fm, logits), PM_OK);
			CHECK_STATUS(&ctx, pm_metrics_auc(&ctx, TEST, truth, test->labels, NULL, &best), PM_OK);
			CHECK_STATUS(&ctx, pm_metrics_auc(&ctx, TEST, logits, test->labels, NULL, &auc), PM_OK);
			CHECK_CASE(auc > best - 0.01, "fwfm %d, adagrad %d: AUC %.4f, truth %.4f", weighted,
					   adagrad, auc, best);
			pm_arena_destroy(ctx.arena);
		}
	case_free(rows);
	case_free(test);
	free(truth);
	free(logits);
}

int
main(void)
{
	PmDevice	devices[2];
	int			count = test_devices(devices, 2);

	for (int i = 0; i < count; i++)
	{
		/* in place of the naive device, none: it has no threads either */
		device = i == 0 ? NULL : &devices[i];
		printf("on %s\n", device == NULL ? "no device" : device->name);
		TEST(logits_are_the_formula);
		TEST(single_fields);
		TEST(no_coefficients);
		TEST(threads_change_nothing);
		TEST(going_on);
		TEST(early_stopping);
		TEST(stopping_after_the_first);
		TEST(planted_interactions_are_found);
	}
	return test_report();
}
