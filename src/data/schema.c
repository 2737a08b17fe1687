/*
 * schema.c
 *		Features of a schema: their numbers, their names, their bytes.
 */
#include "pm_schema.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pm_bytes.h"

/* The class, in bytes, of categories that came as integers. */
#define INTEGER_CATEGORY (PM_COLUMN_VECTOR + 1)

/* Versions of its bytes: with the features' scales, and without. */
#define VERSION_SCALED 1
#define VERSION_UNSCALED 2

/*
 * No more features than an algorithm can address; a model's own limit of
 * 1 GB is reached long before.
 */
#define MAX_FEATURES (1 << 24)
#define MAX_COLUMNS 10000
#define CHECK_INTERVAL 256

/* shift, scale and impute */
#define BYTES_PER_FEATURE (2 * sizeof(double) + sizeof(float))

static const char *const weekday_names[PM_WEEKDAYS] = {
	"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
	"Sunday"
};

/* How many features a column has. */
static int64_t
column_features(const PmColumn *column)
{
	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			return 1;
		case PM_COLUMN_CATEGORY:
		case PM_COLUMN_SET:
			return column->dictionary.count;
		case PM_COLUMN_TIME:
			return 1 + PM_WEEKDAYS + PM_HOURS;
		case PM_COLUMN_DATE:
			return 1 + PM_WEEKDAYS;
		case PM_COLUMN_VECTOR:
			return column->length;
	}
	return 0;
}

PmStatus
pm_schema_number_features(PmContext *ctx, PmSchema *schema)
{
	int64_t		total = 0;

	for (int i = 0; i < schema->column_count; i++)
	{
		PmColumn   *column = &schema->columns[i];
		int64_t		count = column_features(column);

		if (total + count > MAX_FEATURES)
			return pm_fail(ctx, PM_TOO_LARGE, "more than %d features with column \"%s\"",
						   MAX_FEATURES, column->name);
		column->first_feature = (int) total;
		column->feature_count = (int) count;
		total += count;
	}
	schema->feature_count = (int) total;
	return PM_OK;
}

PmStatus
pm_schema_init_scales(PmContext *ctx, PmSchema *schema)
{
	size_t		count = schema->feature_count;

	PM_TRY(pm_alloc(ctx, "features", count, sizeof(double), &schema->shift));
	PM_TRY(pm_alloc(ctx, "features", count, sizeof(double), &schema->scale));
	PM_TRY(pm_alloc(ctx, "features", count, sizeof(float), &schema->impute));
	for (size_t i = 0; i < count; i++)
	{
		schema->shift[i] = 0;
		schema->scale[i] = 1;
		schema->impute[i] = 0;
	}
	return PM_OK;
}

/* The column that a feature belongs to. */
static const PmColumn *
column_of_feature(const PmSchema *schema, int feature)
{
	int			low = 0;
	int			high = schema->column_count - 1;

	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (schema->columns[middle].first_feature <= feature)
			low = middle;
		else
			high = middle - 1;
	}
	return &schema->columns[low];
}

PmFeatureKind
pm_schema_feature_kind(const PmSchema *schema, int feature)
{
	const PmColumn *column = column_of_feature(schema, feature);

	switch (column->class)
	{
		case PM_COLUMN_CATEGORY:
		case PM_COLUMN_SET:
			return PM_FEATURE_INDICATOR;
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			return feature == column->first_feature ? PM_FEATURE_NUMBER :
				PM_FEATURE_INDICATOR;
		default:
			return PM_FEATURE_NUMBER;
	}
}

size_t
pm_schema_feature_name(const PmSchema *schema, int feature, char *buffer,
					   size_t size)
{
	const PmColumn *column = column_of_feature(schema, feature);
	int			i = feature - column->first_feature;
	size_t		length;
	const char *string;

	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			break;
		case PM_COLUMN_CATEGORY:
		case PM_COLUMN_SET:
			string = pm_dictionary_string(&column->dictionary, i, &length);
			return snprintf(buffer, size, "%s=%.*s", column->name,
							length > INT_MAX ? INT_MAX : (int) length, string);
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			if (i == 0)
				return snprintf(buffer, size, "%s.age_days", column->name);
			if (i <= PM_WEEKDAYS)
				return snprintf(buffer, size, "%s.weekday=%s", column->name,
								weekday_names[i - 1]);
			return snprintf(buffer, size, "%s.hour=%d", column->name,
							i - 1 - PM_WEEKDAYS);
		case PM_COLUMN_VECTOR:
			return snprintf(buffer, size, "%s[%d]", column->name, i + 1);
	}
	return snprintf(buffer, size, "%s", column->name);
}

