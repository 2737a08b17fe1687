/*
 * test_fm.c
 *		Factorisation machines against the naive ones of fm_cases.c: logits,
 *		contributions, steps; epochs, early stopping, what is learnt.
 */
#include "test.h"

#include "fault_device.h"
#include "fm_cases.h"
#include "golden/fm.h"
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
	float	   *scratch = calloc((size_t) rows->rows.field_count * factors + 1, sizeof(float));
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
		CHECK_CLOSE(logit, expected, 1e-5, 2e-5);
		CHECK_CLOSE(logits[i], logit, 1e-5, 2e-5);
		pm_fm_contributions(&fm, entries, count, contributions);
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

/* ---- steps -------------------------------------------------------------- */

/* The naive gradient is that of the naive loss. */
static void
gradient_by_differences(void)
{
	static const uint32_t order[] = {3, 0, 7, 11, 2, 19};
	CtrCase    *rows = mixed_rows(20, true);

	for (int weighted = 0; weighted <= 1; weighted++)
	{
		PmFmOptions options = fm_options(weighted, 3);
		NaiveFm    *naive;
		PmContext	ctx;
		PmFm		fm;

		fault_context(&ctx, device, 0, 1, NULL);
		CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, &options, &fm), PM_OK);
		fm_fill(&fm, 0.5, 5);
		naive = naive_new(&fm);
		naive_gradient(naive, &rows->rows, order, 6, 0.1);
		for (int at = 0; at < naive->count; at++)
		{
			/* the two places of a pair are one parameter */
			double	   *parameter = &naive->parameters[at];
			double		before = *parameter;
			double		loss[2];

			if (weighted && at >= naive->count - naive->fields * naive->fields)
			{
				int			f = (at - (naive->count - naive->fields * naive->fields)) / naive->fields;
				int			g = (at - (naive->count - naive->fields * naive->fields)) % naive->fields;

				/* logits read the place with f < g where entries go by field */
				if (f >= g)
					continue;
			}
			for (int side = 0; side < 2; side++)
			{
				*parameter = before + (side == 0 ? 1e-5 : -1e-5);
				loss[side] = naive_loss(naive, &rows->rows, order, 6, 0.1);
			}
			*parameter = before;
			CHECK_CLOSE(naive->gradient[at], (loss[0] - loss[1]) / 2e-5, 1e-6, 1e-8);
		}
		naive_free(naive);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
}

/* Every parameter, and its moments, are close. */
static void
check_parameters(const PmFm *fm, const NaiveFm *naive, double tolerance,
				 double moved)
{
	for (int at = 0; at < naive->count && test_bad_checks < 5; at++)
	{
		CHECK_CLOSE(fm_parameter(fm, at), naive->parameters[at], tolerance, tolerance * moved);
		if (fm->first != NULL)
			CHECK_CLOSE(fm->first[at], naive->first[at], 20 * tolerance, 1e-4 * tolerance);
		CHECK_CLOSE(fm->second[at], naive->second[at], 20 * tolerance, 1e-4 * tolerance);
	}
}

/* They are close on average: root of the mean square, to that of the moves. */
static void
check_on_average(const PmFm *fm, const NaiveFm *naive, const NaiveFm *before,
				 double tolerance)
{
	double		apart = 0;
	double		moved = 0;

	for (int at = 0; at < naive->count; at++)
	{
		apart += pow(fm_parameter(fm, at) - naive->parameters[at], 2);
		moved += pow(before->parameters[at] - naive->parameters[at], 2);
	}
	CHECK_CASE(sqrt(apart) < tolerance * sqrt(moved), "%.4f of the way", sqrt(apart / moved));
}

