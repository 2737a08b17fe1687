/*
 * frame_finish.c
 *		The end of a frame's building: codes in their final order, rows in
 *		canonical order.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "frame_build.h"

#define CHECK_INTERVAL (1 << 18)

/* The first code that is not a model's, whose codes stay. */
static int32_t
first_new_code(const PmFrameBuilder *builder, const ColumnSlot *slot)
{
	const PmSchema *model = builder->spec.model;

	return model == NULL ? 0 : model->columns[slot - builder->slots].dictionary.count;
}

/* Codes of one category column into the dictionary's final order. */
static void
renumber_categories(PmFrameBuilder *builder, ColumnSlot *slot)
{
	PmFrame    *frame = builder->frame;
	int32_t    *new_codes;

	pm_frame_check(builder, pm_dictionary_sort(builder->ctx, &slot->column->dictionary,
											   first_new_code(builder, slot), &new_codes));
	for (int64_t row = 0; row < frame->n; row++)
	{
		int32_t    *code = &frame->codes[row * frame->code_width + slot->code_at];

		if (row % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (*code >= 0)
			*code = new_codes[*code];
	}
	pm_release(builder->ctx, new_codes);
}

static int
compare_codes(const void *left, const void *right)
{
	int32_t		a = *(const int32_t *) left;
	int32_t		b = *(const int32_t *) right;

	return (a > b) - (a < b);
}

/* The same for a multi-valued column; members of a row sorted, each once. */
static void
renumber_set(PmFrameBuilder *builder, ColumnSlot *slot)
{
	PmFrame    *frame = builder->frame;
	PmFrameSet *set = &frame->sets[slot->set_at];
	int32_t    *new_codes;
	int64_t		begin = 0;
	int64_t		used = 0;

	pm_frame_check(builder, pm_dictionary_sort(builder->ctx, &slot->column->dictionary,
											   first_new_code(builder, slot), &new_codes));
	for (int64_t row = 0; row < frame->n; row++)
	{
		int64_t		end = set->offsets[row + 1];
		int64_t		first = used;

		if (row % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		for (int64_t i = begin; i < end && !builder->spec.hash_categories; i++)
			set->codes[i] = new_codes[set->codes[i]];
		qsort(set->codes + begin, end - begin, sizeof(int32_t), compare_codes);
		for (int64_t i = begin; i < end; i++)
			if (used == first || set->codes[used - 1] != set->codes[i])
				set->codes[used++] = set->codes[i];
		set->offsets[row + 1] = used;
		begin = end;
	}
	pm_release(builder->ctx, new_codes);
}

/* The newest time of a column, against which ages are told. */
static double
newest_time(const PmFrame *frame, const ColumnSlot *slot)
{
	double		newest = -INFINITY;

	for (int64_t row = 0; row < frame->n; row++)
	{
		float		days = frame->dense[row * frame->dense_width + slot->dense_at];

		if (row % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (days > newest)
			newest = days;
	}
	return isfinite(newest) ? newest : 0;
}

PmFrame *
pm_frame_finish(PmFrameBuilder *builder)
{
	PmFrame    *frame = builder->frame;

	for (int i = 0; i < builder->spec.column_count; i++)
	{
		ColumnSlot *slot = &builder->slots[i];

		CHECK_FOR_INTERRUPTS();
		if (slot->set_at >= 0)
			renumber_set(builder, slot);
		else if (slot->column->class == PM_COLUMN_CATEGORY &&
				 !builder->spec.hash_categories)
			renumber_categories(builder, slot);
		else if (slot->column->class == PM_COLUMN_TIME ||
				 slot->column->class == PM_COLUMN_DATE)
			slot->column->newest = newest_time(frame, slot);
	}
	pm_frame_check(builder, pm_schema_number_features(builder->ctx, frame->schema));
	pm_frame_check(builder, pm_frame_sort(builder->ctx, frame));
	return frame;
}
