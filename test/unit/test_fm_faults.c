/*
 * test_fm_faults.c
 *		Factorisation machines with bad input, weights that diverge, a host
 *		that cancels, and little memory.
 *
 * Every test runs without a device and on the CPU's.
 */
#include "test.h"

#include "fault_device.h"
#include "fm_cases.h"
#include "kmeans_cases.h"

#include <stdlib.h>

static PmDevice *device;

static CtrCase *
mixed_rows(int64_t n)
{
	static const int sizes[] = {11, 5, 60, 0};

	return case_random(n, 3, sizes, true, 7);
}

/* Fresh weights are refused with this message. */
static void
refused(const CtrCase *rows, const PmFmOptions *options, const char *message)
{
	PmContext	ctx;
	PmFm		fm;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, options, &fm), PM_INVALID);
	CHECK_TEXT(ctx.message, message);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

static void
bad_rows(void)
{
	PmFmOptions options = fm_options(false, 4);
	CtrCase    *rows = mixed_rows(20);
	CtrCase    *none = mixed_rows(0);

	refused(none, &options, "there is no row to learn from");
	rows->weights[7] = 0;
	refused(rows, &options, "row 8 has weight 0, which is not above 0");
	rows->weights[7] = INFINITY;
	refused(rows, &options, "row 8 has weight inf, which is not above 0");
	rows->weights[7] = 1;
	rows->fields[2].first++;
	refused(rows, &options, "field 3 does not begin where the one before it ends");
	rows->fields[2].first--;
	rows->rows.coefficient_count++;
	refused(rows, &options, "the fields have 86 coefficients, not 87");
	case_free(rows);
	case_free(none);
}

static void
bad_options(void)
{
	PmFmOptions good = fm_options(false, 4);
	PmFmOptions options = good;
	CtrCase    *rows = mixed_rows(20);

	options.factors = 0;
	refused(rows, &options, "factors = 0 is not from 1 to 1024");
	options.factors = 1025;
	refused(rows, &options, "factors = 1025 is not from 1 to 1024");
	options = good;
	options.learning_rate = 0;
	refused(rows, &options, "learning_rate = 0 is not a number above 0");
	options.learning_rate = NAN;
	refused(rows, &options, "learning_rate = nan is not a number above 0");
	options = good;
	options.l2 = -1;
	refused(rows, &options, "l2 = -1 is not a number from 0 on");
	options = good;
	options.init_scale = -1;
	refused(rows, &options, "init_scale = -1 is not a number from 0 on");
	options = good;
	options.epochs = 0;
	refused(rows, &options, "epochs = 0 is less than 1");
	options = good;
	options.batch_size = 0;
	refused(rows, &options, "batch_size = 0 is less than 1");
	options = good;
	options.early_stopping = true;
	options.patience = 0;
	refused(rows, &options, "patience = 0 is less than 1");
	case_free(rows);
}

/* A model of other fields is refused, and stays as it is. */
static void
other_model(void)
{
	PmFmOptions options = fm_options(true, 4);
	CtrCase    *rows = mixed_rows(20);
	CtrCase    *other = case_random(20, 3, (const int[]) {11, 5, 61, 0}, true, 7);
	float		logits[20];
	PmContext	ctx;
	PmFm		fm;
	PmFm		before;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, &options, &fm), PM_OK);
	before = fm;
	CHECK_STATUS(&ctx, pm_fm_fit(&ctx, &other->rows, NULL, &options, &fm, NULL), PM_INVALID);
	CHECK_TEXT(ctx.message, "the model has 86 coefficients of 5 fields, the rows 87 of 5");
	CHECK_STATUS(&ctx, pm_fm_fit(&ctx, &rows->rows, &other->rows, &options, &fm, NULL), PM_INVALID);
	CHECK_STATUS(&ctx, pm_fm_logits(&ctx, &other->rows, &fm, logits), PM_INVALID);
	CHECK(memcmp(&before, &fm, sizeof(fm)) == 0);
	pm_fm_release(&ctx, &fm);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	case_free(rows);
	case_free(other);
}

