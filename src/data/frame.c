/*
 * frame.c
 *		Builds a frame: rows of typed values in, arrays of numbers out.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "frame_build.h"

/* A column as a model knows it, or NULL. */
static const PmColumn *
model_column(const PmFrameBuilder *builder, int index)
{
	return builder->spec.model == NULL ? NULL : &builder->spec.model->columns[index];
}

/* An empty dictionary, or one with a model's strings and codes. */
static void
init_dictionary(PmFrameBuilder *builder, PmDictionary *dictionary,
				const PmColumn *model)
{
	int32_t		count = model == NULL ? 0 : model->dictionary.count;

	pm_frame_check(builder, pm_dictionary_init(builder->ctx, dictionary));
	for (int32_t i = 0; i < count; i++)
	{
		size_t		length;
		const char *string = pm_dictionary_string(&model->dictionary, i, &length);
		int32_t		code;

		pm_frame_check(builder, pm_dictionary_add(builder->ctx, dictionary, string, length, &code));
	}
}

/* Set up a column and give it its place in the rows. */
static void
init_column(PmFrameBuilder *builder, int index)
{
	PmFrame    *frame = builder->frame;
	ColumnSlot *slot = &builder->slots[index];
	PmColumn   *column = &frame->schema->columns[index];
	const PmColumn *model = model_column(builder, index);
	MemoryContext memory = pm_host_memory(builder->ctx);

	pm_converter_init(&slot->converter, &builder->spec.columns[index], model, memory);
	slot->converter.name = MemoryContextStrdup(memory,
											   builder->spec.columns[index].name);
	slot->converter.row = &frame->rows_read;
	slot->column = column;
	slot->dense_at = slot->code_at = slot->set_at = -1;
	column->name = (char *) slot->converter.name;
	column->class = slot->converter.class;
	column->from_integers = slot->converter.from_integers;
	column->length = 1;
	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			slot->dense_at = frame->dense_width++;
			break;
		case PM_COLUMN_TIME:
			if (slot->converter.type == TIMESTAMPTZOID)
				column->time_zone = MemoryContextStrdup(memory,
														pg_get_timezone_name(slot->converter.time_zone));
			slot->dense_at = frame->dense_width++;
			slot->code_at = frame->code_width;
			frame->code_width += 2;
			break;
		case PM_COLUMN_DATE:
			slot->dense_at = frame->dense_width++;
			slot->code_at = frame->code_width++;
			break;
		case PM_COLUMN_CATEGORY:
			slot->code_at = frame->code_width++;
			init_dictionary(builder, &column->dictionary, model);
			break;
		case PM_COLUMN_SET:
			slot->set_at = frame->set_count++;
			init_dictionary(builder, &column->dictionary, model);
			break;
		case PM_COLUMN_VECTOR:
			/* 0 until the first one is seen */
			column->length = model == NULL ? 0 : model->length;
			slot->dense_at = frame->dense_width;
			frame->dense_width += column->length;
			break;
	}
}

/* A multi-valued column's arrays start with one offset. */
static void
init_sets(PmFrameBuilder *builder)
{
	PmFrame    *frame = builder->frame;

	pm_frame_check(builder, pm_alloc_zero(builder->ctx, "frame", frame->set_count,
								 sizeof(PmFrameSet), &frame->sets));
	for (int i = 0; i < builder->spec.column_count; i++)
	{
		PmFrameSet *set;

		if (builder->slots[i].set_at < 0)
			continue;
		set = &frame->sets[builder->slots[i].set_at];
		set->column = i;
		pm_frame_check(builder, pm_reserve(builder->ctx, "frame", 1, sizeof(int64_t),
								  &set->offsets, &set->offsets_capacity));
		set->offsets[0] = 0;
	}
}

/* The converter of a column that is no feature. */
static void
init_extra(PmFrameBuilder *builder, PmConverter *converter,
		   const PmField *field)
{
	MemoryContext memory = pm_host_memory(builder->ctx);

	pm_converter_init(converter, field, NULL, memory);
	converter->name = MemoryContextStrdup(memory, field->name);
	converter->row = &builder->frame->rows_read;
}

