/*
 * layout_rows.c
 *		A frame's rows as a click model's algorithm takes them: by field, the
 *		rows in training and those held out apart.
 */
#include "layout.h"

#include <string.h>

#include "pm_parallel.h"

/* Rows that a task converts, and what a part of a row takes, in nanoseconds. */
#define TASK_ROWS 4096
#define PART_TIME 5.0

/* Where the rows of one part of the split go. */
typedef struct Side
{
	PmCtrRows  *rows;
	float	  **values;			/* by part */
	int32_t   **codes;
	uint8_t    *labels;
	float	   *weights;
} Side;

typedef struct Conversion
{
	PmContext  *ctx;
	const CtrLayout *layout;
	const CtrTable *table;
	Side		sides[2];		/* training, held out */
	int64_t    *held_out_before;	/* a task's first row: so many before it */
} Conversion;

static inline int
side_of(const CtrTable *table, int64_t row)
{
	return table->held_out != NULL && table->held_out[row];
}

static PmStatus
allocate_field(Conversion *conversion, Side *side, int i, PmCtrField *field)
{
	const CtrPart *part = &conversion->layout->parts[i];
	size_t		n = side->rows->n;

	field->first = part->first;
	field->count = part->size;
	switch (part->kind)
	{
		case CTR_NUMBER:
			field->kind = PM_CTR_DENSE;
			if (n > SIZE_MAX / sizeof(float) / (part->size + 1))
				return pm_fail(conversion->ctx, PM_TOO_LARGE, "the rows are too many");
			PM_TRY(pm_alloc(conversion->ctx, "the fields' numbers",
							n * part->size, sizeof(float), &side->values[i]));
			field->values = side->values[i];
			break;
		case CTR_SET:
			field->kind = PM_CTR_SET;
			break;
		default:
			field->kind = PM_CTR_CODE;
			PM_TRY(pm_alloc(conversion->ctx, "the fields' categories", n,
							sizeof(int32_t), &side->codes[i]));
			field->codes = side->codes[i];
			break;
	}
	return PM_OK;
}

static PmStatus
allocate_side(Conversion *conversion, Side *side, PmCtrRows *rows, int64_t n)
{
	PmContext  *ctx = conversion->ctx;
	const CtrLayout *layout = conversion->layout;
	PmCtrField *fields;

	memset(rows, 0, sizeof(*rows));
	rows->n = n;
	rows->field_count = layout->field_count;
	rows->coefficient_count = layout->coefficient_count;
	side->rows = rows;
	PM_TRY(pm_alloc_zero(ctx, "the fields", layout->field_count, sizeof(PmCtrField), &fields));
	PM_TRY(pm_alloc_zero(ctx, "the fields", layout->part_count, sizeof(float *), &side->values));
	PM_TRY(pm_alloc_zero(ctx, "the fields", layout->part_count, sizeof(int32_t *), &side->codes));
	for (int i = 0; i < layout->part_count; i++)
		if (layout->parts[i].visible)
			PM_TRY(allocate_field(conversion, side, i, &fields[layout->parts[i].field]));
	PM_TRY(pm_alloc(ctx, "the rows' labels", n, sizeof(uint8_t), &side->labels));
	if (conversion->table->weights != NULL)
		PM_TRY(pm_alloc(ctx, "the rows' weights", n, sizeof(float), &side->weights));
	rows->fields = fields;
	rows->labels = side->labels;
	rows->weights = side->weights;
	return PM_OK;
}

/* One row, to its place on its side. */
static inline void
convert_row(const Conversion *conversion, int64_t row, const Side *side,
			int64_t to)
{
	const CtrTable *table = conversion->table;
	const CtrLayout *layout = conversion->layout;
	const float *dense = table->dense + row * table->dense_width;
	const int32_t *codes = table->codes + row * table->code_width;

	for (int i = 0; i < layout->part_count; i++)
	{
		const CtrPart *part = &layout->parts[i];

		if (side->values[i] != NULL)
			for (int j = 0; j < part->size; j++)
				side->values[i][to * part->size + j] = pm_ctr_part_number(part, j, dense);
		else if (side->codes[i] != NULL)
			side->codes[i][to] = pm_ctr_part_index(layout, part, dense, codes);
	}
	side->labels[to] = table->labels[row];
	if (side->weights != NULL)
		side->weights[to] = table->weights[row];
}

