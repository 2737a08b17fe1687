/*
 * test_logistic_faults.c
 *		Logistic regression with bad input, few iterations, a host that
 *		cancels, little memory, and any number of threads.
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

/* A fit is refused with this message. */
static void
refused(const CtrCase *rows, const PmLogisticOptions *options,
		const char *message)
{
	PmLogisticFit fit;
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_logistic_fit(&ctx, &rows->rows, NULL, options, NULL, &fit),
				 PM_INVALID);
	CHECK_TEXT(ctx.message, message);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

static void
bad_rows(void)
{
	PmLogisticOptions options = case_options(0, 1, PM_LOGISTIC_AUTO);
	CtrCase    *rows = rows_of_labels("0000000000");
	CtrCase    *one = rows_of_labels("1");
	CtrCase    *none = rows_of_labels("");
	CtrCase    *weighted = case_golden(false, true);

	refused(rows, &options, "the label is false in all 10 rows: there is nothing to tell apart");
	refused(one, &options, "the label is true in all 1 rows: there is nothing to tell apart");
	refused(none, &options, "there is no row to learn from");
	weighted->weights[7] = 0;
	refused(weighted, &options, "row 8 has weight 0, which is not above 0");
	weighted->weights[7] = -1;
	refused(weighted, &options, "row 8 has weight -1, which is not above 0");
	weighted->weights[7] = INFINITY;
	refused(weighted, &options, "row 8 has weight inf, which is not above 0");
	weighted->weights[7] = 1;
	weighted->fields[2].first++;
	refused(weighted, &options, "field 3 does not begin where the one before it ends");
	weighted->fields[2].first--;
	weighted->rows.coefficient_count++;
	refused(weighted, &options, "the fields have 27 coefficients, not 28");
	case_free(rows);
	case_free(one);
	case_free(none);
	case_free(weighted);
}

static void
bad_options(void)
{
	static const int sizes[] = {2001, 0};
	PmLogisticOptions good = case_options(0, 1, PM_LOGISTIC_AUTO);
	PmLogisticOptions options = good;
	CtrCase    *rows = rows_of_labels("0101010101");
	CtrCase    *many = case_random(10, 0, sizes, false, 1);
	double		start[2] = {0, NAN};

	options.l1 = -1;
	refused(rows, &options, "l1 = -1 is not a number from 0 on");
	options = good;
	options.l2 = NAN;
	refused(rows, &options, "l2 = nan is not a number from 0 on");
	options = good;
	options.max_iter = 0;
	refused(rows, &options, "max_iter = 0 is less than 1");
	options = good;
	options.tol = -0.5;
	refused(rows, &options, "tol = -0.5 is less than 0");
	options = good;
	options.start = start;
	refused(rows, &options, "coefficient 1 of the start is not finite");
	options = case_options(1, 0, PM_LOGISTIC_NEWTON);
	refused(rows, &options, "Newton's method cannot be used with l1");
	options.l1 = 0;
	refused(many, &options, "Newton's method cannot be used with 2008 coefficients, at most with 2000");
	case_free(rows);
	case_free(many);
}

/* max_iter ends a fit, which then says so. */
static void
few_iterations(void)
{
	CtrCase    *rows = case_golden(true, true);

	for (int solver = PM_LOGISTIC_LBFGS; solver <= PM_LOGISTIC_NEWTON; solver++)
		for (int l2 = 0; l2 <= 1; l2++)
		{
			PmLogisticOptions options = case_options(0, l2, solver);
			PmLogisticFit fit;
			PmContext	ctx;

			options.max_iter = 2;
			FIT(rows, &options, &fit);
			CHECK_INT(fit.iterations, 2);
			CHECK(!fit.converged && isfinite(fit.loss));
			pm_arena_destroy(ctx.arena);
		}
	case_free(rows);
}

/* ---- faults and threads ------------------------------------------------- */

/* The kinds of fit that go different ways through the code. */
static const double kinds[][2] = {{0, 0}, {0, 1}, {2, 0}};
#define KINDS 3

