/*
 * als.c
 *		Alternating least squares: options, what each kind of feedback means,
 *		iterations, fold-in.
 */
#include "als.h"

#include "pm_parallel.h"
#include "pm_rng.h"

#include <math.h>
#include <string.h>

/* Items that one task starts, and nanoseconds of a random number. */
#define STARTED 256
#define RANDOM_TIME 3.0

const PmAlsOptions pm_als_default_options = {
	.feedback = PM_ALS_IMPLICIT,
	.solver = PM_ALS_AUTO,
	.factors = 64,
	.iterations = 16,
	.regularization = 0.003,
	.nu = 1,
	.unobserved_weight = 0.1,
	.alpha = 1,
	.biases = true,
	.init_scale = 0.1,
	.cg_steps = 3,
	.block_size = 64
};

/* How the objective's three forms become one: see als.h. */
AlsTerms
pm_als_terms(const PmAlsOptions *options, double mean)
{
	switch (options->feedback)
	{
		case PM_ALS_IMPLICIT:
			return (AlsTerms) {
				.a1 = 1,.b1 = 1,.unseen = options->unobserved_weight
			};
		case PM_ALS_CONFIDENCE:
			return (AlsTerms) {
				.a1 = (float) options->alpha,.b0 = 1,.b1 = (float) options->alpha,.unseen = 1
			};
		default:
			return (AlsTerms) {
				.a0 = 1,.b0 = (float) -mean,.b1 = 1
			};
	}
}

double
pm_als_lambda(const AlsSide *side, int64_t count)
{
	const PmAlsOptions *options = side->options;

	if (options->nu == 0)
		return options->regularization;
	return options->regularization *
		pow((double) count + side->terms.unseen * side->columns, options->nu);
}

/* A number from 0 on, or not acceptable. */
static PmStatus
check_number(PmContext *ctx, const char *name, double value)
{
	if (!(value >= 0 && value <= 1e30))
		return pm_fail(ctx, PM_INVALID, "%s = %g is not a number from 0 on", name, value);
	return PM_OK;
}

static PmStatus
check_count(PmContext *ctx, const char *name, int value, int most)
{
	if (value < 1 || value > most)
		return pm_fail(ctx, PM_INVALID, "%s = %d is not from 1 to %d", name, value, most);
	return PM_OK;
}

PmStatus
pm_als_check_options(PmContext *ctx, const PmAlsOptions *options)
{
	PM_TRY(check_count(ctx, "factors", options->factors, PM_ALS_MAX_FACTORS));
	PM_TRY(check_count(ctx, "iterations", options->iterations, PM_ALS_MAX_ITERATIONS));
	PM_TRY(check_count(ctx, "cg_steps", options->cg_steps, PM_ALS_MAX_FACTORS));
	PM_TRY(check_count(ctx, "block_size", options->block_size, PM_ALS_MAX_FACTORS));
	PM_TRY(check_number(ctx, "tolerance", options->tolerance));
	PM_TRY(check_number(ctx, "regularization", options->regularization));
	PM_TRY(check_number(ctx, "unobserved_weight", options->unobserved_weight));
	PM_TRY(check_number(ctx, "alpha", options->alpha));
	PM_TRY(check_number(ctx, "nu", options->nu));
	PM_TRY(check_number(ctx, "init_scale", options->init_scale));
	if (options->nu > 2)
		return pm_fail(ctx, PM_INVALID, "nu = %g is above 2", options->nu);
	if (options->init_scale == 0)
		return pm_fail(ctx, PM_INVALID, "init_scale = 0 would leave all factors 0");
	return PM_OK;
}

/*
 * Vectors of a random direction whose length is about init_scale: they depend
 * on the seed, the item and the factor alone.
 */
static void
start_items(int64_t index, int lane, void *argument)
{
	const PmAls *als = argument;
	int64_t		first = index * STARTED;
	int64_t		end = als->items - first < STARTED ? als->items : first + STARTED;
	double		scale = als->options.init_scale * sqrt(3.0 / als->options.factors);
	PmRng		rng;

	(void) lane;
	pm_rng_seed(&rng, als->options.seed, (uint64_t) index);
	for (int64_t i = first * als->options.factors; i < end * als->options.factors; i++)
		als->item_factors[i] = (float) (scale * (2 * pm_rng_uniform(&rng) - 1));
}

/* Arrays of a model whose options and sizes are set; users start at 0. */
static PmStatus
allocate(PmContext *ctx, PmAls *als)
{
	size_t		factors = (size_t) als->options.factors;

	PM_TRY(pm_alloc_zero(ctx, "factors of users", (size_t) als->users * factors, sizeof(float),
						 &als->user_factors));
	PM_TRY(pm_alloc(ctx, "factors of items", (size_t) als->items * factors, sizeof(float),
					&als->item_factors));
	if (als->options.feedback == PM_ALS_EXPLICIT && als->options.biases)
	{
		PM_TRY(pm_alloc_zero(ctx, "biases of users", (size_t) als->users, sizeof(float),
							 &als->user_bias));
		PM_TRY(pm_alloc_zero(ctx, "biases of items", (size_t) als->items, sizeof(float),
							 &als->item_bias));
	}
	return PM_OK;
}