/* ---- bytes ------------------------------------------------------------ */

static void
put_column(PmByteWriter *writer, const PmColumn *column)
{
	pm_put_string(writer, column->name);
	pm_put_u32(writer, column->from_integers ? INTEGER_CATEGORY : column->class);
	pm_put_u32(writer, column->length);
	pm_put(writer, &column->newest, sizeof(double));
	pm_put_string(writer, column->time_zone);
	pm_put(writer, &column->nulls, sizeof(int64_t));
	pm_put_u32(writer, column->dictionary.count);
	for (int32_t code = 0; code < column->dictionary.count; code++)
	{
		size_t		length;
		const char *string = pm_dictionary_string(&column->dictionary, code,
												  &length);

		pm_put_u32(writer, (uint32_t) length);
		pm_put(writer, string, length);
	}
}

static void
put_schema(PmByteWriter *writer, const PmSchema *schema)
{
	pm_put_u32(writer, schema->shift != NULL ? VERSION_SCALED : VERSION_UNSCALED);
	pm_put_u32(writer, schema->column_count);
	pm_put_u32(writer, schema->feature_count);
	for (int i = 0; i < schema->column_count; i++)
		put_column(writer, &schema->columns[i]);
	if (schema->shift == NULL)
		return;
	pm_put(writer, schema->shift, schema->feature_count * sizeof(double));
	pm_put(writer, schema->scale, schema->feature_count * sizeof(double));
	pm_put(writer, schema->impute, schema->feature_count * sizeof(float));
}

PmStatus
pm_schema_write(PmContext *ctx, const PmSchema *schema, void **bytes,
				size_t *size)
{
	PmByteWriter counter = {NULL, 0};
	PmByteWriter writer = {NULL, 0};

	put_schema(&counter, schema);
	PM_TRY(pm_alloc(ctx, "schema", counter.used, 1, &writer.bytes));
	put_schema(&writer, schema);
	*bytes = writer.bytes;
	*size = writer.used;
	return PM_OK;
}

static PmStatus
take_dictionary(PmByteReader *reader, PmDictionary *dictionary)
{
	uint32_t	count;

	PM_TRY(pm_dictionary_init(reader->ctx, dictionary));
	PM_TRY(pm_take_u32(reader, &count, MAX_FEATURES, "a dictionary is too large"));
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t	length = 0;
		int32_t		code;

		if (i % CHECK_INTERVAL == 0 && pm_interrupted(reader->ctx))
			return pm_fail(reader->ctx, PM_CANCELLED, "reading a model was cancelled");
		PM_TRY(pm_take_u32(reader, &length, INT32_MAX, "a category is too long"));
		if (length > reader->left)
			return pm_corrupt(reader->ctx, "its schema ends too early");
		if (memchr(reader->bytes, '\0', length) != NULL)
			return pm_corrupt(reader->ctx, "a category holds a NUL byte");
		PM_TRY(pm_dictionary_add(reader->ctx, dictionary, reader->bytes,
								 length, &code));
		if (code != (int32_t) i)
			return pm_corrupt(reader->ctx, "a category occurs twice");
		reader->bytes += length;
		reader->left -= length;
	}
	return PM_OK;
}

