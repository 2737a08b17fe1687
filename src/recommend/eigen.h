/*
 * eigen.h
 *		Eigenvalues and vectors of small symmetric matrices.
 */
#ifndef PM_EIGEN_H
#define PM_EIGEN_H

#include "pm_arena.h"
#include "pm_context.h"

/*
 * a (n, n) is symmetric and becomes its eigenvectors, a row each, the largest
 * eigenvalue first; values (n).
 */
extern PmStatus pm_eigen_symmetric(PmContext *ctx, int32_t n, double *a,
								   double *values);

#endif							/* PM_EIGEN_H */