/* Epochs beside the naive ones: weights, moments, loss. */
static void
check_steps(const CtrCase *rows, const PmFmOptions *options, double tolerance,
			bool on_average)
{
	PmFmOptions epoch = *options;
	PmCtrLog	log = {0};
	double		loss = 0;
	NaiveFm    *naive;
	NaiveFm    *before;
	PmContext	ctx;
	PmFm		fm;

	fault_context(&ctx, device, 0, 2, NULL);
	epoch.epochs = 1;
	CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, options, &fm), PM_OK);
	fm_fill(&fm, 0.5, 11);
	naive = naive_new(&fm);
	before = naive_new(&fm);
	for (int k = 0; k < options->epochs; k++)
	{
		uint32_t   *order = fm_order(&rows->rows, options, &fm);
		double		weight = 0;

		loss = 0;
		for (int64_t begin = 0; begin < rows->rows.n; begin += options->batch_size)
		{
			int64_t		left = rows->rows.n - begin;
			int			count = left < options->batch_size ? (int) left : options->batch_size;
			double		sum = 0;

			for (int i = 0; i < count; i++)
				sum += rows->weights != NULL ? rows->weights[order[begin + i]] : 1;
			loss += sum * naive_loss(naive, &rows->rows, order + begin, count, 0);
			weight += sum;
			naive_gradient(naive, &rows->rows, order + begin, count, options->l2);
			naive_step(naive, options);
		}
		loss /= weight;
		CHECK_STATUS(&ctx, pm_fm_fit(&ctx, &rows->rows, NULL, &epoch, &fm, &log), PM_OK);
		free(order);
	}
	CHECK_INT(fm.steps, naive->steps);
	CHECK_CLOSE(log.entries[log.count - 1].loss, loss, tolerance, 0);
	if (on_average)
		check_on_average(&fm, naive, before, tolerance);
	else
		check_parameters(&fm, naive, tolerance, options->learning_rate * naive->steps);
	naive_free(before);
	naive_free(naive);
	pm_arena_destroy(ctx.arena);
}

static void
steps_are_those_of_the_whole_table(void)
{
	for (int weighted = 0; weighted <= 1; weighted++)
		for (int adagrad = 0; adagrad <= 1; adagrad++)
			for (int k = 0; k < FACTOR_COUNTS; k++)
			{
				CtrCase    *rows = mixed_rows(100, k % 2);
				PmFmOptions options = fm_options(weighted, factor_counts[k]);

				options.optimizer = adagrad ? PM_FM_ADAGRAD : PM_FM_ADAM;
				options.l2 = k % 3 == 0 ? 0 : 0.003;
				options.batch_size = 30;
				options.epochs = 2;
				check_steps(rows, &options, 1e-3, false);
				if (test_bad_checks > 0)
					printf("... fwfm %d, adagrad %d, factors %d\n", weighted, adagrad,
						   factor_counts[k]);
				case_free(rows);
			}
}

/* A batch larger than the rows, one of a row, one of several parts. */
static void
batches_of_any_size(void)
{
	static const int sizes[] = {1, 7, 5000, 9000};

	for (int k = 0; k < 4; k++)
	{
		CtrCase    *rows = mixed_rows(k < 2 ? 20 : 8200, true);
		PmFmOptions options = fm_options(true, 5);

		options.batch_size = sizes[k];
		check_steps(rows, &options, 1e-2, false);
		case_free(rows);
	}
}

/* Categories that are away for long: strides are close to single steps. */
static void
missed_steps(void)
{
	static const int sizes[] = {600, 900, 0};

	for (int adagrad = 0; adagrad <= 1; adagrad++)
		for (int penalised = 0; penalised <= 1; penalised++)
		{
			CtrCase    *rows = case_random(3000, 1, sizes, false, 19);
			PmFmOptions options = fm_options(false, 4);

			options.optimizer = adagrad ? PM_FM_ADAGRAD : PM_FM_ADAM;
			options.l2 = penalised ? 1e-3 : 0;
			options.batch_size = 10;
			check_steps(rows, &options, 0.03, true);
			case_free(rows);
		}
}

