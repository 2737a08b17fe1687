/*
 * test_eigen.c
 *		Eigenvalues and vectors against their definition and known ones.
 */
#include "eigen.h"

#include <stdlib.h>

#include "fault_device.h"
#include "pm_rng.h"
#include "test.h"

/* A v = lambda v, V'V = I, and the values fall. */
static void
check_eigen(int32_t n, const double *a, const double *vectors, const double *values)
{
	double		scale = 1e-300;

	for (int32_t i = 0; i < n * n; i++)
		scale = fmax(scale, fabs(a[i]));
	for (int32_t i = 0; i < n; i++)
	{
		const double *v = vectors + (size_t) i * n;

		CHECK(i == 0 || values[i - 1] >= values[i]);
		for (int32_t j = 0; j < n; j++)
		{
			double		product = 0;
			double		dot = 0;

			for (int32_t k = 0; k < n; k++)
			{
				product += a[(size_t) j * n + k] * v[k];
				dot += v[k] * vectors[(size_t) j * n + k];
			}
			CHECK_CLOSE(product, values[i] * v[j], 0, 1e-13 * scale * n);
			CHECK_CLOSE(dot, i == j, 0, 1e-13 * n);
		}
	}
}

/* Random, of low rank, diagonal, zero, with equal values. */
static void
definition(void)
{
	static const int sizes[] = {1, 2, 3, 5, 33, 90};

	for (int s = 0; s < 6; s++)
		for (int kind = 0; kind < 5; kind++)
		{
			int32_t		n = sizes[s];
			double	   *a = calloc((size_t) n * n, sizeof(double));
			double	   *vectors = calloc((size_t) n * n, sizeof(double));
			double	   *values = calloc((size_t) n, sizeof(double));
			PmRng		rng;
			PmContext	ctx;

			pm_rng_seed(&rng, (uint64_t) n, (uint64_t) kind);
			for (int32_t i = 0; i < n; i++)
				for (int32_t j = 0; j <= i; j++)
					a[i * n + j] = a[j * n + i] = kind == 0 ? pm_rng_uniform(&rng) - 0.5 :
						kind == 1 ? (i + 1.0) * (j + 1) : kind == 2 ? (i == j) * pm_rng_uniform(&rng) :
						kind == 3 ? 0 : 1 + (i == j);
			memcpy(vectors, a, (size_t) n * n * sizeof(double));
			fault_context(&ctx, NULL, 0, 1, NULL);
			CHECK_STATUS(&ctx, pm_eigen_symmetric(&ctx, n, vectors, values), PM_OK);
			check_eigen(n, a, vectors, values);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
			free(a);
			free(vectors);
			free(values);
		}
}

/* The second difference has the values 2 - 2 cos(k pi / (n + 1)). */
static void
second_difference(void)
{
	enum
	{
		N = 40
	};
	double		a[N * N] = {0};
	double		values[N];
	PmContext	ctx;

	for (int i = 0; i < N; i++)
	{
		a[i * N + i] = 2;
		if (i > 0)
			a[i * N + i - 1] = a[(i - 1) * N + i] = -1;
	}
	fault_context(&ctx, NULL, 0, 1, NULL);
	CHECK_STATUS(&ctx, pm_eigen_symmetric(&ctx, N, a, values), PM_OK);
	for (int k = 1; k <= N; k++)
		CHECK_CLOSE(values[N - k], 2 - 2 * cos(k * 3.14159265358979323846 / (N + 1)), 1e-12, 1e-14);
	pm_arena_destroy(ctx.arena);
}

static void
faults(void)
{
	double		a[20 * 20];
	double		values[20];
	FaultHost	host = {0, 0};
	PmContext	ctx;

	for (int cancel = 1; cancel < 40; cancel += 6)
	{
		for (int i = 0; i < 400; i++)
			a[i] = 1.0 / (1 + i / 20 + i % 20);
		host.cancel_at = cancel;
		host.checks = 0;
		fault_context(&ctx, NULL, 0, 1, &host);
		CHECK_STATUS(&ctx, pm_eigen_symmetric(&ctx, 20, a, values), PM_CANCELLED);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	for (size_t limit = 100; limit < 3600; limit += 3300)
	{
		fault_context(&ctx, NULL, limit, 1, NULL);
		CHECK_STATUS(&ctx, pm_eigen_symmetric(&ctx, 20, a, values), PM_MEMORY_LIMIT);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
}

int
main(void)
{
	TEST(definition);
	TEST(second_difference);
	TEST(faults);
	return test_report();
}
