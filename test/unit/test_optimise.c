/*
 * test_optimise.c
 *		L-BFGS and OWL-QN on functions whose minimum is known; Cholesky on
 *		matrices whose factor is; work in pieces.
 *
 * Every test runs without a device and, where there are threads, on the CPU's.
 */
#include "test.h"

#include "fault_device.h"
#include "kmeans_cases.h"
#include "pm_cholesky.h"
#include "pm_lbfgs.h"
#include "pm_parallel.h"
#include "pm_rng.h"

#include <stdlib.h>

static PmDevice *device;

/* ---- L-BFGS ------------------------------------------------------------- */

/* Rosenbrock's function of any dimension. */
static PmStatus
rosenbrock(PmContext *ctx, void *problem, const double *x, double *value,
		   double *gradient)
{
	int64_t		n = *(int64_t *) problem;

	(void) ctx;
	*value = 0;
	memset(gradient, 0, (size_t) n * sizeof(double));
	for (int64_t i = 0; i + 1 < n; i++)
	{
		double		a = x[i + 1] - x[i] * x[i];
		double		b = 1 - x[i];

		*value += 100 * a * a + b * b;
		gradient[i] += -400 * x[i] * a - 2 * b;
		gradient[i + 1] += 200 * a;
	}
	return PM_OK;
}

/*
 * sum_i h_i x_i^2 / 2 - b_i x_i, with h from 1 to `widest`.  Under l1 the
 * minimum is sign(b) max(|b| - l1, 0) / h.
 */
typedef struct Quadratic
{
	int64_t		n;
	double		widest;
} Quadratic;

static double
curvature(const Quadratic *q, int64_t i)
{
	return 1 + (q->widest - 1) * (double) (i % 7) / 6;
}

static double
slope(int64_t i)
{
	return (double) (i % 5) - 2.25;
}

static PmStatus
quadratic(PmContext *ctx, void *problem, const double *x, double *value,
		  double *gradient)
{
	const Quadratic *q = problem;

	(void) ctx;
	*value = 0;
	for (int64_t i = 0; i < q->n; i++)
	{
		*value += curvature(q, i) * x[i] * x[i] / 2 - slope(i) * x[i];
		gradient[i] = curvature(q, i) * x[i] - slope(i);
	}
	return PM_OK;
}

/* -log(1 - x) - 10 x: infinite from 1 on, least at 0.9. */
static PmStatus
walled(PmContext *ctx, void *problem, const double *x, double *value,
	   double *gradient)
{
	(void) ctx;
	(void) problem;
	*value = x[0] < 1 ? -log1p(-x[0]) - 10 * x[0] : INFINITY;
	gradient[0] = 1 / (1 - x[0]) - 10;
	return PM_OK;
}

static void
rosenbrocks(void)
{
	for (int64_t n = 2; n < 200; n *= 3)
	{
		PmLbfgsProblem problem = {n, rosenbrock, NULL, &n, NULL, NULL};
		PmLbfgsOptions options = {10, 2000, 1e-10};
		PmLbfgsResult result;
		PmContext	ctx;
		double	   *x = calloc((size_t) n, sizeof(double));

		for (int64_t i = 0; i < n; i++)
			x[i] = i % 2 == 0 ? -1.2 : 1;
		fault_context(&ctx, device, 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, x, &result), PM_OK);
		CHECK(result.converged);
		CHECK(result.evaluations >= result.iterations);
		for (int64_t i = 0; i < n; i++)
			CHECK_CLOSE(x[i], 1, 0, 1e-9);
		CHECK_CLOSE(result.value, 0, 0, 1e-18);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
		free(x);
	}
}