PmFrameBuilder *
pm_frame_begin(PmContext *ctx, const PmFrameSpec *spec)
{
	PmFrameBuilder *builder;
	PmFrame    *frame;
	MemoryContext memory = pm_host_memory(ctx);

	builder = MemoryContextAllocZero(memory, sizeof(PmFrameBuilder));
	frame = MemoryContextAllocZero(memory, sizeof(PmFrame));
	frame->schema = MemoryContextAllocZero(memory, sizeof(PmSchema));
	builder->ctx = ctx;
	builder->frame = frame;
	builder->spec = *spec;
	builder->slots = MemoryContextAllocZero(memory,
											Max(1, spec->column_count) * sizeof(ColumnSlot));
	frame->schema->column_count = spec->column_count;
	frame->schema->columns = MemoryContextAllocZero(memory,
													Max(1, spec->column_count) * sizeof(PmColumn));
	for (int i = 0; i < spec->column_count; i++)
		init_column(builder, i);
	init_sets(builder);
	if (spec->weight != NULL)
	{
		init_extra(builder, &builder->weight, spec->weight);
		pm_weight_check_type(&builder->weight);
	}
	if (spec->label != NULL)
	{
		pm_label_check_type(spec->label);
		init_extra(builder, &builder->label, spec->label);
	}
	if (spec->time != NULL)
	{
		pm_moment_check_type(spec->time);
		init_extra(builder, &builder->time, spec->time);
	}
	return builder;
}

/* Room for one more row in every array. */
static void
reserve_row(PmFrameBuilder *builder)
{
	PmFrame    *frame = builder->frame;
	PmContext  *ctx = builder->ctx;
	size_t		rows = frame->n + 1;
	size_t		capacity;

	if (frame->dense_width > 0)
		pm_frame_check(builder, pm_reserve(ctx, "the rows' numbers", rows,
								  frame->dense_width * sizeof(float),
								  &frame->dense, &builder->dense_capacity));
	if (frame->code_width > 0)
		pm_frame_check(builder, pm_reserve(ctx, "the rows' categories", rows,
								  frame->code_width * sizeof(int32_t),
								  &frame->codes, &builder->code_capacity));
	if (builder->spec.weight != NULL)
		pm_frame_check(builder, pm_reserve(ctx, "the rows' weights", rows,
								  sizeof(float), &frame->weights,
								  &builder->weight_capacity));
	if (builder->spec.label != NULL)
		pm_frame_check(builder, pm_reserve(ctx, "the rows' labels", rows,
										   sizeof(uint8_t), &frame->labels,
										   &builder->label_capacity));
	if (builder->spec.time != NULL)
		pm_frame_check(builder, pm_reserve(ctx, "the rows' times", rows,
										   sizeof(double), &frame->times,
										   &builder->time_capacity));
	if (builder->spec.ids != NULL)
		pm_frame_check(builder, pm_reserve(ctx, "the rows' places", rows,
								  sizeof(int64_t), &frame->ordinals,
								  &builder->ordinal_capacity));
	capacity = SIZE_MAX;
	if (frame->dense_width > 0)
		capacity = Min(capacity, builder->dense_capacity);
	if (frame->code_width > 0)
		capacity = Min(capacity, builder->code_capacity);
	if (builder->spec.weight != NULL)
		capacity = Min(capacity, builder->weight_capacity);
	if (builder->spec.label != NULL)
		capacity = Min(capacity, builder->label_capacity);
	if (builder->spec.time != NULL)
		capacity = Min(capacity, builder->time_capacity);
	if (builder->spec.ids != NULL)
		capacity = Min(capacity, builder->ordinal_capacity);
	builder->capacity = Min(capacity, INT64_MAX);
}

/*
 * The length of a vector column shows with its first value: widen the rows
 * that are there already, from the last one back.
 */
static void
widen_rows(PmFrameBuilder *builder, ColumnSlot *slot, int length)
{
	PmFrame    *frame = builder->frame;
	int			old_width = frame->dense_width;
	int			new_width = old_width + length;
	int			at = slot->dense_at;
	size_t		old_bytes = old_width * sizeof(float);
	float	   *wide = NULL;
	size_t		capacity = 0;

	pm_frame_check(builder, pm_reserve(builder->ctx, "the rows' numbers", frame->n + 1,
							  new_width * sizeof(float), &wide, &capacity));
	for (int64_t row = 0; row <= frame->n; row++)
	{
		float	   *to = wide + row * new_width;

		if (old_bytes > 0)
		{
			const float *from = frame->dense + row * old_width;

			memcpy(to, from, at * sizeof(float));
			memcpy(to + at + length, from + at, (old_width - at) * sizeof(float));
		}
		for (int i = 0; i < length; i++)
			to[at + i] = NAN;
	}
	pm_release(builder->ctx, frame->dense);
	frame->dense = wide;
	builder->dense_capacity = capacity;
	frame->dense_width = new_width;
	slot->column->length = length;
	for (int i = 0; i < builder->spec.column_count; i++)
		if (&builder->slots[i] != slot && builder->slots[i].dense_at >= at &&
			&builder->slots[i] > slot)
			builder->slots[i].dense_at += length;
	reserve_row(builder);
}

