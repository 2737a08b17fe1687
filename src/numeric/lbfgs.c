/*
 * lbfgs.c
 *		L-BFGS, and OWL-QN for a penalty on absolute values.
 *
 * The two-loop recursion runs on inner products only (Chen, Wang and Zhou
 * 2014): those of the pairs (s, y) with each other are kept, those with the
 * steepest descent and the newest pair are made in one pass over the
 * variables, and the direction, a sum of all these vectors, in another.  So an
 * iteration reads each vector twice, and the passes run on threads: a task
 * owns a fixed range of variables, and sums are added up in the order of the
 * ranges.
 */
#include "lbfgs.h"

#include <math.h>
#include <string.h>

/* Wolfe's conditions: decrease, and slope that is left. */
#define DECREASE 1e-4
#define SLOPE_LEFT 0.9

#define MAX_TRIALS 40

/* Values closer than this, relatively, are alike in double precision. */
#define VALUE_NOISE 1e-14

/* ---- the direction ------------------------------------------------------ */

/* Forget all pairs. */
static void
forget(Minimiser *m)
{
	m->count = 0;
	m->newest = -1;
}

/*
 * Keep the newest pair's products, or drop it where it has no curvature that
 * double precision can tell.
 */
static void
keep_pair(Minimiser *m)
{
	int			newest = m->newest;

	for (int place = 0; place < m->count; place++)
	{
		const double *sums = m->sums + SUM_PAIRS + place * PAIR_SUMS;

		m->sy[place][newest] = sums[PAIR_S_NEW_Y];
		m->sy[newest][place] = sums[PAIR_Y_NEW_S];
		m->yy[place][newest] = m->yy[newest][place] = sums[PAIR_Y_NEW_Y];
	}
	if (!(m->sy[newest][newest] > 1e-14 * m->yy[newest][newest]))
	{
		/* places are a permutation of 0 .. count - 1: the last one is free */
		if (newest == m->count - 1)
			m->count--;
		else
			forget(m);
	}
	m->newest = -1;
}

/* First half of the recursion, newest pair first: coefficients of y. */
static void
first_loop(Minimiser *m)
{
	for (int i = m->count - 1; i >= 0; i--)
	{
		int			place = m->order[i];
		double		product = m->sums[SUM_PAIRS + place * PAIR_SUMS + PAIR_S_V];

		for (int j = i + 1; j < m->count; j++)
			product += m->of_y[m->order[j]] * m->sy[place][m->order[j]];
		m->of_y[place] = -product / m->sy[place][place];
	}
}

/* Second half, oldest first: coefficients of s. */
static void
second_loop(Minimiser *m, double scale)
{
	for (int i = 0; i < m->count; i++)
	{
		int			place = m->order[i];
		double		product = m->sums[SUM_PAIRS + place * PAIR_SUMS + PAIR_Y_V];

		for (int j = 0; j < m->count; j++)
			product += m->of_y[m->order[j]] * m->yy[place][m->order[j]];
		product *= scale;
		for (int j = 0; j < i; j++)
			product += m->of_s[m->order[j]] * m->sy[m->order[j]][place];
		m->of_s[place] = -m->of_y[place] - product / m->sy[place][place];
	}
}

/* The direction: minus the inverse Hessian, as known, times the ascent. */
static PmStatus
direct(PmContext *ctx, Minimiser *m)
{
	double		scale = 1;

	if (m->count > 0)
	{
		int			newest = m->order[m->count - 1];

		scale = m->sy[newest][newest] / m->yy[newest][newest];
	}
	first_loop(m);
	second_loop(m, scale);
	m->of_ascent = -scale;
	for (int place = 0; place < m->count; place++)
	{
		m->of_s[place] = -m->of_s[place];
		m->of_y[place] *= -scale;
	}
	return pm_lbfgs_combine(ctx, m);
}

/* ---- line search -------------------------------------------------------- */

/* Value and slope at x + step * direction. */
static PmStatus
evaluate_trial(PmContext *ctx, Minimiser *m, double step)
{
	double		penalty;

	m->step = step;
	PM_TRY(pm_lbfgs_move(ctx, m, &penalty));
	m->result->evaluations++;
	PM_TRY(m->problem->evaluate(ctx, m->problem->problem, m->trial,
								&m->trial_value, m->trial_gradient));
	m->trial_value += penalty;
	if (!isfinite(m->trial_value))
		m->trial_value = INFINITY;
	return m->problem->l1 == NULL ? pm_lbfgs_measure_slope(ctx, m) : PM_OK;
}

