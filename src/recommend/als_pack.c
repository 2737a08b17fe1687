/*
 * als_pack.c
 *		The other side's vectors of a row, gathered, and what is done with them
 *		besides outer products.
 *
 * Vectors of one row lie all over the other side's factors; packed, they are
 * in the cache for all that follows.  They are scaled by sqrt(a), so that the
 * normal equations need no weights any more.
 */
#include "als.h"

#include <math.h>
#include <string.h>

/* Elements between asking for a vector and using it. */
#define AHEAD 8

#define LINE 16					/* numbers of a cache line */

typedef float Vector __attribute__((vector_size(64)));
typedef float Stored __attribute__((vector_size(64), aligned(4), may_alias));

#define LOAD(address) ((Vector) *(const Stored *) (address))
#define STORE(address, vector) (*(Stored *) (address) = (Stored) (vector))

/* packed = scale * v, target += b * v */
PM_INLINE void
pack_vector(int factors, const float *v, float scale, float b, float *packed,
			float *target)
{
	int			j = 0;

	for (; j + LINE <= factors; j += LINE)
	{
		Vector		x = LOAD(v + j);

		if (packed != NULL)
			STORE(packed + j, scale * x);
		STORE(target + j, LOAD(target + j) + b * x);
	}
	for (; j < factors; j++)
	{
		if (packed != NULL)
			packed[j] = scale * v[j];
		target[j] += b * v[j];
	}
}

/* Gather. */
PM_INLINE void
pack_body(const AlsSide *side, const AlsRow *row, int64_t first, int count,
		  float *packed, float *target)
{
	int			factors = side->factors;
	const int32_t *indices = row->indices;

	for (int k = 0; k < count; k++)
	{
		int64_t		at = first + k;
		int64_t		column = indices == NULL ? at : indices[at];
		float		a = 1;
		float		b = 0;

		if (indices != NULL)
		{
			float		value = row->values[at];

			a = side->terms.a0 + side->terms.a1 * value;
			b = side->terms.b0 + side->terms.b1 * value;
			if (side->biases != NULL)
				b -= side->biases[column];
			if (at + AHEAD < row->count)
				for (int j = 0; j < factors; j += LINE)
					__builtin_prefetch(side->vectors + (int64_t) indices[at + AHEAD] * factors + j);
		}
		a = sqrtf(a);
		pack_vector(factors, side->vectors + column * factors, a, b, packed, target);
		if (side->width > factors)
		{
			if (packed != NULL)
				packed[factors] = a;
			target[factors] += b;
		}
		if (packed != NULL)
			packed += side->padded;
	}
}

/* The sum of a vector's numbers, in a fixed order. */
PM_INLINE float
sum_of(const Vector *vector)
{
	float		x[LINE];

	memcpy(x, vector, sizeof(x));
	for (int step = LINE / 2; step > 0; step /= 2)
		for (int i = 0; i < step; i++)
			x[i] += x[i + step];
	return x[0];
}

/* <x, y> of padded vectors. */
PM_INLINE float
dot_of(int padded, const float *x, const float *y)
{
	Vector		low = {0};
	Vector		high = {0};

	for (int j = 0; j < padded; j += ALS_TILE)
	{
		low += LOAD(x + j) * LOAD(y + j);
		high += LOAD(x + j + LINE) * LOAD(y + j + LINE);
	}
	low += high;
	return sum_of(&low);
}

/* Four dots at a time: their sums do not wait for each other. */
PM_INLINE void
dots_body(int padded, int count, const float *packed, const float *p,
		  float *dots)
{
	size_t		stride = (size_t) padded;
	int			k = 0;

	for (; k + 4 <= count; k += 4, packed += 4 * stride)
	{
		Vector		sum[4] = {{0}};

		for (int j = 0; j < padded; j += LINE)
		{
			Vector		x = LOAD(p + j);

			sum[0] += LOAD(packed + j) * x;
			sum[1] += LOAD(packed + stride + j) * x;
			sum[2] += LOAD(packed + 2 * stride + j) * x;
			sum[3] += LOAD(packed + 3 * stride + j) * x;
		}
		for (int i = 0; i < 4; i++)
			dots[k + i] = sum_of(&sum[i]);
	}
	for (; k < count; k++, packed += stride)
		dots[k] = dot_of(padded, packed, p);
}

