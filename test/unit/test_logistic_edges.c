/*
 * test_logistic_edges.c
 *		Logistic regression where classes separate, columns say the same or
 *		are of other units, rows are few or have weights.
 *
 * Every test runs without a device and on the CPU's.
 */
#include "test.h"

#include "fault_device.h"
#include "kmeans_cases.h"
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

/* All numbers of a fit that are not std errors are finite. */
static bool
is_finite(const PmLogisticFit *fit, int32_t p)
{
	bool		finite = isfinite(fit->intercept) && isfinite(fit->loss);

	for (int32_t j = 0; j < p; j++)
		finite &= isfinite(fit->coefficients[j]) && fabs(fit->coefficients[j]) < 1e4;
	return finite;
}

/* ---- separation --------------------------------------------------------- */

/* Ten rows of one number; the labels are the digits. */
static CtrCase *
rows_of_labels(const char *labels)
{
	CtrCase    *rows = case_new((int64_t) strlen(labels), false);

	case_add(rows, PM_CTR_DENSE, 1, 0);
	for (int i = 0; labels[i] != '\0'; i++)
	{
		rows->values[0][i] = (float) (i - 3);
		rows->labels[i] = labels[i] == '1';
	}
	return rows;
}

/* A number tells all rows apart: no standard error is left. */
static void
complete_separation(void)
{
	CtrCase    *rows = rows_of_labels("0000011111");

	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
		for (double tol = 1e-3; tol > 1e-13; tol *= 1e-3)
		{
			PmLogisticOptions options = case_options(0, 0, solver);
			PmLogisticFit fit;
			PmContext	ctx;

			options.tol = tol;
			FIT(rows, &options, &fit);
			CHECK_CASE(fit.separated, "solver %d, tol %g", solver, tol);
			CHECK_CASE(fit.iterations < 100, "solver %d, tol %g: %d", solver, tol,
					   fit.iterations);
			CHECK(is_finite(&fit, 1));
			CHECK(fit.coefficients[0] > 1);
			CHECK(isnan(fit.std_errors[0]) && isnan(fit.intercept_std_err));
			pm_arena_destroy(ctx.arena);
		}
	case_free(rows);
}

/* Rows that overlap, or nearly separate, have a maximum. */
static void
no_separation(void)
{
	static const char *const labels[] = {
		"0000101111", "0000001011", "1000000000", "0101010101", "00000000100001111111"
	};

	for (int k = 0; k < 5; k++)
		for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
		{
			CtrCase    *rows = rows_of_labels(labels[k]);
			PmLogisticOptions options = case_options(0, 0, solver);
			PmLogisticFit fit;
			PmContext	ctx;

			FIT(rows, &options, &fit);
			/* the third one is separated by its first row */
			CHECK_CASE(fit.separated == (k == 2), "case %d, solver %d", k, solver);
			CHECK(fit.converged);
			CHECK(isnan(fit.std_errors[0]) == (k == 2));
			pm_arena_destroy(ctx.arena);
			case_free(rows);
		}
}

/*
 * One number separates but for ties at one of its values: where the rows tie,
 * the intercept and the number follow each other to infinity.
 */
