/*
 * interactions.c
 *		Rows of users and items read into a sparse matrix.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "interactions.h"
#include "pm_interactions.h"

/* User, item, weight, event, time. */
#define MAX_COLUMNS 5

struct PmInteractionsReader
{
	PmContext  *ctx;
	const PmInteractionsSpec *spec;
	PmInteractions *result;
	PmInteractionRows rows;
	int64		capacity;		/* that all of the rows' arrays have room for */
	int			columns[MAX_COLUMNS];
	int			column_count;
	int			weight_at;		/* among the values of a row; -1 = none */
	int			event_at;
	int			moment_at;
	PmConverter weight;
	PmConverter event;
	PmConverter moment;
	PmDictionary events;		/* those that event_weights names, ... */
	float	   *event_weights;	/* ... and their weights */
};

/* ---- what to read ------------------------------------------------------- */

/* Take a column up; gives its place among the values of a row. */
static int
add_column(PmInteractionsReader *reader, const PmSource *source, const char *name)
{
	reader->columns[reader->column_count] = pm_source_find(source, name);
	return reader->column_count++;
}

/* Take a column that is converted up; -1 where there is no name. */
static int
add_converted(PmInteractionsReader *reader, const PmSource *source, const char *name,
			  PmConverter *converter, void (*check) (const PmField *field))
{
	PmField    *field;
	int			at;

	if (name == NULL)
		return -1;
	at = add_column(reader, source, name);
	field = palloc(sizeof(PmField));
	*field = source->fields[reader->columns[at]];
	check(field);
	if (field->type == INT2OID || field->type == INT4OID || field->type == INT8OID)
		field->categorical = converter == &reader->event;
	pm_converter_init(converter, field, NULL, pm_host_memory(reader->ctx));
	converter->row = &reader->result->rows_read;
	return at;
}

static void
check_weight(const PmField *field)
{
	if (pm_column_class(field) != PM_COLUMN_NUMBER)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("weight column \"%s\" must be a number", field->name)));
}

static void
check_event(const PmField *field)
{
	if (field->type != INT2OID && field->type != INT4OID && field->type != INT8OID &&
		pm_column_class(field) != PM_COLUMN_CATEGORY)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("event column \"%s\" must be text, an enum or an integer", field->name)));
}

/* A weight of event_weights. */
static float
event_weight(const PmInteractionsSpec *spec, const char *name, const JsonbValue *value)
{
	double		weight = value->type != jbvNumeric ? NAN :
		DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
										   NumericGetDatum(value->val.numeric)));

	if (!isfinite((float) weight) || (weight < 0 && !spec->keep_signed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the weight of event \"%s\" must be a number%s", name,
						spec->keep_signed ? "" : ", 0 or more"),
				 errhint("For example {\"event_weights\": {\"view\": 1, \"purchase\": 5}}.")));
	return (float) weight;
}

/* Event names and their weights. */
static void
read_event_weights(PmInteractionsReader *reader)
{
	PmContext  *ctx = reader->ctx;
	Jsonb	   *json = reader->spec->event_weights;
	JsonbIterator *iterator;
	JsonbValue	value;
	int32		code;

	if (!JB_ROOT_IS_OBJECT(json) || JB_ROOT_COUNT(json) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"event_weights\" must be an object of events and weights"),
				 errhint("For example {\"event_weights\": {\"view\": 1, \"purchase\": 5}}.")));
	pm_host_check(ctx, pm_dictionary_init(ctx, &reader->events));
	pm_host_check(ctx, pm_alloc(ctx, "event weights", JB_ROOT_COUNT(json), sizeof(float),
								&reader->event_weights));
	iterator = JsonbIteratorInit(&json->root);
	JsonbIteratorNext(&iterator, &value, true); /* WJB_BEGIN_OBJECT */
	while (JsonbIteratorNext(&iterator, &value, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(value.val.string.val, value.val.string.len);

		JsonbIteratorNext(&iterator, &value, true); /* WJB_VALUE */
		pm_host_check(ctx, pm_dictionary_add(ctx, &reader->events, name, strlen(name), &code));
		reader->event_weights[code] = event_weight(reader->spec, name, &value);
	}
}

PmInteractionsReader *
pm_interactions_reader(PmContext *ctx, const PmSource *source, const PmInteractionsSpec *spec)
{
	PmInteractionsReader *reader = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(*reader));
	PmInteractions *result = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(*result));

	reader->ctx = ctx;
	reader->spec = spec;
	reader->result = result;
	add_column(reader, source, spec->user_col);
	add_column(reader, source, spec->item_col);
	result->users = pm_id_table_create(ctx, &source->fields[reader->columns[0]]);
	result->items = pm_id_table_create(ctx, &source->fields[reader->columns[1]]);
	reader->weight_at = add_converted(reader, source, spec->weight_col, &reader->weight,
									  check_weight);
	reader->event_at = add_converted(reader, source, spec->event_col, &reader->event, check_event);
	reader->moment_at = add_converted(reader, source, spec->ts_col, &reader->moment,
									  pm_moment_check_type);
	if (spec->event_weights != NULL)
		read_event_weights(reader);
	return reader;
}

const int *
pm_interactions_columns(const PmInteractionsReader *reader, int *count)
{
	*count = reader->column_count;
	return reader->columns;
}