/* With and without l1; n of several ranges, for the threads. */
static void
quadratics(void)
{
	for (int64_t n = 1; n < 40000; n = n * 7 + 1)
		for (int memory = 1; memory <= 10; memory += 9)
			for (int penalised = 0; penalised < 2; penalised++)
			{
				Quadratic	q = {n, 50};
				double	   *x = calloc((size_t) n, sizeof(double));
				double	   *l1 = calloc((size_t) n, sizeof(double));
				PmLbfgsProblem problem = {
					n, quadratic, NULL, &q, penalised ? l1 : NULL, NULL
				};
				PmLbfgsOptions options = {memory, 1000, 1e-9};
				PmLbfgsResult result;
				PmContext	ctx;

				for (int64_t i = 0; i < n; i++)
				{
					x[i] = sin((double) i);
					l1[i] = penalised ? (double) (i % 3) / 2 : 0;
				}
				fault_context(&ctx, device, 0, 2, NULL);
				CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, x, &result), PM_OK);
				CHECK_CASE(result.converged, "n %d, memory %d, l1 %d: %d iterations, %d evaluations",
						   (int) n, memory, penalised, result.iterations,
						   result.evaluations);
				for (int64_t i = 0; i < n && test_bad_checks == 0; i++)
				{
					double		left = fmax(fabs(slope(i)) - l1[i], 0);

					CHECK_CLOSE(x[i], copysign(left / curvature(&q, i), slope(i)), 0, 1e-8);
					if (left == 0)
						CHECK_CLOSE(x[i], 0, 0, 0);
				}
				CHECK_INT(pm_arena_used(ctx.arena), 0);
				pm_arena_destroy(ctx.arena);
				free(x);
				free(l1);
			}
}

/* A step into where the function is not finite is taken back. */
static void
wall(void)
{
	PmLbfgsProblem problem = {1, walled, NULL, NULL, NULL, NULL};
	PmLbfgsOptions options = {5, 100, 1e-12};
	PmLbfgsResult result;
	PmContext	ctx;
	double		x = -3;

	fault_context(&ctx, device, 0, 1, NULL);
	CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, &x, &result), PM_OK);
	CHECK(result.converged);
	CHECK_CLOSE(x, 0.9, 1e-10, 0);
	x = 2;
	CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, &x, &result), PM_INVALID);
	CHECK_TEXT(ctx.message, "the function to minimise is not finite at the start");
	options.memory = 33;
	CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, &x, &result), PM_INVALID);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

/* Count iterations; from the third on, cancel. */
static PmStatus
count_three(PmContext *ctx, void *problem, int iteration, const double *x)
{
	(void) problem;
	(void) x;
	return iteration < 3 ? PM_OK : pm_fail(ctx, PM_CANCELLED, "enough");
}

/* Units decide when a gradient is small; max_iter and callbacks end a run. */
static void
ends(void)
{
	Quadratic	q = {100, 50};
	double		units[100];
	double		x[100] = {0};
	PmLbfgsProblem problem = {100, quadratic, NULL, &q, NULL, units};
	PmLbfgsOptions options = {5, 1000, 1e-6};
	PmLbfgsResult result;
	PmContext	ctx;
	double		gradient[100];
	double		value;

	fault_context(&ctx, device, 0, 2, NULL);
	for (int i = 0; i < 100; i++)
		units[i] = 1e-7;
	CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, x, &result), PM_OK);
	CHECK(result.converged && result.iterations == 0);
	for (int i = 0; i < 100; i++)
		units[i] = i == 3 ? 1e6 : 1e-3;
	CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, x, &result), PM_OK);
	CHECK(result.converged);
	quadratic(&ctx, &q, x, &value, gradient);
	CHECK(fabs(gradient[3]) <= 1e-12);
	CHECK_CLOSE(result.value, value, 1e-14, 0);
	memset(x, 0, sizeof(x));
	problem.units = NULL;
	options.max_iter = 2;
	CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, x, &result), PM_OK);
	CHECK(!result.converged && result.iterations == 2);
	options.max_iter = 100;
	problem.iterated = count_three;
	CHECK_STATUS(&ctx, pm_lbfgs(&ctx, &problem, &options, x, &result), PM_CANCELLED);
	CHECK_TEXT(ctx.message, "enough");
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

