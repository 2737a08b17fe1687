/*
 * logistic_newton.c
 *		Newton's method, also known as iteratively reweighted least squares.
 *
 * Value, gradient and Hessian of a trial come from one pass over the rows;
 * the full step is nearly always taken, so an iteration is one pass.
 */
#include "logistic.h"

#include "pm_cholesky.h"

#include <math.h>
#include <string.h>

/* Armijo's condition. */
#define DECREASE 1e-4
#define MAX_TRIALS 30

/* Values closer than this, relatively, are alike in double precision. */
#define VALUE_NOISE 1e-14

/* A gain this small beside the value, and a gradient this small: the end. */
#define NO_GAIN 1e-24
#define NO_GRADIENT 1e-6

/* A logit at which to ask whether the classes separate. */
#define LARGE_LOGIT 8

/* Once they do: a gain in the mean loss that is not worth going on for. */
#define SEPARATED_GAIN 1e-12

/* A step that moves no logit by more than this is one at the maximum. */
#define SMALL_MOVE 0.25

/*
 * H, with l2, of the pass at b becomes its factor, and the direction
 * -H^-1 gradient.
 */
PmStatus
pm_logistic_factor(PmContext *ctx, LogisticRun *run, LogisticPass *pass)
{
	size_t		n = (size_t) run->data->p + 1;
	double		weight = run->data->weight;

	PM_TRY(pm_logistic_hessian_read(ctx, pass->hessian, run->divisor, run->matrix));
	for (size_t j = 1; j < n; j++)
	{
		double		scale = run->data->scale[j - 1];

		run->matrix[j * n + j] += run->options->l2 / (weight * scale * scale);
	}
	memcpy(run->dropped, run->aliased, n * sizeof(bool));
	PM_TRY(pm_cholesky_factor(ctx, (int) n, run->matrix, LOGISTIC_SINGULAR, run->dropped));
	for (size_t j = 0; j < n; j++)
		run->direction[j] = -run->gradient[j] / (j == 0 ? 1 : run->data->scale[j - 1]);
	pm_cholesky_solve((int) n, run->matrix, run->dropped, run->direction);
	for (size_t j = 1; j < n; j++)
		run->direction[j] /= run->data->scale[j - 1];
	return PM_OK;
}

/* The directional derivative. */
static double
slope_of(const LogisticRun *run)
{
	double		slope = 0;

	for (int32_t j = 0; j <= run->data->p; j++)
		slope += run->gradient[j] * run->direction[j];
	return slope;
}

/*
 * Go along the direction until the value has decreased.  *found is false
 * where it does nowhere; then all is again as it was at b.
 */
static PmStatus
search(PmContext *ctx, LogisticRun *run, LogisticPass *pass, double slope,
	   double *trial, bool *found)
{
	size_t		n = (size_t) run->data->p + 1;
	double		step = 1;
	double		value;

	*found = false;
	for (int tries = 0; tries < MAX_TRIALS; tries++)
	{
		double		shorter;

		for (size_t j = 0; j < n; j++)
			trial[j] = run->b[j] + step * run->direction[j];
		PM_TRY(pm_logistic_evaluate(ctx, run, pass, LOGISTIC_HESSIAN, trial,
									run->gradient, &value));
		if (value <= run->value + DECREASE * step * slope +
			VALUE_NOISE * fabs(run->value))
		{
			memcpy(run->b, trial, n * sizeof(double));
			run->value = value;
			*found = true;
			return PM_OK;
		}
		/* the minimum of the parabola through both values and the slope */
		shorter = -slope * step / (2 * (value - run->value - slope * step));
		step *= !(shorter >= 0.1) ? 0.1 : shorter > 0.5 ? 0.5 : shorter;
	}
	return pm_logistic_evaluate(ctx, run, pass, LOGISTIC_HESSIAN, run->b,
								run->gradient, &value);
}

/*
 * Is the fit at its end?  Sets separated and converged.  Without a penalty a
 * small gradient does not suffice: it is small as well on the way to
 * infinity, and where the rows that matter are few.
 */
static PmStatus
look_for_end(PmContext *ctx, LogisticRun *run, LogisticPass *pass,
			 double slope, bool *end)
{
	double		size = pm_logistic_size(run, run->gradient);
	bool		small = size <= run->tol;
	bool		separating;
	double		largest_move;

	/* what is left to gain cannot be told */
	*end = !(-slope > NO_GAIN * run->value);
	if (!run->penalised && (small || *end || run->sums.largest > LARGE_LOGIT))
	{
		PM_TRY(pm_logistic_is_separating(ctx, pass, run->direction, &separating,
										 &largest_move));
		run->fit->separated |= separating;
		small &= separating || largest_move <= SMALL_MOVE;
		if (separating && -slope <= SEPARATED_GAIN)
			*end = true;
	}
	run->fit->converged = small ||
		(*end && !run->fit->separated && size <= NO_GRADIENT);
	*end |= small;
	return PM_OK;
}

/* Iterate from run->b, whose gradient and Hessian are known. */
static PmStatus
iterate(PmContext *ctx, LogisticRun *run, LogisticPass *pass, double *trial)
{
	for (;;)
	{
		double		slope;
		bool		end;
		bool		found;

		if (run->penalised &&
			pm_logistic_size(run, run->gradient) <= run->tol)
		{
			run->fit->converged = true;
			return PM_OK;
		}
		PM_TRY(pm_logistic_factor(ctx, run, pass));
		slope = slope_of(run);
		PM_TRY(look_for_end(ctx, run, pass, slope, &end));
		if (end || run->fit->iterations >= run->options->max_iter)
			return PM_OK;
		PM_TRY(search(ctx, run, pass, slope, trial, &found));
		if (!found)
			return PM_OK;
		run->fit->iterations++;
		PM_TRY(pm_logistic_record(ctx, run, run->b, run->fit->iterations));
	}
}

/* Aliases where there is no penalty, the start, iterations. */
static PmStatus
solve(PmContext *ctx, LogisticRun *run, LogisticPass *pass, double *trial)
{
	bool		at_start = false;

	if (!run->penalised)
		PM_TRY(pm_logistic_alias_dependent(ctx, run, pass, &at_start));
	PM_TRY(pm_logistic_check_start(ctx, run, pass));
	if (!at_start)
		PM_TRY(pm_logistic_evaluate(ctx, run, pass, LOGISTIC_HESSIAN, run->b,
									run->gradient, &run->value));
	return iterate(ctx, run, pass, trial);
}

PmStatus
pm_logistic_newton(PmContext *ctx, LogisticRun *run)
{
	LogisticPass pass;
	double	   *trial = NULL;
	PmStatus	status = pm_logistic_pass_open(ctx, run->data, true, &pass);

	if (status == PM_OK)
		status = pm_alloc(ctx, "coefficients", (size_t) run->data->p + 1,
						  sizeof(double), &trial);
	if (status == PM_OK)
		status = solve(ctx, run, &pass, trial);
	pm_release(ctx, trial);
	pm_logistic_pass_close(ctx, &pass);
	return status;
}
