/*
 * fm_cases.c
 *		See fm_cases.h.
 */
#include "fm_cases.h"

#include "fault_device.h"
#include "fm.h"
#include "pm_metrics.h"
#include "pm_rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PmFmOptions
fm_options(bool field_weighted, int factors)
{
	PmFmOptions options = {0};

	options.field_weighted = field_weighted;
	options.factors = factors;
	options.optimizer = PM_FM_ADAM;
	options.learning_rate = 0.01;
	options.init_scale = 0.1;
	options.epochs = 1;
	options.batch_size = 256;
	options.seed = 1;
	options.patience = 2;
	return options;
}

int
fm_entries(const PmCtrRows *rows, int64_t i, PmCtrEntry *entries)
{
	int			count = 0;

	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];

		if (field->kind == PM_CTR_DENSE)
			for (int k = 0; k < field->count; k++)
				entries[count++] = (PmCtrEntry) {f, field->first + k,
				field->values[i * field->count + k]};
		else if (field->kind == PM_CTR_SET)
			for (int64_t k = field->offsets[i]; k < field->offsets[i + 1]; k++)
				entries[count++] = (PmCtrEntry) {f, field->first + field->codes[k], 1};
		else if (field->codes[i] >= 0)
			entries[count++] = (PmCtrEntry) {f, field->first + field->codes[i], 1};
	}
	return count;
}

void
fm_fill(PmFm *fm, double scale, uint64_t seed)
{
	PmRng		rng;

	pm_rng_seed(&rng, seed, 0);
	fm->intercept = (float) (scale * (2 * pm_rng_uniform(&rng) - 1));
	for (int c = 0; c < fm->coefficient_count; c++)
		fm->linear[c] = (float) (scale * (2 * pm_rng_uniform(&rng) - 1));
	for (int c = 0; c < fm->coefficient_count * fm->factors; c++)
		fm->factor[c] = (float) (scale * (2 * pm_rng_uniform(&rng) - 1));
	for (int f = 0; fm->field_weighted && f < fm->field_count; f++)
		for (int g = f + 1; g < fm->field_count; g++)
			fm->pair[f * fm->field_count + g] = fm->pair[g * fm->field_count + f] =
				(float) (2 * pm_rng_uniform(&rng) - 0.5);
}

double
fm_parameter(const PmFm *fm, int at)
{
	int			c = fm->coefficient_count;

	return at == 0 ? fm->intercept : at < 1 + c ? fm->linear[at - 1] :
		at < 1 + c + c * fm->factors ? fm->factor[at - 1 - c] :
		fm->pair[at - 1 - c - c * fm->factors];
}

NaiveFm *
naive_new(const PmFm *fm)
{
	NaiveFm    *naive = calloc(1, sizeof(NaiveFm));
	int			count = (int) pm_fm_state_size(fm);

	naive->field_weighted = fm->field_weighted;
	naive->factors = fm->factors;
	naive->fields = fm->field_count;
	naive->coefficients = fm->coefficient_count;
	naive->count = count;
	naive->parameters = calloc(4 * (size_t) count, sizeof(double));
	naive->first = naive->parameters + count;
	naive->second = naive->first + count;
	naive->gradient = naive->second + count;
	naive->steps = (int) fm->steps;
	for (int i = 0; i < count; i++)
	{
		naive->parameters[i] = fm_parameter(fm, i);
		naive->first[i] = fm->first != NULL ? fm->first[i] : 0;
		naive->second[i] = fm->second[i];
	}
	return naive;
}

void
naive_free(NaiveFm *naive)
{
	free(naive->parameters);
	free(naive);
}

/* Where factors of a coefficient, and the weight of a pair, are. */
static int
factor_at(const NaiveFm *naive, int index)
{
	return 1 + naive->coefficients + index * naive->factors;
}

static int
pair_at(const NaiveFm *naive, int f, int g)
{
	return 1 + naive->coefficients * (1 + naive->factors) + f * naive->fields + g;
}

