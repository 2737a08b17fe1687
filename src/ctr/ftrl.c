/*
 * ftrl.c
 *		FTRL-proximal: logit and step of one row.
 */
#include "ftrl.h"

#include <math.h>

#include "pm_metrics.h"

PmStatus
pm_ftrl_init(PmContext *ctx, Ftrl *ftrl, int32_t size)
{
	ftrl->size = size;
	ftrl->intercept = (FtrlState) {0, 0};
	return pm_alloc_zero(ctx, "the hashed coefficients", size, sizeof(FtrlState),
						 &ftrl->table);
}

static inline float
weight_of(const Ftrl *ftrl, FtrlState state, float l1, float l2)
{
	float		rate;

	if (fabsf(state.z) <= l1 || state.n == 0)
		return 0;
	rate = ((float) ftrl->beta + sqrtf(state.n)) / (float) ftrl->alpha + l2;
	return -(state.z - copysignf(l1, state.z)) / rate;
}

double
pm_ftrl_weight(const Ftrl *ftrl, FtrlState state)
{
	return weight_of(ftrl, state, (float) ftrl->l1, (float) ftrl->l2);
}

double
pm_ftrl_intercept(const Ftrl *ftrl)
{
	return weight_of(ftrl, ftrl->intercept, 0, 0);
}

double
pm_ftrl_logit(const Ftrl *ftrl, const PmCtrEntry *entries, int count,
			  float *weights)
{
	float		l1 = (float) ftrl->l1;
	float		l2 = (float) ftrl->l2;
	double		logit = pm_ftrl_intercept(ftrl);

	for (int i = 0; i < count; i++)
		__builtin_prefetch(&ftrl->table[entries[i].index], 1);
	for (int i = 0; i < count; i++)
	{
		weights[i] = weight_of(ftrl, ftrl->table[entries[i].index], l1, l2);
		logit += (double) weights[i] * entries[i].value;
	}
	return logit;
}

static inline void
step(FtrlState *state, float weight, float gradient, float inverse_alpha)
{
	float		n = state->n + gradient * gradient;
	float		sigma = (sqrtf(n) - sqrtf(state->n)) * inverse_alpha;

	state->z += gradient - sigma * weight;
	state->n = n;
}

void
pm_ftrl_learn(Ftrl *ftrl, const PmCtrEntry *entries, int count,
			  const float *weights, double logit, bool label,
			  double row_weight)
{
	float		inverse_alpha = (float) (1 / ftrl->alpha);
	float		gradient = (float) (row_weight * (pm_sigmoid(logit) - label));

	for (int i = 0; i < count; i++)
		step(&ftrl->table[entries[i].index], weights[i],
			 gradient * entries[i].value, inverse_alpha);
	step(&ftrl->intercept, (float) pm_ftrl_intercept(ftrl), gradient, inverse_alpha);
}