static void
refuse_categories(PmFrameBuilder *builder, const PmColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("column \"%s\" has more than %d distinct categories",
					column->name, builder->spec.max_categories),
			 errhint("Each one becomes a feature. Leave the column out if it is an identifier, group rare values in a view, or raise the option \"max_categories\".")));
}

static int32_t
category_code(PmFrameBuilder *builder, PmColumn *column, const char *string,
			  size_t length)
{
	int32_t		code;

	if (builder->spec.hash_categories)
		return pm_category_hash(string, length);
	pm_frame_check(builder, pm_dictionary_add(builder->ctx, &column->dictionary, string,
									 length, &code));
	if (column->dictionary.count > builder->spec.max_categories)
		refuse_categories(builder, column);
	return code;
}

static void
add_set(PmFrameBuilder *builder, ColumnSlot *slot, Datum value, bool isnull)
{
	PmFrame    *frame = builder->frame;
	PmFrameSet *set = &frame->sets[slot->set_at];
	int64_t		used = set->offsets[frame->n];
	const char **strings;
	size_t	   *lengths;
	int			count = 0;

	if (!isnull)
		count = pm_convert_set(&slot->converter, value, &strings, &lengths);
	pm_frame_check(builder, pm_reserve(builder->ctx, "the rows' sets", used + count,
							  sizeof(int32_t), &set->codes,
							  &set->codes_capacity));
	pm_frame_check(builder, pm_reserve(builder->ctx, "the rows' sets", frame->n + 2,
							  sizeof(int64_t), &set->offsets,
							  &set->offsets_capacity));
	for (int i = 0; i < count; i++)
		set->codes[used++] = category_code(builder, slot->column, strings[i],
										   lengths[i]);
	set->offsets[frame->n + 1] = used;
}

static void
add_vector(PmFrameBuilder *builder, ColumnSlot *slot, Datum value,
		   bool isnull)
{
	PmFrame    *frame = builder->frame;
	PmColumn   *column = slot->column;
	float	   *elements = NULL;
	float	   *to;
	int			length;

	if (!isnull)
	{
		length = pm_convert_vector(&slot->converter, value, &elements);
		if (column->length == 0)
			widen_rows(builder, slot, length);
		if (length != column->length)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("column \"%s\" has vectors of %d and of %d elements",
							column->name, column->length, length)));
	}
	to = frame->dense + frame->n * frame->dense_width + slot->dense_at;
	for (int i = 0; i < column->length; i++)
		to[i] = isnull ? NAN : elements[i];
}

static void
add_time(PmFrameBuilder *builder, ColumnSlot *slot, Datum value, bool isnull)
{
	PmFrame    *frame = builder->frame;
	float	   *dense = frame->dense + frame->n * frame->dense_width;
	int32_t    *codes = frame->codes + frame->n * frame->code_width;
	int			weekday = PM_CODE_NULL;
	int			hour = PM_CODE_NULL;

	dense[slot->dense_at] = isnull ? NAN :
		(float) pm_convert_time(&slot->converter, value, &weekday, &hour);
	codes[slot->code_at] = weekday;
	if (slot->converter.class == PM_COLUMN_TIME)
		codes[slot->code_at + 1] = hour;
}

static void
add_category(PmFrameBuilder *builder, ColumnSlot *slot, Datum value,
			 bool isnull)
{
	PmFrame    *frame = builder->frame;
	int32_t    *codes = frame->codes + frame->n * frame->code_width;
	int32_t		code = PM_CODE_NULL;

	if (!isnull)
	{
		size_t		length;
		const char *string = pm_convert_string(&slot->converter, value, &length);

		code = category_code(builder, slot->column, string, length);
	}
	codes[slot->code_at] = code;
}

