/*
 * model_sql.c
 *		Models as SQL sees them: what is in one, and the registry by name.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"

#include "pm_host.h"
#include "pm_model_cache.h"

Datum
pm_registry_find(Oid function, const char *name)
{
	char	   *schema = get_namespace_name(get_func_namespace(function));
	char	   *query = psprintf("SELECT model FROM %s.pm_models WHERE name OPERATOR(pg_catalog.=) $1 AND deployed",
								 quote_identifier(schema));
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	Datum		model = (Datum) 0;
	bool		isnull = true;

	values[0] = CStringGetTextDatum(name);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(query, 1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "reading the model registry failed");
	if (SPI_processed > 0)
		model = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
							  &isnull);
	if (!isnull)
	{
		/* As stored: a TOAST pointer stays one and identifies the model. */
		MemoryContext previous = MemoryContextSwitchTo(caller);

		model = datumCopy(model, false, -1);
		MemoryContextSwitchTo(previous);
	}
	SPI_finish();
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no model named \"%s\"", name),
				 errhint("pm_model_save() puts one there; the view of those you may use is %s.pm_models.",
						 quote_identifier(schema))));
	return model;
}

char *
pm_model_id_string(const PmModel *model)
{
	char	   *digits = palloc(2 * PM_MODEL_ID_SIZE + 1);

	for (int i = 0; i < PM_MODEL_ID_SIZE; i++)
		snprintf(digits + 2 * i, 3, "%02x", model->id[i]);
	return digits;
}

PM_FUNCTION(pm_model_kind);

/* pm_model_kind(model bytea) → text; an ERROR where it is no sound model */
Datum
pm_model_kind(PG_FUNCTION_ARGS)
{
	PmContext  *ctx = pm_host_begin("model");
	PmCachedModel model;
	text	   *kind;

	pm_model_open_argument(fcinfo, 0, NULL, ctx, &model);
	kind = cstring_to_text(model.model->kind);
	pm_host_end(ctx);
	PG_RETURN_TEXT_P(kind);
}

PM_FUNCTION(pm_model_by_name);

/* pm_model(name text) → bytea */
Datum
pm_model_by_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(pm_registry_find(fcinfo->flinfo->fn_oid,
									 text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/*
 * Two sessions that save one name take turns, so that each finds the other's
 * version: a lock on the registry's oid and the name's hash.
 */
static void
lock_name(Oid registry, Datum name)
{
	Datum		hash = DirectFunctionCall1Coll(hashtext, DEFAULT_COLLATION_OID,
											   name);

	DirectFunctionCall2(pg_advisory_xact_lock_int4, ObjectIdGetDatum(registry),
						hash);
}

/*
 * Run a statement of the registry with $1 the name, $2 the model, $3 its
 * kind and $4 the metrics; the int in the first column of its row, or 0.
 */
static int
run_statement(const char *statement, Datum *values, int expected)
{
	Oid			types[4] = {TEXTOID, BYTEAOID, TEXTOID, JSONBOID};
	bool		isnull;
	Datum		result;

	if (SPI_execute_with_args(statement, 4, types, values, NULL, false, 0) != expected)
		elog(ERROR, "writing the model registry failed");
	if (SPI_tuptable == NULL || SPI_processed == 0)
		return 0;
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						   &isnull);
	return isnull ? 0 : DatumGetInt32(result);
}

/*
 * Insert the next version and deploy it; 0 when a row that this role cannot
 * see, another role's, holds the name.
 */
static int
insert_version(const char *table, Datum *values)
{
	run_statement(psprintf("UPDATE %s SET deployed = false "
						   "WHERE name OPERATOR(pg_catalog.=) $1 AND deployed",
						   table), values, SPI_OK_UPDATE);
	return run_statement(psprintf("INSERT INTO %s (name, version, model, kind, metrics) "
								  "SELECT $1, COALESCE(pg_catalog.max(version), 0) OPERATOR(pg_catalog.+) 1, $2, $3, $4 "
								  "FROM %s WHERE name OPERATOR(pg_catalog.=) $1 "
								  "ON CONFLICT DO NOTHING RETURNING version",
								  table, table), values, SPI_OK_INSERT_RETURNING);
}

PM_FUNCTION(pm_model_save);

/* pm_model_save(name text, model bytea, metrics jsonb) → int, the version */
Datum
pm_model_save(PG_FUNCTION_ARGS)
{
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	char	   *table = psprintf("%s.pm_models", quote_identifier(get_namespace_name(schema)));
	PmContext  *ctx;
	PmCachedModel model;
	Datum		values[4];
	int			version;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name and model must not be NULL")));
	ctx = pm_host_begin("model");
	pm_model_open_argument(fcinfo, 1, NULL, ctx, &model);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = CStringGetTextDatum(model.model->kind);
	values[3] = PG_ARGISNULL(2) ? DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")) :
		PG_GETARG_DATUM(2);
	pm_host_end(ctx);

	lock_name(get_relname_relid("pm_models", schema), values[0]);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	version = insert_version(table, values);
	SPI_finish();
	if (version == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("the model name \"%s\" is in use by another role",
						text_to_cstring(PG_GETARG_TEXT_PP(0)))));
	PG_RETURN_INT32(version);
}