/* The logit; gradient, where not NULL, gets `scale` times its derivatives. */
static double
logit_of(const NaiveFm *naive, const PmCtrRows *rows, int64_t row,
		 double scale, double *gradient)
{
	PmCtrEntry	entries[NAIVE_ENTRIES];
	int			count = fm_entries(rows, row, entries);
	double		z = naive->parameters[0];

	if (gradient != NULL)
		gradient[0] += scale;
	for (int i = 0; i < count; i++)
	{
		double		x = entries[i].value;

		z += naive->parameters[1 + entries[i].index] * x;
		if (gradient != NULL)
			gradient[1 + entries[i].index] += scale * x;
		for (int j = i + 1; j < count; j++)
		{
			const double *v = naive->parameters + factor_at(naive, entries[i].index);
			const double *u = naive->parameters + factor_at(naive, entries[j].index);
			double		xy = x * entries[j].value;
			double		product = 0;
			int			f = entries[i].field;
			int			g = entries[j].field;
			double		r = !naive->field_weighted ? 1 :
				f == g ? 0 : naive->parameters[pair_at(naive, f, g)];

			for (int d = 0; d < naive->factors; d++)
				product += v[d] * u[d];
			z += r * product * xy;
			if (gradient == NULL)
				continue;
			for (int d = 0; d < naive->factors; d++)
			{
				gradient[factor_at(naive, entries[i].index) + d] += scale * r * xy * u[d];
				gradient[factor_at(naive, entries[j].index) + d] += scale * r * xy * v[d];
			}
			if (naive->field_weighted && f != g)
			{
				gradient[pair_at(naive, f, g)] += scale * product * xy;
				gradient[pair_at(naive, g, f)] += scale * product * xy;
			}
		}
	}
	return z;
}

double
naive_logit(const NaiveFm *naive, const PmCtrRows *rows, int64_t i)
{
	return logit_of(naive, rows, i, 0, NULL);
}

/* Is parameter `at` under the penalty? */
static bool
is_penalised(const NaiveFm *naive, int at)
{
	return at > 0 && at < 1 + naive->coefficients * (1 + naive->factors);
}

static double
weight_of(const PmCtrRows *rows, int64_t i)
{
	return rows->weights != NULL ? rows->weights[i] : 1;
}

double
naive_loss(const NaiveFm *naive, const PmCtrRows *rows,
		   const uint32_t *order, int count, double l2)
{
	double		loss = 0;
	double		weight = 0;
	double		squares = 0;

	for (int i = 0; i < count; i++)
	{
		weight += weight_of(rows, order[i]);
		loss += weight_of(rows, order[i]) *
			pm_log_loss_of_logit(naive_logit(naive, rows, order[i]), rows->labels[order[i]]);
	}
	for (int at = 0; at < naive->count; at++)
		if (is_penalised(naive, at))
			squares += naive->parameters[at] * naive->parameters[at];
	return loss / weight + l2 / 2 * squares;
}

void
naive_gradient(NaiveFm *naive, const PmCtrRows *rows, const uint32_t *order,
			   int count, double l2)
{
	double		weight = 0;

	memset(naive->gradient, 0, (size_t) naive->count * sizeof(double));
	for (int i = 0; i < count; i++)
		weight += weight_of(rows, order[i]);
	for (int i = 0; i < count; i++)
	{
		int64_t		row = order[i];
		double		z = naive_logit(naive, rows, row);

		logit_of(naive, rows, row, weight_of(rows, row) * (pm_sigmoid(z) - rows->labels[row]) / weight,
				 naive->gradient);
	}
	for (int at = 0; at < naive->count; at++)
		if (is_penalised(naive, at))
			naive->gradient[at] += l2 * naive->parameters[at];
}

void
naive_step(NaiveFm *naive, const PmFmOptions *options)
{
	naive->steps++;
	for (int at = 0; at < naive->count; at++)
	{
		double		g = naive->gradient[at];

		if (options->optimizer == PM_FM_ADAGRAD)
		{
			naive->second[at] += g * g;
			naive->parameters[at] -= options->learning_rate * g / (sqrt(naive->second[at]) + 1e-10);
			continue;
		}
		naive->first[at] = 0.9 * naive->first[at] + 0.1 * g;
		naive->second[at] = 0.999 * naive->second[at] + 0.001 * g * g;
		naive->parameters[at] -= options->learning_rate * naive->first[at] /
			(1 - pow(0.9, naive->steps)) /
			(sqrt(naive->second[at] / (1 - pow(0.999, naive->steps))) + 1e-8);
	}
}

uint32_t *
fm_order(const PmCtrRows *rows, const PmFmOptions *options, const PmFm *fm)
{
	uint32_t   *order = malloc((size_t) rows->n * sizeof(uint32_t));
	FmTable		table;
	FmStepper	stepper;
	FmEpoch		epoch;
	PmContext	ctx;

	/* run the epoch on a copy, and look */
	fault_context(&ctx, NULL, 0, 1, NULL);
	if (pm_fm_table_open(&ctx, fm, true, &table) != PM_OK ||
		pm_fm_epoch_open(&ctx, rows, options, &table, &stepper, &epoch) != PM_OK ||
		pm_fm_epoch_run(&ctx, &epoch, fm->steps) != PM_OK)
	{
		printf("no order: %s\n", ctx.message);
		exit(2);
	}
	memcpy(order, epoch.order, (size_t) rows->n * sizeof(uint32_t));
	pm_arena_destroy(ctx.arena);
	return order;
}
