/*
 * layout_count.h
 *		What the training rows hold, counted: for making a layout and for
 *		extending one.
 */
#ifndef LAYOUT_COUNT_H
#define LAYOUT_COUNT_H

#include "layout.h"

#define CTR_CHECK_INTERVAL (1 << 16)

static inline bool
pm_ctr_is_training(const CtrTable *table, int64_t row)
{
	return table->held_out == NULL || !table->held_out[row];
}

static inline double
pm_ctr_row_weight(const CtrTable *table, int64_t row)
{
	return table->weights != NULL ? table->weights[row] : 1;
}

static inline PmStatus
pm_ctr_check_interrupt(PmContext *ctx, int64_t row)
{
	if (row % CTR_CHECK_INTERVAL == 0 && pm_interrupted(ctx))
		return pm_fail(ctx, PM_CANCELLED, "cancelled");
	return PM_OK;
}

/*
 * How often each code of a part's dictionary, of part->code_count, occurs in
 * training, and NULL (in a set it is no member).
 */
extern PmStatus pm_ctr_count_codes(PmContext *ctx, const CtrTable *table,
								   const CtrPart *part, int64_t **counts,
								   int64_t *nulls);

/* A number's values in training, sorted, up to a number of rows. */
extern PmStatus pm_ctr_sorted_values(PmContext *ctx, const CtrTable *table,
									 int at, int64_t limit, float **values,
									 int64_t *count, bool *missing);

/*
 * Leave each of the sorted values that occurs so often once, in place; gives
 * how many those are, and whether there are rarer ones.
 */
extern int64_t pm_ctr_distinct_values(float *values, int64_t count,
									  int64_t frequency, bool *rare);

/* Whether a part's code, of a weekday or an hour, is NULL in training. */
extern PmStatus pm_ctr_has_nulls(PmContext *ctx, const CtrTable *table,
								 const CtrPart *part, bool *nulls);

/*
 * The combinations of a cross's members that occur so often in training,
 * sorted, and whether there are rarer ones.  The members' parts are final.
 */
extern PmStatus pm_ctr_cross_keys(PmContext *ctx, const CtrLayout *layout,
								  const CtrTable *table, const CtrPart *part,
								  int64_t frequency, uint64_t **keys,
								  int64_t *kept, bool *rare);

extern PmStatus pm_ctr_sort_keys(PmContext *ctx, uint64_t *keys, int64_t count);

#endif							/* LAYOUT_COUNT_H */