static void
tied_separation(void)
{
	CtrCase    *rows = rows_of_labels("00000011111111");
	PmLogisticOptions options = case_options(0, 0, PM_LOGISTIC_AUTO);
	PmLogisticFit fit;
	PmContext	ctx;

	rows->values[0][5] = rows->values[0][6] = rows->values[0][7] = 2.5f;
	for (double tol = 1e-3; tol > 1e-13; tol *= 1e-3)
	{
		double		at_tie;

		options.tol = tol;
		FIT(rows, &options, &fit);
		CHECK_CASE(fit.separated, "tol %g", tol);
		CHECK(fit.iterations < 100);
		CHECK(is_finite(&fit, 1));
		CHECK(isnan(fit.std_errors[0]) && isnan(fit.intercept_std_err));
		/* of three rows there two are 1 */
		at_tie = fit.intercept + 2.5 * fit.coefficients[0];
		CHECK_CLOSE(at_tie, log(2), 0, 0.02);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
}

/* A category of one class: it runs away, the others keep their errors. */
static void
separated_category(void)
{
	CtrCase    *rows = case_golden(true, true);
	CtrCase    *fewer = case_golden(true, true);

	/* category 4 becomes one class; without its rows the fit is the same */
	for (int i = 0; i < 600; i++)
		if (rows->codes[1][i] == 4)
		{
			rows->labels[i] = 1;
			fewer->weights[i] = 1e-30f;
			fewer->labels[i] = i % 2;
		}
	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
	{
		PmLogisticOptions options = case_options(0, 0, solver);
		PmLogisticFit fit;
		PmLogisticFit expected;
		PmContext	ctx;
		PmContext	other;

		options.tol = solver == PM_LOGISTIC_LBFGS ? 1e-8 : 1e-10;
		FIT(fewer, &options, &expected);
		other = ctx;
		FIT(rows, &options, &fit);
		CHECK(fit.separated && !expected.separated);
		CHECK(is_finite(&fit, 27));
		CHECK(fit.coefficients[2 + 4] > 5);
		CHECK(isnan(fit.std_errors[2 + 4]));
		CHECK_CLOSE(fit.intercept_std_err, expected.intercept_std_err, 1e-3, 0);
		for (int j = 0; j < 27; j++)
			if (j != 6 && !fit.aliased[j])
			{
				CHECK_CASE(test_close(fit.coefficients[j], expected.coefficients[j], 1e-3, 1e-4),
						   "solver %d, coefficient %d: %g, not %g", solver, j,
						   fit.coefficients[j], expected.coefficients[j]);
				CHECK_CLOSE(fit.std_errors[j], expected.std_errors[j], 1e-3, 0);
			}
		pm_arena_destroy(ctx.arena);
		pm_arena_destroy(other.arena);
	}
	case_free(rows);
	case_free(fewer);
}

/* Too many categories for a Hessian: those of one class are found all the same. */
static void
many_categories(void)
{
	static const int sizes[] = {3000, 0};
	CtrCase    *rows = case_random(4000, 2, sizes, false, 3);
	PmLogisticOptions options = case_options(0, 0, PM_LOGISTIC_AUTO);
	PmLogisticFit fit;
	PmContext	ctx;

	options.tol = 1e-5;
	FIT(rows, &options, &fit);
	CHECK(fit.separated);
	CHECK(fit.converged);
	CHECK(is_finite(&fit, 3009));
	CHECK(fit.std_errors == NULL && fit.aliased != NULL);
	pm_arena_destroy(ctx.arena);

	/* under a penalty nothing separates */
	options.l2 = 0.1;
	FIT(rows, &options, &fit);
	CHECK(!fit.separated && fit.converged && fit.aliased == NULL);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
}

/* ---- columns ------------------------------------------------------------ */

/* A column twice, a sum of two others, a constant, an empty category. */
static void
dependent_columns(void)
{
	CtrCase    *rows = case_new(500, false);
	CtrCase    *twin = case_golden(true, false);
	PmLogisticOptions options = case_options(0, 0, PM_LOGISTIC_AUTO);
	PmLogisticFit fit;
	PmContext	ctx;

	case_add(rows, PM_CTR_DENSE, 5, 0);
	case_add(rows, PM_CTR_CODE, 3, 0);
	case_add(rows, PM_CTR_CODE, 1, 0);
	for (int i = 0; i < 500; i++)
	{
		float	   *row = rows->values[0] + 5 * i;

		row[0] = twin->values[0][2 * i];
		row[1] = twin->values[0][2 * i + 1];
		row[2] = row[0];
		row[3] = row[0] + row[1];
		row[4] = 0.1f;
		rows->codes[1][i] = 2 * (twin->codes[1][i] % 2);
		rows->labels[i] = twin->labels[i];
	}
	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
	{
		static const bool aliased[] = {
			false, false, true, true, true, true, true, false, true
		};

		options.solver = solver;
		options.l2 = 0;
		FIT(rows, &options, &fit);
		CHECK(fit.converged && !fit.separated);
		for (int j = 0; j < 9; j++)
		{
			CHECK_CASE(fit.aliased[j] == aliased[j], "column %d", j);
			CHECK_CASE((fit.coefficients[j] == 0) == aliased[j], "column %d", j);
			CHECK_CASE(isnan(fit.std_errors[j]) == aliased[j], "column %d", j);
		}
		pm_arena_destroy(ctx.arena);

		/* under a penalty equal columns have equal coefficients */
		options.l2 = 1;
		FIT(rows, &options, &fit);
		CHECK(fit.converged);
		CHECK_CLOSE(fit.coefficients[0], fit.coefficients[2], 1e-7, 0);
		CHECK_CLOSE(fit.coefficients[4], 0, 0, 1e-9);
		CHECK_CLOSE(fit.coefficients[6], 0, 0, 0);
		CHECK_CLOSE(fit.coefficients[5], -fit.coefficients[7], 1e-6, 0);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
	case_free(twin);
}

/* Fewer rows than columns: what is left fits all rows, or is penalised. */
static void
few_rows(void)
{
	static const int sizes[] = {15, 4, 0};
	CtrCase    *rows = case_random(20, 30, sizes, false, 5);

	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
	{
		PmLogisticOptions options = case_options(0, 0, solver);
		int			free_columns = 0;
		PmLogisticFit fit;
		PmContext	ctx;

		options.tol = 1e-6;
		FIT(rows, &options, &fit);
		CHECK(fit.separated && is_finite(&fit, 56));
		CHECK(fit.iterations < 100);
		for (int j = 0; j < 56; j++)
			free_columns += !fit.aliased[j];
		CHECK_INT(free_columns, 19);
		pm_arena_destroy(ctx.arena);

		options.l2 = 1;
		FIT(rows, &options, &fit);
		CHECK(fit.converged && !fit.separated);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
}

/* Columns in other units give coefficients in other units. */
static void
units_of_columns(void)
{
	CtrCase    *rows = case_golden(true, true);
	CtrCase    *scaled = case_golden(true, true);
	static const double units[] = {1048576, 1.0 / 1048576};

	for (int i = 0; i < 600; i++)
		for (int k = 0; k < 2; k++)
			scaled->values[0][2 * i + k] *= (float) units[k];
	for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
	{
		PmLogisticOptions options = case_options(0, 0, solver);
		PmLogisticFit fit;
		PmLogisticFit other;
		PmContext	ctx;
		PmContext	kept;

		FIT(rows, &options, &fit);
		kept = ctx;
		FIT(scaled, &options, &other);
		CHECK(other.converged && fit.converged);
		CHECK_CLOSE(other.loss, fit.loss, 1e-13, 0);
		for (int j = 0; j < 27; j++)
		{
			double		unit = j < 2 ? units[j] : 1;

			CHECK_CLOSE(other.coefficients[j] * unit, fit.coefficients[j], 1e-9, 1e-12);
			if (!fit.aliased[j])
				CHECK_CLOSE(other.std_errors[j] * unit, fit.std_errors[j], 1e-9, 0);
		}
		pm_arena_destroy(ctx.arena);
		pm_arena_destroy(kept.arena);
	}
	case_free(rows);
	case_free(scaled);
}

/* Weights are repeated rows. */
static void
weights_are_repeats(void)
{
	static const int sizes[] = {5, 3, 600, 0};
	CtrCase    *rows = case_random(2000, 9, sizes, true, 17);
	CtrCase    *repeated = case_repeated(rows);
	static const double penalties[][2] = {{0, 1}, {1, 0}};

	for (int k = 0; k < 2; k++)
	{
		PmLogisticOptions options = case_options(penalties[k][0], penalties[k][1],
												 PM_LOGISTIC_AUTO);
		PmLogisticFit fit;
		PmLogisticFit other;
		PmContext	ctx;
		PmContext	kept;

		FIT(rows, &options, &fit);
		kept = ctx;
		FIT(repeated, &options, &other);
		CHECK_CLOSE(other.loss, fit.loss, 1e-9, 0);
		CHECK_CLOSE(other.intercept, fit.intercept, 1e-6, 0);
		for (int j = 0; j < rows->rows.coefficient_count; j++)
			CHECK_CLOSE(other.coefficients[j], fit.coefficients[j], 1e-6, 1e-7);
		pm_arena_destroy(ctx.arena);
		pm_arena_destroy(kept.arena);
	}
	case_free(rows);
	case_free(repeated);
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
		TEST(complete_separation);
		TEST(no_separation);
		TEST(tied_separation);
		TEST(separated_category);
		TEST(many_categories);
		TEST(dependent_columns);
		TEST(few_rows);
		TEST(units_of_columns);
		TEST(weights_are_repeats);
	}
	return test_report();
}
