/*
 * ctr_train_sql.c
 *		From a frame of rows to a click model: split, layout, fit, calibration.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"

#include "ctr_sql.h"
#include "pm_meta.h"
#include "pm_metrics.h"
#include "pm_sort.h"

void
pm_ctr_mark_categorical(const CtrCall *call, PmField *fields, int count)
{
	ListCell   *cell;

	foreach(cell, call->categorical)
	{
		const char *name = lfirst(cell);
		int			i = 0;

		while (i < count && strcmp(fields[i].name, name) != 0)
			i++;
		if (i == count)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("option \"categorical\" names \"%s\", which is no feature", name)));
		pm_field_categorical(&fields[i], "categorical");
	}
}

PmFrame *
pm_ctr_read_frame(const CtrTraining *training, const PmSource *source,
				  const int *columns, int count, const PmField *label,
				  const CtrCall *call, int64 row_limit)
{
	PmField    *fields = palloc(count * sizeof(PmField));
	PmFrameSpec spec = {0};

	for (int i = 0; i < count; i++)
		fields[i] = source->fields[columns[i]];
	pm_ctr_mark_categorical(call, fields, count);
	spec.column_count = count;
	spec.columns = fields;
	spec.label = label;
	spec.max_categories = call->max_categories;
	spec.row_limit = row_limit;
	spec.hash_categories = call->algorithm == CTR_FTRL;
	if (training->previous != NULL)
		spec.model = training->previous->schema;
	if (call->weight_col != NULL)
		spec.weight = &source->fields[pm_source_find(source, call->weight_col)];
	if (call->time_col != NULL)
		spec.time = &source->fields[pm_source_find(source, call->time_col)];
	return pm_frame_read(training->ctx, source, &spec, columns, -1);
}

CtrTable
pm_ctr_frame_table(const PmFrame *frame)
{
	CtrTable	table = {0};
	const int64_t **offsets = palloc(Max(1, frame->set_count) * sizeof(int64_t *));
	const int32_t **codes = palloc(Max(1, frame->set_count) * sizeof(int32_t *));

	for (int i = 0; i < frame->set_count; i++)
	{
		offsets[i] = frame->sets[i].offsets;
		codes[i] = frame->sets[i].codes;
	}
	table.schema = frame->schema;
	table.n = frame->n;
	table.dense_width = frame->dense_width;
	table.dense = frame->dense;
	table.code_width = frame->code_width;
	table.codes = frame->codes;
	table.set_count = frame->set_count;
	table.set_offsets = offsets;
	table.set_codes = codes;
	table.weights = frame->weights;
	table.labels = frame->labels;
	return table;
}

/* ---- the split -------------------------------------------------------- */

static int
compare_doubles(const void *left, const void *right)
{
	double		a = *(const double *) left;
	double		b = *(const double *) right;

	return (a > b) - (a < b);
}

double
pm_ctr_time_cut(PmContext *ctx, const PmFrame *frame, double share)
{
	double	   *times;
	double		cut;
	int64		at = (int64) ((1 - share) * frame->n);
	int64		low;
	int64		high;

	pm_host_check(ctx, pm_alloc(ctx, "the rows' times", frame->n, sizeof(double), &times));
	memcpy(times, frame->times, frame->n * sizeof(double));
	pm_host_check(ctx, pm_sort(ctx, times, frame->n, sizeof(double), compare_doubles));
	at = Min(at, frame->n - 1);
	for (low = at; low > 0 && times[low - 1] == times[at];)
		low--;
	for (high = at + 1; high < frame->n && times[high] == times[at];)
		high++;
	if (low == 0 && high == frame->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the time column is the same in every row"),
				 errhint("Use the option \"eval_fraction\" to hold out rows at random.")));
	if (low == 0 || (high < frame->n && high - at < at - low))
		low = high;
	cut = times[low];
	pm_release(ctx, times);
	return cut;
}