/* target += sum of dots[k] w_k, four vectors at a time */
PM_INLINE void
combine_body(int padded, int count, const float *packed, const float *dots,
			 float *target)
{
	size_t		stride = (size_t) padded;
	int			k = 0;

	for (; k + 4 <= count; k += 4, packed += 4 * stride)
		for (int j = 0; j < padded; j += LINE)
		{
			Vector		sum = LOAD(target + j);

			sum += dots[k] * LOAD(packed + j);
			sum += dots[k + 1] * LOAD(packed + stride + j);
			sum += dots[k + 2] * LOAD(packed + 2 * stride + j);
			sum += dots[k + 3] * LOAD(packed + 3 * stride + j);
			STORE(target + j, sum);
		}
	for (; k < count; k++, packed += stride)
		for (int j = 0; j < padded; j += LINE)
			STORE(target + j, LOAD(target + j) + dots[k] * LOAD(packed + j));
}

/* Both, while a few vectors are in the first cache. */
PM_INLINE void
apply_body(int padded, int count, const float *packed, const float *p,
		   float *q)
{
	float		dots[16];

	for (int k = 0; k < count; k += 16, packed += (size_t) 16 * padded)
	{
		int			some = count - k < 16 ? count - k : 16;

		dots_body(padded, some, packed, p, dots);
		combine_body(padded, some, packed, dots, q);
	}
}

PM_INLINE void
add_scaled_body(int padded, float factor, const float *x, float *y)
{
	combine_body(padded, 1, x, &factor, y);
}

PM_INLINE void
apply_gramian_body(int padded, const float *gramian, float lambda,
				   const float *p, float *q)
{
	for (int j = 0; j < padded; j += LINE)
		STORE(q + j, lambda * LOAD(p + j));
	if (gramian != NULL)
		combine_body(padded, padded, gramian, p, q);
}

/* <x, y>, into an address as clones return nothing. */
PM_INLINE void
dot_body(int padded, const float *x, const float *y, double *result)
{
	*result = dot_of(padded, x, y);
}

PM_CLONES(pack,
		  (const AlsSide *side, const AlsRow *row, int64_t first, int count,
		   float *packed, float *target),
		  (side, row, first, count, packed, target));
PM_CLONES(add_scaled,
		  (int padded, float factor, const float *x, float *y),
		  (padded, factor, x, y));
PM_CLONES(apply,
		  (int padded, int count, const float *packed, const float *p, float *q),
		  (padded, count, packed, p, q));
PM_CLONES(apply_gramian,
		  (int padded, const float *gramian, float lambda, const float *p,
		   float *q),
		  (padded, gramian, lambda, p, q));
PM_CLONES(dot,
		  (int padded, const float *x, const float *y, double *result),
		  (padded, x, y, result));

void
pm_als_pack(const AlsSide *side, const AlsRow *row, int64_t first, int count,
			float *packed, float *target)
{
	pack(side, row, first, count, packed, target);
}

void
pm_als_apply(int padded, int count, const float *packed, const float *p,
			 float *q)
{
	apply(padded, count, packed, p, q);
}

void
pm_als_apply_gramian(const AlsSide *side, float lambda, const float *p,
					 float *q)
{
	apply_gramian(side->padded, side->gramian, lambda, p, q);
}

double
pm_als_dot(int padded, const float *x, const float *y)
{
	double		result;

	dot(padded, x, y, &result);
	return result;
}

void
pm_als_add_scaled(int padded, float factor, const float *x, float *y)
{
	add_scaled(padded, factor, x, y);
}
