/*
 * encode.c
 *		From a frame, or a single row, to the numbers an algorithm sees.
 *
 * Training and scoring go through the same float32 steps, so that a training
 * row scored later gives the same bits.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "pm_frame.h"
#include "pm_host.h"

#define CHECK_INTERVAL (1 << 16)

/* The deviation that summing equal numbers may leave, beside their mean. */
#define ROUNDING 1e-9

/* What a number enters as. */
static inline float
scale_number(const PmSchema *schema, int feature, float value)
{
	return (float) ((value - schema->shift[feature]) * schema->scale[feature]);
}

/* ---- frames ----------------------------------------------------------- */

/* Where the features of a frame's parts stand in an encoded row. */
typedef struct Layout
{
	int		   *dense_feature;	/* of each dense number */
	bool	   *dense_is_time;
	double	   *newest;
	int		   *code_feature;	/* first feature of each code */
	int		   *set_feature;
} Layout;

static Layout
find_layout(const PmFrame *frame)
{
	Layout		layout;
	int			dense = 0;
	int			code = 0;
	int			set = 0;

	layout.dense_feature = palloc(Max(1, frame->dense_width) * sizeof(int));
	layout.dense_is_time = palloc0(Max(1, frame->dense_width) * sizeof(bool));
	layout.newest = palloc0(Max(1, frame->dense_width) * sizeof(double));
	layout.code_feature = palloc(Max(1, frame->code_width) * sizeof(int));
	layout.set_feature = palloc(Max(1, frame->set_count) * sizeof(int));
	for (int i = 0; i < frame->schema->column_count; i++)
	{
		const PmColumn *column = &frame->schema->columns[i];
		int			first = column->first_feature;

		switch (column->class)
		{
			case PM_COLUMN_NUMBER:
			case PM_COLUMN_INTERVAL:
				layout.dense_feature[dense++] = first;
				break;
			case PM_COLUMN_VECTOR:
				for (int j = 0; j < column->length; j++)
					layout.dense_feature[dense++] = first + j;
				break;
			case PM_COLUMN_TIME:
			case PM_COLUMN_DATE:
				layout.dense_is_time[dense] = true;
				layout.newest[dense] = column->newest;
				layout.dense_feature[dense++] = first;
				layout.code_feature[code++] = first + 1;
				if (column->class == PM_COLUMN_TIME)
					layout.code_feature[code++] = first + 1 + PM_WEEKDAYS;
				break;
			case PM_COLUMN_CATEGORY:
				layout.code_feature[code++] = first;
				break;
			case PM_COLUMN_SET:
				layout.set_feature[set++] = first;
				break;
		}
	}
	return layout;
}

/* Times become ages; in place. */
static void
times_to_ages(PmFrame *frame, const Layout *layout)
{
	for (int j = 0; j < frame->dense_width; j++)
	{
		if (!layout->dense_is_time[j])
			continue;
		for (int64_t row = 0; row < frame->n; row++)
		{
			float	   *value = &frame->dense[row * frame->dense_width + j];

			if (row % CHECK_INTERVAL == 0)
				CHECK_FOR_INTERRUPTS();
			*value = (float) (layout->newest[j] - *value);
		}
	}
}

/* Sums over rows of one pass, by dense number. */
typedef struct Moments
{
	double	   *weight;			/* of the values that are not NULL */
	double	   *mean;
	double	   *square;			/* summed squared deviations */
} Moments;

static Moments
allocate_moments(int width)
{
	Moments		moments;

	moments.weight = palloc0(Max(1, width) * sizeof(double));
	moments.mean = palloc0(Max(1, width) * sizeof(double));
	moments.square = palloc0(Max(1, width) * sizeof(double));
	return moments;
}

/*
 * Two passes, mean and then squared deviations from it: exact where one pass
 * of squares would cancel.
 */
static Moments
dense_moments(const PmFrame *frame)
{
	int			width = frame->dense_width;
	Moments		moments = allocate_moments(width);

	for (int64_t row = 0; row < frame->n; row++)
	{
		const float *value = frame->dense + row * width;
		double		weight = frame->weights != NULL ? frame->weights[row] : 1;

		if (row % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < width; j++)
		{
			bool		present = !isnan(value[j]);

			moments.weight[j] += present ? weight : 0;
			moments.mean[j] += present ? weight * value[j] : 0;
		}
	}
	for (int j = 0; j < width; j++)
		if (moments.weight[j] > 0)
			moments.mean[j] /= moments.weight[j];
	for (int64_t row = 0; row < frame->n; row++)
	{
		const float *value = frame->dense + row * width;
		double		weight = frame->weights != NULL ? frame->weights[row] : 1;

		if (row % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < width; j++)
		{
			double		deviation = isnan(value[j]) ? 0 : value[j] - moments.mean[j];

			moments.square[j] += weight * deviation * deviation;
		}
	}
	return moments;
}

