/*
 * invert.c
 *		Inverses of large positive definite matrices, in place.
 *
 * The sweep operator (Goodnight 1979) by blocks of rows K, whose Schur
 * complement is factored by Cholesky in double, A_KK = LL'.  With R the other
 * rows, W = A_KR and Z = L^-1 W:
 *
 *		A_RR -= Z'Z		A_KR = L^-T Z		A_KK = -(L^-T L^-1)
 *
 * After all blocks A is the negative of its inverse.  It takes n^3
 * multiplications and additions, as Cholesky's factor and its inverse do, but
 * is in place and nearly all of it one kind of product.
 *
 * Tiles are tasks, with BLAS on one thread, and their size does not depend on
 * the threads, so the result does not either.
 */
#include "invert.h"

#include <string.h>

#include "pm_cholesky.h"
#include "pm_clones.h"
#include "pm_parallel.h"

/* Rows of a block, and rows and columns of a tile. */
#define BLOCK 256
#define TILE 512

/* Nanoseconds of a multiplication and an addition, about. */
#define MULTIPLY_TIME 0.04

/* A pivot that is less of its diagonal element is of rounding alone. */
#define TINY_PIVOT 4e-7

typedef struct Inverting
{
	int32_t		n;
	float	   *a;
	float	   *w;				/* (BLOCK, n) */
	float	   *z;				/* (BLOCK, n); 0 in the block's columns */
	float	   *diagonal;		/* n: of the matrix given */
	float	   *lower;			/* L^-1, (size, size) */
	double	   *factor;			/* L, (size, size) */
	double	   *inverse;		/* L^-1, (size, size) */
	bool	   *dropped;
	PmContext  *lanes;			/* contexts of one thread */
	int			lane_count;
	int32_t		first;			/* of the block's rows */
	int32_t		size;
} Inverting;

/* C = op(A) B + beta C, without a device: A is (k, m) where transposed. */
static void
multiply_plain(bool transpose, int64_t m, int64_t n, int64_t k, float alpha,
			   const float *a, int64_t lda, const float *b, int64_t ldb,
			   float beta, float *c, int64_t ldc)
{
	for (int64_t i = 0; i < m; i++)
	{
		float	   *row = c + i * ldc;

		for (int64_t j = 0; j < n; j++)
			row[j] = beta == 0 ? 0 : beta * row[j];
		for (int64_t p = 0; p < k; p++)
		{
			float		value = alpha * (transpose ? a[p * lda + i] : a[i * lda + p]);
			const float *other = b + p * ldb;

			for (int64_t j = 0; j < n; j++)
				row[j] += value * other[j];
		}
	}
}

