/*
 * layout_bytes.c
 *		A layout as bytes of a model, and back from bytes that anyone may have
 *		written.
 */
#include "layout.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "pm_bytes.h"

#define LAYOUT_VERSION 1
#define MAX_PARTS 65536
#define MAX_SIZE (INT32_MAX / 2)

/* ---- writing ---------------------------------------------------------- */

static void
put_part(PmByteWriter *writer, const CtrPart *part)
{
	pm_put_u32(writer, part->kind);
	pm_put_u32(writer, part->visible);
	pm_put(writer, &part->column, sizeof(int32_t));
	pm_put_u32(writer, part->size);
	pm_put_u32(writer, part->transform);
	pm_put(writer, &part->rare, sizeof(int32_t));
	pm_put(writer, &part->null, sizeof(int32_t));
	if (part->kind == CTR_NUMBER)
	{
		pm_put(writer, part->shift, part->size * sizeof(double));
		pm_put(writer, part->scale, part->size * sizeof(double));
		pm_put(writer, part->impute, part->size * sizeof(float));
	}
	pm_put_u32(writer, part->bound_count);
	pm_put(writer, part->bounds, part->bound_count * sizeof(float));
	pm_put_u32(writer, part->code_count);
	pm_put(writer, part->index_of, part->code_count * sizeof(int32_t));
	pm_put_u32(writer, part->member_count);
	pm_put(writer, part->members, part->member_count * sizeof(int32_t));
	pm_put_u32(writer, part->key_count);
	pm_put(writer, part->keys, part->key_count * sizeof(uint64_t));
}

static void
put_layout(PmByteWriter *writer, const CtrLayout *layout)
{
	pm_put_u32(writer, LAYOUT_VERSION);
	pm_put_u32(writer, layout->hashed);
	pm_put_u32(writer, layout->hash_bits);
	pm_put_u32(writer, layout->part_count);
	for (int i = 0; i < layout->part_count; i++)
		put_part(writer, &layout->parts[i]);
}

PmStatus
pm_ctr_layout_write(PmContext *ctx, const CtrLayout *layout, void **bytes,
					size_t *size)
{
	PmByteWriter counter = {NULL, 0};
	PmByteWriter writer = {NULL, 0};

	put_layout(&counter, layout);
	PM_TRY(pm_alloc(ctx, "the layout", counter.used, 1, &writer.bytes));
	put_layout(&writer, layout);
	*bytes = writer.bytes;
	*size = writer.used;
	return PM_OK;
}

/* ---- reading ---------------------------------------------------------- */

static PmStatus
take_index(PmByteReader *reader, int32_t *index, int32_t size)
{
	PM_TRY(pm_take(reader, index, sizeof(*index)));
	if (*index < -1 || *index >= size)
		return pm_corrupt(reader->ctx, "an index of its layout is out of range");
	return PM_OK;
}

/* The shift, scale and impute of a number's elements. */
static PmStatus
take_numbers(PmByteReader *reader, CtrPart *part)
{
	PM_TRY(pm_take_array(reader, "the layout", part->size, sizeof(double), &part->shift));
	PM_TRY(pm_take_array(reader, "the layout", part->size, sizeof(double), &part->scale));
	PM_TRY(pm_take_array(reader, "the layout", part->size, sizeof(float), &part->impute));
	for (int j = 0; j < part->size; j++)
		if (!isfinite(part->shift[j]) || !isfinite(part->scale[j]) ||
			!isfinite(part->impute[j]))
			return pm_corrupt(reader->ctx, "a scale of its layout is not finite");
	return PM_OK;
}

static PmStatus
take_bounds(PmByteReader *reader, CtrPart *part)
{
	uint32_t	count;

	PM_TRY(pm_take_u32(reader, &count, MAX_SIZE, "its layout has too many bounds"));
	PM_TRY(pm_take_array(reader, "the layout", count, sizeof(float), &part->bounds));
	part->bound_count = (int32_t) count;
	for (uint32_t i = 0; i < count; i++)
		if (!isfinite(part->bounds[i]) ||
			(i > 0 && part->bounds[i] <= part->bounds[i - 1]))
			return pm_corrupt(reader->ctx, "the bounds of its layout do not increase");
	return PM_OK;
}

static PmStatus
take_codes(PmByteReader *reader, CtrPart *part)
{
	uint32_t	count;

	PM_TRY(pm_take_u32(reader, &count, MAX_SIZE, "its layout has too many categories"));
	PM_TRY(pm_take_array(reader, "the layout", count, sizeof(int32_t), &part->index_of));
	part->code_count = (int32_t) count;
	for (uint32_t i = 0; i < count; i++)
		if (part->index_of[i] < -1 || part->index_of[i] >= part->size)
			return pm_corrupt(reader->ctx, "an index of its layout is out of range");
	return PM_OK;
}

