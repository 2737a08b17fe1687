/*
 * als.h
 *		The parts of alternating least squares.
 *
 * als.c			options, fit
 * als_data.c		data that can be fitted
 * als_fold.c		one user by itself
 * als_half.c		half an iteration: rows in pieces, on threads
 * als_solve.c		one row: its normal equations, exactly
 * als_iterate.c	one row: by conjugate gradients, by blocks
 * als_pack.c		the other side's vectors of a row, gathered
 * als_gram.c		sums of outer products over very many vectors
 * als_kernel.c		products of packed vectors, Cholesky
 * als_loss.c		the objective
 * als_top_k.c		best items
 *
 * "Row" is a user while users are solved, an item while items are; "column"
 * is one of the other side.  Of a row with n elements, whose vector is x:
 *
 *	objective = sum over its elements of (a (<x, v> - b / a)^2) +
 *				x' G x + lambda |x|^2
 *	normal equations (G + sum of a v v' + lambda I) x = sum of b v
 *
 * with a and b linear in the element's value.  With biases a vector has one
 * more number: the bias, to which 1 in the column's vector belongs.
 */
#ifndef ALS_H
#define ALS_H

#include "pm_als.h"
#include "pm_clones.h"

/* Vectors are padded with zeros to a multiple of this. */
#define ALS_TILE 32

/* Rows of a tile of the kernel. */
#define ALS_TILE_ROWS 8

static inline int
als_padded(int width)
{
	return (width + ALS_TILE - 1) / ALS_TILE * ALS_TILE;
}

/* a and b of an element: a = a0 + a1 value, b = b0 + b1 value. */
typedef struct AlsTerms
{
	float		a0;
	float		a1;
	float		b0;
	float		b1;
	double		unseen;			/* what each pair weighs besides */
} AlsTerms;

extern AlsTerms pm_als_terms(const PmAlsOptions *options, double mean);

/* What rows are solved against. */
typedef struct AlsSide
{
	const PmAlsOptions *options;
	AlsTerms	terms;
	int			factors;
	int			width;			/* factors, and 1 for a bias */
	int			padded;
	int			block;			/* vectors that are packed together */
	int32_t		columns;
	const float *vectors;		/* columns * factors */
	const float *biases;		/* columns, or NULL */
	const float *gramian;		/* padded * padded: G, both triangles */
} AlsSide;

/* The elements of a row; indices NULL: all columns, a = 1, b = 0. */
typedef struct AlsRow
{
	int64_t		count;
	const int32_t *indices;
	const float *values;
	float		lambda;
} AlsRow;

extern double pm_als_lambda(const AlsSide *side, int64_t count);

/* PM_INVALID where options or data do not fit; the mean of explicit values. */
extern PmStatus pm_als_check_options(PmContext *ctx,
									 const PmAlsOptions *options);
extern PmStatus pm_als_check_data(PmContext *ctx, const PmCsr *by_user,
								  const PmCsr *by_item,
								  const PmAlsOptions *options, double *mean);

/* ---- als_pack.c --------------------------------------------------------- */

/*
 * Elements [first, first + count) of a row: sqrt(a) v into packed (count *
 * padded, of which the first width are written) and sum of b v added to
 * target (padded).  packed may be NULL.
 */
extern void pm_als_pack(const AlsSide *side, const AlsRow *row, int64_t first,
						int count, float *packed, float *target);

/* q (padded) += sum of <w, p> w over the packed vectors w. */
extern void pm_als_apply(int padded, int count, const float *packed,
						 const float *p, float *q);

/* q = (G + lambda I) p */
extern void pm_als_apply_gramian(const AlsSide *side, float lambda,
								 const float *p, float *q);

/* y += factor * x */
extern void pm_als_add_scaled(int padded, float factor, const float *x,
							  float *y);

extern double pm_als_dot(int padded, const float *x, const float *y);

/* ---- als_kernel.c ------------------------------------------------------- */

/*
 * c (rows, columns) = the sum over k of left[k][0 .. rows) right[k][0 ..
 * columns), rows a multiple of 8, columns of 32; strides in numbers.
 */
extern void pm_als_multiply(int count, int rows, int columns,
							const float *left, size_t left_stride,
							const float *right, size_t right_stride,
							float *c, size_t c_stride);

/*
 * Upper triangle of c (size, size) += W'W, w is (count, size), its rows
 * w_stride apart; what lies below is scratch.  size is a multiple of 32.
 */
extern void pm_als_square(int size, int count, const float *w,
						  size_t w_stride, float *c);

/*
 * Solve A x = b, x in the place of b; of A (padded, padded) the upper
 * triangle of the first width counts, and all of it is overwritten.  A
 * direction that A has none of, to the precision of floats, gets 0.
 */
extern void pm_als_solve_spd(int padded, int width, float *a, float *b);

/* ---- als_gram.c --------------------------------------------------------- */

/*
 * sums (padded * padded, upper triangle) = the sum of a v v', and target
 * (padded) that of b v, over a row of any length, on threads.
 */
extern PmStatus pm_als_sum_row(PmContext *ctx, const AlsSide *side,
							   const AlsRow *row, double *sums,
							   double *target);

/* scale * the sum of v v' over all columns, both triangles. */
extern PmStatus pm_als_gramian(PmContext *ctx, const AlsSide *side,
							   double scale, float *gramian);

/* ---- als_solve.c and als_iterate.c -------------------------------------- */

/* A thread's own memory. */
typedef struct AlsLane
{
	float	   *matrix;			/* padded * padded */
	float	   *packed;			/* block * padded */
	float	   *vectors[5];		/* padded each; the first is the solution */
} AlsLane;

extern PmStatus pm_als_lane_open(PmContext *ctx, const AlsSide *side,
								 AlsLane *lane);
extern void pm_als_lane_close(PmContext *ctx, AlsLane *lane);

/* x (padded) becomes the solution; with CG and blocks it is the start. */
extern void pm_als_solve_cholesky(const AlsSide *side, const AlsRow *row,
								  AlsLane *lane, float *x);
extern void pm_als_solve_cg(const AlsSide *side, const AlsRow *row,
							AlsLane *lane, float *x);
extern void pm_als_solve_blocks(const AlsSide *side, const AlsRow *row,
								AlsLane *lane, float *x);

/* The exact solution of a row of any length, on threads. */
extern PmStatus pm_als_solve_long(PmContext *ctx, const AlsSide *side,
								  const AlsRow *row, AlsLane *lane, float *x);

/* ---- als_half.c --------------------------------------------------------- */

/* Which solver `auto` means. */
extern PmAlsSolver pm_als_solver(const PmAlsOptions *options);

/* Is an exact solution of so many elements more than a thread's work? */
extern bool pm_als_is_long(const AlsSide *side, int64_t count);

/* A side to solve against; gramian stays NULL. */
extern void pm_als_side_init(AlsSide *side, const PmAlsOptions *options,
							 double mean, int32_t columns,
							 const float *vectors, const float *biases);

/* Solve all rows; vectors (rows * factors) and biases are the start, too. */
extern PmStatus pm_als_half(PmContext *ctx, AlsSide *side,
							const PmCsr *matrix, float *vectors,
							float *biases);

#endif							/* ALS_H */
