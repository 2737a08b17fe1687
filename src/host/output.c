/*
 * output.c
 *		What SQL functions give back: sets of rows, and JSON.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/json.h"

#include "pm_host.h"

void
pm_rows_check(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (result == NULL || !IsA(result, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (!(result->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("materialize mode required, but it is not allowed in this context")));
}

PmRows
pm_rows_begin(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmRows		rows;
	MemoryContext previous;

	pm_rows_check(fcinfo);
	previous = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &rows.descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rows.descriptor = BlessTupleDesc(CreateTupleDescCopy(rows.descriptor));
	rows.store = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0,
									   false, work_mem);
	result->returnMode = SFRM_Materialize;
	result->setResult = rows.store;
	result->setDesc = rows.descriptor;
	MemoryContextSwitchTo(previous);
	return rows;
}

void
pm_rows_put(PmRows *rows, Datum *values, bool *nulls)
{
	tuplestore_putvalues(rows->store, rows->descriptor, values, nulls);
}

Datum
pm_float8_or_null(double value, bool *isnull)
{
	*isnull = isnan(value);
	return Float8GetDatum(value);
}

void
pm_json_key(StringInfo json, const char *key)
{
	if (json->len > 0 && json->data[json->len - 1] != '{')
		appendStringInfoString(json, ", ");
	escape_json(json, key);
	appendStringInfoString(json, ": ");
}

void
pm_json_string(StringInfo json, const char *key, const char *value)
{
	pm_json_key(json, key);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

void
pm_json_int(StringInfo json, const char *key, int64 value)
{
	pm_json_key(json, key);
	appendStringInfo(json, INT64_FORMAT, value);
}

/* The shortest digits that read back as the same double; JSON has no NaN. */
void
pm_json_double(StringInfo json, const char *key, double value)
{
	pm_json_key(json, key);
	if (isfinite(value))
		appendStringInfoString(json, float8out_internal(value));
	else
		appendStringInfoString(json, "null");
}

void
pm_json_bool(StringInfo json, const char *key, bool value)
{
	pm_json_key(json, key);
	appendStringInfoString(json, value ? "true" : "false");
}
