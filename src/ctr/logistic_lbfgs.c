/*
 * logistic_lbfgs.c
 *		Logistic regression by L-BFGS, or OWL-QN under l1.
 *
 * The minimiser's variables are b[j] * unit[j], with unit[j] the square root
 * of the Hessian's diagonal at the start: so rare categories and frequent
 * ones, small numbers and large ones, curve alike.
 */
#include "logistic.h"

#include "pm_lbfgs.h"

#include <math.h>
#include <string.h>

/* Pairs that L-BFGS keeps: fewer where they would take very much memory. */
#define MEMORY 10
#define MIN_MEMORY 3
#define MEMORY_DOUBLES 2e7

/* What evaluate() needs; vectors of 1 + p. */
typedef struct Objective
{
	LogisticRun *run;
	LogisticPass *pass;
	double	   *unit;
	double	   *b;				/* of the variables evaluated */
	double	   *earlier;		/* b at the last iteration that was a power of
								 * 2, where there is no penalty */
	double	   *x;				/* the variables */
	double	   *l1;				/* by variable; NULL: none */
	double	   *tolerance_unit;
} Objective;

static PmStatus
evaluate(PmContext *ctx, void *problem, const double *x, double *value,
		 double *gradient)
{
	Objective  *objective = problem;
	int32_t		p = objective->run->data->p;

	for (int32_t j = 0; j <= p; j++)
		objective->b[j] = x[j] / objective->unit[j];
	PM_TRY(pm_logistic_evaluate(ctx, objective->run, objective->pass,
								LOGISTIC_GRADIENT, objective->b, gradient, value));
	for (int32_t j = 0; j <= p; j++)
		gradient[j] /= objective->unit[j];
	return PM_OK;
}

/* objective->b is x: the last point evaluated is the one that was accepted. */
static PmStatus
iterated(PmContext *ctx, void *problem, int iteration, const double *x)
{
	Objective  *objective = problem;

	(void) x;
	if (objective->earlier != NULL && (iteration & (iteration - 1)) == 0)
		memcpy(objective->earlier, objective->b,
			   ((size_t) objective->run->data->p + 1) * sizeof(double));
	return pm_logistic_record(ctx, objective->run, objective->b, iteration);
}

/* Units, penalties and the start of the variables. */
static void
scale_variables(Objective *objective)
{
	const LogisticRun *run = objective->run;
	const LogisticData *data = run->data;
	double		rate = data->positive / data->weight;
	double		curvature = rate * (1 - rate);

	for (int32_t j = 0; j <= data->p; j++)
	{
		double		mass = j == 0 ? data->weight : data->mass[j - 1];
		double		l2 = j == 0 ? 0 : run->options->l2;
		double		unit = sqrt((curvature * mass + l2) / data->weight);

		if (!(unit > 0))
			unit = 1;
		objective->unit[j] = unit;
		objective->x[j] = run->b[j] * unit;
		objective->tolerance_unit[j] = j == 0 ? unit : unit / data->scale[j - 1];
		if (objective->l1 != NULL)
			objective->l1[j] = j == 0 ? 0 :
				run->options->l1 / (data->weight * unit);
	}
}

/* Allocate the vectors. */
static PmStatus
open_objective(PmContext *ctx, Objective *objective)
{
	const LogisticRun *run = objective->run;
	size_t		n = (size_t) run->data->p + 1;

	PM_TRY(pm_alloc(ctx, "units of the coefficients", n, sizeof(double),
					&objective->unit));
	PM_TRY(pm_alloc(ctx, "coefficients", n, sizeof(double), &objective->b));
	PM_TRY(pm_alloc(ctx, "coefficients", n, sizeof(double), &objective->x));
	PM_TRY(pm_alloc(ctx, "units of the gradient", n, sizeof(double),
					&objective->tolerance_unit));
	if (run->options->l1 > 0)
		PM_TRY(pm_alloc(ctx, "penalties", n, sizeof(double), &objective->l1));
	if (!run->penalised)
		PM_TRY(pm_alloc_zero(ctx, "coefficients", n, sizeof(double),
							 &objective->earlier));
	return PM_OK;
}

