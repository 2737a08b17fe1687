/*
 * test_vector_math.c
 *		exp and log1p by vectors, against those of long double.
 */
#include "test.h"

#include "pm_rng.h"
#include "pm_vector_math.h"

#include <stdlib.h>

#define COUNT 4096

/* How far a value is off, in units in the last place of the exact one. */
static double
units_off(double value, long double exact)
{
	double		rounded = fabs((double) exact);

	return (double) (fabsl(value - exact) / (nextafter(rounded, INFINITY) - rounded));
}

PM_INLINE void
all_exp_body(const double *x, double *y)
{
	for (int i = 0; i < COUNT; i += PM_LANES)
	{
		PmDoubles	vector;

		memcpy(&vector, x + i, sizeof(vector));
		pm_vector_exp(&vector, &vector);
		memcpy(y + i, &vector, sizeof(vector));
	}
}

PM_CLONES(all_exp, (const double *x, double *y), (x, y));

PM_INLINE void
all_log1p_body(const double *x, double *y)
{
	for (int i = 0; i < COUNT; i += PM_LANES)
	{
		PmDoubles	vector;

		memcpy(&vector, x + i, sizeof(vector));
		pm_vector_log1p(&vector, &vector);
		memcpy(y + i, &vector, sizeof(vector));
	}
}

PM_CLONES(all_log1p, (const double *x, double *y), (x, y));

/* Both, as compiled for this CPU and for any: within two units. */
static void
exp_is_exact(void)
{
	static const double ends[] = {-708, -1, -0.0, 0.5};
	static double x[COUNT];
	static double y[COUNT];
	static double portable[COUNT];
	PmRng		rng;

	pm_rng_seed(&rng, 1, 0);
	for (int k = 0; k < 400; k++)
	{
		double		low = ends[k % 4];
		double		high = k % 4 == 0 ? 709 : k % 4 == 1 ? 1 : k % 4 == 2 ? 1e-8 : 40;

		for (int i = 0; i < COUNT; i++)
			x[i] = low + (high - low) * pm_rng_uniform(&rng);
		all_exp(x, y);
		all_exp_body(x, portable);
		for (int i = 0; i < COUNT; i++)
		{
			CHECK_CASE(units_off(y[i], expl(x[i])) < 2, "exp(%.17g) is %.17g", x[i], y[i]);
			CHECK_CASE(units_off(portable[i], expl(x[i])) < 2, "exp(%.17g) is %.17g",
					   x[i], portable[i]);
		}
	}
}

/* What is out of range, and what is exact. */
static void
exp_at_the_ends(void)
{
	static double x[COUNT];
	static double y[COUNT];

	x[0] = 0;
	x[1] = -0.0;
	x[2] = -709;
	x[3] = -1e300;
	x[4] = -INFINITY;
	x[5] = NAN;
	x[6] = 709;
	all_exp(x, y);
	CHECK_CLOSE(y[0], 1, 0, 0);
	CHECK_CLOSE(y[1], 1, 0, 0);
	CHECK_CLOSE(y[2], exp(-708), 1e-15, 0);
	CHECK_CLOSE(y[3], exp(-708), 1e-15, 0);
	CHECK_CLOSE(y[4], exp(-708), 1e-15, 0);
	CHECK(isnan(y[5]));
	CHECK_CLOSE(y[6], exp(709), 1e-15, 0);
}

static void
log1p_is_exact(void)
{
	static double x[COUNT];
	static double y[COUNT];
	static double portable[COUNT];
	PmRng		rng;

	pm_rng_seed(&rng, 2, 0);
	for (int k = 0; k < 400; k++)
	{
		for (int i = 0; i < COUNT; i++)
			x[i] = k % 2 == 0 ? pm_rng_uniform(&rng) : exp(-708 * pm_rng_uniform(&rng));
		/* where the formula changes, and the ends */
		x[0] = sqrt(2) - 1;
		x[1] = nextafter(sqrt(2) - 1, 1);
		x[2] = 1;
		x[3] = 0;
		all_log1p(x, y);
		all_log1p_body(x, portable);
		CHECK_CLOSE(y[3], 0, 0, 0);
		for (int i = 0; i < COUNT; i++)
		{
			CHECK_CASE(units_off(y[i], log1pl(x[i])) < 2, "log1p(%.17g) is %.17g",
					   x[i], y[i]);
			CHECK_CASE(units_off(portable[i], log1pl(x[i])) < 2, "log1p(%.17g) is %.17g",
					   x[i], portable[i]);
		}
	}
}

int
main(void)
{
	TEST(exp_is_exact);
	TEST(exp_at_the_ends);
	TEST(log1p_is_exact);
	return test_report();
}
