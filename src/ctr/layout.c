/*
 * layout.c
 *		Rows through a layout: numbers and indexes of each part.
 *
 * Training (layout_rows.c) and scoring come through the same functions here,
 * so that a row gives the same numbers in both.
 */
#include "layout.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "pm_hash.h"

/* Parts between two looks for interrupts. */
#define CHECK_INTERVAL 256

/* What a hashed part's NULL is hashed as: no category's hash, no number. */
#define NULL_TOKEN UINT64_C(0x8000000000000001)

/* Move the places in a PmRow past those of a column. */
static void
advance(const PmColumn *column, int32_t *dense, int32_t *code,
			   int32_t *set)
{
	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			++*dense;
			break;
		case PM_COLUMN_VECTOR:
			*dense += column->length;
			break;
		case PM_COLUMN_TIME:
			++*dense;
			*code += 2;
			break;
		case PM_COLUMN_DATE:
			++*dense;
			++*code;
			break;
		case PM_COLUMN_CATEGORY:
			++*code;
			break;
		case PM_COLUMN_SET:
			++*set;
			break;
	}
}

void
pm_ctr_part_place(const PmSchema *schema, CtrPart *part)
{
	int32_t		dense = 0;
	int32_t		code = 0;
	int32_t		set = 0;

	for (int32_t i = 0; i < part->column; i++)
		advance(&schema->columns[i], &dense, &code, &set);
	switch (part->kind)
	{
		case CTR_NUMBER:
		case CTR_MISSING:
		case CTR_BINS:
			part->at = dense;
			break;
		case CTR_CATEGORY:
		case CTR_WEEKDAY:
			part->at = code;
			break;
		case CTR_HOUR:
			part->at = code + 1;
			break;
		case CTR_SET:
			part->at = set;
			break;
		case CTR_CROSS:
			break;
	}
}

/* A part's salt is a hash of its name, so that it does not depend on others. */
static PmStatus
choose_salt(PmContext *ctx, const PmSchema *schema, CtrLayout *layout,
			CtrPart *part)
{
	size_t		length = pm_ctr_part_name(schema, layout, part, NULL, 0);
	char	   *name;

	PM_TRY(pm_alloc(ctx, "the layout", length + 1, 1, &name));
	pm_ctr_part_name(schema, layout, part, name, length + 1);
	part->salt = pm_hash64(part->kind, name, length);
	pm_release(ctx, name);
	return PM_OK;
}

/* Which category an index stands for. */
static PmStatus
invert_codes(PmContext *ctx, CtrPart *part)
{
	if (part->code_of != NULL || part->code_count == 0)
		return PM_OK;
	PM_TRY(pm_alloc(ctx, "the layout", part->size, sizeof(int32_t), &part->code_of));
	for (int32_t i = 0; i < part->size; i++)
		part->code_of[i] = -1;
	for (int32_t code = part->code_count - 1; code >= 0; code--)
		if (part->index_of[code] >= 0)
			part->code_of[part->index_of[code]] = code;
	return PM_OK;
}

static inline int32_t
hash_index(const CtrLayout *layout, const CtrPart *part, uint64_t token)
{
	return (int32_t) (pm_mix64(part->salt ^ (token * UINT64_C(0x9e3779b97f4a7c15))) >>
					  (64 - layout->hash_bits));
}

/* Numbers are in every row: their coefficients are found once. */
static PmStatus
find_places(PmContext *ctx, const CtrLayout *layout, CtrPart *part)
{
	PM_TRY(pm_alloc(ctx, "the layout", part->size, sizeof(int32_t), &part->places));
	for (int32_t j = 0; j < part->size; j++)
		part->places[j] = hash_index(layout, part, (uint64_t) j);
	return PM_OK;
}

