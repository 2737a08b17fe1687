/*
 * test_fm_steps.c
 *		The optimisers of factorisation machines, beside the naive ones of
 *		fm_cases.c, which step every parameter, and beside PyTorch's.
 */
#include "test.h"

#include "fault_device.h"
#include "fm_cases.h"
#include "golden/fm.h"
#include "kmeans_cases.h"

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
		TEST(steps_are_those_of_the_whole_table);
		TEST(batches_of_any_size);
		TEST(pytorch_agrees);
		TEST(missed_steps);
	}
	return test_report();
}
