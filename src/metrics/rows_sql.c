/*
 * rows_sql.c
 *		Rows of predictions: as aggregates gather them, and from a relation.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "metrics_sql.h"
#include "pm_frame.h"
#include "pm_settings.h"
#include "pm_source.h"

#define FIRST_CAPACITY 8
#define MAX_BINS 10000

/* ---- gathering --------------------------------------------------------- */

/* An array made larger. */
static void *
enlarge(MemoryContext memory, void *array, int64 capacity, size_t size)
{
	return array != NULL ? repalloc_huge(array, capacity * size) :
		MemoryContextAllocHuge(memory, capacity * size);
}

/* Room for `needed` rows, within precmkt.max_memory. */
static void
reserve(MetricsRows *rows, MemoryContext memory, int64 needed, bool weighted)
{
	size_t		row_bytes = sizeof(double) + sizeof(uint8_t) +
		(weighted ? sizeof(float) : 0);
	int64		most = (int64) pm_setting_max_memory * 1024 / row_bytes;
	int64		capacity = Max(FIRST_CAPACITY, rows->capacity);

	if (needed <= rows->capacity)
		return;
	if (needed > most)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("precmkt.max_memory would be exceeded"),
				 errdetail("%lld predictions take %lld kB.", (long long) needed,
						   (long long) (needed * row_bytes / 1024)),
				 errhint("Raise precmkt.max_memory, or use fewer rows.")));
	while (capacity < needed)
		capacity *= 2;
	capacity = Min(capacity, most);
	rows->predictions = enlarge(memory, rows->predictions, capacity, sizeof(double));
	rows->labels = enlarge(memory, rows->labels, capacity, sizeof(uint8_t));
	if (rows->weights != NULL)
		rows->weights = enlarge(memory, rows->weights, capacity, sizeof(float));
	rows->capacity = capacity;
}

/* Weights, until now all 1, become an array. */
static void
begin_weights(MetricsRows *rows, MemoryContext memory)
{
	if (rows->weights != NULL)
		return;
	rows->weights = enlarge(memory, NULL, rows->capacity, sizeof(float));
	for (int64 i = 0; i < rows->n; i++)
		rows->weights[i] = 1;
}

void
pm_metrics_rows_add(MetricsRows *rows, MemoryContext memory,
					double prediction, bool label, float weight)
{
	if (unlikely(rows->n >= rows->capacity))
		reserve(rows, memory, rows->n + 1, rows->weights != NULL || weight != 1);
	if (weight != 1)
		begin_weights(rows, memory);
	rows->predictions[rows->n] = prediction;
	rows->labels[rows->n] = label;
	if (rows->weights != NULL)
		rows->weights[rows->n] = weight;
	rows->n++;
}

void
pm_metrics_rows_append(MetricsRows *rows, MemoryContext memory,
					   const MetricsRows *others)
{
	if (others->n == 0)
		return;
	reserve(rows, memory, rows->n + others->n,
			rows->weights != NULL || others->weights != NULL);
	if (others->weights != NULL)
		begin_weights(rows, memory);
	memcpy(rows->predictions + rows->n, others->predictions, others->n * sizeof(double));
	memcpy(rows->labels + rows->n, others->labels, others->n * sizeof(uint8_t));
	for (int64 i = 0; rows->weights != NULL && i < others->n; i++)
		rows->weights[rows->n + i] = others->weights != NULL ? others->weights[i] : 1;
	rows->n += others->n;
}

/* ---- values ------------------------------------------------------------ */

static inline bool
is_acceptable(double prediction, MetricsPrediction kind)
{
	return kind == METRICS_SCORE ? isfinite(prediction) :
		prediction >= 0 && prediction <= 1;
}

void
pm_metrics_check_prediction(double prediction, MetricsPrediction kind)
{
	if (likely(is_acceptable(prediction, kind)))
		return;
	if (kind == METRICS_SCORE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("prediction %g is not a finite number", prediction)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("prediction %g is not a probability", prediction),
			 errhint("Probabilities are between 0 and 1. Of a logit z it is 1 / (1 + exp(-z)).")));
}