PmStatus
pm_ctr_layout_number(PmContext *ctx, const PmSchema *schema,
					 CtrLayout *layout)
{
	int64_t		total = 0;
	int			entries = 0;

	layout->field_count = 0;
	for (int i = 0; i < layout->part_count; i++)
	{
		CtrPart    *part = &layout->parts[i];

		if (i % CHECK_INTERVAL == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "cancelled");
		PM_TRY(choose_salt(ctx, schema, layout, part));
		PM_TRY(invert_codes(ctx, part));
		part->first = 0;
		part->field = -1;
		if (!part->visible)
			continue;
		part->field = layout->field_count++;
		part->first = (int32_t) total;
		if (!layout->hashed)
			total += part->size;
		else if (part->kind == CTR_NUMBER)
			PM_TRY(find_places(ctx, layout, part));
		if (total > INT32_MAX / 2)
			return pm_fail(ctx, PM_TOO_LARGE, "the model has more than %d coefficients",
						   INT32_MAX / 2);
		entries += part->kind == CTR_NUMBER ? part->size :
			part->kind == CTR_SET ? 0 : 1;
	}
	layout->coefficient_count = layout->hashed ? 1 << layout->hash_bits : (int32_t) total;
	layout->entry_count = entries;
	return PM_OK;
}

/* ---- plain layouts ---------------------------------------------------- */

float
pm_ctr_part_number(const CtrPart *part, int j, const float *dense)
{
	float		value = dense[part->at + j];
	double		number = isnan(value) ? part->impute[j] : value;

	if (part->transform == CTR_LOG1P)
		number = copysign(log1p(fabs(number)), number);
	number = (number - part->shift[j]) * part->scale[j];

	/* far beyond all training rows, but finite: 0 times infinity is no number */
	return (float) (number > FLT_MAX ? FLT_MAX : number < -FLT_MAX ? -FLT_MAX : number);
}

