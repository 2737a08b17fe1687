/*
 * test_ease.c
 *		EASE against its formula in double, with every fault.
 */
#include "pm_ease.h"

#include <stdlib.h>

#include "gram.h"
#include "recommend_cases.h"
#include "test.h"

static PmDevice *device;

/* X'X by its definition. */
static double *
plain_gram(const PmCsr *matrix)
{
	int32_t		n = matrix->columns;
	double	   *x = interactions_dense(matrix);
	double	   *gram = calloc((size_t) n * n, sizeof(double));

	for (int32_t row = 0; row < matrix->rows; row++)
		for (int32_t i = 0; i < n; i++)
			for (int32_t j = 0; j < n && x[(size_t) row * n + i] != 0; j++)
				gram[(size_t) i * n + j] += x[(size_t) row * n + i] * x[(size_t) row * n + j];
	free(x);
	return gram;
}

/* Gauss-Jordan, in double; the matrix is lost. */
static double *
plain_inverse(double *a, int32_t n)
{
	double	   *inverse = calloc((size_t) n * n, sizeof(double));

	for (int32_t i = 0; i < n; i++)
		inverse[(size_t) i * n + i] = 1;
	for (int32_t k = 0; k < n; k++)
	{
		double		pivot = a[(size_t) k * n + k];

		for (int32_t j = 0; j < n; j++)
		{
			a[(size_t) k * n + j] /= pivot;
			inverse[(size_t) k * n + j] /= pivot;
		}
		for (int32_t i = 0; i < n; i++)
		{
			double		factor = a[(size_t) i * n + k];

			if (i == k || factor == 0)
				continue;
			for (int32_t j = 0; j < n; j++)
			{
				a[(size_t) i * n + j] -= factor * a[(size_t) k * n + j];
				inverse[(size_t) i * n + j] -= factor * inverse[(size_t) k * n + j];
			}
		}
	}
	return inverse;
}

/* B of Steck's equation 8. */
static double *
plain_ease(const PmCsr *matrix, double l2)
{
	int32_t		n = matrix->columns;
	double	   *gram = plain_gram(matrix);
	double	   *p;
	double	   *b = calloc((size_t) n * n, sizeof(double));

	for (int32_t i = 0; i < n; i++)
		gram[(size_t) i * n + i] += l2;
	p = plain_inverse(gram, n);
	for (int32_t i = 0; i < n; i++)
		for (int32_t j = 0; j < n; j++)
			b[(size_t) i * n + j] = i == j ? 0 : -p[(size_t) i * n + j] / p[(size_t) j * n + j];
	free(gram);
	free(p);
	return b;
}

/* Both products against the definition; sparse ones have no element too many. */
static void
products(void)
{
	for (int counts = 0; counts < 2; counts++)
	{
		PmCsr		matrix = interactions_random(90, 130, 0.05, counts, 5);
		double	   *expected = plain_gram(&matrix);
		float	   *dense = calloc(130 * 130, sizeof(float));
		int64_t		nonzero = 0;
		PmCsr		sparse[2];
		PmContext	ctx[2];

		for (int t = 0; t < 2; t++)
		{
			fault_context(&ctx[t], t == 0 ? NULL : device, 0, 2, NULL);
			CHECK_STATUS(&ctx[t], pm_gram_sparse(&ctx[t], &matrix, &sparse[t]), PM_OK);
		}
		CHECK(same_csr(&sparse[0], &sparse[1]));
		CHECK_STATUS(&ctx[1], pm_gram_dense(&ctx[1], &matrix, dense), PM_OK);
		for (int i = 0; i < 130; i++)
			for (int j = 0; j < 130; j++)
			{
				nonzero += expected[i * 130 + j] != 0;
				if (j >= i && dense[i * 130 + j] != expected[i * 130 + j])
					TEST_FAIL("dense %d %d", i, j);
			}
		for (int i = 0; i < 130; i++)
			for (int64_t at = sparse[0].offsets[i]; at < sparse[0].offsets[i + 1]; at++)
				if (sparse[0].values[at] != expected[i * 130 + sparse[0].indices[at]] ||
					(at > sparse[0].offsets[i] && sparse[0].indices[at - 1] >= sparse[0].indices[at]))
					TEST_FAIL("sparse %d %d", i, sparse[0].indices[at]);
		CHECK_INT(pm_csr_count(&sparse[0]), nonzero);
		for (int t = 0; t < 2; t++)
		{
			pm_csr_release(&ctx[t], &sparse[t]);
			CHECK_INT(pm_arena_used(ctx[t].arena), 0);
			pm_arena_destroy(ctx[t].arena);
		}
		free(dense);
		free(expected);
		interactions_free(&matrix);
	}
}

