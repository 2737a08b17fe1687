/*
 * test_logistic.c
 *		What logistic regression finds: scikit-learn's and statsmodels'
 *		results, closed forms, differences, real data.
 *
 * Every test runs without a device, on the naive one and on the CPU's.
 * test_logistic_edges.c has what is odd, test_logistic_faults.c what fails.
 */
#include "test.h"

#include "fault_device.h"
#include "golden/logistic.h"
#include "kmeans_cases.h"
#include "logistic.h"
#include "logistic_cases.h"

#include <stdlib.h>

static PmDevice *device;

/* Fit on the current device with an arena of its own. */
#define FIT(rows_, options_, fit_) \
	do { \
		fault_context(&ctx, device, 0, 2, NULL); \
		CHECK_STATUS(&ctx, pm_logistic_fit(&ctx, &(rows_)->rows, NULL, options_, \
										   NULL, fit_), PM_OK); \
		if (test_bad_checks > 0) \
			return; \
	} while (0)

/* Compare with golden values, the intercept first; NAN: must be 0. */
static void
compare(const PmLogisticFit *fit, const double *golden, int32_t p,
		double relative, double absolute)
{
	CHECK_CLOSE(fit->intercept, golden[0], relative, absolute);
	for (int32_t j = 0; j < p; j++)
		CHECK_CASE(isnan(golden[1 + j]) ? fit->coefficients[j] == 0 :
				   test_close(fit->coefficients[j], golden[1 + j], relative, absolute),
				   "coefficient %d is %.17g, not %.17g", j, fit->coefficients[j],
				   golden[1 + j]);
}

/* ---- others' results ---------------------------------------------------- */

