/*
 * test_als_faults.c
 *		Alternating least squares with bad input, on the edges of what it
 *		takes, with a host that cancels and with little memory.
 */
#include "test.h"

#include "als_cases.h"
#include "fault_device.h"
#include "kmeans_cases.h"

#include <stdlib.h>

static PmDevice devices[2];
static PmDevice *device;

/* A fit is refused with this message, and leaves nothing. */
static void
refused(const AlsCase *rows, const PmAlsOptions *options, const char *message)
{
	PmContext	ctx;
	PmAlsLog	log;
	PmAls		als;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, options, NULL, &log,
								  &als), PM_INVALID);
	CHECK_TEXT(ctx.message, message);
	CHECK(als.user_factors == NULL && log.loss == NULL);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

static void
bad_options(void)
{
	AlsCase    *rows = als_case_random(20, 10, 0.5, false, false, 1);
	PmAlsOptions good = als_options(PM_ALS_IMPLICIT, 4);
	PmAlsOptions options = good;

	options.factors = 0;
	refused(rows, &options, "factors = 0 is not from 1 to 1024");
	options.factors = 1025;
	refused(rows, &options, "factors = 1025 is not from 1 to 1024");
	options = good;
	options.iterations = 0;
	refused(rows, &options, "iterations = 0 is not from 1 to 10000");
	options = good;
	options.regularization = -1;
	refused(rows, &options, "regularization = -1 is not a number from 0 on");
	options.regularization = NAN;
	refused(rows, &options, "regularization = nan is not a number from 0 on");
	options = good;
	options.unobserved_weight = -0.1;
	refused(rows, &options, "unobserved_weight = -0.1 is not a number from 0 on");
	options = good;
	options.alpha = INFINITY;
	refused(rows, &options, "alpha = inf is not a number from 0 on");
	options = good;
	options.nu = 2.5;
	refused(rows, &options, "nu = 2.5 is above 2");
	options = good;
	options.init_scale = 0;
	refused(rows, &options, "init_scale = 0 would leave all factors 0");
	options = good;
	options.tolerance = -1;
	refused(rows, &options, "tolerance = -1 is not a number from 0 on");
	options = good;
	options.cg_steps = 0;
	refused(rows, &options, "cg_steps = 0 is not from 1 to 1024");
	options = good;
	options.block_size = 0;
	refused(rows, &options, "block_size = 0 is not from 1 to 1024");
	als_case_free(rows);
}

static void
bad_values(void)
{
	AlsCase    *rows = als_case_random(20, 10, 0.5, false, false, 1);
	AlsCase    *none = als_case_random(20, 10, 0, false, false, 1);
	AlsCase    *other = als_case_random(20, 10, 0.5, false, false, 2);
	AlsCase		mixed = *rows;
	PmAlsOptions options = als_options(PM_ALS_IMPLICIT, 4);
	int64_t		at = rows->by_user.offsets[7];
	char		message[100];

	refused(none, &options, "there is no interaction to learn from");
	mixed.by_item = other->by_item;
	refused(&mixed, &options, "the matrix and its transpose do not fit");
	rows->by_user.values[at] = -1;
	snprintf(message, sizeof(message), "user 7 and item %d have the value -1, which is not a number from 0 on",
			 (int) rows->by_user.indices[at]);
	refused(rows, &options, message);
	options.feedback = PM_ALS_EXPLICIT;
	rows->by_user.values[at] = INFINITY;
	snprintf(message, sizeof(message), "user 7 and item %d have the value inf, which is not a finite number",
			 (int) rows->by_user.indices[at]);
	refused(rows, &options, message);
	rows->by_user.values[at] = 1;
	options.feedback = PM_ALS_CONFIDENCE;
	for (int64_t i = 0; i < pm_csr_count(&rows->by_user); i++)
		rows->by_user.values[i] = 3e38f;
	refused(rows, &options,
			"the factors are not finite: raise the regularization or scale the weights down");
	als_case_free(rows);
	als_case_free(none);
	als_case_free(other);
}

