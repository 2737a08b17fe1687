/*
 * ctr_doors_sql.c
 *		pm_train_ctr and pm_train_ctr_agg: a table's door and an aggregate's.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ctr_sql.h"
#include "pm_meta.h"

/* A training about to begin. */
static void
begin_training(CtrTraining *training, PmContext *ctx, const CtrCall *call,
			   CtrDoor door, const char *source)
{
	memset(training, 0, sizeof(*training));
	training->ctx = ctx;
	training->call = call;
	training->door = door;
	training->source = source;
	training->eval_loss = training->eval_auc = NAN;
}

/* A named feature that is the label would tell the model everything. */
static void
refuse_label(const PmSource *source, const int *columns, int count,
			 const PmField *label)
{
	for (int i = 0; i < count; i++)
		if (&source->fields[columns[i]] == label)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("label column \"%s\" must not be among the features",
							label->name)));
}

void
pm_ctr_train_source(CtrTraining *training, const PmSource *source,
					const int *columns, int count, const PmField *label)
{
	instr_time	begin;
	PmFrame    *frame;

	if (training->call->algorithm == CTR_FTRL)
	{
		pm_ctr_train_ftrl_source(training, source, columns, count, label);
		return;
	}
	INSTR_TIME_SET_CURRENT(begin);
	frame = pm_ctr_read_frame(training, source, columns, count, label, training->call, 0);
	training->seconds_load = pm_seconds_since(begin);
	pm_ctr_train_frame(training, frame);
}

/* The features of a source: those named, or all that have no other role. */
static int *
feature_columns(const PmSource *source, ArrayType *names,
				const PmField *label, const CtrCall *call, int *count)
{
	const char *excepted[3] = {label->name, call->weight_col, call->time_col};
	int		   *columns = pm_source_features(source, names, excepted, lengthof(excepted), count);

	refuse_label(source, columns, *count, label);
	return columns;
}

/* The model that the option "init" names; features must be its own. */
static int *
go_on_from_name(CtrTraining *training, CtrCall *call, Oid function,
				Jsonb *options, const PmSource *source, ArrayType *names,
				int *count)
{
	PmCachedModel previous;

	pm_model_open_datum(pm_registry_find(function, call->init), &pm_ctr_kind,
						training->ctx, &previous);
	if (names != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("features are those of the model \"%s\" to go on from", call->init),
				 errhint("Leave the argument \"features\" out or NULL.")));
	pm_ctr_check_previous(&previous, call);
	pm_ctr_options(call, CTR_TABLE, options, pm_ctr_inherited_options(training->ctx, &previous));
	pm_ctr_go_on(training, call, &previous);
	return pm_ctr_previous_columns(training->previous, source, count);
}

PM_FUNCTION(pm_train_ctr);

/*
 * pm_train_ctr(source regclass, label name, features name[], algorithm text,
 *				options jsonb) → bytea
 */
Datum
pm_train_ctr(PG_FUNCTION_ARGS)
{
	CtrCall		call;
	CtrTraining training;
	PmContext  *ctx;
	PmSource   *source;
	Jsonb	   *options;
	ArrayType  *features = PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2);
	const PmField *label;
	int		   *columns;
	int			count;
	bytea	   *model;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source and label must not be NULL")));
	call.algorithm = PG_ARGISNULL(3) ? CTR_LOGISTIC :
		pm_choice_parse(text_to_cstring(PG_GETARG_TEXT_PP(3)), pm_ctr_algorithms, "algorithm");
	options = PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4);
	pm_ctr_options(&call, CTR_TABLE, options, NULL);
	source = pm_source_open(PG_GETARG_OID(0));
	label = &source->fields[pm_source_find(source, NameStr(*PG_GETARG_NAME(1)))];
	pm_label_check_type(label);
	ctx = pm_host_begin("click model");
	pm_host_use_device(ctx);
	begin_training(&training, ctx, &call, CTR_TABLE, source->name);
	if (call.init != NULL)
		columns = go_on_from_name(&training, &call, fcinfo->flinfo->fn_oid, options, source, features,
								  &count);
	else
		columns = feature_columns(source, features, label, &call, &count);
	pm_ctr_train_source(&training, source, columns, count, label);
	model = pm_ctr_to_model(&training);
	pm_host_end(ctx);
	PG_RETURN_BYTEA_P(model);
}

PM_FUNCTION(pm_update_ctr);

/*
 * pm_update_ctr(model bytea | text, source regclass, label name,
 *				 options jsonb) → bytea
 */
Datum
pm_update_ctr(PG_FUNCTION_ARGS)
{
	CtrCall		call;
	CtrTraining training;
	PmContext  *ctx;
	PmSource   *source;
	PmCachedModel previous;
	const PmField *label;
	int		   *columns;
	int			count;
	bytea	   *model;

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("model, source and label must not be NULL")));
	ctx = pm_host_begin("click model");
	pm_host_use_device(ctx);
	pm_model_open_argument(fcinfo, 0, &pm_ctr_kind, ctx, &previous);
	call.algorithm = ((const CtrModel *) previous.opened)->algorithm;
	pm_ctr_options(&call, CTR_UPDATE, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3),
				   pm_ctr_inherited_options(ctx, &previous));
	source = pm_source_open(PG_GETARG_OID(1));
	label = &source->fields[pm_source_find(source, NameStr(*PG_GETARG_NAME(2)))];
	pm_label_check_type(label);
	begin_training(&training, ctx, &call, CTR_UPDATE, source->name);
	pm_ctr_go_on(&training, &call, &previous);
	columns = pm_ctr_previous_columns(training.previous, source, &count);
	pm_ctr_train_source(&training, source, columns, count, label);
	model = pm_ctr_to_model(&training);
	pm_host_end(ctx);
	PG_RETURN_BYTEA_P(model);
}

