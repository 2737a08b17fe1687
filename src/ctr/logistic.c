/*
 * logistic.c
 *		Logistic regression: the fit as a whole.
 */
#include "logistic.h"

#include "pm_cholesky.h"

#include <math.h>
#include <string.h>

/*
 * What AUTO reckons with: iterations of either method, nanoseconds of a
 * multiplication in Cholesky and of a variable in an iteration of L-BFGS.
 */
#define NEWTON_ITERATIONS 8
#define LBFGS_ITERATIONS 60
#define CHOLESKY_TIME 0.2
#define VARIABLE_TIME 10

/* Without a penalty Newton is worth more: it finds what separates. */
#define UNPENALISED_WORTH 20

/* ---- the objective ------------------------------------------------------ */

PmStatus
pm_logistic_evaluate(PmContext *ctx, LogisticRun *run, LogisticPass *pass,
					 LogisticMode mode, const double *b, double *gradient,
					 double *value)
{
	int32_t		p = run->data->p;
	double		weight = run->data->weight;
	double		l2 = run->options->l2 / weight;
	double		square = 0;

	PM_TRY(pm_logistic_pass(ctx, pass, mode, b, gradient, &run->sums));
	for (int32_t j = 1; j <= p; j++)
		square += b[j] * b[j];
	*value = run->sums.loss / weight + l2 / 2 * square;
	if (gradient == NULL)
		return PM_OK;
	gradient[0] /= weight;
	for (int32_t j = 1; j <= p; j++)
		gradient[j] = run->aliased[j] ? 0 : gradient[j] / weight + l2 * b[j];
	return PM_OK;
}

double
pm_logistic_size(const LogisticRun *run, const double *gradient)
{
	double		largest = fabs(gradient[0]);

	for (int32_t j = 0; j < run->data->p; j++)
		largest = fmax(largest, fabs(gradient[1 + j]) / run->data->scale[j]);
	return largest;
}

/*
 * A Newton step near the optimum squares the error, so that the tighter one
 * costs little; L-BFGS gains a constant factor a step.
 */
#define NEWTON_TOL 1e-8
#define LBFGS_TOL 1e-6

/* ---- the method --------------------------------------------------------- */

/* Is Newton's method the faster one? */
static bool
prefers_newton(const LogisticRun *run)
{
	const LogisticData *data = run->data;
	double		n = (double) data->rows->n;
	double		p = data->p + 1.0;
	double		row = pm_logistic_row_time(data);
	double		newton = NEWTON_ITERATIONS *
		(n * (row + pm_logistic_hessian_time(data)) + CHOLESKY_TIME * p * p * p / 6);
	double		lbfgs = LBFGS_ITERATIONS * (n * row + VARIABLE_TIME * p);

	return newton <= (run->penalised ? 1 : UNPENALISED_WORTH) * lbfgs;
}

static PmLogisticSolver
choose_solver(const LogisticRun *run)
{
	if (run->options->solver != PM_LOGISTIC_AUTO)
		return run->options->solver;
	if (run->options->l1 > 0 || run->data->p > LOGISTIC_MAX_HESSIAN)
		return PM_LOGISTIC_LBFGS;
	return prefers_newton(run) ? PM_LOGISTIC_NEWTON : PM_LOGISTIC_LBFGS;
}

/* ---- arguments ---------------------------------------------------------- */

/* Fields must share the coefficients out among them. */
static PmStatus
check_fields(PmContext *ctx, const PmCtrRows *rows)
{
	int64_t		next = 0;

	for (int f = 0; f < rows->field_count; f++)
	{
		if (rows->fields[f].first != next || rows->fields[f].count < 1)
			return pm_fail(ctx, PM_INVALID,
						   "field %d does not begin where the one before it ends", f + 1);
		next += rows->fields[f].count;
	}
	if (next != rows->coefficient_count)
		return pm_fail(ctx, PM_INVALID, "the fields have %lld coefficients, not %d",
					   (long long) next, (int) rows->coefficient_count);
	return PM_OK;
}

