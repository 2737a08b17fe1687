/*
 * test_slim.c
 *		SLIM against scikit-learn, a plain solver, and with every fault.
 */
#include "pm_slim.h"

#include <stdlib.h>

#include "golden/slim.h"
#include "recommend_cases.h"
#include "test.h"

static PmDevice *device;

/* The interactions of golden/make_slim.py. */
enum
{
	GOLDEN_USERS = 80,
	GOLDEN_ITEMS = 15
};

static uint64_t golden_state;

static int
golden_below(int bound)
{
	golden_state ^= golden_state << 13;
	golden_state ^= golden_state >> 7;
	golden_state ^= golden_state << 17;
	return (int) ((golden_state >> 33) % (uint64_t) bound);
}

static PmCsr
golden_interactions(void)
{
	PmCsr		matrix = interactions_random(GOLDEN_USERS, GOLDEN_ITEMS, 0, false, 0);
	int64_t		count = 0;

	golden_state = UINT64_C(0x9E3779B97F4A7C15);
	for (int user = 0; user < GOLDEN_USERS; user++)
	{
		for (int item = 0; item < GOLDEN_ITEMS; item++)
			if (golden_below(10) < (item % 3 == user % 3 ? 5 : 2))
			{
				matrix.indices[count] = item;
				matrix.values[count++] = (float) (1 + golden_below(3));
			}
		matrix.offsets[user + 1] = count;
	}
	return matrix;
}

static PmSlimOptions
exact_options(double l1, double l2, bool nonnegative)
{
	PmSlimOptions options = pm_slim_defaults;

	options.l1 = l1;
	options.l2 = l2;
	options.nonnegative = nonnegative;
	options.max_sweeps = 100000;
	options.tolerance = 1e-10;
	return options;
}

/* Weights as expected, dense, of which zeros are not kept. */
static void
check_weights(const PmCsr *weights, const double *expected, double absolute)
{
	int32_t		n = weights->rows;

	for (int32_t i = 0; i < n; i++)
	{
		int64_t		at = weights->offsets[i];

		for (int32_t j = 0; j < n; j++)
		{
			double		got = 0;

			if (at < weights->offsets[i + 1] && weights->indices[at] == j)
			{
				got = weights->values[at++];
				CHECK(got != 0);
			}
			CHECK_CLOSE(got, expected[(size_t) i * n + j], 1e-6, absolute);
		}
		CHECK_INT(at, weights->offsets[i + 1]);
	}
}

static void
like_scikit_learn(void)
{
	static const struct
	{
		double		l1;
		double		l2;
		bool		nonnegative;
		const double *expected;
	}			cases[] = {
		{8, 5, true, golden_strong}, {0.5, 1, true, golden_weak}, {1, 3, false, golden_signed}
	};
	PmCsr		matrix = golden_interactions();

	for (int i = 0; i < 3; i++)
		for (int t = 0; t < 2; t++)
		{
			PmSlimOptions options = exact_options(cases[i].l1, cases[i].l2, cases[i].nonnegative);
			PmCsr		weights;
			PmContext	ctx;

			fault_context(&ctx, t == 0 ? NULL : device, 0, 1 + t, NULL);
			CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &options, &weights), PM_OK);
			check_weights(&weights, cases[i].expected, 2e-7);
			/* as many neighbours as there are change nothing */
			pm_csr_release(&ctx, &weights);
			options.neighbours = GOLDEN_ITEMS;
			CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &options, &weights), PM_OK);
			check_weights(&weights, cases[i].expected, 2e-7);
			pm_csr_release(&ctx, &weights);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
		}
	interactions_free(&matrix);
}

/* ---- a plain solver -------------------------------------------------------- */

static double *
gram_of(const double *x, int32_t users, int32_t items)
{
	double	   *gram = calloc((size_t) items * items, sizeof(double));

	for (int32_t u = 0; u < users; u++)
		for (int32_t i = 0; i < items; i++)
			for (int32_t j = 0; j < items; j++)
				gram[i * items + j] += x[u * items + i] * x[u * items + j];
	return gram;
}