/* Cancelled at any look for interrupts, a fit stops there and leaves nothing. */
static void
cancelled(void)
{
	static const int sizes[] = {4, 520, 0};
	CtrCase    *rows = case_random(1000, 9, sizes, true, 23);

	for (int kind = 0; kind < KINDS; kind++)
		for (int solver = PM_LOGISTIC_AUTO; solver <= PM_LOGISTIC_NEWTON; solver++)
		{
			PmLogisticOptions options = case_options(kinds[kind][0], kinds[kind][1], solver);
			long		checks = 1;

			if (options.l1 > 0 && solver == PM_LOGISTIC_NEWTON)
				continue;
			options.max_iter = 2;
			for (long n = 0; n <= checks; n += n == 0 ? 1 : 1 + checks / 15)
			{
				FaultHost	host = {0, n};
				PmLogisticFit fit;
				PmContext	ctx;

				fault_context(&ctx, device, 0, 2, &host);
				CHECK_STATUS(&ctx, pm_logistic_fit(&ctx, &rows->rows, &rows->rows, &options,
												   NULL, &fit), n == 0 ? PM_OK : PM_CANCELLED);
				if (n == 0)
					checks = host.checks;
				else
					CHECK_INT(host.checks, n);
				pm_logistic_release(&ctx, &fit);
				CHECK_INT(pm_arena_used(ctx.arena), 0);
				pm_arena_destroy(ctx.arena);
			}
			CHECK(checks > 20);
		}
	case_free(rows);
}

/* Under every limit below what it needs, a fit says so and leaves nothing. */
static void
memory_is_limited(void)
{
	static const int sizes[] = {4, 600, 0};
	CtrCase    *rows = case_random(3000, 9, sizes, true, 23);

	for (int kind = 0; kind < KINDS; kind++)
	{
		PmLogisticOptions options = case_options(kinds[kind][0], kinds[kind][1],
												 PM_LOGISTIC_AUTO);
		PmStatus	status = PM_MEMORY_LIMIT;
		size_t		limit = 64;
		size_t		peak = 0;

		options.max_iter = 2;
		for (; status == PM_MEMORY_LIMIT && limit < (size_t) 1 << 32; limit += limit / 8)
		{
			PmLogisticFit fit;
			PmContext	ctx;

			fault_context(&ctx, device, limit, 2, NULL);
			status = pm_logistic_fit(&ctx, &rows->rows, NULL, &options, NULL, &fit);
			pm_logistic_release(&ctx, &fit);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			peak = pm_arena_peak(ctx.arena);
			CHECK(peak <= limit);
			pm_arena_destroy(ctx.arena);
		}
		CHECK_INT(status, PM_OK);
		CHECK(peak > 10000);
	}
	case_free(rows);
}

/* Bits are the same with 1, 2 and 3 threads. */
static void
threads_change_nothing(void)
{
	static const int sizes[] = {30, 5, 700, 0};
	CtrCase    *rows = case_random(60000, 3, sizes, true, 29);
	size_t		p = (size_t) rows->rows.coefficient_count;

	for (int kind = 0; kind < KINDS; kind++)
		for (int solver = PM_LOGISTIC_LBFGS; solver <= PM_LOGISTIC_NEWTON; solver++)
		{
			PmLogisticOptions options = case_options(kinds[kind][0], kinds[kind][1], solver);
			PmLogisticFit fit[3];
			PmContext	ctx[3];

			if (options.l1 > 0 && solver == PM_LOGISTIC_NEWTON)
				continue;
			options.max_iter = 4;
			for (int threads = 1; threads <= 3; threads++)
			{
				int			k = threads - 1;

				fault_context(&ctx[k], device, 0, threads, NULL);
				CHECK_STATUS(&ctx[k], pm_logistic_fit(&ctx[k], &rows->rows, NULL, &options,
													  NULL, &fit[k]), PM_OK);
				CHECK(fit[k].intercept == fit[0].intercept && fit[k].loss == fit[0].loss);
				CHECK(memcmp(fit[k].coefficients, fit[0].coefficients, p * sizeof(double)) == 0);
				if (fit[0].std_errors != NULL)
					CHECK(memcmp(fit[k].std_errors, fit[0].std_errors, p * sizeof(double)) == 0);
			}
			for (int k = 0; k < 3; k++)
				pm_arena_destroy(ctx[k].arena);
		}
	case_free(rows);
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
		TEST(bad_rows);
		TEST(bad_options);
		TEST(few_iterations);
		TEST(cancelled);
		TEST(memory_is_limited);
		TEST(threads_change_nothing);
	}
	return test_report();
}
