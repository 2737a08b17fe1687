/*
 * kmeans_train_sql.c
 *		From rows to a k-means model: options, columns, fit, container.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "kmeans_internal.h"
#include "kmeans_sql.h"
#include "pm_meta.h"

#define MAX_K 1000000

static const char *const init_names[] = {"kmeans++", "kmeans||", "random", NULL};
static const char *const metric_names[] = {"euclidean", "cosine", NULL};
static const char *const missing_names[] = {"impute", "skip", NULL};

/* The options of a door, with targets in *call; returns their number. */
static int
define_options(KMeansCall *call, KMeansDoor door, PmOption *options)
{
	int			count = 0;

#define ADD(...) (options[count++] = (PmOption) {__VA_ARGS__})
	if (door == KMEANS_AGGREGATE)
	{
		ADD("k", PM_OPTION_INT, &call->k, 1, MAX_K);
		ADD("exclude", PM_OPTION_NAMES, &call->exclude);
	}
	if (door != KMEANS_SWEEP)
	{
		ADD("k_min", PM_OPTION_INT, &call->k_min, 1, MAX_K);
		ADD("k_max", PM_OPTION_INT, &call->k_max, 1, MAX_K);
	}
	ADD("init", PM_OPTION_CHOICE, &call->init,.choices = init_names);
	ADD("n_init", PM_OPTION_INT, &call->n_init, 1, 1000);
	ADD("max_iter", PM_OPTION_INT, &call->max_iter, 1, 1000000);
	ADD("tol", PM_OPTION_DOUBLE, &call->tol, 0, 1e9);
	ADD("seed", PM_OPTION_INT64, &call->seed, 0, 0x1.0p53 - 1);
	ADD("standardize", PM_OPTION_BOOL, &call->standardize);
	ADD("metric", PM_OPTION_CHOICE, &call->metric,.choices = metric_names);
	ADD("weight_col", PM_OPTION_STRING, &call->weight_col);
	ADD("missing", PM_OPTION_CHOICE, &call->missing,.choices = missing_names);
	ADD("max_categories", PM_OPTION_INT, &call->max_categories, 1, 100000);
#undef ADD
	return count;
}

#define MAX_OPTIONS 16

/* Leaves k, k_min and k_max that are arguments as the caller set them. */
void
pm_kmeans_options(KMeansCall *call, KMeansDoor door, Jsonb *json)
{
	PmOption	options[MAX_OPTIONS];
	int			count = define_options(call, door, options);

	if (door != KMEANS_SWEEP)
	{
		call->k_min = 2;
		call->k_max = 10;
	}
	call->init = PM_INIT_KMEANSPP;
	call->n_init = 0;
	call->max_iter = 300;
	call->tol = 1e-4;
	call->seed = 1;
	call->standardize = true;
	call->metric = PM_METRIC_EUCLIDEAN;
	call->weight_col = NULL;
	call->missing = 0;
	call->max_categories = 100;
	call->exclude = NIL;
	pm_options_parse(json, options, count, "k-means");
	if (call->k_min > call->k_max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k_min = %d is more than k_max = %d", call->k_min,
						call->k_max)));
}

int *
pm_kmeans_features(const PmSource *source, ArrayType *names,
				   const char *weight_col, const char *except, int *count)
{
	const char *excepted[] = {weight_col, except};

	return pm_source_features(source, names, excepted, lengthof(excepted), count);
}

PmFrame *
pm_kmeans_read(PmContext *ctx, const PmSource *source, const int *columns,
			   int count, const KMeansCall *call, PmIds *ids, int id_column)
{
	PmField    *fields = palloc(count * sizeof(PmField));
	PmFrameSpec spec = {0};

	for (int i = 0; i < count; i++)
		fields[i] = source->fields[columns[i]];
	spec.column_count = count;
	spec.columns = fields;
	spec.max_categories = call->max_categories;
	spec.skip_incomplete = call->missing == 1;
	if (call->weight_col != NULL)
		spec.weight = &source->fields[pm_source_find(source, call->weight_col)];
	spec.ids = ids;
	return pm_frame_read(ctx, source, &spec, columns, id_column);
}

/* "3 with a NULL or zero weight, 2 with every feature NULL" */
static char *
describe_skipped(const PmFrame *frame)
{
	return psprintf("%lld rows were read; %lld had no weight, %lld had every feature NULL, %lld were incomplete",
					(long long) frame->rows_read,
					(long long) frame->skipped_weight,
					(long long) frame->skipped_null,
					(long long) frame->skipped_incomplete);
}

