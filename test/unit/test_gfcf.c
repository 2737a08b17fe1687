/*
 * test_gfcf.c
 *		GF-CF and singular vectors against dense ones in double.
 */
#include "pm_gfcf.h"

#include <stdlib.h>

#include "eigen.h"
#include "recommend_cases.h"
#include "spectrum.h"
#include "test.h"

static PmDevice *device;

/* R~ of a dense R, and the degrees of items. */
static double *
normalised(const PmCsr *matrix, double *degree)
{
	int32_t		n = matrix->columns;
	double	   *r = interactions_dense(matrix);

	for (int32_t i = 0; i < n; i++)
	{
		degree[i] = 0;
		for (int32_t u = 0; u < matrix->rows; u++)
			degree[i] += r[(size_t) u * n + i];
	}
	for (int32_t u = 0; u < matrix->rows; u++)
	{
		double		own = 0;

		for (int32_t i = 0; i < n; i++)
			own += r[(size_t) u * n + i];
		for (int32_t i = 0; i < n; i++)
			if (r[(size_t) u * n + i] != 0)
				r[(size_t) u * n + i] /= sqrt(own) * sqrt(degree[i]);
	}
	return r;
}

/* A'A, (n, n) */
static double *
squared(const double *a, int32_t rows, int32_t n)
{
	double	   *square = calloc((size_t) n * n, sizeof(double));

	for (int32_t u = 0; u < rows; u++)
		for (int32_t i = 0; i < n; i++)
			for (int32_t j = 0; j < n && a[(size_t) u * n + i] != 0; j++)
				square[(size_t) i * n + j] += a[(size_t) u * n + i] * a[(size_t) u * n + j];
	return square;
}

/* One case: values, vectors' span, and every user's scores. */
static void
compare(int32_t users, int32_t n, int32_t rank, bool counts, double tolerance, PmDevice *on, int threads)
{
	PmCsr		matrix = interactions_random(users, n, 0.08, counts, (uint64_t) n);
	PmGfcfOptions options = {rank, 0.4, 3};
	double	   *degree = calloc((size_t) n, sizeof(double));
	double	   *r = normalised(&matrix, degree);
	double	   *square = squared(r, users, n);
	double	   *vectors = calloc((size_t) n * n, sizeof(double));
	double	   *values = calloc((size_t) n, sizeof(double));
	float	   *scores = calloc((size_t) n, sizeof(float));
	double		largest = 0;
	PmGfcf		model;
	PmContext	ctx;

	memcpy(vectors, square, (size_t) n * n * sizeof(double));
	fault_context(&ctx, on, 0, threads, NULL);
	CHECK_STATUS(&ctx, pm_eigen_symmetric(&ctx, n, vectors, values), PM_OK);
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &options, &model), PM_OK);
	for (int32_t k = 0; k < model.rank; k++)
		CHECK_CLOSE(model.values[k], values[k], 1e-5, 2e-6);
	for (int32_t u = 0; u < users; u++)
	{
		double	   *z = calloc((size_t) model.rank + 1, sizeof(double));

		pm_gfcf_score(&model, matrix.offsets[u + 1] - matrix.offsets[u],
					  matrix.indices + matrix.offsets[u], matrix.values + matrix.offsets[u], scores);
		for (int32_t k = 0; k < model.rank; k++)
			for (int64_t i = matrix.offsets[u]; i < matrix.offsets[u + 1] && values[k] > 1e-9; i++)
				z[k] += matrix.values[i] / sqrt(degree[matrix.indices[i]]) * vectors[(size_t) k * n + matrix.indices[i]];
		for (int32_t j = 0; j < n; j++)
		{
			double		expected = 0;

			for (int64_t i = matrix.offsets[u]; i < matrix.offsets[u + 1]; i++)
				expected += matrix.values[i] * square[(size_t) matrix.indices[i] * n + j];
			for (int32_t k = 0; k < model.rank; k++)
				expected += 0.4 * z[k] * vectors[(size_t) k * n + j] * sqrt(degree[j]);
			largest = fmax(largest, fabs(expected - scores[j]));
		}
		free(z);
	}
	CHECK_CASE(largest < tolerance, "%d users, %d items, rank %d: %g", users, n, rank, largest);
	pm_gfcf_release(&ctx, &model);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	free(degree);
	free(r);
	free(square);
	free(vectors);
	free(values);
	free(scores);
	interactions_free(&matrix);
}

/* Blocks that hold all, more columns than rows, and blocks that iterate. */
static void
like_dense(void)
{
	for (int t = 0; t < 2; t++)
	{
		PmDevice   *on = t == 0 ? NULL : device;

		compare(60, 1, 1, false, 1e-5, on, 1 + t);
		compare(60, 20, 5, false, 1e-5, on, 1 + t);
		compare(80, 40, 40, true, 1e-4, on, 1 + t);
		compare(15, 40, 30, false, 1e-4, on, 1 + t);
		compare(15, 200, 20, false, 1e-4, on, 1 + t);
		compare(500, 150, 3, false, 2e-3, on, 1 + t);
		compare(400, 300, 0, true, 1e-5, on, 1 + t);
	}
}