/* C = alpha op(A) B + beta C on one thread; the lane remembers a failure. */
static void
multiply(PmContext *lane, bool transpose, int64_t m, int64_t n, int64_t k,
		 float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
		 float beta, float *c, int64_t ldc)
{
	if (lane->device == NULL)
		multiply_plain(transpose, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
	else if (lane->message[0] == '\0' &&
			 lane->device->sgemm(lane, transpose, false, m, n, k, alpha, a, lda, b, ldb,
								 beta, c, ldc) != PM_OK && lane->message[0] == '\0')
		strcpy(lane->message, "matrix product");
}

static inline int32_t
tile_size(const Inverting *state, int64_t tile)
{
	int64_t		left = state->n - tile * TILE;

	return left < TILE ? (int32_t) left : TILE;
}

/* W of a tile's columns: rows of the block, from both sides of the diagonal. */
static void
gather_columns(const Inverting *state, int32_t begin, int32_t end)
{
	size_t		n = (size_t) state->n;
	int32_t		last = state->first + state->size;

	for (int32_t j = begin; j < end && j < state->first; j++)
		for (int32_t k = 0; k < state->size; k++)
			state->w[k * n + j] = state->a[j * n + state->first + k];
	for (int32_t k = 0; k < state->size; k++)
	{
		const float *row = state->a + (state->first + k) * n;

		for (int32_t j = begin > state->first ? begin : state->first; j < end; j++)
			state->w[k * n + j] = j < last ? 0 : row[j];
	}
}

/* Z = L^-1 W of a tile's columns. */
static void
solve_tile(int64_t tile, int lane, void *argument)
{
	const Inverting *state = argument;
	int64_t		begin = tile * TILE;
	int32_t		columns = tile_size(state, tile);

	gather_columns(state, (int32_t) begin, (int32_t) begin + columns);
	multiply(&state->lanes[lane], false, state->size, columns, state->size, 1, state->lower,
			 state->size, state->w + begin, state->n, 0, state->z + begin, state->n);
}

/* A -= Z'Z in one tile of the upper triangle, counted column by column. */
static void
update_tile(int64_t index, int lane, void *argument)
{
	const Inverting *state = argument;
	PmContext  *ctx = &state->lanes[lane];
	int64_t		column = 0;
	int64_t		row;
	size_t		n = (size_t) state->n;

	while ((column + 1) * (column + 2) / 2 <= index)
		column++;
	row = index - column * (column + 1) / 2;
	multiply(ctx, true, tile_size(state, row), tile_size(state, column), state->size, -1,
			 state->z + row * TILE, state->n, state->z + column * TILE, state->n, 1,
			 state->a + row * TILE * n + column * TILE, state->n);
}

/* A_KR = L^-T Z of a tile's columns, by way of W. */
static void
finish_tile(int64_t tile, int lane, void *argument)
{
	const Inverting *state = argument;
	size_t		n = (size_t) state->n;
	int32_t		begin = (int32_t) tile * TILE;
	int32_t		end = begin + tile_size(state, tile);
	int32_t		last = state->first + state->size;

	multiply(&state->lanes[lane], true, state->size, end - begin, state->size, 1, state->lower,
			 state->size, state->z + begin, state->n, 0, state->w + begin, state->n);
	for (int32_t j = begin; j < end && j < state->first; j++)
		for (int32_t k = 0; k < state->size; k++)
			state->a[j * n + state->first + k] = state->w[k * n + j];
	for (int32_t k = 0; k < state->size && last < end; k++)
	{
		int32_t		j = begin > last ? begin : last;

		memcpy(state->a + (state->first + k) * n + j, state->w + k * n + j, (size_t) (end - j) * sizeof(float));
	}
}

typedef double Four __attribute__((vector_size(32)));

/* to += value * from */
PM_INLINE void
add_multiple(double value, const double *from, double *to, int32_t count)
{
	int32_t		j = 0;

	for (; j + 4 <= count; j += 4)
	{
		Four		x;
		Four		y;

		memcpy(&x, from + j, sizeof(x));
		memcpy(&y, to + j, sizeof(y));
		y += value * x;
		memcpy(to + j, &y, sizeof(y));
	}
	for (; j < count; j++)
		to[j] += value * from[j];
}

/* The inverse of a lower triangle, row by row. */
PM_INLINE void
invert_lower_body(int32_t size, const double *factor, double *inverse)
{
	for (int32_t i = 0; i < size; i++)
	{
		const double *l = factor + (size_t) i * size;
		double	   *row = inverse + (size_t) i * size;

		memset(row, 0, (size_t) size * sizeof(double));
		for (int32_t k = 0; k < i; k++)
			add_multiple(-l[k], inverse + (size_t) k * size, row, k + 1);
		row[i] = 1;
		for (int32_t j = 0; j <= i; j++)
			row[j] /= l[i];
	}
}

PM_CLONES(invert_lower, (int32_t size, const double *factor, double *inverse),
		  (size, factor, inverse));

/* R'R of a lower triangle R: the lower triangle of it. */
PM_INLINE void
square_lower_body(int32_t size, const double *r, double *square)
{
	memset(square, 0, (size_t) size * size * sizeof(double));
	for (int32_t k = 0; k < size; k++)
	{
		const double *row = r + (size_t) k * size;

		for (int32_t i = 0; i <= k; i++)
			add_multiple(row[i], row, square + (size_t) i * size, i + 1);
	}
}

PM_CLONES(square_lower, (int32_t size, const double *r, double *square),
		  (size, r, square));

/* Factor the block; its pivots are compared with what the diagonal was. */
static PmStatus
factor_block(PmContext *ctx, Inverting *state, int32_t *column)
{
	int32_t		size = state->size;
	size_t		n = (size_t) state->n;

	for (int32_t i = 0; i < size; i++)
		for (int32_t j = i; j < size; j++)
			state->factor[(size_t) j * size + i] = state->a[(state->first + i) * n + state->first + j];
	memset(state->dropped, 0, (size_t) size);
	PM_TRY(pm_cholesky_factor(ctx, size, state->factor, 0, state->dropped));
	for (int32_t i = 0; i < size; i++)
	{
		double		pivot = state->factor[(size_t) i * size + i];

		if (!state->dropped[i] && pivot * pivot > TINY_PIVOT * state->diagonal[state->first + i])
			continue;
		*column = state->first + i;
		return pm_fail(ctx, PM_INVALID, "column %d depends on those before it", *column);
	}
	invert_lower(size, state->factor, state->inverse);
	for (int32_t i = 0; i < size * size; i++)
		state->lower[i] = (float) state->inverse[i];
	return PM_OK;
}

/* A_KK = -(L^-T L^-1), upper triangle. */
static void
finish_block(Inverting *state)
{
	int32_t		size = state->size;
	size_t		n = (size_t) state->n;

	square_lower(size, state->inverse, state->factor);
	for (int32_t i = 0; i < size; i++)
		for (int32_t j = i; j < size; j++)
			state->a[(state->first + i) * n + state->first + j] = (float) -state->factor[(size_t) j * size + i];
}

/* The failure of a lane, if there is one. */
static PmStatus
lanes_status(PmContext *ctx, const Inverting *state)
{
	for (int lane = 0; lane < state->lane_count; lane++)
		if (state->lanes[lane].message[0] != '\0')
			return pm_fail(ctx, PM_DEVICE_ERROR, "%s", state->lanes[lane].message);
	return PM_OK;
}

/* One block's sweep. */
static PmStatus
sweep_block(PmContext *ctx, Inverting *state, int32_t *column)
{
	int64_t		tiles = ((int64_t) state->n + TILE - 1) / TILE;
	double		work = MULTIPLY_TIME * TILE * state->size;

	PM_TRY(factor_block(ctx, state, column));
	PM_TRY(pm_parallel(ctx, "inversion", tiles, work * state->size, solve_tile, state));
	PM_TRY(pm_parallel(ctx, "inversion", tiles * (tiles + 1) / 2, work * TILE, update_tile, state));
	PM_TRY(pm_parallel(ctx, "inversion", tiles, work * state->size, finish_tile, state));
	finish_block(state);
	return lanes_status(ctx, state);
}

static PmStatus
sweep(PmContext *ctx, Inverting *state, int32_t *column)
{
	size_t		n = (size_t) state->n;
	size_t		block = n < BLOCK ? n : BLOCK;

	PM_TRY(pm_alloc(ctx, "rows of an inverse", block * n, sizeof(float), &state->w));
	PM_TRY(pm_alloc(ctx, "rows of an inverse", block * n, sizeof(float), &state->z));
	PM_TRY(pm_alloc(ctx, "diagonal of a matrix", n, sizeof(float), &state->diagonal));
	PM_TRY(pm_alloc(ctx, "block of an inverse", block * block, sizeof(float), &state->lower));
	PM_TRY(pm_alloc(ctx, "block of an inverse", block * block, sizeof(double), &state->factor));
	PM_TRY(pm_alloc(ctx, "block of an inverse", block * block, sizeof(double), &state->inverse));
	PM_TRY(pm_alloc(ctx, "block of an inverse", block, sizeof(bool), &state->dropped));
	state->lane_count = ctx->threads < 1 ? 1 : ctx->threads;
	PM_TRY(pm_alloc(ctx, "threads of an inverse", (size_t) state->lane_count, sizeof(PmContext), &state->lanes));
	for (int lane = 0; lane < state->lane_count; lane++)
		state->lanes[lane] = (PmContext) {.arena = ctx->arena,.device = ctx->device,.threads = 1};
	for (size_t i = 0; i < n; i++)
		state->diagonal[i] = state->a[i * n + i];
	for (state->first = 0; state->first < state->n; state->first += BLOCK)
	{
		state->size = state->n - state->first < BLOCK ? state->n - state->first : BLOCK;
		PM_TRY(sweep_block(ctx, state, column));
		pm_progress(ctx, "inversion", (double) (state->first + state->size) / state->n);
	}
	return PM_OK;
}

PmStatus
pm_invert(PmContext *ctx, int32_t n, float *a, int32_t *column)
{
	Inverting	state = {.n = n,.a = a};
	PmStatus	status = sweep(ctx, &state, column);

	pm_release(ctx, state.w);
	pm_release(ctx, state.z);
	pm_release(ctx, state.diagonal);
	pm_release(ctx, state.lower);
	pm_release(ctx, state.factor);
	pm_release(ctx, state.inverse);
	pm_release(ctx, state.dropped);
	pm_release(ctx, state.lanes);
	return status;
}
