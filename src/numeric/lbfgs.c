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
#include "pm_lbfgs.h"

#include "pm_clones.h"
#include "pm_parallel.h"

#include <math.h>
#include <string.h>

#define RANGE 4096				/* variables of a task */
#define BLOCK 512				/* of these, what stays in the nearest cache */

/* Wolfe's conditions: decrease, and slope that is left. */
#define DECREASE 1e-4
#define SLOPE_LEFT 0.9

#define MAX_TRIALS 40

/* Values closer than this, relatively, are alike in double precision. */
#define VALUE_NOISE 1e-14

typedef double Four __attribute__((vector_size(32)));

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

/* ---- passes over the variables ------------------------------------------ */

/* Five inner products with one pass over s and y. */
PM_INLINE void
pair_sums(const double *s, const double *y, const double *v,
		  const double *new_s, const double *new_y, int64_t count,
		  double *sums)
{
	Four		sum[PAIR_SUMS] = {{0}};
	Four		row[5];
	int64_t		i = 0;

	for (; i + 4 <= count; i += 4)
	{
		memcpy(&row[0], s + i, sizeof(Four));
		memcpy(&row[1], y + i, sizeof(Four));
		memcpy(&row[2], v + i, sizeof(Four));
		memcpy(&row[3], new_s + i, sizeof(Four));
		memcpy(&row[4], new_y + i, sizeof(Four));
		sum[PAIR_S_V] += row[0] * row[2];
		sum[PAIR_Y_V] += row[1] * row[2];
		sum[PAIR_S_NEW_Y] += row[0] * row[4];
		sum[PAIR_Y_NEW_S] += row[1] * row[3];
		sum[PAIR_Y_NEW_Y] += row[1] * row[4];
	}
	for (; i < count; i++)
	{
		sums[PAIR_S_V] += s[i] * v[i];
		sums[PAIR_Y_V] += y[i] * v[i];
		sums[PAIR_S_NEW_Y] += s[i] * new_y[i];
		sums[PAIR_Y_NEW_S] += y[i] * new_s[i];
		sums[PAIR_Y_NEW_Y] += y[i] * new_y[i];
	}
	for (int k = 0; k < PAIR_SUMS; k++)
		for (int lane = 0; lane < 4; lane++)
			sums[k] += sum[k][lane];
}

/*
 * The pseudo-gradient: the derivative of value and penalty, from the side on
 * which it falls where x is 0; 0 where it falls on neither.
 */
PM_INLINE void
pseudo_gradient(const double *x, const double *gradient, const double *l1,
				int64_t count, double *ascent)
{
	for (int64_t i = 0; i < count; i++)
	{
		double		right = gradient[i] + l1[i];
		double		left = gradient[i] - l1[i];

		if (x[i] > 0)
			ascent[i] = right;
		else if (x[i] < 0)
			ascent[i] = left;
		else
			ascent[i] = right < 0 ? right : left > 0 ? left : 0;
	}
}

/* Square and largest element, in units, of the steepest ascent. */
static void
measure_ascent(const double *ascent, const double *units, int64_t count,
			   double *sums)
{
	double		square = 0;
	double		largest = sums[SUM_LARGEST];

	for (int64_t i = 0; i < count; i++)
	{
		double		size = fabs(ascent[i]) * (units == NULL ? 1 : units[i]);

		square += ascent[i] * ascent[i];
		/* NaN is larger than all */
		if (!(size <= largest))
			largest = size;
	}
	sums[SUM_SQUARE] += square;
	sums[SUM_LARGEST] = largest;
}

/* The inner products of one block; without a newest pair some are spare. */
PM_INLINE void
measure_block_body(const Minimiser *m, int64_t begin, int64_t count,
				   double *sums)
{
	size_t		n = (size_t) m->n;
	size_t		newest = m->newest < 0 ? 0 : (size_t) m->newest;

	for (int place = 0; place < m->count; place++)
		pair_sums(m->s + (size_t) place * n + begin,
				  m->y + (size_t) place * n + begin, m->ascent + begin,
				  m->s + newest * n + begin, m->y + newest * n + begin, count,
				  sums + SUM_PAIRS + place * PAIR_SUMS);
}

