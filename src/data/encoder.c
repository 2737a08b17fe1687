/*
 * encoder.c
 *		From a single row to the numbers an algorithm sees, for scoring.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "pm_frame.h"
#include "pm_hash.h"
#include "pm_host.h"

struct PmEncoder
{
	MemoryContext memory;
	const PmSchema *schema;
	const char **names;
	PmConverter *converters;
	PmRecordReader *reader;
	Datum	   *values;
	bool	   *nulls;
	bool		plain;			/* every column a number */
	bool		hashed;			/* categories by their hash */
	bool		may_call;		/* some column a vector */
	MemoryContext bound;		/* for the functions of the types bound */
	MemoryContext scratch;		/* for one row's conversions */
};

PmEncoder *
pm_encoder_create(MemoryContext memory, const PmSchema *schema)
{
	PmEncoder  *encoder = MemoryContextAllocZero(memory, sizeof(PmEncoder));
	int			count = schema->column_count;

	encoder->memory = memory;
	encoder->schema = schema;
	encoder->names = MemoryContextAlloc(memory, Max(1, count) * sizeof(char *));
	encoder->converters = MemoryContextAllocZero(memory, Max(1, count) * sizeof(PmConverter));
	encoder->values = MemoryContextAlloc(memory, Max(1, count) * sizeof(Datum));
	encoder->nulls = MemoryContextAlloc(memory, Max(1, count) * sizeof(bool));
	for (int i = 0; i < count; i++)
	{
		encoder->names[i] = schema->columns[i].name;
		pm_host_check_text(encoder->names[i], strlen(encoder->names[i]),
						   "a column's name");
		if (schema->columns[i].class == PM_COLUMN_VECTOR)
			encoder->may_call = true;
	}
	encoder->bound = AllocSetContextCreate(memory, "precmkt encoder's types",
										   ALLOCSET_SMALL_SIZES);
	encoder->reader = pm_record_reader(memory, encoder->names, count);
	encoder->scratch = AllocSetContextCreate(memory, "precmkt encoder",
											 ALLOCSET_SMALL_SIZES);
	return encoder;
}

bool
pm_encoder_may_call(const PmEncoder *encoder)
{
	return encoder->may_call;
}

void
pm_encoder_bind(PmEncoder *encoder, const PmField *fields)
{
	MemoryContextReset(encoder->bound);
	encoder->plain = true;
	for (int i = 0; i < encoder->schema->column_count; i++)
	{
		const PmColumn *column = &encoder->schema->columns[i];

		pm_converter_init(&encoder->converters[i], &fields[i], column,
						  encoder->bound);
		encoder->converters[i].name = column->name;
		if (column->class != PM_COLUMN_NUMBER ||
			encoder->converters[i].type == NUMERICOID)
			encoder->plain = false;
	}
}

/* Imputed and scaled. */
static inline void
encode_number(const PmEncoder *encoder, int feature, float value, float *row)
{
	row[feature] = pm_scale_number(encoder->schema, feature, value);
}

/* The elements of a vector, as many as in training. */
static float *
vector_elements(PmEncoder *encoder, int i, Datum value)
{
	const PmColumn *column = &encoder->schema->columns[i];
	float	   *elements;
	int			length = pm_convert_vector(&encoder->converters[i], value,
										   &elements);

	if (length != column->length)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("column \"%s\" had vectors of %d elements in training and has one of %d now",
						column->name, column->length, length)));
	return elements;
}

static void
encode_vector(PmEncoder *encoder, int i, Datum value, bool isnull, float *row)
{
	const PmColumn *column = &encoder->schema->columns[i];
	float	   *elements = NULL;

	if (column->length == 0)	/* NULL throughout the training */
		return;
	if (!isnull)
		elements = vector_elements(encoder, i, value);
	for (int j = 0; j < column->length; j++)
	{
		int			feature = column->first_feature + j;

		encode_number(encoder, feature,
					  isnull ? encoder->schema->impute[feature] : elements[j],
					  row);
	}
}

static void
encode_time(PmEncoder *encoder, int i, Datum value, bool isnull, float *row)
{
	const PmColumn *column = &encoder->schema->columns[i];
	int			first = column->first_feature;
	int			weekday;
	int			hour;
	float		age = encoder->schema->impute[first];

	if (!isnull)
	{
		float		days = (float) pm_convert_time(&encoder->converters[i], value,
												   &weekday, &hour);

		age = (float) (column->newest - days);
		row[first + 1 + weekday] = 1;
		if (column->class == PM_COLUMN_TIME)
			row[first + 1 + PM_WEEKDAYS + hour] = 1;
	}
	encode_number(encoder, first, age, row);
}

static void
encode_category(PmEncoder *encoder, int i, Datum value, bool isnull,
				float *row)
{
	const PmColumn *column = &encoder->schema->columns[i];
	size_t		length;
	const char *string;
	int32_t		code;

	if (isnull)
		return;
	string = pm_convert_string(&encoder->converters[i], value, &length);
	code = pm_dictionary_find(&column->dictionary, string, length);
	if (code >= 0)
		row[column->first_feature + code] = 1;
}

