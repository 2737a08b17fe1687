/*
 * convert.c
 *		Values of a column: Datums into numbers, times, strings, vectors.
 *
 * The column's SQL type decides what it is.  What cannot be used is refused
 * in words that name the column, its type and the cast to use.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "pm_frame.h"

/* A function that casts the type to float4[], or InvalidOid. */
static Oid
vector_cast(Oid type)
{
	Oid			function = InvalidOid;

	if (find_coercion_pathway(FLOAT4ARRAYOID, type, COERCION_EXPLICIT,
							  &function) == COERCION_PATH_FUNC)
		return function;
	return InvalidOid;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

void
pm_field_categorical(PmField *field, const char *option)
{
	field->categorical = is_integer(field->type);
	if (!field->categorical && pm_column_class(field) != PM_COLUMN_CATEGORY)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("option \"%s\" names column \"%s\" of type %s, which is neither an integer nor a category",
						option, field->name, format_type_be(field->type)),
				 errhint("Cast it in a view, for example \"%s\"::text.", field->name)));
}

/* The cast to suggest for a type that is no feature. */
static const char *
suggested_cast(Oid type)
{
	switch (type)
	{
		case MONEYOID:
			return "::numeric";
		case TIMEOID:
			return "::interval";
		case TIMETZOID:
			return "::time::interval";
		case JSONOID:
		case JSONBOID:
			return "->>'key' and a cast of that";
		default:
			if (type_is_array(type))
				return "::float4[] or ::text[]";
			return "::text or ::float8";
	}
}

PmColumnClass
pm_column_class(const PmField *field)
{
	switch (field->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case BOOLOID:
			return PM_COLUMN_NUMBER;
		case INTERVALOID:
			return PM_COLUMN_INTERVAL;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case UUIDOID:
			return PM_COLUMN_CATEGORY;
		case DATEOID:
			return PM_COLUMN_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return PM_COLUMN_TIME;
		case TEXTARRAYOID:
		case VARCHARARRAYOID:
		case INT2ARRAYOID:
		case INT4ARRAYOID:
		case INT8ARRAYOID:
			return PM_COLUMN_SET;
		case FLOAT4ARRAYOID:
		case FLOAT8ARRAYOID:
			return PM_COLUMN_VECTOR;
	}
	if (type_is_enum(field->type))
		return PM_COLUMN_CATEGORY;
	if (OidIsValid(vector_cast(field->type)))
		return PM_COLUMN_VECTOR;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of type %s cannot be a feature",
					field->name, format_type_be(field->type)),
			 errhint("Leave it out, or cast it in a view, for example \"%s\"%s.",
					 field->name, suggested_cast(field->type))));
	return PM_COLUMN_NUMBER;
}

static const char *
class_name(PmColumnClass class)
{
	switch (class)
	{
		case PM_COLUMN_NUMBER:
			return "a number";
		case PM_COLUMN_INTERVAL:
			return "an interval";
		case PM_COLUMN_CATEGORY:
			return "a category";
		case PM_COLUMN_TIME:
			return "a timestamp";
		case PM_COLUMN_DATE:
			return "a date";
		case PM_COLUMN_SET:
			return "an array of categories";
		case PM_COLUMN_VECTOR:
			return "a vector";
	}
	return "unknown";
}

/* Where weekdays and hours of a time are read. */
static pg_tz *
find_time_zone(const PmColumn *column)
{
	pg_tz	   *zone;

	if (column == NULL || column->time_zone == NULL ||
		column->time_zone[0] == '\0')
		return session_timezone;
	zone = pg_tzset(column->time_zone);
	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" of the model's column \"%s\" is not known here",
						column->time_zone, column->name)));
	return zone;
}

/* The right to run a cast's function, which a plain cast would ask for too. */
static void
check_execute(Oid function)
{
	AclResult	result;

#if PG_VERSION_NUM >= 160000
	result = object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE);
#else
	result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);
#endif
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

void
pm_converter_init(PmConverter *converter, const PmField *field,
				  const PmColumn *column, MemoryContext memory)
{
	Oid			output;
	bool		is_varlena;

	memset(converter, 0, sizeof(*converter));
	converter->from_integers = is_integer(field->type) &&
		(field->categorical || (column != NULL && column->from_integers));
	converter->class = converter->from_integers ? PM_COLUMN_CATEGORY : pm_column_class(field);
	converter->type = field->type;
	converter->name = field->name;
	if (column != NULL && converter->class != column->class)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" was %s in training and is %s now",
						field->name, class_name(column->class),
						class_name(converter->class)),
				 errhint("Cast it from %s to what it was.",
						 format_type_be(field->type))));
	switch (converter->class)
	{
		case PM_COLUMN_CATEGORY:
			getTypeOutputInfo(field->type, &output, &is_varlena);
			fmgr_info_cxt(output, &converter->function, memory);
			break;
		case PM_COLUMN_VECTOR:
			if (field->type != FLOAT4ARRAYOID && field->type != FLOAT8ARRAYOID)
			{
				Oid			cast = vector_cast(field->type);

				check_execute(cast);
				fmgr_info_cxt(cast, &converter->function, memory);
				converter->cast_arguments = get_func_nargs(cast);
			}
			break;
		case PM_COLUMN_TIME:
			converter->time_zone = find_time_zone(column);
			break;
		default:
			break;
	}
}

