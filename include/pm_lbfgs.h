/*
 * pm_lbfgs.h
 *		Minimise a smooth function of many variables, or a smooth function
 *		plus a weighted sum of absolute values.
 *
 * L-BFGS (Nocedal 1980) with a line search for the strong Wolfe conditions;
 * OWL-QN (Andrew and Gao 2007) where there is a penalty on absolute values.
 * Callers scale their variables so that the curvature is about alike in all.
 */
#ifndef PM_LBFGS_H
#define PM_LBFGS_H

#include "pm_arena.h"
#include "pm_context.h"

#define PM_LBFGS_MAX_MEMORY 32

typedef struct PmLbfgsProblem
{
	int64_t		n;				/* variables */

	/*
	 * The smooth part at x: its value and gradient (n).  A value that is not
	 * finite counts as too far.
	 */
	PmStatus	(*evaluate) (PmContext *ctx, void *problem, const double *x,
							 double *value, double *gradient);

	/* Called after every iteration, with the new x.  May be NULL. */
	PmStatus	(*iterated) (PmContext *ctx, void *problem, int iteration,
							 const double *x);
	void	   *problem;

	/* n: the penalty is sum_j l1[j] |x[j]|.  NULL: none. */
	const double *l1;

	/*
	 * n: what element j of the gradient is multiplied by before it is
	 * compared with tol.  NULL: 1.
	 */
	const double *units;
} PmLbfgsProblem;

typedef struct PmLbfgsOptions
{
	int			memory;			/* pairs kept, 1 to PM_LBFGS_MAX_MEMORY */
	int			max_iter;
	double		tol;			/* stop when no element of the gradient, with
								 * l1 of the pseudo-gradient, is larger */
} PmLbfgsOptions;

typedef struct PmLbfgsResult
{
	double		value;			/* at x, with the penalty */
	int			iterations;
	int			evaluations;

	/*
	 * The gradient is within tol, or no step changes the value by more than
	 * double precision can tell.
	 */
	bool		converged;
} PmLbfgsResult;

/* x (n): the start, then the solution. */
extern PmStatus pm_lbfgs(PmContext *ctx, const PmLbfgsProblem *problem,
						 const PmLbfgsOptions *options, double *x,
						 PmLbfgsResult *result);

#endif							/* PM_LBFGS_H */