PM_CLONES(measure_block,
		  (const Minimiser *m, int64_t begin, int64_t count, double *sums),
		  (m, begin, count, sums));

/* The new pair's part of one block: the step just taken. */
static void
form_pair(Minimiser *m, int64_t begin, int64_t count)
{
	double	   *s = m->s + (size_t) m->newest * (size_t) m->n;
	double	   *y = m->y + (size_t) m->newest * (size_t) m->n;

	/* x and the trial, the gradients too, have changed places */
	for (int64_t i = begin; i < begin + count; i++)
	{
		s[i] = m->x[i] - m->trial[i];
		y[i] = m->gradient[i] - m->trial_gradient[i];
	}
}

/* A task of measure(). */
static void
measure_range(int64_t index, int lane, void *argument)
{
	Minimiser  *m = argument;
	int64_t		end = m->n - index * RANGE < RANGE ? m->n : (index + 1) * RANGE;
	double	   *sums = m->partial + (size_t) index * SUMS;

	(void) lane;
	memset(sums, 0, SUMS * sizeof(double));
	for (int64_t begin = index * RANGE; begin < end; begin += BLOCK)
	{
		int64_t		count = end - begin < BLOCK ? end - begin : BLOCK;

		if (m->newest >= 0)
			form_pair(m, begin, count);
		if (m->problem->l1 != NULL)
			pseudo_gradient(m->x + begin, m->gradient + begin,
							m->problem->l1 + begin, count, m->ascent + begin);
		measure_ascent(m->ascent + begin,
					   m->problem->units == NULL ? NULL : m->problem->units + begin,
					   count, sums);
		measure_block(m, begin, count, sums);
	}
}

/* A task of direct(): the direction and its slope. */
static void
direct_range(int64_t index, int lane, void *argument)
{
	Minimiser  *m = argument;
	int64_t		begin = index * RANGE;
	int64_t		end = m->n - begin < RANGE ? m->n : begin + RANGE;
	const double *l1 = m->problem->l1;
	double		slope = 0;

	(void) lane;
	for (int64_t i = begin; i < end; i++)
		m->direction[i] = m->of_ascent * m->ascent[i];
	for (int place = 0; place < m->count; place++)
	{
		const double *s = m->s + (size_t) place * (size_t) m->n;
		const double *y = m->y + (size_t) place * (size_t) m->n;

		for (int64_t i = begin; i < end; i++)
			m->direction[i] += m->of_s[place] * s[i] + m->of_y[place] * y[i];
	}
	for (int64_t i = begin; i < end; i++)
	{
		/* under a penalty no element may lead uphill */
		if (l1 != NULL && l1[i] > 0 && m->direction[i] * m->ascent[i] >= 0)
			m->direction[i] = 0;
		slope += m->direction[i] * m->ascent[i];
	}
	m->partial[(size_t) index * SUMS + SUM_SLOPE] = slope;
}

/*
 * A task of move(): the trial.  Under a penalty it stays in the orthant that
 * x, or where that is 0 the descent, belongs to.
 */
static void
move_range(int64_t index, int lane, void *argument)
{
	Minimiser  *m = argument;
	int64_t		begin = index * RANGE;
	int64_t		end = m->n - begin < RANGE ? m->n : begin + RANGE;
	const double *l1 = m->problem->l1;
	double	   *sums = m->partial + (size_t) index * SUMS;
	double		penalty = 0;
	double		slope = 0;

	(void) lane;
	for (int64_t i = begin; i < end; i++)
		m->trial[i] = m->x[i] + m->step * m->direction[i];
	for (int64_t i = begin; l1 != NULL && i < end; i++)
	{
		double		orthant = m->x[i] != 0 ? m->x[i] : -m->ascent[i];

		if (l1[i] > 0 && !(m->trial[i] * orthant > 0))
			m->trial[i] = 0;
		penalty += l1[i] * fabs(m->trial[i]);
		slope += m->ascent[i] * (m->trial[i] - m->x[i]);
	}
	sums[SUM_PENALTY] = penalty;
	sums[SUM_SLOPE] = slope;
}

