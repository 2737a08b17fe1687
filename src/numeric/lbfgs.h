/*
 * lbfgs.h
 *		The state of a minimisation, and its passes over the variables.
 */
#ifndef LBFGS_H
#define LBFGS_H

#include "pm_lbfgs.h"

/* Sums of a task; the last five come for each pair. */
enum
{
	SUM_SQUARE,					/* of the steepest ascent */
	SUM_LARGEST,				/* of its elements, in units: a maximum */
	SUM_SLOPE,
	SUM_PENALTY,
	SUM_PAIRS,
	PAIR_S_V = 0,				/* s_j and y_j with the steepest ascent v ... */
	PAIR_Y_V,
	PAIR_S_NEW_Y,				/* ... and with the newest pair */
	PAIR_Y_NEW_S,
	PAIR_Y_NEW_Y,
	PAIR_SUMS
};

#define SUMS (SUM_PAIRS + PAIR_SUMS * PM_LBFGS_MAX_MEMORY)

/* The state of a minimisation; vectors of n. */
typedef struct Minimiser
{
	const PmLbfgsProblem *problem;
	const PmLbfgsOptions *options;
	PmLbfgsResult *result;
	int64_t		n;
	int64_t		ranges;
	double	   *vectors;		/* all of those below */
	double	   *x;
	double	   *trial;
	double	   *gradient;
	double	   *trial_gradient;
	double	   *ascent;			/* gradient, or pseudo-gradient */
	double	   *direction;
	double	   *s;				/* memory * n */
	double	   *y;
	double	   *partial;		/* ranges * SUMS */
	double		sums[SUMS];

	/* pairs are in places 0 .. count - 1; order[0] is the oldest's */
	int			count;
	int			newest;			/* place of a pair not yet measured, or -1 */
	int			order[PM_LBFGS_MAX_MEMORY];
	double		sy[PM_LBFGS_MAX_MEMORY][PM_LBFGS_MAX_MEMORY];
	double		yy[PM_LBFGS_MAX_MEMORY][PM_LBFGS_MAX_MEMORY];

	/* the direction as a sum of vectors, by place */
	double		of_ascent;
	double		of_s[PM_LBFGS_MAX_MEMORY];
	double		of_y[PM_LBFGS_MAX_MEMORY];

	double		value;			/* at x, with the penalty */
	double		slope;			/* of the direction at x */
	double		step;			/* along it, of the trial */
	double		trial_value;
	double		trial_slope;	/* there; not computed under a penalty */
	double		promised;		/* by the slope at x for the trial */
} Minimiser;

/* ---- passes, lbfgs_passes.c ---------------------------------------------- */

/*
 * Form the newest pair, if there is one, of the step just taken, and the
 * steepest ascent; m->sums becomes those of all variables, but for SUM_SLOPE
 * and SUM_PENALTY.
 */
extern PmStatus pm_lbfgs_measure(PmContext *ctx, Minimiser *m);

/* m->direction from its coefficients, and m->slope. */
extern PmStatus pm_lbfgs_combine(PmContext *ctx, Minimiser *m);

/* m->trial at m->step along the direction, m->promised, its penalty. */
extern PmStatus pm_lbfgs_move(PmContext *ctx, Minimiser *m, double *penalty);

/* m->trial_slope. */
extern PmStatus pm_lbfgs_measure_slope(PmContext *ctx, Minimiser *m);

/* How many ranges n variables are cut into. */
extern int64_t pm_lbfgs_ranges(int64_t n);

#endif							/* LBFGS_H */
