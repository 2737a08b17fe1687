/*
 * logistic_log.c
 *		The course of a logistic regression's training.
 */
#include "logistic.h"

#include <math.h>

/* Rows of a task. */
#define TASK_ROWS (16 * LOGISTIC_BLOCK)

/* Rows that are measured: losses, and logits where they are wanted. */
typedef struct Measuring
{
	const PmCtrRows *rows;
	const double *centre;
	double		intercept;
	const double *coefficients;
	double	   *losses;			/* by task, or NULL */
	float	   *logits;			/* n, or NULL */
} Measuring;

static void
measure_task(int64_t index, int lane, void *argument)
{
	const Measuring *measuring = argument;
	LogisticLosses losses;
	double		loss = 0;
	int64_t		end = (index + 1) * TASK_ROWS;

	(void) lane;
	if (end > measuring->rows->n)
		end = measuring->rows->n;
	for (int64_t begin = index * TASK_ROWS; begin < end; begin += LOGISTIC_BLOCK)
	{
		int			count = end - begin < LOGISTIC_BLOCK ? (int) (end - begin) : LOGISTIC_BLOCK;

		for (int i = 0; i < count; i++)
			losses.logit[i] = measuring->intercept;
		pm_logistic_add_logits(measuring->rows, NULL, measuring->centre,
							   measuring->coefficients, begin, count, losses.logit);
		for (int i = 0; measuring->logits != NULL && i < count; i++)
			measuring->logits[begin + i] = (float) losses.logit[i];
		if (measuring->losses == NULL)
			continue;
		pm_logistic_read_labels(measuring->rows, begin, count, &losses);
		pm_logistic_losses(&losses);
		loss += losses.loss;
	}
	if (measuring->losses != NULL)
		measuring->losses[index] = loss;
}

/* Go over all rows; each is estimated at 3 ns for a field. */
static PmStatus
measure(PmContext *ctx, Measuring *measuring)
{
	double		work = 10;

	for (int f = 0; f < measuring->rows->field_count; f++)
		work += measuring->rows->fields[f].kind == PM_CTR_DENSE ?
			measuring->rows->fields[f].count : 3;
	return pm_parallel(ctx, "logistic regression",
					   (measuring->rows->n + TASK_ROWS - 1) / TASK_ROWS,
					   work * TASK_ROWS, measure_task, measuring);
}

PmStatus
pm_logistic_logits(PmContext *ctx, const PmCtrRows *rows, double intercept,
				   const double *coefficients, float *logits)
{
	Measuring	measuring = {rows, NULL, intercept, coefficients, NULL, logits};
	double	   *zeros;
	PmStatus	status;

	PM_TRY(pm_alloc_zero(ctx, "means of columns", (size_t) rows->coefficient_count,
						 sizeof(double), &zeros));
	measuring.centre = zeros;
	status = measure(ctx, &measuring);
	pm_release(ctx, zeros);
	return status;
}

/* Mean loss on the evaluation rows. */
static PmStatus
measure_eval(PmContext *ctx, LogisticRun *run, const double *b, double *loss)
{
	Measuring	measuring = {run->eval, run->data->centre, b[0], b + 1, NULL, NULL};
	size_t		tasks = (size_t) ((run->eval->n + TASK_ROWS - 1) / TASK_ROWS);
	PmStatus	status;

	PM_TRY(pm_alloc(ctx, "losses of the evaluation rows", tasks, sizeof(double),
					&measuring.losses));
	status = measure(ctx, &measuring);
	*loss = 0;
	for (size_t task = 0; status == PM_OK && task < tasks; task++)
		*loss += measuring.losses[task];
	*loss /= run->eval_weight;
	pm_release(ctx, measuring.losses);
	return status;
}

PmStatus
pm_logistic_record(PmContext *ctx, LogisticRun *run, const double *b,
				   int iteration)
{
	PmCtrLogEntry entry = {iteration, run->sums.loss / run->data->weight, NAN, NAN, 0};

	pm_progress(ctx, "logistic regression", (double) iteration / run->options->max_iter);
	if (run->log == NULL)
		return PM_OK;
	if (run->eval != NULL)
		PM_TRY(measure_eval(ctx, run, b, &entry.eval_loss));
	entry.seconds = pm_ctr_clock() - run->began;
	return pm_ctr_log_add(ctx, run->log, &entry);
}
