/*
 * als_kernel.c
 *		Products of packed vectors in registers, and the Cholesky
 *		factorisation made of them.
 *
 * Everything is a sum over k of outer products of 8 numbers with 32: of W'W
 * for the normal equations, of rows of the factor that are done for those to
 * come, of users and items for scores.
 */
#include "als.h"

#include <math.h>
#include <string.h>

/* A pivot below this part of its diagonal is rounding. */
#define SINGULAR 1e-6f

typedef float Wide __attribute__((vector_size(64)));
typedef float Narrow __attribute__((vector_size(32)));

typedef enum Mode
{
	SET,
	ADD,
	SUBTRACT
} Mode;

/*
 * A tile of ROWS rows and two vectors of columns: all its sums, and what
 * they are made of, stay in registers, 16 of AVX2's and 32 of AVX-512's.
 */
#define DEFINE_TILE(name, Vector, ROWS) \
PM_INLINE void \
name(int count, const float *left, size_t left_stride, const float *right, \
	 size_t right_stride, float *c, size_t c_stride, Mode mode) \
{ \
	Vector		sum[ROWS][2] = {{{0}}}; \
\
	for (int k = 0; k < count; k++) \
	{ \
		Vector		low; \
		Vector		high; \
\
		memcpy(&low, right, sizeof(Vector)); \
		memcpy(&high, right + sizeof(Vector) / sizeof(float), sizeof(Vector)); \
		_Pragma("GCC unroll 8") \
		for (int i = 0; i < ROWS; i++) \
		{ \
			sum[i][0] += left[i] * low; \
			sum[i][1] += left[i] * high; \
		} \
		left += left_stride; \
		right += right_stride; \
	} \
	_Pragma("GCC unroll 8") \
	for (int i = 0; i < ROWS; i++) \
		_Pragma("GCC unroll 2") \
		for (int j = 0; j < 2; j++) \
		{ \
			float	   *to = c + i * c_stride + j * sizeof(Vector) / sizeof(float); \
			Vector		old; \
\
			if (mode != SET) \
			{ \
				memcpy(&old, to, sizeof(Vector)); \
				sum[i][j] = mode == ADD ? old + sum[i][j] : old - sum[i][j]; \
			} \
			memcpy(to, &sum[i][j], sizeof(Vector)); \
		} \
}

DEFINE_TILE(wide_tile, Wide, 8)
DEFINE_TILE(narrow_tile, Narrow, 4)

/* 8 * 32 by one tile, or by four of them. */
PM_INLINE void
tile(bool wide, int count, const float *left, size_t left_stride,
	 const float *right, size_t right_stride, float *c, size_t c_stride,
	 Mode mode)
{
	if (wide)
		wide_tile(count, left, left_stride, right, right_stride, c, c_stride, mode);
	else
		for (int i = 0; i < ALS_TILE_ROWS; i += 4)
			for (int j = 0; j < ALS_TILE; j += 16)
				narrow_tile(count, left + i, left_stride, right + j, right_stride,
							c + i * c_stride + j, c_stride, mode);
}

/* The product of two, tile by tile. */
PM_INLINE void
multiply_body(bool wide, int count, int rows, int columns, const float *left,
			  size_t left_stride, const float *right, size_t right_stride,
			  float *c, size_t c_stride)
{
	for (int i = 0; i < rows; i += ALS_TILE_ROWS)
		for (int j = 0; j < columns; j += ALS_TILE)
			tile(wide, count, left + i, left_stride, right + j, right_stride,
				 c + i * c_stride + j, c_stride, SET);
}

/* Tiles that have a part above the diagonal. */
PM_INLINE void
square_body(bool wide, int size, int count, const float *w, size_t w_stride,
			float *c)
{
	size_t		stride = (size_t) size;

	for (int j = 0; j < size; j += ALS_TILE)
		for (int i = 0; i < j + ALS_TILE; i += ALS_TILE_ROWS)
			tile(wide, count, w + i, w_stride, w + j, w_stride, c + i * stride + j, stride, ADD);
}

/* row (from column on) -= factor * other, ends at a multiple of 16. */
PM_INLINE void
subtract_row(float *row, const float *other, float factor, int column, int end)
{
	for (int j = column / 16 * 16; j < end; j += 16)
	{
		Wide		x;
		Wide		y;

		memcpy(&x, row + j, sizeof(Wide));
		memcpy(&y, other + j, sizeof(Wide));
		x -= factor * y;
		memcpy(row + j, &x, sizeof(Wide));
	}
}

PM_INLINE void
scale_row(float *row, float factor, int column, int end)
{
	for (int j = column / 16 * 16; j < end; j += 16)
	{
		Wide		x;

		memcpy(&x, row + j, sizeof(Wide));
		x *= factor;
		memcpy(row + j, &x, sizeof(Wide));
	}
}

/*
 * Eight rows of U, where A = U'U, whose columns are less by what the rows
 * above account for; and of z, where U'z = b.  On U's diagonal is the inverse
 * of the pivot's root: 0 leaves a direction out.
 */
