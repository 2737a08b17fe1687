/*
 * ctr_score_sql.c
 *		Rows against a click model: one at a time, and whole tables.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "ctr_sql.h"
#include "pm_stream.h"

const PmModelKind pm_ctr_kind = {
	PM_CTR_KIND, "pm_train_ctr", pm_ctr_model_open
};

CtrScorer *
pm_ctr_scorer(MemoryContext memory, const CtrModel *model)
{
	CtrScorer  *scorer = MemoryContextAllocZero(memory, sizeof(CtrScorer));

	scorer->model = model;
	scorer->memory = memory;
	scorer->encoder = pm_encoder_create(memory, model->schema);
	if (model->layout.hashed)
		pm_encoder_hash_categories(scorer->encoder);
	scorer->row = pm_encoder_make_row(scorer->encoder);
	return scorer;
}

/* Room for the entries of a row with so many members in its sets. */
static void
reserve_entries(CtrScorer *scorer, int members)
{
	int			wanted = scorer->model->layout.entry_count + members;

	if (wanted <= scorer->capacity)
		return;
	if (scorer->entries != NULL)
	{
		pfree(scorer->entries);
		pfree(scorer->scratch);
	}
	scorer->capacity = wanted + wanted / 2 + 16;
	scorer->entries = MemoryContextAllocExtended(scorer->memory,
												 scorer->capacity * sizeof(PmCtrEntry), MCXT_ALLOC_HUGE);
	scorer->scratch = MemoryContextAllocExtended(scorer->memory,
												 pm_ctr_scratch_size(scorer->model, scorer->capacity), MCXT_ALLOC_HUGE);
}

int
pm_ctr_scorer_entries(CtrScorer *scorer)
{
	const PmRow *row = scorer->row;

	reserve_entries(scorer, row->set_count > 0 ? row->set_ends[row->set_count - 1] : 0);
	return pm_ctr_layout_entries(&scorer->model->layout, row, scorer->entries);
}

double
pm_ctr_scorer_logit(CtrScorer *scorer)
{
	int			count = pm_ctr_scorer_entries(scorer);

	return pm_ctr_model_logit(scorer->model, scorer->entries, count, scorer->scratch);
}

CtrScorer *
pm_ctr_cached_scorer(PmCachedModel *cached)
{
	if (cached->extra == NULL)
		cached->extra = pm_ctr_scorer(cached->memory, cached->opened);
	return cached->extra;
}

/* A record's values by a guarded call, see pm_model_guard(). */
typedef struct Guarded
{
	CtrScorer  *scorer;
	HeapTupleHeader record;
	bool		found;
} Guarded;

static void
read_record(void *argument)
{
	Guarded    *guarded = argument;

	guarded->found = pm_encoder_record_values(guarded->scorer->encoder, guarded->record,
											  guarded->scorer->row);
}

bool
pm_ctr_scorer_read(PmCachedModel *cached, CtrScorer *scorer,
				   HeapTupleHeader record)
{
	Guarded		guarded = {scorer, record, false};

	if (pm_encoder_may_call(scorer->encoder))
		pm_model_guard(cached, read_record, &guarded);
	else
		read_record(&guarded);
	return guarded.found;
}

PM_FUNCTION(pm_predict_ctr);

/* pm_predict_ctr(model, features record) → float8; NULL for no data */
Datum
pm_predict_ctr(PG_FUNCTION_ARGS)
{
	HeapTupleHeader record = PG_GETARG_HEAPTUPLEHEADER(1);
	PmCachedModel *cached = pm_model_cached(fcinfo, 0, &pm_ctr_kind);
	CtrScorer  *scorer = pm_ctr_cached_scorer(cached);

	if (!pm_ctr_scorer_read(cached, scorer, record))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(pm_ctr_model_probability(scorer->model, pm_ctr_scorer_logit(scorer)));
}

/* ---- whole tables ------------------------------------------------------ */

/* Predictions of a table's rows, in the order of its scan. */
typedef struct Predictions
{
	PmStream	stream;			/* first */
	PmContext  *ctx;
	CtrScorer  *scorer;
	PmIds	   *ids;
	int			id_at;			/* among the values of a row */
	double	   *probabilities;	/* NAN: no prediction */
	size_t		capacity;
} Predictions;

static void
predict_row(void *argument, Datum *values, bool *nulls)
{
	Predictions *predictions = argument;
	CtrScorer  *scorer = predictions->scorer;
	double		probability = get_float8_nan();

	if (unlikely(predictions->stream.count >= predictions->capacity))
		pm_host_check(predictions->ctx,
					  pm_reserve(predictions->ctx, "the predictions", predictions->stream.count + 1,
								 sizeof(double), &predictions->probabilities,
								 &predictions->capacity));
	pm_ids_add(predictions->ids, values[predictions->id_at], nulls[predictions->id_at]);
	if (pm_encoder_values(scorer->encoder, values, nulls, scorer->row))
		probability = pm_ctr_model_probability(scorer->model, pm_ctr_scorer_logit(scorer));
	predictions->probabilities[predictions->stream.count++] = probability;
}

int
pm_ctr_bind_columns(CtrScorer *scorer, const PmSource *source, int *columns)
{
	const PmSchema *schema = scorer->model->schema;
	PmField    *fields = palloc(Max(1, schema->column_count) * sizeof(PmField));

	for (int i = 0; i < schema->column_count; i++)
	{
		columns[i] = pm_source_find(source, schema->columns[i].name);
		fields[i] = source->fields[columns[i]];
	}
	pm_encoder_bind(scorer->encoder, fields);
	return schema->column_count;
}

/* A value of the result. */
static Datum
prediction_value(const PmStream *stream, int64 row, int column, bool *isnull)
{
	const Predictions *predictions = (const Predictions *) stream;

	if (column == 0)
		return pm_ids_get(predictions->ids, row, isnull);
	return pm_float8_or_null(predictions->probabilities[row], isnull);
}

PM_FUNCTION(pm_predict_ctr_rows);

/*
 * pm_predict_ctr_rows(model, source regclass, id_col name [, id_type])
 *	→ TABLE(id, probability)
 */
Datum
pm_predict_ctr_rows(PG_FUNCTION_ARGS)
{
	PmContext  *ctx;
	PmCachedModel cached;
	Predictions *predictions;
	PmSource   *source;
	int		   *columns;
	int			count;
	int			id_column;

	pm_stream_check(fcinfo);
	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("model, source and id_col must not be NULL")));
	ctx = pm_host_begin("predictions");
	pm_model_open_argument(fcinfo, 0, &pm_ctr_kind, ctx, &cached);
	source = pm_source_open(PG_GETARG_OID(1));
	id_column = pm_source_find(source, NameStr(*PG_GETARG_NAME(2)));
	predictions = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(Predictions));
	predictions->stream.value = prediction_value;
	predictions->ctx = ctx;
	predictions->scorer = pm_ctr_scorer(pm_host_memory(ctx), cached.opened);
	predictions->ids = pm_ids_create(ctx, &source->fields[id_column], PG_NARGS() > 3 ?
									 get_fn_expr_argtype(fcinfo->flinfo, 3) : TEXTOID);
	columns = palloc((predictions->scorer->model->schema->column_count + 1) * sizeof(int));
	count = pm_ctr_bind_columns(predictions->scorer, source, columns);
	predictions->id_at = count;
	columns[count++] = id_column;
	pm_source_scan(source, columns, count, 0, predict_row, predictions);
	return pm_stream_return(fcinfo, ctx, &predictions->stream);
}