/* PyTorch's trajectory from the same weights, in double precision. */
static void
check_golden(bool field_weighted, PmFmOptimizer optimizer,
			 const double *golden)
{
	CtrCase    *rows = case_golden(true, true);
	PmFmOptions options = fm_options(field_weighted, GOLDEN_FACTORS);
	uint64_t	state = UINT64_C(0x2545f4914f6cdd1d);
	PmCtrLog	log = {0};
	int			count;
	PmContext	ctx;
	PmFm		fm;

	options.optimizer = optimizer;
	options.learning_rate = GOLDEN_RATE;
	options.l2 = GOLDEN_L2;
	options.batch_size = (int) rows->rows.n;
	options.epochs = GOLDEN_STEPS;
	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, &options, &fm), PM_OK);
	fm.intercept = 0;
	for (int c = 0; c < fm.coefficient_count; c++)
		fm.linear[c] = (float) (case_below(&state, 1024) - 512) / 1024;
	for (int c = 0; c < fm.coefficient_count * GOLDEN_FACTORS; c++)
		fm.factor[c] = (float) (case_below(&state, 1024) - 512) / 1024;
	CHECK_STATUS(&ctx, pm_fm_fit(&ctx, &rows->rows, NULL, &options, &fm, &log), PM_OK);
	count = 1 + fm.coefficient_count * (1 + GOLDEN_FACTORS) +
		(field_weighted ? fm.field_count * fm.field_count : 0);
	for (int at = 0; at < count; at++)
		CHECK_CLOSE(fm_parameter(&fm, at), golden[at], 1e-4, 2e-5);
	for (int k = 0; k < GOLDEN_STEPS; k++)
		CHECK_CLOSE(log.entries[k].loss, golden[count + k], 1e-5, 0);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
}

static void
pytorch_agrees(void)
{
	check_golden(false, PM_FM_ADAM, golden_fm_adam);
	check_golden(false, PM_FM_ADAGRAD, golden_fm_adagrad);
	check_golden(true, PM_FM_ADAM, golden_fwfm_adam);
	check_golden(true, PM_FM_ADAGRAD, golden_fwfm_adagrad);
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
early_stopping(void)
{
	CtrCase    *rows = mixed_rows(400, false);
	CtrCase    *eval = case_random(300, 3, (const int[]) {11, 5, 60, 0}, true, 8);
	PmFmOptions options = fm_options(false, 8);
	PmCtrLog	log = {0};
	PmContext	ctx[2];
	PmFm		stopped;
	PmFm		best;
	size_t		at = 0;

	options.batch_size = 20;
	options.epochs = 200;
	options.early_stopping = true;
	options.patience = 3;
	fit(&ctx[0], 2, rows, eval, &options, &stopped, &log);
	for (size_t k = 0; k < log.count; k++)
		if (log.entries[k].eval_loss < log.entries[at].eval_loss)
			at = k;
	CHECK(log.count < 200);
	CHECK_INT(log.count, at + 1 + 3);
	CHECK_INT(stopped.steps, 20 * (at + 1));
	options.early_stopping = false;
	options.epochs = (int) at + 1;
	fit(&ctx[1], 1, rows, NULL, &options, &best, NULL);
	check_same(&stopped, &best);
	CHECK(log.entries[at].eval_auc > 0.6 && log.entries[at].eval_auc < 1);
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

	TEST(gradient_by_differences);
	for (int i = 0; i < count; i++)
	{
		/* in place of the naive device, none: it has no threads either */
		device = i == 0 ? NULL : &devices[i];
		printf("on %s\n", device == NULL ? "no device" : device->name);
		TEST(logits_are_the_formula);
		TEST(single_fields);
		TEST(no_coefficients);
		TEST(steps_are_those_of_the_whole_table);
		TEST(batches_of_any_size);
		TEST(pytorch_agrees);
		TEST(missed_steps);
		TEST(threads_change_nothing);
		TEST(going_on);
		TEST(early_stopping);
		TEST(planted_interactions_are_found);
	}
	return test_report();
}
