/*
 * fm_score.c
 *		Factorisation machines: logits of rows, contributions of entries.
 */
#include "fm.h"

#include <string.h>

/* Chunks of a task. */
#define TASK_CHUNKS 8

/* Rows to score, and where. */
typedef struct Scoring
{
	const PmCtrRows *rows;
	const FmTable *table;
	const int32_t **codes;		/* by field */
	float	   *logits;
	int			chunk;			/* rows, at most FM_CHUNK */
	size_t		sums_size;
	float	   *sums;			/* by lane */
	float	   *scratch;		/* FwFM: by lane */
	double	   *totals;			/* 2 a task: weight and loss; or NULL */
} Scoring;

static void
score_task(int64_t index, int lane, void *argument)
{
	Scoring    *scoring = argument;
	int64_t		begin = index * TASK_CHUNKS * scoring->chunk;
	int64_t		task_end = begin + TASK_CHUNKS * scoring->chunk;

	if (task_end > scoring->rows->n)
		task_end = scoring->rows->n;
	for (; begin < task_end; begin += scoring->chunk)
	{
		FmView		view = {scoring->rows, NULL, begin, scoring->codes, begin};
		int			count = task_end - begin < scoring->chunk ? (int) (task_end - begin) :
			scoring->chunk;
		double		totals[3];

		pm_fm_forward(&view, scoring->table, 0, count, scoring->sums + lane * scoring->sums_size,
					  (size_t) scoring->chunk * scoring->table->width,
					  scoring->scratch == NULL ? NULL : scoring->scratch + lane * scoring->sums_size,
					  scoring->logits + begin);
		if (scoring->totals == NULL)
			continue;
		pm_fm_residuals(&view, 0, count, scoring->logits + begin, NULL, totals);
		scoring->totals[2 * index] += totals[0];
		scoring->totals[2 * index + 1] += totals[1];
	}
}

/* Buffers, then all tasks. */
static PmStatus
score(PmContext *ctx, Scoring *scoring, int64_t tasks)
{
	const PmCtrRows *rows = scoring->rows;
	const FmTable *table = scoring->table;
	size_t		lanes = ctx->threads < 1 ? 1 : (size_t) ctx->threads;
	double		time = 20 + 5.0 * rows->field_count * table->width / FM_LANES;

	if (table->field_weighted)
		time += (double) rows->field_count * rows->field_count * table->width / FM_LANES;
	PM_TRY(pm_alloc_zero(ctx, "fields", (size_t) rows->field_count, sizeof(int32_t *),
						 &scoring->codes));
	for (int f = 0; f < rows->field_count; f++)
		scoring->codes[f] = rows->fields[f].codes;
	PM_TRY(pm_alloc(ctx, "sums of rows", lanes * scoring->sums_size, sizeof(float),
					&scoring->sums));
	if (table->field_weighted)
		PM_TRY(pm_alloc(ctx, "sums of rows", lanes * scoring->sums_size, sizeof(float),
						&scoring->scratch));
	return pm_parallel(ctx, "scoring", tasks, time * TASK_CHUNKS * scoring->chunk, score_task,
					   scoring);
}

PmStatus
pm_fm_table_logits(PmContext *ctx, const PmCtrRows *rows,
				   const FmTable *table, float *logits, double *loss)
{
	Scoring		scoring = {rows, table, NULL, logits, FM_CHUNK, 0, NULL, NULL, NULL};
	size_t		fields = table->field_weighted ? (size_t) rows->field_count : 1;
	int64_t		tasks;
	PmStatus	status = PM_OK;
	double		sums[2] = {0, 0};

	/* many fields or factors: fewer rows at a time */
	while (scoring.chunk > 8 && scoring.chunk * fields * table->width > 32768)
		scoring.chunk /= 2;
	scoring.sums_size = (size_t) scoring.chunk * table->width * fields;
	tasks = (rows->n + TASK_CHUNKS * scoring.chunk - 1) / (TASK_CHUNKS * scoring.chunk);
	if (loss != NULL)
		status = pm_alloc_zero(ctx, "losses", 2 * (size_t) tasks, sizeof(double), &scoring.totals);
	if (status == PM_OK)
		status = score(ctx, &scoring, tasks);
	if (status == PM_OK && loss != NULL)
	{
		for (int64_t k = 0; k < 2 * tasks; k++)
			sums[k % 2] += scoring.totals[k];
		*loss = sums[1] / sums[0];
	}
	pm_release(ctx, scoring.codes);
	pm_release(ctx, scoring.sums);
	pm_release(ctx, scoring.scratch);
	pm_release(ctx, scoring.totals);
	return status;
}

