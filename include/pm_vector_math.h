/*
 * pm_vector_math.h
 *		exp and log1p of four numbers at a time, without branches.
 *
 * Vectors are passed by address: their calling convention depends on the
 * instruction set.  They are as long as AVX2's registers; of longer ones gcc
 * would make detours through the stack.  Errors are against the exact value, in units in the last
 * place, over the stated range; test/unit/test_vector_math.c measures them.
 */
#ifndef PM_VECTOR_MATH_H
#define PM_VECTOR_MATH_H

#include "pm_clones.h"

#include <stdint.h>

#define PM_LANES 4

typedef double PmDoubles __attribute__((vector_size(8 * PM_LANES)));
typedef int64_t PmIntegers __attribute__((vector_size(8 * PM_LANES)));

/* Lane by lane: mask is all ones ? a : b. */
#define PM_CHOOSE(mask, a, b) \
	((PmDoubles) (((mask) & (PmIntegers) (a)) | (~(mask) & (PmIntegers) (b))))

/*
 * exp(x) for x <= 709, within 2 units.  What is below -708 counts as -708, so
 * the result is at least 3.3e-308; NaN gives NaN.
 *
 * exp(x) = 2^k exp(r) with |r| <= ln(2) / 2, and of exp(r) the Taylor series
 * up to r^13, whose rest is below 2^-57.
 */
PM_INLINE void
pm_vector_exp(const PmDoubles *argument, PmDoubles *result)
{
	const double rounder = 0x1.8p52;	/* its last bit stands for 1 */
	PmDoubles	x = *argument;
	PmDoubles	shifted;
	PmDoubles	k;
	PmDoubles	r;
	PmDoubles	sum;
	PmDoubles	power;

	x = PM_CHOOSE(x < -708.0, (PmDoubles) {0} - 708.0, x);
	shifted = x * 0x1.71547652b82fep0 + rounder;
	k = shifted - rounder;
	/* ln(2) in two parts, of which the first times k is exact */
	r = x - k * 0x1.62e42feep-1;
	r -= k * 0x1.a39ef35793c76p-33;
	sum = r * (1.0 / 6227020800) + 1.0 / 479001600;
	sum = sum * r + 1.0 / 39916800;
	sum = sum * r + 1.0 / 3628800;
	sum = sum * r + 1.0 / 362880;
	sum = sum * r + 1.0 / 40320;
	sum = sum * r + 1.0 / 5040;
	sum = sum * r + 1.0 / 720;
	sum = sum * r + 1.0 / 120;
	sum = sum * r + 1.0 / 24;
	sum = sum * r + 1.0 / 6;
	sum = sum * r + 0.5;
	sum = sum * (r * r) + r;
	/* k in the low bits of `shifted` becomes the exponent */
	power = (PmDoubles) (((PmIntegers) shifted << 52) + INT64_C(0x3ff0000000000000));
	*result = power + power * sum;
}

/*
 * log(1 + x) for 0 <= x <= 1, within 2 units.
 *
 * log(1 + x) = log(1 + f) + c ln(2) with f = x, c = 0 or f = (x - 1) / 2,
 * c = 1, so that -0.293 <= f <= 0.415; then log(1 + f) = 2 atanh(s), with
 * s = f / (2 + f), as a Taylor series up to s^21, whose rest is below 2^-58.
 */
PM_INLINE void
pm_vector_log1p(const PmDoubles *argument, PmDoubles *result)
{
	PmDoubles	x = *argument;
	PmIntegers	upper = x > 0x1.a827999fcef32p-2;
	PmDoubles	c = PM_CHOOSE(upper, (PmDoubles) {0} + 1.0, (PmDoubles) {0});
	PmDoubles	f = PM_CHOOSE(upper, 0.5 * (x - 1.0), x);
	PmDoubles	s = f / (2.0 + f);
	PmDoubles	square = s * s;
	PmDoubles	sum;

	sum = square * (2.0 / 21) + 2.0 / 19;
	sum = sum * square + 2.0 / 17;
	sum = sum * square + 2.0 / 15;
	sum = sum * square + 2.0 / 13;
	sum = sum * square + 2.0 / 11;
	sum = sum * square + 2.0 / 9;
	sum = sum * square + 2.0 / 7;
	sum = sum * square + 2.0 / 5;
	sum = sum * square + 2.0 / 3;
	/* 2 s = f - s f keeps f exact */
	f -= s * (f - sum * square);
	*result = c * 0x1.62e42fefa39efp-1 + (f + c * 0x1.abc9e3b39803fp-56);
}

#endif							/* PM_VECTOR_MATH_H */
