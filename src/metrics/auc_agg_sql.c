/*
 * auc_agg_sql.c
 *		pm_auc_agg and pm_binary_metrics_agg: aggregates that need all rows.
 *
 * The state keeps the rows as they come, so that workers need not rank them:
 * only the final function does, on a copy, which leaves the state to a
 * window's next row.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/memutils.h"

#include "metrics_sql.h"
#include "pm_metrics.h"

typedef struct MetricsState
{
	MetricsRows rows;
	double		threshold;		/* NAN until one is seen */
} MetricsState;

/* What a worker sends before its arrays. */
typedef struct StateHeader
{
	int64		n;
	double		threshold;
	bool		weighted;
} StateHeader;

/* The aggregate's memory; an ERROR outside of one. */
static MemoryContext
aggregate_memory(FunctionCallInfo fcinfo)
{
	MemoryContext memory;

	if (!AggCheckCallContext(fcinfo, &memory))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return memory;
}

static MetricsState *
create_state(MemoryContext memory)
{
	MetricsState *state = MemoryContextAllocZero(memory, sizeof(MetricsState));

	state->threshold = NAN;
	return state;
}

/* The state is argument 0, or new. */
static MetricsState *
state_argument(FunctionCallInfo fcinfo, MemoryContext memory)
{
	return PG_ARGISNULL(0) ? create_state(memory) :
		(MetricsState *) PG_GETARG_POINTER(0);
}

/* Rows that are left out leave the state as it is. */
static Datum
unchanged(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_POINTER(PG_GETARG_POINTER(0));
}

static void
set_threshold(MetricsState *state, double threshold)
{
	if (isnan(state->threshold))
		state->threshold = threshold;
	else if (state->threshold != threshold)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("threshold is both %g and %g", state->threshold, threshold),
				 errhint("It must be the same in every row; GROUP BY it to compare several.")));
}

PM_FUNCTION(pm_auc_agg_transfn);

/* pm_auc_agg_transfn(state internal, label, prediction [, weight]) */
Datum
pm_auc_agg_transfn(PG_FUNCTION_ARGS)
{
	MemoryContext memory = aggregate_memory(fcinfo);
	MetricsState *state;
	double		weight;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) ||
		!pm_metrics_weight_argument(fcinfo, 3, &weight))
		return unchanged(fcinfo);
	pm_metrics_check_prediction(PG_GETARG_FLOAT8(2), METRICS_SCORE);
	state = state_argument(fcinfo, memory);
	pm_metrics_rows_add(&state->rows, memory, PG_GETARG_FLOAT8(2),
						PG_GETARG_BOOL(1), (float) weight);
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_binary_metrics_agg_transfn);

/*
 * pm_binary_metrics_agg_transfn(state internal, label, prediction
 *								 [, threshold [, weight]])
 */
Datum
pm_binary_metrics_agg_transfn(PG_FUNCTION_ARGS)
{
	MemoryContext memory = aggregate_memory(fcinfo);
	MetricsState *state;
	double		threshold = 0.5;
	double		weight;

	if (PG_NARGS() > 3)
	{
		if (PG_ARGISNULL(3))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("threshold must not be NULL")));
		threshold = PG_GETARG_FLOAT8(3);
		if (!(threshold >= 0 && threshold <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("threshold must be between 0 and 1, not %g", threshold)));
	}
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) ||
		!pm_metrics_weight_argument(fcinfo, 4, &weight))
		return unchanged(fcinfo);
	pm_metrics_check_prediction(PG_GETARG_FLOAT8(2), METRICS_PROBABILITY);
	state = state_argument(fcinfo, memory);
	set_threshold(state, threshold);
	pm_metrics_rows_add(&state->rows, memory, PG_GETARG_FLOAT8(2),
						PG_GETARG_BOOL(1), (float) weight);
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_auc_agg_combinefn);

/* pm_auc_agg_combinefn(internal, internal): of both aggregates */
Datum
pm_auc_agg_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext memory = aggregate_memory(fcinfo);
	MetricsState *state;
	MetricsState *other;

	if (PG_ARGISNULL(1))
		return unchanged(fcinfo);
	state = state_argument(fcinfo, memory);
	other = (MetricsState *) PG_GETARG_POINTER(1);
	if (!isnan(other->threshold))
		set_threshold(state, other->threshold);
	pm_metrics_rows_append(&state->rows, memory, &other->rows);
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_auc_agg_serialfn);