static void
encode_set(PmEncoder *encoder, int i, Datum value, bool isnull, float *row)
{
	const PmColumn *column = &encoder->schema->columns[i];
	const char **strings;
	size_t	   *lengths;
	int			count;

	if (isnull)
		return;
	count = pm_convert_set(&encoder->converters[i], value, &strings, &lengths);
	for (int j = 0; j < count; j++)
	{
		int32_t		code = pm_dictionary_find(&column->dictionary, strings[j],
											  lengths[j]);

		if (code >= 0)
			row[column->first_feature + code] = 1;
	}
}

static void
encode_column(PmEncoder *encoder, int i, Datum value, bool isnull, float *row)
{
	int			first = encoder->schema->columns[i].first_feature;

	switch (encoder->schema->columns[i].class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			encode_number(encoder, first,
						  isnull ? encoder->schema->impute[first] :
						  pm_convert_number(&encoder->converters[i], value),
						  row);
			break;
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			encode_time(encoder, i, value, isnull, row);
			break;
		case PM_COLUMN_CATEGORY:
			encode_category(encoder, i, value, isnull, row);
			break;
		case PM_COLUMN_SET:
			encode_set(encoder, i, value, isnull, row);
			break;
		case PM_COLUMN_VECTOR:
			encode_vector(encoder, i, value, isnull, row);
			break;
	}
}

static void
encode_columns(PmEncoder *encoder, Datum *values, bool *nulls, float *row)
{
	MemoryContext previous = MemoryContextSwitchTo(encoder->scratch);

	for (int i = 0; i < encoder->schema->column_count; i++)
		encode_column(encoder, i, values[i], nulls[i], row);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(encoder->scratch);
}

/* A number a column: column i is feature i, and nothing allocates. */
static inline void
encode_plain(PmEncoder *encoder, Datum *values, bool *nulls, float *row)
{
	for (int i = 0; i < encoder->schema->column_count; i++)
	{
		const PmConverter *converter = &encoder->converters[i];
		float		value;

		if (nulls[i])
			value = encoder->schema->impute[i];
		else if (likely(converter->type == FLOAT8OID))
			value = pm_convert_float8(converter, DatumGetFloat8(values[i]));
		else
			value = pm_convert_number(converter, values[i]);
		encode_number(encoder, i, value, row);
	}
}

bool
pm_encoder_row(PmEncoder *encoder, Datum *values, bool *nulls, float *row)
{
	int			count = encoder->schema->column_count;
	int			null_count = 0;

	for (int i = 0; i < count; i++)
		null_count += nulls[i];
	if (null_count == count)
		return false;
	if (encoder->plain)
	{
		encode_plain(encoder, values, nulls, row);
		return true;
	}
	memset(row, 0, encoder->schema->feature_count * sizeof(float));
	encode_columns(encoder, values, nulls, row);
	return true;
}

/* The wanted fields of a record into the encoder's values and nulls. */
static void
read_record(PmEncoder *encoder, HeapTupleHeader record)
{
	if (pm_record_read(encoder->reader, record, encoder->values,
					   encoder->nulls))
	{
		/* An ERROR leaves the reader without a type, so that we come again. */
		Oid			type = encoder->reader->type;

		encoder->reader->type = InvalidOid;
		pm_encoder_bind(encoder, encoder->reader->fields);
		encoder->reader->type = type;
	}
}

bool
pm_encoder_record(PmEncoder *encoder, HeapTupleHeader record, float *row)
{
	read_record(encoder, record);
	return pm_encoder_row(encoder, encoder->values, encoder->nulls, row);
}

/* ---- rows as a frame keeps them ---------------------------------------- */

int32_t
pm_category_hash(const char *string, size_t length)
{
	return (int32_t) (pm_hash64(0, string, length) >> 33);
}

void
pm_encoder_hash_categories(PmEncoder *encoder)
{
	encoder->hashed = true;
}

PmRow *
pm_encoder_make_row(PmEncoder *encoder)
{
	const PmSchema *schema = encoder->schema;
	MemoryContext memory = encoder->memory;
	PmRow	   *row = MemoryContextAllocZero(memory, sizeof(PmRow));

	for (int i = 0; i < schema->column_count; i++)
		switch (schema->columns[i].class)
		{
			case PM_COLUMN_NUMBER:
			case PM_COLUMN_INTERVAL:
				row->dense_width++;
				break;
			case PM_COLUMN_VECTOR:
				row->dense_width += schema->columns[i].length;
				break;
			case PM_COLUMN_TIME:
				row->dense_width++;
				row->code_width += 2;
				break;
			case PM_COLUMN_DATE:
				row->dense_width++;
				row->code_width++;
				break;
			case PM_COLUMN_CATEGORY:
				row->code_width++;
				break;
			case PM_COLUMN_SET:
				row->set_count++;
				break;
		}
	row->dense = MemoryContextAllocExtended(memory, Max(1, row->dense_width) * sizeof(float), MCXT_ALLOC_HUGE);
	row->codes = MemoryContextAlloc(memory, Max(1, row->code_width) * sizeof(int32_t));
	row->set_ends = MemoryContextAlloc(memory, Max(1, row->set_count) * sizeof(int32_t));
	row->set_capacity = 64;
	row->set_codes = MemoryContextAlloc(memory, row->set_capacity * sizeof(int32_t));
	return row;
}

