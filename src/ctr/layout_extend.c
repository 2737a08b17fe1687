/*
 * layout_extend.c
 *		A layout goes on: new categories, values and combinations get indexes,
 *		and each old index has a place among them.
 *
 * Parts and fields stay as they are.  In a part, new indexes come after the
 * old ones, and those for rare categories and for NULL after them all.
 */
#include "layout_count.h"

#include <limits.h>
#include <string.h>

typedef struct Extension
{
	PmContext  *ctx;
	const CtrTable *table;
	const CtrLayoutOptions *options;
	const CtrLayout *previous;
	CtrLayout  *layout;
	int32_t   **moved;			/* by part: the new index of each old one */
} Extension;

/* Indexes of a part besides those for rare categories and NULL. */
static int32_t
plain_size(const CtrPart *part)
{
	return part->size - (part->rare >= 0) - (part->null >= 0);
}

/* The end of a part's indexes: rare and NULL where old or new rows need them. */
static void
close_part(const CtrPart *old, CtrPart *part, int32_t *moved, bool rare,
		   bool null)
{
	part->rare = rare || old->rare >= 0 ? part->size++ : -1;
	part->null = null || old->null >= 0 ? part->size++ : -1;
	if (old->rare >= 0)
		moved[old->rare] = part->rare;
	if (old->null >= 0)
		moved[old->null] = part->null;
}

/* Categories that the old rows had too rarely may have enough rows now. */
static PmStatus
extend_category(Extension *extension, const CtrPart *old, CtrPart *part,
				int32_t *moved)
{
	PmContext  *ctx = extension->ctx;
	int64_t    *counts;
	int64_t		nulls;
	bool		rare = false;

	part->code_count = extension->table->schema->columns[part->column].dictionary.count;
	part->code_of = NULL;
	part->size = plain_size(old);
	PM_TRY(pm_alloc(ctx, "the layout", part->code_count, sizeof(int32_t), &part->index_of));
	PM_TRY(pm_ctr_count_codes(ctx, extension->table, part, &counts, &nulls));
	for (int32_t code = 0; code < part->code_count; code++)
	{
		int32_t		index = code < old->code_count ? old->index_of[code] : -1;

		if (index < 0 || index == old->rare)
			index = counts[code] > 0 && counts[code] >= extension->options->min_frequency ?
				part->size++ : -1;
		rare |= index < 0 && counts[code] > 0;
		part->index_of[code] = index;
	}
	pm_release(ctx, counts);
	close_part(old, part, moved, rare, nulls > 0);
	for (int32_t code = 0; code < part->code_count; code++)
		if (part->index_of[code] < 0)
			part->index_of[code] = part->rare;
	return PM_OK;
}

/* The old values and the new ones, merged; old ones move among them. */
static PmStatus
merge_values(Extension *extension, const CtrPart *old, CtrPart *part,
			 const float *values, int64_t count, int32_t *moved)
{
	int64_t		i = 0;
	int64_t		j = 0;
	int64_t		size = 0;

	PM_TRY(pm_alloc(extension->ctx, "the layout", old->bound_count + count, sizeof(float),
					&part->bounds));
	while (i < old->bound_count || j < count)
	{
		bool		from_old = i < old->bound_count &&
			(j == count || old->bounds[i] <= values[j]);

		if (from_old && j < count && old->bounds[i] == values[j])
			j++;
		if (from_old)
			moved[i] = (int32_t) size;
		part->bounds[size++] = from_old ? old->bounds[i++] : values[j++];
	}
	if (size > extension->options->max_values)
		return pm_fail(extension->ctx, PM_TOO_LARGE,
					   "column \"%s\" has %lld distinct values, too many to take each as a category (%d)",
					   extension->table->schema->columns[part->column].name,
					   (long long) size, extension->options->max_values);
	part->bound_count = part->size = (int32_t) size;
	return PM_OK;
}

static PmStatus
extend_bins(Extension *extension, const CtrPart *old, CtrPart *part,
			int32_t *moved)
{
	PmContext  *ctx = extension->ctx;
	float	   *values;
	int64_t		count;
	int64_t		kept;
	bool		missing;
	bool		rare;

	PM_TRY(pm_ctr_sorted_values(ctx, extension->table, part->at, INT64_MAX, &values,
								&count, &missing));
	part->size = plain_size(old);
	if (part->transform == CTR_QUANTILE)
	{
		pm_release(ctx, values);
		close_part(old, part, moved, false, missing);
		return PM_OK;
	}
	kept = pm_ctr_distinct_values(values, count, extension->options->min_frequency, &rare);
	PM_TRY(merge_values(extension, old, part, values, kept, moved));
	pm_release(ctx, values);
	close_part(old, part, moved, rare, missing);
	return PM_OK;
}