/* Vectors are orthonormal, and those of their values, as far as it converged. */
static void
residuals(void)
{
	enum
	{
		N = 600,
		RANK = 40
	};
	PmCsr		matrix = interactions_random(900, N, 0.03, false, 9);
	PmGfcfOptions options = {RANK, 0.3, 1};
	double	   *degree = calloc(N, sizeof(double));
	double	   *r = normalised(&matrix, degree);
	double	   *square = squared(r, 900, N);
	PmGfcf		model;
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &options, &model), PM_OK);
	for (int k = 0; k < RANK; k++)
	{
		double		residual = 0;

		for (int other = 0; other <= k; other++)
		{
			double		dot = 0;

			for (int i = 0; i < N; i++)
				dot += (double) model.vectors[i * RANK + k] * model.vectors[i * RANK + other];
			CHECK_CLOSE(dot, k == other, 0, 1e-5);
		}
		for (int i = 0; i < N; i++)
		{
			double		image = 0;

			for (int j = 0; j < N; j++)
				image += square[i * N + j] * model.vectors[j * RANK + k];
			image -= model.values[k] * model.vectors[i * RANK + k];
			residual += image * image;
		}
		CHECK_CASE(sqrt(residual) < 3e-3, "vector %d: %g", k, sqrt(residual));
	}
	pm_arena_destroy(ctx.arena);
	free(degree);
	free(r);
	free(square);
	interactions_free(&matrix);
}

/* Any number of threads gives the same bytes. */
static void
any_threads(void)
{
	PmCsr		matrix = interactions_random(900, 500, 0.02, true, 4);
	PmGfcfOptions options = {40, 0.3, 1};
	PmGfcf		model[3];
	PmContext	ctx[3];

	for (int t = 0; t < 3; t++)
	{
		fault_context(&ctx[t], device, 0, t + 1, NULL);
		CHECK_STATUS(&ctx[t], pm_gfcf_fit(&ctx[t], &matrix, &options, &model[t]), PM_OK);
		CHECK(same_csr(&model[0].similar, &model[t].similar));
		CHECK(memcmp(model[0].vectors, model[t].vectors, sizeof(float) * 500 * 40) == 0);
		CHECK(memcmp(model[0].values, model[t].values, sizeof(double) * 40) == 0);
	}
	for (int t = 0; t < 3; t++)
		pm_arena_destroy(ctx[t].arena);
	interactions_free(&matrix);
}

/* Bad options and values; nobody took anything; no items. */
static void
edges(void)
{
	PmCsr		matrix = interactions_random(30, 12, 0.3, true, 4);
	PmGfcfOptions options = {-1, 0.3, 1};
	PmGfcf		model;
	float		scores[12];
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &options, &model), PM_INVALID);
	CHECK_TEXT(ctx.message, "rank = -1 is not from 0 to 1024");
	options = (PmGfcfOptions) {5, NAN, 1};
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &options, &model), PM_INVALID);
	CHECK_TEXT(ctx.message, "alpha = nan is not a number from 0 on");
	matrix.values[7] = -1;
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &pm_gfcf_defaults, &model), PM_INVALID);
	CHECK_TEXT(ctx.message, "a value is below 0");
	for (int64_t i = 0; i < pm_csr_count(&matrix); i++)
		matrix.values[i] = 0;
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &pm_gfcf_defaults, &model), PM_OK);
	CHECK_INT(model.rank, 12);
	pm_gfcf_score(&model, matrix.offsets[1], matrix.indices, matrix.values, scores);
	for (int i = 0; i < 12; i++)
		CHECK(scores[i] == 0);
	pm_gfcf_release(&ctx, &model);
	interactions_free(&matrix);
	matrix = interactions_random(3, 4, 0, true, 4);
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &pm_gfcf_defaults, &model), PM_OK);
	pm_gfcf_release(&ctx, &model);
	matrix.columns = 0;
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &pm_gfcf_defaults, &model), PM_OK);
	pm_gfcf_release(&ctx, &model);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	interactions_free(&matrix);
}

static void
faults(void)
{
	PmCsr		matrix = interactions_random(200, 100, 0.05, false, 2);
	PmGfcfOptions options = {10, 0.3, 1};
	FaultHost	host = {0, 0};
	PmGfcf		model;
	PmContext	ctx;
	PmStatus	status = PM_MEMORY_LIMIT;
	long		checks;

	fault_context(&ctx, device, 0, 1, &host);
	CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &options, &model), PM_OK);
	pm_gfcf_release(&ctx, &model);
	checks = host.checks;
	for (host.cancel_at = 1; host.cancel_at < checks - 2; host.cancel_at += 1 + host.cancel_at / 20)
	{
		host.checks = 0;
		CHECK_STATUS(&ctx, pm_gfcf_fit(&ctx, &matrix, &options, &model), PM_CANCELLED);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
	}
	pm_arena_destroy(ctx.arena);
	for (size_t limit = 100; status != PM_OK && limit < 1000000000; limit += limit / 4)
	{
		fault_context(&ctx, device, limit, 2, NULL);
		status = pm_gfcf_fit(&ctx, &matrix, &options, &model);
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
	TEST(like_dense);
	TEST(residuals);
	TEST(any_threads);
	TEST(edges);
	TEST(faults);
	return test_report();
}
