/*
 * logistic_finish.c
 *		What is particular to an unpenalised fit: columns that say the same as
 *		others, classes that separate, standard errors.
 */
#include "logistic.h"

#include "pm_cholesky.h"

#include <math.h>
#include <string.h>

/* Margins below this, beside the largest, count as 0. */
#define MARGIN_NOISE 1e-6

/* A coefficient runs away when the direction has this much of it. */
#define AFFECTED 1e-3

/* ---- aliases ------------------------------------------------------------ */

/* The category of largest weight, the first of equal ones. */
static int32_t
most_frequent(const LogisticRun *run, const PmCtrField *field)
{
	int32_t		most = field->first;

	for (int32_t j = field->first; j < field->first + field->count; j++)
		if (run->data->mass[j] > run->data->mass[most])
			most = j;
	return most;
}

/*
 * The categories of a CODE field that all rows have add up to the intercept:
 * the most frequent one becomes what the others are compared with.
 */
void
pm_logistic_alias_references(LogisticRun *run)
{
	const PmCtrRows *rows = run->data->rows;

	for (int32_t j = 0; j < run->data->p; j++)
		run->aliased[1 + j] = !(run->data->mass[j] > 0);
	for (int f = 0; f < rows->field_count; f++)
		if (rows->fields[f].kind == PM_CTR_CODE && !run->data->missing[f])
			run->aliased[1 + most_frequent(run, &rows->fields[f])] = true;
}

/*
 * Where all coefficients are 0 the rows have the same curvature but for their
 * weight, so that the Hessian is that of the columns and its pivots tell which
 * are dependent.
 */
PmStatus
pm_logistic_alias_dependent(PmContext *ctx, LogisticRun *run,
							LogisticPass *pass, bool *at_start)
{
	size_t		n = (size_t) run->data->p + 1;

	memset(run->direction, 0, n * sizeof(double));
	run->direction[0] = pm_logistic_log_odds(run);
	PM_TRY(pm_logistic_evaluate(ctx, run, pass, LOGISTIC_HESSIAN, run->direction,
								run->gradient, &run->value));
	PM_TRY(pm_logistic_hessian_read(ctx, pass->hessian, run->divisor, run->matrix));
	PM_TRY(pm_cholesky_factor(ctx, (int) n, run->matrix, LOGISTIC_DEPENDENT,
							  run->aliased));
	for (size_t j = 0; j < n; j++)
		if (run->aliased[j])
			run->b[j] = run->gradient[j] = 0;
	*at_start = memcmp(run->b, run->direction, n * sizeof(double)) == 0;
	return PM_OK;
}

/* ---- separation --------------------------------------------------------- */

bool
pm_logistic_single_class(const LogisticRun *run)
{
	const LogisticData *data = run->data;

	for (int f = 0; f < data->rows->field_count; f++)
	{
		const PmCtrField *field = &data->rows->fields[f];

		for (int32_t j = field->first;
			 field->kind != PM_CTR_DENSE && j < field->first + field->count; j++)
			if (data->mass[j] > 0 &&
				(!(data->positive_mass[j] > 0) ||
				 data->positive_mass[j] == data->mass[j]))
				return true;
	}
	return false;
}

PmStatus
pm_logistic_is_separating(PmContext *ctx, LogisticPass *pass,
						  const double *direction, bool *separating,
						  double *largest_move)
{
	LogisticSums sums;

	PM_TRY(pm_logistic_pass(ctx, pass, LOGISTIC_MARGIN, direction, NULL, &sums));
	*separating = sums.largest_margin > 0 &&
		sums.least_margin >= -MARGIN_NOISE * sums.largest_margin;
	*largest_move = sums.largest;
	return PM_OK;
}

/* ---- standard errors ---------------------------------------------------- */

/* What a centred column's coefficient adds to the intercept that is told. */
static inline double
intercept_share(const LogisticRun *run, int32_t j)
{
	const double *contrast = run->options->contrast;

	return (contrast != NULL ? contrast[j] : 0) - run->data->centre[j];
}

/* The intercept's part of a direction. */
static double
intercept_part(const LogisticRun *run, const double *direction)
{
	double		part = direction[0];

	for (int32_t j = 0; j < run->data->p; j++)
		part += direction[1 + j] * intercept_share(run, j);
	return part;
}

/*
 * The variance of the intercept c'b, c = (1, contrast - centre) over columns
 * in units of `divisor`, is c'H^-1 c = |L^-1 c|^2.
 */
static double
intercept_variance(const LogisticRun *run, double *scratch)
{
	int			n = run->data->p + 1;
	double		sum = 0;

	scratch[0] = 1 / run->divisor[0];
	for (int j = 1; j < n; j++)
		scratch[j] = run->dropped[j] ? 0 : intercept_share(run, j - 1) / run->divisor[j];
	pm_cholesky_half_solve(n, run->matrix, run->dropped, scratch);
	for (int j = 0; j < n; j++)
		sum += scratch[j] * scratch[j];
	return sum;
}

/* Where the classes separate, what runs away has no standard error. */
static void
forget_affected(const LogisticRun *run)
{
	const double *direction = run->direction;
	double		largest = fabs(direction[0]);

	for (int32_t j = 0; j < run->data->p; j++)
		largest = fmax(largest, fabs(direction[1 + j]) * run->data->scale[j]);
	for (int32_t j = 0; j < run->data->p; j++)
		if (!(fabs(direction[1 + j]) * run->data->scale[j] <= AFFECTED * largest))
			run->fit->std_errors[j] = NAN;
	if (!(fabs(intercept_part(run, direction)) <= AFFECTED * largest))
		run->fit->intercept_std_err = NAN;
}

PmStatus
pm_logistic_std_errors(PmContext *ctx, LogisticRun *run)
{
	PmLogisticFit *fit = run->fit;
	int			n = run->data->p + 1;
	double	   *diagonal;
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "standard errors", (size_t) run->data->p, sizeof(double),
					&fit->std_errors));
	PM_TRY(pm_alloc(ctx, "diagonal of a matrix", (size_t) n, sizeof(double), &diagonal));
	status = pm_cholesky_inverse_diagonal(ctx, n, run->matrix, run->dropped, diagonal);
	for (int j = 1; status == PM_OK && j < n; j++)
		fit->std_errors[j - 1] = sqrt(diagonal[j]) / run->divisor[j];
	if (status == PM_OK)
	{
		fit->intercept_std_err = run->dropped[0] ? NAN :
			sqrt(intercept_variance(run, diagonal));
		if (fit->separated)
			forget_affected(run);
	}
	pm_release(ctx, diagonal);
	return status;
}