static PmStatus
check_options(PmContext *ctx, const PmCtrRows *rows,
			  const PmLogisticOptions *options)
{
	if (!(options->l1 >= 0 && options->l1 <= 1e300))
		return pm_fail(ctx, PM_INVALID, "l1 = %g is not a number from 0 on", options->l1);
	if (!(options->l2 >= 0 && options->l2 <= 1e300))
		return pm_fail(ctx, PM_INVALID, "l2 = %g is not a number from 0 on", options->l2);
	if (options->max_iter < 1)
		return pm_fail(ctx, PM_INVALID, "max_iter = %d is less than 1", options->max_iter);
	if (!(options->tol >= 0))
		return pm_fail(ctx, PM_INVALID, "tol = %g is less than 0", options->tol);
	if (options->solver == PM_LOGISTIC_NEWTON && options->l1 > 0)
		return pm_fail(ctx, PM_INVALID, "Newton's method cannot be used with l1");
	if (options->solver == PM_LOGISTIC_NEWTON &&
		rows->coefficient_count > LOGISTIC_MAX_HESSIAN)
		return pm_fail(ctx, PM_INVALID, "Newton's method cannot be used with %d coefficients, at most with %d",
					   (int) rows->coefficient_count, LOGISTIC_MAX_HESSIAN);
	for (int32_t j = 0; options->start != NULL && j <= rows->coefficient_count; j++)
		if (!isfinite(options->start[j]))
			return pm_fail(ctx, PM_INVALID, "coefficient %d of the start is not finite", (int) j);
	return PM_OK;
}

/* ---- opening and closing ------------------------------------------------ */

double
pm_logistic_log_odds(const LogisticRun *run)
{
	return log(run->data->positive / (run->data->weight - run->data->positive));
}

/* The start: as given, or the intercept that fits alone. */
static void
set_start(LogisticRun *run)
{
	const LogisticData *data = run->data;
	const double *start = run->options->start;

	if (start == NULL)
	{
		run->b[0] = pm_logistic_log_odds(run);
		return;
	}
	memcpy(run->b, start, ((size_t) data->p + 1) * sizeof(double));
	for (int32_t j = 0; j < data->p; j++)
		run->b[0] += start[1 + j] * data->centre[j];
}

PmStatus
pm_logistic_check_start(PmContext *ctx, LogisticRun *run, LogisticPass *pass)
{
	size_t		n = (size_t) run->data->p + 1;
	double		rate = run->data->positive / run->data->weight;
	double		alone = -rate * log(rate) - (1 - rate) * log1p(-rate);
	double		penalty = 0;
	double		value;

	if (run->options->start == NULL)
		return PM_OK;
	for (size_t j = 1; j < n; j++)
	{
		if (run->aliased[j])
			run->b[j] = 0;
		penalty += run->options->l1 / run->data->weight * fabs(run->b[j]);
	}
	PM_TRY(pm_logistic_evaluate(ctx, run, pass, LOGISTIC_LOSS, run->b, NULL, &value));
	if (value + penalty <= alone)
		return PM_OK;
	memset(run->b, 0, n * sizeof(double));
	run->b[0] = pm_logistic_log_odds(run);
	return PM_OK;
}

/* Allocate the vectors, and the matrix where there is one. */
static PmStatus
open_run(PmContext *ctx, LogisticRun *run, bool matrix)
{
	const LogisticData *data = run->data;
	size_t		n = (size_t) data->p + 1;

	PM_TRY(pm_alloc_zero(ctx, "coefficients", n, sizeof(double), &run->b));
	PM_TRY(pm_alloc_zero(ctx, "aliases", n, sizeof(bool), &run->aliased));
	PM_TRY(pm_alloc(ctx, "gradient", n, sizeof(double), &run->gradient));
	PM_TRY(pm_alloc(ctx, "coefficients", (size_t) data->p, sizeof(double),
					&run->fit->coefficients));
	if (!matrix)
		return PM_OK;
	PM_TRY(pm_alloc(ctx, "step", n, sizeof(double), &run->direction));
	PM_TRY(pm_alloc_zero(ctx, "aliases", n, sizeof(bool), &run->dropped));
	PM_TRY(pm_alloc(ctx, "units of the Hessian", n, sizeof(double), &run->divisor));
	for (size_t j = 0; j < n; j++)
		run->divisor[j] = sqrt(data->weight) * (j == 0 ? 1 : data->scale[j - 1]);
	return pm_alloc(ctx, "Hessian", n, n * sizeof(double), &run->matrix);
}