static PmStatus
take_column(PmByteReader *reader, PmColumn *column)
{
	uint32_t	class;
	uint32_t	length;

	PM_TRY(pm_take_string(reader, &column->name));
	PM_TRY(pm_take_u32(reader, &class, INTEGER_CATEGORY, "unknown class of column"));
	column->from_integers = class == INTEGER_CATEGORY;
	if (column->from_integers)
		class = PM_COLUMN_CATEGORY;
	PM_TRY(pm_take_u32(reader, &length, MAX_FEATURES, "a vector is too long"));
	PM_TRY(pm_take(reader, &column->newest, sizeof(double)));
	PM_TRY(pm_take_string(reader, &column->time_zone));
	PM_TRY(pm_take(reader, &column->nulls, sizeof(int64_t)));
	column->class = class;
	column->length = length;
	if (!isfinite(column->newest))
		return pm_corrupt(reader->ctx, "a time is not finite");
	PM_TRY(take_dictionary(reader, &column->dictionary));
	if (column->dictionary.count > 0 && class != PM_COLUMN_CATEGORY &&
		class != PM_COLUMN_SET)
		return pm_corrupt(reader->ctx, "a column has a dictionary that is no category");
	return PM_OK;
}

/* Names are what columns are matched by, so none may occur twice. */
static PmStatus
check_names(PmByteReader *reader, const PmSchema *schema)
{
	PmDictionary names;

	PM_TRY(pm_dictionary_init(reader->ctx, &names));
	for (int i = 0; i < schema->column_count; i++)
	{
		int32_t		code;

		PM_TRY(pm_dictionary_add(reader->ctx, &names, schema->columns[i].name,
								 strlen(schema->columns[i].name), &code));
		if (code != i)
			return pm_corrupt(reader->ctx, "a column occurs twice");
	}
	return PM_OK;
}

/* The scales of all features. */
static PmStatus
take_scales(PmByteReader *reader, PmSchema *schema)
{
	size_t		features = schema->feature_count;

	if (features > reader->left / BYTES_PER_FEATURE)
		return pm_corrupt(reader->ctx, "its schema ends too early");
	PM_TRY(pm_schema_init_scales(reader->ctx, schema));
	PM_TRY(pm_take(reader, schema->shift, features * sizeof(double)));
	PM_TRY(pm_take(reader, schema->scale, features * sizeof(double)));
	PM_TRY(pm_take(reader, schema->impute, features * sizeof(float)));
	for (int i = 0; i < schema->feature_count; i++)
		if (!isfinite(schema->shift[i]) || !isfinite(schema->scale[i]) ||
			!isfinite(schema->impute[i]) || schema->scale[i] < 0)
			return pm_corrupt(reader->ctx, "a feature's scale is negative or no number");
	return PM_OK;
}

PmStatus
pm_schema_read(PmContext *ctx, const void *bytes, size_t size,
			   PmSchema **result)
{
	PmByteReader reader = {ctx, bytes, size};
	PmSchema   *schema;
	uint32_t	version;
	uint32_t	columns;
	uint32_t	features;
	int64_t		total = 0;

	PM_TRY(pm_take_u32(&reader, &version, UINT32_MAX, ""));
	if (version != VERSION_SCALED && version != VERSION_UNSCALED)
		return pm_corrupt(ctx, "its schema has an unknown version");
	PM_TRY(pm_take_u32(&reader, &columns, MAX_COLUMNS, "its schema has too many columns"));
	PM_TRY(pm_take_u32(&reader, &features, MAX_FEATURES, "its schema has too many features"));
	PM_TRY(pm_alloc_zero(ctx, "schema", 1, sizeof(PmSchema), &schema));
	PM_TRY(pm_alloc_zero(ctx, "schema", columns, sizeof(PmColumn),
						 &schema->columns));
	schema->column_count = (int) columns;
	for (uint32_t i = 0; i < columns; i++)
		PM_TRY(take_column(&reader, &schema->columns[i]));
	PM_TRY(check_names(&reader, schema));
	for (uint32_t i = 0; i < columns; i++)
		total += column_features(&schema->columns[i]);
	if (total != features)
		return pm_corrupt(ctx, "its columns do not make up its features");
	PM_TRY(pm_schema_number_features(ctx, schema));
	if (version == VERSION_SCALED)
		PM_TRY(take_scales(&reader, schema));
	if (reader.left != 0)
		return pm_corrupt(ctx, "its schema is followed by other bytes");
	*result = schema;
	return PM_OK;
}
