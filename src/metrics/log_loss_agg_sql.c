/*
 * log_loss_agg_sql.c
 *		pm_log_loss_agg: two sums.
 */
#include "postgres.h"

#include "metrics_sql.h"
#include "pm_metrics.h"

typedef struct LogLossState
{
	double		weight;
	double		loss;
} LogLossState;

/* The state, argument 0 or new; an ERROR outside of an aggregate. */
static LogLossState *
state_argument(FunctionCallInfo fcinfo)
{
	MemoryContext memory;

	if (!AggCheckCallContext(fcinfo, &memory))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return PG_ARGISNULL(0) ? MemoryContextAllocZero(memory, sizeof(LogLossState)) :
		(LogLossState *) PG_GETARG_POINTER(0);
}

PM_FUNCTION(pm_log_loss_agg_transfn);

/* pm_log_loss_agg_transfn(state internal, label, prediction [, weight]) */
Datum
pm_log_loss_agg_transfn(PG_FUNCTION_ARGS)
{
	LogLossState *state = state_argument(fcinfo);
	double		weight;

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2) &&
		pm_metrics_weight_argument(fcinfo, 3, &weight))
	{
		pm_metrics_check_prediction(PG_GETARG_FLOAT8(2), METRICS_PROBABILITY);
		state->weight += weight;
		state->loss += weight * pm_log_loss_of_probability(PG_GETARG_FLOAT8(2),
														   PG_GETARG_BOOL(1));
	}
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_log_loss_agg_combinefn);

/* pm_log_loss_agg_combinefn(internal, internal) → internal */
Datum
pm_log_loss_agg_combinefn(PG_FUNCTION_ARGS)
{
	LogLossState *state = state_argument(fcinfo);

	if (!PG_ARGISNULL(1))
	{
		const LogLossState *other = (LogLossState *) PG_GETARG_POINTER(1);

		state->weight += other->weight;
		state->loss += other->loss;
	}
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_log_loss_agg_serialfn);

/* pm_log_loss_agg_serialfn(internal) → bytea */
Datum
pm_log_loss_agg_serialfn(PG_FUNCTION_ARGS)
{
	LogLossState *state = state_argument(fcinfo);
	bytea	   *bytes = palloc(VARHDRSZ + sizeof(LogLossState));

	SET_VARSIZE(bytes, VARHDRSZ + sizeof(LogLossState));
	memcpy(VARDATA(bytes), state, sizeof(LogLossState));
	PG_RETURN_BYTEA_P(bytes);
}

PM_FUNCTION(pm_log_loss_agg_deserialfn);

/* pm_log_loss_agg_deserialfn(bytea, internal) → internal */
Datum
pm_log_loss_agg_deserialfn(PG_FUNCTION_ARGS)
{
	LogLossState *state = palloc(sizeof(LogLossState));
	bytea	   *bytes;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	bytes = PG_GETARG_BYTEA_PP(0);
	if (VARSIZE_ANY_EXHDR(bytes) != sizeof(LogLossState))
		elog(ERROR, "state of an aggregate has %zu bytes", (Size) VARSIZE_ANY_EXHDR(bytes));
	memcpy(state, VARDATA_ANY(bytes), sizeof(LogLossState));
	PG_RETURN_POINTER(state);
}

PM_FUNCTION(pm_log_loss_agg_finalfn);

/* pm_log_loss_agg_finalfn(internal) → float8; NULL for no rows */
Datum
pm_log_loss_agg_finalfn(PG_FUNCTION_ARGS)
{
	LogLossState *state = state_argument(fcinfo);

	if (!(state->weight > 0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(state->loss / state->weight);
}
