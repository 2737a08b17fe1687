/*
 * kmeans_agg_sql.c
 *		pm_kmeans_agg: the same training through an aggregate's door.
 *
 * The state is a frame under construction.  Its rows end up in canonical
 * order, so the order of input does not matter; there is no combine function
 * because a training needs all rows in one place.
 */
#include "postgres.h"

#include "fmgr.h"

#include "kmeans_sql.h"

typedef struct KMeansState
{
	PmContext  *ctx;
	KMeansCall	call;
	PmRecordReader *reader;
	PmFrameBuilder *builder;
	Datum	   *values;
	bool	   *nulls;
	bool		started;		/* the row type has been seen */
	int64		null_records;
} KMeansState;

/* The first record tells the columns: set up reader and builder. */
static void
start(KMeansState *state, HeapTupleHeader record)
{
	PmRecordRoles roles = pm_record_roles(record, state->call.exclude,
										  state->call.weight_col, NULL);
	PmFrameSpec spec = {0};

	spec.column_count = roles.feature_count;
	spec.columns = roles.features;
	spec.weight = roles.weight;
	spec.max_categories = state->call.max_categories;
	spec.skip_incomplete = state->call.missing == 1;
	state->builder = pm_frame_begin(state->ctx, &spec);
	state->reader = pm_record_reader(pm_host_memory(state->ctx), roles.names,
									 roles.name_count);
	state->values = palloc(roles.name_count * sizeof(Datum));
	state->nulls = palloc(roles.name_count * sizeof(bool));
}

static KMeansState *
create_state(Jsonb *options)
{
	PmContext  *ctx = pm_host_begin("k-means");
	KMeansState *state = MemoryContextAllocZero(pm_host_memory(ctx),
												sizeof(KMeansState));

	state->ctx = ctx;
	state->call.k = 0;
	pm_kmeans_options(&state->call, KMEANS_AGGREGATE, options);
	return state;
}

PM_FUNCTION(pm_kmeans_agg_transfn);

/* pm_kmeans_agg_transfn(state internal, features record [, options jsonb]) */
Datum
pm_kmeans_agg_transfn(PG_FUNCTION_ARGS)
{
	MemoryContext aggregate;
	MemoryContext previous;
	KMeansState *state;
	HeapTupleHeader record;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "pm_kmeans_agg_transfn called in non-aggregate context");
	if (PG_ARGISNULL(0))
	{
		previous = MemoryContextSwitchTo(aggregate);
		state = create_state(PG_NARGS() > 2 && !PG_ARGISNULL(2) ?
							 PG_GETARG_JSONB_P(2) : NULL);
		MemoryContextSwitchTo(previous);
	}
	else
		state = (KMeansState *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(1))
	{
		state->null_records++;
		PG_RETURN_POINTER(state);
	}
	record = PG_GETARG_HEAPTUPLEHEADER(1);
	if (!state->started)
	{
		previous = MemoryContextSwitchTo(pm_host_memory(state->ctx));
		start(state, record);
		MemoryContextSwitchTo(previous);
	}
	if (pm_record_read(state->reader, record, state->values, state->nulls) &&
		state->started)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the records of one aggregate must have one row type")));
	state->started = true;
	pm_frame_add(state->builder, state->values, state->nulls);
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_kmeans_agg_finalfn);

/* pm_kmeans_agg_finalfn(state internal) → bytea; NULL for no rows */
Datum
pm_kmeans_agg_finalfn(PG_FUNCTION_ARGS)
{
	KMeansState *state;
	KMeansOutcome outcome;
	PmFrame    *frame;
	bytea	   *model;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "pm_kmeans_agg_finalfn called in non-aggregate context");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (KMeansState *) PG_GETARG_POINTER(0);
	if (!state->started)
		PG_RETURN_NULL();
	pm_host_use_device(state->ctx);
	frame = pm_frame_finish(state->builder);
	frame->rows_read += state->null_records;
	frame->skipped_null += state->null_records;
	pm_kmeans_encode(state->ctx, frame, &state->call, &outcome);
	pm_kmeans_train(state->ctx, &state->call, &outcome);
	model = pm_kmeans_to_model(state->ctx, &state->call, KMEANS_AGGREGATE,
							   &outcome, "aggregate");
	pm_host_end(state->ctx);
	PG_RETURN_BYTEA_P(model);
}
