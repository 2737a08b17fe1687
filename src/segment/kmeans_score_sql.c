/*
 * kmeans_score_sql.c
 *		Rows against a k-means model: one at a time, and whole tables.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "kmeans_sql.h"
#include "pm_device.h"

const PmModelKind pm_kmeans_kind = {
	PM_KMEANS_KIND, "pm_kmeans", pm_kmeans_model_open
};

/* What a scorer keeps beside a cached model. */
typedef struct Scorer
{
	PmEncoder  *encoder;
	float	   *row;
} Scorer;

static Scorer *
scorer_of(PmCachedModel *cached)
{
	PmKMeansModel *model = cached->opened;
	Scorer	   *scorer = cached->extra;

	if (scorer != NULL)
		return scorer;
	scorer = MemoryContextAlloc(cached->memory, sizeof(Scorer));
	scorer->encoder = pm_encoder_create(cached->memory, model->schema);
	scorer->row = MemoryContextAllocExtended(cached->memory,
											 model->d * sizeof(float),
											 MCXT_ALLOC_HUGE);
	cached->extra = scorer;
	return scorer;
}

/*
 * Encode a record where a vector's cast to float4[] may be anybody's function:
 * one that scores, too, must neither drive this model out of the cache nor
 * use it.
 */
static pg_noinline bool
encode_guarded(PmCachedModel *cached, Scorer *scorer, HeapTupleHeader record)
{
	volatile bool found = false;

	if (cached->busy)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a cast to float4[] cannot score with the model that it is called for")));
	cached->busy = true;
	PG_TRY();
	{
		found = pm_encoder_record(scorer->encoder, record, scorer->row);
	}
	PG_FINALLY();
	{
		cached->busy = false;
	}
	PG_END_TRY();
	return found;
}

/* The nearest cluster of the arguments (model, record); false for no data. */
static bool
score_arguments(FunctionCallInfo fcinfo, int *cluster, double *distance)
{
	HeapTupleHeader record = PG_GETARG_HEAPTUPLEHEADER(1);
	PmCachedModel *cached = pm_model_cached(fcinfo, 0, &pm_kmeans_kind);
	Scorer	   *scorer = scorer_of(cached);

	if (pm_encoder_may_call(scorer->encoder) ?
		!encode_guarded(cached, scorer, record) :
		!pm_encoder_record(scorer->encoder, record, scorer->row))
		return false;
	*cluster = pm_kmeans_model_nearest(cached->opened, scorer->row, distance);
	return true;
}

PM_FUNCTION(pm_kmeans_assign);

/* pm_kmeans_assign(model, features record) → int, 1-based */
Datum
pm_kmeans_assign(PG_FUNCTION_ARGS)
{
	int			cluster;
	double		distance;

	if (!score_arguments(fcinfo, &cluster, &distance))
		PG_RETURN_NULL();
	PG_RETURN_INT32(cluster + 1);
}

PM_FUNCTION(pm_kmeans_distance);

/* pm_kmeans_distance(model, features record) → float8 */
Datum
pm_kmeans_distance(PG_FUNCTION_ARGS)
{
	int			cluster;
	double		distance;

	if (!score_arguments(fcinfo, &cluster, &distance))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(distance);
}

/* ---- pm_segment ------------------------------------------------------- */

#define BATCH_ROWS 1024

/* Rows collected for one call of the device. */
typedef struct Segmenter
{
	PmContext  *ctx;
	PmKMeansModel model;
	PmEncoder  *encoder;
	PmRows		rows;
	bool		id_as_text;
	Oid			id_output;		/* the id's output function */
	bool		id_by_value;
	int16		id_length;
	int			feature_count;	/* columns before the id */
	int			batched;
	Datum	   *ids;
	bool	   *id_nulls;
	bool	   *empty;			/* every feature NULL: no cluster */
	float	   *x;
	int32_t    *labels;
	float	   *distances;
	MemoryContext batch_memory;
} Segmenter;

/* Score the batch and put its rows out. */
static void
flush_batch(Segmenter *segmenter)
{
	const PmKMeansModel *model = &segmenter->model;

	if (model->metric == PM_METRIC_COSINE)
		pm_kmeans_normalise(segmenter->x, segmenter->batched, model->d);
	pm_host_check(segmenter->ctx,
				  segmenter->ctx->device->nearest_centroid(segmenter->ctx,
														   segmenter->batched,
														   model->d, model->k,
														   segmenter->x,
														   model->centroids,
														   segmenter->labels,
														   segmenter->distances,
														   NULL));
	for (int i = 0; i < segmenter->batched; i++)
	{
		Datum		values[3];
		bool		nulls[3];

		values[0] = segmenter->ids[i];
		nulls[0] = segmenter->id_nulls[i];
		values[1] = Int32GetDatum(segmenter->labels[i] + 1);
		nulls[1] = segmenter->empty[i];
		values[2] = Float8GetDatum(pm_kmeans_model_distance(model,
																	  segmenter->x + (size_t) i * model->d,
																	  segmenter->distances[i]));
		nulls[2] = segmenter->empty[i];
		pm_rows_put(&segmenter->rows, values, nulls);
	}
	segmenter->batched = 0;
	MemoryContextReset(segmenter->batch_memory);
}