/* Sizes about those of blocks and tiles, with and without a device. */
static void
like_the_formula(void)
{
	static const int sizes[] = {1, 2, 3, 40, 255, 256, 257, 530};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int t = 0; t < 2; t++)
		{
			int32_t		n = sizes[s];
			double		l2 = s % 2 == 0 ? 20 : 0.5;
			PmCsr		matrix = interactions_random(400, n, 0.06, s % 3 == 0, s);
			double	   *expected = plain_ease(&matrix, l2);
			double		largest = 0;
			float	   *weights;
			PmContext	ctx;

			fault_context(&ctx, t == 0 ? NULL : device, 0, 1 + t, NULL);
			CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, l2, &weights), PM_OK);
			for (int64_t i = 0; weights != NULL && i < (int64_t) n * n; i++)
			{
				double		error = fabs(weights[i] - expected[i]);

				if (!(error <= largest))
					largest = error;
			}
			CHECK_CASE(largest < 2e-5, "%d items: %g", n, largest);
			for (int32_t i = 0; weights != NULL && i < n; i++)
				CHECK(weights[(int64_t) i * n + i] == 0);
			pm_release(&ctx, weights);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
			free(expected);
			interactions_free(&matrix);
		}
}

/* One thread, two and three give the same bytes; the peak is as promised. */
static void
any_threads(void)
{
	enum
	{
		N = 1100
	};
	PmCsr		matrix = interactions_random(700, N, 0.02, true, 8);
	float	   *first = NULL;
	PmContext	ctx[3];

	for (int t = 0; t < 3; t++)
	{
		float	   *weights;

		fault_context(&ctx[t], device, 0, t + 1, NULL);
		CHECK_STATUS(&ctx[t], pm_ease_fit(&ctx[t], &matrix, 10, &weights), PM_OK);
		if (first == NULL)
			first = weights;
		CHECK(memcmp(first, weights, sizeof(float) * N * N) == 0);
		CHECK(pm_arena_peak(ctx[t].arena) < sizeof(float) * N * (N + 2 * 256) + 2000000);
	}
	for (int t = 0; t < 3; t++)
		pm_arena_destroy(ctx[t].arena);
	interactions_free(&matrix);
}

/* Scores are sums of rows. */
static void
scores(void)
{
	static const float weights[] = {0, 1, 2, 3, 0, 5, 6, 7, 0};
	static const int32_t taken[] = {0, 2};
	static const float values[] = {2, 0.5f};
	float		got[3];

	pm_ease_score(weights, 3, 2, taken, values, got);
	CHECK(got[0] == 3 && got[1] == 5.5f && got[2] == 4);
	pm_ease_score(weights, 3, 0, taken, values, got);
	CHECK(got[0] == 0 && got[1] == 0 && got[2] == 0);
	for (int n = 1; n < 40; n++)
	{
		float		row[40];
		float		sums[40];
		int32_t		zero = 0;
		float		three = 3;

		for (int j = 0; j < n; j++)
			row[j] = (float) j;
		pm_ease_score(row, n, 1, &zero, &three, sums);
		for (int j = 0; j < n; j++)
			CHECK(sums[j] == (float) (3 * j));
	}
}