/* All that a fit gives is finite; of nothing comes nothing. */
static void
fits(const AlsCase *rows, const PmAlsOptions *options)
{
	PmContext	ctx;
	PmAlsLog	log;
	PmAls		als;
	float		sum = 0;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, options, NULL, &log,
								  &als), PM_OK);
	for (int32_t user = 0; user < als.users; user++)
		for (int j = 0; j < options->factors; j++)
		{
			float		x = als.user_factors[(size_t) user * options->factors + j];

			sum += 0 * x;
			if (rows->by_user.offsets[user] == rows->by_user.offsets[user + 1])
				CHECK(x == 0);
		}
	for (int32_t item = 0; item < als.items; item++)
		for (int j = 0; j < options->factors; j++)
		{
			float		y = als.item_factors[(size_t) item * options->factors + j];

			sum += 0 * y;
			if (rows->by_item.offsets[item] == rows->by_item.offsets[item + 1])
				CHECK(y == 0);
		}
	CHECK(sum == 0);
	CHECK(isfinite(log.loss[log.iterations - 1]));
	pm_als_log_release(&ctx, &log);
	pm_als_release(&ctx, &als);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

/* One user, one item, more factors than either, no penalty, weights of 0. */
static void
edges(void)
{
	static const int32_t sizes[][2] = {{1, 1}, {1, 30}, {30, 1}, {12, 9}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int feedback = 0; feedback < 3; feedback++)
			for (int solver = PM_ALS_CHOLESKY; solver <= PM_ALS_BLOCKS; solver++)
			{
				AlsCase    *rows = als_case_random(sizes[s][0], sizes[s][1], 1, feedback == 2, s == 3, 1);
				PmAlsOptions options = als_options(feedback, 13);

				options.solver = solver;
				fits(rows, &options);
				options.factors = 50;
				options.block_size = 32;
				fits(rows, &options);
				options.regularization = 0;
				fits(rows, &options);
				options.unobserved_weight = 0;
				options.alpha = 0;
				fits(rows, &options);
				rows->by_user.values[0] = rows->by_item.values[0] = 0;
				fits(rows, &options);
				als_case_free(rows);
			}
}

static void
bad_fold_in(void)
{
	AlsCase    *rows = als_case_random(20, 10, 0.5, false, false, 1);
	PmAlsOptions options = als_options(PM_ALS_IMPLICIT, 4);
	int32_t		items[2] = {3, 10};
	float		values[2] = {1, 1};
	float		factors[4];
	float		bias = 7;
	PmContext	ctx;
	PmAls		als;

	fault_context(&ctx, device, 0, 1, NULL);
	CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL, NULL, &als),
				 PM_OK);
	CHECK_STATUS(&ctx, pm_als_fold_in(&ctx, &als, 2, items, values, factors, &bias), PM_INVALID);
	CHECK_TEXT(ctx.message, "item 10 is not one of the model's 10");
	items[1] = -1;
	CHECK_STATUS(&ctx, pm_als_fold_in(&ctx, &als, 2, items, values, factors, NULL), PM_INVALID);
	items[1] = 9;
	values[1] = NAN;
	CHECK_STATUS(&ctx, pm_als_fold_in(&ctx, &als, 2, items, values, factors, NULL), PM_INVALID);
	CHECK_TEXT(ctx.message, "item 9 has the value nan, which is not a number from 0 on");
	values[1] = 1;
	pm_release(&ctx, als.gramian);
	als.gramian = NULL;
	CHECK_STATUS(&ctx, pm_als_fold_in(&ctx, &als, 2, items, values, factors, NULL), PM_INVALID);
	CHECK_TEXT(ctx.message, "the model is not prepared for users it does not hold");
	CHECK_STATUS(&ctx, pm_als_prepare(&ctx, &als), PM_OK);
	CHECK_STATUS(&ctx, pm_als_fold_in(&ctx, &als, 2, items, values, factors, NULL), PM_OK);
	CHECK_STATUS(&ctx, pm_als_fold_in(&ctx, &als, 0, NULL, NULL, factors, &bias), PM_OK);
	CHECK(bias == 0 && factors[0] == 0 && factors[3] == 0);
	pm_als_release(&ctx, &als);
	pm_arena_destroy(ctx.arena);
	als_case_free(rows);
}

/* Watchers see each iteration, and may end the training or fail. */
static PmStatus
look(PmContext *ctx, void *argument, int iteration, double loss,
	 const PmAls *als, bool *stop)
{
	int		   *seen = argument;

	CHECK_INT(iteration, *seen + 1);
	CHECK(isfinite(loss) && als->user_factors != NULL);
	*seen = iteration;
	*stop = iteration == 4;
	return iteration == 3 && als->options.seed == 9 ?
		pm_fail(ctx, PM_CORRUPT, "as was wanted") : PM_OK;
}