static void
put_text(PmRows *rows, const char *key, const char *value)
{
	Datum		values[2];
	bool		nulls[2] = {false, value == NULL};

	values[0] = CStringGetTextDatum(key);
	values[1] = value != NULL ? CStringGetTextDatum(value) : (Datum) 0;
	pm_rows_put(rows, values, nulls);
}

/* A JSON value as text: a string without its quotes. */
static char *
json_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return NULL;
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return JsonbToCString(NULL, value->val.binary.data,
								  value->val.binary.len);
	}
}

/*
 * A JSON section's value.  The parser's own errors are about what a user
 * wrote; here they tell of a corrupt model.
 */
static Jsonb *
parse_json(const PmSection *section)
{
	MemoryContext caller = CurrentMemoryContext;
	Jsonb	   *volatile value = NULL;

	pm_host_check_text(section->data, section->length, "a text in it");
	PG_TRY();
	{
		value = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
												   CStringGetDatum(pnstrdup(section->data, section->length))));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("model is corrupt: its section \"%s\" is no valid JSON",
						section->name),
				 errdetail_internal("%s", error->message)));
	}
	PG_END_TRY();
	return value;
}

Jsonb *
pm_model_json(PmContext *ctx, const PmModel *model, const char *name)
{
	const PmSection *section;
	Jsonb	   *object;

	pm_host_check(ctx, pm_model_section(ctx, model, name, PM_SECTION_JSON, -1,
										-1, &section));
	object = parse_json(section);
	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("model is corrupt: its section \"%s\" is no JSON object",
						name)));
	return object;
}

/* The top-level keys of a JSON section. */
static void
put_json(PmContext *ctx, PmRows *rows, const PmModel *model,
		 const char *name)
{
	Jsonb	   *object = pm_model_json(ctx, model, name);
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbValue	value;

	JsonbIteratorNext(&iterator, &value, true);
	while (JsonbIteratorNext(&iterator, &value, true) == WJB_KEY)
	{
		char	   *key = pnstrdup(value.val.string.val, value.val.string.len);

		JsonbIteratorNext(&iterator, &value, true);
		put_text(rows, key, json_text(&value));
	}
}

PM_FUNCTION(pm_model_info);

/* pm_model_info(model) → TABLE(key text, value text) */
Datum
pm_model_info(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx = pm_host_begin("model");
	PmCachedModel model;

	pm_model_open_argument(fcinfo, 0, NULL, ctx, &model);
	put_text(&rows, "kind", model.model->kind);
	put_text(&rows, "id", pm_model_id_string(model.model));
	put_text(&rows, "format_version", psprintf("%u", model.model->format));
	put_text(&rows, "size_bytes", psprintf("%llu", (unsigned long long) model.model->size));
	put_json(ctx, &rows, model.model, "meta");
	put_json(ctx, &rows, model.model, "run");
	pm_host_end(ctx);
	return (Datum) 0;
}