/* Weights that grow without bounds end the fit with advice. */
static void
diverging(void)
{
	CtrCase    *rows = mixed_rows(500);

	for (int i = 0; i < 1500; i++)
		rows->values[0][i] *= 1e18f;
	for (int weighted = 0; weighted <= 1; weighted++)
	{
		PmFmOptions options = fm_options(weighted, 4);
		PmContext	ctx;
		PmFm		fm;

		options.learning_rate = 1000;
		options.epochs = 20;
		fault_context(&ctx, device, 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_fm_init(&ctx, &rows->rows, &options, &fm), PM_OK);
		CHECK_STATUS(&ctx, pm_fm_fit(&ctx, &rows->rows, NULL, &options, &fm, NULL), PM_INVALID);
		CHECK(strstr(ctx.message, "lower the learning_rate") != NULL);
		pm_fm_release(&ctx, &fm);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	case_free(rows);
}

/* ---- faults ------------------------------------------------------------- */

/* Init, fit and logits, each if the one before went well. */
static PmStatus
whole_job(PmContext *ctx, const CtrCase *rows, const PmFmOptions *options)
{
	PmStatus	status;
	PmFm		fresh;
	PmFm		fm;
	float	   *logits = malloc((size_t) rows->rows.n * sizeof(float));
	PmCtrLog	log = {0};

	status = pm_fm_init(ctx, &rows->rows, options, &fresh);
	if (status == PM_OK)
	{
		fm = fresh;
		status = pm_fm_fit(ctx, &rows->rows, options->early_stopping ? &rows->rows : NULL,
						   options, &fm, &log);
		if (status == PM_OK)
		{
			status = pm_fm_logits(ctx, &rows->rows, &fm, logits);
			pm_fm_release(ctx, &fm);
		}
		pm_fm_release(ctx, &fresh);
	}
	pm_release(ctx, log.entries);
	free(logits);
	return status;
}

/* FM or FwFM, Adam or AdaGrad, and one with early stopping. */
#define KINDS 5

static PmFmOptions
job_options(int kind)
{
	PmFmOptions options = fm_options(kind % 2 == 1, 5);

	options.optimizer = kind / 2 == 1 ? PM_FM_ADAGRAD : PM_FM_ADAM;
	options.epochs = 2;
	options.early_stopping = kind == 4;
	return options;
}

/* Nothing is left, but of a ranking, which the arena's end gives back. */
static void
check_empty(const PmContext *ctx, const PmFmOptions *options)
{
	if (!options->early_stopping)
		CHECK_INT(pm_arena_used(ctx->arena), 0);
}

/* Cancelled at any look for interrupts, a job stops there and leaves nothing. */
static void
cancelled(void)
{
	CtrCase    *rows = mixed_rows(60000);

	for (int kind = 0; kind < KINDS; kind++)
	{
		PmFmOptions options = job_options(kind);
		long		checks = 1;

		for (long n = 0; n <= checks; n += n == 0 ? 1 : 1 + checks / 10)
		{
			FaultHost	host = {0, n};
			PmContext	ctx;

			fault_context(&ctx, device, 0, 2, &host);
			CHECK_STATUS(&ctx, whole_job(&ctx, rows, &options), n == 0 ? PM_OK : PM_CANCELLED);
			if (n == 0)
				checks = host.checks;
			else
				CHECK_INT(host.checks, n);
			check_empty(&ctx, &options);
			pm_arena_destroy(ctx.arena);
		}
		CHECK(checks > 5);
	}
	case_free(rows);
}

/* Under every limit below what it needs, a job says so and leaves nothing. */
static void
memory_is_limited(void)
{
	CtrCase    *rows = mixed_rows(800);

	for (int kind = 0; kind < KINDS; kind++)
	{
		PmFmOptions options = job_options(kind);
		PmStatus	status = PM_MEMORY_LIMIT;
		size_t		peak = 0;

		for (size_t limit = 64; status == PM_MEMORY_LIMIT && limit < (size_t) 1 << 32; limit += limit / 16)
		{
			PmContext	ctx;

			fault_context(&ctx, device, limit, 2, NULL);
			status = whole_job(&ctx, rows, &options);
			check_empty(&ctx, &options);
			peak = pm_arena_peak(ctx.arena);
			CHECK(peak <= limit);
			pm_arena_destroy(ctx.arena);
		}
		CHECK_INT(status, PM_OK);
		CHECK(peak > 10000);
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
		TEST(other_model);
		TEST(diverging);
		TEST(cancelled);
		TEST(memory_is_limited);
	}
	return test_report();
}