PM_INLINE void
factor_rows(size_t stride, int first, int width, const float *diagonal,
			float *u, float *b)
{
	int			last = first + ALS_TILE_ROWS < width ? first + ALS_TILE_ROWS : width;

	for (int i = first; i < last; i++)
	{
		float	   *row = u + i * stride;
		float		inverse;

		for (int k = first; k < i; k++)
			subtract_row(row, u + k * stride, u[k * stride + i], i, (int) stride);
		inverse = row[i] > SINGULAR * diagonal[i] ? 1 / sqrtf(row[i]) : 0;
		scale_row(row, inverse, i, (int) stride);
		row[i] = inverse;
		b[i] *= inverse;
		/* in the first group of 16 lie numbers that are done */
		for (int j = i + 1; j % 16 != 0; j++)
			b[j] -= b[i] * row[j];
		subtract_row(b, row, b[i], i / 16 * 16 + 16, (int) stride);
	}
}

/* The sum of a vector's numbers, in a fixed order. */
PM_INLINE float
sum_of(const Wide *vector)
{
	float		x[16];

	memcpy(x, vector, sizeof(x));
	for (int step = 8; step > 0; step /= 2)
		for (int i = 0; i < step; i++)
			x[i] += x[i + step];
	return x[0];
}

/*
 * Solve U x = z from below, eight rows at a time: their products with what is
 * known do not wait for each other.  x is 0 from width on.
 */
PM_INLINE void
solve_back(size_t stride, int width, const float *u, float *x)
{
	for (int first = (width - 1) / ALS_TILE_ROWS * ALS_TILE_ROWS; first >= 0;
		 first -= ALS_TILE_ROWS)
	{
		int			last = first + ALS_TILE_ROWS < width ? first + ALS_TILE_ROWS : width;
		int			known = (first + ALS_TILE_ROWS + 15) / 16 * 16;
		Wide		sum[ALS_TILE_ROWS] = {{0}};

		for (int j = known; j < (int) stride; j += 16)
		{
			Wide		other;

			memcpy(&other, x + j, sizeof(Wide));
			_Pragma("GCC unroll 8")
			for (int i = 0; i < ALS_TILE_ROWS; i++)
			{
				Wide		row;

				memcpy(&row, u + (first + i) * stride + j, sizeof(Wide));
				sum[i] += row * other;
			}
		}
		for (int i = last - 1; i >= first; i--)
		{
			const float *row = u + i * stride;
			float		value = x[i] - sum_of(&sum[i - first]);

			for (int j = i + 1; j < known && j < width; j++)
				value -= row[j] * x[j];
			x[i] = value * row[i];
		}
	}
}

/* Factor and solve. */
PM_INLINE void
solve_spd_body(bool wide, int padded, int width, float *a, float *b)
{
	size_t		stride = (size_t) padded;
	float		diagonal[PM_ALS_MAX_FACTORS + 1];

	for (int i = 0; i < width; i++)
		diagonal[i] = a[i * stride + i];
	for (int i = 0; i < width; i += ALS_TILE_ROWS)
	{
		if (i > 0)
			for (int j = i / ALS_TILE * ALS_TILE; j < padded; j += ALS_TILE)
				tile(wide, i, a + i, stride, a + j, stride, a + i * stride + j, stride,
					 SUBTRACT);
		factor_rows(stride, i, width, diagonal, a, b);
	}
	memset(b + width, 0, (stride - width) * sizeof(float));
	solve_back(stride, width, a, b);
}

/*
 * PM_CLONES with a body that knows whether it is compiled for AVX-512, whose
 * registers are twice as many and twice as long.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES(name, body, parameters, ...) \
	__attribute__((target("avx512f,fma"))) \
	static void body##_avx512 parameters { body(true, __VA_ARGS__); } \
	__attribute__((target("avx2,fma"))) \
	static void body##_avx2 parameters { body(false, __VA_ARGS__); } \
	void name parameters \
	{ \
		if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma")) \
			body##_avx512(__VA_ARGS__); \
		else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) \
			body##_avx2(__VA_ARGS__); \
		else \
			body(false, __VA_ARGS__); \
	} \
	_Static_assert(1, "takes the semicolon")
#else
#define CLONES(name, body, parameters, ...) \
	void name parameters { body(false, __VA_ARGS__); } \
	_Static_assert(1, "takes the semicolon")
#endif

CLONES(pm_als_multiply, multiply_body,
	   (int count, int rows, int columns, const float *left, size_t left_stride,
		const float *right, size_t right_stride, float *c, size_t c_stride),
	   count, rows, columns, left, left_stride, right, right_stride, c, c_stride);

CLONES(pm_als_square, square_body,
	   (int size, int count, const float *w, size_t w_stride, float *c),
	   size, count, w, w_stride, c);

CLONES(pm_als_solve_spd, solve_spd_body,
	   (int padded, int width, float *a, float *b),
	   padded, width, a, b);