/* Members come before the cross and give one index a row each. */
static PmStatus
take_members(PmByteReader *reader, const CtrLayout *layout, int self,
			 CtrPart *part)
{
	uint32_t	count;
	uint64_t	product = 1;

	PM_TRY(pm_take_u32(reader, &count, CTR_MAX_MEMBERS, "a cross of its layout has too many members"));
	part->member_count = (int32_t) count;
	PM_TRY(pm_take(reader, part->members, count * sizeof(int32_t)));
	for (uint32_t j = 0; j < count; j++)
	{
		int32_t		i = part->members[j];

		if (i < 0 || i >= self || layout->parts[i].kind == CTR_NUMBER ||
			layout->parts[i].kind == CTR_SET || layout->parts[i].kind == CTR_CROSS)
			return pm_corrupt(reader->ctx, "a cross of its layout has a member that it cannot have");
		if (__builtin_mul_overflow(product, (uint64_t) layout->parts[i].size + 1, &product))
			return pm_corrupt(reader->ctx, "a cross of its layout has too many combinations");
	}
	PM_TRY(pm_take_u32(reader, &count, MAX_SIZE, "a cross of its layout has too many combinations"));
	PM_TRY(pm_take_array(reader, "the layout", count, sizeof(uint64_t), &part->keys));
	part->key_count = (int32_t) count;
	for (uint32_t i = 0; i < count; i++)
		if (part->keys[i] >= product || (i > 0 && part->keys[i] <= part->keys[i - 1]))
			return pm_corrupt(reader->ctx, "the combinations of a cross are not in order");
	return PM_OK;
}

/* The class that a part's column must have. */
static bool
fits_column(const CtrPart *part, const PmColumn *column)
{
	bool		is_time = column->class == PM_COLUMN_TIME || column->class == PM_COLUMN_DATE;
	bool		is_number = column->class == PM_COLUMN_NUMBER ||
		column->class == PM_COLUMN_INTERVAL;

	switch (part->kind)
	{
		case CTR_NUMBER:
			return column->class == PM_COLUMN_VECTOR ? part->size == column->length :
				part->size == 1 && (is_number || is_time);
		case CTR_MISSING:
			return is_number || is_time ||
				(column->class == PM_COLUMN_VECTOR && column->length > 0);
		case CTR_BINS:
			return is_number;
		case CTR_WEEKDAY:
			return is_time;
		case CTR_HOUR:
			return column->class == PM_COLUMN_TIME;
		case CTR_CATEGORY:
			return column->class == PM_COLUMN_CATEGORY;
		case CTR_SET:
			return column->class == PM_COLUMN_SET;
		case CTR_CROSS:
			break;
	}
	return false;
}

/* Which transforms a part knows. */
static bool
fits_transform(const CtrPart *part)
{
	bool		bins = part->transform == CTR_QUANTILE || part->transform == CTR_VALUES;

	return part->kind == CTR_BINS ? bins : !bins;
}

/* How many indexes a part must have besides rare and NULL. */
static int64_t
proper_size(const CtrPart *part)
{
	switch (part->kind)
	{
		case CTR_NUMBER:
			return part->size;
		case CTR_MISSING:
			return 1;
		case CTR_BINS:
			return part->bound_count + (part->transform == CTR_QUANTILE);
		case CTR_WEEKDAY:
			return PM_WEEKDAYS;
		case CTR_HOUR:
			return PM_HOURS;
		case CTR_CROSS:
			return part->key_count;
		case CTR_CATEGORY:
		case CTR_SET:
			break;
	}
	return part->size - (part->rare >= 0) - (part->null >= 0);
}

/* Rare and NULL come last, in that order. */
static PmStatus
check_part(PmByteReader *reader, const PmSchema *schema,
		   const CtrLayout *layout, const CtrPart *part)
{
	int64_t		size = proper_size(part);

	if (part->kind != CTR_CROSS && !fits_column(part, &schema->columns[part->column]))
		return pm_corrupt(reader->ctx, "a part of its layout does not fit its column");
	if (!fits_transform(part))
		return pm_corrupt(reader->ctx, "a part of its layout does not fit its transform");
	if (part->code_count != 0 &&
		(part->kind == CTR_CROSS ||
		 part->code_count != schema->columns[part->column].dictionary.count))
		return pm_corrupt(reader->ctx, "a part of its layout does not fit its dictionary");
	if (layout->hashed && part->size == 0)
		return PM_OK;			/* any value has a hash */
	if (part->rare >= 0 && part->rare != size++)
		return pm_corrupt(reader->ctx, "a part of its layout has a wrong size");
	if (part->null >= 0 && part->null != size++)
		return pm_corrupt(reader->ctx, "a part of its layout has a wrong size");
	if (size != part->size)
		return pm_corrupt(reader->ctx, "a part of its layout has a wrong size");
	return PM_OK;
}

