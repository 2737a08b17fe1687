/*
 * fm_field.c
 *		Factorisation machines: what a field does with a batch.
 *
 * A batch touches few of a large field's coefficients.  These get slots, in
 * the order in which rows bring them, and their gradients lie together.
 */
#include "fm.h"

#include <string.h>

/*
 * The slot of a coefficient, a new one where the batch had it not yet; without
 * a branch, which would be foretold badly.
 */
static inline int32_t
slot_for(FmField *field, int32_t code, uint32_t stamp)
{
	FmSlot		slot = field->slot_of[code];
	bool		new = slot.stamp != stamp;

	slot.stamp = stamp;
	slot.slot = new ? field->touched_count : slot.slot;
	field->slot_of[code] = slot;
	field->touched[field->touched_count] = code;
	field->touched_count += new;
	return slot.slot;
}

void
pm_fm_field_prepare(FmField *field, const FmView *view, int count,
					const FmStepper *stepper, FmTable *table, int32_t *seen,
					int32_t step, uint32_t stamp)
{
	const PmCtrField *data = field->field;
	int32_t		before = field->touched_count;
	int32_t		added;

	if (data->kind == PM_CTR_CODE)
	{
		for (int i = 0; i < count; i++)
			field->codes[i] = data->codes[pm_fm_row(view, i)];
		for (int i = 0; i < count; i++)
			field->slots[i] = field->codes[i] < 0 ? -1 :
				slot_for(field, field->codes[i], stamp);
	}
	else if (data->kind == PM_CTR_SET)
		for (int i = 0; i < count; i++)
		{
			int64_t		row = pm_fm_row(view, i);

			for (int64_t k = data->offsets[row]; k < data->offsets[row + 1]; k++)
				(void) slot_for(field, data->codes[k], stamp);
		}
	else
		for (int32_t k = 0; k < data->count; k++)
			(void) slot_for(field, k, stamp);
	added = field->touched_count - before;
	pm_fm_catch_up(stepper, table, seen, field->first, field->touched + before,
				   added, step);
	memset(field->grad + (size_t) before * table->width, 0,
		   (size_t) added * table->width * sizeof(float));
	if (field->squares != NULL && added > 0)
		memset(field->squares, 0, (size_t) data->count * sizeof(float));
}

void
pm_fm_field_gather(FmField *field, const FmView *view, int count, int width,
				   const float *residuals, const float *sums)
{
	switch (field->field->kind)
	{
		case PM_CTR_CODE:
			pm_fm_scatter(width, count, field->slots, residuals, sums, field->grad);
			break;
		case PM_CTR_SET:
			pm_fm_scatter_set(view, field->field, width, count, field->slot_of,
							  residuals, sums, field->grad);
			break;
		case PM_CTR_DENSE:
			pm_fm_scatter_dense(view, field->field, width, count, residuals,
								sums, field->grad, field->squares);
			break;
	}
}

PmStatus
pm_fm_field_open(PmContext *ctx, const PmCtrRows *rows, int f, int width,
				 int64_t batch, int part, FmField *field)
{
	const PmCtrField *data = &rows->fields[f];
	size_t		slots = (size_t) data->count;

	memset(field, 0, sizeof(*field));
	field->field = data;
	field->first = data->first;
	if (data->kind == PM_CTR_CODE && (int64_t) slots > batch)
		slots = (size_t) batch;
	else if (data->kind == PM_CTR_SET && (int64_t) slots > data->offsets[rows->n])
		slots = (size_t) data->offsets[rows->n];
	PM_TRY(pm_alloc_zero(ctx, "slots of a field", (size_t) data->count,
						 sizeof(FmSlot), &field->slot_of));
	/* one more: what is not new is written there too */
	PM_TRY(pm_alloc(ctx, "slots of a field", slots + 1, sizeof(int32_t), &field->touched));
	PM_TRY(pm_alloc(ctx, "gradient of a field", slots,
					(size_t) width * sizeof(float), &field->grad));
	if (data->kind == PM_CTR_DENSE)
		PM_TRY(pm_alloc(ctx, "gradient of a field", slots, sizeof(float), &field->squares));
	if (data->kind != PM_CTR_CODE)
		return PM_OK;
	PM_TRY(pm_alloc(ctx, "codes of a batch", (size_t) part, sizeof(int32_t), &field->codes));
	return pm_alloc(ctx, "codes of a batch", (size_t) part, sizeof(int32_t), &field->slots);
}

void
pm_fm_field_close(PmContext *ctx, FmField *field)
{
	pm_release(ctx, field->slot_of);
	pm_release(ctx, field->touched);
	pm_release(ctx, field->grad);
	pm_release(ctx, field->squares);
	pm_release(ctx, field->codes);
	pm_release(ctx, field->slots);
	memset(field, 0, sizeof(*field));
}