static void
convert_rows(int64_t task, int lane, void *argument)
{
	Conversion *conversion = argument;
	int64_t		begin = task * TASK_ROWS;
	int64_t		end = begin + TASK_ROWS;
	int64_t		next[2];

	(void) lane;
	if (end > conversion->table->n)
		end = conversion->table->n;
	next[1] = conversion->held_out_before[task];
	next[0] = begin - next[1];
	for (int64_t row = begin; row < end; row++)
	{
		int			side = side_of(conversion->table, row);

		convert_row(conversion, row, &conversion->sides[side], next[side]++);
	}
}

/* The rows of a set, whose lengths differ: one after the other. */
static PmStatus
convert_set(Conversion *conversion, const CtrPart *part, int side)
{
	const CtrTable *table = conversion->table;
	const int64_t *from = table->set_offsets[part->at];
	const int32_t *members = table->set_codes[part->at];
	PmCtrRows  *rows = conversion->sides[side].rows;
	PmCtrField *field = (PmCtrField *) &rows->fields[part->field];
	int64_t    *offsets;
	int32_t    *codes;
	int64_t		total = 0;
	int64_t		used = 0;
	int64_t		to = 0;

	for (int64_t row = 0; row < table->n; row++)
		if (side_of(table, row) == side)
			total += from[row + 1] - from[row];
	PM_TRY(pm_alloc(conversion->ctx, "the fields' sets", rows->n + 1, sizeof(int64_t), &offsets));
	PM_TRY(pm_alloc(conversion->ctx, "the fields' sets", total, sizeof(int32_t), &codes));
	offsets[0] = 0;
	for (int64_t row = 0; row < table->n; row++)
	{
		bool		rare = false;

		if (row % TASK_ROWS == 0 && pm_interrupted(conversion->ctx))
			return pm_fail(conversion->ctx, PM_CANCELLED, "cancelled");
		if (side_of(table, row) != side)
			continue;
		for (int64_t i = from[row]; i < from[row + 1]; i++)
		{
			int32_t		index = part->index_of[members[i]];

			if (index < 0 || (index == part->rare && rare))
				continue;
			rare |= index == part->rare;
			codes[used++] = index;
		}
		offsets[++to] = used;
	}
	field->offsets = offsets;
	field->codes = codes;
	return PM_OK;
}

/* How many rows before each task's first one are held out; gives the total. */
static PmStatus
count_held_out(Conversion *conversion, int64_t tasks, int64_t *total)
{
	const CtrTable *table = conversion->table;

	*total = 0;
	PM_TRY(pm_alloc(conversion->ctx, "the split", tasks + 1, sizeof(int64_t),
					&conversion->held_out_before));
	for (int64_t row = 0; row < table->n; row++)
	{
		if (row % TASK_ROWS == 0)
			conversion->held_out_before[row / TASK_ROWS] = *total;
		*total += side_of(table, row);
	}
	return PM_OK;
}

PmStatus
pm_ctr_layout_rows(PmContext *ctx, const CtrLayout *layout,
				   const CtrTable *table, PmCtrRows *train,
				   PmCtrRows *held_out)
{
	Conversion	conversion = {.ctx = ctx,.layout = layout,.table = table};
	int64_t		tasks = (table->n + TASK_ROWS - 1) / TASK_ROWS;
	int64_t		held;

	PM_TRY(count_held_out(&conversion, tasks, &held));
	PM_TRY(allocate_side(&conversion, &conversion.sides[0], train, table->n - held));
	PM_TRY(allocate_side(&conversion, &conversion.sides[1], held_out, held));
	PM_TRY(pm_parallel(ctx, "converting rows", tasks, PART_TIME * TASK_ROWS * (layout->part_count + 1),
					   convert_rows, &conversion));
	for (int i = 0; i < layout->part_count; i++)
		if (layout->parts[i].visible && layout->parts[i].kind == CTR_SET)
		{
			PM_TRY(convert_set(&conversion, &layout->parts[i], 0));
			PM_TRY(convert_set(&conversion, &layout->parts[i], 1));
		}
	pm_release(ctx, conversion.held_out_before);
	return PM_OK;
}
