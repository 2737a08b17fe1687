/*
 * layout_make.c
 *		Decides on the fields of a click model by its training rows.
 */
#include "layout_count.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "pm_hash.h"

/* Quantiles are those of a sample of so many rows; the rows are in hash order. */
#define QUANTILE_SAMPLE (1 << 20)

/* The deviation that summing equal numbers may leave, beside their mean. */
#define ROUNDING 1e-9

typedef struct Maker
{
	PmContext  *ctx;
	const CtrTable *table;
	const CtrLayoutOptions *options;
	CtrLayout  *layout;
	size_t		capacity;		/* of layout->parts */
} Maker;

/* A new part of a column. */
static PmStatus
add_part(Maker *maker, CtrPartKind kind, int column, CtrPart **part)
{
	CtrLayout  *layout = maker->layout;

	PM_TRY(pm_reserve(maker->ctx, "the layout", layout->part_count + 1,
					  sizeof(CtrPart), &layout->parts, &maker->capacity));
	*part = &layout->parts[layout->part_count++];
	memset(*part, 0, sizeof(CtrPart));
	(*part)->kind = kind;
	(*part)->visible = true;
	(*part)->column = column;
	(*part)->rare = -1;
	(*part)->null = -1;
	pm_ctr_part_place(maker->table->schema, *part);
	return PM_OK;
}

/* ---- numbers ---------------------------------------------------------- */

static const CtrColumnTransform *
transform_of(const Maker *maker, int column)
{
	for (int i = 0; i < maker->options->transform_count; i++)
		if (maker->options->transforms[i].column == column)
			return &maker->options->transforms[i];
	return NULL;
}

/* What a number is before it is shifted and scaled. */
static inline double
transformed(const CtrPart *part, double value)
{
	return part->transform == CTR_LOG1P ? copysign(log1p(fabs(value)), value) : value;
}

/* Mean of the raw values, for NULL; mean and deviation of the transformed. */
static PmStatus
measure_number(Maker *maker, CtrPart *part, int element, bool *missing)
{
	const CtrTable *table = maker->table;
	const float *value = table->dense + part->at + element;
	double		weight = 0;
	double		raw = 0;
	double		mean = 0;
	double		square = 0;
	double		deviation;

	*missing = false;
	for (int64_t i = 0; i < table->n; i++)
	{
		float		v = value[i * table->dense_width];

		PM_TRY(pm_ctr_check_interrupt(maker->ctx, i));
		if (!pm_ctr_is_training(table, i))
			continue;
		if (isnan(v))
		{
			*missing = true;
			continue;
		}
		weight += pm_ctr_row_weight(table, i);
		raw += pm_ctr_row_weight(table, i) * v;
		mean += pm_ctr_row_weight(table, i) * transformed(part, v);
	}
	part->impute[element] = weight > 0 ? (float) (raw / weight) : 0;
	mean = weight > 0 ? mean / weight : 0;
	for (int64_t i = 0; i < table->n; i++)
	{
		float		v = value[i * table->dense_width];
		double		distance;

		PM_TRY(pm_ctr_check_interrupt(maker->ctx, i));
		if (!pm_ctr_is_training(table, i) || isnan(v))
			continue;
		distance = transformed(part, v) - mean;
		square += pm_ctr_row_weight(table, i) * distance * distance;
	}
	deviation = weight > 0 ? sqrt(square / weight) : 0;
	part->shift[element] = part->transform == CTR_RAW ? 0 : mean;
	part->scale[element] = part->transform == CTR_RAW ? 1 : 1 / deviation;
	if (!(deviation > ROUNDING * fabs(mean) && deviation > DBL_MIN / DBL_EPSILON))
		part->scale[element] = 0;	/* a constant has no influence */
	return PM_OK;
}

/* A flag for rows where a number is NULL. */
static PmStatus
add_missing(Maker *maker, int column)
{
	CtrPart    *part;

	PM_TRY(add_part(maker, CTR_MISSING, column, &part));
	part->size = 1;
	return PM_OK;
}

static PmStatus
add_number(Maker *maker, int column, CtrTransform transform)
{
	const PmColumn *from = &maker->table->schema->columns[column];
	CtrPart    *part;
	bool		any_missing = false;

	if (from->class == PM_COLUMN_VECTOR && from->length == 0)
		return PM_OK;			/* NULL in every row */
	PM_TRY(add_part(maker, CTR_NUMBER, column, &part));
	part->size = from->length;
	part->transform = transform;
	PM_TRY(pm_alloc(maker->ctx, "the layout", part->size, sizeof(double), &part->shift));
	PM_TRY(pm_alloc(maker->ctx, "the layout", part->size, sizeof(double), &part->scale));
	PM_TRY(pm_alloc(maker->ctx, "the layout", part->size, sizeof(float), &part->impute));
	for (int j = 0; j < part->size; j++)
	{
		bool		missing;

		PM_TRY(measure_number(maker, part, j, &missing));
		any_missing |= missing;
	}
	if (any_missing || maker->options->hashed)
		return add_missing(maker, column);
	return PM_OK;
}