/* Are there `neighbours` items nearer to j than i is? */
static bool
near_enough(const double *gram, int32_t n, int32_t i, int32_t j, int32_t neighbours)
{
	int32_t		nearer = 0;
	float		own = (float) gram[j * n + i] * (1 / sqrtf((float) gram[i * n + i]));

	for (int32_t other = 0; other < n && neighbours > 0; other++)
	{
		float		its = (float) gram[j * n + other] * (1 / sqrtf((float) gram[other * n + other]));

		nearer += other != j && gram[j * n + other] > 0 && (its > own || (its == own && other < i));
	}
	return neighbours == 0 || nearer < neighbours;
}

/* Coordinate descent from the definition: 4000 sweeps over all. */
static double *
plain_slim(const PmCsr *matrix, const PmSlimOptions *options)
{
	int32_t		n = matrix->columns;
	double	   *x = interactions_dense(matrix);
	double	   *gram = gram_of(x, matrix->rows, n);
	double	   *weights = calloc((size_t) n * n, sizeof(double));

	for (int32_t j = 0; j < n; j++)
		for (int sweep = 0; sweep < 4000; sweep++)
			for (int32_t i = 0; i < n; i++)
			{
				double		target = gram[i * n + j];

				if (i == j || target == 0 || !near_enough(gram, n, i, j, options->neighbours))
					continue;
				for (int32_t k = 0; k < n; k++)
					if (k != i)
						target -= gram[i * n + k] * weights[k * n + j];
				if (options->nonnegative && target < 0)
					target = 0;
				weights[i * n + j] = fabs(target) <= options->l1 ? 0 :
					copysign(fabs(target) - options->l1, target) / (gram[i * n + i] + options->l2);
			}
	free(x);
	free(gram);
	return weights;
}

static void
like_plain(void)
{
	for (int c = 0; c < 8; c++)
	{
		PmCsr		matrix = interactions_random(120, 26, 0.1, c & 1, (uint64_t) c);
		PmSlimOptions options = exact_options(0.7, 4, (c & 2) != 0);
		double	   *expected;
		PmCsr		weights;
		PmContext	ctx;

		options.neighbours = c & 4 ? 5 : 0;
		expected = plain_slim(&matrix, &options);
		fault_context(&ctx, device, 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &options, &weights), PM_OK);
		check_weights(&weights, expected, 2e-7);
		pm_arena_destroy(ctx.arena);
		free(expected);
		interactions_free(&matrix);
	}
}

/* Any threads, turns and order: the same bytes. */
static void
any_threads(void)
{
	PmCsr		matrix = interactions_random(3000, 700, 0.01, true, 4);

	for (int neighbours = 0; neighbours <= 40; neighbours += 40)
	{
		PmSlimOptions options = pm_slim_defaults;
		PmCsr		weights[3];
		PmContext	ctx[3];

		options.neighbours = neighbours;
		for (int t = 0; t < 3; t++)
		{
			fault_context(&ctx[t], device, 0, t + 1, NULL);
			CHECK_STATUS(&ctx[t], pm_slim_fit(&ctx[t], &matrix, &options, &weights[t]), PM_OK);
			CHECK(same_csr(&weights[0], &weights[t]));
		}
		CHECK(pm_csr_count(&weights[0]) > 1000);
		for (int t = 0; t < 3; t++)
			pm_arena_destroy(ctx[t].arena);
	}
	interactions_free(&matrix);
}

static void
scores(void)
{
	int64_t		offsets[] = {0, 2, 2, 3};
	int32_t		indices[] = {1, 2, 0};
	float		values[] = {0.5f, 2, 4};
	PmCsr		weights = {3, 3, offsets, indices, values};
	float		got[3];

	pm_slim_score(&weights, 2, (const int32_t[]) {0, 2}, (const float[]) {1, 3}, got);
	CHECK(got[0] == 12 && got[1] == 0.5f && got[2] == 2);
}

