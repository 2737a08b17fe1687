/*
 * spectrum_ritz.c
 *		The eigenvectors of X'X within a block Y of vectors (Rayleigh, Ritz).
 *
 * With G = Y'Y = LL' and H = Y'X'XY, the eigenvectors W of L^-1 H L^-T give
 * the Ritz vectors Y L^-T W.  A column of Y that depends on others, as far as
 * float can tell, is left out: its Ritz value is 0, and its vector too.
 */
#include "spectrum.h"

#include <math.h>
#include <string.h>

#include "eigen.h"
#include "pm_cholesky.h"
#include "pm_clones.h"
#include "pm_parallel.h"

/* Of a column's square, what makes it one of its own. */
#define DEPENDENT 1e-5

/* Rows between sums in float and sums in double. */
#define PANEL 128

/* Rows of vectors that a task works on. */
#define TASK_ROWS 65536
#define TURN_ROWS 64

/* Nanoseconds of a multiplication and an addition, about. */
#define MULTIPLY_TIME 0.1

typedef float Eight __attribute__((vector_size(32)));

/* ---- products of the block -------------------------------------------------- */

typedef struct Products
{
	Spectrum   *spectrum;
	int32_t		strip;			/* the right one */
	const float *image;			/* X'X times it */
	int32_t		begin;			/* rows */
	int32_t		end;
} Products;

/* sums (4, 16) of 4 columns with 16 over some rows. */
PM_INLINE void
add_products(const float *left, const float *right, int32_t rows, double *out,
			 size_t stride)
{
	Eight		sum[4][2] = {{{0}}};

	for (int32_t row = 0; row < rows; row++)
	{
		Eight		b[2];

		memcpy(b, right + (size_t) row * PM_STRIP, sizeof(b));
		for (int i = 0; i < 4; i++)
		{
			float		a = left[(size_t) row * PM_STRIP + i];

			sum[i][0] += a * b[0];
			sum[i][1] += a * b[1];
		}
	}
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 16; j++)
			out[i * stride + j] += sum[i][j / 8][j % 8];
}

/* sums (32, 32) += left' right, panel by panel. */
PM_INLINE void
strip_products_body(const float *left, const float *right, int32_t rows,
					double *sums)
{
	for (int32_t row = 0; row < rows; row += PANEL)
	{
		int32_t		count = rows - row < PANEL ? rows - row : PANEL;
		size_t		at = (size_t) row * PM_STRIP;

		for (int i = 0; i < PM_STRIP; i += 4)
			for (int j = 0; j < PM_STRIP; j += 16)
				add_products(left + at + i, right + at + j, count, sums + i * PM_STRIP + j, PM_STRIP);
	}
}

PM_CLONES(strip_products,
		  (const float *left, const float *right, int32_t rows, double *sums),
		  (left, right, rows, sums));

/* Both products of the strip on the left with that on the right. */
static void
multiply_strips(int64_t index, int lane, void *argument)
{
	const Products *products = argument;
	Spectrum   *spectrum = products->spectrum;
	size_t		length = (size_t) spectrum->rows * PM_STRIP;
	size_t		at = (size_t) products->begin * PM_STRIP;
	const float *left = spectrum->block + (index / 2) * length + at;
	const float *right = index % 2 == 1 ? products->image + at : spectrum->block + products->strip * length + at;
	double	   *out = index % 2 == 1 ? spectrum->image : spectrum->gram;
	double		sums[PM_STRIP * PM_STRIP] = {0};

	(void) lane;
	strip_products(left, right, products->end - products->begin, sums);
	for (int i = 0; i < PM_STRIP; i++)
		for (int j = 0; j < PM_STRIP; j++)
		{
			int64_t		row = (index / 2) * PM_STRIP + i;
			int64_t		column = (int64_t) products->strip * PM_STRIP + j;

			/* the lower triangle is what Cholesky takes */
			if (row <= column && column < spectrum->size)
				out[column * spectrum->size + row] += sums[i * PM_STRIP + j];
		}
}

static PmStatus
multiply_block(PmContext *ctx, Spectrum *spectrum)
{
	size_t		bytes = (size_t) spectrum->size * spectrum->size * sizeof(double);
	Products	products = {.spectrum = spectrum,.image = spectrum->spare[0]};

	memset(spectrum->gram, 0, bytes);
	memset(spectrum->image, 0, bytes);
	for (products.strip = 0; products.strip < spectrum->strips; products.strip++)
	{
		const float *strip = spectrum->block + (size_t) products.strip * spectrum->rows * PM_STRIP;

		PM_TRY(pm_spectrum_apply(ctx, spectrum, strip, spectrum->spare[0], 1, 0, 0));
		for (products.begin = 0; products.begin < spectrum->rows; products.begin = products.end)
		{
			int32_t		left = spectrum->rows - products.begin;

			products.end = products.begin + (left < TASK_ROWS ? left : TASK_ROWS);
			PM_TRY(pm_parallel(ctx, "singular vectors", 2 * (products.strip + 1),
							   MULTIPLY_TIME * PM_STRIP * PM_STRIP * (products.end - products.begin),
							   multiply_strips, &products));
		}
	}
	for (int32_t i = 0; i < spectrum->size; i++)
		for (int32_t j = 0; j < i; j++)
			spectrum->image[(size_t) j * spectrum->size + i] = spectrum->image[(size_t) i * spectrum->size + j];
	return PM_OK;
}

/* ---- the small problem ------------------------------------------------------- */