static void
watched(void)
{
	AlsCase    *rows = als_case_random(20, 10, 0.5, false, false, 1);
	PmAlsOptions options = als_options(PM_ALS_IMPLICIT, 4);
	int			seen = 0;
	PmAlsWatch	watch = {look, &seen};
	PmContext	ctx;
	PmAlsLog	log;
	PmAls		als;

	fault_context(&ctx, device, 0, 1, NULL);
	options.iterations = 50;
	CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, &watch, &log,
								  &als), PM_OK);
	CHECK_INT(log.iterations, 4);
	CHECK(!log.converged);
	pm_als_log_release(&ctx, &log);
	pm_als_release(&ctx, &als);
	seen = 0;
	options.seed = 9;
	CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, &watch, &log,
								  &als), PM_CORRUPT);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	options.tolerance = 0.01;
	CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL, &log,
								  &als), PM_OK);
	CHECK(log.converged && log.iterations < 50 && log.iterations > 1);
	pm_arena_destroy(ctx.arena);
	als_case_free(rows);
}

/* An allocator whose allocation number `left` fails. */
static void *
failing_allocate(void *source, size_t bytes)
{
	long	   *left = source;

	return (*left)-- == 0 ? NULL : malloc(bytes);
}

static void *
failing_resize(void *source, void *block, size_t bytes)
{
	(void) source;
	return realloc(block, bytes);
}

static void
failing_release(void *source, void *block)
{
	(void) source;
	free(block);
}

/* Each allocation of a fit, a fold-in and its objective is refused in turn. */
static void
no_memory(void)
{
	AlsCase    *rows = als_case_random(30, 20, 0.3, false, false, 1);
	PmAlsOptions options = als_options(PM_ALS_IMPLICIT, 20);
	PmStatus	status = PM_NO_MEMORY;
	int			failures = 0;

	options.iterations = 1;
	for (long at = 1; status != PM_OK && at < 1000; at++)
	{
		long		left = at;
		PmAllocator allocator = {failing_allocate, failing_resize, failing_release, &left};
		float		factors[20];
		PmContext	ctx;
		PmAls		als;

		fault_context(&ctx, device, 0, 2, NULL);
		pm_arena_destroy(ctx.arena);
		ctx.arena = pm_arena_create(&allocator, 0);
		if (ctx.arena == NULL)
			continue;
		status = pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL, NULL, &als);
		if (status == PM_OK)
		{
			status = pm_als_fold_in(&ctx, &als, 5, rows->by_user.indices, rows->by_user.values,
									factors, NULL);
			pm_als_release(&ctx, &als);
		}
		CHECK(status == PM_NO_MEMORY || status == PM_OK);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		failures += status != PM_OK;
		pm_arena_destroy(ctx.arena);
	}
	CHECK_INT(status, PM_OK);
	CHECK_CASE(failures > 20, "%d", failures);
	als_case_free(rows);
}

/* Stop at every check in turn, then at every size of memory. */
static void
cancelled_and_out_of_memory(void)
{
	AlsCase    *rows = als_case_random(300, 60, 0.3, true, true, 1);
	PmAlsOptions options = als_options(PM_ALS_EXPLICIT, 20);
	PmStatus	status = PM_CANCELLED;
	PmContext	ctx;
	PmAls		als;
	long		at = 1;

	options.iterations = 2;
	for (; status != PM_OK && at < 1000; at++)
	{
		FaultHost	host = {0, at};

		fault_context(&ctx, device, 0, 2, &host);
		status = pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL, NULL, &als);
		CHECK(status == PM_CANCELLED || (status == PM_OK && at > 8));
		if (status == PM_CANCELLED)
			CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	CHECK_INT(status, PM_OK);
	options.feedback = PM_ALS_IMPLICIT;
	status = PM_MEMORY_LIMIT;
	for (size_t limit = 1; status != PM_OK && limit < 4 << 20; limit += limit < 50000 ? 500 : 10000)
	{
		fault_context(&ctx, device, limit, 2, NULL);
		status = pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL, NULL, &als);
		CHECK(status == PM_MEMORY_LIMIT || (status == PM_OK && limit > 50000));
		if (status != PM_OK)
			CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	CHECK_INT(status, PM_OK);
	als_case_free(rows);
}

int
main(void)
{
	int			count = test_devices(devices, 2);

	device = NULL;
	for (int i = 0; i <= count; i++)
	{
		TEST(bad_options);
		TEST(bad_values);
		TEST(edges);
		TEST(bad_fold_in);
		TEST(watched);
		TEST(no_memory);
		TEST(cancelled_and_out_of_memory);
		device = &devices[i];
	}
	return test_report();
}