/* Store the row's weight; false when the row does not count. */
static bool
add_weight(PmFrameBuilder *builder, Datum value, bool isnull)
{
	float		weight = pm_convert_weight(&builder->weight, value, isnull);

	builder->frame->weights[builder->frame->n] = weight;
	return weight > 0;
}

void
pm_frame_add(PmFrameBuilder *builder, Datum *values, bool *nulls)
{
	PmFrame    *frame = builder->frame;
	int			columns = builder->spec.column_count;
	int			extra = columns;
	int			null_count = 0;
	float	   *dense;

	frame->rows_read++;
	if (builder->spec.ids != NULL)
	{
		int			id = columns + (builder->spec.weight != NULL) +
			(builder->spec.label != NULL) + (builder->spec.time != NULL);

		pm_ids_add(builder->spec.ids, values[id], nulls[id]);
	}
	if (unlikely(frame->n >= builder->capacity))
		reserve_row(builder);
	if (builder->spec.weight != NULL)
	{
		if (!add_weight(builder, values[extra], nulls[extra]))
		{
			frame->skipped_weight++;
			return;
		}
		extra++;
	}
	if (builder->spec.label != NULL)
	{
		if (nulls[extra])
		{
			frame->skipped_label++;
			return;
		}
		frame->labels[frame->n] = pm_convert_label(&builder->label, values[extra]);
		extra++;
	}
	if (builder->spec.time != NULL)
		frame->times[frame->n] = nulls[extra] ? -INFINITY :
			pm_convert_moment(&builder->time, values[extra]);
	for (int i = 0; i < columns; i++)
		null_count += nulls[i];
	if (unlikely(null_count > 0))
	{
		if (null_count == columns)
		{
			frame->skipped_null++;
			return;
		}
		if (builder->spec.skip_incomplete)
		{
			frame->skipped_incomplete++;
			return;
		}
	}
	for (int i = 0; i < columns; i++)
	{
		ColumnSlot *slot = &builder->slots[i];

		if (likely(slot->converter.type == FLOAT8OID && !nulls[i]))
		{
			dense = frame->dense + frame->n * frame->dense_width;
			dense[slot->dense_at] = pm_convert_float8(&slot->converter,
													  DatumGetFloat8(values[i]));
			continue;
		}
		slot->column->nulls += nulls[i];
		switch (slot->converter.class)
		{
			case PM_COLUMN_NUMBER:
			case PM_COLUMN_INTERVAL:
				dense = frame->dense + frame->n * frame->dense_width;
				dense[slot->dense_at] = nulls[i] ? NAN :
					pm_convert_number(&slot->converter, values[i]);
				break;
			case PM_COLUMN_TIME:
			case PM_COLUMN_DATE:
				add_time(builder, slot, values[i], nulls[i]);
				break;
			case PM_COLUMN_CATEGORY:
				add_category(builder, slot, values[i], nulls[i]);
				break;
			case PM_COLUMN_SET:
				add_set(builder, slot, values[i], nulls[i]);
				break;
			case PM_COLUMN_VECTOR:
				add_vector(builder, slot, values[i], nulls[i]);
				break;
		}
	}
	if (builder->spec.ids != NULL)
		frame->ordinals[frame->n] = frame->rows_read - 1;
	frame->n++;
}

static void
add_scanned_row(void *argument, Datum *values, bool *nulls)
{
	pm_frame_add(argument, values, nulls);
}

PmFrame *
pm_frame_read(PmContext *ctx, const PmSource *source, const PmFrameSpec *spec,
			  const int *columns, int id_column)
{
	PmFrameBuilder *builder = pm_frame_begin(ctx, spec);
	int			count = spec->column_count;
	int		   *wanted = palloc((count + 4) * sizeof(int));

	memcpy(wanted, columns, count * sizeof(int));
	if (spec->weight != NULL)
		wanted[count++] = (int) (spec->weight - source->fields);
	if (spec->label != NULL)
		wanted[count++] = (int) (spec->label - source->fields);
	if (spec->time != NULL)
		wanted[count++] = (int) (spec->time - source->fields);
	if (spec->ids != NULL)
		wanted[count++] = id_column;
	pm_source_scan(source, wanted, count, spec->row_limit, add_scanned_row, builder);
	pfree(wanted);
	return pm_frame_finish(builder);
}