bool
pm_metrics_weight_argument(FunctionCallInfo fcinfo, int argument,
						   double *weight)
{
	*weight = 1;
	if (PG_NARGS() <= argument)
		return true;
	if (PG_ARGISNULL(argument))
		return false;
	*weight = PG_GETARG_FLOAT8(argument);
	if (!(*weight >= 0 && *weight <= FLT_MAX))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weight %g is not a finite number from 0 on", *weight)));
	return (float) *weight > 0;
}

int
pm_metrics_bins_argument(FunctionCallInfo fcinfo)
{
	int			bins = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);

	if (PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("bins must not be NULL")));
	if (bins < 1 || bins > MAX_BINS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bins must be between 1 and %d, not %d", MAX_BINS, bins)));
	return bins;
}

/* ---- a relation -------------------------------------------------------- */

/* A scan of label, prediction and weight. */
typedef struct Reading
{
	MetricsRows *rows;
	MemoryContext memory;
	MetricsPrediction kind;
	PmConverter label;
	PmConverter weight;
	Oid			type;			/* of the prediction */
	const char *name;
	bool		weighted;
	int64		row;
} Reading;

/* The column of a prediction must be a number; boolean is none. */
static void
check_number_type(const PmField *field, const char *role)
{
	switch (field->type)
	{
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
			 errmsg("%s column \"%s\" of type %s must be a number", role,
					field->name, format_type_be(field->type))));
}

static double
as_double(Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return (double) DatumGetInt64(value);
		case FLOAT4OID:
			return DatumGetFloat4(value);
		case NUMERICOID:
			return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
		default:
			return DatumGetFloat8(value);
	}
}

static void
refuse_prediction(const Reading *reading, double prediction)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("prediction column \"%s\" contains %g, which is not %s",
					reading->name, prediction,
					reading->kind == METRICS_SCORE ? "a finite number" : "a probability"),
			 errdetail("It is in row %lld of the input.", (long long) reading->row)));
}

/* One row: those without label, prediction or weight are left out. */
static void
read_row(void *argument, Datum *values, bool *nulls)
{
	Reading    *reading = argument;
	double		prediction;
	float		weight = 1;

	reading->row++;
	if (nulls[0] || nulls[1] || (reading->weighted && nulls[2]))
		return;
	prediction = as_double(reading->type, values[1]);
	if (!is_acceptable(prediction, reading->kind))
		refuse_prediction(reading, prediction);
	if (reading->weighted)
	{
		weight = pm_convert_number(&reading->weight, values[2]);
		if (weight < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("weight column \"%s\" contains %g", reading->weight.name, weight),
					 errhint("Weights are 0 or more.")));
		if (weight == 0)
			return;
	}
	pm_metrics_rows_add(reading->rows, reading->memory, prediction,
						pm_convert_label(&reading->label, values[0]), weight);
}

void
pm_metrics_read(FunctionCallInfo fcinfo, const char *weight_col,
				MetricsPrediction kind, MetricsRows *rows)
{
	Reading		reading = {.rows = rows,.memory = CurrentMemoryContext,.kind = kind};
	PmSource   *source;
	const PmField *prediction;
	int			columns[3];

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source, label and prediction must not be NULL")));
	memset(rows, 0, sizeof(*rows));
	source = pm_source_open(PG_GETARG_OID(0));
	columns[0] = pm_source_find(source, NameStr(*PG_GETARG_NAME(1)));
	columns[1] = pm_source_find(source, NameStr(*PG_GETARG_NAME(2)));
	pm_label_check_type(&source->fields[columns[0]]);
	pm_converter_init(&reading.label, &source->fields[columns[0]], NULL, reading.memory);
	reading.label.row = &reading.row;
	prediction = &source->fields[columns[1]];
	check_number_type(prediction, "prediction");
	reading.type = prediction->type;
	reading.name = prediction->name;
	if (weight_col != NULL)
	{
		columns[2] = pm_source_find(source, weight_col);
		check_number_type(&source->fields[columns[2]], "weight");
		pm_converter_init(&reading.weight, &source->fields[columns[2]], NULL, reading.memory);
		reading.weight.row = &reading.row;
		reading.weighted = true;
	}
	pm_source_scan(source, columns, weight_col != NULL ? 3 : 2, 0, read_row, &reading);
}