/* 1 for each row that is held out; NULL where none is. */
static uint8_t *
hold_out(PmContext *ctx, const PmFrame *frame, const CtrCall *call)
{
	uint8_t    *held_out;
	double		cut = 0;

	if (call->time_col == NULL && call->eval_fraction == 0)
		return NULL;
	if (call->time_col != NULL)
		cut = pm_ctr_time_cut(ctx, frame, call->time_share);
	pm_host_check(ctx, pm_alloc(ctx, "the split", frame->n, 1, &held_out));
	for (int64 i = 0; i < frame->n; i++)
		held_out[i] = call->time_col != NULL ? frame->times[i] >= cut :
			floor((i + 1) * call->eval_fraction) > floor(i * call->eval_fraction);
	return held_out;
}

/* ---- what can be trained on ------------------------------------------- */

void
pm_ctr_check_classes(const CtrTraining *training, double negatives,
					 double positives)
{
	if (negatives > 0 && positives > 0)
		return;
	if (negatives == 0 && positives == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no rows to train on"),
				 errdetail("%lld rows were read; %lld had no label, %lld no weight, %lld had every feature NULL, %lld are held out for evaluation.",
						   (long long) training->rows_read,
						   (long long) training->skipped_label,
						   (long long) training->skipped_weight,
						   (long long) training->skipped_null,
						   (long long) training->rows_held_out)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the label is %s in every row to train on",
					positives > 0 ? "true" : "false"),
			 errhint("A model needs rows of both classes.")));
}

/* A model of nothing that varies predicts the base rate: worth a word. */
static void
notice_constant(const CtrLayout *layout)
{
	for (int i = 0; i < layout->part_count; i++)
	{
		const CtrPart *part = &layout->parts[i];

		if (!part->visible)
			continue;
		if (part->kind != CTR_NUMBER ? part->size > 1 || part->kind == CTR_SET ||
			part->kind == CTR_MISSING : part->size > 1 || part->scale[0] != 0)
			return;
	}
	ereport(NOTICE,
			(errmsg("no feature varies: every prediction will be the base rate")));
}

/* Weights of the training rows with the classes' weights in them. */
static void
weigh_classes(CtrTraining *training, PmCtrRows *rows, double negatives,
			  double positives)
{
	CtrClassWeights classes = pm_ctr_class_weights(training->call, negatives, positives);
	float	   *weights;

	if (training->call->class_weight == NULL)
		return;
	pm_host_check(training->ctx, pm_alloc(training->ctx, "the rows' weights", rows->n,
										  sizeof(float), &weights));
	for (int64 i = 0; i < rows->n; i++)
		weights[i] = (float) (classes.by_label[rows->labels[i]] *
							  (rows->weights != NULL ? rows->weights[i] : 1));
	rows->weights = weights;
}

static void
sum_classes(const PmCtrRows *rows, double sums[2])
{
	sums[0] = sums[1] = 0;
	for (int64 i = 0; i < rows->n; i++)
		sums[rows->labels[i]] += rows->weights != NULL ? rows->weights[i] : 1;
}

/* ---- the fit ---------------------------------------------------------- */

/*
 * What a number's coefficient adds to the intercept of the column as it is:
 * (x - shift) scale b = x scale b - shift scale b.
 */
static double *
shifts(const CtrTraining *training)
{
	const CtrLayout *layout = &training->model.layout;
	double	   *contrast;

	pm_host_check(training->ctx, pm_alloc_zero(training->ctx, "the fit", layout->coefficient_count,
											   sizeof(double), &contrast));
	for (int i = 0; i < layout->part_count; i++)
	{
		const CtrPart *part = &layout->parts[i];

		for (int32_t j = 0; part->kind == CTR_NUMBER && j < part->size; j++)
			contrast[part->first + j] = -part->shift[j] * part->scale[j];
	}
	return contrast;
}