/* Columns that cannot tell rows apart are worth a word. */
static void
notice_constant(const PmFrame *frame)
{
	const PmSchema *schema = frame->schema;

	for (int i = 0; i < schema->column_count; i++)
	{
		const PmColumn *column = &schema->columns[i];

		if (column->nulls == frame->n)
			ereport(NOTICE,
					(errmsg("column \"%s\" is NULL in every row and has no influence",
							column->name)));
	}
}

void
pm_kmeans_encode(PmContext *ctx, PmFrame *frame, const KMeansCall *call,
				 KMeansOutcome *outcome)
{
	float	   *x;

	if (frame->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no rows to cluster"),
				 errdetail("%s.", describe_skipped(frame))));
	if (frame->schema->feature_count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no usable feature: every value of every column is NULL or empty")));
	notice_constant(frame);
	x = pm_frame_encode(ctx, frame, call->standardize);
	if (call->metric == PM_METRIC_COSINE)
		pm_kmeans_normalise(x, frame->n, frame->schema->feature_count);
	memset(outcome, 0, sizeof(*outcome));
	outcome->frame = frame;
	outcome->rows.x = x;
	outcome->rows.weights = frame->weights;
	outcome->rows.n = frame->n;
	outcome->rows.d = frame->schema->feature_count;
}

static PmKMeansOptions
fit_options(const KMeansCall *call, int k)
{
	PmKMeansOptions options = {0};

	options.k = k;
	options.init = call->init;
	options.n_init = call->n_init > 0 ? call->n_init :
		call->init == PM_INIT_RANDOM ? 10 : 1;
	options.max_iter = call->max_iter;
	options.tol = call->tol;
	options.seed = (uint64_t) call->seed;
	options.metric = call->metric;
	return options;
}

KMeansTrial *
pm_kmeans_try_all(PmContext *ctx, const PmKMeansRows *rows,
				  const KMeansCall *call, int *count)
{
	KMeansTrial *trials;
	int			distinct;
	int			k_max;

	pm_host_check(ctx, pm_kmeans_count_distinct(ctx, rows, call->k_max,
												&distinct));
	k_max = Min(call->k_max, distinct);
	if (k_max < call->k_max)
		ereport(NOTICE,
				(errmsg("k goes up to %d only: there are no more distinct rows",
						k_max)));
	*count = 0;
	trials = palloc(Max(1, k_max - call->k_min + 1) * sizeof(KMeansTrial));
	for (int k = call->k_min; k <= k_max; k++)
	{
		PmKMeansOptions options = fit_options(call, k);
		PmKMeansFit fit;
		KMeansTrial *trial = &trials[(*count)++];

		pm_host_check(ctx, pm_kmeans_fit(ctx, rows, &options, NULL, &fit));
		trial->k = k;
		pm_host_check(ctx, pm_kmeans_quality(ctx, rows, &fit, &trial->quality));
		pm_kmeans_release(ctx, &fit);
	}
	return trials;
}

/* The k of the highest silhouette; the smaller one among equals. */
static int
choose_k(PmContext *ctx, const PmKMeansRows *rows, const KMeansCall *call)
{
	int			count;
	KMeansTrial *trials = pm_kmeans_try_all(ctx, rows, call, &count);
	int			best = -1;

	for (int i = 0; i < count; i++)
		if (!isnan(trials[i].quality.silhouette) &&
			(best < 0 || trials[i].quality.silhouette > trials[best].quality.silhouette))
			best = i;
	if (best < 0)
	{
		ereport(NOTICE,
				(errmsg("k = 1: the rows allow no choice of k between %d and %d",
						call->k_min, call->k_max)));
		return 1;
	}
	ereport(NOTICE,
			(errmsg("k = %d has the highest silhouette, %.3f, of k = %d to %d",
					trials[best].k, trials[best].quality.silhouette,
					trials[0].k, trials[count - 1].k)));
	return trials[best].k;
}

void
pm_kmeans_train(PmContext *ctx, const KMeansCall *call,
				KMeansOutcome *outcome)
{
	PmKMeansOptions options;
	instr_time	begin;

	INSTR_TIME_SET_CURRENT(begin);
	outcome->k_chosen = call->k == 0;
	outcome->k = call->k > 0 ? call->k : choose_k(ctx, &outcome->rows, call);
	options = fit_options(call, outcome->k);
	pm_host_check(ctx, pm_kmeans_fit(ctx, &outcome->rows, &options, NULL,
									 &outcome->fit));
	outcome->seconds_fit = pm_seconds_since(begin);
	if (!outcome->fit.converged)
		ereport(WARNING,
				(errmsg("k-means did not converge in %d iterations",
						outcome->fit.iterations),
				 errhint("Raise the option \"max_iter\" or \"tol\".")));
}