/* ---- Cholesky ----------------------------------------------------------- */

/*
 * A = B'B of random rows; column j of B is a sum of two earlier ones where
 * depends[j].  The upper triangle is poisoned.
 */
static double *
make_matrix(int n, const bool *depends, PmRng *rng)
{
	int			rows = n + 5;
	double	   *b = calloc((size_t) rows * n, sizeof(double));
	double	   *a = calloc((size_t) n * n, sizeof(double));

	for (int i = 0; i < rows; i++)
		for (int j = 0; j < n; j++)
			b[i * n + j] = depends[j] ? b[i * n + j / 2] - 2 * b[i * n + j / 3] :
				pm_rng_uniform(rng) - 0.5;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
		{
			a[i * n + j] = j > i ? 1e99 : 0;
			for (int k = 0; k < rows && j <= i; k++)
				a[i * n + j] += b[k * n + i] * b[k * n + j];
		}
	free(b);
	return a;
}

/* LL' is A, and solutions solve, where columns are kept. */
static void
check_factor(int n, const double *a, const double *l, const bool *dropped)
{
	double	   *x = calloc((size_t) n, sizeof(double));
	double	   *half = calloc((size_t) n, sizeof(double));
	double		worst = 0;
	double		square = 0;
	double		product = 0;

	for (int i = 0; i < n; i++)
		for (int j = 0; j <= i && !dropped[i]; j++)
		{
			double		sum = 0;

			for (int k = 0; k <= j; k++)
				sum += l[(size_t) i * n + k] * l[(size_t) j * n + k];
			if (!dropped[j])
				worst = fmax(worst, fabs(sum - a[(size_t) i * n + j]));
		}
	CHECK_CLOSE(worst, 0, 0, 1e-11);
	for (int i = 0; i < n; i++)
		x[i] = half[i] = cos(i);
	pm_cholesky_solve(n, l, dropped, x);
	pm_cholesky_half_solve(n, l, dropped, half);
	worst = 0;
	for (int i = 0; i < n; i++)
	{
		double		sum = -cos(i);

		for (int j = 0; j < n; j++)
			sum += a[i > j ? (size_t) i * n + j : (size_t) j * n + i] * x[j];
		if (dropped[i])
			CHECK_CLOSE(x[i], 0, 0, 0);
		else
			worst = fmax(worst, fabs(sum));
		square += half[i] * half[i];
		product += x[i] * cos(i);
	}
	CHECK_CLOSE(worst, 0, 0, 1e-7);
	CHECK_CLOSE(square, product, 1e-8, 0);
	free(x);
	free(half);
}

/* The diagonal of the inverse, by solving for unit vectors. */
static void
check_inverse(PmContext *ctx, int n, const double *l, const bool *dropped)
{
	double	   *diagonal = calloc((size_t) n, sizeof(double));
	double	   *x = calloc((size_t) n, sizeof(double));

	CHECK_STATUS(ctx, pm_cholesky_inverse_diagonal(ctx, n, l, dropped, diagonal), PM_OK);
	for (int j = 0; j < n; j += 1 + n / 40)
	{
		memset(x, 0, (size_t) n * sizeof(double));
		x[j] = 1;
		pm_cholesky_solve(n, l, dropped, x);
		CHECK_CASE(dropped[j] ? isnan(diagonal[j]) : test_close(diagonal[j], x[j], 1e-8, 0),
				   "%d of %d is %.17g, not %.17g", j, n, diagonal[j], x[j]);
	}
	free(diagonal);
	free(x);
}