/* Users, then items. */
static PmStatus
iterate(PmContext *ctx, const PmCsr *by_user, const PmCsr *by_item, PmAls *als)
{
	AlsSide		side;

	pm_als_side_init(&side, &als->options, als->mean, als->items, als->item_factors,
					 als->item_bias);
	PM_TRY(pm_als_half(ctx, &side, by_user, als->user_factors, als->user_bias));
	pm_als_side_init(&side, &als->options, als->mean, als->users, als->user_factors,
					 als->user_bias);
	return pm_als_half(ctx, &side, by_item, als->item_factors, als->item_bias);
}

/* All iterations, into a log. */
static PmStatus
train(PmContext *ctx, const PmCsr *by_user, const PmCsr *by_item,
	  const PmAlsWatch *watch, PmAlsLog *log, PmAls *als)
{
	double		before = INFINITY;
	bool		stop = false;

	while (!stop && !log->converged && log->iterations < als->options.iterations)
	{
		double		loss = NAN;

		PM_TRY(iterate(ctx, by_user, by_item, als));
		if (als->options.loss || als->options.tolerance > 0)
		{
			PM_TRY(pm_als_loss(ctx, by_user, by_item, als, &loss));
			if (log->loss != NULL)
				log->loss[log->iterations] = loss;
			log->converged = before - loss < als->options.tolerance * before &&
				als->options.tolerance > 0 && isfinite(before);
			before = loss;
		}
		log->iterations++;
		pm_progress(ctx, "alternating least squares",
					(double) log->iterations / als->options.iterations);
		if (watch != NULL)
			PM_TRY(watch->look(ctx, watch->argument, log->iterations, loss, als, &stop));
	}
	return pm_als_prepare(ctx, als);
}

/* The same from the start, with log arrays of its own. */
static PmStatus
fit(PmContext *ctx, const PmCsr *by_user, const PmCsr *by_item,
	const PmAlsWatch *watch, PmAlsLog *log, PmAls *als)
{
	PM_TRY(pm_als_check_options(ctx, &als->options));
	PM_TRY(pm_als_check_data(ctx, by_user, by_item, &als->options, &als->mean));
	if (als->options.loss || als->options.tolerance > 0)
		PM_TRY(pm_alloc(ctx, "the log", (size_t) als->options.iterations, sizeof(double),
						&log->loss));
	PM_TRY(allocate(ctx, als));
	PM_TRY(pm_parallel(ctx, "alternating least squares",
					   ((int64_t) als->items + STARTED - 1) / STARTED,
					   RANDOM_TIME * STARTED * als->options.factors, start_items, als));
	return train(ctx, by_user, by_item, watch, log, als);
}

PmStatus
pm_als_fit(PmContext *ctx, const PmCsr *by_user, const PmCsr *by_item,
		   const PmAlsOptions *options, const PmAlsWatch *watch,
		   PmAlsLog *log, PmAls *als)
{
	PmAlsLog	own = {0};
	PmStatus	status;

	memset(als, 0, sizeof(*als));
	als->options = *options;
	als->users = by_user->rows;
	als->items = by_user->columns;
	status = fit(ctx, by_user, by_item, watch, &own, als);
	if (status != PM_OK)
		pm_als_release(ctx, als);
	if (status != PM_OK || log == NULL)
		pm_als_log_release(ctx, &own);
	if (log != NULL)
		*log = own;
	return status;
}

void
pm_als_release(PmContext *ctx, PmAls *als)
{
	pm_release(ctx, als->user_factors);
	pm_release(ctx, als->item_factors);
	pm_release(ctx, als->user_bias);
	pm_release(ctx, als->item_bias);
	pm_release(ctx, als->gramian);
	memset(als, 0, sizeof(*als));
}

void
pm_als_log_release(PmContext *ctx, PmAlsLog *log)
{
	pm_release(ctx, log->loss);
	memset(log, 0, sizeof(*log));
}

float
pm_als_score(const PmAls *als, int32_t user, int32_t item)
{
	const float *x = als->user_factors + (int64_t) user * als->options.factors;
	const float *y = als->item_factors + (int64_t) item * als->options.factors;
	double		score = als->mean;

	if (als->user_bias != NULL)
		score += (double) als->user_bias[user] + als->item_bias[item];
	for (int j = 0; j < als->options.factors; j++)
		score += (double) x[j] * y[j];
	return (float) score;
}
