/*
 * lbfgs_passes.c
 *		L-BFGS's passes over the variables, on threads.
 *
 * A task owns a fixed range of variables; sums are added up in the order of
 * the ranges.
 */
#include "lbfgs.h"

#include "pm_clones.h"
#include "pm_parallel.h"

#include <math.h>
#include <string.h>

#define RANGE 4096				/* variables of a task */
#define BLOCK 512				/* of these, what stays in the nearest cache */

typedef double Four __attribute__((vector_size(32)));

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

/* A task of pm_lbfgs_measure(). */
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

/* A task of pm_lbfgs_combine(): the direction and its slope. */
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
 * A task of pm_lbfgs_move(): the trial.  Under a penalty it stays in the orthant that
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

/* ---- what the minimiser calls -------------------------------------------- */

int64_t
pm_lbfgs_ranges(int64_t n)
{
	return (n + RANGE - 1) / RANGE;
}

PmStatus
pm_lbfgs_measure(PmContext *ctx, Minimiser *m)
{
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
	return PM_OK;
}

PmStatus
pm_lbfgs_combine(PmContext *ctx, Minimiser *m)
{
	PM_TRY(run_ranges(ctx, m, 2 * m->count + 3, direct_range));
	m->slope = total(m, SUM_SLOPE);
	return PM_OK;
}

PmStatus
pm_lbfgs_move(PmContext *ctx, Minimiser *m, double *penalty)
{
	PM_TRY(run_ranges(ctx, m, 5, move_range));
	*penalty = total(m, SUM_PENALTY);
	m->promised = m->problem->l1 == NULL ? m->step * m->slope : total(m, SUM_SLOPE);
	return PM_OK;
}

PmStatus
pm_lbfgs_measure_slope(PmContext *ctx, Minimiser *m)
{
	PM_TRY(run_ranges(ctx, m, 3, slope_range));
	m->trial_slope = total(m, SUM_SLOPE);
	return PM_OK;
}