/* A point on the line. */
typedef struct Point
{
	double		step;
	double		value;
	double		slope;
} Point;

/*
 * Where the cubic through two points with their slopes has its minimum, kept
 * within [low, high]; the middle where there is none.
 */
static double
cubic_minimum(const Point *a, const Point *b, double low, double high)
{
	double		width = b->step - a->step;
	double		first = a->slope + b->slope - 3 * (b->value - a->value) / width;
	double		root = first * first - a->slope * b->slope;
	double		step;

	if (!(root >= 0))
		return low + (high - low) / 2;
	root = width > 0 ? sqrt(root) : -sqrt(root);
	step = b->step - width * ((b->slope + root - first) /
							  (b->slope - a->slope + 2 * root));
	if (!isfinite(step))
		return low + (high - low) / 2;
	return step < low ? low : step > high ? high : step;
}

/* Does the value say that the trial has gone down enough? */
static bool
is_lower(const Minimiser *m)
{
	return m->trial_value <= m->value + DECREASE * m->promised;
}

/*
 * Where values are alike in double precision, does the slope say so (Hager
 * and Zhang 2005)?
 */
static bool
is_lower_by_slope(const Minimiser *m, double slope)
{
	return m->trial_value <= m->value + VALUE_NOISE * fabs(m->value) &&
		m->trial_slope <= (2 * DECREASE - 1) * slope;
}

/*
 * Strong Wolfe conditions.  `low` has decreased and still falls; `high` is
 * too far.  *found is false where no trial would do.
 */
static PmStatus
search_wolfe(PmContext *ctx, Minimiser *m, double step, bool *found)
{
	Point		low = {0, m->value, m->slope};
	Point		high = {INFINITY, 0, 0};

	*found = false;
	for (int trial = 0; trial < MAX_TRIALS; trial++)
	{
		Point		point;
		double		width;

		PM_TRY(evaluate_trial(ctx, m, step));
		point = (Point) {step, m->trial_value, m->trial_slope};
		if (!is_lower(m) && !is_lower_by_slope(m, m->slope))
			high = point;
		else if (fabs(point.slope) <= -SLOPE_LEFT * m->slope)
		{
			*found = true;
			return PM_OK;
		}
		else if (point.slope > 0)
			high = point;
		else
			low = point;

		if (isinf(high.step))
			step *= 4;
		else
		{
			width = high.step - low.step;
			if (!(width > 1e-15 * high.step))
				break;
			if (isfinite(high.value) && isfinite(high.slope))
				step = cubic_minimum(&low, &high, low.step + 0.1 * width,
									 high.step - 0.1 * width);
			else
				step = low.step + 0.1 * width;
		}
	}
	if (low.step > 0)
	{
		/* it has decreased, if not as much as it could */
		PM_TRY(evaluate_trial(ctx, m, low.step));
		*found = true;
	}
	return PM_OK;
}

/* Armijo's condition for a trial that is kept in its orthant. */
static PmStatus
search_orthant(PmContext *ctx, Minimiser *m, double step, bool *found)
{
	for (int trial = 0; trial < MAX_TRIALS; trial++)
	{
		PM_TRY(evaluate_trial(ctx, m, step));
		*found = m->promised < 0 && is_lower(m);
		if (!*found && m->promised < 0 && isfinite(m->trial_value))
		{
			PM_TRY(pm_lbfgs_measure_slope(ctx, m));
			*found = is_lower_by_slope(m, m->promised);
		}
		if (*found)
			return PM_OK;
		step *= trial == 0 ? 0.5 : 0.25;
	}
	return PM_OK;
}

/* ---- iterations --------------------------------------------------------- */

static void
swap(double **a, double **b)
{
	double	   *kept = *a;

	*a = *b;
	*b = kept;
}

/* Go to the trial; the step becomes the newest pair. */
static void
accept_trial(Minimiser *m)
{
	int			memory = m->options->memory;

	swap(&m->x, &m->trial);
	swap(&m->gradient, &m->trial_gradient);
	m->value = m->trial_value;
	if (m->count < memory)
		m->newest = m->order[m->count] = m->count;
	else
	{
		m->newest = m->order[0];
		memmove(m->order, m->order + 1, (size_t) (memory - 1) * sizeof(int));
		m->order[memory - 1] = m->newest;
	}
	if (m->count < memory)
		m->count++;
}

/*
 * One step.  *stuck is set where neither the direction nor the steepest
 * descent leads lower.
 */