PmStatus
pm_fm_logits(PmContext *ctx, const PmCtrRows *rows, const PmFm *fm,
			 float *logits)
{
	FmTable		table;
	PmStatus	status = pm_fm_check_model(ctx, rows, fm);

	if (status != PM_OK)
		return status;
	status = pm_fm_table_open(ctx, fm, false, &table);
	if (status == PM_OK)
		status = pm_fm_table_logits(ctx, rows, &table, logits, NULL);
	pm_fm_table_close(ctx, &table);
	return status;
}

/* ---- one row ------------------------------------------------------------ */

/* The rows of factors that entries add up to: one, or of fwfm one a field. */
static inline size_t
sum_at(const PmFm *fm, const PmCtrEntry *entry)
{
	return fm->field_weighted ? (size_t) entry->field * fm->factors : 0;
}

/* Sums of the entries' factors, in sums; gives that of their squares. */
static double
sum_factors(const PmFm *fm, const PmCtrEntry *entries, int count, double *sums)
{
	int			factors = fm->factors;
	int			fields = fm->field_weighted ? fm->field_count : 1;
	double		squares = 0;

	memset(sums, 0, (size_t) fields * factors * sizeof(double));
	for (int i = 0; i < count; i++)
	{
		const float *v = fm->factor + (size_t) entries[i].index * factors;
		double	   *sum = sums + sum_at(fm, &entries[i]);

		for (int d = 0; d < factors; d++)
		{
			double		x = (double) v[d] * entries[i].value;

			sum[d] += x;
			squares += x * x;
		}
	}
	return squares;
}

static double
product(const double *first, const double *second, int factors)
{
	double		sum = 0;

	for (int d = 0; d < factors; d++)
		sum += first[d] * second[d];
	return sum;
}

double
pm_fm_logit(const PmFm *fm, const PmCtrEntry *entries, int count,
			double *scratch)
{
	int			factors = fm->factors;
	int			fields = fm->field_count;
	double		z = fm->intercept;
	double		squares = sum_factors(fm, entries, count, scratch);

	for (int i = 0; i < count; i++)
		z += (double) fm->linear[entries[i].index] * entries[i].value;
	if (!fm->field_weighted)
		return z + (product(scratch, scratch, factors) - squares) / 2;
	for (int f = 0; f < fields; f++)
		for (int g = f + 1; g < fields; g++)
			z += fm->pair[(size_t) f * fields + g] *
				product(scratch + (size_t) f * factors, scratch + (size_t) g * factors, factors);
	return z;
}

/*
 * Half of the pair terms that an entry is part of.  partners, of `factors`
 * elements, is for what it is multiplied with.
 */
static double
half_of_pairs(const PmFm *fm, const PmCtrEntry *entry, const double *sums,
			  double *partners)
{
	int			factors = fm->factors;
	const float *v = fm->factor + (size_t) entry->index * factors;
	double		sum = 0;

	if (!fm->field_weighted)
		for (int d = 0; d < factors; d++)
			partners[d] = sums[d] - (double) v[d] * entry->value;
	else
	{
		const float *pair = fm->pair + (size_t) entry->field * fm->field_count;

		memset(partners, 0, factors * sizeof(double));
		for (int g = 0; g < fm->field_count; g++)
			for (int d = 0; d < factors && g != entry->field; d++)
				partners[d] += pair[g] * sums[(size_t) g * factors + d];
	}
	for (int d = 0; d < factors; d++)
		sum += (double) v[d] * entry->value * partners[d];
	return sum / 2;
}

void
pm_fm_contributions(const PmFm *fm, const PmCtrEntry *entries, int count,
					double *scratch, double *contributions)
{
	double	   *partners = scratch + (size_t) fm->field_count * fm->factors;

	(void) sum_factors(fm, entries, count, scratch);
	for (int i = 0; i < count; i++)
		contributions[i] = (double) fm->linear[entries[i].index] * entries[i].value +
			half_of_pairs(fm, &entries[i], scratch, partners);
}