/* Say why a value is refused, and where it stands. */
static void
refuse_value(const PmConverter *converter, int code, const char *what)
{
	ereport(ERROR,
			(errcode(code),
			 errmsg("column \"%s\" contains %s", converter->name, what),
			 converter->row != NULL ?
			 errdetail("It is in row %lld of the input.",
					   (long long) *converter->row) : 0));
}

void
pm_convert_refuse(const PmConverter *converter, double value)
{
	if (isnan(value))
		refuse_value(converter, ERRCODE_DATA_EXCEPTION, "NaN");
	if (isinf(value))
		refuse_value(converter, ERRCODE_DATA_EXCEPTION, "an infinite value");
	refuse_value(converter, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
				 "a value that is out of range for type real");
}

/* Seconds, with PostgreSQL's own length of a month and year. */
static double
interval_seconds(const Interval *interval)
{
	double		seconds = (double) interval->time / USECS_PER_SEC;

	seconds += (double) interval->day * SECS_PER_DAY;
	seconds += (double) (interval->month / MONTHS_PER_YEAR) * DAYS_PER_YEAR * SECS_PER_DAY;
	seconds += (double) (interval->month % MONTHS_PER_YEAR) * DAYS_PER_MONTH * SECS_PER_DAY;
	return seconds;
}

/* One beyond float8, such as 1e400, is large but no infinity. */
static double
numeric_double(Datum value)
{
	double		number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
															value));

	if (isinf(number) && !numeric_is_inf(DatumGetNumeric(value)))
		return copysign(DBL_MAX, number);
	return number;
}

float
pm_convert_number(const PmConverter *converter, Datum value)
{
	switch (converter->type)
	{
		case FLOAT8OID:
			return pm_convert_float8(converter, DatumGetFloat8(value));
		case FLOAT4OID:
			return pm_convert_float8(converter, DatumGetFloat4(value));
		case INT4OID:
			return (float) DatumGetInt32(value);
		case INT8OID:
			return (float) DatumGetInt64(value);
		case INT2OID:
			return (float) DatumGetInt16(value);
		case BOOLOID:
			return DatumGetBool(value) ? 1.0f : 0.0f;
		case NUMERICOID:
			return pm_convert_float8(converter, numeric_double(value));
		case INTERVALOID:
			{
				Interval   *interval = DatumGetIntervalP(value);

#ifdef INTERVAL_NOT_FINITE
				if (INTERVAL_NOT_FINITE(interval))
					refuse_value(converter, ERRCODE_DATA_EXCEPTION,
								 "an infinite value");
#endif
				return pm_convert_float8(converter, interval_seconds(interval));
			}
	}
	elog(ERROR, "unexpected type %u", converter->type);
	return 0;
}

double
pm_convert_time(const PmConverter *converter, Datum value, int *weekday,
				int *hour)
{
	Timestamp	timestamp;
	struct pg_tm tm;
	fsec_t		fraction;
	int			zone;

	*hour = 0;
	if (converter->type == DATEOID)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_NOT_FINITE(date))
			refuse_value(converter, ERRCODE_DATA_EXCEPTION, "an infinite value");
		*weekday = (j2day(date + POSTGRES_EPOCH_JDATE) + 6) % PM_WEEKDAYS;
		return date;
	}
	timestamp = DatumGetTimestamp(value);
	if (TIMESTAMP_NOT_FINITE(timestamp))
		refuse_value(converter, ERRCODE_DATA_EXCEPTION, "an infinite value");
	if (timestamp2tm(timestamp,
					 converter->type == TIMESTAMPTZOID ? &zone : NULL,
					 &tm, &fraction, NULL, converter->time_zone) != 0)
		refuse_value(converter, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
					 "a timestamp that is out of range");
	*weekday = (j2day(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday)) + 6) % PM_WEEKDAYS;
	*hour = tm.tm_hour;
	return (double) timestamp / USECS_PER_DAY;
}

void
pm_label_check_type(const PmField *field)
{
	switch (field->type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("label column \"%s\" of type %s must be boolean, or a number that is 0 or 1",
					field->name, format_type_be(field->type)),
			 errhint("Make it boolean in a view, for example %s = 'yes' AS %s.",
					 quote_identifier(field->name), quote_identifier(field->name))));
}

uint8_t
pm_convert_label(const PmConverter *converter, Datum value)
{
	float		number = pm_convert_number(converter, value);

	if (number != 0 && number != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("label column \"%s\" contains %g, which is neither 0 nor 1",
						converter->name, number),
				 converter->row != NULL ?
				 errdetail("It is in row %lld of the input.",
						   (long long) *converter->row) : 0));
	return number == 1;
}

