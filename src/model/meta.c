/*
 * meta.c
 *		What every model says of its making.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "pm_device.h"
#include "pm_host.h"
#include "pm_meta.h"
#include "pm_settings.h"

void
pm_meta_columns(StringInfo json, const PmSchema *schema)
{
	const char *separator = "";

	pm_json_key(json, "columns");
	appendStringInfoChar(json, '[');
	for (int i = 0; i < schema->column_count; i++)
	{
		appendStringInfoString(json, separator);
		escape_json(json, schema->columns[i].name);
		separator = ", ";
	}
	appendStringInfoChar(json, ']');
}

void
pm_meta_missing(StringInfo json, const PmSchema *schema)
{
	pm_json_key(json, "missing_values");
	appendStringInfoChar(json, '{');
	for (int i = 0; i < schema->column_count; i++)
		if (schema->columns[i].nulls > 0)
			pm_json_int(json, schema->columns[i].name, schema->columns[i].nulls);
	appendStringInfoChar(json, '}');
}

char *
pm_meta_run(PmContext *ctx, double seconds_load, double seconds_fit)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pm_json_string(&json, "trained_at", timestamptz_to_str(GetCurrentTimestamp()));
	pm_json_string(&json, "trained_by", GetUserNameFromId(GetUserId(), false));
	pm_json_double(&json, "seconds_load", rint(seconds_load * 1e6) / 1e6);
	pm_json_double(&json, "seconds_fit", rint(seconds_fit * 1e6) / 1e6);
	pm_json_string(&json, "device", ctx->device->name);
	pm_json_int(&json, "threads", ctx->threads);
	pm_json_int(&json, "peak_memory_bytes", (int64) pm_arena_peak(ctx->arena));
	pm_json_string(&json, "precmkt_version", PM_VERSION);
	pm_json_string(&json, "postgresql_version", PG_VERSION);
	appendStringInfoChar(&json, '}');
	return json.data;
}

double
pm_seconds_since(instr_time begin)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, begin);
	return INSTR_TIME_GET_DOUBLE(now);
}