static void
close_run(PmContext *ctx, LogisticRun *run)
{
	pm_release(ctx, run->b);
	pm_release(ctx, run->aliased);
	pm_release(ctx, run->gradient);
	pm_release(ctx, run->direction);
	pm_release(ctx, run->dropped);
	pm_release(ctx, run->divisor);
	pm_release(ctx, run->matrix);
}

void
pm_logistic_release(PmContext *ctx, PmLogisticFit *fit)
{
	pm_release(ctx, fit->coefficients);
	pm_release(ctx, fit->std_errors);
	pm_release(ctx, fit->aliased);
	memset(fit, 0, sizeof(*fit));
}

/* ---- the fit ------------------------------------------------------------ */

/* Coefficients of columns as they are, not centred; loss; aliases. */
static PmStatus
write_fit(PmContext *ctx, LogisticRun *run)
{
	PmLogisticFit *fit = run->fit;
	const LogisticData *data = run->data;

	fit->loss = run->sums.loss / data->weight;
	fit->intercept = run->b[0];
	for (int32_t j = 0; j < data->p; j++)
	{
		fit->coefficients[j] = run->b[1 + j];
		fit->intercept -= run->b[1 + j] * data->centre[j];
	}
	if (run->penalised)
		return PM_OK;
	PM_TRY(pm_alloc(ctx, "aliases", (size_t) data->p, sizeof(bool), &fit->aliased));
	memcpy(fit->aliased, run->aliased + 1, (size_t) data->p * sizeof(bool));
	if (run->matrix != NULL && run->options->standard_errors)
		return pm_logistic_std_errors(ctx, run);
	return PM_OK;
}

/* Fit the rows that `data` describes. */
static PmStatus
fit_rows(PmContext *ctx, LogisticRun *run)
{
	PmLogisticSolver solver = choose_solver(run);
	bool		matrix = solver == PM_LOGISTIC_NEWTON ||
		(!run->penalised && run->data->p <= LOGISTIC_MAX_HESSIAN);

	run->tol = run->options->tol > 0 ? run->options->tol :
		solver == PM_LOGISTIC_NEWTON ? NEWTON_TOL : LBFGS_TOL;
	PM_TRY(open_run(ctx, run, matrix));
	set_start(run);
	if (!run->penalised)
	{
		run->fit->separated = pm_logistic_single_class(run);
		pm_logistic_alias_references(run);
	}
	PM_TRY(solver == PM_LOGISTIC_NEWTON ? pm_logistic_newton(ctx, run) :
		   pm_logistic_lbfgs(ctx, run));
	return write_fit(ctx, run);
}

PmStatus
pm_logistic_fit(PmContext *ctx, const PmCtrRows *rows, const PmCtrRows *eval,
				const PmLogisticOptions *options, PmCtrLog *log,
				PmLogisticFit *fit)
{
	LogisticData data;
	LogisticRun run;
	PmStatus	status;

	memset(fit, 0, sizeof(*fit));
	fit->intercept_std_err = NAN;
	PM_TRY(check_options(ctx, rows, options));
	PM_TRY(check_fields(ctx, rows));
	memset(&run, 0, sizeof(run));
	run.data = &data;
	run.options = options;
	run.fit = fit;
	run.penalised = options->l1 > 0 || options->l2 > 0;
	run.log = log;
	run.began = pm_ctr_clock();
	if (eval != NULL && eval->n > 0)
		run.eval = eval;
	for (int64_t i = 0; run.eval != NULL && i < eval->n; i++)
		run.eval_weight += eval->weights == NULL ? 1 : eval->weights[i];
	status = pm_logistic_data_open(ctx, rows, &data);
	if (status == PM_OK)
		status = fit_rows(ctx, &run);
	close_run(ctx, &run);
	pm_logistic_data_close(ctx, &data);
	if (status != PM_OK)
		pm_logistic_release(ctx, fit);
	return status;
}