/* All sizes around tiles; columns that depend, or are left out beforehand. */
static void
factors(void)
{
	static const int sizes[] = {1, 2, 3, 7, 8, 9, 63, 64, 65, 127, 128, 200, 331};
	PmRng		rng;

	pm_rng_seed(&rng, 4, 0);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int kind = 0; kind < 3; kind++)
		{
			int			n = sizes[s];
			bool	   *depends = calloc((size_t) n, 1);
			bool	   *dropped = calloc((size_t) n, 1);
			double	   *a;
			double	   *l;
			PmContext	ctx;

			for (int j = 2; j < n; j++)
				depends[j] = kind > 0 && j % 5 == 4;
			a = make_matrix(n, depends, &rng);
			l = malloc((size_t) n * n * sizeof(double));
			memcpy(l, a, (size_t) n * n * sizeof(double));
			for (int j = 0; kind == 2 && j < n; j++)
				dropped[j] = j % 7 == 6;
			fault_context(&ctx, device, 0, 2, NULL);
			CHECK_STATUS(&ctx, pm_cholesky_factor(&ctx, n, l, 1e-10, dropped), PM_OK);
			if (kind < 2)
				for (int j = 0; j < n; j++)
					CHECK_CASE(dropped[j] == depends[j], "%d of %d", j, n);
			check_factor(n, a, l, dropped);
			check_inverse(&ctx, n, l, dropped);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
			free(depends);
			free(dropped);
			free(a);
			free(l);
		}
}

/* A column of zeros depends on none and on all. */
static void
empty_column(void)
{
	double		a[9] = {4, 0, 0, 0, 0, 0, 2, 0, 10};
	bool		dropped[3] = {false};
	double		b[3] = {8, 5, 13};
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_cholesky_factor(&ctx, 3, a, 1e-10, dropped), PM_OK);
	CHECK(!dropped[0] && dropped[1] && !dropped[2]);
	CHECK_CLOSE(a[0], 2, 0, 0);
	CHECK_CLOSE(a[6], 1, 0, 0);
	CHECK_CLOSE(a[8], 3, 0, 0);
	pm_cholesky_solve(3, a, dropped, b);
	CHECK_CLOSE(b[2], 1, 1e-15, 0);
	CHECK_CLOSE(b[1], 0, 0, 0);
	CHECK_CLOSE(b[0], 1.5, 1e-15, 0);
	pm_arena_destroy(ctx.arena);
}

/* ---- pieces ------------------------------------------------------------- */

static void
mark(int64_t index, int lane, void *argument)
{
	(void) lane;
	((int *) argument)[index]++;
}

/* Each piece is done once; heavy work is asked about often, light work once. */
static void
pieces(void)
{
	for (int threads = 1; threads <= 3; threads++)
	{
		static int	done[1000];
		FaultHost	host = {0, 0};
		PmContext	ctx;

		memset(done, 0, sizeof(done));
		fault_context(&ctx, device, 0, threads, &host);
		CHECK_STATUS(&ctx, pm_parallel(&ctx, "work", 1000, 1, mark, done), PM_OK);
		CHECK_INT(host.checks, 1);
		host.checks = 0;
		CHECK_STATUS(&ctx, pm_parallel(&ctx, "work", 1000, 1e7, mark, done), PM_OK);
		CHECK(host.checks >= 500 / threads);
		for (int i = 0; i < 1000; i++)
			CHECK_INT(done[i], 2);
		host = (FaultHost) {0, 4};
		CHECK_STATUS(&ctx, pm_parallel(&ctx, "work", 1000, 1e9, mark, done), PM_CANCELLED);
		CHECK_TEXT(ctx.message, "work was cancelled");
		CHECK(done[999] == 2 && done[0] == 3);
		CHECK_STATUS(&ctx, pm_parallel(&ctx, "work", 0, 1, mark, done), PM_OK);
		pm_arena_destroy(ctx.arena);
	}
}

int
main(void)
{
	PmDevice	devices[2];
	int			count = test_devices(devices, 2);

	for (int i = 0; i < count; i++)
	{
		device = i == 0 ? NULL : &devices[i];
		printf("on %s\n", device == NULL ? "no device" : device->name);
		TEST(rosenbrocks);
		TEST(quadratics);
		TEST(wall);
		TEST(ends);
		TEST(factors);
		TEST(empty_column);
		TEST(pieces);
	}
	return test_report();
}
