/*
 * test_als.c
 *		Alternating least squares against dense systems in doubles, with each
 *		objective and solver.
 */
#include "test.h"

#include "als_cases.h"
#include "fault_device.h"
#include "kmeans_cases.h"
#include "pm_rng.h"

#include <stdlib.h>

static PmDevice devices[2];
static PmDevice *device;

static const PmAlsFeedback feedbacks[] = {PM_ALS_IMPLICIT, PM_ALS_CONFIDENCE, PM_ALS_EXPLICIT};

/* Random numbers of either sign. */
static float *
random_floats(size_t count, double scale, uint64_t seed)
{
	float	   *numbers = malloc((count + 1) * sizeof(float));
	PmRng		rng;

	pm_rng_seed(&rng, seed, 2);
	for (size_t i = 0; i < count; i++)
		numbers[i] = (float) (scale * (2 * pm_rng_uniform(&rng) - 1));
	return numbers;
}

/* Rows are, to a part of their lengths, what doubles give. */
static void
check_rows(const char *what, int32_t rows, int factors, const float *vectors,
		   const float *biases, const double *expected, double tolerance)
{
	for (int32_t row = 0; row < rows; row++)
	{
		const double *right = expected + (size_t) row * (factors + 1);
		double		miss = 0;
		double		length = 0;

		for (int j = 0; j <= factors; j++)
		{
			double		value = j < factors ? vectors[(size_t) row * factors + j] :
				biases == NULL ? 0 : biases[row];

			miss += pow(value - right[j], 2);
			length += pow(right[j], 2);
		}
		CHECK_CASE(sqrt(miss) <= tolerance * sqrt(length) + 1e-30, "%s, row %d: off by %g of %g",
				   what, (int) row, sqrt(miss), sqrt(length));
	}
}

/* Half an iteration from random vectors, by a solver that is exact. */
static void
check_half(const PmAlsOptions *options, const PmCsr *matrix, double tolerance)
{
	int			d = options->factors;
	bool		biased = options->feedback == PM_ALS_EXPLICIT && options->biases;
	double		mean = options->feedback == PM_ALS_EXPLICIT ? 2.9 : 0;
	float	   *others = random_floats((size_t) matrix->columns * d, 0.6, 11);
	float	   *other_biases = biased ? random_floats((size_t) matrix->columns, 0.5, 12) : NULL;
	float	   *vectors = random_floats((size_t) matrix->rows * d, 0.6, 13);
	float	   *biases = biased ? random_floats((size_t) matrix->rows, 0.5, 14) : NULL;
	double	   *expected = malloc((size_t) matrix->rows * (d + 1) * sizeof(double));
	char		what[100];
	PmContext	ctx;
	AlsSide		side;

	snprintf(what, sizeof(what), "feedback %d, solver %d, %d factors", options->feedback,
			 options->solver, d);
	fault_context(&ctx, device, 0, 2, NULL);
	pm_als_side_init(&side, options, mean, matrix->columns, others, other_biases);
	CHECK_STATUS(&ctx, pm_als_half(&ctx, &side, matrix, vectors, biases), PM_OK);
	als_naive_half(options, matrix, mean, others, other_biases, expected);
	check_rows(what, matrix->rows, d, vectors, biases, expected, tolerance);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	free(others);
	free(other_biases);
	free(vectors);
	free(biases);
	free(expected);
}

static void
half_iterations(void)
{
	/* 100 factors of 45 columns: what is left is the conditioning of floats */
	static const int factors[] = {1, 2, 7, 8, 13, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100};

	for (size_t f = 0; f < sizeof(factors) / sizeof(factors[0]); f++)
		for (int feedback = 0; feedback < 3; feedback++)
		{
			PmAlsOptions options = als_options(feedbacks[feedback], factors[f]);
			AlsCase    *rows = als_case_random(60, 45, 0.3, feedback == 2, true, f);

			check_half(&options, &rows->by_user, 6e-5);
			check_half(&options, &rows->by_item, 6e-5);
			options.biases = false;
			check_half(&options, &rows->by_user, 6e-5);
			als_case_free(rows);
		}
}

/* Conjugate gradients to the end, and a block of all there is, are exact. */
static void
exact_iterations(void)
{
	for (int feedback = 0; feedback < 3; feedback++)
		for (int factors = 5; factors < 80; factors += 24)
		{
			PmAlsOptions options = als_options(feedbacks[feedback], factors);
			AlsCase    *rows = als_case_random(60, 45, 0.3, feedback == 2, true, 3);

			options.solver = PM_ALS_CG;
			options.cg_steps = 200;
			check_half(&options, &rows->by_user, 1e-4);
			options.solver = PM_ALS_BLOCKS;
			options.block_size = 100;
			check_half(&options, &rows->by_item, 1e-4);
			als_case_free(rows);
		}
}

