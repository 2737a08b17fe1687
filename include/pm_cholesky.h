/*
 * pm_cholesky.h
 *		Cholesky factorisation that leaves dependent columns out.
 *
 * Matrices are n * n, row-major, and of them the lower triangle counts.
 */
#ifndef PM_CHOLESKY_H
#define PM_CHOLESKY_H

#include "pm_arena.h"
#include "pm_context.h"

/*
 * A = LL' in place, for a symmetric positive semidefinite A.  Columns in
 * `dropped` (n) are left out; a column whose pivot, what is left of its
 * diagonal after the columns before it, is at most tolerance * diagonal
 * depends on those and is added to it.  A column left out has the row and
 * the column of a unit matrix in L.
 */
extern PmStatus pm_cholesky_factor(PmContext *ctx, int n, double *a,
								   double tolerance, bool *dropped);

/* Solve A x = b in place with the factor; x is 0 where dropped. */
extern void pm_cholesky_solve(int n, const double *l, const bool *dropped,
							  double *b);

/* Solve L y = b in place: then y'y = b' A^-1 b.  y is 0 where dropped. */
extern void pm_cholesky_half_solve(int n, const double *l,
								   const bool *dropped, double *b);

/* The diagonal of A^-1; NAN where dropped. */
extern PmStatus pm_cholesky_inverse_diagonal(PmContext *ctx, int n,
											 const double *l,
											 const bool *dropped,
											 double *diagonal);

#endif							/* PM_CHOLESKY_H */