/* One row h becomes (L^-1 h)'. */
static void
half_solve(int64_t row, int lane, void *argument)
{
	Spectrum   *spectrum = argument;

	(void) lane;
	pm_cholesky_half_solve(spectrum->size, spectrum->gram, spectrum->dropped,
						   spectrum->image + (size_t) row * spectrum->size);
}

/* A vector w, a row of the image, becomes a column of L^-T W. */
static void
back_solve(int64_t vector, int lane, void *argument)
{
	Spectrum   *spectrum = argument;
	int32_t		n = spectrum->size;
	double	   *w = spectrum->image + (size_t) vector * n;
	size_t		stride = (size_t) spectrum->strips * PM_STRIP;

	(void) lane;
	for (int32_t i = n - 1; i >= 0; i--)
	{
		const double *l = spectrum->gram + (size_t) i * n;

		w[i] = spectrum->dropped[i] || spectrum->values[vector] <= 0 ? 0 : w[i] / l[i];
		for (int32_t k = 0; k < i; k++)
			w[k] -= l[k] * w[i];
	}
	for (int32_t i = 0; i < n; i++)
		spectrum->turn[i * stride + vector] = (float) w[i];
}

static void
swap_triangles(int32_t n, double *a)
{
	for (int32_t i = 0; i < n; i++)
		for (int32_t j = 0; j < i; j++)
		{
			double		value = a[(size_t) i * n + j];

			a[(size_t) i * n + j] = a[(size_t) j * n + i];
			a[(size_t) j * n + i] = value;
		}
}

/* Values, and the turn that makes Ritz vectors of the block. */
static PmStatus
solve_small(PmContext *ctx, Spectrum *spectrum)
{
	int32_t		n = spectrum->size;
	double		work = MULTIPLY_TIME * n * (double) n * 5;

	memset(spectrum->dropped, 0, (size_t) n);
	PM_TRY(pm_cholesky_factor(ctx, n, spectrum->gram, DEPENDENT, spectrum->dropped));
	PM_TRY(pm_parallel(ctx, "singular vectors", n, work, half_solve, spectrum));
	swap_triangles(n, spectrum->image);
	PM_TRY(pm_parallel(ctx, "singular vectors", n, work, half_solve, spectrum));

	/* rounding has made it a little unsymmetric */
	for (int32_t i = 0; i < n; i++)
		for (int32_t j = 0; j < i; j++)
		{
			double	   *one = &spectrum->image[(size_t) i * n + j];
			double	   *other = &spectrum->image[(size_t) j * n + i];

			*one = *other = (*one + *other) / 2;
		}
	PM_TRY(pm_eigen_symmetric(ctx, n, spectrum->image, spectrum->values));
	memset(spectrum->turn, 0, (size_t) n * spectrum->strips * PM_STRIP * sizeof(float));
	return pm_parallel(ctx, "singular vectors", n, work, back_solve, spectrum);
}

/* ---- turning the block --------------------------------------------------------- */

/* A row of the block, (strips, PM_STRIP) in place, times the turn. */
PM_INLINE void
turn_row_body(int32_t size, int32_t strips, size_t length, const float *turn,
			  float *row)
{
	float		before[PM_STRIP];
	size_t		stride = (size_t) strips * PM_STRIP;
	float		after[PM_SPECTRUM_BLOCK];

	memset(after, 0, stride * sizeof(float));
	for (int32_t left = 0; left < size; left += PM_STRIP)
	{
		int32_t		count = size - left < PM_STRIP ? size - left : PM_STRIP;

		memcpy(before, row + left / PM_STRIP * length, sizeof(before));
		for (int32_t strip = 0; strip < strips; strip++)
		{
			Eight		sum[4];

			memcpy(sum, after + strip * PM_STRIP, sizeof(sum));
			for (int32_t k = 0; k < count; k++)
			{
				Eight		t[4];

				memcpy(t, turn + (left + k) * stride + strip * PM_STRIP, sizeof(t));
				for (int i = 0; i < 4; i++)
					sum[i] += before[k] * t[i];
			}
			memcpy(after + strip * PM_STRIP, sum, sizeof(sum));
		}
	}
	for (int32_t strip = 0; strip < strips; strip++)
		memcpy(row + strip * length, after + strip * PM_STRIP, PM_STRIP * sizeof(float));
}

PM_CLONES(turn_row,
		  (int32_t size, int32_t strips, size_t length, const float *turn, float *row),
		  (size, strips, length, turn, row));

static void
turn_rows(int64_t index, int lane, void *argument)
{
	Spectrum   *spectrum = argument;
	int64_t		end = (index + 1) * TURN_ROWS < spectrum->rows ? (index + 1) * TURN_ROWS : spectrum->rows;

	(void) lane;
	for (int64_t row = index * TURN_ROWS; row < end; row++)
		turn_row(spectrum->size, spectrum->strips, (size_t) spectrum->rows * PM_STRIP,
				 spectrum->turn, spectrum->block + row * PM_STRIP);
}

PmStatus
pm_spectrum_ritz(PmContext *ctx, Spectrum *spectrum)
{
	PM_TRY(multiply_block(ctx, spectrum));
	PM_TRY(solve_small(ctx, spectrum));
	return pm_parallel(ctx, "singular vectors", ((int64_t) spectrum->rows + TURN_ROWS - 1) / TURN_ROWS,
					   MULTIPLY_TIME * TURN_ROWS * spectrum->size * (double) spectrum->size,
					   turn_rows, spectrum);
}
