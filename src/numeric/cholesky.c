/*
 * cholesky.c
 *		Cholesky factorisation that leaves dependent columns out.
 *
 * Left-looking by tiles of TILE columns: a tile's columns take off what the
 * columns before them account for, as products of rows of L, which lie
 * contiguous; its diagonal block is factored; the rows below are solved.
 * One task owns TILE rows, so results do not depend on the threads.
 */
#include "pm_cholesky.h"

#include "pm_clones.h"
#include "pm_parallel.h"

#include <math.h>
#include <string.h>

#define TILE 64

/* Columns of the inverse that a task computes together. */
#define SOLVED 8

/* Nanoseconds of a multiplication, about. */
#define MULTIPLY_TIME 0.2

typedef double Four __attribute__((vector_size(32)));

/* The state of a factorisation. */
typedef struct Factoring
{
	int			n;
	double	   *a;
	int			column;			/* first of the tile's */
} Factoring;

/* c (2, 4) -= the products of 2 rows with 4 rows over `length` columns. */
PM_INLINE void
subtract_products(const double *a, const double *b, size_t stride, int length,
				  double *c)
{
	Four		sum[2][4] = {{{0}}};

	for (int k = 0; k + 4 <= length; k += 4)
	{
		Four		row[2];

		memcpy(&row[0], a + k, sizeof(Four));
		memcpy(&row[1], a + stride + k, sizeof(Four));
		for (int j = 0; j < 4; j++)
		{
			Four		other;

			memcpy(&other, b + j * stride + k, sizeof(Four));
			sum[0][j] += row[0] * other;
			sum[1][j] += row[1] * other;
		}
	}
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 4; j++)
			c[i * stride + j] -= (sum[i][j][0] + sum[i][j][2]) +
				(sum[i][j][1] + sum[i][j][3]);
}