static void
sklearn_l2(void)
{
	CtrCase    *plain = case_golden(false, false);
	CtrCase    *weighted = case_golden(false, true);

	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
	{
		double		relative = solver == PM_LOGISTIC_LBFGS ? 1e-6 : 1e-8;
		PmLogisticOptions options = case_options(0, 1, solver);
		PmLogisticFit fit;
		PmContext	ctx;

		FIT(plain, &options, &fit);
		compare(&fit, golden_l2, 27, relative, relative);
		CHECK_CLOSE(fit.loss, GOLDEN_L2_LOSS, 1e-12, 0);
		CHECK(fit.converged && !fit.separated);
		CHECK(fit.aliased == NULL && fit.std_errors == NULL);
		CHECK(isnan(fit.intercept_std_err));
		pm_arena_destroy(ctx.arena);

		options.l2 = 0.25;
		FIT(weighted, &options, &fit);
		compare(&fit, golden_weighted, 27, relative, relative);
		CHECK_CLOSE(fit.loss, GOLDEN_WEIGHTED_LOSS, 1e-12, 0);
		pm_logistic_release(&ctx, &fit);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	case_free(plain);
	case_free(weighted);
}

/* saga's own tolerance is what limits the agreement. */
static void
sklearn_l1(void)
{
	static const double penalties[2][2] = {{6, 0}, {4, 2}};
	static const double *const golden[] = {golden_l1, golden_both};
	static const double loss[] = {GOLDEN_L1_LOSS, GOLDEN_BOTH_LOSS};
	CtrCase    *rows = case_golden(true, true);

	for (int k = 0; k < 2; k++)
	{
		PmLogisticOptions options = case_options(penalties[k][0], penalties[k][1],
												 PM_LOGISTIC_AUTO);
		PmLogisticFit fit;
		PmContext	ctx;

		FIT(rows, &options, &fit);
		compare(&fit, golden[k], 27, 1e-6, 1e-7);
		CHECK_CLOSE(fit.loss, loss[k], 1e-9, 0);
		CHECK(fit.converged && fit.aliased == NULL && fit.std_errors == NULL);
		/* zeros are zeros */
		for (int j = 0; j < 27; j++)
			if (golden[k][1 + j] == 0)
				CHECK_CLOSE(fit.coefficients[j], 0, 0, 0);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
}

static void
statsmodels_free(void)
{
	CtrCase    *rows = case_golden(false, true);

	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
	{
		double		relative = solver == PM_LOGISTIC_LBFGS ? 1e-5 : 1e-7;
		PmLogisticOptions options = case_options(0, 0, solver);
		PmLogisticFit fit;
		PmContext	ctx;

		FIT(rows, &options, &fit);
		compare(&fit, golden_free, 27, relative, relative);
		CHECK_CLOSE(fit.loss, GOLDEN_FREE_LOSS, 1e-12, 0);
		CHECK(fit.converged && !fit.separated);
		CHECK_CLOSE(fit.intercept_std_err, golden_free_errors[0], relative, 0);
		for (int j = 0; j < 27; j++)
		{
			CHECK_INT(fit.aliased[j], isnan(golden_free[1 + j]));
			if (fit.aliased[j])
				CHECK(isnan(fit.std_errors[j]));
			else
				CHECK_CLOSE(fit.std_errors[j], golden_free_errors[1 + j], relative, 0);
		}
		pm_logistic_release(&ctx, &fit);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
}

/* ---- closed forms ------------------------------------------------------- */

/* Without a penalty a field of categories gives log odds of a table. */
static void
table_of_two(void)
{
	static const int table[3][2] = {{30, 10}, {5, 20}, {7, 8}};	/* by label */
	CtrCase    *rows = case_new(80, false);
	PmLogisticOptions options = case_options(0, 0, PM_LOGISTIC_AUTO);
	PmLogisticFit fit;
	static const double contrast[3] = {0, 1, 0};
	PmContext	ctx;
	int			i = 0;

	options.tol = 1e-15;
	case_add(rows, PM_CTR_CODE, 3, 0);
	for (int code = 0; code < 3; code++)
		for (int label = 0; label < 2; label++)
			for (int k = 0; k < table[code][label]; k++)
			{
				rows->codes[0][i] = code;
				rows->labels[i++] = (uint8_t) label;
			}
	FIT(rows, &options, &fit);
	CHECK(fit.aliased[0] && !fit.aliased[1] && !fit.aliased[2]);
	CHECK_CLOSE(fit.intercept, log(10.0 / 30), 1e-12, 0);
	CHECK_CLOSE(fit.intercept_std_err, sqrt(1.0 / 30 + 1.0 / 10), 1e-12, 0);
	for (int code = 1; code < 3; code++)
	{
		const int  *row = table[code];

		CHECK_CLOSE(fit.coefficients[code],
					log((double) row[1] / row[0] / (10.0 / 30)), 1e-12, 0);
		CHECK_CLOSE(fit.std_errors[code],
					sqrt(1.0 / row[0] + 1.0 / row[1] + 1.0 / 30 + 1.0 / 10), 1e-12, 0);
	}
	pm_arena_destroy(ctx.arena);

	/* with its coefficient added the intercept is the log odds of a category */
	options.contrast = contrast;
	FIT(rows, &options, &fit);
	CHECK_CLOSE(fit.intercept_std_err, sqrt(1.0 / table[1][0] + 1.0 / table[1][1]), 1e-12, 0);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
}

/* No field at all: the intercept is the log odds, its variance 1 / npq. */
static void
intercept_alone(void)
{
	static const double penalties[3][2] = {{0, 0}, {0, 1}, {1, 0}};
	CtrCase    *rows = case_new(10, true);

	for (int i = 0; i < 10; i++)
	{
		rows->labels[i] = i < 4;
		rows->weights[i] = (float) (i + 1);
	}
	for (int k = 0; k < 3; k++)
	{
		PmLogisticOptions options = case_options(penalties[k][0], penalties[k][1],
												 PM_LOGISTIC_AUTO);
		PmLogisticFit fit;
		PmContext	ctx;

		FIT(rows, &options, &fit);
		CHECK_CLOSE(fit.intercept, log(10.0 / 45), 1e-12, 0);
		CHECK_CLOSE(fit.loss, -(10 * log(10.0 / 55) + 45 * log(45.0 / 55)) / 55, 1e-12, 0);
		if (k == 0)
			CHECK_CLOSE(fit.intercept_std_err, sqrt(55 / (10.0 * 45)), 1e-12, 0);
		CHECK(fit.converged);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
}

/* Under a large l1 nothing is left but the intercept. */
static void
large_l1(void)
{
	CtrCase    *rows = case_golden(true, false);
	PmLogisticOptions options = case_options(1000, 0, PM_LOGISTIC_AUTO);
	PmLogisticFit fit;
	PmContext	ctx;
	int			positives = 0;

	for (int i = 0; i < 600; i++)
		positives += rows->labels[i];
	FIT(rows, &options, &fit);
	for (int j = 0; j < 27; j++)
		CHECK_CLOSE(fit.coefficients[j], 0, 0, 0);
	CHECK_CLOSE(fit.intercept, log(positives / (600.0 - positives)), 1e-12, 0);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
}

/* ---- derivatives -------------------------------------------------------- */

/* A pass with coefficients b, which must succeed. */
static double
loss_at(PmContext *ctx, LogisticPass *pass, const double *b, double *gradient)
{
	LogisticSums sums = {0};

	CHECK_STATUS(ctx, pm_logistic_pass(ctx, pass, gradient == NULL ? LOGISTIC_LOSS :
									   LOGISTIC_GRADIENT, b, gradient, &sums), PM_OK);
	return sums.loss;
}

/*
 * Gradient and Hessian of the sum of the losses, by central differences; rows
 * with numbers in narrow and wide fields, small and large fields of
 * categories, sets with repeated codes, weights.
 */
static void
derivatives(void)
{
	static const int sizes[] = {3, 12, 700, 0};
	enum
	{
		P = 10 + 3 + 12 + 700 + 7
	};
	CtrCase    *rows = case_random(3000, 10, sizes, true, 7);
	double		b[1 + P];
	double		gradient[1 + P];
	double		up[1 + P];
	double		down[1 + P];
	double		divisor[1 + P];
	double	   *matrix = malloc(sizeof(double) * (1 + P) * (1 + P));
	LogisticData data;
	LogisticPass pass;
	LogisticSums sums;
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_logistic_data_open(&ctx, &rows->rows, &data), PM_OK);
	CHECK_STATUS(&ctx, pm_logistic_pass_open(&ctx, &data, true, &pass), PM_OK);
	for (int j = 0; j <= P; j++)
	{
		b[j] = sin(j) / 2;
		divisor[j] = 1;
	}
	CHECK_STATUS(&ctx, pm_logistic_pass(&ctx, &pass, LOGISTIC_HESSIAN, b, gradient, &sums), PM_OK);
	CHECK_STATUS(&ctx, pm_logistic_hessian_read(&ctx, pass.hessian, divisor, matrix), PM_OK);
	CHECK_CLOSE(loss_at(&ctx, &pass, b, up), sums.loss, 1e-14, 0);
	for (int j = 0; j <= P; j++)
		CHECK_CLOSE(up[j], gradient[j], 1e-12, 1e-10);
	for (int j = 0; j <= P; j += j < 30 || j > P - 10 ? 1 : 37)
	{
		double		kept = b[j];
		double		difference;

		b[j] = kept + 1e-5;
		difference = loss_at(&ctx, &pass, b, NULL);
		loss_at(&ctx, &pass, b, up);
		b[j] = kept - 1e-5;
		difference -= loss_at(&ctx, &pass, b, NULL);
		loss_at(&ctx, &pass, b, down);
		b[j] = kept;
		CHECK_CASE(test_close(gradient[j], difference / 2e-5, 1e-6, 1e-5),
				   "gradient %d is %.17g, not %.17g", j, gradient[j], difference / 2e-5);
		for (int i = 0; i <= P; i++)
		{
			double		element = matrix[i < j ? j * (1 + P) + i : i * (1 + P) + j];

			CHECK_CASE(test_close(element, (up[i] - down[i]) / 2e-5, 1e-6, 1e-5),
					   "element %d, %d is %.17g, not %.17g", i, j, element,
					   (up[i] - down[i]) / 2e-5);
		}
	}
	pm_logistic_pass_close(&ctx, &pass);
	pm_logistic_data_close(&ctx, &data);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
	free(matrix);
}

/*
 * The optimality conditions of a fit, from rows element by element: the
 * gradient is 0, or under l1 at most l1 where a coefficient is 0.
 */
static void
optimal(const CtrCase *rows, const PmLogisticOptions *options,
		const PmLogisticFit *fit, double slack)
{
	int32_t		p = rows->rows.coefficient_count;
	double	   *gradient = calloc((size_t) p + 1, sizeof(double));
	double		weight = 0;

	for (int64_t i = 0; i < rows->rows.n; i++)
	{
		double		w = rows->weights == NULL ? 1 : rows->weights[i];
		double		z = fit->intercept;

		for (int32_t j = 0; j < p; j++)
			z += case_element(&rows->rows, i, j) * fit->coefficients[j];
		z = w * (1 / (1 + exp(-z)) - rows->labels[i]);
		weight += w;
		gradient[p] += z;
		for (int32_t j = 0; j < p; j++)
			gradient[j] += z * case_element(&rows->rows, i, j);
	}
	CHECK_CLOSE(gradient[p] / weight, 0, 0, slack);
	for (int32_t j = 0; j < p; j++)
	{
		double		b = fit->coefficients[j];
		double		value = gradient[j] + options->l2 * b;

		if (b != 0)
			value += copysign(options->l1, b);
		else
			value = fmax(fabs(value) - options->l1, 0);
		CHECK_CASE(test_close(value / weight, 0, 0, slack), "gradient %d is %g",
				   j, value / weight);
	}
	free(gradient);
}

/* Larger rows, with fields that have tasks of their own. */
static void
optimality(void)
{
	static const int sizes[] = {40, 6, 900, 0};
	static const double penalties[][2] = {{0, 0.5}, {3, 0}, {2, 3}};
	CtrCase    *rows = case_random(4000, 3, sizes, true, 11);

	for (int k = 0; k < 3; k++)
		for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
		{
			PmLogisticOptions options = case_options(penalties[k][0], penalties[k][1], solver);
			PmLogisticFit fit;
			PmContext	ctx;

			if (solver == PM_LOGISTIC_NEWTON && options.l1 > 0)
				continue;
			options.tol = 1e-9;
			FIT(rows, &options, &fit);
			CHECK(fit.converged);
			optimal(rows, &options, &fit, 2e-9);
			pm_arena_destroy(ctx.arena);
		}
	case_free(rows);
}

/* ---- real data ---------------------------------------------------------- */

/*
 * The training part of the Adult data, one-hot: scikit-learn's coefficients
 * under l2, and statsmodels' with standard errors without a penalty.  There
 * some categories have one class only, so that those have none.
 */
static void
adult(void)
{
	CtrCase    *rows = case_adult();
	PmLogisticOptions options = case_options(0, 1, PM_LOGISTIC_AUTO);
	PmLogisticFit fit;
	PmContext	ctx;
	int			without = 0;

	if (rows == NULL)
		SKIP("adult.csv.gz is not in PRECMKT_DATA");
	CHECK_INT(rows->rows.coefficient_count, 108);
	FIT(rows, &options, &fit);
	compare(&fit, golden_adult, 108, 1e-6, 1e-7);
	CHECK_CLOSE(fit.loss, GOLDEN_ADULT_LOSS, 0, 1e-10);
	pm_arena_destroy(ctx.arena);

	options.l2 = 0;
	FIT(rows, &options, &fit);
	CHECK(fit.separated && fit.converged);
	for (int j = 0; j < 108; j++)
	{
		CHECK_INT(fit.aliased[j], isnan(golden_adult_free[1 + j]));
		if (fit.aliased[j])
			continue;
		without += isnan(fit.std_errors[j]);
		if (isnan(fit.std_errors[j]))
			continue;
		CHECK_CLOSE(fit.coefficients[j], golden_adult_free[1 + j], 1e-6, 1e-7);
		CHECK_CLOSE(fit.std_errors[j], golden_adult_errors[1 + j], 1e-6, 0);
	}
	CHECK_INT(without, 5);
	CHECK_CLOSE(fit.intercept, golden_adult_free[0], 1e-6, 0);
	CHECK_CLOSE(fit.intercept_std_err, golden_adult_errors[0], 1e-6, 0);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
}

/* ---- scoring and the log ------------------------------------------------ */

/* Logits and losses, written out. */
static void
logits_and_log(void)
{
	CtrCase    *rows = case_golden(false, true);
	CtrCase    *eval = case_golden(false, false);
	PmLogisticOptions options = case_options(0, 1, PM_LOGISTIC_AUTO);
	PmCtrLog	log = {NULL, 0, 0};
	PmLogisticFit fit;
	PmContext	ctx;
	float		logits[600];
	double		loss = 0;

	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
	{
		const PmCtrLogEntry *last;

		log = (PmCtrLog) {NULL, 0, 0};
		loss = 0;
		options.solver = solver;
		fault_context(&ctx, device, 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_logistic_fit(&ctx, &rows->rows, &eval->rows, &options,
										   &log, &fit), PM_OK);
		CHECK_STATUS(&ctx, pm_logistic_logits(&ctx, &eval->rows, fit.intercept,
											  fit.coefficients, logits), PM_OK);
		for (int i = 0; i < 600; i++)
		{
			double		z = fit.intercept;

			for (int j = 0; j < 27; j++)
				z += case_element(&eval->rows, i, j) * fit.coefficients[j];
			CHECK_CLOSE(logits[i], z, 1e-6, 1e-6);
			loss += log1p(exp(eval->labels[i] ? -z : z)) / 600;
		}
		CHECK_INT(log.count, fit.iterations);
		CHECK(fit.iterations > 2);
		for (size_t k = 0; k < log.count; k++)
		{
			CHECK_CLOSE(log.entries[k].epoch, k + 1.0, 0, 0);
			CHECK(isnan(log.entries[k].eval_auc));
			CHECK(log.entries[k].seconds >= (k == 0 ? 0 : log.entries[k - 1].seconds));
		}
		last = &log.entries[log.count - 1];
		CHECK_CLOSE(last->loss, fit.loss, 1e-14, 0);
		CHECK_CLOSE(last->eval_loss, loss, 1e-12, 0);
		CHECK(log.entries[0].loss > last->loss);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
	case_free(eval);
}

/* A fit that starts at a solution is done. */
static void
warm_start(void)
{
	CtrCase    *rows = case_golden(false, true);

	for (int l2 = 0; l2 <= 1; l2++)
		for (int solver = PM_LOGISTIC_LBFGS; solver <= PM_LOGISTIC_NEWTON; solver++)
		{
			PmLogisticOptions options = case_options(0, l2, solver);
			double		start[28];
			PmLogisticFit fit;
			PmLogisticFit again;
			PmContext	ctx;

			FIT(rows, &options, &fit);
			start[0] = fit.intercept;
			memcpy(start + 1, fit.coefficients, 27 * sizeof(double));
			pm_arena_destroy(ctx.arena);
			options.start = start;
			options.tol = 1e-9;
			FIT(rows, &options, &again);
			CHECK_INT(again.iterations, 0);
			CHECK(again.converged);
			CHECK_CLOSE(again.intercept, start[0], 1e-12, 0);
			pm_arena_destroy(ctx.arena);

			/* from elsewhere it gets there as well, however far out */
			for (double far = 1; far < 1e300; far *= 1e60)
			{
				for (int j = 0; j < 28; j++)
					start[j] = far * cos(j);
				FIT(rows, &options, &fit);
				CHECK(fit.converged && !fit.separated);
				CHECK_CLOSE(fit.loss, again.loss, 1e-10, 0);
				pm_arena_destroy(ctx.arena);
			}
		}
	case_free(rows);
}

int
main(void)
{
	PmDevice	devices[2];
	int			count = test_devices(devices, 2);

	for (int i = -1; i < count; i++)
	{
		device = i < 0 ? NULL : &devices[i];
		printf("on %s\n", device == NULL ? "no device" : device->name);
		TEST(sklearn_l2);
		TEST(sklearn_l1);
		TEST(statsmodels_free);
		TEST(table_of_two);
		TEST(intercept_alone);
		TEST(large_l1);
		TEST(derivatives);
		TEST(optimality);
		TEST(adult);
		TEST(logits_and_log);
		TEST(warm_start);
	}
	return test_report();
}