/* Rows so long that they are packed in parts, and summed by all threads. */
static void
long_rows(void)
{
	AlsCase    *rows = als_case_random(250000, 3, 0.9, false, false, 4);
	PmAlsOptions options = als_options(PM_ALS_IMPLICIT, 13);
	AlsSide		side;

	pm_als_side_init(&side, &options, 0, rows->by_item.columns, NULL, NULL);
	CHECK(pm_als_is_long(&side, rows->by_item.offsets[1]));
	check_half(&options, &rows->by_item, 1e-4);
	als_case_free(rows);
	rows = als_case_random(9000, 3, 0.9, true, false, 4);
	for (int solver = PM_ALS_CHOLESKY; solver <= PM_ALS_BLOCKS; solver++)
	{
		options = als_options(PM_ALS_EXPLICIT, 40);
		options.solver = solver;
		options.cg_steps = 200;
		options.block_size = 64;
		check_half(&options, &rows->by_item, 2e-4);
	}
	als_case_free(rows);
}

/* The log is the objective over every pair, and each iteration lowers it. */
static void
objective(void)
{
	for (int feedback = 0; feedback < 3; feedback++)
		for (int solver = PM_ALS_AUTO; solver <= PM_ALS_BLOCKS; solver++)
		{
			AlsCase    *rows = als_case_random(70, 50, 0.2, feedback == 2, true, 8);
			PmAlsOptions options = als_options(feedbacks[feedback], 45);
			PmContext	ctx;
			PmAlsLog	log;
			PmAls		als;

			options.solver = solver;
			options.iterations = 8;
			options.block_size = 32;
			fault_context(&ctx, device, 0, 2, NULL);
			CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL,
										  &log, &als), PM_OK);
			CHECK_INT(log.iterations, 8);
			CHECK_CLOSE(log.loss[7], als_naive_loss(&rows->by_user, &als), 1e-6, 0);
			for (int i = 1; i < 8; i++)
				CHECK_CASE(log.loss[i] < log.loss[i - 1], "feedback %d, solver %d, iteration %d",
						   feedback, solver, i);
			pm_als_log_release(&ctx, &log);
			pm_als_release(&ctx, &als);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
			als_case_free(rows);
		}
}

/* Folding in a user gives what half an iteration gives. */
static void
fold_in(void)
{
	for (int feedback = 0; feedback < 3; feedback++)
	{
		AlsCase    *rows = als_case_random(40, 30, 0.4, feedback == 2, true, 9);
		PmAlsOptions options = als_options(feedbacks[feedback], 13);
		double		expected[40 * 14];
		float		factors[40 * 13];
		float		biases[40];
		PmContext	ctx;
		PmAls		als;

		fault_context(&ctx, device, 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL, NULL,
									  &als), PM_OK);
		als_naive_half(&options, &rows->by_user, als.mean, als.item_factors, als.item_bias,
					   expected);
		for (int32_t user = 0; user < 40; user++)
		{
			int64_t		first = rows->by_user.offsets[user];

			CHECK_STATUS(&ctx, pm_als_fold_in(&ctx, &als, rows->by_user.offsets[user + 1] - first,
											  rows->by_user.indices + first,
											  rows->by_user.values + first, factors + user * 13,
											  biases + user), PM_OK);
		}
		check_rows("fold-in", 40, 13, factors, biases, expected, 2e-5);
		pm_als_release(&ctx, &als);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
		als_case_free(rows);
	}
}

/* Any number of threads, the same bytes. */
static void
threads(void)
{
	for (int solver = PM_ALS_CHOLESKY; solver <= PM_ALS_BLOCKS; solver++)
	{
		AlsCase    *rows = als_case_random(4000, 300, 0.1, true, true, 10);
		PmAlsOptions options = als_options(solver == PM_ALS_CG ? PM_ALS_EXPLICIT : PM_ALS_IMPLICIT, 40);
		PmContext	ctx;
		PmAls		als[3];

		options.solver = solver;
		fault_context(&ctx, device, 0, 1, NULL);
		for (int i = 0; i < 3; i++)
		{
			ctx.threads = i + 1;
			CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL,
										  NULL, &als[i]), PM_OK);
			CHECK(memcmp(als[i].user_factors, als[0].user_factors, 4000 * 40 * sizeof(float)) == 0);
			CHECK(memcmp(als[i].item_factors, als[0].item_factors, 300 * 40 * sizeof(float)) == 0);
			CHECK(memcmp(als[i].gramian, als[0].gramian, 40 * 40 * sizeof(float)) == 0);
		}
		pm_arena_destroy(ctx.arena);
		als_case_free(rows);
	}
}