/*
 * A task: the slope at the trial, along the direction or, under a penalty,
 * from x to the trial, between which no variable changes its sign.
 */
static void
slope_range(int64_t index, int lane, void *argument)
{
	Minimiser  *m = argument;
	int64_t		begin = index * RANGE;
	int64_t		end = m->n - begin < RANGE ? m->n : begin + RANGE;
	const double *l1 = m->problem->l1;
	double		slope = 0;

	(void) lane;
	for (int64_t i = begin; l1 == NULL && i < end; i++)
		slope += m->trial_gradient[i] * m->direction[i];
	for (int64_t i = begin; l1 != NULL && i < end; i++)
	{
		double		side = m->trial[i] != 0 ? m->trial[i] : m->x[i];

		slope += (m->trial_gradient[i] + copysign(l1[i], side)) *
			(m->trial[i] - m->x[i]);
	}
	m->partial[(size_t) index * SUMS + SUM_SLOPE] = slope;
}

/* Run a task on every range; `vectors` are read or written by it. */
static PmStatus
run_ranges(PmContext *ctx, Minimiser *m, int vectors, PmTask task)
{
	return pm_parallel(ctx, "minimisation", m->ranges, 0.3 * RANGE * vectors,
					   task, m);
}

/* Add up one sum over the ranges, in order. */
static double
total(const Minimiser *m, int sum)
{
	double		result = 0;

	for (int64_t range = 0; range < m->ranges; range++)
		result += m->partial[(size_t) range * SUMS + sum];
	return result;
}

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

/*
 * The newest pair, the steepest ascent with its size, and all inner products
 * that the direction needs.
 */
static PmStatus
measure(PmContext *ctx, Minimiser *m)
{
	if (m->problem->l1 == NULL)
		m->ascent = m->gradient;
	PM_TRY(run_ranges(ctx, m, 5 * m->count + 4, measure_range));
	for (int sum = 0; sum < SUM_PAIRS + m->count * PAIR_SUMS; sum++)
		m->sums[sum] = total(m, sum);
	m->sums[SUM_LARGEST] = 0;
	for (int64_t range = 0; range < m->ranges; range++)
	{
		double		largest = m->partial[(size_t) range * SUMS + SUM_LARGEST];

		if (!(largest <= m->sums[SUM_LARGEST]))
			m->sums[SUM_LARGEST] = largest;
	}
	if (m->newest >= 0)
		keep_pair(m);
	return PM_OK;
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
	PM_TRY(run_ranges(ctx, m, 2 * m->count + 3, direct_range));
	m->slope = total(m, SUM_SLOPE);
	return PM_OK;
}

/* ---- line search -------------------------------------------------------- */

static PmStatus
measure_slope(PmContext *ctx, Minimiser *m)
{
	PM_TRY(run_ranges(ctx, m, 3, slope_range));
	m->trial_slope = total(m, SUM_SLOPE);
	return PM_OK;
}

/* Value and slope at x + step * direction. */
static PmStatus
evaluate_trial(PmContext *ctx, Minimiser *m, double step)
{
	double		penalty;

	m->step = step;
	PM_TRY(run_ranges(ctx, m, 5, move_range));
	penalty = total(m, SUM_PENALTY);
	m->promised = m->problem->l1 == NULL ? step * m->slope : total(m, SUM_SLOPE);
	m->result->evaluations++;
	PM_TRY(m->problem->evaluate(ctx, m->problem->problem, m->trial,
								&m->trial_value, m->trial_gradient));
	m->trial_value += penalty;
	if (!isfinite(m->trial_value))
		m->trial_value = INFINITY;
	return m->problem->l1 == NULL ? measure_slope(ctx, m) : PM_OK;
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
			PM_TRY(measure_slope(ctx, m));
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

		PM_TRY(measure(ctx, m));
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
	m.ranges = (m.n + RANGE - 1) / RANGE;
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