/* ---- the aggregate ----------------------------------------------------- */

typedef struct CtrState
{
	PmContext  *ctx;
	CtrCall		call;
	PmRecordReader *reader;
	PmFrameBuilder *builder;
	int			weight_at;		/* the label's place among values: behind it */
	int			name_count;
	Datum	   *values;			/* with room for the label */
	bool	   *nulls;
	bool		started;
	int64		null_records;
} CtrState;

/* The first record tells the columns. */
static void
start(CtrState *state, HeapTupleHeader record)
{
	static PmField label = {"label", BOOLOID, -1, 0};
	PmRecordRoles roles = pm_record_roles(record, state->call.exclude,
										  state->call.weight_col, state->call.time_col);
	PmFrameSpec spec = {0};

	pm_ctr_mark_categorical(&state->call, roles.features, roles.feature_count);
	spec.column_count = roles.feature_count;
	spec.columns = roles.features;
	spec.weight = roles.weight;
	spec.label = &label;
	spec.time = roles.time;
	spec.max_categories = state->call.max_categories;
	spec.hash_categories = state->call.algorithm == CTR_FTRL;
	state->builder = pm_frame_begin(state->ctx, &spec);
	state->reader = pm_record_reader(pm_host_memory(state->ctx), roles.names, roles.name_count);
	state->weight_at = roles.feature_count + (roles.weight != NULL);
	state->name_count = roles.name_count;
	state->values = palloc((roles.name_count + 1) * sizeof(Datum));
	state->nulls = palloc((roles.name_count + 1) * sizeof(bool));
}

/* Make room for the label between the weight and the time. */
static void
insert_label(CtrState *state, Datum label, bool isnull)
{
	int			at = state->weight_at;

	for (int i = state->name_count; i > at; i--)
	{
		state->values[i] = state->values[i - 1];
		state->nulls[i] = state->nulls[i - 1];
	}
	state->values[at] = label;
	state->nulls[at] = isnull;
}

static CtrState *
create_state(Jsonb *options)
{
	PmContext  *ctx = pm_host_begin("click model");
	CtrState   *state = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(CtrState));
	MemoryContext previous = MemoryContextSwitchTo(pm_host_memory(ctx));

	state->ctx = ctx;
	pm_ctr_options(&state->call, CTR_AGGREGATE, options, NULL);
	MemoryContextSwitchTo(previous);
	return state;
}

PM_FUNCTION(pm_train_ctr_agg_transfn);

/*
 * pm_train_ctr_agg_transfn(state internal, label boolean, features record
 *							[, options jsonb])
 */
Datum
pm_train_ctr_agg_transfn(PG_FUNCTION_ARGS)
{
	MemoryContext aggregate;
	MemoryContext previous;
	CtrState   *state;
	HeapTupleHeader record;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "pm_train_ctr_agg_transfn called in non-aggregate context");
	if (PG_ARGISNULL(0))
	{
		previous = MemoryContextSwitchTo(aggregate);
		state = create_state(PG_NARGS() > 3 && !PG_ARGISNULL(3) ? PG_GETARG_JSONB_P(3) : NULL);
		MemoryContextSwitchTo(previous);
	}
	else
		state = (CtrState *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(2))
	{
		state->null_records++;
		PG_RETURN_POINTER(state);
	}
	record = PG_GETARG_HEAPTUPLEHEADER(2);
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
	insert_label(state, PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	pm_frame_add(state->builder, state->values, state->nulls);
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_train_ctr_agg_finalfn);

/* pm_train_ctr_agg_finalfn(state internal) → bytea; NULL for no rows */
Datum
pm_train_ctr_agg_finalfn(PG_FUNCTION_ARGS)
{
	CtrState   *state;
	CtrTraining training;
	PmFrame    *frame;
	bytea	   *model;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "pm_train_ctr_agg_finalfn called in non-aggregate context");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (CtrState *) PG_GETARG_POINTER(0);
	if (!state->started)
		PG_RETURN_NULL();
	pm_host_use_device(state->ctx);
	begin_training(&training, state->ctx, &state->call, CTR_AGGREGATE, "aggregate");
	frame = pm_frame_finish(state->builder);
	frame->rows_read += state->null_records;
	frame->skipped_null += state->null_records;
	if (state->call.algorithm == CTR_FTRL)
		pm_ctr_train_ftrl_frame(&training, frame);
	else
		pm_ctr_train_frame(&training, frame);
	model = pm_ctr_to_model(&training);
	pm_host_end(state->ctx);
	PG_RETURN_BYTEA_P(model);
}