/* The code of a category or member. */
static inline int32_t
code_of(const PmEncoder *encoder, const PmColumn *column, const char *string,
		size_t length)
{
	if (encoder->hashed)
		return pm_category_hash(string, length);
	return pm_dictionary_find(&column->dictionary, string, length);
}

/* Members of one set, sorted and each once. */
static int
set_values(PmEncoder *encoder, int i, Datum value, PmRow *row, int begin)
{
	const char **strings;
	size_t	   *lengths;
	int			end = begin;
	int			count = pm_convert_set(&encoder->converters[i], value, &strings, &lengths);

	if (begin + count > row->set_capacity)
	{
		row->set_capacity = Max(2 * row->set_capacity, begin + count);
		row->set_codes = repalloc_huge(row->set_codes, row->set_capacity * sizeof(int32_t));
	}
	for (int j = 0; j < count; j++)
	{
		int32_t		code = code_of(encoder, &encoder->schema->columns[i],
								   strings[j], lengths[j]);
		int			at = end;

		while (at > begin && row->set_codes[at - 1] > code)
			at--;
		if (at > begin && row->set_codes[at - 1] == code)
			continue;
		memmove(row->set_codes + at + 1, row->set_codes + at,
				(end - at) * sizeof(int32_t));
		row->set_codes[at] = code;
		end++;
	}
	return end;
}

static void
vector_values(PmEncoder *encoder, int i, Datum value, bool isnull, float *to)
{
	int			length = encoder->schema->columns[i].length;
	float	   *elements;

	if (isnull || length == 0)
	{
		for (int j = 0; j < length; j++)
			to[j] = NAN;
		return;
	}
	elements = vector_elements(encoder, i, value);
	memcpy(to, elements, length * sizeof(float));
}

static void
column_values(PmEncoder *encoder, int i, Datum value, bool isnull, PmRow *row,
			  float *dense, int32_t *codes, int *set)
{
	const PmColumn *column = &encoder->schema->columns[i];
	PmConverter *converter = &encoder->converters[i];
	const char *string;
	size_t		length;
	int			weekday = PM_CODE_NULL;
	int			hour = PM_CODE_NULL;
	int			begin;

	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			if (isnull)
				*dense = NAN;
			else if (likely(converter->type == FLOAT8OID))
				*dense = pm_convert_float8(converter, DatumGetFloat8(value));
			else
				*dense = pm_convert_number(converter, value);
			break;
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			*dense = isnull ? NAN : (float) pm_convert_time(converter, value, &weekday, &hour);
			codes[0] = weekday;
			if (column->class == PM_COLUMN_TIME)
				codes[1] = hour;
			break;
		case PM_COLUMN_CATEGORY:
			*codes = PM_CODE_NULL;
			if (isnull)
				break;
			string = pm_convert_string(converter, value, &length);
			*codes = code_of(encoder, column, string, length);
			break;
		case PM_COLUMN_SET:
			begin = *set > 0 ? row->set_ends[*set - 1] : 0;
			row->set_ends[*set] = isnull ? begin : set_values(encoder, i, value, row, begin);
			(*set)++;
			break;
		case PM_COLUMN_VECTOR:
			vector_values(encoder, i, value, isnull, dense);
			break;
	}
}

bool
pm_encoder_values(PmEncoder *encoder, Datum *values, bool *nulls, PmRow *row)
{
	const PmSchema *schema = encoder->schema;
	MemoryContext previous = MemoryContextSwitchTo(encoder->scratch);
	float	   *dense = row->dense;
	int32_t    *codes = row->codes;
	int			set = 0;
	int			null_count = 0;

	for (int i = 0; i < schema->column_count; i++)
	{
		const PmColumn *column = &schema->columns[i];

		null_count += nulls[i];
		column_values(encoder, i, values[i], nulls[i], row, dense, codes, &set);
		dense += column->class == PM_COLUMN_VECTOR ? column->length :
			column->class != PM_COLUMN_CATEGORY && column->class != PM_COLUMN_SET;
		codes += column->class == PM_COLUMN_TIME ? 2 :
			column->class == PM_COLUMN_DATE || column->class == PM_COLUMN_CATEGORY;
	}
	MemoryContextSwitchTo(previous);
	MemoryContextReset(encoder->scratch);
	return null_count < schema->column_count;
}

bool
pm_encoder_record_values(PmEncoder *encoder, HeapTupleHeader record,
						 PmRow *row)
{
	read_record(encoder, record);
	return pm_encoder_values(encoder, encoder->values, encoder->nulls, row);
}

char *
pm_encoder_text(const PmEncoder *encoder, int column)
{
	Oid			output;
	bool		is_varlena;

	if (encoder->nulls[column])
		return NULL;
	getTypeOutputInfo(encoder->reader->fields[column].type, &output, &is_varlena);
	return OidOutputFunctionCall(output, encoder->values[column]);
}