/* ---- rows --------------------------------------------------------------- */

/* Room for one more row. */
static void
reserve(PmInteractionsReader *reader)
{
	PmContext  *ctx = reader->ctx;
	PmInteractionRows *rows = &reader->rows;
	size_t		count = (size_t) rows->count + 1;
	static const char *const what = "interactions";

	pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(int32_t), &rows->users,
								  &rows->capacities[0]));
	pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(int32_t), &rows->items,
								  &rows->capacities[1]));
	pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(float), &rows->weights,
								  &rows->capacities[2]));
	if (reader->moment_at >= 0)
		pm_host_check(ctx, pm_reserve(ctx, what, count, sizeof(double), &rows->moments,
									  &rows->capacities[3]));
	reader->capacity = Min(Min(rows->capacities[0], rows->capacities[1]), rows->capacities[2]);
	if (reader->moment_at >= 0)
		reader->capacity = Min(reader->capacity, rows->capacities[3]);
}

/* A weight, which may have to be 0 or more. */
static float
weight_of(const PmInteractionsReader *reader, Datum value)
{
	float		weight = pm_convert_number(&reader->weight, value);

	if (unlikely(weight < 0) && !reader->spec->keep_signed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weight column \"%s\" contains %g", reader->weight.name, weight),
				 errdetail("It is in row %lld of the input.",
						   (long long) reader->result->rows_read),
				 errhint("Weights are 0 or more, but for the metrics pearson and adjusted_cosine.")));
	return weight;
}

/* The value of a row; false where it is left out. */
static bool
value_of(PmInteractionsReader *reader, Datum *values, float *weight)
{
	PmInteractions *result = reader->result;
	const char *event;
	size_t		length;
	int32		code;

	*weight = 1;
	if (reader->weight_at >= 0)
		*weight = weight_of(reader, values[reader->weight_at]);
	if (reader->event_at >= 0)
	{
		event = pm_convert_string(&reader->event, values[reader->event_at], &length);
		code = pm_dictionary_find(&reader->events, event, length);
		if (code < 0)
		{
			result->rows_event++;
			return false;
		}
		*weight *= reader->event_weights[code];
	}
	if (*weight == 0 && !reader->spec->keep_signed)
	{
		result->rows_zero++;
		return false;
	}
	if (reader->spec->agg == PM_INTERACTIONS_COUNT)
		*weight = 1;
	return true;
}

void
pm_interactions_row(void *argument, Datum *values, bool *nulls)
{
	PmInteractionsReader *reader = argument;
	PmInteractions *result = reader->result;
	PmInteractionRows *rows = &reader->rows;
	float		weight;

	result->rows_read++;
	for (int i = 0; i < reader->column_count; i++)
		if (nulls[i])
		{
			result->rows_null++;
			return;
		}
	if (!value_of(reader, values, &weight))
		return;
	if (unlikely(rows->count >= reader->capacity))
		reserve(reader);
	rows->users[rows->count] = pm_id_table_add(result->users, values[0]);
	rows->items[rows->count] = pm_id_table_add(result->items, values[1]);
	rows->weights[rows->count] = weight;
	if (reader->moment_at >= 0)
		rows->moments[rows->count] = pm_convert_moment(&reader->moment, values[reader->moment_at]);
	rows->count++;
}

PmInteractions *
pm_interactions_read(PmInteractionsReader *reader)
{
	return reader->result;
}

/* Number the ids in their order, in the rows too. */
static void
order_ids(PmInteractionsReader *reader, PmIdTable *table, int32_t *codes)
{
	int32	   *new_codes;

	pm_id_table_sort(table, &new_codes);
	for (int64 i = 0; i < reader->rows.count; i++)
	{
		if (i % 1048576 == 0)
			(void) pm_interrupted(reader->ctx);
		codes[i] = new_codes[codes[i]];
	}
	pm_release(reader->ctx, new_codes);
}

PmInteractions *
pm_interactions_finish(PmInteractionsReader *reader)
{
	static const PmDuplicates duplicates[] = {PM_DUPLICATES_SUM, PM_DUPLICATES_SUM,
	PM_DUPLICATES_LAST, PM_DUPLICATES_MAX};
	const PmInteractionsSpec *spec = reader->spec;
	PmInteractions *result = reader->result;
	PmAssembly	assembly = {
		.rows = &reader->rows,
		.half_life = spec->half_life,
		.duplicates = duplicates[spec->agg],
		.keep_zeros = spec->keep_signed,
		.min_user_count = spec->min_user_count,
		.min_item_count = spec->min_item_count,
	};

	if (reader->capacity == 0)
		reserve(reader);
	order_ids(reader, result->users, reader->rows.users);
	order_ids(reader, result->items, reader->rows.items);
	assembly.user_count = result->users->count;
	assembly.item_count = result->items->count;
	pm_host_check(reader->ctx, pm_interactions_assemble(reader->ctx, &assembly, &result->matrix));
	return result;
}

PmInteractions *
pm_interactions_load(PmContext *ctx, const PmSource *source, const PmInteractionsSpec *spec)
{
	PmInteractionsReader *reader = pm_interactions_reader(ctx, source, spec);

	pm_source_scan(source, reader->columns, reader->column_count, 0, pm_interactions_row, reader);
	return pm_interactions_finish(reader);
}