/* An element is kept where fewer than `keep` of its row come before it. */
static void
kept_weights(void)
{
	enum
	{
		N = 57
	};
	float		weights[N * N];

	for (int i = 0; i < N * N; i++)
		weights[i] = i % N == i / N || i % 11 == 0 ? 0 : (float) ((i * 37 + i / 91) % 23 - 11);
	for (int keep = 1; keep < 2 * N; keep += 8)
		for (int t = 0; t < 2; t++)
		{
			PmCsr		kept;
			PmContext	ctx;
			int64_t		at = 0;

			fault_context(&ctx, t == 0 ? NULL : device, 0, 1 + t, NULL);
			CHECK_STATUS(&ctx, pm_ease_keep(&ctx, weights, N, keep, &kept), PM_OK);
			for (int i = 0; i < N * N; i++)
			{
				const float *row = weights + i / N * N;
				int			before = 0;

				if (i % N == 0)
					CHECK_INT(kept.offsets[i / N], at);
				for (int j = 0; j < N; j++)
					before += fabsf(row[j]) > fabsf(row[i % N]) || (fabsf(row[j]) == fabsf(row[i % N]) && j < i % N);
				if (row[i % N] == 0 || before >= keep)
					continue;
				CHECK(kept.indices[at] == i % N && kept.values[at] == row[i % N]);
				at++;
			}
			CHECK_INT(pm_csr_count(&kept), at);
			pm_csr_release(&ctx, &kept);
			CHECK_STATUS(&ctx, pm_ease_keep(&ctx, weights, N, 0, &kept), PM_INVALID);
			CHECK_TEXT(ctx.message, "keep = 0 is less than 1");
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
		}
}

static void
bad_input(void)
{
	PmCsr		matrix = interactions_random(50, 20, 0.2, false, 1);
	static const double bad[] = {0, -1, NAN, INFINITY};
	float	   *weights;
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	for (int i = 0; i < 4; i++)
		CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, bad[i], &weights), PM_INVALID);
	CHECK_TEXT(ctx.message, "l2 = inf is not a number above 0");
	CHECK(weights == NULL);
	interactions_free(&matrix);

	/* every user takes the same two: singular but for l2 */
	matrix = interactions_random(50, 2, 0, false, 1);
	for (int user = 0; user < 50; user++)
	{
		matrix.offsets[user + 1] = 2 * user + 2;
		matrix.indices[2 * user] = 0;
		matrix.indices[2 * user + 1] = 1;
		matrix.values[2 * user] = matrix.values[2 * user + 1] = 1;
	}
	CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, 1e-12, &weights), PM_INVALID);
	CHECK_TEXT(ctx.message, "l2 = 1e-12 is too small: item 1 depends on others");
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	interactions_free(&matrix);

	/* nobody took anything */
	matrix = interactions_random(1, 5, 0, false, 1);
	CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, 1, &weights), PM_OK);
	for (int i = 0; i < 25; i++)
		CHECK(weights[i] == 0);
	pm_release(&ctx, weights);
	matrix.columns = 0;
	CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, 1, &weights), PM_OK);
	pm_release(&ctx, weights);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	interactions_free(&matrix);
}

/* Each check of the host, each device call, and ever more memory. */
static void
faults(void)
{
	PmCsr		matrix = interactions_random(200, 300, 0.05, false, 2);
	FaultHost	host = {0, 0};
	FaultDevice fault;
	float	   *weights;
	PmContext	ctx;
	long		checks;
	PmStatus	status = PM_MEMORY_LIMIT;

	fault_context(&ctx, device, 0, 2, &host);
	CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, 10, &weights), PM_OK);
	pm_release(&ctx, weights);
	checks = host.checks;
	for (host.cancel_at = 1; host.cancel_at <= checks; host.cancel_at++)
	{
		host.checks = 0;
		CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, 10, &weights), PM_CANCELLED);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
	}
	pm_arena_destroy(ctx.arena);
	fault_device(&fault, device);
	fault_context(&ctx, &fault.device, 0, 1, NULL);
	for (fault.fail_at = 1; fault.fail_at < 5; fault.fail_at++)
	{
		fault.calls = 0;
		CHECK_STATUS(&ctx, pm_ease_fit(&ctx, &matrix, 10, &weights), PM_DEVICE_ERROR);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
	}
	pm_arena_destroy(ctx.arena);
	for (size_t limit = 1000; status != PM_OK && limit < 100000000; limit += limit / 4)
	{
		fault_context(&ctx, device, limit, 2, NULL);
		status = pm_ease_fit(&ctx, &matrix, 10, &weights);
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
	TEST(products);
	TEST(like_the_formula);
	TEST(any_threads);
	TEST(scores);
	TEST(kept_weights);
	TEST(bad_input);
	TEST(faults);
	return test_report();
}
