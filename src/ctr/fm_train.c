/*
 * fm_train.c
 *		Factorisation machines: epochs, and when to stop.
 */
#include "fm.h"

#include "pm_metrics.h"

#include <math.h>
#include <string.h>

/*
 * What an epoch that is no better than the best leaves of the learning rate:
 * the steps have become too long for what is left to learn.  On validation
 * parts of Online Retail, 3 seeds: from nothing to 0.0025 of AUC.
 */
#define RATE_DECAY 0.3f

/* A training that goes on. */
typedef struct Training
{
	const PmFmOptions *options;
	const PmCtrRows *rows;
	const PmCtrRows *eval;		/* NULL: none */
	PmCtrLog   *log;
	double		began;
	FmTable		table;
	FmStepper	stepper;
	FmEpoch		epoch;
	float	   *eval_logits;
	PmFm		result;			/* with arrays of its own */
	int64_t		steps;			/* of the table */
	double		best;			/* of badness() */
	int			best_epoch;		/* 0: none is better than others */
} Training;

/* Loss and AUC on the evaluation rows. */
static PmStatus
evaluate(PmContext *ctx, Training *training, PmCtrLogEntry *entry)
{
	const PmCtrRows *eval = training->eval;

	if (eval == NULL || eval->n == 0)
		return PM_OK;
	PM_TRY(pm_fm_table_logits(ctx, eval, &training->table, training->eval_logits,
							  &entry->eval_loss));
	if (!isfinite(entry->eval_loss))
		return pm_fail(ctx, PM_INVALID, "the evaluation loss is not finite: lower the learning_rate");
	return pm_metrics_auc(ctx, eval->n, training->eval_logits, eval->labels, eval->weights,
						  &entry->eval_auc);
}

/* Keep the table's weights as the result. */
static PmStatus
keep(PmContext *ctx, Training *training)
{
	PM_TRY(pm_fm_table_read(ctx, &training->table, &training->result));
	training->result.steps = training->steps;
	return PM_OK;
}

/* What early stopping wants less of. */
static PmStatus
badness(PmContext *ctx, const Training *training, const PmCtrLogEntry *entry,
		double *result)
{
	*result = entry->eval_loss;
	if (training->options->monitor != PM_FM_AUC)
		return PM_OK;
	*result = -entry->eval_auc;
	if (isnan(entry->eval_auc))
		return pm_fail(ctx, PM_INVALID, "the evaluation rows are of one class and have no AUC to monitor");
	return PM_OK;
}

/* One epoch; *stop: no more of them. */
static PmStatus
run_epoch(PmContext *ctx, Training *training, int number, bool *stop)
{
	FmEpoch    *epoch = &training->epoch;
	bool		stopping = training->options->early_stopping && training->eval_logits != NULL;
	PmCtrLogEntry entry = {number, NAN, NAN, NAN, 0};
	double		bad = 0;

	epoch->progress = (number - 1.0) / training->options->epochs;
	epoch->progress_share = 1.0 / training->options->epochs;
	PM_TRY(pm_fm_epoch_run(ctx, epoch, training->steps));
	training->steps += epoch->batches;
	entry.loss = epoch->loss / epoch->weight;
	if (!isfinite(entry.loss))
		return pm_fail(ctx, PM_INVALID, "the loss is not finite in epoch %d: lower the learning_rate",
					   number);
	PM_TRY(evaluate(ctx, training, &entry));
	entry.seconds = pm_ctr_clock() - training->began;
	PM_TRY(pm_ctr_log_add(ctx, training->log, &entry));
	if (stopping)
		PM_TRY(badness(ctx, training, &entry, &bad));
	if (!stopping)
		*stop = number == training->options->epochs;
	else if (training->best_epoch == 0 || bad < training->best)
	{
		training->best = bad;
		training->best_epoch = number;
		return keep(ctx, training);
	}
	else
	{
		*stop = number - training->best_epoch >= training->options->patience;
		training->stepper.learning_rate *= RATE_DECAY;
	}
	return *stop && !stopping ? keep(ctx, training) : PM_OK;
}

/* Buffers, then epochs. */
static PmStatus
train(PmContext *ctx, Training *training, const PmFm *fm)
{
	bool		stop = false;

	PM_TRY(pm_fm_table_open(ctx, fm, true, &training->table));
	PM_TRY(pm_fm_epoch_open(ctx, training->rows, training->options, &training->table,
							&training->stepper, &training->epoch));
	if (training->eval != NULL && training->eval->n > 0)
		PM_TRY(pm_alloc(ctx, "logits", (size_t) training->eval->n, sizeof(float),
						&training->eval_logits));
	PM_TRY(pm_fm_allocate(ctx, &training->result));
	for (int number = 1; number <= training->options->epochs && !stop; number++)
		PM_TRY(run_epoch(ctx, training, number, &stop));
	return PM_OK;
}

PmStatus
pm_fm_fit(PmContext *ctx, const PmCtrRows *rows, const PmCtrRows *eval,
		  const PmFmOptions *options, PmFm *fm, PmCtrLog *log)
{
	Training	training;
	PmStatus	status;

	memset(&training, 0, sizeof(training));
	training.options = options;
	training.rows = rows;
	training.eval = eval;
	training.log = log;
	training.began = pm_ctr_clock();
	training.steps = fm->steps;
	training.result = *fm;
	PM_TRY(pm_fm_check_rows(ctx, rows));
	PM_TRY(pm_fm_check_options(ctx, options));
	PM_TRY(pm_fm_check_model(ctx, rows, fm));
	if (eval != NULL && eval->n > 0)
		PM_TRY(pm_fm_check_model(ctx, eval, fm));
	training.result.linear = training.result.factor = training.result.pair = NULL;
	training.result.first = training.result.second = NULL;
	status = train(ctx, &training, fm);
	pm_fm_epoch_close(ctx, &training.epoch);
	pm_fm_table_close(ctx, &training.table);
	pm_release(ctx, training.eval_logits);
	if (status == PM_OK)
		*fm = training.result;
	else
		pm_fm_release(ctx, &training.result);
	return status;
}