/* An old combination in terms of its members' new indexes. */
static uint64_t
move_key(const Extension *extension, const CtrPart *old, uint64_t key)
{
	const CtrLayout *previous = extension->previous;
	int32_t		indexes[CTR_MAX_MEMBERS];
	uint64_t	result = 0;

	for (int j = old->member_count - 1; j >= 0; j--)
	{
		uint64_t	base = (uint64_t) previous->parts[old->members[j]].size + 1;

		indexes[j] = (int32_t) (key % base) - 1;
		key /= base;
	}
	for (int j = 0; j < old->member_count; j++)
	{
		int32_t		member = old->members[j];
		int32_t		index = indexes[j] < 0 ? -1 : extension->moved[member][indexes[j]];

		result = result * ((uint64_t) extension->layout->parts[member].size + 1) +
			(uint64_t) (index + 1);
	}
	return result;
}

static int64_t
place_of_key(const uint64_t *keys, int64_t count, uint64_t key)
{
	int64_t		low = 0;

	while (low < count)
	{
		int64_t		middle = low + (count - low) / 2;

		if (keys[middle] < key)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

static PmStatus
extend_cross(Extension *extension, const CtrPart *old, CtrPart *part,
			 int32_t *moved)
{
	PmContext  *ctx = extension->ctx;
	uint64_t   *found;
	uint64_t   *olds;
	int64_t		found_count;
	int64_t		size = 0;
	int64_t		i = 0;
	int64_t		j = 0;
	bool		rare;

	PM_TRY(pm_ctr_cross_keys(ctx, extension->layout, extension->table, part,
							 extension->options->min_frequency, &found, &found_count, &rare));
	PM_TRY(pm_alloc(ctx, "the layout", old->key_count, sizeof(uint64_t), &olds));
	PM_TRY(pm_alloc(ctx, "the layout", old->key_count + found_count, sizeof(uint64_t), &part->keys));
	for (int32_t k = 0; k < old->key_count; k++)
		olds[k] = move_key(extension, old, old->keys[k]);
	PM_TRY(pm_ctr_sort_keys(ctx, olds, old->key_count));
	while (i < old->key_count || j < found_count)
	{
		bool		from_old = i < old->key_count && (j == found_count || olds[i] <= found[j]);

		if (from_old && j < found_count && olds[i] == found[j])
			j++;
		part->keys[size++] = from_old ? olds[i++] : found[j++];
	}
	if (size >= INT32_MAX - 1)
		return pm_fail(ctx, PM_TOO_LARGE, "a cross has too many combinations");
	for (int32_t k = 0; k < old->key_count; k++)
		moved[k] = (int32_t) place_of_key(part->keys, size,
										  move_key(extension, old, old->keys[k]));
	part->key_count = part->size = (int32_t) size;
	close_part(old, part, moved, rare, false);
	pm_release(ctx, olds);
	pm_release(ctx, found);
	return PM_OK;
}

static PmStatus
extend_part(Extension *extension, int i)
{
	const CtrPart *old = &extension->previous->parts[i];
	CtrPart    *part = &extension->layout->parts[i];
	int32_t    *moved;
	bool		nulls;

	PM_TRY(pm_alloc(extension->ctx, "the layout", old->size, sizeof(int32_t), &moved));
	extension->moved[i] = moved;
	for (int32_t index = 0; index < old->size; index++)
		moved[index] = index;
	*part = *old;
	pm_ctr_part_place(extension->table->schema, part);
	if (extension->layout->hashed)
		return PM_OK;
	switch (part->kind)
	{
		case CTR_NUMBER:
		case CTR_MISSING:
			return PM_OK;
		case CTR_BINS:
			return extend_bins(extension, old, part, moved);
		case CTR_WEEKDAY:
		case CTR_HOUR:
			PM_TRY(pm_ctr_has_nulls(extension->ctx, extension->table, part, &nulls));
			part->size = plain_size(old);
			close_part(old, part, moved, false, nulls);
			return PM_OK;
		case CTR_CATEGORY:
		case CTR_SET:
			return extend_category(extension, old, part, moved);
		case CTR_CROSS:
			return extend_cross(extension, old, part, moved);
	}
	return PM_OK;
}

PmStatus
pm_ctr_layout_extend(PmContext *ctx, const CtrTable *table,
					 const CtrLayoutOptions *options,
					 const CtrLayout *previous, CtrLayout *layout,
					 int32_t **moved)
{
	Extension	extension = {.ctx = ctx,.table = table,.options = options,
		.previous = previous,.layout = layout};

	*layout = *previous;
	*moved = NULL;
	PM_TRY(pm_alloc(ctx, "the layout", previous->part_count, sizeof(CtrPart), &layout->parts));
	PM_TRY(pm_alloc(ctx, "the layout", previous->part_count, sizeof(int32_t *), &extension.moved));
	for (int i = 0; i < previous->part_count; i++)
		PM_TRY(extend_part(&extension, i));
	PM_TRY(pm_ctr_layout_number(ctx, table->schema, layout));
	if (layout->hashed)
		return PM_OK;
	PM_TRY(pm_alloc(ctx, "the layout", previous->coefficient_count, sizeof(int32_t), moved));
	for (int i = 0; i < previous->part_count; i++)
	{
		const CtrPart *old = &previous->parts[i];

		for (int32_t index = 0; old->visible && index < old->size; index++)
			(*moved)[old->first + index] = layout->parts[i].first + extension.moved[i][index];
	}
	return PM_OK;
}