static PmStatus
take_part(PmByteReader *reader, const PmSchema *schema, CtrLayout *layout,
		  int self)
{
	CtrPart    *part = &layout->parts[self];
	uint32_t	kind;
	uint32_t	visible;
	uint32_t	size;
	uint32_t	transform;

	PM_TRY(pm_take_u32(reader, &kind, CTR_CROSS, "a part of its layout is of an unknown kind"));
	PM_TRY(pm_take_u32(reader, &visible, 1, "a part of its layout is of an unknown kind"));
	PM_TRY(pm_take(reader, &part->column, sizeof(int32_t)));
	PM_TRY(pm_take_u32(reader, &size, MAX_SIZE, "a part of its layout is too large"));
	PM_TRY(pm_take_u32(reader, &transform, CTR_VALUES, "a transform of its layout is unknown"));
	part->kind = kind;
	part->visible = visible;
	part->size = (int32_t) size;
	part->transform = transform;
	if (part->kind == CTR_CROSS ? part->column != -1 :
		part->column < 0 || part->column >= schema->column_count)
		return pm_corrupt(reader->ctx, "a part of its layout has no column");
	PM_TRY(take_index(reader, &part->rare, part->size));
	PM_TRY(take_index(reader, &part->null, part->size));
	if (part->kind == CTR_NUMBER)
		PM_TRY(take_numbers(reader, part));
	PM_TRY(take_bounds(reader, part));
	PM_TRY(take_codes(reader, part));
	PM_TRY(take_members(reader, layout, self, part));
	pm_ctr_part_place(schema, part);
	return check_part(reader, schema, layout, part);
}

/* A row's entries have room for each member of a set once. */
static PmStatus
check_sets(PmContext *ctx, const PmSchema *schema, const CtrLayout *layout)
{
	bool	   *taken;

	PM_TRY(pm_alloc_zero(ctx, "the layout", schema->column_count, sizeof(bool), &taken));
	for (int i = 0; i < layout->part_count; i++)
	{
		const CtrPart *part = &layout->parts[i];

		if (part->kind != CTR_SET)
			continue;
		if (taken[part->column])
			return pm_corrupt(ctx, "a set has two parts of its layout");
		taken[part->column] = true;
	}
	pm_release(ctx, taken);
	return PM_OK;
}

PmStatus
pm_ctr_layout_read(PmContext *ctx, const PmSchema *schema, const void *bytes,
				   size_t size, CtrLayout *layout)
{
	PmByteReader reader = {ctx, bytes, size};
	uint32_t	version;
	uint32_t	hashed;
	uint32_t	bits;
	uint32_t	parts;

	memset(layout, 0, sizeof(*layout));
	PM_TRY(pm_take_u32(&reader, &version, UINT32_MAX, ""));
	if (version != LAYOUT_VERSION)
		return pm_corrupt(ctx, "its layout has an unknown version");
	PM_TRY(pm_take_u32(&reader, &hashed, 1, "its layout is of an unknown kind"));
	PM_TRY(pm_take_u32(&reader, &bits, CTR_MAX_HASH_BITS, "its hashes have too many bits"));
	PM_TRY(pm_take_u32(&reader, &parts, MAX_PARTS, "its layout has too many parts"));
	if (hashed && bits < 1)
		return pm_corrupt(ctx, "its hashes have no bits");
	layout->hashed = hashed;
	layout->hash_bits = (int) bits;
	PM_TRY(pm_alloc_zero(ctx, "the layout", parts, sizeof(CtrPart), &layout->parts));
	layout->part_count = (int) parts;
	for (uint32_t i = 0; i < parts; i++)
		PM_TRY(take_part(&reader, schema, layout, (int) i));
	if (reader.left != 0)
		return pm_corrupt(ctx, "its layout is followed by other bytes");
	PM_TRY(check_sets(ctx, schema, layout));
	return pm_ctr_layout_number(ctx, schema, layout);
}