/* pm_auc_agg_serialfn(internal) → bytea: header, predictions, weights, labels */
Datum
pm_auc_agg_serialfn(PG_FUNCTION_ARGS)
{
	MetricsState *state;
	MetricsRows *rows;
	StateHeader header = {0};
	Size		size;
	bytea	   *bytes;
	char	   *at;

	aggregate_memory(fcinfo);
	state = (MetricsState *) PG_GETARG_POINTER(0);
	rows = &state->rows;
	header.n = rows->n;
	header.threshold = state->threshold;
	header.weighted = rows->weights != NULL;
	size = VARHDRSZ + sizeof(header) + rows->n *
		(sizeof(double) + sizeof(uint8_t) + (header.weighted ? sizeof(float) : 0));
	if (size > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a parallel worker has %lld predictions, which are too many to pass on",
						(long long) rows->n),
				 errhint("Set max_parallel_workers_per_gather to 0, or to more workers.")));
	bytes = palloc(size);
	SET_VARSIZE(bytes, size);
	at = VARDATA(bytes);
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	memcpy(at, rows->predictions, rows->n * sizeof(double));
	at += rows->n * sizeof(double);
	if (header.weighted)
	{
		memcpy(at, rows->weights, rows->n * sizeof(float));
		at += rows->n * sizeof(float);
	}
	memcpy(at, rows->labels, rows->n * sizeof(uint8_t));
	PG_RETURN_BYTEA_P(bytes);
}

/* A copy of some bytes, which may lie unaligned; moves *at behind them. */
static void *
take(const char **at, Size bytes)
{
	void	   *copy = palloc(bytes);

	memcpy(copy, *at, bytes);
	*at += bytes;
	return copy;
}

PM_FUNCTION(pm_auc_agg_deserialfn);

/* pm_auc_agg_deserialfn(bytea, internal) → internal */
Datum
pm_auc_agg_deserialfn(PG_FUNCTION_ARGS)
{
	bytea	   *bytes;
	MetricsState *state;
	StateHeader header;
	Size		size;
	const char *at;

	aggregate_memory(fcinfo);
	bytes = PG_GETARG_BYTEA_PP(0);
	at = VARDATA_ANY(bytes);
	size = VARSIZE_ANY_EXHDR(bytes);
	if (size < sizeof(header))
		elog(ERROR, "state of an aggregate has %zu bytes", size);
	memcpy(&header, at, sizeof(header));
	at += sizeof(header);
	if (header.n < 1 || size != sizeof(header) + header.n *
		(sizeof(double) + sizeof(uint8_t) + (header.weighted ? sizeof(float) : 0)))
		elog(ERROR, "state of an aggregate has %zu bytes", size);
	state = create_state(CurrentMemoryContext);
	state->threshold = header.threshold;
	state->rows.n = state->rows.capacity = header.n;
	state->rows.predictions = take(&at, header.n * sizeof(double));
	if (header.weighted)
		state->rows.weights = take(&at, header.n * sizeof(float));
	state->rows.labels = take(&at, header.n * sizeof(uint8_t));
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_auc_agg_finalfn);

/* pm_auc_agg_finalfn(internal) → float8; NULL with one class only */
Datum
pm_auc_agg_finalfn(PG_FUNCTION_ARGS)
{
	MetricsState *state;
	PmContext  *ctx;
	double		auc;

	aggregate_memory(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (MetricsState *) PG_GETARG_POINTER(0);
	ctx = pm_host_begin("AUC");
	pm_host_check(ctx, pm_metrics_auc_double(ctx, state->rows.n, state->rows.predictions,
											 state->rows.labels, state->rows.weights, &auc));
	pm_host_end(ctx);
	if (isnan(auc))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(auc);
}

PM_FUNCTION(pm_binary_metrics_agg_finalfn);

/* pm_binary_metrics_agg_finalfn(internal) → pm_binary_metrics */
Datum
pm_binary_metrics_agg_finalfn(PG_FUNCTION_ARGS)
{
	MetricsState *state;
	PmContext  *ctx;
	PmBinaryMetrics found;
	TupleDesc	descriptor;
	Datum		values[12];
	bool		nulls[12] = {false};
	int			count = 0;

	aggregate_memory(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (MetricsState *) PG_GETARG_POINTER(0);
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ctx = pm_host_begin("binary metrics");
	pm_host_check(ctx, pm_metrics_binary(ctx, state->rows.n, state->rows.predictions,
										 state->rows.labels, state->rows.weights,
										 state->threshold, &found));
	pm_host_end(ctx);
	values[count++] = Int64GetDatum(found.n);
#define ADD(value) (values[count] = pm_float8_or_null(value, &nulls[count]), count++)
	ADD(found.base_rate);
	ADD(found.mean_prediction);
	ADD(found.auc);
	ADD(found.log_loss);
	ADD(found.normalized_entropy);
	ADD(found.brier);
	ADD(found.ece);
	ADD(found.accuracy);
	ADD(found.precision);
	ADD(found.recall);
	ADD(found.f1);
#undef ADD
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor),
													  values, nulls)));
}