/* ---- the model -------------------------------------------------------- */

/* What is a function of data, options and seed. */
static char *
write_meta(const KMeansCall *call, KMeansDoor door,
		   const KMeansOutcome *outcome, const char *source)
{
	const PmFrame *frame = outcome->frame;
	KMeansCall	used = *call;
	PmOption	options[MAX_OPTIONS];
	StringInfoData json;
	StringInfoData options_json;

	used.n_init = fit_options(call, outcome->k).n_init;
	initStringInfo(&options_json);
	used.k = outcome->k;
	pm_options_write(&options_json, options, define_options(&used, door, options));

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pm_json_string(&json, "algorithm", "kmeans");
	pm_json_string(&json, "source", source);
	pm_json_int(&json, "k", outcome->k);
	pm_json_string(&json, "k_chosen_by", outcome->k_chosen ? "silhouette" : "caller");
	pm_meta_columns(&json, frame->schema);
	pm_json_int(&json, "features", frame->schema->feature_count);
	pm_json_key(&json, "options");
	appendStringInfoString(&json, options_json.data);
	pm_json_int(&json, "rows_read", frame->rows_read);
	pm_json_int(&json, "rows_used", frame->n);
	pm_json_key(&json, "rows_skipped");
	appendStringInfoChar(&json, '{');
	pm_json_int(&json, "weight_null_or_zero", frame->skipped_weight);
	pm_json_int(&json, "every_feature_null", frame->skipped_null);
	pm_json_int(&json, "incomplete", frame->skipped_incomplete);
	appendStringInfoChar(&json, '}');
	pm_meta_missing(&json, frame->schema);
	pm_json_double(&json, "inertia", outcome->quality.inertia);
	pm_json_double(&json, "silhouette", outcome->quality.silhouette);
	pm_json_double(&json, "davies_bouldin", outcome->quality.davies_bouldin);
	pm_json_double(&json, "calinski_harabasz", outcome->quality.calinski_harabasz);
	pm_json_int(&json, "iterations", outcome->fit.iterations);
	pm_json_bool(&json, "converged", outcome->fit.converged);
	pm_json_int(&json, "empty_clusters_refilled", outcome->fit.empty_refilled);
	appendStringInfoChar(&json, '}');
	return json.data;
}

bytea *
pm_kmeans_to_model(PmContext *ctx, const KMeansCall *call, KMeansDoor door,
				   KMeansOutcome *outcome, const char *source)
{
	const PmKMeansFit *fit = &outcome->fit;
	char	   *meta;
	char	   *run = pm_meta_run(ctx, outcome->seconds_load, outcome->seconds_fit);
	int32		metric = call->metric;
	double		evaluation[PM_EVAL_COUNT];
	PmModelWriter writer;
	void	   *schema;
	size_t		schema_size;

	pm_host_check(ctx, pm_kmeans_quality(ctx, &outcome->rows, fit,
										 &outcome->quality));
	meta = write_meta(call, door, outcome, source);
	evaluation[PM_EVAL_INERTIA] = outcome->quality.inertia;
	evaluation[PM_EVAL_SILHOUETTE] = outcome->quality.silhouette;
	evaluation[PM_EVAL_DAVIES_BOULDIN] = outcome->quality.davies_bouldin;
	evaluation[PM_EVAL_CALINSKI_HARABASZ] = outcome->quality.calinski_harabasz;
	evaluation[PM_EVAL_ITERATIONS] = fit->iterations;
	evaluation[PM_EVAL_CONVERGED] = fit->converged;
	pm_host_check(ctx, pm_schema_write(ctx, outcome->frame->schema, &schema,
									   &schema_size));
	pm_model_begin(&writer, PM_KMEANS_KIND);
	pm_model_add_bytes(&writer, "meta", PM_SECTION_JSON, meta, strlen(meta));
	pm_model_add_bytes(&writer, "run", PM_SECTION_JSON, run, strlen(run));
	pm_model_add_bytes(&writer, "schema", PM_SECTION_BYTES, schema, schema_size);
	pm_model_add_array(&writer, "metric", PM_SECTION_INT32, &metric, 1, 1);
	pm_model_add_array(&writer, "centroids", PM_SECTION_FLOAT32, fit->centroids, fit->k, fit->d);
	pm_model_add_array(&writer, "weights", PM_SECTION_FLOAT64, fit->weights, fit->k, 1);
	pm_model_add_array(&writer, "counts", PM_SECTION_INT64, fit->counts, fit->k, 1);
	pm_model_add_array(&writer, "radius", PM_SECTION_FLOAT64, fit->radius, fit->k, 1);
	pm_model_add_array(&writer, "evaluation", PM_SECTION_FLOAT64, evaluation, PM_EVAL_COUNT, 1);
	return pm_model_to_bytea(&writer);
}

