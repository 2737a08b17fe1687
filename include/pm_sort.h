/*
 * pm_sort.h
 *		Sorting of large arrays that can be interrupted.
 */
#ifndef PM_SORT_H
#define PM_SORT_H

#include "pm_context.h"

/*
 * Sort like qsort(), with a second array of the same size from the arena;
 * elements that compare equal may change places.
 */
extern PmStatus pm_sort(PmContext *ctx, void *array, size_t count, size_t size,
						int (*compare) (const void *, const void *));

#endif							/* PM_SORT_H */