void
pm_weight_check_type(const PmConverter *converter)
{
	if (converter->class != PM_COLUMN_NUMBER)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("weight column \"%s\" must be a number", converter->name)));
}

float
pm_convert_weight(const PmConverter *converter, Datum value, bool isnull)
{
	float		weight = isnull ? 0 : pm_convert_number(converter, value);

	if (unlikely(weight < 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weight column \"%s\" contains %g", converter->name, weight),
				 errhint("Weights are 0 or more.")));
	return weight;
}

void
pm_moment_check_type(const PmField *field)
{
	switch (pm_column_class(field))
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			return;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("time column \"%s\" of type %s must be a date, a timestamp or a number",
							field->name, format_type_be(field->type))));
	}
}

double
pm_convert_moment(const PmConverter *converter, Datum value)
{
	Timestamp	timestamp;

	if (converter->class == PM_COLUMN_NUMBER)
		return converter->type == INT8OID ? (double) DatumGetInt64(value) :
			converter->type == INT4OID ? DatumGetInt32(value) :
			pm_convert_number(converter, value);
	if (converter->type == DATEOID)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_NOT_FINITE(date))
			refuse_value(converter, ERRCODE_DATA_EXCEPTION, "an infinite value");
		return date;
	}
	timestamp = DatumGetTimestamp(value);
	if (TIMESTAMP_NOT_FINITE(timestamp))
		refuse_value(converter, ERRCODE_DATA_EXCEPTION, "an infinite value");
	return (double) timestamp / USECS_PER_DAY;
}

/* The bytes of a text value without a copy where it has none to make. */
static inline const char *
text_bytes(Datum value, size_t *length)
{
	text	   *string = DatumGetTextPP(value);

	*length = VARSIZE_ANY_EXHDR(string);
	return VARDATA_ANY(string);
}

const char *
pm_convert_string(PmConverter *converter, Datum value, size_t *length)
{
	const char *string;

	switch (converter->type)
	{
		case TEXTOID:
		case VARCHAROID:
			return text_bytes(value, length);
		case BPCHAROID:
			string = text_bytes(value, length);
			*length = bpchartruelen((char *) string, *length);
			return string;
		default:
			string = OutputFunctionCall(&converter->function, value);
			*length = strlen(string);
			return string;
	}
}

/* One member as a string. */
static const char *
member_string(Oid element_type, Datum member, size_t *length)
{
	char	   *digits;

	switch (element_type)
	{
		case TEXTOID:
		case VARCHAROID:
			return text_bytes(member, length);
		case INT2OID:
			digits = psprintf("%d", DatumGetInt16(member));
			break;
		case INT4OID:
			digits = psprintf("%d", DatumGetInt32(member));
			break;
		default:
			digits = psprintf("%lld", (long long) DatumGetInt64(member));
			break;
	}
	*length = strlen(digits);
	return digits;
}

int
pm_convert_set(PmConverter *converter, Datum value, const char ***strings,
			   size_t **lengths)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *members;
	bool	   *nulls;
	int			count;
	int			kept = 0;
	int16		element_length;
	bool		element_by_value;
	char		element_align;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &element_length,
						 &element_by_value, &element_align);
	deconstruct_array(array, ARR_ELEMTYPE(array), element_length,
					  element_by_value, element_align, &members, &nulls,
					  &count);
	*strings = palloc(Max(1, count) * sizeof(char *));
	*lengths = palloc(Max(1, count) * sizeof(size_t));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			continue;
		(*strings)[kept] = member_string(ARR_ELEMTYPE(array), members[i],
										 &(*lengths)[kept]);
		kept++;
	}
	return kept;
}

/* The value as an array of float4 or float8. */
static ArrayType *
vector_array(PmConverter *converter, Datum value)
{
	switch (converter->cast_arguments)
	{
		case 0:
			break;
		case 1:
			value = FunctionCall1(&converter->function, value);
			break;
		case 2:
			value = FunctionCall2(&converter->function, value,
								  Int32GetDatum(-1));
			break;
		default:
			value = FunctionCall3(&converter->function, value,
								  Int32GetDatum(-1), BoolGetDatum(true));
			break;
	}
	return DatumGetArrayTypeP(value);
}

int
pm_convert_vector(PmConverter *converter, Datum value, float **elements)
{
	ArrayType  *array = vector_array(converter, value);
	int			count;

	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] < 1)
		refuse_value(converter, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
					 "an array that has not one dimension with elements");
	if (array_contains_nulls(array))
		refuse_value(converter, ERRCODE_NULL_VALUE_NOT_ALLOWED,
					 "a vector with a NULL element");
	count = ARR_DIMS(array)[0];
	*elements = palloc(count * sizeof(float));
	for (int i = 0; i < count; i++)
		(*elements)[i] = pm_convert_float8(converter,
								ARR_ELEMTYPE(array) == FLOAT4OID ?
								((float4 *) ARR_DATA_PTR(array))[i] :
								((float8 *) ARR_DATA_PTR(array))[i]);
	return count;
}