/* How many of the increasing bounds are at most so much. */
static inline int32_t
bounds_up_to(const CtrPart *part, float value)
{
	int32_t		low = 0;
	int32_t		high = part->bound_count;

	while (low < high)
	{
		int32_t		middle = low + (high - low) / 2;

		if (part->bounds[middle] <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int32_t
bin_index(const CtrPart *part, float value)
{
	int32_t		up_to;

	if (isnan(value))
		return part->null;
	up_to = bounds_up_to(part, value);
	if (part->transform == CTR_QUANTILE)
		return up_to;
	if (up_to > 0 && part->bounds[up_to - 1] == value)
		return up_to - 1;
	return part->rare;
}

/* The index of a dictionary's code; NULL and unseen ones have theirs. */
static inline int32_t
code_index(const CtrPart *part, int32_t code)
{
	if (code >= 0)
		return code < part->code_count ? part->index_of[code] : part->rare;
	return code == PM_CODE_NULL ? part->null : part->rare;
}

uint64_t
pm_ctr_cross_key(const CtrLayout *layout, const CtrPart *part,
				 const float *dense, const int32_t *codes)
{
	uint64_t	key = 0;

	for (int j = 0; j < part->member_count; j++)
	{
		const CtrPart *member = &layout->parts[part->members[j]];

		key = key * ((uint64_t) member->size + 1) +
			(uint64_t) (pm_ctr_part_index(layout, member, dense, codes) + 1);
	}
	return key;
}

static int32_t
find_key(const CtrPart *part, uint64_t key)
{
	int32_t		low = 0;
	int32_t		high = part->key_count;

	while (low < high)
	{
		int32_t		middle = low + (high - low) / 2;

		if (part->keys[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low < part->key_count && part->keys[low] == key ? low : part->rare;
}

int32_t
pm_ctr_part_index(const CtrLayout *layout, const CtrPart *part,
				  const float *dense, const int32_t *codes)
{
	switch (part->kind)
	{
		case CTR_MISSING:
			return isnan(dense[part->at]) ? 0 : -1;
		case CTR_BINS:
			return bin_index(part, dense[part->at]);
		case CTR_WEEKDAY:
		case CTR_HOUR:
			return codes[part->at] >= 0 ? codes[part->at] : part->null;
		case CTR_CATEGORY:
			return code_index(part, codes[part->at]);
		case CTR_CROSS:
			return find_key(part, pm_ctr_cross_key(layout, part, dense, codes));
		case CTR_NUMBER:
		case CTR_SET:
			break;
	}
	return -1;
}

/* ---- hashed layouts --------------------------------------------------- */

/* What is hashed for a category, weekday or hour. */
static inline uint64_t
code_token(int32_t code)
{
	return code >= 0 ? (uint64_t) code : NULL_TOKEN;
}

/* What is hashed for a part's value in a row; false where there is nothing. */
static bool
part_token(const CtrLayout *layout, const CtrPart *part, const float *dense,
		   const int32_t *codes, uint64_t *token)
{
	float		value;
	uint32_t	bits;

	switch (part->kind)
	{
		case CTR_MISSING:
			*token = 0;
			return isnan(dense[part->at]);
		case CTR_BINS:
			*token = NULL_TOKEN;
			if (isnan(dense[part->at]))
				return true;
			if (part->transform == CTR_QUANTILE)
				*token = bounds_up_to(part, dense[part->at]);
			else
			{
				value = dense[part->at] + 0.0f; /* -0 is 0 */
				memcpy(&bits, &value, sizeof(bits));
				*token = bits;
			}
			return true;
		case CTR_WEEKDAY:
		case CTR_HOUR:
		case CTR_CATEGORY:
			*token = code_token(codes[part->at]);
			return true;
		case CTR_CROSS:
			*token = 0;
			for (int j = 0; j < part->member_count; j++)
			{
				uint64_t	member = 0;

				(void) part_token(layout, &layout->parts[part->members[j]],
								  dense, codes, &member);
				*token = pm_mix64(*token * 31 + member + 1);
			}
			return true;
		case CTR_NUMBER:
		case CTR_SET:
			break;
	}
	return false;
}

int32_t
pm_ctr_hashed_place(const CtrLayout *layout, const CtrPart *part,
					int32_t index)
{
	return hash_index(layout, part, index == part->null ? NULL_TOKEN : (uint64_t) index);
}

/* ---- one row ---------------------------------------------------------- */

static inline void
put_entry(PmCtrEntry *entries, int *count, const CtrPart *part, int32_t index,
		  float value)
{
	entries[*count].field = part->field;
	entries[*count].index = index;
	entries[*count].value = value;
	++*count;
}

/* Members of a set; several that share an index count once. */
static void
set_entries(const CtrLayout *layout, const CtrPart *part, const PmRow *row,
			PmCtrEntry *entries, int *count)
{
	int32_t		begin = part->at > 0 ? row->set_ends[part->at - 1] : 0;
	bool		rare = false;

	for (int32_t i = begin; i < row->set_ends[part->at]; i++)
	{
		int32_t		index;

		if (layout->hashed)
		{
			put_entry(entries, count, part,
					  hash_index(layout, part, (uint64_t) row->set_codes[i]), 1);
			continue;
		}
		index = code_index(part, row->set_codes[i]);
		if (index < 0 || (index == part->rare && rare))
			continue;
		rare |= index == part->rare;
		put_entry(entries, count, part, part->first + index, 1);
	}
}

int
pm_ctr_layout_entries(const CtrLayout *layout, const PmRow *row,
					  PmCtrEntry *entries)
{
	int			count = 0;

	for (int i = 0; i < layout->part_count; i++)
	{
		const CtrPart *part = &layout->parts[i];
		uint64_t	token;
		int32_t		index;

		if (!part->visible || (part->kind == CTR_MISSING && !isnan(row->dense[part->at])))
			continue;
		if (part->kind == CTR_NUMBER)
			for (int j = 0; j < part->size; j++)
				put_entry(entries, &count, part,
						  layout->hashed ? part->places[j] : part->first + j,
						  pm_ctr_part_number(part, j, row->dense));
		else if (part->kind == CTR_SET)
			set_entries(layout, part, row, entries, &count);
		else if (layout->hashed && part->kind == CTR_CATEGORY)
			put_entry(entries, &count, part,
					  hash_index(layout, part, code_token(row->codes[part->at])), 1);
		else if (layout->hashed)
		{
			if (part_token(layout, part, row->dense, row->codes, &token))
				put_entry(entries, &count, part, hash_index(layout, part, token), 1);
		}
		else
		{
			index = pm_ctr_part_index(layout, part, row->dense, row->codes);
			if (index >= 0)
				put_entry(entries, &count, part, part->first + index, 1);
		}
	}
	return count;
}