static void
fit_logistic(CtrTraining *training, const PmCtrRows *rows,
			 const PmCtrRows *held_out)
{
	const CtrCall *call = training->call;
	PmLogisticOptions options = {0};
	PmLogisticFit fit;
	double	   *errors;

	options.l1 = call->l1;
	options.l2 = call->l2;
	options.solver = call->solver;
	options.max_iter = call->max_iter;
	options.tol = call->tol;
	options.standard_errors = call->l1 == 0 && call->l2 == 0;
	options.contrast = options.standard_errors ? shifts(training) : NULL;
	options.start = training->previous != NULL ? pm_ctr_moved_start(training) : NULL;
	pm_host_check(training->ctx, pm_logistic_fit(training->ctx, rows, held_out, &options,
												 &training->log, &fit));
	training->iterations = fit.iterations;
	training->converged = fit.converged;
	training->separated = fit.separated;
	if (fit.separated)
		ereport(WARNING,
				(errmsg("the features tell some rows apart without error, so the coefficients have no finite optimum"),
				 errhint("Set the option \"l2\" above 0.")));
	else if (!fit.converged)
		ereport(WARNING,
				(errmsg("the fit did not converge in %d iterations", fit.iterations),
				 errhint("Raise the option \"max_iter\" or \"tol\".")));
	training->model.intercept = fit.intercept;
	training->model.coefficients = fit.coefficients;
	for (int i = 0; fit.aliased != NULL && i < rows->coefficient_count; i++)
		training->aliased += fit.aliased[i];
	if (fit.std_errors == NULL)
		return;
	pm_host_check(training->ctx, pm_alloc(training->ctx, "the fit", (size_t) rows->coefficient_count + 1,
										  sizeof(double), &errors));
	errors[0] = fit.intercept_std_err;
	memcpy(errors + 1, fit.std_errors, rows->coefficient_count * sizeof(double));
	training->model.std_errors = errors;
}

static void
fit_fm(CtrTraining *training, const PmCtrRows *rows,
	   const PmCtrRows *held_out)
{
	const CtrCall *call = training->call;
	PmFmOptions options = {0};
	PmFm	   *fm = &training->model.fm;

	options.field_weighted = call->algorithm == CTR_FWFM;
	options.factors = call->factors;
	options.optimizer = call->optimizer;
	options.learning_rate = call->learning_rate;
	options.l2 = call->l2;
	options.init_scale = call->init_scale;
	options.epochs = call->epochs;
	options.batch_size = call->batch_size;
	options.seed = (uint64_t) call->seed;
	options.early_stopping = call->early_stopping && held_out != NULL;
	options.monitor = call->monitor;
	options.patience = call->patience;
	pm_host_check(training->ctx, pm_fm_init(training->ctx, rows, &options, fm));
	if (training->previous != NULL)
		pm_ctr_moved_fm(training, fm);
	pm_host_check(training->ctx, pm_fm_fit(training->ctx, rows, held_out, &options, fm,
										   &training->log));
	training->model.intercept = fm->intercept;
	training->iterations = (int) training->log.count;
	training->converged = true;
}

/* Mean log loss and mean prediction of the training rows. */
static void
measure_training(CtrTraining *training, const PmCtrRows *rows)
{
	PmContext  *ctx = training->ctx;
	float	   *logits;
	double		total = 0;
	double		sum = 0;

	pm_host_check(ctx, pm_alloc(ctx, "the rows' logits", rows->n, sizeof(float), &logits));
	pm_host_check(ctx, pm_ctr_model_logits(ctx, &training->model, rows, logits));
	for (int64 i = 0; i < rows->n; i++)
	{
		double		weight = rows->weights != NULL ? rows->weights[i] : 1;

		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		total += weight;
		sum += weight * pm_ctr_model_probability(&training->model, logits[i]);
	}
	training->mean_prediction = sum / total;
	training->loss = pm_metrics_log_loss(rows->n, logits, rows->labels, rows->weights);
	pm_release(ctx, logits);
}

void
pm_ctr_evaluate_held_out(CtrTraining *training, int64 n, const float *logits,
						 const uint8_t *labels, const float *weights)
{
	PmContext  *ctx = training->ctx;
	CtrModel   *model = &training->model;
	double		slope;
	double		shift;
	double	   *thresholds;
	double	   *values;

	training->eval_loss = pm_metrics_log_loss(n, logits, labels, weights);
	pm_host_check(ctx, pm_metrics_auc(ctx, n, logits, labels, weights, &training->eval_auc));
	model->scalars[CTR_CALIBRATION] = training->call->calibrate;
	if (training->call->calibrate == CTR_UNCALIBRATED)
		return;
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no held-out rows to calibrate on")));
	if (training->call->calibrate == CTR_PLATT)
	{
		pm_host_check(ctx, pm_calibrate_platt(ctx, n, logits, labels, weights, &slope, &shift));
		model->scalars[CTR_PLATT_SLOPE] = slope;
		model->scalars[CTR_PLATT_SHIFT] = shift;
		return;
	}
	pm_host_check(ctx, pm_calibrate_isotonic(ctx, n, logits, labels, weights,
											 &model->isotonic_count, &thresholds, &values));
	model->isotonic_thresholds = thresholds;
	model->isotonic_values = values;
}

