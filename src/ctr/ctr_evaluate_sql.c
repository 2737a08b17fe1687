/*
 * ctr_evaluate_sql.c
 *		pm_evaluate_ctr: a click model against rows with labels.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "ctr_sql.h"
#include "pm_metrics.h"

typedef struct EvaluateCall
{
	char	   *weight_col;
	char	   *group_col;
	double		threshold;
} EvaluateCall;

/* The rows scored so far, one array a property. */
typedef struct Evaluation
{
	PmContext  *ctx;
	CtrScorer  *scorer;
	PmConverter label;
	PmConverter weight;
	PmConverter group;
	int			label_at;		/* among the values of a row; -1 = none */
	int			weight_at;
	int			group_at;
	MemoryContext scratch;		/* of a group's text */
	PmDictionary groups;

	int64		n;
	int64		rows_read;
	int64		skipped_label;
	int64		skipped_weight;
	int64		skipped_null;
	int64		unseen;			/* rows with a category that training had not */
	double	   *probabilities;
	float	   *scores;			/* the same as float, for GAUC */
	uint8_t    *labels;
	float	   *weights;
	int32_t    *row_groups;
	size_t		capacities[5];
} Evaluation;

static void
parse_options(EvaluateCall *call, Jsonb *json)
{
	const PmOption options[] = {
		{"group_col", PM_OPTION_STRING, &call->group_col},
		{"weight_col", PM_OPTION_STRING, &call->weight_col},
		{"threshold", PM_OPTION_DOUBLE, &call->threshold, 0, 1},
	};

	memset(call, 0, sizeof(*call));
	call->threshold = 0.5;
	pm_options_parse(json, options, lengthof(options), "an evaluation");
}

/* Whether some category or member of the row is not in the model. */
static bool
has_unseen(const PmRow *row)
{
	int			begin = 0;

	for (int i = 0; i < row->code_width; i++)
		if (row->codes[i] == PM_CODE_UNSEEN)
			return true;
	for (int s = 0; s < row->set_count; s++)
	{
		if (row->set_ends[s] > begin && row->set_codes[begin] == PM_CODE_UNSEEN)
			return true;
		begin = row->set_ends[s];
	}
	return false;
}

/* Room for one more row. */
static void
reserve(Evaluation *evaluation)
{
	PmContext  *ctx = evaluation->ctx;
	size_t		count = evaluation->n + 1;
	static const char *const what = "the rows to evaluate";

	pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(double),
								  &evaluation->probabilities, &evaluation->capacities[0]));
	pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(uint8_t),
								  &evaluation->labels, &evaluation->capacities[1]));
	if (evaluation->weight_at >= 0)
		pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(float),
									  &evaluation->weights, &evaluation->capacities[2]));
	if (evaluation->group_at < 0)
		return;
	pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(float),
								  &evaluation->scores, &evaluation->capacities[3]));
	pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(int32_t),
								  &evaluation->row_groups, &evaluation->capacities[4]));
}

/* The number of a row's group; rows without one are a group, too. */
static int32_t
group_of(Evaluation *evaluation, Datum value, bool isnull)
{
	MemoryContext previous;
	const char *string;
	size_t		length;
	int32_t		code;

	if (isnull)
		return 0;
	previous = MemoryContextSwitchTo(evaluation->scratch);
	string = OutputFunctionCall(&evaluation->group.function, value);
	length = strlen(string);
	MemoryContextSwitchTo(previous);
	pm_host_check(evaluation->ctx, pm_dictionary_add(evaluation->ctx, &evaluation->groups,
													 string, length, &code));
	MemoryContextReset(evaluation->scratch);
	return code + 1;
}

static void
take_row(void *argument, Datum *values, bool *nulls)
{
	Evaluation *evaluation = argument;
	CtrScorer  *scorer = evaluation->scorer;
	int			at = evaluation->label_at;
	float		weight = 1;
	uint8_t		label;
	double		logit;

	evaluation->rows_read++;
	if (evaluation->weight_at >= 0)
	{
		weight = pm_convert_weight(&evaluation->weight, values[evaluation->weight_at],
								   nulls[evaluation->weight_at]);
		if (weight == 0)
		{
			evaluation->skipped_weight++;
			return;
		}
	}
	if (nulls[at])
	{
		evaluation->skipped_label++;
		return;
	}
	label = pm_convert_label(&evaluation->label, values[at]);
	if (!pm_encoder_values(scorer->encoder, values, nulls, scorer->row))
	{
		evaluation->skipped_null++;
		return;
	}
	reserve(evaluation);
	logit = pm_ctr_scorer_logit(scorer);
	evaluation->unseen += has_unseen(scorer->row);
	evaluation->probabilities[evaluation->n] = pm_ctr_model_probability(scorer->model, logit);
	evaluation->labels[evaluation->n] = label;
	if (evaluation->weight_at >= 0)
		evaluation->weights[evaluation->n] = weight;
	if (evaluation->group_at >= 0)
	{
		evaluation->scores[evaluation->n] = (float) logit;
		evaluation->row_groups[evaluation->n] =
			group_of(evaluation, values[evaluation->group_at], nulls[evaluation->group_at]);
	}
	evaluation->n++;
}