/* ---- SQL functions ---------------------------------------------------- */

int
pm_kmeans_k_argument(FunctionCallInfo fcinfo, int argument)
{
	int			k;

	if (PG_ARGISNULL(argument))
		return 0;
	k = PG_GETARG_INT32(argument);
	if (k < 1 || k > MAX_K)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must be between 1 and %d, not %d", MAX_K, k)));
	return k;
}

static void
require_source(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source must not be NULL")));
}

PM_FUNCTION(pm_kmeans);

/* pm_kmeans(source regclass, features name[], k int, options jsonb) → bytea */
Datum
pm_kmeans(PG_FUNCTION_ARGS)
{
	PmContext  *ctx;
	KMeansCall	call;
	KMeansOutcome outcome;
	PmSource   *source;
	PmFrame    *frame;
	int		   *columns;
	int			count;
	instr_time	begin;
	double		seconds_load;
	bytea	   *model;

	require_source(fcinfo);
	call.k = pm_kmeans_k_argument(fcinfo, 2);
	pm_kmeans_options(&call, KMEANS_TABLE,
					  PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));
	source = pm_source_open(PG_GETARG_OID(0));
	columns = pm_kmeans_features(source,
								 PG_ARGISNULL(1) ? NULL : PG_GETARG_ARRAYTYPE_P(1),
								 call.weight_col, NULL, &count);
	ctx = pm_host_begin("k-means");
	pm_host_use_device(ctx);
	INSTR_TIME_SET_CURRENT(begin);
	frame = pm_kmeans_read(ctx, source, columns, count, &call, NULL, -1);
	seconds_load = pm_seconds_since(begin);
	pm_kmeans_encode(ctx, frame, &call, &outcome);
	outcome.seconds_load = seconds_load;
	pm_kmeans_train(ctx, &call, &outcome);
	model = pm_kmeans_to_model(ctx, &call, KMEANS_TABLE, &outcome, source->name);
	pm_host_end(ctx);
	PG_RETURN_BYTEA_P(model);
}

PM_FUNCTION(pm_kmeans_sweep);

/* pm_kmeans_sweep(source, features, k_min, k_max, options) → TABLE(k, ...) */
Datum
pm_kmeans_sweep(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx;
	KMeansCall	call;
	KMeansOutcome outcome;
	PmSource   *source;
	KMeansTrial *trials;
	int		   *columns;
	int			count;

	require_source(fcinfo);
	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("k_min and k_max must not be NULL")));
	call.k = 0;
	call.k_min = pm_kmeans_k_argument(fcinfo, 2);
	call.k_max = pm_kmeans_k_argument(fcinfo, 3);
	pm_kmeans_options(&call, KMEANS_SWEEP,
					  PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4));
	source = pm_source_open(PG_GETARG_OID(0));
	columns = pm_kmeans_features(source,
								 PG_ARGISNULL(1) ? NULL : PG_GETARG_ARRAYTYPE_P(1),
								 call.weight_col, NULL, &count);
	ctx = pm_host_begin("k-means sweep");
	pm_host_use_device(ctx);
	pm_kmeans_encode(ctx, pm_kmeans_read(ctx, source, columns, count, &call, NULL, -1),
					 &call, &outcome);
	trials = pm_kmeans_try_all(ctx, &outcome.rows, &call, &count);
	for (int i = 0; i < count; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = Int32GetDatum(trials[i].k);
		values[1] = Float8GetDatum(trials[i].quality.inertia);
		values[2] = pm_float8_or_null(trials[i].quality.silhouette, &nulls[2]);
		values[3] = pm_float8_or_null(trials[i].quality.davies_bouldin, &nulls[3]);
		values[4] = pm_float8_or_null(trials[i].quality.calinski_harabasz, &nulls[4]);
		pm_rows_put(&rows, values, nulls);
	}
	pm_host_end(ctx);
	return (Datum) 0;
}