static PmStatus
take_step(PmContext *ctx, Minimiser *m, bool *stuck)
{
	bool		found = false;

	for (;;)
	{
		double		length = sqrt(m->sums[SUM_SQUARE]);
		double		step = m->count > 0 || length < 1 ? 1 : 1 / length;

		PM_TRY(direct(ctx, m));
		if (m->slope < 0)
			PM_TRY(m->problem->l1 == NULL ? search_wolfe(ctx, m, step, &found) :
				   search_orthant(ctx, m, step, &found));
		if (found || m->count == 0)
			break;
		forget(m);
	}
	*stuck = !found;
	if (found)
		accept_trial(m);
	return PM_OK;
}

/* Until the gradient is small, nothing is lower, or max_iter. */
static PmStatus
iterate(PmContext *ctx, Minimiser *m)
{
	PmLbfgsResult *result = m->result;

	for (;;)
	{
		bool		stuck;

		if (m->problem->l1 == NULL)
			m->ascent = m->gradient;
		PM_TRY(pm_lbfgs_measure(ctx, m));
		if (m->newest >= 0)
			keep_pair(m);
		if (m->sums[SUM_LARGEST] <= m->options->tol)
			result->converged = true;
		if (result->converged || result->iterations >= m->options->max_iter)
			return PM_OK;
		PM_TRY(take_step(ctx, m, &stuck));
		if (stuck)
		{
			result->converged = -m->slope <= VALUE_NOISE * fabs(m->value);
			return PM_OK;
		}
		result->iterations++;
		if (m->problem->iterated != NULL)
			PM_TRY(m->problem->iterated(ctx, m->problem->problem,
										result->iterations, m->x));
	}
}

/* Allocate; there is an ascent of its own only under a penalty. */
static PmStatus
open_minimiser(PmContext *ctx, Minimiser *m, const double *x)
{
	size_t		n = (size_t) m->n;
	size_t		vectors = 5 + (m->problem->l1 != NULL) + 2 * (size_t) m->options->memory;
	double	   *next;

	if (m->options->memory < 1 || m->options->memory > PM_LBFGS_MAX_MEMORY)
		return pm_fail(ctx, PM_INVALID, "L-BFGS cannot keep %d pairs",
					   m->options->memory);
	PM_TRY(pm_alloc(ctx, "sums of L-BFGS", (size_t) m->ranges,
					SUMS * sizeof(double), &m->partial));
	PM_TRY(pm_alloc(ctx, "vectors of L-BFGS", n, vectors * sizeof(double),
					&m->vectors));
	next = m->vectors;
	m->x = next;
	m->trial = next += n;
	m->gradient = next += n;
	m->trial_gradient = next += n;
	m->direction = next += n;
	m->s = next += n;
	m->y = next += n * (size_t) m->options->memory;
	m->ascent = next + n * (size_t) m->options->memory;
	memcpy(m->x, x, n * sizeof(double));

	return PM_OK;
}

/* Value and gradient of the start. */
static PmStatus
evaluate_start(PmContext *ctx, Minimiser *m)
{
	m->result->evaluations++;
	PM_TRY(m->problem->evaluate(ctx, m->problem->problem, m->x, &m->value,
								m->gradient));
	if (!isfinite(m->value))
		return pm_fail(ctx, PM_INVALID,
					   "the function to minimise is not finite at the start");
	for (int64_t i = 0; m->problem->l1 != NULL && i < m->n; i++)
		m->value += m->problem->l1[i] * fabs(m->x[i]);
	return PM_OK;
}

PmStatus
pm_lbfgs(PmContext *ctx, const PmLbfgsProblem *problem,
		 const PmLbfgsOptions *options, double *x, PmLbfgsResult *result)
{
	Minimiser	m;
	PmStatus	status;

	memset(&m, 0, sizeof(m));
	memset(result, 0, sizeof(*result));
	m.problem = problem;
	m.options = options;
	m.result = result;
	m.n = problem->n;
	m.ranges = pm_lbfgs_ranges(m.n);
	forget(&m);
	status = open_minimiser(ctx, &m, x);
	if (status == PM_OK)
		status = evaluate_start(ctx, &m);
	if (status == PM_OK)
		status = iterate(ctx, &m);
	if (status == PM_OK)
	{
		memcpy(x, m.x, (size_t) m.n * sizeof(double));
		result->value = m.value;
	}
	pm_release(ctx, m.vectors);
	pm_release(ctx, m.partial);
	return status;
}