/* The columns to read: the model's, then label, weight and group. */
static int
bind_columns(Evaluation *evaluation, const EvaluateCall *call,
			 const PmSource *source, const char *label_name, int *columns)
{
	MemoryContext memory = pm_host_memory(evaluation->ctx);
	int			count = pm_ctr_bind_columns(evaluation->scorer, source, columns);
	const PmField *field;

	evaluation->label_at = count;
	columns[count++] = pm_source_find(source, label_name);
	field = &source->fields[columns[count - 1]];
	pm_label_check_type(field);
	pm_converter_init(&evaluation->label, field, NULL, memory);
	evaluation->label.row = &evaluation->rows_read;
	evaluation->weight_at = evaluation->group_at = -1;
	if (call->weight_col != NULL)
	{
		evaluation->weight_at = count;
		columns[count++] = pm_source_find(source, call->weight_col);
		pm_converter_init(&evaluation->weight, &source->fields[columns[count - 1]], NULL, memory);
		evaluation->weight.row = &evaluation->rows_read;
		pm_weight_check_type(&evaluation->weight);
	}
	if (call->group_col != NULL)
	{
		Oid			output;
		bool		is_varlena;

		evaluation->group_at = count;
		columns[count++] = pm_source_find(source, call->group_col);
		getTypeOutputInfo(source->fields[columns[count - 1]].type, &output, &is_varlena);
		fmgr_info_cxt(output, &evaluation->group.function, memory);
		pm_host_check(evaluation->ctx, pm_dictionary_init(evaluation->ctx, &evaluation->groups));
	}
	return count;
}

static void
put_metric(PmRows *rows, const char *metric, double value)
{
	Datum		values[2];
	bool		nulls[2] = {false};

	values[0] = CStringGetTextDatum(metric);
	values[1] = pm_float8_or_null(value, &nulls[1]);
	pm_rows_put(rows, values, nulls);
}

static void
put_metrics(PmRows *rows, Evaluation *evaluation, double threshold)
{
	PmContext  *ctx = evaluation->ctx;
	PmBinaryMetrics metrics;
	double		gauc;

	pm_host_check(ctx, pm_metrics_binary(ctx, evaluation->n, evaluation->probabilities,
										 evaluation->labels, evaluation->weights, threshold,
										 &metrics));
	put_metric(rows, "n", metrics.n);
	put_metric(rows, "base_rate", metrics.base_rate);
	put_metric(rows, "mean_prediction", metrics.mean_prediction);
	put_metric(rows, "auc", metrics.auc);
	if (evaluation->group_at >= 0)
	{
		pm_host_check(ctx, pm_metrics_gauc(ctx, evaluation->n, evaluation->scores,
										   evaluation->labels, evaluation->weights,
										   evaluation->row_groups,
										   evaluation->groups.count + 1, &gauc));
		put_metric(rows, "gauc", gauc);
	}
	put_metric(rows, "log_loss", metrics.log_loss);
	put_metric(rows, "normalized_entropy", metrics.normalized_entropy);
	put_metric(rows, "brier", metrics.brier);
	put_metric(rows, "ece", metrics.ece);
	put_metric(rows, "accuracy", metrics.accuracy);
	put_metric(rows, "precision", metrics.precision);
	put_metric(rows, "recall", metrics.recall);
	put_metric(rows, "f1", metrics.f1);
	put_metric(rows, "threshold", threshold);
	put_metric(rows, "rows_skipped", evaluation->rows_read - evaluation->n);
	if (!evaluation->scorer->model->layout.hashed)
		put_metric(rows, "rows_with_unseen_category", evaluation->unseen);
}

PM_FUNCTION(pm_evaluate_ctr);

/*
 * pm_evaluate_ctr(model, source regclass, label name, options jsonb)
 *	→ TABLE(metric, value)
 */
Datum
pm_evaluate_ctr(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	EvaluateCall call;
	Evaluation	evaluation = {0};
	PmCachedModel cached;
	PmSource   *source;
	int		   *columns;
	int			count;

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("model, source and label must not be NULL")));
	parse_options(&call, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));
	evaluation.ctx = pm_host_begin("evaluation");
	pm_model_open_argument(fcinfo, 0, &pm_ctr_kind, evaluation.ctx, &cached);
	source = pm_source_open(PG_GETARG_OID(1));
	evaluation.scorer = pm_ctr_scorer(pm_host_memory(evaluation.ctx), cached.opened);
	evaluation.scratch = AllocSetContextCreate(pm_host_memory(evaluation.ctx), "precmkt groups",
											   ALLOCSET_SMALL_SIZES);
	columns = palloc((evaluation.scorer->model->schema->column_count + 3) * sizeof(int));
	count = bind_columns(&evaluation, &call, source, NameStr(*PG_GETARG_NAME(2)), columns);
	pm_source_scan(source, columns, count, 0, take_row, &evaluation);
	if (evaluation.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no rows to evaluate on"),
				 errdetail("%lld rows were read; %lld had no label, %lld no weight, %lld had every feature NULL.",
						   (long long) evaluation.rows_read, (long long) evaluation.skipped_label,
						   (long long) evaluation.skipped_weight,
						   (long long) evaluation.skipped_null)));
	put_metrics(&rows, &evaluation, call.threshold);
	pm_host_end(evaluation.ctx);
	return (Datum) 0;
}