/* ---- bins ------------------------------------------------------------- */

/* Bounds between bins of equally many rows, each bound once. */
static int64_t
quantile_bounds(float *values, int64_t count, int bins)
{
	int64_t		kept = 0;

	for (int b = 1; b < bins && count > 0; b++)
	{
		float		bound = values[count * b / bins];

		if (bound > values[0] && (kept == 0 || bound > values[kept - 1]))
			values[kept++] = bound;
	}
	return kept;
}

static PmStatus
add_bins(Maker *maker, int column, CtrTransform transform, int bins,
		 bool visible)
{
	const PmColumn *from = &maker->table->schema->columns[column];
	CtrPart    *part;
	float	   *values;
	int64_t		count;
	int64_t		kept;
	bool		missing;
	bool		rare = false;

	PM_TRY(add_part(maker, CTR_BINS, column, &part));
	part->transform = transform;
	part->visible = visible;
	if (maker->options->hashed && transform == CTR_VALUES)
		return PM_OK;			/* any value has a hash */
	PM_TRY(pm_ctr_sorted_values(maker->ctx, maker->table, part->at,
								transform == CTR_QUANTILE ? QUANTILE_SAMPLE : INT64_MAX,
								&values, &count, &missing));
	if (transform == CTR_QUANTILE)
		kept = quantile_bounds(values, count, bins);
	else
		kept = pm_ctr_distinct_values(values, count, maker->options->min_frequency, &rare);
	if (transform == CTR_VALUES && kept > maker->options->max_values)
		return pm_fail(maker->ctx, PM_TOO_LARGE,
					   "column \"%s\" has %lld distinct values, too many to take each as a category (%d)",
					   from->name, (long long) kept, maker->options->max_values);
	PM_TRY(pm_alloc(maker->ctx, "the layout", kept, sizeof(float), &part->bounds));
	memcpy(part->bounds, values, kept * sizeof(float));
	pm_release(maker->ctx, values);
	part->bound_count = (int32_t) kept;
	part->size = (int32_t) (kept + (transform == CTR_QUANTILE));
	if (rare)
		part->rare = part->size++;
	if (missing)
		part->null = part->size++;
	return PM_OK;
}

/* ---- categories ------------------------------------------------------- */

/*
 * Give an index to each code that is frequent enough in training, in the
 * order of the codes, then one to the rare and one to NULL, where there are
 * such rows.
 */
static PmStatus
index_codes(Maker *maker, CtrPart *part, const int64_t *counts, int64_t nulls)
{
	int64_t		rare = 0;

	PM_TRY(pm_alloc(maker->ctx, "the layout", part->code_count, sizeof(int32_t),
					&part->index_of));
	for (int32_t code = 0; code < part->code_count; code++)
	{
		bool		frequent = counts[code] > 0 &&
			counts[code] >= maker->options->min_frequency;

		part->index_of[code] = frequent ? part->size++ : -1;
		rare += frequent ? 0 : counts[code];
	}
	if (rare > 0)
		part->rare = part->size++;
	for (int32_t code = 0; code < part->code_count; code++)
		if (part->index_of[code] < 0)
			part->index_of[code] = part->rare;
	if (nulls > 0)
		part->null = part->size++;
	return PM_OK;
}

/* A column of categories, one a row or a set. */
static PmStatus
add_category(Maker *maker, CtrPartKind kind, int column)
{
	const CtrTable *table = maker->table;
	CtrPart    *part;
	int64_t    *counts;
	int64_t		nulls;

	PM_TRY(add_part(maker, kind, column, &part));
	if (maker->options->hashed)
		return PM_OK;
	part->code_count = table->schema->columns[column].dictionary.count;
	PM_TRY(pm_ctr_count_codes(maker->ctx, table, part, &counts, &nulls));
	PM_TRY(index_codes(maker, part, counts, nulls));
	pm_release(maker->ctx, counts);
	return PM_OK;
}

/* Weekday or hour of a time. */
static PmStatus
add_calendar(Maker *maker, CtrPartKind kind, int column)
{
	CtrPart    *part;
	bool		nulls;

	PM_TRY(add_part(maker, kind, column, &part));
	PM_TRY(pm_ctr_has_nulls(maker->ctx, maker->table, part, &nulls));
	part->size = kind == CTR_HOUR ? PM_HOURS : PM_WEEKDAYS;
	if (nulls)
		part->null = part->size++;
	return PM_OK;
}