static void
close_objective(PmContext *ctx, Objective *objective)
{
	pm_release(ctx, objective->unit);
	pm_release(ctx, objective->b);
	pm_release(ctx, objective->x);
	pm_release(ctx, objective->tolerance_unit);
	pm_release(ctx, objective->l1);
	pm_release(ctx, objective->earlier);
}

/* Run the minimiser from run->b to run->b. */
static PmStatus
minimise(PmContext *ctx, Objective *objective)
{
	LogisticRun *run = objective->run;
	double		memory = MEMORY_DOUBLES / (run->data->p + 1.0);
	PmLbfgsProblem problem = {
		(int64_t) run->data->p + 1, evaluate, iterated, objective,
		objective->l1, objective->tolerance_unit
	};
	PmLbfgsOptions options = {MEMORY, run->options->max_iter, run->tol};
	PmLbfgsResult result;
	double		value;

	if (memory < MEMORY)
		options.memory = memory < MIN_MEMORY ? MIN_MEMORY : (int) memory;
	scale_variables(objective);
	PM_TRY(pm_lbfgs(ctx, &problem, &options, objective->x, &result));
	run->fit->iterations = result.iterations;
	run->fit->converged = result.converged;
	for (int32_t j = 0; j <= run->data->p; j++)
		run->b[j] = objective->x[j] / objective->unit[j];
	return pm_logistic_evaluate(ctx, run, objective->pass, LOGISTIC_LOSS, run->b,
								NULL, &value);
}

/*
 * Without a penalty: do the coefficients, or what they moved by of late, show
 * that the classes separate?  Where there is a Hessian, its step shows it
 * too, and the standard errors need its factor.
 */
static PmStatus
conclude(PmContext *ctx, Objective *objective)
{
	LogisticRun *run = objective->run;
	bool		separating[3] = {false};
	double		move;

	PM_TRY(pm_logistic_is_separating(ctx, objective->pass, run->b,
									 &separating[0], &move));
	for (int32_t j = 0; j <= run->data->p; j++)
		objective->earlier[j] = run->b[j] - objective->earlier[j];
	PM_TRY(pm_logistic_is_separating(ctx, objective->pass, objective->earlier,
									 &separating[1], &move));
	if (run->matrix != NULL)
	{
		PM_TRY(pm_logistic_evaluate(ctx, run, objective->pass, LOGISTIC_HESSIAN,
									run->b, run->gradient, &run->value));
		PM_TRY(pm_logistic_factor(ctx, run, objective->pass));
		PM_TRY(pm_logistic_is_separating(ctx, objective->pass, run->direction,
										 &separating[2], &move));
	}
	run->fit->separated |= separating[0] | separating[1] | separating[2];
	return PM_OK;
}

/* Aliases, the minimum, what it amounts to. */
static PmStatus
solve(PmContext *ctx, Objective *objective)
{
	LogisticRun *run = objective->run;
	bool		at_start;

	PM_TRY(open_objective(ctx, objective));
	if (run->matrix != NULL)
		PM_TRY(pm_logistic_alias_dependent(ctx, run, objective->pass, &at_start));
	PM_TRY(pm_logistic_check_start(ctx, run, objective->pass));
	PM_TRY(minimise(ctx, objective));
	return run->penalised ? PM_OK : conclude(ctx, objective);
}

PmStatus
pm_logistic_lbfgs(PmContext *ctx, LogisticRun *run)
{
	LogisticPass pass;
	Objective	objective;
	PmStatus	status = pm_logistic_pass_open(ctx, run->data,
											   run->matrix != NULL, &pass);

	memset(&objective, 0, sizeof(objective));
	objective.run = run;
	objective.pass = &pass;
	if (status == PM_OK)
		status = solve(ctx, &objective);
	close_objective(ctx, &objective);
	pm_logistic_pass_close(ctx, &pass);
	return status;
}