static void
refused(const PmSlimOptions *options, const char *message)
{
	PmCsr		matrix = golden_interactions();
	PmCsr		weights;
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, options, &weights), PM_INVALID);
	CHECK_TEXT(ctx.message, message);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	interactions_free(&matrix);
}

static void
bad_options(void)
{
	PmSlimOptions options = pm_slim_defaults;

	options.l1 = NAN;
	refused(&options, "l1 = nan is not a number from 0 on");
	options = pm_slim_defaults;
	options.l2 = -1;
	refused(&options, "l2 = -1 is not a number from 0 on");
	options = pm_slim_defaults;
	options.neighbours = -1;
	refused(&options, "neighbours = -1 is less than 0");
	options = pm_slim_defaults;
	options.max_sweeps = 0;
	refused(&options, "max_sweeps = 0 is less than 1");
	options = pm_slim_defaults;
	options.tolerance = NAN;
	refused(&options, "tolerance = nan is not a number from 0 on");
}

/* No items, no interactions, values of 0 and below, no penalties. */
static void
edges(void)
{
	PmCsr		matrix = interactions_random(40, 12, 0.3, true, 4);
	PmSlimOptions options = exact_options(0, 0, true);
	PmCsr		weights;
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	options.max_sweeps = 50;
	for (int64_t i = 0; i < pm_csr_count(&matrix); i++)
		if (matrix.indices[i] == 3)
			matrix.values[i] = 0;
		else if (i % 5 == 0)
			matrix.values[i] = -1;
	CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &options, &weights), PM_OK);
	for (int64_t i = 0; i < pm_csr_count(&weights); i++)
		CHECK(isfinite(weights.values[i]) && weights.indices[i] != 3);
	CHECK(pm_csr_count(&weights) > 0);
	CHECK_INT(weights.offsets[4] - weights.offsets[3], 0);
	pm_csr_release(&ctx, &weights);
	interactions_free(&matrix);
	matrix = interactions_random(3, 4, 0, true, 4);
	CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &pm_slim_defaults, &weights), PM_OK);
	CHECK_INT(pm_csr_count(&weights), 0);
	pm_csr_release(&ctx, &weights);
	matrix.columns = 0;
	CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &pm_slim_defaults, &weights), PM_OK);
	pm_csr_release(&ctx, &weights);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	interactions_free(&matrix);
}

static void
faults(void)
{
	PmCsr		matrix = interactions_random(2000, 300, 0.02, false, 2);
	PmSlimOptions options = pm_slim_defaults;
	FaultHost	host = {0, 0};
	PmCsr		weights;
	PmContext	ctx;
	PmStatus	status = PM_MEMORY_LIMIT;
	long		checks;

	options.neighbours = 50;
	fault_context(&ctx, device, 0, 1, &host);
	CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &options, &weights), PM_OK);
	pm_csr_release(&ctx, &weights);
	checks = host.checks;
	for (host.cancel_at = 1; host.cancel_at < checks - 2; host.cancel_at++)
	{
		host.checks = 0;
		CHECK_STATUS(&ctx, pm_slim_fit(&ctx, &matrix, &options, &weights), PM_CANCELLED);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
	}
	pm_arena_destroy(ctx.arena);
	for (size_t limit = 1000; status != PM_OK && limit < 1000000000; limit += limit / 4)
	{
		fault_context(&ctx, device, limit, 2, NULL);
		status = pm_slim_fit(&ctx, &matrix, &options, &weights);
		CHECK(status == PM_OK || (status == PM_MEMORY_LIMIT && pm_arena_used(ctx.arena) == 0));
		pm_arena_destroy(ctx.arena);
	}
	CHECK(status == PM_OK);
	interactions_free(&matrix);
}

int
main(void)
{
	device = recommend_device();
	TEST(like_scikit_learn);
	TEST(like_plain);
	TEST(any_threads);
	TEST(scores);
	TEST(bad_options);
	TEST(edges);
	TEST(faults);
	return test_report();
}