static void
evaluate_rows(CtrTraining *training, const PmCtrRows *held_out)
{
	PmContext  *ctx = training->ctx;
	float	   *logits;

	training->eval_loss = training->eval_auc = NAN;
	if (training->call->time_col == NULL && training->call->eval_fraction == 0)
		return;
	pm_host_check(ctx, pm_alloc(ctx, "the rows' logits", held_out->n, sizeof(float), &logits));
	pm_host_check(ctx, pm_ctr_model_logits(ctx, &training->model, held_out, logits));
	pm_ctr_evaluate_held_out(training, held_out->n, logits, held_out->labels, held_out->weights);
	if (training->call->algorithm == CTR_LOGISTIC && training->log.count > 0)
		training->log.entries[training->log.count - 1].eval_auc = training->eval_auc;
	pm_release(ctx, logits);
}

/* The frame's rows as the algorithm takes them; the frame is given back. */
static void
convert_frame(CtrTraining *training, PmFrame *frame, const CtrTable *table,
			  PmCtrRows *rows, PmCtrRows *held_out)
{
	PmContext  *ctx = training->ctx;

	pm_host_check(ctx, pm_ctr_layout_rows(ctx, &training->model.layout, table, rows, held_out));
	pm_release(ctx, frame->dense);
	pm_release(ctx, frame->codes);
	pm_release(ctx, frame->labels);
	for (int i = 0; i < frame->set_count; i++)
	{
		pm_release(ctx, frame->sets[i].codes);
		pm_release(ctx, frame->sets[i].offsets);
	}
	frame->dense = NULL;
	frame->codes = NULL;
	frame->labels = NULL;
	frame->set_count = 0;
}

static void
count_frame(CtrTraining *training, const PmFrame *frame)
{
	training->rows_read = frame->rows_read;
	training->skipped_label = frame->skipped_label;
	training->skipped_weight = frame->skipped_weight;
	training->skipped_null = frame->skipped_null;
}

void
pm_ctr_train_frame(CtrTraining *training, PmFrame *frame)
{
	PmContext  *ctx = training->ctx;
	CtrModel   *model = &training->model;
	CtrTable	table = pm_ctr_frame_table(frame);
	PmCtrRows	rows;
	PmCtrRows	held_out;
	double		classes[2];
	bool		evaluated;
	instr_time	begin;

	INSTR_TIME_SET_CURRENT(begin);
	count_frame(training, frame);
	if (frame->n == 0)
		pm_ctr_check_classes(training, 0, 0);
	table.held_out = hold_out(ctx, frame, training->call);
	model->schema = frame->schema;
	model->algorithm = training->call->algorithm;
	model->scalars[CTR_NEGATIVE_RATE] = training->call->negative_rate;
	model->scalars[CTR_OPTIMIZER] = training->call->optimizer;
	pm_ctr_prepare(training, &table);
	convert_frame(training, frame, &table, &rows, &held_out);
	training->rows_used = rows.n;
	training->rows_held_out = held_out.n;
	evaluated = held_out.n > 0;
	sum_classes(&rows, classes);
	pm_ctr_check_classes(training, classes[0], classes[1]);
	training->base_rate = classes[1] / (classes[0] + classes[1]);
	notice_constant(&model->layout);
	weigh_classes(training, &rows, classes[0], classes[1]);
	if (model->algorithm == CTR_LOGISTIC)
		fit_logistic(training, &rows, evaluated ? &held_out : NULL);
	else
		fit_fm(training, &rows, evaluated ? &held_out : NULL);
	evaluate_rows(training, &held_out);
	measure_training(training, &rows);
	training->seconds_fit = pm_seconds_since(begin);
}
