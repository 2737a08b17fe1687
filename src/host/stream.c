/*
 * stream.c
 *		The end of a set-returning function: rows to either door.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "stream.h"

#define CHECK_INTERVAL (1 << 16)

/* Our scan's request, or NULL where PostgreSQL has called. */
static PmStreamRequest *
find_request(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		!(result->allowedModes & PM_STREAM_MODE))
		return NULL;
	return (PmStreamRequest *) result;
}

void
pm_stream_check(FunctionCallInfo fcinfo)
{
	if (find_request(fcinfo) == NULL)
		pm_rows_check(fcinfo);
}

bool
pm_stream_wants(FunctionCallInfo fcinfo, int column)
{
	PmStreamRequest *request = find_request(fcinfo);

	return request == NULL || bms_is_member(column, request->columns);
}

/* Every row into a tuplestore. */
static void
store_rows(FunctionCallInfo fcinfo, const PmStream *stream)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	Datum	   *values = palloc(rows.descriptor->natts * sizeof(Datum));
	bool	   *nulls = palloc(rows.descriptor->natts * sizeof(bool));

	for (int64 i = 0; i < stream->count; i++)
	{
		if (i % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		for (int column = 0; column < rows.descriptor->natts; column++)
			values[column] = stream->value(stream, i, column, &nulls[column]);
		pm_rows_put(&rows, values, nulls);
	}
}

Datum
pm_stream_return(FunctionCallInfo fcinfo, PmContext *ctx,
				 const PmStream *stream)
{
	PmStreamRequest *request = find_request(fcinfo);

	if (request != NULL)
		request->stream = stream;
	else
	{
		store_rows(fcinfo, stream);
		pm_host_end(ctx);
	}
	return (Datum) 0;
}