/* Root mean square of what a model says of all pairs, against the truth. */
static double
error_of(const PmAls *als, const double *truth)
{
	double		sum = 0;

	for (int32_t user = 0; user < als->users; user++)
		for (int32_t item = 0; item < als->items; item++)
			sum += pow(als_naive_score(als, user, item) - truth[user * als->items + item], 2);
	return sqrt(sum / ((double) als->users * als->items));
}

/* The same iterations in doubles, from where the fit starts. */
static double
naive_fit(const AlsCase *rows, const PmAlsOptions *options, const PmAls *als,
		  const double *truth)
{
	int			d = options->factors;
	PmAls		naive = *als;
	double	   *out = malloc((size_t) (als->users + als->items) * (d + 1) * sizeof(double));
	double		error;

	naive.user_factors = calloc((size_t) als->users * d, sizeof(float));
	naive.item_factors = random_floats((size_t) als->items * d, 0.3, 77);
	naive.user_bias = calloc((size_t) als->users, sizeof(float));
	naive.item_bias = calloc((size_t) als->items, sizeof(float));
	for (int i = 0; i < 2 * options->iterations; i++)
	{
		bool		users = i % 2 == 0;
		const PmCsr *matrix = users ? &rows->by_user : &rows->by_item;
		float	   *to = users ? naive.user_factors : naive.item_factors;
		float	   *bias = users ? naive.user_bias : naive.item_bias;

		als_naive_half(options, matrix, naive.mean,
					   users ? naive.item_factors : naive.user_factors,
					   users ? naive.item_bias : naive.user_bias, out);
		for (int32_t row = 0; row < matrix->rows; row++)
		{
			for (int j = 0; j < d; j++)
				to[row * d + j] = (float) out[row * (d + 1) + j];
			bias[row] = (float) out[row * (d + 1) + d];
		}
	}
	error = error_of(&naive, truth);
	free(naive.user_factors);
	free(naive.item_factors);
	free(naive.user_bias);
	free(naive.item_bias);
	free(out);
	return error;
}

/* Ratings of low rank with noise: all pairs are told as well as by doubles. */
static void
planted(void)
{
	enum {USERS = 150, ITEMS = 100, RANK = 4};
	double	   *truth = malloc(USERS * ITEMS * sizeof(double));
	double	   *seen = malloc(USERS * ITEMS * sizeof(double));
	float	   *x = random_floats(USERS * (RANK + 1), 1, 21);
	float	   *y = random_floats(ITEMS * (RANK + 1), 1, 22);
	PmAlsOptions options = als_options(PM_ALS_EXPLICIT, RANK);
	AlsCase    *rows;
	PmContext	ctx;
	PmRng		rng;
	PmAls		als;
	double		expected;
	double		error;

	pm_rng_seed(&rng, 23, 0);
	for (int i = 0; i < USERS * ITEMS; i++)
	{
		const float *u = x + i / ITEMS * (RANK + 1);
		const float *v = y + i % ITEMS * (RANK + 1);

		truth[i] = 3 + u[RANK] + v[RANK];
		for (int j = 0; j < RANK; j++)
			truth[i] += u[j] * v[j];
		seen[i] = pm_rng_uniform(&rng) < 0.4 ? truth[i] + 0.2 * (pm_rng_uniform(&rng) - 0.5) : NAN;
	}
	rows = als_case_dense(USERS, ITEMS, seen);
	options.regularization = 0.05;
	options.nu = 0;
	options.iterations = 30;
	options.loss = false;
	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_als_fit(&ctx, &rows->by_user, &rows->by_item, &options, NULL, NULL,
								  &als), PM_OK);
	error = error_of(&als, truth);
	expected = naive_fit(rows, &options, &als, truth);
	CHECK_CASE(error <= 1.01 * expected, "%g against %g", error, expected);
	CHECK_CASE(error < 0.05, "%g", error);
	CHECK_CLOSE(pm_als_score(&als, 3, 4), als_naive_score(&als, 3, 4), 1e-6, 0);
	pm_arena_destroy(ctx.arena);
	als_case_free(rows);
	free(truth);
	free(seen);
	free(x);
	free(y);
}

int
main(void)
{
	int			count = test_devices(devices, 2);

	device = NULL;
	for (int i = 0; i <= count; i++)
	{
		TEST(half_iterations);
		TEST(exact_iterations);
		TEST(long_rows);
		TEST(objective);
		TEST(fold_in);
		TEST(threads);
		TEST(planted);
		device = &devices[i];
	}
	return test_report();
}
