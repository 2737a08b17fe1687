/*
 * ftrl.c
 *		FTRL-proximal: logit and step of one row.
 *
 * A row's states are gathered from the table, whose places are all over
 * memory, and computed with a vector at a time.
 */
#include "ftrl.h"

#include <float.h>
#include <math.h>

#include "pm_clones.h"

/* Elements that are computed together. */
#define LANES 8

/* A row's states, gathered: in arrays of `room` elements each. */
typedef struct Gathered
{
	float	   *weight;
	float	   *root;			/* sqrt(n) */
	float	   *z;
	float	   *n;
	float	   *gradient;
	int			room;			/* a multiple of LANES */
} Gathered;

static inline int
room_for(int count)
{
	return (count + LANES - 1) / LANES * LANES;
}

static inline Gathered
split(float *scratch, int count)
{
	int			room = room_for(count);

	return (Gathered) {scratch, scratch + room, scratch + 2 * room, scratch + 3 * room, scratch + 4 * room, room};
}

size_t
pm_ftrl_scratch(int count)
{
	return 5 * (size_t) room_for(count) * sizeof(float);
}

PmStatus
pm_ftrl_init(PmContext *ctx, Ftrl *ftrl, int32_t size)
{
	ftrl->size = size;
	ftrl->intercept = (FtrlState) {0, 0};
	return pm_alloc_zero(ctx, "the hashed coefficients", size, sizeof(FtrlState),
						 &ftrl->table);
}

/* What all coefficients' weights are computed with. */
typedef struct Rates
{
	float		l1;
	float		l2;
	float		alpha;
	float		beta;
} Rates;

static inline Rates
rates_of(const Ftrl *ftrl)
{
	return (Rates) {(float) ftrl->l1, (float) ftrl->l2, (float) ftrl->alpha, (float) ftrl->beta};
}

/*
 * Without branches, for the vectoriser; never -0, and no 0 / 0.  A state
 * without squares, of gradients that underflow, weighs nothing.
 */
PM_INLINE float
weight_of(const Rates *rates, float z, float root)
{
	float		rate = (rates->beta + root) / rates->alpha + rates->l2 + FLT_MIN;
	float		above = fabsf(z) - rates->l1;

	above = above > 0 ? above : 0;
	above = root > 0 ? above : 0;
	return 0.0f - copysignf(above, z) / rate;
}

double
pm_ftrl_weight(const Ftrl *ftrl, FtrlState state)
{
	Rates		rates = rates_of(ftrl);

	return weight_of(&rates, state.z, sqrtf(state.n));
}

double
pm_ftrl_intercept(const Ftrl *ftrl)
{
	Rates		rates = rates_of(ftrl);

	rates.l1 = rates.l2 = 0;
	return weight_of(&rates, ftrl->intercept.z, sqrtf(ftrl->intercept.n));
}

PM_INLINE void
compute_weights_body(const Rates *rates, const Gathered *row)
{
	Rates		with = *rates;
	float	   *restrict weight = row->weight;
	float	   *restrict root = row->root;
	const float *restrict z = row->z;
	const float *restrict n = row->n;
	int			room = row->room & -LANES;

	for (int i = 0; i < room; i++)
	{
		root[i] = sqrtf(n[i]);
		weight[i] = weight_of(&with, z[i], root[i]);
	}
}

PM_CLONES(compute_weights, (const Rates *rates, const Gathered *row), (rates, row));

void
pm_ftrl_prefetch(const Ftrl *ftrl, const PmCtrEntry *entries, int count)
{
	for (int i = 0; i < count; i++)
		__builtin_prefetch(&ftrl->table[entries[i].index], 1);
}

double
pm_ftrl_logit(const Ftrl *ftrl, const PmCtrEntry *entries, int count,
			  float *scratch)
{
	Gathered	row = split(scratch, count);
	Rates		rates = rates_of(ftrl);
	double		logit = pm_ftrl_intercept(ftrl);

	for (int i = 0; i < count; i++)
	{
		FtrlState	state = ftrl->table[entries[i].index];

		row.z[i] = state.z;
		row.n[i] = state.n;
	}
	for (int i = count; i < row.room; i++)
		row.z[i] = row.n[i] = 0;
	compute_weights(&rates, &row);
	for (int i = 0; i < count; i++)
		logit += (double) row.weight[i] * entries[i].value;
	return logit;
}

/* By how much z and n change, in their places. */
PM_INLINE void
compute_steps_body(float inverse_alpha, const Gathered *row)
{
	const float *restrict weight = row->weight;
	const float *restrict root = row->root;
	const float *restrict gradient = row->gradient;
	float	   *restrict z = row->z;
	float	   *restrict n = row->n;
	int			room = row->room & -LANES;

	for (int i = 0; i < room; i++)
	{
		float		square = gradient[i] * gradient[i];
		float		sigma = (sqrtf(n[i] + square) - root[i]) * inverse_alpha;

		z[i] = gradient[i] - sigma * weight[i];
		n[i] = square;
	}
}

PM_CLONES(compute_steps, (float inverse_alpha, const Gathered *row), (inverse_alpha, row));

void
pm_ftrl_learn(Ftrl *ftrl, const PmCtrEntry *entries, int count,
			  float *scratch, double error)
{
	Gathered	row = split(scratch, count);
	float		inverse_alpha = (float) (1 / ftrl->alpha);
	float		gradient = (float) error;
	FtrlState  *intercept = &ftrl->intercept;
	float		root = sqrtf(intercept->n);
	float		sigma;

	for (int i = 0; i < count; i++)
		row.gradient[i] = gradient * entries[i].value;
	for (int i = count; i < row.room; i++)
		row.gradient[i] = 0;
	compute_steps(inverse_alpha, &row);
	for (int i = 0; i < count; i++)
	{
		FtrlState  *state = &ftrl->table[entries[i].index];

		state->z += row.z[i];
		state->n += row.n[i];
	}
	sigma = (sqrtf(intercept->n + gradient * gradient) - root) * inverse_alpha;
	intercept->z += gradient - sigma * (float) pm_ftrl_intercept(ftrl);
	intercept->n += gradient * gradient;
}