/* A row of the second scan: its features, then its id. */
static void
segment_row(void *argument, Datum *values, bool *nulls)
{
	Segmenter  *segmenter = argument;
	int			at = segmenter->batched;
	int			id = segmenter->feature_count;
	float	   *row = segmenter->x + (size_t) at * segmenter->model.d;
	MemoryContext previous;

	segmenter->id_nulls[at] = nulls[id];
	segmenter->ids[at] = (Datum) 0;
	if (!nulls[id])
	{
		previous = MemoryContextSwitchTo(segmenter->batch_memory);
		if (segmenter->id_as_text)
			segmenter->ids[at] = CStringGetTextDatum(OidOutputFunctionCall(segmenter->id_output, values[id]));
		else
			segmenter->ids[at] = datumCopy(values[id], segmenter->id_by_value,
										   segmenter->id_length);
		MemoryContextSwitchTo(previous);
	}
	segmenter->empty[at] = !pm_encoder_row(segmenter->encoder, values, nulls, row);
	if (segmenter->empty[at])
		memset(row, 0, segmenter->model.d * sizeof(float));
	if (++segmenter->batched == BATCH_ROWS)
		flush_batch(segmenter);
}

/* How ids leave: as text, or as the type that the caller names. */
static void
prepare_id(Segmenter *segmenter, const PmField *id, FunctionCallInfo fcinfo)
{
	Oid			wanted = PG_NARGS() > 5 ?
		get_fn_expr_argtype(fcinfo->flinfo, 5) : TEXTOID;
	bool		is_varlena;

	segmenter->id_as_text = wanted == TEXTOID;
	if (segmenter->id_as_text)
		getTypeOutputInfo(id->type, &segmenter->id_output, &is_varlena);
	else if (getBaseType(wanted) == id->type)
		get_typlenbyval(id->type, &segmenter->id_length, &segmenter->id_by_value);
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("id_type is %s, but column \"%s\" is %s",
						format_type_be(wanted), id->name,
						format_type_be(id->type)),
				 id->type == INT8OID || id->type == INT4OID || id->type == UUIDOID ?
				 errhint("Call it with id_type => NULL::%s, or without for text.",
						 format_type_be(id->type)) :
				 errhint("Call it without id_type: ids come as text.")));
}

/* The fitted clusters as a model to score with; nothing is copied. */
static void
borrow_model(PmKMeansModel *model, const KMeansOutcome *outcome,
			 const KMeansCall *call)
{
	memset(model, 0, sizeof(*model));
	model->schema = outcome->frame->schema;
	model->metric = call->metric;
	model->k = outcome->fit.k;
	model->d = outcome->fit.d;
	model->centroids = outcome->fit.centroids;
}

/* Second scan: every row's id, cluster and distance. */
static void
put_segments(Segmenter *segmenter, const PmSource *source, const int *columns,
			 int id_column)
{
	PmContext  *ctx = segmenter->ctx;
	int			count = segmenter->feature_count;
	int		   *wanted = palloc((count + 1) * sizeof(int));
	PmField    *fields = palloc(count * sizeof(PmField));

	memcpy(wanted, columns, count * sizeof(int));
	wanted[count] = id_column;
	for (int i = 0; i < count; i++)
		fields[i] = source->fields[columns[i]];
	segmenter->encoder = pm_encoder_create(pm_host_memory(ctx),
										   segmenter->model.schema);
	pm_encoder_bind(segmenter->encoder, fields);
	segmenter->ids = palloc(BATCH_ROWS * sizeof(Datum));
	segmenter->id_nulls = palloc(BATCH_ROWS * sizeof(bool));
	segmenter->empty = palloc(BATCH_ROWS * sizeof(bool));
	pm_host_check(ctx, pm_alloc(ctx, "a batch", BATCH_ROWS,
								segmenter->model.d * sizeof(float), &segmenter->x));
	pm_host_check(ctx, pm_alloc(ctx, "a batch", BATCH_ROWS, sizeof(int32_t), &segmenter->labels));
	pm_host_check(ctx, pm_alloc(ctx, "a batch", BATCH_ROWS, sizeof(float), &segmenter->distances));
	segmenter->batch_memory = AllocSetContextCreate(pm_host_memory(ctx),
													"precmkt batch",
													ALLOCSET_DEFAULT_SIZES);
	pm_source_scan(source, wanted, count + 1, segment_row, segmenter);
	flush_batch(segmenter);
}

PM_FUNCTION(pm_segment);

/*
 * pm_segment(source, id_col, features, k, options, id_type)
 *	→ TABLE(id, cluster, distance)
 */
Datum
pm_segment(PG_FUNCTION_ARGS)
{
	Segmenter	segmenter = {0};
	KMeansCall	call;
	KMeansOutcome outcome;
	PmSource   *source;
	PmFrame    *frame;
	char	   *id_name;
	int		   *columns;
	int			id_column;

	segmenter.rows = pm_rows_begin(fcinfo);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source and id_col must not be NULL")));
	call.k = pm_kmeans_k_argument(fcinfo, 3);
	pm_kmeans_options(&call, KMEANS_TABLE,
					  PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4));
	source = pm_source_open(PG_GETARG_OID(0));
	id_name = NameStr(*PG_GETARG_NAME(1));
	id_column = pm_source_find(source, id_name);
	prepare_id(&segmenter, &source->fields[id_column], fcinfo);
	columns = pm_kmeans_features(source,
								 PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2),
								 call.weight_col, id_name,
								 &segmenter.feature_count);
	segmenter.ctx = pm_host_begin("segments");
	pm_host_use_device(segmenter.ctx);
	frame = pm_kmeans_read(segmenter.ctx, source, columns,
						   segmenter.feature_count, &call);
	pm_kmeans_encode(segmenter.ctx, frame, &call, &outcome);
	pm_kmeans_train(segmenter.ctx, &call, &outcome);
	borrow_model(&segmenter.model, &outcome, &call);
	pm_release(segmenter.ctx, (void *) outcome.rows.x);
	put_segments(&segmenter, source, columns, id_column);
	pm_host_end(segmenter.ctx);
	return (Datum) 0;
}