/* ---- crosses ---------------------------------------------------------- */

/* Whether a part gives one index a row and is of the column and kind. */
static bool
can_be_member(const CtrPart *part, const CtrCrossMember *member)
{
	if (part->column != member->column)
		return false;
	if (member->part == CTR_WEEKDAY || member->part == CTR_HOUR)
		return part->kind == member->part;
	return part->kind == CTR_CATEGORY || part->kind == CTR_BINS;
}

/* The part for a member of a cross: one that is there, or a hidden one. */
static PmStatus
find_member(Maker *maker, const CtrCrossMember *member, int32_t *found)
{
	const PmColumn *column = &maker->table->schema->columns[member->column];
	CtrLayout  *layout = maker->layout;

	for (int i = 0; i < layout->part_count; i++)
		if (can_be_member(&layout->parts[i], member))
		{
			*found = i;
			return PM_OK;
		}
	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
			*found = layout->part_count;
			return add_bins(maker, member->column, CTR_VALUES, 0, false);
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			return pm_fail(maker->ctx, PM_INVALID,
						   "column \"%s\" is a time: cross \"%s.weekday\" or \"%s.hour\"",
						   column->name, column->name, column->name);
		default:
			return pm_fail(maker->ctx, PM_INVALID,
						   "column \"%s\" cannot be crossed: it has more than one value a row",
						   column->name);
	}
}

static PmStatus
add_cross(Maker *maker, const CtrCross *cross)
{
	int32_t		members[CTR_MAX_MEMBERS];
	CtrPart    *part;
	int64_t		kept;
	bool		rare;

	for (int j = 0; j < cross->count; j++)
	{
		PM_TRY(find_member(maker, &cross->members[j], &members[j]));
		for (int k = 0; k < j; k++)
			if (members[k] == members[j])
				return pm_fail(maker->ctx, PM_INVALID,
							   "a cross names column \"%s\" twice",
							   maker->table->schema->columns[cross->members[j].column].name);
	}
	PM_TRY(add_part(maker, CTR_CROSS, -1, &part));
	part->member_count = cross->count;
	memcpy(part->members, members, sizeof(members));
	if (maker->options->hashed)
		return PM_OK;
	PM_TRY(pm_ctr_cross_keys(maker->ctx, maker->layout, maker->table, part,
							 maker->options->min_frequency, &part->keys, &kept, &rare));
	part->key_count = part->size = (int32_t) kept;
	if (rare)
		part->rare = part->size++;
	return PM_OK;
}

/* ---- all -------------------------------------------------------------- */

static PmStatus
add_column(Maker *maker, int i)
{
	const PmColumn *column = &maker->table->schema->columns[i];
	const CtrColumnTransform *transform = transform_of(maker, i);

	if (transform != NULL && column->class != PM_COLUMN_NUMBER &&
		column->class != PM_COLUMN_INTERVAL)
		return pm_fail(maker->ctx, PM_INVALID,
					   "column \"%s\" is no number and cannot be transformed", column->name);
	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			if (transform != NULL && (transform->transform == CTR_QUANTILE ||
									  transform->transform == CTR_VALUES))
				return add_bins(maker, i, transform->transform, transform->bins, true);
			return add_number(maker, i, transform != NULL ?
							  transform->transform : CTR_STANDARDIZE);
		case PM_COLUMN_VECTOR:
			return add_number(maker, i, CTR_STANDARDIZE);
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			PM_TRY(add_number(maker, i, CTR_STANDARDIZE));
			PM_TRY(add_calendar(maker, CTR_WEEKDAY, i));
			if (column->class == PM_COLUMN_TIME)
				PM_TRY(add_calendar(maker, CTR_HOUR, i));
			return PM_OK;
		case PM_COLUMN_CATEGORY:
			return add_category(maker, CTR_CATEGORY, i);
		case PM_COLUMN_SET:
			return add_category(maker, CTR_SET, i);
	}
	return PM_OK;
}

PmStatus
pm_ctr_layout_make(PmContext *ctx, const CtrTable *table,
				   const CtrLayoutOptions *options, CtrLayout *layout)
{
	Maker		maker = {.ctx = ctx,.table = table,.options = options,.layout = layout};

	memset(layout, 0, sizeof(*layout));
	layout->hashed = options->hashed;
	layout->hash_bits = options->hash_bits;
	for (int i = 0; i < table->schema->column_count; i++)
		PM_TRY(add_column(&maker, i));
	for (int i = 0; i < options->cross_count; i++)
		PM_TRY(add_cross(&maker, &options->crosses[i]));
	return pm_ctr_layout_number(ctx, table->schema, layout);
}