/*
 * A column far from 0 for its spread loses digits as float4: say so while
 * fewer than some hundred steps fit into its deviation.
 */
static void
notice_coarse(const PmSchema *schema, int feature, double mean,
			  double deviation)
{
	double		step = fabs(mean) * FLT_EPSILON;
	char		name[NAMEDATALEN * 2];

	if (deviation > 100 * step)
		return;
	pm_schema_feature_name(schema, feature, name, sizeof(name));
	ereport(NOTICE,
			(errmsg("\"%s\" lies around %g and varies by %.3g only, which type real keeps to %.3g",
					name, mean, deviation, step),
			 errhint("Subtract a constant from it in a view.")));
}

/*
 * Fill in shift, scale and impute.  The deviation is over all rows, with a
 * NULL at the mean, as the algorithm will see them.  A column that is the
 * same number in every row, or NULL, gets scale 0 and so has no influence, in
 * scoring as in training.
 */
static void
choose_scales(PmFrame *frame, const Layout *layout, bool standardize)
{
	PmSchema   *schema = frame->schema;
	Moments		moments = dense_moments(frame);
	double		total = 0;

	for (int64_t row = 0; row < frame->n; row++)
		total += frame->weights != NULL ? frame->weights[row] : 1;
	for (int j = 0; j < frame->dense_width; j++)
	{
		int			feature = layout->dense_feature[j];
		double		mean = moments.mean[j];
		double		deviation = total > 0 ? sqrt(moments.square[j] / total) : 0;

		schema->impute[feature] = (float) mean;
		if (moments.weight[j] == 0)
			schema->scale[feature] = 0;
		if (!standardize)
			continue;
		schema->shift[feature] = mean;
		if (deviation > ROUNDING * fabs(mean) && deviation > DBL_MIN / DBL_EPSILON)
		{
			notice_coarse(schema, feature, mean, deviation);
			schema->scale[feature] = 1 / deviation;
		}
		else
			schema->scale[feature] = 0;
	}
}

/* The numbers of one row, imputed and scaled. */
static inline void
encode_numbers(const PmFrame *frame, const Layout *layout, const float *from,
			   float *to)
{
	const PmSchema *schema = frame->schema;

	for (int j = 0; j < frame->dense_width; j++)
	{
		int			feature = layout->dense_feature[j];
		float		value = isnan(from[j]) ? schema->impute[feature] : from[j];

		to[feature] = scale_number(schema, feature, value);
	}
}

/* The 0/1 features of one row. */
static void
encode_indicators(const PmFrame *frame, const Layout *layout, int64_t row,
				  float *to)
{
	const int32_t *codes = frame->codes + row * frame->code_width;

	for (int j = 0; j < frame->code_width; j++)
		if (codes[j] >= 0)
			to[layout->code_feature[j] + codes[j]] = 1;
	for (int j = 0; j < frame->set_count; j++)
	{
		const PmFrameSet *set = &frame->sets[j];

		for (int64_t i = set->offsets[row]; i < set->offsets[row + 1]; i++)
			to[layout->set_feature[j] + set->codes[i]] = 1;
	}
}

float *
pm_frame_encode(PmContext *ctx, PmFrame *frame, bool standardize)
{
	PmSchema   *schema = frame->schema;
	Layout		layout = find_layout(frame);
	int			width = schema->feature_count;
	bool		in_place = frame->code_width == 0 && frame->set_count == 0;
	float	   *x = frame->dense;
	size_t		row_bytes = width * sizeof(float);

	times_to_ages(frame, &layout);
	choose_scales(frame, &layout, standardize);
	if (!in_place)
		pm_host_check(ctx, pm_alloc(ctx, "the encoded rows", frame->n, row_bytes, &x));
	for (int64_t row = 0; row < frame->n; row++)
	{
		float	   *to = x + row * width;

		if (row % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (!in_place)
			memset(to, 0, row_bytes);
		encode_numbers(frame, &layout, frame->dense + row * frame->dense_width, to);
		if (!in_place)
			encode_indicators(frame, &layout, row, to);
	}
	if (!in_place)
		pm_release(ctx, frame->dense);
	frame->dense = NULL;
	return x;
}

/* ---- single rows ------------------------------------------------------ */

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
	row[feature] = scale_number(encoder->schema, feature, value);
}

static void
encode_vector(PmEncoder *encoder, int i, Datum value, bool isnull, float *row)
{
	const PmColumn *column = &encoder->schema->columns[i];
	float	   *elements = NULL;

	if (column->length == 0)	/* NULL throughout the training */
		return;
	if (!isnull)
	{
		int			length = pm_convert_vector(&encoder->converters[i], value,
											   &elements);

		if (length != column->length)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("column \"%s\" had vectors of %d elements in training and has one of %d now",
							column->name, column->length, length)));
	}
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

bool
pm_encoder_record(PmEncoder *encoder, HeapTupleHeader record, float *row)
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
	return pm_encoder_row(encoder, encoder->values, encoder->nulls, row);
}