/* The same for one row with one; length is a multiple of 4. */
PM_INLINE void
subtract_product(const double *a, const double *b, int length, double *c)
{
	Four		sum = {0};

	for (int k = 0; k + 4 <= length; k += 4)
	{
		Four		x;
		Four		y;

		memcpy(&x, a + k, sizeof(Four));
		memcpy(&y, b + k, sizeof(Four));
		sum += x * y;
	}
	*c -= (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/*
 * Rows [row, row + rows) of columns [column, column + columns) less what the
 * columns before them account for.  What lies above the diagonal is scratch.
 */
PM_INLINE void
update_rows_body(double *a, size_t stride, int row, int rows, int column,
				 int columns)
{
	for (int i = row; i < row + rows;)
	{
		int			pair = i + 2 <= row + rows ? 2 : 1;
		const double *left = a + (size_t) i * stride;

		for (int j = column; j < column + columns;)
		{
			const double *right = a + (size_t) j * stride;
			double	   *out = a + (size_t) i * stride + j;

			if (pair == 2 && j + 4 <= column + columns)
			{
				subtract_products(left, right, stride, column, out);
				j += 4;
				continue;
			}
			for (int p = 0; p < pair; p++)
				subtract_product(left + p * stride, right, column, out + p * stride);
			j++;
		}
		i += pair;
	}
}

PM_CLONES(update_rows,
		  (double *a, size_t stride, int row, int rows, int column, int columns),
		  (a, stride, row, rows, column, columns));

/* Solve x L' = b for one row, L the diagonal block of `columns` columns. */
static void
solve_row(const double *block, size_t stride, int columns, double *b)
{
	for (int j = 0; j < columns; j++)
	{
		const double *l = block + (size_t) j * stride;
		double		value = b[j];

		for (int k = 0; k < j; k++)
			value -= b[k] * l[k];
		b[j] = value / l[j];
	}
}

static inline int
tile_columns(const Factoring *state)
{
	return state->n - state->column < TILE ? state->n - state->column : TILE;
}

/* Rows of one tile below the diagonal block: update. */
static void
update_tile(int64_t index, int lane, void *argument)
{
	const Factoring *state = argument;
	int			row = state->column + (int) index * TILE;
	int			rows = state->n - row < TILE ? state->n - row : TILE;

	(void) lane;
	update_rows(state->a, (size_t) state->n, row, rows, state->column,
				tile_columns(state));
}

/* The same rows, after the diagonal block has been factored: solve. */
static void
solve_tile(int64_t index, int lane, void *argument)
{
	const Factoring *state = argument;
	size_t		stride = (size_t) state->n;
	int			row = state->column + (int) (index + 1) * TILE;
	int			end = state->n - row < TILE ? state->n : row + TILE;
	const double *block = state->a + (size_t) state->column * stride + state->column;

	(void) lane;
	for (int i = row; i < end; i++)
		solve_row(block, stride, TILE, state->a + (size_t) i * stride + state->column);
}

/* Make a column and its row those of a unit matrix. */
static void
drop_column(Factoring *state, int j)
{
	size_t		stride = (size_t) state->n;

	memset(state->a + (size_t) j * stride, 0, (size_t) j * sizeof(double));
	for (int i = j; i < state->n; i++)
		state->a[(size_t) i * stride + j] = i == j;
}

/*
 * Factor the diagonal block, whose columns are updated by those before the
 * block.  A column that is dropped must be 0 in the rows below, which are
 * solved later: they are set to 0, and solving keeps that.
 */
static void
factor_block(Factoring *state, const double *diagonal, double tolerance,
			 bool *dropped)
{
	size_t		stride = (size_t) state->n;
	int			first = state->column;

	for (int j = first; j < first + tile_columns(state); j++)
	{
		double	   *row = state->a + (size_t) j * stride;
		double		pivot;

		if (!dropped[j])
			solve_row(state->a + (size_t) first * stride + first, stride,
					  j - first, row + first);
		pivot = row[j];
		for (int k = first; k < j; k++)
			pivot -= row[k] * row[k];
		if (dropped[j] || !(pivot > tolerance * diagonal[j]))
		{
			dropped[j] = true;
			drop_column(state, j);
		}
		else
			row[j] = sqrt(pivot);
	}
}

/* One tile of columns. */
static PmStatus
factor_tile(PmContext *ctx, Factoring *state, const double *diagonal,
			double tolerance, bool *dropped)
{
	int64_t		tiles = (state->n - state->column + TILE - 1) / TILE;
	double		work = MULTIPLY_TIME * TILE * TILE;

	PM_TRY(pm_parallel(ctx, "Cholesky factorisation", tiles,
					   work * (state->column + 1), update_tile, state));
	factor_block(state, diagonal, tolerance, dropped);
	return pm_parallel(ctx, "Cholesky factorisation", tiles - 1,
					   2 * work * TILE, solve_tile, state);
}

PmStatus
pm_cholesky_factor(PmContext *ctx, int n, double *a, double tolerance,
				   bool *dropped)
{
	Factoring	state = {n, a, 0};
	PmStatus	status = PM_OK;
	double	   *diagonal;

	PM_TRY(pm_alloc(ctx, "diagonal of a matrix", (size_t) n, sizeof(double),
					&diagonal));
	for (int j = 0; j < n; j++)
		diagonal[j] = a[(size_t) j * n + j];
	for (; status == PM_OK && state.column < n; state.column += TILE)
		status = factor_tile(ctx, &state, diagonal, tolerance, dropped);
	pm_release(ctx, diagonal);
	return status;
}

void
pm_cholesky_half_solve(int n, const double *l, const bool *dropped, double *b)
{
	for (int i = 0; i < n; i++)
	{
		const double *row = l + (size_t) i * n;
		double		value = b[i];

		for (int k = 0; k < i; k++)
			value -= row[k] * b[k];
		b[i] = dropped[i] ? 0 : value / row[i];
	}
}

void
pm_cholesky_solve(int n, const double *l, const bool *dropped, double *b)
{
	pm_cholesky_half_solve(n, l, dropped, b);
	for (int i = n - 1; i >= 0; i--)
	{
		const double *row = l + (size_t) i * n;

		b[i] = dropped[i] ? 0 : b[i] / row[i];
		for (int k = 0; k < i; k++)
			b[k] -= row[k] * b[i];
	}
}

/* The state of an inversion. */
typedef struct Inverting
{
	int			n;
	const double *l;
	const bool *dropped;
	double	   *diagonal;
	double	   *scratch;		/* lanes of n * SOLVED */
	int			first;			/* of the columns of this batch */
} Inverting;

/*
 * Columns [first, first + SOLVED) of L^-1, a row of them at a time, and the
 * sums of their squares.  y is (n, SOLVED).
 */
PM_INLINE void
invert_columns_body(int n, const double *l, int first, double *y,
					double *squares)
{
	static const double unit[2 * SOLVED] = {[SOLVED] = 1};
	Four		total_low = {0};
	Four		total_high = {0};

	for (int i = first; i < n; i++)
	{
		const double *row = l + (size_t) i * n;
		Four		low = {0};
		Four		high = {0};

		if (i - first < SOLVED)
		{
			memcpy(&low, unit + SOLVED - (i - first), sizeof(low));
			memcpy(&high, unit + SOLVED - (i - first) + 4, sizeof(high));
		}
		for (int k = first; k < i; k++)
		{
			Four		y_low;
			Four		y_high;

			memcpy(&y_low, y + (size_t) k * SOLVED, sizeof(y_low));
			memcpy(&y_high, y + (size_t) k * SOLVED + 4, sizeof(y_high));
			low -= row[k] * y_low;
			high -= row[k] * y_high;
		}
		low /= row[i];
		high /= row[i];
		total_low += low * low;
		total_high += high * high;
		memcpy(y + (size_t) i * SOLVED, &low, sizeof(low));
		memcpy(y + (size_t) i * SOLVED + 4, &high, sizeof(high));
	}
	memcpy(squares, &total_low, sizeof(total_low));
	memcpy(squares + 4, &total_high, sizeof(total_high));
}

PM_CLONES(invert_columns,
		  (int n, const double *l, int first, double *y, double *squares),
		  (n, l, first, y, squares));

/* One task's columns; its place in a batch is its scratch. */
static void
invert_task(int64_t index, int lane, void *argument)
{
	const Inverting *state = argument;
	int			first = state->first + (int) index * SOLVED;
	double		squares[SOLVED];

	(void) lane;
	invert_columns(state->n, state->l, first,
				   state->scratch + (size_t) index * state->n * SOLVED, squares);
	for (int j = first; j < first + SOLVED && j < state->n; j++)
		state->diagonal[j] = state->dropped[j] ? NAN : squares[j - first];
}

/*
 * (A^-1)_jj is the sum of the squares of column j of L^-1.  A column that was
 * dropped is in L a unit vector, which touches no other.
 */
PmStatus
pm_cholesky_inverse_diagonal(PmContext *ctx, int n, const double *l,
							 const bool *dropped, double *diagonal)
{
	enum
	{
		BATCH = 16				/* tasks at a time */
	};
	Inverting	state = {n, l, dropped, diagonal, NULL, 0};
	PmStatus	status = PM_OK;

	PM_TRY(pm_alloc(ctx, "columns of an inverse", (size_t) n,
					BATCH * SOLVED * sizeof(double), &state.scratch));
	for (; status == PM_OK && state.first < n; state.first += BATCH * SOLVED)
	{
		int			left = (n - state.first + SOLVED - 1) / SOLVED;
		double		height = n - state.first;

		status = pm_parallel(ctx, "inversion", left < BATCH ? left : BATCH,
							 MULTIPLY_TIME * SOLVED * height * height / 2,
							 invert_task, &state);
	}
	pm_release(ctx, state.scratch);
	return status;
}
