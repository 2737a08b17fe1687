/*
 * ctr_meta_sql.c
 *		A finished training as a model.
 */
#include "postgres.h"

#include <math.h>

#include "ctr_sql.h"
#include "pm_meta.h"

/* What is a function of data, options and seed. */
static char *
write_meta(const CtrTraining *training)
{
	const CtrModel *model = &training->model;
	bool		evaluated = !isnan(training->eval_loss);
	StringInfoData json;
	StringInfoData options;

	initStringInfo(&options);
	pm_ctr_options_write(&options, training->call, training->door);
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pm_json_string(&json, "algorithm", pm_ctr_algorithms[model->algorithm]);
	pm_json_string(&json, "source", training->source);
	if (training->parent != NULL)
		pm_json_string(&json, "parent", training->parent);
	pm_meta_columns(&json, model->schema);
	pm_json_int(&json, "fields", model->layout.field_count);
	pm_json_int(&json, "coefficients", model->layout.coefficient_count);
	pm_json_key(&json, "options");
	appendStringInfoString(&json, options.data);
	pm_json_int(&json, "rows_read", training->rows_read);
	pm_json_int(&json, "rows_used", training->rows_used);
	pm_json_int(&json, "rows_held_out", training->rows_held_out);
	pm_json_key(&json, "rows_skipped");
	appendStringInfoChar(&json, '{');
	pm_json_int(&json, "label_null", training->skipped_label);
	pm_json_int(&json, "weight_null_or_zero", training->skipped_weight);
	pm_json_int(&json, "every_feature_null", training->skipped_null);
	appendStringInfoChar(&json, '}');
	if (model->algorithm != CTR_FTRL)
		pm_meta_missing(&json, model->schema);
	pm_json_double(&json, "base_rate", training->base_rate);
	pm_json_double(&json, "mean_prediction", training->mean_prediction);
	pm_json_double(&json, "log_loss", training->loss);
	if (evaluated)
	{
		pm_json_double(&json, "eval_log_loss", training->eval_loss);
		pm_json_double(&json, "eval_auc", training->eval_auc);
	}
	pm_json_int(&json, model->algorithm == CTR_LOGISTIC ? "iterations" : "epochs",
				training->iterations);
	if (model->algorithm == CTR_LOGISTIC)
	{
		pm_json_bool(&json, "converged", training->converged);
		pm_json_bool(&json, "separated", training->separated);
		pm_json_int(&json, "aliased_coefficients", training->aliased);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* The log without its seconds, which differ from run to run. */
static double *
copy_log(CtrTraining *training)
{
	double	   *log;

	pm_host_check(training->ctx, pm_alloc(training->ctx, "the training log", training->log.count,
										  CTR_LOG_COLUMNS * sizeof(double), &log));
	for (size_t i = 0; i < training->log.count; i++)
	{
		const PmCtrLogEntry *entry = &training->log.entries[i];
		double	   *row = log + i * CTR_LOG_COLUMNS;

		row[0] = entry->epoch;
		row[1] = entry->loss;
		row[2] = entry->eval_loss;
		row[3] = entry->eval_auc;
	}
	return log;
}

/* The usual, and the seconds of each entry of the log. */
static char *
write_run(CtrTraining *training)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, pm_meta_run(training->ctx, training->seconds_load,
											  training->seconds_fit));
	json.data[--json.len] = '\0';	/* open the object again */
	pm_json_key(&json, "log_seconds");
	for (size_t i = 0; i < training->log.count; i++)
		appendStringInfo(&json, "%s%.6f", i > 0 ? ", " : "[", training->log.entries[i].seconds);
	appendStringInfoString(&json, training->log.count > 0 ? "]}" : "[]}");
	return json.data;
}

bytea *
pm_ctr_to_model(CtrTraining *training)
{
	PmContext  *ctx = training->ctx;
	CtrModel   *model = &training->model;
	char	   *meta = write_meta(training);
	char	   *run = write_run(training);
	PmModelWriter writer;

	model->scalars[CTR_INTERCEPT] = model->intercept;
	model->log = copy_log(training);
	model->log_count = training->log.count;
	pm_model_begin(&writer, PM_CTR_KIND);
	pm_model_add_bytes(&writer, "meta", PM_SECTION_JSON, meta, strlen(meta));
	pm_model_add_bytes(&writer, "run", PM_SECTION_JSON, run, strlen(run));
	pm_host_check(ctx, pm_ctr_model_sections(ctx, model, &writer));
	return pm_model_to_bytea(&writer);
}
